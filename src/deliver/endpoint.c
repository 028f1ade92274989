// SPDX-License-Identifier: Apache-2.0
/*
 * endpoint.c - the endpoints in memory: read from the store, woken by news, sent to.
 *
 * An endpoint with something to do stands in one of three places: ready, ready but failing (these never take more than half of all requests
 * at once, so that dead receivers leave room for live ones), or later, in a heap, until its next attempt. It has one request at a time; it
 * goes on when that was answered, without waiting for the disk, up to DELIVER_AHEAD_MAX answers.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/secret.h"
#include "deliver/inside.h"
#include "deliver/sign.h"

// ---- where an endpoint waits ----

static void heap_put(struct deliver *d, size_t i, struct endpoint *e) {
    d->later[i] = e;
    e->place = i;
}

static void heap_up(struct deliver *d, size_t i) {
    struct endpoint *e = d->later[i];
    for (; i > 0 && d->later[(i - 1) / 2]->at.ms > e->at.ms; i = (i - 1) / 2)
        heap_put(d, i, d->later[(i - 1) / 2]);
    heap_put(d, i, e);
}

static void heap_down(struct deliver *d, size_t i) {
    struct endpoint *e = d->later[i];
    for (size_t child; (child = 2 * i + 1) < d->n_later; i = child) {
        if (child + 1 < d->n_later && d->later[child + 1]->at.ms < d->later[child]->at.ms)
            child++;
        if (d->later[child]->at.ms >= e->at.ms)
            break;
        heap_put(d, i, d->later[child]);
    }
    heap_put(d, i, e);
}

static void heap_remove(struct deliver *d, struct endpoint *e) {
    size_t i = e->place;
    struct endpoint *last = d->later[--d->n_later];
    if (last == e)
        return;
    heap_put(d, i, last);
    heap_down(d, i);
    heap_up(d, last->place);
}

static void ready_remove(struct endpoint **list, struct endpoint ***end, struct endpoint *e) {
    while (*list != e)
        list = &(*list)->next_ready;
    *list = e->next_ready;
    if (!e->next_ready)
        *end = list;
}

static void unqueue(struct deliver *d, struct endpoint *e) {
    if (e->queue == QUEUE_LATER)
        heap_remove(d, e);
    else if (e->queue == QUEUE_READY)
        ready_remove(&d->ready, &d->ready_end, e);
    else if (e->queue == QUEUE_FAILING)
        ready_remove(&d->failing, &d->failing_end, e);
    e->queue = QUEUE_NONE;
}

static bool is_failing(const struct endpoint *e) {
    return wall_set(e->w.failing_since);
}

static void queue_ready(struct deliver *d, struct endpoint *e) {
    struct endpoint ***end = is_failing(e) ? &d->failing_end : &d->ready_end;
    e->queue = is_failing(e) ? QUEUE_FAILING : QUEUE_READY;
    e->next_ready = NULL;
    **end = e;
    *end = &e->next_ready;
}

void endpoint_later(struct deliver *d, struct endpoint *e, struct wall at) {
    unqueue(d, e);
    if (e->gone || e->shunned)
        return;
    if (d->n_later == d->cap_later) {
        d->cap_later = d->cap_later ? 2 * d->cap_later : 64;
        struct endpoint **more = xcalloc(d->cap_later, sizeof *more);
        if (d->n_later)
            memcpy(more, d->later, d->n_later * sizeof *more);
        free(d->later);
        d->later = more;
    }
    e->queue = QUEUE_LATER;
    e->at = at;
    heap_put(d, d->n_later++, e);
    heap_up(d, d->n_later - 1);
}

static bool has_work(const struct endpoint *e) {
    if (e->n_asked > 0)
        return true;
    return e->w.state == WEBHOOK_ENABLED && (e->next_event < e->n_events || e->scan <= e->owner->head);
}

void endpoint_wake(struct deliver *d, struct endpoint *e) {
    bool busy = e->flying || e->claiming || e->n_unsettled >= DELIVER_AHEAD_MAX;
    if (e->gone || e->shunned || busy || e->queue != QUEUE_NONE || !has_work(e))
        return;
    if (wall_set(e->w.due) && e->n_asked == 0)
        endpoint_later(d, e, e->w.due);
    else
        queue_ready(d, e);
}

void endpoints_due(struct deliver *d, struct wall now) {
    while (d->n_later > 0 && d->later[0]->at.ms <= now.ms) {
        struct endpoint *e = d->later[0];
        unqueue(d, e);
        if (has_work(e))
            queue_ready(d, e);
    }
}

void endpoints_set_back(struct deliver *d, int64_t ms) {
    for (size_t i = 0; i < OWNER_BUCKETS; i++)
        for (struct owner *o = d->owners[i]; o; o = o->next)
            for (struct endpoint *e = o->endpoints; e; e = e->next_of_owner) {
                if (wall_set(e->w.due))
                    e->w.due = wall_plus_ms(e->w.due, -ms);
                if (wall_set(e->w.lease_until))
                    e->w.lease_until = wall_plus_ms(e->w.lease_until, -ms);
            }
    for (size_t i = 0; i < d->n_later; i++) // all alike: the heap stays one
        d->later[i]->at = wall_plus_ms(d->later[i]->at, -ms);
}

// ---- made and unmade ----

void endpoint_forget_ahead(struct endpoint *e) {
    arena_reset(&e->arena);
    e->events = NULL;
    e->n_events = e->next_event = 0;
    e->scan = e->w.cursor;
}

// What lies before the cursor is done with.
static void pass_by(struct endpoint *e) {
    while (e->next_event < e->n_events && e->events[e->next_event].sequence < e->w.cursor)
        e->next_event++;
    if (e->scan < e->w.cursor)
        e->scan = e->w.cursor;
}

static struct str kept(struct str s) {
    char *p = xmalloc(s.n + 1);
    memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct str){p, s.n};
}

static void let_go(struct str s) {
    void *p;
    memcpy(&p, &s.p, sizeof p);
    free(p);
}

static void wants_changed(struct deliver *d, struct owner *o) {
    uint64_t wants = 0;
    for (struct endpoint *e = o->endpoints; e; e = e->next_of_owner)
        wants |= e->wants;
    pthread_mutex_lock(&d->lock);
    o->wants = wants;
    pthread_mutex_unlock(&d->lock);
}

static struct endpoint *endpoint_new(struct deliver *d, const struct webhook *row) {
    struct endpoint *e = xcalloc(1, sizeof *e);
    e->owner = owner_get(d, row->partner_id);
    e->next_of_owner = e->owner->endpoints;
    e->owner->endpoints = e;
    e->unsettled_end = &e->unsettled;
    e->w.epoch = -1; // unlike any that is stored
    arena_init(&e->arena, (size_t)PAGE_EVENTS * (EVENT_PAYLOAD_MAX + 1024));
    d->n_endpoints++;
    d->heads = true; // where its partner's log ends is to be looked up
    return e;
}

static void endpoint_free(struct deliver *d, struct endpoint *e) {
    for (struct flight *f = e->unsettled, *next; f; f = next) {
        next = f->next;
        free(f);
    }
    secret_wipe(e->secret, sizeof e->secret);
    let_go(e->w.url);
    let_go(e->w.types);
    arena_release(&e->arena);
    free(e);
    d->n_endpoints--;
}

static void detach(struct deliver *d, struct endpoint *e) {
    struct owner *o = e->owner;
    for (struct endpoint **p = &o->endpoints; *p; p = &(*p)->next_of_owner)
        if (*p == e) {
            *p = e->next_of_owner;
            break;
        }
    wants_changed(d, o);
    owner_drop_if_idle(d, o);
    e->owner = NULL;
    e->gone = true;
}

void endpoint_unref(struct deliver *d, struct endpoint *e) {
    e->refs--;
    if (e->gone && e->refs == 0)
        endpoint_free(d, e);
}

static void endpoint_remove(struct deliver *d, struct endpoint *e) {
    unqueue(d, e);
    detach(d, e);
    if (e->refs == 0)
        endpoint_free(d, e);
}

void endpoints_free(struct deliver *d) {
    for (size_t i = 0; i < OWNER_BUCKETS; i++)
        while (d->owners[i]) {
            struct owner *o = d->owners[i];
            o->notes = o->notes > 0;
            for (struct endpoint *e; (e = o->endpoints);) {
                o->endpoints = e->next_of_owner;
                endpoint_free(d, e);
            }
            d->owners[i] = o->next;
            free(o);
        }
}

// ---- read from the store ----

static struct endpoint *endpoint_find(struct deliver *d, struct uuid id) {
    struct owner *o = owner_find(d, uuid_partner(id));
    struct endpoint *e = o ? o->endpoints : NULL;
    while (e && !uuid_eq(e->w.id, id))
        e = e->next_of_owner;
    return e;
}

// What a call has changed; what deliveries change is newer here than there.
static enum err_kind take_row(struct deliver *d, struct tx *tx, struct endpoint *e, const struct webhook *row, struct err *err) {
    bool begun_anew = e->w.epoch != row->epoch, changed = begun_anew || e->w.modified.ms != row->modified.ms;
    if (changed) {
        enum err_kind kind = store_webhook_secrets(tx, row->id, e->secret, &e->n_secrets, err);
        if (kind)
            return kind;
        struct webhook was = e->w;
        e->w.id = row->id;
        e->w.partner_id = row->partner_id;
        e->w.created = row->created;
        e->w.modified = row->modified;
        e->w.url = kept(row->url);
        e->w.types = kept(row->types);
        let_go(was.url);
        let_go(was.types);
        e->wants = webhook_wants(&e->w);
        wants_changed(d, e->owner);
    }
    if (begun_anew || !e->leased) {
        e->w.epoch = row->epoch;
        e->w.state = row->state;
        e->w.attempts = row->attempts;
        e->w.due = row->due;
        e->w.failing_since = row->failing_since;
        e->w.cursor = begun_anew || row->cursor > e->w.cursor ? row->cursor : e->w.cursor;
        e->stored = row->cursor;
    }
    if (begun_anew) {
        e->leased = false; // a lease is of an epoch
        for (struct flight *f = e->unsettled; f; f = f->next)
            f->stale = true;
    }
    if (changed) { // what was read ahead may be not what is wanted
        endpoint_forget_ahead(e);
        unqueue(d, e);
    }
    return ERR_NONE;
}

static void take_asked(struct deliver *d, const struct webhook_delivery *pending, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct endpoint *e = endpoint_find(d, pending[i].webhook_id);
        bool known = !e || e->n_asked == ASKED_MAX;
        for (size_t k = 0; !known && k < e->n_asked; k++)
            known = uuid_eq(e->asked[k], pending[i].id);
        if (!known) {
            e->asked[e->n_asked++] = pending[i].id;
            unqueue(d, e); // it need not wait for another attempt's time
        }
    }
}

// fn(d, e) for each; it may remove the one it is given.
static void each_endpoint(struct deliver *d, void (*fn)(struct deliver *d, struct endpoint *e)) {
    for (size_t i = 0; i < OWNER_BUCKETS; i++)
        for (struct owner *o = d->owners[i], *next_owner; o; o = next_owner) {
            next_owner = o->next;
            for (struct endpoint *e = o->endpoints, *next; e; e = next) {
                next = e->next_of_owner;
                fn(d, e);
            }
        }
}

static void not_seen(struct deliver *d, struct endpoint *e) {
    (void)d;
    e->seen = false;
}

static void remove_not_seen(struct deliver *d, struct endpoint *e) {
    if (e->seen)
        endpoint_wake(d, e);
    else
        endpoint_remove(d, e);
}

enum err_kind endpoints_reload(struct deliver *d, struct err *err) {
    struct tx *tx = NULL;
    struct webhook *rows = NULL;
    struct webhook_delivery *pending = NULL;
    size_t n = 0, n_pending = 0;
    arena_reset(&d->scratch);
    enum err_kind kind = deliver_reader(d, &tx, err);
    if (!kind)
        kind = store_webhook_list(tx, 0, &d->scratch, &rows, &n, err);
    if (!kind)
        kind = store_delivery_pending(tx, BATCH_MAX, &d->scratch, &pending, &n_pending, err);
    if (kind)
        return kind;
    each_endpoint(d, not_seen);
    for (size_t i = 0; i < n && !kind; i++) {
        struct endpoint *e = endpoint_find(d, rows[i].id);
        if (!e)
            e = endpoint_new(d, &rows[i]);
        kind = take_row(d, tx, e, &rows[i], err);
        e->seen = true;
    }
    if (kind)
        return kind;
    take_asked(d, pending, n_pending);
    each_endpoint(d, remove_not_seen);
    d->reload = false;
    return ERR_NONE;
}

static enum err_kind take_head(struct tx *tx, struct owner *o, struct arena *a, struct err *err) {
    int64_t first = 0, last = 0;
    struct partner p;
    enum err_kind kind = store_event_range(tx, o->partner_id, &first, &last, err);
    if (!kind && o->head == 0) {
        kind = store_partner_get(tx, o->partner_id, a, &p, err);
        o->live = !kind && p.mode == PARTNER_LIVE;
    }
    if (!kind && last > o->head)
        o->head = last;
    return kind;
}

enum err_kind endpoints_heads(struct deliver *d, struct err *err) {
    struct tx *tx = NULL;
    arena_reset(&d->scratch);
    enum err_kind kind = deliver_reader(d, &tx, err);
    for (size_t i = 0; i < OWNER_BUCKETS && !kind; i++)
        for (struct owner *o = d->owners[i]; o && !kind; o = o->next)
            kind = o->endpoints ? take_head(tx, o, &d->scratch, err) : ERR_NONE;
    if (kind)
        return kind;
    each_endpoint(d, endpoint_wake);
    d->heads = false;
    return ERR_NONE;
}

void endpoints_measure(struct deliver *d) {
    int64_t count[WEBHOOK_GONE + 1] = {0}, waiting = 0;
    for (size_t i = 0; i < OWNER_BUCKETS; i++)
        for (struct owner *o = d->owners[i]; o; o = o->next)
            for (struct endpoint *e = o->endpoints; e; e = e->next_of_owner) {
                count[e->w.state]++;
                if (e->w.state == WEBHOOK_ENABLED && o->head >= e->w.cursor)
                    waiting += o->head - e->w.cursor + 1;
            }
    metric_set(d->m.waiting, waiting);
    for (int i = WEBHOOK_ENABLED; i <= WEBHOOK_GONE; i++)
        metric_set(d->m.endpoints[i], count[i]);
}

// ---- what is sent next ----

// Reads on behind what was read, until there is something for this endpoint or the log ends.
static enum err_kind read_ahead(struct deliver *d, struct endpoint *e, struct err *err) {
    struct tx *tx = NULL;
    enum err_kind kind = deliver_reader(d, &tx, err);
    arena_reset(&e->arena);
    e->n_events = e->next_event = 0;
    while (!kind && e->scan <= e->owner->head && e->n_events == 0) {
        int64_t first = 0, last = 0, until = e->owner->head;
        kind = store_event_range(tx, e->w.partner_id, &first, &last, err);
        if (kind)
            break;
        if (first > e->scan) {
            log_warn("webhook.events_gone", LOG_ID("webhook", e->w.id), LOG_INT("partner", e->w.partner_id), LOG_INT("from", e->scan),
                     LOG_INT("to", first - 1));
            e->scan = first;
        }
        if (until > e->scan + SPAN_EVENTS - 1)
            until = e->scan + SPAN_EVENTS - 1;
        kind = store_event_find(tx, e->w.partner_id, e->scan - 1, until, e->wants, PAGE_EVENTS, &e->arena, &e->events, &e->n_events, err);
        if (!kind)
            e->scan = e->n_events == PAGE_EVENTS ? e->events[PAGE_EVENTS - 1].sequence + 1 : until + 1;
    }
    return kind;
}

static struct flight *flight_new(const struct endpoint *e, enum delivery_kind kind) {
    struct flight *f = xcalloc(1, sizeof *f);
    f->epoch = e->w.epoch;
    f->log.webhook_id = e->w.id;
    f->log.partner_id = e->w.partner_id;
    f->log.kind = kind;
    f->log.attempt = 1;
    f->log.tried = f->log.next = WALL_NONE;
    return f;
}

static void settle_later(struct deliver *d, struct endpoint *e, struct flight *f) {
    f->next = NULL;
    *e->unsettled_end = f;
    e->unsettled_end = &f->next;
    e->n_unsettled++;
    endpoint_dirty(d, e);
}

// One that cannot even be sent, and never will be.
static void give_up_unsent(struct deliver *d, struct endpoint *e, struct flight *f, const char *why) {
    f->log.tried = clock_wall(d->o.clock);
    f->log.trouble = str_of(why);
    if (f->log.kind == DELIVERY_EVENT) {
        f->log.outcome = DELIVERY_GIVEN_UP;
        e->w.cursor = f->log.sequence + 1;
        e->w.attempts = 0;
        e->w.due = WALL_NONE;
        pass_by(e);
    } else {
        f->log.outcome = DELIVERY_FAILED;
    }
    settle_later(d, e, f);
}

// False: no room for it now; the flight is still the caller's.
static bool send_signed(struct deliver *d, struct endpoint *e, struct flight *f, const char *id) {
    char timestamp[24];
    struct wall now = clock_wall(d->o.clock);
    buf_clear(&d->signature);
    sign_delivery(&d->signature, &d->text, e->secret, e->n_secrets, id, now, buf_str(&d->body));
    snprintf(timestamp, sizeof timestamp, "%lld", (long long)(now.ms / 1000));
    struct http_request r = {.header = {{"Content-Type", "application/json"},
                                        {"webhook-id", id},
                                        {"webhook-timestamp", timestamp},
                                        {"webhook-signature", d->signature.n ? d->signature.p : ""}},
                             .n_headers = 4};
    f->e = e;
    f->failing = is_failing(e);
    if (!deliver_send(d, f, e->w.url.p, &r))
        return false;
    e->refs++;
    e->flying = true;
    d->failing_in_flight += f->failing;
    return true;
}

enum launched { LAUNCHED, LAUNCH_NOTHING, LAUNCH_NO_ROOM };

static enum launched launch(struct deliver *d, struct endpoint *e, struct flight *f, const struct event *event) {
    struct err err = {0};
    char id[EVENT_ID_TEXT];
    struct jw w = jw_on(&d->body);
    f->log.sequence = event->sequence;
    f->log.event_type = event->type;
    f->log.event_created = event->created;
    arena_reset(&d->scratch);
    buf_clear(&d->body);
    if (render_event(&w, NULL, d->o.links, event, &d->scratch, &err) != ERR_NONE || d->body.failed) {
        log_error("webhook.event_unreadable", LOG_ID("webhook", e->w.id), LOG_INT("partner", e->w.partner_id),
                  LOG_INT("sequence", event->sequence), LOG_ERR(&err));
        give_up_unsent(d, e, f, "the event cannot be read");
        return LAUNCH_NOTHING;
    }
    event_id_format(event, id);
    if (send_signed(d, e, f, id))
        return LAUNCHED;
    free(f);
    return LAUNCH_NO_ROOM;
}

static enum err_kind launch_event(struct deliver *d, struct endpoint *e, enum launched *how, struct err *err) {
    *how = LAUNCH_NOTHING;
    if (e->next_event == e->n_events) {
        enum err_kind kind = read_ahead(d, e, err);
        if (kind)
            return kind;
    }
    if (e->next_event == e->n_events) { // nothing of interest up to here
        if (e->scan > e->w.cursor && e->w.attempts == 0)
            e->w.cursor = e->scan;
        if (e->w.cursor - e->stored >= SKIPPED_MAX)
            endpoint_dirty(d, e);
        return ERR_NONE;
    }
    const struct event *event = &e->events[e->next_event];
    struct flight *f = flight_new(e, DELIVERY_EVENT);
    f->log.attempt = event->sequence == e->w.cursor ? e->w.attempts + 1 : 1;
    *how = launch(d, e, f, event);
    return ERR_NONE;
}

static void asked_done(struct endpoint *e) {
    memmove(&e->asked[0], &e->asked[1], (e->n_asked - 1) * sizeof e->asked[0]);
    e->n_asked--;
}

static enum err_kind launch_asked(struct deliver *d, struct endpoint *e, enum launched *how, struct err *err) {
    struct tx *tx = NULL;
    struct webhook_delivery row;
    struct event event = {.partner_id = e->w.partner_id, .iccid = ICCID_NONE}, *found = NULL;
    size_t n = 0;
    *how = LAUNCH_NOTHING;
    arena_reset(&d->scratch);
    endpoint_forget_ahead(e); // its memory is used
    enum err_kind kind = deliver_reader(d, &tx, err);
    if (!kind)
        kind = store_delivery_get(tx, e->w.id, e->asked[0], &d->scratch, &row, err);
    if (kind == ERR_NOT_FOUND || (!kind && row.outcome != DELIVERY_PENDING)) {
        err_clear(err);
        asked_done(e);
        return ERR_NONE;
    }
    if (!kind && row.kind == DELIVERY_REDELIVERY)
        kind = store_event_find(tx, e->w.partner_id, row.sequence - 1, row.sequence, UINT64_MAX >> 1, 1, &e->arena, &found, &n, err);
    if (kind)
        return kind;
    struct flight *f = flight_new(e, row.kind);
    f->log = row;
    f->log.answer = f->log.trouble = STR_NONE;
    f->log.attempt = 1;
    struct buf payload;
    buf_init(&payload, EVENT_PAYLOAD_MAX);
    if (row.kind == DELIVERY_TEST) {
        event.type = EVENT_WEBHOOK_TEST;
        event.created = row.event_created;
        event_pack_webhook(&payload, &e->w);
        event.payload = buf_str(&payload);
        found = &event;
    }
    if (!found || (row.kind == DELIVERY_REDELIVERY && n == 0)) {
        give_up_unsent(d, e, f, "the event is not kept any more");
        asked_done(e);
    } else {
        *how = launch(d, e, f, found);
        if (*how != LAUNCH_NO_ROOM)
            asked_done(e);
    }
    buf_release(&payload);
    return ERR_NONE;
}

static enum err_kind launch_next(struct deliver *d, struct endpoint *e, struct wall now, enum launched *how, struct err *err) {
    *how = LAUNCH_NOTHING;
    if (!e->leased || e->w.lease_until.ms < now.ms + SEND_MARGIN_MS) { // what settles it makes a lease longer, too
        e->claiming = true;
        endpoint_dirty(d, e);
        return ERR_NONE;
    }
    if (e->n_asked > 0)
        return launch_asked(d, e, how, err);
    if (wall_set(e->w.due) && e->w.due.ms > now.ms) {
        endpoint_later(d, e, e->w.due);
        return ERR_NONE;
    }
    return launch_event(d, e, how, err);
}

static enum err_kind launch_list(struct deliver *d, struct endpoint **list, struct endpoint ***end, bool failing, struct wall now,
                                 struct err *err) {
    while (*list && d->in_flight < d->o.calls_max && !(failing && d->failing_in_flight >= d->o.calls_max / 2)) {
        struct endpoint *e = *list;
        enum launched how;
        ready_remove(list, end, e);
        e->queue = QUEUE_NONE;
        enum err_kind kind = launch_next(d, e, now, &how, err);
        if (kind) { // its own trouble must not be that of all others
            endpoint_later(d, e, wall_plus_ms(now, POLL_MS));
            return kind;
        }
        endpoint_wake(d, e);
        if (how == LAUNCH_NO_ROOM)
            break;
    }
    return ERR_NONE;
}

enum err_kind endpoints_launch(struct deliver *d, struct wall now, struct err *err) {
    enum err_kind kind = launch_list(d, &d->ready, &d->ready_end, false, now, err);
    return kind ? kind : launch_list(d, &d->failing, &d->failing_end, true, now, err);
}

// ---- what was answered ----

static enum delivery_outcome judge(struct deliver *d, struct endpoint *e, struct flight *f, struct wall now) {
    struct delivery_answer answer = {f->log.status, f->retry_after_s};
    enum delivery_outcome outcome = webhook_answered(&e->w, f->log.sequence, answer, now, rng_u64(d->o.rng), d->o.retry_scale_ppm);
    if (outcome == DELIVERY_DELIVERED || outcome == DELIVERY_GIVEN_UP) {
        pass_by(e);
        int64_t late_ms = now.ms - f->log.event_created.ms;
        if (outcome == DELIVERY_DELIVERED && f->log.attempt == 1 && e->owner->live && late_ms >= 0)
            metric_observe_us(d->m.lag, late_ms * 1000);
    } else {
        f->log.next = e->w.due;
        endpoint_forget_ahead(e);
    }
    return outcome;
}

void endpoint_answered(struct deliver *d, struct flight *f, struct wall now) {
    struct endpoint *e = f->e;
    e->flying = false;
    d->failing_in_flight -= f->failing;
    if (e->gone || f->how == HTTP_STOPPED) {
        free(f);
    } else if (f->log.kind != DELIVERY_EVENT) {
        f->log.outcome = f->log.status >= 200 && f->log.status <= 299 ? DELIVERY_DELIVERED : DELIVERY_FAILED;
        settle_later(d, e, f);
    } else if (!e->leased || f->epoch != e->w.epoch || f->log.sequence < e->w.cursor) { // a call came between, or another node
        log_info("webhook.answer_ignored", LOG_ID("webhook", e->w.id), LOG_INT("sequence", f->log.sequence),
                 LOG_INT("status", f->log.status));
        free(f);
    } else {
        f->log.outcome = judge(d, e, f, now);
        settle_later(d, e, f);
    }
    endpoint_wake(d, e);
    endpoint_unref(d, e);
}
