// SPDX-License-Identifier: Apache-2.0
/*
 * http.h - an HTTP/1.1 server behind one small header. What is inside (libmicrohttpd) is nobody's business.
 *
 * The server calls `handle` once per request, on one of its threads, when the whole request is there. The handler either fills the
 * exchange's reply and returns HTTP_REPLY, or returns HTTP_LATER and somebody calls http_resume(x) later, exactly once, from any thread;
 * then `resume` is called on a server thread and answers in the same way. No thread waits meanwhile.
 *
 * A reply with `stream` set goes on after what stands in x->reply: whenever the client has taken all of it, x->reply is emptied and `more`
 * is called, on a server thread, to put in the next piece. A client that reads slowly is asked for at its own pace, so the server holds one
 * piece a stream and no more. HTTP_WAIT parks the stream until http_resume, like HTTP_LATER. That a client has gone is noticed when its
 * stream is resumed: resume idle ones now and then. One that has ended its side of the connection is taken as gone.
 *
 * An exchange and all it points to (arena, request, reply) lives until `end` returns. Everything outside-made is bounded: header size, body
 * size, connections, time to send a request and to take its answer. A request that breaks a bound never reaches the handler's `handle`;
 * it goes to `refuse`, so that all errors have one shape (x->status is the status proposed, or 0). What is no request at all is answered
 * by what is inside, in a shape of its own: 400 for what is not HTTP, 414 and 431 for a request line or headers of more than header_max
 * and 16 KiB.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_OPTIONS, HTTP_OTHER };
const char *http_method_name(enum http_method m);

#define HTTP_HEADERS_OUT_MAX 24

// The server's side of an exchange. http_header, http_resume and http_client_address go through it, so that a test can hand a handler an
// exchange that no socket stands behind.
struct http_exchange;
struct http_side {
    struct str (*header)(struct http_exchange *x, const char *name);
    void (*resume)(struct http_exchange *x);
    struct str (*client_address)(struct http_exchange *x);
};

struct http_exchange {
    const struct http_side *side;
    // request: set by the server, read-only for the handler
    enum http_method method;
    struct str path;  // as sent, not decoded, without the query
    struct str query; // as sent, without '?'; STR_NONE
    struct str body;  // "" when none
    struct mono started;
    struct arena arena; // of this exchange
    // reply: filled by the handler
    int status;
    struct http_header_out {
        const char *name; // static text
        struct str value; // in the arena, or static
    } out[HTTP_HEADERS_OUT_MAX];
    size_t n_out;
    struct buf reply;  // the body; the server sends it without copying
    bool close;        // close the connection after the reply
    bool stream;       // the body goes on: `more`
    uint64_t streamed; // bytes of a stream that the connection has taken; the server's
    // the handler's
    void *user;
};

enum http_answer { HTTP_REPLY, HTTP_LATER };
enum http_more { HTTP_MORE, HTTP_WAIT, HTTP_END }; // the next piece is there; http_resume will come; that was all

struct http_handler {
    enum http_answer (*handle)(void *ctx, struct http_exchange *x);
    enum http_answer (*resume)(void *ctx, struct http_exchange *x);
    enum http_more (*more)(void *ctx, struct http_exchange *x);                                 // NULL when no reply is a stream
    void (*refuse)(void *ctx, struct http_exchange *x, enum err_kind why, const char *message); // must fill the reply (413, 400, 503 ...)
    void (*end)(void *ctx, struct http_exchange *x,
                bool sent); // the reply is on its way (or the client is gone): drop what `user` holds; log
    void *ctx;
};

// A request header by name (any case); STR_NONE when absent. The view lives as long as the exchange.
struct str http_header(struct http_exchange *x, const char *name);
// Adds a header to the reply; name static, value in the arena or static. Control characters in value are replaced by blanks.
void http_set_header(struct http_exchange *x, const char *name, struct str value);
void http_resume(struct http_exchange *x);
// The client's address as text, in the arena.
struct str http_client_address(struct http_exchange *x);

// Query parameter by name, decoded into the arena ('+' is a blank). STR_NONE when absent; *bad is set (never cleared) when it does not
// decode.
struct str http_query(struct http_exchange *x, const char *name, bool *bad);
// The same for a form body (application/x-www-form-urlencoded).
struct str http_form(struct arena *a, struct str body, const char *name, bool *bad);
// %XX decoding of one path segment. False on bad escapes, NUL, or an encoded '/' .
bool http_decode_segment(struct arena *a, struct str in, struct str *out);

// Opens the listening socket apart from the server, because links need the real port before the API behind the server is built. `address`
// is "127.0.0.1:8080", "[::1]:8080"; port 0 takes a free one. `bound` gets the address with the port really taken.
#define HTTP_ADDRESS_TEXT 128
NODISCARD enum err_kind http_listen(const char *address, int *fd, char bound[HTTP_ADDRESS_TEXT], struct err *err);

struct http_server;
struct http_server_options {
    int listen_fd; // from http_listen; the server closes it
    int threads;
    size_t connections_max;   // beyond it: refused at accept
    size_t header_max;        // bytes of request line and headers
    size_t body_max;          // bytes; a handler may take larger ones on paths below `large_prefix` (the operator's imports)
    const char *large_prefix; // "/admin/v1/"; NULL: none
    size_t large_body_max;
    int request_timeout_s;          // from the first byte of a request to its last; then the connection is closed
    int idle_timeout_s;             // between requests
    const char *tls_cert, *tls_key; // PEM files; NULL: plain HTTP
    const struct clock *clock;
    struct http_handler handler;
};
void http_server_options_default(struct http_server_options *o);
NODISCARD enum err_kind http_server_start(const struct http_server_options *o, struct http_server **out, struct err *err);
size_t http_server_connections(const struct http_server *s);
// Stops accepting; then waits up to `drain_ms` for running exchanges; then closes. NULL is fine. An exchange that still waits for its
// http_resume then loses its connection and ends when that comes: what it needs (the handler's ctx) must live so long; stop the server
// first, then what resumes.
void http_server_stop(struct http_server *s, int drain_ms);

#endif
