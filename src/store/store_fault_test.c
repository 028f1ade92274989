// SPDX-License-Identifier: Apache-2.0
/*
 * store_fault_test.c - the nth call to the database fails, for every n of a small order's life: each job then says an error or did what it
 * says, and the store is whole.
 */
#include "base/log.h"
#include "store/db_fault.h"
#include "store/testing.h"

struct life {
    struct fixture *f;
    struct order order;
    struct task task;
    enum err_kind placed, claimed, settled;
};

// ---- the life: placed, claimed, settled ----

static enum err_kind place(struct tx *tx, void *ctx, struct err *err) {
    struct life *l = ctx;
    l->order = fixture_order(tx, &l->f->product, ICCID_A);
    l->task = fixture_task(tx, &l->order, 0);
    struct event e = fixture_event(&l->order, EVENT_ORDER_ACCEPTED, tx_now(tx));
    enum err_kind kind = store_order_insert(tx, &l->order, err);
    if (!kind)
        kind = store_task_insert(tx, &l->task, err);
    if (!kind)
        kind = store_cap_add(tx, l->f->live.id, 20261123, 1, err);
    return kind ? kind : store_event_append(tx, &e, err);
}

static enum err_kind claim(struct tx *tx, void *ctx, struct err *err) {
    struct life *l = ctx;
    struct arena a;
    arena_init(&a, 1 << 20);
    struct task t;
    enum err_kind kind = store_task_get(tx, l->task.id, &a, &t, err);
    if (!kind) {
        t.state = TASK_CLAIMED;
        t.lease_until = wall_plus_ms(tx_now(tx), 1000);
        kind = store_task_update(tx, &t, err);
    }
    arena_release(&a);
    return kind;
}

static enum err_kind settle(struct tx *tx, void *ctx, struct err *err) {
    struct life *l = ctx;
    struct order done = l->order;
    struct subscription s = fixture_subscription(&done, tx_now(tx));
    struct event e = fixture_event(&done, EVENT_ORDER_COMPLETED, tx_now(tx));
    done.state = ORDER_COMPLETED;
    done.finished = tx_now(tx);
    enum err_kind kind = store_task_delete(tx, &l->task, err);
    if (!kind)
        kind = store_order_update(tx, &done, err);
    if (!kind)
        kind = store_subscription_insert(tx, &s, err);
    return kind ? kind : store_event_append(tx, &e, err);
}

static void live(struct life *l, struct fixture *f) {
    struct err err = {0};
    *l = (struct life){.f = f};
    l->placed = store_run(f->store, place, l, &err);
    l->claimed = store_run(f->store, claim, l, &err);
    l->settled = store_run(f->store, settle, l, &err);
}

// ---- what must hold afterwards ----

static bool may_be(enum err_kind answer, bool is) {
    return answer == ERR_UNSURE || (answer == ERR_NONE) == is;
}

static void events_without_gap(struct fixture *f, struct tx *tx) {
    struct err *err = &f->err;
    struct event *events = NULL;
    size_t n = 0;
    OK(store_event_list(tx, f->live.id, 0, 1 << 20, &f->arena, &events, &n, err));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(events[i].sequence, i + 1);
}

// How many events tell of the order.
static int64_t told(struct fixture *f, struct tx *tx, struct uuid id) {
    struct err *err = &f->err;
    struct event *events = NULL;
    size_t n = 0;
    int64_t count = 0;
    OK(store_event_list(tx, f->live.id, 0, 1 << 20, &f->arena, &events, &n, err));
    for (size_t i = 0; i < n; i++)
        count += uuid_eq(events[i].order_id, id);
    return count;
}

static void life_is_as_said(struct fixture *f, const struct life *l) {
    struct err *err = &f->err;
    struct tx *tx = NULL;
    struct order o;
    struct task t;
    struct subscription s;
    arena_reset(&f->arena);
    OK(store_read_begin(f->store, &tx, err));
    bool placed = store_order_get(tx, l->order.id, &f->arena, &o, err) == ERR_NONE;
    bool task = store_task_get(tx, l->task.id, &f->arena, &t, err) == ERR_NONE;
    bool subscribed = store_subscription_get(tx, l->order.id, &f->arena, &s, err) == ERR_NONE;
    bool settled = placed && o.state == ORDER_COMPLETED;
    assert_true(may_be(l->placed, placed));
    assert_true(may_be(l->settled, settled));
    assert_int_equal(subscribed, settled);
    assert_int_equal(task, placed && !settled);
    if (task)
        assert_true(may_be(l->claimed, t.state == TASK_CLAIMED));
    assert_int_equal(told(f, tx, l->order.id), placed + settled);
    events_without_gap(f, tx);
    store_read_end(tx);
}

static void the_store_is_whole(struct fixture *f) {
    struct err *err = &f->err;
    OK(store_check(f->store, err));
    fixture_close(f);
    fixture_open(f);
    OK(store_check(f->store, err));
    OK(store_ping(f->store, err));
}

// ---- tests ----

static const enum fault_mode modes[] = {FAULT_REFUSES, FAULT_LOSES, FAULT_RETRY, FAULT_UNSURE};

static void every_call_of_an_orders_life_may_fail(void **state) {
    (void)state;
    struct db_fault fault;
    db_fault_init(&fault, &db_sqlite);
    struct fixture *f = fixture_new(&fault.driver);
    fixture_open(f);
    fixture_fill(f);
    struct life l;
    for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
        int64_t n = 1;
        for (;; n++) {
            db_fault_arm(&fault, modes[m], n);
            live(&l, f);
            bool hit = fault.hits > 0;
            db_fault_arm(&fault, modes[m], 0);
            life_is_as_said(f, &l);
            if (!hit)
                break;                   // beyond the life's end
            if (modes[m] == FAULT_RETRY) // run again, and the caller never knows (but for the begin of upkeep, which nobody waits for)
                assert_true(!l.placed && !l.claimed && !l.settled);
        }
        assert_true(n > 20);
        assert_true(!l.placed && !l.claimed && !l.settled);
        the_store_is_whole(f);
    }
    fixture_free(f);
}

// Three orders in one batch, of which the middle one fails after it wrote: the careful ways (savepoints, single transactions) with
// faults in them.
struct trio {
    struct life life[3];
    struct store_job job[3];
    bool done[3];
};

static enum err_kind place_and_fail(struct tx *tx, void *ctx, struct err *err) {
    enum err_kind kind = place(tx, ctx, err);
    return kind ? kind : err_set(err, ERR_REFUSED, "after writing");
}

static void trio_done(void *ctx, enum err_kind kind, const struct err *err) {
    (void)err;
    struct life *l = ctx;
    l->placed = kind;
    l->claimed = ERR_NONE; // answered
}

static enum err_kind nothing(struct tx *tx, void *ctx, struct err *err) {
    (void)tx;
    (void)ctx;
    (void)err;
    return ERR_NONE;
}

static void trio_submit(void *ctx, enum err_kind kind, const struct err *failed) {
    (void)kind;
    (void)failed;
    struct trio *t = ctx;
    struct err e = {0}, *err = &e;
    for (int i = 0; i < 3; i++) {
        t->job[i] = (struct store_job){.run = i == 1 ? place_and_fail : place, .done = trio_done, .ctx = &t->life[i]};
        OK(store_submit(t->life[i].f->store, &t->job[i], err));
    }
}

static void every_call_of_a_failing_batch_may_fail(void **state) {
    (void)state;
    struct db_fault fault;
    db_fault_init(&fault, &db_sqlite);
    struct fixture *f = fixture_new(&fault.driver);
    struct err *err = &f->err;
    fixture_open(f);
    fixture_fill(f);
    for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
        for (int64_t n = 1;; n++) {
            struct trio t = {0};
            for (int i = 0; i < 3; i++)
                t.life[i] = (struct life){.f = f, .claimed = ERR_BUSY, .settled = ERR_BUSY};
            struct store_job first = {.run = nothing, .done = trio_submit, .ctx = &t};
            db_fault_arm(&fault, modes[m], n);
            OK(store_submit(f->store, &first, err));
            bool hit = fault.hits > 0;
            db_fault_arm(&fault, modes[m], 0);
            for (int i = 0; i < 3; i++) {
                assert_int_equal(t.life[i].claimed, ERR_NONE); // each was answered
                t.life[i].claimed = ERR_BUSY;
                if (i == 1)
                    assert_true(t.life[i].placed != ERR_NONE);
                life_is_as_said(f, &t.life[i]);
            }
            if (!hit) {
                assert_int_equal(t.life[0].placed, ERR_NONE);
                assert_int_equal(t.life[1].placed, ERR_REFUSED);
                assert_int_equal(t.life[2].placed, ERR_NONE);
                break;
            }
        }
        the_store_is_whole(f);
    }
    fixture_free(f);
}

// What a page of lists asks: an error or the right answer.
static enum err_kind read_all(struct fixture *f, struct err *err) {
    static const struct order_filter orders_of = {.state = -1, .iccid = ICCID_NONE, .before = {INT64_MIN}, .after = {INT64_MIN}};
    struct tx *tx = NULL;
    struct order *orders = NULL;
    size_t n = 0;
    int64_t total = 0, last = 0, first = 0;
    struct partner p;
    enum err_kind kind = store_read_begin(f->store, &tx, err);
    if (kind)
        return kind;
    arena_reset(&f->arena);
    kind = store_partner_by_client(tx, STR("live"), &f->arena, &p, err);
    if (!kind)
        kind = store_order_list(tx, &orders_of, 0, 10, &f->arena, &orders, &n, &total, err);
    if (!kind)
        kind = store_event_range(tx, f->live.id, &first, &last, err);
    store_read_end(tx);
    if (kind)
        return kind;
    assert_int_equal(p.id, f->live.id);
    assert_int_equal(n, 1);
    assert_int_equal(total, 1);
    assert_int_equal(last, 2);
    return ERR_NONE;
}

static void every_call_of_a_reader_may_fail(void **state) {
    (void)state;
    struct db_fault fault;
    db_fault_init(&fault, &db_sqlite);
    struct fixture *f = fixture_new(&fault.driver);
    struct err *err = &f->err;
    fixture_open(f);
    fixture_fill(f);
    struct life l;
    live(&l, f);
    assert_int_equal(l.settled, ERR_NONE);
    for (int64_t n = 1;; n++) {
        db_fault_arm(&fault, FAULT_REFUSES, n);
        enum err_kind kind = read_all(f, err);
        bool hit = fault.hits > 0;
        db_fault_arm(&fault, FAULT_REFUSES, 0);
        assert_int_equal(kind, hit ? ERR_UNAVAILABLE : ERR_NONE);
        OK(read_all(f, err)); // the connection is none the worse
        if (!hit)
            break;
    }
    fixture_free(f);
}

static void every_call_of_a_start_may_fail(void **state) {
    (void)state;
    for (int fresh = 1; fresh >= 0; fresh--) {
        for (int64_t n = 1;; n++) {
            struct db_fault fault;
            db_fault_init(&fault, &db_sqlite);
            struct fixture *f = fixture_new(&fault.driver);
            struct err *err = &f->err;
            if (!fresh) {
                fixture_open(f);
                fixture_close(f);
            }
            db_fault_arm(&fault, FAULT_REFUSES, n);
            enum err_kind kind = store_open(&f->options, &f->store, err);
            bool hit = fault.hits > 0;
            db_fault_arm(&fault, FAULT_REFUSES, 0);
            assert_int_equal(kind, hit ? ERR_UNAVAILABLE : ERR_NONE);
            if (kind)
                fixture_open(f); // a start that failed leaves nothing in the way of the next
            fixture_fill(f);
            OK(store_check(f->store, err));
            fixture_free(f);
            if (!hit)
                break;
        }
    }
}

// A job that thinks nothing of a verb's trouble is not believed: half of what it meant to write would be committed.
static enum err_kind place_regardless(struct tx *tx, void *ctx, struct err *err) {
    enum err_kind kind = place(tx, ctx, err);
    return kind ? ERR_NONE : kind;
}

static void trouble_that_a_job_swallows_still_undoes_it(void **state) {
    (void)state;
    struct db_fault fault;
    db_fault_init(&fault, &db_sqlite);
    struct fixture *f = fixture_new(&fault.driver);
    struct err *err = &f->err;
    fixture_open(f);
    fixture_fill(f);
    int missed = 0;
    for (int64_t n = 2;; n++) { // the first is the begin
        struct life l = {.f = f, .claimed = ERR_BUSY, .settled = ERR_BUSY};
        db_fault_arm(&fault, FAULT_REFUSES, n);
        l.placed = store_run(f->store, place_regardless, &l, err);
        bool hit = fault.hits > 0;
        db_fault_arm(&fault, FAULT_REFUSES, 0);
        life_is_as_said(f, &l);
        missed += l.placed != ERR_NONE;
        if (!hit)
            break;
    }
    assert_true(missed >= 5); // order, task, cap, event and the counter at least
    the_store_is_whole(f);
    fixture_free(f);
}

int main(void) {
    log_threshold = LOG_ERROR; // upkeep that fails is said each time, and here it is meant to
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_of_an_orders_life_may_fail),
        cmocka_unit_test(every_call_of_a_failing_batch_may_fail),
        cmocka_unit_test(trouble_that_a_job_swallows_still_undoes_it),
        cmocka_unit_test(every_call_of_a_reader_may_fail),
        cmocka_unit_test(every_call_of_a_start_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
