// SPDX-License-Identifier: Apache-2.0
/*
 * tx.h - what the domain verbs stand on: running statements of the table in a transaction, and reading rows. Private to store/.
 */
#ifndef STORE_TX_H
#define STORE_TX_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/money.h"
#include "core/iccid.h"
#include "store/db.h"
#include "store/fresh.h"
#include "store/recent.h"
#include "store/statements.h"
#include "store/store.h"

// The last event number of the partners met since the cache was emptied; written back once per batch (tx_flush).
struct sequence {
    int64_t partner_id; // 0: a free place
    int64_t last;
    bool dirty;
};
struct sequences {
    struct sequence *place; // open addressing; size is a power of two
    size_t size, used, dirty;
};

// Events that were appended and are not written yet: several rows in one statement cost about half of what they cost one by one.
#define EVENTS_AT_ONCE 16 // rows of ST_EVENT_INSERT_MANY
struct waiting_event {
    int64_t partner_id, sequence, type, created;
    struct uuid order_id;
    iccid_t iccid;
    size_t at, bytes; // of its payload
};
struct waiting_events {
    struct waiting_event list[EVENTS_AT_ONCE];
    size_t n;
    struct buf payloads;
};

// Whether any task in the table is open: of an embedded store, whose writer knows what is written (store_task.c).
enum open_tasks { OPEN_TASKS_UNKNOWN, OPEN_TASKS_NONE, OPEN_TASKS_MAYBE };

struct tx {
    struct store *store;
    struct db *db;
    bool writer;
    bool busy;             // a reader that is taken
    bool views;            // a reader in a transaction, of which somebody may be the user or nobody
    uint64_t seen;         // of a reader: so many commits had been when it was begun
    bool wrote;            // since the job began
    bool changes;          // since the transaction began
    enum err_kind trouble; // what makes the transaction unfit for commit (anything but a broken constraint)
    struct wall now;
    unsigned news;
    size_t told; // events appended; the first STORE_TOLD_MAX of them stand in told_list
    // the writer's alone
    struct store_told *told_list;
    struct sequences sequences;
    struct waiting_events events;
    struct fresh fresh;
    struct recent *recent; // NULL: none
    enum open_tasks open_tasks;
    struct id_gen ids;
    int64_t number, number_kept, number_wanted; // last given out; given out up to here by what is committed; by this transaction
};

// ---- statements ----
NODISCARD enum err_kind tx_exec(struct tx *tx, enum statement st, const struct db_value *params, size_t n, struct err *err);
NODISCARD enum err_kind tx_exec_changed(struct tx *tx, enum statement st, const struct db_value *params, size_t n, int64_t *changed,
                                        struct err *err);
#define TX_PARAMS(p) (p), ARRAY_LEN(p)

// Names a query that will come in this transaction.
void tx_ahead(struct tx *tx, enum statement st, const struct db_value *params, size_t n);

// ---- rows ----
// One row while it is read, column by column. A value we cannot have written sets `bad`; text goes to the arena.
struct row {
    struct tx *tx;
    enum statement st;
    struct arena *arena;
    int column; // the next one
    bool bad;
};
int64_t row_int(struct row *r);
int64_t row_int_in(struct row *r, int64_t min, int64_t max);
int64_t row_int_or(struct row *r, int64_t absent); // NULL is `absent`
struct wall row_wall(struct row *r);               // NULL is WALL_NONE
struct str row_str(struct row *r);                 // NULL is STR_NONE
void row_chars(struct row *r, char *out, size_t size);
void row_blob(struct row *r, void *out, size_t size);
struct str row_bytes(struct row *r);
struct uuid row_uuid(struct row *r);
struct uuid row_uuid_or_zero(struct row *r); // NULL is zero
struct money row_money(struct row *r);       // two columns

typedef void row_reader(struct row *r, void *out);
// The first row. ERR_NOT_FOUND ("no such <what>") without one.
NODISCARD enum err_kind tx_get(struct tx *tx, enum statement st, const struct db_value *params, size_t n, row_reader *read, struct arena *a,
                               void *out, size_t size, const char *what, struct err *err);
// All rows, as an array of elements of `size` in the arena. `expect`: how many there will be at most, as far as known.
NODISCARD enum err_kind tx_list(struct tx *tx, enum statement st, const struct db_value *params, size_t n, row_reader *read,
                                struct arena *a, size_t size, size_t expect, void **out, size_t *count, struct err *err);
NODISCARD enum err_kind tx_int(struct tx *tx, enum statement st, const struct db_value *params, size_t n, int64_t *out,
                               struct err *err); // the first row's first column; NULL is 0
enum err_kind tx_no_memory(struct err *err);

// ---- parameters ----
static inline struct db_value db_wall(struct wall t) {
    return wall_set(t) ? db_int(t.ms) : db_null();
}
static inline struct db_value db_uuid(const struct uuid *id) {
    return db_blob(id->b, sizeof id->b);
}
static inline struct db_value db_iccid(iccid_t iccid) {
    return iccid == ICCID_NONE ? db_null() : db_int(iccid);
}
static inline struct db_value db_id(int64_t id) { // 0 is NULL
    return id ? db_int(id) : db_null();
}
static inline struct db_value db_minor(const struct money *m) {
    return m->currency[0] ? db_int(m->minor) : db_null();
}
static inline struct db_value db_currency(const struct money *m) {
    return m->currency[0] ? db_text(str_of(m->currency)) : db_null();
}

// ---- the transaction's ends, for store.c ----
void tx_init(struct tx *tx, struct store *s, bool writer);
void tx_release(struct tx *tx);
void tx_tell(struct tx *tx, const struct store_told *told);
NODISCARD enum err_kind tx_start(struct tx *tx, struct err *err); // reads what the writer carries on with, once, after prepare
NODISCARD enum err_kind tx_flush(struct tx *tx, struct err *err); // writes what is kept in memory: before commit or release
void tx_committed(struct tx *tx);
void tx_forget(struct tx *tx);                                           // what is kept in memory of a transaction that was undone
void tx_others(struct tx *tx);                                           // another node has written: so is what is kept from before
NODISCARD enum err_kind tx_flush_events(struct tx *tx, struct err *err); // tx_flush's part, in store_event.c
NODISCARD enum err_kind tx_flush_fresh(struct tx *tx, struct err *err);  // the same, in store_order.c
// False: no task in the table is open; those that are kept back (fresh.h) are not looked at.
NODISCARD enum err_kind tx_may_have_open_tasks(struct tx *tx, bool *may, struct err *err);
NODISCARD enum err_kind tx_write_task(struct tx *tx, const struct task *t, struct err *err);
NODISCARD enum err_kind tx_write_subscription(struct tx *tx, const struct subscription *s, struct err *err);
NODISCARD enum err_kind tx_write_subscriptions(struct tx *tx, const struct subscription *const s[FRESH_AT_ONCE], struct err *err);
void tx_order_is_new(struct tx *tx, const struct uuid *id); // it was written just now: its tasks are those that follow
// The partner's next event number.
NODISCARD enum err_kind tx_sequence(struct tx *tx, int64_t partner_id, int64_t *out, struct err *err);

#endif
