/*
 * Everything here runs on the control thread and waits for nothing: the catalog is in memory, and
 * a lease that must be stored before it is promised goes to the registry as a message, whose
 * answer comes back through the mailbox. A timer sees to the promises that cannot wait for it.
 */
#include "server/dhcp_glue.h"

#include "core/list.h"
#include "core/log.h"
#include "dhcp/conflicts.h"
#include "server/dhcp6_log.h"
#include "server/dhcp_log.h"
#include "server/dhcp_plan.h"
#include "server/dhcp_warn.h"
#include "server/link_watch.h"

#include <errno.h>
#include <sys/random.h>

#define TIMER_ACCURACY 1000 /* usec */

struct dhcp_glue {
    struct dhcp_glue_settings settings;
    struct dhcp_server *server;
    struct dhcp_plan *plan; /* the one in force... */
    struct subnet *subnets; /* ...and what it was made from */
    size_t n_subnets;
    struct listeners listeners;
    struct link_watch *watch;
    bool told_missing; /* that no subnet at all can be served */
    sd_event_source *timer;
    struct list records;     /* under way to the registry */
    struct catalog *catalog; /* while a message is handled */
    struct router_advert_counters router_adverts;
    struct dhcp_log log;
    struct dhcp_answer answer; /* the one being made: large, so not on the stack */
    struct dhcp6_server server6;
    struct dhcp6_log log6;
    struct dhcp6_answer answer6;
};

static struct dhcp_clock clock_now(void)
{
    return (struct dhcp_clock){.monotonic = clock_monotonic_usec(), .wall = clock_wall_usec()};
}

/* --- what the server asks --- */

/* As the card sees it that has the MAC; NULL: as any card of it that is no path's. */
static bool fill_node(const struct catalog *catalog, const struct catalog_node *node,
                      const struct mac_address *mac, struct dhcp_node *ret_node)
{
    if (!node)
        return false;
    const struct catalog_group *group = catalog_group_by_name(catalog, node->group);
    *ret_node = (struct dhcp_node){
        .name = node->name,
        .address = mac ? catalog_node_address_of(node, *mac) : node->address,
        .macs = node->macs,
        .n_macs = node->n_macs,
        .options = node->options,
        .group_options = group ? group->options : NULL,
    };
    return true;
}

static bool node_by_mac(void *context, struct mac_address mac, struct dhcp_node *ret_node)
{
    const struct dhcp_glue *glue = context;
    return glue->catalog &&
           fill_node(glue->catalog, catalog_node_by_mac(glue->catalog, mac), &mac, ret_node);
}

static bool node_by_address(void *context, uint32_t address, struct dhcp_node *ret_node)
{
    const struct dhcp_glue *glue = context;
    return glue->catalog &&
           fill_node(glue->catalog, catalog_node_by_address(glue->catalog, address), NULL,
                     ret_node);
}

static bool node_by_name(void *context, const char *name, struct dhcp_node *ret_node)
{
    const struct dhcp_glue *glue = context;
    return glue->catalog &&
           fill_node(glue->catalog, catalog_node_by_name(glue->catalog, name), NULL, ret_node);
}

static bool node_is_up(void *context, const struct dhcp_node *node)
{
    const struct dhcp_glue *glue = context;
    const struct catalog_node *found =
        glue->catalog ? catalog_node_by_name(glue->catalog, node->name) : NULL;
    return found && glue->settings.node_is_up &&
           glue->settings.node_is_up(glue->settings.context, found);
}

static void on_event(void *context, const struct dhcp_event *event)
{
    const struct dhcp_glue *glue = context;
    if (glue->settings.event)
        glue->settings.event(glue->settings.context, event);
}

/* What is there twice is told once, as long as it stands in the status; but of another server,
 * which sends nodes astray now and then, each minute. */
static bool is_known(const struct dhcp_glue *glue, const struct dhcp_oddity *oddity)
{
    char text[DHCP_LOG_TEXT_SIZE];
    bool news;
    if (!duplicates_is_one(oddity->kind))
        return false;
    dhcp_log_describe(oddity, text);
    news = duplicates_note_dhcp(glue->settings.duplicates, oddity, text, clock_wall_usec());
    return !news && oddity->kind != DHCP_ODD_FOREIGN_SERVER;
}

static void on_oddity(void *context, const struct dhcp_oddity *oddity)
{
    struct dhcp_glue *glue = context;
    if (!is_known(glue, oddity))
        dhcp_log_oddity(&glue->log, oddity);
}

/* Each message sees one catalog from beginning to end. */
static void begin(struct dhcp_glue *glue)
{
    glue->catalog = catalog_slot_get(glue->settings.catalog);
}

static void end(struct dhcp_glue *glue)
{
    catalog_unref(glue->catalog);
    glue->catalog = NULL;
}

/* --- sending --- */

static void send_answer(struct dhcp_glue *glue)
{
    const struct dhcp_answer *answer = &glue->answer;
    for (size_t i = 0; i < glue->plan->n_links; i++) {
        const struct served_link *link = &glue->plan->links[i];
        if (link->info.index != answer->link)
            continue;
        int r = dhcp_socket_send(link->socket, answer);
        if (r < 0)
            dhcp_log_send_failure(&glue->log, answer, r);
    }
}

/* Asks by ARP for what is to be asked for now. */
static void send_probes(struct dhcp_glue *glue, const struct dhcp_clock *now)
{
    struct dhcp_probe probe;
    while (dhcp_server_next_probe(glue->server, now, &probe))
        for (size_t i = 0; i < glue->plan->n_links; i++)
            if (glue->plan->links[i].info.index == probe.link && glue->plan->links[i].arp)
                arp_socket_ask(glue->plan->links[i].arp, probe.sender, probe.address);
}

static void set_timer(struct dhcp_glue *glue)
{
    uint64_t deadline =
        MIN(dhcp_server_deadline(glue->server), dhcp_server_probe_time(glue->server));
    if (deadline == UINT64_MAX) {
        (void)sd_event_source_set_enabled(glue->timer, SD_EVENT_OFF);
        return;
    }
    if (sd_event_source_set_time(glue->timer, deadline) >= 0)
        (void)sd_event_source_set_enabled(glue->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct dhcp_glue *glue = userdata;
    struct dhcp_clock now = clock_now();
    begin(glue);
    while (dhcp_server_expire(glue->server, &now, &glue->answer))
        send_answer(glue);
    send_probes(glue, &now);
    end(glue);
    set_timer(glue);
    return 0;
}

static void on_datagram(void *context, const struct dhcp_arrival *arrival, const void *data,
                        size_t size)
{
    struct dhcp_glue *glue = context;
    struct dhcp_clock now = clock_now();
    begin(glue);
    if (dhcp_server_receive(glue->server, arrival, data, size, &now, &glue->answer))
        send_answer(glue);
    send_probes(glue, &now); /* after the answer, which waits for none of them */
    end(glue);
    set_timer(glue);
}

static void on_claim(void *context, unsigned link, uint32_t address, struct mac_address mac)
{
    struct dhcp_glue *glue = context;
    struct dhcp_clock now = clock_now();
    begin(glue);
    dhcp_server_claimed(glue->server, link, address, mac, &now);
    end(glue);
}

/* --- DHCPv6 --- */

static void on_event6(void *context, const struct dhcp6_event *event)
{
    const struct dhcp_glue *glue = context;
    if (glue->settings.event6)
        glue->settings.event6(glue->settings.context, event);
}

static void on_oddity6(void *context, const struct dhcp6_oddity *oddity)
{
    struct dhcp_glue *glue = context;
    dhcp6_log_oddity(&glue->log6, oddity);
}

static void send_answer6(struct dhcp_glue *glue)
{
    for (size_t i = 0; i < glue->plan->n_links; i++) {
        const struct served_link *link = &glue->plan->links[i];
        if (link->info.index != glue->answer6.link || !link->socket6)
            continue;
        int r = dhcp6_socket_send(link->socket6, &glue->answer6);
        if (r < 0)
            dhcp6_log_send_failure(&glue->log6, &glue->answer6, r);
    }
}

static void on_datagram6(void *context, const struct dhcp6_arrival *arrival, const void *data,
                         size_t size)
{
    struct dhcp_glue *glue = context;
    begin(glue);
    bool send = dhcp6_server_receive(&glue->server6, glue->plan->networks, glue->plan->n_networks,
                                     arrival, data, size, clock_monotonic_usec(), &glue->answer6);
    end(glue);
    if (send)
        send_answer6(glue);
}

static bool is_known_node(void *context, struct mac_address mac)
{
    const struct dhcp_glue *glue = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(glue->settings.catalog);
    return catalog && catalog_node_by_mac(catalog, mac);
}

/* --- leases to and from the registry --- */

struct record {
    struct registry_reply reply;
    struct list in_glue;
    struct dhcp_glue *glue; /* NULL: it has been stopped */
    uint32_t address;
    struct mac_address mac;
};

static void on_stored(struct message *message)
{
    struct registry_reply *reply = container_of(message, struct registry_reply, message);
    struct record *record = container_of(reply, struct record, reply);
    struct dhcp_glue *glue = record->glue;
    if (glue) {
        struct dhcp_clock now = clock_now();
        list_remove(&record->in_glue);
        begin(glue);
        if (dhcp_server_stored(glue->server, record->address, record->mac, reply->error.code == 0,
                               &now, &glue->answer))
            send_answer(glue);
        end(glue);
        set_timer(glue);
    }
    free(record);
}

static struct registry_lease to_registry(const struct dhcp_glue *glue,
                                         const struct dhcp_lease_record *record)
{
    const struct catalog_node *node =
        glue->catalog ? catalog_node_by_mac(glue->catalog, record->mac) : NULL;
    struct registry_lease lease = {
        .address = record->address,
        .mac = record->mac,
        .node_id = node ? node->id : 0,
        .state = REGISTRY_LEASE_RELEASED,
        .expires_at = record->expires_at,
    };
    if (record->state == LEASE_BOUND)
        lease.state = REGISTRY_LEASE_BOUND;
    else if (record->state == LEASE_DECLINED)
        lease.state = REGISTRY_LEASE_DECLINED;
    str_copy(lease.subnet, sizeof(lease.subnet), record->subnet);
    if (record->node)
        str_copy(lease.host_name, sizeof(lease.host_name), record->node);
    return lease;
}

static bool store(void *context, const struct dhcp_lease_record *lease_record)
{
    struct dhcp_glue *glue = context;
    struct registry_lease lease = to_registry(glue, lease_record);
    struct record *record = glue->settings.registry ? calloc(1, sizeof(*record)) : NULL;
    if (!record)
        return false;
    record->reply.message.run = on_stored;
    record->reply.mailbox = glue->settings.mailbox;
    record->glue = glue;
    record->address = lease_record->address;
    record->mac = lease_record->mac;
    if (registry_lease_store(glue->settings.registry, &lease, &record->reply) < 0) {
        free(record);
        return false;
    }
    list_append(&glue->records, &record->in_glue);
    return true;
}

/* Behind what is stored already: the registry does one after the other. */
static void forget(void *context, uint32_t address)
{
    const struct dhcp_glue *glue = context;
    if (glue->settings.registry &&
        registry_lease_remove(glue->settings.registry, address, NULL) < 0)
        log_warning("dhcp: out of memory: a released lease is back after a restart");
}

int dhcp_glue_release(struct dhcp_glue *glue, const struct dhcp_release *release,
                      struct error *ret_error)
{
    struct dhcp_node node = {0};
    begin(glue);
    int r = dhcp_server_release(glue->server, release, &node);
    if (r == -EBUSY)
        (void)error_set(ret_error, r,
                        "node '%s' is up with that address: shut it down first, or give it another "
                        "one for its next boot: nodisk node set %s --address IPV4",
                        node.name, node.name);
    else if (r < 0)
        (void)error_set(ret_error, r, "there is no such lease; see: nodisk lease list");
    end(glue);
    return r;
}

void dhcp_glue_each_lease(struct dhcp_glue *glue, dhcp_lease_visitor *visit, void *context)
{
    dhcp_server_each_lease(glue->server, visit, context);
}

struct restoring {
    struct dhcp_glue *glue;
    struct dhcp_clock now;
    size_t count;
};

static void restore(void *context, const struct registry_lease *lease)
{
    struct restoring *r = context;
    struct dhcp_lease_record record = {
        .mac = lease->mac,
        .address = lease->address,
        .state = LEASE_FREE,
        .expires_at = lease->expires_at,
    };
    if (lease->state == REGISTRY_LEASE_BOUND)
        record.state = LEASE_BOUND;
    else if (lease->state == REGISTRY_LEASE_DECLINED)
        record.state = LEASE_DECLINED;
    r->count += dhcp_server_restore(r->glue->server, &record, &r->now);
}

static int restore_all(struct dhcp_glue *glue, struct error *ret_error)
{
    struct restoring restoring = {.glue = glue, .now = clock_now()};
    if (!glue->settings.registry)
        return 0;
    begin(glue);
    int r = registry_lease_list(glue->settings.registry, restore, &restoring, ret_error);
    end(glue);
    if (r >= 0)
        log_debug("dhcp: %zu leases taken back", restoring.count);
    return r;
}

/* --- sockets --- */

static int open_link(struct dhcp_glue *glue, const struct dhcp_plan *plan, struct served_link *link,
                     struct error *ret_error)
{
    int r = 0;
    if (!link->socket)
        r = dhcp_socket_open(glue->settings.loop, &link->info, on_datagram, glue, &link->socket,
                             ret_error);
    if (r >= 0 && dhcp_plan_has_proxy(plan, link))
        r = dhcp_socket_set_boot_server(link->socket, &link->info, true, ret_error);
    if (r >= 0 && !link->socket6 && dhcp_plan_wants_dhcp6(plan, link))
        r = dhcp6_socket_open(glue->settings.loop, &link->info, on_datagram6, glue, &link->socket6,
                              ret_error);
    if (r >= 0 && !link->arp && dhcp_plan_wants_arp(plan, link))
        r = arp_socket_open(glue->settings.loop, &link->info, on_claim, glue, &link->arp,
                            ret_error);
    if (r >= 0 && !link->router_advert && dhcp_plan_wants_router_advert(plan, link))
        r = router_advert_open(glue->settings.loop, &link->info, &glue->router_adverts,
                               is_known_node, glue, &link->router_advert, ret_error);
    return r;
}

static void close_plan(struct dhcp_plan *plan)
{
    for (size_t i = 0; plan && i < plan->n_links; i++) {
        dhcp_socket_close(plan->links[i].socket);
        dhcp6_socket_close(plan->links[i].socket6);
        router_advert_close(plan->links[i].router_advert);
        arp_socket_close(plan->links[i].arp);
    }
    free(plan);
}

/* Moves the sockets of interfaces that both plans have; moving them back undoes it. */
static void move_sockets(struct dhcp_plan *from, struct dhcp_plan *to)
{
    for (size_t i = 0; from && i < from->n_links; i++) {
        struct served_link *old = &from->links[i];
        struct served_link *new = dhcp_plan_find_link(to, old->info.name);
        if (!new || new->info.index != old->info.index)
            continue;
        new->socket = take_ptr(old->socket);
        new->socket6 = take_ptr(old->socket6);
        new->router_advert = take_ptr(old->router_advert);
        new->arp = take_ptr(old->arp);
    }
}

/* What is told to nodes there. */
static void set_advertised(const struct dhcp_plan *plan, const struct served_link *link)
{
    struct network6 networks[CONFIG_MAX_SUBNETS];
    size_t count = dhcp_plan_networks6(plan, link, networks);
    if (link->router_advert)
        router_advert_boot_in(link->router_advert, networks, count);
}

/* And sees to it that what is wanted is as this plan has it. */
static void drop_unwanted(struct dhcp_plan *plan)
{
    for (size_t i = 0; i < plan->n_links; i++) {
        struct served_link *link = &plan->links[i];
        struct error ignored; /* closing a port does not fail */
        if (!dhcp_plan_wants_router_advert(plan, link))
            router_advert_close(take_ptr(link->router_advert));
        if (!dhcp_plan_wants_dhcp6(plan, link))
            dhcp6_socket_close(take_ptr(link->socket6));
        set_advertised(plan, link);
        if (!dhcp_plan_wants_arp(plan, link))
            arp_socket_close(take_ptr(link->arp));
        if (link->socket && !dhcp_plan_has_proxy(plan, link))
            (void)!dhcp_socket_set_boot_server(link->socket, &link->info, false, &ignored);
    }
}

static int open_plan(struct dhcp_glue *glue, struct dhcp_plan *plan, struct error *ret_error)
{
    for (size_t i = 0; i < plan->n_links; i++) {
        int r = open_link(glue, plan, &plan->links[i], ret_error);
        if (r < 0)
            return r;
    }
    if (dhcp_server_set_networks(glue->server, plan->networks, plan->n_networks) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    return 0;
}

/* Takes over the sockets that the plan in force has already; all or nothing. */
static int put_in_force(struct dhcp_glue *glue, struct dhcp_plan *plan, struct error *ret_error)
{
    move_sockets(glue->plan, plan);
    int r = open_plan(glue, plan, ret_error);
    if (r < 0) {
        move_sockets(plan, glue->plan);
        drop_unwanted(glue->plan);
        return r;
    }
    drop_unwanted(plan);
    close_plan(glue->plan);
    glue->plan = plan;
    set_timer(glue);
    return 0;
}

static int keep_config(struct dhcp_glue *glue, const struct config *config,
                       const struct listeners *listeners)
{
    struct subnet *subnets = calloc(config->n_subnets + 1, sizeof(*subnets));
    if (!subnets)
        return -ENOMEM;
    memcpy(subnets, config->subnets, config->n_subnets * sizeof(*subnets));
    free(glue->subnets);
    glue->subnets = subnets;
    glue->n_subnets = config->n_subnets;
    glue->listeners = *listeners;
    return 0;
}

int dhcp_glue_reload(struct dhcp_glue *glue, const struct config *config,
                     const struct listeners *listeners, struct error *ret_error)
{
    struct dhcp_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int r = dhcp_plan_make(config, listeners, plan, ret_error);
    if (r >= 0)
        r = put_in_force(glue, plan, ret_error);
    if (r < 0) {
        close_plan(plan);
        return r;
    }
    dhcp_warn_of_problems(plan, NULL);
    dhcp_warn_of_unreachable(plan, listeners);
    if (keep_config(glue, config, listeners) < 0)
        log_warning("dhcp: out of memory: changed interfaces will need a reload");
    glue->told_missing = false;
    return 0;
}

/* Interfaces that went away may be back, as other ones with the same name; or the server's address
 * was changed. What cannot be served now is served again when it can. */
static void on_links_changed(void *context)
{
    struct dhcp_glue *glue = context;
    const struct config config = {.subnets = glue->subnets, .n_subnets = glue->n_subnets};
    struct error error;
    struct dhcp_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return;
    int r = dhcp_plan_make(&config, &glue->listeners, plan, &error);
    bool same = r >= 0 && dhcp_plan_same_links(plan, glue->plan);
    if (r >= 0 && !same) {
        dhcp_warn_of_problems(plan, glue->plan);
        r = put_in_force(glue, plan, &error);
    }
    if (r < 0 && !glue->told_missing)
        log_warning(
            "dhcp: the interfaces have changed, and cannot be served as configured for now: %s",
            error.text);
    if (r >= 0 && !same)
        log_notice("dhcp: the interfaces have changed: serving them as they are now");
    glue->told_missing = r < 0;
    if (r < 0 || same)
        close_plan(plan);
}

static int prepare(struct dhcp_glue *glue, struct error *ret_error)
{
    const struct dhcp_policy policy = {
        .context = glue,
        .node_by_mac = node_by_mac,
        .node_by_address = node_by_address,
        .node_by_name = node_by_name,
        .node_is_up = node_is_up,
        .store = store,
        .forget = forget,
        .event = on_event,
        .oddity = on_oddity,
    };
    glue->server6.policy = (struct dhcp6_policy){
        .context = glue,
        .node_by_mac = node_by_mac,
        .event = on_event6,
        .oddity = on_oddity6,
    };
    uint64_t seed = 0;
    (void)!getrandom(&seed, sizeof(seed), 0);
    glue->server = dhcp_server_new(&policy, seed);
    glue->plan = calloc(1, sizeof(*glue->plan));
    if (!glue->server || !glue->plan)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int r = sd_event_add_time(glue->settings.loop, &glue->timer, CLOCK_MONOTONIC, 0, TIMER_ACCURACY,
                              on_timer, glue);
    if (r >= 0)
        r = sd_event_source_set_enabled(glue->timer, SD_EVENT_OFF);
    if (r >= 0)
        r = link_watch_start(glue->settings.loop, on_links_changed, glue, &glue->watch);
    if (r < 0)
        return error_set(ret_error, r, "dhcp: cannot watch the interfaces: %s", strerror(-r));
    return 0;
}

int dhcp_glue_start(const struct dhcp_glue_settings *settings, const struct config *config,
                    const struct listeners *listeners, struct dhcp_glue **ret_glue,
                    struct error *ret_error)
{
    struct dhcp_glue *glue = calloc(1, sizeof(*glue));
    if (!glue)
        return error_set(ret_error, -ENOMEM, "out of memory");
    glue->settings = *settings;
    list_init(&glue->records);
    int r = prepare(glue, ret_error);
    if (r >= 0)
        r = dhcp_glue_reload(glue, config, listeners, ret_error);
    if (r >= 0)
        r = restore_all(glue, ret_error); /* before the loop runs: nothing was received yet */
    if (r < 0) {
        dhcp_glue_stop(glue);
        return r;
    }
    *ret_glue = glue;
    return 0;
}

void dhcp_glue_stop(struct dhcp_glue *glue)
{
    if (!glue)
        return;
    for (struct list *l; (l = list_pop(&glue->records));)
        container_of(l, struct record, in_glue)->glue = NULL;
    sd_event_source_disable_unref(glue->timer);
    link_watch_stop(glue->watch);
    close_plan(glue->plan);
    dhcp_server_free(glue->server);
    free(glue->subnets);
    free(glue);
}

const struct dhcp_counters *dhcp_glue_counters(const struct dhcp_glue *glue)
{
    return dhcp_server_counters(glue->server);
}

const struct router_advert_counters *dhcp_glue_router_adverts(const struct dhcp_glue *glue)
{
    return &glue->router_adverts;
}

const struct dhcp6_counters *dhcp_glue_counters6(const struct dhcp_glue *glue)
{
    return &glue->server6.counters;
}
