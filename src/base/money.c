// SPDX-License-Identifier: Apache-2.0
#include "base/money.h"

#include <string.h>

#define DECIMALS_MAX 9

static bool is_zeros(struct str digits) {
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] != '0') {
            return false;
        }
    }
    return true;
}

enum money_fault money_parse(struct str text, int decimals, int64_t *minor) {
    CHECK(decimals >= 0 && decimals <= DECIMALS_MAX);
    bool negative = text.n > 0 && text.p[0] == '-';
    if (negative) {
        text.p++;
        text.n--;
    }
    struct str whole;
    struct str fraction = str_cut(text, '.', &whole);
    if (!str_all_digits(whole) || (str_present(fraction) && !str_all_digits(fraction))) {
        return MONEY_NOT_A_NUMBER;
    }
    if (negative && !(is_zeros(whole) && is_zeros(fraction))) {
        return MONEY_NEGATIVE;
    }
    while (fraction.n > 0 && fraction.p[fraction.n - 1] == '0') {
        fraction.n--;
    }
    if (fraction.n > (size_t)decimals) {
        return MONEY_TOO_PRECISE;
    }
    int64_t v = 0;
    for (size_t i = 0; i < whole.n + (size_t)decimals; i++) {
        int digit = 0;
        if (i < whole.n) {
            digit = whole.p[i] - '0';
        } else if (i - whole.n < fraction.n) {
            digit = fraction.p[i - whole.n] - '0';
        }
        v = v * 10 + digit; // v was at most MONEY_MINOR_MAX: no overflow
        if (v > MONEY_MINOR_MAX) {
            return MONEY_TOO_LARGE;
        }
    }
    *minor = v;
    return MONEY_OK;
}

void money_format(int64_t minor, int decimals, char out[MONEY_TEXT]) {
    CHECK(decimals >= 0 && decimals <= DECIMALS_MAX);
    uint64_t v = minor < 0 ? 0 - (uint64_t)minor : (uint64_t)minor;
    while (decimals > 0 && v % 10 == 0) {
        v /= 10;
        decimals--;
    }
    char text[MONEY_TEXT]; // filled from its end; 19 digits, point and sign always fit
    char *p = text + sizeof(text) - 1;
    *p = '\0';
    if (decimals > 0) {
        for (int i = 0; i < decimals; i++) {
            *--p = (char)('0' + v % 10);
            v /= 10;
        }
        *--p = '.';
    }
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    if (minor < 0) {
        *--p = '-';
    }
    memcpy(out, p, (size_t)(text + sizeof(text) - p));
}
