// SPDX-License-Identifier: Apache-2.0
#include "base/csv.h"

#include <stdlib.h>

#include "base/fuzz.h"

// A record that was read, written out again and read once more is the same record.
static void write_and_read(const struct csv *c) {
    struct buf b;
    buf_init(&b, (size_t)3 * CSV_RECORD_MAX);
    for (size_t i = 0; i < c->n; i++) {
        csv_put(&b, c->field[i], i == 0);
    }
    CHECK(!b.failed);
    struct csv again;
    csv_init_text(&again, buf_str(&b));
    enum csv_row row = csv_next(&again);
    if (row == CSV_END) { // one empty field is an empty line, and those are skipped
        CHECK(c->n == 1 && c->field[0].n == 0);
    } else {
        CHECK(row == CSV_ROW && again.n == c->n);
        for (size_t i = 0; i < c->n; i++) {
            CHECK(str_eq(again.field[i], c->field[i]));
        }
        CHECK(csv_next(&again) == CSV_END);
    }
    csv_release(&again);
    buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct csv c;
    csv_init_text(&c, (struct str){(const char *)data, size});
    int64_t line = 0;
    size_t written = 0;
    for (enum csv_row row = csv_next(&c); row != CSV_END; row = csv_next(&c)) {
        if (row == CSV_BROKEN) {
            CHECK(c.reason != NULL);
            enum csv_row after = csv_next(&c);
            CHECK(after == CSV_BROKEN || after == CSV_END);
            break;
        }
        CHECK(c.line > line && c.bytes <= (int64_t)size);
        line = c.line;
        CHECK(row == CSV_ROW || c.reason != NULL);
        if (row == CSV_ROW) {
            CHECK(c.n >= 1 && c.n <= CSV_FIELDS_MAX);
            for (size_t i = 0; i < c.n; i++) {
                CHECK(str_is_utf8(c.field[i]));
            }
            if (written++ < 4) {
                write_and_read(&c);
            }
        }
    }
    csv_release(&c);

    static const char *const known[] = {"iccid", "imsi", "msisdn"};
    int index[ARRAY_LEN(known)];
    struct err err = {0};
    csv_init_text(&c, (struct str){(const char *)data, size});
    if (csv_header(&c, known, ARRAY_LEN(known), 1, index, &err) == ERR_NONE) {
        CHECK(index[0] >= 0 && (size_t)index[0] < CSV_FIELDS_MAX);
        if (csv_next(&c) == CSV_ROW) {
            (void)csv_field(&c, index[0]);
            CHECK(!str_present(csv_field(&c, -1)));
        }
    } else {
        CHECK(err.count > 0);
    }
    csv_release(&c);
    return 0;
}
