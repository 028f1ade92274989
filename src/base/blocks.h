// SPDX-License-Identifier: Apache-2.0
/*
 * blocks.h - memory for libraries that ask for many small pieces: jansson's trees, SQLite's values.
 *
 * malloc() keeps seven freed pieces of a size for the thread that freed them. A tree of JSON has dozens, and a hundred requests are read
 * before the first of them is answered, so nearly all pieces took malloc's long way. Here a thread keeps up to BLOCKS_KEPT_BYTES of each
 * size, and gives them back when it ends. Every piece is one of malloc's: a piece may be freed on another thread than it came from, and
 * free() takes it, too.
 *
 * With a sanitizer it is malloc and free alone, so that what is used after it was freed is found.
 */
#ifndef BASE_BLOCKS_H
#define BASE_BLOCKS_H

#include "base/base.h"

#define BLOCKS_KEPT_BYTES 65536

// NULL when there is no memory.
NODISCARD void *blocks_alloc(size_t n);
NODISCARD void *blocks_resize(void *p, size_t n); // as realloc; the old piece stays when there is no memory
void blocks_free(void *p);                        // NULL is fine
size_t blocks_size(void *p);                      // bytes that may be used, at least as many as were asked for; NULL has none

#endif
