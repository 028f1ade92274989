// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/blocks.h"
#include "base/date.h"
#include "base/json_plain.h"
#include "base/money.h"

// ---- out ----

static void begin(struct jw *w, const char *key) {
    if (w->comma) {
        buf_add_char(w->out, ',');
    }
    w->comma = true;
    if (key != NULL) {
        size_t n = strlen(key);
        char *p = buf_room(w->out, n + 3);
        if (p != NULL) {
            p[0] = '"';
            memcpy(p + 1, key, n);
            p[n + 1] = '"';
            p[n + 2] = ':';
            buf_took(w->out, n + 3);
        }
    }
}

void jw_object(struct jw *w, const char *key) {
    begin(w, key);
    buf_add_char(w->out, '{');
    w->comma = false;
}

void jw_array(struct jw *w, const char *key) {
    begin(w, key);
    buf_add_char(w->out, '[');
    w->comma = false;
}

void jw_end_object(struct jw *w) {
    buf_add_char(w->out, '}');
    w->comma = true;
}

void jw_end_array(struct jw *w) {
    buf_add_char(w->out, ']');
    w->comma = true;
}

static bool stands_for_itself(unsigned char c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void escape(struct buf *out, unsigned char c) {
    static const char hex[] = "0123456789abcdef";
    static const char letters[32] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char text[6] = {'\\', (char)c};
    size_t n = 2;
    if (c < 0x20 && letters[c] != '\0') {
        text[1] = letters[c];
    } else if (c < 0x20) {
        memcpy(text + 1, "u00", 3);
        text[4] = hex[c >> 4];
        text[5] = hex[c & 15];
        n = 6;
    }
    buf_add(out, text, n);
}

static size_t plain_run(struct str s) {
    size_t run = 0;
    while (run < s.n && stands_for_itself((unsigned char)s.p[run])) {
        run++;
    }
    return run;
}

static void quoted(struct buf *out, struct str s) {
    if (plain_run(s) == s.n) {
        char *p = buf_room(out, s.n + 2);
        if (p != NULL) {
            p[0] = '"';
            memcpy(p + 1, s.n > 0 ? s.p : "", s.n);
            p[s.n + 1] = '"';
            buf_took(out, s.n + 2);
        }
        return;
    }
    buf_add_char(out, '"');
    while (s.n > 0) {
        size_t run = plain_run(s);
        buf_add(out, s.p, run);
        s.p += run;
        s.n -= run;
        if (s.n == 0) {
            break;
        }
        size_t n = 1;
        if ((unsigned char)s.p[0] < 0x80) {
            escape(out, (unsigned char)s.p[0]);
        } else {
            n = str_utf8_char(s);
            if (n > 0) {
                buf_add(out, s.p, n);
            } else {
                buf_add_text(out, "\xef\xbf\xbd"); // U+FFFD
                n = 1;
            }
        }
        s.p += n;
        s.n -= n;
    }
    buf_add_char(out, '"');
}

void jw_str(struct jw *w, const char *key, struct str v) {
    begin(w, key);
    quoted(w->out, v);
}

void jw_text(struct jw *w, const char *key, const char *v) {
    jw_str(w, key, str_of(v));
}

void jw_str_if(struct jw *w, const char *key, struct str v) {
    if (str_present(v)) {
        jw_str(w, key, v);
    }
}

void jw_i64(struct jw *w, const char *key, int64_t v) {
    begin(w, key);
    buf_add_i64(w->out, v);
}

void jw_bool(struct jw *w, const char *key, bool v) {
    begin(w, key);
    buf_add_text(w->out, v ? "true" : "false");
}

void jw_null(struct jw *w, const char *key) {
    begin(w, key);
    buf_add_text(w->out, "null");
}

void jw_raw(struct jw *w, const char *key, struct str json) {
    begin(w, key);
    buf_add_str(w->out, json);
}

void jw_date(struct jw *w, const char *key, struct wall t) {
    char text[DATE_TEXT];
    date_format(t, text);
    jw_text(w, key, text);
}

void jw_date_if(struct jw *w, const char *key, struct wall t) {
    if (wall_set(t)) {
        jw_date(w, key, t);
    }
}

void jw_money(struct jw *w, const char *key, int64_t minor, int decimals) {
    char text[MONEY_TEXT];
    money_format(minor, decimals, text);
    begin(w, key);
    buf_add_text(w->out, text);
}

// ---- in ----

// Brackets outside strings, before anything is built: a body of ten thousand of them costs a scan, not a tree. Whether they match is
// jansson's business.
static bool too_deep(struct str s) {
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX) {
                return true;
            }
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

// jansson's own messages quote what they stumble on; ours do not.
static const char *reason(enum json_error_code code) {
    switch (code) {
    case json_error_invalid_utf8:
        return "the text is not UTF-8";
    case json_error_premature_end_of_input:
        return "the text ends too early";
    case json_error_end_of_input_expected:
        return "something follows the end of the object";
    case json_error_duplicate_key:
        return "the same key stands twice in one object";
    case json_error_numeric_overflow:
        return "a number is out of range";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a string holds a NUL character";
    default:
        return "this is not JSON";
    }
}

// jansson's parser does not survive it when memory is refused: it goes on with what is not there. So for its few bytes of a bounded body
// the process ends instead, in order, as it does for its own (xmalloc); what was acknowledged is on disk.
static void *must_alloc(size_t n) {
    void *p = blocks_alloc(n);
    CHECK(p != NULL);
    return p;
}

static void take_care_of_memory(void) {
    json_set_alloc_funcs(must_alloc, blocks_free);
}

enum err_kind json_parse_object(struct str body, json_t **out, struct err *err) {
    if (str_trim(body).n == 0) {
        return err_set(err, ERR_MALFORMED, "the body is empty; a JSON object is expected");
    }
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, take_care_of_memory);
    json_t *plain = json_read_plain(body);
    if (plain != NULL) {
        *out = plain;
        return ERR_NONE;
    }
    if (too_deep(body)) {
        return err_set(err, ERR_MALFORMED, "the body is nested more than %d levels deep", JSON_DEPTH_MAX);
    }
    json_error_t where;
    json_t *o = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, &where);
    if (o == NULL) {
        enum json_error_code code = json_error_code(&where);
        return err_set(err, ERR_MALFORMED, "the body is not valid JSON: line %d, column %d: %s", where.line, where.column, reason(code));
    }
    if (!json_is_object(o)) {
        json_decref(o);
        return err_set(err, ERR_MALFORMED, "the body must be a JSON object");
    }
    *out = o;
    return ERR_NONE;
}

// The member, or NULL when it is absent (said, if required).
static json_t *member(json_t *o, const char *path, const char *key, enum json_need need, struct err *err) {
    json_t *v = json_object_get(o, key);
    if (v != NULL && !json_is_null(v)) {
        return v;
    }
    if (need == JSON_REQUIRED) {
        err_add(err, ERR_INVALID, "%s%s: is required", path, key);
    }
    return NULL;
}

static void must_be(struct err *err, const char *path, const char *key, const char *what) {
    err_add(err, ERR_INVALID, "%s%s: must be %s", path, key, what);
}

json_t *json_take_object(json_t *o, const char *path, const char *key, enum json_need need, struct err *err) {
    json_t *v = member(o, path, key, need, err);
    if (v != NULL && !json_is_object(v)) {
        must_be(err, path, key, "an object");
        return NULL;
    }
    return v;
}

json_t *json_take_array(json_t *o, const char *path, const char *key, enum json_need need, struct err *err) {
    json_t *v = member(o, path, key, need, err);
    if (v != NULL && !json_is_array(v)) {
        must_be(err, path, key, "an array");
        return NULL;
    }
    return v;
}

// A string member as a view, STR_NONE when absent or faulty (said).
static struct str take_string(json_t *o, const char *path, const char *key, enum json_need need, struct err *err) {
    json_t *v = member(o, path, key, need, err);
    if (v == NULL) {
        return STR_NONE;
    }
    if (!json_is_string(v)) {
        must_be(err, path, key, "a string");
        return STR_NONE;
    }
    struct str s = {json_string_value(v), json_string_length(v)};
    if (s.n == 0 && need == JSON_REQUIRED) {
        err_add(err, ERR_INVALID, "%s%s: is required", path, key);
        return STR_NONE;
    }
    return s;
}

struct str json_take_str(json_t *o, const char *path, const char *key, enum json_need need, size_t max, struct err *err) {
    struct str s = take_string(o, path, key, need, err);
    if (s.n > max) {
        err_add(err, ERR_INVALID, "%s%s: must be at most %zu bytes long", path, key, max);
        return STR_NONE;
    }
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f) {
            err_add(err, ERR_INVALID, "%s%s: must not hold control characters", path, key);
            return STR_NONE;
        }
    }
    return s;
}

bool json_take_i64(json_t *o, const char *path, const char *key, enum json_need need, int64_t min, int64_t max, int64_t *out,
                   struct err *err) {
    json_t *v = member(o, path, key, need, err);
    if (v == NULL) {
        return false;
    }
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
        err_add(err, ERR_INVALID, "%s%s: must be a whole number from %lld to %lld", path, key, (long long)min, (long long)max);
        return false;
    }
    *out = json_integer_value(v);
    return true;
}

bool json_take_bool(json_t *o, const char *path, const char *key, enum json_need need, bool *out, struct err *err) {
    json_t *v = member(o, path, key, need, err);
    if (v == NULL) {
        return false;
    }
    if (!json_is_boolean(v)) {
        must_be(err, path, key, "true or false");
        return false;
    }
    *out = json_is_true(v);
    return true;
}

struct wall json_take_date(json_t *o, const char *path, const char *key, enum json_need need, struct err *err) {
    struct str s = take_string(o, path, key, need, err);
    struct wall t;
    if (!str_present(s)) {
        return WALL_NONE;
    }
    if (!date_parse(s, &t)) {
        err_add(err, ERR_MALFORMED, "%s%s: is not a date and time (RFC 3339, such as 2020-01-01T00:00:00Z)", path, key);
        return WALL_NONE;
    }
    return t;
}

int json_take_word(json_t *o, const char *path, const char *key, enum json_need need, const char *const *words, struct err *err) {
    struct str s = take_string(o, path, key, need, err);
    if (!str_present(s)) {
        return -1;
    }
    char list[512] = "";
    size_t n = 0;
    for (int i = 0; words[i] != NULL; i++) {
        if (str_is(s, words[i])) {
            return i;
        }
        const char *between = i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ";
        int more = snprintf(list + n, sizeof(list) - n, "%s%s", between, words[i]);
        n = more > 0 && (size_t)more < sizeof(list) - n ? n + (size_t)more : sizeof(list) - 1;
    }
    err_add(err, ERR_INVALID, "%s%s: must be %s%s", path, key, words[0] != NULL && words[1] != NULL ? "one of " : "", list);
    return -1;
}

// ---- decimals ----

#define REAL_TEXT 512 // the longest has 309 digits before the point, or some 330 behind it

// The fewest digits that read back as `v`, then written without an exponent however large or small: money_parse says what is wrong with
// it. `v` is finite (JSON has no other, and jansson refuses overflows).
static size_t real_text(double v, char out[REAL_TEXT]) {
    char text[32];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision - 1, v); // d.ddddde[+-]xx
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    char digits[20];
    size_t n = 0;
    const char *p = text;
    size_t at = 0;
    if (*p == '-') {
        out[at++] = *p++;
    }
    for (; *p != 'e'; p++) {
        if (*p != '.') {
            digits[n++] = *p;
        }
    }
    long point = strtol(p + 1, NULL, 10) + 1; // digits before the decimal point; none when not above 0
    while (n > 1 && digits[n - 1] == '0') {
        n--;
    }
    if (point <= 0) {
        out[at++] = '0';
        out[at++] = '.';
        for (; point < 0; point++) {
            out[at++] = '0';
        }
        memcpy(out + at, digits, n);
        at += n;
    } else {
        for (size_t i = 0; i < n || (long)i < point; i++) {
            if ((long)i == point) {
                out[at++] = '.';
            }
            out[at++] = (char)(i < n ? digits[i] : '0');
        }
    }
    out[at] = '\0';
    return at;
}

static bool is_decimal(struct str s) {
    if (s.n > 0 && s.p[0] == '-') {
        s.p++;
        s.n--;
    }
    struct str whole;
    struct str fraction = str_cut(s, '.', &whole);
    return str_all_digits(whole) && (!str_present(fraction) || str_all_digits(fraction));
}

#define DECIMAL_MAX 64

struct str json_take_decimal(json_t *o, const char *path, const char *key, enum json_need need, struct arena *a, struct err *err) {
    json_t *v = member(o, path, key, need, err);
    if (v == NULL) {
        return STR_NONE;
    }
    struct str s;
    if (json_is_integer(v)) {
        s = arena_printf(a, "%lld", (long long)json_integer_value(v));
    } else if (json_is_real(v)) {
        char text[REAL_TEXT];
        size_t n = real_text(json_real_value(v), text);
        s = arena_str(a, (struct str){text, n});
    } else if (json_is_string(v)) {
        struct str text = {json_string_value(v), json_string_length(v)};
        if (text.n > DECIMAL_MAX || !is_decimal(text)) {
            must_be(err, path, key, "a decimal number, such as 20 or 20.5");
            return STR_NONE;
        }
        s = arena_str(a, text);
    } else {
        must_be(err, path, key, "a number, or a string holding one");
        return STR_NONE;
    }
    if (!str_present(s)) {
        err_add(err, ERR_BUSY, "not enough memory to read the body");
    }
    return s;
}
