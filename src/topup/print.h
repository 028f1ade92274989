// SPDX-License-Identifier: Apache-2.0
/*
 * print.h - answers of the server for people and programs: lists and single resources.
 */
#ifndef TOPUP_PRINT_H
#define TOPUP_PRINT_H

#include "topup/topup.h"

// TEXT may be shortened on a narrow terminal; KEEP (ids, dates, states) may not; NUMBER stands right; BYTES are shown in their unit.
enum cell_kind { CELL_TEXT, CELL_KEEP, CELL_NUMBER, CELL_BYTES };
struct list_column {
    const char *title;
    const char *member; // "status", "product.id"; several with a blank between them are shown with a blank between them
    enum cell_kind kind;
};

// Fetches and prints a list, page by page: --limit rows (50), or all with --all. `path` carries the filters. `by_cursor`: the server gives
// the next page's key in _metadata.next_after instead of numbering pages.
enum ending print_list(struct session *s, enum client_side side, const struct buf *path, bool by_cursor, const struct list_column *columns,
                       size_t n);
// Prints the members of a resource, one a line; nested ones with a dot; without _metadata.
void print_members(const json_t *o);
// One line in the manner of print_members; nothing when the member is not there.
void print_member(const json_t *o, const char *path, const char *name);
// A heading (NULL: none) and a table of an array that an answer holds.
void print_rows(const char *heading, const json_t *array, const struct list_column *columns, size_t n);
// A line for people on standard output; nothing with --json.
void print_line(const struct session *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
// A member as text: numbers without needless digits, arrays with blanks.
void member_text(struct buf *out, const json_t *o, const char *path);
// A string member; "" when there is none.
const char *member_str(const json_t *o, const char *path);
int64_t member_i64(const json_t *o, const char *path);

#endif
