// SPDX-License-Identifier: Apache-2.0
#include "core/webhook.h"

#include "base/testing.h"

#define NOW ((struct wall){INT64_C(1795435200000)})
#define WHOLE RETRY_SCALE_WHOLE

static struct webhook endpoint(void) {
    return (struct webhook){.id = {{1}},
                            .partner_id = 1,
                            .url = STR("https://hooks.example.com/"),
                            .types = STR("*"),
                            .state = WEBHOOK_ENABLED,
                            .created = NOW,
                            .modified = NOW,
                            .cursor = 7,
                            .due = WALL_NONE,
                            .failing_since = WALL_NONE,
                            .lease_until = WALL_NONE};
}

static const struct delivery_answer fine = {204, -1}, broken = {500, -1}, silent = {0, -1}, gone = {410, -1};

static void retry_schedule_is_ten_attempts_in_three_days(void **state UNUSED) {
    int64_t seconds = 0;
    for (size_t i = 0; i < ARRAY_LEN(retry_delays); i++) {
        assert_true(i == 0 || retry_delays[i] > retry_delays[i - 1]);
        seconds += retry_delays[i];
    }
    assert_int_equal(ARRAY_LEN(retry_delays) + 1, 10);
    assert_in_range(seconds, 70 * 3600, 74 * 3600);
}

static void retry_delay_has_jitter_around_the_table(void **state UNUSED) {
    struct rng_seeded seeded;
    struct rng rng = testing_rng(&seeded);
    for (int attempts = 1; attempts < RETRY_ATTEMPTS_MAX; attempts++) {
        int64_t whole = retry_delays[attempts - 1] * 1000, least = INT64_MAX, most = 0;
        for (int i = 0; i < 2000; i++) {
            int64_t ms = retry_delay_ms(attempts, rng_u64(&rng), -1, WHOLE);
            least = ms < least ? ms : least;
            most = ms > most ? ms : most;
        }
        assert_true(least >= whole * 9 / 10 && least < whole * 92 / 100);
        assert_true(most <= whole * 11 / 10 && most > whole * 108 / 100);
    }
}

static void retry_after_is_obeyed_within_bounds_and_not_scaled(void **state UNUSED) {
    assert_int_equal(retry_delay_ms(1, 0, 3600, WHOLE), 3600000);
    assert_in_range(retry_delay_ms(5, 0, 1, WHOLE), 6480000, 7920000); // the schedule is not made shorter
    assert_int_equal(retry_delay_ms(1, 0, INT64_C(99999999999), WHOLE), (int64_t)RETRY_AFTER_SECONDS_MAX * 1000);
    assert_int_equal(retry_delay_ms(9, 0, 2, 1), 2000);
    assert_int_equal(retry_delay_ms(1, 12345, -1, 0), 0);
    assert_in_range(retry_delay_ms(9, UINT64_MAX, -1, 10), 800, 1100);
}

static void webhook_success_moves_on_and_forgets_failures(void **state UNUSED) {
    struct webhook w = endpoint();
    assert_int_equal(webhook_answered(&w, 7, broken, NOW, 0, WHOLE), DELIVERY_FAILED);
    assert_int_equal(w.cursor, 7);
    assert_int_equal(w.attempts, 1);
    assert_int_equal(w.failing_since.ms, NOW.ms);
    assert_true(w.due.ms > NOW.ms);
    assert_int_equal(webhook_answered(&w, 7, fine, wall_plus_ms(NOW, 60000), 0, WHOLE), DELIVERY_DELIVERED);
    assert_int_equal(w.cursor, 8);
    assert_int_equal(w.attempts, 0);
    assert_false(wall_set(w.failing_since));
    assert_false(wall_set(w.due));
    static const int statuses[][2] = {{200, 1}, {299, 1}, {100, 0}, {199, 0}, {300, 0}, {301, 0}, {400, 0}, {404, 0}, {429, 0}, {999, 0}};
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        struct webhook v = endpoint();
        enum delivery_outcome o = webhook_answered(&v, 7, (struct delivery_answer){statuses[i][0], -1}, NOW, 0, WHOLE);
        assert_int_equal(o, statuses[i][1] ? DELIVERY_DELIVERED : DELIVERY_FAILED);
    }
}

static void webhook_event_behind_others_of_no_interest_is_tried_ten_times_too(void **state UNUSED) {
    struct webhook w = endpoint();
    assert_int_equal(webhook_answered(&w, 12, silent, NOW, 0, WHOLE), DELIVERY_FAILED);
    assert_int_equal(w.cursor, 12);
    assert_int_equal(w.attempts, 1);
}

static void webhook_gives_an_event_up_after_the_tenth_attempt(void **state UNUSED) {
    struct webhook w = endpoint();
    struct wall now = NOW;
    for (int i = 1; i < RETRY_ATTEMPTS_MAX; i++) {
        assert_int_equal(webhook_answered(&w, 7, broken, now, 0, WHOLE), DELIVERY_FAILED);
        assert_int_equal(w.attempts, i);
        assert_int_equal(w.due.ms, now.ms + retry_delay_ms(i, 0, -1, WHOLE));
        now = w.due;
    }
    assert_true(now.ms - NOW.ms < INT64_C(3) * 86400 * 1000);
    assert_int_equal(webhook_answered(&w, 7, broken, now, 0, WHOLE), DELIVERY_GIVEN_UP);
    assert_int_equal(w.cursor, 8);
    assert_int_equal(w.attempts, 0);
    assert_int_equal(w.state, WEBHOOK_ENABLED);
    assert_int_equal(w.failing_since.ms, NOW.ms); // an event given up is no success
}

static void webhook_that_fails_for_five_days_is_disabled(void **state UNUSED) {
    struct webhook w = endpoint();
    struct wall now = NOW;
    int attempts = 0, given_up = 0;
    for (;;) {
        enum delivery_outcome o = webhook_answered(&w, w.cursor, silent, now, UINT64_MAX, WHOLE);
        attempts++;
        given_up += o == DELIVERY_GIVEN_UP;
        if (o == DELIVERY_DISABLED)
            break;
        now = wall_set(w.due) ? w.due : now;
        assert_true(attempts < 100);
    }
    assert_int_equal(w.state, WEBHOOK_FAILED);
    assert_true(given_up >= 1);
    assert_int_equal(w.cursor, 7 + given_up); // the one at which it stopped is not lost
    assert_true(now.ms - NOW.ms >= INT64_C(5) * 86400 * 1000);
    assert_true(now.ms - NOW.ms < INT64_C(7) * 86400 * 1000);
}

static void webhook_that_is_gone_is_disabled_at_once(void **state UNUSED) {
    struct webhook w = endpoint();
    assert_int_equal(webhook_answered(&w, 7, gone, NOW, 0, WHOLE), DELIVERY_DISABLED);
    assert_int_equal(w.state, WEBHOOK_GONE);
    assert_int_equal(w.cursor, 7);
}

static void webhook_survives_a_clock_that_is_set_back(void **state UNUSED) {
    struct webhook w = endpoint();
    assert_int_equal(webhook_answered(&w, 7, broken, NOW, 0, WHOLE), DELIVERY_FAILED);
    struct wall before = wall_plus_ms(NOW, -INT64_C(86400000) * 30);
    assert_int_equal(webhook_answered(&w, 7, broken, before, 0, WHOLE), DELIVERY_FAILED);
    assert_int_equal(w.failing_since.ms, before.ms);
    assert_true(w.due.ms < NOW.ms);
}

static void webhook_wants_what_its_patterns_name(void **state UNUSED) {
    struct webhook w = endpoint();
    assert_true(webhook_wants(&w) == event_types_named(STR("*")));
    w.types = STR("order.completed sim.*");
    assert_true(webhook_wants(&w) == (event_types_named(STR("order.completed")) | event_types_named(STR("sim.*"))));
    w.types = STR("nothing.of.ours");
    assert_true(webhook_wants(&w) == 0);
    w.types = STR("");
    assert_true(webhook_wants(&w) == 0);
}

static void webhook_secret_text_is_that_of_standard_webhooks(void **state UNUSED) {
    uint8_t bytes[WEBHOOK_SECRET_MAX];
    char text[WEBHOOK_SECRET_TEXT];
    size_t n = 0;
    assert_true(webhook_secret_parse(STR("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), bytes, &n));
    assert_int_equal(n, 24);
    webhook_secret_format(bytes, n, text);
    assert_string_equal(text, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    memset(bytes, 0xff, sizeof bytes);
    webhook_secret_format(bytes, sizeof bytes, text);
    assert_int_equal(strlen(text), WEBHOOK_SECRET_TEXT - 1);
    assert_true(webhook_secret_parse(str_of(text), bytes, &n));
    assert_int_equal(n, WEBHOOK_SECRET_MAX);
    static const char *const bad[] = {"",
                                      "whsec_",
                                      "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                                      "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                                      "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La",     // 21 bytes
                                      "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS-", // the other alphabet
                                      "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw "};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(webhook_secret_parse(str_of(bad[i]), bytes, &n));
    char huge[128] = "whsec_";
    memset(huge + 6, 'A', 92); // 69 bytes
    assert_false(webhook_secret_parse(str_of(huge), bytes, &n));
}

static void notification_types_of_events(void **state UNUSED) {
    int count[NOTIFY_TYPES] = {0};
    for (int t = 0; t < EVENT_TYPES_MAX; t++)
        if (notification_of((enum event_type)t) >= 0)
            count[notification_of((enum event_type)t)]++;
    assert_int_equal(count[NOTIFY_USAGE_THRESHOLD], 1);
    assert_int_equal(count[NOTIFY_SUBSCRIPTION_END], 2);
    assert_int_equal(count[NOTIFY_DOWNLOAD_PROGRESS], 1);
    assert_int_equal(notification_of(EVENT_SUBSCRIPTION_EXPIRED), NOTIFY_SUBSCRIPTION_END);
}

static void webhook_event_packs_and_unpacks(void **state UNUSED) {
    struct webhook w = endpoint(), back;
    struct buf buf;
    struct arena a;
    struct err err = {0};
    w.state = WEBHOOK_FAILED;
    w.failing_since = NOW;
    buf_init(&buf, EVENT_PAYLOAD_MAX);
    arena_init(&a, 1 << 16);
    event_pack_webhook(&buf, &w);
    assert_int_equal(event_unpack_webhook(buf_str(&buf), &a, &back, &err), ERR_NONE);
    assert_true(uuid_eq(back.id, w.id) && str_eq(back.url, w.url) && str_eq(back.types, w.types));
    assert_int_equal(back.state, WEBHOOK_FAILED);
    assert_int_equal(back.failing_since.ms, NOW.ms);
    assert_int_equal(back.cursor, 7);
    for (size_t n = 0; n < buf.n; n++)
        assert_int_equal(event_unpack_webhook((struct str){buf.p, n}, &a, &back, &err), ERR_CORRUPT);
    arena_release(&a);
    buf_release(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retry_schedule_is_ten_attempts_in_three_days),
        cmocka_unit_test(retry_delay_has_jitter_around_the_table),
        cmocka_unit_test(retry_after_is_obeyed_within_bounds_and_not_scaled),
        cmocka_unit_test(webhook_success_moves_on_and_forgets_failures),
        cmocka_unit_test(webhook_event_behind_others_of_no_interest_is_tried_ten_times_too),
        cmocka_unit_test(webhook_gives_an_event_up_after_the_tenth_attempt),
        cmocka_unit_test(webhook_that_fails_for_five_days_is_disabled),
        cmocka_unit_test(webhook_that_is_gone_is_disabled_at_once),
        cmocka_unit_test(webhook_survives_a_clock_that_is_set_back),
        cmocka_unit_test(webhook_wants_what_its_patterns_name),
        cmocka_unit_test(webhook_secret_text_is_that_of_standard_webhooks),
        cmocka_unit_test(notification_types_of_events),
        cmocka_unit_test(webhook_event_packs_and_unpacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
