// SPDX-License-Identifier: Apache-2.0
/*
 * The tables are plain text of fixed stride, in alphabetical order, searched by halving: easy to read, to compare with the standard and to
 * extend. test/core/codes_check.py holds them against an independent copy of the standards.
 */
#include "core/codes.h"

// ISO 3166-1 alpha-2, officially assigned codes, and XK (Kosovo: user-assigned, in general use in telecom and banking).
static const char countries[] = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ "
                                "BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ "
                                "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ "
                                "DE DJ DK DM DO DZ "
                                "EC EE EG EH ER ES ET "
                                "FI FJ FK FM FO FR "
                                "GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY "
                                "HK HM HN HR HT HU "
                                "ID IE IL IM IN IO IQ IR IS IT "
                                "JE JM JO JP "
                                "KE KG KH KI KM KN KP KR KW KY KZ "
                                "LA LB LC LI LK LR LS LT LU LV LY "
                                "MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ "
                                "NA NC NE NF NG NI NL NO NP NR NU NZ "
                                "OM "
                                "PA PE PF PG PH PK PL PM PN PR PS PT PW PY "
                                "QA "
                                "RE RO RS RU RW "
                                "SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ "
                                "TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ "
                                "UA UG UM US UY UZ "
                                "VA VC VE VG VI VN VU "
                                "WF WS "
                                "XK "
                                "YE YT "
                                "ZA ZM ZW ";
#define COUNTRY_STRIDE 3

// ISO 4217, current codes that an amount can be in, each with its decimals. Left out are those to which the standard gives no minor unit
// (gold, bond units, test codes ...).
static const char currencies[] = "AED2 AFN2 ALL2 AMD2 AOA2 ARS2 AUD2 AWG2 AZN2 "
                                 "BAM2 BBD2 BDT2 BHD3 BIF0 BMD2 BND2 BOB2 BOV2 BRL2 BSD2 BTN2 BWP2 BYN2 BZD2 "
                                 "CAD2 CDF2 CHE2 CHF2 CHW2 CLF4 CLP0 CNY2 COP2 COU2 CRC2 CUP2 CVE2 CZK2 "
                                 "DJF0 DKK2 DOP2 DZD2 "
                                 "EGP2 ERN2 ETB2 EUR2 "
                                 "FJD2 FKP2 "
                                 "GBP2 GEL2 GHS2 GIP2 GMD2 GNF0 GTQ2 GYD2 "
                                 "HKD2 HNL2 HTG2 HUF2 "
                                 "IDR2 ILS2 INR2 IQD3 IRR2 ISK0 "
                                 "JMD2 JOD3 JPY0 "
                                 "KES2 KGS2 KHR2 KMF0 KPW2 KRW0 KWD3 KYD2 KZT2 "
                                 "LAK2 LBP2 LKR2 LRD2 LSL2 LYD3 "
                                 "MAD2 MDL2 MGA2 MKD2 MMK2 MNT2 MOP2 MRU2 MUR2 MVR2 MWK2 MXN2 MXV2 MYR2 MZN2 "
                                 "NAD2 NGN2 NIO2 NOK2 NPR2 NZD2 "
                                 "OMR3 "
                                 "PAB2 PEN2 PGK2 PHP2 PKR2 PLN2 PYG0 "
                                 "QAR2 "
                                 "RON2 RSD2 RUB2 RWF0 "
                                 "SAR2 SBD2 SCR2 SDG2 SEK2 SGD2 SHP2 SLE2 SOS2 SRD2 SSP2 STN2 SVC2 SYP2 SZL2 "
                                 "THB2 TJS2 TMT2 TND3 TOP2 TRY2 TTD2 TWD2 TZS2 "
                                 "UAH2 UGX0 USD2 USN2 UYI0 UYU2 UYW4 UZS2 "
                                 "VED2 VES2 VND0 VUV0 "
                                 "WST2 "
                                 "XAD2 XAF0 XCD2 XCG2 XOF0 XPF0 "
                                 "YER2 "
                                 "ZAR2 ZMW2 ZWG2 ";
#define CURRENCY_STRIDE 5

// The entry of a table that begins with the `n` bytes at `key`, or NULL.
static const char *find(const char *table, size_t size, size_t stride, const char *key, size_t n) {
    size_t low = 0, high = (size - 1) / stride;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *entry = table + middle * stride;
        int order = memcmp(key, entry, n);
        if (order == 0)
            return entry;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool country_known(struct str alpha2) {
    return alpha2.n == 2 && find(countries, sizeof(countries), COUNTRY_STRIDE, alpha2.p, 2);
}

int currency_decimals(struct str code) {
    const char *entry = code.n == 3 ? find(currencies, sizeof(currencies), CURRENCY_STRIDE, code.p, 3) : NULL;
    return entry ? entry[3] - '0' : -1;
}

static bool letter(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool language_well_formed(struct str tag) {
    if (tag.n > LANGUAGE_MAX)
        return false;
    struct str rest = tag, part;
    for (bool first = true; first || str_present(rest); first = false) {
        rest = str_cut(rest, '-', &part);
        if (first ? part.n < 2 || part.n > 3 : part.n < 1 || part.n > 8)
            return false;
        for (size_t i = 0; i < part.n; i++)
            if (!letter(part.p[i]) && (first || part.p[i] < '0' || part.p[i] > '9'))
                return false;
    }
    return true;
}

bool email_well_formed(struct str email) {
    if (email.n > EMAIL_MAX)
        return false;
    struct str local, domain = str_cut(email, '@', &local);
    if (local.n == 0 || domain.n == 0)
        return false;
    for (size_t i = 0; i < email.n; i++)
        if ((unsigned char)email.p[i] <= ' ' || email.p[i] == 0x7f)
            return false;
    if (memchr(domain.p, '@', domain.n))
        return false;
    // Every label between dots holds something, and there are two at least.
    size_t dots = 0;
    for (size_t i = 0; i < domain.n; i++) {
        if (domain.p[i] != '.')
            continue;
        dots++;
        if (i == 0 || i + 1 == domain.n || domain.p[i - 1] == '.')
            return false;
    }
    return dots > 0;
}
