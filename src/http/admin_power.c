/* /v1/bmcs, /v1/power */
#include "http/admin_internal.h"

#include <errno.h>

static const char *const actions[] = {"status", "on", "off", "soft", "reset", "cycle"};

static int set_bmc(struct call *call, const struct body_bmc *fields, struct error *ret_error)
{
    struct registry *registry = call->admin->settings.registry;
    const struct registry_bmc_change change = {
        .address = fields->address.text,
        .user = fields->user.text,
        .password = fields->password.text,
    };
    bool away = fields->address.given && !fields->address.text;
    return registry_bmc_set(registry, fields->node.text, away ? NULL : &change, ret_error);
}

void admin_set_bmc(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_bmc fields;
    struct error error;
    size_t size;
    const char *data = http_body(call->request, &size);
    if (body_read_bmc(data, size, &body, &fields, &error) < 0 || set_bmc(call, &fields, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply_result(call, json_pack("{s:s}", "node", fields.node.text));
}

json_t *bmc_to_json(struct admin *admin, const char *node)
{
    struct registry_bmc bmc = {.address = ""};
    struct error ignored;
    json_t *json = NULL;
    if (registry_bmc_get(admin->settings.registry, node, &bmc, &ignored) > 0)
        json = json_pack("{s:s, s:s, s:b}", "address", bmc.address, "user", bmc.user,
                         "password_set", (int)(bmc.password[0] != '\0'));
    explicit_bzero(&bmc, sizeof(bmc));
    return json ? json : json_null();
}

static bool is_action(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
        if (str_eq(actions[i], word))
            return true;
    return false;
}

static int switch_power(struct call *call, const struct body_power *fields,
                        char state[static ADMIN_POWER_STATE_SIZE], struct error *ret_error)
{
    const struct admin_settings *settings = &call->admin->settings;
    struct registry_bmc bmc = {.address = ""};
    const char *node = fields->node.text;
    if (!is_action(fields->action.text))
        return error_set(ret_error, -EINVAL,
                         "'action' must be status, on, off, soft, reset or cycle");
    if (!settings->power)
        return error_set(ret_error, -EOPNOTSUPP, "nothing here switches machines");
    int r = registry_bmc_get(settings->registry, node, &bmc, ret_error);
    if (r == 0)
        r = error_set(ret_error, -EINVAL,
                      "nothing is known that switches node '%s'; nodisk node set %s --bmc "
                      "ipmi://ADDRESS (to wake it by its network card: nodisk node wake %s)",
                      node, node, node);
    if (r > 0)
        r = settings->power(settings->context, node, &bmc, fields->action.text, state, ret_error);
    explicit_bzero(&bmc, sizeof(bmc));
    return r;
}

void admin_power(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_power fields;
    struct error error;
    char state[ADMIN_POWER_STATE_SIZE] = "";
    size_t size;
    const char *data = http_body(call->request, &size);
    if (body_read_power(data, size, &body, &fields, &error) < 0 ||
        switch_power(call, &fields, state, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply_result(call, json_pack("{s:s, s:s, s:s?}", "node", fields.node.text, "action",
                                          fields.action.text, "power", state[0] ? state : NULL));
}
