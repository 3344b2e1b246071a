/*
 * Scripts for what is no volume. Whatever comes back or cannot be had asks the server again, so
 * that a machine that waits is reached by what has changed there.
 */
#include "boot/script_internal.h"

/* A machine that is to be off, and cannot switch itself off, asks so often. */
#define OFF_SECONDS 30

/*
 * BIOS: the first disk by its number, without a description for a system that would take it for one
 * of ours. UEFI: iPXE of 2019 cannot do that there; it leaves with an error, and firmware goes on
 * in its boot order. (Without an error, it would show its own menu: UEFI 2.10, 3.1.1.)
 */
static void put_local(FILE *f, const struct plan *plan, struct mac_address mac,
                      const struct boot_site *site)
{
    const char *node = plan->node->name;
    fprintf(f,
            ":again\necho nodisk: %s boots its own disk\n"
            "iseq ${platform} efi && goto firmware ||\n"
            "sanboot --no-describe --drive 0x80 ||\n"
            "echo nodisk: %s has no first disk that boots\n",
            node, node);
    if (site->chosen) /* in a menu, to which it returns */
        script_put_retry(f, RETRY_SECONDS, mac, site, "again");
    fputs(":firmware\nexit 1\n", f);
}

static void put_shell(FILE *f, const struct plan *plan, struct mac_address mac,
                      const struct boot_site *site)
{
    struct boot_site back = *site;
    back.chosen = NULL; /* leaving it is no failure */
    fprintf(f, ":again\necho nodisk: %s: iPXE's shell; exit asks the server again\nshell ||\n",
            plan->node->name);
    script_put_retry(f, 1, mac, &back, "again");
}

static void put_off(FILE *f, const struct plan *plan, struct mac_address mac,
                    const struct boot_site *site)
{
    fprintf(f,
            ":again\necho nodisk: %s is to be off; asking again in %u seconds\n"
            "poweroff ||\n", /* iPXE of 2019 has no such command */
            plan->node->name, OFF_SECONDS);
    script_put_retry(f, OFF_SECONDS, mac, site, "again");
}

static void put_failed_end(FILE *f, const struct plan *plan, const char *what,
                           struct mac_address mac, const struct boot_site *site)
{
    fprintf(f,
            "imgfree ||\necho nodisk: %s cannot boot %s from %s; trying again in %u "
            "seconds\n",
            plan->node->name, what, site->base_url, RETRY_SECONDS);
    script_put_retry(f, RETRY_SECONDS, mac, site, "again");
}

static void put_failed(FILE *f, const struct plan *plan, const char *what, struct mac_address mac,
                       const struct boot_site *site)
{
    fputs(":failed\n", f);
    put_failed_end(f, plan, what, mac, site);
}

static void put_kernel(FILE *f, const char *name, const char *path, struct mac_address mac,
                       const struct boot_site *site)
{
    fprintf(f, "kernel --timeout " FETCH_TIMEOUT " --name %s ", name);
    script_put_url(f, path, mac, site->base_url);
}

static void put_memtest(FILE *f, const struct plan *plan, struct mac_address mac,
                        const struct boot_site *site)
{
    fprintf(f, ":again\necho nodisk: %s tests its memory\niseq ${platform} efi && goto efi ||\n",
            plan->node->name);
    put_kernel(f, "memtest", "memtest.bin", mac, site);
    fputs(" || goto failed\nboot || goto failed\n:efi\n", f);
    put_kernel(f, "memtest.efi", "memtest.efi", mac, site);
    fputs(" || goto failed\nboot || goto failed\n", f);
    put_failed(f, plan, "memtest86+", mac, site);
}

/* "http://10.0.0.1/install/52-54-00-00-00-01/debian12/": what an installer fetches; the MAC stands
 * in the path, since some append names to it. */
static void put_answer_url(FILE *f, const struct plan *plan, struct mac_address mac,
                           const struct boot_site *site)
{
    const uint8_t *b = mac.bytes;
    fprintf(f, "%s/install/%02x-%02x-%02x-%02x-%02x-%02x/%s/", site->system_url, b[0], b[1], b[2],
            b[3], b[4], b[5], plan->entry->name);
}

/* PXELINUX's way to say which card it is. */
static void put_bootif(FILE *f, struct mac_address mac)
{
    const uint8_t *b = mac.bytes;
    fprintf(f, " BOOTIF=01-%02x-%02x-%02x-%02x-%02x-%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
}

/*
 * Debian's installer asks for what is told here before it has its preseed; for name servers if DHCP
 * has none. cloud-init appends the names of its files. Anaconda's initramfs has the disk from the
 * iBFT, and the network with it.
 */
static void put_installer_arguments(FILE *f, const struct plan *plan, struct mac_address mac,
                                    const struct boot_site *site)
{
    switch (plan->entry->format) {
    case ANSWER_AUTOINSTALL:
        fputs(" autoinstall ds=nocloud-net;s=", f);
        put_answer_url(f, plan, mac, site);
        break;
    case ANSWER_KICKSTART:
        fputs(" rd.iscsi.firmware=1 inst.ks=", f);
        put_answer_url(f, plan, mac, site);
        fputs(answer_format_file(ANSWER_KICKSTART), f);
        break;
    default:
        fprintf(f,
                " auto=true priority=critical interface=auto hostname=%s"
                " netcfg/get_nameservers= url=",
                plan->node->name);
        put_answer_url(f, plan, mac, site);
        fputs(answer_format_file(ANSWER_PRESEED), f);
        break;
    }
    put_bootif(f, mac);
}

/* initrd= is for UEFI, where the kernel looks for these names in iPXE's file system. */
static void put_live(FILE *f, const struct plan *plan, struct mac_address mac,
                     const struct boot_site *site)
{
    const struct catalog_entry *e = plan->entry;
    char path[NAME_MAX_LEN + 64];
    snprintf(path, sizeof(path), "entry/%s/kernel", e->name);
    put_kernel(f, "nodisk.kernel", path, mac, site);
    if (e->kind == BOOT_ENTRY_INSTALLER)
        put_installer_arguments(f, plan, mac, site);
    fprintf(f, "%s%s", e->arguments[0] ? " " : "", e->arguments);
    for (size_t i = 0; i < e->n_initrds; i++)
        fprintf(f, " initrd=initrd%zu", i);
    fputs(" || goto failed\n", f);
    for (size_t i = 0; i < e->n_initrds; i++) {
        snprintf(path, sizeof(path), "entry/%s/initrd%zu", e->name, i);
        fprintf(f, "initrd --timeout " FETCH_TIMEOUT " --name initrd%zu ", i);
        script_put_url(f, path, mac, site->base_url);
        fputs(" || goto failed\n", f);
    }
    fputs("boot || goto failed\n", f);
}

static void put_entry(FILE *f, const struct plan *plan, struct mac_address mac,
                      const struct boot_site *site)
{
    const struct catalog_entry *e = plan->entry;
    char path[NAME_MAX_LEN + 64], what[NAME_MAX_LEN + 16];
    script_put_identity(f, plan, site);
    fprintf(f, ":again\necho nodisk: %s boots %s\n", plan->node->name, e->name);
    if (e->kind == BOOT_ENTRY_LIVE) {
        put_live(f, plan, mac, site);
    } else {
        snprintf(path, sizeof(path), "entry/%s/script", e->name);
        fputs("chain --timeout " FETCH_TIMEOUT " ", f);
        script_put_url(f, path, mac, site->base_url);
        fputs(" || goto failed\n", f);
    }
    snprintf(what, sizeof(what), "entry %s", e->name);
    put_failed(f, plan, what, mac, site);
}

/* The disk is hooked and stays so: the installer finds it in the iBFT. */
static void put_installer(FILE *f, const struct plan *plan, struct mac_address mac,
                          const struct boot_site *site)
{
    const char *node = plan->node->name, *entry = plan->entry->name;
    char what[NAME_MAX_LEN + 32];
    if (!script_put_disk(f, plan, mac, site))
        return;
    fprintf(f, ":again\necho nodisk: %s is installed by %s onto volume %s\n", node, entry,
            plan->volume->name);
    script_put_sanhook(f, plan, site);
    put_live(f, plan, mac, site);
    fputs(":failed\n", f);
    script_put_sanunhook(f);
    snprintf(what, sizeof(what), "installer %s", entry);
    put_failed_end(f, plan, what, mac, site);
}

void script_put_target(FILE *f, const struct plan *plan, struct mac_address mac,
                       const struct boot_site *site)
{
    switch (plan->target.kind) {
    case BOOT_TARGET_SHELL:
        put_shell(f, plan, mac, site);
        break;
    case BOOT_TARGET_MEMTEST:
        put_memtest(f, plan, mac, site);
        break;
    case BOOT_TARGET_OFF:
        put_off(f, plan, mac, site);
        break;
    case BOOT_TARGET_ENTRY:
        if (plan->entry->kind == BOOT_ENTRY_INSTALLER)
            put_installer(f, plan, mac, site);
        else
            put_entry(f, plan, mac, site);
        break;
    default:
        put_local(f, plan, mac, site);
        break;
    }
}
