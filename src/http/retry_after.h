// SPDX-License-Identifier: Apache-2.0
/*
 * retry_after.h - the Retry-After header (RFC 9110, section 10.2.3): seconds, or one of the three spellings of a date.
 */
#ifndef HTTP_RETRY_AFTER_H
#define HTTP_RETRY_AFTER_H

#include "base/base.h"
#include "base/clock.h"
#include "base/str.h"

#define RETRY_AFTER_MAX INT64_C(31536000) // a year: what asks for more gets this

// Seconds from `now` on, 0..RETRY_AFTER_MAX; a date that has passed is 0. -1 when it says nothing that is understood.
int64_t retry_after_parse(struct str value, struct wall now);

#endif
