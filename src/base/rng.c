// SPDX-License-Identifier: Apache-2.0
#include "base/rng.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

// ---- the kernel's ----

static void from_kernel(uint8_t *out, size_t n) {
    while (n > 0) {
        ssize_t got = getrandom(out, n, 0);
        if (got < 0) {
            CHECK(errno == EINTR && "the kernel gives random bytes"); // nothing that needs a secret may go on without
            continue;
        }
        out += got;
        n -= (size_t)got;
    }
}

// Bytes drawn ahead, one system call for many ids. A forked child must not repeat its parent's: `forks` tells.
struct pool {
    uint8_t bytes[512];
    size_t left;
    unsigned forks;
};
static _Thread_local struct pool pool;
static _Atomic unsigned forks;
static pthread_once_t fork_watch = PTHREAD_ONCE_INIT;

static void count_fork(void) {
    forks++;
}

static void watch_forks(void) {
    CHECK(pthread_atfork(NULL, NULL, count_fork) == 0);
}

static void system_fill(void *ctx UNUSED, void *out, size_t n) {
    if (n > sizeof(pool.bytes) / 4) {
        from_kernel(out, n);
        return;
    }
    if (pool.left < n || pool.forks != forks) {
        pthread_once(&fork_watch, watch_forks);
        from_kernel(pool.bytes, sizeof(pool.bytes));
        pool.left = sizeof(pool.bytes);
        pool.forks = forks;
    }
    pool.left -= n;
    memcpy(out, pool.bytes + pool.left, n);
    explicit_bzero(pool.bytes + pool.left, n); // what was handed out may be a key
}

const struct rng rng_system = {.fill = system_fill};

// ---- seeded: xoshiro256**, its state spread from the seed with splitmix64 ----

static uint64_t rotl(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

static uint64_t seeded_next(struct rng_seeded *r) {
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

static void seeded_fill(void *ctx, void *out, size_t n) {
    uint8_t *p = out;
    while (n > 0) {
        uint64_t v = seeded_next(ctx);
        size_t take = n < sizeof(v) ? n : sizeof(v);
        memcpy(p, &v, take);
        p += take;
        n -= take;
    }
}

struct rng rng_seeded_init(struct rng_seeded *state, uint64_t seed) {
    for (size_t i = 0; i < ARRAY_LEN(state->s); i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        state->s[i] = z ^ (z >> 31);
    }
    return (struct rng){.fill = seeded_fill, .ctx = state};
}

// ---- both ----

void rng_fill(const struct rng *rng, void *out, size_t n) {
    rng->fill(rng->ctx, out, n);
}

uint64_t rng_u64(const struct rng *rng) {
    uint64_t v;
    rng->fill(rng->ctx, &v, sizeof(v));
    return v;
}

uint64_t rng_below(const struct rng *rng, uint64_t bound) {
    CHECK(bound > 0);
    uint64_t least = (0 - bound) % bound; // below it the remainders would not be equally likely
    uint64_t v;
    do {
        v = rng_u64(rng);
    } while (v < least);
    return v % bound;
}
