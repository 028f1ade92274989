// SPDX-License-Identifier: Apache-2.0
/*
 * contract.h - api/openapi.yaml and api/admin.yaml as JSON, put into the program by tools/embed-contract.
 */
#ifndef API_CONTRACT_H
#define API_CONTRACT_H

#include "base/base.h"

extern const char contract_json[];
extern const size_t contract_json_size;
extern const char admin_contract_json[];
extern const size_t admin_contract_json_size;

#endif
