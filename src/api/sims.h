// SPDX-License-Identifier: Apache-2.0
/*
 * sims.h - /v2/sims: the partner's activated SIMs (connect-v2 section 6).
 */
#ifndef API_SIMS_H
#define API_SIMS_H

#include "api/call.h"

// GET /v2/sims
enum err_kind sim_list_parse(struct call *c, struct err *err);
enum err_kind sim_list_work(struct call *c, struct tx *tx, struct err *err);
void sim_list_reply(struct call *c);

// GET /v2/sims/{iccid}
enum err_kind sim_get_work(struct call *c, struct tx *tx, struct err *err);
void sim_get_reply(struct call *c);

// PUT /v2/sims/{iccid} {"eid"}: WORK_WRITE
enum err_kind sim_put_parse(struct call *c, struct err *err);
enum err_kind sim_put_work(struct call *c, struct tx *tx, struct err *err);
void sim_put_reply(struct call *c);

#endif
