// SPDX-License-Identifier: Apache-2.0
/*
 * arena.h - memory of one job (an HTTP request, an engine step), dropped at once.
 *
 * Born with its maximum. When that is reached, or memory is gone, arena_alloc returns NULL and the arena remembers it
 * (arena_failed): builders may go on with NULL checks at the end only where they say so. One thread at a time; an arena may move
 * between threads with its job. arena_reset keeps the first chunk, so that a worker's next job costs no malloc.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct arena_chunk;
struct arena {
    struct arena_chunk *head; // newest chunk first
    size_t used;              // bytes handed out over all chunks
    size_t max;
    bool failed;
};

void arena_init(struct arena *a, size_t max);
void arena_reset(struct arena *a);
void arena_release(struct arena *a);

// Zeroed, aligned for any object. NULL when the maximum is reached.
NODISCARD void *arena_alloc(struct arena *a, size_t size);
#define arena_new(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_calloc((a), (n), sizeof(type)))
NODISCARD void *arena_calloc(struct arena *a, size_t n, size_t size);
// Not zeroed: for what is written before it is read, where wiping costs more than filling.
NODISCARD void *arena_raw(struct arena *a, size_t n, size_t size);

// Copies are NUL-terminated, so `.p` may be handed to C functions. STR_NONE stays STR_NONE. On exhaustion: STR_NONE, arena_failed.
struct str arena_str(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

static inline bool arena_failed(const struct arena *a) {
    return a->failed;
}

#endif
