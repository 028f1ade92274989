// SPDX-License-Identifier: Apache-2.0
/*
 * admin_import.c - putting SIMs into stock, as many as there are:
 *
 *   POST   /admin/v1/sim-imports               {"source"} -> 201 {"id"}
 *   POST   /admin/v1/sim-imports/{id}/rows     CSV with a header row; as often as needed
 *   POST   /admin/v1/sim-imports/{id}/judge    -> 200: how many are new, the same, bad; 202: how far it has come, again please
 *   GET    /admin/v1/sim-imports/{id}/faults   ?after_line, limit: the bad lines
 *   POST   /admin/v1/sim-imports/{id}/apply    {"keep_good"}: all (200; 202 as above), or 409 and nothing
 *   GET    /admin/v1/sim-imports/{id}          how far it has come
 *   DELETE /admin/v1/sim-imports/{id}
 *
 * A million rows are no single job: orders would wait for it. Each step is made of jobs of so many rows, and a call of so many jobs, so
 * that whoever calls can show how far it has come.
 *
 * Rows are staged as they come, the bad ones with what is wrong with them; so what was wrong with a line is told with the verdict, whether
 * it was the line alone or the line beside another. The column `line` says where a row stood in the operator's file (without it: in this
 * body), and `fault` what a client that cut the file found wrong with it.
 */
#include "api/admin.h"
#include "api/import_upkeep.h"
#include "api/resource.h"
#include "base/csv.h"
#include "store/store_sim.h"

#define SOURCE_MAX 255
#define ROWS_MAX 20000 // of one body
#define FAULTS_MAX 1000
#define SLICE_STAGED 1000 // rows a job
#define SLICE IMPORT_SLICE_ROWS
#define SLICES_A_CALL 20

enum column {
    COL_ICCID,
    COL_SIM_TYPE,
    COL_PARTNER,
    COL_IMSI,
    COL_MSISDN,
    COL_EID,
    COL_MATCHING_ID,
    COL_SMDP,
    COL_ACTIVATED,
    COL_LINE,
    COL_FAULT,
    COLUMNS
};
static const char *const column_names[COLUMNS] = {"iccid",       "sim_type", "partner",   "imsi", "msisdn", "eid",
                                                  "matching_id", "smdp",     "activated", "line", "fault"};
#define COLUMNS_REQUIRED 2

// The import that path parameter 0 names.
static enum err_kind import_id(struct call *c, int64_t *id, struct err *err) {
    if (!str_to_i64(c->params[0], id) || *id < 1)
        return err_set(err, ERR_NOT_FOUND, "id: there is no such import");
    return ERR_NONE;
}

static enum err_kind not_found_as(enum err_kind kind, struct err *err) {
    return kind == ERR_NOT_FOUND ? err_set(err, ERR_NOT_FOUND, "id: there is no such import") : kind;
}

// ---- POST /admin/v1/sim-imports ----

struct import_begin {
    struct str source;
    int64_t id;
};

enum err_kind admin_import_begin_parse(struct call *c, struct err *err) {
    struct import_begin *s = c->state = arena_new(c->arena, struct import_begin);
    if (!s)
        return call_no_memory(err);
    s->source = STR("");
    if (c->body) {
        struct str source = json_take_str(c->body, "", "source", JSON_OPTIONAL, SOURCE_MAX, err);
        s->source = str_present(source) ? source : s->source;
    }
    return err->kind;
}

enum err_kind admin_import_begin_work(struct call *c, struct tx *tx, struct err *err) {
    struct import_begin *s = c->state;
    return store_import_begin(tx, s->source, &s->id, err);
}

void admin_import_begin_reply(struct call *c) {
    const struct import_begin *s = c->state;
    struct jw w = call_json(c, 201);
    jw_object(&w, NULL);
    jw_i64(&w, "id", s->id);
    jw_object(&w, "_metadata");
    jw_object(&w, "links");
    static const char *const steps[] = {"rows", "judge", "faults", "apply"};
    call_link(c, &w, "_self", "/admin/v1/sim-imports/%lld", (long long)s->id);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        char key[16] = "_";
        CHECK(str_to_buf(str_of(steps[i]), key + 1, sizeof key - 1));
        call_link(c, &w, key, "/admin/v1/sim-imports/%lld/%s", (long long)s->id, steps[i]);
    }
    jw_end_object(&w);
    jw_end_object(&w);
    jw_end_object(&w);
}

// ---- POST /admin/v1/sim-imports/{id}/rows ----

struct import_rows {
    int64_t id;
    struct import_row *rows;
    struct str *partner; // of each row: a client id, STR_NONE
    struct str *fault;   // of each row: found by parse
    size_t n, room;
};

static bool host_name(struct str s) {
    bool dot = false;
    if (s.n == 0 || s.n > 253 || !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", s.p[0]))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char b = s.p[i];
        dot = dot || b == '.';
        if (!((b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') || b == '-' || b == '.'))
            return false;
    }
    return dot;
}

// GSMA SGP.22 section 4.1: letters, digits and hyphens; a '$' would end it inside an activation code.
static bool matching_id_valid(struct str s) {
    if (s.n == 0 || s.n > 255)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') || (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-'))
            return false;
    return true;
}

static struct str take_number(struct call *c, struct str text, bool (*valid)(struct str), const char *fault, struct err *err) {
    if (str_present(text) && !valid(text))
        err_add(err, ERR_INVALID, "%s", fault);
    return arena_str(c->arena, text);
}

static void take_sim(struct call *c, const struct csv *csv, const int *at, struct sim *sim, struct str *partner, struct err *err) {
    struct str type = csv_field(csv, at[COL_SIM_TYPE]), activated = csv_field(csv, at[COL_ACTIVATED]);
    struct str client_id = csv_field(csv, at[COL_PARTNER]);
    bool active = false;
    *sim = (struct sim){.service = SIM_STOCK, .activated = WALL_NONE, .modified = c->now};
    enum iccid_fault fault = iccid_parse(csv_field(csv, at[COL_ICCID]), &sim->iccid);
    if (fault != ICCID_OK)
        err_add(err, ERR_INVALID, "iccid: %s", iccid_fault_text(fault));
    sim->type = str_eq_nocase(type, STR("ESIM")) ? SIM_ESIM : str_eq_nocase(type, STR("PSIM")) ? SIM_PSIM : SIM_TYPE_NONE;
    if (sim->type == SIM_TYPE_NONE)
        err_add(err, ERR_INVALID, "sim_type: must be ESIM or PSIM");
    if (str_present(client_id) && !client_id_valid(client_id))
        err_add(err, ERR_INVALID, "partner: must be a client id");
    sim->imsi = take_number(c, csv_field(csv, at[COL_IMSI]), imsi_valid, "imsi: must be 6 to 15 digits", err);
    sim->msisdn =
        take_number(c, csv_field(csv, at[COL_MSISDN]), msisdn_valid, "msisdn: must be 5 to 15 digits, without a plus or a leading 0", err);
    sim->eid = take_number(c, csv_field(csv, at[COL_EID]), eid_valid, "eid: must be 32 digits that begin with 89", err);
    sim->matching_id =
        take_number(c, csv_field(csv, at[COL_MATCHING_ID]), matching_id_valid, "matching_id: must be letters, digits and hyphens", err);
    sim->smdp = take_number(c, csv_field(csv, at[COL_SMDP]), host_name, "smdp: must be a host name such as smdp.example.com", err);
    if (str_present(activated) && !admin_yes_no(activated, &active))
        err_add(err, ERR_INVALID, "activated: must be yes or no");
    if (sim->type == SIM_ESIM) {
        sim->esim = ESIM_RELEASED;
        if (!str_present(sim->matching_id))
            err_add(err, ERR_INVALID, "matching_id: is required for an eSIM");
        if (!str_present(sim->smdp))
            err_add(err, ERR_INVALID, "smdp: is required for an eSIM");
        if (active)
            err_add(err, ERR_INVALID, "activated: is for pSIMs; an eSIM is activated by an order");
    } else if (sim->type == SIM_PSIM) {
        if (str_present(sim->matching_id) || str_present(sim->smdp) || str_present(sim->eid))
            err_add(err, ERR_INVALID, "sim_type: a PSIM has no eid, matching_id and smdp");
        if (active && !str_present(client_id))
            err_add(err, ERR_INVALID, "partner: is required for a SIM in service");
    }
    if (active) {
        sim->service = SIM_ACTIVE;
        sim->activated = c->now;
    }
    *partner = arena_str(c->arena, client_id);
}

static enum err_kind make_room(struct call *c, struct import_rows *s, struct err *err) {
    if (s->n < s->room)
        return ERR_NONE;
    if (s->n >= ROWS_MAX)
        return err_set(err, ERR_TOO_LARGE, "a body may have %d rows", ROWS_MAX);
    size_t room = s->room ? 2 * s->room : 256;
    struct import_row *rows = arena_array(c->arena, struct import_row, room);
    struct str *partner = arena_array(c->arena, struct str, room), *fault = arena_array(c->arena, struct str, room);
    if (!rows || !partner || !fault)
        return call_no_memory(err);
    if (s->n > 0) {
        memcpy(rows, s->rows, s->n * sizeof *rows);
        memcpy(partner, s->partner, s->n * sizeof *partner);
        memcpy(fault, s->fault, s->n * sizeof *fault);
    }
    s->rows = rows;
    s->partner = partner;
    s->fault = fault;
    s->room = room;
    return ERR_NONE;
}

static enum err_kind read_rows(struct call *c, struct import_rows *s, struct csv *csv, struct err *err) {
    int at[COLUMNS];
    enum err_kind kind = csv_header(csv, column_names, COLUMNS, COLUMNS_REQUIRED, at, err);
    enum csv_row row;
    struct err fault = {0};
    while (kind == ERR_NONE && (row = csv_next(csv)) != CSV_END) {
        if (row == CSV_BROKEN)
            return err_set(err, ERR_INVALID, "line %lld: %s", (long long)csv->line, csv->reason);
        if ((kind = make_room(c, s, err)) != ERR_NONE)
            return kind;
        struct import_row *r = &s->rows[s->n];
        struct str line = csv_field(csv, at[COL_LINE]), found = csv_field(csv, at[COL_FAULT]);
        err_clear(&fault);
        r->line = csv->line;
        if (str_present(line) && (!str_to_i64(line, &r->line) || r->line < 1))
            return err_set(err, ERR_INVALID, "line %lld: line: must be a positive number", (long long)csv->line);
        if (row == CSV_BAD)
            err_add(&fault, ERR_INVALID, "%s", csv->reason);
        else if (str_present(found))
            err_add(&fault, ERR_INVALID, STR_FMT, STR_ARG(found));
        else
            take_sim(c, csv, at, &r->sim, &s->partner[s->n], &fault);
        s->fault[s->n] = fault.kind == ERR_NONE ? STR_NONE : admin_reason(c->arena, &fault);
        s->n++;
    }
    return kind;
}

enum err_kind admin_import_rows_parse(struct call *c, struct err *err) {
    struct import_rows *s = c->state = arena_new(c->arena, struct import_rows);
    struct csv csv;
    if (!s)
        return call_no_memory(err);
    enum err_kind kind = import_id(c, &s->id, err);
    if (kind != ERR_NONE)
        return kind;
    csv_init_text(&csv, c->x->body);
    kind = read_rows(c, s, &csv, err);
    csv_release(&csv);
    return kind;
}

// A partner that a row named, and whether there is one: files name few, over and over.
struct known_partner {
    struct str client_id;
    int64_t id; // 0: there is none
    struct known_partner *next;
};

static enum err_kind partner_id(struct call *c, struct tx *tx, struct known_partner **known, struct str client_id, int64_t *id,
                                struct err *err) {
    struct known_partner *k = *known;
    while (k && !str_eq(k->client_id, client_id))
        k = k->next;
    if (!k) {
        struct partner p = {0};
        struct err absent = {0};
        enum err_kind kind = store_partner_by_client(tx, client_id, c->arena, &p, &absent);
        if (kind != ERR_NONE && kind != ERR_NOT_FOUND)
            return err_set(err, kind, "%s", err_first(&absent));
        if (!(k = arena_new(c->arena, struct known_partner)))
            return call_no_memory(err);
        *k = (struct known_partner){client_id, kind == ERR_NONE ? p.id : 0, *known};
        *known = k;
    }
    *id = k->id;
    return ERR_NONE;
}

enum err_kind admin_import_rows_work(struct call *c, struct tx *tx, struct err *err) {
    struct import_rows *s = c->state;
    struct known_partner *known = NULL;
    enum err_kind kind = ERR_NONE;
    size_t from = (size_t)c->steps * SLICE_STAGED, to = s->n - from < SLICE_STAGED ? s->n : from + SLICE_STAGED;
    for (size_t i = from; i < to; i++) {
        struct import_row *r = &s->rows[i];
        r->fault = s->fault[i];
        if (!str_present(r->fault) && str_present(s->partner[i])) {
            if ((kind = partner_id(c, tx, &known, s->partner[i], &r->sim.partner_id, err)) != ERR_NONE)
                return kind;
            if (r->sim.partner_id == 0)
                r->fault = STR("partner: there is no such partner");
        }
    }
    kind = not_found_as(store_import_stage(tx, s->id, s->rows + from, to - from, err), err);
    c->again = kind == ERR_NONE && to < s->n;
    return kind;
}

void admin_import_rows_reply(struct call *c) {
    const struct import_rows *s = c->state;
    size_t bad = 0;
    for (size_t i = 0; i < s->n; i++)
        bad += str_present(s->rows[i].fault);
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_i64(&w, "rows", (int64_t)s->n);
    jw_i64(&w, "bad", (int64_t)bad);
    jw_end_object(&w);
}

// ---- POST /admin/v1/sim-imports/{id}/judge ----

struct import_step {
    int64_t id;
    bool keep_good;
    struct import_progress now;
};

static enum err_kind step_parse(struct call *c, struct import_step **out, struct err *err) {
    struct import_step *s = c->state = arena_new(c->arena, struct import_step);
    *out = s;
    return s ? import_id(c, &s->id, err) : call_no_memory(err);
}

static void put_progress(struct jw *w, const struct import_step *s) {
    static const char *const states[] = {"STAGING", "JUDGING", "JUDGED", "APPLYING", "APPLIED", NULL};
    jw_i64(w, "id", s->id);
    jw_text(w, "state", states[s->now.state]);
    jw_i64(w, "staged", s->now.staged);
    jw_i64(w, "judged", s->now.fresh + s->now.same + s->now.bad);
    jw_i64(w, "new", s->now.fresh);
    jw_i64(w, "same", s->now.same);
    jw_i64(w, "bad", s->now.bad);
    jw_i64(w, "inserted", s->now.inserted);
}

static void step_reply(struct call *c) {
    const struct import_step *s = c->state;
    struct jw w = call_json(c, s->now.more ? 202 : 200);
    jw_object(&w, NULL);
    put_progress(&w, s);
    jw_end_object(&w);
}

enum err_kind admin_import_judge_parse(struct call *c, struct err *err) {
    struct import_step *s;
    return step_parse(c, &s, err);
}

enum err_kind admin_import_judge_work(struct call *c, struct tx *tx, struct err *err) {
    struct import_step *s = c->state;
    enum err_kind kind = not_found_as(store_import_judge(tx, s->id, SLICE, &s->now, err), err);
    c->again = kind == ERR_NONE && s->now.more && c->steps + 1 < SLICES_A_CALL;
    return kind;
}

void admin_import_judge_reply(struct call *c) {
    step_reply(c);
}

// ---- GET /admin/v1/sim-imports/{id} ----

enum err_kind admin_import_get_work(struct call *c, struct tx *tx, struct err *err) {
    struct import_step *s;
    enum err_kind kind = step_parse(c, &s, err);
    return kind == ERR_NONE ? not_found_as(store_import_get(tx, s->id, &s->now, err), err) : kind;
}

void admin_import_get_reply(struct call *c) {
    step_reply(c);
}

// ---- GET /admin/v1/sim-imports/{id}/faults ----

struct import_faults {
    int64_t id, after_line, limit;
    struct import_fault *faults;
    size_t n;
};

enum err_kind admin_import_faults_parse(struct call *c, struct err *err) {
    struct import_faults *s = c->state = arena_new(c->arena, struct import_faults);
    if (!s)
        return call_no_memory(err);
    s->after_line = query_i64(c, "after_line", 0, INT64_MAX - 1, 0, err);
    s->limit = query_i64(c, "limit", 1, FAULTS_MAX, PAGE_SIZE_MAX, err);
    return err->kind == ERR_NONE ? import_id(c, &s->id, err) : err->kind;
}

enum err_kind admin_import_faults_work(struct call *c, struct tx *tx, struct err *err) {
    struct import_faults *s = c->state;
    return not_found_as(store_import_faults(tx, s->id, s->after_line, s->limit, c->arena, &s->faults, &s->n, err), err);
}

void admin_import_faults_reply(struct call *c) {
    const struct import_faults *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (size_t i = 0; i < s->n; i++) {
        jw_object(&w, NULL);
        jw_i64(&w, "line", s->faults[i].line);
        jw_str(&w, "reason", s->faults[i].reason);
        jw_end_object(&w);
    }
    jw_end_array(&w);
    jw_end_object(&w);
}

// ---- POST /admin/v1/sim-imports/{id}/apply ----

enum err_kind admin_import_apply_parse(struct call *c, struct err *err) {
    struct import_step *s;
    enum err_kind kind = step_parse(c, &s, err);
    if (s && c->body)
        json_take_bool(c->body, "", "keep_good", JSON_OPTIONAL, &s->keep_good, err);
    return err->kind == ERR_NONE ? kind : err->kind;
}

enum err_kind admin_import_apply_work(struct call *c, struct tx *tx, struct err *err) {
    struct import_step *s = c->state;
    enum err_kind kind = not_found_as(store_import_apply(tx, s->id, s->keep_good, SLICE, &s->now, err), err);
    c->again = kind == ERR_NONE && s->now.more && c->steps + 1 < SLICES_A_CALL;
    return kind;
}

void admin_import_apply_reply(struct call *c) {
    const struct import_step *s = c->state;
    step_reply(c);
    if (s->now.inserted > 0 && !s->now.more)
        ADMIN_LOG(c, "sims_imported", LOG_INT("import", s->id), LOG_INT("sims", s->now.inserted));
}

// ---- DELETE /admin/v1/sim-imports/{id} ----

enum err_kind admin_import_drop_work(struct call *c, struct tx *tx, struct err *err) {
    int64_t id;
    enum err_kind kind = import_id(c, &id, err);
    return kind == ERR_NONE ? not_found_as(store_import_drop(tx, id, err), err) : kind;
}

void admin_import_drop_reply(struct call *c) {
    import_upkeep_soon(c->api);
    call_empty(c, 204);
}
