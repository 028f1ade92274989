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
    struct token_known known = {0};
    sum_of(1, sum);
    assert_false(token_cache_get(c, sum, NOW, &known));
    token_cache_put(c, sum, NOW, wall_plus_ms(NOW, 1000), 42);
    assert_true(token_cache_get(c, sum, wall_plus_ms(NOW, 999), &known));
    assert_int_equal(known.partner_id, 42);
    assert_int_equal(known.until.ms, NOW.ms + 1000);
    assert_false(known.before);
    assert_true(token_cache_get(c, sum, NOW, &known));
    assert_true(known.before);
    assert_false(token_cache_get(c, sum, wall_plus_ms(NOW, 1000), &known));
    for (int byte = 0; byte < 32; byte++) {
        memcpy(other, sum, 32);
        other[byte] ^= 1;
        assert_false(token_cache_get(c, other, NOW, &known));
    }
    token_cache_put(c, other, NOW, NOW, 42); // ended already
    assert_false(token_cache_get(c, other, wall_plus_ms(NOW, -1), &known));
    token_cache_close(c);
}

static void many_tokens_leave_the_newest_known(void **state UNUSED) {
    struct token_cache *c = token_cache_open();
    const int64_t n = 500000;
    uint8_t sum[32];
    struct token_known known;
    for (int64_t i = 0; i < n; i++) {
        sum_of(i, sum);
        token_cache_put(c, sum, NOW, wall_plus_ms(NOW, 300000 + i), i);
        assert_true(token_cache_get(c, sum, NOW, &known));
        assert_int_equal(known.partner_id, i);
    }
    int left = 0;
    for (int64_t i = n - 10000; i < n; i++) {
        sum_of(i, sum);
        left += token_cache_get(c, sum, NOW, &known);
    }
    assert_true(left > 9900); // of the last 10,000; the table holds 65,536
    token_cache_close(c);
}

// A token of 600 bytes that ends in something random, as signatures are.
static struct str text_of(int64_t i, char out[600]) {
    uint8_t sum[32];
    sum_of(i, sum);
    memset(out, 'x', 600);
    memcpy(out + 600 - sizeof(sum), sum, sizeof(sum));
    return (struct str){out, 600};
}

static void a_token_that_comes_often_is_known_by_its_text(void **state UNUSED) {
    struct token_texts *t = token_texts_open();
    const struct token_known known = {.partner_id = 42, .until = wall_plus_ms(NOW, 1000)};
    char text[600], longest[TOKEN_TEXT_MAX + 1];
    int64_t partner = 0;
    struct str token = text_of(1, text);
    assert_false(token_texts_get(t, token, NOW, &partner));
    token_texts_put(t, token, &known);
    assert_true(token_texts_get(t, token, wall_plus_ms(NOW, 999), &partner));
    assert_int_equal(partner, 42);
    assert_false(token_texts_get(t, token, wall_plus_ms(NOW, 1000), &partner));
    for (size_t at = 0; at < token.n; at++) {
        text[at] ^= 1;
        assert_false(token_texts_get(t, token, NOW, &partner));
        text[at] ^= 1;
    }
    assert_false(token_texts_get(t, (struct str){token.p, token.n - 1}, NOW, &partner));
    assert_false(token_texts_get(t, (struct str){token.p + 1, token.n - 1}, NOW, &partner));
    memset(longest, 'x', sizeof(longest));
    for (size_t n = 0; n <= sizeof(longest); n++) {
        token_texts_put(t, (struct str){longest, n}, &known);
        assert_int_equal(token_texts_get(t, (struct str){longest, n}, NOW, &partner), n >= 8 && n <= TOKEN_TEXT_MAX);
    }
    token_texts_close(t);
}

static void many_texts_take_turns(void **state UNUSED) {
    struct token_texts *t = token_texts_open();
    char text[600];
    int64_t partner;
    int left = 0;
    for (int64_t i = 0; i < 20000; i++) {
        struct token_known known = {.partner_id = i, .until = wall_plus_ms(NOW, 1000)};
        token_texts_put(t, text_of(i, text), &known);
        assert_true(token_texts_get(t, text_of(i, text), NOW, &partner));
        assert_int_equal(partner, i);
    }
    for (int64_t i = 0; i < 20000; i++) {
        bool found = token_texts_get(t, text_of(i, text), NOW, &partner);
        assert_true(!found || partner == i);
        left += found;
    }
    assert_in_range(left, 2000, 2048); // as many as there are places, less those that nobody came to
    token_texts_close(t);
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
    struct token_texts *texts;
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
        struct token_known known;
        char text[600];
        struct str token = text_of(key, text);
        uint8_t sum[32];
        struct partner out, in = partner_of(key);
        sum_of(key, sum);
        if (token_texts_get(s->texts, token, NOW, &found))
            s->wrong += found != key;
        if (token_cache_get(s->tokens, sum, NOW, &known)) {
            s->wrong += known.partner_id != key;
            token_texts_put(s->texts, token, &known);
        } else
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
    struct shared s[4] = {{.tokens = token_cache_open(), .texts = token_texts_open(), .partners = partner_cache_open()}};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        s[i] = (struct shared){.tokens = s[0].tokens, .texts = s[0].texts, .partners = s[0].partners, .seed = rng_u64(&rng)};
        assert_int_equal(pthread_create(&threads[i], NULL, use_both, &s[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(s[i].wrong, 0);
    }
    token_cache_close(s[0].tokens);
    token_texts_close(s[0].texts);
    partner_cache_close(s[0].partners);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_known_until_it_ends),
        cmocka_unit_test(many_tokens_leave_the_newest_known),
        cmocka_unit_test(a_token_that_comes_often_is_known_by_its_text),
        cmocka_unit_test(many_texts_take_turns),
        cmocka_unit_test(a_partner_is_known_for_a_second),
        cmocka_unit_test(news_drop_what_was_read_before_them),
        cmocka_unit_test(a_later_reading_is_not_overwritten_by_an_earlier_one),
        cmocka_unit_test(an_exhausted_arena_is_a_miss),
        cmocka_unit_test(many_partners_fit_in_little_room),
        cmocka_unit_test(threads_never_see_another_ones_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
