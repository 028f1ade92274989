// SPDX-License-Identifier: Apache-2.0
/*
 * note.c - notifications of one SIM: found due in their queue, claimed, sent, and done with or put back.
 *
 * Partners are asked in turn, and each has but a few requests on its way, so that one whose receiver is dead leaves room for others.
 */
#include <stdlib.h>

#include "base/log.h"
#include "deliver/inside.h"

void note_queue(struct deliver *d, struct note *n) {
    n->next = NULL;
    *d->notes_end = n;
    d->notes_end = &n->next;
}

void note_free(struct deliver *d, struct note *n) {
    n->owner->notes--;
    owner_drop_if_idle(d, n->owner);
    arena_release(&n->arena);
    free(n);
}

// ---- looking for what is due ----

static enum err_kind find_event(struct tx *tx, struct note *n, struct err *err) {
    struct event *found = NULL;
    size_t count = 0;
    enum err_kind kind =
        store_event_find(tx, n->n.partner_id, n->n.sequence - 1, n->n.sequence, UINT64_MAX >> 1, 1, &n->arena, &found, &count, err);
    if (!kind && count > 0)
        n->event = *found;
    return kind;
}

static enum err_kind take(struct deliver *d, struct tx *tx, struct owner *o, const struct notification *row, struct err *err) {
    struct note *n = xcalloc(1, sizeof *n);
    n->n = *row;
    n->owner = o;
    n->next_try = WALL_NONE;
    o->notes++;
    arena_init(&n->arena, 2 * EVENT_PAYLOAD_MAX + 8192);
    n->n.url = arena_str(&n->arena, row->url);
    enum err_kind kind = find_event(tx, n, err);
    if (kind) {
        note_free(d, n);
        return kind;
    }
    // Nowhere to go, or nothing to say any more.
    bool empty = !str_present(n->n.url) || n->event.sequence == 0;
    n->step = empty ? NOTE_DONE : NOTE_CLAIM;
    d->notes_claiming |= n->step == NOTE_CLAIM;
    note_queue(d, n);
    return ERR_NONE;
}

static enum err_kind look_at_partner(struct deliver *d, struct tx *tx, int64_t partner_id, struct wall now, struct err *err) {
    struct notification *rows = NULL;
    struct wall wake = WALL_NONE;
    size_t n = 0;
    struct owner *o = owner_get(d, partner_id);
    int room = NOTES_PER_PARTNER - o->notes, all = d->o.calls_max - d->in_flight;
    room = room < all ? room : all;
    enum err_kind kind = ERR_NONE;
    arena_reset(&d->scratch);
    if (room > 0)
        kind = store_notification_due(tx, partner_id, now, room, &d->scratch, &rows, &n, err);
    for (size_t i = 0; i < n && !kind; i++)
        kind = take(d, tx, o, &rows[i], err);
    // What has no room now is looked for again when one of those on their way is done with.
    if (!kind && n < (size_t)(room > 0 ? room : 0))
        kind = store_notification_next_wake(tx, partner_id, &wake, err);
    if (wall_set(wake) && wake.ms > now.ms && (!wall_set(d->notes_at) || wake.ms < d->notes_at.ms))
        d->notes_at = wake;
    owner_drop_if_idle(d, o);
    return kind;
}

enum err_kind notes_look(struct deliver *d, struct wall now, struct err *err) {
    struct tx *tx = NULL;
    int64_t partner_id = 0;
    d->notes_due = false;
    d->notes_at = WALL_NONE;
    enum err_kind kind = deliver_reader(d, &tx, err);
    while (!kind) {
        kind = store_notification_partner(tx, partner_id, &partner_id, err);
        if (!kind && partner_id == 0)
            break;
        if (!kind)
            kind = look_at_partner(d, tx, partner_id, now, err);
    }
    d->notes_due |= kind != ERR_NONE;
    return kind;
}

// ---- sending ----

static void give_back(struct deliver *d, struct note *n, struct wall next_try) {
    n->step = NOTE_AGAIN;
    n->next_try = next_try;
    n->outcome = NULL;
    note_queue(d, n);
}

static void finish(struct deliver *d, struct note *n, const char *outcome) {
    n->step = NOTE_DONE;
    n->outcome = outcome;
    note_queue(d, n);
}

void note_claimed(struct deliver *d, struct note *n, struct wall now) {
    struct err err = {0};
    struct jw w = jw_on(&d->body);
    bool wanted = false;
    n->n.lease_owner = d->o.node;
    n->n.wake = n->lease_until;
    if (d->stopping) {
        give_back(d, n, now);
        return;
    }
    buf_clear(&d->body);
    if (render_notification(&w, &n->event, &n->arena, &wanted, &err) != ERR_NONE || d->body.failed) {
        log_error("notification.event_unreadable", LOG_INT("partner", n->n.partner_id), LOG_INT("sequence", n->n.sequence), LOG_ERR(&err));
        wanted = false;
    }
    if (!wanted) {
        finish(d, n, NULL);
        return;
    }
    struct http_request r = {.header = {{"Content-Type", "application/json"}}, .n_headers = 1};
    struct flight *f = xcalloc(1, sizeof *f);
    f->note = n;
    n->step = NOTE_FLYING;
    if (!deliver_send(d, f, n->n.url.p, &r)) {
        free(f);
        give_back(d, n, wall_plus_ms(now, 100));
    }
}

void note_answered(struct deliver *d, struct flight *f, struct wall now) {
    struct note *n = f->note;
    n->status = f->log.status;
    n->how = f->how;
    n->duration_ms = f->log.duration_ms;
    if (f->how == HTTP_STOPPED) {
        give_back(d, n, now);
    } else {
        n->n.attempts++;
        if (n->status >= 200 && n->status <= 299) {
            finish(d, n, "DELIVERED");
        } else if (n->status == 410 || n->n.attempts >= RETRY_ATTEMPTS_MAX) {
            finish(d, n, "GIVEN_UP");
        } else {
            int64_t delay = retry_delay_ms(n->n.attempts, rng_u64(d->o.rng), f->retry_after_s, d->o.retry_scale_ppm);
            give_back(d, n, wall_plus_ms(now, delay));
            n->outcome = "FAILED";
        }
    }
    free(f);
}
