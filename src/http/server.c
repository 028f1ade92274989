// SPDX-License-Identifier: Apache-2.0
/*
 * server.c - the HTTP server: libmicrohttpd 0.9.75 with epoll, a daemon and a thread of ours for each lane (worker.h tells why the thread
 * is ours). With TLS it is one lane of the library's own threads with poll.
 *
 * An exchange is taken from a pool when the library has read a request line (note_request_line), filled while headers and body come
 * (on_request, called many times), handed to the handler when the request is whole, and given back when the library is done with the
 * reply (on_completed).
 *
 * Suspending. `turn` says who has the exchange while its handler answered HTTP_LATER:
 *
 *   RUNNING    a server thread is in the handler, or nobody is
 *   SUSPENDED  the connection is parked in the library; http_resume will wake it
 *   RESUMED    http_resume was called; the reply is due
 *   ABANDONED  the server stops and does not wait any longer: the connection is woken to be closed, http_resume is still to come
 *   DETACHED   ... and the library has let go of it: http_resume ends the exchange
 *
 *   RUNNING -> SUSPENDED | RESUMED, SUSPENDED -> RESUMED | ABANDONED, ABANDONED -> RESUMED | DETACHED, by compare-and-swap. RESUMED ->
 * RUNNING when the connection's thread goes on.
 *
 * Streams are parked in the same way, from within the library's call for content (stream_read).
 *
 * Bounds. The library keeps a request's line and headers in a pool of fixed size per connection (POOL_EXTRA above header_max). What is
 * above header_max and fits the pool is refused by us, in the API's shape; what does not fit the library answers by itself: 431 (414 for
 * an over-long request line) with a page of its own, and closes. It also answers by itself what is not HTTP: 400.
 * Up to 32 KiB the pool comes from malloc; a keep-alive connection's pool is wiped between requests, so it is kept small.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "http/http.h"
#include "http/janitor.h"
#include "http/worker.h"

#define POOL_EXTRA (8 * 1024)           // beside the headers: the library's own entries, part of the body, our reply's headers
#define ARENA_MAX ((size_t)64 << 20)    // memory of one exchange
#define REPLY_MAX ((size_t)64 << 20)    // bytes of one reply
#define SWALLOW_MAX ((size_t)64 << 20)  // bytes of a body that is refused anyway and cannot be refused earlier
#define LARGE_AT_ONCE 8                 // bodies above body_max in memory at a time
#define KEPT_EXCHANGES 512              // unused ones kept for the next requests
#define KEPT_BUFFER ((size_t)64 * 1024) // buffers of theirs that are kept
#define SPARE_FILES 256                 // descriptors that are not connections
#define KEPT_PIECE ((size_t)2 * 1024)   // the buffer that a stream keeps while it waits
#define SEND_BYTES_PER_S 8192           // a client that takes its answer more slowly is cut off

enum turn { TURN_RUNNING, TURN_SUSPENDED, TURN_RESUMED, TURN_ABANDONED, TURN_DETACHED };

struct exchange {
    struct http_exchange x; // first: the handler's pointer is ours
    struct http_server *server;
    struct MHD_Connection *mhd;
    struct conn *conn;
    struct buf body;
    size_t body_max;
    size_t swallowed;
    bool begun;       // on_request has seen it
    bool large;       // holds one of LARGE_AT_ONCE
    bool handled;     // the handler has it: in_work counts it
    bool later;       // the handler said HTTP_LATER: on_request's next call brings the reply
    size_t taken;     // of a stream: bytes of x.reply that the library has
    _Atomic int turn; // enum turn
    enum err_kind refused;
    const char *refused_because;
    struct exchange *next; // unused ones
};

struct lane {
    struct http_server *server;
    struct MHD_Daemon *daemon;
    bool ours; // it has a worker
    struct worker worker;
};

struct http_server {
    struct http_server_options o;
    char large_prefix[64];
    struct lane *lanes;
    size_t n_lanes;
    struct janitor janitor;
    _Atomic size_t connections;
    _Atomic size_t in_work;   // exchanges that the handler has seen and that have not ended
    _Atomic size_t suspended; // connections parked in the library
    _Atomic int large;
    _Atomic bool draining, closing;
    _Atomic int references; // the server's own, and one for each abandoned exchange
    pthread_mutex_t lock;   // unused exchanges; with `quiet`, the counts above while draining
    pthread_cond_t quiet;
    struct exchange *unused;
    size_t n_unused;
    char *certificate, *key;
};

// ---- exchanges ----

static void exchange_free(struct exchange *e) {
    arena_release(&e->x.arena);
    buf_release(&e->x.reply);
    buf_release(&e->body);
    free(e);
}

static struct str side_header(struct http_exchange *x, const char *name);
static void side_resume(struct http_exchange *x);
static struct str side_client_address(struct http_exchange *x);
static const struct http_side side = {side_header, side_resume, side_client_address};

static struct exchange *exchange_take(struct http_server *s) {
    pthread_mutex_lock(&s->lock);
    struct exchange *e = s->unused;
    if (e) {
        s->unused = e->next;
        s->n_unused--;
    }
    pthread_mutex_unlock(&s->lock);
    if (!e) {
        e = calloc(1, sizeof(*e));
        if (!e)
            return NULL;
        arena_init(&e->x.arena, ARENA_MAX);
        buf_init(&e->x.reply, REPLY_MAX);
        buf_init(&e->body, s->o.large_body_max > s->o.body_max ? s->o.large_body_max : s->o.body_max);
    }
    return e;
}

static void buffer_reuse(struct buf *b, size_t kept) {
    if (b->cap > kept)
        buf_release(b);
    else
        buf_clear(b);
}

static void exchange_give_back(struct exchange *e) {
    struct http_server *s = e->server;
    struct arena arena = e->x.arena;
    struct buf reply = e->x.reply, body = e->body;
    arena_reset(&arena);
    buffer_reuse(&reply, KEPT_BUFFER);
    buffer_reuse(&body, KEPT_BUFFER);
    memset(e, 0, sizeof(*e));
    e->x.arena = arena;
    e->x.reply = reply;
    e->body = body;

    // While the server closes, abandon_one may look at any exchange that a connection names: none is freed then.
    pthread_mutex_lock(&s->lock);
    bool keep = s->n_unused < KEPT_EXCHANGES || atomic_load(&s->closing);
    if (keep) {
        e->next = s->unused;
        s->unused = e;
        s->n_unused++;
    }
    pthread_mutex_unlock(&s->lock);
    if (!keep)
        exchange_free(e);
}

static void server_unref(struct http_server *s) {
    if (atomic_fetch_sub(&s->references, 1) != 1)
        return;
    while (s->unused) {
        struct exchange *e = s->unused;
        s->unused = e->next;
        exchange_free(e);
    }
    pthread_cond_destroy(&s->quiet);
    pthread_mutex_destroy(&s->lock);
    free(s->lanes);
    free(s->certificate);
    free(s->key);
    free(s);
}

static void count_down(struct http_server *s, _Atomic size_t *count) {
    if (atomic_fetch_sub(count, 1) != 1 || !atomic_load(&s->draining))
        return;
    pthread_mutex_lock(&s->lock);
    pthread_cond_broadcast(&s->quiet);
    pthread_mutex_unlock(&s->lock);
}

// The last of an exchange, whoever comes to it.
static void exchange_end(struct exchange *e, bool sent) {
    struct http_server *s = e->server;
    bool handled = e->handled;
    if (e->handled || e->x.status)
        s->o.handler.end(s->o.handler.ctx, &e->x, sent);
    if (e->large)
        atomic_fetch_sub(&s->large, 1);
    exchange_give_back(e);
    if (handled)
        count_down(s, &s->in_work);
}

// ---- the exchange's side ----

static struct str side_header(struct http_exchange *x, const char *name) {
    struct exchange *e = (struct exchange *)x;
    const char *value = NULL;
    size_t n = 0;
    if (MHD_lookup_connection_value_n(e->mhd, MHD_HEADER_KIND, name, strlen(name), &value, &n) != MHD_YES || !value)
        return STR_NONE;
    return (struct str){value, n};
}

static struct str side_client_address(struct http_exchange *x) {
    struct exchange *e = (struct exchange *)x;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(e->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char text[INET6_ADDRSTRLEN] = "unknown";
    if (info && info->client_addr && info->client_addr->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)info->client_addr)->sin_addr, text, sizeof(text));
    else if (info && info->client_addr && info->client_addr->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)info->client_addr)->sin6_addr, text, sizeof(text));
    return arena_str(&x->arena, str_of(text));
}

static bool turn_moves(struct exchange *e, enum turn from, enum turn to) {
    int expected = from;
    return atomic_compare_exchange_strong(&e->turn, &expected, to);
}

// The count lets the stop wait until nobody is inside the library any more.
static void wake_connection(void *server, struct conn *c) {
    struct http_server *s = server;
    MHD_resume_connection(c->mhd);
    count_down(s, &s->suspended);
}

// From any thread. From here on the exchange, and the connection, may be gone.
static void wake_in_lane(struct http_server *s, struct conn *c) {
    struct lane *l = c->lane;
    if (l->ours)
        worker_give(&l->worker, c);
    else
        wake_connection(s, c);
}

static void side_resume(struct http_exchange *x) {
    struct exchange *e = (struct exchange *)x;
    struct http_server *s = e->server;
    struct conn *c = e->conn;
    if (turn_moves(e, TURN_RUNNING, TURN_RESUMED))
        return;
    if (turn_moves(e, TURN_SUSPENDED, TURN_RESUMED)) {
        wake_in_lane(s, c);
        return;
    }
    if (turn_moves(e, TURN_ABANDONED, TURN_RESUMED)) {
        server_unref(s); // on_completed ends the exchange
        return;
    }
    CHECK(atomic_load(&e->turn) == TURN_DETACHED);
    exchange_end(e, false);
    server_unref(s);
}

// ---- deadlines ----

static void deadline_in(struct exchange *e, int64_t seconds) {
    atomic_store_explicit(&e->conn->deadline_ns, seconds ? clock_mono(e->server->o.clock).ns + seconds * 1000000000 : 0,
                          memory_order_relaxed);
}

// ---- parking ----

static bool abandon(struct exchange *e) {
    if (!turn_moves(e, TURN_SUSPENDED, TURN_ABANDONED))
        return false;
    atomic_fetch_add(&e->server->references, 1);
    wake_in_lane(e->server, e->conn);
    return true;
}

// The handler waits for http_resume. False: that has come already, by the handler itself or by somebody very quick; go on at once.
static bool park(struct exchange *e) {
    struct http_server *s = e->server;
    if (turn_moves(e, TURN_RESUMED, TURN_RUNNING))
        return false;
    atomic_fetch_add(&s->suspended, 1);
    MHD_suspend_connection(e->mhd);
    if (!turn_moves(e, TURN_RUNNING, TURN_SUSPENDED))
        wake_in_lane(s, e->conn);
    else if (atomic_load(&s->closing)) // the stop may have looked for suspended exchanges before this was one
        abandon(e);
    return true;
}

// ---- replies ----

static bool client_gone(const struct exchange *e) {
    struct pollfd p = {.fd = e->conn->fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

// The library wants bytes of a stream's body: it has sent all that it had.
static ssize_t stream_read(void *cls, uint64_t at UNUSED, char *out, size_t max) {
    struct exchange *e = cls;
    struct http_exchange *x = &e->x;
    const struct http_handler *h = &e->server->o.handler;
    if (atomic_load(&e->turn) == TURN_ABANDONED)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    turn_moves(e, TURN_RESUMED, TURN_RUNNING);
    if (e->taken == x->reply.n && client_gone(e))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    while (e->taken == x->reply.n) {
        e->taken = 0;
        buffer_reuse(&x->reply, KEPT_PIECE);
        enum http_more more = h->more(h->ctx, x);
        if (more == HTTP_END)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (more == HTTP_MORE && (x->reply.failed || x->reply.n == 0))
            return MHD_CONTENT_READER_END_WITH_ERROR; // no memory for it
        if (more == HTTP_WAIT && park(e))
            return 0;
    }
    size_t n = x->reply.n - e->taken < max ? x->reply.n - e->taken : max;
    memcpy(out, x->reply.p + e->taken, n);
    e->taken += n;
    x->streamed += n;
    return (ssize_t)n;
}

static struct MHD_Response *response_of(struct exchange *e) {
    if (e->x.stream)
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1, stream_read, e, NULL);
    struct str body = buf_str(&e->x.reply);
    union {
        const char *in;
        char *out;
    } p = {body.p}; // the library promises not to write through it
    return MHD_create_response_from_buffer(body.n, p.out, MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result reply(struct exchange *e) {
    struct http_exchange *x = &e->x;
    CHECK(x->status >= 200 && x->status < 600);
    struct MHD_Response *r = response_of(e);
    if (!r)
        return MHD_NO;
    for (size_t i = 0; i < x->n_out; i++) {
        char text[2048];
        if (str_to_buf(x->out[i].value, text, sizeof(text)))
            MHD_add_response_header(r, x->out[i].name, text);
        else
            log_warn("http.header", LOG_TEXT("name", x->out[i].name), LOG_TEXT("note", "too long, left out"));
    }
    if (x->close || atomic_load_explicit(&e->server->draining, memory_order_relaxed))
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    atomic_store_explicit(&e->conn->answering, true, memory_order_relaxed);
    // A stream takes as long as it likes; the library cuts off who takes nothing for idle_timeout_s.
    deadline_in(e, x->stream ? 0 : e->server->o.request_timeout_s + (int64_t)(x->reply.n / SEND_BYTES_PER_S));
    enum MHD_Result queued = MHD_queue_response(e->mhd, (unsigned)x->status, r);
    MHD_destroy_response(r);
    return queued;
}

static enum MHD_Result refuse(struct exchange *e, enum err_kind why, int status, const char *message) {
    e->x.status = status;
    e->server->o.handler.refuse(e->server->o.handler.ctx, &e->x, why, message);
    return reply(e);
}

// ---- a request comes in ----

static enum http_method method_of(const char *name) {
    for (int m = 0; m < HTTP_OTHER; m++)
        if (strcmp(name, http_method_name((enum http_method)m)) == 0)
            return (enum http_method)m;
    return HTTP_OTHER;
}

// One of the few places for a large body. Given back in exchange_end.
static bool large_begins(struct exchange *e) {
    if (e->large)
        return true;
    if (atomic_fetch_add(&e->server->large, 1) >= LARGE_AT_ONCE) {
        atomic_fetch_sub(&e->server->large, 1);
        return false;
    }
    return e->large = true;
}

// A request that the library answered by itself, or that broke off: the handler has not seen it, on_completed may not have, either.
static void drop_unfinished(struct conn *c) {
    struct exchange *e = atomic_exchange(&c->exchange, NULL);
    if (e)
        exchange_end(e, false);
}

// "http://host/path" to "/path" (RFC 9112, absolute-form).
static struct str origin_form(struct str target) {
    if (str_starts(target, "http://") || str_starts(target, "https://")) {
        const char *host = (const char *)memchr(target.p, ':', target.n) + 3;
        const char *end = target.p + target.n, *slash = memchr(host, '/', (size_t)(end - host));
        return slash ? (struct str){slash, (size_t)(end - slash)} : STR("/");
    }
    return target;
}

// The library has read the request line. Its copy is cut and decoded in place later on, so what we keep is copied now.
static void *note_request_line(void *cls, const char *uri, struct MHD_Connection *mhd) {
    struct http_server *s = cls;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct conn *c = info ? info->socket_context : NULL;
    struct exchange *e = c ? exchange_take(s) : NULL;
    if (!e)
        return NULL; // on_request closes
    e->x.side = &side;
    e->x.started = clock_mono(s->o.clock);
    e->server = s;
    e->mhd = mhd;
    e->conn = c;
    drop_unfinished(c);
    c->mid_request = true;
    atomic_store(&c->exchange, e);
    struct str all = origin_form(arena_str(&e->x.arena, str_of(uri)));
    e->x.query = str_cut(all, '?', &e->x.path);
    int64_t latest = e->x.started.ns + (int64_t)s->o.request_timeout_s * 1000000000;
    int64_t deadline = atomic_load_explicit(&c->deadline_ns, memory_order_relaxed);
    if (deadline == 0 || latest < deadline)
        atomic_store_explicit(&c->deadline_ns, latest, memory_order_relaxed);
    return e;
}

// The headers are there. What they give away as too large is refused before a byte of the body is read.
static enum MHD_Result begin(struct exchange *e, const char *method) {
    const struct http_server_options *o = &e->server->o;
    e->begun = true;
    e->x.method = method_of(method);
    e->x.body = STR("");
    bool large = o->large_prefix && str_starts(e->x.path, o->large_prefix);
    e->body_max = large ? o->large_body_max : o->body_max;
    if (arena_failed(&e->x.arena))
        return refuse(e, ERR_BUSY, 0, "the server is out of memory, nothing was accepted: try again shortly");

    const union MHD_ConnectionInfo *info = MHD_get_connection_info(e->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (info && info->header_size > o->header_max)
        return refuse(e, ERR_MALFORMED, 431, "the request line and headers are too large");
    struct str length = side_header(&e->x, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t n;
    if (!str_present(length))
        return MHD_YES;
    if (!str_to_u64(length, &n) || n > e->body_max)
        return refuse(e, ERR_TOO_LARGE, 0, "the body is too large");
    if (n > o->body_max && !large_begins(e))
        return refuse(e, ERR_BUSY, 0, "other large bodies are being worked on: try again shortly");
    return MHD_YES;
}

// A piece of the body. The library takes an early answer only before the first one: a body without a length that grows too large is
// read to its end, and thrown away, before it is refused.
static enum MHD_Result body_piece(struct exchange *e, const char *data, size_t n) {
    if (e->refused == ERR_NONE) {
        size_t total = e->body.n + n;
        if (total > e->body_max) {
            e->refused = ERR_TOO_LARGE;
            e->refused_because = "the body is too large";
        } else if (total > e->server->o.body_max && !large_begins(e)) {
            e->refused = ERR_BUSY;
            e->refused_because = "other large bodies are being worked on: try again shortly";
        } else {
            buf_add(&e->body, data, n);
            if (!e->body.failed)
                return MHD_YES;
            e->refused = ERR_BUSY;
            e->refused_because = "the server is out of memory, nothing was accepted: try again shortly";
        }
        buf_release(&e->body);
    }
    e->swallowed += n;
    return e->swallowed <= SWALLOW_MAX ? MHD_YES : MHD_NO;
}

// The handler has answered, or was parked.
static enum MHD_Result go_on(struct exchange *e, enum http_answer answer) {
    const struct http_handler *h = &e->server->o.handler;
    while (answer == HTTP_LATER) {
        e->later = true;
        if (park(e))
            return MHD_YES;
        answer = h->resume(h->ctx, &e->x);
    }
    return reply(e);
}

// The request is whole.
static enum MHD_Result complete(struct exchange *e) {
    struct http_server *s = e->server;
    const struct http_handler *h = &s->o.handler;
    deadline_in(e, 0);
    e->conn->mid_request = false;
    atomic_store_explicit(&e->conn->answering, true, memory_order_relaxed);
    if (e->refused != ERR_NONE)
        return refuse(e, e->refused, 0, e->refused_because);
    if (atomic_load(&s->closing))
        return refuse(e, ERR_BUSY, 0, "the server is going down, nothing was accepted");

    e->x.body = buf_str(&e->body);
    e->handled = true;
    atomic_fetch_add(&s->in_work, 1);
    return go_on(e, h->handle(h->ctx, &e->x));
}

static enum MHD_Result on_request(void *cls UNUSED, struct MHD_Connection *mhd UNUSED, const char *url UNUSED, const char *method,
                                  const char *version UNUSED, const char *data, size_t *n, void **context) {
    struct exchange *e = *context;
    if (!e)
        return MHD_NO;
    if (!e->begun)
        return begin(e, method);
    if (*n > 0) {
        size_t piece = *n;
        *n = 0;
        return body_piece(e, data, piece);
    }
    if (!e->later)
        return complete(e);
    // woken: with the reply due, or to be closed
    if (!turn_moves(e, TURN_RESUMED, TURN_RUNNING))
        return MHD_NO;
    return go_on(e, e->server->o.handler.resume(e->server->o.handler.ctx, &e->x));
}

static void on_completed(void *cls UNUSED, struct MHD_Connection *mhd UNUSED, void **context, enum MHD_RequestTerminationCode why) {
    struct exchange *e = *context;
    if (!e)
        return;
    *context = NULL;
    const struct http_server_options *o = &e->server->o;
    // The next request, when there is one: it may begin until the idle time is over, and then has its own.
    deadline_in(e, (int64_t)o->idle_timeout_s + o->request_timeout_s);
    atomic_store(&e->conn->exchange, NULL);
    atomic_store_explicit(&e->conn->answering, false, memory_order_relaxed);
    if (turn_moves(e, TURN_ABANDONED, TURN_DETACHED))
        return;
    exchange_end(e, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

// ---- connections ----

static enum MHD_Result on_accept(void *cls, const struct sockaddr *address UNUSED, socklen_t n UNUSED) {
    struct http_server *s = cls;
    return atomic_load(&s->connections) < s->o.connections_max && !atomic_load(&s->draining) ? MHD_YES : MHD_NO;
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode what) {
    struct lane *l = cls;
    struct http_server *s = l->server;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct conn *c = info ? calloc(1, sizeof(*c)) : NULL;
        *context = c;
        if (!c)
            return; // its first request closes it
        c->fd = info->connect_fd;
        c->mhd = mhd;
        c->lane = l;
        c->mid_request = true;
        c->deadline_ns = clock_mono(s->o.clock).ns + (int64_t)s->o.request_timeout_s * 1000000000;
        janitor_add(&s->janitor, c);
        atomic_fetch_add(&s->connections, 1);
    } else if (*context) {
        struct conn *c = *context;
        *context = NULL;
        janitor_remove(&s->janitor, c);
        drop_unfinished(c);
        free(c);
        atomic_fetch_sub(&s->connections, 1);
    }
}

// ---- start and stop ----

void http_server_options_default(struct http_server_options *o) {
    *o = (struct http_server_options){
        .listen_fd = -1,
        .threads = 2,
        .connections_max = 12000,
        .header_max = 16 * 1024,
        .body_max = 64 * 1024,
        .large_body_max = (size_t)16 << 20,
        .request_timeout_s = 30,
        .idle_timeout_s = 75,
        .clock = &clock_system,
    };
}

__attribute__((format(printf, 2, 0))) static void on_library_log(void *cls UNUSED, const char *fmt, va_list args) {
    char text[512];
    vsnprintf(text, sizeof(text), fmt, args);
    log_debug("http.library", LOG_STR("text", str_trim(str_of(text))));
}

// Paths reach the router as they were sent (note_request_line); what the library would decode for itself nobody reads.
static size_t leave_escaped(void *cls UNUSED, struct MHD_Connection *mhd UNUSED, char *text) {
    return strlen(text);
}

static enum err_kind read_file(const char *path, char **out, struct err *err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size > (1 << 20)) {
        int why = fd < 0 ? errno : EFBIG;
        if (fd >= 0)
            close(fd);
        return err_set(err, ERR_INVALID, "%s: %s", path, strerror(why));
    }
    char *text = xcalloc(1, (size_t)st.st_size + 1);
    ssize_t n = read(fd, text, (size_t)st.st_size);
    close(fd);
    if (n != st.st_size) {
        free(text);
        return err_set(err, ERR_INVALID, "%s: cannot be read", path);
    }
    *out = text;
    return ERR_NONE;
}

// As many files as we are allowed; connections_max gives way when that is not enough.
static void make_room_for_files(struct http_server *s) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    rlim_t want = (rlim_t)s->o.connections_max + SPARE_FILES;
    if (files.rlim_cur < want) {
        files.rlim_cur = files.rlim_max == RLIM_INFINITY || files.rlim_max > want ? want : files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0)
            getrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur >= want)
        return;
    s->o.connections_max = files.rlim_cur > 2 * SPARE_FILES ? (size_t)files.rlim_cur - SPARE_FILES : (size_t)files.rlim_cur / 2;
    log_warn("http.connections", LOG_INT("connections_max", (int64_t)s->o.connections_max), LOG_INT("open_files", (int64_t)files.rlim_cur),
             LOG_TEXT("note", "lowered: the limit of open files (ulimit -n) allows no more"));
}

// ---- lanes ----

static int lane_run(void *ctx) {
    struct lane *l = ctx;
    MHD_UNSIGNED_LONG_LONG ms;
    MHD_run_wait(l->daemon, 0);
    if (MHD_get_timeout(l->daemon, &ms) != MHD_YES)
        return -1;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

static void lane_given(void *ctx, struct conn *c) {
    wake_connection(((struct lane *)ctx)->server, c);
}

static void lane_quiesce(void *ctx) {
    int fd = MHD_quiesce_daemon(((struct lane *)ctx)->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
}

static bool lane_open(struct lane *l, int listen_fd, unsigned flags, struct MHD_OptionItem *more) {
    struct http_server *s = l->server;
    const struct http_server_options *o = &s->o;
    // The library's limit is per thread, ours counts them all (on_accept): its own must never be the first.
    unsigned connections = (unsigned)((o->connections_max + 16) * (size_t)o->threads);
    l->daemon = MHD_start_daemon(
        flags | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, on_accept, s, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_library_log,
        NULL, MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT, connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        o->header_max + POOL_EXTRA, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)o->idle_timeout_s, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l, MHD_OPTION_URI_LOG_CALLBACK, note_request_line, s, MHD_OPTION_UNESCAPE_CALLBACK,
        leave_escaped, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
    return l->daemon;
}

static enum err_kind no_start(const struct http_server_options *o, struct err *err) {
    return err_set(err, ERR_UNAVAILABLE, "the HTTP server does not start%s", o->tls_cert ? ": is the certificate the key's?" : "");
}

static enum err_kind lane_of_library(struct http_server *s, struct err *err) {
    const struct http_server_options *o = &s->o;
    enum err_kind kind = read_file(o->tls_cert, &s->certificate, err);
    if (kind == ERR_NONE)
        kind = read_file(o->tls_key, &s->key, err);
    if (kind != ERR_NONE)
        return kind;
    // GnuTLS's NORMAL still speaks TLS 1.0 and 1.1, which RFC 8996 forbids.
    static char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
    struct MHD_OptionItem more[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, s->certificate},
                                    {MHD_OPTION_HTTPS_MEM_KEY, 0, s->key},
                                    {MHD_OPTION_HTTPS_PRIORITIES, 0, priorities},
                                    {o->threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, o->threads, NULL},
                                    {MHD_OPTION_END, 0, NULL}};
    struct lane *l = &s->lanes[s->n_lanes];
    l->server = s;
    // Not epoll: there the library spins as long as a client holds back its half of the handshake.
    if (!lane_open(l, o->listen_fd, MHD_USE_TLS | MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, more))
        return no_start(o, err);
    s->n_lanes++;
    return ERR_NONE;
}

static enum err_kind lane_of_ours(struct http_server *s, struct err *err) {
    struct lane *l = &s->lanes[s->n_lanes];
    struct MHD_OptionItem more[] = {{MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL}, {MHD_OPTION_END, 0, NULL}};
    int listen_fd = fcntl(s->o.listen_fd, F_DUPFD_CLOEXEC, 0); // each lane closes its own
    l->server = s;
    l->ours = true;
    if (listen_fd < 0 || !lane_open(l, listen_fd, MHD_USE_EPOLL, more))
        return no_start(&s->o, err);
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct worker_work work = {.fd = info ? info->epoll_fd : -1, .run = lane_run, .given = lane_given, .asked = lane_quiesce, .ctx = l};
    enum err_kind kind = worker_start(&l->worker, &work, err);
    if (kind == ERR_NONE)
        s->n_lanes++;
    else
        MHD_stop_daemon(l->daemon);
    return kind;
}

static void lanes_quiesce(struct http_server *s) {
    for (size_t i = 0; i < s->n_lanes; i++) {
        if (s->lanes[i].ours)
            worker_ask(&s->lanes[i].worker);
        else
            MHD_quiesce_daemon(s->lanes[i].daemon);
    }
}

static void lanes_stop(struct http_server *s) {
    for (size_t i = 0; i < s->n_lanes; i++) {
        if (s->lanes[i].ours)
            worker_stop(&s->lanes[i].worker);
        MHD_stop_daemon(s->lanes[i].daemon);
    }
}

static enum err_kind server_open(struct http_server *s, struct err *err) {
    const struct http_server_options *o = &s->o;
    if (!o->tls_cert != !o->tls_key)
        return err_set(err, ERR_INVALID, "TLS needs both a certificate and a key");
    size_t lanes = o->tls_cert || o->threads < 1 ? 1 : (size_t)o->threads;
    s->lanes = xcalloc(lanes, sizeof(*s->lanes));
    enum err_kind kind = janitor_start(&s->janitor, o->clock, err);
    if (kind != ERR_NONE)
        return kind;
    while (kind == ERR_NONE && s->n_lanes < lanes)
        kind = o->tls_cert ? lane_of_library(s, err) : lane_of_ours(s, err);
    if (kind == ERR_NONE)
        return ERR_NONE;
    lanes_stop(s);
    janitor_stop(&s->janitor);
    return kind;
}

enum err_kind http_server_start(const struct http_server_options *o, struct http_server **out, struct err *err) {
    struct http_server *s = xcalloc(1, sizeof(*s));
    s->o = *o;
    s->references = 1;
    if (o->large_prefix) {
        CHECK(str_to_buf(str_of(o->large_prefix), s->large_prefix, sizeof(s->large_prefix)));
        s->o.large_prefix = s->large_prefix;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->quiet, NULL);
    make_room_for_files(s);
    enum err_kind kind = server_open(s, err);
    if (kind != ERR_NONE) {
        server_unref(s);
        return kind;
    }
    *out = s;
    return ERR_NONE;
}

size_t http_server_connections(const struct http_server *s) {
    return atomic_load(&s->connections);
}

// Waits until `count` is 0, or until the time is over (negative: as long as it takes).
static void wait_until_none(struct http_server *s, _Atomic size_t *count, int64_t ms) {
    int64_t until = clock_mono(&clock_system).ns + ms * 1000000;
    struct timespec at = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    while (atomic_load(count) > 0 && rc == 0)
        rc = ms < 0 ? pthread_cond_wait(&s->quiet, &s->lock) : pthread_cond_clockwait(&s->quiet, &s->lock, CLOCK_MONOTONIC, &at);
    pthread_mutex_unlock(&s->lock);
}

static void abandon_one(void *ctx UNUSED, struct conn *c) {
    struct exchange *e = atomic_load(&c->exchange);
    if (e)
        abandon(e);
}

void http_server_stop(struct http_server *s, int drain_ms) {
    if (!s)
        return;
    atomic_store(&s->draining, true);
    lanes_quiesce(s);
    shutdown(s->o.listen_fd, SHUT_RDWR); // who comes now is refused at once, not left waiting in the backlog
    wait_until_none(s, &s->in_work, drain_ms);

    pthread_mutex_lock(&s->lock);
    atomic_store(&s->closing, true); // under the lock: see exchange_give_back
    pthread_mutex_unlock(&s->lock);
    janitor_each(&s->janitor, abandon_one, NULL);
    wait_until_none(s, &s->suspended, -1); // whoever is just waking a connection: a moment
    lanes_stop(s);
    close(s->o.listen_fd);
    janitor_stop(&s->janitor);
    server_unref(s);
}
