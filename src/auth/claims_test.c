// SPDX-License-Identifier: Apache-2.0
#include "auth/claims.h"

#include "base/json.h"
#include "base/testing.h"

#define NOW_S 1700000000
#define NOW ((struct wall){NOW_S * INT64_C(1000)})

static enum err_kind check(const char *text, struct wall now) {
    struct err err = {0};
    json_t *claims;
    struct wall expires = WALL_NONE;
    assert_int_equal(json_parse_object(str_of(text), &claims, &err), ERR_NONE);
    enum err_kind kind = claims_check(claims, "me", "you", now, &expires, &err);
    assert_true((kind == ERR_NONE) == wall_set(expires));
    json_decref(claims);
    return kind;
}

static void issuer_audience_and_end_must_be_right(void **state UNUSED) {
    static const char *const good[] = {
        "{\"iss\":\"me\",\"aud\":\"you\",\"exp\":1700000001}", "{\"iss\":\"me\",\"aud\":[\"a\",1,\"you\"],\"exp\":1700000001}",
        "{\"iss\":\"me\",\"aud\":\"you\",\"exp\":1700000000.5}", "{\"iss\":\"me\",\"aud\":\"you\",\"exp\":1700000001,\"nbf\":1700000000}"};
    static const char *const bad[] = {"{}",
                                      "{\"aud\":\"you\",\"exp\":1700000001}",
                                      "{\"iss\":\"I\",\"aud\":\"you\",\"exp\":1700000001}",
                                      "{\"iss\":[\"me\"],\"aud\":\"you\",\"exp\":1700000001}",
                                      "{\"iss\":\"me/\",\"aud\":\"you\",\"exp\":1700000001}",
                                      "{\"iss\":\"me\",\"exp\":1700000001}",
                                      "{\"iss\":\"me\",\"aud\":\"they\",\"exp\":1700000001}",
                                      "{\"iss\":\"me\",\"aud\":[],\"exp\":1700000001}",
                                      "{\"iss\":\"me\",\"aud\":[\"they\"],\"exp\":1700000001}",
                                      "{\"iss\":\"me\",\"aud\":{\"you\":1},\"exp\":1700000001}",
                                      "{\"iss\":\"me\",\"aud\":\"you\"}",
                                      "{\"iss\":\"me\",\"aud\":\"you\",\"exp\":\"1700000001\"}",
                                      "{\"iss\":\"me\",\"aud\":\"you\",\"exp\":null}",
                                      "{\"iss\":\"me\",\"aud\":\"you\",\"exp\":true}",
                                      "{\"iss\":\"me\",\"aud\":\"you\",\"exp\":-1}",
                                      "{\"iss\":\"me\",\"aud\":\"you\",\"exp\":1e300}",
                                      "{\"iss\":\"me\",\"aud\":\"you\",\"exp\":9223372036854775807}",
                                      "{\"iss\":\"me\",\"aud\":\"you\",\"exp\":1700000000}",
                                      "{\"iss\":\"me\",\"aud\":\"you\",\"exp\":1699999999}",
                                      "{\"iss\":\"me\",\"aud\":\"you\",\"exp\":1700000001,\"nbf\":\"soon\"}"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_int_equal(check(good[i], NOW), ERR_NONE);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(check(bad[i], NOW), ERR_UNAUTHORISED);
}

static void the_end_is_exact_and_the_beginning_forgives_a_clock_that_is_ahead(void **state UNUSED) {
    const char *text = "{\"iss\":\"me\",\"aud\":\"you\",\"exp\":1700000300,\"nbf\":1700000000}";
    assert_int_equal(check(text, wall_plus_ms(NOW, 299999)), ERR_NONE);
    assert_int_equal(check(text, wall_plus_ms(NOW, 300000)), ERR_UNAUTHORISED);
    assert_int_equal(check(text, wall_plus_ms(NOW, -CLAIMS_EARLY_SECONDS * 1000)), ERR_NONE);
    assert_int_equal(check(text, wall_plus_ms(NOW, -CLAIMS_EARLY_SECONDS * 1000 - 1)), ERR_UNAUTHORISED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issuer_audience_and_end_must_be_right),
        cmocka_unit_test(the_end_is_exact_and_the_beginning_forgives_a_clock_that_is_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
