// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox.c - a sandbox partner's own world: its clock, its SIMs, what they use, and beginning afresh.
 */
#include <inttypes.h>
#include <string.h>

#include "topup/print.h"

#define BODY_MAX 4096
#define CLOCK_SECONDS 600 // everything due until then happens first

static const struct list_column sim_columns[] = {{"ICCID", "iccid", CELL_KEEP},
                                                 {"TYPE", "sim_type", CELL_KEEP},
                                                 {"ACTIVATED", "activated", CELL_KEEP},
                                                 {"BEHAVIOUR", "behaviour", CELL_KEEP},
                                                 {"STATUS", "status", CELL_KEEP},
                                                 {"MSISDN", "msisdn", CELL_KEEP},
                                                 {"MATCHING ID", "matching_id", CELL_TEXT}};

// ---- clock ----

static void show_clock(const struct session *s, const json_t *clock) {
    int64_t ahead = member_i64(clock, "ahead_seconds");
    char text[64] = "the real time";
    if (ahead > 0)
        snprintf(text, sizeof text, "%" PRId64 " d %" PRId64 " h %" PRId64 " min ahead of the real time", ahead / 86400, ahead / 3600 % 24,
                 ahead / 60 % 60);
    print_line(s, "%s, %s", member_str(clock, "now"), text);
}

static enum ending call_clock(struct session *s, const char *method, struct str body) {
    json_t *clock = NULL;
    client_patience(s->client, CLOCK_SECONDS);
    enum ending how = session_call(s, SIDE_PARTNER, method, body, &clock, "/v2/sandbox/clock");
    if (how == END_OK && session_has(s, OPT_JSON))
        printf(STR_FMT "\n", STR_ARG(session_answer(s)));
    else if (how == END_OK)
        show_clock(s, clock);
    json_decref(clock);
    return how;
}

static enum ending clock_command(struct session *s) {
    if (s->operands == 0)
        return call_clock(s, "GET", STR_NONE);
    bool advance = strcmp(s->operand[0], "advance") == 0;
    if (s->operands != 2 || (!advance && strcmp(s->operand[0], "set") != 0))
        return complain(END_USAGE, "the clock takes \"advance DURATION\", \"set DATE\", or nothing to show it");
    struct buf body;
    buf_init(&body, BODY_MAX);
    struct jw w = jw_on(&body);
    jw_object(&w, NULL);
    jw_text(&w, advance ? "advance" : "now", s->operand[1]);
    jw_end_object(&w);
    enum ending how = body.failed ? complain(END_USAGE, "an argument is too long") : call_clock(s, "POST", buf_str(&body));
    buf_release(&body);
    return how;
}

// ---- SIMs ----

static enum ending make_sims(struct session *s) {
    int64_t count = 1;
    if (!option_i64(s, OPT_COUNT, "--count", 1, 100, &count))
        return END_USAGE;
    if (!session_has(s, OPT_TYPE))
        return complain(END_USAGE, "--type: is required to make SIMs: ESIM or PSIM");
    struct buf body;
    json_t *answer = NULL;
    buf_init(&body, BODY_MAX);
    struct jw w = jw_on(&body);
    jw_object(&w, NULL);
    jw_text(&w, "sim_type", session_option(s, OPT_TYPE));
    jw_i64(&w, "count", count);
    jw_bool(&w, "activated", session_has(s, OPT_ACTIVATED));
    if (session_has(s, OPT_BEHAVIOUR))
        jw_text(&w, "behaviour", session_option(s, OPT_BEHAVIOUR));
    jw_end_object(&w);
    enum ending how = session_call(s, SIDE_PARTNER, "POST", buf_str(&body), &answer, "/v2/sandbox/sims");
    if (how == END_OK && session_has(s, OPT_JSON))
        printf(STR_FMT "\n", STR_ARG(session_answer(s)));
    else if (how == END_OK)
        print_rows("Made:", json_object_get(answer, "data"), sim_columns, ARRAY_LEN(sim_columns));
    json_decref(answer);
    buf_release(&body);
    return how;
}

static enum ending sims(struct session *s) {
    if (session_has(s, OPT_COUNT) || session_has(s, OPT_BEHAVIOUR) || session_has(s, OPT_ACTIVATED))
        return make_sims(s);
    struct buf path;
    buf_init(&path, BODY_MAX);
    buf_add_text(&path, "/v2/sandbox/sims");
    query_add(&path, "sim_type", session_option(s, OPT_TYPE));
    enum ending how = print_list(s, SIDE_PARTNER, &path, false, sim_columns, ARRAY_LEN(sim_columns));
    buf_release(&path);
    return how;
}

// ---- usage ----

// "1024", "500M", "4G": binary units, as everywhere in the API.
static bool take_bytes(const struct session *s, enum option_key key, const char *name, int64_t *out) {
    const char *text = session_option(s, key);
    if (!text)
        return true;
    static const char units[] = "KMGT";
    struct str number = str_of(text);
    const char *unit = number.n > 0 ? strchr(units, number.p[number.n - 1]) : NULL;
    int shift = unit && *unit ? 10 * (int)(unit - units + 1) : 0;
    number.n -= shift > 0;
    if (!str_to_i64(number, out) || *out < 0 || *out > INT64_MAX >> shift) {
        complain(END_USAGE, "%s: must be a number of bytes such as 1024, 500M or 4G, not \"%s\"", name, text);
        return false;
    }
    *out <<= shift;
    return true;
}

static enum ending use(struct session *s) {
    int64_t down = 0, up = 0;
    if (!session_has(s, OPT_ICCID) || !(session_has(s, OPT_BYTES) || session_has(s, OPT_BYTES_UP)))
        return complain(END_USAGE, "--iccid and --bytes are required");
    if (!take_bytes(s, OPT_BYTES, "--bytes", &down) || !take_bytes(s, OPT_BYTES_UP, "--up", &up))
        return END_USAGE;
    struct buf body, iccid;
    buf_init(&body, BODY_MAX);
    buf_init(&iccid, BODY_MAX);
    path_segment(&iccid, session_option(s, OPT_ICCID));
    struct jw w = jw_on(&body);
    jw_object(&w, NULL);
    jw_i64(&w, "bytes_down", down);
    jw_i64(&w, "bytes_up", up);
    static const struct {
        enum option_key key;
        const char *member;
    } texts[] = {{OPT_START, "start"}, {OPT_EXPIRE, "end"}, {OPT_RECORD_ID, "record_id"}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (session_has(s, texts[i].key))
            jw_text(&w, texts[i].member, session_option(s, texts[i].key));
    jw_end_object(&w);
    json_t *answer = NULL;
    enum ending how = session_call(s, SIDE_PARTNER, "POST", buf_str(&body), &answer, "/v2/sandbox/sims/%s/usage", iccid.p ? iccid.p : "");
    if (how == END_OK && session_has(s, OPT_JSON)) {
        printf(STR_FMT "\n", STR_ARG(session_answer(s)));
    } else if (how == END_OK) {
        static const struct list_column columns[] = {{"SUBSCRIPTION", "subscription_id", CELL_KEEP}, {"BYTES", "bytes", CELL_BYTES}};
        print_member(answer, "verdict", "verdict");
        print_member(answer, "record_id", "record_id");
        print_member(answer, "unrated_bytes", "unrated_bytes");
        print_member(answer, "reason", "reason");
        print_rows("Taken from:", json_object_get(answer, "bookings"), columns, ARRAY_LEN(columns));
    }
    json_decref(answer);
    buf_release(&iccid);
    buf_release(&body);
    return how;
}

// ---- afresh ----

static enum ending reset(struct session *s) {
    client_patience(s->client, CLOCK_SECONDS);
    enum ending how = session_call(s, SIDE_PARTNER, "DELETE", STR_NONE, NULL, "/v2/sandbox/data");
    if (how == END_OK)
        print_line(s, "The sandbox is as it was at its start, and its clock shows the real time.");
    return how;
}

static const struct argp_option sims_options[] = {{"type", OPT_TYPE, "ESIM|PSIM", 0, "Only this type, or: of this type", 0},
                                                  {"count", OPT_COUNT, "N", 0, "Make so many, 1 to 100", 0},
                                                  {"activated", OPT_ACTIVATED, NULL, 0, "Make SIMs that are in service already", 0},
                                                  {"behaviour", OPT_BEHAVIOUR, "as_usual|refused|slow|unsure_done|unsure_not_done", 0,
                                                   "Make SIMs whose orders fail or dawdle like this", 0},
                                                  {"limit", OPT_LIMIT, "N", 0, "At most N rows; default 50", 0},
                                                  {"all", OPT_ALL, NULL, 0, "Every row", 0},
                                                  {0}};
static const struct argp_option use_options[] = {
    {"iccid", OPT_ICCID, "ICCID", 0, "The SIM that uses data (required)", 0},
    {"bytes", OPT_BYTES, "N", 0, "How much came down: bytes, or with K, M, G or T (binary)", 0},
    {"up", OPT_BYTES_UP, "N", 0, "How much went up", 0},
    {"start", OPT_START, "DATE", 0, "Since when; default: just now", 0},
    {"end", OPT_EXPIRE, "DATE", 0, "Until when; default: just now", 0},
    {"record-id", OPT_RECORD_ID, "ID", 0, "The record's id, which counts once; default: one is made", 0},
    {0}};

const struct command sandbox_commands[] = {
    {"sandbox", "clock", "[advance DURATION | set DATE]", 0, 2, NULL, "Show the sandbox's clock, or turn it forward",
     "Everything that is due until then happens, in order, before the command ends: plans begin and end, events carry the sandbox's time. "
     "DURATION is such as 30d, 12h, 45m, P1M (ISO 8601). It never goes back; `topup sandbox reset` sets it to the real time.",
     "  topup sandbox clock\n"
     "  topup sandbox clock advance 30d\n"
     "  topup sandbox clock set 2027-01-31T12:00:00Z\n",
     clock_command, true},
    {"sandbox", "sims", NULL, 0, 0, sims_options, "List the sandbox's SIMs, or make fresh ones",
     "With --count, --activated or --behaviour SIMs are made, otherwise those that are there are listed, in stock and in service.",
     "  topup sandbox sims\n"
     "  topup sandbox sims --type ESIM --count 5\n"
     "  topup sandbox sims --type PSIM --activated --behaviour slow\n",
     sims, true},
    {"sandbox", "usage", NULL, 0, 0, use_options, "Use data of a SIM", "As its network would report it, at the sandbox's time.",
     "  topup sandbox usage --iccid 8999900000000020004 --bytes 4G\n", use, true},
    {"sandbox", "reset", NULL, 0, 0, NULL, "Begin afresh",
     "Orders, subscriptions, usage, events, the log of deliveries and the SIMs that were made go; those of the start are there again, as "
     "new, and the clock shows the real time. Plans, credentials and webhooks stay.",
     "  topup sandbox reset\n", reset, true},
    {0}};
