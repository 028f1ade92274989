// SPDX-License-Identifier: Apache-2.0
// Reads lines "<RFC 3339 date> <duration> <DAYS|MONTHS>", writes for each the end of such a plan. Driven by plan_end_check.py.
#include <stdio.h>
#include <stdlib.h>

#include "base/date.h"
#include "core/product.h"

int main(void) {
    char line[128], from[64], unit[16];
    while (fgets(line, sizeof(line), stdin)) {
        struct product p = {0};
        struct wall start;
        int duration;
        if (sscanf(line, "%63s %d %15s", from, &duration, unit) != 3 || !date_parse(str_of(from), &start) || duration < 1 ||
            duration > PLAN_DURATION_MAX) {
            fprintf(stderr, "cannot read: %s", line);
            return 1;
        }
        p.duration = duration;
        p.duration_unit = str_is(str_of(unit), duration_unit_words[DURATION_MONTHS]) ? DURATION_MONTHS : DURATION_DAYS;
        char text[DATE_TEXT];
        date_format(product_end(&p, start), text);
        puts(text);
    }
    return 0;
}
