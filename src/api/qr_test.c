// SPDX-License-Identifier: Apache-2.0
// The images are read back by a decoder that is not ours (zbarimg), from what the endpoint answers.
#include "api/qr.h"

#include <fcntl.h>
#include <png.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/api_test_support.h"

static struct api_test t;
static struct answer a;

static int setup(void **state UNUSED) {
    api_test_open(&t);
    return 0;
}

static int teardown(void **state UNUSED) {
    answer_release(&a);
    api_test_close(&t);
    return 0;
}

#define LPA "LPA:1$smdp.example.com$6C-DA326D-K86D"
#define AT "/connect/qrcode/v1/esim/"

// ---- reading an image back ----

static void write_file(const char *path, const void *p, size_t n) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), n);
    close(fd);
}

// What zbarimg reads in the file, which it then removes. Without the line's end.
static void decode_file(const char *path, char *out, size_t size) {
    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(pipe_ends[1], STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execlp("zbarimg", "zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", path, (char *)NULL);
        _exit(127);
    }
    close(pipe_ends[1]);
    size_t n = 0;
    ssize_t more;
    while (n < size - 1 && (more = read(pipe_ends[0], out + n, size - 1 - n)) > 0)
        n += (size_t)more;
    close(pipe_ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 127)
        fail_msg("zbarimg is not installed (Debian package zbar-tools)");
    assert_int_equal(WEXITSTATUS(status), 0);
    unlink(path);
    while (n && (out[n - 1] == '\n' || out[n - 1] == '\r'))
        n--;
    out[n] = '\0';
}

static void assert_png_holds(struct str png, const char *text, int pixels) {
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_memory(&image, png.p, png.n));
    assert_int_equal(image.width, pixels);
    assert_int_equal(image.height, pixels);
    png_image_free(&image);

    char path[128], read_back[512];
    snprintf(path, sizeof path, "%s/qr.png", t.folder);
    write_file(path, png.p, png.n);
    decode_file(path, read_back, sizeof read_back);
    assert_string_equal(read_back, text);
}

// Draws the SVG's runs of modules, eight pixels a module, as a PGM picture.
static void assert_svg_holds(struct str svg, const char *text) {
    enum { SCALE = 8, SIDE_MAX = 120 };
    static unsigned char pixels[SIDE_MAX * SCALE][SIDE_MAX * SCALE];
    char head[64], source[64 * 1024];
    assert_true(str_to_buf(svg, source, sizeof source));
    const char *box = strstr(source, "viewBox=\"0 0 ");
    assert_non_null(box);
    int side = atoi(box + strlen("viewBox=\"0 0 "));
    assert_true(side > 0 && side <= SIDE_MAX);
    memset(pixels, 255, sizeof pixels);
    int x, y, run, back, dark = 0;
    for (const char *p = strstr(source, " d=\""); (p = strchr(p, 'M')); p++) {
        assert_int_equal(sscanf(p, "M%d %dh%dv1h-%dz", &x, &y, &run, &back), 4);
        assert_int_equal(run, back);
        assert_true(x >= 4 && y >= 4 && x + run <= side - 4 && y < side - 4); // the quiet zone stays white
        dark += run;
        for (int row = y * SCALE; row < (y + 1) * SCALE; row++)
            memset(&pixels[row][x * SCALE], 0, (size_t)(run * SCALE));
    }
    assert_true(dark > 100);

    char path[128], read_back[512];
    snprintf(path, sizeof path, "%s/qr.pgm", t.folder);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    int n = snprintf(head, sizeof head, "P5 %d %d 255\n", side * SCALE, side * SCALE);
    fwrite(head, 1, (size_t)n, f);
    for (int row = 0; row < side * SCALE; row++)
        fwrite(pixels[row], 1, (size_t)(side * SCALE), f);
    fclose(f);
    decode_file(path, read_back, sizeof read_back);
    assert_string_equal(read_back, text);
}

// ---- tests ----

static void a_png_reads_back_as_the_exact_string(void **state UNUSED) {
    static const char *const targets[] = {AT LPA,
                                          "/qrcode/v1/esim/" LPA,
                                          AT "LPA:1%24smdp.example.com%246C-DA326D-K86D",
                                          AT "LPA%3A1%24smdp.example.com%246C-DA326D-K86D",
                                          AT "1$smdp.example.com$6C-DA326D-K86D",
                                          AT LPA ".png",
                                          AT LPA "?size=400"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        api_test_call(&t, &a, -1, HTTP_GET, targets[i], NULL, NULL); // nobody needs a token
        assert_answer(&a, 200);
        assert_string_equal(a.content_type, "image/png");
        assert_non_null(strstr(a.cache_control, "max-age"));
        assert_null(strstr(a.cache_control, "no-store"));
        assert_png_holds(buf_str(&a.body), LPA, QR_PIXELS_DEFAULT);
    }
}

static void an_svg_reads_back_as_the_exact_string(void **state UNUSED) {
    static const struct header accept[] = {{"Accept", "image/svg+xml"}, {NULL, NULL}};
    api_test_call(&t, &a, -1, HTTP_GET, AT LPA, NULL, accept);
    assert_answer(&a, 200);
    assert_string_equal(a.content_type, "image/svg+xml");
    assert_svg_holds(buf_str(&a.body), LPA);
    api_test_call(&t, &a, -1, HTTP_GET, AT LPA ".svg?size=300", NULL, NULL);
    assert_answer(&a, 200);
    assert_string_equal(a.content_type, "image/svg+xml");
    assert_non_null(strstr(a.body.p, "width=\"300\" height=\"300\""));
    assert_svg_holds(buf_str(&a.body), LPA);
}

static void the_kind_of_image_is_negotiated(void **state UNUSED) {
    static const struct {
        const char *accept, *target;
        bool svg;
    } rows[] = {
        {"image/svg+xml", AT LPA, true},
        {"IMAGE/SVG+XML", AT LPA, true},
        {"image/svg+xml, image/png;q=0.5", AT LPA, true},
        {"image/svg+xml,*/*;q=0.8", AT LPA, true},
        {"image/png", AT LPA, false},
        {"image/png, image/svg+xml;q=0.9", AT LPA, false},
        {"image/svg+xml;q=0, */*", AT LPA, false},
        {"image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", AT LPA, false}, // a browser takes both
        {"*/*", AT LPA, false},
        {"text/html", AT LPA, false},
        {";;,,q=", AT LPA, false},
        {"image/svg+xml", AT LPA ".png", false}, // the extension decides
        {"image/png", AT LPA ".svg", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct header headers[] = {{"Accept", rows[i].accept}, {NULL, NULL}};
        api_test_call(&t, &a, -1, HTTP_GET, rows[i].target, NULL, headers);
        assert_answer(&a, 200);
        if (str_is(str_of(a.content_type), "image/svg+xml") != rows[i].svg)
            fail_msg("Accept: %s brought %s", rows[i].accept, a.content_type);
    }
}

static void sizes_and_lengths_within_the_bounds_work(void **state UNUSED) {
    char lpa[4 + LPA_MAX + 1], target[512];
    struct err err = {0};
    memset(lpa, 'A', sizeof lpa - 1);
    memcpy(lpa, "LPA:1$smdp.example.com$", 23);
    lpa[sizeof lpa - 1] = '\0';
    static const int sizes[] = {QR_PIXELS_MIN, 333, QR_PIXELS_MAX};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        snprintf(target, sizeof target, AT "%s?size=%d", LPA, sizes[i]);
        api_test_call(&t, &a, -1, HTTP_GET, target, NULL, NULL);
        assert_answer(&a, 200);
        assert_png_holds(buf_str(&a.body), LPA, sizes[i]);
        // the longest activation code still has a whole pixel a module
        struct buf out;
        buf_init(&out, 1024 * 1024);
        assert_int_equal(qr_png(str_of(lpa), sizes[i], &out, &err), ERR_NONE);
        if (sizes[i] > QR_PIXELS_MIN)
            assert_png_holds(buf_str(&out), lpa, sizes[i]);
        buf_release(&out);
    }
    snprintf(target, sizeof target, AT "%s", lpa);
    api_test_call(&t, &a, -1, HTTP_GET, target, NULL, NULL);
    assert_answer(&a, 200);
    assert_png_holds(buf_str(&a.body), lpa, QR_PIXELS_DEFAULT);
    snprintf(target, sizeof target, AT "%sA", lpa);
    api_test_call(&t, &a, -1, HTTP_GET, target, NULL, NULL);
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "lpa: ", NULL);
}

static void what_is_no_activation_code_gets_no_image(void **state UNUSED) {
    static const char *const bad[] = {"x",
                                      "LPA:",
                                      "LPA:1",
                                      "LPA:1$",
                                      "LPA:1$smdp.example.com",
                                      "LPA:1$$ABC",
                                      "LPA:2$smdp.example.com$ABC",
                                      "https:%24x%24y",
                                      "LPA:1$smdp.example.com$A%20B",
                                      "LPA:1$smdp.example.com$A%0AB",
                                      "LPA:1$smdp.example.com$%C3%A4",
                                      "LPA:1$smdp.example.com<script>$ABC"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char target[256];
        snprintf(target, sizeof target, AT "%s", bad[i]);
        api_test_call(&t, &a, -1, HTTP_GET, target, NULL, NULL);
        assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "lpa: ", NULL);
    }
    static const char *const sizes[] = {"0", "127", "2049", "-1", "99999999999999999999", "big"};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char target[256];
        snprintf(target, sizeof target, AT LPA "?size=%s", sizes[i]);
        api_test_call(&t, &a, -1, HTTP_GET, target, NULL, NULL);
        assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "size: ", NULL);
    }
}

static void an_image_that_does_not_fit_is_an_error(void **state UNUSED) {
    struct err err = {0};
    struct buf out;
    buf_init(&out, 64);
    assert_int_equal(qr_png(STR(LPA), 400, &out, &err), ERR_INTERNAL);
    buf_clear(&out);
    assert_int_equal(qr_svg(STR(LPA), 400, &out, &err), ERR_INTERNAL);
    buf_release(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_png_reads_back_as_the_exact_string),     cmocka_unit_test(an_svg_reads_back_as_the_exact_string),
        cmocka_unit_test(the_kind_of_image_is_negotiated),          cmocka_unit_test(sizes_and_lengths_within_the_bounds_work),
        cmocka_unit_test(what_is_no_activation_code_gets_no_image), cmocka_unit_test(an_image_that_does_not_fit_is_an_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
