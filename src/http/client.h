// SPDX-License-Identifier: Apache-2.0
/*
 * client.h - calls that we make over HTTP. What is inside (libcurl on a libuv loop, on a thread of its own) is nobody's business.
 *
 * A request is handed over from any thread, copied, and answered once by `done` on the client's thread, within its time-out. Nothing that a
 * receiver does can make it more: redirects are not followed, of an answer ANSWER_KEPT bytes are kept, one that is longer than
 * ANSWER_TAKEN is cut off (its status counts), compressed ones are not asked for, and cookies, proxies and .netrc are not known here.
 *
 * Unless private_targets is set, only public addresses (http/address.h) are called: looked at for each address that a name resolves to
 * before a socket is made, and again at the connection's other end before anything is sent. http and https only; certificates are verified.
 * User and password in a URL are sent as Basic credentials. URLs, headers and bodies are never logged.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/base.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

#define ANSWER_KEPT 1024
#define ANSWER_TAKEN 65536
#define CLIENT_HEADERS_MAX 8

enum http_ending {
    HTTP_ANSWERED,
    HTTP_TARGET_REFUSED, // the URL or the address is not one that we call; nothing was sent
    HTTP_NO_ADDRESS,     // the name does not resolve
    HTTP_NO_CONNECTION,
    HTTP_NO_TLS, // no secure connection: certificate or handshake
    HTTP_TIMED_OUT,
    HTTP_BROKEN,  // the connection ended, or what came is not HTTP
    HTTP_STOPPED, // the client was closed meanwhile
    HTTP_ENDINGS
};
// For people: "no answer in time", ...
const char *http_ending_text(enum http_ending how);

struct http_answer_got {
    enum http_ending how;
    int status;            // HTTP_ANSWERED: 100..999
    struct str body;       // the first ANSWER_KEPT bytes, as they came; holds until `done` returns
    int64_t retry_after_s; // the Retry-After header; -1: none
    int64_t duration_us;
};

struct http_request {
    const char *method;
    const char *url;
    struct {
        const char *name, *value;
    } header[CLIENT_HEADERS_MAX];
    size_t n_headers;
    struct str body;
    int timeout_ms;
    void (*done)(void *ctx, const struct http_answer_got *answer);
    void *ctx;
};

struct http_client;
struct http_client_options {
    int calls_max; // at once; beyond it ERR_BUSY
    bool private_targets;
    const char *user_agent;
    const char *ca_file; // PEM certificates to trust instead of the system's; NULL
    const struct clock *clock;
};
NODISCARD enum err_kind http_client_open(const struct http_client_options *o, struct http_client **out, struct err *err);
// Calls on their way end with HTTP_STOPPED before it returns. Not from `done`. NULL is fine.
void http_client_close(struct http_client *c);
// After an error `done` is not called.
NODISCARD enum err_kind http_client_send(struct http_client *c, const struct http_request *r, struct err *err);

// ---- URLs, by their text alone (url.c) ----
#define HTTP_URL_MAX 2048
// What keeps it from being called, for people; NULL: nothing. An absolute URL of http or https, in ASCII, with a well-formed host.
const char *http_url_fault(struct str url);
// Of a URL without faults: false when its host is written as an address that is not public, or as localhost. Names are not resolved here:
// the client looks at what they lead to when it calls.
bool http_url_public(struct str url);
bool http_url_has_credentials(struct str url);
// The host, for logs: neither credentials nor path. A view into `url`; "" when there is none.
struct str http_url_host(struct str url);

#endif
