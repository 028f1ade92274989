// SPDX-License-Identifier: Apache-2.0
#include "api/token.h"

#define PAIRS_MAX 100  // name=value pairs of a body that are looked at; no client sends a tenth of it
#define BASIC_MAX 2048 // bytes of base64 in an Authorization header
#define TOKEN_PATH "/protocol/openid-connect/token"
#define KEYS_PATH "/protocol/openid-connect/certs"

struct credentials {
    struct str client, secret; // STR_NONE: not sent
};

struct token_call {
    // what was asked
    struct str grant_type, refresh_token, scope;
    struct credentials who;
    struct credentials literal; // what Basic carried before its escapes were undone, when that makes a difference
    // what comes of it
    const char *error; // of RFC 6749 section 5.2; NULL: tokens
    struct str description;
    int status;
    struct token_pair pair;
};

// ---- the request ----

static void refuse(struct token_call *s, int status, const char *error, struct str description) {
    if (s->error)
        return; // the first fault stands
    s->status = status;
    s->error = error;
    s->description = description;
}

static void refuse_request(struct token_call *s, struct str description) {
    refuse(s, 400, "invalid_request", description);
}

static bool is_form(struct str content_type) {
    struct str type;
    str_cut(content_type, ';', &type);
    return str_eq_nocase(str_trim(type), STR("application/x-www-form-urlencoded"));
}

// Every pair on its own, so that a parameter that comes twice is seen. One without a value counts as not sent (RFC 6749 section 3.2).
static void form_parse(struct call *c, struct token_call *s, struct credentials *in_body) {
    const struct {
        const char *name;
        struct str *to;
    } fields[] = {{"grant_type", &s->grant_type},
                  {"client_id", &in_body->client},
                  {"client_secret", &in_body->secret},
                  {"refresh_token", &s->refresh_token},
                  {"scope", &s->scope}};
    struct str rest = c->x->body, pair;
    for (int pairs = 0; str_present(rest); pairs++) {
        rest = str_cut(rest, '&', &pair);
        if (pairs == PAIRS_MAX) {
            refuse_request(s, STR("the body has too many parameters"));
            return;
        }
        for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
            bool bad = false;
            struct str value = http_form(c->arena, pair, fields[i].name, &bad);
            if (bad)
                refuse_request(s, STR("the body does not decode"));
            if (value.n == 0)
                continue;
            if (str_present(*fields[i].to))
                refuse_request(s, arena_printf(c->arena, "%s comes twice", fields[i].name));
            *fields[i].to = value;
        }
    }
}

static struct str basic_decode(struct arena *a, struct str in) {
    uint8_t *out = in.n <= BASIC_MAX ? arena_alloc(a, in.n + 1) : NULL;
    size_t n;
    return out && base64_decode(in, out, in.n, &n) ? (struct str){(char *)out, n} : STR_NONE;
}

static bool is_printable(struct str text) {
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
            return false;
    return true;
}

static struct str unescape(struct arena *a, struct str text, bool *bad) {
    return http_form(a, arena_printf(a, "v=" STR_FMT, STR_ARG(text)), "v", bad);
}

// RFC 6749 section 2.3.1 has both parts form-encoded inside Basic; many clients send them as they are. So the reading of the RFC is tried
// first and the literal one after it, when they differ.
static void basic_parse(struct call *c, struct token_call *s, struct str encoded) {
    struct str text = basic_decode(c->arena, encoded);
    struct credentials literal;
    literal.secret = str_cut(text, ':', &literal.client);
    if (!str_present(text) || !str_present(literal.secret) || !is_printable(text)) {
        refuse(s, 401, "invalid_client", STR("the Authorization header does not carry a client id and secret"));
        return;
    }
    bool bad = false;
    s->who.client = unescape(c->arena, literal.client, &bad);
    s->who.secret = unescape(c->arena, literal.secret, &bad);
    if (bad)
        s->who = literal;
    else if (!str_eq(s->who.client, literal.client) || !str_eq(s->who.secret, literal.secret))
        s->literal = literal;
}

static void credentials_parse(struct call *c, struct token_call *s, struct credentials in_body) {
    struct str scheme, encoded = str_cut(str_trim(http_header(c->x, "Authorization")), ' ', &scheme);
    if (!str_eq_nocase(scheme, STR("Basic"))) {
        s->who = in_body;
        if (!str_present(in_body.client) || !str_present(in_body.secret))
            refuse(s, 401, "invalid_client", STR("client_id and client_secret are required, in the body or as HTTP Basic"));
        return;
    }
    basic_parse(c, s, str_trim(encoded));
    if (str_present(in_body.secret))
        refuse_request(s, STR("the client authenticates in two ways at once: HTTP Basic and client_secret"));
    else if (str_present(in_body.client) && !str_eq(in_body.client, s->who.client) && !str_eq(in_body.client, s->literal.client))
        refuse_request(s, STR("client_id is not the one of the Authorization header"));
}

static bool wants_refresh(const struct token_call *s) {
    return str_is(s->grant_type, "refresh_token");
}

static void grant_check(struct token_call *s) {
    if (!str_present(s->grant_type))
        refuse_request(s, STR("grant_type is required"));
    else if (!wants_refresh(s) && !str_is(s->grant_type, "client_credentials"))
        refuse(s, 400, "unsupported_grant_type", STR("grant_type must be client_credentials or refresh_token"));
    else if (wants_refresh(s) && !str_present(s->refresh_token))
        refuse_request(s, STR("refresh_token is required"));
    if (str_present(s->scope) && !auth_scope_valid(s->scope))
        refuse(s, 400, "invalid_scope", STR("scope must be words of printable characters with one blank between them"));
}

enum err_kind realm_parse(struct call *c, struct err *err) {
    if (!str_is(c->params[0], api_settings(c->api)->realm))
        return err_set(err, ERR_NOT_FOUND, "there is no such realm");
    return ERR_NONE;
}

enum err_kind token_parse(struct call *c, struct err *err) {
    enum err_kind kind = realm_parse(c, err);
    if (kind != ERR_NONE)
        return kind;
    struct token_call *s = arena_new(c->arena, struct token_call);
    if (!s)
        return err_set(err, ERR_BUSY, "the server is out of memory, try again shortly");
    c->state = s;
    struct credentials in_body = {STR_NONE, STR_NONE};
    if (!is_form(http_header(c->x, "Content-Type")))
        refuse_request(s, STR("Content-Type must be application/x-www-form-urlencoded"));
    else
        form_parse(c, s, &in_body);
    grant_check(s);
    credentials_parse(c, s, in_body);
    return ERR_NONE;
}

// ---- the answer ----

static enum err_kind try_with(struct call *c, struct tx *tx, const struct credentials *who, struct err *err) {
    struct token_call *s = c->state;
    struct auth *auth = api_settings(c->api)->auth;
    return wants_refresh(s) ? auth_refresh(auth, tx, who->client, who->secret, s->refresh_token, s->scope, c->arena, &s->pair, err)
                            : auth_issue(auth, tx, who->client, who->secret, s->scope, c->arena, &s->pair, err);
}

enum err_kind token_work(struct call *c, struct tx *tx, struct err *err) {
    struct token_call *s = c->state;
    if (s->error)
        return ERR_NONE;
    enum err_kind kind = try_with(c, tx, &s->who, err);
    if (kind == ERR_UNAUTHORISED && str_present(s->literal.client))
        kind = try_with(c, tx, &s->literal, err);
    struct str description = arena_str(c->arena, str_of(err_first(err)));
    switch (kind) {
    case ERR_NONE:
        break;
    case ERR_UNAUTHORISED:
        refuse(s, 401, "invalid_client", description);
        break;
    case ERR_INVALID:
        refuse(s, 400, "invalid_grant", description);
        break;
    case ERR_DENIED:
        refuse(s, 400, "invalid_scope", description);
        break;
    default: // not the client's fault: the house's own answer
        return kind;
    }
    err_clear(err);
    return ERR_NONE;
}

void token_reply(struct call *c) {
    const struct token_call *s = c->state;
    if (s->status == 401)
        http_set_header(c->x, "WWW-Authenticate", STR("Basic realm=\"topupd\", charset=\"UTF-8\""));
    struct jw w = call_json(c, s->error ? s->status : 200);
    jw_object(&w, NULL);
    if (s->error) {
        jw_text(&w, "error", s->error);
        jw_str(&w, "error_description", s->description);
    } else {
        jw_str(&w, "access_token", s->pair.access);
        jw_i64(&w, "expires_in", s->pair.access_seconds);
        jw_str(&w, "refresh_token", s->pair.refresh);
        jw_i64(&w, "refresh_expires_in", s->pair.refresh_seconds);
        jw_text(&w, "token_type", "Bearer");
        jw_str(&w, "scope", s->pair.scope);
    }
    jw_end_object(&w);
}

// ---- what clients find out by themselves ----

void token_keys_reply(struct call *c) {
    call_body(c, 200, "application/json");
    auth_key_set_json(api_settings(c->api)->auth, &c->x->reply);
}

static void words(struct jw *w, const char *key, const char *const *list) {
    jw_array(w, key);
    for (; *list; list++)
        jw_text(w, NULL, *list);
    jw_end_array(w);
}

void token_discovery_reply(struct call *c) {
    static const char *const none[] = {NULL}, *const subjects[] = {"public", NULL}, *const algorithms[] = {"ES256", NULL};
    static const char *const grants[] = {"client_credentials", "refresh_token", NULL}, *const scopes[] = {AUTH_SCOPE_DEFAULT, NULL};
    static const char *const methods[] = {"client_secret_basic", "client_secret_post", NULL};
    const char *issuer = auth_issuer(api_settings(c->api)->auth);
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_text(&w, "issuer", issuer);
    jw_str(&w, "token_endpoint", arena_printf(c->arena, "%s" TOKEN_PATH, issuer));
    jw_str(&w, "jwks_uri", arena_printf(c->arena, "%s" KEYS_PATH, issuer));
    words(&w, "grant_types_supported", grants);
    words(&w, "response_types_supported", none); // there is no authorization endpoint
    words(&w, "token_endpoint_auth_methods_supported", methods);
    words(&w, "subject_types_supported", subjects);
    words(&w, "id_token_signing_alg_values_supported", algorithms);
    words(&w, "scopes_supported", scopes);
    jw_end_object(&w);
}
