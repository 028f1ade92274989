// SPDX-License-Identifier: Apache-2.0
/*
 * Turns of the deliverer in one thread: a store without a thread of its own, a clock that stands still until moved, and a sender that only
 * remembers what it was given until the test answers.
 */
#include "deliver/deliver.h"

#include "store/db_fault.h"
#include "store/store_webhook.h"
#include "store/testing.h"

#define SENT_MAX 256

struct sent {
    char url[128], id[64], body[4096];
    void (*done)(void *ctx, const struct http_answer_got *answer);
    void *ctx;
    bool answered;
};

// One node: a deliverer and what it has sent.
struct node {
    struct deliver *d;
    struct sent sent[SENT_MAX];
    size_t n;
    size_t room; // requests that it takes at once
    size_t open;
};

struct world {
    int gather_ms; // of the nodes
    struct fixture *f;
    struct node node[2];
    struct wall wake;
};

static enum err_kind node_send(void *ctx, const struct http_request *r, struct err *err) {
    struct node *node = ctx;
    if (node->open >= node->room)
        return err_set(err, ERR_BUSY, "no room");
    assert_true(node->n < SENT_MAX);
    struct sent *s = &node->sent[node->n++];
    *s = (struct sent){.done = r->done, .ctx = r->ctx};
    snprintf(s->url, sizeof s->url, "%s", r->url);
    for (size_t i = 0; i < r->n_headers; i++)
        if (strcmp(r->header[i].name, "webhook-id") == 0)
            snprintf(s->id, sizeof s->id, "%s", r->header[i].value);
    assert_true(str_to_buf(r->body, s->body, sizeof s->body));
    node->open++;
    return ERR_NONE;
}

static void answer_how(struct node *node, size_t i, enum http_ending how, int status, int64_t retry_after_s) {
    struct sent *s = &node->sent[i];
    assert_true(i < node->n && !s->answered);
    s->answered = true;
    node->open--;
    s->done(s->ctx, &(struct http_answer_got){
                        .how = how, .status = status, .body = STR("thanks"), .retry_after_s = retry_after_s, .duration_us = 5000});
}

static void answer(struct node *node, size_t i, int status) {
    answer_how(node, i, HTTP_ANSWERED, status, -1);
}

static void open_node(struct world *w, int i) {
    struct err err = {0};
    struct deliver_options o = {
        .store = w->f->store,
        .clock = &w->f->clock,
        .rng = &w->f->rng,
        .links = {"https://api.example.com", "https://api.example.com/qr"},
        .sender = {node_send, &w->node[i]},
        .node = i + 1,
        .calls_max = 8,
        .retry_scale_ppm = RETRY_SCALE_WHOLE,
        .log_days = 30,
        .gather_ms = w->gather_ms,
    };
    w->node[i].room = SENT_MAX;
    assert_int_equal(deliver_open(&o, &w->node[i].d, &err), ERR_NONE);
    store_on_commit(w->f->store, DELIVER_NEWS, deliver_news, w->node[i].d);
}

static int setup_with(void **state, const struct db_driver *driver, int gather_ms) {
    struct world *w = xcalloc(1, sizeof *w);
    w->gather_ms = gather_ms;
    w->f = fixture_new(driver);
    fixture_open(w->f);
    fixture_fill(w->f);
    open_node(w, 0);
    *state = w;
    return 0;
}

static int setup(void **state) {
    return setup_with(state, NULL, 0);
}

static int setup_gathering(void **state) {
    return setup_with(state, NULL, 10);
}

static struct db_fault fault;
static int setup_faulty(void **state) {
    db_fault_init(&fault, &db_sqlite);
    return setup_with(state, &fault.driver, 0);
}

static void close_node(struct world *w, int i) {
    struct node *node = &w->node[i];
    for (size_t k = 0; k < node->n; k++)
        if (!node->sent[k].answered)
            answer_how(node, k, HTTP_STOPPED, 0, -1);
}

static int teardown(void **state) {
    struct world *w = *state;
    for (int i = 0; i < 2; i++)
        if (w->node[i].d)
            close_node(w, i);
    store_close(w->f->store);
    w->f->store = NULL;
    for (int i = 0; i < 2; i++)
        deliver_close(w->node[i].d);
    fixture_free(w->f);
    free(w);
    return 0;
}

static void step(struct world *w, int i) {
    struct err err = {0};
    assert_int_equal(deliver_step(w->node[i].d, &w->wake, &err), ERR_NONE);
}

static void advance(struct world *w, int64_t ms) {
    clock_manual_advance(&w->f->manual, ms);
}

// ---- the store's side ----

struct doing {
    struct world *w;
    struct webhook hook;
    const char *url;
    const char *types;
    int64_t sequence;
    enum event_type type;
    int64_t partner_id;
    bool broken;
    size_t n;
    struct webhook_delivery last;
};

static void run(struct doing *x, enum err_kind (*job)(struct tx *, void *, struct err *)) {
    struct err *err = &x->w->f->err;
    OK(store_run(x->w->f->store, job, x, err));
}

JOB(add_hook_job) {
    struct doing *x = ctx;
    int64_t first, last;
    OK(store_event_range(tx, x->partner_id, &first, &last, err));
    x->hook = (struct webhook){.id = tx_new_id(tx, x->partner_id),
                               .partner_id = x->partner_id,
                               .url = str_of(x->url),
                               .types = str_of(x->types),
                               .created = tx_now(tx),
                               .modified = tx_now(tx),
                               .cursor = last + 1,
                               .due = WALL_NONE,
                               .failing_since = WALL_NONE,
                               .lease_until = WALL_NONE};
    OK(store_webhook_insert(tx, &x->hook, err));
    return store_webhook_secret_add(tx, x->hook.id, "0123456789abcdef01234567", 24, WALL_NONE, err);
}

static struct webhook add_hook(struct world *w, const char *url, const char *types) {
    struct doing x = {.w = w, .url = url, .types = types, .partner_id = w->f->live.id};
    run(&x, add_hook_job);
    return x.hook;
}

JOB(tell_job) {
    struct doing *x = ctx;
    struct buf payload;
    buf_init(&payload, EVENT_PAYLOAD_MAX);
    struct sim sim = fixture_sim(ICCID_A, x->partner_id);
    struct subscription s = {.iccid = ICCID_A,
                             .partner_id = x->partner_id,
                             .name = STR("Plan"),
                             .product_public_id = PRODUCT_A,
                             .state = SUB_EXPIRED,
                             .created = tx_now(tx),
                             .activation = WALL_NONE,
                             .expiry = WALL_NONE,
                             .next_at = WALL_NONE,
                             .wanted_expiry = WALL_NONE,
                             .balance_as_of = WALL_NONE,
                             .sold = {0, "EUR"}};
    if (x->type == EVENT_SUBSCRIPTION_EXPIRED)
        event_pack_subscription(&payload, &s, NULL, 0);
    else
        event_pack_sim(&payload, &sim, NULL);
    struct event e = {.partner_id = x->partner_id,
                      .type = x->type,
                      .created = tx_now(tx),
                      .iccid = ICCID_A,
                      .payload = x->broken ? STR("what is this") : buf_str(&payload)};
    enum err_kind kind = store_event_append(tx, &e, err);
    x->sequence = e.sequence;
    buf_release(&payload);
    return kind;
}

static int64_t tell(struct world *w, enum event_type type) {
    struct doing x = {.w = w, .type = type, .partner_id = w->f->live.id};
    run(&x, tell_job);
    return x.sequence;
}

JOB(get_hook_job) {
    struct doing *x = ctx;
    return store_webhook_get(tx, x->hook.id, &x->w->f->arena, &x->hook, err);
}

static struct webhook stored(struct world *w, struct webhook hook) {
    struct doing x = {.w = w, .hook = hook};
    run(&x, get_hook_job);
    return x.hook;
}

JOB(update_hook_job) {
    struct doing *x = ctx;
    return store_webhook_update(tx, &x->hook, err);
}

static void replay(struct world *w, struct webhook hook, int64_t from) {
    struct doing x = {.w = w, .hook = stored(w, hook)};
    x.hook.cursor = from;
    x.hook.epoch++;
    x.hook.attempts = 0;
    x.hook.due = x.hook.failing_since = WALL_NONE;
    x.hook.modified.ms++;
    run(&x, update_hook_job);
}

JOB(delete_hook_job) {
    struct doing *x = ctx;
    return store_webhook_delete(tx, x->hook.id, err);
}

JOB(log_job) {
    struct doing *x = ctx;
    struct webhook_delivery *list = NULL;
    OK(store_delivery_list(tx, x->hook.id, 0, 100, &x->w->f->arena, &list, &x->n, NULL, err));
    if (x->n > 0)
        x->last = list[0];
    return ERR_NONE;
}

static size_t log_length(struct world *w, struct webhook hook, struct webhook_delivery *newest) {
    struct doing x = {.w = w, .hook = hook};
    run(&x, log_job);
    if (newest)
        *newest = x.last;
    return x.n;
}

static void assert_sent(struct node *node, size_t i, int64_t sequence) {
    char text[48];
    snprintf(text, sizeof text, "\"sequence\":%lld,", (long long)sequence);
    assert_true(i < node->n);
    if (!strstr(node->sent[i].body, text))
        fail_msg("%s is not in %s", text, node->sent[i].body);
}

// ---- endpoints ----

static void deliver_writes_answers_down_together_while_more_are_to_come(void **state) {
    struct world *w = *state;
    struct node *n = &w->node[0];
    struct webhook hook = add_hook(w, "https://hooks.example.com/", "sim.*");
    step(w, 0);
    for (int i = 0; i < 3; i++)
        tell(w, EVENT_SIM_ACTIVATED);
    step(w, 0);
    size_t first = n->n - 1;
    int64_t cursor = stored(w, hook).cursor;
    answer(n, first, 200);
    step(w, 0);
    assert_int_equal(n->n, first + 2); // the next does not wait
    assert_int_equal(stored(w, hook).cursor, cursor);
    clock_manual_advance(&w->f->manual, 10);
    step(w, 0);
    assert_int_equal(stored(w, hook).cursor, cursor + 1);
    answer(n, first + 1, 200);
    step(w, 0);
    assert_int_equal(stored(w, hook).cursor, cursor + 1);
    answer(n, first + 2, 200); // the last: nothing more is to come
    step(w, 0);
    assert_int_equal(stored(w, hook).cursor, cursor + 3);
}

static void deliver_in_order_one_at_a_time_and_written_down(void **state) {
    struct world *w = *state;
    struct node *n = &w->node[0];
    struct webhook hook = add_hook(w, "https://hooks.example.com/", "sim.*"), now;
    step(w, 0);
    assert_int_equal(n->n, 0);
    tell(w, EVENT_SIM_ACTIVATED);
    tell(w, EVENT_SUBSCRIPTION_EXPIRED); // not wanted
    tell(w, EVENT_SIM_EID_CHANGED);
    step(w, 0);
    assert_int_equal(n->n, 1);
    assert_sent(n, 0, 1);
    step(w, 0);
    assert_int_equal(n->n, 1);
    answer(n, 0, 200);
    step(w, 0);
    assert_int_equal(n->n, 2);
    assert_sent(n, 1, 3);
    now = stored(w, hook);
    assert_int_equal(now.cursor, 2);
    assert_int_equal(now.lease_owner, 1);
    answer(n, 1, 204);
    step(w, 0);
    assert_int_equal(stored(w, hook).cursor, 4);
    struct webhook_delivery line;
    assert_int_equal(log_length(w, hook, &line), 2);
    assert_int_equal(line.outcome, DELIVERY_DELIVERED);
    assert_int_equal(line.status, 204);
    assert_int_equal(line.duration_ms, 5);
    IS_STR(line.answer, "thanks");
    assert_string_not_equal(n->sent[0].id, n->sent[1].id);
}

static void deliver_again_when_it_is_due_under_the_same_id(void **state) {
    struct world *w = *state;
    struct node *n = &w->node[0];
    struct webhook hook = add_hook(w, "https://hooks.example.com/", "*");
    tell(w, EVENT_SIM_ACTIVATED);
    tell(w, EVENT_SIM_ACTIVATED);
    step(w, 0);
    answer(n, 0, 500);
    step(w, 0);
    struct webhook now = stored(w, hook);
    assert_int_equal(now.attempts, 1);
    assert_int_equal(now.cursor, 1);
    assert_in_range(now.due.ms - clock_wall(&w->f->clock).ms, 9000, 11000);
    step(w, 0);
    assert_int_equal(n->n, 1);
    advance(w, now.due.ms - clock_wall(&w->f->clock).ms - 1);
    step(w, 0);
    assert_int_equal(n->n, 1);
    assert_int_equal(w->wake.ms, now.due.ms);
    advance(w, 1);
    step(w, 0);
    assert_int_equal(n->n, 2);
    assert_string_equal(n->sent[0].id, n->sent[1].id);
    assert_string_equal(n->sent[0].body, n->sent[1].body);
    answer_how(n, 1, HTTP_TIMED_OUT, 0, -1);
    step(w, 0);
    struct webhook_delivery line;
    assert_int_equal(log_length(w, hook, &line), 2);
    assert_int_equal(line.attempt, 2);
    assert_int_equal(line.status, 0);
    assert_true(str_present(line.trouble));
    assert_int_equal(line.next.ms, stored(w, hook).due.ms);
}

static void deliver_when_it_would_have_been_due_when_the_clock_is_set_back(void **state) {
    struct world *w = *state;
    struct node *n = &w->node[0];
    struct webhook hook = add_hook(w, "https://hooks.example.com/", "*");
    tell(w, EVENT_SIM_ACTIVATED);
    step(w, 0);
    answer(n, 0, 500);
    step(w, 0);
    struct webhook now = stored(w, hook);
    int64_t ahead = now.due.ms - clock_wall(&w->f->clock).ms;
    advance(w, ahead / 2);
    step(w, 0);
    clock_manual_jump(&w->f->manual, -5 * 3600000);
    step(w, 0);
    assert_int_equal(n->n, 1);
    advance(w, ahead - ahead / 2 - 1);
    step(w, 0);
    assert_int_equal(n->n, 1);
    advance(w, 1);
    step(w, 0);
    assert_int_equal(n->n, 2);
    clock_manual_jump(&w->f->manual, 3600000);
    answer(n, 1, 200);
    step(w, 0);
    assert_int_equal(stored(w, hook).cursor, 2);
}

static void deliver_under_the_lease_of_one_node(void **state) {
    struct world *w = *state;
    struct node *one = &w->node[0], *two = &w->node[1];
    struct webhook hook = add_hook(w, "https://hooks.example.com/", "*");
    open_node(w, 1);
    tell(w, EVENT_SIM_ACTIVATED);
    step(w, 0);
    step(w, 1);
    assert_int_equal(one->n, 1);
    assert_int_equal(two->n, 0);
    // The first hangs until its lease is over; the second takes over.
    advance(w, 61000);
    step(w, 1);
    advance(w, 6000);
    step(w, 1);
    assert_int_equal(two->n, 1);
    assert_sent(two, 0, 1);
    answer(two, 0, 200);
    step(w, 1);
    assert_int_equal(stored(w, hook).cursor, 2);
    assert_int_equal(stored(w, hook).lease_owner, 2);
    // What the first hears too late changes nothing, and it leaves the endpoint alone.
    answer(one, 0, 500);
    step(w, 0);
    assert_int_equal(stored(w, hook).cursor, 2);
    assert_int_equal(stored(w, hook).attempts, 0);
    tell(w, EVENT_SIM_ACTIVATED);
    step(w, 0);
    step(w, 1);
    assert_int_equal(one->n, 1);
    assert_int_equal(two->n, 2);
    assert_sent(two, 1, 2);
}

static void deliver_goes_on_where_a_node_died(void **state) {
    struct world *w = *state;
    struct node *one = &w->node[0];
    struct webhook hook = add_hook(w, "https://hooks.example.com/", "*");
    for (int i = 0; i < 3; i++)
        tell(w, EVENT_SIM_ACTIVATED);
    step(w, 0);
    answer(one, 0, 200);
    step(w, 0);
    assert_int_equal(one->n, 2);
    // The same node, started again: its own lease does not stop it. What was on its way is sent again.
    close_node(w, 0);
    struct deliver *dead = one->d;
    size_t n = one->n;
    open_node(w, 0);
    step(w, 0);
    assert_int_equal(one->n, n + 1);
    assert_sent(one, n, 2);
    answer(one, n, 200);
    step(w, 0);
    assert_sent(one, n + 1, 3);
    assert_int_equal(stored(w, hook).cursor, 3);
    w->node[1].d = dead; // closed with the others
}

static void deliver_forgets_what_was_on_its_way_when_a_call_comes_between(void **state) {
    struct world *w = *state;
    struct node *n = &w->node[0];
    struct webhook hook = add_hook(w, "https://hooks.example.com/", "*");
    for (int i = 0; i < 3; i++)
        tell(w, EVENT_SIM_ACTIVATED);
    step(w, 0);
    answer(n, 0, 200);
    step(w, 0);
    assert_sent(n, 1, 2);
    replay(w, hook, 1); // while the second is on its way
    answer(n, 1, 200);
    step(w, 0);
    step(w, 0);
    assert_int_equal(n->n, 3);
    assert_sent(n, 2, 1);
    answer(n, 2, 200);
    step(w, 0);
    assert_sent(n, 3, 2);
    assert_int_equal(stored(w, hook).cursor, 2);
}

static void deliver_survives_that_an_endpoint_is_deleted(void **state) {
    struct world *w = *state;
    struct node *n = &w->node[0];
    struct doing x = {.w = w, .hook = add_hook(w, "https://hooks.example.com/", "*")};
    struct webhook other = add_hook(w, "https://other.example.com/", "*");
    tell(w, EVENT_SIM_ACTIVATED);
    step(w, 0);
    assert_int_equal(n->n, 2);
    run(&x, delete_hook_job);
    step(w, 0);
    answer(n, 0, 200);
    answer(n, 1, 200);
    step(w, 0);
    tell(w, EVENT_SIM_ACTIVATED);
    step(w, 0);
    assert_int_equal(n->n, 3);
    assert_string_equal(n->sent[2].url, "https://other.example.com/");
    assert_int_equal(stored(w, other).cursor, 2);
}

static void deliver_leaves_room_for_live_endpoints(void **state) {
    struct world *w = *state;
    struct node *n = &w->node[0];
    char url[64];
    for (int i = 0; i < 8; i++) {
        snprintf(url, sizeof url, "https://dead.example.com/%d", i);
        add_hook(w, url, "sim.activated");
    }
    tell(w, EVENT_SIM_ACTIVATED);
    step(w, 0);
    assert_int_equal(n->n, 8); // as many as there may be
    for (size_t i = 0; i < 8; i++)
        answer(n, i, 500);
    step(w, 0);
    add_hook(w, "https://live.example.com/", "sim.eid_changed");
    step(w, 0);
    advance(w, 12000); // all of them are due again
    step(w, 0);
    assert_int_equal(n->n, 8 + 4); // half of what there may be
    tell(w, EVENT_SIM_EID_CHANGED);
    step(w, 0);
    assert_int_equal(n->n, 8 + 5);
    assert_string_equal(n->sent[12].url, "https://live.example.com/");
    answer(n, 8, 500);
    step(w, 0);
    assert_int_equal(n->n, 8 + 6); // one of the others has its turn
}

static void deliver_waits_for_a_sender_that_is_full(void **state) {
    struct world *w = *state;
    struct node *n = &w->node[0];
    add_hook(w, "https://one.example.com/", "*");
    add_hook(w, "https://two.example.com/", "*");
    n->room = 1;
    tell(w, EVENT_SIM_ACTIVATED);
    step(w, 0);
    assert_int_equal(n->n, 1);
    answer(n, 0, 200);
    step(w, 0);
    assert_int_equal(n->n, 2);
    assert_string_not_equal(n->sent[0].url, n->sent[1].url);
}

static void deliver_gives_an_unreadable_event_up(void **state) {
    struct world *w = *state;
    struct node *n = &w->node[0];
    struct webhook hook = add_hook(w, "https://hooks.example.com/", "*");
    struct doing x = {.w = w, .type = EVENT_SIM_ACTIVATED, .partner_id = w->f->live.id, .broken = true};
    run(&x, tell_job);
    tell(w, EVENT_SIM_ACTIVATED);
    step(w, 0);
    assert_int_equal(n->n, 1);
    assert_sent(n, 0, 2);
    struct webhook_delivery line;
    assert_int_equal(log_length(w, hook, &line), 1);
    assert_int_equal(line.outcome, DELIVERY_GIVEN_UP);
    assert_int_equal(line.sequence, 1);
}

JOB(prune_job) {
    struct doing *x = ctx;
    int64_t dropped = 0;
    return store_event_prune(tx, x->partner_id, wall_plus_ms(tx_now(tx), 1), 3, &dropped, err);
}

static void deliver_goes_on_with_what_is_kept(void **state) {
    struct world *w = *state;
    struct node *n = &w->node[0];
    struct webhook hook = add_hook(w, "https://hooks.example.com/", "*");
    for (int i = 0; i < 5; i++)
        tell(w, EVENT_SIM_ACTIVATED);
    struct doing x = {.w = w, .partner_id = w->f->live.id};
    run(&x, prune_job);
    step(w, 0);
    assert_sent(n, 0, 4);
    answer(n, 0, 200);
    step(w, 0);
    assert_int_equal(stored(w, hook).cursor, 5);
}

// Every call to the store fails once, each time another one: nothing is lost, and nothing comes out of order.
static void deliver_survives_trouble_with_the_store(void **state) {
    struct world *w = *state;
    struct node *n = &w->node[0];
    struct err err = {0};
    static const enum fault_mode modes[] = {FAULT_REFUSES, FAULT_LOSES, FAULT_RETRY, FAULT_UNSURE};
    struct webhook hook = add_hook(w, "https://hooks.example.com/", "*");
    step(w, 0);
    for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
        for (int at = 1; at < 40; at++) {
            n->n = n->open = 0;
            int64_t sequence = tell(w, EVENT_SIM_ACTIVATED);
            db_fault_arm(&fault, modes[m], at);
            for (int turn = 0; turn < 6; turn++) {
                err_clear(&err);
                enum err_kind kind = deliver_step(n->d, &w->wake, &err);
                assert_true(kind == ERR_NONE || err.count > 0);
                if (n->n > 0 && !n->sent[n->n - 1].answered)
                    answer(n, n->n - 1, 200);
                advance(w, 6000);
            }
            bool hit = fault.hits > 0;
            db_fault_arm(&fault, FAULT_REFUSES, 0);
            step(w, 0);
            assert_true(n->n >= 1);
            for (size_t i = 0; i < n->n; i++)
                assert_sent(n, i, sequence);
            assert_int_equal(stored(w, hook).cursor, sequence + 1);
            if (!hit)
                break;
        }
    }
}

// ---- notifications of one SIM ----

struct preference {
    struct world *w;
    iccid_t iccid;
    const char *url; // NULL: removed
};

JOB(preference_job) {
    struct preference *p = ctx;
    bool was_there;
    return p->url ? store_notification_put(tx, p->iccid, NOTIFY_SUBSCRIPTION_END, str_of(p->url), err)
                  : store_notification_delete(tx, p->iccid, NOTIFY_SUBSCRIPTION_END, &was_there, err);
}

static void prefer(struct world *w, const char *url) {
    struct preference p = {w, ICCID_A, url};
    struct err *err = &w->f->err;
    OK(store_run(w->f->store, preference_job, &p, err));
}

static void notify_in_order_with_retries(void **state) {
    struct world *w = *state;
    struct node *n = &w->node[0];
    prefer(w, "https://u:p@sim.example.com/");
    tell(w, EVENT_SUBSCRIPTION_EXPIRED);
    tell(w, EVENT_SUBSCRIPTION_EXPIRED);
    step(w, 0);
    assert_int_equal(n->n, 1);
    assert_string_equal(n->sent[0].url, "https://u:p@sim.example.com/");
    assert_non_null(strstr(n->sent[0].body, "\"type\":\"SUBSCRIPTION_END\""));
    answer(n, 0, 500);
    step(w, 0);
    assert_int_equal(n->n, 1);
    advance(w, 12000);
    step(w, 0);
    assert_int_equal(n->n, 2);
    assert_string_equal(n->sent[0].body, n->sent[1].body);
    prefer(w, "https://other.example.com/"); // what waits goes to the new address
    answer(n, 1, 200);
    step(w, 0);
    step(w, 0);
    assert_int_equal(n->n, 3);
    assert_string_equal(n->sent[2].url, "https://other.example.com/");
    assert_string_not_equal(n->sent[2].body, n->sent[1].body);
    answer(n, 2, 200);
    step(w, 0);
    advance(w, 100000);
    step(w, 0);
    assert_int_equal(n->n, 3);
}

static void notify_gives_up_and_nobody_without_an_address(void **state) {
    struct world *w = *state;
    struct node *n = &w->node[0];
    prefer(w, "https://sim.example.com/");
    tell(w, EVENT_SUBSCRIPTION_EXPIRED);
    for (size_t i = 0; i < RETRY_ATTEMPTS_MAX; i++) {
        step(w, 0);
        assert_int_equal(n->n, i + 1);
        answer(n, i, 503);
        step(w, 0);
        advance(w, INT64_C(31) * 3600 * 1000);
    }
    tell(w, EVENT_SUBSCRIPTION_EXPIRED);
    step(w, 0);
    assert_int_equal(n->n, RETRY_ATTEMPTS_MAX + 1); // the next one
    answer(n, RETRY_ATTEMPTS_MAX, 410);
    step(w, 0);
    tell(w, EVENT_SUBSCRIPTION_EXPIRED);
    prefer(w, NULL);
    step(w, 0);
    advance(w, INT64_C(31) * 3600 * 1000);
    step(w, 0);
    assert_int_equal(n->n, RETRY_ATTEMPTS_MAX + 1);
    prefer(w, "https://sim.example.com/");
    step(w, 0);
    assert_int_equal(n->n, RETRY_ATTEMPTS_MAX + 1); // what had no address is not told later
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(deliver_writes_answers_down_together_while_more_are_to_come, setup_gathering, teardown),
        TEST(deliver_in_order_one_at_a_time_and_written_down),
        TEST(deliver_again_when_it_is_due_under_the_same_id),
        TEST(deliver_when_it_would_have_been_due_when_the_clock_is_set_back),
        TEST(deliver_under_the_lease_of_one_node),
        TEST(deliver_goes_on_where_a_node_died),
        TEST(deliver_forgets_what_was_on_its_way_when_a_call_comes_between),
        TEST(deliver_survives_that_an_endpoint_is_deleted),
        TEST(deliver_leaves_room_for_live_endpoints),
        TEST(deliver_waits_for_a_sender_that_is_full),
        TEST(deliver_gives_an_unreadable_event_up),
        TEST(deliver_goes_on_with_what_is_kept),
        cmocka_unit_test_setup_teardown(deliver_survives_trouble_with_the_store, setup_faulty, teardown),
        TEST(notify_in_order_with_retries),
        TEST(notify_gives_up_and_nobody_without_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
