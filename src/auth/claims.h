// SPDX-License-Identifier: Apache-2.0
/*
 * claims.h - what a token says, once its signature is known to be good: who issued it, for whom, until when (RFC 7519 section 4).
 */
#ifndef AUTH_CLAIMS_H
#define AUTH_CLAIMS_H

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

// Seconds by which another machine's clock may be ahead of ours before its token "is not valid yet". None for the end.
#define CLAIMS_EARLY_SECONDS 5

// iss equal, aud equal or among the array, exp there and ahead, nbf (if there) not ahead. ERR_UNAUTHORISED says which was wrong.
NODISCARD enum err_kind claims_check(const json_t *claims, const char *issuer, const char *audience, struct wall now, struct wall *expires,
                                     struct err *err);
struct str claims_str(const json_t *claims, const char *name);              // STR_NONE when absent or no string
bool claims_i64(const json_t *claims, const char *name, int64_t *out);      // whole numbers only
bool claims_date(const json_t *claims, const char *name, struct wall *out); // a NumericDate: seconds, perhaps with a fraction

#endif
