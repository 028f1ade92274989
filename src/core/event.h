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
    EVENT_WEBHOOK_DISABLED = 30,
    EVENT_WEBHOOK_TEST = 31, // never in the log: sent to one endpoint, on request
};
#define EVENT_TYPES_MAX 64                      // numbers stay below it: a set of types is a bit mask
const char *event_type_name(enum event_type t); // "order.accepted"; NULL when unknown
// The types that a filter means, as bits 1 << type: "order.completed", "order.*", "*". 0: no such type.
uint64_t event_types_named(struct str pattern);
// The stable public id of one: "evt_" and a UUID (RFC 9562, version 8) made of its time, sequence and partner.
#define EVENT_ID_TEXT (4 + UUID_TEXT)
struct event;
void event_id_format(const struct event *e, char out[EVENT_ID_TEXT]);
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

// What has changed: how it was before, of what the API shows and may change. Written as NULL when there was nothing before; read back,
// `past` tells whether there was.
enum event_past { PAST_UNKNOWN, PAST_NONE, PAST_KNOWN }; // UNKNOWN: written when nobody kept it
struct order_was {
    enum event_past past;
    enum order_state state;
};
struct subscription_was {
    enum event_past past;
    enum subscription_state state;
    struct wall activation, expiry;
    int64_t spent_bytes;
};
struct sim_was {
    enum event_past past;
    enum sim_service service;
    enum esim_status esim;
    struct str eid;
};
static inline struct order_was order_was_in(enum order_state state) {
    return (struct order_was){PAST_KNOWN, state};
}
static inline struct subscription_was subscription_was_like(const struct subscription *s) {
    return (struct subscription_was){PAST_KNOWN, s->state, s->activation, s->expiry, s->spent_bytes};
}
static inline struct sim_was sim_was_like(const struct sim *s) {
    return (struct sim_was){PAST_KNOWN, s->service, s->esim, s->eid};
}

// The snapshot of each kind of resource. Personal data of the subscriber (struct subscriber, a subscription's email) is not in it: events
// outlive it, and the API does not show it. Unpacking checks everything (the bytes come from the database file): ERR_CORRUPT; ERR_INTERNAL
// when the arena is full. Strings are copied into the arena. A buf that is full fails (base/buf.h); EVENT_PAYLOAD_MAX is room for any
// resource whose strings keep the limits of the API.
#define EVENT_PAYLOAD_MAX 8192
void event_pack_order(struct buf *out, const struct order *o, const struct order_was *was);
void event_pack_subscription(struct buf *out, const struct subscription *s, const struct subscription_was *was, int threshold);
void event_pack_sim(struct buf *out, const struct sim *s, const struct sim_was *was);
void event_pack_progress(struct buf *out, const struct sim *s, const struct profile_progress *p); // of SIM_DOWNLOAD_PROGRESS
NODISCARD enum err_kind event_unpack_order(struct str payload, struct arena *a, struct order *out, struct order_was *was, struct err *err);
NODISCARD enum err_kind event_unpack_subscription(struct str payload, struct arena *a, struct subscription *out,
                                                  struct subscription_was *was, int *threshold, struct err *err);
NODISCARD enum err_kind event_unpack_sim(struct str payload, struct arena *a, struct sim *out, struct sim_was *was, struct err *err);
NODISCARD enum err_kind event_unpack_progress(struct str payload, struct arena *a, struct sim *out, struct profile_progress *progress,
                                              struct err *err);
struct webhook; // core/webhook.h: of it id, partner, url, types, state, dates, cursor, failing_since
void event_pack_webhook(struct buf *out, const struct webhook *w);
NODISCARD enum err_kind event_unpack_webhook(struct str payload, struct arena *a, struct webhook *out, struct err *err);

#endif
