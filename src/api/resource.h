// SPDX-License-Identifier: Apache-2.0
/*
 * resource.h - what the resource files share, besides call.h.
 */
#ifndef API_RESOURCE_H
#define API_RESOURCE_H

#include "api/call.h"
#include "core/iccid.h"
#include "core/sim.h"
#include "render/render.h"

// What rendering needs of the server.
static inline struct links links_of(const struct api *a) {
    const struct api_options *o = api_settings(a);
    return (struct links){o->base_url, o->qr_host_path};
}

enum err_kind call_no_memory(struct err *err); // the arena is exhausted

// An ICCID as a query parameter; a slash at its end, as some clients send it, is tolerated. ICCID_NONE when absent or faulty.
iccid_t query_iccid(struct call *c, const char *name, struct err *err);

// The SIM that path parameter 0 names: the partner's and activated. ERR_NOT_FOUND when it is not an ICCID, not known, in stock or not
// activated; ERR_DENIED when it is another partner's.
NODISCARD enum err_kind call_sim(struct call *c, struct tx *tx, struct sim *out, struct err *err);

// There is no such order (subscription): ERR_NOT_FOUND, and when orders of that time may have been archived, that they may. Where the id
// names another partner than `partner_id`, or was none (zero), nothing of that kind is said.
NODISCARD enum err_kind order_not_found(struct tx *tx, struct uuid id, int64_t partner_id, struct err *err);
NODISCARD enum err_kind subscription_not_found(struct tx *tx, struct uuid id, int64_t partner_id, struct err *err);

#endif
