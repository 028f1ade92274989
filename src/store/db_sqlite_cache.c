// SPDX-License-Identifier: Apache-2.0
#include "store/db_sqlite_cache.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "base/base.h"

#define LOCK_BYTE 0x40000000 // file format, 1.3.1: "The Lock-Byte Page"

struct cache {
    sqlite3_pcache *real;
    unsigned highest;   // no page in it has a greater number
    unsigned lock_page; // never a page's own number
};

static sqlite3_pcache_methods2 usual;

static struct cache *cache_of(sqlite3_pcache *p) {
    return (struct cache *)(void *)p;
}

static int cache_init(void *ctx) {
    (void)ctx;
    return usual.xInit ? usual.xInit(usual.pArg) : SQLITE_OK;
}

static void cache_shutdown(void *ctx) {
    (void)ctx;
    if (usual.xShutdown)
        usual.xShutdown(usual.pArg);
}

static sqlite3_pcache *cache_create(int page_bytes, int extra_bytes, int purgeable) {
    struct cache *c = malloc(sizeof *c);
    if (!c)
        return NULL;
    *c = (struct cache){.real = usual.xCreate(page_bytes, extra_bytes, purgeable), .lock_page = LOCK_BYTE / (unsigned)page_bytes + 1};
    if (!c->real) {
        free(c);
        return NULL;
    }
    return (sqlite3_pcache *)(void *)c;
}

static void cache_size(sqlite3_pcache *p, int pages) {
    usual.xCachesize(cache_of(p)->real, pages);
}

static int cache_count(sqlite3_pcache *p) {
    return usual.xPagecount(cache_of(p)->real);
}

static sqlite3_pcache_page *cache_fetch(sqlite3_pcache *p, unsigned key, int create) {
    struct cache *c = cache_of(p);
    sqlite3_pcache_page *page = usual.xFetch(c->real, key, create);
    if (page && key > c->highest)
        c->highest = key;
    return page;
}

static void cache_unpin(sqlite3_pcache *p, sqlite3_pcache_page *page, int discard) {
    usual.xUnpin(cache_of(p)->real, page, discard);
}

static void cache_rekey(sqlite3_pcache *p, sqlite3_pcache_page *page, unsigned from, unsigned to) {
    struct cache *c = cache_of(p);
    usual.xRekey(c->real, page, from, to);
    if (to > c->highest && to != c->lock_page)
        c->highest = to;
}

static void cache_truncate(sqlite3_pcache *p, unsigned limit) {
    struct cache *c = cache_of(p);
    if (limit > c->highest)
        return;
    usual.xTruncate(c->real, limit);
    c->highest = limit ? limit - 1 : 0;
}

static void cache_destroy(sqlite3_pcache *p) {
    usual.xDestroy(cache_of(p)->real);
    free(p);
}

static void cache_shrink(sqlite3_pcache *p) {
    usual.xShrink(cache_of(p)->real);
}

void sqlite_cache_install(void) {
    static const sqlite3_pcache_methods2 methods = {
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
    if (sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &usual) == SQLITE_OK)
        sqlite3_config(SQLITE_CONFIG_PCACHE2, &methods);
}
