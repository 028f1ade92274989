// SPDX-License-Identifier: Apache-2.0
/*
 * api.c - a call from its request to its reply. What follows what is in api_handle and call_go; nothing here knows a resource.
 *
 * A call that waits (for its job's commit; for something to read: call_wait.c) gives its thread back with HTTP_LATER and comes back through
 * api_resume. Whoever ends the waiting calls http_resume and touches the call no more.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/idem.h"
#include "api/park.h"
#include "api/problem.h"
#include "api/routes.h"
#include "api/state.h"
#include "base/log.h"
#include "core/order.h"
#include "core/task.h"
#include "store/store_idem.h"

static const short metered_codes[METER_CODES] = {200, 201, 202, 204, 400, 401, 403, 404, 405, 406,
                                                 409, 410, 413, 415, 422, 429, 431, 500, 503};

// ---- what every answer carries ----

static struct str correlation_of(struct http_exchange *x, const struct api *api) {
    struct str given = str_trim(http_header(x, "X-Correlation-ID"));
    if (given.n == 0) {
        struct id_gen gen;
        char text[UUID_TEXT];
        id_gen_init(&gen, api->o.rng);
        uuid_format(id_next(&gen, clock_wall(api->o.clock), 0), text);
        return arena_str(&x->arena, str_of(text));
    }
    // Cut between characters, not within one; what is not text becomes '?'. Nobody is refused for it.
    if (given.n > CORRELATION_MAX) {
        given.n = CORRELATION_MAX;
        while (given.n && ((unsigned char)given.p[given.n] & 0xc0) == 0x80)
            given.n--;
    }
    char text[CORRELATION_MAX];
    bool utf8 = str_is_utf8(given);
    for (size_t i = 0; i < given.n; i++) {
        unsigned char ch = (unsigned char)given.p[i];
        text[i] = ch < 0x20 || ch == 0x7f || (ch >= 0x80 && !utf8) ? '?' : (char)ch;
    }
    return arena_str(&x->arena, (struct str){text, given.n});
}

static void common_headers(struct http_exchange *x, struct str correlation) {
    http_set_header(x, "X-Correlation-ID", correlation);
    bool cacheable = false; // a reply that said so itself
    for (size_t i = 0; i < x->n_out; i++)
        cacheable = cacheable || strcmp(x->out[i].name, "Cache-Control") == 0;
    if (!cacheable)
        http_set_header(x, "Cache-Control", STR("no-store"));
    http_set_header(x, "X-Content-Type-Options", STR("nosniff"));
}

static void rate_headers(struct call *c) {
    if (!c->limited)
        return;
    http_set_header(c->x, "x-rate-limit-limit", arena_printf(c->arena, "%lld", (long long)c->rate.limit));
    http_set_header(c->x, "x-rate-limit-remaining", arena_printf(c->arena, "%lld", (long long)c->rate.remaining));
    http_set_header(c->x, "x-rate-limit-reset", arena_printf(c->arena, "%lld", (long long)c->rate.reset.ms));
}

static void call_release(struct call *c) {
    if (c->release)
        c->release(c);
    c->release = NULL;
}

// The last step of every call: its reply, or the error that came instead.
static void call_answer(struct call *c) {
    call_release(c);
    bool answered = c->idem && c->idem->answered;
    if (c->failed == ERR_NONE && c->route && c->route->reply && !answered)
        c->route->reply(c);
    if (c->failed == ERR_NONE && (c->x->reply.failed || arena_failed(c->arena)))
        c->failed = err_set(&c->err, ERR_INTERNAL, "the reply does not fit: %zu bytes, arena %zu", c->x->reply.n, c->arena->used);
    if (c->failed != ERR_NONE)
        problem_reply(c);
    else if (c->idem && c->idem->replayed)
        http_set_header(c->x, "Idempotent-Replayed", STR("true"));
    if (c->failed == ERR_NONE && c->waiting && c->waiting->preferred)
        http_set_header(c->x, "Preference-Applied", arena_printf(c->arena, "wait=%d", c->waiting->preferred));
    rate_headers(c);
    common_headers(c->x, c->correlation_id);
}

// ---- the steps ----

static void counted(void *ctx) {
    http_resume(ctx);
}

// False: the call waits to be counted, and is not to be looked at; it will be resumed, and begins again.
static bool call_count(struct call *c) {
    c->metering = true;
    c->rate_wait = (struct rate_wait){.go = counted, .ctx = c->x};
    if (!auth_rate(c->api->o.auth, &c->partner, c->route->bucket, &c->rate_wait, &c->rate))
        return false;
    c->metering = false;
    c->limited = c->rate.limit > 0;
    return true;
}

// *later: as call_count's false.
static enum err_kind call_who(struct call *c, bool *later) {
    struct api *api = c->api;
    struct str authorization = http_header(c->x, "Authorization");
    enum err_kind kind;
    switch (c->route->access) {
    case ACCESS_PUBLIC:
        return ERR_NONE;
    case ACCESS_OPERATOR:
        return auth_operator(api->o.auth, NULL, authorization, c->arena, &c->operator_name, &c->err);
    case ACCESS_PARTNER:
    case ACCESS_SANDBOX:
        break;
    }
    kind = auth_partner(api->o.auth, NULL, authorization, c->arena, &c->partner, &c->err);
    if (kind != ERR_NONE)
        return kind;
    *later = !call_count(c);
    if (*later)
        return ERR_NONE;
    if (c->limited && !c->rate.allowed)
        return err_set(&c->err, ERR_RATE, "more than %lld requests a minute: try again in %lld s", (long long)c->rate.limit,
                       (long long)c->rate.retry_after_s);
    if (c->route->access == ACCESS_SANDBOX && c->partner.mode != PARTNER_SANDBOX)
        return err_set(&c->err, ERR_DENIED, "this is for sandbox partners");
    return ERR_NONE;
}

// application/json and whatever/something+json, with or without parameters.
static bool says_json(struct str content_type) {
    struct str type;
    str_cut(content_type, ';', &type);
    type = str_trim(type);
    if (str_eq_nocase(type, STR("application/json")))
        return true;
    return type.n > 5 && memchr(type.p, '/', type.n) && str_eq_nocase((struct str){type.p + type.n - 5, 5}, STR("+json"));
}

static enum err_kind call_body_parse(struct call *c) {
    if (c->route->body != BODY_JSON && c->route->body != BODY_JSON_OPTIONAL)
        return ERR_NONE;
    if (c->x->body.n == 0) {
        if (c->route->body == BODY_JSON_OPTIONAL)
            return ERR_NONE;
        return err_set(&c->err, ERR_MALFORMED, "body: is empty, must be a JSON object");
    }
    if (!says_json(http_header(c->x, "Content-Type")))
        return err_set(&c->err, ERR_MEDIA_TYPE, "Content-Type: must be application/json");
    return json_parse_object(c->x->body, &c->body, &c->err);
}

static bool is_fault_of_body(enum err_kind kind) {
    return kind == ERR_MALFORMED || kind == ERR_INVALID;
}

static void job_ahead(struct tx *tx, void *ctx) {
    struct call *c = ctx;
    if (c->idem)
        store_idem_ahead(tx, c->partner.id, c->idem->key);
    if (c->route->ahead && c->failed == ERR_NONE)
        c->route->ahead(c, tx);
}

static enum err_kind job_run(struct tx *tx, void *ctx, struct err *err) {
    struct call *c = ctx;
    return c->idem ? idem_run(c, tx, err) : call_work(c, tx, err);
}

static void job_done(void *ctx, enum err_kind kind, const struct err *err) {
    struct call *c = ctx;
    bool over;
    if (c->idem)
        over = idem_done(c, kind, err);
    else
        over = !(call_worked(c, kind, err) && call_go_on(c));
    if (over)
        http_resume(c->x);
}

enum err_kind call_work(struct call *c, struct tx *tx, struct err *err) {
    c->again = c->later = false;
    c->next_note = STR_NONE;
    c->worked = c->route->work(c, tx, err);
    return c->worked;
}

bool call_worked(struct call *c, enum err_kind kind, const struct err *err) {
    c->failed = kind;
    if (kind != ERR_NONE)
        c->err = *err;
    if (!c->again || kind != c->worked) // it was the store that failed
        return false;
    c->steps += kind == ERR_NONE;
    c->undone += kind != ERR_NONE;
    if (kind == ERR_NONE)
        c->note = c->next_note;
    return true;
}

bool call_go_on(struct call *c) {
    struct err err = {0}; // the call's own may be an answer in the making
    bool later = c->later;
    c->later = false;
    enum err_kind kind =
        later ? err_set(&err, ERR_BUSY, "too many calls wait, or the server is stopping") : store_submit(c->api->o.store, &c->job, &err);
    if (kind == ERR_NONE || park(c))
        return true;
    c->failed = kind;
    c->err = err;
    return false;
}

static enum err_kind work_as_reader(struct call *c) {
    struct tx *tx;
    enum err_kind kind = store_read_begin(c->api->o.store, &tx, &c->err);
    if (kind != ERR_NONE)
        return kind;
    kind = c->route->work(c, tx, &c->err);
    store_read_end(tx);
    return kind;
}

// Everything up to the reply. With HTTP_LATER the call belongs to whoever will resume it: not a look at it from then on.
static enum http_answer call_go(struct call *c) {
    const struct route *route = c->route;

    bool later = false;
    enum err_kind failed = call_who(c, &later);
    if (later)
        return HTTP_LATER;
    c->failed = failed;
    if (c->failed == ERR_NONE && route->kind == WORK_WRITE && (route->access == ACCESS_PARTNER || route->access == ACCESS_SANDBOX))
        c->failed = idem_begin(c, &c->err);
    if (c->failed == ERR_NONE)
        c->failed = call_body_parse(c);
    bool parsed = c->failed == ERR_NONE;
    if (parsed && route->parse)
        c->failed = route->parse(c, &c->err);

    if (route->work && c->failed == ERR_NONE && route->kind == WORK_READ) {
        if (!call_read(c, work_as_reader))
            return HTTP_LATER;
    } else if (route->work && parsed && is_fault_of_body(c->failed) && route->work_despite_faults) {
        // what parse found stands, unless the look-ups met trouble that is not the client's
        enum err_kind kind = work_as_reader(c);
        if (kind != ERR_NONE)
            c->failed = kind;
    }

    bool job = c->failed == ERR_NONE ? route->work && route->kind == WORK_WRITE : c->idem && idem_before_refusal(c);
    if (job) {
        struct err err = {0}; // the call's own may be what it waits with
        c->job.run = job_run;
        c->job.ahead = job_ahead;
        c->job.done = job_done;
        c->job.ctx = c;
        c->job.early = false;
        enum err_kind kind = store_submit(c->api->o.store, &c->job, &err);
        if (kind == ERR_NONE)
            return HTTP_LATER;
        c->failed = kind;
        c->err = err;
    }
    call_answer(c);
    return HTTP_REPLY;
}

// ---- the handler ----

static struct call *call_new(struct arena *a) {
    struct call *c = arena_raw(a, 1, sizeof *c);
    if (c) {
        memset(c, 0, offsetof(struct call, err));
        err_clear(&c->err);
    }
    return c;
}

static enum http_answer api_handle(void *ctx, struct http_exchange *x) {
    struct api *api = ctx;
    struct call *c = call_new(&x->arena);
    if (!c) {
        struct err err = {0};
        err_set(&err, ERR_BUSY, "the server is out of memory, nothing was accepted: try again shortly");
        problem_write(x, ERR_BUSY, 0, &err);
        http_set_header(x, "Retry-After", STR("1"));
        return HTTP_REPLY;
    }
    x->user = c;
    c->api = api;
    c->x = x;
    c->arena = &x->arena;
    c->now = clock_wall(api->o.clock);
    c->correlation_id = correlation_of(x, api);

    struct router_match match;
    router_find(api->router, x->method, x->path, c->arena, &match);
    c->route = match.route;
    memcpy(c->params, match.params, sizeof(c->params));
    if (c->route)
        return call_go(c);

    if (match.methods && x->method == HTTP_OPTIONS) {
        call_empty(c, 204);
    } else if (match.methods) {
        c->failed = err_set(&c->err, ERR_METHOD, "this path takes: " STR_FMT, STR_ARG(router_allow(match.methods, c->arena)));
    } else {
        c->failed = err_set(&c->err, ERR_NOT_FOUND, "no such path");
    }
    call_answer(c);
    if (match.methods)
        http_set_header(x, "Allow", router_allow(match.methods, c->arena));
    return HTTP_REPLY;
}

static enum http_answer api_resume(void *ctx UNUSED, struct http_exchange *x) {
    struct call *c = x->user;
    if (c->metering)
        return call_go(c);
    if (c->waiting && !call_read(c, work_as_reader))
        return HTTP_LATER;
    call_answer(c);
    return HTTP_REPLY;
}

static enum http_more api_more(void *ctx UNUSED, struct http_exchange *x) {
    struct call *c = x->user;
    return c->more(c);
}

// The request broke a bound before it became a call: it gets the same shape and the same headers.
static void api_refuse(void *ctx, struct http_exchange *x, enum err_kind why, const char *message) {
    struct err err = {0};
    err_set(&err, why, "%s", message);
    problem_write(x, why, x->status, &err);
    if (problem_of(why)->status == 503)
        http_set_header(x, "Retry-After", STR("1"));
    common_headers(x, correlation_of(x, ctx));
}

// ---- after the reply: meters and the log line ----

static void meter(struct api *api, const struct route *route, const struct http_exchange *x, int64_t us) {
    size_t at = route ? (size_t)(route - api->routes) : api->n_routes;
    struct route_meter *m = &api->meters[at];
    if (us >= 0)
        metric_observe_us(m->latency, us);

    char code[16];
    const char *const labels[] = {route ? http_method_name(route->method) : "other", route ? route->path : "other", code};
    size_t slot = 0;
    while (slot < METER_CODES && metered_codes[slot] != x->status)
        slot++;
    struct metric *counter = slot < METER_CODES ? atomic_load_explicit(&m->codes[slot], memory_order_acquire) : NULL;
    if (!counter) {
        snprintf(code, sizeof(code), "%d", x->status);
        counter = metric_child(api->requests, labels);
        if (slot < METER_CODES)
            atomic_store_explicit(&m->codes[slot], counter, memory_order_release);
    }
    metric_add(counter, 1);
}

static void api_end(void *ctx, struct http_exchange *x, bool sent) {
    struct api *api = ctx;
    const struct call *c = x->user;
    const struct route *route = c ? c->route : NULL;
    int64_t us = (clock_mono(api->o.clock).ns - x->started.ns) / 1000;
    // How long a client chose to wait says nothing about us.
    meter(api, route, x, x->stream ? -1 : c && c->waiting ? us - c->waiting->asleep_ns / 1000 : us);

    // probes come every few seconds: at the usual level they would only bury the rest
    enum log_level level = route && str_is(str_of(route->bucket), "health") ? LOG_DEBUG : LOG_INFO;
    struct log_field fields[13];
    size_t n = 0;
    fields[n++] = (struct log_field)LOG_TEXT("method", http_method_name(x->method));
    fields[n++] = (struct log_field)LOG_TEXT("route", route ? route->path : "none");
    fields[n++] = (struct log_field)LOG_INT("status", x->status);
    fields[n++] = (struct log_field)LOG_INT("us", us);
    fields[n++] = (struct log_field)LOG_INT("bytes", x->stream ? (int64_t)x->streamed : (int64_t)x->reply.n);
    if (c && c->partner.id)
        fields[n++] = (struct log_field)LOG_INT("partner", c->partner.id);
    if (c && str_present(c->operator_name))
        fields[n++] = (struct log_field)LOG_STR("operator", c->operator_name);
    if (c)
        fields[n++] = (struct log_field)LOG_STR("correlation", c->correlation_id);
    if (c && !uuid_is_zero(c->order_id))
        fields[n++] = (struct log_field)LOG_ID("order", c->order_id);
    if (c && c->idem && c->idem->replayed) {
        fields[n++] = (struct log_field)LOG_TEXT("replayed", "true");
        metric_add(api->replays, 1);
    }
    if (!sent)
        fields[n++] = (struct log_field)LOG_TEXT("note", "the client was gone");
    fields[n] = (struct log_field){.key = NULL};
    if (level >= log_threshold)
        log_write(level, "request", fields);

    if (c)
        call_release((struct call *)x->user); // of one that was never answered
    if (c && c->body)
        json_decref(c->body);
}

// ---- life ----

static struct str origin_of(struct str base_url) {
    const char *host = memmem(base_url.p, base_url.n, "://", 3);
    if (!host)
        return base_url;
    host += 3;
    const char *slash = memchr(host, '/', (size_t)(base_url.p + base_url.n - host));
    return slash ? (struct str){base_url.p, (size_t)(slash - base_url.p)} : base_url;
}

enum err_kind api_open(const struct api_options *o, struct api **out, struct err *err) {
    return api_open_routes(o, api_routes, api_routes_count, out, err);
}

enum err_kind api_open_routes(const struct api_options *o, const struct route *routes, size_t n, struct api **out, struct err *err) {
    struct str base_url = str_of(o->base_url);
    if (!str_present(base_url) || !(str_starts(base_url, "http://") || str_starts(base_url, "https://")) || str_ends(base_url, "/"))
        return err_set(err, ERR_INVALID, "base_url: must be an http or https address without a slash at the end");

    struct api *api = xcalloc(1, sizeof(*api));
    api->o = *o;
    api->base_url = base_url;
    api->origin = origin_of(base_url);
    if (o->health_only) {
        api->own_routes = xcalloc(n, sizeof *api->own_routes);
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
            if (strcmp(routes[i].bucket, "health") == 0)
                memcpy(&api->own_routes[kept++], &routes[i], sizeof routes[i]);
        routes = api->own_routes;
        n = kept;
    }
    api->routes = routes;
    api->n_routes = n;
    api->router = router_open(routes, n);
    int64_t random = (int64_t)(1 + rng_below(o->rng, (UINT64_C(1) << API_PROCESS_BITS) - 1));
    api->process = api_process(o->node, o->instance ? o->instance : random);
    park_open(api);
    pthread_mutex_init(&api->sandbox_calls.lock, NULL);
    api->waits = waits_open(o->store, o->clock);
    store_on_commit(o->store, NEWS_EVENTS, waits_news, api->waits);

    static const char *const request_labels[] = {"method", "route", "code"};
    static const char *const state_label[] = {"state"};
    api->requests = metric_family("topupd_http_requests_total", "Requests answered.", METRIC_COUNTER, request_labels, 3);
    struct metric_family *latency = metric_family(
        "topupd_http_request_seconds", "From the first byte of a request to the end of its answer.", METRIC_HISTOGRAM, request_labels, 2);
    api->meters = xcalloc(n + 1, sizeof(*api->meters));
    for (size_t i = 0; i <= n; i++) {
        bool known = i < n;
        const char *const labels[] = {known ? http_method_name(routes[i].method) : "other", known ? routes[i].path : "other"};
        api->meters[i].latency = metric_child(latency, labels);
    }
    api->job_queue = metric_child(metric_family("topupd_store_jobs_waiting", "Jobs in the writer's queue.", METRIC_GAUGE, NULL, 0), NULL);
    api->job_batches =
        metric_child(metric_family("topupd_store_batches", "Transactions committed by the writer.", METRIC_GAUGE, NULL, 0), NULL);
    api->longest_batch = metric_child(metric_family("topupd_store_longest_batch_microseconds",
                                                    "The writer's longest transaction since the start.", METRIC_GAUGE, NULL, 0),
                                      NULL);
    api->replays = metric_child(metric_family("topupd_idempotent_replays_total", "Calls answered with the stored answer of an earlier one.",
                                              METRIC_COUNTER, NULL, 0),
                                NULL);
    api->waiting = metric_child(metric_family("topupd_waiting", "Long polls and event streams that wait.", METRIC_GAUGE, NULL, 0), NULL);
    struct metric_family *orders = metric_family("topupd_orders", "Orders that are not finished, by state.", METRIC_GAUGE, state_label, 1);
    struct metric_family *tasks = metric_family("topupd_tasks", "Tasks that are not finished, by state.", METRIC_GAUGE, state_label, 1);
    for (size_t i = 0; i < ARRAY_LEN(api->orders); i++)
        api->orders[i] = order_finished((enum order_state)i) ? NULL : metric_child(orders, &order_state_words[i]);
    for (size_t i = 0; i < ARRAY_LEN(api->tasks); i++)
        api->tasks[i] = i >= TASK_DONE ? NULL : metric_child(tasks, &task_state_words[i]);

    *out = api;
    return ERR_NONE;
}

void api_close(struct api *a) {
    if (!a)
        return;
    api_stop(a);
    pthread_mutex_destroy(&a->sandbox_calls.lock);
    waits_close(a->waits);
    park_close(a);
    router_close(a->router);
    free(a->own_routes);
    free(a->meters);
    free(a);
}

struct http_handler api_handler(struct api *a) {
    return (struct http_handler){
        .handle = api_handle, .resume = api_resume, .more = api_more, .refuse = api_refuse, .end = api_end, .ctx = a};
}

const struct api_options *api_settings(const struct api *a) {
    return &a->o;
}

void api_draining(struct api *a) {
    atomic_store(&a->draining, true);
    waits_drain(a->waits);
}
