// SPDX-License-Identifier: Apache-2.0
/*
 * sign.h - signatures of Standard Webhooks 1.0.0: "v1," and the base64 of HMAC-SHA-256 over "<id>.<timestamp>.<body>".
 */
#ifndef DELIVER_SIGN_H
#define DELIVER_SIGN_H

#include "base/buf.h"
#include "store/store_webhook.h"

// Appends the value of the header webhook-signature: one signature for each secret that has not ended at `now`, with blanks between.
// Nothing when there is none; `scratch` is used for the signed text.
void sign_delivery(struct buf *out, struct buf *scratch, const struct webhook_secret *secrets, size_t n, const char *id, struct wall now,
                   struct str body);

#endif
