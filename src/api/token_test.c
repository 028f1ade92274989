// SPDX-License-Identifier: Apache-2.0
#include "api/api_test_support.h"
#include "api/testing.h"

#include "base/id.h"
#include "base/secret.h"
#include "store/store_partner.h"

#define REALM "/auth/realms/tru-staff"
#define TOKEN REALM "/protocol/openid-connect/token"
#define FORM "application/x-www-form-urlencoded"
#define SECRET "0123456789+/ %41&=:\xc3\xa9" // everything that goes wrong on the way when it can
#define SECRET_ESCAPED "0123456789%2B%2F+%2541%26%3D%3A%C3%A9"
#define PAIR "&client_id=acme&client_secret=" SECRET_ESCAPED
#define BY_FORM "grant_type=client_credentials" PAIR

static struct api_test t;
static struct testing_exchange x;
static json_t *answer;

static enum err_kind add_secret(struct tx *tx, void *ctx UNUSED, struct err *err) {
    struct secret_hash hash;
    secret_hash_of(&t.rng, STR(SECRET), &hash);
    return store_partner_secret_add(tx, t.partner[0].id, &hash, WALL_NONE, err);
}

static enum err_kind disable(struct tx *tx, void *ctx UNUSED, struct err *err) {
    struct partner p = t.partner[0];
    p.disabled = true;
    return store_partner_update(tx, &p, err);
}

static void drop_answer(void) {
    if (x.x.side)
        testing_exchange_release(&x);
    json_decref(answer);
    answer = NULL;
    x.x.side = NULL;
}

static int setup(void **state UNUSED) {
    api_test_open(&t);
    api_test_job(&t, add_secret, NULL);
    return 0;
}

static int teardown(void **state UNUSED) {
    drop_answer();
    api_test_close(&t);
    return 0;
}

static void ask(enum http_method method, const char *target, const char *type, const char *authorization, const char *body, size_t n) {
    struct err err = {0};
    drop_answer();
    testing_exchange_init(&x, method, target, "");
    x.x.body = (struct str){body, n};
    if (type)
        testing_exchange_header(&x, "Content-Type", type);
    if (authorization)
        testing_exchange_header(&x, "Authorization", authorization);
    assert_int_equal(t.handler.handle(t.handler.ctx, &x.x), HTTP_REPLY);
    assert_int_equal(json_parse_object(buf_str(&x.x.reply), &answer, &err), ERR_NONE);
    t.handler.end(t.handler.ctx, &x.x, true);
}

static void post(const char *authorization, const char *body) {
    ask(HTTP_POST, TOKEN, FORM, authorization, body, strlen(body));
}

static const char *text(const char *key) {
    const char *value = json_string_value(json_object_get(answer, key));
    return value ? value : "";
}

static void assert_header(const char *name, const char *value) {
    struct str have = testing_answer_header(&x, name);
    assert_true(str_is(have, value));
}

static void assert_tokens(void) {
    if (x.x.status != 200)
        fail_msg("%d " STR_FMT, x.x.status, STR_ARG(buf_str(&x.x.reply)));
    struct str rest = buf_str(&x.x.reply), word;
    static const char *const order[] = {"{\"access_token\":\"", "\",\"expires_in\":300,\"refresh_token\":\"",
                                        "\",\"refresh_expires_in\":1800,\"token_type\":\"Bearer\",\"scope\":\""};
    for (size_t i = 0; i < ARRAY_LEN(order); i++) { // compact, and in this order
        assert_true(str_starts(rest, order[i]));
        rest = (struct str){rest.p + strlen(order[i]), rest.n - strlen(order[i])};
        struct str after = str_cut(rest, '"', &word);
        assert_true(str_present(after) && word.n > 0);
        rest = (struct str){rest.p + word.n, rest.n - word.n};
    }
    assert_true(str_is(rest, "\"}"));
    assert_header("Content-Type", "application/json");
    assert_header("Cache-Control", "no-store");
}

static void assert_error(int status, const char *error) {
    if (x.x.status != status || strcmp(text("error"), error) != 0)
        fail_msg("wanted %d %s, got %d " STR_FMT, status, error, x.x.status, STR_ARG(buf_str(&x.x.reply)));
    assert_int_equal(json_object_size(answer), 2);
    struct str description = str_of(text("error_description"));
    assert_true(description.n > 0);
    for (size_t i = 0; i < description.n; i++) // RFC 6749 section 5.2
        assert_true(description.p[i] >= 0x20 && description.p[i] < 0x7f && description.p[i] != '"' && description.p[i] != '\\');
    assert_header("Cache-Control", "no-store");
    struct str challenge = testing_answer_header(&x, "WWW-Authenticate");
    assert_true(status == 401 ? str_starts(challenge, "Basic ") : !str_present(challenge));
}

static const char *basic(const char *credentials, size_t n) {
    static char header[8192];
    size_t length = base64url_encode(credentials, n, true, header + 6);
    memcpy(header, "Basic ", 6);
    for (size_t i = 6; i < 6 + length; i++)
        header[i] = header[i] == '-' ? '+' : header[i] == '_' ? '/' : header[i];
    return header;
}
#define BASIC(literal) basic(literal, sizeof(literal) - 1)

static void credentials_in_the_body_get_tokens(void **state UNUSED) {
    post(NULL, BY_FORM);
    assert_tokens();
    assert_string_equal(text("scope"), "connect-api");
    post(NULL, BY_FORM "&scope=openid+profile%20email&unknown=1&unknown=2&client_assertion=");
    assert_tokens();
    assert_string_equal(text("scope"), "openid profile email");
    ask(HTTP_POST, TOKEN, "Application/X-WWW-Form-Urlencoded; charset=UTF-8", NULL, BY_FORM, strlen(BY_FORM));
    assert_tokens();
    ask(HTTP_POST, TOKEN, FORM, "Bearer whatever", BY_FORM, strlen(BY_FORM)); // not a way to authenticate here
    assert_tokens();
}

static void credentials_as_basic_get_tokens_escaped_or_not(void **state UNUSED) {
    post(BASIC("acme:" SECRET_ESCAPED), "grant_type=client_credentials");
    assert_tokens();
    post(BASIC("acme:" SECRET), "grant_type=client_credentials");
    assert_tokens();
    post(BASIC("acme:" SECRET), "grant_type=client_credentials&client_id=acme"); // says the same twice
    assert_tokens();
}

static void the_token_opens_the_api(void **state UNUSED) {
    struct answer a = {0};
    char header[2000];
    post(NULL, BY_FORM);
    assert_tokens();
    snprintf(header, sizeof(header), "Bearer %s", text("access_token"));
    const struct header good[] = {{"Authorization", header}, {NULL, NULL}};
    api_test_call(&t, &a, -1, HTTP_GET, "/v2/products", NULL, good);
    assert_answer(&a, 200);
    snprintf(header, sizeof(header), "Bearer %s", text("refresh_token"));
    api_test_call(&t, &a, -1, HTTP_GET, "/v2/products", NULL, good);
    assert_answer(&a, 401);
    answer_release(&a);
}

static void a_refresh_token_gets_a_new_pair(void **state UNUSED) {
    char body[3000], token[1000];
    post(NULL, BY_FORM "&scope=read+write");
    assert_tokens();
    snprintf(token, sizeof(token), "%s", text("refresh_token"));
    snprintf(body, sizeof(body), "grant_type=refresh_token&refresh_token=%s%s", token, PAIR);
    post(NULL, body);
    assert_tokens();
    assert_string_not_equal(text("refresh_token"), token);
    assert_string_equal(text("scope"), "read write");
    snprintf(body, sizeof(body), "grant_type=refresh_token&scope=write&refresh_token=%s", token);
    post(BASIC("acme:" SECRET), body);
    assert_tokens();
    assert_string_equal(text("scope"), "write");
    post(NULL, body); // no credentials
    assert_error(401, "invalid_client");
    snprintf(body, sizeof(body), "grant_type=refresh_token&scope=admin&refresh_token=%s%s", token, PAIR);
    post(NULL, body);
    assert_error(400, "invalid_scope");
    snprintf(body, sizeof(body), "grant_type=refresh_token&refresh_token=x%s%s", token, PAIR);
    post(NULL, body);
    assert_error(400, "invalid_grant");
    snprintf(body, sizeof(body), "grant_type=refresh_token&refresh_token=%s%s", token, PAIR);
    clock_manual_advance(&t.clock_state, 1800 * 1000);
    post(NULL, body);
    assert_error(400, "invalid_grant");
}

static void clients_that_cannot_prove_it_are_invalid(void **state UNUSED) {
    static const char *const bodies[] = {"",
                                         "&client_id=acme",
                                         "&client_secret=" SECRET_ESCAPED,
                                         "&client_id=&client_secret=",
                                         "&client_id=acme&client_secret=wrong",
                                         "&client_id=nobody&client_secret=" SECRET_ESCAPED,
                                         "&client_id=other&client_secret=" SECRET_ESCAPED,
                                         "&client_id=acme%27--&client_secret=x"};
    char body[300];
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        snprintf(body, sizeof(body), "grant_type=client_credentials%s", bodies[i]);
        post(NULL, body);
        assert_error(401, "invalid_client");
    }
    const char *grant = "grant_type=client_credentials";
    static const char *const headers[] = {
        "Basic", "Basic ", "Basic !", "Basic YWNtZQ==", "Basic YWNtZQ", "Basic YWNtZTo=", "Basic Og==", "basic x=y"};
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        post(headers[i], grant);
        assert_error(401, "invalid_client");
    }
    post(BASIC("acme:wrong"), grant);
    assert_error(401, "invalid_client");
    post(BASIC("acme:" SECRET "\n"), grant);
    assert_error(401, "invalid_client");
    post(BASIC("acme\0:" SECRET), grant);
    assert_error(401, "invalid_client");
    char huge[5000];
    memset(huge, 'a', sizeof(huge));
    huge[4] = ':';
    post(basic(huge, sizeof(huge)), grant);
    assert_error(401, "invalid_client");
    api_test_job(&t, disable, NULL);
    post(NULL, BY_FORM);
    assert_error(401, "invalid_client");
}

static void requests_that_are_none_are_told_so(void **state UNUSED) {
    static const struct {
        const char *body, *error;
    } bad[] = {
        {"", "invalid_request"},
        {PAIR, "invalid_request"},
        {"grant_type=" PAIR, "invalid_request"},
        {"grant_type=password" PAIR, "unsupported_grant_type"},
        {"grant_type=client_credentials%00" PAIR, "invalid_request"},
        {"grant_type=authorization_code" PAIR, "unsupported_grant_type"},
        {"grant_type=refresh_token" PAIR, "invalid_request"},
        {"grant_type=refresh_token&refresh_token=" PAIR, "invalid_request"},
        {"grant_type=refresh_token&refresh_token=x" PAIR, "invalid_grant"},
        {BY_FORM "&grant_type=client_credentials", "invalid_request"},
        {BY_FORM "&client_id=acme", "invalid_request"},
        {BY_FORM "&client_id=other", "invalid_request"},
        {BY_FORM "&client_secret=x", "invalid_request"},
        {BY_FORM "&scope=a&scope=a", "invalid_request"},
        {BY_FORM "&refresh_token=a&refresh_token=b", "invalid_request"},
        {BY_FORM "&scope=%zz", "invalid_request"},
        {BY_FORM "&scope=a%22b", "invalid_scope"},
        {BY_FORM "&scope=a++b", "invalid_scope"},
        {"{\"grant_type\":\"client_credentials\"}", "invalid_request"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        post(NULL, bad[i].body);
        assert_error(400, bad[i].error);
    }
    post(BASIC("acme:" SECRET), BY_FORM);
    assert_error(400, "invalid_request"); // two ways at once
    post(BASIC("acme:" SECRET), "grant_type=client_credentials&client_id=other");
    assert_error(400, "invalid_request");
    static const char *const types[] = {NULL, "", "application/json", "multipart/form-data", "text/plain"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        ask(HTTP_POST, TOKEN, types[i], NULL, BY_FORM, strlen(BY_FORM));
        assert_error(400, "invalid_request");
    }
    char many[60000];
    memset(many, '&', sizeof(many));
    ask(HTTP_POST, TOKEN, FORM, NULL, many, sizeof(many));
    assert_error(400, "invalid_request");
    memset(many, 'a', sizeof(many));
    memcpy(many, BY_FORM "&scope=", strlen(BY_FORM "&scope="));
    ask(HTTP_POST, TOKEN, FORM, NULL, many, sizeof(many));
    assert_error(400, "invalid_scope");
}

static void another_realm_does_not_exist(void **state UNUSED) {
    static const char *const targets[] = {"/auth/realms/other/protocol/openid-connect/token",
                                          "/auth/realms/TRU-STAFF/protocol/openid-connect/token",
                                          "/auth/realms/tru-staff%00/protocol/openid-connect/token"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        ask(HTTP_POST, targets[i], FORM, NULL, BY_FORM, strlen(BY_FORM));
        assert_int_equal(x.x.status, 404);
        assert_string_equal(text("type"), "NOT_FOUND");
    }
    ask(HTTP_GET, "/auth/realms/other/protocol/openid-connect/certs", NULL, NULL, "", 0);
    assert_int_equal(x.x.status, 404);
    ask(HTTP_GET, "/auth/realms/other/.well-known/openid-configuration", NULL, NULL, "", 0);
    assert_int_equal(x.x.status, 404);
    ask(HTTP_GET, TOKEN, NULL, NULL, "", 0);
    assert_int_equal(x.x.status, 405);
}

static void discovery_leads_to_the_key_set_and_the_token_endpoint(void **state UNUSED) {
    static const char origin[] = "https://api.example.com";
    ask(HTTP_GET, REALM "/.well-known/openid-configuration", NULL, NULL, "", 0);
    assert_int_equal(x.x.status, 200);
    assert_header("Content-Type", "application/json");
    assert_string_equal(text("issuer"), "https://api.example.com" REALM);
    assert_string_equal(text("token_endpoint"), "https://api.example.com" TOKEN);
    static const char *const lists[] = {"grant_types_supported",   "response_types_supported", "token_endpoint_auth_methods_supported",
                                        "subject_types_supported", "scopes_supported",         "id_token_signing_alg_values_supported"};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        assert_true(json_is_array(json_object_get(answer, lists[i])));
    char keys[200], kid[100];
    assert_true(str_starts(str_of(text("jwks_uri")), origin));
    snprintf(keys, sizeof(keys), "%s", text("jwks_uri") + strlen(origin));
    ask(HTTP_GET, keys, NULL, NULL, "", 0);
    assert_int_equal(x.x.status, 200);
    json_t *key = json_array_get(json_object_get(answer, "keys"), 0);
    assert_string_equal(json_string_value(json_object_get(key, "alg")), "ES256");
    snprintf(kid, sizeof(kid), "%s", json_string_value(json_object_get(key, "kid")));

    post(NULL, BY_FORM); // and that key is the one the tokens name
    struct str header;
    uint8_t bytes[500];
    size_t n;
    str_cut(str_of(text("access_token")), '.', &header);
    assert_true(base64url_decode(header, bytes, sizeof(bytes), &n));
    assert_non_null(memmem(bytes, n, kid, strlen(kid)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(credentials_in_the_body_get_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(credentials_as_basic_get_tokens_escaped_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(the_token_opens_the_api, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refresh_token_gets_a_new_pair, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_that_cannot_prove_it_are_invalid, setup, teardown),
        cmocka_unit_test_setup_teardown(requests_that_are_none_are_told_so, setup, teardown),
        cmocka_unit_test_setup_teardown(another_realm_does_not_exist, setup, teardown),
        cmocka_unit_test_setup_teardown(discovery_leads_to_the_key_set_and_the_token_endpoint, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
