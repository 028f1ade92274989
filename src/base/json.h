// SPDX-License-Identifier: Apache-2.0
/*
 * json.h - JSON in and out.
 *
 * Out: `struct jw` writes compact JSON straight into a buf, commas and escapes taken care of; no tree is built.
 * In: jansson parses; the json_take_* functions fetch one member with its checks and add a message with the field's path to `err` for
 * each fault, so that a parser reads as a list of fields and reports all faults at once.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

// ---- out ----
struct jw {
    struct buf *out;
    bool comma; // a value stands before this place
};
static inline struct jw jw_on(struct buf *out) {
    return (struct jw){out, false};
}
// `key` is NULL inside an array or at the top; keys are our own literals and are not escaped.
void jw_object(struct jw *w, const char *key);
void jw_array(struct jw *w, const char *key);
void jw_end_object(struct jw *w);
void jw_end_array(struct jw *w);
void jw_str(struct jw *w, const char *key, struct str v);    // bytes that are not UTF-8 become U+FFFD
void jw_text(struct jw *w, const char *key, const char *v);  // C string, not NULL
void jw_str_if(struct jw *w, const char *key, struct str v); // left out when STR_NONE
void jw_i64(struct jw *w, const char *key, int64_t v);
void jw_bool(struct jw *w, const char *key, bool v);
void jw_null(struct jw *w, const char *key);
void jw_raw(struct jw *w, const char *key, struct str json);               // already JSON
void jw_date(struct jw *w, const char *key, struct wall t);                // RFC 3339
void jw_date_if(struct jw *w, const char *key, struct wall t);             // left out when WALL_NONE
void jw_money(struct jw *w, const char *key, int64_t minor, int decimals); // a JSON number, exact

// ---- in ----
// Parses one JSON object (nothing else): at most JSON_DEPTH_MAX deep, UTF-8, no duplicate keys. The caller json_decref()s *out.
// ERR_MALFORMED with where and why otherwise.
#define JSON_DEPTH_MAX 64
NODISCARD enum err_kind json_parse_object(struct str body, json_t **out, struct err *err);

// Members. `path` is the prefix for messages ("product." or ""). A JSON null counts as absent. Strings are views into the tree: valid while
// it lives. A member of the wrong JSON type adds ERR_INVALID "<path><key>: must be ...". Absent and required adds "<path><key>: is
// required".
enum json_need { JSON_OPTIONAL, JSON_REQUIRED };
json_t *json_take_object(json_t *o, const char *path, const char *key, enum json_need need, struct err *err);
json_t *json_take_array(json_t *o, const char *path, const char *key, enum json_need need, struct err *err);
// STR_NONE when absent or faulty. An empty string counts as missing when required. `max` in bytes; control characters are faults.
struct str json_take_str(json_t *o, const char *path, const char *key, enum json_need need, size_t max, struct err *err);
bool json_take_i64(json_t *o, const char *path, const char *key, enum json_need need, int64_t min, int64_t max, int64_t *out,
                   struct err *err);
bool json_take_bool(json_t *o, const char *path, const char *key, enum json_need need, bool *out, struct err *err);
// A date that does not parse adds ERR_MALFORMED (connect-v2: "one value in it such as a date, does not parse").
struct wall json_take_date(json_t *o, const char *path, const char *key, enum json_need need, struct err *err);
// One of `words` (NULL-terminated); -1 when absent or faulty. The message lists the words.
int json_take_word(json_t *o, const char *path, const char *key, enum json_need need, const char *const *words, struct err *err);
// A number, or a string holding one, as exact decimal text in `a` (a JSON real through its shortest decimal form). STR_NONE when absent or
// faulty.
struct str json_take_decimal(json_t *o, const char *path, const char *key, enum json_need need, struct arena *a, struct err *err);

#endif
