// SPDX-License-Identifier: Apache-2.0
#include "base/blocks.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define KEEPS false
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define KEEPS false
#endif
#endif
#ifndef KEEPS
#define KEEPS true
#endif

// Pieces of malloc's have room for 24, 40, 56 ... bytes: 8 more than STEP times the number of the shelf they are kept on.
#define STEP 16
#define SHELVES 65 // up to 1,032 bytes

struct piece {
    struct piece *next;
};
struct shelf {
    struct piece *first;
    size_t n;
};
struct kept {
    struct shelf shelf[SHELVES];
    bool known; // its thread's end empties it
};

static _Thread_local struct kept kept;
static pthread_key_t at_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool at_end_works;

static void empty(void *ctx) {
    struct kept *k = ctx;
    for (int i = 0; i < SHELVES; i++) {
        while (k->shelf[i].first != NULL) {
            struct piece *p = k->shelf[i].first;
            k->shelf[i].first = p->next;
            free(p);
        }
        k->shelf[i].n = 0;
    }
    k->known = false; // what is freed later in the thread's end makes it known again
}

static void make_key(void) {
    at_end_works = pthread_key_create(&at_end, empty) == 0;
}

static bool make_known(struct kept *k) {
    pthread_once(&once, make_key);
    k->known = at_end_works && pthread_setspecific(at_end, k) == 0;
    return k->known;
}

void *blocks_alloc(size_t n) {
    size_t i = n > 8 ? (n + 7) / STEP : 1;
    if (KEEPS && i < SHELVES && kept.shelf[i].first != NULL) {
        struct shelf *s = &kept.shelf[i];
        struct piece *p = s->first;
        s->first = p->next;
        s->n--;
        return p;
    }
    return malloc(n > 0 ? n : 1);
}

void blocks_free(void *p) {
    size_t room = KEEPS && p != NULL ? malloc_usable_size(p) : 0;
    size_t i = room > 8 ? (room - 8) / STEP : 0;
    if (i == 0 || i >= SHELVES || kept.shelf[i].n >= BLOCKS_KEPT_BYTES / (i * STEP + 8) || (!kept.known && !make_known(&kept))) {
        free(p);
        return;
    }
    struct piece *piece = p;
    piece->next = kept.shelf[i].first;
    kept.shelf[i].first = piece;
    kept.shelf[i].n++;
}

void *blocks_resize(void *p, size_t n) {
    return realloc(p, n > 0 ? n : 1);
}

size_t blocks_size(void *p) {
    return p != NULL ? malloc_usable_size(p) : 0;
}
