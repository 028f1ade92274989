// SPDX-License-Identifier: Apache-2.0
#include "api/sandbox.h"

#include <inttypes.h>
#include <stdio.h>

#include "api/reports.h"
#include "api/resource.h"
#include "api/state.h"
#include "base/date.h"
#include "life/life.h"
#include "life/sandbox.h"
#include "render/render.h"
#include "store/store_partner.h"
#include "store/store_sandbox.h"
#include "store/store_sim.h"

#define MOVES_A_JOB 500                // subscriptions, or rows that are taken away
#define SCRATCH_MAX ((size_t)16 << 20) // of one job
#define EAGER_STEPS 3                  // jobs that look again at once whether the orders have ended: most end with the next commit
#define HOLD_MS 20000                  // longer than it takes from one job of a call to the next
#define PATIENCE_MS 15000              // for orders in work
#define SIMS_A_CALL 100
#define COUNT_AHEAD 10000

// A JSON null counts as absent.
static bool says(const struct call *c, const char *key) {
    const json_t *value = json_object_get(c->body, key);
    return value && !json_is_null(value);
}

// ---- one at a time ----

static void let_go(struct call *c) {
    struct sandbox_calls *calls = &c->api->sandbox_calls;
    pthread_mutex_lock(&calls->lock);
    for (size_t i = 0; i < SANDBOX_CALLS_MAX; i++)
        if (calls->partner[i] == c->partner.id)
            calls->partner[i] = 0;
    pthread_mutex_unlock(&calls->lock);
}

static enum err_kind in_hands(struct err *err) {
    return err_set(err, ERR_CONFLICT, "the sandbox's clock is being moved, or its data taken away: wait for that to end");
}

static enum err_kind take_hold(struct call *c, struct err *err) {
    struct sandbox_calls *calls = &c->api->sandbox_calls;
    int64_t *place = NULL;
    bool held = false;
    pthread_mutex_lock(&calls->lock);
    for (size_t i = 0; i < SANDBOX_CALLS_MAX; i++) {
        held = held || calls->partner[i] == c->partner.id;
        if (calls->partner[i] == 0)
            place = &calls->partner[i];
    }
    if (!held && place)
        *place = c->partner.id;
    pthread_mutex_unlock(&calls->lock);
    if (held)
        return in_hands(err);
    if (!place)
        return err_set(err, ERR_BUSY, "too many sandboxes are being moved: try again shortly");
    c->release = let_go;
    return ERR_NONE;
}

// The same among nodes, in each job of the call. A call that breaks off lets go when its time is over.
static enum err_kind hold(struct call *c, struct tx *tx, struct wall until, struct err *err) {
    const struct api_options *o = api_settings(c->api);
    bool other = false;
    if (store_is_alone(o->store))
        return ERR_NONE;
    enum err_kind kind = store_sandbox_hold(tx, c->partner.id, o->node, until, &other, err);
    return kind == ERR_NONE && other ? in_hands(err) : kind;
}

// ---- the clock ----

struct clock_call {
    bool by_duration;
    struct duration advance;
    struct wall to;
    // out
    struct wall now, real;
};

enum err_kind sandbox_clock_get_work(struct call *c, struct tx *tx, struct err *err) {
    struct clock_call *s = c->state = arena_new(c->arena, struct clock_call);
    if (!s)
        return call_no_memory(err);
    struct partner p;
    enum err_kind kind = store_partner_get(tx, c->partner.id, c->arena, &p, err); // the row that others keep may be a second old
    s->real = tx_now(tx);
    s->now = partner_now(&p, s->real);
    return kind;
}

enum err_kind sandbox_clock_post_parse(struct call *c, struct err *err) {
    struct clock_call *s = c->state = arena_new(c->arena, struct clock_call);
    if (!s)
        return call_no_memory(err);
    struct str advance = json_take_str(c->body, "", "advance", JSON_OPTIONAL, 64, err);
    s->to = json_take_date(c->body, "", "now", JSON_OPTIONAL, err);
    s->by_duration = str_present(advance);
    if (s->by_duration && !duration_parse(advance, &s->advance))
        err_add(err, ERR_INVALID, "advance: must be a duration such as P30D, PT12H or 30d");
    if (s->by_duration && says(c, "now"))
        err_add(err, ERR_INVALID, "now: must not come together with advance");
    else if (!s->by_duration && !wall_set(s->to) && err->kind == ERR_NONE)
        err_add(err, ERR_INVALID, "advance: is required, unless there is now");
    return err->kind == ERR_NONE ? take_hold(c, err) : err->kind;
}

// Where to, once nothing stands in the way. Its own time, to the millisecond; a date of this very second is now.
static enum err_kind clock_target(const struct clock_call *s, struct wall now, struct wall real, struct wall *out, struct err *err) {
    struct wall to = s->by_duration ? date_add_duration(now, s->advance) : s->to;
    if (to.ms < now.ms && to.ms / 1000 == now.ms / 1000)
        to = now;
    if (to.ms < now.ms) {
        char text[DATE_TEXT];
        date_format(now, text);
        return err_set(err, ERR_CONFLICT, "now: the sandbox's clock shows %s and only goes forward; DELETE /v2/sandbox/data sets it back",
                       text);
    }
    if (to.ms > date_add_months(real, SANDBOX_AHEAD_YEARS * 12).ms)
        return err_set(err, ERR_INVALID, "%s: the sandbox's clock may be %d years ahead of the real time, not more",
                       s->by_duration ? "advance" : "now", SANDBOX_AHEAD_YEARS);
    *out = to;
    return ERR_NONE;
}

// An order that is accepted on one day and done on another would be hard to understand: those in work end first.
static enum err_kind clock_begin(struct call *c, struct tx *tx, struct arena *a, struct wall *target, struct err *err) {
    struct partner p;
    bool busy;
    enum err_kind kind = store_sandbox_busy(tx, c->partner.id, &busy, err);
    if (kind == ERR_NONE && busy) {
        if (tx_now(tx).ms - c->now.ms > PATIENCE_MS)
            return err_set(err, ERR_CONFLICT, "orders are still in work: try again when they have ended");
        c->again = true;
        c->later = c->steps >= EAGER_STEPS;
        return ERR_NONE;
    }
    if (kind == ERR_NONE)
        kind = store_partner_get(tx, c->partner.id, a, &p, err);
    return kind ? kind : clock_target(c->state, partner_now(&p, tx_now(tx)), tx_now(tx), target, err);
}

static enum err_kind clock_step(struct call *c, struct tx *tx, struct arena *a, struct err *err) {
    struct clock_call *s = c->state;
    struct wall target = WALL_NONE;
    enum err_kind kind = ERR_NONE;
    if (str_present(c->note) && c->note.n > 0) // under way: to where it was to go when it began
        kind = str_to_i64(c->note, &target.ms) ? ERR_NONE : err_set(err, ERR_CORRUPT, "the clock's note is not a number");
    else
        kind = clock_begin(c, tx, a, &target, err);
    if (kind != ERR_NONE || c->again)
        return kind;
    struct sandbox_advance step = {.partner_id = c->partner.id, .target = target, .limit = MOVES_A_JOB};
    if ((kind = sandbox_advance(tx, a, &step, err)) != ERR_NONE)
        return kind;
    s->now = step.now;
    s->real = tx_now(tx);
    c->again = step.more;
    if (step.more) {
        char text[32];
        snprintf(text, sizeof text, "%" PRId64, target.ms);
        call_note(c, str_of(text));
    }
    return ERR_NONE;
}

// One job of a chain: memory of its own, because there may be thousands of them.
static enum err_kind with_scratch(struct call *c, struct tx *tx, struct err *err,
                                  enum err_kind (*step)(struct call *c, struct tx *tx, struct arena *a, struct err *err)) {
    struct arena scratch;
    enum err_kind kind = hold(c, tx, wall_plus_ms(tx_now(tx), HOLD_MS), err);
    if (kind != ERR_NONE)
        return kind;
    arena_init(&scratch, SCRATCH_MAX);
    kind = step(c, tx, &scratch, err);
    arena_release(&scratch);
    return kind == ERR_NONE && !c->again ? hold(c, tx, WALL_NONE, err) : kind;
}

enum err_kind sandbox_clock_post_work(struct call *c, struct tx *tx, struct err *err) {
    return with_scratch(c, tx, err, clock_step);
}

void sandbox_clock_reply(struct call *c) {
    const struct clock_call *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_date(&w, "now", s->now);
    jw_date(&w, "real_time", s->real);
    jw_i64(&w, "ahead_seconds", (s->now.ms - s->real.ms) / 1000);
    jw_object(&w, "_metadata");
    jw_object(&w, "links");
    call_link(c, &w, "_self", "/v2/sandbox/clock");
    jw_end_object(&w);
    jw_end_object(&w);
    jw_end_object(&w);
}

// ---- SIMs ----

static void put_sim(struct call *c, struct jw *w, const struct sim *s) {
    char iccid[ICCID_TEXT];
    iccid_format(s->iccid, iccid);
    jw_object(w, NULL);
    jw_text(w, "iccid", iccid);
    jw_text(w, "sim_type", sim_type_name(s->type));
    jw_bool(w, "activated", s->service == SIM_ACTIVE);
    jw_text(w, "behaviour", sandbox_behaviour_words[sandbox_of_iccid(s->iccid)]);
    if (s->type == SIM_ESIM)
        jw_text(w, "status", esim_status_words[s->esim]);
    jw_str_if(w, "imsi", s->imsi);
    jw_str_if(w, "msisdn", s->msisdn);
    jw_str_if(w, "matching_id", s->matching_id);
    jw_str_if(w, "smdp", s->smdp);
    jw_str_if(w, "eid", s->eid);
    jw_date(w, "last_modified", s->modified);
    jw_object(w, "_metadata");
    jw_object(w, "links");
    if (s->service == SIM_ACTIVE)
        call_link(c, w, "_sim", "/v2/sims/%s", iccid);
    call_link(c, w, "_usage", "/v2/sandbox/sims/%s/usage", iccid);
    if (s->type == SIM_ESIM)
        call_link(c, w, "_download_progress", "/v2/sandbox/sims/%s/download-progress", iccid);
    jw_end_object(w);
    jw_end_object(w);
    jw_end_object(w);
}

struct sim_list {
    struct page page;
    struct sim_filter filter;
    struct sim *sims;
    size_t n;
};

enum err_kind sandbox_sim_list_parse(struct call *c, struct err *err) {
    struct sim_list *s = c->state = arena_new(c->arena, struct sim_list);
    if (!s)
        return call_no_memory(err);
    page_parse(c, &s->page, err);
    int type = query_word(c, "sim_type", sim_type_words, err);
    s->filter = (struct sim_filter){.partner_id = c->partner.id, .type = type < 0 ? 0 : 1U << type, .service = -1};
    return err->kind;
}

enum err_kind sandbox_sim_list_work(struct call *c, struct tx *tx, struct err *err) {
    struct sim_list *s = c->state;
    enum err_kind kind = store_sim_count(tx, &s->filter, page_offset(&s->page) + COUNT_AHEAD, &s->page.total, err);
    if (kind != ERR_NONE)
        return kind;
    return store_sim_list(tx, &s->filter, ICCID_NONE, page_offset(&s->page), s->page.size, c->arena, &s->sims, &s->n, err);
}

void sandbox_sim_list_reply(struct call *c) {
    const struct sim_list *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (size_t i = 0; i < s->n; i++)
        put_sim(c, &w, &s->sims[i]);
    jw_end_array(&w);
    page_metadata(c, &w, &s->page);
    jw_end_object(&w);
}

struct sim_make {
    enum sim_type type;
    int64_t count;
    enum sandbox_behaviour behaviour;
    bool active;
    struct sim *sims;
};

enum err_kind sandbox_sim_make_parse(struct call *c, struct err *err) {
    struct sim_make *s = c->state = arena_new(c->arena, struct sim_make);
    if (!s)
        return call_no_memory(err);
    s->count = 1;
    int type = json_take_word(c->body, "", "sim_type", JSON_REQUIRED, sim_type_words, err);
    s->type = type < 0 ? SIM_TYPE_NONE : (enum sim_type)(1U << type);
    json_take_i64(c->body, "", "count", JSON_OPTIONAL, 1, SIMS_A_CALL, &s->count, err);
    json_take_bool(c->body, "", "activated", JSON_OPTIONAL, &s->active, err);
    int behaviour = json_take_word(c->body, "", "behaviour", JSON_OPTIONAL, sandbox_behaviour_words, err);
    s->behaviour = behaviour < 0 ? SANDBOX_AS_USUAL : (enum sandbox_behaviour)behaviour;
    if (!sandbox_table[s->behaviour].of_sims)
        err_add(err, ERR_INVALID, "behaviour: %s is a product's alone (%s)", sandbox_table[s->behaviour].word,
                sandbox_table[s->behaviour].product_id);
    else if (s->behaviour != SANDBOX_AS_USUAL && s->type == SIM_ESIM && !s->active)
        err_add(err, ERR_INVALID,
                "behaviour: an order does not name the profile that it takes from stock; use the product %s, or activated",
                sandbox_table[s->behaviour].product_id);
    s->sims = arena_array(c->arena, struct sim, (size_t)s->count);
    return s->sims ? err->kind : call_no_memory(err);
}

enum err_kind sandbox_sim_make_work(struct call *c, struct tx *tx, struct err *err) {
    struct sim_make *s = c->state;
    struct partner p;
    int64_t there = 0;
    enum err_kind kind =
        store_sim_count(tx, &(struct sim_filter){.partner_id = c->partner.id, .service = -1}, SANDBOX_SIMS_MAX, &there, err);
    if (kind == ERR_NONE && there + s->count > SANDBOX_SIMS_MAX)
        return err_set(err, ERR_CONFLICT, "count: a sandbox has at most %d SIMs; DELETE /v2/sandbox/data makes room", SANDBOX_SIMS_MAX);
    if (kind == ERR_NONE)
        kind = store_partner_get(tx, c->partner.id, c->arena, &p, err);
    for (int64_t i = 0; i < s->count && kind == ERR_NONE; i++)
        kind = sandbox_add_sim(tx, c->arena, &p, s->type, s->behaviour, s->active, &s->sims[i], err);
    return kind;
}

void sandbox_sim_make_reply(struct call *c) {
    const struct sim_make *s = c->state;
    struct jw w = call_json(c, 201);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (int64_t i = 0; i < s->count; i++)
        put_sim(c, &w, &s->sims[i]);
    jw_end_array(&w);
    jw_end_object(&w);
}

// ---- usage ----

struct usage_call {
    struct usage_record record;
    bool ends_now;
    char source[32];
    struct usage_result result;
};

enum err_kind sandbox_usage_parse(struct call *c, struct err *err) {
    struct usage_call *s = c->state = arena_new(c->arena, struct usage_call);
    if (!s)
        return call_no_memory(err);
    // Its own source: no number of bytes that it makes up may meet a record that a network has reported.
    snprintf(s->source, sizeof s->source, "sandbox-%" PRId64, c->partner.id);
    (void)json_object_del(c->body, "source");
    if (!says(c, "record_id")) {
        struct id_gen gen;
        char id[UUID_TEXT];
        id_gen_init(&gen, c->api->o.rng);
        uuid_format(id_next(&gen, c->now, c->partner.id), id);
        (void)json_object_set_new(c->body, "record_id", json_string(id));
    }
    s->ends_now = !says(c, "start") && !says(c, "end");
    if (s->ends_now)
        (void)json_object_set_new(c->body, "end", json_string("1970-01-01T00:00:00Z")); // stands for the instant of booking
    take_usage(c->body, "", str_of(s->source), c->params[0], &s->record, err);
    return err->kind;
}

enum err_kind sandbox_usage_work(struct call *c, struct tx *tx, struct err *err) {
    struct usage_call *s = c->state;
    struct sim sim;
    struct partner p;
    enum err_kind kind = call_sim(c, tx, &sim, err);
    if (kind == ERR_NONE)
        kind = store_partner_get(tx, c->partner.id, c->arena, &p, err);
    if (kind == ERR_NONE && s->ends_now)
        s->record.start = s->record.end = partner_now(&p, tx_now(tx));
    if (kind == ERR_NONE)
        kind = life_usage(tx, c->arena, &s->record, &s->result, err);
    if (kind != ERR_NONE)
        return kind;
    if (s->result.verdict == USAGE_MISMATCH)
        return err_set(err, ERR_CONFLICT, STR_FMT, STR_ARG(s->result.message));
    if (s->result.verdict >= USAGE_INVALID)
        return err_set(err, ERR_INVALID, STR_FMT, STR_ARG(s->result.message));
    return ERR_NONE;
}

void sandbox_usage_reply(struct call *c) {
    const struct usage_call *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_str(&w, "record_id", s->record.record_id);
    put_usage_result(&w, &s->result);
    jw_end_object(&w);
}

// ---- download progress ----

struct progress_call {
    struct profile_progress progress;
    struct sim sim;
};

// What people say for the commonest points.
static const struct {
    const char *word;
    int point;
} steps[] = {{"DOWNLOADED", POINT_DOWNLOADED},
             {"INSTALLED", POINT_INSTALLED},
             {"ENABLED", POINT_ENABLED},
             {"DISABLED", POINT_DISABLED},
             {"DELETED", POINT_DELETED}};
static const char *const step_words[] = {"DOWNLOADED", "INSTALLED", "ENABLED", "DISABLED", "DELETED", NULL};

enum err_kind sandbox_progress_parse(struct call *c, struct err *err) {
    struct progress_call *s = c->state = arena_new(c->arena, struct progress_call);
    if (!s)
        return call_no_memory(err);
    int step = json_take_word(c->body, "", "step", JSON_OPTIONAL, step_words, err);
    if (step >= 0 && says(c, "notification_point"))
        err_add(err, ERR_INVALID, "notification_point: must not come together with step");
    else if (step >= 0)
        (void)json_object_set_new(c->body, "notification_point", json_integer(steps[step].point));
    else if (!says(c, "notification_point") && err->kind == ERR_NONE)
        return err_add(err, ERR_INVALID, "step: is required, unless there is notification_point");
    if (err->kind == ERR_NONE)
        take_progress(c->body, &s->progress, err);
    return err->kind;
}

enum err_kind sandbox_progress_work(struct call *c, struct tx *tx, struct err *err) {
    struct progress_call *s = c->state;
    struct partner p;
    enum err_kind kind = call_sim(c, tx, &s->sim, err);
    if (kind == ERR_NONE)
        kind = store_partner_get(tx, c->partner.id, c->arena, &p, err);
    return kind ? kind : life_profile_progress(tx, &s->sim, &s->progress, partner_now(&p, tx_now(tx)), err);
}

void sandbox_progress_reply(struct call *c) {
    struct jw w = call_json(c, 200);
    render_sim(&w, NULL, links_of(c->api), &((struct progress_call *)c->state)->sim);
}

// ---- afresh ----

enum err_kind sandbox_reset_parse(struct call *c, struct err *err) {
    return take_hold(c, err);
}

static enum err_kind reset_step(struct call *c, struct tx *tx, struct arena *a, struct err *err) {
    return sandbox_reset(tx, a, c->partner.id, MOVES_A_JOB, &c->again, err);
}

enum err_kind sandbox_reset_work(struct call *c, struct tx *tx, struct err *err) {
    return with_scratch(c, tx, err, reset_step);
}

void sandbox_reset_reply(struct call *c) {
    call_empty(c, 204);
}
