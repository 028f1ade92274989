// SPDX-License-Identifier: Apache-2.0
/*
 * store_product.h - the partners' catalogues.
 */
#ifndef STORE_STORE_PRODUCT_H
#define STORE_STORE_PRODUCT_H

#include "core/product.h"
#include "store/store.h"

NODISCARD enum err_kind store_product_get(struct tx *tx, int64_t id, struct arena *a, struct product *out, struct err *err);
NODISCARD enum err_kind store_product_by_public_id(struct tx *tx, int64_t partner_id, struct str public_id, struct arena *a,
                                                   struct product *out, struct err *err);

struct product_filter {
    int64_t partner_id;        // 0: all (operator)
    unsigned sim_types;        // any of these bits; 0: all
    struct str footprint_code; // STR_NONE: all
    struct str currency;       // STR_NONE: all
    bool on_sale_only;
};
// In order of name, then id.
NODISCARD enum err_kind store_product_list(struct tx *tx, const struct product_filter *f, int64_t offset, int64_t limit, struct arena *a,
                                           struct product **out, size_t *n, int64_t *total, struct err *err);
// Inserts, or replaces all but the id of the one with the same (partner_id, public_id). Says what happened.
enum upsert { UPSERT_INSERTED, UPSERT_UPDATED, UPSERT_SAME };
NODISCARD enum err_kind store_product_put(struct tx *tx, struct product *p, enum upsert *what, struct err *err);

#endif
