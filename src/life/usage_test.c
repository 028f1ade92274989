// SPDX-License-Identifier: Apache-2.0
/*
 * usage_test.c - each rule of booking usage (life.h), one by one. What holds for any sequence of records is usage_property_test.c's.
 */
#include "life/testing.h"

static void later(struct fixture *f, int64_t at) {
    clock_manual_advance(&f->manual, NOW_MS + at - clock_wall(&f->clock).ms);
}

static void a_record_counts_once(void **state) {
    struct fixture *f = *state;
    struct uuid id = subscribe(f, (struct wish){.bytes = 50 * MB});
    later(f, HOUR);
    struct usage_result u = use_data(f, "r1", 10 * MB, 0, MINUTE);
    assert_int_equal(u.verdict, USAGE_BOOKED);
    assert_false(u.repeated);
    assert_int_equal(u.iccid, ICCID_A);
    assert_int_equal(u.n_places, 1);
    assert_true(uuid_eq(u.places[0].subscription_id, id));
    assert_int_equal(u.places[0].bytes, 10 * MB);
    for (int i = 0; i < 3; i++) {
        u = use_data(f, "r1", 10 * MB, 0, MINUTE);
        assert_int_equal(u.verdict, USAGE_BOOKED);
        assert_true(u.repeated);
        assert_int_equal(u.n_places, 1);
        assert_int_equal(u.places[0].bytes, 10 * MB);
    }
    STATE_IS(f, id, ACTIVE, 10 * MB);

    // The same id of another source is another record.
    struct usage_record r = record_of("r1", 10 * MB, 0, MINUTE);
    r.source = STR("ggsn-2");
    assert_false(use_record(f, &r).repeated);
    STATE_IS(f, id, ACTIVE, 20 * MB);
}

static void an_id_that_comes_again_with_other_content_is_told_and_not_counted(void **state) {
    struct fixture *f = *state;
    struct uuid id = subscribe(f, (struct wish){.bytes = 50 * MB});
    later(f, HOUR);
    struct usage_record r = record_of("r1", 9 * MB, 0, MINUTE), other;
    assert_int_equal(use_record(f, &r).verdict, USAGE_BOOKED);
    static const char *const named[] = {"bytes_up", "bytes_down", "start", "end", "iccid", "imsi"};
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        other = r;
        other.bytes_up += i == 0;
        other.bytes_down += i == 1;
        other.start.ms += i == 2;
        other.end.ms += i == 3;
        if (i == 4)
            other.number = STR("8944472600000510757");
        if (i == 5)
            other.named = USAGE_BY_IMSI, other.number = STR("234200000000099");
        struct usage_result u = use_record(f, &other);
        assert_int_equal(u.verdict, USAGE_MISMATCH);
        assert_non_null(strstr(u.message.p, named[i]));
    }
    STATE_IS(f, id, ACTIVE, 9 * MB);
}

JOB(number_job) {
    struct fixture *f = ctx;
    struct sim s;
    OK(store_sim_get(tx, ICCID_A, &f->arena, &s, err));
    s.imsi = STR("234200000000001");
    s.msisdn = STR("447700900001");
    OK(store_sim_update(tx, &s, err));
    return ERR_NONE;
}

static void a_sim_is_known_by_each_of_its_numbers(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, number_job);
    struct uuid id = subscribe(f, (struct wish){.bytes = 50 * MB});
    later(f, HOUR);
    struct usage_record r = record_of("r1", MB, 0, MINUTE);
    r.named = USAGE_BY_IMSI;
    r.number = STR("234200000000001");
    assert_int_equal(use_record(f, &r).iccid, ICCID_A);
    r.record_id = STR("r2");
    r.named = USAGE_BY_MSISDN;
    r.number = STR("447700900001");
    assert_int_equal(use_record(f, &r).iccid, ICCID_A);
    r.named = USAGE_BY_ICCID; // the same record, by another of its numbers
    r.number = STR("8944472600000510740");
    assert_true(use_record(f, &r).repeated);
    STATE_IS(f, id, ACTIVE, 2 * MB);
}

static void what_expires_first_is_used_first_and_a_record_may_span_several(void **state) {
    struct fixture *f = *state;
    struct uuid late = subscribe(f, (struct wish){.bytes = 10 * MB, .days = 30});
    struct uuid soon = subscribe(f, (struct wish){.bytes = 10 * MB, .days = 3});
    struct uuid middle = subscribe(f, (struct wish){.bytes = 10 * MB, .days = 7});
    later(f, HOUR);
    use_data(f, "r1", 4 * MB, 0, MINUTE);
    STATE_IS(f, soon, ACTIVE, 4 * MB);
    struct usage_result u = use_data(f, "r2", 18 * MB, 0, MINUTE);
    assert_int_equal(u.verdict, USAGE_BOOKED);
    assert_int_equal(u.n_places, 3);
    STATE_IS(f, soon, DEPLETED, 10 * MB);
    STATE_IS(f, middle, DEPLETED, 10 * MB);
    STATE_IS(f, late, ACTIVE, 2 * MB);
    u = use_data(f, "r3", 9 * MB, 0, MINUTE);
    assert_int_equal(u.verdict, USAGE_PARTLY);
    assert_int_equal(u.reason, USAGE_USED_UP);
    assert_int_equal(u.unrated_bytes, MB);
    STATE_IS(f, late, DEPLETED, 10 * MB);
    u = use_data(f, "r4", 5, 0, MINUTE);
    assert_int_equal(u.verdict, USAGE_UNRATED);
    assert_int_equal(u.unrated_bytes, 5);
    TOLD(f, soon, "threshold:80 depleted");
    struct subscription s = subscription_now(f, soon);
    assert_int_equal(s.end, SUB_END_DEPLETED);
}

JOB(unrated_job) {
    struct fixture *f = ctx;
    const struct usage_filter all = {.iccid = ICCID_NONE}, of_a = {.iccid = ICCID_A}, of_other = {.source = STR("x"), .iccid = ICCID_NONE};
    struct stored_usage *rows;
    size_t n;
    int64_t total;
    OK(store_usage_unrated(tx, &all, 0, 10, &f->arena, &rows, &n, &total, err));
    assert_int_equal(n, 2);
    assert_int_equal(total, 2);
    IS_STR(rows[0].record.record_id, "r2"); // the newest first
    assert_int_equal(rows[0].iccid, ICCID_NONE);
    assert_int_equal(rows[0].partner_id, 0);
    assert_int_equal(rows[0].reason, USAGE_NO_SIM);
    IS_STR(rows[0].record.number, "234200000000099");
    assert_int_equal(rows[1].iccid, ICCID_A);
    assert_int_equal(rows[1].partner_id, f->live.id);
    assert_int_equal(rows[1].unrated_bytes, 7);
    OK(store_usage_unrated(tx, &of_a, 0, 10, &f->arena, &rows, &n, &total, err));
    assert_int_equal(n, 1);
    OK(store_usage_unrated(tx, &of_other, 0, 10, &f->arena, &rows, &n, &total, err));
    assert_int_equal(n, 0);
    return ERR_NONE;
}

static void what_nothing_can_carry_is_kept(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct usage_result u = use_data(f, "r1", 7, 0, 0);
    assert_int_equal(u.verdict, USAGE_UNRATED);
    assert_int_equal(u.reason, USAGE_NO_SUBSCRIPTION);
    struct usage_record r = record_of("r2", 7, 0, 0);
    r.named = USAGE_BY_IMSI;
    r.number = STR("234200000000099");
    for (int i = 0; i < 2; i++) {
        u = use_record(f, &r);
        assert_int_equal(u.verdict, USAGE_UNRATED);
        assert_int_equal(u.reason, USAGE_NO_SIM);
        assert_int_equal(u.repeated, i);
        assert_int_equal(u.unrated_bytes, 7);
    }
    RUN(f, unrated_job);
}

static void a_late_record_is_booked_where_it_belongs(void **state) {
    struct fixture *f = *state;
    struct uuid first = subscribe(f, (struct wish){.bytes = 10 * MB, .days = 2});
    struct uuid second = subscribe(f, (struct wish){.bytes = 10 * MB, .days = 20, .date = 2 * DAY});
    use_data(f, "r1", 7 * MB, 0, MINUTE);
    assert_int_equal(pass_time(f, 0, 3 * DAY, 10), 2);
    STATE_IS(f, first, EXPIRED, 7 * MB);
    STATE_IS(f, second, ACTIVE, 0);
    struct usage_result u = use_data(f, "r2", 2 * MB, DAY, DAY + HOUR);
    assert_true(uuid_eq(u.places[0].subscription_id, first));
    STATE_IS(f, first, EXPIRED, 9 * MB);
    TOLD(f, first, "expired"); // nobody needs a warning of one that has ended
    // What it cannot carry belongs to nobody else: the second one did not run then.
    u = use_data(f, "r3", 3 * MB, DAY, DAY + HOUR);
    assert_int_equal(u.verdict, USAGE_PARTLY);
    assert_int_equal(u.unrated_bytes, 2 * MB);
    STATE_IS(f, first, EXPIRED, 10 * MB);
    STATE_IS(f, second, ACTIVE, 0);
    // One that reaches over the change belongs to both.
    u = use_data(f, "r4", 4 * MB, 2 * DAY - HOUR, 2 * DAY + HOUR);
    assert_int_equal(u.verdict, USAGE_BOOKED);
    STATE_IS(f, second, ACTIVE, 4 * MB);
    assert_int_equal(subscription_now(f, first).balance_as_of.ms, NOW_MS + DAY + HOUR);
}

static void nothing_is_used_before_its_date(void **state) {
    struct fixture *f = *state;
    struct uuid id = subscribe(f, (struct wish){.bytes = 10 * MB, .date = DAY});
    later(f, DAY + HOUR); // and no pass has come so far
    struct usage_result u = use_data(f, "r1", MB, HOUR, DAY - SECOND);
    assert_int_equal(u.verdict, USAGE_UNRATED);
    u = use_data(f, "r2", MB, HOUR, DAY);
    assert_int_equal(u.verdict, USAGE_BOOKED);
    STATE_IS(f, id, ACTIVE, MB);
    assert_int_equal(subscription_now(f, id).activation.ms, NOW_MS + DAY);
    TOLD(f, id, "activated");
    assert_int_equal(pass_time(f, 0, 2 * DAY, 10), 0); // it was brought up to date once
}

static void a_waiting_one_begins_with_its_first_byte(void **state) {
    struct fixture *f = *state;
    struct uuid id = subscribe(f, (struct wish){.bytes = 10 * MB, .days = 5, .first_usage = true});
    later(f, 3 * DAY);
    STATE_IS(f, id, PENDING_USAGE, 0);
    assert_int_equal(use_data(f, "r0", 0, DAY, 2 * DAY).verdict, USAGE_BOOKED); // no byte
    STATE_IS(f, id, PENDING_USAGE, 0);
    use_data(f, "r1", MB, DAY, 2 * DAY);
    STATE_IS(f, id, ACTIVE, MB);
    struct subscription s = subscription_now(f, id);
    assert_int_equal(s.activation.ms, NOW_MS + DAY);
    assert_int_equal(s.expiry.ms, NOW_MS + 6 * DAY);
    // An earlier byte that comes later is its own, too, but does not move its dates.
    use_data(f, "r2", MB, HOUR, 2 * HOUR);
    s = subscription_now(f, id);
    assert_int_equal(s.spent_bytes, 2 * MB);
    assert_int_equal(s.activation.ms, NOW_MS + DAY);
    assert_int_equal(s.balance_as_of.ms, NOW_MS + 2 * DAY); // the newest record's
    TOLD(f, id, "activated");
    // Before it was there at all: nobody's.
    assert_int_equal(use_data(f, "r3", MB, -2 * HOUR, -HOUR).verdict, USAGE_UNRATED);
}

static void a_waiting_one_does_not_begin_before_it_could_be_used(void **state) {
    struct fixture *f = *state;
    struct uuid id = subscribe(f, (struct wish){.bytes = 10 * MB, .days = 5, .first_usage = true, .date = 2 * DAY});
    later(f, 3 * DAY);
    assert_int_equal(use_data(f, "r1", MB, DAY, 2 * DAY - 1).verdict, USAGE_UNRATED);
    use_data(f, "r2", MB, DAY, 2 * DAY + HOUR);
    assert_int_equal(subscription_now(f, id).activation.ms, NOW_MS + 2 * DAY);
    STATE_IS(f, id, ACTIVE, MB);
    TOLD(f, id, "pending activated");
}

static void a_waiting_one_begins_when_those_before_it_are_finished(void **state) {
    struct fixture *f = *state;
    struct uuid waiting = subscribe(f, (struct wish){.bytes = 10 * MB, .days = 5, .first_usage = true});
    struct uuid running = subscribe(f, (struct wish){.bytes = 10 * MB, .days = 30});
    struct uuid next = subscribe(f, (struct wish){.bytes = 10 * MB, .days = 5, .first_usage = true});
    later(f, DAY);
    use_data(f, "r1", 8 * MB, HOUR, 2 * HOUR);
    STATE_IS(f, running, ACTIVE, 8 * MB);
    STATE_IS(f, waiting, PENDING_USAGE, 0);
    use_data(f, "r2", 3 * MB, 3 * HOUR, 4 * HOUR); // used up within it, nobody knows when: at the latest at its end
    STATE_IS(f, running, DEPLETED, 10 * MB);
    STATE_IS(f, waiting, ACTIVE, MB);
    STATE_IS(f, next, PENDING_USAGE, 0);
    assert_int_equal(subscription_now(f, waiting).activation.ms, NOW_MS + 4 * HOUR);
    // When the one before it has expired, it is known when.
    later(f, 6 * DAY);
    use_data(f, "r3", 10 * MB, 5 * DAY, 6 * DAY);
    assert_int_equal(subscription_now(f, next).activation.ms, NOW_MS + 5 * DAY + 4 * HOUR);
    STATE_IS(f, waiting, EXPIRED, 10 * MB);
    STATE_IS(f, next, ACTIVE, MB);
}

static void a_first_byte_told_long_after_begins_and_ends_it(void **state) {
    struct fixture *f = *state;
    struct uuid id = subscribe(f, (struct wish){.bytes = 10 * MB, .days = 2, .first_usage = true});
    later(f, 9 * DAY);
    use_data(f, "r1", 9 * MB, DAY, DAY + HOUR);
    STATE_IS(f, id, EXPIRED, 9 * MB);
    assert_int_equal(subscription_now(f, id).expiry.ms, NOW_MS + 3 * DAY);
    TOLD(f, id, "activated threshold:80 expired");
    assert_int_equal(use_data(f, "r2", 9 * MB, 8 * DAY, 9 * DAY).verdict, USAGE_UNRATED);
}

static void a_waiting_one_that_ended_unused_keeps_what_was_used_while_it_waited(void **state) {
    struct fixture *f = *state;
    struct uuid id = subscribe(f, (struct wish){.bytes = 10 * MB, .days = 2, .first_usage = true, .wanted_expiry = DAY});
    assert_int_equal(pass_time(f, 0, 2 * DAY, 10), 1);
    STATE_IS(f, id, EXPIRED, 0);
    assert_int_equal(use_data(f, "r1", MB, HOUR, 2 * HOUR).verdict, USAGE_BOOKED);
    STATE_IS(f, id, EXPIRED, MB);
    assert_false(wall_set(subscription_now(f, id).activation));
    TOLD(f, id, "expired");
}

JOB(thresholds_job) {
    struct fixture *f = ctx;
    static const int64_t percents[] = {95, 50, 80};
    for (size_t i = 0; i < ARRAY_LEN(percents); i++)
        assert_true(thresholds_add(&f->live.thresholds, percents[i]));
    OK(store_partner_update(tx, &f->live, err));
    return ERR_NONE;
}

static void each_threshold_fires_once(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct uuid usual = subscribe(f, (struct wish){.bytes = 1000, .days = 5});
    later(f, HOUR);
    use_data(f, "r1", 799, 0, 1);
    TOLD(f, usual, "");
    use_data(f, "r2", 1, 0, 1);
    TOLD(f, usual, "threshold:80");
    use_data(f, "r3", 150, 0, 1);
    RUN(f, thresholds_job);
    use_data(f, "r4", 50, 0, 1); // those that are behind it by now stay silent
    TOLD(f, usual, "threshold:80 depleted");

    struct uuid leaps = subscribe(f, (struct wish){.bytes = 1000, .days = 5});
    later(f, 2 * HOUR);
    use_data(f, "r5", 960, HOUR, HOUR);
    use_data(f, "r6", 1, HOUR, HOUR);
    TOLD(f, leaps, "threshold:50 threshold:80 threshold:95");
    struct uuid at_once = subscribe(f, (struct wish){.bytes = 3, .days = 1});
    use_data(f, "r7", 1, 2 * HOUR, 2 * HOUR);
    TOLD(f, at_once, "");
    use_data(f, "r8", 2, 2 * HOUR, 2 * HOUR);
    TOLD(f, at_once, "threshold:50 threshold:80 threshold:95 depleted");
}

static void faults_of_a_record_are_told_and_it_may_come_again(void **state) {
    struct fixture *f = *state;
    struct uuid id = subscribe(f, (struct wish){.bytes = 10 * MB});
    struct usage_result u = use_data(f, "r1", MB, HOUR, 0);
    assert_int_equal(u.verdict, USAGE_INVALID);
    assert_non_null(strstr(u.message.p, "end: lies before start"));
    u = use_data(f, "r1", MB, 0, 2 * HOUR);
    assert_int_equal(u.verdict, USAGE_INVALID);
    assert_non_null(strstr(u.message.p, "future"));
    assert_int_equal(use_data(f, "r2", MB, 0, 4 * MINUTE).verdict, USAGE_BOOKED); // clocks differ
    later(f, 2 * HOUR);
    assert_int_equal(use_data(f, "r1", MB, 0, 2 * HOUR).verdict, USAGE_BOOKED);
    struct usage_record r = record_of("r3", MB, 0, 0);
    r.bytes_up = -1;
    assert_int_equal(use_record(f, &r).verdict, USAGE_INVALID);
    r.bytes_up = 0;
    r.bytes_down = USAGE_BYTES_MAX + 1;
    assert_int_equal(use_record(f, &r).verdict, USAGE_INVALID);
    STATE_IS(f, id, ACTIVE, 2 * MB);
}

static void dates_hold_to_the_second(void **state) {
    struct fixture *f = *state;
    later(f, 700);
    struct uuid id = subscribe(f, (struct wish){.bytes = 10 * MB});
    assert_int_equal(use_data(f, "r1", MB, 0, 0).verdict, USAGE_BOOKED); // it is shown as begun at 0
    assert_int_equal(use_data(f, "r2", MB, -HOUR, 0).verdict, USAGE_BOOKED);
    STATE_IS(f, id, ACTIVE, 2 * MB);
    assert_int_equal(use_data(f, "r3", MB, -SECOND, -1).verdict, USAGE_UNRATED);
}

static void what_ends_at_an_instant_is_over_then(void **state) {
    struct fixture *f = *state;
    struct uuid id = subscribe(f, (struct wish){.bytes = 10 * MB, .days = 1});
    later(f, DAY + HOUR);
    assert_int_equal(use_data(f, "r1", MB, DAY, DAY).verdict, USAGE_UNRATED);
    assert_int_equal(use_data(f, "r2", MB, DAY, DAY + HOUR).verdict, USAGE_UNRATED);
    assert_int_equal(use_data(f, "r3", MB, DAY - SECOND, DAY + HOUR).verdict, USAGE_BOOKED);
    STATE_IS(f, id, EXPIRED, MB);
}

static void a_sandbox_partner_uses_data_in_its_own_time(void **state) {
    struct fixture *f = *state; // its clock is a day ahead
    struct uuid id = subscribe(f, (struct wish){.bytes = 10 * MB, .sandbox = true});
    struct usage_record r = record_of("r1", 9 * MB, DAY, DAY + MINUTE);
    r.number = STR("8944472600000510757"); // ICCID_B
    assert_int_equal(use_record(f, &r).verdict, USAGE_BOOKED);
    STATE_IS(f, id, ACTIVE, 9 * MB);
    assert_string_equal(told(f, f->sandbox.id, &id), "threshold:80");
    assert_string_equal(told(f, f->live.id, NULL), "");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(a_record_counts_once),
        T(an_id_that_comes_again_with_other_content_is_told_and_not_counted),
        T(a_sim_is_known_by_each_of_its_numbers),
        T(what_expires_first_is_used_first_and_a_record_may_span_several),
        T(what_nothing_can_carry_is_kept),
        T(a_late_record_is_booked_where_it_belongs),
        T(nothing_is_used_before_its_date),
        T(a_waiting_one_begins_with_its_first_byte),
        T(a_waiting_one_does_not_begin_before_it_could_be_used),
        T(a_waiting_one_begins_when_those_before_it_are_finished),
        T(a_first_byte_told_long_after_begins_and_ends_it),
        T(a_waiting_one_that_ended_unused_keeps_what_was_used_while_it_waited),
        T(each_threshold_fires_once),
        T(faults_of_a_record_are_told_and_it_may_come_again),
        T(dates_hold_to_the_second),
        T(what_ends_at_an_instant_is_over_then),
        T(a_sandbox_partner_uses_data_in_its_own_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
