// SPDX-License-Identifier: Apache-2.0
/*
 * store_conformance_test.c - what any store must do, whatever the driver (testing.h: STORE_DRIVER): each verb, each conflict by its name,
 * filters and pages, and what holds in the database itself. What jobs and transactions must do: store_test.c.
 */
#include "store/store_sandbox.h"
#include "store/store_usage.h"
#include "store/testing.h"

// ---- partners ----

JOB(partner_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct partner p, q;
    OK(store_partner_by_client(tx, STR("live"), a, &p, err));
    assert_int_equal(p.id, f->live.id);
    IS_STR(p.name, "A partner");
    IS_STR(p.currencies, "EUR USD");
    assert_int_equal(p.mode, PARTNER_LIVE);
    assert_int_equal(p.needs, NEED_LAST_NAME);
    assert_int_equal(p.cap_day, 5);
    assert_int_equal(p.cap_month, 50);
    assert_int_equal(p.rate_per_minute, -1);
    assert_int_equal(p.event_days, 90);
    assert_int_equal(p.created.ms, NOW_MS);
    assert_false(p.disabled);

    assert_int_equal(p.thresholds.n, 0);

    p.disabled = true;
    assert_true(thresholds_add(&p.thresholds, 99) && thresholds_add(&p.thresholds, 50));
    p.name = STR("Renamed");
    p.cap_day = 0;
    OK(store_partner_update(tx, &p, err));
    OK(store_partner_get(tx, p.id, a, &q, err));
    assert_true(q.disabled);
    assert_int_equal(q.thresholds.n, 2);
    assert_int_equal(q.thresholds.percent[0], 50);
    assert_int_equal(q.thresholds.percent[1], 99);
    IS_STR(q.name, "Renamed");
    assert_int_equal(q.cap_day, 0);

    struct partner twin = fixture_partner("live", PARTNER_LIVE);
    FAILS(ERR_CONFLICT, store_partner_insert(tx, &twin, err));
    SAYS("client_id");
    assert_int_equal(twin.id, 0);
    p.client_id = STR("sandbox");
    FAILS(ERR_CONFLICT, store_partner_update(tx, &p, err));
    SAYS("client_id");

    q.id = 999;
    FAILS(ERR_NOT_FOUND, store_partner_update(tx, &q, err));
    FAILS(ERR_NOT_FOUND, store_partner_get(tx, 999, a, &q, err));
    FAILS(ERR_NOT_FOUND, store_partner_by_client(tx, STR("nobody' OR '1'='1"), a, &q, err));
    assert_int_equal(q.id, 999); // out parameters stay as they were

    struct partner *list = NULL;
    size_t n = 0;
    int64_t total = 0;
    OK(store_partner_list(tx, 1, 10, a, &list, &n, &total, err));
    assert_int_equal(n, 1);
    assert_int_equal(total, 2);
    IS_STR(list[0].client_id, "sandbox");
    OK(store_partner_after(tx, 0, 10, a, &list, &n, err));
    assert_int_equal(n, 2);
    IS_STR(list[0].client_id, "live");
    OK(store_partner_after(tx, 0, 1, a, &list, &n, err));
    assert_int_equal(n, 1);
    OK(store_partner_after(tx, list[0].id, 10, a, &list, &n, err));
    assert_int_equal(n, 1);
    IS_STR(list[0].client_id, "sandbox");
    OK(store_partner_after(tx, list[0].id, 10, a, &list, &n, err));
    assert_int_equal(n, 0);
    return ERR_NONE;
}

static void partners_are_kept_and_client_ids_are_unique(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, partner_job);
}

static void add_secret(struct tx *tx, struct fixture *f, uint8_t mark, struct wall others_expire, struct err *err) {
    struct secret_hash hash = {{0}, {0}};
    hash.sha256[0] = mark;
    OK(store_partner_secret_add(tx, f->live.id, &hash, others_expire, err));
}

JOB(secret_job) {
    struct fixture *f = ctx;
    struct partner_secret s[PARTNER_SECRETS_MAX];
    size_t n = 9;
    OK(store_partner_secrets(tx, f->live.id, s, &n, err));
    assert_int_equal(n, 0);
    add_secret(tx, f, 1, WALL_NONE, err);
    add_secret(tx, f, 2, (struct wall){NOW_MS + 1000}, err);
    OK(store_partner_secrets(tx, f->live.id, s, &n, err));
    assert_int_equal(n, 2);
    assert_int_equal(s[0].hash.sha256[0], 2); // the newest first
    assert_false(wall_set(s[0].expires));
    assert_int_equal(s[1].hash.sha256[0], 1);
    assert_int_equal(s[1].expires.ms, NOW_MS + 1000);

    // A later end does not prolong one that was set before.
    add_secret(tx, f, 3, (struct wall){NOW_MS + 5000}, err);
    OK(store_partner_secrets(tx, f->live.id, s, &n, err));
    assert_int_equal(n, 3);
    assert_int_equal(s[1].expires.ms, NOW_MS + 5000);
    assert_int_equal(s[2].expires.ms, NOW_MS + 1000);

    // Ended ones are not given out, and never more than there is room for: the oldest go.
    add_secret(tx, f, 4, (struct wall){NOW_MS}, err);
    OK(store_partner_secrets(tx, f->live.id, s, &n, err));
    assert_int_equal(n, 1);
    for (uint8_t i = 5; i < 12; i++)
        add_secret(tx, f, i, WALL_NONE, err);
    OK(store_partner_secrets(tx, f->live.id, s, &n, err));
    assert_int_equal(n, PARTNER_SECRETS_MAX);
    assert_int_equal(s[0].hash.sha256[0], 11);
    assert_int_equal(s[3].hash.sha256[0], 8);

    struct secret_hash hash = {{0}, {0}};
    FAILS(ERR_NOT_FOUND, store_partner_secret_add(tx, 999, &hash, WALL_NONE, err));
    return ERR_NONE;
}

static void secrets_overlap_end_and_are_bounded(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, secret_job);
}

JOB(cap_job) {
    struct fixture *f = ctx;
    int64_t count = -1;
    OK(store_cap_get(tx, f->live.id, 20261123, &count, err));
    assert_int_equal(count, 0);
    OK(store_cap_add(tx, f->live.id, 20261123, 1, err));
    OK(store_cap_add(tx, f->live.id, 20261123, 2, err));
    OK(store_cap_add(tx, f->live.id, 202611, 1, err));
    OK(store_cap_get(tx, f->live.id, 20261123, &count, err));
    assert_int_equal(count, 3);
    OK(store_cap_add(tx, f->live.id, 20261123, -5, err)); // never below nothing
    OK(store_cap_get(tx, f->live.id, 20261123, &count, err));
    assert_int_equal(count, 0);
    OK(store_cap_get(tx, f->sandbox.id, 202611, &count, err));
    assert_int_equal(count, 0);
    FAILS(ERR_CONFLICT, store_cap_add(tx, 999, 202611, 1, err));
    return ERR_NONE;
}

static void caps_count_by_partner_and_period(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, cap_job);
}

JOB(operator_job) {
    struct fixture *f = ctx;
    struct operator_token t = {.name = STR("ops"), .created = {NOW_MS}, .expires = WALL_NONE}, found;
    memset(t.sha256, 7, sizeof t.sha256);
    FAILS(ERR_NOT_FOUND, store_operator_find(tx, t.sha256, &f->arena, &found, err));
    OK(store_operator_add(tx, &t, err));
    OK(store_operator_find(tx, t.sha256, &f->arena, &found, err));
    IS_STR(found.name, "ops");
    assert_false(wall_set(found.expires));
    assert_memory_equal(found.sha256, t.sha256, sizeof t.sha256);
    FAILS(ERR_CONFLICT, store_operator_add(tx, &t, err));
    return ERR_NONE;
}

JOB(key_job) {
    struct fixture *f = ctx;
    struct signing_key k = {.kid = STR("k1"), .pem = STR("one"), .created = {NOW_MS}, .retired = WALL_NONE}, *keys = NULL;
    size_t n = 0;
    OK(store_key_add(tx, &k, err));
    k = (struct signing_key){.kid = STR("k0"), .pem = STR("two"), .created = {NOW_MS + 5}, .retired = WALL_NONE}; // names do not count
    OK(store_key_add(tx, &k, err));
    OK(store_key_list(tx, &f->arena, &keys, &n, err));
    assert_int_equal(n, 2);
    IS_STR(keys[0].kid, "k0");
    IS_STR(keys[0].pem, "two");
    assert_false(wall_set(keys[0].retired));
    assert_int_equal(keys[1].retired.ms, NOW_MS + 5);
    OK(store_key_prune(tx, (struct wall){NOW_MS + 5}, err));
    OK(store_key_list(tx, &f->arena, &keys, &n, err));
    assert_int_equal(n, 2);
    OK(store_key_prune(tx, (struct wall){NOW_MS + 6}, err));
    OK(store_key_list(tx, &f->arena, &keys, &n, err));
    assert_int_equal(n, 1);
    return ERR_NONE;
}

static void operator_tokens_and_signing_keys_are_kept(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, operator_job);
    RUN(f, key_job);
}

// ---- products ----

JOB(product_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct product p = f->product, q;
    enum upsert what = UPSERT_INSERTED;
    OK(store_product_put(tx, &p, &what, err));
    assert_int_equal(what, UPSERT_SAME);
    p.price.minor = 2100;
    p.footprint_code = STR_NONE;
    p.id = 0;
    OK(store_product_put(tx, &p, &what, err));
    assert_int_equal(what, UPSERT_UPDATED);
    assert_int_equal(p.id, f->product.id);
    OK(store_product_by_public_id(tx, f->live.id, STR(PRODUCT_A), a, &q, err));
    assert_int_equal(q.price.minor, 2100);
    assert_string_equal(q.price.currency, "EUR");
    assert_false(str_present(q.footprint_code));
    OK(store_product_get(tx, f->other_product.id, a, &q, err));
    assert_int_equal(q.price.minor, 2000); // the other partner's is its own
    assert_string_equal(q.public_id, PRODUCT_A);

    p = fixture_product(f->live.id, PRODUCT_B);
    p.name = STR("A month");
    p.sim_types = SIM_ESIM;
    p.duration = 1;
    p.duration_unit = DURATION_MONTHS;
    p.data_unit = DATA_GB;
    p.first_usage = true;
    p.on_sale = false;
    p.price = (struct money){999, "USD"};
    OK(store_product_put(tx, &p, &what, err));
    assert_int_equal(what, UPSERT_INSERTED);
    OK(store_product_get(tx, p.id, a, &q, err));
    assert_int_equal(q.duration_unit, DURATION_MONTHS);
    assert_int_equal(q.data_unit, DATA_GB);
    assert_true(q.first_usage);
    assert_false(q.on_sale);

    const struct {
        struct product_filter filter;
        int64_t total;
    } lists[] = {
        {{.partner_id = f->live.id}, 2},
        {{.partner_id = 0}, 3},
        {{.partner_id = 999}, 0},
        {{.partner_id = f->live.id, .sim_types = SIM_PSIM}, 1},
        {{.partner_id = f->live.id, .sim_types = SIM_PSIM | SIM_ESIM}, 2},
        {{.partner_id = f->live.id, .currency = STR("USD")}, 1},
        {{.partner_id = f->live.id, .footprint_code = STR("GLOBAL")}, 1},
        {{.partner_id = f->live.id, .on_sale_only = true}, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct product *list = NULL;
        size_t n = 0;
        int64_t total = -1;
        OK(store_product_list(tx, &lists[i].filter, 0, 10, a, &list, &n, &total, err));
        assert_int_equal(total, lists[i].total);
        assert_int_equal(n, lists[i].total);
    }
    struct product *list = NULL;
    size_t n = 0;
    OK(store_product_list(tx, &lists[0].filter, 0, 1, a, &list, &n, NULL, err));
    assert_int_equal(n, 1);
    IS_STR(list[0].name, "A month"); // by name

    FAILS(ERR_NOT_FOUND, store_product_by_public_id(tx, f->sandbox.id, STR(PRODUCT_B), a, &q, err));
    p = fixture_product(999, PRODUCT_B);
    FAILS(ERR_NOT_FOUND, store_product_put(tx, &p, &what, err));
    return ERR_NONE;
}

static void products_are_put_once_and_listed_by_name(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, product_job);
}

// ---- SIMs ----

JOB(sim_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct sim s = fixture_profile(ICCID_C, f->live.id), got;
    s.imsi = STR("234501234567890");
    s.msisdn = STR("447700900123");
    s.matching_id = STR("ABC-DEF");
    s.eid = STR("89049032123451234512345678901235");
    OK(store_sim_insert(tx, &s, err));
    OK(store_sim_get(tx, ICCID_C, a, &got, err));
    assert_int_equal(got.partner_id, f->live.id);
    assert_int_equal(got.type, SIM_ESIM);
    assert_int_equal(got.service, SIM_STOCK);
    assert_int_equal(got.esim, ESIM_RELEASED);
    IS_STR(got.imsi, "234501234567890");
    IS_STR(got.msisdn, "447700900123");
    IS_STR(got.eid, "89049032123451234512345678901235");
    IS_STR(got.matching_id, "ABC-DEF");
    IS_STR(got.smdp, "smdp.example.com");
    assert_false(wall_set(got.activated));
    assert_int_equal(got.modified.ms, NOW_MS);
    OK(store_sim_by_imsi(tx, STR("234501234567890"), a, &got, err));
    OK(store_sim_by_msisdn(tx, STR("447700900123"), a, &got, err));
    assert_int_equal(got.iccid, ICCID_C);
    FAILS(ERR_NOT_FOUND, store_sim_by_imsi(tx, STR("0"), a, &got, err));
    FAILS(ERR_NOT_FOUND, store_sim_by_msisdn(tx, STR("0"), a, &got, err));

    // Each number is one SIM's.
    FAILS(ERR_CONFLICT, store_sim_insert(tx, &s, err));
    SAYS("iccid");
    struct sim other = fixture_profile(ICCID_C + 1, f->live.id);
    other.imsi = s.imsi;
    FAILS(ERR_CONFLICT, store_sim_insert(tx, &other, err));
    SAYS("imsi");
    other.imsi = STR_NONE;
    other.msisdn = s.msisdn;
    FAILS(ERR_CONFLICT, store_sim_insert(tx, &other, err));
    SAYS("msisdn");
    other.msisdn = STR_NONE;
    other.matching_id = s.matching_id;
    FAILS(ERR_CONFLICT, store_sim_insert(tx, &other, err));
    SAYS("matching_id");
    other.matching_id = STR_NONE;
    other.partner_id = 999;
    FAILS(ERR_CONFLICT, store_sim_insert(tx, &other, err));
    SAYS("partner");
    other.partner_id = 0;
    OK(store_sim_insert(tx, &other, err)); // absent numbers never collide

    // What life changes, and the rest.
    got.service = SIM_ACTIVE;
    got.esim = ESIM_INSTALLED;
    got.eid = STR_NONE;
    got.activated = got.modified = (struct wall){NOW_MS + 7};
    OK(store_sim_update(tx, &got, err));
    OK(store_sim_get(tx, ICCID_C, a, &s, err));
    assert_int_equal(s.service, SIM_ACTIVE);
    assert_int_equal(s.esim, ESIM_INSTALLED);
    assert_false(str_present(s.eid));
    assert_int_equal(s.activated.ms, NOW_MS + 7);
    s.msisdn = STR("447700900124");
    s.smdp = STR_NONE;
    OK(store_sim_update(tx, &s, err));
    OK(store_sim_by_msisdn(tx, STR("447700900124"), a, &got, err));
    assert_false(str_present(got.smdp));
    other.imsi = s.imsi;
    FAILS(ERR_CONFLICT, store_sim_update(tx, &other, err));
    SAYS("imsi");
    other.iccid = 12345;
    other.imsi = STR_NONE;
    FAILS(ERR_NOT_FOUND, store_sim_update(tx, &other, err));
    FAILS(ERR_NOT_FOUND, store_sim_get(tx, 12345, a, &got, err));
    return ERR_NONE;
}

static void a_sims_numbers_are_its_own(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, sim_job);
}

JOB(take_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct sim s, got;
    FAILS(ERR_NOT_FOUND, store_sim_take_profile(tx, f->live.id, false, a, &got, err));
    const struct {
        iccid_t iccid;
        int64_t partner_id;
    } stock[] = {{500, 0}, {400, 0}, {300, f->live.id}, {200, f->sandbox.id}};
    for (size_t i = 0; i < ARRAY_LEN(stock); i++) {
        s = fixture_profile(stock[i].iccid, stock[i].partner_id);
        OK(store_sim_insert(tx, &s, err));
    }
    s = fixture_profile(100, f->live.id); // not for sale any more
    s.esim = ESIM_UNAVAILABLE;
    OK(store_sim_insert(tx, &s, err));
    s = fixture_sim(101, f->live.id); // no profile at all
    s.service = SIM_STOCK;
    OK(store_sim_insert(tx, &s, err));

    const iccid_t expected[] = {300, 400, 500}; // its own first, then the lowest of all
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        OK(store_sim_take_profile(tx, f->live.id, false, a, &got, err));
        assert_int_equal(got.iccid, expected[i]);
        assert_int_equal(got.partner_id, f->live.id);
        OK(store_sim_get(tx, got.iccid, a, &s, err));
        assert_int_equal(s.partner_id, f->live.id);
        got.service = SIM_ACTIVATING;
        OK(store_sim_update(tx, &got, err));
        if (i == 0) // the general stock is not for everybody
            FAILS(ERR_NOT_FOUND, store_sim_take_profile(tx, f->live.id, true, a, &got, err));
    }
    FAILS(ERR_NOT_FOUND, store_sim_take_profile(tx, f->live.id, false, a, &got, err));

    OK(store_sim_assign(tx, 200, f->live.id, err));
    OK(store_sim_get(tx, 200, a, &s, err));
    assert_int_equal(s.partner_id, f->live.id);
    FAILS(ERR_CONFLICT, store_sim_assign(tx, 300, f->sandbox.id, err));
    FAILS(ERR_NOT_FOUND, store_sim_assign(tx, 12345, f->live.id, err));
    FAILS(ERR_NOT_FOUND, store_sim_assign(tx, 200, 999, err));
    return ERR_NONE;
}

static void profiles_are_taken_lowest_first_and_become_the_partners(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, take_job);
}

JOB(sim_list_job) {
    struct fixture *f = ctx;
    for (iccid_t i = 1; i <= 5; i++) {
        struct sim s = fixture_profile(i, i <= 2 ? 0 : f->live.id);
        OK(store_sim_insert(tx, &s, err));
    }
    const struct {
        struct sim_filter filter;
        iccid_t after;
        int64_t offset, limit, total;
        iccid_t first;
        size_t n;
    } lists[] = {
        {{0, 0, -1}, ICCID_NONE, 0, 10, 7, 1, 7},
        {{-1, 0, -1}, ICCID_NONE, 0, 10, 2, 1, 2},
        {{f->live.id, 0, -1}, ICCID_NONE, 0, 10, 4, 3, 4},
        {{f->live.id, SIM_ESIM, -1}, ICCID_NONE, 0, 2, 3, 3, 2},
        {{f->live.id, SIM_ESIM, -1}, ICCID_NONE, 2, 2, 3, 5, 1},
        {{f->live.id, SIM_ESIM, -1}, 4, 0, 2, 3, 5, 1},
        {{f->live.id, 0, SIM_ACTIVE}, ICCID_NONE, 0, 10, 1, ICCID_A, 1},
        {{f->live.id, SIM_ESIM, SIM_ACTIVE}, ICCID_NONE, 0, 10, 0, 0, 0},
        {{f->live.id, 0, SIM_STOCK}, ICCID_NONE, 0, 10, 3, 3, 3},
        {{0, SIM_PSIM, SIM_ACTIVE}, ICCID_NONE, 0, 10, 2, ICCID_A, 2},
        {{999, 0, -1}, ICCID_NONE, 0, 10, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct sim *list = NULL;
        size_t n = 0;
        int64_t total = -1;
        OK(store_sim_list(tx, &lists[i].filter, lists[i].after, lists[i].offset, lists[i].limit, &f->arena, &list, &n, err));
        OK(store_sim_count(tx, &lists[i].filter, 100, &total, err));
        assert_int_equal(total, lists[i].total);
        OK(store_sim_count(tx, &lists[i].filter, 1, &total, err));
        assert_int_equal(total, lists[i].total > 0);
        assert_int_equal(n, lists[i].n);
        if (n)
            assert_int_equal(list[0].iccid, lists[i].first);
        for (size_t k = 1; k < n; k++)
            assert_true(list[k - 1].iccid < list[k].iccid);
    }
    return ERR_NONE;
}

static void sims_are_listed_by_owner_type_and_service(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, sim_list_job);
}

JOB(notification_job) {
    struct fixture *f = ctx;
    struct sim_notification list[NOTIFY_TYPES];
    size_t n = 9;
    bool was_there = true;
    OK(store_notification_list(tx, ICCID_A, &f->arena, list, &n, err));
    assert_int_equal(n, 0);
    OK(store_notification_delete(tx, ICCID_A, NOTIFY_SUBSCRIPTION_END, &was_there, err));
    assert_false(was_there);
    OK(store_notification_put(tx, ICCID_A, NOTIFY_SUBSCRIPTION_END, STR("https://a.example"), err));
    OK(store_notification_put(tx, ICCID_A, NOTIFY_SUBSCRIPTION_END, STR("https://b.example"), err));
    OK(store_notification_put(tx, ICCID_A, NOTIFY_USAGE_THRESHOLD, STR("https://c.example"), err));
    OK(store_notification_list(tx, ICCID_A, &f->arena, list, &n, err));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].type, NOTIFY_USAGE_THRESHOLD);
    assert_int_equal(list[1].type, NOTIFY_SUBSCRIPTION_END);
    IS_STR(list[1].url, "https://b.example");
    OK(store_notification_delete(tx, ICCID_A, NOTIFY_SUBSCRIPTION_END, &was_there, err));
    assert_true(was_there);
    FAILS(ERR_NOT_FOUND, store_notification_put(tx, 12345, NOTIFY_SUBSCRIPTION_END, STR("https://a.example"), err));
    return ERR_NONE;
}

static void a_sims_notification_preferences_replace_each_other(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, notification_job);
}

// ---- orders ----

JOB(order_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct order o = fixture_order(tx, &f->product, ICCID_A), got;
    o.activation = (struct wall){NOW_MS + 1};
    o.expiration = (struct wall){NOW_MS + 2};
    o.subscriber = (struct subscriber){STR("a@example.com"), STR("Ann"), STR("O'Hara"), STR("GB"),       STR("en"),
                                       STR("ios"),           STR("15"),  STR("id"),     STR("8904 dots")};
    o.reference = STR("ref-1");
    OK(store_order_insert(tx, &o, err));
    OK(store_order_get(tx, o.id, a, &got, err));
    assert_true(uuid_eq(got.id, o.id));
    assert_int_equal(got.partner_id, f->live.id);
    assert_int_equal(got.state, ORDER_ACCEPTED);
    assert_int_equal(got.operation, OP_TOPUP);
    assert_int_equal(got.sim_type, SIM_PSIM);
    assert_string_equal(got.country, "GB");
    assert_int_equal(got.product_id, f->product.id);
    assert_string_equal(got.product_public_id, PRODUCT_A);
    assert_int_equal(got.sold.minor, 1050);
    assert_string_equal(got.sold.currency, "EUR");
    assert_int_equal(got.activation.ms, NOW_MS + 1);
    assert_int_equal(got.expiration.ms, NOW_MS + 2);
    IS_STR(got.subscriber.email, "a@example.com");
    IS_STR(got.subscriber.first_name, "Ann");
    IS_STR(got.subscriber.last_name, "O'Hara");
    IS_STR(got.subscriber.country_of_residence, "GB");
    IS_STR(got.subscriber.language, "en");
    IS_STR(got.subscriber.device_os, "ios");
    IS_STR(got.subscriber.device_model, "15");
    IS_STR(got.subscriber.device_id, "id");
    IS_STR(got.subscriber.device_eid, "8904 dots");
    assert_int_equal(got.iccid, ICCID_A);
    assert_false(str_present(got.matching_id));
    IS_STR(got.correlation_id, "corr-1");
    IS_STR(got.reference, "ref-1");
    assert_int_equal(got.created.ms, NOW_MS);
    assert_false(wall_set(got.finished));

    OK(store_order_by_reference(tx, f->live.id, STR("ref-1"), a, &got, err));
    FAILS(ERR_NOT_FOUND, store_order_by_reference(tx, f->sandbox.id, STR("ref-1"), a, &got, err));
    FAILS(ERR_CONFLICT, store_order_insert(tx, &o, err));
    struct order twin = fixture_order(tx, &f->product, ICCID_A);
    twin.reference = o.reference;
    FAILS(ERR_CONFLICT, store_order_insert(tx, &twin, err));
    SAYS("reference");
    twin = fixture_order(tx, &f->other_product, ICCID_B);
    twin.reference = o.reference;
    OK(store_order_insert(tx, &twin, err)); // another partner's reference is its own
    twin = fixture_order(tx, &f->product, ICCID_A);
    twin.product_id = f->other_product.id; // not this partner's
    if (!getenv("STORE_FRESH")) {          // then it comes out when it is written: store_test.c
        FAILS(ERR_CONFLICT, store_order_insert(tx, &twin, err));
        SAYS("product");
    }

    o.state = ORDER_COMPLETED;
    o.finished = (struct wall){NOW_MS + 3};
    OK(store_order_update(tx, &o, err));
    OK(store_order_get(tx, o.id, a, &got, err));
    assert_int_equal(got.state, ORDER_COMPLETED);
    assert_int_equal(got.finished.ms, NOW_MS + 3);
    FAILS(ERR_NOT_FOUND, store_order_update(tx, &twin, err));
    FAILS(ERR_NOT_FOUND, store_order_get(tx, twin.id, a, &got, err));
    return ERR_NONE;
}

JOB(esim_order_job) {
    struct fixture *f = ctx;
    struct order o = fixture_order(tx, &f->product, ICCID_NONE), got;
    o.operation = OP_ACTIVATION;
    o.sim_type = SIM_ESIM;
    o.sold = (struct money){0, ""};
    OK(store_order_insert(tx, &o, err));
    OK(store_order_get(tx, o.id, &f->arena, &got, err));
    assert_int_equal(got.iccid, ICCID_NONE);
    assert_string_equal(got.sold.currency, "");
    o.iccid = ICCID_A;
    o.matching_id = STR("M-1");
    o.smdp = STR("smdp.example.com");
    o.state = ORDER_FULFILLING;
    OK(store_order_update(tx, &o, err));
    OK(store_order_get(tx, o.id, &f->arena, &got, err));
    assert_int_equal(got.iccid, ICCID_A);
    IS_STR(got.matching_id, "M-1");
    IS_STR(got.smdp, "smdp.example.com");
    o = fixture_order(tx, &f->product, ICCID_A);
    OK(store_order_insert(tx, &o, err));
    o.state = ORDER_FAILED;
    o.failure = STR("the network refused\nfor good");
    OK(store_order_update(tx, &o, err));
    OK(store_order_get(tx, o.id, &f->arena, &got, err));
    IS_STR(got.failure, "the network refused\nfor good");
    return ERR_NONE;
}

static void an_order_is_kept_whole_and_its_reference_is_the_partners(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, order_job);
    RUN(f, esim_order_job);
}

// 40 orders, a second apart; every fourth is the sandbox partner's. Of the live ones by number (i % 4): 0 completed with a subscription, 1
// open, 2 failed.
#define ORDERS 40
JOB(many_orders_job) {
    struct fixture *f = ctx;
    const int i = f->i;
    bool live = i % 4 != 3;
    struct order o = fixture_order(tx, live ? &f->product : &f->other_product, live ? ICCID_A : ICCID_B);
    if (!live)
        o.created = partner_now(&f->sandbox, o.created);
    char text[16];
    snprintf(text, sizeof text, "c%d", i);
    o.correlation_id = str_of(text);
    o.reference = str_of(text);
    OK(store_order_insert(tx, &o, err));
    if (i % 4 == 0) {
        struct subscription s = fixture_subscription(&o, o.created);
        o.state = ORDER_COMPLETED;
        OK(store_order_update(tx, &o, err));
        OK(store_subscription_insert(tx, &s, err));
    } else if (i % 4 == 2) {
        o.state = ORDER_FAILED;
        o.failure = STR("no");
        OK(store_order_update(tx, &o, err));
    } else {
        for (int step = 0; step < 2; step++) {
            struct task t = fixture_task(tx, &o, step);
            OK(store_task_insert(tx, &t, err));
        }
    }
    return ERR_NONE;
}

static const struct order_filter no_order_filter = {.state = -1, .iccid = ICCID_NONE, .before = {INT64_MIN}, .after = {INT64_MIN}};

// The list in pages of 7 must be the same as at once, newest first, and the total right.
static void orders_are(struct tx *tx, struct fixture *f, const struct order_filter *filter, size_t expected, struct err *err) {
    struct order *all = NULL, *page = NULL;
    size_t n = 0, n_page = 0;
    int64_t total = -1;
    arena_reset(&f->arena);
    OK(store_order_list(tx, filter, 0, 100, &f->arena, &all, &n, &total, err));
    assert_int_equal(n, expected);
    assert_int_equal(total, expected);
    for (size_t i = 1; i < n; i++)
        assert_true(uuid_cmp(all[i - 1].id, all[i].id) > 0);
    for (size_t at = 0; at < n + 7; at += 7) {
        OK(store_order_list(tx, filter, (int64_t)at, 7, &f->arena, &page, &n_page, &total, err));
        assert_int_equal(n_page, at >= n ? 0 : n - at < 7 ? n - at : 7);
        assert_int_equal(total, expected);
        for (size_t i = 0; i < n_page; i++)
            assert_true(uuid_eq(page[i].id, all[at + i].id));
    }
}

JOB(order_lists_job) {
    struct fixture *f = ctx;
    struct order_filter w = no_order_filter;
    const int64_t live = f->live.id;
    orders_are(tx, f, &w, 40, err);
    w.partner_id = live;
    orders_are(tx, f, &w, 30, err);
    w.partner_id = f->sandbox.id;
    orders_are(tx, f, &w, 10, err);
    w.partner_id = 999;
    orders_are(tx, f, &w, 0, err);

    const size_t by_state[2][4] = {{20, 0, 10, 10}, {10, 0, 10, 10}}; // of all, of the live partner
    for (int one = 0; one < 2; one++) {
        for (int state = ORDER_ACCEPTED; state <= ORDER_FAILED; state++) {
            w = no_order_filter;
            w.partner_id = one ? live : 0;
            w.state = state;
            orders_are(tx, f, &w, by_state[one][state], err);
        }
    }
    w = no_order_filter;
    w.iccid = ICCID_A; // completed, open and failed
    orders_are(tx, f, &w, 30, err);
    w.state = ORDER_FAILED;
    orders_are(tx, f, &w, 10, err);
    w.partner_id = f->sandbox.id;
    orders_are(tx, f, &w, 0, err);
    w = no_order_filter;
    w.iccid = 12345;
    orders_are(tx, f, &w, 0, err);

    for (int one = 0; one < 2; one++) {
        w = no_order_filter;
        w.partner_id = one ? live : 0;
        w.correlation_id = STR("c5");
        orders_are(tx, f, &w, 1, err);
        w.correlation_id = STR("c3"); // the sandbox partner's
        orders_are(tx, f, &w, one ? 0 : 1, err);
        w.correlation_id = STR_NONE;
        w.reference = STR("c3");
        orders_are(tx, f, &w, one ? 0 : 1, err);
        w.reference = STR("c4");
        orders_are(tx, f, &w, 1, err);
    }

    // Strictly before and after, by the partner's own time.
    w = no_order_filter;
    w.partner_id = live;
    w.after.ms = NOW_MS + 5000;
    orders_are(tx, f, &w, 26, err); // number 4, created at +5000, is not among them
    w.before.ms = NOW_MS + 11000;
    orders_are(tx, f, &w, 4, err); // numbers 5, 6, 8, 9
    w.state = ORDER_FAILED;
    orders_are(tx, f, &w, 1, err);
    w = no_order_filter;
    w.partner_id = f->sandbox.id;
    w.after = partner_now(&f->sandbox, (struct wall){NOW_MS + 8000});
    orders_are(tx, f, &w, 8, err);
    w.before = partner_now(&f->sandbox, (struct wall){NOW_MS + 16000});
    orders_are(tx, f, &w, 1, err);

    int64_t count = 0, subscriptions = 0, by[4], tasks[7];
    OK(store_sim_open(tx, ICCID_A, &count, &subscriptions, err));
    assert_int_equal(count, 10);
    OK(store_order_counts(tx, by, tasks, err));
    assert_int_equal(by[ORDER_ACCEPTED], 20);
    assert_int_equal(by[ORDER_COMPLETED], 0);
    assert_int_equal(tasks[TASK_READY], 20);
    assert_int_equal(tasks[TASK_BLOCKED], 20);
    assert_int_equal(tasks[TASK_DONE], 0);
    return ERR_NONE;
}

static void orders_are_listed_newest_first_by_every_filter(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    for (f->i = 0; f->i < ORDERS; f->i++) {
        clock_manual_advance(&f->manual, 1000);
        RUN(f, many_orders_job);
    }
    RUN(f, order_lists_job);
}

// ---- tasks ----

JOB(task_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct order o = fixture_order(tx, &f->product, ICCID_A);
    OK(store_order_insert(tx, &o, err));
    struct task first = fixture_task(tx, &o, 0), second = fixture_task(tx, &o, 1), got, *list = NULL;
    size_t n = 0;
    FAILS(ERR_NOT_FOUND, store_task_first_open(tx, ICCID_A, a, &got, err));
    OK(store_task_insert(tx, &second, err));
    OK(store_task_insert(tx, &first, err));
    assert_true(first.id < second.id);
    FAILS(ERR_CONFLICT, store_task_insert(tx, &first, err));
    struct task same_step = fixture_task(tx, &o, 1);
    FAILS(ERR_CONFLICT, store_task_insert(tx, &same_step, err));
    struct task orphan = fixture_task(tx, &o, 2);
    orphan.order_id = tx_new_id(tx, f->live.id);
    FAILS(ERR_CONFLICT, store_task_insert(tx, &orphan, err));

    OK(store_task_of_order(tx, o.id, a, &list, &n, err));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].id, first.id);
    assert_int_equal(list[1].step, 1);
    OK(store_task_first_open(tx, ICCID_A, a, &got, err));
    assert_int_equal(got.id, first.id);

    // Due: READY and its time come; CLAIMED and its lease run out; of that kind only.
    struct wall now = tx_now(tx), wake = {0};
    OK(store_task_due(tx, LANE_LIVE, TASK_ALLOWANCE_ADD, now, 10, a, &list, &n, err));
    assert_int_equal(n, 1);
    OK(store_task_due(tx, LANE_LIVE, TASK_NETWORK_ENABLE, now, 10, a, &list, &n, err));
    assert_int_equal(n, 0);
    OK(store_task_due(tx, LANE_SANDBOX, TASK_ALLOWANCE_ADD, now, 10, a, &list, &n, err));
    assert_int_equal(n, 0);
    OK(store_task_next_due(tx, LANE_SANDBOX, TASK_ALLOWANCE_ADD, &wake, err));
    assert_false(wall_set(wake));
    OK(store_task_next_due(tx, LANE_LIVE, TASK_ALLOWANCE_ADD, &wake, err));
    assert_int_equal(wake.ms, now.ms);
    OK(store_task_next_due(tx, LANE_LIVE, TASK_NETWORK_ENABLE, &wake, err));
    assert_false(wall_set(wake));

    first.state = TASK_CLAIMED;
    first.verb = TASK_PROBE;
    first.peer = STR("hlr1");
    first.lease_owner = 3;
    first.lease_until = wall_plus_ms(now, 60000);
    first.attempts = 1;
    first.started = now;
    first.note = STR("calling");
    OK(store_task_update(tx, &first, err));
    OK(store_task_get(tx, first.id, a, &got, err));
    assert_int_equal(got.state, TASK_CLAIMED);
    assert_int_equal(got.verb, TASK_PROBE);
    IS_STR(got.peer, "hlr1");
    IS_STR(got.note, "calling");
    assert_int_equal(got.lease_owner, 3);
    assert_int_equal(got.lease_until.ms, now.ms + 60000);
    assert_int_equal(got.due_at.ms, now.ms);
    assert_int_equal(got.attempts, 1);
    assert_int_equal(got.started.ms, now.ms);
    assert_false(wall_set(got.settled));
    OK(store_task_due(tx, LANE_LIVE, TASK_ALLOWANCE_ADD, wall_plus_ms(now, 59999), 10, a, &list, &n, err));
    assert_int_equal(n, 0);
    OK(store_task_next_due(tx, LANE_LIVE, TASK_ALLOWANCE_ADD, &wake, err));
    assert_int_equal(wake.ms, now.ms + 60000);
    OK(store_task_due(tx, LANE_LIVE, TASK_ALLOWANCE_ADD, wall_plus_ms(now, 60000), 10, a, &list, &n, err));
    assert_int_equal(n, 1);

    int64_t dropped = -1;
    OK(store_task_drop_leases(tx, 4, now, &dropped, err));
    assert_int_equal(dropped, 0);
    OK(store_task_drop_leases(tx, 3, now, &dropped, err));
    assert_int_equal(dropped, 1);
    OK(store_task_due(tx, LANE_LIVE, TASK_ALLOWANCE_ADD, now, 10, a, &list, &n, err));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].state, TASK_CLAIMED);

    // In order of the instant at which they became due, then by number.
    second.state = TASK_READY;
    second.due_at = wall_plus_ms(now, -1);
    OK(store_task_update(tx, &second, err));
    OK(store_task_due(tx, LANE_LIVE, TASK_ALLOWANCE_ADD, now, 10, a, &list, &n, err));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].id, second.id);
    OK(store_task_due(tx, LANE_LIVE, TASK_ALLOWANCE_ADD, now, 1, a, &list, &n, err));
    assert_int_equal(n, 1);

    // A finished one holds nothing any more; a parked one does.
    first.state = TASK_DONE;
    first.outcome = OUTCOME_DONE;
    first.settled = now;
    OK(store_task_update(tx, &first, err));
    OK(store_task_first_open(tx, ICCID_A, a, &got, err));
    assert_int_equal(got.id, second.id);
    second.state = TASK_PARKED;
    OK(store_task_update(tx, &second, err));
    OK(store_task_first_open(tx, ICCID_A, a, &got, err));
    second.state = TASK_UNDONE;
    OK(store_task_update(tx, &second, err));
    FAILS(ERR_NOT_FOUND, store_task_first_open(tx, ICCID_A, a, &got, err));

    OK(store_task_delete(tx, &first, err));
    FAILS(ERR_NOT_FOUND, store_task_delete(tx, &first, err));
    FAILS(ERR_NOT_FOUND, store_task_get(tx, first.id, a, &got, err));
    FAILS(ERR_NOT_FOUND, store_task_update(tx, &first, err));
    return ERR_NONE;
}

static void tasks_are_due_in_order_and_hold_their_sim(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, task_job);
}

// What the writer remembers of open tasks (store_task.c) holds over transactions, those that are undone among them.
struct open_case {
    struct fixture *f;
    struct task task;
    bool fails;
};

static void open_tasks_are(struct tx *tx, struct fixture *f, int64_t orders, struct err *err) {
    int64_t count = -1, subscriptions = -1;
    struct task got;
    OK(store_sim_open(tx, ICCID_A, &count, &subscriptions, err));
    assert_int_equal(count, orders);
    assert_int_equal(subscriptions, 0);
    enum err_kind kind = store_task_first_open(tx, ICCID_A, &f->arena, &got, err);
    assert_int_equal(kind, orders ? ERR_NONE : ERR_NOT_FOUND);
    err_clear(err);
}

JOB(open_insert_job) {
    struct open_case *c = ctx;
    struct order o = fixture_order(tx, &c->f->product, ICCID_A);
    open_tasks_are(tx, c->f, 0, err);
    OK(store_order_insert(tx, &o, err));
    c->task = fixture_task(tx, &o, 0);
    OK(store_task_insert(tx, &c->task, err));
    open_tasks_are(tx, c->f, 1, err);
    return c->fails ? err_set(err, ERR_REFUSED, "after writing") : ERR_NONE;
}

JOB(open_settle_job) {
    struct open_case *c = ctx;
    struct task settled = c->task;
    open_tasks_are(tx, c->f, 1, err);
    settled.state = TASK_DONE;
    settled.outcome = OUTCOME_DONE;
    settled.settled = tx_now(tx);
    OK(store_task_update(tx, &settled, err));
    open_tasks_are(tx, c->f, 0, err);
    return c->fails ? err_set(err, ERR_REFUSED, "after writing") : ERR_NONE;
}

JOB(open_look_job) {
    struct fixture *f = ctx;
    open_tasks_are(tx, f, 0, err);
    return ERR_NONE;
}

static void open_tasks_are_known_after_what_was_undone(void **state) {
    struct open_case c = {.f = *state, .fails = true};
    struct err *err = &c.f->err;
    RUN(c.f, open_look_job);
    FAILS(ERR_REFUSED, store_run(c.f->store, open_insert_job, &c, err));
    RUN(c.f, open_look_job);
    c.fails = false;
    OK(store_run(c.f->store, open_insert_job, &c, err));
    c.fails = true;
    FAILS(ERR_REFUSED, store_run(c.f->store, open_settle_job, &c, err));
    c.fails = false;
    OK(store_run(c.f->store, open_settle_job, &c, err));
    RUN(c.f, open_look_job);
}

// ---- subscriptions ----

static struct order completed_order(struct tx *tx, struct fixture *f, const struct product *p, iccid_t iccid, struct err *err) {
    (void)f;
    struct order o = fixture_order(tx, p, iccid);
    OK(store_order_insert(tx, &o, err));
    o.state = ORDER_COMPLETED;
    o.finished = tx_now(tx);
    OK(store_order_update(tx, &o, err));
    return o;
}

JOB(subscription_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct order o = completed_order(tx, f, &f->product, ICCID_A, err);
    struct subscription s = fixture_subscription(&o, tx_now(tx)), got;
    s.email = STR("Ann@Example.com");
    s.wanted_expiry = s.expiry;
    OK(store_subscription_insert(tx, &s, err));
    FAILS(ERR_CONFLICT, store_subscription_insert(tx, &s, err));
    SAYS("already");
    OK(store_subscription_get(tx, o.id, a, &got, err));
    assert_int_equal(got.partner_id, f->live.id);
    assert_int_equal(got.iccid, ICCID_A);
    assert_int_equal(got.product_id, f->product.id);
    assert_string_equal(got.product_public_id, PRODUCT_A);
    IS_STR(got.name, "Ten days");
    IS_STR(got.email, "Ann@Example.com");
    assert_int_equal(got.state, SUB_ACTIVE);
    assert_int_equal(got.end, SUB_END_NONE);
    assert_int_equal(got.created.ms, s.created.ms);
    assert_int_equal(got.activation.ms, s.activation.ms);
    assert_int_equal(got.expiry.ms, s.expiry.ms);
    assert_int_equal(got.next_at.ms, s.next_at.ms);
    assert_int_equal(got.duration, 10);
    assert_int_equal(got.duration_unit, DURATION_DAYS);
    assert_false(got.first_usage);
    assert_int_equal(got.wanted_expiry.ms, s.expiry.ms);
    assert_int_equal(got.initial_bytes, 50 << 20);
    assert_int_equal(got.spent_bytes, 0);
    assert_false(wall_set(got.balance_as_of));
    assert_int_equal(got.sold.minor, 1050);

    // The balance alone, then all that may change.
    s.spent_bytes = 10 << 20;
    s.balance_as_of = tx_now(tx);
    OK(store_subscription_update(tx, &s, err));
    OK(store_subscription_get(tx, o.id, a, &got, err));
    assert_int_equal(got.spent_bytes, 10 << 20);
    assert_int_equal(got.balance_as_of.ms, tx_now(tx).ms);
    s.spent_bytes = s.initial_bytes;
    s.state = SUB_DEPLETED;
    s.end = SUB_END_DEPLETED;
    s.next_at = WALL_NONE;
    OK(store_subscription_update(tx, &s, err));
    OK(store_subscription_get(tx, o.id, a, &got, err));
    assert_int_equal(got.state, SUB_DEPLETED);
    assert_int_equal(got.end, SUB_END_DEPLETED);
    assert_false(wall_set(got.next_at));

    // Each hangs on its SIM and its partner's product. That its order is there is up to whoever inserts it.
    struct order missing = fixture_order(tx, &f->product, ICCID_A);
    s = fixture_subscription(&missing, tx_now(tx));
    FAILS(ERR_NOT_FOUND, store_subscription_update(tx, &s, err));
    FAILS(ERR_NOT_FOUND, store_subscription_get(tx, missing.id, a, &got, err));
    o = completed_order(tx, f, &f->product, ICCID_A, err);
    s = fixture_subscription(&o, tx_now(tx));
    s.iccid = 12345;
    FAILS(ERR_CONFLICT, store_subscription_insert(tx, &s, err));
    s = fixture_subscription(&o, tx_now(tx));
    s.product_id = f->other_product.id;
    FAILS(ERR_CONFLICT, store_subscription_insert(tx, &s, err));
    return ERR_NONE;
}

JOB(overspent_job) {
    struct fixture *f = ctx;
    struct order o = completed_order(tx, f, &f->product, ICCID_A, err);
    struct subscription s = fixture_subscription(&o, tx_now(tx));
    s.spent_bytes = s.initial_bytes + 1;
    return store_subscription_insert(tx, &s, err);
}

static void a_subscription_hangs_on_its_sim_and_product(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, subscription_job);
    FAILS(ERR_INTERNAL, store_run(f->store, overspent_job, f, err));
}

// Subscriptions on ICCID_A, every third of them finished, and an open order; with all that was there before, what is not finished.
JOB(crowd_job) {
    struct fixture *f = ctx;
    int64_t orders = -1, subscriptions = -1, unfinished = 0;
    for (int i = 1; i <= 2 * SIM_OPEN_SUBSCRIPTIONS_MAX; i++) {
        struct order o = completed_order(tx, f, &f->product, ICCID_A, err);
        struct subscription s = fixture_subscription(&o, tx_now(tx));
        s.state = i % 3 ? SUB_ACTIVE : SUB_EXPIRED;
        s.next_at = WALL_NONE;
        unfinished += i % 3 != 0;
        OK(store_subscription_insert(tx, &s, err));
        OK(store_sim_open(tx, ICCID_A, &orders, &subscriptions, err));
        assert_int_equal(orders, 0);
        assert_in_range(subscriptions, unfinished, i);
        assert_int_equal(subscriptions >= SIM_OPEN_SUBSCRIPTIONS_MAX, unfinished >= SIM_OPEN_SUBSCRIPTIONS_MAX);
    }
    return ERR_NONE;
}

static void finished_subscriptions_do_not_fill_a_sim(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, crowd_job);
}

// Seven on ICCID_A, one of the sandbox partner's on ICCID_B, created a second apart unless said.
JOB(many_subscriptions_job) {
    struct fixture *f = ctx;
    const struct {
        enum subscription_state state;
        int64_t created_s, expires_s; // after now
        const char *email;
    } rows[] = {
        {SUB_EXPIRED, 1, 5, "a@x.example"},   {SUB_ACTIVE, 2, 300, "A@X.example"}, {SUB_ACTIVE, 3, 100, NULL},
        {SUB_PENDING, 4, 200, "b@x.example"}, {SUB_EXPIRED, 4, 9, NULL},           {SUB_ACTIVE, 4, 900, NULL},
        {SUB_PENDING_USAGE, 5, 0, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct order o = completed_order(tx, f, &f->product, ICCID_A, err);
        struct subscription s = fixture_subscription(&o, (struct wall){NOW_MS + rows[i].created_s * 1000});
        s.state = rows[i].state;
        s.email = str_of(rows[i].email);
        s.activation = (struct wall){NOW_MS};
        s.expiry = rows[i].expires_s ? (struct wall){NOW_MS + rows[i].expires_s * 1000} : WALL_NONE;
        s.next_at = s.state == SUB_ACTIVE ? s.expiry : WALL_NONE;
        if (s.state == SUB_PENDING_USAGE)
            s.activation = WALL_NONE;
        OK(store_subscription_insert(tx, &s, err));
    }
    struct order o = completed_order(tx, f, &f->other_product, ICCID_B, err);
    struct subscription s = fixture_subscription(&o, (struct wall){NOW_MS + 3500});
    s.email = STR("a@x.example");
    s.next_at = (struct wall){NOW_MS + 1};
    OK(store_subscription_insert(tx, &s, err));
    return ERR_NONE;
}

static const struct subscription_filter no_subscription_filter = {
    .iccid = ICCID_NONE, .state = -1, .before = {INT64_MIN}, .after = {INT64_MIN}};

static struct subscription *subscriptions_are(struct tx *tx, struct fixture *f, const struct subscription_filter *w, size_t expected,
                                              struct err *err) {
    struct subscription *all = NULL, *page = NULL;
    size_t n = 0, n_page = 0;
    int64_t total = -1;
    arena_reset(&f->arena);
    OK(store_subscription_list(tx, w, 0, 100, &f->arena, &all, &n, &total, err));
    assert_int_equal(n, expected);
    assert_int_equal(total, expected);
    for (size_t i = 1; i < n; i++)
        assert_true(all[i - 1].created.ms >= all[i].created.ms);
    for (size_t at = 0; at < n + 3; at += 3) {
        OK(store_subscription_list(tx, w, (int64_t)at, 3, &f->arena, &page, &n_page, &total, err));
        assert_int_equal(n_page, at >= n ? 0 : n - at < 3 ? n - at : 3);
        assert_int_equal(total, expected);
        for (size_t i = 0; i < n_page; i++)
            assert_true(uuid_eq(page[i].id, all[at + i].id));
    }
    return all;
}

JOB(subscription_lists_job) {
    struct fixture *f = ctx;
    struct subscription_filter w = no_subscription_filter;
    subscriptions_are(tx, f, &w, 8, err);
    w.partner_id = f->live.id;
    subscriptions_are(tx, f, &w, 7, err);
    w.state = SUB_ACTIVE;
    subscriptions_are(tx, f, &w, 3, err);
    w = no_subscription_filter;
    w.iccid = ICCID_A;
    w.partner_id = f->live.id;
    struct subscription *all = subscriptions_are(tx, f, &w, 7, err);
    // Of one second: active before waiting before finished.
    assert_int_equal(all[0].state, SUB_PENDING_USAGE);
    assert_int_equal(all[1].state, SUB_ACTIVE);
    assert_int_equal(all[2].state, SUB_PENDING);
    assert_int_equal(all[3].state, SUB_EXPIRED);
    w.partner_id = f->sandbox.id;
    subscriptions_are(tx, f, &w, 0, err);
    w.partner_id = 0;
    w.email = STR("a@X.EXAMPLE");
    subscriptions_are(tx, f, &w, 2, err);
    w.iccid = ICCID_NONE;
    subscriptions_are(tx, f, &w, 3, err); // of all partners
    w.partner_id = f->live.id;
    subscriptions_are(tx, f, &w, 2, err);
    w.state = SUB_EXPIRED;
    subscriptions_are(tx, f, &w, 1, err);
    w = no_subscription_filter;
    w.partner_id = f->live.id;
    w.product_public_id = STR(PRODUCT_A);
    subscriptions_are(tx, f, &w, 7, err);
    w.product_public_id = STR(PRODUCT_B);
    subscriptions_are(tx, f, &w, 0, err);
    w = no_subscription_filter;
    w.partner_id = f->live.id;
    w.after.ms = NOW_MS + 2000;
    w.before.ms = NOW_MS + 5000;
    subscriptions_are(tx, f, &w, 4, err);
    w.iccid = ICCID_A;
    subscriptions_are(tx, f, &w, 4, err);

    struct subscription *open = NULL;
    size_t n = 0;
    int64_t count = 0;
    struct wall wake = {0};
    int64_t orders = 0;
    OK(store_sim_open(tx, ICCID_A, &orders, &count, err));
    assert_int_equal(orders, 0);
    assert_int_equal(count, 7); // so few that the finished ones do not matter
    OK(store_subscription_open(tx, ICCID_A, &f->arena, &open, &n, err));
    assert_int_equal(n, 5);
    const int64_t ends[] = {100, 200, 300, 900};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        assert_int_equal(open[i].expiry.ms, NOW_MS + ends[i] * 1000);
    assert_false(wall_set(open[4].expiry)); // without an end: last

    // Timers, each clock by itself.
    OK(store_subscription_next_due(tx, 0, &wake, err));
    assert_int_equal(wake.ms, NOW_MS + 100000);
    OK(store_subscription_next_due(tx, f->sandbox.id, &wake, err));
    assert_int_equal(wake.ms, NOW_MS + 1);
    OK(store_subscription_next_due(tx, 999, &wake, err));
    assert_false(wall_set(wake));
    OK(store_subscription_due(tx, 0, (struct wall){NOW_MS + 300000}, 10, &f->arena, &open, &n, err));
    assert_int_equal(n, 2);
    assert_int_equal(open[0].expiry.ms, NOW_MS + 100000);
    OK(store_subscription_due(tx, f->sandbox.id, (struct wall){NOW_MS + 1}, 10, &f->arena, &open, &n, err));
    assert_int_equal(n, 1);
    assert_int_equal(open[0].partner_id, f->sandbox.id);
    return ERR_NONE;
}

static void subscriptions_are_listed_newest_first_by_every_filter(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, many_subscriptions_job);
    RUN(f, subscription_lists_job);
}

// ---- events ----

JOB(event_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct order o = fixture_order(tx, &f->product, ICCID_A);
    struct event e = fixture_event(&o, EVENT_ORDER_ACCEPTED, tx_now(tx)), *list = NULL;
    size_t n = 9;
    int64_t first = -1, last = -1;
    OK(store_event_range(tx, f->live.id, &first, &last, err));
    assert_int_equal(first, 1);
    assert_int_equal(last, 0);
    e.payload = (struct str){"a\0b", 3};
    OK(store_event_append(tx, &e, err));
    assert_int_equal(e.sequence, 1);
    e.order_id = (struct uuid){{0}};
    e.iccid = ICCID_NONE;
    e.type = EVENT_SIM_ACTIVATED;
    e.payload = STR_NONE;
    OK(store_event_append(tx, &e, err));
    assert_int_equal(e.sequence, 2);
    e.partner_id = f->sandbox.id;
    OK(store_event_append(tx, &e, err));
    assert_int_equal(e.sequence, 1);

    OK(store_event_list(tx, f->live.id, 0, 10, a, &list, &n, err));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].sequence, 1);
    assert_int_equal(list[0].type, EVENT_ORDER_ACCEPTED);
    assert_true(uuid_eq(list[0].order_id, o.id));
    assert_int_equal(list[0].iccid, ICCID_A);
    assert_int_equal(list[0].created.ms, tx_now(tx).ms);
    assert_true(str_eq(list[0].payload, (struct str){"a\0b", 3}));
    assert_true(uuid_is_zero(list[1].order_id));
    assert_int_equal(list[1].iccid, ICCID_NONE);
    assert_int_equal(list[1].payload.n, 0);
    OK(store_event_list(tx, f->live.id, 1, 10, a, &list, &n, err));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].sequence, 2);
    OK(store_event_list(tx, f->live.id, 0, 1, a, &list, &n, err));
    assert_int_equal(n, 1);
    OK(store_event_list(tx, f->live.id, 2, 10, a, &list, &n, err));
    assert_int_equal(n, 0);
    OK(store_event_range(tx, f->live.id, &first, &last, err));
    assert_int_equal(first, 1);
    assert_int_equal(last, 2);

    uint64_t accepted = UINT64_C(1) << EVENT_ORDER_ACCEPTED, activated = UINT64_C(1) << EVENT_SIM_ACTIVATED;
    OK(store_event_find(tx, f->live.id, 0, 2, accepted | activated, 10, a, &list, &n, err));
    assert_int_equal(n, 2);
    OK(store_event_find(tx, f->live.id, 0, 2, activated, 10, a, &list, &n, err));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].sequence, 2);
    OK(store_event_find(tx, f->live.id, 0, 1, activated, 10, a, &list, &n, err));
    assert_int_equal(n, 0);
    OK(store_event_find(tx, f->live.id, 1, 2, accepted, 10, a, &list, &n, err));
    assert_int_equal(n, 0);
    OK(store_event_find(tx, f->live.id, 0, 2, UINT64_C(1) << 63, 10, a, &list, &n, err));
    assert_int_equal(n, 0);
    OK(store_event_find(tx, f->live.id, 0, 2, accepted | activated, 1, a, &list, &n, err));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].sequence, 1);
    return ERR_NONE;
}

static void span_is(struct tx *tx, struct fixture *f, int64_t first, int64_t last) {
    struct err *err = &f->err;
    int64_t f1 = -1, l1 = -1;
    OK(store_event_range(tx, f->live.id, &f1, &l1, err));
    assert_int_equal(f1, first);
    assert_int_equal(l1, last);
}

// Created at 10, 20, ... but for the fourth, made while the clock was set ahead.
JOB(event_prune_job) {
    struct fixture *f = ctx;
    int64_t dropped = -1;
    struct event e = {.partner_id = f->live.id, .type = EVENT_SIM_ACTIVATED, .iccid = ICCID_A, .payload = STR("x")};
    OK(store_event_prune(tx, f->live.id, (struct wall){1000}, 10, &dropped, err));
    assert_int_equal(dropped, 0);
    for (int i = 1; i <= 8; i++) {
        e.created = (struct wall){i == 4 ? 65 : 10 * i};
        OK(store_event_append(tx, &e, err));
    }
    e.partner_id = f->sandbox.id;
    OK(store_event_append(tx, &e, err));
    OK(store_event_prune(tx, f->live.id, (struct wall){10}, 10, &dropped, err));
    assert_int_equal(dropped, 0); // at `before` is kept
    span_is(tx, f, 1, 8);
    OK(store_event_prune(tx, f->live.id, (struct wall){31}, 2, &dropped, err));
    assert_int_equal(dropped, 2);
    span_is(tx, f, 3, 8);
    OK(store_event_prune(tx, f->live.id, (struct wall){61}, 10, &dropped, err));
    assert_int_equal(dropped, 1); // the fourth stands in the way: no gaps
    span_is(tx, f, 4, 8);
    OK(store_event_prune(tx, f->live.id, (struct wall){66}, 3, &dropped, err));
    assert_int_equal(dropped, 3);
    span_is(tx, f, 7, 8);
    OK(store_event_prune(tx, f->live.id, (struct wall){1000}, 10, &dropped, err));
    assert_int_equal(dropped, 2);
    span_is(tx, f, 9, 8);
    e.partner_id = f->live.id;
    OK(store_event_append(tx, &e, err)); // numbers do not come again
    assert_int_equal(e.sequence, 9);
    span_is(tx, f, 9, 9);
    struct event *list;
    size_t n;
    OK(store_event_list(tx, f->sandbox.id, 0, 10, &f->arena, &list, &n, err));
    assert_int_equal(n, 1);
    return ERR_NONE;
}

static void old_events_are_dropped_from_the_front(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, event_prune_job);
}

JOB(event_of_nobody_job) {
    struct event e = {.partner_id = 999, .type = EVENT_SIM_ACTIVATED, .created = tx_now(tx), .iccid = ICCID_NONE};
    return store_event_append(tx, &e, err);
}

static void events_are_numbered_by_partner(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, event_job);
    FAILS(ERR_CONFLICT, store_run(f->store, event_of_nobody_job, f, err)); // its counter has no partner
}

// ---- import ----

static struct import_row import_row(int64_t line, struct sim sim) {
    return (struct import_row){.line = line, .sim = sim};
}

// All slices in one job, of so many rows.
static enum err_kind judge(struct tx *tx, int64_t id, int64_t slice, struct import_progress *out, struct err *err) {
    enum err_kind kind;
    do
        kind = store_import_judge(tx, id, slice, out, err);
    while (!kind && out->more);
    return kind;
}

static enum err_kind apply(struct tx *tx, int64_t id, bool keep_good, int64_t slice, struct import_progress *out, struct err *err) {
    enum err_kind kind;
    do
        kind = store_import_apply(tx, id, keep_good, slice, out, err);
    while (!kind && out->more);
    return kind;
}

static enum err_kind keep_up(struct tx *tx, int64_t begun_before, struct err *err) {
    enum err_kind kind;
    bool more;
    do
        kind = store_import_upkeep(tx, (struct wall){begun_before}, 1, &more, err);
    while (!kind && more);
    return kind;
}

JOB(import_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct sim taken = fixture_profile(900, f->live.id);
    taken.imsi = STR("111111");
    taken.msisdn = STR("222222");
    taken.matching_id = STR("M");
    OK(store_sim_insert(tx, &taken, err));

    int64_t id = 0;
    OK(store_import_begin(tx, STR("sims.csv"), &id, err));
    struct import_row rows[16];
    size_t n = 0;
    rows[n++] = import_row(2, fixture_profile(1, 0)); // fresh
    rows[n++] = import_row(3, fixture_profile(1, 0)); // the same ICCID again
    struct sim s = fixture_profile(2, f->live.id);
    s.imsi = STR("333333");
    s.msisdn = STR("444444");
    s.matching_id = STR("N");
    rows[n++] = import_row(4, s); // fresh
    s = fixture_profile(3, 0);
    s.imsi = STR("333333");
    rows[n++] = import_row(5, s);
    s = fixture_profile(4, 0);
    s.msisdn = STR("444444");
    rows[n++] = import_row(6, s);
    s = fixture_profile(5, 0);
    s.matching_id = STR("N");
    rows[n++] = import_row(7, s);
    rows[n++] = import_row(8, fixture_profile(900, 0));               // the same as what is there: what is not named is no difference
    rows[n++] = import_row(10, fixture_profile(ICCID_A, f->live.id)); // another type
    s = fixture_profile(6, 0);
    s.imsi = STR("111111");
    rows[n++] = import_row(11, s);
    s = fixture_profile(7, 0);
    s.msisdn = STR("222222");
    rows[n++] = import_row(12, s);
    s = fixture_profile(8, 0);
    s.matching_id = STR("M");
    rows[n++] = import_row(13, s);
    rows[n++] = import_row(14, fixture_profile(9, 999)); // no such partner
    rows[n++] = (struct import_row){.line = 15, .fault = STR("iccid: must be 19 or 20 digits")};
    OK(store_import_stage(tx, id, rows, n, err));
    FAILS(ERR_CONFLICT, store_import_stage(tx, id, rows, 1, err));
    SAYS("line 2");
    FAILS(ERR_NOT_FOUND, store_import_stage(tx, 999, rows, 1, err));

    struct import_progress v;
    FAILS(ERR_CONFLICT, store_import_apply(tx, id, true, 100, &v, err));
    SAYS("judged");
    OK(store_import_judge(tx, id, 5, &v, err));
    assert_true(v.more && v.state == IMPORT_JUDGING && v.fresh + v.same + v.bad == 5);
    FAILS(ERR_CONFLICT, store_import_apply(tx, id, true, 100, &v, err));
    OK(judge(tx, id, 4, &v, err)); // goes on
    OK(judge(tx, id, 4, &v, err)); // and begins again
    assert_int_equal(v.state, IMPORT_JUDGED);
    assert_int_equal(v.staged, 13);
    assert_int_equal(v.fresh, 2);
    assert_int_equal(v.same, 1);
    assert_int_equal(v.bad, 10);

    const struct {
        int64_t line;
        const char *says;
    } faults[] = {
        {3, "iccid: stands in line 2"},
        {5, "imsi: stands in line 4"},
        {6, "msisdn: stands in line 4"},
        {7, "matching_id: stands in line 4"},
        {10, "known already"},
        {11, "imsi: SIM 000000000000000900"},
        {12, "msisdn: SIM "},
        {13, "matching_id: SIM "},
        {14, "partner"},
        {15, "iccid: must be 19"},
    };
    struct import_fault *list = NULL;
    size_t got = 0, at = 0;
    for (int64_t after = 0;; after = list[got - 1].line) {
        OK(store_import_faults(tx, id, after, 3, a, &list, &got, err));
        if (!got)
            break;
        for (size_t i = 0; i < got; i++, at++) {
            assert_int_equal(list[i].line, faults[at].line);
            if (!strstr(list[i].reason.p, faults[at].says))
                fail_msg("line %d: %s", (int)list[i].line, list[i].reason.p);
        }
    }
    assert_int_equal(at, ARRAY_LEN(faults));

    FAILS(ERR_CONFLICT, store_import_apply(tx, id, false, 100, &v, err));
    SAYS("10 of 13");
    struct sim there;
    FAILS(ERR_NOT_FOUND, store_sim_get(tx, 1, a, &there, err));
    OK(apply(tx, id, true, 4, &v, err));
    assert_int_equal(v.inserted, 2);
    OK(store_sim_get(tx, 2, a, &there, err));
    IS_STR(there.imsi, "333333");
    assert_int_equal(there.partner_id, f->live.id);
    assert_int_equal(there.esim, ESIM_RELEASED);
    IS_STR(there.smdp, "smdp.example.com");
    OK(store_import_apply(tx, id, true, 100, &v, err)); // a repeat is told the same
    assert_true(v.inserted == 2 && !v.more && v.state == IMPORT_APPLIED);
    FAILS(ERR_CONFLICT, store_import_judge(tx, id, 100, &v, err));
    FAILS(ERR_CONFLICT, store_import_stage(tx, id, rows, 1, err));
    OK(store_import_drop(tx, id, err));
    FAILS(ERR_NOT_FOUND, store_import_drop(tx, id, err));
    FAILS(ERR_NOT_FOUND, store_import_judge(tx, id, 100, &v, err));
    FAILS(ERR_NOT_FOUND, store_import_get(tx, id, &v, err));
    OK(keep_up(tx, 0, err));
    return ERR_NONE;
}

// The same file twice: nothing. A SIM that life has moved on is the same still. What changed between judging and applying is noticed.
JOB(import_again_job) {
    struct fixture *f = ctx;
    struct import_row rows[] = {
        import_row(1, fixture_profile(2000, 0)),
        import_row(2, fixture_sim(2001, f->live.id)),
    };
    struct import_progress v;
    struct sim s;
    int64_t id = 0;
    OK(store_import_begin(tx, STR("a"), &id, err));
    OK(store_import_stage(tx, id, rows, 2, err));
    OK(judge(tx, id, 100, &v, err));
    OK(apply(tx, id, false, 1, &v, err));
    assert_int_equal(v.inserted, 2);
    OK(store_sim_get(tx, 2000, &f->arena, &s, err));
    s.partner_id = f->live.id;
    s.service = SIM_ACTIVE;
    s.esim = ESIM_INSTALLED;
    s.eid = STR("89049032123451234512345678901235");
    OK(store_sim_update(tx, &s, err));
    OK(store_import_begin(tx, STR("b"), &id, err));
    OK(store_import_stage(tx, id, rows, 2, err));
    OK(judge(tx, id, 100, &v, err));
    assert_int_equal(v.same, 2);
    OK(apply(tx, id, false, 1, &v, err));
    assert_int_equal(v.inserted, 0);

    struct import_row late = import_row(1, fixture_profile(3000, 0));
    OK(store_import_begin(tx, STR("c"), &id, err));
    OK(store_import_stage(tx, id, &late, 1, err));
    OK(judge(tx, id, 100, &v, err));
    OK(store_sim_insert(tx, &late.sim, err));
    FAILS(ERR_CONFLICT, store_import_apply(tx, id, false, 100, &v, err));
    SAYS("judge it again");
    OK(judge(tx, id, 100, &v, err));
    assert_int_equal(v.same, 1);

    // A SIM that is to be active where the store has it in stock is not the same.
    struct sim stock = fixture_sim(3001, f->live.id);
    stock.service = SIM_STOCK;
    OK(store_sim_insert(tx, &stock, err));
    late = import_row(2, fixture_sim(3001, f->live.id));
    OK(store_import_stage(tx, id, &late, 1, err));
    FAILS(ERR_CONFLICT, store_import_apply(tx, id, false, 100, &v, err)); // staged after the verdict
    OK(judge(tx, id, 100, &v, err));
    assert_int_equal(v.bad, 1);

    OK(keep_up(tx, NOW_MS, err));
    OK(judge(tx, id, 100, &v, err));
    OK(keep_up(tx, NOW_MS + 1, err));
    FAILS(ERR_NOT_FOUND, store_import_judge(tx, id, 100, &v, err));
    return ERR_NONE;
}

// An import of 7 profiles from this number on, staged; its id.
static int64_t stage_seven(struct tx *tx, int64_t first, struct err *err) {
    struct import_row rows[7];
    char matching_id[7][16];
    int64_t id = 0;
    for (int64_t i = 0; i < 7; i++) {
        snprintf(matching_id[i], sizeof matching_id[i], "M-%d", (int)(first + i));
        rows[i] = import_row(10 * (i + 1), fixture_profile(first + i, 0));
        rows[i].sim.matching_id = str_of(matching_id[i]);
    }
    OK(store_import_begin(tx, STR("seven"), &id, err));
    OK(store_import_stage(tx, id, rows, 7, err));
    return id;
}

// Two imports, one of which stops half-way through being applied.
JOB(imports_job) {
    struct fixture *f = ctx;
    struct import_progress v;
    struct sim s;
    bool more = false;
    int64_t a = stage_seven(tx, 4000, err), b = stage_seven(tx, 4005, err); // two of each are the same
    OK(judge(tx, a, 3, &v, err));
    assert_int_equal(v.fresh, 7);
    OK(judge(tx, b, 3, &v, err));
    assert_int_equal(v.fresh, 7);
    OK(store_import_apply(tx, a, false, 3, &v, err));
    assert_true(v.more && v.state == IMPORT_APPLYING && v.inserted == 3);
    OK(store_sim_get(tx, 4002, &f->arena, &s, err));
    FAILS(ERR_NOT_FOUND, store_sim_get(tx, 4003, &f->arena, &s, err));
    // Its numbers are taken, it cannot be dropped, and what was found out about others holds no longer.
    s = fixture_profile(4006, 0);
    FAILS(ERR_CONFLICT, store_sim_insert(tx, &s, err));
    SAYS("being applied");
    s = fixture_profile(4999, 0);
    s.matching_id = STR("M-4006");
    FAILS(ERR_CONFLICT, store_sim_insert(tx, &s, err));
    FAILS(ERR_CONFLICT, store_import_drop(tx, a, err));
    OK(store_import_upkeep(tx, (struct wall){NOW_MS + 1}, 1, &more, err)); // nor is it too old
    assert_true(more);
    OK(store_import_get(tx, a, &v, err));
    assert_int_equal(v.inserted, 4);
    FAILS(ERR_CONFLICT, store_import_apply(tx, b, false, 3, &v, err));
    SAYS("judge it again");
    // Judging the other carries the first to its end.
    OK(store_import_judge(tx, b, 2, &v, err));
    assert_true(v.more && v.fresh == 7); // not begun yet
    OK(judge(tx, b, 2, &v, err));
    assert_int_equal(v.fresh, 5);
    assert_int_equal(v.same, 2);
    OK(store_import_get(tx, a, &v, err));
    assert_true(v.state == IMPORT_APPLIED && v.inserted == 7);
    OK(store_import_apply(tx, b, false, 3, &v, err));
    OK(keep_up(tx, 0, err)); // whoever applied it is gone
    OK(store_import_get(tx, b, &v, err));
    assert_true(v.state == IMPORT_APPLIED && v.inserted == 5);
    OK(store_sim_get(tx, 4011, &f->arena, &s, err));
    OK(keep_up(tx, NOW_MS + 1, err));
    FAILS(ERR_NOT_FOUND, store_import_get(tx, b, &v, err)); // it was kept for a repeat
    return ERR_NONE;
}

static void an_import_is_judged_whole_and_applied_once(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, import_job);
    RUN(f, import_again_job);
}

static void an_import_that_is_being_applied_only_goes_forward(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, imports_job);
}

// ---- bytes as they come ----

JOB(odd_bytes_job) {
    struct fixture *f = ctx;
    struct order o = fixture_order(tx, &f->product, ICCID_A), got;
    o.subscriber.first_name = STR("'; DROP TABLE orders; --");
    o.subscriber.last_name = STR("\xF0\x9F\x98\x80 \"%s\" ?1 \\");
    o.subscriber.email = STR("");
    OK(store_order_insert(tx, &o, err));
    OK(store_order_get(tx, o.id, &f->arena, &got, err));
    assert_true(str_eq(got.subscriber.first_name, o.subscriber.first_name));
    assert_true(str_eq(got.subscriber.last_name, o.subscriber.last_name));
    assert_true(str_present(got.subscriber.email)); // empty is not absent
    assert_int_equal(got.subscriber.email.n, 0);

    struct arena small;
    arena_init(&small, 32);
    FAILS(ERR_INTERNAL, store_order_get(tx, o.id, &small, &got, err)); // an answer too large is an error, not half of it
    arena_release(&small);
    return ERR_NONE;
}

static void text_is_kept_as_it_came(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, odd_bytes_job);
}

// ---- usage ----

JOB(usable_job) {
    struct fixture *f = ctx;
    struct usable_subscription *u;
    size_t n;
    struct wall now = tx_now(tx);
    static const struct {
        int64_t created_s, expiry_s; // 0: none
        bool first_usage, used_up;
    } rows[] = {{0, 3000, false, false}, {100, 1000, false, false}, {0, 500, false, true}, {200, 0, true, false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct order o = completed_order(tx, f, &f->product, ICCID_A, err);
        struct subscription s = fixture_subscription(&o, wall_plus_ms(now, rows[i].created_s * 1000));
        s.expiry = s.next_at = rows[i].expiry_s ? wall_plus_ms(now, rows[i].expiry_s * 1000) : WALL_NONE;
        if ((s.first_usage = rows[i].first_usage)) {
            s.state = SUB_PENDING_USAGE;
            s.activation = WALL_NONE;
        }
        s.spent_bytes = rows[i].used_up ? s.initial_bytes : 0;
        OK(store_subscription_insert(tx, &s, err));
    }
#define USABLE(from_s, to_s, count)                                                                                                        \
    do {                                                                                                                                   \
        OK(store_subscription_usable(tx, ICCID_A, wall_plus_ms(now, (from_s)*1000), wall_plus_ms(now, (to_s)*1000), &f->arena, &u, &n,     \
                                     err));                                                                                                \
        assert_int_equal(n, (count));                                                                                                      \
    } while (0)
    USABLE(0, 0, 1);
    USABLE(0, 100, 2);
    assert_int_equal(u[0].s.expiry.ms, now.ms + 1000 * 1000); // what ends first
    assert_false(wall_set(u[0].date));
    USABLE(100, 300, 3);
    assert_true(u[2].s.first_usage);
    USABLE(999, 999, 3);
    USABLE(1000, 1000, 2); // over when it ends
    USABLE(5000, 9000, 1);
    USABLE(-50, -1, 0);
    OK(store_subscription_usable(tx, ICCID_B, now, now, &f->arena, &u, &n, err));
    assert_int_equal(n, 0);
    return ERR_NONE;
}

static void usage_finds_the_subscriptions_of_its_time(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, usable_job);
}

JOB(usage_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct order o = completed_order(tx, f, &f->product, ICCID_A, err);
    struct stored_usage u = {
        .record = {.source = STR("ggsn-1"),
                   .record_id = STR("r1"),
                   .named = USAGE_BY_IMSI,
                   .number = STR("234200000000001"),
                   .bytes_up = 7,
                   .bytes_down = 5,
                   .start = {NOW_MS},
                   .end = {NOW_MS + 1000}},
        .iccid = ICCID_A,
        .partner_id = f->live.id,
        .received = tx_now(tx),
        .reason = USAGE_USED_UP,
        .unrated_bytes = 2,
    };
    const struct usage_place places[] = {{o.id, 6}, {o.id, 4}};
    struct stored_usage got, *list;
    struct usage_place *found;
    size_t n;
    int64_t total;
    FAILS(ERR_NOT_FOUND, store_usage_find(tx, STR("ggsn-1"), STR("r1"), a, &got, err));
    OK(store_usage_insert(tx, &u, places, 2, err));
    OK(store_usage_find(tx, STR("ggsn-1"), STR("r1"), a, &got, err));
    FAILS(ERR_NOT_FOUND, store_usage_find(tx, STR("ggsn-1"), STR("R1"), a, &u, err));
    FAILS(ERR_NOT_FOUND, store_usage_find(tx, STR("ggsn-2"), STR("r1"), a, &u, err));
    assert_int_equal(got.id, u.id);
    IS_STR(got.record.source, "ggsn-1");
    IS_STR(got.record.record_id, "r1");
    assert_int_equal(got.record.named, USAGE_BY_IMSI);
    IS_STR(got.record.number, "234200000000001");
    assert_int_equal(got.record.bytes_up, 7);
    assert_int_equal(got.record.bytes_down, 5);
    assert_int_equal(got.record.start.ms, NOW_MS);
    assert_int_equal(got.record.end.ms, NOW_MS + 1000);
    assert_int_equal(got.iccid, ICCID_A);
    assert_int_equal(got.partner_id, f->live.id);
    assert_int_equal(got.received.ms, tx_now(tx).ms);
    assert_int_equal(got.reason, USAGE_USED_UP);
    assert_int_equal(got.unrated_bytes, 2);
    OK(store_usage_places(tx, u.id, a, &found, &n, err));
    assert_int_equal(n, 2);
    assert_true(uuid_eq(found[0].subscription_id, o.id));
    assert_int_equal(found[0].bytes, 6);
    assert_int_equal(found[1].bytes, 4);
    FAILS(ERR_CONFLICT, store_usage_insert(tx, &u, NULL, 0, err));
    SAYS("record_id");

    // Booked whole: it is kept, and not among the unrated; a SIM that nobody knows has neither ICCID nor partner.
    u.record.record_id = STR("r2");
    u.reason = USAGE_REASON_NONE;
    u.unrated_bytes = 0;
    OK(store_usage_insert(tx, &u, NULL, 0, err));
    u.record.record_id = STR("r3");
    u.record.source = STR("ggsn-2");
    u.reason = USAGE_NO_SIM;
    u.unrated_bytes = 12;
    u.iccid = ICCID_NONE;
    u.partner_id = 0;
    OK(store_usage_insert(tx, &u, NULL, 0, err));
    const struct usage_filter all = {.iccid = ICCID_NONE}, of_sim = {.iccid = ICCID_A},
                              of_source = {.source = STR("ggsn-2"), .iccid = ICCID_NONE};
    OK(store_usage_unrated(tx, &all, 0, 10, a, &list, &n, &total, err));
    assert_int_equal(n, 2);
    assert_int_equal(total, 2);
    IS_STR(list[0].record.record_id, "r3"); // the newest first
    assert_int_equal(list[0].iccid, ICCID_NONE);
    assert_int_equal(list[0].partner_id, 0);
    OK(store_usage_unrated(tx, &all, 1, 10, a, &list, &n, &total, err));
    assert_int_equal(n, 1);
    assert_int_equal(total, 2);
    OK(store_usage_unrated(tx, &of_sim, 0, 10, a, &list, &n, &total, err));
    assert_int_equal(n, 1);
    IS_STR(list[0].record.record_id, "r1");
    OK(store_usage_unrated(tx, &of_source, 0, 10, a, &list, &n, &total, err));
    assert_int_equal(n, 1);
    IS_STR(list[0].record.record_id, "r3");
    return ERR_NONE;
}

static void a_usage_record_is_kept_once_with_where_it_went(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, usage_job);
}

JOB(clocks_job) {
    struct fixture *f = ctx;
    struct timer_clock *clocks;
    size_t n;
    OK(store_subscription_clocks(tx, 10, &f->arena, &clocks, &n, err));
    assert_int_equal(n, 0);
    struct order live = completed_order(tx, f, &f->product, ICCID_A, err), own = completed_order(tx, f, &f->other_product, ICCID_B, err);
    struct subscription s = fixture_subscription(&live, tx_now(tx)), t = fixture_subscription(&own, tx_now(tx));
    OK(store_subscription_insert(tx, &s, err));
    OK(store_subscription_clocks(tx, 10, &f->arena, &clocks, &n, err));
    assert_int_equal(n, 0); // it waits on the real one
    OK(store_subscription_insert(tx, &t, err));
    OK(store_subscription_clocks(tx, 10, &f->arena, &clocks, &n, err));
    assert_int_equal(n, 1);
    assert_int_equal(clocks[0].partner_id, f->sandbox.id);
    assert_int_equal(clocks[0].offset_ms, f->sandbox.clock_offset_ms);
    assert_int_equal(clocks[0].next_at.ms, t.next_at.ms);
    return ERR_NONE;
}

static void a_sandbox_clock_is_one_that_something_waits_on(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, clocks_job);
}

// ---- idempotency ----

static struct idem_row idem_claim(const struct fixture *f, const char *key) {
    struct idem_row row = {.partner_id = f->live.id, .key = str_of(key), .state = IDEM_IN_WORK, .owner = 7, .since = {NOW_MS}};
    memset(row.digest, 0xd1, sizeof row.digest);
    return row;
}

static struct idem_row idem_answer(const struct fixture *f, const char *key) {
    struct idem_row row = idem_claim(f, key);
    row.state = IDEM_ANSWERED;
    row.status = 202;
    row.headers = STR("Location: https://example.com/\n");
    row.body = (struct str){"{\"a\":\"\0\"}", 9};
    return row;
}

JOB(idem_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct idem_row got, want = idem_answer(f, "k1");
    FAILS(ERR_NOT_FOUND, store_idem_get(tx, f->live.id, STR("k1"), a, &got, err));
    OK(store_idem_insert(tx, &want, err));
    FAILS(ERR_RETRY, store_idem_insert(tx, &want, err));
    OK(store_idem_get(tx, f->live.id, STR("k1"), a, &got, err));
    assert_int_equal(got.partner_id, f->live.id);
    IS_STR(got.key, "k1");
    assert_memory_equal(got.digest, want.digest, sizeof got.digest);
    assert_int_equal(got.state, IDEM_ANSWERED);
    assert_int_equal(got.since.ms, NOW_MS);
    assert_int_equal(got.status, 202);
    assert_true(str_eq(got.headers, want.headers) && str_eq(got.body, want.body));

    // keys are a partner's own, and differ by each byte
    FAILS(ERR_NOT_FOUND, store_idem_get(tx, f->sandbox.id, STR("k1"), a, &got, err));
    FAILS(ERR_NOT_FOUND, store_idem_get(tx, f->live.id, STR("K1"), a, &got, err));
    FAILS(ERR_NOT_FOUND, store_idem_get(tx, f->live.id, STR("k1 "), a, &got, err));
    struct idem_row other = idem_answer(f, "k1"), empty = idem_answer(f, "empty");
    other.partner_id = f->sandbox.id;
    OK(store_idem_insert(tx, &other, err));
    empty.status = 204;
    empty.headers = empty.body = STR_NONE;
    OK(store_idem_insert(tx, &empty, err));
    OK(store_idem_get(tx, f->live.id, STR("empty"), a, &got, err));
    assert_true(got.status == 204 && got.headers.n == 0 && got.body.n == 0);

    // an answer is final
    FAILS(ERR_NOT_FOUND, store_idem_update(tx, &want, want.owner, want.since, err));
    return ERR_NONE;
}

JOB(idem_claim_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct idem_row got, row = idem_claim(f, "long");
    OK(store_idem_insert(tx, &row, err));
    OK(store_idem_get(tx, f->live.id, STR("long"), a, &got, err));
    assert_int_equal(got.state, IDEM_IN_WORK);
    assert_int_equal(got.owner, 7);
    assert_true(got.status == 0 && got.body.n == 0);

    row.since.ms += 1000; // a sign of life
    row.body = STR("half");
    OK(store_idem_update(tx, &row, 7, (struct wall){NOW_MS}, err));
    FAILS(ERR_NOT_FOUND, store_idem_update(tx, &row, 7, (struct wall){NOW_MS}, err)); // the claim as it was is gone
    OK(store_idem_get(tx, f->live.id, STR("long"), a, &got, err));
    IS_STR(got.body, "half");
    row.owner = 8; // taken over
    OK(store_idem_update(tx, &row, 7, row.since, err));
    FAILS(ERR_NOT_FOUND, store_idem_update(tx, &row, 7, row.since, err));

    struct idem_row answer = idem_answer(f, "long");
    OK(store_idem_update(tx, &answer, 8, row.since, err));
    OK(store_idem_get(tx, f->live.id, STR("long"), a, &got, err));
    assert_int_equal(got.state, IDEM_ANSWERED);
    assert_true(str_eq(got.body, answer.body));
    return ERR_NONE;
}

JOB(idem_prune_job) {
    struct fixture *f = ctx;
    struct idem_row got;
    char key[16];
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof key, "%d", i);
        struct idem_row row = idem_answer(f, key);
        row.since.ms += i;
        OK(store_idem_insert(tx, &row, err));
    }
    int64_t removed = -1;
    OK(store_idem_prune(tx, (struct wall){NOW_MS}, 4, &removed, err));
    assert_int_equal(removed, 0);
    OK(store_idem_prune(tx, (struct wall){NOW_MS + 6}, 4, &removed, err)); // those before it, the oldest first, no more than asked
    assert_int_equal(removed, 4);
    FAILS(ERR_NOT_FOUND, store_idem_get(tx, f->live.id, STR("3"), &f->arena, &got, err));
    OK(store_idem_get(tx, f->live.id, STR("4"), &f->arena, &got, err));
    OK(store_idem_prune(tx, (struct wall){NOW_MS + 6}, 4, &removed, err));
    assert_int_equal(removed, 2);
    OK(store_idem_get(tx, f->live.id, STR("6"), &f->arena, &got, err));
    return ERR_NONE;
}

static void an_idempotency_key_is_answered_once(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, idem_job);
}

static void a_claimed_key_belongs_to_its_claim(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, idem_claim_job);
}

static void old_idempotency_keys_go_in_slices(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, idem_prune_job);
}

// ---- webhooks ----

static struct webhook fixture_webhook(struct tx *tx, int64_t partner_id) {
    return (struct webhook){
        .id = tx_new_id(tx, partner_id),
        .partner_id = partner_id,
        .url = STR("https://hooks.example.com/"),
        .types = STR("order.* sim.activated"),
        .state = WEBHOOK_ENABLED,
        .created = {NOW_MS},
        .modified = {NOW_MS},
        .cursor = 1,
        .due = WALL_NONE,
        .failing_since = WALL_NONE,
        .lease_until = WALL_NONE,
    };
}

static struct webhook_delivery fixture_delivery(struct tx *tx, const struct webhook *w, enum delivery_outcome outcome) {
    return (struct webhook_delivery){
        .id = tx_new_id(tx, w->partner_id),
        .webhook_id = w->id,
        .partner_id = w->partner_id,
        .kind = outcome == DELIVERY_PENDING ? DELIVERY_TEST : DELIVERY_EVENT,
        .outcome = outcome,
        .sequence = 3,
        .event_type = EVENT_ORDER_COMPLETED,
        .event_created = {NOW_MS},
        .attempt = 2,
        .tried = outcome == DELIVERY_PENDING ? WALL_NONE : tx_now(tx),
        .duration_ms = 12,
        .status = 503,
        .answer = STR("busy"),
        .trouble = STR_NONE,
        .next = {NOW_MS + 60000},
    };
}

JOB(webhook_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct webhook w = fixture_webhook(tx, f->live.id), other = fixture_webhook(tx, f->sandbox.id), got, *list = NULL;
    size_t n = 0;
    OK(store_webhook_insert(tx, &w, err));
    OK(store_webhook_insert(tx, &other, err));
    OK(store_webhook_get(tx, w.id, a, &got, err));
    assert_true(uuid_eq(got.id, w.id));
    assert_int_equal(got.partner_id, f->live.id);
    IS_STR(got.url, "https://hooks.example.com/");
    IS_STR(got.types, "order.* sim.activated");
    assert_int_equal(got.created.ms, NOW_MS);
    assert_false(wall_set(got.due) || wall_set(got.failing_since) || wall_set(got.lease_until));

    got.url = STR("https://elsewhere.example.com/");
    got.state = WEBHOOK_DISABLED;
    got.epoch = 1;
    got.cursor = 9;
    got.attempts = 3;
    got.due = (struct wall){NOW_MS + 5};
    got.failing_since = (struct wall){NOW_MS - 5};
    OK(store_webhook_update(tx, &got, err));
    OK(store_webhook_get(tx, w.id, a, &w, err));
    IS_STR(w.url, "https://elsewhere.example.com/");
    assert_int_equal(w.state, WEBHOOK_DISABLED);
    assert_int_equal(w.epoch, 1);
    assert_int_equal(w.cursor, 9);
    assert_int_equal(w.attempts, 3);
    assert_int_equal(w.due.ms, NOW_MS + 5);
    assert_int_equal(w.failing_since.ms, NOW_MS - 5);

    OK(store_webhook_list(tx, f->live.id, a, &list, &n, err));
    assert_int_equal(n, 1);
    OK(store_webhook_list(tx, 0, a, &list, &n, err));
    assert_int_equal(n, 2);

    struct webhook_delivery d = fixture_delivery(tx, &w, DELIVERY_FAILED);
    OK(store_delivery_insert(tx, &d, err));
    OK(store_webhook_secret_add(tx, w.id, "012345678901234567890123", 24, WALL_NONE, err));
    OK(store_webhook_delete(tx, w.id, err));
    FAILS(ERR_NOT_FOUND, store_webhook_delete(tx, w.id, err));
    FAILS(ERR_NOT_FOUND, store_webhook_update(tx, &w, err));
    FAILS(ERR_NOT_FOUND, store_webhook_get(tx, w.id, a, &got, err));
    FAILS(ERR_NOT_FOUND, store_webhook_secret_add(tx, w.id, "012345678901234567890123", 24, WALL_NONE, err));
    OK(store_delivery_list(tx, w.id, 0, 10, a, &(struct webhook_delivery *){NULL}, &n, NULL, err));
    assert_int_equal(n, 0);
    return ERR_NONE;
}

static void a_webhook_is_kept_and_goes_with_all_that_is_its(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, webhook_job);
}

JOB(webhook_secret_job) {
    struct fixture *f = ctx;
    struct webhook w = fixture_webhook(tx, f->live.id);
    struct webhook_secret s[WEBHOOK_SECRETS_MAX];
    size_t n = 9;
    OK(store_webhook_insert(tx, &w, err));
    OK(store_webhook_secrets(tx, w.id, s, &n, err));
    assert_int_equal(n, 0);
    char secret[WEBHOOK_SECRET_MAX] = {0};
    for (char i = 1; i <= 6; i++) {
        secret[0] = i;
        OK(store_webhook_secret_add(tx, w.id, secret, (size_t)(WEBHOOK_SECRET_MIN + i), (struct wall){NOW_MS + i * 1000}, err));
    }
    OK(store_webhook_secrets(tx, w.id, s, &n, err)); // the newest four
    assert_int_equal(n, WEBHOOK_SECRETS_MAX);
    assert_int_equal(s[0].bytes[0], 6);
    assert_int_equal(s[0].n, WEBHOOK_SECRET_MIN + 6);
    assert_false(wall_set(s[0].expires));
    assert_int_equal(s[1].bytes[0], 5);
    assert_int_equal(s[1].expires.ms, NOW_MS + 6000);
    assert_int_equal(s[3].expires.ms, NOW_MS + 4000);                               // what had its end keeps it
    OK(store_webhook_secret_add(tx, w.id, secret, 32, (struct wall){NOW_MS}, err)); // all others end now
    OK(store_webhook_secrets(tx, w.id, s, &n, err));
    assert_int_equal(n, 1);
    return ERR_NONE;
}

static void a_webhooks_secrets_overlap_end_and_are_bounded(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, webhook_secret_job);
}

JOB(webhook_lease_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct webhook w = fixture_webhook(tx, f->live.id), got;
    struct wall until = {NOW_MS + 60000};
    bool ok = false;
    OK(store_webhook_insert(tx, &w, err));
    OK(store_webhook_claim(tx, w.id, 0, 1, until, &ok, err));
    assert_true(ok);
    OK(store_webhook_claim(tx, w.id, 0, 1, wall_plus_ms(until, 1), &ok, err)); // one's own is kept
    assert_true(ok);
    OK(store_webhook_claim(tx, w.id, 0, 2, until, &ok, err));
    assert_false(ok);

    w.lease_owner = 1;
    w.lease_until = wall_plus_ms(until, 5);
    w.cursor = 5;
    w.attempts = 1;
    w.due = (struct wall){NOW_MS + 7};
    w.failing_since = (struct wall){NOW_MS};
    OK(store_webhook_settle(tx, &w, &ok, err));
    assert_true(ok);
    OK(store_webhook_get(tx, w.id, a, &got, err));
    assert_int_equal(got.cursor, 5);
    assert_int_equal(got.attempts, 1);
    assert_int_equal(got.lease_until.ms, until.ms + 5);

    w.lease_owner = 2; // a node that woke up too late
    w.cursor = 6;
    OK(store_webhook_settle(tx, &w, &ok, err));
    assert_false(ok);
    w.lease_owner = 1;
    got.epoch = 1; // a call came between
    got.cursor = 2;
    OK(store_webhook_update(tx, &got, err));
    OK(store_webhook_settle(tx, &w, &ok, err));
    assert_false(ok);
    OK(store_webhook_claim(tx, w.id, 0, 1, until, &ok, err));
    assert_false(ok);
    OK(store_webhook_get(tx, w.id, a, &got, err));
    assert_int_equal(got.cursor, 2);

    OK(store_webhook_drop_leases(tx, 1, err));
    OK(store_webhook_claim(tx, w.id, 1, 2, (struct wall){NOW_MS}, &ok, err));
    assert_true(ok);
    OK(store_webhook_claim(tx, w.id, 1, 3, until, &ok, err)); // ended at this instant
    assert_true(ok);
    return ERR_NONE;
}

static void a_webhook_is_delivered_to_by_one_node_in_one_epoch(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, webhook_lease_job);
}

JOB(delivery_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct webhook w = fixture_webhook(tx, f->live.id), other = fixture_webhook(tx, f->live.id);
    struct webhook_delivery d, got, *list = NULL;
    size_t n = 0;
    int64_t total = 0;
    bool was_there = false;
    OK(store_webhook_insert(tx, &w, err));
    OK(store_webhook_insert(tx, &other, err));
    for (int i = 0; i < 5; i++) {
        d = fixture_delivery(tx, &w, i == 2 ? DELIVERY_PENDING : DELIVERY_FAILED);
        d.sequence = i;
        OK(store_delivery_insert(tx, &d, err));
    }
    d = fixture_delivery(tx, &other, DELIVERY_DELIVERED);
    OK(store_delivery_insert(tx, &d, err));
    OK(store_delivery_list(tx, w.id, 1, 2, a, &list, &n, &total, err));
    assert_int_equal(n, 2);
    assert_int_equal(total, 5);
    assert_int_equal(list[0].sequence, 3);
    OK(store_delivery_get(tx, w.id, list[0].id, a, &got, err));
    assert_int_equal(got.outcome, DELIVERY_FAILED);
    assert_int_equal(got.event_type, EVENT_ORDER_COMPLETED);
    assert_int_equal(got.attempt, 2);
    assert_int_equal(got.tried.ms, NOW_MS);
    assert_int_equal(got.duration_ms, 12);
    assert_int_equal(got.status, 503);
    IS_STR(got.answer, "busy");
    assert_false(str_present(got.trouble));
    assert_int_equal(got.next.ms, NOW_MS + 60000);
    FAILS(ERR_NOT_FOUND, store_delivery_get(tx, other.id, list[0].id, a, &got, err));

    OK(store_delivery_pending(tx, 10, a, &list, &n, err));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].sequence, 2);
    OK(store_delivery_pending_count(tx, w.id, &total, err));
    assert_int_equal(total, 1);
    OK(store_delivery_trim(tx, w.id, 2, (struct wall){0}, err)); // what waits stays
    OK(store_delivery_list(tx, w.id, 0, 10, a, &list, &n, NULL, err));
    assert_int_equal(n, 3);
    got = list[2];
    assert_int_equal(got.outcome, DELIVERY_PENDING);
    got.outcome = DELIVERY_DELIVERED;
    got.status = 200;
    got.tried = (struct wall){NOW_MS + 1};
    got.trouble = STR("trouble");
    OK(store_delivery_finish(tx, &got, &was_there, err));
    assert_true(was_there);
    OK(store_delivery_finish(tx, &got, &was_there, err));
    assert_false(was_there);
    OK(store_delivery_get(tx, w.id, got.id, a, &got, err));
    assert_int_equal(got.outcome, DELIVERY_DELIVERED);
    assert_int_equal(got.tried.ms, NOW_MS + 1);
    IS_STR(got.trouble, "trouble");
    OK(store_delivery_trim(tx, w.id, 100, (struct wall){NOW_MS + 1}, err)); // the old ones
    OK(store_delivery_list(tx, w.id, 0, 10, a, &list, &n, NULL, err));
    assert_int_equal(n, 1);
    OK(store_delivery_list(tx, other.id, 0, 10, a, &list, &n, NULL, err));
    assert_int_equal(n, 1);
    return ERR_NONE;
}

static void deliveries_are_logged_newest_first_and_trimmed(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, delivery_job);
}

static int64_t tell(struct tx *tx, struct fixture *f, iccid_t iccid, enum event_type type, struct err *err) {
    struct event e = {.partner_id = f->live.id, .type = type, .created = tx_now(tx), .iccid = iccid, .payload = STR("x")};
    OK(store_event_append(tx, &e, err));
    return e.sequence;
}

static size_t due(struct tx *tx, struct fixture *f, struct wall now, struct notification **list, struct err *err) {
    size_t n = 0;
    OK(store_notification_due(tx, f->live.id, now, 10, &f->arena, list, &n, err));
    return n;
}

JOB(notification_queue_job) {
    struct fixture *f = ctx;
    struct notification *list = NULL;
    struct wall now = tx_now(tx), wake;
    int64_t partner = 9;
    bool ok = false;
    tell(tx, f, ICCID_A, EVENT_SUBSCRIPTION_EXPIRED, err); // nobody asked for it
    OK(store_notification_partner(tx, 0, &partner, err));
    assert_int_equal(partner, 0);
    OK(store_notification_put(tx, ICCID_A, NOTIFY_SUBSCRIPTION_END, STR("https://u:p@example.com/"), err));
    OK(store_notification_put(tx, ICCID_A, NOTIFY_DOWNLOAD_PROGRESS, STR("https://example.com/"), err));
    tell(tx, f, ICCID_A, EVENT_ORDER_COMPLETED, err);
    tell(tx, f, ICCID_A, EVENT_SUBSCRIPTION_THRESHOLD, err);
    tell(tx, f, ICCID_B, EVENT_SUBSCRIPTION_EXPIRED, err);
    int64_t first = tell(tx, f, ICCID_A, EVENT_SUBSCRIPTION_EXPIRED, err);
    int64_t second = tell(tx, f, ICCID_A, EVENT_SUBSCRIPTION_DEPLETED, err);
    tell(tx, f, ICCID_A, EVENT_SIM_DOWNLOAD_PROGRESS, err);
    OK(store_notification_partner(tx, 0, &partner, err));
    assert_int_equal(partner, f->live.id);
    OK(store_notification_partner(tx, partner, &partner, err));
    assert_int_equal(partner, 0);

    // The first of each queue; the second waits behind it.
    assert_int_equal(due(tx, f, now, &list, err), 2);
    struct notification n = list[0].type == NOTIFY_SUBSCRIPTION_END ? list[0] : list[1];
    assert_int_equal(n.sequence, first);
    assert_int_equal(n.iccid, ICCID_A);
    assert_int_equal(n.attempts, 0);
    IS_STR(n.url, "https://u:p@example.com/");
    struct wall until = wall_plus_ms(now, 60000);
    OK(store_notification_claim(tx, &n, 1, until, &ok, err));
    assert_true(ok);
    OK(store_notification_claim(tx, &n, 2, until, &ok, err));
    assert_false(ok);
    assert_int_equal(due(tx, f, now, &list, err), 1);
    OK(store_notification_next_wake(tx, f->live.id, &wake, err));
    assert_int_equal(wake.ms, now.ms);

    n.lease_owner = 2; // not the one who claimed it
    n.wake = until;
    OK(store_notification_again(tx, &n, 1, wall_plus_ms(now, 500), &ok, err));
    assert_false(ok);
    n.lease_owner = 1;
    OK(store_notification_again(tx, &n, 1, wall_plus_ms(now, 500), &ok, err));
    assert_true(ok);
    OK(store_notification_done(tx, &n, &ok, err)); // it was given back
    assert_false(ok);
    assert_int_equal(due(tx, f, wall_plus_ms(now, 499), &list, err), 1);
    assert_int_equal(due(tx, f, wall_plus_ms(now, 500), &list, err), 2);
    n = list[1];
    assert_int_equal(n.attempts, 1);
    OK(store_notification_claim(tx, &n, 1, until, &ok, err));
    n.lease_owner = 1;
    n.wake = until;
    OK(store_notification_done(tx, &n, &ok, err));
    assert_true(ok);
    assert_int_equal(due(tx, f, now, &list, err), 2); // its turn
    n = list[0].type == NOTIFY_SUBSCRIPTION_END ? list[0] : list[1];
    assert_int_equal(n.sequence, second);

    // A preference that is gone leaves a notification without an address; a dropped lease makes it due.
    OK(store_notification_delete(tx, ICCID_A, NOTIFY_SUBSCRIPTION_END, &ok, err));
    OK(store_notification_claim(tx, &n, 1, until, &ok, err));
    assert_true(ok);
    OK(store_webhook_drop_leases(tx, 1, err));
    assert_int_equal(due(tx, f, now, &list, err), 2);
    n = list[0].type == NOTIFY_SUBSCRIPTION_END ? list[0] : list[1];
    assert_false(str_present(n.url));
    return ERR_NONE;
}

static void notifications_queue_by_sim_and_type(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, notification_queue_job);
}

// ---- archive ----

static void archive_is_marked(struct tx *tx, int64_t partner_id, int64_t ms, struct err *err) {
    struct wall before = {12345};
    OK(store_archive_marked(tx, partner_id, &before, err));
    assert_int_equal(before.ms, ms);
}

// One of each kind; only the first two may leave.
JOB(archive_job) {
    struct fixture *f = ctx;
    struct arena *a = &f->arena;
    struct wall now = tx_now(tx), later = wall_plus_ms(now, 30 * INT64_C(86400000));
    enum { EXPIRED, FAILED, RUNNING, DEPLETED_EARLY, OPEN_TASK, ACCEPTED, KINDS };
    struct order o[KINDS];
    for (int i = 0; i < KINDS; i++) {
        o[i] = fixture_order(tx, &f->product, ICCID_A);
        o[i].state = i == ACCEPTED ? ORDER_ACCEPTED : i == FAILED || i == OPEN_TASK ? ORDER_FAILED : ORDER_COMPLETED;
        o[i].finished = i == ACCEPTED ? WALL_NONE : now;
        OK(store_order_insert(tx, &o[i], err));
        if (o[i].state == ORDER_COMPLETED) {
            struct subscription s = fixture_subscription(&o[i], now);
            s.state = i == EXPIRED ? SUB_EXPIRED : i == RUNNING ? SUB_ACTIVE : SUB_DEPLETED;
            s.end = i == EXPIRED ? SUB_END_EXPIRED : i == RUNNING ? SUB_END_NONE : SUB_END_DEPLETED;
            s.expiry = i == DEPLETED_EARLY ? wall_plus_ms(later, 1) : wall_plus_ms(now, 86400000);
            if (i != RUNNING)
                s.next_at = WALL_NONE;
            OK(store_subscription_insert(tx, &s, err));
        }
        struct task t = fixture_task(tx, &o[i], 0);
        t.state = i == OPEN_TASK ? TASK_PARKED : i == ACCEPTED ? TASK_READY : TASK_DONE;
        OK(store_task_insert(tx, &t, err));
    }
    struct order foreign = fixture_order(tx, &f->other_product, ICCID_B);
    OK(store_order_insert(tx, &foreign, err));

    struct archive_key *keys = NULL;
    size_t n = 0;
    struct uuid none = {{0}};
    struct wall after_all = wall_plus_ms(now, 1);
    OK(store_archive_keys(tx, f->live.id, none, after_all, later, 100, a, &keys, &n, err));
    assert_int_equal(n, KINDS);
    for (int i = 0; i < KINDS; i++) {
        assert_true(uuid_eq(keys[i].id, o[i].id));
        assert_int_equal(keys[i].fits, i <= FAILED);
    }
    OK(store_archive_keys(tx, f->live.id, o[FAILED].id, after_all, later, 1, a, &keys, &n, err));
    assert_int_equal(n, 1);
    assert_true(uuid_eq(keys[0].id, o[RUNNING].id));
    OK(store_archive_keys(tx, f->live.id, o[ACCEPTED].id, after_all, later, 100, a, &keys, &n, err));
    assert_int_equal(n, 0);
    OK(store_archive_keys(tx, f->live.id, none, now, later, 100, a, &keys, &n, err)); // accepted at that moment is not before it
    assert_int_equal(n, 0);
    OK(store_archive_keys(tx, f->live.id, none, after_all, now, 100, a, &keys, &n, err)); // what ended at that moment is not over before it
    for (size_t i = 0; i < n; i++)
        assert_false(keys[i].fits);

    bool fits = false;
    OK(store_archive_fits(tx, o[EXPIRED].id, later, &fits, err));
    assert_true(fits);
    OK(store_archive_fits(tx, o[RUNNING].id, later, &fits, err));
    assert_false(fits);
    OK(store_archive_drop(tx, &o[EXPIRED], err));
    OK(store_archive_drop(tx, &o[FAILED], err));
    FAILS(ERR_NOT_FOUND, store_archive_fits(tx, o[EXPIRED].id, later, &fits, err));
    struct order gone;
    struct subscription s;
    struct task *tasks = NULL;
    FAILS(ERR_NOT_FOUND, store_order_get(tx, o[EXPIRED].id, a, &gone, err));
    FAILS(ERR_NOT_FOUND, store_subscription_get(tx, o[EXPIRED].id, a, &s, err));
    OK(store_task_of_order(tx, o[EXPIRED].id, a, &tasks, &n, err));
    assert_int_equal(n, 0);
    OK(store_order_get(tx, o[RUNNING].id, a, &gone, err));
    OK(store_subscription_get(tx, o[RUNNING].id, a, &s, err));
    OK(store_order_get(tx, foreign.id, a, &gone, err));

    archive_is_marked(tx, f->live.id, WALL_NONE.ms, err);
    OK(store_archive_mark(tx, f->live.id, now, err));
    OK(store_archive_mark(tx, f->live.id, wall_plus_ms(now, -1000), err)); // never back
    archive_is_marked(tx, f->live.id, now.ms, err);
    archive_is_marked(tx, f->sandbox.id, WALL_NONE.ms, err);
    return ERR_NONE;
}

static void orders_that_are_over_leave_with_what_is_theirs(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, archive_job);
    OK(store_check(f->store, err));
}

JOB(sandbox_hold_job) {
    struct fixture *f = ctx;
    struct wall now = tx_now(tx), later = wall_plus_ms(now, 1000);
    bool other = true;
    OK(store_sandbox_hold(tx, f->sandbox.id, 1, later, &other, err));
    assert_false(other);
    OK(store_sandbox_hold(tx, f->sandbox.id, 2, later, &other, err));
    assert_true(other);
    OK(store_sandbox_hold(tx, f->sandbox.id, 1, later, &other, err));
    assert_false(other);
    OK(store_sandbox_hold(tx, f->sandbox.id, 1, WALL_NONE, &other, err));
    OK(store_sandbox_hold(tx, f->sandbox.id, 2, now, &other, err));
    assert_false(other);
    OK(store_sandbox_hold(tx, f->sandbox.id, 1, later, &other, err)); // its time was over
    assert_false(other);
    OK(store_sandbox_hold(tx, f->live.id, 2, later, &other, err));
    assert_false(other);
    return ERR_NONE;
}

static void a_sandbox_is_in_one_nodes_hands(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, sandbox_hold_job);
}

// ---- nodes ----

JOB(node_job) {
    struct fixture *f = ctx;
    struct wall now = tx_now(tx), later = wall_plus_ms(now, 90000);
    struct node_row one = {.number = 7, .instance = 100, .name = STR("a:1"), .role = NODE_API, .started = now, .lease_until = later},
                    other = one;
    other.instance = 200;
    other.name = STR("b:2");
    OK(store_node_take(tx, &one, err));
    OK(store_node_take(tx, &one, err)); // its own once more
    FAILS(ERR_CONFLICT, store_node_take(tx, &other, err));
    OK(store_node_hold(tx, 7, 100, err));
    FAILS(ERR_CONFLICT, store_node_hold(tx, 7, 200, err));
    FAILS(ERR_CONFLICT, store_node_hold(tx, 8, 100, err));
    FAILS(ERR_CONFLICT, store_node_renew(tx, 7, 200, later, err));
    other.number = 3;
    OK(store_node_take(tx, &other, err));
    struct node_row *list = NULL;
    size_t n = 0;
    OK(store_node_list(tx, &f->arena, &list, &n, err));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].number, 3);
    assert_int_equal(list[1].number, 7);
    assert_int_equal(list[1].instance, 100);
    assert_int_equal(list[1].role, NODE_API);
    assert_int_equal(list[1].lease_until.ms, later.ms);
    IS_STR(list[1].name, "a:1");

    // A lease that has ended is renewed by its holder, or taken by another; who had it then learns so.
    OK(store_node_renew(tx, 7, 100, now, err));
    OK(store_node_renew(tx, 7, 100, later, err));
    OK(store_node_give_back(tx, 7, 100, err));
    other.number = 7;
    OK(store_node_take(tx, &other, err));
    FAILS(ERR_CONFLICT, store_node_renew(tx, 7, 100, later, err));
    FAILS(ERR_CONFLICT, store_node_give_back(tx, 7, 100, err));
    FAILS(ERR_CONFLICT, store_node_hold(tx, 7, 100, err));
    return ERR_NONE;
}

static void a_node_number_belongs_to_one_process(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, node_job);
}

JOB(rate_job) {
    struct fixture *f = ctx;
    int64_t granted = 0, taken = 0, id = f->live.id;
    OK(store_rate_take(tx, id, STR("orders"), 1, 500, 30, 100, &granted, &taken, err));
    assert_int_equal(granted, 30);
    assert_int_equal(taken, 30);
    OK(store_rate_take(tx, id, STR("orders"), 2, 500, 60, 100, &granted, &taken, err));
    assert_int_equal(granted, 60);
    assert_int_equal(taken, 90);
    OK(store_rate_take(tx, id, STR("orders"), 1, 500, 30, 100, &granted, &taken, err));
    assert_int_equal(granted, 10);
    assert_int_equal(taken, 100);
    OK(store_rate_take(tx, id, STR("orders"), 2, 500, 5, 100, &granted, &taken, err));
    assert_int_equal(granted, 0);
    OK(store_rate_take(tx, id, STR("orders"), 2, 500, 5, 50, &granted, &taken, err)); // the limit was lowered meanwhile
    assert_int_equal(granted, 0);
    assert_int_equal(taken, 100);
    OK(store_rate_take(tx, id, STR("sims"), 2, 500, 5, 100, &granted, &taken, err));
    assert_int_equal(taken, 5);
    OK(store_rate_take(tx, id, STR("orders"), 2, 501, 5, 100, &granted, &taken, err)); // the next window begins at nothing
    assert_int_equal(granted, 5);
    assert_int_equal(taken, 5);
    return ERR_NONE;
}

static void a_rate_limit_is_taken_in_parts(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    RUN(f, rate_job);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(partners_are_kept_and_client_ids_are_unique),
        TEST(secrets_overlap_end_and_are_bounded),
        TEST(caps_count_by_partner_and_period),
        TEST(operator_tokens_and_signing_keys_are_kept),
        TEST(products_are_put_once_and_listed_by_name),
        TEST(a_sims_numbers_are_its_own),
        TEST(profiles_are_taken_lowest_first_and_become_the_partners),
        TEST(sims_are_listed_by_owner_type_and_service),
        TEST(a_sims_notification_preferences_replace_each_other),
        TEST(an_order_is_kept_whole_and_its_reference_is_the_partners),
        TEST(orders_are_listed_newest_first_by_every_filter),
        TEST(tasks_are_due_in_order_and_hold_their_sim),
        TEST(open_tasks_are_known_after_what_was_undone),
        TEST(a_subscription_hangs_on_its_sim_and_product),
        TEST(finished_subscriptions_do_not_fill_a_sim),
        TEST(subscriptions_are_listed_newest_first_by_every_filter),
        TEST(usage_finds_the_subscriptions_of_its_time),
        TEST(a_usage_record_is_kept_once_with_where_it_went),
        TEST(a_sandbox_clock_is_one_that_something_waits_on),
        TEST(events_are_numbered_by_partner),
        TEST(old_events_are_dropped_from_the_front),
        TEST(an_idempotency_key_is_answered_once),
        TEST(a_claimed_key_belongs_to_its_claim),
        TEST(old_idempotency_keys_go_in_slices),
        TEST(a_webhook_is_kept_and_goes_with_all_that_is_its),
        TEST(a_webhooks_secrets_overlap_end_and_are_bounded),
        TEST(a_webhook_is_delivered_to_by_one_node_in_one_epoch),
        TEST(deliveries_are_logged_newest_first_and_trimmed),
        TEST(notifications_queue_by_sim_and_type),
        TEST(orders_that_are_over_leave_with_what_is_theirs),
        TEST(a_sandbox_is_in_one_nodes_hands),
        TEST(a_node_number_belongs_to_one_process),
        TEST(a_rate_limit_is_taken_in_parts),
        TEST(an_import_is_judged_whole_and_applied_once),
        TEST(an_import_that_is_being_applied_only_goes_forward),
        TEST(text_is_kept_as_it_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
