// SPDX-License-Identifier: Apache-2.0
/*
 * client.c - libcurl's multi interface on a libuv loop: curl says which sockets it waits for and until when, the loop tells it what came.
 *
 * All of curl happens on the loop's thread. A call that is handed over waits in a queue until the loop takes it; `done` is called from
 * there, never from within a callback of curl's.
 */
#include "http/client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "http/address.h"
#include "http/retry_after.h"

#define CONNECT_MS_MAX 10000
#define HEADERS_TAKEN 65536

struct calling {
    struct http_client *client;
    CURL *easy;
    struct curl_slist *headers;
    char *method, *url, *body;
    size_t body_n;
    int timeout_ms;
    void (*done)(void *ctx, const struct http_answer_got *answer);
    void *ctx;
    // how it goes
    struct mono began;
    char kept[ANSWER_KEPT];
    size_t kept_n, taken, header_bytes;
    int64_t retry_after_s;
    bool too_long;       // the answer was cut off
    bool refused;        // an address was
    bool had_connection; // another was not
    struct calling *next, *prev;
};

struct http_client {
    struct http_client_options o;
    char *user_agent, *ca_file;
    CURLM *multi;
    uv_loop_t loop;
    uv_async_t async;
    uv_timer_t timer;
    pthread_t thread;
    struct calling *running; // the loop's own

    pthread_mutex_t lock;
    struct calling *queue, **queue_end;
    int calls; // queued and running
    bool closing;
};

// A socket that curl waits for.
struct watch {
    uv_poll_t poll;
    struct http_client *client;
    curl_socket_t fd;
};

const char *http_ending_text(enum http_ending how) {
    static const char *const texts[HTTP_ENDINGS] = {
        [HTTP_ANSWERED] = "answered",
        [HTTP_TARGET_REFUSED] = "the address is private, local or reserved, and not called",
        [HTTP_NO_ADDRESS] = "the host's name does not resolve",
        [HTTP_NO_CONNECTION] = "no connection",
        [HTTP_NO_TLS] = "no secure connection: the certificate or the handshake failed",
        [HTTP_TIMED_OUT] = "no connection, or no whole answer, in time",
        [HTTP_BROKEN] = "the connection ended without an answer",
        [HTTP_STOPPED] = "the server was stopped",
    };
    return (unsigned)how < HTTP_ENDINGS ? texts[how] : "";
}

// ---- what curl asks of us during a call ----

static size_t on_body(char *p, size_t size, size_t n, void *ctx) {
    struct calling *k = ctx;
    size_t all = size * n, room = sizeof k->kept - k->kept_n;
    size_t keep = all < room ? all : room;
    memcpy(k->kept + k->kept_n, p, keep);
    k->kept_n += keep;
    k->taken += all;
    k->too_long = k->taken > ANSWER_TAKEN;
    return k->too_long ? 0 : all;
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx) {
    struct calling *k = ctx;
    struct str name, value = str_cut((struct str){p, size * n}, ':', &name);
    k->header_bytes += size * n;
    if (k->header_bytes > HEADERS_TAKEN)
        return 0;
    if (str_present(value) && str_eq_nocase(name, STR("Retry-After")))
        k->retry_after_s = retry_after_parse(value, clock_wall(k->client->o.clock));
    return size * n;
}

// After the name was resolved, before there is a socket.
static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address) {
    struct calling *k = ctx;
    if (purpose != CURLSOCKTYPE_IPCXN || (!k->client->o.private_targets && !address_public(&address->addr, address->addrlen))) {
        k->refused = true;
        return CURL_SOCKET_BAD;
    }
    k->had_connection = true;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// When there is a connection, before anything is sent.
static int on_connected(void *ctx, char *their_address, char *our_address, int their_port, int our_port) {
    struct calling *k = ctx;
    (void)our_address, (void)their_port, (void)our_port;
    k->had_connection = true;
    if (k->client->o.private_targets || address_text_public(str_of(their_address)))
        return CURL_PREREQFUNC_OK;
    k->refused = true;
    return CURL_PREREQFUNC_ABORT;
}

// ---- a call's life ----

static char *copied(struct str s) {
    char *p = xmalloc(s.n + 1);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

static void free_headers(struct calling *k) {
    for (struct curl_slist *h = k->headers; h; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    curl_slist_free_all(k->headers);
}

static void calling_free(struct calling *k) {
    if (k->easy)
        curl_easy_cleanup(k->easy);
    free_headers(k);
    explicit_bzero(k->url, strlen(k->url)); // it may hold credentials
    free(k->method);
    free(k->url);
    free(k->body);
    free(k);
}

static void add_header(struct calling *k, const char *name, const char *value) {
    size_t n = strlen(name) + strlen(value) + 3;
    char *line = xmalloc(n);
    snprintf(line, n, "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(k->headers, line);
    CHECK(longer);
    k->headers = longer;
    explicit_bzero(line, n);
    free(line);
}

static struct calling *calling_new(struct http_client *c, const struct http_request *r) {
    struct calling *k = xcalloc(1, sizeof *k);
    k->client = c;
    k->method = xstrdup(r->method);
    k->url = xstrdup(r->url);
    k->body = copied(r->body);
    k->body_n = r->body.n;
    k->timeout_ms = r->timeout_ms;
    k->done = r->done;
    k->ctx = r->ctx;
    k->retry_after_s = -1;
    add_header(k, "Expect", ""); // no pause before the body
    for (size_t i = 0; i < r->n_headers; i++)
        add_header(k, r->header[i].name, r->header[i].value);
    return k;
}

static void answer(struct calling *k, struct http_answer_got *got) {
    struct http_client *c = k->client;
    pthread_mutex_lock(&c->lock);
    c->calls--; // before `done`, which may make room for another
    pthread_mutex_unlock(&c->lock);
    got->duration_us = k->began.ns ? (clock_mono(c->o.clock).ns - k->began.ns) / 1000 : 0;
    k->done(k->ctx, got);
    calling_free(k);
}

static void answer_unsent(struct calling *k, enum http_ending how) {
    answer(k, &(struct http_answer_got){.how = how, .body = STR(""), .retry_after_s = -1});
}

// Curl has one word for it, wherever the time went.
static enum http_ending timed_out_at(const struct calling *k) {
    curl_off_t resolved = 0;
    curl_easy_getinfo(k->easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved);
    return resolved == 0 && !k->had_connection ? HTTP_NO_ADDRESS : HTTP_TIMED_OUT;
}

static enum http_ending ending_of(const struct calling *k, CURLcode rc, long status) {
    if (rc == CURLE_OK || (k->too_long && status > 0))
        return HTTP_ANSWERED;
    if (k->refused && (!k->had_connection || rc == CURLE_ABORTED_BY_CALLBACK))
        return HTTP_TARGET_REFUSED;
    switch (rc) {
    case CURLE_UNSUPPORTED_PROTOCOL: // the URL's; or what came was no HTTP/1
        return k->had_connection ? HTTP_BROKEN : HTTP_TARGET_REFUSED;
    case CURLE_URL_MALFORMAT:
        return HTTP_TARGET_REFUSED;
    case CURLE_COULDNT_RESOLVE_HOST:
        return HTTP_NO_ADDRESS;
    case CURLE_COULDNT_CONNECT:
        return HTTP_NO_CONNECTION;
    case CURLE_OPERATION_TIMEDOUT:
        return timed_out_at(k);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        return HTTP_NO_TLS;
    default:
        return HTTP_BROKEN;
    }
}

static void unlink_running(struct calling *k) {
    if (k->prev)
        k->prev->next = k->next;
    else
        k->client->running = k->next;
    if (k->next)
        k->next->prev = k->prev;
}

static void finish(struct calling *k, CURLcode rc) {
    struct http_answer_got got = {.retry_after_s = k->retry_after_s, .body = {k->kept, k->kept_n}};
    long status = 0;
    curl_easy_getinfo(k->easy, CURLINFO_RESPONSE_CODE, &status);
    got.how = ending_of(k, rc, status);
    if (got.how == HTTP_ANSWERED)
        got.status = (int)status;
    else
        got.body.n = 0;
    curl_multi_remove_handle(k->client->multi, k->easy);
    unlink_running(k);
    answer(k, &got);
}

static void take_finished(struct http_client *c) {
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(c->multi, &left))) {
        char *p = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode rc = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p);
        finish((struct calling *)(void *)p, rc);
    }
}

#define SET(option, value) CHECK(curl_easy_setopt(k->easy, (option), (value)) == CURLE_OK)
static void begin(struct calling *k) {
    struct http_client *c = k->client;
    k->began = clock_mono(c->o.clock);
    k->easy = curl_easy_init();
    CHECK(k->easy);
    if (curl_easy_setopt(k->easy, CURLOPT_URL, k->url) != CURLE_OK) {
        answer_unsent(k, HTTP_TARGET_REFUSED);
        return;
    }
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); // a name server that does not answer holds up its own call only, not the loop
    SET(CURLOPT_TIMEOUT_MS, (long)k->timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(k->timeout_ms < CONNECT_MS_MAX ? k->timeout_ms : CONNECT_MS_MAX));
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, k);
    SET(CURLOPT_PREREQFUNCTION, on_connected);
    SET(CURLOPT_PREREQDATA, k);
    SET(CURLOPT_CUSTOMREQUEST, k->method);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)k->body_n);
    SET(CURLOPT_POSTFIELDS, k->body);
    SET(CURLOPT_HTTPHEADER, k->headers);
    SET(CURLOPT_USERAGENT, c->user_agent);
    SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, k);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, k);
    SET(CURLOPT_PRIVATE, k);
    if (c->ca_file)
        SET(CURLOPT_CAINFO, c->ca_file);
    k->next = c->running;
    k->prev = NULL;
    if (k->next)
        k->next->prev = k;
    c->running = k;
    CHECK(curl_multi_add_handle(c->multi, k->easy) == CURLM_OK);
}

// ---- curl and the loop ----

static void drive(struct http_client *c, curl_socket_t fd, int what) {
    int running;
    CHECK(curl_multi_socket_action(c->multi, fd, what, &running) == CURLM_OK);
    take_finished(c);
}

static void on_timer(uv_timer_t *timer) {
    drive(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_wants_timer(CURLM *multi, long timeout_ms, void *ctx) {
    struct http_client *c = ctx;
    (void)multi;
    if (timeout_ms < 0) {
        uv_timer_stop(&c->timer);
        return 0;
    }
    uv_update_time(&c->loop);
    uv_timer_start(&c->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    struct watch *w = poll->data;
    int what =
        (status < 0 ? CURL_CSELECT_ERR : 0) | (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
    drive(w->client, w->fd, what);
}

static void on_watch_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void unwatch(struct watch *w) {
    uv_poll_stop(&w->poll);
    uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

static int on_wants_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx) {
    struct http_client *c = ctx;
    struct watch *w = socket_ctx;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w)
            unwatch(w);
        curl_multi_assign(c->multi, fd, NULL);
        return 0;
    }
    if (!w) {
        w = xcalloc(1, sizeof *w);
        w->client = c;
        w->fd = fd;
        if (uv_poll_init_socket(&c->loop, &w->poll, fd) < 0) { // no room: the call will end by its time-out
            free(w);
            return 0;
        }
        w->poll.data = w;
        curl_multi_assign(c->multi, fd, w);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    uv_poll_start(&w->poll, events, on_ready);
    return 0;
}

static void stop_all(struct http_client *c) {
    for (struct calling *k = c->running, *next; k; k = next) {
        next = k->next;
        curl_multi_remove_handle(c->multi, k->easy);
        unlink_running(k);
        answer_unsent(k, HTTP_STOPPED);
    }
}

static void on_async(uv_async_t *async) {
    struct http_client *c = async->data;
    pthread_mutex_lock(&c->lock);
    struct calling *k = c->queue;
    bool closing = c->closing;
    c->queue = NULL;
    c->queue_end = &c->queue;
    pthread_mutex_unlock(&c->lock);
    while (k) {
        struct calling *next = k->next;
        k->next = NULL;
        if (closing)
            answer_unsent(k, HTTP_STOPPED);
        else
            begin(k);
        k = next;
    }
    if (!closing || uv_is_closing((uv_handle_t *)async))
        return;
    stop_all(c);
    curl_multi_cleanup(c->multi); // lets go of the sockets that are kept open
    uv_close((uv_handle_t *)&c->async, NULL);
    uv_close((uv_handle_t *)&c->timer, NULL);
}

static void *run(void *arg) {
    struct http_client *c = arg;
    uv_run(&c->loop, UV_RUN_DEFAULT);
    return NULL;
}

// ---- from other threads ----

static void release(struct http_client *c) {
    pthread_mutex_destroy(&c->lock);
    curl_global_cleanup();
    free(c->user_agent);
    free(c->ca_file);
    free(c);
}

static enum err_kind start(struct http_client *c, struct err *err) {
    int r = uv_loop_init(&c->loop);
    if (r < 0)
        return err_set(err, ERR_INTERNAL, "no event loop: %s", uv_strerror(r));
    r = uv_async_init(&c->loop, &c->async, on_async);
    if (r < 0) {
        CHECK(uv_loop_close(&c->loop) == 0);
        return err_set(err, ERR_INTERNAL, "no event loop: %s", uv_strerror(r));
    }
    uv_timer_init(&c->loop, &c->timer);
    c->async.data = c->timer.data = c;
    c->multi = curl_multi_init();
    CHECK(c->multi);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_wants_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_wants_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)c->o.calls_max);
    r = pthread_create(&c->thread, NULL, run, c);
    if (r == 0)
        return ERR_NONE;
    curl_multi_cleanup(c->multi);
    uv_close((uv_handle_t *)&c->async, NULL);
    uv_close((uv_handle_t *)&c->timer, NULL);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&c->loop) == 0);
    return err_set(err, ERR_INTERNAL, "no thread for outgoing calls: %s", strerror(r));
}

enum err_kind http_client_open(const struct http_client_options *o, struct http_client **out, struct err *err) {
    CHECK(o->calls_max > 0 && o->user_agent && o->clock);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_INTERNAL, "libcurl cannot be used");
    struct http_client *c = xcalloc(1, sizeof *c);
    c->o = *o;
    c->user_agent = xstrdup(o->user_agent);
    c->ca_file = o->ca_file ? xstrdup(o->ca_file) : NULL;
    c->queue_end = &c->queue;
    CHECK(pthread_mutex_init(&c->lock, NULL) == 0);
    enum err_kind kind = start(c, err);
    if (kind) {
        release(c);
        return kind;
    }
    *out = c;
    return ERR_NONE;
}

enum err_kind http_client_send(struct http_client *c, const struct http_request *r, struct err *err) {
    CHECK(r->n_headers <= CLIENT_HEADERS_MAX && r->timeout_ms > 0 && r->done);
    struct calling *k = calling_new(c, r);
    pthread_mutex_lock(&c->lock);
    bool closing = c->closing, full = c->calls >= c->o.calls_max;
    if (!closing && !full) {
        *c->queue_end = k;
        c->queue_end = &k->next;
        c->calls++;
        uv_async_send(&c->async); // under the lock: not after the loop has ended
    }
    pthread_mutex_unlock(&c->lock);
    if (!closing && !full)
        return ERR_NONE;
    calling_free(k);
    return err_set(err, ERR_BUSY, closing ? "outgoing calls are being stopped" : "too many outgoing calls are on their way");
}

void http_client_close(struct http_client *c) {
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->closing = true;
    uv_async_send(&c->async);
    pthread_mutex_unlock(&c->lock);
    CHECK(pthread_join(c->thread, NULL) == 0);
    CHECK(uv_loop_close(&c->loop) == 0);
    release(c);
}
