// SPDX-License-Identifier: Apache-2.0
/*
 * list.h - pages of long lists: first the keys, then (by the caller) the rows. Private to store/.
 *
 * A list names a statement that answers keys (t, id, iccid), the newest first, and one that counts; both take the same parameters, of which
 * three are set here: the partner, the limit and the offset. Where the tables are clustered by partner and all partners are asked for
 * (the operator), the partners' lists are merged.
 *
 * Totals are exact up to LIST_AHEAD rows beyond the page: nobody counts twenty million orders for a page number.
 */
#ifndef STORE_LIST_H
#define STORE_LIST_H

#include "store/tx.h"

#define LIST_AHEAD 10000
#define LIST_MAX 10000 // rows of one page
#define LIST_PARAMS_MAX 12

struct list_key {
    int64_t t;
    struct uuid id;
    iccid_t iccid;
};

struct list {
    enum statement keys, count;
    struct db_value params[LIST_PARAMS_MAX]; // the partner is the first, limit and offset the last two
    size_t n;
    bool each_partner; // merge the partners' lists
};

// *total may be NULL.
NODISCARD enum err_kind list_keys(struct tx *tx, struct list *list, int64_t offset, int64_t limit, struct arena *a, struct list_key **out,
                                  size_t *n, int64_t *total, struct err *err);

#endif
