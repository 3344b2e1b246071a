/* /v1/pending and /v1/adoptions */
#include "http/admin_nodes.h"

#include <errno.h>

#include "boot/adopt.h"

void admin_list_pending(struct call *call)
{
    struct pending *pending = call->admin->settings.pending;
    call_reply(call, 200,
               json_pack("{s:o}", "pending", pending ? pending_to_json(pending) : json_array()));
}

static int no_pending(const char *text, struct error *ret_error)
{
    return error_set(ret_error, -ENOENT,
                     "no machine '%.40s' waits to be adopted; see: nodisk node list --pending",
                     text);
}

void admin_forget_pending(struct call *call)
{
    struct pending *pending = call->admin->settings.pending;
    struct mac_address mac;
    struct error error;
    int r = pending && mac_parse(call->name, &mac) == 0 ? pending_forget(pending, mac, &error)
                                                        : no_pending(call->name, &error);
    if (r < 0)
        call_reply_error(call, &error);
    else
        call_reply(call, 200, json_object());
}

/* --- adoption --- */

/* Its disk is named like it. */
static bool is_taken(void *context, const char *name)
{
    struct call *call = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    return catalog_node_by_name(catalog, name) || catalog_volume_by_name(catalog, name);
}

/* request: all but the name and the MAC. A name without parts may be that of a volume. */
static int adopt(struct call *call, const struct registry_pending *machine,
                 const struct node_request *request, char name[static NAME_MAX_LEN + 1],
                 struct error *ret_error)
{
    struct node_request one = *request;
    const char *wanted = request->fields.name.text;
    if (!adopt_is_pattern(wanted))
        str_copy(name, NAME_MAX_LEN + 1, wanted);
    else if (adopt_make_name(wanted, machine, is_taken, call, name, ret_error) < 0)
        return ret_error->code;
    one.fields.name.text = adopt_is_pattern(wanted) ? name : wanted;
    one.macs = &machine->mac;
    one.n_macs = 1;
    return node_request_add(call, &one, ret_error);
}

static int adopt_one(struct call *call, const char *text, const struct node_request *request,
                     struct error *ret_error)
{
    struct pending *pending = call->admin->settings.pending;
    struct registry_pending machine;
    struct mac_address mac;
    char name[NAME_MAX_LEN + 1];
    if (mac_parse(text, &mac) < 0 || !pending || !pending_get(pending, mac, &machine))
        return no_pending(text, ret_error);
    int r = adopt(call, &machine, request, name, ret_error);
    if (r >= 0)
        call_reply_job(call, NULL, name, node_result);
    return r;
}

static json_t *failure_to_json(const struct registry_pending *machine, const struct error *error)
{
    char mac[MAC_TEXT_SIZE];
    return json_pack("{s:s, s:s}", "mac", mac_format(machine->mac, mac), "error", error->text);
}

static int compare_first_seen(const void *a, const void *b)
{
    const struct registry_pending *x = a, *y = b;
    return (x->first_seen > y->first_seen) - (x->first_seen < y->first_seen);
}

/* Goes on after a failure. Those that were seen first come first. */
static int adopt_matching(struct call *call, const struct adopt_match *match,
                          const struct node_request *request, struct error *ret_error)
{
    struct pending *pending = call->admin->settings.pending;
    size_t count = 0;
    cleanup_free struct registry_pending *all = pending ? pending_all(pending, &count) : NULL;
    json_t *nodes = json_array(), *failed = json_array();
    char name[NAME_MAX_LEN + 1];
    struct error error;
    (void)ret_error;
    if (all)
        qsort(all, count, sizeof(*all), compare_first_seen);
    for (size_t i = 0; all && i < count; i++) {
        if (!adopt_matches(match, &all[i]))
            continue;
        if (adopt(call, &all[i], request, name, &error) < 0)
            json_array_append_new(failed, failure_to_json(&all[i], &error));
        else
            json_array_append_new(nodes, node_result(call->admin, name, 0));
    }
    call_reply_result(call, json_pack("{s:o, s:o}", "nodes", nodes, "failed", failed));
    return 0;
}

static int read_match(const struct body_texts *texts, struct adopt_match *match,
                      struct error *ret_error)
{
    const struct {
        const char *key;
        char *place;
    } patterns[] = {
        {"subnet", match->subnet},       {"circuit_id", match->circuit_id},
        {"remote_id", match->remote_id}, {"manufacturer", match->manufacturer},
        {"product", match->product},     {"serial", match->serial},
    };
    for (size_t i = 0; i < texts->count; i++) {
        const char *key = texts->keys[i], *value = texts->values[i];
        const char *wrong = "is no key of 'match'";
        if (str_eq(key, "mac_prefix"))
            wrong = adopt_add_prefix(match, value);
        for (size_t k = 0; k < ARRAY_SIZE(patterns); k++)
            if (str_eq(key, patterns[k].key))
                wrong =
                    str_copy(patterns[k].place, ADOPT_TEXT_MAX + 1, value) ? NULL : "is too long";
        if (wrong)
            return error_set(ret_error, -EINVAL, "'%.40s' %s", key, wrong);
    }
    return 0;
}

static int check(const struct body_adoption *fields, struct error *ret_error)
{
    const char *name = fields->node.name.text;
    if (!name)
        return error_set(ret_error, -EINVAL, "'name' is missing");
    if (fields->mac.given == fields->match.given)
        return error_set(ret_error, -EINVAL, "give either 'mac' or 'match'");
    if (fields->match.given && !adopt_is_pattern(name))
        return error_set(ret_error, -EINVAL,
                         "several machines cannot all be '%.64s': the name needs a part such as "
                         "%%{number} or %%{serial}",
                         name);
    if (fields->node.macs.given)
        return error_set(ret_error, -EINVAL, "its MAC is the one that it was seen with");
    if (fields->match.given && (fields->node.address.given || fields->node.volume.given))
        return error_set(ret_error, -EINVAL, "an 'address' and a 'volume' are for one machine");
    if (fields->node.paths.given)
        return error_set(ret_error, -EINVAL,
                         "it was seen with one card; give the node its other macs and its paths "
                         "when it is one: nodisk node set NAME --mac ... --path ...");
    return adopt_is_pattern(name) ? adopt_check_pattern(name, ret_error) : 0;
}

void admin_adopt_node(struct call *call)
{
    cleanup_body struct body body = {0};
    struct body_adoption fields;
    struct node_request request = {0};
    struct adopt_match match = {0};
    struct error error;
    size_t size;
    const char *data = http_body(call->request, &size);
    int r = body_read_adoption(data, size, &body, &fields, &error);
    if (r >= 0)
        r = check(&fields, &error);
    if (r >= 0)
        r = node_request_take(&body, &fields.node, &request, &error);
    if (r >= 0)
        r = read_match(&fields.match, &match, &error);
    if (r >= 0)
        r = fields.mac.given ? adopt_one(call, fields.mac.text, &request, &error)
                             : adopt_matching(call, &match, &request, &error);
    if (r < 0)
        call_reply_error(call, &error);
}
