// SPDX-License-Identifier: Apache-2.0
#include "api/api_test_support.h"

#include "auth/auth.h"
#include "base/secret.h"
#include "store/store_order.h"
#include "store/store_partner.h"

#define NEW_PRODUCT "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCA="
#define OTHER_PRODUCT "DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDA="
#define CSV_HEADER "id,name,sim_type,duration,duration_unit,data,data_unit,price,price_currency,footprint_code,first_usage,on_sale\n"

static struct api_test t;
static struct answer a;

static int setup(void **state UNUSED) {
    api_test_open(&t);
    api_test_operator(&t);
    return 0;
}

static int teardown(void **state UNUSED) {
    answer_release(&a);
    api_test_close(&t);
    return 0;
}

static void call(enum http_method method, const char *target, const char *body) {
    api_test_call(&t, &a, -1, method, target, body, api_test_as_operator);
}

static int64_t number(const char *path) {
    assert_true(json_is_integer(answer_at(&a, path)));
    return json_integer_value(answer_at(&a, path));
}

static const char *sim(int i, char out[ICCID_TEXT]) {
    iccid_format(INT64_C(894447260000060000) + i, out);
    return out;
}

// ---- who may come in ----

static void operators_alone_come_in(void **state UNUSED) {
    static const char *const targets[] = {"/admin/v1/partners", "/admin/v1/products", "/admin/v1/sims",         "/admin/v1/orders",
                                          "/admin/v1/status",   "/admin/v1/sims/1",   "/admin/v1/subscriptions"};
    static const struct header wrong[] = {{"Authorization", "Bearer something"}, {NULL, NULL}};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        api_test_call(&t, &a, -1, HTTP_GET, targets[i], NULL, NULL);
        assert_answer(&a, 401);
        api_test_call(&t, &a, -1, HTTP_GET, targets[i], NULL, wrong);
        assert_answer(&a, 401);
        api_test_call(&t, &a, 0, HTTP_GET, targets[i], NULL, NULL); // a partner's token
        assert_answer(&a, 401);
    }
    call(HTTP_GET, "/v2/products", NULL); // and an operator's is no partner's
    assert_answer(&a, 401);
}

// ---- partners ----

static bool secret_is_good(const char *client_id, const char *secret) {
    struct tx *tx;
    struct err err = {0};
    struct arena arena;
    struct token_pair pair;
    arena_init(&arena, 65536);
    assert_int_equal(store_read_begin(t.store, &tx, &err), ERR_NONE);
    enum err_kind kind = auth_issue(t.auth, tx, str_of(client_id), str_of(secret), STR_NONE, &arena, &pair, &err);
    store_read_end(tx);
    arena_release(&arena);
    assert_true(kind == ERR_NONE || kind == ERR_UNAUTHORISED);
    return kind == ERR_NONE;
}

static void partner_is_added_with_a_secret_that_works(void **state UNUSED) {
    char id[80], secret[80];
    call(HTTP_POST, "/admin/v1/partners", "{\"name\":\"Made up\"}");
    assert_answer(&a, 201);
    snprintf(id, sizeof id, "%s", answer_text(&a, "client_id"));
    snprintf(secret, sizeof secret, "%s", answer_text(&a, "client_secret"));
    assert_string_equal(answer_text(&a, "mode"), "live");
    assert_int_equal(strlen(secret), SECRET_TEXT - 1);
    assert_true(strlen(id) >= 8);
    assert_true(secret_is_good(id, secret));
    assert_false(secret_is_good(id, "correct horse battery staple"));

    call(HTTP_POST, "/admin/v1/partners",
         "{\"client_id\":\"full\",\"name\":\"Full\",\"mode\":\"sandbox\",\"currencies\":[\"EUR\",\"JPY\"],\"required_fields\":[\"last_"
         "name\","
         "\"device.operating_system\"],\"cap_day\":5,\"cap_month\":50,\"rate_per_minute\":-1,\"event_days\":30,"
         "\"client_secret\":\"a secret of their own\"}");
    assert_answer(&a, 201);
    assert_string_equal(a.location, "https://api.example.com/admin/v1/partners/full");
    assert_true(secret_is_good("full", "a secret of their own"));
    call(HTTP_GET, "/admin/v1/partners/full", NULL);
    assert_answer(&a, 200);
    assert_null(answer_at(&a, "client_secret")); // shown once
    assert_string_equal(answer_text(&a, "mode"), "sandbox");
    assert_string_equal(answer_text(&a, "currencies.1"), "JPY");
    assert_string_equal(answer_text(&a, "required_fields.0"), "last_name");
    assert_string_equal(answer_text(&a, "required_fields.1"), "device.operating_system");
    assert_int_equal(number("cap_day"), 5);
    assert_int_equal(number("cap_month"), 50);
    assert_int_equal(number("rate_per_minute"), -1);
    assert_int_equal(number("event_days"), 30);

    call(HTTP_POST, "/admin/v1/partners", "{\"client_id\":\"full\",\"name\":\"Again\"}");
    assert_problem(&a, 409, "CONFLICT", "client_id: ", NULL);
}

static void partner_faults_are_all_told(void **state UNUSED) {
    call(HTTP_POST, "/admin/v1/partners",
         "{\"client_id\":\"a b\",\"mode\":\"dead\",\"currencies\":[\"EUR\",\"XXQ\",7],\"required_fields\":[\"shoe_size\"],\"cap_day\":-1,"
         "\"client_secret\":\"short\"}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "client_id: ", "mode: ", "name: ", "currencies.1: ", "currencies.2: ",
                   "required_fields.0: ", "cap_day: ", "client_secret: ", NULL);
    call(HTTP_POST, "/admin/v1/partners", "{\"name\":\"  \"}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "name: ", NULL);
    call(HTTP_GET, "/admin/v1/partners/nobody", NULL);
    assert_problem(&a, 404, "NOT_FOUND", "client_id: ", NULL);
    call(HTTP_PATCH, "/admin/v1/partners/acme", "{\"mode\":\"sandbox\"}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "mode: ", NULL);
}

static void partner_settings_change_one_by_one(void **state UNUSED) {
    call(HTTP_PATCH, "/admin/v1/partners/acme", "{\"cap_day\":7,\"currencies\":[\"EUR\"]}");
    assert_answer(&a, 200);
    assert_int_equal(number("cap_day"), 7);
    assert_string_equal(answer_text(&a, "name"), "Acme");
    call(HTTP_PATCH, "/admin/v1/partners/acme", "{\"cap_day\":0,\"currencies\":[],\"required_fields\":[]}");
    assert_answer(&a, 200);
    assert_int_equal(number("cap_day"), 0);
    assert_int_equal(json_array_size(answer_at(&a, "currencies")), 0);
}

static void partner_list_is_paged(void **state UNUSED) {
    call(HTTP_GET, "/admin/v1/partners?page_size=1&page=2", NULL);
    assert_answer(&a, 200);
    assert_int_equal(json_array_size(answer_at(&a, "data")), 1);
    assert_non_null(answer_at(&a, "_metadata.links._prev"));
    assert_null(answer_at(&a, "data.0.client_secret"));
}

static void partner_disabled_gets_no_token(void **state UNUSED) {
    static const char secret[] = "correct horse battery staple";
    assert_true(secret_is_good("other", secret));
    call(HTTP_POST, "/admin/v1/partners/other/disable", NULL);
    assert_answer(&a, 200);
    assert_true(json_is_true(answer_at(&a, "disabled")));
    assert_false(secret_is_good("other", secret));
    call(HTTP_POST, "/admin/v1/partners/other/enable", NULL);
    assert_answer(&a, 200);
    assert_true(secret_is_good("other", secret));
}

static void old_secret_ends_after_the_overlap(void **state UNUSED) {
    char first[80], second[80], third[80];
    call(HTTP_POST, "/admin/v1/partners", "{\"client_id\":\"rotating\",\"name\":\"R\"}");
    snprintf(first, sizeof first, "%s", answer_text(&a, "client_secret"));
    call(HTTP_POST, "/admin/v1/partners/rotating/rotate-secret", "{\"overlap_seconds\":3600}");
    assert_answer(&a, 200);
    snprintf(second, sizeof second, "%s", answer_text(&a, "client_secret"));
    assert_string_equal(answer_text(&a, "old_secrets_end"), "2026-11-23T13:00:00Z");
    assert_string_not_equal(first, second);
    assert_true(secret_is_good("rotating", first));
    assert_true(secret_is_good("rotating", second));
    clock_manual_advance(&t.clock_state, 3600 * 1000);
    assert_false(secret_is_good("rotating", first));
    assert_true(secret_is_good("rotating", second));
    call(HTTP_POST, "/admin/v1/partners/rotating/rotate-secret", NULL); // without a body: at once
    assert_answer(&a, 200);
    snprintf(third, sizeof third, "%s", answer_text(&a, "client_secret"));
    assert_false(secret_is_good("rotating", second));
    assert_true(secret_is_good("rotating", third));
    call(HTTP_POST, "/admin/v1/partners/rotating/rotate-secret", "{\"overlap_seconds\":-1,\"client_secret\":\"x\"}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "overlap_seconds: ", "client_secret: ", NULL);
}

// ---- products ----

static void product_is_put_and_changed(void **state UNUSED) {
    static const char path[] = "/admin/v1/partners/acme/products/" NEW_PRODUCT;
    static const char body[] =
        "{\"name\":\"Yen plan\",\"sim_type\":[\"PSIM\",\"ESIM\"],\"duration\":1,\"duration_unit\":\"MONTHS\",\"data\":3,"
        "\"data_unit\":\"GB\",\"price\":\"1200\",\"price_currency\":\"JPY\",\"footprint_code\":\"ASIA\"}";
    call(HTTP_PUT, path, body);
    assert_answer(&a, 201);
    call(HTTP_PUT, path, body);
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "partner"), "acme");
    assert_int_equal(number("price"), 1200);
    assert_true(json_is_true(answer_at(&a, "on_sale")));
    call(HTTP_PATCH, path, "{\"price\":900,\"on_sale\":false}");
    assert_answer(&a, 200);
    assert_int_equal(number("price"), 900);
    assert_string_equal(answer_text(&a, "name"), "Yen plan");
    call(HTTP_PATCH, path, "{\"price\":9.5}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "price: ", NULL);
    call(HTTP_PATCH, path, "{\"price_currency\":\"EUR\"}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "price: ", NULL);
    call(HTTP_GET, path, NULL);
    assert_int_equal(number("price"), 900);
    assert_false(json_is_true(answer_at(&a, "on_sale")));
    call(HTTP_GET, "/admin/v1/products?partner=acme&page_size=100", NULL);
    assert_answer(&a, 200);
    assert_int_equal(json_array_size(answer_at(&a, "data")), 4);
    call(HTTP_GET, "/admin/v1/products?partner=nobody", NULL);
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "partner: ", NULL);
}

static void product_faults_are_all_told(void **state UNUSED) {
    call(HTTP_PUT, "/admin/v1/partners/acme/products/short",
         "{\"sim_type\":[\"USIM\"],\"duration\":0,\"duration_unit\":\"WEEKS\",\"data\":1,\"price\":\"20,00\",\"price_currency\":\"EUR\"}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "product_id: ", "sim_type.0: ", "duration: ", "duration_unit: ", "price: ", "name: ",
                   "data_unit: ", "footprint_code: ", NULL);
    call(HTTP_PUT, "/admin/v1/partners/nobody/products/" NEW_PRODUCT,
         "{\"name\":\"x\",\"sim_type\":[\"ESIM\"],\"duration\":1,\"duration_unit\":\"DAYS\",\"data\":1,\"data_unit\":\"GB\",\"price\":1,"
         "\"price_currency\":\"EUR\",\"footprint_code\":\"X\"}");
    assert_problem(&a, 404, "NOT_FOUND", "client_id: ", NULL);
    call(HTTP_PATCH, "/admin/v1/partners/acme/products/" OTHER_PRODUCT, "{\"price\":1}");
    assert_problem(&a, 404, "NOT_FOUND", "product_id: ", NULL);
}

static void catalogue_is_imported_whole_or_not_at_all(void **state UNUSED) {
    static const char path[] = "/admin/v1/partners/other/products/import", keep[] = "/admin/v1/partners/other/products/import?keep_good=1";
    static const char bad[] =
        CSV_HEADER NEW_PRODUCT ",\"Plan, with comma\",ESIM|PSIM,30,DAYS,5,GB,19.90,EUR,EU,no,yes\r\n"
                               "nonsense,,USIM,0,WEEKS,x,GB,abc,EUR,EU,maybe,yes\n" NEW_PRODUCT ",Twice,ESIM,30,DAYS,5,GB,1,EUR,EU,,\n";
    call(HTTP_POST, path, bad);
    assert_answer(&a, 400);
    assert_string_equal(answer_text(&a, "type"), "INVALID_REQUEST_PARAMS");
    assert_int_equal(number("bad"), 2);
    assert_int_equal(number("faults.0.line"), 3);
    assert_int_equal(number("faults.1.line"), 4);
    call(HTTP_GET, "/admin/v1/partners/other/products/" NEW_PRODUCT, NULL);
    assert_answer(&a, 404);
    call(HTTP_POST, keep, bad);
    assert_answer(&a, 200);
    assert_int_equal(number("inserted"), 1);
    call(HTTP_GET, "/admin/v1/partners/other/products/" NEW_PRODUCT, NULL);
    assert_string_equal(answer_text(&a, "name"), "Plan, with comma");
    call(HTTP_POST, keep, bad);
    assert_int_equal(number("same"), 1);
    assert_int_equal(number("inserted") + number("updated"), 0);
    call(HTTP_POST, path, "id,colour\n");
    assert_answer(&a, 400);
    call(HTTP_POST, path, "");
    assert_answer(&a, 400);
}

// ---- SIMs ----

static char import_path[64];

static const char *step(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s%s", import_path, name);
    return path;
}

static void begin_import(const char *rows) {
    call(HTTP_POST, "/admin/v1/sim-imports", "{\"source\":\"stock.csv\"}");
    assert_answer(&a, 201);
    snprintf(import_path, sizeof import_path, "/admin/v1/sim-imports/%lld", (long long)number("id"));
    call(HTTP_POST, step("/rows"), rows);
    assert_answer(&a, 200);
}

static void judge(int64_t fresh, int64_t same, int64_t bad) {
    call(HTTP_POST, step("/judge"), NULL);
    assert_answer(&a, 200);
    assert_int_equal(number("new"), fresh);
    assert_int_equal(number("same"), same);
    assert_int_equal(number("bad"), bad);
}

static void stock_is_imported_once(void **state UNUSED) {
    char rows[2048], one[ICCID_TEXT], two[ICCID_TEXT], three[ICCID_TEXT];
    snprintf(
        rows, sizeof rows,
        "iccid,sim_type,partner,imsi,msisdn,matching_id,smdp,activated\n%s,PSIM,acme,234500000000001,447700900001,,,yes\n%s,PSIM,,,,,,\n"
        "%s,ESIM,,,,AB-12,smdp.example.com,no\n",
        sim(1, one), sim(2, two), sim(3, three));
    begin_import(rows);
    judge(3, 0, 0);
    call(HTTP_POST, step("/apply"), NULL);
    assert_answer(&a, 200);
    assert_int_equal(number("inserted"), 3);
    call(HTTP_POST, step("/apply"), NULL);
    assert_answer(&a, 200); // a repeat is told the same
    assert_int_equal(number("inserted"), 3);
    call(HTTP_GET, step(""), NULL);
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "state"), "APPLIED");
    call(HTTP_DELETE, step(""), NULL);
    assert_answer(&a, 204);
    call(HTTP_POST, step("/apply"), NULL);
    assert_answer(&a, 404);

    char target[64];
    snprintf(target, sizeof target, "/admin/v1/sims/%s", one);
    call(HTTP_GET, target, NULL);
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "partner"), "acme");
    assert_string_equal(answer_text(&a, "service"), "ACTIVE");
    assert_string_equal(answer_text(&a, "imsi"), "234500000000001");
    snprintf(target, sizeof target, "/v2/sims/%s", one);
    GET(target);
    assert_answer(&a, 200); // it is the partner's and in service
    snprintf(target, sizeof target, "/admin/v1/sims/%s", three);
    call(HTTP_GET, target, NULL);
    assert_string_equal(answer_text(&a, "status"), "Released");
    assert_null(answer_at(&a, "partner"));

    begin_import(rows); // the same file again
    judge(0, 3, 0);
    call(HTTP_POST, step("/apply"), "{\"keep_good\":false}");
    assert_answer(&a, 200);
    assert_int_equal(number("inserted"), 0);
}

static void every_bad_line_is_told_with_its_reason(void **state UNUSED) {
    char rows[4096], s[8][ICCID_TEXT];
    for (int i = 0; i < 8; i++)
        sim(100 + i, s[i]);
    snprintf(rows, sizeof rows,
             "line,fault,iccid,sim_type,partner,imsi,matching_id,smdp,activated\n"
             "2,,%s,PSIM,,,,,\n"                     // good
             "3,,8944472600000510741,PSIM,,,,,\n"    // check digit
             "4,,%s,USIM,,,,,\n"                     // type
             "5,,%s,ESIM,,,,,\n"                     // no activation code
             "6,,%s,PSIM,nobody,,,,\n"               // no such partner
             "7,,%s,PSIM,,,,,\n"                     // same as line 2
             "8,the line is not UTF-8 text,,,,,,,\n" // told by the client
             "9,,%s,PSIM,,12,,,\n"                   // IMSI
             "10,,%s,ESIM,,,A$B,nohost,yes\n",       // all of it
             s[0], s[1], s[2], s[3], s[0], s[4], s[5]);
    begin_import(rows);
    assert_int_equal(number("bad"), 7);
    judge(1, 0, 8);
    call(HTTP_GET, step("/faults"), NULL);
    assert_answer(&a, 200);
    assert_int_equal(json_array_size(answer_at(&a, "data")), 8);
    for (int i = 0; i < 8; i++) {
        char path[32];
        snprintf(path, sizeof path, "data.%d.line", i);
        assert_int_equal(number(path), i + 3);
    }
    assert_string_equal(answer_text(&a, "data.5.reason"), "the line is not UTF-8 text");
    assert_string_equal(answer_text(&a, "data.3.reason"), "partner: there is no such partner");
    assert_non_null(strstr(answer_text(&a, "data.7.reason"), "matching_id: "));
    assert_non_null(strstr(answer_text(&a, "data.7.reason"), "; smdp: "));
    call(HTTP_GET, step("/faults?after_line=5&limit=2"), NULL);
    assert_int_equal(json_array_size(answer_at(&a, "data")), 2);
    assert_int_equal(number("data.0.line"), 6);
    call(HTTP_POST, step("/apply"), "{\"keep_good\":false}");
    assert_answer(&a, 409);
    char target[64];
    snprintf(target, sizeof target, "/admin/v1/sims/%s", s[0]);
    call(HTTP_GET, target, NULL);
    assert_answer(&a, 404); // nothing was taken
    call(HTTP_POST, step("/apply"), "{\"keep_good\":true}");
    assert_answer(&a, 200);
    assert_int_equal(number("inserted"), 1);
    call(HTTP_GET, target, NULL);
    assert_answer(&a, 200);
}

static void import_refuses_what_is_no_table(void **state UNUSED) {
    call(HTTP_POST, "/admin/v1/sim-imports", NULL);
    assert_answer(&a, 201);
    snprintf(import_path, sizeof import_path, "/admin/v1/sim-imports/%lld", (long long)number("id"));
    call(HTTP_POST, step("/rows"), "colour,size\n1,2\n");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "line 1: ", "line 1: ", "line 1: ", "line 1: ", NULL);
    call(HTTP_POST, step("/rows"), "iccid,sim_type\n\"open,PSIM\n");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "line 2: ", NULL);
    call(HTTP_POST, step("/rows"), "line,iccid,sim_type\n-4,1,PSIM\n");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "line 2: ", NULL);
    call(HTTP_DELETE, step(""), NULL);
    assert_answer(&a, 204);
    call(HTTP_DELETE, step(""), NULL);
    assert_problem(&a, 404, "NOT_FOUND", "id: ", NULL);
    call(HTTP_POST, "/admin/v1/sim-imports/99999999/rows", "iccid,sim_type\n");
    assert_problem(&a, 404, "NOT_FOUND", "id: ", NULL);
    call(HTTP_POST, "/admin/v1/sim-imports/x/judge", NULL);
    assert_problem(&a, 404, "NOT_FOUND", "id: ", NULL);
}

static void import_sims(int first, int n) {
    char iccid[ICCID_TEXT];
    struct buf rows;
    buf_init(&rows, 1 << 20);
    buf_add_text(&rows, "iccid,sim_type\n");
    for (int i = 0; i < n; i++)
        buf_printf(&rows, "%s,PSIM\n", sim(first + i, iccid));
    begin_import(rows.p);
    judge(n, 0, 0);
    call(HTTP_POST, step("/apply"), NULL);
    assert_answer(&a, 200);
    buf_release(&rows);
}

static void sims_are_assigned(void **state UNUSED) {
    char body[512], first[ICCID_TEXT], last[ICCID_TEXT], other[ICCID_TEXT];
    import_sims(200, 20);
    snprintf(body, sizeof body, "{\"partner\":\"acme\",\"iccids\":[\"%s\",\"%s\"]}", sim(200, first), sim(201, last));
    call(HTTP_POST, "/admin/v1/sims/assign", body);
    assert_answer(&a, 200);
    assert_int_equal(number("assigned"), 2);
    snprintf(body, sizeof body, "{\"partner\":\"acme\",\"from\":\"%s\",\"to\":\"%s\"}", sim(200, first), sim(209, last));
    call(HTTP_POST, "/admin/v1/sims/assign", body);
    assert_answer(&a, 200);
    assert_int_equal(number("assigned"), 8);
    assert_int_equal(number("unchanged"), 2);
    assert_null(answer_at(&a, "next"));

    // One that cannot be given: none is, and each is named.
    snprintf(body, sizeof body, "{\"partner\":\"other\",\"iccids\":[\"%s\",\"" PSIM_ACTIVE "\",\"" SIM_NOBODY "\"]}", sim(210, other));
    call(HTTP_POST, "/admin/v1/sims/assign", body);
    assert_int_equal(json_array_size(answer_at(&a, "messages")), 2);
    assert_int_equal(a.status / 100, 4);
    snprintf(body, sizeof body, "/admin/v1/sims/%s", other);
    call(HTTP_GET, body, NULL);
    assert_null(answer_at(&a, "partner"));

    call(HTTP_POST, "/admin/v1/sims/assign", "{\"partner\":\"acme\"}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "iccids: ", NULL);
    call(HTTP_POST, "/admin/v1/sims/assign", "{\"partner\":\"acme\",\"iccids\":[7,\"8944\"]}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "iccids.0: ", "iccids.1: ", NULL);
    snprintf(body, sizeof body, "{\"partner\":\"nobody\",\"iccids\":[\"%s\"]}", first);
    call(HTTP_POST, "/admin/v1/sims/assign", body);
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "partner: ", NULL);
}

static void sims_are_listed_by_cursor(void **state UNUSED) {
    char target[128], after[ICCID_TEXT] = "", first[ICCID_TEXT];
    int seen = 0;
    import_sims(300, 25);
    snprintf(after, sizeof after, "%s", sim(299, first));
    for (;;) {
        snprintf(target, sizeof target, "/admin/v1/sims?partner=-&service=STOCK&sim_type=PSIM&page_size=10&after=%s", after);
        call(HTTP_GET, target, NULL);
        assert_answer(&a, 200);
        for (size_t i = 0; i < json_array_size(answer_at(&a, "data")); i++, seen++) {
            char path[32], iccid[ICCID_TEXT];
            snprintf(path, sizeof path, "data.%zu.iccid", i);
            assert_string_equal(answer_text(&a, path), sim(300 + seen, iccid));
        }
        const char *next = answer_text(&a, "_metadata.next_after");
        if (!next[0])
            break;
        assert_non_null(strstr(answer_text(&a, "_metadata.links._next"), next));
        snprintf(after, sizeof after, "%s", next);
    }
    assert_int_equal(seen, 25);
    call(HTTP_GET, "/admin/v1/sims?sim_type=USIM&service=LOST&after=x&page_size=0", NULL);
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "sim_type: ", "service: ", "after: ", "page_size: ", NULL);
    call(HTTP_GET, "/admin/v1/sims/1", NULL);
    assert_problem(&a, 404, "NOT_FOUND", "iccid: ", NULL);
}

// ---- orders ----

static void place(char id[64]) {
    POST("/v2/orders", "{\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_BOTH
                       "\"},\"subscriber\":{\"email\":\"ada@example.org\",\"sim\":{\"iccid\":\"" PSIM_ACTIVE "\"}}}");
    assert_answer(&a, 202);
    snprintf(id, 64, "%s", answer_text(&a, "id"));
}

static enum err_kind park(struct tx *tx, void *ctx, struct err *err) {
    struct arena arena;
    struct uuid id;
    struct task *tasks;
    size_t n = 0;
    assert_true(uuid_parse(str_of(ctx), &id));
    arena_init(&arena, 65536);
    enum err_kind kind = store_task_of_order(tx, id, &arena, &tasks, &n, err);
    assert_true(kind != ERR_NONE || n > 0);
    if (kind == ERR_NONE) {
        tasks[0].state = TASK_PARKED;
        tasks[0].attempts = TASK_ATTEMPTS_MAX;
        tasks[0].outcome = OUTCOME_UNAVAILABLE;
        tasks[0].note = STR("no route to host");
        kind = store_task_update(tx, &tasks[0], err);
    }
    arena_release(&arena);
    return kind;
}

static void parked_tasks_go_round_again(void **state UNUSED) {
    char id[64], target[128];
    place(id);
    api_test_job(&t, park, id);
    snprintf(target, sizeof target, "/admin/v1/orders/%s", id);
    call(HTTP_GET, target, NULL);
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "partner"), "acme");
    assert_string_equal(answer_text(&a, "subscriber.email"), "ada@example.org");
    assert_string_equal(answer_text(&a, "tasks.0.state"), "PARKED");
    assert_string_equal(answer_text(&a, "tasks.0.note"), "no route to host");
    assert_int_equal(number("tasks.0.attempts"), TASK_ATTEMPTS_MAX);
    snprintf(target, sizeof target, "/admin/v1/orders/%s/retry", id);
    call(HTTP_POST, target, NULL);
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "tasks.0.state"), "READY");
    assert_int_equal(number("tasks.0.attempts"), 0);
    call(HTTP_POST, target, NULL);
    assert_problem(&a, 409, "CONFLICT", "id: ", NULL);
    call(HTTP_GET, "/admin/v1/status", NULL);
    assert_answer(&a, 200);
    assert_true(number("tasks.READY") >= 1);
    assert_int_equal(number("tasks.PARKED"), 0);
    api_test_complete(&t, id);
}

static void orders_of_all_partners_are_listed(void **state UNUSED) {
    char id[64], target[160];
    place(id);
    api_test_complete(&t, id);
    call(HTTP_GET, "/admin/v1/orders?partner=acme&status=COMPLETED&iccid=" PSIM_ACTIVE, NULL);
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "data.0.id"), id);
    assert_null(answer_at(&a, "data.0.subscriber")); // what is personal is in the single order alone
    snprintf(target, sizeof target, "/admin/v1/subscriptions/%s", answer_text(&a, "data.0.subscription_id"));
    call(HTTP_GET, target, NULL);
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "sim_id"), PSIM_ACTIVE);
    assert_string_equal(answer_text(&a, "partner"), "acme");
    call(HTTP_GET, "/admin/v1/subscriptions?partner=acme&iccid=" PSIM_ACTIVE "&status=ACTIVE", NULL);
    assert_answer(&a, 200);
    assert_true(json_array_size(answer_at(&a, "data")) >= 1);
    call(HTTP_GET, "/admin/v1/orders?partner=other", NULL);
    assert_int_equal(json_array_size(answer_at(&a, "data")), 0);
    call(HTTP_GET, "/admin/v1/orders?status=LOST&iccid=1&before=now", NULL);
    assert_problem(&a, 400, "INVALID_HTTP_MESSAGE", "status: ", "iccid: ", "before: ", NULL);
    static const char *const none[] = {"/admin/v1/orders/x", "/admin/v1/orders/00000000-0000-7000-8000-000000000000",
                                       "/admin/v1/subscriptions/x"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        call(HTTP_GET, none[i], NULL);
        assert_problem(&a, 404, "NOT_FOUND", "id: ", NULL);
    }
}

static void keys_are_rotated_and_tokens_stay_good(void **state UNUSED) {
    char kid[128];
    call(HTTP_POST, "/admin/v1/keys/rotate", NULL);
    assert_answer(&a, 201);
    snprintf(kid, sizeof kid, "%s", answer_text(&a, "kid"));
    call(HTTP_POST, "/admin/v1/keys/rotate", NULL);
    assert_answer(&a, 201);
    assert_string_not_equal(answer_text(&a, "kid"), kid);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_alone_come_in),
        cmocka_unit_test(parked_tasks_go_round_again),
        cmocka_unit_test(orders_of_all_partners_are_listed),
        cmocka_unit_test(partner_is_added_with_a_secret_that_works),
        cmocka_unit_test(partner_faults_are_all_told),
        cmocka_unit_test(partner_settings_change_one_by_one),
        cmocka_unit_test(partner_list_is_paged),
        cmocka_unit_test(partner_disabled_gets_no_token),
        cmocka_unit_test(product_is_put_and_changed),
        cmocka_unit_test(product_faults_are_all_told),
        cmocka_unit_test(catalogue_is_imported_whole_or_not_at_all),
        cmocka_unit_test(stock_is_imported_once),
        cmocka_unit_test(every_bad_line_is_told_with_its_reason),
        cmocka_unit_test(import_refuses_what_is_no_table),
        cmocka_unit_test(sims_are_assigned),
        cmocka_unit_test(sims_are_listed_by_cursor),
        cmocka_unit_test(keys_are_rotated_and_tokens_stay_good),
        cmocka_unit_test(old_secret_ends_after_the_overlap), // moves the clock
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
