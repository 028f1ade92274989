// SPDX-License-Identifier: Apache-2.0
/*
 * iccids.c - many ICCIDs, a line each; with a partner's client id, a table of activated pSIMs for `topup sim import`.
 *
 *   iccids FIRST COUNT [CLIENT_ID]
 *
 * ICCID n is 8988 and FIRST + n in 14 digits, with its check digit; IMSI and MSISDN are made of the same number.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/iccid.h"

#define PREFIX INT64_C(898800000000000000)

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: iccids FIRST COUNT [CLIENT_ID]\n");
        return 2;
    }
    int64_t first = strtoll(argv[1], NULL, 10), count = strtoll(argv[2], NULL, 10);
    if (argc > 3)
        printf("iccid,imsi,msisdn,sim_type,partner,activated\n");
    for (int64_t i = first; i < first + count; i++) {
        char text[ICCID_TEXT];
        iccid_format(PREFIX + i, text);
        if (argc > 3)
            printf("%s,23450%010" PRId64 ",4477%010" PRId64 ",PSIM,%s,yes\n", text, i, i, argv[3]);
        else
            printf("%s\n", text);
    }
    return fflush(stdout) != 0;
}
