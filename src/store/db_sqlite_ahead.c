// SPDX-License-Identifier: Apache-2.0
#include "store/db_sqlite_ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#define DECIDE_EVERY 256 // look-ups
#define WORTH 64         // one in so many has to wait, twenty times as long as it takes to look

// Systems and file systems that cannot tell what is in memory (EOPNOTSUPP) make it never `on`.
static int watched_read(sqlite3_file *file, void *bytes, int n, sqlite3_int64 at) {
    struct sqlite_ahead *a = (struct sqlite_ahead *)(void *)(uintptr_t)file->pMethods;
    struct iovec page = {.iov_base = bytes, .iov_len = (size_t)n};
    ssize_t got = preadv2(a->fd, &page, 1, at, RWF_NOWAIT);
    if (got < 0 && errno == EAGAIN) {
        a->missing++;
        if (a->asking) {
            posix_fadvise(a->fd, at, n, POSIX_FADV_WILLNEED);
            return SQLITE_INTERRUPT; // the one error after which SQLite keeps the transaction
        }
        got = pread(a->fd, bytes, (size_t)n, at);
    }
    return got == n ? SQLITE_OK : a->usual->xRead(file, bytes, n, at);
}

int sqlite_ahead_watch(struct sqlite_ahead *a, sqlite3 *lite, int fd) {
    sqlite3_file *file = NULL;
    int rc = sqlite3_file_control(lite, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (rc != SQLITE_OK)
        return rc;
    a->fd = fd;
    a->usual = file->pMethods;
    a->methods = *a->usual;
    a->methods.xRead = watched_read;
    file->pMethods = &a->methods;
    return SQLITE_OK;
}

bool sqlite_ahead_named(struct sqlite_ahead *a) {
    if (++a->named >= DECIDE_EVERY) {
        a->on = a->missing * WORTH >= a->named;
        a->named = a->missing = 0;
    }
    return a->on;
}
