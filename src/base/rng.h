// SPDX-License-Identifier: Apache-2.0
/*
 * rng.h - randomness, injected.
 *
 * rng_system draws from the kernel (getrandom, buffered per thread): keys, secrets, ids. A seeded rng (xoshiro256**) makes the same
 * sequence from the same seed: tests and the simulation. A seeded rng belongs to one thread.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include "base/base.h"

struct rng {
    void (*fill)(void *ctx, void *out, size_t n);
    void *ctx;
};

extern const struct rng rng_system;

struct rng_seeded {
    uint64_t s[4];
};
struct rng rng_seeded_init(struct rng_seeded *state, uint64_t seed);

void rng_fill(const struct rng *rng, void *out, size_t n);
uint64_t rng_u64(const struct rng *rng);
uint64_t rng_below(const struct rng *rng, uint64_t bound); // uniform in [0, bound); bound > 0

#endif
