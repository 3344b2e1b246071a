/* The configuration file: any bytes must end in a configuration or in problems told. */
#include "server/config.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *context, const char *problem)
{
    ++*(unsigned *)context;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    unsigned problems = 0;
    struct config config;
    int fd = memfd_create("config", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int r = config_read(path, ignore, &problems, &config);
    if ((r < 0) != (problems > 0))
        abort(); /* what is refused is told, what is taken is not */
    if (r >= 0)
        config_free(&config);
    close(fd);
    return 0;
}
