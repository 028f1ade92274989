// SPDX-License-Identifier: Apache-2.0
/*
 * store_event.h - the log. Appending gives the partner's next sequence number, inside the job's transaction: no gaps, never back.
 */
#ifndef STORE_STORE_EVENT_H
#define STORE_STORE_EVENT_H

#include "core/event.h"
#include "store/store.h"

// Fills e->sequence. Where it is for a notification of its SIM's own (core/webhook.h), and the SIM has such a preference, that is queued,
// too.
NODISCARD enum err_kind store_event_append(struct tx *tx, struct event *e, struct err *err);
// Those with sequence > after, oldest first.
NODISCARD enum err_kind store_event_list(struct tx *tx, int64_t partner_id, int64_t after, int64_t limit, struct arena *a,
                                         struct event **out, size_t *n, struct err *err);
// The same up to `until`, and of these types only (bits 1 << type). It looks at each event between: bound the span.
NODISCARD enum err_kind store_event_find(struct tx *tx, int64_t partner_id, int64_t after, int64_t until, uint64_t types, int64_t limit,
                                         struct arena *a, struct event **out, size_t *n, struct err *err);
// *first: the oldest sequence kept; *last: the newest given out, kept or not (0: none yet). When nothing is kept, *first is *last + 1.
NODISCARD enum err_kind store_event_range(struct tx *tx, int64_t partner_id, int64_t *first, int64_t *last, struct err *err);
// Drops the oldest, up to the first that was created at `before` or later, at most `limit` of them. What is kept has no gap.
NODISCARD enum err_kind store_event_prune(struct tx *tx, int64_t partner_id, struct wall before, int64_t limit, int64_t *dropped,
                                          struct err *err);

#endif
