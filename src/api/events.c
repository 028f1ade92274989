// SPDX-License-Identifier: Apache-2.0
#include "api/events.h"

#include "api/resource.h"
#include "api/state.h"
#include "base/log.h"
#include "render/render.h"
#include "store/store_event.h"
#include "store/store_partner.h"

#define LIMIT_MAX 1000
#define LIMIT_DEFAULT 100
#define SPAN 10000      // events looked at in one go for those of the wanted types
#define SPANS_MAX 20    // of one page
#define PIECE_EVENTS 32 // of one piece of a stream
#define PIECE_SPANS_MAX 5
#define PIECE_BYTES ((size_t)64 << 10)
#define PIECE_MEMORY ((size_t)4 << 20)
#define HEARTBEAT_NS INT64_C(15000000000)
#define RECONNECT_MS 2000
#define TYPES_TEXT_MAX 512

struct event_list {
    // asked
    int64_t after; // AFTER_OLDEST, AFTER_LATEST before the first look
    int64_t limit;
    uint64_t types;
    struct str types_text; // STR_NONE: all
    bool stream;
    // found
    struct event *events;
    size_t n;
    int64_t begin;       // where the reading began
    int64_t next;        // where to go on
    int64_t first, last; // kept; given out
    // a stream's
    struct wait wait;
    int64_t told;      // the cursor that the client knows
    struct mono spoke; // last
};
#define AFTER_OLDEST INT64_C(-1)
#define AFTER_LATEST INT64_C(-2)

// ---- what is asked ----

static void take_types(struct call *c, struct event_list *s, struct err *err) {
    struct str rest = query_str(c, "type", TYPES_TEXT_MAX, err), one;
    s->types = UINT64_MAX;
    if (!str_present(rest))
        return;
    s->types = 0;
    s->types_text = rest;
    while (str_present(rest)) {
        rest = str_cut(rest, ',', &one);
        uint64_t named = event_types_named(one);
        if (!named)
            err_add(err, ERR_INVALID, "type: \"" STR_FMT "\" is no type of event, nor a group of them such as order.*", STR_ARG(one));
        s->types |= named;
    }
}

static int64_t cursor_of(struct str text, const char *name, struct err *err) {
    int64_t v;
    if (str_to_i64(text, &v) && v >= 0)
        return v;
    err_add(err, ERR_INVALID, "%s: must be the sequence of an event, or 0", name);
    return AFTER_OLDEST;
}

static int64_t take_after(struct call *c, const struct event_list *s, struct err *err) {
    // A client that reconnects says where it was; its address still says where it once began.
    struct str last_id = s->stream ? str_trim(http_header(c->x, "Last-Event-ID")) : STR_NONE;
    if (last_id.n > 0)
        return cursor_of(last_id, "Last-Event-ID", err);
    struct str after = query_str(c, "after", 20, err);
    if (!str_present(after))
        return AFTER_OLDEST;
    return str_is(after, "latest") ? AFTER_LATEST : cursor_of(after, "after", err);
}

// Whether the client takes server-sent events (RFC 9110, section 12.5.1, without weighing: who names them wants them).
static bool wants_stream(struct call *c) {
    struct str rest = http_header(c->x, "Accept"), range, type;
    while (str_present(rest)) {
        rest = str_cut(rest, ',', &range);
        str_cut(range, ';', &type);
        if (str_eq_nocase(str_trim(type), STR("text/event-stream")))
            return true;
    }
    return false;
}

enum err_kind event_list_parse(struct call *c, struct err *err) {
    struct event_list *s = c->state = arena_new(c->arena, struct event_list);
    if (!s)
        return call_no_memory(err);
    s->stream = wants_stream(c);
    s->after = take_after(c, s, err);
    s->limit = query_i64(c, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, err);
    take_types(c, s, err);
    enum err_kind kind = s->stream ? err->kind : call_may_wait(c, (struct uuid){{0}}, s->types, err);
    return err->kind ? err->kind : kind;
}

// ---- reading ----

// Where the cursor stands in what is kept.
static enum err_kind find_place(struct call *c, struct tx *tx, struct event_list *s, struct err *err) {
    enum err_kind kind = store_event_range(tx, c->partner.id, &s->first, &s->last, err);
    if (kind)
        return kind;
    if (s->after == AFTER_OLDEST)
        s->after = s->first - 1;
    if (s->after == AFTER_LATEST)
        s->after = s->last;
    if (s->after > s->last)
        return err_set(err, ERR_INVALID, "after: there is no event %lld yet; the newest is %lld", (long long)s->after, (long long)s->last);
    if (s->after < s->first - 1)
        return err_set(err, ERR_GONE, "after: the events up to %lld are not kept any more; the oldest that is kept is %lld",
                       (long long)s->first - 1, (long long)s->first);
    return ERR_NONE;
}

// The next of the wanted types, looking at so many spans at most; moves the cursor. s->n 0 and s->next < s->last: there is more to look at.
static enum err_kind read_on(struct call *c, struct tx *tx, struct event_list *s, int64_t limit, int spans, struct arena *a,
                             struct err *err) {
    s->n = 0;
    for (int i = 0; i < spans && s->n == 0 && s->next < s->last; i++) {
        int64_t until = s->last - s->next > SPAN ? s->next + SPAN : s->last;
        enum err_kind kind = store_event_find(tx, c->partner.id, s->next, until, s->types, limit, a, &s->events, &s->n, err);
        if (kind)
            return kind;
        s->next = (int64_t)s->n == limit ? s->events[s->n - 1].sequence : until;
    }
    return ERR_NONE;
}

enum err_kind event_list_work(struct call *c, struct tx *tx, struct err *err) {
    struct event_list *s = c->state;
    bool again = s->next > 0; // woken: what it has seen it need not see again
    enum err_kind kind = find_place(c, tx, s, err);
    if (kind)
        return kind;
    s->begin = s->after;
    if (!again)
        s->next = s->after;
    if (s->stream)
        return ERR_NONE;
    kind = read_on(c, tx, s, s->limit, SPANS_MAX, c->arena, err);
    if (!kind && s->n == 0 && s->next == s->last)
        call_not_yet(c);
    return kind;
}

// ---- the page ----

static void page_link(struct call *c, struct jw *w, const char *key, const struct event_list *s, int64_t after) {
    int wait_s = call_wait_seconds(c);
    struct str wait = wait_s ? arena_printf(c->arena, "&wait=%d", wait_s) : STR("");
    if (str_present(s->types_text)) // made of the letters of types, commas and asterisks
        call_link(c, w, key, "/v2/events?after=%lld&limit=%lld&type=" STR_FMT STR_FMT, (long long)after, (long long)s->limit,
                  STR_ARG(s->types_text), STR_ARG(wait));
    else
        call_link(c, w, key, "/v2/events?after=%lld&limit=%lld" STR_FMT, (long long)after, (long long)s->limit, STR_ARG(wait));
}

static enum http_more stream_more(struct call *c);

static void stream_begin(struct call *c, struct event_list *s) {
    call_body(c, 200, "text/event-stream");
    http_set_header(c->x, "X-Accel-Buffering", STR("no")); // proxies that gather answers must not
    buf_printf(&c->x->reply, "retry: %d\n\n", RECONNECT_MS);
    s->told = s->next;
    s->spoke = clock_mono(c->api->o.clock);
    s->wait = (struct wait){.x = c->x, .partner_id = c->partner.id, .types = s->types};
    if (c->x->method != HTTP_GET)
        return; // HEAD
    c->more = stream_more;
    c->x->stream = true;
}

void event_list_reply(struct call *c) {
    struct event_list *s = c->state;
    if (s->stream) {
        stream_begin(c, s);
        return;
    }
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    enum err_kind kind = ERR_NONE;
    for (size_t i = 0; i < s->n && !kind; i++)
        kind = render_event(&w, NULL, links_of(c->api), &s->events[i], c->arena, &c->err);
    if (kind) {
        c->failed = kind;
        return;
    }
    jw_end_array(&w);
    jw_object(&w, "_metadata");
    jw_i64(&w, "oldest", s->first);
    jw_i64(&w, "newest", s->last);
    jw_i64(&w, "next_after", s->next);
    jw_object(&w, "links");
    page_link(c, &w, "_self", s, s->begin);
    page_link(c, &w, "_next", s, s->next);
    jw_end_object(&w);
    jw_end_object(&w);
    jw_end_object(&w);
}

// ---- the stream ----

static enum err_kind put_events(struct call *c, struct event_list *s, struct arena *a, struct err *err) {
    struct buf *out = &c->x->reply;
    for (size_t i = 0; i < s->n; i++) {
        if (out->n > PIECE_BYTES) {
            s->next = s->told;
            break;
        }
        const struct event *e = &s->events[i];
        const char *type = event_type_name(e->type);
        buf_printf(out, "id: %lld\nevent: %s\ndata: ", (long long)e->sequence, type ? type : "");
        struct jw w = jw_on(out);
        enum err_kind kind = render_event(&w, NULL, links_of(c->api), e, a, err);
        if (kind)
            return kind;
        buf_add_text(out, "\n\n");
        s->told = e->sequence;
    }
    return ERR_NONE;
}

// What has come since, as far as a piece goes. An error ends the stream; the client learns why when it comes back.
static enum err_kind next_piece(struct call *c, struct event_list *s, struct arena *a, struct err *err) {
    struct tx *tx;
    struct partner p;
    enum err_kind kind = store_read_begin(c->api->o.store, &tx, err);
    if (kind)
        return kind;
    kind = store_partner_get(tx, c->partner.id, a, &p, err);
    if (!kind && p.disabled)
        kind = err_set(err, ERR_DENIED, "the partner is disabled");
    s->after = s->next;
    if (!kind)
        kind = find_place(c, tx, s, err);
    if (!kind)
        kind = read_on(c, tx, s, PIECE_EVENTS, PIECE_SPANS_MAX, a, err);
    store_read_end(tx);
    return kind ? kind : put_events(c, s, a, err);
}

// A comment; and where the client is by now, when that was far from its last event: then it goes on from here after a reconnect, and does
// not fall off the log's end with a filter that finds nothing.
static void heartbeat(struct call *c, struct event_list *s) {
    if (s->next > s->told)
        buf_printf(&c->x->reply, "id: %lld\n", (long long)s->next);
    buf_add_text(&c->x->reply, ":\n\n");
    s->told = s->next;
}

static enum http_more speak(struct call *c, struct event_list *s) {
    wait_forget(c->api->waits, &s->wait);
    s->spoke = clock_mono(c->api->o.clock);
    return HTTP_MORE;
}

static enum http_more stream_more(struct call *c) {
    struct event_list *s = c->state;
    struct waits *waits = c->api->waits;
    struct arena a;
    for (;;) {
        wait_expect(waits, &s->wait);
        struct err err = {0};
        arena_init(&a, PIECE_MEMORY);
        enum err_kind kind = waits_draining(waits) ? ERR_BUSY : next_piece(c, s, &a, &err);
        arena_release(&a);
        if (kind) {
            wait_forget(waits, &s->wait);
            if (kind != ERR_BUSY && kind != ERR_DENIED && kind != ERR_GONE)
                log_error("events.stream", LOG_STR("correlation", c->correlation_id), LOG_ERR(&err));
            return HTTP_END;
        }
        if (c->x->reply.n > 0)
            return speak(c, s);
        struct mono due = {s->spoke.ns + HEARTBEAT_NS};
        // Nothing of the wanted types in a long stretch of the log: let others have their turn.
        if (s->next < s->last || clock_mono(c->api->o.clock).ns >= due.ns) {
            heartbeat(c, s);
            return speak(c, s);
        }
        switch (wait_sleep(waits, &s->wait, due)) {
        case WAIT_SLEEPS:
            return HTTP_WAIT;
        case WAIT_NO:
            return HTTP_END;
        case WAIT_CAME:
            break;
        }
    }
}
