// SPDX-License-Identifier: Apache-2.0
/*
 * ban.h - functions that nobody here may call (STYLE.md); the build puts it in front of every source.
 *
 * Declared, before any system header is, as unavailable: a call does not compile and says what to use. No header is included for this, so
 * that a missing #include still shows. What is banned outside one home (clock_gettime, getrandom) is looked for by tools/layers.
 */
#ifndef BASE_BAN_H
#define BASE_BAN_H

#define BANNED(instead) __attribute__((unavailable(instead)))

// No bounds.
char *strcpy(char *restrict, const char *restrict) BANNED("use str_to_buf or memcpy");
char *strcat(char *restrict, const char *restrict) BANNED("use a struct buf");
int sprintf(char *restrict, const char *restrict, ...) BANNED("use snprintf");
char *gets(char *) BANNED("use fgets");

// Hidden state.
char *strtok(char *restrict, const char *restrict) BANNED("use str_cut");
struct tm *localtime(const long *) BANNED("use base/date.h");
struct tm *gmtime(const long *) BANNED("use base/date.h");
int rand(void) BANNED("use base/rng.h");
void srand(unsigned) BANNED("use base/rng.h");

// Time is injected, and nobody waits by the clock.
long time(long *) BANNED("use base/clock.h");
unsigned sleep(unsigned) BANNED("wait for the condition");
int usleep(unsigned) BANNED("wait for the condition");

// A shell between us and what we want.
int system(const char *) BANNED("use posix_spawn");
// glibc's name for FILE. NOLINTNEXTLINE(bugprone-reserved-identifier)
struct _IO_FILE *popen(const char *, const char *) BANNED("use posix_spawn");

#endif
