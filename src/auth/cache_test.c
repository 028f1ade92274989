// SPDX-License-Identifier: Apache-2.0
#include "auth/cache.h"

#include <pthread.h>

#include "base/secret.h"
#include "base/testing.h"

#define NOW ((struct wall){1700000000000})

static void sum_of(int64_t i, uint8_t out[32]) {
    sha256_of((struct str){(const char *)&i, sizeof(i)}, out);
}

static void a_token_is_known_until_it_ends(void **state UNUSED) {
    struct token_cache *c = token_cache_open();
    uint8_t sum[32], other[32];
    int64_t partner = 0;
    sum_of(1, sum);
    assert_false(token_cache_get(c, sum, NOW, &partner));
    token_cache_put(c, sum, NOW, wall_plus_ms(NOW, 1000), 42);
    assert_true(token_cache_get(c, sum, wall_plus_ms(NOW, 999), &partner));
    assert_int_equal(partner, 42);
    assert_false(token_cache_get(c, sum, wall_plus_ms(NOW, 1000), &partner));
    for (int byte = 0; byte < 32; byte++) {
        memcpy(other, sum, 32);
        other[byte] ^= 1;
        assert_false(token_cache_get(c, other, NOW, &partner));
    }
    token_cache_put(c, other, NOW, NOW, 42); // ended already
    assert_false(token_cache_get(c, other, wall_plus_ms(NOW, -1), &partner));
    token_cache_close(c);
}

static void many_tokens_leave_the_newest_known(void **state UNUSED) {
    struct token_cache *c = token_cache_open();
    const int64_t n = 500000;
    uint8_t sum[32];
    int64_t partner;
    for (int64_t i = 0; i < n; i++) {
        sum_of(i, sum);
        token_cache_put(c, sum, NOW, wall_plus_ms(NOW, 300000 + i), i);
        assert_true(token_cache_get(c, sum, NOW, &partner));
        assert_int_equal(partner, i);
    }
    int known = 0;
    for (int64_t i = n - 10000; i < n; i++) {
        sum_of(i, sum);
        known += token_cache_get(c, sum, NOW, &partner);
    }
    assert_true(known > 9900); // of the last 10,000; the table holds 65,536
    token_cache_close(c);
}

static struct partner partner_of(int64_t id) {
    return (struct partner){
        .id = id, .client_id = STR("acme"), .name = STR("Acme"), .currencies = STR(""), .rate_per_minute = 7, .cap_day = id};
}

static void a_partner_is_known_for_a_second(void **state UNUSED) {
    struct partner_cache *c = partner_cache_open();
    struct partner in = partner_of(3), out;
    struct arena a;
    struct mono then = {1000000000};
    arena_init(&a, 4096);
    partner_cache_put(c, &in, then, partner_cache_generation(c));
    assert_true(partner_cache_get(c, 3, (struct mono){then.ns + 999999999}, &a, &out));
    assert_int_equal(out.cap_day, 3);
    assert_string_equal(out.client_id.p, "acme");
    assert_ptr_not_equal(out.client_id.p, in.client_id.p);
    assert_string_equal(out.name.p, "Acme");
    assert_true(str_present(out.currencies) && out.currencies.n == 0);
    assert_false(partner_cache_get(c, 3, (struct mono){then.ns + 1000000000}, &a, &out));
    assert_false(partner_cache_get(c, 4, then, &a, &out));
    arena_release(&a);
    partner_cache_close(c);
}

static void news_drop_what_was_read_before_them(void **state UNUSED) {
    struct partner_cache *c = partner_cache_open();
    struct partner in = partner_of(3), out;
    struct arena a;
    struct mono now = {1};
    arena_init(&a, 4096);
    partner_cache_put(c, &in, now, partner_cache_generation(c));
    unsigned before = partner_cache_generation(c);
    partner_cache_drop(c);
    assert_false(partner_cache_get(c, 3, now, &a, &out));
    partner_cache_put(c, &in, now, before); // read before the news, put after them
    assert_false(partner_cache_get(c, 3, now, &a, &out));
    partner_cache_put(c, &in, now, partner_cache_generation(c));
    assert_true(partner_cache_get(c, 3, now, &a, &out));
    arena_release(&a);
    partner_cache_close(c);
}

static void a_later_reading_is_not_overwritten_by_an_earlier_one(void **state UNUSED) {
    struct partner_cache *c = partner_cache_open();
    struct partner old = partner_of(3), fresh = partner_of(3), out;
    struct arena a;
    arena_init(&a, 4096);
    fresh.disabled = true;
    partner_cache_put(c, &fresh, (struct mono){200}, 0);
    partner_cache_put(c, &old, (struct mono){100}, 0);
    assert_true(partner_cache_get(c, 3, (struct mono){300}, &a, &out));
    assert_true(out.disabled);
    arena_release(&a);
    partner_cache_close(c);
}

static void an_exhausted_arena_is_a_miss(void **state UNUSED) {
    struct partner_cache *c = partner_cache_open();
    struct partner in = partner_of(3), out = {.id = 99};
    struct arena a;
    arena_init(&a, 4096);
    partner_cache_put(c, &in, (struct mono){1}, 0);
    while (arena_alloc(&a, 1))
        ;
    assert_false(partner_cache_get(c, 3, (struct mono){1}, &a, &out));
    assert_int_equal(out.id, 99);
    arena_release(&a);
    partner_cache_close(c);
}

static void many_partners_fit_in_little_room(void **state UNUSED) {
    struct partner_cache *c = partner_cache_open();
    struct arena a;
    struct partner out;
    arena_init(&a, 64u << 20);
    for (int64_t id = 1; id <= 100000; id++) {
        struct partner in = partner_of(id);
        partner_cache_put(c, &in, (struct mono){id}, 0);
        assert_true(partner_cache_get(c, id, (struct mono){id}, &a, &out));
        assert_int_equal(out.cap_day, id);
        arena_reset(&a);
    }
    arena_release(&a);
    partner_cache_close(c);
}

struct shared {
    struct token_cache *tokens;
    struct partner_cache *partners;
    uint64_t seed;
    int wrong;
};

static void *use_both(void *arg) {
    struct shared *s = arg;
    struct rng_seeded seeded;
    struct rng rng = rng_seeded_init(&seeded, s->seed);
    struct arena a;
    arena_init(&a, 1u << 16);
    for (int i = 0; i < 20000; i++) {
        int64_t key = (int64_t)rng_below(&rng, 200) + 1, found;
        uint8_t sum[32];
        struct partner out, in = partner_of(key);
        sum_of(key, sum);
        if (token_cache_get(s->tokens, sum, NOW, &found))
            s->wrong += found != key;
        else
            token_cache_put(s->tokens, sum, NOW, wall_plus_ms(NOW, 1 + (int64_t)rng_below(&rng, 50)), key);
        if (partner_cache_get(s->partners, key, (struct mono){i}, &a, &out))
            s->wrong += out.cap_day != key || !str_is(out.client_id, "acme");
        else
            partner_cache_put(s->partners, &in, (struct mono){i}, partner_cache_generation(s->partners));
        if (rng_below(&rng, 100) == 0)
            partner_cache_drop(s->partners);
        arena_reset(&a);
    }
    arena_release(&a);
    return NULL;
}

static void threads_never_see_another_ones_entry(void **state UNUSED) {
    struct rng_seeded seeded;
    struct rng rng = testing_rng(&seeded);
    struct shared s[4] = {{.tokens = token_cache_open(), .partners = partner_cache_open()}};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        s[i] = (struct shared){.tokens = s[0].tokens, .partners = s[0].partners, .seed = rng_u64(&rng)};
        assert_int_equal(pthread_create(&threads[i], NULL, use_both, &s[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(s[i].wrong, 0);
    }
    token_cache_close(s[0].tokens);
    partner_cache_close(s[0].partners);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_known_until_it_ends),
        cmocka_unit_test(many_tokens_leave_the_newest_known),
        cmocka_unit_test(a_partner_is_known_for_a_second),
        cmocka_unit_test(news_drop_what_was_read_before_them),
        cmocka_unit_test(a_later_reading_is_not_overwritten_by_an_earlier_one),
        cmocka_unit_test(an_exhausted_arena_is_a_miss),
        cmocka_unit_test(many_partners_fit_in_little_room),
        cmocka_unit_test(threads_never_see_another_ones_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
