// SPDX-License-Identifier: Apache-2.0
#include "base/str.h"

#include <stdio.h>

#include "base/fuzz.h"

static void numbers(struct str text) {
    uint64_t u;
    int64_t i;
    char out[32];
    struct str digits = text;
    while (digits.n > 1 && digits.p[0] == '0') {
        digits.p++;
        digits.n--;
    }
    if (str_to_u64(text, &u)) {
        snprintf(out, sizeof(out), "%llu", (unsigned long long)u);
        CHECK(str_is(digits, out));
        CHECK(str_all_digits(text));
    }
    if (str_to_i64(text, &i) && i != 0 && text.p[0] != '0' && !str_starts(text, "-0")) {
        snprintf(out, sizeof(out), "%lld", (long long)i);
        CHECK(str_is(text, out));
    }
}

// Cutting and putting together again gives the same bytes.
static void fields(struct str text) {
    size_t bytes = 0;
    size_t seps = 0;
    struct str head;
    struct str rest = text;
    do {
        rest = str_cut(rest, ',', &head);
        bytes += head.n;
        seps += str_present(rest);
        CHECK(head.n == 0 || memchr(head.p, ',', head.n) == NULL);
    } while (str_present(rest));
    CHECK(bytes + seps == text.n);
}

static void characters(struct str text) {
    bool good = true;
    for (struct str s = text; s.n > 0;) {
        size_t n = str_utf8_char(s);
        CHECK(n <= 4 && n <= s.n);
        if (n == 0 || s.p[0] == '\0') {
            good = false;
            break;
        }
        s.p += n;
        s.n -= n;
    }
    CHECK(str_is_utf8(text) == good);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size};
    numbers(text);
    fields(text);
    characters(text);
    struct str trimmed = str_trim(text);
    CHECK(trimmed.n <= text.n && str_eq(str_trim(trimmed), trimmed));
    char out[64];
    if (str_to_buf(text, out, sizeof(out))) {
        CHECK(text.n < sizeof(out) && out[text.n] == '\0');
    }
    return 0;
}
