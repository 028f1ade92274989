// SPDX-License-Identifier: Apache-2.0
#include "store/db_sqlite_log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define GATHER_BYTES (120 << 10) // SQLite's own VFS takes no more than 131,071 bytes at once

// What SQLite holds; the usual VFS's own file follows it in memory.
struct log_file {
    sqlite3_file file;
    sqlite3_file *real;
    sqlite3_int64 at; // where what is gathered belongs
    int n;
    char *gathered;
};

static sqlite3_vfs *usual;
static sqlite3_vfs gathering;

static struct log_file *log_of(sqlite3_file *file) {
    return (struct log_file *)file;
}

// What cannot be written is gone: SQLite hears of it and gives the transaction up.
static int flush(struct log_file *l) {
    int n = l->n;
    l->n = 0;
    return n ? l->real->pMethods->xWrite(l->real, l->gathered, n, l->at) : SQLITE_OK;
}

static int log_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at) {
    struct log_file *l = log_of(file);
    if (l->n && (at != l->at + l->n || n > GATHER_BYTES - l->n)) {
        int rc = flush(l);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (n > GATHER_BYTES)
        return l->real->pMethods->xWrite(l->real, bytes, n, at);
    if (l->n == 0)
        l->at = at;
    memcpy(l->gathered + l->n, bytes, (size_t)n);
    l->n += n;
    return SQLITE_OK;
}

static int log_read(sqlite3_file *file, void *bytes, int n, sqlite3_int64 at) {
    int rc = flush(log_of(file));
    return rc == SQLITE_OK ? log_of(file)->real->pMethods->xRead(log_of(file)->real, bytes, n, at) : rc;
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size) {
    int rc = flush(log_of(file));
    return rc == SQLITE_OK ? log_of(file)->real->pMethods->xTruncate(log_of(file)->real, size) : rc;
}

static int log_sync(sqlite3_file *file, int flags) {
    int rc = flush(log_of(file));
    return rc == SQLITE_OK ? log_of(file)->real->pMethods->xSync(log_of(file)->real, flags) : rc;
}

static int log_size(sqlite3_file *file, sqlite3_int64 *out) {
    int rc = flush(log_of(file));
    return rc == SQLITE_OK ? log_of(file)->real->pMethods->xFileSize(log_of(file)->real, out) : rc;
}

static int log_close(sqlite3_file *file) {
    struct log_file *l = log_of(file);
    int flushed = flush(l);
    free(l->gathered);
    int rc = l->real->pMethods->xClose(l->real);
    return flushed == SQLITE_OK ? rc : flushed;
}

static int log_lock(sqlite3_file *file, int level) {
    return log_of(file)->real->pMethods->xLock(log_of(file)->real, level);
}
static int log_unlock(sqlite3_file *file, int level) {
    return log_of(file)->real->pMethods->xUnlock(log_of(file)->real, level);
}
static int log_reserved(sqlite3_file *file, int *out) {
    return log_of(file)->real->pMethods->xCheckReservedLock(log_of(file)->real, out);
}
static int log_control(sqlite3_file *file, int what, void *arg) {
    return log_of(file)->real->pMethods->xFileControl(log_of(file)->real, what, arg);
}
static int log_sector(sqlite3_file *file) {
    return log_of(file)->real->pMethods->xSectorSize(log_of(file)->real);
}
static int log_device(sqlite3_file *file) {
    return log_of(file)->real->pMethods->xDeviceCharacteristics(log_of(file)->real);
}

static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector,
    .xDeviceCharacteristics = log_device,
};

// Files other than the log are the usual VFS's, as if this one were not there.
static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *got) {
    (void)vfs;
    if (!(flags & SQLITE_OPEN_WAL))
        return usual->xOpen(usual, name, file, flags, got);
    struct log_file *l = log_of(file);
    *l = (struct log_file){.real = (sqlite3_file *)(void *)((char *)file + sizeof *l)};
    memset(l->real, 0, sizeof *l->real);
    int rc = usual->xOpen(usual, name, l->real, flags, got);
    if (rc != SQLITE_OK) {
        if (l->real->pMethods)
            l->real->pMethods->xClose(l->real);
        return rc;
    }
    l->gathered = xmalloc(GATHER_BYTES);
    l->file.pMethods = &log_methods;
    return SQLITE_OK;
}

static void once(void) {
    usual = sqlite3_vfs_find(NULL);
    if (!usual)
        return;
    gathering = *usual;
    gathering.pNext = NULL;
    gathering.zName = "topupd-log";
    gathering.szOsFile = (int)sizeof(struct log_file) + usual->szOsFile;
    gathering.xOpen = vfs_open;
    if (sqlite3_vfs_register(&gathering, 0) != SQLITE_OK)
        usual = NULL;
}

const char *sqlite_log_vfs(void) {
    static pthread_once_t done = PTHREAD_ONCE_INIT;
    _Static_assert(sizeof(struct log_file) % 8 == 0, "the file that follows is aligned");
    pthread_once(&done, once);
    return usual ? gathering.zName : NULL;
}
