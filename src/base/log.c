// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/date.h"

enum log_level log_threshold = LOG_INFO;

// Two halves: lines are added to one while the thread writes the other. Lines are gathered: the thread, woken by the first, writes what has
// come GATHER_NS later, or sooner when somebody waits for it or the half begins to fill. So a busy server wakes it a hundred times a second
// and not with every other line.
#define HALF ((size_t)256 * 1024)
#define ENOUGH (HALF / 4)
#define GATHER_NS INT64_C(10000000)
#define WRITE_BACK ((size_t)1 << 20)

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;    // for the thread: there is something to write, it is not to gather any longer, or it shall end
    pthread_cond_t written; // for log_flush: everything up to `done` is out
    pthread_t thread;
    bool running;
    bool stopping;
    bool at_once; // nothing more is gathered before the next write
    bool resting; // the thread waits for a first line
    int fd;
    char halves[2][HALF];
    int filling; // which half takes lines
    size_t used; // bytes in it
    uint64_t added;
    uint64_t done;    // of the bytes added
    uint64_t dropped; // lines that did not fit since that was last said
} out = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .written = PTHREAD_COND_INITIALIZER, .fd = STDERR_FILENO};

static void write_out(int fd, const char *p, size_t n) {
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done >= 0) {
            p += done;
            n -= (size_t)done;
        } else if (errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            poll(&ready, 1, 1000);
        } else if (errno != EINTR) {
            return; // nobody is there to be told
        }
    }
}

// Where the log is a file, the system would keep what is written for half a minute and then write hundreds of megabytes at once, before
// which the store's commits would stand in the disk's queue. So each megabyte is sent on its way. A pipe or a terminal says no to that.
static void write_back(int fd, size_t n) {
    static size_t waiting; // the thread's alone
    waiting += n;
    if (waiting < WRITE_BACK)
        return;
    waiting = 0;
    (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

// ---- one line ----

struct line {
    char text[LOG_LINE_MAX];
    size_t n;
};

// Room that is kept for the newline.
#define LINE_LIMIT (LOG_LINE_MAX - 1)

static void add(struct line *l, const char *p, size_t n) {
    size_t room = LINE_LIMIT - l->n;
    n = n < room ? n : room;
    if (n > 0) {
        memcpy(l->text + l->n, p, n);
        l->n += n;
    }
}

static void add_text(struct line *l, const char *text) {
    add(l, text, strlen(text));
}

static void add_key(struct line *l, const char *key) {
    add(l, " ", 1);
    add_text(l, key);
    add(l, "=", 1);
}

static bool needs_quotes(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f) {
            return true;
        }
    }
    return s.n == 0;
}

// Well-formed UTF-8 stays readable, except C1 controls, which terminals obey; everything else that is not printable is escaped.
static void add_quoted(struct line *l, struct str s) {
    add(l, "\"", 1);
    while (s.n > 0 && l->n < LINE_LIMIT - 8) { // room for one escape and the closing quote
        unsigned char c = (unsigned char)s.p[0];
        size_t n = str_utf8_char(s);
        bool c1 = n == 2 && c == 0xc2 && (unsigned char)s.p[1] < 0xa0;
        if (c == '"' || c == '\\') {
            char escaped[2] = {'\\', (char)c};
            add(l, escaped, 2);
        } else if (c == '\n') {
            add(l, "\\n", 2);
        } else if (c < 0x20 || c == 0x7f || n == 0 || c1) {
            char escaped[5];
            snprintf(escaped, sizeof(escaped), "\\x%02x", c);
            add(l, escaped, 4);
            n = 1;
        } else {
            add(l, s.p, n);
        }
        s.p += n;
        s.n -= n;
    }
    add_text(l, s.n > 0 ? "...\"" : "\"");
}

static void add_str(struct line *l, struct str s) {
    if (needs_quotes(s)) {
        add_quoted(l, s);
    } else {
        add(l, s.p, s.n);
    }
}

static void add_err(struct line *l, const char *key, const struct err *err) {
    add_key(l, key);
    add_text(l, err_kind_name(err->kind));
    char text[512];
    size_t n = 0;
    for (unsigned i = 0; i < 3 && err_message(err, i) != NULL && n < sizeof(text) - 1; i++) {
        int more = snprintf(text + n, sizeof(text) - n, "%s%s", i > 0 ? "; " : "", err_message(err, i));
        n = more > 0 && (size_t)more < sizeof(text) - n ? n + (size_t)more : sizeof(text) - 1;
    }
    if (n > 0) {
        add_key(l, "message");
        add_str(l, (struct str){text, n});
    }
    if (err->count > 3) {
        snprintf(text, sizeof(text), " messages=%u", err->count);
        add_text(l, text);
    }
}

static void add_field(struct line *l, const struct log_field *f) {
    char text[UUID_TEXT];
    switch (f->type) {
    case LOG_F_STR:
        if (str_present(f->v.s)) {
            add_key(l, f->key);
            add_str(l, f->v.s);
        }
        break;
    case LOG_F_TEXT:
        if (f->v.text != NULL) {
            add_key(l, f->key);
            add_str(l, str_of(f->v.text));
        }
        break;
    case LOG_F_INT:
        snprintf(text, sizeof(text), "%lld", (long long)f->v.i);
        add_key(l, f->key);
        add_text(l, text);
        break;
    case LOG_F_UUID:
        uuid_format(f->v.id, text);
        add_key(l, f->key);
        add_text(l, text);
        break;
    case LOG_F_ERR:
        add_err(l, f->key, f->v.err);
        break;
    }
}

static const char *const level_names[] = {[LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

static void build(struct line *l, enum log_level level, const char *event, const struct log_field *fields) {
    char date[DATE_TEXT];
    date_format_ms(clock_wall(&clock_system), date);
    l->n = 0;
    add_text(l, "ts=");
    add_text(l, date);
    add_key(l, "level");
    add_text(l, level_names[level]);
    add_key(l, "event");
    add_str(l, str_of(event));
    for (; fields->key != NULL; fields++) {
        add_field(l, fields);
    }
    l->text[l->n++] = '\n';
}

bool log_level_parse(struct str text, enum log_level *level) {
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (str_is(text, level_names[i])) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

// ---- the thread ----

// Called with the lock, which is let go of while writing.
static void write_half(void) {
    const char *half = out.halves[out.filling];
    size_t n = out.used;
    uint64_t dropped = out.dropped;
    out.filling = 1 - out.filling;
    out.used = 0;
    out.dropped = 0;
    out.at_once = false;
    int fd = out.fd;
    pthread_mutex_unlock(&out.lock);
    write_out(fd, half, n);
    write_back(fd, n);
    if (dropped > 0) {
        struct line l;
        build(&l, LOG_WARN, "log.dropped", (const struct log_field[]){LOG_INT("lines", (int64_t)dropped), {.key = NULL}});
        write_out(fd, l.text, l.n);
    }
    pthread_mutex_lock(&out.lock);
    out.done += n;
    pthread_cond_broadcast(&out.written);
}

// Called with the lock.
static void hurry(void) {
    out.at_once = true;
    pthread_cond_signal(&out.wake);
}

// Called with the lock, with something to write.
static void gather(void) {
    int64_t until = clock_mono(&clock_system).ns + GATHER_NS;
    struct timespec at = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
    int rc = 0;
    while (rc == 0 && !out.at_once && !out.stopping) {
        rc = pthread_cond_clockwait(&out.wake, &out.lock, CLOCK_MONOTONIC, &at);
    }
}

static void *writer(void *arg UNUSED) {
    pthread_mutex_lock(&out.lock);
    for (;;) {
        if (out.used > 0 || out.dropped > 0) {
            gather();
            write_half();
        } else if (out.stopping) {
            break;
        } else {
            out.resting = true;
            pthread_cond_wait(&out.wake, &out.lock);
            out.resting = false;
        }
    }
    pthread_mutex_unlock(&out.lock);
    return NULL;
}

// Called with the lock.
static void wait_until_written(void) {
    uint64_t until = out.added;
    while (out.running && out.done < until) {
        if (!out.at_once) {
            hurry();
        }
        pthread_cond_wait(&out.written, &out.lock);
    }
}

void log_write(enum log_level level, const char *event, const struct log_field *fields) {
    struct line l;
    build(&l, level, event, fields);
    pthread_mutex_lock(&out.lock);
    if (!out.running) {
        write_out(out.fd, l.text, l.n); // in the lock: lines stay whole and in order
    } else {
        if (level >= LOG_ERROR && out.used + l.n > HALF) {
            wait_until_written();
        }
        if (out.used + l.n > HALF) {
            out.dropped++;
        } else {
            memcpy(out.halves[out.filling] + out.used, l.text, l.n);
            out.used += l.n;
            out.added += l.n;
            if (out.used > ENOUGH && !out.at_once) {
                hurry();
            } else if (out.resting) {
                out.resting = false; // woken once is enough
                pthread_cond_signal(&out.wake);
            }
        }
        if (level >= LOG_ERROR) {
            wait_until_written();
        }
    }
    pthread_mutex_unlock(&out.lock);
}

void log_start(int fd) {
    pthread_mutex_lock(&out.lock);
    if (!out.running) {
        out.fd = fd;
        out.stopping = false;
        out.running = pthread_create(&out.thread, NULL, writer, NULL) == 0; // without it lines are written directly
    }
    pthread_mutex_unlock(&out.lock);
}

void log_stop(void) {
    pthread_mutex_lock(&out.lock);
    bool mine = out.running && !out.stopping;
    out.stopping = true;
    pthread_cond_signal(&out.wake);
    pthread_mutex_unlock(&out.lock);
    if (mine) {
        pthread_join(out.thread, NULL);
        pthread_mutex_lock(&out.lock);
        if (out.used > 0) { // lines that came while the thread was ending
            write_half();
        }
        out.running = false;
        pthread_cond_broadcast(&out.written);
        pthread_mutex_unlock(&out.lock);
    }
}

void log_flush(void) {
    pthread_mutex_lock(&out.lock);
    wait_until_written();
    pthread_mutex_unlock(&out.lock);
}
