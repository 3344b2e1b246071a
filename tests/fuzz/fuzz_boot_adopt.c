/* A rule of the operator's and a machine that says what it likes: lines of a pattern of names, a
 * prefix of MACs, a pattern of products, a serial number, a product, a relay's port. */
#include "boot/adopt.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_taken(void *context, const char *name)
{
    unsigned *left = context;
    assert(name_is_host(name));
    return *left && (*left)--;
}

static char *take_line(char **rest)
{
    char *line = *rest;
    size_t n = strcspn(line, "\n");
    *rest = line + n + (line[n] != '\0');
    line[n] = '\0';
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[2048], *rest = text, name[NAME_MAX_LEN + 1];
    unsigned taken = 3;
    struct error error = {0};
    struct adopt_match match = {0};
    struct registry_pending machine = {.mac = {{0x52, 0x54, 0, 1, 2, 3}}, .subnet = "lab"};
    size_t n = MIN(size, sizeof(text) - 1);
    if (n > 0)
        memcpy(text, data, n);
    text[n] = '\0';
    const char *pattern = take_line(&rest), *prefix = take_line(&rest);
    const char *product = take_line(&rest);
    str_copy(match.product, sizeof(match.product), product);
    (void)adopt_add_prefix(&match, prefix);
    const char *serial = take_line(&rest);
    facts_clean(machine.facts.serial, sizeof(machine.facts.serial), serial, strlen(serial));
    const char *what = take_line(&rest);
    facts_clean(machine.facts.product, sizeof(machine.facts.product), what, strlen(what));
    str_copy(machine.circuit_id, sizeof(machine.circuit_id), take_line(&rest));
    (void)adopt_matches(&match, &machine);
    if (adopt_check_pattern(pattern, &error) < 0)
        assert(error.text[0]);
    if (adopt_make_name(pattern, &machine, is_taken, &taken, name, &error) >= 0)
        assert(name_is_host(name));
    else
        assert(error.text[0]);
    return 0;
}
