// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox.h - what a sandbox partner can rehearse: one table of the ways an order can fail or dawdle, and the numbers that bring them
 * about.
 *
 * A sandbox partner's orders run on the built-in network and succeed at once, unless their product, or else their SIM, is one of these. The
 * products' ids are the same for every sandbox partner and stand in its catalogue; a SIM tells by its ICCID: sandbox SIMs have a test
 * number range of their own, in which the sixth digit is the row's number.
 *
 *     89 999 B NNNNNNNNNNNN C    19 digits: telecom, a country code that is given to nobody, behaviour, serial number, check digit
 *
 * docs/sandbox.md shows the table; a test holds the two together.
 */
#ifndef CORE_SANDBOX_H
#define CORE_SANDBOX_H

#include "base/base.h"
#include "core/iccid.h"
#include "core/order.h"
#include "core/partner.h"
#include "core/task.h"

enum sandbox_behaviour { // the digit in an ICCID: never renumber, append only
    SANDBOX_AS_USUAL = 0,
    SANDBOX_REFUSED = 1,
    SANDBOX_NO_PROFILE = 2,
    SANDBOX_SLOW = 3,
    SANDBOX_UNSURE_DONE = 4,
    SANDBOX_UNSURE_NOT_DONE = 5,
    SANDBOX_BEHAVIOURS
};
struct sandbox_row {
    const char *word;       // as the API says it: "refused"
    const char *product_id; // NULL for the first row, as is the name
    const char *product_name;
    bool of_sims; // SIMs can have it, too
    const char *what;
};
extern const struct sandbox_row sandbox_table[SANDBOX_BEHAVIOURS];
extern const char *const sandbox_behaviour_words[]; // of the table, NULL-terminated

#define SANDBOX_SLOW_MS 5000   // how long a slow network element takes
#define SANDBOX_UNSURE_MS 1000 // how long it takes until an answer is given up on

#define SANDBOX_SERIALS INT64_C(1000000000000)
// A number of the test range; 0 <= serial < SANDBOX_SERIALS.
iccid_t sandbox_iccid(enum sandbox_behaviour b, int64_t serial);
bool sandbox_iccid_is(iccid_t iccid);
enum sandbox_behaviour sandbox_of_iccid(iccid_t iccid);          // AS_USUAL outside the range
enum sandbox_behaviour sandbox_of_product(struct str public_id); // AS_USUAL when it is none of the table's
// What happens to a sandbox partner's order: by its product, or else by its SIM. AS_USUAL for a live partner's.
enum sandbox_behaviour sandbox_of_order(const struct partner *p, const struct order *o);
enum task_lane order_lane(const struct partner *p, const struct order *o); // of its tasks, when it is accepted

// How wide apart the SIMs of a start stand: every sandbox partner begins with SIMs whose numbers follow from its own.
#define SANDBOX_START_SIMS 1000
int64_t sandbox_start_serial(int64_t partner_id, int64_t n); // 0 <= n < SANDBOX_START_SIMS
int64_t sandbox_made_serial(int64_t number);                 // of a SIM made later, from any number that is not used again
// The other numbers of such a SIM: an IMSI of network 999 99 (E.212: for private use), an MSISDN of country code 999, a matching id.
#define SANDBOX_TEXT 24
void sandbox_imsi(int64_t serial, char out[SANDBOX_TEXT]);
void sandbox_msisdn(int64_t serial, char out[SANDBOX_TEXT]);
void sandbox_matching_id(int64_t serial, char out[SANDBOX_TEXT]);
#define SANDBOX_SMDP "smdp.sandbox.example"

#endif
