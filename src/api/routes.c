// SPDX-License-Identifier: Apache-2.0
#include "api/routes.h"
#include "api/admin.h"
#include "api/events.h"
#include "api/orders.h"
#include "api/preferences.h"
#include "api/products.h"
#include "api/public.h"
#include "api/qr.h"
#include "api/sandbox.h"
#include "api/sims.h"
#include "api/subscriptions.h"
#include "api/timeline.h"
#include "api/token.h"
#include "api/webhooks.h"

// clang-format off
const struct route api_routes[] = {
    // method, path, access, bucket, kind, body, parse, work, reply, work_despite_faults

    // ---- for everybody ----
    {HTTP_GET, "/",                   ACCESS_PUBLIC, "public", WORK_NONE,  BODY_NONE, NULL,         NULL,         start_page_reply},
    {HTTP_GET, "/openapi.json",       ACCESS_PUBLIC, "public", WORK_NONE,  BODY_NONE, NULL,         NULL,         contract_reply},
    {HTTP_GET, "/admin/openapi.json", ACCESS_PUBLIC, "public", WORK_NONE,  BODY_NONE, NULL,         NULL,         admin_contract_reply},
    {HTTP_GET, "/healthz",            ACCESS_PUBLIC, "health", WORK_NONE,  BODY_NONE, NULL,         NULL,         healthz_reply},
    {HTTP_GET, "/readyz",             ACCESS_PUBLIC, "health", WORK_WRITE, BODY_NONE, readyz_parse, readyz_work,  readyz_reply},
    {HTTP_GET, "/metrics",            ACCESS_PUBLIC, "health", WORK_READ,  BODY_NONE, NULL,         metrics_work, metrics_reply},

    // ---- for everybody: tokens ----
    {HTTP_POST, "/auth/realms/{realm}/protocol/openid-connect/token",     ACCESS_PUBLIC, "token", WORK_READ, BODY_RAW,  token_parse, token_work, token_reply},
    {HTTP_GET,  "/auth/realms/{realm}/protocol/openid-connect/certs",     ACCESS_PUBLIC, "token", WORK_NONE, BODY_NONE, realm_parse, NULL,       token_keys_reply},
    {HTTP_GET,  "/auth/realms/{realm}/.well-known/openid-configuration", ACCESS_PUBLIC, "token", WORK_NONE, BODY_NONE, realm_parse, NULL,       token_discovery_reply},

    // ---- partners: orders ----
    {HTTP_POST, "/v2/orders",      ACCESS_PARTNER, "orders", WORK_WRITE, BODY_JSON, order_create_parse, order_create_work, order_create_reply, .ahead = order_create_ahead, .work_despite_faults = true},
    {HTTP_GET,  "/v2/orders",      ACCESS_PARTNER, "orders", WORK_READ,  BODY_NONE, order_list_parse,   order_list_work,   order_list_reply},
    {HTTP_GET,  "/v2/orders/{id}", ACCESS_PARTNER, "orders", WORK_READ,  BODY_NONE, order_get_parse,    order_get_work,    order_get_reply},
    {HTTP_GET,  "/v2/orders/{id}/timeline", ACCESS_PARTNER, "orders", WORK_READ, BODY_NONE, NULL, order_timeline_work, order_timeline_reply},

    // ---- partners: events ----
    {HTTP_GET, "/v2/events", ACCESS_PARTNER, "events", WORK_READ, BODY_NONE, event_list_parse, event_list_work, event_list_reply},

    // ---- partners: products ----
    {HTTP_GET, "/v2/products",      ACCESS_PARTNER, "products", WORK_READ, BODY_NONE, product_list_parse, product_list_work, product_list_reply},
    {HTTP_GET, "/v2/products/{id}", ACCESS_PARTNER, "products", WORK_READ, BODY_NONE, NULL,               product_get_work,  product_get_reply},

    // ---- partners: SIMs ----
    {HTTP_GET, "/v2/sims",         ACCESS_PARTNER, "sims", WORK_READ,  BODY_NONE, sim_list_parse, sim_list_work, sim_list_reply},
    {HTTP_GET, "/v2/sims/{iccid}", ACCESS_PARTNER, "sims", WORK_READ,  BODY_NONE, NULL,           sim_get_work,  sim_get_reply},
    {HTTP_PUT, "/v2/sims/{iccid}", ACCESS_PARTNER, "sims", WORK_WRITE, BODY_JSON, sim_put_parse,  sim_put_work,  sim_put_reply},

    // ---- partners: a SIM's notifications ----
    {HTTP_GET,    "/v2/sims/{iccid}/preferences",                      ACCESS_PARTNER, "preferences", WORK_READ,  BODY_NONE, NULL,                    preferences_get_work,   preferences_reply},
    {HTTP_PUT,    "/v2/sims/{iccid}/preferences/notifications/{type}", ACCESS_PARTNER, "preferences", WORK_WRITE, BODY_JSON, preference_put_parse,    preference_put_work,    preferences_reply},
    {HTTP_POST,   "/v2/sims/{iccid}/preferences/notifications/{type}", ACCESS_PARTNER, "preferences", WORK_WRITE, BODY_JSON, preference_put_parse,    preference_put_work,    preferences_reply},
    {HTTP_DELETE, "/v2/sims/{iccid}/preferences/notifications/{type}", ACCESS_PARTNER, "preferences", WORK_WRITE, BODY_NONE, preference_delete_parse, preference_delete_work, preference_delete_reply},

    // ---- partners: subscriptions ----
    {HTTP_GET,  "/v2/subscriptions",               ACCESS_PARTNER, "subscriptions", WORK_READ,  BODY_NONE, subscription_list_parse, subscription_list_work,     subscription_list_reply},
    {HTTP_GET,  "/v2/subscriptions/{id}",          ACCESS_PARTNER, "subscriptions", WORK_READ,  BODY_NONE, NULL,                    subscription_get_work,      subscription_reply},
    {HTTP_POST, "/v2/subscriptions/{id}/activate", ACCESS_PARTNER, "subscriptions", WORK_WRITE, BODY_NONE, NULL,                    subscription_activate_work, subscription_reply},
    {HTTP_POST, "/v2/subscriptions/{id}/expire",   ACCESS_PARTNER, "subscriptions", WORK_WRITE, BODY_NONE, NULL,                    subscription_expire_work,   subscription_reply},

    // ---- partners: webhooks ----
    {HTTP_POST,   "/v2/webhooks",                                        ACCESS_PARTNER, "webhooks", WORK_WRITE, BODY_JSON,          webhook_create_parse, webhook_create_work,     webhook_create_reply},
    {HTTP_GET,    "/v2/webhooks",                                        ACCESS_PARTNER, "webhooks", WORK_READ,  BODY_NONE,          webhook_list_parse,   webhook_list_work,       webhook_list_reply},
    {HTTP_GET,    "/v2/webhooks/{id}",                                   ACCESS_PARTNER, "webhooks", WORK_READ,  BODY_NONE,          NULL,                 webhook_get_work,        webhook_reply},
    {HTTP_PATCH,  "/v2/webhooks/{id}",                                   ACCESS_PARTNER, "webhooks", WORK_WRITE, BODY_JSON,          webhook_patch_parse,  webhook_patch_work,      webhook_reply},
    {HTTP_DELETE, "/v2/webhooks/{id}",                                   ACCESS_PARTNER, "webhooks", WORK_WRITE, BODY_NONE,          NULL,                 webhook_delete_work,     webhook_delete_reply},
    {HTTP_POST,   "/v2/webhooks/{id}/rotate-secret",                     ACCESS_PARTNER, "webhooks", WORK_WRITE, BODY_JSON_OPTIONAL, webhook_rotate_parse, webhook_rotate_work,     webhook_reply},
    {HTTP_POST,   "/v2/webhooks/{id}/replay",                            ACCESS_PARTNER, "webhooks", WORK_WRITE, BODY_JSON,          webhook_replay_parse, webhook_replay_work,     webhook_reply},
    {HTTP_POST,   "/v2/webhooks/{id}/test",                              ACCESS_PARTNER, "webhooks", WORK_WRITE, BODY_NONE,          NULL,                 webhook_test_work,       webhook_asked_reply},
    {HTTP_GET,    "/v2/webhooks/{id}/deliveries",                        ACCESS_PARTNER, "webhooks", WORK_READ,  BODY_NONE,          delivery_list_parse,  delivery_list_work,      delivery_list_reply},
    {HTTP_GET,    "/v2/webhooks/{id}/deliveries/{delivery}",             ACCESS_PARTNER, "webhooks", WORK_READ,  BODY_NONE,          NULL,                 delivery_get_work,       delivery_reply},
    {HTTP_POST,   "/v2/webhooks/{id}/deliveries/{delivery}/redeliver",   ACCESS_PARTNER, "webhooks", WORK_WRITE, BODY_NONE,          NULL,                 delivery_redeliver_work, webhook_asked_reply},

    // ---- sandbox partners ----
    {HTTP_GET,    "/v2/sandbox/clock",                          ACCESS_SANDBOX, "sandbox", WORK_READ,  BODY_NONE, NULL,                     sandbox_clock_get_work,  sandbox_clock_reply},
    {HTTP_POST,   "/v2/sandbox/clock",                          ACCESS_SANDBOX, "sandbox", WORK_WRITE, BODY_JSON, sandbox_clock_post_parse, sandbox_clock_post_work, sandbox_clock_reply},
    {HTTP_GET,    "/v2/sandbox/sims",                           ACCESS_SANDBOX, "sandbox", WORK_READ,  BODY_NONE, sandbox_sim_list_parse,   sandbox_sim_list_work,   sandbox_sim_list_reply},
    {HTTP_POST,   "/v2/sandbox/sims",                           ACCESS_SANDBOX, "sandbox", WORK_WRITE, BODY_JSON, sandbox_sim_make_parse,   sandbox_sim_make_work,   sandbox_sim_make_reply},
    {HTTP_POST,   "/v2/sandbox/sims/{iccid}/usage",             ACCESS_SANDBOX, "sandbox", WORK_WRITE, BODY_JSON, sandbox_usage_parse,      sandbox_usage_work,      sandbox_usage_reply},
    {HTTP_POST,   "/v2/sandbox/sims/{iccid}/download-progress", ACCESS_SANDBOX, "sandbox", WORK_WRITE, BODY_JSON, sandbox_progress_parse,   sandbox_progress_work,   sandbox_progress_reply},
    {HTTP_DELETE, "/v2/sandbox/data",                           ACCESS_SANDBOX, "sandbox", WORK_WRITE, BODY_NONE, sandbox_reset_parse,      sandbox_reset_work,      sandbox_reset_reply},

    // ---- for everybody: QR images ----
    {HTTP_GET, "/connect/qrcode/v1/esim/{lpa}", ACCESS_PUBLIC, "qrcode", WORK_NONE, BODY_NONE, qr_parse, NULL, qr_reply},
    {HTTP_GET, "/qrcode/v1/esim/{lpa}",         ACCESS_PUBLIC, "qrcode", WORK_NONE, BODY_NONE, qr_parse, NULL, qr_reply},

    // ---- operators: partners ----
    {HTTP_POST,  "/admin/v1/partners",                           ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_JSON,          admin_partner_create_parse, admin_partner_create_work,  admin_partner_create_reply},
    {HTTP_GET,   "/admin/v1/partners",                           ACCESS_OPERATOR, "admin", WORK_READ,  BODY_NONE,          admin_partner_list_parse,   admin_partner_list_work,    admin_partner_list_reply},
    {HTTP_GET,   "/admin/v1/partners/{client_id}",               ACCESS_OPERATOR, "admin", WORK_READ,  BODY_NONE,          NULL,                       admin_partner_get_work,     admin_partner_get_reply},
    {HTTP_PATCH, "/admin/v1/partners/{client_id}",               ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_JSON,          admin_partner_patch_parse,  admin_partner_patch_work,   admin_partner_patch_reply},
    {HTTP_POST,  "/admin/v1/partners/{client_id}/rotate-secret", ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_JSON_OPTIONAL, admin_partner_rotate_parse, admin_partner_rotate_work,  admin_partner_rotate_reply},
    {HTTP_POST,  "/admin/v1/partners/{client_id}/disable",       ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_NONE,          NULL,                       admin_partner_disable_work, admin_partner_disable_reply},
    {HTTP_POST,  "/admin/v1/partners/{client_id}/enable",        ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_NONE,          NULL,                       admin_partner_enable_work,  admin_partner_enable_reply},

    // ---- operators: products ----
    {HTTP_GET,   "/admin/v1/products",                                    ACCESS_OPERATOR, "admin", WORK_READ,  BODY_NONE, admin_product_list_parse,   admin_product_list_work,   admin_product_list_reply},
    {HTTP_GET,   "/admin/v1/partners/{client_id}/products/{product_id}",  ACCESS_OPERATOR, "admin", WORK_READ,  BODY_NONE, NULL,                       admin_product_get_work,    admin_product_get_reply},
    {HTTP_PUT,   "/admin/v1/partners/{client_id}/products/{product_id}",  ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_JSON, admin_product_put_parse,    admin_product_put_work,    admin_product_put_reply},
    {HTTP_PATCH, "/admin/v1/partners/{client_id}/products/{product_id}",  ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_JSON, admin_product_patch_parse,  admin_product_patch_work,  admin_product_put_reply},
    {HTTP_POST,  "/admin/v1/partners/{client_id}/products/import",        ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_RAW,  admin_product_import_parse, admin_product_import_work, admin_product_import_reply},

    // ---- operators: SIMs ----
    {HTTP_GET,    "/admin/v1/sims",                    ACCESS_OPERATOR, "admin", WORK_READ,  BODY_NONE,          admin_sim_list_parse,      admin_sim_list_work,      admin_sim_list_reply},
    {HTTP_GET,    "/admin/v1/sims/{iccid}",            ACCESS_OPERATOR, "admin", WORK_READ,  BODY_NONE,          NULL,                      admin_sim_get_work,       admin_sim_get_reply},
    {HTTP_POST,   "/admin/v1/sims/assign",             ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_JSON,          admin_sim_assign_parse,    admin_sim_assign_work,    admin_sim_assign_reply},
    {HTTP_POST,   "/admin/v1/sims/{iccid}/download-progress", ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_JSON,   admin_sim_progress_parse,  admin_sim_progress_work,  admin_sim_progress_reply},
    {HTTP_POST,   "/admin/v1/sim-imports",             ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_JSON_OPTIONAL, admin_import_begin_parse,  admin_import_begin_work,  admin_import_begin_reply},
    {HTTP_POST,   "/admin/v1/sim-imports/{id}/rows",   ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_RAW,           admin_import_rows_parse,   admin_import_rows_work,   admin_import_rows_reply},
    {HTTP_POST,   "/admin/v1/sim-imports/{id}/judge",  ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_NONE,          admin_import_judge_parse,  admin_import_judge_work,  admin_import_judge_reply},
    {HTTP_GET,    "/admin/v1/sim-imports/{id}/faults", ACCESS_OPERATOR, "admin", WORK_READ,  BODY_NONE,          admin_import_faults_parse, admin_import_faults_work, admin_import_faults_reply},
    {HTTP_POST,   "/admin/v1/sim-imports/{id}/apply",  ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_JSON_OPTIONAL, admin_import_apply_parse,  admin_import_apply_work,  admin_import_apply_reply},
    {HTTP_GET,    "/admin/v1/sim-imports/{id}",        ACCESS_OPERATOR, "admin", WORK_READ,  BODY_NONE,          NULL,                      admin_import_get_work,    admin_import_get_reply},
    {HTTP_DELETE, "/admin/v1/sim-imports/{id}",        ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_NONE,          NULL,                      admin_import_drop_work,   admin_import_drop_reply},

    // ---- operators: orders, subscriptions ----
    {HTTP_GET,  "/admin/v1/orders",             ACCESS_OPERATOR, "admin", WORK_READ,  BODY_NONE, admin_order_list_parse,        admin_order_list_work,        admin_order_list_reply},
    {HTTP_GET,  "/admin/v1/orders/{id}",        ACCESS_OPERATOR, "admin", WORK_READ,  BODY_NONE, NULL,                          admin_order_get_work,         admin_order_get_reply},
    {HTTP_POST, "/admin/v1/orders/{id}/retry",  ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_NONE, NULL,                          admin_order_retry_work,       admin_order_retry_reply},
    {HTTP_GET,  "/admin/v1/subscriptions",      ACCESS_OPERATOR, "admin", WORK_READ,  BODY_NONE, admin_subscription_list_parse, admin_subscription_list_work, admin_subscription_list_reply},
    {HTTP_GET,  "/admin/v1/subscriptions/{id}", ACCESS_OPERATOR, "admin", WORK_READ,  BODY_NONE, NULL,                          admin_subscription_get_work,  admin_subscription_get_reply},

    // ---- operators: usage ----
    {HTTP_POST, "/admin/v1/usage",         ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_JSON, admin_usage_parse,         admin_usage_work,         admin_usage_reply, .ahead = admin_usage_ahead},
    {HTTP_GET,  "/admin/v1/usage/unrated", ACCESS_OPERATOR, "admin", WORK_READ,  BODY_NONE, admin_usage_unrated_parse, admin_usage_unrated_work, admin_usage_unrated_reply},

    // ---- operators: the archive ----
    {HTTP_GET,  "/admin/v1/archive/orders",      ACCESS_OPERATOR, "admin", WORK_READ,  BODY_NONE, admin_archive_read_parse, admin_archive_read_work, admin_archive_read_reply},
    {HTTP_POST, "/admin/v1/archive/orders/drop", ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_JSON, admin_archive_drop_parse, admin_archive_drop_work, admin_archive_drop_reply},

    // ---- operators: the server ----
    {HTTP_POST, "/admin/v1/keys/rotate", ACCESS_OPERATOR, "admin", WORK_WRITE, BODY_NONE, NULL, admin_key_rotate_work, admin_key_rotate_reply},
    {HTTP_GET,  "/admin/v1/status",      ACCESS_OPERATOR, "admin", WORK_READ,  BODY_NONE, NULL, admin_status_work,     admin_status_reply},
};
// clang-format on
const size_t api_routes_count = ARRAY_LEN(api_routes);
