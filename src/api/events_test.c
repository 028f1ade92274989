// SPDX-License-Identifier: Apache-2.0
#include "api/api_test_support.h"

#include "life/life.h"
#include "store/store_event.h"
#include "store/store_order.h"
#include "store/store_partner.h"
#include "store/store_sim.h"
#include "store/store_subscription.h"

static struct api_test t;
static struct answer a;
static char placed[UUID_TEXT];

static int setup(void **state UNUSED) {
    api_test_open(&t);
    return 0;
}

static int teardown(void **state UNUSED) {
    answer_release(&a);
    api_test_close(&t);
    return 0;
}

#define TOPUP                                                                                                                              \
    "{\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_BOTH                           \
    "\"},\"subscriber\":{\"sim\":{\"iccid\":\"" PSIM_ACTIVE "\"}}}"

static const char *place(void) {
    struct answer b = {0};
    api_test_call(&t, &b, 0, HTTP_POST, "/v2/orders", TOPUP, NULL);
    assert_answer(&b, 202);
    assert_true(str_to_buf(str_of(answer_text(&b, "id")), placed, sizeof placed));
    answer_release(&b);
    return placed;
}

static void complete(void) {
    api_test_complete(&t, place());
}

static int64_t number(const char *path) {
    json_t *v = answer_at(&a, path);
    assert_true(json_is_integer(v));
    return json_integer_value(v);
}

static const char *text(const char *path) {
    return answer_text(&a, path);
}

// The sequences of the page, such as "1 2 5".
static void assert_sequences(const char *expected) {
    char found[1024] = "";
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(answer_at(&a, "data")); i++)
        n += (size_t)snprintf(found + n, sizeof found - n, "%s%lld", i ? " " : "",
                              (long long)json_integer_value(json_object_get(json_array_get(answer_at(&a, "data"), i), "sequence")));
    assert_string_equal(found, expected);
}

static void follow(const char *link) {
    char url[512];
    snprintf(url, sizeof url, "_metadata.links.%s", link);
    const char *target = text(url);
    assert_true(str_starts(str_of(target), TEST_BASE_URL "/v2/"));
    assert_true(str_to_buf(str_of(target + strlen(TEST_BASE_URL)), url, sizeof url));
    GET(url);
    assert_answer(&a, 200);
}

// ---- pages ----

static void an_event_shows_the_resource_and_what_changed(void **state UNUSED) {
    complete();
    GET("/v2/events");
    assert_answer(&a, 200);
    assert_null(answer_at(&a, "type"));
    assert_sequences("1 2");
    assert_string_equal(text("data.0.type"), "order.accepted");
    assert_string_equal(text("data.0.created_at"), TEST_NOW);
    assert_string_equal(text("data.0.data.id"), placed);
    assert_string_equal(text("data.0.data.status"), "ACCEPTED");
    assert_true(json_is_null(answer_at(&a, "data.0.changes.status.before")));
    assert_string_equal(text("data.0.changes.status.after"), "ACCEPTED");
    assert_string_equal(text("data.1.type"), "order.completed");
    assert_string_equal(text("data.1.changes.status.before"), "ACCEPTED");
    assert_string_equal(text("data.1.changes.status.after"), "COMPLETED");
    assert_true(str_starts(str_of(text("data.0.id")), "evt_"));
    assert_int_equal(number("_metadata.oldest"), 1);
    assert_int_equal(number("_metadata.newest"), 2);

    // just as the API shows it, and the same each time
    json_t *data = json_incref(answer_at(&a, "data.1.data"));
    json_t *events = json_incref(answer_at(&a, "data"));
    char target[128];
    snprintf(target, sizeof target, "/v2/orders/%s", placed);
    GET(target);
    assert_true(json_equal(a.json, data));
    GET("/v2/events?after=0");
    assert_true(json_equal(answer_at(&a, "data"), events));
    json_decref(data);
    json_decref(events);
}

static void nobody_sees_anothers_events(void **state UNUSED) {
    complete();
    api_test_call(&t, &a, 1, HTTP_GET, "/v2/events", NULL, NULL);
    assert_answer(&a, 200);
    assert_sequences("");
    assert_int_equal(number("_metadata.newest"), 0);
    assert_int_equal(number("_metadata.oldest"), 1);
    api_test_call(&t, &a, -1, HTTP_GET, "/v2/events", NULL, NULL);
    assert_answer(&a, 401);
}

static void links_lead_through_the_log_without_drifting(void **state UNUSED) {
    for (int i = 0; i < 3; i++)
        complete(); // 1 ... 6
    GET("/v2/events?limit=2");
    assert_sequences("1 2");
    follow("_next");
    assert_sequences("3 4");
    complete(); // 7, 8
    follow("_self");
    assert_sequences("3 4");
    follow("_next");
    assert_sequences("5 6");
    follow("_next");
    assert_sequences("7 8");
    follow("_next");
    assert_sequences("");
    follow("_next"); // the end is a place, too
    assert_sequences("");
    complete();
    follow("_self");
    assert_sequences("9 10");
    GET("/v2/events?after=latest");
    assert_sequences("");
    complete();
    follow("_next");
    assert_sequences("11 12");
}

static void types_are_chosen_by_name_and_group(void **state UNUSED) {
    complete();
    complete();
    GET("/v2/events?type=order.completed");
    assert_sequences("2 4");
    GET("/v2/events?type=order.accepted,order.completed&limit=3");
    assert_sequences("1 2 3");
    follow("_next");
    assert_sequences("4");
    GET("/v2/events?type=order.*");
    assert_sequences("1 2 3 4");
    GET("/v2/events?type=sim.*,subscription.threshold");
    assert_sequences("");
    // what was looked at need not be looked at again
    assert_string_equal(text("_metadata.links._next"), TEST_BASE_URL "/v2/events?after=4&limit=100&type=sim.*,subscription.threshold");
}

static void what_is_asked_wrongly_is_refused(void **state UNUSED) {
    complete();
    static const struct {
        const char *target, *message;
    } rows[] = {
        {"/v2/events?after=-1", "after: must be the sequence"},
        {"/v2/events?after=x", "after: must be the sequence"},
        {"/v2/events?after=99999999999999999999", "after: must be"},
        {"/v2/events?after=3", "after: there is no event 3 yet; the newest is 2"},
        {"/v2/events?limit=0", "limit: must be a whole number from 1 to 1000"},
        {"/v2/events?limit=1001", "limit: must be"},
        {"/v2/events?type=order.lost", "type: \"order.lost\" is no type"},
        {"/v2/events?type=order.completed,", "type: \"\" is no type"},
        {"/v2/events?wait=61", "wait: must be a whole number from 0 to 60"},
        {"/v2/events?wait=soon", "wait: must be"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        GET(rows[i].target);
        assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", rows[i].message, NULL);
    }
    GET("/v2/events?after=x&limit=x&type=x&wait=x");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "after: ", "limit: ", "type: ", "wait: ", NULL);
    static const struct header stream[] = {{"Accept", "text/event-stream"}, {"Last-Event-ID", "abc"}, {NULL, NULL}};
    api_test_call(&t, &a, 0, HTTP_GET, "/v2/events", NULL, stream);
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "Last-Event-ID: ", NULL);
}

// ---- what each kind of change says ----

static enum err_kind use_esim(struct tx *tx, void *ctx UNUSED, struct err *err) {
    struct sim sim;
    iccid_t iccid;
    assert_int_equal(iccid_parse(STR(ESIM_OK), &iccid), ICCID_OK);
    enum err_kind kind = store_sim_get(tx, iccid, &t.arena, &sim, err);
    struct profile_progress p = {.point = POINT_INSTALLED, .status = PROGRESS_SUCCESS, .eid = STR("89049032000000000000000000000001")};
    return kind ? kind : life_profile_progress(tx, &sim, &p, tx_now(tx), err);
}

static void changes_of_a_profile_are_told_one_by_one(void **state UNUSED) {
    api_test_job(&t, use_esim, NULL);
    GET("/v2/events?type=sim.*");
    assert_answer(&a, 200);
    assert_int_equal(json_array_size(answer_at(&a, "data")), 4);
    assert_string_equal(text("data.0.type"), "sim.eid_changed");
    assert_true(json_is_null(answer_at(&a, "data.0.changes.eid.before")));
    assert_string_equal(text("data.0.changes.eid.after"), "89049032000000000000000000000001");
    assert_null(answer_at(&a, "data.0.changes.status"));
    assert_string_equal(text("data.1.type"), "sim.download_progress");
    assert_int_equal(number("data.1.progress.download_progress_step"), POINT_INSTALLED);
    assert_string_equal(text("data.1.progress.notification_status"), "Executed-Success");
    assert_string_equal(text("data.2.changes.status.before"), "Released");
    assert_string_equal(text("data.2.changes.status.after"), "Downloaded");
    assert_string_equal(text("data.3.changes.status.before"), "Downloaded");
    assert_string_equal(text("data.3.changes.status.after"), "Installed");
    assert_string_equal(text("data.3.data.iccid"), ESIM_OK);
    assert_string_equal(text("data.3.data.status"), "Installed");
}

static void an_expired_subscription_says_what_it_was(void **state UNUSED) {
    complete();
    char target[256];
    snprintf(target, sizeof target, "/v2/orders/%s", placed);
    GET(target);
    snprintf(target, sizeof target, "/v2/subscriptions/%s/expire", text("output.subscription_id"));
    clock_manual_advance(&t.clock_state, 60000);
    api_test_call(&t, &a, 0, HTTP_POST, target, NULL, NULL);
    assert_answer(&a, 200);
    json_t *shown = json_incref(a.json);
    GET("/v2/events?type=subscription.expired");
    assert_int_equal(json_array_size(answer_at(&a, "data")), 1);
    assert_string_equal(text("data.0.changes.status.before"), "ACTIVE");
    assert_string_equal(text("data.0.changes.status.after"), "EXPIRED");
    assert_string_equal(text("data.0.changes.expiry_date.before"), "2026-12-23T12:00:00Z");
    assert_string_equal(text("data.0.changes.expiry_date.after"), "2026-11-23T12:01:00Z");
    assert_null(answer_at(&a, "data.0.changes.activation_date"));
    assert_null(answer_at(&a, "data.0.changes.spent_balance"));
    assert_true(json_equal(answer_at(&a, "data.0.data"), shown));
    json_decref(shown);
}

// ---- what is too old ----

static enum err_kind prune(struct tx *tx, void *ctx, struct err *err) {
    int64_t dropped;
    return store_event_prune(tx, t.partner[0].id, (struct wall){INT64_MAX}, *(int64_t *)ctx, &dropped, err);
}

static void a_cursor_that_fell_off_the_end_is_told_so(void **state UNUSED) {
    complete();
    complete(); // 1 ... 4
    api_test_job(&t, prune, &(int64_t){2});
    GET("/v2/events?after=1");
    assert_problem(&a, 410, "GONE", "after: the events up to 2 are not kept any more; the oldest that is kept is 3", NULL);
    GET("/v2/events?after=0");
    assert_answer(&a, 410);
    static const struct header stream[] = {{"Accept", "text/event-stream"}, {"Last-Event-ID", "1"}, {NULL, NULL}};
    api_test_call(&t, &a, 0, HTTP_GET, "/v2/events?after=4", NULL, stream);
    assert_problem(&a, 410, "GONE", "after: the events up to 2 are not kept any more; the oldest that is kept is 3", NULL);
    GET("/v2/events?after=2"); // nothing is missing from here
    assert_sequences("3 4");
    GET("/v2/events"); // from the oldest
    assert_sequences("3 4");
    assert_int_equal(number("_metadata.oldest"), 3);

    api_test_job(&t, prune, &(int64_t){10});
    GET("/v2/events?after=3");
    assert_problem(&a, 410, "GONE", "after: the events up to 4 are not kept any more; the oldest that is kept is 5", NULL);
    GET("/v2/events?after=4");
    assert_sequences("");
    GET("/v2/events");
    assert_sequences("");
    complete();
    follow("_next");
    assert_sequences("5 6");
}

struct span {
    int64_t partner_id, first, last;
};

static enum err_kind measure(struct tx *tx, void *ctx, struct err *err) {
    struct span *s = ctx;
    return store_event_range(tx, s->partner_id, &s->first, &s->last, err);
}

static void assert_kept(int partner, int64_t first, int64_t last) {
    struct span s = {t.partner[partner].id, 0, 0};
    api_test_job(&t, measure, &s);
    assert_int_equal(s.first, first);
    assert_int_equal(s.last, last);
}

static enum err_kind keep_for_a_day(struct tx *tx, void *ctx UNUSED, struct err *err) {
    struct partner p = t.partner[1];
    p.event_days = 1;
    return store_partner_update(tx, &p, err);
}

static enum err_kind append(struct tx *tx, void *ctx, struct err *err) {
    const int *times = ctx;
    enum err_kind kind = ERR_NONE;
    for (int i = 0; i < 2; i++)
        for (int n = 0; n < times[i] && !kind; n++) {
            struct event e = {.partner_id = t.partner[i].id, .type = EVENT_SIM_ACTIVATED, .created = tx_now(tx), .iccid = ICCID_NONE};
            kind = store_event_append(tx, &e, err);
        }
    return kind;
}

#define DAY_MS INT64_C(86400000)

static void what_a_partner_does_not_keep_is_dropped_by_and_by(void **state UNUSED) {
    api_test_job(&t, keep_for_a_day, NULL);
    api_test_job(&t, append, &(int[]){5000, 3});
    api_turn(t.api);
    assert_kept(0, 1, 5000);
    clock_manual_advance(&t.clock_state, DAY_MS);
    api_test_job(&t, append, &(int[]){10, 4});
    api_turn(t.api);
    assert_kept(1, 1, 7); // a day old, and not older
    clock_manual_advance(&t.clock_state, 1);
    api_turn(t.api);
    assert_kept(1, 1, 7); // the next round is not yet
    clock_manual_advance(&t.clock_state, 10 * 60 * 1000);
    api_turn(t.api);
    assert_kept(1, 4, 7);
    assert_kept(0, 1, 5010);

    clock_manual_advance(&t.clock_state, 89 * DAY_MS);
    api_test_job(&t, append, &(int[]){1, 1});
    api_turn(t.api);
    assert_kept(0, 2001, 5011); // in slices
    assert_kept(1, 4, 8);
    api_turn(t.api);
    assert_kept(0, 4001, 5011);
    api_turn(t.api);
    assert_kept(0, 5001, 5011);
    assert_kept(1, 8, 8);
    clock_manual_advance(&t.clock_state, 200 * DAY_MS);
    api_turn(t.api);
    assert_kept(0, 5012, 5011); // nothing is kept, and the count goes on
    assert_kept(1, 9, 8);
    api_test_job(&t, append, &(int[]){1, 0});
    assert_kept(0, 5012, 5012);
}

// ---- waiting ----

static void a_poll_is_answered_when_there_is_something(void **state UNUSED) {
    struct exchange *p = api_test_begin(&t, 0, HTTP_GET, "/v2/events?wait=30", NULL, NULL);
    struct exchange *of_type = api_test_begin(&t, 0, HTTP_GET, "/v2/events?wait=30&type=order.completed", NULL, NULL);
    struct exchange *other = api_test_begin(&t, 1, HTTP_GET, "/v2/events?wait=30", NULL, NULL);
    assert_true(api_test_asleep(&t, p));
    assert_true(api_test_asleep(&t, of_type));
    place();
    assert_false(api_test_asleep(&t, p));
    assert_true(api_test_asleep(&t, of_type));
    api_test_end(&t, p, &a);
    assert_answer(&a, 200);
    assert_sequences("1");
    assert_string_equal(text("_metadata.links._next"), TEST_BASE_URL "/v2/events?after=1&limit=100&wait=30");

    api_test_complete(&t, placed);
    api_test_end(&t, of_type, &a);
    assert_sequences("2");
    assert_true(api_test_asleep(&t, other));
    p = api_test_begin(&t, 0, HTTP_GET, "/v2/events?wait=30", NULL, NULL); // there is something already
    api_test_end(&t, p, &a);
    assert_sequences("1 2");

    clock_manual_advance(&t.clock_state, 29999);
    api_turn(t.api);
    assert_true(api_test_asleep(&t, other));
    clock_manual_advance(&t.clock_state, 1);
    api_turn(t.api);
    api_test_end(&t, other, &a);
    assert_answer(&a, 200);
    assert_sequences("");
}

static void an_order_is_answered_when_it_ends(void **state UNUSED) {
    char target[128];
    snprintf(target, sizeof target, "/v2/orders/%s?wait=60", place());
    static const struct header prefer[] = {{"Prefer", "respond-async, wait=\"600\"; x=y"}, {NULL, NULL}};
    char plain[128];
    snprintf(plain, sizeof plain, "/v2/orders/%s", placed);
    struct exchange *p = api_test_begin(&t, 0, HTTP_GET, target, NULL, NULL), *q = api_test_begin(&t, 0, HTTP_GET, plain, NULL, prefer);
    struct exchange *late = api_test_begin(&t, 0, HTTP_GET, target, NULL, NULL);
    char first[UUID_TEXT];
    memcpy(first, placed, sizeof first);
    complete(); // another order of the partner
    assert_true(api_test_asleep(&t, p));
    api_test_fail(&t, first, "no");
    api_test_end(&t, p, &a);
    assert_answer(&a, 200);
    assert_string_equal(text("status"), "FAILED");
    assert_string_equal(a.preference_applied, "");
    api_test_end(&t, q, &a);
    assert_string_equal(text("status"), "FAILED");
    assert_string_equal(a.preference_applied, "wait=60");
    api_test_end(&t, late, &a);

    GET(target); // over already
    assert_answer(&a, 200);
    snprintf(target, sizeof target, "/v2/orders/%s?wait=1", place());
    p = api_test_begin(&t, 0, HTTP_GET, target, NULL, NULL);
    clock_manual_advance(&t.clock_state, 1000);
    api_turn(t.api);
    api_test_end(&t, p, &a);
    assert_answer(&a, 200);
    assert_string_equal(text("status"), "ACCEPTED");

    api_test_call(&t, &a, 1, HTTP_GET, target, NULL, NULL); // nobody waits for what he may not see
    assert_answer(&a, 403);
    GET("/v2/orders/01a20846-fe00-7000-8000-000000000001?wait=60");
    assert_answer(&a, 404);
    snprintf(target, sizeof target, "/v2/orders/%s?wait=0", placed);
    GET(target);
    assert_answer(&a, 200);
    static const struct header odd[] = {{"Prefer", "wait=soon"}, {NULL, NULL}};
    api_test_call(&t, &a, 0, HTTP_GET, plain, NULL, odd);
    assert_answer(&a, 200);
}

static void a_stop_answers_all_who_wait(void **state UNUSED) {
    char target[128];
    snprintf(target, sizeof target, "/v2/orders/%s?wait=60", place());
    static const struct header accept[] = {{"Accept", "text/event-stream"}, {NULL, NULL}};
    struct exchange *order = api_test_begin(&t, 0, HTTP_GET, target, NULL, NULL),
                    *poll = api_test_begin(&t, 1, HTTP_GET, "/v2/events?wait=60", NULL, NULL);
    struct exchange *stream = api_test_begin(&t, 1, HTTP_GET, "/v2/events", NULL, accept);
    struct buf said;
    buf_init(&said, 1 << 20);
    assert_true(api_test_more(&t, stream, &said));
    api_draining(t.api);
    api_test_end(&t, order, &a);
    assert_answer(&a, 200);
    assert_string_equal(text("status"), "ACCEPTED");
    api_test_end(&t, poll, &a);
    assert_answer(&a, 200);
    assert_false(api_test_more(&t, stream, &said));
    api_test_end(&t, stream, &a);
    GET(target); // does not wait any more
    assert_answer(&a, 200);
    buf_release(&said);
}

// ---- streams ----

static void a_stream_tells_what_comes(void **state UNUSED) {
    complete();
    static const struct header accept[] = {{"Accept", "application/json;q=0.1, text/event-stream"}, {"Last-Event-ID", "1"}, {NULL, NULL}};
    struct exchange *p = api_test_begin(&t, 0, HTTP_GET, "/v2/events?after=0", NULL, accept);
    struct buf said;
    buf_init(&said, 1 << 20);
    assert_true(api_test_more(&t, p, &said));
    assert_true(str_starts(buf_str(&said), "retry: 2000\n\nid: 2\nevent: order.completed\ndata: {\"id\":\"evt_"));
    assert_true(str_ends(buf_str(&said), "}\n\n"));
    buf_clear(&said);
    assert_true(api_test_more(&t, p, &said));
    assert_int_equal(said.n, 0);
    place();
    assert_true(api_test_more(&t, p, &said));
    assert_true(str_starts(buf_str(&said), "id: 3\nevent: order.accepted\ndata: {"));

    buf_clear(&said);
    clock_manual_advance(&t.clock_state, 14999);
    api_turn(t.api);
    assert_true(api_test_more(&t, p, &said));
    assert_int_equal(said.n, 0);
    clock_manual_advance(&t.clock_state, 1);
    api_turn(t.api);
    assert_true(api_test_more(&t, p, &said));
    assert_string_equal(said.p, ":\n\n");
    api_draining(t.api);
    assert_false(api_test_more(&t, p, &said));
    api_test_end(&t, p, &a);
    assert_answer(&a, 200);
    assert_string_equal(a.content_type, "text/event-stream");
    assert_string_equal(a.cache_control, "no-store");
    buf_release(&said);
}

static enum err_kind change_many(struct tx *tx, void *ctx, struct err *err) {
    struct sim sim;
    iccid_t iccid;
    assert_int_equal(iccid_parse(STR(ESIM_OK), &iccid), ICCID_OK);
    enum err_kind kind = store_sim_get(tx, iccid, &t.arena, &sim, err);
    for (int i = 0; i < *(int *)ctx && !kind; i++) {
        static char eid[2][33]; // the one that is, and the one that will be
        snprintf(eid[i & 1], sizeof eid[0], "89%030d", i);
        kind = life_profile_eid(tx, &sim, str_of(eid[i & 1]), tx_now(tx), err);
    }
    return kind;
}

// Also where nothing of the wanted types is found for long.
static void a_long_log_is_streamed_in_pieces(void **state UNUSED) {
    int many = 25000;
    api_test_job(&t, change_many, &many);
    static const struct header accept[] = {{"Accept", "text/event-stream"}, {NULL, NULL}};
    struct exchange *p = api_test_begin(&t, 0, HTTP_GET, "/v2/events", NULL, accept);
    struct buf said;
    buf_init(&said, 64 << 20);
    assert_true(api_test_more(&t, p, &said));
    const char *at = said.p;
    for (int i = 1; i <= many; i++) {
        char head[64];
        snprintf(head, sizeof head, "\nid: %d\nevent: sim.eid_changed\n", i);
        // It stands near by; a sanitizer's strstr would measure all the rest each time.
        size_t rest = said.n - (size_t)(at - said.p);
        const char *found = memmem(at, rest < 4096 ? rest : 4096, head, strlen(head));
        if (!found) {
            fail_msg("event %d is missing", i);
            return;
        }
        at = found;
    }
    assert_null(strstr(at + 1, "\nid: "));
    struct exchange *none = api_test_begin(&t, 0, HTTP_GET, "/v2/events?type=order.*", NULL, accept);
    buf_clear(&said);
    assert_true(api_test_more(&t, none, &said));
    assert_string_equal(said.p, "retry: 2000\n\n"); // looked at in one go
    clock_manual_advance(&t.clock_state, 15000);
    api_turn(t.api);
    assert_true(api_test_more(&t, none, &said));
    assert_string_equal(said.p, "retry: 2000\n\nid: 25000\n:\n\n");
    GET("/v2/events?type=order.*"); // 20 spans
    assert_string_equal(text("_metadata.links._next"), TEST_BASE_URL "/v2/events?after=25000&limit=100&type=order.*");
    api_draining(t.api);
    assert_false(api_test_more(&t, p, &said));
    assert_false(api_test_more(&t, none, &said));
    api_test_end(&t, p, &a);
    api_test_end(&t, none, &a);
    buf_release(&said);
}

static enum err_kind disable(struct tx *tx, void *ctx UNUSED, struct err *err) {
    struct partner p = t.partner[0];
    p.disabled = true;
    return store_partner_update(tx, &p, err);
}

static void a_disabled_partners_stream_ends(void **state UNUSED) {
    static const struct header accept[] = {{"Accept", "text/event-stream"}, {NULL, NULL}};
    struct exchange *p = api_test_begin(&t, 0, HTTP_GET, "/v2/events", NULL, accept);
    struct buf said;
    buf_init(&said, 1 << 20);
    assert_true(api_test_more(&t, p, &said));
    api_test_job(&t, disable, NULL);
    clock_manual_advance(&t.clock_state, 15000);
    api_turn(t.api);
    assert_false(api_test_more(&t, p, &said));
    api_test_end(&t, p, &a);
    buf_release(&said);
}

static void head_of_a_stream_is_no_stream(void **state UNUSED) {
    static const struct header accept[] = {{"Accept", "text/event-stream"}, {NULL, NULL}};
    api_test_call(&t, &a, 0, HTTP_HEAD, "/v2/events", NULL, accept);
    assert_answer(&a, 200);
    assert_string_equal(a.content_type, "text/event-stream");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_event_shows_the_resource_and_what_changed),
        TEST(nobody_sees_anothers_events),
        TEST(links_lead_through_the_log_without_drifting),
        TEST(types_are_chosen_by_name_and_group),
        TEST(what_is_asked_wrongly_is_refused),
        TEST(changes_of_a_profile_are_told_one_by_one),
        TEST(an_expired_subscription_says_what_it_was),
        TEST(a_cursor_that_fell_off_the_end_is_told_so),
        TEST(what_a_partner_does_not_keep_is_dropped_by_and_by),
        TEST(a_poll_is_answered_when_there_is_something),
        TEST(an_order_is_answered_when_it_ends),
        TEST(a_stop_answers_all_who_wait),
        TEST(a_stream_tells_what_comes),
        TEST(a_long_log_is_streamed_in_pieces),
        TEST(a_disabled_partners_stream_ends),
        TEST(head_of_a_stream_is_no_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
