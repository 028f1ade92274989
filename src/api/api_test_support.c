// SPDX-License-Identifier: Apache-2.0
#include "api/api_test_support.h"

#include <dirent.h>
#include <pthread.h>
#include <unistd.h>

#include "api/state.h"
#include "auth/auth.h"
#include "base/date.h"
#include "base/secret.h"
#include "core/event.h"
#include "store/store_event.h"
#include "store/store_order.h"
#include "store/store_partner.h"
#include "store/store_product.h"
#include "store/store_sim.h"
#include "store/store_subscription.h"

#define SECRET "correct horse battery staple"

static void must(enum err_kind kind, const struct err *err, const char *what) {
    if (kind != ERR_NONE)
        fail_msg("%s: %s: %s", what, err_kind_name(kind), err_first(err));
}

void api_test_job(struct api_test *t, enum err_kind (*fn)(struct tx *tx, void *ctx, struct err *err), void *ctx) {
    struct err err = {0};
    must(store_run(t->store, fn, ctx, &err), &err, "job");
}

// ---- what is there ----

static struct product product_of(const char *public_id, const char *name, unsigned types, int64_t minor, const char *currency) {
    struct product p = {
        .name = str_of(name),
        .sim_types = types,
        .duration = 30,
        .duration_unit = DURATION_DAYS,
        .data = 1,
        .data_unit = DATA_GB,
        .price = {.minor = minor},
        .footprint_code = STR("EUROPE"),
        .on_sale = true,
    };
    assert_true(str_to_buf(str_of(public_id), p.public_id, sizeof p.public_id));
    assert_true(str_to_buf(str_of(currency), p.price.currency, sizeof p.price.currency));
    return p;
}

static enum err_kind put_product(struct tx *tx, int64_t partner_id, struct product p, struct err *err) {
    enum upsert what;
    p.partner_id = partner_id;
    return store_product_put(tx, &p, &what, err);
}

static enum err_kind put_sim(struct tx *tx, const char *iccid, int64_t partner_id, enum sim_type type, enum sim_service service,
                             enum esim_status esim, const char *matching_id, struct err *err) {
    struct sim s = {
        .partner_id = partner_id,
        .type = type,
        .service = service,
        .esim = esim,
        .matching_id = str_of(matching_id),
        .smdp = matching_id ? STR("smdp.example.com") : STR_NONE,
        .activated = service == SIM_ACTIVE ? tx_now(tx) : WALL_NONE,
        .modified = tx_now(tx),
    };
    assert_int_equal(iccid_parse(str_of(iccid), &s.iccid), ICCID_OK);
    return store_sim_insert(tx, &s, err);
}

static enum err_kind fill(struct tx *tx, void *ctx, struct err *err) {
    struct api_test *t = ctx;
    enum err_kind kind;
    for (int i = 0; i < 2; i++) {
        struct secret_hash hash;
        t->partner[i] = (struct partner){
            .client_id = i ? STR("other") : STR("acme"),
            .name = i ? STR("Other") : STR("Acme"),
            .currencies = STR(""),
            .rate_per_minute = -1,
            .event_days = 90,
            .created = tx_now(tx),
        };
        if ((kind = store_partner_insert(tx, &t->partner[i], err)) != ERR_NONE)
            return kind;
        secret_hash_of(&t->rng, STR(SECRET), &hash);
        if ((kind = store_partner_secret_add(tx, t->partner[i].id, &hash, WALL_NONE, err)) != ERR_NONE)
            return kind;
    }
    int64_t one = t->partner[0].id, two = t->partner[1].id;
    struct product both = product_of(PRODUCT_BOTH, "Europe 1 GB", SIM_ESIM | SIM_PSIM, 2000, "EUR");
    struct product esim = product_of(PRODUCT_ESIM, "Plan name", SIM_ESIM, 2550, "USD");
    struct product off = product_of(PRODUCT_OFF, "Old plan", SIM_ESIM | SIM_PSIM, 100, "EUR");
    esim.duration = 90;
    esim.data = 50;
    esim.data_unit = DATA_MB;
    esim.footprint_code = STR("GLOBAL");
    off.on_sale = false;
    if ((kind = put_product(tx, one, both, err)) || (kind = put_product(tx, one, esim, err)) || (kind = put_product(tx, one, off, err)) ||
        (kind = put_product(tx, two, both, err)))
        return kind;
    if ((kind = put_sim(tx, PSIM_ACTIVE, one, SIM_PSIM, SIM_ACTIVE, ESIM_NONE, NULL, err)) ||
        (kind = put_sim(tx, PSIM_STOCK, one, SIM_PSIM, SIM_STOCK, ESIM_NONE, NULL, err)) ||
        (kind = put_sim(tx, ESIM_OK, one, SIM_ESIM, SIM_ACTIVE, ESIM_RELEASED, "6C-DA326D-K86D", err)) ||
        (kind = put_sim(tx, ESIM_GONE, one, SIM_ESIM, SIM_ACTIVE, ESIM_UNAVAILABLE, "5C-M1OIYQ-HWKD", err)) ||
        (kind = put_sim(tx, PSIM_OTHER, two, SIM_PSIM, SIM_ACTIVE, ESIM_NONE, NULL, err)))
        return kind;
    return ERR_NONE;
}

void api_test_open(struct api_test *t) {
    api_test_open_routes(t, api_routes, api_routes_count, false);
}

void api_test_open_routes(struct api_test *t, const struct route *routes, size_t n, bool threaded) {
    struct err err = {0};
    struct wall now;
    *t = (struct api_test){.folder = "/tmp/topupd-api-test-XXXXXX"};
    assert_non_null(mkdtemp(t->folder));
    assert_true(date_parse(STR(TEST_NOW), &now));
    t->clock = clock_manual_init(&t->clock_state, now);
    t->rng = testing_rng(&t->rng_state);
    arena_init(&t->arena, 256 * 1024);

    struct store_options so;
    store_options_default(&so);
    so.location = t->folder;
    so.clock = &t->clock;
    so.rng = &t->rng;
    so.threaded = t->threaded = threaded;
    so.may_create = true;
    must(store_open(&so, &t->store, &err), &err, "store");
    api_test_job(t, fill, t);

    struct auth_options ao = {
        .issuer = "https://api.example.com/auth/realms/tru-staff",
        .audience = "connect-api",
        .access_seconds = 300,
        .refresh_seconds = 1800,
        .clock = &t->clock,
        .rng = &t->rng,
    };
    must(auth_open(t->store, &ao, &t->auth, &err), &err, "auth");

    struct tx *tx;
    must(store_read_begin(t->store, &tx, &err), &err, "reader");
    for (int i = 0; i < 2; i++) {
        struct token_pair pair;
        must(auth_issue(t->auth, tx, t->partner[i].client_id, STR(SECRET), STR_NONE, &t->arena, &pair, &err), &err, "token");
        t->token[i] = arena_printf(&t->arena, "Bearer " STR_FMT, STR_ARG(pair.access));
    }
    store_read_end(tx);

    struct api_options o = {
        .upkeep = true,
        .store = t->store,
        .auth = t->auth,
        .clock = &t->clock,
        .rng = &t->rng,
        .base_url = TEST_BASE_URL,
        .realm = "tru-staff",
        .qr_host_path = TEST_QR_URL,
        .node = 1,
        .idempotency_days = 7,
    };
    must(api_open_routes(&o, routes, n, &t->api, &err), &err, "api");
    t->handler = api_handler(t->api);
    if (threaded)
        must(api_run(t->api, &err), &err, "api's thread");
}

static void remove_folder(const char *folder) {
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    if (dir)
        closedir(dir);
    rmdir(folder);
}

#define OPERATOR_TOKEN "an operator's token of some length"
const struct header api_test_as_operator[] = {{"Authorization", "Bearer " OPERATOR_TOKEN}, {NULL, NULL}};

static enum err_kind add_operator(struct tx *tx, void *ctx UNUSED, struct err *err) {
    struct operator_token token = {.name = STR("olga"), .created = tx_now(tx), .expires = WALL_NONE};
    sha256_of(STR(OPERATOR_TOKEN), token.sha256);
    return store_operator_add(tx, &token, err);
}

void api_test_operator(struct api_test *t) {
    api_test_job(t, add_operator, NULL);
}

void api_test_close(struct api_test *t) {
    api_stop(t->api);
    store_close(t->store); // before those that its callbacks use
    api_close(t->api);
    auth_close(t->auth);
    arena_release(&t->arena);
    remove_folder(t->folder);
}

// ---- calls ----

struct exchange {
    struct http_exchange x; // first: the handler sees this
    struct str authorization;
    bool has_body;
    const struct header *headers;
    bool later, resumed;
    bool ended;           // a stream
    pthread_mutex_t lock; // of `resumed`
    pthread_cond_t changed;
};

static struct str side_header(struct http_exchange *x, const char *name) {
    struct exchange *e = (struct exchange *)x;
    for (const struct header *h = e->headers; h && h->name; h++)
        if (str_eq_nocase(str_of(h->name), str_of(name)))
            return str_of(h->value);
    if (str_eq_nocase(str_of(name), STR("Authorization")))
        return e->authorization;
    if (str_eq_nocase(str_of(name), STR("Content-Type")) && e->has_body)
        return STR("application/json");
    return STR_NONE;
}

static void side_resume(struct http_exchange *x) {
    struct exchange *e = (struct exchange *)x;
    pthread_mutex_lock(&e->lock);
    CHECK(!e->resumed);
    e->resumed = true;
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

static struct str side_client_address(struct http_exchange *x UNUSED) {
    return STR("192.0.2.1");
}

static const struct http_side side = {side_header, side_resume, side_client_address};

static void keep_header(const struct http_exchange *x, const char *name, char *out, size_t size) {
    out[0] = '\0';
    for (size_t i = 0; i < x->n_out; i++)
        if (str_eq_nocase(str_of(x->out[i].name), str_of(name)))
            assert_true(str_to_buf(x->out[i].value, out, size));
}

void answer_release(struct answer *a) {
    buf_release(&a->body);
    json_decref(a->json);
    *a = (struct answer){0};
}

struct exchange *api_test_begin(struct api_test *t, int token, enum http_method method, const char *target, const char *body,
                                const struct header *headers) {
    struct exchange *e = xcalloc(1, sizeof *e);
    *e = (struct exchange){
        .x = {.side = &side, .method = method, .body = body ? str_of(body) : STR(""), .started = clock_mono(&t->clock)},
        .authorization = token < 0 ? STR_NONE : t->token[token],
        .has_body = body != NULL,
        .headers = headers,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
    };
    e->x.query = str_cut(str_of(target), '?', &e->x.path);
    arena_init(&e->x.arena, 1024 * 1024);
    buf_init(&e->x.reply, 8 * 1024 * 1024);
    e->later = t->handler.handle(t->handler.ctx, &e->x) == HTTP_LATER;
    return e;
}

bool api_test_waits(struct exchange *e) {
    pthread_mutex_lock(&e->lock);
    bool waits = e->later && !e->resumed;
    pthread_mutex_unlock(&e->lock);
    return waits;
}

bool api_test_asleep(struct api_test *t, struct exchange *e) {
    if (e->later && e->resumed) {
        e->resumed = false;
        e->later = t->handler.resume(t->handler.ctx, &e->x) == HTTP_LATER;
    }
    return e->later;
}

bool api_test_more(struct api_test *t, struct exchange *e, struct buf *said) {
    struct http_exchange *x = &e->x;
    assert_true(x->stream);
    bool asleep = api_test_waits(e);
    while (!e->ended && !asleep) {
        e->resumed = e->later = false;
        buf_add_str(said, buf_str(&x->reply));
        buf_clear(&x->reply);
        enum http_more more = t->handler.more(t->handler.ctx, x);
        e->ended = more == HTTP_END;
        e->later = asleep = more == HTTP_WAIT;
        assert_int_equal(more == HTTP_MORE, x->reply.n > 0);
    }
    return !e->ended;
}

void api_test_end(struct api_test *t, struct exchange *e, struct answer *a) {
    answer_release(a);
    pthread_mutex_lock(&e->lock);
    while (t->threaded && e->later && !e->resumed)
        pthread_cond_wait(&e->changed, &e->lock);
    pthread_mutex_unlock(&e->lock);
    assert_int_equal(e->later, e->resumed); // whoever took it has said so once, or nobody took it
    if (e->later)
        assert_int_equal(t->handler.resume(t->handler.ctx, &e->x), HTTP_REPLY);
    t->handler.end(t->handler.ctx, &e->x, true);

    a->status = e->x.status;
    keep_header(&e->x, "Content-Type", a->content_type, sizeof a->content_type);
    keep_header(&e->x, "Location", a->location, sizeof a->location);
    keep_header(&e->x, "Cache-Control", a->cache_control, sizeof a->cache_control);
    keep_header(&e->x, "X-Correlation-ID", a->correlation, sizeof a->correlation);
    keep_header(&e->x, "Idempotent-Replayed", a->replayed, sizeof a->replayed);
    keep_header(&e->x, "Preference-Applied", a->preference_applied, sizeof a->preference_applied);
    a->body = e->x.reply;
    a->json = json_loadb(buf_str(&a->body).p, a->body.n, JSON_REJECT_DUPLICATES, NULL);
    arena_release(&e->x.arena);
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

void api_test_call(struct api_test *t, struct answer *a, int token, enum http_method method, const char *target, const char *body,
                   const struct header *headers) {
    api_test_end(t, api_test_begin(t, token, method, target, body, headers), a);
}

json_t *answer_at(const struct answer *a, const char *path) {
    json_t *at = a->json;
    struct str rest = str_of(path), head;
    while (at && str_present(rest)) {
        char key[64];
        uint64_t index;
        rest = str_cut(rest, '.', &head);
        assert_true(str_to_buf(head, key, sizeof key));
        at = json_is_array(at) && str_to_u64(head, &index) ? json_array_get(at, (size_t)index) : json_object_get(at, key);
    }
    return at;
}

const char *answer_text(const struct answer *a, const char *path) {
    const char *text = json_string_value(answer_at(a, path));
    return text ? text : "";
}

void assert_answer(const struct answer *a, int status) {
    if (a->status != status)
        fail_msg("status %d, expected %d: " STR_FMT, a->status, status, STR_ARG(buf_str(&a->body)));
}

void assert_problem(const struct answer *a, int status, const char *type, ...) {
    assert_answer(a, status);
    assert_string_equal(answer_text(a, "type"), type);
    json_t *messages = answer_at(a, "messages");
    va_list args;
    va_start(args, type);
    size_t expected = 0;
    for (const char *wanted; (wanted = va_arg(args, const char *)); expected++) {
        bool said = false;
        for (size_t i = 0; i < json_array_size(messages); i++)
            said = said || str_starts(str_of(json_string_value(json_array_get(messages, i))), wanted);
        if (!said)
            fail_msg("nothing says \"%s\": " STR_FMT, wanted, STR_ARG(buf_str(&a->body)));
    }
    va_end(args);
    if (json_array_size(messages) != expected)
        fail_msg("%zu messages, expected %zu: " STR_FMT, json_array_size(messages), expected, STR_ARG(buf_str(&a->body)));
}

// ---- what the engine would do ----

struct ending {
    struct api_test *t;
    struct uuid id;
    struct str failure; // STR_NONE: COMPLETED
};

static enum err_kind tell(struct tx *tx, const struct order *o, struct err *err) {
    struct buf payload;
    struct order_was was = order_was_in(ORDER_ACCEPTED);
    buf_init(&payload, EVENT_PAYLOAD_MAX);
    event_pack_order(&payload, o, &was);
    struct event e = {.partner_id = o->partner_id,
                      .type = event_of_order(o->state),
                      .created = tx_now(tx),
                      .order_id = o->id,
                      .iccid = o->iccid,
                      .payload = buf_str(&payload)};
    enum err_kind kind = store_event_append(tx, &e, err);
    buf_release(&payload);
    return kind;
}

static enum err_kind end_order(struct tx *tx, void *ctx, struct err *err) {
    struct ending *e = ctx;
    struct arena *a = &e->t->arena;
    struct order o;
    struct product p;
    struct sim sim;
    struct subscription s;
    struct task *tasks;
    size_t n;
    enum err_kind kind;
    if ((kind = store_order_get(tx, e->id, a, &o, err)) || (kind = store_product_get(tx, o.product_id, a, &p, err)) ||
        (kind = store_task_of_order(tx, o.id, a, &tasks, &n, err)))
        return kind;
    for (size_t i = 0; i < n; i++)
        if ((kind = store_task_delete(tx, &tasks[i], err)))
            return kind;
    o.finished = tx_now(tx);
    o.state = str_present(e->failure) ? ORDER_FAILED : ORDER_COMPLETED;
    o.failure = e->failure;
    if (o.state == ORDER_FAILED)
        return (kind = store_order_update(tx, &o, err)) ? kind : tell(tx, &o, err);
    if (o.iccid == ICCID_NONE) {
        if ((kind = store_sim_take_profile(tx, o.partner_id, false, a, &sim, err)))
            return kind;
        o.iccid = sim.iccid;
        o.matching_id = sim.matching_id;
        o.smdp = sim.smdp;
    } else if ((kind = store_sim_get(tx, o.iccid, a, &sim, err))) {
        return kind;
    }
    sim.service = SIM_ACTIVE;
    order_subscription(&o, &p, o.created, &s);
    if ((kind = store_order_update(tx, &o, err)) || (kind = store_sim_update(tx, &sim, err)) || (kind = tell(tx, &o, err)))
        return kind;
    return store_subscription_insert(tx, &s, err);
}

static void end_by_id(struct api_test *t, const char *order_id, struct str failure) {
    struct ending e = {.t = t, .failure = failure};
    assert_true(uuid_parse(str_of(order_id), &e.id));
    api_test_job(t, end_order, &e);
}

void api_test_complete(struct api_test *t, const char *order_id) {
    end_by_id(t, order_id, STR_NONE);
}

void api_test_fail(struct api_test *t, const char *order_id, const char *why) {
    end_by_id(t, order_id, str_of(why));
}
