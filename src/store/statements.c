// SPDX-License-Identifier: Apache-2.0
#include "store/statements.h"

#include "core/sim.h"

#define READS(name_, sqlite_)                                                                                                              \
    {                                                                                                                                      \
        .name = (name_), .flags = 0, .sql = { [DB_SQLITE] = (sqlite_) }                                                                    \
    }
#define WRITE(name_, sqlite_)                                                                                                              \
    {                                                                                                                                      \
        .name = (name_), .flags = DB_WRITES, .sql = { [DB_SQLITE] = (sqlite_) }                                                            \
    }
#define WRITE_NOW(name_, sqlite_)                                                                                                          \
    {                                                                                                                                      \
        .name = (name_), .flags = DB_WRITES | DB_NOW, .sql = { [DB_SQLITE] = (sqlite_) }                                                   \
    }

// The same for statements that change no row the writer remembers (recent.h), or whose verb sees to it.
#define KEEPS(of_, name_, sqlite_)                                                                                                         \
    {                                                                                                                                      \
        .name = (name_), .flags = (of_) | DB_KEEPS, .sql = { [DB_SQLITE] = (sqlite_) }                                                     \
    }
#define WRITE_KEEPS(name_, sqlite_) KEEPS(DB_WRITES, name_, sqlite_)
#define WRITE_NOW_KEEPS(name_, sqlite_) KEEPS(DB_WRITES | DB_NOW, name_, sqlite_)

#define PARTNER_COLUMNS                                                                                                                    \
    "id, client_id, name, mode, disabled, needs, currencies, cap_day, cap_month, rate_per_minute, event_days, clock_offset_ms, created, "  \
    "thresholds"

#define PRODUCT_COLUMNS                                                                                                                    \
    "id, partner_id, public_id, name, sim_types, duration, duration_unit, data, data_unit, price_minor, price_currency, footprint_code, "  \
    "first_usage, on_sale"
#define PRODUCT_FILTER                                                                                                                     \
    " FROM product WHERE (?1 IS NULL OR partner_id = ?1) AND (?2 = 0 OR sim_types & ?2 <> 0) AND (?3 IS NULL OR footprint_code = ?3)"      \
    " AND (?4 IS NULL OR price_currency = ?4) AND (?5 = 0 OR on_sale = 1)"

#define SIM_COLUMNS "iccid, partner_id, type, service, esim, imsi, msisdn, eid, matching_id, smdp, activated, modified"
// ?1 partner, ?2 type (0: all), ?3 service (-1: all), ?4 general stock only
#define SIM_FILTER(partner_, service_) partner_ " AND (?2 = 0 OR type = ?2) AND " service_
#define SIM_OF_ALL SIM_FILTER("(?4 = 0 OR partner_id IS NULL) AND (?1 IS NULL OR partner_id = ?1)", "(?3 = -1 OR service = ?3)")
#define SIM_OF_PARTNER SIM_FILTER("partner_id = ?1 AND ?4 = 0", "(?3 = -1 OR service = ?3)")
#define SIM_OF_ACTIVE SIM_FILTER("partner_id = ?1 AND ?4 = 0", "service = 2 AND ?3 = 2")
// Finished ones, too, of which only the index is read; more than the rule asks for are not counted.
#define TEXT(number_) #number_
#define SIM_SUBSCRIPTIONS(most_) "SELECT count(*) FROM (SELECT 1 FROM subscription WHERE iccid = ?1 LIMIT " TEXT(most_) ") AS n"
#define SIM_COUNT(of_) "SELECT count(*) FROM (SELECT 1 FROM sim WHERE " of_ " LIMIT ?5) AS n"
#define SIM_PAGE " AND iccid > ?5 ORDER BY iccid LIMIT ?6 OFFSET ?7"

#define IMPORT_COLUMNS "iccid, partner_id, type, service, esim, imsi, msisdn, eid, matching_id, smdp, activated, modified"
// A slice of an import: ?1, lines after ?2 up to ?3.
#define IMPORT_SLICE "import_row.import_id = ?1 AND import_row.line > ?2 AND import_row.line <= ?3"
// Lines after the first that carries the same number.
#define IMPORT_TWICE(column_, verdict_)                                                                                                    \
    "UPDATE import_row SET verdict = " verdict_ ", other = (SELECT min(o.line) FROM import_row AS o WHERE o.import_id = ?1 AND o." column_ \
    " = import_row." column_ ") WHERE " IMPORT_SLICE " AND verdict = 1 AND import_row." column_ " IS NOT NULL"                             \
    " AND EXISTS (SELECT 1 FROM import_row AS o WHERE o.import_id = ?1 AND o." column_ " = import_row." column_                            \
    " AND o.line < import_row.line)"
// A number that another SIM of the store has.
#define IMPORT_TAKEN(column_, verdict_)                                                                                                    \
    "UPDATE import_row SET verdict = " verdict_ ", other = s.iccid FROM sim AS s"                                                          \
    " WHERE " IMPORT_SLICE " AND verdict = 1 AND import_row." column_ " IS NOT NULL AND s." column_ " = import_row." column_
// An import that holds a row with the ICCID ?1, IMSI ?2, MSISDN ?3 or matching id ?4.
#define IMPORT_HAS(column_, param_) "EXISTS (SELECT 1 FROM import_row AS r WHERE r.import_id = import.id AND r." column_ " = " param_ ")"
#define IMPORT_HOLDS                                                                                                                       \
    "(" IMPORT_HAS("iccid", "?1") " OR " IMPORT_HAS("imsi", "?2") " OR " IMPORT_HAS("msisdn", "?3") " OR " IMPORT_HAS("matching_id",       \
                                                                                                                      "?4") ")"

#define WEBHOOK_COLUMNS                                                                                                                    \
    "partner_id, id, url, types, state, created, modified, epoch, cursor, attempts, due, failing_since, lease_until, lease_owner"
#define WEBHOOK_ONE " WHERE partner_id = ?1 AND id = ?2"
#define DELIVERY_COLUMNS                                                                                                                   \
    "partner_id, webhook_id, id, kind, outcome, sequence, event_type, event_created, attempt, tried, duration_ms, status, answer, "        \
    "trouble, next"
#define DELIVERY_OF " WHERE partner_id = ?1 AND webhook_id = ?2"
#define NOTIFICATION_ONE " WHERE iccid = ?1 AND type = ?2 AND sequence = ?3 AND wake = ?4"

#define ORDER_COLUMNS                                                                                                                      \
    "o.id, o.partner_id, o.state, o.operation, o.sim_type, o.country, o.product_id, p.public_id, o.sold_minor, o.sold_currency,"           \
    " o.activation, o.expiration, o.email, o.first_name, o.last_name, o.residence, o.language, o.device_os, o.device_model, o.device_id,"  \
    " o.device_eid, o.iccid, o.matching_id, o.smdp, o.correlation_id, o.reference, o.failure, o.created, o.finished"
#define ORDER_FROM " FROM orders o JOIN product p ON p.id = o.product_id "
// Lists of orders. ?1 partner, ?2 created after, ?3 before, ?4 state, ?5 correlation id, ?6 reference, ?7 ICCID, ?8 lowest id of a live
// partner's orders created after ?2, ?9 an id above all created before ?3, ?10 rows looked at, ?11 limit, ?12 offset.
#define ORDER_KEY "SELECT 0, o.id, o.iccid FROM "
#define ORDER_COUNT(from_) "SELECT count(*) FROM (SELECT 1 FROM " from_ " LIMIT ?11 OFFSET ?12) AS n"
#define ORDER_PAGE " ORDER BY o.id DESC LIMIT ?11 OFFSET ?12"
#define ORDER_FILTER                                                                                                                       \
    " AND (?2 IS NULL OR o.created > ?2) AND (?3 IS NULL OR o.created < ?3) AND (?4 IS NULL OR o.state = ?4)"                              \
    " AND (?5 IS NULL OR o.correlation_id = ?5) AND (?6 IS NULL OR o.reference = ?6) AND (?7 IS NULL OR o.iccid = ?7)"
// A sandbox partner's clock is ahead of the ids' time, so there the lower end is open.
#define ORDER_RANGE "partner_id = ?1 AND id >= CASE WHEN (SELECT mode FROM partner WHERE id = ?1) = 0 THEN ?8 ELSE x'' END AND id < ?9"
#define ORDER_OF_PARTNER "orders o WHERE o." ORDER_RANGE " AND ?10 > 0" ORDER_FILTER
#define ORDER_RECENT                                                                                                                       \
    "(SELECT id, iccid, created, state, correlation_id, reference FROM orders WHERE " ORDER_RANGE " ORDER BY id DESC LIMIT ?10) AS o"      \
    " WHERE true" ORDER_FILTER
#define ORDER_JOINED                                                                                                                       \
    " AS k JOIN orders o ON o.partner_id = k.partner_id AND o.id = k.id WHERE (?1 IS NULL OR o.partner_id = ?1)"                           \
    " AND ?8 IS NOT NULL AND ?9 IS NOT NULL AND ?10 > 0" ORDER_FILTER
#define ORDER_OF_SIM                                                                                                                       \
    "(SELECT partner_id, id FROM subscription WHERE iccid = ?7"                                                                            \
    " UNION SELECT partner_id, order_id FROM task WHERE iccid = ?7 AND state <= 3"                                                         \
    " UNION SELECT partner_id, id FROM orders WHERE iccid = ?7 AND state = 3)" ORDER_JOINED
#define ORDER_OPEN "(SELECT DISTINCT partner_id, order_id AS id FROM task)" ORDER_JOINED
#define ORDER_FAILED "orders o INDEXED BY orders_failed WHERE o.state = 3 AND o." ORDER_RANGE " AND ?10 > 0" ORDER_FILTER
#define ORDER_REFERRED                                                                                                                     \
    "partner q CROSS JOIN orders o WHERE o.partner_id = q.id AND o.reference = ?6 AND (?1 IS NULL OR q.id = ?1)"                           \
    " AND ?8 IS NOT NULL AND ?9 IS NOT NULL AND ?10 > 0" ORDER_FILTER

#define ORDER_INTO                                                                                                                         \
    "INSERT INTO orders (id, partner_id, state, operation, sim_type, country, product_id, sold_minor, sold_currency,"                      \
    " activation, expiration, email, first_name, last_name, residence, language, device_os, device_model, device_id,"                      \
    " device_eid, iccid, matching_id, smdp, correlation_id, reference, failure, created, finished) VALUES "

#define TASK_COLUMNS                                                                                                                       \
    "id, order_id, partner_id, iccid, step, kind, peer, state, verb, due_at, lease_until, lease_owner, attempts, outcome, note, started, " \
    "settled, lane"

// What a sandbox partner's reset takes next. ?1 partner, ?2 how many orders; ?2 to ?3 the SIMs, ?4 how many of them, ?5 records.
#define SANDBOX_ORDERS "SELECT id FROM orders WHERE partner_id = ?1 ORDER BY id LIMIT ?2"
#define SANDBOX_SIMS "SELECT iccid FROM sim WHERE partner_id = ?1 AND iccid BETWEEN ?2 AND ?3 ORDER BY iccid LIMIT ?4"
#define SANDBOX_USED_SIMS "SELECT iccid FROM sim WHERE partner_id = ?1 AND (service <> 0 OR esim > 1) ORDER BY iccid LIMIT ?2"
#define SANDBOX_USAGE "SELECT id FROM usage_record WHERE iccid IN (" SANDBOX_SIMS ") AND partner_id = ?1 ORDER BY iccid, id LIMIT ?5"

#define SUBSCRIPTION_COLUMNS                                                                                                               \
    "s.id, s.partner_id, s.iccid, s.product_id, p.public_id, s.name, s.email, s.state, s.ended, s.created, s.activation, s.expiry,"        \
    " s.next_at, s.duration, s.duration_unit, s.first_usage, s.wanted_expiry, s.initial_bytes, s.spent_bytes, s.balance_as_of,"            \
    " s.sold_minor, s.sold_currency"
#define SUBSCRIPTION_INTO                                                                                                                  \
    "INSERT INTO subscription (id, partner_id, iccid, product_id, name, email, state, ended, created, activation, expiry,"                 \
    " next_at, duration, duration_unit, first_usage, wanted_expiry, initial_bytes, spent_bytes, balance_as_of, sold_minor,"                \
    " sold_currency, clock) VALUES "
// The clock of the subscription's partner, whose number is that parameter.
#define CLOCK_OF(parameter_) ", (SELECT CASE mode WHEN 1 THEN id ELSE 0 END FROM partner WHERE id = " parameter_ ")"
#define SUBSCRIPTION_FROM " FROM subscription s JOIN product p ON p.id = s.product_id "
// Lists of subscriptions. ?1 partner, ?2 created after, ?3 before, ?4 state, ?5 ICCID, ?6 email, ?7 product, ?8 limit, ?9 offset.
#define SUBSCRIPTION_KEY "SELECT s.created, s.id, s.iccid FROM "
#define SUBSCRIPTION_COUNT(from_) "SELECT count(*) FROM (SELECT 1 FROM " from_ " LIMIT ?8 OFFSET ?9) AS n"
#define SUBSCRIPTION_PAGE " ORDER BY s.created DESC, s.id DESC LIMIT ?8 OFFSET ?9"
#define SUBSCRIPTION_FILTER                                                                                                                \
    " AND s.created > ?2 AND s.created < ?3 AND (?4 IS NULL OR s.state = ?4) AND (?5 IS NULL OR s.iccid = ?5)"                             \
    " AND (?7 IS NULL OR s.product_id IN (SELECT id FROM product WHERE public_id = ?7))"
#define SUBSCRIPTION_OF_PARTNER "subscription s WHERE s.partner_id = ?1 AND ?6 IS NULL" SUBSCRIPTION_FILTER
#define SUBSCRIPTION_OF_SIM                                                                                                                \
    "subscription s WHERE s.iccid = ?5 AND (?1 IS NULL OR s.partner_id = ?1)"                                                              \
    " AND (?6 IS NULL OR s.email = ?6 COLLATE NOCASE)" SUBSCRIPTION_FILTER
#define SUBSCRIPTION_OF_EMAIL                                                                                                              \
    "subscription s INDEXED BY subscription_email WHERE s.partner_id = ?1 AND s.email = ?6 COLLATE NOCASE" SUBSCRIPTION_FILTER

#define USAGE_COLUMNS                                                                                                                      \
    "id, source, record_id, named, number, iccid, partner_id, bytes_up, bytes_down, started, ended, received, reason, unrated_bytes"
// ?1 source, ?2 ICCID
#define USAGE_UNRATED                                                                                                                      \
    "usage_record INDEXED BY usage_record_unrated WHERE unrated_bytes > 0 AND (?1 IS NULL OR source = ?1) AND (?2 IS NULL OR iccid = ?2)"

// INDEXED BY where SQLite, which knows nothing of how the rows are spread, would walk all that the partner has.
const struct statement_text statements[STATEMENTS] = {
    // ---- store ----
    [ST_NUMBER_GET] = READS("number_get", "SELECT value FROM meta WHERE name = 'number'"),
    [ST_NUMBER_SET] = WRITE_KEEPS("number_set", "UPDATE meta SET value = ?1 WHERE name = 'number'"),
    [ST_PING] = WRITE_KEEPS("ping", "UPDATE meta SET value = ?1 WHERE name = 'ping'"),

    // ---- partner ----
    [ST_PARTNER_GET] = READS("partner_get", "SELECT " PARTNER_COLUMNS " FROM partner WHERE id = ?1"),
    [ST_PARTNER_BY_CLIENT] = READS("partner_by_client", "SELECT " PARTNER_COLUMNS " FROM partner WHERE client_id = ?1"),
    [ST_PARTNER_LIST] = READS("partner_list", "SELECT " PARTNER_COLUMNS " FROM partner ORDER BY id LIMIT ?1 OFFSET ?2"),
    [ST_PARTNER_AFTER] = READS("partner_after", "SELECT " PARTNER_COLUMNS " FROM partner WHERE id > ?1 ORDER BY id LIMIT ?2"),
    [ST_PARTNER_COUNT] = READS("partner_count", "SELECT count(*) FROM partner"),
    [ST_PARTNER_IDS] = READS("partner_ids", "SELECT id FROM partner ORDER BY id"),
    [ST_PARTNER_NEXT_ID] = READS("partner_next_id", "SELECT coalesce(max(id), 0) + 1 FROM partner"),
    [ST_PARTNER_INSERT] = WRITE("partner_insert", "INSERT INTO partner (" PARTNER_COLUMNS ")"
                                                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"),
    [ST_PARTNER_UPDATE] =
        WRITE_NOW("partner_update", "UPDATE partner SET client_id = ?2, name = ?3, mode = ?4, disabled = ?5, needs = ?6, currencies = ?7,"
                                    " cap_day = ?8, cap_month = ?9, rate_per_minute = ?10, event_days = ?11, clock_offset_ms = ?12,"
                                    " thresholds = ?13"
                                    " WHERE id = ?1"),
    [ST_SECRET_LIST] = READS("secret_list", "SELECT salt, sha256, expires FROM partner_secret"
                                            " WHERE partner_id = ?1 AND (expires IS NULL OR expires > ?2) ORDER BY number DESC LIMIT ?3"),
    [ST_SECRET_CAP] = WRITE("secret_cap", "UPDATE partner_secret SET expires = ?2 WHERE partner_id = ?1"
                                          " AND (expires IS NULL OR expires > ?2)"),
    [ST_SECRET_TRIM] =
        WRITE("secret_trim", "DELETE FROM partner_secret WHERE partner_id = ?1 AND (expires <= ?2 OR number NOT IN"
                             " (SELECT number FROM partner_secret WHERE partner_id = ?1 AND (expires IS NULL OR expires > ?2)"
                             " ORDER BY number DESC LIMIT ?3))"),
    [ST_SECRET_INSERT] = WRITE("secret_insert", "INSERT INTO partner_secret (partner_id, number, salt, sha256) VALUES (?1, ?2, ?3, ?4)"),
    [ST_CAP_GET] = READS("cap_get", "SELECT coalesce((SELECT count FROM cap WHERE partner_id = ?1 AND period = ?2), 0)"),
    [ST_CAP_ADD] = WRITE_KEEPS("cap_add", "INSERT INTO cap (partner_id, period, count) VALUES (?1, ?2, max(?3, 0))"
                                          " ON CONFLICT (partner_id, period) DO UPDATE SET count = max(count + ?3, 0)"),
    [ST_OPERATOR_FIND] = READS("operator_find", "SELECT sha256, name, created, expires FROM operator_token WHERE sha256 = ?1"),
    [ST_OPERATOR_INSERT] = WRITE("operator_insert", "INSERT INTO operator_token (sha256, name, created, expires) VALUES (?1, ?2, ?3, ?4)"),
    [ST_KEY_LIST] = READS("key_list", "SELECT kid, pem, created, retired FROM signing_key ORDER BY number DESC"),
    [ST_KEY_RETIRE] = WRITE("key_retire", "UPDATE signing_key SET retired = ?1 WHERE retired IS NULL"),
    [ST_KEY_INSERT] = WRITE("key_insert", "INSERT INTO signing_key (kid, number, pem, created, retired) VALUES (?1, ?2, ?3, ?4, ?5)"),
    [ST_KEY_PRUNE] = WRITE("key_prune", "DELETE FROM signing_key WHERE retired < ?1"),

    // ---- product ----
    [ST_PRODUCT_GET] = READS("product_get", "SELECT " PRODUCT_COLUMNS " FROM product WHERE id = ?1"),
    [ST_PRODUCT_BY_PUBLIC_ID] =
        READS("product_by_public_id", "SELECT " PRODUCT_COLUMNS " FROM product WHERE partner_id = ?1 AND public_id = ?2"),
    [ST_PRODUCT_LIST] = READS("product_list", "SELECT " PRODUCT_COLUMNS PRODUCT_FILTER " ORDER BY name, id LIMIT ?6 OFFSET ?7"),
    [ST_PRODUCT_COUNT] = READS("product_count", "SELECT count(*)" PRODUCT_FILTER),
    [ST_PRODUCT_NEXT_ID] = READS("product_next_id", "SELECT coalesce(max(id), 0) + 1 FROM product"),
    [ST_PRODUCT_INSERT] = WRITE("product_insert", "INSERT INTO product (" PRODUCT_COLUMNS ")"
                                                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"),
    [ST_PRODUCT_UPDATE] =
        WRITE("product_update", "UPDATE product SET name = ?4, sim_types = ?5, duration = ?6, duration_unit = ?7, data = ?8,"
                                " data_unit = ?9, price_minor = ?10, price_currency = ?11, footprint_code = ?12, first_usage = ?13,"
                                " on_sale = ?14 WHERE id = ?1 AND partner_id = ?2 AND public_id = ?3"),

    // ---- sim ----
    [ST_SIM_GET] = READS("sim_get", "SELECT " SIM_COLUMNS " FROM sim WHERE iccid = ?1"),
    [ST_SIM_BY_IMSI] = READS("sim_by_imsi", "SELECT " SIM_COLUMNS " FROM sim WHERE imsi = ?1"),
    [ST_SIM_BY_MSISDN] = READS("sim_by_msisdn", "SELECT " SIM_COLUMNS " FROM sim WHERE msisdn = ?1"),
    [ST_SIM_INSERT] =
        WRITE_KEEPS("sim_insert", "INSERT INTO sim (" SIM_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"),
    // What life changes, and only that: naming an indexed column would rewrite its index at a random place.
    [ST_SIM_UPDATE_LIFE] = WRITE_NOW_KEEPS(
        "sim_update_life", "UPDATE sim SET service = ?4, esim = ?5, eid = ?8, activated = ?11, modified = ?12 WHERE iccid = ?1"
                           " AND partner_id IS ?2 AND type = ?3 AND imsi IS ?6 AND msisdn IS ?7 AND matching_id IS ?9"
                           " AND smdp IS ?10"),
    [ST_SIM_UPDATE] =
        WRITE_NOW_KEEPS("sim_update", "UPDATE sim SET partner_id = ?2, type = ?3, service = ?4, esim = ?5, imsi = ?6, msisdn = ?7,"
                                      " eid = ?8, matching_id = ?9, smdp = ?10, activated = ?11, modified = ?12 WHERE iccid = ?1"),
    [ST_SIM_STOCK_PROFILE] = READS("sim_stock_profile", "SELECT " SIM_COLUMNS " FROM sim WHERE partner_id IS ?1"
                                                        " AND service = 0 AND type = 1 AND esim = 1 ORDER BY iccid LIMIT 1"),
    [ST_SIM_GIVE] = WRITE_NOW_KEEPS("sim_give", "UPDATE sim SET partner_id = ?2, modified = ?3 WHERE iccid = ?1 AND service = 0"),
    [ST_SIM_LIST] = READS("sim_list", "SELECT " SIM_COLUMNS " FROM sim WHERE " SIM_OF_ALL SIM_PAGE),
    [ST_SIM_LIST_OF_PARTNER] = READS("sim_list_of_partner", "SELECT " SIM_COLUMNS " FROM sim WHERE " SIM_OF_PARTNER SIM_PAGE),
    [ST_SIM_LIST_ACTIVE] = READS("sim_list_active", "SELECT " SIM_COLUMNS " FROM sim WHERE " SIM_OF_ACTIVE SIM_PAGE),
    [ST_SIM_COUNT] = READS("sim_count", SIM_COUNT(SIM_OF_ALL)),
    [ST_SIM_COUNT_OF_PARTNER] = READS("sim_count_of_partner", SIM_COUNT(SIM_OF_PARTNER)),
    [ST_SIM_COUNT_ACTIVE] = READS("sim_count_active", SIM_COUNT(SIM_OF_ACTIVE)),
    // An order is counted by the first of its open tasks; count(DISTINCT) would build a table for what is nearly always none.
    [ST_SIM_OPEN] = READS("sim_open", "SELECT (SELECT count(*) FROM task t WHERE t.iccid = ?1 AND t.state <= 3 AND NOT EXISTS"
                                      " (SELECT 1 FROM task e WHERE e.order_id = t.order_id AND e.step < t.step AND e.state <= 3)),"
                                      " (" SIM_SUBSCRIPTIONS(SIM_OPEN_SUBSCRIPTIONS_MAX) ")"),
    [ST_SIM_SUBSCRIPTIONS] = READS("sim_subscriptions", SIM_SUBSCRIPTIONS(SIM_OPEN_SUBSCRIPTIONS_MAX)),
    [ST_SIM_OPEN_SUBSCRIPTIONS] = READS("sim_open_subscriptions", "SELECT count(*) FROM subscription WHERE iccid = ?1 AND state <= 2"),
    [ST_NOTIFICATION_LIST] = READS("notification_list", "SELECT type, url FROM sim_notification WHERE iccid = ?1 ORDER BY type"),
    [ST_NOTIFICATION_PUT] = WRITE_KEEPS("notification_put", "INSERT INTO sim_notification (iccid, type, url) VALUES (?1, ?2, ?3)"
                                                            " ON CONFLICT (iccid, type) DO UPDATE SET url = excluded.url"),
    [ST_NOTIFICATION_DELETE] = WRITE_NOW_KEEPS("notification_delete", "DELETE FROM sim_notification WHERE iccid = ?1 AND type = ?2"),

    // ---- import (verdicts: store_import.c) ----
    [ST_IMPORT_INSERT] =
        WRITE_KEEPS("import_insert", "INSERT INTO import (id, source, begun, state, judged_to, staged, fresh, same, bad, inserted)"
                                     " VALUES (?1, ?2, ?3, 0, 0, 0, 0, 0, 0, 0)"),
    [ST_IMPORT_GET] =
        READS("import_get", "SELECT state, judged_to, staged, fresh, same, bad, inserted FROM import WHERE id = ?1 AND state <> 5"),
    [ST_IMPORT_UPDATE] = WRITE_KEEPS("import_update", "UPDATE import SET state = ?2, judged_to = ?3, staged = ?4, fresh = ?5, same = ?6,"
                                                      " bad = ?7, inserted = ?8 WHERE id = ?1"),
    [ST_IMPORT_UPSET] = WRITE_KEEPS("import_upset", "UPDATE import SET state = 0 WHERE state IN (1, 2) AND " IMPORT_HOLDS),
    [ST_IMPORT_UPSET_OTHERS] = WRITE_KEEPS("import_upset_others", "UPDATE import SET state = 0 WHERE id <> ?1 AND state IN (1, 2)"),
    [ST_IMPORT_CLAIMED] = READS("import_claimed", "SELECT count(*) FROM import WHERE state = 3 AND " IMPORT_HOLDS),
    [ST_IMPORT_AT_WORK] = READS("import_at_work", "SELECT coalesce(min(id), 0) FROM import WHERE state = ?1"),
    [ST_IMPORT_SLICE] = READS("import_slice", "SELECT coalesce(max(line), 0), count(*) FROM (SELECT line FROM import_row"
                                              " WHERE import_id = ?1 AND line > ?2 ORDER BY line LIMIT ?3) AS slice"),
    [ST_IMPORT_ROW_INSERT] =
        WRITE_KEEPS("import_row_insert", "INSERT INTO import_row (import_id, line, verdict, fault, " IMPORT_COLUMNS ")"
                                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"),
    // Only what was judged before is written: the first time that is nothing.
    [ST_IMPORT_JUDGE_RESET] = WRITE_KEEPS("import_judge_reset", "UPDATE import_row SET verdict = 1, other = NULL"
                                                                " WHERE " IMPORT_SLICE " AND verdict NOT IN (1, 3)"),
    [ST_IMPORT_JUDGE_ICCID_TWICE] = WRITE_KEEPS("import_judge_iccid_twice", IMPORT_TWICE("iccid", "4")),
    [ST_IMPORT_JUDGE_IMSI_TWICE] = WRITE_KEEPS("import_judge_imsi_twice", IMPORT_TWICE("imsi", "5")),
    [ST_IMPORT_JUDGE_MSISDN_TWICE] = WRITE_KEEPS("import_judge_msisdn_twice", IMPORT_TWICE("msisdn", "6")),
    [ST_IMPORT_JUDGE_MATCHING_TWICE] = WRITE_KEEPS("import_judge_matching_twice", IMPORT_TWICE("matching_id", "7")),
    [ST_IMPORT_JUDGE_PARTNER] =
        WRITE_KEEPS("import_judge_partner", "UPDATE import_row SET verdict = 8 WHERE " IMPORT_SLICE " AND verdict = 1"
                                            " AND partner_id IS NOT NULL"
                                            " AND NOT EXISTS (SELECT 1 FROM partner p WHERE p.id = import_row.partner_id)"),
    // Equal in what the row names: the same; an absent number is no difference, and what life changes is not compared.
    [ST_IMPORT_JUDGE_KNOWN] = WRITE_KEEPS(
        "import_judge_known",
        "UPDATE import_row SET verdict = CASE WHEN s.type = import_row.type"
        " AND (import_row.partner_id IS NULL OR s.partner_id IS import_row.partner_id)"
        " AND (import_row.imsi IS NULL OR s.imsi IS import_row.imsi) AND (import_row.msisdn IS NULL OR s.msisdn IS import_row.msisdn)"
        " AND (import_row.eid IS NULL OR s.eid IS import_row.eid)"
        " AND (import_row.matching_id IS NULL OR s.matching_id IS import_row.matching_id)"
        " AND (import_row.smdp IS NULL OR s.smdp IS import_row.smdp) AND (import_row.service <> 2 OR s.service = 2)"
        " THEN 2 ELSE 9 END FROM sim AS s WHERE " IMPORT_SLICE " AND verdict = 1 AND s.iccid = import_row.iccid"),
    [ST_IMPORT_JUDGE_IMSI] = WRITE_KEEPS("import_judge_imsi", IMPORT_TAKEN("imsi", "10")),
    [ST_IMPORT_JUDGE_MSISDN] = WRITE_KEEPS("import_judge_msisdn", IMPORT_TAKEN("msisdn", "11")),
    [ST_IMPORT_JUDGE_MATCHING] = WRITE_KEEPS("import_judge_matching", IMPORT_TAKEN("matching_id", "12")),
    [ST_IMPORT_VERDICT] = READS("import_verdict", "SELECT coalesce(sum(CASE WHEN verdict = 1 THEN 1 ELSE 0 END), 0),"
                                                  " coalesce(sum(CASE WHEN verdict = 2 THEN 1 ELSE 0 END), 0),"
                                                  " coalesce(sum(CASE WHEN verdict > 2 THEN 1 ELSE 0 END), 0)"
                                                  " FROM import_row WHERE " IMPORT_SLICE),
    [ST_IMPORT_FAULTS] = READS("import_faults", "SELECT line, verdict, other, fault FROM import_row"
                                                " WHERE import_id = ?1 AND line > ?2 AND verdict > 2 ORDER BY line LIMIT ?3"),
    [ST_IMPORT_APPLY] = WRITE_NOW_KEEPS("import_apply", "INSERT INTO sim (" SIM_COLUMNS ") SELECT " IMPORT_COLUMNS " FROM import_row"
                                                        " WHERE " IMPORT_SLICE " AND verdict = 1 ORDER BY iccid"),
    [ST_IMPORT_DROP_ROWS] = WRITE_NOW_KEEPS("import_drop_rows", "DELETE FROM import_row WHERE " IMPORT_SLICE),
    [ST_IMPORT_DROP] = WRITE_KEEPS("import_drop", "DELETE FROM import WHERE id = ?1"),
    [ST_IMPORT_DROP_OLD] = WRITE_KEEPS("import_drop_old", "UPDATE import SET state = 5 WHERE begun < ?1 AND state < 3"),
    [ST_IMPORT_FORGET_OLD] = WRITE_KEEPS("import_forget_old", "DELETE FROM import WHERE begun < ?1 AND state = 4"),

    // ---- order ----
    [ST_ORDER_GET] = READS("order_get", "SELECT " ORDER_COLUMNS ORDER_FROM "WHERE o.partner_id = ?1 AND o.id = ?2"),
    [ST_ORDER_BY_REFERENCE] =
        READS("order_by_reference", "SELECT " ORDER_COLUMNS ORDER_FROM "WHERE o.partner_id = ?1 AND o.reference = ?2"),
    [ST_ORDER_REFERENCES] = READS("order_references", "SELECT count(*) FROM orders WHERE partner_id = ?1 AND reference = ?2"),
    [ST_ORDER_INSERT] =
        WRITE_KEEPS("order_insert", ORDER_INTO
                    "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, "
                    "?26, ?27, ?28)"),
    [ST_ORDER_INSERT_MANY] =
        WRITE_KEEPS("order_insert_many", ORDER_INTO
                    "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, "
                    "?26, ?27, ?28),"
                    "(?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40, ?41, ?42, ?43, ?44, ?45, ?46, ?47, ?48, ?49, ?50, ?51, "
                    "?52, ?53, ?54, ?55, ?56),"
                    "(?57, ?58, ?59, ?60, ?61, ?62, ?63, ?64, ?65, ?66, ?67, ?68, ?69, ?70, ?71, ?72, ?73, ?74, ?75, ?76, ?77, ?78, ?79, "
                    "?80, ?81, ?82, ?83, ?84),"
                    "(?85, ?86, ?87, ?88, ?89, ?90, ?91, ?92, ?93, ?94, ?95, ?96, ?97, ?98, ?99, ?100, ?101, ?102, ?103, ?104, ?105, ?106, "
                    "?107, ?108, ?109, ?110, ?111, ?112),"
                    "(?113, ?114, ?115, ?116, ?117, ?118, ?119, ?120, ?121, ?122, ?123, ?124, ?125, ?126, ?127, ?128, ?129, ?130, ?131, "
                    "?132, ?133, ?134, ?135, ?136, ?137, ?138, ?139, ?140),"
                    "(?141, ?142, ?143, ?144, ?145, ?146, ?147, ?148, ?149, ?150, ?151, ?152, ?153, ?154, ?155, ?156, ?157, ?158, ?159, "
                    "?160, ?161, ?162, ?163, ?164, ?165, ?166, ?167, ?168),"
                    "(?169, ?170, ?171, ?172, ?173, ?174, ?175, ?176, ?177, ?178, ?179, ?180, ?181, ?182, ?183, ?184, ?185, ?186, ?187, "
                    "?188, ?189, ?190, ?191, ?192, ?193, ?194, ?195, ?196),"
                    "(?197, ?198, ?199, ?200, ?201, ?202, ?203, ?204, ?205, ?206, ?207, ?208, ?209, ?210, ?211, ?212, ?213, ?214, ?215, "
                    "?216, ?217, ?218, ?219, ?220, ?221, ?222, ?223, ?224)"),
    [ST_ORDER_FINISH] = WRITE_NOW_KEEPS("order_finish", "UPDATE orders SET state = ?3, finished = ?4 WHERE partner_id = ?1 AND id = ?2"),
    [ST_ORDER_UPDATE] = WRITE_NOW_KEEPS("order_update", "UPDATE orders SET state = ?3, finished = ?4, failure = ?5, iccid = ?6,"
                                                        " matching_id = ?7, smdp = ?8 WHERE partner_id = ?1 AND id = ?2"),
    [ST_ORDER_KEYS] = READS("order_keys", ORDER_KEY ORDER_OF_PARTNER ORDER_PAGE),
    [ST_ORDER_KEYS_COUNT] = READS("order_keys_count", ORDER_COUNT(ORDER_OF_PARTNER)),
    [ST_ORDER_KEYS_RECENT] = READS("order_keys_recent", ORDER_KEY ORDER_RECENT ORDER_PAGE),
    [ST_ORDER_KEYS_RECENT_COUNT] = READS("order_keys_recent_count", ORDER_COUNT(ORDER_RECENT)),
    [ST_ORDER_KEYS_SIM] = READS("order_keys_sim", ORDER_KEY ORDER_OF_SIM ORDER_PAGE),
    [ST_ORDER_KEYS_SIM_COUNT] = READS("order_keys_sim_count", ORDER_COUNT(ORDER_OF_SIM)),
    [ST_ORDER_KEYS_OPEN] = READS("order_keys_open", ORDER_KEY ORDER_OPEN ORDER_PAGE),
    [ST_ORDER_KEYS_OPEN_COUNT] = READS("order_keys_open_count", ORDER_COUNT(ORDER_OPEN)),
    [ST_ORDER_KEYS_FAILED] = READS("order_keys_failed", ORDER_KEY ORDER_FAILED ORDER_PAGE),
    [ST_ORDER_KEYS_FAILED_COUNT] = READS("order_keys_failed_count", ORDER_COUNT(ORDER_FAILED)),
    [ST_ORDER_KEYS_REFERENCE] = READS("order_keys_reference", ORDER_KEY ORDER_REFERRED ORDER_PAGE),
    [ST_ORDER_KEYS_REFERENCE_COUNT] = READS("order_keys_reference_count", ORDER_COUNT(ORDER_REFERRED)),
    [ST_ORDER_OPEN_BY_STATE] =
        READS("order_open_by_state", "SELECT o.state, count(*) FROM (SELECT DISTINCT partner_id, order_id AS id FROM task) AS k"
                                     " JOIN orders o ON o.partner_id = k.partner_id AND o.id = k.id GROUP BY o.state"),

    // ---- task ----
    [ST_TASK_INSERT] = WRITE_KEEPS("task_insert", "INSERT INTO task (" TASK_COLUMNS
                                                  ", wake_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
                                                  " ?14, ?15, ?16, ?17, ?18, ?19)"),
    [ST_TASK_UPDATE] = WRITE_NOW_KEEPS("task_update", "UPDATE task SET iccid = ?2, peer = ?3, state = ?4, verb = ?5, due_at = ?6,"
                                                      " lease_until = ?7, lease_owner = ?8, attempts = ?9, outcome = ?10, note = ?11,"
                                                      " started = ?12, settled = ?13, wake_at = ?14 WHERE id = ?1"),
    [ST_TASK_TELL] = WRITE_KEEPS("task_tell", "UPDATE task SET history = substr(coalesce(history, '') || ?2, -?3) WHERE id = ?1"),
    [ST_TASK_HISTORY] = READS("task_history", "SELECT history FROM task WHERE id = ?1"),
    [ST_TASK_DELETE] = WRITE_NOW_KEEPS("task_delete", "DELETE FROM task WHERE id = ?1"),
    [ST_TASK_GET] = READS("task_get", "SELECT " TASK_COLUMNS " FROM task WHERE id = ?1"),
    [ST_TASK_OF_ORDER] = READS("task_of_order", "SELECT " TASK_COLUMNS " FROM task WHERE order_id = ?1 ORDER BY step"),
    [ST_TASK_DUE] =
        READS("task_due", "SELECT " TASK_COLUMNS " FROM task WHERE lane = ?1 AND kind = ?2 AND state IN (1, 2) AND wake_at <= ?3"
                          " ORDER BY wake_at, id LIMIT ?4"),
    [ST_TASK_NEXT_DUE] = READS("task_next_due", "SELECT min(wake_at) FROM task WHERE lane = ?1 AND kind = ?2 AND state IN (1, 2)"),
    [ST_TASK_DROP_LEASES] =
        WRITE_NOW("task_drop_leases", "UPDATE task SET lease_until = ?2, wake_at = ?2 WHERE state = 2 AND lease_owner = ?1"
                                      " AND lease_until > ?2"),
    [ST_TASK_FIRST_OPEN] =
        READS("task_first_open", "SELECT " TASK_COLUMNS " FROM task WHERE iccid = ?1 AND state <= 3 ORDER BY id LIMIT 1"),
    [ST_TASK_ANY_OPEN] = READS("task_any_open", "SELECT EXISTS (SELECT 1 FROM task WHERE state <= 3)"),
    [ST_TASK_BY_STATE] = READS("task_by_state", "SELECT state, count(*) FROM task GROUP BY state"),

    // ---- subscription ----
    [ST_SUBSCRIPTION_GET] = READS("subscription_get", "SELECT " SUBSCRIPTION_COLUMNS SUBSCRIPTION_FROM "WHERE s.iccid = ?1 AND s.id = ?2"),
    [ST_SUBSCRIPTION_BY_ORDER] = READS(
        "subscription_by_order", "SELECT " SUBSCRIPTION_COLUMNS " FROM orders o JOIN subscription s ON s.iccid = o.iccid AND s.id = o.id"
                                 " JOIN product p ON p.id = s.product_id WHERE o.partner_id = ?1 AND o.id = ?2"),
    [ST_SUBSCRIPTION_INSERT] =
        WRITE_KEEPS("subscription_insert", SUBSCRIPTION_INTO
                    "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21" CLOCK_OF("?2") ")"),
    [ST_SUBSCRIPTION_INSERT_MANY] = WRITE_KEEPS(
        "subscription_insert_many",
        SUBSCRIPTION_INTO "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21" CLOCK_OF(
            "?2") "),"
                  "(?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40, ?41, ?42" CLOCK_OF(
                      "?23") "),"
                             "(?43, ?44, ?45, ?46, ?47, ?48, ?49, ?50, ?51, ?52, ?53, ?54, ?55, ?56, ?57, ?58, ?59, ?60, ?61, ?62, "
                             "?63" CLOCK_OF(
                                 "?44") "),"
                                        "(?64, ?65, ?66, ?67, ?68, ?69, ?70, ?71, ?72, ?73, ?74, ?75, ?76, ?77, ?78, ?79, ?80, ?81, ?82, "
                                        "?83, ?84" CLOCK_OF(
                                            "?65") "),"
                                                   "(?85, ?86, ?87, ?88, ?89, ?90, ?91, ?92, ?93, ?94, ?95, ?96, ?97, ?98, ?99, ?100, "
                                                   "?101, ?102, ?103, ?104, ?105" CLOCK_OF(
                                                       "?86") "),"
                                                              "(?106, ?107, ?108, ?109, ?110, ?111, ?112, ?113, ?114, ?115, ?116, ?117, "
                                                              "?118, ?119, ?120, ?121, ?122, ?123, ?124, ?125, ?126" CLOCK_OF(
                                                                  "?107") "),"
                                                                          "(?127, ?128, ?129, ?130, ?131, ?132, ?133, ?134, ?135, ?136, "
                                                                          "?137, ?138, ?139, ?140, ?141, ?142, ?143, ?144, ?145, ?146, "
                                                                          "?147" CLOCK_OF(
                                                                              "?128") "),"
                                                                                      "(?148, ?149, ?150, ?151, ?152, ?153, ?154, ?155, "
                                                                                      "?156, ?157, ?158, ?159, ?160, ?161, ?162, ?163, "
                                                                                      "?164, ?165, ?166, ?167, ?168" CLOCK_OF("?149") ")"),
    // Usage moves the balance and seldom more: the timer's index is left alone then.
    [ST_SUBSCRIPTION_UPDATE_BALANCE] = WRITE_NOW_KEEPS(
        "subscription_update_balance", "UPDATE subscription SET state = ?3, ended = ?4, activation = ?5, expiry = ?6,"
                                       " spent_bytes = ?8, balance_as_of = ?9 WHERE iccid = ?1 AND id = ?2 AND next_at IS ?7"),
    [ST_SUBSCRIPTION_SPEND] = KEEPS(DB_WRITES | DB_ONE, "subscription_spend",
                                    "UPDATE subscription SET spent_bytes = ?3, balance_as_of = ?4 WHERE iccid = ?1 AND id = ?2"),
    [ST_SUBSCRIPTION_UPDATE] =
        WRITE_NOW_KEEPS("subscription_update", "UPDATE subscription SET state = ?3, ended = ?4, activation = ?5, expiry = ?6, next_at = ?7,"
                                               " spent_bytes = ?8, balance_as_of = ?9 WHERE iccid = ?1 AND id = ?2"),
    [ST_SUBSCRIPTION_OPEN] = READS("subscription_open", "SELECT " SUBSCRIPTION_COLUMNS SUBSCRIPTION_FROM
                                                        "WHERE s.iccid = ?1 AND s.state <= 2 ORDER BY s.expiry IS NULL, s.expiry, s.id"),
    [ST_SUBSCRIPTION_DUE] = READS("subscription_due", "SELECT " SUBSCRIPTION_COLUMNS SUBSCRIPTION_FROM
                                                      "WHERE s.clock = ?1 AND s.next_at <= ?2 ORDER BY s.next_at, s.id LIMIT ?3"),
    [ST_SUBSCRIPTION_NEXT_DUE] =
        READS("subscription_next_due", "SELECT min(next_at) FROM subscription WHERE clock = ?1 AND next_at IS NOT NULL"),
    [ST_SUBSCRIPTION_KEYS] = READS("subscription_keys", SUBSCRIPTION_KEY SUBSCRIPTION_OF_PARTNER SUBSCRIPTION_PAGE),
    [ST_SUBSCRIPTION_KEYS_COUNT] = READS("subscription_keys_count", SUBSCRIPTION_COUNT(SUBSCRIPTION_OF_PARTNER)),
    [ST_SUBSCRIPTION_KEYS_SIM] =
        READS("subscription_keys_sim", SUBSCRIPTION_KEY SUBSCRIPTION_OF_SIM " ORDER BY s.created / 1000 DESC, CASE s.state WHEN 2 THEN 0"
                                                                            " WHEN 0 THEN 1 WHEN 1 THEN 1 ELSE 2 END, s.created DESC,"
                                                                            " s.id DESC LIMIT ?8 OFFSET ?9"),
    [ST_SUBSCRIPTION_KEYS_SIM_COUNT] = READS("subscription_keys_sim_count", SUBSCRIPTION_COUNT(SUBSCRIPTION_OF_SIM)),
    [ST_SUBSCRIPTION_KEYS_EMAIL] = READS("subscription_keys_email", SUBSCRIPTION_KEY SUBSCRIPTION_OF_EMAIL SUBSCRIPTION_PAGE),
    [ST_SUBSCRIPTION_KEYS_EMAIL_COUNT] = READS("subscription_keys_email_count", SUBSCRIPTION_COUNT(SUBSCRIPTION_OF_EMAIL)),

    // What ?2 to ?3 may have been used of: whoever was there by then, is not used up and had not ended; and the date that a first-usage one
    // was asked for.
    [ST_SUBSCRIPTION_USABLE] =
        READS("subscription_usable", "SELECT " SUBSCRIPTION_COLUMNS ", CASE WHEN s.first_usage = 1 THEN (SELECT o.activation FROM orders o"
                                     " WHERE o.partner_id = s.partner_id AND o.id = s.id) END" SUBSCRIPTION_FROM
                                     "WHERE s.iccid = ?1 AND s.spent_bytes < s.initial_bytes AND s.created < ?3 + 1000"
                                     " AND (s.expiry IS NULL OR s.expiry > ?2) ORDER BY s.expiry IS NULL, s.expiry, s.id"),
    [ST_SUBSCRIPTION_CLOCKS] =
        READS("subscription_clocks",
              "SELECT id, clock_offset_ms, next_at FROM (SELECT p.id, p.clock_offset_ms, (SELECT min(s.next_at)"
              " FROM subscription s WHERE s.clock = p.id AND s.next_at IS NOT NULL) AS next_at FROM partner p"
              " INDEXED BY partner_sandbox WHERE p.mode = 1) AS c WHERE next_at IS NOT NULL ORDER BY next_at - clock_offset_ms LIMIT ?1"),

    // ---- usage ----
    [ST_USAGE_FIND] = READS("usage_find", "SELECT " USAGE_COLUMNS " FROM usage_record WHERE source = ?1 AND record_id = ?2"),
    [ST_USAGE_PLACES] = READS("usage_places", "SELECT subscription_id, bytes FROM usage_booking WHERE usage_id = ?1 ORDER BY step"),
    [ST_USAGE_INSERT] = WRITE_KEEPS("usage_insert", "INSERT INTO usage_record (" USAGE_COLUMNS
                                                    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"),
    [ST_USAGE_BOOK] =
        WRITE_KEEPS("usage_book", "INSERT INTO usage_booking (usage_id, step, subscription_id, bytes) VALUES (?1, ?2, ?3, ?4)"),
    [ST_USAGE_UNRATED] = READS("usage_unrated", "SELECT " USAGE_COLUMNS " FROM " USAGE_UNRATED " ORDER BY id DESC LIMIT ?3 OFFSET ?4"),
    [ST_USAGE_UNRATED_COUNT] = READS("usage_unrated_count", "SELECT count(*) FROM (SELECT 1 FROM " USAGE_UNRATED " LIMIT ?3) AS n"),

    // ---- event ----
    [ST_SEQUENCE_GET] = READS("sequence_get", "SELECT coalesce((SELECT last FROM partner_sequence WHERE partner_id = ?1), 0)"),
    [ST_SEQUENCE_SET] = WRITE_KEEPS("sequence_set", "INSERT INTO partner_sequence (partner_id, last) VALUES (?1, ?2)"
                                                    " ON CONFLICT (partner_id) DO UPDATE SET last = excluded.last"),
    [ST_EVENT_INSERT] = WRITE_KEEPS("event_insert", "INSERT INTO event (partner_id, sequence, type, created, order_id, iccid, payload)"
                                                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
    [ST_EVENT_INSERT_MANY] =
        WRITE_KEEPS("event_insert_many", "INSERT INTO event (partner_id, sequence, type, created, order_id, iccid, payload) VALUES"
                                         "(?1, ?2, ?3, ?4, ?5, ?6, ?7), (?8, ?9, ?10, ?11, ?12, ?13, ?14),"
                                         "(?15, ?16, ?17, ?18, ?19, ?20, ?21), (?22, ?23, ?24, ?25, ?26, ?27, ?28),"
                                         "(?29, ?30, ?31, ?32, ?33, ?34, ?35), (?36, ?37, ?38, ?39, ?40, ?41, ?42),"
                                         "(?43, ?44, ?45, ?46, ?47, ?48, ?49), (?50, ?51, ?52, ?53, ?54, ?55, ?56),"
                                         "(?57, ?58, ?59, ?60, ?61, ?62, ?63), (?64, ?65, ?66, ?67, ?68, ?69, ?70),"
                                         "(?71, ?72, ?73, ?74, ?75, ?76, ?77), (?78, ?79, ?80, ?81, ?82, ?83, ?84),"
                                         "(?85, ?86, ?87, ?88, ?89, ?90, ?91), (?92, ?93, ?94, ?95, ?96, ?97, ?98),"
                                         "(?99, ?100, ?101, ?102, ?103, ?104, ?105), (?106, ?107, ?108, ?109, ?110, ?111, ?112)"),
    [ST_EVENT_LIST] = READS("event_list", "SELECT partner_id, sequence, type, created, order_id, iccid, payload FROM event"
                                          " WHERE partner_id = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3"),
    [ST_EVENT_FIND] = READS("event_find", "SELECT partner_id, sequence, type, created, order_id, iccid, payload FROM event"
                                          " WHERE partner_id = ?1 AND sequence > ?2 AND sequence <= ?3 AND (?4 >> type) & 1 = 1"
                                          " ORDER BY sequence LIMIT ?5"),
    [ST_EVENT_RANGE] = READS("event_range", "SELECT coalesce((SELECT max(sequence) FROM event WHERE partner_id = ?1),"
                                            " (SELECT last FROM partner_sequence WHERE partner_id = ?1), 0),"
                                            " (SELECT min(sequence) FROM event WHERE partner_id = ?1)"),
    // The first to be kept in a span. Instants need not grow with sequences: a clock may be set back.
    [ST_EVENT_KEPT] = READS("event_kept", "SELECT min(sequence) FROM event WHERE partner_id = ?1 AND sequence >= ?2 AND sequence < ?3"
                                          " AND created >= ?4"),
    [ST_EVENT_DROP] = WRITE_NOW_KEEPS("event_drop", "DELETE FROM event WHERE partner_id = ?1 AND sequence < ?2"),

    // ---- idempotency ----
    [ST_IDEM_GET] = READS("idem_get", "SELECT digest, state, owner, since, status, headers, body FROM idempotency"
                                      " WHERE partner_id = ?1 AND key = ?2"),
    [ST_IDEM_INSERT] =
        WRITE_KEEPS("idem_insert", "INSERT INTO idempotency (partner_id, key, digest, state, owner, since, status, headers, body)"
                                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"),
    [ST_IDEM_UPDATE] =
        WRITE_NOW_KEEPS("idem_update", "UPDATE idempotency SET state = ?5, owner = ?6, since = ?7, status = ?8, headers = ?9,"
                                       " body = ?10 WHERE partner_id = ?1 AND key = ?2 AND state = 0 AND owner = ?3"
                                       " AND since = ?4"),
    [ST_IDEM_PRUNE] = WRITE_NOW_KEEPS("idem_prune", "DELETE FROM idempotency WHERE since < ?1"
                                                    " AND id IN (SELECT id FROM idempotency ORDER BY id LIMIT ?2)"),

    // ---- sandbox ----
    [ST_SANDBOX_BUSY] = READS("sandbox_busy", "SELECT EXISTS (SELECT 1 FROM task WHERE lane IN (1, 2) AND kind IN (0, 1, 2, 3)"
                                              " AND state IN (1, 2) AND partner_id = ?1)"),
    [ST_SANDBOX_HELD] = READS("sandbox_held", "SELECT coalesce((SELECT value FROM meta WHERE name = ?1), 0)"),
    [ST_SANDBOX_HOLD] = WRITE_KEEPS("sandbox_hold", "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE"
                                                    " SET value = excluded.value"),
    [ST_SANDBOX_DROP_TASKS] = WRITE("sandbox_drop_tasks", "DELETE FROM task WHERE order_id IN (" SANDBOX_ORDERS ")"),
    [ST_SANDBOX_DROP_SUBSCRIPTIONS] =
        WRITE_NOW("sandbox_drop_subscriptions", "DELETE FROM subscription WHERE (iccid, id) IN (SELECT iccid, id FROM subscription"
                                                " WHERE partner_id = ?1 ORDER BY created, id LIMIT ?2)"),
    [ST_SANDBOX_DROP_ORDERS] = WRITE_NOW("sandbox_drop_orders", "DELETE FROM orders WHERE partner_id = ?1 AND id IN (" SANDBOX_ORDERS ")"),
    [ST_SANDBOX_DROP_BOOKINGS] = WRITE("sandbox_drop_bookings", "DELETE FROM usage_booking WHERE usage_id IN (" SANDBOX_USAGE ")"),
    [ST_SANDBOX_DROP_USAGE] = WRITE_NOW("sandbox_drop_usage", "DELETE FROM usage_record WHERE id IN (" SANDBOX_USAGE ")"),
    [ST_SANDBOX_DROP_NOTIFICATIONS] = WRITE("sandbox_drop_notifications", "DELETE FROM sim_notification WHERE iccid IN (" SANDBOX_SIMS ")"),
    [ST_SANDBOX_DROP_SIMS] = WRITE_NOW("sandbox_drop_sims", "DELETE FROM sim WHERE iccid IN (" SANDBOX_SIMS ")"),
    [ST_SANDBOX_DROP_PREFERENCES] =
        WRITE_KEEPS("sandbox_drop_preferences", "DELETE FROM sim_notification WHERE iccid IN (" SANDBOX_USED_SIMS ")"),
    [ST_SANDBOX_RESTOCK_SIMS] =
        WRITE_NOW("sandbox_restock_sims", "UPDATE sim SET service = 0, esim = CASE type WHEN 1 THEN 1 ELSE 0 END, activated = NULL,"
                                          " modified = ?3 WHERE iccid IN (" SANDBOX_USED_SIMS ")"),
    [ST_SANDBOX_DROP_CAPS] = WRITE("sandbox_drop_caps", "DELETE FROM cap WHERE partner_id = ?1"),
    [ST_SANDBOX_DROP_ANSWERS] =
        WRITE_NOW("sandbox_drop_answers", "DELETE FROM idempotency WHERE id IN (SELECT id FROM idempotency WHERE partner_id = ?1"
                                          " AND state <> 0 LIMIT ?2)"),
    [ST_SANDBOX_DROP_QUEUES] =
        WRITE_NOW_KEEPS("sandbox_drop_queues", "DELETE FROM notification WHERE (iccid, type, sequence) IN (SELECT iccid, type, sequence"
                                               " FROM notification WHERE partner_id = ?1 LIMIT ?2)"),
    [ST_SANDBOX_DROP_DELIVERIES] =
        WRITE_NOW_KEEPS("sandbox_drop_deliveries", "DELETE FROM webhook_delivery WHERE (partner_id, webhook_id, id) IN (SELECT partner_id,"
                                                   " webhook_id, id FROM webhook_delivery WHERE partner_id = ?1 LIMIT ?2)"),
    [ST_SANDBOX_REWIND_WEBHOOKS] =
        WRITE_KEEPS("sandbox_rewind_webhooks", "UPDATE webhook SET epoch = epoch + 1, cursor = ?2, attempts = 0, due = NULL,"
                                               " failing_since = NULL WHERE partner_id = ?1"),

    // ---- webhook ----
    [ST_WEBHOOK_INSERT] = WRITE_KEEPS("webhook_insert", "INSERT INTO webhook (" WEBHOOK_COLUMNS
                                                        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"),
    [ST_WEBHOOK_GET] = READS("webhook_get", "SELECT " WEBHOOK_COLUMNS " FROM webhook" WEBHOOK_ONE),
    [ST_WEBHOOK_LIST] = READS("webhook_list", "SELECT " WEBHOOK_COLUMNS " FROM webhook WHERE partner_id = ?1 ORDER BY id"),
    [ST_WEBHOOK_LIST_ALL] = READS("webhook_list_all", "SELECT " WEBHOOK_COLUMNS " FROM webhook ORDER BY partner_id, id"),
    [ST_WEBHOOK_UPDATE] =
        WRITE_NOW_KEEPS("webhook_update", "UPDATE webhook SET url = ?3, types = ?4, state = ?5, modified = ?6, epoch = ?7,"
                                          " cursor = ?8, attempts = ?9, due = ?10, failing_since = ?11" WEBHOOK_ONE),
    [ST_WEBHOOK_DELETE] = WRITE_NOW_KEEPS("webhook_delete", "DELETE FROM webhook" WEBHOOK_ONE),
    [ST_WEBHOOK_SECRET_LIST] = READS("webhook_secret_list", "SELECT secret, expires FROM webhook_secret" DELIVERY_OF
                                                            " AND (expires IS NULL OR expires > ?3) ORDER BY number DESC LIMIT ?4"),
    [ST_WEBHOOK_SECRET_END] =
        WRITE_KEEPS("webhook_secret_end", "UPDATE webhook_secret SET expires = ?3" DELIVERY_OF " AND (expires IS NULL OR expires > ?3)"),
    [ST_WEBHOOK_SECRET_TRIM] =
        WRITE_KEEPS("webhook_secret_trim", "DELETE FROM webhook_secret" DELIVERY_OF
                                           " AND (expires <= ?3 OR number NOT IN (SELECT number FROM webhook_secret" DELIVERY_OF
                                           " ORDER BY number DESC LIMIT ?4))"),
    [ST_WEBHOOK_SECRET_INSERT] =
        WRITE_KEEPS("webhook_secret_insert", "INSERT INTO webhook_secret (partner_id, webhook_id, number, secret, expires) VALUES (?1, ?2,"
                                             " coalesce((SELECT max(number) FROM webhook_secret" DELIVERY_OF "), 0) + 1, ?3, NULL)"),
    [ST_WEBHOOK_SECRET_DELETE_ALL] = WRITE_KEEPS("webhook_secret_delete_all", "DELETE FROM webhook_secret" DELIVERY_OF),
    [ST_WEBHOOK_CLAIM] =
        WRITE_NOW_KEEPS("webhook_claim", "UPDATE webhook SET lease_owner = ?4, lease_until = ?5" WEBHOOK_ONE
                                         " AND epoch = ?3 AND (lease_owner = ?4 OR lease_until IS NULL OR lease_until <= ?6)"),
    [ST_WEBHOOK_SETTLE] =
        WRITE_NOW_KEEPS("webhook_settle", "UPDATE webhook SET state = ?5, cursor = ?6, attempts = ?7, due = ?8, failing_since = ?9,"
                                          " lease_until = ?10" WEBHOOK_ONE " AND epoch = ?3 AND lease_owner = ?4"),
    [ST_WEBHOOK_DROP_LEASES] = WRITE_KEEPS("webhook_drop_leases", "UPDATE webhook SET lease_until = NULL WHERE lease_owner = ?1"
                                                                  " AND lease_until IS NOT NULL"),
    [ST_DELIVERY_INSERT] = WRITE_KEEPS("delivery_insert", "INSERT INTO webhook_delivery (" DELIVERY_COLUMNS
                                                          ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"),
    [ST_DELIVERY_FINISH] = WRITE_NOW_KEEPS(
        "delivery_finish", "UPDATE webhook_delivery SET outcome = ?4, attempt = ?5, tried = ?6, duration_ms = ?7, status = ?8,"
                           " answer = ?9, trouble = ?10" DELIVERY_OF " AND id = ?3 AND outcome = 0"),
    [ST_DELIVERY_GET] = READS("delivery_get", "SELECT " DELIVERY_COLUMNS " FROM webhook_delivery" DELIVERY_OF " AND id = ?3"),
    [ST_DELIVERY_LIST] =
        READS("delivery_list", "SELECT " DELIVERY_COLUMNS " FROM webhook_delivery" DELIVERY_OF " ORDER BY id DESC LIMIT ?3 OFFSET ?4"),
    [ST_DELIVERY_COUNT] = READS("delivery_count", "SELECT count(*) FROM webhook_delivery" DELIVERY_OF),
    [ST_DELIVERY_PENDING] = READS("delivery_pending", "SELECT " DELIVERY_COLUMNS " FROM webhook_delivery WHERE outcome = 0"
                                                      " ORDER BY partner_id, webhook_id, id LIMIT ?1"),
    [ST_DELIVERY_PENDING_COUNT] = READS("delivery_pending_count", "SELECT count(*) FROM webhook_delivery" DELIVERY_OF " AND outcome = 0"),
    [ST_DELIVERY_TRIM] =
        WRITE_KEEPS("delivery_trim", "DELETE FROM webhook_delivery" DELIVERY_OF " AND outcome <> 0 AND (tried < ?4 OR id <= ("
                                     "SELECT id FROM webhook_delivery" DELIVERY_OF " ORDER BY id DESC LIMIT 1 OFFSET ?3))"),
    [ST_DELIVERY_DELETE_ALL] = WRITE_KEEPS("delivery_delete_all", "DELETE FROM webhook_delivery" DELIVERY_OF),

    // ---- notifications of one SIM ----
    [ST_NOTIFICATION_QUEUE] = WRITE_NOW_KEEPS(
        "notification_queue", "INSERT INTO notification (iccid, type, sequence, partner_id, attempts, wake, lease_owner)"
                              " SELECT iccid, type, ?3, ?4, 0,"
                              " CASE WHEN EXISTS (SELECT 1 FROM notification WHERE iccid = ?1 AND type = ?2) THEN NULL ELSE ?5 END, 0"
                              " FROM sim_notification WHERE iccid = ?1 AND type = ?2"),
    [ST_NOTIFICATION_PARTNER] =
        READS("notification_partner", "SELECT min(partner_id) FROM notification WHERE wake IS NOT NULL AND partner_id > ?1"),
    [ST_NOTIFICATION_DUE] =
        READS("notification_due", "SELECT n.partner_id, n.iccid, n.type, n.sequence, n.attempts, n.wake, n.lease_owner, s.url"
                                  " FROM notification n LEFT JOIN sim_notification s ON s.iccid = n.iccid AND s.type = n.type"
                                  " WHERE n.partner_id = ?1 AND n.wake IS NOT NULL AND n.wake <= ?2 ORDER BY n.wake LIMIT ?3"),
    [ST_NOTIFICATION_NEXT_WAKE] =
        READS("notification_next_wake", "SELECT min(wake) FROM notification WHERE partner_id = ?1 AND wake IS NOT NULL"),
    [ST_NOTIFICATION_CLAIM] = WRITE_NOW_KEEPS("notification_claim", "UPDATE notification SET lease_owner = ?5, wake = ?6" NOTIFICATION_ONE),
    [ST_NOTIFICATION_AGAIN] = WRITE_NOW_KEEPS(
        "notification_again", "UPDATE notification SET attempts = ?6, wake = ?7, lease_owner = 0" NOTIFICATION_ONE " AND lease_owner = ?5"),
    [ST_NOTIFICATION_DONE] = WRITE_NOW_KEEPS("notification_done", "DELETE FROM notification" NOTIFICATION_ONE " AND lease_owner = ?5"),
    [ST_NOTIFICATION_WAKE_NEXT] =
        WRITE_KEEPS("notification_wake_next", "UPDATE notification SET wake = ?3 WHERE iccid = ?1 AND type = ?2 AND wake IS NULL"
                                              " AND sequence = (SELECT min(sequence) FROM notification WHERE iccid = ?1 AND type = ?2)"),
    [ST_NOTIFICATION_DROP_LEASES] =
        WRITE_KEEPS("notification_drop_leases", "UPDATE notification SET wake = ?2, lease_owner = 0 WHERE lease_owner = ?1"),

    // ---- archive ----
    [ST_ARCHIVE_KEYS] =
        READS("archive_keys", "SELECT o.id, CASE WHEN o.state >= 2 AND o.finished < ?4 AND NOT EXISTS (SELECT 1 FROM subscription s"
                              " WHERE s.iccid = o.iccid AND s.id = o.id AND (s.state < 3 OR s.expiry >= ?4))"
                              " AND NOT EXISTS (SELECT 1 FROM task t WHERE t.order_id = o.id AND t.state <= 3) THEN 1 ELSE 0 END"
                              " FROM (SELECT id, iccid, state, finished FROM orders WHERE partner_id = ?1 AND id >= ?2 AND id < ?3"
                              " ORDER BY id LIMIT ?5) AS o ORDER BY o.id"),
    [ST_ARCHIVE_DROP_TASKS] = WRITE("archive_drop_tasks", "DELETE FROM task WHERE order_id = ?1"),
    [ST_ARCHIVE_DROP_SUBSCRIPTION] = WRITE("archive_drop_subscription", "DELETE FROM subscription WHERE iccid = ?1 AND id = ?2"),
    [ST_ARCHIVE_DROP_ORDER] = WRITE("archive_drop_order", "DELETE FROM orders WHERE partner_id = ?1 AND id = ?2"),
    [ST_ARCHIVE_MARK] = WRITE_KEEPS("archive_mark", "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE"
                                                    " SET value = excluded.value WHERE meta.value < excluded.value"),
    [ST_ARCHIVE_MARKED] = READS("archive_marked", "SELECT coalesce((SELECT value FROM meta WHERE name = ?1), 0)"),

    // ---- nodes ----
    [ST_NODE_LIST] = READS("node_list", "SELECT number, instance, name, role, started, lease_until FROM node ORDER BY number"),
    [ST_NODE_TAKE] = WRITE_NOW_KEEPS(
        "node_take", "INSERT INTO node (number, instance, name, role, started, lease_until) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
                     " ON CONFLICT (number) DO UPDATE SET instance = excluded.instance, name = excluded.name, role = excluded.role,"
                     " started = excluded.started, lease_until = excluded.lease_until"
                     " WHERE node.lease_until <= ?7 OR node.instance = excluded.instance"),
    [ST_NODE_RENEW] = WRITE_NOW_KEEPS("node_renew", "UPDATE node SET lease_until = ?3 WHERE number = ?1 AND instance = ?2"),
    [ST_NODE_HOLD] = READS("node_hold", "SELECT instance FROM node WHERE number = ?1"), // FOR SHARE where others may write meanwhile
    [ST_RATE_ADD] =
        WRITE_KEEPS("rate_add", "INSERT INTO rate (partner_id, bucket, node, period, taken) VALUES (?1, ?2, ?3, ?4, ?5)"
                                " ON CONFLICT (partner_id, bucket, node) DO UPDATE SET taken = CASE WHEN rate.period = excluded.period"
                                " THEN rate.taken + excluded.taken ELSE excluded.taken END, period = excluded.period"),
    [ST_RATE_SUM] = READS("rate_sum", "SELECT coalesce(sum(taken), 0) FROM rate WHERE partner_id = ?1 AND bucket = ?2 AND period = ?3"),
};
