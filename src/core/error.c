#include "core/error.h"

#include <stdarg.h>

int error_set(struct error *ret_error, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret_error->text, sizeof(ret_error->text), format, args);
    va_end(args);
    ret_error->code = code;
    return code;
}

int error_prefix(struct error *error, const char *format, ...)
{
    char tail[sizeof(error->text)];
    str_copy(tail, sizeof(tail), error->text);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    if (n >= 0 && (size_t)n + 3 < sizeof(error->text)) {
        memcpy(error->text + n, ": ", 2);
        str_copy(error->text + n + 2, sizeof(error->text) - (size_t)n - 2, tail);
    }
    return error->code;
}
