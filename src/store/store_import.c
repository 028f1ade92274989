// SPDX-License-Identifier: Apache-2.0
/*
 * store_import.c - many SIMs at once: staged, judged, applied, a slice at a time: verbs of store_sim.h.
 *
 * Staging takes any row; judging leaves a verdict on each. A verdict holds until the import is applied, or the import goes back to
 * staging: inserting a SIM sends back those that stage one of its numbers (store_sim.c), and beginning to apply one sends back all others.
 * From then on that import owns its numbers, so that its rows go in without a further look; a row that has gone in is no longer staged, so
 * where it stopped needs no note.
 */
#include <inttypes.h>

#include "store/store_sim.h"
#include "store/tx.h"

// The numbers stand in the statements, too.
enum verdict {
    VERDICT_FRESH = 1,
    VERDICT_SAME = 2,
    VERDICT_UNREADABLE = 3, // the row came with its fault
    VERDICT_ICCID_TWICE = 4,
    VERDICT_IMSI_TWICE = 5,
    VERDICT_MSISDN_TWICE = 6,
    VERDICT_MATCHING_TWICE = 7,
    VERDICT_NO_PARTNER = 8,
    VERDICT_KNOWN = 9,
    VERDICT_IMSI_TAKEN = 10,
    VERDICT_MSISDN_TAKEN = 11,
    VERDICT_MATCHING_TAKEN = 12,
    VERDICTS
};

static enum err_kind no_import(struct err *err) {
    return err_set(err, ERR_NOT_FOUND, "no such import");
}

static void read_progress(struct row *r, void *out) {
    struct import_progress *p = out;
    p->state = (enum import_state)row_int_in(r, IMPORT_STAGING, IMPORT_DROPPED);
    p->judged_to = row_int(r);
    p->staged = row_int(r);
    p->fresh = row_int(r);
    p->same = row_int(r);
    p->bad = row_int(r);
    p->inserted = row_int(r);
    p->more = false;
}

enum err_kind store_import_get(struct tx *tx, int64_t import_id, struct import_progress *out, struct err *err) {
    struct db_value params[] = {db_int(import_id)};
    enum err_kind kind = tx_get(tx, ST_IMPORT_GET, TX_PARAMS(params), read_progress, NULL, out, sizeof *out, "import", err);
    return kind == ERR_NOT_FOUND ? no_import(err) : kind;
}

static enum err_kind update(struct tx *tx, int64_t import_id, const struct import_progress *p, struct err *err) {
    struct db_value params[] = {db_int(import_id), db_int(p->state), db_int(p->judged_to), db_int(p->staged),
                                db_int(p->fresh),  db_int(p->same),  db_int(p->bad),       db_int(p->inserted)};
    return tx_exec(tx, ST_IMPORT_UPDATE, TX_PARAMS(params), err);
}

// The last line of the next `limit`, and whether there may be more behind it.
static void read_slice(struct row *r, void *out) {
    int64_t *slice = out;
    slice[0] = row_int(r);
    slice[1] = row_int(r);
}

static enum err_kind slice_of(struct tx *tx, int64_t import_id, int64_t after, int64_t limit, int64_t *to, bool *more, struct err *err) {
    struct db_value params[] = {db_int(import_id), db_int(after), db_int(limit)};
    int64_t slice[2] = {0, 0};
    enum err_kind kind = tx_get(tx, ST_IMPORT_SLICE, TX_PARAMS(params), read_slice, NULL, slice, sizeof slice, "import", err);
    *to = slice[1] ? slice[0] : after;
    *more = slice[1] == limit;
    return kind;
}

enum err_kind store_import_begin(struct tx *tx, struct str source, int64_t *import_id, struct err *err) {
    int64_t id = tx_number(tx);
    struct db_value params[] = {db_int(id), db_text(str_present(source) ? source : STR("")), db_int(tx->now.ms)};
    enum err_kind kind = tx_exec(tx, ST_IMPORT_INSERT, TX_PARAMS(params), err);
    if (!kind)
        *import_id = id;
    return kind;
}

static enum err_kind stage_row(struct tx *tx, int64_t import_id, const struct import_row *row, struct err *err) {
    const struct sim *s = &row->sim;
    struct db_value params[16] = {db_int(import_id), db_int(row->line),
                                  db_int(str_present(row->fault) ? VERDICT_UNREADABLE : VERDICT_FRESH), db_text(row->fault)};
    if (!str_present(row->fault)) {
        params[4] = db_int(s->iccid);
        params[5] = db_id(s->partner_id);
        params[6] = db_int(s->type);
        params[7] = db_int(s->service);
        params[8] = db_int(s->esim);
        params[9] = db_text(s->imsi);
        params[10] = db_text(s->msisdn);
        params[11] = db_text(s->eid);
        params[12] = db_text(s->matching_id);
        params[13] = db_text(s->smdp);
        params[14] = db_wall(s->activated);
        params[15] = db_int(s->modified.ms);
    }
    enum err_kind kind = tx_exec(tx, ST_IMPORT_ROW_INSERT, TX_PARAMS(params), err);
    if (kind == ERR_CONFLICT)
        return err_set(err, ERR_CONFLICT, "line %" PRId64 " has been staged already", row->line);
    return kind;
}

enum err_kind store_import_stage(struct tx *tx, int64_t import_id, const struct import_row *rows, size_t n, struct err *err) {
    struct import_progress p;
    enum err_kind kind = store_import_get(tx, import_id, &p, err);
    if (!kind && p.state >= IMPORT_APPLYING)
        kind = err_set(err, ERR_CONFLICT, "the import has been applied already");
    for (size_t i = 0; i < n && !kind; i++) {
        CHECK(rows[i].line > 0);
        kind = stage_row(tx, import_id, &rows[i], err);
    }
    if (kind)
        return kind;
    p.state = IMPORT_STAGING;
    p.staged += (int64_t)n;
    return update(tx, import_id, &p, err);
}

static void read_verdict(struct row *r, void *out) {
    struct import_progress *p = out;
    p->fresh = row_int(r);
    p->same = row_int(r);
    p->bad = row_int(r);
}

static enum err_kind judge_slice(struct tx *tx, int64_t import_id, int64_t to, struct import_progress *p, struct err *err) {
    // Each looks only at rows that those before it found nothing wrong with.
    static const enum statement judges[] = {
        ST_IMPORT_JUDGE_RESET,          ST_IMPORT_JUDGE_ICCID_TWICE, ST_IMPORT_JUDGE_IMSI_TWICE, ST_IMPORT_JUDGE_MSISDN_TWICE,
        ST_IMPORT_JUDGE_MATCHING_TWICE, ST_IMPORT_JUDGE_PARTNER,     ST_IMPORT_JUDGE_KNOWN,      ST_IMPORT_JUDGE_IMSI,
        ST_IMPORT_JUDGE_MSISDN,         ST_IMPORT_JUDGE_MATCHING,
    };
    struct db_value params[] = {db_int(import_id), db_int(p->judged_to), db_int(to)};
    struct import_progress found;
    enum err_kind kind = ERR_NONE;
    for (size_t i = 0; i < ARRAY_LEN(judges) && !kind; i++)
        kind = tx_exec(tx, judges[i], TX_PARAMS(params), err);
    if (!kind)
        kind = tx_get(tx, ST_IMPORT_VERDICT, TX_PARAMS(params), read_verdict, NULL, &found, sizeof found, "import", err);
    if (kind)
        return kind;
    p->fresh += found.fresh;
    p->same += found.same;
    p->bad += found.bad;
    p->judged_to = to;
    return ERR_NONE;
}

// A slice of an import in IMPORT_APPLYING.
static enum err_kind apply_slice(struct tx *tx, int64_t import_id, int64_t limit, struct import_progress *p, struct err *err) {
    int64_t to = 0, rows = 0;
    enum err_kind kind = slice_of(tx, import_id, 0, limit, &to, &p->more, err);
    struct db_value params[] = {db_int(import_id), db_int(0), db_int(to)};
    if (!kind)
        kind = tx_exec_changed(tx, ST_IMPORT_APPLY, TX_PARAMS(params), &rows, err);
    if (!kind)
        kind = tx_exec(tx, ST_IMPORT_DROP_ROWS, TX_PARAMS(params), err);
    if (kind)
        return kind;
    p->inserted += rows;
    if (!p->more)
        p->state = IMPORT_APPLIED;
    return update(tx, import_id, p, err);
}

// Goes on with the import that is being applied, unless it is `import_id`. *other false: there is none.
static enum err_kind apply_other(struct tx *tx, int64_t import_id, int64_t limit, bool *other, struct err *err) {
    struct db_value params[] = {db_int(IMPORT_APPLYING)};
    int64_t at_work = 0;
    enum err_kind kind = tx_int(tx, ST_IMPORT_AT_WORK, TX_PARAMS(params), &at_work, err);
    *other = at_work && at_work != import_id;
    if (kind || !*other)
        return kind;
    struct import_progress p;
    kind = store_import_get(tx, at_work, &p, err);
    return kind ? kind : apply_slice(tx, at_work, limit, &p, err);
}

enum err_kind store_import_judge(struct tx *tx, int64_t import_id, int64_t limit, struct import_progress *out, struct err *err) {
    struct import_progress p;
    bool other = false;
    int64_t to = 0;
    enum err_kind kind = store_import_get(tx, import_id, &p, err);
    if (!kind && p.state >= IMPORT_APPLYING)
        kind = err_set(err, ERR_CONFLICT, "the import has been applied already");
    if (!kind)
        kind = apply_other(tx, import_id, limit, &other, err);
    if (kind)
        return kind;
    if (other) {
        p.more = true;
        *out = p;
        return ERR_NONE;
    }
    if (p.state != IMPORT_JUDGING) {
        p.state = IMPORT_JUDGING;
        p.judged_to = p.fresh = p.same = p.bad = 0;
    }
    kind = slice_of(tx, import_id, p.judged_to, limit, &to, &p.more, err);
    if (!kind)
        kind = judge_slice(tx, import_id, to, &p, err);
    if (!kind && !p.more)
        p.state = IMPORT_JUDGED;
    if (!kind)
        kind = update(tx, import_id, &p, err);
    if (!kind)
        *out = p;
    return kind;
}

// ---- faults ----

struct fault_row {
    int64_t line, verdict, other;
    struct str fault;
};

static void read_fault(struct row *r, void *out) {
    struct fault_row *f = out;
    f->line = row_int(r);
    f->verdict = row_int_in(r, VERDICT_UNREADABLE, VERDICTS - 1);
    f->other = row_int_or(r, 0);
    f->fault = row_str(r);
}

static struct str reason(const struct fault_row *f, struct arena *a) {
    char iccid[ICCID_TEXT] = "";
    if (f->verdict >= VERDICT_IMSI_TAKEN)
        iccid_format(f->other, iccid);
    switch ((enum verdict)f->verdict) {
    case VERDICT_ICCID_TWICE:
        return arena_printf(a, "iccid: stands in line %" PRId64 " already", f->other);
    case VERDICT_IMSI_TWICE:
        return arena_printf(a, "imsi: stands in line %" PRId64 " already", f->other);
    case VERDICT_MSISDN_TWICE:
        return arena_printf(a, "msisdn: stands in line %" PRId64 " already", f->other);
    case VERDICT_MATCHING_TWICE:
        return arena_printf(a, "matching_id: stands in line %" PRId64 " already", f->other);
    case VERDICT_NO_PARTNER:
        return arena_str(a, STR("partner: there is no such partner"));
    case VERDICT_KNOWN:
        return arena_str(a, STR("iccid: is known already, with other data"));
    case VERDICT_IMSI_TAKEN:
        return arena_printf(a, "imsi: SIM %s has it", iccid);
    case VERDICT_MSISDN_TAKEN:
        return arena_printf(a, "msisdn: SIM %s has it", iccid);
    case VERDICT_MATCHING_TAKEN:
        return arena_printf(a, "matching_id: SIM %s has it", iccid);
    default:
        return f->fault;
    }
}

enum err_kind store_import_faults(struct tx *tx, int64_t import_id, int64_t after_line, int64_t limit, struct arena *a,
                                  struct import_fault **out, size_t *n, struct err *err) {
    struct db_value params[] = {db_int(import_id), db_int(after_line), db_int(limit)};
    void *rows = NULL;
    size_t count = 0;
    enum err_kind kind = tx_list(tx, ST_IMPORT_FAULTS, TX_PARAMS(params), read_fault, a, sizeof(struct fault_row), 0, &rows, &count, err);
    if (kind)
        return kind;
    const struct fault_row *found = rows;
    struct import_fault *faults = arena_array(a, struct import_fault, count + 1);
    for (size_t i = 0; faults && i < count; i++)
        faults[i] = (struct import_fault){found[i].line, reason(&found[i], a)};
    if (arena_failed(a))
        return tx_no_memory(err);
    *out = faults;
    *n = count;
    return ERR_NONE;
}

// ---- the end ----

static enum err_kind may_apply(const struct import_progress *p, bool keep_good, struct err *err) {
    if (p->state != IMPORT_JUDGED)
        return err_set(err, ERR_CONFLICT, "the import has not been judged, or SIMs have come since: judge it again");
    if (p->bad && !keep_good)
        return err_set(err, ERR_CONFLICT, "%" PRId64 " of %" PRId64 " lines cannot be taken", p->bad, p->staged);
    return ERR_NONE;
}

enum err_kind store_import_apply(struct tx *tx, int64_t import_id, bool keep_good, int64_t limit, struct import_progress *out,
                                 struct err *err) {
    struct import_progress p;
    enum err_kind kind = store_import_get(tx, import_id, &p, err);
    if (!kind && p.state < IMPORT_APPLYING) {
        // Nobody else is being applied: that would have sent this one back, and kept it from being judged.
        struct db_value params[] = {db_int(import_id)};
        kind = may_apply(&p, keep_good, err);
        if (!kind)
            kind = tx_exec(tx, ST_IMPORT_UPSET_OTHERS, TX_PARAMS(params), err);
        p.state = IMPORT_APPLYING;
    }
    if (!kind && p.state == IMPORT_APPLYING)
        kind = apply_slice(tx, import_id, limit, &p, err);
    if (!kind)
        *out = p;
    return kind;
}

enum err_kind store_import_drop(struct tx *tx, int64_t import_id, struct err *err) {
    struct import_progress p;
    enum err_kind kind = store_import_get(tx, import_id, &p, err);
    if (!kind && p.state == IMPORT_APPLYING)
        kind = err_set(err, ERR_CONFLICT, "the import is being applied");
    if (kind)
        return kind;
    p.state = IMPORT_DROPPED;
    return update(tx, import_id, &p, err);
}

// Takes rows of what was dropped away, and then the import itself.
static enum err_kind clear_some(struct tx *tx, int64_t limit, bool *more, struct err *err) {
    struct db_value state[] = {db_int(IMPORT_DROPPED)};
    int64_t id = 0, to = 0;
    enum err_kind kind = tx_int(tx, ST_IMPORT_AT_WORK, TX_PARAMS(state), &id, err);
    *more = id != 0;
    if (kind || !id)
        return kind;
    bool rows = false;
    kind = slice_of(tx, id, 0, limit, &to, &rows, err);
    struct db_value params[] = {db_int(id), db_int(0), db_int(to)};
    if (!kind)
        kind = tx_exec(tx, ST_IMPORT_DROP_ROWS, TX_PARAMS(params), err);
    if (!kind && !rows)
        kind = tx_exec(tx, ST_IMPORT_DROP, params, 1, err);
    return kind;
}

enum err_kind store_import_upkeep(struct tx *tx, struct wall begun_before, int64_t limit, bool *more, struct err *err) {
    struct db_value params[] = {db_int(begun_before.ms)};
    bool applying = false, clearing = false;
    enum err_kind kind = apply_other(tx, 0, limit, &applying, err);
    if (!kind && !applying)
        kind = tx_exec(tx, ST_IMPORT_DROP_OLD, TX_PARAMS(params), err);
    if (!kind && !applying)
        kind = tx_exec(tx, ST_IMPORT_FORGET_OLD, TX_PARAMS(params), err);
    if (!kind && !applying)
        kind = clear_some(tx, limit, &clearing, err);
    *more = applying || clearing;
    return kind;
}
