// SPDX-License-Identifier: Apache-2.0
/*
 * money.h - exact amounts: an integer number of a currency's minor units (ISO 4217), never a binary fraction.
 */
#ifndef BASE_MONEY_H
#define BASE_MONEY_H

#include "base/base.h"
#include "base/str.h"

struct money {
    int64_t minor;    // in units of 10^-decimals
    char currency[4]; // ISO 4217 letters, "" when there is no amount
};

#define MONEY_TEXT 32
#define MONEY_MINOR_MAX INT64_C(1000000000000000) // 10^15: stays exact in a JSON number of any client

enum money_fault { MONEY_OK, MONEY_NOT_A_NUMBER, MONEY_NEGATIVE, MONEY_TOO_PRECISE, MONEY_TOO_LARGE };

// Decimal text ("20", "20.5", "1e2" is refused) to minor units. "20.50" with two decimals is 2050; "20.500" too (no precision lost).
enum money_fault money_parse(struct str text, int decimals, int64_t *minor);

// The shortest decimal text: 2000 with two decimals is "20", 2050 is "20.5". For JSON numbers.
void money_format(int64_t minor, int decimals, char out[MONEY_TEXT]);

#endif
