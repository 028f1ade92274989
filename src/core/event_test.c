// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "core/event.h"

static struct rng rng;
static struct rng_seeded rng_state;
static struct arena arena;

static int setup(void **state) {
    (void)state;
    const char *env = getenv("SEED");
    uint64_t seed = env ? strtoull(env, NULL, 0) : rng_u64(&rng_system);
    printf("SEED=%llu\n", (unsigned long long)seed);
    rng = rng_seeded_init(&rng_state, seed);
    arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_release(&arena);
    return 0;
}

// ---- random resources ----

static bool flip(void) {
    return rng_below(&rng, 2);
}

// All magnitudes, the borders among them.
static int64_t random_positive(int64_t max) {
    if (rng_below(&rng, 16) == 0)
        return flip() ? max : 0;
    uint64_t v = rng_u64(&rng) >> rng_below(&rng, 64);
    return (int64_t)(v % ((uint64_t)max + 1));
}

static struct wall random_wall(void) {
    if (rng_below(&rng, 4) == 0)
        return WALL_NONE;
    int64_t ms = random_positive(INT64_MAX);
    return (struct wall){flip() ? ms : -ms};
}

static struct str random_str(size_t max) {
    if (rng_below(&rng, 3) == 0)
        return STR_NONE;
    size_t n = (size_t)rng_below(&rng, max + 1);
    char *p = arena_alloc(&arena, n + 1);
    assert_non_null(p);
    rng_fill(&rng, p, n); // any bytes, NUL among them
    return (struct str){p, n};
}

static void random_text(char *out, size_t max) {
    size_t n = (size_t)rng_below(&rng, max + 1);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)('A' + rng_below(&rng, 26));
    out[n] = '\0';
}

static struct money random_money(void) {
    struct money m = {random_positive(MONEY_MINOR_MAX), ""};
    random_text(m.currency, 3);
    return m;
}

static iccid_t random_iccid(void) {
    return rng_below(&rng, 4) ? random_positive(ICCID_PACKED_MAX) : ICCID_NONE;
}

static struct uuid random_uuid(void) {
    struct uuid id;
    rng_fill(&rng, id.b, sizeof(id.b));
    return id;
}

static struct order random_order(void) {
    struct order o = {
        .id = random_uuid(),
        .partner_id = random_positive(PARTNER_ID_MAX),
        .state = (enum order_state)rng_below(&rng, 4),
        .operation = (enum operation)rng_below(&rng, 2),
        .sim_type = (enum sim_type)rng_below(&rng, 3),
        .product_id = random_positive(INT64_MAX),
        .sold = random_money(),
        .activation = random_wall(),
        .expiration = random_wall(),
        .iccid = random_iccid(),
        .matching_id = random_str(40),
        .smdp = random_str(64),
        .correlation_id = random_str(CORRELATION_MAX),
        .reference = random_str(REFERENCE_MAX),
        .failure = random_str(2000),
        .created = random_wall(),
        .finished = random_wall(),
    };
    random_text(o.country, 2);
    random_text(o.product_public_id, LONG_ID_TEXT - 1);
    return o;
}

static struct subscription random_subscription(void) {
    struct subscription s = {
        .id = random_uuid(),
        .partner_id = random_positive(PARTNER_ID_MAX),
        .iccid = random_iccid(),
        .product_id = random_positive(INT64_MAX),
        .name = random_str(200),
        .state = (enum subscription_state)rng_below(&rng, 5),
        .end = (enum subscription_end)rng_below(&rng, 4),
        .created = random_wall(),
        .activation = random_wall(),
        .expiry = random_wall(),
        .next_at = random_wall(),
        .duration = random_positive(PLAN_DURATION_MAX),
        .duration_unit = (enum duration_unit)rng_below(&rng, 2),
        .first_usage = flip(),
        .wanted_expiry = random_wall(),
        .initial_bytes = random_positive(INT64_MAX),
        .balance_as_of = random_wall(),
        .sold = random_money(),
    };
    s.spent_bytes = random_positive(s.initial_bytes == INT64_MAX ? INT64_MAX - 1 : s.initial_bytes);
    random_text(s.product_public_id, LONG_ID_TEXT - 1);
    return s;
}

static struct sim random_sim(void) {
    return (struct sim){
        .iccid = random_iccid(),
        .partner_id = random_positive(PARTNER_ID_MAX),
        .type = (enum sim_type)rng_below(&rng, 3),
        .service = (enum sim_service)rng_below(&rng, 3),
        .esim = (enum esim_status)rng_below(&rng, 5),
        .imsi = random_str(15),
        .msisdn = random_str(15),
        .eid = random_str(32),
        .matching_id = random_str(40),
        .smdp = random_str(64),
        .activated = random_wall(),
        .modified = random_wall(),
    };
}

// ---- comparing ----

static void same_str(struct str a, struct str b) {
    assert_int_equal(str_present(a), str_present(b));
    assert_true(str_eq(a, b));
}

static void same_wall(struct wall a, struct wall b) {
    assert_true(a.ms == b.ms);
}

static void same_money(struct money a, struct money b) {
    assert_true(a.minor == b.minor);
    assert_string_equal(a.currency, b.currency);
}

static void same_order(const struct order *a, const struct order *b) {
    assert_true(uuid_eq(a->id, b->id));
    assert_true(a->partner_id == b->partner_id);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->operation, b->operation);
    assert_int_equal(a->sim_type, b->sim_type);
    assert_string_equal(a->country, b->country);
    assert_true(a->product_id == b->product_id);
    assert_string_equal(a->product_public_id, b->product_public_id);
    same_money(a->sold, b->sold);
    same_wall(a->activation, b->activation);
    same_wall(a->expiration, b->expiration);
    assert_true(a->iccid == b->iccid);
    same_str(a->matching_id, b->matching_id);
    same_str(a->smdp, b->smdp);
    same_str(a->correlation_id, b->correlation_id);
    same_str(a->reference, b->reference);
    same_str(a->failure, b->failure);
    same_wall(a->created, b->created);
    same_wall(a->finished, b->finished);
}

static void same_subscription(const struct subscription *a, const struct subscription *b) {
    assert_true(uuid_eq(a->id, b->id));
    assert_true(a->partner_id == b->partner_id);
    assert_true(a->iccid == b->iccid);
    assert_true(a->product_id == b->product_id);
    assert_string_equal(a->product_public_id, b->product_public_id);
    same_str(a->name, b->name);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->end, b->end);
    same_wall(a->created, b->created);
    same_wall(a->activation, b->activation);
    same_wall(a->expiry, b->expiry);
    same_wall(a->next_at, b->next_at);
    assert_int_equal(a->duration, b->duration);
    assert_int_equal(a->duration_unit, b->duration_unit);
    assert_int_equal(a->first_usage, b->first_usage);
    same_wall(a->wanted_expiry, b->wanted_expiry);
    assert_true(a->initial_bytes == b->initial_bytes && a->spent_bytes == b->spent_bytes);
    same_wall(a->balance_as_of, b->balance_as_of);
    same_money(a->sold, b->sold);
}

static void same_sim(const struct sim *a, const struct sim *b) {
    assert_true(a->iccid == b->iccid && a->partner_id == b->partner_id);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->service, b->service);
    assert_int_equal(a->esim, b->esim);
    same_str(a->imsi, b->imsi);
    same_str(a->msisdn, b->msisdn);
    same_str(a->eid, b->eid);
    same_str(a->matching_id, b->matching_id);
    same_str(a->smdp, b->smdp);
    same_wall(a->activated, b->activated);
    same_wall(a->modified, b->modified);
}

static const void *maybe(const void *was) {
    return flip() ? was : NULL;
}

// ---- tests ----

static void event_payload_comes_back_as_it_was(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, EVENT_PAYLOAD_MAX);
    for (int i = 0; i < 20000; i++) {
        struct err err = {0};
        arena_reset(&arena);

        struct order o = random_order(), o2;
        buf_clear(&buf);
        struct order_was order_was = order_was_in((enum order_state)rng_below(&rng, 4)), order_was2;
        const struct order_was *before_order = maybe(&order_was);
        event_pack_order(&buf, &o, before_order);
        assert_false(buf.failed);
        assert_int_equal(event_unpack_order(buf_str(&buf), &arena, &o2, &order_was2, &err), ERR_NONE);
        same_order(&o, &o2);
        assert_int_equal(order_was2.past, before_order ? PAST_KNOWN : PAST_NONE);
        if (before_order)
            assert_int_equal(order_was.state, order_was2.state);

        struct subscription s = random_subscription(), s2;
        int threshold = (int)rng_below(&rng, 101), threshold2;
        buf_clear(&buf);
        struct subscription before = random_subscription();
        before.spent_bytes = random_positive(s.initial_bytes);
        struct subscription_was sub_was = subscription_was_like(&before), sub_was2;
        const struct subscription_was *before_sub = maybe(&sub_was);
        event_pack_subscription(&buf, &s, before_sub, threshold);
        assert_false(buf.failed);
        assert_int_equal(event_unpack_subscription(buf_str(&buf), &arena, &s2, &sub_was2, &threshold2, &err), ERR_NONE);
        assert_int_equal(sub_was2.past, before_sub ? PAST_KNOWN : PAST_NONE);
        if (before_sub) {
            assert_int_equal(sub_was.state, sub_was2.state);
            assert_int_equal(sub_was.spent_bytes, sub_was2.spent_bytes);
            same_wall(sub_was.activation, sub_was2.activation);
            same_wall(sub_was.expiry, sub_was2.expiry);
        }
        same_subscription(&s, &s2);
        assert_int_equal(threshold, threshold2);

        struct sim m = random_sim(), m2;
        struct sim before_m = random_sim();
        struct sim_was sim_was = sim_was_like(&before_m), sim_was2;
        const struct sim_was *before_sim = maybe(&sim_was);
        buf_clear(&buf);
        event_pack_sim(&buf, &m, before_sim);
        assert_false(buf.failed);
        assert_int_equal(event_unpack_sim(buf_str(&buf), &arena, &m2, &sim_was2, &err), ERR_NONE);
        same_sim(&m, &m2);
        assert_int_equal(sim_was2.past, before_sim ? PAST_KNOWN : PAST_NONE);
        if (before_sim) {
            assert_int_equal(sim_was.esim, sim_was2.esim);
            assert_int_equal(sim_was.service, sim_was2.service);
            same_str(sim_was.eid, sim_was2.eid);
        }

        struct profile_progress p = {.point = 1 + (int)rng_below(&rng, POINT_MAX), .eid = m.eid}, p2;
        p.status = (enum progress_status)rng_below(&rng, PROGRESS_EXPIRED + 1);
        buf_clear(&buf);
        event_pack_progress(&buf, &m, &p);
        assert_false(buf.failed);
        assert_int_equal(event_unpack_progress(buf_str(&buf), &arena, &m2, &p2, &err), ERR_NONE);
        same_sim(&m, &m2);
        assert_int_equal(p.point, p2.point);
        assert_int_equal(p.status, p2.status);
        same_str(p.eid, p2.eid);
        assert_int_equal(event_unpack_sim(buf_str(&buf), &arena, &m2, &sim_was2, &err), ERR_CORRUPT); // another kind
        err_clear(&err);
    }
    buf_release(&buf);
}

static void event_payload_holds_no_personal_data(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, EVENT_PAYLOAD_MAX);
    struct order o = {.country = "GB", .iccid = ICCID_NONE, .subscriber = {.email = STR("jo@example.com"), .first_name = STR("Josephine")}};
    struct subscription s = {.email = STR("jo@example.com")};
    event_pack_order(&buf, &o, NULL);
    event_pack_subscription(&buf, &s, NULL, 0);
    assert_null(memmem(buf.p, buf.n, "example", 7));
    assert_null(memmem(buf.p, buf.n, "Josephine", 9));
    buf_release(&buf);
}

static void event_payload_cut_or_grown_is_corrupt(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, EVENT_PAYLOAD_MAX);
    for (int i = 0; i < 200; i++) {
        arena_reset(&arena);
        struct order o = random_order(), out = {.partner_id = -5};
        buf_clear(&buf);
        struct order_was was = order_was_in(ORDER_ACCEPTED), was2;
        event_pack_order(&buf, &o, &was);
        for (size_t n = 0; n < buf.n; n++) {
            struct err err = {0};
            assert_int_equal(event_unpack_order((struct str){buf.p, n}, &arena, &out, &was2, &err), ERR_CORRUPT);
            assert_int_equal(out.partner_id, -5); // untouched
        }
        struct err err = {0};
        buf_add_char(&buf, 0);
        assert_int_equal(event_unpack_order(buf_str(&buf), &arena, &out, &was2, &err), ERR_CORRUPT);
    }
    buf_release(&buf);
}

static void event_payload_of_another_kind_or_version_is_corrupt(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, EVENT_PAYLOAD_MAX);
    arena_reset(&arena);
    struct sim m = random_sim();
    event_pack_sim(&buf, &m, NULL);
    struct err err = {0};
    struct order o;
    struct subscription s;
    struct sim m2;
    int threshold;
    struct order_was order_was;
    struct subscription_was sub_was;
    struct sim_was before;
    assert_int_equal(event_unpack_order(buf_str(&buf), &arena, &o, &order_was, &err), ERR_CORRUPT);
    assert_int_equal(event_unpack_subscription(buf_str(&buf), &arena, &s, &sub_was, &threshold, &err), ERR_CORRUPT);
    assert_int_equal(event_unpack_sim(buf_str(&buf), &arena, &m2, &before, &err), ERR_NONE);
    buf.p[0]++;
    assert_int_equal(event_unpack_sim(buf_str(&buf), &arena, &m2, &before, &err), ERR_CORRUPT);
    assert_int_equal(event_unpack_sim(STR_NONE, &arena, &m2, &before, &err), ERR_CORRUPT);
    assert_int_equal(event_unpack_sim(STR(""), &arena, &m2, &before, &err), ERR_CORRUPT);
    buf_release(&buf);
}

// What is taken from spoilt bytes packs to those very bytes: nothing out of range gets in, and there is one form of each thing.
static void event_payload_spoilt_is_corrupt_or_well_formed(void **state) {
    (void)state;
    struct buf buf, again;
    buf_init(&buf, EVENT_PAYLOAD_MAX);
    buf_init(&again, EVENT_PAYLOAD_MAX);
    int taken = 0;
    for (int i = 0; i < 50000; i++) {
        arena_reset(&arena);
        struct err err = {0};
        struct subscription s = random_subscription(), out;
        int threshold;
        buf_clear(&buf);
        struct subscription_was was = subscription_was_like(&s);
        event_pack_subscription(&buf, &s, &was, 80);
        for (uint64_t n = 1 + rng_below(&rng, 3); n > 0; n--)
            buf.p[2 + rng_below(&rng, buf.n - 2)] ^= (char)(1 << rng_below(&rng, 8));
        if (event_unpack_subscription(buf_str(&buf), &arena, &out, &was, &threshold, &err) != ERR_NONE)
            continue;
        taken++;
        buf_clear(&again);
        event_pack_subscription(&again, &out, was.past == PAST_KNOWN ? &was : NULL, threshold);
        assert_true(str_eq(buf_str(&again), buf_str(&buf)));
        assert_true(out.spent_bytes >= 0 && out.spent_bytes <= out.initial_bytes);
    }
    assert_true(taken > 100); // flipped bits of dates, names and ids
    buf_release(&buf);
    buf_release(&again);
}

static void event_payload_for_which_there_is_no_room_fails(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, EVENT_PAYLOAD_MAX);
    arena_reset(&arena);
    struct order o = {.country = "GB", .failure = STR("a reason that takes more memory than there is in an arena of 16 bytes")};
    event_pack_order(&buf, &o, NULL);
    struct arena small;
    arena_init(&small, 16);
    struct err err = {0};
    struct order out;
    struct order_was was;
    assert_int_equal(event_unpack_order(buf_str(&buf), &small, &out, &was, &err), ERR_INTERNAL);
    arena_release(&small);
    struct buf tiny;
    buf_init(&tiny, 20);
    event_pack_order(&tiny, &o, NULL);
    assert_true(tiny.failed);
    buf_release(&tiny);
    buf_release(&buf);
}

static void event_payload_of_a_usual_order_is_small(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, EVENT_PAYLOAD_MAX);
    struct order o = {.id = random_uuid(),
                      .partner_id = 3,
                      .state = ORDER_COMPLETED,
                      .operation = OP_TOPUP,
                      .sim_type = SIM_PSIM,
                      .country = "GB",
                      .product_id = 7,
                      .product_public_id = "kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=",
                      .sold = {2000, "EUR"},
                      .activation = {INT64_C(1577836800000)},
                      .expiration = WALL_NONE,
                      .iccid = INT64_C(894447260000051074),
                      .correlation_id = STR("unique-id-from-requester-123"),
                      .created = {INT64_C(1773144000000)},
                      .finished = {INT64_C(1773144000000)}};
    event_pack_order(&buf, &o, NULL);
    assert_in_range(buf.n, 100, 160);
    buf_release(&buf);
}

// Version 1 ended where today's says what was before; a SIM's ended with the profile's status.
static void event_payload_of_version_one_is_read(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, EVENT_PAYLOAD_MAX);
    struct err err = {0};
    arena_reset(&arena);
    struct order o = random_order(), o2;
    struct order_was order_was;
    event_pack_order(&buf, &o, NULL);
    buf.p[0] = 1;
    assert_int_equal(event_unpack_order((struct str){buf.p, buf.n - 1}, &arena, &o2, &order_was, &err), ERR_NONE);
    same_order(&o, &o2);
    assert_int_equal(order_was.past, PAST_UNKNOWN);
    assert_int_equal(event_unpack_order(buf_str(&buf), &arena, &o2, &order_was, &err), ERR_CORRUPT);

    struct sim m = random_sim(), m2;
    struct sim_was sim_was;
    buf_clear(&buf);
    event_pack_sim(&buf, &m, NULL);
    buf.p[0] = 1;
    buf.p[buf.n - 1] = ESIM_RELEASED;
    assert_int_equal(event_unpack_sim(buf_str(&buf), &arena, &m2, &sim_was, &err), ERR_NONE);
    same_sim(&m, &m2);
    assert_int_equal(sim_was.past, PAST_UNKNOWN);
    buf_release(&buf);
}

static void event_filters_name_types(void **state) {
    (void)state;
    assert_true(event_types_named(STR("order.completed")) == UINT64_C(1) << EVENT_ORDER_COMPLETED);
    uint64_t orders = UINT64_C(1) << EVENT_ORDER_ACCEPTED | UINT64_C(1) << EVENT_ORDER_FULFILLING | UINT64_C(1) << EVENT_ORDER_COMPLETED |
                      UINT64_C(1) << EVENT_ORDER_FAILED;
    assert_true(event_types_named(STR("order.*")) == orders);
    assert_true((event_types_named(STR("*")) & orders) == orders);
    static const char *const none[] = {"", "order", "order.", "order.c*", ".*", "**", "orders.*", "Order.completed", "order.completed "};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_true(event_types_named(str_of(none[i])) == 0);
}

static void event_ids_are_stable_and_apart(void **state) {
    (void)state;
    struct event e = {.partner_id = 7, .sequence = 1, .created = {1795435200000}}, other;
    char id[EVENT_ID_TEXT], id2[EVENT_ID_TEXT];
    event_id_format(&e, id);
    assert_string_equal(id, "evt_01a20846-fe00-8000-8000-000000100007");
    struct uuid uuid;
    assert_true(uuid_parse(str_of(id + 4), &uuid));
    assert_int_equal(uuid_partner(uuid), 7);
    assert_int_equal(uuid_time(uuid).ms, e.created.ms);
    for (int bit = 0; bit < 53; bit++) {
        other = e;
        other.sequence ^= INT64_C(1) << bit;
        event_id_format(&other, id2);
        assert_string_not_equal(id, id2);
    }
}

static void event_types_have_names_and_keep_their_numbers(void **state) {
    (void)state;
    static const struct {
        int type;
        const char *name;
    } known[] = {
        {1, "order.accepted"},        {2, "order.fulfilling"},        {3, "order.completed"},         {4, "order.failed"},
        {10, "subscription.pending"}, {11, "subscription.activated"}, {12, "subscription.threshold"}, {13, "subscription.depleted"},
        {14, "subscription.expired"}, {20, "sim.activated"},          {21, "sim.download_progress"},  {22, "sim.status_changed"},
        {23, "sim.eid_changed"},      {30, "webhook.disabled"},       {31, "webhook.test"},
    };
    size_t found = 0;
    for (int t = -1; t < 256; t++) {
        const char *name = event_type_name((enum event_type)t);
        if (!name)
            continue;
        assert_true(found < ARRAY_LEN(known));
        assert_int_equal(t, known[found].type);
        assert_string_equal(name, known[found].name);
        found++;
    }
    assert_int_equal(found, ARRAY_LEN(known));
}

static void event_of_a_state_is_named_after_it(void **state) {
    (void)state;
    static const char *const orders[] = {"order.accepted", "order.fulfilling", "order.completed", "order.failed"};
    static const char *const subscriptions[] = {"subscription.pending", "subscription.pending", "subscription.activated",
                                                "subscription.depleted", "subscription.expired"};
    for (int s = ORDER_ACCEPTED; s <= ORDER_FAILED; s++)
        assert_string_equal(event_type_name(event_of_order(s)), orders[s]);
    for (int s = SUB_PENDING; s <= SUB_EXPIRED; s++)
        assert_string_equal(event_type_name(event_of_subscription(s)), subscriptions[s]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_payload_comes_back_as_it_was),
        cmocka_unit_test(event_payload_holds_no_personal_data),
        cmocka_unit_test(event_payload_cut_or_grown_is_corrupt),
        cmocka_unit_test(event_payload_of_another_kind_or_version_is_corrupt),
        cmocka_unit_test(event_payload_spoilt_is_corrupt_or_well_formed),
        cmocka_unit_test(event_payload_for_which_there_is_no_room_fails),
        cmocka_unit_test(event_payload_of_a_usual_order_is_small),
        cmocka_unit_test(event_payload_of_version_one_is_read),
        cmocka_unit_test(event_filters_name_types),
        cmocka_unit_test(event_ids_are_stable_and_apart),
        cmocka_unit_test(event_types_have_names_and_keep_their_numbers),
        cmocka_unit_test(event_of_a_state_is_named_after_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
