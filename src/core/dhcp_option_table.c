#include "core/dhcp_option_table.h"

#define OWN(code, name, why)                                                                       \
    {                                                                                              \
        code, name, DHCP_TYPE_HEX, .refused = (why)                                                \
    }

#define BY_SERVER "is the server's own to set"
#define BY_CLIENT "is a client's to send"
#define BY_BOOT   "says how a machine boots, which the server finds out for each"

static const struct dhcp_option_kind kinds[] = {
    OWN(0, "pad", BY_SERVER),
    OWN(1, "subnet-mask", "follows from `network` of the subnet"),
    {2, "time-offset", DHCP_TYPE_I32},
    {3, "routers", DHCP_TYPE_ADDRESSES, {"router"}},
    {4, "time-servers", DHCP_TYPE_ADDRESSES, {"time-server"}},
    {5, "ien116-name-servers", DHCP_TYPE_ADDRESSES},
    {6, "dns-servers", DHCP_TYPE_ADDRESSES, {"dns-server", "domain-name-servers"}},
    {7, "log-servers", DHCP_TYPE_ADDRESSES, {"log-server"}},
    {8, "cookie-servers", DHCP_TYPE_ADDRESSES},
    {9, "lpr-servers", DHCP_TYPE_ADDRESSES, {"lpr-server"}},
    {10, "impress-servers", DHCP_TYPE_ADDRESSES},
    {11, "resource-location-servers", DHCP_TYPE_ADDRESSES},
    OWN(12, "host-name", "is the node's name"),
    {13, "boot-size", DHCP_TYPE_U16, {"boot-file-size"}},
    {14, "merit-dump", DHCP_TYPE_TEXT},
    {15, "domain-name", DHCP_TYPE_DOMAIN, {"domain"}},
    {16, "swap-server", DHCP_TYPE_ADDRESS},
    {17, "root-path", DHCP_TYPE_TEXT},
    {18, "extensions-path", DHCP_TYPE_TEXT, {"extension-path"}},
    {19, "ip-forwarding", DHCP_TYPE_BOOL, {"ip-forward-enable"}},
    {20, "non-local-source-routing", DHCP_TYPE_BOOL, {"non-local-source-route-enable"}},
    {22, "max-dgram-reassembly", DHCP_TYPE_U16, {"max-datagram-reassembly"}},
    {23, "default-ip-ttl", DHCP_TYPE_U8, {"default-ttl"}, .min = 1},
    {24, "path-mtu-aging-timeout", DHCP_TYPE_U32},
    {26,
     "mtu",
     DHCP_TYPE_U16,
     {"interface-mtu"},
     .min = 68,
     .wrong = "must be a number from 68 to 65535"},
    {27, "all-subnets-local", DHCP_TYPE_BOOL},
    OWN(28, "broadcast-address", "follows from `network` of the subnet"),
    {29, "perform-mask-discovery", DHCP_TYPE_BOOL},
    {30, "mask-supplier", DHCP_TYPE_BOOL},
    {31, "router-discovery", DHCP_TYPE_BOOL},
    {32, "router-solicitation-address", DHCP_TYPE_ADDRESS},
    {34, "trailer-encapsulation", DHCP_TYPE_BOOL},
    {35, "arp-cache-timeout", DHCP_TYPE_U32, {"arp-timeout"}},
    {36, "ieee802-3-encapsulation", DHCP_TYPE_BOOL},
    {37, "default-tcp-ttl", DHCP_TYPE_U8, {"tcp-ttl"}, .min = 1},
    {38, "tcp-keepalive-interval", DHCP_TYPE_U32, {"tcp-keepalive"}},
    {39, "tcp-keepalive-garbage", DHCP_TYPE_BOOL},
    {40, "nis-domain", DHCP_TYPE_TEXT},
    {41, "nis-servers", DHCP_TYPE_ADDRESSES, {"nis-server"}},
    {42, "ntp-servers", DHCP_TYPE_ADDRESSES, {"ntp-server", "ntp"}},
    {43, "vendor-encapsulated-options", DHCP_TYPE_HEX, {"vendor-encap"}},
    {44, "netbios-name-servers", DHCP_TYPE_ADDRESSES, {"netbios-ns"}},
    {45, "netbios-dd-servers", DHCP_TYPE_ADDRESSES, {"netbios-dd-server", "netbios-dd"}},
    {46, "netbios-node-type", DHCP_TYPE_U8, {"netbios-nodetype"}, .min = 1},
    {47, "netbios-scope", DHCP_TYPE_TEXT},
    {48, "font-servers", DHCP_TYPE_ADDRESSES, {"x-windows-fs"}},
    {49, "x-display-managers", DHCP_TYPE_ADDRESSES, {"x-display-manager", "x-windows-dm"}},
    OWN(50, "requested-address", BY_CLIENT),
    OWN(51, "lease-time", "is the key `lease-time` of the subnet"),
    OWN(52, "option-overload", BY_SERVER),
    OWN(53, "message-type", BY_SERVER),
    OWN(54, "server-identifier", BY_SERVER),
    OWN(55, "parameter-request-list", BY_CLIENT),
    OWN(56, "message", BY_SERVER),
    OWN(57, "max-message-size", BY_CLIENT),
    OWN(58, "renewal-time", "follows from `lease-time` of the subnet"),
    OWN(59, "rebinding-time", "follows from `lease-time` of the subnet"),
    OWN(60, "vendor-class", BY_BOOT),
    OWN(61, "client-identifier", BY_CLIENT),
    {64, "nisplus-domain", DHCP_TYPE_TEXT, {"nis+-domain"}},
    {65, "nisplus-servers", DHCP_TYPE_ADDRESSES, {"nis+-server"}},
    OWN(66, "tftp-server-name", BY_BOOT),
    OWN(67, "bootfile-name", BY_BOOT),
    {68, "mobile-ip-home-agents", DHCP_TYPE_ADDRESSES, {"mobile-ip-home"}},
    {69, "smtp-servers", DHCP_TYPE_ADDRESSES, {"smtp-server"}},
    {70, "pop-servers", DHCP_TYPE_ADDRESSES, {"pop-server", "pop3-server"}},
    {71, "nntp-servers", DHCP_TYPE_ADDRESSES, {"nntp-server"}},
    {72, "www-servers", DHCP_TYPE_ADDRESSES, {"www-server"}},
    {73, "finger-servers", DHCP_TYPE_ADDRESSES, {"finger-server"}},
    {74, "irc-servers", DHCP_TYPE_ADDRESSES, {"irc-server"}},
    {75, "streettalk-servers", DHCP_TYPE_ADDRESSES, {"streettalk-server"}},
    {76, "streettalk-directory-assistance-servers", DHCP_TYPE_ADDRESSES},
    OWN(77, "user-class", BY_CLIENT),
    OWN(80, "rapid-commit", BY_SERVER),
    OWN(81, "fqdn", BY_SERVER),
    OWN(82, "relay-agent-information", "is a relay's"),
    {85, "nds-servers", DHCP_TYPE_ADDRESSES},
    {86, "nds-tree-name", DHCP_TYPE_TEXT, {"nds-tree"}},
    {87, "nds-context", DHCP_TYPE_TEXT},
    OWN(90, "authentication", BY_SERVER),
    OWN(91, "client-last-transaction-time", BY_SERVER),
    OWN(92, "associated-ip", BY_SERVER),
    OWN(93, "client-architecture", BY_CLIENT),
    OWN(94, "client-interface", BY_CLIENT),
    OWN(97, "client-machine-identifier", BY_CLIENT),
    {98, "uap-servers", DHCP_TYPE_TEXT},
    {100, "posix-timezone", DHCP_TYPE_TEXT, {"pcode"}},
    {101, "tzdb-timezone", DHCP_TYPE_TEXT, {"tcode"}},
    {108, "ipv6-only-preferred", DHCP_TYPE_U32, {"ipv6-only"}},
    {112, "netinfo-server-addresses", DHCP_TYPE_ADDRESSES},
    {113, "netinfo-server-tag", DHCP_TYPE_TEXT},
    {114, "captive-portal", DHCP_TYPE_TEXT, {"v4-captive-portal", "default-url"}},
    {116, "auto-configure", DHCP_TYPE_BOOL, {"auto-config"}},
    OWN(118, "subnet-selection", BY_CLIENT),
    {119, "domain-search", DHCP_TYPE_DOMAINS},
    {121,
     "routes",
     DHCP_TYPE_ROUTES,
     {"classless-static-route", "rfc3442-classless-static-routes"}},
    {125, "vivso", DHCP_TYPE_HEX, {"vendor-identifying-options", "vivso-suboptions"}},
    {136, "pana-agents", DHCP_TYPE_ADDRESSES, {"pana-agent"}},
    {138, "capwap-controllers", DHCP_TYPE_ADDRESSES, {"capwap-ac-v4"}},
    {150, "tftp-server-addresses", DHCP_TYPE_ADDRESSES, {"tftp-server-address"}},
    OWN(175, "ipxe", BY_BOOT),
    {209, "pxe-config-file", DHCP_TYPE_TEXT, {"loader-configfile", "pxeconfigfile"}},
    {210, "pxe-path-prefix", DHCP_TYPE_TEXT, {"loader-pathprefix", "pxepathprefix"}},
    {211, "pxe-reboot-time", DHCP_TYPE_U32, {"loader-reboottime"}},
    OWN(249, "ms-routes", "is given to whoever asks for it if `routes` are set"),
    {252, "wpad", DHCP_TYPE_TEXT, {"web-proxy-auto-discovery", "wpad-url"}},
    OWN(255, "end", BY_SERVER),
};

static bool has_name(const struct dhcp_option_kind *kind, const char *name)
{
    if (str_eq(kind->name, name))
        return true;
    for (size_t i = 0; i < DHCP_OPTION_MAX_ALIASES && kind->aliases[i]; i++)
        if (str_eq(kind->aliases[i], name))
            return true;
    return false;
}

const struct dhcp_option_kind *dhcp_option_kind_by_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (has_name(&kinds[i], name))
            return &kinds[i];
    return NULL;
}

const struct dhcp_option_kind *dhcp_option_kind_by_code(uint8_t code)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (kinds[i].code == code)
            return &kinds[i];
    return NULL;
}

const struct dhcp_option_kind *dhcp_option_kinds(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(kinds);
    return kinds;
}
