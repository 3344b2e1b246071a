/* How others log in to the target of a table: open-iscsi's iscsistart(8) and dracut.cmdline(7). */
#include "ibft/print.h"

#include <errno.h>

static bool is_plain(const char *value)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  ".:_/@%+-";
    return value[strspn(value, letters)] == '\0';
}

static int need_login(const struct ibft_writer *w, struct error *ret_error)
{
    if (!w->target || !w->target->name[0] || !ibft_ip_is_set(&w->target->address))
        return error_set(ret_error, -ENOENT, "the table has no target with a name and an address");
    if (!w->ibft->initiator.name[0])
        return error_set(ret_error, -ENOENT, "the table has no initiator's name");
    if (!is_plain(w->target->name) || !is_plain(w->ibft->initiator.name))
        return error_set(ret_error, -EBADMSG,
                         "an iSCSI name in the table has characters that none may have");
    return 0;
}

/* One word of a shell. */
static void put_shell(FILE *out, const char *option, const char *value)
{
    fprintf(out, "%s=", option);
    if (is_plain(value)) {
        fputs(value, out);
        return;
    }
    fputc('\'', out);
    for (const char *p = value; *p; p++)
        if (*p == '\'')
            fputs("'\\''", out);
        else
            fputc(*p, out);
    fputc('\'', out);
}

static bool uses_chap(const struct ibft_target *target)
{
    return target->user[0] && target->secret[0];
}

static bool uses_reverse_chap(const struct ibft_target *target)
{
    return uses_chap(target) && target->reverse_user[0] && target->reverse_secret[0];
}

static void put_shell_secret(struct ibft_writer *w, const char *option, const char *secret)
{
    if (w->secrets)
        put_shell(w->out, option, secret);
    else
        w->output->has_hidden = true;
}

/* The portal group is not in the table; open-iscsi takes 1, too. */
int ibft_write_iscsistart(struct ibft_writer *w, struct error *ret_error)
{
    char address[IBFT_IP_TEXT_SIZE];
    int r = need_login(w, ret_error);
    if (r >= 0)
        r = ibft_writer_begin(w, NULL, 0, ret_error);
    if (r < 0)
        return r;
    put_shell(w->out, "--initiatorname", w->ibft->initiator.name);
    put_shell(w->out, " --targetname", w->target->name);
    fprintf(w->out, " --tgpt=1 --address=%s --port=%u",
            ibft_ip_format(&w->target->address, address), w->target->port);
    if (uses_chap(w->target)) {
        put_shell(w->out, " --username", w->target->user);
        put_shell_secret(w, " --password", w->target->secret);
    }
    if (uses_reverse_chap(w->target)) {
        put_shell(w->out, " --username_in", w->target->reverse_user);
        put_shell_secret(w, " --password_in", w->target->reverse_secret);
    }
    fputc('\n', w->out);
    return ibft_writer_end(w, ret_error);
}

/* --- dracut --- */

#define CARD "ibft0" /* what dracut itself calls the card of an iBFT */

/* One argument of the kernel's. Its parser knows no way to write a double quote. */
static int put_argument(struct ibft_writer *w, const char *name, const char *value,
                        struct error *ret_error)
{
    if (strchr(value, '"'))
        return error_set(ret_error, -EBADMSG,
                         "%s has a double quote in it, which no kernel command line can carry",
                         name);
    fprintf(w->out, strchr(value, ' ') ? " %s=\"%s\"" : " %s=%s", name, value);
    return 0;
}

static int put_arguments(struct ibft_writer *w, const char *user_name, const char *user,
                         const char *secret_name, const char *secret, struct error *ret_error)
{
    int r = put_argument(w, user_name, user, ret_error);
    if (!w->secrets)
        w->output->has_hidden = true;
    else if (r >= 0)
        r = put_argument(w, secret_name, secret, ret_error);
    return r;
}

static bool is_host_name(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
    return name[strspn(name, letters)] == '\0';
}

/* ip=ADDRESS::GATEWAY:MASK:HOST:CARD:none:DNS:DNS; IPv6 in brackets, with its prefix. */
static void put_static(FILE *out, const struct ibft_nic *nic, const char *card)
{
    char text[IBFT_IP_TEXT_SIZE], mask[IPV4_TEXT_SIZE] = "";
    bool v4 = ibft_ip_is_v4(&nic->address);
    fprintf(out, v4 ? " ip=%s::" : " ip=[%s/", ibft_ip_format(&nic->address, text));
    if (!v4)
        fprintf(out, "%u]::", nic->prefix);
    ibft_ip_format(&nic->gateway, text);
    fprintf(out, !text[0] || ibft_ip_is_v4(&nic->gateway) ? "%s" : "[%s]", text);
    if (v4)
        ipv4_format(ibft_mask_v4(nic->prefix), mask);
    fprintf(out, ":%s:%s:%s:none", mask, is_host_name(nic->host_name) ? nic->host_name : "", card);
    for (size_t i = 0; i < ARRAY_SIZE(nic->dns); i++)
        if (ibft_ip_is_set(&nic->dns[i]))
            fprintf(out, ibft_ip_is_v4(&nic->dns[i]) ? ":%s" : ":[%s]",
                    ibft_ip_format(&nic->dns[i], text));
}

static void put_card(FILE *out, const struct ibft_nic *nic)
{
    char mac[MAC_TEXT_SIZE], card[16] = CARD;
    fprintf(out, "rd.neednet=1 ifname=" CARD ":%s", mac_format(nic->mac, mac));
    if (nic->vlan) {
        snprintf(card, sizeof(card), CARD ".%u", nic->vlan);
        fprintf(out, " vlan=%s:" CARD, card);
    }
    if (nic->from == IBFT_FROM_DHCP || !ibft_ip_is_set(&nic->address))
        fprintf(out, " ip=%s:%s", card,
                ibft_ip_is_set(&nic->address) && !ibft_ip_is_v4(&nic->address) ? "dhcp6" : "dhcp");
    else
        put_static(out, nic, card);
}

static int put_target(struct ibft_writer *w, struct error *ret_error)
{
    char address[IBFT_IP_TEXT_SIZE];
    const struct ibft_target *target = w->target;
    bool v4 = ibft_ip_is_v4(&target->address);
    int r = put_argument(w, "rd.iscsi.initiator", w->ibft->initiator.name, ret_error);
    if (r >= 0 && uses_chap(target))
        r = put_arguments(w, "rd.iscsi.username", target->user, "rd.iscsi.password", target->secret,
                          ret_error);
    if (r >= 0 && uses_reverse_chap(target))
        r = put_arguments(w, "rd.iscsi.in.username", target->reverse_user, "rd.iscsi.in.password",
                          target->reverse_secret, ret_error);
    ibft_ip_format(&target->address, address);
    fprintf(w->out, v4 ? " netroot=iscsi:%s" : " netroot=iscsi:[%s]", address);
    fprintf(w->out, "::%u:%d:%s\n", target->port, ibft_lun_number(target->lun), target->name);
    return r;
}

int ibft_write_dracut(struct ibft_writer *w, struct error *ret_error)
{
    int r = need_login(w, ret_error);
    if (r < 0)
        return r;
    if (!w->nic)
        return error_set(ret_error, -ENOENT, "the table has no card");
    if (ibft_lun_number(w->target->lun) < 0)
        return error_set(ret_error, -EBADMSG, "the target's LUN is no plain number");
    r = ibft_writer_begin(w, NULL, 0, ret_error);
    if (r < 0)
        return r;
    put_card(w->out, w->nic);
    r = put_target(w, ret_error);
    struct error ignored;
    int end = ibft_writer_end(w, r < 0 ? &ignored : ret_error);
    return r < 0 ? r : end;
}
