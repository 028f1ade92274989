// SPDX-License-Identifier: Apache-2.0
/*
 * render_event.c - an event as the outside sees it: its envelope, the resource from its snapshot, and what has changed.
 */
#include "render/render.h"

// ---- changes: before and after of each member that is another now ----

static void change_text(struct jw *w, const char *member, const char *before, const char *after) { // NULL: there was none
    if (before && after && strcmp(before, after) == 0)
        return;
    jw_object(w, member);
    if (before)
        jw_text(w, "before", before);
    else
        jw_null(w, "before");
    if (after)
        jw_text(w, "after", after);
    else
        jw_null(w, "after");
    jw_end_object(w);
}

static void put_date_or_null(struct jw *w, const char *key, struct wall t) {
    if (wall_set(t))
        jw_date(w, key, t);
    else
        jw_null(w, key);
}

static void change_date(struct jw *w, const char *member, struct wall before, struct wall after) {
    if (before.ms == after.ms)
        return;
    jw_object(w, member);
    put_date_or_null(w, "before", before);
    put_date_or_null(w, "after", after);
    jw_end_object(w);
}

static void change_i64(struct jw *w, const char *member, int64_t before, int64_t after) {
    if (before == after)
        return;
    jw_object(w, member);
    jw_i64(w, "before", before);
    jw_i64(w, "after", after);
    jw_end_object(w);
}

static void change_bool(struct jw *w, const char *member, bool before, bool after) {
    if (before == after)
        return;
    jw_object(w, member);
    jw_bool(w, "before", before);
    jw_bool(w, "after", after);
    jw_end_object(w);
}

// ---- each kind of resource ----

static enum err_kind put_order(struct jw *w, struct links l, const struct event *e, struct arena *a, struct err *err) {
    struct order o;
    struct order_was was;
    enum err_kind kind = event_unpack_order(e->payload, a, &o, &was, err);
    if (kind)
        return kind;
    render_order(w, "data", l, &o);
    jw_object(w, "changes");
    if (was.past != PAST_UNKNOWN)
        change_text(w, "status", was.past == PAST_KNOWN ? order_state_words[was.state] : NULL, order_state_words[o.state]);
    jw_end_object(w);
    return ERR_NONE;
}

static enum err_kind put_subscription(struct jw *w, struct links l, const struct event *e, struct arena *a, struct err *err) {
    struct subscription s;
    struct subscription_was was;
    int threshold;
    enum err_kind kind = event_unpack_subscription(e->payload, a, &s, &was, &threshold, err);
    if (kind)
        return kind;
    if (e->type == EVENT_SUBSCRIPTION_THRESHOLD)
        jw_i64(w, "threshold", threshold);
    render_subscription(w, "data", l, &s);
    jw_object(w, "changes");
    if (was.past != PAST_UNKNOWN)
        change_text(w, "status", was.past == PAST_KNOWN ? subscription_state_words[was.state] : NULL, subscription_state_words[s.state]);
    if (was.past == PAST_KNOWN) {
        change_date(w, "activation_date", was.activation, s.activation);
        change_date(w, "expiry_date", was.expiry, s.expiry);
        change_i64(w, "current_balance", s.initial_bytes - was.spent_bytes, s.initial_bytes - s.spent_bytes);
        change_i64(w, "spent_balance", was.spent_bytes, s.spent_bytes);
    }
    jw_end_object(w);
    return ERR_NONE;
}

static enum err_kind put_sim(struct jw *w, struct links l, const struct event *e, struct arena *a, struct err *err) {
    struct sim s;
    struct sim_was was;
    enum err_kind kind = event_unpack_sim(e->payload, a, &s, &was, err);
    if (kind)
        return kind;
    render_sim(w, "data", l, &s);
    jw_object(w, "changes");
    if (was.past == PAST_KNOWN) {
        change_bool(w, "activated", was.service == SIM_ACTIVE, s.service == SIM_ACTIVE);
        if (s.type == SIM_ESIM)
            change_text(w, "status", esim_status_words[was.esim], esim_status_words[s.esim]);
        struct str before = arena_str(a, was.eid), after = arena_str(a, s.eid); // terminated
        if (before.p || after.p)
            change_text(w, "eid", before.p, after.p);
    }
    jw_end_object(w);
    return ERR_NONE;
}

static enum err_kind put_progress(struct jw *w, struct links l, const struct event *e, struct arena *a, struct err *err) {
    struct sim s;
    struct profile_progress p;
    enum err_kind kind = event_unpack_progress(e->payload, a, &s, &p, err);
    if (kind)
        return kind;
    jw_object(w, "progress");
    jw_i64(w, "download_progress_step", p.point);
    jw_text(w, "notification_point_description", notification_point_text(p.point));
    jw_text(w, "notification_status", progress_status_words[p.status]);
    jw_str_if(w, "eid", p.eid);
    jw_end_object(w);
    render_sim(w, "data", l, &s);
    jw_object(w, "changes"); // it is told by itself when a step moves the profile
    jw_end_object(w);
    return ERR_NONE;
}

static enum err_kind put_webhook(struct jw *w, struct links l, const struct event *e, struct arena *a, struct err *err) {
    struct webhook hook;
    enum err_kind kind = event_unpack_webhook(e->payload, a, &hook, err);
    if (kind)
        return kind;
    render_webhook(w, "data", l, &hook, STR_NONE);
    jw_object(w, "changes");
    if (e->type == EVENT_WEBHOOK_DISABLED)
        change_text(w, "status", webhook_state_words[WEBHOOK_ENABLED], webhook_state_words[hook.state]);
    jw_end_object(w);
    return ERR_NONE;
}

static enum err_kind put_resource(struct jw *w, struct links l, const struct event *e, struct arena *a, struct err *err) {
    switch (e->type) {
    case EVENT_ORDER_ACCEPTED:
    case EVENT_ORDER_FULFILLING:
    case EVENT_ORDER_COMPLETED:
    case EVENT_ORDER_FAILED:
        return put_order(w, l, e, a, err);
    case EVENT_SUBSCRIPTION_PENDING:
    case EVENT_SUBSCRIPTION_ACTIVATED:
    case EVENT_SUBSCRIPTION_THRESHOLD:
    case EVENT_SUBSCRIPTION_DEPLETED:
    case EVENT_SUBSCRIPTION_EXPIRED:
        return put_subscription(w, l, e, a, err);
    case EVENT_SIM_ACTIVATED:
    case EVENT_SIM_STATUS_CHANGED:
    case EVENT_SIM_EID_CHANGED:
        return put_sim(w, l, e, a, err);
    case EVENT_SIM_DOWNLOAD_PROGRESS:
        return put_progress(w, l, e, a, err);
    case EVENT_WEBHOOK_DISABLED:
    case EVENT_WEBHOOK_TEST:
        return put_webhook(w, l, e, a, err);
    }
    return err_set(err, ERR_CORRUPT, "the log holds an event of an unknown type, %d", (int)e->type);
}

enum err_kind render_event(struct jw *w, const char *key, struct links l, const struct event *e, struct arena *a, struct err *err) {
    char id[EVENT_ID_TEXT];
    const char *type = event_type_name(e->type);
    event_id_format(e, id);
    jw_object(w, key);
    jw_text(w, "id", id);
    jw_i64(w, "sequence", e->sequence);
    jw_text(w, "type", type ? type : "");
    jw_date(w, "created_at", e->created);
    enum err_kind kind = put_resource(w, l, e, a, err);
    jw_end_object(w);
    return kind;
}
