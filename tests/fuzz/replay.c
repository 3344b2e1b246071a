/*
 * Runs a fuzz target over every file of the directories and files given, without a fuzzer: the
 * corpus as a unit test. Also runs each input cut at every length (up to 4096), since truncation
 * is the commonest damage.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An exact-size copy, so that the address sanitizer sees a read of one byte too many. */
static void run_once(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static unsigned run_file(const char *path)
{
    static uint8_t data[1 << 20];
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(1);
    }
    size_t size = fread(data, 1, sizeof(data), f);
    fclose(f);
    run_once(data, size);
    size_t step = size > 4096 ? size / 512 : 1;
    for (size_t cut = 0; cut < size; cut += step)
        run_once(data, cut);
    return 1;
}

static unsigned run_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        perror(path);
        exit(1);
    }
    if (!S_ISDIR(st.st_mode))
        return run_file(path);

    DIR *directory = opendir(path);
    unsigned count = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        char name[4096];
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        count += run_path(name);
    }
    if (directory)
        closedir(directory);
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++)
        count += run_path(argv[i]);
    printf("%u inputs\n", count);
    return count > 0 ? 0 : 1; /* an empty corpus proves nothing */
}
