// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "topup/print.h"

#define PATH_MAX_BYTES 65536

static const struct list_column columns[] = {{"ID", "id", CELL_KEEP},
                                             {"STATUS", "status", CELL_KEEP},
                                             {"LEFT", "current_balance", CELL_BYTES},
                                             {"OF", "initial_balance", CELL_BYTES},
                                             {"EXPIRES", "expiry_date", CELL_KEEP},
                                             {"ICCID", "sim_id", CELL_KEEP},
                                             {"NAME", "name", CELL_TEXT},
                                             {"PARTNER", "partner", CELL_TEXT}};

static const char *base_of(enum client_side side) {
    return side == SIDE_OPERATOR ? "/admin/v1/subscriptions" : "/v2/subscriptions";
}

static enum ending list(struct session *s) {
    enum client_side side = session_side(s);
    struct buf path;
    buf_init(&path, PATH_MAX_BYTES);
    buf_add_text(&path, base_of(side));
    if (side == SIDE_OPERATOR)
        query_add(&path, "partner", session_option(s, OPT_PARTNER));
    query_add(&path, "iccid", session_option(s, OPT_ICCID));
    query_add(&path, "email", session_option(s, OPT_EMAIL));
    query_add(&path, "product-id", session_option(s, OPT_PRODUCT));
    query_add(&path, "status", session_option(s, OPT_STATUS));
    query_add(&path, "before", session_option(s, OPT_BEFORE));
    query_add(&path, "after", session_option(s, OPT_AFTER));
    // A partner's own list has no partner column.
    struct list_column own[ARRAY_LEN(columns)];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        if (side == SIDE_OPERATOR || strcmp(columns[i].member, "partner") != 0)
            own[n++] = columns[i];
    enum ending how = print_list(s, side, &path, false, own, n);
    buf_release(&path);
    return how;
}

static enum ending show(struct session *s) {
    enum client_side side = session_side(s);
    struct buf id;
    buf_init(&id, PATH_MAX_BYTES);
    path_segment(&id, s->operand[0]);
    enum ending how = session_show(s, side, "GET", STR_NONE, "%s/%s", base_of(side), id.p ? id.p : "");
    buf_release(&id);
    return how;
}

// The partner's alone: the operator has no such call.
static enum ending turn(struct session *s, const char *call) {
    struct buf id;
    buf_init(&id, PATH_MAX_BYTES);
    path_segment(&id, s->operand[0]);
    enum ending how = session_show(s, SIDE_PARTNER, "POST", STR_NONE, "/v2/subscriptions/%s/%s", id.p ? id.p : "", call);
    buf_release(&id);
    return how;
}
static enum ending activate(struct session *s) {
    return turn(s, "activate");
}
static enum ending expire(struct session *s) {
    return turn(s, "expire");
}

static const struct argp_option list_options[] = {
    {"iccid", OPT_ICCID, "ICCID", 0, "Of this SIM", 0},
    {"email", OPT_EMAIL, "ADDRESS", 0, "Of the subscriber with this email", 0},
    {"product", OPT_PRODUCT, "ID", 0, "Of this product", 0},
    {"status", OPT_STATUS, "PENDING|PENDING_USAGE|ACTIVE|DEPLETED|EXPIRED", 0, "In this state", 0},
    {"after", OPT_AFTER, "DATE", 0, "Created after DATE, such as 2026-01-31T00:00:00Z", 0},
    {"before", OPT_BEFORE, "DATE", 0, "Created before DATE", 0},
    {"partner", OPT_PARTNER, "CLIENT_ID", 0, "Of this partner (operator)", 0},
    {"as", OPT_AS, "operator|partner", 0, "Whose API to use; default: the operator's when there is an operator's token", 0},
    {"limit", OPT_LIMIT, "N", 0, "At most N rows; default 50", 0},
    {"all", OPT_ALL, NULL, 0, "Every row", 0},
    {0}};
static const struct argp_option show_options[] = {
    {"as", OPT_AS, "operator|partner", 0, "Whose API to use; default: the operator's when there is an operator's token", 0}, {0}};

const struct command subscription_commands[] = {{"subscription", "list", NULL, 0, 0, list_options, "List subscriptions, the newest first",
                                                 NULL,
                                                 "  topup subscription list --iccid 8944472600000510740\n"
                                                 "  topup subscription list --status ACTIVE --all --json\n",
                                                 list},
                                                {"subscription", "show", "ID", 1, 1, show_options, "Show one subscription", NULL,
                                                 "  topup subscription show Q-hzHc6EErZPQcgw2L02_nDdruGtr6lDrM-jmja_xuE=\n", show},
                                                {"subscription", "activate", "ID", 1, 1, NULL, "Begin one that waits, now",
                                                 "With the partner's credentials. For one that waits for its date or for its first byte.",
                                                 "  topup subscription activate Q-hzHc6EErZPQcgw2L02_nDdruGtr6lDrM-jmja_xuE=\n", activate},
                                                {"subscription", "expire", "ID", 1, 1, NULL, "End one, now and for good",
                                                 "With the partner's credentials. What is left of its allowance is lost.",
                                                 "  topup subscription expire Q-hzHc6EErZPQcgw2L02_nDdruGtr6lDrM-jmja_xuE=\n", expire},
                                                {0}};
