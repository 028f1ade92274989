// SPDX-License-Identifier: Apache-2.0
/*
 * engine.c - the state, and the taking of turns: outcomes in, one job through the store, calls out.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "engine/inside.h"

#define AWAY_TOLERATED 3    // UNAVAILABLE in a row before a peer is left in peace
#define PAUSE_FIRST_MS 1000 // doubled each time up to
#define PAUSE_GREATEST_MS 60000
#define TROUBLE_FIRST_MS 50 // the same for the store
#define TROUBLE_GREATEST_MS 5000
#define TIMERS_NS 1200000      // so long a turn moves subscriptions while nobody waits
#define TIMERS_SHARE 4         // whoever waits: this part of what the rest of a turn takes, and
#define TIMERS_NS_MOST 5000000 // no more
#define TIMERS_PAUSE 2         // after a turn that left some: so many times as long as it took
#define TIMERS_PAUSE_NS_MOST 20000000
#define CLOCKS_MS 1000 // between two looks at sandbox partners' clocks
#define POLL_MS 5000   // another node's work is found by looking

void engine_grow(void **items, size_t *cap, size_t n, size_t size) {
    if (n < *cap)
        return;
    size_t want = *cap ? *cap * 2 : 64;
    char *more = xcalloc(want, size);
    if (n)
        memcpy(more, *items, n * size);
    free(*items);
    *items = more;
    *cap = want;
}

static struct wall earlier(struct wall a, struct wall b) {
    return !wall_set(a) || (wall_set(b) && b.ms < a.ms) ? b : a;
}

// ---- opening, peers, closing ----

void turn_init(struct turn *t, struct engine *e) {
    t->e = e;
    arena_init(&t->arena, TURN_MEMORY_MAX);
    arena_init(&t->scratch, ORDER_MEMORY_MAX);
    buf_init(&t->payload, SNAPSHOT_MAX);
}

void turn_release(struct turn *t) {
    arena_release(&t->arena);
    arena_release(&t->scratch);
    buf_release(&t->payload);
    free(t->lines);
}

static void metrics_open(struct engine_metrics *m) {
    struct metric_family *f;
    m->turns = metric_child(metric_family("topupd_engine_turns_total", "Turns of the engine.", METRIC_COUNTER, NULL, 0), NULL);
    m->tasks = metric_child(metric_family("topupd_engine_tasks_total", "Tasks settled or begun.", METRIC_COUNTER, NULL, 0), NULL);
    m->batch = metric_child(metric_family("topupd_engine_batch_tasks", "Tasks of the last turn.", METRIC_GAUGE, NULL, 0), NULL);
    m->ignored = metric_child(
        metric_family("topupd_engine_answers_ignored_total", "Answers that came twice or too late.", METRIC_COUNTER, NULL, 0), NULL);
    m->parked = metric_child(
        metric_family("topupd_engine_tasks_parked_total", "Tasks given up on, for an operator to see to.", METRIC_COUNTER, NULL, 0), NULL);
    m->timers = metric_child(
        metric_family("topupd_engine_timers_total", "Subscriptions begun or ended by their dates.", METRIC_COUNTER, NULL, 0), NULL);
    m->order_seconds =
        metric_child(metric_family("topupd_order_seconds", "From acceptance of an order to its end.", METRIC_HISTOGRAM, NULL, 0), NULL);
    f = metric_family("topupd_orders_finished_total", "Orders that ended, by state.", METRIC_COUNTER, (const char *const[]){"state"}, 1);
    m->finished[0] = metric_child(f, &order_state_words[ORDER_COMPLETED]);
    m->finished[1] = metric_child(f, &order_state_words[ORDER_FAILED]);
    f = metric_family("topupd_task_seconds", "From a task's first call to an outside peer until it is done.", METRIC_HISTOGRAM,
                      (const char *const[]){"task"}, 1);
    for (int i = 0; i < TASK_KINDS; i++)
        m->task_seconds[i] = metric_child(f, &task_kind_words[i]);
}

enum err_kind engine_open(const struct engine_options *o, struct engine **out, struct err *err) {
    if (o->lease_seconds < 1 || o->call_timeout_seconds < 1 || o->call_timeout_seconds >= o->lease_seconds)
        return err_set(err, ERR_INVALID, "the call's time-out (%d s) must be at least 1 s and less than the lease (%d s)",
                       o->call_timeout_seconds, o->lease_seconds);
    if (o->batch_max < 1 || o->batch_max > 100000)
        return err_set(err, ERR_INVALID, "a batch must be of 1 to 100000 tasks");
    struct engine *e = xcalloc(1, sizeof(*e));
    e->o = *o;
    e->limit = o->batch_max;
    e->retry_at = e->next = e->poll = e->clocks_at = e->clocks_next = WALL_NONE;
    e->first_deadline = (struct mono){INT64_MAX};
    memset(e->route, 0xff, sizeof(e->route));
    CHECK(pthread_mutex_init(&e->lock, NULL) == 0 && pthread_cond_init(&e->changed, NULL) == 0);
    turn_init(&e->turn, e);
    e->turn.drop_leases = true;
    metrics_open(&e->m);
    *out = e;
    return ERR_NONE;
}

static void on_done(void *ctx, int64_t call, const struct peer_outcome *outcome) {
    struct engine *e = ctx;
    pthread_mutex_lock(&e->lock);
    // What has no room is forgotten: its call will be taken as unanswered.
    bool room = e->n_inbox < 2 * (size_t)e->n_slots;
    if (room) {
        engine_grow((void **)&e->inbox, &e->cap_inbox, e->n_inbox, sizeof(*e->inbox));
        e->inbox[e->n_inbox++] = (struct answer){call, *outcome};
    }
    if (e->loop)
        loop_poke(e->loop);
    pthread_mutex_unlock(&e->lock);
}

// Its index; it may be known already.
static int add_peer(struct engine *e, struct peer *p) {
    int i = 0;
    while (i < e->n_peers && e->peers[i].p != p) {
        CHECK(strcmp(e->peers[i].p->name, p->name) != 0); // tasks know their peer by its name
        i++;
    }
    if (i == e->n_peers) {
        CHECK(e->n_peers < ENGINE_PEERS_MAX);
        CHECK(p->ops->is_inline || (p->calls_max > 0 && p->calls_max <= CALLS_MAX));
        e->peers[e->n_peers++].p = p;
        p->done = on_done;
        p->ctx = e;
        struct metric_family *f = metric_family("topupd_peer_outcomes_total", "What peers answered, by peer and outcome.", METRIC_COUNTER,
                                                (const char *const[]){"peer", "outcome"}, 2);
        for (int k = 0; k <= OUTCOME_UNSURE; k++)
            e->peers[i].outcomes[k] = metric_child(f, (const char *const[]){p->name, outcome_words[k]});
    }
    return i;
}

void engine_set_peer(struct engine *e, enum task_kind kind, struct peer *p) {
    CHECK(!e->started);
    e->route[LANE_LIVE][kind] = add_peer(e, p);
}

void engine_set_sandbox_peer(struct engine *e, struct peer *p) {
    CHECK(!e->started);
    for (int kind = 0; kind < TASK_KINDS; kind++)
        e->route[LANE_REHEARSAL][kind] = add_peer(e, p);
}

// The built-in network: one for all lanes.
static int builtin(struct engine *e) {
    for (int i = 0; i < e->n_peers; i++)
        if (strcmp(e->peers[i].p->ops->type, "builtin") == 0)
            return i;
    return add_peer(e, peer_builtin_open("builtin"));
}

void engine_start(struct engine *e) {
    if (e->started)
        return;
    for (int lane = 0; lane < TASK_LANES; lane++)
        for (int kind = 0; kind < TASK_KINDS; kind++)
            if (e->route[lane][kind] < 0)
                e->route[lane][kind] = builtin(e);
    for (int i = 0; i < e->n_peers; i++)
        if (!e->peers[i].p->ops->is_inline)
            e->n_slots += e->peers[i].p->calls_max;
    if (e->n_slots) {
        e->flights = xcalloc((size_t)e->n_slots, sizeof(*e->flights));
        e->turn.planned = xcalloc((size_t)e->n_slots, sizeof(*e->turn.planned));
    }
    e->started = true;
}

void engine_close(struct engine *e) {
    if (!e)
        return;
    engine_stop(e, 0);
    pthread_mutex_lock(&e->lock);
    while (e->state == TURN_RUNNING && !e->answered)
        pthread_cond_wait(&e->changed, &e->lock);
    pthread_mutex_unlock(&e->lock);
    for (int i = 0; i < e->n_peers; i++)
        e->peers[i].p->ops->close(e->peers[i].p);
    at_once_close(e);
    turn_release(&e->turn);
    free(e->turn.settlements);
    free(e->turn.poison);
    free(e->turn.planned);
    free(e->flights);
    free(e->pending);
    free(e->inbox);
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

// ---- outcomes on their way in ----

static struct settlement *add_settlement(struct engine *e, const struct claim *c) {
    engine_grow((void **)&e->pending, &e->cap_pending, e->n_pending, sizeof(*e->pending));
    struct settlement *s = &e->pending[e->n_pending++];
    *s = (struct settlement){.claim = *c};
    return s;
}

// A peer that is away again and again is left in peace for a while; then one call tries whether it is back.
static void peer_heard(struct engine *e, struct engine_peer *ep, const struct peer_outcome *o, struct mono now) {
    metric_add(ep->outcomes[o->kind], 1);
    if (o->kind != OUTCOME_UNAVAILABLE) {
        if (ep->away > AWAY_TOLERATED)
            log_info("peer.back", LOG_TEXT("peer", ep->p->name));
        ep->away = 0;
        ep->paused_until = (struct mono){0};
        return;
    }
    if (now.ns < ep->paused_until.ns || ++ep->away < AWAY_TOLERATED)
        return;
    int doublings = ep->away - AWAY_TOLERATED;
    int64_t ms = doublings < 6 ? (int64_t)PAUSE_FIRST_MS << doublings : PAUSE_GREATEST_MS;
    ms = ms < PAUSE_GREATEST_MS ? ms : PAUSE_GREATEST_MS;
    ep->paused_until = (struct mono){now.ns + ms * 1000000};
    log_warn("peer.away", LOG_TEXT("peer", ep->p->name), LOG_TEXT("note", o->note), LOG_INT("pause_ms", ms));
    (void)e;
}

static void land(struct engine *e, struct flight *f, const struct peer_outcome *o, struct mono now) {
    struct engine_peer *ep = &e->peers[f->peer];
    peer_heard(e, ep, o, now);
    ep->in_flight--;
    e->slots_used--;
    add_settlement(e, &f->claim)->outcome = *o;
    f->call = 0;
}

static void take_answers(struct engine *e, struct mono now) {
    pthread_mutex_lock(&e->lock);
    struct answer *answers = e->inbox;
    size_t n = e->n_inbox;
    e->inbox = NULL;
    e->n_inbox = e->cap_inbox = 0;
    pthread_mutex_unlock(&e->lock);
    for (size_t i = 0; i < n; i++) {
        struct flight *f = &e->flights[answers[i].call % e->n_slots];
        if (answers[i].call > 0 && f->call == answers[i].call && answers[i].outcome.kind <= OUTCOME_UNSURE) {
            land(e, f, &answers[i].outcome, now);
            continue;
        }
        metric_add(e->m.ignored, 1);
        log_info("answer.ignored", LOG_INT("call", answers[i].call), LOG_TEXT("reason", "it came twice or too late"));
    }
    free(answers);
}

static void expire_calls(struct engine *e, struct mono now) {
    if (now.ns < e->first_deadline.ns)
        return;
    struct peer_outcome o = {.kind = OUTCOME_UNSURE};
    snprintf(o.note, sizeof(o.note), "no answer within %d s", e->o.call_timeout_seconds);
    e->first_deadline = (struct mono){INT64_MAX};
    for (int64_t i = 0; i < e->n_slots; i++) {
        struct flight *f = &e->flights[i];
        if (f->call && f->deadline.ns <= now.ns)
            land(e, f, &o, now);
        else if (f->call && f->deadline.ns < e->first_deadline.ns)
            e->first_deadline = f->deadline;
    }
}

// ---- the turn's job ----

void turn_begin(struct turn *t, struct tx *tx) {
    arena_reset(&t->arena);
    arena_reset(&t->scratch);
    memset(t->partners, 0, sizeof(t->partners));
    memset(t->products, 0, sizeof(t->products));
    t->tx = tx;
    t->now = tx_now(tx);
    t->n_planned = t->n_lines = t->taken = 0;
    t->worked = t->timers = 0;
    t->more = t->at_end = t->timers_more = false;
    t->timers_ns = 0;
    t->next = t->clocks_next = WALL_NONE;
    t->at = t->last = (struct claim){0};
    t->at_timer = t->last_timer = (struct uuid){{0}};
    t->at_poison = -1;
    t->budget = t->limit;
}

static enum err_kind turn_run(struct tx *tx, void *ctx, struct err *err) {
    struct turn *t = ctx;
    turn_begin(t, tx);
    for (int i = 0; i < t->e->n_peers; i++)
        t->room[i] = t->offered[i];

    enum err_kind k = ERR_NONE;
    int64_t dropped = 0;
    if (t->drop_leases)
        k = store_task_drop_leases(tx, t->e->o.node, t->now, &dropped, err);
    if (!k)
        k = settle_poison(t, err);
    if (!k)
        k = settle_answers(t, err);
    // While looking for whose fault a failure is, one at a time means one in all; the rest is for the next turn.
    bool alone = t->limit == 1;
    if (!k && t->claims && !(alone && t->taken > 0))
        k = claim_due(t, err);
    if (!k && t->claims && t->fires && !(alone && t->worked > 0))
        k = timers_fire(t, err);
    if (alone && t->worked + t->taken > 0)
        t->more = true;
    t->at_end = !k;
    return k;
}

static void turn_done(void *ctx, enum err_kind kind, const struct err *err) {
    struct turn *t = ctx;
    struct engine *e = t->e;
    pthread_mutex_lock(&e->lock);
    e->kind = kind;
    if (kind)
        e->err = *err;
    e->answered = true;
    pthread_cond_broadcast(&e->changed);
    if (e->loop)
        loop_poke(e->loop);
    pthread_mutex_unlock(&e->lock);
}

// How many calls a peer may be given now.
static int offer(const struct engine_peer *ep, struct mono now) {
    if (ep->p->ops->is_inline || now.ns < ep->paused_until.ns)
        return 0;
    int room = ep->p->calls_max - ep->in_flight;
    if (ep->away >= AWAY_TOLERATED) // is it back? one call will tell
        return ep->in_flight == 0;
    return room;
}

static enum err_kind trouble(struct engine *e, struct wall now, enum err_kind kind, const struct err *from, struct err *err) {
    int64_t ms = e->troubles < 7 ? (int64_t)TROUBLE_FIRST_MS << e->troubles : TROUBLE_GREATEST_MS;
    e->troubles++;
    e->retry_at = wall_plus_ms(now, ms < TROUBLE_GREATEST_MS ? ms : TROUBLE_GREATEST_MS);
    return err_set(err, kind, "%s", err_first(from));
}

static enum err_kind submit(struct engine *e, struct wall now, struct err *err) {
    struct turn *t = &e->turn;
    struct mono mono = clock_mono(e->o.clock);
    for (size_t i = 0; i < e->n_pending; i++) {
        engine_grow((void **)&t->settlements, &t->cap_settlements, t->n_settlements, sizeof(*t->settlements));
        t->settlements[t->n_settlements++] = e->pending[i];
    }
    e->n_pending = 0;
    t->claims = !e->stopping;
    t->fires = mono.ns >= e->timers_at.ns;
    bool look = !wall_set(e->clocks_at) || e->clocks_at.ms <= now.ms || e->clocks_at.ms > now.ms + CLOCKS_MS;
    t->looks_at_clocks = t->fires && (look || (wall_set(e->clocks_next) && e->clocks_next.ms <= now.ms));
    t->timers_least_ns = e->timers_rest_ns / TIMERS_SHARE;
    t->timers_most_ns = t->timers_least_ns < TIMERS_NS ? TIMERS_NS : t->timers_least_ns;
    e->submitted = mono;
    t->limit = e->limit;
    t->start_queue = (t->start_queue + 1) % ENGINE_QUEUES;
    for (int i = 0; i < e->n_peers; i++)
        t->offered[i] = offer(&e->peers[i], mono);
    if (t->looks_at_clocks)
        e->clocks_news = false;
    e->answered = false;
    e->state = TURN_RUNNING;
    e->more = false;
    e->poll = wall_plus_ms(now, POLL_MS);
    t->job = (struct store_job){.run = turn_run, .done = turn_done, .ctx = t, .early = true};
    struct err why = {0};
    enum err_kind k = store_submit(e->o.store, &t->job, &why);
    if (k) { // its queue is full: it is not ours to add to that
        e->state = TURN_NONE;
        return trouble(e, now, k, &why, err);
    }
    return ERR_NONE;
}

// ---- what the turn brought ----

void engine_say(struct engine *e, const struct line *l) {
    switch (l->what) {
    case LINE_STEP:
        log_info("order.step", LOG_ID("order", l->order_id), LOG_INT("partner", l->partner_id), LOG_TEXT("task", task_kind_words[l->kind]),
                 LOG_TEXT("peer", l->peer), LOG_TEXT("verb", task_verb_words[l->verb]), LOG_TEXT("outcome", outcome_words[l->outcome]),
                 LOG_INT("attempt", l->attempt), LOG_STR("note", l->note), LOG_STR("correlation", l->correlation_id));
        if (l->done)
            metric_observe_us(e->m.task_seconds[l->kind], l->ms * 1000);
        break;
    case LINE_FINISHED:
        log_info("order.finished", LOG_ID("order", l->order_id), LOG_INT("partner", l->partner_id),
                 LOG_TEXT("state", order_state_words[l->state]), LOG_INT("ms", l->ms), LOG_STR("failure", l->note),
                 LOG_STR("correlation", l->correlation_id));
        metric_add(e->m.finished[l->state == ORDER_FAILED], 1);
        if (l->ms >= 0)
            metric_observe_us(e->m.order_seconds, l->ms * 1000);
        break;
    case LINE_IGNORED:
        log_warn("answer.ignored", LOG_ID("order", l->order_id), LOG_TEXT("outcome", outcome_words[l->outcome]),
                 LOG_INT("attempt", l->attempt), LOG_TEXT("reason", "this node does not hold the task any more"));
        metric_add(e->m.ignored, 1);
        break;
    case LINE_PARKED:
        log_warn("task.parked", LOG_ID("order", l->order_id), LOG_INT("partner", l->partner_id), LOG_TEXT("task", task_kind_words[l->kind]),
                 LOG_TEXT("peer", l->peer), LOG_TEXT("verb", task_verb_words[l->verb]), LOG_INT("attempt", l->attempt),
                 LOG_STR("note", l->note), LOG_STR("correlation", l->correlation_id));
        metric_add(e->m.parked, 1);
        break;
    }
}

// Calls what was claimed.
static void make_calls(struct engine *e, struct wall now) {
    struct turn *t = &e->turn;
    struct mono mono = clock_mono(e->o.clock);
    int64_t slot = 0;
    for (size_t i = 0; i < t->n_planned; i++) {
        struct planned *p = &t->planned[i];
        // A claim that is so old that the call could outlive it is not used: another node may be at it.
        if (now.ms > p->claim.lease_until.ms - (int64_t)e->o.call_timeout_seconds * 1000) {
            struct settlement *s = add_settlement(e, &p->claim);
            s->outcome.kind = OUTCOME_UNAVAILABLE;
            snprintf(s->outcome.note, sizeof(s->outcome.note), "not sent: the claim took too long");
            continue;
        }
        while (e->flights[slot].call)
            slot++; // there is one: a peer is offered no more than it has left
        struct engine_peer *ep = &e->peers[p->peer];
        struct flight *f = &e->flights[slot];
        *f = (struct flight){.call = ++e->sequence * e->n_slots + slot,
                             .claim = p->claim,
                             .peer = p->peer,
                             .deadline = {mono.ns + (int64_t)e->o.call_timeout_seconds * 1000000000}};
        if (f->deadline.ns < e->first_deadline.ns)
            e->first_deadline = f->deadline;
        ep->in_flight++;
        e->slots_used++;
        p->request.call = f->call;
        p->request.deadline = f->deadline;
        ep->p->ops->call(ep->p, &p->request);
    }
    t->n_planned = 0;
}

static bool is_fault_of_an_order(enum err_kind k) {
    return k == ERR_CORRUPT || k == ERR_INTERNAL || k == ERR_CONFLICT;
}

static void shun(struct engine *e, int64_t task_id, const struct err *why) {
    log_error("task.shunned", LOG_INT("task", task_id), LOG_ERR(why));
    if (e->n_shunned < SHUNNED_MAX)
        e->shunned[e->n_shunned++] = task_id;
}

// The job failed: is it one order's fault, then it goes on without that order.
static enum err_kind failed(struct engine *e, struct wall now, struct err *err) {
    struct turn *t = &e->turn;
    if (!is_fault_of_an_order(e->kind) || e->n_shunned == SHUNNED_MAX || e->n_shunned_timers == SHUNNED_MAX)
        return trouble(e, now, e->kind, &e->err, err);
    if (t->at_end && e->limit == 1) { // it came out at the commit, but there was only one
        t->at = t->last;
        t->at_timer = t->last_timer;
    }
    if (!uuid_is_zero(t->at_timer)) { // there is nothing to park; a restart tries it again
        log_error("timer.shunned", LOG_ID("subscription", t->at_timer), LOG_ERR(&e->err));
        e->shunned_timers[e->n_shunned_timers++] = t->at_timer;
        return ERR_NONE;
    }
    if (t->at.task_id == 0 && t->at_poison < 0) {
        // It came out at the commit, or before any order was in hand: fewer at a time show whose it is.
        if (e->limit == 1)
            return trouble(e, now, e->kind, &e->err, err);
        e->limit /= 2;
        return ERR_NONE;
    }
    if (t->at_poison >= 0) {
        shun(e, t->poison[t->at_poison].claim.task_id, &e->err);
        t->poison[t->at_poison] = t->poison[--t->n_poison];
        return ERR_NONE;
    }
    engine_grow((void **)&t->poison, &t->cap_poison, t->n_poison, sizeof(*t->poison));
    struct poison *p = &t->poison[t->n_poison++];
    *p = (struct poison){.claim = t->at};
    snprintf(p->reason, sizeof(p->reason), "%s: %s", err_kind_name(e->kind), err_first(&e->err));
    log_error("order.poison", LOG_INT("task", t->at.task_id), LOG_ERR(&e->err));
    if (t->at.attempt > 0) // it was an outcome that could not be recorded
        for (size_t i = 0; i < t->n_settlements; i++)
            if (t->settlements[i].claim.task_id == t->at.task_id) {
                memmove(&t->settlements[i], &t->settlements[i + 1], (t->n_settlements - i - 1) * sizeof(*t->settlements));
                t->n_settlements--;
                break;
            }
    return ERR_NONE;
}

// Orders must not wait for what time does to a million subscriptions at once: a turn leaves off as soon as a job waits behind it (timers.c)
// and is followed by a pause. Under such a load that jobs always wait, a share of the writer's time is theirs. After the pause the next
// turn begins when orders have just been committed, because then it is longest until others come; it does not wait for that longer than for
// another pause.
static void finish_timers(struct engine *e) {
    struct turn *t = &e->turn;
    struct mono mono = clock_mono(e->o.clock);
    int64_t turn_ns = mono.ns - e->submitted.ns;
    int64_t pause_ns = turn_ns < TIMERS_PAUSE_NS_MOST / TIMERS_PAUSE ? turn_ns * TIMERS_PAUSE : TIMERS_PAUSE_NS_MOST;
    if (!t->fires)
        return;
    e->timers_more = t->timers_more;
    if (t->timers_more)
        e->timers_at = (struct mono){mono.ns + pause_ns};
    e->timers_latest = (struct mono){e->timers_at.ns + pause_ns};
    if (t->timers > 0) {
        int64_t rest = turn_ns - t->timers_ns;
        rest = rest < TIMERS_NS_MOST * TIMERS_SHARE ? rest : TIMERS_NS_MOST * TIMERS_SHARE;
        e->timers_rest_ns += (rest - e->timers_rest_ns) / 8;
    }
    metric_add(e->m.timers, t->timers);
    e->timers_fired += t->timers;
    if (e->timers_fired > 0 && !t->timers_more) {
        log_info("timers.fired", LOG_INT("subscriptions", e->timers_fired));
        e->timers_fired = 0;
    }
}

static enum err_kind finish(struct engine *e, struct wall now, struct err *err) {
    struct turn *t = &e->turn;
    e->state = TURN_NONE;
    if (e->kind) {
        e->more = true;
        return failed(e, now, err);
    }
    e->troubles = 0;
    e->retry_at = WALL_NONE;
    if (e->limit < e->o.batch_max)
        e->limit = e->limit * 2 < e->o.batch_max ? e->limit * 2 : e->o.batch_max;
    t->drop_leases = false;
    t->n_poison = 0;
    t->n_settlements -= t->taken;
    if (t->n_settlements > 0)
        memmove(t->settlements, t->settlements + t->taken, t->n_settlements * sizeof(*t->settlements));
    metric_add(e->m.turns, 1);
    finish_timers(e);
    if (t->worked) {
        metric_add(e->m.tasks, t->worked);
        metric_set(e->m.batch, t->worked);
    }
    for (size_t i = 0; i < t->n_lines; i++)
        engine_say(e, &t->lines[i]);
    e->more = t->more;
    e->next = t->next;
    if (t->looks_at_clocks)
        e->clocks_next = t->clocks_next;
    if (t->looks_at_clocks && !t->timers_more)
        e->clocks_at = wall_plus_ms(t->now, CLOCKS_MS);
    else if (t->worked > 0) // subscriptions of its own making
        e->clocks_news = true;
    e->next = earlier(e->next, e->clocks_next);
    if (e->clocks_news) // of a clock, perhaps, or of something that waits on one
        e->next = earlier(e->next, e->clocks_at);
    // What is due and was not taken has nobody to take it now; looking again at once would find the same.
    if (wall_set(e->next) && e->next.ms <= now.ms)
        e->next = wall_plus_ms(now, 1000);
    make_calls(e, now);
    return ERR_NONE;
}

// ---- steps ----

static struct wall wall_of(struct wall now, struct mono mono_now, int64_t ns) {
    int64_t ahead = ns - mono_now.ns;
    return wall_plus_ms(now, ahead <= 0 ? 0 : (ahead + 999999) / 1000000);
}

// With no job running: a running one has the turn.
static size_t unsettled(const struct engine *e) {
    return e->n_pending + e->turn.n_settlements;
}

bool engine_quiet(struct engine *e) {
    return e->state == TURN_NONE && e->slots_used == 0 && unsettled(e) == 0;
}

enum err_kind engine_turn(struct engine *e, bool force, struct wall *wake, struct err *err) {
    engine_start(e);
    struct wall now = clock_wall(e->o.clock);
    struct mono mono = clock_mono(e->o.clock);
    enum err_kind k = ERR_NONE;

    pthread_mutex_lock(&e->lock);
    bool answered = e->answered;
    pthread_mutex_unlock(&e->lock);
    if (e->state == TURN_RUNNING && answered)
        k = finish(e, now, err);

    int64_t tick = INT64_MAX;
    for (int i = 0; i < e->n_peers; i++) {
        const struct peer_ops *ops = e->peers[i].p->ops;
        int64_t next = ops->tick ? ops->tick(e->peers[i].p, mono) : INT64_MAX;
        tick = next < tick ? next : tick;
    }
    take_answers(e, mono);
    expire_calls(e, mono);
    bool passed = at_once_take(e);

    if (e->state == TURN_NONE && !k) {
        bool waits = wall_set(e->retry_at) && now.ms < e->retry_at.ms;
        bool kicked = atomic_exchange(&e->kicked, false);
        e->clocks_news |= kicked;
        bool due = (wall_set(e->next) && e->next.ms <= now.ms) || !wall_set(e->poll) || e->poll.ms <= now.ms;
        // A wall clock set back must not leave the engine waiting for the old time to come again.
        bool back = wall_set(e->poll) && e->poll.ms > now.ms + POLL_MS;
        bool timers = e->timers_more && (passed ? e->timers_at : e->timers_latest).ns <= mono.ns;
        if (!waits && (force || kicked || due || back || e->more || timers || unsettled(e) > 0)) {
            k = submit(e, now, err);
            if (!k && e->state == TURN_RUNNING) {
                pthread_mutex_lock(&e->lock);
                answered = e->answered;
                pthread_mutex_unlock(&e->lock);
                if (answered) { // a store without a thread has run it already
                    k = finish(e, now, err);
                    mono = clock_mono(e->o.clock);
                    for (int i = 0; i < e->n_peers; i++) {
                        const struct peer_ops *ops = e->peers[i].p->ops;
                        int64_t next = ops->tick ? ops->tick(e->peers[i].p, mono) : INT64_MAX;
                        tick = next < tick ? next : tick;
                    }
                }
            }
        } else if (kicked) {
            atomic_store(&e->kicked, true);
        }
    }

    pthread_mutex_lock(&e->lock);
    bool inbox = e->n_inbox > 0;
    pthread_mutex_unlock(&e->lock);
    struct wall at = WALL_NONE;
    if (tick != INT64_MAX)
        at = earlier(at, wall_of(now, mono, tick));
    if (e->first_deadline.ns != INT64_MAX)
        at = earlier(at, wall_of(now, mono, e->first_deadline.ns));
    if (e->state == TURN_NONE && wall_set(e->retry_at)) {
        at = earlier(at, e->retry_at);
    } else if (e->state == TURN_NONE) {
        at = earlier(at, e->next);
        if (e->timers_more)
            at = earlier(at, wall_of(now, mono, e->timers_latest.ns));
        for (int i = 0; i < e->n_peers; i++)
            if (e->peers[i].paused_until.ns > mono.ns)
                at = earlier(at, wall_of(now, mono, e->peers[i].paused_until.ns));
        if (inbox || e->more || unsettled(e) > 0 || atomic_load(&e->kicked))
            at = now;
    }
    *wake = at;
    return k;
}

enum err_kind engine_step(struct engine *e, struct wall *wake, struct err *err) {
    return engine_turn(e, true, wake, err);
}
