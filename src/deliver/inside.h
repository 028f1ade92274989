// SPDX-License-Identifier: Apache-2.0
/*
 * inside.h - the deliverer's own parts; nobody else includes it.
 *
 * deliver.c takes turns and answers; endpoint.c knows the endpoints, reads events for them and sends; note.c does the same for
 * notifications of one SIM; settle.c is the job that writes down what happened and takes leases; loop.c the thread of production.
 *
 * Everything belongs to the thread that steps, but for what stands under the lock: answers that came back, partners whose log has grown,
 * and whether the job is done. While a job runs, its batch belongs to the store's writer.
 */
#ifndef DELIVER_INSIDE_H
#define DELIVER_INSIDE_H

#include <pthread.h>

#include "base/metrics.h"
#include "deliver/deliver.h"
#include "store/store_event.h"
#include "store/store_partner.h"
#include "store/store_webhook.h"

#define LEASE_MS DELIVER_LEASE_MS
#define SEND_MARGIN_MS 20000 // what a lease must still last when a request goes out: longer than that may take
#define POLL_MS 5000         // what no news told of is found by looking
#define PAGE_EVENTS 32       // read ahead for an endpoint
#define SPAN_EVENTS 2000     // looked at for them in one go
#define SKIPPED_MAX 1000     // events of no interest that are passed by before that is written down
#define ASKED_MAX 10         // deliveries by call that wait for one endpoint
#define NOTES_PER_PARTNER 16 // notifications on their way
#define DELIVERIES_KEPT 10000
#define BATCH_MAX 2000
#define OWNER_BUCKETS 4096

struct endpoint;

// A partner with endpoints, or with notifications on their way.
struct owner {
    int64_t partner_id;
    bool live;    // a sandbox partner's events are dated by its own clock
    int64_t head; // its newest event, as far as known here
    struct endpoint *endpoints;
    int notes;
    struct owner *next; // in its bucket
    // under the lock
    int64_t told_head;
    uint64_t wants; // all that its endpoints want
    bool told;
    struct owner *next_told;
};

enum endpoint_queue { QUEUE_NONE, QUEUE_READY, QUEUE_FAILING, QUEUE_LATER };

struct endpoint {
    struct webhook w; // as it will be when all that has happened is written down; url and types are its own
    struct owner *owner;
    struct endpoint *next_of_owner;
    uint64_t wants;
    struct webhook_secret secret[WEBHOOK_SECRETS_MAX];
    size_t n_secrets;
    bool seen;    // in the list that is being read
    bool gone;    // deleted; it is freed when nothing refers to it any more
    bool shunned; // it makes jobs fail: left alone until the next start
    int refs;     // requests and entries of a batch
    bool leased;
    bool claiming; // the lease is asked for
    bool flying;
    struct flight *unsettled, **unsettled_end; // answers that are to be written down, in the order in which they came
    int n_unsettled;                           // those and the batch's
    bool dirty;                                // among those that the next batch is made of
    struct endpoint *next_dirty;
    int64_t stored; // the cursor that is
    int64_t logged; // lines of the log since it was last trimmed
    // events read ahead, from events[next] on
    struct arena arena;
    struct event *events;
    size_t n_events, next_event;
    int64_t scan; // what is looked at next
    // deliveries that were asked for by call
    struct uuid asked[ASKED_MAX];
    size_t n_asked;
    // where it waits
    enum endpoint_queue queue;
    struct endpoint *next_ready;
    size_t place; // in the heap of QUEUE_LATER
    struct wall at;
};

// A request on its way, and what became of it until that is on disk.
struct flight {
    struct deliver *d;
    struct endpoint *e; // NULL: `note`
    struct note *note;
    int64_t epoch;
    bool stale;   // a call came between: it counts no more
    bool failing; // its endpoint was, when it was sent
    struct webhook_delivery log;
    char answer[DELIVERY_ANSWER_MAX];
    enum http_ending how;
    int64_t retry_after_s;
    struct flight *next;
};

// A notification of one SIM, from when it is found due until it is done with.
struct note {
    struct notification n;
    struct owner *owner;
    struct event event;
    struct arena arena; // of both
    enum note_step { NOTE_CLAIM, NOTE_FLYING, NOTE_AGAIN, NOTE_DONE } step;
    bool ok; // the job did what it was to do
    struct wall lease_until;
    struct wall next_try; // AGAIN
    int status;           // of the last attempt
    enum http_ending how;
    int64_t duration_ms;
    const char *outcome; // for the log; NULL: nothing was sent
    struct note *next;
};

// What a batch does about one endpoint.
struct entry {
    struct endpoint *e;
    struct webhook w; // as it was when the batch was made
    bool claim;       // otherwise: settle
    bool trim;
    struct flight *flights;
    bool ok; // out: claimed, or still held
};

struct batch {
    struct deliver *d;
    struct store_job job;
    struct entry *entries;
    size_t n, cap;
    struct note *notes;
    bool drop_leases;
    struct arena arena;
    struct buf payload;
    bool running;
};

struct deliver_metrics {
    struct metric_family *attempts;
    struct metric *seconds, *lag, *in_flight, *waiting, *endpoints[WEBHOOK_GONE + 1];
};

struct deliver_loop;

struct deliver {
    struct deliver_options o;
    struct owner *owners[OWNER_BUCKETS];
    size_t n_endpoints;
    struct endpoint *ready, **ready_end, *failing, **failing_end;
    struct endpoint **later; // a heap by `at`
    size_t n_later, cap_later;
    int in_flight, failing_in_flight;
    struct endpoint *dirty, **dirty_end; // to be written down, or to be claimed
    struct note *notes_first, **notes_end;
    bool notes_due;       // look for notifications
    struct wall notes_at; // or at this time; WALL_NONE
    bool notes_claiming;  // found, and not claimed yet: no other look meanwhile
    struct batch batch;
    struct mono batch_at; // while requests are on their way, the next batch is not before
    size_t limit;         // endpoints in one batch; fewer while looking for whose fault a failure is
    bool first_turn, reload, heads, stopping, leases_dropped;
    struct wall poll;
    int64_t ahead_ms; // of the real time over the monotonic, at the last step
    bool stepped;
    struct wall retry_at; // after trouble with the store; WALL_NONE
    int troubles;

    struct tx *tx; // the reader of this step, once there is need of one
    struct arena scratch;
    struct buf body, signature, text;
    struct deliver_metrics m;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct flight *answers, **answers_end;
    struct owner *told;
    bool news_webhooks, news_notes, news_all;
    bool answered; // the batch, with:
    enum err_kind kind;
    struct err err;
    bool kicked;
    int flights_out; // handed to the sender and not answered
    struct deliver_loop *loop;
};

// deliver.c
NODISCARD enum err_kind deliver_reader(struct deliver *d, struct tx **out, struct err *err);
// Hands a request to the sender; false when there is no room for it now (then the flight is not taken).
bool deliver_send(struct deliver *d, struct flight *f, const char *url, struct http_request *r);
struct owner *owner_find(struct deliver *d, int64_t partner_id);
struct owner *owner_get(struct deliver *d, int64_t partner_id); // made when new
void owner_drop_if_idle(struct deliver *d, struct owner *o);
void deliver_count(struct deliver *d, const char *kind, const char *outcome);
bool deliver_quiet(struct deliver *d); // nothing on its way, nothing to be written down

// endpoint.c
NODISCARD enum err_kind endpoints_reload(struct deliver *d, struct err *err);
NODISCARD enum err_kind endpoints_heads(struct deliver *d, struct err *err);
void endpoint_wake(struct deliver *d, struct endpoint *e); // it may have something to do
void endpoints_due(struct deliver *d, struct wall now);
void endpoints_set_back(struct deliver *d, int64_t ms); // the clock was, by so much: what they wait for comes as soon as it would have
NODISCARD enum err_kind endpoints_launch(struct deliver *d, struct wall now, struct err *err);
void endpoint_answered(struct deliver *d, struct flight *f, struct wall now);
void endpoint_forget_ahead(struct endpoint *e);
void endpoint_unref(struct deliver *d, struct endpoint *e);
void endpoint_later(struct deliver *d, struct endpoint *e, struct wall at);
void endpoints_free(struct deliver *d);
void endpoints_measure(struct deliver *d);

// note.c
NODISCARD enum err_kind notes_look(struct deliver *d, struct wall now, struct err *err);
void note_claimed(struct deliver *d, struct note *n, struct wall now);
void note_answered(struct deliver *d, struct flight *f, struct wall now);
void note_free(struct deliver *d, struct note *n);
void note_queue(struct deliver *d, struct note *n); // for the next batch

// settle.c
void endpoint_dirty(struct deliver *d, struct endpoint *e);
bool batch_waits(const struct deliver *d); // there is one to be made, but for the sake of what comes it is not yet
NODISCARD enum err_kind batch_submit(struct deliver *d, struct err *err); // when there is anything to do
// Takes up what the job did. When it failed, all of it is kept for the next.
NODISCARD enum err_kind batch_apply(struct deliver *d, struct wall now, struct err *err);

#endif
