/* Files of packed weights, which later processes map.
 *
 * Files are written whole or not at all, under names that the caller makes unique for
 * all that decides the numbers. A file that cannot be written is no error.
 */
#ifndef BUS_CACHE_H
#define BUS_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "pages.h"

#define BUS_CACHE_NAME 4096

/* Writes the path of a folder's file to name. False if that is too long. */
bool bus_cache_name(char name[BUS_CACHE_NAME], const char *folder, const char *file);

/* A part of a file, one after the other. */
struct bus_cache_part {
    void *data;
    size_t size;
};

/* Reads a file's parts. False if it is not there or of another size. */
bool bus_cache_read(const char *name, const struct bus_cache_part *parts, size_t count);

/* Writes a file of parts. */
void bus_cache_write(const char *name, const struct bus_cache_part *parts,
                     size_t count);

/* Maps a file of one part, shared with other processes, to an offset in pages, a
 * multiple of BUS_PAGE. False as above. */
bool bus_cache_map(struct bus_pages *pages, size_t offset, const char *name,
                   size_t size);

/* A hash of bytes (FNV-1a). hash: 0, or the hash of the bytes before. */
uint64_t bus_cache_hash(uint64_t hash, const void *data, size_t size);

#endif
