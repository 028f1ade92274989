// SPDX-License-Identifier: Apache-2.0
/*
 * Who waits, and who is woken: with a store's real commits, exchanges that are nobody's, and a clock that stands still; then the same with
 * threads on both sides.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "api/wait.h"
#include "store/testing.h"

// ---- an exchange that counts how often it is resumed ----

struct sleeper {
    struct http_exchange x; // first
    struct wait wait;
    int resumed;
    int place; // in the order of waking
};

static int awakened;

static void on_resume(struct http_exchange *x) {
    struct sleeper *s = (struct sleeper *)x;
    s->resumed++;
    s->place = awakened++;
}

static const struct http_side side = {NULL, on_resume, NULL};

static struct sleeper sleeper_new(int64_t partner_id, const struct uuid *order_id, uint64_t types) {
    return (struct sleeper){.x = {.side = &side},
                            .wait = {.partner_id = partner_id, .order_id = order_id ? *order_id : (struct uuid){{0}}, .types = types}};
}

#define TYPE(t) (UINT64_C(1) << (t))
#define ANY UINT64_MAX

static enum wait_answer sleep_s(struct waits *w, struct sleeper *s, const struct fixture *f, int64_t ms) {
    s->wait.x = &s->x;
    wait_expect(w, &s->wait);
    return wait_sleep(w, &s->wait, (struct mono){clock_mono(&f->clock).ns + ms * 1000000});
}

// ---- something happens ----

struct happening {
    int64_t partner_id;
    struct uuid order_id;
    enum event_type type;
    int times;
};

JOB(happen) {
    struct happening *h = ctx;
    for (int i = 0; i < h->times; i++) {
        struct event e = {
            .partner_id = h->partner_id, .type = h->type, .created = tx_now(tx), .order_id = h->order_id, .iccid = ICCID_NONE};
        OK(store_event_append(tx, &e, err));
    }
    return ERR_NONE;
}

static void let_happen(struct fixture *f, int64_t partner_id, const struct uuid *order_id, enum event_type type, int times) {
    struct err *err = &f->err;
    struct happening h = {partner_id, order_id ? *order_id : (struct uuid){{0}}, type, times};
    OK(store_run(f->store, happen, &h, err));
}

static struct waits *open_waits(struct fixture *f, bool hears) {
    struct waits *w = waits_open(f->store, &f->clock);
    if (hears)
        store_on_commit(f->store, NEWS_EVENTS, waits_news, w);
    awakened = 0;
    return w;
}

static const struct uuid order_a = {{1}}, order_b = {{2}};

// ---- tests ----

static void a_commit_wakes_those_concerned(void **state) {
    struct fixture *f = *state;
    struct waits *w = open_waits(f, true);
    struct sleeper s[] = {
        sleeper_new(f->live.id, NULL, ANY),
        sleeper_new(f->live.id, NULL, TYPE(EVENT_ORDER_FAILED)),
        sleeper_new(f->live.id, &order_a, TYPE(EVENT_ORDER_COMPLETED)),
        sleeper_new(f->live.id, &order_b, TYPE(EVENT_ORDER_COMPLETED)),
        sleeper_new(f->live.id, &order_a, TYPE(EVENT_ORDER_FAILED)),
        sleeper_new(f->sandbox.id, NULL, ANY),
    };
    for (size_t i = 0; i < ARRAY_LEN(s); i++)
        assert_int_equal(sleep_s(w, &s[i], f, 1000), WAIT_SLEEPS);
    assert_int_equal(waits_count(w), 6);
    let_happen(f, f->live.id, &order_a, EVENT_ORDER_COMPLETED, 1);
    static const int first[] = {1, 0, 1, 0, 0, 0};
    for (size_t i = 0; i < ARRAY_LEN(s); i++)
        assert_int_equal(s[i].resumed, first[i]);
    let_happen(f, f->live.id, &order_b, EVENT_ORDER_FAILED, 3);
    static const int second[] = {1, 1, 1, 0, 0, 0}; // once each
    for (size_t i = 0; i < ARRAY_LEN(s); i++)
        assert_int_equal(s[i].resumed, second[i]);
    assert_int_equal(waits_count(w), 3);
    clock_manual_advance(&f->manual, 1000);
    waits_turn(w);
    for (size_t i = 0; i < ARRAY_LEN(s); i++)
        assert_int_equal(s[i].resumed, 1);
    assert_int_equal(waits_count(w), 0);
    waits_close(w);
}

static void what_came_between_the_look_and_the_sleep_is_not_slept_over(void **state) {
    struct fixture *f = *state;
    struct waits *w = open_waits(f, true);
    struct sleeper s = sleeper_new(f->live.id, NULL, ANY);
    s.wait.x = &s.x;
    wait_expect(w, &s.wait);
    let_happen(f, f->live.id, NULL, EVENT_SIM_ACTIVATED, 1);
    assert_int_equal(wait_sleep(w, &s.wait, (struct mono){INT64_MAX}), WAIT_CAME);
    assert_int_equal(s.resumed, 0);
    assert_int_equal(sleep_s(w, &s, f, 10), WAIT_SLEEPS);
    clock_manual_advance(&f->manual, 10);
    waits_turn(w);
    assert_int_equal(s.resumed, 1);
    wait_expect(w, &s.wait); // it was there at once
    wait_forget(w, &s.wait);
    let_happen(f, f->live.id, NULL, EVENT_SIM_ACTIVATED, 1);
    assert_int_equal(s.resumed, 1);
    assert_int_equal(waits_count(w), 0);
    waits_close(w);
}

static void a_commit_of_very_much_wakes_everybody(void **state) {
    struct fixture *f = *state;
    struct waits *w = open_waits(f, true);
    struct sleeper s[] = {sleeper_new(f->sandbox.id, NULL, ANY), sleeper_new(f->live.id, &order_a, TYPE(EVENT_ORDER_FAILED))};
    for (size_t i = 0; i < ARRAY_LEN(s); i++)
        assert_int_equal(sleep_s(w, &s[i], f, 1000), WAIT_SLEEPS);
    let_happen(f, f->live.id, NULL, EVENT_SIM_ACTIVATED, STORE_TOLD_MAX + 1);
    assert_int_equal(s[0].resumed + s[1].resumed, 2);
    waits_close(w);
}

enum { MANY = 3000 };

// Random ends, some of them woken or never asleep: each is resumed once, in the order of the ends.
static void time_wakes_in_order(void **state) {
    struct fixture *f = *state;
    struct rng_seeded seeded;
    struct rng rng = testing_rng(&seeded);
    struct waits *w = open_waits(f, true);
    struct sleeper *s = xcalloc(MANY, sizeof *s);
    int64_t begin = clock_mono(&f->clock).ns;
    for (int i = 0; i < MANY; i++) {
        struct uuid order = {{(uint8_t)(i % 5), 9}};
        s[i] = sleeper_new(i % 2 ? f->live.id : f->sandbox.id, i % 3 ? &order : NULL, TYPE(EVENT_ORDER_FAILED));
        assert_int_equal(sleep_s(w, &s[i], f, (int64_t)rng_below(&rng, 10000)), WAIT_SLEEPS);
    }
    let_happen(f, f->live.id, &(struct uuid){{1, 9}}, EVENT_ORDER_FAILED, 1);
    let_happen(f, f->sandbox.id, &(struct uuid){{2, 9}}, EVENT_ORDER_FAILED, 1);
    int by_news = awakened;
    assert_true(by_news > MANY / 5 && by_news < MANY);
    int64_t before = INT64_MIN;
    for (int step = 0; step < 1000; step++) {
        clock_manual_advance(&f->manual, 10);
        waits_turn(w);
    }
    assert_int_equal(awakened, MANY);
    struct sleeper **in_order = xcalloc(MANY, sizeof *in_order);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(s[i].resumed, 1);
        in_order[s[i].place] = &s[i];
    }
    for (int i = by_news; i < MANY; i++) { // woken in steps of 10 ms, and within one in any order
        int64_t at = (in_order[i]->wait.until.ns - begin + 9999999) / 10000000;
        assert_true(at >= before);
        before = at;
    }
    assert_int_equal(waits_count(w), 0);
    free(in_order);
    free(s);
    waits_close(w);
}

static void a_stop_wakes_everybody_and_nobody_sleeps_after_it(void **state) {
    struct fixture *f = *state;
    struct waits *w = open_waits(f, true);
    struct sleeper s[] = {sleeper_new(f->live.id, NULL, ANY), sleeper_new(f->sandbox.id, &order_a, ANY)};
    struct sleeper early = sleeper_new(f->live.id, NULL, ANY), late = sleeper_new(f->live.id, NULL, ANY);
    for (size_t i = 0; i < ARRAY_LEN(s); i++)
        assert_int_equal(sleep_s(w, &s[i], f, 1000), WAIT_SLEEPS);
    early.wait.x = &early.x;
    wait_expect(w, &early.wait);
    waits_drain(w);
    assert_int_equal(s[0].resumed + s[1].resumed, 2);
    assert_int_equal(wait_sleep(w, &early.wait, (struct mono){INT64_MAX}), WAIT_NO);
    assert_int_equal(sleep_s(w, &late, f, 1000), WAIT_NO);
    assert_int_equal(early.resumed + late.resumed, 0);
    assert_int_equal(waits_count(w), 0);
    waits_close(w);
}

// As another node's commits are found: these waits do not hear the store's news.
static void a_look_finds_what_no_news_told_of(void **state) {
    struct fixture *f = *state;
    struct waits *w = open_waits(f, false);
    let_happen(f, f->live.id, &order_a, EVENT_ORDER_COMPLETED, 2);
    struct sleeper s[] = {
        sleeper_new(f->live.id, NULL, ANY),
        sleeper_new(f->live.id, &order_a, TYPE(EVENT_ORDER_COMPLETED)),
        sleeper_new(f->live.id, &order_b, TYPE(EVENT_ORDER_COMPLETED)),
        sleeper_new(f->sandbox.id, NULL, ANY),
    };
    for (size_t i = 0; i < ARRAY_LEN(s); i++)
        assert_int_equal(sleep_s(w, &s[i], f, 1000), WAIT_SLEEPS);
    let_happen(f, f->live.id, &order_a, EVENT_ORDER_COMPLETED, 1); // before the first look: it must not be taken for what was known
    waits_look(w);
    for (size_t i = 0; i < ARRAY_LEN(s); i++) {
        assert_int_equal(s[i].resumed, 1);
        assert_int_equal(sleep_s(w, &s[i], f, 1000), WAIT_SLEEPS);
    }
    waits_look(w);
    assert_int_equal(awakened, 4);
    let_happen(f, f->live.id, &order_a, EVENT_ORDER_COMPLETED, 1);
    assert_int_equal(awakened, 4);
    waits_look(w);
    assert_int_equal(s[0].resumed + s[1].resumed, 4);
    assert_int_equal(awakened, 6);
    // While nobody waits for a while nothing is lost.
    let_happen(f, f->live.id, &order_a, EVENT_ORDER_COMPLETED, 1);
    assert_int_equal(sleep_s(w, &s[0], f, 1000), WAIT_SLEEPS);
    waits_look(w);
    assert_int_equal(s[0].resumed, 3);
    let_happen(f, f->live.id, &order_a, EVENT_ORDER_COMPLETED, 1500); // too many to be looked at one by one
    waits_look(w);
    assert_int_equal(s[2].resumed, 2);
    assert_int_equal(s[3].resumed, 1);
    waits_drain(w);
    waits_close(w);
}

#define TALKERS 4

struct talk {
    struct partner p[TALKERS];
    bool begin; // the partners are made
};

JOB(talk_job) {
    struct talk *t = ctx;
    static char text[EVENT_PAYLOAD_MAX];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < TALKERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "talker-%d", i);
        if (t->begin) {
            t->p[i] = (struct partner){.client_id = str_of(name), .name = STR("Talker"), .currencies = STR(""), .event_days = 90};
            t->p[i].created = tx_now(tx);
            t->p[i].rate_per_minute = -1;
            OK(store_partner_insert(tx, &t->p[i], err));
        }
        for (int k = 0; !t->begin && k < 900; k++) {
            struct event e = {.partner_id = t->p[i].id,
                              .type = EVENT_ORDER_COMPLETED,
                              .created = tx_now(tx),
                              .iccid = ICCID_NONE,
                              .payload = {text, sizeof text}};
            OK(store_event_append(tx, &e, err));
        }
    }
    return ERR_NONE;
}

// Of each 7 MB, which together are more than one look has memory for.
static void a_look_at_those_with_much_news_leaves_nobody_out(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct waits *w = open_waits(f, false);
    struct talk t = {.begin = true};
    struct sleeper s[TALKERS];
    OK(store_run(f->store, talk_job, &t, err));
    for (int i = 0; i < TALKERS; i++) {
        s[i] = sleeper_new(t.p[i].id, NULL, ANY);
        assert_int_equal(sleep_s(w, &s[i], f, 1000), WAIT_SLEEPS);
    }
    waits_look(w);
    for (int i = 0; i < TALKERS; i++)
        assert_int_equal(sleep_s(w, &s[i], f, 1000), WAIT_SLEEPS);
    t.begin = false;
    OK(store_run(f->store, talk_job, &t, err));
    waits_look(w);
    for (int i = 0; i < TALKERS; i++)
        assert_int_equal(s[i].resumed, 2);
    waits_drain(w);
    waits_close(w);
}

// What the news told of makes no look wake anybody.
static void a_look_after_the_news_finds_nothing(void **state) {
    struct fixture *f = *state;
    struct waits *w = open_waits(f, true);
    struct sleeper s = sleeper_new(f->live.id, NULL, TYPE(EVENT_ORDER_FAILED));
    assert_int_equal(sleep_s(w, &s, f, 1000), WAIT_SLEEPS);
    waits_look(w);
    assert_int_equal(sleep_s(w, &s, f, 1000), WAIT_SLEEPS);
    for (int i = 0; i < 5; i++) {
        let_happen(f, f->live.id, &order_a, EVENT_ORDER_COMPLETED, 1200);
        waits_look(w);
        assert_int_equal(s.resumed, 1);
    }
    waits_drain(w);
    waits_close(w);
}

// ---- threads ----

enum { SLEEPERS = 8, ROUNDS = 1600 };

struct thread_sleeper {
    struct http_exchange x; // first
    struct waits *waits;
    struct fixture *f;
    int number;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool resumed;
    int64_t seen;
    int late; // how often it was time that woke it
};

static void thread_resume(struct http_exchange *x) {
    struct thread_sleeper *s = (struct thread_sleeper *)x;
    pthread_mutex_lock(&s->lock);
    assert_false(s->resumed);
    s->resumed = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static const struct http_side thread_side = {NULL, thread_resume, NULL};

static int64_t newest(struct fixture *f) {
    struct err *err = &(struct err){0};
    struct tx *tx;
    int64_t first, last;
    OK(store_read_begin(f->store, &tx, err));
    OK(store_event_range(tx, f->live.id, &first, &last, err));
    store_read_end(tx);
    return last;
}

// Sees the log to its end, ROUNDS events long; sleeps whenever there is nothing new. A lost wake-up shows as a sleep to the end of its
// time.
static void *sleeper_main(void *arg) {
    struct thread_sleeper *s = arg;
    struct uuid order = {{(uint8_t)(s->number + 1)}};
    struct wait wait = {.x = &s->x, .partner_id = s->f->live.id, .types = ANY};
    if (s->number % 2)
        wait.order_id = order;
    while (s->seen < ROUNDS) {
        wait_expect(s->waits, &wait);
        int64_t last = newest(s->f);
        if (last > s->seen) {
            wait_forget(s->waits, &wait);
            s->seen = last;
            continue;
        }
        struct mono until = {clock_mono(&clock_system).ns + INT64_C(20000000000)};
        enum wait_answer answer = wait_sleep(s->waits, &wait, until);
        assert_int_not_equal(answer, WAIT_NO);
        if (answer == WAIT_CAME)
            continue;
        pthread_mutex_lock(&s->lock);
        while (!s->resumed)
            pthread_cond_wait(&s->changed, &s->lock);
        s->resumed = false;
        pthread_mutex_unlock(&s->lock);
        s->late += clock_mono(&clock_system).ns >= until.ns;
    }
    return NULL;
}

// One event for each order that somebody sleeps for.
JOB(happen_to_all) {
    struct fixture *f = ctx;
    for (int i = 1; i < SLEEPERS; i += 2) {
        struct event e = {.partner_id = f->live.id,
                          .type = EVENT_ORDER_COMPLETED,
                          .created = tx_now(tx),
                          .order_id = {{(uint8_t)(i + 1)}},
                          .iccid = ICCID_NONE};
        OK(store_event_append(tx, &e, err));
    }
    return ERR_NONE;
}

static void threads_miss_nothing(void **state) {
    struct fixture *f = *state;
    f->options.threaded = true;
    f->options.clock = &clock_system;
    fixture_open(f);
    fixture_fill(f);
    struct err *err = &f->err;
    struct waits *w = waits_open(f->store, &clock_system);
    store_on_commit(f->store, NEWS_EVENTS, waits_news, w);
    OK(waits_run(w, err));
    struct thread_sleeper *s = xcalloc(SLEEPERS, sizeof *s);
    pthread_t threads[SLEEPERS];
    for (int i = 0; i < SLEEPERS; i++) {
        s[i] = (struct thread_sleeper){.x = {.side = &thread_side}, .waits = w, .f = f, .number = i};
        pthread_mutex_init(&s[i].lock, NULL);
        pthread_cond_init(&s[i].changed, NULL);
        assert_int_equal(pthread_create(&threads[i], NULL, sleeper_main, &s[i]), 0);
    }
    struct mono from = clock_mono(&clock_system);
    while (newest(f) < ROUNDS)
        OK(store_run(f->store, happen_to_all, f, err));
    for (int i = 0; i < SLEEPERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(s[i].late, 0);
        pthread_cond_destroy(&s[i].changed);
        pthread_mutex_destroy(&s[i].lock);
    }
    assert_true(mono_ms_between(from, clock_mono(&clock_system)) < 120000);
    assert_int_equal(waits_count(w), 0);
    waits_stop(w);
    fixture_close(f);
    waits_close(w);
    free(s);
}

static void time_passes_on_the_thread_too(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct waits *w = waits_open(f->store, &clock_system);
    OK(waits_run(w, err));
    struct thread_sleeper s = {.x = {.side = &thread_side}, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct thread_sleeper never = s;
    struct wait wait = {.x = &s.x, .partner_id = f->live.id, .types = ANY}, other = wait;
    other.x = &never.x;
    wait_expect(w, &other);
    assert_int_equal(wait_sleep(w, &other, (struct mono){INT64_MAX}), WAIT_SLEEPS);
    for (int i = 0; i < 20; i++) {
        struct mono from = clock_mono(&clock_system);
        wait_expect(w, &wait);
        assert_int_equal(wait_sleep(w, &wait, (struct mono){from.ns + 5000000}), WAIT_SLEEPS);
        pthread_mutex_lock(&s.lock);
        while (!s.resumed)
            pthread_cond_wait(&s.changed, &s.lock);
        s.resumed = false;
        pthread_mutex_unlock(&s.lock);
        assert_true(mono_ms_between(from, clock_mono(&clock_system)) >= 5);
    }
    assert_false(never.resumed);
    waits_stop(w);
    assert_true(never.resumed);
    waits_close(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define CLOSED(name) cmocka_unit_test_setup_teardown(name, fixture_setup_closed, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_commit_wakes_those_concerned),
        TEST(what_came_between_the_look_and_the_sleep_is_not_slept_over),
        TEST(a_commit_of_very_much_wakes_everybody),
        TEST(time_wakes_in_order),
        TEST(a_stop_wakes_everybody_and_nobody_sleeps_after_it),
        TEST(a_look_finds_what_no_news_told_of),
        TEST(a_look_at_those_with_much_news_leaves_nobody_out),
        TEST(a_look_after_the_news_finds_nothing),
        CLOSED(threads_miss_nothing),
        TEST(time_passes_on_the_thread_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
