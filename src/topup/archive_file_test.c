// SPDX-License-Identifier: Apache-2.0
/*
 * archive_file_test.c - what was written is read back; a file that is not whole is told, wherever it was cut or changed.
 */
#include "topup/archive_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/testing.h"

#define FIRST_MS INT64_C(1795435200000)

static char folder[] = "/tmp/topup-archive-XXXXXX";
static struct err err;

static int setup(void **state UNUSED) {
    snprintf(folder, sizeof folder, "/tmp/topup-archive-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state UNUSED) {
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    return rmdir(folder);
}

// A record of the i-th order.
static struct str record(int i, char out[256]) {
    struct uuid id = {{0}};
    uint64_t ms = (uint64_t)(FIRST_MS + i);
    for (int k = 5; k >= 0; k--, ms >>= 8)
        id.b[k] = (uint8_t)ms;
    id.b[6] = 0x70;
    char text[UUID_TEXT];
    uuid_format(id, text);
    snprintf(out, 256, "{\"order\":{\"id\":\"%s\",\"partner\":\"acme\",\"country\":\"G\u00df\"}}", text);
    return str_of(out);
}

static void write_archive(int n, char path[ARCHIVE_PATH_MAX], struct archive_header *h) {
    struct archive_writer *w;
    char text[256];
    assert_int_equal(archive_create(folder, &w, &err), ERR_NONE);
    for (int i = 0; i < n; i++)
        assert_int_equal(archive_add(w, record(i, text), &err), ERR_NONE);
    *h = (struct archive_header){.created = {FIRST_MS + 5000}, .before = {FIRST_MS + 4000}, .partner = "acme"};
    assert_int_equal(archive_finish(w, h, path, &err), ERR_NONE);
    archive_abandon(w);
}

static enum err_kind read_all(const char *path, int *n) {
    struct archive_reader *r;
    struct str line;
    err_clear(&err);
    enum err_kind kind = archive_open(path, &r, &err);
    if (kind)
        return kind;
    *n = 0;
    bool same = true;
    while (!(kind = archive_next(r, &line, &err)) && str_present(line)) {
        char text[256];
        same = same && str_eq(line, record(*n, text));
        ++*n;
    }
    archive_close(r);
    assert_true(kind || same);
    return kind;
}

static void what_was_written_is_read_back(void **state UNUSED) {
    char path[ARCHIVE_PATH_MAX];
    struct archive_header h;
    struct archive_reader *r;
    int n = 0;
    write_archive(1000, path, &h);
    assert_true(str_ends(str_of(path), ARCHIVE_PENDING));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(archive_settle(path, &err), ERR_NONE);
    assert_true(str_ends(str_of(path), ARCHIVE_DONE));
    assert_int_equal(read_all(path, &n), ERR_NONE);
    assert_int_equal(n, 1000);
    assert_int_equal(archive_open(path, &r, &err), ERR_NONE);
    const struct archive_header *got = archive_header(r);
    assert_int_equal(got->orders, 1000);
    assert_int_equal(got->first.ms, FIRST_MS);
    assert_int_equal(got->last.ms, FIRST_MS + 999);
    assert_int_equal(got->before.ms, FIRST_MS + 4000);
    assert_string_equal(got->partner, "acme");
    assert_string_equal(got->sha256, h.sha256);
    archive_close(r);

    // The same records once more have a file of their own.
    char again[ARCHIVE_PATH_MAX];
    write_archive(1000, again, &h);
    assert_true(strncmp(again, path, strlen(path) - strlen(ARCHIVE_DONE)) == 0 && strcmp(again, path) != 0);
    DIR *d = opendir(folder);
    int files = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        files += e->d_name[0] != '.';
    closedir(d);
    assert_int_equal(files, 2); // no parts are left
}

static void a_file_that_is_not_whole_is_told(void **state UNUSED) {
    char path[ARCHIVE_PATH_MAX], broken[ARCHIVE_PATH_MAX + 8];
    struct archive_header h;
    write_archive(200, path, &h);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    static char whole[65536], bytes[65536];
    size_t size = fread(whole, 1, sizeof whole, f);
    fclose(f);
    assert_true(size > 100 && size < sizeof whole);
    snprintf(broken, sizeof broken, "%s.broken", path);
    int n = 0, told = 0, tried = 0;
    for (size_t i = 0; i < size; i += 7) {
        for (int cut = 0; cut < 2; cut++) {
            memcpy(bytes, whole, size);
            if (!cut)
                bytes[i] ^= 0x55;
            f = fopen(broken, "we");
            assert_int_equal(fwrite(bytes, 1, cut ? i : size, f), cut ? i : size);
            fclose(f);
            enum err_kind kind = read_all(broken, &n);
            tried++;
            told += kind == ERR_CORRUPT;
            // Some bytes of gzip's own headers say nothing (who made it, when): then all is well, and whole.
            if (kind == ERR_NONE)
                assert_int_equal(n, 200);
            assert_true(kind == ERR_NONE ? !cut : kind == ERR_CORRUPT);
        }
    }
    assert_true(told > tried * 9 / 10);
}

static void what_is_no_archive_is_told(void **state UNUSED) {
    char path[ARCHIVE_PATH_MAX];
    int n;
    snprintf(path, sizeof path, "%s/a" ARCHIVE_DONE, folder);
    assert_int_equal(read_all(path, &n), ERR_NOT_FOUND);
    static const char *const texts[] = {"", "hello\n", "{}\n", "{\"archive\":\"topupd orders\",\"schema\":2}\n",
                                        "{\"archive\":\"topupd orders\",\"schema\":1,\"orders\":-1}\n"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        FILE *f = fopen(path, "we"); // zlib reads what is not compressed as it is
        fputs(texts[i], f);
        fclose(f);
        assert_int_equal(read_all(path, &n), ERR_CORRUPT);
    }
    struct archive_writer *w;
    assert_int_equal(archive_create("/nowhere/at/all", &w, &err), ERR_UNAVAILABLE);
    assert_int_equal(archive_create(folder, &w, &err), ERR_NONE);
    assert_int_equal(archive_add(w, STR("{\"order\":{}}"), &err), ERR_CORRUPT);
    archive_abandon(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_is_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_whole_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_archive_is_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
