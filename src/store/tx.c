// SPDX-License-Identifier: Apache-2.0
#include "store/tx.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_BLOCK 100000
#define SEQUENCES_MIN 64
#define SEQUENCES_MAX 65536 // beyond it the cache is emptied between batches
#define ROW_MAX 1024
#define EVENT_PAYLOADS_MAX ((size_t)16 << 20) // of EVENTS_AT_ONCE events

// ---- statements ----

// Whatever is not a broken constraint makes the whole transaction unfit, even where a job would go on.
static enum err_kind seen(struct tx *tx, enum err_kind kind) {
    if (kind && (kind != ERR_CONFLICT || tx->db->late) && !tx->trouble)
        tx->trouble = kind;
    return kind;
}

// Before a statement that could see or touch what is kept back (fresh.h). When that cannot be written it is another job's fault, perhaps,
// so the whole transaction is unfit.
static enum err_kind make_room(struct tx *tx, enum statement st, struct err *err) {
    if (tx->fresh.n == 0 || fresh_is_aside(st))
        return ERR_NONE;
    enum err_kind kind = tx_flush_fresh(tx, err);
    if (kind && !tx->trouble)
        tx->trouble = kind;
    return kind;
}

enum err_kind tx_exec_changed(struct tx *tx, enum statement st, const struct db_value *params, size_t n, int64_t *changed,
                              struct err *err) {
    CHECK(tx->writer);
    tx->wrote = tx->changes = true;
    if (!(statements[st].flags & DB_KEEPS))
        recent_clear(tx->recent);
    enum err_kind kind = make_room(tx, st, err);
    if (kind)
        return kind;
    return seen(tx, tx->db->driver->exec(tx->db, (int)st, params, n, changed, err));
}

enum err_kind tx_exec(struct tx *tx, enum statement st, const struct db_value *params, size_t n, struct err *err) {
    return tx_exec_changed(tx, st, params, n, NULL, err);
}

void tx_ahead(struct tx *tx, enum statement st, const struct db_value *params, size_t n) {
    const struct db_driver *d = tx->db->driver;
    void (*ahead)(struct db *, int, const struct db_value *, size_t) = tx->writer ? d->ahead : d->look;
    if (ahead)
        ahead(tx->db, (int)st, params, n);
}

static enum err_kind query(struct tx *tx, enum statement st, const struct db_value *params, size_t n, struct err *err) {
    enum err_kind kind = make_room(tx, st, err);
    return kind ? kind : seen(tx, tx->db->driver->query(tx->db, (int)st, params, n, err));
}

static enum err_kind next(struct tx *tx, enum statement st, bool *more, struct err *err) {
    return seen(tx, tx->db->driver->next(tx->db, (int)st, more, err));
}

static void finish(struct tx *tx, enum statement st) {
    tx->db->driver->finish(tx->db, (int)st);
}

// ---- rows ----

static struct db_value column(struct row *r) {
    return r->tx->db->driver->column(r->tx->db, (int)r->st, r->column++);
}

int64_t row_int(struct row *r) {
    struct db_value v = column(r);
    if (v.type != DB_INT)
        r->bad = true;
    return v.i;
}

int64_t row_int_in(struct row *r, int64_t min, int64_t max) {
    int64_t v = row_int(r);
    if (v >= min && v <= max)
        return v;
    r->bad = true;
    return min;
}

int64_t row_int_or(struct row *r, int64_t absent) {
    struct db_value v = column(r);
    if (v.type == DB_NULL)
        return absent;
    if (v.type != DB_INT)
        r->bad = true;
    return v.i;
}

struct wall row_wall(struct row *r) {
    return (struct wall){row_int_or(r, WALL_NONE.ms)};
}

struct str row_str(struct row *r) {
    struct db_value v = column(r);
    if (v.type == DB_NULL)
        return STR_NONE;
    if (v.type != DB_TEXT)
        r->bad = true;
    return v.type == DB_TEXT ? arena_str(r->arena, v.s) : STR_NONE;
}

void row_chars(struct row *r, char *out, size_t size) {
    struct db_value v = column(r);
    out[0] = '\0';
    if (v.type == DB_NULL)
        return;
    if (v.type != DB_TEXT || !str_to_buf(v.s, out, size))
        r->bad = true;
}

void row_blob(struct row *r, void *out, size_t size) {
    struct db_value v = column(r);
    if (v.type == DB_BLOB && v.s.n == size)
        memcpy(out, v.s.p, size);
    else
        r->bad = true;
}

struct str row_bytes(struct row *r) {
    struct db_value v = column(r);
    if (v.type != DB_BLOB)
        r->bad = true;
    return v.type == DB_BLOB ? arena_str(r->arena, v.s) : STR_NONE;
}

struct uuid row_uuid(struct row *r) {
    struct uuid id = {{0}};
    row_blob(r, id.b, sizeof id.b);
    return id;
}

struct uuid row_uuid_or_zero(struct row *r) {
    struct uuid id = {{0}};
    struct db_value v = column(r);
    if (v.type == DB_BLOB && v.s.n == sizeof id.b)
        memcpy(id.b, v.s.p, sizeof id.b);
    else if (v.type != DB_NULL)
        r->bad = true;
    return id;
}

struct money row_money(struct row *r) {
    struct money m = {0};
    m.minor = row_int_or(r, 0);
    row_chars(r, m.currency, sizeof m.currency);
    return m;
}

enum err_kind tx_no_memory(struct err *err) {
    return err_set(err, ERR_INTERNAL, "the answer does not fit into the memory of one request");
}

static enum err_kind read_row(struct row *r, row_reader *read, void *out, struct err *err) {
    r->column = 0;
    r->bad = false;
    read(r, out);
    if (r->bad)
        return seen(r->tx, err_set(err, ERR_CORRUPT, "the store holds a row that cannot be read (%s)", statements[r->st].name));
    return r->arena && arena_failed(r->arena) ? tx_no_memory(err) : ERR_NONE;
}

enum err_kind tx_get(struct tx *tx, enum statement st, const struct db_value *params, size_t n, row_reader *read, struct arena *a,
                     void *out, size_t size, const char *what, struct err *err) {
    CHECK(size <= ROW_MAX);
    _Alignas(max_align_t) char found[ROW_MAX];
    struct row row = {.tx = tx, .st = st, .arena = a};
    bool more = false;
    enum err_kind kind = query(tx, st, params, n, err);
    if (kind)
        return kind;
    kind = next(tx, st, &more, err);
    if (!kind && !more)
        kind = err_set(err, ERR_NOT_FOUND, "no such %s", what);
    if (!kind) {
        memset(found, 0, size);
        kind = read_row(&row, read, found, err);
    }
    finish(tx, st);
    if (!kind)
        memcpy(out, found, size);
    return kind;
}

enum err_kind tx_list(struct tx *tx, enum statement st, const struct db_value *params, size_t n, row_reader *read, struct arena *a,
                      size_t size, size_t expect, void **out, size_t *count, struct err *err) {
    struct row row = {.tx = tx, .st = st, .arena = a};
    size_t cap = expect < 16 ? 16 : expect > 1024 ? 1024 : expect, used = 0;
    char *rows = arena_raw(a, cap, size); // a place is wiped when its row comes: most lists are shorter than they may be
    if (!rows)
        return tx_no_memory(err);
    enum err_kind kind = query(tx, st, params, n, err);
    if (kind)
        return kind;
    for (bool more = true; !kind;) {
        kind = next(tx, st, &more, err);
        if (kind || !more)
            break;
        if (used == cap) {
            char *wider = arena_raw(a, cap * 2, size);
            if (!wider) {
                kind = tx_no_memory(err);
                break;
            }
            memcpy(wider, rows, used * size);
            rows = wider;
            cap *= 2;
        }
        memset(rows + used * size, 0, size);
        kind = read_row(&row, read, rows + used * size, err);
        used++;
    }
    finish(tx, st);
    if (kind)
        return kind;
    *out = rows;
    *count = used;
    return ERR_NONE;
}

static void read_int(struct row *r, void *out) {
    *(int64_t *)out = row_int_or(r, 0);
}

enum err_kind tx_int(struct tx *tx, enum statement st, const struct db_value *params, size_t n, int64_t *out, struct err *err) {
    return tx_get(tx, st, params, n, read_int, NULL, out, sizeof *out, statements[st].name, err);
}

// ---- what a writer keeps in memory ----

static struct sequence *place_of(struct sequences *s, int64_t partner_id) {
    size_t i = (size_t)((uint64_t)partner_id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (s->size - 1);
    while (s->place[i].partner_id && s->place[i].partner_id != partner_id)
        i = (i + 1) & (s->size - 1);
    return &s->place[i];
}

static void sequences_grow(struct sequences *s) {
    struct sequences wider = {.size = s->size ? s->size * 2 : SEQUENCES_MIN, .used = s->used, .dirty = s->dirty};
    wider.place = xcalloc(wider.size, sizeof *wider.place);
    for (size_t i = 0; i < s->size; i++) {
        if (s->place[i].partner_id)
            *place_of(&wider, s->place[i].partner_id) = s->place[i];
    }
    free(s->place);
    *s = wider;
}

static void sequences_empty(struct sequences *s) {
    free(s->place);
    *s = (struct sequences){0};
}

enum err_kind tx_sequence(struct tx *tx, int64_t partner_id, int64_t *out, struct err *err) {
    CHECK(tx->writer && partner_id > 0);
    struct sequences *s = &tx->sequences;
    if (s->used * 2 >= s->size)
        sequences_grow(s);
    struct sequence *q = place_of(s, partner_id);
    if (!q->partner_id) {
        struct db_value params[] = {db_int(partner_id)};
        int64_t last = 0;
        enum err_kind kind = tx_int(tx, ST_SEQUENCE_GET, TX_PARAMS(params), &last, err);
        if (kind)
            return kind;
        *q = (struct sequence){.partner_id = partner_id, .last = last};
        s->used++;
    }
    tx->wrote = tx->changes = true;
    s->dirty += !q->dirty;
    q->dirty = true;
    *out = ++q->last;
    return ERR_NONE;
}

enum err_kind tx_flush(struct tx *tx, struct err *err) {
    struct sequences *s = &tx->sequences;
    if (tx->fresh.n) {
        enum err_kind kind = tx_flush_fresh(tx, err);
        if (kind)
            return kind;
    }
    if (tx->events.n) {
        enum err_kind kind = tx_flush_events(tx, err);
        if (kind)
            return kind;
    }
    for (size_t i = 0; i < s->size && s->dirty; i++) {
        struct sequence *q = &s->place[i];
        if (!q->dirty)
            continue;
        struct db_value params[] = {db_int(q->partner_id), db_int(q->last)};
        enum err_kind kind = tx_exec(tx, ST_SEQUENCE_SET, TX_PARAMS(params), err);
        if (kind)
            return kind;
        q->dirty = false;
        s->dirty--;
    }
    return ERR_NONE;
}

void tx_committed(struct tx *tx) {
    tx->number_kept = tx->number_wanted;
    if (tx->sequences.used > SEQUENCES_MAX)
        sequences_empty(&tx->sequences);
}

void tx_forget(struct tx *tx) {
    sequences_empty(&tx->sequences);
    tx->events.n = 0;
    buf_clear(&tx->events.payloads);
    if (tx->writer)
        fresh_clear(&tx->fresh);
    recent_clear(tx->recent);
    tx->open_tasks = OPEN_TASKS_UNKNOWN;
    tx->number_wanted = tx->number_kept;
}

void tx_others(struct tx *tx) {
    tx_forget(tx);
    tx->number_kept = tx->number_wanted = tx->number; // numbers grow over all nodes: the rest of the block is left out
}

enum err_kind tx_start(struct tx *tx, struct err *err) {
    int64_t number = 0;
    enum err_kind kind = tx_int(tx, ST_NUMBER_GET, NULL, 0, &number, err);
    if (!kind)
        tx->number = tx->number_kept = tx->number_wanted = number;
    return kind;
}

int64_t tx_number(struct tx *tx) {
    CHECK(tx->writer);
    // Blocks are noted in the store before a number of theirs is committed, so that none comes again after a restart. A failure to note
    // makes the transaction unfit (tx->trouble), so the caller need not hear of it.
    if (tx->number >= tx->number_wanted) {
        struct err err = {0};
        int64_t given_out = 0;
        enum err_kind kind = tx_int(tx, ST_NUMBER_GET, NULL, 0, &given_out, &err);
        if (given_out > tx->number)
            tx->number = given_out;
        struct db_value params[] = {db_int(tx->number + NUMBER_BLOCK)};
        if (!kind)
            kind = tx_exec(tx, ST_NUMBER_SET, TX_PARAMS(params), &err);
        if (!kind)
            tx->number_wanted = tx->number + NUMBER_BLOCK;
        else if (!tx->trouble)
            tx->trouble = ERR_INTERNAL;
    }
    return ++tx->number;
}

struct uuid tx_new_id(struct tx *tx, int64_t partner_id) {
    CHECK(tx->writer);
    return id_next(&tx->ids, tx->now, partner_id);
}

struct wall tx_now(const struct tx *tx) {
    return tx->now;
}

void tx_news(struct tx *tx, unsigned news) {
    tx->news |= news;
}

void tx_tell(struct tx *tx, const struct store_told *told) {
    if (tx->told < STORE_TOLD_MAX)
        tx->told_list[tx->told] = *told;
    tx->told++;
}

void tx_init(struct tx *tx, struct store *s, bool writer) {
    *tx = (struct tx){.store = s, .writer = writer};
    buf_init(&tx->events.payloads, EVENT_PAYLOADS_MAX);
    if (!writer)
        return;
    tx->told_list = xcalloc(STORE_TOLD_MAX, sizeof *tx->told_list);
    fresh_init(&tx->fresh);
}

void tx_release(struct tx *tx) {
    sequences_empty(&tx->sequences);
    buf_release(&tx->events.payloads);
    fresh_release(&tx->fresh);
    recent_close(tx->recent);
    tx->recent = NULL;
    free(tx->told_list);
    tx->told_list = NULL;
}
