// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/date.h"
#include "core/order.h"

static struct wall at(const char *text) {
    struct wall t;
    assert_true(date_parse(str_of(text), &t));
    return t;
}

// A world in which the order below has no fault; each test spoils one thing.
struct scene {
    struct partner partner;
    struct product product;
    struct sim sim;
    struct order order;
    struct order_world world;
    struct err err;
};

static struct scene *scene(struct scene *s, enum operation op, enum sim_type type) {
    *s = (struct scene){
        .partner = {.id = 1, .client_id = STR("truphone"), .currencies = STR("")},
        .product = {.id = 5,
                    .partner_id = 1,
                    .public_id = "kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=",
                    .name = STR("Plan"),
                    .sim_types = SIM_ESIM | SIM_PSIM,
                    .duration = 30,
                    .duration_unit = DURATION_DAYS,
                    .data = 1,
                    .data_unit = DATA_GB,
                    .price = {2000, "EUR"},
                    .on_sale = true},
        .sim = {.iccid = INT64_C(894447260000051074),
                .partner_id = 1,
                .type = type,
                .service = op == OP_TOPUP ? SIM_ACTIVE : SIM_STOCK,
                .esim = type == SIM_ESIM ? ESIM_RELEASED : ESIM_NONE},
        .order = {.partner_id = 1,
                  .operation = op,
                  .sim_type = type,
                  .country = "GB",
                  .product_id = 5,
                  .product_public_id = "kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=",
                  .sold = {2000, "EUR"},
                  .activation = WALL_NONE,
                  .expiration = WALL_NONE,
                  .iccid = op == OP_ACTIVATION && type == SIM_ESIM ? ICCID_NONE : INT64_C(894447260000051074)},
        .world = {.now = at("2026-03-10T12:00:00.300Z")},
    };
    if (op == OP_ACTIVATION)
        s->order.subscriber.email = STR("jo@example.com");
    s->world.partner = &s->partner;
    s->world.product = &s->product;
    if (s->order.iccid != ICCID_NONE)
        s->world.sim = &s->sim;
    return s;
}

// Both sets of rules on one err, as the server does.
static enum err_kind judge(struct scene *s) {
    (void)order_rules(&s->order, &s->partner, &s->err);
    return order_rules_world(&s->order, &s->world, &s->err);
}

static void assert_accepted(struct scene *s) {
    if (judge(s) != ERR_NONE)
        fail_msg("%s", err_first(&s->err));
    assert_int_equal(s->err.count, 0);
}

// Exactly these messages, in this order. The list ends with NULL.
static void assert_faults(struct scene *s, enum err_kind kind, ...) {
    enum err_kind got = judge(s);
    va_list ap;
    va_start(ap, kind);
    const char *want;
    unsigned n = 0;
    while ((want = va_arg(ap, const char *)) != NULL) {
        const char *message = err_message(&s->err, n++);
        if (!message || strcmp(message, want) != 0)
            fail_msg("message %u is \"%s\", not \"%s\"", n, message ? message : "(none)", want);
    }
    va_end(ap);
    if (s->err.count != n)
        fail_msg("one message more: \"%s\"", err_message(&s->err, n));
    assert_int_equal(got, kind);
}

// ---- what is accepted ----

static void order_of_each_kind_is_accepted(void **state) {
    (void)state;
    struct scene s;
    for (int op = OP_ACTIVATION; op <= OP_TOPUP; op++)
        for (int type = SIM_ESIM; type <= SIM_PSIM; type++)
            assert_accepted(scene(&s, op, type));
}

static void order_with_every_field_is_accepted(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_ACTIVATION, SIM_ESIM);
    s.partner.needs = NEED_FIRST_NAME | NEED_LAST_NAME | NEED_COUNTRY_OF_RESIDENCE | NEED_LANGUAGE | NEED_DEVICE;
    s.partner.currencies = STR("USD EUR");
    s.order.subscriber = (struct subscriber){.email = STR("jo@example.com"),
                                             .first_name = STR("Jo"),
                                             .last_name = STR("Bloggs"),
                                             .country_of_residence = STR("IE"),
                                             .language = STR("en-IE"),
                                             .device_os = STR("ios"),
                                             .device_model = STR("phone"),
                                             .device_id = STR("1"),
                                             .device_eid = STR("89049032123451234512345678901235")};
    s.order.activation = at("2026-04-01T00:00:00Z");
    s.order.expiration = at("2026-05-01T00:00:00Z");
    assert_accepted(&s);
}

static void order_of_the_documentation_is_accepted(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.order.activation = at("2020-01-01T00:00:00Z");
    assert_accepted(&s);
}

// ---- fields ----

static void order_names_every_missing_field_at_once(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_ACTIVATION, SIM_PSIM);
    s.order.operation = OP_NONE;
    s.order.sim_type = SIM_TYPE_NONE;
    s.order.country[0] = '\0';
    s.order.product_public_id[0] = '\0';
    s.world.product = NULL;
    assert_faults(&s, ERR_INVALID, "operation_type: is required", "sim_type: is required", "country: is required",
                  "product.id: is required", NULL);

    scene(&s, OP_ACTIVATION, SIM_PSIM);
    s.order.subscriber.email = STR_NONE;
    s.order.iccid = ICCID_NONE;
    s.partner.needs = NEED_FIRST_NAME | NEED_LAST_NAME | NEED_COUNTRY_OF_RESIDENCE | NEED_LANGUAGE | NEED_DEVICE;
    assert_faults(&s, ERR_INVALID, "subscriber.email: is required", "subscriber.first_name: is required",
                  "subscriber.last_name: is required", "subscriber.country_of_residence: is required", "subscriber.language: is required",
                  "subscriber.sim.iccid: is required", NULL);
}

static void order_does_not_call_missing_what_failed_to_parse(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_ACTIVATION, SIM_PSIM);
    s.order.operation = OP_NONE;
    s.order.sim_type = SIM_TYPE_NONE;
    s.order.country[0] = '\0';
    s.order.product_public_id[0] = '\0';
    s.world.product = NULL;
    (void)err_add(&s.err, ERR_INVALID, "operation_type: must be ACTIVATION or TOPUP");
    (void)err_add(&s.err, ERR_INVALID, "sim_type: must be ESIM or PSIM");
    (void)err_add(&s.err, ERR_INVALID, "country: must be a string");
    (void)err_add(&s.err, ERR_INVALID, "product: must be an object");
    (void)judge(&s);
    assert_int_equal(s.err.count, 4);

    // An object that is missing as a whole says so for its fields; a field of a similar name does not.
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.order.iccid = ICCID_NONE;
    (void)err_add(&s.err, ERR_INVALID, "subscriber.sim: must be an object");
    (void)judge(&s);
    assert_int_equal(s.err.count, 1);
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.order.iccid = ICCID_NONE;
    (void)err_add(&s.err, ERR_INVALID, "subscriber.si: is odd");
    (void)err_add(&s.err, ERR_INVALID, "subscriber.sim.iccid2: is odd");
    (void)judge(&s);
    assert_int_equal(s.err.count, 3);
}

static void order_malformed_stays_malformed(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_TOPUP, SIM_PSIM);
    (void)err_add(&s.err, ERR_MALFORMED, "product.activation_date: is not a date");
    s.order.country[0] = '\0';
    s.sim.partner_id = 2;
    assert_int_equal(judge(&s), ERR_MALFORMED);
    assert_int_equal(s.err.count, 3);
}

static void order_fields_must_be_well_formed(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_ACTIVATION, SIM_ESIM);
    memcpy(s.order.country, "gb", 3);
    memcpy(s.order.product_public_id, "not-an-id", 10);
    s.order.subscriber = (struct subscriber){.email = STR("jo"),
                                             .country_of_residence = STR("IRL"),
                                             .language = STR("english please"),
                                             .device_os = STR("iOS"),
                                             .device_eid = STR("123")};
    assert_faults(&s, ERR_INVALID, "country: must be a country code of ISO 3166-1 (two capital letters)",
                  "product.id: must be 43 or 44 characters of URL-safe base64 that end in \"=\"",
                  "subscriber.email: must be an email address",
                  "subscriber.country_of_residence: must be a country code of ISO 3166-1 (two capital letters)",
                  "subscriber.language: must be a language tag such as en or pt-BR",
                  "subscriber.device.operating_system: must be one of ios, android, windows, iot",
                  "subscriber.device.eid: must be 32 digits that begin with 89", NULL);
}

static void order_device_is_needed_for_an_esim_only(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_ACTIVATION, SIM_PSIM);
    s.partner.needs = NEED_DEVICE;
    assert_accepted(&s);
    scene(&s, OP_ACTIVATION, SIM_ESIM);
    s.partner.needs = NEED_DEVICE;
    assert_faults(&s, ERR_INVALID, "subscriber.device.operating_system: is required", NULL);
    scene(&s, OP_TOPUP, SIM_ESIM); // needs are for activations
    s.partner.needs = NEED_DEVICE | NEED_FIRST_NAME;
    assert_accepted(&s);
}

static void order_activates_an_esim_without_naming_it(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_ACTIVATION, SIM_ESIM);
    s.order.iccid = s.sim.iccid;
    assert_faults(&s, ERR_INVALID, "subscriber.sim.iccid: must not be given to activate an eSIM, its profile comes from stock", NULL);
    scene(&s, OP_TOPUP, SIM_ESIM);
    s.order.iccid = ICCID_NONE;
    assert_faults(&s, ERR_INVALID, "subscriber.sim.iccid: is required", NULL);
}

// ---- price ----

static void order_price_and_currency_come_together(void **state) {
    (void)state;
    static const struct {
        struct str price, currency;
        int64_t minor;
        const char *first, *second;
    } cases[] = {
        {STR("20"), STR("EUR"), 2000, NULL, NULL},
        {STR("20.5"), STR("EUR"), 2050, NULL, NULL},
        {STR("20.500"), STR("EUR"), 2050, NULL, NULL},
        {STR("0"), STR("JPY"), 0, NULL, NULL},
        {STR("1.234"), STR("KWD"), 1234, NULL, NULL},
        {STR_NONE, STR_NONE, 0, NULL, NULL},
        {STR("20"), STR_NONE, 0, "product.sold_currency: is required", NULL},
        {STR_NONE, STR("EUR"), 0, "product.sold_price: is required", NULL},
        {STR_NONE, STR("euro"), 0, "product.sold_price: is required", "product.sold_currency: must be a currency code of ISO 4217"},
        {STR("20.005"), STR("EUR"), 0, "product.sold_price: must not have more decimals than EUR has (2)", NULL},
        {STR("20.5"), STR("JPY"), 0, "product.sold_price: must not have more decimals than JPY has (0)", NULL},
        {STR("-1"), STR("EUR"), 0, "product.sold_price: must not be negative", NULL},
        {STR("-1"), STR_NONE, 0, "product.sold_currency: is required", "product.sold_price: must not be negative"},
        {STR("20,00"), STR("EUR"), 0, "product.sold_price: must be a decimal number", NULL},
        {STR("NaN"), STR("EUR"), 0, "product.sold_price: must be a decimal number", NULL},
        {STR("1e2"), STR("EUR"), 0, "product.sold_price: must be a decimal number", NULL},
        {STR("99999999999999999999"), STR("EUR"), 0, "product.sold_price: is too large", NULL},
        {STR("20.5"), STR("XXX"), 0, "product.sold_currency: must be a currency code of ISO 4217", NULL},
        {STR("0.00001"), STR("XXX"), 0, "product.sold_currency: must be a currency code of ISO 4217",
         "product.sold_price: has more decimals than any currency"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        struct money m = {77, "ABC"};
        enum err_kind kind = order_take_price(cases[i].price, cases[i].currency, &m, &err);
        unsigned n = (cases[i].first != NULL) + (cases[i].second != NULL);
        if (err.count != n)
            fail_msg("case %zu: %s", i, err_first(&err));
        assert_int_equal(kind, n ? ERR_INVALID : ERR_NONE);
        if (cases[i].first)
            assert_string_equal(err_message(&err, 0), cases[i].first);
        if (cases[i].second)
            assert_string_equal(err_message(&err, 1), cases[i].second);
        bool amount = n == 0 && str_present(cases[i].price);
        assert_int_equal(m.currency[0] != '\0', amount);
        assert_true(m.minor == cases[i].minor);
    }
}

static void order_price_that_failed_to_parse_is_not_called_missing(void **state) {
    (void)state;
    struct err err = {0};
    struct money m;
    (void)err_add(&err, ERR_INVALID, "product.sold_price: must be a number");
    assert_int_equal(order_take_price(STR_NONE, STR("EUR"), &m, &err), ERR_INVALID);
    assert_int_equal(err.count, 1);
}

static void order_currency_must_be_one_that_the_partner_may_use(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.partner.currencies = STR("USD GBP");
    assert_faults(&s, ERR_INVALID, "product.sold_currency: must be one of USD GBP", NULL);
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.order.sold = (struct money){-1, "EUR"};
    assert_faults(&s, ERR_INVALID, "product.sold_price: must not be negative", NULL);
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.order.sold = (struct money){MONEY_MINOR_MAX + 1, "XYZ"};
    assert_faults(&s, ERR_INVALID, "product.sold_price: is too large", "product.sold_currency: must be a currency code of ISO 4217", NULL);
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.partner.currencies = STR("USD GBP"); // the product's own price stands, whatever it is in
    s.order.sold = (struct money){0};
    assert_accepted(&s);
}

// ---- dates: now is 2026-03-10T12:00:00.3Z, the plan has 30 days ----

static void order_dates_keep_to_the_plan(void **state) {
    (void)state;
    static const char ahead[] = "product.expiration_date: must lie ahead";
    static const char after[] = "product.expiration_date: must be after the activation date";
    static const char later[] = "product.expiration_date: must not be later than the activation plus the plan's duration (30 DAYS)";
    static const char far[] = "product.activation_date: lies too far ahead";
    static const struct {
        const char *activation, *expiration, *fault;
    } cases[] = {
        {NULL, "2026-03-10T12:00:01Z", NULL},
        {NULL, "2026-03-10T12:00:00.301Z", NULL},
        {NULL, "2026-03-10T12:00:00.300Z", ahead},
        {NULL, "2026-03-10T12:00:00Z", ahead},
        {NULL, "2026-04-09T12:00:00Z", NULL},
        {NULL, "2026-04-09T12:00:00.300Z", NULL},
        {NULL, "2026-04-09T12:00:01Z", later},
        {"2020-01-01T00:00:00Z", "2020-01-31T00:00:00Z", ahead}, // the past counts as now
        {"2020-01-01T00:00:00Z", "2026-04-09T12:00:00Z", NULL},
        {"2020-01-01T00:00:00Z", "2026-04-10T00:00:00Z", later},
        {"2026-03-10T12:00:00.999Z", "2026-03-10T12:00:00.500Z", NULL}, // in this second: at once
        {"2026-04-01T00:00:00Z", NULL, NULL},
        {"2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z", NULL},
        {"2026-04-01T00:00:00Z", "2026-05-01T00:00:01Z", later},
        {"2026-04-01T00:00:00Z", "2026-04-01T00:00:00Z", after},
        {"2026-04-01T00:00:00Z", "2026-03-20T00:00:00Z", after},
        {"2026-04-01T00:00:00Z", "2026-04-01T00:00:01Z", NULL},
        {"2026-04-01T00:00:00Z", "2026-03-01T00:00:00Z", ahead},
        {"9999-12-01T00:00:00Z", NULL, NULL},
        {"9999-12-31T00:00:00Z", NULL, far},
        {"9999-12-31T23:59:59Z", NULL, far},
    };
    for (int first_usage = 0; first_usage <= 1; first_usage++) {
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            struct scene s;
            scene(&s, OP_TOPUP, SIM_PSIM);
            s.product.first_usage = first_usage;
            if (cases[i].activation)
                s.order.activation = at(cases[i].activation);
            if (cases[i].expiration)
                s.order.expiration = at(cases[i].expiration);
            enum err_kind kind = judge(&s);
            if (s.err.count != (cases[i].fault != NULL) || (cases[i].fault && strcmp(err_first(&s.err), cases[i].fault) != 0))
                fail_msg("case %zu: %s", i, err_first(&s.err));
            assert_int_equal(kind, cases[i].fault ? ERR_INVALID : ERR_NONE);
            if (kind != ERR_NONE)
                continue;
            // What is accepted makes a subscription that lives.
            struct subscription sub;
            order_subscription(&s.order, &s.product, s.world.now, &sub);
            assert_false(subscription_finished(sub.state));
            if (wall_set(sub.activation) && wall_set(sub.expiry))
                assert_true(sub.activation.ms < sub.expiry.ms);
        }
    }
}

static void order_dates_are_judged_without_a_product_too(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.world.product = NULL;
    s.order.expiration = at("2020-01-01T00:00:00Z");
    assert_faults(&s, ERR_INVALID, "product.id: is not in the catalogue", "product.expiration_date: must lie ahead", NULL);
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.world.product = NULL;
    s.order.expiration = at("2090-01-01T00:00:00Z");
    assert_faults(&s, ERR_INVALID, "product.id: is not in the catalogue", NULL);
}

// ---- the world ----

static void order_product_must_be_on_sale_and_for_the_sim_type(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.product.on_sale = false;
    s.product.sim_types = SIM_ESIM;
    assert_faults(&s, ERR_INVALID, "product.id: is not on sale", "sim_type: the product is not for PSIM", NULL);
}

static void order_sim_must_be_known_and_the_partners(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.world.sim = NULL;
    assert_faults(&s, ERR_INVALID, "subscriber.sim.iccid: is not known", NULL);
    scene(&s, OP_TOPUP, SIM_ESIM);
    s.sim.partner_id = 0; // general stock
    assert_faults(&s, ERR_INVALID, "subscriber.sim.iccid: is not known", NULL);
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.sim.partner_id = 2;
    s.sim.service = SIM_STOCK; // of another partner's SIM nothing more is told
    assert_faults(&s, ERR_DENIED, "subscriber.sim.iccid: belongs to another partner", NULL);
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.sim.type = SIM_ESIM;
    assert_faults(&s, ERR_INVALID, "sim_type: the SIM is of type ESIM", NULL);
}

static void order_topup_needs_an_activated_sim(void **state) {
    (void)state;
    struct scene s;
    for (int type = SIM_ESIM; type <= SIM_PSIM; type++) {
        scene(&s, OP_TOPUP, type);
        s.sim.service = SIM_STOCK;
        assert_faults(&s, ERR_CONFLICT, "subscriber.sim.iccid: is not activated", NULL);
        scene(&s, OP_TOPUP, type);
        s.sim.service = SIM_ACTIVATING;
        assert_faults(&s, ERR_CONFLICT, "subscriber.sim.iccid: is still being activated", NULL);
        scene(&s, OP_TOPUP, type); // another top-up in work is no obstacle
        s.world.sim_has_open_order = true;
        assert_accepted(&s);
    }
}

static void order_topup_needs_an_esim_that_is_available(void **state) {
    (void)state;
    struct scene s;
    for (int status = ESIM_RELEASED; status < ESIM_UNAVAILABLE; status++) {
        scene(&s, OP_TOPUP, SIM_ESIM);
        s.sim.esim = status;
        assert_accepted(&s);
    }
    scene(&s, OP_TOPUP, SIM_ESIM);
    s.sim.esim = ESIM_UNAVAILABLE;
    assert_faults(&s, ERR_CONFLICT, "subscriber.sim.iccid: is Unavailable and takes no top-up", NULL);
}

static void order_activation_needs_a_psim_that_is_not_activated(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_ACTIVATION, SIM_PSIM);
    s.sim.service = SIM_ACTIVE;
    assert_faults(&s, ERR_CONFLICT, "subscriber.sim.iccid: is activated already", NULL);
    scene(&s, OP_ACTIVATION, SIM_PSIM);
    s.sim.service = SIM_ACTIVATING;
    assert_faults(&s, ERR_CONFLICT, "subscriber.sim.iccid: is being activated by another order", NULL);
    scene(&s, OP_ACTIVATION, SIM_PSIM);
    s.world.sim_has_open_order = true;
    assert_faults(&s, ERR_CONFLICT, "subscriber.sim.iccid: is being activated by another order", NULL);
}

static void order_finds_room_for_15_open_subscriptions(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.world.open_subscriptions = 14;
    assert_accepted(&s);
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.world.open_subscriptions = 15;
    assert_faults(&s, ERR_CONFLICT, "subscriber.sim.iccid: has 15 subscriptions that are not finished, more are not possible", NULL);
}

static void order_reference_is_taken_once(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.world.reference_taken = true;
    assert_faults(&s, ERR_CONFLICT, "reference: is taken by another order", NULL);
}

static void order_activations_keep_to_the_caps(void **state) {
    (void)state;
    static const char day[] = "operation_type: the cap of 10 new activations a day is used up";
    static const char month[] = "operation_type: the cap of 100 new activations a month is used up";
    struct scene s;
    for (int type = SIM_ESIM; type <= SIM_PSIM; type++) {
        scene(&s, OP_ACTIVATION, type);
        s.partner.cap_day = 10;
        s.partner.cap_month = 100;
        s.world.activations_today = 9;
        s.world.activations_this_month = 99;
        assert_accepted(&s);
        s.world.activations_today = 10;
        assert_faults(&s, ERR_CAP, day, NULL);
        err_clear(&s.err);
        s.world.activations_this_month = 100;
        assert_faults(&s, ERR_CAP, day, month, NULL);
    }
    scene(&s, OP_ACTIVATION, SIM_PSIM); // no cap
    s.world.activations_today = s.world.activations_this_month = 1000000;
    assert_accepted(&s);
    scene(&s, OP_TOPUP, SIM_PSIM); // top-ups do not count
    s.partner.cap_day = 10;
    s.world.activations_today = 10;
    assert_accepted(&s);
}

static void order_faults_of_the_body_come_before_those_of_the_world(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_ACTIVATION, SIM_PSIM);
    s.partner.cap_day = 1;
    s.world.activations_today = 1;
    s.sim.service = SIM_ACTIVE;
    assert_faults(&s, ERR_CONFLICT, "subscriber.sim.iccid: is activated already",
                  "operation_type: the cap of 1 new activations a day is used up", NULL);
    err_clear(&s.err);
    s.sim.partner_id = 2;
    assert_int_equal(judge(&s), ERR_DENIED);
    err_clear(&s.err);
    s.order.subscriber.email = STR_NONE;
    assert_int_equal(judge(&s), ERR_INVALID);
    assert_int_equal(s.err.count, 3);
}

// ---- states ----

static void order_states_move_as_the_header_says(void **state) {
    (void)state;
    static const char *const rows[] = {
        [ORDER_ACCEPTED] = ".+++",
        [ORDER_FULFILLING] = "..++",
        [ORDER_COMPLETED] = "....",
        [ORDER_FAILED] = "....",
    };
    for (int from = ORDER_ACCEPTED; from <= ORDER_FAILED; from++) {
        for (int to = ORDER_ACCEPTED; to <= ORDER_FAILED; to++)
            assert_int_equal(order_may(from, to), rows[from][to] == '+');
        assert_int_equal(order_finished(from), from >= ORDER_COMPLETED);
    }
    assert_string_equal(order_state_words[ORDER_FAILED], "FAILED");
    assert_null(order_state_words[ORDER_FAILED + 1]);
    assert_string_equal(operation_words[OP_TOPUP], "TOPUP");
    assert_null(operation_words[OP_TOPUP + 1]);
}

// ---- what it becomes ----

static void order_makes_a_subscription_of_its_product(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_ACTIVATION, SIM_PSIM);
    memset(s.order.id.b, 0x5a, sizeof(s.order.id.b));
    s.order.sold = (struct money){1500, "USD"};
    s.order.expiration = at("2026-03-20T00:00:00Z");
    struct subscription sub;
    order_subscription(&s.order, &s.product, s.world.now, &sub);
    assert_true(uuid_eq(sub.id, s.order.id));
    assert_int_equal(sub.partner_id, 1);
    assert_true(sub.iccid == s.order.iccid);
    assert_int_equal(sub.product_id, 5);
    assert_string_equal(sub.product_public_id, s.product.public_id);
    assert_true(str_is(sub.name, "Plan"));
    assert_true(str_is(sub.email, "jo@example.com"));
    assert_int_equal(sub.state, SUB_ACTIVE);
    assert_true(sub.created.ms == s.world.now.ms);
    assert_true(sub.activation.ms == s.world.now.ms);
    assert_true(sub.expiry.ms == s.order.expiration.ms);
    assert_true(sub.wanted_expiry.ms == s.order.expiration.ms);
    assert_true(sub.initial_bytes == INT64_C(1073741824));
    assert_true(sub.spent_bytes == 0);
    assert_false(wall_set(sub.balance_as_of));
    assert_true(sub.sold.minor == 1500);
    assert_string_equal(sub.sold.currency, "USD");
    assert_int_equal(sub.duration, 30);

    s.order.sold = (struct money){0}; // nothing named: the catalogue's price
    order_subscription(&s.order, &s.product, s.world.now, &sub);
    assert_true(sub.sold.minor == 2000);
    assert_string_equal(sub.sold.currency, "EUR");
}

static void order_done_after_its_expiration_makes_an_expired_subscription(void **state) {
    (void)state;
    struct scene s;
    scene(&s, OP_TOPUP, SIM_PSIM);
    s.order.activation = at("2026-03-15T00:00:00Z");
    s.order.expiration = at("2026-03-20T00:00:00Z");
    struct subscription sub;
    order_subscription(&s.order, &s.product, at("2026-03-21T00:00:00Z"), &sub);
    assert_int_equal(sub.state, SUB_EXPIRED);
    assert_int_equal(sub.end, SUB_END_EXPIRED);
    assert_false(wall_set(sub.next_at));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_of_each_kind_is_accepted),
        cmocka_unit_test(order_with_every_field_is_accepted),
        cmocka_unit_test(order_of_the_documentation_is_accepted),
        cmocka_unit_test(order_names_every_missing_field_at_once),
        cmocka_unit_test(order_does_not_call_missing_what_failed_to_parse),
        cmocka_unit_test(order_malformed_stays_malformed),
        cmocka_unit_test(order_fields_must_be_well_formed),
        cmocka_unit_test(order_device_is_needed_for_an_esim_only),
        cmocka_unit_test(order_activates_an_esim_without_naming_it),
        cmocka_unit_test(order_price_and_currency_come_together),
        cmocka_unit_test(order_price_that_failed_to_parse_is_not_called_missing),
        cmocka_unit_test(order_currency_must_be_one_that_the_partner_may_use),
        cmocka_unit_test(order_dates_keep_to_the_plan),
        cmocka_unit_test(order_dates_are_judged_without_a_product_too),
        cmocka_unit_test(order_product_must_be_on_sale_and_for_the_sim_type),
        cmocka_unit_test(order_sim_must_be_known_and_the_partners),
        cmocka_unit_test(order_topup_needs_an_activated_sim),
        cmocka_unit_test(order_topup_needs_an_esim_that_is_available),
        cmocka_unit_test(order_activation_needs_a_psim_that_is_not_activated),
        cmocka_unit_test(order_finds_room_for_15_open_subscriptions),
        cmocka_unit_test(order_reference_is_taken_once),
        cmocka_unit_test(order_activations_keep_to_the_caps),
        cmocka_unit_test(order_faults_of_the_body_come_before_those_of_the_world),
        cmocka_unit_test(order_states_move_as_the_header_says),
        cmocka_unit_test(order_makes_a_subscription_of_its_product),
        cmocka_unit_test(order_done_after_its_expiration_makes_an_expired_subscription),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
