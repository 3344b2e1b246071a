/*
 * What a machine has come to that booted by a table: its cards, addresses and routes, its host
 * name, its iSCSI sessions. Only what the table says something of is looked for.
 */
#include "ibft/compare.h"

#include <dirent.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <stdarg.h>

/* The first line of a file, without its end; false: there is none. */
static bool read_line(char text[static IBFT_TEXT_SIZE], const char *format, ...) PRINTF_LIKE(2, 3);

static bool read_line(char text[static IBFT_TEXT_SIZE], const char *format, ...)
{
    char path[PATH_MAX];
    va_list list;
    va_start(list, format);
    vsnprintf(path, sizeof(path), format, list);
    va_end(list);
    cleanup_fclose FILE *f = fopen(path, "re");
    if (!f || !fgets(text, IBFT_TEXT_SIZE, f))
        return false;
    text[strcspn(text, "\n")] = '\0';
    return text[0] != '\0';
}

/* Calls look() for each entry of a directory until it returns true. */
static bool each_entry(const char *root, const char *path, const char *prefix,
                       bool (*look)(void *context, const char *entry), void *context)
{
    char directory[PATH_MAX];
    bool found = false;
    snprintf(directory, sizeof(directory), "%s%s", root, path);
    DIR *d = opendir(directory);
    if (!d)
        return false;
    for (struct dirent *e; !found && (e = readdir(d));)
        if (e->d_name[0] != '.' && str_has_prefix(e->d_name, prefix))
            found = look(context, e->d_name);
    closedir(d);
    return found;
}

/* --- card and address --- */

struct card_search {
    const char *root;
    const char *mac;
    char name[IF_NAMESIZE];
};

/* A VLAN or a bridge has the MAC of its card, but no device. */
static bool is_card(void *context, const char *entry)
{
    struct card_search *search = context;
    char mac[IBFT_TEXT_SIZE], device[PATH_MAX];
    snprintf(device, sizeof(device), "%s/sys/class/net/%s/device", search->root, entry);
    if (!read_line(mac, "%s/sys/class/net/%s/address", search->root, entry) ||
        !str_eq(mac, search->mac))
        return false;
    str_copy(search->name, sizeof(search->name), entry);
    return access(device, F_OK) == 0;
}

/* Whatever carries it: a bridge or a bond may have taken the card's place. */
static const struct ifaddrs *find_address(const struct ifaddrs *all, uint32_t address,
                                          const char *card)
{
    const struct ifaddrs *of_card = NULL;
    for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
        if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET || !a->ifa_netmask)
            continue;
        const struct sockaddr_in *in = (const void *)a->ifa_addr;
        if (ntohl(in->sin_addr.s_addr) == address)
            return a;
        if (!of_card && str_eq(a->ifa_name, card))
            of_card = a;
    }
    return of_card;
}

static void view_address(struct ibft_view *view, const struct ibft_nic *nic, const char *card)
{
    struct ifaddrs *all;
    char text[IPV4_TEXT_SIZE];
    if (!ibft_ip_is_set(&nic->address) || !ibft_ip_is_v4(&nic->address) || getifaddrs(&all) < 0)
        return;
    const struct ifaddrs *a = find_address(all, ibft_ip_v4(&nic->address), card);
    if (a) {
        const struct sockaddr_in *in = (const void *)a->ifa_addr,
                                 *mask = (const void *)a->ifa_netmask;
        ibft_view_set(view, IBFT_FIELD_ADDRESS, ipv4_format(ntohl(in->sin_addr.s_addr), text));
        snprintf(text, sizeof(text), "%d", __builtin_popcount(mask->sin_addr.s_addr));
        ibft_view_set(view, IBFT_FIELD_PREFIX, text);
    } else {
        ibft_view_set(view, IBFT_FIELD_ADDRESS, "");
    }
    freeifaddrs(all);
}

/* /proc/net/route: card, destination, gateway in hexadecimal, as they lie in memory. */
static void view_gateway(struct ibft_view *view, const struct ibft_nic *nic, const char *root)
{
    char path[PATH_MAX], line[256], first[IPV4_TEXT_SIZE] = "";
    snprintf(path, sizeof(path), "%s/proc/net/route", root);
    cleanup_fclose FILE *f = fopen(path, "re");
    if (!f || !ibft_ip_is_set(&nic->gateway) || !ibft_ip_is_v4(&nic->gateway))
        return;
    while (fgets(line, sizeof(line), f)) {
        unsigned destination, gateway;
        char text[IPV4_TEXT_SIZE];
        if (sscanf(line, "%*s %x %x", &destination, &gateway) != 2 || destination || !gateway)
            continue;
        ipv4_format(ntohl(gateway), text);
        if (!first[0] || ntohl(gateway) == ibft_ip_v4(&nic->gateway))
            str_copy(first, sizeof(first), text);
    }
    ibft_view_set(view, IBFT_FIELD_GATEWAY, first);
}

static void view_nic(struct ibft_view *view, const struct ibft_nic *nic, const char *root)
{
    char mac[MAC_TEXT_SIZE];
    struct card_search search = {.root = root, .mac = mac_format(nic->mac, mac)};
    (void)each_entry(root, "/sys/class/net", "", is_card, &search);
    ibft_view_set(view, IBFT_FIELD_CARD, search.name[0] ? mac : "");
    view_address(view, nic, search.name);
    view_gateway(view, nic, root);
}

/* The name may have a domain behind it. */
static void view_host_name(struct ibft_view *view, const struct ibft_nic *nic, const char *root)
{
    char name[IBFT_TEXT_SIZE];
    size_t size = strlen(nic->host_name);
    if (size == 0 || !read_line(name, "%s/proc/sys/kernel/hostname", root))
        return;
    bool same = str_has_prefix(name, nic->host_name) && name[size] == '.';
    ibft_view_set(view, IBFT_FIELD_HOST_NAME, same ? nic->host_name : name);
}

/* --- sessions --- */

struct session_search {
    const char *root;
    const struct ibft_target *target;
    char session[64];    /* with the table's target; "": none */
    char connection[64]; /* of it; "": none */
    bool at_portal;      /* the one that goes to the table's portal is wanted */
};

/* "connection3:0" is of "session3" */
static bool is_connection(void *context, const char *entry)
{
    struct session_search *search = context;
    const char *number = entry + strlen("connection");
    size_t size = strcspn(number, ":");
    const char *own = search->session + strlen("session");
    return strlen(own) == size && strncmp(own, number, size) == 0 &&
           str_copy(search->connection, sizeof(search->connection), entry);
}

static bool is_at_portal(const struct session_search *search)
{
    char address[IBFT_TEXT_SIZE], text[IBFT_IP_TEXT_SIZE];
    return search->connection[0] &&
           read_line(address, "%s/sys/class/iscsi_connection/%s/persistent_address", search->root,
                     search->connection) &&
           str_eq(address, ibft_ip_format(&search->target->address, text));
}

static bool is_session(void *context, const char *entry)
{
    struct session_search *search = context;
    char name[IBFT_TEXT_SIZE];
    if (!read_line(name, "%s/sys/class/iscsi_session/%s/targetname", search->root, entry) ||
        !str_eq(name, search->target->name) ||
        !str_copy(search->session, sizeof(search->session), entry))
        return false;
    search->connection[0] = '\0';
    (void)each_entry(search->root, "/sys/class/iscsi_connection", "connection", is_connection,
                     search);
    return !search->at_portal || is_at_portal(search);
}

/* Of several paths to the disk the one that the table names; else any. */
static bool find_session(struct session_search *search)
{
    search->at_portal = true;
    if (each_entry(search->root, "/sys/class/iscsi_session", "session", is_session, search))
        return true;
    search->at_portal = false;
    return each_entry(search->root, "/sys/class/iscsi_session", "session", is_session, search);
}

/* The kernel says "(null)" or "<NULL>" where there is none. */
static void view_attribute(struct ibft_view *view, enum ibft_field field, const char *root,
                           const char *directory, const char *attribute)
{
    char text[IBFT_TEXT_SIZE];
    if (read_line(text, "%s/sys/class/%s/%s", root, directory, attribute) && text[0] != '(' &&
        text[0] != '<')
        ibft_view_set(view, field, text);
}

static void view_sessions(struct ibft_view *view, const struct ibft_target *target,
                          const char *root)
{
    struct session_search search = {.root = root, .target = target};
    char session[96], connection[128];
    if (!find_session(&search)) {
        ibft_view_set(view, IBFT_FIELD_TARGET, "");
        return;
    }
    snprintf(session, sizeof(session), "iscsi_session/%s", search.session);
    ibft_view_set(view, IBFT_FIELD_TARGET, target->name);
    view_attribute(view, IBFT_FIELD_INITIATOR, root, session, "initiatorname");
    view_attribute(view, IBFT_FIELD_CHAP_NAME, root, session, "username");
    view_attribute(view, IBFT_FIELD_CHAP_TARGET_NAME, root, session, "username_in");
    if (!search.connection[0])
        return;
    snprintf(connection, sizeof(connection), "iscsi_connection/%s", search.connection);
    view_attribute(view, IBFT_FIELD_PORTAL, root, connection, "persistent_address");
    view_attribute(view, IBFT_FIELD_PORT, root, connection, "persistent_port");
}

void ibft_view_of_machine(const struct ibft *ibft, const char *root, struct ibft_view *ret_view)
{
    const struct ibft_nic *nic = ibft_boot_nic(ibft);
    const struct ibft_target *target = ibft_boot_target(ibft);
    *ret_view = (struct ibft_view){0};
    if (nic) {
        view_nic(ret_view, nic, root);
        view_host_name(ret_view, nic, root);
    }
    if (target)
        view_sessions(ret_view, target, root);
}
