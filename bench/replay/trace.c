#include "trace.h"

#include <ctype.h>
#include <errno.h>

/* Exactly 2 * size hexadecimal digits. */
static bool get_hex(const char *text, uint8_t *bytes, size_t size)
{
    if (strlen(text) != size * 2)
        return false;
    for (size_t i = 0; i < size; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
        if (!isxdigit((unsigned char)pair[0]) || !isxdigit((unsigned char)pair[1]))
            return false;
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return true;
}

static bool get_session(struct step *step, unsigned number)
{
    step->session = number - 1;
    return number >= 1 && number <= TRACE_MAX_SESSIONS;
}

static bool get_dhcp(struct step *step, const char *words)
{
    static const char *const names[ASKERS] = {"pxe", "ipxe", "system"};
    char asker[16];
    if (sscanf(words, "%15s %u %x %u", asker, &step->dhcp.architecture, &step->dhcp.flags,
               &step->dhcp.hold) != 4)
        return false;
    for (unsigned i = 0; i < ASKERS; i++)
        if (str_eq(asker, names[i])) {
            step->dhcp.asker = (enum asker)i;
            return true;
        }
    return false;
}

static bool get_tftp(struct step *step, const char *words)
{
    char what[16];
    if (sscanf(words, "%15s %u %u", what, &step->tftp.blksize, &step->tftp.window) != 3)
        return false;
    step->tftp.whole = str_eq(what, "get");
    return (step->tftp.whole || str_eq(what, "size")) && step->tftp.blksize <= 65464 &&
           step->tftp.window <= 65535;
}

static bool get_http(struct step *step, const char *words)
{
    return sscanf(words, "%15ms %255ms", &step->http.method, &step->http.path) == 2;
}

static bool get_login(struct step *step, const char *words)
{
    char isid[16];
    unsigned session, flags;
    if (sscanf(words, "%u %15s %x %2047ms", &session, isid, &flags, &step->login.keys) != 4)
        return false;
    step->login.flags = (uint8_t)flags;
    return get_session(step, session) && get_hex(isid, step->login.isid, sizeof(step->login.isid));
}

static bool get_read(struct step *step, const char *words)
{
    unsigned session;
    return sscanf(words, "%u %lu %u", &session, &step->io.lba, &step->io.blocks) == 3 &&
           get_session(step, session) && step->io.blocks <= 65535;
}

static bool get_write(struct step *step, const char *words)
{
    unsigned session;
    return sscanf(words, "%u %lu %u %u", &session, &step->io.lba, &step->io.blocks,
                  &step->io.fua) == 4 &&
           get_session(step, session) && step->io.blocks <= 65535;
}

static bool get_scsi(struct step *step, const char *words)
{
    char cdb[40], data[TRACE_MAX_DATA * 2 + 1];
    unsigned session;
    if (sscanf(words, "%u %39s %u %512s", &session, cdb, &step->scsi.receive, data) != 4 ||
        !get_hex(cdb, step->scsi.cdb, sizeof(step->scsi.cdb)))
        return false;
    if (!str_eq(data, "-")) {
        step->scsi.size = (unsigned)strlen(data) / 2;
        step->scsi.data = calloc(1, MAX(step->scsi.size, 1U));
        if (!step->scsi.data || !get_hex(data, step->scsi.data, step->scsi.size))
            return false;
    }
    return get_session(step, session);
}

static bool get_plain(struct step *step, const char *words)
{
    unsigned session;
    return sscanf(words, "%u", &session) == 1 && get_session(step, session);
}

static const struct {
    const char *name;
    bool (*get)(struct step *step, const char *words);
    bool of_session;
} kinds[STEP_KINDS] = {
    [STEP_DHCP] = {"dhcp", get_dhcp, false},   [STEP_TFTP] = {"tftp", get_tftp, false},
    [STEP_HTTP] = {"http", get_http, false},   [STEP_LOGIN] = {"login", get_login, true},
    [STEP_READ] = {"read", get_read, true},    [STEP_WRITE] = {"write", get_write, true},
    [STEP_SCSI] = {"scsi", get_scsi, true},    [STEP_LOGOUT] = {"logout", get_plain, true},
    [STEP_CLOSE] = {"close", get_plain, true},
};

static bool get_step(struct step *step, const char *line)
{
    char kind[16];
    int at = 0;
    if (sscanf(line, "%15s %u %u %n", kind, &step->depth, &step->pause, &at) != 3 || at == 0 ||
        step->depth < 1 || step->depth > TRACE_MAX_DEPTH)
        return false;
    for (unsigned i = 0; i < STEP_KINDS; i++)
        if (str_eq(kind, kinds[i].name)) {
            step->kind = (enum step_kind)i;
            return kinds[i].get(step, line + at);
        }
    return false;
}

/* A session begins with a login. */
static bool note_session(struct trace *trace, size_t at)
{
    const struct step *step = &trace->steps[at];
    if (!kinds[step->kind].of_session)
        return true;
    if (trace->sessions[step->session].last == 0) {
        trace->sessions[step->session].first = at;
        if (step->kind != STEP_LOGIN)
            return false;
    }
    trace->sessions[step->session].last = at;
    return true;
}

static bool add_step(struct trace *trace, const char *line)
{
    if (trace->count % 1024 == 0) {
        struct step *steps = realloc(trace->steps, (trace->count + 1024) * sizeof(struct step));
        if (!steps)
            return false;
        trace->steps = steps;
    }
    struct step *step = &trace->steps[trace->count++];
    *step = (struct step){0};
    return get_step(step, line) && note_session(trace, trace->count - 1);
}

int trace_read(const char *path, struct trace *ret_trace, struct error *ret_error)
{
    cleanup_fclose FILE *file = fopen(path, "re");
    cleanup_free char *line = NULL;
    size_t size = 0, number = 0;
    struct trace trace = {0};
    if (!file)
        return error_set(ret_error, -errno, "the trace %s cannot be opened: %m", path);
    while (getline(&line, &size, file) > 0) {
        number++;
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (!add_step(&trace, line)) {
            trace_free(&trace);
            return error_set(ret_error, -EINVAL, "%s, line %zu: this is no step of a boot", path,
                             number);
        }
    }
    if (trace.count == 0)
        return error_set(ret_error, -EINVAL, "%s has no step of a boot", path);
    *ret_trace = trace;
    return 0;
}

void trace_free(struct trace *trace)
{
    for (size_t i = 0; i < trace->count; i++) {
        struct step *step = &trace->steps[i];
        if (step->kind == STEP_HTTP) {
            free(step->http.method);
            free(step->http.path);
        } else if (step->kind == STEP_LOGIN) {
            free(step->login.keys);
        } else if (step->kind == STEP_SCSI) {
            free(step->scsi.data);
        }
    }
    free(trace->steps);
    *trace = (struct trace){0};
}
