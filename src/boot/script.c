#include "boot/script.h"

/* Seconds between two tries of a node that waits for something. */
#define RETRY_SECONDS   5
/* How long an unknown machine shows what to do before it boots its own disk. */
#define UNKNOWN_SECONDS 10
/* iPXE's retries, about 5 s each, of a disk that it has lost while firmware or GRUB reads it. */
#define SAN_RETRIES     120

static const char header[] = "#!ipxe\n";

/* Names in the catalog have only [a-z0-9.-] (core/names.h): nothing here needs quoting. */
static void put_url(FILE *f, struct mac_address mac, const struct boot_site *site)
{
    const uint8_t *b = mac.bytes;
    fprintf(f, "%s/boot.ipxe?mac=%02x-%02x-%02x-%02x-%02x-%02x", site->base_url, b[0], b[1], b[2],
            b[3], b[4], b[5]);
}

/* Waits, then starts over with what the server says by then; `again` is where to go if it does not
 * answer. */
static void put_retry(FILE *f, struct mac_address mac, const struct boot_site *site,
                      const char *again)
{
    fprintf(f, "sleep %u\nchain --replace ", RETRY_SECONDS);
    put_url(f, mac, site);
    fprintf(f, " || goto %s\n", again);
}

static void put_identity(FILE *f, const struct plan *plan, const struct boot_site *site)
{
    fprintf(f, "set hostname %s\n", plan->node->name);
    fprintf(f, "set initiator-iqn %s:%s\n", site->base_iqn, plan->node->name);
}

static void put_credentials(FILE *f, const char *prefix, const struct credentials *credentials)
{
    fprintf(f, "set %susername %s\nset %spassword %s\n", prefix, credentials->user, prefix,
            credentials->secret);
}

/* What an earlier script has set stays until it is cleared; a user name without a secret of ours
 * would have iPXE insist on CHAP. */
static void put_chap(FILE *f, const struct chap_credentials *chap)
{
    if (chap)
        put_credentials(f, "", &chap->initiator);
    else
        fprintf(f, "clear username ||\n");
    if (chap && chap->mode == CHAP_MUTUAL)
        put_credentials(f, "reverse-", &chap->target);
    else
        fprintf(f, "clear reverse-username ||\n");
}

static void put_volume(FILE *f, const struct plan *plan, struct mac_address mac,
                       const struct boot_site *site)
{
    const char *node = plan->node->name, *volume = plan->volume->name;
    put_identity(f, plan, site);
    put_chap(f, plan->node->chap);
    fprintf(f, "set san-retries %u\n", SAN_RETRIES);
    fprintf(f, "echo nodisk: %s boots volume %s of %s\n", node, volume, site->portal);
    fprintf(f, ":boot\n");
    fprintf(f, "sanboot iscsi:%s::%u:0:%s:%s || goto failed\n", site->portal, site->portal_port,
            site->base_iqn, volume);
    fprintf(f, ":failed\n");
    fprintf(f,
            "echo nodisk: %s cannot boot volume %s of %s (is nodisk running there?); "
            "trying again in %u seconds\n",
            node, volume, site->portal, RETRY_SECONDS);
    put_retry(f, mac, site, "boot");
}

/* Shows why nothing can be booted yet, and asks again for ever. */
static void put_wait(FILE *f, const char *node, const char *sentence, struct mac_address mac,
                     const struct boot_site *site)
{
    fprintf(f, ":again\necho nodisk: %s: %s\n", node, sentence);
    put_retry(f, mac, site, "again");
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
    fprintf(f, "sleep %u\nifclose\ndhcp || goto again\nchain --replace ", RETRY_SECONDS);
    put_url(f, mac, site);
    fprintf(f, " || goto again\n");
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
    fputs(header, f);
    switch (plan->kind) {
    case PLAN_UNKNOWN:
        put_unknown(f, mac);
        break;
    case PLAN_STRANGER:
        put_stranger(f, mac, site);
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
    case PLAN_VOLUME:
        put_volume(f, plan, mac, site);
        break;
    }
}

char *boot_script_render(const struct plan *plan, struct mac_address mac,
                         const struct boot_site *site)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    put_script(f, plan, mac, site);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
