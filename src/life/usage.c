// SPDX-License-Identifier: Apache-2.0
/*
 * usage.c - booking a usage record: which subscriptions were usable then, in which order, and what the bytes do to them.
 *
 * Dates are shown to the second, and records name times to the second: a record that ends in the second in which a subscription began may
 * tell of its bytes.
 */
#include "life/inside.h"
#include "store/store_partner.h"
#include "store/store_sim.h"
#include "store/store_subscription.h"
#include "store/store_usage.h"

// Why a subscription may carry the record, in the order in which they do.
enum use { USE_NONE, USE_RUNNING, USE_WAITING };

struct candidate {
    struct subscription s;
    struct wall ready; // a first-usage one: since when it could be used
    enum use use;
    struct wall until; // what the order goes by: when it would end
};

// ---- which, and in which order ----

static bool overlaps(const struct usage_record *r, struct wall from, struct wall to) {
    if (!wall_set(from) || (wall_set(to) && to.ms <= r->start.ms))
        return false;
    int64_t second = from.ms - ((from.ms % 1000) + 1000) % 1000;
    return second <= r->end.ms;
}

static void judge(struct candidate *c, const struct usage_record *r) {
    const struct subscription *s = &c->s;
    c->use = USE_NONE;
    if (s->state == SUB_PENDING)
        return;
    if (overlaps(r, s->activation, s->expiry)) {
        c->use = USE_RUNNING;
        c->until = s->expiry;
    } else if (s->first_usage && overlaps(r, c->ready, wall_set(s->activation) ? s->activation : s->expiry)) {
        c->use = USE_WAITING;
        c->until = s->wanted_expiry;
    }
}

static bool goes_before(const struct candidate *a, const struct candidate *b) {
    if (a->use != b->use)
        return a->use < b->use;
    if (wall_set(a->until) != wall_set(b->until))
        return wall_set(a->until);
    if (a->until.ms != b->until.ms)
        return a->until.ms < b->until.ms;
    return uuid_cmp(a->s.id, b->s.id) < 0;
}

static void put_in_order(struct candidate *c, size_t n) {
    for (size_t i = 1; i < n; i++) {
        struct candidate in_hand = c[i];
        size_t at = i;
        for (; at > 0 && goes_before(&in_hand, &c[at - 1]); at--)
            c[at] = c[at - 1];
        c[at] = in_hand;
    }
}

// ---- one booking ----

struct booking {
    struct tx *tx;
    struct arena *arena;
    const struct usage_record *r;
    const struct partner *partner;
    struct thresholds thresholds;
    struct wall now; // the partner's
    struct buf payload;
};

// What time has done to it by now, in case the clock's pass has not come so far.
static enum err_kind catch_up(struct booking *b, struct candidate *c, bool *changed, struct err *err) {
    struct subscription *s = &c->s;
    while (life_due(s, b->now)) {
        struct wall due = s->next_at;
        enum subscription_state was = s->state;
        enum err_kind kind =
            life_step(b->tx, &b->payload, s, life_due_cue(s), due, b->partner->mode == PARTNER_SANDBOX ? due : b->now, err);
        if (!kind && s->state == was)
            kind = err_set(err, ERR_CORRUPT, "a subscription's dates do not take it on");
        if (kind)
            return kind;
        *changed = true;
    }
    return ERR_NONE;
}

// The first byte of one that waits for it came at `from`, as far as we know; but while it waited.
static enum err_kind begin(struct booking *b, struct candidate *c, struct wall from, struct err *err) {
    struct wall at = from.ms < c->ready.ms ? c->ready : from;
    if (wall_set(c->s.wanted_expiry) && at.ms >= c->s.wanted_expiry.ms)
        at = wall_plus_ms(c->s.wanted_expiry, -1);
    return life_step(b->tx, &b->payload, &c->s, SUB_CUE_FIRST_USAGE, at, b->now, err);
}

static enum err_kind warn(struct booking *b, const struct subscription *s, int64_t before, struct err *err) {
    struct subscription_was was = subscription_was_like(s);
    was.spent_bytes = before;
    for (int i = 0; i < b->thresholds.n; i++) {
        int percent = b->thresholds.percent[i];
        if (!subscription_crossed(s, before, percent))
            continue;
        enum err_kind kind = life_tell(b->tx, &b->payload, s, &was, EVENT_SUBSCRIPTION_THRESHOLD, percent, b->now, err);
        if (kind)
            return kind;
    }
    return ERR_NONE;
}

// Takes what it can; one that had ended by now only gives its bytes.
static enum err_kind carry(struct booking *b, struct candidate *c, int64_t bytes, struct wall from, int64_t *taken, struct err *err) {
    struct subscription *s = &c->s;
    const struct subscription was = *s;
    bool changed = false;
    enum err_kind kind = ERR_NONE;
    if (s->state == SUB_PENDING_USAGE && (kind = begin(b, c, from, err)) != ERR_NONE)
        return kind;
    int64_t before = s->spent_bytes;
    *taken = subscription_take(s, bytes, b->r->end);
    if (s->state == SUB_ACTIVE)
        kind = warn(b, s, before, err);
    if (!kind && s->state == SUB_ACTIVE && s->spent_bytes == s->initial_bytes)
        kind = life_step(b->tx, &b->payload, s, SUB_CUE_USED_UP, b->now, b->now, err);
    if (!kind) // one that was begun long ago may be over already
        kind = catch_up(b, c, &changed, err);
    if (kind)
        return kind;
    bool same = s->state == was.state && s->end == was.end && s->activation.ms == was.activation.ms && s->expiry.ms == was.expiry.ms &&
                s->next_at.ms == was.next_at.ms;
    return same ? store_subscription_spend(b->tx, s, err) : store_subscription_update(b->tx, s, err);
}

static enum err_kind candidates(struct booking *b, iccid_t iccid, struct candidate **out, size_t *n, struct err *err) {
    struct usable_subscription *usable;
    size_t n_usable, used = 0;
    enum err_kind kind = store_subscription_usable(b->tx, iccid, b->r->start, b->r->end, b->arena, &usable, &n_usable, err);
    if (kind)
        return kind;
    struct candidate *c = arena_array(b->arena, struct candidate, n_usable + 1);
    if (!c)
        return err_set(err, ERR_INTERNAL, "no memory for a SIM's subscriptions");
    for (size_t i = 0; i < n_usable; i++) {
        struct wall date = usable[i].date, created = usable[i].s.created;
        c[used] = (struct candidate){.s = usable[i].s, .ready = wall_set(date) && date.ms > created.ms ? date : created};
        bool changed = false;
        kind = catch_up(b, &c[used], &changed, err);
        if (!kind && changed)
            kind = store_subscription_update(b->tx, &c[used].s, err);
        if (kind)
            return kind;
        judge(&c[used], b->r);
        used += c[used].use != USE_NONE;
    }
    put_in_order(c, used);
    *out = c;
    *n = used;
    return ERR_NONE;
}

static enum err_kind book(struct booking *b, iccid_t iccid, struct usage_result *out, struct err *err) {
    struct candidate *c = NULL;
    size_t n = 0;
    enum err_kind kind = candidates(b, iccid, &c, &n, err);
    if (kind)
        return kind;
    int64_t left = b->r->bytes_up + b->r->bytes_down;
    out->places = arena_array(b->arena, struct usage_place, n + 1);
    if (!out->places)
        return err_set(err, ERR_INTERNAL, "no memory for a usage record's bookings");
    struct wall from = b->r->start;
    for (size_t i = 0; i < n && left > 0; i++) {
        int64_t taken;
        if ((kind = carry(b, &c[i], left, from, &taken, err)) != ERR_NONE)
            return kind;
        left -= taken;
        out->places[out->n_places++] = (struct usage_place){c[i].s.id, taken};
        // What is left was used when this one could carry no more: after its expiry, or nobody knows when.
        const struct wall expiry = c[i].s.expiry;
        struct wall over = wall_set(expiry) && expiry.ms <= b->r->end.ms ? expiry : b->r->end;
        from = over.ms > from.ms ? over : from;
    }
    out->unrated_bytes = left;
    if (left > 0)
        out->reason = out->n_places > 0 ? USAGE_USED_UP : USAGE_NO_SUBSCRIPTION;
    return ERR_NONE;
}

// ---- the record ----

static enum usage_verdict verdict_of(const struct usage_result *u) {
    if (u->unrated_bytes == 0)
        return USAGE_BOOKED;
    return u->n_places > 0 ? USAGE_PARTLY : USAGE_UNRATED;
}

static enum err_kind find_sim(struct tx *tx, struct arena *a, const struct usage_record *r, struct sim *out, struct err *err) {
    iccid_t iccid = ICCID_NONE;
    switch (r->named) {
    case USAGE_BY_ICCID:
        if (iccid_parse(r->number, &iccid) != ICCID_OK)
            return err_set(err, ERR_NOT_FOUND, "no such SIM");
        return store_sim_get(tx, iccid, a, out, err);
    case USAGE_BY_IMSI:
        return store_sim_by_imsi(tx, r->number, a, out, err);
    case USAGE_BY_MSISDN:
        return store_sim_by_msisdn(tx, r->number, a, out, err);
    }
    return err_set(err, ERR_INTERNAL, "a usage record names no SIM");
}

static enum err_kind fault(struct usage_result *out, enum usage_verdict verdict, struct str text, struct err *err) {
    out->verdict = verdict;
    out->message = text;
    return str_present(text) ? ERR_NONE : err_set(err, ERR_INTERNAL, "no memory for a usage record's fault");
}

// What was said when it came first, or how it differs from what came then.
static enum err_kind repeat(struct tx *tx, struct arena *a, const struct usage_record *r, const struct stored_usage *was,
                            struct usage_result *out, struct err *err) {
    const struct usage_record *w = &was->record;
    bool same_sim = w->named == r->named && str_eq(w->number, r->number);
    out->iccid = was->iccid;
    if (!same_sim && was->iccid != ICCID_NONE) { // perhaps by another of its numbers
        struct sim sim;
        enum err_kind kind = find_sim(tx, a, r, &sim, err);
        if (kind && kind != ERR_NOT_FOUND)
            return kind;
        same_sim = !kind && sim.iccid == was->iccid;
    }
    const char *other = NULL;
    if (!same_sim)
        other = usage_named_words[r->named];
    else if (w->bytes_up != r->bytes_up)
        other = "bytes_up";
    else if (w->bytes_down != r->bytes_down)
        other = "bytes_down";
    else if (w->start.ms != r->start.ms)
        other = "start";
    else if (w->end.ms != r->end.ms)
        other = "end";
    if (other)
        return fault(out, USAGE_MISMATCH, arena_printf(a, "record_id: came before with another %s; what came first stands", other), err);
    enum err_kind kind = store_usage_places(tx, was->id, a, &out->places, &out->n_places, err);
    if (kind)
        return kind;
    out->repeated = true;
    out->unrated_bytes = was->unrated_bytes;
    out->reason = was->reason;
    out->verdict = verdict_of(out);
    return ERR_NONE;
}

static const char *fault_of(const struct usage_record *r, struct wall now) {
    if (r->bytes_up < 0 || r->bytes_up > USAGE_BYTES_MAX)
        return "bytes_up: must be 0 to 1125899906842624";
    if (r->bytes_down < 0 || r->bytes_down > USAGE_BYTES_MAX)
        return "bytes_down: must be 0 to 1125899906842624";
    if (r->end.ms < r->start.ms)
        return "end: lies before start";
    if (r->end.ms > now.ms + USAGE_AHEAD_MS)
        return "end: lies in the future";
    return NULL;
}

static enum err_kind take(struct tx *tx, struct arena *a, const struct usage_record *r, struct usage_result *out, struct err *err) {
    struct sim sim;
    struct partner partner = {0};
    enum err_kind kind = find_sim(tx, a, r, &sim, err);
    bool known = !kind;
    if (kind == ERR_NOT_FOUND)
        err_clear(err);
    else if (kind)
        return kind;
    if (known && sim.partner_id && (kind = store_partner_get(tx, sim.partner_id, a, &partner, err)) != ERR_NONE)
        return kind;
    struct wall now = partner_now(&partner, tx_now(tx));
    const char *wrong = fault_of(r, now);
    if (wrong)
        return fault(out, USAGE_INVALID, str_of(wrong), err);

    if (known) {
        out->iccid = sim.iccid;
        struct booking b = {.tx = tx, .arena = a, .r = r, .partner = &partner, .thresholds = partner_thresholds(&partner), .now = now};
        buf_init(&b.payload, EVENT_PAYLOAD_MAX);
        kind = book(&b, sim.iccid, out, err);
        buf_release(&b.payload);
        if (kind)
            return kind;
    } else {
        out->unrated_bytes = r->bytes_up + r->bytes_down;
        out->reason = out->unrated_bytes > 0 ? USAGE_NO_SIM : USAGE_REASON_NONE;
    }
    out->verdict = verdict_of(out);
    struct stored_usage u = {
        .record = *r,
        .iccid = out->iccid,
        .partner_id = partner.id,
        .received = tx_now(tx),
        .reason = out->reason,
        .unrated_bytes = out->unrated_bytes,
    };
    return store_usage_insert(tx, &u, out->places, out->n_places, err);
}

void life_usage_ahead(struct tx *tx, const struct usage_record *r) {
    iccid_t iccid = ICCID_NONE;
    bool known = r->named == USAGE_BY_ICCID && iccid_parse(r->number, &iccid) == ICCID_OK;
    store_usage_ahead(tx, r, known ? iccid : ICCID_NONE);
}

enum err_kind life_usage(struct tx *tx, struct arena *a, const struct usage_record *r, struct usage_result *out, struct err *err) {
    *out = (struct usage_result){.iccid = ICCID_NONE};
    struct stored_usage was;
    enum err_kind kind = store_usage_find(tx, r->source, r->record_id, a, &was, err);
    if (!kind)
        return repeat(tx, a, r, &was, out, err);
    if (kind != ERR_NOT_FOUND)
        return kind;
    err_clear(err);
    return take(tx, a, r, out, err);
}
