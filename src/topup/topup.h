// SPDX-License-Identifier: Apache-2.0
/*
 * topup.h - the command-line client: its commands, one run of one of them, and how a run ends.
 *
 * A command is one row: its words, operands, options, help and the function that does it. Parsing, --help, shell completion and the manual
 * page are made from the rows. A run has one session; everything lives until the process ends, which is soon.
 */
#ifndef TOPUP_TOPUP_H
#define TOPUP_TOPUP_H

#include <argp.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "topup/client.h"
#include "topup/config.h"

// How a run ends; manual.c says each to people.
enum ending {
    END_OK = 0,
    END_REFUSED = 1,      // the server said no
    END_USAGE = 2,        // the command line is wrong
    END_UNREACHABLE = 3,  // no answer, or the server is overloaded
    END_ORDER_FAILED = 4, // the order was taken and then failed
    END_TIMEOUT = 5,      // --timeout ended before the order did
    END_BAD_ROWS = 6,     // an imported file has bad lines
    END_LOCAL = 7,        // a file, the terminal, the configuration
    END_INTERRUPTED = 130,
};

// Options. Those of the first group are taken by every command.
enum option_key {
    OPT_FIRST = 0x100,
    OPT_JSON = OPT_FIRST,
    OPT_SERVER,
    OPT_BASE_URL,
    OPT_SANDBOX,
    // lists
    OPT_LIMIT,
    OPT_ALL,
    OPT_PARTNER,
    OPT_STATUS,
    OPT_ICCID,
    OPT_BEFORE,
    OPT_AFTER,
    OPT_TYPE,
    OPT_SERVICE,
    OPT_EMAIL,
    OPT_CORRELATION_ID,
    // partner
    OPT_NAME,
    OPT_MODE,
    OPT_CURRENCIES,
    OPT_REQUIRED_FIELDS,
    OPT_CAP_DAY,
    OPT_CAP_MONTH,
    OPT_RATE,
    OPT_EVENT_DAYS,
    OPT_THRESHOLDS,
    OPT_SECRET_FILE,
    OPT_OVERLAP,
    // products, SIMs
    OPT_PRICE,
    OPT_CURRENCY,
    OPT_DURATION,
    OPT_DATA,
    OPT_FOOTPRINT,
    OPT_FIRST_USAGE,
    OPT_ON_SALE,
    OPT_KEEP_GOOD,
    OPT_BAD,
    OPT_FROM,
    OPT_TO,
    // orders
    OPT_AS,
    OPT_PRODUCT,
    OPT_COUNTRY,
    OPT_ACTIVATE,
    OPT_EXPIRE,
    OPT_OPERATION,
    OPT_FIRST_NAME,
    OPT_LAST_NAME,
    OPT_RESIDENCE,
    OPT_LANGUAGE,
    OPT_DEVICE_OS,
    OPT_REFERENCE,
    OPT_IDEMPOTENCY_KEY,
    OPT_WAIT,
    OPT_TIMEOUT,
    // events
    OPT_FOLLOW,
    // webhooks
    OPT_URL,
    OPT_TYPES,
    OPT_ENABLE,
    OPT_DISABLE,
    // usage
    OPT_SOURCE,
    OPT_BYTES,
    OPT_BYTES_UP,
    OPT_RECORD_ID,
    OPT_START,
    OPT_EID,
    // sandbox
    OPT_COUNT,
    OPT_ACTIVATED,
    OPT_BEHAVIOUR,
    // archive
    OPT_OLDER_THAN,
    OPT_PER_FILE,
    OPT_KEEP,
    // backup
    OPT_CONFIG,
    OPT_STORE,
    // login
    OPT_CLIENT_ID,
    OPT_OPERATOR,
    OPT_END
};

struct session;

struct command {
    const char *noun;                  // "partner"
    const char *verb;                  // "add"; NULL when the noun alone is the command
    const char *operands;              // "CLIENT_ID"; NULL when there are none
    int min, max;                      // how many of them
    const struct argp_option *options; // an argument such as "live|sandbox" is a closed list
    const char *summary;               // one line, no full stop
    const char *text;                  // paragraphs; NULL when the summary says all
    const char *examples;              // one a line; "  # ..." says what for
    enum ending (*run)(struct session *s);
    bool sandbox; // speaks as the sandbox partner where there are credentials of one
};

struct session {
    const struct command *command;
    const char *option[OPT_END - OPT_FIRST];
    char **operand;
    int operands;
    struct config config;
    struct client *client;
};

// NULL when it was not given; "" when it takes no argument.
static inline const char *session_option(const struct session *s, enum option_key key) {
    return s->option[key - OPT_FIRST];
}
static inline bool session_has(const struct session *s, enum option_key key) {
    return session_option(s, key) != NULL;
}

// One call: prints the server's messages, one a line, when it fails. END_OK: *out is the answer's JSON (NULL when it has none), the
// caller's to json_decref; `out` may be NULL. The path is a format whose %s arguments have been encoded by path_segment or query_add.
enum ending session_call(struct session *s, enum client_side side, const char *method, struct str body, json_t **out, const char *path_fmt,
                         ...) PRINTF_LIKE(6, 7);
// The same, and prints the answer: the server's JSON with --json, else its members one a line.
enum ending session_show(struct session *s, enum client_side side, const char *method, struct str body, const char *path_fmt, ...)
    PRINTF_LIKE(5, 6);
// The answer of the last call, as it came.
struct str session_answer(const struct session *s);
// Which API a command uses that both sides have: --as, else the operator's when there is an operator's token.
enum client_side session_side(const struct session *s);

// Says what went wrong, on standard error.
enum ending complain(enum ending how, const char *fmt, ...) PRINTF_LIKE(2, 3);
enum ending complain_err(enum ending how, const struct err *err);

// An option as a number; false (and a complaint) when it is none. Absent: true, *out untouched.
bool option_i64(const struct session *s, enum option_key key, const char *name, int64_t min, int64_t max, int64_t *out);

// The same for a time such as 12h or 7d, or a number of seconds.
bool option_seconds(const struct session *s, enum option_key key, const char *name, int64_t max, int64_t *out);
// "EUR,USD" as a JSON array of its words.
void jw_words(struct jw *w, const char *key, const char *list);

// ---- addresses ----
void path_segment(struct buf *out, const char *text); // percent-encoded
// Appends "?name=value" or "&name=value"; nothing when value is NULL.
void query_add(struct buf *path, const char *name, const char *value);
// The one line of --secret-file ("-": standard input), without its end, as `key`; nothing without that option. False, and a complaint: it
// cannot be read.
bool add_secret_file(const struct session *s, struct jw *w, const char *key);

// ---- the rows, by subject; each list ends with a row whose noun is NULL ----
extern const struct command partner_commands[], product_commands[], sim_commands[], order_commands[], subscription_commands[],
    event_commands[], webhook_commands[], usage_commands[], sandbox_commands[], archive_commands[], backup_commands[], own_commands[],
    server_commands[];
extern const struct command *const all_commands[]; // NULL-terminated
extern const struct argp_option common_options[];

// ---- made from the rows ----
void help_overview(struct buf *out);
void help_noun(struct buf *out, const char *noun);
void manual_write(struct buf *out);
void completion_bash(struct buf *out);
void completion_zsh(struct buf *out);

#endif
