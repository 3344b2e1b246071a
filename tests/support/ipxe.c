#include "ipxe.h"

#include "core/names.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>

#define ADDRESS    "10.0.0.20" /* of the interface that it boots from */
#define MAX_LINES  512
#define MAX_LINE   2048
#define MAX_TOKENS 128
#define MAX_STEPS  100000 /* a script that runs for so long without an end is broken, too */

struct script {
    struct ipxe *ipxe;
    char *lines[MAX_LINES];
    size_t n_lines;
    size_t next; /* line to run */
    bool jumped; /* by `goto`: the rest of its line is not run */
    bool over;
    enum ipxe_end end;
};

static bool finish(struct script *s, enum ipxe_end end)
{
    s->over = true;
    s->end = end;
    return true;
}

static bool PRINTF_LIKE(2, 3) broken(struct script *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(s->ipxe->problem, sizeof(s->ipxe->problem), format, args);
    va_end(args);
    return finish(s, IPXE_BROKEN);
}

/* --- interfaces: ${netX/mac}, ${net0/ip}, ... --- */

/* "net1/ip" -> '1', "ip"; NULL: it is no such thing. */
static const char *interface_setting(const char *text, char *ret_number)
{
    if (!str_has_prefix(text, "net") || !strchr("X0123", text[3]) || text[4] != '/')
        return NULL;
    *ret_number = text[3];
    return text + 5;
}

static bool is_setting(const char *text)
{
    char number;
    const char *name = str_has_prefix(text, "${") ? interface_setting(text + 2, &number) : NULL;
    return name && (str_has_prefix(name, "mac}") || str_has_prefix(name, "ip}"));
}

static bool is_booted_from(char number)
{
    return number == 'X' || number == '1';
}

/* The value of a token that is a setting, in `room`; what is not there is empty. */
static char *expand(const struct script *s, char *token, char room[static MAC_TEXT_SIZE])
{
    static const struct mac_address nobody = {{0x02}};
    char number;
    if (str_eq(token, "${path1}"))
        return s->ipxe->path1;
    char *paths = strstr(token, "${paths}");
    if (paths) {
        snprintf(room, MAC_TEXT_SIZE, "%.*s%u", (int)(paths - token), token, s->ipxe->paths);
        return room;
    }
    if (str_eq(token, "${card}"))
        return s->ipxe->card;
    if (str_eq(token, "${platform}"))
        return str_copy(room, MAC_TEXT_SIZE, s->ipxe->efi ? "efi" : "pcbios") ? room : NULL;
    char *selected = strstr(token, "${selected}");
    if (selected) {
        snprintf(s->ipxe->expanded, sizeof(s->ipxe->expanded), "%.*s%s%s", (int)(selected - token),
                 token, s->ipxe->selected, selected + strlen("${selected}"));
        return s->ipxe->expanded;
    }
    const char *name = is_setting(token) ? interface_setting(token + 2, &number) : NULL;
    if (!name)
        return token;
    room[0] = '\0';
    if (str_has_prefix(name, "mac}") && number == '2' && s->ipxe->other.bytes[0])
        mac_format(s->ipxe->other, room);
    else if (str_has_prefix(name, "mac}") && number != '3')
        mac_format(is_booted_from(number) ? s->ipxe->mac : nobody, room);
    else if (is_booted_from(number) && !s->ipxe->no_ipv4)
        str_copy(room, MAC_TEXT_SIZE, ADDRESS);
    return room;
}

/* Where an IPv4 setting of the interface is kept; NULL: it is none. */
static char *ipv4_setting(struct ipxe *ipxe, const char *name)
{
    return str_eq(name, "ip")        ? ipxe->ip
           : str_eq(name, "netmask") ? ipxe->netmask
           : str_eq(name, "gateway") ? ipxe->gateway
                                     : NULL;
}

static bool set_interface(struct script *s, const char *setting, const char *value)
{
    char number = '\0';
    const char *name = interface_setting(setting, &number);
    uint32_t address;
    if (number == '2' && ipv4_parse(value, &address) == 0 && str_eq(name, "ip"))
        return str_copy(s->ipxe->second_ip, sizeof(s->ipxe->second_ip), value);
    if (number == '2' && ipv4_parse(value, &address) == 0 && str_eq(name, "netmask"))
        return str_copy(s->ipxe->second_mask, sizeof(s->ipxe->second_mask), value);
    char *place = ipv4_setting(s->ipxe, name);
    bool is_ip = place == s->ipxe->ip;
    if (!place || !is_booted_from(number) || ipv4_parse(value, &address) < 0)
        return broken(s, "set %s to %s: of another interface, or no address", setting, value);
    if (is_ip && !str_eq(value, ADDRESS) && !s->ipxe->netmask[0])
        return broken(s, "set %s to %s: a route is made before it has a mask", setting, value);
    str_copy(place, IPV4_TEXT_SIZE, value);
    s->ipxe->manual |= is_ip;
    return true;
}

static bool clear_interface(struct script *s, const char *setting)
{
    char number;
    const char *name = interface_setting(setting, &number);
    char *place = ipv4_setting(s->ipxe, name);
    if (!place || !is_booted_from(number))
        return broken(s, "clear %s: of another interface", setting);
    place[0] = '\0';
    s->ipxe->manual = s->ipxe->ip[0] != '\0';
    return true;
}

/* --- lines --- */

/* "${smbios/19.4.8:hexraw}": iPXE puts the setting in its place. */
static bool is_expansion(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzX0123456789/.:-";
    size_t n = text[1] == '{' ? strspn(text + 2, letters) : 0;
    return n > 0 && text[2 + n] == '}';
}

/* Bytes that mean something to iPXE or to a terminal, where ours are to mean themselves. */
static bool is_plain(const char *line)
{
    for (const char *p = line; *p; p++)
        if (*p < ' ' || *p > '~' || (*p == '$' && !is_expansion(p)) || *p == '\\')
            return false;
    return true;
}

static void split(struct script *s, char *text)
{
    char *rest = NULL;
    if (!str_has_prefix(text, "#!ipxe\n"))
        broken(s, "does not begin with #!ipxe");
    else if (text[strlen(text) - 1] != '\n')
        broken(s, "the last line has no end");
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (s->n_lines == MAX_LINES || strlen(line) > MAX_LINE || !is_plain(line)) {
            broken(s, "strange line: %.500s", line);
            return;
        }
        s->lines[s->n_lines++] = line;
    }
}

static const char *skip_label(const char *line)
{
    return line + (*line == ':' ? strcspn(line, " ") : 0);
}

/* --- commands: true if it did what it says, as far as the script can tell --- */

static bool do_echo(struct script *s, int argc, char **argv)
{
    struct ipxe *ipxe = s->ipxe;
    if (argc > 1 && argv[1][0] == '-')
        return broken(s, "echo %s: that is an option", argv[1]);
    for (int i = 1; i < argc; i++) {
        size_t used = strlen(ipxe->screen);
        if (used > sizeof(ipxe->screen) / 2)
            ipxe->screen[used = 0] = '\0';
        snprintf(ipxe->screen + used, sizeof(ipxe->screen) - used, "%s%c", argv[i],
                 i + 1 < argc ? ' ' : '\n');
    }
    return true;
}

/* Where the text of a setting is kept; all have 256 bytes. */
static char *text_setting(struct ipxe *ipxe, const char *name)
{
    const struct {
        const char *name;
        char *place;
    } settings[] = {
        {"hostname", ipxe->hostname},
        {"initiator-iqn", ipxe->initiator},
        {"username", ipxe->username},
        {"password", ipxe->password},
        {"reverse-username", ipxe->reverse_username},
        {"reverse-password", ipxe->reverse_password},
        {"path1", ipxe->path1},
        {"card", ipxe->card},
    };
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
        if (str_eq(name, settings[i].name))
            return settings[i].place;
    return NULL;
}

/* Of the type "hexraw": two digits for each byte. False: it is not. */
static bool put_hex(char text[static 256], const char *digits)
{
    size_t n = strlen(digits) / 2;
    if (strlen(digits) % 2 || n > 255 || digits[strspn(digits, "0123456789abcdef")])
        return false;
    for (size_t i = 0; i < n; i++) {
        char pair[3] = {digits[2 * i], digits[2 * i + 1], '\0'};
        text[i] = (char)strtoul(pair, NULL, 16);
    }
    text[n] = '\0';
    return true;
}

static bool do_set(struct script *s, int argc, char **argv)
{
    struct ipxe *ipxe = s->ipxe;
    char *type = argc == 3 ? strchr(argv[1], ':') : NULL;
    if (type)
        *type++ = '\0';
    char *text = argc == 3 ? text_setting(ipxe, argv[1]) : NULL;
    if (argc != 3)
        return broken(s, "set takes a setting and a value");
    char number;
    if (interface_setting(argv[1], &number))
        return set_interface(s, argv[1], argv[2]);
    if (argv[2][0] == '-')
        return broken(s, "set %s %s: that is an option", argv[1], argv[2]);
    if (type && str_eq(type, "int32") &&
        (str_eq(argv[1], "san-retries") || str_eq(argv[1], "paths")))
        type = NULL;
    if (type && (!text || !str_eq(type, "hexraw") || !put_hex(text, argv[2])))
        return broken(s, "%s cannot be set to %s", argv[1], argv[2]);
    if (type)
        return true;
    if (text)
        str_copy(text, 256, argv[2]);
    else if (str_eq(argv[1], "paths"))
        ipxe->paths = (unsigned)strtoul(argv[2], NULL, 10);
    else if (str_eq(argv[1], "san-retries"))
        ipxe->san_retries = (unsigned)strtoul(argv[2], NULL, 10);
    else
        return broken(s, "there is no setting %s", argv[1]);
    return true;
}

static bool do_inc(struct script *s, int argc, char **argv)
{
    if (argc != 2 || !str_eq(argv[1], "paths"))
        return broken(s, "inc what?");
    s->ipxe->paths++;
    return true;
}

static bool do_clear(struct script *s, int argc, char **argv)
{
    char number, *text = argc == 2 ? text_setting(s->ipxe, argv[1]) : NULL;
    if (argc == 2 && interface_setting(argv[1], &number))
        return clear_interface(s, argv[1]);
    if (!text)
        return broken(s, "clear what?");
    text[0] = '\0';
    return true;
}

static bool do_sleep(struct script *s, int argc, char **argv)
{
    char *end;
    unsigned long seconds = argc == 2 ? strtoul(argv[1], &end, 10) : 0;
    if (argc != 2 || *end || seconds == 0)
        return broken(s, "sleep takes seconds");
    s->ipxe->slept += (unsigned)seconds;
    return true;
}

static bool do_goto(struct script *s, int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < s->n_lines; i++) {
        const char *line = s->lines[i];
        size_t n = (size_t)(skip_label(line) - line);
        if (n == strlen(argv[1]) + 1 && strncmp(line + 1, argv[1], n - 1) == 0) {
            s->next = i;
            s->jumped = true;
            return true;
        }
    }
    return broken(s, "goto where?");
}

static bool do_exit(struct script *s, int argc, char **argv)
{
    if (argc == 2 && str_eq(argv[1], "1"))
        return finish(s, IPXE_GAVE_UP);
    return argc == 1 ? finish(s, IPXE_EXITED) : broken(s, "exit takes nothing");
}

/* The part of a root path up to the next colon that is in no brackets; NULL: there is none. */
static char *next_part(char **rest)
{
    char *part = *rest;
    bool skip = false;
    for (char *p = part; *p; p++) {
        skip = *p == '[' || (skip && *p != ']');
        if (*p == ':' && !skip) {
            *p = '\0';
            *rest = p + 1;
            return part;
        }
    }
    return NULL;
}

static bool is_host(const char *host)
{
    uint32_t ipv4;
    return ipv4_parse(host, &ipv4) == 0 || name_is_domain(host) ||
           (host[0] == '[' && host[strlen(host) - 1] == ']');
}

/* scsi_parse_lun() there. */
static bool is_lun(const char *lun)
{
    char *end;
    return strtoul(lun, &end, 16) <= UINT16_MAX && end > lun && !*end;
}

/* "iscsi:HOST::PORT:LUN:TARGET" (RFC 4173), as net/tcp/iscsi.c there takes it apart. */
static bool is_root_path(const char *path)
{
    char copy[600], *rest = copy;
    if (!str_has_prefix(path, "iscsi:") || !str_copy(copy, sizeof(copy), path + 6))
        return false;
    const char *host = next_part(&rest), *protocol = host ? next_part(&rest) : NULL;
    const char *port = protocol ? next_part(&rest) : NULL, *lun = port ? next_part(&rest) : NULL;
    unsigned long number = lun ? strtoul(port, NULL, 10) : 0;
    return number > 0 && number < 65536 && is_host(host) && !*protocol && is_lun(lun) &&
           (str_has_prefix(rest, "iqn.") || str_has_prefix(rest, "eui.") ||
            str_has_prefix(rest, "naa."));
}

/* Behind the first root path, or not. False: it is none. */
static bool take_second_path(struct script *s, int argc, char **argv, int at)
{
    struct ipxe *ipxe = s->ipxe;
    ipxe->second_path[0] = '\0';
    if (argc <= at)
        return true;
    return argc == at + 1 && ipxe->second_open && is_root_path(argv[at]) &&
           str_copy(ipxe->second_path, sizeof(ipxe->second_path), argv[at]);
}

static bool is_drive(int argc, char **argv)
{
    return argc >= 3 && str_eq(argv[1], "--drive") && str_eq(argv[2], "0x80");
}

static bool do_sanhook(struct script *s, int argc, char **argv)
{
    struct ipxe *ipxe = s->ipxe;
    if (argc < 4 || !is_drive(argc, argv) || !is_root_path(argv[3]) ||
        !take_second_path(s, argc, argv, 4))
        return broken(s, "sanhook of what?");
    if (ipxe->closed || ipxe->hooked)
        return broken(s, "sanhook without a network, or twice");
    ipxe->sanhooks++;
    str_copy(ipxe->root_path, sizeof(ipxe->root_path), argv[3]);
    ipxe->hooked = ipxe->outcome(ipxe, argv[0]) == IPXE_WORKS;
    return ipxe->hooked;
}

static bool do_sanunhook(struct script *s, int argc, char **argv)
{
    if (argc != 3 || !is_drive(argc, argv))
        return broken(s, "sanunhook what?");
    s->ipxe->hooked = false;
    return true;
}

/* UEFI: iPXE of 2019 can only boot what it has hooked itself. */
static bool boot_own_disk(struct script *s)
{
    char command[] = "local";
    if (s->ipxe->hooked)
        return broken(s, "its own disk, with ours in its place");
    return !s->ipxe->efi && s->ipxe->outcome(s->ipxe, command) == IPXE_WORKS &&
           finish(s, IPXE_LOCAL);
}

/* Of a root path, or of what is hooked; it is hooked no longer if it comes back. */
static bool do_sanboot(struct script *s, int argc, char **argv)
{
    struct ipxe *ipxe = s->ipxe;
    if (argc == 4 && str_eq(argv[1], "--no-describe") && is_drive(argc - 1, argv + 1))
        return boot_own_disk(s);
    bool drive = argc == 3 && is_drive(argc, argv);
    if (!drive && (argc < 2 || !is_root_path(argv[1]) || !take_second_path(s, argc, argv, 2)))
        return broken(s, "sanboot of what?");
    if (ipxe->closed || drive != ipxe->hooked)
        return broken(s, "sanboot without a network, or of the wrong drive");
    ipxe->sanboots++;
    ipxe->hooked = false;
    if (!drive)
        str_copy(ipxe->root_path, sizeof(ipxe->root_path), argv[1]);
    enum ipxe_outcome outcome = ipxe->outcome(ipxe, argv[0]);
    return outcome == IPXE_WORKS ? finish(s, IPXE_BOOTED) : outcome == IPXE_RETURNS;
}

/* The URL behind "--timeout MILLISECONDS"; NULL: it is not there. */
static const char *fetched_url(struct script *s, int argc, char **argv)
{
    char *end;
    if (argc < 4 || !str_eq(argv[1], "--timeout") || strtoul(argv[2], &end, 10) < 1000 || *end ||
        s->ipxe->closed)
        return NULL;
    bool named = str_eq(argv[3], "--name") && argc >= 6;
    const char *url = argv[named ? 5 : str_eq(argv[3], "--replace") && argc == 5 ? 4 : 3];
    return str_has_prefix(url, "http://") || str_has_prefix(url, "https://") ? url : NULL;
}

/* A script below this one, which boots, or ends with an error. */
static bool chain_and_return(struct script *s, const char *url)
{
    struct ipxe *ipxe = s->ipxe;
    str_copy(ipxe->direct_url, sizeof(ipxe->direct_url), url);
    char command[] = "direct";
    enum ipxe_outcome outcome = ipxe->outcome(ipxe, command);
    if (outcome == IPXE_WORKS)
        finish(s, IPXE_BOOTED);
    return outcome != IPXE_FAILS;
}

static bool do_kernel(struct script *s, int argc, char **argv)
{
    struct ipxe *ipxe = s->ipxe;
    if (!fetched_url(s, argc, argv))
        return broken(s, "kernel takes --timeout and a URL");
    if (ipxe->outcome(ipxe, argv[0]) != IPXE_WORKS)
        return false;
    size_t used = 0;
    int first = str_eq(argv[3], "--name") ? 5 : 3;
    for (int i = first; i < argc && used < sizeof(ipxe->kernel); i++)
        used += (size_t)snprintf(ipxe->kernel + used, sizeof(ipxe->kernel) - used, "%s%s",
                                 i > first ? " " : "", argv[i]);
    return true;
}

static bool do_initrd(struct script *s, int argc, char **argv)
{
    struct ipxe *ipxe = s->ipxe;
    const char *url = fetched_url(s, argc, argv);
    if (!url || argc != 6 || !str_has_prefix(argv[4], "initrd"))
        return broken(s, "initrd takes --timeout, --name initrd and a URL");
    if (ipxe->outcome(ipxe, argv[0]) != IPXE_WORKS)
        return false;
    str_copy(ipxe->initrd, sizeof(ipxe->initrd), url);
    return true;
}

static bool do_boot(struct script *s, int argc, char **argv)
{
    struct ipxe *ipxe = s->ipxe;
    if (argc != 1 || !ipxe->kernel[0])
        return broken(s, "boot what?");
    return ipxe->outcome(ipxe, argv[0]) == IPXE_WORKS && finish(s, IPXE_BOOTED);
}

static bool do_imgfree(struct script *s, int argc, char **argv)
{
    s->ipxe->kernel[0] = s->ipxe->initrd[0] = '\0';
    return argc == 1 || broken(s, "imgfree takes nothing");
}

/* Without --replace each script would stay below the next one, until memory is used up. */
static bool do_chain(struct script *s, int argc, char **argv)
{
    struct ipxe *ipxe = s->ipxe;
    const char *url = fetched_url(s, argc, argv);
    bool replace = argc == 5 && str_eq(argv[3], "--replace");
    if (!url || (argc != 4 && !replace))
        return broken(s, "chain takes --timeout, --replace or not, and a URL, and a network");
    if (!replace)
        return chain_and_return(s, url);
    ipxe->chains++;
    str_copy(ipxe->url, sizeof(ipxe->url), url);
    return ipxe->outcome(ipxe, argv[0]) == IPXE_WORKS ? finish(s, IPXE_REPLACED) : false;
}

static bool do_dhcp(struct script *s, int argc, char **argv)
{
    struct ipxe *ipxe = s->ipxe;
    if (argc != 2 || (!str_eq(argv[1], "netX") && !str_eq(argv[1], "net1")))
        return broken(s, "dhcp not with the interface that it boots from");
    ipxe->dhcps++;
    bool ok = ipxe->outcome(ipxe, argv[0]) == IPXE_WORKS;
    ipxe->closed = !ok; /* "to avoid memory exhaustion" */
    ipxe->no_ipv4 &= !ok;
    return ok;
}

static bool do_isset(struct script *s, int argc, char **argv)
{
    return argc == 2 ? argv[1][0] != '\0' : broken(s, "isset takes a value");
}

static bool do_iseq(struct script *s, int argc, char **argv)
{
    return argc == 3 ? str_eq(argv[1], argv[2]) : broken(s, "iseq takes two values");
}

static bool do_ifopen(struct script *s, int argc, char **argv)
{
    if (argc != 2 || !str_eq(argv[1], "net2") || !s->ipxe->second_ip[0])
        return broken(s, "ifopen of another interface, or without an address");
    s->ipxe->second_open = true;
    return true;
}

static bool do_shell(struct script *s, int argc, char **argv)
{
    s->ipxe->shells++;
    return argc == 1 || broken(s, "%s takes nothing", argv[0]);
}

static bool do_reboot(struct script *s, int argc, char **argv)
{
    return finish(s, IPXE_REBOOTED);
}

static bool do_poweroff(struct script *s, int argc, char **argv)
{
    s->ipxe->off = s->ipxe->poweroff;
    return s->ipxe->poweroff && finish(s, IPXE_EXITED);
}

static bool do_menu(struct script *s, int argc, char **argv)
{
    s->ipxe->n_items = 0;
    s->ipxe->menus++;
    s->ipxe->menu[0] = '\0';
    for (int i = 1; i < argc; i++) {
        size_t used = strlen(s->ipxe->menu);
        snprintf(s->ipxe->menu + used, sizeof(s->ipxe->menu) - used, "%s%s", i > 1 ? " " : "",
                 argv[i]);
    }
    return argc > 1 && argv[1][0] != '-' ? true : broken(s, "a menu without a title");
}

static bool has_item(const struct ipxe *ipxe, const char *label)
{
    for (size_t i = 0; i < ipxe->n_items; i++)
        if (str_eq(ipxe->items[i], label))
            return true;
    return false;
}

static bool do_item(struct script *s, int argc, char **argv)
{
    struct ipxe *ipxe = s->ipxe;
    int at = 1;
    bool gap = argc > 2 && str_eq(argv[1], "--gap") && str_eq(argv[2], "--");
    if (argc > 3 && str_eq(argv[1], "--key") && strlen(argv[2]) == 1)
        at = 3;
    if (!ipxe->menus || argc < at + 2 || ipxe->n_items == IPXE_MAX_ITEMS ||
        (!gap && (argv[at][0] == '-' || argv[at + 1][0] == '-')))
        return broken(s, "item without a menu, a label or a text");
    if (!gap && has_item(ipxe, argv[at]))
        return broken(s, "two items %s", argv[at]);
    str_copy(ipxe->items[ipxe->n_items++], sizeof(ipxe->items[0]), gap ? "" : argv[at]);
    return true;
}

static bool take_choice(struct script *s, const char *choice)
{
    if (!choice)
        return false;
    if (!*choice || !has_item(s->ipxe, choice))
        return broken(s, "%s cannot be chosen", choice);
    str_copy(s->ipxe->selected, sizeof(s->ipxe->selected), choice);
    return true;
}

static bool do_choose(struct script *s, int argc, char **argv)
{
    struct ipxe *ipxe = s->ipxe;
    bool timed = argc == 6 && str_eq(argv[1], "--default") && str_eq(argv[3], "--timeout");
    if (!str_eq(argv[argc - 1], "selected") || (!timed && argc != 2))
        return broken(s, "choose how?");
    if (timed && !has_item(ipxe, argv[2]))
        return broken(s, "the default %s is no item", argv[2]);
    ipxe->menu_timeout = timed ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
    if (ipxe->choose)
        return take_choice(s, ipxe->choose(ipxe));
    return take_choice(s, timed && ipxe->menu_timeout ? argv[2] : NULL);
}

static bool run_command(struct script *s, int argc, char **argv)
{
    static const struct {
        const char *name;
        bool (*run)(struct script *s, int argc, char **argv);
    } commands[] = {
        {"echo", do_echo},
        {"set", do_set},
        {"sleep", do_sleep},
        {"goto", do_goto},
        {"exit", do_exit},
        {"dhcp", do_dhcp},
        {"sanboot", do_sanboot},
        {"chain", do_chain},
        {"clear", do_clear},
        {"sanhook", do_sanhook},
        {"sanunhook", do_sanunhook},
        {"kernel", do_kernel},
        {"initrd", do_initrd},
        {"boot", do_boot},
        {"imgfree", do_imgfree},
        {"iseq", do_iseq},
        {"ifopen", do_ifopen},
        {"isset", do_isset},
        {"inc", do_inc},
        {"shell", do_shell},
        {"config", do_shell},
        {"reboot", do_reboot},
        {"poweroff", do_poweroff},
        {"menu", do_menu},
        {"item", do_item},
        {"choose", do_choose},
    };
    for (size_t i = 0; argc > 0 && i < ARRAY_SIZE(commands); i++)
        if (str_eq(argv[0], commands[i].name))
            return commands[i].run(s, argc, argv);
    return argc == 0 || broken(s, "there is no command %s", argv[0]);
}

/* Tokens up to the next terminator; a token that begins with '#' begins a comment. */
static int count_arguments(char **tokens)
{
    int n = 0;
    while (tokens[n] && tokens[n][0] != '#' && !str_eq(tokens[n], "||") &&
           !str_eq(tokens[n], "&&") && !str_eq(tokens[n], ";"))
        n++;
    return n;
}

/* The settings in a command are expanded when it is run; an empty one is an argument, too. */
static bool run_tokens(struct script *s, int argc, char **tokens)
{
    char *argv[MAX_TOKENS + 1] = {NULL}, values[MAX_TOKENS][MAC_TEXT_SIZE];
    for (int i = 0; i < argc; i++)
        argv[i] = expand(s, tokens[i], values[i]);
    return run_command(s, argc, argv);
}

static void run_line(struct script *s, const char *line)
{
    char copy[MAX_LINE + 1], *tokens[MAX_TOKENS + 1] = {NULL}, *rest = NULL;
    size_t count = 0;
    bool ok = true, process = true;
    str_copy(copy, sizeof(copy), skip_label(line));
    for (char *t = strtok_r(copy, " ", &rest); t && count < MAX_TOKENS;
         t = strtok_r(NULL, " ", &rest))
        tokens[count++] = t;
    for (char **at = tokens;;) {
        int argc = count_arguments(at);
        if (process)
            ok = run_tokens(s, argc, at);
        const char *terminator = at[argc];
        if (s->over || s->jumped || !terminator || terminator[0] == '#')
            break;
        process = str_eq(terminator, ";") || ok == str_eq(terminator, "&&");
        at += argc + 1;
    }
    if (!ok && !s->over)
        finish(s, IPXE_GAVE_UP);
}

enum ipxe_end ipxe_run(struct ipxe *ipxe, const char *script)
{
    struct script s = {.ipxe = ipxe};
    char *text = strdup(script);
    split(&s, text);
    for (unsigned steps = 0; !s.over; steps++) {
        s.jumped = false;
        if (s.next == s.n_lines)
            finish(&s, IPXE_GAVE_UP);
        else if (steps == MAX_STEPS)
            broken(&s, "goes on for ever");
        else if (s.lines[s.next][0] == '#')
            s.next++;
        else
            run_line(&s, s.lines[s.next++]);
    }
    free(text);
    return s.end;
}
