// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox.h - /v2/sandbox: what a sandbox partner does to its own world. Its clock, SIMs, the usage and downloads that a network and a
 * device would report, and beginning afresh. A live partner gets 403.
 *
 * Calls that take several jobs (the clock, beginning afresh) exclude each other for one partner: the second is 409. Each job leaves the
 * store in order, so a call that broke off may be made again.
 */
#ifndef API_SANDBOX_H
#define API_SANDBOX_H

#include "api/call.h"

// GET /v2/sandbox/clock
enum err_kind sandbox_clock_get_work(struct call *c, struct tx *tx, struct err *err);
// POST /v2/sandbox/clock
enum err_kind sandbox_clock_post_parse(struct call *c, struct err *err);
enum err_kind sandbox_clock_post_work(struct call *c, struct tx *tx, struct err *err);
void sandbox_clock_reply(struct call *c);

// GET /v2/sandbox/sims
enum err_kind sandbox_sim_list_parse(struct call *c, struct err *err);
enum err_kind sandbox_sim_list_work(struct call *c, struct tx *tx, struct err *err);
void sandbox_sim_list_reply(struct call *c);
// POST /v2/sandbox/sims
enum err_kind sandbox_sim_make_parse(struct call *c, struct err *err);
enum err_kind sandbox_sim_make_work(struct call *c, struct tx *tx, struct err *err);
void sandbox_sim_make_reply(struct call *c);

// POST /v2/sandbox/sims/{iccid}/usage
enum err_kind sandbox_usage_parse(struct call *c, struct err *err);
enum err_kind sandbox_usage_work(struct call *c, struct tx *tx, struct err *err);
void sandbox_usage_reply(struct call *c);
// POST /v2/sandbox/sims/{iccid}/download-progress
enum err_kind sandbox_progress_parse(struct call *c, struct err *err);
enum err_kind sandbox_progress_work(struct call *c, struct tx *tx, struct err *err);
void sandbox_progress_reply(struct call *c);

// DELETE /v2/sandbox/data
enum err_kind sandbox_reset_parse(struct call *c, struct err *err);
enum err_kind sandbox_reset_work(struct call *c, struct tx *tx, struct err *err);
void sandbox_reset_reply(struct call *c);

#endif
