// SPDX-License-Identifier: Apache-2.0
/*
 * archive.c - orders that are over, moved out of the store into files where this program runs; and those files read.
 *
 * A file is whole and on disk, and has been read back and held against its checksum, before the server is asked to remove what is in it. So
 * whenever this is cut off, everything is in the store, in a file, or in both; the next run goes on where it was: it throws away what was
 * not whole, and finishes removing what is in files that are pending.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "topup/archive_file.h"
#include "topup/print.h"
#include "topup/table.h"

#define PATH_MAX_BYTES 65536
#define PER_FILE_DEFAULT 100000
#define PAGE "100"
#define DROPS_A_CALL 250
#define FILES_MAX 100000
#define AGE_MAX_SECONDS (INT64_C(100) * 366 * 86400)

// ---- the files of a folder ----

struct files {
    char **path;
    size_t n, cap;
};

static void files_release(struct files *f) {
    for (size_t i = 0; i < f->n; i++)
        free(f->path[i]);
    free(f->path);
}

static void files_add(struct files *f, const char *path) {
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 64;
        char **wider = xcalloc(cap, sizeof *wider);
        if (f->n)
            memcpy(wider, f->path, f->n * sizeof *wider);
        free(f->path);
        f->path = wider;
        f->cap = cap;
    }
    f->path[f->n++] = xstrdup(path);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_archive(const char *name) {
    return str_ends(str_of(name), ARCHIVE_DONE) || str_ends(str_of(name), ARCHIVE_PENDING);
}

// The archives of a folder, in the order of their names: the oldest orders first. A file is itself.
static enum ending files_of(const char *place, struct files *out) {
    struct stat st;
    if (stat(place, &st) != 0)
        return complain(END_LOCAL, "%s: %s", place, strerror(errno));
    if (!S_ISDIR(st.st_mode)) {
        files_add(out, place);
        return END_OK;
    }
    DIR *d = opendir(place);
    if (!d)
        return complain(END_LOCAL, "%s: %s", place, strerror(errno));
    size_t from = out->n;
    for (struct dirent *e; out->n < FILES_MAX && (e = readdir(d)) != NULL;) {
        char path[ARCHIVE_PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/%s", place, e->d_name);
        if (is_archive(e->d_name) && n > 0 && n < ARCHIVE_PATH_MAX)
            files_add(out, path);
    }
    closedir(d);
    if (out->n > from)
        qsort(out->path + from, out->n - from, sizeof *out->path, by_name);
    return END_OK;
}

static enum ending files_of_operands(const struct session *s, int first, struct files *out) {
    enum ending how = END_OK;
    for (int i = first; how == END_OK && i < s->operands; i++)
        how = files_of(s->operand[i], out);
    return how;
}

// ---- create ----

struct creating {
    struct session *s;
    const char *folder;
    int lock; // the folder, held
    struct wall before;
    int64_t per_file;
    struct archive_writer *writer;
    struct buf body;
    int64_t files, orders, dropped, gone, kept;
};

static enum ending local(const struct err *err) {
    return complain_err(END_LOCAL, err);
}

// One run at a time works in a folder; what an earlier one left unfinished goes.
static enum ending take_folder(struct creating *c) {
    if (mkdir(c->folder, 0700) != 0 && errno != EEXIST)
        return complain(END_LOCAL, "%s: %s", c->folder, strerror(errno));
    c->lock = open(c->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->lock < 0)
        return complain(END_LOCAL, "%s: %s", c->folder, strerror(errno));
    if (flock(c->lock, LOCK_EX | LOCK_NB) != 0)
        return complain(END_LOCAL, "%s: another topup is at work there", c->folder);
    static const char *const parts[] = {"records" ARCHIVE_PART, "whole" ARCHIVE_PART};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (unlinkat(c->lock, parts[i], 0) != 0 && errno != ENOENT)
            return complain(END_LOCAL, "%s/%s: %s", c->folder, parts[i], strerror(errno));
    return END_OK;
}

static struct jw drops_begin(struct creating *c, struct wall before) {
    buf_clear(&c->body);
    struct jw w = jw_on(&c->body);
    jw_object(&w, NULL);
    jw_date(&w, "before", before);
    jw_array(&w, "orders");
    return w;
}

static enum ending drops_send(struct creating *c, struct jw *w) {
    json_t *answer = NULL;
    jw_end_array(w);
    jw_end_object(w);
    enum ending how = session_call(c->s, SIDE_OPERATOR, "POST", buf_str(&c->body), &answer, "/admin/v1/archive/orders/drop");
    c->dropped += member_i64(answer, "dropped");
    c->gone += member_i64(answer, "gone");
    c->kept += member_i64(answer, "kept");
    json_decref(answer);
    return how;
}

static enum ending drop_records(struct creating *c, struct archive_reader *r) {
    struct err err = {0};
    struct wall before = archive_header(r)->before;
    struct jw w = drops_begin(c, before);
    int n = 0;
    for (;;) {
        struct str line = STR_NONE;
        if (archive_next(r, &line, &err) != ERR_NONE)
            return local(&err);
        if (!str_present(line))
            return n > 0 ? drops_send(c, &w) : END_OK;
        uint8_t sum[32];
        char hex[SHA256_HEX], text[UUID_TEXT];
        struct uuid id;
        CHECK(archive_record_id(line, &id));
        sha256_of(line, sum);
        archive_hex(sum, hex);
        uuid_format(id, text);
        jw_object(&w, NULL);
        jw_text(&w, "id", text);
        jw_text(&w, "sha256", hex);
        jw_end_object(&w);
        if (++n < DROPS_A_CALL)
            continue;
        enum ending how = drops_send(c, &w);
        if (how != END_OK)
            return how;
        w = drops_begin(c, before);
        n = 0;
    }
}

// Reads all of a file: it is whole, or there is a complaint.
static enum ending verify(const char *path, struct archive_header *header) {
    struct err err = {0};
    struct archive_reader *r;
    struct str line;
    if (archive_open(path, &r, &err) != ERR_NONE)
        return local(&err);
    enum err_kind kind;
    do
        kind = archive_next(r, &line, &err);
    while (kind == ERR_NONE && str_present(line));
    *header = *archive_header(r);
    archive_close(r);
    return kind ? local(&err) : END_OK;
}

// Removes from the store what is in a pending file.
static enum ending drop_file(struct creating *c, char *path) {
    struct err err = {0};
    struct archive_header header = {0};
    struct archive_reader *r;
    int64_t dropped = c->dropped, gone = c->gone, kept = c->kept;
    enum ending how = verify(path, &header);
    if (how != END_OK)
        return how;
    if (archive_open(path, &r, &err) != ERR_NONE)
        return local(&err);
    how = drop_records(c, r);
    archive_close(r);
    if (how != END_OK)
        return how;
    if (archive_settle(path, &err) != ERR_NONE)
        return local(&err);
    c->files++;
    c->orders += header.orders;
    dropped = c->dropped - dropped;
    gone = c->gone - gone;
    kept = c->kept - kept;
    print_line(c->s,
               "%s: %" PRId64 " orders; %" PRId64 " left the store, %" PRId64 " had left it, %" PRId64 " have changed meanwhile and stay",
               path, header.orders, dropped, gone, kept);
    return END_OK;
}

static enum ending drop_pending(struct creating *c) {
    struct files files = {0};
    enum ending how = files_of(c->folder, &files);
    for (size_t i = 0; how == END_OK && i < files.n; i++) {
        if (!str_ends(str_of(files.path[i]), ARCHIVE_PENDING))
            continue;
        char path[ARCHIVE_PATH_MAX];
        snprintf(path, sizeof path, "%s", files.path[i]);
        how = drop_file(c, path);
    }
    files_release(&files);
    return how;
}

static enum ending finish_file(struct creating *c) {
    struct err err = {0};
    char path[ARCHIVE_PATH_MAX];
    struct archive_header header = {.created = clock_wall(&clock_system), .before = c->before};
    const char *partner = session_option(c->s, OPT_PARTNER);
    snprintf(header.partner, sizeof header.partner, "%s", partner ? partner : "");
    enum err_kind kind = archive_finish(c->writer, &header, path, &err);
    archive_abandon(c->writer);
    c->writer = NULL;
    if (kind != ERR_NONE)
        return local(&err);
    if (!session_has(c->s, OPT_KEEP))
        return drop_file(c, path);
    enum ending how = verify(path, &header);
    if (how != END_OK)
        return how;
    if (archive_settle(path, &err) != ERR_NONE)
        return local(&err);
    c->files++;
    c->orders += header.orders;
    print_line(c->s, "%s: %" PRId64 " orders; they are still in the store", path, header.orders);
    return END_OK;
}

// The lines of a page: records, and where the next page begins ("": nowhere).
static enum ending take_page(struct creating *c, struct str page, char cursor[64]) {
    struct err err = {0};
    struct str line;
    cursor[0] = 0;
    for (bool last = false; !last;) {
        page = str_cut(page, '\n', &line);
        last = !str_present(page) || page.n == 0;
        struct uuid id;
        if (archive_record_id(line, &id)) {
            if (last)
                break; // the page was cut off
            if (!c->writer && archive_create(c->folder, &c->writer, &err) != ERR_NONE)
                return local(&err);
            if (archive_add(c->writer, line, &err) != ERR_NONE)
                return local(&err);
            continue;
        }
        json_t *o = NULL;
        bool good = last && json_parse_object(line, &o, &err) == ERR_NONE && json_object_get(o, "next");
        if (good)
            snprintf(cursor, 64, "%s", member_str(o, "next"));
        json_decref(o);
        if (good)
            return END_OK;
        break;
    }
    return complain(END_REFUSED, "the server's answer is no page of orders: is this the right address?");
}

static enum ending read_pages(struct creating *c) {
    char cursor[64] = "", before[DATE_TEXT];
    enum ending how = END_OK;
    date_format(c->before, before);
    do {
        struct buf path;
        buf_init(&path, PATH_MAX_BYTES);
        buf_add_text(&path, "/admin/v1/archive/orders?limit=" PAGE);
        query_add(&path, "before", before);
        query_add(&path, "partner", session_option(c->s, OPT_PARTNER));
        query_add(&path, "cursor", cursor[0] ? cursor : NULL);
        how = session_call(c->s, SIDE_OPERATOR, "GET", STR_NONE, NULL, "%s", path.p);
        buf_release(&path);
        if (how == END_OK)
            how = take_page(c, session_answer(c->s), cursor);
        if (how == END_OK && c->writer && (archive_orders(c->writer) >= c->per_file || !cursor[0]))
            how = finish_file(c);
    } while (how == END_OK && cursor[0]);
    return how;
}

static enum ending create(struct session *s) {
    struct creating c = {.s = s, .folder = s->operand[0], .lock = -1, .per_file = PER_FILE_DEFAULT};
    int64_t age = 0;
    if (!session_has(s, OPT_OLDER_THAN))
        return complain(END_USAGE, "--older-than: missing: how old must an order be, such as 400d?");
    if (!option_seconds(s, OPT_OLDER_THAN, "--older-than", AGE_MAX_SECONDS, &age) ||
        !option_i64(s, OPT_PER_FILE, "--per-file", 1, INT64_C(10000000), &c.per_file))
        return END_USAGE;
    c.before = (struct wall){clock_wall(&clock_system).ms / 1000 * 1000 - age * 1000};
    buf_init(&c.body, 1u << 20);
    enum ending how = take_folder(&c);
    if (how == END_OK)
        how = drop_pending(&c);
    if (how == END_OK)
        how = read_pages(&c);
    archive_abandon(c.writer);
    if (c.lock >= 0)
        close(c.lock);
    buf_release(&c.body);
    if (session_has(s, OPT_JSON))
        printf("{\"files\":%" PRId64 ",\"orders\":%" PRId64 ",\"dropped\":%" PRId64 ",\"gone\":%" PRId64 ",\"kept\":%" PRId64 "}\n",
               c.files, c.orders, c.dropped, c.gone, c.kept);
    else if (how == END_OK && c.files == 0)
        print_line(s, "Nothing is as old as that.");
    else if (how != END_OK)
        complain(how, "not done: the same command goes on from here; nothing is lost");
    return how;
}

// ---- list, show, find, check ----

static json_t *header_as_json(const char *path, const struct archive_header *h) {
    struct stat st;
    char created[DATE_TEXT], before[DATE_TEXT], first[DATE_TEXT], last[DATE_TEXT];
    date_format(h->created, created);
    date_format(h->before, before);
    date_format(h->first, first);
    date_format(h->last, last);
    json_t *o =
        json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s}", "file", path, "orders", (json_int_t)h->orders, "first", first,
                  "last", last, "partner", h->partner, "before", before, "created", created, "sha256", h->sha256, "bytes",
                  (json_int_t)(stat(path, &st) == 0 ? st.st_size : 0), "state", str_ends(str_of(path), ".pending") ? "PENDING" : "DONE");
    CHECK(o);
    return o;
}

static const struct list_column list_columns[] = {
    {"ORDERS", "orders", CELL_NUMBER}, {"FIRST", "first", CELL_KEEP},     {"LAST", "last", CELL_KEEP}, {"STATE", "state", CELL_KEEP},
    {"SIZE", "bytes", CELL_BYTES},     {"PARTNER", "partner", CELL_TEXT}, {"FILE", "file", CELL_KEEP}};

static enum ending list(struct session *s) {
    struct files files = {0};
    json_t *rows = json_array();
    enum ending how = files_of_operands(s, 0, &files);
    for (size_t i = 0; how == END_OK && i < files.n; i++) {
        struct err err = {0};
        struct archive_reader *r;
        if (archive_open(files.path[i], &r, &err) != ERR_NONE) {
            how = local(&err);
            break;
        }
        json_array_append_new(rows, header_as_json(files.path[i], archive_header(r)));
        archive_close(r);
    }
    files_release(&files);
    if (how == END_OK && session_has(s, OPT_JSON)) {
        json_dumpf(rows, stdout, JSON_COMPACT);
        putchar('\n');
    } else if (how == END_OK && json_array_size(rows) == 0) {
        print_line(s, "There are no archives.");
    } else if (how == END_OK) {
        print_rows(NULL, rows, list_columns, ARRAY_LEN(list_columns));
    }
    json_decref(rows);
    return how;
}

static void print_record(const struct session *s, struct str line) {
    struct err err = {0};
    json_t *o = NULL;
    if (session_has(s, OPT_JSON) || json_parse_object(line, &o, &err) != ERR_NONE) {
        fwrite(line.p, 1, line.n, stdout);
        putchar('\n');
        return;
    }
    static const struct list_column timeline[] = {
        {"TIME", "at", CELL_KEEP}, {"STEP", "step", CELL_KEEP}, {"OUTCOME", "outcome", CELL_KEEP}, {"", "text", CELL_TEXT}};
    print_members(o);
    print_rows("Timeline", json_object_get(json_object_get(o, "order"), "timeline"), timeline, ARRAY_LEN(timeline));
    json_decref(o);
}

static enum ending show(struct session *s) {
    struct err err = {0};
    struct archive_reader *r;
    if (archive_open(s->operand[0], &r, &err) != ERR_NONE)
        return local(&err);
    struct str line;
    enum err_kind kind;
    while ((kind = archive_next(r, &line, &err)) == ERR_NONE && str_present(line)) {
        fwrite(line.p, 1, line.n, stdout);
        putchar('\n');
    }
    archive_close(r);
    return kind ? local(&err) : END_OK;
}

static enum ending check(struct session *s) {
    struct files files = {0};
    enum ending how = files_of_operands(s, 0, &files), worst = how;
    for (size_t i = 0; how == END_OK && i < files.n; i++) {
        struct archive_header header = {0};
        enum ending one = verify(files.path[i], &header);
        if (one == END_OK)
            print_line(s, "%s: %" PRId64 " orders, whole", files.path[i], header.orders);
        else
            worst = one;
    }
    files_release(&files);
    return worst;
}

// *found: the record was there, and is printed. The last file that has it counts: it is the newest.
static enum ending find_in(const struct session *s, const char *path, struct uuid id, bool *found) {
    struct err err = {0};
    struct archive_reader *r;
    struct str line;
    if (archive_open(path, &r, &err) != ERR_NONE)
        return local(&err);
    const struct archive_header *h = archive_header(r);
    int64_t ms = uuid_time(id).ms;
    enum err_kind kind = ERR_NONE;
    while (ms >= h->first.ms && ms <= h->last.ms && (kind = archive_next(r, &line, &err)) == ERR_NONE && str_present(line)) {
        struct uuid one;
        if (!archive_record_id(line, &one) || !uuid_eq(one, id))
            continue;
        *found = true;
        print_record(s, line);
        break;
    }
    archive_close(r);
    return kind ? local(&err) : END_OK;
}

static enum ending find(struct session *s) {
    struct uuid id;
    struct files files = {0};
    bool found = false;
    struct str word = str_of(s->operand[0]);
    if (!uuid_parse(word, &id) && !long_id_parse(word, &id))
        return complain(END_USAGE, "\"%s\" is no id of an order, nor of a subscription", s->operand[0]);
    enum ending how = files_of_operands(s, 1, &files), worst = how;
    for (size_t i = files.n; how == END_OK && !found && i > 0; i--) {
        enum ending one = find_in(s, files.path[i - 1], id, &found);
        if (one != END_OK) // another file may have it
            worst = one;
    }
    files_release(&files);
    if (found)
        return END_OK;
    return worst != END_OK ? worst : complain(END_REFUSED, "there is no such order in what was searched");
}

static const struct argp_option create_options[] = {
    {"older-than", OPT_OLDER_THAN, "AGE", 0, "Orders accepted, and over, for longer than this, such as 400d", 0},
    {"partner", OPT_PARTNER, "CLIENT_ID", 0, "Of this partner only", 0},
    {"per-file", OPT_PER_FILE, "N", 0, "About N orders in a file; default 100000", 0},
    {"keep", OPT_KEEP, NULL, 0, "Write files, remove nothing from the store", 0},
    {0}};

const struct command archive_commands[] = {
    {"archive", "create", "DIR", 1, 1, create_options, "Move orders that are over out of the store into compressed files (operator)",
     "An order is over when it has ended and the subscription it made has, too, with its expiry date behind it. It leaves with its "
     "subscription, "
     "its tasks and its timeline. A file is on disk and has been read back before anything in it is removed, in small steps while the "
     "server goes "
     "on; whatever changed in between stays. A run that was cut off is finished by the next one in the same DIR: files whose orders have "
     "not all "
     "been removed end in .pending. DIR is on the machine where this runs, is made when it is missing, and holds personal data: files are "
     "readable by you alone.",
     "  topup archive create /var/backups/topup --older-than 400d\n"
     "  topup archive create here --older-than 90d --partner acme --keep   # a copy\n",
     create},
    {"archive", "list", "DIR|FILE...", 1, 1000, NULL, "List archives: how many orders, and of which time", NULL,
     "  topup archive list /var/backups/topup\n", list},
    {"archive", "show", "FILE", 1, 1, NULL, "Print an archive's records, one a line, as JSON",
     "Fails when the file is not whole. zcat FILE shows the same, behind a line that says what is in it.",
     "  topup archive show orders-20250101T000000Z-20250131T235959Z-1a2b3c4d.jsonl.gz | jq .order.iccid\n", show},
    {"archive", "find", "ID DIR|FILE...", 2, 1000, NULL, "Print the record of one order, by its id or its subscription's", NULL,
     "  topup archive find 01a20846-fe00-7221-8b9e-ae1736300001 /var/backups/topup\n", find},
    {"archive", "check", "DIR|FILE...", 1, 1000, NULL, "Read archives whole and hold them against their checksums", NULL,
     "  topup archive check /var/backups/topup\n", check},
    {0}};
