// SPDX-License-Identifier: Apache-2.0
#include "http/retry_after.h"

#include "base/date.h"
#include "base/testing.h"

static struct wall at(const char *text) {
    struct wall t;
    assert_true(date_parse(str_of(text), &t));
    return t;
}

static void retry_after_table(void **state UNUSED) {
    static const struct {
        const char *value, *now;
        int64_t seconds;
    } rows[] = {
        {"0", "2026-01-01T00:00:00Z", 0},
        {"120", "2026-01-01T00:00:00Z", 120},
        {"  7\r\n", "2026-01-01T00:00:00Z", 7},
        {"99999999999999999999999999", "2026-01-01T00:00:00Z", RETRY_AFTER_MAX},
        {"31536001", "2026-01-01T00:00:00Z", RETRY_AFTER_MAX},
        // the three spellings of RFC 9110, section 5.6.7
        {"Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:30Z", 7},
        {"Sunday, 06-Nov-94 08:49:37 GMT", "1994-11-06T08:49:30Z", 7},
        {"Sun Nov  6 08:49:37 1994", "1994-11-06T08:49:30Z", 7},
        {"Sun Nov 16 08:49:37 1994", "1994-11-16T08:49:30Z", 7},
        {"Fri, 01 Jan 2027 00:00:00 GMT", "2026-12-31T23:59:59.001Z", 1},
        {"Fri, 01 Jan 2027 00:00:00 GMT", "2027-01-01T00:00:01Z", 0},
        {"Fri, 01 Jan 9999 00:00:00 GMT", "2027-01-01T00:00:01Z", RETRY_AFTER_MAX},
        {"Friday, 01-Jan-27 00:00:10 GMT", "2027-01-01T00:00:00Z", 10},
        {"Friday, 01-Jan-99 00:00:10 GMT", "2027-01-01T00:00:00Z", 0}, // 1999, not 2099
        // nothing that is understood
        {"", "2026-01-01T00:00:00Z", -1},
        {"-1", "2026-01-01T00:00:00Z", -1},
        {"1.5", "2026-01-01T00:00:00Z", -1},
        {"soon", "2026-01-01T00:00:00Z", -1},
        {"Sun, 06 Nov 1994 08:49:37", "2026-01-01T00:00:00Z", -1},
        {"Sun, 06 Nov 1994 08:49:37 CET", "2026-01-01T00:00:00Z", -1},
        {"Sun, 31 Feb 2026 08:49:37 GMT", "2026-01-01T00:00:00Z", -1},
        {"Sun, 06 Nov 1994 25:49:37 GMT", "2026-01-01T00:00:00Z", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT and more", "2026-01-01T00:00:00Z", -1},
        {"06 Nov 1994 08:49:37 GMT", "2026-01-01T00:00:00Z", -1},
        {"2026-01-01T00:00:10Z", "2026-01-01T00:00:00Z", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t got = retry_after_parse(str_of(rows[i].value), at(rows[i].now));
        if (got != rows[i].seconds)
            fail_msg("%s at %s: %lld, not %lld", rows[i].value, rows[i].now, (long long)got, (long long)rows[i].seconds);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(retry_after_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
