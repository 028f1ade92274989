// SPDX-License-Identifier: Apache-2.0
/*
 * rate.h - counting calls per partner and resource (connect-v2 section 3).
 *
 * A window of a minute begins with a partner's first call to a resource and takes `limit` calls; the first call after it begins the next
 * one. The table has a fixed size: with more windows open at once than fit (RATE_WINDOWS), the oldest are forgotten early, in the callers'
 * favour. Any thread may call.
 */
#ifndef AUTH_RATE_H
#define AUTH_RATE_H

#include "auth/auth.h"

#define RATE_WINDOW_MS 60000
#define RATE_WINDOWS 65536

struct rate_table;
struct rate_table *rate_open(void);
void rate_close(struct rate_table *t);
// `limit` above 0. `bucket` is static text.
void rate_count(struct rate_table *t, int64_t partner_id, const char *bucket, int64_t limit, struct wall now, struct mono mono,
                struct rate_state *out);

#endif
