/*
 * Directories like /sys/firmware/ibft, which may be copies of who knows what. Input: lines; the
 * first character of each chooses a file, the rest is what is in it.
 */
#include "ibft_checks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const directories[] = {"initiator", "ethernet0", "ethernet7", "target0",
                                          "target1"};
static const char *const files[] = {
    "initiator/index",         "initiator/flags",      "initiator/initiator-name",
    "initiator/isns-server",   "ethernet0/index",      "ethernet0/flags",
    "ethernet0/ip-addr",       "ethernet0/prefix-len", "ethernet0/origin",
    "ethernet0/gateway",       "ethernet0/vlan",       "ethernet0/mac",
    "ethernet0/primary-dns",   "ethernet0/hostname",   "ethernet7/mac",
    "ethernet7/secondary-dns", "ethernet7/flags",      "target0/flags",
    "target0/ip-addr",         "target0/port",         "target0/lun",
    "target0/chap-type",       "target0/nic-assoc",    "target0/target-name",
    "target0/chap-name",       "target0/chap-secret",  "target0/rev-chap-name",
    "target1/flags",           "target1/target-name",  "target0/rev-chap-name-secret",
};

static void put_file(int root, const uint8_t *line, size_t size)
{
    int fd = openat(root, files[line[0] % ARRAY_SIZE(files)], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert(fd >= 0);
    ssize_t n = write(fd, line + 1, size - 1);
    assert(n == (ssize_t)size - 1);
    close(fd);
}

static void put_files(int root, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        int r = mkdirat(root, directories[i], 0700);
        assert(r == 0);
    }
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) : size;
        if (length > 0)
            put_file(root, data, length);
        size_t used = length + (end ? 1 : 0);
        data += used;
        size -= used;
    }
}

static void remove_files(int root)
{
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        unlinkat(root, files[i], 0);
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
        unlinkat(root, directories[i], AT_REMOVEDIR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/dev/shm/nodisk-fuzz-XXXXXX"; /* in memory */
    struct ibft ibft;
    struct ibft_faults faults = {0};
    struct error error;
    bool made = mkdtemp(path) != NULL;
    assert(made);
    int root = open(path, O_RDONLY | O_DIRECTORY);
    put_files(root, data, size);
    if (ibft_read_kernel(path, &ibft, &faults, &error) == 0) {
        str_copy(ibft.signature, sizeof(ibft.signature), "iBFT"); /* to be written as a table */
        check_table(&ibft, &faults, data, size);
    }
    remove_files(root);
    close(root);
    rmdir(path);
    return 0;
}
