// SPDX-License-Identifier: Apache-2.0
#include "base/date.h"

#include <time.h>

#include "base/testing.h"

static struct wall at(const char *text) {
    struct wall t;
    assert_true(date_parse(str_of(text), &t));
    return t;
}

static void assert_date(struct wall t, const char *expected) {
    char text[DATE_TEXT];
    date_format(t, text);
    assert_string_equal(text, expected);
}

static void dates_that_are_dates(void **state UNUSED) {
    static const struct {
        const char *text;
        const char *utc;
        int ms;
    } cases[] = {
        {"2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z", 0},
        {"2020-01-01t00:00:00z", "2020-01-01T00:00:00Z", 0},
        {"2020-02-29T23:59:59.999Z", "2020-02-29T23:59:59Z", 999},
        {"2020-01-01T00:00:00.5Z", "2020-01-01T00:00:00Z", 500},
        {"2020-01-01T00:00:00.0019999999999999999999999999999999999999Z", "2020-01-01T00:00:00Z", 1},
        {"2020-01-01T00:30:00+01:00", "2019-12-31T23:30:00Z", 0},
        {"2019-12-31T23:30:00-01:00", "2020-01-01T00:30:00Z", 0},
        {"2020-01-01T00:00:00-00:00", "2020-01-01T00:00:00Z", 0},
        {"2020-01-01T00:00:00+23:59", "2019-12-31T00:01:00Z", 0},
        {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", 0},
        {"2016-12-31T23:59:60.75Z", "2017-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 0},
        {"1969-12-31T23:30:00-01:00", "1970-01-01T00:30:00Z", 0},
        {"9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59Z", 999},
        {"2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wall t = at(cases[i].text);
        assert_date(t, cases[i].utc);
        assert_int_equal(civil_of(t).ms, cases[i].ms);
    }
}

static void dates_that_are_not(void **state UNUSED) {
    static const char *const bad[] = {
        "",
        "2021-02-29T00:00:00Z",
        "2021-02-30T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2021-04-31T00:00:00Z",
        "2021-13-01T00:00:00Z",
        "2021-00-01T00:00:00Z",
        "2021-01-00T00:00:00Z",
        "2021-01-01T24:00:00Z",
        "2021-01-01T00:60:00Z",
        "2021-01-01T00:00:61Z",
        "2021-01-01T00:00:00",
        "2021-01-01 00:00:00Z",
        "2021-01-01T00:00Z",
        "2021-01-01",
        "2021-1-1T00:00:00Z",
        "21-01-01T00:00:00Z",
        "2021-01-01T00:00:00.Z",
        "2021-01-01T00:00:00,5Z",
        "2021-01-01T00:00:00+0100",
        "2021-01-01T00:00:00+1:00",
        "2021-01-01T00:00:00+24:00",
        "2021-01-01T00:00:00+00:60",
        "2021-01-01T00:00:00+-1:00",
        "2021-01-01T00:00:00ZZ",
        "2021-01-01T00:00:00Z ",
        " 2021-01-01T00:00:00Z",
        "+021-01-01T00:00:00Z",
        "2021-01-01T00:00:-1Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:60Z",
        "9999-12-31T23:59:59-00:01",
        "10000-01-01T00:00:00Z",
        "2021-01-01T00:00:00Z2021-01-01T00:00:00Z",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct wall t = {77};
        if (date_parse(str_of(bad[i]), &t)) {
            fail_msg("accepted: %s", bad[i]);
        }
        assert_true(t.ms == 77);
    }
    struct wall t;
    assert_false(date_parse(STR_NONE, &t));
    assert_false(date_parse(STR("2021-01-01T00:00:00\0Z"), &t));
}

// The C library's calendar is the second opinion.
static void civil_time_agrees_with_the_c_library(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    for (int i = 0; i < 50000; i++) {
        int64_t range = DATE_LAST.ms - DATE_FIRST.ms + 1;
        struct wall t = {DATE_FIRST.ms + (int64_t)rng_below(&rng, (uint64_t)range)};
        struct civil c = civil_of(t);
        assert_true(civil_valid(c));
        assert_true(civil_to_wall(c).ms == t.ms);
        time_t seconds = (time_t)((t.ms - c.ms) / 1000);
        struct tm tm;
        assert_non_null(gmtime_r(&seconds, &tm));
        assert_int_equal(c.year, tm.tm_year + 1900);
        assert_int_equal(c.month, tm.tm_mon + 1);
        assert_int_equal(c.day, tm.tm_mday);
        assert_int_equal(c.hour, tm.tm_hour);
        assert_int_equal(c.minute, tm.tm_min);
        assert_int_equal(c.second, tm.tm_sec);
    }
}

static void every_day_follows_the_day_before(void **state UNUSED) {
    struct civil c = {.year = 1890, .month = 1, .day = 1};
    struct wall t = civil_to_wall(c);
    while (c.year < 2410) {
        assert_memory_equal(&(struct civil[]){civil_of(t)}, &c, sizeof(c));
        t = date_add_days(t, 1);
        if (++c.day > days_in_month(c.year, c.month)) {
            c.day = 1;
            if (++c.month > 12) {
                c.month = 1;
                c.year++;
            }
        }
    }
}

static void what_is_formatted_parses_back(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    for (int i = 0; i < 50000; i++) {
        struct wall t = {(int64_t)rng_below(&rng, (uint64_t)DATE_LAST.ms + 1)};
        char text[DATE_TEXT];
        date_format_ms(t, text);
        assert_true(at(text).ms == t.ms);
        date_format(t, text);
        assert_true(at(text).ms == t.ms - t.ms % 1000);
    }
}

static void dates_beyond_four_digit_years_are_shown_as_the_border(void **state UNUSED) {
    assert_date(DATE_FIRST, "0000-01-01T00:00:00Z");
    assert_date(DATE_LAST, "9999-12-31T23:59:59Z");
    assert_date((struct wall){INT64_MAX}, "9999-12-31T23:59:59Z");
    assert_date(WALL_NONE, "0000-01-01T00:00:00Z");
    assert_date((struct wall){-1}, "1969-12-31T23:59:59Z");
    char text[DATE_TEXT];
    date_format_ms((struct wall){-1}, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
}

static void civil_of_holds_for_any_number(void **state UNUSED) {
    struct civil c = civil_of((struct wall){INT64_MIN});
    assert_true(civil_valid(c));
    c = civil_of((struct wall){INT64_MAX});
    assert_true(civil_valid(c));
}

static void a_month_ends_on_the_same_day_or_the_months_last(void **state UNUSED) {
    static const struct {
        const char *from;
        int months;
        const char *to;
    } cases[] = {
        {"2021-01-15T10:20:30Z", 1, "2021-02-15T10:20:30Z"},  {"2021-01-31T10:20:30Z", 1, "2021-02-28T10:20:30Z"},
        {"2020-01-31T10:20:30Z", 1, "2020-02-29T10:20:30Z"},  {"2020-02-29T00:00:00Z", 12, "2021-02-28T00:00:00Z"},
        {"2020-02-29T00:00:00Z", 48, "2024-02-29T00:00:00Z"}, {"2021-08-31T00:00:00Z", 1, "2021-09-30T00:00:00Z"},
        {"2021-12-31T00:00:00Z", 2, "2022-02-28T00:00:00Z"},  {"2021-03-31T00:00:00Z", -1, "2021-02-28T00:00:00Z"},
        {"2021-01-31T00:00:00Z", -1, "2020-12-31T00:00:00Z"}, {"2021-01-31T00:00:00Z", 0, "2021-01-31T00:00:00Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_date(date_add_months(at(cases[i].from), cases[i].months), cases[i].to);
    }
}

static void arithmetic_ends_at_the_borders(void **state UNUSED) {
    struct wall t = at("2021-01-01T00:00:00Z");
    assert_true(date_add_months(t, INT32_MAX).ms == DATE_LAST.ms);
    assert_true(date_add_months(t, INT32_MIN).ms == DATE_FIRST.ms);
    assert_true(date_add_days(t, INT32_MAX).ms == DATE_LAST.ms);
    assert_true(date_add_days(t, INT32_MIN).ms == DATE_FIRST.ms);
    assert_true(date_add_days((struct wall){INT64_MAX}, 1).ms == DATE_LAST.ms);
    assert_true(date_add_days(WALL_NONE, -1).ms == DATE_FIRST.ms);
    assert_true(date_add_months((struct wall){INT64_MAX}, INT32_MAX).ms == DATE_LAST.ms);
    assert_true(date_add_duration(t, (struct duration){.months = 120000, .ms = INT64_MAX}).ms == DATE_LAST.ms);
}

static void durations(void **state UNUSED) {
    static const struct {
        const char *text;
        int months;
        int64_t ms;
    } cases[] = {
        {"P1Y2M3W4DT5H6M7S", 14, ((((int64_t)25 * 24 + 5) * 60 + 6) * 60 + 7) * 1000},
        {"P1M", 1, 0},
        {"PT1M", 0, 60000},
        {"P30D", 0, INT64_C(30) * 86400000},
        {"P0D", 0, 0},
        {"PT0S", 0, 0},
        {"P2W", 0, INT64_C(14) * 86400000},
        {"PT36H", 0, INT64_C(36) * 3600000},
        {"P10000Y", 120000, 0},
        {"30d", 0, INT64_C(30) * 86400000},
        {"12h", 0, INT64_C(12) * 3600000},
        {"45m", 0, INT64_C(45) * 60000},
        {"10s", 0, 10000},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct duration d;
        assert_true(duration_parse(str_of(cases[i].text), &d));
        assert_int_equal(d.months, cases[i].months);
        assert_true(d.ms == cases[i].ms);
    }
    assert_date(date_add_duration(at("2021-01-31T00:00:00Z"), (struct duration){.months = 1, .ms = 86400000}), "2021-03-01T00:00:00Z");

    static const char *const bad[] = {"",
                                      "P",
                                      "PT",
                                      "P1",
                                      "P1DT",
                                      "1",
                                      "d",
                                      "D30",
                                      "30D",
                                      "P-1D",
                                      "-P1D",
                                      "P1.5D",
                                      "P1M1Y",
                                      "P1D1W",
                                      "P1Y1Y",
                                      "PT1S1M",
                                      "PT1D",
                                      "P1H",
                                      "p1d",
                                      "P1D ",
                                      " P1D",
                                      "1h30m",
                                      "30 d",
                                      "P10001Y",
                                      "P1YT1",
                                      "PTT1S",
                                      "P9999999999999999999999D",
                                      "P99999999999999D",
                                      "P120001M",
                                      "9223372036854775807d",
                                      "18446744073709551616s",
                                      "P10000Y1M"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct duration d = {.months = 5, .ms = 6};
        if (duration_parse(str_of(bad[i]), &d)) {
            fail_msg("accepted: %s", bad[i]);
        }
        assert_true(d.months == 5 && d.ms == 6);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_that_are_dates),
        cmocka_unit_test(dates_that_are_not),
        cmocka_unit_test(civil_time_agrees_with_the_c_library),
        cmocka_unit_test(every_day_follows_the_day_before),
        cmocka_unit_test(what_is_formatted_parses_back),
        cmocka_unit_test(dates_beyond_four_digit_years_are_shown_as_the_border),
        cmocka_unit_test(civil_of_holds_for_any_number),
        cmocka_unit_test(a_month_ends_on_the_same_day_or_the_months_last),
        cmocka_unit_test(arithmetic_ends_at_the_borders),
        cmocka_unit_test(durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
