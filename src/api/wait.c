// SPDX-License-Identifier: Apache-2.0
/*
 * wait.c - who waits, by order and by partner and by time; and the thread that wakes them.
 *
 * Two locks. `inbox.lock` is the one the store's writer takes: held only to copy. `lock` guards the rest. Whoever takes a sleeping entry
 * out of the index, under the lock, is the one to resume it, after letting go of the lock: so each is resumed once.
 */
#include "api/wait.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/store_event.h"

#define BUCKETS 4096 // a power of two
#define LOOK_NS INT64_C(1000000000)
#define LOOK_EVENTS 1000
#define IDLE_LOOKS 30
#define LOOK_MEMORY ((size_t)16 << 20)

// A partner that somebody waits for.
struct party {
    struct party *next;
    int64_t partner_id;
    struct wait *any; // those for any order
    size_t waiting;   // these, and those for one order
    uint64_t news;    // types of what is being told
    struct party *told;
    int64_t seen;     // the log's end at the last look; -1 before the first
    int64_t expected; // where the log's end is if nobody else writes
    int idle;         // looks since somebody waited
};

struct waits {
    struct store *store;
    const struct clock *clock;
    _Atomic size_t n;
    _Atomic bool draining;

    pthread_mutex_t lock;
    struct wait *by_order[BUCKETS];
    struct party *parties[BUCKETS];
    struct wait **heap; // by `until`, the earliest first
    size_t n_heap, cap_heap;

    struct {
        pthread_mutex_t lock;
        pthread_cond_t poked;
        struct store_told *told; // STORE_TOLD_MAX
        size_t n;
        bool overflow; // there were more
        bool poke, stop;
        int64_t sleeps_until; // INT64_MAX while it is awake
    } inbox;
    struct store_told *taken; // the other half: swapped with inbox.told
    pthread_t thread;
    _Atomic bool running;
};

// ---- by time: a heap ----

static bool sooner(const struct wait *a, const struct wait *b) {
    return a->until.ns < b->until.ns;
}

static void heap_put(struct waits *w, struct wait *e, size_t place) {
    w->heap[place] = e;
    e->place = place;
}

static void heap_rise(struct waits *w, struct wait *e, size_t i) {
    for (; i > 0 && sooner(e, w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap_put(w, w->heap[(i - 1) / 2], i);
    heap_put(w, e, i);
}

static void heap_sink(struct waits *w, struct wait *e, size_t i) {
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= w->n_heap)
            break;
        if (child + 1 < w->n_heap && sooner(w->heap[child + 1], w->heap[child]))
            child++;
        if (!sooner(w->heap[child], e))
            break;
        heap_put(w, w->heap[child], i);
        i = child;
    }
    heap_put(w, e, i);
}

static bool heap_add(struct waits *w, struct wait *e) {
    if (w->n_heap == w->cap_heap) {
        size_t cap = w->cap_heap ? w->cap_heap * 2 : 256;
        struct wait **more = realloc(w->heap, cap * sizeof *more);
        if (!more)
            return false;
        w->heap = more;
        w->cap_heap = cap;
    }
    heap_rise(w, e, w->n_heap++);
    return true;
}

static void heap_remove(struct waits *w, struct wait *e) {
    struct wait *last = w->heap[--w->n_heap];
    if (last == e)
        return;
    if (e->place > 0 && sooner(last, w->heap[(e->place - 1) / 2]))
        heap_rise(w, last, e->place);
    else
        heap_sink(w, last, e->place);
}

// ---- by order and partner ----

static size_t bucket(uint64_t key) {
    return (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 40) & (BUCKETS - 1);
}

static size_t bucket_of_order(struct uuid id) {
    uint64_t halves[2];
    memcpy(halves, id.b, sizeof halves);
    return bucket(halves[0] ^ halves[1] * 31);
}

static struct party *party_find(const struct waits *w, int64_t partner_id) {
    struct party *p = w->parties[bucket((uint64_t)partner_id)];
    while (p && p->partner_id != partner_id)
        p = p->next;
    return p;
}

static struct party *party_of(struct waits *w, int64_t partner_id) {
    struct party *p = party_find(w, partner_id), **head = &w->parties[bucket((uint64_t)partner_id)];
    if (!p && (p = calloc(1, sizeof *p)) != NULL) {
        p->partner_id = partner_id;
        p->seen = -1;
        p->next = *head;
        *head = p;
    }
    return p;
}

// A partner that nobody waits for is kept a while: whoever was woken soon waits again, and what the last look saw is still worth something.
static void party_leave(struct party *p) {
    p->waiting--;
    p->idle = 0;
}

static void party_drop(struct waits *w, struct party *p) {
    struct party **link = &w->parties[bucket((uint64_t)p->partner_id)];
    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    free(p);
}

static void link_in(struct wait **head, struct wait *e) {
    e->next = *head;
    e->link = head;
    if (e->next)
        e->next->link = &e->next;
    *head = e;
}

static void link_out(struct wait *e) {
    *e->link = e->next;
    if (e->next)
        e->next->link = e->link;
}

// ---- waking ----

// Takes it out of everything. A sleeping one goes on the list of those to be resumed.
static void wake(struct waits *w, struct wait *e, struct wait **woken) {
    link_out(e);
    party_leave(e->party);
    atomic_fetch_sub(&w->n, 1);
    if (e->state == WAIT_ASLEEP) {
        heap_remove(w, e);
        e->next = *woken;
        *woken = e;
    }
    e->state = WAIT_WOKEN;
}

// Without the lock.
static void resume_all(struct wait *woken) {
    while (woken) {
        struct wait *next = woken->next; // the exchange may be gone when it has been resumed
        http_resume(woken->x);
        woken = next;
    }
}

static void wake_order(struct waits *w, struct uuid order_id, uint64_t types, struct wait **woken) {
    for (struct wait *e = w->by_order[bucket_of_order(order_id)], *next; e; e = next) {
        next = e->next;
        if ((e->types & types) && uuid_eq(e->order_id, order_id))
            wake(w, e, woken);
    }
}

static void wake_every(struct waits *w, int64_t partner_id, struct wait **woken) { // 0: of all partners
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct wait *e = w->by_order[i], *next; e; e = next) {
            next = e->next;
            if (!partner_id || e->partner_id == partner_id)
                wake(w, e, woken);
        }
        for (struct party *p = w->parties[i], *next_party; p; p = next_party) {
            next_party = p->next;
            bool concerned = !partner_id || p->partner_id == partner_id;
            for (struct wait *e = p->any, *next; concerned && e; e = next) {
                next = e->next;
                wake(w, e, woken);
            }
        }
    }
}

// `counts`: they are news, not what a look has found.
static void tell(struct waits *w, const struct store_told *told, size_t n, bool counts, struct wait **woken) {
    struct party *touched = NULL;
    for (size_t i = 0; i < n; i++) {
        uint64_t type = UINT64_C(1) << (told[i].type & 63);
        struct party *p = party_find(w, told[i].partner_id);
        if (!p)
            continue;
        p->expected += counts;
        if (!p->news) {
            p->told = touched;
            touched = p;
            p->waiting++; // it stays while it is on this list
        }
        p->news |= type;
        if (!uuid_is_zero(told[i].order_id))
            wake_order(w, told[i].order_id, type, woken);
    }
    while (touched) {
        struct party *p = touched;
        touched = p->told;
        for (struct wait *e = p->any, *next; e; e = next) {
            next = e->next;
            if (e->types & p->news)
                wake(w, e, woken);
        }
        p->news = 0;
        party_leave(p);
    }
}

// ---- the store's news ----

// With inbox.lock held.
static void poke(struct waits *w) {
    w->inbox.poke = true;
    pthread_cond_signal(&w->inbox.poked);
}

void waits_news(void *waits, unsigned news UNUSED) {
    struct waits *w = waits;
    // Who counts itself in after this has not looked into the store yet, and will see what was committed.
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&w->n) == 0)
        return;
    bool all;
    size_t n;
    const struct store_told *told = store_told(w->store, &n, &all);
    pthread_mutex_lock(&w->inbox.lock);
    bool fits = all && n <= STORE_TOLD_MAX - w->inbox.n;
    if (fits) {
        memcpy(w->inbox.told + w->inbox.n, told, n * sizeof *told);
        w->inbox.n += n;
    }
    w->inbox.overflow = w->inbox.overflow || !fits;
    poke(w);
    pthread_mutex_unlock(&w->inbox.lock);
    if (!atomic_load(&w->running))
        waits_turn(w);
}

// What has been told and what is due; collects whom to resume.
static struct wait *gather(struct waits *w) {
    struct wait *woken = NULL;
    pthread_mutex_lock(&w->lock);
    pthread_mutex_lock(&w->inbox.lock);
    struct store_told *told = w->inbox.told;
    size_t n = w->inbox.n;
    bool overflow = w->inbox.overflow;
    w->inbox.told = w->taken;
    w->inbox.n = 0;
    w->inbox.overflow = false;
    pthread_mutex_unlock(&w->inbox.lock);
    w->taken = told;
    tell(w, told, n, true, &woken);
    if (overflow || atomic_load(&w->draining))
        wake_every(w, 0, &woken);
    int64_t now = clock_mono(w->clock).ns;
    while (w->n_heap > 0 && w->heap[0]->until.ns <= now)
        wake(w, w->heap[0], &woken);
    pthread_mutex_unlock(&w->lock);
    return woken;
}

void waits_turn(struct waits *w) {
    resume_all(gather(w));
}

// ---- asking the store ----

// What others have written into one partner's log.
static enum err_kind look_at(struct waits *w, struct tx *tx, struct arena *a, int64_t partner_id, struct wait **woken, struct err *err) {
    int64_t first, last, seen = -1;
    bool more = false;
    enum err_kind kind = store_event_range(tx, partner_id, &first, &last, err);
    if (kind)
        return kind;
    pthread_mutex_lock(&w->lock);
    struct party *p = party_find(w, partner_id);
    if (p) {
        more = p->seen >= 0 && last > p->expected;
        seen = p->seen;
        if (p->seen < 0 || more)
            p->expected = last;
        p->seen = last;
        if (seen < 0) // nobody knows what came between their own look and this first one
            wake_every(w, partner_id, woken);
    }
    pthread_mutex_unlock(&w->lock);
    if (!more)
        return ERR_NONE;

    struct event *events;
    size_t n = 0;
    kind = store_event_list(tx, partner_id, seen, LOOK_EVENTS, a, &events, &n, err);
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; !kind && i < n; i++)
        tell(w, &(struct store_told){partner_id, events[i].sequence, events[i].order_id, (int)events[i].type}, 1, false, woken);
    if (kind || n == LOOK_EVENTS) // more than is worth looking at one by one
        wake_every(w, partner_id, woken);
    pthread_mutex_unlock(&w->lock);
    return kind;
}

// Partners that nobody has waited for since long.
static void tidy(struct waits *w) {
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct party *p = w->parties[i], *next; p; p = next) {
            next = p->next;
            if (p->waiting == 0 && ++p->idle > IDLE_LOOKS)
                party_drop(w, p);
        }
    pthread_mutex_unlock(&w->lock);
}

void waits_look(struct waits *w) {
    struct err err = {0};
    struct arena a, of_one;
    struct wait *woken = NULL;
    int64_t *ids = NULL;
    size_t n = 0, cap = 0;
    arena_init(&a, LOOK_MEMORY);
    arena_init(&of_one, LOOK_MEMORY);
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct party *p = w->parties[i]; p; p = p->next)
            cap += p->waiting > 0;
    ids = arena_array(&a, int64_t, cap + 1);
    for (size_t i = 0; ids && i < BUCKETS; i++)
        for (struct party *p = w->parties[i]; p; p = p->next)
            if (p->waiting > 0)
                ids[n++] = p->partner_id;
    pthread_mutex_unlock(&w->lock);

    struct tx *tx = NULL;
    enum err_kind kind = n > 0 ? store_read_begin(w->store, &tx, &err) : ERR_NONE;
    for (size_t i = 0; !kind && i < n; i++) { // much news of one leaves room for that of the next
        arena_reset(&of_one);
        kind = look_at(w, tx, &of_one, ids[i], &woken, &err);
    }
    if (tx)
        store_read_end(tx);
    if (kind)
        log_warn("waits.look", LOG_ERR(&err));
    arena_release(&of_one);
    arena_release(&a);
    resume_all(woken);
}

// ---- those who wait ----

void wait_expect(struct waits *w, struct wait *e) {
    CHECK(e->state == WAIT_IDLE || e->state == WAIT_WOKEN);
    e->state = WAIT_WOKEN; // when there is no room: to look is all that is left
    e->party = NULL;
    pthread_mutex_lock(&w->lock);
    struct party *p = atomic_load(&w->n) < WAITS_MAX ? party_of(w, e->partner_id) : NULL;
    if (p) {
        p->waiting++;
        e->party = p;
        link_in(uuid_is_zero(e->order_id) ? &p->any : &w->by_order[bucket_of_order(e->order_id)], e);
        atomic_fetch_add(&w->n, 1);
        e->state = WAIT_EXPECTS;
    }
    pthread_mutex_unlock(&w->lock);
    atomic_thread_fence(memory_order_seq_cst);
}

static void leave(struct waits *w, struct wait *e) {
    struct wait *none = NULL;
    if (e->state == WAIT_EXPECTS)
        wake(w, e, &none);
    e->state = WAIT_IDLE;
}

void wait_forget(struct waits *w, struct wait *e) {
    pthread_mutex_lock(&w->lock);
    leave(w, e);
    pthread_mutex_unlock(&w->lock);
}

enum wait_answer wait_sleep(struct waits *w, struct wait *e, struct mono until) {
    enum wait_answer answer = WAIT_SLEEPS;
    pthread_mutex_lock(&w->lock);
    e->until = until;
    if (atomic_load(&w->draining) || !(e->state == WAIT_WOKEN || heap_add(w, e))) {
        leave(w, e);
        answer = WAIT_NO;
    } else if (e->state == WAIT_WOKEN) {
        e->state = WAIT_IDLE;
        answer = e->party ? WAIT_CAME : WAIT_NO; // without a party there was no room to wait in
    } else {
        e->state = WAIT_ASLEEP;
    }
    pthread_mutex_unlock(&w->lock);
    if (answer != WAIT_SLEEPS || !atomic_load(&w->running))
        return answer;
    pthread_mutex_lock(&w->inbox.lock);
    if (w->inbox.sleeps_until > until.ns)
        poke(w);
    pthread_mutex_unlock(&w->inbox.lock);
    return answer;
}

// ---- the thread ----

static int64_t next_due(struct waits *w) {
    pthread_mutex_lock(&w->lock);
    int64_t at = w->n_heap > 0 ? w->heap[0]->until.ns : INT64_MAX;
    pthread_mutex_unlock(&w->lock);
    return at;
}

// Until `at`, or a poke. False: it is time to end.
static bool sleep_until(struct waits *w, int64_t at) {
    struct timespec when = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
    pthread_mutex_lock(&w->inbox.lock);
    w->inbox.sleeps_until = at;
    int rc = 0;
    while (!w->inbox.poke && !w->inbox.stop && rc == 0)
        rc = pthread_cond_clockwait(&w->inbox.poked, &w->inbox.lock, CLOCK_MONOTONIC, &when);
    w->inbox.sleeps_until = INT64_MAX;
    w->inbox.poke = false;
    bool stop = w->inbox.stop;
    pthread_mutex_unlock(&w->inbox.lock);
    return !stop;
}

static void *waits_main(void *arg) {
    struct waits *w = arg;
    int64_t look_at_ns = clock_mono(&clock_system).ns + LOOK_NS;
    int64_t at = 0;
    do {
        waits_turn(w);
        int64_t now = clock_mono(&clock_system).ns;
        if (now >= look_at_ns) {
            if (!store_is_alone(w->store)) // otherwise all that there is was told
                waits_look(w);
            tidy(w);
            look_at_ns = now + LOOK_NS;
        }
        at = next_due(w); // who comes after this with an earlier end pokes
        at = at < look_at_ns ? at : look_at_ns;
    } while (sleep_until(w, at));
    return NULL;
}

enum err_kind waits_run(struct waits *w, struct err *err) {
    CHECK(!atomic_load(&w->running));
    atomic_store(&w->running, true);
    int rc = pthread_create(&w->thread, NULL, waits_main, w);
    if (rc == 0)
        return ERR_NONE;
    atomic_store(&w->running, false);
    return err_set(err, ERR_INTERNAL, "no thread for those who wait: %s", strerror(rc));
}

void waits_drain(struct waits *w) {
    atomic_store(&w->draining, true);
    waits_turn(w);
}

bool waits_draining(const struct waits *w) {
    return atomic_load(&w->draining);
}

size_t waits_count(const struct waits *w) {
    return atomic_load(&w->n);
}

void waits_stop(struct waits *w) {
    waits_drain(w);
    if (!atomic_load(&w->running))
        return;
    pthread_mutex_lock(&w->inbox.lock);
    w->inbox.stop = true;
    poke(w);
    pthread_mutex_unlock(&w->inbox.lock);
    CHECK(pthread_join(w->thread, NULL) == 0);
    atomic_store(&w->running, false);
}

struct waits *waits_open(struct store *s, const struct clock *clock) {
    struct waits *w = xcalloc(1, sizeof *w);
    w->store = s;
    w->clock = clock;
    w->inbox.told = xcalloc(STORE_TOLD_MAX, sizeof *w->inbox.told);
    w->inbox.sleeps_until = INT64_MAX;
    w->taken = xcalloc(STORE_TOLD_MAX, sizeof *w->taken);
    CHECK(pthread_mutex_init(&w->lock, NULL) == 0);
    CHECK(pthread_mutex_init(&w->inbox.lock, NULL) == 0 && pthread_cond_init(&w->inbox.poked, NULL) == 0);
    return w;
}

void waits_close(struct waits *w) {
    if (!w)
        return;
    waits_stop(w);
    CHECK(atomic_load(&w->n) == 0);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct party *p = w->parties[i], *next; p; p = next) {
            next = p->next;
            free(p);
        }
    pthread_cond_destroy(&w->inbox.poked);
    pthread_mutex_destroy(&w->inbox.lock);
    pthread_mutex_destroy(&w->lock);
    free(w->inbox.told);
    free(w->taken);
    free(w->heap);
    free(w);
}
