// SPDX-License-Identifier: Apache-2.0
#include "topup/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "topup/table.h"

static volatile sig_atomic_t interrupted;
static struct sigaction before;

static void on_interrupt(int sig) {
    (void)sig;
    interrupted = 1;
}

bool feed_interrupted(void) {
    return interrupted != 0;
}

void feed_uninterrupt(void) {
    interrupted = 0;
}

static long read_file(void *ctx, char *to, size_t size) {
    struct feed *f = ctx;
    ssize_t n;
    do
        n = read(f->fd, to, size);
    while (n < 0 && errno == EINTR && !interrupted);
    return n;
}

void feed_progress(struct feed *f, bool last) {
    struct mono now = clock_mono(&clock_system);
    int64_t since = mono_ms_between(f->told, now), elapsed = mono_ms_between(f->begun, now);
    if (!last && since < (f->terminal ? 200 : 5000))
        return;
    f->told = now;
    char percent[32] = "";
    if (f->size > 0)
        snprintf(percent, sizeof percent, ", %d %%", (int)(f->csv.bytes * 100 / f->size));
    int64_t rate = elapsed > 0 ? f->rows * 1000 / elapsed : 0;
    fprintf(stderr, "%s%" PRId64 " rows, %" PRId64 " rows/s%s%s", f->terminal ? "\r" : "", f->rows, rate, percent,
            f->terminal ? "\033[K" : "\n");
    f->untidy = f->terminal;
}

void feed_share(struct feed *f, const char *what, int64_t n, int64_t of, bool last) {
    struct mono now = clock_mono(&clock_system);
    if (!last && mono_ms_between(f->told, now) < (f->terminal ? 200 : 5000))
        return;
    f->told = now;
    fprintf(stderr, "%s%" PRId64 " of %" PRId64 " %s%s", f->terminal ? "\r" : "", n, of, what, f->terminal ? "\033[K" : "\n");
    f->untidy = f->terminal;
}

void feed_tidy(struct feed *f) {
    if (f->untidy)
        fputc('\n', stderr);
    f->untidy = false;
}

enum ending feed_open(struct feed *f, const char *path, const char *bad_path) {
    *f = (struct feed){.bad = stderr, .bad_path = bad_path, .terminal = terminal_width(stderr) > 0};
    f->begun = f->told = clock_mono(&clock_system);
    f->fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (f->fd < 0 || fstat(f->fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        int why = f->fd < 0 ? errno : EISDIR;
        if (f->fd >= 0)
            close(f->fd);
        return complain(END_LOCAL, "%s: %s", path, strerror(why));
    }
    f->size = S_ISREG(st.st_mode) ? st.st_size : 0;
    if (bad_path && !(f->bad = fopen(bad_path, "we"))) {
        int why = errno;
        close(f->fd);
        return complain(END_LOCAL, "%s: %s", bad_path, strerror(why));
    }
    csv_init(&f->csv, read_file, f);
    struct sigaction stop = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &stop, &before);
    return END_OK;
}

enum ending feed_close(struct feed *f, enum ending how) {
    sigaction(SIGINT, &before, NULL);
    csv_release(&f->csv);
    close(f->fd);
    bool written = f->bad_path ? fclose(f->bad) == 0 : fflush(f->bad) == 0;
    return written || how != END_OK ? how : complain(END_LOCAL, "bad lines cannot be written: %s", strerror(errno));
}
