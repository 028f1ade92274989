// SPDX-License-Identifier: Apache-2.0
#include "deliver/sign.h"

#include "base/testing.h"

static struct webhook_secret secret_of(const char *text, struct wall expires) {
    struct webhook_secret s = {.expires = expires};
    assert_true(webhook_secret_parse(str_of(text), s.bytes, &s.n));
    return s;
}

// The example of the specification's own libraries.
static void signature_of_standard_webhooks(void **state UNUSED) {
    struct buf out, scratch;
    struct webhook_secret s = secret_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", WALL_NONE);
    buf_init(&out, 1024);
    buf_init(&scratch, 4096);
    sign_delivery(&out, &scratch, &s, 1, "msg_p5jXN8AQM9LWM0D4loKWxJek", (struct wall){INT64_C(1614265330999)},
                  STR("{\"test\": 2432232314}"));
    assert_string_equal(out.p, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    buf_release(&out);
    buf_release(&scratch);
}

static void signatures_of_all_secrets_that_have_not_ended(void **state UNUSED) {
    struct buf out, scratch;
    struct wall now = {INT64_C(1614265330000)};
    struct webhook_secret s[] = {secret_of("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", WALL_NONE),
                                 secret_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", wall_plus_ms(now, 1)),
                                 secret_of("whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB", now)};
    buf_init(&out, 1024);
    buf_init(&scratch, 4096);
    sign_delivery(&out, &scratch, s, ARRAY_LEN(s), "msg_p5jXN8AQM9LWM0D4loKWxJek", now, STR("{\"test\": 2432232314}"));
    struct str first, second = str_cut(buf_str(&out), ' ', &first);
    assert_true(str_starts(first, "v1,"));
    assert_true(str_is(second, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    buf_clear(&out);
    sign_delivery(&out, &scratch, s + 2, 1, "x", now, STR(""));
    assert_int_equal(out.n, 0);
    buf_release(&out);
    buf_release(&scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signature_of_standard_webhooks),
        cmocka_unit_test(signatures_of_all_secrets_that_have_not_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
