/* Wakes a machine: through which of our subnets it is reached. */
#pragma once

#include "http/admin.h"
#include "server/addresses.h"

/* As admin_settings.wake wants it. May wait; any thread. */
int wake_machine(struct addresses *addresses, const struct admin_wake *wake, json_t **ret_sent,
                 struct error *ret_error) MUST_CHECK;
