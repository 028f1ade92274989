// SPDX-License-Identifier: Apache-2.0
#include "base/str.h"

static unsigned char lower(unsigned char c) {
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

bool str_eq_nocase(struct str a, struct str b) {
    if (a.n != b.n) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (lower((unsigned char)a.p[i]) != lower((unsigned char)b.p[i])) {
            return false;
        }
    }
    return true;
}

bool str_starts(struct str s, const char *prefix) {
    size_t n = strlen(prefix);
    return s.n >= n && (n == 0 || memcmp(s.p, prefix, n) == 0);
}

bool str_ends(struct str s, const char *suffix) {
    size_t n = strlen(suffix);
    return s.n >= n && (n == 0 || memcmp(s.p + s.n - n, suffix, n) == 0);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s) {
    while (s.n > 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

struct str str_cut(struct str s, char sep, struct str *head) {
    const char *at = s.n > 0 ? memchr(s.p, sep, s.n) : NULL;
    if (at == NULL) {
        *head = s;
        return STR_NONE;
    }
    size_t n = (size_t)(at - s.p);
    *head = (struct str){s.p, n};
    return (struct str){at + 1, s.n - n - 1};
}

bool str_all_digits(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
    }
    return s.n > 0;
}

bool str_to_u64(struct str s, uint64_t *out) {
    if (!str_all_digits(s)) {
        return false;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v)) {
            return false;
        }
    }
    *out = v;
    return true;
}

bool str_to_i64(struct str s, int64_t *out) {
    bool negative = s.n > 0 && s.p[0] == '-';
    if (negative) {
        s.p++;
        s.n--;
    }
    uint64_t v;
    if (!str_to_u64(s, &v) || v > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return false;
    }
    *out = (int64_t)(negative ? 0 - v : v);
    return true;
}

size_t str_utf8_char(struct str s) {
    if (s.n == 0) {
        return 0;
    }
    const unsigned char *p = (const unsigned char *)s.p;
    unsigned char first = p[0];
    if (first < 0x80) {
        return 1;
    }
    // The second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF (RFC 3629, section 4).
    size_t n;
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    if (first >= 0xc2 && first <= 0xdf) {
        n = 2;
    } else if (first >= 0xe0 && first <= 0xef) {
        n = 3;
        low = first == 0xe0 ? 0xa0 : low;
        high = first == 0xed ? 0x9f : high;
    } else if (first >= 0xf0 && first <= 0xf4) {
        n = 4;
        low = first == 0xf0 ? 0x90 : low;
        high = first == 0xf4 ? 0x8f : high;
    } else {
        return 0;
    }
    if (s.n < n || p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return n;
}

bool str_is_utf8(struct str s) {
    while (s.n > 0) {
        size_t n = str_utf8_char(s);
        if (n == 0 || s.p[0] == '\0') {
            return false;
        }
        s.p += n;
        s.n -= n;
    }
    return true;
}

bool str_to_buf(struct str s, char *out, size_t size) {
    if (s.n >= size) {
        return false;
    }
    if (s.n > 0) {
        memcpy(out, s.p, s.n);
    }
    out[s.n] = '\0';
    return true;
}
