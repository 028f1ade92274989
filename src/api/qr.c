// SPDX-License-Identifier: Apache-2.0
#include "api/qr.h"

#include <png.h>
#include <qrencode.h>
#include <setjmp.h>
#include <stdlib.h>

#include "api/resource.h"

#define QUIET 4 // modules of white on each side (ISO/IEC 18004)

// ---- what the image holds ----

static bool is_host_char(char ch) {
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '-' || ch == '.' || ch == '_' ||
           ch == ':';
}

// 1$<SM-DP+ address>$<matching ID>, and what SGP.22 allows behind it ($<OID>, $<1>).
struct str lpa_canonical(struct str text, struct arena *a) {
    struct str code = text, head;
    if (code.n >= 4 && str_eq_nocase((struct str){code.p, 4}, STR("LPA:")))
        code = (struct str){code.p + 4, code.n - 4};
    if (code.n > LPA_MAX)
        return STR_NONE;
    for (size_t i = 0; i < code.n; i++)
        if (code.p[i] <= ' ' || code.p[i] >= 0x7f)
            return STR_NONE;
    struct str rest = str_cut(code, '$', &head);
    if (!str_is(head, "1") || !str_present(rest))
        return STR_NONE;
    rest = str_cut(rest, '$', &head);
    if (head.n == 0 || !str_present(rest))
        return STR_NONE;
    for (size_t i = 0; i < head.n; i++)
        if (!is_host_char(head.p[i]))
            return STR_NONE;
    return arena_printf(a, "LPA:" STR_FMT, STR_ARG(code));
}

// ---- images ----

// 8-bit mode: the string as it is, letter case and all. NULL when it cannot be made.
static QRcode *encode(struct str text) {
    return QRcode_encodeData((int)text.n, (const unsigned char *)text.p, 0, QR_ECLEVEL_M);
}

static bool dark(const QRcode *qr, int x, int y) {
    return x >= 0 && y >= 0 && x < qr->width && y < qr->width && (qr->data[y * qr->width + x] & 1);
}

static void png_append(png_structp png, png_bytep data, png_size_t n) {
    struct buf *out = png_get_io_ptr(png);
    buf_add(out, data, n);
    if (out->failed)
        png_error(png, "the image is larger than the buffer");
}

static void png_flush_nothing(png_structp png) {
    (void)png;
}

static void png_no_print(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static void png_give_up(png_structp png, png_const_charp message) {
    (void)message;
    longjmp(png_jmpbuf(png), 1);
}

// One bit a pixel. Whole pixels a module; what is left over becomes margin.
static bool write_png(png_structp png, png_infop info, const QRcode *qr, int pixels, unsigned char *row, struct buf *out) {
    if (setjmp(png_jmpbuf(png)))
        return false;
    int scale = pixels / (qr->width + 2 * QUIET);
    int margin = (pixels - scale * qr->width) / 2;
    size_t row_bytes = ((size_t)pixels + 7) / 8;

    png_set_write_fn(png, out, png_append, png_flush_nothing);
    png_set_IHDR(png, info, (png_uint_32)pixels, (png_uint_32)pixels, 1, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_NONE);
    png_write_info(png, info);
    for (int y = 0; y < pixels; y++) {
        int module_y = y < margin ? -1 : (y - margin) / scale;
        memset(row, 0xff, row_bytes);
        for (int x = margin; x < margin + scale * qr->width; x++)
            if (dark(qr, (x - margin) / scale, module_y))
                row[x / 8] &= (unsigned char)~(0x80 >> (x % 8));
        png_write_row(png, row);
    }
    png_write_end(png, info);
    return true;
}

enum err_kind qr_png(struct str text, int pixels, struct buf *out, struct err *err) {
    CHECK(pixels >= QR_PIXELS_MIN && pixels <= QR_PIXELS_MAX);
    QRcode *qr = encode(text);
    if (!qr)
        return err_set(err, ERR_INTERNAL, "the QR code could not be made");
    unsigned char row[QR_PIXELS_MAX / 8];
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, png_give_up, png_no_print);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bool ok = info && pixels >= qr->width + 2 * QUIET && write_png(png, info, qr, pixels, row, out);
    png_destroy_write_struct(&png, &info);
    QRcode_free(qr);
    return ok ? ERR_NONE : err_set(err, ERR_INTERNAL, "the PNG image could not be made");
}

enum err_kind qr_svg(struct str text, int pixels, struct buf *out, struct err *err) {
    CHECK(pixels >= QR_PIXELS_MIN && pixels <= QR_PIXELS_MAX);
    QRcode *qr = encode(text);
    if (!qr)
        return err_set(err, ERR_INTERNAL, "the QR code could not be made");
    int side = qr->width + 2 * QUIET;
    buf_printf(out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\">"
               "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/><path fill=\"#000\" d=\"",
               pixels, pixels, side, side, side, side);
    for (int y = 0; y < qr->width; y++)
        for (int x = 0, run; x < qr->width; x += run ? run : 1) {
            for (run = 0; dark(qr, x + run, y); run++)
                ;
            if (run)
                buf_printf(out, "M%d %dh%dv1h-%dz", x + QUIET, y + QUIET, run, run);
        }
    buf_add_text(out, "\"/></svg>\n");
    QRcode_free(qr);
    return out->failed ? err_set(err, ERR_INTERNAL, "the SVG image could not be made") : ERR_NONE;
}

// ---- the endpoint ----

// How much the client wants `type`/`subtype`, in thousandths, by the most specific range that matches it (RFC 9110 section 12.5.1).
static int accept_quality(struct str accept, const char *full, const char *family) {
    int best = -1, quality = 0;
    while (str_present(accept)) {
        struct str range, parameters, name;
        accept = str_cut(accept, ',', &range);
        parameters = str_cut(range, ';', &name);
        name = str_trim(name);
        int specific = str_eq_nocase(name, str_of(full)) ? 2 : str_eq_nocase(name, str_of(family)) ? 1 : str_is(name, "*/*") ? 0 : -1;
        if (specific < 0 || specific < best)
            continue;
        int q = 1000;
        while (str_present(parameters)) {
            struct str p;
            parameters = str_cut(parameters, ';', &p);
            p = str_trim(p);
            if (p.n < 3 || !str_eq_nocase((struct str){p.p, 2}, STR("q=")))
                continue;
            q = p.p[2] == '0' ? 0 : 1000;
            for (size_t i = 4, digit = 100; q < 1000 && i < p.n && i < 7 && p.p[i] >= '0' && p.p[i] <= '9'; i++, digit /= 10)
                q += (p.p[i] - '0') * (int)digit;
        }
        best = specific;
        quality = q;
    }
    return quality;
}

struct qr {
    struct str lpa;
    int pixels;
    bool svg;
};

enum err_kind qr_parse(struct call *c, struct err *err) {
    struct qr *s = arena_new(c->arena, struct qr);
    if (!s)
        return call_no_memory(err);
    c->state = s;
    struct str text = c->params[0];
    struct str accept = http_header(c->x, "Accept");
    s->svg = accept_quality(accept, "image/svg+xml", "image/*") > accept_quality(accept, "image/png", "image/*");
    if (str_ends(text, ".svg") || str_ends(text, ".png")) {
        s->svg = str_ends(text, ".svg");
        text.n -= 4;
    }
    s->lpa = lpa_canonical(text, c->arena);
    if (!str_present(s->lpa))
        err_add(err, ERR_INVALID, "lpa: must be an activation code, such as LPA:1$smdp.example.com$MATCHING-ID");
    s->pixels = (int)query_i64(c, "size", QR_PIXELS_MIN, QR_PIXELS_MAX, QR_PIXELS_DEFAULT, err);
    return err->kind;
}

void qr_reply(struct call *c) {
    const struct qr *s = c->state;
    struct err err = {0};
    call_body(c, 200, s->svg ? "image/svg+xml" : "image/png");
    enum err_kind kind = s->svg ? qr_svg(s->lpa, s->pixels, &c->x->reply, &err) : qr_png(s->lpa, s->pixels, &c->x->reply, &err);
    if (kind != ERR_NONE) {
        c->x->reply.failed = true;
        return;
    }
    // The same address shows the same image for ever.
    http_set_header(c->x, "Cache-Control", STR("public, max-age=31536000, immutable"));
    http_set_header(c->x, "Vary", STR("Accept"));
}
