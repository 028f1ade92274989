// SPDX-License-Identifier: Apache-2.0
#include "deliver/sign.h"

#include "base/secret.h"

void sign_delivery(struct buf *out, struct buf *scratch, const struct webhook_secret *secrets, size_t n, const char *id, struct wall now,
                   struct str body) {
    buf_clear(scratch);
    buf_printf(scratch, "%s.%lld.", id, (long long)(now.ms / 1000));
    buf_add_str(scratch, body);
    out->failed |= scratch->failed;
    for (size_t i = 0; i < n; i++) {
        uint8_t sum[32];
        char text[45];
        if (wall_set(secrets[i].expires) && secrets[i].expires.ms <= now.ms)
            continue;
        hmac_sha256_of(secrets[i].bytes, secrets[i].n, buf_str(scratch), sum);
        base64_encode(sum, sizeof sum, text);
        buf_printf(out, "%sv1,%s", out->n > 0 ? " " : "", text);
    }
}
