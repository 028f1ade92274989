// SPDX-License-Identifier: Apache-2.0
/*
 * metrics.h - counters, gauges and latency histograms in the Prometheus text format (0.0.4).
 *
 * A family is registered once at start (name, help, type, label names); its children appear as label values are first used, up to
 * METRIC_CHILDREN_MAX a family (beyond it they share the child "other"): what comes from outside cannot grow memory.
 * Adding is lock-free and may be done by any thread; hot code keeps the child's pointer.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/base.h"
#include "base/buf.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
#define METRIC_LABELS_MAX 3
#define METRIC_CHILDREN_MAX 512

struct metric_family;
struct metric; // one child

struct metric_family *metric_family(const char *name, const char *help, enum metric_type type, const char *const *labels, size_t n_labels);
struct metric *metric_child(struct metric_family *f, const char *const *values); // as many values as labels; never NULL
void metric_add(struct metric *m, int64_t v);                                    // counter (v >= 0) or gauge
void metric_set(struct metric *m, int64_t v);                                    // gauge
void metric_observe_us(struct metric *m, int64_t microseconds); // histogram, buckets from 100 us to 60 s, exposed in seconds

void metrics_render(struct buf *out);
void metrics_reset(void); // frees all: tests and process end

#endif
