#include "server/boots.h"

#include "core/log.h"

#define NOT_IN_IBFT ", over IPv6: the iBFT cannot say that"

static enum boot_way way_of(const struct dhcp_client *client, bool ipv6)
{
    if (client->kind == DHCP_CLIENT_HTTP)
        return ipv6 ? BOOT_WAY_HTTP6 : BOOT_WAY_HTTP;
    return ipv6 ? BOOT_WAY_PXE6 : BOOT_WAY_PXE;
}

static void sign_of(struct boots *boots, const struct dhcp_client *client, bool ipv6,
                    struct mac_address mac, const char *detail)
{
    if (dhcp_client_wants_loader(client))
        boot_tracker_firmware_asks(boots->tracker, mac, way_of(client, ipv6), detail);
    else if (client->kind == DHCP_CLIENT_IPXE)
        boot_tracker_sign_of_mac(boots->tracker, mac, BOOT_SIGN_IPXE_DHCP, detail);
}

static void sign_of_dhcp(struct boots *boots, const struct dhcp_event *event, const char *detail)
{
    sign_of(boots, &event->client, false, event->mac, detail);
}

void boots_dhcp_event(struct boots *boots, const struct dhcp_event *event)
{
    char address[IPV4_TEXT_SIZE];
    /* Which address the other server gives it, nobody here hears. Its second question is of the
     * same step. */
    if (event->proxy) {
        if (event->type == DHCP_OFFER)
            sign_of_dhcp(boots, event, "from another server");
        return;
    }
    /* an INFORM comes from whoever likes, with any address */
    if (event->type != DHCP_ACK || event->request == DHCP_INFORM || !event->address)
        return;
    boot_tracker_set_address(boots->tracker, event->address, event->mac);
    /* No firmware: a program on a running node, which is to have no secrets for saying that it
     * boots */
    if (event->unprivileged)
        return;
    sign_of_dhcp(boots, event, ipv4_format(event->address, address));
}

/* What boots here without having its address from here is told only what to boot. */
static bool says_what_boots(const struct dhcp6_event *event)
{
    return event->request == DHCP6_INFORMATION_REQUEST || event->subnet->mode == SUBNET_PROXY;
}

void boots_dhcp6_event(struct boots *boots, const struct dhcp6_event *event)
{
    char address[INET6_ADDRSTRLEN];
    const char *detail = "from another server";
    if (event->unprivileged)
        return;
    if (!says_what_boots(event)) {
        if (event->type != DHCP6_REPLY || IN6_IS_ADDR_UNSPECIFIED(&event->address))
            return;
        detail = ipv6_format(&event->address, address);
    }
    sign_of(boots, &event->client, true, event->mac, detail);
}

void boots_tftp_event(struct boots *boots, const struct tftp_event *event)
{
    uint32_t address;
    struct mac_address mac;
    if (event->kind != TFTP_EVENT_FINISHED)
        return;
    if (!endpoint_ipv4(&event->peer, &address)) {
        if (boots->machine6 && boots->machine6(boots->context, &event->peer, &mac))
            boot_tracker_sign_of_mac(boots->tracker, mac, BOOT_SIGN_LOADER, event->file);
    } else if (boots->neighbour && boots->neighbour(boots->context, address, &mac)) {
        boot_tracker_sign_of_mac(boots->tracker, mac, BOOT_SIGN_LOADER, event->file);
    } else {
        boot_tracker_sign_of_address(boots->tracker, address, BOOT_SIGN_LOADER, event->file);
    }
}

enum boot_sign boots_sign_of_login(const struct iscsi_login_traits *traits)
{
    if (traits->firmware)
        return BOOT_SIGN_FIRMWARE_LOGIN;
    return traits->adopts_session ? BOOT_SIGN_SYSTEM_LOGIN : BOOT_SIGN_INITRAMFS_LOGIN;
}

static const char *proof_word(const struct iscsi_login_traits *traits)
{
    static const char *const words[] = {
        [CHAP_NONE] = "", [CHAP_ONE_WAY] = " with CHAP", [CHAP_MUTUAL] = " with mutual CHAP"};
    return words[traits->proven];
}

static const char *login_word(const struct session_event *event)
{
    if (!*event->target)
        return "discovery";
    return boot_stage_name(boot_sign_stage(boots_sign_of_login(&event->traits)));
}

static void log_refusal(struct boots *boots, const char *node, const struct session_event *event)
{
    char peer[ENDPOINT_TEXT_SIZE];
    uint32_t suppressed;
    bool moved = event->status == ISCSI_LOGIN_MOVED_TEMPORARILY;
    if (!ratelimit_allow(&boots->refusals, &event->peer, clock_monotonic_usec(), &suppressed))
        return;
    log_write(moved ? LOG_INFO : LOG_WARNING, node, "login of %s from %s to %s %s: %s%s",
              *event->initiator ? event->initiator : "an initiator without a name",
              endpoint_format_address(&event->peer, peer),
              *event->target ? event->target : "no target", moved ? "sent on" : "refused",
              event->reason, suppressed ? " (and more of its logins within the last minute)" : "");
}

static void log_violation(struct boots *boots, const char *node, const struct session_event *event)
{
    char peer[ENDPOINT_TEXT_SIZE];
    uint32_t suppressed;
    if (!ratelimit_allow(&boots->violations, &event->peer, clock_monotonic_usec(), &suppressed))
        return;
    log_write(LOG_WARNING, node, "connection of %s from %s dropped: %s%s",
              *event->initiator ? event->initiator : "an initiator without a name",
              endpoint_format_address(&event->peer, peer), event->reason,
              suppressed ? " (and more like it within the last minute)" : "");
}

/* iPXE's table for the system has room for the first four bytes of an IPv6 address, and puts them
 * there as an IPv4 address. */
static bool is_lost_to_system(const struct session_event *event)
{
    uint32_t ignored;
    return event->traits.program && str_eq(event->traits.program, "iPXE") && *event->target &&
           !endpoint_ipv4(&event->peer, &ignored);
}

static void log_lost_to_system(struct boots *boots, const char *node,
                               const struct session_event *event)
{
    uint32_t suppressed;
    if (ratelimit_allow(&boots->lost, &event->peer, clock_monotonic_usec(), &suppressed))
        log_write(
            LOG_WARNING, node,
            "its iPXE reads the disk over IPv6, and the iBFT that iPXE leaves has IPv4 addresses "
            "only: its system finds the disk if it is told otherwise where it is; give the node "
            "an IPv4 address (nodisk node set %s --address), or see DISKS OVER IPV6 in nodisk(1)",
            node ? node : "NODE");
}

/* Anybody may discover, as often as he likes. */
static bool is_news(struct boots *boots, const struct session_event *event)
{
    uint32_t suppressed;
    return *event->target ||
           ratelimit_allow(&boots->discoveries, &event->peer, clock_monotonic_usec(), &suppressed);
}

static void log_end(struct boots *boots, const char *node, const struct session_event *event)
{
    char peer[ENDPOINT_TEXT_SIZE];
    const struct iscsi_session_counters *c = &event->counters;
    if (event->violated)
        log_violation(boots, node, event);
    else if (event->had_session && *event->target)
        log_write(
            LOG_INFO, node,
            "session of %s from %s ended (%s): %llu commands, %llu KiB read, %llu KiB written",
            event->initiator, endpoint_format_address(&event->peer, peer), event->reason,
            (unsigned long long)c->commands, (unsigned long long)(c->read_bytes / KIB),
            (unsigned long long)(c->written_bytes / KIB));
    else
        log_write(LOG_DEBUG, node, "connection from %s ended: %s",
                  endpoint_format_address(&event->peer, peer), event->reason);
}

static void post_seen(struct boots *boots, const struct catalog_node *node, uint64_t tag, bool runs)
{
    if (registry_chap_seen(boots->registry, node->id, tag, runs) < 0)
        log_write(LOG_WARNING, node->name, "out of memory: its older CHAP secrets still hold");
}

/* With which of its secrets its system has logged in, and whether it has come so far that it goes
 * on with those: what is not written down, the next login tells again. That it is up may be told at
 * the same time (http/nodes.c): whoever comes second sees the other. */
static void note_secret(struct boots *boots, const struct catalog_node *node,
                        const struct session_event *event)
{
    const struct iscsi_login_traits *traits = &event->traits;
    if (!node || !node->chap || traits->proven == CHAP_NONE || traits->firmware || !*event->target)
        return;
    bool present = traits->proven_tag == node->chap->tag;
    if (!present || !node->chap_seen)
        post_seen(boots, node, traits->proven_tag, false);
    if (node->chap->older &&
        (traits->adopts_session || boot_tracker_has_system(boots->tracker, node->id)))
        post_seen(boots, node, traits->proven_tag, true);
}

/* A system that has secrets of an earlier boot than the one under way runs still: that it comes
 * back says nothing of that boot, whose script somebody has asked for meanwhile. */
static bool is_of_boot(const struct boots *boots, const struct catalog_node *node,
                       const struct iscsi_login_traits *traits)
{
    return !node || !node->chap || traits->proven == CHAP_NONE ||
           traits->proven_tag == node->chap->tag ||
           node->chap->tag != boot_tracker_boot_id(boots->tracker, node->id);
}

void boots_session_event(struct boots *boots, const struct session_event *event)
{
    char peer[ENDPOINT_TEXT_SIZE + sizeof(NOT_IN_IBFT)];
    cleanup_catalog struct catalog *catalog = catalog_slot_get(boots->catalog);
    const struct catalog_node *node = catalog_node_by_initiator(catalog, event->initiator);
    const char *name = node ? node->name : NULL;
    switch (event->kind) {
    case ISCSI_EVENT_LOGIN:
        endpoint_format_address(&event->peer, peer);
        log_write(is_news(boots, event) ? LOG_INFO : LOG_DEBUG, name, "%s login of %s from %s%s",
                  login_word(event), event->initiator, peer, proof_word(&event->traits));
        if (is_lost_to_system(event)) {
            log_lost_to_system(boots, name, event);
            str_copy(peer + strlen(peer), sizeof(peer) - strlen(peer), NOT_IN_IBFT);
        }
        if (*event->target && is_of_boot(boots, node, &event->traits))
            boot_tracker_sign_of_initiator(boots->tracker, event->initiator,
                                           boots_sign_of_login(&event->traits), peer);
        note_secret(boots, node, event);
        break;
    case ISCSI_EVENT_REFUSED:
        log_refusal(boots, name, event);
        break;
    case ISCSI_EVENT_END:
        log_end(boots, name, event);
        break;
    }
}
