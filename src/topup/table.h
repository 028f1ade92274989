// SPDX-License-Identifier: Apache-2.0
/*
 * table.h - rows for people: columns aligned by what a terminal shows, sized to its width; plain and uncut when it is none. On a narrow
 * terminal texts are shortened first, never numbers and ids; then columns are left out from the right, so they come in order of weight.
 *
 * Rows are kept until table_flush, which may come several times: the title line is written once and columns only grow, so that a long list
 * is written page by page. Control characters in cells (they came from outside) are shown as '?'.
 */
#ifndef TOPUP_TABLE_H
#define TOPUP_TABLE_H

#include <stdio.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

#define TABLE_COLUMNS_MAX 12

struct table {
    size_t columns;
    const char *title[TABLE_COLUMNS_MAX];
    bool right[TABLE_COLUMNS_MAX]; // aligned: numbers
    bool keep[TABLE_COLUMNS_MAX];  // never shortened: ids that people copy
    int width[TABLE_COLUMNS_MAX];  // shown so far
    size_t visible;                // columns that are shown: the first ones; decided at the first flush
    int terminal;                  // its width; 0: no terminal
    bool colour;
    bool begun;
    struct buf cells; // NUL-terminated, row by row
    size_t n_cells;
};

void table_init(struct table *t, int terminal_width, bool colour);
void table_column(struct table *t, const char *title, bool right, bool keep);
void table_cell(struct table *t, struct str text); // in order; a row is full when each column has its cell
void table_flush(struct table *t, struct buf *out);
void table_release(struct table *t);

// How many columns of a terminal the text takes; bytes that are no character count one each.
int text_width(struct str s);
// The text without control characters.
void text_clean(struct buf *out, struct str s);
// Width of the terminal behind the stream; 0 when there is none.
int terminal_width(FILE *f);
bool terminal_colour(FILE *f); // a terminal, and neither NO_COLOR nor TERM=dumb

#endif
