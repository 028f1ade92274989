// SPDX-License-Identifier: Apache-2.0
#include "core/order.h"

#include <inttypes.h>

#include "base/date.h"
#include "core/codes.h"

const char *const operation_words[] = {"ACTIVATION", "TOPUP", NULL};
const char *const order_state_words[] = {"ACCEPTED", "FULFILLING", "COMPLETED", "FAILED", NULL};
const char *const device_os_words[] = {"ios", "android", "windows", "iot", NULL};

// ---- states ----

// One bit per state that may follow. Rows and bits are the enum's.
static const unsigned next_states[] = {
    [ORDER_ACCEPTED] = 1u << ORDER_FULFILLING | 1u << ORDER_COMPLETED | 1u << ORDER_FAILED,
    [ORDER_FULFILLING] = 1u << ORDER_COMPLETED | 1u << ORDER_FAILED,
    [ORDER_COMPLETED] = 0,
    [ORDER_FAILED] = 0,
};

bool order_may(enum order_state from, enum order_state to) {
    return (size_t)from < ARRAY_LEN(next_states) && (size_t)to < ARRAY_LEN(next_states) && next_states[from] >> to & 1;
}

bool order_finished(enum order_state s) {
    return s == ORDER_COMPLETED || s == ORDER_FAILED;
}

// ---- rules ----

#define SIM_PATH "subscriber.sim.iccid"
#define EXPIRATION_PATH "product.expiration_date"

// Whether `err` names this field, or an object that it is part of, already.
static bool reported(const struct err *err, const char *path) {
    const char *message;
    for (unsigned i = 0; (message = err_message(err, i)) != NULL; i++) {
        size_t n = strcspn(message, ":");
        if (strncmp(message, path, n) == 0 && (path[n] == '\0' || path[n] == '.'))
            return true;
    }
    return false;
}

static void require(struct err *err, const char *path) {
    if (!reported(err, path))
        err_add(err, ERR_INVALID, "%s: is required", path);
}

static bool given(struct str s) {
    return s.n > 0;
}

// An ACTIVATION of an eSIM takes a profile from stock; everything else is for a SIM that the partner names.
static bool names_sim(const struct order *o) {
    return o->operation == OP_TOPUP || o->sim_type == SIM_PSIM;
}

enum err_kind order_take_price(struct str price, struct str currency, struct money *out, struct err *err) {
    *out = (struct money){0};
    // One that was sent but did not parse is in `err` already: the other is required all the same.
    if (!given(price) && !given(currency) && !reported(err, "product.sold_price") && !reported(err, "product.sold_currency"))
        return err->kind;
    if (!given(price))
        require(err, "product.sold_price");
    if (!given(currency))
        require(err, "product.sold_currency");

    // The price is looked at even when its currency is missing or unknown: a fault that no currency would mend is reported, too.
    int decimals = currency_decimals(currency);
    if (given(currency) && decimals < 0)
        err_add(err, ERR_INVALID, "product.sold_currency: must be a currency code of ISO 4217");
    if (!given(price))
        return err->kind;
    int64_t minor;
    enum money_fault fault = money_parse(price, decimals < 0 ? PRICE_DECIMALS_MAX : decimals, &minor);
    switch (fault) {
    case MONEY_OK:
        if (decimals >= 0) {
            out->minor = minor;
            memcpy(out->currency, currency.p, 3);
        }
        break;
    case MONEY_NOT_A_NUMBER:
        err_add(err, ERR_INVALID, "product.sold_price: must be a decimal number");
        break;
    case MONEY_NEGATIVE:
        err_add(err, ERR_INVALID, "product.sold_price: must not be negative");
        break;
    case MONEY_TOO_PRECISE:
        if (decimals >= 0)
            err_add(err, ERR_INVALID, "product.sold_price: must not have more decimals than " STR_FMT " has (%d)", STR_ARG(currency),
                    decimals);
        else
            err_add(err, ERR_INVALID, "product.sold_price: has more decimals than any currency");
        break;
    case MONEY_TOO_LARGE:
        err_add(err, ERR_INVALID, "product.sold_price: is too large");
        break;
    }
    return err->kind;
}

static void rules_product(const struct order *o, const struct partner *partner, struct err *err) {
    if (o->product_public_id[0] == '\0')
        require(err, "product.id");
    else if (!long_id_well_formed(str_of(o->product_public_id)))
        err_add(err, ERR_INVALID, "product.id: must be 43 or 44 characters of URL-safe base64 that end in \"=\"");

    if (o->sold.currency[0] == '\0')
        return;
    if (o->sold.minor < 0)
        err_add(err, ERR_INVALID, "product.sold_price: must not be negative");
    else if (o->sold.minor > MONEY_MINOR_MAX)
        err_add(err, ERR_INVALID, "product.sold_price: is too large");
    struct str currency = str_of(o->sold.currency);
    if (currency_decimals(currency) < 0)
        err_add(err, ERR_INVALID, "product.sold_currency: must be a currency code of ISO 4217");
    else if (!partner_may_use_currency(partner, currency))
        err_add(err, ERR_INVALID, "product.sold_currency: must be one of " STR_FMT, STR_ARG(partner->currencies));
}

static void rules_subscriber(const struct subscriber *s, struct err *err) {
    if (given(s->email) && !email_well_formed(s->email))
        err_add(err, ERR_INVALID, "subscriber.email: must be an email address");
    if (given(s->country_of_residence) && !country_known(s->country_of_residence))
        err_add(err, ERR_INVALID, "subscriber.country_of_residence: must be a country code of ISO 3166-1 (two capital letters)");
    if (given(s->language) && !language_well_formed(s->language))
        err_add(err, ERR_INVALID, "subscriber.language: must be a language tag such as en or pt-BR");
    if (given(s->device_os)) {
        bool known = false;
        for (const char *const *w = device_os_words; *w; w++)
            known = known || str_is(s->device_os, *w);
        if (!known)
            err_add(err, ERR_INVALID, "subscriber.device.operating_system: must be one of ios, android, windows, iot");
    }
    if (given(s->device_eid) && !eid_valid(s->device_eid))
        err_add(err, ERR_INVALID, "subscriber.device.eid: must be 32 digits that begin with 89");
}

static void rules_activation(const struct order *o, const struct partner *partner, struct err *err) {
    const struct subscriber *s = &o->subscriber;
    if (!given(s->email))
        require(err, "subscriber.email");
    const struct {
        enum subscriber_field need;
        const char *path;
        struct str value;
    } fields[] = {
        {NEED_FIRST_NAME, "subscriber.first_name", s->first_name},
        {NEED_LAST_NAME, "subscriber.last_name", s->last_name},
        {NEED_COUNTRY_OF_RESIDENCE, "subscriber.country_of_residence", s->country_of_residence},
        {NEED_LANGUAGE, "subscriber.language", s->language},
        {NEED_DEVICE, "subscriber.device.operating_system", s->device_os},
    };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        bool applies = fields[i].need != NEED_DEVICE || o->sim_type == SIM_ESIM;
        if ((partner->needs & fields[i].need) && applies && !given(fields[i].value))
            require(err, fields[i].path);
    }
}

enum err_kind order_rules(const struct order *o, const struct partner *partner, struct err *err) {
    if (o->operation == OP_NONE)
        require(err, "operation_type");
    if (o->sim_type == SIM_TYPE_NONE)
        require(err, "sim_type");
    if (o->country[0] == '\0')
        require(err, "country");
    else if (!country_known(str_of(o->country)))
        err_add(err, ERR_INVALID, "country: must be a country code of ISO 3166-1 (two capital letters)");

    rules_product(o, partner, err);
    rules_subscriber(&o->subscriber, err);
    if (o->operation == OP_NONE)
        return err->kind;
    if (o->operation == OP_ACTIVATION)
        rules_activation(o, partner, err);
    if (o->operation == OP_TOPUP || o->sim_type != SIM_TYPE_NONE) {
        if (names_sim(o) && o->iccid == ICCID_NONE)
            require(err, SIM_PATH);
        else if (!names_sim(o) && o->iccid != ICCID_NONE)
            err_add(err, ERR_INVALID, SIM_PATH ": must not be given to activate an eSIM, its profile comes from stock");
    }
    return err->kind;
}

static void world_dates(const struct order *o, const struct product *product, struct wall now, struct err *err) {
    bool waits = wall_set(o->activation) && !date_is_now_or_past(o->activation, now);
    struct wall start = waits ? o->activation : now;
    struct wall end = product ? product_end(product, start) : DATE_LAST;
    if (product && end.ms >= DATE_LAST.ms) // where date arithmetic ends
        err_add(err, ERR_INVALID, "product.activation_date: lies too far ahead");
    if (!wall_set(o->expiration))
        return;
    if (o->expiration.ms <= now.ms)
        err_add(err, ERR_INVALID, EXPIRATION_PATH ": must lie ahead");
    else if (o->expiration.ms <= start.ms)
        err_add(err, ERR_INVALID, EXPIRATION_PATH ": must be after the activation date");
    else if (product && o->expiration.ms > end.ms)
        err_add(err, ERR_INVALID, EXPIRATION_PATH ": must not be later than the activation plus the plan's duration (%" PRId64 " %s)",
                product->duration, duration_unit_words[product->duration_unit]);
}

// The state of a SIM that is this partner's and of the type asked for.
static void world_sim_state(const struct order *o, const struct order_world *world, struct err *err) {
    const struct sim *sim = world->sim;
    if (o->operation == OP_TOPUP) {
        if (sim->service == SIM_ACTIVATING)
            err_add(err, ERR_CONFLICT, SIM_PATH ": is still being activated");
        else if (sim->service != SIM_ACTIVE)
            err_add(err, ERR_CONFLICT, SIM_PATH ": is not activated");
        else if (sim->esim == ESIM_UNAVAILABLE)
            err_add(err, ERR_CONFLICT, SIM_PATH ": is Unavailable and takes no top-up");
    } else {
        if (sim->service == SIM_ACTIVE)
            err_add(err, ERR_CONFLICT, SIM_PATH ": is activated already");
        else if (sim->service == SIM_ACTIVATING || world->sim_has_open_order)
            err_add(err, ERR_CONFLICT, SIM_PATH ": is being activated by another order");
    }
    if (world->open_subscriptions >= SIM_OPEN_SUBSCRIPTIONS_MAX)
        err_add(err, ERR_CONFLICT, SIM_PATH ": has %d subscriptions that are not finished, more are not possible",
                SIM_OPEN_SUBSCRIPTIONS_MAX);
}

static void world_sim(const struct order *o, const struct order_world *world, struct err *err) {
    const struct sim *sim = world->sim;
    if (!sim || sim->partner_id == 0) // the operator's stock is nobody's business
        err_add(err, ERR_INVALID, SIM_PATH ": is not known");
    else if (sim->partner_id != world->partner->id)
        err_add(err, ERR_DENIED, SIM_PATH ": belongs to another partner");
    else if (o->sim_type != SIM_TYPE_NONE && sim->type != o->sim_type)
        err_add(err, ERR_INVALID, "sim_type: the SIM is of type %s", sim_type_name(sim->type));
    else
        world_sim_state(o, world, err);
}

enum err_kind order_rules_world(const struct order *o, const struct order_world *world, struct err *err) {
    const struct product *product = world->product;
    if (!product && !reported(err, "product.id"))
        err_add(err, ERR_INVALID, "product.id: is not in the catalogue");
    else if (product && !product->on_sale)
        err_add(err, ERR_INVALID, "product.id: is not on sale");
    if (product && o->sim_type != SIM_TYPE_NONE && !(product->sim_types & o->sim_type))
        err_add(err, ERR_INVALID, "sim_type: the product is not for %s", sim_type_name(o->sim_type));

    if (world->reference_taken)
        err_add(err, ERR_CONFLICT, "reference: is taken by another order");

    world_dates(o, product, world->now, err);

    if (o->operation == OP_NONE)
        return err->kind;
    if (names_sim(o) && o->iccid != ICCID_NONE)
        world_sim(o, world, err);
    if (o->operation == OP_ACTIVATION) {
        const struct partner *p = world->partner;
        if (p->cap_day > 0 && world->activations_today >= p->cap_day)
            err_add(err, ERR_CAP, "operation_type: the cap of %" PRId64 " new activations a day is used up", p->cap_day);
        if (p->cap_month > 0 && world->activations_this_month >= p->cap_month)
            err_add(err, ERR_CAP, "operation_type: the cap of %" PRId64 " new activations a month is used up", p->cap_month);
    }
    return err->kind;
}

// ---- what it becomes ----

void order_subscription(const struct order *o, const struct product *p, struct wall now, struct subscription *out) {
    *out = (struct subscription){
        .id = o->id,
        .partner_id = o->partner_id,
        .iccid = o->iccid,
        .product_id = p->id,
        .name = p->name,
        .email = o->subscriber.email,
        .created = now,
        .duration = p->duration,
        .duration_unit = p->duration_unit,
        .first_usage = p->first_usage,
        .wanted_expiry = o->expiration,
        .initial_bytes = product_bytes(p),
        .balance_as_of = WALL_NONE,
        .sold = o->sold.currency[0] ? o->sold : p->price,
    };
    memcpy(out->product_public_id, p->public_id, sizeof(out->product_public_id));
    subscription_begin(out, o->activation, now);
}
