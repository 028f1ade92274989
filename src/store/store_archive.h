// SPDX-License-Identifier: Apache-2.0
/*
 * store_archive.h - finished orders on their way out of the store, once they are kept elsewhere.
 *
 * An order may leave when it has ended, with whatever it led to: none of its tasks is open, and the subscription it made (if any) has
 * ended, its expiry lies behind. Its tasks and its subscription leave with it. What stays is one row for its partner: until when orders may
 * be gone.
 */
#ifndef STORE_STORE_ARCHIVE_H
#define STORE_STORE_ARCHIVE_H

#include "core/order.h"
#include "store/store.h"

struct archive_key {
    struct uuid id;
    bool fits; // it may leave
};
// The next orders of a partner after `after` (zero: from the first), oldest first, accepted before `before` (real time). `ended`: when, on
// the partner's clock, all must have been over.
NODISCARD enum err_kind store_archive_keys(struct tx *tx, int64_t partner_id, struct uuid after, struct wall before, struct wall ended,
                                           int64_t limit, struct arena *a, struct archive_key **out, size_t *n, struct err *err);
// The same for one order; ERR_NOT_FOUND when there is none.
NODISCARD enum err_kind store_archive_fits(struct tx *tx, struct uuid id, struct wall ended, bool *fits, struct err *err);
// The order with its tasks and its subscription. It must fit, in the same transaction.
NODISCARD enum err_kind store_archive_drop(struct tx *tx, const struct order *o, struct err *err);

// Orders of the partner that were accepted before this (real time) may be gone. It only grows. WALL_NONE: none is.
NODISCARD enum err_kind store_archive_mark(struct tx *tx, int64_t partner_id, struct wall before, struct err *err);
NODISCARD enum err_kind store_archive_marked(struct tx *tx, int64_t partner_id, struct wall *before, struct err *err);

#endif
