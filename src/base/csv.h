// SPDX-License-Identifier: Apache-2.0
/*
 * csv.h - comma-separated values (RFC 4180) in, a record at a time, and fields out.
 *
 * Reading is streamed and its memory bounded: one block of input and one record. Taken: quotes with doubled quotes and line ends inside,
 * CRLF, LF and CR line ends, a byte order mark, blanks around unquoted fields (trimmed), a last line without its end; empty lines are
 * skipped. Line numbers count lines of the file, so a record that spans several is named by its first.
 *
 * A record that is wrong by itself (a quote in the middle of a field, bytes that are not UTF-8, too long) is CSV_BAD: reported with
 * its line, and reading goes on behind it. A quoted field that does not end, or an input that cannot be read, is CSV_BROKEN: nobody
 * knows where the next record begins, so nothing behind it is read.
 *
 * The struct is the caller's; one thread at a time. Fields are views into it and hold until the next csv_next or csv_release.
 */
#ifndef BASE_CSV_H
#define BASE_CSV_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define CSV_FIELDS_MAX 64
#define CSV_RECORD_MAX 65536 // bytes of one record's fields

struct csv {
    // Where bytes come from: fills `to`, returns how many, 0 at the end, -1 when it cannot be read.
    long (*read)(void *ctx, char *to, size_t size);
    void *ctx;
    // the record that csv_next found
    int64_t line; // its first line, from 1
    size_t n;
    struct str field[CSV_FIELDS_MAX];
    const char *reason; // CSV_BAD, CSV_BROKEN: what is wrong, for people; static text
    int64_t bytes;      // of input taken so far
    // its own
    char *block;
    size_t block_used, block_n;
    struct str text;
    char *record;
    size_t record_n;
    int64_t next_line;
    bool begun, ended, failed, broken;
};

enum csv_row { CSV_ROW, CSV_BAD, CSV_BROKEN, CSV_END };

void csv_init(struct csv *c, long (*read)(void *ctx, char *to, size_t size), void *ctx);
void csv_init_text(struct csv *c, struct str text); // the text must stay while it is read
void csv_release(struct csv *c);
enum csv_row csv_next(struct csv *c);

// Reads the header row. index[i] becomes the place of known[i] in a record, or -1. Names are compared without case. Faults, all at
// once: an unknown name, a name given twice, one of the first `n_required` names missing, no header at all.
NODISCARD enum err_kind csv_header(struct csv *c, const char *const *known, size_t n_known, size_t n_required, int *index, struct err *err);
// The field at `index`; STR_NONE when the column is absent, the record too short or the field empty.
struct str csv_field(const struct csv *c, int index);

// Appends a field, quoted where it must be. `first`: no comma before it.
void csv_put(struct buf *out, struct str s, bool first);

#endif
