#include "registry/boot_rule.h"

#include <errno.h>

static const char *const words[] = {
    [BOOT_TARGET_VOLUME] = "volume",   [BOOT_TARGET_LOCAL] = "local",
    [BOOT_TARGET_MENU] = "menu",       [BOOT_TARGET_SHELL] = "shell",
    [BOOT_TARGET_MEMTEST] = "memtest", [BOOT_TARGET_OFF] = "off",
    [BOOT_TARGET_SCRIPTS] = "scripts",
};

static const char volume_prefix[] = "volume:";
static const char entry_prefix[] = "entry:";
static const char snapshot_prefix[] = "snapshot:";

static const char *const slot_names[BOOT_SLOTS] = {
    [BOOT_SLOT_TEMPORARY] = "temporary",
    [BOOT_SLOT_STANDING] = "standing",
    [BOOT_SLOT_FALLBACK] = "fallback",
};

const char *boot_target_format(const struct boot_target *target,
                               char buffer[static BOOT_TARGET_SIZE])
{
    bool named = target->name[0] != '\0';
    if (target->kind == BOOT_TARGET_ENTRY)
        snprintf(buffer, BOOT_TARGET_SIZE, "%s%s", entry_prefix, target->name);
    else if (target->kind == BOOT_TARGET_SNAPSHOT)
        snprintf(buffer, BOOT_TARGET_SIZE, "%s%s", snapshot_prefix, target->name);
    else if (target->kind == BOOT_TARGET_NONE)
        buffer[0] = '\0';
    else
        snprintf(buffer, BOOT_TARGET_SIZE, "%s%s%s", words[target->kind], named ? ":" : "",
                 target->name);
    return buffer;
}

static int parse_named(const char *name, enum boot_target_kind kind, struct boot_target *ret_target)
{
    if (!name_is_object(name))
        return -EINVAL;
    *ret_target = (struct boot_target){.kind = kind};
    str_copy(ret_target->name, sizeof(ret_target->name), name);
    return 0;
}

int boot_target_parse(const char *text, struct boot_target *ret_target)
{
    if (str_has_prefix(text, volume_prefix))
        return parse_named(text + strlen(volume_prefix), BOOT_TARGET_VOLUME, ret_target);
    if (str_has_prefix(text, entry_prefix))
        return parse_named(text + strlen(entry_prefix), BOOT_TARGET_ENTRY, ret_target);
    if (str_has_prefix(text, snapshot_prefix))
        return parse_named(text + strlen(snapshot_prefix), BOOT_TARGET_SNAPSHOT, ret_target);
    for (size_t i = BOOT_TARGET_VOLUME; i < ARRAY_SIZE(words); i++) {
        if (!str_eq(words[i], text))
            continue;
        *ret_target = (struct boot_target){.kind = (enum boot_target_kind)i};
        return 0;
    }
    return -EINVAL;
}

bool boot_target_is_word(const char *text)
{
    struct boot_target ignored;
    return boot_target_parse(text, &ignored) == 0 && !strchr(text, ':');
}

bool boot_target_eq(const struct boot_target *a, const struct boot_target *b)
{
    return a->kind == b->kind && str_eq(a->name, b->name);
}

const char *boot_slot_name(enum boot_slot slot)
{
    return slot_names[slot];
}

int boot_slot_parse(const char *name, enum boot_slot *ret_slot)
{
    for (size_t i = 0; i < BOOT_SLOTS; i++) {
        if (!str_eq(slot_names[i], name))
            continue;
        *ret_slot = (enum boot_slot)i;
        return 0;
    }
    return -EINVAL;
}
