// SPDX-License-Identifier: Apache-2.0
#include "store/db_pg_many.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_MAX ((size_t)64 << 20)
#define HEAD 20
#define HEADS 8192 // a power of two
#define KEY_MAX 512

enum { OID_BYTEA = 17, OID_INT8 = 20, OID_INT2 = 21, OID_TEXT = 25 };

void many_init(struct many *m, int n) {
    *m = (struct many){.n = n, .column = xcalloc((size_t)n, sizeof *m->column)};
    for (int i = 0; i < n; i++)
        buf_init(&m->column[i], COLUMN_MAX);
}

void many_release(struct many *m) {
    for (int i = 0; i < m->n; i++)
        buf_release(&m->column[i]);
    free(m->column);
    *m = (struct many){0};
}

void many_clear(struct many *m) {
    for (int i = 0; i < m->n; i++)
        buf_clear(&m->column[i]);
    m->rows = 0;
}

static void add_i32(struct buf *b, int32_t v) {
    uint32_t big = htobe32((uint32_t)v);
    buf_add(b, &big, sizeof big);
}

static void add_element(struct buf *b, uint8_t type, const struct db_value *v) {
    uint64_t eight = htobe64((uint64_t)v->i);
    uint16_t two = htobe16((uint16_t)v->i);
    switch (v->type) {
    case DB_NULL:
        add_i32(b, -1);
        return;
    case DB_INT:
        CHECK(type == OID_INT8 || (type == OID_INT2 && v->i >= INT16_MIN && v->i <= INT16_MAX));
        add_i32(b, type == OID_INT8 ? 8 : 2);
        buf_add(b, type == OID_INT8 ? (const void *)&eight : &two, type == OID_INT8 ? 8 : 2);
        return;
    case DB_TEXT:
    case DB_BLOB:
        CHECK(type == (v->type == DB_TEXT ? OID_TEXT : OID_BYTEA));
        add_i32(b, (int32_t)v->s.n);
        buf_add(b, v->s.p, v->s.n);
        return;
    }
}

void many_add(struct many *m, const uint8_t *types, const struct db_value *params) {
    static const char head[HEAD] = {0};
    for (int i = 0; i < m->n; i++) {
        if (m->rows == 0)
            buf_add(&m->column[i], head, sizeof head);
        add_element(&m->column[i], types[i], &params[i]);
    }
    m->rows++;
}

bool many_finish(struct many *m, const uint8_t *types) {
    bool good = true;
    for (int i = 0; i < m->n; i++) {
        // dimensions, whether there may be NULLs, the elements' type, how many, the first's number
        const int32_t head[] = {1, 1, types[i], m->rows, 1};
        struct buf *b = &m->column[i];
        good = good && !b->failed;
        for (size_t k = 0; good && k < ARRAY_LEN(head); k++) {
            uint32_t big = htobe32((uint32_t)head[k]);
            memcpy(b->p + k * sizeof big, &big, sizeof big);
        }
    }
    return good;
}

// ---- keys ----

void keys_init(struct keys *k) {
    *k = (struct keys){.cap = 64, .heads = xcalloc(HEADS, sizeof *k->heads)};
    k->list = xcalloc(k->cap, sizeof *k->list);
    k->n = 1; // 0 is nobody
    buf_init(&k->bytes, COLUMN_MAX);
}

void keys_release(struct keys *k) {
    free(k->list);
    free(k->heads);
    buf_release(&k->bytes);
    *k = (struct keys){0};
}

void keys_clear(struct keys *k) {
    if (k->n > 1)
        memset(k->heads, 0, HEADS * sizeof *k->heads);
    k->n = 1;
    buf_clear(&k->bytes);
}

// The values one after the other. 0: too long for a key.
static size_t key_bytes(int tag, const struct db_value *params, size_t n, char out[KEY_MAX]) {
    size_t used = 0;
    out[used++] = (char)(tag & 0xff);
    for (size_t i = 0; i < n; i++) {
        bool number = params[i].type == DB_INT;
        size_t bytes = number ? sizeof params[i].i : params[i].s.n;
        if (used + bytes + 1 > KEY_MAX)
            return 0;
        out[used++] = (char)params[i].type;
        if (bytes)
            memcpy(out + used, number ? (const void *)&params[i].i : params[i].s.p, bytes);
        used += bytes;
    }
    return used;
}

static uint32_t *head_of(const struct keys *k, const char *bytes, size_t n) {
    uint64_t hash = n;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return &k->heads[(hash ^ hash >> 29) & (HEADS - 1)];
}

static struct key *look(const struct keys *k, uint32_t at, int tag, const char *bytes, size_t n) {
    for (; at; at = k->list[at].next) {
        struct key *e = &k->list[at];
        if (e->tag == tag && e->n == n && memcmp(k->bytes.p + e->at, bytes, n) == 0)
            return e;
    }
    return NULL;
}

bool keys_add(struct keys *k, int tag, const struct db_value *params, size_t n, int value) {
    char bytes[KEY_MAX];
    size_t used = key_bytes(tag, params, n, bytes);
    uint32_t *head = head_of(k, bytes, used);
    if (used == 0 || look(k, *head, tag, bytes, used))
        return false;
    if (k->n == k->cap) {
        struct key *wider = xcalloc(k->cap * 2, sizeof *wider);
        memcpy(wider, k->list, k->n * sizeof *wider);
        free(k->list);
        k->list = wider;
        k->cap *= 2;
    }
    size_t at = k->bytes.n;
    buf_add(&k->bytes, bytes, used);
    if (k->bytes.failed)
        return false;
    k->list[k->n] = (struct key){.tag = tag, .at = at, .n = used, .next = *head, .value = value};
    *head = (uint32_t)k->n++;
    return true;
}

struct key *keys_find(const struct keys *k, int tag, const struct db_value *params, size_t n) {
    char bytes[KEY_MAX];
    if (k->n == 1)
        return NULL;
    size_t used = key_bytes(tag, params, n, bytes);
    return used ? look(k, *head_of(k, bytes, used), tag, bytes, used) : NULL;
}
