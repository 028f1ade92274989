// SPDX-License-Identifier: Apache-2.0
/*
 * json_plain.h - a short way into jansson for what nearly every body is: JSON without escapes, small numbers, few levels.
 *
 * jansson reads a text through a callback per character and grows a buffer by each; for a body of 300 bytes that is 40,000 instructions.
 * This reads such a body in a tenth of them and builds the same tree with jansson's own constructors. It is no second parser of JSON: on
 * whatever it does not take for plain, right or wrong, it says NULL, and jansson reads, and words the error. json_fuzz.c and json_test.c
 * hold the two against each other.
 */
#ifndef BASE_JSON_PLAIN_H
#define BASE_JSON_PLAIN_H

#include "base/base.h"
#include "base/json.h"
#include "base/str.h"

#define JSON_PLAIN_DEPTH 16

// The object that is all of `text`, or NULL: then ask jansson (JSON_REJECT_DUPLICATES). The caller json_decref()s it.
json_t *json_read_plain(struct str text);

#endif
