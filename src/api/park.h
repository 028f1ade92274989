// SPDX-License-Identifier: Apache-2.0
/*
 * park.h - calls whose job has to be run again a little later: nobody can tell them when, or the writer's queue is full just now.
 *
 * Their connections are suspended; no thread waits. A turn (api_turn) submits the jobs of all that are parked.
 */
#ifndef API_PARK_H
#define API_PARK_H

#include "api/call.h"

#define PARKED_MAX 1000
#define PARK_MS 200

// The call is parked and belongs to the next turn. False: there is no room, or the server stops.
NODISCARD bool park(struct call *c);
// Something has happened that calls may wait for: the next turn is due.
void park_wake(struct api *api);

void park_open(struct api *api);
void park_close(struct api *api);

#endif
