/* Views of a table, and what it means where two are not the same. */
#include "ibft/compare.h"

static const struct {
    const char *key;
    const char *meaning[2]; /* by enum ibft_other */
} fields[IBFT_FIELDS] = {
    [IBFT_FIELD_CARD] = {"card",
                         {"initramfs: it waits for a card with the table's MAC; the server does "
                          "not know that one as "
                          "this node's, and gives it no script at the next boot",
                          "initramfs: no card has the table's MAC, so that nobody could configure "
                          "one: is its driver "
                          "in the initramfs, is the table another machine's?"}},
    [IBFT_FIELD_ADDRESS] =
        {"address",
         {"initramfs: the node takes the table's address and keeps it until it boots again; where "
          "the origin is DHCP, the system is given the server's one, and its disk hangs on the old",
          "system: the table's address is not on any card: the disk is reached by another one, or "
          "not for long"}},
    [IBFT_FIELD_PREFIX] =
        {"prefix",
         {"initramfs and system: the node takes machines for neighbours that are none, or sends to "
          "neighbours by its gateway",
          "system: somebody has set another netmask than the table's"}},
    [IBFT_FIELD_GATEWAY] =
        {"gateway",
         {"initramfs and system: what is outside the node's network is not reached, or by another "
          "way; so is the disk, if its portal is there",
          "system: the way out is not the table's; so is the one to the disk, if its portal is "
          "outside the node's network"}},
    [IBFT_FIELD_DNS] =
        {"dns",
         {"system: names are looked up elsewhere, or not at all; the disk does not need them", ""}},
    [IBFT_FIELD_HOST_NAME] =
        {"host_name",
         {"initramfs: the system gets the table's host name; if that has none, the image's own, "
          "which all nodes of the image share (nodisk's image takes the end of the initiator's "
          "name)",
          "system: it calls itself otherwise: the image has a host name of its own"}},
    [IBFT_FIELD_INITIATOR] =
        {"initiator",
         {"initramfs: the login by the table's name is refused, or is another node's",
          "system: it has logged in by another name than firmware's "
          "(/etc/iscsi/initiatorname.iscsi "
          "of the image?); the server sees another machine"}},
    [IBFT_FIELD_TARGET] =
        {"target",
         {"initramfs: it logs in to another disk than the server means for this node",
          "initramfs: the machine has no session with the table's target; its disk is another "
          "one"}},
    [IBFT_FIELD_PORTAL] =
        {"portal",
         {"initramfs: it logs in at another address; where nobody listens, it waits there for ever",
          "system: the session is with another portal (a redirect, or a second path)"}},
    [IBFT_FIELD_PORT] =
        {"port",
         {"initramfs: it logs in at another port; where nobody listens, it waits there for ever",
          "system: the session is with another portal (a redirect, or a second path)"}},
    [IBFT_FIELD_LUN] = {"lun",
                        {"initramfs: the root file system is looked for on another LUN", ""}},
    [IBFT_FIELD_ORIGIN] = {"origin",
                           {"system: with 'dhcp' it asks for a lease again, with 'manual' nobody "
                            "renews one; it holds "
                            "from the next boot on what the server intends",
                            ""}},
    [IBFT_FIELD_CHAP] =
        {"chap",
         {"initramfs: the login fails if it has no secret that is asked for, or wants one of the "
          "server that has none",
          ""}},
    [IBFT_FIELD_CHAP_NAME] = {"chap_name",
                              {"initramfs: the login fails, CHAP does not know this name",
                               "system: it has logged in by another CHAP name"}},
    [IBFT_FIELD_CHAP_TARGET_NAME] =
        {"chap_target_name",
         {"initramfs: the login fails, the server proves itself by another name",
          "system: it lets another name prove that it is the server"}},
};

const char *ibft_field_key(enum ibft_field field)
{
    return fields[field].key;
}

void ibft_view_set(struct ibft_view *view, enum ibft_field field, const char *text)
{
    view->known[field] = true;
    str_copy(view->text[field], IBFT_TEXT_SIZE, text);
}

static void set_number(struct ibft_view *view, enum ibft_field field, int number)
{
    char text[16] = "";
    if (number >= 0)
        snprintf(text, sizeof(text), "%d", number);
    ibft_view_set(view, field, text);
}

static void view_nic(struct ibft_view *view, const struct ibft_nic *nic)
{
    char text[MAX(IBFT_IP_TEXT_SIZE, MAC_TEXT_SIZE)], second[IBFT_IP_TEXT_SIZE];
    char both[2 * IBFT_IP_TEXT_SIZE];
    ibft_view_set(view, IBFT_FIELD_CARD, mac_format(nic->mac, text));
    ibft_view_set(view, IBFT_FIELD_ADDRESS, ibft_ip_format(&nic->address, text));
    set_number(view, IBFT_FIELD_PREFIX, nic->prefix);
    ibft_view_set(view, IBFT_FIELD_GATEWAY, ibft_ip_format(&nic->gateway, text));
    ibft_ip_format(&nic->dns[0], text);
    ibft_ip_format(&nic->dns[1], second);
    snprintf(both, sizeof(both), "%s%s%s", text, text[0] && second[0] ? " " : "", second);
    ibft_view_set(view, IBFT_FIELD_DNS, both);
    ibft_view_set(view, IBFT_FIELD_HOST_NAME, nic->host_name);
    ibft_view_set(view, IBFT_FIELD_ORIGIN, ibft_from_text(nic->from));
}

static void view_target(struct ibft_view *view, const struct ibft_target *target)
{
    char text[IBFT_IP_TEXT_SIZE];
    ibft_view_set(view, IBFT_FIELD_TARGET, target->name);
    ibft_view_set(view, IBFT_FIELD_PORTAL, ibft_ip_format(&target->address, text));
    set_number(view, IBFT_FIELD_PORT, target->port);
    set_number(view, IBFT_FIELD_LUN, ibft_lun_number(target->lun));
    ibft_view_set(view, IBFT_FIELD_CHAP, ibft_chap_text(target->chap));
    ibft_view_set(view, IBFT_FIELD_CHAP_NAME, target->user);
    ibft_view_set(view, IBFT_FIELD_CHAP_TARGET_NAME, target->reverse_user);
}

void ibft_view_of_table(const struct ibft *ibft, struct ibft_view *ret_view)
{
    const struct ibft_nic *nic = ibft_boot_nic(ibft);
    const struct ibft_target *target = ibft_boot_target(ibft);
    *ret_view = (struct ibft_view){0};
    if (nic)
        view_nic(ret_view, nic);
    if (target)
        view_target(ret_view, target);
    ibft_view_set(ret_view, IBFT_FIELD_INITIATOR, ibft->initiator.name);
}

size_t ibft_compare(const struct ibft_view *table, const struct ibft_view *other,
                    enum ibft_other who, struct ibft_difference ret_list[static IBFT_FIELDS])
{
    size_t count = 0;
    for (enum ibft_field f = 0; f < IBFT_FIELDS; f++)
        if (table->known[f] && other->known[f] && !str_eq(table->text[f], other->text[f]))
            ret_list[count++] =
                (struct ibft_difference){f, table->text[f], other->text[f], fields[f].meaning[who]};
    return count;
}
