/*
 * Scripts for any plan, run as iPXE runs them. Input: kind and how nodes boot (1
 * byte), what comes of each command (8 bytes, used round), MAC (6), port (2), then the node's, the
 * volume's and the site's name, each made into one that is a name, and whether the node has CHAP.
 * Then, for a disk elsewhere: its URI, a user name and a secret, each a size (1 byte) and bytes.
 * Then how it comes to IPv4 (1 byte): the way, whether DHCP gives an address, whether it has none;
 * and its address, netmask and router (4 each).
 * Then for menus and entries: what is chosen of each menu (1 byte, also whether it is UEFI), what
 * came to nothing before (a size and bytes), its timeout (1 byte), kind of the entry (1 byte), and
 * its name, title and arguments (a size and bytes each).
 */
#include "ipxe.h"

#include "boot/script.h"
#include "core/names.h"
#include "core/wire.h"
#include "registry/registry.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct ipxe ipxe;
    uint8_t outcomes[8];
    unsigned asked;
    uint8_t choices;
    unsigned chosen;
};

/* Any item, or none; after some time the one that asks the server. */
static const char *choose(struct ipxe *ipxe)
{
    struct run *run = container_of(ipxe, struct run, ipxe);
    unsigned n = run->chosen++;
    if (n >= 16)
        return str_eq(ipxe->items[ipxe->n_items - 1], "main") ? "main" : "again";
    size_t at = (run->choices + n * 7u) % (ipxe->n_items + 1);
    return at < ipxe->n_items && ipxe->items[at][0] ? ipxe->items[at] : NULL;
}

/* After some time everything works: no script may go on for ever then. */
static enum ipxe_outcome outcome(struct ipxe *ipxe, const char *command)
{
    struct run *run = container_of(ipxe, struct run, ipxe);
    unsigned n = run->asked++;
    if (n >= 64)
        return IPXE_WORKS;
    return (enum ipxe_outcome)(run->outcomes[n / 8 % 8] >> n % 8 & 1 ? IPXE_FAILS
                               : str_eq(command, "sanboot")          ? IPXE_RETURNS
                                                                     : IPXE_WORKS);
}

/* A name of these characters, up to max of them. */
static const char *take_name(struct wire_reader *r, const char *characters, size_t max, char *name)
{
    size_t n = wire_get_u8(r) % (max + 1);
    for (size_t i = 0; i < n; i++)
        name[i] = characters[wire_get_u8(r) % strlen(characters)];
    name[n] = '\0';
    return name;
}

static void check_end(const struct run *run, enum plan_kind kind, enum ipxe_end end)
{
    if (end == IPXE_BROKEN) {
        fprintf(stderr, "%s\n", run->ipxe.problem);
        abort();
    }
    assert(end != IPXE_GAVE_UP || kind == PLAN_LOCAL); /* who waits goes on by itself */
    if (kind != PLAN_SCRIPTS)                          /* which leave it when they end well */
        assert((end == IPXE_EXITED) == (kind == PLAN_UNKNOWN));
    assert(end != IPXE_LOCAL || kind == PLAN_LOCAL);
    assert(end != IPXE_BOOTED || kind == PLAN_VOLUME || kind == PLAN_MEMTEST ||
           kind == PLAN_ENTRY || kind == PLAN_SCRIPTS);
    assert(!run->ipxe.sanboots || kind == PLAN_VOLUME);
    assert(!run->ipxe.sanhooks || kind == PLAN_VOLUME);
}

static void take_text(struct wire_reader *r, char text[static 256])
{
    size_t n = wire_get_u8(r);
    wire_get_copy(r, text, n);
    text[n] = '\0';
}

/* Makes the disk one elsewhere, if what is left of the input names one. */
static void take_elsewhere(struct wire_reader *r, struct iscsi_uri *uri,
                           struct chap_credentials *chap, struct catalog_volume *volume)
{
    char text[256] = "", user[256] = "", secret[256] = "";
    struct error error;
    take_text(r, text);
    take_text(r, user);
    take_text(r, secret);
    if (iscsi_uri_parse(text, uri, &error) < 0)
        return;
    volume->elsewhere = uri;
    if (credentials_set(user, secret, &chap->initiator, &error) < 0)
        return;
    chap->mode = CHAP_ONE_WAY;
    volume->chap = chap;
}

/* Who boots has the secrets that there are; nobody else has any. */
static void check_chap(const struct ipxe *ipxe, const struct chap_credentials *chap)
{
    enum chap_mode mode = (ipxe->sanboots || ipxe->sanhooks) && chap ? chap->mode : CHAP_NONE;
    assert(str_eq(ipxe->username, mode >= CHAP_ONE_WAY ? chap->initiator.user : ""));
    assert(str_eq(ipxe->password, mode >= CHAP_ONE_WAY ? chap->initiator.secret : ""));
    assert(str_eq(ipxe->reverse_username, mode >= CHAP_MUTUAL ? chap->target.user : ""));
    assert(str_eq(ipxe->reverse_password, mode >= CHAP_MUTUAL ? chap->target.secret : ""));
}

static struct boot_ways ways_of(unsigned bits)
{
    return (struct boot_ways){.direct = bits % 2 ? DIRECT_YES : DIRECT_NO,
                              .ibft_origin = bits / 2 % 3};
}

static void take_ipv4(struct wire_reader *r, struct ipxe *ipxe, struct boot_site *site)
{
    uint8_t way = wire_get_u8(r);
    site->ipv4_way = way % (BOOT_IPV4_NONE + 1);
    if (site->ipv4_way == BOOT_IPV4_USE)
        return;
    site->base_url = "http://[2001:db8::1]:8080";
    if (site->ipv4_way == BOOT_IPV4_NONE)
        site->portal = "[2001:db8::1]";
    site->ipv4.dhcp = way & 0x40;
    ipxe->no_ipv4 = way & 0x80;
    site->ipv4.address = wire_get_be32(r);
    site->ipv4.mask = wire_get_be32(r);
    site->ipv4.router = wire_get_be32(r);
}

/* An entry of hostile texts, if they are let in; one of volumes that all may use, beside the
 * node's.
 */
static struct catalog *take_catalog(struct wire_reader *r, struct catalog_node *node,
                                    struct catalog_volume *volume, const char *iqn)
{
    static const char *const initrds[] = {"/a", "/b"};
    char name[256] = "", title[256] = "", arguments[256] = "";
    uint8_t kind = wire_get_u8(r);
    struct error error;
    take_text(r, name);
    take_text(r, title);
    take_text(r, arguments);
    struct registry_boot_entry checked = {.name = name, .title = title, .arguments = arguments};
    bool taken = registry_boot_entry_check(&checked, &error) >= 0;
    struct catalog_entry entry = {.name = taken ? name : "rescue",
                                  .title = taken ? title : "",
                                  .arguments = taken ? arguments : "",
                                  .file = "/x",
                                  .kind = kind % 2    ? BOOT_ENTRY_SCRIPT
                                          : kind & 64 ? BOOT_ENTRY_INSTALLER
                                                      : BOOT_ENTRY_LIVE,
                                  .format = kind / 8 % ANSWER_FORMATS,
                                  .answer = "/p",
                                  .initrds = initrds,
                                  .n_initrds = kind / 2 % 3};
    struct catalog_volume other = *volume;
    struct catalog *catalog = catalog_new(iqn, 1);
    volume->id = node->volume_id = 1;
    volume->state = other.state = VOLUME_READY;
    other.id = 2;
    other.name = "other";
    other.elsewhere = NULL;
    other.allow_any = true;
    assert(catalog && catalog_add_entry(catalog, &entry) >= 0 &&
           catalog_add_volume(catalog, volume) >= 0 && catalog_add_volume(catalog, &other) >= 0 &&
           catalog_seal(catalog) >= 0);
    return catalog;
}

/* Is the address of the interface one that was set? */
static bool is_manual(const struct boot_site *site)
{
    switch (site->ipv4_way) {
    case BOOT_IPV4_USE:
        return site->ways.ibft_origin != IBFT_ORIGIN_DHCP;
    case BOOT_IPV4_SET:
        return true;
    default:
        return false;
    }
}

/* What a plan of this kind is about. */
static void take_target(const struct catalog *catalog, uint8_t choices, struct plan *plan,
                        struct boot_site *site)
{
    static const struct boot_target targets[] = {
        {BOOT_TARGET_VOLUME, ""}, {BOOT_TARGET_LOCAL, ""},   {BOOT_TARGET_SHELL, ""},
        {BOOT_TARGET_OFF, ""},    {BOOT_TARGET_MEMTEST, ""}, {BOOT_TARGET_VOLUME, "other"},
    };
    size_t n;
    plan->entry = catalog_entries(catalog, &n);
    if (plan->kind == PLAN_ENTRY && plan->entry->kind == BOOT_ENTRY_INSTALLER)
        plan->volume = catalog_volume_by_id(catalog, 1);
    if (plan->kind == PLAN_SCRIPTS && choices & 2)
        plan->volume = catalog_volume_by_id(catalog, 1);
    if (choices & 4)
        site->scripts_url = "http://10.0.0.1:8080/scripts/boot.ipxe";
    plan->target.kind = plan->kind == PLAN_SHELL     ? BOOT_TARGET_SHELL
                        : plan->kind == PLAN_MEMTEST ? BOOT_TARGET_MEMTEST
                        : plan->kind == PLAN_OFF     ? BOOT_TARGET_OFF
                        : plan->kind == PLAN_ENTRY   ? BOOT_TARGET_ENTRY
                                                     : BOOT_TARGET_LOCAL;
    plan->menu_default = targets[choices / 2 % ARRAY_SIZE(targets)];
    if (choices & 0x80 && plan->kind >= PLAN_VOLUME)
        site->chosen = "entry:something";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char labels[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    static const char objects[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
    char node_name[NAME_MAX_LEN + 1], volume_name[NAME_MAX_LEN + 1], iqn[IQN_MAX_LEN + 1];
    char tail[IQN_MAX_LEN - NAME_MAX_LEN - sizeof("iqn.2026-11.x:") + 1]; /* as configured */
    struct wire_reader r = wire_reader_of(data, size);
    struct run run = {.ipxe.outcome = outcome};
    struct mac_address mac;
    uint8_t kind = wire_get_u8(&r);
    struct plan plan = {.kind = kind % (PLAN_SCRIPTS + 1)};
    wire_get_copy(&r, run.outcomes, sizeof(run.outcomes));
    wire_get_copy(&r, mac.bytes, sizeof(mac.bytes));
    uint16_t port = wire_get_be16(&r);
    struct catalog_node node = {.name = take_name(&r, labels, NAME_MAX_LEN, node_name)};
    struct catalog_volume volume = {.name = take_name(&r, objects, NAME_MAX_LEN, volume_name)};
    snprintf(iqn, sizeof(iqn), "iqn.2026-11.x%s", take_name(&r, objects, sizeof(tail) - 1, tail));
    struct chap_credentials chap = {.mode = wire_get_u8(&r) % (CHAP_MUTUAL + 1),
                                    .initiator.secret = "0123456789abcdef",
                                    .target = {"nodisk", "fedcba9876543210"}};
    str_copy(chap.initiator.user, sizeof(chap.initiator.user), node_name);
    if (chap.mode != CHAP_NONE)
        node.chap = &chap;
    if (!name_is_host(node_name) || !name_is_object(volume_name) || !name_is_iqn(iqn))
        return 0;
    if (plan.kind >= PLAN_ADOPTED)
        plan.node = &node;
    if (plan.kind > PLAN_NO_VOLUME && plan.kind <= PLAN_VOLUME)
        plan.volume = &volume;
    struct chap_credentials there = {.mode = CHAP_NONE};
    struct iscsi_uri uri;
    take_elsewhere(&r, &uri, &there, &volume);
    struct boot_site site = {.portal = "10.0.0.1",
                             .portal_port = port ? port : 3260,
                             .base_url = "http://10.0.0.1:8080",
                             .system_url = "http://10.0.0.1:8080",
                             .base_iqn = iqn,
                             .ways = ways_of(kind / (PLAN_SCRIPTS + 1))};
    run.ipxe.mac = mac;
    take_ipv4(&r, &run.ipxe, &site);
    char failed[256] = "", failed_words[BOOT_TARGET_SIZE];
    uint8_t choices = wire_get_u8(&r);
    run.choices = choices;
    run.ipxe.efi = choices & 1;
    run.ipxe.choose = choose;
    struct boot_target target;
    take_text(&r, failed);
    if (boot_target_parse(failed, &target) == 0)
        site.failed = boot_target_format(&target, failed_words);
    site.menu_timeout = wire_get_u8(&r);
    cleanup_catalog struct catalog *catalog = take_catalog(&r, &node, &volume, iqn);
    site.catalog = catalog;
    take_target(catalog, choices, &plan, &site);
    char *script = boot_script_render(&plan, mac, &site);
    check_end(&run, plan.kind, ipxe_run(&run.ipxe, script));
    if (run.ipxe.sanboots || run.ipxe.sanhooks)
        assert(run.ipxe.manual == is_manual(&site));
    check_chap(&run.ipxe, volume.elsewhere ? volume.chap : &chap);
    free(script);
    return 0;
}
