// SPDX-License-Identifier: Apache-2.0
/*
 * The client against a server of few lines that does to it what receivers do, and worse.
 */
#include "http/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/testing.h"

#define REQUEST_MAX 8192
#define HELD_MAX 64

// ---- a receiver ----

struct receiver {
    int fd, port;
    pthread_t thread;
    const char *answer; // sent as it is; NULL: nothing, and the connection stays open
    bool endless;       // then more of the body, without an end
    _Atomic int accepted;
    char request[REQUEST_MAX]; // the last one
    int held[HELD_MAX], n_held;
};

static size_t length_of_body(const char *request) {
    const char *p = strstr(request, "Content-Length: ");
    return p ? (size_t)strtoul(p + 16, NULL, 10) : 0;
}

static void read_request(struct receiver *r, int fd) {
    size_t n = 0;
    for (;;) {
        ssize_t got = recv(fd, r->request + n, sizeof r->request - 1 - n, 0);
        if (got <= 0)
            return;
        n += (size_t)got;
        r->request[n] = '\0';
        if (r->request[0] == 0x16) // the client begins with TLS
            return;
        char *end = strstr(r->request, "\r\n\r\n");
        if (end && n >= (size_t)(end + 4 - r->request) + length_of_body(r->request))
            return;
    }
}

static void *receive(void *arg) {
    struct receiver *r = arg;
    for (;;) {
        int fd = accept(r->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        atomic_fetch_add(&r->accepted, 1);
        if (!r->answer) {
            assert_true(r->n_held < HELD_MAX);
            r->held[r->n_held++] = fd;
            continue;
        }
        read_request(r, fd);
        send(fd, r->answer, strlen(r->answer), MSG_NOSIGNAL);
        static const char block[4096] = {'x'};
        while (r->endless && send(fd, block, sizeof block, MSG_NOSIGNAL) > 0) {
        }
        close(fd);
    }
}

static void receiver_begin(struct receiver *r, const char *answer) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    *r = (struct receiver){.answer = answer};
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(r->fd >= 0);
    assert_int_equal(bind(r->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(r->fd, 64), 0);
    assert_int_equal(getsockname(r->fd, (struct sockaddr *)&at, &size), 0);
    r->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&r->thread, NULL, receive, r), 0);
}

static void receiver_end(struct receiver *r) {
    shutdown(r->fd, SHUT_RDWR);
    pthread_join(r->thread, NULL);
    close(r->fd);
    for (int i = 0; i < r->n_held; i++)
        close(r->held[i]);
}

// ---- calls ----

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int done;
    struct http_answer_got got; // of the last
    char body[ANSWER_KEPT];
};

static void on_done(void *ctx, const struct http_answer_got *got) {
    struct waiting *w = ctx;
    pthread_mutex_lock(&w->lock);
    w->got = *got;
    memcpy(w->body, got->body.p, got->body.n);
    w->got.body.p = w->body;
    w->done++;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static void wait_for(struct waiting *w, int n) {
    pthread_mutex_lock(&w->lock);
    while (w->done < n)
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

#define WAITING                                                                                                                            \
    { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER }

static struct http_client *client_new(bool private_targets, int calls_max) {
    struct http_client *c;
    struct err err = {0};
    struct http_client_options o = {
        .calls_max = calls_max, .private_targets = private_targets, .user_agent = "topupd-test", .clock = &clock_system};
    assert_int_equal(http_client_open(&o, &c, &err), ERR_NONE);
    return c;
}

static enum err_kind send_to(struct http_client *c, const char *url, int timeout_ms, struct waiting *w) {
    struct err err = {0};
    struct http_request r = {.method = "POST",
                             .url = url,
                             .header = {{"Content-Type", "application/json"}, {"webhook-id", "evt_1"}},
                             .n_headers = 2,
                             .body = STR("{\"a\":1}"),
                             .timeout_ms = timeout_ms,
                             .done = on_done,
                             .ctx = w};
    return http_client_send(c, &r, &err);
}

static struct http_answer_got call_url(const char *url, bool private_targets, int timeout_ms) {
    struct http_client *c = client_new(private_targets, 4);
    struct waiting w = WAITING;
    assert_int_equal(send_to(c, url, timeout_ms, &w), ERR_NONE);
    wait_for(&w, 1);
    http_client_close(c);
    assert_int_equal(w.done, 1);
    w.got.body = STR("");
    return w.got;
}

static const char *url_of(const struct receiver *r, const char *before, const char *path) {
    static char url[256];
    snprintf(url, sizeof url, "http://%s127.0.0.1:%d%s", before, r->port, path);
    return url;
}

static void client_sends_what_was_asked_and_keeps_the_beginning_of_the_answer(void **state UNUSED) {
    struct receiver r;
    receiver_begin(&r, "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nRetry-After: 30\r\n\r\nhello");
    struct http_client *c = client_new(true, 4);
    struct waiting w = WAITING;
    assert_int_equal(send_to(c, url_of(&r, "user:p%40ss@", "/hook?a=b"), 5000, &w), ERR_NONE);
    wait_for(&w, 1);
    assert_int_equal(w.got.how, HTTP_ANSWERED);
    assert_int_equal(w.got.status, 201);
    assert_int_equal(w.got.retry_after_s, 30);
    assert_true(str_is(w.got.body, "hello"));
    assert_true(w.got.duration_us > 0);
    http_client_close(c);
    receiver_end(&r);
    assert_ptr_equal(strstr(r.request, "POST /hook?a=b HTTP/1.1\r\n"), r.request);
    assert_non_null(strstr(r.request, "\r\nAuthorization: Basic dXNlcjpwQHNz\r\n")); // user:p@ss
    assert_non_null(strstr(r.request, "\r\nwebhook-id: evt_1\r\n"));
    assert_non_null(strstr(r.request, "\r\nUser-Agent: topupd-test\r\n"));
    assert_non_null(strstr(r.request, "\r\n\r\n{\"a\":1}"));
    assert_null(strstr(r.request, "Expect:"));
    assert_null(strstr(r.request, "Accept-Encoding:"));
}

static void client_does_not_follow_redirects(void **state UNUSED) {
    struct receiver there, here;
    char answer[256];
    receiver_begin(&there, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    snprintf(answer, sizeof answer, "HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n", there.port);
    receiver_begin(&here, answer);
    struct http_answer_got got = call_url(url_of(&here, "", "/"), true, 5000);
    assert_int_equal(got.how, HTTP_ANSWERED);
    assert_int_equal(got.status, 307);
    receiver_end(&here);
    receiver_end(&there);
    assert_int_equal(there.accepted, 0);
}

static void client_cuts_an_endless_answer_off_and_takes_its_status(void **state UNUSED) {
    struct receiver r;
    receiver_begin(&r, "HTTP/1.1 200 OK\r\n\r\n");
    r.endless = true;
    struct http_answer_got got = call_url(url_of(&r, "", "/"), true, 10000);
    assert_int_equal(got.how, HTTP_ANSWERED);
    assert_int_equal(got.status, 200);
    receiver_end(&r);
}

static void client_gives_up_on_silence(void **state UNUSED) {
    struct receiver r;
    receiver_begin(&r, NULL);
    struct http_answer_got got = call_url(url_of(&r, "", "/"), true, 200);
    assert_int_equal(got.how, HTTP_TIMED_OUT);
    assert_int_equal(got.status, 0);
    assert_true(got.duration_us >= 150000 && got.duration_us < 5000000);
    receiver_end(&r);
}

static void client_says_what_went_wrong(void **state UNUSED) {
    struct receiver r;
    receiver_begin(&r, "SMTP? 220 hello\r\n\r\n");
    assert_int_equal(call_url(url_of(&r, "", "/"), true, 5000).how, HTTP_BROKEN);
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", r.port);
    assert_int_equal(call_url(url, true, 5000).how, HTTP_NO_TLS);
    receiver_end(&r);
    assert_int_equal(call_url(url_of(&r, "", "/"), true, 5000).how, HTTP_NO_CONNECTION); // nobody listens there now
    // Whether the name server says no or says nothing.
    struct http_answer_got got = call_url("http://name.invalid/", true, 300);
    assert_int_equal(got.how, HTTP_NO_ADDRESS);
    assert_true(got.duration_us < 3000000);
    assert_int_equal(call_url("ftp://127.0.0.1/", true, 5000).how, HTTP_TARGET_REFUSED);
    assert_int_equal(call_url("file:///etc/passwd", true, 5000).how, HTTP_TARGET_REFUSED);
    assert_int_equal(call_url("http://", true, 5000).how, HTTP_TARGET_REFUSED);
}

// Loopback however it is written: as an address, by a name that resolves to it, in the forms that inet_aton takes.
static void client_refuses_private_targets_before_it_connects(void **state UNUSED) {
    struct receiver r;
    receiver_begin(&r, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    static const char *const hosts[] = {"127.0.0.1",  "localhost",          "127.1",  "2130706433", "0x7f000001",
                                        "0177.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0"};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        char url[64];
        snprintf(url, sizeof url, "http://%s:%d/", hosts[i], r.port);
        enum http_ending how = call_url(url, false, 5000).how;
        if (how != HTTP_TARGET_REFUSED)
            fail_msg("%s: %s", hosts[i], http_ending_text(how));
    }
    receiver_end(&r);
    assert_int_equal(r.accepted, 0);
}

static void client_takes_no_proxy_from_the_environment(void **state UNUSED) {
    struct receiver proxy, r;
    char address[64];
    receiver_begin(&proxy, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    receiver_begin(&r, "HTTP/1.1 204 No Content\r\n\r\n");
    snprintf(address, sizeof address, "http://127.0.0.1:%d", proxy.port);
    setenv("http_proxy", address, 1);
    assert_int_equal(call_url(url_of(&r, "", "/"), true, 5000).status, 204);
    unsetenv("http_proxy");
    receiver_end(&r);
    receiver_end(&proxy);
    assert_int_equal(proxy.accepted, 0);
}

static void client_calls_at_once_are_bounded_and_one_that_hangs_holds_up_nobody(void **state UNUSED) {
    struct receiver silent, quick;
    receiver_begin(&silent, NULL);
    receiver_begin(&quick, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    struct http_client *c = client_new(true, 4);
    struct waiting slow = WAITING, fast = WAITING;
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_to(c, url_of(&silent, "", "/"), 60000, &slow), ERR_NONE);
    for (int i = 1; i <= 20; i++) {
        assert_int_equal(send_to(c, url_of(&quick, "", "/"), 5000, &fast), ERR_NONE);
        wait_for(&fast, i);
        assert_int_equal(fast.got.status, 200);
    }
    assert_int_equal(send_to(c, url_of(&silent, "", "/"), 60000, &slow), ERR_NONE);
    assert_int_equal(send_to(c, url_of(&quick, "", "/"), 5000, &fast), ERR_BUSY);
    assert_int_equal(slow.done, 0);
    http_client_close(c); // all that hang are answered
    assert_int_equal(slow.done, 4);
    assert_int_equal(slow.got.how, HTTP_STOPPED);
    receiver_end(&quick);
    receiver_end(&silent);
}

struct sender {
    struct http_client *c;
    struct waiting *w;
    char url[256];
    _Atomic int sent;
};

static void *send_many(void *arg) {
    struct sender *s = arg;
    for (int i = 0; i < 50; i++)
        if (send_to(s->c, s->url, 5000, s->w) == ERR_NONE)
            atomic_fetch_add(&s->sent, 1);
    return NULL;
}

static void client_answers_each_call_once_also_when_it_is_closed(void **state UNUSED) {
    struct receiver r;
    receiver_begin(&r, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    struct http_client *c = client_new(true, 100);
    struct waiting w = WAITING;
    struct sender s = {.c = c, .w = &w};
    snprintf(s.url, sizeof s.url, "%s", url_of(&r, "", "/"));
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, &s), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    http_client_close(c);
    assert_true(s.sent > 0);
    assert_int_equal(w.done, s.sent);
    receiver_end(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_sends_what_was_asked_and_keeps_the_beginning_of_the_answer),
        cmocka_unit_test(client_does_not_follow_redirects),
        cmocka_unit_test(client_cuts_an_endless_answer_off_and_takes_its_status),
        cmocka_unit_test(client_gives_up_on_silence),
        cmocka_unit_test(client_says_what_went_wrong),
        cmocka_unit_test(client_refuses_private_targets_before_it_connects),
        cmocka_unit_test(client_takes_no_proxy_from_the_environment),
        cmocka_unit_test(client_calls_at_once_are_bounded_and_one_that_hangs_holds_up_nobody),
        cmocka_unit_test(client_answers_each_call_once_also_when_it_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
