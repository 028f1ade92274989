// SPDX-License-Identifier: Apache-2.0
/*
 * webhook.c - a partner's endpoints, and what became of deliveries to them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "topup/print.h"

#define BODY_MAX 65536
#define TEST_SECONDS 30 // a receiver may take 15, and one before it, too

static const struct list_column columns[] = {{"ID", "id", CELL_KEEP},
                                             {"STATUS", "status", CELL_KEEP},
                                             {"NEXT", "next_sequence", CELL_NUMBER},
                                             {"FAILED", "failed_attempts", CELL_NUMBER},
                                             {"URL", "url", CELL_TEXT},
                                             {"TYPES", "types", CELL_TEXT}};
static const struct list_column delivery_columns[] = {{"ID", "id", CELL_KEEP},
                                                      {"OUTCOME", "outcome", CELL_KEEP},
                                                      {"STATUS", "answer.status", CELL_NUMBER},
                                                      {"EVENT", "event_sequence", CELL_NUMBER},
                                                      {"TYPE", "event_type", CELL_KEEP},
                                                      {"TRY", "attempt", CELL_NUMBER},
                                                      {"MS", "duration_ms", CELL_NUMBER},
                                                      {"WHEN", "attempted_date", CELL_KEEP},
                                                      {"NEXT", "next_attempt_date", CELL_KEEP},
                                                      {"ERROR", "error", CELL_TEXT}};

// ---- what is sent ----

static enum ending add_settings(const struct session *s, struct jw *w) {
    bool enable = session_has(s, OPT_ENABLE), disable = session_has(s, OPT_DISABLE);
    if (enable && disable)
        return complain(END_USAGE, "--enable and --disable: one of them");
    if (session_has(s, OPT_URL))
        jw_text(w, "url", session_option(s, OPT_URL));
    if (session_has(s, OPT_TYPES))
        jw_words(w, "types", session_option(s, OPT_TYPES));
    if (enable || disable)
        jw_bool(w, "enabled", enable);
    return END_OK;
}

// Sends it to the endpoint that the first operand names (or to none) and shows the answer.
static enum ending send_body(struct session *s, const char *method, const char *verb, struct buf *body) {
    struct buf path;
    buf_init(&path, BODY_MAX);
    if (s->command->min > 0 && strcmp(s->command->verb, "add") != 0) {
        buf_add_char(&path, '/');
        path_segment(&path, s->operand[0]);
    }
    buf_add_text(&path, verb);
    enum ending how = body && body->failed
                          ? complain(END_USAGE, "an argument is too long")
                          : session_show(s, SIDE_PARTNER, method, body ? buf_str(body) : STR_NONE, "/v2/webhooks%s", path.p ? path.p : "");
    buf_release(&path);
    return how;
}

static void body_release(struct buf *body) {
    if (body->p)
        secret_wipe(body->p, body->n);
    buf_release(body);
}

static void show_secret(const struct session *s) {
    if (!session_has(s, OPT_JSON))
        fputs("\nThe secret is shown this once: it verifies the deliveries.\n", stderr);
}

// ---- endpoints ----

static enum ending add(struct session *s) {
    struct buf body;
    buf_init(&body, BODY_MAX);
    struct jw w = jw_on(&body);
    jw_object(&w, NULL);
    jw_text(&w, "url", s->operand[0]);
    enum ending how = add_settings(s, &w);
    if (how == END_OK && !add_secret_file(s, &w, "secret"))
        how = END_LOCAL;
    jw_end_object(&w);
    if (how == END_OK)
        how = send_body(s, "POST", "", &body);
    if (how == END_OK)
        show_secret(s);
    body_release(&body);
    return how;
}

static enum ending list(struct session *s) {
    struct buf path;
    buf_init(&path, BODY_MAX);
    buf_add_text(&path, "/v2/webhooks");
    enum ending how = print_list(s, SIDE_PARTNER, &path, false, columns, ARRAY_LEN(columns));
    buf_release(&path);
    return how;
}

static enum ending show(struct session *s) {
    return send_body(s, "GET", "", NULL);
}

static enum ending set(struct session *s) {
    struct buf body;
    buf_init(&body, BODY_MAX);
    struct jw w = jw_on(&body);
    jw_object(&w, NULL);
    enum ending how = add_settings(s, &w);
    jw_end_object(&w);
    if (how == END_OK && body.n == 2)
        how = complain(END_USAGE, "nothing to set: give at least one option");
    if (how == END_OK)
        how = send_body(s, "PATCH", "", &body);
    body_release(&body);
    return how;
}

static enum ending remove_one(struct session *s) {
    enum ending how = send_body(s, "DELETE", "", NULL);
    if (how == END_OK)
        print_line(s, "Removed.");
    return how;
}

static enum ending rotate(struct session *s) {
    int64_t seconds = 86400;
    if (!option_seconds(s, OPT_OVERLAP, "--overlap", 30 * INT64_C(86400), &seconds))
        return END_USAGE;
    struct buf body;
    buf_init(&body, BODY_MAX);
    struct jw w = jw_on(&body);
    jw_object(&w, NULL);
    jw_i64(&w, "overlap_seconds", seconds);
    enum ending how = add_secret_file(s, &w, "secret") ? END_OK : END_LOCAL;
    jw_end_object(&w);
    if (how == END_OK)
        how = send_body(s, "POST", "/rotate-secret", &body);
    if (how == END_OK)
        show_secret(s);
    body_release(&body);
    return how;
}

static enum ending replay(struct session *s) {
    int64_t from = 0;
    if (!session_has(s, OPT_FROM))
        return complain(END_USAGE, "--from: is required: the sequence of an event");
    if (!option_i64(s, OPT_FROM, "--from", 1, INT64_MAX - 1, &from))
        return END_USAGE;
    struct buf body;
    buf_init(&body, BODY_MAX);
    struct jw w = jw_on(&body);
    jw_object(&w, NULL);
    jw_i64(&w, "from_sequence", from);
    jw_end_object(&w);
    enum ending how = send_body(s, "POST", "/replay", &body);
    body_release(&body);
    return how;
}

// ---- deliveries ----

static enum ending deliveries(struct session *s) {
    struct buf path;
    buf_init(&path, BODY_MAX);
    buf_add_text(&path, "/v2/webhooks/");
    path_segment(&path, s->operand[0]);
    buf_add_text(&path, "/deliveries");
    enum ending how = print_list(s, SIDE_PARTNER, &path, false, delivery_columns, ARRAY_LEN(delivery_columns));
    buf_release(&path);
    return how;
}

// Asks until the one that was asked for has been tried, and shows what came back.
static enum ending watch_delivery(struct session *s, const char *delivery) {
    struct mono begun = clock_mono(&clock_system);
    struct buf path;
    json_t *answer = NULL;
    long pause = 20;
    enum ending how;
    buf_init(&path, BODY_MAX);
    path_segment(&path, s->operand[0]);
    buf_add_text(&path, "/deliveries/");
    path_segment(&path, delivery);
    for (;;) {
        how = session_call(s, SIDE_PARTNER, "GET", STR_NONE, &answer, "/v2/webhooks/%s", path.p ? path.p : "");
        bool pending = how == END_OK && strcmp(member_str(answer, "outcome"), "PENDING") == 0;
        bool over = mono_ms_between(begun, clock_mono(&clock_system)) >= TEST_SECONDS * 1000;
        if (!pending || over)
            break;
        json_decref(answer);
        answer = NULL;
        client_pause(pause);
        pause = pause * 3 / 2 < 1000 ? pause * 3 / 2 : 1000;
    }
    if (how == END_OK && session_has(s, OPT_JSON))
        printf(STR_FMT "\n", STR_ARG(session_answer(s)));
    else if (how == END_OK)
        print_members(answer);
    if (how == END_OK && strcmp(member_str(answer, "outcome"), "PENDING") == 0)
        how = complain(END_TIMEOUT, "it has not been tried within %d s; topup webhook deliveries %s shows when it has", TEST_SECONDS,
                       s->operand[0]);
    else if (how == END_OK && strcmp(member_str(answer, "outcome"), "DELIVERED") != 0)
        how = complain(END_REFUSED, "it was not delivered");
    json_decref(answer);
    buf_release(&path);
    return how;
}

static enum ending ask(struct session *s, const char *verb) {
    struct buf path;
    json_t *answer = NULL;
    char id[64];
    buf_init(&path, BODY_MAX);
    path_segment(&path, s->operand[0]);
    if (s->operands > 1) {
        buf_add_text(&path, "/deliveries/");
        path_segment(&path, s->operand[1]);
    }
    enum ending how = session_call(s, SIDE_PARTNER, "POST", STR_NONE, &answer, "/v2/webhooks/%s/%s", path.p ? path.p : "", verb);
    snprintf(id, sizeof id, "%s", how == END_OK ? member_str(answer, "id") : "");
    json_decref(answer);
    buf_release(&path);
    return how == END_OK ? watch_delivery(s, id) : how;
}

static enum ending test(struct session *s) {
    return ask(s, "test");
}
static enum ending redeliver(struct session *s) {
    return ask(s, "redeliver");
}

// ---- the rows ----

#define TYPES_OPTION                                                                                                                       \
    { "types", OPT_TYPES, "LIST", 0, "Events that are wanted, such as order.completed,subscription.*", 0 }
#define ID "01a208a3-51ef-73d6-b983-9cb0fee00001"

static const struct argp_option add_options[] = {
    TYPES_OPTION,
    {"secret-file", OPT_SECRET_FILE, "FILE", 0, "Take the secret (whsec_...) from FILE (-: standard input) instead of having one made", 0},
    {"disable", OPT_DISABLE, NULL, 0, "Do not deliver to it yet", 0},
    {0}};
static const struct argp_option set_options[] = {{"url", OPT_URL, "URL", 0, "Deliver there", 0},
                                                 TYPES_OPTION,
                                                 {"enable", OPT_ENABLE, NULL, 0, "Deliver to it again, from where it stopped", 0},
                                                 {"disable", OPT_DISABLE, NULL, 0, "Deliver nothing for now", 0},
                                                 {0}};
static const struct argp_option rotate_options[] = {
    {"overlap", OPT_OVERLAP, "TIME", 0, "How long deliveries are signed with the old secret, too, such as 12h or 7d; default 1d", 0},
    {"secret-file", OPT_SECRET_FILE, "FILE", 0, "Take the new secret from FILE (-: standard input) instead of having one made", 0},
    {0}};
static const struct argp_option replay_options[] = {{"from", OPT_FROM, "SEQUENCE", 0, "The event that is delivered next", 0}, {0}};
static const struct argp_option list_options[] = {
    {"limit", OPT_LIMIT, "N", 0, "At most N rows; default 50", 0}, {"all", OPT_ALL, NULL, 0, "Every row", 0}, {0}};

const struct command webhook_commands[] = {
    {"webhook", "add", "URL", 1, 1, add_options, "Have events delivered to an address and show the secret that signs them, once",
     "What happens from now on is sent there as POST, in order and at least once, signed as Standard Webhooks says.",
     "  topup webhook add https://hooks.example.com/connect --types order.*,subscription.threshold\n", add},
    {"webhook", "list", NULL, 0, 0, list_options, "List the endpoints", NULL, "  topup webhook list\n", list},
    {"webhook", "show", "ID", 1, 1, NULL, "Show one endpoint", NULL, "  topup webhook show " ID "\n", show},
    {"webhook", "set", "ID", 1, 1, set_options, "Change an endpoint", "What is not named stays as it is.",
     "  topup webhook set " ID " --types order.completed\n"
     "  topup webhook set " ID " --enable              # it was disabled after five days of failures\n",
     set},
    {"webhook", "remove", "ID", 1, 1, NULL, "Remove an endpoint and its log", NULL, "  topup webhook remove " ID "\n", remove_one},
    {"webhook", "rotate-secret", "ID", 1, 1, rotate_options, "Give an endpoint a new secret", NULL,
     "  topup webhook rotate-secret " ID " --overlap 7d\n", rotate},
    {"webhook", "test", "ID", 1, 1, NULL, "Send a test event to an endpoint and show what came back", NULL, "  topup webhook test " ID "\n",
     test},
    {"webhook", "deliveries", "ID", 1, 1, list_options, "List attempts to deliver, the newest first, with what came back", NULL,
     "  topup webhook deliveries " ID "\n", deliveries},
    {"webhook", "redeliver", "ID DELIVERY", 2, 2, NULL, "Send a delivery's event once more and show what came back", NULL,
     "  topup webhook redeliver " ID " 01a208a3-520c-7bb7-8ddd-e781d3700001\n", redeliver},
    {"webhook", "replay", "ID", 1, 1, replay_options, "Deliver again from an event on", NULL, "  topup webhook replay " ID " --from 1200\n",
     replay},
    {0}};
