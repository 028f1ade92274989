// SPDX-License-Identifier: Apache-2.0
#include "api/call.h"
#include "api/router.h"
#include "api/state.h"

#define PAGE_NUMBER_MAX INT64_C(1000000000) // (number - 1) * size stays far from overflow
#define PAGE_URL_MAX (32 * 1024)            // the path and query of a request are bounded below it

enum err_kind page_parse(struct call *c, struct page *p, struct err *err) {
    p->number = query_i64(c, "page", 1, PAGE_NUMBER_MAX, 1, err);
    p->size = query_i64(c, "page_size", 1, PAGE_SIZE_MAX, PAGE_SIZE_DEFAULT, err);
    p->total = 0;
    return err->kind;
}

static bool is_hex(char ch) {
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f') || (ch >= 'A' && ch <= 'F');
}

// As it was sent, but what a URL must not hold is escaped (RFC 3986): the link is copied into other people's documents.
static void add_escaped(struct buf *out, struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        bool plain =
            (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch && strchr("-._~!$'()*+,;:@/?=", ch));
        if (plain || (ch == '%' && i + 2 < s.n && is_hex(s.p[i + 1]) && is_hex(s.p[i + 2])))
            buf_add_char(out, (char)ch);
        else
            buf_printf(out, "%%%02X", ch);
    }
}

static bool names_a_page(struct arena *a, struct str param) {
    struct str name;
    str_cut(param, '=', &name);
    if (memchr(name.p, '%', name.n) && !http_decode_segment(a, name, &name))
        return false;
    return str_is(name, "page") || str_is(name, "page_size");
}

static void page_link(struct call *c, struct jw *w, const char *key, int64_t number, const struct page *p) {
    struct str path = router_canonical(c->x->path);
    struct buf url;
    buf_init(&url, PAGE_URL_MAX);
    buf_add_str(&url, str_starts(path, "/v2/") ? c->api->base_url : c->api->origin);
    add_escaped(&url, path);
    buf_add_char(&url, '?');
    struct str rest = c->x->query, param;
    while (rest.n) {
        rest = str_cut(rest, '&', &param);
        if (param.n == 0 || names_a_page(c->arena, param))
            continue;
        add_escaped(&url, param);
        buf_add_char(&url, '&');
    }
    buf_printf(&url, "page=%lld&page_size=%lld", (long long)number, (long long)p->size);
    jw_str(w, key, buf_str(&url));
    buf_release(&url);
}

void page_metadata(struct call *c, struct jw *w, const struct page *p) {
    int64_t count = (p->total + p->size - 1) / p->size;
    jw_object(w, "_metadata");
    jw_i64(w, "page", p->number);
    jw_i64(w, "page_size", p->size);
    jw_i64(w, "page_count", count);
    jw_object(w, "links");
    page_link(c, w, "_self", p->number, p);
    // from beyond the end, back to the last page there is
    if (p->number > 1 && count > 0)
        page_link(c, w, "_prev", p->number - 1 < count ? p->number - 1 : count, p);
    if (p->number < count)
        page_link(c, w, "_next", p->number + 1, p);
    jw_end_object(w);
    jw_end_object(w);
}
