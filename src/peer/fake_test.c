// SPDX-License-Identifier: Apache-2.0
/*
 * fake_test.c - the scripted element does what its script says, and remembers what it did; the built-in network.
 */
#include "peer/fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct heard {
    int64_t call;
    struct peer_outcome outcome;
    int n;
};

struct bench {
    struct clock_manual manual;
    struct clock clock;
    struct peer *peer;
    struct heard heard;
    int64_t calls;
};

static void on_done(void *ctx, int64_t call, const struct peer_outcome *o) {
    struct heard *h = ctx;
    h->call = call;
    h->outcome = *o;
    h->n++;
}

static void bench_open(struct bench *b, const char *script) {
    struct err err = {0};
    *b = (struct bench){0};
    b->clock = clock_manual_init(&b->manual, (struct wall){1700000000000});
    assert_int_equal(peer_fake_open("hlr1", str_of(script), &b->clock, &b->peer, &err), ERR_NONE);
    b->peer->done = on_done;
    b->peer->ctx = &b->heard;
}

static void bench_close(struct bench *b) {
    b->peer->ops->close(b->peer);
}

static int64_t call(struct bench *b, const char *identity, enum task_kind kind, enum task_verb verb, iccid_t iccid) {
    struct peer_request r = {.call = ++b->calls, .kind = kind, .verb = verb, .sim.iccid = iccid};
    snprintf(r.identity, sizeof(r.identity), "%s", identity);
    b->peer->ops->call(b->peer, &r);
    return r.call;
}

// Advances, and lets the element act.
static int64_t pass(struct bench *b, int64_t ms) {
    clock_manual_advance(&b->manual, ms);
    return b->peer->ops->tick(b->peer, clock_mono(&b->clock));
}

static void expect(struct bench *b, int n, enum outcome_kind kind) {
    assert_int_equal(b->heard.n, n);
    assert_int_equal(b->heard.outcome.kind, kind);
}

static void expect_count(struct bench *b, const char *identity, int done, int undone, int calls) {
    int d, u, c;
    peer_fake_count(b->peer, identity, &d, &u, &c);
    assert_int_equal(d, done);
    assert_int_equal(u, undone);
    assert_int_equal(c, calls);
}

static void fake_without_script_does_and_undoes(void **state UNUSED) {
    struct bench b;
    bench_open(&b, "");
    call(&b, "a-0", TASK_NETWORK_ENABLE, TASK_PROBE, 1);
    expect(&b, 1, OUTCOME_NOT_DONE);
    int64_t n = call(&b, "a-0", TASK_NETWORK_ENABLE, TASK_START, 1);
    expect(&b, 2, OUTCOME_DONE);
    assert_int_equal(b.heard.call, n);
    call(&b, "a-0", TASK_NETWORK_ENABLE, TASK_PROBE, 1);
    expect(&b, 3, OUTCOME_DONE);
    call(&b, "a-0", TASK_NETWORK_ENABLE, TASK_CANCEL, 1);
    expect(&b, 4, OUTCOME_DONE);
    call(&b, "a-0", TASK_NETWORK_ENABLE, TASK_CANCEL, 1);
    expect(&b, 5, OUTCOME_NOT_DONE);
    expect_count(&b, "a-0", 1, 1, 5);
    expect_count(&b, "b-0", 0, 0, 0);

    enum task_verb verb;
    assert_string_equal(peer_fake_deed(b.peer, 0, &verb), "a-0");
    assert_int_equal(verb, TASK_START);
    assert_string_equal(peer_fake_deed(b.peer, 1, &verb), "a-0");
    assert_int_equal(verb, TASK_CANCEL);
    assert_null(peer_fake_deed(b.peer, 2, &verb));
    bench_close(&b);
}

static void fake_counts_every_start_it_carries_out(void **state UNUSED) {
    struct bench b;
    bench_open(&b, "");
    call(&b, "a-0", TASK_NETWORK_ENABLE, TASK_START, 1);
    call(&b, "a-0", TASK_NETWORK_ENABLE, TASK_START, 1);
    expect_count(&b, "a-0", 2, 0, 2);
    bench_close(&b);
}

static void fake_rules_match_kind_verb_suffix_and_times(void **state UNUSED) {
    struct bench b;
    char script[256], iccid[ICCID_TEXT], word[64], verb[64];
    iccid_format(894447260000051074, iccid);
    snprintf(word, sizeof(word), "%s", task_kind_words[TASK_ALLOWANCE_ADD]);
    snprintf(verb, sizeof(verb), "%s", task_verb_words[TASK_START]);
    snprintf(script, sizeof(script), "# the first match serves\n\n%s %s %s 2: refuse\r\n* * * 1: unavailable\n", word, verb,
             iccid + strlen(iccid) - 4);
    bench_open(&b, script);
    call(&b, "a-0", TASK_ALLOWANCE_ADD, TASK_START, 894447260000051074);
    expect(&b, 1, OUTCOME_REFUSED);
    call(&b, "a-0", TASK_ALLOWANCE_ADD, TASK_START, 894447260000051074);
    expect(&b, 2, OUTCOME_REFUSED);
    call(&b, "a-0", TASK_ALLOWANCE_ADD, TASK_START, 894447260000051074);
    expect(&b, 3, OUTCOME_UNAVAILABLE); // the first rule is used up
    call(&b, "a-0", TASK_ALLOWANCE_ADD, TASK_START, 894447260000051074);
    expect(&b, 4, OUTCOME_DONE); // the second, too
    bench_close(&b);
}

static void fake_silence_may_hide_a_deed(void **state UNUSED) {
    struct bench b;
    bench_open(&b, "* * * 1: hang\n* * * 1: lost-undone\n* * * 1: lose\n");
    call(&b, "a-0", TASK_NETWORK_ENABLE, TASK_START, 1);
    call(&b, "b-0", TASK_NETWORK_ENABLE, TASK_START, 2);
    call(&b, "c-0", TASK_NETWORK_ENABLE, TASK_START, 3);
    assert_int_equal(pass(&b, 3600000), INT64_MAX);
    assert_int_equal(b.heard.n, 0);
    expect_count(&b, "a-0", 0, 0, 1);
    expect_count(&b, "b-0", 0, 0, 1);
    expect_count(&b, "c-0", 1, 0, 1);
    bench_close(&b);
}

static void fake_answers_late_and_twice(void **state UNUSED) {
    struct bench b;
    bench_open(&b, "* * * 1: late 3s\n* * * 1: twice 500ms\n");
    call(&b, "a-0", TASK_NETWORK_ENABLE, TASK_START, 1);
    assert_int_equal(b.heard.n, 0);
    int64_t due = clock_mono(&b.clock).ns + INT64_C(3000000000);
    assert_int_equal(pass(&b, 2999), due);
    assert_int_equal(b.heard.n, 0);
    assert_int_equal(pass(&b, 1), INT64_MAX);
    expect(&b, 1, OUTCOME_DONE);

    int64_t n = call(&b, "b-0", TASK_NETWORK_ENABLE, TASK_START, 1);
    expect(&b, 2, OUTCOME_DONE);
    pass(&b, 500);
    expect(&b, 3, OUTCOME_DONE);
    assert_int_equal(b.heard.call, n);
    expect_count(&b, "b-0", 1, 0, 1);
    bench_close(&b);
}

static void fake_twins_are_one_element(void **state UNUSED) {
    struct bench b;
    bench_open(&b, "* * * 1: refuse\n");
    struct peer *twin = peer_fake_twin(b.peer);
    struct heard other = {0};
    twin->done = on_done;
    twin->ctx = &other;
    struct peer_request r = {.call = 1, .identity = "a-0", .verb = TASK_START, .sim.iccid = 1};
    twin->ops->call(twin, &r);
    assert_int_equal(other.outcome.kind, OUTCOME_REFUSED);
    call(&b, "a-0", TASK_NETWORK_ENABLE, TASK_START, 1);
    expect(&b, 1, OUTCOME_DONE);
    bench_close(&b); // the twin lives on
    int d, u, c;
    peer_fake_count(twin, "a-0", &d, &u, &c);
    assert_int_equal(d, 1);
    assert_int_equal(c, 2);
    twin->ops->close(twin);
}

static void fake_script_faults_name_their_line(void **state UNUSED) {
    static const char *const bad[] = {
        "* * * *\n",
        "* * *: done\n",
        "* * * * *: done\n",
        "NOTHING * * *: done\n",
        "* NOTHING * *: done\n",
        "* * 12x4 *: done\n",
        "* * * -1: done\n",
        "* * * x: done\n",
        "* * * *: dance\n",
        "* * * *: late 3\n",
        "* * * *: late 3h\n",
        "* * * *: late 3s now\n",
        "* * * *: late 9999999999s\n",
    };
    struct clock_manual m;
    struct clock clock = clock_manual_init(&m, (struct wall){0});
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct peer *p = NULL;
        struct err err = {0};
        char script[128];
        snprintf(script, sizeof(script), "# first\n%s", bad[i]);
        assert_int_equal(peer_fake_open("x", str_of(script), &clock, &p, &err), ERR_INVALID);
        assert_null(p);
        assert_non_null(strstr(err_first(&err), "line 2"));
    }
}

static void builtin_does_at_once_and_never_did_before(void **state UNUSED) {
    struct peer *p = peer_builtin_open("builtin");
    assert_true(p->ops->is_inline);
    assert_string_equal(p->name, "builtin");
    struct peer_outcome o = {.kind = OUTCOME_UNSURE};
    p->ops->now(p, &(struct peer_request){.verb = TASK_START}, &o);
    assert_int_equal(o.kind, OUTCOME_DONE);
    p->ops->now(p, &(struct peer_request){.verb = TASK_CANCEL}, &o);
    assert_int_equal(o.kind, OUTCOME_DONE);
    p->ops->now(p, &(struct peer_request){.verb = TASK_PROBE}, &o);
    assert_int_equal(o.kind, OUTCOME_NOT_DONE);
    p->ops->close(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fake_without_script_does_and_undoes),
        cmocka_unit_test(fake_counts_every_start_it_carries_out),
        cmocka_unit_test(fake_rules_match_kind_verb_suffix_and_times),
        cmocka_unit_test(fake_silence_may_hide_a_deed),
        cmocka_unit_test(fake_answers_late_and_twice),
        cmocka_unit_test(fake_twins_are_one_element),
        cmocka_unit_test(fake_script_faults_name_their_line),
        cmocka_unit_test(builtin_does_at_once_and_never_did_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
