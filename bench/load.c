// SPDX-License-Identifier: Apache-2.0
/*
 * load.c - the load driver of the benchmark: HTTP/1.1 over keep-alive connections, one thread, epoll.
 *
 *   load ADDRESS:PORT FILE --connections N --seconds S [--rate R] [--skip K]
 *
 * FILE holds ready requests, each as a 4-byte length (host order) and the bytes; they are sent in turn, beginning with the K-th, from the
 * first again when they are used up. Without --rate each connection sends its next request as soon as it has its answer (closed loop: the
 * most the server can do). With --rate requests are due at constant intervals whatever the server does, and a latency counts from the
 * instant at which the request was due, not from when a connection was free for it (no coordinated omission).
 *
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define ANSWER_MAX 65536
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
};

static struct {
    const char *data;
    size_t size, at;
    int64_t begin, end, interval; // ns; interval 0: closed loop
    int64_t next_due;
    uint64_t sent, answered, hundreds[6];
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
        if (seen > wanted)
            return slot_ms(i);
    }
    return slot_ms(POWERS * STEPS - 1);
}

// ---- requests ----

static void request_next(const char **out, size_t *n) {
    uint32_t size;
    if (load.at + sizeof size > load.size)
        load.at = 0;
    memcpy(&size, load.data + load.at, sizeof size);
    *out = load.data + load.at + sizeof size;
    *n = size;
    load.at += sizeof size + size;
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
    request_next(&c->out, &c->left);
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

static void answered(struct connection *c, int64_t now) {
    int status = atoi(c->in + 9);
    load.hundreds[status >= 100 && status < 600 ? status / 100 : 0]++;
    load.answered++;
    histogram[slot_of((uint64_t)((now - c->due) / 1000))]++;
    c->busy = false;
    if (now >= load.end)
        return;
    if (!load.interval)
        start(c, now_ns());
    else if (load.next_due <= now) {
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

static void requests_read(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        die(path);
    load.size = (size_t)st.st_size;
    load.data = mmap(NULL, load.size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (load.data == MAP_FAILED || load.size < 8)
        die(path);
    close(fd);
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
        c->fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (!c->in || c->fd < 0 || connect(c->fd, found->ai_addr, found->ai_addrlen) != 0)
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
    while (load.n_idle && load.next_due <= now && load.next_due < load.end) {
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
        int64_t now = now_ns();
        if (now >= load.end && (busy() == 0 || now >= load.end + 10 * SECOND_NS))
            return;
        int timeout = 100;
        if (load.interval) {
            start_due(now);
            int64_t ahead = (load.next_due - now) / 1000000;
            timeout = load.n_idle == 0 || ahead > 100 ? 100 : ahead < 0 ? 0 : (int)ahead;
        }
        int n = epoll_wait(load.epoll, events, EVENTS_MAX, timeout);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
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
    double seconds = 10, rate = 0;
    int connections = 64;
    long skip = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: load ADDRESS:PORT FILE [--connections N] [--seconds S] [--rate R] [--skip K]\n");
        return 2;
    }
    for (int i = 3; i < argc; i += 2) {
        double v = number(i + 1 < argc ? argv[i + 1] : NULL);
        if (strcmp(argv[i], "--connections") == 0)
            connections = v < 1 ? 1 : v > CONNECTIONS_MAX ? CONNECTIONS_MAX : (int)v;
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = v;
        else if (strcmp(argv[i], "--rate") == 0)
            rate = v;
        else if (strcmp(argv[i], "--skip") == 0)
            skip = (long)v;
        else {
            fprintf(stderr, "load: what is %s?\n", argv[i]);
            return 2;
        }
    }
    requests_read(argv[2]);
    for (const char *unused; skip > 0; skip--) {
        size_t n;
        request_next(&unused, &n);
    }
    connect_all(argv[1], connections);
    load.begin = now_ns();
    load.next_due = load.begin;
    load.end = load.begin + (int64_t)(seconds * (double)SECOND_NS);
    load.interval = rate > 0 ? (int64_t)((double)SECOND_NS / rate) : 0;
    run();
    double took = (double)(now_ns() - load.begin) / (double)SECOND_NS;
    printf("{\"requests\":%llu,\"unanswered\":%llu,\"seconds\":%.3f,\"rate\":%.1f,\"2xx\":%llu,\"4xx\":%llu,\"5xx\":%llu,"
           "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f}\n",
           (unsigned long long)load.answered, (unsigned long long)(load.sent - load.answered), took, (double)load.answered / took,
           (unsigned long long)load.hundreds[2], (unsigned long long)load.hundreds[4], (unsigned long long)load.hundreds[5],
           percentile(0.5), percentile(0.99), percentile(0.999));
    return 0;
}
