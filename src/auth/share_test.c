// SPDX-License-Identifier: Apache-2.0
/*
 * share_test.c - nodes that count together: never more than the limit, and hardly less, however the calls are spread. The embedded store
 * plays one that several nodes share.
 */
#include "auth/share.h"

#include <pthread.h>
#include <stdatomic.h>

#include "store/db_fault.h"
#include "store/testing.h"

#define NODES 3

struct world {
    struct fixture *f;
    struct db_fault fault;
    struct shares *node[NODES];
};

static enum err_kind add_nodes(struct tx *tx, void *ctx UNUSED, struct err *err) {
    for (int i = 0; i < NODES + 1; i++) { // the last one answers no requests
        struct node_row row = {.number = i + 1, .instance = 100 + i, .name = STR("host"), .role = i == NODES ? NODE_ENGINE : NODE_ALL};
        row.started = tx_now(tx);
        row.lease_until = wall_plus_ms(row.started, 3600000);
        OK(store_node_take(tx, &row, err));
    }
    return ERR_NONE;
}

static int begin(void **state, bool threaded) {
    struct world *w = xcalloc(1, sizeof *w);
    db_fault_init(&w->fault, &db_sqlite);
    w->f = fixture_new(&w->fault.driver);
    w->f->options.threaded = threaded;
    fixture_open(w->f);
    struct err *err = &w->f->err;
    OK(store_run(w->f->store, add_nodes, NULL, err));
    for (int i = 0; i < NODES; i++)
        w->node[i] = shares_open(w->f->store, &w->f->clock, i + 1);
    *state = w;
    return 0;
}

static int setup(void **state) {
    return begin(state, false);
}

static int setup_threaded(void **state) {
    return begin(state, true);
}

static int teardown(void **state) {
    struct world *w = *state;
    fixture_close(w->f);
    for (int i = 0; i < NODES; i++)
        shares_close(w->node[i]);
    fixture_free(w->f);
    free(w);
    return 0;
}

static void went(void *ctx) {
    ++*(int *)ctx;
}

// A call at a node; the store answers at once.
static bool call(struct world *w, int node, int64_t limit, struct rate_state *out) {
    int gone = 0;
    struct rate_wait wait = {.go = went, .ctx = &gone};
    for (int tries = 0; !shares_count(w->node[node], 7, "orders", limit, &wait, out); tries++) {
        assert_int_equal(gone, tries + 1); // told, and asked again
        assert_true(tries < 3);
    }
    return out->allowed;
}

static int64_t jobs(struct world *w) {
    struct store_stats stats;
    store_stats_get(w->f->store, &stats);
    return stats.jobs;
}

static void the_limit_is_of_all_however_the_calls_are_spread(void **state) {
    struct world *w = *state;
    static const int spreads[][NODES] = {{1, 1, 1}, {98, 1, 1}, {1, 0, 0}, {10, 5, 1}, {1, 1, 0}};
    static const int64_t limits[] = {60, 100, 1000, 60000};
    struct rate_state r;
    for (size_t i = 0; i < ARRAY_LEN(spreads); i++)
        for (size_t k = 0; k < ARRAY_LEN(limits); k++) {
            int64_t accepted = 0, limit = limits[k], before = jobs(w), tried = 0;
            clock_manual_advance(&w->f->manual, 60000);
            for (; tried < 2 * limit; tried++) { // in turn, by weight
                int all = spreads[i][0] + spreads[i][1] + spreads[i][2], at = (int)(tried % all), node = 0;
                while (at >= spreads[i][node])
                    at -= spreads[i][node++];
                accepted += call(w, node, limit, &r);
                assert_int_equal(r.limit, limit);
                assert_true(r.remaining >= 0 && r.remaining <= limit);
            }
            assert_true(accepted <= limit);
            assert_true(accepted * 100 >= limit * 90);
            assert_true(jobs(w) - before <= 2 * 20 * NODES);
        }
}

static void a_limit_that_is_raised_counts_at_once(void **state) {
    struct world *w = *state;
    struct rate_state r;
    for (int i = 0; i < 4; i++)
        (void)call(w, 0, 3, &r);
    assert_false(call(w, 0, 3, &r));
    assert_true(call(w, 0, 1000, &r));
}

static void a_small_limit_holds_exactly(void **state) {
    struct world *w = *state;
    struct rate_state r;
    for (int64_t limit = 1; limit < 20; limit++) {
        int64_t accepted = 0;
        clock_manual_advance(&w->f->manual, 60000);
        for (int i = 0; i < 100; i++)
            accepted += call(w, i % NODES, limit, &r);
        assert_true(accepted <= limit && accepted >= limit - 2); // what two others have taken and not used
    }
}

static void a_minute_begins_for_all_at_once(void **state) {
    struct world *w = *state;
    struct rate_state r[NODES];
    while (call(w, 0, 10, &r[0]))
        ;
    for (int i = 0; i < NODES; i++) {
        for (int k = 0; k < 3 && call(w, i, 10, &r[i]); k++)
            ;
        assert_false(call(w, i, 10, &r[i]));
        assert_int_equal(r[i].reset.ms, r[0].reset.ms);
        assert_int_equal(r[i].remaining, 0);
        assert_true(r[i].retry_after_s >= 1 && r[i].retry_after_s <= 60);
    }
    clock_manual_advance(&w->f->manual, r[0].reset.ms - clock_wall(&w->f->clock).ms - 1);
    assert_false(call(w, 1, 10, &r[1]));
    clock_manual_advance(&w->f->manual, 1);
    assert_true(call(w, 1, 10, &r[1]));
    assert_int_equal(r[1].reset.ms, r[0].reset.ms + 60000);
}

static void nobody_is_refused_because_the_store_is_away(void **state) {
    struct world *w = *state;
    struct rate_state r;
    assert_true(call(w, 0, 20, &r));
    db_fault_arm(&w->fault, FAULT_DIES, 1);
    for (int i = 0; i < 200; i++)
        assert_true(call(w, 0, 20, &r));
    db_fault_arm(&w->fault, FAULT_REFUSES, 0);
    clock_manual_advance(&w->f->manual, 1000); // then it is asked again
    int64_t accepted = 0;
    for (int i = 0; i < 200; i++)
        accepted += call(w, 0, 20, &r);
    assert_true(accepted <= 20);
}

// ---- with threads: calls wait for what the store says ----

struct caller {
    struct rate_wait wait;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool gone;
    struct world *w;
    int node;
    _Atomic int64_t *accepted;
};

static void wake(void *ctx) {
    struct caller *c = ctx;
    pthread_mutex_lock(&c->lock);
    c->gone = true;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void *call_often(void *ctx) {
    struct caller *c = ctx;
    for (int i = 0; i < 500; i++) {
        struct rate_state r;
        c->gone = false;
        c->wait = (struct rate_wait){.go = wake, .ctx = c};
        while (!shares_count(c->w->node[c->node], 7, "orders", 1000, &c->wait, &r)) {
            pthread_mutex_lock(&c->lock);
            while (!c->gone)
                pthread_cond_wait(&c->changed, &c->lock);
            c->gone = false;
            pthread_mutex_unlock(&c->lock);
        }
        *c->accepted += r.allowed;
    }
    return NULL;
}

static void calls_at_once_are_counted_once(void **state) {
    struct world *w = *state;
    _Atomic int64_t accepted = 0;
    struct caller callers[6];
    pthread_t threads[6];
    for (int i = 0; i < 6; i++) {
        callers[i] = (struct caller){
            .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .w = w, .node = i % NODES, .accepted = &accepted};
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
    }
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    assert_true(accepted <= 1000 && accepted >= 900);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_limit_is_of_all_however_the_calls_are_spread, setup, teardown),
        cmocka_unit_test_setup_teardown(a_limit_that_is_raised_counts_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_small_limit_holds_exactly, setup, teardown),
        cmocka_unit_test_setup_teardown(a_minute_begins_for_all_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_is_refused_because_the_store_is_away, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_at_once_are_counted_once, setup_threaded, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
