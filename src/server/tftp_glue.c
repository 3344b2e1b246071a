#include "server/tftp_glue.h"

#include "core/log.h"
#include "tftp/file.h"

#include <errno.h>

struct tftp_glue {
    struct tftp_glue_settings settings;
    struct listen_list listen;
    struct tftp_server *server; /* NULL: no subnet is served, and there are no loaders */
    struct tftp_counters counters;
};

static bool serves_subnets(const struct config *config)
{
    for (size_t i = 0; i < config->n_subnets; i++)
        if (config->subnets[i].mode != SUBNET_OFF)
            return true;
    return false;
}

static int try_loader(int directory, const char *loader)
{
    cleanup_close int fd = -1;
    uint64_t size;
    return tftp_file_open(directory, loader, &fd, &size);
}

static const char *advice(int r)
{
    return r == -EXDEV ? "it is a link that leads out of the directory: copy the file there instead"
                       : "install the package ipxe, or name another loader or directory";
}

static void warn_uefi(const struct config *config, const struct subnet *subnet, int r)
{
    log_warning("[subnet %s]: UEFI machines cannot boot: cannot serve %s/%s: %s; %s", subnet->name,
                config->loaders, subnet->loader_uefi_x64, strerror(-r), advice(r));
}

/* Each subnet may name its own. */
static int check_loaders(const struct config *config, struct error *ret_error)
{
    cleanup_close int directory = -1;
    int r = tftp_directory_open(config->loaders, &directory, ret_error);
    for (size_t i = 0; r >= 0 && i < config->n_subnets; i++) {
        const struct subnet *s = &config->subnets[i];
        if (s->mode == SUBNET_OFF)
            continue;
        int uefi = try_loader(directory, s->loader_uefi_x64);
        if (uefi < 0)
            warn_uefi(config, s, uefi);
        int bios = try_loader(directory, s->loader_bios);
        if (bios < 0)
            return error_set(ret_error, bios,
                             "[subnet %s]: cannot serve the boot loader %s/%s: %s; %s", s->name,
                             config->loaders, s->loader_bios, strerror(-bios), advice(bios));
    }
    return r;
}

static int start_server(struct tftp_glue *glue, const struct config *config,
                        struct error *ret_error)
{
    struct tftp_settings settings = {
        .listen = config->tftp.endpoints,
        .n_listen = config->tftp.count,
        .directory = config->loaders,
        .event = glue->settings.event,
        .context = glue->settings.context,
        .mailbox = glue->settings.mailbox,
        .counters = &glue->counters,
    };
    glue->listen = config->tftp;
    return tftp_server_start(&settings, &glue->server, ret_error);
}

/* Loaders are nobody's concern if somebody else hands out addresses and there are none here. */
static bool is_needed(const struct config *config)
{
    return serves_subnets(config) || access(config->loaders, X_OK) == 0;
}

int tftp_glue_start(const struct tftp_glue_settings *settings, const struct config *config,
                    struct tftp_glue **ret_glue, struct error *ret_error)
{
    struct tftp_glue *glue = calloc(1, sizeof(*glue));
    if (!glue)
        return error_set(ret_error, -ENOMEM, "out of memory");
    glue->settings = *settings;
    int r = 0;
    if (is_needed(config)) {
        r = check_loaders(config, ret_error);
        if (r >= 0)
            r = start_server(glue, config, ret_error);
    }
    if (r < 0) {
        tftp_glue_stop(glue);
        return r;
    }
    *ret_glue = glue;
    return 0;
}

int tftp_glue_reload(struct tftp_glue *glue, const struct config *config, struct error *ret_error)
{
    if (!is_needed(config) && !glue->server)
        return 0;
    int r = check_loaders(config, ret_error);
    if (r < 0)
        return r;
    if (!glue->server)
        return start_server(glue, config, ret_error);
    if (!listen_list_eq(&config->tftp, &glue->listen))
        log_notice("[tftp] listen: new addresses need a restart of the program");
    return tftp_server_set_directory(glue->server, config->loaders, ret_error);
}

void tftp_glue_stop(struct tftp_glue *glue)
{
    if (!glue)
        return;
    tftp_server_stop(glue->server);
    free(glue);
}

const struct tftp_counters *tftp_glue_counters(const struct tftp_glue *glue)
{
    return &glue->counters;
}
