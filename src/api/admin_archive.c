// SPDX-License-Identifier: Apache-2.0
/*
 * admin_archive.c - orders that are over, on their way to files of the operator's (`topup archive create`):
 *
 *   GET  /admin/v1/archive/orders        ?before, partner, cursor, limit: a page of them, a record a line, and where the next page begins
 *   POST /admin/v1/archive/orders/drop   {"before", "orders": [{"id", "sha256"}]}: those that are kept now leave the store
 *
 * A record is one line of JSON, whole in itself: the order as the operator sees it, with its tasks and timeline, and its subscription. An
 * order leaves only if its record is still, byte for byte, what the caller says it has kept: so nothing is lost that changed in between (a
 * late usage record, say). All of it may be asked again: reading changes nothing, and an order that has left is told as gone. A few leave
 * in each job, so that no transaction holds the writer long.
 */
#include "api/admin.h"
#include "api/resource.h"
#include "base/secret.h"
#include "store/store_archive.h"
#include "store/store_order.h"
#include "store/store_subscription.h"

#define PAGE_DEFAULT 200
#define PAGE_MAX 500
#define SCAN_MAX 5000 // orders looked at for a page
#define SCAN_PIECE 1000
#define DROPS_MAX 500
#define DROPS_A_JOB 20
#define RECORD_MAX ((size_t)1 << 20)
#define RECORD_MEMORY ((size_t)4 << 20)
#define CURSOR_MAX 64
#define SHA256_TEXT 64

// ---- a record ----

struct record {
    struct admin_order order;
    struct subscription subscription;
    bool has_subscription;
};

static enum err_kind record_read(struct tx *tx, struct uuid id, struct arena *a, struct record *r, struct err *err) {
    enum err_kind kind = admin_order_read(tx, id, a, &r->order, err);
    if (!kind)
        kind = timeline_read(tx, &r->order.order, &r->order.partner, a, &r->order.timeline, err);
    if (kind || r->order.order.state != ORDER_COMPLETED)
        return kind;
    kind = store_subscription_get(tx, id, a, &r->subscription, err);
    r->has_subscription = kind == ERR_NONE;
    return kind == ERR_NOT_FOUND ? err_set(err, ERR_CORRUPT, "a completed order has no subscription") : kind;
}

// Without its end of line.
static void record_put(struct buf *out, const struct record *r) {
    struct jw w = jw_on(out);
    jw_object(&w, NULL);
    jw_object(&w, "order");
    admin_order_put(&w, &r->order);
    jw_end_object(&w);
    if (r->has_subscription) {
        jw_object(&w, "subscription");
        admin_subscription_put(&w, &r->subscription, r->order.partner.client_id);
        jw_end_object(&w);
    }
    jw_end_object(&w);
}

// What must have been over at `before` (real time), on the partner's own clock.
static struct wall ended_of(const struct partner *p, struct wall before) {
    return partner_now(p, before);
}

static void check_before(struct call *c, struct wall before, struct err *err) {
    if (wall_set(before) && before.ms > c->now.ms)
        err_add(err, ERR_INVALID, "before: must not lie ahead");
}

// ---- GET /admin/v1/archive/orders ----

struct archive_read {
    struct wall before;
    struct str partner, cursor;
    int64_t limit;
    struct uuid after; // the cursor's order
    int64_t at;        // the cursor's partner
    struct record *records;
    size_t n;
    // where the next page begins
    bool more;
    int64_t next_partner;
    struct uuid next_after;
};

static bool cursor_parse(struct str text, int64_t *partner, struct uuid *after) {
    struct str number, id = str_cut(text, '.', &number);
    return str_to_i64(number, partner) && *partner >= 1 && *partner <= PARTNER_ID_MAX && uuid_parse(id, after);
}

enum err_kind admin_archive_read_parse(struct call *c, struct err *err) {
    struct archive_read *s = c->state = arena_new(c->arena, struct archive_read);
    if (!s)
        return call_no_memory(err);
    s->before = query_date(c, "before", err);
    if (!wall_set(s->before) && err->kind == ERR_NONE)
        err_add(err, ERR_INVALID, "before: is required");
    check_before(c, s->before, err);
    s->partner = query_str(c, "partner", 64, err);
    s->cursor = query_str(c, "cursor", CURSOR_MAX, err);
    if (str_present(s->cursor) && !cursor_parse(s->cursor, &s->at, &s->after))
        err_add(err, ERR_INVALID, "cursor: must be the `next` of the page before");
    s->limit = query_i64(c, "limit", 1, PAGE_MAX, PAGE_DEFAULT, err);
    s->records = arena_array(c->arena, struct record, (size_t)s->limit);
    return s->records ? err->kind : call_no_memory(err);
}

// The orders of one partner, as far as the page and the look reach. *scanned grows; s->more: there are others.
static enum err_kind read_partner(struct call *c, struct tx *tx, const struct partner *p, struct uuid after, int64_t *scanned,
                                  struct err *err) {
    struct archive_read *s = c->state;
    struct wall ended = ended_of(p, s->before);
    for (;;) {
        struct archive_key *keys = NULL;
        size_t n = 0;
        enum err_kind kind = store_archive_keys(tx, p->id, after, s->before, ended, SCAN_PIECE, c->arena, &keys, &n, err);
        for (size_t i = 0; !kind && i < n; i++) {
            if ((int64_t)s->n == s->limit || *scanned == SCAN_MAX) {
                s->more = true;
                s->next_partner = p->id;
                s->next_after = after;
                return ERR_NONE;
            }
            if (keys[i].fits)
                kind = record_read(tx, keys[i].id, c->arena, &s->records[s->n++], err);
            after = keys[i].id;
            ++*scanned;
        }
        if (kind || n < SCAN_PIECE)
            return kind;
    }
}

enum err_kind admin_archive_read_work(struct call *c, struct tx *tx, struct err *err) {
    struct archive_read *s = c->state;
    int64_t scanned = 0, only = 0;
    enum err_kind kind = ERR_NONE;
    if (str_present(s->partner))
        kind = admin_partner_named(c, tx, "partner", s->partner, &only, err);
    int64_t from = only ? only : s->at ? s->at : 1;
    while (!kind && !s->more) {
        struct partner *p = NULL;
        size_t n = 0;
        kind = store_partner_after(tx, from - 1, 1, c->arena, &p, &n, err);
        if (kind || n == 0 || (only && p->id != only))
            break;
        kind = read_partner(c, tx, p, p->id == s->at ? s->after : (struct uuid){{0}}, &scanned, err);
        from = p->id + 1;
        if (only)
            break;
    }
    return kind;
}

void admin_archive_read_reply(struct call *c) {
    struct archive_read *s = c->state;
    struct buf *out = &c->x->reply;
    call_body(c, 200, "application/x-ndjson");
    for (size_t i = 0; i < s->n; i++) {
        record_put(out, &s->records[i]);
        buf_add_char(out, '\n');
    }
    struct jw w = jw_on(out);
    jw_object(&w, NULL);
    if (s->more) {
        char id[UUID_TEXT];
        uuid_format(s->next_after, id);
        jw_str(&w, "next", arena_printf(c->arena, "%lld.%s", (long long)s->next_partner, id));
    } else {
        jw_null(&w, "next");
    }
    jw_end_object(&w);
    buf_add_char(out, '\n');
}

// ---- POST /admin/v1/archive/orders/drop ----

enum drop_verdict { DROP_DROPPED, DROP_GONE, DROP_KEPT };

struct archive_drop {
    struct wall before;
    struct drop {
        struct uuid id;
        uint8_t sha256[32];
        enum drop_verdict verdict;
    } * drops;
    size_t n;
};

static bool take_sha256(struct str hex, uint8_t out[32]) {
    if (hex.n != SHA256_TEXT)
        return false;
    for (size_t i = 0; i < SHA256_TEXT; i++) {
        char ch = hex.p[i];
        int digit = ch >= '0' && ch <= '9' ? ch - '0' : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
        if (digit < 0)
            return false;
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] << 4 | digit : digit);
    }
    return true;
}

enum err_kind admin_archive_drop_parse(struct call *c, struct err *err) {
    struct archive_drop *s = c->state = arena_new(c->arena, struct archive_drop);
    if (!s)
        return call_no_memory(err);
    s->before = json_take_date(c->body, "", "before", JSON_REQUIRED, err);
    check_before(c, s->before, err);
    json_t *item, *list = json_take_array(c->body, "", "orders", JSON_REQUIRED, err);
    if (!list)
        return err->kind;
    s->n = json_array_size(list);
    if (s->n == 0 || s->n > DROPS_MAX)
        return err_add(err, ERR_INVALID, "orders: must be 1 to %d", DROPS_MAX);
    s->drops = arena_array(c->arena, struct drop, s->n);
    if (!s->drops)
        return call_no_memory(err);
    size_t i;
    json_array_foreach(list, i, item) {
        struct str id = json_is_object(item) ? json_take_str(item, "", "id", JSON_OPTIONAL, UUID_TEXT, err) : STR_NONE;
        struct str sum = json_is_object(item) ? json_take_str(item, "", "sha256", JSON_OPTIONAL, SHA256_TEXT, err) : STR_NONE;
        if (!uuid_parse(id, &s->drops[i].id) || !take_sha256(sum, s->drops[i].sha256))
            err_add(err, ERR_INVALID, "orders.%zu: must have an order's id and the sha256 of its record, in hexadecimal", i);
    }
    return err->kind;
}

// `marked`: the partner whose orders are known to leave, so that it is written once.
static enum err_kind drop_one(struct call *c, struct tx *tx, struct drop *d, struct arena *a, struct buf *text, int64_t *marked,
                              struct err *err) {
    const struct archive_drop *s = c->state;
    struct record *r = arena_new(a, struct record);
    if (!r)
        return call_no_memory(err);
    enum err_kind kind = record_read(tx, d->id, a, r, err);
    if (kind == ERR_NOT_FOUND) {
        err_clear(err);
        d->verdict = DROP_GONE;
        return ERR_NONE;
    }
    bool fits = uuid_time(d->id).ms < s->before.ms;
    if (!kind && fits)
        kind = store_archive_fits(tx, d->id, ended_of(&r->order.partner, s->before), &fits, err);
    if (kind)
        return kind;
    record_put(text, r);
    if (text->failed)
        return call_no_memory(err);
    uint8_t sum[32];
    sha256_of(buf_str(text), sum);
    if (!fits || memcmp(sum, d->sha256, sizeof sum) != 0) {
        d->verdict = DROP_KEPT;
        return ERR_NONE;
    }
    d->verdict = DROP_DROPPED;
    kind = store_archive_drop(tx, &r->order.order, err);
    if (kind || *marked == uuid_partner(d->id))
        return kind;
    *marked = uuid_partner(d->id);
    return store_archive_mark(tx, *marked, s->before, err);
}

enum err_kind admin_archive_drop_work(struct call *c, struct tx *tx, struct err *err) {
    struct archive_drop *s = c->state;
    size_t from = (size_t)c->steps * DROPS_A_JOB, to = from + DROPS_A_JOB < s->n ? from + DROPS_A_JOB : s->n;
    struct arena a;
    struct buf text;
    int64_t marked = 0;
    enum err_kind kind = ERR_NONE;
    arena_init(&a, RECORD_MEMORY);
    buf_init(&text, RECORD_MAX);
    for (size_t i = from; !kind && i < to; i++) {
        arena_reset(&a);
        buf_clear(&text);
        kind = drop_one(c, tx, &s->drops[i], &a, &text, &marked, err);
    }
    buf_release(&text);
    arena_release(&a);
    c->again = !kind && to < s->n;
    return kind;
}

void admin_archive_drop_reply(struct call *c) {
    const struct archive_drop *s = c->state;
    int64_t count[DROP_KEPT + 1] = {0};
    for (size_t i = 0; i < s->n; i++)
        count[s->drops[i].verdict]++;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_i64(&w, "dropped", count[DROP_DROPPED]);
    jw_i64(&w, "gone", count[DROP_GONE]);
    jw_i64(&w, "kept", count[DROP_KEPT]);
    jw_end_object(&w);
    ADMIN_LOG(c, "orders_archived", LOG_INT("dropped", count[DROP_DROPPED]), LOG_INT("gone", count[DROP_GONE]),
              LOG_INT("kept", count[DROP_KEPT]));
}
