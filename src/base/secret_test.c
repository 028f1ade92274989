// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include "base/id.h"
#include "base/testing.h"

static void sha256_has_the_vectors_of_fips_180(void **state UNUSED) {
    static const uint8_t abc[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                    0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    static const uint8_t nothing[4] = {0xe3, 0xb0, 0xc4, 0x42};
    uint8_t sum[32];
    sha256_of(STR("abc"), sum);
    assert_memory_equal(sum, abc, 32);
    sha256_of(STR(""), sum);
    assert_memory_equal(sum, nothing, 4);
    sha256_of(STR_NONE, sum);
    assert_memory_equal(sum, nothing, 4);
}

static void a_made_secret_is_32_bytes_of_base64url(void **state UNUSED) {
    char a[SECRET_TEXT];
    char b[SECRET_TEXT];
    secret_make(&rng_system, a);
    secret_make(&rng_system, b);
    assert_string_not_equal(a, b);
    uint8_t bytes[32];
    size_t n;
    assert_true(base64url_decode(str_of(a), bytes, sizeof(bytes), &n));
    assert_int_equal(n, 32);
    assert_int_equal(strlen(a), 43);
}

static void a_hash_matches_its_secret_only(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    for (size_t n = 0; n <= SECRET_MAX; n++) {
        char text[SECRET_MAX];
        rng_fill(&rng, text, sizeof(text));
        struct str secret = {text, n};
        struct secret_hash hash;
        secret_hash_of(&rng, secret, &hash);
        assert_true(secret_matches(secret, &hash));
        if (n > 0) {
            assert_false(secret_matches((struct str){text, n - 1}, &hash));
            size_t at = rng_below(&rng, n);
            text[at] = (char)(text[at] ^ (1 << rng_below(&rng, 8)));
            assert_false(secret_matches(secret, &hash));
        }
    }
}

static void the_same_secret_hashes_differently_each_time(void **state UNUSED) {
    struct secret_hash a;
    struct secret_hash b;
    secret_hash_of(&rng_system, STR("correct horse battery"), &a);
    secret_hash_of(&rng_system, STR("correct horse battery"), &b);
    assert_memory_not_equal(a.salt, b.salt, sizeof(a.salt));
    assert_memory_not_equal(a.sha256, b.sha256, sizeof(a.sha256));
}

static void a_secret_from_outside_may_be_of_any_length(void **state UNUSED) {
    struct secret_hash hash;
    secret_hash_of(&rng_system, STR("correct horse battery"), &hash);
    static char huge[1 << 20];
    assert_false(secret_matches((struct str){huge, sizeof(huge)}, &hash));
    assert_false(secret_matches((struct str){huge, SECRET_MAX + 1}, &hash));
    assert_false(secret_matches(STR_NONE, &hash));
}

static void equality_and_wiping(void **state UNUSED) {
    assert_true(secret_equal(STR("abc"), STR("abc")));
    assert_false(secret_equal(STR("abc"), STR("abd")));
    assert_false(secret_equal(STR("abc"), STR("ab")));
    assert_true(secret_equal(STR_NONE, STR("")));
    char key[] = "key";
    secret_wipe(key, sizeof(key));
    assert_memory_equal(key, "\0\0\0\0", 4);
}

// Cases 2 and 3 of RFC 4231, section 4.
static void hmac_sha256_has_the_vectors_of_rfc_4231(void **state UNUSED) {
    static const uint8_t second[32] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
                                       0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
    static const uint8_t third[32] = {0x77, 0x3e, 0xa9, 0x1e, 0x36, 0x80, 0x0e, 0x46, 0x85, 0x4d, 0xb8, 0xeb, 0xd0, 0x91, 0x81, 0xa7,
                                      0x29, 0x59, 0x09, 0x8b, 0x3e, 0xf8, 0xc1, 0x22, 0xd9, 0x63, 0x55, 0x14, 0xce, 0xd5, 0x65, 0xfe};
    uint8_t sum[32], key[20], data[50];
    hmac_sha256_of("Jefe", 4, STR("what do ya want for nothing?"), sum);
    assert_memory_equal(sum, second, sizeof(sum));
    memset(key, 0xaa, sizeof(key));
    memset(data, 0xdd, sizeof(data));
    hmac_sha256_of(key, sizeof(key), (struct str){(const char *)data, sizeof(data)}, sum);
    assert_memory_equal(sum, third, sizeof(sum));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_has_the_vectors_of_fips_180),
        cmocka_unit_test(a_made_secret_is_32_bytes_of_base64url),
        cmocka_unit_test(a_hash_matches_its_secret_only),
        cmocka_unit_test(the_same_secret_hashes_differently_each_time),
        cmocka_unit_test(a_secret_from_outside_may_be_of_any_length),
        cmocka_unit_test(equality_and_wiping),
        cmocka_unit_test(hmac_sha256_has_the_vectors_of_rfc_4231),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
