// SPDX-License-Identifier: Apache-2.0
/*
 * usage.h - data that a SIM has used: the record that tells of it, and what became of it.
 */
#ifndef CORE_USAGE_H
#define CORE_USAGE_H

#include "base/base.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/iccid.h"

#define USAGE_ID_MAX 128                   // bytes of a record's id
#define USAGE_SOURCE_MAX 64                // bytes of a source's name
#define USAGE_BYTES_MAX (INT64_C(1) << 50) // of one record, in each direction
#define USAGE_AHEAD_MS INT64_C(300000)     // a record's end may lie so far ahead of the clock: clocks of networks differ

enum usage_named { USAGE_BY_ICCID, USAGE_BY_IMSI, USAGE_BY_MSISDN };
extern const char *const usage_named_words[]; // "iccid", "imsi", "msisdn"

struct usage_record {
    struct str source; // who counted: ids are unique within it
    struct str record_id;
    enum usage_named named;
    struct str number; // the SIM's ICCID, IMSI or MSISDN: digits, well formed
    int64_t bytes_up, bytes_down;
    struct wall start, end; // the partner's time
};

enum usage_verdict {
    USAGE_BOOKED = 0,   // all of it is on subscriptions
    USAGE_PARTLY = 1,   // some of it is, the rest is unrated
    USAGE_UNRATED = 2,  // nothing could carry it
    USAGE_INVALID = 3,  // not taken: `message` says why. Not stored: it may come again, corrected
    USAGE_MISMATCH = 4, // not taken: the id came before, with other content
    USAGE_FAILED = 5,   // not taken: the server stumbled over it
};
extern const char *const usage_verdict_words[]; // "BOOKED", ...

// Why something is unrated. Stored as a number: never renumber, append only.
enum usage_reason { USAGE_REASON_NONE, USAGE_NO_SIM, USAGE_NO_SUBSCRIPTION, USAGE_USED_UP };
extern const char *const usage_reason_words[]; // "", "UNKNOWN_SIM", "NO_SUBSCRIPTION", "USED_UP"

struct usage_place {
    struct uuid subscription_id;
    int64_t bytes;
};

struct usage_result {
    enum usage_verdict verdict;
    bool repeated; // it came before: this is what was said then
    iccid_t iccid; // ICCID_NONE when the SIM is not known
    int64_t unrated_bytes;
    enum usage_reason reason; // why something is unrated
    struct usage_place *places;
    size_t n_places;
    struct str message; // STR_NONE unless INVALID or MISMATCH
};

#endif
