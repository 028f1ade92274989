// SPDX-License-Identifier: Apache-2.0
/*
 * router.h - from a raw path to a row of the routes table.
 *
 * A tree of segments built once from the table; a look-up walks it and allocates only to decode what is escaped. /connect-api/v2/... is
 * /v2/...; one slash at the end is ignored. A literal segment goes before a parameter. Segments are decoded one by one, after the path
 * has been split, so an escaped slash or dot never changes the shape of a path.
 */
#ifndef API_ROUTER_H
#define API_ROUTER_H

#include "api/call.h"

struct router;
// `rows` must outlive the router. Two rows of the same method and shape are our bug.
struct router *router_open(const struct route *rows, size_t n);
void router_close(struct router *r);

struct router_match {
    const struct route *route; // NULL: no such path, or no such method on it
    unsigned methods;          // bits 1 << enum http_method that the path knows; 0: no such path
    struct str params[PATH_PARAMS_MAX];
};
// HEAD finds the GET row. Parameters are decoded into `a`.
void router_find(const struct router *r, enum http_method method, struct str path, struct arena *a, struct router_match *out);
// "GET, HEAD, OPTIONS": OPTIONS is always there, HEAD with GET.
struct str router_allow(unsigned methods, struct arena *a);
// The path as links show it: without "/connect-api" and without a slash at the end.
struct str router_canonical(struct str path);

#endif
