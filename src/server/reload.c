/* SIGHUP: what the configuration file says by now comes in force, all of it or nothing. */
#include "server/server.h"

#include "core/log.h"
#include "server/addresses.h"
#include "server/dhcp_glue.h"
#include "server/hook_events.h"
#include "server/loaders.h"
#include "server/scripts.h"
#include "server/space_watch.h"
#include "server/tftp_glue.h"

static void log_problem(void *context, const char *problem)
{
    (void)context;
    log_error("%s", problem);
}

/* What is read once, at start: told instead of being ignored in silence. */
static void warn_of_late_changes(const struct config *old, const struct config *fresh)
{
    if (!str_eq(old->state_directory, fresh->state_directory) ||
        !str_eq(old->socket, fresh->socket) || !str_eq(old->base_iqn, fresh->base_iqn))
        log_warning("state-directory, socket and base-iqn change only with a restart");
    if (!listen_list_eq(&old->iscsi, &fresh->iscsi) || !listen_list_eq(&old->http, &fresh->http) ||
        old->iscsi_threads != fresh->iscsi_threads ||
        !redirect_list_eq(&old->redirects, &fresh->redirects) ||
        memcmp(&old->discovery_chap, &fresh->discovery_chap, sizeof(old->discovery_chap)) != 0 ||
        memcmp(&old->iscsi_limits, &fresh->iscsi_limits, sizeof(old->iscsi_limits)) != 0)
        log_warning("what [iscsi] and [http] say changes only with a restart");
    if (!listen_list_eq(&old->https.listen, &fresh->https.listen) ||
        !old->https.certificate[0] != !fresh->https.certificate[0] ||
        !str_eq(old->https.name, fresh->https.name) ||
        !str_eq(old->https.priorities, fresh->https.priorities) ||
        old->https.require != fresh->https.require ||
        old->https.installers != fresh->https.installers)
        log_warning("what [https] says changes only with a restart, but for the certificate");
    if (memcmp(&old->boot_ways, &fresh->boot_ways, sizeof(old->boot_ways)) != 0 ||
        old->menu_timeout != fresh->menu_timeout || old->fallback_after != fresh->fallback_after ||
        old->menu_snapshots != fresh->menu_snapshots || !str_eq(old->memtest, fresh->memtest))
        log_warning("what [boot] says changes only with a restart");
    if (old->hooks.at_once != fresh->hooks.at_once)
        log_warning("at-once in [hooks] changes only with a restart");
    if (old->warm_up != fresh->warm_up || old->warm_limit != fresh->warm_limit)
        log_warning("what [images] says changes only with a restart");
}

/* Puts a configuration in force, one after the other; back: that of before, if one of them cannot.
 */
static int apply_in_turn(struct server *server, const struct config *fresh,
                         const struct config *back, struct error *ret_error)
{
    struct error ignored;
    const struct listeners *listeners = &server->listening; /* whatever the file says by now */
    int r = tftp_glue_reload(server->tftp, fresh, ret_error);
    if (r < 0)
        return r;
    r = dhcp_glue_reload(server->dhcp, fresh, listeners, ret_error);
    if (r >= 0) {
        r = addresses_set(server->addresses, fresh->subnets, fresh->n_subnets);
        if (r >= 0)
            return 0;
        (void)error_set(ret_error, r, "out of memory");
        (void)!dhcp_glue_reload(server->dhcp, back, listeners, &ignored);
    }
    (void)!tftp_glue_reload(server->tftp, back, &ignored);
    return r;
}

/* All or nothing. */
static int apply(struct server *server, const struct config *fresh, struct error *ret_error)
{
    struct error ignored;
    struct hooks *hooks = hook_events_hooks(server->hook_events);
    cleanup_certificate struct certificate *certificate = NULL;
    int r = https_read(&fresh->https, &certificate, ret_error);
    if (r >= 0)
        r = loaders_set(server->loaders, fresh, ret_error);
    if (r < 0)
        return r;
    r = hooks_set(hooks, &fresh->hooks, ret_error);
    if (r >= 0)
        r = apply_in_turn(server, fresh, &server->config, ret_error);
    if (r < 0) {
        (void)!hooks_set(hooks, &server->config.hooks, &ignored);
        (void)!loaders_set(server->loaders, &server->config, &ignored);
    } else {
        scripts_set(server->scripts, fresh);
        https_set(&server->https, certificate);
    }
    return r;
}

void server_reload(struct server *server)
{
    struct config fresh;
    struct error error;
    if (config_read(server->config_path, log_problem, NULL, &fresh) < 0) {
        log_error("configuration not reloaded: the old one stays in force");
    } else if (apply(server, &fresh, &error) < 0) {
        config_free(&fresh);
        log_error("configuration not reloaded, the old one stays in force: %s", error.text);
    } else {
        log_set_level(fresh.log_level);
        policy_slot_set(server->policy, fresh.policy);
        newcomers_set_rules(&server->newcomers, fresh.adopt);
        space_watch_set(server->space, &fresh.warn_free);
        warn_of_late_changes(&server->config, &fresh);
        config_free(&server->config);
        server->config = fresh;
        log_info("configuration reloaded");
    }
}
