// SPDX-License-Identifier: Apache-2.0
/*
 * sim.h - a SIM: plastic or soldered (pSIM), or an eSIM profile; and its two state machines.
 *
 * Service (ours, both types):
 *   STOCK       not activated: a pSIM in the partner's hands, an eSIM profile in stock
 *   ACTIVATING  an accepted ACTIVATION order has taken it
 *   ACTIVE      activated; takes top-ups
 * STOCK -> ACTIVATING -> ACTIVE; ACTIVATING -> STOCK when that order failed.
 *
 * Profile (eSIM only, GSMA SGP.22 profile states as the API names them): Released -> Downloaded -> Installed; any -> Unavailable (final).
 */
#ifndef CORE_SIM_H
#define CORE_SIM_H

#include "base/base.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "core/iccid.h"
#include "core/product.h"

enum sim_service { SIM_STOCK, SIM_ACTIVATING, SIM_ACTIVE };
enum esim_status { ESIM_NONE, ESIM_RELEASED, ESIM_DOWNLOADED, ESIM_INSTALLED, ESIM_UNAVAILABLE };
extern const char *const sim_service_words[]; // "STOCK", ...
extern const char *const esim_status_words[]; // "", "Released", ...: index is the enum

#define SIM_OPEN_SUBSCRIPTIONS_MAX 15

struct sim {
    iccid_t iccid;
    int64_t partner_id; // 0: an eSIM profile in the operator's general stock
    enum sim_type type;
    enum sim_service service;
    enum esim_status esim;   // ESIM_NONE for a pSIM
    struct str imsi, msisdn; // STR_NONE when not known
    struct str eid;          // STR_NONE when not known
    struct str matching_id;  // eSIM: the activation code's token
    struct str smdp;         // eSIM: SM-DP+ host name
    struct wall activated;   // WALL_NONE before
    struct wall modified;
};

// Whether the move is allowed; nothing else changes `service` or `esim`.
bool sim_service_may(enum sim_service from, enum sim_service to);
bool esim_may(enum esim_status from, enum esim_status to);

// How a profile's download goes on, as an SM-DP+ tells it: notification points of SGP.22 section 5.3.5 (ES2+.HandleDownloadProgressInfo),
// and those above 4 that vendors have added. Others are passed on without a description.
enum notification_point {
    POINT_ELIGIBILITY = 1,  // eligibility and retry limit checked
    POINT_CONFIRMATION = 2, // confirmation code checked
    POINT_DOWNLOADED = 3,   // the package is in the eUICC
    POINT_INSTALLED = 4,
    POINT_DELETED = 5,
    POINT_ENABLED = 101,
    POINT_DISABLED = 102,
};
#define POINT_MAX 9999
enum progress_status { PROGRESS_SUCCESS, PROGRESS_WARNING, PROGRESS_FAILED, PROGRESS_EXPIRED };
extern const char *const progress_status_words[]; // "Executed-Success", "Executed-WithWarning", "Failed", "Expired", NULL
struct profile_progress {
    int point; // 1..POINT_MAX
    enum progress_status status;
    struct str eid; // of the device; STR_NONE
};
const char *notification_point_text(int point); // "BPP installation", ...; "" when unknown
// Where a point that went well takes a profile; ESIM_NONE: nowhere.
enum esim_status notification_point_leads_to(int point);

#endif
