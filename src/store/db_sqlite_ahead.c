// SPDX-License-Identifier: Apache-2.0
#include "store/db_sqlite_ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/uio.h>
#include <unistd.h>

#define DECIDE_EVERY 1024 // reads
#define WORTH 32          // one in so many had to wait
#define PAYS 16           // decisions; for when it helps, fewer wait

static void decide(struct sqlite_ahead *a) {
    if (a->late * WORTH >= a->reads)
        a->pays = PAYS;
    else if (a->pays > 0)
        a->pays--;
    a->reads = a->late = 0;
}

static int watched_read(sqlite3_file *file, void *bytes, int n, sqlite3_int64 at) {
    struct sqlite_ahead *a = (struct sqlite_ahead *)(void *)(uintptr_t)file->pMethods;
    if (a->blind)
        return a->usual->xRead(file, bytes, n, at);
    struct iovec page = {.iov_base = bytes, .iov_len = (size_t)n};
    ssize_t got = preadv2(a->fd, &page, 1, at, RWF_NOWAIT);
    bool late = got < 0 && errno == EAGAIN;
    a->blind = got < 0 && !late && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL);
    if (late && a->asking) {
        posix_fadvise(a->fd, at, n, POSIX_FADV_WILLNEED);
        return SQLITE_INTERRUPT; // the one error after which SQLite keeps the transaction
    }
    a->late += late;
    if (++a->reads == DECIDE_EVERY)
        decide(a);
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
