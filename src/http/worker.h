// SPDX-License-Identifier: Apache-2.0
/*
 * worker.h - a thread of the server: it sleeps until its connections have something to do, or until one of them is given back to it.
 *
 * Why the library does not sleep by itself: its own threads, after a look at the sockets that brought exactly 128 events, sleep again
 * before they work on one of these (libmicrohttpd 0.9.75, MHD_epoll), and 128 clients wait until a 129th comes. And each connection that
 * is resumed costs it a system call, however many are resumed at once: here only the first one that finds the thread asleep does.
 *
 * worker_give and worker_ask may be called from any thread; the calls of `struct worker_work` come on the worker's own.
 */
#ifndef HTTP_WORKER_H
#define HTTP_WORKER_H

#include <pthread.h>

#include "base/base.h"
#include "base/err.h"
#include "http/janitor.h"

struct worker_work {
    int fd;                                   // readable when there is something to do
    int (*run)(void *ctx);                    // does it and never sleeps; ms until it is to be called in any case, negative: no such time
    void (*given)(void *ctx, struct conn *c); // a connection that was given back
    void (*asked)(void *ctx);                 // worker_ask was called
    void *ctx;
};

struct worker {
    struct worker_work work;
    int wake; // eventfd
    pthread_t thread;
    pthread_mutex_t lock; // of all that follows
    struct conn *first, **last;
    bool asleep; // nobody has woken it yet
    bool asked, ending;
};

NODISCARD enum err_kind worker_start(struct worker *w, const struct worker_work *work, struct err *err);
// A connection is in one worker's hands at most once at a time.
void worker_give(struct worker *w, struct conn *c);
void worker_ask(struct worker *w);
// What was given before is worked on. Nobody may give or ask any longer.
void worker_stop(struct worker *w);

#endif
