// SPDX-License-Identifier: Apache-2.0
// Writes what core/codes.c knows, one code a line: "country GB", "currency EUR 2". Read by codes_check.py.
#include <stdio.h>

#include "core/codes.h"

int main(void) {
    char code[4] = {0};
    for (code[0] = 'A'; code[0] <= 'Z'; code[0]++) {
        for (code[1] = 'A'; code[1] <= 'Z'; code[1]++) {
            code[2] = '\0';
            if (country_known(str_of(code)))
                printf("country %s\n", code);
            for (code[2] = 'A'; code[2] <= 'Z'; code[2]++)
                if (currency_decimals(str_of(code)) >= 0)
                    printf("currency %s %d\n", code, currency_decimals(str_of(code)));
        }
    }
    return 0;
}
