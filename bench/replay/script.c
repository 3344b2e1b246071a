/* What iPXE would do with a boot script, as far as it leads to a disk. */
#include "node.h"

/* Copies a value with ${hostname} and ${initiator-iqn} replaced. */
static void expand(const struct node *node, const char *text, char *out, size_t size)
{
    static const char host[] = "${hostname}", initiator[] = "${initiator-iqn}";
    size_t used = 0;
    while (*text && used + 1 < size) {
        const char *value = NULL;
        if (str_has_prefix(text, host)) {
            value = node->name;
            text += sizeof(host) - 1;
        } else if (str_has_prefix(text, initiator)) {
            value = node->initiator;
            text += sizeof(initiator) - 1;
        } else {
            out[used++] = *text++;
            continue;
        }
        while (*value && used + 1 < size)
            out[used++] = *value++;
    }
    out[used] = '\0';
}

/* RFC 4173: iscsi:SERVER:PROTOCOL:PORT:LUN:TARGET, the LUN in the hexadecimal that iPXE reads. */
static bool take_disk(struct node *node, const char *uri)
{
    char host[64] = "", protocol[8] = "", port[8] = "", lun[24] = "", *fields[4];
    size_t sizes[] = {sizeof(host), sizeof(protocol), sizeof(port), sizeof(lun)};
    fields[0] = host, fields[1] = protocol, fields[2] = port, fields[3] = lun;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        const char *end = strchr(uri, ':');
        if (!end || (size_t)(end - uri) >= sizes[i])
            return false;
        memcpy(fields[i], uri, (size_t)(end - uri));
        uri = end + 1;
    }
    uint32_t address;
    if (ipv4_parse(host, &address) < 0)
        return false;
    unsigned long number = port[0] ? strtoul(port, NULL, 10) : 3260;
    node->portal = endpoint_of_ipv4(address, (uint16_t)number);
    memset(node->lun, 0, sizeof(node->lun));
    node->lun[1] = (uint8_t)strtoul(lun, NULL, 16);
    return str_copy(node->target, sizeof(node->target), uri);
}

static bool take_line(struct node *node, const char *line)
{
    static const char host[] = "set hostname ", initiator[] = "set initiator-iqn ",
                      boot[] = "sanboot iscsi:";
    char value[512];
    if (str_has_prefix(line, host)) {
        expand(node, line + sizeof(host) - 1, node->name, sizeof(node->name));
    } else if (str_has_prefix(line, initiator)) {
        expand(node, line + sizeof(initiator) - 1, value, sizeof(node->initiator));
        str_copy(node->initiator, sizeof(node->initiator), value);
    } else if (str_has_prefix(line, boot)) {
        expand(node, line + sizeof(boot) - 1, value, sizeof(value));
        value[strcspn(value, " |")] = '\0';
        return take_disk(node, value);
    }
    return false;
}

bool script_take(struct node *node, char *text)
{
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")))
        if (take_line(node, line))
            return true;
    return false;
}
