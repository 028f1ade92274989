// SPDX-License-Identifier: Apache-2.0
/*
 * order_parse.h - the body of POST /v2/orders, as an order.
 *
 * order_parse looks at syntax alone: JSON types, lengths, words, dates, amounts. What is required and what a field may hold is
 * core's (order_rules). A field that is absent or at fault is absent in `out`; each fault is in `err` under the field's path, and all of
 * them are found in one pass. Unknown fields are ignored. Strings of `out` are views into `body` or into `a`.
 */
#ifndef API_ORDER_PARSE_H
#define API_ORDER_PARSE_H

#include "base/json.h"
#include "core/order.h"

#define PERSON_NAME_MAX_BYTES 128 // first_name, last_name
#define EMAIL_MAX_BYTES 254       // RFC 5321
#define DEVICE_MAX_BYTES 128

// Returns the kind that stands in `err`. Fills operation, sim_type, country, product_public_id, sold, activation, expiration, subscriber,
// iccid and reference of `out`, which need not be initialised.
enum err_kind order_parse(json_t *body, struct arena *a, struct order *out, struct err *err);

#endif
