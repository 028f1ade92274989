// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>

#include "base/secret.h"
#include "topup/print.h"

#define BODY_MAX 65536

// "50,80" as a JSON array of its numbers. False, and a complaint: one is none.
static bool add_numbers(struct jw *w, const char *key, const char *option, const char *list) {
    struct str rest = str_of(list), word;
    int64_t v = 0;
    jw_array(w, key);
    while (str_present(rest)) {
        rest = str_cut(rest, ',', &word);
        word = str_trim(word);
        if (word.n > 0 && !str_to_i64(word, &v)) {
            complain(END_USAGE, "%s: must be numbers with commas between them", option);
            return false;
        }
        if (word.n > 0)
            jw_i64(w, NULL, v);
    }
    jw_end_array(w);
    return true;
}

// What add and set have in common. False: an option is no number.
static bool add_settings(const struct session *s, struct jw *w) {
    static const struct {
        enum option_key key;
        const char *option, *member;
        int64_t min;
    } numbers[] = {{OPT_CAP_DAY, "--cap-day", "cap_day", 0},
                   {OPT_CAP_MONTH, "--cap-month", "cap_month", 0},
                   {OPT_RATE, "--rate", "rate_per_minute", -1},
                   {OPT_EVENT_DAYS, "--event-days", "event_days", 1}};
    if (session_has(s, OPT_NAME))
        jw_text(w, "name", session_option(s, OPT_NAME));
    if (session_has(s, OPT_CURRENCIES))
        jw_words(w, "currencies", session_option(s, OPT_CURRENCIES));
    if (session_has(s, OPT_REQUIRED_FIELDS))
        jw_words(w, "required_fields", session_option(s, OPT_REQUIRED_FIELDS));
    if (session_has(s, OPT_THRESHOLDS) && !add_numbers(w, "thresholds", "--thresholds", session_option(s, OPT_THRESHOLDS)))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        int64_t v = 0;
        if (!option_i64(s, numbers[i].key, numbers[i].option, numbers[i].min, INT64_C(1000000000), &v))
            return false;
        if (session_has(s, numbers[i].key))
            jw_i64(w, numbers[i].member, v);
    }
    return true;
}

static void show_secret(const struct session *s) {
    if (!session_has(s, OPT_JSON))
        fputs("\nThe secret is shown this once; the server keeps only a hash of it.\n", stderr);
}

static enum ending add(struct session *s) {
    struct buf body;
    buf_init(&body, BODY_MAX);
    struct jw w = jw_on(&body);
    jw_object(&w, NULL);
    if (s->operands > 0)
        jw_text(&w, "client_id", s->operand[0]);
    if (session_has(s, OPT_MODE))
        jw_text(&w, "mode", session_option(s, OPT_MODE));
    enum ending how = END_OK;
    if (!add_settings(s, &w))
        how = END_USAGE;
    else if (!add_secret_file(s, &w, "client_secret"))
        how = END_LOCAL;
    jw_end_object(&w);
    if (how == END_OK)
        how = session_show(s, SIDE_OPERATOR, "POST", buf_str(&body), "/admin/v1/partners");
    if (how == END_OK)
        show_secret(s);
    if (body.p)
        secret_wipe(body.p, body.n);
    buf_release(&body);
    return how;
}

static enum ending set(struct session *s) {
    struct buf body, id;
    buf_init(&body, BODY_MAX);
    buf_init(&id, BODY_MAX);
    struct jw w = jw_on(&body);
    jw_object(&w, NULL);
    bool good = add_settings(s, &w);
    jw_end_object(&w);
    path_segment(&id, s->operand[0]);
    enum ending how = END_USAGE;
    if (good && body.n == 2)
        how = complain(END_USAGE, "nothing to set: give at least one option");
    else if (good)
        how = session_show(s, SIDE_OPERATOR, "PATCH", buf_str(&body), "/admin/v1/partners/%s", id.p);
    buf_release(&body);
    buf_release(&id);
    return how;
}

static const struct list_column columns[] = {
    {"CLIENT ID", "client_id", CELL_KEEP},    {"NAME", "name", CELL_TEXT},           {"MODE", "mode", CELL_KEEP},
    {"DISABLED", "disabled", CELL_KEEP},      {"CAP DAY", "cap_day", CELL_NUMBER},   {"CAP MONTH", "cap_month", CELL_NUMBER},
    {"RATE", "rate_per_minute", CELL_NUMBER}, {"CREATED", "created_date", CELL_KEEP}};

static enum ending list(struct session *s) {
    struct buf path;
    buf_init(&path, BODY_MAX);
    buf_add_text(&path, "/admin/v1/partners");
    enum ending how = print_list(s, SIDE_OPERATOR, &path, false, columns, ARRAY_LEN(columns));
    buf_release(&path);
    return how;
}

static enum ending on_one(struct session *s, const char *method, const char *verb, struct str body) {
    struct buf id;
    buf_init(&id, BODY_MAX);
    path_segment(&id, s->operand[0]);
    enum ending how = session_show(s, SIDE_OPERATOR, method, body, "/admin/v1/partners/%s%s", id.p ? id.p : "", verb);
    buf_release(&id);
    return how;
}

static enum ending show(struct session *s) {
    return on_one(s, "GET", "", STR_NONE);
}
static enum ending disable(struct session *s) {
    return on_one(s, "POST", "/disable", STR_NONE);
}
static enum ending enable(struct session *s) {
    return on_one(s, "POST", "/enable", STR_NONE);
}

static enum ending rotate(struct session *s) {
    int64_t seconds = 0;
    if (!option_seconds(s, OPT_OVERLAP, "--overlap", 366 * INT64_C(86400), &seconds))
        return END_USAGE;
    struct buf body;
    buf_init(&body, BODY_MAX);
    struct jw w = jw_on(&body);
    jw_object(&w, NULL);
    jw_i64(&w, "overlap_seconds", seconds);
    enum ending how = add_secret_file(s, &w, "client_secret") ? END_OK : END_LOCAL;
    jw_end_object(&w);
    if (how == END_OK)
        how = on_one(s, "POST", "/rotate-secret", buf_str(&body));
    if (how == END_OK)
        show_secret(s);
    if (body.p)
        secret_wipe(body.p, body.n);
    buf_release(&body);
    return how;
}

// What add and set both take.
#define SETTINGS                                                                                                                           \
    {"name", OPT_NAME, "NAME", 0, "What people call the partner", 0},                                                                      \
        {"currencies", OPT_CURRENCIES, "LIST", 0, "Currencies it may name in sold_currency, such as EUR,USD; empty: any", 0},              \
        {"required-fields", OPT_REQUIRED_FIELDS, "LIST", 0, REQUIRED_FIELDS_HELP, 0},                                                      \
        {"cap-day", OPT_CAP_DAY, "N", 0, "New activations a day (UTC); 0: no cap", 0},                                                     \
        {"cap-month", OPT_CAP_MONTH, "N", 0, "New activations a month; 0: no cap", 0},                                                     \
        {"rate", OPT_RATE, "N", 0, "Requests a minute for each resource; 0: the server's default, -1: no limit", 0},                       \
        {"event-days", OPT_EVENT_DAYS, "N", 0, "Days that its events are kept", 0}, {                                                      \
        "thresholds", OPT_THRESHOLDS, "LIST", 0, "Percents of a subscription's use at which it is warned, such as 50,80,95; empty: 80", 0  \
    }
#define REQUIRED_FIELDS_HELP                                                                                                               \
    "Subscriber fields that an activation must carry besides the email: first_name, last_name, country_of_residence, language, "           \
    "device.operating_system"

static const struct argp_option add_options[] = {
    SETTINGS,
    {"mode", OPT_MODE, "live|sandbox", 0, "live (the default), or sandbox: a rehearsal apart from live data, with a clock of its own", 0},
    {"secret-file", OPT_SECRET_FILE, "FILE", 0, "Take the secret from FILE (-: standard input) instead of having one made", 0},
    {0}};
static const struct argp_option set_options[] = {SETTINGS, {0}};
static const struct argp_option rotate_options[] = {
    {"overlap", OPT_OVERLAP, "TIME", 0, "How long the old secret stays good, such as 12h or 7d; 0 (the default): it ends at once", 0},
    {"secret-file", OPT_SECRET_FILE, "FILE", 0, "Take the new secret from FILE (-: standard input) instead of having one made", 0},
    {0}};
static const struct argp_option list_options[] = {
    {"limit", OPT_LIMIT, "N", 0, "At most N rows; default 50", 0}, {"all", OPT_ALL, NULL, 0, "Every row", 0}, {0}};

const struct command partner_commands[] = {
    {"partner", "add", "[CLIENT_ID]", 0, 1, add_options, "Add a partner and show its secret, once",
     "Without CLIENT_ID one is made. The secret is shown in the answer and never again.",
     "  topup partner add acme --name 'Acme Travel' --currencies EUR,USD\n"
     "  topup partner add acme-test --name 'Acme tests' --mode sandbox\n",
     add},
    {"partner", "list", NULL, 0, 0, list_options, "List the partners", NULL, "  topup partner list\n", list},
    {"partner", "show", "CLIENT_ID", 1, 1, NULL, "Show one partner", NULL, "  topup partner show acme\n", show},
    {"partner", "set", "CLIENT_ID", 1, 1, set_options, "Change a partner's settings", "What is not named stays as it is.",
     "  topup partner set acme --cap-day 500 --rate 6000\n"
     "  topup partner set acme --thresholds 50,80,95\n",
     set},
    {"partner", "rotate-secret", "CLIENT_ID", 1, 1, rotate_options, "Give a partner a new secret", NULL,
     "  topup partner rotate-secret acme --overlap 7d   # the old one ends in a week\n"
     "  topup partner rotate-secret acme                # it got out: ends now\n",
     rotate},
    {"partner", "disable", "CLIENT_ID", 1, 1, NULL, "Refuse a partner's calls from now on",
     "Orders that were accepted are still fulfilled.", "  topup partner disable acme\n", disable},
    {"partner", "enable", "CLIENT_ID", 1, 1, NULL, "Take a disabled partner's calls again", NULL, "  topup partner enable acme\n", enable},
    {0}};
