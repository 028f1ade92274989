// SPDX-License-Identifier: Apache-2.0
#include "api/api_test_support.h"

#include "core/task.h"
#include "store/store_event.h"
#include "store/store_order.h"
#include "store/store_partner.h"
#include "store/store_sim.h"

static struct api_test t;
static struct answer a;

static int setup(void **state UNUSED) {
    api_test_open(&t);
    return 0;
}

static int teardown(void **state UNUSED) {
    answer_release(&a);
    api_test_close(&t);
    return 0;
}

#define TOPUP_OF(iccid, product)                                                                                                           \
    "{\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":{\"id\":\"" product                                \
    "\"},\"subscriber\":{\"sim\":{\"iccid\":\"" iccid "\"}}}"
#define TOPUP TOPUP_OF(PSIM_ACTIVE, PRODUCT_BOTH)
#define TOPUP_ESIM(iccid)                                                                                                                  \
    "{\"operation_type\":\"TOPUP\",\"sim_type\":\"ESIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_ESIM                           \
    "\"},\"subscriber\":{\"sim\":{\"iccid\":\"" iccid "\"}}}"
#define ACTIVATION_PSIM                                                                                                                    \
    "{\"operation_type\":\"ACTIVATION\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_BOTH                      \
    "\"},\"subscriber\":{\"email\":\"john@doe.com\",\"sim\":{\"iccid\":\"" PSIM_STOCK "\"}}}"
#define ACTIVATION_ESIM                                                                                                                    \
    "{\"operation_type\":\"ACTIVATION\",\"sim_type\":\"ESIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_ESIM                      \
    "\"},\"subscriber\":{\"email\":\"john@doe.com\"}}"

static char placed[UUID_TEXT];

// Places an order that must be accepted and keeps its id.
static const char *place(const char *body) {
    POST("/v2/orders", body);
    assert_answer(&a, 202);
    assert_true(str_to_buf(str_of(answer_text(&a, "id")), placed, sizeof placed));
    return placed;
}

static const char *at(const char *prefix, const char *id) {
    static char text[256];
    assert_true(snprintf(text, sizeof text, "%s%s", prefix, id) < (int)sizeof text);
    return text;
}

// ---- what is in the store ----

struct seen {
    struct uuid id;
    struct task tasks[PLAN_MAX];
    size_t n_tasks;
    int64_t events, orders;
    struct event last;
    struct sim psim_stock;
    int64_t day, month;
};

static enum err_kind see(struct tx *tx, void *ctx, struct err *err) {
    struct seen *s = ctx;
    struct task *tasks;
    struct event *events;
    struct order *orders;
    enum err_kind kind;
    size_t n;
    iccid_t iccid;
    struct order_filter filter = {.state = -1, .iccid = ICCID_NONE, .before = WALL_NONE, .after = WALL_NONE};
    if ((kind = store_task_of_order(tx, s->id, &t.arena, &tasks, &s->n_tasks, err)) ||
        (kind = store_event_list(tx, t.partner[0].id, 0, 100, &t.arena, &events, &n, err)) ||
        (kind = store_order_list(tx, &filter, 0, 1, &t.arena, &orders, &(size_t){0}, &s->orders, err)))
        return kind;
    assert_true(s->n_tasks <= PLAN_MAX);
    memcpy(s->tasks, tasks, s->n_tasks * sizeof *tasks);
    s->events = (int64_t)n;
    if (n)
        s->last = events[n - 1];
    assert_int_equal(iccid_parse(STR(PSIM_STOCK), &iccid), ICCID_OK);
    if ((kind = store_sim_get(tx, iccid, &t.arena, &s->psim_stock, err)) ||
        (kind = store_cap_get(tx, t.partner[0].id, 20261123, &s->day, err)))
        return kind;
    return store_cap_get(tx, t.partner[0].id, 202611, &s->month, err);
}

static struct seen look(const char *order_id) {
    struct seen s = {0};
    if (order_id)
        assert_true(uuid_parse(str_of(order_id), &s.id));
    api_test_job(&t, see, &s);
    return s;
}

// ---- accepted ----

static void the_documentations_order_is_accepted_and_completes(void **state UNUSED) {
    static const struct header headers[] = {{"X-Correlation-ID", "unique-id-from-requester-123"}, {NULL, NULL}};
    api_test_call(
        &t, &a, 0, HTTP_POST, "/connect-api/v2/orders",
        "{      \"operation_type\": \"TOPUP\",      \"sim_type\": \"PSIM\",      \"country\": \"GB\",      \"product\": {        \"id\": "
        "\"" PRODUCT_BOTH "\",        \"sold_price\": 20,        \"sold_currency\": \"EUR\",        \"activation_date\": "
        "\"2020-01-01T00:00:00Z\"      },      \"subscriber\": {        \"sim\": {          \"iccid\": \"" PSIM_ACTIVE
        "\"        }      }}",
        headers);
    assert_answer(&a, 202);
    assert_string_equal(a.content_type, "application/json");
    char id[UUID_TEXT];
    assert_true(str_to_buf(str_of(answer_text(&a, "id")), id, sizeof id));
    char self[256];
    snprintf(self, sizeof self, TEST_BASE_URL "/v2/orders/%s", id);
    assert_string_equal(a.location, self);
    assert_string_equal(answer_text(&a, "status"), "ACCEPTED");
    assert_string_equal(answer_text(&a, "created_date"), TEST_NOW);
    assert_string_equal(answer_text(&a, "_metadata._links._self"), self);
    assert_string_equal(answer_text(&a, "_metadata.links._self"), self);
    assert_null(answer_at(&a, "type"));

    GET(at("/v2/orders/", id));
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "status"), "ACCEPTED");
    assert_null(answer_at(&a, "output"));
    assert_null(answer_at(&a, "type"));

    api_test_complete(&t, id);
    GET(at("/connect-api/v2/orders/", id));
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "status"), "COMPLETED");
    assert_string_equal(answer_text(&a, "output.iccid"), PSIM_ACTIVE);
    assert_int_equal(strlen(answer_text(&a, "output.subscription_id")), 44);
    assert_null(answer_at(&a, "output.matching_id"));
    assert_string_equal(answer_text(&a, "_metadata.links._sim"), TEST_BASE_URL "/v2/sims/" PSIM_ACTIVE);
    assert_true(str_starts(str_of(answer_text(&a, "_metadata.links._subscription")), TEST_BASE_URL "/v2/subscriptions/"));
    assert_null(answer_at(&a, "_metadata.links._lpa"));
}

static void accepting_writes_tasks_and_an_event(void **state UNUSED) {
    place(TOPUP);
    struct seen s = look(placed);
    assert_true(s.n_tasks >= 1);
    for (size_t i = 0; i < s.n_tasks; i++) {
        assert_int_equal(s.tasks[i].step, i);
        assert_int_equal(s.tasks[i].state, i == 0 ? TASK_READY : TASK_BLOCKED);
        assert_int_equal(s.tasks[i].verb, TASK_START);
        assert_int_equal(s.tasks[i].partner_id, t.partner[0].id);
    }
    assert_int_equal(s.events, 1);
    assert_int_equal(s.last.type, EVENT_ORDER_ACCEPTED);
    assert_int_equal(s.last.sequence, 1);
    assert_true(uuid_eq(s.last.order_id, s.id));
    struct order o;
    struct order_was was;
    struct err err = {0};
    assert_int_equal(event_unpack_order(s.last.payload, &t.arena, &o, &was, &err), ERR_NONE);
    assert_int_equal(was.past, PAST_NONE);
    assert_true(uuid_eq(o.id, s.id));
    assert_int_equal(s.day, 0); // a top-up is no new activation
}

static void an_order_waits_for_an_earlier_one_on_its_sim(void **state UNUSED) {
    char first[UUID_TEXT];
    memcpy(first, place(TOPUP), sizeof first);
    place(TOPUP);
    struct seen s = look(placed);
    for (size_t i = 0; i < s.n_tasks; i++)
        assert_int_equal(s.tasks[i].state, TASK_BLOCKED);
    api_test_complete(&t, first);
    place(TOPUP_ESIM(ESIM_OK)); // another SIM does not wait
    assert_int_equal(look(placed).tasks[0].state, TASK_READY);
    assert_true(strcmp(first, placed) < 0); // ids grow
}

static void a_psim_is_activated_once(void **state UNUSED) {
    place(ACTIVATION_PSIM);
    struct seen s = look(placed);
    assert_int_equal(s.psim_stock.service, SIM_ACTIVATING);
    assert_int_equal(s.day, 1);
    assert_int_equal(s.month, 1);
    POST("/v2/orders", ACTIVATION_PSIM);
    assert_problem(&a, 409, "CONFLICT", "subscriber.sim.iccid: ", NULL);
    POST("/v2/orders", TOPUP_OF(PSIM_STOCK, PRODUCT_BOTH));
    assert_problem(&a, 409, "CONFLICT", "subscriber.sim.iccid: ", NULL);
    GET("/v2/sims/" PSIM_STOCK);
    assert_answer(&a, 404);
    api_test_complete(&t, placed);
    GET("/v2/sims/" PSIM_STOCK);
    assert_answer(&a, 200);
    POST("/v2/orders", ACTIVATION_PSIM);
    assert_problem(&a, 409, "CONFLICT", "subscriber.sim.iccid: ", NULL);
    place(TOPUP_OF(PSIM_STOCK, PRODUCT_BOTH));
}

static enum err_kind add_profile(struct tx *tx, void *ctx UNUSED, struct err *err) {
    struct sim s = {.partner_id = 0,
                    .type = SIM_ESIM,
                    .service = SIM_STOCK,
                    .esim = ESIM_RELEASED,
                    .matching_id = STR("7D-STOCK-0001"),
                    .smdp = STR("smdp.example.com"),
                    .activated = WALL_NONE,
                    .modified = tx_now(tx)};
    assert_int_equal(iccid_parse(STR(SIM_NOBODY), &s.iccid), ICCID_OK);
    return store_sim_insert(tx, &s, err);
}

static void a_new_esim_shows_how_to_install_it(void **state UNUSED) {
    api_test_job(&t, add_profile, NULL);
    place(ACTIVATION_ESIM);
    assert_int_equal(look(placed).month, 1);
    api_test_complete(&t, placed);
    GET(at("/v2/orders/", placed));
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "output.matching_id"), "7D-STOCK-0001");
    assert_string_equal(answer_text(&a, "output.iccid"), SIM_NOBODY);
    assert_string_equal(answer_text(&a, "_metadata.links._lpa"), "1$smdp.example.com$7D-STOCK-0001");
    assert_string_equal(answer_text(&a, "_metadata.links._smdp"), "smdp.example.com");
    assert_string_equal(answer_text(&a, "_metadata.links._qrcode"), TEST_QR_URL "/LPA:1$smdp.example.com$7D-STOCK-0001");
}

static void a_top_up_of_an_esim_shows_its_profile(void **state UNUSED) {
    place(TOPUP_ESIM(ESIM_OK));
    api_test_complete(&t, placed);
    GET(at("/v2/orders/", placed));
    assert_string_equal(answer_text(&a, "output.matching_id"), "6C-DA326D-K86D");
    assert_string_equal(answer_text(&a, "_metadata.links._lpa"), "1$smdp.example.com$6C-DA326D-K86D");
}

static void a_failed_order_says_why(void **state UNUSED) {
    place(ACTIVATION_ESIM);
    api_test_fail(&t, placed, "no eSIM profile is in stock");
    GET(at("/v2/orders/", placed));
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "status"), "FAILED");
    assert_string_equal(answer_text(&a, "messages.0"), "no eSIM profile is in stock");
    assert_null(answer_at(&a, "type"));
    assert_null(answer_at(&a, "output"));
}

// ---- refused ----

static void what_the_world_forbids(void **state UNUSED) {
    static const struct {
        const char *body;
        int status;
        const char *type, *message;
    } rows[] = {
        {TOPUP_OF(PSIM_ACTIVE, PRODUCT_NONE), 400, "INVALID_REQUEST_PARAMS", "product.id: is not in the catalogue"},
        {TOPUP_OF(PSIM_ACTIVE, PRODUCT_OFF), 400, "INVALID_REQUEST_PARAMS", "product.id: is not on sale"},
        {TOPUP_OF(PSIM_ACTIVE, PRODUCT_ESIM), 400, "INVALID_REQUEST_PARAMS", "sim_type: the product is not for PSIM"},
        {TOPUP_OF(ESIM_OK, PRODUCT_BOTH), 400, "INVALID_REQUEST_PARAMS", "sim_type: the SIM is of type ESIM"},
        {TOPUP_OF(SIM_NOBODY, PRODUCT_BOTH), 400, "INVALID_REQUEST_PARAMS", "subscriber.sim.iccid: is not known"},
        {TOPUP_OF(PSIM_OTHER, PRODUCT_BOTH), 403, "ACCESS_DENIED", "subscriber.sim.iccid: belongs to another partner"},
        {TOPUP_OF(PSIM_STOCK, PRODUCT_BOTH), 409, "CONFLICT", "subscriber.sim.iccid: is not activated"},
        {TOPUP_ESIM(ESIM_GONE), 409, "CONFLICT", "subscriber.sim.iccid: is Unavailable"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        POST("/v2/orders", rows[i].body);
        assert_problem(&a, rows[i].status, rows[i].type, rows[i].message, NULL);
    }
    struct seen s = look(NULL);
    assert_int_equal(s.orders, 0);
    assert_int_equal(s.events, 0);
    assert_int_equal(s.month, 0);
    assert_int_equal(s.psim_stock.service, SIM_STOCK);
}

static void faults_of_body_and_world_are_reported_together(void **state UNUSED) {
    POST("/v2/orders", "{\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"product\":{\"id\":\"" PRODUCT_NONE
                       "\"},\"subscriber\":{\"sim\":{\"iccid\":\"" SIM_NOBODY "\"}}}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "country: is required", "product.id: is not in the catalogue",
                   "subscriber.sim.iccid: is not known", NULL);
    POST("/v2/orders", "{\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_NONE
                       "\",\"activation_date\":\"2021-02-30T00:00:00Z\"},\"subscriber\":{\"sim\":{\"iccid\":\"" PSIM_ACTIVE "\"}}}");
    assert_problem(&a, 400, "INVALID_HTTP_MESSAGE", "product.activation_date: ", "product.id: is not in the catalogue", NULL);
    assert_int_equal(look(NULL).orders, 0);
}

static void dates_follow_the_plan(void **state UNUSED) {
    static const struct {
        const char *dates;
        const char *message; // NULL: accepted
    } rows[] = {
        {"\"activation_date\":\"2020-01-01T00:00:00Z\"", NULL},
        {"\"activation_date\":\"2026-12-01T00:00:00.500+02:00\"", NULL},
        {"\"expiration_date\":\"2026-12-23T12:00:00Z\"", NULL},
        {"\"expiration_date\":\"2026-12-23T12:00:01Z\"", "product.expiration_date: must not be later"},
        {"\"expiration_date\":\"2026-11-23T12:00:00Z\"", "product.expiration_date: must lie ahead"},
        {"\"activation_date\":\"2026-12-01T00:00:00Z\",\"expiration_date\":\"2026-12-01T00:00:00Z\"",
         "product.expiration_date: must be after"},
        {"\"activation_date\":\"2026-12-01T00:00:00Z\",\"expiration_date\":\"2026-12-31T00:00:00Z\"", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char body[1024];
        snprintf(body, sizeof body,
                 "{\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_BOTH
                 "\",%s},\"subscriber\":{\"sim\":{\"iccid\":\"" PSIM_ACTIVE "\"}}}",
                 rows[i].dates);
        POST("/v2/orders", body);
        if (rows[i].message)
            assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", rows[i].message, NULL);
        else
            assert_answer(&a, 202);
    }
}

static void a_sim_takes_fifteen_unfinished_subscriptions(void **state UNUSED) {
    for (int i = 0; i < SIM_OPEN_SUBSCRIPTIONS_MAX; i++) {
        place(TOPUP);
        if (i % 2)
            api_test_complete(&t, placed); // open orders and open subscriptions count alike
    }
    POST("/v2/orders", TOPUP);
    assert_problem(&a, 409, "CONFLICT", "subscriber.sim.iccid: has 15 subscriptions", NULL);
}

static enum err_kind set_caps(struct tx *tx, void *ctx, struct err *err) {
    const int64_t *caps = ctx;
    struct partner p = t.partner[0];
    p.cap_day = caps[0];
    p.cap_month = caps[1];
    tx_news(tx, NEWS_PARTNERS);
    return store_partner_update(tx, &p, err);
}

static void the_cap_of_new_activations_holds(void **state UNUSED) {
    place(ACTIVATION_ESIM); // counted before there is a cap
    api_test_job(&t, set_caps, (int64_t[]){2, 3});
    clock_manual_advance(&t.clock_state, 2000); // the partner's row is looked at again
    place(ACTIVATION_ESIM);
    POST("/v2/orders", ACTIVATION_ESIM);
    assert_problem(&a, 406, "UNACCEPTABLE", "operation_type: the cap of 2 new activations a day", NULL);
    place(TOPUP); // no new activation
    assert_int_equal(look(NULL).day, 2);
}

static void a_reference_is_taken_once(void **state UNUSED) {
#define WITH_REFERENCE                                                                                                                     \
    "{\"reference\":\"basket "                                                                                                             \
    "12\",\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_BOTH                       \
    "\"},\"subscriber\":{\"sim\":{\"iccid\":\"" PSIM_ACTIVE "\"}}}"
    place(WITH_REFERENCE);
    assert_string_equal(answer_text(&a, "reference"), "basket 12");
    POST("/v2/orders", WITH_REFERENCE);
    assert_problem(&a, 409, "CONFLICT", "reference: is taken by another order", NULL);
    POST("/v2/orders", "{\"reference\":\"basket 12\",\"operation_type\":\"TOPUP\"}"); // beside all other faults
    assert_answer(&a, 400);
    assert_non_null(strstr(a.body.p, "reference: is taken"));
    api_test_call(&t, &a, 1, HTTP_POST, "/v2/orders",
                  "{\"reference\":\"basket "
                  "12\",\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_BOTH
                  "\"},\"subscriber\":{\"sim\":{\"iccid\":\"" PSIM_OTHER "\"}}}",
                  NULL); // another partner's are its own
    assert_answer(&a, 202);
    assert_int_equal(look(placed).events, 1);
    GET("/v2/orders?reference=basket%2012");
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "data.0.id"), placed);
    assert_string_equal(answer_text(&a, "data.0.reference"), "basket 12");
}

static void a_body_that_is_no_object_is_malformed(void **state UNUSED) {
    static const char *const bodies[] = {"", "[]", "null", "{", "\"x\"", "{\"a\":1}}", "{\"a\":\"\xff\"}", "{\"a\":1,\"a\":1}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        POST("/v2/orders", bodies[i]);
        assert_answer(&a, 400);
        assert_string_equal(answer_text(&a, "type"), "INVALID_HTTP_MESSAGE");
    }
    static const struct header text[] = {{"Content-Type", "text/plain"}, {NULL, NULL}};
    api_test_call(&t, &a, 0, HTTP_POST, "/v2/orders", TOPUP, text);
    assert_problem(&a, 415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type", NULL);
    api_test_call(&t, &a, -1, HTTP_POST, "/v2/orders", TOPUP, NULL);
    assert_answer(&a, 401);
}

// ---- reading ----

static void orders_of_others_are_denied_and_unknown_ones_not_found(void **state UNUSED) {
    place(TOPUP);
    api_test_call(&t, &a, 1, HTTP_GET, at("/v2/orders/", placed), NULL, NULL);
    assert_problem(&a, 403, "ACCESS_DENIED", "id: ", NULL);
    static const char *const unknown[] = {"6d41c4ff-1877-4d13-82b0-7dad02c4b02a", "00000000-0000-0000-0000-000000000000", "x", "1",
                                          "%27%20OR%201=1"};
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        GET(at("/v2/orders/", unknown[i]));
        assert_problem(&a, 404, "NOT_FOUND", "id: ", NULL);
    }
    api_test_call(&t, &a, 1, HTTP_GET, "/v2/orders", NULL, NULL);
    assert_int_equal(json_array_size(answer_at(&a, "data")), 0);
}

static size_t count(const char *query) {
    GET(query);
    assert_answer(&a, 200);
    return json_array_size(answer_at(&a, "data"));
}

static void orders_are_listed_newest_first_and_filtered(void **state UNUSED) {
    char ids[3][UUID_TEXT];
    static const struct header headers[] = {{"X-Correlation-ID", "mine"}, {NULL, NULL}};
    memcpy(ids[0], place(TOPUP), UUID_TEXT);
    clock_manual_advance(&t.clock_state, 10000);
    memcpy(ids[1], place(TOPUP_ESIM(ESIM_OK)), UUID_TEXT);
    clock_manual_advance(&t.clock_state, 10000);
    api_test_call(&t, &a, 0, HTTP_POST, "/v2/orders", TOPUP, headers);
    assert_answer(&a, 202);
    memcpy(ids[2], answer_text(&a, "id"), UUID_TEXT);
    api_test_complete(&t, ids[0]);

    assert_int_equal(count("/v2/orders"), 3);
    assert_string_equal(answer_text(&a, "data.0.id"), ids[2]);
    assert_string_equal(answer_text(&a, "data.2.id"), ids[0]);
    assert_int_equal(json_integer_value(answer_at(&a, "_metadata.page_count")), 1);
    assert_int_equal(count("/v2/orders?page_size=2&page=2"), 1);
    assert_string_equal(answer_text(&a, "data.0.id"), ids[0]);
    assert_int_equal(json_integer_value(answer_at(&a, "_metadata.page_count")), 2);
    assert_non_null(answer_at(&a, "_metadata.links._prev"));
    assert_null(answer_at(&a, "_metadata.links._next"));
    assert_int_equal(count("/v2/orders?page=7"), 0);
    assert_int_equal(count("/v2/orders?status=COMPLETED"), 1);
    assert_int_equal(count("/v2/orders?status=ACCEPTED"), 2);
    assert_int_equal(count("/v2/orders?iccid=" ESIM_OK), 1);
    assert_int_equal(count("/v2/orders?iccid=" PSIM_ACTIVE "&status=ACCEPTED"), 1);
    assert_int_equal(count("/v2/orders?correlation_id=mine"), 1);
    assert_string_equal(answer_text(&a, "data.0.id"), ids[2]);
    assert_int_equal(count("/v2/orders?after=2026-11-23T12:00:00Z"), 2);
    assert_int_equal(count("/v2/orders?before=2026-11-23T12:00:10Z"), 1);
    assert_int_equal(count("/v2/orders?unknown=1"), 3);

    GET("/v2/orders?status=DONE&iccid=1&before=yesterday&page=0&page_size=101");
    assert_problem(&a, 400, "INVALID_HTTP_MESSAGE", "status: ", "iccid: ", "before: ", "page: ", "page_size: ", NULL);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_documentations_order_is_accepted_and_completes),
        TEST(accepting_writes_tasks_and_an_event),
        TEST(an_order_waits_for_an_earlier_one_on_its_sim),
        TEST(a_psim_is_activated_once),
        TEST(a_new_esim_shows_how_to_install_it),
        TEST(a_top_up_of_an_esim_shows_its_profile),
        TEST(a_failed_order_says_why),
        TEST(what_the_world_forbids),
        TEST(faults_of_body_and_world_are_reported_together),
        TEST(dates_follow_the_plan),
        TEST(a_sim_takes_fifteen_unfinished_subscriptions),
        TEST(the_cap_of_new_activations_holds),
        TEST(a_reference_is_taken_once),
        TEST(a_body_that_is_no_object_is_malformed),
        TEST(orders_of_others_are_denied_and_unknown_ones_not_found),
        TEST(orders_are_listed_newest_first_and_filtered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
