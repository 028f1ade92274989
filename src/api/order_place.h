// SPDX-License-Identifier: Apache-2.0
/*
 * order_place.h - placing an order: what is looked up, judged and written, all in one job's transaction.
 *
 * Knows nothing of HTTP, so that whoever makes orders (the API, the sandbox, the simulation) places them the same way.
 */
#ifndef API_ORDER_PLACE_H
#define API_ORDER_PLACE_H

#include "core/order.h"
#include "store/store.h"

// Judges `o` in the world as `tx` sees it: adds the faults to `err`, which may hold faults found before (order_parse, order_rules: the
// caller has asked them, outside the transaction), and returns the kind that stands. Writes nothing unless `err` is free of faults; so it
// may be given a reader's transaction when it is not.
//
// `o` holds what the partner asked (order_parse) and the correlation id. When the order is accepted, the rest of it is filled: id, row
// keys, created, the profile of an eSIM that is topped up. Strings that are looked up live in `a`.
NODISCARD enum err_kind order_place(struct tx *tx, struct arena *a, const struct partner *partner, struct order *o, struct err *err);

#endif
