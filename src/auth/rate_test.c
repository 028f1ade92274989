// SPDX-License-Identifier: Apache-2.0
#include "auth/rate.h"

#include <pthread.h>

#include "base/testing.h"

#define NOW ((struct wall){1700000000000})

static struct rate_state count(struct rate_table *t, int64_t partner, const char *bucket, int64_t limit, int64_t at_ms) {
    struct rate_state s;
    rate_count(t, partner, bucket, limit, wall_plus_ms(NOW, at_ms), (struct mono){5000000000 + at_ms * 1000000}, &s);
    return s;
}

static void a_window_takes_exactly_its_limit(void **state UNUSED) {
    struct rate_table *t = rate_open();
    for (int i = 1; i <= 1000; i++) {
        struct rate_state s = count(t, 1, "orders", 1000, i);
        assert_true(s.allowed);
        assert_int_equal(s.limit, 1000);
        assert_int_equal(s.remaining, 1000 - i);
        assert_int_equal(s.reset.ms, NOW.ms + 1 + 60000);
    }
    struct rate_state s = count(t, 1, "orders", 1000, 30001);
    assert_false(s.allowed);
    assert_int_equal(s.remaining, 0);
    assert_int_equal(s.retry_after_s, 30);
    assert_int_equal(s.reset.ms, NOW.ms + 1 + 60000);
    assert_int_equal(count(t, 1, "orders", 1000, 60000).retry_after_s, 1); // a millisecond is left: at least a second
    rate_close(t);
}

static void the_next_window_is_fresh(void **state UNUSED) {
    struct rate_table *t = rate_open();
    assert_true(count(t, 1, "orders", 1, 0).allowed);
    assert_false(count(t, 1, "orders", 1, 59999).allowed);
    struct rate_state s = count(t, 1, "orders", 1, 60000);
    assert_true(s.allowed);
    assert_int_equal(s.reset.ms, NOW.ms + 120000);
    assert_false(count(t, 1, "orders", 1, 60001).allowed);
    rate_close(t);
}

static void refused_calls_do_not_prolong_the_wait(void **state UNUSED) {
    struct rate_table *t = rate_open();
    assert_true(count(t, 1, "orders", 1, 0).allowed);
    for (int ms = 1; ms < 60000; ms += 100)
        assert_false(count(t, 1, "orders", 1, ms).allowed);
    assert_true(count(t, 1, "orders", 1, 60000).allowed);
    rate_close(t);
}

static void partners_and_resources_are_counted_apart(void **state UNUSED) {
    struct rate_table *t = rate_open();
    char same_name[] = "orders";
    for (int64_t partner = 1; partner <= 500; partner++) {
        assert_true(count(t, partner, "orders", 1, 0).allowed);
        assert_true(count(t, partner, "sims", 1, 0).allowed);
    }
    for (int64_t partner = 1; partner <= 500; partner++) {
        assert_false(count(t, partner, same_name, 1, 1).allowed); // by the name's text, not by where it stands
        assert_false(count(t, partner, "sims", 1, 1).allowed);
    }
    rate_close(t);
}

static void a_limit_changed_within_a_window_counts_at_once(void **state UNUSED) {
    struct rate_table *t = rate_open();
    for (int i = 0; i < 10; i++)
        assert_true(count(t, 1, "orders", 10, 0).allowed);
    assert_int_equal(count(t, 1, "orders", 20, 1).remaining, 9);
    struct rate_state s = count(t, 1, "orders", 5, 2);
    assert_false(s.allowed);
    assert_int_equal(s.remaining, 0);
    rate_close(t);
}

static void a_clock_set_back_does_not_lock_a_partner_out(void **state UNUSED) {
    struct rate_table *t = rate_open();
    struct rate_state s;
    rate_count(t, 1, "orders", 1, NOW, (struct mono){0}, &s);
    rate_count(t, 1, "orders", 1, wall_plus_ms(NOW, -3600000), (struct mono){60 * INT64_C(1000000000)}, &s);
    assert_true(s.allowed);
    rate_close(t);
}

static void more_windows_than_fit_cost_no_memory_and_refuse_nobody(void **state UNUSED) {
    struct rate_table *t = rate_open();
    for (int64_t partner = 1; partner <= 3 * RATE_WINDOWS; partner++)
        assert_true(count(t, partner, "orders", 1, partner / 100).allowed);
    rate_close(t);
}

struct counting {
    struct rate_table *table;
    int allowed;
};

static void *count_many(void *arg) {
    struct counting *c = arg;
    for (int i = 0; i < 1000; i++)
        c->allowed += count(c->table, 7, "orders", 1500, 0).allowed;
    return NULL;
}

static void threads_share_one_window(void **state UNUSED) {
    struct counting c[4] = {0};
    pthread_t threads[4];
    c[0].table = rate_open();
    for (int i = 0; i < 4; i++) {
        c[i].table = c[0].table;
        assert_int_equal(pthread_create(&threads[i], NULL, count_many, &c[i]), 0);
    }
    int allowed = 0;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        allowed += c[i].allowed;
    }
    assert_int_equal(allowed, 1500);
    rate_close(c[0].table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_takes_exactly_its_limit),
        cmocka_unit_test(the_next_window_is_fresh),
        cmocka_unit_test(refused_calls_do_not_prolong_the_wait),
        cmocka_unit_test(partners_and_resources_are_counted_apart),
        cmocka_unit_test(a_limit_changed_within_a_window_counts_at_once),
        cmocka_unit_test(a_clock_set_back_does_not_lock_a_partner_out),
        cmocka_unit_test(more_windows_than_fit_cost_no_memory_and_refuse_nobody),
        cmocka_unit_test(threads_share_one_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
