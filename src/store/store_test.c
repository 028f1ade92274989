// SPDX-License-Identifier: Apache-2.0
/*
 * store_test.c - jobs, transactions, readers, opening and closing: what store.h promises besides the verbs. Whether a file of SQLite's may
 * be opened is tested here, too; the rest holds for any driver.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store/db.h"
#include "store/statements.h"
#include "store/testing.h"

// ---- jobs that remember how they ended ----

struct note {
    struct store_job job;
    struct fixture *f;
    iccid_t iccid; // the SIM that this job adds
    int runs, order;
    bool done;
    enum err_kind kind;
    char message[128];
    int64_t sequence; // of the event it wrote
    bool early;
    bool fails_after_writing;
    bool orders_what_is_not_its_own; // an order besides
};

static int finished; // counts answers, to see their order; set to 0 by each test that looks

static void note_done(void *ctx, enum err_kind kind, const struct err *err) {
    struct note *n = ctx;
    n->done = true;
    n->kind = kind;
    n->order = ++finished;
    snprintf(n->message, sizeof n->message, "%s", kind ? err_first(err) : "");
}

// Adds a SIM and an event; a SIM that is there already is its failure, found before it writes anything.
static enum err_kind note_run(struct tx *tx, void *ctx, struct err *err) {
    struct note *n = ctx;
    struct sim s = fixture_sim(n->iccid, n->f->live.id), there;
    struct event e = {.partner_id = n->f->live.id, .type = EVENT_SIM_ACTIVATED, .created = tx_now(tx), .iccid = n->iccid};
    struct arena a;
    n->runs++;
    arena_init(&a, 4096);
    enum err_kind kind = store_sim_get(tx, n->iccid, &a, &there, err);
    arena_release(&a);
    if (!kind)
        return err_set(err, ERR_CONFLICT, "there already");
    if (kind != ERR_NOT_FOUND)
        return kind;
    kind = store_sim_insert(tx, &s, err);
    if (!kind)
        kind = store_event_append(tx, &e, err);
    if (!kind && n->orders_what_is_not_its_own) {
        struct order o = fixture_order(tx, &n->f->product, n->iccid);
        o.product_id = n->f->other_product.id;
        kind = store_order_insert(tx, &o, err);
    }
    if (kind)
        return kind;
    n->sequence = e.sequence;
    return n->fails_after_writing ? err_set(err, ERR_REFUSED, "after writing") : ERR_NONE;
}

static struct note note_new(struct fixture *f, iccid_t iccid) {
    return (struct note){.f = f, .iccid = iccid};
}

static void note_submit(struct note *n) {
    struct err err = {0};
    n->job = (struct store_job){.run = note_run, .done = note_done, .ctx = n, .early = n->early};
    if (store_submit(n->f->store, &n->job, &err))
        fail_msg("%s", err_first(&err));
}

// Submits the notes from inside another job's answer: without a thread they are then one batch.
struct batch {
    struct note *notes;
    size_t n;
};

static void batch_done(void *ctx, enum err_kind kind, const struct err *err) {
    (void)err;
    struct batch *b = ctx;
    assert_int_equal(kind, ERR_NONE);
    for (size_t i = 0; i < b->n; i++)
        note_submit(&b->notes[i]);
    for (size_t i = 0; i < b->n; i++)
        assert_false(b->notes[i].done);
}

JOB(nothing_job) {
    return ERR_NONE;
}

static void run_as_batch(struct fixture *f, struct note *notes, size_t n) {
    struct batch b = {notes, n};
    struct store_job job = {.run = nothing_job, .done = batch_done, .ctx = &b};
    struct err err = {0};
    finished = 0;
    assert_int_equal(store_submit(f->store, &job, &err), ERR_NONE);
    for (size_t i = 0; i < n; i++)
        assert_true(notes[i].done);
}

static bool there_is(struct fixture *f, iccid_t iccid) {
    struct err *err = &f->err;
    struct tx *tx = NULL;
    struct sim s;
    OK(store_read_begin(f->store, &tx, err));
    enum err_kind kind = store_sim_get(tx, iccid, &f->arena, &s, err);
    store_read_end(tx);
    return kind == ERR_NONE;
}

// The partner's events are 1 ... n, no gap; n is the answer.
static int64_t events_without_gap(struct fixture *f) {
    struct err *err = &f->err;
    struct tx *tx = NULL;
    struct event *events = NULL;
    size_t n = 0;
    OK(store_read_begin(f->store, &tx, err));
    OK(store_event_list(tx, f->live.id, 0, 100000, &f->arena, &events, &n, err));
    store_read_end(tx);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(events[i].sequence, i + 1);
    return (int64_t)n;
}

// ---- group commit ----

static void a_batch_is_one_commit_and_answers_in_order(void **state) {
    struct fixture *f = *state;
    struct note notes[5];
    struct store_stats before, after;
    for (int i = 0; i < 5; i++)
        notes[i] = note_new(f, i + 1);
    store_stats_get(f->store, &before);
    run_as_batch(f, notes, 5);
    store_stats_get(f->store, &after);
    assert_int_equal(after.batches - before.batches, 2); // the one that submitted them, and they
    assert_int_equal(after.jobs - before.jobs, 6);
    assert_int_equal(after.last_batch_jobs, 5);
    assert_int_equal(after.queued, 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(notes[i].kind, ERR_NONE);
        assert_int_equal(notes[i].order, i + 1);
        assert_int_equal(notes[i].runs, 1);
        assert_int_equal(notes[i].sequence, i + 1);
        assert_true(there_is(f, i + 1));
    }
}

static void early_jobs_go_before_those_that_wait(void **state) {
    struct fixture *f = *state;
    static const int order[] = {4, 1, 5, 2, 3, 6};
    for (size_t max = 1; max <= 1000; max += 999) { // and when a batch ends among them
        fixture_close(f);
        f->options.batch_max = max;
        fixture_open(f);
        struct note notes[6];
        for (int i = 0; i < 6; i++) {
            notes[i] = note_new(f, (iccid_t)(max * 10) + i);
            notes[i].early = i == 1 || i == 3 || i == 4;
        }
        run_as_batch(f, notes, 6);
        for (int i = 0; i < 6; i++)
            assert_int_equal(notes[i].order, order[i]);
    }
}

static void a_refused_job_costs_the_others_nothing(void **state) {
    struct fixture *f = *state;
    struct note notes[] = {note_new(f, 1), note_new(f, 1), note_new(f, 2)};
    run_as_batch(f, notes, 3);
    assert_int_equal(notes[0].kind, ERR_NONE);
    assert_int_equal(notes[1].kind, ERR_CONFLICT);
    assert_string_equal(notes[1].message, "there already");
    assert_int_equal(notes[2].kind, ERR_NONE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(notes[i].runs, 1); // it had written nothing: nothing was undone
    assert_int_equal(events_without_gap(f), 2);
}

static void a_job_that_fails_after_writing_is_undone_alone(void **state) {
    struct fixture *f = *state;
    struct note notes[] = {note_new(f, 1), note_new(f, 2), note_new(f, 3), note_new(f, 2)};
    notes[1].fails_after_writing = true;
    run_as_batch(f, notes, 4);
    assert_int_equal(notes[0].kind, ERR_NONE);
    assert_int_equal(notes[1].kind, ERR_REFUSED);
    assert_string_equal(notes[1].message, "after writing");
    assert_int_equal(notes[2].kind, ERR_NONE);
    assert_int_equal(notes[3].kind, ERR_NONE); // sees nothing of the one that failed
    for (int i = 0; i < 4; i++)
        assert_int_equal(notes[i].order, i + 1);
    assert_true(there_is(f, 1) && there_is(f, 2) && there_is(f, 3));
    assert_int_equal(events_without_gap(f), 3);
    assert_int_equal(notes[3].sequence, 3);

    struct note alone = note_new(f, 9);
    alone.fails_after_writing = true;
    note_submit(&alone);
    assert_int_equal(alone.kind, ERR_REFUSED);
    assert_false(there_is(f, 9));
    assert_int_equal(events_without_gap(f), 3);
    struct note next = note_new(f, 10);
    note_submit(&next);
    assert_int_equal(next.sequence, 4);
}

// ---- the end of a transaction ----

struct ending {
    int runs, committed, orders;
    enum err_kind fails;
};

static enum err_kind ending_run(struct tx *tx, void *ctx, struct err *err) {
    struct ending *e = ctx;
    struct task t;
    e->runs++;
    e->orders = 0;
    while (store_order_fresh(tx, (size_t)e->orders, &t) == ERR_NONE)
        e->orders++;
    return e->fails ? err_set(err, e->fails, "ending") : ERR_NONE;
}

static void ending_committed(void *ctx) {
    ((struct ending *)ctx)->committed++;
}

static enum err_kind order_alone_job(struct tx *tx, void *ctx, struct err *err) {
    struct fixture *f = ctx;
    struct order o = fixture_order(tx, &f->product, ICCID_A);
    return store_order_insert(tx, &o, err);
}

static void work_at_the_end_sees_new_orders_and_may_fail_without_harm(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct ending e = {0};
    store_at_end(f->store, &(struct store_end){ending_run, ending_committed, &e});
    RUN(f, nothing_job); // no order, no call
    assert_int_equal(e.runs, 0);
    RUN(f, order_alone_job);
    assert_int_equal(e.runs, 1);
    assert_int_equal(e.orders, 1);
    assert_int_equal(e.committed, 1);
    e.fails = ERR_CONFLICT;
    RUN(f, order_alone_job); // all the same
    assert_int_equal(e.runs, 2);
    assert_int_equal(e.committed, 1);
    struct tx *tx = NULL;
    struct order_filter filter = {.state = -1, .iccid = ICCID_NONE, .before = WALL_NONE, .after = WALL_NONE};
    struct order *orders;
    size_t n;
    OK(store_read_begin(f->store, &tx, err));
    OK(store_order_list(tx, &filter, 0, 10, &f->arena, &orders, &n, NULL, err));
    store_read_end(tx);
    assert_int_equal(n, 2);
}

#define MANY_ORDERS 21 // more than go into two statements

static enum err_kind many_orders_job(struct tx *tx, void *ctx, struct err *err) {
    struct fixture *f = ctx;
    enum err_kind kind = ERR_NONE;
    for (int i = 0; i < MANY_ORDERS && !kind; i++) {
        struct order o = fixture_order(tx, &f->product, ICCID_A);
        struct subscription s = fixture_subscription(&o, tx_now(tx));
        struct task t = fixture_task(tx, &o, 0);
        char correlation[16];
        snprintf(correlation, sizeof correlation, "many-%d", i);
        o.correlation_id = str_of(correlation);
        o.state = i % 2 ? ORDER_COMPLETED : ORDER_ACCEPTED;
        o.finished = i % 2 ? tx_now(tx) : WALL_NONE;
        s.initial_bytes = 1000 + i;
        kind = store_order_insert(tx, &o, err);
        if (!kind && i % 2 == 0)
            kind = store_task_insert(tx, &t, err);
        if (!kind && i != 4)
            kind = store_subscription_insert(tx, &s, err);
    }
    return kind;
}

static void orders_that_are_written_many_at_once_are_each_as_they_were(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct ending e = {0};
    store_at_end(f->store, &(struct store_end){ending_run, ending_committed, &e});
    RUN(f, many_orders_job);
    assert_int_equal(e.orders, MANY_ORDERS);
    struct tx *tx = NULL;
    struct order_filter filter = {.state = -1, .iccid = ICCID_NONE, .before = WALL_NONE, .after = WALL_NONE};
    struct order *orders;
    struct subscription s;
    struct task *tasks;
    size_t n, n_tasks;
    OK(store_read_begin(f->store, &tx, err));
    OK(store_order_list(tx, &filter, 0, 100, &f->arena, &orders, &n, NULL, err));
    assert_int_equal(n, MANY_ORDERS);
    for (int i = 0; i < MANY_ORDERS; i++) {
        const struct order *o = &orders[MANY_ORDERS - 1 - i];
        char correlation[16];
        snprintf(correlation, sizeof correlation, "many-%d", i);
        IS_STR(o->correlation_id, correlation);
        assert_int_equal(o->state, i % 2 ? ORDER_COMPLETED : ORDER_ACCEPTED);
        OK(store_task_of_order(tx, o->id, &f->arena, &tasks, &n_tasks, err));
        assert_int_equal(n_tasks, i % 2 ? 0 : 1);
        if (i == 4) {
            FAILS(ERR_NOT_FOUND, store_subscription_get(tx, o->id, &f->arena, &s, err));
            continue;
        }
        OK(store_subscription_get(tx, o->id, &f->arena, &s, err));
        assert_int_equal(s.initial_bytes, 1000 + i);
    }
    store_read_end(tx);
}

static void an_order_that_comes_to_nothing_when_it_is_written_is_its_own_jobs_fault(void **state) {
    struct fixture *f = *state;
    struct ending e = {0};
    store_at_end(f->store, &(struct store_end){ending_run, ending_committed, &e});
    struct note notes[] = {note_new(f, 1), note_new(f, 2), note_new(f, 3)};
    notes[1].orders_what_is_not_its_own = true;
    run_as_batch(f, notes, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(notes[i].kind, i == 1 ? ERR_CONFLICT : ERR_NONE);
        assert_int_equal(there_is(f, i + 1), i != 1);
    }
    assert_non_null(strstr(notes[1].message, "product"));
    assert_int_equal(e.committed, 0);
    assert_int_equal(events_without_gap(f), 2);
}

static void a_batch_has_a_maximum(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    f->options.batch_max = 2;
    fixture_open(f);
    fixture_fill(f);
    OK(store_ping(f->store, err));
    struct note notes[5];
    struct store_stats before, after;
    for (int i = 0; i < 5; i++)
        notes[i] = note_new(f, i + 1);
    store_stats_get(f->store, &before);
    run_as_batch(f, notes, 5);
    store_stats_get(f->store, &after);
    assert_int_equal(after.batches - before.batches, 1 + 3);
    for (int i = 0; i < 5; i++)
        assert_int_equal(notes[i].order, i + 1);
}

struct overfull {
    struct fixture *f;
    struct note notes[4];
};

static void overfull_done(void *ctx, enum err_kind kind, const struct err *failed) {
    (void)kind;
    (void)failed;
    struct overfull *o = ctx;
    struct err e = {0}, *err = &e;
    for (int i = 0; i < 3; i++)
        note_submit(&o->notes[i]);
    struct note *last = &o->notes[3];
    last->job = (struct store_job){.run = note_run, .done = note_done, .ctx = last};
    FAILS(ERR_BUSY, store_submit(o->f->store, &last->job, err));
}

static void a_full_queue_refuses(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    f->options.queue_max = 3;
    fixture_open(f);
    fixture_fill(f);
    struct overfull o = {f, {note_new(f, 1), note_new(f, 2), note_new(f, 3), note_new(f, 4)}};
    struct store_job job = {.run = nothing_job, .done = overfull_done, .ctx = &o};
    OK(store_submit(f->store, &job, err));
    for (int i = 0; i < 3; i++)
        assert_true(o.notes[i].done);
    assert_false(o.notes[3].done);
    assert_false(there_is(f, 4));
}

// ---- numbers, ids, time ----

JOB(number_job) {
    struct fixture *f = ctx;
    int64_t number = tx_number(tx);
    assert_true(number > f->i);
    f->i = (int)number;
    return ERR_NONE;
}

JOB(number_then_fail_job) {
    struct fixture *f = ctx;
    f->i = (int)tx_number(tx);
    return err_set(err, ERR_REFUSED, "no");
}

static void numbers_grow_and_never_come_again(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++)
            RUN(f, number_job);
        FAILS(ERR_REFUSED, store_run(f->store, number_then_fail_job, f, err));
        RUN(f, number_job);
        fixture_close(f);
        fixture_open(f);
    }
    RUN(f, number_job);
}

struct ids {
    struct uuid first, second, later, other;
    struct fixture *f;
};

JOB(ids_job) {
    struct ids *ids = ctx;
    ids->first = tx_new_id(tx, ids->f->live.id);
    ids->second = tx_new_id(tx, ids->f->sandbox.id);
    return ERR_NONE;
}
JOB(later_ids_job) {
    struct ids *ids = ctx;
    ids->later = tx_new_id(tx, ids->f->live.id);
    assert_int_equal(tx_now(tx).ms, NOW_MS - 3600000);
    return ERR_NONE;
}

static void ids_grow_even_when_the_clock_goes_back(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct ids ids = {.f = f};
    OK(store_run(f->store, ids_job, &ids, err));
    clock_manual_jump(&f->manual, -3600000);
    OK(store_run(f->store, later_ids_job, &ids, err));
    assert_int_equal(uuid_partner(ids.first), f->live.id);
    assert_int_equal(uuid_partner(ids.second), f->sandbox.id);
    assert_int_equal(uuid_time(ids.first).ms, NOW_MS);
    assert_true(uuid_cmp(ids.first, ids.second) < 0);
    assert_true(uuid_cmp(ids.second, ids.later) < 0);
}

// ---- readers ----

static void a_reader_sees_one_state(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct tx *old = NULL, *fresh = NULL;
    struct sim s;
    OK(store_read_begin(f->store, &old, err));
    FAILS(ERR_NOT_FOUND, store_sim_get(old, 1, &f->arena, &s, err));
    struct note n = note_new(f, 1);
    note_submit(&n); // the writer does not wait for readers
    assert_int_equal(n.kind, ERR_NONE);
    FAILS(ERR_NOT_FOUND, store_sim_get(old, 1, &f->arena, &s, err));
    OK(store_read_begin(f->store, &fresh, err));
    OK(store_sim_get(fresh, 1, &f->arena, &s, err));
    store_read_end(fresh);
    store_read_end(old);
    OK(store_read_begin(f->store, &old, err));
    OK(store_sim_get(old, 1, &f->arena, &s, err));
    store_read_end(old);
}

// ---- news ----

static struct store *told_by; // whose store_told hear() looks at; NULL: nobody's

struct heard {
    struct store_told told[8];
    size_t n_told;
    unsigned news;
    int times;
};

static void hear(void *ctx, unsigned news) {
    struct heard *h = ctx;
    h->news |= news;
    h->times++;
    bool all = false;
    size_t n = 0;
    const struct store_told *told = told_by ? store_told(told_by, &n, &all) : NULL;
    assert_true(!told_by || all);
    for (h->n_told = 0; h->n_told < n; h->n_told++)
        h->told[h->n_told] = told[h->n_told];
}

static void only_what_was_committed_is_news(void **state) {
    struct fixture *f = *state;
    struct heard events = {0}, others = {0};
    store_on_commit(f->store, NEWS_EVENTS | NEWS_TASKS, hear, &events);
    store_on_commit(f->store, NEWS_KEYS, hear, &others);
    told_by = f->store;
    struct note failing = note_new(f, 1);
    failing.fails_after_writing = true;
    note_submit(&failing);
    assert_int_equal(events.times, 0);

    struct note notes[] = {note_new(f, 1), note_new(f, 2), note_new(f, 3)};
    notes[1].fails_after_writing = true;
    run_as_batch(f, notes, 3);
    assert_int_equal(events.times, 1);
    assert_int_equal(events.news, NEWS_EVENTS);
    assert_int_equal(events.n_told, 2); // not that of the job which was undone
    for (int i = 0; i < 2; i++) {
        assert_int_equal(events.told[i].partner_id, f->live.id);
        assert_int_equal(events.told[i].sequence, i + 1);
        assert_int_equal(events.told[i].type, EVENT_SIM_ACTIVATED);
    }
    notes[0] = note_new(f, 7);
    notes[1] = note_new(f, 8);
    notes[0].fails_after_writing = notes[1].fails_after_writing = true;
    run_as_batch(f, notes, 2);
    assert_int_equal(events.times, 1);
    assert_int_equal(others.times, 0);
    told_by = NULL;
}

JOB(many_events_job) {
    struct fixture *f = ctx;
    struct event e = {.partner_id = f->live.id, .type = EVENT_SIM_ACTIVATED, .created = tx_now(tx), .iccid = ICCID_NONE};
    for (int i = 0; i <= STORE_TOLD_MAX; i++)
        OK(store_event_append(tx, &e, err));
    return ERR_NONE;
}

static void hear_many(void *ctx, unsigned news) {
    (void)news;
    bool all = true, *said = ctx;
    size_t n = 0;
    const struct store_told *told = store_told(told_by, &n, &all);
    assert_int_equal(n, STORE_TOLD_MAX);
    assert_int_equal(told[n - 1].sequence, n);
    *said = !all;
}

static void news_of_very_many_events_says_that_there_are_more(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    bool said = false;
    told_by = f->store;
    store_on_commit(f->store, NEWS_EVENTS, hear_many, &said);
    OK(store_run(f->store, many_events_job, f, err));
    assert_true(said);
    told_by = NULL;
}

// ---- opening ----

static void everything_is_there_after_reopening(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    assert_true(store_is_fresh(f->store));
    struct note notes[20];
    for (int i = 0; i < 20; i++) {
        notes[i] = note_new(f, i + 1);
        note_submit(&notes[i]);
    }
    fixture_close(f);
    f->options.may_create = false;
    fixture_open(f);
    assert_false(store_is_fresh(f->store));
    assert_int_equal(events_without_gap(f), 20);
    for (int i = 0; i < 20; i++)
        assert_true(there_is(f, i + 1));
    struct note n = note_new(f, 21);
    note_submit(&n);
    assert_int_equal(n.sequence, 21);
    OK(store_ping(f->store, err));
}

static void a_locations_secrets_are_not_named(void **state) {
    (void)state;
    static const struct {
        const char *location, *name;
    } names[] = {
        {"/var/lib/topupd", "/var/lib/topupd"},
        {"postgresql://host/db", "postgresql://host/db"},
        {"postgres://topupd:s3c@ret@a:5432,b/db?password=s3cret", "postgresql://a:5432,b/db"},
        {"postgresql:///db?host=/run&password=s3cret", "postgresql:///db"},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char name[STORE_NAME_MAX];
        store_name(names[i].location, name, sizeof name);
        assert_string_equal(name, names[i].name);
    }
}

static void a_missing_store_is_an_error_unless_it_may_be_made(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    f->options.may_create = false;
    FAILS(ERR_NOT_FOUND, store_open(&f->options, &f->store, err));
    mkdir(f->location, 0700);
    FAILS(ERR_NOT_FOUND, store_open(&f->options, &f->store, err));
    SAYS("no store");
    f->options.location = "";
    FAILS(ERR_INVALID, store_open(&f->options, &f->store, err));
    f->options.location = "postgresql://user:very-secret@127.0.0.1:1/topupd"; // nobody listens there
    f->options.driver = NULL;
#ifdef TOPUPD_POSTGRESQL
    FAILS(ERR_UNAVAILABLE, store_open(&f->options, &f->store, err));
    assert_null(strstr(err_first(err), "very-secret"));
#else
    FAILS(ERR_INVALID, store_open(&f->options, &f->store, err));
    SAYS("without PostgreSQL");
#endif
    assert_null(f->store);
}

static void file_in(const struct fixture *f, const char *name, char out[128]) {
    snprintf(out, 128, "%s/%s", f->location, name);
}

static void the_folder_and_the_file_are_the_owners_alone(void **state) {
    struct fixture *f = *state;
    struct stat st;
    char path[128];
    assert_int_equal(stat(f->location, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    static const char *const names[] = {"topupd.db", "topupd.db-wal", "topupd.db-shm", "topupd.lock"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        file_in(f, names[i], path);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void a_second_writer_is_refused(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct store *second = NULL;
    FAILS(ERR_CONFLICT, store_open(&f->options, &second, err));
    SAYS("another topupd is running");
    assert_null(second);
    OK(store_ping(f->store, err)); // the first did not notice
    fixture_close(f);
    fixture_open(f);
}

// Runs SQL on the file, behind the store's back.
static void behind(struct fixture *f, const char *sql) {
    struct err *err = &f->err;
    struct db *db = NULL;
    OK(db_sqlite.open(&db_sqlite, f->location, true, true, &db, err));
    OK(db_sqlite.begin(db, err));
    OK(db_sqlite.script(db, sql, err));
    OK(db_sqlite.commit(db, err));
    db_sqlite.close(db);
}

static void refused(struct fixture *f, enum err_kind kind, const char *says) {
    struct err *err = &f->err;
    FAILS(kind, store_open(&f->options, &f->store, err));
    if (!strstr(err_first(err), says))
        fail_msg("\"%s\" does not say \"%s\"", err_first(err), says);
    assert_null(f->store);
}

static void a_newer_schema_is_refused(void **state) {
    struct fixture *f = *state;
    fixture_close(f);
    behind(f, "PRAGMA user_version = 99");
    refused(f, ERR_CONFLICT, "version 99");
    behind(f, "PRAGMA user_version = 1");
    fixture_open(f);
}

static void another_programs_database_is_refused_and_left_alone(void **state) {
    struct fixture *f = *state;
    char path[128];
    struct stat before, after;
    behind(f, "CREATE TABLE theirs (x)"); // an empty file belongs to nobody; now it is somebody's
    file_in(f, "topupd.db", path);
    assert_int_equal(stat(path, &before), 0);
    refused(f, ERR_CONFLICT, "another program's database");
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    assert_true(after.st_mtim.tv_sec == before.st_mtim.tv_sec && after.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
}

static void a_damaged_file_is_refused(void **state) {
    struct fixture *f = *state;
    char path[128];
    struct stat st;
    for (int i = 0; i < 200; i++) {
        struct note n = note_new(f, i + 1);
        note_submit(&n);
        assert_int_equal(n.kind, ERR_NONE);
    }
    fixture_close(f);
    file_in(f, "topupd.db", path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size / 2), 0);
    refused(f, ERR_CORRUPT, "damaged");

    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "This is no database at all.", 27, 0), 27);
    close(fd);
    refused(f, ERR_CORRUPT, "damaged");
}

// A page overwritten in the middle: found when it is read, answered as an error, and the rest goes on.
static void a_damaged_page_is_an_error_not_a_crash(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    char path[128];
    struct stat st;
    static struct note notes[2000];
    for (int i = 0; i < 2000; i++)
        notes[i] = note_new(f, i + 1);
    run_as_batch(f, notes, 2000);
    fixture_close(f);
    file_in(f, "topupd.db", path);
    assert_int_equal(stat(path, &st), 0);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    char junk[4096];
    memset(junk, 0xa5, sizeof junk);
    const off_t schema = 64 * 4096; // leave the schema's pages alone
    for (off_t at = schema; at + (off_t)sizeof junk <= st.st_size; at += 4096)
        assert_int_equal(pwrite(fd, junk, sizeof junk, at), sizeof junk);
    close(fd);
    fixture_open(f);
    int corrupt = 0;
    for (iccid_t i = 1; i <= 2000; i++) {
        struct tx *tx = NULL;
        struct sim s;
        OK(store_read_begin(f->store, &tx, err));
        arena_reset(&f->arena);
        enum err_kind kind = store_sim_get(tx, i, &f->arena, &s, err);
        assert_true(kind == ERR_NONE || kind == ERR_CORRUPT || kind == ERR_NOT_FOUND);
        corrupt += kind == ERR_CORRUPT;
        store_read_end(tx);
    }
    assert_true(corrupt > 0);
}

// Far more than the log has room for.
JOB(much_job) {
    struct fixture *f = ctx;
    static char payload[65536];
    for (int i = 0; i < 20; i++) {
        struct event e = {.partner_id = f->live.id,
                          .type = EVENT_SIM_ACTIVATED,
                          .created = tx_now(tx),
                          .iccid = ICCID_NONE,
                          .payload = {payload, sizeof payload}};
        enum err_kind kind = store_event_append(tx, &e, err);
        if (kind)
            return kind;
    }
    return ERR_NONE;
}

static void a_disk_without_room_is_an_error_and_nothing_is_lost(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct note before = note_new(f, 1), after = note_new(f, 2);
    note_submit(&before);
    struct rlimit was, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small = was;
    small.rlim_cur = 512 * 1024;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum err_kind kind = store_run(f->store, much_job, f, err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(kind, ERR_UNAVAILABLE);
    note_submit(&after);
    assert_int_equal(after.kind, ERR_NONE);
    assert_int_equal(events_without_gap(f), 2);
    OK(store_check(f->store, err));
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(events_without_gap(f), 2);
    RUN(f, much_job);
    assert_int_equal(events_without_gap(f), 22);
}

// Where SQLite gives the transaction up by itself, nothing may go on as if it were there.
static void a_transaction_that_is_lost_takes_nothing_more(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    fixture_close(f);
    struct db *db = NULL;
    OK(db_sqlite.open(&db_sqlite, f->location, true, false, &db, err));
    OK(db_sqlite.prepare(db, err));
    OK(db_sqlite.begin(db, err));
    struct db_value params[] = {db_int(12345)};
    OK(db_sqlite.exec(db, ST_NUMBER_SET, params, 1, NULL, err));
    FAILS(ERR_CONFLICT, db_sqlite.script(db, "INSERT OR ROLLBACK INTO meta (name, value) VALUES ('ping', 0)", err));
    FAILS(ERR_UNAVAILABLE, db_sqlite.exec(db, ST_NUMBER_SET, params, 1, NULL, err));
    FAILS(ERR_UNAVAILABLE, db_sqlite.query(db, ST_NUMBER_GET, NULL, 0, err));
    FAILS(ERR_UNAVAILABLE, db_sqlite.savepoint(db, err));
    FAILS(ERR_UNAVAILABLE, db_sqlite.commit(db, err));
    db_sqlite.rollback(db);
    OK(db_sqlite.begin(db, err));
    bool more = false;
    OK(db_sqlite.query(db, ST_NUMBER_GET, NULL, 0, err));
    OK(db_sqlite.next(db, ST_NUMBER_GET, &more, err));
    assert_true(more);
    assert_int_not_equal(db_sqlite.column(db, ST_NUMBER_GET, 0).i, 12345);
    db_sqlite.finish(db, ST_NUMBER_GET);
    db_sqlite.rollback(db);
    db_sqlite.close(db);
}

// As somebody who may not write there (the test may run as root, whom nothing stops).
static void a_folder_that_cannot_be_written_is_refused(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    assert_int_equal(chmod(f->folder, 0755), 0);
    assert_int_equal(mkdir(f->location, 0755), 0);
    assert_int_equal(chmod(f->location, 0555), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store *s = NULL;
        if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
            _exit(2);
        enum err_kind kind = store_open(&f->options, &s, err);
        _exit(kind == ERR_UNAVAILABLE && strstr(err_first(err), "cannot write in the data folder") ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);

    char path[128];
    snprintf(path, sizeof path, "%s/file", f->folder);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    f->options.location = path;
    refused(f, ERR_UNAVAILABLE, "is not a folder");
}

// ---- looking before a job is brought ----

// A driver that says what is looked at, and, once `far_away`, that it pays.
static struct db_driver looked;
static bool far_away;
static int looks[STATEMENTS];

static enum err_kind looked_commit(struct db *db, struct err *err) {
    enum err_kind kind = db_sqlite.commit(db, err);
    db->far = far_away;
    return kind;
}
static void looked_look(struct db *db, int statement, const struct db_value *params, size_t n) {
    looks[statement]++;
    db_sqlite.look(db, statement, params, n);
}

static void sim_ahead(struct tx *tx, void *ctx) {
    store_sim_ahead(tx, ((struct note *)ctx)->iccid);
}

// How often its SIM was looked at while the job was brought.
static int looks_for(struct fixture *f, iccid_t iccid) {
    struct note n = {.f = f, .iccid = iccid};
    n.job = (struct store_job){.run = note_run, .ahead = sim_ahead, .done = note_done, .ctx = &n};
    struct err *err = &f->err;
    memset(looks, 0, sizeof looks);
    OK(store_submit(f->store, &n.job, err));
    assert_true(n.done && n.kind == ERR_NONE);
    assert_int_equal(looks[ST_SIM_GET], looks[ST_SIM_SUBSCRIPTIONS]);
    return looks[ST_SIM_GET];
}

static void what_a_job_will_read_is_looked_at_when_the_disk_is_slow(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct tx *taken[8] = {NULL};
    looked = db_sqlite;
    looked.commit = looked_commit;
    looked.look = looked_look;
    far_away = false;
    f->options.driver = &looked;
    f->options.threaded = false;
    fixture_open(f);
    fixture_fill(f);
    assert_int_equal(looks_for(f, ICCID_C + 1), 0);
    far_away = true;
    assert_int_equal(looks_for(f, ICCID_C + 2), 0); // known from the next on
    assert_int_equal(looks_for(f, ICCID_C + 3), 1);
    for (int i = 0; i < f->options.readers; i++)
        OK(store_read_begin(f->store, &taken[i], err));
    assert_int_equal(looks_for(f, ICCID_C + 4), 0); // nobody waits for a reader
    for (int i = 0; i < f->options.readers; i++)
        store_read_end(taken[i]);
    far_away = false;
    assert_int_equal(looks_for(f, ICCID_C + 5), 1);
    assert_int_equal(looks_for(f, ICCID_C + 6), 0);
}

static void a_start_that_was_cut_off_begins_again(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    char path[128];
    assert_int_equal(mkdir(f->location, 0700), 0);
    file_in(f, "topupd.db", path);
    int fd = open(path, O_CREAT | O_WRONLY, 0600); // made, and then nothing
    assert_true(fd >= 0);
    close(fd);
    fixture_open(f);
    assert_true(store_is_fresh(f->store));
    OK(store_ping(f->store, err));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define CLOSED(name) cmocka_unit_test_setup_teardown(name, fixture_setup_closed, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_batch_is_one_commit_and_answers_in_order),
        TEST(early_jobs_go_before_those_that_wait),
        TEST(a_refused_job_costs_the_others_nothing),
        TEST(a_job_that_fails_after_writing_is_undone_alone),
        TEST(work_at_the_end_sees_new_orders_and_may_fail_without_harm),
        TEST(orders_that_are_written_many_at_once_are_each_as_they_were),
        TEST(an_order_that_comes_to_nothing_when_it_is_written_is_its_own_jobs_fault),
        CLOSED(a_batch_has_a_maximum),
        CLOSED(a_full_queue_refuses),
        TEST(numbers_grow_and_never_come_again),
        TEST(ids_grow_even_when_the_clock_goes_back),
        TEST(a_reader_sees_one_state),
        TEST(only_what_was_committed_is_news),
        TEST(news_of_very_many_events_says_that_there_are_more),
        TEST(everything_is_there_after_reopening),
        TEST(a_locations_secrets_are_not_named),
        CLOSED(a_missing_store_is_an_error_unless_it_may_be_made),
        TEST(the_folder_and_the_file_are_the_owners_alone),
        TEST(a_second_writer_is_refused),
        TEST(a_newer_schema_is_refused),
        CLOSED(another_programs_database_is_refused_and_left_alone),
        TEST(a_damaged_file_is_refused),
        TEST(a_damaged_page_is_an_error_not_a_crash),
        TEST(a_disk_without_room_is_an_error_and_nothing_is_lost),
        TEST(a_transaction_that_is_lost_takes_nothing_more),
        CLOSED(a_folder_that_cannot_be_written_is_refused),
        CLOSED(a_start_that_was_cut_off_begins_again),
        CLOSED(what_a_job_will_read_is_looked_at_when_the_disk_is_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
