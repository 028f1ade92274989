// SPDX-License-Identifier: Apache-2.0
#include "auth/cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/secret.h"

#define SHARDS 64
#define WAYS 8 // entries that share a place

// ---- tokens ----

#define TOKEN_PLACES 128 // a shard: 65,536 tokens in all

struct token_entry {
    uint8_t sha256[32];
    struct wall until; // 0: free
    int64_t partner_id;
    bool found;
};
struct token_shard {
    pthread_mutex_t lock;
    struct token_entry entries[TOKEN_PLACES][WAYS];
};
struct token_cache {
    struct token_shard shards[SHARDS];
};

struct token_cache *token_cache_open(void) {
    struct token_cache *c = xcalloc(1, sizeof(*c));
    for (size_t i = 0; i < SHARDS; i++)
        CHECK(pthread_mutex_init(&c->shards[i].lock, NULL) == 0);
    return c;
}

void token_cache_close(struct token_cache *c) {
    if (!c)
        return;
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&c->shards[i].lock);
    free(c);
}

// The hash is random: its bytes choose the place.
static struct token_shard *token_shard(struct token_cache *c, const uint8_t sha256[32]) {
    return &c->shards[sha256[0] % SHARDS];
}
static struct token_entry *token_place(struct token_shard *s, const uint8_t sha256[32]) {
    return s->entries[sha256[1] % TOKEN_PLACES];
}

bool token_cache_get(struct token_cache *c, const uint8_t sha256[32], struct wall now, struct token_known *out) {
    struct token_shard *s = token_shard(c, sha256);
    bool found = false;
    pthread_mutex_lock(&s->lock);
    struct token_entry *place = token_place(s, sha256);
    for (size_t i = 0; i < WAYS && !found; i++) {
        if (place[i].until.ms > now.ms && memcmp(place[i].sha256, sha256, 32) == 0) {
            *out = (struct token_known){place[i].partner_id, place[i].until, place[i].found};
            place[i].found = found = true;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

void token_cache_put(struct token_cache *c, const uint8_t sha256[32], struct wall now, struct wall until, int64_t partner_id) {
    if (until.ms <= now.ms)
        return;
    struct token_shard *s = token_shard(c, sha256);
    pthread_mutex_lock(&s->lock);
    struct token_entry *place = token_place(s, sha256), *to = place;
    for (size_t i = 0; i < WAYS; i++) {
        if (memcmp(place[i].sha256, sha256, 32) == 0) {
            to = &place[i];
            break;
        }
        if (place[i].until.ms < to->until.ms)
            to = &place[i];
    }
    memcpy(to->sha256, sha256, 32);
    to->until = until;
    to->partner_id = partner_id;
    to->found = false;
    pthread_mutex_unlock(&s->lock);
}

// ---- tokens by their text ----

#define TEXT_PLACES 32 // a shard: 2,048 tokens in all, some 2 MB of them as they are, 4 MB at most

struct text_entry {
    char *text; // NULL: free
    size_t n;
    struct wall until;
    int64_t partner_id;
};
struct text_shard {
    pthread_mutex_t lock;
    struct text_entry entries[TEXT_PLACES];
};
struct token_texts {
    struct text_shard shards[SHARDS];
};

struct token_texts *token_texts_open(void) {
    struct token_texts *t = xcalloc(1, sizeof(*t));
    for (size_t i = 0; i < SHARDS; i++)
        CHECK(pthread_mutex_init(&t->shards[i].lock, NULL) == 0);
    return t;
}

static void text_drop(char *text, size_t n) {
    if (!text)
        return;
    secret_wipe(text, n);
    free(text);
}

void token_texts_close(struct token_texts *t) {
    if (!t)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        for (size_t e = 0; e < TEXT_PLACES; e++)
            text_drop(t->shards[i].entries[e].text, t->shards[i].entries[e].n);
        pthread_mutex_destroy(&t->shards[i].lock);
    }
    free(t);
}

// The end of a token is its signature, as good as random. Who has two good tokens whose ends lead to one place has two that take turns in
// it: the place holds one.
static struct text_shard *text_place(struct token_texts *t, struct str token, struct text_entry **place) {
    uint64_t tail;
    memcpy(&tail, token.p + token.n - sizeof(tail), sizeof(tail));
    tail *= UINT64_C(0x9e3779b97f4a7c15);
    struct text_shard *s = &t->shards[tail >> 32 & (SHARDS - 1)];
    *place = &s->entries[(tail >> 48) % TEXT_PLACES];
    return s;
}

static bool text_fits(struct str token) {
    return token.n >= sizeof(uint64_t) && token.n <= TOKEN_TEXT_MAX;
}

bool token_texts_get(struct token_texts *t, struct str token, struct wall now, int64_t *partner_id) {
    if (!text_fits(token))
        return false;
    struct text_entry *place;
    struct text_shard *s = text_place(t, token, &place);
    pthread_mutex_lock(&s->lock);
    bool found = place->text && place->until.ms > now.ms && secret_equal((struct str){place->text, place->n}, token);
    if (found)
        *partner_id = place->partner_id;
    pthread_mutex_unlock(&s->lock);
    return found;
}

void token_texts_put(struct token_texts *t, struct str token, const struct token_known *known) {
    if (!text_fits(token))
        return;
    struct text_entry fresh = {.text = xmalloc(token.n), .n = token.n, .until = known->until, .partner_id = known->partner_id};
    struct text_entry *place;
    struct text_shard *s = text_place(t, token, &place);
    memcpy(fresh.text, token.p, token.n);
    pthread_mutex_lock(&s->lock);
    struct text_entry old = *place;
    *place = fresh;
    pthread_mutex_unlock(&s->lock);
    text_drop(old.text, old.n);
}

// ---- partners ----

#define PARTNER_PLACES 16 // a shard: 8,192 partners in all

struct partner_entry {
    struct partner row; // texts in `texts`; id 0: free
    char *texts;
    struct mono read_at;
    unsigned generation;
};
struct partner_shard {
    pthread_mutex_t lock;
    struct partner_entry entries[PARTNER_PLACES][WAYS];
};
struct partner_cache {
    _Atomic unsigned generation;
    struct partner_shard shards[SHARDS];
};

struct partner_cache *partner_cache_open(void) {
    struct partner_cache *c = xcalloc(1, sizeof(*c));
    for (size_t i = 0; i < SHARDS; i++)
        CHECK(pthread_mutex_init(&c->shards[i].lock, NULL) == 0);
    return c;
}

void partner_cache_close(struct partner_cache *c) {
    if (!c)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        struct partner_entry *entries = c->shards[i].entries[0];
        for (size_t e = 0; e < (size_t)PARTNER_PLACES * WAYS; e++)
            free(entries[e].texts);
        pthread_mutex_destroy(&c->shards[i].lock);
    }
    free(c);
}

// Numbers are given out one after the other: neighbours go to different shards.
static struct partner_shard *partner_shard(struct partner_cache *c, int64_t id) {
    return &c->shards[(uint64_t)id % SHARDS];
}
static struct partner_entry *partner_place(struct partner_shard *s, int64_t id) {
    return s->entries[(uint64_t)id / SHARDS % PARTNER_PLACES];
}

// Copies the row; its texts go one after the other to `texts`, which has room for them and a NUL each.
static struct partner with_texts(const struct partner *p, char *texts) {
    struct partner out = *p;
    struct str *const all[] = {&out.client_id, &out.name, &out.currencies};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (!str_present(*all[i]))
            continue;
        memcpy(texts, all[i]->p, all[i]->n);
        texts[all[i]->n] = '\0';
        all[i]->p = texts;
        texts += all[i]->n + 1;
    }
    return out;
}
static size_t texts_size(const struct partner *p) {
    return p->client_id.n + p->name.n + p->currencies.n + 3;
}

bool partner_cache_get(struct partner_cache *c, int64_t id, struct mono now, struct arena *arena, struct partner *out) {
    struct partner_shard *s = partner_shard(c, id);
    unsigned generation = partner_cache_generation(c);
    bool found = false;
    pthread_mutex_lock(&s->lock);
    const struct partner_entry *place = partner_place(s, id);
    for (size_t i = 0; i < WAYS; i++) {
        if (place[i].row.id != id)
            continue;
        if (place[i].generation == generation && mono_ms_between(place[i].read_at, now) < PARTNER_FRESH_MS) {
            char *texts = arena_alloc(arena, texts_size(&place[i].row));
            found = texts != NULL;
            if (found)
                *out = with_texts(&place[i].row, texts);
        }
        break;
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

void partner_cache_put(struct partner_cache *c, const struct partner *p, struct mono read_at, unsigned generation) {
    struct partner_shard *s = partner_shard(c, p->id);
    char *texts = xmalloc(texts_size(p));
    struct partner_entry fresh = {.row = with_texts(p, texts), .texts = texts, .read_at = read_at, .generation = generation};
    pthread_mutex_lock(&s->lock);
    struct partner_entry *place = partner_place(s, p->id), *to = place;
    for (size_t i = 0; i < WAYS; i++) {
        if (place[i].row.id == p->id) {
            to = &place[i];
            break;
        }
        if (place[i].read_at.ns < to->read_at.ns)
            to = &place[i];
    }
    char *old = to->texts;
    if (to->row.id == p->id && to->read_at.ns > read_at.ns)
        old = texts; // somebody has read it later than we did
    else
        *to = fresh;
    pthread_mutex_unlock(&s->lock);
    free(old);
}

unsigned partner_cache_generation(const struct partner_cache *c) {
    return atomic_load_explicit(&c->generation, memory_order_acquire);
}

void partner_cache_drop(struct partner_cache *c) {
    atomic_fetch_add_explicit(&c->generation, 1, memory_order_acq_rel);
}
