// SPDX-License-Identifier: Apache-2.0
/*
 * csv.c - reads a record by looking at each byte once. Field texts are gathered unquoted in `record`; views are made when the record is
 * whole. Quoted fields are kept as they are, unquoted ones are trimmed.
 */
#include "base/csv.h"

#include <stdlib.h>

#define BLOCK 65536

void csv_init(struct csv *c, long (*read)(void *ctx, char *to, size_t size), void *ctx) {
    *c = (struct csv){.read = read, .ctx = ctx, .next_line = 1};
    c->block = xmalloc(BLOCK);
    c->record = xmalloc(CSV_RECORD_MAX);
}

static long read_text(void *ctx, char *to, size_t size) {
    struct csv *c = ctx;
    size_t n = c->text.n < size ? c->text.n : size;
    if (n > 0)
        memcpy(to, c->text.p, n);
    c->text.p += n;
    c->text.n -= n;
    return (long)n;
}

void csv_init_text(struct csv *c, struct str text) {
    csv_init(c, read_text, c);
    c->text = text;
    if (!c->text.p)
        c->text = STR("");
}

void csv_release(struct csv *c) {
    free(c->block);
    free(c->record);
    c->block = c->record = NULL;
    c->ended = true;
}

#define END_OF_INPUT (-1)
#define INPUT_FAILED (-2)

// The next byte, or one of the two above. It stays the next byte until take().
static inline int peek(struct csv *c) {
    if (c->block_used == c->block_n) {
        if (c->ended)
            return c->failed ? INPUT_FAILED : END_OF_INPUT;
        long n = c->read(c->ctx, c->block, BLOCK);
        c->block_used = 0;
        c->block_n = n > 0 ? (size_t)n : 0;
        if (n <= 0) {
            c->ended = true;
            c->failed = n < 0;
            return c->failed ? INPUT_FAILED : END_OF_INPUT;
        }
    }
    return (unsigned char)c->block[c->block_used];
}
static inline void take(struct csv *c) {
    c->block_used++;
    c->bytes++;
}

// Takes a line end of any of the three kinds, when there is one.
static bool take_line_end(struct csv *c, int b) {
    if (b != '\n' && b != '\r')
        return false;
    take(c);
    if (b == '\r' && peek(c) == '\n')
        take(c);
    c->next_line++;
    return true;
}

static void skip_byte_order_mark(struct csv *c) {
    static const unsigned char mark[3] = {0xEF, 0xBB, 0xBF};
    // The first read of a file or a body brings at least three bytes, or the input is no CSV file with a mark.
    if (peek(c) == mark[0] && c->block_n >= 3 && memcmp(c->block, mark, 3) == 0) {
        c->block_used = 3;
        c->bytes = 3;
    }
}

static enum csv_row broken(struct csv *c, const char *reason) {
    c->broken = true;
    c->reason = reason;
    c->n = 0;
    return CSV_BROKEN;
}

// One record being gathered.
struct gather {
    size_t fields;
    const char *fault; // the first one; the rest of the record is still read
    bool blank;        // nothing but blanks so far
};

static void put(struct csv *c, struct gather *g, int b) {
    if (c->record_n < CSV_RECORD_MAX)
        c->record[c->record_n++] = (char)b;
    else if (!g->fault)
        g->fault = "the line is too long";
}

static void end_field(struct csv *c, struct gather *g, size_t start, bool quoted) {
    struct str s = {c->record + start, c->record_n - start};
    if (!quoted)
        s = str_trim(s);
    if (!g->fault && !str_is_utf8(s))
        g->fault = "the line is not UTF-8 text";
    if (g->fields < CSV_FIELDS_MAX)
        c->field[g->fields] = s;
    else if (!g->fault)
        g->fault = "the line has too many fields";
    g->fields++;
}

// Reads what stands between quotes; the opening one has been taken. False: the input ended (or failed, or the record grew beyond its
// maximum) before the closing one.
static bool quoted_text(struct csv *c, struct gather *g) {
    for (;;) {
        int b = peek(c);
        if (b < 0)
            return false;
        if (b == '"') {
            take(c);
            if (peek(c) != '"')
                return true;
            take(c);
            put(c, g, '"');
        } else if (b == '\n' || b == '\r') {
            take_line_end(c, b);
            put(c, g, '\n');
        } else {
            take(c);
            put(c, g, b);
        }
        if (c->record_n == CSV_RECORD_MAX)
            return false;
    }
}

// One field up to the comma or line end behind it, which is left. False: broken.
static bool field(struct csv *c, struct gather *g) {
    size_t start = c->record_n;
    bool quoted = false;
    for (;;) {
        int b = peek(c);
        if (b < 0 || b == ',' || b == '\n' || b == '\r')
            break;
        take(c);
        if (b == '"' && !quoted && str_trim((struct str){c->record + start, c->record_n - start}).n == 0) {
            c->record_n = start; // blanks before the quote are not the field's
            quoted = true;
            g->blank = false;
            if (!quoted_text(c, g))
                return false;
        } else if (quoted) {
            if (b != ' ' && b != '\t' && !g->fault)
                g->fault = "there is text behind a closing quote";
        } else {
            if (b == '"' && !g->fault)
                g->fault = "there is a quote in the middle of a field (a field with quotes is quoted, and its quotes are doubled)";
            if (b != ' ' && b != '\t')
                g->blank = false;
            put(c, g, b);
        }
    }
    end_field(c, g, start, quoted);
    return true;
}

enum csv_row csv_next(struct csv *c) {
    if (c->broken)
        return CSV_BROKEN;
    if (!c->begun) {
        c->begun = true;
        skip_byte_order_mark(c);
    }
    for (;;) {
        int b = peek(c);
        if (b == INPUT_FAILED)
            return broken(c, "the file cannot be read any further");
        c->line = c->next_line;
        c->n = 0;
        if (b == END_OF_INPUT)
            return CSV_END;
        struct gather g = {.blank = true};
        c->record_n = 0;
        bool whole;
        while ((whole = field(c, &g)) && (b = peek(c)) == ',')
            take(c);
        if (c->failed)
            return broken(c, "the file cannot be read any further");
        if (!whole)
            return broken(c, "a quoted field in the record that begins here does not end");
        take_line_end(c, b);
        if (g.blank && g.fields == 1)
            continue;
        c->reason = g.fault;
        c->n = g.fault ? 0 : g.fields;
        return g.fault ? CSV_BAD : CSV_ROW;
    }
}

// How many bytes of `s` to show: at most `max`, no character cut in two.
static size_t utf8_cut(struct str s, size_t max) {
    if (s.n <= max)
        return s.n;
    while (max > 0 && ((unsigned char)s.p[max] & 0xC0) == 0x80)
        max--;
    return max;
}

enum err_kind csv_header(struct csv *c, const char *const *known, size_t n_known, size_t n_required, int *index, struct err *err) {
    enum csv_row row = csv_next(c);
    if (row == CSV_END)
        return err_set(err, ERR_INVALID, "line 1: there is no header row");
    if (row != CSV_ROW)
        return err_set(err, ERR_INVALID, "line %lld: %s", (long long)c->line, c->reason);
    for (size_t i = 0; i < n_known; i++)
        index[i] = -1;
    enum err_kind kind = ERR_NONE;
    for (size_t f = 0; f < c->n; f++) {
        size_t i = 0;
        while (i < n_known && !str_eq_nocase(c->field[f], str_of(known[i])))
            i++;
        if (i == n_known)
            kind = err_add(err, ERR_INVALID, "line %lld: the column \"%.*s\" is not known", (long long)c->line,
                           (int)utf8_cut(c->field[f], 60), c->field[f].p);
        else if (index[i] >= 0)
            kind = err_add(err, ERR_INVALID, "line %lld: the column %s is there twice", (long long)c->line, known[i]);
        else
            index[i] = (int)f;
    }
    for (size_t i = 0; i < n_required; i++)
        if (index[i] < 0)
            kind = err_add(err, ERR_INVALID, "line %lld: the column %s is missing", (long long)c->line, known[i]);
    return kind;
}

struct str csv_field(const struct csv *c, int index) {
    if (index < 0 || (size_t)index >= c->n || c->field[index].n == 0)
        return STR_NONE;
    return c->field[index];
}

void csv_put(struct buf *out, struct str s, bool first) {
    if (!first)
        buf_add_char(out, ',');
    bool quote = s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t');
    quote = quote || str_starts(s, "\xEF\xBB\xBF"); // at the start of a file it would be taken for a byte order mark
    for (size_t i = 0; i < s.n && !quote; i++)
        quote = s.p[i] == ',' || s.p[i] == '"' || s.p[i] == '\n' || s.p[i] == '\r';
    if (!quote) {
        buf_add_str(out, s);
        return;
    }
    buf_add_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            buf_add_char(out, '"');
        buf_add_char(out, s.p[i]);
    }
    buf_add_char(out, '"');
}
