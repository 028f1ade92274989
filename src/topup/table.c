// SPDX-License-Identifier: Apache-2.0
/*
 * table.c - widths are counted with wcwidth in the locale's encoding; main sets it. On a terminal that is too narrow the widest columns
 * that may be shortened give way first.
 */
#include "topup/table.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define CELLS_MAX (64u << 20)
#define GAP 2
#define COLUMN_MIN 8

// One character of the text: its bytes, and how many columns it takes (-1: not to be shown).
static size_t next_char(struct str s, int *width) {
    wchar_t wide;
    mbstate_t state = {0};
    size_t n = mbrtowc(&wide, s.p, s.n, &state);
    if (n == 0 || n > s.n) {
        *width = -1;
        return 1;
    }
    *width = wcwidth(wide);
    return n;
}

int text_width(struct str s) {
    int total = 0;
    while (s.n > 0) {
        int w;
        size_t n = next_char(s, &w);
        total += w < 0 ? 1 : w;
        s.p += n;
        s.n -= n;
    }
    return total;
}

void text_clean(struct buf *out, struct str s) {
    while (s.n > 0) {
        int w;
        size_t n = next_char(s, &w);
        if (w < 0)
            buf_add_char(out, '?');
        else
            buf_add(out, s.p, n);
        s.p += n;
        s.n -= n;
    }
}

// At most `width` columns of the text; what is cut shows as an ellipsis.
static void add_cut(struct buf *out, struct str s, int width, int *shown) {
    *shown = text_width(s);
    if (*shown <= width) {
        buf_add_str(out, s);
        return;
    }
    *shown = 0;
    while (s.n > 0) {
        int w;
        size_t n = next_char(s, &w);
        if (w < 0)
            w = 1;
        if (*shown + w > width - 1)
            break;
        buf_add(out, s.p, n);
        *shown += w;
        s.p += n;
        s.n -= n;
    }
    buf_add_text(out, MB_CUR_MAX > 1 ? "\xE2\x80\xA6" : ">");
    (*shown)++;
}

void table_init(struct table *t, int terminal, bool colour) {
    *t = (struct table){.terminal = terminal, .colour = colour};
    buf_init(&t->cells, CELLS_MAX);
}

void table_column(struct table *t, const char *title, bool right, bool keep) {
    CHECK(t->columns < TABLE_COLUMNS_MAX);
    t->title[t->columns] = title;
    t->right[t->columns] = right;
    t->keep[t->columns] = keep;
    t->width[t->columns] = text_width(str_of(title));
    t->columns++;
}

void table_cell(struct table *t, struct str text) {
    size_t column = t->n_cells % t->columns, at = t->cells.n;
    text_clean(&t->cells, text);
    int width = text_width((struct str){t->cells.p + at, t->cells.n - at});
    buf_add(&t->cells, "", 1);
    if (width > t->width[column])
        t->width[column] = width;
    t->n_cells++;
}

static int shortest(const struct table *t, size_t i) {
    bool whole = t->keep[i] || t->right[i] || t->width[i] < COLUMN_MIN;
    return whole ? t->width[i] : COLUMN_MIN;
}

// How many columns the terminal has room for when all that may be is shortened; always the first.
static size_t columns_that_fit(const struct table *t) {
    int total = t->columns > 0 ? shortest(t, 0) : 0;
    size_t n = 1;
    while (n < t->columns && (t->terminal == 0 || total + GAP + shortest(t, n) <= t->terminal))
        total += GAP + shortest(t, n++);
    return n;
}

// Makes the visible columns fit the terminal: the widest that may be shortened gives one place at a time.
static void fit(const struct table *t, int width[TABLE_COLUMNS_MAX]) {
    int total = 0;
    for (size_t i = 0; i < t->visible; i++) {
        width[i] = t->width[i];
        total += width[i] + (i > 0 ? GAP : 0);
    }
    while (t->terminal > 0 && total > t->terminal) {
        size_t widest = t->visible;
        for (size_t i = 0; i < t->visible; i++)
            if (width[i] > shortest(t, i) && (widest == t->visible || width[i] > width[widest]))
                widest = i;
        if (widest == t->visible)
            break;
        width[widest]--;
        total--;
    }
}

// What a state's colour says: done, wrong, or waiting for somebody.
static const char *colour_of(struct str s) {
    static const struct {
        const char *word, *code;
    } colours[] = {{"COMPLETED", "32"}, {"ACTIVE", "32"},   {"DONE", "32"},     {"Installed", "32"}, {"FAILED", "31"},
                   {"REFUSED", "31"},   {"DEPLETED", "31"}, {"PARKED", "1;33"}, {"EXPIRED", "2"},    {"Unavailable", "31"}};
    for (size_t i = 0; i < ARRAY_LEN(colours); i++)
        if (str_is(s, colours[i].word))
            return colours[i].code;
    return NULL;
}

static void add_line(const struct table *t, struct buf *out, const int *width, const char *const *text, bool title) {
    for (size_t i = 0; i < t->visible; i++) {
        bool last = i + 1 == t->visible;
        struct buf cell;
        int shown;
        buf_init(&cell, CELLS_MAX);
        add_cut(&cell, str_of(text[i]), width[i], &shown);
        int blanks = width[i] > shown ? width[i] - shown : 0;
        const char *code = !t->colour ? NULL : title ? "1" : colour_of(str_of(text[i]));
        if (t->right[i])
            buf_printf(out, "%*s", blanks, "");
        if (code)
            buf_printf(out, "\033[%sm", code);
        buf_add_str(out, buf_str(&cell));
        if (code)
            buf_add_text(out, "\033[0m");
        if (!t->right[i] && !last)
            buf_printf(out, "%*s", blanks, "");
        if (!last)
            buf_printf(out, "%*s", GAP, "");
        buf_release(&cell);
    }
    buf_add_char(out, '\n');
}

void table_flush(struct table *t, struct buf *out) {
    int width[TABLE_COLUMNS_MAX];
    if (!t->begun)
        t->visible = columns_that_fit(t);
    fit(t, width);
    if (!t->begun)
        add_line(t, out, width, t->title, true);
    t->begun = true;
    const char *p = t->cells.p;
    for (size_t row = 0; row < t->n_cells / t->columns; row++) {
        const char *text[TABLE_COLUMNS_MAX];
        for (size_t i = 0; i < t->columns; i++) {
            text[i] = p;
            p += strlen(p) + 1;
        }
        add_line(t, out, width, text, false);
    }
    buf_clear(&t->cells);
    t->n_cells = 0;
}

void table_release(struct table *t) {
    buf_release(&t->cells);
}

int terminal_width(FILE *f) {
    struct winsize size;
    if (!isatty(fileno(f)))
        return 0;
    if (ioctl(fileno(f), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

bool terminal_colour(FILE *f) {
    const char *term = getenv("TERM"), *no = getenv("NO_COLOR");
    return isatty(fileno(f)) && !(no && no[0]) && term && strcmp(term, "dumb") != 0;
}
