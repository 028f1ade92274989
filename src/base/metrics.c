// SPDX-License-Identifier: Apache-2.0
#include "base/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static const int64_t bounds_us[] = {100,    250,    500,    1000,    2500,    5000,    10000,    25000,    50000,
                                    100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000};
#define BUCKETS ARRAY_LEN(bounds_us)

struct histogram {
    _Atomic uint64_t buckets[BUCKETS + 1]; // not cumulative; the last is beyond all bounds
    _Atomic uint64_t sum_us;
};

struct metric {
    char *values[METRIC_LABELS_MAX];
    _Atomic int64_t value;
    struct histogram *histogram;
    struct metric *next; // in order of birth
};

#define SLOTS (2 * METRIC_CHILDREN_MAX) // a power of two, at most half full
#define VALUE_MAX 120                   // longer label values are cut

struct metric_family {
    char *name;
    char *help;
    enum metric_type type;
    size_t n_labels;
    char *labels[METRIC_LABELS_MAX];
    _Atomic(struct metric *) slots[SLOTS]; // read without the lock, filled with it
    struct metric *first;
    struct metric **last;
    size_t n_children;
    struct metric *other;
    struct metric_family *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // families, and the birth of children
static struct metric_family *families;
static struct metric_family **last_family = &families;

static bool good_name(const char *name) {
    for (const char *p = name; *p != '\0'; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_';
        if (!letter && (p == name || *p < '0' || *p > '9')) {
            return false;
        }
    }
    return name[0] != '\0';
}

static struct metric_family *find_family(const char *name) {
    struct metric_family *f = families;
    while (f != NULL && strcmp(f->name, name) != 0) {
        f = f->next;
    }
    return f;
}

struct metric_family *metric_family(const char *name, const char *help, enum metric_type type, const char *const *labels, size_t n_labels) {
    CHECK(good_name(name) && n_labels <= METRIC_LABELS_MAX);
    pthread_mutex_lock(&lock);
    struct metric_family *f = find_family(name);
    if (f == NULL) {
        f = xcalloc(1, sizeof(*f));
        f->name = xstrdup(name);
        f->help = xstrdup(help);
        f->type = type;
        f->n_labels = n_labels;
        for (size_t i = 0; i < n_labels; i++) {
            CHECK(good_name(labels[i]));
            f->labels[i] = xstrdup(labels[i]);
        }
        f->last = &f->first;
        *last_family = f;
        last_family = &f->next;
    }
    CHECK(f->type == type && f->n_labels == n_labels);
    pthread_mutex_unlock(&lock);
    if (n_labels == 0) {
        metric_child(f, NULL); // shown as 0 before it first happens
    }
    return f;
}

static struct metric *new_child(struct metric_family *f, char values[][VALUE_MAX + 1]) {
    struct metric *m = xcalloc(1, sizeof(*m));
    for (size_t i = 0; i < f->n_labels; i++) {
        m->values[i] = xstrdup(values[i]);
    }
    if (f->type == METRIC_HISTOGRAM) {
        m->histogram = xcalloc(1, sizeof(*m->histogram));
    }
    *f->last = m;
    f->last = &m->next;
    return m;
}

// The value as it is kept: cut, and '?' where it is not UTF-8 (the format knows nothing else).
static size_t keep_value(const char *value, char out[VALUE_MAX + 1]) {
    struct str s = {value, strnlen(value, VALUE_MAX)};
    size_t at = 0;
    while (s.n > 0) {
        size_t n = str_utf8_char(s);
        if (n == 0) {
            out[at++] = '?';
            n = 1;
        } else {
            memcpy(out + at, s.p, n);
            at += n;
        }
        s.p += n;
        s.n -= n;
    }
    out[at] = '\0';
    return at;
}

// Walks from the values' place to the child or to the empty slot where it would be.
static size_t find_slot(struct metric_family *f, uint64_t hash, char values[][VALUE_MAX + 1], struct metric **found) {
    for (size_t i = hash & (SLOTS - 1);; i = (i + 1) & (SLOTS - 1)) {
        struct metric *m = atomic_load_explicit(&f->slots[i], memory_order_acquire);
        bool same = m != NULL;
        for (size_t k = 0; same && k < f->n_labels; k++) {
            same = strcmp(m->values[k], values[k]) == 0;
        }
        if (m == NULL || same) {
            *found = m;
            return i;
        }
    }
}

struct metric *metric_child(struct metric_family *f, const char *const *values) {
    char kept[METRIC_LABELS_MAX][VALUE_MAX + 1];
    uint64_t hash = UINT64_C(0xcbf29ce484222325); // FNV-1a: the number of children is bounded, whoever chooses the values
    for (size_t i = 0; i < f->n_labels; i++) {
        size_t n = keep_value(values[i], kept[i]);
        for (size_t k = 0; k <= n; k++) { // with the NUL, which separates
            hash = (hash ^ (unsigned char)kept[i][k]) * UINT64_C(0x100000001b3);
        }
    }
    hash ^= hash >> 32;
    struct metric *m;
    find_slot(f, hash, kept, &m);
    if (m != NULL) {
        return m;
    }
    pthread_mutex_lock(&lock);
    size_t slot = find_slot(f, hash, kept, &m); // again: somebody may have been faster
    if (m == NULL && f->n_children < METRIC_CHILDREN_MAX) {
        m = new_child(f, kept);
        f->n_children++;
        atomic_store_explicit(&f->slots[slot], m, memory_order_release);
    } else if (m == NULL) {
        if (f->other == NULL) {
            for (size_t i = 0; i < f->n_labels; i++) {
                memcpy(kept[i], "other", sizeof("other"));
            }
            f->other = new_child(f, kept);
        }
        m = f->other;
    }
    pthread_mutex_unlock(&lock);
    return m;
}

void metric_add(struct metric *m, int64_t v) {
    atomic_fetch_add_explicit(&m->value, v, memory_order_relaxed);
}

void metric_set(struct metric *m, int64_t v) {
    atomic_store_explicit(&m->value, v, memory_order_relaxed);
}

void metric_observe_us(struct metric *m, int64_t microseconds) {
    int64_t us = microseconds > 0 ? microseconds : 0;
    size_t i = 0;
    while (i < BUCKETS && us > bounds_us[i]) {
        i++;
    }
    CHECK(m->histogram != NULL);
    atomic_fetch_add_explicit(&m->histogram->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->histogram->sum_us, (uint64_t)us, memory_order_relaxed);
}

// ---- text ----

static void add_escaped(struct buf *out, const char *text, bool quotes) {
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            buf_add_text(out, "\\n");
        } else if (*text == '\\' || (quotes && *text == '"')) {
            buf_add_char(out, '\\');
            buf_add_char(out, *text);
        } else {
            buf_add_char(out, *text);
        }
    }
}

// name{label="value",le="..."} without the value. `le` may be NULL.
static void add_sample_name(struct buf *out, const struct metric_family *f, const struct metric *m, const char *suffix, const char *le) {
    buf_add_text(out, f->name);
    buf_add_text(out, suffix);
    char before = '{';
    for (size_t i = 0; i < f->n_labels; i++) {
        buf_add_char(out, before);
        before = ',';
        buf_add_text(out, f->labels[i]);
        buf_add_text(out, "=\"");
        add_escaped(out, m->values[i], true);
        buf_add_char(out, '"');
    }
    if (le != NULL) {
        buf_add_char(out, before);
        before = ',';
        buf_printf(out, "le=\"%s\"", le);
    }
    buf_add_text(out, before == ',' ? "} " : " ");
}

static void add_seconds(struct buf *out, uint64_t us) {
    buf_printf(out, "%llu.%06llu", (unsigned long long)(us / 1000000), (unsigned long long)(us % 1000000));
}

static void render_histogram(struct buf *out, const struct metric_family *f, const struct metric *m) {
    uint64_t count = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        char le[32];
        snprintf(le, sizeof(le), "%g", (double)bounds_us[i] / 1e6);
        count += atomic_load_explicit(&m->histogram->buckets[i], memory_order_relaxed);
        add_sample_name(out, f, m, "_bucket", le);
        buf_add_u64(out, count);
        buf_add_char(out, '\n');
    }
    count += atomic_load_explicit(&m->histogram->buckets[BUCKETS], memory_order_relaxed);
    add_sample_name(out, f, m, "_bucket", "+Inf");
    buf_add_u64(out, count);
    buf_add_char(out, '\n');
    add_sample_name(out, f, m, "_sum", NULL);
    add_seconds(out, atomic_load_explicit(&m->histogram->sum_us, memory_order_relaxed));
    buf_add_char(out, '\n');
    add_sample_name(out, f, m, "_count", NULL);
    buf_add_u64(out, count);
    buf_add_char(out, '\n');
}

void metrics_render(struct buf *out) {
    static const char *const types[] = {[METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    pthread_mutex_lock(&lock);
    for (const struct metric_family *f = families; f != NULL; f = f->next) {
        buf_printf(out, "# HELP %s ", f->name);
        add_escaped(out, f->help, false);
        buf_printf(out, "\n# TYPE %s %s\n", f->name, types[f->type]);
        for (const struct metric *m = f->first; m != NULL; m = m->next) {
            if (f->type == METRIC_HISTOGRAM) {
                render_histogram(out, f, m);
            } else {
                add_sample_name(out, f, m, "", NULL);
                buf_add_i64(out, atomic_load_explicit(&m->value, memory_order_relaxed));
                buf_add_char(out, '\n');
            }
        }
    }
    pthread_mutex_unlock(&lock);
}

void metrics_reset(void) {
    pthread_mutex_lock(&lock);
    while (families != NULL) {
        struct metric_family *f = families;
        families = f->next;
        while (f->first != NULL) {
            struct metric *m = f->first;
            f->first = m->next;
            for (size_t i = 0; i < f->n_labels; i++) {
                free(m->values[i]);
            }
            free(m->histogram);
            free(m);
        }
        for (size_t i = 0; i < f->n_labels; i++) {
            free(f->labels[i]);
        }
        free(f->name);
        free(f->help);
        free(f);
    }
    last_family = &families;
    pthread_mutex_unlock(&lock);
}
