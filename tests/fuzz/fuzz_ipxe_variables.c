/* The file of variables. All that is taken from it can be put into a template. */
#include "ipxe/variables.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script_variables variables = {NULL, 0};
    struct error error = {0};
    if (script_variables_read(&variables, (const char *)data, size, &error) < 0)
        assert(error.text[0]);
    assert(variables.count <= SCRIPT_MAX_VARIABLES);
    for (size_t i = 0; i < variables.count; i++) {
        const char *value;
        assert(script_variables_look(&variables, variables.list[i].name, &value));
        assert(value && template_value_is_safe(value));
    }
    script_variables_free(&variables);
    return 0;
}
