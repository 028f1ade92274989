// SPDX-License-Identifier: Apache-2.0
/*
 * store.c - opening, the readers' pool, the writer and its group commit.
 *
 * The writer takes all jobs that wait (up to batch_max) and runs them in one transaction. It hopes: without savepoints, which would cost as
 * much as a small job. A job that fails before it has written anything (a rule that does not hold, the usual case) leaves nothing to
 * undo. Only when one fails after it wrote is the whole transaction undone and the batch run again with a savepoint for each job; and
 * when even that does not hold (the database has given the transaction up: disk full), each job gets a transaction of its own. Jobs are
 * answered after the commit, those too that were refused: what they were refused for may have been written by a job of the same batch.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "store/migrate.h"
#include "store/tx.h"

#define TRIES_MAX 5
#define HOOKS_MAX 8
#define EAR_AGAIN_MS 200 // after a connection was lost
#define IDLE_MS 100      // without a job, after which upkeep does what could wait

struct told {
    const struct store_told *list;
    size_t n;
    bool all;
};

// What other nodes have committed since the writer looked last.
struct news_of_others {
    unsigned news;
    struct store_told *list, *spare; // one is filled while the other is read
    size_t n;
    bool all;
};

struct store {
    struct store_options o;
    const struct db_driver *driver;
    char *location;
    int64_t schema_from, schema_to; // what this open made of it

    struct tx writer; // the writer thread's

    pthread_mutex_t pool_lock; // readers
    pthread_cond_t pool_changed;
    struct tx *readers;
    int readers_open, readers_taken;
    bool readers_held;        // upkeep waits until none reads
    _Atomic uint64_t commits; // of the writer, and upkeeps; counted before anybody hears of one

    pthread_mutex_t lock; // queue and stats
    pthread_cond_t work;
    _Atomic bool far;                        // what jobs read lies on the disk: whoever brings one looks for it first
    struct store_job *head, **tail, **early; // early: behind those that go before others
    size_t queued;
    bool closing, idle, running;
    struct store_stats stats;

    pthread_t thread;
    bool started;

    struct {
        unsigned news;
        void (*fn)(void *ctx, unsigned news);
        void *ctx;
    } hook[HOOKS_MAX];
    _Atomic size_t hooks;
    struct store_end end; // .run NULL: nothing
    bool ended;           // it is part of what was committed last
    bool upkeep_failed;   // said already

    struct told announced; // of the hooks that are being called

    // where other nodes write to the same store
    uint64_t who;    // we are, to them
    struct buf text; // what they are told
    struct tx ear;
    int stop[2]; // a pipe: the end for the ear's thread
    pthread_t ear_thread;
    bool ear_open, hears;
    struct news_of_others others; // under the lock

    // What upkeep leaves to a thread of its own: while `copying`, the driver's copy is at it.
    pthread_mutex_t copy_lock;
    pthread_cond_t copy_changed;
    pthread_t copier;
    bool copier_started, copying, copy_stop;
    bool copy_failed; // said already
};

void store_options_default(struct store_options *o) {
    *o = (struct store_options){
        .clock = &clock_system,
        .rng = &rng_system,
        .queue_max = 20000,
        .batch_max = 1000,
        .readers = 4,
        .recent = 8192, // several batches: what is accepted is settled soon after
        .threaded = true,
        .may_create = true,
    };
}

// ---- one batch ----

enum verdict { BATCH_COMMITTED, BATCH_FAILED, BATCH_AGAIN, BATCH_CAREFULLY };

// `ends`: with the work for the end of the transaction, and so with orders kept in memory for it.
static enum err_kind begin(struct store *s, bool ends, struct err *err) {
    struct tx *tx = &s->writer;
    tx->trouble = ERR_NONE;
    tx->wrote = tx->changes = false;
    tx->news = 0;
    tx->told = 0;
    if (tx->open_tasks == OPEN_TASKS_MAYBE)
        tx->open_tasks = OPEN_TASKS_UNKNOWN;
    tx->fresh.on = tx->db->defer = ends && s->end.run;
    s->ended = false;
    tx->now = clock_wall(s->o.clock);
    enum err_kind kind = tx->db->driver->begin(tx->db, err);
    if (!kind && tx->db->others)
        tx_others(tx);
    return kind;
}

static void undo_all(struct store *s) {
    struct tx *tx = &s->writer;
    tx->db->driver->rollback(tx->db);
    tx->news = 0;
    tx->told = 0;
    tx_forget(tx);
}

// What other nodes are told: "WHO NEWS", and what they may want to look up of it, as long as there is room: " +" and for each event
// " PARTNER SEQUENCE TYPE ORDER". Without the plus there was more.
static enum err_kind tell_others(struct store *s, struct err *err) {
    struct tx *tx = &s->writer;
    if (!tx->news || !s->driver->tell || !s->o.threaded)
        return ERR_NONE;
    char line[128];
    buf_clear(&s->text);
    snprintf(line, sizeof line, "%" PRIu64 " %u +", s->who, tx->news);
    buf_add_text(&s->text, line);
    size_t fits = s->text.n - 1;
    for (size_t i = 0; i < tx->told; i++) {
        const struct store_told *t = &tx->told_list[i];
        char id[UUID_TEXT];
        if (tx->told > STORE_TOLD_MAX || s->text.n + sizeof line > DB_TELL_MAX) {
            s->text.n = fits;
            break;
        }
        uuid_format(t->order_id, id);
        snprintf(line, sizeof line, " %" PRId64 " %" PRId64 " %d %s", t->partner_id, t->sequence, t->type, id);
        buf_add_text(&s->text, line);
    }
    return tx->db->driver->tell(tx->db, buf_str(&s->text), err);
}

static enum err_kind commit(struct store *s, struct err *err) {
    struct tx *tx = &s->writer;
    enum err_kind kind = tx_flush(tx, err);
    if (!kind && !tx->changes && !s->driver->alone) { // not even its turn: nobody else needs to know
        tx->db->driver->rollback(tx->db);
        return ERR_NONE;
    }
    if (!kind)
        kind = tell_others(s, err);
    if (!kind)
        kind = tx->db->driver->commit(tx->db, err);
    atomic_fetch_add(&s->commits, 1); // one that failed, too: what it left is looked at anew
    if (kind)
        undo_all(s);
    else
        tx_committed(tx);
    return kind;
}

static enum err_kind run_end(struct store *s, struct err *err) {
    struct tx *tx = &s->writer;
    if (tx->fresh.n == 0)
        return ERR_NONE;
    tx->trouble = ERR_NONE;
    enum err_kind kind = s->end.run(tx, s->end.ctx, err);
    s->ended = !kind && !tx->trouble;
    return kind ? kind : tx->trouble;
}

// Runs one job; its answer stands in the job. A verb's trouble counts even when the job thought nothing of it.
static enum err_kind run_job(struct store *s, struct store_job *job) {
    struct tx *tx = &s->writer;
    tx->wrote = false;
    tx->trouble = ERR_NONE;
    err_clear(&job->err);
    job->kind = job->run(tx, job->ctx, &job->err);
    if (tx->trouble && !job->kind)
        job->kind = err_set(&job->err, tx->trouble, "the store could not do what was asked");
    return job->kind;
}

static void answer_all(struct store_job *first, enum err_kind kind, const struct err *err) {
    for (struct store_job *job = first; job; job = job->next) {
        job->kind = kind;
        job->err = *err;
    }
}

static enum verdict fail_or_again(struct store_job *first, enum err_kind kind, const struct err *err) {
    if (kind == ERR_RETRY)
        return BATCH_AGAIN;
    answer_all(first, kind, err);
    return BATCH_FAILED;
}

// What the jobs will read, all at once.
static void look_ahead(struct store *s, struct store_job *first) {
    for (struct store_job *job = first; job && s->driver->ahead; job = job->next) {
        if (job->ahead)
            job->ahead(&s->writer, job->ctx);
    }
}

static enum verdict hope(struct store *s, struct store_job *first, bool ends) {
    struct tx *tx = &s->writer;
    struct err err = {0};
    look_ahead(s, first);
    enum err_kind kind = begin(s, ends, &err);
    if (kind)
        return fail_or_again(first, kind, &err);
    for (struct store_job *job = first; job; job = job->next) {
        kind = run_job(s, job);
        if (kind && (tx->wrote || tx->trouble || kind == ERR_RETRY)) {
            undo_all(s);
            return kind == ERR_RETRY || tx->trouble == ERR_RETRY ? BATCH_AGAIN : BATCH_CAREFULLY;
        }
    }
    if (run_end(s, &err)) {
        undo_all(s);
        return hope(s, first, false);
    }
    kind = commit(s, &err);
    if (kind == ERR_CONFLICT || kind == ERR_CORRUPT) // of a write that the driver or tx_flush had put off: some job's
        return BATCH_CAREFULLY;
    return kind ? fail_or_again(first, kind, &err) : BATCH_COMMITTED;
}

static enum verdict run_hoping(struct store *s, struct store_job *first) {
    return hope(s, first, true);
}

// A job between savepoint and release. False: the transaction itself is lost.
static bool run_undoable(struct store *s, struct store_job *job, struct err *err) {
    struct tx *tx = &s->writer;
    const struct db_driver *d = tx->db->driver;
    unsigned news = tx->news;
    size_t told = tx->told;
    if (d->savepoint(tx->db, err))
        return false;
    enum err_kind kind = run_job(s, job);
    if (!kind) {
        kind = tx_flush(tx, &job->err);
        if (!kind)
            kind = d->release(tx->db, &job->err);
        job->kind = kind;
    }
    if (!kind)
        return true;
    tx->news = news;
    tx->told = told;
    tx_forget(tx);
    return d->undo(tx->db, err) == ERR_NONE;
}

static enum verdict run_carefully(struct store *s, struct store_job *first) {
    struct tx *tx = &s->writer;
    struct err err = {0};
    enum err_kind kind = begin(s, false, &err);
    if (kind)
        return fail_or_again(first, kind, &err);
    for (struct store_job *job = first; job; job = job->next) {
        if (!run_undoable(s, job, &err)) {
            undo_all(s);
            return BATCH_CAREFULLY;
        }
        if (job->kind == ERR_RETRY || tx->trouble == ERR_RETRY) {
            undo_all(s);
            return BATCH_AGAIN;
        }
    }
    kind = commit(s, &err);
    return kind ? fail_or_again(first, kind, &err) : BATCH_COMMITTED;
}

// A job in a transaction of its own.
static enum verdict run_alone(struct store *s, struct store_job *job, bool ends) {
    const struct tx *tx = &s->writer;
    struct err err = {0};
    look_ahead(s, job);
    enum err_kind kind = begin(s, ends, &err);
    if (!kind) {
        if (run_job(s, job)) {
            undo_all(s);
            if (tx->db->late)
                return run_alone(s, job, false);
            return job->kind == ERR_RETRY ? BATCH_AGAIN : BATCH_FAILED;
        }
        if (run_end(s, &err)) {
            undo_all(s);
            return run_alone(s, job, false);
        }
        kind = commit(s, &err);
        if ((s->ended || tx->db->late) && (kind == ERR_CONFLICT || kind == ERR_CORRUPT)) // its, perhaps, and not the job's
            return run_alone(s, job, false);
    }
    if (!kind)
        return BATCH_COMMITTED;
    job->kind = kind;
    job->err = err;
    return kind == ERR_RETRY ? BATCH_AGAIN : BATCH_FAILED;
}

const struct store_told *store_told(const struct store *s, size_t *n, bool *all) {
    *all = s->announced.all;
    *n = s->announced.n;
    return s->announced.list;
}

static void call_hooks(struct store *s, unsigned news) {
    for (size_t i = 0; news && i < s->hooks; i++) {
        if (s->hook[i].news & news)
            s->hook[i].fn(s->hook[i].ctx, news & s->hook[i].news);
    }
}

static void announce(struct store *s) {
    const struct tx *tx = &s->writer;
    bool all = tx->told <= STORE_TOLD_MAX;
    s->announced = (struct told){tx->told_list, all ? tx->told : STORE_TOLD_MAX, all};
    call_hooks(s, tx->news);
    if (s->ended)
        s->end.committed(s->end.ctx);
}

// ---- what other nodes have committed ----

// Word after word; false at the end, or at what is no number.
static bool cut(struct str *rest, struct str *word) {
    bool any = rest->n > 0;
    *rest = str_cut(*rest, ' ', word);
    return any;
}
static bool cut_i64(struct str *rest, int64_t *out) {
    struct str word;
    return cut(rest, &word) && str_to_i64(word, out);
}

// Takes a text of tell_others to what waits for the writer.
static void take_news(struct store *s, struct str text) {
    struct news_of_others *o = &s->others;
    int64_t news = 0;
    uint64_t who = 0;
    struct str word;
    bool all = true;
    if (!cut(&text, &word) || !str_to_u64(word, &who) || !cut_i64(&text, &news))
        news = -1; // of a node with another idea of them: look at everything
    else if (who == s->who)
        return;
    all = news >= 0 && cut(&text, &word) && str_is(word, "+");
    pthread_mutex_lock(&s->lock);
    while (all && text.n > 0) {
        struct store_told t;
        int64_t type = 0;
        all = o->n < STORE_TOLD_MAX && cut_i64(&text, &t.partner_id) && cut_i64(&text, &t.sequence) && cut_i64(&text, &type) &&
              cut(&text, &word) && uuid_parse(word, &t.order_id);
        t.type = (int)type;
        if (all)
            o->list[o->n++] = t;
    }
    o->news |= news < 0 ? ~0U : (unsigned)news;
    o->all = o->all && all;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
}

static void missed_news(struct store *s) {
    pthread_mutex_lock(&s->lock);
    s->others.news = ~0U;
    s->others.all = false;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
}

static void *ear_main(void *ctx) {
    struct store *s = ctx;
    struct buf text;
    buf_init(&text, 2 * DB_TELL_MAX);
    for (;;) {
        struct err err = {0};
        bool missed = false;
        enum err_kind kind = s->driver->hear(s->ear.db, s->stop[0], &text, &missed, &err);
        struct pollfd stop = {.fd = s->stop[0], .events = POLLIN};
        if (poll(&stop, 1, kind ? EAR_AGAIN_MS : 0) > 0)
            break;
        if (missed && !kind)
            missed_news(s);
        if (!kind && text.n > 0)
            take_news(s, buf_str(&text));
    }
    buf_release(&text);
    return NULL;
}

// On the writer's thread, with the lock held; released meanwhile.
static void announce_others(struct store *s) {
    struct news_of_others *o = &s->others;
    unsigned news = o->news;
    struct store_told *list = o->list;
    s->announced = (struct told){list, o->n, o->all};
    o->list = o->spare;
    o->spare = list;
    o->news = 0;
    o->n = 0;
    o->all = true;
    pthread_mutex_unlock(&s->lock);
    call_hooks(s, news);
    pthread_mutex_lock(&s->lock);
}

static enum verdict try_often(struct store *s, struct store_job *first, enum verdict (*way)(struct store *, struct store_job *)) {
    enum verdict verdict = BATCH_AGAIN;
    for (int i = 0; i < TRIES_MAX && verdict == BATCH_AGAIN; i++)
        verdict = way(s, first);
    return verdict;
}

static void give_up(struct store_job *first) {
    struct err err = {0};
    err_set(&err, ERR_UNAVAILABLE, "the store is too busy with other writers");
    answer_all(first, ERR_UNAVAILABLE, &err);
}

static enum verdict run_single(struct store *s, struct store_job *job) {
    return run_alone(s, job, true);
}

// All answers stand in the jobs afterwards; `done` has not been called.
static void run_batch(struct store *s, struct store_job *first) {
    enum verdict verdict = BATCH_CAREFULLY;
    if (first->next) {
        verdict = try_often(s, first, run_hoping);
        if (verdict == BATCH_CAREFULLY)
            verdict = try_often(s, first, run_carefully);
    }
    if (verdict != BATCH_CAREFULLY) {
        if (verdict == BATCH_AGAIN)
            give_up(first);
        if (verdict == BATCH_COMMITTED)
            announce(s);
        return;
    }
    for (struct store_job *job = first; job; job = job->next) {
        struct store_job *next = job->next;
        job->next = NULL;
        verdict = try_often(s, job, run_single);
        if (verdict == BATCH_AGAIN)
            give_up(job);
        if (verdict == BATCH_COMMITTED)
            announce(s);
        job->next = next;
    }
}

static void copy_log(struct store *s) {
    struct db *db = s->writer.db;
    struct err err = {0};
    enum err_kind kind = db->driver->copy(db, &err);
    if (kind && !s->copy_failed)
        log_warn("store.copy_failed", LOG_ERR(&err));
    s->copy_failed = kind != ERR_NONE;
}

static void *copier_main(void *ctx) {
    struct store *s = ctx;
    pthread_mutex_lock(&s->copy_lock);
    while (!s->copy_stop) {
        if (!s->copying) {
            pthread_cond_wait(&s->copy_changed, &s->copy_lock);
            continue;
        }
        pthread_mutex_unlock(&s->copy_lock);
        copy_log(s);
        pthread_mutex_lock(&s->copy_lock);
        s->copying = false;
    }
    pthread_mutex_unlock(&s->copy_lock);
    return NULL;
}

static bool is_copying(struct store *s) {
    pthread_mutex_lock(&s->copy_lock);
    bool copying = s->copying;
    pthread_mutex_unlock(&s->copy_lock);
    return copying;
}

static void begin_copy(struct store *s) {
    if (!s->copier_started) {
        copy_log(s);
        return;
    }
    pthread_mutex_lock(&s->copy_lock);
    s->copying = true;
    pthread_cond_signal(&s->copy_changed);
    pthread_mutex_unlock(&s->copy_lock);
}

static void forget_view(struct tx *tx) {
    if (tx->views)
        tx->db->driver->rollback(tx->db); // it has only read
    tx->views = false;
}

// What readers have kept open (store_read_end) and nobody uses: it would keep the log from being started anew.
static void forget_views(struct store *s) {
    pthread_mutex_lock(&s->pool_lock);
    for (int i = 0; i < s->readers_open; i++) {
        if (!s->readers[i].busy)
            forget_view(&s->readers[i]);
    }
    pthread_mutex_unlock(&s->pool_lock);
}

static enum db_upkeep upkeep_now(struct store *s) {
    struct db *db = s->writer.db;
    struct err err = {0};
    enum db_upkeep wants = DB_UPKEEP_DONE;
    enum err_kind kind = db->driver->upkeep(db, false, &wants, &err);
    if (!kind && wants == DB_UPKEEP_ALONE) {
        pthread_mutex_lock(&s->pool_lock);
        s->readers_held = true;
        while (s->readers_taken > 0)
            pthread_cond_wait(&s->pool_changed, &s->pool_lock);
        pthread_mutex_unlock(&s->pool_lock);
        forget_views(s);
        kind = db->driver->upkeep(db, true, &wants, &err);
        pthread_mutex_lock(&s->pool_lock);
        s->readers_held = false;
        pthread_cond_broadcast(&s->pool_changed);
        pthread_mutex_unlock(&s->pool_lock);
    }
    if (!kind && wants == DB_UPKEEP_COPY)
        begin_copy(s);
    if (kind && !s->upkeep_failed)
        log_warn("store.upkeep_failed", LOG_ERR(&err));
    s->upkeep_failed = kind != ERR_NONE;
    return wants;
}

// Views are forgotten before it, for what they have not seen, and after it: those that begin once all of the log is in the file do not need
// the log. Those that are in use then go when they end.
// False: there is more to be done.
static bool upkeep(struct store *s, bool idle) {
    forget_views(s);
    if (is_copying(s))
        return false;
    s->writer.db->idle = idle;
    enum db_upkeep wants = upkeep_now(s);
    atomic_fetch_add(&s->commits, 1);
    forget_views(s);
    return wants == DB_UPKEEP_DONE;
}

static void work_off(struct store *s, struct store_job *first, size_t n) {
    struct mono from = clock_mono(s->o.clock);
    run_batch(s, first);
    struct mono to = clock_mono(s->o.clock);
    atomic_store(&s->far, s->writer.db->far);
    pthread_mutex_lock(&s->lock);
    s->stats.batches++;
    s->stats.jobs += (int64_t)n;
    s->stats.last_batch_jobs = (int64_t)n;
    s->stats.last_commit_us = (to.ns - from.ns) / 1000;
    if (s->stats.longest_us < s->stats.last_commit_us)
        s->stats.longest_us = s->stats.last_commit_us;
    pthread_mutex_unlock(&s->lock);
    for (struct store_job *job = first; job;) {
        struct store_job *next = job->next; // `done` may free the job
        job->done(job->ctx, job->kind, &job->err);
        job = next;
    }
    upkeep(s, false);
}

// ---- readers ----

// What has been committed before this was called is in it. The count is taken before the view is, and so never promises too much.
static enum err_kind view(struct store *s, struct tx *tx, struct err *err) {
    uint64_t commits = atomic_load(&s->commits);
    if (tx->views && tx->seen == commits)
        return ERR_NONE;
    forget_view(tx);
    enum err_kind kind = tx->db->driver->begin(tx->db, err);
    tx->views = true;
    tx->seen = commits;
    if (kind)
        forget_view(tx);
    return kind;
}

static bool all_taken(const struct store *s) {
    return s->readers_held || s->readers_taken == s->readers_open;
}

// One of those that are not; with the lock held.
static struct tx *take_reader(struct store *s) {
    struct tx *tx = NULL;
    for (int i = 0; !tx; i++) {
        CHECK(i < s->readers_open);
        if (!s->readers[i].busy)
            tx = &s->readers[i];
    }
    tx->busy = true;
    s->readers_taken++;
    return tx;
}

static enum err_kind begin_reading(struct store *s, struct tx *tx, struct err *err) {
    tx->now = clock_wall(s->o.clock);
    tx->trouble = ERR_NONE;
    enum err_kind kind = view(s, tx, err);
    if (kind)
        store_read_end(tx);
    return kind;
}

enum err_kind store_read_begin(struct store *s, struct tx **out, struct err *err) {
    pthread_mutex_lock(&s->pool_lock);
    while (all_taken(s))
        pthread_cond_wait(&s->pool_changed, &s->pool_lock);
    struct tx *tx = take_reader(s);
    pthread_mutex_unlock(&s->pool_lock);
    enum err_kind kind = begin_reading(s, tx, err);
    if (!kind)
        *out = tx;
    return kind;
}

// The view is kept for the next who reads, as long as nothing is committed: to begin and end one takes the system four locks on the log.
void store_read_end(struct tx *tx) {
    struct store *s = tx->store;
    if (!s->driver->alone || tx->trouble)
        forget_view(tx);
    pthread_mutex_lock(&s->pool_lock);
    if (tx->seen != atomic_load(&s->commits)) // under the lock: forget_views comes before this, or finds it
        forget_view(tx);
    tx->busy = false;
    s->readers_taken--;
    pthread_cond_broadcast(&s->pool_changed);
    pthread_mutex_unlock(&s->pool_lock);
}

// What the job will read is begun to be read, where a reader is free.
static void look(struct store *s, struct store_job *job) {
    struct err ignored = {0};
    pthread_mutex_lock(&s->pool_lock);
    struct tx *tx = all_taken(s) ? NULL : take_reader(s);
    pthread_mutex_unlock(&s->pool_lock);
    if (!tx || begin_reading(s, tx, &ignored))
        return;
    job->ahead(tx, job->ctx);
    store_read_end(tx);
}

// ---- the queue ----

// Takes up to batch_max jobs; with the lock held.
static struct store_job *take(struct store *s, size_t *n) {
    struct store_job *first = s->head, **end = &s->head;
    size_t taken = 0;
    while (*end && taken < s->o.batch_max) {
        end = &(*end)->next;
        taken++;
    }
    s->head = *end;
    *end = NULL;
    if (!s->head)
        s->tail = &s->head;
    s->early = &s->head;
    s->queued -= taken;
    *n = taken;
    return first;
}

// With the lock held, which is given away meanwhile. *tidy: there is nothing for upkeep to do.
static void wait_for_work(struct store *s, bool *tidy) {
    s->idle = true;
    if (*tidy) {
        pthread_cond_wait(&s->work, &s->lock);
        return;
    }
    int64_t ns = clock_mono(&clock_system).ns + IDLE_MS * INT64_C(1000000);
    struct timespec until = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    if (pthread_cond_clockwait(&s->work, &s->lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT) {
        pthread_mutex_unlock(&s->lock);
        *tidy = upkeep(s, true);
        pthread_mutex_lock(&s->lock);
    }
}

static void *writer_main(void *ctx) {
    struct store *s = ctx;
    bool tidy = false;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->head && !s->closing && !s->others.news)
            wait_for_work(s, &tidy);
        s->idle = false;
        if (s->others.news)
            announce_others(s);
        if (!s->head && s->closing)
            break;
        if (!s->head)
            continue;
        size_t n = 0;
        struct store_job *first = take(s, &n);
        pthread_mutex_unlock(&s->lock);
        work_off(s, first, n);
        tidy = false;
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

// Without a thread: on the caller's. A job submitted from `done` is taken up by the loop that is running already.
static void work_off_here(struct store *s) {
    if (s->running)
        return;
    s->running = true;
    while (s->head) {
        size_t n = 0;
        struct store_job *first = take(s, &n);
        work_off(s, first, n);
    }
    s->running = false;
}

enum err_kind store_submit(struct store *s, struct store_job *job, struct err *err) {
    job->next = NULL;
    job->kind = ERR_NONE;
    if (job->ahead && atomic_load(&s->far))
        look(s, job);
    pthread_mutex_lock(&s->lock);
    bool closing = s->closing, full = s->queued >= s->o.queue_max, wake = s->idle;
    if (!closing && !full) {
        struct store_job **at = job->early ? s->early : s->tail;
        job->next = *at;
        *at = job;
        if (job->early)
            s->early = &job->next;
        if (!job->next)
            s->tail = &job->next;
        s->queued++;
        s->idle = false;
    }
    pthread_mutex_unlock(&s->lock);
    if (closing)
        return err_set(err, ERR_BUSY, "the server is stopping");
    if (full)
        return err_set(err, ERR_BUSY, "too many requests are waiting for the store");
    if (!s->o.threaded)
        work_off_here(s);
    else if (wake)
        pthread_cond_signal(&s->work);
    return ERR_NONE;
}

struct waiter {
    enum err_kind (*run)(struct tx *, void *, struct err *);
    void *ctx;
    struct err *err;
    enum err_kind kind;
    bool done;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static enum err_kind waiter_run(struct tx *tx, void *ctx, struct err *err) {
    struct waiter *w = ctx;
    return w->run(tx, w->ctx, err);
}

static void waiter_done(void *ctx, enum err_kind kind, const struct err *err) {
    struct waiter *w = ctx;
    pthread_mutex_lock(&w->lock);
    w->kind = kind;
    if (kind)
        *w->err = *err;
    w->done = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

enum err_kind store_run(struct store *s, enum err_kind (*run)(struct tx *, void *, struct err *), void *ctx, struct err *err) {
    CHECK(s->o.threaded ? !pthread_equal(pthread_self(), s->thread) : !s->running);
    struct waiter w = {.run = run, .ctx = ctx, .err = err, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct store_job job = {.run = waiter_run, .done = waiter_done, .ctx = &w};
    enum err_kind kind = store_submit(s, &job, err);
    if (kind)
        return kind;
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.changed, &w.lock);
    pthread_mutex_unlock(&w.lock);
    pthread_cond_destroy(&w.changed);
    pthread_mutex_destroy(&w.lock);
    return w.kind;
}

enum err_kind tx_ping(struct tx *tx, struct err *err) {
    struct db_value params[] = {db_int(tx->now.ms)};
    return tx_exec(tx, ST_PING, TX_PARAMS(params), err);
}

static enum err_kind ping(struct tx *tx, void *ctx, struct err *err) {
    (void)ctx;
    return tx_ping(tx, err);
}

enum err_kind store_ping(struct store *s, struct err *err) {
    return store_run(s, ping, NULL, err);
}

enum err_kind store_check(struct store *s, struct err *err) {
    struct tx *tx = NULL;
    enum err_kind kind = store_read_begin(s, &tx, err);
    if (kind)
        return kind;
    kind = tx->db->driver->check(tx->db, err);
    store_read_end(tx);
    return kind;
}

// ---- opening and closing ----

bool store_is_remote(const char *location) {
    struct str s = str_of(location);
    return str_starts(s, "postgresql://") || str_starts(s, "postgres://");
}

// The password stands between the first colon behind :// and the last @ before the path, or in the query.
void store_name(const char *location, char *out, size_t size) {
    const char *begin = store_is_remote(location) ? strstr(location, "://") + 3 : NULL;
    if (!begin) {
        snprintf(out, size, "%s", location);
        return;
    }
    size_t authority = strcspn(begin, "/?"), hosts = 0;
    for (size_t i = 0; i < authority; i++)
        hosts = begin[i] == '@' ? i + 1 : hosts;
    size_t path = strcspn(begin + authority, "?");
    snprintf(out, size, "postgresql://%.*s", (int)(authority - hosts + path), begin + hosts);
}

static enum err_kind choose_driver(const struct store_options *o, const struct db_driver **out, struct err *err) {
    struct str location = str_of(o->location);
    if (location.n == 0)
        return err_set(err, ERR_INVALID, "store: a data folder is needed");
    if (o->driver) {
        *out = o->driver;
        return ERR_NONE;
    }
    if (store_is_remote(o->location)) {
#ifdef TOPUPD_POSTGRESQL
        *out = &db_pg;
        return ERR_NONE;
#else
        return err_set(err, ERR_INVALID, "store: this topupd was built without PostgreSQL (libpq)");
#endif
    }
    *out = &db_sqlite;
    return ERR_NONE;
}

static enum err_kind open_writer(struct store *s, struct err *err) {
    const struct db_driver *d = s->driver;
    struct tx *tx = &s->writer;
    enum err_kind kind = d->open(d, s->location, true, s->o.may_create, &tx->db, err);
    if (!kind)
        kind = migrate(tx->db, &s->schema_from, &s->schema_to, err);
    if (!kind)
        kind = d->prepare(tx->db, err);
    if (!kind)
        kind = d->begin(tx->db, err);
    if (kind)
        return kind;
    kind = tx_start(tx, err);
    d->rollback(tx->db);
    return kind;
}

static enum err_kind open_readers(struct store *s, struct err *err) {
    const struct db_driver *d = s->driver;
    for (int i = 0; i < s->o.readers; i++) {
        struct tx *tx = &s->readers[i];
        tx_init(tx, s, false);
        enum err_kind kind = d->open(d, s->location, false, false, &tx->db, err);
        s->readers_open = i + 1;
        if (!kind)
            kind = d->prepare(tx->db, err);
        if (kind)
            return kind;
    }
    return ERR_NONE;
}

// What others commit is heard on a connection and a thread of its own.
static enum err_kind open_ear(struct store *s, struct err *err) {
    const struct db_driver *d = s->driver;
    if (!d->hear || !s->o.threaded)
        return ERR_NONE;
    s->others = (struct news_of_others){
        .list = xcalloc(STORE_TOLD_MAX, sizeof *s->others.list),
        .spare = xcalloc(STORE_TOLD_MAX, sizeof *s->others.spare),
        .all = true,
    };
    if (pipe2(s->stop, O_CLOEXEC) != 0)
        return err_set(err, ERR_UNAVAILABLE, "store: cannot make a pipe: %s", strerror(errno));
    s->ear_open = true;
    enum err_kind kind = d->open(d, s->location, false, false, &s->ear.db, err);
    if (!kind)
        kind = d->prepare(s->ear.db, err);
    if (!kind)
        s->hears = pthread_create(&s->ear_thread, NULL, ear_main, s) == 0;
    return kind || s->hears ? kind : err_set(err, ERR_UNAVAILABLE, "store: cannot start a thread");
}

static void close_ear(struct store *s) {
    if (s->hears) {
        (void)!write(s->stop[1], "", 1);
        pthread_join(s->ear_thread, NULL);
    }
    if (s->ear_open) {
        s->driver->close(s->ear.db);
        close(s->stop[0]);
        close(s->stop[1]);
    }
    free(s->others.list);
    free(s->others.spare);
    buf_release(&s->text);
}

enum err_kind store_open(const struct store_options *o, struct store **out, struct err *err) {
    CHECK(o->clock && o->rng && o->queue_max > 0 && o->batch_max > 0 && o->readers > 0);
    const struct db_driver *driver = NULL;
    enum err_kind kind = choose_driver(o, &driver, err);
    if (kind)
        return kind;
    struct store *s = xcalloc(1, sizeof *s);
    s->o = *o;
    s->driver = driver;
    s->location = xstrdup(o->location);
    s->o.location = s->location;
    s->tail = s->early = &s->head;
    s->readers = xcalloc((size_t)o->readers, sizeof *s->readers);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->pool_lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_mutex_init(&s->copy_lock, NULL);
    pthread_cond_init(&s->copy_changed, NULL);
    pthread_cond_init(&s->pool_changed, NULL);
    tx_init(&s->writer, s, true);
    buf_init(&s->text, 2 * DB_TELL_MAX);
    s->who = rng_u64(&rng_system); // not the given one: two nodes of a test may have the same seed
    id_gen_init(&s->writer.ids, o->rng);
    if (o->recent)
        s->writer.recent = recent_open(o->recent);

    kind = open_writer(s, err);
    if (!kind)
        kind = open_readers(s, err);
    if (!kind)
        kind = open_ear(s, err);
    if (!kind && o->threaded && driver->copy)
        s->copier_started = pthread_create(&s->copier, NULL, copier_main, s) == 0; // without it the writer does its work
    if (!kind && o->threaded) {
        if (pthread_create(&s->thread, NULL, writer_main, s) == 0)
            s->started = true;
        else
            kind = err_set(err, ERR_UNAVAILABLE, "store: cannot start the writer's thread");
    }
    if (kind) {
        store_close(s);
        return kind;
    }
    *out = s;
    return ERR_NONE;
}

static enum err_kind backup_driver(const char *location, const struct db_driver **out, struct err *err) {
    struct store_options o = {.location = location};
    enum err_kind kind = choose_driver(&o, out, err);
    if (!kind && !(*out)->backup)
        kind = err_set(err, ERR_INVALID,
                       "a store on PostgreSQL is backed up and restored with PostgreSQL's own tools, such as pg_dump and"
                       " pg_basebackup");
    return kind;
}

enum err_kind store_backup(const char *location, const char *to, struct err *err) {
    const struct db_driver *driver;
    enum err_kind kind = backup_driver(location, &driver, err);
    return kind ? kind : driver->backup(location, to, err);
}

enum err_kind store_restore(const char *from, const char *location, struct err *err) {
    const struct db_driver *driver;
    enum err_kind kind = backup_driver(location, &driver, err);
    return kind ? kind : driver->restore(from, location, err);
}

void store_close(struct store *s) {
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_mutex_unlock(&s->lock);
    if (s->started) {
        pthread_cond_signal(&s->work);
        pthread_join(s->thread, NULL);
    }
    if (s->copier_started) {
        pthread_mutex_lock(&s->copy_lock);
        s->copy_stop = true;
        pthread_cond_signal(&s->copy_changed);
        pthread_mutex_unlock(&s->copy_lock);
        pthread_join(s->copier, NULL);
    }
    CHECK(s->readers_taken == 0);
    close_ear(s);
    for (int i = 0; i < s->readers_open; i++) {
        s->driver->close(s->readers[i].db);
        tx_release(&s->readers[i]);
    }
    s->driver->close(s->writer.db); // last: it copies the log into the file
    tx_release(&s->writer);
    pthread_cond_destroy(&s->pool_changed);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->copy_changed);
    pthread_mutex_destroy(&s->copy_lock);
    pthread_mutex_destroy(&s->pool_lock);
    pthread_mutex_destroy(&s->lock);
    free(s->readers);
    free(s->location);
    free(s);
}

// ---- the rest ----

void store_at_end(struct store *s, const struct store_end *end) {
    CHECK(!end || !s->end.run);
    s->end = end ? *end : (struct store_end){0};
}

void store_on_commit(struct store *s, unsigned news, void (*fn)(void *ctx, unsigned news), void *ctx) {
    size_t i = s->hooks;
    CHECK(i < HOOKS_MAX);
    s->hook[i].news = news;
    s->hook[i].fn = fn;
    s->hook[i].ctx = ctx;
    s->hooks = i + 1; // last: news of other nodes may be on their way
}

bool store_is_fresh(const struct store *s) {
    return s->schema_from == 0;
}

void store_schema(const struct store *s, int64_t *from, int64_t *to) {
    *from = s->schema_from;
    *to = s->schema_to;
}

bool store_is_alone(const struct store *s) {
    return s->driver->alone;
}

const struct clock *store_clock(const struct store *s) {
    return s->o.clock;
}

const struct rng *tx_rng(const struct tx *tx) {
    return tx->store->o.rng;
}

void store_stats_get(struct store *s, struct store_stats *out) {
    pthread_mutex_lock(&s->lock);
    *out = s->stats;
    out->queued = (int64_t)s->queued;
    pthread_mutex_unlock(&s->lock);
}
