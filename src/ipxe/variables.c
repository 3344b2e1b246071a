#include "ipxe/variables.h"

#include <errno.h>

#define MAX_VALUE 512

static const struct script_variable_name names[] = {
    {"node", "the node's name; none for a machine that is no node"},
    {"mac", "the MAC of the card that it boots from: 52-54-00-00-00-01"},
    {"address", "the node's own IPv4 address"},
    {"group", "the node's group"},
    {"volume", "what it boots"},
    {"image", "that its volume stands on"},
    {"target", "the iSCSI name of its volume"},
    {"root-path", "its volume, as sanboot takes it"},
    {"initiator-iqn", "the node's initiator"},
    {"base-iqn", "what targets and initiators begin with"},
    {"base-iscsi", "what root paths begin with"},
    {"iscsi-server", "the target's address"},
    {"boot-url", "of the directory of the scripts, with its /"},
    {"server-url", "of the server, without a /"},
};

const struct script_variable_name *script_variable_names(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(names);
    return names;
}

/* The first ones are ours. */
#define N_ANSWER_OURS 3

static const struct script_variable_name answer_names[] = {
    {"entry", "the installer's entry"},
    {"answer-url", "of what the installer fetches from nodisk for this node, with its /"},
    {"installed-url", "what an installed node fetches, so that it boots its volume from then on"},
    {"mirror-host", "the mirror of packages: deb.debian.org, or 10.0.0.1:8000"},
    {"mirror-directory", "and where they are there: /debian"},
    {"mirror-proxy", "the proxy on the way there: http://10.0.0.1:3128/"},
    {"suite", "what is installed: bookworm"},
    {"locale", "en_US.UTF-8"},
    {"keyboard", "us"},
    {"timezone", "Etc/UTC"},
    {"root-password-hash", "as `openssl passwd -6` prints it; none: nobody logs in by password"},
    {"ssh-key", "of whoever may log in as root: a line of authorized_keys"},
    {"packages", "to be installed, too, with blanks between"},
    {"kernel-arguments", "of the installed system: console=ttyS0"},
};

static bool is_among(const struct script_variable_name *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(list[i].name, name))
            return true;
    return false;
}

static bool is_ours(const char *name)
{
    return is_among(names, ARRAY_SIZE(names), name);
}

const struct script_variable_name *answer_variable_names(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(answer_names);
    return answer_names;
}

bool answer_variable_is_free(const char *name)
{
    return !is_ours(name) && !is_among(answer_names, N_ANSWER_OURS, name);
}

static struct script_variable *find(const struct script_variables *variables, const char *name)
{
    for (size_t i = 0; i < variables->count; i++)
        if (str_eq(variables->list[i].name, name))
            return &variables->list[i];
    return NULL;
}

int script_variables_set(struct script_variables *variables, const char *name, const char *value)
{
    struct script_variable *variable = find(variables, name);
    char *copy = value ? strdup(value) : NULL;
    if (value && !copy)
        return -ENOMEM;
    if (!variable) {
        size_t size = sizeof(*variables->list);
        variable = reallocarray(variables->list, variables->count + 1, size);
        if (!variable) {
            free(copy);
            return -ENOMEM;
        }
        variables->list = variable;
        variable += variables->count++;
        str_copy(variable->name, sizeof(variable->name), name);
        variable->value = NULL;
    }
    free(variable->value);
    variable->value = copy;
    return 0;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r", text[n - 1]))
        text[--n] = '\0';
    return text;
}

static const char *what_is_wrong(const char *name, const char *value)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    if (!name[0] || name[strspn(name, letters)] || strlen(name) > 64)
        return "a name has small letters, digits and dashes";
    if (is_ours(name))
        return "nodisk gives the variable of this name itself";
    if (strlen(value) > MAX_VALUE)
        return "the value is too long";
    return template_value_is_safe(value)
               ? NULL
               : "the value has characters that iPXE would take as its own";
}

static int read_line(struct script_variables *variables, char *line, unsigned number,
                     struct error *ret_error)
{
    line = trim(line);
    if (!line[0] || line[0] == '#')
        return 0;
    char *equals = strchr(line, '=');
    if (!equals)
        return error_set(ret_error, -EINVAL, "line %u: not NAME = VALUE", number);
    *equals = '\0';
    const char *name = trim(line), *value = trim(equals + 1);
    const char *wrong = what_is_wrong(name, value);
    if (wrong)
        return error_set(ret_error, -EINVAL, "line %u: %s", number, wrong);
    if (variables->count >= SCRIPT_MAX_VARIABLES)
        return error_set(ret_error, -EINVAL, "line %u: too many variables", number);
    if (script_variables_set(variables, name, value) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    return 0;
}

int script_variables_read(struct script_variables *variables, const char *text, size_t size,
                          struct error *ret_error)
{
    char *copy = malloc(size + 1), *line = copy;
    if (!copy)
        return error_set(ret_error, -ENOMEM, "out of memory");
    memcpy(copy, text, size);
    copy[size] = '\0';
    int r = 0;
    for (unsigned number = 1; r >= 0 && line; number++) {
        char *newline = strchr(line, '\n');
        if (newline)
            *newline++ = '\0';
        r = read_line(variables, line, number, ret_error);
        line = newline;
    }
    free(copy);
    return r;
}

void script_variables_free(struct script_variables *variables)
{
    for (size_t i = 0; i < variables->count; i++)
        free(variables->list[i].value);
    free(variables->list);
    *variables = (struct script_variables){NULL, 0};
}

bool script_variables_look(void *context, const char *name, const char **ret_value)
{
    const struct script_variables *variables = context;
    const struct script_variable *variable = find(variables, name);
    *ret_value = variable ? variable->value : NULL;
    return variable || is_ours(name);
}

bool answer_variables_look(void *context, const char *name, const char **ret_value)
{
    return script_variables_look(context, name, ret_value) ||
           is_among(answer_names, ARRAY_SIZE(answer_names), name);
}
