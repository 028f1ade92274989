// SPDX-License-Identifier: Apache-2.0
/*
 * feed.h - a CSV file on its way to the server: read once, a record at a time, whatever its size, with a progress line on standard error, a
 * place where bad lines are told, and an end at Ctrl-C that the command can tidy up after.
 */
#ifndef TOPUP_FEED_H
#define TOPUP_FEED_H

#include <stdio.h>

#include "base/clock.h"
#include "base/csv.h"
#include "topup/topup.h"

struct feed {
    struct csv csv;
    FILE *bad;    // where bad lines are told
    int64_t rows; // the command's count, for the progress line
    // its own
    const char *bad_path;
    int fd;
    int64_t size; // of the file; 0 when it is a pipe
    struct mono begun, told;
    bool terminal, untidy; // the progress line is on the screen
};

// Opens `path` ("-": standard input), and `bad_path` for the bad lines (NULL: standard error). From then on Ctrl-C only makes
// feed_interrupted true, until feed_close. Complains itself.
enum ending feed_open(struct feed *f, const char *path, const char *bad_path);
// `how`, or END_LOCAL when what was told of bad lines could not be written.
enum ending feed_close(struct feed *f, enum ending how);
bool feed_interrupted(void);
void feed_uninterrupt(void); // for what is to be tidied up
// Now and then; always when it is the last.
void feed_progress(struct feed *f, bool last);
// The same for what the server does with them.
void feed_share(struct feed *f, const char *what, int64_t n, int64_t of, bool last);
// Ends the progress line, so that other lines stand alone.
void feed_tidy(struct feed *f);

#endif
