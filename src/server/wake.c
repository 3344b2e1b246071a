#include "server/wake.h"

#include "core/log.h"
#include "dhcp/wake.h"

#include <errno.h>

static bool is_in(const struct subnet *subnet, uint32_t address)
{
    return (address & subnet->mask) == subnet->network;
}

static bool is_in_any(const struct subnet *subnets, size_t count, uint32_t address)
{
    for (size_t i = 0; i < count; i++)
        if (is_in(&subnets[i], address))
            return true;
    return false;
}

static json_t *sent_to_json(const struct subnet *subnet, const struct wake_sent *sent)
{
    char broadcast[IPV4_TEXT_SIZE];
    return json_pack("{s:s, s:s, s:s, s:b}", "subnet", subnet->name, "interface", subnet->interface,
                     "broadcast", ipv4_format(sent->broadcast, broadcast), "frame",
                     (int)sent->frame);
}

/* An interface that is missing keeps nobody from being woken through the others. */
static int send_on(const struct subnet *subnet, const struct admin_wake *wake, json_t *list,
                   struct error *ret_error)
{
    struct wake_sent sent;
    char broadcast[IPV4_TEXT_SIZE];
    int r = wake_send(subnet, wake->macs, wake->n_macs, wake->password, &sent, ret_error);
    if (r < 0) {
        log_write(LOG_WARNING, wake->node, "not woken: %s", ret_error->text);
        return r;
    }
    log_write(LOG_INFO, wake->node, "magic packet%s sent to %s%s through %s",
              wake->n_macs > 1 ? "s" : "", ipv4_format(sent.broadcast, broadcast),
              sent.frame ? " and as a frame" : "", subnet->interface);
    json_array_append_new(list, sent_to_json(subnet, &sent));
    return 0;
}

/* Who has no address that is known may be anywhere. */
static int send_all(const struct subnet *subnets, size_t count, const struct admin_wake *wake,
                    json_t *list, struct error *ret_error)
{
    bool anywhere = !wake->address || !is_in_any(subnets, count, wake->address);
    int r = error_set(ret_error, -EINVAL,
                      "there is no [subnet] in the configuration file to wake machines in; add one "
                      "(mode = off if something else hands out addresses there)");
    bool done = false;
    for (size_t i = 0; i < count; i++) {
        if (!anywhere && !is_in(&subnets[i], wake->address))
            continue;
        r = send_on(&subnets[i], wake, list, ret_error);
        done = done || r >= 0;
    }
    return done ? 0 : r;
}

int wake_machine(struct addresses *addresses, const struct admin_wake *wake, json_t **ret_sent,
                 struct error *ret_error)
{
    cleanup_free struct subnet *subnets = NULL;
    size_t count;
    json_t *list = json_array();
    int r = list ? addresses_copy(addresses, &subnets, &count) : -ENOMEM;
    r = r < 0 ? error_set(ret_error, r, "out of memory")
              : send_all(subnets, count, wake, list, ret_error);
    if (r < 0)
        json_decref(list);
    else
        *ret_sent = list;
    return r;
}
