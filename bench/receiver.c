// SPDX-License-Identifier: Apache-2.0
/*
 * receiver.c - a receiver of webhooks that costs little: HTTP/1.1, keep-alive, one thread, epoll.
 *
 *   receiver
 *
 * Prints its port. Answers each POST with 200 and no body. The path of endpoint n is /n; the deliveries of one must come in the order of
 * their "sequence" and without a gap. "?" on standard input asks for a line of JSON: how many deliveries came, how long it took from the
 * first to the last of them, how many came again, and gaps; "+" begins to count anew. It ends when standard input does.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define REQUEST_MAX 65536
#define ENDPOINTS_MAX 10000
#define EVENTS_MAX 256

struct client {
    int fd;
    size_t n;
    char in[REQUEST_MAX];
};

static struct {
    int64_t sequence[ENDPOINTS_MAX]; // the last of each
    uint64_t deliveries, repeated, gaps;
    double first, last;
    int epoll;
} receiver;

static void die(const char *what) {
    fprintf(stderr, "receiver: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now_s(void) {
    return (double)clock_mono(&clock_system).ns / 1e9;
}

static void watch(int fd, void *what) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = what};
    if (epoll_ctl(receiver.epoll, EPOLL_CTL_ADD, fd, &e) != 0)
        die("epoll_ctl");
}

static void asked_for(void) {
    char asked[256];
    ssize_t n = read(STDIN_FILENO, asked, sizeof asked);
    if (n <= 0)
        exit(0);
    for (ssize_t i = 0; i < n; i++) {
        if (asked[i] == '+')
            receiver.deliveries = 0;
        if (asked[i] != '?')
            continue;
        printf("{\"deliveries\":%llu,\"seconds\":%.6f,\"repeated\":%llu,\"gaps\":%llu}\n", (unsigned long long)receiver.deliveries,
               receiver.deliveries ? receiver.last - receiver.first : 0.0, (unsigned long long)receiver.repeated,
               (unsigned long long)receiver.gaps);
    }
    fflush(stdout);
}

static void delivery(const char *path, const char *body, size_t n) {
    unsigned long endpoint = path[0] == '/' ? strtoul(path + 1, NULL, 10) : 0;
    const char *key = memmem(body, n, "\"sequence\":", 11);
    int64_t sequence = key ? strtoll(key + 11, NULL, 10) : 0; // the body ends with '}' at the latest
    receiver.last = now_s();
    if (receiver.deliveries++ == 0)
        receiver.first = receiver.last;
    if (endpoint >= ENDPOINTS_MAX || sequence <= 0)
        return;
    int64_t *last = &receiver.sequence[endpoint];
    if (*last > 0 && sequence <= *last) {
        receiver.repeated++;
        return;
    }
    receiver.gaps += *last > 0 && sequence != *last + 1;
    *last = sequence;
}

// Takes what requests are whole; false: the connection is of no use any more.
static bool requests_take(struct client *c) {
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (;;) {
        const char *end = memmem(c->in, c->n, "\r\n\r\n", 4);
        if (!end)
            return c->n < REQUEST_MAX;
        size_t head = (size_t)(end - c->in) + 4, body = 0;
        const char *field = memmem(c->in, head, "\r\nContent-Length:", 17);
        if (field)
            body = strtoul(field + 17, NULL, 10);
        if (body >= REQUEST_MAX - head)
            return false;
        if (c->n < head + body)
            return true;
        if (head < 6 || memcmp(c->in, "POST ", 5) != 0)
            return false;
        delivery(c->in + 5, c->in + head, body);
        if (send(c->fd, answer, sizeof answer - 1, MSG_NOSIGNAL) != (ssize_t)sizeof answer - 1)
            return false;
        c->n -= head + body;
        memmove(c->in, c->in + head + body, c->n);
    }
}

static void readable(struct client *c) {
    ssize_t n = recv(c->fd, c->in + c->n, REQUEST_MAX - c->n, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0) {
        c->n += (size_t)n;
        if (requests_take(c))
            return;
    }
    close(c->fd);
    free(c);
}

static void client_accept(int listener) {
    struct client *c = malloc(sizeof *c);
    int on = 1;
    if (!c)
        die("memory");
    c->n = 0;
    c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (c->fd < 0) {
        free(c);
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(c->fd, c);
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    static char of_listener, of_input;
    receiver.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (receiver.epoll < 0 || listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        die("listening");
    watch(listener, &of_listener);
    watch(STDIN_FILENO, &of_input);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(receiver.epoll, events, EVENTS_MAX, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &of_listener)
                client_accept(listener);
            else if (events[i].data.ptr == &of_input)
                asked_for();
            else
                readable(events[i].data.ptr);
        }
    }
}
