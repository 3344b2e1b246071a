#include "server/lease_offers.h"

#include "server/control_call.h"

#include <errno.h>

struct request {
    struct control_call call;
    struct dhcp_glue *const *glue;
    uint64_t monotonic, wall; /* now */
    size_t count, max;
    struct admin_offer offers[];
};

static void add(void *context, const struct dhcp_network *network, const struct lease *lease)
{
    struct request *request = context;
    if (lease->state != LEASE_OFFERED || !lease_is_live(lease, request->monotonic) ||
        request->count == request->max)
        return;
    struct admin_offer *offer = &request->offers[request->count++];
    offer->address = lease->address;
    offer->mac = lease->mac;
    offer->expires_at = request->wall + (lease->expires - request->monotonic);
    str_copy(offer->subnet, sizeof(offer->subnet), network->settings.name);
}

static void on_control(struct control_call *call)
{
    struct request *request = container_of(call, struct request, call);
    request->monotonic = clock_monotonic_usec();
    request->wall = clock_wall_usec();
    if (*request->glue)
        dhcp_glue_each_lease(*request->glue, add, request);
}

int lease_offers_list(struct mailbox *mailbox, struct dhcp_glue *const *glue,
                      struct admin_offer *offers, size_t max, size_t *ret_count,
                      struct error *ret_error)
{
    struct request *request = calloc(1, sizeof(*request) + max * sizeof(*offers));
    if (!request)
        return error_set(ret_error, -ENOMEM, "out of memory");
    request->glue = glue;
    request->max = max;
    int r = control_call_run(&request->call, mailbox, on_control, ret_error);
    if (r >= 0) {
        memcpy(offers, request->offers, request->count * sizeof(*offers));
        *ret_count = request->count;
    }
    control_call_unref(&request->call);
    return r;
}
