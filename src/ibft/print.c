/* A table for people. */
#include "ibft/print.h"

static void field(FILE *out, const char *name, const char *value)
{
    fprintf(out, "%s:%*s %s\n", name, (int)(13 - MIN(strlen(name), 13)), "",
            value[0] ? value : "-");
}

static void ip_field(FILE *out, const char *name, const struct ibft_ip *ip)
{
    char text[IBFT_IP_TEXT_SIZE];
    field(out, name, ibft_ip_format(ip, text));
}

static const char *marks(uint8_t flags)
{
    if (!(flags & IBFT_BOOT))
        return flags & IBFT_VALID ? "" : ", not valid";
    return flags & IBFT_VALID ? ", booted from" : ", booted from, not valid";
}

static void print_dns(FILE *out, const struct ibft_nic *nic)
{
    char first[IBFT_IP_TEXT_SIZE], second[IBFT_IP_TEXT_SIZE], text[2 * IBFT_IP_TEXT_SIZE];
    ibft_ip_format(&nic->dns[0], first);
    ibft_ip_format(&nic->dns[1], second);
    snprintf(text, sizeof(text), "%s%s%s", first, first[0] && second[0] ? " " : "", second);
    field(out, "  dns", text);
}

static void print_nic(FILE *out, size_t number, const struct ibft_nic *nic)
{
    char name[16], mac[MAC_TEXT_SIZE], ip[IBFT_IP_TEXT_SIZE], text[128], vlan[8] = "", pci[24] = "";
    snprintf(name, sizeof(name), "card %zu", number);
    if (nic->pci)
        snprintf(pci, sizeof(pci), ", PCI %02x:%02x.%x", nic->pci >> 8, nic->pci >> 3 & 0x1f,
                 nic->pci & 7);
    snprintf(text, sizeof(text), "%s%s%s", mac_format(nic->mac, mac), pci, marks(nic->flags));
    field(out, name, text);
    ibft_ip_format(&nic->address, ip);
    snprintf(text, sizeof(text), "%s/%u, origin: %s", ip[0] ? ip : "none", nic->prefix,
             ibft_from_text(nic->from));
    field(out, "  address", text);
    ip_field(out, "  gateway", &nic->gateway);
    print_dns(out, nic);
    ip_field(out, "  dhcp server", &nic->dhcp);
    if (nic->vlan)
        snprintf(vlan, sizeof(vlan), "%u", nic->vlan);
    field(out, "  vlan", vlan);
    field(out, "  host name", nic->host_name);
}

static void print_credentials(FILE *out, const char *name, const char *user, const char *secret,
                              bool secrets)
{
    char text[2 * IBFT_TEXT_SIZE + 32];
    if (!user[0] && !secret[0])
        return;
    snprintf(text, sizeof(text), "%s, secret: %s", user[0] ? user : "no name",
             !secret[0] ? "none"
             : secrets  ? secret
                        : "(hidden; see --secrets)");
    field(out, name, text);
}

static void print_target(FILE *out, size_t number, const struct ibft_target *target, bool secrets)
{
    char name[16], ip[IBFT_IP_TEXT_SIZE], lun[16] = "of another kind";
    char text[IBFT_TEXT_SIZE + 64];
    snprintf(name, sizeof(name), "target %zu", number);
    snprintf(text, sizeof(text), "%s%s", target->name[0] ? target->name : "no name",
             marks(target->flags));
    field(out, name, text);
    ibft_ip_format(&target->address, ip);
    if (ibft_lun_number(target->lun) >= 0)
        snprintf(lun, sizeof(lun), "%d", ibft_lun_number(target->lun));
    snprintf(text, sizeof(text), "%s port %u, LUN %s, by card %u", ip[0] ? ip : "no address,",
             target->port, lun, target->nic);
    field(out, "  portal", text);
    field(out, "  chap", ibft_chap_text(target->chap));
    print_credentials(out, "  its name", target->user, target->secret, secrets);
    print_credentials(out, "  target's", target->reverse_user, target->reverse_secret, secrets);
}

static void print_faults(FILE *out, const struct ibft_faults *faults)
{
    if (faults->count)
        fputc('\n', out);
    for (size_t i = 0; i < faults->count; i++)
        fprintf(out, "%s: %s\n", faults->list[i].severity == IBFT_ERROR ? "error" : "warning",
                faults->list[i].text);
    if (faults->more)
        fprintf(out, "and %zu more\n", faults->more);
}

void ibft_print(FILE *out, const struct ibft *ibft, const struct ibft_source *source,
                const struct ibft_faults *faults, bool secrets)
{
    char text[128];
    field(out, "read from", source->name);
    if (ibft->length) {
        snprintf(text, sizeof(text), "%s, %u bytes, by %s %s", ibft->signature, ibft->length,
                 ibft->oem_id[0] ? ibft->oem_id : "nobody", ibft->oem_table_id);
        field(out, "table", text);
    }
    if (ibft->initiator.present)
        field(out, "initiator", ibft->initiator.name);
    for (size_t i = 0; i < IBFT_PAIRS; i++)
        if (ibft->nics[i].present)
            print_nic(out, i, &ibft->nics[i]);
    for (size_t i = 0; i < IBFT_PAIRS; i++)
        if (ibft->targets[i].present)
            print_target(out, i, &ibft->targets[i], secrets);
    print_faults(out, faults);
}
