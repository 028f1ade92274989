// SPDX-License-Identifier: Apache-2.0
/*
 * codes.h - country codes (ISO 3166-1 alpha-2), currencies (ISO 4217, with their decimals) and languages (ISO 639-1, BCP 47 form).
 */
#ifndef CORE_CODES_H
#define CORE_CODES_H

#include "base/base.h"
#include "base/str.h"

#define EMAIL_MAX 254
#define LANGUAGE_MAX 35 // RFC 5646, section 4.4.1

bool country_known(struct str alpha2);     // upper case only
int currency_decimals(struct str code);    // 0, 2, 3 or 4; -1 when unknown or nothing that a price can be in
bool language_well_formed(struct str tag); // "en", "pt-BR"
bool email_well_formed(struct str email);  // one '@', something on both sides, a dot in the domain, no blanks, at most EMAIL_MAX bytes

#endif
