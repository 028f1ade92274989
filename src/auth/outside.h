// SPDX-License-Identifier: Apache-2.0
/*
 * outside.h - another issuer whose access tokens we take: its key set from a file, its claims mapped to one of our client ids.
 *
 * The file is looked at once a second at most and read again when it has changed; a file that is gone or broken is logged and the keys
 * known before stay. Any thread may call.
 */
#ifndef AUTH_OUTSIDE_H
#define AUTH_OUTSIDE_H

#include "auth/jwt.h"
#include "base/clock.h"

struct outside_options {
    const char *issuer, *keys_file, *audience, *client_claim;
    const struct clock *clock;
};
struct outside;
// ERR_INVALID: an option is missing, or the file holds no usable key.
NODISCARD enum err_kind outside_open(const struct outside_options *o, struct outside **out, struct err *err);
void outside_close(struct outside *o); // NULL is fine

// ERR_UNAUTHORISED: not a good token of this issuer. `client` is in `arena`.
NODISCARD enum err_kind outside_check(struct outside *o, const struct jwt *t, struct wall now, struct arena *arena, struct str *client,
                                      struct wall *expires, struct err *err);

#endif
