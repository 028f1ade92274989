// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/testing.h"

// Lines go into a pipe that is read by the test.
static int ends[2];

static int open_pipe(void **state UNUSED) {
    log_threshold = LOG_INFO;
    return pipe(ends);
}

static int close_pipe(void **state UNUSED) {
    log_stop();
    close(ends[0]);
    close(ends[1]);
    return 0;
}

// One line without its time, which is looked at: "level=info event=x ...".
static const char *read_line(char text[LOG_LINE_MAX + 1]) {
    size_t n = 0;
    do {
        assert_true(n < LOG_LINE_MAX);
        assert_int_equal(read(ends[0], text + n, 1), 1);
    } while (text[n++] != '\n');
    text[n - 1] = '\0';
    assert_true(str_starts(str_of(text), "ts=20"));
    assert_int_equal(text[26], 'Z');
    assert_int_equal(text[27], ' ');
    return text + 28;
}

static void a_line_is_made_of_its_fields(void **state UNUSED) {
    char text[LOG_LINE_MAX + 1];
    log_start(ends[1]);
    struct err err = {0};
    err_add(&err, ERR_INVALID, "a: is required");
    err_add(&err, ERR_INVALID, "b: is required");
    struct uuid id = {{0x01, 0x8b}};
    log_info("order.accepted", LOG_ID("order", id), LOG_INT("partner", -7), LOG_STR("word", STR("plain")), LOG_TEXT("left_out", NULL),
             LOG_STR("left_out", STR_NONE), LOG_TEXT("empty", ""));
    log_warn("w", LOG_ERR(&err));
    log_info("alone");
    log_flush();
    assert_string_equal(read_line(text),
                        "level=info event=order.accepted order=018b0000-0000-0000-0000-000000000000 partner=-7 word=plain empty=\"\"");
    assert_string_equal(read_line(text), "level=warn event=w error=invalid message=\"a: is required; b: is required\"");
    assert_string_equal(read_line(text), "level=info event=alone");
}

static void errors_with_many_messages_say_how_many(void **state UNUSED) {
    char text[LOG_LINE_MAX + 1];
    struct err err = {0};
    for (int i = 0; i < 5; i++) {
        err_add(&err, ERR_CONFLICT, "m%d", i);
    }
    log_start(ends[1]);
    log_error("e", LOG_ERR(&err));
    assert_string_equal(read_line(text), "level=error event=e error=conflict message=\"m0; m1; m2\" messages=5");
}

static void a_line_stays_a_line_whatever_comes_from_outside(void **state UNUSED) {
    char text[LOG_LINE_MAX + 1];
    log_start(ends[1]);
    log_info("x", LOG_STR("v", STR("a\nlevel=error event=\"fake\" \x1b[31m\x7f\xff\xc2\x9b\xc3\xa9\\\0.")));
    log_flush();
    assert_string_equal(read_line(text),
                        "level=info event=x v=\"a\\nlevel=error event=\\\"fake\\\" \\x1b[31m\\x7f\\xff\\xc2\\x9b\xc3\xa9\\\\\\x00.\"");
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    for (int i = 0; i < 500; i++) {
        char bytes[200];
        rng_fill(&rng, bytes, sizeof(bytes));
        log_info("x", LOG_STR("v", ((struct str){bytes, rng_below(&rng, sizeof(bytes))})));
        log_flush();
        const char *line = read_line(text);
        assert_true(str_is_utf8(str_of(line)));
        for (const char *p = line; *p != '\0'; p++) {
            assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
        }
    }
}

static void long_values_are_cut_and_the_line_ends(void **state UNUSED) {
    char text[LOG_LINE_MAX + 1];
    static char huge[100000];
    log_start(ends[1]);
    memset(huge, 'p', sizeof(huge));
    log_info("x", LOG_STR("plain", ((struct str){huge, sizeof(huge)})), LOG_INT("after", 1));
    memset(huge, '\x01', sizeof(huge));
    log_info("x", LOG_STR("escaped", ((struct str){huge, sizeof(huge)})), LOG_INT("after", 1));
    log_info("next");
    log_flush();
    assert_true(strlen(read_line(text)) < LOG_LINE_MAX);
    assert_non_null(strstr(read_line(text), "\\x01...\""));
    assert_string_equal(read_line(text), "level=info event=next");
}

static void lines_below_the_threshold_are_not_written(void **state UNUSED) {
    char text[LOG_LINE_MAX + 1];
    log_start(ends[1]);
    log_threshold = LOG_WARN;
    log_debug("no");
    log_info("no");
    log_warn("yes");
    log_flush();
    assert_string_equal(read_line(text), "level=warn event=yes");
}

static void levels_parse_by_name(void **state UNUSED) {
    enum log_level level = LOG_ERROR;
    assert_true(log_level_parse(STR("debug"), &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_true(log_level_parse(STR("warn"), &level));
    assert_int_equal(level, LOG_WARN);
    assert_false(log_level_parse(STR("WARN"), &level));
    assert_false(log_level_parse(STR(""), &level));
    assert_int_equal(level, LOG_WARN);
}

static void start_and_stop_may_be_repeated(void **state UNUSED) {
    char text[LOG_LINE_MAX + 1];
    log_stop();
    log_start(ends[1]);
    log_start(ends[0]); // has no effect
    log_info("one");
    log_stop();
    log_stop();
    log_info("two"); // directly
    log_start(ends[1]);
    log_info("three");
    log_stop();
    assert_string_equal(read_line(text), "level=info event=one");
    assert_string_equal(read_line(text), "level=info event=two");
    assert_string_equal(read_line(text), "level=info event=three");
}

// Nobody reads the pipe: logging goes on without waiting, and when somebody does, every line is there or was counted.
static void a_slow_reader_holds_up_nobody_and_what_is_lost_is_said(void **state UNUSED) {
    log_start(ends[1]);
    char fill[1000];
    memset(fill, 'f', sizeof(fill));
    int lines = 2000; // some 2 MB: more than buffer and pipe hold
    for (int i = 0; i < lines; i++) {
        log_info("bulk", LOG_STR("fill", ((struct str){fill, sizeof(fill)})));
    }
    char text[LOG_LINE_MAX + 1];
    int seen = 0;
    int lost = 0;
    while (seen + lost < lines) {
        const char *line = read_line(text);
        if (str_starts(str_of(line), "level=info event=bulk")) {
            seen++;
        } else {
            assert_true(str_starts(str_of(line), "level=warn event=log.dropped lines="));
            lost += (int)strtol(strrchr(line, '=') + 1, NULL, 10);
        }
    }
    assert_int_equal(seen + lost, lines);
    assert_true(lost > 0 && seen > 100);
}

#define EACH 300
static void *write_lines(void *arg) {
    for (int i = 0; i < EACH; i++) {
        log_error("thread", LOG_INT("n", *(int *)arg), LOG_INT("i", i)); // errors wait until they are written: none is lost
    }
    return NULL;
}

static void *read_lines(void *arg) {
    int *next = arg;
    char text[LOG_LINE_MAX + 1];
    for (int i = 0; i < 4 * EACH; i++) {
        const char *line = read_line(text);
        const char *n = strstr(line, " n=");
        const char *index = strstr(line, " i=");
        if (n == NULL || index == NULL || strtol(index + 3, NULL, 10) != next[strtol(n + 3, NULL, 10)]++) {
            return NULL;
        }
    }
    return arg;
}

static void lines_of_many_threads_stay_whole_and_in_order(void **state UNUSED) {
    log_start(ends[1]);
    int next[4] = {0};
    int numbers[4] = {0, 1, 2, 3};
    pthread_t reader;
    pthread_t threads[4];
    assert_int_equal(pthread_create(&reader, NULL, read_lines, next), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    void *all_right;
    pthread_join(reader, &all_right);
    assert_non_null(all_right);
}

static void a_reader_that_has_gone_is_no_reason_to_stop(void **state UNUSED) {
    int gone = open("/dev/full", O_WRONLY);
    assert_true(gone >= 0);
    log_start(gone);
    log_error("lost");
    log_flush();
    log_stop();
    close(gone);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_is_made_of_its_fields, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(errors_with_many_messages_say_how_many, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(a_line_stays_a_line_whatever_comes_from_outside, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(long_values_are_cut_and_the_line_ends, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(lines_below_the_threshold_are_not_written, open_pipe, close_pipe),
        cmocka_unit_test(levels_parse_by_name),
        cmocka_unit_test_setup_teardown(start_and_stop_may_be_repeated, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(a_slow_reader_holds_up_nobody_and_what_is_lost_is_said, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(lines_of_many_threads_stay_whole_and_in_order, open_pipe, close_pipe),
        cmocka_unit_test(a_reader_that_has_gone_is_no_reason_to_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
