// SPDX-License-Identifier: Apache-2.0
/*
 * sim.c - random lives of the whole server, each from a seed, held against a model.
 *
 *   sim [--seed N] [--rounds N] [--jobs N] [--verbose]
 *
 * Round `i` runs with seed N + i, twice when --twice is given: both must be the same to the byte. A round that fails says its seed;
 * `make sim SEED=... ROUNDS=1` plays it again. Without --seed one is drawn and printed. After many rounds it is checked that what is to be
 * tried was tried: a simulation in which every order is refused proves nothing.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/date.h"
#include "base/log.h"
#include "base/metrics.h"
#include "model.h"
#include "server.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define ROUNDS_THAT_TELL 200 // so many rounds must have met everything

// What the rounds of all processes have met.
enum met {
    MET_ACCEPTED,
    MET_INVALID,
    MET_FORBIDDEN,
    MET_CAPPED,
    MET_FULL,
    MET_STATE,
    MET_COMPLETED,
    MET_FAILED,
    MET_UNAVAILABLE,
    MET_DOUBT,
    MET_DOUBT_THERE,
    MET_DOUBT_NOT_THERE,
    MET_BOOKED,
    MET_UNRATED,
    MET_REPEATED,
    MET_MISMATCH,
    MET_STARTED,
    MET_EXPIRED,
    MET_CRASH,
    MET_DEATH,
    MET_NO_START,
    MET_ENGINE_CRASH,
    MET_PARKED,
    MET_UNDONE,
    MET_REPLAYED,
    MET_KEY_DOUBT,
    MET_OTHER_BODY,
    MET_SANDBOX,
    MET_ACTIONS,
    METS
};
static const char *const met_words[METS] = {"orders accepted",
                                            "orders invalid",
                                            "SIMs of others",
                                            "caps reached",
                                            "SIMs full",
                                            "states that forbid",
                                            "orders completed",
                                            "orders failed",
                                            "503",
                                            "requests in doubt",
                                            "doubts that were there",
                                            "doubts that were not",
                                            "records booked",
                                            "records unrated",
                                            "records repeated",
                                            "records changed",
                                            "subscriptions begun",
                                            "subscriptions ended",
                                            "crashes",
                                            "deaths in a job",
                                            "starts that failed",
                                            "engines lost",
                                            "tasks parked",
                                            "deeds undone",
                                            "answers given again",
                                            "doubts settled by a key",
                                            "keys with another body",
                                            "sandbox clocks moved",
                                            "actions"};
static _Atomic int64_t *met;

static uint64_t seed_now;
static bool verbose;
static char template_folder[64];

NORETURN void sim_fail(const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "sim: seed %" PRIu64 ": %s\nsim: play it again: make sim SEED=%" PRIu64 " ROUNDS=1\n", seed_now, text, seed_now);
    _exit(1);
}

struct run {
    struct server server;
    struct model model;
    struct rng_seeded dice_state;
    struct rng dice;
    bool whole_plan; // the element serves every step
    uint64_t hash;
    bool narrow; // most orders go to one SIM
    int faulty;  // actions since a fault that may still be felt
};

static uint64_t below(struct run *r, uint64_t bound) {
    return rng_below(&r->dice, bound);
}

static bool percent(struct run *r, uint64_t p) {
    return below(r, 100) < p;
}

static int64_t now_ms(struct run *r) {
    return clock_wall(&r->server.clock).ms;
}

static void trace(struct run *r, uint64_t what) {
    r->hash = (r->hash ^ what) * UINT64_C(1099511628211);
}

static void say(const char *format, ...) PRINTF_LIKE(1, 2);
static void say(const char *format, ...) {
    if (!verbose)
        return;
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

// ---- the network ----

static const char *const actions[] = {"done", "late", "refuse", "unavailable", "hang", "lost-undone", "lose", "twice"};

static void write_script(struct run *r, char *out, size_t size) {
    size_t n = 0;
    out[0] = 0;
    for (uint64_t rules = below(r, 12); rules > 0; rules--) {
        const char *kind = percent(r, 50) ? "*" : task_kind_words[below(r, TASK_KINDS)];
        const char *verb = percent(r, 40) ? "*" : percent(r, 60) ? "START" : percent(r, 50) ? "PROBE" : "CANCEL";
        const char *action = actions[below(r, ARRAY_LEN(actions))];
        bool slow = strcmp(action, "late") == 0 || strcmp(action, "twice") == 0 || (strcmp(action, "done") == 0 && percent(r, 30));
        char delay[16] = "";
        if (slow)
            snprintf(delay, sizeof delay, " %" PRIu64 "ms", 1 + below(r, percent(r, 20) ? 90000 : 3000));
        n += (size_t)snprintf(out + n, size - n, "%s %s * %" PRIu64 ": %s%s\n", kind, verb, 1 + below(r, percent(r, 10) ? 40 : 6), action,
                              delay);
    }
}

// ---- orders ----

static const char *const operations[] = {"ACTIVATION", "TOPUP"};

static void add(char *out, size_t size, const char *format, ...) PRINTF_LIKE(3, 4);
static void add(char *out, size_t size, const char *format, ...) {
    size_t n = strlen(out);
    va_list args;
    va_start(args, format);
    vsnprintf(out + n, size - n, format, args);
    va_end(args);
}

static void add_date(struct run *r, char *out, size_t size, const char *name, int64_t at) {
    char date[DATE_TEXT];
    (void)r;
    date_format((struct wall){at}, date);
    add(out, size, ",\"%s\":\"%s\"", name, date);
}

// What a correct order may be made wrong by; the status that must follow.
enum wrong {
    WRONG_NOTHING,
    WRONG_JSON,
    WRONG_PRODUCT,
    WRONG_SALE,
    WRONG_SIM,
    WRONG_LUHN,
    WRONG_OTHERS,
    WRONG_PRICE,
    WRONG_DATE,
    WRONG_EMAIL,
    WRONGS
};

static struct model_order *build_order(struct run *r, struct call_out *c, enum wrong *wrong) {
    struct model *m = &r->model;
    if (m->n_orders == MODEL_ORDERS)
        sim_fail("the model is full");
    size_t n = m->n_orders++;
    struct model_order *o = &m->orders[n];
    bool narrow = r->narrow && percent(r, 90);
    int p = narrow ? 0 : (int)below(r, PARTNERS);
    *o = (struct model_order){.fate = FATE_DOUBT, .partner = p + 1, .operation = narrow || percent(r, 60)};
    bool esim = !narrow && percent(r, 45);
    o->sim_type = esim ? SIM_ESIM : SIM_PSIM;
    *wrong = percent(r, 12) ? 1 + (enum wrong)below(r, WRONGS - 1) : WRONG_NOTHING;
    bool names_sim = o->operation == 1 || !esim;
    if ((*wrong == WRONG_SIM || *wrong == WRONG_LUHN || *wrong == WRONG_OTHERS) && !names_sim)
        *wrong = WRONG_PRICE;
    if (*wrong == WRONG_EMAIL && o->operation == 1)
        *wrong = WRONG_DATE;
    do
        o->product = (int)below(r, PRODUCTS);
    while (!(sim_products[o->product].types & (unsigned)o->sim_type) || !sim_products[o->product].on_sale);
    if (*wrong == WRONG_SALE)
        o->product = PRODUCTS - 1;

    // A few SIMs of each partner carry most of what is ordered, so that orders queue up.
    int range = esim ? PROFILES : PSIMS, first = esim ? PSIMS : 0;
    int i = first + (int)below(r, narrow ? 1 : percent(r, 70) ? 3 : (uint64_t)range);
    if (o->operation == 0 && !esim)
        i = PSIMS / 2 + (int)below(r, PSIMS / 2);
    int owner = *wrong == WRONG_OTHERS ? (p + 1) % PARTNERS : p;
    sim_iccid(owner, i, o->iccid);
    if (*wrong == WRONG_SIM)
        sim_iccid(9, i, o->iccid);
    if (*wrong == WRONG_LUHN)
        o->iccid[18] = o->iccid[18] == '9' ? '0' : (char)(o->iccid[18] + 1);

    *c = (struct call_out){.who = p, .method = HTTP_POST, .target = "/v2/orders"};
    snprintf(c->correlation, sizeof c->correlation, "c-%zu-0", n);
    size_t size = sizeof c->body;
    add(c->body, size, "{\"operation_type\":\"%s\",\"sim_type\":\"%s\",\"country\":\"GB\",\"product\":{\"id\":\"%s\"",
        operations[o->operation], esim ? "ESIM" : "PSIM",
        *wrong == WRONG_PRODUCT ? "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=" : sim_products[o->product].id);
    if (*wrong == WRONG_PRICE)
        add(c->body, size, ",\"sold_price\":20.005,\"sold_currency\":\"EUR\"");
    else if (percent(r, 20))
        add(c->body, size, ",\"sold_price\":\"%" PRIu64 ".99\",\"sold_currency\":\"EUR\"", below(r, 100));
    if (*wrong == WRONG_DATE)
        add(c->body, size, ",\"activation_date\":\"2021-02-30T00:00:00Z\"");
    else if (percent(r, 25))
        add_date(r, c->body, size, "activation_date", now_ms(r) + (int64_t)below(r, 20 * DAY) - 10 * DAY);
    add(c->body, size, "},\"subscriber\":{");
    if (*wrong != WRONG_EMAIL)
        add(c->body, size, "\"email\":\"ada@example.com\"%s", names_sim ? "," : "");
    if (names_sim)
        add(c->body, size, "\"sim\":{\"iccid\":\"%s\"}", o->iccid);
    else
        o->iccid[0] = 0;
    add(c->body, size, "}%s", *wrong == WRONG_JSON ? "" : "}");
    o->wrong = *wrong;
    if (percent(r, 60)) {
        snprintf(c->key, sizeof c->key, "k-%zu", n);
        o->body = xstrdup(c->body);
    }
    return o;
}

// The same request once more: what a client does that had no answer, or lost it. NULL: there is none to repeat.
static struct model_order *build_again(struct run *r, struct call_out *c, const struct model_order *which) {
    struct model *m = &r->model;
    struct model_order *o = NULL;
    for (int i = 0; i < 8 && m->n_orders > 0 && !o; i++) {
        o = which ? &m->orders[which - m->orders] : &m->orders[below(r, m->n_orders)];
        if (!o->body)
            o = NULL;
    }
    if (!o)
        return NULL;
    *c = (struct call_out){.who = o->partner - 1, .method = HTTP_POST, .target = "/v2/orders"};
    snprintf(c->body, sizeof c->body, "%s", o->body);
    snprintf(c->key, sizeof c->key, "k-%td", o - m->orders);
    snprintf(c->correlation, sizeof c->correlation, "c-%td-%u", o - m->orders, ++o->tries);
    return o;
}

// Whether a fault may have been felt by what has just been called.
static bool struck(const struct run *r) {
    return r->server.fault.hits > 0;
}

static bool is_full(const struct call_out *c) {
    const char *message = json_string_value(json_array_get(json_object_get(c->json, "messages"), 0));
    return message && strstr(message, "15 ");
}

static void judge_answer(struct run *r, const struct call_out *c, struct model_order *o, enum wrong wrong) {
    trace(r, (uint64_t)c->status);
    trace(r, c->hash);
    say("  order %s: %d%s", c->correlation, c->status, c->replayed ? ", once more" : "");
    const char *id = json_string_value(json_object_get(c->json, "id"));
    if (o->status && c->status < 500 && c->status != o->status && (o->body || o->fate == FATE_ACKNOWLEDGED))
        sim_fail("%s: first it was %d, now it is %d", c->correlation, o->status, c->status);
    if (o->fate == FATE_ACKNOWLEDGED && c->status < 500 && (!c->replayed || !id || strcmp(id, o->id) != 0))
        sim_fail("%s: order %s is answered with %s%s", c->correlation, o->id, id ? id : "none", c->replayed ? "" : " as if it were new");
    if (c->replayed && !o->body)
        sim_fail("%s: an answer given again to a request without a key", c->correlation);
    met[MET_REPLAYED] += c->replayed;
    met[MET_KEY_DOUBT] += c->replayed && o->status == 0;
    if (c->status < 500)
        o->status = c->status;
    else if (o->fate == FATE_ACKNOWLEDGED) {
        if (!struck(r))
            sim_fail("%s: %d, though nothing is wrong", c->correlation, c->status);
        return; // what was acknowledged stays so
    }
    switch (c->status) {
    case 202:
        if (wrong)
            sim_fail("%s: a wrong order (%d) was accepted: %s", c->correlation, (int)wrong, c->body);
        if (!id || strlen(id) != 36)
            sim_fail("%s: accepted without an id", c->correlation);
        if (o->id[0] && strcmp(o->id, id) != 0)
            sim_fail("%s: order %s is answered with %s", c->correlation, o->id, id);
        snprintf(o->id, sizeof o->id, "%s", id);
        o->fate = FATE_ACKNOWLEDGED;
        met[MET_ACCEPTED]++;
        return;
    case 503:
    case 500:
        if (!struck(r))
            sim_fail("%s: %d, though nothing is wrong: %s", c->correlation, c->status,
                     json_string_value(json_array_get(json_object_get(c->json, "messages"), 0)));
        // 503 says that nothing was accepted.
        if (c->status == 500)
            o->fate = FATE_DOUBT;
        else if (o->tries == 0)
            o->fate = FATE_REFUSED;
        met[c->status == 503 ? MET_UNAVAILABLE : MET_DOUBT]++;
        return;
    case 400:
        o->fate = FATE_REFUSED;
        met[MET_INVALID]++;
        return;
    case 403:
        o->fate = FATE_REFUSED;
        met[MET_FORBIDDEN]++;
        if (wrong != WRONG_OTHERS)
            sim_fail("%s: 403 for a SIM of its own", c->correlation);
        return;
    case 406:
        o->fate = FATE_REFUSED;
        met[MET_CAPPED]++;
        if (!sim_cap_day[o->partner - 1] || o->operation != 0)
            sim_fail("%s: a cap where there is none", c->correlation);
        return;
    case 409:
        o->fate = FATE_REFUSED;
        met[is_full(c) ? MET_FULL : MET_STATE]++;
        return;
    default:
        sim_fail("%s: %d", c->correlation, c->status);
    }
}

static void act_order(struct run *r) {
    size_t n = !r->narrow && percent(r, 60) ? 1 : 2 + below(r, 5);
    struct call_out *calls = xcalloc(n, sizeof *calls);
    struct model_order *orders[8];
    enum wrong wrong[8];
    for (size_t i = 0; i < n; i++) {
        orders[i] = percent(r, 20) ? build_again(r, &calls[i], i > 0 && percent(r, 50) ? orders[i - 1] : NULL) : NULL;
        if (orders[i])
            wrong[i] = (enum wrong)orders[i]->wrong;
        else
            orders[i] = build_order(r, &calls[i], &wrong[i]);
    }
    server_call(&r->server, calls, n);
    for (size_t i = 0; i < n; i++) {
        judge_answer(r, &calls[i], orders[i], wrong[i]);
        call_release(&calls[i]);
    }
    free(calls);
}

// A key that has been answered, with another body: never taken for the same request, nor for a new one.
static void act_other_body(struct run *r) {
    struct call_out c;
    struct model_order *o = build_again(r, &c, NULL);
    if (!o || o->fate != FATE_ACKNOWLEDGED || o->status != 202)
        return;
    add(c.body, sizeof c.body, " ");
    server_call(&r->server, &c, 1);
    trace(r, (uint64_t)c.status);
    if (c.status != 422 && !(c.status >= 500 && struck(r)))
        sim_fail("%s: %d to a key with another body", c.correlation, c.status);
    met[MET_OTHER_BODY] += c.status == 422;
    call_release(&c);
}

// ---- a single call ----

static void call(struct run *r, struct call_out *c) {
    server_call(&r->server, c, 1);
    trace(r, (uint64_t)c->status);
    trace(r, c->hash);
    say("  %s %s: %d", http_method_name(c->method), c->target, c->status);
    if (c->status >= 500 && !struck(r))
        sim_fail("%s: %d, though nothing is wrong", c->target, c->status);
}

static struct model_order *some_order(struct run *r) {
    for (int i = 0; i < 10 && r->model.n_orders > 0; i++) {
        struct model_order *o = &r->model.orders[below(r, r->model.n_orders)];
        if (o->fate == FATE_ACKNOWLEDGED && o->id[0])
            return o;
    }
    return NULL;
}

static void act_read(struct run *r) {
    struct model_order *o = some_order(r);
    if (!o)
        return;
    static const char *const states[] = {"ACCEPTED", "FULFILLING", "COMPLETED", "FAILED"};
    bool stranger = percent(r, 10);
    struct call_out c = {.who = stranger ? o->partner % PARTNERS : o->partner - 1, .method = HTTP_GET};
    snprintf(c.target, sizeof c.target, "/v2/orders/%s", o->id);
    call(r, &c);
    if (c.status < 500) {
        const char *status = json_string_value(json_object_get(c.json, "status"));
        if (c.status != (stranger ? 403 : 200))
            sim_fail("%s: %d", c.target, c.status);
        if (!stranger && (!status || (o->state >= 2 && strcmp(status, states[o->state]) != 0)))
            sim_fail("%s: is %s, was %s", c.target, status ? status : "nothing", states[o->state]);
    }
    call_release(&c);
    struct call_out list = {.who = o->partner - 1, .method = HTTP_GET, .target = "/v2/orders?page_size=100"};
    call(r, &list);
    call_release(&list);
}

// ---- usage ----

static const char *const verdicts[] = {"BOOKED", "PARTLY_BOOKED", "UNRATED"};

static void judge_record(struct run *r, json_t *item, size_t n, bool changed, bool before) {
    struct model_record *record = &r->model.records[n];
    const char *verdict = json_string_value(json_object_get(item, "verdict"));
    bool taken = false;
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++)
        taken |= verdict && strcmp(verdict, verdicts[i]) == 0;
    if (verdict && strcmp(verdict, "MISMATCH") == 0) {
        met[MET_MISMATCH]++;
        if (!changed)
            sim_fail("record %zu is said to have come before, with other content", n);
        return;
    }
    if (!taken) {
        if (verdict && strcmp(verdict, "INVALID") == 0 && record->fate != FATE_ACKNOWLEDGED) {
            record->fate = FATE_REFUSED;
            return;
        }
        if (verdict && strcmp(verdict, "INVALID") == 0)
            return; // one whose dates lie ahead of a clock that was set back
        if (verdict && strcmp(verdict, "FAILED") == 0 && struck(r))
            return;
        sim_fail("record %zu: %s", n, verdict ? verdict : "no verdict");
    }
    if (changed)
        sim_fail("record %zu was taken with other content than before", n);
    int64_t unrated = json_integer_value(json_object_get(item, "unrated_bytes"));
    bool repeated = json_is_true(json_object_get(item, "repeated"));
    if (record->fate == FATE_ACKNOWLEDGED && (!repeated || unrated != record->unrated))
        sim_fail("record %zu is told otherwise than before", n);
    if (repeated && !before)
        sim_fail("record %zu is new and said to be repeated", n);
    record->fate = FATE_ACKNOWLEDGED;
    record->unrated = unrated;
    met[repeated ? MET_REPEATED : unrated ? MET_UNRATED : MET_BOOKED]++;
}

// The content of a record follows from its number and its seed alone, so that it can be sent again.
static void add_record(struct run *r, struct call_out *c, size_t n, bool changed, int64_t at) {
    struct rng_seeded state;
    struct rng own = rng_seeded_init(&state, seed_now * 1000003 + n);
    char iccid[20];
    int p = (int)rng_below(&own, PARTNERS);
    int i = rng_below(&own, 4) ? (int)rng_below(&own, 3) : (int)rng_below(&own, PSIMS + PROFILES);
    sim_iccid(rng_below(&own, 20) ? p : 9, i, iccid);
    int64_t up = (int64_t)rng_below(&own, 1 << 20), down = (int64_t)rng_below(&own, rng_below(&own, 4) ? 1 << 20 : 1 << 30);
    r->model.records[n].total = up + down;
    char start[DATE_TEXT], end[DATE_TEXT];
    date_format((struct wall){at}, start);
    date_format((struct wall){at + (int64_t)rng_below(&own, 10 * MINUTE)}, end);
    add(c->body, sizeof c->body, "{\"record_id\":\"u-%zu\",\"iccid\":\"%s\",\"bytes_up\":%" PRId64 ",\"bytes_down\":%" PRId64, n, iccid,
        up + changed, down);
    add(c->body, sizeof c->body, ",\"start\":\"%s\",\"end\":\"%s\"}", start, end);
}

struct sent {
    size_t n;
    bool changed, before;
};

static int64_t record_at[MODEL_RECORDS]; // when each record's use began; of the round

static void act_usage(struct run *r) {
    struct model *m = &r->model;
    struct call_out c = {.who = OPERATOR, .method = HTTP_POST, .target = "/admin/v1/usage"};
    struct sent sent[6];
    size_t n = 1 + below(r, ARRAY_LEN(sent));
    snprintf(c.correlation, sizeof c.correlation, "usage");
    add(c.body, sizeof c.body, "{\"source\":\"cdr\",\"records\":[");
    for (size_t i = 0; i < n; i++) {
        bool again = m->n_records > 0 && percent(r, 25);
        size_t k = again ? below(r, m->n_records) : m->n_records;
        bool known = again && m->records[k].fate == FATE_ACKNOWLEDGED;
        for (size_t e = 0; e < i && again; e++) // once a call: the model judges a call as a whole
            again = sent[e].n != k;
        if (k < m->n_records && !known)
            again = false;
        if (!again) {
            if (m->n_records == MODEL_RECORDS)
                sim_fail("the model is full");
            k = m->n_records++;
            known = false;
            m->records[k] = (struct model_record){.fate = FATE_DOUBT};
            record_at[k] = now_ms(r) - (int64_t)below(r, percent(r, 80) ? 10 * MINUTE : 20 * DAY);
        }
        sent[i] = (struct sent){k, again && percent(r, 20), known};
        if (i)
            add(c.body, sizeof c.body, ",");
        add_record(r, &c, k, sent[i].changed, record_at[k]);
    }
    add(c.body, sizeof c.body, "]}");
    call(r, &c);
    json_t *data = json_object_get(c.json, "data");
    if (c.status == 200 && json_array_size(data) != n)
        sim_fail("usage: %zu verdicts for %zu records", json_array_size(data), n);
    if (c.status != 200 && c.status < 500)
        sim_fail("usage: %d", c.status);
    for (size_t i = 0; i < n && c.status == 200; i++)
        judge_record(r, json_array_get(data, i), sent[i].n, sent[i].changed, sent[i].before);
    call_release(&c);
}

// ---- subscriptions ----

static void act_subscription(struct run *r) {
    struct model_order *o = some_order(r);
    if (!o)
        return;
    char iccid[20];
    int p = o->partner - 1;
    sim_iccid(p, percent(r, 50) ? (int)below(r, PSIMS) : PSIMS + (int)below(r, PROFILES), iccid);
    struct call_out list = {.who = p, .method = HTTP_GET};
    snprintf(list.target, sizeof list.target, "/v2/subscriptions?iccid=%s&page_size=100", iccid);
    call(r, &list);
    json_t *data = json_object_get(list.json, "data");
    if (json_array_size(data) > 0) {
        json_t *item = json_array_get(data, below(r, json_array_size(data)));
        int64_t initial = json_integer_value(json_object_get(item, "initial_balance"));
        int64_t current = json_integer_value(json_object_get(item, "current_balance"));
        int64_t spent = json_integer_value(json_object_get(item, "spent_balance"));
        if (current != initial - spent || current < 0)
            sim_fail("a balance of %" PRId64 " from %" PRId64 " less %" PRId64, current, initial, spent);
        bool activate = percent(r, 50);
        struct call_out c = {.who = p, .method = HTTP_POST};
        snprintf(c.target, sizeof c.target, "/v2/subscriptions/%s/%s", json_string_value(json_object_get(item, "id")),
                 activate ? "activate" : "expire");
        call(r, &c);
        if (c.status != 200 && c.status != 409 && c.status < 500)
            sim_fail("%s: %d", c.target, c.status);
        if (c.status == 200) {
            const char *status = json_string_value(json_object_get(c.json, "status"));
            if (!status || strcmp(status, activate ? "ACTIVE" : "EXPIRED") != 0)
                sim_fail("%s: is now %s", c.target, status ? status : "nothing");
            met[activate ? MET_STARTED : MET_EXPIRED]++;
        }
        call_release(&c);
    }
    call_release(&list);
}

// ---- operators ----

static void retry(struct run *r, const struct model_order *o) {
    struct call_out c = {.who = OPERATOR, .method = HTTP_POST};
    snprintf(c.target, sizeof c.target, "/admin/v1/orders/%s/retry", o->id);
    call(r, &c);
    if (c.status != 200 && c.status != 202 && c.status != 409 && c.status < 500)
        sim_fail("%s: %d", c.target, c.status);
    if (c.status < 300)
        met[MET_PARKED]++;
    call_release(&c);
}

static void act_retry(struct run *r) {
    const struct model_order *o = some_order(r);
    if (o)
        retry(r, o);
}

// ---- time ----

static struct wall step(struct run *r, int i) {
    struct wall wake;
    struct err err = {0};
    enum err_kind kind = engine_step(r->server.engines[i], &wake, &err);
    trace(r, (uint64_t)wake.ms);
    if (kind && !struck(r) && r->faulty == 0)
        sim_fail("a step fails, though nothing is wrong: %s", err_first(&err));
    return wake;
}

static void act_step(struct run *r) {
    api_turn(r->server.api);
    int i = (int)below(r, ENGINES);
    for (uint64_t n = 1 + below(r, 3); n > 0; n--)
        step(r, i);
}

// Both engines, until neither wants anything more now. The next instant that one wants; WALL_NONE.
static struct wall settle(struct run *r) {
    for (int turns = 0;; turns++) {
        struct wall next = WALL_NONE;
        for (int i = 0; i < ENGINES; i++) {
            struct wall wake = step(r, i);
            if (wall_set(wake) && (!wall_set(next) || wake.ms < next.ms))
                next = wake;
        }
        if (!wall_set(next) || next.ms > now_ms(r))
            return next;
        if (turns > 5000)
            sim_fail("the engines do not come to rest");
    }
}

static void act_settle(struct run *r) {
    struct wall next = settle(r);
    if (wall_set(next) && percent(r, 80) && next.ms - now_ms(r) < 2 * DAY)
        clock_manual_advance(&r->server.time, next.ms - now_ms(r));
}

// It waits for the partner's orders; refused when they take too long.
static void act_sandbox(struct run *r) {
    if (percent(r, 70))
        settle(r);
    struct call_out c = {.who = SANDBOX, .method = HTTP_POST, .target = "/v2/sandbox/clock"};
    add(c.body, sizeof c.body, "{\"advance\":\"PT%" PRIu64 "H\"}", 1 + below(r, percent(r, 50) ? 24 : 1000));
    server_call(&r->server, &c, 1);
    trace(r, (uint64_t)c.status);
    if (c.status != 200 && c.status != 409 && c.status < 500)
        sim_fail("the sandbox's clock: %d", c.status);
    met[MET_SANDBOX] += c.status == 200;
    call_release(&c);
}

static void act_time(struct run *r) {
    static const int64_t spans[] = {1000, MINUTE, 10 * MINUTE, HOUR, DAY, 8 * DAY, 31 * DAY};
    clock_manual_advance(&r->server.time, 1 + (int64_t)below(r, (uint64_t)spans[below(r, ARRAY_LEN(spans))]));
}

static void act_jump(struct run *r) {
    clock_manual_jump(&r->server.time, (int64_t)below(r, 10 * HOUR) - 5 * HOUR);
}

// ---- crashes ----

static void judge(struct run *r, bool ended) {
    struct server *s = &r->server;
    model_judge(&r->model, s->store_folder, s->element, r->whole_plan, ended, now_ms(r));
}

static void start_again(struct run *r) {
    struct server *s = &r->server;
    if (percent(r, 10))
        server_fault(s, percent(r, 50) ? FAULT_DIES : FAULT_EXPIRES, 1 + (int64_t)below(r, 30));
    for (int tries = 0; !server_start(s); tries++) {
        if (!struck(r) || tries > 2)
            sim_fail("the server does not start again");
        met[MET_NO_START]++;
        server_crash(s, &r->dice);
    }
    if (struck(r)) { // it noticed nothing: what failed was not needed
        server_crash(s, &r->dice);
        if (!server_start(s))
            sim_fail("the server does not start again");
    }
    server_fault(s, FAULT_REFUSES, 0);
}

static void crash(struct run *r) {
    say("  crash");
    met[MET_CRASH]++;
    server_crash(&r->server, &r->dice);
    start_again(r);
    judge(r, false);
}

static void act_engine_crash(struct run *r) {
    int i = (int)below(r, ENGINES);
    server_engine_drop(&r->server, i);
    server_engine_start(&r->server, i);
    met[MET_ENGINE_CRASH]++;
}

// ---- a life ----

static const struct action {
    const char *name;
    unsigned weight;
    void (*act)(struct run *r);
} acts[] = {
    {"order", 30, act_order},
    {"step", 24, act_step},
    {"settle", 12, act_settle},
    {"time", 7, act_time},
    {"jump", 2, act_jump},
    {"usage", 10, act_usage},
    {"read", 4, act_read},
    {"retry", 2, act_retry},
    {"subscription", 6, act_subscription},
    {"other body", 2, act_other_body},
    {"sandbox", 2, act_sandbox},
    {"crash", 2, crash},
    {"engine crash", 3, act_engine_crash},
};

static void act(struct run *r) {
    struct server *s = &r->server;
    unsigned all = 0;
    for (size_t i = 0; i < ARRAY_LEN(acts); i++)
        all += acts[i].weight;
    uint64_t at = below(r, all);
    const struct action *a = acts;
    while (at >= a->weight)
        at -= (a++)->weight;
    bool may_fail = a->act != crash && a->act != act_engine_crash;
    if (may_fail && percent(r, 12)) {
        static const enum fault_mode modes[] = {FAULT_REFUSES, FAULT_LOSES, FAULT_RETRY, FAULT_UNSURE, FAULT_DIES, FAULT_EXPIRES};
        bool commits = percent(r, 40);
        server_fault(s, modes[below(r, ARRAY_LEN(modes))], 1 + (int64_t)below(r, commits ? 3 : percent(r, 70) ? 40 : 200));
        s->fault.commits_only = commits;
    }
    say("%s%s", a->name, s->fault.at ? " (something will fail)" : "");
    trace(r, (uint64_t)(a - acts));
    met[MET_ACTIONS]++;
    a->act(r);
    r->faulty = struck(r) ? 3 : r->faulty > 0 ? r->faulty - 1 : 0;
    bool dead = struck(r) && (s->fault.mode == FAULT_DIES || s->fault.mode == FAULT_EXPIRES);
    if (dead) {
        met[MET_DEATH]++;
        crash(r);
    } else if (s->fault.at) {
        bool felt = struck(r);
        server_fault(s, FAULT_REFUSES, 0);
        if (felt)
            judge(r, false);
    }
}

static bool all_ended(const struct model *m) {
    for (size_t i = 0; i < m->n_orders; i++)
        if (m->orders[i].fate == FATE_ACKNOWLEDGED && m->orders[i].state < 2)
            return false;
    return true;
}

// The network is well again by and by (the script's rules are used up), operators send round what is parked: every order ends.
static void bring_to_end(struct run *r) {
    judge(r, false);
    r->faulty = 3; // a step that is still waiting after trouble
    settle(r);
    for (int n = 0; !all_ended(&r->model); n++) {
        struct wall next = settle(r);
        r->faulty = 0;
        if (n > 3000)
            sim_fail("the orders do not come to an end");
        int64_t ms = wall_set(next) ? next.ms - now_ms(r) : MINUTE;
        clock_manual_advance(&r->server.time, ms < HOUR ? ms : HOUR);
        if (n % 20 != 19)
            continue;
        judge(r, false);
        for (size_t i = 0; i < r->model.n_orders; i++)
            if (r->model.orders[i].fate == FATE_ACKNOWLEDGED && r->model.orders[i].state < 2)
                retry(r, &r->model.orders[i]);
    }
    if (percent(r, 50))
        clock_manual_advance(&r->server.time, (int64_t)below(r, 100 * DAY));
    for (int i = 0; i < 3; i++) { // sandbox partners' clocks are looked at now and then
        clock_manual_advance(&r->server.time, 1001);
        settle(r);
    }
    judge(r, true);
}

static uint64_t live(uint64_t seed) {
    static struct run run;
    struct run *r = &run;
    seed_now = seed;
    *r = (struct run){.hash = UINT64_C(14695981039346656037)};
    r->dice = rng_seeded_init(&r->dice_state, seed);
    char script[2048];
    write_script(r, script, sizeof script);
    bool outside = percent(r, 75);
    unsigned kinds = percent(r, 70) ? (1U << TASK_KINDS) - 1 : 1 + (unsigned)below(r, (1U << TASK_KINDS) - 1);
    r->whole_plan = outside && kinds == (1U << TASK_KINDS) - 1;
    say("seed %" PRIu64 "%s\n%s", seed, outside ? ", with a network of this script:" : ", built-in network", outside ? script : "");
    r->narrow = percent(r, 8);
    server_open(&r->server, template_folder, rng_u64(&r->dice), outside ? script : NULL, kinds);
    for (uint64_t n = 15 + below(r, 50); n > 0; n--)
        act(r);
    bring_to_end(r);
    for (size_t i = 0; i < r->model.n_orders; i++) {
        if (r->model.orders[i].fate == FATE_ACKNOWLEDGED)
            met[r->model.orders[i].state == 2 ? MET_COMPLETED : MET_FAILED]++;
    }
    enum task_verb verb;
    for (size_t n = 0; r->server.element && peer_fake_deed(r->server.element, n, &verb); n++)
        met[MET_UNDONE] += verb == TASK_CANCEL;
    met[MET_DOUBT_THERE] += r->model.doubts_there;
    met[MET_DOUBT_NOT_THERE] += r->model.doubts_not_there;
    uint64_t hash = model_hash(r->server.store_folder, r->hash);
    server_close(&r->server);
    for (size_t i = 0; i < r->model.n_orders; i++)
        free(r->model.orders[i].body);
    return hash;
}

static void live_rounds(uint64_t seed, uint64_t rounds, uint64_t first, uint64_t by, bool twice) {
    for (uint64_t i = first; i < rounds; i += by) {
        uint64_t hash = live(seed + i);
        if (twice && live(seed + i) != hash)
            sim_fail("played again it is another life");
    }
}

static void tell(uint64_t rounds) {
    bool all = true;
    for (int i = 0; i < METS; i++) {
        printf("%s%s %" PRId64, i ? ", " : "", met_words[i], (int64_t)met[i]);
        all &= met[i] > 0;
    }
    printf("\n");
    if (!all && rounds >= ROUNDS_THAT_TELL) {
        fprintf(stderr, "sim: something was never met\n");
        exit(1);
    }
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"seed", required_argument, NULL, 's'}, {"rounds", required_argument, NULL, 'r'},
                                            {"jobs", required_argument, NULL, 'j'}, {"twice", no_argument, NULL, 't'},
                                            {"verbose", no_argument, NULL, 'v'},    {NULL, 0, NULL, 0}};
    uint64_t seed = rng_u64(&rng_system) % 1000000000, rounds = 1, jobs = 1;
    bool twice = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        uint64_t *to = c == 's' ? &seed : c == 'r' ? &rounds : c == 'j' ? &jobs : NULL;
        if (to && !str_to_u64(str_of(optarg), to)) {
            fprintf(stderr, "sim: \"%s\" is not a number\n", optarg);
            return 2;
        }
        if (c == '?')
            return 2;
        twice |= c == 't';
        verbose |= c == 'v';
    }
    if (jobs < 1 || jobs > 64)
        jobs = 1;
    log_threshold = verbose ? LOG_INFO : (enum log_level)(LOG_ERROR + 1);
    met = mmap(NULL, METS * sizeof *met, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(met != MAP_FAILED);
    snprintf(template_folder, sizeof template_folder, "%s/topupd-sim-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(template_folder) != NULL);
    printf("sim: seeds %" PRIu64 " to %" PRIu64 "\n", seed, seed + rounds - 1);
    fflush(stdout);
    model_learn(NEVER_SQL);
    server_template_make(template_folder);
    int failed = 0;
    if (jobs == 1) {
        live_rounds(seed, rounds, 0, 1, twice);
    } else {
        for (uint64_t j = 0; j < jobs; j++) {
            pid_t pid = fork();
            CHECK(pid >= 0);
            if (pid == 0) {
                live_rounds(seed, rounds, j, jobs, twice);
                _exit(0);
            }
        }
        for (int status; wait(&status) > 0;)
            failed |= status;
    }
    server_template_remove(template_folder);
    if (failed)
        return 1;
    tell(rounds);
    metrics_reset();
    return 0;
}
