// SPDX-License-Identifier: Apache-2.0
/*
 * address.h - which addresses are somebody out there, and which are our own network's or nobody's.
 *
 * Whoever may name a URL that we call could otherwise have us call what only we can reach. An address is public when the special-purpose
 * registries of IANA (RFC 6890) call it globally reachable and it is not a way to write another one: IPv4-mapped, 6to4 and Teredo addresses
 * are refused whatever is in them; those of the NAT64 prefix are judged by the IPv4 address that they lead to.
 */
#ifndef HTTP_ADDRESS_H
#define HTTP_ADDRESS_H

#include <sys/socket.h>

#include "base/base.h"
#include "base/str.h"

// Neither IPv4 nor IPv6, or cut short: not public.
bool address_public(const struct sockaddr *address, size_t size);
// The same for an address as text, as in a URL: "10.0.0.1", "::1" (without brackets). True also for what is no address but a name.
bool address_text_public(struct str text);

#endif
