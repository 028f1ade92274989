// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "api/router.h"

#define DEPTH_MAX 12 // segments of a path; the longest route has fewer

struct node {
    struct str segment; // of a literal
    bool is_param;
    const struct route *by_method[HTTP_OTHER];
    unsigned methods;
    struct node *children; // literals first, then the parameter
    struct node *next;
};

struct router {
    struct node root;
};

struct str router_canonical(struct str path) {
    if (str_starts(path, "/connect-api/v2/") || str_is(path, "/connect-api/v2")) {
        size_t skip = strlen("/connect-api");
        path = (struct str){path.p + skip, path.n - skip};
    }
    if (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    return path;
}

// The path behind its first '/', cut into segments. Returns how many; -1 when there are too many, or no '/' at the front.
static int split(struct str path, struct str out[DEPTH_MAX]) {
    if (path.n == 0 || path.p[0] != '/')
        return -1;
    if (path.n == 1)
        return 0;
    struct str rest = {path.p + 1, path.n - 1};
    int n = 0;
    while (str_present(rest)) {
        if (n == DEPTH_MAX)
            return -1;
        rest = str_cut(rest, '/', &out[n++]);
    }
    return n;
}

static struct node *child_for(struct node *parent, struct str segment) {
    bool is_param = segment.n > 1 && segment.p[0] == '{';
    struct node **at = &parent->children;
    for (; *at && !(*at)->is_param; at = &(*at)->next)
        if (!is_param && str_eq((*at)->segment, segment))
            return *at;
    if (is_param && *at)
        return *at;
    struct node *fresh = xcalloc(1, sizeof(*fresh));
    fresh->segment = segment;
    fresh->is_param = is_param;
    fresh->next = *at;
    *at = fresh;
    return fresh;
}

struct router *router_open(const struct route *rows, size_t n) {
    struct router *r = xcalloc(1, sizeof(*r));
    for (size_t i = 0; i < n; i++) {
        struct str segments[DEPTH_MAX];
        int depth = split(str_of(rows[i].path), segments);
        CHECK(depth >= 0);
        struct node *node = &r->root;
        int params = 0;
        for (int s = 0; s < depth; s++) {
            node = child_for(node, segments[s]);
            params += node->is_param;
        }
        CHECK(params <= PATH_PARAMS_MAX);
        CHECK(rows[i].method < HTTP_OTHER && !node->by_method[rows[i].method]);
        node->by_method[rows[i].method] = &rows[i];
        node->methods |= 1u << rows[i].method;
    }
    return r;
}

static void node_release(struct node *node) {
    while (node->children) {
        struct node *child = node->children;
        node->children = child->next;
        node_release(child);
        free(child);
    }
}

void router_close(struct router *r) {
    if (!r)
        return;
    node_release(&r->root);
    free(r);
}

struct walk {
    enum http_method method;
    int depth;
    struct str segments[DEPTH_MAX];
    struct str params[PATH_PARAMS_MAX];
    struct router_match *out;
};

// True when the wanted row is found. On the way `methods` gathers what other nodes of the same shape would take.
static bool walk(struct walk *w, const struct node *node, int at, int params) {
    if (at == w->depth) {
        w->out->methods |= node->methods;
        w->out->route = node->by_method[w->method];
        if (w->out->route)
            memcpy(w->out->params, w->params, sizeof(w->params));
        return w->out->route != NULL;
    }
    for (const struct node *child = node->children; child; child = child->next) {
        if (child->is_param) {
            if (w->segments[at].n == 0)
                continue;
            w->params[params] = w->segments[at];
            if (walk(w, child, at + 1, params + 1))
                return true;
        } else if (str_eq(child->segment, w->segments[at]) && walk(w, child, at + 1, params)) {
            return true;
        }
    }
    return false;
}

void router_find(const struct router *r, enum http_method method, struct str path, struct arena *a, struct router_match *out) {
    *out = (struct router_match){0};
    struct walk w = {.out = out};
    // what the table does not know is looked up as GET, so that `methods` is filled; the row found is not given out
    bool known = method < HTTP_OTHER && method != HTTP_OPTIONS;
    w.method = known && method != HTTP_HEAD ? method : HTTP_GET;
    w.depth = split(router_canonical(path), w.segments);
    if (w.depth < 0)
        return;
    for (int i = 0; i < w.depth; i++)
        if (w.segments[i].n && memchr(w.segments[i].p, '%', w.segments[i].n) && !http_decode_segment(a, w.segments[i], &w.segments[i]))
            return;
    walk(&w, &r->root, 0, 0);
    if (!known)
        out->route = NULL;
}

struct str router_allow(unsigned methods, struct arena *a) {
    struct str text = STR_NONE;
    if (methods & 1u << HTTP_GET)
        methods |= 1u << HTTP_HEAD;
    methods |= 1u << HTTP_OPTIONS;
    for (int m = 0; m < HTTP_OTHER; m++)
        if (methods & 1u << m)
            text = arena_printf(a, STR_FMT "%s%s", STR_ARG(text), text.n ? ", " : "", http_method_name((enum http_method)m));
    return text;
}
