// SPDX-License-Identifier: Apache-2.0
/*
 * render_webhook.c - endpoints and deliveries to them; and notifications of one SIM.
 */
#include "render/render.h"

void render_webhook(struct jw *w, const char *key, struct links l, const struct webhook *hook, struct str secret) {
    char id[UUID_TEXT];
    struct str rest = hook->types, pattern;
    uuid_format(hook->id, id);

    jw_object(w, key);
    jw_text(w, "id", id);
    jw_str(w, "url", hook->url);
    jw_array(w, "types");
    while (rest.n > 0) {
        rest = str_cut(rest, ' ', &pattern);
        jw_str(w, NULL, pattern);
    }
    jw_end_array(w);
    jw_bool(w, "enabled", hook->state == WEBHOOK_ENABLED);
    jw_text(w, "status", webhook_state_words[hook->state]);
    jw_str_if(w, "secret", secret);
    jw_date(w, "created_date", hook->created);
    jw_date(w, "last_modified", hook->modified);
    jw_i64(w, "next_sequence", hook->cursor);
    jw_i64(w, "failed_attempts", hook->attempts);
    jw_date_if(w, "next_attempt_date", hook->due);
    jw_date_if(w, "failing_since", hook->failing_since);
    jw_object(w, "_metadata");
    jw_object(w, "links");
    render_link(w, "_self", l.base_url, "/v2/webhooks/%s", id);
    render_link(w, "_deliveries", l.base_url, "/v2/webhooks/%s/deliveries", id);
    render_link(w, "_test", l.base_url, "/v2/webhooks/%s/test", id);
    render_link(w, "_replay", l.base_url, "/v2/webhooks/%s/replay", id);
    render_link(w, "_rotate_secret", l.base_url, "/v2/webhooks/%s/rotate-secret", id);
    jw_end_object(w);
    jw_end_object(w);
    jw_end_object(w);
}

void render_delivery(struct jw *w, const char *key, struct links l, const struct webhook_delivery *d) {
    char id[UUID_TEXT], webhook[UUID_TEXT], event[EVENT_ID_TEXT];
    const char *type = event_type_name(d->event_type);
    uuid_format(d->id, id);
    uuid_format(d->webhook_id, webhook);

    jw_object(w, key);
    jw_text(w, "id", id);
    jw_text(w, "webhook_id", webhook);
    jw_text(w, "kind", delivery_kind_words[d->kind]);
    jw_text(w, "outcome", delivery_outcome_words[d->outcome]);
    if (d->sequence > 0) {
        event_id_format(&(struct event){.partner_id = d->partner_id, .sequence = d->sequence, .created = d->event_created}, event);
        jw_text(w, "event_id", event);
        jw_i64(w, "event_sequence", d->sequence);
    }
    jw_text(w, "event_type", type ? type : "");
    jw_i64(w, "attempt", d->attempt);
    jw_date_if(w, "attempted_date", d->tried);
    if (wall_set(d->tried))
        jw_i64(w, "duration_ms", d->duration_ms);
    if (d->status > 0) {
        jw_object(w, "answer");
        jw_i64(w, "status", d->status);
        jw_str(w, "body", str_present(d->answer) ? d->answer : STR(""));
        jw_end_object(w);
    }
    jw_str_if(w, "error", d->trouble);
    jw_date_if(w, "next_attempt_date", d->next);
    jw_object(w, "_metadata");
    jw_object(w, "links");
    render_link(w, "_self", l.base_url, "/v2/webhooks/%s/deliveries/%s", webhook, id);
    render_link(w, "_webhook", l.base_url, "/v2/webhooks/%s", webhook);
    if (d->sequence > 0)
        render_link(w, "_redeliver", l.base_url, "/v2/webhooks/%s/deliveries/%s/redeliver", webhook, id);
    jw_end_object(w);
    jw_end_object(w);
    jw_end_object(w);
}

// ---- notifications of one SIM: the documented payloads ----

static void put_date(struct jw *w, const char *key, struct wall t) {
    if (wall_set(t))
        jw_date(w, key, t);
    else
        jw_null(w, key);
}

static void begin_notification(struct jw *w, const struct event *e, enum notification_type type) {
    char id[EVENT_ID_TEXT], iccid[ICCID_TEXT];
    event_id_format(e, id);
    iccid_format(e->iccid, iccid);
    jw_object(w, NULL);
    jw_text(w, "id", id + 4); // the UUID of it, as ever
    jw_text(w, "type", notification_words[type]);
    jw_text(w, "iccid", iccid);
}

static enum err_kind put_balance(struct jw *w, const struct event *e, enum notification_type type, struct arena *a, bool *wanted,
                                 struct err *err) {
    struct subscription s;
    struct subscription_was was;
    char id[LONG_ID_TEXT];
    int threshold = 0;
    enum err_kind kind = event_unpack_subscription(e->payload, a, &s, &was, &threshold, err);
    if (kind)
        return kind;
    *wanted = type != NOTIFY_USAGE_THRESHOLD || threshold == NOTIFICATION_THRESHOLD;
    if (!*wanted)
        return ERR_NONE;
    long_id_format(s.id, id);
    begin_notification(w, e, type);
    jw_text(w, "subscription_id", id);
    if (type == NOTIFY_USAGE_THRESHOLD)
        jw_i64(w, "threshold", threshold);
    put_date(w, "expiration_date", s.expiry);
    jw_i64(w, "current_balance", s.initial_bytes - s.spent_bytes);
    jw_end_object(w);
    return ERR_NONE;
}

static enum err_kind put_progress(struct jw *w, const struct event *e, struct arena *a, struct err *err) {
    struct sim s;
    struct profile_progress p;
    enum err_kind kind = event_unpack_progress(e->payload, a, &s, &p, err);
    if (kind)
        return kind;
    struct str eid = str_present(p.eid) ? p.eid : s.eid;
    begin_notification(w, e, NOTIFY_DOWNLOAD_PROGRESS);
    if (str_present(eid))
        jw_str(w, "eid", eid);
    else
        jw_null(w, "eid");
    jw_i64(w, "download_progress_step", p.point);
    jw_text(w, "notification_point_description", notification_point_text(p.point));
    jw_text(w, "notification_status", progress_status_words[p.status]);
    jw_end_object(w);
    return ERR_NONE;
}

enum err_kind render_notification(struct jw *w, const struct event *e, struct arena *a, bool *wanted, struct err *err) {
    int type = notification_of(e->type);
    *wanted = type >= 0;
    if (type < 0)
        return ERR_NONE;
    if (type == NOTIFY_DOWNLOAD_PROGRESS)
        return put_progress(w, e, a, err);
    return put_balance(w, e, (enum notification_type)type, a, wanted, err);
}
