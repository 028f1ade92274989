// SPDX-License-Identifier: Apache-2.0
#include "base/date.h"

#include "base/fuzz.h"

static void dates(struct str text) {
    struct wall t;
    if (!date_parse(text, &t)) {
        return;
    }
    CHECK(t.ms >= 0 && t.ms <= DATE_LAST.ms);
    struct civil c = civil_of(t);
    CHECK(civil_valid(c) && civil_to_wall(c).ms == t.ms);
    char out[DATE_TEXT];
    struct wall back;
    date_format_ms(t, out);
    CHECK(date_parse(str_of(out), &back) && back.ms == t.ms);
    date_format(t, out);
    CHECK(strlen(out) == 20 && date_parse(str_of(out), &back) && back.ms == t.ms - t.ms % 1000);
}

static void durations(struct str text) {
    struct duration d;
    if (!duration_parse(text, &d)) {
        return;
    }
    CHECK(d.months >= 0 && d.ms >= 0);
    struct wall start = {INT64_C(1600000000000)};
    struct wall end = date_add_duration(start, d);
    CHECK(end.ms >= start.ms && end.ms <= DATE_LAST.ms);
}

// Any moment at all, and any step from it.
static void arithmetic(const uint8_t *data, size_t size) {
    struct wall t;
    int32_t step;
    if (size < sizeof(t) + sizeof(step)) {
        return;
    }
    memcpy(&t, data, sizeof(t));
    memcpy(&step, data + sizeof(t), sizeof(step));
    CHECK(civil_valid(civil_of(t)));
    char out[DATE_TEXT];
    date_format_ms(t, out);
    CHECK(strlen(out) == 24);
    struct wall by_days = date_add_days(t, step);
    struct wall by_months = date_add_months(t, step);
    CHECK(by_days.ms >= DATE_FIRST.ms && by_days.ms <= DATE_LAST.ms);
    CHECK(by_months.ms >= DATE_FIRST.ms && by_months.ms <= DATE_LAST.ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size};
    dates(text);
    durations(text);
    arithmetic(data, size);
    return 0;
}
