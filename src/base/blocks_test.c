// SPDX-License-Identifier: Apache-2.0
#include "base/blocks.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/testing.h"

#define PIECES 5000
#define SIZE_MAX_HERE 1500

static uint32_t next(uint32_t *state) {
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

struct piece {
    unsigned char *p;
    size_t n;
    unsigned char mark;
};

static void check_piece(const struct piece *at) {
    for (size_t i = 0; i < at->n; i++)
        if (at->p[i] != at->mark)
            fail_msg("byte %zu of a piece of %zu was written by somebody else", i, at->n);
}

// Pieces of all sizes come and go; each is filled, and holds what it was filled with for as long as it lives.
static void churn(uint32_t seed) {
    static const size_t rounds = 20;
    struct piece *pieces = calloc(PIECES, sizeof *pieces);
    assert_non_null(pieces);
    for (size_t i = 0; i < rounds * PIECES; i++) {
        struct piece *at = &pieces[next(&seed) % PIECES];
        if (at->p) {
            check_piece(at);
            blocks_free(at->p);
            at->p = NULL;
            continue;
        }
        at->n = next(&seed) % SIZE_MAX_HERE;
        at->mark = (unsigned char)next(&seed);
        at->p = blocks_alloc(at->n);
        assert_non_null(at->p);
        assert_true(blocks_size(at->p) >= at->n);
        assert_int_equal((uintptr_t)at->p % _Alignof(max_align_t), 0);
        memset(at->p, at->mark, at->n);
        if (i % 7 == 0) {
            size_t before = at->n;
            at->p = blocks_resize(at->p, before + 40);
            assert_non_null(at->p);
            check_piece(at);
        }
    }
    for (size_t i = 0; i < PIECES; i++) {
        if (pieces[i].p)
            check_piece(&pieces[i]);
        blocks_free(pieces[i].p);
    }
    free(pieces);
}

static void pieces_do_not_overlap(void **state) {
    (void)state;
    churn(1);
}

static void no_piece_is_no_piece(void **state) {
    (void)state;
    blocks_free(NULL);
    assert_int_equal(blocks_size(NULL), 0);
    void *p = blocks_alloc(0);
    assert_non_null(p);
    blocks_free(p);
}

struct handed {
    void *p[PIECES];
};

static void *frees_what_another_took(void *ctx) {
    struct handed *h = ctx;
    for (size_t i = 0; i < PIECES; i++)
        blocks_free(h->p[i]);
    churn(2);
    return NULL;
}

static void a_thread_frees_what_another_took(void **state) {
    (void)state;
    static struct handed h[4];
    pthread_t thread[ARRAY_LEN(h)];
    for (size_t t = 0; t < ARRAY_LEN(h); t++) {
        for (size_t i = 0; i < PIECES; i++) {
            h[t].p[i] = blocks_alloc(i % 200);
            assert_non_null(h[t].p[i]);
        }
        assert_int_equal(pthread_create(&thread[t], NULL, frees_what_another_took, &h[t]), 0);
    }
    churn(3);
    for (size_t t = 0; t < ARRAY_LEN(h); t++)
        pthread_join(thread[t], NULL);
}

static void libc_frees_what_was_taken(void **state) {
    (void)state;
    for (size_t n = 0; n < SIZE_MAX_HERE; n++) {
        void *p = blocks_alloc(n);
        assert_non_null(p);
        free(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_do_not_overlap),
        cmocka_unit_test(no_piece_is_no_piece),
        cmocka_unit_test(a_thread_frees_what_another_took),
        cmocka_unit_test(libc_frees_what_was_taken),
    };
    return cmocka_run_group_tests_name("blocks", tests, NULL, NULL);
}
