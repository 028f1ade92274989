// SPDX-License-Identifier: Apache-2.0
/*
 * timeline.h - how an order has come to where it is, step by step, in words for people.
 *
 * Made from the order, its tasks and what is kept of their calls (core/task.h). The built-in network does everything in the moment in which
 * the order ends, and leaves no tasks: its steps are those of the plan, at that moment. Times are the partner's.
 */
#ifndef API_TIMELINE_H
#define API_TIMELINE_H

#include "api/call.h"
#include "core/order.h"

struct moment {
    struct wall at;
    const char *step;    // "ORDER", or the task's kind
    const char *outcome; // "ACCEPTED", "DONE", "WAITING", ...
    struct str peer;     // STR_NONE when none, or not known any more
    int attempt;         // 0: does not apply
    struct wall next;    // when it is tried again; WALL_NONE
    struct str text;
};
struct timeline {
    struct moment *list; // oldest first
    size_t n;
};
// `p`: the order's partner. Everything is in the arena.
NODISCARD enum err_kind timeline_read(struct tx *tx, const struct order *o, const struct partner *p, struct arena *a, struct timeline *out,
                                      struct err *err);
void timeline_put(struct jw *w, const char *key, const struct timeline *t); // an array

// GET /v2/orders/{id}/timeline
enum err_kind order_timeline_work(struct call *c, struct tx *tx, struct err *err);
void order_timeline_reply(struct call *c);

#endif
