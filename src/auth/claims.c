// SPDX-License-Identifier: Apache-2.0
#include "auth/claims.h"

#define SECONDS_MAX 253402300799.0 // the end of the year 9999

struct str claims_str(const json_t *claims, const char *name) {
    const json_t *v = json_object_get(claims, name);
    return json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)} : STR_NONE;
}

bool claims_i64(const json_t *claims, const char *name, int64_t *out) {
    const json_t *v = json_object_get(claims, name);
    if (!json_is_integer(v))
        return false;
    *out = json_integer_value(v);
    return true;
}

bool claims_date(const json_t *claims, const char *name, struct wall *out) {
    const json_t *v = json_object_get(claims, name);
    if (!json_is_number(v))
        return false;
    double seconds = json_number_value(v);
    if (!(seconds >= 0 && seconds <= SECONDS_MAX))
        return false;
    *out = (struct wall){(int64_t)(seconds * 1000)};
    return true;
}

static bool is_for(const json_t *claims, const char *audience) {
    const json_t *aud = json_object_get(claims, "aud");
    if (json_is_string(aud))
        return str_is(claims_str(claims, "aud"), audience);
    for (size_t i = 0; i < json_array_size(aud); i++) {
        const json_t *one = json_array_get(aud, i);
        if (json_is_string(one) && strcmp(json_string_value(one), audience) == 0)
            return true;
    }
    return false;
}

enum err_kind claims_check(const json_t *claims, const char *issuer, const char *audience, struct wall now, struct wall *expires,
                           struct err *err) {
    struct wall exp, nbf;
    if (!str_is(claims_str(claims, "iss"), issuer))
        return err_set(err, ERR_UNAUTHORISED, "Authorization: the token is from another issuer");
    if (!is_for(claims, audience))
        return err_set(err, ERR_UNAUTHORISED, "Authorization: the token is for another audience");
    if (!claims_date(claims, "exp", &exp))
        return err_set(err, ERR_UNAUTHORISED, "Authorization: the token does not say when it expires");
    if (exp.ms <= now.ms)
        return err_set(err, ERR_UNAUTHORISED, "Authorization: the token has expired");
    if (json_object_get(claims, "nbf") && (!claims_date(claims, "nbf", &nbf) || nbf.ms > now.ms + CLAIMS_EARLY_SECONDS * 1000))
        return err_set(err, ERR_UNAUTHORISED, "Authorization: the token is not valid yet");
    *expires = exp;
    return ERR_NONE;
}
