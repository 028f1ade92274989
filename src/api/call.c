// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdio.h>

#include "api/call.h"
#include "api/state.h"

#define LINK_MAX 2048 // an absolute URL that we make

void call_note(struct call *c, struct str note) {
    c->next_note = arena_str(c->arena, note);
}

void call_body(struct call *c, int status, const char *type) {
    c->x->status = status;
    buf_clear(&c->x->reply);
    http_set_header(c->x, "Content-Type", str_of(type));
}

struct jw call_json(struct call *c, int status) {
    call_body(c, status, "application/json");
    return jw_on(&c->x->reply);
}

void call_empty(struct call *c, int status) {
    c->x->status = status;
    buf_clear(&c->x->reply);
}

// Into a buffer of the caller's; cut when longer, which no path of ours is.
__attribute__((format(printf, 2, 0))) static struct str url_text(const struct call *c, const char *path_fmt, va_list args,
                                                                 char out[LINK_MAX]) {
    bool public_api = strncmp(path_fmt, "/v2/", 4) == 0 || strcmp(path_fmt, "/v2") == 0;
    struct str base = public_api ? c->api->base_url : c->api->origin;
    size_t n = base.n < LINK_MAX / 2 ? base.n : LINK_MAX / 2;
    memcpy(out, base.p, n);
    int more = vsnprintf(out + n, LINK_MAX - n, path_fmt, args);
    if (more > 0)
        n += (size_t)more < LINK_MAX - n ? (size_t)more : LINK_MAX - n - 1;
    return (struct str){out, n};
}

void call_link(struct call *c, struct jw *w, const char *key, const char *path_fmt, ...) {
    char text[LINK_MAX];
    va_list args;
    va_start(args, path_fmt);
    jw_str(w, key, url_text(c, path_fmt, args, text));
    va_end(args);
}

struct str call_url(struct call *c, const char *path_fmt, ...) {
    char text[LINK_MAX];
    va_list args;
    va_start(args, path_fmt);
    struct str url = arena_str(c->arena, url_text(c, path_fmt, args, text));
    va_end(args);
    return url;
}

void call_location(struct call *c, const char *path_fmt, ...) {
    char text[LINK_MAX];
    va_list args;
    va_start(args, path_fmt);
    http_set_header(c->x, "Location", arena_str(c->arena, url_text(c, path_fmt, args, text)));
    va_end(args);
}
