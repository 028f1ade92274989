// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_main.c - runs a fuzzer without libFuzzer: replays the files of the corpus, then seeded random mutations of them.
 *
 *   date_fuzz [--must-fail] FOLDER|FILE...
 *
 * The environment: SEED repeats a run, FUZZ_RUNS is the number of mutations (default 50000). On a failure the seed and the input are
 * printed and the input is left in the file NAME.crash, to be given as FILE. --must-fail turns the verdict round: for the
 * canary, which shows that a failure is noticed.
 */
#include "base/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/rng.h"
#include "base/str.h"

#define INPUT_MAX 4096
#define SECONDS_PER_INPUT 10

struct input {
    uint8_t *p;
    size_t n;
};

static struct {
    struct input *items;
    size_t n;
} corpus;

// What the signal handler reports.
static const uint8_t *current;
static size_t current_size;
static unsigned long long seed;
static const char *crash_file;
static bool must_fail;

static void say(const char *text) {
    if (write(STDERR_FILENO, text, strlen(text)) < 0) {
        _exit(1);
    }
}

// Only calls that are safe in a signal handler, except snprintf into a buffer, which is good enough for a process that is about to end.
static void report(int sig) {
    if (must_fail) {
        say("the canary failed, as it must\n");
        _exit(0);
    }
    char text[200];
    snprintf(text, sizeof(text), "\nfuzzing failed (signal %d%s); SEED=%llu; the input, %zu bytes, is in %s:\n", sig,
             sig == SIGALRM ? ": too slow" : "", seed, current_size, crash_file);
    say(text);
    int fd = open(crash_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0) {
        ssize_t ignored UNUSED = write(fd, current, current_size);
        close(fd);
    }
    for (size_t i = 0; i < current_size && i < 512; i++) {
        bool plain = current[i] >= 0x20 && current[i] < 0x7f && current[i] != '\\';
        snprintf(text, sizeof(text), plain ? "%c" : "\\x%02x", current[i]);
        say(text);
    }
    say("\n");
    _exit(1);
}

static void run(const uint8_t *data, size_t size) {
    // An allocation of exactly this size: a read beyond it is one that the sanitizers see.
    uint8_t *copy = xmalloc(size);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    current = copy;
    current_size = size;
    alarm(SECONDS_PER_INPUT);
    LLVMFuzzerTestOneInput(copy, size);
    alarm(0);
    free(copy);
}

// ---- the corpus ----

static void load_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    static uint8_t bytes[1 << 20];
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    corpus.items = realloc(corpus.items, (corpus.n + 1) * sizeof(*corpus.items));
    CHECK(corpus.items != NULL);
    struct input *in = &corpus.items[corpus.n++];
    *in = (struct input){xmalloc(n), n};
    memcpy(in->p, bytes, n);
}

static int not_hidden(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

// In the order of names, so that a seed means the same everywhere.
static void load(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        load_file(path);
        return;
    }
    struct dirent **entries;
    int n = scandir(path, &entries, not_hidden, alphasort);
    if (n <= 0) {
        fprintf(stderr, "%s: no corpus there\n", path);
        exit(1);
    }
    for (int i = 0; i < n; i++) {
        char file[4096];
        snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
        load_file(file);
        free(entries[i]);
    }
    free(entries);
}

// ---- mutations ----

struct draft {
    uint8_t p[INPUT_MAX];
    size_t n;
};

static size_t below(const struct rng *rng, size_t bound) {
    return (size_t)rng_below(rng, bound);
}

static void insert(struct draft *d, size_t at, const void *p, size_t n) {
    n = n < INPUT_MAX - d->n ? n : INPUT_MAX - d->n;
    memmove(d->p + at + n, d->p + at, d->n - at);
    if (n > 0) {
        memcpy(d->p + at, p, n);
    }
    d->n += n;
}

static void delete (struct draft *d, size_t at, size_t n) {
    memmove(d->p + at, d->p + at + n, d->n - at - n);
    d->n -= n;
}

static void mutate(struct draft *d, const struct rng *rng) {
    static const char *const tokens[] = {"0",
                                         "9",
                                         "-",
                                         ".",
                                         ",",
                                         ":",
                                         "\"",
                                         "\\",
                                         "\\u0000",
                                         "{",
                                         "}",
                                         "[",
                                         "]",
                                         "\n",
                                         "\r\n",
                                         "\t",
                                         " ",
                                         "=",
                                         "==",
                                         "T",
                                         "Z",
                                         "P",
                                         "e99",
                                         "null",
                                         "true",
                                         "\xff",
                                         "\xc3\xa9",
                                         "\xed\xa0\x80",
                                         "\xf4\x90\x80\x80",
                                         "%00",
                                         "%s",
                                         "2147483648",
                                         "18446744073709551616",
                                         "9223372036854775807",
                                         "00000000",
                                         "../",
                                         "\xef\xbb\xbf"};
    static const uint8_t bytes[] = {0, 1, 0x7f, 0x80, 0xff, '0', '9', ' ', '"', '\\', '-', '/', ':'};
    size_t at = below(rng, d->n + 1);
    switch (below(rng, 9)) {
    case 0:
        if (at < d->n) {
            d->p[at] ^= (uint8_t)(1u << below(rng, 8));
        }
        break;
    case 1:
        if (at < d->n) {
            d->p[at] = bytes[below(rng, sizeof(bytes))];
        }
        break;
    case 2:
        if (at < d->n) {
            d->p[at] = (uint8_t)below(rng, 256);
        }
        break;
    case 3: {
        const char *token = tokens[below(rng, ARRAY_LEN(tokens))];
        insert(d, at, token, strlen(token));
        break;
    }
    case 4:
        if (at < d->n) {
            delete (d, at, 1 + below(rng, d->n - at < 16 ? d->n - at : 16));
        }
        break;
    case 5: { // a piece of itself again
        size_t from = below(rng, d->n + 1);
        struct draft piece = {.n = below(rng, d->n - from + 1)};
        memcpy(piece.p, d->p + from, piece.n);
        insert(d, at, piece.p, piece.n);
        break;
    }
    case 6: { // a piece of another
        const struct input *other = &corpus.items[below(rng, corpus.n)];
        size_t from = below(rng, other->n + 1);
        insert(d, at, other->p + from, below(rng, other->n - from + 1));
        break;
    }
    case 7: { // one byte many times
        uint8_t many[300];
        memset(many, d->n > 0 ? d->p[below(rng, d->n)] : 'a', sizeof(many));
        insert(d, at, many, below(rng, sizeof(many)));
        break;
    }
    default:
        delete (d, at, d->n - at);
        break;
    }
}

static unsigned long long number_from(const char *name, unsigned long long otherwise) {
    const char *text = getenv(name);
    uint64_t v;
    return text != NULL && str_to_u64(str_of(text), &v) ? v : otherwise;
}

static void ring_for(int sig) {
    struct sigaction action = {.sa_handler = report};
    sigaction(sig, &action, NULL);
}

int main(int argc, char **argv) {
    int first = 1;
    if (argc > 1 && strcmp(argv[1], "--must-fail") == 0) {
        must_fail = true;
        first++;
    }
    if (first >= argc) {
        fprintf(stderr, "usage: %s [--must-fail] FOLDER|FILE...\n", argv[0]);
        return 2;
    }
    for (int i = first; i < argc; i++) {
        load(argv[i]);
    }
    const char *name = strrchr(argv[0], '/');
    char file[256];
    snprintf(file, sizeof(file), "%s.crash", name != NULL ? name + 1 : argv[0]);
    crash_file = file;
    seed = number_from("SEED", rng_u64(&rng_system));
    unsigned long long runs = number_from("FUZZ_RUNS", 50000);
    printf("SEED=%llu FUZZ_RUNS=%llu, %zu files\n", seed, runs, corpus.n);
    fflush(stdout);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    ring_for(SIGABRT);
    ring_for(SIGSEGV);
    ring_for(SIGBUS);
    ring_for(SIGFPE);
    ring_for(SIGILL);
    ring_for(SIGALRM);

    for (size_t i = 0; i < corpus.n; i++) {
        run(corpus.items[i].p, corpus.items[i].n);
    }
    struct rng_seeded state;
    struct rng rng = rng_seeded_init(&state, seed);
    static struct draft d;
    for (unsigned long long i = 0; i < runs; i++) {
        const struct input *from = &corpus.items[below(&rng, corpus.n)];
        d.n = from->n < INPUT_MAX ? from->n : INPUT_MAX;
        memcpy(d.p, from->p, d.n);
        for (size_t k = 1 + below(&rng, 6); k > 0; k--) {
            mutate(&d, &rng);
        }
        run(d.p, d.n);
    }
    for (size_t i = 0; i < corpus.n; i++) {
        free(corpus.items[i].p);
    }
    free(corpus.items);
    if (must_fail) {
        fprintf(stderr, "it should have failed\n");
        return 1;
    }
    return 0;
}
