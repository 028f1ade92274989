// SPDX-License-Identifier: Apache-2.0
/*
 * load.c - the load driver of the benchmark: HTTP/1.1 over keep-alive connections, one thread, epoll.
 *
 *   load ADDRESS:PORT FILE [--connections N] [--seconds S] [--rate R] [--requests N] [--values FILE] [--skip K] [--ids FILE]
 *       [--taken FILE]
 *
 * FILE holds ready requests, each as a 4-byte length (host order) and the bytes; they are sent in turn, from the first again when they are
 * used up. With --values a run of bytes 1 in a request is a place for a value: that file has lines of equal length, which are taken in an
 * order that looks random (a permutation, each once before any twice), beginning with the K-th of it; all runs in one request get the same.
 * Without --values K requests are skipped.
 *
 * Without --rate each connection sends its next request as soon as it has its answer (closed loop: the most the server can do). With --rate
 * requests are due at constant intervals whatever the server does, and a latency counts from the instant at which the request was due, not
 * from when a connection was free for it (no coordinated omission); what was due before the end is sent even when that is later.
 *
 * It ends after S seconds or N requests. Of answers 202, --ids writes down the ids at the end of their Location headers, --taken the values
 * of their requests, a line each.
 * Prints one line of JSON: requests, seconds, rate, answers by hundreds, latencies in milliseconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define ANSWER_MAX 65536
#define REQUEST_MAX (1 << 20)
#define ID_TEXT 36
#define SECONDS_MAX 3600
#define PATIENCE_S 10 // for what is on its way at the end
#define CONNECTIONS_MAX 20000
#define EVENTS_MAX 512
#define SECOND_NS INT64_C(1000000000)

// Latencies in a histogram of 64 steps per power of two (an error of at most 1.6 %), from 1 us to 2^36 us.
#define STEPS 64
#define POWERS 37
static uint64_t histogram[POWERS * STEPS];

struct connection {
    int fd;
    bool busy;
    int64_t due; // when its request was due
    const char *out;
    size_t left;
    size_t got; // bytes of the answer in `in`
    char *in;
    char *filled; // its request, with a value in its place
    const char *value;
};

// Lines of equal length, met in an order that looks random.
static struct {
    const char *data;
    size_t line, n, half_bits; // `line` without the line end
    uint64_t at;
} values;

static struct {
    const char *data;
    size_t size, at;
    int64_t begin, end, interval; // ns; interval 0: closed loop
    int64_t next_due;
    uint64_t most; // requests; 0: any number
    uint64_t sent, answered, hundreds[6];
    FILE *ids, *taken;
    struct connection *connections;
    int n;
    int *idle, n_idle;
    int epoll;
} load;

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void) {
    return clock_mono(&clock_system).ns;
}

// ---- latencies ----

static size_t slot_of(uint64_t us) {
    if (us < STEPS)
        return us;
    int power = 63 - __builtin_clzll(us); // >= 6
    return (size_t)(power - 5) * STEPS + ((us >> (power - 6)) & (STEPS - 1));
}

static double slot_ms(size_t slot) {
    if (slot < STEPS)
        return (double)slot / 1000;
    size_t power = slot / STEPS + 5;
    return (double)((UINT64_C(1) << power) + ((uint64_t)(slot % STEPS) << (power - 6))) / 1000;
}

static double percentile(double share) {
    uint64_t wanted = (uint64_t)(share * (double)load.answered), seen = 0;
    for (size_t i = 0; i < POWERS * STEPS; i++) {
        seen += histogram[i];
        if (seen > wanted || (seen && seen == load.answered))
            return slot_ms(i);
    }
    return slot_ms(POWERS * STEPS - 1);
}

// ---- values ----

// A permutation of 0 .. values.n - 1: a Feistel network over the next even number of bits, walked until it is in range.
static uint64_t shuffled(uint64_t i) {
    uint64_t mask = (UINT64_C(1) << values.half_bits) - 1;
    do {
        uint64_t left = i >> values.half_bits, right = i & mask;
        for (uint64_t round = 1; round <= 4; round++) {
            uint64_t mixed = (right + round) * UINT64_C(0x9E3779B97F4A7C15);
            uint64_t next = left ^ ((mixed ^ mixed >> 29) * UINT64_C(0xBF58476D1CE4E5B9) >> 32 & mask);
            left = right;
            right = next;
        }
        i = left << values.half_bits | right;
    } while (i >= values.n);
    return i;
}

static const char *value_next(void) {
    return values.data + shuffled(values.at++ % values.n) * (values.line + 1);
}

// ---- requests ----

static const char *request_next(size_t *n) {
    uint32_t size;
    if (load.at + sizeof size > load.size)
        load.at = 0;
    memcpy(&size, load.data + load.at, sizeof size);
    const char *out = load.data + load.at + sizeof size;
    *n = size;
    load.at += sizeof size + size;
    if (size > REQUEST_MAX) {
        errno = EMSGSIZE;
        die("a request");
    }
    return out;
}

static const char *fill_in(struct connection *c, const char *request, size_t n) {
    c->value = value_next();
    memcpy(c->filled, request, n);
    for (char *at = c->filled; (at = memchr(at, 1, (size_t)(c->filled + n - at))); at += values.line) {
        if (at + values.line > c->filled + n) {
            errno = EINVAL;
            die("no room for a value");
        }
        memcpy(at, c->value, values.line);
    }
    return c->filled;
}

static void watch(struct connection *c, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(load.epoll, EPOLL_CTL_MOD, c->fd, &e) != 0)
        die("epoll_ctl");
}

static void push(struct connection *c) {
    while (c->left) {
        ssize_t n = send(c->fd, c->out, c->left, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            watch(c, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n < 0)
            die("send");
        c->out += n;
        c->left -= (size_t)n;
    }
}

static void start(struct connection *c, int64_t due) {
    c->busy = true;
    c->due = due;
    c->got = 0;
    c->out = request_next(&c->left);
    if (values.n)
        c->out = fill_in(c, c->out, c->left);
    load.sent++;
    push(c);
}

// The answer's whole length, 0 while the head is not complete. Without Content-Length there is no body (204).
static size_t answer_length(const struct connection *c) {
    const char *end = memmem(c->in, c->got, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t head = (size_t)(end - c->in) + 4;
    const char *field = memmem(c->in, head, "\r\nContent-Length:", 17);
    return head + (field ? strtoul(field + 17, NULL, 10) : 0);
}

// Whether another request may be sent that is due at `due`.
static bool goes_on(int64_t due) {
    return due < load.end && (!load.most || load.sent < load.most);
}

static void id_keep(const struct connection *c) {
    const char *end = memmem(c->in, c->got, "\r\n\r\n", 4);
    const char *field = memmem(c->in, (size_t)(end - c->in), "\r\nLocation: ", 12);
    if (!field)
        return;
    const char *stop = memchr(field + 12, '\r', (size_t)(end + 2 - field - 12));
    if (stop - field - 12 > ID_TEXT)
        fprintf(load.ids, "%.*s\n", ID_TEXT, stop - ID_TEXT);
}

static void answered(struct connection *c, int64_t now) {
    int status = atoi(c->in + 9);
    load.hundreds[status >= 100 && status < 600 ? status / 100 : 0]++;
    load.answered++;
    histogram[slot_of((uint64_t)((now - c->due) / 1000))]++;
    if (load.ids && status == 202)
        id_keep(c);
    if (load.taken && status == 202)
        fprintf(load.taken, "%.*s\n", (int)values.line, c->value);
    c->busy = false;
    if (!load.interval) {
        if (goes_on(now))
            start(c, now);
    } else if (load.next_due <= now && goes_on(load.next_due)) {
        start(c, load.next_due);
        load.next_due += load.interval;
    } else
        load.idle[load.n_idle++] = (int)(c - load.connections);
}

static void readable(struct connection *c) {
    for (;;) {
        ssize_t n = recv(c->fd, c->in + c->got, ANSWER_MAX - c->got, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            die("the server closed a connection");
        c->got += (size_t)n;
        size_t whole = answer_length(c);
        if (whole > ANSWER_MAX)
            die("an answer is too large");
        if (whole && c->got >= whole) {
            answered(c, now_ns());
            return;
        }
    }
}

// ---- set-up ----

static const char *file_map(const char *path, size_t *size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        die(path);
    *size = (size_t)st.st_size;
    const char *data = mmap(NULL, *size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (data == MAP_FAILED || *size < 8)
        die(path);
    close(fd);
    return data;
}

static void values_read(const char *path) {
    size_t size;
    values.data = file_map(path, &size);
    const char *end = memchr(values.data, '\n', size);
    values.line = end ? (size_t)(end - values.data) : 0;
    values.n = size / (values.line + 1);
    if (values.line == 0 || values.n * (values.line + 1) != size) {
        errno = EINVAL;
        die(path);
    }
    while (UINT64_C(1) << (2 * values.half_bits) < values.n)
        values.half_bits++;
}

// A connection is a file, and shells allow few.
static void files_allow(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void connect_all(const char *address, int n) {
    char host[128];
    const char *colon = strrchr(address, ':');
    if (!colon || (size_t)(colon - address) >= sizeof host)
        die("address");
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        die(address);
    load.n = n;
    load.connections = calloc((size_t)n, sizeof *load.connections);
    load.idle = calloc((size_t)n, sizeof *load.idle);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!load.connections || !load.idle || load.epoll < 0)
        die("set-up");
    for (int i = 0; i < n; i++) {
        struct connection *c = &load.connections[i];
        int on = 1;
        c->in = malloc(ANSWER_MAX);
        c->filled = values.n ? malloc(REQUEST_MAX) : NULL;
        c->fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (!c->in || (values.n && !c->filled) || c->fd < 0 || connect(c->fd, found->ai_addr, found->ai_addrlen) != 0)
            die("connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
            die("epoll_ctl");
    }
    freeaddrinfo(found);
}

// Starts what is due on idle connections; what finds none stays due.
static void start_due(int64_t now) {
    while (load.n_idle && load.next_due <= now && goes_on(load.next_due)) {
        start(&load.connections[load.idle[--load.n_idle]], load.next_due);
        load.next_due += load.interval;
    }
}

static int busy(void) {
    int n = 0;
    for (int i = 0; i < load.n; i++)
        n += load.connections[i].busy;
    return n;
}

static void run(void) {
    struct epoll_event events[EVENTS_MAX];
    for (int i = 0; i < load.n; i++) {
        if (load.interval)
            load.idle[load.n_idle++] = i;
        else
            start(&load.connections[i], load.begin);
    }
    for (;;) {
        int64_t now = now_ns(), wait = SECOND_NS / 10;
        if (load.interval) {
            start_due(now);
            if (load.n_idle && goes_on(load.next_due) && load.next_due - now < wait)
                wait = load.next_due > now ? load.next_due - now : 0;
        }
        bool over = !goes_on(load.interval ? load.next_due : now);
        if ((over && busy() == 0) || now >= load.end + PATIENCE_S * SECOND_NS)
            return;
        // To the microsecond: a driver that spins would take a core from the server.
        struct timespec timeout = {0, (long)wait};
        int n = epoll_pwait2(load.epoll, events, EVENTS_MAX, &timeout, NULL);
        if (n < 0 && errno != EINTR)
            die("epoll_pwait2");
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                watch(c, EPOLLIN);
                push(c);
            }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                readable(c);
        }
    }
}

static double number(const char *text) {
    char *end;
    double v = text ? strtod(text, &end) : 0;
    if (!text || *end || v < 0) {
        fprintf(stderr, "load: \"%s\" is not a number\n", text ? text : "");
        exit(2);
    }
    return v;
}

int main(int argc, char **argv) {
    double seconds = 0, rate = 0;
    int connections = 64;
    long skip = 0;
    if (argc < 3) {
        fprintf(stderr,
                "usage: load ADDRESS:PORT FILE [--connections N] [--seconds S] [--rate R] [--requests N] [--values FILE] [--skip K] "
                "[--ids FILE]\n");
        return 2;
    }
    for (int i = 3; i < argc; i += 2) {
        const char *text = i + 1 < argc ? argv[i + 1] : NULL;
        if (text && strcmp(argv[i], "--values") == 0)
            values_read(text);
        else if (text && strcmp(argv[i], "--ids") == 0) {
            if (!(load.ids = fopen(text, "we")))
                die(text);
        } else if (text && strcmp(argv[i], "--taken") == 0) {
            if (!(load.taken = fopen(text, "we")))
                die(text);
        } else if (strcmp(argv[i], "--connections") == 0)
            connections = number(text) < 1 ? 1 : number(text) > CONNECTIONS_MAX ? CONNECTIONS_MAX : (int)number(text);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = number(text);
        else if (strcmp(argv[i], "--rate") == 0)
            rate = number(text);
        else if (strcmp(argv[i], "--requests") == 0)
            load.most = (uint64_t)number(text);
        else if (strcmp(argv[i], "--skip") == 0)
            skip = (long)number(text);
        else {
            fprintf(stderr, "load: what is %s?\n", argv[i]);
            return 2;
        }
    }
    if (load.taken && values.n == 0) {
        fprintf(stderr, "load: --taken is of --values\n");
        return 2;
    }
    load.data = file_map(argv[2], &load.size);
    if (values.n)
        values.at = (uint64_t)skip;
    for (size_t n; !values.n && skip > 0; skip--)
        (void)request_next(&n);
    files_allow();
    connect_all(argv[1], connections);
    prctl(PR_SET_TIMERSLACK, 1000);
    load.begin = now_ns();
    load.next_due = load.begin;
    load.end = load.begin + (int64_t)((seconds > 0 ? seconds : load.most ? SECONDS_MAX : 10) * (double)SECOND_NS);
    load.interval = rate > 0 ? (int64_t)((double)SECOND_NS / rate) : 0;
    run();
    double took = (double)(now_ns() - load.begin) / (double)SECOND_NS;
    if ((load.ids && fclose(load.ids) != 0) || (load.taken && fclose(load.taken) != 0))
        die("what was to be written down");
    printf("{\"requests\":%llu,\"unanswered\":%llu,\"seconds\":%.3f,\"rate\":%.1f,\"2xx\":%llu,\"4xx\":%llu,\"5xx\":%llu,"
           "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f}\n",
           (unsigned long long)load.answered, (unsigned long long)(load.sent - load.answered), took, (double)load.answered / took,
           (unsigned long long)load.hundreds[2], (unsigned long long)load.hundreds[4], (unsigned long long)load.hundreds[5],
           percentile(0.5), percentile(0.99), percentile(0.999), percentile(1));
    return 0;
}
