/* A table as people, programs and other programs' configurations see it. */
#pragma once

#include "ibft/ibft.h"

#include <jansson.h>

/* For people, with what is wrong; secrets: print the CHAP secrets, too. */
void ibft_print(FILE *out, const struct ibft *ibft, const struct ibft_source *source,
                const struct ibft_faults *faults, bool secrets);
/* For programs. New; NULL without memory. */
json_t *ibft_to_json(const struct ibft *ibft, const struct ibft_source *source,
                     const struct ibft_faults *faults, bool secrets);

#define IBFT_MAX_FILES 3

/* What one format comes to. */
struct ibft_output {
    struct {
        const char *name; /* of the file, without a directory; NULL: words for a command line */
        unsigned mode;    /* of the file */
        char *text;
    } files[IBFT_MAX_FILES];
    size_t n_files;
    bool has_hidden; /* secrets were left out */
};

/*
 * iscsistart      its options, as words for a shell
 * dracut          arguments for the kernel's command line
 * networkd        files for systemd-networkd
 * networkmanager  a keyfile for NetworkManager
 *
 * Of the card and the target that firmware has booted by. -EINVAL: there is no such format;
 * -ENOENT, -EBADMSG: the table does not have what is needed for it.
 */
int ibft_write(const struct ibft *ibft, const char *format, bool secrets,
               struct ibft_output *ret_output, struct error *ret_error) MUST_CHECK;
/* Writes its files into a directory, each whole or not at all. -EINVAL: they are no files. */
int ibft_output_save(const struct ibft_output *output, const char *directory,
                     struct error *ret_error) MUST_CHECK;
void ibft_output_free(struct ibft_output *output);
#define cleanup_ibft_output __attribute__((cleanup(ibft_output_free)))

/* --- for those that write one --- */

struct ibft_writer {
    const struct ibft *ibft;
    const struct ibft_nic *nic;       /* NULL: none */
    const struct ibft_target *target; /* NULL: none */
    bool secrets;
    struct ibft_output *output;
    FILE *out; /* of the file that was begun */
    char *text;
    size_t size;
};

/* The next file; name and mode as in struct ibft_output. Its text goes to writer->out. -ENOMEM. */
int ibft_writer_begin(struct ibft_writer *writer, const char *name, unsigned mode,
                      struct error *ret_error) MUST_CHECK;
int ibft_writer_end(struct ibft_writer *writer, struct error *ret_error) MUST_CHECK;

int ibft_write_iscsistart(struct ibft_writer *writer, struct error *ret_error) MUST_CHECK;
int ibft_write_dracut(struct ibft_writer *writer, struct error *ret_error) MUST_CHECK;
int ibft_write_networkd(struct ibft_writer *writer, struct error *ret_error) MUST_CHECK;
int ibft_write_networkmanager(struct ibft_writer *writer, struct error *ret_error) MUST_CHECK;
