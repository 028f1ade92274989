// SPDX-License-Identifier: Apache-2.0
#include "core/sim.h"

const char *const sim_service_words[] = {"STOCK", "ACTIVATING", "ACTIVE", NULL};
const char *const esim_status_words[] = {"", "Released", "Downloaded", "Installed", "Unavailable", NULL};

// One bit per state that may follow. Rows and bits are the enum's.
static const unsigned service_next[] = {
    [SIM_STOCK] = 1u << SIM_ACTIVATING,
    [SIM_ACTIVATING] = 1u << SIM_ACTIVE | 1u << SIM_STOCK, // back to STOCK: its order failed and was undone
    [SIM_ACTIVE] = 0,
};

static const unsigned esim_next[] = {
    [ESIM_NONE] = 0, // a pSIM has no profile
    [ESIM_RELEASED] = 1u << ESIM_DOWNLOADED | 1u << ESIM_UNAVAILABLE,
    [ESIM_DOWNLOADED] = 1u << ESIM_INSTALLED | 1u << ESIM_UNAVAILABLE,
    [ESIM_INSTALLED] = 1u << ESIM_UNAVAILABLE,
    [ESIM_UNAVAILABLE] = 0, // final
};

bool sim_service_may(enum sim_service from, enum sim_service to) {
    return (size_t)from < ARRAY_LEN(service_next) && (size_t)to < ARRAY_LEN(service_next) && service_next[from] >> to & 1;
}

bool esim_may(enum esim_status from, enum esim_status to) {
    return (size_t)from < ARRAY_LEN(esim_next) && (size_t)to < ARRAY_LEN(esim_next) && esim_next[from] >> to & 1;
}

const char *const progress_status_words[] = {"Executed-Success", "Executed-WithWarning", "Failed", "Expired", NULL};

static const struct {
    int point;
    const char *text;
    enum esim_status leads_to;
} points[] = {
    {POINT_ELIGIBILITY, "Eligibility and retry limit check", ESIM_NONE},
    {POINT_CONFIRMATION, "ConfirmationCode check", ESIM_NONE},
    {POINT_DOWNLOADED, "BPP download", ESIM_DOWNLOADED},
    {POINT_INSTALLED, "BPP installation", ESIM_INSTALLED},
    {POINT_DELETED, "Profile deletion", ESIM_UNAVAILABLE},
    {POINT_ENABLED, "Profile enabled", ESIM_NONE},
    {POINT_DISABLED, "Profile disabled", ESIM_NONE},
};

const char *notification_point_text(int point) {
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        if (points[i].point == point)
            return points[i].text;
    }
    return "";
}

enum esim_status notification_point_leads_to(int point) {
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        if (points[i].point == point)
            return points[i].leads_to;
    }
    return ESIM_NONE;
}
