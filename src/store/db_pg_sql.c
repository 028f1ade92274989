// SPDX-License-Identifier: Apache-2.0
#include "store/db_pg_sql.h"

#include <ctype.h>
#include <string.h>

// An order list's parameters, and a subscription list's (statements.c says what they are).
#define ORDER_LIST "iiiittibbiii"
#define SUBSCRIPTION_LIST "iiiiittii"

const struct pg_text pg_texts[STATEMENTS] = {
    [ST_PRODUCT_LIST] = {.types = "iittiii"},
    [ST_PRODUCT_COUNT] = {.types = "iitti"},

    [ST_CAP_ADD] = {.sql = "INSERT INTO cap (partner_id, period, count) VALUES ($1, $2, greatest($3, 0)) ON CONFLICT (partner_id, period)"
                           " DO UPDATE SET count = greatest(cap.count + $3, 0)",
                    .types = "iii",
                    .apart = true},
    [ST_CAP_GET] = {.apart = true},
    [ST_PARTNER_GET] = {.apart = true},
    [ST_PARTNER_BY_CLIENT] = {.apart = true},
    [ST_PRODUCT_GET] = {.apart = true},
    [ST_PRODUCT_BY_PUBLIC_ID] = {.apart = true},

    [ST_SIM_LIST] = {.types = "iiiiiii"},
    [ST_SIM_LIST_OF_PARTNER] = {.types = "iiiiiii"},
    [ST_SIM_LIST_ACTIVE] = {.types = "iiiiiii"},
    [ST_SIM_COUNT] = {.types = "iiiii"},
    [ST_SIM_COUNT_OF_PARTNER] = {.types = "iiiii"},
    [ST_SIM_COUNT_ACTIVE] = {.types = "iiiii"},
    // No index is used for IS NOT DISTINCT FROM: this one has 0 where there is no partner.
    [ST_SIM_STOCK_PROFILE] = {.sql = "SELECT iccid, partner_id, type, service, esim, imsi, msisdn, eid, matching_id, smdp, activated,"
                                     " modified FROM sim WHERE coalesce(partner_id, 0) = coalesce($1, 0) AND service = 0 AND type = 1"
                                     " AND esim = 1 ORDER BY iccid LIMIT 1",
                              .types = "i",
                              .apart = true},
    [ST_SIM_GET] = {.many = true, .apart = true},
    [ST_SIM_OPEN] = {.many = true},
    [ST_SIM_GIVE] = {.apart = true},
    [ST_SIM_UPDATE_LIFE] = {.sure = true, .apart = true},

    [ST_IMPORT_ROW_INSERT] = {.many = true},

    [ST_ORDER_KEYS] = {.types = ORDER_LIST},
    [ST_ORDER_KEYS_COUNT] = {.types = ORDER_LIST},
    [ST_ORDER_KEYS_RECENT] = {.types = ORDER_LIST},
    [ST_ORDER_KEYS_RECENT_COUNT] = {.types = ORDER_LIST},
    [ST_ORDER_KEYS_SIM] = {.types = ORDER_LIST},
    [ST_ORDER_KEYS_SIM_COUNT] = {.types = ORDER_LIST},
    [ST_ORDER_KEYS_OPEN] = {.types = ORDER_LIST},
    [ST_ORDER_KEYS_OPEN_COUNT] = {.types = ORDER_LIST},
    [ST_ORDER_KEYS_FAILED] = {.types = ORDER_LIST},
    [ST_ORDER_KEYS_FAILED_COUNT] = {.types = ORDER_LIST},
    [ST_ORDER_KEYS_REFERENCE] = {.types = ORDER_LIST},
    [ST_ORDER_KEYS_REFERENCE_COUNT] = {.types = ORDER_LIST},
    [ST_ORDER_INSERT] = {.many = true},
    [ST_ORDER_FINISH] = {.sure = true},
    [ST_ORDER_UPDATE] = {.sure = true},

    [ST_TASK_INSERT] = {.many = true},
    [ST_TASK_FIRST_OPEN] = {.many = true},
    [ST_TASK_UPDATE] = {.sure = true},
    [ST_TASK_TELL] = {.sql = "UPDATE task SET history = right(coalesce(history, '') || $2, $3::bigint::int) WHERE id = $1", .sure = true},
    [ST_TASK_DELETE] = {.sure = true},
    [ST_TASK_DROP_LEASES] = {.sure = true},

    [ST_SUBSCRIPTION_KEYS] = {.types = SUBSCRIPTION_LIST},
    [ST_SUBSCRIPTION_KEYS_COUNT] = {.types = SUBSCRIPTION_LIST},
    [ST_SUBSCRIPTION_KEYS_SIM] = {.types = SUBSCRIPTION_LIST},
    [ST_SUBSCRIPTION_KEYS_SIM_COUNT] = {.types = SUBSCRIPTION_LIST},
    [ST_SUBSCRIPTION_KEYS_EMAIL] = {.types = SUBSCRIPTION_LIST},
    [ST_SUBSCRIPTION_KEYS_EMAIL_COUNT] = {.types = SUBSCRIPTION_LIST},
    [ST_SUBSCRIPTION_INSERT] = {.many = true},
    [ST_SUBSCRIPTION_USABLE] = {.types = "iii", .many = true},
    [ST_SUBSCRIPTION_SPEND] = {.sure = true, .many = true},
    [ST_SUBSCRIPTION_UPDATE_BALANCE] = {.sure = true},
    [ST_SUBSCRIPTION_UPDATE] = {.sure = true},

    [ST_USAGE_FIND] = {.many = true},
    [ST_USAGE_INSERT] = {.many = true},
    [ST_USAGE_BOOK] = {.many = true},
    [ST_USAGE_UNRATED] = {.types = "tiii"},
    [ST_USAGE_UNRATED_COUNT] = {.types = "tii"},

    [ST_EVENT_FIND] = {.types = "iiiii"},
    [ST_EVENT_INSERT] = {.many = true},
    [ST_SEQUENCE_GET] = {.apart = true},
    [ST_SEQUENCE_SET] = {.sure = true, .apart = true},

    [ST_IDEM_GET] = {.many = true},
    [ST_IDEM_INSERT] = {.many = true},
    [ST_IDEM_UPDATE] = {.sure = true},
    [ST_WEBHOOK_CLAIM] = {.sure = true},
    [ST_WEBHOOK_SETTLE] = {.sure = true},
    [ST_NOTIFICATION_QUEUE] = {.types = "iiiii", .apart = true},
    [ST_NOTIFICATION_CLAIM] = {.sure = true},
    [ST_NOTIFICATION_AGAIN] = {.sure = true},
    [ST_NOTIFICATION_DONE] = {.sure = true},
    // A sum of integers has no bounds there.
    [ST_RATE_SUM] = {.sql = "SELECT coalesce(sum(taken), 0)::bigint FROM rate WHERE partner_id = $1 AND bucket = $2 AND period = $3"},
    [ST_NUMBER_GET] = {.apart = true},
    [ST_NUMBER_SET] = {.sure = true, .apart = true},
    [ST_PING] = {.sure = true, .apart = true},
};

// Phrases, each tried where it may begin.
static const struct {
    const char *here, *there;
} phrases[] = {
    {"s.email = ?6 COLLATE NOCASE", "lower(s.email) = lower($6)"},
    {"x''", "'\\x'::bytea"},
    {" IS NULL", " IS NULL"},
    {" IS NOT NULL", " IS NOT NULL"},
    {" IS ", " IS NOT DISTINCT FROM "},
};

static size_t skip_index_hint(const char *p) {
    static const char hint[] = " INDEXED BY ";
    if (strncmp(p, hint, sizeof hint - 1) != 0)
        return 0;
    size_t n = sizeof hint - 1;
    while (isalnum((unsigned char)p[n]) || p[n] == '_')
        n++;
    return n;
}

static size_t phrase(const char *p, struct buf *out) {
    for (size_t i = 0; i < ARRAY_LEN(phrases); i++) {
        size_t n = strlen(phrases[i].here);
        if (strncmp(p, phrases[i].here, n) == 0) {
            buf_add_str(out, str_of(phrases[i].there));
            return n;
        }
    }
    return 0;
}

void db_pg_translate(enum statement st, struct buf *out) {
    if (pg_texts[st].sql) {
        buf_add_str(out, str_of(pg_texts[st].sql));
        return;
    }
    for (const char *p = statements[st].sql[DB_SQLITE]; *p;) {
        size_t n = skip_index_hint(p);
        if (n == 0)
            n = phrase(p, out);
        if (n == 0) {
            buf_add_char(out, *p == '?' ? '$' : *p);
            n = 1;
        }
        p += n;
    }
}

// ---- what changes what ----

static const char *text_of(enum statement st) {
    return pg_texts[st].sql ? pg_texts[st].sql : statements[st].sql[DB_SQLITE];
}

static bool is_letter(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

// The table that it writes to; empty when it does not begin as expected.
static struct str target_of(enum statement st) {
    static const char *const begins[] = {"INSERT INTO ", "UPDATE ", "DELETE FROM "};
    const char *text = text_of(st);
    for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
        size_t at = strlen(begins[i]), n = 0;
        if (strncmp(text, begins[i], at) != 0)
            continue;
        while (is_letter(text[at + n]))
            n++;
        return (struct str){text + at, n};
    }
    return STR("");
}

bool db_pg_changes(enum statement write, enum statement read) {
    struct str table = target_of(write);
    const char *text = text_of(read);
    for (const char *p = text; *p && table.n; p++) {
        bool begins = p == text || !is_letter(p[-1]);
        if (begins && strncmp(p, table.p, table.n) == 0 && !is_letter(p[table.n]))
            return true;
    }
    return table.n == 0;
}

// ---- many rows at once ----

static const char *type_name(char letter) {
    return letter == 'i' ? "bigint" : letter == 's' ? "smallint" : letter == 't' ? "text" : "bytea";
}

// Parameters become columns: $3 is v.p3.
static void add_columns(struct buf *out, struct str sql) {
    for (size_t i = 0; i < sql.n; i++) {
        if (sql.p[i] == '$')
            buf_add_text(out, "v.p");
        else
            buf_add_char(out, sql.p[i]);
    }
}

static void add_rows(struct buf *out, const char *types) {
    size_t n = strlen(types);
    buf_add_text(out, "unnest(");
    for (size_t i = 0; i < n; i++) {
        buf_add_text(out, i ? ", $" : "$");
        buf_add_u64(out, i + 1);
        buf_add_text(out, "::");
        buf_add_text(out, type_name(types[i]));
        buf_add_text(out, "[]");
    }
    buf_add_text(out, ")");
}

static void add_names(struct buf *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        buf_add_text(out, i ? ", p" : "p");
        buf_add_u64(out, i + 1);
    }
}

// INSERT INTO ... VALUES (...)
static void many_inserts(struct buf *out, struct str one, const char *types) {
    static const char values[] = " VALUES (";
    const char *at = strstr(one.p, values);
    CHECK(at && one.p[one.n - 1] == ')');
    const char *list = at + sizeof values - 1;
    buf_add(out, one.p, (size_t)(at - one.p));
    buf_add_text(out, " SELECT ");
    add_columns(out, (struct str){list, (size_t)(one.p + one.n - 1 - list)});
    buf_add_text(out, " FROM ");
    add_rows(out, types);
    buf_add_text(out, " AS v(");
    add_names(out, strlen(types));
    buf_add_text(out, ")");
}

// UPDATE ... SET ... WHERE ..., of one row each: when one is not found it divides by zero.
static void many_updates(struct buf *out, struct str one, const char *types) {
    const char *where = strstr(one.p, " WHERE ");
    CHECK(where);
    buf_add_text(out, "WITH done AS (");
    add_columns(out, (struct str){one.p, (size_t)(where - one.p)});
    buf_add_text(out, " FROM ");
    add_rows(out, types);
    buf_add_text(out, " AS v(");
    add_names(out, strlen(types));
    buf_add_text(out, ")");
    add_columns(out, (struct str){where, (size_t)(one.p + one.n - where)});
    buf_add_text(out, " RETURNING 1) SELECT 1 / (count(*) = cardinality($1))::int FROM done");
}

static void many_selects(struct buf *out, struct str one, const char *types) {
    buf_add_text(out, "SELECT v.i, t.* FROM ");
    add_rows(out, types);
    buf_add_text(out, " WITH ORDINALITY AS v(");
    add_names(out, strlen(types));
    buf_add_text(out, ", i), LATERAL (");
    add_columns(out, one);
    buf_add_text(out, ") AS t");
}

void db_pg_translate_many(enum statement st, const char *types, struct buf *out) {
    struct buf text;
    buf_init(&text, 1 << 16);
    db_pg_translate(st, &text);
    buf_add_char(&text, '\0');
    CHECK(!text.failed);
    struct str one = {text.p, text.n - 1};
    if (str_starts(one, "INSERT"))
        many_inserts(out, one, types);
    else if (str_starts(one, "UPDATE"))
        many_updates(out, one, types);
    else
        many_selects(out, one, types);
    buf_release(&text);
}
