// SPDX-License-Identifier: Apache-2.0
/*
 * event.h - what the outside is told: one entry of a partner's log.
 *
 * An event carries a snapshot of the resource as it was when the change was made, packed into `payload` (event_pack_*): compact, versioned,
 * independent of the API's rendering and of the public base URL. Readers unpack it and show it with the same code that shows the resource
 * itself.
 */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "core/order.h"
#include "core/sim.h"
#include "core/subscription.h"

enum event_type { // stored as a number: never renumber, append only
    EVENT_ORDER_ACCEPTED = 1,
    EVENT_ORDER_FULFILLING = 2,
    EVENT_ORDER_COMPLETED = 3,
    EVENT_ORDER_FAILED = 4,
    EVENT_SUBSCRIPTION_PENDING = 10,
    EVENT_SUBSCRIPTION_ACTIVATED = 11,
    EVENT_SUBSCRIPTION_THRESHOLD = 12,
    EVENT_SUBSCRIPTION_DEPLETED = 13,
    EVENT_SUBSCRIPTION_EXPIRED = 14,
    EVENT_SIM_ACTIVATED = 20,
    EVENT_SIM_DOWNLOAD_PROGRESS = 21,
    EVENT_SIM_STATUS_CHANGED = 22,
    EVENT_SIM_EID_CHANGED = 23,
};
const char *event_type_name(enum event_type t); // "order.accepted"; NULL when unknown
// What is told when an order, or a subscription, has come into this state. (PENDING_USAGE is pending to the outside.)
enum event_type event_of_order(enum order_state s);
enum event_type event_of_subscription(enum subscription_state s);

struct event {
    int64_t partner_id;
    int64_t sequence; // 1, 2, 3 ... within the partner, no gaps
    enum event_type type;
    struct wall created;  // the partner's time
    struct uuid order_id; // zero when none
    iccid_t iccid;        // ICCID_NONE when none
    struct str payload;
};

// The snapshot of each kind of resource. Personal data of the subscriber (struct subscriber, a subscription's email) is not in it: events
// outlive it, and the API does not show it. Unpacking checks everything (the bytes come from the database file): ERR_CORRUPT; ERR_INTERNAL
// when the arena is full. Strings are copied into the arena. A buf that is full fails (base/buf.h); EVENT_PAYLOAD_MAX is room for any
// resource whose strings keep the limits of the API.
#define EVENT_PAYLOAD_MAX 8192
void event_pack_order(struct buf *out, const struct order *o);
void event_pack_subscription(struct buf *out, const struct subscription *s, int threshold);
void event_pack_sim(struct buf *out, const struct sim *s, enum esim_status before);
void event_pack_progress(struct buf *out, const struct sim *s, const struct profile_progress *p); // of SIM_DOWNLOAD_PROGRESS
NODISCARD enum err_kind event_unpack_order(struct str payload, struct arena *a, struct order *out, struct err *err);
NODISCARD enum err_kind event_unpack_subscription(struct str payload, struct arena *a, struct subscription *out, int *threshold,
                                                  struct err *err);
NODISCARD enum err_kind event_unpack_sim(struct str payload, struct arena *a, struct sim *out, enum esim_status *before, struct err *err);
NODISCARD enum err_kind event_unpack_progress(struct str payload, struct arena *a, struct sim *out, struct profile_progress *progress,
                                              struct err *err);

#endif
