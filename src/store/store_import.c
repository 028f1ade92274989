// SPDX-License-Identifier: Apache-2.0
/*
 * store_import.c - many SIMs at once: staged, judged, applied: verbs of store_sim.h.
 *
 * Staging takes any row; judging compares whole sets, in a handful of statements, and leaves a verdict on each row. What is applied was
 * judged before, perhaps long before: the unique indexes and foreign keys of sim have the last word, and then the import has to be judged
 * again.
 */
#include <inttypes.h>

#include "store/store_sim.h"
#include "store/tx.h"

enum import_state { IMPORT_STAGING, IMPORT_JUDGED, IMPORT_APPLIED };

// The numbers stand in the statements, too.
enum verdict {
    VERDICT_NONE = 0,
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

static enum err_kind state_of(struct tx *tx, int64_t import_id, enum import_state *out, struct err *err) {
    struct db_value params[] = {db_int(import_id)};
    int64_t state = 0;
    enum err_kind kind = tx_int(tx, ST_IMPORT_GET, TX_PARAMS(params), &state, err);
    if (kind == ERR_NOT_FOUND)
        return no_import(err);
    if (!kind)
        *out = (enum import_state)state;
    return kind;
}

static enum err_kind set_state(struct tx *tx, int64_t import_id, enum import_state state, struct err *err) {
    struct db_value params[] = {db_int(import_id), db_int(state)};
    return tx_exec(tx, ST_IMPORT_STATE, TX_PARAMS(params), err);
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
    struct db_value params[15] = {db_int(import_id), db_int(row->line), db_text(row->fault)};
    if (!str_present(row->fault)) {
        params[3] = db_int(s->iccid);
        params[4] = db_id(s->partner_id);
        params[5] = db_int(s->type);
        params[6] = db_int(s->service);
        params[7] = db_int(s->esim);
        params[8] = db_text(s->imsi);
        params[9] = db_text(s->msisdn);
        params[10] = db_text(s->eid);
        params[11] = db_text(s->matching_id);
        params[12] = db_text(s->smdp);
        params[13] = db_wall(s->activated);
        params[14] = db_int(s->modified.ms);
    }
    enum err_kind kind = tx_exec(tx, ST_IMPORT_ROW_INSERT, TX_PARAMS(params), err);
    if (kind == ERR_CONFLICT)
        return err_set(err, ERR_CONFLICT, "line %" PRId64 " has been staged already", row->line);
    return kind;
}

enum err_kind store_import_stage(struct tx *tx, int64_t import_id, const struct import_row *rows, size_t n, struct err *err) {
    enum import_state state = IMPORT_STAGING;
    enum err_kind kind = state_of(tx, import_id, &state, err);
    if (!kind && state == IMPORT_APPLIED)
        kind = err_set(err, ERR_CONFLICT, "the import has been applied already");
    if (!kind && state == IMPORT_JUDGED)
        kind = set_state(tx, import_id, IMPORT_STAGING, err);
    for (size_t i = 0; i < n && !kind; i++)
        kind = stage_row(tx, import_id, &rows[i], err);
    return kind;
}

static void read_verdict(struct row *r, void *out) {
    struct import_verdict *v = out;
    v->staged = row_int(r);
    v->fresh = row_int(r);
    v->same = row_int(r);
    v->bad = row_int(r);
}

static enum err_kind verdict_of(struct tx *tx, int64_t import_id, struct import_verdict *out, struct err *err) {
    struct db_value params[] = {db_int(import_id)};
    return tx_get(tx, ST_IMPORT_VERDICT, TX_PARAMS(params), read_verdict, NULL, out, sizeof *out, "import", err);
}

enum err_kind store_import_judge(struct tx *tx, int64_t import_id, struct import_verdict *out, struct err *err) {
    // Each looks only at rows that those before it found nothing wrong with.
    static const enum statement judges[] = {
        ST_IMPORT_JUDGE_RESET,          ST_IMPORT_JUDGE_ICCID_TWICE, ST_IMPORT_JUDGE_IMSI_TWICE, ST_IMPORT_JUDGE_MSISDN_TWICE,
        ST_IMPORT_JUDGE_MATCHING_TWICE, ST_IMPORT_JUDGE_PARTNER,     ST_IMPORT_JUDGE_KNOWN,      ST_IMPORT_JUDGE_IMSI,
        ST_IMPORT_JUDGE_MSISDN,         ST_IMPORT_JUDGE_MATCHING,
    };
    struct db_value params[] = {db_int(import_id)};
    enum import_state state = IMPORT_STAGING;
    enum err_kind kind = state_of(tx, import_id, &state, err);
    if (!kind && state == IMPORT_APPLIED)
        kind = err_set(err, ERR_CONFLICT, "the import has been applied already");
    for (size_t i = 0; i < ARRAY_LEN(judges) && !kind; i++)
        kind = tx_exec(tx, judges[i], TX_PARAMS(params), err);
    if (!kind)
        kind = set_state(tx, import_id, IMPORT_JUDGED, err);
    return kind ? kind : verdict_of(tx, import_id, out, err);
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

enum err_kind store_import_apply(struct tx *tx, int64_t import_id, bool keep_good, int64_t *inserted, struct err *err) {
    struct db_value params[] = {db_int(import_id)};
    struct import_verdict verdict = {0};
    enum import_state state = IMPORT_STAGING;
    enum err_kind kind = state_of(tx, import_id, &state, err);
    if (!kind && state == IMPORT_APPLIED)
        kind = err_set(err, ERR_CONFLICT, "the import has been applied already");
    if (!kind && state == IMPORT_STAGING)
        kind = err_set(err, ERR_CONFLICT, "the import has not been judged yet");
    if (!kind)
        kind = verdict_of(tx, import_id, &verdict, err);
    if (!kind && verdict.bad && !keep_good)
        kind = err_set(err, ERR_CONFLICT, "%" PRId64 " of %" PRId64 " lines cannot be taken", verdict.bad, verdict.staged);
    if (kind)
        return kind;
    int64_t rows = 0;
    kind = tx_exec_changed(tx, ST_IMPORT_APPLY, TX_PARAMS(params), &rows, err);
    if (kind == ERR_CONFLICT)
        return err_set(err, ERR_CONFLICT, "the SIMs have changed since the import was judged: judge it again");
    if (!kind)
        kind = set_state(tx, import_id, IMPORT_APPLIED, err);
    if (!kind)
        *inserted = rows;
    return kind;
}

enum err_kind store_import_drop(struct tx *tx, int64_t import_id, struct err *err) {
    struct db_value params[] = {db_int(import_id)};
    int64_t changed = 0;
    enum err_kind kind = tx_exec(tx, ST_IMPORT_DROP_ROWS, TX_PARAMS(params), err);
    if (!kind)
        kind = tx_exec_changed(tx, ST_IMPORT_DROP, TX_PARAMS(params), &changed, err);
    return kind || changed ? kind : no_import(err);
}

static void read_id(struct row *r, void *out) {
    *(int64_t *)out = row_int(r);
}

enum err_kind store_import_sweep(struct tx *tx, struct wall begun_before, struct err *err) {
    struct db_value params[] = {db_int(begun_before.ms)};
    struct arena a;
    arena_init(&a, 1 << 20);
    void *rows = NULL;
    size_t n = 0;
    enum err_kind kind = tx_list(tx, ST_IMPORT_OLD, TX_PARAMS(params), read_id, &a, sizeof(int64_t), 0, &rows, &n, err);
    for (size_t i = 0; i < n && !kind; i++)
        kind = store_import_drop(tx, ((const int64_t *)rows)[i], err);
    arena_release(&a);
    return kind;
}
