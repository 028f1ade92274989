// SPDX-License-Identifier: Apache-2.0
/*
 * admin.h - /admin/v1: the operator's API. Partners, their catalogues, the SIM stock, what became of orders, and the server's own affairs.
 *
 * Errors, dates and pages are the public API's. A partner is named by its client id everywhere, as `partner` in other resources. Each
 * write that was committed is logged with the operator's name ("operator.<what>"), never with a secret.
 */
#ifndef API_ADMIN_H
#define API_ADMIN_H

#include "api/call.h"
#include "api/timeline.h"
#include "base/log.h"
#include "base/money.h"
#include "core/task.h"
#include "store/store_partner.h"

// ---- partners (admin_partner.c) ----
enum err_kind admin_partner_create_parse(struct call *c, struct err *err);
enum err_kind admin_partner_create_work(struct call *c, struct tx *tx, struct err *err);
void admin_partner_create_reply(struct call *c);
enum err_kind admin_partner_list_parse(struct call *c, struct err *err);
enum err_kind admin_partner_list_work(struct call *c, struct tx *tx, struct err *err);
void admin_partner_list_reply(struct call *c);
enum err_kind admin_partner_get_work(struct call *c, struct tx *tx, struct err *err);
void admin_partner_get_reply(struct call *c);
enum err_kind admin_partner_patch_parse(struct call *c, struct err *err);
enum err_kind admin_partner_patch_work(struct call *c, struct tx *tx, struct err *err);
void admin_partner_patch_reply(struct call *c);
enum err_kind admin_partner_rotate_parse(struct call *c, struct err *err);
enum err_kind admin_partner_rotate_work(struct call *c, struct tx *tx, struct err *err);
void admin_partner_rotate_reply(struct call *c);
enum err_kind admin_partner_disable_work(struct call *c, struct tx *tx, struct err *err);
void admin_partner_disable_reply(struct call *c);
enum err_kind admin_partner_enable_work(struct call *c, struct tx *tx, struct err *err);
void admin_partner_enable_reply(struct call *c);

// ---- products (admin_product.c) ----
enum err_kind admin_product_list_parse(struct call *c, struct err *err);
enum err_kind admin_product_list_work(struct call *c, struct tx *tx, struct err *err);
void admin_product_list_reply(struct call *c);
enum err_kind admin_product_get_work(struct call *c, struct tx *tx, struct err *err);
void admin_product_get_reply(struct call *c);
enum err_kind admin_product_put_parse(struct call *c, struct err *err);
enum err_kind admin_product_put_work(struct call *c, struct tx *tx, struct err *err);
void admin_product_put_reply(struct call *c); // of PATCH, too
enum err_kind admin_product_patch_parse(struct call *c, struct err *err);
enum err_kind admin_product_patch_work(struct call *c, struct tx *tx, struct err *err);
enum err_kind admin_product_import_parse(struct call *c, struct err *err);
enum err_kind admin_product_import_work(struct call *c, struct tx *tx, struct err *err);
void admin_product_import_reply(struct call *c);

// ---- SIMs (admin_sim.c) ----
enum err_kind admin_sim_list_parse(struct call *c, struct err *err);
enum err_kind admin_sim_list_work(struct call *c, struct tx *tx, struct err *err);
void admin_sim_list_reply(struct call *c);
enum err_kind admin_sim_get_work(struct call *c, struct tx *tx, struct err *err);
void admin_sim_get_reply(struct call *c);
enum err_kind admin_sim_assign_parse(struct call *c, struct err *err);
enum err_kind admin_sim_assign_work(struct call *c, struct tx *tx, struct err *err);
void admin_sim_assign_reply(struct call *c);

enum err_kind admin_sim_progress_parse(struct call *c, struct err *err);
enum err_kind admin_sim_progress_work(struct call *c, struct tx *tx, struct err *err);
void admin_sim_progress_reply(struct call *c);

// ---- usage (admin_usage.c) ----
enum err_kind admin_usage_parse(struct call *c, struct err *err);
void admin_usage_ahead(struct call *c, struct tx *tx);
enum err_kind admin_usage_work(struct call *c, struct tx *tx, struct err *err);
void admin_usage_reply(struct call *c);
enum err_kind admin_usage_unrated_parse(struct call *c, struct err *err);
enum err_kind admin_usage_unrated_work(struct call *c, struct tx *tx, struct err *err);
void admin_usage_unrated_reply(struct call *c);

// ---- the import of SIMs (admin_import.c) ----
enum err_kind admin_import_begin_parse(struct call *c, struct err *err);
enum err_kind admin_import_begin_work(struct call *c, struct tx *tx, struct err *err);
void admin_import_begin_reply(struct call *c);
enum err_kind admin_import_rows_parse(struct call *c, struct err *err);
enum err_kind admin_import_rows_work(struct call *c, struct tx *tx, struct err *err);
void admin_import_rows_reply(struct call *c);
enum err_kind admin_import_judge_parse(struct call *c, struct err *err);
enum err_kind admin_import_judge_work(struct call *c, struct tx *tx, struct err *err);
void admin_import_judge_reply(struct call *c);
enum err_kind admin_import_faults_parse(struct call *c, struct err *err);
enum err_kind admin_import_faults_work(struct call *c, struct tx *tx, struct err *err);
void admin_import_faults_reply(struct call *c);
enum err_kind admin_import_apply_parse(struct call *c, struct err *err);
enum err_kind admin_import_apply_work(struct call *c, struct tx *tx, struct err *err);
void admin_import_apply_reply(struct call *c);
enum err_kind admin_import_get_work(struct call *c, struct tx *tx, struct err *err);
void admin_import_get_reply(struct call *c);
enum err_kind admin_import_drop_work(struct call *c, struct tx *tx, struct err *err);
void admin_import_drop_reply(struct call *c);

// ---- orders and subscriptions (admin_order.c, admin_subscription.c) ----
enum err_kind admin_order_list_parse(struct call *c, struct err *err);
enum err_kind admin_order_list_work(struct call *c, struct tx *tx, struct err *err);
void admin_order_list_reply(struct call *c);
enum err_kind admin_order_get_work(struct call *c, struct tx *tx, struct err *err);
void admin_order_get_reply(struct call *c);
enum err_kind admin_order_retry_work(struct call *c, struct tx *tx, struct err *err);
void admin_order_retry_reply(struct call *c);
enum err_kind admin_subscription_list_parse(struct call *c, struct err *err);
enum err_kind admin_subscription_list_work(struct call *c, struct tx *tx, struct err *err);
void admin_subscription_list_reply(struct call *c);
enum err_kind admin_subscription_get_work(struct call *c, struct tx *tx, struct err *err);
void admin_subscription_get_reply(struct call *c);

// An order with all that is known of it, and its members as JSON, without links; the same of a subscription.
struct admin_order {
    struct order order;
    struct partner partner;
    struct task *tasks;
    size_t n;
    struct timeline timeline; // timeline_read's
};
NODISCARD enum err_kind admin_order_read(struct tx *tx, struct uuid id, struct arena *a, struct admin_order *out, struct err *err);
void admin_order_put(struct jw *w, const struct admin_order *o);
void admin_subscription_put(struct jw *w, const struct subscription *s, struct str partner);

// ---- the archive (admin_archive.c) ----
enum err_kind admin_archive_read_parse(struct call *c, struct err *err);
enum err_kind admin_archive_read_work(struct call *c, struct tx *tx, struct err *err);
void admin_archive_read_reply(struct call *c);
enum err_kind admin_archive_drop_parse(struct call *c, struct err *err);
enum err_kind admin_archive_drop_work(struct call *c, struct tx *tx, struct err *err);
void admin_archive_drop_reply(struct call *c);

// ---- the server itself (admin_server.c) ----
enum err_kind admin_key_rotate_work(struct call *c, struct tx *tx, struct err *err);
void admin_key_rotate_reply(struct call *c);
enum err_kind admin_status_work(struct call *c, struct tx *tx, struct err *err);
void admin_status_reply(struct call *c);

// ---- shared by the above (admin.c) ----
// One line for a write that is on disk; for replies.
#define ADMIN_LOG(c, what, ...)                                                                                                            \
    log_info("operator." what, LOG_STR("operator", (c)->operator_name), LOG_STR("correlation", (c)->correlation_id), __VA_ARGS__)

// The partner that path parameter 0 names; ERR_NOT_FOUND.
NODISCARD enum err_kind admin_partner_of_path(struct call *c, struct tx *tx, struct partner *out, struct err *err);
// The partner that a filter or a body names; ERR_INVALID under `field`.
NODISCARD enum err_kind admin_partner_named(struct call *c, struct tx *tx, const char *field, struct str client_id, int64_t *id,
                                            struct err *err);
// Client ids by number, looked up once a call. Starts as {0}, lives in the call's arena. Number 0 (nobody's) is STR_NONE.
struct admin_names {
    struct admin_name *first;
};
NODISCARD enum err_kind admin_name_of(struct call *c, struct tx *tx, struct admin_names *names, int64_t partner_id, struct str *client_id,
                                      struct err *err);
// All messages of `err` in one line, in the arena.
struct str admin_reason(struct arena *a, const struct err *err);
// "yes", "true", "1" / "no", "false", "0" of a CSV file; false when it is neither.
bool admin_yes_no(struct str text, bool *out);
void admin_money(struct jw *w, const char *price_key, const char *currency_key, const struct money *m);

#endif
