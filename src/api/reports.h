// SPDX-License-Identifier: Apache-2.0
/*
 * reports.h - what networks and SM-DP+s report, as JSON: usage records and what became of them, and the progress of a profile's download.
 */
#ifndef API_REPORTS_H
#define API_REPORTS_H

#include "base/json.h"
#include "core/sim.h"
#include "core/usage.h"

// A usage record: record_id, source (may be left out when `source` is present), bytes_up and bytes_down (0 when left out, but one is
// needed), start and end (the same when one is left out), and one of iccid, imsi and msisdn; none of these when `iccid` (digits) says which
// SIM it is. Adds its faults to `err` under `path`; the strings are views into the tree.
void take_usage(json_t *o, const char *path, struct str source, struct str iccid, struct usage_record *out, struct err *err);
// The members of a verdict, into an object that is open.
void put_usage_result(struct jw *w, const struct usage_result *u);

// notification_point (a number, or a string holding one), notification_status ("Executed-Success" when left out), eid.
void take_progress(json_t *o, struct profile_progress *out, struct err *err);

#endif
