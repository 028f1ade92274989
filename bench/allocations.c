// SPDX-License-Identifier: Apache-2.0
/*
 * allocations.c - counts allocations of a program that is started with this library before all others:
 *
 *   LD_PRELOAD=liballocations.so ALLOCATIONS=FILE program
 *
 * FILE then holds three numbers of 64 bits in host order, which change while the program runs: allocations, their bytes, releases. Moving
 * a block (realloc) counts as one allocation.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct counts {
    _Atomic uint64_t allocations, bytes, releases;
};

static struct counts before_file;
static struct counts *counts = &before_file;

// glibc's own names for them. NOLINTBEGIN(bugprone-reserved-identifier)
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void __libc_free(void *p);
// NOLINTEND(bugprone-reserved-identifier)

__attribute__((constructor)) static void counts_begin(void) {
    const char *path = getenv("ALLOCATIONS");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    void *p = ftruncate(fd, sizeof *counts) == 0 ? mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    close(fd);
    if (p != MAP_FAILED)
        counts = p;
}

static void *counted(void *p, size_t n) {
    atomic_fetch_add_explicit(&counts->allocations, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->bytes, n, memory_order_relaxed);
    return p;
}

void *malloc(size_t n) {
    return counted(__libc_malloc(n), n);
}

void *calloc(size_t n, size_t size) {
    return counted(__libc_calloc(n, size), n * size);
}

void *realloc(void *p, size_t n) {
    return counted(__libc_realloc(p, n), n);
}

void *aligned_alloc(size_t alignment, size_t n) {
    return counted(__libc_memalign(alignment, n), n);
}

int posix_memalign(void **out, size_t alignment, size_t n) {
    void *p = counted(__libc_memalign(alignment, n), n);
    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}

void free(void *p) {
    if (p)
        atomic_fetch_add_explicit(&counts->releases, 1, memory_order_relaxed);
    __libc_free(p);
}
