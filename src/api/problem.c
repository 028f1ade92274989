// SPDX-License-Identifier: Apache-2.0
#include "api/problem.h"

#include "api/idem.h"
#include "base/log.h"

static const struct problem_row rows[ERR_KINDS] = {
    [ERR_NONE] = {500, "INTERNAL_ERROR", "Internal Server Error"}, // an error without a kind is our bug
    [ERR_MALFORMED] = {400, "INVALID_HTTP_MESSAGE", "Bad Request"},
    [ERR_INVALID] = {400, "INVALID_REQUEST_PARAMS", "Bad Request"},
    [ERR_UNAUTHORISED] = {401, "UNAUTHORISED", "Unauthorized"},
    [ERR_DENIED] = {403, "ACCESS_DENIED", "Forbidden"},
    [ERR_NOT_FOUND] = {404, "NOT_FOUND", "Not Found"},
    [ERR_METHOD] = {405, "METHOD_NOT_ALLOWED", "Method Not Allowed"},
    [ERR_CAP] = {406, "UNACCEPTABLE", "Not Acceptable"},
    [ERR_CONFLICT] = {409, "CONFLICT", "Conflict"},
    [ERR_GONE] = {410, "GONE", "Gone"},
    [ERR_TOO_LARGE] = {413, "PAYLOAD_TOO_LARGE", "Content Too Large"},
    [ERR_MEDIA_TYPE] = {415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type"},
    [ERR_MISMATCH] = {422, "IDEMPOTENCY_MISMATCH", "Unprocessable Content"},
    [ERR_RATE] = {429, "TOO MANY REQUESTS", "Too Many Requests"},
    [ERR_BUSY] = {503, "SERVICE_UNAVAILABLE", "Service Unavailable"},
    [ERR_UNAVAILABLE] = {503, "SERVICE_UNAVAILABLE", "Service Unavailable"},
    [ERR_RETRY] = {503, "SERVICE_UNAVAILABLE", "Service Unavailable"},
    // A commit whose answer was lost, with the store. Not 503, which promises that nothing was accepted; nor 504, which is a gateway's and
    // which proxies repeat by themselves, with a key or without.
    [ERR_UNSURE] = {500, "INTERNAL_ERROR", "Internal Server Error"},
    // kinds of the engine and the store: an API call has no business with them
    [ERR_REFUSED] = {500, "INTERNAL_ERROR", "Internal Server Error"},
    [ERR_CORRUPT] = {500, "INTERNAL_ERROR", "Internal Server Error"},
    [ERR_INTERNAL] = {500, "INTERNAL_ERROR", "Internal Server Error"},
};

const struct problem_row *problem_of(enum err_kind kind) {
    return kind >= 0 && kind < ERR_KINDS ? &rows[kind] : &rows[ERR_INTERNAL];
}

static const char *title_of(int status, const struct problem_row *row) {
    return status == row->status ? row->title : status == 431 ? "Request Header Fields Too Large" : "Error";
}

// Any media range that names it will do; nobody asks for problem documents with q=0.
bool problem_document_wanted(struct http_exchange *x) {
    static const struct str type = {"application/problem+json", 24};
    struct str accept = http_header(x, "Accept");
    for (size_t i = 0; i + type.n <= accept.n; i++)
        if (str_eq_nocase((struct str){accept.p + i, type.n}, type))
            return true;
    return false;
}

static void write_as(struct http_exchange *x, enum err_kind kind, int status, const struct err *err, bool document) {
    const struct problem_row *row = problem_of(kind);
    x->status = status ? status : row->status;
    buf_clear(&x->reply);
    http_set_header(x, "Content-Type", document ? STR("application/problem+json") : STR("application/json"));
    struct jw w = jw_on(&x->reply);
    jw_object(&w, NULL);
    if (document) {
        jw_text(&w, "type", "about:blank");
        jw_text(&w, "title", title_of(x->status, row));
        jw_i64(&w, "status", x->status);
        jw_text(&w, "detail", err_first(err));
        jw_text(&w, "code", row->type);
    } else {
        jw_text(&w, "type", row->type);
    }
    jw_array(&w, "messages");
    if (!err->count)
        jw_text(&w, NULL, err_first(err));
    for (unsigned i = 0; i < err->count; i++)
        jw_text(&w, NULL, err_message(err, i));
    jw_end_array(&w);
    jw_end_object(&w);
}

void problem_write(struct http_exchange *x, enum err_kind kind, int status, const struct err *err) {
    write_as(x, kind, status, err, problem_document_wanted(x));
}

void problem_reply(struct call *c) {
    enum err_kind kind = c->failed;
    int status = problem_of(kind)->status;
    const struct err *cause = &c->err;
    struct err shown = {0};

    // What the machine did to us is for the log; the client learns the correlation id, by which the log line is found. That there is too
    // much to do is no error, and a line for each that is sent away would be still more to do: the line of the request says 503.
    if (status >= 500) {
        enum log_level level = kind == ERR_BUSY ? LOG_DEBUG : status == 503 || kind == ERR_UNSURE ? LOG_WARN : LOG_ERROR;
        LOG_AT(level, "request.failed", LOG_STR("correlation", c->correlation_id), LOG_TEXT("route", c->route ? c->route->path : NULL),
               LOG_ERR(cause), {.key = NULL});
        if (kind == ERR_BUSY)
            err_set(&shown, kind, "the server is overloaded, nothing was accepted: try again shortly");
        else if (status == 503)
            err_set(&shown, kind, "the service is not available at the moment, nothing was accepted: try again shortly");
        else if (kind == ERR_UNSURE)
            err_set(&shown, kind, "it is not known whether this was done: %s; correlation id " STR_FMT,
                    c->idem ? "ask again, with the same Idempotency-Key"
                            : "look whether it was before asking again (with an Idempotency-Key asking again is safe)",
                    STR_ARG(c->correlation_id));
        else
            err_set(&shown, kind, "internal error; correlation id " STR_FMT, STR_ARG(c->correlation_id));
        cause = &shown;
    }

    c->x->n_out = 0; // what a reply had begun does not count
    write_as(c->x, kind, 0, cause, c->idem ? c->idem->document : problem_document_wanted(c->x));
    if (status == 401)
        http_set_header(c->x, "WWW-Authenticate", STR("Bearer"));
    // With a key, asking again is what gets the answer; without one it might do everything twice, so nothing invites to it.
    if (status == 503 || (kind == ERR_UNSURE && c->idem))
        http_set_header(c->x, "Retry-After", kind == ERR_BUSY ? STR("1") : STR("5"));
    if (status == 429)
        http_set_header(c->x, "Retry-After", arena_printf(c->arena, "%lld", (long long)c->rate.retry_after_s));
}
