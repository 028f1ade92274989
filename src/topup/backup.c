// SPDX-License-Identifier: Apache-2.0
/*
 * backup.c - copies of the store and stores of copies: topupd's work, on the machine that has the store. Here are only the words, so that
 * an operator finds them where all the others are. This process becomes topupd, the one beside it or else the first of PATH.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "topup/topup.h"

#define SERVER_PATH_MAX 4096

// The topupd in the folder of this very program.
static bool beside(char path[SERVER_PATH_MAX]) {
    ssize_t n = readlink("/proc/self/exe", path, SERVER_PATH_MAX - 1);
    if (n <= 0)
        return false;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    static const char name[] = "/topupd";
    if (!slash || (size_t)(slash - path) + sizeof name > SERVER_PATH_MAX)
        return false;
    memcpy(slash, name, sizeof name);
    return access(path, X_OK) == 0;
}

static enum ending become(struct session *s, const char *word) {
    char path[SERVER_PATH_MAX], *argv[8];
    int n = 0;
    argv[n++] = xstrdup("topupd");
    argv[n++] = xstrdup(word);
    if (session_has(s, OPT_CONFIG)) {
        argv[n++] = xstrdup("--config");
        argv[n++] = xstrdup(session_option(s, OPT_CONFIG));
    }
    if (session_has(s, OPT_STORE)) {
        argv[n++] = xstrdup("--data");
        argv[n++] = xstrdup(session_option(s, OPT_STORE));
    }
    argv[n++] = s->operand[0];
    argv[n] = NULL;
    fflush(stdout);
    if (beside(path))
        execv(path, argv);
    execvp("topupd", argv);
    int why = errno;
    for (int i = 0; i < n - 1; i++) // the last one is the command line's
        free(argv[i]);
    return complain(END_LOCAL, "topupd: %s: it has to be on this machine, beside topup or in PATH", strerror(why));
}

static enum ending backup(struct session *s) {
    return become(s, "backup");
}

static enum ending restore(struct session *s) {
    return become(s, "restore");
}

static const struct argp_option store_options[] = {
    {"config", OPT_CONFIG, "FILE", 0, "The server's settings, which say where the store is", 0},
    {"data", OPT_STORE, "DIR", 0, "The store's folder, above what the settings say", 0},
    {0}};

const struct command backup_commands[] = {
    {"backup", NULL, "FILE", 1, 1, store_options, "Copy the store into a file",
     "On the machine that has the store, by a user who may read it; while the server is running or not. The file holds everything that was "
     "acknowledged before, in one consistent state; it is checked and on disk before it gets its name, and nothing is overwritten. It "
     "holds "
     "secrets: keep it as you keep the store. The same as `topupd backup`.",
     "  topup backup --config topupd.conf /backups/topupd-2026-11-23\n"
     "  topup backup --data demo-data demo.backup\n",
     backup},
    {"restore", NULL, "FILE", 1, 1, store_options, "Make a store from such a copy",
     "Into a data folder that is missing or empty; then start the server on it. The same as `topupd restore`.",
     "  topup restore --data restored /backups/topupd-2026-11-23\n", restore},
    {0}};
