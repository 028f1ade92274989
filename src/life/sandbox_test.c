// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox_test.c - a sandbox partner's start, its clock step by step, and beginning afresh.
 */
#include "life/sandbox.h"
#include "life/testing.h"
#include "store/store_order.h"
#include "store/store_partner.h"
#include "store/store_product.h"
#include "store/store_sim.h"

JOB(furnish_job) {
    struct fixture *f = ctx;
    arena_reset(&f->arena);
    return sandbox_furnish(tx, &f->arena, &f->sandbox, err);
}

static struct partner sandbox_now(struct fixture *f) {
    struct err *err = &f->err;
    struct tx *tx;
    struct partner p;
    OK(store_read_begin(f->store, &tx, err));
    OK(store_partner_get(tx, f->sandbox.id, &f->arena, &p, err));
    store_read_end(tx);
    return p;
}

// Its SIMs by service, and its products.
static void count(struct fixture *f, int64_t partner_id, int64_t sims[3], int64_t *products) {
    struct err *err = &f->err;
    struct tx *tx;
    struct product *list;
    size_t n;
    OK(store_read_begin(f->store, &tx, err));
    for (int service = 0; service < 3; service++)
        OK(store_sim_count(tx, &(struct sim_filter){.partner_id = partner_id, .service = service}, 1000000, &sims[service], err));
    struct product_filter filter = {.partner_id = partner_id, .footprint_code = STR_NONE, .currency = STR_NONE, .on_sale_only = true};
    OK(store_product_list(tx, &filter, 0, 100, &f->arena, &list, &n, products, err));
    store_read_end(tx);
}

static void a_start_has_plans_and_sims_and_is_made_once(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    int64_t before[3], sims[3], products_before, products;
    count(f, f->sandbox.id, before, &products_before);
    for (int again = 0; again < 2; again++) {
        RUN(f, furnish_job);
        count(f, f->sandbox.id, sims, &products);
        assert_int_equal(sims[SIM_STOCK] - before[SIM_STOCK], 60);
        assert_int_equal(sims[SIM_ACTIVE] - before[SIM_ACTIVE], 5);
        assert_int_equal(products - products_before, 8);
    }
    struct tx *tx;
    struct sim sim;
    struct product p;
    OK(store_read_begin(f->store, &tx, err));
    for (int b = 0; b < SANDBOX_BEHAVIOURS; b++) {
        iccid_t iccid = sandbox_iccid((enum sandbox_behaviour)b, sandbox_start_serial(f->sandbox.id, b));
        if (sandbox_table[b].of_sims) {
            OK(store_sim_get(tx, iccid, &f->arena, &sim, err));
            assert_true(sim.partner_id == f->sandbox.id && sim.type == SIM_PSIM && sim.service == SIM_ACTIVE);
        } else {
            FAILS(ERR_NOT_FOUND, store_sim_get(tx, iccid, &f->arena, &sim, err));
        }
        if (sandbox_table[b].product_id)
            OK(store_product_by_public_id(tx, f->sandbox.id, str_of(sandbox_table[b].product_id), &f->arena, &p, err));
    }
    store_read_end(tx);
}

// ---- the clock ----

struct advancing {
    struct fixture *f;
    struct sandbox_advance s;
};
static enum err_kind advance_job(struct tx *tx, void *ctx, struct err *err) {
    struct advancing *x = ctx;
    arena_reset(&x->f->arena);
    return sandbox_advance(tx, &x->f->arena, &x->s, err);
}

JOB(subscriptions_job) {
    struct fixture *f = ctx;
    for (int i = 0; i < 20; i++) {
        struct wish w = {.bytes = MB, .date = (21 - i) * DAY, .days = 1 + i % 5, .sandbox = true};
        struct sim sim = fixture_sim(ICCID_C + i, f->sandbox.id);
        OK(store_sim_insert(tx, &sim, err));
        subscribe_on(f, tx, sim.iccid, &w, err);
    }
    return ERR_NONE;
}

// The log so far: in the order of its dates, and each no later than the clock.
static size_t check_log(struct fixture *f) {
    struct err *err = &f->err;
    struct wall now = partner_now(&(struct partner){.clock_offset_ms = sandbox_now(f).clock_offset_ms}, clock_wall(&f->clock));
    struct tx *tx;
    struct event *e;
    size_t n;
    OK(store_read_begin(f->store, &tx, err));
    OK(store_event_list(tx, f->sandbox.id, 0, 1000, &f->arena, &e, &n, err));
    store_read_end(tx);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(e[i].sequence, i + 1);
        assert_true(e[i].created.ms <= now.ms);
        assert_true(i == 0 || e[i].created.ms >= e[i - 1].created.ms);
    }
    return n;
}

static void a_clock_that_stops_on_the_way_is_consistent_and_goes_on(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, subscriptions_job);
    struct wall start = partner_now(&f->sandbox, clock_wall(&f->clock)), target = wall_plus_ms(start, 400 * DAY), last = start;
    struct advancing x = {f, {.partner_id = f->sandbox.id, .target = target, .limit = 3}};
    int jobs = 0;
    do {
        if (jobs == 5) // the process dies and another goes on, with nothing in its hands but where to
            x.s = (struct sandbox_advance){.partner_id = f->sandbox.id, .target = target, .limit = 7};
        OK(store_run(f->store, advance_job, &x, err));
        jobs++;
        struct partner p = sandbox_now(f);
        struct wall now = partner_now(&p, clock_wall(&f->clock));
        assert_int_equal(x.s.now.ms, now.ms);
        assert_true(now.ms >= last.ms && now.ms <= target.ms);
        last = now;
        size_t n = check_log(f);
        assert_true(x.s.more ? n < 40 : n == 40);
        clock_manual_advance(&f->manual, 0);
    } while (x.s.more);
    assert_true(jobs > 6);
    assert_int_equal(last.ms, target.ms);
    // what is behind it already is left alone
    x.s.target = start;
    OK(store_run(f->store, advance_job, &x, err));
    assert_false(x.s.more);
    assert_int_equal(x.s.now.ms, target.ms);
    assert_int_equal(check_log(f), 40);
}

static void real_time_that_passes_between_two_steps_is_not_taken_back(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, subscriptions_job);
    struct wall last = WALL_NONE, target = wall_plus_ms(partner_now(&f->sandbox, clock_wall(&f->clock)), 40 * DAY);
    struct advancing x = {f, {.partner_id = f->sandbox.id, .target = target, .limit = 1}};
    do {
        OK(store_run(f->store, advance_job, &x, err));
        assert_true(!wall_set(last) || x.s.now.ms >= last.ms);
        last = x.s.now;
        clock_manual_advance(&f->manual, 3 * HOUR);
        check_log(f);
    } while (x.s.more);
    assert_true(x.s.now.ms >= target.ms);
    assert_int_equal(check_log(f), 40);
}

// ---- afresh ----

struct resetting {
    struct fixture *f;
    int64_t limit;
    bool more;
};
static enum err_kind reset_job(struct tx *tx, void *ctx, struct err *err) {
    struct resetting *x = ctx;
    arena_reset(&x->f->arena);
    return sandbox_reset(tx, &x->f->arena, x->f->sandbox.id, x->limit, &x->more, err);
}

JOB(live_job) { // the same things of a live partner, which stay
    struct fixture *f = ctx;
    subscribe_on(f, tx, ICCID_A, &(struct wish){.bytes = MB}, err);
    return ERR_NONE;
}

JOB(use_sims_job) {
    struct fixture *f = ctx;
    char number[ICCID_TEXT], id[32];
    for (int i = 0; i < 20; i++) {
        iccid_format(i % 2 ? ICCID_C + i : sandbox_iccid(SANDBOX_AS_USUAL, sandbox_start_serial(f->sandbox.id, 10)), number);
        snprintf(id, sizeof id, "record-%d", i);
        struct usage_record r = record_of(id, 1000, 0, 0);
        r.number = str_of(number);
        struct usage_result u;
        OK(life_usage(tx, &f->arena, &r, &u, err));
    }
    OK(store_cap_add(tx, f->sandbox.id, 202611, 5, err));
    OK(store_notification_put(tx, sandbox_iccid(SANDBOX_AS_USUAL, sandbox_start_serial(f->sandbox.id, 10)), NOTIFY_USAGE_THRESHOLD,
                              STR("https://x.example.com/"), err));
    return ERR_NONE;
}

static void afresh_means_as_at_the_start_but_for_the_numbers_of_events(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, furnish_job);
    int64_t before[3], sims[3], products, first, last_number, total, cap;
    RUN(f, subscriptions_job);
    RUN(f, live_job);
    RUN(f, use_sims_job);
    struct advancing x = {f, {.partner_id = f->sandbox.id, .target = wall_plus_ms(clock_wall(&f->clock), 100 * DAY), .limit = 1000}};
    OK(store_run(f->store, advance_job, &x, err));
    struct tx *tx;
    OK(store_read_begin(f->store, &tx, err));
    OK(store_event_range(tx, f->sandbox.id, &first, &last_number, err));
    store_read_end(tx);
    assert_true(last_number > 20);

    int jobs = 0;
    struct resetting r = {f, 7, true};
    for (; r.more; jobs++)
        OK(store_run(f->store, reset_job, &r, err));
    assert_true(jobs > 10);

    struct order *orders;
    struct subscription *subs;
    size_t n;
    int64_t range_first, range_last;
    OK(store_read_begin(f->store, &tx, err));
    struct order_filter of = {.partner_id = f->sandbox.id,
                              .state = -1,
                              .iccid = ICCID_NONE,
                              .correlation_id = STR_NONE,
                              .reference = STR_NONE,
                              .before = WALL_NONE,
                              .after = WALL_NONE};
    OK(store_order_list(tx, &of, 0, 10, &f->arena, &orders, &n, &total, err));
    assert_int_equal(total, 0);
    struct subscription_filter sf = {.partner_id = f->sandbox.id,
                                     .iccid = ICCID_NONE,
                                     .email = STR_NONE,
                                     .product_public_id = STR_NONE,
                                     .state = -1,
                                     .before = WALL_NONE,
                                     .after = WALL_NONE};
    OK(store_subscription_list(tx, &sf, 0, 10, &f->arena, &subs, &n, &total, err));
    assert_int_equal(total, 0);
    sf.partner_id = f->live.id;
    OK(store_subscription_list(tx, &sf, 0, 10, &f->arena, &subs, &n, &total, err));
    assert_int_equal(total, 1);
    OK(store_event_range(tx, f->sandbox.id, &range_first, &range_last, err));
    assert_int_equal(range_last, last_number);
    assert_int_equal(range_first, last_number + 1);
    OK(store_cap_get(tx, f->sandbox.id, 202611, &cap, err));
    assert_int_equal(cap, 0);
    struct stored_usage u;
    FAILS(ERR_NOT_FOUND, store_usage_find(tx, STR("ggsn-1"), STR("record-0"), &f->arena, &u, err));
    FAILS(ERR_NOT_FOUND, store_usage_find(tx, STR("ggsn-1"), STR("record-1"), &f->arena, &u, err));
    struct sim_notification notes[NOTIFY_TYPES];
    OK(store_notification_list(tx, sandbox_iccid(SANDBOX_AS_USUAL, sandbox_start_serial(f->sandbox.id, 10)), &f->arena, notes, &n, err));
    assert_int_equal(n, 0);
    store_read_end(tx);
    assert_int_equal(sandbox_now(f).clock_offset_ms, 0);
    count(f, f->sandbox.id, sims, &products);
    assert_int_equal(sims[SIM_ACTIVATING], 0);
    assert_int_equal(sims[SIM_ACTIVE], 5); // the start's; those that the operator gave are in stock
    OK(store_check(f->store, err));

    // what comes now goes on behind
    memcpy(before, sims, sizeof before);
    subscribe(f, (struct wish){.bytes = MB, .date = 2 * DAY, .sandbox = true});
    x.s.target = wall_plus_ms(clock_wall(&f->clock), 3 * DAY);
    OK(store_run(f->store, advance_job, &x, err));
    OK(store_read_begin(f->store, &tx, err));
    OK(store_event_range(tx, f->sandbox.id, &range_first, &range_last, err));
    store_read_end(tx);
    assert_int_equal(range_first, last_number + 1);
    assert_int_equal(range_last, last_number + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_start_has_plans_and_sims_and_is_made_once, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_clock_that_stops_on_the_way_is_consistent_and_goes_on, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(real_time_that_passes_between_two_steps_is_not_taken_back, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(afresh_means_as_at_the_start_but_for_the_numbers_of_events, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
