// SPDX-License-Identifier: Apache-2.0
/*
 * api.h - the HTTP API as a whole: what the app starts, and what it needs for that.
 */
#ifndef API_API_H
#define API_API_H

#include "auth/auth.h"
#include "base/clock.h"
#include "base/rng.h"
#include "http/http.h"
#include "store/store.h"

struct api_options {
    struct store *store;
    struct auth *auth;
    const struct clock *clock;
    const struct rng *rng;
    const char *base_url;     // public, without a slash at the end and without /v2: links begin with it
    const char *realm;        // "tru-staff"
    const char *qr_host_path; // public address of QR images, "<origin>/connect/qrcode/v1/esim"
    bool demo;                // says so on the start page
    bool private_targets;     // webhooks may lead to private addresses
    int64_t node;             // 1..1023, unique among nodes that share a store
    int64_t instance;         // of the process that has the number (store_node.h); 0: nobody shares the store
    bool health_only;         // serves /healthz, /readyz and /metrics, nothing else
    bool upkeep;              // removes old idempotency keys and events; one node of several does
    int64_t idempotency_days; // how long idempotency keys are kept
};
struct api;
NODISCARD enum err_kind api_open(const struct api_options *o, struct api **out, struct err *err);
// One turn of what the API does by itself: looks again at calls that wait or whose time is over, removes old idempotency keys and events.
// api_run does it on threads of its own until api_stop, which also ends the calls that still wait: after the HTTP server was stopped,
// before the store is closed.
void api_turn(struct api *a);
NODISCARD enum err_kind api_run(struct api *a, struct err *err);
void api_stop(struct api *a);
void api_close(struct api *a);
struct http_handler api_handler(struct api *a);
const struct api_options *api_settings(const struct api *a);
void api_draining(struct api *a); // /readyz says no from now on; calls that wait are answered at once, event streams end

#endif
