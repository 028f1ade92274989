// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <string.h>

#include "base/id.h"

// Fetched once: EVP_sha256() alone looks the algorithm up on every use, which costs more than hashing a short text. Never freed; OpenSSL
// keeps it until the process ends.
static const EVP_MD *sha256;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void fetch_sha256(void) {
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    CHECK(sha256 != NULL && "OpenSSL knows SHA-256");
}

void sha256_of(struct str data, uint8_t out[32]) {
    pthread_once(&sha256_once, fetch_sha256);
    CHECK(EVP_Digest(data.p, data.n, out, NULL, sha256, NULL) == 1);
}

// A name of ours for OpenSSL's context.
static EVP_MD_CTX *context_of(struct sha256 *s) {
    return (EVP_MD_CTX *)(void *)s;
}

struct sha256 *sha256_begin(void) {
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    pthread_once(&sha256_once, fetch_sha256);
    CHECK(ctx && EVP_DigestInit_ex2(ctx, sha256, NULL) == 1);
    return (struct sha256 *)(void *)ctx;
}

void sha256_add(struct sha256 *s, struct str data) {
    CHECK(EVP_DigestUpdate(context_of(s), data.p, data.n) == 1);
}

void sha256_end(struct sha256 *s, uint8_t out[32]) {
    CHECK(!out || EVP_DigestFinal_ex(context_of(s), out, NULL) == 1);
    EVP_MD_CTX_free(context_of(s));
}

void hmac_sha256_of(const void *key, size_t n, struct str data, uint8_t out[32]) {
    unsigned written = 0;
    CHECK(n <= SECRET_MAX);
    pthread_once(&sha256_once, fetch_sha256);
    CHECK(HMAC(sha256, key, (int)n, (const unsigned char *)data.p, data.n, out, &written) && written == 32);
}

// SHA-256 of salt and secret. The caller has looked at the secret's length.
static void salted(const uint8_t salt[16], struct str secret, uint8_t out[32]) {
    char both[16 + SECRET_MAX];
    memcpy(both, salt, 16);
    if (secret.n > 0) {
        memcpy(both + 16, secret.p, secret.n);
    }
    sha256_of((struct str){both, 16 + secret.n}, out);
    OPENSSL_cleanse(both, sizeof(both));
}

void secret_make(const struct rng *rng, char out[SECRET_TEXT]) {
    uint8_t bytes[32];
    rng_fill(rng, bytes, sizeof(bytes));
    base64url_encode(bytes, sizeof(bytes), false, out);
    OPENSSL_cleanse(bytes, sizeof(bytes));
}

void secret_hash_of(const struct rng *rng, struct str secret, struct secret_hash *out) {
    CHECK(secret.n <= SECRET_MAX);
    rng_fill(rng, out->salt, sizeof(out->salt));
    salted(out->salt, secret, out->sha256);
}

bool secret_matches(struct str secret, const struct secret_hash *hash) {
    uint8_t sum[32];
    if (secret.n > SECRET_MAX) { // it comes from outside, and no secret is that long
        return false;
    }
    salted(hash->salt, secret, sum);
    bool same = CRYPTO_memcmp(sum, hash->sha256, sizeof(sum)) == 0;
    OPENSSL_cleanse(sum, sizeof(sum));
    return same;
}

bool secret_equal(struct str a, struct str b) {
    static const uint64_t none = 0;
    uint64_t differ = 0;
    size_t at = 0;
    if (a.n != b.n) {
        return false;
    }
    for (; a.n - at >= sizeof(uint64_t); at += sizeof(uint64_t)) { // eight bytes at a time: a token has hundreds
        uint64_t x;
        uint64_t y;
        memcpy(&x, a.p + at, sizeof(x));
        memcpy(&y, b.p + at, sizeof(y));
        differ |= x ^ y;
    }
    for (; at < a.n; at++) {
        differ |= (uint64_t)(unsigned char)(a.p[at] ^ b.p[at]);
    }
    return CRYPTO_memcmp(&differ, &none, sizeof(differ)) == 0; // its address leaves: nobody can end the loops early
}

void secret_wipe(void *p, size_t n) {
    OPENSSL_cleanse(p, n);
}
