// SPDX-License-Identifier: Apache-2.0
#include "base/date.h"

#define DAY_MS INT64_C(86400000)
#define DAYS_400_YEARS 146097

// Rounds towards minus infinity, as calendars do.
static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

static bool is_leap(int64_t year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int days_in_month(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    CHECK(month >= 1 && month <= 12);
    return days[month - 1] + (month == 2 && is_leap(year));
}

// Days are counted in years that begin in March, so that the leap day is a year's last: month m of such a year (0 = March) begins
// (153 m + 2) / 5 days into it. 719468 days lie between 0000-03-01 and 1970-01-01.
static int64_t days_of(int64_t year, int month, int day) {
    int64_t y = month > 2 ? year : year - 1;
    int64_t era = floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * DAYS_400_YEARS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

struct civil civil_of(struct wall t) {
    int64_t days = floor_div(t.ms, DAY_MS);
    int ms_of_day = (int)(t.ms % DAY_MS);
    ms_of_day += ms_of_day < 0 ? (int)DAY_MS : 0;
    int64_t z = days + 719468;
    int64_t era = floor_div(z, DAYS_400_YEARS);
    int64_t day_of_era = z - era * DAYS_400_YEARS;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int m = (int)((5 * day_of_year + 2) / 153);
    int month = m < 10 ? m + 3 : m - 9;
    return (struct civil){
        .year = (int)(year_of_era + era * 400 + (month <= 2)),
        .month = month,
        .day = (int)(day_of_year - (153 * m + 2) / 5 + 1),
        .hour = ms_of_day / 3600000,
        .minute = ms_of_day / 60000 % 60,
        .second = ms_of_day / 1000 % 60,
        .ms = ms_of_day % 1000,
    };
}

struct wall civil_to_wall(struct civil c) {
    int64_t ms_of_day = ((c.hour * 60 + c.minute) * 60 + c.second) * INT64_C(1000) + c.ms;
    return (struct wall){days_of(c.year, c.month, c.day) * DAY_MS + ms_of_day};
}

bool civil_valid(struct civil c) {
    return c.month >= 1 && c.month <= 12 && c.day >= 1 && c.day <= days_in_month(c.year, c.month) && c.hour >= 0 && c.hour <= 23 &&
           c.minute >= 0 && c.minute <= 59 && c.second >= 0 && c.second <= 59 && c.ms >= 0 && c.ms <= 999;
}

// ---- text ----

// The first `n` bytes as a number; what was read is cut off.
static bool take_digits(struct str *s, size_t n, int *out) {
    if (s->n < n) {
        return false;
    }
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9') {
            return false;
        }
        v = v * 10 + (s->p[i] - '0');
    }
    s->p += n;
    s->n -= n;
    *out = v;
    return true;
}

static bool take_char(struct str *s, char c) {
    if (s->n == 0 || s->p[0] != c) {
        return false;
    }
    s->p++;
    s->n--;
    return true;
}

static bool take_fraction(struct str *s, int *ms) {
    int unit = 100;
    size_t n = 0;
    *ms = 0;
    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9') {
        *ms += (s->p[n] - '0') * unit;
        unit /= 10;
        n++;
    }
    s->p += n;
    s->n -= n;
    return n > 0;
}

static bool take_offset(struct str *s, int *minutes) {
    if (take_char(s, 'Z') || take_char(s, 'z')) {
        *minutes = 0;
        return true;
    }
    bool west = take_char(s, '-');
    int h;
    int m;
    if ((!west && !take_char(s, '+')) || !take_digits(s, 2, &h) || !take_char(s, ':') || !take_digits(s, 2, &m) || h > 23 || m > 59) {
        return false;
    }
    *minutes = west ? -(h * 60 + m) : h * 60 + m;
    return true;
}

bool date_parse(struct str text, struct wall *out) {
    struct str s = text;
    struct civil c = {0};
    if (!take_digits(&s, 4, &c.year) || !take_char(&s, '-') || !take_digits(&s, 2, &c.month) || !take_char(&s, '-') ||
        !take_digits(&s, 2, &c.day) || !(take_char(&s, 'T') || take_char(&s, 't')) || !take_digits(&s, 2, &c.hour) || !take_char(&s, ':') ||
        !take_digits(&s, 2, &c.minute) || !take_char(&s, ':') || !take_digits(&s, 2, &c.second)) {
        return false;
    }
    if (take_char(&s, '.') && !take_fraction(&s, &c.ms)) {
        return false;
    }
    int offset_minutes;
    if (!take_offset(&s, &offset_minutes) || s.n > 0) {
        return false;
    }
    bool leap_second = c.second == 60;
    if (leap_second) {
        c.second = 59;
        c.ms = 0;
    }
    if (!civil_valid(c)) {
        return false;
    }
    struct wall t = civil_to_wall(c);
    t.ms += (leap_second ? 1000 : 0) - offset_minutes * INT64_C(60000);
    if (t.ms < 0 || t.ms > DATE_LAST.ms) {
        return false;
    }
    *out = t;
    return true;
}

static char *put(char *p, int v, int digits) {
    for (int i = digits - 1; i >= 0; i--) {
        p[i] = (char)('0' + v % 10);
        v /= 10;
    }
    return p + digits;
}

static struct wall within(struct wall t) {
    return t.ms < DATE_FIRST.ms ? DATE_FIRST : t.ms > DATE_LAST.ms ? DATE_LAST : t;
}

static char *format(struct wall t, char *p, int *ms) {
    struct civil c = civil_of(within(t));
    p = put(p, c.year, 4);
    *p++ = '-';
    p = put(p, c.month, 2);
    *p++ = '-';
    p = put(p, c.day, 2);
    *p++ = 'T';
    p = put(p, c.hour, 2);
    *p++ = ':';
    p = put(p, c.minute, 2);
    *p++ = ':';
    *ms = c.ms;
    return put(p, c.second, 2);
}

void date_format(struct wall t, char out[DATE_TEXT]) {
    int ms;
    char *p = format(t, out, &ms);
    *p++ = 'Z';
    *p = '\0';
}

void date_format_ms(struct wall t, char out[DATE_TEXT]) {
    int ms;
    char *p = format(t, out, &ms);
    *p++ = '.';
    p = put(p, ms, 3);
    *p++ = 'Z';
    *p = '\0';
}

// ---- arithmetic ----

static struct wall plus(struct wall t, int64_t ms) {
    int64_t sum;
    if (__builtin_add_overflow(t.ms, ms, &sum)) {
        return ms > 0 ? DATE_LAST : DATE_FIRST;
    }
    return within((struct wall){sum});
}

struct wall date_add_months(struct wall t, int months) {
    struct civil c = civil_of(t);
    int64_t index = (int64_t)c.year * 12 + (c.month - 1) + months;
    int64_t year = floor_div(index, 12);
    if (year < 0 || year > 9999) {
        return year < 0 ? DATE_FIRST : DATE_LAST;
    }
    c.year = (int)year;
    c.month = (int)(index - year * 12) + 1;
    int last = days_in_month(c.year, c.month);
    c.day = c.day < last ? c.day : last;
    return civil_to_wall(c);
}

struct wall date_add_days(struct wall t, int days) {
    return plus(t, days * DAY_MS);
}

struct wall date_add_duration(struct wall t, struct duration d) {
    return plus(d.months != 0 ? date_add_months(t, d.months) : t, d.ms);
}

// ---- durations ----

struct unit {
    char letter;
    int months;
    int64_t ms;
};
#define MONTHS_MAX (10000 * 12)
#define MS_MAX (INT64_C(10000) * 366 * DAY_MS)

// One number and its letter, which must be among units[*next..]; *next moves behind it, so letters come in order and once.
static bool take_part(struct str *s, const struct unit *units, size_t n_units, size_t *next, struct duration *d) {
    size_t digits = 0;
    while (digits < s->n && s->p[digits] >= '0' && s->p[digits] <= '9') {
        digits++;
    }
    uint64_t v;
    if (digits == s->n || !str_to_u64((struct str){s->p, digits}, &v) || v > (uint64_t)MS_MAX) {
        return false;
    }
    char letter = s->p[digits];
    s->p += digits + 1;
    s->n -= digits + 1;
    for (size_t i = *next; i < n_units; i++) {
        if (units[i].letter == letter) {
            *next = i + 1;
            int64_t months;
            int64_t ms;
            if (__builtin_mul_overflow((int64_t)v, (int64_t)units[i].months, &months) ||
                __builtin_mul_overflow((int64_t)v, units[i].ms, &ms) || months > MONTHS_MAX - d->months || ms > MS_MAX - d->ms) {
                return false;
            }
            d->months += (int)months;
            d->ms += ms;
            return true;
        }
    }
    return false;
}

bool duration_parse(struct str text, struct duration *out) {
    static const struct unit dates[] = {{'Y', 12, 0}, {'M', 1, 0}, {'W', 0, 7 * DAY_MS}, {'D', 0, DAY_MS}};
    static const struct unit times[] = {{'H', 0, 3600000}, {'M', 0, 60000}, {'S', 0, 1000}};
    static const struct unit shorts[] = {{'d', 0, DAY_MS}, {'h', 0, 3600000}, {'m', 0, 60000}, {'s', 0, 1000}};
    struct str s = text;
    struct duration d = {0};
    size_t next = 0;
    if (!take_char(&s, 'P')) {
        if (!take_part(&s, shorts, ARRAY_LEN(shorts), &next, &d) || s.n > 0) {
            return false;
        }
        *out = d;
        return true;
    }
    if (s.n == 0) {
        return false;
    }
    while (s.n > 0 && s.p[0] != 'T') {
        if (!take_part(&s, dates, ARRAY_LEN(dates), &next, &d)) {
            return false;
        }
    }
    if (take_char(&s, 'T')) {
        next = 0;
        do {
            if (!take_part(&s, times, ARRAY_LEN(times), &next, &d)) {
                return false;
            }
        } while (s.n > 0);
    }
    *out = d;
    return true;
}
