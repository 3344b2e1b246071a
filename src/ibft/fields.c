/* What single fields of a table mean. */
#include "ibft/ibft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool ibft_ip_is_set(const struct ibft_ip *ip)
{
    static const uint8_t nothing[16];
    static const uint8_t nothing_v4[4];
    return memcmp(ip->bytes, nothing, 16) != 0 &&
           !(ibft_ip_is_v4(ip) && memcmp(ip->bytes + 12, nothing_v4, 4) == 0);
}

bool ibft_ip_is_v4(const struct ibft_ip *ip)
{
    return memcmp(ip->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

uint32_t ibft_ip_v4(const struct ibft_ip *ip)
{
    const uint8_t *b = ip->bytes + 12;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

struct ibft_ip ibft_ip_of_v4(uint32_t address)
{
    struct ibft_ip ip = {{0}};
    if (!address)
        return ip;
    memcpy(ip.bytes, v4_prefix, sizeof(v4_prefix));
    for (unsigned i = 0; i < 4; i++)
        ip.bytes[12 + i] = (uint8_t)(address >> (24 - 8 * i));
    return ip;
}

const char *ibft_ip_format(const struct ibft_ip *ip, char text[static IBFT_IP_TEXT_SIZE])
{
    text[0] = '\0';
    if (!ibft_ip_is_set(ip))
        return text;
    if (ibft_ip_is_v4(ip))
        ipv4_format(ibft_ip_v4(ip), text);
    else
        inet_ntop(AF_INET6, ip->bytes, text, IBFT_IP_TEXT_SIZE);
    return text;
}

int ibft_ip_parse(const char *text, struct ibft_ip *ret_ip)
{
    uint32_t v4;
    struct ibft_ip ip;
    if (ipv4_parse(text, &v4) >= 0)
        *ret_ip = ibft_ip_of_v4(v4);
    else if (inet_pton(AF_INET6, text, ip.bytes) == 1)
        *ret_ip = ip;
    else
        return -EINVAL;
    return 0;
}

uint32_t ibft_mask_v4(unsigned prefix)
{
    return prefix == 0 ? 0 : UINT32_MAX << (32 - MIN(prefix, 32U));
}

int ibft_lun_number(const uint8_t lun[static IBFT_LUN_SIZE])
{
    static const uint8_t zeros[6];
    unsigned method = lun[0] >> 6;
    if (memcmp(lun + 2, zeros, sizeof(zeros)) != 0)
        return -1; /* of a hierarchy */
    if (method == 0 && lun[0] == 0)
        return lun[1];
    return method == 1 ? (lun[0] & 0x3f) << 8 | lun[1] : -1;
}

const char *ibft_from_text(uint8_t from)
{
    switch (from) {
    case IBFT_FROM_OTHER:
        return "other";
    case IBFT_FROM_MANUAL:
        return "manual";
    case IBFT_FROM_WELL_KNOWN:
        return "well-known";
    case IBFT_FROM_DHCP:
        return "dhcp";
    case IBFT_FROM_ROUTER:
        return "router advertisement";
    case IBFT_FROM_UNCHANGED:
        return "unchanged";
    default:
        return "unknown";
    }
}

const char *ibft_chap_text(uint8_t chap)
{
    static const char *const names[] = {"none", "one-way", "mutual"};
    return chap < ARRAY_SIZE(names) ? names[chap] : "unknown";
}

const struct ibft_nic *ibft_boot_nic(const struct ibft *ibft)
{
    const struct ibft_nic *first = NULL;
    for (size_t i = 0; i < IBFT_PAIRS; i++) {
        const struct ibft_nic *nic = &ibft->nics[i];
        if (nic->present && nic->flags & IBFT_BOOT)
            return nic;
        if (nic->present && !first)
            first = nic;
    }
    return first;
}

/* iPXE marks all paths to a disk, whose targets need not be in the order of their cards. */
const struct ibft_target *ibft_boot_target(const struct ibft *ibft)
{
    const struct ibft_nic *nic = ibft_boot_nic(ibft);
    const struct ibft_target *first = NULL, *chosen = NULL;
    for (size_t i = 0; i < IBFT_PAIRS; i++) {
        const struct ibft_target *target = &ibft->targets[i];
        bool boots = target->present && target->flags & IBFT_BOOT;
        bool is_led_to = boots && nic && target->nic == nic->index;
        if (boots && (!chosen || (is_led_to && chosen->nic != nic->index)))
            chosen = target;
        if (target->present && !first)
            first = target;
    }
    return chosen ? chosen : first;
}

void ibft_fault(struct ibft_faults *faults, enum ibft_severity severity, const char *format, ...)
{
    faults->error |= severity == IBFT_ERROR;
    if (faults->count == IBFT_MAX_FAULTS) {
        faults->more++;
        return;
    }
    struct ibft_fault *fault = &faults->list[faults->count++];
    fault->severity = severity;
    va_list list;
    va_start(list, format);
    vsnprintf(fault->text, sizeof(fault->text), format, list);
    va_end(list);
}
