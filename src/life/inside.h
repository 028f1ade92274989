// SPDX-License-Identifier: Apache-2.0
/*
 * inside.h - what the files of life/ share; nobody else includes it.
 */
#ifndef LIFE_INSIDE_H
#define LIFE_INSIDE_H

#include "base/buf.h"
#include "life/life.h"

// Appends an event about a subscription that was like `was`; the buffer is the caller's, to be used again. `threshold` in percent, 0: none.
NODISCARD enum err_kind life_tell(struct tx *tx, struct buf *payload, const struct subscription *s, const struct subscription_was *was,
                                  enum event_type type, int threshold, struct wall created, struct err *err);
// The move at `at` and its event, dated `created`, without the row.
NODISCARD enum err_kind life_step(struct tx *tx, struct buf *payload, struct subscription *s, enum subscription_cue cue, struct wall at,
                                  struct wall created, struct err *err);
// Whether time moves it at `until`, and by which cue.
static inline bool life_due(const struct subscription *s, struct wall until) {
    return wall_set(s->next_at) && s->next_at.ms <= until.ms;
}
static inline enum subscription_cue life_due_cue(const struct subscription *s) {
    return s->state == SUB_PENDING ? SUB_CUE_DATE : SUB_CUE_EXPIRY;
}

#endif
