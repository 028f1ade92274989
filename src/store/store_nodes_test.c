// SPDX-License-Identifier: Apache-2.0
/*
 * store_nodes_test.c - two nodes on one PostgreSQL, several threads each, all at the same partner, SIM, stock and tasks, while their
 * connections are cut again and again. Afterwards: what was acknowledged is there, once; nothing was claimed or settled twice; no number is
 * missing.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "store/store_usage.h"
#include "store/testing.h"
#include "store/tx.h"

#define NODES 2
#define THREADS 3 // of each node
#define ROUNDS 60
#define PROFILES (NODES * THREADS * ROUNDS)
#define PROFILE_FIRST INT64_C(700000000000000000)
#define CLAIMS_MAX 4

struct world {
    struct fixture *f;
    struct store *node[NODES];
    _Atomic int orders, settled, taken, running;
    _Atomic int profile[PROFILES]; // how often it was given
    _Atomic int64_t claimed[NODES * THREADS * ROUNDS * CLAIMS_MAX];
    _Atomic int n_claimed;
};

struct hand {
    struct world *w;
    struct store *store;
    int number; // of the node, from 1
    char reference[32];
    struct order order;
    struct task claims[CLAIMS_MAX];
    size_t n_claims;
    int settled;
    iccid_t profile;
};

static enum err_kind place(struct tx *tx, void *ctx, struct err *err) {
    struct hand *h = ctx;
    h->order = fixture_order(tx, &h->w->f->product, ICCID_A);
    h->order.reference = str_of(h->reference);
    struct task t = fixture_task(tx, &h->order, 0);
    struct event e = fixture_event(&h->order, EVENT_ORDER_ACCEPTED, tx_now(tx));
    enum err_kind kind = store_order_insert(tx, &h->order, err);
    if (!kind)
        kind = store_task_insert(tx, &t, err);
    return kind ? kind : store_event_append(tx, &e, err);
}

static enum err_kind claim(struct tx *tx, void *ctx, struct err *err) {
    struct hand *h = ctx;
    struct arena a;
    struct task *due = NULL;
    size_t n = 0;
    arena_init(&a, 1 << 20);
    h->n_claims = 0;
    enum err_kind kind = store_task_due(tx, LANE_LIVE, TASK_ALLOWANCE_ADD, tx_now(tx), CLAIMS_MAX, &a, &due, &n, err);
    for (size_t i = 0; i < n && !kind; i++) {
        struct task *t = &h->claims[h->n_claims++];
        *t = due[i];
        t->peer = t->note = STR_NONE;
        t->state = TASK_CLAIMED;
        t->lease_owner = h->number;
        t->lease_until = wall_plus_ms(tx_now(tx), 3600000);
        kind = store_task_update(tx, t, err);
    }
    arena_release(&a);
    return kind;
}

static enum err_kind settle(struct tx *tx, void *ctx, struct err *err) {
    struct hand *h = ctx;
    struct arena a;
    enum err_kind kind = ERR_NONE;
    arena_init(&a, 1 << 20);
    h->settled = 0;
    for (size_t i = 0; i < h->n_claims && !kind; i++) {
        struct order o;
        kind = store_order_get(tx, h->claims[i].order_id, &a, &o, err);
        if (kind)
            break;
        struct subscription s = fixture_subscription(&o, tx_now(tx));
        struct event e = fixture_event(&o, EVENT_ORDER_COMPLETED, tx_now(tx));
        o.state = ORDER_COMPLETED;
        o.finished = tx_now(tx);
        kind = store_task_delete(tx, &h->claims[i], err);
        if (!kind)
            kind = store_order_update(tx, &o, err);
        if (!kind)
            kind = store_subscription_insert(tx, &s, err);
        if (!kind)
            kind = store_event_append(tx, &e, err);
        h->settled++;
    }
    arena_release(&a);
    return kind;
}

static enum err_kind take(struct tx *tx, void *ctx, struct err *err) {
    struct hand *h = ctx;
    struct arena a;
    struct sim s;
    arena_init(&a, 1 << 20);
    enum err_kind kind = store_sim_take_profile(tx, h->w->f->live.id, false, &a, &s, err);
    if (!kind) {
        h->profile = s.iccid;
        s.service = SIM_ACTIVATING;
        kind = store_sim_update(tx, &s, err);
    }
    arena_release(&a);
    return kind;
}

// Again while it is refused: the database is away for a moment. Whether it took place is never in doubt.
static void must(struct hand *h, enum err_kind (*run)(struct tx *, void *, struct err *)) {
    for (;;) {
        struct err err = {0};
        enum err_kind kind = store_run(h->store, run, h, &err);
        if (!kind)
            return;
        if (kind != ERR_UNAVAILABLE && kind != ERR_BUSY) {
            fprintf(stderr, "%s: %s\n", err_kind_name(kind), err_first(&err));
            abort(); // cmocka's own word is for its thread alone
        }
    }
}

static void *work(void *ctx) {
    struct hand *h = ctx;
    struct world *w = h->w;
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(h->reference, sizeof h->reference, "%p-%d", ctx, i);
        must(h, place);
        w->orders++;
        must(h, claim);
        for (size_t k = 0; k < h->n_claims; k++)
            w->claimed[w->n_claimed++] = h->claims[k].id;
        must(h, settle);
        w->settled += h->settled;
        must(h, take);
        w->profile[h->profile - PROFILE_FIRST]++;
        w->taken++;
    }
    w->running--;
    return NULL;
}

static enum err_kind fill_stock(struct tx *tx, void *ctx, struct err *err) {
    (void)ctx;
    enum err_kind kind = ERR_NONE;
    for (int i = 0; i < PROFILES && !kind; i++) {
        struct sim s = fixture_profile(PROFILE_FIRST + i, 0);
        kind = store_sim_insert(tx, &s, err);
    }
    return kind;
}

// Cuts all connections to this schema but its own.
static void cut(struct fixture *f) {
    fixture_script(f,
                   "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'topupd' AND pid <> pg_backend_pid()");
}

static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void check_world(struct world *w) {
    struct fixture *f = w->f;
    struct err *err = &f->err;
    struct tx *tx;
    struct event *events;
    size_t n;
    assert_int_equal(w->orders, NODES * THREADS * ROUNDS);
    assert_int_equal(w->taken, PROFILES);
    for (int i = 0; i < PROFILES; i++)
        assert_int_equal(w->profile[i], 1);

    int claims = w->n_claimed;
    int64_t *claimed = arena_array(&f->arena, int64_t, (size_t)claims + 1);
    for (int i = 0; i < claims; i++)
        claimed[i] = w->claimed[i];
    qsort(claimed, (size_t)claims, sizeof *claimed, by_number);
    for (int i = 1; i < claims; i++)
        assert_true(claimed[i - 1] < claimed[i]);

    OK(store_read_begin(w->node[0], &tx, err));
    OK(store_event_list(tx, f->live.id, 0, 1 << 20, &f->arena, &events, &n, err));
    assert_int_equal(n, w->orders + w->settled);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(events[i].sequence, i + 1);

    struct order_filter all = {.partner_id = f->live.id, .state = -1, .iccid = ICCID_NONE, .before = WALL_NONE, .after = WALL_NONE};
    struct order *orders;
    int64_t total, completed = 0;
    OK(store_order_list(tx, &all, 0, 10000, &f->arena, &orders, &n, &total, err));
    assert_int_equal(total, w->orders);
    for (size_t i = 0; i < n; i++)
        completed += orders[i].state == ORDER_COMPLETED;
    assert_int_equal(completed, w->settled);
    assert_int_equal(w->n_claimed, w->settled);
    store_read_end(tx);
}

static void two_nodes_at_the_same_rows(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct world *w = xcalloc(1, sizeof *w);
    w->f = f;
    RUN(f, fill_stock);
    fixture_close(f);
    f->options.threaded = true;
    for (int i = 0; i < NODES; i++)
        OK(store_open(&f->options, &w->node[i], err));
    struct hand hands[NODES * THREADS];
    pthread_t threads[NODES * THREADS];
    w->running = NODES * THREADS;
    for (int i = 0; i < NODES * THREADS; i++) {
        hands[i] = (struct hand){.w = w, .store = w->node[i % NODES], .number = i % NODES + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &hands[i]), 0);
    }
    int cuts = 0;
    for (int orders = 0; w->running > 0; orders = w->orders) {
        while (w->running > 0 && w->orders < orders + 30)
            sched_yield();
        cut(f);
        cuts++;
    }
    for (int i = 0; i < NODES * THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(cuts > 3);
    check_world(w);
    for (int i = 0; i < NODES; i++)
        store_close(w->node[i]);
    free(w);
}

// ---- news ----

struct heard {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned news;
    size_t n;
    struct store *store;
    struct store_told told;
};

static void hear(void *ctx, unsigned news) {
    struct heard *h = ctx;
    size_t n;
    bool all;
    const struct store_told *told = store_told(h->store, &n, &all);
    pthread_mutex_lock(&h->lock);
    h->news |= news;
    if (all && n > 0) {
        h->n += n;
        h->told = told[n - 1];
    }
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static void wait_for_news(struct heard *h, unsigned news) {
    pthread_mutex_lock(&h->lock);
    while ((h->news & news) != news)
        pthread_cond_wait(&h->changed, &h->lock);
    h->news = 0;
    pthread_mutex_unlock(&h->lock);
}

static void what_one_node_commits_is_news_at_the_other(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct world w = {.f = f};
    struct heard h = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    fixture_close(f);
    f->options.threaded = true;
    for (int i = 0; i < NODES; i++)
        OK(store_open(&f->options, &w.node[i], err));
    h.store = w.node[1];
    store_on_commit(w.node[1], NEWS_EVENTS | NEWS_TASKS | NEWS_KEYS, hear, &h);
    cut(f); // after which anything may have been missed
    wait_for_news(&h, NEWS_EVENTS | NEWS_TASKS | NEWS_KEYS);
    // Until the other node is connected again, and beyond: then one is told of by its number.
    struct hand a = {.w = &w, .store = w.node[0], .number = 1};
    struct order o;
    struct tx *tx;
    for (int i = 0; h.n == 0; i++) {
        struct timespec end;
        snprintf(a.reference, sizeof a.reference, "%d", i);
        must(&a, place);
        assert_int_equal(timespec_get(&end, TIME_UTC), TIME_UTC);
        end.tv_sec++;
        pthread_mutex_lock(&h.lock);
        while (h.n == 0 && pthread_cond_timedwait(&h.changed, &h.lock, &end) == 0)
            continue;
        pthread_mutex_unlock(&h.lock);
    }
    OK(store_read_begin(w.node[1], &tx, err));
    OK(store_order_get(tx, h.told.order_id, &f->arena, &o, err));
    store_read_end(tx);
    assert_int_equal(h.told.partner_id, f->live.id);
    assert_int_equal(h.told.type, EVENT_ORDER_ACCEPTED);
    for (int i = 0; i < NODES; i++)
        store_close(w.node[i]);
}

// ---- what is put off ----

static enum err_kind nothing(struct tx *tx, void *ctx, struct err *err) {
    (void)tx, (void)ctx, (void)err;
    return ERR_NONE;
}
static void committed(void *ctx) {
    (void)ctx;
}

struct late {
    struct world *w;
    enum { LATE_GOOD, LATE_NO_ORDER, LATE_NO_PARTNER, LATE_NO_SUBSCRIPTION, LATE_READS } what;
    char key[8];
    int runs;
    bool done;
    enum err_kind kind;
    struct store_job job;
    pthread_mutex_t *lock;
    pthread_cond_t *changed;
};

static enum err_kind late_run(struct tx *tx, void *ctx, struct err *err) {
    struct late *l = ctx;
    struct idem_row row = {.partner_id = l->w->f->live.id, .key = str_of(l->key), .state = IDEM_ANSWERED, .since = {NOW_MS}, .status = 202},
                    found;
    struct arena a;
    l->runs++;
    arena_init(&a, 1 << 16);
    enum err_kind kind = store_idem_get(tx, row.partner_id, row.key, &a, &found, err);
    if (kind == ERR_NOT_FOUND)
        kind = store_idem_insert(tx, &row, err);
    if (!kind && l->what == LATE_READS) // what it has just written itself
        kind = store_idem_get(tx, row.partner_id, row.key, &a, &found, err);
    struct order o = fixture_order(tx, &l->w->f->product, ICCID_A);
    struct task t = fixture_task(tx, &o, 0);
    if (!kind && l->what == LATE_NO_ORDER)
        kind = store_task_insert(tx, &t, err);
    if (!kind && l->what == LATE_NO_PARTNER)
        kind = store_cap_add(tx, 999, 202611, 1, err);
    struct subscription s = fixture_subscription(&o, tx_now(tx));
    if (!kind && l->what == LATE_NO_SUBSCRIPTION)
        kind = store_subscription_spend(tx, &s, err);
    arena_release(&a);
    return kind;
}

static void late_ahead(struct tx *tx, void *ctx) {
    struct late *l = ctx;
    store_idem_ahead(tx, l->w->f->live.id, str_of(l->key));
    store_sim_ahead(tx, ICCID_A);
}

static void late_done(void *ctx, enum err_kind kind, const struct err *err) {
    struct late *l = ctx;
    (void)err;
    pthread_mutex_lock(l->lock);
    l->kind = kind;
    l->done = true;
    pthread_cond_signal(l->changed);
    pthread_mutex_unlock(l->lock);
}

struct gate {
    pthread_mutex_t *lock;
    pthread_cond_t *changed;
    bool open;
};
static enum err_kind gate_run(struct tx *tx, void *ctx, struct err *err) {
    struct gate *g = ctx;
    (void)tx, (void)err;
    pthread_mutex_lock(g->lock);
    while (!g->open)
        pthread_cond_wait(g->changed, g->lock);
    pthread_mutex_unlock(g->lock);
    return ERR_NONE;
}
static void gate_done(void *ctx, enum err_kind kind, const struct err *err) {
    (void)ctx, (void)kind, (void)err;
}

JOB(keys_job) {
    struct fixture *f = ctx;
    struct idem_row row;
    for (int i = 0; i < 6; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        FAILS(i % 2 ? ERR_NOT_FOUND : ERR_NONE, store_idem_get(tx, f->live.id, str_of(key), &f->arena, &row, err));
    }
    return ERR_NONE;
}

// Jobs of one batch, whose writes travel together at its end: one that breaks a constraint takes nobody with it.
static void what_is_put_off_and_fails_is_one_jobs_alone(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct world w = {.f = f};
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
    fixture_close(f);
    f->options.threaded = true;
    fixture_open(f);
    store_at_end(f->store, &(struct store_end){.run = nothing, .committed = committed});
    struct gate gate = {.lock = &lock, .changed = &changed};
    struct store_job first = {.run = gate_run, .done = gate_done, .ctx = &gate};
    OK(store_submit(f->store, &first, err));
    struct late jobs[] = {
        {.what = LATE_GOOD},       {.what = LATE_NO_ORDER}, {.what = LATE_READS},
        {.what = LATE_NO_PARTNER}, {.what = LATE_GOOD},     {.what = LATE_NO_SUBSCRIPTION},
    };
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        struct late *l = &jobs[i];
        l->w = &w;
        l->lock = &lock;
        l->changed = &changed;
        snprintf(l->key, sizeof l->key, "k%zu", i);
        l->job = (struct store_job){.run = late_run, .ahead = late_ahead, .done = late_done, .ctx = l};
        OK(store_submit(f->store, &l->job, err));
    }
    pthread_mutex_lock(&lock);
    gate.open = true;
    pthread_cond_broadcast(&changed);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        while (!jobs[i].done)
            pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        bool good = jobs[i].what == LATE_GOOD || jobs[i].what == LATE_READS;
        assert_int_equal(jobs[i].kind, good ? ERR_NONE : jobs[i].what == LATE_NO_SUBSCRIPTION ? ERR_NOT_FOUND : ERR_CONFLICT);
        assert_true(jobs[i].runs > 1 || i > 2); // the third looked, and found what the second had done
    }
    RUN(f, keys_job);
}

// ---- many rows, few round trips ----

#define MANY 100

static enum err_kind count_waits(struct tx *tx, void *ctx, struct err *err) {
    (void)err;
    *(int64_t *)ctx = tx->db->waits;
    return ERR_NONE;
}

JOB(many_orders_job) {
    struct fixture *f = ctx;
    for (int i = 0; i < MANY; i++) {
        struct order o = fixture_order(tx, &f->product, ICCID_A);
        struct subscription s = fixture_subscription(&o, tx_now(tx));
        struct task t = fixture_task(tx, &o, 0);
        struct event e = fixture_event(&o, EVENT_ORDER_ACCEPTED, tx_now(tx));
        o.state = i % 2 ? ORDER_COMPLETED : ORDER_ACCEPTED;
        o.sold.minor = s.initial_bytes = 1000 + i;
        OK(store_order_insert(tx, &o, err));
        if (i % 2 == 0)
            OK(store_task_insert(tx, &t, err));
        if (i != 4)
            OK(store_subscription_insert(tx, &s, err));
        OK(store_event_append(tx, &e, err));
    }
    return ERR_NONE;
}

static void many_orders_are_written_in_few_round_trips_and_each_as_it_was(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    store_at_end(f->store, &(struct store_end){.run = nothing, .committed = committed});
    int64_t before = 0, after = 0;
    RUN(f, many_orders_job); // what is met for the first time is looked up
    OK(store_run(f->store, count_waits, &before, err));
    RUN(f, many_orders_job);
    OK(store_run(f->store, count_waits, &after, err));
    assert_true(after - before <= 4); // the end of the first, the second, the beginning of the third
    struct tx *tx = NULL;
    struct order_filter filter = {.state = -1, .iccid = ICCID_NONE, .before = WALL_NONE, .after = WALL_NONE};
    struct order *orders;
    struct subscription s;
    struct task *tasks;
    struct event *events;
    size_t n, n_tasks;
    OK(store_read_begin(f->store, &tx, err));
    OK(store_event_list(tx, f->live.id, 0, 3 * MANY, &f->arena, &events, &n, err));
    assert_int_equal(n, 2 * MANY);
    OK(store_order_list(tx, &filter, 0, 3 * MANY, &f->arena, &orders, &n, NULL, err));
    assert_int_equal(n, 2 * MANY);
    for (int i = 0; i < 2 * MANY; i++) {
        const struct order *o = &orders[2 * MANY - 1 - i];
        int k = i % MANY;
        assert_true(uuid_eq(o->id, events[i].order_id));
        assert_int_equal(o->sold.minor, 1000 + k);
        assert_int_equal(o->state, k % 2 ? ORDER_COMPLETED : ORDER_ACCEPTED);
        OK(store_task_of_order(tx, o->id, &f->arena, &tasks, &n_tasks, err));
        assert_int_equal(n_tasks, k % 2 ? 0 : 1);
        if (k == 4) {
            FAILS(ERR_NOT_FOUND, store_subscription_get(tx, o->id, &f->arena, &s, err));
            continue;
        }
        OK(store_subscription_get(tx, o->id, &f->arena, &s, err));
        assert_int_equal(s.initial_bytes, 1000 + k);
    }
    store_read_end(tx);
}

// ---- what is undone ----

struct undone {
    struct fixture *f;
    struct store_job changes, looks;
    char name[16];
    int done;
};

static enum err_kind changes_run(struct tx *tx, void *ctx, struct err *err) {
    struct undone *u = ctx;
    struct partner p;
    OK(store_partner_get(tx, u->f->live.id, &u->f->arena, &p, err));
    p.name = STR("another");
    OK(store_partner_update(tx, &p, err));
    OK(store_partner_get(tx, u->f->live.id, &u->f->arena, &p, err));
    IS_STR(p.name, "another");
    return err_set(err, ERR_REFUSED, "after all");
}

static enum err_kind looks_run(struct tx *tx, void *ctx, struct err *err) {
    struct undone *u = ctx;
    struct partner p;
    OK(store_partner_get(tx, u->f->live.id, &u->f->arena, &p, err));
    assert_true(str_to_buf(p.name, u->name, sizeof u->name));
    return store_sim_get(tx, ICCID_A, &u->f->arena, &(struct sim){0}, err);
}

static void undone_done(void *ctx, enum err_kind kind, const struct err *err) {
    struct undone *u = ctx;
    (void)kind, (void)err;
    u->done++;
}

static void undone_begin(void *ctx, enum err_kind kind, const struct err *err) {
    struct undone *u = ctx;
    struct err why = {0};
    (void)kind, (void)err;
    assert_int_equal(store_submit(u->f->store, &u->changes, &why), ERR_NONE); // the two are one batch
    assert_int_equal(store_submit(u->f->store, &u->looks, &why), ERR_NONE);
}

static void what_was_read_of_an_undone_job_is_read_again(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct undone u = {.f = f};
    u.changes = (struct store_job){.run = changes_run, .done = undone_done, .ctx = &u};
    u.looks = (struct store_job){.run = looks_run, .done = undone_done, .ctx = &u};
    struct store_job first = {.run = looks_run, .done = undone_begin, .ctx = &u};
    OK(store_submit(f->store, &first, err));
    assert_int_equal(u.done, 2);
    assert_string_equal(u.name, "A partner");
}

// ---- references ----

static enum err_kind by_hand(struct fixture *f, const char *sql) {
    struct err *err = &f->err;
    struct db *db = NULL;
    err_clear(err);
    OK(db_pg.open(&db_pg, f->pg_location, true, false, &db, err));
    enum err_kind kind = db_pg.script(db, sql, err);
    db_pg.close(db);
    return kind;
}

// They are triggers of the schema: whatever program writes.
static void what_is_referred_to_stays_whoever_asks(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    char elsewhere[128];
    RUN(f, many_orders_job);
    const char *const refused[] = {
        "DELETE FROM product",
        "DELETE FROM sim",
        "UPDATE product SET id = id + 1000",
        "UPDATE sim SET iccid = iccid + 1000",
        "UPDATE orders SET product_id = 1000",
        "UPDATE subscription SET product_id = 1000",
        "UPDATE subscription SET iccid = iccid + 1000",
        "INSERT INTO orders SELECT (o).* FROM (SELECT jsonb_populate_record(o, '{\"product_id\": 9, \"id\": \"0123456789abcdef\"}') AS o "
        "FROM orders o "
        "LIMIT 1) AS n",
        "INSERT INTO subscription SELECT (s).* FROM"
        " (SELECT jsonb_populate_record(s, '{\"iccid\": 5}') AS s FROM subscription s LIMIT 1) AS n",
        elsewhere,
    };
    snprintf(elsewhere, sizeof elsewhere, "SET search_path = pg_catalog; DELETE FROM %s.sim", f->pg_schema);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if (by_hand(f, refused[i]) != ERR_CONFLICT || !strstr(err_first(&f->err), "foreign key"))
            fail_msg("%s: %s", refused[i], err_first(&f->err));
    }
    static const char *const taken[] = {
        "DELETE FROM product WHERE id NOT IN (SELECT product_id FROM orders)",
        "DELETE FROM sim WHERE iccid NOT IN (SELECT iccid FROM subscription)",
        "UPDATE product SET id = id, name = 'another'",
        "DELETE FROM subscription; DELETE FROM task; DELETE FROM sim",
        "DELETE FROM orders; DELETE FROM product",
    };
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        if (by_hand(f, taken[i]) != ERR_NONE)
            fail_msg("%s: %s", taken[i], err_first(&f->err));
    }
}

struct spender {
    struct fixture *f;
    struct order order;
    int64_t waits, spent[4];
    int n; // of them
    enum err_kind kind;
};

JOB(spender_order_job) {
    struct spender *w = ctx;
    w->order = fixture_order(tx, &w->f->product, ICCID_A);
    w->order.state = ORDER_COMPLETED;
    struct subscription s = fixture_subscription(&w->order, tx_now(tx));
    OK(store_order_insert(tx, &w->order, err));
    return store_subscription_insert(tx, &s, err);
}

static struct usage_record usage_of(int i, char name[16]) {
    struct usage_record r = {
        .named = USAGE_BY_ICCID, .number = STR("x"), .bytes_up = 1, .bytes_down = 1, .start = {NOW_MS}, .end = {NOW_MS}};
    snprintf(name, 16, "r%d", i);
    r.source = STR("test");
    r.record_id = str_of(name);
    return r;
}

static void spend_ahead(struct tx *tx, void *ctx) {
    (void)ctx;
    for (int i = 0; i < MANY; i++) {
        char name[16];
        struct usage_record r = usage_of(i, name);
        store_usage_ahead(tx, &r, ICCID_A);
    }
}

static int64_t spent_now(struct spender *w, struct tx *tx) {
    struct err *err = &w->f->err;
    struct usable_subscription *usable;
    size_t n;
    OK(store_subscription_usable(tx, ICCID_A, (struct wall){NOW_MS}, (struct wall){NOW_MS}, &w->f->arena, &usable, &n, err));
    assert_int_equal(n, 1);
    return usable[0].s.spent_bytes;
}

static enum err_kind spend_run(struct tx *tx, void *ctx, struct err *err) {
    struct spender *w = ctx;
    struct subscription s = fixture_subscription(&w->order, tx_now(tx));
    struct usage_place place = {w->order.id, 2};
    struct partner partner;
    struct sim sim;
    w->waits = tx->db->waits;
    for (int i = 0; i < MANY; i++) {
        char name[16];
        struct stored_usage u = {.record = usage_of(i, name), .iccid = ICCID_A, .partner_id = w->f->live.id, .received = {NOW_MS}}, was;
        FAILS(ERR_NOT_FOUND, store_usage_find(tx, u.record.source, u.record.record_id, &w->f->arena, &was, err));
        OK(store_sim_get(tx, ICCID_A, &w->f->arena, &sim, err));
        OK(store_partner_get(tx, sim.partner_id, &w->f->arena, &partner, err));
        OK(store_usage_insert(tx, &u, &place, 1, err));
    }
    w->waits = tx->db->waits - w->waits;
    w->n = 0;
    w->spent[w->n++] = spent_now(w, tx); // what was asked for ahead
    s.spent_bytes = 10;
    OK(store_subscription_spend(tx, &s, err));
    w->spent[w->n++] = spent_now(w, tx);
    for (s.spent_bytes = 20; s.spent_bytes < 50; s.spent_bytes += 10)
        OK(store_subscription_spend(tx, &s, err)); // again and again, and nobody looks
    w->spent[w->n++] = spent_now(w, tx);
    char name[16];
    struct usage_record r = usage_of(MANY - 1, name);
    struct stored_usage was;
    return store_usage_find(tx, r.source, r.record_id, &w->f->arena, &was, err);
}

static void spend_done(void *ctx, enum err_kind kind, const struct err *err) {
    (void)err;
    ((struct spender *)ctx)->kind = kind;
}

static void much_usage_is_booked_in_few_round_trips_and_seen_at_once(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct spender w = {.f = f};
    store_at_end(f->store, &(struct store_end){.run = nothing, .committed = committed});
    OK(store_run(f->store, spender_order_job, &w, err));
    struct store_job job = {.run = spend_run, .ahead = spend_ahead, .done = spend_done, .ctx = &w};
    OK(store_submit(f->store, &job, err)); // not threaded: it is done
    assert_int_equal(w.kind, ERR_NONE);
    assert_true(w.waits <= 2); // the partner, and maybe a block of numbers
    assert_int_equal(w.n, 3);
    assert_int_equal(w.spent[0], 0);
    assert_int_equal(w.spent[1], 10);
    assert_int_equal(w.spent[2], 40);
    struct tx *tx = NULL;
    struct usage_place *places;
    struct stored_usage u;
    size_t n;
    OK(store_read_begin(f->store, &tx, err));
    assert_int_equal(spent_now(&w, tx), 40);
    for (int i = 0; i < MANY; i++) {
        char name[16];
        struct usage_record r = usage_of(i, name);
        OK(store_usage_find(tx, r.source, r.record_id, &f->arena, &u, err));
        OK(store_usage_places(tx, u.id, &f->arena, &places, &n, err));
        assert_int_equal(n, 1);
        assert_true(uuid_eq(places[0].subscription_id, w.order.id));
    }
    store_read_end(tx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_nodes_at_the_same_rows, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_is_put_off_and_fails_is_one_jobs_alone, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(many_orders_are_written_in_few_round_trips_and_each_as_it_was, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_was_read_of_an_undone_job_is_read_again, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_is_referred_to_stays_whoever_asks, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(much_usage_is_booked_in_few_round_trips_and_seen_at_once, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_one_node_commits_is_news_at_the_other, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
