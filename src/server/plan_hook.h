/* What a hook says that a node shall boot. */
#pragma once

#include "hooks/hooks.h"
#include "http/nodes.h"

/* As node_http_settings.ask wants it. catalog: where its answers are looked up. */
bool plan_hook_ask(struct hooks *hooks, struct catalog_slot *catalog,
                   struct node_http_question *question) MUST_CHECK;
