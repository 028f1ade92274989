// SPDX-License-Identifier: Apache-2.0
/*
 * webhook.h - a partner's endpoint to which its events are delivered, and what becomes of it as deliveries succeed and fail.
 *
 * States:
 *   ENABLED   its events are delivered, in order, the one at `cursor` next
 *   DISABLED  the partner said so
 *   FAILED    it has failed without a break for WEBHOOK_FAILING_MAX_SECONDS
 *   GONE      it answered 410
 * ENABLED -> DISABLED and back, and FAILED, GONE -> ENABLED, by call; ENABLED -> FAILED, GONE by what its answers are. In each state the
 * cursor stays where it is: nothing is skipped while an endpoint is not enabled.
 *
 * An event is tried RETRY_ATTEMPTS_MAX times, as the one table says (retry_delays, webhook.c; docs/webhooks.md is made from it). After the
 * last it is given up, and the next one has its turn.
 */
#ifndef CORE_WEBHOOK_H
#define CORE_WEBHOOK_H

#include "base/base.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/event.h"

// ---- the retry schedule ----
#define RETRY_ATTEMPTS_MAX 10
extern const int64_t retry_delays[RETRY_ATTEMPTS_MAX - 1]; // seconds after the first failed attempt, the second ...
#define RETRY_JITTER_PERCENT 10                            // a delay is longer or shorter by up to so much
#define RETRY_AFTER_SECONDS_MAX 86400                      // a receiver can ask for as long a pause as this
#define RETRY_SCALE_WHOLE 1000000                          // scale_ppm of the schedule as it is
#define WEBHOOK_TIMEOUT_SECONDS 15                         // for one attempt
#define WEBHOOK_FAILING_MAX_SECONDS (5 * 86400)
// How long to wait after `attempts` failed ones (1..RETRY_ATTEMPTS_MAX - 1). `random`: any 64 bits. What the receiver asked for
// (`retry_after_s`, -1: nothing) is not undercut, and not scaled.
int64_t retry_delay_ms(int attempts, uint64_t random, int64_t retry_after_s, int64_t scale_ppm);

// ---- endpoints ----
#define WEBHOOKS_PER_PARTNER_MAX 20
#define WEBHOOK_TYPES_MAX 32 // patterns in the list
#define WEBHOOK_SECRET_MIN 24
#define WEBHOOK_SECRET_MAX 64 // bytes, as Standard Webhooks says
#define WEBHOOK_SECRETS_MAX 4 // live at once: rotation with overlap

// A secret as text, as Standard Webhooks writes it: "whsec_" and base64. parse: false unless it is that, of WEBHOOK_SECRET_MIN to _MAX
// bytes.
#define WEBHOOK_SECRET_TEXT (6 + 4 * ((WEBHOOK_SECRET_MAX + 2) / 3) + 1)
void webhook_secret_format(const void *bytes, size_t n, char out[WEBHOOK_SECRET_TEXT]);
bool webhook_secret_parse(struct str text, uint8_t out[WEBHOOK_SECRET_MAX], size_t *n);

enum webhook_state { WEBHOOK_ENABLED, WEBHOOK_DISABLED, WEBHOOK_FAILED, WEBHOOK_GONE };
extern const char *const webhook_state_words[]; // "ENABLED", ...

struct webhook {
    struct uuid id;
    int64_t partner_id;
    struct str url;
    struct str types; // patterns (event_types_named), blank-separated
    enum webhook_state state;
    struct wall created, modified;
    int64_t epoch;             // grows when a call sets state, cursor or URL: what was on its way then counts no more
    int64_t cursor;            // sequence of the next event to deliver
    int attempts;              // failed ones, of that event
    struct wall due;           // when it may be tried; WALL_NONE: at once
    struct wall failing_since; // the first failure since the last success; WALL_NONE
    struct wall lease_until;   // WALL_NONE: nobody delivers
    int64_t lease_owner;       // the node that does
};
// The event types that it wants, as bits. A pattern that means nothing (any more) adds none.
uint64_t webhook_wants(const struct webhook *w);

// ---- deliveries ----
enum delivery_kind { DELIVERY_EVENT, DELIVERY_REDELIVERY, DELIVERY_TEST };
extern const char *const delivery_kind_words[]; // "EVENT", "REDELIVERY", "TEST"
enum delivery_outcome {
    DELIVERY_PENDING,   // asked for by call, not tried yet
    DELIVERY_DELIVERED, // 2xx
    DELIVERY_FAILED,    // tried again later, unless it was asked for by call
    DELIVERY_GIVEN_UP,  // the last attempt
    DELIVERY_DISABLED,  // the attempt after which the endpoint was disabled
};
extern const char *const delivery_outcome_words[];

// What one attempt at the event of `sequence` leads to, and the endpoint moved on accordingly: `cursor`, `attempts`, `due`,
// `failing_since`, `state`. `status`: the HTTP status, 0 when there was no answer.
struct delivery_answer {
    int status;
    int64_t retry_after_s; // -1: none
};
enum delivery_outcome webhook_answered(struct webhook *w, int64_t sequence, struct delivery_answer answer, struct wall now, uint64_t random,
                                       int64_t scale_ppm);

// One line of the log of deliveries.
struct webhook_delivery {
    struct uuid id; // its time is when it was tried, or asked for
    struct uuid webhook_id;
    int64_t partner_id;
    enum delivery_kind kind;
    enum delivery_outcome outcome;
    int64_t sequence; // 0: a test
    enum event_type event_type;
    struct wall event_created;
    int attempt;       // from 1
    struct wall tried; // WALL_NONE while PENDING
    int64_t duration_ms;
    int status;         // 0: no answer
    struct str answer;  // the beginning of its body, as UTF-8; STR_NONE
    struct str trouble; // why there was no answer, for people; STR_NONE
    struct wall next;   // when it is tried again; WALL_NONE
};
#define DELIVERY_ANSWER_MAX 1024

// ---- notifications of one SIM ----
enum notification_type { NOTIFY_USAGE_THRESHOLD, NOTIFY_SUBSCRIPTION_END, NOTIFY_DOWNLOAD_PROGRESS, NOTIFY_TYPES };
// Which one an event is for, if its SIM has one; -1: none. USAGE_THRESHOLD is told of at 80 % alone, which only the payload shows.
int notification_of(enum event_type type);
#define NOTIFICATION_THRESHOLD 80

// One that waits to be delivered.
struct notification {
    int64_t partner_id;
    iccid_t iccid;
    enum notification_type type;
    int64_t sequence; // of the event
    int attempts;
    struct wall wake; // when it may be tried, or its lease ends; WALL_NONE: behind another
    int64_t lease_owner;
    struct str url; // where to, as set now; STR_NONE: nowhere any more
};

#endif
