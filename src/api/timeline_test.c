// SPDX-License-Identifier: Apache-2.0
#include "api/api_test_support.h"

#include "core/task.h"
#include "store/store_order.h"
#include "store/store_sim.h"

static struct api_test t;
static struct answer a;
static char placed[UUID_TEXT];
static struct wall start;

static int setup(void **state UNUSED) {
    api_test_open(&t);
    start = clock_wall(&t.clock);
    return 0;
}

static int teardown(void **state UNUSED) {
    answer_release(&a);
    api_test_close(&t);
    return 0;
}

#define TOPUP                                                                                                                              \
    "{\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_BOTH                           \
    "\"},\"subscriber\":{\"sim\":{\"iccid\":\"" PSIM_ACTIVE "\"}}}"
#define ACTIVATION                                                                                                                         \
    "{\"operation_type\":\"ACTIVATION\",\"sim_type\":\"ESIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_ESIM                      \
    "\"},\"subscriber\":{\"email\":\"john@doe.com\"}}"

static void place(const char *body) {
    POST("/v2/orders", body);
    assert_answer(&a, 202);
    assert_true(str_to_buf(str_of(answer_text(&a, "id")), placed, sizeof placed));
}

static void look(void) {
    char target[128];
    snprintf(target, sizeof target, "/v2/orders/%s/timeline", placed);
    GET(target);
    assert_answer(&a, 200);
}

static void assert_texts(const char *const *texts) {
    size_t n = json_array_size(answer_at(&a, "data"));
    for (size_t i = 0; i < n || texts[i]; i++) {
        char path[32];
        snprintf(path, sizeof path, "data.%zu.text", i);
        if (i >= n || !texts[i] || strcmp(answer_text(&a, path), texts[i]) != 0)
            fail_msg("moment %zu: \"%s\", expected \"%s\"", i, answer_text(&a, path), texts[i] ? texts[i] : "none");
    }
}
#define TEXTS(...) assert_texts((const char *const[]){__VA_ARGS__, NULL})

// ---- what an engine with outside peers would leave ----

struct call_made {
    int step;
    struct task_attempt attempt;
    enum task_state state;
    enum task_verb verb; // that it goes on with
    int attempts;
};

static enum err_kind record(struct tx *tx, void *ctx, struct err *err) {
    const struct call_made *c = ctx;
    struct uuid id;
    struct task *tasks;
    size_t n;
    assert_true(uuid_parse(str_of(placed), &id));
    enum err_kind kind = store_task_of_order(tx, id, &t.arena, &tasks, &n, err);
    if (kind)
        return kind;
    assert_true((size_t)c->step < n);
    struct task *task = &tasks[c->step];
    task->state = c->state;
    task->verb = c->verb;
    task->attempts = c->attempts;
    task->peer = STR("hlr1");
    task->note = c->attempt.note;
    if (!wall_set(task->started))
        task->started = start;
    if (task_finished(c->state) || c->state == TASK_PARKED)
        task->settled = c->attempt.at;
    if (c->state == TASK_CLAIMED)
        task->lease_until = wall_plus_ms(start, 600000);
    if (wall_set(c->attempt.at) && c->state != TASK_CLAIMED) {
        struct buf line;
        buf_init(&line, 4096);
        task_attempt_put(&line, &c->attempt);
        kind = store_task_tell(tx, task->id, buf_str(&line), err);
        buf_release(&line);
    }
    return kind ? kind : store_task_update(tx, task, err);
}

static struct wall after(int64_t seconds) {
    return wall_plus_ms(start, seconds * 1000);
}

static void called(int step, enum task_verb verb, enum outcome_kind outcome, int64_t at, int64_t next, const char *note,
                   enum task_state state, enum task_verb goes_on) {
    struct call_made c = {step, {after(at), verb, outcome, next ? after(next) : WALL_NONE, STR("hlr1"), str_of(note)}, state, goes_on, 1};
    api_test_job(&t, record, &c);
}

// ---- tests ----

static void the_builtin_network_does_all_in_a_moment(void **state UNUSED) {
    place(TOPUP);
    look();
    TEXTS("The order was accepted.");
    clock_manual_advance(&t.clock_state, 3000);
    api_test_complete(&t, placed);
    look();
    TEXTS("The order was accepted.", "The network added the allowance.", "The order is completed.");
    assert_string_equal(answer_text(&a, "data.0.at"), "2026-11-23T12:00:00Z");
    assert_string_equal(answer_text(&a, "data.1.at"), "2026-11-23T12:00:03Z");
    assert_string_equal(answer_text(&a, "data.1.step"), "ALLOWANCE_ADD");
    assert_string_equal(answer_text(&a, "data.1.outcome"), "DONE");
    assert_null(answer_at(&a, "data.1.peer"));
    assert_string_equal(answer_text(&a, "data.2.outcome"), "COMPLETED");
    char link[256];
    snprintf(link, sizeof link, TEST_BASE_URL "/v2/orders/%s", placed);
    assert_string_equal(answer_text(&a, "_metadata.links._order"), link);
    assert_null(answer_at(&a, "type"));
}

static void an_order_behind_another_says_so(void **state UNUSED) {
    place(TOPUP);
    place(TOPUP);
    look();
    TEXTS("The order was accepted.", "Waiting for an earlier order on the same SIM.");
}

static void calls_to_an_outside_network_are_told_one_by_one(void **state UNUSED) {
    place(ACTIVATION);
    called(0, TASK_START, OUTCOME_DONE, 1, 0, "", TASK_DONE, TASK_START);
    called(1, TASK_START, OUTCOME_UNAVAILABLE, 2, 5, "connection refused", TASK_READY, TASK_START);
    called(1, TASK_START, OUTCOME_UNSURE, 35, 40, "no answer within 30 s", TASK_READY, TASK_PROBE);
    called(1, TASK_PROBE, OUTCOME_NOT_DONE, 41, 41, "", TASK_READY, TASK_START);
    look();
    TEXTS("The order was accepted.", "The profile server reserved the eSIM profile.",
          "The network could not be reached: connection refused; trying again at 2026-11-23T12:00:05Z.",
          "No answer from the network; asking again what happened at 2026-11-23T12:00:40Z.",
          "The network did not enable the SIM; asking it anew at 2026-11-23T12:00:41Z.");
    assert_string_equal(answer_text(&a, "data.3.peer"), "hlr1");
    assert_string_equal(answer_text(&a, "data.3.outcome"), "UNSURE");
    assert_string_equal(answer_text(&a, "data.3.at"), "2026-11-23T12:00:35Z");
    assert_string_equal(answer_text(&a, "data.3.next_try"), "2026-11-23T12:00:40Z");
    assert_int_equal(json_integer_value(answer_at(&a, "data.3.attempt")), 2);

    struct call_made asked = {1, {.at = WALL_NONE}, TASK_CLAIMED, TASK_START, 4};
    api_test_job(&t, record, &asked);
    look();
    assert_string_equal(answer_text(&a, "data.5.text"), "The network was asked to enable the SIM; no answer yet.");
    assert_string_equal(answer_text(&a, "data.5.at"), "2026-11-23T12:00:41Z");
    assert_string_equal(answer_text(&a, "data.5.outcome"), "ASKED");

    called(1, TASK_START, OUTCOME_REFUSED, 50, 0, "unknown subscriber", TASK_REFUSED, TASK_START);
    called(0, TASK_CANCEL, OUTCOME_REFUSED, 51, 0, "released already", TASK_PARKED, TASK_CANCEL);
    look();
    assert_string_equal(answer_text(&a, "data.5.text"), "The network refused to enable the SIM: unknown subscriber.");
    assert_string_equal(answer_text(&a, "data.6.text"),
                        "The profile server does not take back what it did: released already; the operator has to look at it.");
    assert_string_equal(answer_text(&a, "data.7.text"), "Given up for now: released already; the operator has to look at it.");
    called(0, TASK_CANCEL, OUTCOME_DONE, 60, 0, "", TASK_UNDONE, TASK_CANCEL);
    look();
    assert_string_equal(answer_text(&a, "data.7.text"), "What the profile server had done was taken back.");
    assert_null(answer_at(&a, "data.8"));
    clock_manual_advance(&t.clock_state, 61000);
    api_test_fail(&t, placed, "the network could not enable the SIM: unknown subscriber\nand more");
    look(); // the support's ending deletes the tasks
    TEXTS("The order was accepted.", "The order failed: the network could not enable the SIM: unknown subscriber.");
}

static void nobody_elses_timeline(void **state UNUSED) {
    place(TOPUP);
    char target[128];
    snprintf(target, sizeof target, "/v2/orders/%s/timeline", placed);
    api_test_call(&t, &a, 1, HTTP_GET, target, NULL, NULL);
    assert_answer(&a, 403);
    GET("/v2/orders/01a20846-fe00-7000-8000-000000000001/timeline");
    assert_problem(&a, 404, "NOT_FOUND", "id: ", NULL);
    GET("/v2/orders/x/timeline");
    assert_problem(&a, 404, "NOT_FOUND", "id: ", NULL);
}

enum { VERY_MANY = 600 };

static enum err_kind record_very_many(struct tx *tx, void *ctx UNUSED, struct err *err) {
    struct uuid id;
    struct task *tasks;
    size_t n;
    struct buf line;
    assert_true(uuid_parse(str_of(placed), &id));
    enum err_kind kind = store_task_of_order(tx, id, &t.arena, &tasks, &n, err);
    buf_init(&line, 4096);
    for (int i = 1; i <= VERY_MANY && !kind; i++) {
        buf_clear(&line);
        task_attempt_put(&line, &(struct task_attempt){after(i), TASK_START, OUTCOME_UNAVAILABLE, after(i + 1), STR("hlr1"), STR_NONE});
        kind = store_task_tell(tx, tasks[0].id, buf_str(&line), err);
    }
    buf_release(&line);
    return kind;
}

// Its front is cut off.
static void a_very_long_history_is_shown_as_far_as_it_is_kept(void **state UNUSED) {
    place(TOPUP);
    api_test_job(&t, record_very_many, NULL);
    look();
    size_t n = json_array_size(answer_at(&a, "data"));
    assert_true(n > 200 && n < VERY_MANY);
    char path[32];
    snprintf(path, sizeof path, "data.%zu.at", n - 1);
    assert_string_equal(answer_text(&a, path), "2026-11-23T12:10:00Z");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_builtin_network_does_all_in_a_moment),          TEST(an_order_behind_another_says_so),
        TEST(calls_to_an_outside_network_are_told_one_by_one),   TEST(nobody_elses_timeline),
        TEST(a_very_long_history_is_shown_as_far_as_it_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
