// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/id.h"
#include "base/rng.h"
#include "topup/print.h"
#include "topup/table.h"

#define PATH_MAX_BYTES 65536
#define TIMEOUT_DEFAULT 120
#define WAIT_MAX 30

static const struct list_column columns[] = {{"ID", "id", CELL_KEEP},
                                             {"STATUS", "status", CELL_KEEP},
                                             {"ICCID", "iccid", CELL_KEEP},
                                             {"OPERATION", "operation_type", CELL_TEXT},
                                             {"CREATED", "created_date", CELL_KEEP},
                                             {"PARTNER", "partner", CELL_TEXT},
                                             {"TYPE", "sim_type", CELL_TEXT}};
static const struct list_column own_columns[] = {
    {"ID", "id", CELL_KEEP}, {"STATUS", "status", CELL_KEEP}, {"ICCID", "output.iccid", CELL_KEEP}, {"CREATED", "created_date", CELL_KEEP}};
static const struct list_column task_columns[] = {
    {"STEP", "step", CELL_NUMBER},  {"TASK", "kind", CELL_KEEP}, {"STATE", "state", CELL_KEEP},       {"TRIES", "attempts", CELL_NUMBER},
    {"LAST", "outcome", CELL_KEEP}, {"NOTE", "note", CELL_TEXT}, {"NEXT TRY", "next_try", CELL_KEEP}, {"PEER", "peer", CELL_TEXT}};
static const struct list_column timeline_columns[] = {{"TIME", "at", CELL_KEEP}, {"WHAT", "text", CELL_TEXT}, {"PEER", "peer", CELL_TEXT}};

static const char *base_of(enum client_side side) {
    return side == SIDE_OPERATOR ? "/admin/v1/orders" : "/v2/orders";
}

static enum ending list(struct session *s) {
    enum client_side side = session_side(s);
    struct buf path;
    buf_init(&path, PATH_MAX_BYTES);
    buf_add_text(&path, base_of(side));
    if (side == SIDE_OPERATOR)
        query_add(&path, "partner", session_option(s, OPT_PARTNER));
    query_add(&path, "status", session_option(s, OPT_STATUS));
    query_add(&path, "iccid", session_option(s, OPT_ICCID));
    query_add(&path, "correlation_id", session_option(s, OPT_CORRELATION_ID));
    query_add(&path, "before", session_option(s, OPT_BEFORE));
    query_add(&path, "after", session_option(s, OPT_AFTER));
    enum ending how = side == SIDE_OPERATOR ? print_list(s, side, &path, false, columns, ARRAY_LEN(columns))
                                            : print_list(s, side, &path, false, own_columns, ARRAY_LEN(own_columns));
    buf_release(&path);
    return how;
}

// The order and, for an eSIM, what its owner types or scans.
static void print_order(const json_t *order) {
    print_members(order);
    print_member(order, "_metadata.links._lpa", "activation code");
    print_member(order, "_metadata.links._qrcode", "QR image");
}

// One call about the order that is the operand; shows the order and, for operators, its tasks.
static enum ending on_one(struct session *s, enum client_side side, const char *method, const char *verb) {
    struct buf id;
    json_t *answer = NULL;
    buf_init(&id, PATH_MAX_BYTES);
    path_segment(&id, s->operand[0]);
    enum ending how = session_call(s, side, method, STR_NONE, &answer, "%s/%s%s", base_of(side), id.p ? id.p : "", verb);
    if (how == END_OK && session_has(s, OPT_JSON)) {
        printf(STR_FMT "\n", STR_ARG(session_answer(s)));
    } else if (how == END_OK) {
        print_order(answer);
        print_rows("Tasks:", json_object_get(answer, "tasks"), task_columns, ARRAY_LEN(task_columns));
        json_t *timeline = NULL;
        if (side == SIDE_PARTNER)
            how = session_call(s, side, "GET", STR_NONE, &timeline, "%s/%s/timeline", base_of(side), id.p ? id.p : "");
        print_rows("Timeline:", json_object_get(timeline ? timeline : answer, timeline ? "data" : "timeline"), timeline_columns,
                   ARRAY_LEN(timeline_columns));
        json_decref(timeline);
    }
    json_decref(answer);
    buf_release(&id);
    return how;
}

static enum ending show(struct session *s) {
    return on_one(s, session_side(s), "GET", "");
}

static enum ending retry(struct session *s) {
    return on_one(s, SIDE_OPERATOR, "POST", "/retry");
}

// ---- watch ----

static void tell_state(const struct session *s, const char *state) {
    if (!session_has(s, OPT_JSON) && terminal_width(stderr) > 0)
        fprintf(stderr, "%s\n", state);
}

// Asks until the order has ended, and shows how it did. The server answers when it has; only one that does not know how to wait is asked
// ever more seldom.
static enum ending watch_order(struct session *s, const char *order_id) {
    int64_t timeout = TIMEOUT_DEFAULT;
    if (!option_i64(s, OPT_TIMEOUT, "--timeout", 0, 86400, &timeout))
        return END_USAGE;
    struct mono begun = clock_mono(&clock_system);
    struct buf id;
    char state[32] = "";
    long pause = 50;
    int64_t patience = 0; // seconds that the server may take
    json_t *answer = NULL;
    buf_init(&id, PATH_MAX_BYTES);
    path_segment(&id, order_id);
    enum ending how;
    for (;;) {
        struct mono asked = clock_mono(&clock_system);
        how = session_call(s, SIDE_PARTNER, "GET", STR_NONE, &answer, "/v2/orders/%s?wait=%" PRId64, id.p ? id.p : "", patience);
        if (how != END_OK)
            break;
        const char *now = member_str(answer, "status");
        if (strcmp(now, state) != 0)
            tell_state(s, now);
        snprintf(state, sizeof state, "%s", now);
        bool failed = strcmp(state, "FAILED") == 0;
        int64_t left = timeout * 1000 - mono_ms_between(begun, clock_mono(&clock_system));
        if (failed || strcmp(state, "COMPLETED") == 0 || left <= 0) {
            if (session_has(s, OPT_JSON))
                printf(STR_FMT "\n", STR_ARG(session_answer(s)));
            else
                print_order(answer);
            if (failed)
                how = complain(END_ORDER_FAILED, "the order failed");
            else if (left <= 0 && strcmp(state, "COMPLETED") != 0)
                how = complain(END_TIMEOUT, "the order has not ended within %" PRId64 " s; it goes on: topup order watch %s", timeout,
                               order_id);
            break;
        }
        json_decref(answer);
        answer = NULL;
        bool waited = patience > 0 && mono_ms_between(asked, clock_mono(&clock_system)) >= 500;
        patience = left / 1000 < WAIT_MAX ? left / 1000 : WAIT_MAX;
        if (waited)
            continue;
        client_pause(pause < left ? pause : (long)left);
        pause = pause * 3 / 2 < 2000 ? pause * 3 / 2 : 2000;
    }
    json_decref(answer);
    buf_release(&id);
    return how;
}

static enum ending watch(struct session *s) {
    return watch_order(s, s->operand[0]);
}

// ---- place ----

// What the options leave open: a SIM that the partner sees is topped up; one that it does not see yet, a pSIM, is activated; without a SIM
// an eSIM is.
static enum ending decide(struct session *s, const char **operation, const char **sim_type) {
    const char *iccid = session_option(s, OPT_ICCID), *asked = session_option(s, OPT_OPERATION), *type = session_option(s, OPT_TYPE);
    *operation = asked ? (strcmp(asked, "topup") == 0 ? "TOPUP" : "ACTIVATION") : NULL;
    *sim_type = type;
    if (*operation && *sim_type)
        return END_OK;
    if (!iccid) {
        if (!*operation)
            *operation = "ACTIVATION";
        if (!*sim_type)
            *sim_type = strcmp(*operation, "ACTIVATION") == 0 ? "ESIM" : "PSIM";
        return END_OK;
    }
    struct buf path;
    struct err err = {0};
    json_t *sim = NULL;
    buf_init(&path, PATH_MAX_BYTES);
    buf_add_text(&path, "/v2/sims/");
    path_segment(&path, iccid);
    enum err_kind kind = client_call(s->client, SIDE_PARTNER, "GET", path.p, NULL, STR_NONE, &err);
    buf_release(&path);
    if (kind != ERR_NONE && kind != ERR_NOT_FOUND)
        return complain_err(kind == ERR_UNAVAILABLE || kind == ERR_RATE ? END_UNREACHABLE : END_REFUSED, &err);
    if (kind == ERR_NONE && json_parse_object(session_answer(s), &sim, &err) != ERR_NONE)
        return complain(END_REFUSED, "the server's answer is no JSON: is this the right address?");
    if (!*operation)
        *operation = sim ? "TOPUP" : "ACTIVATION";
    if (!*sim_type)
        *sim_type = sim && strcmp(member_str(sim, "sim_type"), "ESIM") == 0 ? "ESIM" : "PSIM";
    json_decref(sim);
    return END_OK;
}

static void add_option(const struct session *s, struct jw *w, const char *member, enum option_key key) {
    if (session_has(s, key))
        jw_text(w, member, session_option(s, key));
}

static void add_subscriber(const struct session *s, struct jw *w) {
    jw_object(w, "subscriber");
    add_option(s, w, "email", OPT_EMAIL);
    add_option(s, w, "first_name", OPT_FIRST_NAME);
    add_option(s, w, "last_name", OPT_LAST_NAME);
    add_option(s, w, "country_of_residence", OPT_RESIDENCE);
    add_option(s, w, "language", OPT_LANGUAGE);
    if (session_has(s, OPT_DEVICE_OS)) {
        jw_object(w, "device");
        add_option(s, w, "operating_system", OPT_DEVICE_OS);
        jw_end_object(w);
    }
    if (session_has(s, OPT_ICCID)) {
        jw_object(w, "sim");
        add_option(s, w, "iccid", OPT_ICCID);
        jw_end_object(w);
    }
    jw_end_object(w);
}

static void order_body(const struct session *s, struct buf *body, const char *operation, const char *sim_type) {
    struct jw w = jw_on(body);
    jw_object(&w, NULL);
    jw_text(&w, "operation_type", operation);
    jw_text(&w, "sim_type", sim_type);
    jw_text(&w, "country", session_has(s, OPT_COUNTRY) ? session_option(s, OPT_COUNTRY) : s->config.value[CONFIG_COUNTRY]);
    add_option(s, &w, "reference", OPT_REFERENCE);
    jw_object(&w, "product");
    add_option(s, &w, "id", OPT_PRODUCT);
    add_option(s, &w, "sold_price", OPT_PRICE);
    add_option(s, &w, "sold_currency", OPT_CURRENCY);
    add_option(s, &w, "activation_date", OPT_ACTIVATE);
    add_option(s, &w, "expiration_date", OPT_EXPIRE);
    jw_end_object(&w);
    add_subscriber(s, &w);
    jw_end_object(&w);
}

static bool key_valid(const char *key) {
    size_t n = strlen(key);
    for (size_t i = 0; i < n; i++)
        if (key[i] < 0x20 || key[i] > 0x7e)
            return false;
    return n >= 1 && n <= 255;
}

static const char *fresh_key(char out[UUID_TEXT]) {
    struct id_gen gen;
    id_gen_init(&gen, &rng_system);
    uuid_format(id_next(&gen, clock_wall(&clock_system), 0), out);
    return out;
}

static enum ending place(struct session *s) {
    int64_t timeout = TIMEOUT_DEFAULT;
    if (!session_has(s, OPT_PRODUCT))
        return complain(END_USAGE, "--product: missing (`topup products` lists what you can order)");
    if (!option_i64(s, OPT_TIMEOUT, "--timeout", 0, 86400, &timeout))
        return END_USAGE; // before anything is ordered
    const char *given = session_option(s, OPT_IDEMPOTENCY_KEY);
    if (given && !key_valid(given))
        return complain(END_USAGE, "--idempotency-key: must be 1 to 255 printable ASCII characters");
    const char *operation, *sim_type;
    enum ending how = decide(s, &operation, &sim_type);
    if (how != END_OK)
        return how;
    struct buf body;
    json_t *answer = NULL;
    char id[64] = "", key[UUID_TEXT];
    buf_init(&body, PATH_MAX_BYTES);
    order_body(s, &body, operation, sim_type);
    const char *used = given ? given : fresh_key(key);
    client_idempotent(s->client, used);
    how = session_call(s, SIDE_PARTNER, "POST", buf_str(&body), &answer, "/v2/orders");
    if (client_answer(s->client)->unsure)
        complain(how, "it is not known whether the order was placed; the same command with --idempotency-key '%s' never places it twice",
                 used);
    snprintf(id, sizeof id, "%s", member_str(answer, "id"));
    if (how == END_OK && !session_has(s, OPT_WAIT)) {
        if (session_has(s, OPT_JSON))
            printf(STR_FMT "\n", STR_ARG(session_answer(s)));
        else
            print_members(answer);
    }
    json_decref(answer);
    buf_release(&body);
    if (how == END_OK && session_has(s, OPT_WAIT))
        how = watch_order(s, id);
    return how;
}

static const struct argp_option list_options[] = {
    {"status", OPT_STATUS, "ACCEPTED|FULFILLING|COMPLETED|FAILED", 0, "In this state", 0},
    {"iccid", OPT_ICCID, "ICCID", 0, "For this SIM", 0},
    {"correlation-id", OPT_CORRELATION_ID, "ID", 0, "With this correlation id", 0},
    {"after", OPT_AFTER, "DATE", 0, "Created after DATE, such as 2026-01-31T00:00:00Z", 0},
    {"before", OPT_BEFORE, "DATE", 0, "Created before DATE", 0},
    {"partner", OPT_PARTNER, "CLIENT_ID", 0, "Of this partner (operator)", 0},
    {"as", OPT_AS, "operator|partner", 0, "Whose API to use; default: the operator's when there is an operator's token", 0},
    {"limit", OPT_LIMIT, "N", 0, "At most N rows; default 50", 0},
    {"all", OPT_ALL, NULL, 0, "Every row", 0},
    {0}};
static const struct argp_option show_options[] = {
    {"as", OPT_AS, "operator|partner", 0, "Whose API to use; default: the operator's when there is an operator's token", 0}, {0}};
static const struct argp_option watch_options[] = {{"timeout", OPT_TIMEOUT, "SECONDS", 0, "Give up waiting after so long; default 120", 0},
                                                   {0}};
static const struct argp_option place_options[] = {
    {"product", OPT_PRODUCT, "ID", 0, "What to order (required)", 0},
    {"iccid", OPT_ICCID, "ICCID", 0, "For this SIM; without it an eSIM is activated", 0},
    {"country", OPT_COUNTRY, "CODE", 0, "Where the order is placed, such as GB; default: `country` of the configuration, else GB", 0},
    {"activate", OPT_ACTIVATE, "DATE", 0, "Begin then, such as 2026-12-24T18:00:00Z; default: at once", 0},
    {"expire", OPT_EXPIRE, "DATE", 0, "End then, earlier than the plan would", 0},
    {"email", OPT_EMAIL, "ADDRESS", 0, "The subscriber's email; an activation needs one", 0},
    {"first-name", OPT_FIRST_NAME, "NAME", 0, "The subscriber's first name", 0},
    {"last-name", OPT_LAST_NAME, "NAME", 0, "The subscriber's last name", 0},
    {"residence", OPT_RESIDENCE, "CODE", 0, "The subscriber's country of residence", 0},
    {"language", OPT_LANGUAGE, "TAG", 0, "The subscriber's language, such as en", 0},
    {"device-os", OPT_DEVICE_OS, "ios|android|windows|iot", 0, "The device's operating system, for an eSIM", 0},
    {"price", OPT_PRICE, "AMOUNT", 0, "What it was sold for; default: the product's price", 0},
    {"currency", OPT_CURRENCY, "CODE", 0, "The currency of --price", 0},
    {"reference", OPT_REFERENCE, "TEXT", 0, "Your own reference, unique among your orders", 0},
    {"idempotency-key", OPT_IDEMPOTENCY_KEY, "KEY", 0, "Repeat an order whose answer was lost: the key that was told then", 0},
    {"operation", OPT_OPERATION, "activation|topup", 0, "Default: a SIM in service is topped up, another is activated", 0},
    {"type", OPT_TYPE, "ESIM|PSIM", 0, "Default: the SIM's own", 0},
    {"wait", OPT_WAIT, NULL, 0, "Wait until the order has ended, and show how", 0},
    {"timeout", OPT_TIMEOUT, "SECONDS", 0, "With --wait: give up waiting after so long; default 120", 0},
    {0}};

const struct command order_commands[] = {
    {"order", "place", NULL, 0, 0, place_options, "Order a product for a SIM (partner)",
     "With --iccid, a SIM in service is topped up and a pSIM that is not is activated; without it a new eSIM is activated. With --wait the "
     "exit code says whether the order was completed (0), failed (4) or has not ended (5).\n\n"
     "When the answer to an order is lost the call is made again, under the same idempotency key: the order is placed once.",
     "  topup order place --iccid 8944472600000510740 --wait \\\n"
     "      --product kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=\n"
     "  topup order place --email ada@example.org --wait \\\n"
     "      --product wp-_bXkuC26SFDSRMHyiAQK7LJ6MtiWyr3zLfwB7FM=\n",
     place},
    {"order", "watch", "ID", 1, 1, watch_options, "Wait until an order has ended (partner)", NULL,
     "  topup order watch 6d41c4ff-1877-4d13-82b0-7dad02c4b02a --timeout 600\n", watch},
    {"order", "list", NULL, 0, 0, list_options, "List orders, the newest first", NULL,
     "  topup order list --status FAILED\n"
     "  topup order list --partner acme --after 2026-11-01T00:00:00Z --all --json\n",
     list},
    {"order", "show", "ID", 1, 1, show_options, "Show an order and, to operators, its tasks", NULL,
     "  topup order show 6d41c4ff-1877-4d13-82b0-7dad02c4b02a\n", show},
    {"order", "retry", "ID", 1, 1, NULL, "Try an order's parked tasks again (operator)",
     "A task is parked when its network element could not be reached often enough, or said something unexpected. `topup order show` tells "
     "what.",
     "  topup order retry 6d41c4ff-1877-4d13-82b0-7dad02c4b02a\n", retry},
    {0}};
