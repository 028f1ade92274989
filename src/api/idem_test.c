// SPDX-License-Identifier: Apache-2.0
/*
 * idem_test.c - the rules of idem.h, on the real routes and on one whose work is the test's own.
 */
#include "api/api_test_support.h"

#include "api/idem.h"
#include "api/orders.h"
#include "api/preferences.h"
#include "api/state.h"
#include "base/log.h"
#include "store/store_idem.h"
#include "store/store_node.h"
#include "store/store_partner.h"

static struct api_test t;
static struct answer a, first;

// ---- a route whose work is the test's own: POST /v2/deeds ----

// A deed is counted in the store, so that what is undone does not count.
static int64_t counted;
static enum err_kind (*deed)(struct call *c, struct tx *tx, struct err *err);
static int runs;   // of deed, undone or not
static bool taken; // what a deed needs is, by one that is in work: a fault that comes and goes

static enum err_kind count_one(struct call *c, struct tx *tx, struct err *err) {
    return store_cap_add(tx, c->partner.id, 1, 1, err);
}

static enum err_kind deed_parse(struct call *c, struct err *err) {
    bool wrong = false;
    json_take_bool(c->body, "", "wrong", JSON_OPTIONAL, &wrong, err);
    if (taken)
        return err_set(err, ERR_CONFLICT, "deed: is being done");
    return wrong ? err_add(err, ERR_INVALID, "wrong: must not be") : err->kind;
}

static enum err_kind deed_work(struct call *c, struct tx *tx, struct err *err) {
    int64_t *number = c->state = arena_new(c->arena, int64_t);
    runs++;
    enum err_kind kind = deed(c, tx, err);
    return kind ? kind : store_cap_get(tx, c->partner.id, 1, number, err);
}

static void deed_reply(struct call *c) {
    struct jw w = call_json(c, 201);
    jw_object(&w, NULL);
    jw_i64(&w, "number", *(int64_t *)c->state);
    jw_end_object(&w);
    call_location(c, "/v2/deeds/%lld", (long long)*(int64_t *)c->state);
}

static const struct route routes[] = {
    {HTTP_POST, "/v2/deeds", ACCESS_PARTNER, "deeds", WORK_WRITE, BODY_JSON_OPTIONAL, deed_parse, deed_work, deed_reply},
    {HTTP_POST, "/v2/orders", ACCESS_PARTNER, "orders", WORK_WRITE, BODY_JSON, order_create_parse, order_create_work, order_create_reply,
     .work_despite_faults = true},
    {HTTP_GET, "/v2/orders", ACCESS_PARTNER, "orders", WORK_READ, BODY_NONE, order_list_parse, order_list_work, order_list_reply},
    {HTTP_PUT, "/v2/sims/{iccid}/preferences/notifications/{type}", ACCESS_PARTNER, "preferences", WORK_WRITE, BODY_JSON,
     preference_put_parse, preference_put_work, preferences_reply},
    {HTTP_DELETE, "/v2/sims/{iccid}/preferences/notifications/{type}", ACCESS_PARTNER, "preferences", WORK_WRITE, BODY_NONE,
     preference_delete_parse, preference_delete_work, preference_delete_reply},
};

static int setup(void **state UNUSED) {
    api_test_open_routes(&t, routes, ARRAY_LEN(routes), false);
    deed = count_one;
    runs = 0;
    return 0;
}

static int setup_threaded(void **state UNUSED) {
    api_test_open_routes(&t, routes, ARRAY_LEN(routes), true);
    deed = count_one;
    runs = 0;
    return 0;
}

static int teardown(void **state UNUSED) {
    answer_release(&a);
    answer_release(&first);
    api_test_close(&t);
    return 0;
}

// ---- calls ----

static struct header with_key[2] = {{"Idempotency-Key", NULL}, {NULL, NULL}};

static void call_as(struct answer *to, int token, enum http_method method, const char *target, const char *key, const char *body) {
    with_key[0].value = key;
    api_test_call(&t, to, token, method, target, body, key ? with_key : NULL);
}

static void post(struct answer *to, const char *target, const char *key, const char *body) {
    call_as(to, 0, HTTP_POST, target, key, body);
}

static struct exchange *begin(const char *key, const char *body) {
    with_key[0].value = key;
    return api_test_begin(&t, 0, HTTP_POST, "/v2/deeds", body, with_key);
}

static void assert_replay(const struct answer *again, const struct answer *of) {
    assert_answer(again, of->status);
    assert_string_equal(again->replayed, "true");
    assert_string_equal(of->replayed, "");
    assert_int_equal(again->body.n, of->body.n);
    assert_memory_equal(buf_str(&again->body).p, buf_str(&of->body).p, of->body.n);
    assert_string_equal(again->content_type, of->content_type);
    assert_string_equal(again->location, of->location);
    assert_string_equal(again->cache_control, "no-store");
    assert_string_not_equal(again->correlation, of->correlation);
}

static enum err_kind read_counted(struct tx *tx, void *ctx UNUSED, struct err *err) {
    return store_cap_get(tx, t.partner[0].id, 1, &counted, err);
}

static int64_t deeds(void) {
    api_test_job(&t, read_counted, NULL);
    return counted;
}

// ---- the key in the store ----

static struct idem_row row; // of partner 0; `there` says whether it is there
static bool there;

static enum err_kind read_row(struct tx *tx, void *ctx, struct err *err) {
    struct str key = str_of(ctx);
    enum err_kind kind = store_idem_get(tx, t.partner[0].id, key, &t.arena, &row, err);
    there = kind == ERR_NONE;
    return kind == ERR_NOT_FOUND ? ERR_NONE : kind;
}

static bool stored(const char *key) {
    char *text = xstrdup(key);
    api_test_job(&t, read_row, text);
    row.key = arena_str(&t.arena, str_of(key)); // the row's is a view of the key asked for
    free(text);
    return there;
}

static enum err_kind change_row(struct tx *tx, void *ctx, struct err *err) {
    const struct idem_row *to = ctx;
    return store_idem_update(tx, to, row.owner, row.since, err);
}

// Somebody else takes the key that was given up: a process of this node or that, last heard of so long ago.
static void hold_as(const char *key, int64_t node, int64_t age_ms) {
    assert_true(stored(key));
    struct idem_row other = row;
    other.owner = node << API_PROCESS_BITS | 12345;
    other.since = wall_plus_ms(clock_wall(&t.clock), -age_ms);
    api_test_job(&t, change_row, &other);
}

#define TOPUP                                                                                                                              \
    "{\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_BOTH                           \
    "\"},\"subscriber\":{\"sim\":{\"iccid\":\"" PSIM_ACTIVE "\"}}}"
#define REFERENCE(text)                                                                                                                    \
    "{\"reference\":\"" text                                                                                                               \
    "\",\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_BOTH                         \
    "\"},\"subscriber\":{\"sim\":{\"iccid\":\"" PSIM_ACTIVE "\"}}}"

static size_t orders(void) {
    GET("/v2/orders");
    assert_answer(&a, 200);
    assert_string_equal(a.replayed, "");
    return json_array_size(answer_at(&a, "data"));
}

// ---- one request, one answer ----

static void a_repeat_gets_the_first_answer_and_does_nothing(void **state UNUSED) {
    post(&first, "/v2/orders", "key-1", TOPUP);
    assert_answer(&first, 202);
    assert_true(strlen(first.location) > 0);
    for (int i = 0; i < 3; i++) {
        clock_manual_advance(&t.clock_state, 1000);
        post(&a, "/v2/orders", "key-1", TOPUP);
        assert_replay(&a, &first);
    }
    post(&a, "/connect-api/v2/orders/", " key-1 ", TOPUP); // the same address by its other names
    assert_replay(&a, &first);
    assert_int_equal(orders(), 1);

    post(&a, "/v2/orders", "key-2", TOPUP);
    assert_answer(&a, 202);
    assert_string_equal(a.replayed, "");
    post(&a, "/v2/orders", NULL, TOPUP);
    assert_answer(&a, 202);
    assert_int_equal(orders(), 3);
}

static void another_request_with_the_key_is_a_mismatch(void **state UNUSED) {
    static const struct {
        const char *target, *body;
    } rows[] = {
        {"/v2/deeds", "{\"a\":1,\"c\":2}"},     {"/v2/deeds", "{ \"a\":1,\"b\":2}"},
        {"/v2/deeds", "{\"b\":2,\"a\":1}"},     {"/v2/deeds", NULL},
        {"/v2/deeds?x=1", "{\"a\":1,\"b\":2}"}, {"/v2/orders", TOPUP},
        {"/v2/deeds", "{\"wrong\":true}"}, // not even looked at
    };
    post(&first, "/v2/deeds", "k", "{\"a\":1,\"b\":2}");
    assert_answer(&first, 201);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        post(&a, rows[i].target, "k", rows[i].body);
        assert_problem(&a, 422, "IDEMPOTENCY_MISMATCH", "Idempotency-Key: was used before", NULL);
        assert_string_equal(a.replayed, "");
    }
    assert_int_equal(deeds(), 1);
    assert_int_equal(orders(), 0);
    post(&a, "/v2/deeds", "k", "{\"a\":1,\"b\":2}");
    assert_replay(&a, &first);
}

static void keys_are_a_partners_own(void **state UNUSED) {
    post(&first, "/v2/deeds", "k", NULL);
    call_as(&a, 1, HTTP_POST, "/v2/deeds", "k", NULL);
    assert_answer(&a, 201);
    assert_string_equal(a.replayed, "");
    assert_int_equal(runs, 2);
}

static void a_key_is_up_to_255_printable_ascii_characters(void **state UNUSED) {
    char long_key[300];
    memset(long_key, 'x', sizeof long_key);
    long_key[256] = '\0';
    const char *const bad[] = {"", "   ", long_key, "a\tb", "caf\xc3\xa9", "a\x7f", "a\x01"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        post(&a, "/v2/deeds", bad[i], NULL);
        assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "Idempotency-Key: must be 1 to 255", NULL);
    }
    assert_int_equal(deeds(), 0);
    long_key[255] = '\0';
    const char *const good[] = {long_key, "x", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", "with a blank",
                                "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        post(&first, "/v2/deeds", good[i], NULL);
        assert_answer(&first, 201);
        post(&a, "/v2/deeds", good[i], NULL);
        assert_replay(&a, &first);
    }
    assert_int_equal(deeds(), ARRAY_LEN(good));
}

static void every_writing_method_takes_a_key(void **state UNUSED) {
    const char *target = "/v2/sims/" PSIM_ACTIVE "/preferences/notifications/SUBSCRIPTION_END";
    call_as(&first, 0, HTTP_PUT, target, "put", "{\"webhook_url\":\"https://example.com/\"}");
    assert_answer(&first, 200);
    call_as(&a, 0, HTTP_PUT, target, "put", "{\"webhook_url\":\"https://example.com/\"}");
    assert_replay(&a, &first);
    call_as(&first, 0, HTTP_DELETE, target, "delete", NULL);
    assert_answer(&first, 204);
    assert_int_equal(first.body.n, 0);
    call_as(&a, 0, HTTP_DELETE, target, "delete", NULL);
    assert_replay(&a, &first);
    call_as(&a, 0, HTTP_PUT, target, "delete", "{\"webhook_url\":\"https://example.com/\"}");
    assert_answer(&a, 422);
    call_as(&a, 0, HTTP_GET, "/v2/orders", "put", NULL); // reading has no use for it
    assert_answer(&a, 200);
    assert_string_equal(a.replayed, "");
}

// ---- which answers are kept ----

static enum err_kind refusal_kind;
static bool refuse_after_writing;

static enum err_kind refuse(struct call *c, struct tx *tx, struct err *err) {
    if (refuse_after_writing) {
        enum err_kind kind = count_one(c, tx, err);
        if (kind)
            return kind;
    }
    return err_set(err, refusal_kind, "deed: is not for today");
}

static void refusals_that_the_world_gave_are_kept(void **state UNUSED) {
    static const enum err_kind kinds[] = {ERR_INVALID, ERR_DENIED, ERR_NOT_FOUND, ERR_CAP, ERR_CONFLICT, ERR_GONE};
    for (size_t i = 0; i < 2 * ARRAY_LEN(kinds); i++) {
        char key[16];
        snprintf(key, sizeof key, "k%zu", i);
        refusal_kind = kinds[i / 2];
        refuse_after_writing = i % 2;
        deed = refuse;
        runs = 0;
        post(&first, "/v2/deeds", key, NULL);
        assert_true(first.status >= 400 && first.status < 500);
        assert_string_equal(answer_text(&first, "messages.0"), "deed: is not for today");
        assert_int_equal(runs, 1);
        deed = count_one; // the world has changed its mind, the answer has not
        post(&a, "/v2/deeds", key, NULL);
        assert_replay(&a, &first);
        assert_int_equal(runs, 1);
    }
    assert_int_equal(deeds(), 0); // nothing is left of what was refused
}

static void trouble_of_the_server_leaves_the_key_free(void **state UNUSED) {
    static const enum err_kind kinds[] = {ERR_UNAVAILABLE, ERR_INTERNAL, ERR_CORRUPT, ERR_BUSY};
    for (size_t i = 0; i < 2 * ARRAY_LEN(kinds); i++) {
        char key[16];
        snprintf(key, sizeof key, "k%zu", i);
        refusal_kind = kinds[i / 2];
        refuse_after_writing = i % 2;
        deed = refuse;
        post(&first, "/v2/deeds", key, NULL);
        assert_true(first.status >= 500);
        assert_false(stored(key));
        deed = count_one;
        post(&a, "/v2/deeds", key, NULL);
        assert_answer(&a, 201);
        assert_string_equal(a.replayed, "");
        assert_int_equal(deeds(), i + 1);
    }
}

static void faults_of_the_request_leave_the_key_free(void **state UNUSED) {
    static const char *const bodies[] = {"{", "[]", "{\"wrong\":true}", "{\"wrong\":1}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        post(&a, "/v2/deeds", "k", bodies[i]);
        assert_answer(&a, 400);
        assert_false(stored("k"));
    }
    post(&a, "/v2/orders", "k", "{\"country\":\"GB\"}"); // its faults are looked for in the world, too
    assert_answer(&a, 400);
    assert_false(stored("k"));
    post(&a, "/v2/deeds", "k", "{\"wrong\":false}"); // mended
    assert_answer(&a, 201);
    call_as(&a, -1, HTTP_POST, "/v2/deeds", "k2", NULL);
    assert_answer(&a, 401);
    call_as(&a, -1, HTTP_POST, "/v2/deeds", "k", "{\"wrong\":false}"); // nobody gets another's answer
    assert_answer(&a, 401);
}

static enum err_kind require_more(struct tx *tx, void *ctx UNUSED, struct err *err) {
    t.partner[0].needs = NEED_FIRST_NAME;
    return store_partner_update(tx, &t.partner[0], err);
}

static void an_answered_key_is_not_judged_again(void **state UNUSED) {
    static const char activation[] =
        "{\"operation_type\":\"ACTIVATION\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_BOTH
        "\"},\"subscriber\":{\"email\":\"john@doe.com\",\"sim\":{\"iccid\":\"" PSIM_STOCK "\"}}}";
    post(&first, "/v2/orders", "k", activation);
    assert_answer(&first, 202);
    api_test_job(&t, require_more, NULL);
    clock_manual_advance(&t.clock_state, 2000); // the partner's row is looked at again
    post(&a, "/v2/orders", NULL, activation);
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "subscriber.first_name", "subscriber.sim.iccid", NULL);
    post(&a, "/v2/orders", "k", activation);
    assert_replay(&a, &first);
}

static void a_reference_that_is_taken_is_refused_the_same_way_again(void **state UNUSED) {
    post(&first, "/v2/orders", "k1", REFERENCE("basket 1"));
    assert_answer(&first, 202);
    post(&first, "/v2/orders", "k2", REFERENCE("basket 1"));
    assert_problem(&first, 409, "CONFLICT", "reference: ", NULL);
    post(&a, "/v2/orders", "k2", REFERENCE("basket 1"));
    assert_replay(&a, &first);
    assert_int_equal(orders(), 1);
}

static void problem_documents_are_kept_as_they_were(void **state UNUSED) {
    const struct header headers[] = {{"Idempotency-Key", "k"}, {"Accept", "application/problem+json"}, {NULL, NULL}};
    deed = refuse;
    refusal_kind = ERR_CONFLICT;
    refuse_after_writing = false;
    api_test_call(&t, &first, 0, HTTP_POST, "/v2/deeds", NULL, headers);
    assert_answer(&first, 409);
    assert_string_equal(first.content_type, "application/problem+json");
    post(&a, "/v2/deeds", "k", NULL);
    assert_replay(&a, &first);
}

// ---- jobs that are run twice ----

static struct exchange *inner[3];

static enum err_kind fail_in_a_batch(struct call *c, struct tx *tx, struct err *err) {
    enum err_kind kind = count_one(c, tx, err);
    if (kind)
        return kind;
    return str_is(c->x->body, "{\"fails\":true}") ? err_set(err, ERR_UNAVAILABLE, "deed: the disk is away") : ERR_NONE;
}

// The writer is at work: what comes now waits and makes one batch.
static enum err_kind begin_batch(struct call *c, struct tx *tx, struct err *err) {
    deed = fail_in_a_batch;
    inner[0] = begin("one", NULL);
    inner[1] = begin("two", "{\"fails\":true}");
    inner[2] = begin("one", NULL);
    return count_one(c, tx, err);
}

static void a_job_that_is_run_twice_answers_once(void **state UNUSED) {
    deed = begin_batch;
    post(&a, "/v2/deeds", "outer", NULL);
    assert_answer(&a, 201);
    assert_true(runs > 3); // the batch was undone and run again
    api_test_end(&t, inner[0], &first);
    assert_answer(&first, 201);
    assert_int_equal(json_integer_value(answer_at(&first, "number")), 2);
    api_test_end(&t, inner[1], &a);
    assert_answer(&a, 503);
    assert_false(stored("two"));
    api_test_end(&t, inner[2], &a);
    assert_replay(&a, &first);
    assert_int_equal(deeds(), 2);
}

// ---- calls of several jobs ----

static int parts;                 // of a long deed
static void (*meanwhile)(int at); // called in the job of each part
static int fails_at;

static enum err_kind long_deed(struct call *c, struct tx *tx, struct err *err) {
    int at = str_present(c->note) && c->note.n ? c->note.p[0] - '0' : 0;
    enum err_kind kind = count_one(c, tx, err);
    if (kind)
        return kind;
    if (meanwhile)
        meanwhile(at);
    if (at == fails_at)
        return err_set(err, refusal_kind, "deed: broke off");
    if (at + 1 < parts) {
        char note[2] = {(char)('0' + at + 1), '\0'};
        c->again = true;
        call_note(c, str_of(note));
    }
    return ERR_NONE;
}

static void make_long(int n) {
    deed = long_deed;
    parts = n;
    meanwhile = NULL;
    fails_at = -1;
}

static void a_long_call_is_answered_once(void **state UNUSED) {
    make_long(4);
    post(&first, "/v2/deeds", "k", NULL);
    assert_answer(&first, 201);
    assert_int_equal(json_integer_value(answer_at(&first, "number")), 4);
    post(&a, "/v2/deeds", "k", NULL);
    assert_replay(&a, &first);
    assert_int_equal(deeds(), 4);
    post(&a, "/v2/deeds", NULL, NULL); // without a key, too
    assert_answer(&a, 201);
    assert_int_equal(deeds(), 8);
}

static void come_again(int at) {
    if (at != 1) // when the claim is on disk
        return;
    meanwhile = NULL;
    inner[0] = begin("k", NULL);
    inner[1] = begin("k", "{\"another\":true}");
    deed = count_one;
    inner[2] = begin("other", NULL);
    deed = long_deed;
}

static void a_repeat_waits_while_the_key_is_in_work(void **state UNUSED) {
    make_long(5);
    meanwhile = come_again;
    post(&first, "/v2/deeds", "k", NULL);
    assert_answer(&first, 201);
    assert_true(api_test_waits(inner[0]));
    assert_false(api_test_waits(inner[1]));
    assert_false(api_test_waits(inner[2]));
    api_test_end(&t, inner[1], &a);
    assert_answer(&a, 422);
    api_test_end(&t, inner[2], &a);
    assert_answer(&a, 201);
    api_turn(t.api);
    assert_false(api_test_waits(inner[0]));
    api_test_end(&t, inner[0], &a);
    assert_replay(&a, &first);
}

// A long call breaks off after part `at` and leaves a claim with its note behind.
static void break_off(const char *key, int at) {
    make_long(5);
    fails_at = at;
    refusal_kind = ERR_UNAVAILABLE;
    post(&a, "/v2/deeds", key, NULL);
    assert_answer(&a, 503);
    fails_at = -1;
}

static void come_again_faulty(int at) {
    if (at != 1)
        return;
    meanwhile = NULL;
    taken = true;
    inner[0] = begin("k", NULL);
    taken = false;
}

static void a_repeat_waits_even_when_it_could_not_begin(void **state UNUSED) {
    make_long(5);
    meanwhile = come_again_faulty;
    post(&first, "/v2/deeds", "k", NULL);
    assert_answer(&first, 201);
    assert_true(api_test_waits(inner[0]));
    api_turn(t.api);
    api_test_end(&t, inner[0], &a);
    assert_replay(&a, &first);

    break_off("k2", 2);
    taken = true;
    post(&a, "/v2/deeds", "k2", NULL); // there is nothing to wait for
    assert_problem(&a, 409, "CONFLICT", "deed: is being done", NULL);
    hold_as("k2", 2, 0);
    struct exchange *e = begin("k2", NULL);
    assert_true(api_test_waits(e));
    clock_manual_advance(&t.clock_state, IDEM_CLAIM_MS);
    api_turn(t.api);
    api_test_end(&t, e, &a);
    assert_problem(&a, 409, "CONFLICT", "deed: is being done", NULL);
    taken = false;
    assert_true(stored("k2"));
    assert_int_equal(row.state, IDEM_IN_WORK); // a fault that is not the world's is not kept
}

static void a_call_that_broke_off_is_gone_on_with(void **state UNUSED) {
    break_off("k", 3);
    assert_int_equal(deeds(), 3);
    assert_true(stored("k"));
    assert_int_equal(row.state, IDEM_IN_WORK);
    assert_int_equal(row.owner, API_NO_PROCESS);
    assert_true(str_is(row.body, "3"));
    post(&a, "/v2/deeds", "k", "{}");
    assert_answer(&a, 422);
    post(&first, "/v2/deeds", "k", NULL);
    assert_answer(&first, 201);
    assert_string_equal(first.replayed, "");
    assert_int_equal(deeds(), 5);
    post(&a, "/v2/deeds", "k", NULL);
    assert_replay(&a, &first);
}

static void a_refusal_half_way_is_the_answer(void **state UNUSED) {
    make_long(5);
    fails_at = 2;
    refusal_kind = ERR_CONFLICT;
    post(&first, "/v2/deeds", "k", NULL);
    assert_problem(&first, 409, "CONFLICT", "deed: broke off", NULL);
    fails_at = -1;
    post(&a, "/v2/deeds", "k", NULL);
    assert_replay(&a, &first);
    assert_int_equal(deeds(), 2);
}

static void a_claim_of_an_earlier_process_is_dead_at_once(void **state UNUSED) {
    break_off("k", 2);
    hold_as("k", 1, 0);
    post(&a, "/v2/deeds", "k", NULL);
    assert_answer(&a, 201);
    assert_int_equal(deeds(), 5);
}

static void another_nodes_claim_is_waited_for_and_then_refused(void **state UNUSED) {
    break_off("k", 2);
    hold_as("k", 2, 0);
    struct exchange *e = begin("k", NULL);
    for (int i = 0; i < 4; i++) {
        assert_true(api_test_waits(e));
        clock_manual_advance(&t.clock_state, IDEM_WAIT_MS / 4 - 1);
        api_turn(t.api);
    }
    assert_true(api_test_waits(e));
    clock_manual_advance(&t.clock_state, 4);
    api_turn(t.api);
    assert_false(api_test_waits(e));
    api_test_end(&t, e, &a);
    assert_problem(&a, 409, "CONFLICT", "Idempotency-Key: the first request with this key is still in work", NULL);
    assert_int_equal(deeds(), 2);
    assert_true(stored("k"));
    assert_int_equal(row.state, IDEM_IN_WORK);

    // the other node finishes while we wait
    e = begin("k", NULL);
    assert_true(api_test_waits(e));
    struct idem_row answer = row;
    answer.state = IDEM_ANSWERED;
    answer.status = 201;
    answer.headers = STR("Content-Type: application/json\nLocation: https://example.com/x:y\n");
    answer.body = STR("{\"number\":77}");
    api_test_job(&t, change_row, &answer);
    api_turn(t.api);
    api_test_end(&t, e, &a);
    assert_answer(&a, 201);
    assert_string_equal(a.replayed, "true");
    assert_string_equal(a.location, "https://example.com/x:y");
    assert_int_equal(json_integer_value(answer_at(&a, "number")), 77);
}

static enum err_kind lease_node_2(struct tx *tx, void *ctx, struct err *err) {
    const int64_t *ms = ctx;
    struct node_row node = {.number = 2, .instance = 12345, .name = STR("host"), .started = tx_now(tx)}; // hold_as's process
    node.lease_until = wall_plus_ms(tx_now(tx), *ms);
    return store_node_take(tx, &node, err);
}

static void a_claim_of_a_dead_node_ends_with_its_lease(void **state UNUSED) {
    int64_t lease_ms = 1000;
    t.api->o.instance = 7; // the store is shared
    break_off("k", 2);
    hold_as("k", 2, 0);
    api_test_job(&t, lease_node_2, &lease_ms);
    struct exchange *e = begin("k", NULL);
    clock_manual_advance(&t.clock_state, 999);
    api_turn(t.api);
    assert_true(api_test_waits(e));
    clock_manual_advance(&t.clock_state, 1);
    api_turn(t.api);
    api_test_end(&t, e, &a);
    assert_answer(&a, 201);
    assert_int_equal(deeds(), 5);

    // Nor does a process hold a key whose number another one has by now.
    break_off("other", 2);
    hold_as("other", 3, 0);
    post(&a, "/v2/deeds", "other", NULL);
    assert_answer(&a, 201);
}

static void a_claim_that_nobody_heard_of_for_long_is_taken_over(void **state UNUSED) {
    break_off("k", 2);
    hold_as("k", 2, IDEM_CLAIM_MS - 1);
    struct exchange *e = begin("k", NULL);
    assert_true(api_test_waits(e));
    clock_manual_advance(&t.clock_state, 1);
    api_turn(t.api);
    assert_false(api_test_waits(e));
    api_test_end(&t, e, &a);
    assert_answer(&a, 201);
    assert_int_equal(deeds(), 5);

    break_off("k2", 2);
    hold_as("k2", 2, -IDEM_CLAIM_MS); // a clock that was set back does not hold a key for hours
    post(&a, "/v2/deeds", "k2", NULL);
    assert_answer(&a, 201);
}

static struct idem_row usurper;

static enum err_kind usurped_deed(struct call *c, struct tx *tx, struct err *err) {
    enum err_kind kind = long_deed(c, tx, err);
    if (kind == ERR_NONE && c->note.n && c->note.p[0] == '1' && usurper.owner) {
        // while this part is in work another node, which had not heard of us, takes the claim: our own write then finds it gone
        kind = store_idem_get(tx, c->partner.id, c->idem->key, c->arena, &row, err);
        usurper = row;
        usurper.owner = INT64_C(2) << API_PROCESS_BITS | 1;
        if (kind == ERR_NONE)
            kind = store_idem_update(tx, &usurper, row.owner, row.since, err);
    }
    return kind;
}

static void who_lost_its_claim_commits_nothing(void **state UNUSED) {
    make_long(3);
    deed = usurped_deed;
    usurper.owner = 1;
    post(&a, "/v2/deeds", "k", NULL);
    assert_answer(&a, 503);
    assert_int_equal(deeds(), 1); // the first part; the second was undone, the claim's loss with it
    usurper.owner = 0;
    post(&a, "/v2/deeds", "k", NULL);
    assert_answer(&a, 201);
    assert_int_equal(deeds(), 3);
}

static void a_stop_ends_those_who_wait(void **state UNUSED) {
    break_off("k", 2);
    hold_as("k", 2, 0);
    struct exchange *e = begin("k", NULL);
    assert_true(api_test_waits(e));
    api_stop(t.api);
    assert_false(api_test_waits(e));
    api_test_end(&t, e, &a);
    assert_answer(&a, 503);
    e = begin("k", NULL); // and those who come too late
    assert_false(api_test_waits(e));
    api_test_end(&t, e, &a);
    assert_true(a.status == 503 || a.status == 409);
}

// ---- with threads ----

static const char *repeated;

static void repeat_from_the_writer(int at) {
    if (at != 1)
        return;
    meanwhile = NULL;
    inner[0] = begin(repeated, NULL);
}

static void the_thread_ends_the_waiting(void **state UNUSED) {
    for (int i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        make_long(5);
        meanwhile = repeat_from_the_writer;
        repeated = key;
        post(&first, "/v2/deeds", key, NULL);
        assert_answer(&first, 201);
        api_test_end(&t, inner[0], &a);
        assert_replay(&a, &first);
    }
}

// ---- age ----

static void old_keys_are_forgotten(void **state UNUSED) {
    const int64_t day = 24 * 3600 * INT64_C(1000);
    post(&a, "/v2/deeds", "old", NULL);
    break_off("broken", 2);
    make_long(1);
    clock_manual_advance(&t.clock_state, 1000);
    post(&a, "/v2/deeds", "young", NULL);
    assert_answer(&a, 201);
    clock_manual_advance(&t.clock_state, 7 * day - 1000);
    api_turn(t.api);
    assert_true(stored("old"));
    clock_manual_advance(&t.clock_state, 60000 - 1);
    api_turn(t.api); // a minute has not passed
    assert_true(stored("old"));
    clock_manual_advance(&t.clock_state, 1);
    clock_manual_jump(&t.clock_state, -59500);
    api_turn(t.api);
    assert_false(stored("old"));
    assert_false(stored("broken"));
    assert_true(stored("young"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    log_threshold = LOG_ERROR + 1;
    const struct CMUnitTest tests[] = {
        TEST(a_repeat_gets_the_first_answer_and_does_nothing),
        TEST(another_request_with_the_key_is_a_mismatch),
        TEST(keys_are_a_partners_own),
        TEST(a_key_is_up_to_255_printable_ascii_characters),
        TEST(every_writing_method_takes_a_key),
        TEST(refusals_that_the_world_gave_are_kept),
        TEST(trouble_of_the_server_leaves_the_key_free),
        TEST(faults_of_the_request_leave_the_key_free),
        TEST(an_answered_key_is_not_judged_again),
        TEST(a_reference_that_is_taken_is_refused_the_same_way_again),
        TEST(problem_documents_are_kept_as_they_were),
        TEST(a_job_that_is_run_twice_answers_once),
        TEST(a_long_call_is_answered_once),
        TEST(a_repeat_waits_while_the_key_is_in_work),
        TEST(a_repeat_waits_even_when_it_could_not_begin),
        TEST(a_call_that_broke_off_is_gone_on_with),
        TEST(a_refusal_half_way_is_the_answer),
        TEST(a_claim_of_an_earlier_process_is_dead_at_once),
        TEST(another_nodes_claim_is_waited_for_and_then_refused),
        TEST(a_claim_of_a_dead_node_ends_with_its_lease),
        TEST(a_claim_that_nobody_heard_of_for_long_is_taken_over),
        TEST(who_lost_its_claim_commits_nothing),
        TEST(a_stop_ends_those_who_wait),
        cmocka_unit_test_setup_teardown(the_thread_ends_the_waiting, setup_threaded, teardown),
        TEST(old_keys_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
