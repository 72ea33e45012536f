#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int bus_error_set(struct bus_error *error, enum bus_code code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    error->code = code;
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return -1;
}

int bus_error_memory(struct bus_error *error, const char *what)
{
    return bus_error_set(error, BUS_ERROR_MEMORY, "no memory for %s", what);
}
