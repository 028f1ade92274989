// SPDX-License-Identifier: Apache-2.0
#include "topupd/app.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "auth/auth.h"
#include "base/log.h"
#include "base/secret.h"
#include "deliver/deliver.h"
#include "engine/engine.h"
#include "http/client.h"
#include "http/http.h"
#include "peer/fake.h"
#include "peer/peer.h"
#include "peer/sandbox.h"
#include "store/store_partner.h"
#include "topupd/node.h"

#define SCRIPT_MAX (256 * 1024)
#define DELIVER_DRAIN_MS 2000 // what a receiver takes longer for is sent again after the start

struct app {
    const struct config *config;
    enum node_role role;
    struct store *store;
    struct seat *seat;
    _Atomic bool lost; // its number is another's
    struct auth *auth;
    struct api *api;
    struct engine *engine;
    struct http_client *client;
    struct deliver *deliver;
    struct http_server *http;
    int listen_fd; // until the server takes it over
    char bound[HTTP_ADDRESS_TEXT];
    char *base_url, *origin, *issuer, *qr_base;
};

// ---- addresses ----

static char *joined(const char *left, const char *right) {
    size_t n = strlen(left) + strlen(right) + 1;
    char *out = xmalloc(n);
    snprintf(out, n, "%s%s", left, right);
    return out;
}

static void addresses_set(struct app *a) {
    const struct config *c = a->config;
    if (c->base_url[0])
        a->base_url = xstrdup(c->base_url);
    else
        a->base_url = joined(c->tls_certificate[0] ? "https://" : "http://", a->bound);
    a->origin = xstrdup(a->base_url);
    char *path = strchr(strstr(a->origin, "://") + 3, '/');
    if (path)
        *path = 0;
    char *realms = joined(a->origin, "/auth/realms/");
    a->issuer = joined(realms, c->realm);
    free(realms);
    a->qr_base = joined(a->origin, "/connect/qrcode/v1/esim");
}

// ---- the parts ----

static enum err_kind open_store(struct app *a, bool may_create, struct err *err) {
    struct store_options o;
    store_options_default(&o);
    o.location = a->config->store;
    o.clock = &clock_system;
    o.rng = &rng_system;
    o.queue_max = (size_t)a->config->queue_max;
    o.batch_max = (size_t)a->config->batch_max;
    o.readers = (int)a->config->store_readers;
    o.threaded = true;
    o.may_create = may_create;
    return store_open(&o, &a->store, err);
}

static void on_lost(void *ctx) {
    struct app *a = ctx;
    a->lost = true;
    kill(getpid(), SIGTERM); // app_wait takes it
}

static enum err_kind open_seat(struct app *a, struct err *err) {
    int64_t lease_ms = a->config->lease_seconds * 1000;
    struct seat_options o = {
        .store = a->store,
        .clock = &clock_system,
        .rng = &rng_system,
        .number = a->config->node,
        .role = a->role,
        .leases_ms = lease_ms > DELIVER_LEASE_MS ? lease_ms : DELIVER_LEASE_MS,
        .lost = on_lost,
        .ctx = a,
    };
    return seat_take(&o, &a->seat, err);
}

static const char *text_or_null(const char *text) {
    return text[0] ? text : NULL;
}

static enum err_kind open_auth(struct app *a, struct err *err) {
    const struct config *c = a->config;
    struct auth_options o = {
        .issuer = a->issuer,
        .audience = "connect-api",
        .access_seconds = (int)c->access_token_seconds,
        .refresh_seconds = (int)c->refresh_token_seconds,
        .outside_issuer = text_or_null(c->outside_issuer),
        .outside_keys_file = text_or_null(c->outside_keys_file),
        .outside_audience = text_or_null(c->outside_audience),
        .outside_client_claim = text_or_null(c->outside_client_claim),
        .rate_per_minute = c->rate_per_minute,
        .node = seat_number(a->seat),
        .clock = &clock_system,
        .rng = &rng_system,
    };
    return auth_open(a->store, &o, &a->auth, err);
}

static enum err_kind open_api(struct app *a, bool demo, struct err *err) {
    struct api_options o = {
        .store = a->store,
        .auth = a->auth,
        .clock = &clock_system,
        .rng = &rng_system,
        .base_url = a->base_url,
        .realm = a->config->realm,
        .qr_host_path = a->qr_base,
        .demo = demo,
        .private_targets = a->config->webhook_private_targets,
        .node = seat_number(a->seat),
        .instance = seat_instance(a->seat),
        .health_only = a->role == NODE_ENGINE,
        .upkeep = a->role != NODE_API,
        .idempotency_days = a->config->idempotency_days,
    };
    return api_open(&o, &a->api, err);
}

static enum err_kind read_script(const char *path, char **out, struct err *err) {
    if (!path[0]) {
        *out = xstrdup("");
        return ERR_NONE;
    }
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(err, ERR_NOT_FOUND, "network_script: %s: %s", path, strerror(errno));
    char *text = xcalloc(1, SCRIPT_MAX + 1);
    size_t n = fread(text, 1, SCRIPT_MAX + 1, f);
    bool bad = ferror(f) || n > SCRIPT_MAX;
    fclose(f);
    if (bad) {
        free(text);
        return err_set(err, ERR_INVALID, "network_script: %s: cannot be read, or is larger than %d KiB", path, SCRIPT_MAX / 1024);
    }
    *out = text;
    return ERR_NONE;
}

// A row for each kind of network element that the configuration can name.
static enum err_kind open_peer(struct app *a, struct peer **out, struct err *err) {
    if (strcmp(a->config->network, "builtin") == 0) {
        *out = peer_builtin_open("builtin");
        return ERR_NONE;
    }
    char *script = NULL;
    enum err_kind kind = read_script(a->config->network_script, &script, err);
    if (kind)
        return kind;
    kind = peer_fake_open("fake", str_of(script), &clock_system, out, err);
    free(script);
    return kind;
}

static enum err_kind open_engine(struct app *a, struct err *err) {
    const struct config *c = a->config;
    struct engine_options o = {
        .store = a->store,
        .clock = &clock_system,
        .rng = &rng_system,
        .node = seat_number(a->seat),
        .lease_seconds = (int)c->lease_seconds,
        .call_timeout_seconds = (int)c->call_timeout_seconds,
        .batch_max = (int)c->batch_max,
    };
    struct peer *peer;
    enum err_kind kind = open_peer(a, &peer, err);
    if (kind)
        return kind;
    kind = engine_open(&o, &a->engine, err);
    if (kind) {
        if (peer->ops->close)
            peer->ops->close(peer);
        return kind;
    }
    store_on_commit(a->store, ENGINE_NEWS, engine_news, a->engine);
    static const enum task_kind kinds[] = {TASK_PROFILE_RESERVE, TASK_NETWORK_ENABLE, TASK_PROFILE_RELEASE, TASK_ALLOWANCE_ADD};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        engine_set_peer(a->engine, kinds[i], peer);
    engine_set_sandbox_peer(a->engine, peer_sandbox_open("sandbox", &clock_system));
    engine_settle_at_once(a->engine);
    return ERR_NONE;
}

static enum err_kind send_request(void *ctx, const struct http_request *r, struct err *err) {
    return http_client_send(ctx, r, err);
}

static enum err_kind open_deliver(struct app *a, struct err *err) {
    const struct config *c = a->config;
    struct http_client_options client = {
        .calls_max = (int)c->webhook_calls_max,
        .private_targets = c->webhook_private_targets,
        .user_agent = "topupd/" TOPUP_VERSION,
        .ca_file = text_or_null(c->webhook_ca_file),
        .clock = &clock_system,
    };
    enum err_kind kind = http_client_open(&client, &a->client, err);
    if (kind)
        return kind;
    struct deliver_options o = {
        .store = a->store,
        .clock = &clock_system,
        .rng = &rng_system,
        .links = {a->base_url, a->qr_base},
        .sender = {send_request, a->client},
        .node = seat_number(a->seat),
        .calls_max = (int)c->webhook_calls_max,
        .retry_scale_ppm = c->webhook_retry_scale_ppm,
        .log_days = (int)c->webhook_log_days,
        .gather_ms = 10,
    };
    kind = deliver_open(&o, &a->deliver, err);
    if (kind)
        return kind;
    store_on_commit(a->store, DELIVER_NEWS, deliver_news, a->deliver);
    return ERR_NONE;
}

// Once all have told the store what they want to hear of: no job may be in work before (store_on_commit).
static enum err_kind run_threads(struct app *a, struct err *err) {
    enum err_kind kind = seat_run(a->seat, err);
    if (!kind)
        kind = api_run(a->api, err);
    if (!kind && a->engine)
        kind = engine_run(a->engine, err);
    if (!kind && a->deliver)
        kind = deliver_run(a->deliver, err);
    return kind;
}

enum err_kind app_open(const struct config *c, const struct app_options *o, struct app **out, struct err *err) {
    struct app *a = xcalloc(1, sizeof *a);
    a->config = c;
    a->role = (enum node_role)config_role(c);
    a->listen_fd = -1;
    enum err_kind kind = http_listen(c->listen, &a->listen_fd, a->bound, err);
    if (!kind) {
        addresses_set(a);
        kind = open_store(a, o->may_create, err);
    }
    if (!kind)
        kind = open_seat(a, err);
    if (!kind)
        kind = open_auth(a, err);
    if (!kind)
        kind = open_api(a, o->demo, err);
    if (!kind && a->role != NODE_API)
        kind = open_engine(a, err);
    if (!kind && a->role != NODE_API)
        kind = open_deliver(a, err);
    if (!kind)
        kind = run_threads(a, err);
    if (kind) {
        app_close(a);
        return kind;
    }
    *out = a;
    return ERR_NONE;
}

enum err_kind app_serve(struct app *a, struct err *err) {
    const struct config *c = a->config;
    struct http_server_options o;
    http_server_options_default(&o);
    o.listen_fd = a->listen_fd;
    o.threads = (int)c->http_threads;
    o.connections_max = (size_t)c->connections_max;
    o.large_prefix = "/admin/v1/";
    o.request_timeout_s = (int)c->request_timeout_seconds;
    o.idle_timeout_s = (int)c->idle_timeout_seconds;
    o.tls_cert = text_or_null(c->tls_certificate);
    o.tls_key = text_or_null(c->tls_key);
    o.clock = &clock_system;
    o.handler = api_handler(a->api);
    enum err_kind kind = http_server_start(&o, &a->http, err);
    if (!kind)
        a->listen_fd = -1; // the server's now
    return kind;
}

struct store *app_store(struct app *a) {
    return a->store;
}

const char *app_listen(const struct app *a) {
    return a->bound;
}

const char *app_base_url(const struct app *a) {
    return a->base_url;
}

int64_t app_node(const struct app *a) {
    return seat_number(a->seat);
}

const char *app_role(const struct app *a) {
    return node_role_words[a->role];
}

const char *app_origin(const struct app *a) {
    return a->origin;
}

// ---- stopping ----

static sigset_t stop_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return set;
}

void app_block_signals(void) {
    sigset_t set = stop_signals();
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); // a limit of a file's size (ulimit -f) is then an error of the write, like a full disk
}

bool app_wait(struct app *a) {
    sigset_t set = stop_signals();
    int which;
    CHECK(sigwait(&set, &which) == 0);
    log_info("server.stopping", LOG_TEXT("signal", which == SIGTERM ? "TERM" : "INT"), LOG_INT("drain_seconds", a->config->drain_seconds));
    return !a->lost;
}

void app_close(struct app *a) {
    int drain_ms = (int)a->config->drain_seconds * 1000;
    if (a->http) {
        api_draining(a->api);
        http_server_stop(a->http, drain_ms);
    }
    if (a->api)
        api_stop(a->api);
    if (a->engine)
        engine_stop(a->engine, drain_ms);
    if (a->deliver)
        deliver_stop(a->deliver, drain_ms < DELIVER_DRAIN_MS ? drain_ms : DELIVER_DRAIN_MS);
    http_client_close(a->client);
    seat_give_back(a->seat);
    store_close(a->store); // before those that its callbacks use
    if (a->engine)
        engine_close(a->engine);
    deliver_close(a->deliver);
    if (a->api)
        api_close(a->api);
    if (a->auth)
        auth_close(a->auth);
    if (a->listen_fd >= 0)
        close(a->listen_fd);
    free(a->base_url);
    free(a->origin);
    free(a->issuer);
    free(a->qr_base);
    free(a);
}

// ---- operators ----

static enum err_kind operator_insert(struct tx *tx, void *ctx, struct err *err) {
    return store_operator_add(tx, ctx, err);
}

enum err_kind operator_token_make(struct store *s, const char *name, char *out, struct err *err) {
    char token[SECRET_TEXT];
    secret_make(&rng_system, token);
    struct operator_token row = {.name = str_of(name), .created = clock_wall(&clock_system), .expires = WALL_NONE};
    sha256_of(str_of(token), row.sha256);
    enum err_kind kind = store_run(s, operator_insert, &row, err);
    if (!kind)
        memcpy(out, token, sizeof token);
    secret_wipe(token, sizeof token);
    return kind;
}
