/* What went wrong, described once, by the function that noticed it.
 *
 * A function that can fail returns 0 or -1 and fills the struct bus_error that its
 * caller gives. On failure nothing else that the caller owns has changed. */
#ifndef BUS_ERROR_H
#define BUS_ERROR_H

enum bus_code {
    BUS_OK,
    BUS_ERROR_MEMORY, /* an allocation failed */
    BUS_ERROR_VALUE,  /* an argument cannot be used; the message has the facts */
    BUS_ERROR_ABSENT, /* the cache has no such weights, and arrays were not set */
    BUS_ERROR_ENGINE, /* oneDNN refused; the message has the layer and its status */
};

struct bus_error {
    enum bus_code code;
    char message[400];
};

/* Fills error and returns -1. A message that is too long is cut. */
int bus_error_set(struct bus_error *error, enum bus_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* BUS_ERROR_MEMORY, saying what the memory was for. Returns -1. */
int bus_error_memory(struct bus_error *error, const char *what);

#endif
