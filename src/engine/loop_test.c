// SPDX-License-Identifier: Apache-2.0
/*
 * loop_test.c - the production loop on its thread, with a store that has one, too, and the real clock.
 */
#include <pthread.h>
#include <time.h>

#include "base/log.h"
#include "engine/testworld.h"

#define SIMS 40

struct news {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned count;
    struct engine *engine;
};

static void on_commit(void *ctx, unsigned what) {
    struct news *n = ctx;
    pthread_mutex_lock(&n->lock);
    struct engine *e = n->engine;
    n->count++;
    pthread_cond_broadcast(&n->changed);
    if (e && (what & ENGINE_NEWS))
        engine_news(e, what);
    pthread_mutex_unlock(&n->lock);
}

static void set_engine(struct news *n, struct engine *e) {
    pthread_mutex_lock(&n->lock);
    n->engine = e;
    pthread_mutex_unlock(&n->lock);
}

static bool all_ended(struct world *w) {
    for (int i = 0; i < w->n_orders; i++)
        if (!order_finished(world_order(w, w->orders[i]).state))
            return false;
    return true;
}

// Looks again after each commit, until all orders have ended.
static void wait_until_all_ended(struct world *w, struct news *n) {
    struct timespec until = {.tv_sec = clock_wall(&clock_system).ms / 1000 + 60};
    for (;;) {
        pthread_mutex_lock(&n->lock);
        unsigned seen = n->count;
        pthread_mutex_unlock(&n->lock);
        if (all_ended(w))
            return;
        pthread_mutex_lock(&n->lock);
        while (n->count == seen)
            if (pthread_cond_timedwait(&n->changed, &n->lock, &until))
                fail_msg("the orders do not end");
        pthread_mutex_unlock(&n->lock);
    }
}

static void world_begin(struct world *w, struct news *n, const char *script) {
    *w = (struct world){.threaded = true};
    *n = (struct news){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    world_open_heard(w, script, SIMS, on_commit, n);
}

static void run(struct world *w, struct news *n) {
    struct err err = {0};
    world_engine(w, 0);
    assert_int_equal(engine_run(w->engines[0], &err), ERR_NONE);
    set_engine(n, w->engines[0]);
}

static void stop(struct world *w, struct news *n, int drain_ms) {
    set_engine(n, NULL);
    engine_stop(w->engines[0], drain_ms);
    world_drop(w, 0);
}

static void loop_ends_what_is_placed_while_it_runs(void **state UNUSED) {
    static const char *const scripts[] = {NULL, "", "* * * 20: late 5ms\n* * * 3: refuse\n* * * 3: twice 2ms\n* * * 2: unavailable\n"};
    for (size_t i = 0; i <= ARRAY_LEN(scripts); i++) {
        struct world w;
        struct news n;
        world_begin(&w, &n, scripts[i % ARRAY_LEN(scripts)]);
        w.at_once = i == ARRAY_LEN(scripts);
        run(&w, &n);
        for (int k = 0; k < 200; k++)
            world_place(&w, OP_TOPUP, SIM_PSIM, k % SIMS);
        wait_until_all_ended(&w, &n);
        stop(&w, &n, 1000);
        world_check(&w, true);
        world_close(&w);
    }
}

static void loop_drains_calls_and_begins_none_when_stopped(void **state UNUSED) {
    struct world w;
    struct news n;
    world_begin(&w, &n, "* * * *: late 50ms");
    w.calls_max = 8;
    run(&w, &n);
    for (int k = 0; k < SIMS; k++)
        world_place(&w, OP_TOPUP, SIM_PSIM, k);
    stop(&w, &n, 10000);
    for (int i = 0; i < w.n_orders; i++) {
        struct task *tasks;
        assert_int_equal(world_tasks(&w, w.orders[i], &tasks), 1);
        assert_true(tasks[0].state != TASK_CLAIMED); // whatever was called has come back and is recorded
    }
    world_check(&w, false);
    run(&w, &n); // and another goes on
    wait_until_all_ended(&w, &n);
    stop(&w, &n, 10000);
    world_check(&w, true);
    world_close(&w);
}

static void loop_stops_in_the_midst_and_another_goes_on(void **state UNUSED) {
    struct world w;
    struct news n;
    world_begin(&w, &n, "* * * *: late 3ms");
    for (int life = 0; life < 10; life++) {
        run(&w, &n);
        for (int k = 0; k < 20; k++)
            world_place(&w, OP_TOPUP, SIM_PSIM, (life * 20 + k) % SIMS);
        stop(&w, &n, 0);
        world_check(&w, false);
    }
    run(&w, &n);
    wait_until_all_ended(&w, &n);
    stop(&w, &n, 1000);
    world_check(&w, true);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loop_ends_what_is_placed_while_it_runs),
        cmocka_unit_test(loop_drains_calls_and_begins_none_when_stopped),
        cmocka_unit_test(loop_stops_in_the_midst_and_another_goes_on),
    };
    log_threshold = LOG_ERROR + 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
