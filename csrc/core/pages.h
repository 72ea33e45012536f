/* Large zeroed memory directly from the system, so that it is really given back.
 *
 * malloc may hold freed blocks for later use; a network's weights are too large for it.
 */
#ifndef BUS_PAGES_H
#define BUS_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

#define BUS_PAGE ((size_t)4096)
#define BUS_HUGE_PAGE ((size_t)2 << 20)

struct bus_pages {
    char *data; /* aligned to 2 MB from that size on, else to a page */
    size_t size;
    void *mapping; /* of the system; data lies in it */
    size_t mapping_size;
};

/* Maps size bytes. A size of 0 maps nothing and succeeds with data NULL. */
int bus_pages_new(struct bus_pages *pages, size_t size, const char *what,
                  struct bus_error *error);

/* Maps size bytes of a file, from its second page on, to offset, a multiple of
 * BUS_PAGE. False if that fails; nothing has changed then. */
bool bus_pages_map(struct bus_pages *pages, size_t offset, int file, size_t size);

/* Asks for huge pages when the memory is filled, for fewer misses; filling may take
 * longer. */
void bus_pages_prefer_huge(const struct bus_pages *pages);

/* Gives the whole pages inside [start, start + size) back to the system; their content
 * is lost. start lies in pages. */
void bus_pages_release(const struct bus_pages *pages, const void *start, size_t size);

/* Unmaps. A zeroed struct is fine. */
void bus_pages_free(struct bus_pages *pages);

#endif
