/*
 * Configuration file. Keys are a table (section, key, how to parse, where to put); inih splits
 * the lines. What concerns several keys at once (a range inside its network) is checked at the
 * end, against the line where the subnet began.
 */
#include "server/config.h"

#include "core/log.h"
#include "core/size.h"
#include "core/words.h"
#include "server/config_rules.h"
#include "server/config_ways.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>

#define MAX_KEYS 128

struct parser {
    const char *path;
    unsigned line; /* of the file, from 1 */
    config_report *report;
    void *report_context;
    struct config *config;
    unsigned problems;
    unsigned subnet_line[CONFIG_MAX_SUBNETS]; /* where each subnet was first named */
    /* which of `keys` were set already: the subnets', then everything else's */
    bool seen[CONFIG_MAX_SUBNETS + 1][MAX_KEYS];
};

/* A key's parser: returns NULL, or what is wrong with the value (a static text). */
typedef const char *key_parser(const char *value, void *place);

struct key {
    const char *section; /* "subnet" stands for every [subnet NAME] */
    const char *name;
    key_parser *parse;
    size_t offset; /* in struct config, or in struct subnet */
    bool is_list;  /* may be given more than once: each adds to the list */
};

static void problem(struct parser *parser, unsigned line, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void problem(struct parser *parser, unsigned line, const char *format, ...)
{
    char text[512], full[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    snprintf(full, sizeof(full), "%.400s:%u: %s", parser->path, line, text);
    parser->report(parser->report_context, full);
    parser->problems++;
}

static const char *copy_text(char *place, size_t size, const char *value)
{
    return str_copy(place, size, value) ? NULL : "is too long";
}

static const char *parse_path(const char *value, void *place)
{
    if (value[0] != '/')
        return "must be an absolute path";
    return copy_text(place, PATH_MAX, value);
}

static const char *parse_socket(const char *value, void *place)
{
    if (value[0] != '/')
        return "must be an absolute path";
    return copy_text(place, sizeof(((struct config *)0)->socket), value);
}

static const char *parse_iqn(const char *value, void *place)
{
    if (!name_is_iqn(value) || strlen(value) > IQN_MAX_LEN - NAME_MAX_LEN - 1)
        return "must look like iqn.2026-11.lan.example (lower case letters, digits, . - :)";
    return copy_text(place, IQN_MAX_LEN + 1, value);
}

static const char *parse_log_level(const char *value, void *place)
{
    static const struct {
        const char *word;
        int level;
    } levels[] = {
        {"error", LOG_ERR}, {"warning", LOG_WARNING}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};
    for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
        if (str_eq(value, levels[i].word)) {
            *(int *)place = levels[i].level;
            return NULL;
        }
    }
    return "must be error, warning, info or debug";
}

static const char *parse_redirect(const char *value, void *place)
{
    return redirect_list_parse(value, place);
}

static const char *parse_listen(const char *value, void *place)
{
    return listen_list_parse(value, place);
}

static const char *parse_user(const char *value, void *place)
{
    return value[0] ? copy_text(place, CREDENTIALS_USER_MAX + 1, value) : "is empty";
}

static const char *parse_unsigned(const char *value, unsigned max, unsigned *ret)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno || n > max)
        return "is not a number in range";
    *ret = (unsigned)n;
    return NULL;
}

static int parse_in_range(const char *value, unsigned min, unsigned max, unsigned *place)
{
    unsigned n;
    if (parse_unsigned(value, max, &n) || n < min)
        return -EINVAL;
    *place = n;
    return 0;
}

static const char *parse_threads(const char *value, void *place)
{
    return parse_unsigned(value, 64, place) ? "must be 0 (one per core) to 64" : NULL;
}

static const char *parse_session_count(const char *value, void *place)
{
    return parse_unsigned(value, 1000000, place) ? "must be 0 (any number) to 1000000" : NULL;
}

static const char *parse_login_count(const char *value, void *place)
{
    return parse_in_range(value, 1, 100000, place) ? "must be 1 to 100000" : NULL;
}

static const char *parse_queue_depth(const char *value, void *place)
{
    return parse_in_range(value, 1, ISCSI_QUEUE_DEPTH_MAX, place) ? "must be 1 to 256" : NULL;
}

static const char *parse_timeout(const char *value, void *place)
{
    return parse_in_range(value, 1, 3600, place) ? "must be 1 to 3600 (seconds)" : NULL;
}

static const char *parse_ping_interval(const char *value, void *place)
{
    return parse_unsigned(value, 3600, place) ? "must be 0 (never) to 3600 (seconds)" : NULL;
}

static const char *parse_menu_timeout(const char *value, void *place)
{
    return parse_unsigned(value, 86400, place) ? "must be 0 (for ever) to 86400 (seconds)" : NULL;
}

static const char *parse_fallback_after(const char *value, void *place)
{
    return parse_unsigned(value, 20, place) ? "must be 0 (never) to 20 (failed boots)" : NULL;
}

static const char *parse_mode(const char *value, void *place)
{
    enum subnet_mode *mode = place;
    if (str_eq(value, "server"))
        *mode = SUBNET_SERVER;
    else if (str_eq(value, "proxy"))
        *mode = SUBNET_PROXY;
    else if (str_eq(value, "off"))
        *mode = SUBNET_OFF;
    else
        return "must be server, proxy or off";
    return NULL;
}

static const char *parse_unknown(const char *value, void *place)
{
    enum subnet_unknown *unknown = place;
    if (str_eq(value, "local"))
        *unknown = SUBNET_LOCAL;
    else if (str_eq(value, "ignore"))
        *unknown = SUBNET_IGNORE;
    else if (str_eq(value, "register"))
        *unknown = SUBNET_REGISTER;
    else
        return "must be local, ignore or register";
    return NULL;
}

static const char *parse_interface(const char *value, void *place)
{
    if (!*value || strpbrk(value, "/ \t\"\\"))
        return "is not an interface name";
    return copy_text(place, IF_NAMESIZE, value);
}

static const char *parse_network(const char *value, void *place)
{
    struct subnet *subnet = place;
    if (ipv4_parse_network(value, &subnet->network, &subnet->mask) < 0)
        return "must be NETWORK/BITS with no bits set behind the mask, such as 10.0.0.0/24";
    return NULL;
}

static const char *add_range(char *word, void *context)
{
    struct subnet *subnet = context;
    char *dash = strchr(word, '-');
    struct address_range range;
    if (subnet->n_ranges == SUBNET_MAX_RANGES)
        return "names more than 8 ranges";
    if (!dash)
        return "must be FIRST-LAST, such as 10.0.0.100-10.0.0.200";
    *dash = '\0';
    if (ipv4_parse(word, &range.first) < 0 || ipv4_parse(dash + 1, &range.last) < 0)
        return "must be FIRST-LAST, such as 10.0.0.100-10.0.0.200";
    if (range.first > range.last)
        return "has its last address before its first";
    subnet->ranges[subnet->n_ranges++] = range;
    return NULL;
}

static const char *parse_range(const char *value, void *place)
{
    return words_each(value, add_range, place);
}

struct address_list {
    uint32_t *addresses;
    size_t *count;
};

static const char *add_address(char *word, void *context)
{
    struct address_list *list = context;
    if (*list->count == SUBNET_MAX_SERVERS)
        return "names more than 4 addresses";
    if (ipv4_parse(word, &list->addresses[*list->count]) < 0)
        return "must be IPv4 addresses, such as 10.0.0.1";
    ++*list->count;
    return NULL;
}

static const char *parse_router(const char *value, void *place)
{
    struct subnet *subnet = place;
    struct address_list list = {subnet->routers, &subnet->n_routers};
    return words_each(value, add_address, &list);
}

static const char *parse_dns(const char *value, void *place)
{
    struct subnet *subnet = place;
    struct address_list list = {subnet->dns, &subnet->n_dns};
    return words_each(value, add_address, &list);
}

static const char *parse_network6(const char *value, void *place)
{
    if (network6_parse(value, place) < 0)
        return "must be PREFIX/BITS, up to /64, with no bits set behind the prefix, such as "
               "2001:db8:1::/64";
    return NULL;
}

static const char *add_dns6(char *word, void *context)
{
    struct subnet *subnet = context;
    if (subnet->n_dns6 == SUBNET_MAX_SERVERS)
        return "names more than 4 addresses";
    if (ipv6_parse(word, &subnet->dns6[subnet->n_dns6]) < 0)
        return "must be IPv6 addresses, such as 2001:db8:1::1";
    subnet->n_dns6++;
    return NULL;
}

static const char *parse_dns6(const char *value, void *place)
{
    return words_each(value, add_dns6, place);
}

static const char *parse_domain(const char *value, void *place)
{
    if (*value && !name_is_domain(value))
        return "is not a domain name";
    return copy_text(place, sizeof(((struct subnet *)0)->domain), value);
}

/* "90", "90s", "15m", "1h", "7d" */
static const char *parse_lease_time(const char *value, void *place)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(value, &end, 10);
    unsigned long unit = 1;
    if (*end == 'm')
        unit = 60;
    else if (*end == 'h')
        unit = 3600;
    else if (*end == 'd')
        unit = 86400;
    if (*value < '0' || *value > '9' || errno || (*end && (!strchr("smhd", *end) || end[1])) ||
        n > 366 * 86400UL || n * unit < 60 || n * unit > 366 * 86400UL)
        return "must be a time from 60s to 366d, such as 1h";
    *(uint32_t *)place = (uint32_t)(n * unit);
    return NULL;
}

static const char *parse_bool(const char *value, void *place)
{
    if (str_eq(value, "yes"))
        *(bool *)place = true;
    else if (str_eq(value, "no"))
        *(bool *)place = false;
    else
        return "must be yes or no";
    return NULL;
}

static const char *parse_size(const char *value, void *place)
{
    uint64_t size;
    if (size_parse(value, &size) < 0 || size == 0)
        return "must be a size above 0, such as 512M or 4G";
    *(uint64_t *)place = size;
    return NULL;
}

static const char *parse_warn_free(const char *value, void *place)
{
    return warn_free_parse(value, place) < 0
               ? "must be a part such as 10%, a size such as 20G, or 0"
               : NULL;
}

/* What routers, name servers and the domain are is said by keys. */
static const char *parse_option(const char *value, void *place)
{
    static const uint8_t with_key[] = {3, 6, 15};
    struct subnet *subnet = place;
    uint8_t buffer[DHCP_OPTION_VALUE_MAX];
    struct dhcp_setting setting, old;
    const char *wrong = dhcp_setting_parse(value, buffer, &setting);
    if (wrong)
        return wrong;
    if (memchr(with_key, setting.code, sizeof(with_key)))
        return "is set by the key `router`, `dns` or `domain`";
    if (dhcp_options_find(&subnet->options, setting.code, &old))
        return "is set twice";
    return dhcp_options_set(&subnet->options, &setting);
}

/* An option that has a key. */
static const char *parse_named_option(const char *name, const char *value, void *place)
{
    char text[DHCP_OPTION_TEXT_MAX + 32];
    int n = snprintf(text, sizeof(text), "%s=%s", name, value);
    return (size_t)n < sizeof(text) ? parse_option(text, place) : "is too long";
}

static const char *parse_mtu(const char *value, void *place)
{
    return parse_named_option("mtu", value, place);
}

static const char *parse_ntp(const char *value, void *place)
{
    return parse_named_option("ntp-servers", value, place);
}

static const char *parse_domain_search(const char *value, void *place)
{
    return parse_named_option("domain-search", value, place);
}

static const char *parse_routes(const char *value, void *place)
{
    return parse_named_option("routes", value, place);
}

static const char *parse_loader(const char *value, void *place)
{
    if (value[0] == '/' || strstr(value, ".."))
        return "must be a file name inside the loaders directory, or nothing";
    if (strpbrk(value, "\"\\,")) /* other servers' configurations could not have it */
        return "must not have quotes, backslashes or commas";
    return copy_text(place, LOADER_MAX_LEN + 1, value);
}

#define SERVER(field) offsetof(struct config, field)
#define LIMIT(field)  SERVER(iscsi_limits.field)
#define CHAP(field)   SERVER(discovery_chap.field)
#define SUBNET(field) offsetof(struct subnet, field)
#define LOADER(which) SUBNET(loaders[LOADER_##which])

static const struct key keys[] = {
    {"server", "state-directory", parse_path, SERVER(state_directory)},
    {"server", "socket", parse_socket, SERVER(socket)},
    {"server", "base-iqn", parse_iqn, SERVER(base_iqn)},
    {"server", "log-level", parse_log_level, SERVER(log_level)},
    {"storage", "warn-free", parse_warn_free, SERVER(warn_free)},
    {"boot", "direct", config_parse_direct, SERVER(boot_ways.direct)},
    {"boot", "ibft-origin", config_parse_ibft_origin, SERVER(boot_ways.ibft_origin)},
    {"boot", "chap-rotation", config_parse_chap_rotation, SERVER(boot_ways.chap_rotation)},
    {"boot", "menu-timeout", parse_menu_timeout, SERVER(menu_timeout)},
    {"boot", "menu-snapshots", parse_bool, SERVER(menu_snapshots)},
    {"boot", "fallback-after", parse_fallback_after, SERVER(fallback_after)},
    {"boot", "memtest", parse_path, SERVER(memtest)},
    {"images", "warm-up", parse_bool, SERVER(warm_up)},
    {"images", "warm-up-limit", parse_size, SERVER(warm_limit)},
    {"iscsi", "listen", parse_listen, SERVER(iscsi), true},
    {"iscsi", "threads", parse_threads, SERVER(iscsi_threads)},
    {"iscsi", "redirect", parse_redirect, SERVER(redirects), true},
    {"iscsi", "discovery-chap-user", parse_user, CHAP(user)},
    {"iscsi", "discovery-chap-secret-file", parse_path, CHAP(secret_file)},
    {"iscsi", "discovery-chap-target-user", parse_user, CHAP(target_user)},
    {"iscsi", "discovery-chap-target-secret-file", parse_path, CHAP(target_secret_file)},
    {"iscsi", "max-sessions", parse_session_count, LIMIT(sessions)},
    {"iscsi", "max-sessions-per-volume", parse_session_count, LIMIT(sessions_per_target)},
    {"iscsi", "max-logins", parse_login_count, LIMIT(logins)},
    {"iscsi", "login-timeout", parse_timeout, LIMIT(login_seconds)},
    {"iscsi", "queue-depth", parse_queue_depth, LIMIT(queue_depth)},
    {"iscsi", "ping-interval", parse_ping_interval, LIMIT(ping_seconds)},
    {"iscsi", "ping-timeout", parse_timeout, LIMIT(ping_timeout)},
    {"http", "listen", parse_listen, SERVER(http), true},
    {"tftp", "listen", parse_listen, SERVER(tftp), true},
    {"tftp", "loaders", parse_path, SERVER(loaders)},
    {"scripts", "directory", parse_path, SERVER(scripts)},
    {"scripts", "boot", parse_bool, SERVER(boot_by_scripts)},
    {"subnet", "mode", parse_mode, SUBNET(mode)},
    {"subnet", "unknown", parse_unknown, SUBNET(unknown)},
    {"subnet", "interface", parse_interface, SUBNET(interface)},
    {"subnet", "network", parse_network, 0},
    {"subnet", "range", parse_range, 0, true},
    {"subnet", "router", parse_router, 0, true},
    {"subnet", "dns", parse_dns, 0, true},
    {"subnet", "network6", parse_network6, SUBNET(network6)},
    {"subnet", "dns6", parse_dns6, 0, true},
    {"subnet", "domain", parse_domain, SUBNET(domain)},
    {"subnet", "domain-search", parse_domain_search, 0},
    {"subnet", "ntp", parse_ntp, 0},
    {"subnet", "mtu", parse_mtu, 0},
    {"subnet", "routes", parse_routes, 0},
    {"subnet", "option", parse_option, 0, true},
    {"subnet", "lease-time", parse_lease_time, SUBNET(lease_time)},
    {"subnet", "conflict-detection", parse_bool, SUBNET(conflict_detection)},
    {"subnet", "router-advertisement", parse_bool, SUBNET(router_advertisement)},
    {"subnet", "loader-bios", parse_loader, LOADER(BIOS)},
    {"subnet", "loader-uefi-ia32", parse_loader, LOADER(UEFI_IA32)},
    {"subnet", "loader-uefi-x64", parse_loader, LOADER(UEFI_X64)},
    {"subnet", "loader-uefi-arm32", parse_loader, LOADER(UEFI_ARM32)},
    {"subnet", "loader-uefi-arm64", parse_loader, LOADER(UEFI_ARM64)},
    {"subnet", "loader-uefi-riscv32", parse_loader, LOADER(UEFI_RISCV32)},
    {"subnet", "loader-uefi-riscv64", parse_loader, LOADER(UEFI_RISCV64)},
    {"subnet", "loader-uefi-loongarch32", parse_loader, LOADER(UEFI_LOONGARCH32)},
    {"subnet", "loader-uefi-loongarch64", parse_loader, LOADER(UEFI_LOONGARCH64)},
};

_Static_assert(ARRAY_SIZE(keys) <= MAX_KEYS, "all are in parser.seen");

static int subnet_init(struct subnet *subnet, const char *name)
{
    *subnet = (struct subnet){
        .lease_time = 3600, .conflict_detection = true, .router_advertisement = true};
    for (enum dhcp_loader i = 0; i < DHCP_LOADERS; i++)
        str_copy(subnet->loaders[i], sizeof(subnet->loaders[i]), dhcp_loader_kind(i)->file);
    return str_copy(subnet->name, sizeof(subnet->name), name) ? 0 : -ENAMETOOLONG;
}

/* The subnet of this name, made on its first mention; NULL (told) if it cannot be. */
static struct subnet *find_or_add_subnet(struct parser *parser, const char *name)
{
    struct config *config = parser->config;
    for (size_t i = 0; i < config->n_subnets; i++)
        if (str_eq(config->subnets[i].name, name))
            return &config->subnets[i];
    if (!name_is_object(name) || config->n_subnets == CONFIG_MAX_SUBNETS) {
        problem(parser, parser->line,
                config->n_subnets == CONFIG_MAX_SUBNETS
                    ? "[subnet %s]: more than 64 subnets"
                    : "[subnet %s]: a subnet's name has lower case letters, digits, . and -",
                name);
        return NULL;
    }
    struct subnet *subnet = &config->subnets[config->n_subnets];
    if (subnet_init(subnet, name) < 0)
        return NULL;
    parser->subnet_line[config->n_subnets++] = parser->line;
    return subnet;
}

static const struct key *find_key(const char *section, const char *name, bool *ret_known_section)
{
    *ret_known_section = false;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (!str_eq(keys[i].section, section))
            continue;
        *ret_known_section = true;
        if (str_eq(keys[i].name, name))
            return &keys[i];
    }
    return NULL;
}

/* Marks the key of this section as set; true if it was already. base: the struct that it is in. */
static bool mark_seen(struct parser *parser, const struct key *key, const void *base)
{
    const struct subnet *subnets = parser->config->subnets;
    size_t which = base == parser->config ? CONFIG_MAX_SUBNETS
                                          : (size_t)((const struct subnet *)base - subnets);
    bool seen = parser->seen[which][key - keys];
    parser->seen[which][key - keys] = true;
    return seen;
}

static void take_rule_key(struct parser *parser, const char *section, const char *name,
                          const char *value)
{
    struct error error;
    if (config_rules_take(parser->config, section, parser->line, name, value, &error) < 0)
        problem(parser, parser->line, "%s", error.text);
}

static void report_rule(void *context, unsigned line, const char *text)
{
    problem(context, line, "%s", text);
}

/* Of sections that look after themselves. False: it is none. */
static bool take_own_key(struct parser *parser, const char *section, const char *name,
                         const char *value)
{
    bool known;
    const char *wrong;
    if (str_eq(section, "hooks"))
        wrong = hook_config_take(&parser->config->hooks, name, value, &known);
    else if (str_eq(section, "https"))
        wrong = https_config_take(&parser->config->https, name, value, &known);
    else
        return false;
    if (!known)
        problem(parser, parser->line, "[%s] %s: no such key", section, name);
    else if (wrong)
        problem(parser, parser->line, "[%s] %s: '%s' %s", section, name, value, wrong);
    return true;
}

/* inih's callback for each "key = value"; what it returns is ignored: problems are counted. */
static int handle_key(void *user, const char *section, const char *name, const char *value)
{
    struct parser *parser = user;
    bool is_subnet = str_has_prefix(section, "subnet ");
    if (config_rules_has(section)) {
        take_rule_key(parser, section, name, value);
        return 1;
    }
    if (take_own_key(parser, section, name, value))
        return 1;
    bool known_section;
    const struct key *key = find_key(is_subnet ? "subnet" : section, name, &known_section);
    if (!known_section || (str_eq(section, "subnet"))) {
        problem(parser, parser->line,
                "[%s]: no such section; there are [server], [storage], [images], [boot], [iscsi], "
                "[http], [https], [tftp], [hooks], [subnet NAME], [adopt NAME] and [rule NAME]",
                section);
        return 1;
    }
    void *base = parser->config;
    if (is_subnet) {
        base = find_or_add_subnet(parser, section + strlen("subnet "));
        if (!base)
            return 1;
    }
    if (!key) {
        problem(parser, parser->line, "[%s] %s: no such key", section, name);
        return 1;
    }
    void *place = (char *)base + key->offset;
    bool again = mark_seen(parser, key, base);
    if (again && !key->is_list) {
        problem(parser, parser->line, "[%s] %s: is set twice", section, name);
        return 1;
    }
    if (!again && key->parse == parse_listen)
        ((struct listen_list *)place)->count = 0; /* replaces the default */
    const char *wrong = key->parse(value, place);
    if (wrong)
        problem(parser, parser->line, "[%s] %s: '%s' %s", section, name, value, wrong);
    return 1;
}

struct line_source {
    FILE *file;
    struct parser *parser;
};

/* inih does not tell its callback the line: count where it reads. */
static char *read_line(char *buffer, int size, void *stream)
{
    struct line_source *source = stream;
    char *line = fgets(buffer, size, source->file);
    if (!line)
        return NULL;
    source->parser->line++;
    if (!strchr(line, '\n') && !feof(source->file)) {
        problem(source->parser, source->parser->line, "is longer than %d characters", size - 2);
        for (int c = 0; c != '\n' && c != EOF;)
            c = fgetc(source->file);
    }
    return line;
}

static bool in_network(const struct subnet *subnet, uint32_t address)
{
    return (address & subnet->mask) == subnet->network && address != subnet->network &&
           address != (subnet->network | ~subnet->mask);
}

/* A value that is wrong was told already where it stands. */
static void check_is_set(struct parser *parser, size_t subnet, const char *name, const char *advice)
{
    bool known;
    const struct key *key = find_key("subnet", name, &known);
    if (!(parser->seen[subnet][key - keys]))
        problem(parser, parser->subnet_line[subnet], "[subnet %s] %s: is not set; %s",
                parser->config->subnets[subnet].name, name, advice);
}

static void check_subnet(struct parser *parser, size_t number)
{
    const struct subnet *subnet = &parser->config->subnets[number];
    unsigned line = parser->subnet_line[number];
    char text[IPV4_TEXT_SIZE];
    check_is_set(parser, number, "interface", "name the network interface");
    check_is_set(parser, number, "network", "set it as in 10.0.0.0/24");
    if (subnet->n_dns6)
        check_is_set(parser, number, "network6", "without it, dns6 is of no use");
    if (!subnet->mask)
        return;
    for (size_t i = 0; i < subnet->n_ranges; i++) {
        const struct address_range *range = &subnet->ranges[i];
        uint32_t outside = !in_network(subnet, range->first) ? range->first : range->last;
        if (!in_network(subnet, outside))
            problem(parser, line, "[subnet %s] range: %s is not a host address of the network",
                    subnet->name, ipv4_format(outside, text));
    }
    for (size_t i = 0; i < subnet->n_routers; i++)
        if (!in_network(subnet, subnet->routers[i]))
            problem(parser, line, "[subnet %s] router: %s is not a host address of the network",
                    subnet->name, ipv4_format(subnet->routers[i], text));
}

static void check_subnets(struct parser *parser)
{
    const struct config *config = parser->config;
    for (size_t i = 0; i < config->n_subnets; i++) {
        const struct subnet *subnet = &config->subnets[i];
        check_subnet(parser, i);
        for (size_t k = 0; k < i; k++) {
            const struct subnet *other = &config->subnets[k];
            uint32_t mask = subnet->mask & other->mask;
            if (mask && (subnet->network & mask) == (other->network & mask))
                problem(parser, parser->subnet_line[i],
                        "[subnet %s] network: overlaps that of [subnet %s]", subnet->name,
                        other->name);
            if (network6_overlaps(&subnet->network6, &other->network6))
                problem(parser, parser->subnet_line[i],
                        "[subnet %s] network6: overlaps that of [subnet %s]", subnet->name,
                        other->name);
        }
    }
}

/* A name and its secret go together, and the target proves itself only to who has done so. */
static void check_discovery_chap(struct parser *parser)
{
    const struct discovery_chap *c = &parser->config->discovery_chap;
    if (!c->user[0] != !c->secret_file[0] || !c->target_user[0] != !c->target_secret_file[0])
        problem(parser, parser->line,
                "[iscsi] discovery-chap: set the user together with its secret-file");
    if (c->target_user[0] && !c->user[0])
        problem(parser, parser->line,
                "[iscsi] discovery-chap-target-user: needs discovery-chap-user, too");
}

static void check_https(struct parser *parser)
{
    const char *wrong = https_config_check(&parser->config->https, &parser->config->http);
    if (wrong)
        problem(parser, parser->line, "[https] %s", wrong);
}

static void set_default_listen(struct listen_list *list, const char *text)
{
    const char *wrong = parse_listen(text, list);
    (void)wrong; /* our own constants */
}

/* Where nothing is said, IPv6 is served if there is anybody to be served. */
static void listen_on_ipv6(struct parser *parser)
{
    static const struct {
        const char *section;
        const char *listen;
    } services[] = {{"iscsi", "[::]:3260"}, {"http", "[::]:80"}, {"tftp", "[::]:69"}};
    bool served = false, known;
    for (size_t i = 0; i < parser->config->n_subnets; i++)
        served |= parser->config->subnets[i].network6.bits > 0;
    for (size_t i = 0; served && i < ARRAY_SIZE(services); i++) {
        const struct key *key = find_key(services[i].section, "listen", &known);
        if (!(parser->seen[CONFIG_MAX_SUBNETS][key - keys]))
            set_default_listen((void *)((char *)parser->config + key->offset), services[i].listen);
    }
}

int config_init(struct config *ret_config)
{
    struct config config = {.log_level = LOG_INFO,
                            .warn_free = WARN_FREE_DEFAULT,
                            .boot_ways = {DIRECT_YES, IBFT_ORIGIN_MANUAL, CHAP_ROTATION_MANUAL},
                            .menu_timeout = 30,
                            .fallback_after = 3,
                            .iscsi_limits = ISCSI_DEFAULT_LIMITS,
                            .https = HTTPS_CONFIG_DEFAULT,
                            .hooks = HOOK_CONFIG_DEFAULT};
    config.subnets = calloc(CONFIG_MAX_SUBNETS, sizeof(*config.subnets));
    config.adopt = calloc(1, sizeof(*config.adopt));
    config.policy = policy_new();
    if (!config.subnets || !config.adopt || !config.policy) {
        config_free(&config);
        return -ENOMEM;
    }
    str_copy(config.state_directory, sizeof(config.state_directory), "/var/lib/nodisk");
    str_copy(config.socket, sizeof(config.socket), "/run/nodisk/nodisk.sock");
    str_copy(config.base_iqn, sizeof(config.base_iqn), "iqn.2026-11.lan.example");
    str_copy(config.scripts, sizeof(config.scripts), "/etc/nodisk/scripts");
    str_copy(config.loaders, sizeof(config.loaders), "/usr/lib/ipxe");
    str_copy(config.memtest, sizeof(config.memtest), "/boot");
    set_default_listen(&config.iscsi, "0.0.0.0:3260");
    set_default_listen(&config.http, "0.0.0.0:80");
    set_default_listen(&config.tftp, "0.0.0.0:69");
    *ret_config = config;
    return 0;
}

void config_free(struct config *config)
{
    free(config->subnets);
    free(config->adopt);
    policy_unref(config->policy);
    config->policy = NULL;
    config->subnets = NULL;
    config->adopt = NULL;
}

static int parse_file(struct parser *parser, FILE *file)
{
    struct line_source source = {.file = file, .parser = parser};
    int r = ini_parse_stream(read_line, &source, handle_key, parser);
    if (r == -2)
        return -ENOMEM;
    if (r > 0)
        problem(parser, (unsigned)r, "is neither [section] nor key = value");
    check_subnets(parser);
    listen_on_ipv6(parser);
    config_rules_check(parser->config, report_rule, parser);
    check_discovery_chap(parser);
    check_https(parser);
    struct config *config = parser->config;
    str_copy(config->hooks.socket, sizeof(config->hooks.socket), config->socket);
    return parser->problems ? -EINVAL : 0;
}

int config_read(const char *path, config_report *report, void *context, struct config *ret_config)
{
    cleanup_fclose FILE *file = fopen(path, "re");
    if (!file) {
        int r = -errno;
        char text[PATH_MAX + 128];
        snprintf(text, sizeof(text), "%s: cannot be read: %s", path, strerror(-r));
        report(context, text);
        return r;
    }
    struct config config;
    int r = config_init(&config);
    if (r < 0)
        return r;
    struct parser parser = {
        .path = path, .report = report, .report_context = context, .config = &config};
    r = parse_file(&parser, file);
    if (r < 0) {
        config_free(&config);
        return r;
    }
    *ret_config = config;
    return 0;
}
