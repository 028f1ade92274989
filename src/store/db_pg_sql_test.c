// SPDX-License-Identifier: Apache-2.0
#include "store/db_pg_sql.h"

#include <stdio.h>
#include <string.h>

#include "base/testing.h"

static void translated(enum statement st, struct buf *out) {
    buf_clear(out);
    db_pg_translate(st, out);
    buf_add_char(out, '\0');
    assert_false(out->failed);
}

static void no_statement_keeps_a_word_of_sqlites(void **state) {
    (void)state;
    static const char *const words[] = {"?", "INDEXED BY", "NOCASE", "x''", " IS $", " IS s.", " IS import"};
    struct buf sql;
    buf_init(&sql, 1 << 16);
    for (int i = 0; i < STATEMENTS; i++) {
        translated((enum statement)i, &sql);
        for (size_t k = 0; k < ARRAY_LEN(words); k++) {
            if (strstr(sql.p, words[k]))
                fail_msg("%s: \"%s\" in: %s", statements[i].name, words[k], sql.p);
        }
    }
    buf_release(&sql);
}

static void what_differs_is_said_in_other_words(void **state) {
    (void)state;
    struct buf sql;
    buf_init(&sql, 1 << 16);
    translated(ST_PARTNER_AFTER, &sql);
    assert_non_null(strstr(sql.p, "WHERE id > $1 ORDER BY id LIMIT $2"));
    translated(ST_SIM_UPDATE_LIFE, &sql);
    assert_non_null(strstr(sql.p, "partner_id IS NOT DISTINCT FROM $2"));
    translated(ST_SUBSCRIPTION_KEYS_EMAIL, &sql);
    assert_non_null(strstr(sql.p, "FROM subscription s WHERE s.partner_id = $1 AND lower(s.email) = lower($6)"));
    translated(ST_ORDER_KEYS, &sql);
    assert_non_null(strstr(sql.p, "ELSE '\\x'::bytea END"));
    assert_non_null(strstr(sql.p, "$2 IS NULL"));
    translated(ST_CAP_ADD, &sql);
    assert_non_null(strstr(sql.p, "greatest"));
    buf_release(&sql);
}

// As many types as the text has parameters.
static void types_fit_their_statements(void **state) {
    (void)state;
    struct buf sql;
    buf_init(&sql, 1 << 16);
    for (int i = 0; i < STATEMENTS; i++) {
        char name[16];
        if (!pg_texts[i].types)
            continue;
        translated((enum statement)i, &sql);
        int n = (int)strlen(pg_texts[i].types);
        snprintf(name, sizeof name, "$%d", n);
        if (!strstr(sql.p, name))
            fail_msg("%s: has no %s", statements[i].name, name);
        snprintf(name, sizeof name, "$%d", n + 1);
        if (strstr(sql.p, name))
            fail_msg("%s: has %s", statements[i].name, name);
    }
    buf_release(&sql);
}

static void the_form_for_many_rows_has_arrays(void **state) {
    (void)state;
    struct buf sql;
    buf_init(&sql, 1 << 16);
    db_pg_translate_many(ST_EVENT_INSERT, "iisibib", &sql);
    assert_true(str_is(buf_str(&sql), "INSERT INTO event (partner_id, sequence, type, created, order_id, iccid, payload)"
                                      " SELECT v.p1, v.p2, v.p3, v.p4, v.p5, v.p6, v.p7 FROM unnest($1::bigint[], $2::bigint[],"
                                      " $3::smallint[], $4::bigint[], $5::bytea[], $6::bigint[], $7::bytea[])"
                                      " AS v(p1, p2, p3, p4, p5, p6, p7)"));
    buf_clear(&sql);
    db_pg_translate_many(ST_IDEM_GET, "it", &sql);
    assert_true(str_is(buf_str(&sql), "SELECT v.i, t.* FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS v(p1, p2, i), LATERAL"
                                      " (SELECT digest, state, owner, since, status, headers, body FROM idempotency"
                                      " WHERE partner_id = v.p1 AND key = v.p2) AS t"));
    buf_clear(&sql);
    db_pg_translate_many(ST_SUBSCRIPTION_SPEND, "ibii", &sql);
    assert_true(str_is(buf_str(&sql), "WITH done AS (UPDATE subscription SET spent_bytes = v.p3, balance_as_of = v.p4 FROM"
                                      " unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[]) AS v(p1, p2, p3, p4)"
                                      " WHERE iccid = v.p1 AND id = v.p2 RETURNING 1)"
                                      " SELECT 1 / (count(*) = cardinality($1))::int FROM done"));
    buf_release(&sql);
}

static void what_is_written_changes_what_reads_its_table(void **state) {
    (void)state;
    static const struct {
        enum statement write, read;
        bool changes;
    } cases[] = {
        {ST_IDEM_UPDATE, ST_IDEM_GET, true},
        {ST_IDEM_UPDATE, ST_SIM_GET, false},
        {ST_SIM_GIVE, ST_SIM_GET, true},
        {ST_NOTIFICATION_PUT, ST_SIM_GET, false}, // sim_notification is another table
        {ST_TASK_DELETE, ST_SIM_OPEN, true},
        {ST_TASK_UPDATE, ST_TASK_FIRST_OPEN, true},
        {ST_TASK_UPDATE, ST_SUBSCRIPTION_USABLE, false},
        {ST_SUBSCRIPTION_UPDATE, ST_SIM_OPEN, true},
        {ST_SUBSCRIPTION_UPDATE, ST_SUBSCRIPTION_USABLE, true},
        {ST_PRODUCT_UPDATE, ST_SUBSCRIPTION_USABLE, true},
        {ST_ORDER_UPDATE, ST_SUBSCRIPTION_USABLE, true},
        {ST_PARTNER_UPDATE, ST_PARTNER_GET, true},
        {ST_NODE_RENEW, ST_PARTNER_GET, false},
        {ST_CAP_ADD, ST_CAP_GET, true},
        {ST_USAGE_INSERT, ST_USAGE_FIND, true},
        {ST_USAGE_BOOK, ST_USAGE_FIND, false},
        {ST_SIM_GET, ST_IDEM_GET, true}, // it writes nothing, so there is no telling where
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (db_pg_changes(cases[i].write, cases[i].read) != cases[i].changes)
            fail_msg("%s, %s", statements[cases[i].write].name, statements[cases[i].read].name);
    }
    for (int i = 0; i < STATEMENTS; i++) { // of each statement that writes it can be told
        if (statements[i].flags & DB_WRITES)
            assert_false(db_pg_changes((enum statement)i, ST_NUMBER_GET) && db_pg_changes((enum statement)i, ST_RATE_SUM));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_statement_keeps_a_word_of_sqlites),
        cmocka_unit_test(what_differs_is_said_in_other_words),
        cmocka_unit_test(types_fit_their_statements),
        cmocka_unit_test(the_form_for_many_rows_has_arrays),
        cmocka_unit_test(what_is_written_changes_what_reads_its_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
