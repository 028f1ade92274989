// SPDX-License-Identifier: Apache-2.0
/*
 * inside.h - the engine's own parts; nobody else includes it.
 *
 * engine.c holds the state and takes turns, claim.c and settle.c are what a turn's job does on the store's writer, at_once.c what is done
 * without a turn, timers.c lets time do its work on subscriptions, loop.c the thread of production.
 *
 * One *turn* is one job: it records the outcomes that came back, then claims what is due. While the job is on its way the turn belongs to
 * the writer, otherwise to the engine's thread; the peers' table is fixed at the first step. `inbox` and `answered` are shared, under the
 * lock.
 */
#ifndef ENGINE_INSIDE_H
#define ENGINE_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/metrics.h"
#include "core/event.h"
#include "engine/engine.h"
#include "store/store_order.h"

#define ENGINE_PEERS_MAX 8
#define CALLS_MAX 4096 // of one peer
#define SHUNNED_MAX 64
#define TURN_MEMORY_MAX ((size_t)64 << 20)
#define ORDER_MEMORY_MAX ((size_t)1 << 20)
#define SNAPSHOT_MAX ((size_t)64 << 10)
#define ENGINE_QUEUES (TASK_LANES * TASK_KINDS)

// What a node must still hold to settle a call: the claim it was made under. The lease's end makes it unmistakable: an operator's retry
// counts attempts from the start again.
struct claim {
    int64_t task_id;
    int attempt;
    struct wall lease_until;
};

struct engine_peer {
    struct peer *p;
    int in_flight;
    int away; // UNAVAILABLE in a row, counted once a pause
    struct mono paused_until;
    struct metric *outcomes[OUTCOME_UNSURE + 1];
};

// A call on its way. Its number is `sequence * slots + slot`: it grows, and finds its slot.
struct flight {
    int64_t call; // 0: the slot is free
    struct claim claim;
    int peer;
    struct mono deadline;
};

struct answer {
    int64_t call;
    struct peer_outcome outcome;
};

// An outcome on its way into the store.
struct settlement {
    struct claim claim;
    struct peer_outcome outcome;
};

// A task whose order made the job fail: the next run parks it.
struct poison {
    struct claim claim; // task_id alone when it was only due
    char reason[PEER_NOTE_MAX];
};

// A call that the job decided on; it is made when the claim is on disk.
struct planned {
    struct claim claim;
    int peer;
    struct peer_request request; // views in the turn's arena
};

// A log line of the job, written when what it says is true.
struct line {
    enum { LINE_STEP, LINE_FINISHED, LINE_IGNORED, LINE_PARKED } what;
    struct uuid order_id;
    int64_t partner_id;
    enum task_kind kind;
    const char *peer;
    enum task_verb verb;
    enum outcome_kind outcome;
    enum order_state state;
    int attempt;
    int64_t ms; // STEP that is DONE: since its first call; FINISHED: since acceptance
    bool done;
    struct str correlation_id, note;
};

#define CACHE_SLOTS 64 // direct-mapped; a power of two

struct turn {
    struct engine *e;
    struct store_job job;

    // in
    bool claims;                   // false: only settle (the engine is being stopped)
    bool drop_leases;              // the first turn: nobody is being called yet
    bool fires;                    // lets time do its work
    bool looks_at_clocks;          // sandbox partners' clocks, too
    int64_t timers_least_ns;       // so long subscriptions are moved whoever waits, and
    int64_t timers_most_ns;        // so long while nobody does
    int limit;                     // tasks to settle, and to claim
    int start_queue;               // whose due tasks are asked for first: turns about
    int offered[ENGINE_PEERS_MAX]; // calls each peer may be given
    struct settlement *settlements;
    size_t n_settlements, cap_settlements;
    struct poison *poison;
    size_t n_poison, cap_poison;

    // out: made anew by each run
    struct arena arena;
    struct planned *planned;
    size_t n_planned;
    struct line *lines;
    size_t n_lines, cap_lines;
    size_t taken;     // settlements this run looked at
    int64_t worked;   // tasks settled or claimed
    int64_t timers;   // subscriptions moved
    bool timers_more; // stopped at their limit
    struct mono timers_from;
    int64_t timers_ns;                // what they took
    bool more;                        // stopped at the limit
    struct wall clocks_next;          // when, in real time, the next is due on a sandbox partner's clock; WALL_NONE
    struct wall next;                 // when something will be due for a peer that has room; WALL_NONE
    bool at_end;                      // the run came through: a failure is the commit's
    struct claim at;                  // the task in hand: whose fault a failure is
    struct claim last;                // the last in hand: when it was the only one, a failing commit is its fault
    struct uuid at_timer, last_timer; // the same for subscriptions
    int at_poison;                    // the poison being parked, or -1

    // the run's own
    struct tx *tx;
    struct wall now;
    int budget;
    int room[ENGINE_PEERS_MAX]; // what is left of `offered`
    int released;               // tasks of other orders made READY
    struct arena scratch;       // of the order in hand
    struct buf payload;
    const struct partner *partners[CACHE_SLOTS];
    const struct product *products[CACHE_SLOTS];
};

// What the writer has to say of orders that were settled at once; the engine's thread says it.
struct report {
    struct arena arena; // of the texts
    struct line *lines;
    size_t n, cap;
    int64_t worked;
};

enum turn_state { TURN_NONE, TURN_RUNNING };

struct engine_metrics {
    struct metric *turns, *tasks, *batch, *ignored, *parked, *order_seconds, *timers;
    struct metric *finished[2]; // COMPLETED, FAILED
    struct metric *task_seconds[TASK_KINDS];
};

struct loop;

struct engine {
    struct engine_options o;
    struct engine_peer peers[ENGINE_PEERS_MAX];
    int n_peers;
    int route[TASK_LANES][TASK_KINDS]; // index into peers; -1 before it is set
    bool started;

    struct flight *flights;
    int64_t n_slots, slots_used, sequence;
    struct mono first_deadline; // of those in flight

    struct settlement *pending; // for the next turn
    size_t n_pending, cap_pending;

    struct turn turn;
    struct turn at_once; // the writer's alone (at_once.c)
    enum turn_state state;
    bool stopping;
    int limit;                 // the turn's, less than batch_max while looking for whose fault a failure is
    struct wall retry_at;      // after trouble with the store: no turn before; WALL_NONE
    int troubles;              // in a row
    struct wall next, poll;    // from the last turn; when to look although nothing is known to be due
    int64_t timers_rest_ns;    // how long the rest of a turn takes that moves some, lately
    bool timers_more;          // more are due, which wait for this
    struct mono timers_at;     // so that orders pass, and then for orders that have passed, but not
    struct mono timers_latest; // longer than for this
    struct mono submitted;     // the turn
    int64_t timers_fired;      // not logged yet
    struct wall clocks_at;     // sandbox partners' clocks are not looked at before; WALL_NONE: at once
    struct wall clocks_next;   // what the last look found
    bool clocks_news;          // there were news since the last look
    bool more;
    int64_t shunned[SHUNNED_MAX]; // tasks that cannot even be parked
    int n_shunned;
    struct uuid shunned_timers[SHUNNED_MAX]; // subscriptions that time cannot move
    int n_shunned_timers;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct answer *inbox;
    size_t n_inbox, cap_inbox;
    struct report report;
    bool reported; // then it is the engine's thread's, otherwise the writer's
    bool answered; // the turn's job is done, with:
    enum err_kind kind;
    struct err err;
    struct loop *loop; // whom to poke; NULL: nobody
    _Atomic bool kicked;
    struct loop *runner; // of whoever runs and stops the engine

    struct engine_metrics m;
};

// engine.c
// A step of the loop: without `force` a turn is taken only when there is a reason to.
NODISCARD enum err_kind engine_turn(struct engine *e, bool force, struct wall *wake, struct err *err);
void engine_start(struct engine *e); // the peers' table is fixed now
void turn_init(struct turn *t, struct engine *e);
void turn_release(struct turn *t);
void turn_begin(struct turn *t, struct tx *tx);
void engine_say(struct engine *e, const struct line *l); // writes a log line and counts
bool engine_quiet(struct engine *e);                     // no call on its way, nothing to settle, no job running
void engine_grow(void **items, size_t *cap, size_t n, size_t size);
// loop.c
void loop_poke(struct loop *l);

// claim.c
enum err_kind claim_due(struct turn *t, struct err *err);
enum err_kind claim_one(struct turn *t, const struct task *due, struct err *err);
// at_once.c
bool at_once_take(struct engine *e);  // says what the writer has reported; whether there was anything
void at_once_close(struct engine *e); // the same for what is left, and drops its memory
// timers.c
enum err_kind timers_fire(struct turn *t, struct err *err);

// settle.c
// An order in hand within a job: read, changed, written back once.
struct hand {
    struct order order;
    struct task *tasks; // by step
    int n;
    unsigned dirty; // bits: tasks to be written
    bool order_dirty, ended;
    const struct partner *partner;
    struct wall partner_now;
    struct sim sim;
    bool has_sim;
};
enum err_kind settle_answers(struct turn *t, struct err *err);
enum err_kind settle_poison(struct turn *t, struct err *err);
enum err_kind hand_take(struct turn *t, const struct task *task, struct hand *h, struct err *err);
enum err_kind hand_put(struct turn *t, struct hand *h, struct err *err);
// Calls (inline) or claims (outside) tasks[i], which is READY and due, and what follows from it, as far as it goes in this job.
enum err_kind hand_go_on(struct turn *t, struct hand *h, int i, struct err *err);
enum err_kind hand_sim(struct turn *t, struct hand *h, struct err *err);
// What is in stock for an eSIM's activation, and the SIM's service. *ok = false: nothing left, the order has failed.
enum err_kind claim_prepare(struct turn *t, struct hand *h, int i, bool *ok, struct err *err);
// tasks[i], just claimed, for an outside peer: what will be called when the claim is on disk.
enum err_kind claim_task(struct turn *t, struct hand *h, int i, int peer, struct err *err);
enum err_kind hand_fail(struct turn *t, struct hand *h, struct err *err);
enum err_kind turn_event(struct turn *t, struct event *e, struct err *err);            // payload from t->payload
struct line *turn_line(struct turn *t, const struct hand *h, const struct task *task); // NULL: not logged at this level
int peer_of(const struct engine *e, const struct task *task);                          // -1: its peer is not configured any more
enum err_kind turn_partner(struct turn *t, int64_t id, const struct partner **out, struct err *err);

#endif
