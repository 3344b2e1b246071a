#include "boot/script.h"

#include "boot/menu.h"
#include "boot/script_internal.h"
#include "core/facts.h"

/* How long an unknown machine shows what to do before it boots its own disk. */
#define UNKNOWN_SECONDS 10
/* Between two questions of one that waits to become a node. */
#define PENDING_SECONDS 3
/* iPXE's retries of a disk that it has lost while firmware or GRUB reads it: about 5 s each if
 * nobody answers, so that four hours are survived; but a moment if the disk answers with an error.
 */
#define SAN_RETRIES     2880

/* The disk's number in firmware, which is iPXE's own choice, too. */
#define DRIVE "0x80"

/* Names in the catalog have only [a-z0-9.-] (core/names.h), and a URI not much more
 * (core/iscsi_uri.h): nothing here needs quoting. */
void script_put_url(FILE *f, const char *path, struct mac_address mac, const char *base_url)
{
    const uint8_t *b = mac.bytes;
    fprintf(f, "%s/%s?mac=%02x-%02x-%02x-%02x-%02x-%02x", base_url, path, b[0], b[1], b[2], b[3],
            b[4], b[5]);
}

/* What a menu's choice is asked for again with. */
void script_put_chosen(FILE *f, const char *chosen)
{
    if (chosen)
        fprintf(f, "&" BOOT_CHOICE_QUERY "=%s", chosen);
}

/* Waits, then starts over with what the server says by then; `again` is where to go if it does not
 * answer. */
void script_put_retry(FILE *f, unsigned seconds, struct mac_address mac,
                      const struct boot_site *site, const char *again)
{
    fprintf(f, "sleep %u\nchain --timeout " FETCH_TIMEOUT " --replace ", seconds);
    script_put_url(f, "boot.ipxe", mac, site->base_url);
    if (site->chosen)
        fprintf(f, "&" BOOT_FAILED_QUERY "=%s", site->chosen);
    fprintf(f, " || goto %s\n", again);
}

/*
 * An address that is set on the interface itself hides the one that DHCP gave (all else that it
 * gave stays), and iPXE tells the system that it is "manual". The interface that the machine boots
 * from is netX, whatever its number, unless another one was opened after it.
 */
static const char *const interface_names[] = {"netX", "net0", "net1", "net2", "net3"};

static void put_origin(FILE *f, struct mac_address mac, enum ibft_origin origin)
{
    char text[MAC_TEXT_SIZE];
    mac_format(mac, text);
    for (size_t i = 0; i < ARRAY_SIZE(interface_names); i++) {
        const char *name = interface_names[i];
        fprintf(f, "iseq ${%s/mac} %s && ", name, text);
        if (origin == IBFT_ORIGIN_DHCP)
            fprintf(f, "clear %s/ip ||\n", name);
        else
            fprintf(f, "set %s/ip ${%s/ip} ||\n", name, name);
    }
}

/* The address last: with that, iPXE makes its routes. */
static void put_ipv4(FILE *f, struct mac_address mac, const struct boot_ipv4 *ipv4)
{
    char text[MAC_TEXT_SIZE], address[IPV4_TEXT_SIZE], mask[IPV4_TEXT_SIZE], router[IPV4_TEXT_SIZE];
    mac_format(mac, text);
    ipv4_format(ipv4->address, address);
    ipv4_format(ipv4->mask, mask);
    ipv4_format(ipv4->router, router);
    for (size_t i = 0; i < ARRAY_SIZE(interface_names); i++) {
        const char *name = interface_names[i];
        fprintf(f, "iseq ${%s/mac} %s && set %s/netmask %s && ", name, text, name, mask);
        if (ipv4->router)
            fprintf(f, "set %s/gateway %s && ", name, router);
        fprintf(f, "set %s/ip %s ||\n", name, address);
    }
}

/* What put_ipv4() has set would hide what DHCP says. */
static void put_no_ipv4(FILE *f, struct mac_address mac)
{
    char text[MAC_TEXT_SIZE];
    mac_format(mac, text);
    for (size_t i = 0; i < ARRAY_SIZE(interface_names); i++)
        fprintf(f,
                "iseq ${%s/mac} %s && clear %s/netmask ||\n"
                "iseq ${%s/mac} %s && clear %s/gateway ||\n",
                interface_names[i], text, interface_names[i], interface_names[i], text,
                interface_names[i]);
}

/* interface: whose address; NULL: none has this MAC, as far as iPXE shows it, so it has none. */
static void put_telling_ipv4(FILE *f, struct mac_address mac, const struct boot_site *site,
                             const char *interface)
{
    fputs("chain --timeout " FETCH_TIMEOUT " --replace ", f);
    script_put_url(f, "boot.ipxe", mac, site->base_url);
    script_put_chosen(f, site->chosen);
    fputs("&" BOOT_IPV4_QUERY "=", f);
    if (interface)
        fprintf(f, "${%s/ip}", interface);
    fputs(" || goto wait\n", f);
}

/* Asks for the same script, and says which IPv4 address it has. Where DHCP would give it one, it
 * asks for that before; all is asked for anew then, since an interface that cannot be configured is
 * closed. */
static void put_ask_ipv4(FILE *f, struct mac_address mac, const struct boot_site *site)
{
    char text[MAC_TEXT_SIZE];
    mac_format(mac, text);
    fputs(":again\n", f);
    if (site->ipv4.dhcp)
        fprintf(f,
                "isset ${netX/ip} && goto ask ||\n"
                "iseq ${netX/mac} %s || goto ask\n"
                "dhcp netX || goto wait\n:ask\n",
                text);
    for (size_t i = 0; i < ARRAY_SIZE(interface_names); i++) {
        const char *name = interface_names[i];
        fprintf(f, "iseq ${%s/mac} %s || goto not%zu\n", name, text, i);
        put_telling_ipv4(f, mac, site, name);
        fprintf(f, ":not%zu\n", i);
    }
    put_telling_ipv4(f, mac, site, NULL);
    fprintf(f,
            ":wait\necho nodisk: no IPv4 address from DHCP, or no script from %s; trying again in "
            "%u seconds\nsleep %u\ngoto again\n",
            site->base_url, RETRY_SECONDS, RETRY_SECONDS);
}

void script_put_identity(FILE *f, const struct plan *plan, const struct boot_site *site)
{
    fprintf(f, "set hostname %s\n", plan->node->name);
    fprintf(f, "set initiator-iqn %s:%s\n", site->base_iqn, plan->node->name);
}

/* One token that iPXE takes as it is: no option, no setting to expand, no end of the command. */
static bool is_plain(const char *value)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    return strchr(letters, value[0]) && value[strspn(value, letters)] == '\0';
}

/* Whoever runs a target elsewhere chooses other characters, too. */
static void put_setting(FILE *f, const char *prefix, const char *name, const char *value)
{
    if (is_plain(value)) {
        fprintf(f, "set %s%s %s\n", prefix, name, value);
        return;
    }
    fprintf(f, "set %s%s:hexraw ", prefix, name);
    for (const char *p = value; *p; p++)
        fprintf(f, "%02x", (unsigned char)*p);
    fputc('\n', f);
}

/* What an earlier script has set stays until it is cleared, and iPXE wants both or none. */
static void put_credentials(FILE *f, const char *prefix, const struct credentials *credentials)
{
    if (credentials) {
        put_setting(f, prefix, "username", credentials->user);
        put_setting(f, prefix, "password", credentials->secret);
    } else {
        fprintf(f, "clear %susername ||\nclear %spassword ||\n", prefix, prefix);
    }
}

static void put_chap(FILE *f, const struct chap_credentials *chap)
{
    put_credentials(f, "", chap ? &chap->initiator : NULL);
    put_credentials(f, "reverse-", chap && chap->mode == CHAP_MUTUAL ? &chap->target : NULL);
}

/* RFC 4173, with the LUN in the hexadecimal that iPXE reads. */
static void put_root_path(FILE *f, const struct plan *plan, const struct boot_site *site)
{
    const struct iscsi_uri *uri = plan->volume->elsewhere;
    fputs("iscsi:", f);
    if (uri)
        fprintf(f, "%s::%u:%x:%s", uri->host, uri->port, iscsi_uri_wire_lun(uri), uri->target);
    else
        fprintf(f, "%s::%u:0:%s:%s", site->portal, site->portal_port, site->base_iqn,
                plan->volume->name);
}

static void put_portal_path(FILE *f, const char *portal, uint16_t port, const struct plan *plan,
                            const struct boot_site *site)
{
    fprintf(f, "iscsi:%s::%u:0:%s:%s", portal, port, site->base_iqn, plan->volume->name);
}

/* A further path is there if its card is: a loader that knows the one card only which it was loaded
 * through (undionly, snponly) goes without. It must not be named then: iPXE cannot make an iBFT for
 * a target that no card leads to. The card needs no cable for that, though. */
static void put_path(FILE *f, const struct boot_path *path, const struct plan *plan,
                     const struct boot_site *site)
{
    char mac[MAC_TEXT_SIZE], address[IPV4_TEXT_SIZE], mask[IPV4_TEXT_SIZE];
    mac_format(path->mac, mac);
    ipv4_format(path->address, address);
    ipv4_format(path->mask, mask);
    for (size_t i = 1; i < ARRAY_SIZE(interface_names); i++) {
        const char *name = interface_names[i];
        fprintf(f,
                "iseq ${%s/mac} %s && set %s/ip %s && set %s/netmask %s && ifopen %s && "
                "inc paths && set path${paths} ",
                name, mac, name, address, name, mask, name);
        put_portal_path(f, path->portal, path->portal_port, plan, site);
        fputs(" ||\n", f);
    }
}

/* Of those that are there: ${path1}, ${path2}, ..., as many as ${paths} says. */
static void put_paths(FILE *f, const struct plan *plan, const struct boot_site *site)
{
    if (site->n_paths > 0)
        fputs("set paths:int32 0\n", f);
    for (size_t i = 0; i < site->n_paths; i++)
        put_path(f, &site->paths[i], plan, site);
}

/* The command with all root paths that there are, and once for each number of them: a setting that
 * is not there would be an empty root path, which iPXE takes for the URL of the script (its
 * src/core/exec.c and open.c), and not for none. */
static void put_with_root_paths(FILE *f, const char *command, const struct plan *plan,
                                const struct boot_site *site)
{
    if (site->n_paths > 0)
        fputs("goto boot${paths}\n", f);
    for (size_t n = 0; n <= site->n_paths; n++) {
        if (site->n_paths > 0)
            fprintf(f, ":boot%zu\n", n);
        fprintf(f, "%s ", command);
        put_root_path(f, plan, site);
        for (size_t i = 1; i <= n; i++)
            fprintf(f, " ${path%zu}", i);
        fputs(" || goto failed\n", f);
        if (n < site->n_paths)
            fputs("goto booted\n", f);
    }
    if (site->n_paths > 0)
        fputs(":booted\n", f);
}

static void put_sanboot(FILE *f, const struct plan *plan, const struct boot_site *site)
{
    fputs(":boot\n", f);
    put_with_root_paths(f, "sanboot", plan, site);
    fputs(":failed\n", f);
}

/* The disk is logged in to first: what is to become of it at this boot, has become of it then. If
 * its loader is to boot after all, it does so from the disk as it is hooked. */
static void put_direct(FILE *f, const struct plan *plan, struct mac_address mac,
                       const struct boot_site *site)
{
    fputs(":boot\n", f);
    put_with_root_paths(f, "sanhook --drive " DRIVE, plan, site);
    fputs("chain --timeout " FETCH_TIMEOUT " ", f);
    script_put_url(f, "direct.ipxe", mac, site->base_url);
    script_put_chosen(f, site->chosen);
    fputs(" || goto loader\n:loader\nsanboot --drive " DRIVE " || goto failed\n"
          ":failed\nsanunhook --drive " DRIVE " ||\n",
          f);
}

static void put_here(FILE *f, const struct plan *plan, struct mac_address mac,
                     const struct boot_site *site)
{
    const char *node = plan->node->name, *volume = plan->volume->name;
    put_paths(f, plan, site);
    if (plan->target.kind == BOOT_TARGET_SNAPSHOT)
        fprintf(f, "echo nodisk: %s boots snapshot %s of volume %s of %s, for this boot\n", node,
                plan->target.name, volume, site->portal);
    else
        fprintf(f, "echo nodisk: %s boots volume %s of %s\n", node, volume, site->portal);
    if (site->ways.direct == DIRECT_YES)
        put_direct(f, plan, mac, site);
    else
        put_sanboot(f, plan, site);
    fprintf(f,
            "echo nodisk: %s cannot boot volume %s of %s (is nodisk running there?); "
            "trying again in %u seconds\n",
            node, volume, site->portal, RETRY_SECONDS);
}

/* What the target there thinks of it, nobody here can see. */
static void put_elsewhere(FILE *f, const struct plan *plan, const struct boot_site *site)
{
    const char *node = plan->node->name, *volume = plan->volume->name;
    const struct iscsi_uri *uri = plan->volume->elsewhere;
    char portal[ISCSI_URI_SIZE];
    iscsi_uri_format_portal(uri, portal);
    fprintf(f, "echo nodisk: %s boots volume %s, which is LUN %u of %s at %s\n", node, volume,
            uri->lun, uri->target, portal);
    put_sanboot(f, plan, site);
    fprintf(f,
            "echo nodisk: %s cannot boot volume %s, LUN %u of %s at %s: see there whether it is "
            "served, and whether %s:%s may log in%s; trying again in %u seconds\n",
            node, volume, uri->lun, uri->target, portal, site->base_iqn, node,
            plan->volume->chap ? " with this CHAP secret" : " without CHAP", RETRY_SECONDS);
}

/* By the operator's script, which leaves iPXE when it ends well: so do we, for firmware to go on.
 */
static void put_scripts(FILE *f, const struct plan *plan, const struct boot_site *site)
{
    const char *node = plan->node->name;
    fprintf(f,
            "echo nodisk: %s boots by %s\n"
            ":boot\nchain --timeout " FETCH_TIMEOUT " %s || goto failed\nexit\n:failed\n"
            "echo nodisk: %s could not boot by %s; trying again in %u seconds\n",
            node, site->scripts_url, site->scripts_url, node, site->scripts_url, RETRY_SECONDS);
}

bool script_put_disk(FILE *f, const struct plan *plan, struct mac_address mac,
                     const struct boot_site *site)
{
    if (site->ipv4_way == BOOT_IPV4_ASK) {
        put_ask_ipv4(f, mac, site);
        return false;
    }
    script_put_identity(f, plan, site);
    if (site->ipv4_way == BOOT_IPV4_SET)
        put_ipv4(f, mac, &site->ipv4);
    else if (site->ipv4_way == BOOT_IPV4_USE)
        put_origin(f, mac, site->ways.ibft_origin);
    put_chap(f, plan_chap(plan));
    return true;
}

static void put_san_retries(FILE *f)
{
    fprintf(f, "set san-retries:int32 %u\n", SAN_RETRIES); /* it has a byte otherwise */
}

void script_put_sanhook(FILE *f, const struct plan *plan, const struct boot_site *site)
{
    put_san_retries(f);
    if (!plan->volume->elsewhere)
        put_paths(f, plan, site);
    put_with_root_paths(f, "sanhook --drive " DRIVE, plan, site);
}

void script_put_sanunhook(FILE *f)
{
    fputs("sanunhook --drive " DRIVE " ||\n", f);
}

static void put_volume(FILE *f, const struct plan *plan, struct mac_address mac,
                       const struct boot_site *site)
{
    if (!script_put_disk(f, plan, mac, site))
        return;
    const char *scripts = site->boot_by_scripts ? site->scripts_url : NULL;
    if (!scripts) /* which has ways of its own to go on, and as many tries as it is used
                               to */
        put_san_retries(f);
    if (scripts)
        put_scripts(f, plan, site);
    else if (plan->volume->elsewhere)
        put_elsewhere(f, plan, site);
    else
        put_here(f, plan, mac, site);
    script_put_retry(f, RETRY_SECONDS, mac, site, "boot");
}

/* Shows why nothing can be booted yet, and asks again for ever. */
static void put_wait(FILE *f, const char *node, const char *sentence, struct mac_address mac,
                     const struct boot_site *site)
{
    fprintf(f, ":again\necho nodisk: %s: %s\n", node, sentence);
    script_put_retry(f, RETRY_SECONDS, mac, site, "again");
}

/* What a node boots that is told so. */
static void put_own_scripts(FILE *f, const struct plan *plan, struct mac_address mac,
                            const struct boot_site *site)
{
    if (!site->scripts_url) {
        put_wait(f, plan->node->name,
                 "there are no scripts to boot by; on the server: put a boot.ipxe or a menu.ipxe "
                 "into the directory of [scripts]",
                 mac, site);
        return;
    }
    if (!plan->volume)
        script_put_identity(f, plan, site);
    else if (!script_put_disk(f, plan, mac, site))
        return;
    put_scripts(f, plan, site);
    script_put_retry(f, RETRY_SECONDS, mac, site, "boot");
}

/* The card that it boots from asks, alone if it is among the first: on the network of another one
 * there may be another server, and iPXE stops at the first that answers. It is not closed for that:
 * a switch may let nothing through for 45 s when its link comes up again (spanning tree). */
static void put_dhcp(FILE *f, struct mac_address mac)
{
    char text[MAC_TEXT_SIZE];
    mac_format(mac, text);
    fputs("clear card ||\n", f);
    for (size_t i = 0; i < ARRAY_SIZE(interface_names); i++)
        fprintf(f, "iseq ${%s/mac} %s && set card %s ||\n", interface_names[i], text,
                interface_names[i]);
    fputs("isset ${card} || goto any\ndhcp ${card} || goto again\ngoto fetch\n"
          ":any\ndhcp || goto again\n:fetch\n",
          f);
}

/* From its address on. */
static void put_start_over(FILE *f, unsigned seconds, struct mac_address mac,
                           const struct boot_site *site)
{
    put_origin(f, mac, IBFT_ORIGIN_DHCP); /* what was set would hide the new one */
    if (site->ipv4_way != BOOT_IPV4_USE)
        put_no_ipv4(f, mac);
    fprintf(f, "sleep %u\n", seconds);
    put_dhcp(f, mac);
    fputs("chain --timeout " FETCH_TIMEOUT " --replace ", f);
    script_put_url(f, "boot.ipxe", mac, site->base_url);
    fprintf(f, " || goto again\n");
}

/* Perhaps we have forgotten, or never knew, that it is right: an address from us tells. */
static void put_stranger(FILE *f, struct mac_address mac, const struct boot_site *site)
{
    char text[MAC_TEXT_SIZE];
    fprintf(f,
            ":again\n"
            "echo nodisk: the machine %s does not ask from the address that was given to it, or "
            "not while it boots; asking DHCP again\n",
            mac_format(mac, text));
    put_start_over(f, RETRY_SECONDS, mac, site);
}

/* Asks with all that it knows of itself. */
static void put_telling(FILE *f, struct mac_address mac, const struct boot_site *site)
{
    fputs("chain --timeout " FETCH_TIMEOUT " --replace ", f);
    script_put_url(f, "boot.ipxe", mac, site->base_url);
    fprintf(f, "%s || goto again\n", facts_query);
}

static void put_newcomer(FILE *f, struct mac_address mac, const struct boot_site *site)
{
    fputs("goto tell\n:again\n", f);
    fprintf(f, "sleep %u\n:tell\n", RETRY_SECONDS);
    put_telling(f, mac, site);
}

static void put_pending(FILE *f, struct mac_address mac, const struct boot_site *site)
{
    char text[MAC_TEXT_SIZE];
    mac_format(mac, text);
    fprintf(f,
            ":again\n"
            "echo nodisk: the machine %s waits to become a node; on the server: nodisk node adopt "
            "%s NAME\nsleep %u\n",
            text, text, PENDING_SECONDS);
    put_telling(f, mac, site);
}

static void put_renew(FILE *f, struct mac_address mac, const struct boot_site *site)
{
    fputs(":again\necho nodisk: still waiting to become a node; asking DHCP again\n", f);
    put_start_over(f, PENDING_SECONDS, mac, site);
}

/* Once, and then it gets its script, also if it could say nothing. */
static void put_tell(FILE *f, struct mac_address mac, const struct boot_site *site)
{
    fprintf(f, "goto tell\n:again\nsleep %u\n:tell\nchain --timeout " FETCH_TIMEOUT " --replace ",
            RETRY_SECONDS);
    script_put_url(f, "boot.ipxe", mac, site->base_url);
    fprintf(f, "&" BOOT_TOLD_QUERY "=1%s || goto again\n", facts_query);
}

static void put_adopted(FILE *f, const char *node, struct mac_address mac,
                        const struct boot_site *site)
{
    fprintf(f, ":again\necho nodisk: this machine is %s now; starting over\n", node);
    put_start_over(f, 1, mac, site);
}

static void put_unknown(FILE *f, struct mac_address mac)
{
    char text[MAC_TEXT_SIZE];
    mac_format(mac, text);
    fprintf(f,
            "echo nodisk: the machine %s is not known here; to make it a node, on the server: "
            "nodisk node add NAME --mac %s\n",
            text, text);
    fprintf(f, "echo nodisk: booting from the local disk in %u seconds\n", UNKNOWN_SECONDS);
    fprintf(f, "sleep %u\nexit\n", UNKNOWN_SECONDS);
}

static void put_script(FILE *f, const struct plan *plan, struct mac_address mac,
                       const struct boot_site *site)
{
    switch (plan->kind) {
    case PLAN_UNKNOWN:
        put_unknown(f, mac);
        break;
    case PLAN_STRANGER:
        put_stranger(f, mac, site);
        break;
    case PLAN_NEWCOMER:
        put_newcomer(f, mac, site);
        break;
    case PLAN_PENDING:
        put_pending(f, mac, site);
        break;
    case PLAN_RENEW:
        put_renew(f, mac, site);
        break;
    case PLAN_ADOPTED:
        put_adopted(f, plan->node->name, mac, site);
        break;
    case PLAN_NO_VOLUME:
        put_wait(f, plan->node->name,
                 "has nothing to boot; on the server: nodisk node set NAME --image IMAGE", mac,
                 site);
        break;
    case PLAN_PREPARING:
        put_wait(f, plan->node->name, "its volume is still being made; waiting for it", mac, site);
        break;
    case PLAN_FAILED:
        put_wait(f, plan->node->name,
                 "making its volume has failed; on the server: nodisk volume show", mac, site);
        break;
    case PLAN_NO_NOTE:
        put_wait(f, plan->node->name,
                 "what it is to boot could not be written down; on the server: see the log of "
                 "nodisk",
                 mac, site);
        break;
    case PLAN_TELL:
        put_tell(f, mac, site);
        break;
    case PLAN_VOLUME:
        put_volume(f, plan, mac, site);
        break;
    case PLAN_SCRIPTS:
        put_own_scripts(f, plan, mac, site);
        break;
    case PLAN_MENU:
        boot_menu_put(f, plan, mac, site);
        break;
    default:
        script_put_target(f, plan, mac, site);
        break;
    }
}

/* initrd= is for UEFI: iPXE has the files that it fetched in a file system there, where the kernel
 * looks for its initramfs. It also puts the kernel's name before the arguments; with a dot, no
 * kernel hands that to init. BOOT_IMAGE is what GRUB says, too, and so is what is shown. */
static void put_files(FILE *f, const struct direct_boot *boot, struct mac_address mac,
                      const char *base_url, const char *chosen)
{
    const struct loader_record *record = &boot->record;
    fprintf(f, "echo nodisk: loading the kernel\nkernel --timeout " FETCH_TIMEOUT
               " --name nodisk.kernel ");
    script_put_url(f, "direct/kernel", mac, base_url);
    script_put_chosen(f, chosen);
    fprintf(f, "&token=%s BOOT_IMAGE=%s %s initrd=initrd || goto failed\n", boot->token,
            record->kernel, record->arguments);
    fputs("echo nodisk: loading the initramfs\n", f);
    fputs("initrd --timeout " FETCH_TIMEOUT " --name initrd ", f);
    script_put_url(f, "direct/initrd", mac, base_url);
    script_put_chosen(f, chosen);
    fprintf(f,
            "&token=%s || goto failed\necho nodisk: starting the kernel\n"
            "boot || goto failed\n:failed\nimgfree\n"
            "echo nodisk: could not fetch them; booting by the disk's own loader\nexit 1\n",
            boot->token);
}

/* A script in memory. NULL: there is none. */
static FILE *begin(char **text, size_t *size)
{
    FILE *f = open_memstream(text, size);
    if (f)
        fputs("#!ipxe\n", f);
    return f;
}

/* NULL: there was no memory. */
static char *finish(FILE *f, char **text)
{
    if (fclose(f) == 0)
        return *text;
    free(*text);
    return NULL;
}

char *boot_script_render_direct(const struct direct_boot *boot, struct mac_address mac,
                                const char *base_url, const char *chosen)
{
    char *text = NULL;
    size_t size;
    FILE *f = begin(&text, &size);
    if (!f)
        return NULL;
    put_files(f, boot, mac, base_url, chosen);
    return finish(f, &text);
}

/* Of 2019's iPXE, one without HTTPS cannot be told from one that does not trust the server. */
static void put_https(FILE *f, struct mac_address mac, const char *base_url, const char *https_url)
{
    fprintf(f, ":again\necho nodisk: boot scripts are given over HTTPS only; asking there\n"
               "chain --timeout " FETCH_TIMEOUT " --replace ");
    script_put_url(f, "boot.ipxe", mac, https_url);
    fprintf(f,
            " ||\necho nodisk: this iPXE cannot fetch from %s: it was built without HTTPS, or does "
            "not trust the certificate there, or its clock is wrong. See HTTPS in the manual page "
            "nodisk(1): nodisk loaders list; trying again in %u seconds\nsleep %u\n"
            "chain --timeout " FETCH_TIMEOUT " --replace ",
            https_url, RETRY_SECONDS, RETRY_SECONDS);
    script_put_url(f, "boot.ipxe", mac, base_url);
    fputs("&" BOOT_HTTPS_QUERY "=failed || goto again\n", f);
}

char *boot_script_render_https(struct mac_address mac, const char *base_url, const char *https_url)
{
    char *text = NULL;
    size_t size;
    FILE *f = begin(&text, &size);
    if (!f)
        return NULL;
    put_https(f, mac, base_url, https_url);
    return finish(f, &text);
}

char *boot_script_render_loader(const char *reason)
{
    char *text = NULL;
    size_t size;
    FILE *f = begin(&text, &size);
    if (!f)
        return NULL;
    fprintf(f, "echo nodisk: the disk's own loader boots: %s\nexit 1\n", reason);
    return finish(f, &text);
}

char *boot_script_render(const struct plan *plan, struct mac_address mac,
                         const struct boot_site *site)
{
    char *text = NULL;
    size_t size;
    FILE *f = begin(&text, &size);
    if (!f)
        return NULL;
    put_script(f, plan, mac, site);
    return finish(f, &text);
}
