// SPDX-License-Identifier: Apache-2.0
#include "store/fresh.h"

#include <stdlib.h>
#include <string.h>

#define TEXTS_MAX ((size_t)16 << 20)
#define PLACES 4096 // of the table; a power of two

// An order under one of its keys: its id, its SIM, its reference.
struct fresh_link {
    uint64_t hash;
    uint32_t order, next; // places in their lists, counted from 1; 0: none
};
#define KEYS 3

enum key { KEY_ID = 1, KEY_SIM, KEY_REFERENCE };

static uint64_t hash_of(enum key key, const void *bytes, size_t n) {
    uint64_t hash = (uint64_t)key;
    const char *p = bytes;
    for (size_t step; n > 0; p += step, n -= step) {
        uint64_t part = 0;
        step = n < sizeof part ? n : sizeof part;
        memcpy(&part, p, step);
        hash = (hash ^ part) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return hash;
}

static void link_order(struct fresh *f, const struct fresh_order *at, enum key key, const void *bytes, size_t n) {
    CHECK(f->n_links < (size_t)FRESH_MAX * KEYS);
    struct fresh_link *l = &f->links[f->n_links++];
    uint64_t hash = hash_of(key, bytes, n);
    uint32_t *head = &f->heads[hash & (PLACES - 1)];
    *l = (struct fresh_link){.hash = hash, .order = (uint32_t)(at - f->list) + 1, .next = *head};
    *head = (uint32_t)f->n_links;
}

// Walks the orders under a key, the newest first: *link is where it has come to, 0 in the beginning.
static struct fresh_order *next_of(const struct fresh *f, uint64_t hash, uint32_t *link) {
    uint32_t at = *link ? f->links[*link - 1].next : f->heads[hash & (PLACES - 1)];
    while (at && f->links[at - 1].hash != hash)
        at = f->links[at - 1].next;
    *link = at;
    return at ? &f->list[f->links[at - 1].order - 1] : NULL;
}

void fresh_init(struct fresh *f) {
    *f = (struct fresh){0};
    f->list = xcalloc(FRESH_MAX, sizeof *f->list);
    f->links = xcalloc((size_t)FRESH_MAX * KEYS, sizeof *f->links);
    f->heads = xcalloc(PLACES, sizeof *f->heads);
    arena_init(&f->texts, TEXTS_MAX);
}

void fresh_release(struct fresh *f) {
    free(f->list);
    free(f->links);
    free(f->heads);
    arena_release(&f->texts);
    *f = (struct fresh){0};
}

void fresh_clear(struct fresh *f) {
    if (f->n == 0 && !arena_failed(&f->texts))
        return;
    for (size_t i = 0; i < f->n_links; i++)
        f->heads[f->links[i].hash & (PLACES - 1)] = 0;
    f->n = f->n_links = 0;
    arena_reset(&f->texts);
}

// ---- rows with texts ----

static const size_t task_texts[] = {offsetof(struct task, peer), offsetof(struct task, note)};
static const size_t subscription_texts[] = {offsetof(struct subscription, name), offsetof(struct subscription, email)};

static void copy_texts(void *row, const size_t *texts, size_t n, struct arena *a) {
    for (size_t i = 0; i < n; i++) {
        struct str *s = (struct str *)(void *)((char *)row + texts[i]);
        if (str_present(*s))
            *s = arena_str(a, *s);
    }
}

void fresh_copy_order(const struct order *from, struct arena *a, struct order *out) {
    *out = *from;
    copy_texts(out, order_layout.texts, order_layout.n_texts, a);
}

void fresh_copy_task(const struct task *from, struct arena *a, struct task *out) {
    *out = *from;
    copy_texts(out, task_texts, ARRAY_LEN(task_texts), a);
}

// ---- orders ----

static void link_sim(struct fresh *f, const struct fresh_order *at) {
    if (at->order.iccid != ICCID_NONE)
        link_order(f, at, KEY_SIM, &at->order.iccid, sizeof at->order.iccid);
}

bool fresh_add(struct fresh *f, const struct order *o) {
    if (f->n == FRESH_MAX)
        return false;
    struct fresh_order *at = &f->list[f->n];
    fresh_copy_order(o, &f->texts, &at->order);
    if (arena_failed(&f->texts))
        return false;
    at->n_tasks = 0;
    at->gone = 0;
    at->has_subscription = false;
    f->n++;
    link_order(f, at, KEY_ID, o->id.b, sizeof o->id.b);
    link_sim(f, at);
    if (str_present(o->reference))
        link_order(f, at, KEY_REFERENCE, o->reference.p, o->reference.n);
    return true;
}

struct fresh_order *fresh_find(const struct fresh *f, const struct uuid *id) {
    if (f->n == 0)
        return NULL;
    struct fresh_order *last = &f->list[f->n - 1];
    if (uuid_eq(last->order.id, *id)) // nearly always
        return last;
    uint64_t hash = hash_of(KEY_ID, id->b, sizeof id->b);
    uint32_t link = 0;
    struct fresh_order *at;
    while ((at = next_of(f, hash, &link)) && !uuid_eq(at->order.id, *id))
        ;
    return at;
}

bool fresh_set_order(struct fresh *f, struct fresh_order *at, const struct order *o) {
    struct order copy = at->order;
    copy.state = o->state;
    copy.finished = o->finished;
    copy.iccid = o->iccid;
    copy.matching_id = str_eq(copy.matching_id, o->matching_id) ? copy.matching_id : arena_str(&f->texts, o->matching_id);
    copy.smdp = str_eq(copy.smdp, o->smdp) ? copy.smdp : arena_str(&f->texts, o->smdp);
    copy.failure = arena_str(&f->texts, o->failure);
    if (arena_failed(&f->texts))
        return false;
    bool learns = at->order.iccid == ICCID_NONE;
    at->order = copy;
    if (learns)
        link_sim(f, at);
    return true;
}

bool fresh_set_task(struct fresh *f, struct fresh_order *at, const struct task *t) {
    if (t->step < 0 || t->step > at->n_tasks || t->step == PLAN_MAX)
        return false;
    struct task copy;
    fresh_copy_task(t, &f->texts, &copy);
    if (arena_failed(&f->texts))
        return false;
    at->tasks[t->step] = copy;
    at->n_tasks += t->step == at->n_tasks;
    return true;
}

bool fresh_set_subscription(struct fresh *f, struct fresh_order *at, const struct subscription *s) {
    // Then what it refers to is what the order refers to.
    bool fits = s->partner_id == at->order.partner_id && s->iccid == at->order.iccid && s->product_id == at->order.product_id;
    if (at->has_subscription || !fits)
        return false;
    at->subscription = *s;
    copy_texts(&at->subscription, subscription_texts, ARRAY_LEN(subscription_texts), &f->texts);
    at->has_subscription = !arena_failed(&f->texts);
    return at->has_subscription;
}

struct fresh_order *fresh_by_reference(const struct fresh *f, int64_t partner_id, struct str reference) {
    uint64_t hash = hash_of(KEY_REFERENCE, reference.p, reference.n);
    uint32_t link = 0;
    struct fresh_order *at = NULL;
    while (f->n && (at = next_of(f, hash, &link)) && !(at->order.partner_id == partner_id && str_eq(at->order.reference, reference)))
        ;
    return at;
}

struct fresh_order *fresh_on_sim(const struct fresh *f, iccid_t iccid, const struct fresh_order *after) {
    uint64_t hash = hash_of(KEY_SIM, &iccid, sizeof iccid);
    uint32_t link = 0;
    struct fresh_order *at = NULL;
    if (f->n == 0)
        return NULL;
    while (after && (at = next_of(f, hash, &link)) && at != after)
        ;
    while ((at = next_of(f, hash, &link)) && at->order.iccid != iccid)
        ;
    return at;
}

const struct task *fresh_open_task(const struct fresh_order *at) {
    for (int i = 0; i < at->n_tasks; i++) {
        if (!(at->gone & 1U << i) && !task_finished(at->tasks[i].state))
            return &at->tasks[i];
    }
    return NULL;
}

// ---- statements ----

bool fresh_is_aside(enum statement st) {
    static const bool aside[STATEMENTS] = {
        [ST_NUMBER_GET] = true,
        [ST_NUMBER_SET] = true,
        [ST_PING] = true,
        [ST_PARTNER_GET] = true,
        [ST_PARTNER_BY_CLIENT] = true,
        [ST_CAP_GET] = true,
        [ST_CAP_ADD] = true,
        [ST_PRODUCT_GET] = true,
        [ST_PRODUCT_BY_PUBLIC_ID] = true,
        [ST_SIM_GET] = true,
        [ST_SIM_UPDATE_LIFE] = true,
        [ST_SIM_STOCK_PROFILE] = true,
        [ST_SIM_GIVE] = true,
        [ST_SEQUENCE_GET] = true,
        [ST_SEQUENCE_SET] = true,
        [ST_EVENT_INSERT] = true,
        [ST_EVENT_INSERT_MANY] = true,
        [ST_IDEM_GET] = true,
        [ST_IDEM_INSERT] = true,
        [ST_IDEM_UPDATE] = true,
        [ST_NOTIFICATION_QUEUE] = true,
        // whose verbs look here, too
        [ST_SIM_OPEN] = true,
        [ST_SIM_SUBSCRIPTIONS] = true,
        [ST_SIM_OPEN_SUBSCRIPTIONS] = true,
        [ST_ORDER_GET] = true,
        [ST_ORDER_BY_REFERENCE] = true,
        [ST_ORDER_REFERENCES] = true,
        [ST_TASK_OF_ORDER] = true,
        [ST_TASK_FIRST_OPEN] = true,
        [ST_TASK_ANY_OPEN] = true,
        // which write what is here
        [ST_ORDER_INSERT] = true,
        [ST_ORDER_INSERT_MANY] = true,
        [ST_TASK_INSERT] = true,
        [ST_SUBSCRIPTION_INSERT] = true,
        [ST_SUBSCRIPTION_INSERT_MANY] = true,
    };
    return aside[st];
}
