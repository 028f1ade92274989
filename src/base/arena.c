// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CHUNK 16384 // a whole call to the API
#define GREATEST_STEP ((size_t)256 * 1024) // chunks double up to here

struct arena_chunk {
    struct arena_chunk *older;
    size_t size; // bytes in `data`
    size_t used;
    alignas(max_align_t) char data[];
};

void arena_init(struct arena *a, size_t max) {
    *a = (struct arena){.max = max};
}

// Frees down to, and without, `keep`.
static void drop_chunks(struct arena *a, const struct arena_chunk *keep) {
    while (a->head != keep) {
        struct arena_chunk *older = a->head->older;
        free(a->head);
        a->head = older;
    }
}

void arena_reset(struct arena *a) {
    struct arena_chunk *first = a->head;
    while (first != NULL && first->older != NULL) {
        first = first->older;
    }
    drop_chunks(a, first);
    if (first != NULL) {
        first->used = 0;
    }
    a->used = 0;
    a->failed = false;
}

void arena_release(struct arena *a) {
    drop_chunks(a, NULL);
    a->used = 0;
    a->failed = false;
}

static bool add_chunk(struct arena *a, size_t at_least) {
    size_t total = FIRST_CHUNK;
    if (a->head != NULL) {
        total = 2 * (a->head->size + sizeof(struct arena_chunk));
        total = total < GREATEST_STEP ? total : GREATEST_STEP;
    }
    size_t size = total - sizeof(struct arena_chunk);
    size = size > at_least ? size : at_least;
    struct arena_chunk *chunk = malloc(sizeof(*chunk) + size);
    if (chunk == NULL) {
        return false;
    }
    *chunk = (struct arena_chunk){.older = a->head, .size = size};
    a->head = chunk;
    return true;
}

// `align` is a power of two, at most that of max_align_t. Not zeroed.
static void *take(struct arena *a, size_t size, size_t align) {
    if (size > a->max - a->used) {
        a->failed = true;
        return NULL;
    }
    size_t start = 0;
    if (a->head != NULL) {
        start = (a->head->used + align - 1) & ~(align - 1);
    }
    if (a->head == NULL || start > a->head->size || size > a->head->size - start) {
        if (!add_chunk(a, size)) {
            a->failed = true;
            return NULL;
        }
        start = 0;
    }
    a->head->used = start + size;
    a->used += size;
    return a->head->data + start;
}

void *arena_alloc(struct arena *a, size_t size) {
    size_t n = size > 0 ? size : 1; // two objects never share an address
    void *p = take(a, n, alignof(max_align_t));
    return p != NULL ? memset(p, 0, n) : NULL;
}

void *arena_calloc(struct arena *a, size_t n, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(n, size, &total)) {
        a->failed = true;
        return NULL;
    }
    return arena_alloc(a, total);
}

void *arena_raw(struct arena *a, size_t n, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(n, size, &total)) {
        a->failed = true;
        return NULL;
    }
    return take(a, total > 0 ? total : 1, alignof(max_align_t));
}

struct str arena_str(struct arena *a, struct str s) {
    if (!str_present(s)) {
        return STR_NONE;
    }
    char *p = s.n < SIZE_MAX ? take(a, s.n + 1, 1) : NULL;
    if (p == NULL) {
        return STR_NONE;
    }
    memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct str){p, s.n};
}

struct str arena_printf(struct arena *a, const char *fmt, ...) {
    char small[256]; // most texts fit, and are then formatted once
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    if (n < 0) {
        a->failed = true;
        return STR_NONE;
    }
    if ((size_t)n < sizeof(small)) {
        return arena_str(a, (struct str){small, (size_t)n});
    }
    char *p = take(a, (size_t)n + 1, 1);
    if (p == NULL) {
        return STR_NONE;
    }
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return (struct str){p, (size_t)n};
}
