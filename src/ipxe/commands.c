/* iPXE, src/hci/commands, src/hci/shell.c and src/core/exec.c. */
#include "ipxe/commands.h"

#define WITHOUT_COLOURS "leave it out, followed by `||`: the menu stays plain"

static const struct ipxe_command commands[] = {
    {"autoboot", NULL},
    {"boot", NULL},
    {"certfree", NULL},
    {"certstat", NULL},
    {"certstore", NULL},
    {"chain", NULL},
    {"choose", NULL},
    {"clear", NULL},
    {"colour", WITHOUT_COLOURS},
    {"config", NULL},
    {"console", WITHOUT_COLOURS},
    {"cpair", WITHOUT_COLOURS},
    {"cpuid", NULL},
    {"dhcp", NULL},
    {"echo", NULL},
    {"exit", NULL},
    {"fcels", NULL},
    {"fcstat", NULL},
    {"fdt", NULL},
    {"form", "ask with `read`, or by `menu` and `choose`"},
    {"gdbstub", NULL},
    {"goto", NULL},
    {"help", NULL},
    {"ibstat", NULL},
    {"ifclose", NULL},
    {"ifconf", "use `dhcp`"},
    {"iflinkwait", "use `ifopen`"},
    {"ifopen", NULL},
    {"ifstat", NULL},
    {"imgargs", NULL},
    {"imgdecrypt", NULL},
    {"imgexec", NULL},
    {"imgextract", NULL},
    {"imgfetch", NULL},
    {"imgfree", NULL},
    {"imgload", NULL},
    {"imgmem", NULL},
    {"imgselect", NULL},
    {"imgset", NULL},
    {"imgstat", NULL},
    {"imgtrust", NULL},
    {"imgverify", NULL},
    {"inc", NULL},
    {"initrd", NULL},
    {"ipstat", NULL},
    {"iseq", NULL},
    {"isset", NULL},
    {"item", NULL},
    {"iwlist", NULL},
    {"iwstat", NULL},
    {"kernel", NULL},
    {"login", "ask with `read`"},
    {"lotest", NULL},
    {"md5sum", NULL},
    {"menu", NULL},
    {"module", "use `initrd`"},
    {"nslookup", "write the address itself"},
    {"nstat", NULL},
    {"ntp", NULL},
    {"param", "put it into the query of the URL: `chain URL?name=${name}`"},
    {"params", "put it into the query of the URL: `chain URL?name=${name}`"},
    {"pciscan", NULL},
    {"ping", NULL},
    {"poweroff", "use `exit`, or `reboot`"},
    {"present", "ask with `read`, or by `menu` and `choose`"},
    {"profstat", NULL},
    {"prompt", NULL},
    {"pxebs", NULL},
    {"read", NULL},
    {"reboot", NULL},
    {"route", NULL},
    {"sanboot", NULL},
    {"sanhook", NULL},
    {"sanunhook", NULL},
    {"set", NULL},
    {"sha1sum", NULL},
    {"sha224sum", NULL},
    {"sha256sum", NULL},
    {"sha384sum", NULL},
    {"sha512sum", NULL},
    {"shell", NULL},
    {"shim", NULL},
    {"show", NULL},
    {"sleep", NULL},
    {"startpxe", NULL},
    {"stoppxe", NULL},
    {"sync", NULL},
    {"time", NULL},
    {"usbscan", NULL},
    {"vcreate", "let the switch take the tag off"},
    {"vdestroy", NULL},
};

_Static_assert(ARRAY_SIZE(commands) <= IPXE_MAX_COMMANDS, "commands");

const struct ipxe_command *ipxe_commands(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(commands);
    return commands;
}

int ipxe_command_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (str_eq(commands[i].name, name))
            return (int)i;
    return -1;
}

/* A string may be the end of another one: then the command may be there or not. */
static void take_string(void *context, const char *text, size_t size)
{
    enum ipxe_ability *abilities = context;
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        size_t n = strlen(commands[i].name);
        if (size < n || memcmp(text + size - n, commands[i].name, n) != 0)
            continue;
        if (size == n)
            abilities[i] = IPXE_HAS;
        else if (abilities[i] == IPXE_LACKS)
            abilities[i] = IPXE_PERHAPS;
    }
}

void ipxe_commands_look(const uint8_t *data, size_t size, bool whole,
                        enum ipxe_ability abilities[static IPXE_MAX_COMMANDS])
{
    struct loader_file file;
    loader_file_look(data, size, whole, &file);
    bool tells = file.is_ipxe && file.missing; /* which only such a file shows */
    for (size_t i = 0; i < IPXE_MAX_COMMANDS; i++)
        abilities[i] = tells ? IPXE_LACKS : IPXE_PERHAPS;
    if (tells)
        loader_file_strings(data, size, take_string, abilities);
}
