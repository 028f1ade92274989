// SPDX-License-Identifier: Apache-2.0
/*
 * store_event.h - the log. Appending gives the partner's next sequence number, inside the job's transaction: no gaps, never back.
 */
#ifndef STORE_STORE_EVENT_H
#define STORE_STORE_EVENT_H

#include "core/event.h"
#include "store/store.h"

NODISCARD enum err_kind store_event_append(struct tx *tx, struct event *e, struct err *err); // fills e->sequence
// Those with sequence > after, oldest first.
NODISCARD enum err_kind store_event_list(struct tx *tx, int64_t partner_id, int64_t after, int64_t limit, struct arena *a,
                                         struct event **out, size_t *n, struct err *err);
// First and last sequence kept (0, 0 when none).
NODISCARD enum err_kind store_event_range(struct tx *tx, int64_t partner_id, int64_t *first, int64_t *last, struct err *err);

#endif
