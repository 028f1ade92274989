// SPDX-License-Identifier: Apache-2.0
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check_failed(const char *what, const char *file, int line) {
    fprintf(stderr, "topupd: internal check failed at %s:%d: %s\n", file, line, what);
    fflush(stderr);
    abort();
}

void *xmalloc(size_t size) {
    void *p = malloc(size ? size : 1);
    CHECK(p != NULL && "out of memory");
    return p;
}

void *xcalloc(size_t count, size_t size) {
    void *p = calloc(count ? count : 1, size ? size : 1);
    CHECK(p != NULL && "out of memory");
    return p;
}

char *xstrdup(const char *text) {
    size_t n = strlen(text) + 1;
    return memcpy(xmalloc(n), text, n);
}
