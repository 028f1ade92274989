// SPDX-License-Identifier: Apache-2.0
/*
 * store_threads_test.c - many threads submit and read at once; meant to be run under a thread sanitizer, too. SEED in the environment
 * chooses another course.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "store/testing.h"

#define SUBMITTERS 4
#define READERS 3
#define JOBS 400

struct worker {
    struct fixture *f;
    pthread_t thread;
    int number;
    uint64_t seed;
    // submitters: what the jobs said
    atomic_int answered, accepted, refused;
    int64_t last_sequence; // of this worker's events: they must grow
};

static atomic_bool stop_reading;

struct one {
    struct store_job job;
    struct worker *w;
    iccid_t iccid;
    int64_t sequence;
    bool fails_early, fails_late;
};

static enum err_kind one_run(struct tx *tx, void *ctx, struct err *err) {
    struct one *one = ctx;
    struct fixture *f = one->w->f;
    if (one->fails_early)
        return err_set(err, ERR_INVALID, "early");
    struct sim s = fixture_sim(one->iccid, f->live.id);
    struct event e = {.partner_id = f->live.id, .type = EVENT_SIM_ACTIVATED, .created = tx_now(tx), .iccid = one->iccid};
    enum err_kind kind = store_sim_insert(tx, &s, err);
    if (!kind)
        kind = store_event_append(tx, &e, err);
    one->sequence = e.sequence;
    return kind || !one->fails_late ? kind : err_set(err, ERR_REFUSED, "late");
}

static void one_done(void *ctx, enum err_kind kind, const struct err *err) {
    (void)err;
    struct one *one = ctx;
    struct worker *w = one->w;
    enum err_kind expected = one->fails_early ? ERR_INVALID : one->fails_late ? ERR_REFUSED : ERR_NONE;
    if (kind != expected)
        fail_msg("%s, not %s", err_kind_name(kind), err_kind_name(expected));
    if (!kind) {
        assert_true(one->sequence > w->last_sequence); // in the order of submission
        w->last_sequence = one->sequence;
        w->accepted++;
    } else {
        w->refused++;
    }
    free(one);
    w->answered++;
}

static void *submitter_main(void *ctx) {
    struct worker *w = ctx;
    struct rng_seeded seeded;
    struct rng rng = rng_seeded_init(&seeded, w->seed);
    for (int i = 0; i < JOBS; i++) {
        struct one *one = xcalloc(1, sizeof *one);
        one->w = w;
        one->iccid = w->number * 100000 + i + 1;
        one->fails_early = rng_below(&rng, 10) == 0;
        one->fails_late = !one->fails_early && rng_below(&rng, 50) == 0;
        one->job = (struct store_job){.run = one_run, .done = one_done, .ctx = one};
        struct err err = {0};
        enum err_kind kind = ERR_BUSY;
        while ((kind = store_submit(w->f->store, &one->job, &err)) == ERR_BUSY)
            sched_yield(); // the queue is short on purpose
        if (kind)
            fail_msg("%s", err_first(&err));
    }
    // And one that waits for its answer.
    struct err err = {0};
    enum err_kind kind = ERR_BUSY;
    while ((kind = store_ping(w->f->store, &err)) == ERR_BUSY)
        sched_yield();
    if (kind)
        fail_msg("%s", err_first(&err));
    assert_int_equal(w->answered, JOBS); // those before it have theirs
    return NULL;
}

// In one state of the store there are as many of the partner's SIMs as there are events of them, numbered without a gap.
static void *reader_main(void *ctx) {
    struct worker *w = ctx;
    struct fixture *f = w->f;
    struct err *err = &(struct err){0};
    struct sim_filter filter = {.partner_id = f->live.id, .service = SIM_ACTIVE};
    while (!stop_reading) {
        struct tx *tx = NULL;
        int64_t sims = 0, first = 0, last = 0;
        OK(store_read_begin(f->store, &tx, err));
        OK(store_sim_count(tx, &filter, 1 << 20, &sims, err));
        OK(store_event_range(tx, f->live.id, &first, &last, err));
        store_read_end(tx);
        assert_int_equal(sims, last + 1); // the fixture's own has no event
        assert_true(last >= w->last_sequence);
        w->last_sequence = last;
    }
    return NULL;
}

static void start(struct worker *w, struct fixture *f, int number, uint64_t seed, void *(*run)(void *)) {
    w->f = f;
    w->number = number;
    w->seed = seed + (uint64_t)number;
    assert_int_equal(pthread_create(&w->thread, NULL, run, w), 0);
}

static void threads_submit_and_read_at_once(void **state) {
    struct fixture *f = *state;
    const char *text = getenv("SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : 20261123;
    print_message("SEED=%llu\n", (unsigned long long)seed);
    f->options.threaded = true;
    f->options.queue_max = 64;
    f->options.batch_max = 16;
    f->options.clock = &clock_system;
    fixture_open(f);
    fixture_fill(f);
    struct worker submitters[SUBMITTERS] = {0}, readers[READERS] = {0};
    stop_reading = false;
    for (int i = 0; i < READERS; i++)
        start(&readers[i], f, i, seed, reader_main);
    for (int i = 0; i < SUBMITTERS; i++)
        start(&submitters[i], f, i + 1, seed, submitter_main);
    int accepted = 0;
    for (int i = 0; i < SUBMITTERS; i++) {
        pthread_join(submitters[i].thread, NULL);
        assert_int_equal(submitters[i].accepted + submitters[i].refused, JOBS);
        accepted += submitters[i].accepted;
    }
    stop_reading = true;
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i].thread, NULL);

    struct err *err = &f->err;
    struct tx *tx = NULL;
    int64_t first = 0, last = 0;
    OK(store_read_begin(f->store, &tx, err));
    OK(store_event_range(tx, f->live.id, &first, &last, err));
    store_read_end(tx);
    assert_int_equal(first, 1);
    assert_int_equal(last, accepted);
    OK(store_check(f->store, err));
}

static void closing_answers_what_is_queued(void **state) {
    struct fixture *f = *state;
    f->options.threaded = true;
    f->options.clock = &clock_system;
    fixture_open(f);
    fixture_fill(f);
    struct worker w = {.f = f, .number = 7};
    for (int i = 0; i < 200; i++) {
        struct one *one = xcalloc(1, sizeof *one);
        struct err err = {0};
        one->w = &w;
        one->iccid = i + 1;
        one->job = (struct store_job){.run = one_run, .done = one_done, .ctx = one};
        assert_int_equal(store_submit(f->store, &one->job, &err), ERR_NONE);
    }
    fixture_close(f);
    assert_int_equal(w.accepted, 200);
    fixture_open(f);
    struct err *err = &f->err;
    struct tx *tx = NULL;
    int64_t first = 0, last = 0;
    OK(store_read_begin(f->store, &tx, err));
    OK(store_event_range(tx, f->live.id, &first, &last, err));
    store_read_end(tx);
    assert_int_equal(last, 200);
}

// ---- the log, while much is written ----

#define MANY 600
#define EACH_BYTES (1 << 20)

static enum err_kind much_run(struct tx *tx, void *ctx, struct err *err) {
    struct fixture *f = ctx;
    static char bytes[EACH_BYTES];
    struct event e = {.partner_id = f->live.id, .type = EVENT_SIM_ACTIVATED, .created = tx_now(tx), .payload = {bytes, sizeof bytes}};
    return store_event_append(tx, &e, err);
}

static void the_log_is_copied_away_while_much_is_written(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    char log[128];
    struct stat st;
    f->options.threaded = true;
    f->options.clock = &clock_system;
    snprintf(log, sizeof log, "%s/topupd.db-wal", f->location);
    fixture_open(f);
    fixture_fill(f);
    int64_t longest = 0, first = 0, last = 0;
    struct tx *tx = NULL;
    struct partner partner;
    for (int i = 0; i < MANY; i++) {
        OK(store_run(f->store, much_run, f, err));
        // What is acknowledged is seen at once, and readers that come and go do not hold the log up.
        OK(store_read_begin(f->store, &tx, err));
        OK(store_partner_get(tx, f->live.id, &f->arena, &partner, err));
        if (i % 32 == 0) {
            OK(store_event_range(tx, f->live.id, &first, &last, err));
            assert_int_equal(last, i + 1);
        }
        store_read_end(tx);
        assert_int_equal(stat(log, &st), 0);
        longest = st.st_size > longest ? st.st_size : longest;
    }
    // It began anew at least once, at about 128 MiB and what came while that was copied.
    assert_in_range(longest, 1, MANY * (int64_t)EACH_BYTES - 1);
    fixture_close(f);
    fixture_open(f);
    OK(store_read_begin(f->store, &tx, err));
    OK(store_event_range(tx, f->live.id, &first, &last, err));
    store_read_end(tx);
    assert_int_equal(last, MANY);
    OK(store_check(f->store, err));
}

// Readers look through the log before they look into the file.
static void the_log_is_copied_when_nobody_writes(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    char file[128];
    struct stat st = {0};
    f->options.threaded = true;
    f->options.clock = &clock_system;
    snprintf(file, sizeof file, "%s/topupd.db", f->location);
    fixture_open(f);
    fixture_fill(f);
    for (int i = 0; i < 8; i++)
        OK(store_run(f->store, much_run, f, err));
    for (int i = 0; i < 1000 && st.st_size < 8 * EACH_BYTES; i++) {
        poll(NULL, 0, 10);
        assert_int_equal(stat(file, &st), 0);
    }
    assert_true(st.st_size >= 8 * EACH_BYTES);
}

int main(void) {
#define CLOSED(name) cmocka_unit_test_setup_teardown(name, fixture_setup_closed, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CLOSED(threads_submit_and_read_at_once),
        CLOSED(closing_answers_what_is_queued),
        CLOSED(the_log_is_copied_away_while_much_is_written),
        CLOSED(the_log_is_copied_when_nobody_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
