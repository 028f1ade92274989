// SPDX-License-Identifier: Apache-2.0
/*
 * call.h - one API call on its way through: route -> who -> parse -> work -> reply.
 *
 * A resource file gives three functions per endpoint and a row in the routes table (routes.c):
 *   parse   on a server thread, no store: turns the request into a struct of its own (call->state), adding all its faults to `err`. May be
 * NULL. work    with a transaction: a reader's for WORK_READ, a job's for WORK_WRITE (then it may run more than once: see store.h). Stores
 * what it found in call->state (all memory from call->arena). May be NULL. reply   on a server thread, after the commit: writes status,
 * headers and JSON. Cannot fail. When parse or work returns a kind other than ERR_NONE, the error is answered by problem.c and reply is not
 * called. parse and work that find faults of the body must not stop at the first (connect-v2 section 3): work of an order runs its look-ups
 * even when parse found faults.
 */
#ifndef API_CALL_H
#define API_CALL_H

#include "api/api.h"
#include "base/json.h"
#include "core/partner.h"

enum access { ACCESS_PUBLIC, ACCESS_PARTNER, ACCESS_OPERATOR, ACCESS_SANDBOX };
enum work_kind { WORK_NONE, WORK_READ, WORK_WRITE };

#define PATH_PARAMS_MAX 4

struct route;
struct call {
    struct api *api;
    struct http_exchange *x;
    struct arena *arena; // the exchange's
    const struct route *route;
    struct str params[PATH_PARAMS_MAX]; // decoded, in the order of the pattern
    struct partner partner;             // ACCESS_PARTNER, ACCESS_SANDBOX
    struct str operator_name;           // ACCESS_OPERATOR
    struct str correlation_id;          // given or made
    struct wall now;                    // real time when the call came
    json_t *body;                       // parsed, when the route takes JSON; dropped with the call
    void *state;                        // the resource's own
    struct err err;
    enum err_kind failed;
    struct store_job job;
};

struct route {
    enum http_method method;
    const char *path; // "/v2/orders/{id}"; /connect-api/v2/... is the same
    enum access access;
    const char *bucket; // rate limit and metrics name: "orders"
    enum work_kind kind;
    enum { BODY_NONE, BODY_JSON, BODY_JSON_OPTIONAL, BODY_FORM, BODY_RAW } body;
    enum err_kind (*parse)(struct call *c, struct err *err);
    enum err_kind (*work)(struct call *c, struct tx *tx, struct err *err);
    void (*reply)(struct call *c);
    bool work_despite_faults; // run `work` as a reader when parse found faults, so that all are reported
};

// The partner's own time for this call.
static inline struct wall call_partner_now(const struct call *c) {
    return partner_now(&c->partner, c->now);
}

// ---- replies ----
// Starts a JSON reply: sets status and content type; the caller writes one object or array on the returned writer.
struct jw call_json(struct call *c, int status);
void call_empty(struct call *c, int status);

// ---- links: absolute, from the public base URL ----
// jw_str with value base_url + printf(...). `path` begins with "/v2/".
void call_link(struct call *c, struct jw *w, const char *key, const char *path_fmt, ...) PRINTF_LIKE(4, 5);
struct str call_url(struct call *c, const char *path_fmt, ...) PRINTF_LIKE(2, 3);

// ---- pages (connect-v2 section 3) ----
struct page {
    int64_t number, size; // from 1; 1..100
    int64_t total;        // set by work
};
#define PAGE_SIZE_DEFAULT 10
#define PAGE_SIZE_MAX 100
enum err_kind page_parse(struct call *c, struct page *p, struct err *err);
static inline int64_t page_offset(const struct page *p) {
    return (p->number - 1) * p->size;
}
// Writes "_metadata": {page, page_size, page_count, links{_self,_prev?,_next?}}, keeping the call's other query parameters in the links.
void page_metadata(struct call *c, struct jw *w, const struct page *p);

// ---- query parameters, with their faults under the parameter's name ----
struct str query_str(struct call *c, const char *name, size_t max, struct err *err);         // STR_NONE when absent
int query_word(struct call *c, const char *name, const char *const *words, struct err *err); // -1 when absent
struct wall query_date(struct call *c, const char *name, struct err *err);

#endif
