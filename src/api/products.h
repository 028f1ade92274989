// SPDX-License-Identifier: Apache-2.0
/*
 * products.h - /v2/products: the partner's own catalogue (connect-v2 section 5).
 *
 * The list shows what is on sale. An item is shown for good: subscriptions link to the product that they were bought with.
 */
#ifndef API_PRODUCTS_H
#define API_PRODUCTS_H

#include "api/call.h"

// GET /v2/products
enum err_kind product_list_parse(struct call *c, struct err *err);
enum err_kind product_list_work(struct call *c, struct tx *tx, struct err *err);
void product_list_reply(struct call *c);

// GET /v2/products/{id}
enum err_kind product_get_work(struct call *c, struct tx *tx, struct err *err);
void product_get_reply(struct call *c);

#endif
