// SPDX-License-Identifier: Apache-2.0
/*
 * client.c - what happens around a call: the token before it, the second try after it, and an answer's errors as `struct err`.
 */
#include "topup/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <strings.h>

#define TRIES 6
#define PATIENCE_SECONDS 60
#define REPEATS 5 // of a call with an idempotency key that gets no answer
#define REPEAT_PATIENCE_SECONDS 15

struct client {
    CURL *curl;
    const struct config *config;
    struct client_answer answer;
    struct buf token; // an access token, "" before
    long patience;
    const char *key; // the next call's
    long retry_after;
    char trouble[CURL_ERROR_SIZE];
};

enum err_kind client_open(const struct config *config, struct client **out, struct err *err) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_INTERNAL, "libcurl cannot be used");
    struct client *c = xcalloc(1, sizeof *c);
    c->config = config;
    c->patience = PATIENCE_SECONDS;
    buf_init(&c->answer.body, CLIENT_ANSWER_MAX);
    buf_init(&c->token, 65536);
    c->curl = curl_easy_init();
    CHECK(c->curl);
    *out = c;
    return ERR_NONE;
}

void client_close(struct client *c) {
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    curl_global_cleanup();
    if (c->token.p)
        explicit_bzero(c->token.p, c->token.n);
    buf_release(&c->token);
    buf_release(&c->answer.body);
    free(c);
}

void client_patience(struct client *c, long seconds) {
    c->patience = seconds > 0 ? seconds : PATIENCE_SECONDS;
}

void client_idempotent(struct client *c, const char *key) {
    c->key = key;
}

const struct client_answer *client_answer(const struct client *c) {
    return &c->answer;
}

void client_pause(long milliseconds) {
    (void)poll(NULL, 0, (int)milliseconds); // a signal ends it early, as it should
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx) {
    struct client *c = ctx;
    buf_add(&c->answer.body, p, size * n);
    return c->answer.body.failed ? 0 : size * n;
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx) {
    struct client *c = ctx;
    struct str name, value = str_cut((struct str){p, size * n}, ':', &name);
    uint64_t seconds;
    if (str_present(value) && str_eq_nocase(name, STR("Retry-After")) && str_to_u64(str_trim(value), &seconds) && seconds < 3600)
        c->retry_after = (long)seconds;
    else if (str_present(value) && str_eq_nocase(name, STR("Content-Type")))
        c->answer.json = memmem(value.p, value.n, "json", 4) != NULL;
    return size * n;
}

// A request as it goes out once.
struct sending {
    const char *method, *url, *content_type;
    struct str body;
    const char *bearer; // NULL: none
    const char *key;    // NULL: none
};

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value) {
    struct buf b;
    buf_init(&b, 131072);
    buf_printf(&b, "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(list, b.p);
    CHECK(longer);
    explicit_bzero(b.p, b.n);
    buf_release(&b);
    return longer;
}

static enum err_kind send_once(struct client *c, const struct sending *m, struct err *err) {
    c->answer.status = 0;
    c->answer.json = false;
    c->retry_after = -1;
    buf_clear(&c->answer.body);
    struct curl_slist *headers = add_header(NULL, "Accept", "application/json");
    headers = add_header(headers, "Expect", ""); // no pause before a long body
    if (str_present(m->body))
        headers = add_header(headers, "Content-Type", m->content_type);
    if (m->bearer) {
        struct buf b;
        buf_init(&b, 131072);
        buf_printf(&b, "Bearer %s", m->bearer);
        headers = add_header(headers, "Authorization", b.p);
        explicit_bzero(b.p, b.n);
        buf_release(&b);
    }
    if (m->key)
        headers = add_header(headers, "Idempotency-Key", m->key);
    curl_easy_reset(c->curl);
    curl_easy_setopt(c->curl, CURLOPT_URL, m->url);
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, m->method);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "topup/" TOPUP_VERSION);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, 10L);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT,
                     m->key && c->patience > REPEAT_PATIENCE_SECONDS ? (long)REPEAT_PATIENCE_SECONDS : c->patience);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->trouble);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c);
    if (c->config->value[CONFIG_CA_FILE])
        curl_easy_setopt(c->curl, CURLOPT_CAINFO, c->config->value[CONFIG_CA_FILE]);
    if (str_present(m->body)) {
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)m->body.n);
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, m->body.p);
    }
    c->trouble[0] = 0;
    CURLcode rc = curl_easy_perform(c->curl);
    // A new body's pointer must not outlive this call inside the handle.
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    bool sent = rc != CURLE_OK && rc != CURLE_COULDNT_CONNECT && rc != CURLE_COULDNT_RESOLVE_HOST && rc != CURLE_COULDNT_RESOLVE_PROXY;
    c->answer.unsure = (m->key && sent) || (c->answer.unsure && rc != CURLE_OK);
    if (rc != CURLE_OK)
        return err_set(err, ERR_UNAVAILABLE, "%.300s: %s", m->url, c->trouble[0] ? c->trouble : curl_easy_strerror(rc));
    long status = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    c->answer.status = (int)status;
    return ERR_NONE;
}

// Sends, and again while nothing is heard, if that is safe.
static enum err_kind send_surely(struct client *c, const struct sending *m, struct err *err) {
    for (int i = 1;; i++) {
        enum err_kind kind = send_once(c, m, err);
        if (kind == ERR_NONE || !m->key || i == REPEATS)
            return kind;
        client_pause(250L << i);
    }
}

// And again while the server says that it took nothing and when to come back.
static enum err_kind send_patiently(struct client *c, const struct sending *m, struct err *err) {
    for (int i = 1;; i++) {
        enum err_kind kind = send_surely(c, m, err);
        if (kind != ERR_NONE)
            return kind;
        bool later = c->answer.status == 429 || c->answer.status == 503;
        if (!later || c->retry_after < 0 || c->retry_after > 10 || i == TRIES)
            return ERR_NONE;
        client_pause(c->retry_after > 0 ? c->retry_after * 1000 : 100L * i);
    }
}

static enum err_kind kind_of(int status) {
    switch (status) {
    case 401:
        return ERR_UNAUTHORISED;
    case 403:
        return ERR_DENIED;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_CONFLICT;
    case 429:
        return ERR_RATE;
    case 503:
        return ERR_UNAVAILABLE;
    default:
        return status >= 500 ? ERR_INTERNAL : ERR_INVALID;
    }
}

// The messages of an error answer: our own shape, or that of the token endpoint (RFC 6749), or nothing but the status.
static enum err_kind answer_error(struct client *c, struct err *err) {
    enum err_kind kind = kind_of(c->answer.status);
    json_t *o = NULL;
    struct err ignored = {0};
    err_clear(err);
    if (json_parse_object(buf_str(&c->answer.body), &o, &ignored) == ERR_NONE) {
        json_t *messages = json_object_get(o, "messages"), *message;
        size_t i;
        json_array_foreach(messages, i, message) {
            if (json_is_string(message))
                err_add(err, kind, "%s", json_string_value(message));
        }
        json_t *said = json_object_get(o, "error_description") ? json_object_get(o, "error_description") : json_object_get(o, "error");
        if (err->count == 0 && json_is_string(said))
            err_add(err, kind, "%s", json_string_value(said));
        json_decref(o);
    }
    if (err->count == 0)
        err_add(err, kind, "the server answered %d", c->answer.status);
    return kind;
}

static void add_encoded(struct client *c, struct buf *out, const char *text) {
    char *coded = curl_easy_escape(c->curl, text, 0);
    CHECK(coded);
    buf_add_text(out, coded);
    explicit_bzero(coded, strlen(coded));
    curl_free(coded);
}

enum err_kind client_token(struct client *c, struct err *err) {
    const char *id = c->config->value[CONFIG_CLIENT_ID], *secret = c->config->value[CONFIG_CLIENT_SECRET];
    if (!id || !secret)
        return err_set(err, ERR_UNAUTHORISED, "no partner's credentials: set CLIENT_ID and CLIENT_SECRET, or keep them with `topup login`");
    // The token endpoint is at the origin, whatever the API's base is.
    struct str base = str_of(c->config->value[CONFIG_BASE_URL]);
    CHECK(str_present(base)); // config_settle
    size_t scheme = str_starts(base, "https://") ? 8 : 7;
    const char *slash = memchr(base.p + scheme, '/', base.n - scheme);
    struct buf url, form;
    buf_init(&url, 8192);
    buf_init(&form, 16384);
    buf_add(&url, base.p, slash ? (size_t)(slash - base.p) : base.n);
    buf_add_text(&url, "/auth/realms/");
    add_encoded(c, &url, c->config->value[CONFIG_REALM]);
    buf_add_text(&url, "/protocol/openid-connect/token");
    buf_add_text(&form, "grant_type=client_credentials&client_id=");
    add_encoded(c, &form, id);
    buf_add_text(&form, "&client_secret=");
    add_encoded(c, &form, secret);
    struct sending m = {"POST", url.p, "application/x-www-form-urlencoded", buf_str(&form), NULL, NULL};
    enum err_kind kind = send_patiently(c, &m, err);
    if (kind == ERR_NONE && c->answer.status != 200)
        kind = answer_error(c, err);
    json_t *o = NULL;
    if (kind == ERR_NONE && (kind = json_parse_object(buf_str(&c->answer.body), &o, err)) == ERR_NONE) {
        const char *token = json_string_value(json_object_get(o, "access_token"));
        buf_clear(&c->token);
        if (token)
            buf_add_text(&c->token, token);
        if (c->token.n == 0)
            kind = err_set(err, ERR_INTERNAL, "the server's token answer has no access_token");
        json_decref(o);
    }
    explicit_bzero(form.p, form.n);
    buf_release(&form);
    buf_release(&url);
    return kind;
}

enum err_kind client_call(struct client *c, enum client_side side, const char *method, const char *path, const char *content_type,
                          struct str body, struct err *err) {
    enum err_kind kind = ERR_NONE;
    const char *key = c->key;
    c->key = NULL;
    c->answer.unsure = false;
    if (side == SIDE_OPERATOR && !c->config->value[CONFIG_ADMIN_TOKEN])
        return err_set(err, ERR_UNAUTHORISED, "no operator's token: set TOPUP_ADMIN_TOKEN, or keep it with `topup login --operator`");
    bool fresh = side == SIDE_PARTNER && c->token.n == 0;
    if (fresh && (kind = client_token(c, err)) != ERR_NONE)
        return kind;
    struct buf url;
    buf_init(&url, 65536);
    buf_add_text(&url, c->config->value[side == SIDE_OPERATOR ? CONFIG_SERVER : CONFIG_BASE_URL]);
    buf_add_text(&url, path);
    if (url.failed) {
        buf_release(&url);
        return err_set(err, ERR_INVALID, "the request is too long");
    }
    for (;;) {
        struct sending m = {method, url.p, content_type, body, side == SIDE_OPERATOR ? c->config->value[CONFIG_ADMIN_TOKEN] : c->token.p,
                            key};
        kind = send_patiently(c, &m, err);
        if (kind != ERR_NONE || side != SIDE_PARTNER || fresh || c->answer.status != 401)
            break;
        fresh = true; // the token may have grown old meanwhile
        if ((kind = client_token(c, err)) != ERR_NONE)
            break;
    }
    buf_release(&url);
    if (kind == ERR_NONE && c->answer.status / 100 != 2)
        kind = answer_error(c, err);
    return kind;
}
