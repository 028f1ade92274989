// SPDX-License-Identifier: Apache-2.0
/*
 * clock.h - time, injected.
 *
 * Wall time and monotonic time are different types, so that they are not mixed: `struct wall` is what people see (milliseconds
 * since 1970-01-01T00:00:00Z, may jump), `struct mono` is for time-outs and latencies (nanoseconds, never goes back).
 * Nobody but clock.c asks the operating system. A `struct clock` may be read by any thread.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/base.h"

struct wall {
    int64_t ms;
};
struct mono {
    int64_t ns;
};

#define WALL_NONE ((struct wall){INT64_MIN})

static inline bool wall_set(struct wall t) {
    return t.ms != INT64_MIN;
}
static inline struct wall wall_plus_ms(struct wall t, int64_t ms) {
    return (struct wall){t.ms + ms};
}
static inline int64_t mono_ms_between(struct mono from, struct mono to) {
    return (to.ns - from.ns) / 1000000;
}

struct clock {
    struct wall (*wall_now)(void *ctx);
    struct mono (*mono_now)(void *ctx);
    void *ctx;
};

static inline struct wall clock_wall(const struct clock *c) {
    return c->wall_now(c->ctx);
}
static inline struct mono clock_mono(const struct clock *c) {
    return c->mono_now(c->ctx);
}

extern const struct clock clock_system;

// A clock that stands still until moved: for tests and the simulation. One thread moves it; any may read it.
struct clock_manual {
    _Atomic int64_t wall_ms;
    _Atomic int64_t mono_ns;
};
struct clock clock_manual_init(struct clock_manual *m, struct wall start);
void clock_manual_advance(struct clock_manual *m, int64_t ms); // both wall and monotonic
void clock_manual_jump(struct clock_manual *m, int64_t ms);    // wall only, may be negative: somebody set the clock

#endif
