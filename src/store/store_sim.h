// SPDX-License-Identifier: Apache-2.0
/*
 * store_sim.h - SIMs, their notification preferences, and the import of many at once.
 */
#ifndef STORE_STORE_SIM_H
#define STORE_STORE_SIM_H

#include "core/sim.h"
#include "core/webhook.h"
#include "store/store.h"

// For store_job.ahead, of a job that places an order: the SIM, and what is open on it.
void store_sim_ahead(struct tx *tx, iccid_t iccid);
void store_sim_get_ahead(struct tx *tx, iccid_t iccid); // the SIM alone
NODISCARD enum err_kind store_sim_get(struct tx *tx, iccid_t iccid, struct arena *a, struct sim *out, struct err *err);
NODISCARD enum err_kind store_sim_by_imsi(struct tx *tx, struct str imsi, struct arena *a, struct sim *out, struct err *err);
NODISCARD enum err_kind store_sim_by_msisdn(struct tx *tx, struct str msisdn, struct arena *a, struct sim *out, struct err *err);
// ERR_CONFLICT (the message names the field) when the ICCID, IMSI, MSISDN or matching id is taken.
NODISCARD enum err_kind store_sim_insert(struct tx *tx, const struct sim *s, struct err *err);
NODISCARD enum err_kind store_sim_update(struct tx *tx, const struct sim *s, struct err *err);
// The lowest eSIM profile in STOCK and Released of this partner, or else, unless `own`, of the general stock (then it becomes the
// partner's). ERR_NOT_FOUND: none left. The profile is given back unchanged but for partner_id; the caller moves it on and updates it in
// the same job.
NODISCARD enum err_kind store_sim_take_profile(struct tx *tx, int64_t partner_id, bool own, struct arena *a, struct sim *out,
                                               struct err *err);

// What stands on a SIM and is not finished: accepted orders, subscriptions. Where both, finished subscriptions counted in, are fewer than
// SIM_OPEN_SUBSCRIPTIONS_MAX, the finished ones stay counted in: their rows stand far apart, and each would be read for its state alone.
NODISCARD enum err_kind store_sim_open(struct tx *tx, iccid_t iccid, int64_t *orders, int64_t *subscriptions, struct err *err);

struct sim_filter {
    int64_t partner_id; // 0: all; -1: general stock
    unsigned type;      // enum sim_type; 0: all
    int service;        // enum sim_service; -1: all
};
// In order of ICCID (packed). Pages by offset are for partners' lists; `after` (ICCID_NONE: from the start) for long ones.
NODISCARD enum err_kind store_sim_list(struct tx *tx, const struct sim_filter *f, iccid_t after, int64_t offset, int64_t limit,
                                       struct arena *a, struct sim **out, size_t *n, struct err *err);
// How many there are, but no more than `max`: nobody counts ten million SIMs for a page number.
NODISCARD enum err_kind store_sim_count(struct tx *tx, const struct sim_filter *f, int64_t max, int64_t *total, struct err *err);
// Gives SIMs in STOCK from the general stock (or another partner) to a partner.
NODISCARD enum err_kind store_sim_assign(struct tx *tx, iccid_t iccid, int64_t partner_id, struct err *err);

// ---- notification preferences (connect-v2 section 8) ----
struct sim_notification {
    enum notification_type type;
    struct str url; // may hold credentials: never logged
};
NODISCARD enum err_kind store_notification_list(struct tx *tx, iccid_t iccid, struct arena *a, struct sim_notification out[NOTIFY_TYPES],
                                                size_t *n, struct err *err);
NODISCARD enum err_kind store_notification_put(struct tx *tx, iccid_t iccid, enum notification_type type, struct str url, struct err *err);
NODISCARD enum err_kind store_notification_delete(struct tx *tx, iccid_t iccid, enum notification_type type, bool *was_there,
                                                  struct err *err);

// ---- import: rows are staged, judged and applied, each in slices of so many rows a job, or dropped ----
/*
 * All or nothing, without a job that holds up orders: nothing is put into stock before every row has been judged, and from the first SIM
 * that is there is no way but forward. For that the numbers of an import that is being applied are taken: nobody else can insert a SIM
 * with one of them, and only one import is applied at a time. So a SIM that can be seen is one that stays, and after a crash whoever comes
 * next goes on where it was: the upkeep, or the next import's slices.
 */
struct import_row {
    int64_t line; // from 1
    struct sim sim;
    struct str fault; // STR_NONE: a good row. Otherwise why it cannot be taken (it did not parse; `sim` is not looked at): staged all the
                      // same, so that the verdict counts it as bad, its line is among the faults and "all or nothing" holds for it, too
};
enum import_state { IMPORT_STAGING, IMPORT_JUDGING, IMPORT_JUDGED, IMPORT_APPLYING, IMPORT_APPLIED, IMPORT_DROPPED };
struct import_progress {
    enum import_state state;
    int64_t staged;           // rows
    int64_t fresh, same, bad; // of those that have been judged
    int64_t inserted;         // SIMs put into stock
    bool more;                // the step is not over: call again, in another job
    int64_t judged_to;        // the store's own
};
// A new import; the number names it. It survives a restart. The verbs below answer ERR_NOT_FOUND for one that was dropped.
NODISCARD enum err_kind store_import_begin(struct tx *tx, struct str source, int64_t *import_id, struct err *err);
NODISCARD enum err_kind store_import_stage(struct tx *tx, int64_t import_id, const struct import_row *rows, size_t n, struct err *err);
NODISCARD enum err_kind store_import_get(struct tx *tx, int64_t import_id, struct import_progress *out, struct err *err);
// Judges the next `limit` rows against all that is staged (the same ICCID, IMSI, MSISDN, matching id on two lines) and against the store;
// from the start when all had been judged. Rows equal to what is there are "same": equal in what an import names (ICCID, type, partner,
// IMSI, MSISDN, EID, matching id, SM-DP+, and, where the row says ACTIVE, an activated SIM), not in what life has changed since (service,
// profile state, dates; an absent partner or number is not a difference). While another import is being applied, that one goes on first.
NODISCARD enum err_kind store_import_judge(struct tx *tx, int64_t import_id, int64_t limit, struct import_progress *out, struct err *err);
// The rows that were judged bad, in pages.
struct import_fault {
    int64_t line;
    struct str reason;
};
NODISCARD enum err_kind store_import_faults(struct tx *tx, int64_t import_id, int64_t after_line, int64_t limit, struct arena *a,
                                            struct import_fault **out, size_t *n, struct err *err);
// Applies the fresh ones among the next `limit` rows, and forgets the rows. With bad ones and !keep_good, or when SIMs came meanwhile that
// the verdict does not know of: ERR_CONFLICT, nothing changed.
NODISCARD enum err_kind store_import_apply(struct tx *tx, int64_t import_id, bool keep_good, int64_t limit, struct import_progress *out,
                                           struct err *err);
// ERR_CONFLICT for one that is being applied. The rows are taken away by the upkeep.
NODISCARD enum err_kind store_import_drop(struct tx *tx, int64_t import_id, struct err *err);
// Goes on with what is being applied; takes away `limit` rows of what was dropped; drops what was begun before that and not ended.
NODISCARD enum err_kind store_import_upkeep(struct tx *tx, struct wall begun_before, int64_t limit, bool *more, struct err *err);

#endif
