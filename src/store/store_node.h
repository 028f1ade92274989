// SPDX-License-Identifier: Apache-2.0
/*
 * store_node.h - the nodes that share a store: who holds which number, and what each has taken of a partner's rate limit.
 *
 * A number belongs to one process (its instance, a random number) until its lease ends or it is given back. A row stays when its lease has
 * ended; whoever takes the number next writes over it. A node whose lease has ended and whose number nobody has taken may renew it.
 *
 * A rate limit is counted in rows of (partner, bucket, node), each written by its node alone, so that no node waits for another. Two nodes
 * that take at the same moment do not see each other: together they may take more than there is by what they ask for at once.
 */
#ifndef STORE_STORE_NODE_H
#define STORE_STORE_NODE_H

#include "store/store.h"

#define NODE_NUMBER_MAX 1023
#define NODE_NAME_MAX 255

enum node_role { NODE_ALL, NODE_API, NODE_ENGINE };
extern const char *const node_role_words[]; // "all", "api", "engine"

struct node_row {
    int64_t number;   // 1 .. NODE_NUMBER_MAX
    int64_t instance; // of the process that holds it, above 0
    struct str name;  // host and process, for people
    enum node_role role;
    struct wall started, lease_until; // given back: a lease that has ended
};
// By number, those too whose lease has ended.
NODISCARD enum err_kind store_node_list(struct tx *tx, struct arena *a, struct node_row **out, size_t *n, struct err *err);
// ERR_CONFLICT: another process holds the number.
NODISCARD enum err_kind store_node_take(struct tx *tx, const struct node_row *node, struct err *err);
// ERR_CONFLICT: the number is not this process's any more.
NODISCARD enum err_kind store_node_renew(struct tx *tx, int64_t number, int64_t instance, struct wall lease_until, struct err *err);
NODISCARD enum err_kind store_node_give_back(struct tx *tx, int64_t number, int64_t instance, struct err *err);
// ERR_CONFLICT: the number is not this process's any more. For jobs that act in its name: nobody can take it until they have committed.
NODISCARD enum err_kind store_node_hold(struct tx *tx, int64_t number, int64_t instance, struct err *err);

// Takes up to `wanted` of what all nodes together may have in this window; *taken: what they have then, as far as this node sees.
NODISCARD enum err_kind store_rate_take(struct tx *tx, int64_t partner_id, struct str bucket, int64_t node, int64_t window, int64_t wanted,
                                        int64_t limit, int64_t *granted, int64_t *taken, struct err *err);

#endif
