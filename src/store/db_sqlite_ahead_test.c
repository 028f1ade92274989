// SPDX-License-Identifier: Apache-2.0
#include "store/db_sqlite_ahead.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/testing.h"

#define ROWS 20000
#define PATIENCE_S 10

struct world {
    char folder[64], path[80];
    sqlite3 *lite;
    sqlite3_stmt *get;
    struct sqlite_ahead ahead;
    int fd;
};

static void run(struct world *w, const char *sql) {
    assert_int_equal(sqlite3_exec(w->lite, sql, NULL, NULL, NULL), SQLITE_OK);
}

// A file of many pages, of which SQLite has none in its cache.
static void open_file(struct world *w) {
    assert_int_equal(sqlite3_open(w->path, &w->lite), SQLITE_OK);
    w->fd = open(w->path, O_RDONLY | O_CLOEXEC);
    assert_true(w->fd >= 0);
    run(w, "PRAGMA journal_mode = WAL");
    assert_int_equal(sqlite3_prepare_v2(w->lite, "SELECT note FROM row WHERE id = ?1", -1, &w->get, NULL), SQLITE_OK);
    assert_int_equal(sqlite_ahead_watch(&w->ahead, w->lite, w->fd), SQLITE_OK);
}
static void close_file(struct world *w) {
    sqlite3_finalize(w->get);
    assert_int_equal(sqlite3_close(w->lite), SQLITE_OK);
    close(w->fd);
}

static int set_up(void **state) {
    static const char template[] = "/var/tmp/ahead-test-XXXXXX"; // a disk: what is in memory (/tmp may be) is never read ahead
    struct world *w = calloc(1, sizeof *w);
    memcpy(w->folder, template, sizeof template);
    if (!mkdtemp(w->folder))
        return -1;
    snprintf(w->path, sizeof w->path, "%s/db", w->folder);
    assert_int_equal(sqlite3_open(w->path, &w->lite), SQLITE_OK);
    run(w, "CREATE TABLE row (id INTEGER PRIMARY KEY, note TEXT)");
    run(w, "WITH RECURSIVE n (id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM n WHERE id < 19999)"
           " INSERT INTO row SELECT id, printf('%0*d', 400, id) FROM n");
    assert_int_equal(sqlite3_close(w->lite), SQLITE_OK);
    open_file(w);
    *state = w;
    return 0;
}
static int tear_down(void **state) {
    struct world *w = *state;
    static const char *const files[] = {"", "-wal", "-shm"};
    char path[96];
    close_file(w);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", w->path, files[i]);
        unlink(path);
    }
    rmdir(w->folder);
    free(w);
    return 0;
}

// The system forgets what it has of the file. A file system in memory cannot.
static bool forget_file(struct world *w) {
    assert_int_equal(fdatasync(w->fd), 0);
    assert_int_equal(posix_fadvise(w->fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    w->ahead.asking = true;
    sqlite3_bind_int64(w->get, 1, ROWS / 2);
    bool missing = sqlite3_step(w->get) == SQLITE_INTERRUPT;
    sqlite3_reset(w->get);
    w->ahead.asking = false;
    return missing;
}

static int look_up(struct world *w, int64_t id) {
    sqlite3_bind_int64(w->get, 1, id);
    int rc = sqlite3_step(w->get);
    if (rc == SQLITE_ROW)
        assert_int_equal(atoll((const char *)sqlite3_column_text(w->get, 0)), id);
    sqlite3_reset(w->get);
    return rc;
}

// Asks again until the page has come.
static void look_up_ahead(struct world *w, int64_t id) {
    int64_t until = clock_mono(&clock_system).ns + PATIENCE_S * INT64_C(1000000000);
    int rc = SQLITE_INTERRUPT;
    w->ahead.asking = true;
    while (rc == SQLITE_INTERRUPT && clock_mono(&clock_system).ns < until) {
        rc = look_up(w, id);
        sched_yield();
    }
    w->ahead.asking = false;
    assert_int_equal(rc, SQLITE_ROW);
}

static void a_page_that_is_missing_is_begun_and_comes(void **state) {
    struct world *w = *state;
    if (!forget_file(w))
        skip();
    look_up_ahead(w, 7);
    look_up_ahead(w, ROWS - 1);
    assert_int_equal(w->ahead.late, 0); // nobody has waited
    assert_int_equal(look_up(w, 7), SQLITE_ROW);
    assert_int_equal(look_up(w, ROWS - 1), SQLITE_ROW);
    assert_int_equal(w->ahead.late, 0);
}

static void a_transaction_goes_on_where_a_look_up_broke_off(void **state) {
    struct world *w = *state;
    if (!forget_file(w))
        skip();
    run(w, "BEGIN IMMEDIATE");
    w->ahead.asking = true;
    int broken_off = 0;
    for (int64_t id = 0; id < ROWS; id += 100)
        broken_off += look_up(w, id) == SQLITE_INTERRUPT;
    w->ahead.asking = false;
    assert_true(broken_off > 0);
    assert_int_equal(sqlite3_get_autocommit(w->lite), 0);
    for (int64_t id = 0; id < ROWS; id += 100)
        assert_int_equal(look_up(w, id), SQLITE_ROW); // it waits now
    run(w, "UPDATE row SET note = '77' WHERE id = 77");
    run(w, "COMMIT");
    assert_int_equal(look_up(w, 77), SQLITE_ROW);
    run(w, "PRAGMA integrity_check");
}

// Rows that do not stand together; each time the system has forgotten the file or not.
static void look_up_many(struct world *w, int n, bool forgotten) {
    for (int64_t i = 0; i < n; i++) {
        if (forgotten) // it reads more than one page at a time
            posix_fadvise(w->fd, 0, 0, POSIX_FADV_DONTNEED);
        assert_int_equal(look_up(w, i * 7919 % ROWS), SQLITE_ROW);
    }
}

static void it_pays_while_reads_have_to_wait(void **state) {
    struct world *w = *state;
    if (!forget_file(w))
        skip();
    run(w, "PRAGMA cache_size = 10");
    assert_int_equal(w->ahead.pays, 0);
    look_up_many(w, 3000, true);
    assert_true(w->ahead.pays > 0);
    look_up_many(w, 60000, false);
    assert_int_equal(w->ahead.pays, 0);
}

static void what_cannot_be_read_is_sqlites_to_say(void **state) {
    struct world *w = *state;
    assert_int_equal(look_up(w, 0), SQLITE_ROW);
    assert_int_equal(truncate(w->path, 65536), 0);
    int rc = look_up(w, ROWS - 1);
    assert_true(rc != SQLITE_ROW && rc != SQLITE_INTERRUPT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_page_that_is_missing_is_begun_and_comes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_transaction_goes_on_where_a_look_up_broke_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_pays_while_reads_have_to_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_sqlites_to_say, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
