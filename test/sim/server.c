// SPDX-License-Identifier: Apache-2.0
#include "server.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/date.h"
#include "base/secret.h"
#include "peer/sandbox.h"
#include "store/store_partner.h"
#include "store/store_product.h"
#include "store/store_sim.h"

#define BASE_URL "https://api.example.com"
#define SECRET "correct horse battery staple"
#define OPERATOR_TOKEN "an operator of the simulation 0123456789"
#define START "2026-11-23T12:00:00Z"
#define TOKEN_FRESH_MS 200000
#define TURNS_MAX 100

const struct sim_product sim_products[PRODUCTS] = {
    {"kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=", "Both kinds", SIM_ESIM | SIM_PSIM, INT64_C(1) << 30, true, false},
    {"wp-_bXkuC26SFDSRMHyiAQK7LJ6MtiWyr3zLfwB7FM=", "eSIM alone", SIM_ESIM, INT64_C(50) << 20, true, false},
    {"CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCA=", "pSIM alone", SIM_PSIM, INT64_C(2) << 20, true, false},
    {"DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDA=", "First usage", SIM_ESIM | SIM_PSIM, INT64_C(3) << 20, true, true},
    {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "Not on sale", SIM_ESIM | SIM_PSIM, INT64_C(1) << 30, false, false},
};
static const int product_days[PRODUCTS] = {30, 90, 1, 7, 30};
const int sim_cap_day[PARTNERS] = {0, 2, 0}, sim_cap_month[PARTNERS] = {0, 3, 0};

static const char *const clients[PARTNERS] = {"acme", "other", "third"};

static void must(enum err_kind kind, const struct err *err, const char *what) {
    if (kind)
        sim_fail("%s: %s: %s", what, err_kind_name(kind), err_first(err));
}

// ---- what every run begins with ----

void sim_iccid(int p, int i, char out[20]) {
    snprintf(out, 20, "894447260000%02d%04d", p, i);
    out[18] = luhn_digit(str_of(out));
    out[19] = 0;
}

static enum err_kind put_sim(struct tx *tx, int p, int i, struct err *err) {
    char iccid[20], matching[16];
    sim_iccid(p, i, iccid);
    snprintf(matching, sizeof matching, "M-%d-%d", p, i);
    bool esim = i >= PSIMS, active = i < PSIMS / 2;
    struct sim s = {.partner_id = p + 1,
                    .type = esim ? SIM_ESIM : SIM_PSIM,
                    .service = active ? SIM_ACTIVE : SIM_STOCK,
                    .esim = esim ? ESIM_RELEASED : ESIM_NONE,
                    .matching_id = esim ? str_of(matching) : STR_NONE,
                    .smdp = esim ? STR("smdp.example.com") : STR_NONE,
                    .activated = active ? tx_now(tx) : WALL_NONE,
                    .modified = tx_now(tx)};
    if (iccid_parse(str_of(iccid), &s.iccid) != ICCID_OK)
        return err_set(err, ERR_INTERNAL, "%s is no ICCID", iccid);
    return store_sim_insert(tx, &s, err);
}

static enum err_kind put_partner(struct tx *tx, int i, const struct rng *rng, struct err *err) {
    struct partner p = {.client_id = str_of(clients[i]),
                        .name = str_of(clients[i]),
                        .currencies = STR(""),
                        .mode = i == SANDBOX ? PARTNER_SANDBOX : PARTNER_LIVE,
                        .cap_day = sim_cap_day[i],
                        .cap_month = sim_cap_month[i],
                        .event_days = 36500,
                        .rate_per_minute = -1,
                        .thresholds = {2, {50, 80}},
                        .created = tx_now(tx)};
    struct secret_hash hash;
    enum err_kind kind = store_partner_insert(tx, &p, err);
    secret_hash_of(rng, STR(SECRET), &hash);
    if (!kind)
        kind = store_partner_secret_add(tx, p.id, &hash, WALL_NONE, err);
    for (int k = 0; k < PRODUCTS && !kind; k++) {
        const struct sim_product *from = &sim_products[k];
        enum upsert what;
        struct product to = {.partner_id = p.id,
                             .name = str_of(from->name),
                             .sim_types = from->types,
                             .duration = product_days[k],
                             .duration_unit = DURATION_DAYS,
                             .data = from->bytes >> 20,
                             .data_unit = DATA_MB,
                             .price = {.minor = 2000, .currency = "EUR"},
                             .footprint_code = STR("EUROPE"),
                             .first_usage = from->first_usage,
                             .on_sale = from->on_sale};
        CHECK(str_to_buf(str_of(from->id), to.public_id, sizeof to.public_id));
        kind = store_product_put(tx, &to, &what, err);
    }
    for (int k = 0; k < PSIMS + PROFILES && !kind; k++)
        kind = put_sim(tx, i, k, err);
    return kind;
}

static enum err_kind furnish(struct tx *tx, void *ctx, struct err *err) {
    enum err_kind kind = ERR_NONE;
    for (int i = 0; i < PARTNERS && !kind; i++)
        kind = put_partner(tx, i, ctx, err);
    struct operator_token token = {.name = STR("operator"), .created = tx_now(tx), .expires = WALL_NONE};
    sha256_of(STR(OPERATOR_TOKEN), token.sha256);
    return kind ? kind : store_operator_add(tx, &token, err);
}

static struct store_options options(const char *folder, const struct clock *clock, const struct rng *rng) {
    struct store_options o;
    store_options_default(&o);
    o.location = folder;
    o.clock = clock;
    o.rng = rng;
    o.threaded = false;
    o.readers = 2;
    return o;
}

static struct auth_options auth_settings(const struct clock *clock, const struct rng *rng) {
    return (struct auth_options){.issuer = BASE_URL "/auth/realms/tru-staff",
                                 .audience = "connect-api",
                                 .access_seconds = 300,
                                 .refresh_seconds = 1800,
                                 .clock = clock,
                                 .rng = rng};
}

static struct wall start_of_time(void) {
    struct wall at;
    CHECK(date_parse(STR(START), &at));
    return at;
}

void server_template_make(const char *folder) {
    struct clock_manual time;
    struct rng_seeded state;
    struct clock clock = clock_manual_init(&time, start_of_time());
    struct rng rng = rng_seeded_init(&state, 0);
    struct store_options o = options(folder, &clock, &rng);
    struct auth_options ao = auth_settings(&clock, &rng);
    struct store *store;
    struct auth *auth;
    struct err err = {0};
    must(store_open(&o, &store, &err), &err, "template");
    must(store_run(store, furnish, &rng, &err), &err, "template");
    must(auth_open(store, &ao, &auth, &err), &err, "template");
    auth_close(auth);
    store_close(store);
}

// ---- files ----

// Copies at most `limit` bytes; a file that is not there is none in the copy.
static void copy_file(const char *from, const char *to, int64_t limit) {
    static const size_t size = 1 << 20;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return;
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char *bytes = xmalloc(size);
    for (ssize_t n; limit > 0 && (n = read(in, bytes, size)) > 0; limit -= n) {
        if (n > limit)
            n = (ssize_t)limit;
        if (write(out, bytes, (size_t)n) != n)
            sim_fail("cannot write %s", to);
    }
    free(bytes);
    close(in);
    close(out);
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

void server_template_remove(const char *folder) {
    remove_folder(folder);
}

static int64_t size_of_log(const struct server *s) {
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/topupd.db-wal", s->store_folder);
    return stat(path, &st) == 0 ? st.st_size : 0;
}

static void before_unheard_commit(void *ctx) {
    struct server *s = ctx;
    s->log_heard = size_of_log(s);
}

void server_fault(struct server *s, enum fault_mode mode, int64_t at) {
    s->log_heard = -1;
    db_fault_arm(&s->fault, mode, at);
}

// ---- its life ----

void server_engine_start(struct server *s, int i) {
    struct err err = {0};
    struct engine_options o = {.store = s->store,
                               .clock = &s->clock,
                               .rng = &s->rng,
                               .node = i + 1,
                               .lease_seconds = 60,
                               .call_timeout_seconds = 30,
                               .batch_max = 100};
    must(engine_open(&o, &s->engines[i], &err), &err, "engine");
    engine_set_sandbox_peer(s->engines[i], peer_sandbox_open("sandbox", &s->clock));
    struct peer *p = s->element ? peer_fake_twin(s->element) : NULL;
    for (int kind = 0; p && kind < TASK_KINDS; kind++)
        if (s->outside & 1U << kind)
            engine_set_peer(s->engines[i], (enum task_kind)kind, p);
    if (s->at_once && i == 0)
        engine_settle_at_once(s->engines[i]);
}

void server_engine_drop(struct server *s, int i) {
    if (s->at_once && i == 0 && s->store)
        store_at_end(s->store, NULL);
    engine_close(s->engines[i]);
    s->engines[i] = NULL;
}

bool server_start(struct server *s) {
    struct err err = {0};
    struct store_options so = options(s->store_folder, &s->clock, &s->rng);
    so.driver = &s->fault.driver;
    struct auth_options ao = auth_settings(&s->clock, &s->rng);
    if (store_open(&so, &s->store, &err)) {
        s->store = NULL;
        return false;
    }
    if (auth_open(s->store, &ao, &s->auth, &err)) {
        s->auth = NULL;
        return false;
    }
    struct api_options o = {.store = s->store,
                            .upkeep = true,
                            .auth = s->auth,
                            .clock = &s->clock,
                            .rng = &s->rng,
                            .base_url = BASE_URL,
                            .realm = "tru-staff",
                            .qr_host_path = BASE_URL "/connect/qrcode/v1/esim",
                            .node = 1,
                            .idempotency_days = 36500};
    if (api_open(&o, &s->api, &err)) {
        s->api = NULL;
        return false;
    }
    s->handler = api_handler(s->api);
    for (int i = 0; i < ENGINES; i++)
        server_engine_start(s, i);
    s->tokens_made = WALL_NONE;
    return true;
}

static void stop(struct server *s) {
    for (int i = 0; i < ENGINES; i++)
        server_engine_drop(s, i);
    if (s->api)
        api_close(s->api);
    auth_close(s->auth);
    store_close(s->store);
    s->api = NULL;
    s->auth = NULL;
    s->store = NULL;
}

void server_crash(struct server *s, const struct rng *dice) {
    char old[sizeof s->store_folder], from[128], to[128];
    memcpy(old, s->store_folder, sizeof old);
    // Of a commit that nobody heard of any part may be on the disk.
    int64_t size = size_of_log(s);
    if (s->fault.mode == FAULT_EXPIRES && s->log_heard >= 0 && size > s->log_heard)
        size = s->log_heard + (int64_t)rng_below(dice, (uint64_t)(size - s->log_heard) + 1);
    snprintf(s->store_folder, sizeof s->store_folder, "%s/%d", s->folder, ++s->images);
    if (mkdir(s->store_folder, 0700) != 0)
        sim_fail("cannot make %s", s->store_folder);
    snprintf(from, sizeof from, "%s/topupd.db", old);
    snprintf(to, sizeof to, "%s/topupd.db", s->store_folder);
    copy_file(from, to, INT64_MAX);
    snprintf(from, sizeof from, "%s/topupd.db-wal", old);
    snprintf(to, sizeof to, "%s/topupd.db-wal", s->store_folder);
    copy_file(from, to, size);
    stop(s);
    remove_folder(old);
    server_fault(s, FAULT_REFUSES, 0);
}

void server_open(struct server *s, const char *template, uint64_t seed, const char *script, unsigned outside) {
    struct err err = {0};
    char from[128], to[128];
    *s = (struct server){.outside = outside, .at_once = seed & 1};
    snprintf(s->folder, sizeof s->folder, "%s/topupd-sim-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(s->folder))
        sim_fail("cannot make a folder");
    snprintf(s->store_folder, sizeof s->store_folder, "%s/0", s->folder);
    if (mkdir(s->store_folder, 0700) != 0)
        sim_fail("cannot make %s", s->store_folder);
    snprintf(from, sizeof from, "%s/topupd.db", template);
    snprintf(to, sizeof to, "%s/topupd.db", s->store_folder);
    copy_file(from, to, INT64_MAX);

    s->clock = clock_manual_init(&s->time, start_of_time());
    s->rng = rng_seeded_init(&s->rng_state, seed);
    arena_init(&s->token_memory, 1 << 16);
    db_fault_init(&s->fault, &db_sqlite);
    s->fault.unheard = before_unheard_commit;
    s->log_heard = -1;
    s->fault.ctx = s;
    if (script)
        must(peer_fake_open("hlr1", str_of(script), &s->clock, &s->element, &err), &err, "script");
    if (!server_start(s))
        sim_fail("the server does not start");
}

void server_inherit(struct server *s) {
    s->store = NULL;
    s->auth = NULL;
    s->api = NULL;
    s->element = NULL;
    memset(s->engines, 0, sizeof s->engines);
    arena_init(&s->token_memory, 1 << 16);
    server_fault(s, FAULT_REFUSES, 0);
    if (!server_start(s))
        sim_fail("the server does not start again");
}

void server_close(struct server *s) {
    stop(s);
    if (s->element)
        s->element->ops->close(s->element);
    arena_release(&s->token_memory);
    remove_folder(s->store_folder);
    rmdir(s->folder);
}

// ---- calls ----

struct exchange {
    struct http_exchange x; // first: the handler sees this
    const struct call_out *call;
    struct str authorization;
    enum http_answer answer;
    bool resumed;
};

static struct str side_header(struct http_exchange *x, const char *name) {
    const struct exchange *e = (const struct exchange *)x;
    const struct call_out *c = e->call;
    struct str h = str_of(name);
    if (str_eq_nocase(h, STR("Authorization")))
        return e->authorization;
    if (str_eq_nocase(h, STR("Content-Type")) && c->body[0])
        return STR("application/json");
    if (str_eq_nocase(h, STR("X-Correlation-ID")) && c->correlation[0])
        return str_of(c->correlation);
    if (str_eq_nocase(h, STR("Idempotency-Key")) && c->key[0])
        return str_of(c->key);
    return STR_NONE;
}

static void side_resume(struct http_exchange *x) {
    ((struct exchange *)x)->resumed = true;
}

static struct str side_client_address(struct http_exchange *x) {
    (void)x;
    return STR("192.0.2.1");
}

static const struct http_side side = {side_header, side_resume, side_client_address};

// Fresh tokens when the ones at hand are, or look, old. A partner without one (the store failed) is told 401.
static void take_tokens(struct server *s) {
    struct wall now = clock_wall(&s->clock);
    int64_t age = wall_set(s->tokens_made) ? now.ms - s->tokens_made.ms : INT64_MAX;
    if (age >= 0 && age < TOKEN_FRESH_MS)
        return;
    int64_t at = s->fault.at; // the run's faults are for its calls
    s->fault.at = 0;
    struct err err = {0};
    struct tx *tx;
    arena_reset(&s->token_memory);
    must(store_read_begin(s->store, &tx, &err), &err, "token");
    for (int i = 0; i < PARTNERS; i++) {
        struct token_pair pair;
        must(auth_issue(s->auth, tx, str_of(clients[i]), STR(SECRET), STR_NONE, &s->token_memory, &pair, &err), &err, "token");
        s->tokens[i] = arena_printf(&s->token_memory, "Bearer " STR_FMT, STR_ARG(pair.access));
    }
    store_read_end(tx);
    s->tokens_made = now;
    s->fault.at = at;
}

struct batch {
    struct server *s;
    struct exchange *exchanges;
    size_t n;
};

bool server_code;

static void hand_over(struct server *s, struct exchange *e) {
    server_code = true;
    e->answer = s->handler.handle(s->handler.ctx, &e->x);
    server_code = false;
}

static enum err_kind nothing(struct tx *tx, void *ctx, struct err *err) {
    (void)tx, (void)ctx, (void)err;
    return ERR_NONE;
}

// From here what is submitted waits until the writer is free: one batch.
static void hand_over_all(void *ctx, enum err_kind kind, const struct err *err) {
    (void)kind, (void)err;
    struct batch *b = ctx;
    for (size_t i = 0; i < b->n; i++)
        hand_over(b->s, &b->exchanges[i]);
}

static void take_answer(struct server *s, struct exchange *e, struct call_out *c) {
    if (e->answer != HTTP_LATER && e->resumed)
        sim_fail("%s: a call is answered and resumed", c->target);
    server_code = true;
    if (e->answer == HTTP_LATER)
        s->handler.resume(s->handler.ctx, &e->x);
    server_code = false;
    c->status = e->x.status;
    struct str body = buf_str(&e->x.reply);
    c->json = body.n ? json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    c->hash = UINT64_C(14695981039346656037); // FNV-1a
    for (size_t i = 0; i < body.n; i++)
        c->hash = (c->hash ^ (uint8_t)body.p[i]) * UINT64_C(1099511628211);
    for (size_t i = 0; i < e->x.n_out; i++)
        c->replayed |= str_eq_nocase(str_of(e->x.out[i].name), STR("Idempotent-Replayed"));
    s->handler.end(s->handler.ctx, &e->x, true);
    buf_release(&e->x.reply);
    arena_release(&e->x.arena);
}

static bool is_waiting(const struct exchange *exchanges, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (exchanges[i].answer == HTTP_LATER && !exchanges[i].resumed)
            return true;
    return false;
}

void server_call(struct server *s, struct call_out *calls, size_t n) {
    take_tokens(s);
    struct exchange *exchanges = xcalloc(n, sizeof *exchanges);
    for (size_t i = 0; i < n; i++) {
        struct exchange *e = &exchanges[i];
        struct call_out *c = &calls[i];
        *e = (struct exchange){.x = {.side = &side, .method = c->method, .body = str_of(c->body), .started = clock_mono(&s->clock)},
                               .call = c,
                               .authorization = c->who == OPERATOR ? STR("Bearer " OPERATOR_TOKEN) : s->tokens[c->who]};
        e->x.query = str_cut(str_of(c->target), '?', &e->x.path);
        arena_init(&e->x.arena, 1024 * 1024);
        buf_init(&e->x.reply, 8 * 1024 * 1024);
    }
    if (n == 1) {
        hand_over(s, &exchanges[0]);
    } else {
        struct batch b = {s, exchanges, n};
        struct store_job carrier = {.run = nothing, .done = hand_over_all, .ctx = &b};
        struct err err = {0};
        must(store_submit(s->store, &carrier, &err), &err, "batch");
    }
    // What waits for another call, or for room, is looked at again by and by.
    for (int turns = 0; is_waiting(exchanges, n); turns++) {
        if (turns == TURNS_MAX)
            sim_fail("%s: a call that waits is never resumed", calls[0].target);
        clock_manual_advance(&s->time, 200);
        api_turn(s->api);
    }
    for (size_t i = 0; i < n; i++)
        take_answer(s, &exchanges[i], &calls[i]);
    free(exchanges);
}

void call_release(struct call_out *c) {
    json_decref(c->json);
    c->json = NULL;
}
