// SPDX-License-Identifier: Apache-2.0
#include "auth/auth.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "auth/cache.h"
#include "auth/claims.h"
#include "auth/jwt.h"
#include "auth/keyring.h"
#include "auth/outside.h"
#include "auth/rate.h"
#include "auth/share.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret.h"
#include "store/store_partner.h"

#define TYP_ACCESS "at+jwt"
#define TYP_REFRESH "rt+jwt"
#define KEYS_EVERY_NS INT64_C(5000000000) // how old our view of the keys may grow while others may rotate them
#define KEYS_SHOWN_NS INT64_C(200000000)  // the same when they are shown: who asks may be looking for the newest
#define KEYS_LOOK_NS INT64_C(1000000000)  // in such a time keys that we do not know, which anybody may name, make us look
#define KEYS_LOOKS 20                     // so often
#define OUTSIDE_TRUST_MS 60000            // an outside token is verified again after this: its issuer may have withdrawn the key
#define KEYS_ARENA_MAX (256u << 10)

struct auth {
    struct store *store;
    struct auth_options o; // texts are ours
    struct token_cache *tokens;
    struct token_texts *texts;
    struct partner_cache *partners;
    struct rate_table *rates;
    struct shares *shares;     // NULL: nobody else answers this store's partners
    struct outside *outside;   // NULL: none
    struct secret_hash nobody; // of a secret nobody has: unknown clients are compared with it

    pthread_rwlock_t keys_lock; // of `keys`
    struct keyring *keys;
    _Atomic int64_t keys_read_ns; // monotonic; 0: must be read
    _Atomic bool keys_reading;
    pthread_mutex_t look_lock; // of what follows, held while looking
    int64_t look_from_ns;
    int looks;
};

// A transaction to read with: the caller's, or one begun when first needed.
struct reader {
    struct auth *auth;
    struct tx *tx;
    bool is_ours;
};

static enum err_kind reader_need(struct reader *r, struct err *err) {
    if (r->tx)
        return ERR_NONE;
    enum err_kind kind = store_read_begin(r->auth->store, &r->tx, err);
    r->is_ours = kind == ERR_NONE;
    return kind;
}

static void reader_end(struct reader *r) {
    if (r->is_ours)
        store_read_end(r->tx);
}

// ---- keys ----

// Retired keys are known for as long as a token signed with one may live.
static struct wall forget_before(const struct auth *a, struct wall now) {
    return wall_plus_ms(now, -1000 * ((int64_t)a->o.access_seconds + a->o.refresh_seconds));
}

static enum err_kind keys_read(struct auth *a, struct tx *tx, struct err *err) {
    struct arena arena;
    struct signing_key *rows;
    struct keyring *fresh;
    size_t n;
    int64_t began = clock_mono(a->o.clock).ns;
    arena_init(&arena, KEYS_ARENA_MAX);
    enum err_kind kind = store_key_list(tx, &arena, &rows, &n, err);
    if (kind == ERR_NONE)
        kind = keyring_open(rows, n, &fresh, err);
    arena_release(&arena);
    if (kind != ERR_NONE)
        return kind;
    pthread_rwlock_wrlock(&a->keys_lock);
    struct keyring *old = a->keys;
    a->keys = fresh;
    pthread_rwlock_unlock(&a->keys_lock);
    keyring_close(old);
    atomic_store(&a->keys_read_ns, began > 0 ? began : 1);
    return ERR_NONE;
}

// Looks at the stored keys again when our view of them is older than `at_most_ns`. One thread does it, the others go on with what is there.
// Trouble is logged, not returned: the keys we have are still good.
static void keys_refresh(struct auth *a, struct reader *r, int64_t at_most_ns) {
    int64_t read_ns = atomic_load(&a->keys_read_ns);
    bool reading = false;
    if ((read_ns != 0 && clock_mono(a->o.clock).ns - read_ns < at_most_ns) ||
        !atomic_compare_exchange_strong(&a->keys_reading, &reading, true))
        return;
    struct err err = {0};
    enum err_kind kind = reader_need(r, &err);
    if (kind == ERR_NONE)
        kind = keys_read(a, r->tx, &err);
    if (kind != ERR_NONE) {
        log_warn("auth.keys_unreadable", LOG_ERR(&err));
        atomic_store(&a->keys_read_ns, clock_mono(a->o.clock).ns);
    }
    atomic_store(&a->keys_reading, false);
}

// Somebody names a key that we do not know: another node may have made it just now. Who comes while another looks waits for what that
// finds, and looks again only when that had begun before. Made-up keys make us look a few times a second.
static void keys_look(struct auth *a, struct reader *r) {
    struct err err = {0};
    int64_t came = clock_mono(a->o.clock).ns;
    pthread_mutex_lock(&a->look_lock);
    if (came - a->look_from_ns >= KEYS_LOOK_NS) {
        a->look_from_ns = came;
        a->looks = 0;
    }
    int64_t read_ns = atomic_load(&a->keys_read_ns);
    if ((read_ns == 0 || read_ns <= came) && a->looks < KEYS_LOOKS) {
        a->looks++;
        enum err_kind kind = reader_need(r, &err);
        if (kind == ERR_NONE)
            kind = keys_read(a, r->tx, &err);
        if (kind != ERR_NONE)
            log_warn("auth.keys_unreadable", LOG_ERR(&err));
    }
    pthread_mutex_unlock(&a->look_lock);
}

void auth_key_set_json(struct auth *a, struct buf *out) {
    struct reader r = {.auth = a};
    keys_refresh(a, &r, store_is_alone(a->store) ? KEYS_EVERY_NS : KEYS_SHOWN_NS);
    reader_end(&r);
    pthread_rwlock_rdlock(&a->keys_lock);
    keyring_json(a->keys, forget_before(a, clock_wall(a->o.clock)), out);
    pthread_rwlock_unlock(&a->keys_lock);
}

enum err_kind auth_rotate_key(struct auth *a, struct tx *tx, struct str *kid, struct arena *arena, struct err *err) {
    struct signing_key *rows, fresh;
    size_t n;
    struct wall now = tx_now(tx);
    enum err_kind kind = store_key_prune(tx, forget_before(a, now), err);
    if (kind == ERR_NONE)
        kind = store_key_list(tx, arena, &rows, &n, err);
    if (kind != ERR_NONE)
        return kind;
    if (n >= KEYRING_MAX)
        return err_set(err, ERR_CONFLICT, "there are %zu signing keys whose tokens have not expired yet: rotate again later", n);
    kind = keyring_make_key(now, arena, &fresh, err);
    if (kind == ERR_NONE)
        kind = store_key_add(tx, &fresh, err);
    if (kind == ERR_NONE)
        *kid = fresh.kid;
    return kind;
}

static enum err_kind first_key(struct tx *tx, void *ctx, struct err *err) {
    struct arena arena;
    struct signing_key *rows;
    struct str kid;
    size_t n;
    arena_init(&arena, KEYS_ARENA_MAX);
    enum err_kind kind = store_key_list(tx, &arena, &rows, &n, err);
    if (kind == ERR_NONE && n == 0) // another node may have been faster
        kind = auth_rotate_key(ctx, tx, &kid, &arena, err);
    arena_release(&arena);
    return kind;
}

static enum err_kind keys_open(struct auth *a, struct err *err) {
    for (int round = 0;; round++) {
        struct reader r = {.auth = a};
        enum err_kind kind = reader_need(&r, err);
        if (kind == ERR_NONE)
            kind = keys_read(a, r.tx, err);
        reader_end(&r);
        if (kind == ERR_NONE && a->keys->n == 0 && round == 0)
            kind = store_run(a->store, first_key, a, err);
        else if (kind == ERR_NONE && a->keys->n == 0)
            kind = err_set(err, ERR_INTERNAL, "the store does not give back the signing key just made");
        else
            return kind;
        if (kind != ERR_NONE)
            return kind;
    }
}

// ---- life ----

static void on_news(void *ctx, unsigned news) {
    struct auth *a = ctx;
    if (news & NEWS_KEYS)
        atomic_store(&a->keys_read_ns, 0);
    if (news & NEWS_PARTNERS)
        partner_cache_drop(a->partners);
}

static bool is_set(const char *text) {
    return text && *text;
}

static char *copy_of(const char *text) {
    return text ? xstrdup(text) : NULL;
}

static enum err_kind options_check(const struct auth_options *o, struct err *err) {
    if (!is_set(o->issuer) || !is_set(o->audience))
        return err_set(err, ERR_INVALID, "auth: issuer and audience must be set");
    if (o->access_seconds < 1 || o->refresh_seconds < 1)
        return err_set(err, ERR_INVALID, "auth: a token must live for at least a second");
    if (is_set(o->outside_issuer) && strcmp(o->outside_issuer, o->issuer) == 0)
        return err_set(err, ERR_INVALID, "outside_issuer: is our own issuer");
    if (!is_set(o->outside_issuer) && is_set(o->outside_keys_file))
        return err_set(err, ERR_INVALID, "outside_issuer: must be set when outside_keys_file is");
    return ERR_NONE;
}

static enum err_kind outside_of_options(struct auth *a, struct err *err) {
    if (!is_set(a->o.outside_issuer))
        return ERR_NONE;
    struct outside_options o = {.issuer = a->o.outside_issuer,
                                .keys_file = a->o.outside_keys_file,
                                .audience = a->o.outside_audience,
                                .client_claim = a->o.outside_client_claim,
                                .clock = a->o.clock};
    return outside_open(&o, &a->outside, err);
}

enum err_kind auth_open(struct store *store, const struct auth_options *o, struct auth **out, struct err *err) {
    enum err_kind kind = options_check(o, err);
    if (kind != ERR_NONE)
        return kind;
    struct auth *a = xcalloc(1, sizeof(*a));
    a->store = store;
    a->o = *o;
    a->o.issuer = copy_of(o->issuer);
    a->o.audience = copy_of(o->audience);
    a->o.outside_issuer = copy_of(o->outside_issuer);
    a->o.outside_keys_file = copy_of(o->outside_keys_file);
    a->o.outside_audience = copy_of(o->outside_audience);
    a->o.outside_client_claim = copy_of(o->outside_client_claim);
    a->tokens = token_cache_open();
    a->texts = token_texts_open();
    a->partners = partner_cache_open();
    a->rates = rate_open();
    if (o->node > 0 && !store_is_alone(store))
        a->shares = shares_open(store, o->clock, o->node);
    CHECK(pthread_rwlock_init(&a->keys_lock, NULL) == 0 && pthread_mutex_init(&a->look_lock, NULL) == 0);
    a->look_from_ns = INT64_MIN / 2;
    char secret[SECRET_TEXT];
    secret_make(o->rng, secret);
    secret_hash_of(o->rng, str_of(secret), &a->nobody);
    secret_wipe(secret, sizeof(secret));

    kind = outside_of_options(a, err);
    if (kind == ERR_NONE)
        kind = keys_open(a, err);
    if (kind != ERR_NONE) {
        auth_close(a);
        return kind;
    }
    store_on_commit(store, NEWS_KEYS | NEWS_PARTNERS, on_news, a);
    *out = a;
    return ERR_NONE;
}

static void drop_text(const char *text) {
    free((void *)(uintptr_t)text);
}

void auth_close(struct auth *a) {
    if (!a)
        return;
    keyring_close(a->keys);
    pthread_rwlock_destroy(&a->keys_lock);
    pthread_mutex_destroy(&a->look_lock);
    outside_close(a->outside);
    token_cache_close(a->tokens);
    token_texts_close(a->texts);
    partner_cache_close(a->partners);
    rate_close(a->rates);
    shares_close(a->shares);
    drop_text(a->o.issuer);
    drop_text(a->o.audience);
    drop_text(a->o.outside_issuer);
    drop_text(a->o.outside_keys_file);
    drop_text(a->o.outside_audience);
    drop_text(a->o.outside_client_claim);
    free(a);
}

const char *auth_issuer(const struct auth *a) {
    return a->o.issuer;
}

// ---- issuing ----

bool auth_scope_valid(struct str scope) {
    if (scope.n == 0 || scope.n > AUTH_SCOPE_MAX)
        return false;
    bool blank_before = true;
    for (size_t i = 0; i < scope.n; i++) {
        unsigned char c = (unsigned char)scope.p[i];
        if (c == ' ' ? blank_before : (c < 0x21 || c > 0x7e || c == '"' || c == '\\'))
            return false;
        blank_before = c == ' ';
    }
    return !blank_before;
}

static bool has_word(struct str words, struct str word) {
    struct str one;
    while (str_present(words)) {
        words = str_cut(words, ' ', &one);
        if (str_eq(one, word))
            return true;
    }
    return false;
}

static bool is_within(struct str scope, struct str granted) {
    struct str one;
    while (str_present(scope)) {
        scope = str_cut(scope, ' ', &one);
        if (!has_word(granted, one))
            return false;
    }
    return true;
}

// Who the client says it is, if it can prove it. Whatever is wrong, the same work is done and the same is said.
static enum err_kind client_check(struct auth *a, struct tx *tx, struct str client, struct str secret, struct arena *arena,
                                  struct partner *out, struct err *err) {
    struct partner p = {0};
    struct partner_secret secrets[PARTNER_SECRETS_MAX];
    size_t n = 0;
    enum err_kind kind = client_id_valid(client) ? store_partner_by_client(tx, client, arena, &p, err) : ERR_NOT_FOUND;
    if (kind != ERR_NONE && kind != ERR_NOT_FOUND)
        return kind;
    bool known = kind == ERR_NONE;
    kind = store_partner_secrets(tx, known ? p.id : 0, secrets, &n, err);
    if (kind != ERR_NONE && kind != ERR_NOT_FOUND)
        return kind;

    struct wall now = clock_wall(a->o.clock);
    bool proven = false;
    for (size_t i = 0; i < PARTNER_SECRETS_MAX; i++) {
        bool live = i < n && (!wall_set(secrets[i].expires) || secrets[i].expires.ms > now.ms);
        bool same = secret_matches(secret, live ? &secrets[i].hash : &a->nobody);
        proven |= live && same;
    }
    if (!known || !proven || p.disabled)
        return err_set(err, ERR_UNAUTHORISED, "the client is unknown, its secret is wrong, or it has been disabled");
    err_clear(err);
    *out = p;
    return ERR_NONE;
}

static void claims_write(struct auth *a, struct buf *b, const struct partner *p, const char *audience, int64_t now_s, int seconds,
                         struct str scope) {
    uint8_t random[16];
    char jti[25];
    rng_fill(a->o.rng, random, sizeof(random));
    base64url_encode(random, sizeof(random), false, jti);
    struct jw w = jw_on(b);
    jw_object(&w, NULL);
    jw_text(&w, "iss", a->o.issuer);
    jw_str(&w, "sub", p->client_id);
    jw_text(&w, "aud", audience);
    jw_str(&w, "client_id", p->client_id);
    jw_i64(&w, "exp", now_s + seconds);
    jw_i64(&w, "iat", now_s);
    jw_text(&w, "jti", jti);
    jw_str(&w, "scope", scope);
    jw_i64(&w, "pid", p->id);
    jw_end_object(&w);
}

static enum err_kind token_sign(struct auth *a, const struct jwt_key *key, const char *typ, const struct partner *p, const char *audience,
                                int64_t now_s, int seconds, struct str scope, struct arena *arena, struct str *out, struct err *err) {
    struct buf b;
    buf_init(&b, JWT_TOKEN_MAX);
    claims_write(a, &b, p, audience, now_s, seconds, scope);
    enum err_kind kind =
        b.failed ? err_set(err, ERR_INTERNAL, "the claims do not fit into a token") : jwt_sign(key, typ, buf_str(&b), arena, out, err);
    buf_release(&b);
    return kind;
}

static enum err_kind pair_issue(struct auth *a, struct tx *tx, const struct partner *p, struct str scope, struct arena *arena,
                                struct token_pair *out, struct err *err) {
    struct token_pair pair = {.access_seconds = a->o.access_seconds, .refresh_seconds = a->o.refresh_seconds, .scope = scope};
    struct reader r = {.auth = a, .tx = tx};
    keys_refresh(a, &r, KEYS_EVERY_NS);
    struct wall now = clock_wall(a->o.clock);
    int64_t now_s = now.ms / 1000;

    pthread_rwlock_rdlock(&a->keys_lock);
    const struct ring_key *key = keyring_signer(a->keys);
    enum err_kind kind = key ? ERR_NONE : err_set(err, ERR_INTERNAL, "there is no signing key");
    if (kind == ERR_NONE)
        kind = token_sign(a, key->access, TYP_ACCESS, p, a->o.audience, now_s, pair.access_seconds, scope, arena, &pair.access, err);
    if (kind == ERR_NONE)
        kind = token_sign(a, key->refresh, TYP_REFRESH, p, a->o.issuer, now_s, pair.refresh_seconds, scope, arena, &pair.refresh, err);
    pthread_rwlock_unlock(&a->keys_lock);
    if (kind != ERR_NONE)
        return kind;

    // many clients take a token for each call: what we have just signed need not be verified
    uint8_t sum[32];
    sha256_of(pair.access, sum);
    token_cache_put(a->tokens, sum, now, (struct wall){(now_s + pair.access_seconds) * 1000}, p->id);
    *out = pair;
    return ERR_NONE;
}

enum err_kind auth_issue(struct auth *a, struct tx *tx, struct str client, struct str secret, struct str scope, struct arena *arena,
                         struct token_pair *out, struct err *err) {
    struct partner p;
    enum err_kind kind = client_check(a, tx, client, secret, arena, &p, err);
    if (kind != ERR_NONE)
        return kind;
    return pair_issue(a, tx, &p, str_present(scope) ? scope : STR(AUTH_SCOPE_DEFAULT), arena, out, err);
}

static bool refresh_signature(struct auth *a, const struct jwt *t, struct wall now, bool *known) {
    pthread_rwlock_rdlock(&a->keys_lock);
    const struct ring_key *key = keyring_find(a->keys, t->kid, forget_before(a, now));
    *known = key != NULL;
    bool good = key && jwt_verify(t, key->refresh);
    pthread_rwlock_unlock(&a->keys_lock);
    return good;
}

// What a refresh token grants, or STR_NONE when it is not a good one of this partner.
static struct str refresh_scope(struct auth *a, struct reader *r, struct str token, const struct partner *p, struct arena *arena) {
    struct wall now = clock_wall(a->o.clock), expires;
    struct jwt t;
    struct str scope = STR_NONE;
    struct err err = {0};
    json_t *claims = NULL;
    int64_t pid;
    if (!jwt_read(token, &t))
        return STR_NONE;
    bool good = false, known = false;
    if (str_is(t.typ, TYP_REFRESH) && str_present(t.kid)) {
        good = refresh_signature(a, &t, now, &known);
        if (!known) {
            keys_look(a, r);
            good = refresh_signature(a, &t, now, &known);
        }
    }
    if (good && jwt_claims(&t, &claims, &err) == ERR_NONE &&
        claims_check(claims, a->o.issuer, a->o.issuer, now, &expires, &err) == ERR_NONE && claims_i64(claims, "pid", &pid) &&
        pid == p->id && str_eq(claims_str(claims, "client_id"), p->client_id))
        scope = arena_str(arena, claims_str(claims, "scope"));
    json_decref(claims);
    jwt_release(&t);
    return scope;
}

enum err_kind auth_refresh(struct auth *a, struct tx *tx, struct str client, struct str secret, struct str refresh, struct str scope,
                           struct arena *arena, struct token_pair *out, struct err *err) {
    struct partner p;
    enum err_kind kind = client_check(a, tx, client, secret, arena, &p, err);
    if (kind != ERR_NONE)
        return kind;
    struct reader r = {.auth = a, .tx = tx};
    keys_refresh(a, &r, KEYS_EVERY_NS);
    struct str granted = refresh_scope(a, &r, refresh, &p, arena);
    if (!str_present(granted))
        return err_set(err, ERR_INVALID, "the refresh token is not valid: it is malformed, has expired, or is another client's");
    if (str_present(scope) && !is_within(scope, granted))
        return err_set(err, ERR_DENIED, "the scope asks for more than was granted");
    return pair_issue(a, tx, &p, str_present(scope) ? scope : granted, arena, out, err);
}

// ---- calls ----

static enum err_kind bearer_of(struct str authorization, struct str *token, struct err *err) {
    struct str scheme, rest = str_cut(str_trim(authorization), ' ', &scheme);
    rest = str_trim(rest);
    if (!str_eq_nocase(scheme, STR("Bearer")) || rest.n == 0)
        return err_set(err, ERR_UNAUTHORISED, "Authorization: a bearer token is required");
    if (rest.n > JWT_TOKEN_MAX)
        return err_set(err, ERR_UNAUTHORISED, "Authorization: the token is malformed");
    *token = rest;
    return ERR_NONE;
}

static enum err_kind partner_by_id(struct auth *a, struct reader *r, int64_t id, struct arena *arena, struct partner *out,
                                   struct err *err) {
    struct mono now = clock_mono(a->o.clock);
    if (partner_cache_get(a->partners, id, now, arena, out))
        return ERR_NONE;
    enum err_kind kind = reader_need(r, err);
    unsigned generation = partner_cache_generation(a->partners);
    if (kind == ERR_NONE)
        kind = store_partner_get(r->tx, id, arena, out, err);
    if (kind == ERR_NONE)
        partner_cache_put(a->partners, out, now, generation);
    return kind == ERR_NOT_FOUND ? err_set(err, ERR_UNAUTHORISED, "Authorization: the token's client does not exist") : kind;
}

// A token of ours: which partner it says, and until when.
static enum err_kind own_claims(struct auth *a, const struct jwt *t, struct wall now, struct arena *arena, int64_t *pid, struct str *client,
                                struct wall *expires, struct err *err) {
    json_t *claims;
    if (!str_is(t->typ, TYP_ACCESS))
        return err_set(err, ERR_UNAUTHORISED, "Authorization: this is not an access token");
    if (jwt_claims(t, &claims, err) != ERR_NONE)
        return err_set(err, ERR_UNAUTHORISED, "Authorization: the token is malformed");
    enum err_kind kind = claims_check(claims, a->o.issuer, a->o.audience, now, expires, err);
    if (kind == ERR_NONE && !(claims_i64(claims, "pid", pid) && *pid >= 1 && *pid <= PARTNER_ID_MAX))
        kind = err_set(err, ERR_UNAUTHORISED, "Authorization: the token does not name a partner");
    if (kind == ERR_NONE)
        *client = arena_str(arena, claims_str(claims, "client_id"));
    json_decref(claims);
    return kind;
}

// Looks the token's key up among ours and verifies with it. False, and *known false: it is none of ours.
static bool own_signature(struct auth *a, const struct jwt *t, struct wall now, bool *known) {
    pthread_rwlock_rdlock(&a->keys_lock);
    const struct ring_key *key = str_present(t->kid) ? keyring_find(a->keys, t->kid, forget_before(a, now)) : NULL;
    *known = key != NULL;
    bool good = key && jwt_verify(t, key->access);
    pthread_rwlock_unlock(&a->keys_lock);
    return good;
}

// A token that is not in the cache. *until: how long it may stay there.
static enum err_kind token_verify(struct auth *a, struct reader *r, struct str token, struct arena *arena, struct partner *out,
                                  struct wall *until, struct err *err) {
    struct wall now = clock_wall(a->o.clock);
    struct jwt t;
    if (!jwt_read(token, &t))
        return err_set(err, ERR_UNAUTHORISED, "Authorization: the token is malformed");

    struct str client = STR_NONE;
    int64_t pid = 0;
    bool known;
    enum err_kind kind;
    bool good = own_signature(a, &t, now, &known);
    if (!known) { // perhaps another node has just made the key
        keys_look(a, r);
        good = own_signature(a, &t, now, &known);
    }
    if (good)
        kind = own_claims(a, &t, now, arena, &pid, &client, until, err);
    else if (known || !a->outside)
        kind = err_set(err, ERR_UNAUTHORISED, "Authorization: the token's signature is not valid");
    else
        kind = outside_check(a->outside, &t, now, arena, &client, until, err);
    jwt_release(&t);
    if (kind != ERR_NONE)
        return kind;

    if (good) {
        kind = partner_by_id(a, r, pid, arena, out, err);
        if (kind == ERR_NONE && !str_eq(out->client_id, client))
            kind = err_set(err, ERR_UNAUTHORISED, "Authorization: the token's client does not exist");
        return kind;
    }
    if (until->ms > now.ms + OUTSIDE_TRUST_MS)
        until->ms = now.ms + OUTSIDE_TRUST_MS;
    kind = client_id_valid(client) ? reader_need(r, err) : ERR_NOT_FOUND;
    if (kind == ERR_NONE)
        kind = store_partner_by_client(r->tx, client, arena, out, err);
    return kind == ERR_NOT_FOUND ? err_set(err, ERR_UNAUTHORISED, "Authorization: the token's client is not known here") : kind;
}

static enum err_kind partner_find(struct auth *a, struct reader *r, struct str token, struct arena *arena, struct partner *out,
                                  struct err *err) {
    uint8_t sum[32];
    struct token_known known;
    struct wall now = clock_wall(a->o.clock), until;
    if (token_texts_get(a->texts, token, now, &known.partner_id))
        return partner_by_id(a, r, known.partner_id, arena, out, err);
    sha256_of(token, sum);
    if (token_cache_get(a->tokens, sum, now, &known)) {
        if (known.before)
            token_texts_put(a->texts, token, &known);
        return partner_by_id(a, r, known.partner_id, arena, out, err);
    }
    enum err_kind kind = token_verify(a, r, token, arena, out, &until, err);
    if (kind == ERR_NONE)
        token_cache_put(a->tokens, sum, now, until, out->id);
    return kind;
}

enum err_kind auth_partner(struct auth *a, struct tx *tx, struct str authorization, struct arena *arena, struct partner *out,
                           struct err *err) {
    struct str token;
    struct partner p;
    struct reader r = {.auth = a, .tx = tx};
    enum err_kind kind = bearer_of(authorization, &token, err);
    if (kind == ERR_NONE)
        kind = partner_find(a, &r, token, arena, &p, err);
    reader_end(&r);
    if (kind != ERR_NONE)
        return kind;
    if (p.disabled)
        return err_set(err, ERR_UNAUTHORISED, "Authorization: the partner has been disabled");
    *out = p;
    return ERR_NONE;
}

enum err_kind auth_operator(struct auth *a, struct tx *tx, struct str authorization, struct arena *arena, struct str *name,
                            struct err *err) {
    struct str token;
    struct operator_token row;
    uint8_t sum[32];
    struct reader r = {.auth = a, .tx = tx};
    enum err_kind kind = bearer_of(authorization, &token, err);
    if (kind == ERR_NONE)
        kind = reader_need(&r, err);
    if (kind == ERR_NONE) {
        sha256_of(token, sum);
        kind = store_operator_find(r.tx, sum, arena, &row, err);
    }
    reader_end(&r);
    if (kind == ERR_NOT_FOUND)
        return err_set(err, ERR_UNAUTHORISED, "Authorization: this is not an operator's token");
    if (kind != ERR_NONE)
        return kind;
    if (wall_set(row.expires) && row.expires.ms <= clock_wall(a->o.clock).ms)
        return err_set(err, ERR_UNAUTHORISED, "Authorization: the token has expired");
    *name = row.name;
    return ERR_NONE;
}

// ---- rate limits ----

bool auth_rate(struct auth *a, const struct partner *p, const char *bucket, struct rate_wait *wait, struct rate_state *out) {
    int64_t limit = p->rate_per_minute == 0 ? a->o.rate_per_minute : p->rate_per_minute;
    if (limit <= 0)
        *out = (struct rate_state){.allowed = true, .reset = WALL_NONE};
    else if (a->shares)
        return shares_count(a->shares, p->id, bucket, limit, wait, out);
    else
        rate_count(a->rates, p->id, bucket, limit, clock_wall(a->o.clock), clock_mono(a->o.clock), out);
    return true;
}
