// SPDX-License-Identifier: Apache-2.0
/*
 * public.h - what everybody may ask: the start page, health, readiness, metrics, the contract.
 */
#ifndef API_PUBLIC_H
#define API_PUBLIC_H

#include "api/call.h"

void start_page_reply(struct call *c);
void contract_reply(struct call *c);
void admin_contract_reply(struct call *c);
void healthz_reply(struct call *c);
// Ready: not draining, and the store commits (it goes through the writer's queue like any order).
enum err_kind readyz_parse(struct call *c, struct err *err);
enum err_kind readyz_work(struct call *c, struct tx *tx, struct err *err);
void readyz_reply(struct call *c);
enum err_kind metrics_work(struct call *c, struct tx *tx, struct err *err);
void metrics_reply(struct call *c);

#endif
