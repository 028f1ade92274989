// SPDX-License-Identifier: Apache-2.0
/*
 * str.h - a view of bytes: pointer and length, owned by somebody else. Not NUL-terminated unless its maker says so.
 * STR_NONE (p == NULL) means absent; STR("") means empty.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <string.h>

#include "base/base.h"

struct str {
    const char *p;
    size_t n;
};

#define STR_NONE ((struct str){NULL, 0})
#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).n, ((s).p ? (s).p : "")

static inline struct str str_of(const char *text) {
    return text ? (struct str){text, strlen(text)} : STR_NONE;
}
static inline bool str_present(struct str s) {
    return s.p != NULL;
}
static inline bool str_eq(struct str a, struct str b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool str_is(struct str a, const char *text) {
    return str_eq(a, str_of(text));
}
bool str_eq_nocase(struct str a, struct str b); // ASCII letters only
bool str_starts(struct str s, const char *prefix);
bool str_ends(struct str s, const char *suffix);
struct str str_trim(struct str s); // blanks, tabs, CR and LF at both ends

// Cuts at the first `sep`: *head gets what is before it, the rest (after sep) is returned. Without one, head is all and the rest STR_NONE.
struct str str_cut(struct str s, char sep, struct str *head);

bool str_all_digits(struct str s);                     // false when empty
bool str_to_u64(struct str s, uint64_t *out);          // decimal digits only, no sign, no overflow
bool str_to_i64(struct str s, int64_t *out);           // optional '-'
bool str_is_utf8(struct str s);                        // well-formed (RFC 3629), no NUL
size_t str_utf8_char(struct str s);                    // bytes of the well-formed character s begins with; 0 when there is none
bool str_to_buf(struct str s, char *out, size_t size); // copies and terminates; false when it does not fit

#endif
