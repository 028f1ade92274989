// SPDX-License-Identifier: Apache-2.0
/*
 * sim.c - SIMs. The import reads the file once, a record at a time, and sends it in pieces that the server keeps apart until all of them
 * have been judged; so memory is one piece, and nothing is in stock before everything is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "topup/feed.h"
#include "topup/print.h"

#define PATH_MAX_BYTES 65536
#define PIECE_ROWS 5000
#define PIECE_BYTES (1u << 20)
#define FAULTS_PAGE "1000"

static const struct list_column columns[] = {{"ICCID", "iccid", CELL_KEEP},     {"TYPE", "sim_type", CELL_KEEP},
                                             {"SERVICE", "service", CELL_KEEP}, {"PARTNER", "partner", CELL_TEXT},
                                             {"STATUS", "status", CELL_KEEP},   {"MSISDN", "msisdn", CELL_KEEP},
                                             {"IMSI", "imsi", CELL_KEEP},       {"ACTIVATED", "activated_date", CELL_KEEP}};
static const struct list_column own_columns[] = {{"ICCID", "iccid", CELL_KEEP},
                                                 {"TYPE", "sim_type", CELL_KEEP},
                                                 {"STATUS", "status", CELL_KEEP},
                                                 {"CHANGED", "last_modified", CELL_KEEP}};
static const struct list_column subscription_columns[] = {{"ID", "id", CELL_KEEP},
                                                          {"STATUS", "status", CELL_KEEP},
                                                          {"LEFT", "current_balance", CELL_BYTES},
                                                          {"OF", "initial_balance", CELL_BYTES},
                                                          {"EXPIRES", "expiry_date", CELL_KEEP},
                                                          {"NAME", "name", CELL_TEXT}};

static enum ending list(struct session *s) {
    struct buf path;
    buf_init(&path, PATH_MAX_BYTES);
    buf_add_text(&path, "/admin/v1/sims");
    query_add(&path, "partner", session_option(s, OPT_PARTNER));
    query_add(&path, "sim_type", session_option(s, OPT_TYPE));
    query_add(&path, "service", session_option(s, OPT_SERVICE));
    enum ending how = print_list(s, SIDE_OPERATOR, &path, true, columns, ARRAY_LEN(columns));
    buf_release(&path);
    return how;
}

static enum ending own_list(struct session *s) {
    struct buf path;
    buf_init(&path, PATH_MAX_BYTES);
    buf_add_text(&path, "/v2/sims");
    enum ending how = print_list(s, SIDE_PARTNER, &path, false, own_columns, ARRAY_LEN(own_columns));
    buf_release(&path);
    return how;
}

// What a device would tell of a download: all the way, in the sandbox.
static enum ending install(struct session *s) {
    static const char *const steps[] = {"DOWNLOADED", "INSTALLED"};
    struct buf iccid;
    enum ending how = END_OK;
    buf_init(&iccid, PATH_MAX_BYTES);
    path_segment(&iccid, s->operand[0]);
    for (size_t i = 0; i < ARRAY_LEN(steps) && how == END_OK; i++) {
        struct buf body;
        buf_init(&body, PATH_MAX_BYTES);
        struct jw w = jw_on(&body);
        jw_object(&w, NULL);
        jw_text(&w, "step", steps[i]);
        if (session_has(s, OPT_EID))
            jw_text(&w, "eid", session_option(s, OPT_EID));
        jw_end_object(&w);
        bool last = i + 1 == ARRAY_LEN(steps);
        const char *path = iccid.p ? iccid.p : "";
        how = last ? session_show(s, SIDE_PARTNER, "POST", buf_str(&body), "/v2/sandbox/sims/%s/download-progress", path)
                   : session_call(s, SIDE_PARTNER, "POST", buf_str(&body), NULL, "/v2/sandbox/sims/%s/download-progress", path);
        buf_release(&body);
    }
    buf_release(&iccid);
    return how;
}

// The SIM, and what runs on it.
static enum ending show(struct session *s) {
    enum client_side side = session_side(s);
    const char *base = side == SIDE_OPERATOR ? "/admin/v1" : "/v2";
    struct buf iccid;
    buf_init(&iccid, PATH_MAX_BYTES);
    path_segment(&iccid, s->operand[0]);
    enum ending how = session_show(s, side, "GET", STR_NONE, "%s/sims/%s", base, iccid.p ? iccid.p : "");
    if (how == END_OK && !session_has(s, OPT_JSON)) {
        json_t *answer = NULL;
        how = session_call(s, side, "GET", STR_NONE, &answer, "%s/subscriptions?iccid=%s&page_size=20", base, iccid.p);
        if (how == END_OK)
            print_rows("Subscriptions:", json_object_get(answer, "data"), subscription_columns, ARRAY_LEN(subscription_columns));
        json_decref(answer);
    }
    buf_release(&iccid);
    return how;
}

// ---- assign ----

static enum ending assign_range(struct session *s) {
    char from[32];
    int64_t assigned = 0, unchanged = 0;
    enum ending how = END_OK;
    snprintf(from, sizeof from, "%s", session_option(s, OPT_FROM));
    // The server takes a long range in steps and says where the next one begins.
    while (how == END_OK && from[0]) {
        struct buf body;
        json_t *answer = NULL;
        buf_init(&body, PATH_MAX_BYTES);
        struct jw w = jw_on(&body);
        jw_object(&w, NULL);
        jw_text(&w, "partner", session_option(s, OPT_PARTNER));
        jw_text(&w, "from", from);
        jw_text(&w, "to", session_option(s, OPT_TO));
        jw_end_object(&w);
        how = session_call(s, SIDE_OPERATOR, "POST", buf_str(&body), &answer, "/admin/v1/sims/assign");
        assigned += member_i64(answer, "assigned");
        unchanged += member_i64(answer, "unchanged");
        snprintf(from, sizeof from, "%s", member_str(answer, "next"));
        json_decref(answer);
        buf_release(&body);
    }
    if (session_has(s, OPT_JSON))
        printf("{\"assigned\":%" PRId64 ",\"unchanged\":%" PRId64 "}\n", assigned, unchanged);
    else if (how == END_OK || assigned > 0)
        printf("%" PRId64 " SIMs assigned, %" PRId64 " were this partner's already.\n", assigned, unchanged);
    return how;
}

static enum ending assign(struct session *s) {
    bool from = session_has(s, OPT_FROM), to = session_has(s, OPT_TO);
    if (!session_has(s, OPT_PARTNER))
        return complain(END_USAGE, "--partner: missing: to whom?");
    if (from != to || from == (s->operands > 0))
        return complain(END_USAGE, "give either ICCIDs, or a range with both --from and --to");
    if (from)
        return assign_range(s);
    struct buf body;
    json_t *answer = NULL;
    buf_init(&body, 16u << 20);
    struct jw w = jw_on(&body);
    jw_object(&w, NULL);
    jw_text(&w, "partner", session_option(s, OPT_PARTNER));
    jw_array(&w, "iccids");
    for (int i = 0; i < s->operands; i++)
        jw_text(&w, NULL, s->operand[i]);
    jw_end_array(&w);
    jw_end_object(&w);
    enum ending how = session_call(s, SIDE_OPERATOR, "POST", buf_str(&body), &answer, "/admin/v1/sims/assign");
    if (how == END_OK && session_has(s, OPT_JSON))
        printf(STR_FMT "\n", STR_ARG(session_answer(s)));
    else if (how == END_OK)
        printf("%" PRId64 " SIMs assigned, %" PRId64 " were this partner's already.\n", member_i64(answer, "assigned"),
               member_i64(answer, "unchanged"));
    json_decref(answer);
    buf_release(&body);
    return how;
}

// ---- import ----

struct import {
    struct session *s;
    struct feed feed;
    struct buf header; // "line,iccid,..."
    struct buf piece;  // header and rows not yet sent
    int64_t piece_rows;
    int64_t id;    // on the server
    bool applying; // or applied
};

static enum ending send_piece(struct import *im) {
    if (im->piece_rows == 0)
        return END_OK;
    struct err err = {0};
    char path[128];
    snprintf(path, sizeof path, "/admin/v1/sim-imports/%" PRId64 "/rows", im->id);
    enum err_kind kind = im->piece.failed ? err_set(&err, ERR_INVALID, "a piece of the file is too large")
                                          : client_call(im->s->client, SIDE_OPERATOR, "POST", path, "text/csv", buf_str(&im->piece), &err);
    buf_clear(&im->piece);
    buf_add_str(&im->piece, buf_str(&im->header));
    im->piece_rows = 0;
    if (kind == ERR_NONE)
        return END_OK;
    feed_tidy(&im->feed);
    return complain_err(kind == ERR_UNAVAILABLE || kind == ERR_RATE ? END_UNREACHABLE : END_REFUSED, &err);
}

static void add_header(struct import *im) {
    buf_add_text(&im->header, "line,fault");
    for (size_t i = 0; i < im->feed.csv.n; i++)
        csv_put(&im->header, im->feed.csv.field[i], false);
    buf_add_char(&im->header, '\n');
    buf_add_str(&im->piece, buf_str(&im->header));
}

// A record as it goes out: its line, what is wrong with it when the reader found something, its fields.
static void add_row(struct import *im, const char *fault) {
    buf_add_i64(&im->piece, im->feed.csv.line);
    csv_put(&im->piece, str_of(fault ? fault : ""), false);
    for (size_t i = 0; i < im->feed.csv.n; i++)
        csv_put(&im->piece, im->feed.csv.field[i], false);
    buf_add_char(&im->piece, '\n');
    im->piece_rows++;
    im->feed.rows++;
}

static enum ending send_rows(struct import *im) {
    enum csv_row row = csv_next(&im->feed.csv);
    if (row == CSV_END)
        return complain(END_BAD_ROWS, "%s: is empty", im->s->operand[0]);
    if (row != CSV_ROW)
        return complain(END_BAD_ROWS, "line %" PRId64 ": %s", im->feed.csv.line, im->feed.csv.reason);
    size_t fields = im->feed.csv.n;
    add_header(im);
    enum ending how = END_OK;
    while (how == END_OK && !feed_interrupted() && (row = csv_next(&im->feed.csv)) != CSV_END) {
        if (row == CSV_BROKEN && feed_interrupted())
            break; // the read was cut short
        if (row == CSV_BROKEN) {
            feed_tidy(&im->feed);
            return complain(END_BAD_ROWS, "line %" PRId64 ": %s", im->feed.csv.line, im->feed.csv.reason);
        }
        const char *fault = row == CSV_BAD            ? im->feed.csv.reason
                            : im->feed.csv.n > fields ? "the line has more fields than the header"
                                                      : NULL;
        if (fault)
            im->feed.csv.n = 0;
        add_row(im, fault);
        if (im->piece_rows == PIECE_ROWS || im->piece.n > PIECE_BYTES - CSV_RECORD_MAX) {
            how = send_piece(im);
            feed_progress(&im->feed, false);
        }
    }
    if (how == END_OK && !feed_interrupted())
        how = send_piece(im);
    feed_progress(&im->feed, true);
    feed_tidy(&im->feed);
    return feed_interrupted() ? END_INTERRUPTED : how;
}

// Prints every bad line, a page of them at a time.
static enum ending tell_faults(struct import *im) {
    int64_t after = 0;
    for (;;) {
        json_t *answer = NULL;
        enum ending how = session_call(im->s, SIDE_OPERATOR, "GET", STR_NONE, &answer,
                                       "/admin/v1/sim-imports/%" PRId64 "/faults?limit=" FAULTS_PAGE "&after_line=%" PRId64, im->id, after);
        if (how != END_OK)
            return how;
        const json_t *data = json_object_get(answer, "data");
        size_t n = json_array_size(data);
        for (size_t i = 0; i < n; i++) {
            const json_t *fault = json_array_get(data, i);
            after = member_i64(fault, "line");
            fprintf(im->feed.bad, "line %" PRId64 ": %s\n", after, member_str(fault, "reason"));
        }
        json_decref(answer);
        if (n == 0)
            return fflush(im->feed.bad) == 0 ? END_OK : complain(END_LOCAL, "bad lines cannot be written: %s", strerror(errno));
    }
}

// One of the server's steps. It takes many jobs: until it is over each call is answered 202 with how far it has come.
static enum ending take_step(struct import *im, const char *step, struct str body, json_t **out, bool *over) {
    struct session *s = im->s;
    struct err err = {0};
    char path[128];
    snprintf(path, sizeof path, "/admin/v1/sim-imports/%" PRId64 "/%s", im->id, step);
    enum err_kind kind = client_call(s->client, SIDE_OPERATOR, "POST", path, "application/json", body, &err);
    *over = client_answer(s->client)->status != 202;
    if (kind == ERR_CONFLICT) { // perhaps only because SIMs have come since the verdict
        json_t *now = NULL;
        enum ending how = session_call(s, SIDE_OPERATOR, "GET", STR_NONE, &now, "/admin/v1/sim-imports/%" PRId64, im->id);
        bool again = how == END_OK && strcmp(member_str(now, "state"), "STAGING") == 0;
        json_decref(now);
        if (how != END_OK || again)
            return how; // *out stays NULL
    }
    if (kind != ERR_NONE) {
        feed_tidy(&im->feed);
        return complain_err(kind == ERR_UNAVAILABLE || kind == ERR_RATE ? END_UNREACHABLE : END_REFUSED, &err);
    }
    json_t *answer = NULL;
    if (json_parse_object(session_answer(s), &answer, &err) != ERR_NONE)
        return complain(END_REFUSED, "the server's answer is no JSON: is this the right address?");
    *out = answer;
    return END_OK;
}

static enum ending judge(struct import *im, json_t **verdict) {
    enum ending how = END_OK;
    bool over = false;
    while (how == END_OK && !over) {
        json_decref(*verdict);
        *verdict = NULL;
        how = take_step(im, "judge", STR_NONE, verdict, &over);
        if (*verdict)
            feed_share(&im->feed, "compared with the stock", member_i64(*verdict, "judged"), member_i64(*verdict, "staged"), over);
        if (how == END_OK && feed_interrupted())
            how = END_INTERRUPTED;
    }
    feed_tidy(&im->feed);
    if (how == END_OK && member_i64(*verdict, "staged") != im->feed.rows)
        how = complain(END_REFUSED, "the server has %" PRId64 " of %" PRId64 " rows: nothing was imported", member_i64(*verdict, "staged"),
                       im->feed.rows);
    return how;
}

// *applied stays NULL when the verdict no longer holds.
static enum ending apply(struct import *im, bool keep_good, int64_t fresh, json_t **applied) {
    enum ending how = END_OK;
    bool over = false;
    while (how == END_OK && !over) {
        json_decref(*applied);
        *applied = NULL;
        how = take_step(im, "apply", keep_good ? STR("{\"keep_good\":true}") : STR("{\"keep_good\":false}"), applied, &over);
        im->applying = im->applying || *applied; // from here on it goes forward, with us or without
        if (*applied)
            feed_share(&im->feed, "put into stock", member_i64(*applied, "inserted"), fresh, over);
    }
    feed_tidy(&im->feed);
    return how;
}

static enum ending finish(struct import *im) {
    struct session *s = im->s;
    bool keep_good = session_has(s, OPT_KEEP_GOOD);
    json_t *verdict = NULL, *applied = NULL;
    enum ending how = END_OK;
    int64_t bad = 0, fresh = 0, same = 0, inserted = 0;
    bool go = true;
    while (how == END_OK && go && !applied) {
        how = judge(im, &verdict);
        bad = member_i64(verdict, "bad");
        fresh = member_i64(verdict, "new");
        same = member_i64(verdict, "same");
        go = bad == 0 || keep_good;
        if (how == END_OK && bad > 0)
            how = tell_faults(im);
        if (how == END_OK && feed_interrupted())
            how = END_INTERRUPTED;
        if (how == END_OK && go)
            how = apply(im, keep_good, fresh, &applied);
        inserted = member_i64(applied, "inserted");
    }
    if (how == END_OK && session_has(s, OPT_JSON))
        printf("{\"rows\":%" PRId64 ",\"inserted\":%" PRId64 ",\"same\":%" PRId64 ",\"bad\":%" PRId64 "}\n", im->feed.rows, inserted, same,
               bad);
    else if (how == END_OK && bad > 0 && !keep_good)
        printf("%" PRId64 " of %" PRId64 " rows are bad: nothing was imported (--keep-good takes the %" PRId64 " others).\n", bad,
               im->feed.rows, fresh + same);
    else if (how == END_OK && inserted == 0)
        printf("%" PRId64 " rows, %" PRId64 " bad: all that are good are in stock already, nothing was changed.\n", im->feed.rows, bad);
    else if (how == END_OK)
        printf("%" PRId64 " SIMs imported; %" PRId64 " were there already, %" PRId64 " rows are bad.\n", inserted, same, bad);
    json_decref(verdict);
    json_decref(applied);
    return how == END_OK && bad > 0 ? END_BAD_ROWS : how;
}

static enum ending begin(struct import *im) {
    struct buf body;
    json_t *answer = NULL;
    const char *name = strrchr(im->s->operand[0], '/');
    buf_init(&body, PATH_MAX_BYTES);
    struct jw w = jw_on(&body);
    jw_object(&w, NULL);
    jw_text(&w, "source", name && name[1] ? name + 1 : im->s->operand[0]);
    jw_end_object(&w);
    enum ending how = session_call(im->s, SIDE_OPERATOR, "POST", buf_str(&body), &answer, "/admin/v1/sim-imports");
    im->id = member_i64(answer, "id");
    json_decref(answer);
    buf_release(&body);
    return how;
}

static enum ending run_import(struct import *im) {
    enum ending how = begin(im);
    if (how == END_OK)
        how = send_rows(im);
    if (how == END_OK)
        how = finish(im);
    if (im->id > 0 && !im->applying) { // not applied: what was staged is put away, whatever went wrong before
        feed_uninterrupt();
        enum ending dropped = session_call(im->s, SIDE_OPERATOR, "DELETE", STR_NONE, NULL, "/admin/v1/sim-imports/%" PRId64, im->id);
        if (how == END_OK)
            how = dropped;
    }
    return how;
}

static enum ending import(struct session *s) {
    struct import im = {.s = s};
    enum ending how = feed_open(&im.feed, s->operand[0], session_option(s, OPT_BAD));
    if (how != END_OK)
        return how;
    buf_init(&im.header, PIECE_BYTES);
    buf_init(&im.piece, 2 * PIECE_BYTES + 2 * CSV_RECORD_MAX);
    how = feed_close(&im.feed, run_import(&im));
    buf_release(&im.header);
    buf_release(&im.piece);
    if (how == END_INTERRUPTED)
        complain(how, "interrupted: nothing was imported");
    return how;
}

static const struct argp_option import_options[] = {
    {"keep-good", OPT_KEEP_GOOD, NULL, 0, "Import the good lines although others are bad", 0},
    {"bad", OPT_BAD, "FILE", 0, "Write the bad lines' numbers and reasons to FILE instead of standard error", 0},
    {0}};
static const struct argp_option list_options[] = {
    {"partner", OPT_PARTNER, "CLIENT_ID", 0, "Only this partner's; - for the general stock", 0},
    {"type", OPT_TYPE, "ESIM|PSIM", 0, "Only this type", 0},
    {"service", OPT_SERVICE, "STOCK|ACTIVATING|ACTIVE", 0, "Only those in this state", 0},
    {"limit", OPT_LIMIT, "N", 0, "At most N rows; default 50", 0},
    {"all", OPT_ALL, NULL, 0, "Every row", 0},
    {0}};
static const struct argp_option show_options[] = {
    {"as", OPT_AS, "operator|partner", 0, "Whose API to use; default: the operator's when there is an operator's token", 0}, {0}};
static const struct argp_option assign_options[] = {{"partner", OPT_PARTNER, "CLIENT_ID", 0, "To this partner", 0},
                                                    {"from", OPT_FROM, "ICCID", 0, "Every SIM from this one on", 0},
                                                    {"to", OPT_TO, "ICCID", 0, "up to and with this one", 0},
                                                    {0}};
static const struct argp_option install_options[] = {{"eid", OPT_EID, "EID", 0, "The device's EID, 32 digits", 0}, {0}};
static const struct argp_option own_options[] = {
    {"limit", OPT_LIMIT, "N", 0, "At most N rows; default 50", 0}, {"all", OPT_ALL, NULL, 0, "Every row", 0}, {0}};

const struct command sim_commands[] = {
    {"sim", "import", "FILE", 1, 1, import_options, "Put SIMs into stock from a CSV file",
     "The file has a header row. Columns: iccid and sim_type (ESIM, PSIM) are required; partner (a client id), imsi, msisdn, eid, "
     "matching_id and "
     "smdp (both required for an eSIM), activated (yes: a pSIM that is in service already). All lines or none, unless --keep-good; every "
     "bad line is told with its number and reason. The same file twice changes nothing. Files of any size are taken; FILE may be - for "
     "standard input. Interrupted (Ctrl-C), it imports nothing.",
     "  topup sim import stock.csv\n"
     "  zcat stock.csv.gz | topup sim import - --bad bad.txt --keep-good\n",
     import},
    {"sim", "list", NULL, 0, 0, list_options, "List SIMs in order of ICCID", NULL,
     "  topup sim list --partner acme --type PSIM --service STOCK\n"
     "  topup sim list --partner -      # eSIM profiles that no partner owns yet\n",
     list},
    {"sim", "show", "ICCID", 1, 1, show_options, "Show a SIM and what runs on it", NULL, "  topup sim show 8944472600000510740\n", show},
    {"sim", "assign", "[ICCID...]", 0, 100000, assign_options, "Give SIMs to a partner",
     "SIMs that are in service stay with their partner. Either all of the ICCIDs are assigned or none; a long range is taken in steps.",
     "  topup sim assign --partner acme 8944472600000510740 8944472600000510757\n"
     "  topup sim assign --partner acme --from 8944472600000600004 \\\n"
     "      --to 8944472600000699996\n",
     assign},
    {"sim", "install", "ICCID", 1, 1, install_options, "Download and install an eSIM profile, in the sandbox",
     "What a device and its SM-DP+ would report: the profile is Downloaded, then Installed. An eSIM of a live partner is installed by "
     "scanning "
     "its QR code.",
     "  topup sim install 8999900000000021002 --eid 89049032000001000000012345678901\n", install, true},
    {"sims", NULL, NULL, 0, 0, own_options, "List your activated SIMs (partner)", NULL, "  topup sims\n", own_list},
    {0}};
