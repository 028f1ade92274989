// SPDX-License-Identifier: Apache-2.0
/*
 * events.h - GET /v2/events: a partner's log, by page, by long poll, and as server-sent events.
 *
 * The three are one reading: sequences are the cursor, `after` (or Last-Event-ID) is where to go on, `type` leaves out what is not wanted.
 * A cursor never drifts: what it stands before is the same for ever, until it is dropped as too old; then reading from there is refused
 * (410) rather than going on behind the gap.
 */
#ifndef API_EVENTS_H
#define API_EVENTS_H

#include "api/call.h"

enum err_kind event_list_parse(struct call *c, struct err *err);
enum err_kind event_list_work(struct call *c, struct tx *tx, struct err *err);
void event_list_reply(struct call *c);

#endif
