// SPDX-License-Identifier: Apache-2.0
/*
 * archive_file.c - the records are written, compressed, into a part of their own while they come; when all are there the file is made of
 * the header and a copy of that part: one gzip member behind the other, which readers take as one.
 */
#include "topup/archive_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/secret.h"

#define LINE_MAX_BYTES (2u << 20)
#define COPY_BYTES 65536
#define KIND "topupd orders"

static enum err_kind trouble(struct err *err, const char *path) {
    return err_set(err, ERR_UNAVAILABLE, "%s: %s", path, strerror(errno));
}

void archive_hex(const uint8_t sum[32], char out[SHA256_HEX]) {
    for (size_t i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", sum[i]);
}

bool archive_record_id(struct str line, struct uuid *out) {
    static const char begin[] = "{\"order\":{\"id\":\"";
    const size_t skip = sizeof begin - 1;
    return str_starts(line, begin) && line.n > skip + UUID_TEXT && uuid_parse((struct str){line.p + skip, UUID_TEXT - 1}, out);
}

// ---- writing ----

struct archive_writer {
    char *folder;
    char part[ARCHIVE_PATH_MAX], head[ARCHIVE_PATH_MAX]; // "" when not there
    gzFile gz;
    struct sha256 *sum;
    int64_t orders;
    struct wall first, last;
};

static enum err_kind name_it(char out[ARCHIVE_PATH_MAX], struct err *err, const char *folder, const char *name) {
    int n = snprintf(out, ARCHIVE_PATH_MAX, "%s/%s", folder, name);
    return n < 0 || n >= ARCHIVE_PATH_MAX ? err_set(err, ERR_INVALID, "%s: the name is too long", folder) : ERR_NONE;
}

// A new file of this name, to be compressed into.
static enum err_kind begin_part(const char *path, gzFile *out, struct err *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return trouble(err, path);
    *out = gzdopen(fd, "wb6");
    if (*out)
        return ERR_NONE;
    close(fd);
    return err_set(err, ERR_UNAVAILABLE, "%s: there is no memory to compress with", path);
}

static enum err_kind write_gz(gzFile gz, const char *path, struct str data, struct err *err) {
    int why = 0;
    if (data.n == 0 || gzwrite(gz, data.p, (unsigned)data.n) == (int)data.n)
        return ERR_NONE;
    const char *text = gzerror(gz, &why);
    return why == Z_ERRNO ? trouble(err, path) : err_set(err, ERR_UNAVAILABLE, "%s: %s", path, text);
}

enum err_kind archive_create(const char *folder, struct archive_writer **out, struct err *err) {
    struct archive_writer *w = xcalloc(1, sizeof *w);
    w->folder = xstrdup(folder);
    w->sum = sha256_begin();
    w->first = w->last = WALL_NONE;
    enum err_kind kind = name_it(w->part, err, folder, "records" ARCHIVE_PART);
    if (!kind)
        kind = begin_part(w->part, &w->gz, err);
    if (kind) {
        w->part[0] = 0;
        archive_abandon(w);
        return kind;
    }
    *out = w;
    return ERR_NONE;
}

enum err_kind archive_add(struct archive_writer *w, struct str line, struct err *err) {
    struct uuid id;
    if (line.n >= LINE_MAX_BYTES || !archive_record_id(line, &id) || memchr(line.p, '\n', line.n))
        return err_set(err, ERR_CORRUPT, "the server gave a record that is none");
    struct wall accepted = uuid_time(id);
    if (!wall_set(w->first) || accepted.ms < w->first.ms)
        w->first = accepted;
    if (!wall_set(w->last) || accepted.ms > w->last.ms)
        w->last = accepted;
    w->orders++;
    sha256_add(w->sum, line);
    sha256_add(w->sum, STR("\n"));
    enum err_kind kind = write_gz(w->gz, w->part, line, err);
    return kind ? kind : write_gz(w->gz, w->part, STR("\n"), err);
}

int64_t archive_orders(const struct archive_writer *w) {
    return w->orders;
}

static void header_put(struct buf *out, const struct archive_header *h) {
    struct jw w = jw_on(out);
    jw_object(&w, NULL);
    jw_text(&w, "archive", KIND);
    jw_i64(&w, "schema", ARCHIVE_SCHEMA);
    jw_text(&w, "topup", TOPUP_VERSION);
    jw_date(&w, "created", h->created);
    jw_date(&w, "before", h->before);
    if (h->partner[0])
        jw_text(&w, "partner", h->partner);
    jw_i64(&w, "orders", h->orders);
    jw_i64(&w, "first_ms", h->first.ms);
    jw_i64(&w, "last_ms", h->last.ms);
    jw_date(&w, "first", h->first);
    jw_date(&w, "last", h->last);
    jw_text(&w, "sha256", h->sha256);
    jw_end_object(&w);
    buf_add_char(out, '\n');
}

static enum err_kind write_header(struct archive_writer *w, const struct archive_header *h, struct err *err) {
    gzFile gz;
    struct buf line;
    enum err_kind kind = begin_part(w->head, &gz, err);
    if (kind)
        return kind;
    buf_init(&line, 65536);
    header_put(&line, h);
    kind = write_gz(gz, w->head, buf_str(&line), err);
    buf_release(&line);
    if (gzclose(gz) != Z_OK && !kind)
        kind = err_set(err, ERR_UNAVAILABLE, "%s: cannot be written", w->head);
    return kind;
}

static bool write_whole(int fd, const char *p, size_t n) {
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

// The records behind the header, and all of it on disk.
static enum err_kind append_records(struct archive_writer *w, struct err *err) {
    int from = open(w->part, O_RDONLY | O_CLOEXEC), to = open(w->head, O_WRONLY | O_APPEND | O_CLOEXEC);
    char *piece = xmalloc(COPY_BYTES);
    enum err_kind kind = from < 0 ? trouble(err, w->part) : to < 0 ? trouble(err, w->head) : ERR_NONE;
    while (!kind) {
        ssize_t n = read(from, piece, COPY_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            kind = trouble(err, w->part);
        else if (n > 0 && !write_whole(to, piece, (size_t)n))
            kind = trouble(err, w->head);
        if (n <= 0)
            break;
    }
    if (!kind && fsync(to) != 0)
        kind = trouble(err, w->head);
    free(piece);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return kind;
}

static enum err_kind sync_folder(const char *folder, struct err *err) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return trouble(err, folder);
    enum err_kind kind = fsync(fd) != 0 ? trouble(err, folder) : ERR_NONE;
    close(fd);
    return kind;
}

// "20250102T030405Z"
static void stamp(struct wall t, char out[20]) {
    struct civil c = civil_of(t);
    char text[64];
    snprintf(text, sizeof text, "%04d%02d%02dT%02d%02d%02dZ", c.year, c.month, c.day, c.hour, c.minute, c.second);
    snprintf(out, 20, "%.19s", text);
}

// What a pending file is called in the end.
static void settled_name(const char *path, char done[static ARCHIVE_PATH_MAX]) {
    size_t n = strlen(path) - strlen(".pending");
    CHECK(n < ARCHIVE_PATH_MAX);
    memcpy(done, path, n);
    done[n] = 0;
}

// Under a name that says what is in it, and that nothing else has: of the same records there may be another file, made without removing
// them.
static enum err_kind settle_name(struct archive_writer *w, const struct archive_header *h, char *path, struct err *err) {
    char first[20], last[20], name[256], done[ARCHIVE_PATH_MAX];
    stamp(h->first, first);
    stamp(h->last, last);
    for (int i = 1; i < 1000; i++) {
        char again[16] = "";
        if (i > 1)
            snprintf(again, sizeof again, "-%d", i);
        snprintf(name, sizeof name, "orders-%s-%s-%.8s%s" ARCHIVE_PENDING, first, last, h->sha256, again);
        enum err_kind kind = name_it(path, err, w->folder, name);
        if (kind)
            return kind;
        settled_name(path, done);
        if (access(path, F_OK) == 0 || access(done, F_OK) == 0)
            continue;
        if (rename(w->head, path) != 0)
            return trouble(err, path);
        w->head[0] = 0;
        return sync_folder(w->folder, err);
    }
    return err_set(err, ERR_CONFLICT, "%s: there are too many files of the same orders", w->folder);
}

enum err_kind archive_finish(struct archive_writer *w, struct archive_header *h, char *path, struct err *err) {
    uint8_t sum[32];
    sha256_end(w->sum, sum);
    w->sum = NULL;
    archive_hex(sum, h->sha256);
    h->orders = w->orders;
    h->first = w->first;
    h->last = w->last;
    int rc = gzclose(w->gz);
    w->gz = NULL;
    if (rc != Z_OK)
        return err_set(err, ERR_UNAVAILABLE, "%s: cannot be written", w->part);
    enum err_kind kind = name_it(w->head, err, w->folder, "whole" ARCHIVE_PART);
    if (!kind)
        kind = write_header(w, h, err);
    if (!kind)
        kind = append_records(w, err);
    return kind ? kind : settle_name(w, h, path, err);
}

void archive_abandon(struct archive_writer *w) {
    if (!w)
        return;
    if (w->gz)
        gzclose(w->gz);
    if (w->sum)
        sha256_end(w->sum, NULL);
    if (w->part[0])
        unlink(w->part);
    if (w->head[0])
        unlink(w->head);
    free(w->folder);
    free(w);
}

enum err_kind archive_settle(char *path, struct err *err) {
    char done[ARCHIVE_PATH_MAX], folder[ARCHIVE_PATH_MAX];
    CHECK(str_ends(str_of(path), ARCHIVE_PENDING));
    settled_name(path, done);
    if (rename(path, done) != 0)
        return trouble(err, path);
    memcpy(path, done, strlen(done) + 1);
    snprintf(folder, sizeof folder, "%s", done);
    char *slash = strrchr(folder, '/');
    if (slash)
        *(slash == folder ? slash + 1 : slash) = 0;
    return sync_folder(slash ? folder : ".", err);
}

// ---- reading ----

struct archive_reader {
    char *path;
    gzFile gz;
    char *line;
    struct archive_header header;
    struct sha256 *sum;
    int64_t seen;
};

// *n is 0 at the end of the file. Without the line's end.
static enum err_kind read_line(struct archive_reader *r, size_t *n, struct err *err) {
    int why = 0;
    if (!gzgets(r->gz, r->line, (int)LINE_MAX_BYTES)) {
        const char *text = gzerror(r->gz, &why);
        if (why == Z_ERRNO)
            return trouble(err, r->path);
        if (why != Z_OK || !gzeof(r->gz))
            return err_set(err, ERR_CORRUPT, "%s: is damaged: %s", r->path, text);
        *n = 0;
        return ERR_NONE;
    }
    size_t length = strlen(r->line);
    if (length < 2 || r->line[length - 1] != '\n')
        return err_set(err, ERR_CORRUPT, "%s: is damaged: a line has no end", r->path);
    *n = length - 1;
    return ERR_NONE;
}

static enum err_kind read_header(struct archive_reader *r, struct err *err) {
    struct archive_header *h = &r->header;
    struct err why = {0};
    json_t *o = NULL;
    size_t n = 0;
    int64_t schema = 0;
    enum err_kind kind = read_line(r, &n, err);
    if (kind)
        return kind;
    if (n == 0 || json_parse_object((struct str){r->line, n}, &o, &why) != ERR_NONE)
        return err_set(err, ERR_CORRUPT, "%s: is no archive of orders", r->path);
    struct str what = json_take_str(o, "", "archive", JSON_REQUIRED, 64, &why);
    json_take_i64(o, "", "schema", JSON_REQUIRED, 1, INT64_MAX, &schema, &why);
    h->created = json_take_date(o, "", "created", JSON_REQUIRED, &why);
    h->before = json_take_date(o, "", "before", JSON_REQUIRED, &why);
    struct str partner = json_take_str(o, "", "partner", JSON_OPTIONAL, ARCHIVE_PARTNER_MAX, &why);
    json_take_i64(o, "", "orders", JSON_REQUIRED, 1, INT64_MAX, &h->orders, &why);
    json_take_i64(o, "", "first_ms", JSON_REQUIRED, 0, DATE_LAST.ms, &h->first.ms, &why);
    json_take_i64(o, "", "last_ms", JSON_REQUIRED, 0, DATE_LAST.ms, &h->last.ms, &why);
    struct str sum = json_take_str(o, "", "sha256", JSON_REQUIRED, SHA256_HEX - 1, &why);
    if (!str_is(what, KIND))
        kind = err_set(err, ERR_CORRUPT, "%s: is no archive of orders", r->path);
    else if (schema > ARCHIVE_SCHEMA)
        kind = err_set(err, ERR_CORRUPT, "%s: was made by a newer topup (schema %" PRId64 ")", r->path, schema);
    else if (why.kind)
        kind = err_set(err, ERR_CORRUPT, "%s: its header is damaged: %s", r->path, err_first(&why));
    if (!kind) {
        str_to_buf(str_present(partner) ? partner : STR(""), h->partner, sizeof h->partner);
        str_to_buf(sum, h->sha256, sizeof h->sha256);
    }
    json_decref(o);
    return kind;
}

enum err_kind archive_open(const char *path, struct archive_reader **out, struct err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_UNAVAILABLE, "%s: %s", path, strerror(errno));
    struct archive_reader *r = xcalloc(1, sizeof *r);
    r->path = xstrdup(path);
    r->line = xmalloc(LINE_MAX_BYTES);
    r->sum = sha256_begin();
    r->gz = gzdopen(fd, "rb");
    if (!r->gz)
        close(fd);
    enum err_kind kind = r->gz ? read_header(r, err) : err_set(err, ERR_UNAVAILABLE, "%s: there is no memory to read it", path);
    if (kind) {
        archive_close(r);
        return kind;
    }
    *out = r;
    return ERR_NONE;
}

const struct archive_header *archive_header(const struct archive_reader *r) {
    return &r->header;
}

static enum err_kind check_end(struct archive_reader *r, struct err *err) {
    uint8_t sum[32];
    char hex[SHA256_HEX];
    sha256_end(r->sum, sum);
    r->sum = NULL;
    archive_hex(sum, hex);
    if (r->seen != r->header.orders)
        return err_set(err, ERR_CORRUPT, "%s: has %" PRId64 " orders, and says that it has %" PRId64, r->path, r->seen, r->header.orders);
    if (strcmp(hex, r->header.sha256) != 0)
        return err_set(err, ERR_CORRUPT, "%s: its records are not those that were written (SHA-256)", r->path);
    return ERR_NONE;
}

enum err_kind archive_next(struct archive_reader *r, struct str *line, struct err *err) {
    size_t n = 0;
    struct uuid id;
    enum err_kind kind = read_line(r, &n, err);
    if (kind)
        return kind;
    *line = n ? (struct str){r->line, n} : STR_NONE;
    if (n == 0)
        return r->sum ? check_end(r, err) : ERR_NONE;
    sha256_add(r->sum, (struct str){r->line, n + 1});
    r->seen++;
    return archive_record_id(*line, &id) ? ERR_NONE : err_set(err, ERR_CORRUPT, "%s: has a record that is none", r->path);
}

void archive_close(struct archive_reader *r) {
    if (!r)
        return;
    if (r->gz)
        gzclose(r->gz);
    if (r->sum)
        sha256_end(r->sum, NULL);
    free(r->line);
    free(r->path);
    free(r);
}
