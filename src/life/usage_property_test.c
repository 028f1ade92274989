// SPDX-License-Identifier: Apache-2.0
/*
 * usage_property_test.c - what holds for any sequence of purchases, records, repeats, late records, calls and time passing:
 *
 *   - every byte that came in is on a subscription or unrated, exactly once; the bookings of a subscription sum to what it has spent;
 *   - 0 <= spent <= initial, and nothing is taken from one that could not be used at the record's time;
 *   - nothing stays unrated, and nothing is taken from one that comes later, while one that comes earlier has room;
 *   - a repeat changes nothing; other content under the same id is refused;
 *   - each threshold is told once, when it was crossed by one that runs; the end once, with its reason; the first byte once.
 *
 * Each sequence has a SIM of its own. PROPERTY_SEQUENCES says how many there are; SEED repeats a run.
 */
#include "life/testing.h"

#define SUBS_MAX 8
#define RECORDS_MAX 64
#define STEPS_MAX 40

struct booked {
    struct usage_record r;
    struct usage_result u; // with places of its own
    struct usage_place place[SUBS_MAX];
    char id[24];
};

struct sequence {
    struct fixture *f;
    struct rng rng;
    int number;
    iccid_t iccid;
    char iccid_text[ICCID_TEXT];
    int64_t born; // from NOW_MS
    struct uuid sub[SUBS_MAX];
    int64_t date[SUBS_MAX];                         // asked for, from NOW_MS; 0: none
    struct subscription s[SUBS_MAX], was[SUBS_MAX]; // now; before the last record
    int n_subs;
    struct booked record[RECORDS_MAX];
    int n_records;
    int64_t came_in;
    int64_t events_before; // the partner's last event before this sequence
};

static int64_t below(struct sequence *q, int64_t bound) {
    return (int64_t)rng_below(&q->rng, (uint64_t)bound);
}

static int64_t now_of(const struct sequence *q) { // from NOW_MS
    return clock_wall(&q->f->clock).ms - NOW_MS;
}

// ---- steps ----

static enum err_kind begin_job(struct tx *tx, void *ctx, struct err *err) {
    struct sequence *q = ctx;
    int64_t first;
    struct sim sim = fixture_sim(q->iccid, q->f->live.id);
    OK(store_sim_insert(tx, &sim, err));
    return store_event_range(tx, q->f->live.id, &first, &q->events_before, err);
}

static enum err_kind buy_job(struct tx *tx, void *ctx, struct err *err) {
    struct sequence *q = ctx;
    struct wish w = {
        .bytes = 1 + below(q, below(q, 3) ? 1000 : 10),
        .days = (int)(1 + below(q, 10)),
        .first_usage = below(q, 3) == 0,
        .date = below(q, 3) == 0 ? now_of(q) + (1 + below(q, 5)) * DAY + below(q, DAY) : 0,
    };
    if (below(q, 4) == 0)
        w.wanted_expiry = (w.date ? w.date : now_of(q)) + 1 + below(q, 8 * DAY);
    q->date[q->n_subs] = w.date;
    q->sub[q->n_subs] = subscribe_on(q->f, tx, q->iccid, &w, err);
    return ERR_NONE;
}

struct moving {
    struct sequence *q;
    int which;
    enum subscription_cue cue;
};
static enum err_kind move_job(struct tx *tx, void *ctx, struct err *err) {
    struct moving *m = ctx;
    return life_move(tx, &m->q->s[m->which], m->cue, tx_now(tx), err);
}

static void look(struct sequence *q) {
    for (int i = 0; i < q->n_subs; i++)
        q->s[i] = subscription_now(q->f, q->sub[i]);
}

static void call(struct sequence *q) {
    if (q->n_subs == 0)
        return;
    look(q);
    struct moving m = {q, (int)below(q, q->n_subs), below(q, 2) ? SUB_CUE_ACTIVATE : SUB_CUE_EXPIRE};
    struct err err = {0};
    enum err_kind kind = store_run(q->f->store, move_job, &m, &err);
    assert_true(kind == ERR_NONE || kind == ERR_CONFLICT);
}

// ---- what a record may be taken from: worked out from what the subscriptions look like, apart from the code under test ----

enum place { NOWHERE, RUNNING, WAITING };

static bool meets(const struct usage_record *r, int64_t from, int64_t to) { // to: INT64_MAX for ever
    from -= ((from % SECOND) + SECOND) % SECOND;
    return from <= r->end.ms && r->start.ms < to;
}

static enum place place_of(const struct sequence *q, int i, const struct subscription *s, const struct usage_record *r) {
    int64_t expiry = wall_set(s->expiry) ? s->expiry.ms : INT64_MAX;
    int64_t ready = s->created.ms > NOW_MS + q->date[i] || q->date[i] == 0 ? s->created.ms : NOW_MS + q->date[i];
    if (s->state == SUB_PENDING && s->activation.ms > clock_wall(&q->f->clock).ms)
        return NOWHERE;
    bool ran = wall_set(s->activation) && !(s->state == SUB_PENDING && s->first_usage); // of the latter it is only the date
    if (ran && meets(r, s->activation.ms, expiry))
        return RUNNING;
    if (s->first_usage && meets(r, ready, ran ? s->activation.ms : expiry))
        return WAITING;
    return NOWHERE;
}

// Whether i's turn comes before j's. Expiries are those before the record, which may begin one that waits.
static bool first_is(const struct sequence *q, int i, enum place at_i, int j, enum place at_j) {
    if (at_i != at_j)
        return at_i == RUNNING;
    struct wall a = at_i == RUNNING ? q->was[i].expiry : q->was[i].wanted_expiry;
    struct wall b = at_j == RUNNING ? q->was[j].expiry : q->was[j].wanted_expiry;
    if (wall_set(a) != wall_set(b))
        return wall_set(a);
    return a.ms < b.ms || (a.ms == b.ms && uuid_cmp(q->sub[i], q->sub[j]) < 0);
}

static void check_booking(struct sequence *q, const struct usage_record *r, const struct usage_result *u) {
    int64_t booked = 0, taken[SUBS_MAX] = {0};
    enum place place[SUBS_MAX];
    for (int i = 0; i < q->n_subs; i++)
        place[i] = place_of(q, i, &q->was[i], r);
    for (size_t k = 0; k < u->n_places; k++) {
        int i = 0;
        while (i < q->n_subs && !uuid_eq(q->sub[i], u->places[k].subscription_id))
            i++;
        assert_true(i < q->n_subs);
        assert_int_equal(taken[i], 0);
        assert_true(u->places[k].bytes > 0);
        taken[i] = u->places[k].bytes;
        booked += taken[i];
    }
    assert_int_equal(booked + u->unrated_bytes, r->bytes_up + r->bytes_down);
    for (int i = 0; i < q->n_subs; i++) {
        assert_int_equal(q->s[i].spent_bytes, q->was[i].spent_bytes + taken[i]);
        if (place[i] == NOWHERE) {
            assert_int_equal(taken[i], 0);
            continue;
        }
        bool room = q->s[i].spent_bytes < q->s[i].initial_bytes;
        if (room)
            assert_int_equal(u->unrated_bytes, 0);
        for (int j = 0; room && j < q->n_subs; j++) {
            if (j != i && taken[j] > 0)
                assert_true(first_is(q, j, place[j], i, place[i]));
        }
    }
}

// ---- records ----

// An instant at which something begins or ends, for an instant of a record: borders are where mistakes are.
static int64_t at_a_border(struct sequence *q, int64_t otherwise) {
    if (q->n_subs == 0 || below(q, 4))
        return otherwise;
    const struct subscription *s = &q->s[below(q, q->n_subs)];
    struct wall t = below(q, 2) ? s->activation : s->expiry;
    return wall_set(t) && t.ms - NOW_MS <= now_of(q) ? t.ms - NOW_MS : otherwise;
}

static void take(struct sequence *q) {
    if (q->n_records == RECORDS_MAX)
        return;
    struct booked *b = &q->record[q->n_records];
    int64_t now = now_of(q), start = q->born - DAY + below(q, now - q->born + DAY + 1), length = below(q, 2 * DAY);
    if (below(q, 4) == 0)
        length = 0;
    if (below(q, 2) == 0) { // to the second, as networks write
        start -= start % SECOND;
        length -= length % SECOND;
    }
    start = at_a_border(q, start);
    if (length > 0 && (length = at_a_border(q, start + length) - start) < 0)
        length = 0;
    if (start + length > now)
        length = now - start;
    snprintf(b->id, sizeof b->id, "%d-%d", q->number, q->n_records);
    b->r = record_of(b->id, below(q, 8) ? below(q, 600) : 0, start, start + length);
    b->r.number = str_of(q->iccid_text);
    memcpy(q->was, q->s, sizeof q->was);
    b->u = use_record(q->f, &b->r);
    assert_false(b->u.repeated);
    assert_true(b->u.verdict <= USAGE_UNRATED);
    assert_true(b->u.n_places <= SUBS_MAX);
    memcpy(b->place, b->u.places, b->u.n_places * sizeof b->place[0]);
    b->u.places = b->place;
    look(q);
    check_booking(q, &b->r, &b->u);
    q->came_in += b->r.bytes_up + b->r.bytes_down;
    q->n_records++;
}

static void take_again(struct sequence *q) {
    if (q->n_records == 0)
        return;
    const struct booked *b = &q->record[below(q, q->n_records)];
    struct usage_record r = b->r;
    bool other = below(q, 4) == 0;
    r.bytes_up += other;
    struct usage_result u = use_record(q->f, &r);
    memcpy(q->was, q->s, sizeof q->was);
    look(q);
    for (int i = 0; i < q->n_subs; i++)
        assert_int_equal(q->s[i].spent_bytes, q->was[i].spent_bytes);
    if (other) {
        assert_int_equal(u.verdict, USAGE_MISMATCH);
        return;
    }
    assert_true(u.repeated);
    assert_int_equal(u.verdict, b->u.verdict);
    assert_int_equal(u.unrated_bytes, b->u.unrated_bytes);
    assert_int_equal(u.n_places, b->u.n_places);
    for (size_t i = 0; i < u.n_places; i++)
        assert_memory_equal(&u.places[i], &b->u.places[i], sizeof u.places[i]);
}

// ---- what must hold at the end ----

static void check_sums(struct sequence *q) {
    int64_t spent = 0, unrated = 0, of[SUBS_MAX] = {0};
    for (int k = 0; k < q->n_records; k++) {
        unrated += q->record[k].u.unrated_bytes;
        for (size_t p = 0; p < q->record[k].u.n_places; p++) {
            for (int i = 0; i < q->n_subs; i++) {
                if (uuid_eq(q->sub[i], q->record[k].u.places[p].subscription_id))
                    of[i] += q->record[k].u.places[p].bytes;
            }
        }
    }
    for (int i = 0; i < q->n_subs; i++) {
        const struct subscription *s = &q->s[i];
        assert_true(s->spent_bytes >= 0 && s->spent_bytes <= s->initial_bytes);
        assert_int_equal(of[i], s->spent_bytes);
        assert_int_equal(wall_set(s->balance_as_of), s->spent_bytes > 0);
        if (s->state == SUB_DEPLETED)
            assert_int_equal(s->spent_bytes, s->initial_bytes);
        if (s->state == SUB_ACTIVE)
            assert_true(s->spent_bytes < s->initial_bytes);
        if (s->state == SUB_PENDING || s->state == SUB_PENDING_USAGE)
            assert_int_equal(s->spent_bytes, 0);
        spent += s->spent_bytes;
    }
    assert_int_equal(spent + unrated, q->came_in);
}

struct heard {
    int activated, thresholds[100], ended, after_end;
    enum subscription_end reason;
    int64_t spent_at_end;
};

static void check_events(struct sequence *q, const struct thresholds *thresholds) {
    struct err *err = &q->f->err;
    struct heard heard[SUBS_MAX] = {0};
    struct tx *tx;
    struct event *e;
    size_t n;
    OK(store_read_begin(q->f->store, &tx, err));
    OK(store_event_list(tx, q->f->live.id, q->events_before, 10000, &q->f->arena, &e, &n, err));
    store_read_end(tx);
    for (size_t k = 0; k < n; k++) {
        struct subscription s;
        struct subscription_was was;
        int threshold, i = 0;
        OK(event_unpack_subscription(e[k].payload, &q->f->arena, &s, &was, &threshold, err));
        while (i < q->n_subs && !uuid_eq(q->sub[i], e[k].order_id))
            i++;
        assert_true(i < q->n_subs);
        struct heard *h = &heard[i];
        h->after_end += h->ended > 0;
        switch (e[k].type) {
        case EVENT_SUBSCRIPTION_ACTIVATED:
            h->activated++;
            break;
        case EVENT_SUBSCRIPTION_THRESHOLD:
            assert_true(threshold > 0 && threshold < 100);
            assert_true(s.spent_bytes * 100 >= threshold * s.initial_bytes);
            for (int t = threshold + 1; t < 100; t++)
                assert_int_equal(h->thresholds[t], 0); // the lower first
            h->thresholds[threshold]++;
            break;
        case EVENT_SUBSCRIPTION_DEPLETED:
        case EVENT_SUBSCRIPTION_EXPIRED:
            h->ended++;
            h->reason = s.end;
            h->spent_at_end = s.spent_bytes;
            break;
        default:
            break;
        }
    }
    for (int i = 0; i < q->n_subs; i++) {
        const struct subscription *s = &q->s[i];
        const struct heard *h = &heard[i];
        assert_int_equal(h->after_end, 0);
        assert_int_equal(h->ended, subscription_finished(s->state));
        assert_int_equal(h->reason, s->end);
        assert_true(h->activated <= 1);
        int64_t counts = h->ended ? h->spent_at_end : s->spent_bytes; // what is booked after the end warns nobody
        for (int t = 0; t < thresholds->n; t++) {
            int percent = thresholds->percent[t];
            assert_int_equal(h->thresholds[percent], counts * 100 >= percent * s->initial_bytes);
        }
    }
}

static void one_sequence(struct fixture *f, struct rng rng, int number, const struct thresholds *thresholds) {
    struct err *err = &f->err;
    struct sequence q = {.f = f, .rng = rng, .number = number, .iccid = ICCID_C + 1 + number};
    arena_reset(&f->arena);
    iccid_format(q.iccid, q.iccid_text);
    clock_manual_advance(&f->manual, 1 + below(&q, DAY));
    q.born = now_of(&q);
    OK(store_run(f->store, begin_job, &q, err));
    int64_t steps = 1 + below(&q, STEPS_MAX);
    for (int64_t i = 0; i < steps; i++) {
        switch (below(&q, 10)) {
        case 0:
        case 1:
            if (q.n_subs < SUBS_MAX) {
                OK(store_run(f->store, buy_job, &q, err));
                q.n_subs++;
                look(&q);
            }
            break;
        case 2:
            call(&q);
            look(&q);
            break;
        case 3: // time passes, and perhaps nobody looks
            clock_manual_advance(&f->manual, below(&q, 3 * DAY));
            if (below(&q, 3)) {
                pass_time(f, 0, now_of(&q), 1 + below(&q, 10));
                look(&q);
            }
            break;
        case 4:
            take_again(&q);
            break;
        default:
            take(&q);
        }
    }
    check_sums(&q);
    check_events(&q, thresholds);
    // What is left over does not stand in the next sequence's way.
    for (int i = 0; i < q.n_subs; i++) {
        struct moving m = {&q, i, SUB_CUE_EXPIRE};
        if (!subscription_finished(q.s[i].state))
            OK(store_run(f->store, move_job, &m, err));
    }
}

JOB(thresholds_job) {
    struct fixture *f = ctx;
    for (int percent = 50; percent < 100; percent += 15) // 50, 65, 80, 95
        assert_true(thresholds_add(&f->live.thresholds, percent));
    return store_partner_update(tx, &f->live, err);
}

static void every_byte_is_accounted_for(void **state) {
    struct fixture *f = *state;
    struct err *err = &f->err;
    struct rng_seeded seeded;
    struct rng rng = testing_rng(&seeded);
    const char *given = getenv("PROPERTY_SEQUENCES");
    uint64_t sequences = 300;
    assert_true(given == NULL || str_to_u64(str_of(given), &sequences));
    RUN(f, thresholds_job);
    struct thresholds thresholds = partner_thresholds(&f->live);
    for (uint64_t i = 0; i < sequences; i++) {
        one_sequence(f, rng, (int)i, &thresholds);
        if (i % 1000 == 999)
            print_message("%d sequences\n", (int)i + 1);
    }
}

int main(void) {
    // Thousands of commits, and none of this is a matter of the disk.
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(every_byte_is_accounted_for, fixture_setup, fixture_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
