/* Boot entries: what they may be called and say, and that they are kept. */
#include "site.h"

#include <errno.h>

static int setup(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    site_make(site);
    *state = site;
    return 0;
}

static int teardown(void **state)
{
    site_remove(*state);
    free(*state);
    return 0;
}

/* Of files that are there: the database. */
static struct registry_boot_entry entry_of(const struct site *site, const char *name)
{
    return (struct registry_boot_entry){
        .name = name, .title = "", .arguments = "", .file = site->path};
}

static void an_entry_is_kept(void **state)
{
    struct site *site = *state;
    const char *const initrds[] = {site->path, site->directory};
    struct registry_boot_entry entry = entry_of(site, "rescue");
    entry.title = "Rescue (toram)";
    entry.arguments = "console=ttyS0,115200n8 root=/dev/ram0 toram";
    entry.initrds = initrds;
    entry.n_initrds = 2;
    site_must(registry_boot_entry_add(site->registry, &entry, &site->error), &site->error);
    assert_int_equal(registry_boot_entry_add(site->registry, &entry, &site->error), -EEXIST);
    site_restart(site);
    cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
    const struct catalog_entry *kept = catalog_entry_by_name(catalog, "rescue");
    assert_string_equal(kept->title, entry.title);
    assert_string_equal(kept->arguments, entry.arguments);
    assert_int_equal(kept->n_initrds, 2);
    assert_string_equal(kept->initrds[1], site->directory);
    site_must(registry_boot_entry_remove(site->registry, "rescue", &site->error), &site->error);
    assert_int_equal(registry_boot_entry_remove(site->registry, "rescue", &site->error), -ENOENT);
}

/* What is in the state directory is found there when it has moved. */
static void an_entry_knows_where_its_files_come_from(void **state)
{
    struct site *site = *state;
    const char *const urls[] = {"http://mirror/linux", "", "https://mirror:8443/i"};
    const char *const initrds[] = {"/etc/hostname", site->path};
    struct registry_boot_entry entry = entry_of(site, "live");
    entry.initrds = initrds;
    entry.n_initrds = 2;
    entry.urls = urls;
    site_must(registry_boot_entry_add(site->registry, &entry, &site->error), &site->error);
    const char *const newer[] = {"/etc/hostname", "/etc/hosts"};
    entry.file = "/etc/passwd";
    entry.initrds = newer;
    site_must(registry_boot_entry_renew(site->registry, &entry, &site->error), &site->error);
    site_restart(site);
    cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
    const struct catalog_entry *kept = catalog_entry_by_name(catalog, "live");
    for (size_t i = 0; i < ARRAY_SIZE(urls); i++)
        assert_string_equal(kept->urls[i], urls[i]);
    assert_string_equal(kept->file, "/etc/passwd");
    assert_string_equal(kept->initrds[0], "/etc/hostname");
    assert_string_equal(kept->initrds[1], "/etc/hosts");
}

static void another_entry_of_that_name_is_not_renewed(void **state)
{
    struct site *site = *state;
    const char *const urls[] = {"http://mirror/linux"}, *const others[] = {"http://mirror/other"};
    struct registry_boot_entry entry = entry_of(site, "live");
    entry.urls = urls;
    site_must(registry_boot_entry_add(site->registry, &entry, &site->error), &site->error);
    entry.urls = others;
    entry.file = "/etc/passwd";
    assert_int_equal(registry_boot_entry_renew(site->registry, &entry, &site->error), -EBUSY);
    entry.name = "none";
    assert_int_equal(registry_boot_entry_renew(site->registry, &entry, &site->error), -EBUSY);
    cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
    assert_string_equal(catalog_entry_by_name(catalog, "live")->file, site->path);
}

static void an_entry_that_a_rule_names_stays(void **state)
{
    struct site *site = *state;
    struct registry_boot_entry entry = entry_of(site, "rescue");
    site_must(registry_boot_entry_add(site->registry, &entry, &site->error), &site->error);
    const struct registry_boot_scope all = {.node = NULL};
    struct registry_boot_rule rule = {.slot = BOOT_SLOT_STANDING,
                                      .target = {BOOT_TARGET_ENTRY, "rescue"}};
    site_must(registry_boot_rule_set(site->registry, &all, &rule, &site->error), &site->error);
    assert_int_equal(registry_boot_entry_remove(site->registry, "rescue", &site->error), -EBUSY);
    site_assert_told(site, "nodisk boot --default --clear");
}

static void nothing_that_ipxe_takes_apart_gets_in(void **state)
{
    struct site *site = *state;
    static const char *const names[] = {"", "local", "menu", "A", "a b", "a_b", "${x}", "a/b"};
    static const char *const arguments[] = {"a || b", "a && b", "a;b", "${net0/mac}", "a'b",
                                            "a\"b",   "a\\b",   "#a",  "a\nexit",     "\xc3\xa4"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct registry_boot_entry entry = entry_of(site, names[i]);
        assert_int_equal(registry_boot_entry_add(site->registry, &entry, &site->error), -EINVAL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(arguments); i++) {
        struct registry_boot_entry entry = entry_of(site, "x");
        entry.arguments = arguments[i];
        assert_int_equal(registry_boot_entry_add(site->registry, &entry, &site->error), -EINVAL);
        entry.arguments = "";
        entry.title = arguments[i];
        assert_int_equal(registry_boot_entry_add(site->registry, &entry, &site->error), -EINVAL);
    }
}

static void a_file_that_cannot_be_read_is_told(void **state)
{
    struct site *site = *state;
    struct registry_boot_entry entry = entry_of(site, "x");
    entry.file = "/nowhere/vmlinuz";
    assert_int_equal(registry_boot_entry_add(site->registry, &entry, &site->error), -EINVAL);
    site_assert_told(site, "cannot read /nowhere/vmlinuz");
    entry.file = "vmlinuz";
    assert_int_equal(registry_boot_entry_add(site->registry, &entry, &site->error), -EINVAL);
    site_assert_told(site, "no absolute path");
}

#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct catalog_label variables[] = {{"suite", "bookworm"}, {"mirror-host", "m:80"}};

static struct registry_boot_entry installer_of(const struct site *site)
{
    struct registry_boot_entry entry = entry_of(site, "debian12");
    entry.kind = BOOT_ENTRY_INSTALLER;
    entry.format = ANSWER_KICKSTART;
    entry.answer = site->directory;
    entry.variables = variables;
    entry.n_variables = ARRAY_SIZE(variables);
    return entry;
}

static void an_installer_is_kept(void **state)
{
    struct site *site = *state;
    const char *initrds[] = {site->directory, site->directory};
    static const char *const sums[] = {"", "", SHA256};
    struct registry_boot_entry entry = installer_of(site);
    entry.initrds = initrds;
    entry.n_initrds = ARRAY_SIZE(initrds);
    entry.sha256 = sums;
    site_must(registry_boot_entry_add(site->registry, &entry, &site->error), &site->error);
    site_check_catalog(site);
    site_restart(site);
    cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
    const struct catalog_entry *kept = catalog_entry_by_name(catalog, "debian12");
    assert_int_equal(kept->kind, BOOT_ENTRY_INSTALLER);
    assert_int_equal(kept->format, ANSWER_KICKSTART);
    assert_string_equal(kept->answer, site->directory);
    assert_string_equal(kept->sha256[0], "");
    assert_string_equal(kept->sha256[2], SHA256);
    assert_int_equal(kept->n_variables, 2);
    assert_string_equal(kept->variables[0].key, "mirror-host");
    assert_string_equal(kept->variables[1].value, "bookworm");
    site_must(registry_boot_entry_remove(site->registry, "debian12", &site->error), &site->error);
    site_must(registry_boot_entry_add(site->registry, &entry, &site->error), &site->error);
}

static void hostile_variables_and_no_checksums_are_refused(void **state)
{
    struct site *site = *state;
    static const struct catalog_label wrong[] = {
        {"Suite", "x"},     {"", "x"},          {"a b", "x"}, {"a", "x\nreboot"},
        {"a", "$(reboot)"}, {"a", "'; reboot"}, {"a", "\"x"}, {"a", "x#"},
        {"a", "\x1b[2J"},   {"a", "{{node}}"},  {"a", "x "},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct registry_boot_entry entry = installer_of(site);
        entry.variables = &wrong[i];
        entry.n_variables = 1;
        assert_int_equal(registry_boot_entry_add(site->registry, &entry, &site->error), -EINVAL);
    }
    static const char *const sums[] = {"12", (SHA256 "0"), ("0123456789ABCDEF" SHA256), "x"};
    for (size_t i = 0; i < ARRAY_SIZE(sums); i++) {
        struct registry_boot_entry entry = installer_of(site);
        entry.initrds = NULL;
        entry.n_initrds = 0;
        entry.sha256 = &sums[i];
        assert_int_equal(registry_boot_entry_add(site->registry, &entry, &site->error), -EINVAL);
        site_assert_told(site, "is no SHA-256");
    }
    struct registry_boot_entry entry = installer_of(site);
    entry.answer = "/nowhere/preseed";
    assert_int_equal(registry_boot_entry_add(site->registry, &entry, &site->error), -EINVAL);
    site_assert_told(site, "cannot read /nowhere/preseed");
}

#define SITE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(an_entry_is_kept),
        SITE_TEST(an_entry_knows_where_its_files_come_from),
        SITE_TEST(another_entry_of_that_name_is_not_renewed),
        SITE_TEST(an_entry_that_a_rule_names_stays),
        SITE_TEST(nothing_that_ipxe_takes_apart_gets_in),
        SITE_TEST(a_file_that_cannot_be_read_is_told),
        SITE_TEST(an_installer_is_kept),
        SITE_TEST(hostile_variables_and_no_checksums_are_refused),
    };
    return RUN_TESTS(tests);
}
