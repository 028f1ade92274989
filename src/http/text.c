// SPDX-License-Identifier: Apache-2.0
/*
 * text.c - what of HTTP is text alone: names, escapes, parameters; and the calls that go through the exchange's side.
 */
#include "http/http.h"

static const char *const method_names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "OTHER"};

const char *http_method_name(enum http_method m) {
    return m >= 0 && m < HTTP_OTHER ? method_names[m] : method_names[HTTP_OTHER];
}

struct str http_header(struct http_exchange *x, const char *name) {
    return x->side->header(x, name);
}

void http_resume(struct http_exchange *x) {
    x->side->resume(x);
}

struct str http_client_address(struct http_exchange *x) {
    return x->side->client_address(x);
}

static bool is_control(char c) {
    return (unsigned char)c < 0x20 || c == 0x7f;
}

void http_set_header(struct http_exchange *x, const char *name, struct str value) {
    bool clean = true;
    for (size_t i = 0; i < value.n && clean; i++)
        clean = !is_control(value.p[i]);
    if (!clean) {
        char *copy = arena_alloc(&x->arena, value.n + 1);
        if (!copy)
            return; // the arena remembers
        for (size_t i = 0; i < value.n; i++)
            copy[i] = is_control(value.p[i]) ? ' ' : value.p[i];
        value.p = copy;
    }
    size_t i = 0;
    while (i < x->n_out && !str_eq_nocase(str_of(x->out[i].name), str_of(name)))
        i++;
    CHECK(i < HTTP_HEADERS_OUT_MAX);
    x->out[i] = (struct http_header_out){name, value};
    if (i == x->n_out)
        x->n_out++;
}

static int hex(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The next decoded byte of `in`, which moves on; -1 on a bad escape.
static int next_byte(struct str *in, bool plus_is_blank) {
    char c = *in->p;
    size_t used = 1;
    int byte = (unsigned char)c;
    if (c == '+' && plus_is_blank) {
        byte = ' ';
    } else if (c == '%') {
        if (in->n < 3 || hex(in->p[1]) < 0 || hex(in->p[2]) < 0)
            return -1;
        byte = hex(in->p[1]) << 4 | hex(in->p[2]);
        used = 3;
    }
    in->p += used;
    in->n -= used;
    return byte;
}

// Without an escape the view itself comes back. False on a bad escape, an escaped NUL or `forbidden`, or when the arena is exhausted.
static bool decode(struct arena *a, struct str in, bool plus_is_blank, int forbidden, struct str *out) {
    if (in.n == 0 || (!memchr(in.p, '%', in.n) && !(plus_is_blank && memchr(in.p, '+', in.n)))) {
        if (in.n && memchr(in.p, '\0', in.n))
            return false;
        *out = in;
        return true;
    }
    char *text = arena_alloc(a, in.n + 1);
    if (!text)
        return false;
    size_t n = 0;
    while (in.n) {
        int byte = next_byte(&in, plus_is_blank);
        if (byte <= 0 || byte == forbidden)
            return false;
        text[n++] = (char)byte;
    }
    *out = (struct str){text, n};
    return true;
}

bool http_decode_segment(struct arena *a, struct str in, struct str *out) {
    return decode(a, in, false, '/', out);
}

static bool name_is(struct str encoded, const char *name) {
    while (encoded.n) {
        int byte = next_byte(&encoded, true);
        if (byte <= 0 || byte != (unsigned char)*name++)
            return false;
    }
    return *name == '\0';
}

struct str http_form(struct arena *a, struct str body, const char *name, bool *bad) {
    struct str rest = body, param;
    while (rest.n) {
        rest = str_cut(rest, '&', &param);
        struct str key, value = str_cut(param, '=', &key);
        if (!name_is(key, name))
            continue;
        if (!str_present(value))
            return STR("");
        if (decode(a, value, true, -1, &value))
            return value;
        *bad = true;
        return STR_NONE;
    }
    return STR_NONE;
}

struct str http_query(struct http_exchange *x, const char *name, bool *bad) {
    return http_form(&x->arena, x->query, name, bad);
}
