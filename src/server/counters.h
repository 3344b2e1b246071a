/* What the services counted since the start, as the admin API shows it (nodisk-api(7)). */
#pragma once

#include "dhcp/router_advert.h"
#include "dhcp/server.h"
#include "dhcp6/server.h"
#include "http/nodes.h"
#include "iscsi/portal.h"
#include "tftp/server.h"

#include <jansson.h>

struct counters {
    const struct dhcp_counters *dhcp;
    const struct dhcp6_counters *dhcp6;
    const struct router_advert_counters *router_adverts;
    const struct tftp_counters *tftp;
    const struct node_http_counters *http;
    const struct iscsi_portal_counters *iscsi;
};

/* A new object; NULL without memory. Any thread. */
json_t *counters_to_json(const struct counters *counters);
