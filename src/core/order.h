// SPDX-License-Identifier: Apache-2.0
/*
 * order.h - what a partner asked: its shape, the rules it must hold to be accepted, its state machine.
 *
 *   ACCEPTED    stored with its tasks; waits for the engine
 *   FULFILLING  at least one task has been sent to a peer
 *   COMPLETED   every task done; the subscription exists; final
 *   FAILED      a peer refused (or an operator gave it up) and what was done has been undone; `failure` says why; final
 *
 *   ACCEPTED -> FULFILLING | COMPLETED | FAILED, FULFILLING -> COMPLETED | FAILED. (On the built-in network an order is called and settled
 * in one transaction, so FULFILLING is never seen.)
 */
#ifndef CORE_ORDER_H
#define CORE_ORDER_H

#include "base/base.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/money.h"
#include "base/str.h"
#include "core/partner.h"
#include "core/product.h"
#include "core/sim.h"
#include "core/subscription.h"

// OP_NONE: it did not parse (and `err` says so); order_rules then leaves out what depends on it. Never stored.
enum operation { OP_NONE = -1, OP_ACTIVATION, OP_TOPUP };
enum order_state { ORDER_ACCEPTED, ORDER_FULFILLING, ORDER_COMPLETED, ORDER_FAILED };
extern const char *const operation_words[];   // "ACTIVATION", "TOPUP"
extern const char *const order_state_words[]; // "ACCEPTED", ...
extern const char *const device_os_words[];   // "ios", ...

struct subscriber {
    struct str email, first_name, last_name, country_of_residence, language;
    struct str device_os, device_model, device_id, device_eid;
};

struct order {
    struct uuid id;
    int64_t partner_id;
    enum order_state state;
    enum operation operation;
    enum sim_type sim_type;
    char country[3];
    int64_t product_id; // row key
    char product_public_id[LONG_ID_TEXT];
    struct money sold;                  // sold.currency[0] == 0: the product's own price stands
    struct wall activation, expiration; // as asked; WALL_NONE
    struct subscriber subscriber;
    iccid_t iccid;          // ICCID_NONE until an eSIM profile is chosen
    struct str matching_id; // eSIM activation, once known
    struct str smdp;
    struct str correlation_id; // echoed, logged, at most CORRELATION_MAX bytes
    struct str reference;      // the partner's own, STR_NONE
    struct str failure;        // FAILED: messages, one a line
    struct wall created, finished;
};

#define CORRELATION_MAX 128
#define REFERENCE_MAX 64

bool order_may(enum order_state from, enum order_state to);
bool order_finished(enum order_state s);

// The price and the currency it is in, as they came (STR_NONE when absent): they come together, the price is never negative and has no more
// decimals than the currency. Adds the faults to `err` under product.sold_price and product.sold_currency and returns the kind that stands.
// *out has no currency when there is no price or a fault.
#define PRICE_DECIMALS_MAX 4
enum err_kind order_take_price(struct str price, struct str currency, struct money *out, struct err *err);

// What the rules need to know about the world, found by the caller. NULL = there is no such thing.
struct order_world {
    const struct partner *partner;
    const struct product *product; // of this partner, by the id asked
    const struct sim *sim;         // by the ICCID asked, whoever's it is
    bool sim_has_open_order;       // an unfinished order holds it
    bool reference_taken;          // by another order of the partner
    int64_t open_subscriptions;    // on that SIM: not finished, plus accepted orders that will make one; below the limit maybe too many
    int64_t activations_today, activations_this_month;
    struct wall now; // the partner's time
};

// The rules of connect-v2 section 4 that look at the order alone (required fields by operation and type, dates, price with currency, EID
// ...) and those that look at the world. Each adds its faults to `err` under the field's path and returns the kind that stands; both may be
// called on the same err, so that all faults are reported at once. A field that failed to parse is absent here and already in `err`:
// order_rules does not report a field as missing when `err` has a message beginning with its path.
enum err_kind order_rules(const struct order *o, const struct partner *partner, struct err *err);
enum err_kind order_rules_world(const struct order *o, const struct order_world *world, struct err *err);

// The subscription that a completed order makes, at `now` (the partner's time): state, dates, allowance, price.
void order_subscription(const struct order *o, const struct product *p, struct wall now, struct subscription *out);

#endif
