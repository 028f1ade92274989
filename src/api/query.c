// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "api/call.h"
#include "base/date.h"

static bool has_control(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    return false;
}

struct str query_str(struct call *c, const char *name, size_t max, struct err *err) {
    bool bad = false;
    struct str v = http_query(c->x, name, &bad);
    if (bad) {
        err_add(err, ERR_MALFORMED, "%s: is not well-formed", name);
        return STR_NONE;
    }
    if (v.n == 0)
        return STR_NONE;
    if (!str_is_utf8(v) || has_control(v)) {
        err_add(err, ERR_MALFORMED, "%s: must be UTF-8 text without control characters", name);
        return STR_NONE;
    }
    if (v.n > max) {
        err_add(err, ERR_INVALID, "%s: must be at most %zu bytes", name, max);
        return STR_NONE;
    }
    return v;
}

#define WORD_MAX 64

int query_word(struct call *c, const char *name, const char *const *words, struct err *err) {
    struct str v = query_str(c, name, WORD_MAX, err);
    if (!str_present(v))
        return -1;
    char list[512];
    size_t n = 0;
    list[0] = '\0';
    for (int i = 0; words[i]; i++) {
        if (str_is(v, words[i]))
            return i;
        if (words[i][0] && n < sizeof(list))
            n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "", words[i]);
    }
    err_add(err, ERR_INVALID, "%s: must be one of %s", name, list);
    return -1;
}

struct wall query_date(struct call *c, const char *name, struct err *err) {
    struct str v = query_str(c, name, WORD_MAX, err);
    struct wall t;
    if (!str_present(v))
        return WALL_NONE;
    if (date_parse(v, &t))
        return t;
    // An offset's '+' that a client forgot to escape arrives as a blank.
    char text[WORD_MAX + 1];
    if (str_to_buf(v, text, sizeof(text))) {
        for (size_t i = 0; i < v.n; i++)
            if (text[i] == ' ')
                text[i] = '+';
        if (date_parse((struct str){text, v.n}, &t))
            return t;
    }
    err_add(err, ERR_MALFORMED, "%s: must be a date-time as in RFC 3339, such as 2026-01-31T00:00:00Z", name);
    return WALL_NONE;
}

int64_t query_i64(struct call *c, const char *name, int64_t min, int64_t max, int64_t otherwise, struct err *err) {
    struct str v = query_str(c, name, WORD_MAX, err);
    int64_t n;
    if (!str_present(v))
        return otherwise;
    if (str_to_i64(v, &n) && n >= min && n <= max)
        return n;
    err_add(err, ERR_INVALID, "%s: must be a whole number from %lld to %lld", name, (long long)min, (long long)max);
    return otherwise;
}
