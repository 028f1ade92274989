// SPDX-License-Identifier: Apache-2.0
#include "api/routes.h"
#include "api/public.h"

// clang-format off
const struct route api_routes[] = {
    // method, path, access, bucket, kind, body, parse, work, reply, work_despite_faults

    // ---- for everybody ----
    {HTTP_GET, "/",             ACCESS_PUBLIC, "public", WORK_NONE,  BODY_NONE, NULL, NULL,               start_page_reply},
    {HTTP_GET, "/healthz",      ACCESS_PUBLIC, "health", WORK_NONE,  BODY_NONE, NULL, NULL,               healthz_reply},
    {HTTP_GET, "/readyz",       ACCESS_PUBLIC, "health", WORK_WRITE, BODY_NONE, readyz_parse, readyz_work, readyz_reply},
    {HTTP_GET, "/metrics",      ACCESS_PUBLIC, "health", WORK_READ,  BODY_NONE, NULL, metrics_work,       metrics_reply},
};
// clang-format on
const size_t api_routes_count = ARRAY_LEN(api_routes);
