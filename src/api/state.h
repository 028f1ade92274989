// SPDX-License-Identifier: Apache-2.0
/*
 * state.h - what `struct api` is made of, for the files of api/ only. Set at api_open and then read-only, but for the atomics.
 */
#ifndef API_STATE_H
#define API_STATE_H

#include "api/api.h"
#include "api/router.h"
#include "base/metrics.h"

// Statuses that have a counter of their own at hand; others take the slow way through metric_child.
#define METER_CODES 20
struct route_meter {
    struct metric *latency;
    _Atomic(struct metric *) codes[METER_CODES];
};

struct api {
    struct api_options o;
    struct str base_url; // views of o.base_url
    struct str origin;   // its scheme and host
    struct router *router;
    struct metric_family *requests;
    struct route_meter *meters; // one a route, and a last one for what has no route
    struct metric *job_queue, *job_batches, *orders[4], *tasks[7];
    _Atomic bool draining;
};

#endif
