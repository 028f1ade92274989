// SPDX-License-Identifier: Apache-2.0
/*
 * admin_usage.c - usage records in, and what nothing could carry.
 *
 * A record stands for itself: what is wrong with one is its verdict, and the others are booked. They are booked in order, a few in each
 * job, so that no transaction holds the writer long. A call that ends early (the queue was full, the client went away) may be made again:
 * what was booked then is only told again.
 */
#include "api/admin.h"
#include "api/reports.h"
#include "api/resource.h"
#include "life/life.h"
#include "store/store_usage.h"

#define RECORDS_MAX 10000
#define RECORDS_A_JOB 200
#define SCRATCH_MAX ((size_t)16 << 20) // of one record

// ---- POST /admin/v1/usage ----

struct usage_post {
    struct usage_record *records;
    struct usage_result *results;
    size_t n;
    // how far it is: what the last job began with and did; worked out anew from the call's counts
    size_t from, running, one_by_one;
    unsigned steps, undone;
};

static enum err_kind take_records(struct call *c, struct usage_post *s, json_t *list, struct str source, struct err *err) {
    json_t *item;
    size_t i;
    struct err fault = {0};
    json_array_foreach(list, i, item) {
        err_clear(&fault);
        if (json_is_object(item))
            take_usage(item, "", source, STR_NONE, &s->records[i], &fault);
        else
            err_add(&fault, ERR_INVALID, "must be an object");
        if (fault.kind == ERR_NONE)
            continue;
        s->results[i] = (struct usage_result){.verdict = USAGE_INVALID, .iccid = ICCID_NONE, .message = admin_reason(c->arena, &fault)};
        if (!str_present(s->results[i].message))
            return call_no_memory(err);
    }
    return ERR_NONE;
}

enum err_kind admin_usage_parse(struct call *c, struct err *err) {
    struct usage_post *s = c->state = arena_new(c->arena, struct usage_post);
    if (!s)
        return call_no_memory(err);
    struct str source = json_take_str(c->body, "", "source", JSON_OPTIONAL, USAGE_SOURCE_MAX, err);
    json_t *list = json_take_array(c->body, "", "records", JSON_REQUIRED, err);
    if (!list)
        return err->kind;
    s->n = json_array_size(list);
    if (s->n == 0 || s->n > RECORDS_MAX)
        return err_add(err, ERR_INVALID, "records: must be 1 to %d", RECORDS_MAX);
    s->records = arena_array(c->arena, struct usage_record, s->n);
    s->results = arena_array(c->arena, struct usage_result, s->n);
    if (!s->records || !s->results)
        return call_no_memory(err);
    return err->kind == ERR_NONE ? take_records(c, s, list, source.n > 0 ? source : STR_NONE, err) : err->kind;
}

// What became of the job before this one. One that was undone is done again record by record, and the one that fails alone is left out.
static void look_back(struct call *c, struct usage_post *s) {
    if (s->steps != c->steps) {
        s->steps = c->steps;
        s->from += s->running;
        s->one_by_one -= s->one_by_one > 0;
    }
    if (s->undone != c->undone) {
        s->undone = c->undone;
        if (s->running > 1) {
            s->one_by_one = s->running;
        } else {
            log_error("usage.failed", LOG_STR("source", s->records[s->from].source), LOG_STR("record", s->records[s->from].record_id),
                      LOG_STR("correlation", c->correlation_id), LOG_ERR(&c->err));
            s->results[s->from] = (struct usage_result){
                .verdict = USAGE_FAILED, .iccid = ICCID_NONE, .message = STR("the server failed on this record; its log tells more")};
            s->from++;
            s->one_by_one -= s->one_by_one > 0;
        }
    }
    size_t most = s->one_by_one > 0 ? 1 : RECORDS_A_JOB;
    s->running = s->n - s->from < most ? s->n - s->from : most;
}

// The verdict's own memory, for as long as the call lives.
static enum err_kind keep(struct call *c, struct usage_result *to, const struct usage_result *u, struct err *err) {
    *to = *u;
    to->message = arena_str(c->arena, u->message);
    if (u->n_places > 0) {
        to->places = arena_array(c->arena, struct usage_place, u->n_places);
        if (!to->places)
            return call_no_memory(err);
        memcpy(to->places, u->places, u->n_places * sizeof *u->places);
    }
    return ERR_NONE;
}

static bool is_left_out(const struct usage_post *s, size_t i) {
    return !str_present(s->records[i].record_id) || s->results[i].verdict == USAGE_INVALID;
}

void admin_usage_ahead(struct call *c, struct tx *tx) {
    struct usage_post *s = c->state;
    look_back(c, s);
    for (size_t i = s->from; i < s->from + s->running; i++) {
        if (!is_left_out(s, i))
            life_usage_ahead(tx, &s->records[i]);
    }
}

enum err_kind admin_usage_work(struct call *c, struct tx *tx, struct err *err) {
    struct usage_post *s = c->state;
    look_back(c, s);
    struct arena scratch;
    arena_init(&scratch, SCRATCH_MAX);
    enum err_kind kind = ERR_NONE;
    for (size_t i = s->from; i < s->from + s->running && kind == ERR_NONE; i++) {
        if (is_left_out(s, i))
            continue;
        struct usage_result u;
        arena_reset(&scratch);
        kind = life_usage(tx, &scratch, &s->records[i], &u, err);
        if (kind == ERR_NONE)
            kind = keep(c, &s->results[i], &u, err);
    }
    arena_release(&scratch);
    // A record that trips over what is stored must not keep the others from being booked. The store's own trouble ends the call.
    bool its_fault = kind == ERR_CORRUPT || kind == ERR_INTERNAL || kind == ERR_CONFLICT;
    c->again = kind == ERR_NONE ? s->from + s->running < s->n : its_fault;
    return kind;
}

void admin_usage_reply(struct call *c) {
    const struct usage_post *s = c->state;
    int64_t counts[USAGE_FAILED + 1] = {0}, repeated = 0;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (size_t i = 0; i < s->n; i++) {
        jw_object(&w, NULL);
        jw_str_if(&w, "record_id", s->records[i].record_id);
        put_usage_result(&w, &s->results[i]);
        jw_end_object(&w);
        counts[s->results[i].verdict]++;
        repeated += s->results[i].repeated;
    }
    jw_end_array(&w);
    jw_object(&w, "counts");
    for (int i = 0; usage_verdict_words[i]; i++)
        jw_i64(&w, usage_verdict_words[i], counts[i]);
    jw_i64(&w, "REPEATED", repeated);
    jw_end_object(&w);
    jw_end_object(&w);
    ADMIN_LOG(c, "usage", LOG_INT("records", (int64_t)s->n), LOG_INT("repeated", repeated),
              LOG_INT("unrated", counts[USAGE_PARTLY] + counts[USAGE_UNRATED]),
              LOG_INT("refused", counts[USAGE_INVALID] + counts[USAGE_MISMATCH] + counts[USAGE_FAILED]));
}

// ---- GET /admin/v1/usage/unrated ----

struct usage_unrated {
    struct page page;
    struct usage_filter filter;
    struct stored_usage *rows;
    struct str *names;
    size_t n;
};

enum err_kind admin_usage_unrated_parse(struct call *c, struct err *err) {
    struct usage_unrated *s = c->state = arena_new(c->arena, struct usage_unrated);
    if (!s)
        return call_no_memory(err);
    page_parse(c, &s->page, err);
    s->filter.source = query_str(c, "source", USAGE_SOURCE_MAX, err);
    s->filter.iccid = query_iccid(c, "iccid", err);
    return err->kind;
}

enum err_kind admin_usage_unrated_work(struct call *c, struct tx *tx, struct err *err) {
    struct usage_unrated *s = c->state;
    struct admin_names names = {0};
    enum err_kind kind =
        store_usage_unrated(tx, &s->filter, page_offset(&s->page), s->page.size, c->arena, &s->rows, &s->n, &s->page.total, err);
    if (kind == ERR_NONE && s->n > 0 && !(s->names = arena_array(c->arena, struct str, s->n)))
        return call_no_memory(err);
    for (size_t i = 0; kind == ERR_NONE && i < s->n; i++)
        kind = admin_name_of(c, tx, &names, s->rows[i].partner_id, &s->names[i], err);
    return kind;
}

void admin_usage_unrated_reply(struct call *c) {
    const struct usage_unrated *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (size_t i = 0; i < s->n; i++) {
        const struct stored_usage *u = &s->rows[i];
        jw_object(&w, NULL);
        jw_str(&w, "source", u->record.source);
        jw_str(&w, "record_id", u->record.record_id);
        jw_str(&w, usage_named_words[u->record.named], u->record.number);
        if (u->iccid != ICCID_NONE && u->record.named != USAGE_BY_ICCID) {
            char iccid[ICCID_TEXT];
            iccid_format(u->iccid, iccid);
            jw_text(&w, "iccid", iccid);
        }
        jw_str_if(&w, "partner", s->names[i]);
        jw_i64(&w, "bytes_up", u->record.bytes_up);
        jw_i64(&w, "bytes_down", u->record.bytes_down);
        jw_i64(&w, "unrated_bytes", u->unrated_bytes);
        jw_text(&w, "reason", usage_reason_words[u->reason]);
        jw_date(&w, "start", u->record.start);
        jw_date(&w, "end", u->record.end);
        jw_date(&w, "received_date", u->received);
        jw_end_object(&w);
    }
    jw_end_array(&w);
    page_metadata(c, &w, &s->page);
    jw_end_object(&w);
}
