// SPDX-License-Identifier: Apache-2.0
#include "render/render.h"

#include "base/date.h"
#include "base/testing.h"

#define BASE "https://api.example.com/connect-api"
#define QR "https://api.example.com/connect/qrcode/v1/esim"
#define PRODUCT "wp-_bXkuC26SFDSRMHyiAQK7LJ6MtiWyr3zLfwB7FM="
#define ICCID "8944472600000510740"
#define ORDER_ID "0192f3c0-1877-7d13-82b0-7dad02c00007"

static const struct links links = {BASE, QR};

static struct wall date(const char *text) {
    struct wall t;
    assert_true(date_parse(str_of(text), &t));
    return t;
}

static iccid_t iccid_of(const char *text) {
    iccid_t iccid;
    assert_int_equal(iccid_parse(str_of(text), &iccid), ICCID_OK);
    return iccid;
}

static struct uuid order_id(void) {
    struct uuid id;
    assert_true(uuid_parse(STR(ORDER_ID), &id));
    return id;
}

// The text that a renderer must have written: %s stands for the subscription id that belongs to ORDER_ID.
static void assert_written(struct buf *out, const char *expected_fmt) {
    char id[LONG_ID_TEXT], expected[4096];
    long_id_format(order_id(), id);
    size_t n = 0;
    for (const char *p = expected_fmt; *p; p++) {
        assert_true(n + LONG_ID_TEXT < sizeof expected);
        if (p[0] == '%' && p[1] == 's') {
            memcpy(expected + n, id, strlen(id));
            n += strlen(id);
            p++;
        } else {
            expected[n++] = *p;
        }
    }
    expected[n] = '\0';
    assert_false(out->failed);
    assert_string_equal(out->p, expected);
    buf_release(out);
}

static struct jw writer(struct buf *out) {
    buf_init(out, 64 * 1024);
    return jw_on(out);
}

static struct order an_order(enum order_state state) {
    struct order o = {
        .id = order_id(),
        .partner_id = 7,
        .state = state,
        .operation = OP_TOPUP,
        .sim_type = SIM_PSIM,
        .iccid = iccid_of(ICCID),
        .created = date("2021-02-24T09:00:00.999Z"),
        .activation = WALL_NONE,
        .expiration = WALL_NONE,
        .finished = WALL_NONE,
    };
    return o;
}

static void a_new_order_has_both_spellings_of_its_link(void **state UNUSED) {
    struct buf out;
    struct jw w = writer(&out);
    struct order o = an_order(ORDER_ACCEPTED);
    render_order_created(&w, NULL, links, &o);
    assert_written(&out, "{\"id\":\"" ORDER_ID "\",\"status\":\"ACCEPTED\",\"created_date\":\"2021-02-24T09:00:00Z\",\"_metadata\":{"
                         "\"_links\":{\"_self\":\"" BASE "/v2/orders/" ORDER_ID "\"},\"links\":{\"_self\":\"" BASE "/v2/orders/" ORDER_ID
                         "\"}}}");
}

static void an_order_in_work_has_no_output(void **state UNUSED) {
    static const char *const words[] = {"ACCEPTED", "FULFILLING"};
    for (int s = ORDER_ACCEPTED; s <= ORDER_FULFILLING; s++) {
        struct buf out;
        struct jw w = writer(&out);
        struct order o = an_order((enum order_state)s);
        o.reference = STR("basket \"12\"");
        render_order(&w, NULL, links, &o);
        char expected[1024];
        snprintf(expected, sizeof expected,
                 "{\"id\":\"" ORDER_ID "\",\"status\":\"%s\",\"created_date\":\"2021-02-24T09:00:00Z\",\"reference\":\"basket \\\"12\\\"\","
                 "\"_metadata\":{\"links\":{\"_self\":\"" BASE "/v2/orders/" ORDER_ID "\"}}}",
                 words[s]);
        assert_written(&out, expected);
    }
}

static void a_completed_psim_order_has_no_esim_field(void **state UNUSED) {
    struct buf out;
    struct jw w = writer(&out);
    struct order o = an_order(ORDER_COMPLETED);
    render_order(&w, NULL, links, &o);
    assert_written(&out, "{\"id\":\"" ORDER_ID
                         "\",\"status\":\"COMPLETED\",\"created_date\":\"2021-02-24T09:00:00Z\",\"output\":{\"iccid\":\"" ICCID
                         "\",\"subscription_id\":\"%s\"},\"_metadata\":{\"links\":{\"_self\":\"" BASE "/v2/orders/" ORDER_ID
                         "\",\"_sim\":\"" BASE "/v2/sims/" ICCID "\",\"_subscription\":\"" BASE "/v2/subscriptions/%s\"}}}");
}

static void a_completed_esim_order_says_how_to_install_it(void **state UNUSED) {
    struct buf out;
    struct jw w = writer(&out);
    struct order o = an_order(ORDER_COMPLETED);
    o.operation = OP_ACTIVATION;
    o.sim_type = SIM_ESIM;
    o.matching_id = STR("6C-DA326D-K86D");
    o.smdp = STR("smdp.example.com");
    render_order(&w, NULL, links, &o);
    assert_written(&out, "{\"id\":\"" ORDER_ID "\",\"status\":\"COMPLETED\",\"created_date\":\"2021-02-24T09:00:00Z\",\"output\":{"
                         "\"matching_id\":\"6C-DA326D-K86D\",\"iccid\":\"" ICCID "\",\"subscription_id\":\"%s\"},\"_metadata\":{\"links\":{"
                         "\"_self\":\"" BASE "/v2/orders/" ORDER_ID "\",\"_sim\":\"" BASE "/v2/sims/" ICCID "\",\"_subscription\":\"" BASE
                         "/v2/subscriptions/%s\",\"_lpa\":\"1$smdp.example.com$6C-DA326D-K86D\",\"_qrcode\":\"" QR
                         "/LPA:1$smdp.example.com$6C-DA326D-K86D\",\"_smdp\":\"smdp.example.com\"}}}");
}

static void a_failed_order_says_why(void **state UNUSED) {
    static const struct {
        struct str failure;
        const char *messages;
    } cases[] = {
        {{"no eSIM profile is in stock", 27}, "[\"no eSIM profile is in stock\"]"},
        {{"one\n\ntwo\n", 9}, "[\"one\",\"two\"]"},
        {{NULL, 0}, "[\"the order could not be fulfilled\"]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        struct jw w = writer(&out);
        struct order o = an_order(ORDER_FAILED);
        o.failure = cases[i].failure;
        render_order(&w, NULL, links, &o);
        char expected[1024];
        snprintf(expected, sizeof expected,
                 "{\"id\":\"" ORDER_ID "\",\"status\":\"FAILED\",\"created_date\":\"2021-02-24T09:00:00Z\",\"messages\":%s,"
                 "\"_metadata\":{\"links\":{\"_self\":\"" BASE "/v2/orders/" ORDER_ID "\"}}}",
                 cases[i].messages);
        assert_written(&out, expected);
    }
}

static void a_product(void **state UNUSED) {
    struct product p = {
        .name = STR("Plan name"),
        .public_id = PRODUCT,
        .sim_types = SIM_ESIM | SIM_PSIM,
        .duration = 90,
        .duration_unit = DURATION_DAYS,
        .data = 50,
        .data_unit = DATA_MB,
        .price = {2050, "EUR"},
        .footprint_code = STR("GLOBAL"),
    };
    struct buf out;
    struct jw w = writer(&out);
    render_product(&w, NULL, links, &p);
    assert_written(&out, "{\"id\":\"" PRODUCT "\",\"name\":\"Plan name\",\"sim_type\":[\"ESIM\",\"PSIM\"],\"duration\":90,"
                         "\"duration_unit\":\"DAYS\",\"data\":50,\"data_unit\":\"MB\",\"price\":20.5,\"price_currency\":\"EUR\","
                         "\"footprint_code\":\"GLOBAL\",\"_metadata\":{\"links\":{\"_self\":\"" BASE "/v2/products/" PRODUCT "\"}}}");

    p.sim_types = SIM_ESIM;
    p.price = (struct money){2000, "JPY"};
    p.duration_unit = DURATION_MONTHS;
    p.data_unit = DATA_GB;
    w = writer(&out);
    render_product(&w, NULL, links, &p);
    assert_written(&out,
                   "{\"id\":\"" PRODUCT "\",\"name\":\"Plan name\",\"sim_type\":[\"ESIM\"],\"duration\":90,\"duration_unit\":\"MONTHS\","
                   "\"data\":50,\"data_unit\":\"GB\",\"price\":2000,\"price_currency\":\"JPY\",\"footprint_code\":\"GLOBAL\","
                   "\"_metadata\":{\"links\":{\"_self\":\"" BASE "/v2/products/" PRODUCT "\"}}}");
}

static void a_psim_has_no_status(void **state UNUSED) {
    struct sim s = {
        .iccid = iccid_of(ICCID), .partner_id = 7, .type = SIM_PSIM, .service = SIM_ACTIVE, .modified = date("2021-02-24T09:00:00Z")};
    struct buf out;
    struct jw w = writer(&out);
    render_sim(&w, NULL, links, &s);
    assert_written(&out,
                   "{\"iccid\":\"" ICCID "\",\"sim_type\":\"PSIM\",\"last_modified\":\"2021-02-24T09:00:00Z\",\"_metadata\":{\"links\":{"
                   "\"_self\":\"" BASE "/v2/sims/" ICCID "\",\"_subscriptions\":\"" BASE "/v2/subscriptions?iccid=" ICCID "\"}}}");
}

static void an_esim_shows_its_profile(void **state UNUSED) {
    struct sim s = {
        .iccid = iccid_of(ICCID),
        .partner_id = 7,
        .type = SIM_ESIM,
        .service = SIM_ACTIVE,
        .esim = ESIM_RELEASED,
        .matching_id = STR("6C-DA326D-K86D"),
        .smdp = STR("smdp.example.com"),
        .modified = date("2021-02-24T09:00:00Z"),
    };
    struct buf out;
    struct jw w = writer(&out);
    render_sim(&w, NULL, links, &s);
    assert_written(&out,
                   "{\"iccid\":\"" ICCID "\",\"sim_type\":\"ESIM\",\"status\":\"Released\",\"matching_id\":\"6C-DA326D-K86D\","
                   "\"last_modified\":\"2021-02-24T09:00:00Z\",\"_metadata\":{\"links\":{\"_self\":\"" BASE "/v2/sims/" ICCID
                   "\",\"_subscriptions\":\"" BASE "/v2/subscriptions?iccid=" ICCID
                   "\",\"_lpa\":\"LPA:1$smdp.example.com$6C-DA326D-K86D\",\"_qrcode\":\"" QR "/LPA:1$smdp.example.com$6C-DA326D-K86D\"}}}");
    s.eid = STR("89049032000000000000000000000024");
    w = writer(&out);
    render_sim(&w, NULL, links, &s);
    assert_non_null(strstr(out.p, "\"eid\":\"89049032000000000000000000000024\""));
    buf_release(&out);
}

static struct subscription a_subscription(enum subscription_state state) {
    struct subscription s = {
        .id = order_id(),
        .partner_id = 7,
        .iccid = iccid_of(ICCID),
        .product_public_id = PRODUCT,
        .name = STR("Plan name"),
        .state = state,
        .created = date("2021-02-24T09:00:00Z"),
        .activation = date("2021-02-24T09:00:00Z"),
        .expiry = date("2021-05-25T09:00:00Z"),
        .next_at = WALL_NONE,
        .balance_as_of = WALL_NONE,
        .wanted_expiry = WALL_NONE,
        .initial_bytes = 52428800,
        .spent_bytes = 1000,
        .sold = {2000, "EUR"},
    };
    return s;
}

static void a_subscription_in_use(void **state UNUSED) {
    struct subscription s = a_subscription(SUB_ACTIVE);
    struct buf out;
    struct jw w = writer(&out);
    render_subscription(&w, NULL, links, &s);
    assert_written(&out, "{\"id\":\"%s\",\"name\":\"Plan name\",\"sim_id\":\"" ICCID "\",\"product_id\":\"" PRODUCT
                         "\",\"created_date\":\"2021-02-24T09:00:00Z\",\"activation_date\":\"2021-02-24T09:00:00Z\","
                         "\"expiry_date\":\"2021-05-25T09:00:00Z\",\"status\":\"ACTIVE\",\"initial_balance\":52428800,"
                         "\"current_balance\":52427800,\"spend_balance\":1000,\"spent_balance\":1000,\"balance_units\":\"Bytes\","
                         "\"sold_product_price\":20,\"sold_product_currency\":\"EUR\",\"_metadata\":{\"links\":{\"_self\":\"" BASE
                         "/v2/subscriptions/%s\",\"_sim\":\"" BASE "/v2/sims/" ICCID "\",\"_product\":\"" BASE "/v2/products/" PRODUCT
                         "\",\"_expire\":\"" BASE "/v2/subscriptions/%s/expire\"}}}");
}

static void links_to_moves_are_there_while_they_are_allowed(void **state UNUSED) {
    static const struct {
        enum subscription_state state;
        bool activate, expire;
    } rows[] = {{SUB_PENDING, true, true}, {SUB_ACTIVE, false, true}, {SUB_DEPLETED, false, false}, {SUB_EXPIRED, false, false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct subscription s = a_subscription(rows[i].state);
        struct buf out;
        struct jw w = writer(&out);
        render_subscription(&w, NULL, links, &s);
        assert_int_equal(strstr(out.p, "\"_activate\":") != NULL, rows[i].activate);
        assert_int_equal(strstr(out.p, "\"_expire\":") != NULL, rows[i].expire);
        buf_release(&out);
    }
}

static void dates_that_are_not_known_are_left_out_and_a_balance_is_never_negative(void **state UNUSED) {
    struct subscription s = a_subscription(SUB_PENDING_USAGE);
    s.activation = s.expiry = WALL_NONE;
    s.spent_bytes = s.initial_bytes + 1;
    s.balance_as_of = date("2021-02-25T00:00:00Z");
    struct buf out;
    struct jw w = writer(&out);
    render_subscription(&w, NULL, links, &s);
    assert_null(strstr(out.p, "activation_date"));
    assert_null(strstr(out.p, "expiry_date"));
    assert_non_null(strstr(out.p, "\"current_balance\":0,"));
    assert_non_null(strstr(out.p, "\"balance_as_of\":\"2021-02-25T00:00:00Z\""));
    buf_release(&out);
}

static void preferences_are_a_list(void **state UNUSED) {
    const struct sim_notification list[] = {{NOTIFY_USAGE_THRESHOLD, STR("https://u:p@example.com/a?b=c")},
                                            {NOTIFY_DOWNLOAD_PROGRESS, STR("http://example.com")}};
    struct buf out;
    struct jw w = writer(&out);
    render_preferences(&w, NULL, links, iccid_of(ICCID), list, ARRAY_LEN(list));
    assert_written(&out,
                   "{\"notifications\":[{\"type\":\"USAGE_THRESHOLD\",\"webhook_url\":\"https://u:p@example.com/a?b=c\"},"
                   "{\"type\":\"DOWNLOAD_PROGRESS\",\"webhook_url\":\"http://example.com\"}],\"_metadata\":{\"links\":{\"_self\":\"" BASE
                   "/v2/sims/" ICCID "/preferences\",\"_sim\":\"" BASE "/v2/sims/" ICCID "\"}}}");
}

static void a_link_that_is_too_long_fails_the_reply(void **state UNUSED) {
    char base[4096];
    memset(base, 'a', sizeof base - 1);
    base[sizeof base - 1] = '\0';
    static const size_t lengths[] = {4095, 2048, 2047, 2040};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        base[lengths[i]] = '\0';
        struct buf out;
        struct jw w = writer(&out);
        struct order o = an_order(ORDER_ACCEPTED);
        render_order(&w, NULL, (struct links){base, QR}, &o);
        assert_true(out.failed);
        buf_release(&out);
    }
}

// ---- webhooks ----

static struct webhook hook(void) {
    return (struct webhook){.id = order_id(),
                            .partner_id = 7,
                            .url = STR("https://hooks.example.com/in"),
                            .types = STR("order.* sim.activated"),
                            .state = WEBHOOK_ENABLED,
                            .created = date("2026-11-23T12:00:00Z"),
                            .modified = date("2026-11-23T12:00:01Z"),
                            .cursor = 12,
                            .due = WALL_NONE,
                            .failing_since = WALL_NONE,
                            .lease_until = WALL_NONE};
}

static void webhook_shows_its_secret_once_and_never_its_lease(void **state UNUSED) {
    struct buf out;
    struct webhook h = hook();
    buf_init(&out, 1 << 16);
    struct jw w = jw_on(&out);
    render_webhook(&w, NULL, links, &h, STR("whsec_x"));
    assert_string_equal(out.p,
                        "{\"id\":\"" ORDER_ID "\",\"url\":\"https://hooks.example.com/in\",\"types\":[\"order.*\",\"sim.activated\"],"
                        "\"enabled\":true,\"status\":\"ENABLED\",\"secret\":\"whsec_x\",\"created_date\":\"2026-11-23T12:00:00Z\","
                        "\"last_modified\":\"2026-11-23T12:00:01Z\",\"next_sequence\":12,\"failed_attempts\":0,\"_metadata\":{\"links\":{"
                        "\"_self\":\"" BASE "/v2/webhooks/" ORDER_ID "\",\"_deliveries\":\"" BASE "/v2/webhooks/" ORDER_ID "/deliveries\","
                        "\"_test\":\"" BASE "/v2/webhooks/" ORDER_ID "/test\",\"_replay\":\"" BASE "/v2/webhooks/" ORDER_ID "/replay\","
                        "\"_rotate_secret\":\"" BASE "/v2/webhooks/" ORDER_ID "/rotate-secret\"}}}");
    buf_clear(&out);
    w = jw_on(&out);
    h.state = WEBHOOK_FAILED;
    h.failing_since = date("2026-11-18T12:00:00Z");
    render_webhook(&w, NULL, links, &h, STR_NONE);
    assert_null(strstr(out.p, "\"secret\":"));
    assert_non_null(strstr(out.p, "\"enabled\":false,\"status\":\"FAILED\""));
    assert_non_null(strstr(out.p, "\"failing_since\":\"2026-11-18T12:00:00Z\""));
    buf_release(&out);
}

static void delivery_shows_what_came_back(void **state UNUSED) {
    struct buf out;
    struct webhook_delivery d = {.id = order_id(),
                                 .webhook_id = order_id(),
                                 .partner_id = 7,
                                 .kind = DELIVERY_EVENT,
                                 .outcome = DELIVERY_FAILED,
                                 .sequence = 3,
                                 .event_type = EVENT_ORDER_COMPLETED,
                                 .event_created = date("2026-11-23T12:00:00Z"),
                                 .attempt = 2,
                                 .tried = date("2026-11-23T12:00:05Z"),
                                 .duration_ms = 31,
                                 .status = 503,
                                 .answer = STR("busy"),
                                 .next = date("2026-11-23T12:01:05Z")};
    buf_init(&out, 1 << 16);
    struct jw w = jw_on(&out);
    render_delivery(&w, NULL, links, &d);
    const char *const parts[] = {
        "\"kind\":\"EVENT\",\"outcome\":\"FAILED\",\"event_id\":\"evt_",
        ("\"event_sequence\":3,\"event_type\":\"order.completed\",\"attempt\":2,\"attempted_date\":\"2026-11-23T12:00:05Z\","
         "\"duration_ms\":31,\"answer\":{\"status\":503,\"body\":\"busy\"},\"next_attempt_date\":\"2026-11-23T12:01:05Z\""),
        "/redeliver\""};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        assert_non_null(strstr(out.p, parts[i]));
    buf_clear(&out);
    w = jw_on(&out);
    d.kind = DELIVERY_TEST;
    d.outcome = DELIVERY_PENDING;
    d.sequence = d.status = 0;
    d.tried = d.next = WALL_NONE;
    render_delivery(&w, NULL, links, &d);
    assert_null(strstr(out.p, "event_id"));
    assert_null(strstr(out.p, "answer"));
    assert_null(strstr(out.p, "redeliver"));
    buf_release(&out);
}

// ---- notifications of one SIM ----

static void notification_of_event(enum event_type type, struct str payload, const char *expected) {
    struct buf out;
    struct arena a;
    struct err err = {0};
    bool wanted = false;
    struct event e = {.partner_id = 7,
                      .sequence = 3,
                      .type = type,
                      .created = date("2026-11-23T12:00:00Z"),
                      .iccid = iccid_of(ICCID),
                      .payload = payload};
    char id[EVENT_ID_TEXT];
    event_id_format(&e, id);
    buf_init(&out, 1 << 16);
    arena_init(&a, 1 << 16);
    struct jw w = jw_on(&out);
    assert_int_equal(render_notification(&w, &e, &a, &wanted, &err), ERR_NONE);
    assert_int_equal(wanted, expected != NULL);
    if (expected) {
        char text[1024];
        snprintf(text, sizeof text, "{\"id\":\"%s\",%s}", id + 4, expected);
        assert_string_equal(out.p, text);
    } else {
        assert_int_equal(out.n, 0);
    }
    arena_release(&a);
    buf_release(&out);
}

static void notifications_have_the_documented_payloads(void **state UNUSED) {
    struct buf p;
    char sub[LONG_ID_TEXT], expected[512];
    struct subscription s = {.id = order_id(),
                             .partner_id = 7,
                             .iccid = iccid_of(ICCID),
                             .product_public_id = PRODUCT,
                             .name = STR("Plan name"),
                             .state = SUB_ACTIVE,
                             .created = date("2026-11-01T00:00:00Z"),
                             .activation = date("2026-11-01T00:00:00Z"),
                             .expiry = date("2026-12-01T00:00:00Z"),
                             .next_at = WALL_NONE,
                             .wanted_expiry = WALL_NONE,
                             .balance_as_of = WALL_NONE,
                             .initial_bytes = 1000,
                             .spent_bytes = 850,
                             .sold = {2000, "EUR"}};
    long_id_format(s.id, sub);
    buf_init(&p, EVENT_PAYLOAD_MAX);
    event_pack_subscription(&p, &s, NULL, 80);
    snprintf(expected, sizeof expected,
             "\"type\":\"USAGE_THRESHOLD\",\"iccid\":\"" ICCID "\",\"subscription_id\":\"%s\",\"threshold\":80,"
             "\"expiration_date\":\"2026-12-01T00:00:00Z\",\"current_balance\":150",
             sub);
    notification_of_event(EVENT_SUBSCRIPTION_THRESHOLD, buf_str(&p), expected);
    buf_clear(&p);
    event_pack_subscription(&p, &s, NULL, 50); // the partner's own threshold: not this notification's
    notification_of_event(EVENT_SUBSCRIPTION_THRESHOLD, buf_str(&p), NULL);

    s.state = SUB_EXPIRED;
    s.end = SUB_END_EXPIRED_BY_CALL;
    s.expiry = WALL_NONE;
    buf_clear(&p);
    event_pack_subscription(&p, &s, NULL, 0);
    snprintf(expected, sizeof expected,
             "\"type\":\"SUBSCRIPTION_END\",\"iccid\":\"" ICCID "\",\"subscription_id\":\"%s\",\"expiration_date\":null,"
             "\"current_balance\":150",
             sub);
    notification_of_event(EVENT_SUBSCRIPTION_EXPIRED, buf_str(&p), expected);

    struct sim sim = {.iccid = iccid_of(ICCID), .type = SIM_ESIM, .service = SIM_ACTIVE, .esim = ESIM_DOWNLOADED, .activated = WALL_NONE};
    struct profile_progress progress = {
        .point = POINT_DOWNLOADED, .status = PROGRESS_SUCCESS, .eid = STR("89049032000000000000000000000001")};
    buf_clear(&p);
    event_pack_progress(&p, &sim, &progress);
    snprintf(expected, sizeof expected,
             "\"type\":\"DOWNLOAD_PROGRESS\",\"iccid\":\"" ICCID "\",\"eid\":\"89049032000000000000000000000001\","
             "\"download_progress_step\":3,\"notification_point_description\":\"%s\",\"notification_status\":\"Executed-Success\"",
             notification_point_text(POINT_DOWNLOADED));
    notification_of_event(EVENT_SIM_DOWNLOAD_PROGRESS, buf_str(&p), expected);
    notification_of_event(EVENT_ORDER_COMPLETED, STR("x"), NULL);
    buf_release(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_order_has_both_spellings_of_its_link),
        cmocka_unit_test(an_order_in_work_has_no_output),
        cmocka_unit_test(a_completed_psim_order_has_no_esim_field),
        cmocka_unit_test(a_completed_esim_order_says_how_to_install_it),
        cmocka_unit_test(a_failed_order_says_why),
        cmocka_unit_test(a_product),
        cmocka_unit_test(a_psim_has_no_status),
        cmocka_unit_test(an_esim_shows_its_profile),
        cmocka_unit_test(a_subscription_in_use),
        cmocka_unit_test(links_to_moves_are_there_while_they_are_allowed),
        cmocka_unit_test(dates_that_are_not_known_are_left_out_and_a_balance_is_never_negative),
        cmocka_unit_test(preferences_are_a_list),
        cmocka_unit_test(a_link_that_is_too_long_fails_the_reply),
        cmocka_unit_test(webhook_shows_its_secret_once_and_never_its_lease),
        cmocka_unit_test(delivery_shows_what_came_back),
        cmocka_unit_test(notifications_have_the_documented_payloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
