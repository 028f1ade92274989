// SPDX-License-Identifier: Apache-2.0
#include "core/partner.h"

#include "core/codes.h"

const char *const subscriber_field_names[] = {"first_name", "last_name", "country_of_residence", "language", "device.operating_system",
                                              NULL};

bool client_id_valid(struct str text) {
    if (text.n < 1 || text.n > 64)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

bool partner_may_use_currency(const struct partner *p, struct str currency) {
    if (currency_decimals(currency) < 0)
        return false;
    struct str rest = str_trim(p->currencies), code;
    if (rest.n == 0)
        return true;
    while (str_present(rest)) {
        rest = str_cut(rest, ' ', &code);
        if (str_eq(code, currency))
            return true;
    }
    return false;
}

struct thresholds partner_thresholds(const struct partner *p) {
    return p->thresholds.n > 0 ? p->thresholds : (struct thresholds){.n = 1, .percent = {THRESHOLD_DEFAULT}};
}

bool thresholds_add(struct thresholds *t, int64_t percent) {
    if (percent < 1 || percent > 99 || t->n == THRESHOLDS_MAX)
        return false;
    int at = 0;
    while (at < t->n && t->percent[at] < percent)
        at++;
    if (at < t->n && t->percent[at] == percent)
        return false;
    for (int i = t->n; i > at; i--)
        t->percent[i] = t->percent[i - 1];
    t->percent[at] = (uint8_t)percent;
    t->n++;
    return true;
}
