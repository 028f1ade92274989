// SPDX-License-Identifier: Apache-2.0
/*
 * preferences.h - /v2/sims/{iccid}/preferences: where a SIM's notifications go (connect-v2 section 8).
 *
 * The URL may carry credentials: it is shown to its partner and never logged.
 */
#ifndef API_PREFERENCES_H
#define API_PREFERENCES_H

#include "api/call.h"

// GET /v2/sims/{iccid}/preferences
enum err_kind preferences_get_work(struct call *c, struct tx *tx, struct err *err);
// PUT and POST /v2/sims/{iccid}/preferences/notifications/{type}: WORK_WRITE
enum err_kind preference_put_parse(struct call *c, struct err *err);
enum err_kind preference_put_work(struct call *c, struct tx *tx, struct err *err);
// the reply of both: the whole list
void preferences_reply(struct call *c);
// DELETE of the same: WORK_WRITE
enum err_kind preference_delete_parse(struct call *c, struct err *err);
enum err_kind preference_delete_work(struct call *c, struct tx *tx, struct err *err);
void preference_delete_reply(struct call *c);

#endif
