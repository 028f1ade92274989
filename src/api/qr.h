// SPDX-License-Identifier: Apache-2.0
/*
 * qr.h - QR images of eSIM activation codes (SGP.22 section 4.1): what a person points the phone at.
 *
 * GET /qrcode/v1/esim/{LPA string}, and the same below /connect: public, since mail programs show it; it tells nothing that its own
 * address does not. PNG, or SVG by Accept or by the extension .svg. The libraries behind it are included in qr.c only.
 */
#ifndef API_QR_H
#define API_QR_H

#include "api/call.h"

#define LPA_MAX 255 // SGP.22: length of an activation code, without "LPA:"
#define QR_PIXELS_MIN 128
#define QR_PIXELS_MAX 2048
#define QR_PIXELS_DEFAULT 400

// The activation code as QR images hold it, "LPA:1$...", from text with or without that prefix. STR_NONE when it is none.
struct str lpa_canonical(struct str text, struct arena *a);

// Appends an image of `pixels` by `pixels` (within the bounds above) to `out`.
NODISCARD enum err_kind qr_png(struct str text, int pixels, struct buf *out, struct err *err);
NODISCARD enum err_kind qr_svg(struct str text, int pixels, struct buf *out, struct err *err);

enum err_kind qr_parse(struct call *c, struct err *err);
void qr_reply(struct call *c);

#endif
