// SPDX-License-Identifier: Apache-2.0
#include "auth/jwt.h"

#include <cjose/cjose.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "base/json.h"

struct algorithm {
    const char *name;
    cjose_jwk_kty_t kty;
    int curve;              // of an EC key
    size_t signature_bytes; // 0: as long as the key
};

// The first row that fits a key is the one it gets when it names no algorithm itself.
static const struct algorithm algorithms[] = {
    {"ES256", CJOSE_JWK_KTY_EC, CJOSE_JWK_EC_P_256, 64},
    {"ES384", CJOSE_JWK_KTY_EC, CJOSE_JWK_EC_P_384, 96},
    {"ES512", CJOSE_JWK_KTY_EC, CJOSE_JWK_EC_P_521, 132},
    {"RS256", CJOSE_JWK_KTY_RSA, 0, 0},
    {"RS384", CJOSE_JWK_KTY_RSA, 0, 0},
    {"RS512", CJOSE_JWK_KTY_RSA, 0, 0},
    {"PS256", CJOSE_JWK_KTY_RSA, 0, 0},
    {"PS384", CJOSE_JWK_KTY_RSA, 0, 0},
    {"PS512", CJOSE_JWK_KTY_RSA, 0, 0},
    {"HS256", CJOSE_JWK_KTY_OCT, 0, 32},
};
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

struct jwt_key {
    char kid[JWT_KID_MAX + 1];
    const struct algorithm *algorithm;
    size_t signature_bytes;
    cjose_jwk_t *jwk;
};

// ---- base64url ----

static int digit(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

// base64url without padding in its one spelling. The library's decoder is lenient where a token that can be spelt in several ways could
// slip past whoever compares tokens, and stops the process at a '=' in the middle: it sees nothing that is not like this.
static bool is_canonical(struct str part) {
    if (part.n == 0 || part.n % 4 == 1)
        return false;
    for (size_t i = 0; i < part.n; i++)
        if (digit(part.p[i]) < 0)
            return false;
    int leftover = part.n % 4 == 2 ? 15 : part.n % 4 == 3 ? 3 : 0;
    return (digit(part.p[part.n - 1]) & leftover) == 0;
}

// ---- keys ----

static bool fits(const struct algorithm *alg, const cjose_jwk_t *jwk) {
    cjose_err e;
    return cjose_jwk_get_kty(jwk, &e) == alg->kty && (alg->kty != CJOSE_JWK_KTY_EC || (int)cjose_jwk_EC_get_curve(jwk, &e) == alg->curve);
}

// The row for this key: the named one if it fits, the first fitting one when none is named.
static const struct algorithm *algorithm_of(const cjose_jwk_t *jwk, struct str name) {
    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
        if (fits(&algorithms[i], jwk) && (!str_present(name) || str_is(name, algorithms[i].name)))
            return &algorithms[i];
    return NULL;
}

// Takes the jwk over.
static struct jwt_key *key_new(const char *kid, const struct algorithm *algorithm, cjose_jwk_t *jwk) {
    cjose_err e;
    struct jwt_key *key = xcalloc(1, sizeof(*key));
    CHECK(str_to_buf(str_of(kid), key->kid, sizeof(key->kid)));
    key->algorithm = algorithm;
    key->signature_bytes = algorithm->signature_bytes ? algorithm->signature_bytes : (cjose_jwk_get_keysize(jwk, &e) + 7) / 8;
    key->jwk = jwk;
    return key;
}

// cjose's key specifications are not const, though it only reads them.
static uint8_t *unconst(const uint8_t *p) {
    return (uint8_t *)(uintptr_t)p;
}

struct jwt_key *jwt_key_es256(const char *kid, const uint8_t x[32], const uint8_t y[32], const uint8_t d[32]) {
    cjose_err e;
    cjose_jwk_ec_keyspec spec = {
        .crv = CJOSE_JWK_EC_P_256, .x = unconst(x), .xlen = 32, .y = unconst(y), .ylen = 32, .d = unconst(d), .dlen = 32};
    cjose_jwk_t *jwk = cjose_jwk_create_EC_spec(&spec, &e);
    if (jwk)
        return key_new(kid, algorithm_of(jwk, STR("ES256")), jwk);
    ERR_clear_error();
    return NULL;
}

struct jwt_key *jwt_key_hs256(const char *kid, const uint8_t secret[32]) {
    cjose_err e;
    cjose_jwk_t *jwk = cjose_jwk_create_oct_spec(secret, 32, &e);
    return jwk ? key_new(kid, algorithm_of(jwk, STR("HS256")), jwk) : NULL;
}

static struct str member(const json_t *o, const char *name) {
    const json_t *v = json_object_get(o, name);
    return json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)} : STR_NONE;
}

static bool is_for_verifying(const json_t *jwk) {
    const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops");
    if (use && !str_is(member(jwk, "use"), "sig"))
        return false;
    if (!ops)
        return true;
    for (size_t i = 0; i < json_array_size(ops); i++) {
        const json_t *op = json_array_get(ops, i);
        if (json_is_string(op) && strcmp(json_string_value(op), "verify") == 0)
            return true;
    }
    return false;
}

// A copy of what makes the public key and nothing else; NULL when something is missing or badly spelt.
static json_t *public_part(const json_t *jwk, struct str kty) {
    static const char *const rsa[] = {"n", "e", NULL}, *const ec[] = {"x", "y", NULL};
    json_t *copy = json_object();
    bool good = json_object_set(copy, "kty", json_object_get(jwk, "kty")) == 0;
    for (const char *const *name = str_is(kty, "RSA") ? rsa : ec; *name; name++)
        good = good && is_canonical(member(jwk, *name)) && json_object_set(copy, *name, json_object_get(jwk, *name)) == 0;
    if (str_is(kty, "EC"))
        good = good && str_present(member(jwk, "crv")) && json_object_set(copy, "crv", json_object_get(jwk, "crv")) == 0;
    if (good)
        return copy;
    json_decref(copy);
    return NULL;
}

enum err_kind jwt_key_of_jwk(json_t *jwk, struct jwt_key **out, struct err *err) {
    struct str kty = member(jwk, "kty"), kid = member(jwk, "kid"), alg = member(jwk, "alg");
    if (!str_is(kty, "RSA") && !str_is(kty, "EC"))
        return err_set(err, ERR_INVALID, "kty: must be RSA or EC");
    if (!is_for_verifying(jwk))
        return err_set(err, ERR_INVALID, "use: is not a signature key");
    if (kid.n > JWT_KID_MAX)
        return err_set(err, ERR_INVALID, "kid: is longer than %d bytes", JWT_KID_MAX);

    cjose_err e;
    json_t *numbers = public_part(jwk, kty);
    cjose_jwk_t *key = numbers ? cjose_jwk_import_json(numbers, &e) : NULL;
    json_decref(numbers);
    if (!key) {
        ERR_clear_error();
        return err_set(err, ERR_INVALID, "is not a key");
    }
    const struct algorithm *algorithm = algorithm_of(key, alg);
    size_t bits = cjose_jwk_get_keysize(key, &e);
    if (!algorithm || (json_object_get(jwk, "alg") && !str_present(alg))) {
        cjose_jwk_release(key);
        return err_set(err, ERR_INVALID, "alg: is not an algorithm for this key");
    }
    if (algorithm->kty == CJOSE_JWK_KTY_RSA && (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)) {
        cjose_jwk_release(key);
        return err_set(err, ERR_INVALID, "n: has %zu bits, must have %d to %d", bits, RSA_BITS_MIN, RSA_BITS_MAX);
    }
    *out = key_new(str_present(kid) ? kid.p : "", algorithm, key);
    return ERR_NONE;
}

void jwt_key_free(struct jwt_key *key) {
    if (!key)
        return;
    cjose_jwk_release(key->jwk);
    free(key);
}

struct str jwt_key_kid(const struct jwt_key *key) {
    return str_of(key->kid);
}

// ---- signing ----

enum err_kind jwt_sign(const struct jwt_key *key, const char *typ, struct str payload, struct arena *arena, struct str *token,
                       struct err *err) {
    cjose_err e;
    cjose_jws_t *jws = NULL;
    const char *text = NULL;
    cjose_header_t *header = cjose_header_new(&e);
    bool done = header && cjose_header_set(header, "alg", key->algorithm->name, &e) && cjose_header_set(header, "typ", typ, &e) &&
                cjose_header_set(header, "kid", key->kid, &e) &&
                (jws = cjose_jws_sign(key->jwk, header, (const uint8_t *)payload.p, payload.n, &e)) && cjose_jws_export(jws, &text, &e);
    struct str copy = done ? arena_str(arena, str_of(text)) : STR_NONE;
    if (jws)
        cjose_jws_release(jws);
    if (header)
        cjose_header_release(header);
    if (!done) {
        ERR_clear_error();
        return err_set(err, ERR_INTERNAL, "signing a token: %s", e.message);
    }
    if (!str_present(copy))
        return err_set(err, ERR_INTERNAL, "no memory for a token");
    *token = copy;
    return ERR_NONE;
}

// ---- reading ----

bool jwt_read(struct str token, struct jwt *out) {
    struct str header, payload;
    if (token.n == 0 || token.n > JWT_TOKEN_MAX)
        return false;
    struct str signature = str_cut(str_cut(token, '.', &header), '.', &payload);
    if (!is_canonical(header) || !is_canonical(payload) || !is_canonical(signature))
        return false;
    cjose_err e;
    cjose_jws_t *jws = cjose_jws_import(token.p, token.n, &e);
    if (!jws)
        return false;
    const json_t *fields = cjose_jws_get_protected(jws);
    if (json_object_get(fields, "crit")) {
        cjose_jws_release(jws);
        return false;
    }
    *out = (struct jwt){jws, member(fields, "kid"), member(fields, "typ"), member(fields, "alg"), signature.n * 3 / 4};
    return true;
}

bool jwt_verify(const struct jwt *t, const struct jwt_key *key) {
    // The two comparisons are what makes the library safe to call: it picks its method by the token's header, and takes whatever key it is
    // given to be one for that method.
    if (!str_is(t->alg, key->algorithm->name) || t->signature_bytes != key->signature_bytes)
        return false;
    cjose_err e;
    bool good = cjose_jws_verify(t->jws, key->jwk, &e);
    if (!good)
        ERR_clear_error(); // else the next user of OpenSSL on this thread would find our refusal
    return good;
}

enum err_kind jwt_claims(const struct jwt *t, json_t **out, struct err *err) {
    cjose_err e;
    uint8_t *payload;
    size_t n;
    if (!cjose_jws_get_plaintext(t->jws, &payload, &n, &e))
        return err_set(err, ERR_MALFORMED, "the token has no payload");
    return json_parse_object((struct str){(const char *)payload, n}, out, err);
}

void jwt_release(struct jwt *t) {
    if (t->jws)
        cjose_jws_release(t->jws);
    t->jws = NULL;
}
