/*
 * Files of a system that are edited: fstab, hosts, variables of a shell. What was edited is right,
 * so that it is not edited again.
 */
#include "prepare/edit.h"
#include "prepare/interfaces.h"
#include "prepare/kernel_args.h"
#include "prepare/packages.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fstab(const char *text, const struct fstab_wish *wish)
{
    cleanup_free char *once = fstab_edit(text, wish);
    cleanup_free char *twice = once ? fstab_edit(once, wish) : NULL;
    assert(once && twice && str_eq(once, twice));
}

static void check_interfaces(const char *text)
{
    struct interfaces_stanza stanza;
    bool found = false;
    cleanup_free char *once = interfaces_edit(text, "vmbr0", "enboot");
    cleanup_free char *twice = interfaces_edit(once, "vmbr0", "enboot");
    assert(str_eq(once, twice));
    for (const char *cursor = once; interfaces_next(&cursor, &stanza);)
        found |= stanza.is_bridge && str_eq(stanza.name, "vmbr0") &&
                 str_eq(stanza.ports, "enboot") && str_eq(stanza.purge, "no");
    assert(found);
}

static void check_kernel_args(const char *text, const char *line_begins)
{
    char word[64];
    cleanup_free char *dropped = kernel_args_drop(text, line_begins);
    assert(dropped && strlen(dropped) <= strlen(text));
    assert(!kernel_args_find(dropped, line_begins, word, sizeof(word)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char value[64];
    cleanup_free char *text = calloc(1, size + 1);
    if (size)
        memcpy(text, data, size);
    check_fstab(text, &(struct fstab_wish){.root_uuid = "1234-abcd"});
    check_fstab(text, &(struct fstab_wish){.keep_swap = true});
    cleanup_free char *hosts = hosts_edit(text), *again = hosts_edit(hosts);
    assert(str_eq(hosts, again));
    check_interfaces(text);
    cleanup_free char *dropped = variable_drop(text, "A");
    assert(!variable_get(dropped, "A", value, sizeof(value)));
    if (variable_get(text, "A", value, sizeof(value)))
        assert(strnlen(value, sizeof(value)) < sizeof(value));
    for (const char *cursor = text; grub_next_root(&cursor, value, sizeof(value));)
        assert(strnlen(value, sizeof(value)) < sizeof(value));
    check_kernel_args(text, "");
    check_kernel_args(text, "GRUB_CMDLINE_LINUX");
    (void)packages_installed(text, "A");
    return 0;
}
