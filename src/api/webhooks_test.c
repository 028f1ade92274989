// SPDX-License-Identifier: Apache-2.0
/*
 * webhooks_test.c - what is refused of a webhook and why, what each call does to its row, and that a partner sees its own alone.
 */
#include "api/webhooks.h"

#include "api/api_test_support.h"
#include "core/webhook.h"
#include "store/store_webhook.h"

static struct api_test t;
static struct answer a;
static char at[128], target[256];

#define URL "https://hooks.example.com/topup"
#define SECRET_24 "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"

static int setup(void **state UNUSED) {
    api_test_open(&t);
    return 0;
}

static int teardown(void **state UNUSED) {
    answer_release(&a);
    api_test_close(&t);
    return 0;
}

#define DO(method, path, body) api_test_call(&t, &a, 0, method, path, body, NULL)
#define REFUSED(...) assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", __VA_ARGS__, NULL)

static const char *of(const char *rest) {
    snprintf(target, sizeof target, "%s%s", at, rest);
    return target;
}

static void make(const char *body) {
    POST("/v2/webhooks", body);
    assert_answer(&a, 201);
    snprintf(at, sizeof at, "/v2/webhooks/%s", answer_text(&a, "id"));
}

static struct uuid id_of(const char *path) {
    struct uuid id;
    assert_true(uuid_parse(str_of(strrchr(path, '/') + 1), &id));
    return id;
}

static struct webhook row(void) {
    struct webhook w;
    struct tx *tx;
    struct err err = {0};
    arena_reset(&t.arena);
    assert_int_equal(store_read_begin(t.store, &tx, &err), ERR_NONE);
    assert_int_equal(store_webhook_get(tx, id_of(at), &t.arena, &w, &err), ERR_NONE);
    store_read_end(tx);
    return w;
}

// ---- the fields ----

static void webhook_url_must_be_one_that_may_be_called(void **state UNUSED) {
    static const struct {
        const char *url, *says;
    } rows[] = {
        {"", "url: "},
        {"hooks.example.com", "url: must be an absolute URL"},
        {"ftp://example.com/", "url: must be an absolute URL"},
        {"file:///etc/passwd", "url: must be an absolute URL"},
        {"https://", "url: must be an absolute URL"},
        {"https:///x", "url: must have a host"},
        {"https://exa mple.com/", "url: must be ASCII without blanks"},
        {"https://example.com/\\r\\nX-Injected: 1", "url: must not hold control characters"},
        {"https://example.com/\\t", "url: must not hold control characters"},
        {"https://ex\\u00e4mple.com/", "url: must be ASCII without blanks"},
        {"https://example.com:0/", "url: must have a host, and a port"},
        {"https://example.com:65536/", "url: must have a host, and a port"},
        {"https://example.com:x/", "url: must have a host, and a port"},
        {"https://exa%6dple.com/", "url: must have a host"},
        {"https://user:secret@example.com/", "url: must not carry credentials"},
        {"https://user@example.com/", "url: must not carry credentials"},
        {"https://@example.com/", "url: must not carry credentials"},
        {"http://localhost/", "url: must not lead to a private"},
        {"http://LOCALHOST.:80/", "url: must not lead to a private"},
        {"http://a.localhost/", "url: must not lead to a private"},
        {"http://127.0.0.1/", "url: must not lead to a private"},
        {"http://0.0.0.0/", "url: must not lead to a private"},
        {"http://10.1.2.3/", "url: must not lead to a private"},
        {"http://172.31.255.255/", "url: must not lead to a private"},
        {"http://192.168.0.1/", "url: must not lead to a private"},
        {"http://100.64.0.1/", "url: must not lead to a private"},
        {"http://169.254.169.254/latest/meta-data", "url: must not lead to a private"},
        {"http://224.0.0.1/", "url: must not lead to a private"},
        {"http://255.255.255.255/", "url: must not lead to a private"},
        {"http://[::1]/", "url: must not lead to a private"},
        {"http://[::]/", "url: must not lead to a private"},
        {"http://[::ffff:8.8.8.8]/", "url: must not lead to a private"},
        {"http://[::ffff:127.0.0.1]/", "url: must not lead to a private"},
        {"http://[fe80::1]/", "url: must not lead to a private"},
        {"http://[fd00::1]/", "url: must not lead to a private"},
        {"http://[64:ff9b::7f00:1]/", "url: must not lead to a private"},
        {"http://[64:ff9b:1::1]/", "url: must not lead to a private"},
        {"http://[2002:7f00:1::]/", "url: must not lead to a private"},
        {"http://[2001:db8::1]/", "url: must not lead to a private"},
    };
    make("{\"url\":\"" URL "\"}");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"url\":\"%s\"}", rows[i].url);
        POST("/v2/webhooks", body);
        REFUSED(rows[i].says);
        DO(HTTP_PATCH, at, body);
        REFUSED(rows[i].says);
    }
    POST("/v2/webhooks", "{}");
    REFUSED("url: is required");
    POST("/v2/webhooks", "{\"url\":null}");
    REFUSED("url: is required");
    POST("/v2/webhooks", "{\"url\":[\"" URL "\"]}");
    REFUSED("url: must be a string");
    char longest[2200] = "{\"url\":\"https://example.com/";
    memset(longest + strlen(longest), 'x', 2048);
    strncat(longest, "\"}", 3);
    POST("/v2/webhooks", longest);
    REFUSED("url: ");
    GET("/v2/webhooks");
    assert_int_equal(json_array_size(answer_at(&a, "data")), 1); // none of them was made
    assert_true(str_is(row().url, URL));
}

static void webhook_types_must_be_types_of_events(void **state UNUSED) {
    static const struct {
        const char *types, *says;
    } rows[] = {
        {"\"order.*\"", "types: must be an array"},
        {"[]", "types: must name 1 to 32"},
        {"[7]", "types[0]: must be a type of event"},
        {"[\"\"]", "types[0]: must be a type of event"},
        {"[\"order.done\"]", "types[0]: must be a type of event"},
        {"[\"order\"]", "types[0]: must be a type of event"},
        {"[\"order.*\",\"*.completed\"]", "types[1]: must be a type of event"},
        {"[\"order.* sim.*\"]", "types[0]: must be a type of event"},
        {"[\"ORDER.COMPLETED\"]", "types[0]: must be a type of event"},
        {"[\"order.completed\\u0000\"]", NULL},
    };
    make("{\"url\":\"" URL "\",\"types\":[\"order.*\",\"subscription.depleted\"]}");
    assert_true(str_is(row().types, "order.* subscription.depleted"));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"url\":\"" URL "\",\"types\":%s}", rows[i].types);
        POST("/v2/webhooks", body);
        if (rows[i].says)
            REFUSED(rows[i].says);
        else
            assert_int_equal(a.status, 400);
    }
    POST("/v2/webhooks", "{\"url\":\"" URL "\",\"types\":[1,\"order.*\",\"x\"]}");
    REFUSED("types[0]: ", "types[2]: "); // all at once
    struct buf many;
    buf_init(&many, 4096);
    buf_add_text(&many, "{\"url\":\"" URL "\",\"types\":[\"*\"");
    for (int i = 0; i < WEBHOOK_TYPES_MAX; i++)
        buf_add_text(&many, ",\"*\"");
    buf_add_text(&many, "]}");
    POST("/v2/webhooks", many.p);
    REFUSED("types: must name 1 to 32");
    buf_release(&many);
    char long_type[256] = "{\"url\":\"" URL "\",\"types\":[\"order.";
    memset(long_type + strlen(long_type), 'x', 100);
    strncat(long_type, "\"]}", 8);
    POST("/v2/webhooks", long_type);
    REFUSED("types[0]: ");
}

static void webhook_secret_must_have_24_to_64_bytes(void **state UNUSED) {
    static const char *const bad[] = {
        "\"\"",
        "\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\"",                                                                       // no prefix
        "\"WHSEC_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\"",                                                                 // not this one
        "\"whsec_\"",                                                                                                 //
        "\"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=\"",                                                                 // 23 bytes
        "\"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI*\"",                                                                 // no base64
        "\"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz=\"",                                                                // padded for nothing
        "\"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzMDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzMDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\"", // 72
    };
    make("{\"url\":\"" URL "\",\"secret\":\"" SECRET_24 "\"}");
    assert_string_equal(answer_text(&a, "secret"), SECRET_24);
    GET(at);
    assert_null(answer_at(&a, "secret")); // shown once
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"url\":\"" URL "\",\"secret\":%s}", bad[i]);
        POST("/v2/webhooks", body);
        REFUSED("secret: must be whsec_");
        assert_null(strstr(a.body.p, "MDEy")); // nor is a wrong one said again
        snprintf(body, sizeof body, "{\"secret\":%s}", bad[i]);
        POST(of("/rotate-secret"), body);
        REFUSED("secret: must be whsec_");
    }
    POST("/v2/webhooks", "{\"url\":\"" URL "\",\"secret\":7}");
    REFUSED("secret: must be a string");
    DO(HTTP_PATCH, at, "{\"secret\":\"" SECRET_24 "\"}");
    REFUSED("secret: is changed with rotate-secret");
    POST(of("/rotate-secret"), "{\"overlap_seconds\":-1}");
    REFUSED("overlap_seconds: ");
    POST(of("/rotate-secret"), "{\"overlap_seconds\":2592001}");
    REFUSED("overlap_seconds: ");
    POST(of("/rotate-secret"), "{\"overlap_seconds\":1.5}");
    REFUSED("overlap_seconds: ");
    POST(of("/rotate-secret"), NULL);
    assert_answer(&a, 200);
    assert_true(str_starts(str_of(answer_text(&a, "secret")), "whsec_"));
    assert_string_not_equal(answer_text(&a, "secret"), SECRET_24);
}

static void webhook_faults_are_told_all_at_once(void **state UNUSED) {
    POST("/v2/webhooks", "{\"url\":\"x\",\"types\":[],\"secret\":\"x\",\"enabled\":\"yes\"}");
    REFUSED("url: ", "types: ", "secret: ", "enabled: must be true or false");
    POST("/v2/webhooks", NULL);
    assert_problem(&a, 400, "INVALID_HTTP_MESSAGE", "body: ", NULL);
    POST("/v2/webhooks", "[]");
    assert_problem(&a, 400, "INVALID_HTTP_MESSAGE", "the body must be a JSON object", NULL);
}

// ---- what calls do to the row ----

static void webhook_changes_begin_anew_only_when_they_must(void **state UNUSED) {
    make("{\"url\":\"" URL "\"}");
    struct webhook before = row();
    assert_int_equal(before.state, WEBHOOK_ENABLED);
    DO(HTTP_PATCH, at, "{\"types\":[\"order.*\"]}");
    assert_answer(&a, 200);
    DO(HTTP_PATCH, at, "{\"url\":\"" URL "\",\"enabled\":true}"); // as it is
    assert_answer(&a, 200);
    DO(HTTP_PATCH, at, "{}");
    assert_answer(&a, 200);
    struct webhook now = row();
    assert_int_equal(now.epoch, before.epoch);
    assert_true(now.modified.ms > before.modified.ms); // the clock stands still: each change is told apart all the same
    DO(HTTP_PATCH, at, "{\"enabled\":false}");
    assert_string_equal(answer_text(&a, "status"), "DISABLED");
    assert_int_equal(row().epoch, before.epoch + 1);
    DO(HTTP_PATCH, at, "{\"url\":\"https://other.example.com/\",\"enabled\":true}");
    assert_string_equal(answer_text(&a, "status"), "ENABLED");
    assert_int_equal(row().epoch, before.epoch + 3);
    make("{\"url\":\"" URL "\",\"enabled\":false}");
    assert_int_equal(row().state, WEBHOOK_DISABLED);
}

static void webhook_replay_begins_within_the_log(void **state UNUSED) {
    make("{\"url\":\"" URL "\"}");
    POST(of("/replay"), "{}");
    REFUSED("from_sequence: is required");
    POST(of("/replay"), "{\"from_sequence\":0}");
    REFUSED("from_sequence: ");
    POST(of("/replay"), "{\"from_sequence\":-1}");
    REFUSED("from_sequence: ");
    POST(of("/replay"), "{\"from_sequence\":\"1\"}");
    REFUSED("from_sequence: ");
    POST(of("/replay"), "{\"from_sequence\":9223372036854775807}");
    REFUSED("from_sequence: ");
    POST(of("/replay"), "{\"from_sequence\":9223372036854775806}");
    REFUSED("from_sequence: there is no event");
    POST(of("/replay"), "{\"from_sequence\":1}"); // the next one is as far as it goes
    assert_answer(&a, 200);
    POST(of("/replay"), "{\"from_sequence\":2}");
    REFUSED("from_sequence: there is no event 2 yet; the newest is 0");
}

static void webhook_deliveries_are_asked_for_within_bounds(void **state UNUSED) {
    make("{\"url\":\"" URL "\"}");
    for (int i = 0; i < 10; i++) {
        POST(of("/test"), NULL);
        assert_answer(&a, 202);
        assert_string_equal(answer_text(&a, "outcome"), "PENDING");
    }
    char delivery[64];
    assert_true(str_to_buf(str_of(answer_text(&a, "id")), delivery, sizeof delivery));
    POST(of("/test"), NULL);
    assert_problem(&a, 409, "CONFLICT", "10 deliveries that were asked for are still waiting", NULL);
    char rest[128];
    snprintf(rest, sizeof rest, "/deliveries/%s", delivery);
    GET(of(rest));
    assert_answer(&a, 200);
    snprintf(rest, sizeof rest, "/deliveries/%s/redeliver", delivery);
    POST(of(rest), NULL);
    assert_problem(&a, 409, "CONFLICT", "delivery: a test is not redelivered", NULL);
    GET(of("/deliveries/x"));
    assert_problem(&a, 404, "NOT_FOUND", "delivery: ", NULL);
    GET(of("/deliveries/00000000-0000-0000-0000-000000000000"));
    assert_problem(&a, 404, "NOT_FOUND", "delivery: ", NULL);
    POST(of("/deliveries/00000000-0000-0000-0000-000000000000/redeliver"), NULL);
    assert_problem(&a, 404, "NOT_FOUND", "delivery: ", NULL);

    GET(of("/deliveries?page_size=4&page=3"));
    assert_answer(&a, 200);
    assert_int_equal(json_array_size(answer_at(&a, "data")), 2);
    assert_int_equal(json_integer_value(answer_at(&a, "_metadata.page_count")), 3);
    static const char *const bad[] = {"page=0", "page=-1", "page=x", "page_size=0", "page_size=101", "page=99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(rest, sizeof rest, "/deliveries?%s", bad[i]);
        GET(of(rest));
        assert_int_equal(a.status, 400);
        snprintf(rest, sizeof rest, "/v2/webhooks?%s", bad[i]);
        GET(rest);
        assert_int_equal(a.status, 400);
    }
}

static void webhooks_of_a_partner_are_its_own_and_not_too_many(void **state UNUSED) {
    make("{\"url\":\"" URL "\"}");
    static const struct {
        enum http_method method;
        const char *rest, *body;
    } calls[] = {{HTTP_GET, "", NULL},
                 {HTTP_PATCH, "", "{\"enabled\":false}"},
                 {HTTP_DELETE, "", NULL},
                 {HTTP_POST, "/rotate-secret", NULL},
                 {HTTP_POST, "/replay", "{\"from_sequence\":1}"},
                 {HTTP_POST, "/test", NULL},
                 {HTTP_GET, "/deliveries", NULL},
                 {HTTP_GET, "/deliveries/00000000-0000-0000-0000-000000000000", NULL},
                 {HTTP_POST, "/deliveries/00000000-0000-0000-0000-000000000000/redeliver", NULL}};
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        api_test_call(&t, &a, 1, calls[i].method, of(calls[i].rest), calls[i].body, NULL);
        assert_problem(&a, 403, "ACCESS_DENIED", "id: the webhook belongs to another partner", NULL);
        api_test_call(&t, &a, -1, calls[i].method, of(calls[i].rest), calls[i].body, NULL);
        assert_answer(&a, 401);
        snprintf(target, sizeof target, "/v2/webhooks/none%s", calls[i].rest);
        api_test_call(&t, &a, 0, calls[i].method, target, calls[i].body, NULL);
        assert_problem(&a, 404, "NOT_FOUND", "id: there is no such webhook", NULL);
    }
    api_test_call(&t, &a, 1, HTTP_GET, "/v2/webhooks", NULL, NULL);
    assert_int_equal(json_array_size(answer_at(&a, "data")), 0);
    for (int i = 1; i < WEBHOOKS_PER_PARTNER_MAX; i++)
        make("{\"url\":\"" URL "\"}");
    POST("/v2/webhooks", "{\"url\":\"" URL "\"}");
    assert_problem(&a, 409, "CONFLICT", "there are 20 webhooks already", NULL);
    DO(HTTP_DELETE, at, NULL);
    assert_answer(&a, 204);
    DO(HTTP_DELETE, at, NULL);
    assert_problem(&a, 404, "NOT_FOUND", "id: ", NULL);
    make("{\"url\":\"" URL "\"}");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(webhook_url_must_be_one_that_may_be_called),     TEST(webhook_types_must_be_types_of_events),
        TEST(webhook_secret_must_have_24_to_64_bytes),        TEST(webhook_faults_are_told_all_at_once),
        TEST(webhook_changes_begin_anew_only_when_they_must), TEST(webhook_replay_begins_within_the_log),
        TEST(webhook_deliveries_are_asked_for_within_bounds), TEST(webhooks_of_a_partner_are_its_own_and_not_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
