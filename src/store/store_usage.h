// SPDX-License-Identifier: Apache-2.0
/*
 * store_usage.h - usage records that were taken, and where their bytes went.
 */
#ifndef STORE_STORE_USAGE_H
#define STORE_STORE_USAGE_H

#include "core/usage.h"
#include "store/store.h"

struct stored_usage {
    int64_t id; // row key, never seen outside
    struct usage_record record;
    iccid_t iccid;            // ICCID_NONE: the SIM was not known
    int64_t partner_id;       // 0: nobody's
    struct wall received;     // real time
    enum usage_reason reason; // USAGE_REASON_NONE exactly when unrated_bytes is 0
    int64_t unrated_bytes;
};
// For store_job.ahead, of a job that books usage: the record, and (unless ICCID_NONE) the SIM with what is usable on it.
void store_usage_ahead(struct tx *tx, const struct usage_record *r, iccid_t iccid);
NODISCARD enum err_kind store_usage_find(struct tx *tx, struct str source, struct str record_id, struct arena *a, struct stored_usage *out,
                                         struct err *err);
NODISCARD enum err_kind store_usage_places(struct tx *tx, int64_t id, struct arena *a, struct usage_place **out, size_t *n,
                                           struct err *err);
// Fills u->id. ERR_CONFLICT: the source has used the record's id before.
NODISCARD enum err_kind store_usage_insert(struct tx *tx, struct stored_usage *u, const struct usage_place *places, size_t n,
                                           struct err *err);

// What nothing could carry, newest first. *total is exact up to 10,000 rows beyond the page.
struct usage_filter {
    struct str source; // STR_NONE: all
    iccid_t iccid;     // ICCID_NONE: all
};
NODISCARD enum err_kind store_usage_unrated(struct tx *tx, const struct usage_filter *f, int64_t offset, int64_t limit, struct arena *a,
                                            struct stored_usage **out, size_t *n, int64_t *total, struct err *err);

#endif
