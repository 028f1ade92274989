// SPDX-License-Identifier: Apache-2.0
/*
 * testing.h - tokens of every kind, good and evil, made with OpenSSL alone: what our code says about tokens is checked against something
 * that is not our code and not its library. For *_test.c and *_fuzz.c files only.
 */
#ifndef AUTH_TESTING_H
#define AUTH_TESTING_H

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/arena.h"
#include "base/id.h"

static inline struct str testing_base64url(struct arena *a, const void *p, size_t n) {
    char *text = arena_alloc(a, 4 * ((n + 2) / 3) + 1);
    CHECK(text);
    size_t length = base64url_encode(p, n, false, text);
    return (struct str){text, length};
}

// "header.payload", both given as they are.
static inline struct str testing_input(struct arena *a, const char *header, const char *payload) {
    struct str h = testing_base64url(a, header, strlen(header)), p = testing_base64url(a, payload, strlen(payload));
    return arena_printf(a, STR_FMT "." STR_FMT, STR_ARG(h), STR_ARG(p));
}

static inline struct str testing_with_signature(struct arena *a, struct str input, const void *signature, size_t n) {
    return arena_printf(a, STR_FMT "." STR_FMT, STR_ARG(input), STR_ARG(testing_base64url(a, signature, n)));
}

static inline struct str testing_hs256(struct arena *a, struct str input, const void *key, size_t key_size) {
    uint8_t mac[32];
    CHECK(HMAC(EVP_sha256(), key, (int)key_size, (const uint8_t *)input.p, input.n, mac, NULL));
    return testing_with_signature(a, input, mac, sizeof(mac));
}

// ES256, RS256 or PS256, as the key and `pss` say.
static inline struct str testing_signed(struct arena *a, struct str input, EVP_PKEY *key, bool pss) {
    uint8_t signature[1024];
    size_t n = sizeof(signature);
    EVP_PKEY_CTX *of_key;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK(EVP_DigestSignInit(ctx, &of_key, EVP_sha256(), NULL, key) == 1);
    if (pss)
        CHECK(EVP_PKEY_CTX_set_rsa_padding(of_key, RSA_PKCS1_PSS_PADDING) == 1 && EVP_PKEY_CTX_set_rsa_pss_saltlen(of_key, 32) == 1);
    CHECK(EVP_DigestSign(ctx, signature, &n, (const uint8_t *)input.p, input.n) == 1);
    EVP_MD_CTX_free(ctx);
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) { // JWS wants r and s bare, not in DER
        const uint8_t *der = signature;
        ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
        int half = (EVP_PKEY_get_bits(key) + 7) / 8;
        CHECK(sig);
        uint8_t bare[256];
        CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(sig), bare, half) == half && BN_bn2binpad(ECDSA_SIG_get0_s(sig), bare + half, half) == half);
        ECDSA_SIG_free(sig);
        n = (size_t)half * 2;
        memcpy(signature, bare, n);
    }
    return testing_with_signature(a, input, signature, n);
}

static inline struct str testing_number(struct arena *a, const EVP_PKEY *key, const char *name, int width) {
    uint8_t bytes[1024];
    BIGNUM *bn = NULL;
    CHECK(EVP_PKEY_get_bn_param(key, name, &bn) == 1);
    int n = width ? width : BN_num_bytes(bn);
    CHECK(BN_bn2binpad(bn, bytes, n) == n);
    BN_free(bn);
    return testing_base64url(a, bytes, (size_t)n);
}

// The public half as a JWK; `more` is put before it: "\"kid\":\"a\",".
static inline struct str testing_jwk(struct arena *a, const EVP_PKEY *key, const char *more) {
    int bytes = (EVP_PKEY_get_bits(key) + 7) / 8;
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC)
        return arena_printf(a, "{%s\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"" STR_FMT "\",\"y\":\"" STR_FMT "\"}", more,
                            bytes == 32 ? "P-256" : "P-384", STR_ARG(testing_number(a, key, OSSL_PKEY_PARAM_EC_PUB_X, bytes)),
                            STR_ARG(testing_number(a, key, OSSL_PKEY_PARAM_EC_PUB_Y, bytes)));
    return arena_printf(a, "{%s\"kty\":\"RSA\",\"n\":\"" STR_FMT "\",\"e\":\"" STR_FMT "\"}", more,
                        STR_ARG(testing_number(a, key, OSSL_PKEY_PARAM_RSA_N, 0)),
                        STR_ARG(testing_number(a, key, OSSL_PKEY_PARAM_RSA_E, 0)));
}

#endif
