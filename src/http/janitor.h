// SPDX-License-Identifier: Apache-2.0
/*
 * janitor.h - the open connections, and a thread that looks after them.
 *
 * It does what the library does not. It cuts off a client that has not sent its whole request (or taken its whole answer) by a deadline:
 * the library's own time-out is reset by any byte. It cuts off a client that has ended its side in the middle of a request: the library
 * does not notice when the end comes together with the last bytes. And it closes with patience: when we have answered and close while the
 * client is still sending (a body that is too large), closing at once would reset the connection and the client would never see the
 * answer; so a copy of the socket is kept here, read and thrown away for a moment.
 */
#ifndef HTTP_JANITOR_H
#define HTTP_JANITOR_H

#include <pthread.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/err.h"

struct conn {
    struct conn *prev, *next;
    int fd;
    _Atomic int64_t deadline_ns; // monotonic; 0: none. Set by the connection's thread
    _Atomic bool answering;      // a whole request is in work or being answered. Set by the connection's thread
    bool ended, cut;             // under the janitor's lock: end of stream seen once; shut down
    bool mid_request;            // the client may be sending; the connection's thread
    _Atomic(void *) exchange;    // the running one; the server's
    void *mhd;                   // what the library calls it, and which of its daemons has it; the server's
    void *lane;
    struct conn *given_next; // the worker's
};

#define LINGER_MAX 128
struct lingerer {
    int fd;
    int64_t until_ns;
    size_t bytes;
};

struct janitor {
    const struct clock *clock;
    pthread_mutex_t lock;
    struct conn *conns;
    struct lingerer lingering[LINGER_MAX];
    size_t n_lingering;
    int wake; // eventfd
    unsigned tick;
    bool ending;
    pthread_t thread;
};

NODISCARD enum err_kind janitor_start(struct janitor *j, const struct clock *clock, struct err *err);
void janitor_stop(struct janitor *j);
void janitor_add(struct janitor *j, struct conn *c);
// Before the socket is closed. The caller frees `c`.
void janitor_remove(struct janitor *j, struct conn *c);
// Under the lock, so that no connection comes or goes meanwhile.
void janitor_each(struct janitor *j, void (*fn)(void *ctx, struct conn *c), void *ctx);

#endif
