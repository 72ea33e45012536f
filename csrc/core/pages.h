/* Large zeroed memory straight from the system, so that giving it back is certain.
 *
 * malloc keeps freed blocks for later; a network's weights are too large for that. */
#ifndef BUS_PAGES_H
#define BUS_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

struct bus_pages {
    char *data; /* aligned to 2 MB where it is of huge pages, else to a page */
    size_t size;
    void *mapping; /* what the system gave, data lies in it */
    size_t mapping_size;
};

/* Maps size bytes. A size of 0 maps nothing and succeeds with data NULL.
 *
 * huge asks for huge pages where they fit: fewer misses, but memory that is given back
 * piece by piece had better not be of them. */
int bus_pages_new(struct bus_pages *pages, size_t size, bool huge, const char *what,
                  struct bus_error *error);

/* Gives the whole pages inside [start, start + size) back to the system; their content
 * is lost. start lies in pages. */
void bus_pages_release(const struct bus_pages *pages, const void *start, size_t size);

/* Unmaps. A zeroed struct is fine. */
void bus_pages_free(struct bus_pages *pages);

#endif
