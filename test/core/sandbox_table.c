// SPDX-License-Identifier: Apache-2.0
// Prints the table of docs/sandbox.md: what a sandbox partner's orders can be made to do, and the numbers that do it.
#include <stdio.h>

#include "core/sandbox.h"

int main(void) {
    printf("| behaviour | product | ICCID | what happens |\n|---|---|---|---|\n");
    for (int b = 0; b < SANDBOX_BEHAVIOURS; b++) {
        const struct sandbox_row *row = &sandbox_table[b];
        if (!row->product_id)
            continue;
        printf("| `%s` | `%s` | ", row->word, row->product_id);
        if (row->of_sims)
            printf("`89 999 %d NNNNNNNNNNNN C`", b);
        else
            printf("-");
        printf(" | %s |\n", row->what);
    }
    return 0;
}
