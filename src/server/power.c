#include "server/power.h"

#include "core/log.h"
#include "server/hook_events.h"

#include <errno.h>

/* "ipmi://10.9.0.5:623/x": its host and its port, if it has one; in brackets: IPv6. */
static void split(const char *address, char *host, size_t size, char port[static 8])
{
    const char *begin = strstr(address, "://") + 3, *at = strchr(begin, '@');
    if (at)
        begin = at + 1;
    size_t n = strcspn(begin, *begin == '[' ? "]" : ":/");
    const char *end = begin + n + (begin[n] == ']');
    bool bracket = *begin == '[';
    snprintf(host, size, "%.*s", (int)(n - bracket), begin + bracket);
    port[0] = '\0';
    if (*end == ':')
        snprintf(port, 8, "%.*s", (int)strspn(end + 1, "0123456789"), end + 1);
}

static json_t *facts_of(struct catalog_slot *slot, const char *name, const struct registry_bmc *bmc,
                        const char *action)
{
    char host[BMC_ADDRESS_MAX + 1], port[8];
    cleanup_catalog struct catalog *catalog = catalog_slot_get(slot);
    const struct catalog_node *node = catalog_node_by_name(catalog, name);
    json_t *facts = node ? hook_facts_of_node(catalog, node) : json_pack("{s:s}", "node", name);
    if (!facts)
        return NULL;
    split(bmc->address, host, sizeof(host), port);
    json_object_set_new(facts, "event", json_string("power"));
    json_object_set_new(facts, "action", json_string(action));
    json_object_set_new(facts, "bmc_address", json_string(bmc->address));
    json_object_set_new(facts, "bmc_host", json_string(host));
    json_object_set_new(facts, "bmc_port", port[0] ? json_string(port) : json_null());
    json_object_set_new(facts, "bmc_user", bmc->user[0] ? json_string(bmc->user) : json_null());
    return facts;
}

static int take_state(const struct hook_answer *answer, char state[static ADMIN_POWER_STATE_SIZE],
                      struct error *ret_error)
{
    static const char *const keys[] = {"power", NULL};
    const char *power = hook_answer_get(answer, "power");
    if (answer->is_script || hook_answer_check_keys(answer, keys, ret_error) < 0 ||
        (power && !str_eq(power, "on") && !str_eq(power, "off")))
        return error_set(ret_error, -EIO,
                         "the hook answered something else than power=on, power=off or nothing");
    str_copy(state, ADMIN_POWER_STATE_SIZE, power ? power : "");
    return 0;
}

int power_switch(struct hooks *hooks, struct catalog_slot *catalog, const char *node,
                 const struct registry_bmc *bmc, const char *action,
                 char state[static ADMIN_POWER_STATE_SIZE], struct error *ret_error)
{
    char scheme[BMC_SCHEME_MAX + 1];
    struct hook_answer answer;
    int r = bmc_scheme(bmc->address, scheme, ret_error);
    if (r < 0)
        return r;
    json_t *facts = facts_of(catalog, node, bmc, action);
    if (!facts)
        return error_set(ret_error, -ENOMEM, "out of memory");
    r = hooks_act(hooks, "power.d", scheme, action, facts, bmc->password, &answer, ret_error);
    if (r >= 0)
        r = take_state(&answer, state, ret_error);
    if (r == -ENOENT) /* the node is there */
        r = ret_error->code = -EINVAL;
    if (r < 0)
        (void)error_prefix(ret_error, "node '%s'", node);
    if (r < 0)
        log_write(LOG_WARNING, node, "power %s: %s", action, ret_error->text);
    else if (!str_eq(action, "status"))
        log_write(LOG_NOTICE, node, "power %s by %s: done", action, bmc->address);
    return r;
}
