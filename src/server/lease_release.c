#include "server/lease_release.h"

#include "server/control_call.h"

#include <errno.h>

#define MAX_MACS 16

struct request {
    struct control_call call;
    struct dhcp_glue *const *glue;
    struct dhcp_release release;
    struct mac_address macs[MAX_MACS];
    struct error error;
};

static void on_control(struct control_call *call)
{
    struct request *request = container_of(call, struct request, call);
    if (*request->glue)
        (void)!dhcp_glue_release(*request->glue, &request->release, &request->error);
    else
        (void)error_set(&request->error, -EAGAIN, "the server is being stopped");
}

static int fill(struct request *request, const struct catalog *catalog, const char *what,
                struct error *ret_error)
{
    const struct catalog_node *node = catalog_node_by_name(catalog, what);
    if (ipv4_parse(what, &request->release.address) == 0)
        return 0;
    if (!node)
        return error_set(ret_error, -ENOENT,
                         "'%.64s' is neither an address nor a node; see: nodisk lease list", what);
    request->release.macs = request->macs;
    request->release.n_macs = MIN(node->n_macs, (size_t)MAX_MACS);
    memcpy(request->macs, node->macs, request->release.n_macs * sizeof(*node->macs));
    return 0;
}

int lease_release_run(struct mailbox *mailbox, struct dhcp_glue *const *glue,
                      const struct catalog *catalog, const char *what, struct error *ret_error)
{
    struct request *request = calloc(1, sizeof(*request));
    if (!request)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int r = fill(request, catalog, what, ret_error);
    if (r < 0) {
        free(request);
        return r;
    }
    request->glue = glue;
    r = control_call_run(&request->call, mailbox, on_control, ret_error);
    if (r >= 0 && request->error.code) {
        *ret_error = request->error;
        r = request->error.code;
    }
    control_call_unref(&request->call);
    return r;
}
