// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/money.h"
#include "topup/print.h"

#define PATH_MAX_BYTES 65536
#define FILE_MAX (16u << 20) // a catalogue is sent in one piece

static const struct list_column columns[] = {{"ID", "id", CELL_KEEP},
                                             {"NAME", "name", CELL_TEXT},
                                             {"PRICE", "price price_currency", CELL_NUMBER},
                                             {"DATA", "data data_unit", CELL_NUMBER},
                                             {"TIME", "duration duration_unit", CELL_NUMBER},
                                             {"SIM TYPES", "sim_type", CELL_TEXT},
                                             {"FOOTPRINT", "footprint_code", CELL_TEXT},
                                             {"PARTNER", "partner", CELL_TEXT},
                                             {"ON SALE", "on_sale", CELL_TEXT}};

static enum ending list(struct session *s) {
    struct buf path;
    buf_init(&path, PATH_MAX_BYTES);
    buf_add_text(&path, "/admin/v1/products");
    query_add(&path, "partner", session_option(s, OPT_PARTNER));
    enum ending how = print_list(s, SIDE_OPERATOR, &path, false, columns, ARRAY_LEN(columns));
    buf_release(&path);
    return how;
}

// The partner's own catalogue: without the columns that only the operator sees.
static enum ending own_list(struct session *s) {
    struct list_column own[ARRAY_LEN(columns)];
    struct buf path;
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        if (strcmp(columns[i].member, "partner") != 0 && strcmp(columns[i].member, "on_sale") != 0)
            own[n++] = columns[i];
    buf_init(&path, PATH_MAX_BYTES);
    buf_add_text(&path, "/v2/products");
    query_add(&path, "sim_type", session_option(s, OPT_TYPE));
    enum ending how = print_list(s, SIDE_PARTNER, &path, false, own, n);
    buf_release(&path);
    return how;
}

// "30 DAYS" or "30DAYS": a number and a unit.
static bool add_amount(const struct session *s, enum option_key key, const char *option, struct jw *w, const char *member,
                       const char *unit_member, const char *examples) {
    const char *text = session_option(s, key);
    if (!text)
        return true;
    size_t digits = strspn(text, "0123456789");
    int64_t n;
    struct str unit = str_trim(str_of(text + digits));
    if (!str_to_i64((struct str){text, digits}, &n) || unit.n == 0) {
        complain(END_USAGE, "%s: must be %s, not \"%s\"", option, examples, text);
        return false;
    }
    jw_i64(w, member, n);
    jw_str(w, unit_member, unit);
    return true;
}

static void add_yes_no(const struct session *s, enum option_key key, struct jw *w, const char *member) {
    if (session_has(s, key))
        jw_bool(w, member, strcmp(session_option(s, key), "yes") == 0);
}

static enum ending set(struct session *s) {
    struct buf body, partner, id;
    buf_init(&body, PATH_MAX_BYTES);
    buf_init(&partner, PATH_MAX_BYTES);
    buf_init(&id, PATH_MAX_BYTES);
    struct jw w = jw_on(&body);
    jw_object(&w, NULL);
    if (session_has(s, OPT_NAME))
        jw_text(&w, "name", session_option(s, OPT_NAME));
    if (session_has(s, OPT_PRICE)) // as text, so that it stays exact
        jw_text(&w, "price", session_option(s, OPT_PRICE));
    if (session_has(s, OPT_CURRENCY))
        jw_text(&w, "price_currency", session_option(s, OPT_CURRENCY));
    if (session_has(s, OPT_FOOTPRINT))
        jw_text(&w, "footprint_code", session_option(s, OPT_FOOTPRINT));
    bool good = add_amount(s, OPT_DURATION, "--duration", &w, "duration", "duration_unit", "a number and DAYS or MONTHS, such as 30DAYS") &&
                add_amount(s, OPT_DATA, "--data", &w, "data", "data_unit", "a number and MB or GB, such as 5GB");
    add_yes_no(s, OPT_FIRST_USAGE, &w, "first_usage");
    add_yes_no(s, OPT_ON_SALE, &w, "on_sale");
    jw_end_object(&w);
    path_segment(&partner, s->operand[0]);
    path_segment(&id, s->operand[1]);
    enum ending how = END_USAGE;
    if (good && body.n == 2)
        how = complain(END_USAGE, "nothing to set: give at least one option");
    else if (good)
        how = session_show(s, SIDE_OPERATOR, "PATCH", buf_str(&body), "/admin/v1/partners/%s/products/%s", partner.p, id.p);
    buf_release(&body);
    buf_release(&partner);
    buf_release(&id);
    return how;
}

static bool read_file(const char *path, struct buf *out) {
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdin : fopen(path, "re");
    char block[65536];
    size_t n;
    if (!f) {
        complain(END_LOCAL, "%s: %s", path, strerror(errno));
        return false;
    }
    while (!out->failed && (n = fread(block, 1, sizeof block, f)) > 0)
        buf_add(out, block, n);
    bool good = !ferror(f) && !out->failed;
    if (!good)
        complain(END_LOCAL, "%s: %s", path, out->failed ? "is larger than 16 MiB" : strerror(errno));
    if (!standard)
        fclose(f);
    return good;
}

static enum ending report(const struct session *s, enum ending how, const json_t *answer) {
    const json_t *faults = json_object_get(answer, "faults");
    for (size_t i = 0; i < json_array_size(faults); i++) {
        const json_t *f = json_array_get(faults, i);
        complain(END_BAD_ROWS, "line %" PRId64 ": %s", member_i64(f, "line"), member_str(f, "reason"));
    }
    if (how == END_OK) {
        int64_t inserted = member_i64(answer, "inserted"), updated = member_i64(answer, "updated");
        print_line(s, "%" PRId64 " rows: %" PRId64 " new, %" PRId64 " changed, %" PRId64 " as before, %" PRId64 " bad.%s",
                   member_i64(answer, "rows"), inserted, updated, member_i64(answer, "same"), member_i64(answer, "bad"),
                   inserted + updated == 0 ? " Nothing was changed." : "");
    }
    return json_array_size(faults) > 0 ? END_BAD_ROWS : how;
}

static enum ending import(struct session *s) {
    struct buf file, path;
    struct err err = {0};
    buf_init(&file, FILE_MAX);
    buf_init(&path, PATH_MAX_BYTES);
    enum ending how = read_file(s->operand[1], &file) ? END_OK : END_LOCAL;
    if (how == END_OK) {
        buf_add_text(&path, "/admin/v1/partners/");
        path_segment(&path, s->operand[0]);
        buf_add_text(&path, "/products/import");
        query_add(&path, "keep_good", session_has(s, OPT_KEEP_GOOD) ? "1" : NULL);
        enum err_kind kind = client_call(s->client, SIDE_OPERATOR, "POST", path.p, "text/csv", buf_str(&file), &err);
        json_t *answer = NULL;
        struct err no_json = {0};
        if (client_answer(s->client)->status != 0 && json_parse_object(session_answer(s), &answer, &no_json) != ERR_NONE)
            answer = NULL;
        if (kind != ERR_NONE)
            how = complain_err(kind == ERR_UNAVAILABLE || kind == ERR_RATE ? END_UNREACHABLE : END_REFUSED, &err);
        if (session_has(s, OPT_JSON) && answer)
            printf(STR_FMT "\n", STR_ARG(session_answer(s)));
        how = report(s, how, answer);
        json_decref(answer);
    }
    buf_release(&file);
    buf_release(&path);
    return how;
}

static const struct argp_option import_options[] = {{"keep-good", OPT_KEEP_GOOD, NULL, 0, "Take the good lines although others are bad", 0},
                                                    {0}};
static const struct argp_option list_options[] = {{"partner", OPT_PARTNER, "CLIENT_ID", 0, "Only this partner's catalogue", 0},
                                                  {"limit", OPT_LIMIT, "N", 0, "At most N rows; default 50", 0},
                                                  {"all", OPT_ALL, NULL, 0, "Every row", 0},
                                                  {0}};
static const struct argp_option set_options[] = {
    {"name", OPT_NAME, "NAME", 0, "Its name", 0},
    {"price", OPT_PRICE, "AMOUNT", 0, "Its price, such as 19.90", 0},
    {"currency", OPT_CURRENCY, "CODE", 0, "The price's currency, such as EUR", 0},
    {"duration", OPT_DURATION, "TIME", 0, "How long it runs, such as 30DAYS or 1MONTHS", 0},
    {"data", OPT_DATA, "AMOUNT", 0, "Its allowance, such as 500MB or 5GB", 0},
    {"footprint", OPT_FOOTPRINT, "CODE", 0, "Where it may be used", 0},
    {"first-usage", OPT_FIRST_USAGE, "yes|no", 0, "Whether its time runs from the first byte on", 0},
    {"on-sale", OPT_ON_SALE, "yes|no", 0, "Whether it can be ordered", 0},
    {0}};
static const struct argp_option own_options[] = {{"type", OPT_TYPE, "ESIM|PSIM", 0, "For this type of SIM", 0},
                                                 {"limit", OPT_LIMIT, "N", 0, "At most N rows; default 50", 0},
                                                 {"all", OPT_ALL, NULL, 0, "Every row", 0},
                                                 {0}};

const struct command product_commands[] = {
    {"product", "import", "CLIENT_ID FILE", 2, 2, import_options, "Put a partner's catalogue in place from a CSV file",
     "The file has a header row with the columns id, name, sim_type (ESIM, PSIM or ESIM|PSIM), duration, duration_unit (DAYS, MONTHS), "
     "data, "
     "data_unit (MB, GB), price, price_currency, footprint_code, and, if wanted, first_usage and on_sale (yes, no). Products that are "
     "there "
     "already are changed to what the file says; those that it does not name stay. All lines or none, unless --keep-good; every bad line "
     "is "
     "named. The same file twice changes nothing. FILE may be - for standard input.",
     "  topup product import acme catalogue.csv\n", import},
    {"product", "list", NULL, 0, 0, list_options, "List the partners' catalogues", NULL, "  topup product list --partner acme\n", list},
    {"product", "set", "CLIENT_ID PRODUCT_ID", 2, 2, set_options, "Change a product", "What is not named stays as it is.",
     "  topup product set acme wp-_bXkuC26SFDSRMHyiAQK7LJ6MtiWyr3zLfwB7FM= \\\n"
     "      --price 18.50\n"
     "  topup product set acme wp-_bXkuC26SFDSRMHyiAQK7LJ6MtiWyr3zLfwB7FM= \\\n"
     "      --on-sale no\n",
     set},
    {"products", NULL, NULL, 0, 0, own_options, "List what you can order (partner)", NULL, "  topup products --type ESIM\n", own_list},
    {0}};
