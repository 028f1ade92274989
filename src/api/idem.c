// SPDX-License-Identifier: Apache-2.0
#include "api/idem.h"

#include <stdatomic.h>

#include "api/park.h"
#include "api/problem.h"
#include "api/state.h"
#include "base/log.h"
#include "base/secret.h"
#include "store/store_idem.h"
#include "store/store_node.h"

#define HEADERS_MAX 12 // of a stored answer
#define PRUNE_SLICE 1000
#define PRUNE_EVERY_MS 60000 // when there is nothing to remove
#define DAY_MS (24 * 3600 * INT64_C(1000))

// ---- the key ----

static bool key_valid(struct str key) {
    if (key.n < 1 || key.n > IDEM_KEY_MAX)
        return false;
    for (size_t i = 0; i < key.n; i++)
        if (key.p[i] < 0x20 || key.p[i] > 0x7e)
            return false;
    return true;
}

// The body's own digest goes into the request's: so the body is not copied.
static bool digest_of(struct call *c, uint8_t out[32]) {
    const struct http_exchange *x = c->x;
    uint8_t body[32];
    sha256_of(x->body, body);
    struct str path = router_canonical(x->path);
    struct buf all;
    buf_init(&all, path.n + x->query.n + 64);
    buf_add_text(&all, http_method_name(x->method));
    buf_add_char(&all, ' ');
    buf_add_str(&all, path);
    buf_add_char(&all, '?');
    buf_add_str(&all, x->query);
    buf_add_char(&all, '\n');
    buf_add(&all, body, sizeof body);
    bool whole = !all.failed;
    sha256_of(buf_str(&all), out);
    buf_release(&all);
    return whole;
}

enum err_kind idem_begin(struct call *c, struct err *err) {
    struct str key = http_header(c->x, "Idempotency-Key");
    if (!str_present(key))
        return ERR_NONE;
    key = str_trim(key);
    if (!key_valid(key))
        return err_set(err, ERR_INVALID, "Idempotency-Key: must be 1 to %d printable ASCII characters", IDEM_KEY_MAX);
    struct idem_call *k = arena_new(c->arena, struct idem_call);
    if (!k)
        return err_set(err, ERR_INTERNAL, "the request needs too much memory");
    k->key = arena_str(c->arena, key);
    k->document = problem_document_wanted(c->x);
    if (!digest_of(c, k->digest) || !str_present(k->key))
        return err_set(err, ERR_INTERNAL, "the request needs too much memory");
    c->idem = k;
    return ERR_NONE;
}

// ---- answers, to the store and back ----

static enum err_kind too_large(struct err *err) {
    return err_set(err, ERR_INTERNAL, "the answer does not fit into the memory of one request");
}

// As the reply or the problem wrote it; what every answer carries comes later.
static enum err_kind answer_pack(struct call *c, struct idem_row *row, struct err *err) {
    const struct http_exchange *x = c->x;
    CHECK(x->n_out <= HEADERS_MAX && x->status >= 200 && x->status < 500);
    struct str headers = STR("");
    for (size_t i = 0; i < x->n_out; i++)
        headers = arena_printf(c->arena, STR_FMT "%s: " STR_FMT "\n", STR_ARG(headers), x->out[i].name, STR_ARG(x->out[i].value));
    if (x->reply.failed || arena_failed(c->arena))
        return too_large(err);
    row->status = x->status;
    row->headers = headers;
    row->body = buf_str(&x->reply);
    return ERR_NONE;
}

static enum err_kind answer_unpack(struct call *c, const struct idem_row *row, struct err *err) {
    struct http_exchange *x = c->x;
    struct str rest = row->headers, line, name;
    int n = 0;
    while (rest.n) {
        rest = str_cut(rest, '\n', &line);
        struct str value = str_cut(line, ':', &name);
        if (!str_present(value) || ++n > HEADERS_MAX)
            return err_set(err, ERR_CORRUPT, "the store holds an answer that cannot be read");
        name = arena_str(c->arena, name);
        if (!str_present(name))
            return too_large(err);
        http_set_header(x, name.p, str_trim(value));
    }
    x->status = row->status;
    buf_add_str(&x->reply, row->body);
    return x->reply.failed || arena_failed(c->arena) ? too_large(err) : ERR_NONE;
}

static void answer_reset(struct call *c) {
    c->x->status = 0;
    c->x->n_out = 0;
    buf_clear(&c->x->reply);
    c->idem->answered = c->idem->replayed = false;
}

// ---- the key in the store ----

static enum err_kind look_up(struct call *c, struct tx *tx, struct idem_row *row, bool *there, struct err *err) {
    enum err_kind kind = store_idem_get(tx, c->partner.id, c->idem->key, c->arena, row, err);
    *there = kind == ERR_NONE;
    if (kind == ERR_NOT_FOUND) {
        err_clear(err);
        return ERR_NONE;
    }
    if (kind == ERR_NONE && memcmp(row->digest, c->idem->digest, sizeof row->digest) != 0)
        return err_set(err, ERR_MISMATCH, "Idempotency-Key: was used before with another request");
    return kind;
}

static enum err_kind replay(struct call *c, const struct idem_row *row, struct err *err) {
    enum err_kind kind = answer_unpack(c, row, err);
    c->idem->answered = c->idem->replayed = kind == ERR_NONE;
    return kind;
}

static bool is_ours(const struct call *c, const struct idem_row *row) {
    return c->idem->holds && row->owner == c->api->process && row->since.ms == c->idem->since.ms;
}

// The node's number stands above the random part of a process's number.
static bool same_node(int64_t a, int64_t b) {
    return a >> API_PROCESS_BITS == b >> API_PROCESS_BITS;
}

static bool is_alive(const struct call *c, const struct idem_row *row, struct wall now) {
    if (row->owner == API_NO_PROCESS || (same_node(row->owner, c->api->process) && row->owner != c->api->process))
        return false;
    int64_t age = now.ms - row->since.ms;
    return age < IDEM_CLAIM_MS && age > -IDEM_CLAIM_MS; // a clock may have been set back
}

// Whether somebody else is at work on the key. Of a process of another node, that shares the store, its lease tells first.
static enum err_kind held_by_another(struct call *c, struct tx *tx, const struct idem_row *row, bool *held, struct err *err) {
    struct node_row *nodes = NULL;
    size_t n = 0;
    *held = !is_ours(c, row) && is_alive(c, row, tx_now(tx));
    if (!*held || row->owner == c->api->process || c->api->o.instance == 0)
        return ERR_NONE;
    enum err_kind kind = store_node_list(tx, c->arena, &nodes, &n, err);
    *held = false;
    for (size_t i = 0; !kind && i < n; i++)
        *held = *held || (api_process(nodes[i].number, nodes[i].instance) == row->owner && nodes[i].lease_until.ms > tx_now(tx).ms);
    return kind;
}

// Writes the row in place of `old`, or as the first.
static enum err_kind put(struct call *c, struct tx *tx, struct idem_row *row, const struct idem_row *old, struct err *err) {
    row->partner_id = c->partner.id;
    row->key = c->idem->key;
    memcpy(row->digest, c->idem->digest, sizeof row->digest);
    row->since = c->idem->claimed = tx_now(tx);
    if (!old)
        return store_idem_insert(tx, row, err);
    enum err_kind kind = store_idem_update(tx, row, old->owner, old->since, err);
    return kind == ERR_NOT_FOUND ? err_set(err, ERR_RETRY, "the idempotency key has just changed hands") : kind;
}

static enum err_kind put_claim(struct call *c, struct tx *tx, int64_t owner, struct str note, const struct idem_row *old, struct err *err) {
    struct idem_row row = {.state = IDEM_IN_WORK, .owner = owner, .body = note};
    return put(c, tx, &row, old, err);
}

static enum err_kind put_answer(struct call *c, struct tx *tx, const struct idem_row *old, struct err *err) {
    struct idem_row row = {.state = IDEM_ANSWERED, .owner = c->api->process};
    enum err_kind kind = answer_pack(c, &row, err);
    if (kind == ERR_NONE)
        kind = put(c, tx, &row, old, err);
    c->idem->answered = kind == ERR_NONE;
    return kind;
}

// ---- the job ----

static enum err_kind work(struct call *c, struct tx *tx, const struct idem_row *old, struct err *err) {
    if (old && !c->idem->holds) // taken over from a holder that is gone
        c->note = old->body;
    enum err_kind kind = call_work(c, tx, err);
    if (kind != ERR_NONE)
        return kind;
    if (c->again)
        return put_claim(c, tx, c->api->process, c->next_note, old, err);
    c->route->reply(c);
    return put_answer(c, tx, old, err);
}

enum err_kind idem_run(struct call *c, struct tx *tx, struct err *err) {
    struct idem_call *k = c->idem;
    struct idem_row row;
    bool there;
    answer_reset(c);
    c->again = k->waits = false;
    c->worked = ERR_NONE;
    enum err_kind kind = look_up(c, tx, &row, &there, err);
    if (kind != ERR_NONE)
        return kind;
    if (there && row.state == IDEM_ANSWERED)
        return replay(c, &row, err);
    bool held = false;
    if (there && k->step != IDEM_GIVE_UP)
        kind = held_by_another(c, tx, &row, &held, err);
    if (kind != ERR_NONE || held) {
        k->waits = held;
        return kind;
    }
    const struct idem_row *old = there ? &row : NULL;
    switch (k->step) {
    case IDEM_WORK:
        return work(c, tx, old, err);
    case IDEM_LOOK:
        return ERR_NONE;
    case IDEM_REFUSE:
        problem_reply(c);
        return put_answer(c, tx, old, err);
    case IDEM_GIVE_UP:
        break;
    }
    return there && is_ours(c, &row) ? put_claim(c, tx, API_NO_PROCESS, row.body, old, err) : ERR_NONE;
}

// What the world had against the request, as opposed to what was wrong with us.
static bool is_decision(enum err_kind kind) {
    int status = problem_of(kind)->status;
    return status >= 400 && status < 500 && kind != ERR_MISMATCH && kind != ERR_UNAUTHORISED && kind != ERR_RATE;
}

static bool over_unless_going_on(struct call *c, enum idem_step step) {
    c->idem->step = step;
    return !call_go_on(c);
}

static bool over_unless_waiting(struct call *c) {
    struct idem_call *k = c->idem;
    struct mono now = clock_mono(c->api->o.clock);
    if (!k->has_waited) {
        k->has_waited = true;
        k->waits_since = now;
    }
    if (mono_ms_between(k->waits_since, now) < IDEM_WAIT_MS && park(c))
        return false;
    c->failed = err_set(&c->err, ERR_CONFLICT, "Idempotency-Key: the first request with this key is still in work");
    return true;
}

bool idem_done(struct call *c, enum err_kind kind, const struct err *err) {
    struct idem_call *k = c->idem;
    if (kind != ERR_NONE)
        k->answered = false;
    else if (k->waits)
        return over_unless_waiting(c);
    if (k->step == IDEM_LOOK || k->step == IDEM_GIVE_UP) { // the failure stands, unless somebody else has answered
        if (k->answered)
            c->failed = ERR_NONE;
        if (k->holds)
            park_wake(c->api);
        return true;
    }
    if (call_worked(c, kind, err)) {
        if (kind == ERR_NONE) {
            k->holds = true;
            k->since = k->claimed;
        }
        return over_unless_going_on(c, IDEM_WORK);
    }
    if (kind != ERR_NONE && kind == c->worked && is_decision(kind))
        return over_unless_going_on(c, IDEM_REFUSE);
    if (kind != ERR_NONE && k->holds)
        return over_unless_going_on(c, IDEM_GIVE_UP);
    if (k->holds)
        park_wake(c->api); // others may wait for this answer
    return true;
}

// ---- before there is a job ----

bool idem_before_refusal(struct call *c) {
    struct tx *tx;
    struct err *err = arena_new(c->arena, struct err);
    struct idem_row row;
    bool there = false;
    if (!err)
        return false;
    enum err_kind kind = store_read_begin(c->api->o.store, &tx, err);
    if (kind == ERR_NONE) {
        kind = look_up(c, tx, &row, &there, err);
        store_read_end(tx);
    }
    if (kind == ERR_NONE && there && row.state == IDEM_ANSWERED) {
        answer_reset(c);
        kind = replay(c, &row, err);
        c->failed = kind;
    }
    if (kind == ERR_NONE) {
        c->idem->step = IDEM_LOOK;
        return there && row.state == IDEM_IN_WORK;
    }
    c->failed = kind;
    c->err = *err;
    return false;
}

// ---- upkeep ----

static enum err_kind prune_run(struct tx *tx, void *ctx, struct err *err) {
    struct api *api = ctx;
    struct wall before = {tx_now(tx).ms - api->o.idempotency_days * DAY_MS};
    return store_idem_prune(tx, before, PRUNE_SLICE, &api->prune.removed, err);
}

static void prune_done(void *ctx, enum err_kind kind, const struct err *err) {
    struct api *api = ctx;
    if (kind != ERR_NONE)
        log_warn("idempotency.prune_failed", LOG_ERR(err));
    bool more = kind == ERR_NONE && api->prune.removed == PRUNE_SLICE;
    atomic_store(&api->prune.pause_ms, more ? 0 : PRUNE_EVERY_MS);
    atomic_store(&api->prune.running, false);
    if (more)
        park_wake(api);
}

void idem_upkeep(struct api *api, struct mono now) {
    struct err err = {0};
    if (atomic_load(&api->prune.running) || mono_ms_between(api->prune.last, now) < atomic_load(&api->prune.pause_ms))
        return;
    api->prune.last = now;
    api->prune.job = (struct store_job){.run = prune_run, .done = prune_done, .ctx = api, .early = true};
    atomic_store(&api->prune.running, true);
    if (store_submit(api->o.store, &api->prune.job, &err) != ERR_NONE) // it is busy with better things
        atomic_store(&api->prune.running, false);
}
