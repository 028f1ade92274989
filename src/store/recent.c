// SPDX-License-Identifier: Apache-2.0
#include "store/recent.h"

#include <stdlib.h>
#include <string.h>

#define ROW_KEPT_MAX 4096 // a row with longer texts is not kept
#define ROOM 64           // for the texts of the next row that comes to the same place

struct entry {
    uint64_t generation; // another than the table's: it counts for nothing
    size_t key_bytes, cap, bytes;
    char key[RECENT_KEY_MAX];
    _Alignas(max_align_t) char row[]; // the struct, then its texts, each with a NUL
};
struct recent {
    size_t places;
    uint64_t generation;
    struct entry **place[RECENT_KINDS];
};

struct recent *recent_open(size_t places) {
    CHECK(places > 0 && (places & (places - 1)) == 0);
    struct recent *r = xcalloc(1, sizeof *r);
    r->places = places;
    r->generation = 1;
    for (int i = 0; i < RECENT_KINDS; i++) {
        r->place[i] = xcalloc(places, sizeof *r->place[i]);
    }
    return r;
}

void recent_close(struct recent *r) {
    if (!r)
        return;
    for (int kind = 0; kind < RECENT_KINDS; kind++) {
        for (size_t i = 0; i < r->places; i++)
            free(r->place[kind][i]);
        free(r->place[kind]);
    }
    free(r);
}

void recent_clear(struct recent *r) {
    if (r)
        r->generation++; // 64 bits: it does not come round
}

static struct entry **place_of(struct recent *r, enum recent_kind kind, const void *key, size_t n) {
    uint64_t hash = n;
    const char *p = key;
    for (uint64_t word; n > 0; p += word, n -= word) {
        uint64_t part = 0;
        word = n < sizeof part ? n : sizeof part;
        memcpy(&part, p, word);
        hash = (hash ^ part) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return &r->place[kind][hash & (r->places - 1)];
}

static bool holds(const struct recent *r, const struct entry *at, const void *key, size_t n) {
    return at && at->generation == r->generation && at->key_bytes == n && memcmp(at->key, key, n) == 0;
}

bool recent_has(struct recent *r, enum recent_kind kind, const void *key, size_t n) {
    return r && holds(r, *place_of(r, kind, key, n), key, n);
}

static struct str *text_at(void *row, size_t offset) {
    return (struct str *)(void *)((char *)row + offset);
}

bool recent_get(struct recent *r, enum recent_kind kind, const void *key, size_t n, const struct recent_layout *layout, struct arena *a,
                void *out) {
    if (!r)
        return false;
    const struct entry *at = *place_of(r, kind, key, n);
    if (!holds(r, at, key, n))
        return false;
    size_t texts = at->bytes - layout->size;
    char *copy = texts ? arena_raw(a, texts, 1) : NULL;
    if (texts && !copy)
        return false;
    memcpy(out, at->row, layout->size);
    if (!texts)
        return true;
    const char *kept = at->row + layout->size;
    memcpy(copy, kept, texts);
    for (size_t i = 0; i < layout->n_texts; i++) {
        struct str *s = text_at(out, layout->texts[i]);
        if (str_present(*s))
            s->p = copy + (s->p - kept);
    }
    return true;
}

void recent_put(struct recent *r, enum recent_kind kind, const void *key, size_t n, const struct recent_layout *layout, const void *row) {
    if (!r)
        return;
    CHECK(n <= RECENT_KEY_MAX);
    struct entry **place = place_of(r, kind, key, n), *at = *place;
    if (at)
        at->generation = 0;
    union { // only read through
        const void *in;
        void *out;
    } from = {row};
    size_t bytes = layout->size;
    for (size_t i = 0; i < layout->n_texts; i++) {
        const struct str *s = text_at(from.out, layout->texts[i]);
        bytes += str_present(*s) ? s->n + 1 : 0;
    }
    if (bytes > ROW_KEPT_MAX)
        return;
    if (!at || bytes > at->cap) {
        free(at);
        at = *place = xmalloc(sizeof *at + bytes + ROOM);
        at->cap = bytes + ROOM;
    }
    memcpy(at->row, row, layout->size);
    char *to = at->row + layout->size;
    for (size_t i = 0; i < layout->n_texts; i++) {
        struct str *s = text_at(at->row, layout->texts[i]);
        if (!str_present(*s))
            continue;
        memcpy(to, s->p, s->n);
        to[s->n] = '\0';
        s->p = to;
        to += s->n + 1;
    }
    memcpy(at->key, key, n);
    at->key_bytes = n;
    at->bytes = bytes;
    at->generation = r->generation;
}

void recent_drop(struct recent *r, enum recent_kind kind, const void *key, size_t n) {
    if (!r)
        return;
    struct entry *at = *place_of(r, kind, key, n);
    if (holds(r, at, key, n))
        at->generation = 0;
}
