// SPDX-License-Identifier: Apache-2.0
/*
 * store.h - the truth: opening it, reading from it, writing to it.
 *
 * Two ways in. A *reader* (store_read_begin ... store_read_end) sees one committed state and never blocks the writer; any thread may take
 * one, several at once. A *job* changes things: jobs wait in a bounded queue, the writer runs all that wait in one transaction, commits
 * once and then answers each (group commit). So a job's `done` means: it is on disk.
 *
 * A job's `run` may be called more than once (after a serialization failure, or because another job of the batch failed): it must
 * build its answer anew each time and have no effect outside the transaction. When it returns an error, what it wrote is undone and the
 * other jobs of the batch are not touched. Jobs run in the order in which they were submitted, those that are `early` before others.
 *
 * Both hand out a `struct tx`, on which the domain verbs of store_*.h work; verbs that write CHECK that it is a job's. Verbs copy what they
 * read into the arena the caller gives. ERR_CORRUPT: a row that we cannot have written. ERR_UNAVAILABLE: disk, lock or connection trouble.
 *
 * The driver behind it (db.h) is chosen by the location: a folder for SQLite, postgresql://... for PostgreSQL.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/arena.h"
#include "base/base.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/rng.h"

struct db_driver;
struct store;
struct tx;

struct store_options {
    const char *location; // folder (made when missing, mode 0700); the database is topupd.db in it. Or postgresql://...
    const struct clock *clock;
    const struct rng *rng;
    size_t queue_max;               // jobs that may wait; beyond it ERR_BUSY
    size_t batch_max;               // jobs in one transaction
    int readers;                    // reading connections kept
    size_t recent;                  // rows of each kind the writer keeps in memory (recent.h), a power of two; 0: none
    bool threaded;                  // false: jobs run inside store_submit, on the caller's thread (simulation, tools)
    bool may_create;                // false: a missing store is an error (on PostgreSQL: one without our tables)
    const struct db_driver *driver; // NULL: chosen by the location; tests set a wrapper (db_fault.h, db_trace.h)
};
void store_options_default(struct store_options *o);

// Opens and, where the schema is older, migrates; a schema newer than this program is refused (ERR_CONFLICT). Settings that durability
// rests on (WAL, synchronous=FULL, foreign_keys) are read back after they are set.
NODISCARD enum err_kind store_open(const struct store_options *o, struct store **out, struct err *err);
// Finishes what is queued, commits, closes. NULL is fine.
void store_close(struct store *s);
bool store_is_fresh(const struct store *s);                           // it was created by this store_open
void store_schema(const struct store *s, int64_t *from, int64_t *to); // the version that this store_open found and the one it made
bool store_is_remote(const char *location);                           // postgresql://..., not a folder
#define STORE_NAME_MAX 1024
void store_name(const char *location, char *out, size_t size); // the location without user and password: for people and logs
bool store_is_alone(const struct store *s); // nobody else writes to it while it is open: what one process keeps in memory stays true
const struct clock *store_clock(const struct store *s);

// Whether it can commit right now (a cheap write through the queue): readiness.
NODISCARD enum err_kind store_ping(struct store *s, struct err *err);
NODISCARD enum err_kind tx_ping(struct tx *tx, struct err *err); // that write, for a job of the caller's own: store_ping without waiting

// Reads everything and says ERR_CORRUPT with the first complaint: after a restore, in tests. Holds one reader meanwhile.
NODISCARD enum err_kind store_check(struct store *s, struct err *err);

// ---- backup: without opening the store, from any process, while a server writes ----
// Everything that was acknowledged before it began, as one file that was not there; checked and on disk. ERR_CONFLICT: it is there.
NODISCARD enum err_kind store_backup(const char *location, const char *to, struct err *err);
// Into a folder that is missing or empty (ERR_CONFLICT). ERR_CORRUPT: the file is no whole backup; then nothing has changed.
NODISCARD enum err_kind store_restore(const char *from, const char *location, struct err *err);

// ---- reading ----
NODISCARD enum err_kind store_read_begin(struct store *s, struct tx **out, struct err *err);
void store_read_end(struct tx *tx);

// ---- writing ----
struct store_job {
    enum err_kind (*run)(struct tx *tx, void *ctx, struct err *err);
    void (*ahead)(struct tx *tx, void *ctx); // names what it will read (store_*_ahead), and nothing else; NULL: nothing
    void (*done)(void *ctx, enum err_kind kind,
                 const struct err *err); // on the writer's thread, after the commit or the failure; must not block
    void *ctx;
    // Goes before those that wait: a job of the server's own, which looks at the tables and to which calls that wait mean nothing yet.
    // Behind them it would have them written before they have come to their end (store_at_end).
    bool early;
    struct store_job *next; // the queue's
    struct err err;         // the queue's
    enum err_kind kind;     // the queue's
};
// The job belongs to the store until `done`. ERR_BUSY when the queue is full or the store is closing: then `done` is not called.
NODISCARD enum err_kind store_submit(struct store *s, struct store_job *job, struct err *err);
// Submits and waits. Not from the writer's thread.
NODISCARD enum err_kind store_run(struct store *s, enum err_kind (*run)(struct tx *, void *, struct err *), void *ctx, struct err *err);

// ---- what was committed ----
enum store_news {
    NEWS_TASKS = 1,
    NEWS_EVENTS = 2,
    NEWS_PARTNERS = 4,
    NEWS_KEYS = 8,
    NEWS_TIMERS = 16,
    NEWS_WEBHOOKS = 32,
    NEWS_NOTIFICATIONS = 64
};                                          // bits
void tx_news(struct tx *tx, unsigned news); // a writing verb says what it touched
// `fn` is called on the writer's thread after each commit that made one of `news`, of other nodes on the same store, too; registered while
// no job is in work, at most 8.
void store_on_commit(struct store *s, unsigned news, void (*fn)(void *ctx, unsigned news), void *ctx);

// Work for the end of a transaction: `run` is called on the writer when a batch's jobs have all run and orders were accepted that it may
// carry on with (store_order_fresh); what it writes is committed together with them, and `committed` follows. Like a job, `run` may be
// called again; when it fails, the batch is run without it: what it was to do stands in the rows then, for the usual way. One, registered
// while no job is in work; NULL: none any more. Whoever registers looks for subscriptions' timers every few seconds by itself: NEWS_TIMERS
// tells only of those that come sooner than a minute.
struct store_end {
    enum err_kind (*run)(struct tx *tx, void *ctx, struct err *err);
    void (*committed)(void *ctx);
    void *ctx;
};
void store_at_end(struct store *s, const struct store_end *end);

// For hooks of NEWS_EVENTS, during the call: the events of that commit, in the order in which they were appended. Past STORE_TOLD_MAX of
// them *all is false: others were committed, too.
#define STORE_TOLD_MAX 8192
struct store_told {
    int64_t partner_id;
    int64_t sequence;
    struct uuid order_id; // zero when none
    int type;             // enum event_type
};
const struct store_told *store_told(const struct store *s, size_t *n, bool *all);

struct wall tx_now(const struct tx *tx); // real time, the same for the whole job
const struct rng *tx_rng(const struct tx *tx);
int64_t tx_number(struct tx *tx); // a fresh row number, growing (tasks)
// A fresh order id of this partner, made at tx_now. One generator, the writer's, makes them all: ids made later sort later, whatever
// time a partner's own clock shows.
struct uuid tx_new_id(struct tx *tx, int64_t partner_id);

struct store_stats {
    int64_t queued, batches, jobs, last_batch_jobs, last_commit_us;
    int64_t longest_us; // a transaction's, since the start
};
void store_stats_get(struct store *s, struct store_stats *out);

#endif
