// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <stdalign.h>

#include "base/testing.h"

static void arena_gives_zeroed_aligned_memory_also_after_reset(void **state UNUSED) {
    struct arena a;
    arena_init(&a, 1 << 20);
    for (int round = 0; round < 3; round++) {
        for (size_t size = 0; size < 300; size++) {
            (void)arena_str(&a, STR("x")); // puts the next object's place out of line
            unsigned char *p = arena_alloc(&a, size);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
            for (size_t i = 0; i < size; i++) {
                assert_int_equal(p[i], 0);
            }
            memset(p, 0xaa, size);
        }
        arena_reset(&a);
    }
    arena_release(&a);
}

static void arena_reset_keeps_the_first_chunk_only(void **state UNUSED) {
    struct arena a;
    arena_init(&a, 1 << 20);
    void *first = arena_alloc(&a, 100);
    for (int i = 0; i < 100; i++) {
        assert_non_null(arena_alloc(&a, 1000));
    }
    arena_reset(&a);
    assert_int_equal(a.used, 0);
    assert_ptr_equal(arena_alloc(&a, 100), first);
    arena_release(&a);
    assert_null(a.head);
    assert_non_null(arena_alloc(&a, 100)); // a released arena may be used again
    arena_release(&a);
}

static void arena_ends_at_its_maximum_and_remembers(void **state UNUSED) {
    struct arena a;
    arena_init(&a, 10000);
    size_t got = 0;
    while (arena_alloc(&a, 100) != NULL) {
        got++;
    }
    assert_int_equal(got, 100);
    assert_true(arena_failed(&a));
    assert_false(str_present(arena_str(&a, STR("text"))));
    assert_false(str_present(arena_printf(&a, "%d", 1)));
    arena_reset(&a);
    assert_false(arena_failed(&a));
    assert_non_null(arena_alloc(&a, 10000));
    assert_null(arena_alloc(&a, 1));
    arena_release(&a);

    arena_init(&a, 0);
    assert_null(arena_alloc(&a, 0));
    arena_release(&a);
}

static void arena_sizes_that_overflow_fail(void **state UNUSED) {
    struct arena a;
    arena_init(&a, SIZE_MAX);
    assert_null(arena_calloc(&a, SIZE_MAX / 2, 3));
    assert_true(arena_failed(&a));
    arena_release(&a);
    arena_init(&a, 1000);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_array(&a, int64_t, SIZE_MAX / 8));
    assert_non_null(arena_array(&a, int64_t, 10));
    arena_release(&a);
}

static void arena_strings_are_copies_and_terminated(void **state UNUSED) {
    struct arena a;
    arena_init(&a, 1 << 20);
    char text[] = "a\0b";
    struct str s = arena_str(&a, (struct str){text, 3});
    text[0] = '?';
    assert_int_equal(s.n, 3);
    assert_memory_equal(s.p, "a\0b\0", 4);
    assert_false(str_present(arena_str(&a, STR_NONE)));
    assert_true(str_present(arena_str(&a, STR(""))));
    char long_text[10001];
    memset(long_text, 'y', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    for (int width = 250; width < 260; width++) { // around the size up to which it is formatted once
        struct str f = arena_printf(&a, "%.*s", width, long_text);
        assert_int_equal(f.n, width);
        assert_int_equal(strlen(f.p), width);
    }
    assert_int_equal(arena_printf(&a, "%s!", long_text).n, 10001);
    assert_false(arena_failed(&a));
    arena_release(&a);
}

// Many objects of random sizes: none overlaps another, and all keep what was written.
static void arena_objects_never_overlap(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    struct arena a;
    arena_init(&a, 4 << 20);
    for (int round = 0; round < 20; round++) {
        struct {
            unsigned char *p;
            size_t n;
        } objects[200];
        for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
            objects[i].n = 1 + rng_below(&rng, rng_below(&rng, 20) == 0 ? 20000 : 200);
            objects[i].p = arena_alloc(&a, objects[i].n);
            assert_non_null(objects[i].p);
            memset(objects[i].p, (int)i, objects[i].n);
        }
        for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
            for (size_t k = 0; k < objects[i].n; k++) {
                assert_int_equal(objects[i].p[k], (unsigned char)i);
            }
        }
        arena_reset(&a);
    }
    arena_release(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_gives_zeroed_aligned_memory_also_after_reset),
        cmocka_unit_test(arena_reset_keeps_the_first_chunk_only),
        cmocka_unit_test(arena_ends_at_its_maximum_and_remembers),
        cmocka_unit_test(arena_sizes_that_overflow_fail),
        cmocka_unit_test(arena_strings_are_copies_and_terminated),
        cmocka_unit_test(arena_objects_never_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
