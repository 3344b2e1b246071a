/* nodisk volume create | list | show | set | remove | attach | detach; overlay.c has further ones
 */
#include "cli/command.h"
#include "cli/overlay.h"
#include "core/credentials.h"
#include "core/source.h"

#include <errno.h>

static bool is_initiator(const char *word)
{
    return str_eq(word, "any") || str_has_prefix(word, "iqn.");
}

static bool is_source(const char *word)
{
    struct source source;
    return str_eq(word, "any") || source_parse(word, &source) == 0;
}

/* What initiators other than the volume's nodes prove. */
#define CHAP_OPTIONS                                                                               \
    {"chap-user", "NAME", "with which other initiators than its node log in"},                     \
        {"chap-secret-file", "PATH", "that has the secret of that name (12 to 255 characters)"},   \
        {"chap-target-user", "NAME", "the target's own name, for mutual CHAP"},                    \
    {                                                                                              \
        "chap-target-secret-file", "PATH", "that has another secret, for that"                     \
    }

#define ALLOW_FROM_OPTION                                                                          \
    {                                                                                              \
        "allow-from", "ADDRESS|NETWORK/BITS|node|any",                                             \
            "whence alone to log in; node: from the own address of the node that does", true,      \
            is_source                                                                              \
    }

static const struct cli_option create_options[] = {
    {"size", "SIZE",
     "empty, this large (10G, 512M; powers of 1024); over an image: larger than it"},
    {"image", "IMAGE[@N]", "over the latest version of this image, or over version N for good"},
    {"overlay", NULL, "an empty one, too, can have snapshots"},
    {"copy", NULL, "a copy of the image, not an overlay"},
    {"ephemeral", NULL, "an overlay that is reset whenever its node boots"},
    {"file", "PATH", "this raw file, used where it is"},
    {"device", "PATH", "this block device, of which everything else lets go"},
    {"nbd", "URI", "this export of an NBD server (nbd://HOST/NAME), served from there"},
    {"iscsi", "URI",
     "this LUN of a target elsewhere (iscsi://HOST/TARGET/LUN), for its node to use"},
    {"block-size", "512|4096", "bytes of a logical block; 512, or the device's own"},
    {"read-only", NULL, "nobody may write to it"},
    {"thick", NULL, "takes all of its space now and gives none back"},
    {"removable", NULL, "who uses it can eject it"},
    {"allow", "INITIATOR|any", "who may log in besides the node that has it", true, is_initiator},
    ALLOW_FROM_OPTION,
    CHAP_OPTIONS,
};

static const struct cli_option set_options[] = {
    {"ephemeral", "yes|no", "is it reset whenever its node boots?"},
    {"follow", "yes|no", "does a reset take the latest version of its image, or the one it has?"},
    {"size", "SIZE", "larger than it is; who uses it is told"},
    ALLOW_FROM_OPTION,
    {"chap", "none", "nothing has to be proved any more"},
    CHAP_OPTIONS,
};

/* Puts the one source that was given into the body. An exit status. */
static int set_source(const struct args *args, json_t *body)
{
    const char *size = args_value(args, "size");
    if (size) {
        uint64_t bytes;
        if (size_parse(size, &bytes) < 0)
            return cli_bad_value("size", size, "is not a size such as 10G or 512M");
        json_object_set_new(body, "size", json_integer((json_int_t)bytes));
    }
    if (args_value(args, "image"))
        json_object_set_new(body, "image", json_string(args_value(args, "image")));
    static const char *const uris[] = {"nbd", "iscsi"};
    for (size_t i = 0; i < ARRAY_SIZE(uris); i++)
        if (args_value(args, uris[i]))
            json_object_set_new(body, uris[i], json_string(args_value(args, uris[i])));
    static const char *const paths[] = {"file", "device"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        const char *value = args_value(args, paths[i]);
        cleanup_free char *path = value ? cli_absolute_path(value) : NULL;
        if (value && !path)
            return CLI_FAILED;
        if (value)
            json_object_set_new(body, paths[i], json_string(path));
    }
    bool is_larger = size && args_given(args, "image"); /* than its image */
    if (json_object_size(body) == 1u + is_larger)
        return CLI_OK;
    fprintf(stderr, "nodisk: give exactly one of --size, --image, --file, --device, --nbd and "
                    "--iscsi\n");
    return CLI_USAGE;
}

static int set_block_size(const struct args *args, json_t *body)
{
    const char *value = args_value(args, "block-size");
    uint64_t bytes;
    if (!value)
        return CLI_OK;
    if (size_parse(value, &bytes) < 0 || (bytes != 512 && bytes != 4096))
        return cli_bad_value("block-size", value, "must be 512 or 4096");
    json_object_set_new(body, "block_size", json_integer((json_int_t)bytes));
    return CLI_OK;
}

static void set_allow(const struct args *args, json_t *body)
{
    json_t *given = cli_values(args, "allow"), *list = json_array(), *value;
    size_t i;
    json_array_foreach(given, i, value)
    {
        if (str_eq(json_string_value(value), "any"))
            json_object_set_new(body, "allow_any", json_true());
        else
            json_array_append(list, value);
    }
    json_object_set_new(body, "allow", list);
    json_decref(given);
}

/* One direction: a user name and the secret in a file. An exit status. */
static int set_credentials(const struct args *args, json_t *body, const char *user_option,
                           const char *file_option, const char *user_key, const char *secret_key)
{
    cleanup_credentials struct credentials c;
    struct error error;
    const char *user = args_value(args, user_option), *file = args_value(args, file_option);
    if (!user && !file)
        return CLI_OK;
    if (!user || !file) {
        fprintf(stderr, "nodisk: give --%s together with --%s\n", user_option, file_option);
        return CLI_USAGE;
    }
    if (credentials_read(user, file, &c, &error) < 0)
        return cli_fail(&error);
    json_object_set_new(body, user_key, json_string(c.user));
    json_object_set_new(body, secret_key, json_string(c.secret));
    return CLI_OK;
}

/* "any" leaves none of them. An exit status. */
static int set_allow_from(const struct args *args, json_t *body)
{
    json_t *given = cli_values(args, "allow-from"), *list = json_array(), *value;
    size_t i, n_any = 0;
    json_array_foreach(given, i, value)
    {
        if (str_eq(json_string_value(value), "any"))
            n_any++;
        else
            json_array_append(list, value);
    }
    json_decref(given);
    if (args_given(args, "allow-from"))
        json_object_set(body, "allow_from", list);
    bool both = n_any > 0 && json_array_size(list) > 0;
    json_decref(list);
    return both ? cli_bad_value("allow-from", "any", "cannot be given beside addresses") : CLI_OK;
}

static int set_chap(const struct args *args, json_t *body)
{
    int r =
        set_credentials(args, body, "chap-user", "chap-secret-file", "chap_user", "chap_secret");
    if (r == CLI_OK)
        r = set_credentials(args, body, "chap-target-user", "chap-target-secret-file",
                            "chap_target_user", "chap_target_secret");
    return r;
}

static int create(const struct cli *cli, const struct args *args)
{
    struct cli_job job = {.interrupted = "the daemon undoes what was not finished"};
    json_t *body = json_object(), *json;
    int r = set_source(args, body);
    if (r == CLI_OK)
        r = set_block_size(args, body);
    if (r == CLI_OK)
        r = set_chap(args, body);
    if (r != CLI_OK) {
        json_decref(body);
        return r;
    }
    if (args_given(args, "read-only"))
        json_object_set_new(body, "read_only", json_true());
    if (args_given(args, "thick"))
        json_object_set_new(body, "thick", json_true());
    static const char *const flags[] = {"removable", "overlay", "copy", "ephemeral"};
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (args_given(args, flags[i]))
            json_object_set_new(body, flags[i], json_true());
    set_allow(args, body);
    r = set_allow_from(args, body);
    if (r != CLI_OK) {
        json_decref(body);
        return r;
    }
    json_object_set_new(body, "name", json_string(args->words[0]));
    snprintf(job.what, sizeof(job.what), "filling volume %.64s", args->words[0]);
    r = cli_ask(cli, "POST", "/v1/volumes", body, &job, &json);
    if (r != CLI_OK)
        return r;
    cleanup_free char *target = strdup(print_text(json, "target") ?: "-");
    return cli_done(cli, json, "volume %s is ready: %s\n", args->words[0], target);
}

/* "yes" or "no". An exit status. */
static int set_flag(const struct args *args, json_t *body, const char *option, const char *key)
{
    const char *value = args_value(args, option);
    if (!value)
        return CLI_OK;
    if (!str_eq(value, "yes") && !str_eq(value, "no"))
        return cli_bad_value(option, value, "must be yes or no");
    json_object_set_new(body, key, json_boolean(str_eq(value, "yes")));
    return CLI_OK;
}

static int set_size(const struct args *args, json_t *body)
{
    const char *value = args_value(args, "size");
    uint64_t bytes;
    if (!value)
        return CLI_OK;
    if (size_parse(value, &bytes) < 0)
        return cli_bad_value("size", value, "is not a size such as 10G or 512M");
    json_object_set_new(body, "size", json_integer((json_int_t)bytes));
    return CLI_OK;
}

static int set(const struct cli *cli, const struct args *args)
{
    json_t *body = json_object(), *json;
    int r = set_chap(args, body);
    if (r == CLI_OK)
        r = set_flag(args, body, "ephemeral", "ephemeral");
    if (r == CLI_OK)
        r = set_flag(args, body, "follow", "follows");
    if (r == CLI_OK)
        r = set_size(args, body);
    if (r == CLI_OK)
        r = set_allow_from(args, body);
    if (args_value(args, "chap"))
        json_object_set_new(body, "chap", json_string(args_value(args, "chap")));
    if (r == CLI_OK && json_object_size(body) == 0) {
        fprintf(stderr, "nodisk: say what to change; see: nodisk volume set --help\n");
        r = CLI_USAGE;
    }
    if (r != CLI_OK) {
        json_decref(body);
        return r;
    }
    cleanup_free char *path = cli_path("/v1/volumes", args->words[0]);
    r = cli_ask(cli, "PATCH", path, body, NULL, &json);
    if (r != CLI_OK)
        return r;
    cleanup_free char *outside = cli_join(json_object_get(json, "sessions_outside"));
    if (!*outside)
        return cli_done(cli, json, "volume %s is changed\n", args->words[0]);
    return cli_done(cli, json,
                    "volume %s is changed; still logged in from elsewhere until it logs out (or "
                    "nodisk session kill): %s\n",
                    args->words[0], outside);
}

/* Null: not known. */
static void add_bytes(struct table *table, const json_t *v, const char *key)
{
    if (json_is_null(json_object_get(v, key)))
        table_add(table, NULL);
    else
        table_add_size(table, print_number(v, key));
}

static void add_row(struct table *table, const json_t *v)
{
    cleanup_free char *nodes = cli_join(json_object_get(v, "nodes"));
    table_add(table, print_text(v, "name"));
    table_add(table, print_text(v, "state"));
    table_add(table, print_text(v, "kind"));
    add_bytes(table, v, "size");
    add_bytes(table, v, "used");
    table_add(table, print_text(v, "image"));
    table_add(table, nodes);
}

static void print_volumes(const json_t *answer)
{
    static const char *const headings[] = {"VOLUME", "STATE", "KIND",  ">SIZE",
                                           ">USED",  "IMAGE", "NODES", NULL};
    table_print_all(headings, json_object_get(answer, "volumes"), add_row,
                    "no volumes yet; make one: nodisk volume create NAME --size 10G");
}

static int list(const struct cli *cli, const struct args *args)
{
    return cli_show(cli, "/v1/volumes", print_volumes);
}

static void print_trial(const json_t *trial)
{
    char line[256];
    if (!json_is_object(trial))
        return;
    snprintf(line, sizeof(line), "snapshot %.64s, for this boot", print_text(trial, "snapshot"));
    print_field("is", line);
    snprintf(line, sizeof(line), "is again what is snapshot %.64s", print_text(trial, "kept"));
    print_field("then", line);
}

static void print_overlay(const json_t *overlay)
{
    char line[128];
    const char *staged = print_text(overlay, "staged");
    const char *argument = print_text(overlay, "staged_argument");
    if (!json_is_object(overlay))
        return;
    print_field("reset", json_is_true(json_object_get(overlay, "follows"))
                             ? "takes the latest version of its image"
                             : "takes this version of its image");
    if (json_is_true(json_object_get(overlay, "ephemeral")))
        print_field("ephemeral", "reset whenever its node boots");
    snprintf(line, sizeof(line), "%.16s%s%.80s", staged ? staged : "nothing",
             argument ? " to " : "", argument ? argument : "");
    print_trial(json_object_get(overlay, "trial"));
    print_field("at next boot", line);
    snprintf(line, sizeof(line), "%zu", json_array_size(json_object_get(overlay, "snapshots")));
    print_field("snapshots", line);
}

static void print_served(const json_t *v)
{
    char text[AGE_TEXT_SIZE], size[64];
    snprintf(size, sizeof(size), "%s (%llu bytes, blocks of %llu)",
             size_format(print_number(v, "size"), text),
             (unsigned long long)print_number(v, "size"),
             (unsigned long long)print_number(v, "block_size"));
    print_field("size", size);
    if (!json_is_null(json_object_get(v, "used")))
        print_field("used", size_format(print_number(v, "used"), text));
    print_field("image", print_text(v, "image"));
    print_overlay(json_object_get(v, "overlay"));
    print_field("access", json_is_true(json_object_get(v, "read_only")) ? "read-only" : "writable");
    print_field("provisioning", json_is_true(json_object_get(v, "thick")) ? "thick" : "thin");
    print_field("medium", json_is_true(json_object_get(v, "removable")) ? "removable" : "fixed");
    print_field("serial", print_text(v, "serial"));
}

/* What is more to say of it, its target knows. */
static void print_elsewhere(const json_t *v)
{
    char lun[16];
    const json_t *elsewhere = json_object_get(v, "elsewhere");
    snprintf(lun, sizeof(lun), "%u", (unsigned)print_number(elsewhere, "lun"));
    print_field("portal", print_text(elsewhere, "portal"));
    print_field("lun", lun);
    print_field("size", NULL);
}

static void print_volume(const json_t *v)
{
    char text[AGE_TEXT_SIZE];
    cleanup_free char *nodes = cli_join(json_object_get(v, "nodes"));
    cleanup_free char *allow = cli_join(json_object_get(v, "allow"));
    cleanup_free char *allow_from = cli_join(json_object_get(v, "allow_from"));
    size_t i;
    json_t *a;
    print_field("volume", print_text(v, "name"));
    print_field("state", print_text(v, "state"));
    if (print_text(v, "failure"))
        print_field("failure", print_text(v, "failure"));
    print_field("target", print_text(v, "target"));
    print_field("nodes", nodes);
    json_array_foreach(json_object_get(v, "attached"), i, a)
    {
        char line[96];
        snprintf(line, sizeof(line), "%.64s, LUN %u", print_text(a, "node"),
                 (unsigned)print_number(a, "lun"));
        print_field("attached to", line);
    }
    print_field("allowed", allow);
    print_field("allowed from", *allow_from ? allow_from : "anywhere");
    print_field("chap", print_text(v, "chap"));
    if (print_text(v, "chap_user"))
        print_field("chap user", print_text(v, "chap_user"));
    print_field(print_text(v, "kind"), print_text(v, "path"));
    if (json_is_object(json_object_get(v, "elsewhere")))
        print_elsewhere(v);
    else
        print_served(v);
    print_field("created", print_time(print_number(v, "created_at"), text));
}

static int show(const struct cli *cli, const struct args *args)
{
    cleanup_free char *path = cli_path("/v1/volumes", args->words[0]);
    return cli_show(cli, path, print_volume);
}

static int remove_volume(const struct cli *cli, const struct args *args)
{
    json_t *json;
    cleanup_free char *path = cli_path("/v1/volumes", args->words[0]);
    int r = cli_ask(cli, "DELETE", path, NULL, NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "volume %s is removed\n", args->words[0]);
}

static const struct cli_option attach_options[] = {
    {"lun", "1..255", "as this LUN; otherwise the lowest that is free"},
};

/* From when on the node has it. */
static const char *describe_sessions(const json_t *attached, char text[static 256])
{
    const char *problem = print_text(attached, "problem");
    if (problem)
        snprintf(text, 256, "from the node's next login on; it does not see it now: %.180s",
                 problem);
    else if (print_number(attached, "sessions") > 0)
        str_copy(text, 256, "which is logged in and sees it now");
    else
        str_copy(text, 256, "from the node's next login on");
    return text;
}

static int attach(const struct cli *cli, const struct args *args)
{
    const char *text = args_value(args, "lun");
    char *end;
    json_t *json, *body = json_pack("{s:s, s:s}", "volume", args->words[0], "node", args->words[1]);
    if (text) {
        long lun = strtol(text, &end, 10);
        if (*text < '1' || *text > '9' || *end || lun < 1 || lun > 255) {
            json_decref(body);
            return cli_bad_value("lun", text, "must be a number from 1 to 255");
        }
        json_object_set_new(body, "lun", json_integer(lun));
    }
    int r = cli_ask(cli, "POST", "/v1/attachments", body, NULL, &json);
    if (r != CLI_OK)
        return r;
    unsigned lun = (unsigned)print_number(json, "lun");
    char when[256];
    return cli_done(cli, json, "volume %s is LUN %u of node %s, %s\n", args->words[0], lun,
                    args->words[1], describe_sessions(json, when));
}

static int detach(const struct cli *cli, const struct args *args)
{
    json_t *json;
    cleanup_free char *path = cli_path("/v1/attachments", args->words[1]);
    cleanup_free char *name = cli_path("", args->words[0]); /* "/NAME", encoded */
    cleanup_free char *full = NULL;
    if (asprintf(&full, "%s?volume=%s", path, name + 1) < 0)
        abort();
    int r = cli_ask(cli, "DELETE", full, NULL, NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "volume %s is detached from node %s\n", args->words[0],
                    args->words[1]);
}

static const struct cli_verb verbs[] = {
    {"create", "NAME", 1, "Makes a volume that the server exports as <base-iqn>:NAME",
     create_options, ARRAY_SIZE(create_options),
     "Exactly one of --size, --image, --file, --device and --nbd says what it is made of. Over an\n"
     "image it takes no time and no space until it is written to; over the latest version, a "
     "reset\n"
     "takes the latest version then.\n",
     create},
    {"list", "", 0, "All volumes and what they really use", NULL, 0, NULL, list},
    {"show", "NAME", 1, "One volume", NULL, 0, NULL, show},
    {"set", "NAME", 1, "Changes its size, what a reset does, or who must prove what", set_options,
     ARRAY_SIZE(set_options),
     "What must be proved holds from the next login on of other initiators than its node. A node\n"
     "logs in to its disk as nodisk node set --chap says.\n",
     set},
    {"remove", "NAME", 1, "Removes a volume that nobody uses", NULL, 0,
     "Its file goes with it if nodisk made it; a file, device or export of\n"
     "yours (--file, --device, --nbd) stays as it is.\n",
     remove_volume},
    {"attach", "VOLUME NODE", 2, "Makes a volume a further disk of a node", attach_options,
     ARRAY_SIZE(attach_options),
     "The node sees it as LUN 1 and up of its target, from its next login on. A volume that\n"
     "belongs to another node is refused, unless it is read-only or shared (--allow any).\n",
     attach},
    {"detach", "VOLUME NODE", 2, "Takes a further disk from a node that is down", NULL, 0, NULL,
     detach},
};

const struct cli_noun cli_volume = {"volume",
                                    "Disks that the server exports",
                                    verbs,
                                    ARRAY_SIZE(verbs),
                                    cli_overlay_verbs,
                                    CLI_N_OVERLAY_VERBS};
