#include "image_system/appliance.h"

#include "core/util.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

/* A machine without KVM takes a minute or two. What takes longer will not come: KVM that is there
 * and does not work leaves the appliance standing still. */
#define LAUNCH_SECONDS 600

/* The appliance's sockets are below the runtime directory, and their names are short. */
#define MAX_SOCKET_DIRECTORY 64

static int fail(guestfs_h *guest, const char *doing, struct error *ret_error)
{
    int number = guestfs_last_errno(guest);
    const char *why = guestfs_last_error(guest);
    return error_set(ret_error, number > 0 ? -number : -EIO, "%s failed: %s", doing,
                     why ? why : "libguestfs does not say why");
}

/* In a signal handler: nothing but a message and the end. What was started ends with us. */
static void too_long(int number)
{
    static const char text[] =
        "nodisk: the virtual machine that looks at the disk does not come up; if KVM does not work "
        "here, do without: LIBGUESTFS_BACKEND_SETTINGS=force_tcg\n";
    ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)n;
    _exit(1);
}

static int launch(guestfs_h *guest, struct error *ret_error)
{
    signal(SIGALRM, too_long);
    alarm(LAUNCH_SECONDS);
    int r = guestfs_launch(guest);
    alarm(0);
    if (r == 0)
        return 0;
    return error_set(ret_error, -EIO,
                     "the virtual machine that looks at the disk does not start: %s; "
                     "libguestfs-test-tool tells more, and a kernel has to be installed on this "
                     "machine (linux-image-cloud-amd64)",
                     guestfs_last_error(guest));
}

static int add_disk(guestfs_h *guest, const struct appliance_settings *settings)
{
    const struct guestfs_add_drive_opts_argv options = {
        .bitmask = GUESTFS_ADD_DRIVE_OPTS_READONLY_BITMASK | GUESTFS_ADD_DRIVE_OPTS_FORMAT_BITMASK |
                   (settings->writable ? GUESTFS_ADD_DRIVE_OPTS_DISCARD_BITMASK : 0),
        .readonly = !settings->writable,
        .format = "raw", /* never what its first bytes say: those are the image's */
        .discard = "besteffort",
    };
    return guestfs_add_drive_opts_argv(guest, settings->disk, &options);
}

static int set_up(guestfs_h *guest, const struct appliance_settings *settings)
{
    const char *backend = getenv("LIBGUESTFS_BACKEND");
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (guestfs_set_tmpdir(guest, settings->directory) < 0)
        return -1;
    if ((!backend || !backend[0]) && guestfs_set_backend(guest, "direct") < 0)
        return -1; /* no libvirt in between, and root's files stay root's */
    if (guestfs_set_smp(guest, processors >= 2 ? 2 : 1) < 0)
        return -1;
    if (guestfs_set_network(guest, settings->network) < 0)
        return -1;
    return add_disk(guest, settings);
}

int appliance_start(const struct appliance_settings *settings, guestfs_h **ret_guest,
                    struct error *ret_error)
{
    if (strlen(settings->directory) <= MAX_SOCKET_DIRECTORY)
        setenv("XDG_RUNTIME_DIR", settings->directory, 1);
    guestfs_h *guest = guestfs_create();
    if (!guest)
        return error_set(ret_error, -errno, "libguestfs cannot be used: %s", strerror(errno));
    guestfs_set_error_handler(guest, NULL, NULL); /* we tell them */
    int r = set_up(guest, settings) < 0 ? fail(guest, "the disk's appliance", ret_error)
                                        : launch(guest, ret_error);
    if (r < 0)
        guestfs_close(guest);
    else
        *ret_guest = guest;
    return r;
}

static void free_texts(char ***texts)
{
    for (size_t i = 0; *texts && (*texts)[i]; i++)
        free((*texts)[i]);
    free(*texts);
}

#define CLEANUP_TEXTS __attribute__((cleanup(free_texts)))

#define MAX_DEVICE 256

/* Where programs are in the appliance. */
#define PROGRAMS "/tmp"

/* The system's root device, or what stands for it: a logical volume, a subvolume. */
static int find_system(guestfs_h *guest, char ret_root[static MAX_DEVICE], struct error *ret_error)
{
    CLEANUP_TEXTS char **roots = guestfs_inspect_os(guest);
    if (!roots)
        return fail(guest, "looking for a system on the disk", ret_error);
    if (!roots[0])
        return error_set(ret_error, -ENOENT,
                         "no system is found on the disk: is it whole, and not encrypted?");
    if (roots[1])
        return error_set(ret_error, -ENOTUNIQ,
                         "several systems are on the disk, the first on %s and %s: only one that "
                         "is alone can be looked at",
                         roots[0], roots[1]);
    if (!str_copy(ret_root, MAX_DEVICE, roots[0]))
        return error_set(ret_error, -ENAMETOOLONG, "the system's device has too long a name");
    return 0;
}

/* Shorter names first: what is mounted on comes before what is mounted there. */
static int by_place(const void *a, const void *b)
{
    char *const *x = a, *const *y = b;
    size_t length = strlen(x[0]), other = strlen(y[0]);
    return length < other ? -1 : length > other;
}

static int mount_one(guestfs_h *guest, const char *device, const char *place, bool writable)
{
    return writable ? guestfs_mount(guest, device, place) : guestfs_mount_ro(guest, device, place);
}

/* What belongs to the system besides its root, which is where it was found, whatever its fstab
 * says: that may be what is wrong with it. */
static void mount_others(guestfs_h *guest, char **pairs, bool writable)
{
    size_t count = 0;
    while (pairs[2 * count])
        count++;
    qsort(pairs, count, 2 * sizeof(pairs[0]), by_place);
    for (size_t i = 0; i < count; i++) {
        const char *place = pairs[2 * i], *device = pairs[2 * i + 1];
        /* the names are of the image's making, and not for a terminal */
        if (!str_eq(place, "/") && mount_one(guest, device, place, writable) < 0)
            fputs("nodisk: a further file system of it cannot be mounted and is left out\n",
                  stderr);
    }
}

/* "debian 12.5"; free() it. Debian's own name for itself is only the number. */
static char *product_of(guestfs_h *guest, const char *root)
{
    char *text = NULL;
    char *distribution = guestfs_inspect_get_distro(guest, root);
    char *product = guestfs_inspect_get_product_name(guest, root);
    if (asprintf(&text, "%s %s", distribution ? distribution : "a system", product ? product : "") <
        0)
        text = NULL;
    free(distribution);
    free(product);
    return text;
}

int appliance_mount(guestfs_h *guest, bool writable, char **ret_product, struct error *ret_error)
{
    char root[MAX_DEVICE];
    int r = find_system(guest, root, ret_error);
    if (r < 0)
        return r;
    CLEANUP_TEXTS char **pairs = guestfs_inspect_get_mountpoints(guest, root);
    if (!pairs)
        return fail(guest, "looking for the system's file systems", ret_error);
    if (mount_one(guest, root, "/", writable) < 0)
        return fail(guest, "mounting the system's root", ret_error);
    mount_others(guest, pairs, writable);
    *ret_product = product_of(guest, root);
    return *ret_product ? 0 : error_set(ret_error, -ENOMEM, "no memory");
}

int appliance_put(guestfs_h *guest, const char *file, const char *name, struct error *ret_error)
{
    char place[64];
    snprintf(place, sizeof(place), PROGRAMS "/%s", name);
    return guestfs_debug_upload(guest, file, place, 0755) < 0
               ? fail(guest, "putting a program beside the disk", ret_error)
               : 0;
}

/* A word for the shell, in quotes. */
static void quote(FILE *file, const char *word)
{
    fputs(" '", file);
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", file);
        else
            fputc(*word, file);
    fputc('\'', file);
}

/* The command for the appliance's shell, which prints the exit status; free() it. */
static char *command_line(const char *const *argv)
{
    char *line = NULL;
    size_t size;
    FILE *file = open_memstream(&line, &size);
    if (!file)
        return NULL;
    fprintf(file, PROGRAMS "/%s", argv[0]);
    for (size_t i = 1; argv[i]; i++)
        quote(file, argv[i]);
    fputs(" </dev/null >/tmp/out 2>/tmp/err; echo $?", file);
    return fclose(file) == 0 ? line : NULL;
}

static char *shell(guestfs_h *guest, const char *command)
{
    char *const words[] = {(char *)command, NULL};
    return guestfs_debug(guest, "sh", words);
}

int appliance_run(guestfs_h *guest, const char *const *argv, struct appliance_result *ret_result,
                  struct error *ret_error)
{
    struct appliance_result result = {0};
    cleanup_free char *line = command_line(argv);
    if (!line)
        return error_set(ret_error, -ENOMEM, "no memory");
    cleanup_free char *status = shell(guest, line);
    result.out = status ? shell(guest, "cat /tmp/out") : NULL;
    result.err = result.out ? shell(guest, "tail -c 1000000 /tmp/err") : NULL;
    if (!result.err) {
        free(result.out);
        return fail(guest, "running a program beside the disk", ret_error);
    }
    result.status = atoi(status);
    *ret_result = result;
    return 0;
}

/* What the system no longer uses takes no space in the image. A file system that cannot is as well
 * without. */
static void trim(guestfs_h *guest)
{
    CLEANUP_TEXTS char **places = guestfs_mountpoints(guest);
    for (size_t i = 0; places && places[i] && places[i + 1]; i += 2)
        guestfs_fstrim_argv(guest, places[i + 1], NULL);
}

int appliance_finish(guestfs_h *guest, bool writable, struct error *ret_error)
{
    if (writable)
        trim(guest);
    if (writable && guestfs_sync(guest) < 0)
        return fail(guest, "writing to the disk", ret_error);
    if (guestfs_umount_all(guest) < 0)
        return fail(guest, "unmounting the disk", ret_error);
    if (guestfs_shutdown(guest) < 0)
        return fail(guest, "switching the disk's appliance off", ret_error);
    return 0;
}
