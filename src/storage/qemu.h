/*
 * qemu-img, which reads the disk images of other programs. It is told what the format is, and given
 * open files: what is in an image never names a file that is opened. It may block for a while: for
 * admin threads.
 */
#pragma once

#include "storage/child.h"
#include "storage/format.h"

struct qemu_info {
    uint64_t size; /* bytes of the disk */
    uint64_t data; /* bytes of it that are not holes, about */
};

/* Looks at an image, of fd, called `name` in messages, and refuses one that is not whole in itself
 * or larger than max_size. */
int qemu_look(int fd, const char *name, const struct format *format, uint64_t max_size,
              struct qemu_info *ret_info, struct error *ret_error) MUST_CHECK;

/* Begins to look whether it is in order and nothing of it is missing: what is read behind the end
 * of a file that was cut off would be zeroes. To be read to its end and finished by
 * qemu_check_finish().
 */
int qemu_check(struct child *child, int fd, const struct format *format, uint64_t size,
               struct error *ret_error) MUST_CHECK;
int qemu_check_finish(struct child *child, const char *name, struct error *ret_error) MUST_CHECK;

/* Begins to write its content as a raw disk to `to`, which reads as zeroes and has the size
 * already. child_finish() says how it ended. */
int qemu_convert(struct child *child, int fd, const struct format *format, uint64_t size, int to,
                 struct error *ret_error) MUST_CHECK;

/* Begins to make a qcow2 of a raw disk of `size` bytes, a file or a device, in `to`, which is
 * empty. child_finish() says how it ended. */
int qemu_make(struct child *child, int fd, uint64_t size, bool compress, int to,
              struct error *ret_error) MUST_CHECK;

/* --- pure, for tests and the fuzzer --- */

/* What qemu-img info says. The size, or -EINVAL with a sentence about `name`. */
int qemu_parse_info(const char *json, size_t length, const char *name, const struct format *format,
                    uint64_t *ret_size, struct error *ret_error) MUST_CHECK;
/* What qemu-img measure -O qcow2 says: about the bytes that are not holes. */
int qemu_parse_measure(const char *json, size_t length, uint64_t *ret_data,
                       struct error *ret_error) MUST_CHECK;
/* The latest "(12.34/100%)" in what qemu-img convert -p has written, in hundredths of a per cent;
 * `before` if there is none. */
unsigned qemu_parse_progress(const char *text, size_t length, unsigned before);
