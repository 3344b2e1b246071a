/* Scripts that are checked. What is told can be shown on a terminal and names a line that there is.
 */
#include "ipxe/check.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t n_lines;

static void on_problem(void *context, const struct script_problem *problem)
{
    (void)context;
    assert(problem->line >= 1 && problem->line <= n_lines);
    assert(problem->text[0]);
    for (const char *p = problem->text; *p; p++)
        assert(*p >= ' ' && *p < 0x7f);
}

static const char *setting(void *context, const char *name)
{
    (void)context;
    return name[0] == 'a' ? "${ab}b" : name[0] == 'b' ? "" : NULL;
}

static bool has_file(void *context, const char *path)
{
    (void)context;
    return path[0] == 'a';
}

static void on_setting(void *context, const char *name, const char *value)
{
    (void)context;
    assert(strlen(name) <= 64 && value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct script_loader loader = {.name = "loader", .lacks_https = true};
    const struct script_check check = {.loaders = &loader,
                                       .n_loaders = 1,
                                       .setting = setting,
                                       .has_file = has_file,
                                       .own_url = "a:/",
                                       .report = on_problem};
    for (size_t i = 0; i < IPXE_MAX_COMMANDS; i++)
        loader.abilities[i] = (enum ipxe_ability)(i % 3);
    n_lines = 1;
    for (size_t i = 0; i < size; i++)
        n_lines += data[i] == '\n';
    int checked = script_check((const char *)data, size, &check);
    int told = script_settings((const char *)data, size, on_setting, NULL);
    assert(checked == told);
    return 0;
}
