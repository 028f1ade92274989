// SPDX-License-Identifier: Apache-2.0
/*
 * node_test.c - two processes never have one number, whatever befalls them. The embedded store plays one that several nodes share.
 */
#include "topupd/node.h"

#include <sys/wait.h>
#include <unistd.h>

#include "store/testing.h"

#define LEASES_MS 60000
#define LEASE_MS (LEASES_MS + NODE_RENEW_MS + 20000)

static struct db_driver shared;
static int lost;

static void on_lost(void *ctx UNUSED) {
    lost++;
}

static int setup(void **state) {
    shared = db_sqlite;
    shared.alone = false;
    struct fixture *f = fixture_new(&shared);
    fixture_open(f);
    *state = f;
    return 0;
}

static struct seat_options options(struct fixture *f, int64_t number, int64_t process) {
    return (struct seat_options){.store = f->store,
                                 .clock = &f->clock,
                                 .rng = &f->rng,
                                 .number = number,
                                 .leases_ms = LEASES_MS,
                                 .lost = on_lost,
                                 .machine = "host boot pids",
                                 .process = process};
}

static struct seat *take(struct fixture *f, int64_t number, int64_t process) {
    struct err *err = &f->err;
    struct seat *s = NULL;
    struct seat_options o = options(f, number, process);
    OK(seat_take(&o, &s, err));
    return s;
}

static void numbers_are_given_out_once(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct seat *s[4], *late = NULL;
    for (int i = 0; i < 4; i++) {
        s[i] = take(f, 0, getpid());
        assert_int_equal(seat_number(s[i]), i + 1);
    }
    struct seat_options o = options(f, 2, getpid());
    FAILS(ERR_CONFLICT, seat_take(&o, &late, err));
    SAYS("node: 2 is the number of a node that runs on host");
    seat_give_back(s[1]);
    s[1] = take(f, 2, getpid()); // given back: at once
    seat_give_back(s[2]);
    s[2] = take(f, 0, getpid());
    assert_int_equal(seat_number(s[2]), 5); // but a fresh one is better
    for (int i = 0; i < 4; i++)
        seat_give_back(s[i]);
}

static void a_lease_outlives_what_was_leased_under_it(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct seat *first = take(f, 7, getpid()), *second = NULL;
    struct seat_options o = options(f, 7, getpid());
    for (int i = 0; i < 20; i++) { // renewed, it goes on
        clock_manual_advance(&f->manual, NODE_RENEW_MS);
        OK(seat_renew(first, err));
    }
    clock_manual_advance(&f->manual, LEASES_MS);
    FAILS(ERR_CONFLICT, seat_take(&o, &second, err));
    clock_manual_advance(&f->manual, LEASE_MS - LEASES_MS);
    OK(seat_renew(first, err)); // it had run out, but nobody wanted it
    clock_manual_advance(&f->manual, LEASE_MS);
    second = take(f, 7, getpid());
    FAILS(ERR_CONFLICT, seat_renew(first, err)); // who was late finds out
    OK(seat_renew(second, err));
    seat_give_back(first);
    OK(seat_renew(second, err));
    seat_give_back(second);
}

static void a_dead_processs_number_is_free_at_once(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    struct seat *dead = take(f, 3, child);
    struct seat *heir = take(f, 3, getpid());
    FAILS(ERR_CONFLICT, seat_renew(dead, err));
    seat_give_back(heir);
    seat_give_back(dead);

    // Any number will do: the dead one's is the best, because what it leased is free then.
    dead = take(f, 9, child);
    heir = take(f, 0, getpid());
    assert_int_equal(seat_number(heir), 9);
    seat_give_back(heir);
    seat_give_back(dead);

    // Of another machine nobody knows who is dead.
    dead = take(f, 11, child);
    struct seat_options o = options(f, 11, getpid());
    struct seat *other = NULL;
    o.machine = "another boot pids";
    FAILS(ERR_CONFLICT, seat_take(&o, &other, err));
    seat_give_back(dead);
}

static void alone_there_is_nothing_to_lease(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    fixture_close(f);
    f->options.driver = NULL;
    fixture_open(f);
    struct seat *a = take(f, 0, getpid()), *b = take(f, 5, getpid());
    assert_int_equal(seat_number(a), 1);
    assert_int_equal(seat_number(b), 5);
    OK(seat_run(a, err));
    OK(seat_renew(a, err));
    seat_give_back(a);
    seat_give_back(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_are_given_out_once, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_lease_outlives_what_was_leased_under_it, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_dead_processs_number_is_free_at_once, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(alone_there_is_nothing_to_lease, setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
