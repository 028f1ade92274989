// SPDX-License-Identifier: Apache-2.0
#include "http/janitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK_MS 250
#define END_TICKS 4 // 1 s
#define LINGER_NS INT64_C(5000000000)
#define LINGER_BYTES_MAX ((size_t)64 << 20)

// At the end of the stream, and nothing of it unread.
static bool at_end(const struct conn *c) {
    char byte;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void look_round(struct janitor *j) {
    int64_t now = clock_mono(j->clock).ns;
    pthread_mutex_lock(&j->lock);
    j->tick++;
    for (struct conn *c = j->conns; c; c = c->next) {
        if (c->cut)
            continue;
        int64_t deadline = atomic_load_explicit(&c->deadline_ns, memory_order_relaxed);
        bool late = deadline != 0 && now >= deadline;
        // Each connection every END_TICKS. Seen twice in a row, so that what the library has read has become a request by now, if it is
        // one.
        if (!late && ((unsigned)c->fd + j->tick) % END_TICKS == 0) {
            bool ended = !atomic_load_explicit(&c->answering, memory_order_relaxed) && at_end(c);
            late = ended && c->ended;
            c->ended = ended;
        }
        if (!late)
            continue;
        // The descriptor is the connection's as long as it is on the list; its thread sees the end of the stream and closes it.
        shutdown(c->fd, SHUT_RDWR);
        c->cut = true;
    }
    pthread_mutex_unlock(&j->lock);
}

// Reads and throws away. False: it is time to close.
static bool linger_on(struct lingerer *l, short events, int64_t now) {
    char waste[16384];
    if (now >= l->until_ns)
        return false;
    if (!events)
        return true;
    for (int i = 0; i < 64; i++) {
        ssize_t n = recv(l->fd, waste, sizeof(waste), MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        l->bytes += (size_t)n;
        if (n == 0 || l->bytes > LINGER_BYTES_MAX)
            return false;
    }
    return true;
}

static void *janitor_main(void *arg) {
    struct janitor *j = arg;
    for (;;) {
        struct pollfd fds[LINGER_MAX + 1] = {{.fd = j->wake, .events = POLLIN}};
        pthread_mutex_lock(&j->lock);
        bool ending = j->ending;
        size_t n = j->n_lingering;
        for (size_t i = 0; i < n; i++)
            fds[i + 1] = (struct pollfd){.fd = j->lingering[i].fd, .events = POLLIN};
        pthread_mutex_unlock(&j->lock);
        if (ending)
            break;

        poll(fds, n + 1, TICK_MS);
        if (fds[0].revents) {
            uint64_t count;
            (void)!read(j->wake, &count, sizeof(count));
        }
        look_round(j);

        // only this thread takes entries away, so the first n are the ones polled
        int64_t now = clock_mono(&clock_system).ns;
        pthread_mutex_lock(&j->lock);
        for (size_t i = n; i-- > 0;) {
            if (linger_on(&j->lingering[i], fds[i + 1].revents, now))
                continue;
            close(j->lingering[i].fd);
            j->lingering[i] = j->lingering[--j->n_lingering];
        }
        pthread_mutex_unlock(&j->lock);
    }
    return NULL;
}

enum err_kind janitor_start(struct janitor *j, const struct clock *clock, struct err *err) {
    *j = (struct janitor){.clock = clock};
    j->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (j->wake < 0)
        return err_set(err, ERR_UNAVAILABLE, "eventfd: %s", strerror(errno));
    pthread_mutex_init(&j->lock, NULL);
    int rc = pthread_create(&j->thread, NULL, janitor_main, j);
    if (rc != 0) {
        close(j->wake);
        pthread_mutex_destroy(&j->lock);
        return err_set(err, ERR_UNAVAILABLE, "cannot start a thread: %s", strerror(rc));
    }
    return ERR_NONE;
}

static void wake(struct janitor *j) {
    uint64_t one = 1;
    (void)!write(j->wake, &one, sizeof(one));
}

void janitor_stop(struct janitor *j) {
    pthread_mutex_lock(&j->lock);
    j->ending = true;
    pthread_mutex_unlock(&j->lock);
    wake(j);
    pthread_join(j->thread, NULL);
    CHECK(!j->conns);
    for (size_t i = 0; i < j->n_lingering; i++)
        close(j->lingering[i].fd);
    close(j->wake);
    pthread_mutex_destroy(&j->lock);
}

void janitor_add(struct janitor *j, struct conn *c) {
    pthread_mutex_lock(&j->lock);
    c->prev = NULL;
    c->next = j->conns;
    if (c->next)
        c->next->prev = c;
    j->conns = c;
    pthread_mutex_unlock(&j->lock);
}

void janitor_remove(struct janitor *j, struct conn *c) {
    int waiting = 0;
    bool lingers = false;
    pthread_mutex_lock(&j->lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        j->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    // Bytes that nobody will read, there or on their way, would make the kernel reset the connection.
    bool unread = c->mid_request || (ioctl(c->fd, FIONREAD, &waiting) == 0 && waiting > 0);
    if (unread && !c->cut && !j->ending && j->n_lingering < LINGER_MAX) {
        int fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
        if (fd >= 0) {
            shutdown(fd, SHUT_WR);
            j->lingering[j->n_lingering++] = (struct lingerer){.fd = fd, .until_ns = clock_mono(&clock_system).ns + LINGER_NS};
            lingers = true;
        }
    }
    pthread_mutex_unlock(&j->lock);
    if (lingers)
        wake(j);
}

void janitor_each(struct janitor *j, void (*fn)(void *ctx, struct conn *c), void *ctx) {
    pthread_mutex_lock(&j->lock);
    for (struct conn *c = j->conns; c; c = c->next)
        fn(ctx, c);
    pthread_mutex_unlock(&j->lock);
}
