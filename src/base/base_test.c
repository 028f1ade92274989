// SPDX-License-Identifier: Apache-2.0
#include "base/base.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/testing.h"

// Runs `f` in a child whose standard error is read: how it ended, and what it said first.
static int in_child(void (*f)(void), char *said, size_t size) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit no_core = {0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        f();
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    ssize_t got;
    while (n < size - 1 && (got = read(ends[0], said + n, size - 1 - n)) > 0) {
        n += (size_t)got;
    }
    said[n] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void fails(void) {
    int one = 1;
    CHECK(one == 2);
}

static void holds(void) {
    CHECK(2 == 2);
}

static void check_that_fails_says_where_and_stops_the_process(void **state UNUSED) {
    char said[512];
    int status = in_child(fails, said, sizeof(said));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(said, "one == 2"));
    assert_non_null(strstr(said, "base_test.c:"));
}

static void check_that_holds_does_nothing(void **state UNUSED) {
    char said[512];
    int status = in_child(holds, said, sizeof(said));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_string_equal(said, "");
}

struct holder {
    int before;
    char member;
};

static void container_of_finds_the_holder(void **state UNUSED) {
    struct holder h = {.before = 7};
    char *member = &h.member;
    assert_ptr_equal(CONTAINER_OF(member, struct holder, member), &h);
}

static void xmalloc_of_nothing_is_still_a_pointer(void **state UNUSED) {
    void *p = xmalloc(0);
    void *q = xcalloc(0, 8);
    assert_non_null(p);
    assert_non_null(q);
    free(p);
    free(q);
    int *zeroed = xcalloc(1000, sizeof(int));
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(zeroed[i], 0);
    }
    free(zeroed);
    char *copy = xstrdup("text");
    assert_string_equal(copy, "text");
    free(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_that_fails_says_where_and_stops_the_process),
        cmocka_unit_test(check_that_holds_does_nothing),
        cmocka_unit_test(container_of_finds_the_holder),
        cmocka_unit_test(xmalloc_of_nothing_is_still_a_pointer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
