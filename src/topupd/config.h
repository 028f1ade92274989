// SPDX-License-Identifier: Apache-2.0
/*
 * config.h - the settings: one table (config.def) of name, type, bounds, default and sentence, from which parsing, check-config, the sample
 * file and the manual are made.
 *
 * A file holds `name = value` lines (INI, '#' and ';' begin comments). Unknown names, values out of bounds and names given twice are errors
 * that name the file and the setting; all of them are reported, not only the first.
 */
#ifndef TOPUPD_CONFIG_H
#define TOPUPD_CONFIG_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

struct config {
#define SETTING_TEXT(name, def, sentence) char *name;
#define SETTING_INT(name, def, min, max, sentence) int64_t name;
#include "topupd/config.def"
#undef SETTING_TEXT
#undef SETTING_INT
};

void config_init(struct config *c); // the defaults
void config_release(struct config *c);
// Adds every fault to `err` and returns the kind that stands. `path` NULL: the defaults alone.
enum err_kind config_read(struct config *c, const char *path, struct err *err);
// One "name=value", as on the command line: overrides the file.
enum err_kind config_set(struct config *c, const char *assignment, struct err *err);
// Settings that only make sense together, and files that must be there; call once all are set. Adds to `err` what is wrong, too.
NODISCARD enum err_kind config_check(const struct config *c, struct err *err);
int config_role(const struct config *c); // an enum node_role; -1: the text is none
// The sample file: every setting with its sentence and default.
void config_sample(struct buf *out);

#endif
