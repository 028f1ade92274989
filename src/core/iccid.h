// SPDX-License-Identifier: Apache-2.0
/*
 * iccid.h - numbers of the field: ICCID (ITU-T E.118), EID (GSMA SGP.02, 32 digits), IMSI (E.212), MSISDN (E.164).
 *
 * An ICCID is kept packed in an int64: tables are clustered by it and one look-up finds the SIM.
 *   19 digits, the last a Luhn check digit: the first 18 digits as a number            [0, 10^18)
 *   20 digits beginning with 89 (telecom), free last digit: 10^18 + the last 18 digits [10^18, 2 * 10^18)
 * Packing is a bijection: formatting gives back the digits that came in.
 */
#ifndef CORE_ICCID_H
#define CORE_ICCID_H

#include "base/base.h"
#include "base/str.h"

typedef int64_t iccid_t;
#define ICCID_NONE ((iccid_t)-1)
#define ICCID_TEXT 21

#define ICCID_PACKED_MAX (INT64_C(2000000000000000000) - 1)

// Whether a number read back from somewhere can be a packed ICCID.
static inline bool iccid_packed(iccid_t iccid) {
    return iccid >= 0 && iccid <= ICCID_PACKED_MAX;
}

enum iccid_fault { ICCID_OK, ICCID_NOT_DIGITS, ICCID_LENGTH, ICCID_CHECK_DIGIT, ICCID_NOT_TELECOM };

enum iccid_fault iccid_parse(struct str text, iccid_t *out);
void iccid_format(iccid_t iccid, char out[ICCID_TEXT]); // "" for ICCID_NONE and for a number that is no packed ICCID
const char *iccid_fault_text(enum iccid_fault fault);   // "must be 19 or 20 digits", ...

// The check digit that completes `digits` (Luhn, ISO/IEC 7812-1; they must be digits), and whether a whole number holds.
char luhn_digit(struct str digits);
bool luhn_holds(struct str digits);

bool eid_valid(struct str text);    // 32 digits beginning with 89; check digits per SGP.02 section 2.2.2 (mod 97) are not insisted on
bool imsi_valid(struct str text);   // 6 to 15 digits
bool msisdn_valid(struct str text); // 5 to 15 digits, no leading 0, no '+'

#endif
