// SPDX-License-Identifier: Apache-2.0
#include "core/usage.h"

const char *const usage_named_words[] = {"iccid", "imsi", "msisdn", NULL};
const char *const usage_verdict_words[] = {"BOOKED", "PARTLY_BOOKED", "UNRATED", "INVALID", "MISMATCH", "FAILED", NULL};
const char *const usage_reason_words[] = {"", "UNKNOWN_SIM", "NO_SUBSCRIPTION", "USED_UP", NULL};
