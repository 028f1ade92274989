// SPDX-License-Identifier: Apache-2.0
/*
 * app.h - the whole server, put together: the only place that knows every layer.
 *
 * app_open binds the socket, builds store -> auth -> api, peers -> engine, and starts the engine; app_serve answers requests; app_wait
 * returns when SIGTERM or SIGINT asks to stop, or the node has lost its number (node.h); app_close takes all of it down in the opposite
 * order, letting what is accepted finish (drain_seconds). One thread calls these; signals are blocked in all threads and taken by app_wait
 * alone.
 *
 * A node whose role is api has no engine and delivers nothing; one whose role is engine answers nothing but /healthz, /readyz and /metrics.
 */
#ifndef TOPUPD_APP_H
#define TOPUPD_APP_H

#include "base/err.h"
#include "store/store.h"
#include "topupd/config.h"

struct app;

struct app_options {
    bool may_create; // a missing store is made
    bool demo;
};

NODISCARD enum err_kind app_open(const struct config *c, const struct app_options *o, struct app **out, struct err *err);
struct store *app_store(struct app *a);
NODISCARD enum err_kind app_serve(struct app *a, struct err *err);
const char *app_listen(const struct app *a); // the address and port that are really served
const char *app_base_url(const struct app *a);
const char *app_origin(const struct app *a); // scheme://host:port of the base URL
int64_t app_node(const struct app *a);
const char *app_role(const struct app *a);
bool app_wait(struct app *a); // false: nobody asked; the node cannot go on
void app_close(struct app *a);

// Blocks the signals that app_wait takes; call before any thread is made.
void app_block_signals(void);

// Makes an operator's token and stores its hash. `out` holds SECRET_TEXT bytes.
NODISCARD enum err_kind operator_token_make(struct store *s, const char *name, char *out, struct err *err);

#endif
