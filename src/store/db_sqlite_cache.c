// SPDX-License-Identifier: Apache-2.0
#include "store/db_sqlite_cache.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/base.h"

#define LOCK_BYTE 0x40000000 // file format, 1.3.1: "The Lock-Byte Page"
#define FIRST_SLOTS 8        // then twice as many each time, as a temporary table needs few
#define LARGE_PAGE ((size_t)2 << 20)
#define FIRST_CHAINS 16

// A page's header. While it bears no page it is in the list of the free ones.
struct slot {
    sqlite3_pcache_page page; // first: it is what SQLite holds
    struct slot *next;        // in its chain, or of the free ones
    unsigned key;             // 0: free
    bool pinned;              // SQLite uses it
    bool used;                // since the hand came by
};

// Pages, what SQLite keeps with each, and their headers, in one piece.
struct chunk {
    struct chunk *next;
    size_t n;
    struct slot *slot;
};

struct cache {
    size_t page_bytes, extra_bytes;
    bool purgeable;     // unpinned pages may be forgotten
    size_t most;        // pages, if it can be helped
    size_t n, pinned;   // pages that are there
    unsigned highest;   // no page that is there has a greater number
    unsigned lock_page; // never a page's own number
    struct slot **chain;
    size_t chains; // a power of two
    struct slot *free;
    size_t slots;
    struct chunk *chunks; // the newest first
    struct chunk *hand;   // where a page was forgotten last
    size_t hand_slot;
};

static struct cache *cache_of(sqlite3_pcache *p) {
    return (struct cache *)(void *)p;
}

// ---- memory ----

static size_t slot_bytes(const struct cache *c) {
    return c->page_bytes + c->extra_bytes + sizeof(struct slot);
}

static bool add_chunk(struct cache *c) {
    size_t n = c->slots < FIRST_SLOTS ? FIRST_SLOTS : c->slots, large = (LARGE_PAGE - sizeof(struct chunk)) / slot_bytes(c);
    bool whole = large > 0 && n >= large;
    if (whole)
        n = large;
    size_t bytes = n * slot_bytes(c) + sizeof(struct chunk);
    char *memory = whole ? aligned_alloc(LARGE_PAGE, LARGE_PAGE) : malloc(bytes);
    if (!memory)
        return false;
    if (whole)
        madvise(memory, LARGE_PAGE, MADV_HUGEPAGE); // where there are none it is as good as without
    char *extra = memory + n * c->page_bytes;
    struct slot *slot = (struct slot *)(void *)(extra + n * c->extra_bytes);
    struct chunk *chunk = (struct chunk *)(void *)(slot + n);
    *chunk = (struct chunk){.next = c->chunks, .n = n, .slot = slot};
    for (size_t i = n; i-- > 0;) {
        slot[i] = (struct slot){.page = {.pBuf = memory + i * c->page_bytes, .pExtra = extra + i * c->extra_bytes}, .next = c->free};
        c->free = &slot[i];
    }
    c->chunks = chunk;
    c->slots += n;
    return true;
}

// ---- chains ----

static struct slot **chain_of(const struct cache *c, unsigned key) {
    return &c->chain[key & (c->chains - 1)];
}

// The link that leads to it, or to the end of its chain.
static struct slot **find(const struct cache *c, unsigned key) {
    struct slot **link = chain_of(c, key);
    while (*link && (*link)->key != key)
        link = &(*link)->next;
    return link;
}

static void add_chains(struct cache *c) {
    size_t chains = c->chains * 2;
    struct slot **wider = calloc(chains, sizeof *wider);
    if (!wider)
        return; // longer chains, then
    struct slot **old = c->chain;
    size_t n = c->chains;
    c->chain = wider;
    c->chains = chains;
    for (size_t i = 0; i < n; i++) {
        for (struct slot *s = old[i], *next; s; s = next) {
            next = s->next;
            struct slot **head = chain_of(c, s->key);
            s->next = *head;
            *head = s;
        }
    }
    free(old);
}

static void link_in(struct cache *c, struct slot *s, unsigned key) {
    struct slot **head = chain_of(c, key);
    s->key = key;
    s->next = *head;
    *head = s;
}

static void forget(struct cache *c, struct slot **link) {
    struct slot *s = *link;
    *link = s->next;
    c->n--;
    c->pinned -= s->pinned;
    s->key = 0;
    s->pinned = false;
    s->next = c->free;
    c->free = s;
}

static void forget_slot(struct cache *c, struct slot *s) {
    struct slot **link = find(c, s->key);
    CHECK(*link == s);
    forget(c, link);
}

// ---- forgetting ----

// One page that was not used since the hand came by last. There is one that is not pinned.
static void forget_one(struct cache *c) {
    for (;;) {
        if (!c->hand || c->hand_slot == c->hand->n) {
            c->hand = c->hand && c->hand->next ? c->hand->next : c->chunks;
            c->hand_slot = 0;
        }
        struct slot *s = &c->hand->slot[c->hand_slot++];
        if (s->key == 0 || s->pinned)
            continue;
        if (!s->used) {
            forget_slot(c, s);
            return;
        }
        s->used = false;
    }
}

static void forget_down_to(struct cache *c, size_t most) {
    while (c->purgeable && c->n > most && c->n > c->pinned)
        forget_one(c);
}

// ---- SQLite's methods ----

static int cache_init(void *ctx) {
    (void)ctx;
    return SQLITE_OK;
}

static void cache_shutdown(void *ctx) {
    (void)ctx;
}

static void cache_destroy(sqlite3_pcache *p) {
    struct cache *c = cache_of(p);
    for (struct chunk *chunk = c->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk->slot[0].page.pBuf); // where its memory begins
    }
    free(c->chain);
    free(c);
}

static sqlite3_pcache *cache_create(int page_bytes, int extra_bytes, int purgeable) {
    struct cache *c = malloc(sizeof *c);
    if (!c)
        return NULL;
    *c = (struct cache){
        .page_bytes = ((size_t)page_bytes + 7) & ~(size_t)7,
        .extra_bytes = ((size_t)extra_bytes + 7) & ~(size_t)7,
        .purgeable = purgeable,
        .most = SIZE_MAX, // until it is set
        .lock_page = LOCK_BYTE / (unsigned)page_bytes + 1,
        .chains = FIRST_CHAINS,
        .chain = calloc(FIRST_CHAINS, sizeof(struct slot *)),
    };
    if (c->chain)
        return (sqlite3_pcache *)(void *)c;
    free(c);
    return NULL;
}

static void cache_size(sqlite3_pcache *p, int pages) {
    struct cache *c = cache_of(p);
    c->most = pages > 0 ? (size_t)pages : 1;
    forget_down_to(c, c->most);
}

static int cache_count(sqlite3_pcache *p) {
    return (int)cache_of(p)->n;
}

static void take(struct cache *c, struct slot *s) {
    c->pinned += !s->pinned;
    s->pinned = true;
}

// create: 1 "if it is easy": not when nearly all are pinned, for then SQLite writes some of its changes out first. 2: if at all possible.
static sqlite3_pcache_page *cache_fetch(sqlite3_pcache *p, unsigned key, int create) {
    struct cache *c = cache_of(p);
    struct slot *s = *find(c, key);
    if (s) {
        take(c, s);
        s->used = true;
        return &s->page;
    }
    if (create == 0 || (create == 1 && c->purgeable && c->pinned >= c->most - c->most / 10))
        return NULL;
    if (c->n >= c->most)
        forget_down_to(c, c->most - 1);
    if (!c->free && !add_chunk(c))
        return NULL;
    if (c->n >= c->chains)
        add_chains(c);
    s = c->free;
    c->free = s->next;
    link_in(c, s, key);
    c->n++;
    s->used = false;
    take(c, s);
    memset(s->page.pExtra, 0, sizeof(void *)); // how SQLite knows that it is new
    if (key > c->highest)
        c->highest = key;
    return &s->page;
}

static void cache_unpin(sqlite3_pcache *p, sqlite3_pcache_page *page, int discard) {
    struct cache *c = cache_of(p);
    struct slot *s = (struct slot *)(void *)page;
    if (discard || (c->purgeable && c->n > c->most)) {
        forget_slot(c, s);
        return;
    }
    c->pinned--;
    s->pinned = false;
}

static void cache_rekey(sqlite3_pcache *p, sqlite3_pcache_page *page, unsigned from, unsigned to) {
    struct cache *c = cache_of(p);
    struct slot **link = find(c, to);
    if (*link)
        forget(c, link);
    link = find(c, from);
    struct slot *s = *link;
    CHECK(&s->page == page);
    *link = s->next;
    link_in(c, s, to);
    if (to > c->highest && to != c->lock_page) // which pages bear for a moment only, while they change places
        c->highest = to;
}

static void truncate_chain(struct cache *c, size_t chain, unsigned limit) {
    for (struct slot **link = &c->chain[chain]; *link;) {
        if ((*link)->key >= limit)
            forget(c, link);
        else
            link = &(*link)->next;
    }
}

static void cache_truncate(sqlite3_pcache *p, unsigned limit) {
    struct cache *c = cache_of(p);
    if (limit > c->highest)
        return;
    for (size_t i = 0; i < c->chains; i++)
        truncate_chain(c, i, limit);
    c->highest = limit ? limit - 1 : 0;
}

// "Free as much as possible": what is free stays ours.
static void cache_shrink(sqlite3_pcache *p) {
    forget_down_to(cache_of(p), 0);
}

const sqlite3_pcache_methods2 sqlite_cache = {
    .iVersion = 1,
    .xInit = cache_init,
    .xShutdown = cache_shutdown,
    .xCreate = cache_create,
    .xCachesize = cache_size,
    .xPagecount = cache_count,
    .xFetch = cache_fetch,
    .xUnpin = cache_unpin,
    .xRekey = cache_rekey,
    .xTruncate = cache_truncate,
    .xDestroy = cache_destroy,
    .xShrink = cache_shrink,
};
