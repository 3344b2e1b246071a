/* The formats, and the files that they come to. */
#include "ibft/print.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static const struct {
    const char *name;
    int (*write)(struct ibft_writer *writer, struct error *ret_error);
} formats[] = {
    {"iscsistart", ibft_write_iscsistart},
    {"dracut", ibft_write_dracut},
    {"networkd", ibft_write_networkd},
    {"networkmanager", ibft_write_networkmanager},
};

int ibft_writer_begin(struct ibft_writer *w, const char *name, unsigned mode,
                      struct error *ret_error)
{
    w->text = NULL;
    w->out = open_memstream(&w->text, &w->size);
    if (!w->out)
        return error_set(ret_error, -ENOMEM, "out of memory");
    w->output->files[w->output->n_files].name = name;
    w->output->files[w->output->n_files].mode = mode;
    return 0;
}

int ibft_writer_end(struct ibft_writer *w, struct error *ret_error)
{
    bool failed = ferror(w->out) || fclose(w->out) != 0;
    w->output->files[w->output->n_files++].text = w->text;
    return failed ? error_set(ret_error, -ENOMEM, "out of memory") : 0;
}

static int save(int directory, const char *name, unsigned mode, const char *text)
{
    char temporary[64];
    size_t size = strlen(text);
    snprintf(temporary, sizeof(temporary), ".%s.new", name);
    (void)!unlinkat(directory, temporary, 0);
    cleanup_close int fd =
        openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, size);
    bool whole = n >= 0 && (size_t)n == size;
    if (whole && fchmod(fd, mode) == 0 && renameat(directory, temporary, directory, name) == 0)
        return 0;
    int r = n >= 0 && !whole ? -ENOSPC : -errno;
    (void)!unlinkat(directory, temporary, 0);
    return r;
}

int ibft_output_save(const struct ibft_output *output, const char *directory,
                     struct error *ret_error)
{
    cleanup_close int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(ret_error, -errno, "%s cannot be written to: %s", directory,
                         strerror(errno));
    for (size_t i = 0; i < output->n_files; i++) {
        const char *name = output->files[i].name;
        int r = name ? save(fd, name, output->files[i].mode, output->files[i].text) : -EINVAL;
        if (r == -EINVAL)
            return error_set(ret_error, r, "this format is words for a command line, and no file");
        if (r < 0)
            return error_set(ret_error, r, "%s/%s cannot be written: %s", directory, name,
                             strerror(-r));
    }
    return 0;
}

void ibft_output_free(struct ibft_output *output)
{
    for (size_t i = 0; i < output->n_files; i++)
        free(output->files[i].text);
    *output = (struct ibft_output){0};
}

int ibft_write(const struct ibft *ibft, const char *format, bool secrets,
               struct ibft_output *ret_output, struct error *ret_error)
{
    struct ibft_output output = {0};
    struct ibft_writer writer = {
        .ibft = ibft,
        .nic = ibft_boot_nic(ibft),
        .target = ibft_boot_target(ibft),
        .secrets = secrets,
        .output = &output,
    };
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        if (!str_eq(formats[i].name, format))
            continue;
        int r = formats[i].write(&writer, ret_error);
        if (r < 0)
            ibft_output_free(&output);
        else
            *ret_output = output;
        return r;
    }
    return error_set(ret_error, -EINVAL,
                     "there is no format '%.32s'; there are iscsistart, dracut, networkd, "
                     "networkmanager",
                     format);
}
