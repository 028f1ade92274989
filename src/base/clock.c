// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <time.h>

static struct wall system_wall(void *ctx UNUSED) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (struct wall){(int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000};
}

static struct mono system_mono(void *ctx UNUSED) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (struct mono){(int64_t)t.tv_sec * 1000000000 + t.tv_nsec};
}

const struct clock clock_system = {.wall_now = system_wall, .mono_now = system_mono};

static struct wall manual_wall(void *ctx) {
    struct clock_manual *m = ctx;
    return (struct wall){m->wall_ms};
}

static struct mono manual_mono(void *ctx) {
    struct clock_manual *m = ctx;
    return (struct mono){m->mono_ns};
}

struct clock clock_manual_init(struct clock_manual *m, struct wall start) {
    m->wall_ms = start.ms;
    m->mono_ns = 1000000000; // not zero: a forgotten start time shows
    return (struct clock){.wall_now = manual_wall, .mono_now = manual_mono, .ctx = m};
}

void clock_manual_advance(struct clock_manual *m, int64_t ms) {
    CHECK(ms >= 0);
    m->mono_ns += ms * 1000000;
    m->wall_ms += ms;
}

void clock_manual_jump(struct clock_manual *m, int64_t ms) {
    m->wall_ms += ms;
}
