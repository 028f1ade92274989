// SPDX-License-Identifier: Apache-2.0
#include "http/retry_after.h"

#include "base/date.h"

// What is left to read; `bad` once it is not what was expected.
struct reader {
    struct str rest;
    bool bad;
};

static void expect(struct reader *r, const char *text) {
    size_t n = strlen(text);
    if (r->bad || !str_starts(r->rest, text)) {
        r->bad = true;
        return;
    }
    r->rest.p += n;
    r->rest.n -= n;
}

static int digits(struct reader *r, size_t n) {
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        if (r->bad || i >= r->rest.n || r->rest.p[i] < '0' || r->rest.p[i] > '9') {
            r->bad = true;
            return 0;
        }
        v = v * 10 + (r->rest.p[i] - '0');
    }
    r->rest.p += n;
    r->rest.n -= n;
    return v;
}

// One of the words, from 1; the longer of two that begin alike must come first.
static int word(struct reader *r, const char *const *words, size_t n) {
    for (size_t i = 0; i < n && !r->bad; i++)
        if (str_starts(r->rest, words[i])) {
            expect(r, words[i]);
            return (int)i + 1;
        }
    r->bad = true;
    return 0;
}

static const char *const days[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
                                   "Mon",    "Tue",     "Wed",       "Thu",      "Fri",    "Sat",      "Sun"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static void time_of_day(struct reader *r, struct civil *c) {
    c->hour = digits(r, 2);
    expect(r, ":");
    c->minute = digits(r, 2);
    expect(r, ":");
    c->second = digits(r, 2);
}

// Sun, 06 Nov 1994 08:49:37 GMT
static void fixdate(struct reader *r, struct civil *c) {
    expect(r, ", ");
    c->day = digits(r, 2);
    expect(r, " ");
    c->month = word(r, months, ARRAY_LEN(months));
    expect(r, " ");
    c->year = digits(r, 4);
    expect(r, " ");
    time_of_day(r, c);
    expect(r, " GMT");
}

// Sunday, 06-Nov-94 08:49:37 GMT; a year that would lie more than 50 years ahead is of the century before
static void rfc850(struct reader *r, struct civil *c, struct wall now) {
    expect(r, ", ");
    c->day = digits(r, 2);
    expect(r, "-");
    c->month = word(r, months, ARRAY_LEN(months));
    expect(r, "-");
    int year = civil_of(now).year;
    c->year = year - year % 100 + digits(r, 2);
    if (c->year > year + 50)
        c->year -= 100;
    expect(r, " ");
    time_of_day(r, c);
    expect(r, " GMT");
}

// Sun Nov  6 08:49:37 1994
static void asctime_date(struct reader *r, struct civil *c) {
    expect(r, " ");
    c->month = word(r, months, ARRAY_LEN(months));
    expect(r, " ");
    if (str_starts(r->rest, " ")) {
        expect(r, " ");
        c->day = digits(r, 1);
    } else {
        c->day = digits(r, 2);
    }
    expect(r, " ");
    time_of_day(r, c);
    expect(r, " ");
    c->year = digits(r, 4);
}

static bool http_date(struct str value, struct wall now, struct wall *out) {
    struct reader r = {value, false};
    struct civil c = {0};
    bool whole_name = word(&r, days, ARRAY_LEN(days)) <= 7;
    if (str_starts(r.rest, ","))
        whole_name ? rfc850(&r, &c, now) : fixdate(&r, &c);
    else
        asctime_date(&r, &c);
    if (r.bad || r.rest.n != 0 || !civil_valid(c))
        return false;
    *out = civil_to_wall(c);
    return true;
}

int64_t retry_after_parse(struct str value, struct wall now) {
    uint64_t seconds;
    struct wall at;
    value = str_trim(value);
    if (str_all_digits(value))
        return str_to_u64(value, &seconds) && seconds < (uint64_t)RETRY_AFTER_MAX ? (int64_t)seconds : RETRY_AFTER_MAX;
    if (!http_date(value, now, &at))
        return -1;
    if (at.ms <= now.ms)
        return 0;
    int64_t ahead = (at.ms - now.ms + 999) / 1000; // not a moment too early
    return ahead < RETRY_AFTER_MAX ? ahead : RETRY_AFTER_MAX;
}
