#include "server/tftp_glue.h"

#include "core/log.h"
#include "server/loaders.h"

#include <errno.h>

struct tftp_glue {
    struct tftp_glue_settings settings;
    struct listen_list listen;
    struct tftp_server *server; /* NULL: no subnet is served, and there are no loaders */
    struct tftp_counters counters;
};

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

int tftp_glue_start(const struct tftp_glue_settings *settings, const struct config *config,
                    struct tftp_glue **ret_glue, struct error *ret_error)
{
    struct tftp_glue *glue = calloc(1, sizeof(*glue));
    if (!glue)
        return error_set(ret_error, -ENOMEM, "out of memory");
    glue->settings = *settings;
    int r = 0;
    if (loaders_are_needed(config))
        r = start_server(glue, config, ret_error);
    if (r < 0) {
        tftp_glue_stop(glue);
        return r;
    }
    *ret_glue = glue;
    return 0;
}

int tftp_glue_reload(struct tftp_glue *glue, const struct config *config, struct error *ret_error)
{
    if (!loaders_are_needed(config) && !glue->server)
        return 0;
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
