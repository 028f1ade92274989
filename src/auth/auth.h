// SPDX-License-Identifier: Apache-2.0
/*
 * auth.h - who is calling: partners' tokens (JWT), operators' tokens, key set, rate limits.
 *
 * struct auth holds the signing keys, a cache of verified tokens and of partners' rows, and the rate windows; any thread may call. Keys are
 * made on first start, kept in the store, and looked at again after NEWS_KEYS, every few seconds, and when a token names a key that is not
 * known (another node may have made it). Access tokens are JWTs of RFC 9068 (typ at+jwt), signed ES256, claims iss, sub, aud, client_id,
 * exp, iat, jti, scope, and pid (the partner's number). Refresh tokens (typ rt+jwt, HS256) are for our own eyes and never accepted as
 * access tokens. `alg` is never taken from a token: each key has its one algorithm. Nothing is stored per token: none can be taken back
 * singly; a partner that is disabled is refused within a second whatever it holds.
 *
 * Where a function takes a `tx`, auth_partner and auth_operator also take NULL: then they begin a reader themselves, and only when what
 * they know is not enough. Whoever holds a reader already must give it.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/rng.h"
#include "core/partner.h"
#include "store/store.h"

struct auth;

struct auth_options {
    const char *issuer;   // "<base url>/auth/realms/<realm>"
    const char *audience; // "connect-api"
    int access_seconds;   // 300
    int refresh_seconds;  // 1800
    // tokens of an outside issuer (all NULL: none): its `iss`, a file with its key set (JWKS), the claim that names our client_id
    const char *outside_issuer;
    const char *outside_keys_file;
    const char *outside_audience;
    const char *outside_client_claim; // "azp"
    int64_t rate_per_minute;          // default for partners; 0 = no limit
    int64_t node;                     // this one's number, above 0, where several share the store: limits are then of all of them
    const struct clock *clock;
    const struct rng *rng;
};
NODISCARD enum err_kind auth_open(struct store *store, const struct auth_options *o, struct auth **out,
                                  struct err *err); // makes the first key when there is none
void auth_close(struct auth *a);                    // NULL is fine
const char *auth_issuer(const struct auth *a);

// ---- the token endpoint (RFC 6749) ----
struct token_pair {
    struct str access, refresh;
    int access_seconds, refresh_seconds;
    struct str scope;
};
// scope = 1*NQCHAR *( SP 1*NQCHAR ) of RFC 6749 section 3.3, at most AUTH_SCOPE_MAX bytes.
#define AUTH_SCOPE_MAX 512
#define AUTH_SCOPE_DEFAULT "connect-api"
bool auth_scope_valid(struct str scope);
// ERR_UNAUTHORISED: unknown client, wrong secret, disabled (one and the same message, the same time taken). `client` and `secret` as sent.
// `scope` is granted as asked (a valid one, or STR_NONE for the default).
NODISCARD enum err_kind auth_issue(struct auth *a, struct tx *tx, struct str client, struct str secret, struct str scope,
                                   struct arena *arena, struct token_pair *out, struct err *err);
// ERR_INVALID: the refresh token is not good or not this client's (RFC: invalid_grant). ERR_DENIED: `scope` asks for more than it was
// granted (invalid_scope). STR_NONE: as before.
NODISCARD enum err_kind auth_refresh(struct auth *a, struct tx *tx, struct str client, struct str secret, struct str refresh,
                                     struct str scope, struct arena *arena, struct token_pair *out, struct err *err);

// ---- calls ----
// From the Authorization header's value. ERR_UNAUTHORISED otherwise. A partner disabled since is refused within a second.
NODISCARD enum err_kind auth_partner(struct auth *a, struct tx *tx, struct str authorization, struct arena *arena, struct partner *out,
                                     struct err *err);
NODISCARD enum err_kind auth_operator(struct auth *a, struct tx *tx, struct str authorization, struct arena *arena, struct str *name,
                                      struct err *err);

// ---- key set (RFC 7517) ----
void auth_key_set_json(struct auth *a, struct buf *out);
// A fresh key signs from now on; older ones stay in the set until the tokens signed with them have expired. For use inside a job.
NODISCARD enum err_kind auth_rotate_key(struct auth *a, struct tx *tx, struct str *kid, struct arena *arena, struct err *err);

// ---- rate limits (connect-v2 section 3): minutes per partner and bucket name (static text), see rate.h and share.h ----
struct rate_state {
    int64_t limit, remaining; // limit 0: there is none, and nothing else here means anything but `allowed`
    struct wall reset;        // when the window ends and all calls are free again
    bool allowed;
    int64_t retry_after_s; // when not allowed: at least 1
};
// Where several nodes count together, a call may have to wait for the store: false, and wait->go(wait->ctx) is called once, from any
// thread, maybe before this returns; then it is to be asked again. `wait` is not to be touched meanwhile; NULL: the call is not counted
// then.
struct rate_wait {
    void (*go)(void *ctx);
    void *ctx;
    struct rate_wait *next; // share.c's
};
NODISCARD bool auth_rate(struct auth *a, const struct partner *p, const char *bucket, struct rate_wait *wait, struct rate_state *out);

#endif
