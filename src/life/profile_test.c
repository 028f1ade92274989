// SPDX-License-Identifier: Apache-2.0
/*
 * profile_test.c - what an eSIM's download tells, and what it moves.
 */
#include "life/testing.h"

#define EID_A "89049032000001000000000000000001"
#define EID_B "89049032000001000000000000000002"

struct reporting {
    struct fixture *f;
    struct profile_progress p;
    struct str eid; // set by call instead
    struct sim sim; // afterwards
};

static enum err_kind report_job(struct tx *tx, void *ctx, struct err *err) {
    struct reporting *x = ctx;
    enum err_kind kind = store_sim_get(tx, ICCID_C, &x->f->arena, &x->sim, err);
    if (!kind && str_present(x->eid))
        return life_profile_eid(tx, &x->sim, x->eid, tx_now(tx), err);
    return kind ? kind : life_profile_progress(tx, &x->sim, &x->p, tx_now(tx), err);
}

static enum esim_status report(struct fixture *f, int point, enum progress_status status, const char *eid) {
    struct err *err = &f->err;
    struct reporting x = {.f = f, .p = {.point = point, .status = status, .eid = str_of(eid)}};
    clock_manual_advance(&f->manual, MINUTE);
    OK(store_run(f->store, report_job, &x, err));
    struct tx *tx;
    struct sim kept;
    OK(store_read_begin(f->store, &tx, err));
    OK(store_sim_get(tx, ICCID_C, &f->arena, &kept, err));
    store_read_end(tx);
    assert_int_equal(kept.esim, x.sim.esim);
    assert_int_equal(kept.modified.ms, x.sim.modified.ms);
    return kept.esim;
}

static enum err_kind set_eid(struct fixture *f, const char *eid) {
    struct reporting x = {.f = f, .eid = str_of(eid)};
    return store_run(f->store, report_job, &x, &f->err);
}

JOB(profile_job) {
    struct fixture *f = ctx;
    struct sim s = fixture_profile(ICCID_C, f->live.id);
    s.service = SIM_ACTIVE;
    s.activated = tx_now(tx);
    return store_sim_insert(tx, &s, err);
}

// "3 Released", "status Released>Downloaded": the log of the SIM.
static const char *told_of_sim(struct fixture *f) {
    struct err *err = &f->err;
    struct tx *tx;
    struct event *e;
    size_t n, used = 0;
    static char text[1024];
    text[0] = '\0';
    OK(store_read_begin(f->store, &tx, err));
    OK(store_event_list(tx, f->live.id, 0, 100, &f->arena, &e, &n, err));
    store_read_end(tx);
    for (size_t i = 0; i < n; i++) {
        struct sim s;
        struct profile_progress p;
        struct sim_was before;
        if (e[i].type == EVENT_SIM_DOWNLOAD_PROGRESS) {
            OK(event_unpack_progress(e[i].payload, &f->arena, &s, &p, err));
            used += (size_t)snprintf(text + used, sizeof text - used, "%d%s ", p.point, p.status >= PROGRESS_FAILED ? "!" : "");
        } else if (e[i].type == EVENT_SIM_STATUS_CHANGED) {
            OK(event_unpack_sim(e[i].payload, &f->arena, &s, &before, err));
            used += (size_t)snprintf(text + used, sizeof text - used, "%s>%s ", esim_status_words[before.esim], esim_status_words[s.esim]);
        } else {
            assert_int_equal(e[i].type, EVENT_SIM_EID_CHANGED);
            OK(event_unpack_sim(e[i].payload, &f->arena, &s, &before, err));
            used += (size_t)snprintf(text + used, sizeof text - used, "eid:%c ", s.eid.p[s.eid.n - 1]);
        }
        assert_int_equal(s.iccid, ICCID_C);
        assert_true(used < sizeof text);
    }
    return text;
}

static void a_profile_is_downloaded_installed_and_deleted(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, profile_job);
    assert_int_equal(report(f, POINT_ELIGIBILITY, PROGRESS_SUCCESS, NULL), ESIM_RELEASED);
    assert_int_equal(report(f, POINT_DOWNLOADED, PROGRESS_SUCCESS, EID_A), ESIM_DOWNLOADED);
    assert_int_equal(report(f, POINT_INSTALLED, PROGRESS_WARNING, EID_A), ESIM_INSTALLED);
    assert_int_equal(report(f, POINT_ENABLED, PROGRESS_SUCCESS, EID_A), ESIM_INSTALLED);
    assert_int_equal(report(f, POINT_DELETED, PROGRESS_SUCCESS, EID_A), ESIM_UNAVAILABLE);
    assert_string_equal(told_of_sim(f), "1 eid:1 3 Released>Downloaded 4 Downloaded>Installed 101 5 Installed>Unavailable ");
}

static void what_failed_came_late_or_again_moves_nothing(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, profile_job);
    assert_int_equal(report(f, POINT_DOWNLOADED, PROGRESS_FAILED, EID_A), ESIM_RELEASED);
    assert_int_equal(report(f, POINT_INSTALLED, PROGRESS_EXPIRED, NULL), ESIM_RELEASED);
    assert_int_equal(report(f, 4711, PROGRESS_SUCCESS, NULL), ESIM_RELEASED);
    assert_int_equal(report(f, POINT_INSTALLED, PROGRESS_SUCCESS, NULL), ESIM_INSTALLED); // the word of the download was lost
    assert_int_equal(report(f, POINT_DOWNLOADED, PROGRESS_SUCCESS, EID_B), ESIM_INSTALLED);
    assert_int_equal(report(f, POINT_INSTALLED, PROGRESS_SUCCESS, NULL), ESIM_INSTALLED);
    assert_int_equal(report(f, POINT_DELETED, PROGRESS_FAILED, NULL), ESIM_INSTALLED);
    assert_string_equal(told_of_sim(f), "3! 4! 4711 4 Released>Downloaded Downloaded>Installed 3 4 5! ");
}

static void the_eid_changes_while_released_only(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, profile_job);
    OK(set_eid(f, EID_A));
    OK(set_eid(f, EID_A));
    OK(set_eid(f, EID_B));
    assert_int_equal(report(f, POINT_DOWNLOADED, PROGRESS_SUCCESS, EID_B), ESIM_DOWNLOADED);
    FAILS(ERR_CONFLICT, set_eid(f, EID_A));
    assert_string_equal(told_of_sim(f), "eid:1 eid:2 3 Released>Downloaded ");
}

JOB(refused_job) {
    struct fixture *f = ctx;
    struct profile_progress p = {.point = POINT_DOWNLOADED};
    struct sim s;
    OK(store_sim_get(tx, ICCID_A, &f->arena, &s, err)); // plastic
    FAILS(ERR_CONFLICT, life_profile_progress(tx, &s, &p, tx_now(tx), err));
    FAILS(ERR_CONFLICT, life_profile_eid(tx, &s, STR(EID_A), tx_now(tx), err));
    struct sim stock = fixture_profile(ICCID_C + 1, 0);
    OK(store_sim_insert(tx, &stock, err));
    FAILS(ERR_CONFLICT, life_profile_progress(tx, &stock, &p, tx_now(tx), err));
    assert_int_equal(stock.esim, ESIM_RELEASED);
    return ERR_NONE;
}

static void plastic_and_stock_are_not_downloaded(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, refused_job);
    assert_string_equal(told_of_sim(f), "");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(a_profile_is_downloaded_installed_and_deleted),
        T(what_failed_came_late_or_again_moves_nothing),
        T(the_eid_changes_while_released_only),
        T(plastic_and_stock_are_not_downloaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
