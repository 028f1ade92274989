// SPDX-License-Identifier: Apache-2.0
/*
 * testing.h - what unit tests share: cmocka and the headers it wants, and a seed that is printed and can be given back.
 *
 * For *_test.c files only.
 */
#ifndef BASE_TESTING_H
#define BASE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/str.h"

// The seed of this run: SEED from the environment, or a fresh one. Printed, so that a failure can be repeated: SEED=... build/.../x_test
static inline struct rng testing_rng(struct rng_seeded *state) {
    const char *given = getenv("SEED");
    uint64_t seed;
    if (given == NULL || !str_to_u64(str_of(given), &seed)) {
        seed = rng_u64(&rng_system);
    }
    print_message("SEED=%llu\n", (unsigned long long)seed);
    return rng_seeded_init(state, seed);
}

#endif
