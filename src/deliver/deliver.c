// SPDX-License-Identifier: Apache-2.0
/*
 * deliver.c - the state, and the taking of turns: answers in, one job through the store, requests out.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "deliver/inside.h"

#define SET_BACK_MS 1000
#define TROUBLE_FIRST_MS 50
#define TROUBLE_GREATEST_MS 5000
#define BODY_MAX (256 * 1024)

// ---- opening and closing ----

static void metrics_open(struct deliver_metrics *m) {
    m->attempts = metric_family("topupd_webhook_attempts_total", "Deliveries tried, by kind and outcome.", METRIC_COUNTER,
                                (const char *const[]){"kind", "outcome"}, 2);
    m->seconds = metric_child(
        metric_family("topupd_webhook_seconds", "From sending a delivery until it was answered.", METRIC_HISTOGRAM, NULL, 0), NULL);
    m->lag = metric_child(
        metric_family("topupd_webhook_lag_seconds", "From an event until an endpoint took it, without retries.", METRIC_HISTOGRAM, NULL, 0),
        NULL);
    m->in_flight = metric_child(metric_family("topupd_webhook_in_flight", "Deliveries on their way.", METRIC_GAUGE, NULL, 0), NULL);
    m->waiting = metric_child(metric_family("topupd_webhook_events_waiting",
                                            "Events that enabled endpoints have not looked at yet, summed up.", METRIC_GAUGE, NULL, 0),
                              NULL);
    struct metric_family *f = metric_family("topupd_webhooks", "Endpoints, by state.", METRIC_GAUGE, (const char *const[]){"state"}, 1);
    for (int i = WEBHOOK_ENABLED; i <= WEBHOOK_GONE; i++)
        m->endpoints[i] = metric_child(f, &webhook_state_words[i]);
}

enum err_kind deliver_open(const struct deliver_options *o, struct deliver **out, struct err *err) {
    if (o->calls_max < 2 || o->retry_scale_ppm < 1 || o->log_days < 1)
        return err_set(err, ERR_INVALID, "webhooks: at least two calls at once, a scale of one millionth and a day of log");
    struct deliver *d = xcalloc(1, sizeof *d);
    d->o = *o;
    d->ready_end = &d->ready;
    d->failing_end = &d->failing;
    d->dirty_end = &d->dirty;
    d->limit = BATCH_MAX;
    d->notes_end = &d->notes_first;
    d->answers_end = &d->answers;
    d->first_turn = d->reload = d->heads = d->notes_due = true;
    d->poll = d->retry_at = d->notes_at = WALL_NONE;
    d->batch.d = d;
    arena_init(&d->batch.arena, (size_t)64 << 20);
    arena_init(&d->scratch, (size_t)64 << 20);
    buf_init(&d->batch.payload, EVENT_PAYLOAD_MAX);
    buf_init(&d->body, BODY_MAX);
    buf_init(&d->text, 2 * BODY_MAX);
    buf_init(&d->signature, 1024);
    CHECK(pthread_mutex_init(&d->lock, NULL) == 0);
    pthread_condattr_t attr;
    CHECK(pthread_condattr_init(&attr) == 0 && pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&d->changed, &attr) == 0);
    pthread_condattr_destroy(&attr);
    metrics_open(&d->m);
    *out = d;
    return ERR_NONE;
}

static void free_notes(struct deliver *d, struct note *n) {
    while (n) {
        struct note *next = n->next;
        note_free(d, n);
        n = next;
    }
}

void deliver_close(struct deliver *d) {
    if (!d)
        return;
    CHECK(!d->loop && d->flights_out == 0 && (!d->batch.running || d->answered));
    for (struct flight *f = d->answers, *next; f; f = next) {
        next = f->next;
        if (f->note)
            note_free(d, f->note);
        free(f);
    }
    free_notes(d, d->notes_first);
    free_notes(d, d->batch.notes);
    endpoints_free(d);
    free(d->batch.entries);
    free(d->later);
    arena_release(&d->batch.arena);
    arena_release(&d->scratch);
    buf_release(&d->batch.payload);
    buf_release(&d->body);
    buf_release(&d->signature);
    buf_release(&d->text);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

// ---- partners ----

static struct owner **bucket_of(struct deliver *d, int64_t partner_id) {
    return &d->owners[(uint64_t)partner_id % OWNER_BUCKETS];
}

// From the stepping thread without the lock, from others with it: only the former adds and removes, under the lock.
struct owner *owner_find(struct deliver *d, int64_t partner_id) {
    struct owner *o = *bucket_of(d, partner_id);
    while (o && o->partner_id != partner_id)
        o = o->next;
    return o;
}

struct owner *owner_get(struct deliver *d, int64_t partner_id) {
    struct owner *o = owner_find(d, partner_id);
    if (o)
        return o;
    o = xcalloc(1, sizeof *o);
    o->partner_id = partner_id;
    pthread_mutex_lock(&d->lock);
    struct owner **bucket = bucket_of(d, partner_id);
    o->next = *bucket;
    *bucket = o;
    pthread_mutex_unlock(&d->lock);
    return o;
}

void owner_drop_if_idle(struct deliver *d, struct owner *o) {
    if (o->endpoints || o->notes > 0)
        return;
    pthread_mutex_lock(&d->lock);
    for (struct owner **p = bucket_of(d, o->partner_id); *p; p = &(*p)->next)
        if (*p == o) {
            *p = o->next;
            break;
        }
    for (struct owner **p = &d->told; o->told && *p; p = &(*p)->next_told)
        if (*p == o) {
            *p = o->next_told;
            break;
        }
    pthread_mutex_unlock(&d->lock);
    free(o);
}

// ---- from other threads ----

static void poke(struct deliver *d) { // with the lock
    d->kicked = true;
    pthread_cond_signal(&d->changed);
}

void deliver_news(void *deliver, unsigned news) {
    struct deliver *d = deliver;
    size_t n = 0;
    bool all = true, poked = false;
    const struct store_told *told = news & NEWS_EVENTS ? store_told(d->o.store, &n, &all) : NULL;
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < n; i++) {
        struct owner *o = owner_find(d, told[i].partner_id);
        if (!o || !(o->wants & UINT64_C(1) << told[i].type))
            continue;
        o->told_head = told[i].sequence;
        if (!o->told) {
            o->told = true;
            o->next_told = d->told;
            d->told = o;
        }
        poked = true;
    }
    d->news_all |= !all;
    d->news_webhooks |= (news & NEWS_WEBHOOKS) != 0;
    d->news_notes |= (news & NEWS_NOTIFICATIONS) != 0;
    if (poked || !all || news & (NEWS_WEBHOOKS | NEWS_NOTIFICATIONS))
        poke(d);
    pthread_mutex_unlock(&d->lock);
}

// Bytes from outside, as text that can be kept and shown.
static size_t text_of(struct str bytes, char out[DELIVERY_ANSWER_MAX]) {
    size_t n = 0;
    while (bytes.n > 0 && n < DELIVERY_ANSWER_MAX) {
        size_t take = str_utf8_char(bytes);
        if (take > DELIVERY_ANSWER_MAX - n)
            break;
        if (take > 0 && bytes.p[0] != '\0')
            memcpy(out + n, bytes.p, take);
        else
            out[n] = '?';
        take = take > 0 ? take : 1;
        n += take;
        bytes = (struct str){bytes.p + take, bytes.n - take};
    }
    return n;
}

static void on_answer(void *ctx, const struct http_answer_got *got) {
    struct flight *f = ctx;
    struct deliver *d = f->d;
    f->how = got->how;
    f->retry_after_s = got->retry_after_s;
    f->log.status = got->how == HTTP_ANSWERED ? got->status : 0;
    f->log.duration_ms = got->duration_us / 1000;
    if (got->how == HTTP_ANSWERED)
        f->log.answer = (struct str){f->answer, text_of(got->body, f->answer)};
    else
        f->log.trouble = str_of(http_ending_text(got->how));
    pthread_mutex_lock(&d->lock);
    f->next = NULL;
    *d->answers_end = f;
    d->answers_end = &f->next;
    d->flights_out--;
    poke(d);
    pthread_mutex_unlock(&d->lock);
}

// ---- one step ----

enum err_kind deliver_reader(struct deliver *d, struct tx **out, struct err *err) {
    enum err_kind kind = d->tx ? ERR_NONE : store_read_begin(d->o.store, &d->tx, err);
    if (!kind)
        *out = d->tx;
    return kind;
}

static void reader_end(struct deliver *d) {
    if (d->tx)
        store_read_end(d->tx);
    d->tx = NULL;
}

bool deliver_send(struct deliver *d, struct flight *f, const char *url, struct http_request *r) {
    struct err err = {0};
    f->d = d;
    f->log.tried = clock_wall(d->o.clock);
    r->method = "POST";
    r->url = url;
    r->body = buf_str(&d->body);
    r->timeout_ms = WEBHOOK_TIMEOUT_SECONDS * 1000;
    r->done = on_answer;
    r->ctx = f;
    pthread_mutex_lock(&d->lock);
    d->flights_out++;
    pthread_mutex_unlock(&d->lock);
    if (d->o.sender.send(d->o.sender.ctx, r, &err) == ERR_NONE) {
        d->in_flight++;
        return true;
    }
    pthread_mutex_lock(&d->lock);
    d->flights_out--;
    pthread_mutex_unlock(&d->lock);
    return false;
}

void deliver_count(struct deliver *d, const char *kind, const char *outcome) {
    metric_add(metric_child(d->m.attempts, (const char *const[]){kind, outcome}), 1);
}

static void take_answers(struct deliver *d, struct wall now) {
    pthread_mutex_lock(&d->lock);
    struct flight *f = d->answers;
    d->answers = NULL;
    d->answers_end = &d->answers;
    pthread_mutex_unlock(&d->lock);
    while (f) {
        struct flight *next = f->next;
        f->next = NULL;
        d->in_flight--;
        metric_observe_us(d->m.seconds, f->log.duration_ms * 1000);
        if (f->note)
            note_answered(d, f, now);
        else
            endpoint_answered(d, f, now);
        f = next;
    }
}

static void take_news(struct deliver *d) {
    pthread_mutex_lock(&d->lock);
    struct owner *told = d->told;
    d->told = NULL;
    for (struct owner *o = told; o; o = o->next_told) {
        o->told = false;
        o->head = o->told_head > o->head ? o->told_head : o->head;
    }
    d->reload |= d->news_webhooks;
    d->heads |= d->news_all;
    d->notes_due |= d->news_notes || d->news_all;
    d->news_webhooks = d->news_all = d->news_notes = false;
    d->kicked = false;
    // The list may be added to again once the lock is let go: each is taken off it before.
    for (struct owner *next; told; told = next) {
        next = told->next_told;
        told->next_told = NULL;
        for (struct endpoint *e = told->endpoints; e; e = e->next_of_owner)
            endpoint_wake(d, e);
    }
    pthread_mutex_unlock(&d->lock);
}

static bool batch_is_answered(struct deliver *d) {
    pthread_mutex_lock(&d->lock);
    bool yes = d->batch.running && d->answered;
    pthread_mutex_unlock(&d->lock);
    return yes;
}

static enum err_kind look_around(struct deliver *d, struct wall now, struct err *err) {
    if (!wall_set(d->poll) || d->poll.ms <= now.ms || d->poll.ms > now.ms + POLL_MS) {
        d->reload = d->heads = d->notes_due = true;
        d->poll = wall_plus_ms(now, POLL_MS);
    }
    bool measure = d->reload || d->heads;
    enum err_kind kind = d->reload ? endpoints_reload(d, err) : ERR_NONE;
    if (!kind && d->heads) {
        reader_end(d); // what was committed before a partner was known here is in the next snapshot, what comes later will be told
        kind = endpoints_heads(d, err);
    }
    if (!kind && measure)
        endpoints_measure(d);
    return kind;
}

static enum err_kind send_what_is_due(struct deliver *d, struct wall now, struct err *err) {
    endpoints_due(d, now);
    enum err_kind kind = look_around(d, now, err);
    if (!kind)
        kind = endpoints_launch(d, now, err);
    bool due = d->notes_due || (wall_set(d->notes_at) && d->notes_at.ms <= now.ms);
    if (!kind && due && !d->notes_claiming)
        kind = notes_look(d, now, err);
    reader_end(d);
    return kind;
}

static struct wall earlier(struct wall a, struct wall b) {
    return !wall_set(a) || (wall_set(b) && b.ms < a.ms) ? b : a;
}

static struct wall next_wake(const struct deliver *d) {
    if (wall_set(d->retry_at))
        return d->retry_at;
    if (d->stopping)
        return WALL_NONE;
    struct wall wake = d->n_later > 0 ? earlier(d->poll, d->later[0]->at) : d->poll;
    return d->notes_claiming ? wake : earlier(wake, d->notes_at);
}

static enum err_kind trouble(struct deliver *d, struct wall now, enum err_kind kind) {
    int64_t ms = d->troubles < 7 ? (int64_t)TROUBLE_FIRST_MS << d->troubles : TROUBLE_GREATEST_MS;
    d->troubles++;
    d->retry_at = wall_plus_ms(now, ms < TROUBLE_GREATEST_MS ? ms : TROUBLE_GREATEST_MS);
    return kind;
}

// A clock that somebody sets back must not hold up for hours what is due in seconds.
static void heed_clock(struct deliver *d, struct wall now) {
    int64_t ahead_ms = now.ms - clock_mono(d->o.clock).ns / 1000000;
    if (d->stepped && d->ahead_ms - ahead_ms > SET_BACK_MS) {
        log_warn("deliver.clock_set_back", LOG_INT("ms", d->ahead_ms - ahead_ms));
        endpoints_set_back(d, d->ahead_ms - ahead_ms);
    }
    d->ahead_ms = ahead_ms;
    d->stepped = true;
}

enum err_kind deliver_step(struct deliver *d, struct wall *wake, struct err *err) {
    struct wall now = clock_wall(d->o.clock);
    heed_clock(d, now);
    enum err_kind kind = ERR_NONE;
    bool wait = wall_set(d->retry_at) && d->retry_at.ms > now.ms && d->retry_at.ms <= now.ms + TROUBLE_GREATEST_MS;
    for (bool again = true; again && !kind;) {
        take_answers(d, now);
        if (batch_is_answered(d))
            kind = batch_apply(d, now, err);
        take_news(d);
        if (!kind && !wait && !d->stopping)
            kind = send_what_is_due(d, now, err);
        if (!kind && !wait && !d->batch.running && !batch_waits(d))
            kind = batch_submit(d, err);
        again = batch_is_answered(d); // a store without a thread of its own
    }
    metric_set(d->m.in_flight, d->in_flight);
    if (kind)
        kind = trouble(d, now, kind);
    else if (!wait)
        d->retry_at = WALL_NONE;
    *wake = next_wake(d);
    if (!kind && !wait && !d->batch.running && batch_waits(d))
        *wake = earlier(*wake, wall_plus_ms(now, d->o.gather_ms));
    return kind;
}

bool deliver_quiet(struct deliver *d) {
    pthread_mutex_lock(&d->lock);
    bool quiet = d->flights_out == 0 && !d->answers && !d->batch.running;
    pthread_mutex_unlock(&d->lock);
    return quiet && !d->dirty && !d->notes_first;
}
