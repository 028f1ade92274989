// SPDX-License-Identifier: Apache-2.0
#include "base/metrics.h"

#include <pthread.h>

#include "base/testing.h"

static const char *rendered(struct buf *b) {
    buf_init(b, 1 << 20);
    metrics_render(b);
    assert_false(b->failed);
    return b->p != NULL ? b->p : "";
}

static void assert_shows(const char *line) {
    struct buf b;
    const char *text = rendered(&b);
    if (strstr(text, line) == NULL) {
        fail_msg("%s\nis not in\n%s", line, text);
    }
    buf_release(&b);
}

static int forget(void **state UNUSED) {
    metrics_reset();
    return 0;
}

static void nothing_registered_shows_nothing(void **state UNUSED) {
    struct buf b;
    assert_string_equal(rendered(&b), "");
    buf_release(&b);
}

static void counters_and_gauges(void **state UNUSED) {
    struct metric_family *orders =
        metric_family("orders_total", "Orders\\by\nstatus.", METRIC_COUNTER, (const char *const[]){"status", "kind"}, 2);
    struct metric *m = metric_child(orders, (const char *const[]){"ACCEPTED", "a\"b\\c\nd"});
    metric_add(m, 2);
    metric_add(metric_child(orders, (const char *const[]){"ACCEPTED", "a\"b\\c\nd"}), 1);
    metric_add(metric_child(orders, (const char *const[]){"ACCEPTEDa", ""}), 1);
    struct metric *waiting = metric_child(metric_family("waiting", "Waiting.", METRIC_GAUGE, NULL, 0), NULL);
    struct buf b;
    assert_string_equal(rendered(&b), "# HELP orders_total Orders\\\\by\\nstatus.\n# TYPE orders_total counter\n"
                                      "orders_total{status=\"ACCEPTED\",kind=\"a\\\"b\\\\c\\nd\"} 3\n"
                                      "orders_total{status=\"ACCEPTEDa\",kind=\"\"} 1\n"
                                      "# HELP waiting Waiting.\n# TYPE waiting gauge\nwaiting 0\n");
    buf_release(&b);
    metric_set(waiting, 7);
    metric_add(waiting, -9);
    assert_shows("\nwaiting -2\n");
}

static void a_family_is_registered_once(void **state UNUSED) {
    struct metric_family *a = metric_family("x_total", "X.", METRIC_COUNTER, NULL, 0);
    assert_ptr_equal(metric_family("x_total", "X.", METRIC_COUNTER, NULL, 0), a);
    assert_ptr_equal(metric_child(a, NULL), metric_child(a, NULL));
}

static void histograms_count_upwards(void **state UNUSED) {
    struct metric_family *f = metric_family("took_seconds", "Time.", METRIC_HISTOGRAM, (const char *const[]){"route"}, 1);
    struct metric *m = metric_child(f, (const char *const[]){"/v2"});
    metric_observe_us(m, -5); // a clock that went wrong counts as nothing
    metric_observe_us(m, 100);
    metric_observe_us(m, 101);
    metric_observe_us(m, 60000000);
    metric_observe_us(m, 60000001);
    assert_shows("took_seconds_bucket{route=\"/v2\",le=\"0.0001\"} 2\n");
    assert_shows("took_seconds_bucket{route=\"/v2\",le=\"0.00025\"} 3\n");
    assert_shows("took_seconds_bucket{route=\"/v2\",le=\"30\"} 3\n");
    assert_shows("took_seconds_bucket{route=\"/v2\",le=\"60\"} 4\n");
    assert_shows("took_seconds_bucket{route=\"/v2\",le=\"+Inf\"} 5\n");
    assert_shows("took_seconds_sum{route=\"/v2\"} 120.000202\n");
    assert_shows("took_seconds_count{route=\"/v2\"} 5\n");
}

static void children_are_bounded_and_then_shared(void **state UNUSED) {
    struct metric_family *f = metric_family("by_agent_total", "Agents.", METRIC_COUNTER, (const char *const[]){"agent"}, 1);
    for (int i = 0; i < METRIC_CHILDREN_MAX + 100; i++) {
        char value[20];
        snprintf(value, sizeof(value), "agent %d", i);
        metric_add(metric_child(f, (const char *const[]){value}), 1);
    }
    assert_shows("by_agent_total{agent=\"agent 0\"} 1\n");
    assert_shows("by_agent_total{agent=\"agent 511\"} 1\n");
    assert_shows("by_agent_total{agent=\"other\"} 100\n");
    struct buf b;
    assert_null(strstr(rendered(&b), "agent 512"));
    buf_release(&b);
    metric_add(metric_child(f, (const char *const[]){"agent 5"}), 1);
    assert_shows("by_agent_total{agent=\"agent 5\"} 2\n");
}

static void label_values_from_outside_are_cut_and_made_utf8(void **state UNUSED) {
    struct metric_family *f = metric_family("v_total", "V.", METRIC_COUNTER, (const char *const[]){"v"}, 1);
    static char huge[100000];
    memset(huge, 'h', sizeof(huge) - 1);
    metric_add(metric_child(f, (const char *const[]){huge}), 1);
    metric_add(metric_child(f, (const char *const[]){"\xff\xc3\xa9\xc3"}), 1);
    assert_shows("v_total{v=\"?\xc3\xa9?\"} 1\n");
    struct buf b;
    assert_true(strlen(rendered(&b)) < 300);
    assert_true(str_is_utf8(buf_str(&b)));
    buf_release(&b);
}

#define ROUNDS 20000
static void *count_up(void *arg) {
    for (int i = 0; i < ROUNDS; i++) {
        char value[20];
        snprintf(value, sizeof(value), "%d", i % 700);
        metric_add(metric_child(arg, (const char *const[]){value}), 1);
    }
    return NULL;
}

static void threads_lose_no_count(void **state UNUSED) {
    struct metric_family *f = metric_family("shared_total", "S.", METRIC_COUNTER, (const char *const[]){"n"}, 1);
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, f), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    struct buf b;
    int64_t sum = 0;
    size_t lines = 0;
    for (const char *p = rendered(&b); (p = strstr(p, "\nshared_total{")) != NULL; p++) {
        sum += strtol(strchr(p, '}') + 1, NULL, 10);
        lines++;
    }
    buf_release(&b);
    assert_int_equal(sum, 4 * ROUNDS);
    assert_int_equal(lines, METRIC_CHILDREN_MAX + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_registered_shows_nothing, forget),
        cmocka_unit_test_teardown(counters_and_gauges, forget),
        cmocka_unit_test_teardown(a_family_is_registered_once, forget),
        cmocka_unit_test_teardown(histograms_count_upwards, forget),
        cmocka_unit_test_teardown(children_are_bounded_and_then_shared, forget),
        cmocka_unit_test_teardown(label_values_from_outside_are_cut_and_made_utf8, forget),
        cmocka_unit_test_teardown(threads_lose_no_count, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
