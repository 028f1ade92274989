// SPDX-License-Identifier: Apache-2.0
#include "store/db_sqlite_cache.h"

#include <stdbool.h>
#include <string.h>

#include "base/testing.h"

#define PAGE 4096
#define EXTRA 200
#define KEYS 3000

static const sqlite3_pcache_methods2 *m = &sqlite_cache;

// What is written into a page and into what SQLite keeps with it, at both ends: another page's header or bytes would spoil it.
static void write_on(sqlite3_pcache_page *p, unsigned mark) {
    memcpy(p->pBuf, &mark, sizeof mark);
    memcpy((char *)p->pBuf + PAGE - sizeof mark, &mark, sizeof mark);
    memcpy(p->pExtra, &mark, sizeof mark);
    memcpy((char *)p->pExtra + EXTRA - sizeof mark, &mark, sizeof mark);
}
static bool bears(const sqlite3_pcache_page *p, unsigned mark) {
    return memcmp(p->pBuf, &mark, sizeof mark) == 0 && memcmp((const char *)p->pBuf + PAGE - sizeof mark, &mark, sizeof mark) == 0 &&
           memcmp(p->pExtra, &mark, sizeof mark) == 0 && memcmp((const char *)p->pExtra + EXTRA - sizeof mark, &mark, sizeof mark) == 0;
}
static bool is_new(const sqlite3_pcache_page *p) {
    return memcmp(p->pExtra, (void *[]){NULL}, sizeof(void *)) == 0;
}

// A page that was just created, pinned.
static sqlite3_pcache_page *create(sqlite3_pcache *c, unsigned key) {
    sqlite3_pcache_page *p = m->xFetch(c, key, 2);
    assert_non_null(p);
    assert_true(is_new(p));
    write_on(p, key);
    return p;
}
static bool there(sqlite3_pcache *c, unsigned key) {
    sqlite3_pcache_page *p = m->xFetch(c, key, 0);
    if (p)
        m->xUnpin(c, p, 0);
    return p;
}

static void pages_that_are_used_outlive_those_that_are_not(void **state) {
    (void)state;
    sqlite3_pcache *c = m->xCreate(PAGE, EXTRA, 1);
    m->xCachesize(c, 1000);
    for (unsigned key = 1; key <= 20000; key++) {
        m->xUnpin(c, create(c, key), 0);
        for (unsigned often = 1; often <= 100 && often <= key; often++)
            assert_true(there(c, often));
        assert_in_range(m->xPagecount(c), 1, 1000);
    }
    assert_false(there(c, 15000));
    assert_true(there(c, 20000));
    m->xDestroy(c);
}

static void pinned_pages_stay_and_may_be_more_than_the_size(void **state) {
    (void)state;
    sqlite3_pcache *c = m->xCreate(PAGE, EXTRA, 1);
    sqlite3_pcache_page *page[200];
    m->xCachesize(c, 100);
    for (unsigned i = 0; i < 90; i++)
        page[i] = create(c, i + 1);
    assert_null(m->xFetch(c, 91, 1)); // nearly all are pinned: SQLite is to write some out first
    assert_int_equal(m->xPagecount(c), 90);
    for (unsigned i = 90; i < 200; i++)
        page[i] = create(c, i + 1);
    assert_int_equal(m->xPagecount(c), 200);
    m->xShrink(c);
    for (unsigned i = 0; i < 200; i++)
        assert_true(bears(page[i], i + 1));
    for (unsigned i = 0; i < 200; i++)
        m->xUnpin(c, page[i], 0);
    assert_int_equal(m->xPagecount(c), 100);
    m->xCachesize(c, 10);
    assert_int_equal(m->xPagecount(c), 10);
    m->xShrink(c);
    assert_int_equal(m->xPagecount(c), 0);
    m->xDestroy(c);
}

static void pages_beyond_the_end_are_dropped_pinned_or_not(void **state) {
    (void)state;
    sqlite3_pcache *c = m->xCreate(PAGE, EXTRA, 1);
    m->xCachesize(c, 1000);
    for (unsigned key = 1; key <= 100; key++) {
        sqlite3_pcache_page *p = create(c, key);
        if (key % 3)
            m->xUnpin(c, p, 0);
    }
    m->xTruncate(c, 200);
    assert_int_equal(m->xPagecount(c), 100);
    m->xTruncate(c, 51);
    assert_int_equal(m->xPagecount(c), 50);
    for (unsigned key = 1; key <= 100; key++)
        assert_int_equal(there(c, key), key <= 50);
    m->xUnpin(c, create(c, 70), 0);
    m->xTruncate(c, 51);
    assert_int_equal(m->xPagecount(c), 50);
    m->xTruncate(c, 0);
    assert_int_equal(m->xPagecount(c), 0);
    m->xDestroy(c);
}

// SQLite gives pages that change places the number of the page with the lock byte for a moment, and cuts the cache to the file's size at
// each commit: that is not to make every commit look through the cache, but what is there is to be found.
static void a_page_changes_its_number(void **state) {
    (void)state;
    const unsigned lock_page = 0x40000000 / PAGE + 1;
    sqlite3_pcache *c = m->xCreate(PAGE, EXTRA, 1);
    m->xCachesize(c, 1000);
    sqlite3_pcache_page *three = create(c, 3), *four = create(c, 4);
    m->xRekey(c, three, 3, lock_page);
    m->xRekey(c, four, 4, 3);
    m->xRekey(c, three, lock_page, 4);
    assert_ptr_equal(m->xFetch(c, 3, 0), four);
    assert_ptr_equal(m->xFetch(c, 4, 0), three);
    assert_true(bears(three, 3) && bears(four, 4));
    m->xUnpin(c, create(c, 900), 0);
    m->xRekey(c, three, 4, 900); // the one that had the number is dropped
    assert_ptr_equal(m->xFetch(c, 900, 0), three);
    assert_int_equal(m->xPagecount(c), 2);
    m->xTruncate(c, 900);
    assert_int_equal(m->xPagecount(c), 1);
    m->xDestroy(c);
}

// Every method in random order, beside a model that knows what must be there, what may be and what must not.
struct model {
    sqlite3_pcache_page *page[KEYS + 1]; // where it was last; NULL: must not be there
    unsigned mark[KEYS + 1];
    bool pinned[KEYS + 1];
    size_t n_pinned;
};

static void model_fetch(struct model *w, sqlite3_pcache *c, unsigned key, int create_flag, size_t most, bool purgeable, unsigned mark) {
    int before = m->xPagecount(c);
    sqlite3_pcache_page *p = m->xFetch(c, key, create_flag);
    if (!p) {
        assert_false(w->pinned[key]);
        assert_true(create_flag < 2);
        assert_true(create_flag == 0 || (purgeable && w->n_pinned >= most - most / 10));
        assert_true(purgeable || !w->page[key]);
        w->page[key] = NULL;
        return;
    }
    if (is_new(p)) {
        assert_true(create_flag > 0 && !w->pinned[key] && (purgeable || !w->page[key]));
        write_on(p, mark);
        w->mark[key] = mark;
    } else {
        assert_ptr_equal(p, w->page[key]);
        assert_true(bears(p, w->mark[key]));
        assert_int_equal(m->xPagecount(c), before);
    }
    w->page[key] = p;
    w->n_pinned += !w->pinned[key];
    w->pinned[key] = true;
}

static void model_gone(struct model *w, unsigned key) {
    w->n_pinned -= w->pinned[key];
    w->pinned[key] = false;
    w->page[key] = NULL;
}

static void every_method_in_random_order(struct rng *rng, bool purgeable) {
    sqlite3_pcache *c = m->xCreate(PAGE, EXTRA, purgeable);
    struct model *w = calloc(1, sizeof *w);
    size_t most = 500;
    assert_non_null(w);
    m->xCachesize(c, (int)most);
    for (unsigned i = 1; i <= 200000; i++) {
        unsigned key = 1 + (unsigned)rng_below(rng, KEYS), to;
        switch (rng_below(rng, 1000)) {
        case 0:
            most = 1 + rng_below(rng, 2 * KEYS);
            m->xCachesize(c, (int)most);
            break;
        case 1:
            m->xShrink(c);
            break;
        case 2:
            m->xTruncate(c, key);
            for (; key <= KEYS; key++)
                model_gone(w, key);
            break;
        case 3:
        case 4:
        case 5:
            to = 1 + (unsigned)rng_below(rng, KEYS);
            if (!w->pinned[key] || w->pinned[to])
                break;
            m->xRekey(c, w->page[key], key, to);
            w->page[to] = w->page[key];
            w->mark[to] = w->mark[key];
            w->pinned[to] = true;
            w->n_pinned++;
            model_gone(w, key);
            break;
        default:
            if (!w->pinned[key]) {
                model_fetch(w, c, key, (int)rng_below(rng, 3), most, purgeable, i);
                break;
            }
            bool discard = rng_below(rng, 10) == 0;
            assert_true(bears(w->page[key], w->mark[key]));
            m->xUnpin(c, w->page[key], discard);
            w->pinned[key] = false;
            w->n_pinned--;
            if (discard)
                w->page[key] = NULL;
        }
        assert_true((size_t)m->xPagecount(c) >= w->n_pinned);
        assert_true(!purgeable || (size_t)m->xPagecount(c) <= (most > w->n_pinned ? most : w->n_pinned));
    }
    free(w);
    m->xDestroy(c);
}

static void every_method_beside_a_model(void **state) {
    (void)state;
    struct rng_seeded seeded;
    struct rng rng = testing_rng(&seeded);
    every_method_in_random_order(&rng, true);
    every_method_in_random_order(&rng, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_that_are_used_outlive_those_that_are_not),
        cmocka_unit_test(pinned_pages_stay_and_may_be_more_than_the_size),
        cmocka_unit_test(pages_beyond_the_end_are_dropped_pinned_or_not),
        cmocka_unit_test(a_page_changes_its_number),
        cmocka_unit_test(every_method_beside_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
