// SPDX-License-Identifier: Apache-2.0
/*
 * partner.h - an API client, and what the operator has decided for it.
 */
#ifndef CORE_PARTNER_H
#define CORE_PARTNER_H

#include "base/base.h"
#include "base/clock.h"
#include "base/str.h"

#define PARTNER_ID_MAX ((INT64_C(1) << 20) - 1) // UUID_PARTNER_BITS of base/id.h

enum partner_mode { PARTNER_LIVE, PARTNER_SANDBOX };

// Subscriber fields an ACTIVATION must carry besides the email.
enum subscriber_field {
    NEED_FIRST_NAME = 1 << 0,
    NEED_LAST_NAME = 1 << 1,
    NEED_COUNTRY_OF_RESIDENCE = 1 << 2,
    NEED_LANGUAGE = 1 << 3,
    NEED_DEVICE = 1 << 4, // device.operating_system, for an eSIM
};
// Names as the API writes them, in the order of the bits, NULL-terminated.
extern const char *const subscriber_field_names[];

// At how much use of a subscription the partner is warned, in percent: ascending, each once. None given: at 80.
#define THRESHOLDS_MAX 8
#define THRESHOLD_DEFAULT 80
struct thresholds {
    int n;
    uint8_t percent[THRESHOLDS_MAX]; // 1..99
};

struct partner {
    int64_t id;           // 1..PARTNER_ID_MAX
    struct str client_id; // unique, 1..64 of [A-Za-z0-9._-]
    struct str name;
    enum partner_mode mode;
    bool disabled;
    unsigned needs;        // enum subscriber_field bits
    struct str currencies; // blank-separated ISO 4217 codes it may name in sold_currency; "" = any known
    int64_t cap_day;       // new activations a day / a month (UTC); 0 = no cap
    int64_t cap_month;
    int64_t rate_per_minute; // per resource endpoint; 0 = the server's default, -1 = no limit
    int64_t event_days;      // how long its events are kept
    int64_t clock_offset_ms; // sandbox: how far its clock is ahead of the real one
    struct thresholds thresholds;
    struct wall created;
};

bool client_id_valid(struct str text);
// The time this partner lives in: the real one, or its sandbox clock.
static inline struct wall partner_now(const struct partner *p, struct wall now) {
    return wall_plus_ms(now, p->clock_offset_ms);
}
// What holds for the partner: its own, or the default.
struct thresholds partner_thresholds(const struct partner *p);
// Puts one in its place. False, and nothing has changed, when it is not 1..99, is there already or there is no room.
bool thresholds_add(struct thresholds *t, int64_t percent);
bool partner_may_use_currency(const struct partner *p, struct str currency);

#endif
