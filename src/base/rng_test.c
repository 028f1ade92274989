// SPDX-License-Identifier: Apache-2.0
#include "base/rng.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/testing.h"

static void the_same_seed_makes_the_same_sequence(void **state UNUSED) {
    struct rng_seeded sa;
    struct rng_seeded sb;
    struct rng a = rng_seeded_init(&sa, 42);
    struct rng b = rng_seeded_init(&sb, 42);
    for (int i = 0; i < 1000; i++) {
        assert_true(rng_u64(&a) == rng_u64(&b));
    }
    struct rng c = rng_seeded_init(&sb, 43);
    assert_true(rng_u64(&a) != rng_u64(&c));
}

// The state after seeding with 0 and the first outputs, worked out from the published definitions of splitmix64 and xoshiro256**.
static void the_seeded_generator_is_xoshiro256_starstar(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = rng_seeded_init(&s, 0);
    assert_true(s.s[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(s.s[1] == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(s.s[2] == UINT64_C(0x06c45d188009454f));
    assert_true(s.s[3] == UINT64_C(0xf88bb8a8724c81ec));
    s.s[0] = 1;
    s.s[1] = 2;
    s.s[2] = 3;
    s.s[3] = 4;
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        assert_true(rng_u64(&rng) == expected[i]);
    }
}

static void below_stays_below_and_reaches_everything(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    size_t seen[7] = {0};
    for (int i = 0; i < 70000; i++) {
        uint64_t v = rng_below(&rng, 7);
        assert_true(v < 7);
        seen[v]++;
    }
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
        assert_in_range(seen[i], 9300, 10700); // seven standard deviations
    }
    assert_true(rng_below(&rng, 1) == 0);
    for (int i = 0; i < 100; i++) {
        assert_true(rng_below(&rng, UINT64_C(1) << 63 | 1) <= UINT64_C(1) << 63);
    }
}

static void fill_writes_what_it_was_given_and_no_more(void **state UNUSED) {
    struct rng_seeded s;
    struct rng seeded = testing_rng(&s);
    const struct rng *both[] = {&seeded, &rng_system};
    for (size_t k = 0; k < 2; k++) {
        for (size_t n = 0; n < 600; n++) { // beyond what the system's keeps ahead
            uint8_t bytes[610];
            memset(bytes, 0xee, sizeof(bytes));
            rng_fill(both[k], bytes + 5, n);
            for (size_t i = 0; i < sizeof(bytes); i++) {
                if (i < 5 || i >= 5 + n) {
                    assert_int_equal(bytes[i], 0xee);
                }
            }
            if (n >= 32) {
                uint8_t same[600];
                memset(same, 0xee, n);
                assert_memory_not_equal(bytes + 5, same, n);
            }
        }
    }
}

#define DRAWS ((size_t)5000)
static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void *draw(void *out) {
    for (size_t i = 0; i < DRAWS; i++) {
        ((uint64_t *)out)[i] = rng_u64(&rng_system);
    }
    return NULL;
}

static void the_systems_generator_never_repeats_over_threads(void **state UNUSED) {
    static uint64_t drawn[4 * DRAWS];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, draw, drawn + i * DRAWS), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    qsort(drawn, 4 * DRAWS, sizeof(drawn[0]), by_value);
    for (size_t i = 1; i < 4 * DRAWS; i++) {
        assert_true(drawn[i] != drawn[i - 1]);
    }
}

static void a_forked_child_does_not_repeat_its_parent(void **state UNUSED) {
    (void)rng_u64(&rng_system); // something is kept ahead
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        uint64_t v = rng_u64(&rng_system);
        _exit(write(ends[1], &v, sizeof(v)) == sizeof(v) ? 0 : 1);
    }
    uint64_t mine = rng_u64(&rng_system);
    uint64_t childs;
    assert_int_equal(read(ends[0], &childs, sizeof(childs)), sizeof(childs));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(mine != childs);
    close(ends[0]);
    close(ends[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_makes_the_same_sequence),
        cmocka_unit_test(the_seeded_generator_is_xoshiro256_starstar),
        cmocka_unit_test(below_stays_below_and_reaches_everything),
        cmocka_unit_test(fill_writes_what_it_was_given_and_no_more),
        cmocka_unit_test(the_systems_generator_never_repeats_over_threads),
        cmocka_unit_test(a_forked_child_does_not_repeat_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
