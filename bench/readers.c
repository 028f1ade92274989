// SPDX-License-Identifier: Apache-2.0
/*
 * readers.c - readers of event streams (server-sent events): one thread, epoll.
 *
 *   readers ADDRESS:PORT FILE --connections N --last SEQUENCE     each reads until it has the event of this sequence
 *   readers ADDRESS:PORT FILE --connections N --idle              prints "ready" when all streams have begun; holds them until
 *                                                                 standard input ends
 *
 * FILE holds ready requests as for the load driver (load.c); reader i sends the i-th, those beyond begin with the first again. Sequences of
 * a stream must have no gap. Prints one line of JSON: readers, events, seconds, rate, bytes, gaps.
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define READERS_MAX 20000
#define EVENTS_MAX 256
#define PIECE (256 << 10)
#define LINE_KEPT 64 // as much of a line as is looked at

struct reader {
    int fd;
    bool begun, done;
    enum { HEAD, SIZE, DATA } at;
    size_t left;          // of a chunk's data and its line end
    size_t n;             // of `line`
    char line[LINE_KEPT]; // of the head, of a chunk's size, of the stream: its beginning
    char size_text[20];   // a chunk's size
    size_t size_n;
    int64_t sequence; // the last
};

static struct {
    struct reader *list;
    int n, begun, done;
    int64_t last;
    uint64_t events, bytes, gaps;
    int epoll;
} readers;

static void die(const char *what) {
    fprintf(stderr, "readers: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now_s(void) {
    return (double)clock_mono(&clock_system).ns / 1e9;
}

// A line of the stream is whole; `r->line` has its beginning.
static void line_take(struct reader *r) {
    r->line[r->n < LINE_KEPT ? r->n : LINE_KEPT - 1] = 0;
    if (!r->begun) {
        r->begun = true;
        readers.begun++;
    }
    if (strncmp(r->line, "id: ", 4) == 0) {
        int64_t sequence = strtoll(r->line + 4, NULL, 10);
        readers.gaps += r->sequence > 0 && sequence != r->sequence + 1;
        r->sequence = sequence;
    } else if (strncmp(r->line, "data: ", 6) == 0) {
        readers.events++;
        if (readers.last && r->sequence >= readers.last && !r->done) {
            r->done = true;
            readers.done++;
        }
    }
    r->n = 0;
}

// Bytes of the stream itself.
static void stream_take(struct reader *r, const char *p, size_t n) {
    while (n > 0) {
        const char *end = memchr(p, '\n', n);
        size_t some = end ? (size_t)(end - p) : n, kept = LINE_KEPT - 1 - r->n < some ? LINE_KEPT - 1 - r->n : some;
        memcpy(r->line + r->n, p, kept);
        r->n += kept;
        if (!end)
            return;
        line_take(r);
        n -= some + 1;
        p = end + 1;
    }
}

static void head_byte(struct reader *r, char c) {
    if (c == '\r')
        return;
    if (c != '\n') {
        if (r->n < LINE_KEPT - 1)
            r->line[r->n++] = c;
        return;
    }
    r->line[r->n] = 0;
    if (strncmp(r->line, "HTTP/", 5) == 0 && strncmp(r->line, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "readers: %s\n", r->line);
        exit(1);
    }
    if (r->n == 0)
        r->at = SIZE;
    r->n = 0;
}

static void size_byte(struct reader *r, char c) {
    if (c != '\n') {
        if (r->size_n < sizeof r->size_text - 1)
            r->size_text[r->size_n++] = c;
        return;
    }
    r->size_text[r->size_n] = 0;
    r->size_n = 0;
    r->left = strtoul(r->size_text, NULL, 16) + 2;
    r->at = DATA;
    if (r->left == 2) {
        errno = ECONNRESET;
        die("the server ended a stream");
    }
}

static void bytes_take(struct reader *r, const char *p, size_t n) {
    readers.bytes += n;
    while (n > 0) {
        if (r->at != DATA) {
            (r->at == HEAD ? head_byte : size_byte)(r, *p);
            p++, n--;
            continue;
        }
        size_t some = n < r->left ? n : r->left, data = r->left > 2 ? r->left - 2 : 0;
        stream_take(r, p, some < data ? some : data);
        p += some;
        n -= some;
        r->left -= some;
        if (r->left == 0)
            r->at = SIZE;
    }
}

static void readable(struct reader *r) {
    static char piece[PIECE];
    ssize_t n = recv(r->fd, piece, sizeof piece, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        if (n == 0)
            errno = ECONNRESET;
        die("a stream");
    }
    bytes_take(r, piece, (size_t)n);
    if (r->done) {
        close(r->fd);
        r->fd = -1;
    }
}

static char *file_read(const char *path, size_t *size) {
    FILE *f = fopen(path, "re");
    char *data = NULL;
    size_t n = 0, room = 0;
    *size = 0;
    do {
        room = room * 2 + 65536;
        if (!f || !(data = realloc(data, room)))
            die(path);
        n = fread(data + *size, 1, room - *size, f);
        *size += n;
    } while (*size == room);
    fclose(f);
    if (*size < sizeof(uint32_t)) {
        errno = EINVAL;
        die(path);
    }
    return data;
}

// A connection is a file, and shells allow few.
static void files_allow(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void open_all(const char *address, const char *requests) {
    char host[128];
    size_t size, at = 0;
    char *data = file_read(requests, &size);
    const char *colon = strrchr(address, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (!colon || (size_t)(colon - address) >= sizeof host)
        die(address);
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = 0;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        die(address);
    readers.list = calloc((size_t)readers.n, sizeof *readers.list);
    readers.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!readers.list || readers.epoll < 0)
        die("set-up");
    for (int i = 0; i < readers.n; i++) {
        struct reader *r = &readers.list[i];
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = r};
        uint32_t n;
        if (at + sizeof n > size)
            at = 0;
        memcpy(&n, data + at, sizeof n);
        r->fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (r->fd < 0 || connect(r->fd, found->ai_addr, found->ai_addrlen) != 0)
            die("connect");
        if (send(r->fd, data + at + sizeof n, n, MSG_NOSIGNAL) != (ssize_t)n)
            die("send");
        at += sizeof n + n;
        fcntl(r->fd, F_SETFL, O_NONBLOCK);
        if (epoll_ctl(readers.epoll, EPOLL_CTL_ADD, r->fd, &e) != 0)
            die("epoll_ctl");
    }
    freeaddrinfo(found);
    free(data);
}

static void turn(int timeout_ms) {
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(readers.epoll, events, EVENTS_MAX, timeout_ms);
    if (n < 0 && errno != EINTR)
        die("epoll_wait");
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr)
            readable(events[i].data.ptr);
        else if (getchar() == EOF)
            exit(0);
    }
}

static _Noreturn void hold(void) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    while (readers.begun < readers.n)
        turn(1000);
    printf("ready\n");
    fflush(stdout);
    if (epoll_ctl(readers.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &e) != 0)
        die("standard input");
    for (;;)
        turn(1000);
}

int main(int argc, char **argv) {
    bool idle = false;
    readers.n = 1;
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--idle") == 0)
            idle = true;
        else if (strcmp(argv[i], "--connections") == 0 && i + 1 < argc)
            readers.n = (int)strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--last") == 0 && i + 1 < argc)
            readers.last = strtoll(argv[++i], NULL, 10);
    }
    if (argc < 4 || idle == (readers.last > 0) || readers.n < 1 || readers.n > READERS_MAX) {
        fprintf(stderr, "usage: readers ADDRESS:PORT FILE [--connections N] --last SEQUENCE | --idle\n");
        return 2;
    }
    double begin = now_s();
    files_allow();
    open_all(argv[1], argv[2]);
    if (idle)
        hold();
    while (readers.done < readers.n)
        turn(1000);
    double took = now_s() - begin;
    printf("{\"readers\":%d,\"events\":%llu,\"seconds\":%.3f,\"rate\":%.1f,\"bytes\":%llu,\"gaps\":%llu}\n", readers.n,
           (unsigned long long)readers.events, took, (double)readers.events / took, (unsigned long long)readers.bytes,
           (unsigned long long)readers.gaps);
    return 0;
}
