// SPDX-License-Identifier: Apache-2.0
/*
 * The server against raw sockets: what a well-meaning client gets, and a hostile one.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/log.h"
#include "http/http.h"

// ---- a handler ----

#define LATER_MAX 256

struct fixture {
    struct http_server *server;
    int port;
    struct clock_manual time;
    struct clock clock;
    _Atomic int handled, ended, unsent;
    // exchanges that wait, and a thread that resumes them (unless it holds them)
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct http_exchange *later[LATER_MAX];
    size_t n_later;
    bool hold, ending;
    _Atomic int asked; // pieces of streams asked for
    pthread_t resumer;
};

static void say_text(struct http_exchange *x, int status, const char *text) {
    x->status = status;
    http_set_header(x, "Content-Type", STR("text/plain"));
    buf_add_text(&x->reply, text);
}

static void keep_for_resumer(struct fixture *f, struct http_exchange *x) {
    pthread_mutex_lock(&f->lock);
    assert_true(f->n_later < LATER_MAX);
    f->later[f->n_later++] = x;
    pthread_cond_broadcast(&f->more);
    pthread_mutex_unlock(&f->lock);
}

static enum http_answer on_handle(void *ctx, struct http_exchange *x) {
    struct fixture *f = ctx;
    atomic_fetch_add(&f->handled, 1);
    if (str_is(x->path, "/later")) {
        keep_for_resumer(f, x);
        return HTTP_LATER;
    }
    if (str_is(x->path, "/twice")) { // waits, is woken, waits again
        x->user = f;
        http_resume(x);
        return HTTP_LATER;
    }
    if (str_starts(x->path, "/stream")) {
        say_text(x, 200, "begin\n");
        x->stream = true;
        return HTTP_REPLY;
    }
    if (str_is(x->path, "/at-once")) {
        http_resume(x);
        return HTTP_LATER;
    }
    if (str_is(x->path, "/hold")) { // keeps the thread
        pthread_mutex_lock(&f->lock);
        while (f->hold)
            pthread_cond_wait(&f->more, &f->lock);
        pthread_mutex_unlock(&f->lock);
    }
    if (str_is(x->path, "/big") || str_is(x->path, "/huge")) {
        x->status = 200;
        for (int i = 0; i < (x->path.n == 4 ? 100000 : 4000000); i++)
            buf_add_text(&x->reply, "0123456789");
        return HTTP_REPLY;
    }
    bool bad = false;
    struct str q = http_query(x, "q", &bad);
    say_text(x, 200, "");
    buf_printf(&x->reply, "%s " STR_FMT " q=" STR_FMT "%s body=" STR_FMT, http_method_name(x->method), STR_ARG(x->path), STR_ARG(q),
               bad ? "(bad)" : "", STR_ARG(x->body));
    http_set_header(x, "X-Echo", http_header(x, "x-ping"));
    return HTTP_REPLY;
}

static enum http_answer on_resume(void *ctx, struct http_exchange *x) {
    struct fixture *f = ctx;
    if (x->user) { // "/twice"
        x->user = NULL;
        keep_for_resumer(f, x);
        return HTTP_LATER;
    }
    say_text(x, 202, "resumed");
    return HTTP_REPLY;
}

// "/stream": waits before each of three pieces, then ends. "/stream-fast": pieces without end. "/stream-wait": waits for ever.
static enum http_more on_more(void *ctx, struct http_exchange *x) {
    struct fixture *f = ctx;
    int n = atomic_fetch_add(&f->asked, 1);
    assert_int_equal(x->reply.n, 0);
    if (str_is(x->path, "/stream-fast")) {
        for (int i = 0; i < 10000; i++)
            buf_add_text(&x->reply, "0123456789");
        return HTTP_MORE;
    }
    if (n % 2 == 0 || str_is(x->path, "/stream-wait")) {
        if (n % 4 == 0)
            http_resume(x); // sometimes before it is parked
        else
            keep_for_resumer(f, x);
        return HTTP_WAIT;
    }
    if (n == 7)
        return HTTP_END;
    buf_printf(&x->reply, "piece %d\n", n / 2);
    return HTTP_MORE;
}

static void on_refuse(void *ctx, struct http_exchange *x, enum err_kind why, const char *message) {
    (void)ctx;
    say_text(x, x->status ? x->status : why == ERR_TOO_LARGE ? 413 : 503, "ours: ");
    buf_add_text(&x->reply, message);
}

static void on_end(void *ctx, struct http_exchange *x, bool sent) {
    struct fixture *f = ctx;
    (void)x;
    atomic_fetch_add(&f->ended, 1);
    if (!sent)
        atomic_fetch_add(&f->unsent, 1);
}

static void *resumer_main(void *arg) {
    struct fixture *f = arg;
    pthread_mutex_lock(&f->lock);
    while (!f->ending) {
        if (f->n_later && !f->hold) {
            struct http_exchange *x = f->later[--f->n_later];
            pthread_mutex_unlock(&f->lock);
            http_resume(x);
            pthread_mutex_lock(&f->lock);
        } else {
            pthread_cond_wait(&f->more, &f->lock);
        }
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static struct fixture *begin(void (*adjust)(struct http_server_options *)) {
    struct fixture *f = xcalloc(1, sizeof(*f));
    struct err err = {0};
    char bound[HTTP_ADDRESS_TEXT];
    struct http_server_options o;
    http_server_options_default(&o);
    f->clock = clock_manual_init(&f->time, (struct wall){1700000000000});
    o.clock = &f->clock;
    o.handler = (struct http_handler){on_handle, on_resume, on_more, on_refuse, on_end, f};
    if (adjust)
        adjust(&o);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->more, NULL);
    pthread_create(&f->resumer, NULL, resumer_main, f);
    assert_int_equal(http_listen("127.0.0.1:0", &o.listen_fd, bound, &err), ERR_NONE);
    f->port = atoi(strrchr(bound, ':') + 1);
    assert_int_equal(http_server_start(&o, &f->server, &err), ERR_NONE);
    return f;
}

static void resumer_end(struct fixture *f) {
    pthread_mutex_lock(&f->lock);
    f->ending = true;
    pthread_cond_broadcast(&f->more);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->resumer, NULL);
}

static void end(struct fixture *f) {
    http_server_stop(f->server, 2000);
    resumer_end(f);
    pthread_cond_destroy(&f->more);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

// ---- a client ----

static int dial(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    struct timeval patience = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

// As much as the other side takes.
static size_t push(int fd, const char *p, size_t n) {
    size_t done = 0;
    while (done < n) {
        ssize_t m = send(fd, p + done, n - done, MSG_NOSIGNAL);
        if (m <= 0)
            break;
        done += (size_t)m;
    }
    return done;
}

static void say(int fd, const char *text) {
    assert_int_equal(push(fd, text, strlen(text)), strlen(text));
}

struct answer {
    int status;
    struct buf head, body;
};

static void answer_free(struct answer *a) {
    buf_release(&a->head);
    buf_release(&a->body);
}

// One answer, by its Content-Length, byte by byte so that a pipelined one after it stays in the socket. Status 0: the connection was closed
// first.
static struct answer hear(int fd, bool with_body) {
    struct answer a = {0};
    buf_init(&a.head, 65536);
    buf_init(&a.body, 16 << 20);
    char c;
    while (!strstr(a.head.n ? a.head.p : "", "\r\n\r\n")) {
        if (recv(fd, &c, 1, 0) != 1)
            return a;
        buf_add_char(&a.head, c);
    }
    a.status = atoi(a.head.p + strlen("HTTP/1.1 "));
    const char *length = strcasestr(a.head.p, "content-length:");
    size_t left = length && with_body ? (size_t)atol(length + 15) : 0;
    while (left) {
        char piece[65536];
        ssize_t n = recv(fd, piece, left < sizeof(piece) ? left : sizeof(piece), 0);
        assert_true(n > 0);
        buf_add(&a.body, piece, (size_t)n);
        left -= (size_t)n;
    }
    return a;
}

static void expect(int fd, int status, const char *body) {
    struct answer a = hear(fd, true);
    assert_int_equal(a.status, status);
    assert_string_equal(a.body.n ? a.body.p : "", body);
    answer_free(&a);
}

static bool closed(int fd) {
    char c;
    return recv(fd, &c, 1, 0) <= 0;
}

// ---- a well-meaning client ----

static void keep_alive_serves_many_requests(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    int fd = dial(f->port);
    for (int i = 0; i < 50; i++) {
        say(fd, "POST /a?q=b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        expect(fd, 200, "POST /a q=b body=hello");
    }
    assert_int_equal(http_server_connections(f->server), 1);
    close(fd);
    end(f);
}

static void pipelined_requests_are_answered_in_order(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    int fd = dial(f->port);
    say(fd, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
            "GET /later HTTP/1.1\r\nHost: x\r\n\r\n"
            "POST /3 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
            "GET /4 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "GET /1 q= body=");
    expect(fd, 202, "resumed");
    expect(fd, 200, "POST /3 q= body=hi");
    expect(fd, 200, "GET /4 q= body=");
    close(fd);
    end(f);
}

static void head_has_the_length_and_no_body(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    int fd = dial(f->port);
    say(fd, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    struct answer a = hear(fd, false);
    assert_int_equal(a.status, 200);
    assert_non_null(strcasestr(a.head.p, "content-length: 16\r\n"));
    answer_free(&a);
    expect(fd, 200, "GET /b q= body=");
    close(fd);
    end(f);
}

static void paths_arrive_as_they_were_sent(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    int fd = dial(f->port);
    say(fd, "GET /a%2e%2e%2Fb%00/../+c?q=%41+%26 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "GET /a%2e%2e%2Fb%00/../+c q=A & body=");
    say(fd, "GET /a?q=%4 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "GET /a q=(bad) body=");
    say(fd, "GET /a?q=%00 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "GET /a q=(bad) body=");
    say(fd, "GET http://x.example/a?q=1 HTTP/1.1\r\nHost: x.example\r\n\r\n");
    expect(fd, 200, "GET /a q=1 body=");
    say(fd, "BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "OTHER /pot q= body=");
    close(fd);
    end(f);
}

static void headers_are_found_in_any_case_and_cannot_be_split(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    int fd = dial(f->port);
    say(fd, "GET / HTTP/1.1\r\nHost: x\r\nX-PING: a\tb\r\n\r\n");
    struct answer a = hear(fd, true);
    assert_non_null(strstr(a.head.p, "X-Echo: a b\r\n"));
    answer_free(&a);
    close(fd);
    end(f);
}

static void chunked_bodies_are_put_together(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    int fd = dial(f->port);
    say(fd, "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    expect(fd, 200, "POST /c q= body=abcdefg");
    close(fd);
    end(f);
}

static void a_big_reply_comes_whole(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    int fd = dial(f->port);
    for (int i = 0; i < 3; i++) {
        say(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
        struct answer a = hear(fd, true);
        assert_int_equal(a.body.n, 1000000);
        answer_free(&a);
    }
    close(fd);
    end(f);
}

// ---- streams ----

// The chunks of one answer, put together; false when the connection broke off before the last.
static bool hear_chunks(int fd, struct buf *out) {
    for (;;) {
        char line[32], c;
        size_t n = 0;
        while (n + 1 < sizeof(line) && recv(fd, &c, 1, 0) == 1 && c != '\n')
            line[n++] = c;
        line[n] = '\0';
        if (n == 0)
            return false;
        size_t left = strtoul(line, NULL, 16);
        bool last = left == 0;
        for (left += 2; left > 0; left--) {
            if (recv(fd, &c, 1, 0) != 1)
                return false;
            if (left > 2)
                buf_add_char(out, c);
        }
        if (last)
            return true;
    }
}

static void a_stream_comes_piece_by_piece(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    int fd = dial(f->port);
    for (int round = 0; round < 2; round++) { // the connection serves the next request, too
        atomic_store(&f->asked, 0);
        say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
        struct answer a = hear(fd, false);
        assert_int_equal(a.status, 200);
        assert_non_null(strcasestr(a.head.p, "transfer-encoding: chunked"));
        assert_true(hear_chunks(fd, &a.body));
        assert_string_equal(a.body.p, "begin\npiece 0\npiece 1\npiece 2\n");
        answer_free(&a);
    }
    close(fd);
    end(f);
}

static void wait_until(struct fixture *f, _Atomic int *what, int is) {
    (void)f;
    int64_t until = clock_mono(&clock_system).ns + INT64_C(20000000000);
    while (atomic_load(what) != is && clock_mono(&clock_system).ns < until)
        poll(NULL, 0, 1);
    assert_int_equal(atomic_load(what), is);
}

// Until it has not changed for a while.
static int come_to_rest(_Atomic int *what) {
    int before = -1;
    for (int same = 0; same < 300; poll(NULL, 0, 1)) {
        int now = atomic_load(what);
        same = now == before ? same + 1 : 0;
        before = now;
    }
    return before;
}

static void a_slow_reader_is_not_read_ahead_of(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    int slow = dial(f->port), fd = dial(f->port);
    say(slow, "GET /stream-fast HTTP/1.1\r\nHost: x\r\n\r\n");
    int asked = come_to_rest(&f->asked);
    assert_true(asked > 0 && asked < 200); // 100 KB each: what the kernel holds, and one
    say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "GET /a q= body="); // nobody else waits
    char waste[65536];
    for (size_t left = 8 << 20; left > 0;) {
        ssize_t n = recv(slow, waste, sizeof(waste) < left ? sizeof(waste) : left, 0);
        assert_true(n > 0);
        left -= (size_t)n;
    }
    assert_true(come_to_rest(&f->asked) > asked);
    close(slow);
    wait_until(f, &f->ended, 2);
    assert_int_equal(atomic_load(&f->unsent), 1);
    close(fd);
    end(f);
}

static void a_client_that_left_its_stream_is_noticed_when_it_is_resumed(void **state) {
    (void)state;
    for (int half = 0; half < 2; half++) {
        struct fixture *f = begin(NULL);
        f->hold = true;
        atomic_store(&f->asked, 1);
        int fd = dial(f->port);
        say(fd, "GET /stream-wait HTTP/1.1\r\nHost: x\r\n\r\n");
        wait_until(f, &f->asked, 2);
        if (half)
            shutdown(fd, SHUT_WR);
        else
            close(fd);
        pthread_mutex_lock(&f->lock);
        f->hold = false;
        pthread_cond_broadcast(&f->more);
        pthread_mutex_unlock(&f->lock);
        wait_until(f, &f->ended, 1);
        assert_int_equal(atomic_load(&f->unsent), 1);
        if (half)
            close(fd);
        end(f);
    }
}

static void streams_that_wait_do_not_hold_up_the_stop(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    f->hold = true;
    int waiting[20], busy = dial(f->port);
    for (int i = 0; i < 20; i++) {
        atomic_store(&f->asked, 1);
        waiting[i] = dial(f->port);
        say(waiting[i], "GET /stream-wait HTTP/1.1\r\nHost: x\r\n\r\n");
        wait_until(f, &f->asked, 2);
    }
    say(busy, "GET /stream-fast HTTP/1.1\r\nHost: x\r\n\r\n");
    struct answer a = hear(busy, false);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    http_server_stop(f->server, 50);
    f->server = NULL;
    for (int i = 0; i < 20; i++) {
        struct answer b = hear(waiting[i], false);
        assert_int_equal(b.status, 200);
        assert_false(hear_chunks(waiting[i], &b.body)); // it broke off, and the client can tell
        answer_free(&b);
        close(waiting[i]);
    }
    close(busy);
    pthread_mutex_lock(&f->lock);
    f->hold = false;
    pthread_cond_broadcast(&f->more);
    pthread_mutex_unlock(&f->lock);
    wait_until(f, &f->ended, 21);
    end(f);
}

static void a_call_may_wait_again(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    int fd = dial(f->port);
    for (int i = 0; i < 100; i++) {
        say(fd, "GET /twice HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(fd, 202, "resumed");
    }
    close(fd);
    end(f);
}

// ---- later ----

struct later_client {
    pthread_t thread;
    int port;
    int good;
};

#define LATER_ROUNDS 200

static void *later_main(void *arg) {
    struct later_client *c = arg;
    int fd = dial(c->port);
    for (int i = 0; i < LATER_ROUNDS; i++) {
        const char *path = i % 5 == 4 ? "/at-once" : "/later";
        char text[128];
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
        push(fd, text, strlen(text));
        struct answer a = hear(fd, true);
        c->good += a.status == 202;
        answer_free(&a);
    }
    close(fd);
    return NULL;
}

static void later_is_resumed_from_another_thread(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    struct later_client clients[8] = {{0}};
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        clients[i].port = f->port;
        pthread_create(&clients[i].thread, NULL, later_main, &clients[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        pthread_join(clients[i].thread, NULL);
        assert_int_equal(clients[i].good, LATER_ROUNDS);
    }
    http_server_stop(f->server, 2000);
    f->server = NULL;
    assert_int_equal(f->handled, f->ended);
    assert_int_equal(f->unsent, 0);
    end(f);
}

static void wait_for_later(struct fixture *f, size_t n) {
    pthread_mutex_lock(&f->lock);
    while (f->n_later < n)
        pthread_cond_wait(&f->more, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

static void a_client_that_left_while_waiting_harms_nobody(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    f->hold = true;
    int fd = dial(f->port);
    say(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for_later(f, 1);
    struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    http_resume(f->later[0]);
    f->n_later = 0;
    end(f);
}

static void *stop_main(void *arg) {
    struct fixture *f = arg;
    http_server_stop(f->server, 20000);
    f->server = NULL;
    return NULL;
}

static void a_stop_waits_for_what_is_in_work(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    f->hold = true;
    int fd = dial(f->port);
    say(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for_later(f, 1);
    pthread_t stopping;
    pthread_create(&stopping, NULL, stop_main, f);
    // newcomers are refused while the old one is being worked on
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (;;) {
        int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int rc = connect(late, (struct sockaddr *)&at, sizeof(at));
        close(late);
        if (rc != 0)
            break;
    }
    pthread_mutex_lock(&f->lock);
    f->hold = false;
    pthread_cond_broadcast(&f->more);
    pthread_mutex_unlock(&f->lock);
    struct answer a = hear(fd, true);
    assert_int_equal(a.status, 202);
    assert_non_null(strcasestr(a.head.p, "connection: close"));
    answer_free(&a);
    assert_true(closed(fd));
    pthread_join(stopping, NULL);
    close(fd);
    end(f);
}

static void a_stop_that_cannot_wait_abandons_and_the_late_resume_ends_it(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    f->hold = true;
    int fd[8];
    for (int i = 0; i < 8; i++) {
        fd[i] = dial(f->port);
        say(fd[i], "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    wait_for_later(f, 8);
    http_server_stop(f->server, 0);
    f->server = NULL;
    assert_int_equal(f->ended, 0);
    for (int i = 0; i < 8; i++) {
        assert_true(closed(fd[i]));
        close(fd[i]);
        http_resume(f->later[i]);
    }
    f->n_later = 0;
    assert_int_equal(f->ended, 8);
    assert_int_equal(f->unsent, 8);
    end(f);
}

// ---- a hostile one ----

static void a_body_of_10_mb_is_refused_before_it_is_read(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    // asks first, as clients with large bodies do
    int fd = dial(f->port);
    say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10485760\r\nExpect: 100-continue\r\n\r\n");
    expect(fd, 413, "ours: the body is too large");
    assert_true(closed(fd));
    close(fd);
    // or sends it all the same: it still sees the answer, not a reset
    fd = dial(f->port);
    say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10485760\r\n\r\n");
    size_t n = 10 << 20;
    char *body = xcalloc(1, n);
    assert_int_equal(push(fd, body, n), n);
    expect(fd, 413, "ours: the body is too large");
    free(body);
    close(fd);
    // a length beyond all numbers
    fd = dial(f->port);
    say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n");
    struct answer a = hear(fd, true);
    assert_true(a.status == 413 || a.status == 400);
    answer_free(&a);
    close(fd);
    assert_int_equal(f->handled, 0);
    end(f);
}

static void a_chunked_body_is_bounded(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    int fd = dial(f->port);
    say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    char chunk[4096 + 16];
    int head = snprintf(chunk, sizeof(chunk), "1000\r\n");
    memset(chunk + head, 'x', 4096);
    memcpy(chunk + head + 4096, "\r\n", 3);
    for (int i = 0; i < 256; i++) // 1 MiB
        assert_true(push(fd, chunk, (size_t)head + 4098) > 0);
    say(fd, "0\r\n\r\n");
    expect(fd, 413, "ours: the body is too large");
    close(fd);
    assert_int_equal(f->handled, 0);
    end(f);
}

static void large_bodies(struct http_server_options *o) {
    o->large_prefix = "/admin/v1/";
    o->large_body_max = 200000;
}

static void large_bodies_are_taken_where_allowed(void **state) {
    (void)state;
    struct fixture *f = begin(large_bodies);
    static char text[100000 + 256];
    const char *paths[] = {"/admin/v1/x", "/other"};
    for (int i = 0; i < 2; i++) {
        int fd = dial(f->port);
        int n = snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", paths[i]);
        memset(text + n, 'x', 100000);
        assert_true(push(fd, text, (size_t)n + 100000) > 0);
        struct answer a = hear(fd, true);
        assert_int_equal(a.status, i == 0 ? 200 : 413);
        assert_true(i == 1 || a.body.n > 100000);
        answer_free(&a);
        close(fd);
    }
    end(f);
}

static void headers_are_bounded(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    static char text[110000];
    const struct {
        size_t size;
        int status;
        const char *body; // NULL: the library's own page
    } cases[] = {{12000, 200, "GET / q= body="}, {20000, 431, "ours: the request line and headers are too large"}, {100000, 431, NULL}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = dial(f->port);
        int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\nX-Long: ");
        memset(text + n, 'x', cases[i].size);
        memcpy(text + (size_t)n + cases[i].size, "\r\n\r\n", 5);
        push(fd, text, (size_t)n + cases[i].size + 4);
        struct answer a = hear(fd, true);
        assert_int_equal(a.status, cases[i].status);
        if (cases[i].body)
            assert_string_equal(a.body.p, cases[i].body);
        if (cases[i].status != 200)
            assert_true(closed(fd));
        answer_free(&a);
        close(fd);
    }
    // many small ones, and an endless request line
    int fd = dial(f->port);
    say(fd, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 5000 && push(fd, "A: b\r\n", 6) == 6; i++)
        ;
    push(fd, "\r\n", 2);
    struct answer a = hear(fd, true);
    assert_int_equal(a.status, 431);
    answer_free(&a);
    close(fd);
    fd = dial(f->port);
    memset(text, 'x', sizeof(text));
    memcpy(text, "GET /", 5);
    push(fd, text, sizeof(text));
    a = hear(fd, true);
    assert_int_equal(a.status, 414);
    answer_free(&a);
    close(fd);
    // and the server is well
    fd = dial(f->port);
    say(fd, "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "GET /ok q= body=");
    close(fd);
    end(f);
}

// Sends one byte a second on the server's clock until it is cut off, which is due at `due`. Returns the seconds it took.
static int trickle(struct fixture *f, int fd, const char *text, int due) {
    for (int s = 1; s < 1000; s++) {
        if (send(fd, text + s % strlen(text), 1, MSG_NOSIGNAL) != 1)
            return s;
        clock_manual_advance(&f->time, 1000);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        // real time for the janitor to look; short as long as nothing is due
        if (poll(&p, 1, s >= due ? 1000 : 2) == 1)
            return s;
    }
    return 1000;
}

static void a_client_of_one_byte_a_second_is_cut_off(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    const char *starts[] = {
        "",                                                                // never even a request line
        "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",                           // headers
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n",     // body
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" // body, and not even a chunk
    };
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        int fd = dial(f->port);
        while (http_server_connections(f->server) != 1)
            sched_yield();
        say(fd, starts[i]);
        int seconds = trickle(f, fd, i == 3 ? "0" : "abcdefghijklmnop", 30);
        assert_in_range(seconds, 28, 40);
        close(fd);
        while (http_server_connections(f->server) != 0)
            sched_yield();
    }
    assert_int_equal(f->handled, 0);
    end(f);
}

static void a_second_request_may_not_dawdle_either(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    int fd = dial(f->port);
    say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "GET / q= body=");
    assert_in_range(trickle(f, fd, "GET", 75 + 30), 29, 75 + 30 + 5);
    close(fd);
    end(f);
}

static void waiting_for_an_answer_is_not_dawdling(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    f->hold = true;
    int fd = dial(f->port), slow = dial(f->port);
    say(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for_later(f, 1);
    say(slow, "GET");
    clock_manual_advance(&f->time, 3600 * 1000);
    assert_true(closed(slow)); // so the janitor has been round
    http_resume(f->later[0]);
    f->n_later = 0;
    expect(fd, 202, "resumed");
    close(fd);
    close(slow);
    end(f);
}

static int64_t cpu_ms(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

static void one_thread(struct http_server_options *o) {
    o->threads = 1;
}

// As many as the library takes from epoll in one call: it must not sleep then until another one comes.
static void clients_that_all_ask_at_the_same_moment_are_all_answered(void **state) {
    (void)state;
    struct fixture *f = begin(one_thread);
    int fd[128], holder = dial(f->port);
    for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
        fd[i] = dial(f->port);
        say(fd[i], "GET /first HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(fd[i], 200, "GET /first q= body=");
    }
    f->hold = true;
    int before = atomic_load(&f->handled);
    say(holder, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    while (atomic_load(&f->handled) == before)
        sched_yield();
    for (size_t i = 0; i < ARRAY_LEN(fd); i++)
        say(fd[i], "GET /again HTTP/1.1\r\nHost: x\r\n\r\n");
    pthread_mutex_lock(&f->lock);
    f->hold = false;
    pthread_cond_broadcast(&f->more);
    pthread_mutex_unlock(&f->lock);
    expect(holder, 200, "GET /hold q= body=");
    for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
        expect(fd[i], 200, "GET /again q= body=");
        close(fd[i]);
    }
    close(holder);
    end(f);
}

static void clients_that_stand_still_cost_nothing(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    static const char *const starts[] = {
        "",
        "GET /",
        "GET / HTTP/1.1\r\nHost: x\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        "GET /later HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /huge HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    };
    int fd[ARRAY_LEN(starts)];
    f->hold = true;
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        fd[i] = dial(f->port);
        say(fd[i], starts[i]);
    }
    wait_for_later(f, 1);
    char c;
    assert_int_equal(recv(fd[6], &c, 1, 0), 1);
    assert_int_equal(recv(fd[7], &c, 1, 0), 1);
    int64_t before = cpu_ms();
    struct pollfd p = {.fd = fd[5], .events = POLLIN};
    assert_int_equal(poll(&p, 1, 400), 0);
    assert_true(cpu_ms() - before < 200);
    http_resume(f->later[0]);
    f->n_later = 0;
    expect(fd[5], 202, "resumed");
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        close(fd[i]);
    end(f);
}

static void a_client_that_does_not_take_its_answer_is_cut_off(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    int fd = dial(f->port);
    say(fd, "GET /huge HTTP/1.1\r\nHost: x\r\n\r\n"); // more than the kernel's buffers hold
    char c;
    assert_int_equal(recv(fd, &c, 1, 0), 1);
    for (int s = 0; s < 7200 && atomic_load(&f->ended) == 0; s++) {
        clock_manual_advance(&f->time, 60000);
        poll(NULL, 0, 5);
    }
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->unsent, 1);
    close(fd);
    end(f);
}

static void what_is_not_http_is_refused(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    const char *wrong[] = {
        "\r\n\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nAccept",
        "\x16\x03\x01\x02\x01\x01\xfc\x03\x03\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n", // no Host
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        int fd = dial(f->port);
        errno = 0;
        say(fd, wrong[i]);
        shutdown(fd, SHUT_WR);
        struct answer a = hear(fd, true);
        assert_int_not_equal(errno, EAGAIN); // it does not have to wait for a time-out
        assert_true(a.status == 0 || a.status >= 400);
        answer_free(&a);
        close(fd);
    }
    assert_int_equal(f->handled, 0);
    end(f);
}

static void a_client_that_only_ended_its_side_gets_its_answer(void **state) {
    (void)state;
    struct fixture *f = begin(NULL);
    int fd = dial(f->port);
    say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
    shutdown(fd, SHUT_WR);
    expect(fd, 200, "POST /a q= body=hi");
    assert_true(closed(fd));
    close(fd);
    f->hold = true;
    fd = dial(f->port);
    say(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    shutdown(fd, SHUT_WR);
    wait_for_later(f, 1);
    // meanwhile the janitor goes round often enough to find the end of another one
    int other = dial(f->port);
    say(other, "GET");
    shutdown(other, SHUT_WR);
    assert_true(closed(other));
    close(other);
    // A connection that is woken in the same turn as another has news is read before it is answered, and its end found: the library then
    // closes it. So that one is to be gone.
    while (http_server_connections(f->server) > 1)
        sched_yield();
    http_resume(f->later[0]);
    f->n_later = 0;
    expect(fd, 202, "resumed");
    close(fd);
    end(f);
}

static void few_connections(struct http_server_options *o) {
    o->connections_max = 10;
}

static void connections_beyond_the_limit_are_refused(void **state) {
    (void)state;
    struct fixture *f = begin(few_connections);
    int fd[11];
    for (int i = 0; i < 10; i++) {
        fd[i] = dial(f->port);
        say(fd[i], "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(fd[i], 200, "GET / q= body=");
    }
    fd[10] = dial(f->port);
    assert_true(closed(fd[10]));
    close(fd[0]);
    while (http_server_connections(f->server) > 9)
        sched_yield();
    close(fd[10]);
    fd[10] = dial(f->port);
    say(fd[10], "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd[10], 200, "GET / q= body=");
    for (int i = 1; i < 11; i++)
        close(fd[i]);
    end(f);
}

// ---- TLS ----

static char tls_cert[256], tls_key[256];

static void with_tls(struct http_server_options *o) {
    o->tls_cert = tls_cert;
    o->tls_key = tls_key;
}

static void file_of(char path[256], const char *name) {
    const char *parent = getenv("TMPDIR");
    snprintf(path, 256, "%s/http_test.%s.XXXXXX", parent ? parent : "/tmp", name);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

static void write_certificate(void) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    assert_true(key && cert);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    file_of(tls_cert, "cert");
    file_of(tls_key, "key");
    FILE *out = fopen(tls_cert, "w");
    assert_int_equal(PEM_write_X509(out, cert), 1);
    fclose(out);
    out = fopen(tls_key, "w");
    assert_int_equal(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(out);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void tls_serves_and_plain_text_on_it_does_not(void **state) {
    (void)state;
    write_certificate();
    struct fixture *f = begin(with_tls);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_load_verify_locations(ctx, tls_cert, NULL), 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    int fd = dial(f->port);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    assert_int_equal(SSL_connect(ssl), 1);
    for (int i = 0; i < 10; i++) {
        const char *request =
            i % 2 ? "GET /later HTTP/1.1\r\nHost: x\r\n\r\n" : "POST /t HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
        char text[2048] = "";
        size_t n = 0;
        assert_int_equal(SSL_write(ssl, request, (int)strlen(request)), strlen(request));
        while (!strstr(text, i % 2 ? "resumed" : "body=hi")) {
            int got = SSL_read(ssl, text + n, (int)(sizeof(text) - 1 - n));
            assert_true(got > 0);
            n += (size_t)got;
            text[n] = '\0';
        }
    }
    SSL_shutdown(ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    fd = dial(f->port);
    say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    struct answer a = hear(fd, true);
    assert_int_not_equal(a.status, 200);
    answer_free(&a);
    close(fd);
    while (http_server_connections(f->server) != 0)
        sched_yield();
    // a handshake that never ends costs nothing, and then the client is cut off
    fd = dial(f->port);
    say(fd, "\x16\x03\x01");
    while (http_server_connections(f->server) != 1)
        sched_yield();
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t before = cpu_ms();
    assert_int_equal(poll(&p, 1, 400), 0);
    assert_true(cpu_ms() - before < 200);
    clock_manual_advance(&f->time, 31000);
    assert_true(closed(fd));
    close(fd);
    assert_int_equal(f->handled, 10);
    end(f);
    remove(tls_cert);
    remove(tls_key);
}

static void tls_needs_its_files(void **state) {
    (void)state;
    struct http_server_options o;
    struct http_server *server = NULL;
    struct err err = {0};
    http_server_options_default(&o);
    o.tls_cert = "/nonexistent";
    assert_int_equal(http_server_start(&o, &server, &err), ERR_INVALID);
    o.tls_key = "/nonexistent";
    assert_int_equal(http_server_start(&o, &server, &err), ERR_INVALID);
    assert_non_null(strstr(err_first(&err), "/nonexistent"));
    assert_null(server);
}

static void ten_thousand_connections_are_served(void **state) {
    (void)state;
    // Two processes, because each end of a connection takes a descriptor. The child is forked before there are threads.
    int n = 10000, to_child[2], from_child[2];
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_max < (rlim_t)n + 300)
        n = (int)files.rlim_max - 300;
    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(from_child), 0);
    pid_t child = fork();
    if (child == 0) {
        int port, good = 0;
        close(to_child[1]);
        close(from_child[0]);
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        int *fd = xcalloc((size_t)n, sizeof(int));
        if (read(to_child[0], &port, sizeof(port)) != sizeof(port))
            _exit(1);
        for (int i = 0; i < n; i++)
            fd[i] = dial(port);
        static const char request[] = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < n; i++)
                push(fd[i], request, sizeof(request) - 1);
            for (int i = 0; i < n; i++) {
                char text[1024] = "";
                good += recv(fd[i], text, sizeof(text), 0) > 0 && strncmp(text, "HTTP/1.1 200", 12) == 0;
            }
        }
        if (write(from_child[1], &good, sizeof(good)) != sizeof(good) || read(to_child[0], &port, 1) < 0)
            _exit(1);
        _exit(0);
    }
    struct fixture *f = begin(NULL);
    assert_int_equal(write(to_child[1], &f->port, sizeof(f->port)), sizeof(f->port));
    int good = 0;
    assert_int_equal(read(from_child[0], &good, sizeof(good)), sizeof(good));
    assert_int_equal(good, 2 * n);
    assert_int_equal(http_server_connections(f->server), n);
    close(to_child[1]);
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    close(to_child[0]);
    close(from_child[0]);
    close(from_child[1]);
    end(f);
}

int main(void) {
    log_threshold = LOG_ERROR;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_connections_are_served), // first: it forks
        cmocka_unit_test(keep_alive_serves_many_requests),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(head_has_the_length_and_no_body),
        cmocka_unit_test(paths_arrive_as_they_were_sent),
        cmocka_unit_test(headers_are_found_in_any_case_and_cannot_be_split),
        cmocka_unit_test(chunked_bodies_are_put_together),
        cmocka_unit_test(a_big_reply_comes_whole),
        cmocka_unit_test(a_stream_comes_piece_by_piece),
        cmocka_unit_test(a_slow_reader_is_not_read_ahead_of),
        cmocka_unit_test(a_client_that_left_its_stream_is_noticed_when_it_is_resumed),
        cmocka_unit_test(streams_that_wait_do_not_hold_up_the_stop),
        cmocka_unit_test(a_call_may_wait_again),

        cmocka_unit_test(later_is_resumed_from_another_thread),
        cmocka_unit_test(a_client_that_left_while_waiting_harms_nobody),
        cmocka_unit_test(a_stop_waits_for_what_is_in_work),
        cmocka_unit_test(a_stop_that_cannot_wait_abandons_and_the_late_resume_ends_it),
        cmocka_unit_test(a_body_of_10_mb_is_refused_before_it_is_read),
        cmocka_unit_test(a_chunked_body_is_bounded),
        cmocka_unit_test(large_bodies_are_taken_where_allowed),
        cmocka_unit_test(headers_are_bounded),
        cmocka_unit_test(a_client_of_one_byte_a_second_is_cut_off),
        cmocka_unit_test(a_second_request_may_not_dawdle_either),
        cmocka_unit_test(waiting_for_an_answer_is_not_dawdling),
        cmocka_unit_test(clients_that_all_ask_at_the_same_moment_are_all_answered),
        cmocka_unit_test(clients_that_stand_still_cost_nothing),
        cmocka_unit_test(a_client_that_does_not_take_its_answer_is_cut_off),
        cmocka_unit_test(tls_serves_and_plain_text_on_it_does_not),
        cmocka_unit_test(tls_needs_its_files),
        cmocka_unit_test(what_is_not_http_is_refused),
        cmocka_unit_test(a_client_that_only_ended_its_side_gets_its_answer),
        cmocka_unit_test(connections_beyond_the_limit_are_refused),
    };
    cmocka_set_test_filter(getenv("ONLY")); // ONLY=name runs one
    return cmocka_run_group_tests(tests, NULL, NULL);
}
