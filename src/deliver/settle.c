// SPDX-License-Identifier: Apache-2.0
/*
 * settle.c - the batch: one job that takes leases, writes down what was answered, and tells of endpoints that were disabled.
 *
 * What a batch says is copied when it is made, because the endpoints go on while the store works on it. After a failure everything is put
 * back; when the failure is not the machine's, the next batches are of one endpoint, and one that fails alone is left alone.
 */
#include <stdlib.h>

#include "base/log.h"
#include "deliver/inside.h"

// ---- making a batch ----

void endpoint_dirty(struct deliver *d, struct endpoint *e) {
    if (e->dirty || e->shunned)
        return;
    e->dirty = true;
    e->refs++;
    e->next_dirty = NULL;
    *d->dirty_end = e;
    d->dirty_end = &e->next_dirty;
}

static struct endpoint *take_dirty(struct deliver *d) {
    struct endpoint *e = d->dirty;
    d->dirty = e->next_dirty;
    if (!d->dirty)
        d->dirty_end = &d->dirty;
    e->dirty = false;
    return e; // with the list's reference
}

static void add_entry(struct deliver *d, struct endpoint *e) {
    struct batch *b = &d->batch;
    if (b->n == b->cap) {
        size_t cap = b->cap ? 2 * b->cap : 64;
        struct entry *more = xcalloc(cap, sizeof *more);
        if (b->n)
            memcpy(more, b->entries, b->n * sizeof *more);
        free(b->entries);
        b->entries = more;
        b->cap = cap;
    }
    struct entry *entry = &b->entries[b->n++];
    *entry = (struct entry){.e = e, .w = e->w, .claim = !e->leased, .trim = e->logged >= DELIVERIES_KEPT / 10};
    entry->w.url = entry->w.types = STR_NONE; // the endpoint may change them meanwhile
    if (!entry->claim) {
        entry->flights = e->unsettled;
        e->unsettled = NULL;
        e->unsettled_end = &e->unsettled;
    }
    if (entry->trim)
        e->logged = 0;
    if (!entry->claim)
        entry->w.lease_until = wall_plus_ms(clock_wall(d->o.clock), LEASE_MS);
}

// ---- the job ----

static enum err_kind tell_disabled(struct batch *b, struct tx *tx, struct uuid id, struct err *err) {
    struct webhook w;
    struct partner p;
    enum err_kind kind = store_webhook_get(tx, id, &b->arena, &w, err);
    if (!kind)
        kind = store_partner_get(tx, w.partner_id, &b->arena, &p, err);
    if (kind)
        return kind;
    buf_clear(&b->payload);
    event_pack_webhook(&b->payload, &w);
    if (b->payload.failed)
        return err_set(err, ERR_INTERNAL, "a webhook does not fit into an event");
    struct event event = {.partner_id = w.partner_id,
                          .type = EVENT_WEBHOOK_DISABLED,
                          .created = partner_now(&p, tx_now(tx)),
                          .iccid = ICCID_NONE,
                          .payload = buf_str(&b->payload)};
    return store_event_append(tx, &event, err);
}

static enum err_kind log_flights(struct tx *tx, struct entry *entry, bool *disabled, struct err *err) {
    for (struct flight *f = entry->flights; f; f = f->next) {
        enum err_kind kind = ERR_NONE;
        bool was_there;
        if (f->log.kind != DELIVERY_EVENT) {
            kind = store_delivery_finish(tx, &f->log, &was_there, err);
        } else if (entry->ok && !f->stale) {
            struct webhook_delivery line = f->log;
            line.id = tx_new_id(tx, line.partner_id);
            kind = store_delivery_insert(tx, &line, err);
            *disabled |= line.outcome == DELIVERY_DISABLED;
        }
        if (kind)
            return kind;
    }
    return ERR_NONE;
}

static enum err_kind run_entry(struct batch *b, struct tx *tx, struct entry *entry, struct err *err) {
    struct deliver *d = b->d;
    struct webhook row;
    bool disabled = false;
    enum err_kind kind;
    if (entry->claim) {
        struct wall until = wall_plus_ms(tx_now(tx), LEASE_MS);
        kind = store_webhook_claim(tx, entry->w.id, entry->w.epoch, d->o.node, until, &entry->ok, err);
        if (kind || !entry->ok)
            return kind;
        kind = store_webhook_get(tx, entry->w.id, &b->arena, &row, err);
        if (!kind) {
            row.url = row.types = STR_NONE; // they are in the arena
            entry->w = row;
        }
        return kind;
    }
    kind = store_webhook_settle(tx, &entry->w, &entry->ok, err);
    if (!kind)
        kind = log_flights(tx, entry, &disabled, err);
    if (!kind && disabled)
        kind = tell_disabled(b, tx, entry->w.id, err);
    if (!kind && entry->trim && entry->ok) {
        struct wall before = wall_plus_ms(tx_now(tx), -(int64_t)d->o.log_days * 86400000);
        kind = store_delivery_trim(tx, entry->w.id, DELIVERIES_KEPT, before, err);
    }
    return kind;
}

static enum err_kind run_note(struct deliver *d, struct tx *tx, struct note *n, struct err *err) {
    switch (n->step) {
    case NOTE_CLAIM:
        n->lease_until = wall_plus_ms(tx_now(tx), LEASE_MS);
        return store_notification_claim(tx, &n->n, d->o.node, n->lease_until, &n->ok, err);
    case NOTE_AGAIN:
        return store_notification_again(tx, &n->n, n->n.attempts, n->next_try, &n->ok, err);
    case NOTE_DONE:
        return store_notification_done(tx, &n->n, &n->ok, err);
    case NOTE_FLYING:
        break;
    }
    CHECK(!"a notification on its way is in no batch");
}

static enum err_kind run(struct tx *tx, void *ctx, struct err *err) {
    struct batch *b = ctx;
    enum err_kind kind = ERR_NONE;
    arena_reset(&b->arena);
    if (b->drop_leases)
        kind = store_webhook_drop_leases(tx, b->d->o.node, err);
    for (size_t i = 0; i < b->n && !kind; i++)
        kind = run_entry(b, tx, &b->entries[i], err);
    for (struct note *n = b->notes; n && !kind; n = n->next)
        kind = run_note(b->d, tx, n, err);
    return kind;
}

static void done(void *ctx, enum err_kind kind, const struct err *err) {
    struct batch *b = ctx;
    struct deliver *d = b->d;
    pthread_mutex_lock(&d->lock);
    d->answered = true;
    d->kind = kind;
    if (kind)
        d->err = *err;
    d->kicked = true;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

static void put_back(struct deliver *d);

// What is only to be written down gathers for a while, as long as there is more to come: a commit for each answer would cost more than the
// deliveries, and orders wait for each. Who waits for a lease, or for what was asked for, does not wait for this.
bool batch_waits(const struct deliver *d) {
    if (d->o.gather_ms == 0 || d->stopping || d->first_turn || d->notes_first || d->in_flight == 0 || d->limit < BATCH_MAX)
        return false;
    for (const struct endpoint *e = d->dirty; e; e = e->next_dirty) {
        if (!e->leased || e->claiming || e->n_unsettled >= DELIVER_AHEAD_MAX / 2)
            return false;
    }
    return d->dirty && clock_mono(d->o.clock).ns < d->batch_at.ns;
}

enum err_kind batch_submit(struct deliver *d, struct err *err) {
    struct batch *b = &d->batch;
    bool end = d->stopping && !d->leases_dropped && !d->dirty && !d->notes_first && d->in_flight == 0;
    if (!d->dirty && !d->notes_first && !d->first_turn && !end)
        return ERR_NONE;
    b->n = 0;
    b->drop_leases = d->first_turn || end;
    while (d->dirty && b->n < d->limit)
        add_entry(d, take_dirty(d));
    b->notes = NULL;
    if (d->limit == BATCH_MAX || b->n == 0) {
        b->notes = d->notes_first;
        d->notes_first = NULL;
        d->notes_end = &d->notes_first;
    }
    b->job = (struct store_job){.run = run, .done = done, .ctx = b, .early = true};
    d->answered = false;
    d->batch_at = (struct mono){clock_mono(d->o.clock).ns + (int64_t)d->o.gather_ms * 1000000};
    b->running = true;
    enum err_kind kind = store_submit(d->o.store, &b->job, err);
    if (kind) {
        b->running = false;
        put_back(d);
    }
    return kind;
}

// ---- what it did ----

static void put_back(struct deliver *d) {
    struct batch *b = &d->batch;
    for (size_t i = 0; i < b->n; i++) {
        struct entry *entry = &b->entries[i];
        struct endpoint *e = entry->e;
        if (entry->flights) { // what came meanwhile stands behind
            struct flight *last = entry->flights;
            while (last->next)
                last = last->next;
            last->next = e->unsettled;
            if (!e->unsettled)
                e->unsettled_end = &last->next;
            e->unsettled = entry->flights;
        }
        endpoint_dirty(d, e);
        endpoint_unref(d, e);
    }
    b->n = 0;
    for (struct note *n = b->notes, *next; n; n = next) {
        next = n->next;
        note_queue(d, n);
    }
    b->notes = NULL;
}

static void say(struct deliver *d, const struct entry *entry, const struct flight *f) {
    const struct webhook_delivery *l = &f->log;
    enum log_level level = l->outcome == DELIVERY_DELIVERED ? LOG_INFO : LOG_WARN;
    LOG_AT(level, "webhook.delivery", LOG_ID("webhook", l->webhook_id), LOG_INT("partner", l->partner_id),
           LOG_TEXT("kind", delivery_kind_words[l->kind]), LOG_TEXT("type", event_type_name(l->event_type)),
           LOG_INT("sequence", l->sequence), LOG_INT("attempt", l->attempt), LOG_TEXT("outcome", delivery_outcome_words[l->outcome]),
           LOG_INT("status", l->status), LOG_STR("trouble", l->trouble), LOG_INT("ms", l->duration_ms), {.key = NULL});
    deliver_count(d, delivery_kind_words[l->kind], delivery_outcome_words[l->outcome]);
    if (l->outcome == DELIVERY_DISABLED)
        log_warn("webhook.disabled", LOG_ID("webhook", l->webhook_id), LOG_INT("partner", l->partner_id),
                 LOG_TEXT("state", webhook_state_words[entry->w.state]), LOG_INT("next_sequence", entry->w.cursor));
}

static void drop_unsettled(struct endpoint *e) {
    for (struct flight *f = e->unsettled, *next; f; f = next) {
        next = f->next;
        e->n_unsettled--;
        free(f);
    }
    e->unsettled = NULL;
    e->unsettled_end = &e->unsettled;
}

static void apply_claim(struct deliver *d, struct entry *entry, struct wall now) {
    struct endpoint *e = entry->e;
    e->claiming = false;
    if (e->w.epoch != entry->w.epoch) { // a call came between
        endpoint_wake(d, e);
        return;
    }
    if (!entry->ok) { // another node has it; or a call came that is read now
        drop_unsettled(e);
        d->reload = true;
        endpoint_later(d, e, wall_plus_ms(now, POLL_MS));
        return;
    }
    e->leased = true;
    e->stored = entry->w.cursor;
    e->w.state = entry->w.state;
    e->w.lease_until = entry->w.lease_until;
    e->w.lease_owner = entry->w.lease_owner;
    if (entry->w.cursor >= e->w.cursor) { // otherwise only events of no interest lie between
        e->w.cursor = entry->w.cursor;
        e->w.attempts = entry->w.attempts;
        e->w.due = entry->w.due;
        e->w.failing_since = entry->w.failing_since;
        endpoint_forget_ahead(e);
    }
    if (e->unsettled)
        endpoint_dirty(d, e);
    endpoint_wake(d, e);
}

static void apply_settle(struct deliver *d, struct entry *entry) {
    struct endpoint *e = entry->e;
    e->claiming = false;
    if (entry->ok) {
        e->stored = entry->w.cursor;
        if (e->leased)
            e->w.lease_until = entry->w.lease_until;
    } else { // a call came between, or another node: what was answered meanwhile counts no more
        e->leased = false;
        e->w.cursor = e->stored;
        endpoint_forget_ahead(e);
        for (struct flight *f = e->unsettled; f; f = f->next)
            f->stale = true;
        d->reload = true;
    }
    endpoint_wake(d, e);
}

static void apply_flights(struct deliver *d, struct entry *entry) {
    struct endpoint *e = entry->e;
    for (struct flight *f = entry->flights, *next; f; f = next) {
        next = f->next;
        if (f->log.kind != DELIVERY_EVENT || entry->ok) {
            say(d, entry, f);
            e->logged++;
        }
        e->n_unsettled--;
        free(f);
    }
    entry->flights = NULL;
}

static void apply_note(struct deliver *d, struct note *n, struct wall now) {
    if (n->step == NOTE_CLAIM) {
        d->notes_claiming = false;
        if (n->ok)
            note_claimed(d, n, now);
        else
            note_free(d, n);
        return;
    }
    if (n->outcome) {
        char iccid[ICCID_TEXT];
        iccid_format(n->n.iccid, iccid);
        LOG_AT(strcmp(n->outcome, "DELIVERED") == 0 ? LOG_INFO : LOG_WARN, "notification.delivery", LOG_TEXT("iccid", iccid),
               LOG_INT("partner", n->n.partner_id), LOG_TEXT("type", notification_words[n->n.type]), LOG_INT("sequence", n->n.sequence),
               LOG_INT("attempt", n->n.attempts), LOG_TEXT("outcome", n->outcome), LOG_INT("status", n->status),
               LOG_TEXT("trouble", n->how == HTTP_ANSWERED ? NULL : http_ending_text(n->how)), LOG_INT("ms", n->duration_ms),
               {.key = NULL});
        deliver_count(d, "NOTIFICATION", n->outcome);
    }
    d->notes_due = true; // there is room for another
    note_free(d, n);
}

static bool is_the_machines(enum err_kind kind) {
    return kind == ERR_UNAVAILABLE || kind == ERR_BUSY || kind == ERR_RETRY || kind == ERR_UNSURE;
}

enum err_kind batch_apply(struct deliver *d, struct wall now, struct err *err) {
    struct batch *b = &d->batch;
    b->running = false;
    enum err_kind kind = d->kind;
    if (kind) {
        if (!is_the_machines(kind) && b->n == 1 && !b->notes) {
            struct endpoint *e = b->entries[0].e;
            log_error("webhook.shunned", LOG_ID("webhook", e->w.id), LOG_INT("partner", e->w.partner_id), LOG_ERR(&d->err));
            e->shunned = true;
            endpoint_forget_ahead(e);
        }
        d->limit = is_the_machines(kind) ? d->limit : 1;
        put_back(d);
        return err_set(err, kind, "%s", err_first(&d->err));
    }
    d->limit = d->limit * 2 < BATCH_MAX ? d->limit * 2 : BATCH_MAX;
    d->troubles = 0;
    d->notes_due |= d->first_turn; // those that had been taken before a crash are due again
    d->first_turn = false;
    d->leases_dropped = d->stopping && b->drop_leases;
    for (size_t i = 0; i < b->n; i++) {
        struct entry *entry = &b->entries[i];
        if (entry->claim)
            apply_claim(d, entry, now);
        else
            apply_settle(d, entry);
        apply_flights(d, entry);
        endpoint_unref(d, entry->e);
    }
    b->n = 0;
    for (struct note *n = b->notes, *next; n; n = next) {
        next = n->next;
        apply_note(d, n, now);
    }
    b->notes = NULL;
    return ERR_NONE;
}
