// SPDX-License-Identifier: Apache-2.0
/*
 * events.c - a partner's events: those that are kept, and those to come.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topup/print.h"
#include "topup/table.h"

#define PATH_MAX_BYTES 65536
#define PAGE_MAX 100
#define LIMIT_DEFAULT 50
#define WAIT_SECONDS "30"
#define AWAY_PAUSE_MS 2000

// ---- one event in a row ----

static void add_plain(struct buf *out, const json_t *v) {
    if (json_is_string(v))
        buf_add_text(out, json_string_value(v));
    else if (json_is_integer(v))
        buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_boolean(v))
        buf_add_text(out, json_is_true(v) ? "yes" : "no");
}

// "COMPLETED", "Released > Installed", "90%", "spent_balance 0 > 100".
static void what_changed(struct buf *out, const json_t *event) {
    const char *name;
    json_t *change;
    if (json_object_get(event, "threshold"))
        buf_printf(out, "%" PRId64 "%%", member_i64(event, "threshold"));
    if (json_object_get(event, "progress"))
        member_text(out, event, "progress.notification_point_description progress.notification_status");
    json_object_foreach(json_object_get(event, "changes"), name, change) {
        json_t *before = json_object_get(change, "before");
        if (out->n > 0)
            buf_add_text(out, ", ");
        if (strcmp(name, "status") != 0)
            buf_printf(out, "%s ", name);
        add_plain(out, before);
        if (!json_is_null(before))
            buf_add_text(out, " > ");
        add_plain(out, json_object_get(change, "after"));
    }
}

static void print_row(struct table *t, const json_t *event) {
    struct buf cell;
    buf_init(&cell, 1u << 20);
    static const char *const members[] = {"sequence", "created_at", "type"};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        buf_clear(&cell);
        member_text(&cell, event, members[i]);
        table_cell(t, buf_str(&cell));
    }
    buf_clear(&cell);
    member_text(&cell, event, json_object_get(json_object_get(event, "data"), "id") ? "data.id" : "data.iccid");
    table_cell(t, buf_str(&cell));
    buf_clear(&cell);
    what_changed(&cell, event);
    table_cell(t, buf_str(&cell));
    buf_release(&cell);
}

// ---- reading on ----

struct reading {
    struct session *s;
    struct table table;
    int64_t limit; // events still wanted
    bool follow, json;
    char after[32]; // where to go on; "": from the oldest that is kept
};

static void print_page(struct reading *r, const json_t *answer) {
    const json_t *data = json_object_get(answer, "data");
    for (size_t i = 0; i < json_array_size(data) && r->limit > 0; i++, r->limit--) {
        const json_t *event = json_array_get(data, i);
        if (!r->json) {
            print_row(&r->table, event);
            continue;
        }
        char *text = json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(15));
        CHECK(text);
        puts(text);
        free(text);
    }
    struct buf out;
    buf_init(&out, 64u << 20);
    if (!r->json)
        table_flush(&r->table, &out);
    if (out.n > 0)
        fwrite(out.p, 1, out.n, stdout);
    buf_release(&out);
    fflush(stdout);
    snprintf(r->after, sizeof r->after, "%" PRId64, member_i64(answer, "_metadata.next_after"));
}

static enum err_kind fetch(struct reading *r, json_t **answer, struct err *err) {
    struct buf path;
    char size[32];
    snprintf(size, sizeof size, "%" PRId64, r->limit < PAGE_MAX ? r->limit : PAGE_MAX);
    buf_init(&path, PATH_MAX_BYTES);
    buf_add_text(&path, "/v2/events");
    query_add(&path, "after", r->after[0] ? r->after : NULL);
    query_add(&path, "limit", size);
    query_add(&path, "type", session_option(r->s, OPT_TYPE));
    query_add(&path, "wait", r->follow ? WAIT_SECONDS : NULL);
    enum err_kind kind = path.failed ? err_set(err, ERR_INVALID, "the request is too long")
                                     : client_call(r->s->client, SIDE_PARTNER, "GET", path.p, NULL, STR_NONE, err);
    buf_release(&path);
    if (kind == ERR_NONE && json_parse_object(session_answer(r->s), answer, err) != ERR_NONE)
        kind = err_set(err, ERR_INTERNAL, "the server's answer is no JSON: is this the right address?");
    return kind;
}

static enum ending read_on(struct reading *r) {
    bool away = false;
    for (bool first = true, more = true; more && r->limit > 0; first = false) {
        struct err err = {0};
        json_t *answer = NULL;
        enum err_kind kind = fetch(r, &answer, &err);
        bool nobody = kind == ERR_UNAVAILABLE || kind == ERR_RATE;
        if (nobody && r->follow && !first) { // it comes back, and nothing is missed
            if (!away)
                complain_err(END_UNREACHABLE, &err);
            away = true;
            client_pause(AWAY_PAUSE_MS);
            continue;
        }
        if (kind != ERR_NONE)
            return complain_err(nobody ? END_UNREACHABLE : END_REFUSED, &err);
        away = false;
        print_page(r, answer);
        more = r->follow || member_i64(answer, "_metadata.next_after") < member_i64(answer, "_metadata.newest");
        json_decref(answer);
        if (!r->follow && r->limit <= 0 && more && !r->json && terminal_width(stdout) > 0)
            fprintf(stderr, "(more: --after %s, --limit N, --all)\n", r->after);
    }
    return END_OK;
}

static enum ending events(struct session *s) {
    struct reading r = {.s = s, .follow = session_has(s, OPT_FOLLOW), .json = session_has(s, OPT_JSON), .limit = LIMIT_DEFAULT};
    int64_t after = -1;
    if (!option_i64(s, OPT_LIMIT, "--limit", 1, INT64_C(1000000000), &r.limit) ||
        !option_i64(s, OPT_AFTER, "--after", 0, INT64_MAX, &after))
        return END_USAGE;
    if (session_has(s, OPT_ALL) || (r.follow && !session_has(s, OPT_LIMIT)))
        r.limit = INT64_MAX;
    if (after >= 0)
        snprintf(r.after, sizeof r.after, "%" PRId64, after);
    else if (r.follow)
        snprintf(r.after, sizeof r.after, "latest");
    table_init(&r.table, terminal_width(stdout), terminal_colour(stdout));
    table_column(&r.table, "SEQUENCE", true, true);
    table_column(&r.table, "TIME", false, true);
    table_column(&r.table, "EVENT", false, true);
    table_column(&r.table, "OF", false, true);
    table_column(&r.table, "CHANGE", false, false);
    enum ending how = read_on(&r);
    table_release(&r.table);
    return how;
}

static const struct argp_option options[] = {
    {"follow", OPT_FOLLOW, NULL, 0, "Go on with those to come, until interrupted; without --after, with those alone", 0},
    {"after", OPT_AFTER, "SEQUENCE", 0, "After this event; 0 for all that are kept", 0},
    {"type", OPT_TYPE, "TYPES", 0, "Of these types, with commas between them; order.* is all that begin so", 0},
    {"limit", OPT_LIMIT, "N", 0, "At most N events; default 50", 0},
    {"all", OPT_ALL, NULL, 0, "Every event that is kept", 0},
    {0}};

const struct command event_commands[] = {{"events", NULL, NULL, 0, 0, options, "What has happened, the oldest first",
                                          "With the partner's credentials. Each event has a number, its sequence, with no gaps between "
                                          "them: keep the last one you have dealt with, "
                                          "and go on with --after. With --json each event is one line of JSON.",
                                          "  topup events --type order.completed,order.failed --all\n"
                                          "  topup events --follow\n"
                                          "  topup events --follow --after 1200 --json   # from where a program left off\n",
                                          events},
                                         {0}};
