/* nodisk node add | list | show | set | remove */
#include "cli/pending.h"
#include "cli/power.h"
#include "cli/wake.h"
#include "core/boot_ways.h"
#include "core/credentials.h"
#include "core/wake.h"

static bool is_mac(const char *word)
{
    struct mac_address mac;
    return mac_parse(word, &mac) == 0;
}

/* Of a node that is made, whoever it is made of. */
#define NEW_NODE_OPTIONS                                                                           \
    {"address", "IPV4", "always this address; otherwise one of the pool"},                         \
        {"image", "IMAGE[@N]",                                                                     \
         "a disk of its own over this image (the latest, or version N for good)"},                 \
        {"volume", "VOLUME", "this volume, which exists already, as its disk"},                    \
        {"group", "GROUP", "which must exist (nodisk group add)"},                                 \
        {"chap", "none|one-way|mutual",                                                            \
         "with what it logs in: secrets that the daemon makes, or none"},                          \
        {"wake-password", "PASSWORD",                                                              \
         "six bytes that its cards want before they wake it (SecureOn)"},                          \
        {"option", "NAME=VALUE", "a DHCP option, such as mtu=9000 or 224=hex:0a0b", true},         \
        {"direct", "yes|no|default",                                                               \
         "whether it fetches its kernel over HTTP; default: as [boot] says"},                      \
        {"ibft-origin", "manual|dhcp|default",                                                     \
         "whether its system keeps the address or renews its lease; default: as [boot] says"},     \
    {                                                                                              \
        "chap-rotation", "boot|manual|default",                                                    \
            "whether each boot has CHAP secrets of its own; default: as [boot] says"               \
    }

static bool is_path(const char *word)
{
    char mac[MAC_TEXT_SIZE];
    uint32_t address;
    const char *sign = strchr(word, '=');
    if (!sign || (size_t)(sign - word) >= sizeof(mac))
        return false;
    memcpy(mac, word, (size_t)(sign - word));
    mac[sign - word] = '\0';
    return is_mac(mac) && ipv4_parse(sign + 1, &address) == 0;
}

static const struct cli_option add_options[] = {
    {"mac", "MAC", "of its network card; several for several cards", true, is_mac},
    {"path", "MAC=IPV4",
     "the address of a further card, in another subnet: another way to its disk", true},
    NEW_NODE_OPTIONS,
};

static const struct cli_option adopt_options[] = {
    PENDING_MATCH_OPTIONS,
    NEW_NODE_OPTIONS,
};

static const struct cli_option list_options[] = {
    {"pending", NULL, "machines that boot here and wait to become nodes"},
};

static const struct cli_option set_options[] = {
    {"mac", "MAC", "these instead of the ones it has", true, is_mac},
    {"address", "IPV4|none", "this address, or one of the pool"},
    {"path", "MAC=IPV4|none", "these further cards lead to its disk, or none", true},
    {"image", "IMAGE[@N]", "a new disk of its own, if it has none of its name"},
    {"volume", "VOLUME|none", "another disk, or none"},
    {"group", "GROUP|none", "another group, or none"},
    {"chap", "none|one-way|mutual", "with what it logs in from its next login on"},
    {"chap-rotate", NULL, "makes its secrets anew, once, now"},
    {"wake-password", "PASSWORD|none", "another one for Wake-on-LAN, or none"},
    CLI_OPTION_OPTIONS,
    {"direct", "yes|no|default",
     "whether it fetches its kernel over HTTP; default: as [boot] says"},
    {"ibft-origin", "manual|dhcp|default",
     "whether its system keeps the address or renews its lease; default: as [boot] says"},
    {"chap-rotation", "boot|manual|default",
     "whether each boot has CHAP secrets of its own; default: as [boot] says"},
    CLI_BMC_OPTIONS,
};

static const struct cli_option remove_options[] = {
    {"with-volume", NULL, "its volume, too, with all that is on it"},
};

/* "none" is null in the API. */
static void set_text(const struct args *args, json_t *body, const char *option, bool may_be_none)
{
    const char *value = args_value(args, option);
    if (!value)
        return;
    bool none = may_be_none && str_eq(value, "none");
    json_object_set_new(body, option, none ? json_null() : json_string(value));
}

static int check_chap(const struct args *args)
{
    enum chap_mode mode;
    struct error error;
    const char *word = args_value(args, "chap");
    if (!word || chap_mode_parse(word, &mode, &error) == 0)
        return CLI_OK;
    return cli_bad_value("chap", word, "must be none, one-way or mutual");
}

static int check_wake_password(const struct args *args)
{
    struct wake_password password;
    const char *text = args_value(args, "wake-password");
    if (!text || str_eq(text, "none") || wake_password_parse(text, &password) == 0)
        return CLI_OK;
    return cli_bad_value("wake-password", text, "must be six bytes such as 01:23:45:67:89:ab");
}

static int check_ways(const struct args *args)
{
    struct boot_ways ways;
    struct error error;
    const char *direct = args_value(args, "direct"), *origin = args_value(args, "ibft-origin");
    if (direct && direct_way_parse(direct, &ways.direct, &error) < 0)
        return cli_bad_value("direct", direct, "must be yes, no or default");
    if (origin && ibft_origin_parse(origin, &ways.ibft_origin, &error) < 0)
        return cli_bad_value("ibft-origin", origin, "must be manual, dhcp or default");
    const char *rotation = args_value(args, "chap-rotation");
    if (rotation && chap_rotation_parse(rotation, &ways.chap_rotation, &error) < 0)
        return cli_bad_value("chap-rotation", rotation, "must be boot, manual or default");
    return CLI_OK;
}

static bool no_paths(const struct args *args)
{
    return str_eq(args_value(args, "path"), "none");
}

static int check_paths(const struct args *args)
{
    json_t *paths = cli_values(args, "path"), *path;
    size_t i;
    int r = CLI_OK;
    json_array_foreach(paths, i, path)
    {
        const char *value = json_string_value(path);
        if (r == CLI_OK && !no_paths(args) && !is_path(value))
            r = cli_bad_value("path", value,
                              "is not a card's MAC and its address, such as "
                              "52:54:00:12:34:57=10.1.0.11");
    }
    json_decref(paths);
    return r;
}

static int check_values(const struct args *args)
{
    uint32_t address;
    const char *text = args_value(args, "address");
    json_t *macs = cli_values(args, "mac"), *mac;
    size_t i;
    int r = CLI_OK;
    if (text && !str_eq(text, "none") && ipv4_parse(text, &address) < 0)
        r = cli_bad_value("address", text, "is not an IPv4 address such as 10.0.0.11");
    json_array_foreach(macs, i, mac)
    {
        const char *value = json_string_value(mac);
        if (r == CLI_OK && !is_mac(value))
            r = cli_bad_value("mac", value, "is not a machine's address such as 52:54:00:12:34:56");
    }
    json_decref(macs);
    if (r == CLI_OK)
        r = check_paths(args);
    if (r == CLI_OK)
        r = check_chap(args);
    if (r == CLI_OK)
        r = check_wake_password(args);
    return r == CLI_OK ? check_ways(args) : r;
}

static json_t *body_of(const struct args *args, bool may_be_none)
{
    json_t *body = json_object();
    if (args_given(args, "mac"))
        json_object_set_new(body, "macs", cli_values(args, "mac"));
    if (args_given(args, "path"))
        json_object_set_new(body, "paths",
                            no_paths(args) ? json_array() : cli_values(args, "path"));
    set_text(args, body, "address", may_be_none);
    set_text(args, body, "image", false);
    set_text(args, body, "volume", may_be_none);
    set_text(args, body, "group", may_be_none);
    set_text(args, body, "chap", false);
    const char *password = args_value(args, "wake-password");
    if (password)
        json_object_set_new(body, "wake_password",
                            str_eq(password, "none") ? json_null() : json_string(password));
    set_text(args, body, "direct", false);
    if (args_given(args, "ibft-origin"))
        json_object_set_new(body, "ibft_origin", json_string(args_value(args, "ibft-origin")));
    if (args_given(args, "chap-rotation"))
        json_object_set_new(body, "chap_rotation", json_string(args_value(args, "chap-rotation")));
    if (args_given(args, "chap-rotate"))
        json_object_set_new(body, "chap_rotate", json_true());
    cli_set_options(args, body);
    return body;
}

static int add(const struct cli *cli, const struct args *args)
{
    json_t *json;
    if (!args_given(args, "mac")) {
        fprintf(stderr, "nodisk: give the node's mac with --mac\n");
        return CLI_USAGE;
    }
    int r = check_values(args);
    if (r != CLI_OK)
        return r;
    json_t *body = body_of(args, false);
    json_object_set_new(body, "name", json_string(args->words[0]));
    r = cli_ask(cli, "POST", "/v1/nodes", body, NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "node %s is registered\n", args->words[0]);
}

static int adopt(const struct cli *cli, const struct args *args)
{
    int r = check_values(args);
    return r == CLI_OK ? cli_adopt(cli, args, body_of(args, false)) : r;
}

static int set(const struct cli *cli, const struct args *args)
{
    json_t *json;
    int r = check_values(args);
    bool bmc = cli_bmc_given(args);
    if (r != CLI_OK)
        return r;
    json_t *body = body_of(args, true);
    if (json_object_size(body) == 0 && !bmc) {
        json_decref(body);
        fprintf(stderr, "nodisk: say what to change; see: nodisk node set --help\n");
        return CLI_USAGE;
    }
    cleanup_free char *path = cli_path("/v1/nodes", args->words[0]);
    bool only_bmc = json_object_size(body) == 0;
    if (bmc)
        r = cli_bmc_set(cli, args, args->words[0]);
    if (r == CLI_OK && !only_bmc)
        r = cli_ask(cli, "PATCH", path, body, NULL, &json);
    else
        json_decref(body);
    if (r == CLI_OK && only_bmc)
        r = cli_ask(cli, "GET", path, NULL, NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "node %s is changed\n", args->words[0]);
}

static void add_row(struct table *table, const json_t *node)
{
    cleanup_free char *macs = cli_join(json_object_get(node, "macs"));
    cleanup_free char *address = cli_node_address(node);
    table_add(table, print_text(node, "name"));
    table_add(table, macs);
    table_add(table, address);
    table_add(table, print_text(node, "group"));
    table_add(table, print_text(node, "image"));
    table_add(table, print_text(node, "volume"));
    table_add(table, print_text(node, "volume_state"));
}

static void print_nodes(const json_t *answer)
{
    static const char *const headings[] = {"NODE",  "MAC",    "ADDRESS", "GROUP",
                                           "IMAGE", "VOLUME", "DISK",    NULL};
    table_print_all(headings, json_object_get(answer, "nodes"), add_row,
                    "no nodes yet; add one: nodisk node add NAME --mac MAC --image IMAGE");
}

static int list(const struct cli *cli, const struct args *args)
{
    if (args_given(args, "pending"))
        return cli_list_pending(cli);
    return cli_show(cli, "/v1/nodes", print_nodes);
}

static void print_boots(const json_t *boots)
{
    size_t i, k;
    json_t *boot, *stage;
    char text[AGE_TEXT_SIZE];
    json_array_foreach(boots, i, boot)
    {
        uint64_t started = print_number(boot, "started_at");
        printf("\nboot of %s (%s)\n", print_time(started, text), print_text(boot, "mac"));
        json_array_foreach(json_object_get(boot, "stages"), k, stage)
        {
            double after = (double)(int64_t)(print_number(stage, "at") - started) / 1e6;
            const char *detail = print_text(stage, "detail");
            printf("  %8.1f s  %s%s%s\n", after, print_text(stage, "stage"),
                   detail && *detail ? "  " : "", detail ? detail : "");
        }
    }
}

static void print_attachments(const json_t *attachments)
{
    size_t i;
    json_t *a;
    json_array_foreach(attachments, i, a)
    {
        char name[16];
        snprintf(name, sizeof(name), "LUN %u", (unsigned)print_number(a, "lun"));
        print_field(name, print_text(a, "volume"));
    }
}

/* Of a node with CHAP: when its secrets change, and which hold. */
static void print_secrets(const json_t *node)
{
    char text[AGE_TEXT_SIZE], line[64];
    uint64_t since = print_number(node, "chap_since"), older = print_number(node, "chap_older");
    bool own = !str_eq(print_text(node, "chap_rotation"), "default");
    if (str_eq(print_text(node, "chap"), "none") && !own)
        return;
    snprintf(line, sizeof(line), "%s%s",
             json_is_true(json_object_get(node, "chap_rotates")) ? "at each boot" : "by hand",
             own ? "" : " (as [boot] says)");
    print_field("chap rotates", line);
    if (str_eq(print_text(node, "chap"), "none"))
        return;
    print_field("chap since", since ? print_time(since, text) : "not known");
    print_field("chap older",
                older ? "still valid, until its system runs with the new ones" : "not valid");
}

static void print_node(const json_t *node)
{
    char text[AGE_TEXT_SIZE];
    cleanup_free char *macs = cli_join(json_object_get(node, "macs"));
    cleanup_free char *address = cli_node_address(node);
    cleanup_free char *paths = cli_join(json_object_get(node, "paths"));
    cleanup_free char *addresses6 = cli_join(json_object_get(node, "addresses6"));
    print_field("node", print_text(node, "name"));
    print_field("mac", macs);
    print_field("address", address);
    if (*addresses6)
        print_field("ipv6", addresses6);
    if (*paths)
        print_field("paths", paths);
    print_field("group", print_text(node, "group"));
    print_field("initiator", print_text(node, "initiator"));
    print_field("volume", print_text(node, "volume"));
    print_field("disk", print_text(node, "volume_state"));
    if (print_text(node, "volume_failure"))
        print_field("failure", print_text(node, "volume_failure"));
    print_field("image", print_text(node, "image"));
    if (print_text(node, "elsewhere"))
        print_field("elsewhere", print_text(node, "elsewhere"));
    print_attachments(json_object_get(node, "attachments"));
    print_field("chap", print_text(node, "chap"));
    print_secrets(node);
    if (json_is_true(json_object_get(node, "wake_password_set")))
        print_field("wake", "with a password");
    if (print_text(json_object_get(node, "bmc"), "address"))
        print_field("bmc", print_text(json_object_get(node, "bmc"), "address"));
    cli_print_options(json_object_get(node, "options"));
    print_field("direct", print_text(node, "direct"));
    print_field("ibft origin", print_text(node, "ibft_origin"));
    print_field("added", print_time(print_number(node, "created_at"), text));
    cli_print_boot_plan(json_object_get(node, "boot_plan"));
    print_boots(json_object_get(node, "boots"));
}

static int show(const struct cli *cli, const struct args *args)
{
    cleanup_free char *path = cli_path("/v1/nodes", args->words[0]);
    return cli_show(cli, path, print_node);
}

static int remove_node(const struct cli *cli, const struct args *args)
{
    json_t *json;
    cleanup_free char *path = cli_path("/v1/nodes", args->words[0]);
    cleanup_free char *full = NULL;
    bool with = args_given(args, "with-volume");
    if (asprintf(&full, "%s%s", path, with ? "?with-volume=true" : "") < 0)
        abort();
    int r = cli_ask(cli, "DELETE", full, NULL, NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json,
                    with ? "node %s and its volume are removed\n" : "node %s is removed\n",
                    args->words[0]);
}

static const struct cli_verb verbs[] = {
    {"add", "NAME", 1, "Registers a machine by its MAC and gives it a disk", add_options,
     ARRAY_SIZE(add_options),
     "NAME becomes its host name. With --image the node is registered at once and its disk, a\n"
     "volume named like the node, is copied while you watch.\n"
     "\n"
     "  nodisk node add web1 --mac 52:54:00:12:34:56 --image debian12 --address 10.0.0.11\n",
     add},
    {"adopt", "[MAC] NAME", 1, "Makes a machine that waits a node, which then boots by itself",
     adopt_options, ARRAY_SIZE(adopt_options),
     "With --all, or with what its MAC, subnet, maker or product is like, all that wait and are "
     "so:\n"
     "NAME then has a part that differs, such as %{number}, %{number:02}, %{mac} or %{serial}.\n"
     "\n"
     "  nodisk node adopt 52:54:00:12:34:56 web1 --image debian12\n"
     "  nodisk node adopt --all 'web-%{number:02}' --image debian12\n",
     adopt, 1},
    {"forget", "MAC", 1, "Forgets a machine that waits", NULL, 0, NULL, cli_forget},
    {"list", "", 0, "All nodes", list_options, ARRAY_SIZE(list_options), NULL, list},
    {"show", "NAME", 1, "One node with its last boots", NULL, 0, NULL, show},
    {"set", "NAME", 1, "Changes what a node has", set_options, ARRAY_SIZE(set_options), NULL, set},
    {"power", "[NODE...] status|on|off|soft|reset|cycle", 1,
     "Asks for the power of machines, or switches it", cli_power_options, CLI_N_POWER_OPTIONS,
     "By a hook, for what `nodisk node set NODE --bmc` says: see nodisk-hooks(7). off, reset and "
     "cycle\n"
     "are as if the plug were pulled; soft asks the system to shut down.\n"
     "\n"
     "  nodisk node power web1 status\n"
     "  nodisk node power --group rack1 cycle --interval 5s\n",
     cli_power, ARGS_MAX_WORDS},
    {"remove", "NAME", 1, "Forgets a node that is down; its volume stays unless you say otherwise",
     remove_options, ARRAY_SIZE(remove_options), NULL, remove_node},
};

const struct cli_noun cli_node = {"node",         "Machines: their MACs, addresses and disks",
                                  verbs,          ARRAY_SIZE(verbs),
                                  cli_wake_verbs, CLI_N_WAKE_VERBS};
