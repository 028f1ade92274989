// SPDX-License-Identifier: Apache-2.0
/*
 * webhooks.h - /v2/webhooks: endpoints to which a partner's events are delivered, and the log of deliveries.
 *
 * A secret is in the answer that made it and in no other. What was asked for here (a test, a redelivery) is a row that waits; the deliverer
 * takes it from there.
 */
#ifndef API_WEBHOOKS_H
#define API_WEBHOOKS_H

#include "api/call.h"

enum err_kind webhook_create_parse(struct call *c, struct err *err);
enum err_kind webhook_create_work(struct call *c, struct tx *tx, struct err *err);
void webhook_create_reply(struct call *c);
enum err_kind webhook_list_parse(struct call *c, struct err *err);
enum err_kind webhook_list_work(struct call *c, struct tx *tx, struct err *err);
void webhook_list_reply(struct call *c);
enum err_kind webhook_get_work(struct call *c, struct tx *tx, struct err *err);
void webhook_reply(struct call *c);
enum err_kind webhook_patch_parse(struct call *c, struct err *err);
enum err_kind webhook_patch_work(struct call *c, struct tx *tx, struct err *err);
enum err_kind webhook_delete_work(struct call *c, struct tx *tx, struct err *err);
void webhook_delete_reply(struct call *c);

enum err_kind webhook_rotate_parse(struct call *c, struct err *err);
enum err_kind webhook_rotate_work(struct call *c, struct tx *tx, struct err *err);
enum err_kind webhook_replay_parse(struct call *c, struct err *err);
enum err_kind webhook_replay_work(struct call *c, struct tx *tx, struct err *err);
enum err_kind webhook_test_work(struct call *c, struct tx *tx, struct err *err);
void webhook_asked_reply(struct call *c);

enum err_kind delivery_list_parse(struct call *c, struct err *err);
enum err_kind delivery_list_work(struct call *c, struct tx *tx, struct err *err);
void delivery_list_reply(struct call *c);
enum err_kind delivery_get_work(struct call *c, struct tx *tx, struct err *err);
void delivery_reply(struct call *c);
enum err_kind delivery_redeliver_work(struct call *c, struct tx *tx, struct err *err);

#endif
