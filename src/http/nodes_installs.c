/*
 * What an installer (a boot entry of that kind) fetches for the node that it installs:
 *
 *   /install/52-54-00-00-00-01/ENTRY/preseed.cfg, user-data or ks.cfg   its answers, rendered
 *   /install/52-54-00-00-00-01/ENTRY/meta-data, vendor-data             beside user-data
 *   /install/52-54-00-00-00-01/ENTRY/nodisk                             this program, for `prepare`
 *   /install/52-54-00-00-00-01/ENTRY/installed                          GET, POST: it is done
 *
 * All of it goes to that node's address alone, and only while the plan of its boot is to be
 * installed by this entry: answers may have secrets, and the installed node has no use for them.
 * That it is done, is written down before it is answered.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "http/nodes_internal.h"

#include "ipxe/variables.h"

static const char prefix[] = "/install/";

struct install {
    struct node_http *http;
    struct http_request *request;
    const struct endpoint *peer, *local;
    struct mac_address mac;
    char name[NAME_MAX_LEN + 1]; /* of the entry */
    const char *what;
    const struct catalog *catalog;
    const struct catalog_node *node;
    const struct catalog_entry *entry;
};

/* --- the path --- */

/* Up to the next slash, which is skipped. */
static bool take_word(const char **at, char *word, size_t size)
{
    const char *slash = strchr(*at, '/');
    if (!slash || (size_t)(slash - *at) >= size)
        return false;
    memcpy(word, *at, (size_t)(slash - *at));
    word[slash - *at] = '\0';
    *at = slash + 1;
    return true;
}

static bool split(struct install *install, const char *path)
{
    char mac[MAC_TEXT_SIZE];
    const char *at = path + strlen(prefix);
    if (!take_word(&at, mac, sizeof(mac)) || mac_parse(mac, &install->mac) < 0 ||
        !take_word(&at, install->name, sizeof(install->name)))
        return false;
    install->what = at;
    return true;
}

/* --- answers --- */

struct answer_scope {
    struct script_variables variables;
    enum answer_format format;
};

static bool look(void *context, const char *name, const char **ret_value)
{
    struct answer_scope *scope = context;
    return answer_variables_look(&scope->variables, name, ret_value);
}

static bool fits(void *context, const char *value, bool quoted)
{
    const struct answer_scope *scope = context;
    return answer_value_fits(scope->format, value, quoted);
}

/* What the operator has set for this entry comes before what he has set for all. */
static int set_variables(const struct install *install, struct script_variables *variables,
                         struct error *ret_error)
{
    struct node_script_machine machine;
    char url[NODE_HTTP_URL_SIZE + MAC_TEXT_SIZE + NAME_MAX_LEN + 16], installed[sizeof(url) + 16];
    node_http_find_machine(install->http, install->catalog, &install->mac, install->local,
                           &machine);
    int r = node_http_add_own_variables(install->http, variables, ret_error);
    if (r < 0)
        return r;
    for (size_t i = 0; r >= 0 && i < install->entry->n_variables; i++)
        r = script_variables_set(variables, install->entry->variables[i].key,
                                 install->entry->variables[i].value);
    snprintf(url, sizeof(url), "%s%s%s/%s/", machine.server_url, prefix, machine.mac_text,
             install->name);
    snprintf(installed, sizeof(installed), "%sinstalled", url);
    if (r >= 0)
        r = node_http_set_variables(&machine, variables);
    if (r >= 0)
        r = script_variables_set(variables, "entry", install->name);
    if (r >= 0)
        r = script_variables_set(variables, "answer-url", url);
    if (r >= 0)
        r = script_variables_set(variables, "installed-url", installed);
    return r < 0 ? error_set(ret_error, r, "out of memory") : 0;
}

static int read_template(const char *path, char **ret_text, size_t *ret_size,
                         struct error *ret_error)
{
    uint64_t size;
    cleanup_close int fd = -1;
    int r = node_http_open_file(path, &fd, &size);
    if (r >= 0)
        r = node_http_read_text(fd, size, ret_text, ret_size);
    return r < 0 ? error_set(ret_error, r, "%s: %s", path, strerror(-r)) : 0;
}

static int render(const struct install *install, char **ret_text, size_t *ret_size,
                  struct error *ret_error)
{
    struct answer_scope scope = {.variables = {NULL, 0}, .format = install->entry->format};
    const struct template_scope templates = {look, &scope, false, fits};
    cleanup_free char *text = NULL;
    size_t size;
    int r = read_template(install->entry->answer, &text, &size, ret_error);
    if (r < 0)
        return r;
    r = set_variables(install, &scope.variables, ret_error);
    if (r >= 0) {
        r = template_render(text, size, &templates, ret_text, ret_size, ret_error);
        if (r < 0)
            error_prefix(ret_error, "%s", install->entry->answer);
    }
    script_variables_free(&scope.variables);
    return r;
}

static void reply_answer(const struct install *install)
{
    struct error error;
    char *text;
    size_t size;
    if (render(install, &text, &size, &error) >= 0) {
        http_reply_owned(install->request, 200, "text/plain", text, size);
        return;
    }
    node_http_tell_bad_entry(install->http, install->peer, install->name, error.text);
    node_http_reply_text(install->request, 500,
                         "this answer file has a mistake; see the log of nodisk\n");
}

/* cloud-init takes no seed that has none; names have only [a-z0-9.-]. */
static void reply_meta_data(const struct install *install)
{
    char text[3 * NAME_MAX_LEN + 64];
    snprintf(text, sizeof(text), "instance-id: %s.%s\nlocal-hostname: %s\n", install->node->name,
             install->name, install->node->name);
    node_http_reply_text(install->request, 200, text);
}

static void reply_program(const struct install *install)
{
    uint64_t size;
    int fd = -1;
    if (node_http_open_file("/proc/self/exe", &fd, &size) >= 0)
        http_reply_file(install->request, 200, "application/octet-stream", fd, size);
    else
        node_http_reply_text(install->request, 500, "this program cannot read itself\n");
}

static bool is_seed(const struct install *install, const char *name)
{
    return install->entry->format == ANSWER_AUTOINSTALL && str_eq(install->what, name);
}

static void reply(const struct install *install)
{
    if (str_eq(install->what, answer_format_file(install->entry->format)))
        reply_answer(install);
    else if (str_eq(install->what, "nodisk"))
        reply_program(install);
    else if (is_seed(install, "meta-data"))
        reply_meta_data(install);
    else if (is_seed(install, "vendor-data"))
        node_http_reply_text(install->request, 200, "");
    else /* cloud-init tries more than there need be */
        node_http_reply_text(install->request, 404, "no such file of an installer\n");
}

/* --- it is done --- */

struct report {
    struct registry_reply reply;
    struct http_request *request;
};

/* On the registry's thread. */
static void report_done(struct message *message)
{
    struct report *report = container_of(message, struct report, reply.message);
    http_resume(report->request);
}

static bool begin_report(const struct install *install, const struct plan *plan)
{
    struct registry *registry = install->http->settings.registry;
    struct report *report = registry ? calloc(1, sizeof(*report)) : NULL;
    if (!report)
        return false;
    report->reply.message.run = report_done;
    report->request = install->request;
    if (!http_defer(install->request, report, free)) {
        free(report);
        return false;
    }
    if (registry_boot_installed(registry, install->node->id, install->name,
                                plan->source == PLAN_BY_POLICY, &report->reply) < 0) {
        report->reply.error.code = -ENOMEM;
        http_resume(install->request);
    }
    return true;
}

static void end_report(const struct install *install, struct report *report)
{
    const struct node_http_settings *settings = &install->http->settings;
    bool done = report->reply.error.code >= 0;
    free(report);
    if (done && settings->installed)
        settings->installed(settings->context, install->node->name, install->name);
    if (done)
        node_http_reply_text(install->request, 200, "installed\n");
    else
        node_http_reply_text(install->request, 503,
                             "that could not be written down; see the log of nodisk\n");
}

/* --- requests --- */

static struct plan plan_of(const struct install *install)
{
    struct boot_target target = {.kind = BOOT_TARGET_ENTRY};
    char chosen[BOOT_TARGET_SIZE];
    str_copy(target.name, sizeof(target.name), install->name);
    return node_http_plan_chosen(install->http, install->request,
                                 boot_target_format(&target, chosen), install->catalog,
                                 install->mac);
}

static void answer(struct install *install)
{
    struct report *report = http_take_deferred(install->request);
    bool reports = str_eq(install->what, "installed");
    struct plan plan = plan_of(install);
    bool planned = plan.kind == PLAN_ENTRY && plan.entry == install->entry;
    if (report)
        end_report(install, report);
    else if (!planned && reports) /* said twice, or by somebody who installs by hand */
        node_http_reply_text(install->request, 200, "nothing has it installed again\n");
    else if (!planned)
        node_http_reply_text(install->request, 409,
                             "this machine is not to be installed by this entry now\n");
    else if (!reports)
        reply(install);
    else if (!begin_report(install, &plan))
        node_http_reply_text(install->request, 503, "the server is being stopped\n");
}

bool node_http_install(struct node_http *http, struct http_request *request,
                       const struct endpoint *peer, const struct endpoint *local)
{
    struct install install = {.http = http, .request = request, .peer = peer, .local = local};
    const char *path = http_path(request);
    if (!str_has_prefix(path, prefix) || !split(&install, path))
        return false;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(http->settings.catalog);
    install.catalog = catalog;
    install.node = catalog_node_by_mac(catalog, install.mac);
    install.entry = catalog_entry_by_name(catalog, install.name);
    if (!install.node || !node_http_is_node(http, peer, install.node, install.mac))
        node_http_reply_text(request, 403, "this address is not that machine's\n");
    else if (node_http_install_needs_https(http, local))
        node_http_refuse_plain(http, request, peer);
    else if (!install.entry || install.entry->kind != BOOT_ENTRY_INSTALLER)
        node_http_refuse(http, request, peer, 404, "there is no such installer\n");
    else
        answer(&install);
    return true;
}
