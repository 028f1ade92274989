// SPDX-License-Identifier: Apache-2.0
#include "api/webhooks.h"

#include "api/resource.h"
#include "base/secret.h"
#include "core/webhook.h"
#include "http/client.h"
#include "store/store_event.h"
#include "store/store_webhook.h"

#define SECRET_MADE 32 // bytes of a secret that we make
#define TYPE_MAX 64
#define OVERLAP_DEFAULT 86400
#define OVERLAP_MAX (30 * 86400)
#define ASKED_MAX 10 // deliveries by call that may wait for one endpoint

struct webhook_call {
    // asked
    struct str url;   // STR_NONE: not named
    struct str types; // patterns, blank-separated; STR_NONE: not named
    bool has_enabled, enabled;
    uint8_t secret[WEBHOOK_SECRET_MAX];
    size_t secret_n; // 0: one is made
    int64_t overlap_s;
    int64_t from;
    // found
    struct webhook hook;
    struct str shown; // the secret, when it was made
    struct webhook_delivery delivery;
};

static struct webhook_call *begin(struct call *c, struct err *err) {
    struct webhook_call *s = c->state = arena_new(c->arena, struct webhook_call);
    if (!s)
        (void)call_no_memory(err);
    return s;
}

// ---- what is asked ----

static void take_url(struct call *c, struct webhook_call *s, enum json_need need, struct err *err) {
    s->url = json_take_str(c->body, "", "url", need, HTTP_URL_MAX, err);
    if (!str_present(s->url))
        return;
    const char *fault = s->url.n > 0 ? http_url_fault(s->url) : NULL;
    if (fault)
        err_add(err, ERR_INVALID, "url: %s", fault);
    else if (s->url.n > 0 && http_url_has_credentials(s->url))
        err_add(err, ERR_INVALID, "url: must not carry credentials: deliveries are signed");
    else if (s->url.n > 0 && !api_settings(c->api)->private_targets && !http_url_public(s->url))
        err_add(err, ERR_INVALID, "url: must not lead to a private, local or reserved address");
}

static void take_type(struct buf *out, size_t i, json_t *item, struct err *err) {
    const char *text = json_is_string(item) ? json_string_value(item) : "";
    struct str pattern = {text, json_is_string(item) ? json_string_length(item) : 0};
    if (pattern.n > TYPE_MAX || !event_types_named(pattern))
        err_add(err, ERR_INVALID, "types[%zu]: must be a type of event, or a group of them such as order.* or *", i);
    else
        buf_printf(out, "%s" STR_FMT, out->n ? " " : "", STR_ARG(pattern));
}

static void take_types(struct call *c, struct webhook_call *s, struct err *err) {
    json_t *list = json_take_array(c->body, "", "types", JSON_OPTIONAL, err), *item;
    size_t i;
    struct buf text;
    if (!list)
        return;
    if (json_array_size(list) == 0 || json_array_size(list) > WEBHOOK_TYPES_MAX) {
        err_add(err, ERR_INVALID, "types: must name 1 to %d types of events", WEBHOOK_TYPES_MAX);
        return;
    }
    buf_init(&text, WEBHOOK_TYPES_MAX * (TYPE_MAX + 1));
    json_array_foreach(list, i, item) take_type(&text, i, item, err);
    s->types = arena_str(c->arena, buf_str(&text));
    buf_release(&text);
}

static void take_secret(struct call *c, struct webhook_call *s, struct err *err) {
    struct str text = json_take_str(c->body, "", "secret", JSON_OPTIONAL, 256, err);
    if (str_present(text) && !webhook_secret_parse(text, s->secret, &s->secret_n)) {
        s->secret_n = 0;
        err_add(err, ERR_INVALID, "secret: must be whsec_ and the base64 of 24 to 64 bytes");
    }
}

// ---- the one that is named ----

static enum err_kind find(struct call *c, struct tx *tx, struct webhook *out, struct err *err) {
    struct uuid id;
    enum err_kind kind = ERR_NOT_FOUND;
    if (uuid_parse(c->params[0], &id))
        kind = store_webhook_get(tx, id, c->arena, out, err);
    if (kind == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "id: there is no such webhook");
    if (!kind && out->partner_id != c->partner.id)
        return err_set(err, ERR_DENIED, "id: the webhook belongs to another partner");
    return kind;
}

// Changes are told apart by this: it must grow.
static void touch(struct webhook *w, struct wall now) {
    w->modified = now.ms > w->modified.ms ? now : wall_plus_ms(w->modified, 1);
}

static void begin_anew(struct webhook *w) {
    w->epoch++;
    w->attempts = 0;
    w->due = w->failing_since = WALL_NONE;
}

// ---- POST /v2/webhooks ----

enum err_kind webhook_create_parse(struct call *c, struct err *err) {
    struct webhook_call *s = begin(c, err);
    if (!s)
        return err->kind;
    take_url(c, s, JSON_REQUIRED, err);
    take_types(c, s, err);
    take_secret(c, s, err);
    s->enabled = true;
    json_take_bool(c->body, "", "enabled", JSON_OPTIONAL, &s->enabled, err);
    return err->kind;
}

static enum err_kind add_secret(struct call *c, struct tx *tx, struct webhook_call *s, struct wall others_expire, struct err *err) {
    uint8_t made[SECRET_MADE];
    char text[WEBHOOK_SECRET_TEXT];
    const void *bytes = s->secret_n > 0 ? s->secret : made;
    size_t n = s->secret_n > 0 ? s->secret_n : sizeof made;
    rng_fill(tx_rng(tx), made, sizeof made);
    webhook_secret_format(bytes, n, text);
    s->shown = arena_str(c->arena, str_of(text));
    enum err_kind kind = store_webhook_secret_add(tx, s->hook.id, bytes, n, others_expire, err);
    secret_wipe(made, sizeof made);
    secret_wipe(text, sizeof text);
    return kind;
}

enum err_kind webhook_create_work(struct call *c, struct tx *tx, struct err *err) {
    struct webhook_call *s = c->state;
    struct webhook *list = NULL;
    size_t n = 0;
    int64_t first = 0, last = 0;
    enum err_kind kind = store_webhook_list(tx, c->partner.id, c->arena, &list, &n, err);
    if (!kind && n >= WEBHOOKS_PER_PARTNER_MAX)
        kind = err_set(err, ERR_CONFLICT, "there are %d webhooks already, which is the most a partner may have", WEBHOOKS_PER_PARTNER_MAX);
    if (!kind)
        kind = store_event_range(tx, c->partner.id, &first, &last, err);
    if (kind)
        return kind;
    struct wall now = tx_now(tx);
    s->hook = (struct webhook){
        .id = tx_new_id(tx, c->partner.id),
        .partner_id = c->partner.id,
        .url = s->url,
        .types = str_present(s->types) ? s->types : STR("*"),
        .state = s->enabled ? WEBHOOK_ENABLED : WEBHOOK_DISABLED,
        .created = now,
        .modified = now,
        .cursor = last + 1, // what happens from now on
        .due = WALL_NONE,
        .failing_since = WALL_NONE,
        .lease_until = WALL_NONE,
    };
    kind = store_webhook_insert(tx, &s->hook, err);
    return kind ? kind : add_secret(c, tx, s, WALL_NONE, err);
}

static void put_hook(struct call *c, int status) {
    struct webhook_call *s = c->state;
    struct jw w = call_json(c, status);
    render_webhook(&w, NULL, links_of(c->api), &s->hook, s->shown);
}

void webhook_create_reply(struct call *c) {
    struct webhook_call *s = c->state;
    char id[UUID_TEXT];
    uuid_format(s->hook.id, id);
    put_hook(c, 201);
    call_location(c, "/v2/webhooks/%s", id);
}

// ---- GET /v2/webhooks ----

struct webhook_list {
    struct page page;
    struct webhook *hooks;
    size_t n;
};

enum err_kind webhook_list_parse(struct call *c, struct err *err) {
    struct webhook_list *s = c->state = arena_new(c->arena, struct webhook_list);
    return s ? page_parse(c, &s->page, err) : call_no_memory(err);
}

enum err_kind webhook_list_work(struct call *c, struct tx *tx, struct err *err) {
    struct webhook_list *s = c->state;
    enum err_kind kind = store_webhook_list(tx, c->partner.id, c->arena, &s->hooks, &s->n, err);
    s->page.total = (int64_t)s->n;
    return kind;
}

void webhook_list_reply(struct call *c) {
    struct webhook_list *s = c->state;
    struct jw w = call_json(c, 200);
    int64_t offset = page_offset(&s->page);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (int64_t i = offset; i < s->page.total && i < offset + s->page.size; i++)
        render_webhook(&w, NULL, links_of(c->api), &s->hooks[i], STR_NONE);
    jw_end_array(&w);
    page_metadata(c, &w, &s->page);
    jw_end_object(&w);
}

// ---- one ----

enum err_kind webhook_get_work(struct call *c, struct tx *tx, struct err *err) {
    struct webhook_call *s = begin(c, err);
    return s ? find(c, tx, &s->hook, err) : err->kind;
}

void webhook_reply(struct call *c) {
    put_hook(c, 200);
}

enum err_kind webhook_patch_parse(struct call *c, struct err *err) {
    struct webhook_call *s = begin(c, err);
    if (!s)
        return err->kind;
    take_url(c, s, JSON_OPTIONAL, err);
    if (str_present(s->url) && s->url.n == 0)
        err_add(err, ERR_INVALID, "url: must not be empty");
    take_types(c, s, err);
    s->has_enabled = json_take_bool(c->body, "", "enabled", JSON_OPTIONAL, &s->enabled, err);
    if (json_object_get(c->body, "secret"))
        err_add(err, ERR_INVALID, "secret: is changed with rotate-secret");
    return err->kind;
}

enum err_kind webhook_patch_work(struct call *c, struct tx *tx, struct err *err) {
    struct webhook_call *s = c->state;
    enum err_kind kind = find(c, tx, &s->hook, err);
    if (kind)
        return kind;
    struct webhook *w = &s->hook;
    if (str_present(s->url) && !str_eq(s->url, w->url)) { // somebody else answers there
        w->url = s->url;
        begin_anew(w);
    }
    if (str_present(s->types))
        w->types = s->types;
    if (s->has_enabled && s->enabled != (w->state == WEBHOOK_ENABLED)) {
        w->state = s->enabled ? WEBHOOK_ENABLED : WEBHOOK_DISABLED;
        begin_anew(w);
    }
    touch(w, tx_now(tx));
    return store_webhook_update(tx, w, err);
}

enum err_kind webhook_delete_work(struct call *c, struct tx *tx, struct err *err) {
    struct webhook_call *s = begin(c, err);
    enum err_kind kind = s ? find(c, tx, &s->hook, err) : err->kind;
    return kind ? kind : store_webhook_delete(tx, s->hook.id, err);
}

void webhook_delete_reply(struct call *c) {
    call_empty(c, 204);
}

// ---- POST /v2/webhooks/{id}/rotate-secret ----

enum err_kind webhook_rotate_parse(struct call *c, struct err *err) {
    struct webhook_call *s = begin(c, err);
    if (!s)
        return err->kind;
    s->overlap_s = OVERLAP_DEFAULT;
    if (!c->body)
        return ERR_NONE;
    json_take_i64(c->body, "", "overlap_seconds", JSON_OPTIONAL, 0, OVERLAP_MAX, &s->overlap_s, err);
    take_secret(c, s, err);
    return err->kind;
}

enum err_kind webhook_rotate_work(struct call *c, struct tx *tx, struct err *err) {
    struct webhook_call *s = c->state;
    enum err_kind kind = find(c, tx, &s->hook, err);
    if (kind)
        return kind;
    touch(&s->hook, tx_now(tx));
    kind = store_webhook_update(tx, &s->hook, err);
    return kind ? kind : add_secret(c, tx, s, wall_plus_ms(tx_now(tx), s->overlap_s * 1000), err);
}

// ---- POST /v2/webhooks/{id}/replay ----

enum err_kind webhook_replay_parse(struct call *c, struct err *err) {
    struct webhook_call *s = begin(c, err);
    if (!s)
        return err->kind;
    json_take_i64(c->body, "", "from_sequence", JSON_REQUIRED, 1, INT64_MAX - 1, &s->from, err);
    return err->kind;
}

enum err_kind webhook_replay_work(struct call *c, struct tx *tx, struct err *err) {
    struct webhook_call *s = c->state;
    int64_t first = 0, last = 0;
    enum err_kind kind = find(c, tx, &s->hook, err);
    if (!kind)
        kind = store_event_range(tx, c->partner.id, &first, &last, err);
    if (kind)
        return kind;
    if (s->from > last + 1)
        return err_set(err, ERR_INVALID, "from_sequence: there is no event %lld yet; the newest is %lld", (long long)s->from,
                       (long long)last);
    if (s->from < first)
        return err_set(err, ERR_GONE, "from_sequence: the events up to %lld are not kept any more; the oldest that is kept is %lld",
                       (long long)first - 1, (long long)first);
    s->hook.cursor = s->from;
    begin_anew(&s->hook);
    touch(&s->hook, tx_now(tx));
    return store_webhook_update(tx, &s->hook, err);
}

// ---- deliveries that are asked for ----

static enum err_kind ask(struct call *c, struct tx *tx, struct webhook_call *s, struct err *err) {
    int64_t waiting = 0;
    enum err_kind kind = store_delivery_pending_count(tx, s->hook.id, &waiting, err);
    if (!kind && waiting >= ASKED_MAX)
        kind = err_set(err, ERR_CONFLICT, "%d deliveries that were asked for are still waiting", ASKED_MAX);
    if (kind)
        return kind;
    struct webhook_delivery *d = &s->delivery;
    d->id = tx_new_id(tx, c->partner.id);
    d->webhook_id = s->hook.id;
    d->partner_id = c->partner.id;
    d->outcome = DELIVERY_PENDING;
    d->attempt = 0;
    d->tried = d->next = WALL_NONE;
    d->status = 0;
    d->duration_ms = 0;
    d->answer = d->trouble = STR_NONE;
    return store_delivery_insert(tx, d, err);
}

enum err_kind webhook_test_work(struct call *c, struct tx *tx, struct err *err) {
    struct webhook_call *s = begin(c, err);
    enum err_kind kind = s ? find(c, tx, &s->hook, err) : err->kind;
    if (kind)
        return kind;
    s->delivery = (struct webhook_delivery){
        .kind = DELIVERY_TEST, .event_type = EVENT_WEBHOOK_TEST, .event_created = partner_now(&c->partner, tx_now(tx))};
    return ask(c, tx, s, err);
}

static enum err_kind find_delivery(struct call *c, struct tx *tx, struct webhook_call *s, struct err *err) {
    struct uuid id;
    enum err_kind kind = find(c, tx, &s->hook, err);
    if (kind)
        return kind;
    kind = uuid_parse(c->params[1], &id) ? store_delivery_get(tx, s->hook.id, id, c->arena, &s->delivery, err) : ERR_NOT_FOUND;
    return kind == ERR_NOT_FOUND ? err_set(err, ERR_NOT_FOUND, "delivery: there is no such delivery to this webhook") : kind;
}

enum err_kind delivery_redeliver_work(struct call *c, struct tx *tx, struct err *err) {
    struct webhook_call *s = begin(c, err);
    int64_t first = 0, last = 0;
    enum err_kind kind = s ? find_delivery(c, tx, s, err) : err->kind;
    if (!kind && s->delivery.sequence == 0)
        kind = err_set(err, ERR_CONFLICT, "delivery: a test is not redelivered; ask for another");
    if (!kind)
        kind = store_event_range(tx, c->partner.id, &first, &last, err);
    if (!kind && s->delivery.sequence < first)
        kind = err_set(err, ERR_GONE, "delivery: its event is not kept any more");
    if (kind)
        return kind;
    s->delivery.kind = DELIVERY_REDELIVERY;
    return ask(c, tx, s, err);
}

static void put_delivery(struct call *c, int status) {
    struct webhook_call *s = c->state;
    struct jw w = call_json(c, status);
    render_delivery(&w, NULL, links_of(c->api), &s->delivery);
}

void webhook_asked_reply(struct call *c) {
    struct webhook_call *s = c->state;
    char id[UUID_TEXT], delivery[UUID_TEXT];
    uuid_format(s->hook.id, id);
    uuid_format(s->delivery.id, delivery);
    put_delivery(c, 202);
    call_location(c, "/v2/webhooks/%s/deliveries/%s", id, delivery);
}

// ---- the log ----

enum err_kind delivery_get_work(struct call *c, struct tx *tx, struct err *err) {
    struct webhook_call *s = begin(c, err);
    return s ? find_delivery(c, tx, s, err) : err->kind;
}

void delivery_reply(struct call *c) {
    put_delivery(c, 200);
}

struct delivery_list {
    struct page page;
    struct webhook hook;
    struct webhook_delivery *deliveries;
    size_t n;
};

enum err_kind delivery_list_parse(struct call *c, struct err *err) {
    struct delivery_list *s = c->state = arena_new(c->arena, struct delivery_list);
    return s ? page_parse(c, &s->page, err) : call_no_memory(err);
}

enum err_kind delivery_list_work(struct call *c, struct tx *tx, struct err *err) {
    struct delivery_list *s = c->state;
    enum err_kind kind = find(c, tx, &s->hook, err);
    return kind ? kind
                : store_delivery_list(tx, s->hook.id, page_offset(&s->page), s->page.size, c->arena, &s->deliveries, &s->n, &s->page.total,
                                      err);
}

void delivery_list_reply(struct call *c) {
    struct delivery_list *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (size_t i = 0; i < s->n; i++)
        render_delivery(&w, NULL, links_of(c->api), &s->deliveries[i]);
    jw_end_array(&w);
    page_metadata(c, &w, &s->page);
    jw_end_object(&w);
}
