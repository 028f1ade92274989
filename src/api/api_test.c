// SPDX-License-Identifier: Apache-2.0
/*
 * What holds for every call, whatever its resource: on a real store and real tokens, without sockets. The store runs jobs on the caller's
 * thread here.
 */
#include "api/api.h"
#include "api/idem.h"
#include "api/problem.h"
#include "api/testing.h"
#include "base/date.h"
#include "base/log.h"
#include "base/metrics.h"
#include "store/store_partner.h"

#define ORDER "{\"operation_type\":\"TOPUP\"}"

struct world {
    char folder[256];
    struct clock_manual time;
    struct clock clock;
    struct store *store;
    struct auth *auth;
    struct api *api;
    struct arena arena;
    struct str partner_token; // "Bearer ..."
};

static enum err_kind add_people(struct tx *tx, void *ctx, struct err *err) {
    struct world *w = ctx;
    struct partner p = {
        .client_id = STR("acme"), .name = STR("Acme"), .currencies = STR(""), .created = clock_wall(&w->clock), .event_days = 90};
    struct secret_hash hash;
    secret_hash_of(&rng_system, STR("a-secret-of-acme-0123456789"), &hash);
    enum err_kind kind = store_partner_insert(tx, &p, err);
    if (!kind)
        kind = store_partner_secret_add(tx, p.id, &hash, WALL_NONE, err);
    struct operator_token t = {.name = STR("olga"), .created = clock_wall(&w->clock), .expires = WALL_NONE};
    sha256_of(STR("operators-token"), t.sha256);
    return kind ? kind : store_operator_add(tx, &t, err);
}

static int begin_as(void **state, bool health_only) {
    struct world *w = xcalloc(1, sizeof(*w));
    struct err err = {0};
    struct wall start;
    assert_true(date_parse(STR("2026-03-01T10:00:00Z"), &start));
    w->clock = clock_manual_init(&w->time, start);
    const char *parent = getenv("TMPDIR");
    snprintf(w->folder, sizeof(w->folder), "%s/api_test.XXXXXX", parent ? parent : "/tmp");
    assert_non_null(mkdtemp(w->folder));
    struct store_options so;
    store_options_default(&so);
    so.location = w->folder;
    so.clock = &w->clock;
    so.rng = &rng_system;
    so.threaded = false;
    so.may_create = true;
    assert_int_equal(store_open(&so, &w->store, &err), ERR_NONE);
    assert_int_equal(store_run(w->store, add_people, w, &err), ERR_NONE);

    struct auth_options ao = {.issuer = "https://api.example/auth/realms/tru-staff",
                              .audience = "connect-api",
                              .access_seconds = 300,
                              .refresh_seconds = 1800,
                              .rate_per_minute = 5,
                              .clock = &w->clock,
                              .rng = &rng_system};
    assert_int_equal(auth_open(w->store, &ao, &w->auth, &err), ERR_NONE);
    struct api_options o = {.store = w->store,
                            .upkeep = true,
                            .health_only = health_only,
                            .auth = w->auth,
                            .clock = &w->clock,
                            .rng = &rng_system,
                            .base_url = "https://api.example/connect-api",
                            .realm = "tru-staff",
                            .qr_host_path = "https://api.example/connect/qrcode/v1/esim"};
    assert_int_equal(api_open(&o, &w->api, &err), ERR_NONE);

    struct tx *tx;
    struct token_pair pair;
    arena_init(&w->arena, 1 << 20);
    assert_int_equal(store_read_begin(w->store, &tx, &err), ERR_NONE);
    assert_int_equal(auth_issue(w->auth, tx, STR("acme"), STR("a-secret-of-acme-0123456789"), STR_NONE, &w->arena, &pair, &err), ERR_NONE);
    store_read_end(tx);
    w->partner_token = arena_printf(&w->arena, "Bearer " STR_FMT, STR_ARG(pair.access));
    *state = w;
    return 0;
}

static int begin(void **state) {
    return begin_as(state, false);
}

static int begin_for_health(void **state) {
    return begin_as(state, true);
}

static int end(void **state) {
    struct world *w = *state;
    char path[300];
    api_close(w->api);
    auth_close(w->auth);
    store_close(w->store);
    arena_release(&w->arena);
    for (const char *const *f = (const char *const[]){"topupd.db", "topupd.db-wal", "topupd.db-shm", "topupd.lock", NULL}; *f; f++) {
        snprintf(path, sizeof(path), "%s/%s", w->folder, *f);
        remove(path);
    }
    assert_int_equal(remove(w->folder), 0);
    metrics_reset();
    free(w);
    return 0;
}

// ---- a call, and what came back ----

static struct testing_exchange *ask(struct world *w, enum http_method method, const char *target, const char *body) {
    struct testing_exchange *t = xcalloc(1, sizeof(*t));
    testing_exchange_init(t, method, target, body);
    t->x.started = clock_mono(&w->clock);
    return t;
}

static void go(struct world *w, struct testing_exchange *t) {
    struct http_handler h = api_handler(w->api);
    if (h.handle(h.ctx, &t->x) == HTTP_LATER) {
        assert_int_equal(t->resumed, 1);
        h.resume(h.ctx, &t->x);
    }
}

// The answer is looked at; the exchange ends.
static void expect(struct world *w, struct testing_exchange *t, int status, const char *type) {
    assert_int_equal(t->x.status, status);
    assert_true(str_present(testing_answer_header(t, "X-Correlation-ID")));
    assert_str(testing_answer_header(t, "Cache-Control"), "no-store");
    assert_str(testing_answer_header(t, "X-Content-Type-Options"), "nosniff");
    if (type) {
        char start[80];
        snprintf(start, sizeof(start), "{\"type\":\"%s\",\"messages\":[\"", type);
        assert_memory_equal(t->x.reply.p, start, strlen(start));
        assert_str(testing_answer_header(t, "Content-Type"), "application/json");
    }
    struct http_handler h = api_handler(w->api);
    h.end(h.ctx, &t->x, true);
    testing_exchange_release(t);
    free(t);
}

static struct testing_exchange *ask_as_partner(struct world *w, enum http_method method, const char *target, const char *body) {
    struct testing_exchange *t = ask(w, method, target, body);
    testing_exchange_header(t, "authorization", w->partner_token.p);
    if (body)
        testing_exchange_header(t, "content-type", "application/json; charset=utf-8");
    return t;
}

// ---- what must hold ----

static void unknown_paths_and_methods_have_the_usual_shape(void **state) {
    struct world *w = *state;
    struct testing_exchange *t = ask(w, HTTP_GET, "/v2/nothing", NULL);
    go(w, t);
    expect(w, t, 404, "NOT_FOUND");
    t = ask(w, HTTP_DELETE, "/v2/orders", NULL);
    go(w, t);
    assert_str(testing_answer_header(t, "Allow"), "GET, HEAD, POST, OPTIONS");
    expect(w, t, 405, "METHOD_NOT_ALLOWED");
    t = ask(w, HTTP_OPTIONS, "/connect-api/v2/orders/", NULL);
    go(w, t);
    assert_str(testing_answer_header(t, "Allow"), "GET, HEAD, POST, OPTIONS");
    assert_int_equal(t->x.reply.n, 0);
    expect(w, t, 204, NULL);
}

static void a_call_without_a_good_token_is_401(void **state) {
    struct world *w = *state;
    struct str partner = w->partner_token;
    const struct {
        const char *path, *authorization;
    } cases[] = {
        {"/v2/orders", NULL},           {"/v2/orders", ""},
        {"/v2/orders", "Basic YTpi"},   {"/v2/orders", "Bearer"},
        {"/v2/orders", "Bearer x.y.z"}, {"/v2/orders", "Bearer operators-token"}, // the operator is no partner
        {"/admin/v1/partners", NULL},   {"/admin/v1/partners", partner.p},        // and no partner is an operator
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct testing_exchange *t = ask(w, HTTP_GET, cases[i].path, NULL);
        if (cases[i].authorization)
            testing_exchange_header(t, "Authorization", cases[i].authorization);
        go(w, t);
        assert_str(testing_answer_header(t, "WWW-Authenticate"), "Bearer");
        assert_false(str_present(testing_answer_header(t, "x-rate-limit-limit")));
        expect(w, t, 401, "UNAUTHORISED");
    }
    struct testing_exchange *t = ask(w, HTTP_GET, "/admin/v1/partners", NULL);
    testing_exchange_header(t, "Authorization", "Bearer operators-token");
    go(w, t);
    expect(w, t, 200, NULL);
}

static void head_is_get(void **state) {
    struct world *w = *state;
    struct testing_exchange *t = ask_as_partner(w, HTTP_HEAD, "/v2/orders", NULL);
    go(w, t);
    expect(w, t, 200, NULL);
}

static void the_correlation_id_comes_back_cut_and_cleaned(void **state) {
    struct world *w = *state;
    char longer[300];
    memset(longer, 'a', sizeof(longer));
    memcpy(longer + 126, "\xe2\x82\xac", 3); // a character that 128 bytes would cut in two
    longer[299] = '\0';
    char cut[127] = "";
    memset(cut, 'a', 126);
    const struct {
        const char *sent, *back;
    } cases[] = {{" abc-1 ", "abc-1"}, {"a\x01\x7f z", "a?? z"}, {"\xc3\xa4", "\xc3\xa4"}, {"\xff\xfe", "??"}, {longer, cut}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct testing_exchange *t = ask(w, HTTP_GET, "/v2/orders", NULL);
        testing_exchange_header(t, "X-Correlation-ID", cases[i].sent);
        go(w, t);
        assert_str(testing_answer_header(t, "X-Correlation-ID"), cases[i].back);
        expect(w, t, 401, "UNAUTHORISED");
    }
    struct testing_exchange *t = ask(w, HTTP_GET, "/healthz", NULL);
    struct uuid id;
    go(w, t);
    assert_true(uuid_parse(testing_answer_header(t, "X-Correlation-ID"), &id));
    assert_int_equal(uuid_time(id).ms, clock_wall(&w->clock).ms);
    expect(w, t, 200, NULL);
}

static void bodies_must_be_there_say_json_and_be_it(void **state) {
    struct world *w = *state;
    static char deep[30000];
    memset(deep, '[', 10000);
    memcpy(deep, "{\"a\":", 5);
    const struct {
        const char *content_type, *body;
        int status;
        const char *type;
    } cases[] = {
        {"application/json", "", 400, "INVALID_HTTP_MESSAGE"},
        {NULL, ORDER, 415, "UNSUPPORTED_MEDIA_TYPE"},
        {"text/plain", ORDER, 415, "UNSUPPORTED_MEDIA_TYPE"},
        {"application/jsonx", ORDER, 415, "UNSUPPORTED_MEDIA_TYPE"},
        {"+json", ORDER, 415, "UNSUPPORTED_MEDIA_TYPE"},
        {"application/json", "[]", 400, "INVALID_HTTP_MESSAGE"},
        {"application/json", "{", 400, "INVALID_HTTP_MESSAGE"},
        {"application/json", "{\"a\":1,\"a\":2}", 400, "INVALID_HTTP_MESSAGE"},
        {"application/json", "{\"a\":\"\xff\"}", 400, "INVALID_HTTP_MESSAGE"},
        {"application/json", deep, 400, "INVALID_HTTP_MESSAGE"},
        {"Application/JSON ; charset=UTF-8", ORDER, 400, "INVALID_REQUEST_PARAMS"},
        {"application/vnd.x+json", "{}", 400, "INVALID_REQUEST_PARAMS"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct testing_exchange *t = ask(w, HTTP_POST, "/v2/orders", cases[i].body);
        testing_exchange_header(t, "Authorization", w->partner_token.p);
        if (cases[i].content_type)
            testing_exchange_header(t, "Content-Type", cases[i].content_type);
        go(w, t);
        expect(w, t, cases[i].status, cases[i].type);
        clock_manual_advance(&w->time, 20000); // fewer than the limit of a minute; the token lives as long
    }
}

static void faults_of_parse_and_of_the_world_come_together(void **state) {
    struct world *w = *state;
    struct testing_exchange *t =
        ask_as_partner(w, HTTP_POST, "/v2/orders",
                       "{\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":"
                       "{\"id\":\"kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=\",\"activation_date\":\"2021-02-30\"},"
                       "\"subscriber\":{\"sim\":{\"iccid\":\"8944472600000510740\"}}}");
    go(w, t);
    assert_non_null(strstr(t->x.reply.p, "\"product.activation_date: "));
    assert_non_null(strstr(t->x.reply.p, "\"product.id: "));
    assert_non_null(strstr(t->x.reply.p, "\"subscriber.sim.iccid: "));
    expect(w, t, 400, "INVALID_HTTP_MESSAGE");
}

static void the_rate_limit_is_on_every_answer_and_then_refuses(void **state) {
    struct world *w = *state;
    struct testing_exchange *t;
    for (int i = 0; i < 5; i++) {
        char left[8];
        snprintf(left, sizeof(left), "%d", 4 - i);
        t = ask_as_partner(w, HTTP_GET, i % 2 ? "/v2/products/none" : "/v2/products", NULL);
        go(w, t);
        assert_str(testing_answer_header(t, "x-rate-limit-limit"), "5");
        assert_str(testing_answer_header(t, "x-rate-limit-remaining"), left);
        int64_t reset;
        assert_true(str_to_i64(testing_answer_header(t, "x-rate-limit-reset"), &reset));
        assert_in_range(reset, clock_wall(&w->clock).ms, clock_wall(&w->clock).ms + 60000);
        if (i % 2)
            expect(w, t, 404, "NOT_FOUND");
        else
            expect(w, t, 200, NULL);
    }
    t = ask_as_partner(w, HTTP_GET, "/v2/products", NULL);
    go(w, t);
    uint64_t seconds;
    assert_true(str_to_u64(testing_answer_header(t, "Retry-After"), &seconds));
    assert_in_range(seconds, 1, 60);
    assert_str(testing_answer_header(t, "x-rate-limit-remaining"), "0");
    expect(w, t, 429, "TOO MANY REQUESTS");
    // another resource has its own
    t = ask_as_partner(w, HTTP_GET, "/v2/orders", NULL);
    go(w, t);
    expect(w, t, 200, NULL);
    clock_manual_advance(&w->time, 61000);
    t = ask_as_partner(w, HTTP_GET, "/v2/products", NULL);
    go(w, t);
    expect(w, t, 200, NULL);
}

static void problem_documents_for_those_who_ask(void **state) {
    struct world *w = *state;
    struct testing_exchange *t = ask(w, HTTP_GET, "/v2/nothing", NULL);
    testing_exchange_header(t, "Accept", "text/html, Application/Problem+JSON;q=0.9");
    go(w, t);
    assert_str(testing_answer_header(t, "Content-Type"), "application/problem+json");
    assert_string_equal(t->x.reply.p, "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,\"detail\":\"no such path\","
                                      "\"code\":\"NOT_FOUND\",\"messages\":[\"no such path\"]}");
    expect(w, t, 404, NULL);
}

static void each_kind_of_error_has_one_status_and_never_an_empty_message(void **state) {
    (void)state;
    for (int kind = 0; kind < ERR_KINDS; kind++) {
        const struct problem_row *row = problem_of((enum err_kind)kind);
        assert_in_range(row->status, 400, 503);
        assert_non_null(row->type);
        struct testing_exchange t;
        struct err err = {.kind = (enum err_kind)kind};
        testing_exchange_init(&t, HTTP_GET, "/", NULL);
        problem_write(&t.x, (enum err_kind)kind, 0, &err);
        assert_int_equal(t.x.status, row->status);
        assert_null(strstr(t.x.reply.p, "\"messages\":[]"));
        testing_exchange_release(&t);
    }
}

static void what_broke_inside_is_not_told(void **state) {
    (void)state;
    static const enum err_kind kinds[] = {ERR_INTERNAL, ERR_CORRUPT, ERR_UNSURE, ERR_UNAVAILABLE, ERR_BUSY};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct testing_exchange t;
        testing_exchange_init(&t, HTTP_GET, "/v2/orders", NULL);
        struct call c = {.x = &t.x, .arena = &t.x.arena, .correlation_id = STR("corr-7"), .failed = kinds[i]};
        err_set(&c.err, kinds[i], "disk /var/lib/secret is full");
        http_set_header(&t.x, "Location", STR("/left-over"));
        problem_reply(&c);
        assert_null(strstr(t.x.reply.p, "secret"));
        assert_false(str_present(testing_answer_header(&t, "Location")));
        if (t.x.status == 500)
            assert_non_null(strstr(t.x.reply.p, "corr-7"));
        if (kinds[i] == ERR_UNSURE)
            assert_non_null(strstr(t.x.reply.p, "look whether it was before asking again"));
        if (t.x.status == 500)
            assert_false(str_present(testing_answer_header(&t, "Retry-After")));
        else
            assert_true(str_present(testing_answer_header(&t, "Retry-After")));
        testing_exchange_release(&t);
    }
}

static void who_has_a_key_is_told_to_ask_again_when_nobody_knows(void **state) {
    (void)state;
    static const enum err_kind kinds[] = {ERR_UNSURE, ERR_INTERNAL};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct testing_exchange t;
        struct idem_call key = {.key = STR("k")};
        testing_exchange_init(&t, HTTP_POST, "/v2/orders", NULL);
        struct call c = {.x = &t.x, .arena = &t.x.arena, .correlation_id = STR("corr-7"), .failed = kinds[i], .idem = &key};
        err_set(&c.err, kinds[i], "gone");
        problem_reply(&c);
        bool unsure = kinds[i] == ERR_UNSURE;
        assert_int_equal(t.x.status, 500);
        assert_int_equal(strstr(t.x.reply.p, "ask again, with the same Idempotency-Key") != NULL, unsure);
        assert_int_equal(str_is(testing_answer_header(&t, "Retry-After"), "5"), unsure);
        testing_exchange_release(&t);
    }
}

static void broken_bounds_have_the_usual_shape(void **state) {
    struct world *w = *state;
    struct http_handler h = api_handler(w->api);
    struct testing_exchange *t = ask(w, HTTP_POST, "/v2/orders", NULL);
    h.refuse(h.ctx, &t->x, ERR_TOO_LARGE, "the body is too large");
    expect(w, t, 413, "PAYLOAD_TOO_LARGE");
    t = ask(w, HTTP_GET, "/v2/orders", NULL);
    t->x.status = 431;
    h.refuse(h.ctx, &t->x, ERR_MALFORMED, "the headers are too large");
    expect(w, t, 431, "INVALID_HTTP_MESSAGE");
    t = ask(w, HTTP_GET, "/v2/orders", NULL);
    h.refuse(h.ctx, &t->x, ERR_BUSY, "try again");
    assert_str(testing_answer_header(t, "Retry-After"), "1");
    expect(w, t, 503, "SERVICE_UNAVAILABLE");
}

static void health_is_told_until_draining(void **state) {
    struct world *w = *state;
    static const char *const paths[] = {"/", "/healthz", "/readyz", "/openapi.json"};
    struct testing_exchange *t;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        t = ask(w, HTTP_GET, paths[i], NULL);
        go(w, t);
        assert_true(t->x.reply.n > 0);
        expect(w, t, 200, NULL);
    }
    api_draining(w->api);
    t = ask(w, HTTP_GET, "/readyz", NULL);
    go(w, t);
    expect(w, t, 503, "SERVICE_UNAVAILABLE");
    t = ask(w, HTTP_GET, "/healthz", NULL);
    go(w, t);
    expect(w, t, 200, NULL);
}

static void metrics_count_by_route_and_code(void **state) {
    struct world *w = *state;
    struct testing_exchange *t;
    for (int i = 0; i < 3; i++) {
        t = ask(w, HTTP_GET, i ? "/v2/orders/abc" : "/v2/nothing/at/all", NULL);
        go(w, t);
        expect(w, t, i ? 401 : 404, NULL);
    }
    t = ask(w, HTTP_GET, "/metrics", NULL);
    go(w, t);
    assert_non_null(strstr(t->x.reply.p, "topupd_http_requests_total{method=\"GET\",route=\"/v2/orders/{id}\",code=\"401\"} 2\n"));
    assert_non_null(strstr(t->x.reply.p, "topupd_http_requests_total{method=\"other\",route=\"other\",code=\"404\"} 1\n"));
    assert_non_null(strstr(t->x.reply.p, "topupd_http_request_seconds_count{method=\"GET\",route=\"/v2/orders/{id}\"} 2\n"));
    assert_non_null(strstr(t->x.reply.p, "topupd_orders{state=\"ACCEPTED\"} 0\n"));
    assert_null(strstr(t->x.reply.p, "nothing"));
    expect(w, t, 200, NULL);
}

static void a_node_that_answers_nobody_tells_how_it_does(void **state) {
    struct world *w = *state;
    static const char *const there[] = {"/healthz", "/readyz", "/metrics"}, *const not_there[] = {"/", "/v2/orders", "/admin/v1/status"};
    for (size_t i = 0; i < ARRAY_LEN(there); i++) {
        struct testing_exchange *t = ask(w, HTTP_GET, there[i], NULL);
        go(w, t);
        expect(w, t, 200, NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(not_there); i++) {
        struct testing_exchange *t = ask(w, HTTP_GET, not_there[i], NULL);
        go(w, t);
        expect(w, t, 404, "NOT_FOUND");
    }
}

static void a_base_url_must_be_one(void **state) {
    (void)state;
    static const char *const wrong[] = {"", "api.example", "https://api.example/", "ftp://x"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct api_options o = {.base_url = wrong[i]};
        struct api *api = NULL;
        struct err err = {0};
        assert_int_equal(api_open(&o, &api, &err), ERR_INVALID);
    }
}

#define HOLDS(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    log_threshold = LOG_ERROR + 1;
    const struct CMUnitTest tests[] = {
        HOLDS(unknown_paths_and_methods_have_the_usual_shape),
        HOLDS(a_call_without_a_good_token_is_401),
        HOLDS(head_is_get),
        HOLDS(the_correlation_id_comes_back_cut_and_cleaned),
        HOLDS(bodies_must_be_there_say_json_and_be_it),
        HOLDS(faults_of_parse_and_of_the_world_come_together),
        HOLDS(the_rate_limit_is_on_every_answer_and_then_refuses),
        HOLDS(problem_documents_for_those_who_ask),
        cmocka_unit_test(each_kind_of_error_has_one_status_and_never_an_empty_message),
        cmocka_unit_test(what_broke_inside_is_not_told),
        HOLDS(who_has_a_key_is_told_to_ask_again_when_nobody_knows),
        HOLDS(broken_bounds_have_the_usual_shape),
        HOLDS(health_is_told_until_draining),
        HOLDS(metrics_count_by_route_and_code),
        cmocka_unit_test_setup_teardown(a_node_that_answers_nobody_tells_how_it_does, begin_for_health, end),
        cmocka_unit_test(a_base_url_must_be_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
