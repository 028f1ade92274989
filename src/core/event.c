// SPDX-License-Identifier: Apache-2.0
/*
 * The packed form: a version byte, a byte for the kind of resource, then the fields one after the other, without names.
 *   numbers   little-endian groups of seven bits (LEB128), in their shortest form, so that equal snapshots are equal bytes
 *   signed    zigzag; an instant plus one, so that WALL_NONE is a single 0; an ICCID plus one, so that ICCID_NONE is
 *   strings   length plus one, then the bytes; 0 is STR_NONE
 *   uuid      its 16 bytes
 * A field is added by writing it last under a new version and reading it only from that version on.
 */
#include "core/event.h"

#include "core/webhook.h"

#define VERSION 2 // 1: without what was before

const char *event_type_name(enum event_type t) {
    switch (t) {
    case EVENT_ORDER_ACCEPTED:
        return "order.accepted";
    case EVENT_ORDER_FULFILLING:
        return "order.fulfilling";
    case EVENT_ORDER_COMPLETED:
        return "order.completed";
    case EVENT_ORDER_FAILED:
        return "order.failed";
    case EVENT_SUBSCRIPTION_PENDING:
        return "subscription.pending";
    case EVENT_SUBSCRIPTION_ACTIVATED:
        return "subscription.activated";
    case EVENT_SUBSCRIPTION_THRESHOLD:
        return "subscription.threshold";
    case EVENT_SUBSCRIPTION_DEPLETED:
        return "subscription.depleted";
    case EVENT_SUBSCRIPTION_EXPIRED:
        return "subscription.expired";
    case EVENT_SIM_ACTIVATED:
        return "sim.activated";
    case EVENT_SIM_DOWNLOAD_PROGRESS:
        return "sim.download_progress";
    case EVENT_SIM_STATUS_CHANGED:
        return "sim.status_changed";
    case EVENT_SIM_EID_CHANGED:
        return "sim.eid_changed";
    case EVENT_WEBHOOK_DISABLED:
        return "webhook.disabled";
    case EVENT_WEBHOOK_TEST:
        return "webhook.test";
    }
    return NULL;
}

uint64_t event_types_named(struct str pattern) {
    bool all = str_is(pattern, "*");
    struct str prefix = pattern;
    bool open = pattern.n > 2 && str_ends(pattern, ".*");
    if (open)
        prefix.n--; // with its dot
    uint64_t set = 0;
    for (unsigned t = 1; t < EVENT_TYPES_MAX; t++) {
        const char *name = event_type_name((enum event_type)t);
        if (name && (all || (open ? strncmp(name, prefix.p, prefix.n) == 0 : str_is(pattern, name))))
            set |= UINT64_C(1) << t;
    }
    return set;
}

// Laid out like the ids of base/id.h, so that it tells the partner and sorts by time; the random bits are the sequence.
void event_id_format(const struct event *e, char out[EVENT_ID_TEXT]) {
    struct uuid id;
    uint64_t ms = (uint64_t)e->created.ms, sequence = (uint64_t)e->sequence, partner = (uint64_t)e->partner_id;
    uint64_t high = ms << 16 | 0x8000 | (sequence >> 42 & 0xfff);
    uint64_t low = UINT64_C(1) << 63 | (sequence & ((UINT64_C(1) << 42) - 1)) << UUID_PARTNER_BITS | partner;
    for (int i = 0; i < 8; i++) {
        id.b[i] = (uint8_t)(high >> (56 - 8 * i));
        id.b[8 + i] = (uint8_t)(low >> (56 - 8 * i));
    }
    memcpy(out, "evt_", 4);
    uuid_format(id, out + 4);
}

enum event_type event_of_order(enum order_state s) {
    static const enum event_type types[] = {
        [ORDER_ACCEPTED] = EVENT_ORDER_ACCEPTED,
        [ORDER_FULFILLING] = EVENT_ORDER_FULFILLING,
        [ORDER_COMPLETED] = EVENT_ORDER_COMPLETED,
        [ORDER_FAILED] = EVENT_ORDER_FAILED,
    };
    CHECK((size_t)s < ARRAY_LEN(types));
    return types[s];
}

enum event_type event_of_subscription(enum subscription_state s) {
    static const enum event_type types[] = {
        [SUB_PENDING] = EVENT_SUBSCRIPTION_PENDING,  [SUB_PENDING_USAGE] = EVENT_SUBSCRIPTION_PENDING,
        [SUB_ACTIVE] = EVENT_SUBSCRIPTION_ACTIVATED, [SUB_DEPLETED] = EVENT_SUBSCRIPTION_DEPLETED,
        [SUB_EXPIRED] = EVENT_SUBSCRIPTION_EXPIRED,
    };
    CHECK((size_t)s < ARRAY_LEN(types));
    return types[s];
}

// ---- writing ----

static void put_u64(struct buf *out, uint64_t v) {
    uint8_t bytes[10];
    size_t n = 0;
    while (v >= 0x80) {
        bytes[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    bytes[n++] = (uint8_t)v;
    buf_add(out, bytes, n);
}

static void put_i64(struct buf *out, int64_t v) {
    put_u64(out, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

static void put_wall(struct buf *out, struct wall t) {
    uint64_t zigzag = ((uint64_t)t.ms << 1) ^ (t.ms < 0 ? UINT64_MAX : 0);
    put_u64(out, zigzag + 1); // WALL_NONE is the one that wraps round to 0
}

static void put_iccid(struct buf *out, iccid_t iccid) {
    put_u64(out, (uint64_t)iccid + 1);
}

static void put_str(struct buf *out, struct str s) {
    put_u64(out, str_present(s) ? (uint64_t)s.n + 1 : 0);
    if (s.n > 0)
        buf_add(out, s.p, s.n);
}

static void put_uuid(struct buf *out, struct uuid id) {
    buf_add(out, id.b, sizeof(id.b));
}

static void put_money(struct buf *out, struct money m) {
    put_str(out, str_of(m.currency));
    put_i64(out, m.minor);
}

static void put_head(struct buf *out, char kind) {
    buf_add_char(out, VERSION);
    buf_add_char(out, kind);
}

// ---- reading ----

struct reader {
    const uint8_t *p, *end;
    struct arena *arena;
    bool bad; // set once, for good; what is read afterwards is zero
    unsigned version;
};

static uint8_t get_byte(struct reader *r) {
    if (r->bad || r->p == r->end) {
        r->bad = true;
        return 0;
    }
    return *r->p++;
}

static uint64_t get_u64(struct reader *r) {
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t b = get_byte(r);
        // Beyond 64 bits, or longer than it need be: not written by us.
        if ((shift == 63 && b > 1) || (shift > 0 && b == 0))
            r->bad = true;
        if (r->bad)
            return 0;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return v;
    }
}

static int64_t of_zigzag(uint64_t v) {
    return (int64_t)((v >> 1) ^ (v & 1 ? UINT64_MAX : 0));
}

static int64_t get_i64(struct reader *r) {
    return of_zigzag(get_u64(r));
}

// A number that must lie in [low, high].
static int64_t get_within(struct reader *r, int64_t low, int64_t high) {
    int64_t v = get_i64(r);
    if (v < low || v > high) {
        r->bad = true;
        return low;
    }
    return v;
}

static unsigned get_below(struct reader *r, unsigned bound) {
    uint64_t v = get_u64(r);
    if (v >= bound) {
        r->bad = true;
        return 0;
    }
    return (unsigned)v;
}

static struct wall get_wall(struct reader *r) {
    return (struct wall){of_zigzag(get_u64(r) - 1)};
}

static iccid_t get_iccid(struct reader *r) {
    uint64_t v = get_u64(r);
    if (v > (uint64_t)ICCID_PACKED_MAX + 1) {
        r->bad = true;
        return ICCID_NONE;
    }
    return (iccid_t)v - 1;
}

// A view into the payload.
static struct str get_view(struct reader *r) {
    uint64_t n = get_u64(r);
    if (n == 0)
        return STR_NONE;
    n--;
    if (n > (uint64_t)(r->end - r->p)) {
        r->bad = true;
        return STR_NONE;
    }
    struct str s = {(const char *)r->p, (size_t)n};
    r->p += n;
    return s;
}

static struct str get_str(struct reader *r) {
    return arena_str(r->arena, get_view(r));
}

// Into a field of fixed size that ends with a NUL.
static void get_text(struct reader *r, char *out, size_t size) {
    struct str s = get_view(r);
    if (!str_present(s) || s.n >= size || (s.n > 0 && memchr(s.p, '\0', s.n))) {
        r->bad = true;
        return;
    }
    if (s.n > 0)
        memcpy(out, s.p, s.n);
    out[s.n] = '\0';
}

static struct uuid get_uuid(struct reader *r) {
    struct uuid id = {{0}};
    for (size_t i = 0; i < sizeof(id.b); i++)
        id.b[i] = get_byte(r);
    return id;
}

static struct money get_money(struct reader *r) {
    struct money m = {0};
    get_text(r, m.currency, sizeof(m.currency));
    m.minor = get_within(r, 0, MONEY_MINOR_MAX);
    return m;
}

static struct reader reader_on(struct str payload, struct arena *a, char kind) {
    const uint8_t *p = (const uint8_t *)(payload.n > 0 ? payload.p : "");
    struct reader r = {.p = p, .end = p + payload.n, .arena = a};
    r.version = get_byte(&r);
    if (r.version < 1 || r.version > VERSION)
        r.bad = true;
    if (get_byte(&r) != (uint8_t)kind)
        r.bad = true;
    return r;
}

static enum err_kind reader_done(const struct reader *r, struct err *err) {
    if (r->bad || r->p != r->end)
        return err_set(err, ERR_CORRUPT, "an event's payload is not what was written");
    if (arena_failed(r->arena))
        return err_set(err, ERR_INTERNAL, "an event's payload does not fit into memory");
    return ERR_NONE;
}

// ---- what was before: a 0 for nothing, or a 1 and the fields ----

static void put_past(struct buf *out, const void *was) {
    put_u64(out, was != NULL);
}

static enum event_past get_past(struct reader *r) {
    if (r->version < 2)
        return PAST_UNKNOWN;
    return get_below(r, 2) ? PAST_KNOWN : PAST_NONE;
}

// ---- the resources: pack and unpack in the same order ----

void event_pack_order(struct buf *out, const struct order *o, const struct order_was *was) {
    put_head(out, 'o');
    put_uuid(out, o->id);
    put_i64(out, o->partner_id);
    put_u64(out, (uint64_t)o->state);
    put_u64(out, (uint64_t)o->operation);
    put_u64(out, (uint64_t)o->sim_type);
    put_str(out, str_of(o->country));
    put_i64(out, o->product_id);
    put_str(out, str_of(o->product_public_id));
    put_money(out, o->sold);
    put_wall(out, o->activation);
    put_wall(out, o->expiration);
    put_iccid(out, o->iccid);
    put_str(out, o->matching_id);
    put_str(out, o->smdp);
    put_str(out, o->correlation_id);
    put_str(out, o->reference);
    put_str(out, o->failure);
    put_wall(out, o->created);
    put_wall(out, o->finished);
    put_past(out, was);
    if (was)
        put_u64(out, (uint64_t)was->state);
}

enum err_kind event_unpack_order(struct str payload, struct arena *a, struct order *out, struct order_was *was, struct err *err) {
    struct reader r = reader_on(payload, a, 'o');
    struct order o = {0};
    o.id = get_uuid(&r);
    o.partner_id = get_within(&r, 0, PARTNER_ID_MAX);
    o.state = (enum order_state)get_below(&r, ORDER_FAILED + 1);
    o.operation = (enum operation)get_below(&r, OP_TOPUP + 1);
    o.sim_type = (enum sim_type)get_below(&r, SIM_PSIM + 1);
    get_text(&r, o.country, sizeof(o.country));
    o.product_id = get_i64(&r);
    get_text(&r, o.product_public_id, sizeof(o.product_public_id));
    o.sold = get_money(&r);
    o.activation = get_wall(&r);
    o.expiration = get_wall(&r);
    o.iccid = get_iccid(&r);
    o.matching_id = get_str(&r);
    o.smdp = get_str(&r);
    o.correlation_id = get_str(&r);
    o.reference = get_str(&r);
    o.failure = get_str(&r);
    o.created = get_wall(&r);
    o.finished = get_wall(&r);
    struct order_was before = {.past = get_past(&r)};
    if (before.past == PAST_KNOWN)
        before.state = (enum order_state)get_below(&r, ORDER_FAILED + 1);
    enum err_kind kind = reader_done(&r, err);
    if (kind == ERR_NONE) {
        *out = o;
        *was = before;
    }
    return kind;
}

void event_pack_subscription(struct buf *out, const struct subscription *s, const struct subscription_was *was, int threshold) {
    put_head(out, 's');
    put_uuid(out, s->id);
    put_i64(out, s->partner_id);
    put_iccid(out, s->iccid);
    put_i64(out, s->product_id);
    put_str(out, str_of(s->product_public_id));
    put_str(out, s->name);
    put_u64(out, (uint64_t)s->state);
    put_u64(out, (uint64_t)s->end);
    put_wall(out, s->created);
    put_wall(out, s->activation);
    put_wall(out, s->expiry);
    put_wall(out, s->next_at);
    put_i64(out, s->duration);
    put_u64(out, (uint64_t)s->duration_unit);
    put_u64(out, s->first_usage);
    put_wall(out, s->wanted_expiry);
    put_i64(out, s->initial_bytes);
    put_i64(out, s->spent_bytes);
    put_wall(out, s->balance_as_of);
    put_money(out, s->sold);
    put_i64(out, threshold);
    put_past(out, was);
    if (!was)
        return;
    put_u64(out, (uint64_t)was->state);
    put_wall(out, was->activation);
    put_wall(out, was->expiry);
    put_i64(out, was->spent_bytes);
}

enum err_kind event_unpack_subscription(struct str payload, struct arena *a, struct subscription *out, struct subscription_was *was,
                                        int *threshold, struct err *err) {
    struct reader r = reader_on(payload, a, 's');
    struct subscription s = {0};
    s.id = get_uuid(&r);
    s.partner_id = get_within(&r, 0, PARTNER_ID_MAX);
    s.iccid = get_iccid(&r);
    s.product_id = get_i64(&r);
    get_text(&r, s.product_public_id, sizeof(s.product_public_id));
    s.name = get_str(&r);
    s.state = (enum subscription_state)get_below(&r, SUB_EXPIRED + 1);
    s.end = (enum subscription_end)get_below(&r, SUB_END_EXPIRED_BY_CALL + 1);
    s.created = get_wall(&r);
    s.activation = get_wall(&r);
    s.expiry = get_wall(&r);
    s.next_at = get_wall(&r);
    s.duration = get_within(&r, 0, PLAN_DURATION_MAX);
    s.duration_unit = (enum duration_unit)get_below(&r, DURATION_MONTHS + 1);
    s.first_usage = get_below(&r, 2);
    s.wanted_expiry = get_wall(&r);
    s.initial_bytes = get_within(&r, 0, INT64_MAX);
    s.spent_bytes = get_within(&r, 0, s.initial_bytes);
    s.balance_as_of = get_wall(&r);
    s.sold = get_money(&r);
    int percent = (int)get_within(&r, 0, 100);
    struct subscription_was before = {.past = get_past(&r)};
    if (before.past == PAST_KNOWN) {
        before.state = (enum subscription_state)get_below(&r, SUB_EXPIRED + 1);
        before.activation = get_wall(&r);
        before.expiry = get_wall(&r);
        before.spent_bytes = get_within(&r, 0, s.initial_bytes);
    }
    enum err_kind kind = reader_done(&r, err);
    if (kind == ERR_NONE) {
        *out = s;
        *was = before;
        *threshold = percent;
    }
    return kind;
}

static void put_sim(struct buf *out, const struct sim *s) {
    put_iccid(out, s->iccid);
    put_i64(out, s->partner_id);
    put_u64(out, (uint64_t)s->type);
    put_u64(out, (uint64_t)s->service);
    put_u64(out, (uint64_t)s->esim);
    put_str(out, s->imsi);
    put_str(out, s->msisdn);
    put_str(out, s->eid);
    put_str(out, s->matching_id);
    put_str(out, s->smdp);
    put_wall(out, s->activated);
    put_wall(out, s->modified);
}

static struct sim get_sim(struct reader *r) {
    struct sim s = {0};
    s.iccid = get_iccid(r);
    s.partner_id = get_within(r, 0, PARTNER_ID_MAX);
    s.type = (enum sim_type)get_below(r, SIM_PSIM + 1);
    s.service = (enum sim_service)get_below(r, SIM_ACTIVE + 1);
    s.esim = (enum esim_status)get_below(r, ESIM_UNAVAILABLE + 1);
    s.imsi = get_str(r);
    s.msisdn = get_str(r);
    s.eid = get_str(r);
    s.matching_id = get_str(r);
    s.smdp = get_str(r);
    s.activated = get_wall(r);
    s.modified = get_wall(r);
    return s;
}

void event_pack_sim(struct buf *out, const struct sim *s, const struct sim_was *was) {
    put_head(out, 'i');
    put_sim(out, s);
    put_past(out, was);
    if (!was)
        return;
    put_u64(out, (uint64_t)was->service);
    put_u64(out, (uint64_t)was->esim);
    put_str(out, was->eid);
}

enum err_kind event_unpack_sim(struct str payload, struct arena *a, struct sim *out, struct sim_was *was, struct err *err) {
    struct reader r = reader_on(payload, a, 'i');
    struct sim s = get_sim(&r);
    struct sim_was before = {.past = get_past(&r)};
    if (before.past == PAST_KNOWN) {
        before.service = (enum sim_service)get_below(&r, SIM_ACTIVE + 1);
        before.esim = (enum esim_status)get_below(&r, ESIM_UNAVAILABLE + 1);
        before.eid = get_str(&r);
    } else if (before.past == PAST_UNKNOWN) {
        (void)get_below(&r, ESIM_UNAVAILABLE + 1); // version 1 kept the profile's status alone
    }
    enum err_kind kind = reader_done(&r, err);
    if (kind == ERR_NONE) {
        *out = s;
        *was = before;
    }
    return kind;
}

void event_pack_progress(struct buf *out, const struct sim *s, const struct profile_progress *p) {
    put_head(out, 'p');
    put_sim(out, s);
    put_i64(out, p->point);
    put_u64(out, (uint64_t)p->status);
    put_str(out, p->eid);
}

enum err_kind event_unpack_progress(struct str payload, struct arena *a, struct sim *out, struct profile_progress *progress,
                                    struct err *err) {
    struct reader r = reader_on(payload, a, 'p');
    struct sim s = get_sim(&r);
    struct profile_progress p = {0};
    p.point = (int)get_within(&r, 1, POINT_MAX);
    p.status = (enum progress_status)get_below(&r, PROGRESS_EXPIRED + 1);
    p.eid = get_str(&r);
    enum err_kind kind = reader_done(&r, err);
    if (kind == ERR_NONE) {
        *out = s;
        *progress = p;
    }
    return kind;
}

void event_pack_webhook(struct buf *out, const struct webhook *w) {
    put_head(out, 'w');
    put_uuid(out, w->id);
    put_i64(out, w->partner_id);
    put_str(out, w->url);
    put_str(out, w->types);
    put_u64(out, (uint64_t)w->state);
    put_wall(out, w->created);
    put_wall(out, w->modified);
    put_i64(out, w->cursor);
    put_wall(out, w->failing_since);
}

enum err_kind event_unpack_webhook(struct str payload, struct arena *a, struct webhook *out, struct err *err) {
    struct reader r = reader_on(payload, a, 'w');
    struct webhook w = {.due = WALL_NONE, .lease_until = WALL_NONE};
    w.id = get_uuid(&r);
    w.partner_id = get_within(&r, 0, PARTNER_ID_MAX);
    w.url = get_str(&r);
    w.types = get_str(&r);
    w.state = (enum webhook_state)get_below(&r, WEBHOOK_GONE + 1);
    w.created = get_wall(&r);
    w.modified = get_wall(&r);
    w.cursor = get_within(&r, 1, INT64_MAX);
    w.failing_since = get_wall(&r);
    enum err_kind kind = reader_done(&r, err);
    if (kind == ERR_NONE)
        *out = w;
    return kind;
}
