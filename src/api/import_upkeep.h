// SPDX-License-Identifier: Apache-2.0
/*
 * import_upkeep.h - imports of SIMs that their clients have left: one that is being applied is carried to its end, also after a restart;
 * the rows of those that were dropped are taken away, and what was begun a day ago and never ended is dropped. One job at a time, each of a
 * slice.
 */
#ifndef API_IMPORT_UPKEEP_H
#define API_IMPORT_UPKEEP_H

#include "base/clock.h"

#define IMPORT_SLICE_ROWS 500 // of one job: some milliseconds

struct api;
// From the park's turns: submits the next job when it is time.
void import_upkeep(struct api *api, struct mono now);
void import_upkeep_soon(struct api *api); // there is something to do

#endif
