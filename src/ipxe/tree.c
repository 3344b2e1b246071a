#include "ipxe/tree.h"

#include <errno.h>

#define MAX_OLD_URL 512

const char script_tree_boot_script[] =
    "#!ipxe\n"
    "# Made by nodisk: the tree has no " SCRIPT_TREE_BOOT ".\n"
    "chain --autofree " SCRIPT_TREE_SETTINGS "\n"
    "isset ${hostname} && chain --replace --autofree ${boot-dir}hostname-${hostname}.ipxe ||\n"
    "isset ${uuid} && chain --replace --autofree ${boot-dir}uuid-${uuid}.ipxe ||\n"
    "chain --replace --autofree ${boot-dir}mac-${mac:hexraw}.ipxe ||\n"
    "isset ${busloc} && chain --replace --autofree "
    "${boot-dir}pci-${pci/${busloc}.0.2}${pci/${busloc}.2.2}.ipxe ||\n"
    "isset ${chip} && chain --replace --autofree ${boot-dir}chip-${chip}.ipxe ||\n"
    "chain --replace --autofree ${menu-url}\n";

struct filler {
    const struct script_tree_values *values;
    char old_url[MAX_OLD_URL]; /* that the tree has had for boot-url; "": not seen yet */
    FILE *out;
};

/* Words of one line; they point into it. */
struct word {
    const char *begin;
    size_t size;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool next_word(const char **at, const char *end, struct word *ret_word)
{
    while (*at < end && is_blank(**at))
        ++*at;
    const char *begin = *at;
    while (*at < end && !is_blank(**at))
        ++*at;
    *ret_word = (struct word){begin, (size_t)(*at - begin)};
    return *at > begin;
}

static bool word_is(const struct word *word, const char *text)
{
    return word->size == strlen(text) && memcmp(word->begin, text, word->size) == 0;
}

static bool ends_command(const struct word *word)
{
    return word->begin[0] == '#' || word_is(word, "||") || word_is(word, "&&") ||
           word_is(word, ";");
}

static const char *our_value(const struct script_tree_values *values, const struct word *name)
{
    const struct {
        const char *name, *value;
    } ours[] = {
        {"boot-url", values->boot_url},           {"iscsi-server", values->iscsi_server},
        {"base-iqn", values->base_iqn},           {"base-iscsi", values->base_iscsi},
        {"initiator-iqn", values->initiator_iqn},
    };
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        if (word_is(name, ours[i].name))
            return ours[i].value;
    return NULL;
}

/* Where the value ends: before what ends the command. */
static const char *value_end(const char *at, const char *end)
{
    struct word word;
    const char *value = at;
    while (next_word(&at, end, &word) && !ends_command(&word))
        value = at;
    return value;
}

static void keep_old_url(struct filler *f, const struct word *value)
{
    if (f->old_url[0] || value->size >= sizeof(f->old_url) ||
        memchr(value->begin, '$', value->size))
        return;
    memcpy(f->old_url, value->begin, value->size);
    f->old_url[value->size] = '\0';
}

static void put(struct filler *f, const char *begin, const char *end)
{
    fwrite(begin, 1, (size_t)(end - begin), f->out);
}

/* end: where the line does, without its newline. */
static void fill_line(struct filler *f, const char *line, const char *end)
{
    const char *at = line;
    struct word command, name, value;
    bool sets =
        next_word(&at, end, &command) && word_is(&command, "set") && next_word(&at, end, &name);
    const char *behind_name = at;
    if (!sets || !next_word(&at, end, &value) || ends_command(&value)) {
        put(f, line, end);
        return;
    }
    size_t n = strlen(f->old_url);
    const char *ours = our_value(f->values, &name);
    if (word_is(&name, "boot-url"))
        keep_old_url(f, &value);
    if (ours) {
        put(f, line, value.begin);
        fputs(ours, f->out);
        put(f, value_end(behind_name, end), end);
    } else if (n > 0 && value.size >= n && memcmp(value.begin, f->old_url, n) == 0) {
        put(f, line, value.begin);
        fputs(f->values->boot_url, f->out);
        put(f, value.begin + n, end);
    } else {
        put(f, line, end);
    }
}

int script_tree_fill(const char *text, size_t size, const struct script_tree_values *values,
                     char **ret_text, size_t *ret_size)
{
    const char *end = text + size;
    char *out = NULL;
    size_t out_size = 0;
    if (size > SCRIPT_TREE_SETTINGS_MAX_SIZE)
        return -EFBIG;
    struct filler f = {.values = values, .out = open_memstream(&out, &out_size)};
    if (!f.out)
        return -ENOMEM;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        fill_line(&f, text, newline ? newline : end);
        if (newline)
            fputc('\n', f.out);
        text = newline ? newline + 1 : end;
    }
    if (fclose(f.out) != 0) {
        free(out);
        return -ENOMEM;
    }
    *ret_text = out;
    *ret_size = out_size;
    return 0;
}

char *script_tree_make_settings(const struct script_tree_values *values)
{
    char *text = NULL;
    int n = asprintf(&text,
                     "#!ipxe\n"
                     "# Made by nodisk: the tree has no " SCRIPT_TREE_SETTINGS ".\n"
                     "set boot-url %s\n"
                     "set sanboot-url ${boot-url}\n"
                     "set boot-dir " SCRIPT_TREE_BOOT_DIR "\n"
                     "set menu-url ${boot-url}" SCRIPT_TREE_MENU "\n"
                     "set iscsi-server %s\n"
                     "set base-iqn %s\n"
                     "set base-iscsi %s\n",
                     values->boot_url, values->iscsi_server, values->base_iqn, values->base_iscsi);
    if (n < 0)
        return NULL;
    if (!values->initiator_iqn)
        return text;
    char *whole = NULL;
    n = asprintf(&whole, "%sset initiator-iqn %s\n", text, values->initiator_iqn);
    free(text);
    return n < 0 ? NULL : whole;
}
