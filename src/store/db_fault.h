// SPDX-License-Identifier: Apache-2.0
/*
 * db_fault.h - a driver that fails the nth call of another: for tests.
 *
 * Give &fault.driver to store_open, let it run, arm it: the nth call that can fail (from then on, over all connections) fails once.
 * Without `at` it only counts. The struct must outlive the store; arm it while no call is running.
 */
#ifndef STORE_DB_FAULT_H
#define STORE_DB_FAULT_H

#include "store/db.h"

enum fault_mode {
    FAULT_REFUSES, // the call does nothing and says ERR_UNAVAILABLE
    FAULT_LOSES,   // besides, the transaction is gone: what a full disk does
    FAULT_RETRY,   // the call does nothing and says ERR_RETRY: a serialization failure
    FAULT_UNSURE,  // a commit is done, but its answer is lost (ERR_UNSURE); another call is refused
    FAULT_DIES,    // this call and every one after it: the power is gone
    FAULT_EXPIRES, // the same, but a commit is still done (and nobody hears of it)
};

struct db_fault {
    struct db_driver driver;
    const struct db_driver *inner;
    enum fault_mode mode;
    _Atomic int64_t calls; // since armed
    int64_t at;            // 0: never
    bool commits_only;     // the nth commit, then
    _Atomic int64_t hits;
    void (*unheard)(void *ctx); // before a commit whose answer gets lost; may be NULL
    void *ctx;
};

void db_fault_init(struct db_fault *f, const struct db_driver *inner);
void db_fault_arm(struct db_fault *f, enum fault_mode mode, int64_t at);

#endif
