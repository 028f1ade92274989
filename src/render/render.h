// SPDX-License-Identifier: Apache-2.0
/*
 * render.h - how each resource is shown as JSON: one function per resource, used by every answer and event that shows it.
 *
 * Each writes one object under `key` (NULL at the top or in an array), with its _metadata.links. They need nothing of a call but the public
 * addresses, so that what is not an answer (an event, a webhook) can show the same. A link that is longer than a link may be fails the
 * buffer.
 */
#ifndef RENDER_RENDER_H
#define RENDER_RENDER_H

#include "base/arena.h"
#include "base/json.h"
#include "core/event.h"
#include "core/order.h"
#include "core/product.h"
#include "core/sim.h"
#include "core/subscription.h"
#include "core/webhook.h"
#include "store/store_sim.h"

struct links {
    const char *base_url; // public, without a slash at the end and without /v2
    const char *qr_url;   // public address of QR images
};

void render_order(struct jw *w, const char *key, struct links l, const struct order *o);
void render_order_created(struct jw *w, const char *key, struct links l, const struct order *o); // the 202: both spellings of the link
void render_product(struct jw *w, const char *key, struct links l, const struct product *p);
void render_sim(struct jw *w, const char *key, struct links l, const struct sim *s);
void render_subscription(struct jw *w, const char *key, struct links l, const struct subscription *s);

// The envelope, with the resource as it was then and what has changed. Unpacks into `a`; an error is the log's (ERR_CORRUPT), and then what
// was written is not to be used.
NODISCARD enum err_kind render_event(struct jw *w, const char *key, struct links l, const struct event *e, struct arena *a,
                                     struct err *err);

// `secret`: shown when it was made, STR_NONE otherwise.
void render_webhook(struct jw *w, const char *key, struct links l, const struct webhook *hook, struct str secret);
void render_delivery(struct jw *w, const char *key, struct links l, const struct webhook_delivery *d);
// The body of a notification of one SIM (connect-v2 section 8). *wanted is false, and nothing written, when the event is not for one.
// Errors as those of render_event.
NODISCARD enum err_kind render_notification(struct jw *w, const struct event *e, struct arena *a, bool *wanted, struct err *err);

// A member with an absolute URL. One that is longer than a link may be fails the buffer.
void render_link(struct jw *w, const char *key, const char *base, const char *fmt, ...) PRINTF_LIKE(4, 5);

// Names of notification types, in the order of the enum, NULL-terminated.
extern const char *const notification_words[];
void render_preferences(struct jw *w, const char *key, struct links l, iccid_t iccid, const struct sim_notification *list, size_t n);

#endif
