/*
 * A menu of iPXE's: `menu`, `item`, `choose`, all in one script, with its submenus. What is chosen
 * is a target as boot_target_format() writes it, or the label of a submenu.
 *
 * A menu that waits for ever has its first item ask the server again, and the timeout of that: so
 * what has changed there reaches it. A key that is pressed stops the timeout, since then there is
 * somebody.
 */
#include "boot/menu.h"

#include "boot/script_internal.h"

#include <time.h>

/* A menu that waits for ever asks the server so often. */
#define AGAIN_SECONDS 60
/* More do not fit on a screen, and nobody would read them. */
#define MAX_VOLUMES   40
#define MAX_SNAPSHOTS 40 /* the latest ones */

struct menu {
    FILE *f;
    const struct plan *plan;
    const struct catalog *catalog;
    struct mac_address mac;
    const struct boot_site *site;
    size_t n_volumes, n_entries, n_installers; /* entries without installers */
    const struct catalog_volume *trial;        /* whose snapshots are offered; NULL: none are */
};

static const char *title_of(const struct catalog_entry *entry)
{
    return entry->title[0] ? entry->title : entry->name;
}

static void put_item(const struct menu *m, char key, const char *label, const char *text)
{
    if (key)
        fprintf(m->f, "item --key %c %s (%c) %s\n", key, label, key, text);
    else
        fprintf(m->f, "item %s %s\n", label, text);
}

static void describe(const struct menu *m, const struct boot_target *target, char text[static 256])
{
    const struct catalog_volume *v;
    const struct catalog_entry *e;
    switch (target->kind) {
    case BOOT_TARGET_VOLUME:
        v = target->name[0] ? catalog_volume_by_name(m->catalog, target->name)
                            : catalog_volume_by_id(m->catalog, m->plan->node->volume_id);
        snprintf(text, 256, "Volume %s%s%s", v ? v->name : "that is not there",
                 v && v->image ? " of image " : "", v && v->image ? v->image : "");
        break;
    case BOOT_TARGET_ENTRY:
        e = catalog_entry_by_name(m->catalog, target->name);
        str_copy(text, 256, e ? title_of(e) : target->name);
        break;
    case BOOT_TARGET_SNAPSHOT:
        snprintf(text, 256, "Its disk as it was at snapshot %s, for this boot", target->name);
        break;
    case BOOT_TARGET_LOCAL:
        str_copy(text, 256, "The disk of the machine itself");
        break;
    case BOOT_TARGET_MEMTEST:
        str_copy(text, 256, "Test of its memory");
        break;
    case BOOT_TARGET_SCRIPTS:
        str_copy(text, 256, "Scripts of this site");
        break;
    case BOOT_TARGET_OFF:
        str_copy(text, 256, "Nothing: it is to be off");
        break;
    default:
        str_copy(text, 256, "Shell of iPXE");
        break;
    }
}

/* May it be offered to this node, beside its own disk? */
static bool is_other_volume(const struct menu *m, const struct catalog_volume *volume)
{
    return volume->id != m->plan->node->volume_id && volume->state == VOLUME_READY &&
           (volume->allow_any || volume->n_allow > 0) &&
           catalog_may_boot(m->catalog, m->plan->node, volume);
}

/* Who has no volume has nothing to install onto. */
static void count_entries(struct menu *m)
{
    size_t n;
    const struct catalog_entry *entries = catalog_entries(m->catalog, &n);
    for (size_t i = 0; i < n; i++) {
        bool installer = entries[i].kind == BOOT_ENTRY_INSTALLER;
        m->n_entries += !installer;
        m->n_installers += installer && m->plan->node->volume_id;
    }
}

static void count_volumes(struct menu *m)
{
    size_t n;
    const struct catalog_volume *volumes = catalog_volumes(m->catalog, &n);
    for (size_t i = 0; i < n && m->n_volumes < MAX_VOLUMES; i++)
        m->n_volumes += is_other_volume(m, &volumes[i]);
}

/* Not what is there for a copy only, nor what its disk is anyway without one. */
static bool is_offered(const struct catalog_overlay *overlay,
                       const struct catalog_snapshot *snapshot)
{
    const char *kept = overlay->trial ? overlay->trial->kept : NULL;
    return !catalog_snapshot_is_temporary(snapshot->name) &&
           !(kept && str_eq(kept, snapshot->name));
}

static void find_snapshots(struct menu *m)
{
    const struct catalog_volume *volume =
        m->site->menu_snapshots ? plan_trial_volume(m->catalog, m->plan->node) : NULL;
    for (size_t i = 0; volume && i < volume->overlay->n_snapshots; i++)
        if (is_offered(volume->overlay, &volume->overlay->snapshots[i]))
            m->trial = volume;
}

/* --- the menus --- */

static void put_reason(const struct menu *m)
{
    if (m->site->failed)
        fprintf(m->f, "item --gap -- What was chosen before did not boot: %s\n", m->site->failed);
}

/* The default comes first, by its name, and is not offered twice. */
static void put_target_item(const struct menu *m, char key, enum boot_target_kind kind)
{
    const struct boot_target target = {.kind = kind};
    char text[256], label[BOOT_TARGET_SIZE];
    if (boot_target_eq(&target, &m->plan->menu_default))
        return;
    describe(m, &target, text);
    put_item(m, key, boot_target_format(&target, label), text);
}

static void put_default_item(const struct menu *m, const char *label)
{
    char text[256];
    describe(m, &m->plan->menu_default, text);
    put_item(m, 'b', label, text);
}

/* Without a timeout the item that asks again is the one that is chosen by itself. */
static void put_choose(const struct menu *m, const char *first)
{
    uint32_t seconds = m->site->menu_timeout;
    fprintf(m->f, "choose --default %s --timeout %u selected || goto again\n",
            seconds ? first : "again", (seconds ? seconds : AGAIN_SECONDS) * 1000);
}

static void put_jump(const struct menu *m, const char *label)
{
    fprintf(m->f, "iseq ${selected} %s && goto %s ||\n", label, label);
}

static void put_main(const struct menu *m)
{
    char first[BOOT_TARGET_SIZE];
    boot_target_format(&m->plan->menu_default, first);
    fprintf(m->f, ":main\nmenu nodisk: what is %s to boot?\n", m->plan->node->name);
    put_reason(m);
    if (!m->site->menu_timeout)
        put_item(m, 'w', "again", "Ask the server again");
    put_default_item(m, first);
    if (m->plan->node->volume_id)
        put_target_item(m, 'd', BOOT_TARGET_VOLUME);
    put_target_item(m, 'l', BOOT_TARGET_LOCAL);
    if (m->site->scripts_url)
        put_target_item(m, 'o', BOOT_TARGET_SCRIPTS);
    if (m->trial)
        put_item(m, 'p', "snapshots", "Snapshots of its disk ...");
    if (m->n_volumes > 0)
        put_item(m, 'v', "volumes", "Other volumes ...");
    if (m->n_entries > 0)
        put_item(m, 'e', "entries", "Live systems and scripts ...");
    if (m->n_installers > 0)
        put_item(m, 'i', "installers", "Installers, onto its volume ...");
    put_item(m, 't', "tools", "Tools ...");
    if (m->site->menu_timeout)
        put_item(m, 'w', "again", "Ask the server again");
    put_choose(m, first);
    put_jump(m, "again");
    put_jump(m, "snapshots");
    put_jump(m, "volumes");
    put_jump(m, "entries");
    put_jump(m, "installers");
    put_jump(m, "tools");
    fputs("goto chosen\n", m->f);
}

static void put_end_of_submenu(const struct menu *m)
{
    put_item(m, 'x', "main", "Back");
    fputs("choose selected || goto main\n", m->f);
    put_jump(m, "main");
}

static void put_volumes(const struct menu *m)
{
    size_t n, left = m->n_volumes;
    const struct catalog_volume *volumes = catalog_volumes(m->catalog, &n);
    fprintf(m->f, ":volumes\nmenu Other volumes that %s may boot\n", m->plan->node->name);
    for (size_t i = 0; i < n && left > 0; i++) {
        char text[256], label[BOOT_TARGET_SIZE];
        struct boot_target target = {.kind = BOOT_TARGET_VOLUME};
        if (!is_other_volume(m, &volumes[i]))
            continue;
        left--;
        str_copy(target.name, sizeof(target.name), volumes[i].name);
        describe(m, &target, text);
        put_item(m, '\0', boot_target_format(&target, label), text);
    }
    put_end_of_submenu(m);
    fputs("goto chosen\n", m->f);
}

static void put_snapshot(const struct menu *m, const struct catalog_snapshot *snapshot)
{
    const time_t at = (time_t)(snapshot->created_at / USEC_PER_SEC);
    struct tm tm;
    char date[32] = "";
    if (localtime_r(&at, &tm))
        (void)strftime(date, sizeof(date), "%Y-%m-%d %H:%M", &tm);
    fprintf(m->f, "item snapshot:%s %s  %s\n", snapshot->name, date, snapshot->name);
}

/* The latest first. */
static void put_snapshots(const struct menu *m)
{
    const struct catalog_overlay *overlay = m->trial->overlay;
    size_t left = MAX_SNAPSHOTS;
    fprintf(m->f,
            ":snapshots\nmenu Snapshots of %s: for this boot only, then %s is what it is now\n"
            "item --gap -- What is written to one is gone at the next boot.\n",
            m->trial->name, m->trial->name);
    for (size_t i = overlay->n_snapshots; i > 0 && left > 0; i--) {
        if (!is_offered(overlay, &overlay->snapshots[i - 1]))
            continue;
        left--;
        put_snapshot(m, &overlay->snapshots[i - 1]);
    }
    put_end_of_submenu(m);
    fputs("goto chosen\n", m->f);
}

static void put_entries(const struct menu *m, const char *label, const char *title, bool installers)
{
    size_t n;
    const struct catalog_entry *entries = catalog_entries(m->catalog, &n);
    fprintf(m->f, ":%s\nmenu %s\n", label, title);
    for (size_t i = 0; i < n; i++)
        if ((entries[i].kind == BOOT_ENTRY_INSTALLER) == installers)
            fprintf(m->f, "item entry:%s %s\n", entries[i].name, title_of(&entries[i]));
    put_end_of_submenu(m);
    fputs("goto chosen\n", m->f);
}

static void put_tools(const struct menu *m)
{
    fputs(":tools\nmenu Tools\n", m->f);
    put_item(m, 'm', "memtest", "Test of its memory");
    put_item(m, 's', "shell", "Shell of iPXE");
    put_item(m, 'c', "config", "Settings of iPXE");
    put_item(m, 'r', "reboot", "Reboot");
    put_end_of_submenu(m);
    put_jump(m, "config");
    put_jump(m, "reboot");
    fputs("goto chosen\n:config\nconfig ||\ngoto main\n:reboot\nreboot ||\ngoto main\n", m->f);
}

static void put_ends(const struct menu *m)
{
    fputs(":chosen\nchain --timeout " FETCH_TIMEOUT " --replace ", m->f);
    script_put_url(m->f, "boot.ipxe", m->mac, m->site->base_url);
    script_put_chosen(m->f, "${selected}");
    fprintf(m->f,
            " ||\necho nodisk: the server at %s does not answer; trying again in %u seconds\n"
            "sleep %u\ngoto main\n:again\nchain --timeout " FETCH_TIMEOUT " --replace ",
            m->site->base_url, RETRY_SECONDS, RETRY_SECONDS);
    script_put_url(m->f, "boot.ipxe", m->mac, m->site->base_url);
    fprintf(m->f, " ||\nsleep %u\ngoto main\n", RETRY_SECONDS);
}

void boot_menu_put(FILE *f, const struct plan *plan, struct mac_address mac,
                   const struct boot_site *site)
{
    struct menu m = {.f = f, .plan = plan, .catalog = site->catalog, .mac = mac, .site = site};
    count_entries(&m);
    count_volumes(&m);
    find_snapshots(&m);
    script_put_identity(f, plan, site);
    put_main(&m);
    if (m.trial)
        put_snapshots(&m);
    if (m.n_volumes > 0)
        put_volumes(&m);
    if (m.n_entries > 0)
        put_entries(&m, "entries", "Live systems and scripts", false);
    if (m.n_installers > 0)
        put_entries(&m, "installers", "Installers, onto the volume of this node", true);
    put_tools(&m);
    put_ends(&m);
}
