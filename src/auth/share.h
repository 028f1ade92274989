// SPDX-License-Identifier: Apache-2.0
/*
 * share.h - counting calls per partner and resource together with other nodes (connect-v2 section 3).
 *
 * The store keeps what each node has taken of a partner's calls in a minute (store_node.h). A node takes a part of the limit at a time, one
 * twentieth divided by the number of nodes that answer requests, and a next one when half of that is used; calls that find nothing left
 * wait, suspended, for the part that is on its way. So together the nodes never accept more than the limit; they accept less by what a node
 * has taken and not used, which is less than a tenth; and the store is asked a few times a second at the most, however many calls there
 * are.
 *
 * Minutes begin at the same instant on all nodes (their clocks are kept together), at another one for each partner and resource. While the
 * store cannot be asked calls are not counted: who is answered at all then is not refused for his rate.
 *
 * Any thread may call. The table has a fixed size: where a place is full of windows that are asking, calls are not counted.
 */
#ifndef AUTH_SHARE_H
#define AUTH_SHARE_H

#include "auth/auth.h"

#define SHARE_WINDOWS 65536

struct shares;
struct shares *shares_open(struct store *store, const struct clock *clock, int64_t node);
void shares_close(struct shares *s); // when the store has answered all jobs. NULL is fine
// `limit` above 0. `bucket` is static text. False: not known yet; then wait->go is called once, when asking again is worthwhile, maybe
// before this returns. `wait` NULL: true, and not counted.
bool shares_count(struct shares *s, int64_t partner_id, const char *bucket, int64_t limit, struct rate_wait *wait, struct rate_state *out);

#endif
