// SPDX-License-Identifier: Apache-2.0
#include "api/timeline.h"

#include "api/resource.h"
#include "base/date.h"
#include "store/store_order.h"

// Who is asked for each kind of step, and what for.
static const struct {
    const char *who, *whom; // at the beginning of a sentence, and within one
    const char *did, *to_do;
} words[TASK_KINDS] = {
    [TASK_PROFILE_RESERVE] = {"The profile server", "the profile server", "reserved the eSIM profile", "reserve the eSIM profile"},
    [TASK_NETWORK_ENABLE] = {"The network", "the network", "enabled the SIM", "enable the SIM"},
    [TASK_PROFILE_RELEASE] = {"The profile server", "the profile server", "released the eSIM profile", "release the eSIM profile"},
    [TASK_ALLOWANCE_ADD] = {"The network", "the network", "added the allowance", "add the allowance"},
};

struct told_task {
    const struct task *task;
    struct str history;
};

struct writer {
    struct arena *arena;
    struct timeline *t;
    size_t room;
    int64_t offset_ms; // of the partner's clock
};

static struct moment *add(struct writer *w, struct wall at, const char *step, const char *outcome, struct str text) {
    CHECK(w->t->n < w->room);
    struct moment *m = &w->t->list[w->t->n++];
    *m = (struct moment){.at = at, .step = step, .outcome = outcome, .next = WALL_NONE, .text = text};
    return m;
}

static struct wall partners_time(const struct writer *w, struct wall real) {
    return wall_set(real) ? wall_plus_ms(real, w->offset_ms) : real;
}

// ---- one call that came back ----

// "; asking again at ...", or who sees to it when nobody asks again.
static struct str sequel(struct writer *w, const char *what, struct wall next) {
    char at[DATE_TEXT];
    if (!wall_set(next))
        return STR("; the operator has to look at it");
    date_format(partners_time(w, next), at);
    return arena_printf(w->arena, "; %s at %s", what, at);
}

static struct str called(struct writer *w, enum task_kind kind, const struct task_attempt *c) {
    const char *who = words[kind].who, *whom = words[kind].whom;
    struct str note = c->note.n ? arena_printf(w->arena, ": " STR_FMT, STR_ARG(c->note)) : STR("");
    struct str next;
    switch (c->outcome) {
    case OUTCOME_DONE:
        if (c->verb == TASK_CANCEL)
            return arena_printf(w->arena, "What %s had done was taken back.", whom);
        return arena_printf(w->arena, "%s %s%s.", who, words[kind].did,
                            c->verb == TASK_PROBE ? ", as it said when it was asked again" : "");
    case OUTCOME_NOT_DONE:
        if (c->verb == TASK_CANCEL)
            return arena_printf(w->arena, "There was nothing left to be taken back from %s.", whom);
        next = sequel(w, "asking it anew", c->next);
        return arena_printf(w->arena, "%s did not %s" STR_FMT ".", who, words[kind].to_do, STR_ARG(next));
    case OUTCOME_REFUSED:
        if (c->verb == TASK_CANCEL)
            return arena_printf(w->arena, "%s does not take back what it did" STR_FMT "; the operator has to look at it.", who,
                                STR_ARG(note));
        return arena_printf(w->arena, "%s refused to %s" STR_FMT ".", who, words[kind].to_do, STR_ARG(note));
    case OUTCOME_UNAVAILABLE:
        next = sequel(w, "trying again", c->next);
        return arena_printf(w->arena, "%s could not be reached" STR_FMT STR_FMT ".", who, STR_ARG(note), STR_ARG(next));
    case OUTCOME_UNSURE:
        next = sequel(w, c->verb == TASK_CANCEL ? "asking again to take it back" : "asking again what happened", c->next);
        return arena_printf(w->arena, "No answer from %s" STR_FMT ".", whom, STR_ARG(next));
    }
    return STR("");
}

// ---- one task ----

static struct moment *standing(struct writer *w, const struct task *t, struct wall at, const char *outcome, struct str text) {
    struct moment *m = add(w, partners_time(w, at), task_kind_words[t->kind], outcome, text);
    m->peer = t->peer;
    return m;
}

// Where it stands now, as far as no call tells it. `last`: when the last call came back.
static void put_standing(struct writer *w, const struct order *o, const struct task *t, const struct task_attempt *last) {
    const char *whom = words[t->kind].whom;
    struct wall asked = last && wall_set(last->next) ? last->next : t->started;
    switch (t->state) {
    case TASK_BLOCKED:
        if (t->step == 0)
            add(w, o->created, task_kind_words[t->kind], "WAITING", STR("Waiting for an earlier order on the same SIM."));
        break;
    case TASK_READY:
        if (t->verb == TASK_CANCEL && t->attempts == 0)
            standing(w, t, t->due_at, "WAITING", arena_printf(w->arena, "What %s did is being taken back.", whom));
        break;
    case TASK_CLAIMED: {
        const char *what = t->verb == TASK_START   ? words[t->kind].to_do
                           : t->verb == TASK_PROBE ? "say what happened"
                                                   : "take back what it did";
        struct str text = arena_printf(w->arena, "%s was asked to %s; no answer yet.", words[t->kind].who, what);
        standing(w, t, asked, "ASKED", text)->attempt = t->attempts;
        break;
    }
    case TASK_PARKED:
        standing(w, t, t->settled, "PARKED",
                 arena_printf(w->arena, "Given up for now%s" STR_FMT "; the operator has to look at it.", t->note.n ? ": " : "",
                              STR_ARG(t->note)));
        break;
    case TASK_DONE: // by a peer that is part of us
        if (!last)
            standing(w, t, t->settled, "DONE", arena_printf(w->arena, "%s %s.", words[t->kind].who, words[t->kind].did));
        break;
    case TASK_REFUSED:
        if (!last && t->attempts > 0)
            standing(w, t, t->settled, "REFUSED", arena_printf(w->arena, "%s refused to %s.", words[t->kind].who, words[t->kind].to_do));
        break;
    case TASK_UNDONE:
        break;
    }
}

static void put_task(struct writer *w, const struct order *o, const struct told_task *tt) {
    struct str rest = tt->history;
    struct task_attempt call, last;
    int attempt = 0;
    while (task_attempt_take(&rest, &call)) {
        struct moment *m = add(w, partners_time(w, call.at), task_kind_words[tt->task->kind], outcome_words[call.outcome],
                               called(w, tt->task->kind, &call));
        m->peer = call.peer;
        m->attempt = ++attempt;
        m->next = partners_time(w, call.next);
        last = call;
    }
    put_standing(w, o, tt->task, attempt ? &last : NULL);
}

// ---- the whole ----

static void put_end(struct writer *w, const struct order *o) {
    struct str rest = o->failure, line, text = STR("The order failed.");
    if (o->state == ORDER_COMPLETED)
        text = STR("The order is completed.");
    else if (rest.n > 0) {
        str_cut(rest, '\n', &line);
        text = arena_printf(w->arena, "The order failed: " STR_FMT ".", STR_ARG(line));
    }
    add(w, o->finished, "ORDER", order_state_words[o->state], text);
}

// The steps of which nothing is kept, when the order went well.
static void put_builtin(struct writer *w, const struct order *o, const struct told_task *tasks, size_t n) {
    enum task_kind plan[PLAN_MAX];
    int steps = order_plan(o, plan);
    for (int i = 0; i < steps; i++) {
        bool kept = false;
        for (size_t j = 0; j < n; j++)
            kept = kept || tasks[j].task->step == i;
        if (!kept)
            add(w, o->finished, task_kind_words[plan[i]], outcome_words[OUTCOME_DONE],
                arena_printf(w->arena, "%s %s.", words[plan[i]].who, words[plan[i]].did));
    }
}

// By time; equal instants stay as they are.
static void put_in_order(struct timeline *t) {
    for (size_t i = 1; i < t->n; i++) {
        struct moment m = t->list[i];
        size_t at = i;
        for (; at > 0 && t->list[at - 1].at.ms > m.at.ms; at--)
            t->list[at] = t->list[at - 1];
        t->list[at] = m;
    }
}

static size_t lines_in(struct str s) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n;
}

enum err_kind timeline_read(struct tx *tx, const struct order *o, const struct partner *p, struct arena *a, struct timeline *out,
                            struct err *err) {
    struct task *tasks;
    size_t n;
    enum err_kind kind = store_task_of_order(tx, o->id, a, &tasks, &n, err);
    if (kind)
        return kind;
    struct told_task *told = arena_array(a, struct told_task, n + 1);
    if (!told)
        return call_no_memory(err);
    struct timeline t = {0};
    struct writer w = {.arena = a, .t = &t, .room = 2 + PLAN_MAX, .offset_ms = p->clock_offset_ms};
    for (size_t i = 0; i < n; i++) {
        told[i].task = &tasks[i];
        kind = store_task_history(tx, tasks[i].id, a, &told[i].history, err);
        if (kind)
            return kind;
        w.room += lines_in(told[i].history) + 1;
    }
    t.list = arena_array(a, struct moment, w.room);
    if (!t.list)
        return call_no_memory(err);
    add(&w, o->created, "ORDER", order_state_words[ORDER_ACCEPTED], STR("The order was accepted."));
    for (size_t i = 0; i < n; i++)
        put_task(&w, o, &told[i]);
    if (o->state == ORDER_COMPLETED)
        put_builtin(&w, o, told, n);
    if (order_finished(o->state))
        put_end(&w, o);
    put_in_order(&t);
    if (arena_failed(a))
        return call_no_memory(err);
    *out = t;
    return ERR_NONE;
}

void timeline_put(struct jw *w, const char *key, const struct timeline *t) {
    jw_array(w, key);
    for (size_t i = 0; i < t->n; i++) {
        const struct moment *m = &t->list[i];
        jw_object(w, NULL);
        jw_date(w, "at", m->at);
        jw_text(w, "step", m->step);
        if (m->peer.n > 0)
            jw_str(w, "peer", m->peer);
        jw_text(w, "outcome", m->outcome);
        if (m->attempt)
            jw_i64(w, "attempt", m->attempt);
        jw_date_if(w, "next_try", m->next);
        jw_str(w, "text", m->text);
        jw_end_object(w);
    }
    jw_end_array(w);
}

// ---- GET /v2/orders/{id}/timeline ----

struct order_timeline {
    struct order order;
    struct timeline timeline;
};

enum err_kind order_timeline_work(struct call *c, struct tx *tx, struct err *err) {
    struct order_timeline *s = c->state = arena_new(c->arena, struct order_timeline);
    struct uuid id = {{0}};
    if (!s)
        return call_no_memory(err);
    enum err_kind kind = ERR_NOT_FOUND;
    if (uuid_parse(c->params[0], &id)) {
        c->order_id = id;
        kind = store_order_get(tx, id, c->arena, &s->order, err);
    }
    if (kind == ERR_NOT_FOUND)
        return order_not_found(tx, id, c->partner.id, err);
    if (kind)
        return kind;
    if (s->order.partner_id != c->partner.id)
        return err_set(err, ERR_DENIED, "id: the order belongs to another partner");
    return timeline_read(tx, &s->order, &c->partner, c->arena, &s->timeline, err);
}

void order_timeline_reply(struct call *c) {
    const struct order_timeline *s = c->state;
    char id[UUID_TEXT];
    uuid_format(s->order.id, id);
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    timeline_put(&w, "data", &s->timeline);
    jw_object(&w, "_metadata");
    jw_object(&w, "links");
    call_link(c, &w, "_self", "/v2/orders/%s/timeline", id);
    call_link(c, &w, "_order", "/v2/orders/%s", id);
    jw_end_object(&w);
    jw_end_object(&w);
    jw_end_object(&w);
}
