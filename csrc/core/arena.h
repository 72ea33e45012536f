/* Where in one block of memory each buffer lies. Buffers that are never needed at the
 * same time share memory. */
#ifndef BUS_ARENA_H
#define BUS_ARENA_H

#include <stddef.h>

#include "error.h"

#define BUS_ALIGNMENT ((size_t)64)

struct bus_span {
    size_t size;
    size_t first, last; /* steps, both included, between which it is needed */
    size_t offset;      /* written by bus_arena_layout; a multiple of BUS_ALIGNMENT */
};

/* Places the largest span first, each in the lowest gap that is free while it is
 * needed. Writes the offsets and the size of the whole. */
int bus_arena_layout(size_t *size, struct bus_span *spans, size_t count,
                     struct bus_error *error);

#endif
