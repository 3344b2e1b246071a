/*
 * What happens to nodes, told to hooks; and what hooks say, and which boots fail, told to the
 * operator.
 */
#pragma once

#include "boot/watch.h"
#include "hooks/hooks.h"
#include "server/targets.h"

struct hook_events;

/* catalog and stages must outlive it. */
int hook_events_start(const struct hook_settings *settings, struct catalog_slot *catalog,
                      const struct stage_provider *stages, struct hook_events **ret_events,
                      struct error *ret_error) MUST_CHECK;
/* Ends all hooks; nothing is told any more. NULL: no-op. */
void hook_events_stop(struct hook_events *events);
/* After it was stopped. NULL: no-op. */
void hook_events_free(struct hook_events *events);

/* Lives as long as the events. */
struct hooks *hook_events_hooks(struct hook_events *events);
/* Never waits; control thread. */
void hook_events_login(struct hook_events *events, const struct session_event *event);

/* What hooks are told of a node, as a new object. NULL without memory. */
json_t *hook_facts_of_node(const struct catalog *catalog, const struct catalog_node *node);
