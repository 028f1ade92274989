// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "base/json_plain.h"
#include "base/money.h"

// Every member through every taker: none may crash, and each either gives something or says why not.
static void take_all(json_t *o) {
    static const char *const words[] = {"ESIM", "PSIM", NULL};
    struct arena a;
    arena_init(&a, 1 << 20);
    const char *key;
    json_t *v;
    json_object_foreach(o, key, v) {
        struct err err = {0};
        int64_t i = 0;
        bool b = false;
        if (!str_present(json_take_str(o, "p.", key, JSON_REQUIRED, 100, &err))) {
            CHECK(err.kind == ERR_INVALID);
        }
        err_clear(&err);
        if (json_take_i64(o, "p.", key, JSON_REQUIRED, -100, 100, &i, &err)) {
            CHECK(i >= -100 && i <= 100);
        } else {
            CHECK(err.kind == ERR_INVALID);
        }
        err_clear(&err);
        CHECK(json_take_bool(o, "p.", key, JSON_REQUIRED, &b, &err) || err.kind == ERR_INVALID);
        err_clear(&err);
        CHECK(json_take_word(o, "p.", key, JSON_REQUIRED, words, &err) >= 0 || err.kind == ERR_INVALID);
        err_clear(&err);
        CHECK(wall_set(json_take_date(o, "p.", key, JSON_REQUIRED, &err)) || err.kind != ERR_NONE);
        err_clear(&err);
        struct str decimal = json_take_decimal(o, "p.", key, JSON_REQUIRED, &a, &err);
        if (str_present(decimal)) {
            int64_t minor;
            CHECK(money_parse(decimal, 2, &minor) != MONEY_NOT_A_NUMBER);
        } else {
            CHECK(err.kind != ERR_NONE);
        }
        err_clear(&err);
        json_t *inner = json_take_object(o, "p.", key, JSON_REQUIRED, &err);
        CHECK(inner != NULL || err.kind == ERR_INVALID);
        if (inner != NULL) {
            take_all(inner);
        }
    }
    arena_release(&a);
}

// Any bytes, written as a string, are a JSON string that reads back the same if they were UTF-8.
static void write_and_read(struct str text) {
    struct buf b;
    buf_init(&b, 6 * text.n + 20);
    struct jw w = jw_on(&b);
    jw_object(&w, NULL);
    jw_str(&w, "k", text);
    jw_end_object(&w);
    CHECK(!b.failed && str_is_utf8(buf_str(&b)));
    struct err err = {0};
    json_t *o;
    if (memchr(text.p, '\0', text.n) == NULL) { // written as \u0000, which is not read
        CHECK(json_parse_object(buf_str(&b), &o, &err) == ERR_NONE);
        json_t *v = json_object_get(o, "k");
        CHECK(!str_is_utf8(text) || str_eq(text, (struct str){json_string_value(v), json_string_length(v)}));
        json_decref(o);
    }
    buf_release(&b);
}

// jansson makes of a plain text what the short way makes of it: the same tree, in the same order.
static void read_both_ways(struct str text) {
    json_t *plain = json_read_plain(text);
    if (plain == NULL) {
        return;
    }
    json_t *o = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    CHECK(o != NULL && json_equal(plain, o));
    char *a = json_dumps(plain, JSON_REAL_PRECISION(17));
    char *b = json_dumps(o, JSON_REAL_PRECISION(17));
    CHECK(a != NULL && b != NULL && strcmp(a, b) == 0);
    free(a);
    free(b);
    json_decref(o);
    json_decref(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size};
    struct err err = {0};
    json_t *o;
    read_both_ways(text);
    if (json_parse_object(text, &o, &err) == ERR_NONE) {
        take_all(o);
        json_decref(o);
    } else {
        CHECK(err.kind == ERR_MALFORMED && err.count == 1 && str_is_utf8(str_of(err_first(&err))));
    }
    if (size > 0) {
        write_and_read(text);
    }
    return 0;
}
