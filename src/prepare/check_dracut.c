/* What a system with dracut makes of its next initramfs, and of the last one at shutdown. */
#include "prepare/check_rules.h"
#include "prepare/edit.h"

#define ERROR   CHECK_ERROR
#define WARNING CHECK_WARNING

#define CONF     "etc/dracut.conf"
#define CONFS    "etc/dracut.conf.d"
#define OURS     CONFS "/" OUR_NAME
#define OUR_NAME "90-nodisk.conf"

static bool is_ours(const char *path)
{
    return str_eq(path, OURS);
}

/* dracut sources files by their names, wherever they are, and no others; /etc/dracut.conf before
 * all. */
static bool is_read(const char *path)
{
    size_t size = strlen(path);
    return size >= 5 && str_eq(path + size - 5, ".conf");
}

static bool is_behind_ours(const char *path)
{
    return !str_eq(path, CONF) && strcmp(strrchr(path, '/') + 1, OUR_NAME) > 0;
}

/* The next word of a list of modules that separates them by blanks. */
static bool next_word(const char **list, char word[static EDIT_MAX_FIELD])
{
    static const char blanks[] = " \t";
    const char *begin = *list + strspn(*list, blanks);
    size_t size = MIN(strcspn(begin, blanks), (size_t)EDIT_MAX_FIELD - 1);
    memcpy(word, begin, size);
    word[size] = '\0';
    *list = begin + size;
    return size > 0;
}

static bool has_word(const char *list, const char *wanted)
{
    char word[EDIT_MAX_FIELD];
    while (next_word(&list, word))
        if (str_eq(word, wanted))
            return true;
    return false;
}

/* Has the list a word that another one has, or with `has` false, lacks one? It is in ret_word. What
 * `but` is, is passed over. */
static bool find_word(const char *list, const char *others, bool has, const char *but,
                      char ret_word[static EDIT_MAX_FIELD])
{
    while (next_word(&list, ret_word))
        if (!str_eq(ret_word, but) && has_word(others, ret_word) == has)
            return true;
    return false;
}

/* What NAME= and NAME+= say, together. */
static void get_list(const char *text, const char *name, char list[static 2 * EDIT_MAX_FIELD])
{
    char adds[64], set[EDIT_MAX_FIELD], added[EDIT_MAX_FIELD];
    snprintf(adds, sizeof(adds), "%s+", name);
    if (!variable_get(text, name, set, sizeof(set)))
        set[0] = '\0';
    if (!variable_get(text, adds, added, sizeof(added)))
        added[0] = '\0';
    snprintf(list, (size_t)2 * EDIT_MAX_FIELD, "%s %s", set, added);
}

#define LIST_SIZE ((size_t)8 * EDIT_MAX_FIELD)

/* What is left out: as ours says, and after all that is read. */
struct omitted {
    const char *ours;
    char *in_all; /* of LIST_SIZE */
};

/* dracut leaves out what is in the list, whoever asks for it. */
static void gather(struct check *check, const char *path, const char *text, const void *context)
{
    (void)check;
    const struct omitted *omitted = context;
    char value[EDIT_MAX_FIELD];
    if (!is_read(path))
        return;
    if (variable_get(text, "omit_dracutmodules", value, sizeof(value)))
        snprintf(omitted->in_all, LIST_SIZE, "%s", value);
    if (variable_get(text, "omit_dracutmodules+", value, sizeof(value))) {
        size_t used = strlen(omitted->in_all);
        snprintf(omitted->in_all + used, LIST_SIZE - used, " %s", value);
    }
}

/* What is to be in the initramfs, although it is left out. */
static void check_wanted(struct check *check, const char *path, const char *text,
                         const struct omitted *omitted)
{
    static const char fix[] = "take it out of that line: nothing in the initramfs needs it";
    char value[2 * EDIT_MAX_FIELD], word[EDIT_MAX_FIELD];
    get_list(text, "force_add_dracutmodules", value);
    if (find_word(value, omitted->in_all, true, "", word))
        check_found(check, ERROR, "dracut-conf", "initramfs", fix,
                    "/%s forces %s, which is left out (omit_dracutmodules): dracut makes no "
                    "initramfs at all, and the next kernel has none",
                    path, word);
    /* Debian's dracut-network itself asks for ifcfg, which writes files that nobody reads there */
    get_list(text, "add_dracutmodules", value);
    if (find_word(value, omitted->in_all, true, "ifcfg", word))
        check_found(check, WARNING, "dracut-conf", "initramfs", fix,
                    "/%s asks for %s, which is left out (omit_dracutmodules): it is not in the "
                    "initramfs",
                    path, word);
}

/* What says otherwise than ours, behind it. */
static void check_overrides(struct check *check, const char *path, const char *text,
                            const struct omitted *omitted)
{
    char value[2 * EDIT_MAX_FIELD], word[EDIT_MAX_FIELD];
    if (variable_get(text, "hostonly", value, sizeof(value)) && str_eq(value, "yes"))
        check_found(check, WARNING, "dracut-conf", "initramfs",
                    "give it a name that sorts before 90-nodisk.conf, or take the line out",
                    "/%s says hostonly=\"yes\": the next initramfs has the drivers of the machine "
                    "that it is made on, and no others",
                    path);
    get_list(text, "omit_dracutmodules", value);
    if (has_word(value, "nodisk"))
        check_found(check, ERROR, "dracut-conf", "initramfs", "take nodisk out of that line",
                    "/%s leaves the module nodisk out: the next initramfs logs in to no disk",
                    path);
    if (variable_get(text, "omit_dracutmodules", value, sizeof(value)) &&
        find_word(omitted->ours, omitted->in_all, false, "", word))
        check_found(check, WARNING, "dracut-conf", "initramfs",
                    "write omit_dracutmodules+= there, which adds to the list",
                    "/%s sets omit_dracutmodules anew, without %s and perhaps others: what else "
                    "sets up network cards or logs in may be in the next initramfs, too",
                    path, word);
}

static void check_conf(struct check *check, const char *path, const char *text, const void *context)
{
    if (is_ours(path) || !is_read(path))
        return;
    check_wanted(check, path, text, context);
    if (is_behind_ours(path))
        check_overrides(check, path, text, context);
}

static void check_confs(struct check *check)
{
    static const char *const confs[] = {CONFS, "usr/lib/dracut/dracut.conf.d", NULL};
    char ours[2 * EDIT_MAX_FIELD] = "", in_all[LIST_SIZE] = "";
    const struct omitted omitted = {.ours = ours, .in_all = in_all};
    const char *text = plan_text(&check->plan, OURS), *first = plan_text(&check->plan, CONF);
    if (!text)
        check_found(check, ERROR, "dracut-conf", "initramfs", NULL,
                    "there is no /" OURS ": the next initramfs is for the machine that it is made "
                    "on, and whether it logs in depends on dracut's version");
    else
        get_list(text, "omit_dracutmodules", ours);
    if (first)
        gather(check, CONF, first, &omitted);
    check_each_text_of(check, confs, gather, &omitted);
    if (first)
        check_conf(check, CONF, first, &omitted);
    check_each_text_of(check, confs, check_conf, &omitted);
}

void check_dracut(struct check *check)
{
    struct plan *plan = &check->plan;
    if (!(plan->system & SYSTEM_DRACUT))
        return;
    check_confs(check);
    if (plan_get(plan, "etc/systemd/system/dracut-shutdown.service")->kind != TREE_LINK)
        check_found(check, WARNING, "dracut-shutdown", "shutdown", NULL,
                    "dracut-shutdown.service unpacks the initramfs when the machine is switched "
                    "off, read from a disk that its server may have taken away by then");
}
