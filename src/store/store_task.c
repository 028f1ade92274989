// SPDX-License-Identifier: Apache-2.0
/*
 * store_task.c - the tasks of unfinished orders: verbs of store_order.h.
 */
#include "store/store_order.h"
#include "store/tx.h"

static void read_task(struct row *r, void *out) {
    struct task *t = out;
    t->id = row_int(r);
    t->order_id = row_uuid(r);
    t->partner_id = row_int(r);
    t->iccid = row_int_or(r, ICCID_NONE);
    t->step = (int)row_int_in(r, 0, 15);
    t->kind = (enum task_kind)row_int_in(r, 0, TASK_KINDS - 1);
    t->peer = row_str(r);
    t->state = (enum task_state)row_int_in(r, TASK_BLOCKED, TASK_UNDONE);
    t->verb = (enum task_verb)row_int_in(r, TASK_START, TASK_CANCEL);
    t->due_at = row_wall(r);
    t->lease_until = row_wall(r);
    t->lease_owner = row_int(r);
    t->attempts = (int)row_int_in(r, 0, INT32_MAX);
    t->outcome = (enum outcome_kind)row_int_in(r, OUTCOME_DONE, OUTCOME_UNSURE);
    t->note = row_str(r);
    t->started = row_wall(r);
    t->settled = row_wall(r);
    t->lane = (enum task_lane)row_int_in(r, 0, TASK_LANES - 1);
}

// The instant from which it may be taken: by whoever comes while READY, by another when the lease has run out.
static struct wall wake_at(const struct task *t) {
    return t->state == TASK_CLAIMED && wall_set(t->lease_until) ? t->lease_until : t->due_at;
}

// All tasks of an order, one beside the other.
struct order_tasks {
    struct task list[PLAN_MAX];
    size_t n;
};
static const size_t task_texts[] = {
    offsetof(struct order_tasks, list[0].peer), offsetof(struct order_tasks, list[0].note), offsetof(struct order_tasks, list[1].peer),
    offsetof(struct order_tasks, list[1].note), offsetof(struct order_tasks, list[2].peer), offsetof(struct order_tasks, list[2].note),
    offsetof(struct order_tasks, list[3].peer), offsetof(struct order_tasks, list[3].note),
};
static const struct recent_layout task_layout = {sizeof(struct order_tasks), task_texts, ARRAY_LEN(task_texts)};
_Static_assert(ARRAY_LEN(task_texts) == 2 * PLAN_MAX, "two texts a task");

static bool recent_tasks(struct tx *tx, const struct uuid *order_id, struct arena *a, struct order_tasks *out) {
    return recent_get(tx->recent, RECENT_TASKS, order_id->b, sizeof order_id->b, &task_layout, a, out);
}

void tx_order_is_new(struct tx *tx, const struct uuid *id) {
    struct order_tasks none = {.n = 0};
    recent_put(tx->recent, RECENT_TASKS, id->b, sizeof id->b, &task_layout, &none);
}

// Since the order was written, one after the other by step: then what stands here is all there are.
static void remember(struct tx *tx, const struct task *t) {
    if (!tx->recent)
        return;
    struct arena a;
    arena_init(&a, 4096);
    struct order_tasks all;
    if (recent_tasks(tx, &t->order_id, &a, &all) && all.n == (size_t)t->step && t->step < PLAN_MAX) {
        all.list[all.n++] = *t;
        recent_put(tx->recent, RECENT_TASKS, t->order_id.b, sizeof t->order_id.b, &task_layout, &all);
    } else {
        recent_drop(tx->recent, RECENT_TASKS, t->order_id.b, sizeof t->order_id.b);
    }
    arena_release(&a);
}

// The order whose task it is, if that is not written yet.
static struct fresh_order *fresh_of(const struct tx *tx, const struct task *t) {
    struct fresh_order *fresh = fresh_find(&tx->fresh, &t->order_id);
    bool there = fresh && t->step >= 0 && t->step < fresh->n_tasks && !(fresh->gone & 1U << t->step) && fresh->tasks[t->step].id == t->id;
    return there ? fresh : NULL;
}

static void forget(struct tx *tx, const struct task *t) {
    recent_drop(tx->recent, RECENT_TASKS, t->order_id.b, sizeof t->order_id.b);
}

enum err_kind store_task_insert(struct tx *tx, const struct task *t, struct err *err) {
    struct fresh_order *fresh = fresh_find(&tx->fresh, &t->order_id);
    tx->wrote = true;
    if (fresh && fresh->n_tasks == t->step && fresh_set_task(&tx->fresh, fresh, t))
        return ERR_NONE;
    enum err_kind kind = tx_flush_fresh(tx, err);
    return kind ? kind : tx_write_task(tx, t, err);
}

enum err_kind tx_write_task(struct tx *tx, const struct task *t, struct err *err) {
    struct db_value params[] = {
        db_int(t->id),           db_uuid(&t->order_id),  db_int(t->partner_id), db_iccid(t->iccid),    db_int(t->step),
        db_int(t->kind),         db_text(t->peer),       db_int(t->state),      db_int(t->verb),       db_int(t->due_at.ms),
        db_wall(t->lease_until), db_int(t->lease_owner), db_int(t->attempts),   db_int(t->outcome),    db_text(t->note),
        db_wall(t->started),     db_wall(t->settled),    db_int(t->lane),       db_int(wake_at(t).ms),
    };
    tx->open_tasks = OPEN_TASKS_MAYBE;
    enum err_kind kind = tx_exec(tx, ST_TASK_INSERT, TX_PARAMS(params), err);
    if (!kind) {
        remember(tx, t);
        tx_news(tx, NEWS_TASKS);
    }
    return kind;
}

enum err_kind store_task_update(struct tx *tx, const struct task *t, struct err *err) {
    struct fresh_order *fresh = fresh_of(tx, t);
    tx->wrote = true;
    if (fresh && fresh_set_task(&tx->fresh, fresh, t))
        return ERR_NONE;
    struct db_value params[] = {
        db_int(t->id),        db_iccid(t->iccid),      db_text(t->peer),       db_int(t->state),      db_int(t->verb),
        db_int(t->due_at.ms), db_wall(t->lease_until), db_int(t->lease_owner), db_int(t->attempts),   db_int(t->outcome),
        db_text(t->note),     db_wall(t->started),     db_wall(t->settled),    db_int(wake_at(t).ms),
    };
    int64_t changed = 0;
    forget(tx, t);
    tx->open_tasks = OPEN_TASKS_MAYBE;
    enum err_kind kind = tx_exec_changed(tx, ST_TASK_UPDATE, TX_PARAMS(params), &changed, err);
    if (!kind && !changed)
        kind = err_set(err, ERR_NOT_FOUND, "no such task");
    if (!kind)
        tx_news(tx, NEWS_TASKS);
    return kind;
}

enum err_kind store_task_tell(struct tx *tx, int64_t id, struct str lines, struct err *err) {
    struct db_value params[] = {db_int(id), db_text(lines), db_int(TASK_HISTORY_MAX)};
    return tx_exec(tx, ST_TASK_TELL, TX_PARAMS(params), err);
}

static void read_text(struct row *r, void *out) {
    *(struct str *)out = row_str(r);
}

enum err_kind store_task_history(struct tx *tx, int64_t id, struct arena *a, struct str *out, struct err *err) {
    struct db_value params[] = {db_int(id)};
    return tx_get(tx, ST_TASK_HISTORY, TX_PARAMS(params), read_text, a, out, sizeof *out, "task", err);
}

enum err_kind store_task_delete(struct tx *tx, const struct task *t, struct err *err) {
    struct fresh_order *fresh = fresh_of(tx, t);
    tx->wrote = true;
    if (fresh) {
        fresh->gone |= 1U << t->step;
        return ERR_NONE;
    }
    struct db_value params[] = {db_int(t->id)};
    int64_t changed = 0;
    forget(tx, t);
    enum err_kind kind = tx_exec_changed(tx, ST_TASK_DELETE, TX_PARAMS(params), &changed, err);
    if (!kind && !changed)
        kind = err_set(err, ERR_NOT_FOUND, "no such task");
    return kind;
}

enum err_kind store_task_get(struct tx *tx, int64_t id, struct arena *a, struct task *out, struct err *err) {
    struct db_value params[] = {db_int(id)};
    return tx_get(tx, ST_TASK_GET, TX_PARAMS(params), read_task, a, out, sizeof *out, "task", err);
}

static enum err_kind tasks(struct tx *tx, enum statement st, const struct db_value *params, size_t n_params, size_t expect, struct arena *a,
                           struct task **out, size_t *n, struct err *err) {
    void *rows = NULL;
    enum err_kind kind = tx_list(tx, st, params, n_params, read_task, a, sizeof **out, expect, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

static enum err_kind tasks_of_fresh(const struct fresh_order *fresh, struct arena *a, struct task **out, size_t *n, struct err *err) {
    struct task *list = arena_raw(a, PLAN_MAX, sizeof *list);
    if (!list)
        return tx_no_memory(err);
    size_t count = 0;
    for (int i = 0; i < fresh->n_tasks; i++) {
        if (!(fresh->gone & 1U << i))
            fresh_copy_task(&fresh->tasks[i], a, &list[count++]);
    }
    *out = list;
    *n = count;
    return arena_failed(a) ? tx_no_memory(err) : ERR_NONE;
}

enum err_kind store_task_of_order(struct tx *tx, struct uuid order_id, struct arena *a, struct task **out, size_t *n, struct err *err) {
    const struct fresh_order *fresh = fresh_find(&tx->fresh, &order_id);
    if (fresh)
        return tasks_of_fresh(fresh, a, out, n, err);
    struct order_tasks *all = tx->recent ? arena_raw(a, 1, sizeof *all) : NULL;
    if (all && recent_tasks(tx, &order_id, a, all)) {
        *out = all->list;
        *n = all->n;
        return ERR_NONE;
    }
    struct db_value params[] = {db_uuid(&order_id)};
    return tasks(tx, ST_TASK_OF_ORDER, TX_PARAMS(params), PLAN_MAX, a, out, n, err);
}

enum err_kind store_task_due(struct tx *tx, enum task_lane lane, enum task_kind kind, struct wall now, int64_t limit, struct arena *a,
                             struct task **out, size_t *n, struct err *err) {
    struct db_value params[] = {db_int(lane), db_int(kind), db_int(now.ms), db_int(limit)};
    return tasks(tx, ST_TASK_DUE, TX_PARAMS(params), (size_t)(limit > 0 ? limit : 0), a, out, n, err);
}

static void read_wall(struct row *r, void *out) {
    *(struct wall *)out = row_wall(r);
}

enum err_kind store_task_next_due(struct tx *tx, enum task_lane lane, enum task_kind kind, struct wall *out, struct err *err) {
    struct db_value params[] = {db_int(lane), db_int(kind)};
    return tx_get(tx, ST_TASK_NEXT_DUE, TX_PARAMS(params), read_wall, NULL, out, sizeof *out, "task", err);
}

enum err_kind store_task_drop_leases(struct tx *tx, int64_t lease_owner, struct wall now, int64_t *dropped, struct err *err) {
    struct db_value params[] = {db_int(lease_owner), db_int(now.ms)};
    enum err_kind kind = tx_exec_changed(tx, ST_TASK_DROP_LEASES, TX_PARAMS(params), dropped, err);
    if (!kind)
        tx_news(tx, NEWS_TASKS);
    return kind;
}

// Where orders are settled as they are accepted there hardly ever is one; so it is asked once, and a SIM's tasks are not looked for.
enum err_kind tx_may_have_open_tasks(struct tx *tx, bool *may, struct err *err) {
    *may = true;
    if (!tx->writer || !tx->db->driver->alone || tx->open_tasks == OPEN_TASKS_MAYBE)
        return ERR_NONE;
    if (tx->open_tasks == OPEN_TASKS_UNKNOWN) {
        int64_t any = 0;
        enum err_kind kind = tx_int(tx, ST_TASK_ANY_OPEN, NULL, 0, &any, err);
        if (kind)
            return kind;
        tx->open_tasks = any ? OPEN_TASKS_MAYBE : OPEN_TASKS_NONE;
    }
    *may = tx->open_tasks != OPEN_TASKS_NONE;
    return ERR_NONE;
}

enum err_kind store_task_first_open(struct tx *tx, iccid_t iccid, struct arena *a, struct task *out, struct err *err) {
    const struct task *first = NULL;
    struct fresh_order *fresh = NULL;
    while ((fresh = fresh_on_sim(&tx->fresh, iccid, fresh))) {
        const struct task *t = fresh_open_task(fresh);
        first = t && (!first || t->id < first->id) ? t : first;
    }
    struct db_value params[] = {db_int(iccid)};
    static const char what[] = "open task on this SIM";
    struct task found;
    bool may = true;
    enum err_kind kind = tx_may_have_open_tasks(tx, &may, err);
    if (!kind)
        kind = may ? tx_get(tx, ST_TASK_FIRST_OPEN, TX_PARAMS(params), read_task, a, &found, sizeof found, what, err)
                   : err_set(err, ERR_NOT_FOUND, "no such %s", what);
    if (!kind && (!first || found.id < first->id))
        *out = found;
    else if (first && (!kind || kind == ERR_NOT_FOUND)) {
        err_clear(err);
        fresh_copy_task(first, a, out);
        kind = arena_failed(a) ? tx_no_memory(err) : ERR_NONE;
    }
    return kind;
}
