// SPDX-License-Identifier: Apache-2.0
#include "auth/jwt.h"

#include "auth/testing.h"
#include "base/json.h"
#include "base/testing.h"

// RFC 7515, appendix A.3
#define RFC_JWK                                                                                                                            \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                                             \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
#define RFC_TOKEN                                                                                                                          \
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"                  \
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"

struct world {
    struct arena arena;
    EVP_PKEY *ec, *rsa;
    struct jwt_key *ec_key, *rsa_key, *shared;
};

static struct jwt_key *key_of(struct str jwk) {
    struct err err = {0};
    json_t *json;
    struct jwt_key *key;
    assert_int_equal(json_parse_object(jwk, &json, &err), ERR_NONE);
    assert_int_equal(jwt_key_of_jwk(json, &key, &err), ERR_NONE);
    json_decref(json);
    return key;
}

static enum err_kind refusal_of(struct str jwk) {
    struct err err = {0};
    json_t *json;
    struct jwt_key *key;
    assert_int_equal(json_parse_object(jwk, &json, &err), ERR_NONE);
    enum err_kind kind = jwt_key_of_jwk(json, &key, &err);
    json_decref(json);
    return kind;
}

static int setup(void **state) {
    static const uint8_t secret[32] = {1, 2, 3};
    struct world *w = xcalloc(1, sizeof(*w));
    arena_init(&w->arena, 1u << 20);
    w->ec = EVP_EC_gen("P-256");
    w->rsa = EVP_RSA_gen(2048);
    w->ec_key = key_of(testing_jwk(&w->arena, w->ec, "\"kid\":\"e\","));
    w->rsa_key = key_of(testing_jwk(&w->arena, w->rsa, "\"kid\":\"r\","));
    w->shared = jwt_key_hs256("s", secret);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    jwt_key_free(w->ec_key);
    jwt_key_free(w->rsa_key);
    jwt_key_free(w->shared);
    EVP_PKEY_free(w->ec);
    EVP_PKEY_free(w->rsa);
    arena_release(&w->arena);
    free(w);
    return 0;
}

static bool verifies(struct str token, const struct jwt_key *key) {
    struct jwt t;
    if (!jwt_read(token, &t))
        return false;
    bool good = jwt_verify(&t, key);
    jwt_release(&t);
    return good;
}

static bool reads(struct str token) {
    struct jwt t;
    bool good = jwt_read(token, &t);
    if (good)
        jwt_release(&t);
    return good;
}

static void the_token_of_rfc_7515_verifies(void **state UNUSED) {
    struct jwt_key *key = key_of(STR(RFC_JWK));
    assert_true(verifies(STR(RFC_TOKEN), key));
    jwt_key_free(key);
}

static void what_openssl_signs_verifies_with_its_key_and_algorithm_only(void **state) {
    struct world *w = *state;
    struct arena *a = &w->arena;
    struct jwt_key *pss = key_of(testing_jwk(a, w->rsa, "\"alg\":\"PS256\","));
    struct str es = testing_signed(a, testing_input(a, "{\"alg\":\"ES256\"}", "{}"), w->ec, false);
    struct str rs = testing_signed(a, testing_input(a, "{\"alg\":\"RS256\"}", "{}"), w->rsa, false);
    struct str ps = testing_signed(a, testing_input(a, "{\"alg\":\"PS256\"}", "{}"), w->rsa, true);
    assert_true(verifies(es, w->ec_key));
    assert_true(verifies(rs, w->rsa_key));
    assert_true(verifies(ps, pss));
    assert_false(verifies(es, w->rsa_key));
    assert_false(verifies(rs, w->ec_key));
    assert_false(verifies(rs, pss));
    assert_false(verifies(ps, w->rsa_key));
    assert_false(verifies(es, w->shared));
    jwt_key_free(pss);
}

static void another_curve_has_another_algorithm(void **state) {
    struct world *w = *state;
    struct arena *a = &w->arena;
    EVP_PKEY *p384 = EVP_EC_gen("P-384");
    struct jwt_key *key = key_of(testing_jwk(a, p384, ""));
    assert_false(verifies(testing_signed(a, testing_input(a, "{\"alg\":\"ES256\"}", "{}"), p384, false), key));
    assert_int_equal(refusal_of(testing_jwk(a, p384, "\"alg\":\"ES256\",")), ERR_INVALID);
    jwt_key_free(key);
    EVP_PKEY_free(p384);
}

static void our_own_signatures_are_openssls(void **state) {
    struct world *w = *state;
    struct arena *a = &w->arena;
    uint8_t x[32], y[32], d[32];
    size_t n;
    assert_true(base64url_decode(testing_number(a, w->ec, OSSL_PKEY_PARAM_EC_PUB_X, 32), x, 32, &n));
    assert_true(base64url_decode(testing_number(a, w->ec, OSSL_PKEY_PARAM_EC_PUB_Y, 32), y, 32, &n));
    assert_true(base64url_decode(testing_number(a, w->ec, OSSL_PKEY_PARAM_PRIV_KEY, 32), d, 32, &n));
    struct jwt_key *key = jwt_key_es256("mine", x, y, d);
    struct str token;
    struct err err = {0};
    struct jwt t;
    assert_int_equal(jwt_sign(key, "at+jwt", STR("{\"a\":1}"), a, &token, &err), ERR_NONE);
    assert_true(jwt_read(token, &t));
    assert_string_equal(t.kid.p, "mine");
    assert_string_equal(t.typ.p, "at+jwt");
    assert_string_equal(t.alg.p, "ES256");
    assert_true(jwt_verify(&t, w->ec_key)); // the public half alone, which came by another way
    json_t *claims;
    assert_int_equal(jwt_claims(&t, &claims, &err), ERR_NONE);
    assert_int_equal(json_integer_value(json_object_get(claims, "a")), 1);
    json_decref(claims);
    jwt_release(&t);
    jwt_key_free(key);
}

static void a_shared_secrets_signature_is_openssls(void **state) {
    struct world *w = *state;
    static const uint8_t secret[32] = {1, 2, 3};
    struct str token, mine = testing_hs256(&w->arena, testing_input(&w->arena, "{\"alg\":\"HS256\"}", "{}"), secret, 32);
    struct err err = {0};
    assert_true(verifies(mine, w->shared));
    assert_int_equal(jwt_sign(w->shared, "rt+jwt", STR("{}"), &w->arena, &token, &err), ERR_NONE);
    assert_true(verifies(token, w->shared));
}

static void alg_none_never_verifies(void **state) {
    struct world *w = *state;
    static const char *const headers[] = {"{\"alg\":\"none\"}", "{\"alg\":\"None\"}", "{\"alg\":\"NONE\"}", "{\"alg\":\"\"}", "{}",
                                          "{\"alg\":1}"};
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct str input = testing_input(&w->arena, headers[i], "{}");
        assert_false(verifies(arena_printf(&w->arena, STR_FMT ".", STR_ARG(input)), w->ec_key));
        assert_false(verifies(arena_printf(&w->arena, STR_FMT ".AA", STR_ARG(input)), w->ec_key));
        assert_false(verifies(testing_hs256(&w->arena, input, "", 0), w->shared));
        assert_false(verifies(testing_signed(&w->arena, input, w->ec, false), w->ec_key));
    }
}

// The classic: the public key, in any form in which it is known, taken for the secret of HS256.
static void a_public_key_is_no_shared_secret(void **state) {
    struct world *w = *state;
    struct arena *a = &w->arena;
    struct str input = testing_input(a, "{\"alg\":\"HS256\",\"kid\":\"e\"}", "{}");
    uint8_t *der = NULL;
    int n = i2d_PUBKEY(w->ec, &der);
    assert_true(n > 0);
    struct str jwk = testing_jwk(a, w->ec, "");
    assert_false(verifies(testing_hs256(a, input, der, (size_t)n), w->ec_key));
    assert_false(verifies(testing_hs256(a, input, jwk.p, jwk.n), w->ec_key));
    assert_false(verifies(testing_hs256(a, input, "", 0), w->ec_key));
    assert_false(verifies(testing_hs256(a, testing_input(a, "{\"alg\":\"HS256\",\"kid\":\"r\"}", "{}"), der, (size_t)n), w->rsa_key));
    OPENSSL_free(der);
}

static void a_token_has_one_spelling(void **state) {
    struct world *w = *state;
    struct arena *a = &w->arena;
    struct str good = testing_signed(a, testing_input(a, "{\"alg\":\"ES256\"}", "{\"a\":1}"), w->ec, false);
    assert_true(verifies(good, w->ec_key));
    // the last character of a part of 86 carries four bits that are not part of the 64 bytes
    for (const char *c = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n"; *c; c++) {
        char *other = arena_alloc(a, good.n + 1);
        memcpy(other, good.p, good.n);
        other[good.n - 1] = *c;
        if (*c != good.p[good.n - 1])
            assert_false(verifies((struct str){other, good.n}, w->ec_key));
    }
    assert_false(reads(arena_printf(a, STR_FMT "=", STR_ARG(good))));
    assert_false(reads(arena_printf(a, STR_FMT "==", STR_ARG(good))));
    assert_false(reads(arena_printf(a, " " STR_FMT, STR_ARG(good))));
    assert_false(reads(arena_printf(a, STR_FMT "\n", STR_ARG(good))));
    assert_false(reads(arena_printf(a, STR_FMT ".", STR_ARG(good))));
    assert_false(reads(arena_printf(a, STR_FMT ".AAAA", STR_ARG(good))));
}

static void a_cut_token_does_not_verify(void **state) {
    struct world *w = *state;
    struct str good = testing_signed(&w->arena, testing_input(&w->arena, "{\"alg\":\"ES256\"}", "{\"a\":1}"), w->ec, false);
    for (size_t n = 0; n < good.n; n++)
        assert_false(verifies((struct str){good.p, n}, w->ec_key));
}

static void any_changed_byte_spoils_a_token(void **state) {
    struct world *w = *state;
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    struct str good = testing_signed(&w->arena, testing_input(&w->arena, "{\"alg\":\"ES256\",\"kid\":\"e\"}", "{\"a\":1}"), w->ec, false);
    char *other = arena_alloc(&w->arena, good.n + 1);
    for (int i = 0; i < 2000; i++) {
        memcpy(other, good.p, good.n);
        size_t at = rng_below(&rng, good.n);
        other[at] ^= (char)(1 + rng_below(&rng, 255));
        assert_false(verifies((struct str){other, good.n}, w->ec_key));
    }
}

static void garbage_is_no_token(void **state) {
    struct world *w = *state;
    struct arena *a = &w->arena;
    static const char *const bad[] = {"",           ".",          "..",          "...",       "a",
                                      "a.b.c",      "e30.e30.",   ".e30.AA",     "e30..AA",   "bnVsbA.e30.AA",
                                      "W10.e30.AA", "IiI.e30.AA", "eyJ9.e30.AA", "e30.e30.AA"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(reads(str_of(bad[i])));
    assert_false(reads(STR_NONE));
    assert_false(reads((struct str){"e30.e\0"
                                    "30.AA",
                                    10}));

    char *huge = arena_alloc(a, 2 * JWT_TOKEN_MAX);
    memset(huge, 'A', 2 * JWT_TOKEN_MAX);
    assert_false(reads((struct str){huge, 2 * JWT_TOKEN_MAX}));
    assert_false(reads((struct str){huge, JWT_TOKEN_MAX}));

    char deep[4000]; // a header that nests, and never ends
    memset(deep, '[', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    assert_false(reads(testing_with_signature(a, testing_input(a, deep, "{}"), "aa", 2)));
}

static void an_unknown_extension_is_refused(void **state) {
    struct world *w = *state;
    struct arena *a = &w->arena;
    struct str input = testing_input(a, "{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}", "{}");
    assert_false(verifies(testing_signed(a, input, w->ec, false), w->ec_key));
}

static void claims_must_be_one_object(void **state) {
    struct world *w = *state;
    struct arena *a = &w->arena;
    static const char *const bad[] = {"[]", "1", "null", "{\"a\":1,\"a\":2}", "{", "{\"a\":\"\xff\"}", "{}x"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct jwt t;
        struct err err = {0};
        json_t *claims;
        assert_true(jwt_read(testing_signed(a, testing_input(a, "{\"alg\":\"ES256\"}", bad[i]), w->ec, false), &t));
        assert_int_not_equal(jwt_claims(&t, &claims, &err), ERR_NONE);
        jwt_release(&t);
    }
}

static void keys_that_cannot_verify_are_refused(void **state) {
    struct world *w = *state;
    struct arena *a = &w->arena;
    EVP_PKEY *small = EVP_RSA_gen(1024);
    assert_int_equal(refusal_of(testing_jwk(a, small, "")), ERR_INVALID);
    EVP_PKEY_free(small);
    assert_int_equal(refusal_of(STR("{}")), ERR_INVALID);
    assert_int_equal(refusal_of(STR("{\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}")), ERR_INVALID);
    assert_int_equal(refusal_of(STR("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}")), ERR_INVALID);
    assert_int_equal(refusal_of(STR("{\"kty\":\"EC\",\"crv\":\"P-999\"}")), ERR_INVALID);
    assert_int_equal(refusal_of(STR("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                                    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5b0\"}")),
                     ERR_INVALID); // not on the curve
    assert_int_equal(refusal_of(STR("{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"\"}")), ERR_INVALID);
    assert_int_equal(refusal_of(STR("{\"kty\":\"RSA\",\"n\":\"AAAA=AAAA\",\"e\":\"AQAB\"}")), ERR_INVALID); // found by the fuzzer
    assert_int_equal(refusal_of(STR("{\"kty\":\"RSA\",\"n\":1,\"e\":null}")), ERR_INVALID);
    assert_int_equal(refusal_of(testing_jwk(a, w->ec, "\"use\":\"enc\",")), ERR_INVALID);
    assert_int_equal(refusal_of(testing_jwk(a, w->ec, "\"key_ops\":[\"encrypt\"],")), ERR_INVALID);
    assert_int_equal(refusal_of(testing_jwk(a, w->ec, "\"alg\":\"RS256\",")), ERR_INVALID);
    assert_int_equal(refusal_of(testing_jwk(a, w->ec, "\"alg\":\"HS256\",")), ERR_INVALID);
    assert_int_equal(refusal_of(testing_jwk(a, w->ec, "\"alg\":7,")), ERR_INVALID);
    assert_int_equal(refusal_of(testing_jwk(a, w->rsa, "\"alg\":\"RSA-OAEP\",")), ERR_INVALID);
    jwt_key_free(key_of(testing_jwk(a, w->ec, "\"use\":\"sig\",\"key_ops\":[\"sign\",\"verify\"],\"alg\":\"ES256\",")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_token_of_rfc_7515_verifies),
        cmocka_unit_test(what_openssl_signs_verifies_with_its_key_and_algorithm_only),
        cmocka_unit_test(another_curve_has_another_algorithm),
        cmocka_unit_test(our_own_signatures_are_openssls),
        cmocka_unit_test(a_shared_secrets_signature_is_openssls),
        cmocka_unit_test(alg_none_never_verifies),
        cmocka_unit_test(a_public_key_is_no_shared_secret),
        cmocka_unit_test(a_token_has_one_spelling),
        cmocka_unit_test(a_cut_token_does_not_verify),
        cmocka_unit_test(any_changed_byte_spoils_a_token),
        cmocka_unit_test(garbage_is_no_token),
        cmocka_unit_test(an_unknown_extension_is_refused),
        cmocka_unit_test(claims_must_be_one_object),
        cmocka_unit_test(keys_that_cannot_verify_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
