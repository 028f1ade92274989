// SPDX-License-Identifier: Apache-2.0
/*
 * life_test.c - moves by call, and what a pass of time does, in which order, also after a restart.
 */
#include "life/testing.h"

// ---- by call ----

struct moving {
    struct subscription s;
    enum subscription_cue cue;
    struct wall at;
};
static enum err_kind move_job(struct tx *tx, void *ctx, struct err *err) {
    struct moving *m = ctx;
    return life_move(tx, &m->s, m->cue, m->at, err);
}

static void a_call_moves_the_row_and_tells_it(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct uuid id = subscribe(f, (struct wish){.bytes = MB, .date = 5 * DAY});
    struct moving m = {subscription_now(f, id), SUB_CUE_ACTIVATE, {NOW_MS + HOUR}};
    OK(store_run(f->store, move_job, &m, err));
    STATE_IS(f, id, ACTIVE, 0);
    assert_int_equal(subscription_now(f, id).activation.ms, NOW_MS + HOUR);
    m.cue = SUB_CUE_ACTIVATE;
    FAILS(ERR_CONFLICT, store_run(f->store, move_job, &m, err));
    m.cue = SUB_CUE_EXPIRE;
    m.at = (struct wall){NOW_MS + 2 * HOUR};
    OK(store_run(f->store, move_job, &m, err));
    STATE_IS(f, id, EXPIRED, 0);
    assert_int_equal(subscription_now(f, id).end, SUB_END_EXPIRED_BY_CALL);
    TOLD(f, id, "activated expired");
}

// ---- by time ----

JOB(many_job) {
    struct fixture *f = ctx;
    for (int i = 0; i < 20; i++) {
        // dates on days 20, 19 ... 1, some of them shared; ended before others begin
        struct wish w = {.bytes = MB, .date = (20 - i / 2) * DAY, .days = 1 + i % 3, .sandbox = f->i > 0};
        struct sim sim = fixture_sim(ICCID_C + (iccid_t)(f->i * 100 + i), w.sandbox ? f->sandbox.id : f->live.id);
        OK(store_sim_insert(tx, &sim, err));
        subscribe_on(f, tx, sim.iccid, &w, err);
    }
    return ERR_NONE;
}

// The events of a partner since `from`: each carries its due instant, and they stand in that order.
static size_t in_due_order(struct fixture *f, int64_t partner_id, bool dated) {
    struct err *err = &f->err;
    struct tx *tx;
    struct event *e;
    size_t n;
    struct wall last = {INT64_MIN};
    OK(store_read_begin(f->store, &tx, err));
    OK(store_event_list(tx, partner_id, 0, 1000, &f->arena, &e, &n, err));
    store_read_end(tx);
    for (size_t i = 0; i < n; i++) {
        struct subscription s;
        struct subscription_was was;
        int threshold;
        OK(event_unpack_subscription(e[i].payload, &f->arena, &s, &was, &threshold, err));
        struct wall due = e[i].type == EVENT_SUBSCRIPTION_ACTIVATED ? s.activation : s.expiry;
        assert_true(due.ms >= last.ms);
        last = due;
        if (dated)
            assert_int_equal(e[i].created.ms, due.ms);
    }
    return n;
}

static void time_works_in_due_order_whatever_the_batch(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    static const int64_t limits[] = {1, 3, 1000};
    RUN(f, many_job); // of the live partner
    assert_int_equal(pass_time(f, 0, 5 * DAY, 1), 0);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        // a part of what lies ahead each time, with a restart between
        int64_t moved = pass_time(f, 0, (11 + (int64_t)i * 6) * DAY, limits[i]);
        assert_true(moved > 0);
        fixture_close(f);
        fixture_open(f);
    }
    pass_time(f, 0, 90 * DAY, 7);
    assert_int_equal(in_due_order(f, f->live.id, false), 40);
    assert_int_equal(pass_time(f, 0, 91 * DAY, 7), 0);
}

static void a_sandbox_clock_dates_its_events_and_leaves_others_alone(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, many_job);
    f->i = 1;
    RUN(f, many_job);
    assert_int_equal(pass_time(f, f->sandbox.id, 90 * DAY, 7), 40);
    assert_int_equal(in_due_order(f, f->sandbox.id, true), 40);
    assert_int_equal(in_due_order(f, f->live.id, true), 0);
    struct passing x = {.f = f, .p = {.clock = f->sandbox.id, .until = {NOW_MS + 90 * DAY}, .limit = 5}};
    OK(store_run(f->store, pass_job, &x, err));
    assert_false(x.p.more);
    assert_int_equal(x.p.reached.ms, NOW_MS + 90 * DAY);
    assert_false(wall_set(x.p.next));
}

static void a_pass_says_how_far_it_came_and_what_comes_next(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct uuid first = subscribe(f, (struct wish){.bytes = MB, .date = DAY, .sandbox = true});
    struct uuid second = subscribe(f, (struct wish){.bytes = MB, .date = 2 * DAY, .sandbox = true});
    // (the sandbox partner's clock is a day ahead, so the first has begun at once)
    STATE_IS(f, first, ACTIVE, 0);
    struct passing x = {.f = f, .p = {.clock = f->sandbox.id, .until = {NOW_MS + 30 * DAY}, .limit = 1}};
    OK(store_run(f->store, pass_job, &x, err));
    assert_true(x.p.more);
    assert_int_equal(x.p.moved, 1);
    assert_int_equal(x.p.reached.ms, NOW_MS + 2 * DAY);
    assert_true(uuid_eq(x.p.last, second));
    x.p.until = (struct wall){NOW_MS + 11 * DAY};
    OK(store_run(f->store, pass_job, &x, err));
    STATE_IS(f, first, EXPIRED, 0);
    OK(store_run(f->store, pass_job, &x, err));
    assert_false(x.p.more);
    assert_int_equal(x.p.next.ms, NOW_MS + 12 * DAY);
}

static bool at_the_third(void *ctx) {
    return ++*(int *)ctx % 3 == 0;
}

static void a_pass_ends_when_its_caller_has_enough(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    int64_t moved = 0;
    int asked = 0, passes = 0;
    f->i = 1;
    RUN(f, many_job);
    struct passing x = {.f = f,
                        .p = {.clock = f->sandbox.id, .until = {NOW_MS + 90 * DAY}, .limit = 1000, .enough = at_the_third, .ctx = &asked}};
    do {
        OK(store_run(f->store, pass_job, &x, err));
        assert_true(x.p.moved > 0 && x.p.moved <= 3);
        moved += x.p.moved;
        passes++;
    } while (x.p.more);
    assert_int_equal(moved, 40);
    assert_true(passes >= 40 / 3);
    assert_false(wall_set(x.p.next));
    assert_int_equal(in_due_order(f, f->sandbox.id, true), 40);
}

struct spoiling {
    struct fixture *f;
    struct uuid id;
};
static enum err_kind spoil_job(struct tx *tx, void *ctx, struct err *err) {
    struct spoiling *x = ctx;
    struct subscription s;
    OK(store_subscription_get(tx, x->id, &x->f->arena, &s, err));
    s.state = SUB_PENDING; // and its date lies behind its timer
    s.activation = (struct wall){NOW_MS + 50 * DAY};
    s.expiry = WALL_NONE;
    s.next_at = (struct wall){NOW_MS + DAY};
    return store_subscription_update(tx, &s, err);
}

static void one_that_cannot_move_is_named_and_may_be_left_out(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    subscribe(f, (struct wish){.bytes = MB, .days = 2});
    struct spoiling spoiling = {f, subscribe(f, (struct wish){.bytes = MB, .days = 2})};
    struct uuid other = subscribe(f, (struct wish){.bytes = MB, .days = 2});
    OK(store_run(f->store, spoil_job, &spoiling, err));
    clock_manual_advance(&f->manual, 3 * DAY);
    struct passing x = {.f = f, .p = {.limit = 10}};
    FAILS(ERR_CONFLICT, store_run(f->store, pass_job, &x, err));
    assert_true(uuid_eq(x.p.at, spoiling.id));
    x.p.shunned = &spoiling.id;
    x.p.n_shunned = 1;
    x.p.limit = 1;
    int64_t moved = 0;
    do {
        OK(store_run(f->store, pass_job, &x, err));
        moved += x.p.moved;
    } while (x.p.more);
    assert_int_equal(moved, 2);
    STATE_IS(f, other, EXPIRED, 0);
}

static void a_first_usage_one_waits_after_its_date_and_may_end_unused(void **state) {
    struct fixture *f = *state;
    struct uuid id = subscribe(f, (struct wish){.bytes = MB, .date = DAY, .wanted_expiry = 2 * DAY, .first_usage = true});
    assert_int_equal(pass_time(f, 0, DAY, 1), 1);
    STATE_IS(f, id, PENDING_USAGE, 0);
    assert_int_equal(pass_time(f, 0, 2 * DAY - 1, 1), 0);
    assert_int_equal(pass_time(f, 0, 2 * DAY, 1), 1);
    STATE_IS(f, id, EXPIRED, 0);
    TOLD(f, id, "pending expired");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(a_call_moves_the_row_and_tells_it),
        T(time_works_in_due_order_whatever_the_batch),
        T(a_sandbox_clock_dates_its_events_and_leaves_others_alone),
        T(a_pass_says_how_far_it_came_and_what_comes_next),
        T(a_pass_ends_when_its_caller_has_enough),
        T(one_that_cannot_move_is_named_and_may_be_left_out),
        T(a_first_usage_one_waits_after_its_date_and_may_end_unused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
