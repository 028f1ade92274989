// SPDX-License-Identifier: Apache-2.0
#include "auth/auth.h"

#include <ftw.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "auth/testing.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/testing.h"
#include "store/db.h"
#include "store/store_partner.h"

#define START ((struct wall){1700000000000})
#define ISSUER "http://localhost/auth/realms/tru-staff"
#define OUTSIDE "https://login.example.com"
#define SECRET "a secret of acme's own"
#define ACME STR("acme")

// A store with the partners acme (1) and other (2), and what stands before it. The clock is the test's.
struct world {
    char folder[64];
    char keys_file[96];
    const struct db_driver *driver; // NULL: the embedded store
    struct clock_manual manual;
    struct clock clock;
    struct store *store;
    struct auth *auth;
    struct auth_options o;
    struct arena arena;
    struct err err;
};

// ---- the store's side ----

struct change {
    enum err_kind (*fn)(struct tx *tx, void *arg, struct err *err);
    void *arg;
};
static enum err_kind apply(struct tx *tx, void *ctx, struct err *err) {
    struct change *c = ctx;
    return c->fn(tx, c->arg, err);
}
static void change(struct world *w, enum err_kind (*fn)(struct tx *, void *, struct err *), void *arg) {
    struct change c = {fn, arg};
    assert_int_equal(store_run(w->store, apply, &c, &w->err), ERR_NONE);
}

static enum err_kind add_partners(struct tx *tx, void *arg UNUSED, struct err *err) {
    static const char *const names[] = {"acme", "other"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct partner p = {.client_id = str_of(names[i]), .name = STR("Name"), .currencies = STR("EUR"), .created = tx_now(tx)};
        struct secret_hash hash;
        secret_hash_of(tx_rng(tx), STR(SECRET), &hash);
        enum err_kind kind = store_partner_insert(tx, &p, err);
        if (kind == ERR_NONE)
            kind = store_partner_secret_add(tx, p.id, &hash, WALL_NONE, err);
        if (kind != ERR_NONE)
            return kind;
    }
    return ERR_NONE;
}

static enum err_kind disable_acme(struct tx *tx, void *arg UNUSED, struct err *err) {
    struct arena a;
    struct partner p;
    arena_init(&a, 1u << 16);
    enum err_kind kind = store_partner_get(tx, 1, &a, &p, err);
    p.disabled = true;
    if (kind == ERR_NONE)
        kind = store_partner_update(tx, &p, err);
    arena_release(&a);
    return kind;
}

static enum err_kind new_secret(struct tx *tx, void *arg, struct err *err) {
    struct secret_hash hash;
    secret_hash_of(tx_rng(tx), str_of(arg), &hash);
    return store_partner_secret_add(tx, 1, &hash, wall_plus_ms(tx_now(tx), 10000), err);
}

static void open_auth(struct world *w) {
    assert_int_equal(auth_open(w->store, &w->o, &w->auth, &w->err), ERR_NONE);
}

static void open_store(struct world *w) {
    struct store_options o;
    store_options_default(&o);
    o.location = w->folder;
    o.clock = &w->clock;
    o.may_create = true;
    o.driver = w->driver;
    assert_int_equal(store_open(&o, &w->store, &w->err), ERR_NONE);
}

// A second store on the same data, as another node has one: what it commits is no news here. The embedded store does not allow that, so the
// lock that says so is taken away first.
static void open_store_of_another_node(struct world *w) {
    char lock[128];
    snprintf(lock, sizeof(lock), "%s/topupd.lock", w->folder);
    assert_int_equal(unlink(lock), 0);
    open_store(w);
}

static void close_both(struct world *w) {
    store_close(w->store);
    auth_close(w->auth);
    w->store = NULL;
    w->auth = NULL;
}

static int begin(void **state, const struct db_driver *driver) {
    struct world *w = xcalloc(1, sizeof(*w));
    w->driver = driver;
    snprintf(w->folder, sizeof(w->folder), "/tmp/auth-test-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->keys_file, sizeof(w->keys_file), "%s/keys.json", w->folder);
    w->clock = clock_manual_init(&w->manual, START);
    arena_init(&w->arena, 16u << 20);
    w->o = (struct auth_options){.issuer = ISSUER,
                                 .audience = "connect-api",
                                 .access_seconds = 300,
                                 .refresh_seconds = 1800,
                                 .rate_per_minute = 1000,
                                 .clock = &w->clock,
                                 .rng = &rng_system};
    open_store(w);
    change(w, add_partners, NULL);
    open_auth(w);
    *state = w;
    return 0;
}

static int setup(void **state) {
    return begin(state, NULL);
}

// A store that does not think itself alone, as it is when there are other nodes.
static int setup_node(void **state) {
    static struct db_driver shared;
    shared = db_sqlite;
    shared.alone = false;
    return begin(state, &shared);
}

static int drop(const char *path, const struct stat *st UNUSED, int what UNUSED, struct FTW *ftw UNUSED) {
    return remove(path);
}

static int teardown(void **state) {
    struct world *w = *state;
    close_both(w);
    nftw(w->folder, drop, 8, FTW_DEPTH | FTW_PHYS);
    arena_release(&w->arena);
    free(w);
    return 0;
}

// ---- the client's side ----

static enum err_kind issue(struct world *w, struct str client, struct str secret, struct str scope, struct token_pair *out) {
    struct tx *tx;
    assert_int_equal(store_read_begin(w->store, &tx, &w->err), ERR_NONE);
    enum err_kind kind = auth_issue(w->auth, tx, client, secret, scope, &w->arena, out, &w->err);
    store_read_end(tx);
    return kind;
}

static struct token_pair issued(struct world *w) {
    struct token_pair pair;
    assert_int_equal(issue(w, ACME, STR(SECRET), STR_NONE, &pair), ERR_NONE);
    return pair;
}

static enum err_kind refresh_as(struct world *w, struct str client, struct str token, struct str scope, struct token_pair *out) {
    struct tx *tx;
    assert_int_equal(store_read_begin(w->store, &tx, &w->err), ERR_NONE);
    enum err_kind kind = auth_refresh(w->auth, tx, client, STR(SECRET), token, scope, &w->arena, out, &w->err);
    store_read_end(tx);
    return kind;
}

static enum err_kind call_with(struct world *w, struct str token, struct partner *p) {
    return auth_partner(w->auth, NULL, arena_printf(&w->arena, "Bearer " STR_FMT, STR_ARG(token)), &w->arena, p, &w->err);
}

static enum err_kind call(struct world *w, struct str token) {
    struct partner p = {.id = -1};
    enum err_kind kind = call_with(w, token, &p);
    assert_true(kind == ERR_NONE ? p.id > 0 : p.id == -1);
    return kind;
}

#define assert_accepted(w, token) assert_int_equal(call(w, token), ERR_NONE)
#define assert_refused(w, token) assert_int_equal(call(w, token), ERR_UNAUTHORISED)

// Closes and opens: no cache remembers anything.
static void forget(struct world *w) {
    close_both(w);
    open_store(w);
    open_auth(w);
}

static json_t *part_of(struct world *w, struct str token, int part) {
    struct str piece, rest = token;
    for (int i = 0; i <= part; i++)
        rest = str_cut(rest, '.', &piece);
    uint8_t *bytes = arena_alloc(&w->arena, piece.n);
    size_t n;
    json_t *json;
    assert_true(base64url_decode(piece, bytes, piece.n, &n));
    assert_int_equal(json_parse_object((struct str){(char *)bytes, n}, &json, &w->err), ERR_NONE);
    return json;
}

static const char *text_of(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    assert_non_null(text);
    return text;
}

// ---- issuing ----

static void a_pair_says_what_rfc_9068_wants(void **state) {
    struct world *w = *state;
    struct token_pair pair = issued(w), second = issued(w);
    assert_int_equal(pair.access_seconds, 300);
    assert_int_equal(pair.refresh_seconds, 1800);
    assert_true(str_is(pair.scope, "connect-api"));
    json_t *header = part_of(w, pair.access, 0), *claims = part_of(w, pair.access, 1), *again = part_of(w, second.access, 1);
    assert_string_equal(text_of(header, "alg"), "ES256");
    assert_string_equal(text_of(header, "typ"), "at+jwt");
    assert_int_equal(strlen(text_of(header, "kid")), 43);
    assert_string_equal(text_of(claims, "iss"), ISSUER);
    assert_string_equal(text_of(claims, "sub"), "acme");
    assert_string_equal(text_of(claims, "client_id"), "acme");
    assert_string_equal(text_of(claims, "aud"), "connect-api");
    assert_string_equal(text_of(claims, "scope"), "connect-api");
    assert_int_equal(json_integer_value(json_object_get(claims, "iat")), START.ms / 1000);
    assert_int_equal(json_integer_value(json_object_get(claims, "exp")), START.ms / 1000 + 300);
    assert_int_equal(json_integer_value(json_object_get(claims, "pid")), 1);
    assert_string_not_equal(text_of(claims, "jti"), text_of(again, "jti"));
    json_decref(header);
    json_decref(claims);
    json_decref(again);
    header = part_of(w, pair.refresh, 0);
    assert_string_equal(text_of(header, "typ"), "rt+jwt");
    json_decref(header);
}

static void only_the_right_secret_of_a_known_client_gets_tokens(void **state) {
    struct world *w = *state;
    struct token_pair pair = {.access_seconds = -1};
    static const struct {
        struct str client, secret;
    } bad[] = {{{"acme", 4}, {"wrong", 5}}, {{"acme", 4}, {"", 0}},      {{"acme", 4}, {NULL, 0}},    {{"nobody", 6}, {SECRET, 22}},
               {{"", 0}, {SECRET, 22}},     {{NULL, 0}, {NULL, 0}},      {{"ACME", 4}, {SECRET, 22}}, {{"acme\0x", 6}, {SECRET, 22}},
               {{"acme", 4}, {SECRET, 21}}, {{"' OR 1=1", 8}, {"x", 1}}, {{"acme ", 5}, {SECRET, 22}}};
    char said[200] = "";
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(issue(w, bad[i].client, bad[i].secret, STR_NONE, &pair), ERR_UNAUTHORISED);
        assert_int_equal(pair.access_seconds, -1);
        if (i == 0)
            snprintf(said, sizeof(said), "%s", err_first(&w->err));
        assert_string_equal(err_first(&w->err), said); // the same, whatever was wrong
    }
    char *huge = arena_alloc(&w->arena, 60000);
    memset(huge, 'x', 60000);
    assert_int_equal(issue(w, ACME, (struct str){huge, 60000}, STR_NONE, &pair), ERR_UNAUTHORISED);
    assert_int_equal(issue(w, (struct str){huge, 60000}, STR(SECRET), STR_NONE, &pair), ERR_UNAUTHORISED);
    change(w, disable_acme, NULL);
    assert_int_equal(issue(w, ACME, STR(SECRET), STR_NONE, &pair), ERR_UNAUTHORISED);
    assert_string_equal(err_first(&w->err), said);
}

static void a_rotated_secret_overlaps_and_then_ends(void **state) {
    struct world *w = *state;
    struct token_pair pair;
    char fresh[] = "the next secret of acme";
    change(w, new_secret, fresh);
    assert_int_equal(issue(w, ACME, STR(SECRET), STR_NONE, &pair), ERR_NONE);
    assert_int_equal(issue(w, ACME, str_of(fresh), STR_NONE, &pair), ERR_NONE);
    clock_manual_advance(&w->manual, 10000);
    assert_int_equal(issue(w, ACME, STR(SECRET), STR_NONE, &pair), ERR_UNAUTHORISED);
    assert_int_equal(issue(w, ACME, str_of(fresh), STR_NONE, &pair), ERR_NONE);
}

static void a_scope_is_granted_as_asked_when_it_is_one(void **state) {
    struct world *w = *state;
    struct token_pair pair;
    assert_int_equal(issue(w, ACME, STR(SECRET), STR("openid profile email"), &pair), ERR_NONE);
    assert_true(str_is(pair.scope, "openid profile email"));
    json_t *claims = part_of(w, pair.access, 1);
    assert_string_equal(text_of(claims, "scope"), "openid profile email");
    json_decref(claims);
    static const char *const bad[] = {"", " ", " a", "a ", "a  b", "a\tb", "a\"b", "a\\b", "\xc3\xa9", "a\nb", "\x7f"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(auth_scope_valid(str_of(bad[i])));
    assert_false(auth_scope_valid(STR_NONE));
    char longest[AUTH_SCOPE_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    assert_true(auth_scope_valid((struct str){longest, AUTH_SCOPE_MAX}));
    assert_false(auth_scope_valid((struct str){longest, AUTH_SCOPE_MAX + 1}));
}

// ---- refreshing ----

static void a_refresh_answers_a_new_pair_and_the_old_one_lives_on(void **state) {
    struct world *w = *state;
    struct token_pair first = issued(w), second, third;
    clock_manual_advance(&w->manual, 100000);
    assert_int_equal(refresh_as(w, ACME, first.refresh, STR_NONE, &second), ERR_NONE);
    assert_accepted(w, first.access);
    assert_accepted(w, second.access);
    assert_true(str_is(second.scope, "connect-api"));
    clock_manual_advance(&w->manual, 1700000 - 1);
    assert_int_equal(refresh_as(w, ACME, first.refresh, STR_NONE, &third), ERR_NONE);
    clock_manual_advance(&w->manual, 1);
    assert_int_equal(refresh_as(w, ACME, first.refresh, STR_NONE, &third), ERR_INVALID);
    assert_int_equal(refresh_as(w, ACME, second.refresh, STR_NONE, &third), ERR_NONE);
}

static void a_refresh_token_is_its_clients_alone(void **state) {
    struct world *w = *state;
    struct token_pair pair = issued(w), out;
    struct tx *tx;
    assert_int_equal(refresh_as(w, STR("other"), pair.refresh, STR_NONE, &out), ERR_INVALID);
    assert_int_equal(store_read_begin(w->store, &tx, &w->err), ERR_NONE);
    assert_int_equal(auth_refresh(w->auth, tx, ACME, STR("wrong"), pair.refresh, STR_NONE, &w->arena, &out, &w->err), ERR_UNAUTHORISED);
    store_read_end(tx);
    assert_int_equal(refresh_as(w, ACME, pair.access, STR_NONE, &out), ERR_INVALID);
    assert_int_equal(refresh_as(w, ACME, STR("garbage"), STR_NONE, &out), ERR_INVALID);
    assert_int_equal(refresh_as(w, ACME, STR_NONE, STR_NONE, &out), ERR_INVALID);
    assert_int_equal(refresh_as(w, ACME, (struct str){pair.refresh.p, pair.refresh.n - 1}, STR_NONE, &out), ERR_INVALID);
}

static void a_refresh_may_narrow_the_scope_and_never_widen_it(void **state) {
    struct world *w = *state;
    struct token_pair pair, out;
    assert_int_equal(issue(w, ACME, STR(SECRET), STR("read write"), &pair), ERR_NONE);
    assert_int_equal(refresh_as(w, ACME, pair.refresh, STR("write"), &out), ERR_NONE);
    assert_true(str_is(out.scope, "write"));
    assert_int_equal(refresh_as(w, ACME, out.refresh, STR("read"), &out), ERR_DENIED);
    assert_int_equal(refresh_as(w, ACME, pair.refresh, STR("read admin"), &out), ERR_DENIED);
}

// ---- calls ----

static void a_token_names_its_partner_until_it_expires(void **state) {
    struct world *w = *state;
    for (int cached = 1; cached >= 0; cached--) { // as just issued, and as read by a server that never saw it
        struct token_pair pair = issued(w);
        struct partner p;
        if (!cached)
            forget(w);
        assert_int_equal(call_with(w, pair.access, &p), ERR_NONE);
        assert_int_equal(p.id, 1);
        assert_string_equal(p.client_id.p, "acme");
        assert_string_equal(p.currencies.p, "EUR");
        for (int i = 0; i < 3; i++) // known by its sum, then by its text
            assert_accepted(w, pair.access);
        clock_manual_advance(&w->manual, 299999);
        assert_accepted(w, pair.access);
        clock_manual_advance(&w->manual, 1);
        assert_refused(w, pair.access);
    }
}

static void the_header_must_carry_a_bearer_token(void **state) {
    struct world *w = *state;
    struct token_pair pair = issued(w);
    struct partner p;
    static const char *const good[] = {"Bearer %s", "bearer %s", "BEARER %s", "  Bearer   %s ", "Bearer %s\t"};
    static const char *const bad[] = {"",
                                      "%s",
                                      "Bearer",
                                      "Bearer ",
                                      "Basic %s",
                                      "Bearer%s",
                                      "Token %s",
                                      "Bearer %s x",
                                      "Bearer %s,Bearer %s",
                                      "Bearer \"%s\"",
                                      "Bearer %s.",
                                      "Bearer\n%s"};
    char header[4000];
    for (size_t i = 0; i < ARRAY_LEN(good) + ARRAY_LEN(bad); i++) {
        bool is_good = i < ARRAY_LEN(good);
        const char *form = is_good ? good[i] : bad[i - ARRAY_LEN(good)], *from = form;
        size_t n = 0;
        for (; *from; from++) { // every %s is the token
            if (*from == '%') {
                memcpy(header + n, pair.access.p, pair.access.n);
                n += pair.access.n;
                from++;
            } else {
                header[n++] = *from;
            }
        }
        enum err_kind kind = auth_partner(w->auth, NULL, (struct str){header, n}, &w->arena, &p, &w->err);
        assert_int_equal(kind, is_good ? ERR_NONE : ERR_UNAUTHORISED);
    }
    assert_int_equal(auth_partner(w->auth, NULL, STR_NONE, &w->arena, &p, &w->err), ERR_UNAUTHORISED);
    char *huge = arena_alloc(&w->arena, 100000);
    memset(huge, 'A', 100000);
    assert_refused(w, ((struct str){huge, 100000}));
}

static void a_refresh_token_opens_nothing(void **state) {
    struct world *w = *state;
    struct token_pair pair = issued(w);
    assert_refused(w, pair.refresh);
    forget(w);
    assert_refused(w, pair.refresh);
}

// ---- forgeries ----

// The server's own private key: with it, what only a mistake of ours could make is made here.
static EVP_PKEY *own_key(struct world *w, const char **kid) {
    struct tx *tx;
    struct signing_key *rows;
    size_t n;
    assert_int_equal(store_read_begin(w->store, &tx, &w->err), ERR_NONE);
    assert_int_equal(store_key_list(tx, &w->arena, &rows, &n, &w->err), ERR_NONE);
    store_read_end(tx);
    BIO *pem = BIO_new_mem_buf(rows[0].pem.p, (int)rows[0].pem.n);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, NULL, NULL);
    BIO_free(pem);
    assert_non_null(key);
    *kid = rows[0].kid.p;
    return key;
}

#define HEADER "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}"
#define CLAIMS(iss, aud, exp, more) "{\"iss\":\"" iss "\",\"aud\":\"" aud "\",\"exp\":" exp more "}"
#define WHO ",\"pid\":1,\"client_id\":\"acme\""
#define IN_TIME "1700000300"

static void only_a_token_with_every_claim_right_is_accepted(void **state) {
    struct world *w = *state;
    const char *kid;
    EVP_PKEY *key = own_key(w, &kid);
    const char *header = arena_printf(&w->arena, HEADER, kid).p;
    const char *good = CLAIMS(ISSUER, "connect-api", IN_TIME, WHO);
    static const char *const bad[] = {
        CLAIMS("http://localhost/auth/realms/other", "connect-api", IN_TIME, WHO), // another realm
        CLAIMS(OUTSIDE, "connect-api", IN_TIME, WHO),
        CLAIMS(ISSUER, "other-api", IN_TIME, WHO),
        CLAIMS(ISSUER, ISSUER, IN_TIME, WHO), // a refresh token's
        CLAIMS(ISSUER, "connect-api", "1700000000", WHO),
        CLAIMS(ISSUER, "connect-api", "1600000000", WHO),
        CLAIMS(ISSUER, "connect-api", "\"1700000300\"", WHO),
        CLAIMS(ISSUER, "connect-api", IN_TIME, WHO ",\"nbf\":1700000100"),
        CLAIMS(ISSUER, "connect-api", IN_TIME, ",\"client_id\":\"acme\""),
        CLAIMS(ISSUER, "connect-api", IN_TIME, ",\"pid\":1"),
        CLAIMS(ISSUER, "connect-api", IN_TIME, ",\"pid\":2,\"client_id\":\"acme\""),
        CLAIMS(ISSUER, "connect-api", IN_TIME, ",\"pid\":99,\"client_id\":\"acme\""),
        CLAIMS(ISSUER, "connect-api", IN_TIME, ",\"pid\":0,\"client_id\":\"acme\""),
        CLAIMS(ISSUER, "connect-api", IN_TIME, ",\"pid\":-1,\"client_id\":\"acme\""),
        CLAIMS(ISSUER, "connect-api", IN_TIME, ",\"pid\":9223372036854775807,\"client_id\":\"acme\""),
        CLAIMS(ISSUER, "connect-api", IN_TIME, ",\"pid\":\"1\",\"client_id\":\"acme\""),
        CLAIMS(ISSUER, "connect-api", IN_TIME, ",\"pid\":1.0,\"client_id\":\"acme\""),
        "{\"iss\":\"" ISSUER "\",\"aud\":\"connect-api\"" WHO "}",
        "{}",
        "[]",
        "not JSON",
    };
    static const char *const headers[] = {"{\"alg\":\"ES256\",\"typ\":\"rt+jwt\",\"kid\":\"%s\"}",
                                          "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
                                          "{\"alg\":\"ES256\",\"typ\":\"AT+JWT\",\"kid\":\"%s\"}",
                                          "{\"alg\":\"ES256\",\"kid\":\"%s\"}",
                                          "{\"alg\":\"ES384\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
                                          "{\"alg\":\"none\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
                                          "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\",\"crit\":[\"exp\"]}"};
    assert_accepted(w, testing_signed(&w->arena, testing_input(&w->arena, header, good), key, false));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_refused(w, testing_signed(&w->arena, testing_input(&w->arena, header, bad[i]), key, false));
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        char text[200];
        struct str before, after = str_cut(str_of(headers[i]), '%', &before);
        snprintf(text, sizeof(text), STR_FMT "%s" STR_FMT, STR_ARG(before), kid, (int)after.n - 1, after.p + 1);
        assert_refused(w, testing_signed(&w->arena, testing_input(&w->arena, text, good), key, false));
    }
    EVP_PKEY_free(key);
}

static void what_is_not_signed_by_us_is_refused(void **state) {
    struct world *w = *state;
    const char *kid;
    EVP_PKEY *key = own_key(w, &kid), *stranger = EVP_EC_gen("P-256");
    const char *good = CLAIMS(ISSUER, "connect-api", IN_TIME, WHO);
    struct arena *a = &w->arena;
    const char *header = arena_printf(a, HEADER, kid).p;
    // none
    struct str none = testing_input(a, arena_printf(a, "{\"alg\":\"none\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", kid).p, good);
    assert_refused(w, arena_printf(a, STR_FMT ".", STR_ARG(none)));
    assert_refused(w, none);
    // the public key as a shared secret: as PEM, as DER, as JWK, as published
    struct str hs = testing_input(a, arena_printf(a, "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", kid).p, good);
    BIO *pem = BIO_new(BIO_s_mem());
    uint8_t *der = NULL;
    char *text;
    int n = i2d_PUBKEY(key, &der);
    assert_int_equal(PEM_write_bio_PUBKEY(pem, key), 1);
    long pem_n = BIO_get_mem_data(pem, &text);
    struct str jwk = testing_jwk(a, key, "");
    assert_refused(w, testing_hs256(a, hs, text, (size_t)pem_n));
    assert_refused(w, testing_hs256(a, hs, der, (size_t)n));
    assert_refused(w, testing_hs256(a, hs, jwk.p, jwk.n));
    OPENSSL_free(der);
    BIO_free(pem);
    // somebody else's key under our name, under an unknown name, under none, and brought along
    struct str input = testing_input(a, header, good);
    assert_refused(w, testing_signed(a, input, stranger, false));
    assert_refused(w, testing_signed(a, testing_input(a, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"x\"}", good), stranger, false));
    assert_refused(w, testing_signed(a, testing_input(a, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", good), key, false));
    struct str brought =
        arena_printf(a, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"x\",\"jwk\":" STR_FMT "}", STR_ARG(testing_jwk(a, stranger, "")));
    assert_refused(w, testing_signed(a, testing_input(a, brought.p, good), stranger, false));
    // a zero signature
    uint8_t zero[64] = {0};
    assert_refused(w, testing_with_signature(a, input, zero, sizeof(zero)));
    EVP_PKEY_free(stranger);
    EVP_PKEY_free(key);
}

static void a_changed_token_is_not_the_cached_one(void **state) {
    struct world *w = *state;
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    struct token_pair pair = issued(w);
    char *other = arena_alloc(&w->arena, pair.access.n);
    for (int i = 0; i < 3; i++) // known by its sum, then by its text
        assert_accepted(w, pair.access);
    for (int i = 0; i < 500; i++) {
        memcpy(other, pair.access.p, pair.access.n);
        other[rng_below(&rng, pair.access.n)] ^= (char)(1 + rng_below(&rng, 127));
        assert_refused(w, ((struct str){other, pair.access.n}));
        assert_refused(w, ((struct str){pair.access.p, rng_below(&rng, pair.access.n)}));
    }
    assert_accepted(w, pair.access);
}

// ---- partners ----

static void a_disabled_partner_is_refused_within_a_second(void **state) {
    struct world *w = *state;
    struct token_pair pair = issued(w), out;
    for (int i = 0; i < 3; i++) // known by its sum, then by its text
        assert_accepted(w, pair.access);
    change(w, disable_acme, NULL);
    assert_refused(w, pair.access); // its own server is told at once
    assert_int_equal(refresh_as(w, ACME, pair.refresh, STR_NONE, &out), ERR_UNAUTHORISED);
}

static void a_partner_disabled_by_another_node_is_refused_within_a_second(void **state) {
    struct world *w = *state;
    struct token_pair pair = issued(w);
    struct store *mine = w->store;
    assert_accepted(w, pair.access);
    open_store_of_another_node(w);
    change(w, disable_acme, NULL);
    store_close(w->store);
    w->store = mine;
    clock_manual_advance(&w->manual, 999);
    assert_accepted(w, pair.access);
    clock_manual_advance(&w->manual, 1);
    assert_refused(w, pair.access);
}

// ---- keys ----

static struct str key_set(struct world *w) {
    struct buf b;
    buf_init(&b, 1u << 16);
    auth_key_set_json(w->auth, &b);
    struct str copy = arena_str(&w->arena, buf_str(&b));
    buf_release(&b);
    return copy;
}

static size_t keys_in_set(struct world *w) {
    json_t *set;
    assert_int_equal(json_parse_object(key_set(w), &set, &w->err), ERR_NONE);
    size_t n = json_array_size(json_object_get(set, "keys"));
    json_decref(set);
    return n;
}

static enum err_kind rotate(struct tx *tx, void *arg, struct err *err) {
    struct world *w = arg;
    struct str kid;
    return auth_rotate_key(w->auth, tx, &kid, &w->arena, err);
}

static const char *kid_of(struct world *w, struct str token) {
    json_t *header = part_of(w, token, 0);
    const char *kid = arena_str(&w->arena, str_of(text_of(header, "kid"))).p;
    json_decref(header);
    return kid;
}

static void keys_survive_a_restart(void **state) {
    struct world *w = *state;
    struct token_pair pair = issued(w), out;
    struct str before = key_set(w);
    forget(w);
    assert_string_equal(key_set(w).p, before.p);
    assert_accepted(w, pair.access);
    assert_int_equal(refresh_as(w, ACME, pair.refresh, STR_NONE, &out), ERR_NONE);
}

static void a_rotated_key_stays_as_long_as_its_tokens(void **state) {
    struct world *w = *state;
    struct token_pair old = issued(w), fresh, out;
    change(w, rotate, w);
    fresh = issued(w);
    assert_string_not_equal(kid_of(w, old.access), kid_of(w, fresh.access));
    assert_int_equal(keys_in_set(w), 2);
    forget(w);
    assert_accepted(w, old.access);
    assert_accepted(w, fresh.access);
    clock_manual_advance(&w->manual, 1799999);
    assert_int_equal(refresh_as(w, ACME, old.refresh, STR_NONE, &out), ERR_NONE);
    clock_manual_advance(&w->manual, 301 * 1000 + 1);
    assert_int_equal(keys_in_set(w), 1); // no longer shown ...
    change(w, rotate, w);
    assert_int_equal(keys_in_set(w), 2); // ... and pruned: these two are the last and the new one
    forget(w);
    assert_int_equal(keys_in_set(w), 2);
}

static void rotation_stops_before_tokens_lose_their_keys(void **state) {
    struct world *w = *state;
    struct token_pair pair = issued(w);
    struct change c = {rotate, w};
    enum err_kind kind = ERR_NONE;
    int rotations = 0;
    while (rotations < 100 && kind == ERR_NONE) {
        kind = store_run(w->store, apply, &c, &w->err);
        rotations++;
    }
    assert_int_equal(kind, ERR_CONFLICT);
    forget(w);
    assert_accepted(w, pair.access);
    assert_accepted(w, issued(w).access);
    clock_manual_advance(&w->manual, 2101 * 1000);
    change(w, rotate, w);
    assert_int_equal(keys_in_set(w), 2);
}

static void another_nodes_key_is_found(void **state) {
    struct world *w = *state;
    struct world its = *w;
    arena_init(&its.arena, 1u << 20);
    open_store_of_another_node(&its);
    open_auth(&its);
    struct token_pair pair, next;
    for (int i = 0; i < 5; i++) { // one after the other, at once, whichever of a pair comes first
        change(&its, rotate, &its);
        pair = issued(&its);
        if (i % 2)
            assert_int_equal(refresh_as(w, ACME, pair.refresh, STR_NONE, &next), ERR_NONE);
        assert_accepted(w, pair.access);
        assert_string_equal(kid_of(w, issued(w).access), kid_of(w, pair.access));
    }
    close_both(&its);
    arena_release(&its.arena);
}

// ---- operators ----

static enum err_kind add_operators(struct tx *tx, void *arg UNUSED, struct err *err) {
    struct operator_token t = {.name = STR("ann"), .created = START, .expires = WALL_NONE};
    sha256_of(STR("ann's token"), t.sha256);
    enum err_kind kind = store_operator_add(tx, &t, err);
    t.name = STR("bob");
    t.expires = wall_plus_ms(START, 1000);
    sha256_of(STR("bob's token"), t.sha256);
    return kind == ERR_NONE ? store_operator_add(tx, &t, err) : kind;
}

static enum err_kind operator_with(struct world *w, const char *header, struct str *name) {
    return auth_operator(w->auth, NULL, str_of(header), &w->arena, name, &w->err);
}

static void operators_have_tokens_of_their_own(void **state) {
    struct world *w = *state;
    struct str name = STR_NONE;
    struct token_pair pair = issued(w);
    change(w, add_operators, NULL);
    assert_int_equal(operator_with(w, "Bearer ann's token", &name), ERR_NONE);
    assert_true(str_is(name, "ann"));
    assert_int_equal(operator_with(w, "Bearer bob's token", &name), ERR_NONE);
    clock_manual_advance(&w->manual, 1000);
    assert_int_equal(operator_with(w, "Bearer bob's token", &name), ERR_UNAUTHORISED);
    assert_int_equal(operator_with(w, "Bearer somebody's", &name), ERR_UNAUTHORISED);
    assert_int_equal(operator_with(w, "ann's token", &name), ERR_UNAUTHORISED);
    assert_int_equal(operator_with(w, NULL, &name), ERR_UNAUTHORISED);
    assert_int_equal(operator_with(w, arena_printf(&w->arena, "Bearer " STR_FMT, STR_ARG(pair.access)).p, &name), ERR_UNAUTHORISED);
    assert_refused(w, STR("ann's token"));
}

// ---- an outside issuer ----

static void write_keys(struct world *w, struct str text) {
    char temporary[128];
    snprintf(temporary, sizeof(temporary), "%s.new", w->keys_file);
    FILE *f = fopen(temporary, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(temporary, w->keys_file), 0);
}

static void with_outside(struct world *w, struct str keys) {
    write_keys(w, keys);
    auth_close(w->auth);
    store_close(w->store);
    w->o.outside_issuer = OUTSIDE;
    w->o.outside_keys_file = w->keys_file;
    w->o.outside_audience = "connect";
    w->o.outside_client_claim = "azp";
    open_store(w);
    open_auth(w);
}

#define THEIRS(azp, iss, aud, exp) "{\"iss\":\"" iss "\",\"aud\":[\"account\",\"" aud "\"],\"azp\":\"" azp "\",\"exp\":" exp "}"

static void an_outside_issuers_tokens_are_accepted_as_configured(void **state) {
    struct world *w = *state;
    struct arena *a = &w->arena;
    EVP_PKEY *rsa = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256"), *stranger = EVP_EC_gen("P-256");
    const char *good = THEIRS("acme", OUTSIDE, "connect", IN_TIME);
    struct str rs = testing_signed(a, testing_input(a, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"r\"}", good), rsa, false);
    assert_refused(w, rs); // nothing is configured yet

    with_outside(w, arena_printf(a, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}," STR_FMT "," STR_FMT "," STR_FMT "]}",
                                 STR_ARG(testing_jwk(a, rsa, "\"kid\":\"r\",\"use\":\"sig\",")),
                                 STR_ARG(testing_jwk(a, rsa, "\"kid\":\"p\",\"alg\":\"PS256\",")),
                                 STR_ARG(testing_jwk(a, ec, "\"kid\":\"e\","))));
    struct partner p;
    assert_int_equal(call_with(w, rs, &p), ERR_NONE);
    assert_int_equal(p.id, 1);
    assert_accepted(w, rs);
    assert_accepted(w, testing_signed(a, testing_input(a, "{\"alg\":\"PS256\",\"typ\":\"at+jwt\",\"kid\":\"p\"}", good), rsa, true));
    const char *header = "{\"alg\":\"ES256\",\"kid\":\"e\"}";
    assert_accepted(w, testing_signed(a, testing_input(a, header, good), ec, false));
    assert_accepted(w, issued(w).access); // ours go on

    static const char *const bad[] = {
        THEIRS("acme", ISSUER, "connect", IN_TIME),   THEIRS("acme", OUTSIDE, "other", IN_TIME),
        THEIRS("acme", OUTSIDE, "connect", "1"),      THEIRS("nobody", OUTSIDE, "connect", IN_TIME),
        THEIRS("", OUTSIDE, "connect", IN_TIME),      "{\"iss\":\"" OUTSIDE "\",\"aud\":\"connect\",\"exp\":" IN_TIME "}",
        THEIRS("' OR 1", OUTSIDE, "connect", IN_TIME)};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_refused(w, testing_signed(a, testing_input(a, header, bad[i]), ec, false));
    // their key cannot speak for us, ours cannot speak for them
    const char *ours = CLAIMS(ISSUER, "connect-api", IN_TIME, WHO), *kid;
    assert_refused(w, testing_signed(a, testing_input(a, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"e\"}", ours), ec, false));
    EVP_PKEY *own = own_key(w, &kid);
    assert_refused(w, testing_signed(a, testing_input(a, arena_printf(a, HEADER, kid).p, good), own, false));
    // alg confusion and strangers
    struct str jwk = testing_jwk(a, rsa, "");
    assert_refused(w, testing_hs256(a, testing_input(a, "{\"alg\":\"HS256\",\"kid\":\"r\"}", good), jwk.p, jwk.n));
    assert_refused(w, testing_signed(a, testing_input(a, "{\"alg\":\"PS256\",\"kid\":\"r\"}", good), rsa, true));
    assert_refused(w, testing_signed(a, testing_input(a, header, good), stranger, false));
    assert_refused(w, testing_signed(a, testing_input(a, "{\"alg\":\"ES256\"}", good), ec, false)); // no kid, several keys
    assert_refused(w, testing_signed(a, testing_input(a, "{\"alg\":\"ES256\",\"typ\":\"rt+jwt\",\"kid\":\"e\"}", good), ec, false));
    change(w, disable_acme, NULL);
    assert_refused(w, rs);
    EVP_PKEY_free(own);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(stranger);
}

static void a_changed_key_file_is_read_again(void **state) {
    struct world *w = *state;
    struct arena *a = &w->arena;
    EVP_PKEY *first = EVP_EC_gen("P-256"), *second = EVP_EC_gen("P-256");
    const char *good = THEIRS("acme", OUTSIDE, "connect", "1700000900");
    struct str input = testing_input(a, "{\"alg\":\"ES256\"}", good); // one key: it needs no name
    struct str of_first = testing_signed(a, input, first, false), of_second = testing_signed(a, input, second, false);
    with_outside(w, arena_printf(a, "{\"keys\":[" STR_FMT "]}", STR_ARG(testing_jwk(a, first, ""))));
    assert_accepted(w, of_first);
    assert_refused(w, of_second);

    write_keys(w, arena_printf(a, "{\"keys\":[" STR_FMT "]}", STR_ARG(testing_jwk(a, second, ""))));
    clock_manual_advance(&w->manual, 1000);
    assert_accepted(w, of_second);
    clock_manual_advance(&w->manual, 60000); // the cache trusts an outside token no longer than that
    assert_refused(w, of_first);

    static const char *const broken[] = {"", "{", "{}", "{\"keys\":[]}", "{\"keys\":{}}", "{\"keys\":[1,null,{}]}"};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) { // what is known stays
        write_keys(w, str_of(broken[i]));
        clock_manual_advance(&w->manual, 61000);
        assert_accepted(w, of_second);
    }
    assert_int_equal(unlink(w->keys_file), 0);
    clock_manual_advance(&w->manual, 61000);
    assert_accepted(w, of_second);
    write_keys(w, arena_printf(a, "{\"keys\":[" STR_FMT "]}", STR_ARG(testing_jwk(a, first, ""))));
    clock_manual_advance(&w->manual, 61000);
    assert_accepted(w, of_first);
    assert_refused(w, of_second);
    EVP_PKEY_free(first);
    EVP_PKEY_free(second);
}

static void options_that_make_no_sense_are_refused(void **state) {
    struct world *w = *state;
    struct auth *a;
    struct auth_options o = w->o;
    write_keys(w, STR("{\"keys\":[]}"));
    o.outside_issuer = OUTSIDE;
    assert_int_equal(auth_open(w->store, &o, &a, &w->err), ERR_INVALID);
    o.outside_audience = "connect";
    o.outside_client_claim = "azp";
    o.outside_keys_file = w->keys_file;
    assert_int_equal(auth_open(w->store, &o, &a, &w->err), ERR_INVALID); // no key in it
    o.outside_keys_file = "/nowhere/keys.json";
    assert_int_equal(auth_open(w->store, &o, &a, &w->err), ERR_INVALID);
    o.outside_issuer = ISSUER;
    assert_int_equal(auth_open(w->store, &o, &a, &w->err), ERR_INVALID);
    o = w->o;
    o.access_seconds = 0;
    assert_int_equal(auth_open(w->store, &o, &a, &w->err), ERR_INVALID);
    o = w->o;
    o.issuer = "";
    assert_int_equal(auth_open(w->store, &o, &a, &w->err), ERR_INVALID);
}

// ---- rate limits ----

static void a_partners_own_limit_goes_before_the_servers(void **state) {
    struct world *w = *state;
    struct partner p = {.id = 1};
    struct rate_state r;
    assert_true(auth_rate(w->auth, &p, "orders", NULL, &r));
    assert_int_equal(r.limit, 1000);
    assert_int_equal(r.remaining, 999);
    p.rate_per_minute = 1;
    p.id = 2;
    assert_true(auth_rate(w->auth, &p, "orders", NULL, &r));
    assert_true(r.allowed);
    assert_true(auth_rate(w->auth, &p, "orders", NULL, &r));
    assert_false(r.allowed);
    assert_int_equal(r.retry_after_s, 60);
    p.rate_per_minute = -1;
    for (int i = 0; i < 2000; i++) {
        assert_true(auth_rate(w->auth, &p, "orders", NULL, &r));
        assert_true(r.allowed);
        assert_int_equal(r.limit, 0);
    }
}

// ---- threads ----

struct caller {
    struct world *w;
    struct str token;
    pthread_t thread;
    int good, wrong;
};

static _Atomic bool rotating;

// Takes tokens, calls with them and with one that is shared, as the server's threads do.
static void *call_often(void *arg) {
    struct caller *c = arg;
    struct auth *auth = c->w->auth;
    struct arena a;
    struct err err = {0};
    arena_init(&a, 1u << 20);
    do {
        struct tx *tx = NULL;
        struct token_pair pair = {0}, next;
        struct partner p = {0};
        struct rate_state r;
        struct buf set;
        buf_init(&set, 1u << 16);
        bool good = store_read_begin(c->w->store, &tx, &err) == ERR_NONE &&
                    auth_issue(auth, tx, ACME, STR(SECRET), STR_NONE, &a, &pair, &err) == ERR_NONE &&
                    auth_partner(auth, tx, arena_printf(&a, "Bearer " STR_FMT, STR_ARG(pair.access)), &a, &p, &err) == ERR_NONE &&
                    auth_refresh(auth, tx, ACME, STR(SECRET), pair.refresh, STR_NONE, &a, &next, &err) == ERR_NONE;
        if (tx)
            store_read_end(tx);
        good = good && p.id == 1 && auth_partner(auth, NULL, c->token, &a, &p, &err) == ERR_NONE && p.id == 1;
        good = good && auth_partner(auth, NULL, STR("Bearer e30.e30.AAAA"), &a, &p, &err) == ERR_UNAUTHORISED;
        assert_true(auth_rate(auth, &p, "orders", NULL, &r));
        auth_key_set_json(auth, &set);
        good = good && set.n > 100;
        buf_release(&set);
        c->good += good;
        c->wrong += !good;
        arena_reset(&a);
    } while (atomic_load(&rotating) || c->good + c->wrong < 100);
    arena_release(&a);
    return NULL;
}

static void many_threads_call_while_keys_rotate(void **state) {
    struct world *w = *state;
    struct caller callers[4] = {0};
    struct str token = arena_printf(&w->arena, "Bearer " STR_FMT, STR_ARG(issued(w).access));
    atomic_store(&rotating, true);
    for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
        callers[i].w = w;
        callers[i].token = token;
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
    }
    for (int i = 0; i < 20; i++)
        change(w, rotate, w);
    atomic_store(&rotating, false);
    for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_int_equal(callers[i].wrong, 0);
        assert_true(callers[i].good >= 100);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pair_says_what_rfc_9068_wants, setup, teardown),
        cmocka_unit_test_setup_teardown(only_the_right_secret_of_a_known_client_gets_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rotated_secret_overlaps_and_then_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scope_is_granted_as_asked_when_it_is_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refresh_answers_a_new_pair_and_the_old_one_lives_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refresh_token_is_its_clients_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refresh_may_narrow_the_scope_and_never_widen_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_token_names_its_partner_until_it_expires, setup, teardown),
        cmocka_unit_test_setup_teardown(the_header_must_carry_a_bearer_token, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refresh_token_opens_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(only_a_token_with_every_claim_right_is_accepted, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_signed_by_us_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_token_is_not_the_cached_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disabled_partner_is_refused_within_a_second, setup, teardown),
        cmocka_unit_test_setup_teardown(a_partner_disabled_by_another_node_is_refused_within_a_second, setup_node, teardown),
        cmocka_unit_test_setup_teardown(keys_survive_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rotated_key_stays_as_long_as_its_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(rotation_stops_before_tokens_lose_their_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(another_nodes_key_is_found, setup_node, teardown),
        cmocka_unit_test_setup_teardown(operators_have_tokens_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(an_outside_issuers_tokens_are_accepted_as_configured, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_key_file_is_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(options_that_make_no_sense_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_partners_own_limit_goes_before_the_servers, setup, teardown),
        cmocka_unit_test_setup_teardown(many_threads_call_while_keys_rotate, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
