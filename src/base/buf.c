// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 256

void buf_init(struct buf *b, size_t max) {
    *b = (struct buf){.max = max};
}

void buf_clear(struct buf *b) {
    b->n = 0;
    b->failed = false;
    if (b->p != NULL) {
        b->p[0] = '\0';
    }
}

void buf_release(struct buf *b) {
    free(b->p);
    buf_init(b, b->max);
}

char *buf_room(struct buf *b, size_t n) {
    if (b->failed || n > b->max - b->n) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->n + n + 1; // and the NUL
    if (need > b->cap) {
        size_t cap = b->cap > 0 ? 2 * b->cap : FIRST_SIZE;
        cap = cap > need ? cap : need;
        cap = cap < b->max + 1 ? cap : b->max + 1;
        char *p = realloc(b->p, cap);
        if (p == NULL) {
            b->failed = true;
            return NULL;
        }
        b->p = p;
        b->cap = cap;
    }
    return b->p + b->n;
}

void buf_took(struct buf *b, size_t n) {
    b->n += n;
    b->p[b->n] = '\0';
}

void buf_add(struct buf *b, const void *p, size_t n) {
    char *to = buf_room(b, n);
    if (to != NULL) {
        if (n > 0) {
            memcpy(to, p, n);
        }
        buf_took(b, n);
    }
}

void buf_add_str(struct buf *b, struct str s) {
    buf_add(b, s.p, s.n);
}

void buf_add_text(struct buf *b, const char *text) {
    buf_add(b, text, strlen(text));
}

void buf_add_char(struct buf *b, char c) {
    buf_add(b, &c, 1);
}

static void add_number(struct buf *b, uint64_t v, bool negative) {
    char digits[24];
    char *p = digits + sizeof(digits);
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    if (negative) {
        *--p = '-';
    }
    buf_add(b, p, (size_t)(digits + sizeof(digits) - p));
}

void buf_add_i64(struct buf *b, int64_t v) {
    add_number(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0);
}

void buf_add_u64(struct buf *b, uint64_t v) {
    add_number(b, v, false);
}

void buf_printf(struct buf *b, const char *fmt, ...) {
    char small[256]; // most texts fit, and are then formatted once
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
        return;
    }
    if ((size_t)n < sizeof(small)) {
        buf_add(b, small, (size_t)n);
        return;
    }
    char *to = buf_room(b, (size_t)n);
    if (to != NULL) {
        va_start(ap, fmt);
        vsnprintf(to, (size_t)n + 1, fmt, ap);
        va_end(ap);
        buf_took(b, (size_t)n);
    }
}
