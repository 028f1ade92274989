// SPDX-License-Identifier: Apache-2.0
#include "api/reports.h"

#include <stdio.h>

// ---- usage ----

static bool names_a_sim(enum usage_named named, struct str number) {
    iccid_t iccid;
    switch (named) {
    case USAGE_BY_ICCID:
        return iccid_parse(number, &iccid) == ICCID_OK;
    case USAGE_BY_IMSI:
        return imsi_valid(number);
    case USAGE_BY_MSISDN:
        return msisdn_valid(number);
    }
    return false;
}

static void take_named(json_t *o, const char *path, struct usage_record *out, struct err *err) {
    int given = 0;
    for (int i = 0; usage_named_words[i]; i++) {
        struct str number = json_take_str(o, path, usage_named_words[i], JSON_OPTIONAL, 32, err);
        if (!str_present(number))
            continue;
        given++;
        out->named = (enum usage_named)i;
        out->number = number;
        if (!names_a_sim(out->named, number))
            err_add(err, ERR_INVALID, "%s%s: is not one", path, usage_named_words[i]);
    }
    if (given != 1 && err->kind == ERR_NONE)
        err_add(err, ERR_INVALID, "%siccid: one of iccid, imsi and msisdn is required", path);
}

void take_usage(json_t *o, const char *path, struct str source, struct str iccid, struct usage_record *out, struct err *err) {
    *out = (struct usage_record){.named = USAGE_BY_ICCID, .number = iccid};
    out->record_id = json_take_str(o, path, "record_id", JSON_REQUIRED, USAGE_ID_MAX, err);
    out->source = json_take_str(o, path, "source", str_present(source) ? JSON_OPTIONAL : JSON_REQUIRED, USAGE_SOURCE_MAX, err);
    if (!str_present(out->source) || out->source.n == 0)
        out->source = source;
    if (!str_present(iccid))
        take_named(o, path, out, err);
    bool up = json_take_i64(o, path, "bytes_up", JSON_OPTIONAL, 0, USAGE_BYTES_MAX, &out->bytes_up, err);
    bool down = json_take_i64(o, path, "bytes_down", JSON_OPTIONAL, 0, USAGE_BYTES_MAX, &out->bytes_down, err);
    if (!up && !down && err->kind == ERR_NONE)
        err_add(err, ERR_INVALID, "%sbytes_down: bytes_up or bytes_down is required", path);
    out->start = json_take_date(o, path, "start", JSON_OPTIONAL, err);
    out->end = json_take_date(o, path, "end", JSON_OPTIONAL, err);
    if (!wall_set(out->start) && !wall_set(out->end) && err->kind == ERR_NONE)
        err_add(err, ERR_INVALID, "%send: is required", path);
    if (!wall_set(out->start))
        out->start = out->end;
    if (!wall_set(out->end))
        out->end = out->start;
}

void put_usage_result(struct jw *w, const struct usage_result *u) {
    jw_text(w, "verdict", usage_verdict_words[u->verdict]);
    if (u->verdict >= USAGE_INVALID) {
        jw_array(w, "messages");
        jw_str(w, NULL, u->message);
        jw_end_array(w);
        return;
    }
    jw_bool(w, "repeated", u->repeated);
    if (u->iccid != ICCID_NONE) {
        char iccid[ICCID_TEXT];
        iccid_format(u->iccid, iccid);
        jw_text(w, "iccid", iccid);
    }
    jw_array(w, "bookings");
    for (size_t i = 0; i < u->n_places; i++) {
        char id[LONG_ID_TEXT];
        long_id_format(u->places[i].subscription_id, id);
        jw_object(w, NULL);
        jw_text(w, "subscription_id", id);
        jw_i64(w, "bytes", u->places[i].bytes);
        jw_end_object(w);
    }
    jw_end_array(w);
    jw_i64(w, "unrated_bytes", u->unrated_bytes);
    if (u->reason != USAGE_REASON_NONE)
        jw_text(w, "reason", usage_reason_words[u->reason]);
}

// ---- download progress ----

void take_progress(json_t *o, struct profile_progress *out, struct err *err) {
    *out = (struct profile_progress){0};
    const json_t *point = json_object_get(o, "notification_point");
    int64_t number = 0;
    if (json_is_string(point)) { // SM-DP+s write it either way
        if (!str_to_i64((struct str){json_string_value(point), json_string_length(point)}, &number) || number < 1 || number > POINT_MAX)
            err_add(err, ERR_INVALID, "notification_point: must be 1 to %d", POINT_MAX);
    } else {
        json_take_i64(o, "", "notification_point", JSON_REQUIRED, 1, POINT_MAX, &number, err);
    }
    out->point = (int)number;
    int status = json_take_word(o, "", "notification_status", JSON_OPTIONAL, progress_status_words, err);
    out->status = status < 0 ? PROGRESS_SUCCESS : (enum progress_status)status;
    out->eid = json_take_str(o, "", "eid", JSON_OPTIONAL, 64, err);
    if (str_present(out->eid) && !eid_valid(out->eid))
        err_add(err, ERR_INVALID, "eid: must be 32 digits beginning with 89");
}
