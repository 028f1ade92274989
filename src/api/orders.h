// SPDX-License-Identifier: Apache-2.0
/*
 * orders.h - /v2/orders: placing, showing and listing orders (connect-v2 section 4).
 */
#ifndef API_ORDERS_H
#define API_ORDERS_H

#include "api/call.h"

// POST /v2/orders: WORK_WRITE, work_despite_faults
enum err_kind order_create_parse(struct call *c, struct err *err);
void order_create_ahead(struct call *c, struct tx *tx);
enum err_kind order_create_work(struct call *c, struct tx *tx, struct err *err);
void order_create_reply(struct call *c);

// GET /v2/orders/{id}
enum err_kind order_get_parse(struct call *c, struct err *err);
enum err_kind order_get_work(struct call *c, struct tx *tx, struct err *err);
void order_get_reply(struct call *c);

// GET /v2/orders
enum err_kind order_list_parse(struct call *c, struct err *err);
enum err_kind order_list_work(struct call *c, struct tx *tx, struct err *err);
void order_list_reply(struct call *c);

#endif
