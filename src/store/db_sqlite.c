// SPDX-License-Identifier: Apache-2.0
/*
 * db_sqlite.c - the embedded database. With db_sqlite_ahead.c, db_sqlite_cache.c and db_sqlite_log.c the only one that knows sqlite3.h.
 *
 * The location is a folder: topupd.db (with SQLite's -wal and -shm beside it) and topupd.lock, which the writer holds locked for as long as
 * it lives, so that a second server on the same folder is refused instead of taking turns.
 *
 * Some failures (disk full, I/O) make SQLite roll the whole transaction back by itself. Going on would then write outside any
 * transaction; so the connection remembers that it is in one and refuses everything until rollback (`broken`).
 *
 * The log (WAL) is copied back into the file when it is UPKEEP_PAGES long. Doing that between two batches would hold up all orders for as
 * long as the disk takes for so much. So copy() does it on another thread and connection, while the writer goes on, and syncs the file as
 * it goes; what was written meanwhile is copied in another round, which is shorter, and the little that is left by the writer itself
 * (upkeep()), after which SQLite starts the log anew. When nobody writes a shorter log is copied, too, for the readers' sake. When readers
 * have kept it from that until the log is UPKEEP_ALONE_PAGES long, it is done with the readers held off, which always succeeds.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/blocks.h"
#include "store/db.h"
#include "store/db_sqlite_ahead.h"
#include "store/db_sqlite_cache.h"
#include "store/db_sqlite_log.h"
#include "store/statements.h"

#define APPLICATION_ID 0x746f7075 // "topu"
#define PATH_MAX_BYTES 1024
#define WRITER_CACHE_KIB 262144
#define READER_CACHE_KIB 16384
#define BUSY_MS 5000
#define UPKEEP_PAGES 32768        // 128 MiB of log
#define UPKEEP_IDLE_PAGES 1024    // 4 MiB, when nobody writes: readers look through the log before they look into the file
#define UPKEEP_SHORT_PAGES 128    // 512 KiB: so much the writer copies itself
#define UPKEEP_ROUNDS 16          // or what is left after so many rounds of copy()
#define UPKEEP_AGAIN_PAGES 8192   // longer before the next try, when the log was not started anew
#define UPKEEP_ALONE_PAGES 131072 // 512 MiB
#define LOG_SIZE_KEPT 268435456   // the log file is cut back to this when it starts anew
#define PACE_PAGES 64             // which a disk writes in less than a millisecond, at random places
#define PACE_STEP 4               // and 16 times as many when the log is twice as long as it should be, 256 times when it is three times

// Whose rows lie anywhere in tables that grow without end.
static const enum statement far[] = {ST_SIM_GET, ST_SIM_SUBSCRIPTIONS, ST_IDEM_GET, ST_USAGE_FIND};

enum turn { TURN_BEGIN, TURN_BEGIN_TO_WRITE, TURN_COMMIT, TURN_ROLLBACK, TURNS };

// The file of a connection whose writes are paced; SQLite holds `methods` for the file's.
struct paced {
    sqlite3_io_methods methods;
    const sqlite3_io_methods *usual;
    sqlite3_file *file;
    int pages, unsynced;
};

struct db_lite {
    struct db db;
    sqlite3 *lite;
    sqlite3_stmt *statement[STATEMENTS];
    sqlite3_stmt *turn[TURNS];
    bool writer;
    bool in_transaction;
    bool broken; // SQLite has rolled back by itself: nothing more until rollback()
    int lock_fd;
    int64_t log_pages; // in the log after the last commit
    int file_fd;       // of the file, for `ahead`
    struct sqlite_ahead ahead;
    // upkeep's
    int64_t log_seen;  // log_pages when it last looked
    int64_t upkeep_at; // the log's length at which something is to be done
    int rounds;        // of copy()
    // copy's, while it runs
    char *path;
    sqlite3 *copier;
    struct paced paced; // the copier's
    int64_t copied;     // pages of the log that are in the file, too
};

static struct db_lite *lite_of(struct db *db) {
    return (struct db_lite *)db;
}

// ---- errors ----

// SQLite says "full" only where it writes rows; elsewhere it is the system that knows.
static enum err_kind away(struct db_lite *d, const char *text, struct err *err) {
    int why = sqlite3_system_errno(d->lite);
    if (why == ENOSPC || why == EDQUOT)
        return err_set(err, ERR_UNAVAILABLE, "the store cannot write: the disk is full");
    return err_set(err, ERR_UNAVAILABLE, "the store is away: %s (%d)%s%s", text, sqlite3_extended_errcode(d->lite), why ? ": " : "",
                   why ? strerror(why) : "");
}

// What SQLite said, as one of ours. Called before anything else touches the connection.
static enum err_kind failed(struct db_lite *d, int rc, struct err *err) {
    if (d->in_transaction && sqlite3_get_autocommit(d->lite))
        d->broken = true;
    const char *text = sqlite3_errmsg(d->lite);
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT: {
        static const char unique[] = "UNIQUE constraint failed: ";
        int extended = sqlite3_extended_errcode(d->lite);
        if (extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY || extended == SQLITE_CONSTRAINT_ROWID)
            return err_set(err, ERR_CONFLICT, "%s", str_starts(str_of(text), unique) ? text + sizeof unique - 1 : text);
        if (extended == SQLITE_CONSTRAINT_FOREIGNKEY)
            return err_set(err, ERR_CONFLICT, "foreign key: it refers to something that does not exist, or something refers to it");
        return err_set(err, ERR_INTERNAL, "store: %s", text); // CHECK, NOT NULL, type: our rules should have caught it
    }
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(err, ERR_CORRUPT, "the store's file is damaged (%s): restore it from a backup", text);
    case SQLITE_FULL:
        return err_set(err, ERR_UNAVAILABLE, "the store cannot write: the disk is full");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, ERR_UNAVAILABLE, "the store is locked by another program");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_NOMEM:
    case SQLITE_INTERRUPT:
    case SQLITE_PROTOCOL:
        return away(d, text, err);
    default:
        return err_set(err, ERR_INTERNAL, "store: %s (%d)", text, rc);
    }
}

static enum err_kind refuse_broken(struct err *err) {
    return err_set(err, ERR_UNAVAILABLE, "the store gave the transaction up");
}

// ---- settings ----

// One number that a statement answers.
static enum err_kind ask(struct db_lite *d, const char *sql, int64_t *out, struct err *err) {
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(d->lite, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    enum err_kind kind = ERR_NONE;
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    else
        kind = rc == SQLITE_DONE ? err_set(err, ERR_INTERNAL, "store: \"%s\" answers nothing", sql) : failed(d, rc, err);
    sqlite3_finalize(st);
    return kind;
}

// Sets a pragma and reads it back: SQLite takes a misspelt one without a word.
static enum err_kind set(struct db_lite *d, const char *pragma, int64_t value, struct err *err) {
    char sql[128];
    snprintf(sql, sizeof sql, "PRAGMA %s = %" PRId64, pragma, value);
    int rc = sqlite3_exec(d->lite, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return failed(d, rc, err);
    int64_t now = INT64_MIN;
    snprintf(sql, sizeof sql, "PRAGMA %s", pragma);
    enum err_kind kind = ask(d, sql, &now, err);
    if (!kind && now != value)
        kind = err_set(err, ERR_UNAVAILABLE, "the store's setting %s is %" PRId64 " and cannot be made %" PRId64, pragma, now, value);
    return kind;
}

static enum err_kind set_wal(struct db_lite *d, struct err *err) {
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(d->lite, "PRAGMA journal_mode = WAL", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    enum err_kind kind = ERR_NONE;
    if (rc != SQLITE_ROW)
        kind = failed(d, rc, err);
    else if (strcmp((const char *)sqlite3_column_text(st, 0), "wal") != 0)
        kind = err_set(err, ERR_UNAVAILABLE, "the store's folder does not allow a write-ahead log");
    sqlite3_finalize(st);
    return kind;
}

// Nothing is written before this has said that the file is ours (or empty).
static enum err_kind check_ours(struct db_lite *d, const char *path, struct err *err) {
    int64_t application = 0, version = 0, tables = 0;
    enum err_kind kind = ask(d, "SELECT count(*) FROM sqlite_master", &tables, err);
    if (!kind)
        kind = ask(d, "PRAGMA application_id", &application, err);
    if (!kind)
        kind = ask(d, "PRAGMA user_version", &version, err);
    if (kind)
        return kind;
    if (application != APPLICATION_ID && (application || version || tables))
        return err_set(err, ERR_CONFLICT, "%s is another program's database", path);
    return ERR_NONE;
}

static enum err_kind settings(struct db_lite *d, struct err *err) {
    const struct {
        const char *pragma;
        int64_t value;
    } wanted[] = {
        {"busy_timeout", BUSY_MS}, {"foreign_keys", 1},
        {"temp_store", 2}, // memory
        {"mmap_size", 0},          {"cache_size", d->writer ? -WRITER_CACHE_KIB : -READER_CACHE_KIB},
        {"trusted_schema", 0},     {"query_only", !d->writer},
    };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        enum err_kind kind = set(d, wanted[i].pragma, wanted[i].value, err);
        if (kind)
            return kind;
    }
    if (!d->writer)
        return ERR_NONE;
    enum err_kind kind = set_wal(d, err);
    if (!kind)
        kind = set(d, "synchronous", 2, err); // FULL: the log is synced at each commit
    if (!kind)
        kind = set(d, "wal_autocheckpoint", 0, err); // upkeep() does it
    if (!kind)
        kind = set(d, "journal_size_limit", LOG_SIZE_KEPT, err);
    if (!kind)
        kind = set(d, "secure_delete", 0, err); // zeroing what is deleted would write pages for nothing
    return kind;
}

// ---- opening ----

static enum err_kind no_folder(const char *folder, const char *what, struct err *err) {
    return err_set(err, ERR_UNAVAILABLE, "%s: %s: %s", folder, what, strerror(errno));
}

// The folder, the lock and the file, with the modes they must have.
static enum err_kind prepare_folder(struct db_lite *d, const char *folder, const char *path, bool may_create, struct err *err) {
    if (may_create && mkdir(folder, 0700) != 0 && errno != EEXIST)
        return no_folder(folder, "cannot make the data folder", err);
    struct stat st;
    if (stat(folder, &st) != 0) {
        if (errno == ENOENT)
            return err_set(err, ERR_NOT_FOUND, "%s: there is no store", folder);
        return no_folder(folder, "cannot use the data folder", err);
    }
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ERR_UNAVAILABLE, "%s: is not a folder", folder);
    if (!may_create && stat(path, &st) != 0)
        return err_set(err, ERR_NOT_FOUND, "%s: there is no store in it", folder);

    char lock[PATH_MAX_BYTES + 16];
    snprintf(lock, sizeof lock, "%s/topupd.lock", folder);
    d->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->lock_fd < 0)
        return no_folder(folder, "cannot write in the data folder", err);
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return err_set(err, ERR_CONFLICT, "%s: another topupd is running on this store", folder);
        return no_folder(folder, "cannot lock the data folder", err);
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); // SQLite gives its other files the same mode
    if (fd < 0)
        return no_folder(folder, "cannot write the store's file topupd.db", err);
    close(fd);
    return ERR_NONE;
}

static int on_wal(void *ctx, sqlite3 *lite, const char *name, int pages) {
    (void)lite;
    (void)name;
    struct db_lite *d = ctx;
    d->log_pages = pages;
    return SQLITE_OK;
}

// SQLite's memory. Debian's is built without lookaside, its own list of small pieces.
static void *memory_alloc(int n) {
    return blocks_alloc((size_t)n);
}
static void *memory_resize(void *p, int n) {
    return blocks_resize(p, (size_t)n);
}
static int memory_size(void *p) {
    return (int)blocks_size(p);
}
static int memory_round_up(int n) {
    return (n + 7) & ~7;
}
static int memory_begin(void *ctx) {
    (void)ctx;
    return SQLITE_OK;
}
static void memory_end(void *ctx) {
    (void)ctx;
}

static void once_settings(void) {
    static const sqlite3_mem_methods memory = {memory_alloc,    blocks_free,  memory_resize, memory_size,
                                               memory_round_up, memory_begin, memory_end,    NULL};
    sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); // a lock around every malloc, for numbers nobody reads
    sqlite3_config(SQLITE_CONFIG_PCACHE2, &sqlite_cache);
}

static enum err_kind watch(struct db_lite *d, const char *path, struct err *err) {
    d->file_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (d->file_fd < 0)
        return err_set(err, ERR_UNAVAILABLE, "%s: cannot be opened: %s", path, strerror(errno));
    int rc = sqlite_ahead_watch(&d->ahead, d->lite, d->file_fd);
    return rc == SQLITE_OK ? ERR_NONE : failed(d, rc, err);
}

static void lite_close(struct db *db) {
    if (!db)
        return;
    struct db_lite *d = lite_of(db);
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(d->statement[i]);
    for (int i = 0; i < TURNS; i++)
        sqlite3_finalize(d->turn[i]);
    if (d->copier)
        sqlite3_close(d->copier);
    if (d->lite)
        sqlite3_close(d->lite);
    free(d->path);
    if (d->file_fd >= 0)
        close(d->file_fd); // with it go the locks that this process has on the file; SQLite's that matter are on the log's index
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    free(d);
}

static enum err_kind lite_open(const struct db_driver *self, const char *location, bool writer, bool may_create, struct db **out,
                               struct err *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, once_settings);
    if (strlen(location) >= PATH_MAX_BYTES)
        return err_set(err, ERR_INVALID, "the data folder's name is too long");
    struct db_lite *d = xcalloc(1, sizeof *d);
    d->db.driver = self;
    d->writer = writer;
    d->lock_fd = d->file_fd = -1;
    char path[PATH_MAX_BYTES + 16];
    snprintf(path, sizeof path, "%s/topupd.db", location);

    enum err_kind kind = writer ? prepare_folder(d, location, path, may_create, err) : ERR_NONE;
    if (!kind) {
        int rc = sqlite3_open_v2(path, &d->lite, (writer ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX,
                                 writer ? sqlite_log_vfs() : NULL);
        if (rc != SQLITE_OK)
            kind = d->lite ? failed(d, rc, err) : err_set(err, ERR_UNAVAILABLE, "%s: cannot be opened", path);
    }
    if (!kind) {
        sqlite3_db_config(d->lite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        if (writer)
            kind = check_ours(d, path, err);
    }
    if (!kind)
        kind = settings(d, err);
    if (!kind)
        kind = watch(d, path, err);
    if (kind) {
        lite_close(&d->db);
        return kind;
    }
    if (writer) {
        sqlite3_wal_hook(d->lite, on_wal, d);
        d->path = xstrdup(path);
        d->upkeep_at = UPKEEP_PAGES;
    }
    *out = &d->db;
    return ERR_NONE;
}

static enum err_kind lite_version(struct db *db, int64_t *out, struct err *err) {
    return ask(lite_of(db), "PRAGMA user_version", out, err);
}

static enum err_kind lite_set_version(struct db *db, int64_t version, struct err *err) {
    enum err_kind kind = set(lite_of(db), "application_id", APPLICATION_ID, err);
    return kind ? kind : set(lite_of(db), "user_version", version, err);
}

static enum err_kind lite_prepare(struct db *db, struct err *err) {
    struct db_lite *d = lite_of(db);
    for (int i = 0; i < STATEMENTS; i++) {
        if (!d->writer && statements[i].flags & DB_WRITES)
            continue;
        int rc = sqlite3_prepare_v3(d->lite, statements[i].sql[DB_SQLITE], -1, SQLITE_PREPARE_PERSISTENT, &d->statement[i], NULL);
        if (rc == SQLITE_OK)
            continue;
        struct err why = {0};
        enum err_kind kind = failed(d, rc, &why);
        return err_set(err, kind, "statement %s: %s", statements[i].name, err_first(&why));
    }
    return ERR_NONE;
}

static enum err_kind bind(struct db_lite *d, sqlite3_stmt *st, const struct db_value *params, size_t n, struct err *err) {
    CHECK(n == (size_t)sqlite3_bind_parameter_count(st));
    for (size_t i = 0; i < n; i++) {
        int rc = SQLITE_OK, at = (int)i + 1;
        switch (params[i].type) {
        case DB_NULL:
            rc = sqlite3_bind_null(st, at);
            break;
        case DB_INT:
            rc = sqlite3_bind_int64(st, at, params[i].i);
            break;
        case DB_TEXT:
            rc = sqlite3_bind_text64(st, at, params[i].s.p, params[i].s.n, SQLITE_STATIC, SQLITE_UTF8);
            break;
        case DB_BLOB:
            rc = sqlite3_bind_blob64(st, at, params[i].s.p, params[i].s.n, SQLITE_STATIC);
            break;
        }
        if (rc != SQLITE_OK)
            return failed(d, rc, err);
    }
    return ERR_NONE;
}

// ---- looking ahead ----

// What the look-up says does not matter, nor whether it was broken off.
static void lite_look(struct db *db, int statement, const struct db_value *params, size_t n) {
    struct db_lite *d = lite_of(db);
    struct err ignored = {0};
    bool is_far = false;
    for (size_t i = 0; i < ARRAY_LEN(far); i++)
        is_far = is_far || (int)far[i] == statement;
    if (!is_far || d->broken)
        return;
    d->ahead.asking = true;
    if (bind(d, d->statement[statement], params, n, &ignored) == ERR_NONE)
        sqlite3_step(d->statement[statement]);
    sqlite3_reset(d->statement[statement]);
    d->ahead.asking = false;
}

// ---- transactions ----

static enum err_kind plain(struct db_lite *d, const char *sql, struct err *err) {
    int rc = sqlite3_exec(d->lite, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_NONE : failed(d, rc, err);
}

// What begins and ends each transaction is parsed once.
static int turn(struct db_lite *d, enum turn which) {
    static const char *const sql[TURNS] = {"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"};
    sqlite3_stmt **st = &d->turn[which];
    if (!*st && sqlite3_prepare_v3(d->lite, sql[which], -1, SQLITE_PREPARE_PERSISTENT, st, NULL) != SQLITE_OK)
        return sqlite3_exec(d->lite, sql[which], NULL, NULL, NULL);
    int rc = sqlite3_step(*st);
    sqlite3_reset(*st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static void lite_rollback(struct db *db) {
    struct db_lite *d = lite_of(db);
    if (!sqlite3_get_autocommit(d->lite))
        turn(d, TURN_ROLLBACK);
    d->in_transaction = false;
    d->broken = false;
}

static enum err_kind lite_begin(struct db *db, struct err *err) {
    struct db_lite *d = lite_of(db);
    CHECK(!d->in_transaction);
    if (!sqlite3_get_autocommit(d->lite)) // an earlier rollback failed
        lite_rollback(db);
    int rc = turn(d, d->writer ? TURN_BEGIN_TO_WRITE : TURN_BEGIN);
    if (rc != SQLITE_OK)
        return failed(d, rc, err);
    d->in_transaction = true;
    return ERR_NONE;
}

static enum err_kind lite_commit(struct db *db, struct err *err) {
    struct db_lite *d = lite_of(db);
    CHECK(d->in_transaction);
    if (d->broken)
        return refuse_broken(err);
    int rc = turn(d, TURN_COMMIT);
    if (rc != SQLITE_OK)
        return failed(d, rc, err);
    d->in_transaction = false;
    db->far = d->ahead.pays > 0;
    return ERR_NONE;
}

static enum err_kind lite_savepoint(struct db *db, struct err *err) {
    return lite_of(db)->broken ? refuse_broken(err) : plain(lite_of(db), "SAVEPOINT job", err);
}
static enum err_kind lite_release(struct db *db, struct err *err) {
    return lite_of(db)->broken ? refuse_broken(err) : plain(lite_of(db), "RELEASE job", err);
}
static enum err_kind lite_undo(struct db *db, struct err *err) {
    return lite_of(db)->broken ? refuse_broken(err) : plain(lite_of(db), "ROLLBACK TO job; RELEASE job", err);
}

// ---- statements ----

static enum err_kind lite_exec(struct db *db, int statement, const struct db_value *params, size_t n, int64_t *changed, struct err *err) {
    struct db_lite *d = lite_of(db);
    CHECK(d->in_transaction);
    if (d->broken)
        return refuse_broken(err);
    sqlite3_stmt *st = d->statement[statement];
    enum err_kind kind = bind(d, st, params, n, err);
    if (!kind) {
        int rc = sqlite3_step(st);
        if (rc == SQLITE_DONE) {
            if (changed)
                *changed = sqlite3_changes64(d->lite);
        } else {
            kind = rc == SQLITE_ROW ? err_set(err, ERR_INTERNAL, "store: %s answers rows", statements[statement].name) : failed(d, rc, err);
        }
    }
    sqlite3_reset(st);
    return kind;
}

static enum err_kind lite_query(struct db *db, int statement, const struct db_value *params, size_t n, struct err *err) {
    struct db_lite *d = lite_of(db);
    CHECK(d->in_transaction);
    if (d->broken)
        return refuse_broken(err);
    CHECK(!sqlite3_stmt_busy(d->statement[statement]));
    return bind(d, d->statement[statement], params, n, err);
}

static enum err_kind lite_next(struct db *db, int statement, bool *more, struct err *err) {
    struct db_lite *d = lite_of(db);
    int rc = sqlite3_step(d->statement[statement]);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return failed(d, rc, err);
    *more = rc == SQLITE_ROW;
    return ERR_NONE;
}

static struct db_value lite_column(struct db *db, int statement, int column) {
    // The value is fetched once and then asked: each sqlite3_column_*() would look the column up anew. SQLite calls it unprotected, which
    // on a connection without a mutex (SQLITE_OPEN_NOMUTEX) makes no difference.
    sqlite3_value *v = sqlite3_column_value(lite_of(db)->statement[statement], column);
    switch (sqlite3_value_type(v)) {
    case SQLITE_INTEGER:
        return db_int(sqlite3_value_int64(v));
    case SQLITE_TEXT: {
        const char *p = (const char *)sqlite3_value_text(v);
        return db_text((struct str){p ? p : "", (size_t)sqlite3_value_bytes(v)});
    }
    case SQLITE_BLOB: {
        const void *p = sqlite3_value_blob(v);
        return db_blob(p ? p : "", (size_t)sqlite3_value_bytes(v));
    }
    default:
        return db_null();
    }
}

static void lite_finish(struct db *db, int statement) {
    sqlite3_reset(lite_of(db)->statement[statement]);
}

static enum err_kind lite_script(struct db *db, const char *sql, struct err *err) {
    return plain(lite_of(db), sql, err);
}

// ---- upkeep ----

// Runs a pragma that answers one row "ok", or none, when all is well.
static enum err_kind all_is_well(struct db_lite *d, const char *sql, const char *what, struct err *err) {
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(d->lite, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    enum err_kind kind = ERR_NONE;
    const char *says = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
    if (rc == SQLITE_ROW && (!says || strcmp(says, "ok") != 0))
        kind = err_set(err, ERR_CORRUPT, "the store's file is damaged: %s: %s", what, says ? says : "?");
    else if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        kind = failed(d, rc, err);
    sqlite3_finalize(st);
    return kind;
}

static enum err_kind lite_check(struct db *db, struct err *err) {
    enum err_kind kind = all_is_well(lite_of(db), "PRAGMA integrity_check(1)", "its structure", err);
    return kind ? kind : all_is_well(lite_of(db), "PRAGMA foreign_key_check", "a row refers to nothing, in table", err);
}

// Each `pages` that have been written are put on disk before more are. Thousands of pages synced at once would stand before the log's own
// writes in the disk's queue, and orders would wait for them.
static int paced_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at) {
    struct paced *p = (struct paced *)(void *)(uintptr_t)file->pMethods;
    int rc = p->usual->xWrite(file, bytes, n, at);
    if (rc != SQLITE_OK || ++p->unsynced < p->pages)
        return rc;
    p->unsynced = 0;
    return p->usual->xSync(file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
}

static int set_pace(sqlite3 *lite, struct paced *p) {
    int rc = sqlite3_file_control(lite, "main", SQLITE_FCNTL_FILE_POINTER, &p->file);
    if (rc != SQLITE_OK)
        return rc;
    p->usual = p->file->pMethods;
    p->methods = *p->usual;
    p->methods.xWrite = paced_write;
    p->file->pMethods = &p->methods;
    return SQLITE_OK;
}

static enum err_kind copier_open(struct db_lite *c, const char *path, struct paced *paced, struct err *err) {
    int rc = sqlite3_open_v2(path, &c->lite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return c->lite ? failed(c, rc, err) : err_set(err, ERR_UNAVAILABLE, "%s: cannot be opened", path);
    rc = set_pace(c->lite, paced);
    if (rc != SQLITE_OK)
        return failed(c, rc, err);
    int64_t tables;
    enum err_kind kind = set(c, "busy_timeout", 0, err);
    if (!kind)
        kind = set(c, "synchronous", 2, err); // the file is synced before the log may be started anew
    if (!kind)
        kind = set(c, "wal_autocheckpoint", 0, err);
    return kind ? kind : ask(c, "SELECT count(*) FROM sqlite_master", &tables, err); // it knows of the log from now on
}

// SQLite syncs the file only when all of the log is in it, which is when the writer copies the last of it: without this it would find
// everything still to be written.
static enum err_kind sync_paced(struct paced *p, struct err *err) {
    int rc = p->usual->xSync(p->file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
    return rc == SQLITE_OK ? ERR_NONE : err_set(err, ERR_UNAVAILABLE, "the store's file cannot be put on disk (%d)", rc);
}

static enum err_kind lite_copy(struct db *writer, struct err *err) {
    struct db_lite *d = lite_of(writer);
    struct db_lite c = {.lite = d->copier, .lock_fd = -1};
    int all = -1, copied = -1, rc = SQLITE_OK;
    enum err_kind kind = c.lite ? ERR_NONE : copier_open(&c, d->path, &d->paced, err);
    if (!kind)
        rc = sqlite3_wal_checkpoint_v2(c.lite, NULL, SQLITE_CHECKPOINT_PASSIVE, &all, &copied);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY)
        kind = failed(&c, rc, err);
    if (!kind)
        kind = sync_paced(&d->paced, err);
    if (!kind && copied > 0)
        d->copied = copied;
    if (kind) {
        sqlite3_close(c.lite);
        c.lite = NULL;
    }
    d->copier = c.lite;
    return kind;
}

static enum err_kind checkpoint(struct db_lite *d, int how, struct err *err) {
    int all = -1, copied = -1;
    sqlite3_busy_timeout(d->lite, 0); // another program that reads (a backup) must not hold up the orders: later, then
    int rc = sqlite3_wal_checkpoint_v2(d->lite, NULL, how, &all, &copied);
    sqlite3_busy_timeout(d->lite, BUSY_MS);
    d->rounds = 0;
    d->upkeep_at = d->log_pages + UPKEEP_AGAIN_PAGES;
    if (rc == SQLITE_OK && how == SQLITE_CHECKPOINT_TRUNCATE) {
        d->log_pages = d->log_seen = d->copied = 0;
        d->upkeep_at = UPKEEP_PAGES;
    } else if (copied > 0) {
        d->copied = copied;
    }
    return rc == SQLITE_OK || rc == SQLITE_BUSY ? ERR_NONE : failed(d, rc, err);
}

static enum err_kind lite_upkeep(struct db *db, bool alone, enum db_upkeep *wants, struct err *err) {
    struct db_lite *d = lite_of(db);
    CHECK(!d->in_transaction);
    *wants = DB_UPKEEP_DONE;
    if (alone)
        return checkpoint(d, SQLITE_CHECKPOINT_TRUNCATE, err);
    if (d->log_pages < d->log_seen) { // it was started anew
        d->copied = 0;
        d->rounds = 0;
        d->upkeep_at = UPKEEP_PAGES;
    }
    d->log_seen = d->log_pages;
    if (d->log_pages < (d->db.idle && d->copied < d->log_pages ? UPKEEP_IDLE_PAGES : d->upkeep_at))
        return ERR_NONE;
    if (d->log_pages - d->copied > UPKEEP_SHORT_PAGES && d->rounds < UPKEEP_ROUNDS) {
        d->rounds++;
        int64_t late = d->log_pages / UPKEEP_PAGES - 1;
        d->paced.pages = PACE_PAGES << PACE_STEP * (late < 0 ? 0 : late > 2 ? 2 : late);
        *wants = DB_UPKEEP_COPY;
        return ERR_NONE;
    }
    if (d->log_pages >= UPKEEP_ALONE_PAGES) {
        *wants = DB_UPKEEP_ALONE;
        return ERR_NONE;
    }
    return checkpoint(d, SQLITE_CHECKPOINT_PASSIVE, err);
}

// ---- backup ----

// A name is only given to what is whole: it grows as NAME.part.
struct copy {
    struct db_lite d; // the copy
    char path[PATH_MAX_BYTES + 16], part[PATH_MAX_BYTES + 32];
};

static enum err_kind copy_begin(struct copy *c, const char *path, struct err *err) {
    *c = (struct copy){.d.lock_fd = -1};
    size_t n = strlen(path);
    if (n >= PATH_MAX_BYTES)
        return err_set(err, ERR_INVALID, "the file's name is too long");
    memcpy(c->path, path, n + 1);
    memcpy(c->part, path, n);
    memcpy(c->part + n, ".part", sizeof ".part");
    struct stat st;
    if (lstat(path, &st) == 0)
        return err_set(err, ERR_CONFLICT, "%s: is there already", path);
    int fd = open(c->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600); // it holds keys and people's addresses
    if (fd < 0 && errno == EEXIST)
        return err_set(err, ERR_CONFLICT, "%s: is there already: another copy is being made, or one has broken off (then remove it)",
                       c->part);
    if (fd < 0)
        return err_set(err, ERR_UNAVAILABLE, "%s: cannot be made: %s", c->part, strerror(errno));
    close(fd);
    return ERR_NONE;
}

static void copy_drop(struct copy *c) {
    char beside[sizeof c->part + 16];
    sqlite3_close(c->d.lite);
    static const char *const endings[] = {"", "-journal", "-wal", "-shm"};
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        snprintf(beside, sizeof beside, "%s%s", c->part, endings[i]);
        unlink(beside);
    }
}

static enum err_kind sync_path(const char *path, int flags, struct err *err) {
    int fd = open(path, flags | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    enum err_kind kind = good ? ERR_NONE : err_set(err, ERR_UNAVAILABLE, "%s: cannot be put on disk: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return kind;
}

// Takes the pages over in one snapshot of `from`, checks them, and gives the file its name.
static enum err_kind copy_pages(struct copy *c, struct db_lite *from, struct err *err) {
    int rc = sqlite3_open_v2(c->part, &c->d.lite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return c->d.lite ? failed(&c->d, rc, err) : err_set(err, ERR_UNAVAILABLE, "%s: cannot be opened", c->part);
    sqlite3_backup *b = sqlite3_backup_init(c->d.lite, "main", from->lite, "main");
    if (!b)
        return failed(&c->d, sqlite3_errcode(c->d.lite), err);
    sqlite3_backup_step(b, -1);
    rc = sqlite3_backup_finish(b);
    if (rc != SQLITE_OK)
        return failed(&c->d, rc, err);
    // One file, that can be read where nothing can be written.
    rc = sqlite3_exec(c->d.lite, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return failed(&c->d, rc, err);
    return lite_check(&c->d.db, err);
}

static enum err_kind copy_finish(struct copy *c, struct err *err) {
    sqlite3_close(c->d.lite);
    c->d.lite = NULL;
    enum err_kind kind = sync_path(c->part, O_RDONLY, err);
    if (kind)
        return kind;
    // link() does not overwrite what has come to be there meanwhile, as rename() would.
    if (link(c->part, c->path) != 0)
        return err_set(err, errno == EEXIST ? ERR_CONFLICT : ERR_UNAVAILABLE, "%s: %s", c->path, strerror(errno));
    unlink(c->part);
    char folder[sizeof c->path];
    memcpy(folder, c->path, sizeof folder);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    return sync_path(slash ? folder : ".", O_RDONLY | O_DIRECTORY, err);
}

static enum err_kind copy_to(struct db_lite *from, const char *path, struct err *err) {
    struct copy c;
    enum err_kind kind = copy_begin(&c, path, err);
    if (kind)
        return kind;
    kind = copy_pages(&c, from, err);
    if (!kind)
        kind = copy_finish(&c, err);
    if (kind)
        copy_drop(&c);
    return kind;
}

// Opens for reading what must be a store of ours.
static enum err_kind open_source(struct db_lite *d, const char *path, struct err *err) {
    *d = (struct db_lite){.lock_fd = -1};
    struct stat st;
    if (stat(path, &st) != 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_UNAVAILABLE, "cannot be read: %s", strerror(errno));
    int rc = sqlite3_open_v2(path, &d->lite, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return d->lite ? failed(d, rc, err) : err_set(err, ERR_UNAVAILABLE, "cannot be opened");
    sqlite3_busy_timeout(d->lite, BUSY_MS);
    int64_t application = 0;
    enum err_kind kind = ask(d, "PRAGMA application_id", &application, err);
    if (!kind && application != APPLICATION_ID)
        kind = err_set(err, ERR_CORRUPT, "it is no store of topupd");
    return kind;
}

static enum err_kind lite_backup(const char *location, const char *to, struct err *err) {
    char path[PATH_MAX_BYTES + 16];
    struct db_lite d;
    int64_t version;
    if (strlen(location) >= PATH_MAX_BYTES)
        return err_set(err, ERR_INVALID, "the data folder's name is too long");
    snprintf(path, sizeof path, "%s/topupd.db", location);
    struct err why = {0};
    enum err_kind kind = open_source(&d, path, &why);
    if (kind)
        err_set(err, kind, "%s: %s", path, err_first(&why));
    // The transaction holds one state still, while the server goes on writing behind it.
    if (!kind)
        kind = plain(&d, "BEGIN", err);
    if (!kind)
        kind = ask(&d, "SELECT count(*) FROM sqlite_master", &version, err);
    if (!kind)
        kind = copy_to(&d, to, err);
    sqlite3_close(d.lite);
    return kind;
}

static enum err_kind empty_folder(const char *folder, bool *made, struct err *err) {
    *made = mkdir(folder, 0700) == 0;
    if (*made)
        return ERR_NONE;
    if (errno != EEXIST)
        return no_folder(folder, "cannot make the data folder", err);
    DIR *dir = opendir(folder);
    if (!dir)
        return no_folder(folder, "cannot use the data folder", err);
    bool empty = true;
    for (struct dirent *entry; empty && (entry = readdir(dir));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(dir);
    return empty ? ERR_NONE
                 : err_set(err, ERR_CONFLICT, "%s: is not empty: restore into an empty folder, or one that is not there yet", folder);
}

static enum err_kind lite_restore(const char *from, const char *location, struct err *err) {
    char path[PATH_MAX_BYTES + 16];
    struct db_lite d;
    bool made = false;
    if (strlen(location) >= PATH_MAX_BYTES)
        return err_set(err, ERR_INVALID, "the data folder's name is too long");
    snprintf(path, sizeof path, "%s/topupd.db", location);
    struct err why = {0};
    enum err_kind kind = open_source(&d, from, &why);
    if (!kind)
        kind = lite_check(&d.db, &why);
    if (kind)
        err_set(err, kind, "%s: %s%s", from, kind == ERR_CORRUPT ? "is not a whole backup: " : "", err_first(&why));
    if (!kind)
        kind = empty_folder(location, &made, err);
    if (!kind)
        kind = copy_to(&d, path, err);
    if (kind && made)
        rmdir(location);
    sqlite3_close(d.lite);
    return kind;
}

const struct db_driver db_sqlite = {
    .name = "sqlite",
    .dialect = DB_SQLITE,
    .alone = true, // the lock
    .open = lite_open,
    .close = lite_close,
    .version = lite_version,
    .set_version = lite_set_version,
    .prepare = lite_prepare,
    .begin = lite_begin,
    .commit = lite_commit,
    .rollback = lite_rollback,
    .savepoint = lite_savepoint,
    .release = lite_release,
    .undo = lite_undo,
    .exec = lite_exec,
    .query = lite_query,
    .next = lite_next,
    .column = lite_column,
    .finish = lite_finish,
    .look = lite_look,
    .script = lite_script,
    .check = lite_check,
    .backup = lite_backup,
    .restore = lite_restore,
    .upkeep = lite_upkeep,
    .copy = lite_copy,
};
