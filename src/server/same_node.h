/*
 * Whether two logins are of one node, through two of its cards.
 *
 * A disk for one machine lets nobody in from another address while its machine is alive: two
 * machines with one name would destroy it. A node with paths has several addresses, which are in
 * the registry: between those there is one machine.
 */
#pragma once

#include "iscsi/login.h"
#include "registry/catalog.h"

/* Have both the initiator name of one node, and come from addresses that are its own? Pure. */
bool same_node(const struct catalog *catalog, const struct iscsi_login_identity *a,
               const struct iscsi_login_identity *b);
