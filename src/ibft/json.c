/* A table for programs. */
#include "ibft/print.h"

/* null if there is nothing. */
static json_t *text_or_null(const char *text)
{
    return text[0] ? json_string(text) : json_null();
}

static json_t *ip_to_json(const struct ibft_ip *ip)
{
    char text[IBFT_IP_TEXT_SIZE];
    return text_or_null(ibft_ip_format(ip, text));
}

static void add_common(json_t *json, uint8_t index, uint8_t flags)
{
    json_object_set_new(json, "index", json_integer(index));
    json_object_set_new(json, "valid", json_boolean(flags & IBFT_VALID));
    json_object_set_new(json, "boot", json_boolean(flags & IBFT_BOOT));
}

static json_t *nic_to_json(const struct ibft_nic *nic)
{
    char mac[MAC_TEXT_SIZE], pci[16] = "";
    json_t *dns = json_array();
    if (nic->pci)
        snprintf(pci, sizeof(pci), "%02x:%02x.%x", nic->pci >> 8, nic->pci >> 3 & 0x1f,
                 nic->pci & 7);
    for (size_t i = 0; i < ARRAY_SIZE(nic->dns); i++)
        if (ibft_ip_is_set(&nic->dns[i]))
            json_array_append_new(dns, ip_to_json(&nic->dns[i]));
    json_t *json = json_pack("{s:s, s:o, s:o, s:i, s:s, s:o, s:o, s:o, s:i, s:o}", "mac",
                             mac_format(nic->mac, mac), "pci", text_or_null(pci), "address",
                             ip_to_json(&nic->address), "prefix", nic->prefix, "origin",
                             ibft_from_text(nic->from), "gateway", ip_to_json(&nic->gateway), "dns",
                             dns, "dhcp_server", ip_to_json(&nic->dhcp), "vlan", nic->vlan,
                             "host_name", text_or_null(nic->host_name));
    add_common(json, nic->index, nic->flags);
    return json;
}

static json_t *credentials_to_json(const char *user, const char *secret, bool secrets)
{
    if (!user[0] && !secret[0])
        return json_null();
    return json_pack("{s:o, s:b, s:o}", "name", text_or_null(user), "has_secret", secret[0] != '\0',
                     "secret", secrets ? text_or_null(secret) : json_null());
}

static json_t *target_to_json(const struct ibft_target *target, bool secrets)
{
    int lun = ibft_lun_number(target->lun);
    json_t *json =
        json_pack("{s:o, s:o, s:i, s:o, s:i, s:s, s:o, s:o}", "name", text_or_null(target->name),
                  "address", ip_to_json(&target->address), "port", target->port, "lun",
                  lun < 0 ? json_null() : json_integer(lun), "nic", target->nic, "chap",
                  ibft_chap_text(target->chap), "initiator_credentials",
                  credentials_to_json(target->user, target->secret, secrets), "target_credentials",
                  credentials_to_json(target->reverse_user, target->reverse_secret, secrets));
    add_common(json, target->index, target->flags);
    return json;
}

static json_t *initiator_to_json(const struct ibft_initiator *initiator)
{
    if (!initiator->present)
        return json_null();
    json_t *json = json_pack("{s:o}", "name", text_or_null(initiator->name));
    add_common(json, initiator->index, initiator->flags);
    return json;
}

static json_t *faults_to_json(const struct ibft_faults *faults)
{
    json_t *list = json_array();
    for (size_t i = 0; i < faults->count; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "severity",
                            faults->list[i].severity == IBFT_ERROR ? "error" : "warning", "text",
                            faults->list[i].text));
    return list;
}

json_t *ibft_to_json(const struct ibft *ibft, const struct ibft_source *source,
                     const struct ibft_faults *faults, bool secrets)
{
    json_t *nics = json_array(), *targets = json_array();
    for (size_t i = 0; i < IBFT_PAIRS; i++) {
        if (ibft->nics[i].present)
            json_array_append_new(nics, nic_to_json(&ibft->nics[i]));
        if (ibft->targets[i].present)
            json_array_append_new(targets, target_to_json(&ibft->targets[i], secrets));
    }
    return json_pack("{s:s, s:o, s:I, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "source", source->name,
                     "signature", text_or_null(ibft->signature), "length", (json_int_t)ibft->length,
                     "revision", ibft->revision, "oem_id", text_or_null(ibft->oem_id),
                     "oem_table_id", text_or_null(ibft->oem_table_id), "initiator",
                     initiator_to_json(&ibft->initiator), "cards", nics, "targets", targets,
                     "faults", faults_to_json(faults));
}
