// SPDX-License-Identifier: Apache-2.0
// Any bytes as a token, as its claims and as a key of somebody's key set. No token verifies but the one that was signed.
#include "auth/jwt.h"

#include "auth/claims.h"
#include "base/fuzz.h"
#include "base/json.h"

// RFC 7515, appendix A.3; the corpus has the token, too
static const char jwk[] = "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                          "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";
static const char signed_with_it[] =
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

static struct jwt_key *keys[2];

static void make_keys(void) {
    static const uint8_t secret[32] = {7};
    struct err err = {0};
    json_t *json;
    CHECK(json_parse_object(str_of(jwk), &json, &err) == ERR_NONE);
    CHECK(jwt_key_of_jwk(json, &keys[0], &err) == ERR_NONE);
    json_decref(json);
    keys[1] = jwt_key_hs256("shared", secret);
}

static void as_claims(const json_t *claims) {
    struct err err = {0};
    struct wall expires = WALL_NONE;
    struct wall now = {1000};
    if (claims_check(claims, "joe", "us", now, &expires, &err) == ERR_NONE)
        CHECK(expires.ms > now.ms && str_is(claims_str(claims, "iss"), "joe"));
    else
        CHECK(err.kind == ERR_UNAUTHORISED && !wall_set(expires));
}

static void as_token(struct str text) {
    struct jwt t;
    if (!jwt_read(text, &t))
        return;
    CHECK(text.n <= JWT_TOKEN_MAX && t.signature_bytes > 0);
    CHECK(!jwt_verify(&t, keys[0]) || str_eq(text, str_of(signed_with_it)));
    CHECK(!jwt_verify(&t, keys[1]));
    struct err err = {0};
    json_t *claims;
    if (jwt_claims(&t, &claims, &err) == ERR_NONE) {
        as_claims(claims);
        json_decref(claims);
    } else {
        CHECK(err.count > 0);
    }
    jwt_release(&t);
}

static void as_key(json_t *json) {
    struct err err = {0};
    struct jwt_key *key;
    if (jwt_key_of_jwk(json, &key, &err) == ERR_NONE) {
        struct jwt t;
        CHECK(jwt_read(str_of(signed_with_it), &t));
        bool good UNUSED = jwt_verify(&t, key); // with the RFC's key in another spelling it may
        jwt_release(&t);
        jwt_key_free(key);
    } else {
        CHECK(err.kind == ERR_INVALID);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size};
    struct err err = {0};
    json_t *json;
    if (!keys[0])
        make_keys();
    as_token(text);
    if (json_parse_object(text, &json, &err) == ERR_NONE) {
        as_claims(json);
        as_key(json);
        json_decref(json);
    }
    return 0;
}
