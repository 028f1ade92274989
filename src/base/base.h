// SPDX-License-Identifier: Apache-2.0
/*
 * base.h - the few macros every file may use.
 *
 * CHECK is for our own bugs only: it stays on in release builds, prints where it fired and stops the process. It never looks at
 * bytes that came from outside (HTTP, CSV, a peer, configuration, the database file); those become a `struct err`.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

// The object that holds `member`, from a pointer to the member.
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

NORETURN void check_failed(const char *what, const char *file, int line);
#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))

// malloc and friends that stop the process when memory is gone: for process-lifetime objects of bounded size. What a request
// makes lives in its arena, which reports exhaustion instead (arena.h).
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
char *xstrdup(const char *text);

#endif
