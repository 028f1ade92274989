// SPDX-License-Identifier: Apache-2.0
#include "auth/keyring.h"

#include <openssl/pem.h>

#include "auth/testing.h"
#include "base/json.h"
#include "base/testing.h"

#define NOW ((struct wall){1700000000000})

static struct signing_key fresh_row(struct arena *a) {
    struct signing_key row;
    struct err err = {0};
    assert_int_equal(keyring_make_key(NOW, a, &row, &err), ERR_NONE);
    return row;
}

static void a_key_has_its_thumbprint_for_a_name(void **state UNUSED) {
    struct arena a;
    arena_init(&a, 1u << 16);
    struct signing_key row = fresh_row(&a);
    struct keyring *r;
    struct err err = {0};
    assert_true(str_starts(row.pem, "-----BEGIN PRIVATE KEY-----"));
    assert_int_equal(row.kid.n, 43);
    assert_int_equal(keyring_open(&row, 1, &r, &err), ERR_NONE);
    assert_string_equal(r->keys[0].kid, row.kid.p);
    assert_string_not_equal(fresh_row(&a).kid.p, row.kid.p);
    keyring_close(r);
    arena_release(&a);
}

// The set is all that others have to verify our tokens with, and it tells nothing else.
static void the_key_set_verifies_tokens_and_holds_no_secret(void **state UNUSED) {
    struct arena a;
    struct buf out;
    struct err err = {0};
    struct keyring *r;
    arena_init(&a, 1u << 16);
    buf_init(&out, 1u << 16);
    struct signing_key rows[2] = {fresh_row(&a), fresh_row(&a)};
    rows[1].retired = NOW;
    assert_int_equal(keyring_open(rows, 2, &r, &err), ERR_NONE);
    keyring_json(r, NOW, &out);

    json_t *set, *jwk;
    assert_int_equal(json_parse_object(buf_str(&out), &set, &err), ERR_NONE);
    json_t *keys = json_object_get(set, "keys");
    assert_int_equal(json_array_size(keys), 2);
    size_t i;
    json_array_foreach(keys, i, jwk) {
        static const char *const members[] = {"kty", "use", "alg", "kid", "crv", "x", "y"};
        assert_int_equal(json_object_size(jwk), ARRAY_LEN(members));
        for (size_t m = 0; m < ARRAY_LEN(members); m++)
            assert_true(json_is_string(json_object_get(jwk, members[m])));
        struct jwt_key *key;
        struct str token;
        struct jwt t;
        assert_int_equal(jwt_key_of_jwk(jwk, &key, &err), ERR_NONE);
        assert_int_equal(jwt_sign(r->keys[i].access, "at+jwt", STR("{}"), &a, &token, &err), ERR_NONE);
        assert_true(jwt_read(token, &t));
        assert_true(jwt_verify(&t, key));
        assert_true(str_eq(t.kid, jwt_key_kid(key)));
        jwt_release(&t);
        jwt_key_free(key);
    }
    json_decref(set);
    keyring_close(r);
    buf_release(&out);
    arena_release(&a);
}

static void a_refresh_secret_is_the_same_at_every_start_and_differs_by_key(void **state UNUSED) {
    struct arena a;
    struct err err = {0};
    struct keyring *r, *again;
    struct str token;
    struct jwt t;
    arena_init(&a, 1u << 16);
    struct signing_key rows[2] = {fresh_row(&a), fresh_row(&a)};
    assert_int_equal(keyring_open(rows, 2, &r, &err), ERR_NONE);
    assert_int_equal(keyring_open(rows, 2, &again, &err), ERR_NONE);
    assert_int_equal(jwt_sign(r->keys[0].refresh, "rt+jwt", STR("{}"), &a, &token, &err), ERR_NONE);
    assert_true(jwt_read(token, &t));
    assert_true(jwt_verify(&t, again->keys[0].refresh));
    assert_false(jwt_verify(&t, again->keys[1].refresh));
    assert_false(jwt_verify(&t, again->keys[0].access));
    jwt_release(&t);
    keyring_close(r);
    keyring_close(again);
    arena_release(&a);
}

static void the_newest_key_signs_and_retired_ones_are_forgotten_in_time(void **state UNUSED) {
    struct arena a;
    struct buf out;
    struct err err = {0};
    struct keyring *r;
    arena_init(&a, 1u << 16);
    buf_init(&out, 1u << 16);
    struct signing_key rows[2] = {fresh_row(&a), fresh_row(&a)};
    rows[1].retired = NOW;
    assert_int_equal(keyring_open(rows, 2, &r, &err), ERR_NONE);
    assert_string_equal(keyring_signer(r)->kid, rows[0].kid.p);
    assert_non_null(keyring_find(r, rows[1].kid, NOW));
    assert_null(keyring_find(r, rows[1].kid, wall_plus_ms(NOW, 1)));
    assert_non_null(keyring_find(r, rows[0].kid, wall_plus_ms(NOW, 1)));
    assert_null(keyring_find(r, STR("unknown"), NOW));
    assert_null(keyring_find(r, STR(""), NOW));
    keyring_json(r, wall_plus_ms(NOW, 1), &out);
    assert_non_null(strstr(out.p, rows[0].kid.p));
    assert_null(strstr(out.p, rows[1].kid.p));
    keyring_close(r);
    buf_release(&out);
    arena_release(&a);
}

static void rows_that_are_no_such_key_are_corrupt(void **state UNUSED) {
    struct arena a;
    struct err err = {0};
    struct keyring *r;
    arena_init(&a, 1u << 16);
    struct signing_key good = fresh_row(&a), other = fresh_row(&a), bad[6] = {good, good, good, good, good, good};
    EVP_PKEY *p384 = EVP_EC_gen("P-384");
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, p384, NULL, NULL, 0, NULL, NULL), 1);
    bad[0].pem = STR("");
    bad[1].pem = STR("not a key");
    bad[2].pem.n -= 40;
    bad[3].pem = other.pem; // a key, but not the one of this name
    bad[4].pem.n = (size_t)BIO_get_mem_data(bio, &text);
    bad[4].pem.p = text;
    bad[5].pem = STR("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHs\n-----END ENCRYPTED PRIVATE KEY-----\n");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(keyring_open(&bad[i], 1, &r, &err), ERR_CORRUPT);
    BIO_free(bio);
    EVP_PKEY_free(p384);
    arena_release(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_its_thumbprint_for_a_name),
        cmocka_unit_test(the_key_set_verifies_tokens_and_holds_no_secret),
        cmocka_unit_test(a_refresh_secret_is_the_same_at_every_start_and_differs_by_key),
        cmocka_unit_test(the_newest_key_signs_and_retired_ones_are_forgotten_in_time),
        cmocka_unit_test(rows_that_are_no_such_key_are_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
