// SPDX-License-Identifier: Apache-2.0
/*
 * buf.h - a growing byte buffer that knows its maximum from birth.
 *
 * After a failed append (maximum reached, or no memory) the buffer stays as it was, `failed` is set and stays set until
 * buf_clear; so a builder may append without checking and ask once at the end. `p` is always NUL-terminated when n > 0.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/base.h"
#include "base/str.h"

struct buf {
    char *p;
    size_t n;
    size_t cap;
    size_t max;
    bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_clear(struct buf *b);   // empty, memory kept
void buf_release(struct buf *b); // memory freed

void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_str(struct buf *b, struct str s);
void buf_add_text(struct buf *b, const char *text);
void buf_add_char(struct buf *b, char c);
void buf_add_i64(struct buf *b, int64_t v);
void buf_add_u64(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

// For writers that know how much they need: room for n bytes at the end (and the NUL), NULL when that fails; then buf_took says how many
// were written.
char *buf_room(struct buf *b, size_t n);
void buf_took(struct buf *b, size_t n);

static inline struct str buf_str(const struct buf *b) {
    return (struct str){b->p ? b->p : "", b->n};
}

#endif
