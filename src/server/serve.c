/*
 * The daemon: starts the modules in the order in which they need each other, runs the control
 * thread's loop, and stops them in the reverse order.
 */
#include "server/serve.h"

#include "server/server.h"

#include "core/log.h"
#include "http/admin.h"
#include "http/nodes.h"
#include "registry/registry.h"
#include "server/addresses.h"
#include "server/boot_cache.h"
#include "server/dhcp_glue.h"
#include "server/discovery_chap.h"
#include "server/duplicates.h"
#include "server/file_limit.h"
#include "server/hook_events.h"
#include "server/loaders.h"
#include "server/san.h"
#include "server/scripts.h"
#include "server/space_watch.h"
#include "server/tftp_glue.h"
#include "storage/storage.h"

#include <errno.h>
#include <getopt.h>
#include <systemd/sd-daemon.h>

static const char usage[] =
    "usage: nodisk serve --config FILE [--check]\n"
    "\n"
    "Runs the daemon in the foreground until SIGTERM; SIGHUP reads the file again.\n"
    "\n"
    "  -c, --config FILE  the configuration, described in nodisk.conf(5)\n"
    "      --check        only say whether the file is good\n"
    "  -h, --help         this text\n";

static const char no_config[] =
    "nodisk: nothing to serve without a configuration; write one such as\n"
    "\n"
    "  [server]\n"
    "  base-iqn = iqn.2026-11.lan.example\n"
    "\n"
    "  [subnet lab]\n"
    "  interface = eth1\n"
    "  network = 10.0.0.0/24\n"
    "  range = 10.0.0.100-10.0.0.200\n"
    "\n"
    "and start with: nodisk serve --config FILE (every key: man nodisk.conf)\n";

static void print_problem(void *context, const char *problem)
{
    (void)context;
    fprintf(stderr, "nodisk: %s\n", problem);
}

static int start(struct server *server, struct error *ret_error)
{
    http_log_init(&server->http_log);
    if (file_limit_raise(server->config.iscsi_limits.sessions, ret_error) < 0)
        return ret_error->code;
    server->catalog = catalog_slot_new();
    server->policy = policy_slot_new();
    server->addresses = addresses_new();
    server->loaders = loaders_new();
    server->scripts = scripts_new();
    server->duplicates = duplicates_new();
    if (!server->duplicates || !server->catalog || !server->policy || !server->addresses ||
        !server->loaders || !server->scripts ||
        addresses_set(server->addresses, server->config.subnets, server->config.n_subnets) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    policy_slot_set(server->policy, server->config.policy);
    int r = server_start_loop(server, ret_error);
    if (r >= 0)
        r = server_start_storage(server, ret_error);
    if (r >= 0)
        r = server_start_boots(server, ret_error);
    if (r >= 0)
        r = server_start_san(server, ret_error);
    if (r >= 0)
        r = newcomers_start(&server->newcomers, server->config.adopt, server->boots.tracker,
                            server->addresses, server->storage, server->registry, server->catalog,
                            ret_error);
    if (r >= 0)
        r = https_start(&server->https, &server->config.https, server->loop, ret_error);
    if (r >= 0)
        r = server_start_node_http(server, ret_error);
    if (r >= 0)
        r = server_start_firmware(server, ret_error);
    if (r >= 0)
        r = server_start_admin(server, ret_error);
    return r;
}

static void stop(struct server *server)
{
    hook_events_stop(server->hook_events); /* others wait for them */
    admin_stop(server->admin);
    dhcp_glue_stop(take_ptr(server->dhcp));
    tftp_glue_stop(server->tftp);
    node_http_stop(server->node_http);
    https_stop(&server->https);
    newcomers_stop(&server->newcomers);
    boot_cache_stop(server->boot_cache);
    storage_tidy_stop(server->storage);
    san_stop(server->san);
    space_watch_stop(server->space);
    storage_close(server->storage);
    registry_stop(server->registry);
    mailbox_run(&server->mailbox); /* what all these still had to say */
    patient_mailbox_close(&server->session_mailbox);
    boot_cache_free(server->boot_cache);
    hook_events_free(server->hook_events);
    boot_tracker_free(server->boots.tracker);
    catalog_slot_free(server->catalog);
    policy_slot_free(server->policy);
    addresses_free(server->addresses);
    loaders_free(server->loaders);
    scripts_free(server->scripts);
    duplicates_free(server->duplicates);
    if (server->state_lock >= 0)
        close(server->state_lock);
    http_log_destroy(&server->http_log);
    mailbox_close(&server->mailbox);
    sd_event_unref(server->loop);
    config_free(&server->config);
}

static int run(const char *config_path)
{
    struct server server = {.config_path = config_path,
                            .mailbox = {.fd = -1},
                            .session_mailbox.mailbox.fd = -1,
                            .state_lock = -1};
    struct error error;
    if (config_read(config_path, print_problem, NULL, &server.config) < 0)
        return 1;
    log_open();
    log_set_level(server.config.log_level);
    int r = start(&server, &error);
    if (r < 0) {
        log_error("%s", error.text);
        stop(&server);
        log_stop();
        return 1;
    }
    sd_notify(0, "READY=1");
    log_info("ready");
    r = sd_event_loop(server.loop);
    sd_notify(0, "STOPPING=1");
    stop(&server);
    log_stop();
    return r == 0 ? 0 : 1;
}

static int check(const char *config_path)
{
    struct config config;
    cleanup_chap_credentials struct chap_credentials discovery;
    cleanup_certificate struct certificate *certificate = NULL;
    struct error error;
    if (config_read(config_path, print_problem, NULL, &config) < 0)
        return 1;
    int r = discovery_chap_read(&config, &discovery, &error);
    if (r >= 0)
        r = https_read(&config.https, &certificate, &error);
    config_free(&config);
    if (r < 0) {
        fprintf(stderr, "nodisk: %s: %s\n", config_path, error.text);
        return 1;
    }
    printf("%s: good\n", config_path);
    return 0;
}

int serve_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, 'C'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *config_path = NULL;
    bool only_check = false;
    for (int c; (c = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        switch (c) {
        case 'c':
            config_path = optarg;
            break;
        case 'C':
            only_check = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return 2;
    }
    if (!config_path) {
        fputs(no_config, stderr);
        return 2;
    }
    return only_check ? check(config_path) : run(config_path);
}
