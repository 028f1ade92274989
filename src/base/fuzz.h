// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz.h - what a fuzzer beside a parser looks like.
 *
 * NAME_fuzz.c defines the one function below: it feeds the bytes to NAME.c and CHECKs what must hold for any bytes. It is linked
 * with clang's libFuzzer (meson -Dlibfuzzer=true, which tools/fuzz does) or with fuzz_main.c, which needs no special compiler and is what
 * `make test` runs. What it starts from lies in test/corpus/NAME.
 */
#ifndef BASE_FUZZ_H
#define BASE_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
