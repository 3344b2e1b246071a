/*
 * The card of a table for those who configure it in the running system: found by its MAC, whatever
 * it is called, and never left without the address that the root disk hangs on.
 */
#include "ibft/print.h"

#include <errno.h>

static bool asks_dhcp(const struct ibft_nic *nic)
{
    return nic->from == IBFT_FROM_DHCP || !ibft_ip_is_set(&nic->address);
}

static bool is_v6(const struct ibft_ip *ip)
{
    return ibft_ip_is_set(ip) && !ibft_ip_is_v4(ip);
}

static int need_card(const struct ibft_writer *w, struct error *ret_error)
{
    static const struct mac_address zero;
    if (!w->nic)
        return error_set(ret_error, -ENOENT, "the table has no card");
    if (mac_eq(w->nic->mac, zero) || w->nic->mac.bytes[0] & 1)
        return error_set(ret_error, -EBADMSG, "the table's card has a MAC that no card has");
    if (w->nic->vlan > 4094)
        return error_set(ret_error, -EBADMSG, "the table's card has VLAN %u", w->nic->vlan);
    if (!asks_dhcp(w->nic) &&
        (w->nic->prefix == 0 || w->nic->prefix > (ibft_ip_is_v4(&w->nic->address) ? 32 : 128)))
        return error_set(ret_error, -EBADMSG, "the table's card has a netmask of %u bits",
                         w->nic->prefix);
    return 0;
}

/* --- systemd-networkd: systemd.network(5), 252 and newer --- */

static const char about[] =
    "# from the iBFT, by nodisk ibft: the card that carries the root disk\n";

static void put_lines(FILE *out, const struct ibft_nic *nic)
{
    char text[IBFT_IP_TEXT_SIZE];
    bool dhcp = asks_dhcp(nic);
    fputs("KeepConfiguration=yes\nIgnoreCarrierLoss=yes\n", out);
    fprintf(out, "DHCP=%s\n", !dhcp ? "no" : is_v6(&nic->address) ? "ipv6" : "ipv4");
    if (!dhcp) {
        fprintf(out, "Address=%s/%u\n", ibft_ip_format(&nic->address, text), nic->prefix);
        if (ibft_ip_is_set(&nic->gateway))
            fprintf(out, "Gateway=%s\n", ibft_ip_format(&nic->gateway, text));
    }
    for (size_t i = 0; i < ARRAY_SIZE(nic->dns); i++)
        if (ibft_ip_is_set(&nic->dns[i]))
            fprintf(out, "DNS=%s\n", ibft_ip_format(&nic->dns[i], text));
    if (dhcp)
        fputs("\n[DHCPv4]\nClientIdentifier=mac\nUseHostname=no\n", out);
}

static int put_card(struct ibft_writer *w, struct error *ret_error)
{
    char mac[MAC_TEXT_SIZE];
    int r = ibft_writer_begin(w, "05-ibft.network", 0644, ret_error);
    if (r < 0)
        return r;
    /* its permanent one: a VLAN, a bridge or a bond on it has its MAC, too */
    fprintf(w->out, "%s[Match]\nPermanentMACAddress=%s\n\n[Network]\n", about,
            mac_format(w->nic->mac, mac));
    if (w->nic->vlan)
        fputs("KeepConfiguration=yes\nIgnoreCarrierLoss=yes\nVLAN=ibft-vlan\n"
              "LinkLocalAddressing=no\n",
              w->out);
    else
        put_lines(w->out, w->nic);
    return ibft_writer_end(w, ret_error);
}

static int put_vlan(struct ibft_writer *w, struct error *ret_error)
{
    int r = ibft_writer_begin(w, "05-ibft-vlan.netdev", 0644, ret_error);
    if (r < 0)
        return r;
    fprintf(w->out, "%s[NetDev]\nName=ibft-vlan\nKind=vlan\n\n[VLAN]\nId=%u\n", about,
            w->nic->vlan);
    r = ibft_writer_end(w, ret_error);
    if (r >= 0)
        r = ibft_writer_begin(w, "05-ibft-vlan.network", 0644, ret_error);
    if (r < 0)
        return r;
    fprintf(w->out, "%s[Match]\nName=ibft-vlan\n\n[Network]\n", about);
    put_lines(w->out, w->nic);
    return ibft_writer_end(w, ret_error);
}

int ibft_write_networkd(struct ibft_writer *w, struct error *ret_error)
{
    int r = need_card(w, ret_error);
    if (r >= 0)
        r = put_card(w, ret_error);
    if (r >= 0 && w->nic->vlan)
        r = put_vlan(w, ret_error);
    return r;
}

/* --- NetworkManager: nm-settings-keyfile(5) --- */

/* The same for the same card at every boot; a UUID of version 8 (RFC 9562): "nodisk", VLAN, MAC. */
static void put_uuid(FILE *out, const struct ibft_nic *nic)
{
    const uint8_t *b = nic->mac.bytes;
    fprintf(out, "uuid=6e6f6469-736b-8000-8%03x-%02x%02x%02x%02x%02x%02x\n", nic->vlan & 0xfff,
            b[0], b[1], b[2], b[3], b[4], b[5]);
}

static void put_dns(FILE *out, const struct ibft_nic *nic, bool v6)
{
    char text[IBFT_IP_TEXT_SIZE];
    bool any = false;
    for (size_t i = 0; i < ARRAY_SIZE(nic->dns); i++) {
        if (!ibft_ip_is_set(&nic->dns[i]) || is_v6(&nic->dns[i]) != v6)
            continue;
        fprintf(out, "%s%s;", any ? "" : "dns=", ibft_ip_format(&nic->dns[i], text));
        any = true;
    }
    if (any)
        fputc('\n', out);
}

/* The family that the root disk comes by must come up; the other one may. */
static void put_family(FILE *out, const struct ibft_nic *nic, bool v6)
{
    char address[IBFT_IP_TEXT_SIZE], gateway[IBFT_IP_TEXT_SIZE];
    bool ours = is_v6(&nic->address) == v6;
    fprintf(out, "\n[%s]\n", v6 ? "ipv6" : "ipv4");
    if (!ours) {
        fputs(v6 ? "method=auto\nmay-fail=true\n" : "method=disabled\n", out);
    } else if (asks_dhcp(nic)) {
        /* the server knows the node by its MAC in every stage of a boot */
        fputs(v6 ? "method=dhcp\nmay-fail=false\n"
                 : "method=auto\ndhcp-client-id=mac\ndhcp-timeout=2147483647\nmay-fail=false\n",
              out);
    } else {
        ibft_ip_format(&nic->gateway, gateway);
        fprintf(out, "method=manual\nmay-fail=false\naddress1=%s/%u%s%s\n",
                ibft_ip_format(&nic->address, address), nic->prefix, gateway[0] ? "," : "",
                gateway);
    }
    put_dns(out, nic, v6);
}

int ibft_write_networkmanager(struct ibft_writer *w, struct error *ret_error)
{
    char mac[MAC_TEXT_SIZE];
    const struct ibft_nic *nic = w->nic;
    int r = need_card(w, ret_error);
    if (r >= 0)
        r = ibft_writer_begin(w, "ibft.nmconnection", 0600, ret_error);
    if (r < 0)
        return r;
    fprintf(w->out, "%s[connection]\nid=iBFT\n", about);
    put_uuid(w->out, nic);
    fprintf(w->out, "type=%s\n", nic->vlan ? "vlan" : "ethernet");
    if (nic->vlan)
        fputs("interface-name=ibft-vlan\n", w->out);
    fputs("autoconnect-priority=100\nautoconnect-retries=0\n", w->out);
    fprintf(w->out, "\n[ethernet]\nmac-address=%s\n", mac_format(nic->mac, mac));
    if (nic->vlan)
        fprintf(w->out, "\n[vlan]\nid=%u\n", nic->vlan);
    put_family(w->out, nic, false);
    put_family(w->out, nic, true);
    return ibft_writer_end(w, ret_error);
}
