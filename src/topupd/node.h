// SPDX-License-Identifier: Apache-2.0
/*
 * node.h - this process's place among the nodes that share a store: a number that no other running node has.
 *
 * The number stands for the node in what it leases (tasks, webhooks, idempotency keys), so it is a lease itself: taken at the start,
 * renewed every NODE_RENEW_MS by a thread, given back at the stop. It lasts longer than anything that was leased under it: when another
 * process takes the number over, nothing of that is held any more. A process that was stopped for so long finds out when it goes on: it
 * keeps the number if nobody has taken it, and ends otherwise. A number that a dead process of this machine has is taken over at once.
 *
 * On a store that one process has for itself the number is the configured one, or 1, and there is nothing to lease.
 */
#ifndef TOPUPD_NODE_H
#define TOPUPD_NODE_H

#include "store/store.h"
#include "store/store_node.h"

#define NODE_RENEW_MS 10000

struct seat;
struct seat_options {
    struct store *store;
    const struct clock *clock;
    const struct rng *rng;
    int64_t number; // 0: any that is free
    enum node_role role;
    int64_t leases_ms;       // how long what is leased under the number may last, at the most
    void (*lost)(void *ctx); // called once, by the thread: the number is another's
    void *ctx;
    const char *machine; // NULL: as the system says; for tests
    int64_t process;     // 0: this one; for tests
};
// ERR_CONFLICT: the number is another node's (it says whose, and until when), or none is free.
NODISCARD enum err_kind seat_take(const struct seat_options *o, struct seat **out, struct err *err);
int64_t seat_number(const struct seat *s);
int64_t seat_instance(const struct seat *s); // 0: nobody shares the store
NODISCARD enum err_kind seat_run(struct seat *s, struct err *err);
// One turn of the thread: renews. ERR_CONFLICT: it is lost. Other errors are the store's trouble, to be tried again.
NODISCARD enum err_kind seat_renew(struct seat *s, struct err *err);
void seat_give_back(struct seat *s); // and closes; before the store is closed. NULL is fine

#endif
