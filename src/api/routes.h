// SPDX-License-Identifier: Apache-2.0
/*
 * routes.h - THE table of what this server answers (routes.c). A row's handlers are declared in a small header of their resource
 * (orders.h, products.h, ...).
 */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "api/call.h"

extern const struct route api_routes[];
extern const size_t api_routes_count;

#endif
