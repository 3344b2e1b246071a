/*
 * The daemon: puts the modules together, starts them in the order in which they need each other
 * and stops them in the reverse order.
 *
 * This file owns the control thread: one sd-event loop for DHCP, timers, signals and the messages
 * that other threads post to it. Nothing here waits for a disk.
 */
#include "server/serve.h"

#include "block/nbd.h"
#include "block/overlay.h"
#include "core/log.h"
#include "core/mailbox.h"
#include "dhcp/link.h"
#include "http/admin.h"
#include "http/nodes.h"
#include "registry/registry.h"
#include "server/addresses.h"
#include "server/boot_cache.h"
#include "server/boots.h"
#include "server/claims.h"
#include "server/config.h"
#include "server/counters.h"
#include "server/dhcp_glue.h"
#include "server/discovery_chap.h"
#include "server/disk_reads.h"
#include "server/duplicates.h"
#include "server/export_dhcp.h"
#include "server/export_firewall.h"
#include "server/file_limit.h"
#include "server/http_log.h"
#include "server/ibft_intent.h"
#include "server/ipv4_side.h"
#include "server/lease_offers.h"
#include "server/lease_release.h"
#include "server/loaders_list.h"
#include "server/machine6.h"
#include "server/neighbour.h"
#include "server/newcomers.h"
#include "server/patient_mailbox.h"
#include "server/san.h"
#include "server/sessions.h"
#include "server/space_watch.h"
#include "server/state.h"
#include "server/tftp_glue.h"
#include "server/volume_reader.h"
#include "server/wake.h"
#include "storage/storage.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

struct server {
    const char *config_path;
    struct config config;
    sd_event *loop;
    struct mailbox mailbox;                 /* to the control thread */
    struct patient_mailbox session_mailbox; /* the same, of sessions */
    int state_lock;                         /* descriptor that holds the state directory */
    struct catalog_slot *catalog;
    struct addresses *addresses; /* that nodes may have */
    struct loaders *loaders;     /* that firmware fetches */
    struct registry *registry;
    struct storage *storage;
    struct space_watch *space;
    struct duplicates *duplicates;
    struct boots boots;
    struct newcomers newcomers;
    struct stage_provider stages;
    struct boot_cache *boot_cache;
    struct http_log http_log;
    struct san *san;
    struct sessions sessions;
    struct session_provider session_provider;
    struct node_http *node_http;
    struct tftp_glue *tftp;
    struct listeners listening; /* since the start */
    struct dhcp_glue *dhcp;
    struct admin *admin;
};

static const char usage[] =
    "usage: nodisk serve --config FILE [--check]\n"
    "\n"
    "Runs the daemon in the foreground until SIGTERM; SIGHUP reads the file again.\n"
    "\n"
    "  -c, --config FILE  the configuration, described in nodisk.conf(5)\n"
    "      --check        only say whether the file is good\n"
    "  -h, --help         this text\n";

static const char no_config[] =
    "nodisk: nothing to serve without a configuration; write one such as\n"
    "\n"
    "  [server]\n"
    "  base-iqn = iqn.2026-11.lan.example\n"
    "\n"
    "  [subnet lab]\n"
    "  interface = eth1\n"
    "  network = 10.0.0.0/24\n"
    "  range = 10.0.0.100-10.0.0.200\n"
    "\n"
    "and start with: nodisk serve --config FILE (every key: man nodisk.conf)\n";

static void print_problem(void *context, const char *problem)
{
    (void)context;
    fprintf(stderr, "nodisk: %s\n", problem);
}

static void log_problem(void *context, const char *problem)
{
    (void)context;
    log_error("%s", problem);
}

static int on_message(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct server *server = userdata;
    mailbox_run(&server->mailbox);
    return 0;
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    struct server *server = userdata;
    log_info("stopping");
    return sd_event_exit(server->loop, 0);
}

/* What is read once, at start: told instead of being ignored in silence. */
static void warn_of_late_changes(const struct config *old, const struct config *fresh)
{
    if (!str_eq(old->state_directory, fresh->state_directory) ||
        !str_eq(old->socket, fresh->socket) || !str_eq(old->base_iqn, fresh->base_iqn))
        log_warning("state-directory, socket and base-iqn change only with a restart");
    if (!listen_list_eq(&old->iscsi, &fresh->iscsi) || !listen_list_eq(&old->http, &fresh->http) ||
        old->iscsi_threads != fresh->iscsi_threads ||
        !redirect_list_eq(&old->redirects, &fresh->redirects) ||
        memcmp(&old->discovery_chap, &fresh->discovery_chap, sizeof(old->discovery_chap)) != 0 ||
        memcmp(&old->iscsi_limits, &fresh->iscsi_limits, sizeof(old->iscsi_limits)) != 0)
        log_warning("what [iscsi] and [http] say changes only with a restart");
    if (memcmp(&old->boot_ways, &fresh->boot_ways, sizeof(old->boot_ways)) != 0)
        log_warning("what [boot] says changes only with a restart");
    if (old->warm_up != fresh->warm_up || old->warm_limit != fresh->warm_limit)
        log_warning("what [images] says changes only with a restart");
}

/* Where things really are: a port that was 0 was chosen by the system. */
static struct listeners real_listeners(const struct server *server)
{
    struct listeners l = {.iscsi = *san_portals(server->san), .tftp = server->config.tftp};
    const struct endpoint *endpoints = node_http_endpoints(server->node_http, &l.http.count);
    memcpy(l.http.endpoints, endpoints, l.http.count * sizeof(*endpoints));
    return l;
}

/* Puts a configuration in force, one after the other; back: that of before, if one of them cannot.
 */
static int apply_in_turn(struct server *server, const struct config *fresh,
                         const struct config *back, struct error *ret_error)
{
    struct error ignored;
    const struct listeners *listeners = &server->listening; /* whatever the file says by now */
    int r = tftp_glue_reload(server->tftp, fresh, ret_error);
    if (r < 0)
        return r;
    r = dhcp_glue_reload(server->dhcp, fresh, listeners, ret_error);
    if (r >= 0) {
        r = addresses_set(server->addresses, fresh->subnets, fresh->n_subnets);
        if (r >= 0)
            return 0;
        (void)error_set(ret_error, r, "out of memory");
        (void)!dhcp_glue_reload(server->dhcp, back, listeners, &ignored);
    }
    (void)!tftp_glue_reload(server->tftp, back, &ignored);
    return r;
}

/* All or nothing. */
static int apply(struct server *server, const struct config *fresh, struct error *ret_error)
{
    struct error ignored;
    int r = loaders_set(server->loaders, fresh, ret_error);
    if (r < 0)
        return r;
    r = apply_in_turn(server, fresh, &server->config, ret_error);
    if (r < 0)
        (void)!loaders_set(server->loaders, &server->config, &ignored);
    return r;
}

/* SIGHUP. A file with a mistake changes nothing. */
static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    struct server *server = userdata;
    struct config fresh;
    struct error error;
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_monotonic_usec());
    if (config_read(server->config_path, log_problem, NULL, &fresh) < 0) {
        log_error("configuration not reloaded: the old one stays in force");
    } else if (apply(server, &fresh, &error) < 0) {
        config_free(&fresh);
        log_error("configuration not reloaded, the old one stays in force: %s", error.text);
    } else {
        log_set_level(fresh.log_level);
        newcomers_set_rules(&server->newcomers, fresh.adopt);
        space_watch_set(server->space, &fresh.warn_free);
        warn_of_late_changes(&server->config, &fresh);
        config_free(&server->config);
        server->config = fresh;
        log_info("configuration reloaded");
    }
    sd_notify(0, "READY=1");
    return 0;
}

static int block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGPIPE);
    return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int start_loop(struct server *server, struct error *ret_error)
{
    int r = block_signals(); /* before any thread is made: they inherit the mask */
    if (r >= 0)
        r = log_start();
    if (r >= 0)
        r = sd_event_new(&server->loop);
    if (r >= 0)
        r = sd_event_add_signal(server->loop, NULL, SIGTERM, on_stop, server);
    if (r >= 0)
        r = sd_event_add_signal(server->loop, NULL, SIGINT, on_stop, server);
    if (r >= 0)
        r = sd_event_add_signal(server->loop, NULL, SIGHUP, on_reload, server);
    if (r >= 0)
        r = mailbox_open(&server->mailbox);
    if (r >= 0)
        r = sd_event_add_io(server->loop, NULL, server->mailbox.fd, EPOLLIN, on_message, server);
    if (r >= 0)
        r = patient_mailbox_open(&server->session_mailbox, server->loop);
    if (r >= 0)
        r = sd_event_set_watchdog(server->loop, true);
    if (r < 0)
        return error_set(ret_error, r, "cannot make the control loop: %s", strerror(-r));
    return 0;
}

static int check_address(void *context, uint32_t address, struct error *ret_error)
{
    struct server *server = context;
    return addresses_check(server->addresses, address, ret_error);
}

static void log_lost(void *context, const struct error *error)
{
    log_error("%s", error->text);
}

/* Asked by whoever makes a volume, on an admin thread. */
static int probe_nbd(void *context, const char *uri, struct storage_export *ret_export,
                     struct error *ret_error)
{
    struct nbd_export e;
    int r = block_nbd_probe(uri, &e, ret_error);
    if (r >= 0)
        *ret_export = (struct storage_export){.size = e.size,
                                              .min_request = e.min_request,
                                              .read_only = e.read_only,
                                              .can_flush = e.can_flush};
    return r;
}

/* Asked by whoever removes a volume, on an admin thread. */
static bool is_in_use(void *context, uint64_t volume_id, char peer[static 256])
{
    struct server *server = context;
    return server->san && san_is_in_use(server->san, volume_id, peer);
}

static bool is_shut(void *context, uint64_t volume_id)
{
    const struct server *server = context;
    return targets_is_shut(san_targets(server->san), volume_id);
}

static int change_nothing(void *argument, bool in_use, struct error *ret_error)
{
    return 0;
}

static int reopen(void *context, uint64_t volume_id, struct error *ret_error)
{
    const struct server *server = context;
    return targets_exchange(san_targets(server->san), volume_id, change_nothing, NULL, ret_error);
}

static int claim(void *context, uint64_t volume_id, const char *volume, bool force,
                 struct error *ret_error)
{
    struct server *server = context;
    return claims_take(&server->sessions, volume_id, volume, force, ret_error);
}

static void release(void *context, uint64_t volume_id)
{
    struct server *server = context;
    claims_release(&server->sessions, volume_id);
}

static int read_kernel(char text[static 2 * BLOCK_LAYER_ID_SIZE + 1], struct error *ret_error)
{
    uint8_t id[BLOCK_LAYER_ID_SIZE];
    int r = overlay_boot_id(id, ret_error);
    for (size_t i = 0; r >= 0 && i < sizeof(id); i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
    return r;
}

static int exchange(void *context, uint64_t volume_id, const char *volume,
                    int (*change)(void *argument, bool in_use, struct error *ret_error),
                    void *argument, struct error *ret_error)
{
    struct server *server = context;
    return claims_exchange(&server->sessions, volume_id, volume, change, argument, ret_error);
}

static int open_reader(void *context, uint64_t volume_id, struct storage_reader **ret_reader,
                       struct error *ret_error)
{
    struct server *server = context;
    return volume_reader_open(san_targets(server->san), volume_id, ret_reader, ret_error);
}

static int read_volume(void *context, struct storage_reader *reader, uint64_t offset, uint8_t *data,
                       size_t size)
{
    return volume_reader_read(reader, offset, data, size);
}

static void close_reader(void *context, struct storage_reader *reader)
{
    volume_reader_close(reader);
}

/* The registry and the files behind it: what a killed daemon left half-done is cleared first. */
static int start_registry(struct server *server, struct error *ret_error)
{
    const struct config *config = &server->config;
    char path[PATH_MAX + 16];
    snprintf(path, sizeof(path), "%s/registry.db", config->state_directory);
    server->state_lock = state_directory_lock(config->state_directory, ret_error);
    if (server->state_lock < 0)
        return server->state_lock;
    char kernel[2 * BLOCK_LAYER_ID_SIZE + 1];
    if (read_kernel(kernel, ret_error) < 0)
        return ret_error->code;
    struct registry_settings registry = {
        .kernel = kernel,
        .path = path,
        .base_iqn = config->base_iqn,
        .catalog = server->catalog,
        .check_address = check_address,
        .lost = log_lost,
        .context = server,
    };
    int r = registry_start(&registry, &server->registry, ret_error);
    if (r < 0)
        return r;
    struct storage_settings storage = {
        .directory = config->state_directory,
        .registry = server->registry,
        .catalog = server->catalog,
        .warm_limit = config->warm_limit,
        .in_use = is_in_use,
        .probe_nbd = probe_nbd,
        .claim = claim,
        .release = release,
        .is_shut = is_shut,
        .reopen = reopen,
        .tell = log_lost,
        .exchange = exchange,
        .open_reader = open_reader,
        .read = read_volume,
        .close_reader = close_reader,
        .context = server,
    };
    return storage_open(&storage, &server->storage, ret_error);
}

static enum node_http_giver giver(void *context, uint32_t address)
{
    static const enum node_http_giver givers[] = {
        [SUBNET_SERVER] = NODE_HTTP_OURS,
        [SUBNET_PROXY] = NODE_HTTP_PROXIED,
        [SUBNET_OFF] = NODE_HTTP_ELSEWHERE,
    };
    const struct server *server = context;
    char interface[IF_NAMESIZE];
    return givers[addresses_mode(server->addresses, address, interface)];
}

/* The machine that has an address of a network that we are the proxy of. */
static bool neighbour(void *context, uint32_t address, struct mac_address *ret_mac)
{
    const struct server *server = context;
    char interface[IF_NAMESIZE];
    return addresses_mode(server->addresses, address, interface) == SUBNET_PROXY &&
           neighbour_mac(interface, address, ret_mac);
}

static bool machine6(void *context, const struct endpoint *peer, struct mac_address *ret_mac)
{
    const struct server *server = context;
    return machine6_find(server->addresses, peer, ret_mac);
}

static int start_boots(struct server *server, struct error *ret_error)
{
    server->boots.catalog = server->catalog;
    int r = boot_tracker_new(server->registry, server->catalog, &server->boots.tracker, ret_error);
    if (r < 0)
        return r;
    server->boots.neighbour = neighbour;
    server->boots.machine6 = machine6;
    server->boots.context = server;
    server->stages = boot_tracker_provider(server->boots.tracker);
    const struct boot_cache_settings cache = {.catalog = server->catalog,
                                              .stages = &server->stages,
                                              .warm_up = server->config.warm_up,
                                              .warm_limit = server->config.warm_limit};
    return boot_cache_start(&cache, &server->boot_cache, ret_error);
}

static void on_session(void *context, const struct session_event *event)
{
    struct server *server = context;
    boots_session_event(&server->boots, event);
    if (event->kind == ISCSI_EVENT_REFUSED && event->has_rival) {
        cleanup_catalog struct catalog *catalog = catalog_slot_get(server->catalog);
        const struct catalog_node *node = catalog_node_by_initiator(catalog, event->initiator);
        (void)duplicates_note_login(server->duplicates, event, node ? node->name : NULL);
    }
}

static void on_dhcp(void *context, const struct dhcp_event *event)
{
    struct server *server = context;
    boots_dhcp_event(&server->boots, event);
    newcomers_dhcp_event(&server->newcomers, event);
}

static void on_dhcp6(void *context, const struct dhcp6_event *event)
{
    struct server *server = context;
    boots_dhcp6_event(&server->boots, event);
}

static void on_tftp(void *context, const struct tftp_event *event)
{
    struct server *server = context;
    boots_tftp_event(&server->boots, event);
}

static int start_san(struct server *server, struct error *ret_error)
{
    int r = space_watch_start(server->config.state_directory, &server->config.warn_free,
                              &server->space, ret_error);
    if (r >= 0)
        r = san_start(&server->config, server->catalog, server->registry, server->storage,
                      server->space, boot_cache_recorder(server->boot_cache),
                      &server->session_mailbox.mailbox, on_session, server, &server->san,
                      ret_error);
    if (r < 0)
        return r;
    server->sessions = (struct sessions){.roster = san_roster(server->san),
                                         .holds = san_holds(server->san),
                                         .catalog = server->catalog,
                                         .targets = san_targets(server->san)};
    server->session_provider = sessions_provider(&server->sessions);
    return storage_tidy_start(server->storage, ret_error);
}

static void portal_for(void *context, const struct endpoint *local, struct endpoint *ret_portal)
{
    const struct server *server = context;
    san_portal_for(server->san, local, ret_portal);
}

/* Where machines of the subnet that an address is in find the target, as things are now. */
static bool network_of(void *context, uint32_t address, uint32_t *ret_mask,
                       struct endpoint *ret_portal)
{
    const struct server *server = context;
    struct subnet subnet;
    struct link_info link;
    struct error ignored;
    uint32_t own = 0;
    if (addresses_find(server->addresses, address, &subnet) &&
        link_read(subnet.interface, &link, &ignored) >= 0)
        own = link_address_in(&link, subnet.network, subnet.mask);
    const struct endpoint local = endpoint_of_ipv4(own, 0);
    if (!own || !listen_list_find(san_portals(server->san), &local))
        return false;
    san_portal_for(server->san, &local, ret_portal);
    *ret_mask = subnet.mask;
    return true;
}

static bool ipv4_side(void *context, const struct endpoint *peer, uint32_t own,
                      struct node_http_ipv4 *ret_ipv4)
{
    const struct server *server = context;
    return ipv4_side_find(server->addresses, san_portals(server->san), peer, own, ret_ipv4);
}

static void on_http_oddity(void *context, const struct node_http_oddity *oddity)
{
    struct server *server = context;
    http_log_oddity(&server->http_log, oddity);
}

static void read_disk(void *context, struct node_disk_read *read)
{
    const struct server *server = context;
    disk_reads_submit(san_targets(server->san), read);
}

static void on_direct(void *context, const struct node_http_direct *told)
{
    http_log_direct(told);
}

static bool is_registered(void *context, const struct endpoint *peer,
                          struct node_http_place *ret_place)
{
    const struct server *server = context;
    return newcomers_place(&server->newcomers, peer, ret_place);
}

static int open_loader(void *context, const char *name, int *ret_fd, uint64_t *ret_size)
{
    const struct server *server = context;
    return loaders_open_file(server->loaders, name, ret_fd, ret_size);
}

/* Loaders come first: an address without one is a boot that fails. */
static int start_node_http(struct server *server, struct error *ret_error)
{
    const struct listen_list *listen = &server->config.http;
    struct node_http_settings settings = {
        .listen = listen->endpoints,
        .n_listen = listen->count,
        .catalog = server->catalog,
        .tracker = server->boots.tracker,
        .portal = portal_for,
        .network = network_of,
        .giver = giver,
        .neighbour = neighbour,
        .machine6 = machine6,
        .ipv4 = ipv4_side,
        .pending = server->newcomers.pending,
        .registers = is_registered,
        .ways = server->config.boot_ways,
        .read_disk = read_disk,
        .direct_told = on_direct,
        .open_loader = open_loader,
        .oddity = on_http_oddity,
        .context = server,
    };
    int r = loaders_set(server->loaders, &server->config, ret_error);
    return r < 0 ? r : node_http_start(&settings, &server->node_http, ret_error);
}

static bool node_is_up(void *context, const struct catalog_node *node)
{
    char peer[256];
    return node->volume_id && is_in_use(context, node->volume_id, peer);
}

/* What firmware needs. */
static int start_firmware_services(struct server *server, struct error *ret_error)
{
    struct tftp_glue_settings tftp = {
        .mailbox = &server->mailbox, .event = on_tftp, .context = server};
    struct listeners listeners = real_listeners(server);
    struct dhcp_glue_settings dhcp = {
        .loop = server->loop,
        .mailbox = &server->mailbox,
        .catalog = server->catalog,
        .duplicates = server->duplicates,
        .registry = server->registry,
        .node_is_up = node_is_up,
        .event = on_dhcp,
        .event6 = on_dhcp6,
        .context = server,
    };
    int r = tftp_glue_start(&tftp, &server->config, &server->tftp, ret_error);
    if (r >= 0)
        r = dhcp_glue_start(&dhcp, &server->config, &listeners, &server->dhcp, ret_error);
    return r;
}

/* Asked by the admin API, which is started last and stopped first. */
static json_t *count(void *context)
{
    const struct server *server = context;
    const struct counters counters = {
        .dhcp = dhcp_glue_counters(server->dhcp),
        .dhcp6 = dhcp_glue_counters6(server->dhcp),
        .router_adverts = dhcp_glue_router_adverts(server->dhcp),
        .tftp = tftp_glue_counters(server->tftp),
        .http = node_http_counters(server->node_http),
        .iscsi = san_counters(server->san),
    };
    return counters_to_json(&counters);
}

static int list_offers(void *context, struct admin_offer *offers, size_t max, size_t *ret_count,
                       struct error *ret_error)
{
    struct server *server = context;
    return lease_offers_list(&server->mailbox, &server->dhcp, offers, max, ret_count, ret_error);
}

static int release_lease(void *context, const char *what, struct error *ret_error)
{
    struct server *server = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(server->catalog);
    return lease_release_run(&server->mailbox, &server->dhcp, catalog, what, ret_error);
}

/* Where machines of a subnet find us, as things are now. */
static struct export_network export_network_of(const struct server *server,
                                               const struct subnet *subnet)
{
    struct link_info link;
    struct error ignored;
    struct export_network n = {.subnet = subnet, .http_port = 80};
    if (link_read(subnet->interface, &link, &ignored) >= 0)
        n.server = link_address_in(&link, subnet->network, subnet->mask);
    size_t count;
    const struct endpoint own = endpoint_of_ipv4(n.server, 0);
    const struct endpoint *http = node_http_endpoints(server->node_http, &count);
    for (size_t i = 0; i < count; i++)
        if (endpoint_same_host(&http[i], &own) || endpoint_is_any(&http[i]))
            n.http_port = endpoint_port(&http[i]);
    return n;
}

static int export_for_dhcp(void *context, const char *format, char **ret_text,
                           struct error *ret_error)
{
    struct server *server = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(server->catalog);
    cleanup_free struct subnet *subnets = NULL;
    size_t count;
    if (addresses_copy(server->addresses, &subnets, &count) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    struct export_network *networks = calloc(count + 1, sizeof(*networks));
    if (!networks)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        networks[i] = export_network_of(server, &subnets[i]);
    int r = export_dhcp(format, networks, count, catalog, ret_text, ret_error);
    free(networks);
    return r;
}

static uint32_t leased_to(void *context, struct mac_address mac)
{
    const struct server *server = context;
    return server->stages.address_of(server->stages.context, mac);
}

static int describe_ibft(void *context, const char *what, const struct mac_address *mac,
                         json_t **ret_json, struct error *ret_error)
{
    const struct server *server = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(server->catalog);
    cleanup_free struct subnet *subnets = NULL;
    size_t count;
    if (addresses_copy(server->addresses, &subnets, &count) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    const struct ibft_site site = {
        .catalog = catalog,
        .subnets = subnets,
        .n_subnets = count,
        .ways = &server->config.boot_ways,
        .redirects = &server->config.redirects,
        .leased = leased_to,
        .network = network_of,
        .context = context,
    };
    return ibft_intent(&site, what, mac, ret_json, ret_error);
}

static json_t *describe_loaders(void *context)
{
    const struct server *server = context;
    cleanup_free struct subnet *subnets = NULL;
    size_t count;
    if (addresses_copy(server->addresses, &subnets, &count) < 0)
        return NULL;
    return loaders_to_json(server->loaders, subnets, count);
}

static int export_for_firewall(void *context, char **ret_text, struct error *ret_error)
{
    const struct server *server = context;
    struct subnet *subnets = NULL;
    size_t count;
    if (addresses_copy(server->addresses, &subnets, &count) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    cleanup_catalog struct catalog *catalog = catalog_slot_get(server->catalog);
    int r = export_firewall(subnets, count, &server->listening, catalog, ret_text, ret_error);
    free(subnets);
    return r;
}

static json_t *describe_space(void *context)
{
    const struct server *server = context;
    return space_watch_to_json(server->space);
}

static json_t *list_duplicates(void *context)
{
    const struct server *server = context;
    return duplicates_to_json(server->duplicates, clock_wall_usec());
}

static json_t *addresses6_of(void *context, const struct catalog_node *node)
{
    const struct server *server = context;
    return machine6_addresses(server->addresses, node);
}

static int wake_node(void *context, const struct admin_wake *wake, json_t **ret_sent,
                     struct error *ret_error)
{
    const struct server *server = context;
    return wake_machine(server->addresses, wake, ret_sent, ret_error);
}

/* The last to start: whoever reaches it finds everything else running. */
static int start_admin(struct server *server, struct error *ret_error)
{
    struct admin_settings admin = {
        .socket = server->config.socket,
        .state_directory = server->config.state_directory,
        .registry = server->registry,
        .storage = server->storage,
        .catalog = server->catalog,
        .pending = server->newcomers.pending,
        .stages = &server->stages,
        .sessions = &server->session_provider,
        .counters = count,
        .space = describe_space,
        .duplicates = list_duplicates,
        .release_lease = release_lease,
        .offers = list_offers,
        .export_dhcp = export_for_dhcp,
        .export_firewall = export_for_firewall,
        .loaders = describe_loaders,
        .ibft = describe_ibft,
        .addresses6 = addresses6_of,
        .wake = wake_node,
        .context = server,
    };
    server->listening = real_listeners(server);
    int r = state_make_parent(server->config.socket, ret_error);
    return r < 0 ? r : admin_start(&admin, &server->admin, ret_error);
}

static int start(struct server *server, struct error *ret_error)
{
    http_log_init(&server->http_log);
    if (file_limit_raise(server->config.iscsi_limits.sessions, ret_error) < 0)
        return ret_error->code;
    server->catalog = catalog_slot_new();
    server->addresses = addresses_new();
    server->loaders = loaders_new();
    server->duplicates = duplicates_new();
    if (!server->duplicates || !server->catalog || !server->addresses || !server->loaders ||
        addresses_set(server->addresses, server->config.subnets, server->config.n_subnets) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int r = start_loop(server, ret_error);
    if (r >= 0)
        r = start_registry(server, ret_error);
    if (r >= 0)
        r = start_boots(server, ret_error);
    if (r >= 0)
        r = start_san(server, ret_error);
    if (r >= 0)
        r = newcomers_start(&server->newcomers, server->config.adopt, server->boots.tracker,
                            server->addresses, server->storage, server->registry, server->catalog,
                            ret_error);
    if (r >= 0)
        r = start_node_http(server, ret_error);
    if (r >= 0)
        r = start_firmware_services(server, ret_error);
    if (r >= 0)
        r = start_admin(server, ret_error);
    return r;
}

static void stop(struct server *server)
{
    admin_stop(server->admin);
    dhcp_glue_stop(take_ptr(server->dhcp));
    tftp_glue_stop(server->tftp);
    node_http_stop(server->node_http);
    newcomers_stop(&server->newcomers);
    boot_cache_stop(server->boot_cache);
    storage_tidy_stop(server->storage);
    san_stop(server->san);
    space_watch_stop(server->space);
    storage_close(server->storage);
    registry_stop(server->registry);
    mailbox_run(&server->mailbox); /* what all these still had to say */
    patient_mailbox_close(&server->session_mailbox);
    boot_cache_free(server->boot_cache);
    boot_tracker_free(server->boots.tracker);
    catalog_slot_free(server->catalog);
    addresses_free(server->addresses);
    loaders_free(server->loaders);
    duplicates_free(server->duplicates);
    if (server->state_lock >= 0)
        close(server->state_lock);
    http_log_destroy(&server->http_log);
    mailbox_close(&server->mailbox);
    sd_event_unref(server->loop);
    config_free(&server->config);
}

static int run(const char *config_path)
{
    struct server server = {.config_path = config_path,
                            .mailbox = {.fd = -1},
                            .session_mailbox.mailbox.fd = -1,
                            .state_lock = -1};
    struct error error;
    if (config_read(config_path, print_problem, NULL, &server.config) < 0)
        return 1;
    log_open();
    log_set_level(server.config.log_level);
    int r = start(&server, &error);
    if (r < 0) {
        log_error("%s", error.text);
        stop(&server);
        log_stop();
        return 1;
    }
    sd_notify(0, "READY=1");
    log_info("ready");
    r = sd_event_loop(server.loop);
    sd_notify(0, "STOPPING=1");
    stop(&server);
    log_stop();
    return r == 0 ? 0 : 1;
}

static int check(const char *config_path)
{
    struct config config;
    cleanup_chap_credentials struct chap_credentials discovery;
    struct error error;
    if (config_read(config_path, print_problem, NULL, &config) < 0)
        return 1;
    int r = discovery_chap_read(&config, &discovery, &error);
    config_free(&config);
    if (r < 0) {
        fprintf(stderr, "nodisk: %s: %s\n", config_path, error.text);
        return 1;
    }
    printf("%s: good\n", config_path);
    return 0;
}

int serve_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, 'C'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *config_path = NULL;
    bool only_check = false;
    for (int c; (c = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        switch (c) {
        case 'c':
            config_path = optarg;
            break;
        case 'C':
            only_check = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return 2;
    }
    if (!config_path) {
        fputs(no_config, stderr);
        return 2;
    }
    return only_check ? check(config_path) : run(config_path);
}
