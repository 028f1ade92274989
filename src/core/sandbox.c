// SPDX-License-Identifier: Apache-2.0
#include "core/sandbox.h"

#include <inttypes.h>
#include <stdio.h>

#define RANGE_FIRST INT64_C(899990000000000000) // packed: the first 18 digits
#define RANGE_LAST INT64_C(899999999999999999)

// clang-format off
const struct sandbox_row sandbox_table[SANDBOX_BEHAVIOURS] = {
    [SANDBOX_AS_USUAL] = {"as_usual", NULL, NULL, true,
        "The order is done at once."},
    [SANDBOX_REFUSED] = {"refused", "sandbox-refused-000000000000000000000000000=", "Sandbox: refused", true,
        "The network says no, for good. What was done before is taken back; the order is `FAILED` and its `messages` say why."},
    [SANDBOX_NO_PROFILE] = {"no_profile", "sandbox-no-profile-000000000000000000000000=", "Sandbox: no profile", false,
        "An eSIM's `ACTIVATION` finds no profile in stock and is `FAILED`. Other orders are done at once."},
    [SANDBOX_SLOW] = {"slow", "sandbox-slow-000000000000000000000000000000=", "Sandbox: slow", true,
        "The network takes 5 seconds. Until then the order is `FULFILLING`, then `COMPLETED`."},
    [SANDBOX_UNSURE_DONE] = {"unsure_done", "sandbox-unsure-done-00000000000000000000000=", "Sandbox: unsure, then done", true,
        "The network does it, but its answer is lost. The server asks what became of it, learns that it is done, and does not do it again: "
        "`COMPLETED` after about 2 seconds."},
    [SANDBOX_UNSURE_NOT_DONE] = {"unsure_not_done", "sandbox-unsure-not-done-0000000000000000000=", "Sandbox: unsure, then not done", true,
        "The request is lost on its way. The server asks what became of it, learns that it never happened, and sends it again: `COMPLETED` "
        "after about 2 seconds."},
};
// clang-format on
const char *const sandbox_behaviour_words[] = {"as_usual", "refused", "no_profile", "slow", "unsure_done", "unsure_not_done", NULL};

iccid_t sandbox_iccid(enum sandbox_behaviour b, int64_t serial) {
    CHECK(serial >= 0 && serial < SANDBOX_SERIALS && b < SANDBOX_BEHAVIOURS);
    return RANGE_FIRST + b * SANDBOX_SERIALS + serial;
}

bool sandbox_iccid_is(iccid_t iccid) {
    return iccid >= RANGE_FIRST && iccid <= RANGE_LAST;
}

enum sandbox_behaviour sandbox_of_iccid(iccid_t iccid) {
    int64_t digit = sandbox_iccid_is(iccid) ? (iccid - RANGE_FIRST) / SANDBOX_SERIALS : 0;
    return digit < SANDBOX_BEHAVIOURS && sandbox_table[digit].of_sims ? (enum sandbox_behaviour)digit : SANDBOX_AS_USUAL;
}

enum sandbox_behaviour sandbox_of_product(struct str public_id) {
    for (int b = 0; b < SANDBOX_BEHAVIOURS; b++)
        if (sandbox_table[b].product_id && str_is(public_id, sandbox_table[b].product_id))
            return (enum sandbox_behaviour)b;
    return SANDBOX_AS_USUAL;
}

enum sandbox_behaviour sandbox_of_order(const struct partner *p, const struct order *o) {
    if (p->mode != PARTNER_SANDBOX)
        return SANDBOX_AS_USUAL;
    enum sandbox_behaviour by_product = sandbox_of_product(str_of(o->product_public_id));
    return by_product == SANDBOX_AS_USUAL ? sandbox_of_iccid(o->iccid) : by_product;
}

enum task_lane order_lane(const struct partner *p, const struct order *o) {
    if (p->mode != PARTNER_SANDBOX)
        return LANE_LIVE;
    enum sandbox_behaviour b = sandbox_of_order(p, o);
    return b == SANDBOX_AS_USUAL || b == SANDBOX_NO_PROFILE ? LANE_SANDBOX : LANE_REHEARSAL; // an empty stock is seen before any call
}

// Serial numbers: up to half of the range partners' starts, from there on what is made later.
#define MADE_FIRST (SANDBOX_SERIALS / 2)

int64_t sandbox_start_serial(int64_t partner_id, int64_t n) {
    CHECK(partner_id > 0 && partner_id <= PARTNER_ID_MAX && n >= 0 && n < SANDBOX_START_SIMS);
    return partner_id * SANDBOX_START_SIMS + n;
}

int64_t sandbox_made_serial(int64_t number) {
    return MADE_FIRST + (int64_t)((uint64_t)number % (uint64_t)(SANDBOX_SERIALS - MADE_FIRST));
}

// Ten digits follow the network's code, so these come round again after eight thousand million SIMs.
#define IMSI_MADE_FIRST INT64_C(2000000000)
#define IMSI_MADE INT64_C(8000000000)

void sandbox_imsi(int64_t serial, char out[SANDBOX_TEXT]) {
    int64_t number = serial < MADE_FIRST ? serial : IMSI_MADE_FIRST + (serial - MADE_FIRST) % IMSI_MADE;
    snprintf(out, SANDBOX_TEXT, "99999%010" PRIu64, (uint64_t)number % 10000000000U);
}

void sandbox_msisdn(int64_t serial, char out[SANDBOX_TEXT]) {
    snprintf(out, SANDBOX_TEXT, "999%012" PRId64, serial);
}

void sandbox_matching_id(int64_t serial, char out[SANDBOX_TEXT]) {
    snprintf(out, SANDBOX_TEXT, "SANDBOX-%012" PRId64, serial);
}
