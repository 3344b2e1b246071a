#include "server/san.h"

#include "server/discovery_chap.h"

#include <errno.h>
#include <sched.h>

/* Data on its way between disks and sockets, all threads together. */
#define BUFFER_BUDGET (128 * MIB)

struct san {
    struct io_thread **threads;
    unsigned n_threads;
    struct targets *targets;
    struct iscsi_portal *portal;
    struct listen_list portals; /* as bound */
};

static unsigned count_cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static int start_threads(struct san *san, unsigned count, struct error *ret_error)
{
    san->threads = calloc(count, sizeof(struct io_thread *));
    if (!san->threads)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (; san->n_threads < count; san->n_threads++) {
        int r = io_thread_start(san->n_threads, BUFFER_BUDGET / count,
                                &san->threads[san->n_threads], ret_error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* *ret_count: how many of fds[] are open, also on failure. */
static int open_listeners(const struct listen_list *list, int *fds, unsigned *ret_count,
                          struct error *ret_error)
{
    for (*ret_count = 0; *ret_count < list->count; ++*ret_count) {
        int fd = net_listen_one_of("iscsi", list->endpoints, list->count, *ret_count, SOCK_STREAM,
                                   ret_error);
        if (fd < 0)
            return fd;
        fds[*ret_count] = fd;
    }
    return 0;
}

static int start_portal(struct san *san, const struct config *config, struct error *ret_error)
{
    const struct listen_list *list = &config->iscsi;
    int fds[LISTEN_MAX];
    unsigned count;
    int r = open_listeners(list, fds, &count, ret_error);
    if (r < 0) {
        while (count > 0)
            close(fds[--count]);
        return r;
    }
    for (; san->portals.count < count; san->portals.count++)
        if (endpoint_from_socket(fds[san->portals.count],
                                 &san->portals.endpoints[san->portals.count]) < 0)
            break;
    return iscsi_portal_start(san->threads, san->n_threads, fds, count, &config->iscsi_limits,
                              targets_operations(san->targets), &san->portal, ret_error);
}

int san_start(const struct config *config, struct catalog_slot *catalog, struct registry *registry,
              struct storage *storage, struct space_watch *space, struct boot_recorder *recorder,
              struct mailbox *control, targets_event *on_event, void *context, struct san **ret_san,
              struct error *ret_error)
{
    cleanup_chap_credentials struct chap_credentials discovery = {.mode = CHAP_NONE};
    int r = discovery_chap_read(config, &discovery, ret_error);
    if (r < 0)
        return r;
    struct san *san = calloc(1, sizeof(*san));
    if (!san)
        return error_set(ret_error, -ENOMEM, "out of memory");
    unsigned count = config->iscsi_threads ? config->iscsi_threads : count_cores();
    r = start_threads(san, count, ret_error);
    if (r >= 0)
        r = targets_new(catalog, registry, storage, space, san->threads, count, control, on_event,
                        context, &san->targets, ret_error);
    if (r >= 0) {
        targets_set_redirects(san->targets, &config->redirects);
        targets_set_discovery_chap(san->targets, &discovery);
        targets_set_boot_recorder(san->targets, recorder);
        r = start_portal(san, config, ret_error);
    }
    if (r < 0) {
        san_stop(san);
        return r;
    }
    *ret_san = san;
    return 0;
}

void san_stop(struct san *san)
{
    if (!san)
        return;
    iscsi_portal_stop(san->portal);
    targets_drain(san->targets);
    while (san->n_threads > 0)
        io_thread_stop(san->threads[--san->n_threads]);
    targets_free(san->targets);
    free(san->threads);
    free(san);
}

const struct listen_list *san_portals(const struct san *san)
{
    return &san->portals;
}

void san_portal_for(const struct san *san, const struct endpoint *local,
                    struct endpoint *ret_portal)
{
    const struct endpoint *portal = listen_list_find(&san->portals, local);
    if (portal)
        *ret_portal = endpoint_with_port(local, endpoint_port(portal));
    else if (san->portals.count > 0)
        *ret_portal = endpoint_is_any(&san->portals.endpoints[0])
                          ? endpoint_with_port(local, endpoint_port(&san->portals.endpoints[0]))
                          : san->portals.endpoints[0];
    else
        *ret_portal = *local;
}

bool san_is_in_use(struct san *san, uint64_t volume_id, char peer[static 256])
{
    return targets_in_use(san->targets, volume_id, peer);
}

const struct iscsi_portal_counters *san_counters(const struct san *san)
{
    return iscsi_portal_counters(san->portal);
}

struct iscsi_roster *san_roster(const struct san *san)
{
    return iscsi_portal_roster(san->portal);
}

struct holds *san_holds(const struct san *san)
{
    return targets_holds(san->targets);
}

struct targets *san_targets(const struct san *san)
{
    return san->targets;
}
