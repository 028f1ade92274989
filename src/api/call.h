// SPDX-License-Identifier: Apache-2.0
/*
 * call.h - one API call on its way through: route -> who -> rate limit -> parse -> work -> reply.
 *
 * A resource file gives three functions per endpoint and a row in the routes table (routes.c):
 *
 *   parse  on a server thread, no store: turns the request into a struct of its own (call->state), adding all its faults to `err`.
 *          May be NULL.
 *   work   with a transaction: a reader's for WORK_READ, a job's for WORK_WRITE (then it may run more than once: see store.h, and must set
 *          anew all it keeps). Stores what it found in call->state, all memory from call->arena. May be NULL.
 *          What is too much for one job is done in several, so that others get between: work sets call->again before it returns and is
 *          run as another job when this one is on disk, or, when it returns an error, has been undone. call->steps and call->undone count
 *          these, so that it knows where it is. With call->later the other job comes after a pause (park.h). When the server stops
 * meanwhile the call ends with 503, whatever of it is on disk by then: such a call must be one that may be made again; or it says with
 * call_note how far it has come, and goes on from there when it is made again with the same idempotency key. reply  on a server thread,
 * after the commit: writes status, headers and body. Cannot fail. For a call with an idempotency key (idem.h): in the last job, on the
 * writer's thread, and again for each run of it.
 *
 * When parse or work returns a kind other than ERR_NONE, problem.c answers from `err` and reply is not called. An endpoint with an error
 * shape of its own (the token endpoint) keeps the outcome in its state, returns ERR_NONE and writes it in reply.
 *
 * All faults of a body are reported at once (connect-v2 section 3). A route with work_despite_faults says that its work finds such faults,
 * too: when parse returned ERR_MALFORMED or ERR_INVALID, work runs with a reader, call->failed tells it so, `err` holds what parse
 * found; it must look, err_add and not write.
 *
 * A call that reads may wait until there is something to read: parse says so (call_may_wait), and work, each time that it finds nothing
 * yet, calls call_not_yet. It is run again when something was committed that it waits for, and at the latest when its time is over;
 * meanwhile it costs memory and no thread.
 *
 * Headers that arrive are read with http_header(call->x, ...) in parse, not in work: a job may outlive the connection.
 */
#ifndef API_CALL_H
#define API_CALL_H

#include "api/api.h"
#include "api/wait.h"
#include "base/id.h"
#include "base/json.h"
#include "core/partner.h"

enum access { ACCESS_PUBLIC, ACCESS_PARTNER, ACCESS_OPERATOR, ACCESS_SANDBOX };
enum work_kind { WORK_NONE, WORK_READ, WORK_WRITE };

#define PATH_PARAMS_MAX 4

// What a call that may wait keeps; call_wait.c's.
struct call_waiting {
    struct wait wait;
    struct mono until, since;
    int64_t asleep_ns;
    int seconds, preferred; // as the query, or else the header, says; 0 when it does not
    bool not_yet;
};
#define CALL_WAIT_MAX_S 60

struct route;
struct idem_call;
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
    struct uuid order_id;               // the order this call is about, for the log line; zero when none
    void *state;                        // the resource's own
    // how it went; call.c's and api.c's
    enum err_kind failed;
    struct rate_state rate;
    bool limited;           // `rate` is meaningful
    bool metering;          // it waits to be counted
    bool again;             // work's: it wants another job
    bool later;             // work's, with `again`: not at once, somebody else has to do something first
    enum err_kind worked;   // what work returned
    unsigned steps, undone; // jobs of this call that are on disk; that failed and were followed by another
    struct str note;        // call_note's, of the last job that is on disk; STR_NONE or empty before
    struct str next_note;
    struct idem_call *idem; // NULL: no key
    struct call *parked_next;
    void (*release)(struct call *c); // parse's: gives back what the call holds besides memory, once it is over and before it is answered
    struct call_waiting *waiting;    // NULL: it never waits
    enum http_more (*more)(struct call *c); // of a reply that is a stream
    // From here on a new call is not wiped: most of it is room for messages that hardly any call has.
    struct err err;
    struct store_job job;       // WORK_WRITE; set when it is submitted
    struct rate_wait rate_wait; // while metering
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
    void (*ahead)(struct call *c, struct tx *tx); // names what `work`, in a job, will read (store_job.ahead); NULL: nothing
    bool work_despite_faults;                     // run `work` as a reader when parse found faults, so that all are reported
};

// The partner's own time for this call.
static inline struct wall call_partner_now(const struct call *c) {
    return partner_now(&c->partner, c->now);
}

// In work, with call->again: what the next job finds in call->note.
void call_note(struct call *c, struct str note);

// ---- waiting ----
// In parse: the call may wait for events of these types (bits 1 << type), of this order or (zero) of any of the partner's, if the client
// said so. Faults of `wait` are added to `err`.
enum err_kind call_may_wait(struct call *c, struct uuid order_id, uint64_t types, struct err *err);
void call_not_yet(struct call *c);
int call_wait_seconds(const struct call *c); // what the query asked for; 0: nothing
// api.c's: reads, and again, until there is something or the time is over. False: it sleeps, and is not to be looked at; call again when it
// was resumed. True: c->failed says how it went.
NODISCARD bool call_read(struct call *c, enum err_kind (*read)(struct call *c));

// ---- replies ----
// Starts a JSON reply: sets status and content type; the caller writes one object or array on the returned writer.
struct jw call_json(struct call *c, int status);
void call_empty(struct call *c, int status);
// Starts a reply of another type; the caller appends the body to call->x->reply. `type` is static text.
void call_body(struct call *c, int status, const char *type);
// Location and the like: `name` static, value made absolute from the path as call_url does.
void call_location(struct call *c, const char *path_fmt, ...) PRINTF_LIKE(2, 3);

// ---- links: absolute, from the public base URL ----
// jw_str with value base_url + printf(...). `path` begins with "/v2/"; one that begins otherwise ("/admin/v1/") is put behind the origin of
// base_url.
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
// An empty value counts as absent. UTF-8 without control characters, at most `max` bytes.
struct str query_str(struct call *c, const char *name, size_t max, struct err *err);         // STR_NONE when absent or faulty
int query_word(struct call *c, const char *name, const char *const *words, struct err *err); // -1 when absent or faulty
struct wall query_date(struct call *c, const char *name, struct err *err);                   // WALL_NONE when absent or faulty
int64_t query_i64(struct call *c, const char *name, int64_t min, int64_t max, int64_t otherwise, struct err *err);

#endif
