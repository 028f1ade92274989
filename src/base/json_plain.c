// SPDX-License-Identifier: Apache-2.0
#include "base/json_plain.h"

#include <string.h>

struct in {
    const char *p, *end;
    int depth;
};

static void skip_blanks(struct in *in) {
    while (in->p < in->end && (*in->p == ' ' || *in->p == '\n' || *in->p == '\t' || *in->p == '\r')) {
        in->p++;
    }
}

static bool take(struct in *in, char c) {
    if (in->p == in->end || *in->p != c) {
        return false;
    }
    in->p++;
    return true;
}

// Behind the opening quote; to behind the closing one.
static bool take_text(struct in *in, struct str *out) {
    const char *p = in->p;
    unsigned char all = 0;
    while (p < in->end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\') {
        all |= (unsigned char)*p++;
    }
    *out = (struct str){in->p, (size_t)(p - in->p)};
    if (p == in->end || *p != '"' || (all >= 0x80 && !str_is_utf8(*out))) {
        return false;
    }
    in->p = p + 1;
    return true;
}

static bool is_digit(const struct in *in) {
    return in->p < in->end && *in->p >= '0' && *in->p <= '9';
}

// A number that a double, or 64 bits, hold without a thought about rounding: 15 digits and their quotient by a power of ten up to 10^15 are
// exact, so the one division rounds as strtod does.
static json_t *take_number(struct in *in) {
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool minus = take(in, '-');
    const char *begin = in->p;
    int64_t v = 0;
    while (is_digit(in) && in->p - begin < 18) {
        v = v * 10 + (*in->p++ - '0');
    }
    ptrdiff_t whole = in->p - begin;
    if (whole == 0 || (*begin == '0' && whole > 1)) {
        return NULL;
    }
    size_t fraction = 0;
    bool real = take(in, '.');
    while (real && is_digit(in) && (size_t)whole + fraction < 15) {
        v = v * 10 + (*in->p++ - '0');
        fraction++;
    }
    if (is_digit(in) || (in->p < in->end && (*in->p == '.' || *in->p == 'e' || *in->p == 'E')) || (real && fraction == 0)) {
        return NULL;
    }
    if (!real) {
        return json_integer(minus ? -v : v);
    }
    double d = (double)v / powers[fraction];
    return json_real(minus ? -d : d);
}

static bool take_word(struct in *in, const char *word, size_t n) {
    if ((size_t)(in->end - in->p) < n || memcmp(in->p, word, n) != 0) {
        return false;
    }
    in->p += n;
    return true;
}

static json_t *take_value(struct in *in);

static bool take_member(struct in *in, json_t *o) {
    struct str key;
    skip_blanks(in);
    if (!take(in, '"') || !take_text(in, &key)) {
        return false;
    }
    skip_blanks(in);
    if (!take(in, ':')) {
        return false;
    }
    json_t *v = take_value(in);
    size_t before = json_object_size(o);
    return v != NULL && json_object_setn_new_nocheck(o, key.p, key.n, v) == 0 && json_object_size(o) > before; // else the key stood there
}

static bool take_element(struct in *in, json_t *a) {
    json_t *v = take_value(in);
    return v != NULL && json_array_append_new(a, v) == 0;
}

// Behind the opening bracket. Takes `many` over and gives it back when all went well.
static json_t *take_many(struct in *in, json_t *many, char closing, bool (*take_one)(struct in *in, json_t *many)) {
    bool good = many != NULL && ++in->depth <= JSON_PLAIN_DEPTH;
    skip_blanks(in);
    if (good && !take(in, closing)) {
        do {
            good = take_one(in, many);
            skip_blanks(in);
        } while (good && take(in, ','));
        good = good && take(in, closing);
    }
    in->depth--;
    if (good) {
        return many;
    }
    json_decref(many);
    return NULL;
}

static json_t *take_value(struct in *in) {
    struct str text;
    skip_blanks(in);
    if (in->p == in->end) {
        return NULL;
    }
    switch (*in->p) {
    case '"':
        in->p++;
        return take_text(in, &text) ? json_stringn_nocheck(text.p, text.n) : NULL;
    case '{':
        in->p++;
        return take_many(in, json_object(), '}', take_member);
    case '[':
        in->p++;
        return take_many(in, json_array(), ']', take_element);
    case 't':
        return take_word(in, "true", 4) ? json_true() : NULL;
    case 'f':
        return take_word(in, "false", 5) ? json_false() : NULL;
    case 'n':
        return take_word(in, "null", 4) ? json_null() : NULL;
    default:
        return take_number(in);
    }
}

json_t *json_read_plain(struct str text) {
    struct in in = {.p = text.p, .end = text.p + text.n};
    skip_blanks(&in);
    if (!take(&in, '{')) {
        return NULL;
    }
    json_t *o = take_many(&in, json_object(), '}', take_member);
    skip_blanks(&in);
    if (o != NULL && in.p < in.end) {
        json_decref(o);
        return NULL;
    }
    return o;
}
