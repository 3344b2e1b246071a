#include "http/nodes.h"

#include <errno.h>

#include "http/nodes_internal.h"

#define MAX_CONNECTIONS 4096
#define MAX_SECURE      2048 /* each has some 40 KiB */
#define MAX_PER_PEER    16   /* a machine has one, rarely two */
#define IDLE_TIMEOUT    30   /* seconds */
#define POOL_THREADS    2

void node_http_reply_text(struct http_request *request, unsigned status, const char *text)
{
    http_reply(request, status, "text/plain; charset=utf-8", text, strlen(text));
}

static void tell(struct node_http *http, const struct node_http_oddity *oddity)
{
    if (http->settings.oddity)
        http->settings.oddity(http->settings.context, oddity);
}

void node_http_refuse(struct node_http *http, struct http_request *request,
                      const struct endpoint *peer, unsigned status, const char *text)
{
    counter_add(&http->counters.refused, 1);
    tell(http, &(struct node_http_oddity){
                   .kind = NODE_HTTP_WRONG, .peer = *peer, .path = http_path(request)});
    node_http_reply_text(request, status, text);
}

void node_http_tell_bad_entry(struct node_http *http, const struct endpoint *peer,
                              const char *entry, const char *reason)
{
    tell(http, &(struct node_http_oddity){
                   .kind = NODE_HTTP_BAD_ENTRY, .peer = *peer, .path = entry, .reason = reason});
}

static void no_request(void *context, const struct endpoint *peer)
{
    struct node_http *http = context;
    counter_add(&http->counters.dropped, 1);
    tell(http, &(struct node_http_oddity){.kind = NODE_HTTP_NO_REQUEST, .peer = *peer});
}

static void no_secure_request(void *context, const struct endpoint *peer)
{
    struct node_http *http = context;
    counter_add(&http->counters.dropped, 1);
    tell(http, &(struct node_http_oddity){.kind = NODE_HTTP_NO_HTTPS, .peer = *peer});
}

bool node_http_get_mac(struct node_http *http, struct http_request *request,
                       const struct endpoint *peer, struct mac_address *ret_mac)
{
    const char *text = http_query(request, "mac");
    if (text && mac_parse(text, ret_mac) == 0)
        return true;
    node_http_refuse(http, request, peer, 400, "ask with ?mac=52-54-00-00-00-01\n");
    return false;
}

static bool has_mac(const struct catalog_node *node, struct mac_address mac)
{
    for (size_t i = 0; node && i < node->n_macs; i++)
        if (mac_eq(node->macs[i], mac))
            return true;
    return false;
}

/* Whose is the address? Is the machine there the one with this MAC, a node's or not (then node is
 * NULL)? */
enum proof {
    PROOF_NONE,    /* nobody here knows better than the machine */
    PROOF_AGAINST, /* it is another one */
    PROOF_FOR,
};

static enum proof prove_ours(const struct node_http *http, uint32_t address,
                             const struct catalog_node *node, struct mac_address mac)
{
    struct mac_address holder;
    bool is =
        node && address &&
        catalog_node_address_of(node, mac) == address; /* no lease was stored when we were killed */
    if (boot_tracker_mac_of_address(http->settings.tracker, address, &holder))
        is = mac_eq(holder, mac);
    return is ? PROOF_FOR : PROOF_AGAINST;
}

/* Any card of the node will do: which of them has the way to us, is for its routes to say. */
static enum proof prove_proxied(const struct node_http *http, uint32_t address,
                                const struct catalog_node *node, struct mac_address mac)
{
    struct mac_address holder;
    if (!http->settings.neighbour(http->settings.context, address, &holder))
        return PROOF_NONE;
    return mac_eq(holder, mac) || has_mac(node, holder) ? PROOF_FOR : PROOF_AGAINST;
}

static enum proof prove_ipv6(const struct node_http *http, const struct endpoint *peer,
                             const struct catalog_node *node, struct mac_address mac)
{
    struct mac_address holder;
    if (!http->settings.machine6)
        return PROOF_AGAINST;
    if (!http->settings.machine6(http->settings.context, peer, &holder))
        return PROOF_NONE;
    return mac_eq(holder, mac) || has_mac(node, holder) ? PROOF_FOR : PROOF_AGAINST;
}

static enum proof prove(const struct node_http *http, const struct endpoint *peer,
                        const struct catalog_node *node, struct mac_address mac)
{
    const struct node_http_settings *settings = &http->settings;
    uint32_t address;
    if (!endpoint_ipv4(peer, &address))
        return prove_ipv6(http, peer, node, mac);
    switch (settings->giver(settings->context, address)) {
    case NODE_HTTP_OURS:
        return prove_ours(http, address, node, mac);
    case NODE_HTTP_PROXIED:
        return prove_proxied(http, address, node, mac);
    case NODE_HTTP_ELSEWHERE:
        break;
    }
    return PROOF_NONE;
}

bool node_http_is_stranger(const struct node_http *http, const struct endpoint *peer,
                           const struct catalog_node *node, struct mac_address mac)
{
    return prove(http, peer, node, mac) == PROOF_AGAINST;
}

const char *node_http_query_target(const struct http_request *request, const char *key,
                                   char buffer[static BOOT_TARGET_SIZE])
{
    struct boot_target target;
    const char *text = http_query(request, key);
    return text && boot_target_parse(text, &target) == 0 ? boot_target_format(&target, buffer)
                                                         : NULL;
}

static struct plan make_plan_with(const struct node_http *http, const struct http_request *request,
                                  const char *chosen, const struct catalog *catalog,
                                  struct mac_address mac, const struct boot_target *said)
{
    const struct catalog_node *node = catalog_node_by_mac(catalog, mac);
    if (!node)
        return (struct plan){.kind = PLAN_UNKNOWN};
    struct plan_moment moment = {
        .now = clock_wall_usec(),
        .boot_id = boot_tracker_boot_id(http->settings.tracker, node->id),
        .failures = boot_tracker_failures(http->settings.tracker, node->id),
        .fallback_after = http->settings.fallback_after,
        .may_choose_snapshots = http->settings.menu_snapshots,
    };
    if (chosen && boot_target_parse(chosen, &moment.chosen) < 0)
        moment.chosen.kind = BOOT_TARGET_NONE;
    if (!chosen && boot_tracker_has_chosen_local(http->settings.tracker, node->id))
        moment.chosen.kind = BOOT_TARGET_LOCAL;
    cleanup_policy struct policy *policy = policy_slot_get(http->settings.policy);
    struct facts facts;
    struct endpoint peer;
    bool now = false;
    if (policy && boot_tracker_facts(http->settings.tracker, node->id, &facts, &now) && now)
        moment.facts = &facts;
    if (http_peer(request, &peer))
        moment.peer = &peer;
    moment.policy = policy;
    moment.said = *said;
    return plan_for_node(catalog, node, &moment);
}

struct plan node_http_plan(const struct node_http *http, const struct http_request *request,
                           const struct catalog *catalog, struct mac_address mac)
{
    return make_plan_with(http, request, http_query(request, BOOT_CHOICE_QUERY), catalog, mac,
                          &node_http_said(request)->target);
}

bool node_http_plan_again(const struct node_http *http, const struct http_request *request,
                          const struct catalog *catalog, struct mac_address mac,
                          struct plan *ret_plan)
{
    const struct node_http_settings *settings = &http->settings;
    const struct catalog_node *node = catalog_node_by_mac(catalog, mac);
    struct boot_target said = {.kind = BOOT_TARGET_NONE};
    bool asked = node && boot_tracker_said(settings->tracker, node->id, &said);
    *ret_plan =
        make_plan_with(http, request, http_query(request, BOOT_CHOICE_QUERY), catalog, mac, &said);
    return asked || !settings->would_ask || !settings->would_ask(settings->context);
}

struct plan node_http_plan_chosen(const struct node_http *http, const struct http_request *request,
                                  const char *chosen, const struct catalog *catalog,
                                  struct mac_address mac)
{
    const struct catalog_node *node = catalog_node_by_mac(catalog, mac);
    struct boot_target said = {.kind = BOOT_TARGET_NONE};
    if (node)
        (void)boot_tracker_said(http->settings.tracker, node->id, &said);
    return make_plan_with(http, request, chosen, catalog, mac, &said);
}

static bool is_booting(struct boot_tracker *tracker, const struct plan *plan)
{
    return plan->volume && plan->volume->elsewhere
               ? boot_tracker_is_booting_elsewhere(tracker, plan->node->id)
               : boot_tracker_is_booting(tracker, plan->node->id);
}

/* Whose disk is elsewhere is not heard of again before it is up: where to look for it. */
static void sign_script(struct node_http *http, const struct plan *plan, struct mac_address mac,
                        const struct endpoint *peer)
{
    char address[ENDPOINT_TEXT_SIZE], portal[ISCSI_URI_SIZE];
    char detail[ENDPOINT_TEXT_SIZE + ISCSI_URI_SIZE + 16];
    endpoint_format_address(peer, address);
    if (plan->volume && plan->volume->elsewhere)
        snprintf(detail, sizeof(detail), "%s, disk at %s", address,
                 iscsi_uri_format_portal(plan->volume->elsewhere, portal));
    else
        str_copy(detail, sizeof(detail), address);
    boot_tracker_sign_of_mac(http->settings.tracker, mac, BOOT_SIGN_SCRIPT, detail);
}

/* What the machine says of its IPv4 address: the query of a script that asked it. */
static enum boot_ipv4_way ipv4_way_told(const struct http_request *request)
{
    const char *text = http_query(request, BOOT_IPV4_QUERY);
    uint32_t address;
    if (!text)
        return BOOT_IPV4_ASK;
    return ipv4_parse(text, &address) == 0 && address ? BOOT_IPV4_USE : BOOT_IPV4_NONE;
}

/* Which way is its disk? */
static enum boot_ipv4_way choose_way(struct node_http *http, const struct http_request *request,
                                     const struct plan *plan, struct mac_address mac,
                                     const struct endpoint *peer, struct node_http_ipv4 *ret_ipv4)
{
    const struct node_http_settings *settings = &http->settings;
    uint32_t ignored;
    if (endpoint_ipv4(peer, &ignored))
        return BOOT_IPV4_USE;
    if (!plan_has_disk(plan) || !settings->ipv4 ||
        !settings->ipv4(settings->context, peer, catalog_node_address_of(plan->node, mac),
                        ret_ipv4))
        return BOOT_IPV4_NONE;
    const struct boot_ways ways = boot_ways_of(&plan->node->ways, &settings->ways);
    enum boot_ipv4_way told = ipv4_way_told(request);
    bool can_set = ret_ipv4->address;
    if (can_set && (ways.ibft_origin != IBFT_ORIGIN_DHCP || told == BOOT_IPV4_NONE))
        return BOOT_IPV4_SET;
    return plan->volume->elsewhere && !can_set ? BOOT_IPV4_USE : told;
}

/* request: NULL if nobody asks. */
static char *render(const struct node_http *http, const struct http_request *request,
                    const struct plan *plan, struct mac_address mac, const struct endpoint *peer,
                    const struct endpoint *local, const struct catalog *catalog,
                    enum boot_ipv4_way way, const struct node_http_ipv4 *ipv4)
{
    char portal[ENDPOINT_TEXT_SIZE], scripts[NODE_SCRIPTS_URL_SIZE];
    char url[NODE_HTTP_URL_SIZE], system_url[NODE_HTTP_URL_SIZE];
    char chosen[BOOT_TARGET_SIZE], failed[BOOT_TARGET_SIZE];
    struct endpoint portal_endpoint;
    if (ipv4->portal.any.sa_family && way != BOOT_IPV4_NONE)
        portal_endpoint = ipv4->portal;
    else
        http->settings.portal(http->settings.context, local, &portal_endpoint);
    struct boot_site site = {
        .portal = endpoint_format_host(&portal_endpoint, portal),
        .portal_port = endpoint_port(&portal_endpoint),
        .base_url = node_http_format_url(http, local, url),
        .system_url = node_http_format_system_url(http, local, system_url),
        .ways = plan->node ? boot_ways_of(&plan->node->ways, &http->settings.ways)
                           : http->settings.ways,
        .base_iqn = catalog_base_iqn(catalog),
        .ipv4_way = way,
        .ipv4 = {ipv4->address, ipv4->mask, ipv4->router, ipv4->dhcp},
        .chosen = plan->chosen ? boot_target_format(&plan->target, chosen) : NULL,
        .catalog = catalog,
        .failed = request ? node_http_query_target(request, BOOT_FAILED_QUERY, failed) : NULL,
        .menu_timeout = http->settings.menu_timeout,
        .menu_snapshots = http->settings.menu_snapshots,
    };
    struct node_http_paths paths;
    const struct endpoint own = endpoint_of_ipv4(ipv4->address, 0);
    node_http_find_paths(http, plan, way == BOOT_IPV4_SET ? &own : peer, &paths);
    site.paths = paths.list;
    site.n_paths = paths.count;
    site.boot_by_scripts = http->settings.boot_by_scripts;
    site.scripts_url = node_http_scripts_url(http, plan, mac, local, scripts);
    return boot_script_render(plan, mac, &site);
}

char *node_http_render(const struct node_http *http, const struct plan *plan,
                       struct mac_address mac, const struct endpoint *peer,
                       const struct endpoint *local, const struct catalog *catalog)
{
    const struct node_http_ipv4 ipv4 = {.address = 0};
    return render(http, NULL, plan, mac, peer, local, catalog, BOOT_IPV4_USE, &ipv4);
}

static void reply_script(struct node_http *http, struct http_request *request,
                         const struct plan *plan, struct mac_address mac,
                         const struct endpoint *peer, const struct endpoint *local,
                         const struct catalog *catalog)
{
    struct node_http_ipv4 ipv4 = {.address = 0};
    enum boot_ipv4_way way = choose_way(http, request, plan, mac, peer, &ipv4);
    char *script = render(http, request, plan, mac, peer, local, catalog, way, &ipv4);
    if (script)
        http_reply_owned(request, 200, "text/plain", script, strlen(script));
    else
        node_http_reply_text(request, 500, "out of memory\n");
}

/* A node's MAC, from an address that is not the node's, or when it is too late for secrets. */
static void tell_stranger(struct node_http *http, enum node_http_oddity_kind kind,
                          const struct catalog_node *node, const struct endpoint *peer)
{
    counter_add(&http->counters.refused, 1);
    tell(http, &(struct node_http_oddity){.kind = kind, .peer = *peer, .node = node->name});
}

bool node_http_is_node(struct node_http *http, const struct endpoint *peer,
                       const struct catalog_node *node, struct mac_address mac)
{
    if (prove(http, peer, node, mac) != PROOF_AGAINST)
        return true;
    tell_stranger(http, NODE_HTTP_STRANGER, node, peer);
    return false;
}

bool node_http_may_have(struct node_http *http, const struct endpoint *peer,
                        const struct plan *plan, struct mac_address mac)
{
    /* Secrets need a proof, and go out only while its machine boots: on the running system they are
     * anybody's who has an account there. So this request is no sign of a boot either. */
    enum proof proof = prove(http, peer, plan->node, mac);
    bool secrets = plan_chap(plan);
    if (proof != PROOF_AGAINST &&
        (!secrets || (proof == PROOF_FOR && is_booting(http->settings.tracker, plan))))
        return true;
    tell_stranger(http, proof == PROOF_AGAINST ? NODE_HTTP_STRANGER : NODE_HTTP_LATE, plan->node,
                  peer);
    return false;
}

/* And not somebody who wants to see what it would get. */
static bool is_ipxe(const struct http_request *request)
{
    const char *agent = http_header(request, "User-Agent");
    return agent && strncmp(agent, "iPXE/", 5) == 0;
}

static const char *query_value(void *context, const char *key)
{
    return http_query(context, key);
}

/* A machine that is no node, and what it says of itself if it does (NULL: not yet). */
static enum plan_kind meet_unknown(struct node_http *http, const struct endpoint *peer,
                                   struct mac_address mac, const struct facts *facts)
{
    const struct node_http_settings *settings = &http->settings;
    struct node_http_place place;
    uint32_t address = 0; /* over IPv6, it has none that it could keep */
    (void)endpoint_ipv4(peer, &address);
    if (!settings->pending || !settings->registers(settings->context, peer, &place))
        return PLAN_UNKNOWN;
    enum proof proof = prove(http, peer, NULL, mac);
    if (proof == PROOF_AGAINST)
        return PLAN_STRANGER;
    if (!facts)
        return PLAN_NEWCOMER;
    pending_see(settings->pending, &(struct pending_sight){.mac = mac,
                                                           .address = address,
                                                           .subnet = place.subnet,
                                                           .facts = facts,
                                                           .proven = proof == PROOF_FOR});
    uint64_t patience = place.lease_time * USEC_PER_SEC / 2;
    bool old = place.lease_time && pending_address_age(settings->pending, mac) > patience;
    return old ? PLAN_RENEW : PLAN_PENDING;
}

/* That it asks may begin a boot, for which another plan holds. facts: that it was asked for; NULL:
 * it was not. */
static struct plan begin_script(struct node_http *http, const struct http_request *request,
                                const struct plan *plan, const struct catalog *catalog,
                                struct mac_address mac, const struct endpoint *peer,
                                const struct facts *facts)
{
    sign_script(http, plan, mac, peer);
    if (facts)
        boot_tracker_set_facts(http->settings.tracker, plan->node->id, facts);
    if (http_kept(request))
        boot_tracker_set_said(http->settings.tracker, plan->node->id,
                              &node_http_said(request)->target);
    struct plan begun = node_http_plan(http, request, catalog, mac);
    if (begun.node && begun.untold && !facts)
        return (struct plan){.kind = PLAN_TELL, .node = begun.node};
    if (begun.node && (begun.volume == plan->volume || node_http_may_have(http, peer, &begun, mac)))
        return begun;
    return (struct plan){.kind = PLAN_STRANGER};
}

/* A machine that has waited for that asks its new script with what it has said all the time. */
static struct plan make_plan(struct node_http *http, const struct http_request *request,
                             const struct endpoint *peer, const struct catalog *catalog,
                             struct mac_address mac)
{
    struct plan plan = node_http_plan(http, request, catalog, mac);
    struct facts facts = {.memory = 0};
    bool tells = facts_read(query_value, (void *)request, &facts);
    bool told = http_query(request, BOOT_TOLD_QUERY);
    if (!plan.node)
        plan.kind = meet_unknown(http, peer, mac, tells ? &facts : NULL);
    else if (tells && !told && prove(http, peer, plan.node, mac) != PROOF_AGAINST)
        plan = (struct plan){.kind = PLAN_ADOPTED, .node = plan.node};
    else if (!node_http_may_have(http, peer, &plan, mac))
        plan = (struct plan){.kind = PLAN_STRANGER};
    else if (is_ipxe(request))
        plan = begin_script(http, request, &plan, catalog, mac, peer, told ? &facts : NULL);
    return plan;
}

/* What the boot under way is to come to, for those who count what comes to nothing. */
static void note_plan(struct node_http *http, const struct plan *plan)
{
    const struct node_http_settings *settings = &http->settings;
    bool fallback = plan_is_fallback(plan->source);
    bool tries = plan->kind == PLAN_VOLUME && !fallback && !plan->chosen;
    char target[BOOT_TARGET_SIZE];
    if (!plan->node || plan->kind == PLAN_ADOPTED || plan->kind == PLAN_NO_NOTE ||
        plan->kind == PLAN_TELL)
        return;
    boot_tracker_leave(settings->tracker, plan->node->id, plan->kind == PLAN_LOCAL, plan->chosen);
    if (boot_tracker_decide(settings->tracker, plan->node->id, tries) && fallback &&
        settings->fell_back)
        settings->fell_back(settings->context, plan->node->name,
                            boot_target_format(&plan->target, target),
                            boot_tracker_failures(settings->tracker, plan->node->id));
}

static void get_script(struct node_http *http, struct http_request *request,
                       const struct endpoint *peer, const struct endpoint *local)
{
    struct mac_address mac;
    if (!node_http_get_mac(http, request, peer, &mac))
        return;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(http->settings.catalog);
    if (node_http_needs_https(http, local, NULL)) {
        node_http_send_to_https(http, request, peer, local, catalog_node_by_mac(catalog, mac), mac);
        return;
    }
    struct plan plan = make_plan(http, request, peer, catalog, mac);
    if (node_http_ask(http, request, catalog, &plan, mac, peer))
        return;
    if (node_http_needs_https(http, local, &plan)) {
        node_http_send_to_https(http, request, peer, local, plan.node, mac);
        return;
    }
    const char *said = plan.node ? node_http_said(request)->script : NULL;
    if (!said && is_ipxe(request)) {
        if (!node_http_claim(http, request, &plan))
            return;
        note_plan(http, &plan);
    }
    counter_add(plan.node ? &http->counters.scripts : &http->counters.unknown, 1);
    if (said)
        node_http_reply_text(request, 200, said);
    else
        reply_script(http, request, &plan, mac, peer, local, catalog);
}

/* Its system goes on with the secrets that it has. Without memory, those before stay good. */
static void tell_up(const struct node_http *http, const struct catalog_node *node)
{
    if (!node || !node->chap || !node->chap->older || !http->settings.registry)
        return;
    int r = registry_chap_up(http->settings.registry, node->id);
    (void)r;
}

static void post_up(struct node_http *http, struct http_request *request,
                    const struct endpoint *peer)
{
    struct mac_address mac;
    char address[ENDPOINT_TEXT_SIZE];
    if (!node_http_get_mac(http, request, peer, &mac))
        return;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(http->settings.catalog);
    const struct catalog_node *node = catalog_node_by_mac(catalog, mac);
    if (prove(http, peer, node, mac) == PROOF_AGAINST) {
        if (node)
            tell_stranger(http, NODE_HTTP_STRANGER, node, peer);
        node_http_reply_text(request, 403, "this address is not that machine's\n");
        return;
    }
    counter_add(&http->counters.up, node != NULL);
    boot_tracker_sign_of_mac(http->settings.tracker, mac, BOOT_SIGN_UP,
                             endpoint_format_address(peer, address));
    tell_up(http, node); /* after that, so that a login that is told meanwhile sees either */
    node_http_reply_text(request, 200, "welcome\n");
}

static void handle(void *context, struct http_request *request)
{
    struct node_http *http = context;
    struct endpoint peer, local;
    const char *method = http_method(request), *path = http_path(request);
    bool get = str_eq(method, "GET"), head = str_eq(method, "HEAD"), post = str_eq(method, "POST");
    counter_add(&http->counters.requests, 1);
    if (!http_peer(request, &peer) || endpoint_from_socket(http_connection_fd(request), &local) < 0)
        node_http_reply_text(request, 500, "the connection is gone\n");
    else if (get && str_eq(path, "/boot.ipxe"))
        get_script(http, request, &peer, &local);
    else if ((get || post) && node_http_install(http, request, &peer, &local))
        return; /* what comes back to it is its own */
    else if (get && node_http_direct(http, request, &peer, &local))
        return;
    else if ((get || head) && (node_http_loader(http, request, &peer) ||
                               node_http_entry(http, request, &peer, &local)))
        return;
    else if ((get || head) && node_http_scripts(http, request, &peer, &local))
        return;
    else if (post && str_eq(path, "/up"))
        post_up(http, request, &peer);
    else
        node_http_refuse(http, request, &peer, 404, "nothing here; nodisk serves /boot.ipxe\n");
}

static int open_one(struct node_http *http, const struct endpoint *list, size_t count, size_t which,
                    const struct http_tls *tls, struct error *ret_error)
{
    struct http_settings settings = {
        .fd = net_listen_one_of(tls ? "https" : "http", list, count, which, SOCK_STREAM, ret_error),
        .tls = tls,
        .threads = HTTP_POOL,
        .pool_size = POOL_THREADS,
        .max_connections = tls ? MAX_SECURE : MAX_CONNECTIONS,
        .max_connections_per_peer = MAX_PER_PEER,
        .idle_timeout = IDLE_TIMEOUT,
        .handle = handle,
        .no_request = tls ? no_secure_request : no_request,
        .context = http,
    };
    if (settings.fd < 0)
        return settings.fd;
    int r = endpoint_from_socket(settings.fd, &http->endpoints[http->count]);
    if (r < 0) {
        close(settings.fd);
        return error_set(ret_error, r, "http: %s", strerror(-r));
    }
    r = http_start(&settings, &http->servers[http->count], ret_error);
    http->count += r >= 0;
    return r;
}

static int open_all(struct node_http *http, const struct endpoint *list, size_t count,
                    const struct http_tls *tls, struct error *ret_error)
{
    int r = 0;
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = open_one(http, list, count, i, tls, ret_error);
    return r;
}

int node_http_start(const struct node_http_settings *settings, struct node_http **ret_http,
                    struct error *ret_error)
{
    const struct node_https *https = &settings->https;
    const struct http_tls tls = {https->certificates, https->priorities};
    struct node_http *http = calloc(1, sizeof(*http));
    if (!http)
        return error_set(ret_error, -ENOMEM, "out of memory");
    http->settings = *settings;
    str_copy(http->memtest, sizeof(http->memtest), settings->memtest ? settings->memtest : "");
    http->settings.memtest = settings->memtest ? http->memtest : NULL;
    entry_digests_init(&http->digests);
    int r = open_all(http, settings->listen, settings->n_listen, NULL, ret_error);
    http->n_plain = http->count;
    if (r >= 0 && https->certificates)
        r = open_all(http, https->listen, https->n_listen, &tls, ret_error);
    if (r < 0) {
        node_http_stop(http);
        return r;
    }
    *ret_http = http;
    return 0;
}

void node_http_stop(struct node_http *http)
{
    if (!http)
        return;
    for (size_t i = 0; i < http->count; i++)
        http_stop(http->servers[i]);
    entry_digests_destroy(&http->digests);
    free(http);
}

const struct endpoint *node_http_endpoints(const struct node_http *http, size_t *ret_count)
{
    *ret_count = http->n_plain;
    return http->endpoints;
}

const struct endpoint *node_http_secure_endpoints(const struct node_http *http, size_t *ret_count)
{
    *ret_count = http->count - http->n_plain;
    return http->endpoints + http->n_plain;
}

const struct node_http_counters *node_http_counters(const struct node_http *http)
{
    return &http->counters;
}
