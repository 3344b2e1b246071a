#include "http/body.h"

#include "core/names.h"

#include <errno.h>

#define MAX_DEPTH 4 /* ours have two */

enum field_type { FIELD_TEXT, FIELD_NUMBER, FIELD_BOOL, FIELD_LIST, FIELD_TEXTS };

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    bool required;
    bool may_be_null;
};

void body_free(struct body *body)
{
    json_decref(body->root);
    arena_free(&body->arena);
    body->root = NULL;
}

/* jansson calls itself for each level: look first how deep it would go. */
static bool is_too_deep(const char *data, size_t size)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        if (in_string) {
            if (data[i] == '\\')
                i++;
            else if (data[i] == '"')
                in_string = false;
        } else if (data[i] == '"') {
            in_string = true;
        } else if (data[i] == '{' || data[i] == '[') {
            if (++depth > MAX_DEPTH)
                return true;
        } else if ((data[i] == '}' || data[i] == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

static int wrong_type(const struct field *field, struct error *ret_error)
{
    static const char *const words[] = {
        [FIELD_TEXT] = "a text",
        [FIELD_NUMBER] = "a whole number from 0",
        [FIELD_BOOL] = "true or false",
        [FIELD_LIST] = "a list of texts",
        [FIELD_TEXTS] = "an object whose values are texts",
    };
    return error_set(ret_error, -EINVAL, "'%s' must be %s", field->name, words[field->type]);
}

static int read_list(struct body *body, const struct field *field, const json_t *value,
                     struct body_list *list, struct error *ret_error)
{
    size_t count = json_array_size(value);
    list->items = arena_alloc(&body->arena, (count + 1) * sizeof(*list->items));
    if (!list->items)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        list->items[i] = json_string_value(json_array_get(value, i));
        if (!list->items[i])
            return wrong_type(field, ret_error);
    }
    list->given = true;
    list->count = count;
    return 0;
}

static int read_texts(struct body *body, const struct field *field, const json_t *value,
                      struct body_texts *texts, struct error *ret_error)
{
    const char *key;
    const json_t *text;
    size_t room = json_object_size(value) + 1;
    texts->keys = arena_alloc(&body->arena, room * sizeof(*texts->keys));
    texts->values = arena_alloc(&body->arena, room * sizeof(*texts->values));
    if (!texts->keys || !texts->values)
        return error_set(ret_error, -ENOMEM, "out of memory");
    json_object_foreach((json_t *)value, key, text)
    {
        if (!json_is_string(text) && !(field->may_be_null && json_is_null(text)))
            return wrong_type(field, ret_error);
        texts->keys[texts->count] = key;
        texts->values[texts->count++] = json_string_value(text);
    }
    texts->given = true;
    return 0;
}

static int read_value(struct body *body, const struct field *field, const json_t *value,
                      void *place, struct error *ret_error)
{
    switch (field->type) {
    case FIELD_TEXT:
        if (!json_is_string(value) && !(field->may_be_null && json_is_null(value)))
            return wrong_type(field, ret_error);
        *(struct body_text *)place = (struct body_text){true, json_string_value(value)};
        return 0;
    case FIELD_NUMBER:
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return wrong_type(field, ret_error);
        *(struct body_number *)place =
            (struct body_number){true, (uint64_t)json_integer_value(value)};
        return 0;
    case FIELD_BOOL:
        if (!json_is_boolean(value))
            return wrong_type(field, ret_error);
        *(struct body_bool *)place = (struct body_bool){true, json_is_true(value)};
        return 0;
    case FIELD_TEXTS:
        if (!json_is_object(value))
            return wrong_type(field, ret_error);
        return read_texts(body, field, value, place, ret_error);
    case FIELD_LIST:
    default:
        if (!json_is_array(value))
            return wrong_type(field, ret_error);
        return read_list(body, field, value, place, ret_error);
    }
}

static const struct field *find_field(const struct field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(fields[i].name, name))
            return &fields[i];
    return NULL;
}

static int read_members(struct body *body, const struct field *fields, size_t count, void *place,
                        struct error *ret_error)
{
    const char *key;
    json_t *value;
    json_object_foreach(body->root, key, value)
    {
        const struct field *field = find_field(fields, count, key);
        if (!field)
            return error_set(ret_error, -EINVAL, "there is no key '%.64s' here", key);
        int r = read_value(body, field, value, (char *)place + field->offset, ret_error);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < count; i++)
        if (fields[i].required && !json_object_get(body->root, fields[i].name))
            return error_set(ret_error, -EINVAL, "'%s' is missing", fields[i].name);
    return 0;
}

static int read_body(const char *data, size_t size, struct body *body, const struct field *fields,
                     size_t count, void *place, struct error *ret_error)
{
    json_error_t why;
    if (size == 0)
        return error_set(ret_error, -EINVAL, "the request has no body; send a JSON object");
    if (is_too_deep(data, size))
        return error_set(ret_error, -EINVAL, "the body is nested too deep");
    body->root = json_loadb(data, size, JSON_REJECT_DUPLICATES, &why);
    if (!body->root)
        return error_set(ret_error, -EINVAL, "the body is not JSON: %s (line %d)", why.text,
                         why.line);
    if (!json_is_object(body->root))
        return error_set(ret_error, -EINVAL, "the body must be a JSON object");
    return read_members(body, fields, count, place, ret_error);
}

#define NODE_FIELDS(type, member)                                                                  \
    {"name", FIELD_TEXT, offsetof(type, member.name)},                                             \
        {"group", FIELD_TEXT, offsetof(type, member.group), .may_be_null = true},                  \
        {"address", FIELD_TEXT, offsetof(type, member.address), .may_be_null = true},              \
        {"volume", FIELD_TEXT, offsetof(type, member.volume), .may_be_null = true},                \
        {"image", FIELD_TEXT, offsetof(type, member.image)},                                       \
        {"macs", FIELD_LIST, offsetof(type, member.macs)},                                         \
        {"paths", FIELD_LIST, offsetof(type, member.paths)},                                       \
        {"chap", FIELD_TEXT, offsetof(type, member.chap)},                                         \
        {"chap_rotate", FIELD_BOOL, offsetof(type, member.chap_rotate)},                           \
        {"chap_rotation", FIELD_TEXT, offsetof(type, member.chap_rotation)},                       \
        {"options", FIELD_LIST, offsetof(type, member.options)},                                   \
        {"no_options", FIELD_LIST, offsetof(type, member.no_options)},                             \
        {"direct", FIELD_TEXT, offsetof(type, member.direct)},                                     \
        {"ibft_origin", FIELD_TEXT, offsetof(type, member.ibft_origin)},                           \
    {                                                                                              \
        "wake_password", FIELD_TEXT, offsetof(type, member.wake_password), .may_be_null = true     \
    }

static int check_disk(const struct body_node *node, struct error *ret_error)
{
    if (node->volume.given && node->image.given)
        return error_set(ret_error, -EINVAL,
                         "give either 'image' (a disk of its own is made) or 'volume', not both");
    return 0;
}

struct named_node {
    struct body_node node;
};

int body_read_node(const char *data, size_t size, struct body *body, struct body_node *ret_node,
                   struct error *ret_error)
{
    static const struct field fields[] = {NODE_FIELDS(struct named_node, node)};
    *ret_node = (struct body_node){0};
    int r = read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_node, ret_error);
    return r < 0 ? r : check_disk(ret_node, ret_error);
}

int body_read_adoption(const char *data, size_t size, struct body *body,
                       struct body_adoption *ret_adoption, struct error *ret_error)
{
    static const struct field fields[] = {
        NODE_FIELDS(struct body_adoption, node),
        {"mac", FIELD_TEXT, offsetof(struct body_adoption, mac)},
        {"match", FIELD_TEXTS, offsetof(struct body_adoption, match)},
    };
    *ret_adoption = (struct body_adoption){0};
    int r = read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_adoption, ret_error);
    return r < 0 ? r : check_disk(&ret_adoption->node, ret_error);
}

int body_read_wake(const char *data, size_t size, struct body *body, struct body_wake *ret_wake,
                   struct error *ret_error)
{
    static const struct field fields[] = {
        {"node", FIELD_TEXT, offsetof(struct body_wake, node), .required = true},
        {"force", FIELD_BOOL, offsetof(struct body_wake, force)},
    };
    *ret_wake = (struct body_wake){0};
    return read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_wake, ret_error);
}

int body_read_bmc(const char *data, size_t size, struct body *body, struct body_bmc *ret_bmc,
                  struct error *ret_error)
{
    static const struct field fields[] = {
        {"node", FIELD_TEXT, offsetof(struct body_bmc, node), .required = true},
        {"address", FIELD_TEXT, offsetof(struct body_bmc, address), .may_be_null = true},
        {"user", FIELD_TEXT, offsetof(struct body_bmc, user)},
        {"password", FIELD_TEXT, offsetof(struct body_bmc, password)},
    };
    *ret_bmc = (struct body_bmc){0};
    return read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_bmc, ret_error);
}

int body_read_power(const char *data, size_t size, struct body *body, struct body_power *ret_power,
                    struct error *ret_error)
{
    static const struct field fields[] = {
        {"node", FIELD_TEXT, offsetof(struct body_power, node), .required = true},
        {"action", FIELD_TEXT, offsetof(struct body_power, action), .required = true},
    };
    *ret_power = (struct body_power){0};
    return read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_power, ret_error);
}

#define CHAP_FIELDS(type, member)                                                                  \
    {"chap_user", FIELD_TEXT, offsetof(type, member.user)},                                        \
        {"chap_secret", FIELD_TEXT, offsetof(type, member.secret)},                                \
        {"chap_target_user", FIELD_TEXT, offsetof(type, member.target_user)},                      \
    {                                                                                              \
        "chap_target_secret", FIELD_TEXT, offsetof(type, member.target_secret)                     \
    }

/* Over an image it is one unless it is to be a copy; over nothing only if asked for. */
static int check_overlay(const struct body_volume *v, struct error *ret_error)
{
    bool copy = v->copy.value || v->thick.value;
    if (v->copy.value && !v->image.given)
        return error_set(ret_error, -EINVAL, "'copy' is for a volume made from an 'image'");
    if (v->overlay.value && (copy || v->file.given || v->device.given))
        return error_set(ret_error, -EINVAL,
                         "'overlay' is for a volume over an 'image', or an empty one, that is "
                         "neither 'copy' nor 'thick'");
    if (copy && v->image.given && v->size.given)
        return error_set(ret_error, -EINVAL, "a copy is as large as its image; leave 'size' out");
    if (v->ephemeral.value && (copy || !(v->image.given || v->overlay.value)))
        return error_set(ret_error, -EINVAL, "only an overlay can be 'ephemeral'");
    return 0;
}

/* What the target there decides, or only makes sense of a disk that we serve. */
static int check_elsewhere(const struct body_volume *v, struct error *ret_error)
{
    const struct {
        const char *name;
        bool given;
    } of_ours[] = {
        {"block_size", v->block_size.given}, {"read_only", v->read_only.value},
        {"thick", v->thick.value},           {"removable", v->removable.value},
        {"allow_any", v->allow_any.value},   {"overlay", v->overlay.value},
        {"allow", v->allow.count > 0},       {"allow_from", v->allow_from.count > 0},
    };
    for (size_t i = 0; v->iscsi.given && i < ARRAY_SIZE(of_ours); i++)
        if (of_ours[i].given)
            return error_set(ret_error, -EINVAL,
                             "'%s' is for volumes that are served here; a LUN of an iSCSI target "
                             "elsewhere is as that target has it",
                             of_ours[i].name);
    return 0;
}

int body_read_volume(const char *data, size_t size, struct body *body,
                     struct body_volume *ret_volume, struct error *ret_error)
{
    static const struct field fields[] = {
        {"name", FIELD_TEXT, offsetof(struct body_volume, name), .required = true},
        {"size", FIELD_NUMBER, offsetof(struct body_volume, size)},
        {"image", FIELD_TEXT, offsetof(struct body_volume, image)},
        {"file", FIELD_TEXT, offsetof(struct body_volume, file)},
        {"device", FIELD_TEXT, offsetof(struct body_volume, device)},
        {"nbd", FIELD_TEXT, offsetof(struct body_volume, nbd)},
        {"iscsi", FIELD_TEXT, offsetof(struct body_volume, iscsi)},
        {"block_size", FIELD_NUMBER, offsetof(struct body_volume, block_size)},
        {"read_only", FIELD_BOOL, offsetof(struct body_volume, read_only)},
        {"thick", FIELD_BOOL, offsetof(struct body_volume, thick)},
        {"removable", FIELD_BOOL, offsetof(struct body_volume, removable)},
        {"allow_any", FIELD_BOOL, offsetof(struct body_volume, allow_any)},
        {"overlay", FIELD_BOOL, offsetof(struct body_volume, overlay)},
        {"copy", FIELD_BOOL, offsetof(struct body_volume, copy)},
        {"ephemeral", FIELD_BOOL, offsetof(struct body_volume, ephemeral)},
        {"allow", FIELD_LIST, offsetof(struct body_volume, allow)},
        {"allow_from", FIELD_LIST, offsetof(struct body_volume, allow_from)},
        CHAP_FIELDS(struct body_volume, chap),
    };
    *ret_volume = (struct body_volume){0};
    int r = read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_volume, ret_error);
    if (r < 0)
        return r;
    bool is_larger = ret_volume->image.given && ret_volume->size.given; /* than its image */
    if (ret_volume->size.given + ret_volume->image.given + ret_volume->file.given +
            ret_volume->device.given + ret_volume->nbd.given + ret_volume->iscsi.given !=
        1 + is_larger)
        return error_set(
            ret_error, -EINVAL,
            "give exactly one of 'size', 'image', 'file', 'device', 'nbd' and 'iscsi'");
    r = check_overlay(ret_volume, ret_error);
    if (r >= 0)
        r = check_elsewhere(ret_volume, ret_error);
    if (r < 0)
        return r;
    if (ret_volume->block_size.number > UINT32_MAX)
        return error_set(ret_error, -EINVAL, "'block_size' must be 512 or 4096");
    return 0;
}

int body_read_volume_change(const char *data, size_t size, struct body *body,
                            struct body_volume_change *ret_change, struct error *ret_error)
{
    static const struct field fields[] = {
        {"chap", FIELD_TEXT, offsetof(struct body_volume_change, chap)},
        {"ephemeral", FIELD_BOOL, offsetof(struct body_volume_change, ephemeral)},
        {"follows", FIELD_BOOL, offsetof(struct body_volume_change, follows)},
        {"size", FIELD_NUMBER, offsetof(struct body_volume_change, size)},
        {"allow_from", FIELD_LIST, offsetof(struct body_volume_change, allow_from)},
        CHAP_FIELDS(struct body_volume_change, credentials),
    };
    *ret_change = (struct body_volume_change){0};
    int r = read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_change, ret_error);
    if (r < 0)
        return r;
    if (ret_change->chap.given && !str_eq(ret_change->chap.text, "none"))
        return error_set(ret_error, -EINVAL, "'chap' of a volume can only be none");
    if (ret_change->chap.given && body_chap_given(&ret_change->credentials))
        return error_set(ret_error, -EINVAL,
                         "give either 'chap' (none) or 'chap_user' and 'chap_secret'");
    if (json_object_size(body->root) == 0)
        return error_set(ret_error, -EINVAL, "say what to change");
    return 0;
}

bool body_chap_given(const struct body_chap *chap)
{
    return chap->user.given || chap->secret.given || chap->target_user.given ||
           chap->target_secret.given;
}

int body_read_change(const char *data, size_t size, struct body *body,
                     struct body_change *ret_change, struct error *ret_error)
{
    static const struct field fields[] = {
        {"volume", FIELD_TEXT, offsetof(struct body_change, volume), .required = true},
        {"change", FIELD_TEXT, offsetof(struct body_change, change), .required = true},
        {"snapshot", FIELD_TEXT, offsetof(struct body_change, snapshot)},
        {"image", FIELD_TEXT, offsetof(struct body_change, image)},
        {"at_next_boot", FIELD_BOOL, offsetof(struct body_change, at_next_boot)},
        {"force", FIELD_BOOL, offsetof(struct body_change, force)},
    };
    *ret_change = (struct body_change){0};
    return read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_change, ret_error);
}

int body_read_commit(const char *data, size_t size, struct body *body, struct body_fold *ret_fold,
                     struct error *ret_error)
{
    static const struct field fields[] = {
        {"volume", FIELD_TEXT, offsetof(struct body_fold, volume), .required = true},
        {"image", FIELD_TEXT, offsetof(struct body_fold, image), .required = true},
        {"snapshot", FIELD_TEXT, offsetof(struct body_fold, snapshot)},
        {"labels", FIELD_TEXTS, offsetof(struct body_fold, labels)},
    };
    *ret_fold = (struct body_fold){0};
    return read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_fold, ret_error);
}

int body_read_export(const char *data, size_t size, struct body *body, struct body_fold *ret_fold,
                     struct error *ret_error)
{
    static const struct field fields[] = {
        {"volume", FIELD_TEXT, offsetof(struct body_fold, volume), .required = true},
        {"path", FIELD_TEXT, offsetof(struct body_fold, path), .required = true},
        {"snapshot", FIELD_TEXT, offsetof(struct body_fold, snapshot)},
        {"format", FIELD_TEXT, offsetof(struct body_fold, format)},
        {"compress", FIELD_BOOL, offsetof(struct body_fold, compress)},
    };
    *ret_fold = (struct body_fold){0};
    return read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_fold, ret_error);
}

int body_read_snapshot(const char *data, size_t size, struct body *body,
                       struct body_snapshot *ret_snapshot, struct error *ret_error)
{
    static const struct field fields[] = {
        {"volume", FIELD_TEXT, offsetof(struct body_snapshot, volume), .required = true},
        {"name", FIELD_TEXT, offsetof(struct body_snapshot, name), .required = true},
    };
    *ret_snapshot = (struct body_snapshot){0};
    return read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_snapshot, ret_error);
}

int body_read_image(const char *data, size_t size, struct body *body, struct body_image *ret_image,
                    struct error *ret_error)
{
    static const struct field fields[] = {
        {"name", FIELD_TEXT, offsetof(struct body_image, name), .required = true},
        {"path", FIELD_TEXT, offsetof(struct body_image, path), .required = true},
        {"labels", FIELD_TEXTS, offsetof(struct body_image, labels)},
    };
    *ret_image = (struct body_image){0};
    return read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_image, ret_error);
}

int body_read_image_change(const char *data, size_t size, struct body *body,
                           struct body_image_change *ret_change, struct error *ret_error)
{
    static const struct field fields[] = {
        {"name", FIELD_TEXT, offsetof(struct body_image_change, name)},
        {"labels", FIELD_TEXTS, offsetof(struct body_image_change, labels), .may_be_null = true},
    };
    *ret_change = (struct body_image_change){0};
    int r = read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_change, ret_error);
    if (r >= 0 && ret_change->name.given == ret_change->labels.given)
        return error_set(ret_error, -EINVAL,
                         "give either 'name' (of all versions) or 'labels' (of one)");
    return r;
}

int body_read_verification(const char *data, size_t size, struct body *body,
                           struct body_verification *ret_verification, struct error *ret_error)
{
    static const struct field fields[] = {
        {"image", FIELD_TEXT, offsetof(struct body_verification, image), .required = true},
    };
    *ret_verification = (struct body_verification){0};
    return read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_verification, ret_error);
}

int body_read_group(const char *data, size_t size, struct body *body, struct body_group *ret_group,
                    struct error *ret_error)
{
    static const struct field fields[] = {
        {"name", FIELD_TEXT, offsetof(struct body_group, name), .required = true},
    };
    *ret_group = (struct body_group){0};
    return read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_group, ret_error);
}

int body_read_group_change(const char *data, size_t size, struct body *body,
                           struct body_group_change *ret_change, struct error *ret_error)
{
    static const struct field fields[] = {
        {"options", FIELD_LIST, offsetof(struct body_group_change, options)},
        {"no_options", FIELD_LIST, offsetof(struct body_group_change, no_options)},
    };
    *ret_change = (struct body_group_change){0};
    return read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_change, ret_error);
}

int body_read_boot_rule(const char *data, size_t size, struct body *body,
                        struct body_boot_rule *ret_rule, struct error *ret_error)
{
    static const struct field fields[] = {
        {"node", FIELD_TEXT, offsetof(struct body_boot_rule, node)},
        {"group", FIELD_TEXT, offsetof(struct body_boot_rule, group)},
        {"name", FIELD_TEXT, offsetof(struct body_boot_rule, name)},
        {"entry", FIELD_TEXT, offsetof(struct body_boot_rule, entry), .required = true},
        {"slot", FIELD_TEXT, offsetof(struct body_boot_rule, slot)},
        {"times", FIELD_NUMBER, offsetof(struct body_boot_rule, times)},
        {"until", FIELD_NUMBER, offsetof(struct body_boot_rule, until)},
        {"after", FIELD_NUMBER, offsetof(struct body_boot_rule, after)},
    };
    *ret_rule = (struct body_boot_rule){0};
    int r = read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_rule, ret_error);
    if (r >= 0 && ret_rule->node.given + ret_rule->group.given + ret_rule->name.given > 1)
        r = error_set(ret_error, -EINVAL, "give one of 'node', 'group' and 'name'");
    return r;
}

static int check_boot_entry(const struct body_boot_entry *entry, struct error *ret_error)
{
    bool sums = entry->kernel_sha256.given || entry->initrd_sha256.given;
    bool answers = entry->format.given || entry->answer.given || entry->variables.given;
    if (entry->script.given && (entry->arguments.given || entry->initrds.given))
        return error_set(ret_error, -EINVAL, "'arguments' and 'initrds' are of a kernel");
    if (entry->script.given && (answers || sums))
        return error_set(ret_error, -EINVAL, "checksums, answers and variables are of a kernel");
    if (entry->format.given != entry->answer.given ||
        (entry->variables.given && !entry->answer.given))
        return error_set(ret_error, -EINVAL,
                         "an installer has a 'format' and an 'answer'; 'variables' are for that");
    if (entry->initrd_sha256.given && entry->initrd_sha256.count != entry->initrds.count)
        return error_set(ret_error, -EINVAL,
                         "give a checksum for each initrd, in their order, or for none");
    return 0;
}

int body_read_boot_entry(const char *data, size_t size, struct body *body,
                         struct body_boot_entry *ret_entry, struct error *ret_error)
{
    static const struct field fields[] = {
        {"name", FIELD_TEXT, offsetof(struct body_boot_entry, name), .required = true},
        {"title", FIELD_TEXT, offsetof(struct body_boot_entry, title)},
        {"kernel", FIELD_TEXT, offsetof(struct body_boot_entry, kernel)},
        {"script", FIELD_TEXT, offsetof(struct body_boot_entry, script)},
        {"arguments", FIELD_TEXT, offsetof(struct body_boot_entry, arguments)},
        {"initrds", FIELD_LIST, offsetof(struct body_boot_entry, initrds)},
        {"format", FIELD_TEXT, offsetof(struct body_boot_entry, format)},
        {"answer", FIELD_TEXT, offsetof(struct body_boot_entry, answer)},
        {"variables", FIELD_TEXTS, offsetof(struct body_boot_entry, variables)},
        {"kernel_sha256", FIELD_TEXT, offsetof(struct body_boot_entry, kernel_sha256)},
        {"initrd_sha256", FIELD_LIST, offsetof(struct body_boot_entry, initrd_sha256)},
    };
    *ret_entry = (struct body_boot_entry){0};
    int r = read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_entry, ret_error);
    if (r < 0)
        return r;
    if (ret_entry->kernel.given == ret_entry->script.given)
        return error_set(ret_error, -EINVAL, "give either 'kernel' or 'script'");
    return check_boot_entry(ret_entry, ret_error);
}

int body_read_fetch(const char *data, size_t size, struct body *body, struct body_text *ret_entry,
                    struct error *ret_error)
{
    static const struct field fields[] = {{"entry", FIELD_TEXT, 0, .required = true}};
    *ret_entry = (struct body_text){0};
    return read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_entry, ret_error);
}

int body_read_attachment(const char *data, size_t size, struct body *body,
                         struct body_attachment *ret_attachment, struct error *ret_error)
{
    static const struct field fields[] = {
        {"volume", FIELD_TEXT, offsetof(struct body_attachment, volume), .required = true},
        {"node", FIELD_TEXT, offsetof(struct body_attachment, node), .required = true},
        {"lun", FIELD_NUMBER, offsetof(struct body_attachment, lun)},
    };
    *ret_attachment = (struct body_attachment){0};
    int r = read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_attachment, ret_error);
    const struct body_number *lun = &ret_attachment->lun;
    if (r >= 0 && lun->given && (lun->number < 1 || lun->number > 255))
        return error_set(ret_error, -EINVAL, "'lun' must be from 1 to 255 (0 is what it boots)");
    return r;
}

int body_read_hold(const char *data, size_t size, struct body *body, struct body_hold *ret_hold,
                   struct error *ret_error)
{
    static const struct field fields[] = {
        {"volume", FIELD_TEXT, offsetof(struct body_hold, volume)},
        {"node", FIELD_TEXT, offsetof(struct body_hold, node)},
        {"all", FIELD_BOOL, offsetof(struct body_hold, all)},
        {"seconds", FIELD_NUMBER, offsetof(struct body_hold, seconds), .required = true},
    };
    *ret_hold = (struct body_hold){0};
    int r = read_body(data, size, body, fields, ARRAY_SIZE(fields), ret_hold, ret_error);
    if (r < 0)
        return r;
    if (ret_hold->volume.given + ret_hold->node.given + ret_hold->all.value != 1)
        return error_set(ret_error, -EINVAL, "give one of 'volume', 'node' and 'all'");
    if (ret_hold->seconds.number < 1 || ret_hold->seconds.number > UINT16_MAX)
        return error_set(ret_error, -EINVAL, "'seconds' must be from 1 to %u", UINT16_MAX);
    return 0;
}

static int parse_version(const char *text, uint32_t *ret_version)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (*text < '1' || *text > '9' || *end || errno || n > INT32_MAX)
        return -EINVAL;
    *ret_version = (uint32_t)n;
    return 0;
}

int body_parse_image_reference(const char *text, char name[static 64], uint32_t *ret_version,
                               struct error *ret_error)
{
    const char *at = strchrnul(text, '@');
    size_t n = (size_t)(at - text);
    uint32_t version = 0;
    if (n < 64) {
        memcpy(name, text, n);
        name[n] = '\0';
    }
    if (n >= 64 || !name_is_object(name) || (*at && parse_version(at + 1, &version) < 0))
        return error_set(ret_error, -EINVAL,
                         "'%.80s' is not an image; write it as debian12 (the latest) or debian12@3",
                         text);
    *ret_version = version;
    return 0;
}

int body_parse_macs(struct body *body, const struct body_list *list,
                    const struct mac_address **ret_macs, struct error *ret_error)
{
    struct mac_address *macs = arena_alloc(&body->arena, (list->count + 1) * sizeof(*macs));
    if (!macs)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < list->count; i++)
        if (mac_parse(list->items[i], &macs[i]) < 0)
            return error_set(ret_error, -EINVAL,
                             "'%.40s' is not a mac address of a machine, such as 52:54:00:12:34:56",
                             list->items[i]);
    *ret_macs = macs;
    return 0;
}

/* "MAC=ADDRESS". */
static int parse_path(const char *text, struct catalog_path *ret_path)
{
    const char *sign = strchr(text, '=');
    char mac[MAC_TEXT_SIZE];
    if (!sign || (size_t)(sign - text) >= sizeof(mac))
        return -EINVAL;
    memcpy(mac, text, (size_t)(sign - text));
    mac[sign - text] = '\0';
    int r = mac_parse(mac, &ret_path->mac);
    return r < 0 ? r : ipv4_parse(sign + 1, &ret_path->address);
}

int body_parse_paths(struct body *body, const struct body_list *list,
                     const struct catalog_path **ret_paths, struct error *ret_error)
{
    struct catalog_path *paths = arena_alloc(&body->arena, (list->count + 1) * sizeof(*paths));
    if (!paths)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < list->count; i++)
        if (parse_path(list->items[i], &paths[i]) < 0 || paths[i].address == 0)
            return error_set(ret_error, -EINVAL,
                             "'%.60s' is not a path: write a card's MAC and its address, such as "
                             "52:54:00:12:34:57=10.1.0.11",
                             list->items[i]);
    *ret_paths = paths;
    return 0;
}

int body_parse_address(const struct body_text *text, uint32_t *ret_address, struct error *ret_error)
{
    *ret_address = 0;
    if (!text->text || str_eq(text->text, "none"))
        return 0;
    if (ipv4_parse(text->text, ret_address) < 0 || *ret_address == 0)
        return error_set(ret_error, -EINVAL, "'%.40s' is not an IPv4 address such as 10.0.0.11",
                         text->text);
    return 0;
}

int body_parse_wake_password(const struct body_text *text, struct wake_password *ret_password,
                             struct error *ret_error)
{
    *ret_password = (struct wake_password){0};
    if (!text->text || str_eq(text->text, "none"))
        return 0;
    if (wake_password_parse(text->text, ret_password) < 0)
        return error_set(ret_error, -EINVAL,
                         "'wake_password' must be six bytes such as 01:23:45:67:89:ab, or none");
    return 0;
}

int body_parse_chap(const struct body_chap *fields, struct chap_credentials *ret_credentials,
                    struct error *ret_error)
{
    cleanup_chap_credentials struct chap_credentials c = {.mode = CHAP_NONE};
    int r = 0;
    if (fields->user.given != fields->secret.given ||
        fields->target_user.given != fields->target_secret.given)
        return error_set(ret_error, -EINVAL, "a CHAP user name needs its secret, and vice versa");
    if (fields->target_user.given && !fields->user.given)
        return error_set(ret_error, -EINVAL,
                         "for mutual CHAP the initiator needs a name and a secret, too");
    if (fields->user.given) {
        c.mode = CHAP_ONE_WAY;
        r = credentials_set(fields->user.text, fields->secret.text, &c.initiator, ret_error);
    }
    if (r >= 0 && fields->target_user.given) {
        c.mode = CHAP_MUTUAL;
        r = credentials_set(fields->target_user.text, fields->target_secret.text, &c.target,
                            ret_error);
    }
    if (r >= 0)
        r = chap_credentials_check(&c, ret_error);
    if (r >= 0)
        *ret_credentials = c;
    return r;
}
