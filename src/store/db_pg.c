// SPDX-License-Identifier: Apache-2.0
/*
 * db_pg.c - PostgreSQL, 15 or later, for any number of nodes. The only one that knows libpq-fe.h.
 *
 * The location is a connection string (postgresql://...), which may name several hosts: whichever of them takes writes is used, for
 * reading, too, so that what was acknowledged is seen.
 *
 * Turns. Nodes take turns at writing: a transaction that writes takes the one row of the table `turn` first and has it until its end. So
 * whatever a job reads stays true until its batch is committed, as on the embedded store; there are no deadlocks between nodes, no
 * serialization failures, no numbers with gaps. What is lost is little: a node takes all jobs that wait with it into a turn. The turn is
 * also a counter. Who finds it where he left it knows that nobody has written since, and that what he remembers is still right (db.others).
 *
 * A connection that is lost is opened anew at the next begin. Lost at a commit, nobody knows whether it took place: so the next turn is
 * waited for (by then the other session has ended, either way) and the table `writer` says whether that turn was committed. ERR_UNSURE only
 * when the database stays away. A node that hangs while it has the turn is thrown out by the server (IDLE_MS), and finds out when it wakes.
 *
 * Each call is one round trip, in libpq's pipeline mode: what needs no answer (begin, savepoints) travels with the next call that does,
 * what is asked for ahead with the turn, what is put off with the commit. Values travel in binary. Answers that are known stand until
 * something is written that may change them: one by one where the keys say so (spoil), all of a statement by the table that is written to.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "store/db.h"
#include "store/db_pg_many.h"
#include "store/db_pg_sql.h"

#define VERSION_MIN 150000
#define PARAMS_MAX 224                       // of order_insert_many
#define SENT_MAX 1024                        // calls on their way
#define ANSWER_MS 20000                      // an ordinary call takes no longer, or the server hangs
#define LONG_MS 1800000                      // imports, migrations, reading everything
#define LOCK_MS 10000                        // for the turn
#define IDLE_MS 3000                         // how long a node may sit on the turn: as long all others wait for one that hangs
#define RESOLVE_MS 20000                     // for finding out about a commit
#define RECONNECT_MS 100                     // between two attempts
#define WRITER_DAYS 7                        // how long it is remembered what a writer has committed
#define MIGRATION_LOCK "8390880576440238080" // "topupd", as a number

enum { OID_BOOL = 16, OID_BYTEA = 17, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_TEXT = 25 };

// What is gathered while the store lets us (db.defer), in the order in which it is written: what is referred to comes first.
static const enum statement gathered[] = {
    ST_ORDER_INSERT, ST_TASK_INSERT,  ST_SUBSCRIPTION_INSERT, ST_SUBSCRIPTION_SPEND, ST_EVENT_INSERT,
    ST_IDEM_INSERT,  ST_USAGE_INSERT, ST_USAGE_BOOK,          ST_IMPORT_ROW_INSERT,
};
// What can be asked for ahead.
static const enum statement asked[] = {ST_IDEM_GET, ST_SIM_GET, ST_SIM_OPEN, ST_TASK_FIRST_OPEN, ST_USAGE_FIND, ST_SUBSCRIPTION_USABLE};
#define GATHERED_MAX 8192   // rows of one statement
#define KEPT ST_PARTNER_GET // is kept for who asks again
#define KEPT_MAX 64

// What is no domain verb's.
enum control {
    CTL_BEGIN,
    CTL_BEGIN_READ,
    CTL_COMMIT,
    CTL_ROLLBACK,
    CTL_JOB,
    CTL_JOB_KEEP,
    CTL_JOB_UNDO,
    CTL_ONE,
    CTL_ONE_KEEP,
    CTL_ONE_UNDO,
    CTL_TURN,
    CTL_TURN_LOOK,
    CTL_WRITER_OF,
    CTL_WRITER_FORGET,
    CTL_TELL,
    CTL_LISTEN,
    CONTROLS
};
static const struct {
    const char *name, *sql, *types;
} controls[CONTROLS] = {
    [CTL_BEGIN] = {"begin", "BEGIN"},
    [CTL_BEGIN_READ] = {"begin_read", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
    [CTL_COMMIT] = {"commit", "COMMIT"},
    [CTL_ROLLBACK] = {"rollback", "ROLLBACK"},
    [CTL_JOB] = {"job", "SAVEPOINT job"},
    [CTL_JOB_KEEP] = {"job_keep", "RELEASE job"},
    [CTL_JOB_UNDO] = {"job_undo", "ROLLBACK TO job"},
    [CTL_ONE] = {"one", "SAVEPOINT one"},
    [CTL_ONE_KEEP] = {"one_keep", "RELEASE one"},
    [CTL_ONE_UNDO] = {"one_undo", "ROLLBACK TO one"},
    [CTL_TURN] = {"turn",
                  "WITH t AS (UPDATE turn SET value = value + 1 RETURNING value) INSERT INTO writer (id, turn) SELECT $1, value"
                  " FROM t ON CONFLICT (id) DO UPDATE SET turn = excluded.turn, seen = now() RETURNING turn",
                  "i"},
    [CTL_TURN_LOOK] = {"turn_look", "SELECT value FROM turn FOR UPDATE"},
    [CTL_WRITER_OF] = {"writer_of", "UPDATE writer SET seen = now() WHERE id = $1 RETURNING turn", "i"},
    [CTL_WRITER_FORGET] = {"writer_forget", "DELETE FROM writer WHERE seen < now() - $1 * interval '1 day'", "i"},
    // Stores in several schemas of one database do not hear each other.
    [CTL_TELL] = {"tell", "SELECT pg_notify('topupd_' || 'turn'::regclass::oid, $1)", "t"},
    [CTL_LISTEN] = {"listen", "SELECT 'topupd_' || 'turn'::regclass::oid"},
};

// The rows of a query. Those of one that is answered already stand among others', or for who asks next.
struct rows {
    PGresult *res;
    int row, end; // the row at hand, before the first; behind the last
    int skip;     // columns
    bool shared;  // not ours to clear
};

struct span {
    int from, end;
};

// What was asked for ahead of a statement.
struct ahead {
    PGresult *res;     // NULL: nothing, or it cannot be used
    struct span *rows; // of each asked
    int cap;
    bool again; // asked again: once a transaction
};

struct prepared {
    int n;
    uint8_t type[PARAMS_MAX]; // OIDs, all small
};

struct db_pg {
    struct db db;
    PGconn *c;
    char *location;
    bool writer, may_create;
    bool prepared;       // the statements; from then on in pipeline mode
    bool gone;           // the connection is no good any more
    bool in_transaction; // as the store sees it
    bool begun;          // as the server does
    bool broken;         // nothing more until rollback, or back to a savepoint
    bool listens;
    bool before_job;   // broken where the savepoint cannot help
    struct mono tried; // to connect, in vain
    int64_t id, turn, turn_committed;
    int sent;    // calls whose results are still to come
    bool behind; // they are on their way, with a sync after them
    struct rows rows[STATEMENTS];
    struct many many[STATEMENTS]; // of `gathered` and `asked`
    struct keys touched;          // what is gathered would change the answer to these
    struct keys spoilt;           // what was written has changed the answer to these
    bool touched_all, spoilt_all; // there was no memory for their keys
    struct keys answers;          // that are known; value: the number among those asked for ahead, or among `kept`
    bool stale[STATEMENTS];       // none of the answers counts
    struct ahead ahead[ARRAY_LEN(asked)];
    PGresult *kept[KEPT_MAX];
    int n_kept;
    struct prepared statement[STATEMENTS], control[CONTROLS];
};

static struct db_pg *pg_of(struct db *db) {
    return (struct db_pg *)db;
}

// ---- errors ----

// libpq's messages have several lines, of which the first says what is wrong, maybe after what was tried.
static struct str first_line(const char *text) {
    struct str s = str_of(text ? text : "");
    size_t n = 0;
    while (n < s.n && s.p[n] != '\n')
        n++;
    return (struct str){s.p, n};
}

// The connection is lost. Nothing that a transaction in work has written will be there.
static enum err_kind lost(struct db_pg *d, const char *why, struct err *err) {
    bool again = d->writer && d->prepared && d->in_transaction;
    d->gone = true;
    d->broken = d->before_job = true;
    struct str line = first_line(why);
    return err_set(err, again ? ERR_RETRY : ERR_UNAVAILABLE, "the store is away: " STR_FMT, STR_ARG(line));
}

static bool is_class(const char *state, const char *class) {
    return strncmp(state, class, strlen(class)) == 0;
}

// What the server said, as one of ours.
static enum err_kind refused(struct db_pg *d, const PGresult *res, const char *what, struct err *err) {
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *constraint = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
    if (!state || PQstatus(d->c) == CONNECTION_BAD)
        return lost(d, text ? text : PQerrorMessage(d->c), err);
    d->broken = true;
    if (is_class(state, "23505"))
        return err_set(err, ERR_CONFLICT, "%s", constraint ? constraint : text);
    if (is_class(state, "23503"))
        return err_set(err, ERR_CONFLICT, "foreign key: it refers to something that does not exist, or something refers to it");
    if (is_class(state, "22012")) // the forms for many rows divide by whether they found each (db_pg_translate_many)
        return err_set(err, ERR_CONFLICT, "a row that was to be changed is not there");
    if (is_class(state, "40001") || is_class(state, "40P01"))
        return err_set(err, ERR_RETRY, "the store is in use by others: %s", text);
    // The server stops, is not the one that writes any more, or has thrown us out.
    if (is_class(state, "08") || is_class(state, "57P") || is_class(state, "25P03") || is_class(state, "25006"))
        return lost(d, text, err);
    if (is_class(state, "55P03"))
        return err_set(err, ERR_UNAVAILABLE, "the store is held by another node");
    if (is_class(state, "53") || is_class(state, "54") || is_class(state, "57") || is_class(state, "58"))
        return err_set(err, ERR_UNAVAILABLE, "the store cannot do it: %s", text);
    if (is_class(state, "42501"))
        return err_set(err, ERR_UNAVAILABLE, "the store's role lacks a right: %s", text);
    if (is_class(state, "XX00"))
        return err_set(err, ERR_CORRUPT, "the store is damaged: %s", text);
    return err_set(err, ERR_INTERNAL, "store: %s: %s (%s)", what, text, state);
}

static enum err_kind refuse_broken(const struct db_pg *d, struct err *err) {
    return err_set(err, d->gone && d->writer ? ERR_RETRY : ERR_UNAVAILABLE, "the store gave the transaction up");
}

// ---- calls ----

static const char *name_of(int statement, enum control control) {
    return statement >= 0 ? statements[statement].name : controls[control].name;
}

// One call with its values, in binary; it is not waited for.
static enum err_kind put(struct db_pg *d, int statement, enum control control, const struct db_value *params, size_t n, struct err *err) {
    const struct prepared *p = statement >= 0 ? &d->statement[statement] : &d->control[control];
    const char *values[PARAMS_MAX];
    int lengths[PARAMS_MAX], formats[PARAMS_MAX];
    union {
        uint64_t eight;
        uint16_t two;
    } number[PARAMS_MAX];
    CHECK(n == (size_t)p->n);
    values[0] = NULL; // a call without values passes the arrays on as well
    lengths[0] = formats[0] = 0;
    for (size_t i = 0; i < n; i++) {
        const struct db_value *v = &params[i];
        formats[i] = 1;
        values[i] = NULL;
        lengths[i] = 0;
        if (v->type == DB_INT) {
            CHECK(p->type[i] == OID_INT8 || p->type[i] == OID_INT2);
            if (p->type[i] == OID_INT8)
                number[i].eight = htobe64((uint64_t)v->i);
            else if (v->i >= INT16_MIN && v->i <= INT16_MAX)
                number[i].two = htobe16((uint16_t)v->i);
            else
                return err_set(err, ERR_INTERNAL, "store: %s: value %zu is too large", name_of(statement, control), i + 1);
            values[i] = (const char *)&number[i];
            lengths[i] = p->type[i] == OID_INT8 ? 8 : 2;
        } else if (v->type != DB_NULL) {
            CHECK(p->type[i] == (v->type == DB_TEXT ? OID_TEXT : OID_BYTEA));
            values[i] = v->s.p ? v->s.p : "";
            lengths[i] = (int)v->s.n;
        }
    }
    if (!PQsendQueryPrepared(d->c, name_of(statement, control), (int)n, values, lengths, formats, 1))
        return lost(d, PQerrorMessage(d->c), err);
    d->sent++;
    return ERR_NONE;
}

static enum err_kind put_control(struct db_pg *d, enum control control, struct err *err) {
    return put(d, -1, control, NULL, 0, err);
}

// The next result; NULL ends those of one call. Waits no longer than `ms`.
static enum err_kind await(struct db_pg *d, int ms, PGresult **out, struct err *err) {
    struct mono from = clock_mono(&clock_system);
    while (PQisBusy(d->c)) {
        int64_t left = ms - mono_ms_between(from, clock_mono(&clock_system));
        struct pollfd p = {.fd = PQsocket(d->c), .events = POLLIN};
        int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return lost(d, "no answer", err);
        if (!PQconsumeInput(d->c))
            return lost(d, PQerrorMessage(d->c), err);
    }
    *out = PQgetResult(d->c);
    return ERR_NONE;
}

static bool is_good(const PGresult *res) {
    ExecStatusType status = PQresultStatus(res);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

// Which results are wanted: of `n` calls from number `at` on.
struct wanted {
    int at, n;
    PGresult **res;
};

// Takes the results of all calls on their way, up to the sync after them. The first that went wrong says why; *failed is its number, or -1.
static enum err_kind take_all(struct db_pg *d, int ms, const char *what, struct wanted wanted, int *failed, struct err *err) {
    enum err_kind kind = ERR_NONE;
    int n = d->sent;
    *failed = -1;
    d->sent = 0;
    d->behind = false;
    d->db.waits++;
    for (int i = 0; i <= n; i++) { // the last is the sync's own
        PGresult *res = NULL;
        enum err_kind k = await(d, ms, &res, err);
        if (!k && !res) // a result should be here: the connection is gone
            k = lost(d, PQerrorMessage(d->c), err);
        if (k) {
            if (*failed < 0)
                *failed = i;
            return k;
        }
        if (i == n) {
            bool synced = PQresultStatus(res) == PGRES_PIPELINE_SYNC;
            PQclear(res);
            if (!synced)
                return lost(d, "the server's answers do not fit the calls", err);
            break;
        }
        if (!is_good(res) && *failed < 0) {
            *failed = i;
            kind = refused(d, res, what, err);
            if (d->gone) {
                PQclear(res);
                return kind;
            }
        }
        if (i >= wanted.at && i < wanted.at + wanted.n && is_good(res))
            wanted.res[i - wanted.at] = res;
        else
            PQclear(res);
        k = await(d, ms, &res, err);
        if (k)
            return k;
        PQclear(res); // NULL
    }
    return kind;
}

// Sends what was put and waits for it. What is wanted is there when all went well, and NULL otherwise.
static enum err_kind go_for(struct db_pg *d, int ms, const char *what, struct wanted wanted, int *failed, struct err *err) {
    *failed = -1;
    if (!PQpipelineSync(d->c)) {
        *failed = 0;
        return lost(d, PQerrorMessage(d->c), err);
    }
    enum err_kind kind = take_all(d, ms, what, wanted, failed, err);
    for (int i = 0; kind && i < wanted.n; i++) { // those that came before it went wrong
        PQclear(wanted.res[i]);
        wanted.res[i] = NULL;
    }
    return kind;
}

static enum err_kind go(struct db_pg *d, int ms, const char *what, int at, PGresult **res, int *failed, struct err *err) {
    return go_for(d, ms, what, (struct wanted){at, res ? 1 : 0, res}, failed, err);
}

// What was sent at the end of the transaction before, and not waited for.
static enum err_kind catch_up(struct db_pg *d, struct err *err) {
    int failed;
    return d->behind ? take_all(d, ANSWER_MS, "end", (struct wanted){0}, &failed, err) : ERR_NONE;
}

// ---- connecting ----

static void no_notice(void *ctx, const PGresult *res) {
    (void)ctx;
    (void)res;
}

// Outside pipeline mode: a text with any number of statements.
static enum err_kind simple(struct db_pg *d, const char *sql, PGresult **out, struct err *err) {
    PGresult *res = NULL, *last = NULL;
    enum err_kind kind = ERR_NONE;
    if (!PQsendQuery(d->c, sql))
        return lost(d, PQerrorMessage(d->c), err);
    for (;;) {
        enum err_kind k = await(d, LONG_MS, &res, err);
        if (k) {
            PQclear(last);
            return k;
        }
        if (!res)
            break;
        if (!is_good(res) && !kind)
            kind = refused(d, res, "script", err);
        PQclear(last);
        last = res;
    }
    if (!kind && !last)
        kind = lost(d, PQerrorMessage(d->c), err);
    if (kind || !out)
        PQclear(last);
    else
        *out = last;
    return kind;
}

static enum err_kind simple_int(struct db_pg *d, const char *sql, int64_t absent, int64_t *out, struct err *err) {
    PGresult *res = NULL;
    enum err_kind kind = simple(d, sql, &res, err);
    if (kind)
        return kind;
    *out = absent;
    if (PQntuples(res) == 1 && !PQgetisnull(res, 0, 0) && !str_to_i64(str_of(PQgetvalue(res, 0, 0)), out))
        kind = err_set(err, ERR_INTERNAL, "store: \"%s\" answers no number", sql);
    PQclear(res);
    return kind;
}

// One setting as it stands.
static enum err_kind setting_is(struct db_pg *d, const char *name, char *out, size_t size, struct err *err) {
    char sql[128];
    PGresult *res = NULL;
    snprintf(sql, sizeof sql, "SELECT current_setting('%s')", name);
    enum err_kind kind = simple(d, sql, &res, err);
    if (kind)
        return kind;
    snprintf(out, size, "%s", PQgetvalue(res, 0, 0));
    PQclear(res);
    return ERR_NONE;
}

static enum err_kind settings(struct db_pg *d, struct err *err) {
    char sql[512], value[64];
    if (PQserverVersion(d->c) < VERSION_MIN)
        return err_set(err, ERR_UNAVAILABLE, "the store's PostgreSQL is older than 15");
    // Rows are met by their keys: a plan made while a table was still empty must not read all of it later.
    // A statement_timeout would also end a commit's wait for its synchronous standby, which to us looks like a commit.
    snprintf(sql, sizeof sql,
             "SET client_encoding = 'UTF8'; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = "
             "off; SET statement_timeout = 0; SET lock_timeout = %d;"
             "SET idle_in_transaction_session_timeout = %d; SET client_min_messages = error; SET default_transaction_isolation = 'read "
             "committed'",
             LOCK_MS, d->writer ? IDLE_MS : ANSWER_MS * 3);
    enum err_kind kind = simple(d, sql, NULL, err);
    if (!kind)
        kind = setting_is(d, "server_encoding", value, sizeof value, err);
    if (!kind && strcmp(value, "UTF8") != 0)
        kind = err_set(err, ERR_UNAVAILABLE, "the store's database must be in UTF8, it is in %s", value);
    if (kind || !d->writer)
        return kind;
    // An acknowledged order is on disk. Stronger (remote_apply) is fine, weaker is not.
    kind = setting_is(d, "synchronous_commit", value, sizeof value, err);
    if (!kind && strcmp(value, "on") != 0 && strcmp(value, "remote_apply") != 0) {
        kind = simple(d, "SET synchronous_commit = on", NULL, err);
        if (!kind)
            kind = setting_is(d, "synchronous_commit", value, sizeof value, err);
        if (!kind && strcmp(value, "on") != 0)
            kind = err_set(err, ERR_UNAVAILABLE, "the store's setting synchronous_commit is %s and cannot be made on", value);
    }
    return kind;
}

// Parses all statements on the server and learns the types of their parameters.
static enum err_kind prepare_one(struct db_pg *d, const char *name, const char *sql, const char *types, struct err *err) {
    Oid oids[PARAMS_MAX];
    int n = types ? (int)strlen(types) : 0;
    for (int i = 0; i < n; i++)
        oids[i] = types[i] == 'i' ? OID_INT8 : types[i] == 't' ? OID_TEXT : OID_BYTEA;
    if (!PQsendPrepare(d->c, name, sql, n, oids) || !PQsendDescribePrepared(d->c, name))
        return lost(d, PQerrorMessage(d->c), err);
    return ERR_NONE;
}

static enum err_kind learn(struct db_pg *d, const char *name, struct prepared *p, struct err *err) {
    for (int call = 0; call < 2; call++) {
        PGresult *res = NULL, *end = NULL;
        enum err_kind kind = await(d, ANSWER_MS, &res, err);
        if (!kind && !res)
            kind = lost(d, PQerrorMessage(d->c), err);
        if (!kind && !is_good(res))
            kind = refused(d, res, name, err);
        if (!kind && call == 1) {
            p->n = PQnparams(res);
            CHECK(p->n <= PARAMS_MAX);
            for (int i = 0; i < p->n; i++) {
                p->type[i] = (uint8_t)PQparamtype(res, i);
                if (p->type[i] != OID_INT8 && p->type[i] != OID_INT2 && p->type[i] != OID_TEXT && p->type[i] != OID_BYTEA)
                    kind = err_set(err, ERR_INTERNAL, "statement %s: the type of parameter %d is not certain", name, i + 1);
            }
        }
        PQclear(res);
        if (!d->gone && !await(d, ANSWER_MS, &end, err))
            PQclear(end);
        if (kind)
            return kind;
    }
    return ERR_NONE;
}

static bool is_ours(const struct db_pg *d, int statement) {
    return d->writer || !(statements[statement].flags & DB_WRITES);
}

#define MANY_NAME_MAX 64
static void many_name(enum statement st, char out[MANY_NAME_MAX]) {
    snprintf(out, MANY_NAME_MAX, "many_%s", statements[st].name);
}

// The forms for many rows: their types are those of the forms for one.
static enum err_kind prepare_many(struct db_pg *d, struct err *err) {
    struct buf sql;
    enum err_kind kind = ERR_NONE;
    buf_init(&sql, 1 << 16);
    for (int i = 0; i < STATEMENTS && !kind; i++) {
        char types[PARAMS_MAX + 1], name[MANY_NAME_MAX];
        const struct prepared *p = &d->statement[i];
        if (!pg_texts[i].many)
            continue;
        for (int k = 0; k < p->n; k++)
            types[k] = p->type[k] == OID_INT8 ? 'i' : p->type[k] == OID_INT2 ? 's' : p->type[k] == OID_TEXT ? 't' : 'b';
        types[p->n] = 0;
        buf_clear(&sql);
        db_pg_translate_many((enum statement)i, types, &sql);
        buf_add_char(&sql, '\0');
        many_name((enum statement)i, name);
        if (!PQsendPrepare(d->c, name, sql.p, 0, NULL))
            kind = lost(d, PQerrorMessage(d->c), err);
        d->sent++;
        if (!d->many[i].column)
            many_init(&d->many[i], p->n);
    }
    buf_release(&sql);
    int failed;
    return kind ? kind : go(d, ANSWER_MS, "prepare many", -1, NULL, &failed, err);
}

static enum err_kind prepare_all(struct db_pg *d, struct err *err) {
    struct buf sql;
    buf_init(&sql, 1 << 16);
    enum err_kind kind = PQenterPipelineMode(d->c) ? ERR_NONE : lost(d, PQerrorMessage(d->c), err);
    for (int i = 0; i < CONTROLS && !kind; i++)
        kind = prepare_one(d, controls[i].name, controls[i].sql, controls[i].types, err);
    for (int i = 0; i < STATEMENTS && !kind; i++) {
        buf_clear(&sql);
        db_pg_translate((enum statement)i, &sql);
        buf_add_char(&sql, '\0');
        if (is_ours(d, i))
            kind = prepare_one(d, statements[i].name, sql.p, pg_texts[i].types, err);
    }
    buf_release(&sql);
    if (!kind && !PQpipelineSync(d->c))
        kind = lost(d, PQerrorMessage(d->c), err);
    for (int i = 0; i < CONTROLS && !kind; i++)
        kind = learn(d, controls[i].name, &d->control[i], err);
    for (int i = 0; i < STATEMENTS && !kind; i++) {
        if (is_ours(d, i))
            kind = learn(d, statements[i].name, &d->statement[i], err);
    }
    if (kind)
        return kind;
    int failed;
    kind = take_all(d, ANSWER_MS, "prepare", (struct wanted){0}, &failed, err);
    if (!kind && d->writer)
        kind = prepare_many(d, err);
    d->prepared = !kind;
    return kind;
}

static enum err_kind connect(struct db_pg *d, struct err *err) {
    PQfinish(d->c);
    d->gone = true;
    d->begun = d->broken = d->before_job = d->behind = false;
    d->sent = 0;
    // What stands before the location may be overridden there, what stands behind it may not.
    const char *const names[] = {"connect_timeout",  "keepalives_idle",      "keepalives_interval",
                                 "keepalives_count", "tcp_user_timeout",     "fallback_application_name",
                                 "dbname",           "target_session_attrs", NULL};
    const char *const values[] = {"5", "5", "5", "3", "20000", "topupd", d->location, "read-write", NULL};
    d->c = PQconnectdbParams(names, values, 1);
    if (!d->c)
        return err_set(err, ERR_UNAVAILABLE, "no memory for a connection to the store");
    if (PQstatus(d->c) != CONNECTION_OK) {
        struct str line = first_line(PQerrorMessage(d->c));
        d->tried = clock_mono(&clock_system);
        return err_set(err, ERR_UNAVAILABLE, "the store is away: " STR_FMT, STR_ARG(line));
    }
    PQsetNoticeReceiver(d->c, no_notice, NULL);
    d->gone = false;
    enum err_kind kind = settings(d, err);
    if (kind)
        d->gone = true;
    return kind;
}

// Again, with all that it had before.
static enum err_kind reconnect(struct db_pg *d, struct err *err) {
    if (d->tried.ns && mono_ms_between(d->tried, clock_mono(&clock_system)) < RECONNECT_MS)
        return err_set(err, ERR_UNAVAILABLE, "the store is away");
    bool prepared = d->prepared;
    d->prepared = false;
    enum err_kind kind = connect(d, err);
    if (!kind && prepared)
        kind = prepare_all(d, err);
    if (kind)
        d->gone = true;
    else
        d->tried = (struct mono){0};
    d->prepared = prepared;
    return kind;
}

static void drop_rows(struct db_pg *d) {
    for (int i = 0; i < STATEMENTS; i++) {
        if (!d->rows[i].shared)
            PQclear(d->rows[i].res);
        d->rows[i] = (struct rows){0};
    }
}

static void drop_gathered(struct db_pg *d) {
    for (size_t i = 0; i < ARRAY_LEN(gathered); i++)
        many_clear(&d->many[gathered[i]]);
    keys_clear(&d->touched);
    d->touched_all = false;
}

// Nothing is known any more.
static void drop_answers(struct db_pg *d) {
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        PQclear(d->ahead[i].res);
        d->ahead[i].res = NULL;
        d->ahead[i].again = false;
        many_clear(&d->many[asked[i]]);
    }
    memset(d->stale, 0, sizeof d->stale);
    while (d->n_kept > 0)
        PQclear(d->kept[--d->n_kept]);
    keys_clear(&d->answers);
    keys_clear(&d->spoilt);
    d->spoilt_all = false;
}

static void pg_close(struct db *db) {
    if (!db)
        return;
    struct db_pg *d = pg_of(db);
    drop_rows(d);
    for (int i = 0; i < STATEMENTS; i++) {
        if (d->many[i].column)
            many_release(&d->many[i]);
    }
    drop_answers(d);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++)
        free(d->ahead[i].rows);
    keys_release(&d->touched);
    keys_release(&d->spoilt);
    keys_release(&d->answers);
    PQfinish(d->c);
    free(d->location);
    free(d);
}

static enum err_kind pg_open(const struct db_driver *self, const char *location, bool writer, bool may_create, struct db **out,
                             struct err *err) {
    struct db_pg *d = xcalloc(1, sizeof *d);
    d->db.driver = self;
    d->location = xstrdup(location);
    d->writer = writer;
    d->may_create = may_create;
    d->id = (int64_t)(rng_u64(&rng_system) >> 1);
    d->turn_committed = -1;
    keys_init(&d->touched);
    keys_init(&d->spoilt);
    keys_init(&d->answers);
    enum err_kind kind = connect(d, err);
    if (!kind && writer) {
        char value[16];
        kind = setting_is(d, "fsync", value, sizeof value, err);
        if (!kind && strcmp(value, "on") != 0)
            log_warn("store.not_durable", LOG_TEXT("setting", "fsync"), LOG_TEXT("value", value));
    }
    if (kind) {
        pg_close(&d->db);
        return kind;
    }
    *out = &d->db;
    return ERR_NONE;
}

// ---- the schema ----

static enum err_kind pg_version(struct db *db, int64_t *out, struct err *err) {
    struct db_pg *d = pg_of(db);
    int64_t there = 0, tables = 0, schema = 0;
    enum err_kind kind = simple_int(d, "SELECT (current_schema() IS NOT NULL)::int", 0, &schema, err);
    if (!kind && !schema)
        kind = err_set(err, ERR_UNAVAILABLE, "the store's role has no schema: its search_path names none that is there");
    if (!kind)
        kind = simple_int(d, "SELECT (to_regclass('topupd_schema') IS NOT NULL)::int", 0, &there, err);
    if (kind)
        return kind;
    if (there)
        return simple_int(d, "SELECT version FROM topupd_schema", 0, out, err);
    // Nothing is written before this has said that there is nobody else's.
    kind = simple_int(d,
                      "SELECT count(*) FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')"
                      " AND NOT EXISTS (SELECT 1 FROM pg_depend p WHERE p.objid = c.oid AND p.deptype = 'e')",
                      0, &tables, err);
    if (!kind && tables)
        kind = err_set(err, ERR_CONFLICT, "the database holds another program's tables");
    if (!kind && !d->may_create)
        kind = err_set(err, ERR_NOT_FOUND, "there is no store in the database");
    if (!kind)
        *out = 0;
    return kind;
}

static enum err_kind pg_set_version(struct db *db, int64_t version, struct err *err) {
    char sql[256];
    snprintf(sql, sizeof sql,
             "CREATE TABLE IF NOT EXISTS topupd_schema (version BIGINT NOT NULL); DELETE FROM topupd_schema;"
             "INSERT INTO topupd_schema VALUES (%" PRId64 ")",
             version);
    return simple(pg_of(db), sql, NULL, err);
}

static enum err_kind pg_script(struct db *db, const char *sql, struct err *err) {
    return simple(pg_of(db), sql, NULL, err);
}

static enum err_kind pg_prepare(struct db *db, struct err *err) {
    struct db_pg *d = pg_of(db);
    struct db_value days = db_int(WRITER_DAYS);
    enum err_kind kind = prepare_all(d, err);
    if (kind || !d->writer)
        return kind;
    kind = put(d, -1, CTL_WRITER_FORGET, &days, 1, err);
    int failed;
    return kind ? kind : go(d, ANSWER_MS, "writer_forget", -1, NULL, &failed, err);
}

// ---- transactions ----

static int64_t int_at(const PGresult *res, int row, int column) {
    uint64_t v;
    memcpy(&v, PQgetvalue(res, row, column), sizeof v);
    return (int64_t)be64toh(v);
}

// The number in a result's only field.
static int64_t number_in(const PGresult *res) {
    return PQntuples(res) == 1 && PQgetlength(res, 0, 0) == sizeof(int64_t) ? int_at(res, 0, 0) : 0;
}

static enum err_kind put_many(struct db_pg *d, enum statement st, struct err *err);

// Everything that was asked for ahead.
static enum err_kind put_asked(struct db_pg *d, int *n, struct err *err) {
    enum err_kind kind = ERR_NONE;
    *n = 0;
    for (size_t i = 0; i < ARRAY_LEN(asked) && !kind; i++) {
        if (d->many[asked[i]].rows > 0) {
            kind = put_many(d, asked[i], err);
            ++*n;
        }
    }
    return kind;
}

// Where each of those asked for has its rows. They come in the order in which they were asked for; if they ever do not, the answer is of
// no use.
static bool find_rows(struct ahead *a, const PGresult *res, int asked_for) {
    if (a->cap < asked_for) {
        free(a->rows);
        a->cap = asked_for;
        a->rows = xcalloc((size_t)asked_for, sizeof *a->rows);
    }
    int at = 0, rows = PQntuples(res);
    for (int i = 0; i < asked_for; i++) {
        a->rows[i].from = at;
        while (at < rows && int_at(res, at, 0) == i + 1)
            at++;
        a->rows[i].end = at;
    }
    return at == rows;
}

static void take_asked(struct db_pg *d, PGresult **res) {
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        int n = d->many[asked[i]].rows;
        if (n == 0)
            continue;
        struct ahead *a = &d->ahead[i];
        PQclear(a->res);
        a->res = *res++;
        if (!find_rows(a, a->res, n)) {
            PQclear(a->res);
            a->res = NULL;
        }
    }
}

// The beginning, the turn and what was asked for ahead, in one round trip.
static enum err_kind begin_writing(struct db_pg *d, struct err *err) {
    struct db_value id = db_int(d->id);
    PGresult *res[1 + ARRAY_LEN(asked)] = {0};
    int failed, n = 0;
    enum err_kind kind = put_control(d, CTL_BEGIN, err);
    if (!kind)
        kind = put(d, -1, CTL_TURN, &id, 1, err);
    if (!kind)
        kind = put_asked(d, &n, err);
    if (!kind)
        kind = go_for(d, ANSWER_MS, "turn", (struct wanted){1, 1 + n, res}, &failed, err);
    if (kind)
        return kind;
    d->turn = number_in(res[0]);
    d->db.others = d->turn != d->turn_committed + 1;
    d->begun = true;
    PQclear(res[0]);
    take_asked(d, res + 1);
    return ERR_NONE;
}

static void pg_rollback(struct db *db) {
    struct db_pg *d = pg_of(db);
    struct err err = {0};
    int failed;
    d->in_transaction = false;
    bool begun = d->begun;
    d->begun = d->broken = d->before_job = false;
    drop_rows(d);
    drop_gathered(d);
    drop_answers(d);
    if (d->gone || !begun)
        return;
    if (!d->prepared) {
        (void)!simple(d, "ROLLBACK", NULL, &err);
    } else if (d->writer) {
        if (!put_control(d, CTL_ROLLBACK, &err))
            (void)!go(d, ANSWER_MS, "rollback", -1, NULL, &failed, &err);
        d->broken = d->before_job = false;
    } else if (!put_control(d, CTL_COMMIT, &err)) { // of what has only read: waited for at the next begin
        d->behind = PQpipelineSync(d->c);
        d->gone = !d->behind;
    }
}

static enum err_kind put_gathered(struct db_pg *d, struct err *err);

static enum err_kind pg_begin(struct db *db, struct err *err) {
    struct db_pg *d = pg_of(db);
    CHECK(!d->in_transaction);
    db->late = false;
    if (!d->prepared) { // a migration: one node at a time
        enum err_kind kind = simple(d, "BEGIN; SELECT pg_advisory_xact_lock(" MIGRATION_LOCK ")", NULL, err);
        d->in_transaction = d->begun = !kind;
        return kind;
    }
    if (!d->gone && catch_up(d, err))
        err_clear(err);
    enum err_kind kind = d->gone ? reconnect(d, err) : ERR_NONE;
    if (kind) {
        drop_answers(d);
        return kind;
    }
    if (d->writer) {
        kind = begin_writing(d, err);
        if (kind && d->gone) { // it had gone while it lay idle: the usual end of one
            err_clear(err);
            kind = reconnect(d, err);
            if (!kind)
                kind = begin_writing(d, err);
        }
        if (kind) {
            d->begun = !d->gone;
            pg_rollback(db);
            return kind;
        }
    }
    d->in_transaction = true;
    return ERR_NONE;
}

// Whether this writer's turn has been committed after all. The turn is taken for it: whoever had it has ended. A server that was started
// anew may have the commit while its standby has not, so this one commits, too: what waits for a standby waits for all before it.
static enum err_kind committed(struct db_pg *d, bool *yes, struct err *err) {
    struct db_value id = db_int(d->id);
    PGresult *res = NULL;
    int failed;
    enum err_kind kind = reconnect(d, err);
    if (!kind)
        kind = put_control(d, CTL_BEGIN, err);
    if (!kind)
        kind = put_control(d, CTL_TURN_LOOK, err);
    if (!kind)
        kind = put(d, -1, CTL_WRITER_OF, &id, 1, err);
    if (!kind)
        kind = put_control(d, CTL_COMMIT, err);
    if (!kind)
        kind = go(d, ANSWER_MS, "writer_of", 2, &res, &failed, err);
    if (kind)
        return kind;
    *yes = number_in(res) == d->turn;
    PQclear(res);
    return ERR_NONE;
}

static enum err_kind find_out(struct db_pg *d, struct err *err) {
    struct mono from = clock_mono(&clock_system);
    bool yes = false;
    do {
        struct err why = {0};
        enum err_kind kind = committed(d, &yes, &why);
        if (!kind)
            return yes ? ERR_NONE : err_set(err, ERR_RETRY, "the store was away");
        d->gone = true;
        (void)!poll(NULL, 0, RECONNECT_MS);
    } while (mono_ms_between(from, clock_mono(&clock_system)) < RESOLVE_MS);
    return err_set(err, ERR_UNSURE, "the store went away during a commit");
}

static enum err_kind pg_commit(struct db *db, struct err *err) {
    struct db_pg *d = pg_of(db);
    CHECK(d->in_transaction);
    if (!d->prepared) {
        enum err_kind kind = simple(d, "COMMIT", NULL, err);
        d->in_transaction = d->begun = kind != ERR_NONE;
        return kind;
    }
    if (d->broken)
        return refuse_broken(d, err);
    PGresult *res = NULL;
    int failed = -1;
    enum err_kind kind = put_gathered(d, err);
    int at = d->sent;
    if (!kind)
        kind = put_control(d, CTL_COMMIT, err);
    if (kind)
        return kind;
    kind = go(d, ANSWER_MS, "commit", at, &res, &failed, err);
    db->late = failed >= 0 && failed < at;
    if (d->gone) { // wherever the answers stopped: it was sent
        PQclear(res);
        kind = find_out(d, err);
    } else if (!kind) {
        bool done = res && strcmp(PQcmdStatus(res), "COMMIT") == 0;
        PQclear(res);
        if (!done)
            kind = err_set(err, ERR_RETRY, "the store undid the transaction");
    }
    if (kind)
        return kind;
    d->turn_committed = d->turn;
    d->in_transaction = d->begun = d->broken = d->before_job = false;
    drop_answers(d);
    return ERR_NONE;
}

static enum err_kind pg_savepoint(struct db *db, struct err *err) {
    struct db_pg *d = pg_of(db);
    return d->broken ? refuse_broken(d, err) : put_control(d, CTL_JOB, err);
}
static enum err_kind pg_release(struct db *db, struct err *err) {
    struct db_pg *d = pg_of(db);
    return d->broken ? refuse_broken(d, err) : put_control(d, CTL_JOB_KEEP, err);
}
static enum err_kind pg_undo(struct db *db, struct err *err) {
    struct db_pg *d = pg_of(db);
    if (d->before_job)
        return refuse_broken(d, err);
    drop_answers(d); // they may be of what is undone
    int failed;
    enum err_kind kind = put_control(d, CTL_JOB_UNDO, err);
    if (!kind)
        kind = put_control(d, CTL_JOB_KEEP, err);
    if (!kind)
        kind = go(d, ANSWER_MS, "undo", -1, NULL, &failed, err);
    if (!kind)
        d->broken = false;
    return kind;
}

// ---- statements ----

static int limit_of(int statement) {
    return statement >= ST_IMPORT_INSERT && statement <= ST_IMPORT_FORGET_OLD ? LONG_MS : ANSWER_MS;
}

static enum err_kind begin_if_not_begun(struct db_pg *d, struct err *err) {
    if (d->begun)
        return ERR_NONE;
    d->begun = true;
    return put_control(d, CTL_BEGIN_READ, err);
}

// By how many of its values a query is known when something changes its answer.
static size_t key_length(int statement, size_t n) {
    return statement == ST_SUBSCRIPTION_USABLE ? 1 : n; // the SIM
}

static void spoil_one(struct db_pg *d, int tag, const struct db_value *params, size_t n, bool gather) {
    keys_add(&d->spoilt, tag, params, n, 0);
    d->spoilt_all = d->spoilt_all || !keys_find(&d->spoilt, tag, params, n);
    if (!gather)
        return;
    keys_add(&d->touched, tag, params, n, 0);
    d->touched_all = d->touched_all || !keys_find(&d->touched, tag, params, n);
}

// What is known and is different once this is written. `gather`: it will be only later.
static void spoil(struct db_pg *d, int statement, const struct db_value *params, bool gather) {
    switch (statement) {
    case ST_IDEM_INSERT:
    case ST_IDEM_UPDATE:
        spoil_one(d, ST_IDEM_GET, params, 2, gather); // partner, key
        return;
    case ST_TASK_INSERT:
        spoil_one(d, ST_SIM_OPEN, &params[3], 1, gather);
        spoil_one(d, ST_TASK_FIRST_OPEN, &params[3], 1, gather);
        return;
    case ST_SUBSCRIPTION_INSERT:
        spoil_one(d, ST_SIM_OPEN, &params[2], 1, gather);
        spoil_one(d, ST_SUBSCRIPTION_USABLE, &params[2], 1, gather);
        return;
    case ST_SUBSCRIPTION_UPDATE_BALANCE:
    case ST_SUBSCRIPTION_UPDATE:
        spoil_one(d, ST_SIM_OPEN, params, 1, gather);
        spoil_one(d, ST_SUBSCRIPTION_USABLE, params, 1, gather);
        return;
    case ST_SUBSCRIPTION_SPEND:
        spoil_one(d, ST_SUBSCRIPTION_USABLE, params, 1, gather);
        if (gather)
            spoil_one(d, ST_SUBSCRIPTION_SPEND, params, 2, gather);
        return;
    case ST_USAGE_INSERT:
        spoil_one(d, ST_USAGE_FIND, &params[1], 2, gather); // source, its number for it
        return;
    case ST_SIM_UPDATE_LIFE:
        spoil_one(d, ST_SIM_GET, params, 1, gather);
        return;
    case ST_ORDER_INSERT: // read with its subscription, which is written after it
    case ST_EVENT_INSERT:
    case ST_SEQUENCE_SET:
    case ST_CAP_ADD:
    case ST_NUMBER_SET:
    case ST_PING:
    case ST_TASK_TELL:
    case ST_NOTIFICATION_QUEUE:
    case ST_USAGE_BOOK:
    case ST_IMPORT_ROW_INSERT:
        return;
    default:
        for (size_t i = 0; i < ARRAY_LEN(asked); i++)
            d->stale[asked[i]] = d->stale[asked[i]] || db_pg_changes((enum statement)statement, asked[i]);
        d->stale[KEPT] = d->stale[KEPT] || db_pg_changes((enum statement)statement, KEPT);
    }
}

// Sends the forms for many rows, with all rows that are gathered; they are not waited for.
static enum err_kind put_many(struct db_pg *d, enum statement st, struct err *err) {
    struct many *m = &d->many[st];
    const char *values[PARAMS_MAX];
    int lengths[PARAMS_MAX], formats[PARAMS_MAX];
    char name[MANY_NAME_MAX];
    if (!many_finish(m, d->statement[st].type))
        return err_set(err, ERR_INTERNAL, "no memory for the rows of a transaction");
    for (int i = 0; i < m->n; i++) {
        values[i] = m->column[i].p;
        lengths[i] = (int)m->column[i].n;
        formats[i] = 1;
    }
    many_name(st, name);
    if (!PQsendQueryPrepared(d->c, name, m->n, values, lengths, formats, 1))
        return lost(d, PQerrorMessage(d->c), err);
    d->sent++;
    return ERR_NONE;
}

static enum err_kind put_gathered(struct db_pg *d, struct err *err) {
    enum err_kind kind = ERR_NONE;
    for (size_t i = 0; i < ARRAY_LEN(gathered) && !kind; i++) {
        if (d->many[gathered[i]].rows > 0)
            kind = put_many(d, gathered[i], err);
    }
    drop_gathered(d);
    return kind;
}

static bool is_gathered(int statement) {
    for (size_t i = 0; i < ARRAY_LEN(gathered); i++) {
        if ((int)gathered[i] == statement)
            return true;
    }
    return false;
}

static enum err_kind gather(struct db_pg *d, int statement, const struct db_value *params, struct err *err) {
    struct many *m = &d->many[statement];
    // One statement changes a row once.
    if (statement == ST_SUBSCRIPTION_SPEND && (d->touched_all || keys_find(&d->touched, statement, params, 2))) {
        enum err_kind kind = put_gathered(d, err);
        if (kind)
            return kind;
    }
    spoil(d, statement, params, true);
    many_add(m, d->statement[statement].type, params);
    return m->rows >= GATHERED_MAX ? put_gathered(d, err) : ERR_NONE;
}

// Several rows in one statement: for us they are like others.
static int one_of(int statement) {
    switch (statement) {
    case ST_ORDER_INSERT_MANY:
        return ST_ORDER_INSERT;
    case ST_SUBSCRIPTION_INSERT_MANY:
        return ST_SUBSCRIPTION_INSERT;
    case ST_EVENT_INSERT_MANY:
        return ST_EVENT_INSERT;
    default:
        return statement;
    }
}

// Whether it need not be done at once. *kind: how it went.
static bool put_off(struct db_pg *d, int statement, const struct db_value *params, size_t n, enum err_kind *kind, struct err *err) {
    int one = one_of(statement);
    bool gathers = is_gathered(one);
    if (!gathers && one != ST_SEQUENCE_SET && one != ST_NUMBER_SET && one != ST_CAP_ADD)
        return false;
    size_t row = (size_t)d->statement[one].n;
    *kind = ERR_NONE;
    for (size_t i = 0; i < n && !*kind; i += row) {
        if (gathers) {
            *kind = gather(d, one, params + i, err);
        } else {
            spoil(d, one, params + i, false);
            *kind = put(d, one, 0, params + i, row, err);
        }
    }
    return true;
}

static enum err_kind pg_exec(struct db *db, int statement, const struct db_value *params, size_t n, int64_t *changed, struct err *err) {
    struct db_pg *d = pg_of(db);
    CHECK(d->in_transaction && d->writer);
    if (d->broken)
        return refuse_broken(d, err);
    enum err_kind kind = ERR_NONE;
    bool one = (statements[statement].flags & DB_ONE) != 0;
    if (db->defer && (!changed || one) && put_off(d, statement, params, n, &kind, err)) {
        if (changed)
            *changed = 1; // or its form for many rows fails
        return kind;
    }
    bool guarded = !pg_texts[statement].sure;
    PGresult *res = NULL;
    int failed = -1;
    spoil(d, statement, params, false);
    if (!pg_texts[statement].apart)
        kind = put_gathered(d, err);
    int first = d->sent;
    if (!kind && guarded)
        kind = put_control(d, CTL_ONE, err);
    int at = d->sent;
    if (!kind)
        kind = put(d, statement, 0, params, n, err);
    if (!kind && guarded)
        kind = put_control(d, CTL_ONE_KEEP, err);
    if (!kind)
        kind = go(d, limit_of(statement), statements[statement].name, at, &res, &failed, err);
    int64_t count = 0;
    if (!kind && changed && !str_to_i64(str_of(PQcmdTuples(res)), &count))
        kind = err_set(err, ERR_INTERNAL, "store: %s changes nothing that is counted", statements[statement].name);
    PQclear(res);
    if (!kind && changed)
        *changed = count;
    db->late = db->late || (failed >= 0 && failed < first);
    if (kind == ERR_CONFLICT && guarded && failed == at) {
        struct err why = {0};
        enum err_kind back = put_control(d, CTL_ONE_UNDO, &why);
        if (!back)
            back = put_control(d, CTL_ONE_KEEP, &why);
        if (!back)
            back = go(d, ANSWER_MS, "undo", -1, NULL, &failed, &why);
        if (back) {
            *err = why;
            return back;
        }
        d->broken = false;
    }
    return kind;
}

// ---- queries ----

static void pg_ahead(struct db *db, int statement, const struct db_value *params, size_t n) {
    struct db_pg *d = pg_of(db);
    struct many *m = &d->many[statement];
    if (m->column && !d->in_transaction && keys_add(&d->answers, statement, params, n, m->rows))
        many_add(m, d->statement[statement].type, params);
}

// Keeps what was answered for who asks again; from then on the rows are not their query's own.
static void keep(struct db_pg *d, int statement, const struct db_value *params, size_t n) {
    struct rows *r = &d->rows[statement];
    if (d->n_kept == KEPT_MAX || !keys_add(&d->answers, statement, params, n, d->n_kept))
        return;
    d->kept[d->n_kept++] = r->res;
    r->shared = true;
}

static struct ahead *ahead_of(struct db_pg *d, int statement) {
    size_t i = 0;
    while (i < ARRAY_LEN(asked) && (int)asked[i] != statement)
        i++;
    return i < ARRAY_LEN(asked) ? &d->ahead[i] : NULL;
}

// All that was asked for ahead of a statement, once more: something was written since, maybe by one job of many.
static enum err_kind ask_again(struct db_pg *d, int statement, struct ahead *a, struct err *err) {
    PGresult *res = NULL;
    int failed = -1;
    a->again = true;
    enum err_kind kind = put_gathered(d, err);
    int first = d->sent;
    if (!kind)
        kind = put_many(d, (enum statement)statement, err);
    if (!kind)
        kind = go(d, ANSWER_MS, statements[statement].name, first, &res, &failed, err);
    if (kind) {
        d->db.late = d->db.late || (!d->gone && failed >= 0 && failed < first);
        return kind;
    }
    PQclear(a->res);
    a->res = res;
    if (!find_rows(a, res, d->many[statement].rows)) {
        PQclear(a->res);
        a->res = NULL;
    }
    d->stale[statement] = false;
    return ERR_NONE;
}

// Whether the answer is there already.
static bool is_answered(struct db_pg *d, int statement, const struct db_value *params, size_t n) {
    struct rows *r = &d->rows[statement];
    const struct key *k = keys_find(&d->answers, statement, params, n);
    if (!k || d->stale[statement] || d->spoilt_all || keys_find(&d->spoilt, statement, params, key_length(statement, n)))
        return false;
    if (statement == KEPT) {
        *r = (struct rows){.res = d->kept[k->value], .row = -1, .end = PQntuples(d->kept[k->value]), .shared = true};
        return true;
    }
    const struct ahead *a = ahead_of(d, statement);
    if (!a->res)
        return false;
    struct span at = a->rows[k->value];
    *r = (struct rows){.res = a->res, .row = at.from - 1, .end = at.end, .skip = 1, .shared = true};
    return true;
}

// Whether what is gathered might change its answer.
static bool is_touched(const struct db_pg *d, int statement, const struct db_value *params, size_t n) {
    if (pg_texts[statement].apart)
        return false;
    if (pg_texts[statement].many)
        return d->touched_all || keys_find(&d->touched, statement, params, key_length(statement, n)) != NULL;
    if (statement == ST_ORDER_BY_REFERENCE || statement == ST_ORDER_REFERENCES || statement == ST_ORDER_GET)
        return d->many[ST_ORDER_INSERT].rows > 0;
    return true;
}

static enum err_kind pg_query(struct db *db, int statement, const struct db_value *params, size_t n, struct err *err) {
    struct db_pg *d = pg_of(db);
    CHECK(d->in_transaction && !d->rows[statement].res);
    if (d->broken)
        return refuse_broken(d, err);
    PGresult *res = NULL;
    int failed;
    bool begins = !d->begun;
    enum err_kind kind = ERR_NONE;
    struct ahead *ahead = d->stale[statement] ? ahead_of(d, statement) : NULL;
    if (ahead && !ahead->again && keys_find(&d->answers, statement, params, n))
        kind = ask_again(d, statement, ahead, err);
    if (kind || (d->writer && is_answered(d, statement, params, n)))
        return kind;
    kind = begin_if_not_begun(d, err);
    if (!kind && is_touched(d, statement, params, n))
        kind = put_gathered(d, err);
    int first = d->sent;
    if (!kind)
        kind = put(d, statement, 0, params, n, err);
    if (!kind) {
        kind = go(d, limit_of(statement), statements[statement].name, first, &res, &failed, err);
        db->late = db->late || (d->writer && !d->gone && failed >= 0 && failed < first);
    }
    if (kind && d->gone && begins && !d->writer) { // nothing has been read yet: on another connection, then
        err_clear(err);
        kind = reconnect(d, err);
        if (!kind)
            kind = begin_if_not_begun(d, err);
        if (!kind)
            kind = put(d, statement, 0, params, n, err);
        if (!kind)
            kind = go(d, limit_of(statement), statements[statement].name, d->sent - 1, &res, &failed, err);
    }
    if (kind)
        return kind;
    d->rows[statement] = (struct rows){.res = res, .row = -1, .end = PQntuples(res)};
    if (d->writer && statement == KEPT)
        keep(d, statement, params, n);
    return ERR_NONE;
}

static enum err_kind pg_next(struct db *db, int statement, bool *more, struct err *err) {
    struct rows *r = &pg_of(db)->rows[statement];
    (void)err;
    *more = r->row + 1 < r->end;
    r->row += *more;
    return ERR_NONE;
}

static struct db_value pg_column(struct db *db, int statement, int column) {
    const struct rows *r = &pg_of(db)->rows[statement];
    const PGresult *res = r->res;
    int row = r->row;
    column += r->skip;
    if (PQgetisnull(res, row, column))
        return db_null();
    const char *p = PQgetvalue(res, row, column);
    size_t n = (size_t)PQgetlength(res, row, column);
    union {
        uint64_t eight;
        uint32_t four;
        uint16_t two;
    } v;
    switch (PQftype(res, column)) {
    case OID_INT8:
        memcpy(&v.eight, p, sizeof v.eight);
        return db_int((int64_t)be64toh(v.eight));
    case OID_INT4:
        memcpy(&v.four, p, sizeof v.four);
        return db_int((int32_t)be32toh(v.four));
    case OID_INT2:
        memcpy(&v.two, p, sizeof v.two);
        return db_int((int16_t)be16toh(v.two));
    case OID_BOOL:
        return db_int(*p);
    case OID_TEXT:
        return db_text((struct str){p, n});
    case OID_BYTEA:
        return db_blob(p, n);
    default:
        return db_blob("", 0); // no verb expects one: the row is told to be bad
    }
}

static void pg_finish(struct db *db, int statement) {
    struct rows *r = &pg_of(db)->rows[statement];
    if (!r->shared)
        PQclear(r->res);
    *r = (struct rows){0};
}

// ---- the rest ----

static enum err_kind read_table(struct db_pg *d, const char *table, struct err *err) {
    char sql[128];
    PGresult *res = NULL;
    int failed;
    snprintf(sql, sizeof sql, "SELECT count(t::text) FROM %s AS t", table);
    if (!PQsendQueryParams(d->c, sql, 0, NULL, NULL, NULL, NULL, 1))
        return lost(d, PQerrorMessage(d->c), err);
    d->sent++;
    enum err_kind kind = go(d, LONG_MS, table, 0, &res, &failed, err);
    PQclear(res);
    return kind;
}

// PostgreSQL holds references by itself; what it cannot see without looking are damaged pages and values.
static enum err_kind pg_check(struct db *db, struct err *err) {
    static const char *const tables[] = {
        "meta",         "partner",          "partner_secret",   "partner_sequence",
        "cap",          "operator_token",   "signing_key",      "product",
        "sim",          "sim_notification", "orders",           "task",
        "subscription", "usage_record",     "usage_booking",    "event",
        "webhook",      "webhook_secret",   "webhook_delivery", "notification",
        "idempotency",  "import",           "import_row",       "node",
        "rate",
    };
    struct db_pg *d = pg_of(db);
    int failed;
    enum err_kind kind = begin_if_not_begun(d, err);
    if (!kind)
        kind = go(d, ANSWER_MS, "begin", -1, NULL, &failed, err);
    for (size_t i = 0; i < ARRAY_LEN(tables) && !kind; i++)
        kind = read_table(d, tables[i], err);
    return kind;
}

static enum err_kind pg_upkeep(struct db *db, bool alone, enum db_upkeep *wants, struct err *err) {
    (void)db;
    (void)alone;
    (void)err;
    *wants = DB_UPKEEP_DONE; // autovacuum sees to it
    return ERR_NONE;
}

// ---- what nodes tell each other ----

static enum err_kind pg_tell(struct db *db, struct str text, struct err *err) {
    struct db_pg *d = pg_of(db);
    struct db_value value = db_text(text);
    return d->broken ? refuse_broken(d, err) : put(d, -1, CTL_TELL, &value, 1, err);
}

static enum err_kind listen_now(struct db_pg *d, struct err *err) {
    PGresult *res = NULL;
    int failed;
    char sql[128];
    enum err_kind kind = d->gone ? reconnect(d, err) : ERR_NONE;
    if (!kind)
        kind = put_control(d, CTL_LISTEN, err);
    if (!kind)
        kind = go(d, ANSWER_MS, "listen", 0, &res, &failed, err);
    if (kind)
        return kind;
    snprintf(sql, sizeof sql, "LISTEN %.*s", PQgetlength(res, 0, 0), PQgetvalue(res, 0, 0));
    PQclear(res);
    if (!PQsendQueryParams(d->c, sql, 0, NULL, NULL, NULL, NULL, 1))
        return lost(d, PQerrorMessage(d->c), err);
    d->sent++;
    kind = go(d, ANSWER_MS, "listen", -1, NULL, &failed, err);
    d->listens = !kind;
    return kind;
}

static enum err_kind pg_hear(struct db *db, int stop, struct buf *text, bool *missed, struct err *err) {
    struct db_pg *d = pg_of(db);
    buf_clear(text);
    *missed = !d->listens;
    if (!d->listens)
        return listen_now(d, err);
    for (;;) {
        PGnotify *n = PQnotifies(d->c);
        if (n) {
            buf_add_text(text, n->extra);
            PQfreemem(n);
            return ERR_NONE;
        }
        struct pollfd fds[] = {{.fd = stop, .events = POLLIN}, {.fd = PQsocket(d->c), .events = POLLIN}};
        if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
            return err_set(err, ERR_INTERNAL, "store: poll: %s", strerror(errno));
        if (fds[0].revents)
            return ERR_NONE;
        if (fds[1].revents && !PQconsumeInput(d->c)) {
            d->listens = false;
            return lost(d, PQerrorMessage(d->c), err);
        }
    }
}

const struct db_driver db_pg = {
    .name = "postgresql",
    .dialect = DB_PG,
    .open = pg_open,
    .close = pg_close,
    .version = pg_version,
    .set_version = pg_set_version,
    .prepare = pg_prepare,
    .begin = pg_begin,
    .commit = pg_commit,
    .rollback = pg_rollback,
    .savepoint = pg_savepoint,
    .release = pg_release,
    .undo = pg_undo,
    .exec = pg_exec,
    .query = pg_query,
    .next = pg_next,
    .column = pg_column,
    .finish = pg_finish,
    .ahead = pg_ahead,
    .script = pg_script,
    .check = pg_check,
    .upkeep = pg_upkeep,
    .tell = pg_tell,
    .hear = pg_hear,
};
