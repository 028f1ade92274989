// SPDX-License-Identifier: Apache-2.0
#include "auth/keyring.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/id.h"
#include "base/json.h"
#include "base/secret.h"

struct numbers { // of a P-256 key
    uint8_t x[32], y[32], d[32];
};

static bool number_of(const EVP_PKEY *pkey, const char *name, uint8_t out[32]) {
    BIGNUM *bn = NULL;
    bool good = EVP_PKEY_get_bn_param(pkey, name, &bn) == 1 && BN_bn2binpad(bn, out, 32) == 32;
    BN_clear_free(bn);
    return good;
}

static bool numbers_of(const EVP_PKEY *pkey, struct numbers *out) {
    char group[32];
    return EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) == 1 && strcmp(group, SN_X9_62_prime256v1) == 0 &&
           number_of(pkey, OSSL_PKEY_PARAM_EC_PUB_X, out->x) && number_of(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, out->y) &&
           number_of(pkey, OSSL_PKEY_PARAM_PRIV_KEY, out->d);
}

// RFC 7638: the SHA-256 of the key's required members, in the order of their names.
static void thumbprint(const char *x, const char *y, char out[COORDINATE_TEXT]) {
    char text[160];
    uint8_t sum[32];
    int n = snprintf(text, sizeof(text), "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
    CHECK(n > 0 && (size_t)n < sizeof(text));
    sha256_of((struct str){text, (size_t)n}, sum);
    base64url_encode(sum, sizeof(sum), false, out);
}

static void name_key(const struct numbers *k, struct ring_key *out) {
    base64url_encode(k->x, sizeof(k->x), false, out->x);
    base64url_encode(k->y, sizeof(k->y), false, out->y);
    thumbprint(out->x, out->y, out->kid);
}

static void derive_refresh_secret(const struct numbers *k, uint8_t out[32]) {
    static char digest[] = "SHA256", use[] = "topupd refresh tokens";
    uint8_t d[32];
    memcpy(d, k->d, sizeof(d));
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, d, sizeof(d)),
                           OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, use, sizeof(use) - 1), OSSL_PARAM_construct_end()};
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    CHECK(ctx && EVP_KDF_derive(ctx, out, 32, params) == 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    secret_wipe(d, sizeof(d));
}

enum err_kind keyring_make_key(struct wall now, struct arena *arena, struct signing_key *out, struct err *err) {
    struct numbers numbers;
    struct ring_key named;
    char *text;
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    BIO *pem = BIO_new(BIO_s_secmem());
    bool good = pkey && pem && numbers_of(pkey, &numbers) && PEM_write_bio_PKCS8PrivateKey(pem, pkey, NULL, NULL, 0, NULL, NULL) == 1;
    if (good) {
        name_key(&numbers, &named);
        long n = BIO_get_mem_data(pem, &text);
        *out = (struct signing_key){.kid = arena_str(arena, str_of(named.kid)),
                                    .pem = arena_str(arena, (struct str){text, (size_t)n}),
                                    .created = now,
                                    .retired = WALL_NONE};
    }
    secret_wipe(&numbers, sizeof(numbers));
    BIO_free(pem);
    EVP_PKEY_free(pkey);
    if (!good || arena_failed(arena)) {
        ERR_clear_error();
        return err_set(err, ERR_INTERNAL, "cannot make a signing key");
    }
    return ERR_NONE;
}

// The passphrase that nobody should be asked for.
static int no_passphrase(char *buf UNUSED, int size UNUSED, int writing UNUSED, void *ctx UNUSED) {
    return -1;
}

static bool key_of_row(const struct signing_key *row, struct ring_key *out) {
    struct numbers numbers;
    uint8_t secret[32];
    if (row->pem.n == 0 || row->pem.n > INT32_MAX)
        return false;
    BIO *pem = BIO_new_mem_buf(row->pem.p, (int)row->pem.n);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(pem, NULL, no_passphrase, NULL);
    if (pkey && numbers_of(pkey, &numbers)) {
        name_key(&numbers, out);
        derive_refresh_secret(&numbers, secret);
        out->retired = row->retired;
        out->access = jwt_key_es256(out->kid, numbers.x, numbers.y, numbers.d);
        out->refresh = jwt_key_hs256(out->kid, secret);
        secret_wipe(secret, sizeof(secret));
    }
    secret_wipe(&numbers, sizeof(numbers));
    EVP_PKEY_free(pkey);
    BIO_free(pem);
    ERR_clear_error();
    return out->access && out->refresh && str_eq(str_of(out->kid), row->kid);
}

enum err_kind keyring_open(const struct signing_key *rows, size_t n, struct keyring **out, struct err *err) {
    struct keyring *r = xcalloc(1, sizeof(*r));
    for (size_t i = 0; i < n && i < KEYRING_MAX; i++) {
        r->n++;
        if (!key_of_row(&rows[i], &r->keys[i])) {
            keyring_close(r);
            return err_set(err, ERR_CORRUPT, "signing key " STR_FMT ": the stored row is not a P-256 key of this name",
                           STR_ARG(rows[i].kid));
        }
    }
    *out = r;
    return ERR_NONE;
}

void keyring_close(struct keyring *r) {
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++) {
        jwt_key_free(r->keys[i].access);
        jwt_key_free(r->keys[i].refresh);
    }
    free(r);
}

const struct ring_key *keyring_signer(const struct keyring *r) {
    for (size_t i = 0; i < r->n; i++)
        if (!wall_set(r->keys[i].retired))
            return &r->keys[i];
    return r->n ? &r->keys[0] : NULL;
}

static bool is_forgotten(const struct ring_key *k, struct wall forget_before) {
    return wall_set(k->retired) && k->retired.ms < forget_before.ms;
}

const struct ring_key *keyring_find(const struct keyring *r, struct str kid, struct wall forget_before) {
    for (size_t i = 0; i < r->n; i++)
        if (str_eq(str_of(r->keys[i].kid), kid))
            return is_forgotten(&r->keys[i], forget_before) ? NULL : &r->keys[i];
    return NULL;
}

void keyring_json(const struct keyring *r, struct wall forget_before, struct buf *out) {
    struct jw w = jw_on(out);
    jw_object(&w, NULL);
    jw_array(&w, "keys");
    for (size_t i = 0; i < r->n; i++) {
        const struct ring_key *k = &r->keys[i];
        if (is_forgotten(k, forget_before))
            continue;
        jw_object(&w, NULL);
        jw_text(&w, "kty", "EC");
        jw_text(&w, "use", "sig");
        jw_text(&w, "alg", "ES256");
        jw_text(&w, "kid", k->kid);
        jw_text(&w, "crv", "P-256");
        jw_text(&w, "x", k->x);
        jw_text(&w, "y", k->y);
        jw_end_object(&w);
    }
    jw_end_array(&w);
    jw_end_object(&w);
}
