// SPDX-License-Identifier: Apache-2.0
#include "topup/print.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "topup/table.h"

#define OUT_MAX (256u << 20)
#define PAGE_MAX 100
#define LIMIT_DEFAULT 50

static void write_out(struct buf *b) {
    if (b->n > 0)
        fwrite(b->p, 1, b->n, stdout);
    buf_clear(b);
}

void print_line(const struct session *s, const char *fmt, ...) {
    if (session_has(s, OPT_JSON))
        return;
    va_list args;
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

// The member at "a.b"; NULL when there is none.
static const json_t *member(const json_t *o, const char *path) {
    struct str rest = str_of(path), head;
    while (o && rest.n > 0) {
        char name[64];
        rest = str_cut(rest, '.', &head);
        if (!str_to_buf(head, name, sizeof name))
            return NULL;
        o = json_object_get(o, name);
    }
    return o;
}

static void add_value(struct buf *out, const json_t *v) {
    size_t i;
    json_t *item;
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_STRING:
        buf_add(out, json_string_value(v), json_string_length(v));
        break;
    case JSON_INTEGER:
        buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        break;
    case JSON_REAL:
        buf_printf(out, "%.15g", json_real_value(v));
        break;
    case JSON_TRUE:
        buf_add_text(out, "yes");
        break;
    case JSON_FALSE:
        buf_add_text(out, "no");
        break;
    case JSON_ARRAY:
        for (i = 0; i < json_array_size(v); i++) {
            item = json_array_get(v, i);
            if (i > 0)
                buf_add_char(out, ' ');
            add_value(out, item);
        }
        break;
    case JSON_OBJECT:
    case JSON_NULL:
        break;
    }
}

void member_text(struct buf *out, const json_t *o, const char *path) {
    struct str rest = str_of(path), head;
    bool any = false;
    while (rest.n > 0) {
        char one[64];
        rest = str_cut(rest, ' ', &head);
        if (!str_to_buf(head, one, sizeof one))
            continue;
        size_t before = out->n;
        if (any)
            buf_add_char(out, ' ');
        size_t start = out->n;
        add_value(out, member(o, one));
        if (out->n == start)
            out->n = before;
        else
            any = true;
    }
    if (out->p)
        out->p[out->n] = 0;
}

const char *member_str(const json_t *o, const char *path) {
    const char *v = json_string_value(member(o, path));
    return v ? v : "";
}

int64_t member_i64(const json_t *o, const char *path) {
    return json_integer_value(member(o, path));
}

static void add_bytes(struct buf *out, int64_t n) {
    static const char *const unit[] = {"B", "KB", "MB", "GB", "TB", "PB"};
    double v = (double)n;
    size_t u = 0;
    while (v >= 1024 && u + 1 < ARRAY_LEN(unit)) {
        v /= 1024;
        u++;
    }
    buf_printf(out, "%.4g %s", v, unit[u]);
}

static void add_cells(struct table *t, const json_t *row, const struct list_column *columns, size_t n) {
    struct buf cell;
    buf_init(&cell, 1u << 20);
    for (size_t i = 0; i < n; i++) {
        buf_clear(&cell);
        if (columns[i].kind == CELL_BYTES && json_is_integer(member(row, columns[i].member)))
            add_bytes(&cell, member_i64(row, columns[i].member));
        else
            member_text(&cell, row, columns[i].member);
        table_cell(t, buf_str(&cell));
    }
    buf_release(&cell);
}

static void begin_table(struct table *t, const struct list_column *columns, size_t n) {
    table_init(t, terminal_width(stdout), terminal_colour(stdout));
    for (size_t i = 0; i < n; i++)
        table_column(t, columns[i].title, columns[i].kind == CELL_NUMBER || columns[i].kind == CELL_BYTES, columns[i].kind == CELL_KEEP);
}

void print_rows(const char *heading, const json_t *array, const struct list_column *columns, size_t n) {
    if (json_array_size(array) == 0)
        return;
    struct table t;
    struct buf out;
    size_t i;
    json_t *row;
    begin_table(&t, columns, n);
    buf_init(&out, OUT_MAX);
    if (heading)
        buf_printf(&out, "\n%s\n", heading);
    for (i = 0; i < json_array_size(array); i++) {
        row = json_array_get(array, i);
        add_cells(&t, row, columns, n);
    }
    table_flush(&t, &out);
    write_out(&out);
    buf_release(&out);
    table_release(&t);
}

static void members_into(struct buf *out, const json_t *o, const char *prefix, int width) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v) {
        char name[128];
        if (strcmp(key, "_metadata") == 0 || json_is_null(v))
            continue;
        snprintf(name, sizeof name, "%s%s", prefix, key);
        bool rows = json_is_array(v) && json_is_object(json_array_get(v, 0));
        if (json_is_object(v)) {
            struct buf deeper;
            buf_init(&deeper, 256);
            buf_printf(&deeper, "%s.", name);
            members_into(out, v, deeper.n ? deeper.p : "", width);
            buf_release(&deeper);
        } else if (!rows) {
            struct buf text;
            buf_init(&text, OUT_MAX);
            add_value(&text, v);
            buf_printf(out, "%-*s  ", width, name);
            text_clean(out, buf_str(&text));
            buf_add_char(out, '\n');
            buf_release(&text);
        }
    }
}

// The longest name that members_into will write.
static int names_width(const json_t *o, int prefix) {
    int widest = 0;
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v) {
        if (strcmp(key, "_metadata") == 0 || json_is_null(v))
            continue;
        int width = prefix + (int)strlen(key);
        if (json_is_object(v))
            width = names_width(v, width + 1);
        if (width > widest)
            widest = width;
    }
    return widest;
}

void print_members(const json_t *o) {
    struct buf out;
    buf_init(&out, OUT_MAX);
    members_into(&out, o, "", names_width(o, 0));
    write_out(&out);
    buf_release(&out);
}

void print_member(const json_t *o, const char *path, const char *name) {
    struct buf out;
    buf_init(&out, OUT_MAX);
    if (member_str(o, path)[0]) {
        buf_printf(&out, "%-22s  ", name); // as wide as an order's longest member
        text_clean(&out, str_of(member_str(o, path)));
        buf_add_char(&out, '\n');
    }
    write_out(&out);
    buf_release(&out);
}

// One list being printed.
struct listing {
    struct session *s;
    const struct list_column *columns;
    size_t n_columns;
    int64_t limit; // rows still wanted
    struct table table;
    struct buf out;
    bool json, begun;
};

static void list_page(struct listing *l, const json_t *data) {
    for (size_t i = 0; i < json_array_size(data) && l->limit > 0; i++, l->limit--) {
        const json_t *row = json_array_get(data, i);
        if (!l->json) {
            add_cells(&l->table, row, l->columns, l->n_columns);
            continue;
        }
        char *text = json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(15));
        CHECK(text);
        buf_add_text(&l->out, l->begun ? ",\n" : "{\"data\":[\n");
        buf_add_text(&l->out, text);
        free(text);
        l->begun = true;
    }
    if (!l->json)
        table_flush(&l->table, &l->out);
    write_out(&l->out);
}

// Which columns the terminal had no room for.
static void tell_left_out(const struct table *t) {
    fputs("(no room for", stderr);
    for (size_t i = t->visible; i < t->columns; i++)
        fprintf(stderr, "%s %s", i > t->visible ? "," : "", t->title[i]);
    fputs("; a wider terminal or --json shows all)\n", stderr);
}

enum ending print_list(struct session *s, enum client_side side, const struct buf *path, bool by_cursor, const struct list_column *columns,
                       size_t n) {
    struct listing l = {.s = s, .columns = columns, .n_columns = n, .limit = LIMIT_DEFAULT, .json = session_has(s, OPT_JSON)};
    if (!option_i64(s, OPT_LIMIT, "--limit", 1, INT64_C(1000000000), &l.limit))
        return END_USAGE;
    if (session_has(s, OPT_ALL))
        l.limit = INT64_MAX;
    int64_t size = l.limit < PAGE_MAX ? l.limit : PAGE_MAX, total_pages = 1, shown_limit = l.limit;
    char cursor[64] = "";
    bool more = true;
    begin_table(&l.table, columns, n);
    buf_init(&l.out, OUT_MAX);
    enum ending how = END_OK;
    for (int64_t page = 1; more && l.limit > 0; page++) {
        struct buf url;
        char number[32];
        json_t *answer = NULL;
        buf_init(&url, 65536);
        buf_add_str(&url, buf_str(path));
        snprintf(number, sizeof number, "%" PRId64, size);
        query_add(&url, "page_size", number);
        snprintf(number, sizeof number, "%" PRId64, page);
        query_add(&url, by_cursor ? "after" : "page", by_cursor ? (cursor[0] ? cursor : NULL) : number);
        how = session_call(s, side, "GET", STR_NONE, &answer, "%s", url.p);
        buf_release(&url);
        if (how != END_OK)
            break;
        const json_t *data = json_object_get(answer, "data");
        const char *next = member_str(answer, "_metadata.next_after");
        total_pages = member_i64(answer, "_metadata.page_count");
        snprintf(cursor, sizeof cursor, "%s", next);
        more = json_array_size(data) > 0 && (by_cursor ? cursor[0] != 0 : page < total_pages);
        // What is left of this page beyond --limit is more, too.
        more = more || (int64_t)json_array_size(data) > l.limit;
        list_page(&l, data);
        json_decref(answer);
    }
    if (l.json && how == END_OK)
        puts(l.begun ? "\n]}" : "{\"data\":[]}");
    fflush(stdout);
    if (!l.json && how == END_OK && l.table.visible < n)
        tell_left_out(&l.table);
    if (!l.json && how == END_OK && more && terminal_width(stdout) > 0)
        fprintf(stderr, "(the first %" PRId64 "; --limit N or --all for more)\n", shown_limit);
    table_release(&l.table);
    buf_release(&l.out);
    return how;
}
