// SPDX-License-Identifier: Apache-2.0
/*
 * date.h - dates as the API writes them (RFC 3339) and calendar arithmetic (proleptic Gregorian, UTC, no leap seconds).
 */
#ifndef BASE_DATE_H
#define BASE_DATE_H

#include "base/base.h"
#include "base/clock.h"
#include "base/str.h"

#define DATE_TEXT 32

// What four-digit years can say: 0000-01-01T00:00:00.000Z to 9999-12-31T23:59:59.999Z. Arithmetic that would leave this range ends at its
// border.
#define DATE_FIRST ((struct wall){INT64_C(-62167219200000)})
#define DATE_LAST ((struct wall){INT64_C(253402300799999)})

struct civil {
    int year, month, day; // month 1..12, day 1..31
    int hour, minute, second, ms;
};

struct civil civil_of(struct wall t);
struct wall civil_to_wall(struct civil c); // c must be valid
bool civil_valid(struct civil c);          // second 60 is not
int days_in_month(int year, int month);

// date-time of RFC 3339: fraction of any length (cut to milliseconds), 'Z' or an offset, 'T' or 't'; second 60 is taken as the next
// minute. Years 1970 to 9999. False when it does not parse or does not exist (2021-02-30).
bool date_parse(struct str text, struct wall *out);

// "2020-01-01T00:00:00Z": UTC, to the second (cut, not rounded).
void date_format(struct wall t, char out[DATE_TEXT]);
// The same with milliseconds, for logs.
void date_format_ms(struct wall t, char out[DATE_TEXT]);

// The same time of day `months` later; day 29-31 into a shorter month is that month's last day.
struct wall date_add_months(struct wall t, int months);
struct wall date_add_days(struct wall t, int days);

// An ISO 8601 duration of the form P[nY][nM][nW][nD][T[nH][nM][nS]], or short forms 30d, 12h, 45m, 10s. Years and months are calendar
// ones. At most 10,000 years.
struct duration {
    int months;
    int64_t ms;
};
bool duration_parse(struct str text, struct duration *out);
struct wall date_add_duration(struct wall t, struct duration d);

#endif
