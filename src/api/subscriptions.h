// SPDX-License-Identifier: Apache-2.0
/*
 * subscriptions.h - /v2/subscriptions: products on SIMs, and the two moves a partner may make (connect-v2 section 7).
 */
#ifndef API_SUBSCRIPTIONS_H
#define API_SUBSCRIPTIONS_H

#include "api/call.h"

// GET /v2/subscriptions
enum err_kind subscription_list_parse(struct call *c, struct err *err);
enum err_kind subscription_list_work(struct call *c, struct tx *tx, struct err *err);
void subscription_list_reply(struct call *c);

// GET /v2/subscriptions/{id}
enum err_kind subscription_get_work(struct call *c, struct tx *tx, struct err *err);
// POST /v2/subscriptions/{id}/activate and .../expire: WORK_WRITE
enum err_kind subscription_activate_work(struct call *c, struct tx *tx, struct err *err);
enum err_kind subscription_expire_work(struct call *c, struct tx *tx, struct err *err);
// the reply of the three
void subscription_reply(struct call *c);

#endif
