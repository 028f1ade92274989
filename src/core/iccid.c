// SPDX-License-Identifier: Apache-2.0
#include "core/iccid.h"

#include <string.h>

#define TEN_18 INT64_C(1000000000000000000)

// The Luhn sum of `digits` as they stand before a check digit: the last of them counts twice.
static unsigned luhn_sum(struct str digits) {
    unsigned sum = 0;
    bool twice = true;
    for (size_t i = digits.n; i-- > 0; twice = !twice) {
        unsigned d = (unsigned)(digits.p[i] - '0');
        if (twice)
            d = d > 4 ? 2 * d - 9 : 2 * d;
        sum += d;
    }
    return sum % 10;
}

char luhn_digit(struct str digits) {
    return (char)('0' + (10 - luhn_sum(digits)) % 10);
}

bool luhn_holds(struct str digits) {
    return digits.n >= 2 && str_all_digits(digits) && luhn_digit((struct str){digits.p, digits.n - 1}) == digits.p[digits.n - 1];
}

enum iccid_fault iccid_parse(struct str text, iccid_t *out) {
    if (text.n != 19 && text.n != 20)
        return text.n <= 64 && !str_all_digits(text) ? ICCID_NOT_DIGITS : ICCID_LENGTH;
    if (!str_all_digits(text))
        return ICCID_NOT_DIGITS;
    if (text.n == 19 && !luhn_holds(text))
        return ICCID_CHECK_DIGIT;
    if (text.n == 20 && (text.p[0] != '8' || text.p[1] != '9'))
        return ICCID_NOT_TELECOM;
    int64_t v = 0;
    for (const char *p = text.p + (text.n == 20 ? 2 : 0), *end = p + 18; p < end; p++)
        v = v * 10 + (*p - '0');
    *out = text.n == 20 ? TEN_18 + v : v;
    return ICCID_OK;
}

static void put_18_digits(int64_t v, char *out) {
    for (int i = 17; i >= 0; i--) {
        out[i] = (char)('0' + v % 10);
        v /= 10;
    }
}

void iccid_format(iccid_t iccid, char out[ICCID_TEXT]) {
    if (!iccid_packed(iccid)) {
        out[0] = '\0';
    } else if (iccid >= TEN_18) {
        memcpy(out, "89", 2);
        put_18_digits(iccid - TEN_18, out + 2);
        out[20] = '\0';
    } else {
        put_18_digits(iccid, out);
        out[18] = luhn_digit((struct str){out, 18});
        out[19] = '\0';
    }
}

const char *iccid_fault_text(enum iccid_fault fault) {
    switch (fault) {
    case ICCID_OK:
        return "is an ICCID";
    case ICCID_NOT_DIGITS:
    case ICCID_LENGTH:
        return "must be 19 or 20 digits";
    case ICCID_CHECK_DIGIT:
        return "has a wrong check digit";
    case ICCID_NOT_TELECOM:
        return "must begin with 89";
    }
    return "is not an ICCID";
}

bool eid_valid(struct str text) {
    return text.n == 32 && text.p[0] == '8' && text.p[1] == '9' && str_all_digits(text);
}

bool imsi_valid(struct str text) {
    return text.n >= 6 && text.n <= 15 && str_all_digits(text);
}

bool msisdn_valid(struct str text) {
    return text.n >= 5 && text.n <= 15 && text.p[0] != '0' && str_all_digits(text);
}
