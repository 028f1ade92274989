// SPDX-License-Identifier: Apache-2.0
/*
 * archive_file.h - a file of archived orders: written whole or not at all, and read back.
 *
 * Gzip (RFC 1952) of lines of JSON: first a header, then a record a line, each as the server gave it. So `zcat FILE | tail -n +2 | jq`
 * reads it, too. The header says what is in it (archive_header), and the SHA-256 of all the records' lines with their ends; a reader checks
 * both.
 *
 * The name ends in ARCHIVE_PENDING until everything in it has been removed from the store, and in ARCHIVE_DONE from then on. What is being
 * written has a name of its own (ARCHIVE_PART) and becomes a file by a rename, when all of it is on disk.
 */
#ifndef TOPUP_ARCHIVE_FILE_H
#define TOPUP_ARCHIVE_FILE_H

#include "base/base.h"
#include "base/clock.h"
#include "base/date.h"
#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

#define ARCHIVE_DONE ".jsonl.gz"
#define ARCHIVE_PENDING ".jsonl.gz.pending"
#define ARCHIVE_PART ".part"
#define ARCHIVE_SCHEMA 1
#define ARCHIVE_PARTNER_MAX 64
#define ARCHIVE_PATH_MAX 4096
#define SHA256_HEX 65

struct archive_header {
    struct wall created;                   // the file
    struct wall before;                    // the orders were over by then
    char partner[ARCHIVE_PARTNER_MAX + 1]; // "": all
    int64_t orders;
    struct wall first, last; // when the earliest and the latest was accepted
    char sha256[SHA256_HEX];
};

// The record's order, and the SHA-256 of the line.
NODISCARD bool archive_record_id(struct str line, struct uuid *out);
void archive_hex(const uint8_t sum[32], char out[SHA256_HEX]);

// ---- writing ----
struct archive_writer;
NODISCARD enum err_kind archive_create(const char *folder, struct archive_writer **out, struct err *err);
NODISCARD enum err_kind archive_add(struct archive_writer *w, struct str line, struct err *err); // without its end
int64_t archive_orders(const struct archive_writer *w);
// Makes it a file under ARCHIVE_PENDING; `h` has created, before and partner, the rest is filled in. `path` holds ARCHIVE_PATH_MAX bytes.
NODISCARD enum err_kind archive_finish(struct archive_writer *w, struct archive_header *h, char *path, struct err *err);
void archive_abandon(struct archive_writer *w); // NULL is fine; after archive_finish, too
// Pending no more. `path` is changed to the new name.
NODISCARD enum err_kind archive_settle(char *path, struct err *err);

// ---- reading ----
struct archive_reader;
// ERR_NOT_FOUND: there is no such file. ERR_CORRUPT: it is no archive of ours, or of a newer schema.
NODISCARD enum err_kind archive_open(const char *path, struct archive_reader **out, struct err *err);
const struct archive_header *archive_header(const struct archive_reader *r);
// The next record, valid until the next call; STR_NONE at the end, when all of it was what the header says. ERR_CORRUPT otherwise.
NODISCARD enum err_kind archive_next(struct archive_reader *r, struct str *line, struct err *err);
void archive_close(struct archive_reader *r); // NULL is fine

#endif
