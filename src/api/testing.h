// SPDX-License-Identifier: Apache-2.0
/*
 * testing.h - an exchange that no socket stands behind, for *_test.c files.
 */
#ifndef API_TESTING_H
#define API_TESTING_H

#include "base/testing.h"
#include "http/http.h"

#define TESTING_HEADERS_MAX 16

struct testing_exchange {
    struct http_exchange x; // first
    const char *headers[TESTING_HEADERS_MAX][2];
    size_t n;
    int resumed;
};

static inline struct str testing_header(struct http_exchange *x, const char *name) {
    struct testing_exchange *t = (struct testing_exchange *)x;
    for (size_t i = 0; i < t->n; i++)
        if (str_eq_nocase(str_of(t->headers[i][0]), str_of(name)))
            return str_of(t->headers[i][1]);
    return STR_NONE;
}

static inline void testing_resume(struct http_exchange *x) {
    ((struct testing_exchange *)x)->resumed++;
}

static inline struct str testing_address(struct http_exchange *x) {
    (void)x;
    return STR("192.0.2.1");
}

// `target` is a path with its query.
static inline void testing_exchange_init(struct testing_exchange *t, enum http_method method, const char *target, const char *body) {
    static const struct http_side side = {testing_header, testing_resume, testing_address};
    *t = (struct testing_exchange){.x = {.side = &side, .method = method, .body = str_of(body ? body : "")}};
    t->x.query = str_cut(str_of(target), '?', &t->x.path);
    arena_init(&t->x.arena, 1 << 20);
    buf_init(&t->x.reply, 1 << 20);
}

static inline void testing_exchange_header(struct testing_exchange *t, const char *name, const char *value) {
    assert_true(t->n < TESTING_HEADERS_MAX);
    t->headers[t->n][0] = name;
    t->headers[t->n++][1] = value;
}

static inline void testing_exchange_release(struct testing_exchange *t) {
    arena_release(&t->x.arena);
    buf_release(&t->x.reply);
}

// A header of the reply; STR_NONE when it is not there.
static inline struct str testing_answer_header(const struct testing_exchange *t, const char *name) {
    for (size_t i = 0; i < t->x.n_out; i++)
        if (str_eq_nocase(str_of(t->x.out[i].name), str_of(name)))
            return t->x.out[i].value;
    return STR_NONE;
}

static inline void assert_str(struct str s, const char *expected) {
    assert_true(str_present(s));
    assert_int_equal(s.n, strlen(expected));
    assert_memory_equal(s.p, expected, s.n);
}

#endif
