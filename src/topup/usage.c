// SPDX-License-Identifier: Apache-2.0
/*
 * usage.c - what SIMs have used. A file of records is sent in pieces, each of which is booked when the server has answered: since a record
 * counts once, a file that was cut short is simply imported again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topup/feed.h"
#include "topup/print.h"

#define PATH_MAX_BYTES 65536
#define PIECE_ROWS 2000
#define PIECE_BYTES (4u << 20)
#define PIECE_SECONDS 300

enum column { COL_RECORD_ID, COL_BYTES_UP, COL_BYTES_DOWN, COL_SOURCE, COL_ICCID, COL_IMSI, COL_MSISDN, COL_START, COL_END, COLUMNS };
static const char *const column_names[COLUMNS] = {"record_id", "bytes_up", "bytes_down", "source", "iccid",
                                                  "imsi",      "msisdn",   "start",      "end"};
#define COLUMNS_REQUIRED 3

static const char *const verdicts[] = {"BOOKED", "PARTLY_BOOKED", "UNRATED"};
enum { BOOKED, PARTLY, UNRATED };

struct usage_import {
    struct session *s;
    struct feed feed;
    int at[COLUMNS];
    struct buf body;
    struct jw w;
    int64_t line[PIECE_ROWS]; // of the records of the piece
    size_t n;
    int64_t count[ARRAY_LEN(verdicts)], repeated, bad;
};

static void tell_bad(struct usage_import *im, int64_t line, const char *reason) {
    feed_tidy(&im->feed);
    fprintf(im->feed.bad, "line %" PRId64 ": %s\n", line, reason);
    im->bad++;
}

static void piece_begin(struct usage_import *im) {
    buf_clear(&im->body);
    im->n = 0;
    im->w = jw_on(&im->body);
    jw_object(&im->w, NULL);
    if (session_has(im->s, OPT_SOURCE))
        jw_text(&im->w, "source", session_option(im->s, OPT_SOURCE));
    jw_array(&im->w, "records");
}

static void take_verdicts(struct usage_import *im, const json_t *data) {
    for (size_t i = 0; i < im->n; i++) {
        const json_t *record = json_array_get(data, i);
        const char *verdict = member_str(record, "verdict");
        bool counted = false;
        for (size_t v = 0; v < ARRAY_LEN(verdicts); v++) {
            if (strcmp(verdict, verdicts[v]) == 0) {
                im->count[v]++;
                counted = true;
            }
        }
        im->repeated += json_is_true(json_object_get(record, "repeated"));
        if (!counted) {
            struct buf reason;
            buf_init(&reason, PATH_MAX_BYTES);
            member_text(&reason, record, "messages");
            tell_bad(im, im->line[i], reason.p ? reason.p : verdict);
            buf_release(&reason);
        }
    }
}

static enum ending piece_send(struct usage_import *im) {
    if (im->n == 0)
        return END_OK;
    jw_end_array(&im->w);
    jw_end_object(&im->w);
    if (im->body.failed)
        return complain(END_BAD_ROWS, "line %" PRId64 ": a piece of the file is too large", im->line[0]);
    json_t *answer = NULL;
    enum ending how = session_call(im->s, SIDE_OPERATOR, "POST", buf_str(&im->body), &answer, "/admin/v1/usage");
    const json_t *data = json_object_get(answer, "data");
    if (how == END_OK && json_array_size(data) != im->n)
        how = complain(END_REFUSED, "the server answered for %zu of %zu records", json_array_size(data), im->n);
    if (how == END_OK)
        take_verdicts(im, data);
    json_decref(answer);
    feed_progress(&im->feed, false);
    piece_begin(im);
    return how;
}

// A record as it goes out. What the server cannot be asked in JSON is judged here.
static enum ending take_row(struct usage_import *im) {
    const struct csv *csv = &im->feed.csv;
    int64_t bytes[COLUMNS];
    for (int i = COL_BYTES_UP; i <= COL_BYTES_DOWN; i++) {
        struct str text = csv_field(csv, im->at[i]);
        bytes[i] = 0;
        if (str_present(text) && !str_to_i64(text, &bytes[i])) {
            char reason[64];
            snprintf(reason, sizeof reason, "%s: must be a number", column_names[i]);
            tell_bad(im, csv->line, reason);
            return END_OK;
        }
    }
    im->line[im->n++] = csv->line;
    jw_object(&im->w, NULL);
    for (int i = 0; i < COLUMNS; i++) {
        struct str text = csv_field(csv, im->at[i]);
        if (!str_present(text))
            continue;
        if (i == COL_BYTES_UP || i == COL_BYTES_DOWN)
            jw_i64(&im->w, column_names[i], bytes[i]);
        else
            jw_str(&im->w, column_names[i], text);
    }
    jw_end_object(&im->w);
    return im->n == PIECE_ROWS || im->body.n > PIECE_BYTES - 2 * CSV_RECORD_MAX ? piece_send(im) : END_OK;
}

static enum ending run_import(struct usage_import *im) {
    struct csv *csv = &im->feed.csv;
    struct err err = {0};
    enum csv_row row;
    enum ending how = END_OK;
    if (csv_header(csv, column_names, COLUMNS, COLUMNS_REQUIRED, im->at, &err) != ERR_NONE)
        return complain_err(END_BAD_ROWS, &err);
    if (im->at[COL_SOURCE] < 0 && !session_has(im->s, OPT_SOURCE))
        return complain(END_USAGE, "--source: missing: the file has no column that says who counted");
    if (im->at[COL_ICCID] < 0 && im->at[COL_IMSI] < 0 && im->at[COL_MSISDN] < 0)
        return complain(END_BAD_ROWS, "line 1: a column iccid, imsi or msisdn is required");
    if (im->at[COL_START] < 0 && im->at[COL_END] < 0)
        return complain(END_BAD_ROWS, "line 1: a column start or end is required");
    piece_begin(im);
    while (how == END_OK && !feed_interrupted() && (row = csv_next(csv)) != CSV_END) {
        if (row == CSV_BROKEN && feed_interrupted())
            break; // the read was cut short
        im->feed.rows++;
        if (row == CSV_ROW)
            how = take_row(im);
        else
            tell_bad(im, csv->line, csv->reason);
        if (row == CSV_BROKEN)
            break;
    }
    if (how == END_OK && !feed_interrupted())
        how = piece_send(im);
    feed_progress(&im->feed, true);
    feed_tidy(&im->feed);
    return feed_interrupted() ? END_INTERRUPTED : how;
}

static enum ending import(struct session *s) {
    struct usage_import *im = xcalloc(1, sizeof *im);
    im->s = s;
    enum ending how = feed_open(&im->feed, s->operand[0], session_option(s, OPT_BAD));
    if (how != END_OK) {
        free(im);
        return how;
    }
    buf_init(&im->body, PIECE_BYTES + 4 * CSV_RECORD_MAX);
    client_patience(s->client, PIECE_SECONDS);
    how = feed_close(&im->feed, run_import(im));
    if (session_has(s, OPT_JSON))
        printf("{\"rows\":%" PRId64 ",\"booked\":%" PRId64 ",\"partly_booked\":%" PRId64 ",\"unrated\":%" PRId64 ",\"repeated\":%" PRId64
               ",\"bad\":%" PRId64 "}\n",
               im->feed.rows, im->count[BOOKED], im->count[PARTLY], im->count[UNRATED], im->repeated, im->bad);
    else if (im->feed.rows > 0)
        printf("%" PRId64 " records booked, %" PRId64 " in part, %" PRId64 " not; %" PRId64 " of these had come before; %" PRId64
               " lines are bad.\n",
               im->count[BOOKED], im->count[PARTLY], im->count[UNRATED], im->repeated, im->bad);
    if (how == END_INTERRUPTED)
        complain(how, "interrupted: what was sent is booked; the same file may be imported again");
    if (how == END_OK && im->bad > 0)
        how = END_BAD_ROWS;
    buf_release(&im->body);
    free(im);
    return how;
}

static const struct list_column columns[] = {{"UNRATED", "unrated_bytes", CELL_BYTES}, {"REASON", "reason", CELL_KEEP},
                                             {"SIM", "iccid imsi msisdn", CELL_KEEP},  {"END", "end", CELL_KEEP},
                                             {"PARTNER", "partner", CELL_TEXT},        {"SOURCE", "source", CELL_TEXT},
                                             {"RECORD", "record_id", CELL_TEXT}};

static enum ending unrated(struct session *s) {
    struct buf path;
    buf_init(&path, PATH_MAX_BYTES);
    buf_add_text(&path, "/admin/v1/usage/unrated");
    query_add(&path, "source", session_option(s, OPT_SOURCE));
    query_add(&path, "iccid", session_option(s, OPT_ICCID));
    enum ending how = print_list(s, SIDE_OPERATOR, &path, false, columns, ARRAY_LEN(columns));
    buf_release(&path);
    return how;
}

static const struct argp_option import_options[] = {
    {"source", OPT_SOURCE, "NAME", 0, "Who counted, for lines that do not say it", 0},
    {"bad", OPT_BAD, "FILE", 0, "Write the bad lines' numbers and reasons to FILE instead of standard error", 0},
    {0}};
static const struct argp_option unrated_options[] = {{"source", OPT_SOURCE, "NAME", 0, "Counted by this source", 0},
                                                     {"iccid", OPT_ICCID, "ICCID", 0, "Of this SIM", 0},
                                                     {"limit", OPT_LIMIT, "N", 0, "At most N rows; default 50", 0},
                                                     {"all", OPT_ALL, NULL, 0, "Every row", 0},
                                                     {0}};

const struct command usage_commands[] = {
    {"usage", "import", "FILE", 1, 1, import_options, "Book usage records from a CSV file",
     "The file has a header row. Columns: record_id, bytes_up and bytes_down; source, unless --source names it; one or more of iccid, imsi "
     "and "
     "msisdn, of which each line fills one; start and end, or one of them, such as 2026-01-31T12:00:00Z. A record_id counts once for each "
     "source, so the same file twice changes nothing. Each line stands for itself: bad ones are told with their number and reason, and the "
     "others are booked. Files of any size are taken; FILE may be - for standard input.",
     "  topup usage import today.csv\n"
     "  zcat cdr.csv.gz | topup usage import - --source ggsn-1 --bad bad.txt\n",
     import},
    {"usage", "unrated", NULL, 0, 0, unrated_options, "List usage that no subscription could carry, the newest first",
     "UNKNOWN_SIM: nobody's SIM. NO_SUBSCRIPTION: nothing ran on it at that time. USED_UP: what ran had not enough left.",
     "  topup usage unrated --source ggsn-1 --all\n", unrated},
    {0}};
