/* The registry and the files behind images and volumes, and what these ask of the rest. */
#include "server/server.h"

#include "block/nbd.h"
#include "block/overlay.h"
#include "core/log.h"
#include "registry/registry.h"
#include "server/addresses.h"
#include "server/claims.h"
#include "server/san.h"
#include "server/state.h"
#include "server/volume_reader.h"
#include "storage/storage.h"

static int check_address(void *context, uint32_t address, struct error *ret_error)
{
    struct server *server = context;
    return addresses_check(server->addresses, address, ret_error);
}

static void log_lost(void *context, const struct error *error)
{
    log_error("%s", error->text);
}

/* Asked by whoever makes a volume, on an admin thread. */
static int probe_nbd(void *context, const char *uri, struct storage_export *ret_export,
                     struct error *ret_error)
{
    struct nbd_export e;
    int r = block_nbd_probe(uri, &e, ret_error);
    if (r >= 0)
        *ret_export = (struct storage_export){.size = e.size,
                                              .min_request = e.min_request,
                                              .read_only = e.read_only,
                                              .can_flush = e.can_flush};
    return r;
}

/* Asked by whoever removes a volume, on an admin thread. */
static bool is_in_use(void *context, uint64_t volume_id, char peer[static 256])
{
    struct server *server = context;
    return server->san && san_is_in_use(server->san, volume_id, peer);
}

static bool is_shut(void *context, uint64_t volume_id)
{
    const struct server *server = context;
    return targets_is_shut(san_targets(server->san), volume_id);
}

static int change_nothing(void *argument, bool in_use, struct error *ret_error)
{
    return 0;
}

static int reopen(void *context, uint64_t volume_id, struct error *ret_error)
{
    const struct server *server = context;
    return targets_exchange(san_targets(server->san), volume_id, change_nothing, NULL, ret_error);
}

static int claim(void *context, uint64_t volume_id, const char *volume, bool force,
                 struct error *ret_error)
{
    struct server *server = context;
    return claims_take(&server->sessions, volume_id, volume, force, ret_error);
}

static void release(void *context, uint64_t volume_id)
{
    struct server *server = context;
    claims_release(&server->sessions, volume_id);
}

static int read_kernel(char text[static 2 * BLOCK_LAYER_ID_SIZE + 1], struct error *ret_error)
{
    uint8_t id[BLOCK_LAYER_ID_SIZE];
    int r = overlay_boot_id(id, ret_error);
    for (size_t i = 0; r >= 0 && i < sizeof(id); i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
    return r;
}

static int exchange(void *context, uint64_t volume_id, const char *volume,
                    int (*change)(void *argument, bool in_use, struct error *ret_error),
                    void *argument, struct error *ret_error)
{
    struct server *server = context;
    return claims_exchange(&server->sessions, volume_id, volume, change, argument, ret_error);
}

static int open_reader(void *context, uint64_t volume_id, struct storage_reader **ret_reader,
                       struct error *ret_error)
{
    struct server *server = context;
    return volume_reader_open(san_targets(server->san), volume_id, ret_reader, ret_error);
}

static int read_volume(void *context, struct storage_reader *reader, uint64_t offset, uint8_t *data,
                       size_t size)
{
    return volume_reader_read(reader, offset, data, size);
}

static void close_reader(void *context, struct storage_reader *reader)
{
    volume_reader_close(reader);
}

int server_start_storage(struct server *server, struct error *ret_error)
{
    const struct config *config = &server->config;
    char path[PATH_MAX + 16];
    snprintf(path, sizeof(path), "%s/registry.db", config->state_directory);
    server->state_lock = state_directory_lock(config->state_directory, ret_error);
    if (server->state_lock < 0)
        return server->state_lock;
    char kernel[2 * BLOCK_LAYER_ID_SIZE + 1];
    if (read_kernel(kernel, ret_error) < 0)
        return ret_error->code;
    struct registry_settings registry = {
        .kernel = kernel,
        .path = path,
        .base_iqn = config->base_iqn,
        .catalog = server->catalog,
        .check_address = check_address,
        .lost = log_lost,
        .context = server,
    };
    int r = registry_start(&registry, &server->registry, ret_error);
    if (r < 0)
        return r;
    struct storage_settings storage = {
        .directory = config->state_directory,
        .registry = server->registry,
        .catalog = server->catalog,
        .warm_limit = config->warm_limit,
        .in_use = is_in_use,
        .probe_nbd = probe_nbd,
        .claim = claim,
        .release = release,
        .is_shut = is_shut,
        .reopen = reopen,
        .tell = log_lost,
        .exchange = exchange,
        .open_reader = open_reader,
        .read = read_volume,
        .close_reader = close_reader,
        .context = server,
    };
    return storage_open(&storage, &server->storage, ret_error);
}
