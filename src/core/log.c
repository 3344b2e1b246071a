#include "core/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <sys/stat.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

/* Set once by log_open() before any thread exists, read-only afterwards. */
static struct {
    bool journal;
    int max_level;
} settings = {.journal = false, .max_level = LOG_INFO};

/* systemd names the device and inode of the stream that it connected to the journal. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat st;
    return stream && sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(int max_level)
{
    settings.journal = stderr_is_journal();
    settings.max_level = max_level;
}

static const char *level_word(int level)
{
    switch (level) {
    case LOG_ERR:
        return "error: ";
    case LOG_WARNING:
        return "warning: ";
    case LOG_DEBUG:
        return "debug: ";
    default:
        return "";
    }
}

void log_write(int level, const char *node, const char *format, ...)
{
    if (level > settings.max_level)
        return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    const char *separator = node ? ": " : "";
    const char *name = node ? node : "";
    if (settings.journal)
        sd_journal_send("MESSAGE=%s%s%s", name, separator, text, "PRIORITY=%i", level,
                        "SYSLOG_IDENTIFIER=nodisk", node ? "NODISK_NODE=%s" : NULL, node, NULL);
    else
        fprintf(stderr, "%s%s%s%s\n", level_word(level), name, separator, text);
}
