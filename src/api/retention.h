// SPDX-License-Identifier: Apache-2.0
/*
 * retention.h - events that are older than their partner keeps them (partner.event_days) are dropped, by and by.
 *
 * A round goes through all partners, a slice at a time, each slice a job of its own between the others; ROUND_EVERY_MS after the end of one
 * begins the next. Partners' own clocks count: a sandbox partner whose clock is set ahead loses what is old by it.
 */
#ifndef API_RETENTION_H
#define API_RETENTION_H

#include "api/api.h"

// Takes the next slice, if it is time; for api_turn.
void retention_upkeep(struct api *api, struct mono now);

#endif
