// SPDX-License-Identifier: Apache-2.0
#include "http/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

// Called with the lock: the worker that is being stopped may close the descriptor as soon as it is free.
static void wake(struct worker *w) {
    uint64_t one = 1;
    if (!w->asleep)
        return; // it looks before it sleeps
    w->asleep = false;
    (void)!write(w->wake, &one, sizeof(one));
}

// False: something was given, asked or ended meanwhile.
static bool may_sleep(struct worker *w) {
    pthread_mutex_lock(&w->lock);
    w->asleep = !w->first && !w->asked && !w->ending;
    bool asleep = w->asleep;
    pthread_mutex_unlock(&w->lock);
    return asleep;
}

static void sleep_until_work(struct worker *w, int timeout_ms) {
    struct pollfd fds[2] = {{.fd = w->work.fd, .events = POLLIN}, {.fd = w->wake, .events = POLLIN}};
    uint64_t count;
    poll(fds, 2, timeout_ms);
    if (fds[1].revents)
        (void)!read(w->wake, &count, sizeof(count));
}

// False: it was the last time.
static bool take_what_came(struct worker *w) {
    pthread_mutex_lock(&w->lock);
    struct conn *c = w->first;
    bool asked = w->asked, ending = w->ending;
    w->first = NULL;
    w->last = &w->first;
    w->asleep = w->asked = false;
    pthread_mutex_unlock(&w->lock);
    bool any = c;
    while (c) {
        struct conn *next = c->given_next; // `c` may be given again, by another thread, as soon as it is worked on
        w->work.given(w->work.ctx, c);
        c = next;
    }
    if (asked)
        w->work.asked(w->work.ctx);
    return any || asked || !ending;
}

static void *worker_main(void *arg) {
    struct worker *w = arg;
    int timeout_ms = 0;
    do {
        if (timeout_ms != 0 && may_sleep(w))
            sleep_until_work(w, timeout_ms);
        if (!take_what_came(w))
            return NULL;
        timeout_ms = w->work.run(w->work.ctx);
    } while (true);
}

enum err_kind worker_start(struct worker *w, const struct worker_work *work, struct err *err) {
    *w = (struct worker){.work = *work, .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    w->last = &w->first;
    if (w->wake < 0)
        return err_set(err, ERR_UNAVAILABLE, "eventfd: %s", strerror(errno));
    pthread_mutex_init(&w->lock, NULL);
    sigset_t pipe, before;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE); // a client that has gone is no reason to end
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    int rc = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        return ERR_NONE;
    close(w->wake);
    pthread_mutex_destroy(&w->lock);
    return err_set(err, ERR_UNAVAILABLE, "cannot start a thread: %s", strerror(rc));
}

void worker_give(struct worker *w, struct conn *c) {
    pthread_mutex_lock(&w->lock);
    c->given_next = NULL;
    *w->last = c;
    w->last = &c->given_next;
    wake(w);
    pthread_mutex_unlock(&w->lock);
}

void worker_ask(struct worker *w) {
    pthread_mutex_lock(&w->lock);
    w->asked = true;
    wake(w);
    pthread_mutex_unlock(&w->lock);
}

void worker_stop(struct worker *w) {
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    wake(w);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    CHECK(!w->first);
    close(w->wake);
    pthread_mutex_destroy(&w->lock);
}
