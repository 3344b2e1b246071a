/*
 * What a table says, held against what those who read it make of it: Linux, open-iscsi (which goes
 * by the boot flag).
 */
#include "ibft/ibft.h"

#define SECRET_MIN 12 /* RFC 7143 9.2.1 */

static bool is_iscsi_name(const char *name)
{
    return str_has_prefix(name, "iqn.") || str_has_prefix(name, "eui.") ||
           str_has_prefix(name, "naa.");
}

static void check_name(struct ibft_faults *faults, const char *what, const char *name)
{
    if (!name[0]) {
        ibft_fault(faults, IBFT_ERROR, "%s has no name; nobody can log in", what);
        return;
    }
    if (!is_iscsi_name(name))
        ibft_fault(faults, IBFT_ERROR, "the name of %s begins with none of iqn., eui. and naa.",
                   what);
    if (strlen(name) > 223)
        ibft_fault(faults, IBFT_ERROR, "the name of %s has %zu characters, and 223 are allowed",
                   what, strlen(name));
    if (strchr(name, ' '))
        ibft_fault(faults, IBFT_ERROR, "the name of %s has a space in it", what);
}

static void check_flags(struct ibft_faults *faults, const char *what, uint8_t flags)
{
    if (!(flags & IBFT_VALID))
        ibft_fault(faults, IBFT_WARNING, "%s is not marked as valid; dracut passes over it", what);
}

static void check_subnet(struct ibft_faults *faults, const char *what, const struct ibft_nic *nic)
{
    if (nic->prefix > 32) {
        ibft_fault(faults, IBFT_ERROR, "%s has a netmask of %u bits, and IPv4 has 32", what,
                   nic->prefix);
        return;
    }
    if (nic->prefix == 0)
        ibft_fault(faults, IBFT_WARNING, "%s has an address and no netmask", what);
    uint32_t mask = ibft_mask_v4(nic->prefix);
    if (nic->prefix && ibft_ip_is_set(&nic->gateway) && ibft_ip_is_v4(&nic->gateway) &&
        (ibft_ip_v4(&nic->gateway) & mask) != (ibft_ip_v4(&nic->address) & mask))
        ibft_fault(faults, IBFT_WARNING,
                   "the gateway of %s is not in its network: the kernel refuses that route", what);
}

static void check_nic(struct ibft_faults *faults, size_t number, const struct ibft_nic *nic)
{
    static const struct mac_address zero;
    char what[16];
    snprintf(what, sizeof(what), "card %zu", number);
    check_flags(faults, what, nic->flags);
    if (mac_eq(nic->mac, zero) || nic->mac.bytes[0] & 1)
        ibft_fault(faults, IBFT_ERROR, "%s has a MAC that no card has; nobody can find the card",
                   what);
    if (!ibft_ip_is_set(&nic->address) && nic->from != IBFT_FROM_DHCP)
        ibft_fault(faults, IBFT_WARNING, "%s has no address, nor is it to ask DHCP for one", what);
    if (ibft_ip_is_set(&nic->address) && ibft_ip_is_v4(&nic->address))
        check_subnet(faults, what, nic);
    if (nic->vlan > 4094)
        ibft_fault(faults, IBFT_ERROR, "%s has VLAN %u, and there are 1 to 4094", what, nic->vlan);
}

static bool has_nic(const struct ibft *ibft, uint8_t index)
{
    for (size_t i = 0; i < IBFT_PAIRS; i++)
        if (ibft->nics[i].present && ibft->nics[i].index == index)
            return true;
    return false;
}

static void check_secret(struct ibft_faults *faults, const char *what, const char *user,
                         const char *secret)
{
    if (!user[0] || !secret[0])
        ibft_fault(faults, IBFT_ERROR, "%s wants CHAP and has no %s for it", what,
                   user[0] ? "secret" : "name");
    else if (strlen(secret) < SECRET_MIN)
        ibft_fault(faults, IBFT_WARNING,
                   "%s has a CHAP secret of less than %d characters; some targets refuse that",
                   what, SECRET_MIN);
}

static void check_chap(struct ibft_faults *faults, const char *what,
                       const struct ibft_target *target)
{
    if (target->chap > IBFT_CHAP_MUTUAL)
        ibft_fault(faults, IBFT_ERROR, "%s has CHAP of kind %u, and there are 0 to 2", what,
                   target->chap);
    if (target->chap == IBFT_CHAP_ONE_WAY || target->chap == IBFT_CHAP_MUTUAL)
        check_secret(faults, what, target->user, target->secret);
    else if (target->user[0])
        ibft_fault(faults, IBFT_WARNING,
                   "%s has a CHAP name and says that it needs no CHAP; open-iscsi uses it", what);
    if (target->chap == IBFT_CHAP_MUTUAL)
        check_secret(faults, what, target->reverse_user, target->reverse_secret);
}

static void check_target(struct ibft_faults *faults, const struct ibft *ibft, size_t number)
{
    const struct ibft_target *target = &ibft->targets[number];
    char what[16];
    snprintf(what, sizeof(what), "target %zu", number);
    check_flags(faults, what, target->flags);
    check_name(faults, what, target->name);
    if (!ibft_ip_is_set(&target->address))
        ibft_fault(faults, IBFT_ERROR, "%s has no address", what);
    if (target->port == 0)
        ibft_fault(faults, IBFT_ERROR, "%s has port 0", what);
    if (ibft_lun_number(target->lun) < 0)
        ibft_fault(faults, IBFT_WARNING, "%s has a LUN that is no plain number", what);
    if (!has_nic(ibft, target->nic))
        ibft_fault(faults, IBFT_ERROR,
                   "%s is said to be behind card %u, which is not there; open-iscsi passes over it",
                   what, target->nic);
    check_chap(faults, what, target);
}

static void check_initiator(struct ibft_faults *faults, const struct ibft_initiator *initiator)
{
    if (!initiator->present) {
        ibft_fault(faults, IBFT_ERROR, "it has no initiator; nobody can log in");
        return;
    }
    check_flags(faults, "the initiator", initiator->flags);
    check_name(faults, "the initiator", initiator->name);
}

/* Linux names them by their index. */
static void check_twice(struct ibft_faults *faults, const struct ibft *ibft)
{
    const struct ibft_nic *nics = ibft->nics;
    const struct ibft_target *targets = ibft->targets;
    if (nics[0].present && nics[1].present && nics[0].index == nics[1].index)
        ibft_fault(faults, IBFT_ERROR,
                   "both cards have the index %u; Linux shows nothing of the table", nics[0].index);
    if (targets[0].present && targets[1].present && targets[0].index == targets[1].index)
        ibft_fault(faults, IBFT_ERROR,
                   "both targets have the index %u; Linux shows nothing of the table",
                   targets[0].index);
}

static void check_boot_flags(struct ibft_faults *faults, const struct ibft *ibft)
{
    const struct ibft_nic *nic = ibft_boot_nic(ibft);
    const struct ibft_target *target = ibft_boot_target(ibft);
    if (!nic)
        ibft_fault(faults, IBFT_ERROR, "it has no card");
    else if (!(nic->flags & IBFT_BOOT))
        ibft_fault(faults, IBFT_ERROR,
                   "no card is marked as the one booted from; open-iscsi finds nothing to boot");
    if (!target)
        ibft_fault(faults, IBFT_ERROR, "it has no target");
    else if (!(target->flags & IBFT_BOOT))
        ibft_fault(faults, IBFT_ERROR,
                   "no target is marked as the one booted from; open-iscsi finds nothing to boot");
}

void ibft_check(const struct ibft *ibft, struct ibft_faults *faults)
{
    check_initiator(faults, &ibft->initiator);
    for (size_t i = 0; i < IBFT_PAIRS; i++)
        if (ibft->nics[i].present)
            check_nic(faults, i, &ibft->nics[i]);
    for (size_t i = 0; i < IBFT_PAIRS; i++)
        if (ibft->targets[i].present)
            check_target(faults, ibft, i);
    check_twice(faults, ibft);
    check_boot_flags(faults, ibft);
}
