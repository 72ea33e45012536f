#define _DEFAULT_SOURCE
#include "cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* A file is written only where the disk has room for this many of its size. */
#define ROOM_FACTOR 4

/* The first page of a file begins with it; the data, which is mapped, starts at the
 * second. */
struct header {
    char magic[16];
    uint64_t size;
};

static const char magic[16] = "busnet packed 1";

bool bus_cache_name(char name[BUS_CACHE_NAME], const char *folder, const char *file)
{
    const int length = snprintf(name, BUS_CACHE_NAME, "%s/%s", folder, file);
    return length > 0 && length < BUS_CACHE_NAME;
}

static bool read_all(int file, void *data, size_t size, off_t offset)
{
    char *to = data;
    while (size > 0) {
        const ssize_t got = pread(file, to, size, offset);
        if (got <= 0)
            return false;
        to += got;
        offset += got;
        size -= (size_t)got;
    }
    return true;
}

static bool write_all(int file, const void *data, size_t size)
{
    const char *from = data;
    while (size > 0) {
        const ssize_t written = write(file, from, size);
        if (written <= 0)
            return false;
        from += written;
        size -= (size_t)written;
    }
    return true;
}

static size_t total(const struct bus_cache_part *parts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += parts[i].size;
    return size;
}

/* Opens a file with size bytes of data, or returns -1. Sets its time, which shows when
 * it was last used. */
static int open_complete(const char *name, size_t size)
{
    struct header header;
    struct stat status;
    const int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    if (!read_all(file, &header, sizeof header, 0) ||
        memcmp(header.magic, magic, sizeof magic) != 0 || header.size != size ||
        fstat(file, &status) < 0 || (size_t)status.st_size != BUS_PAGE + size) {
        close(file);
        return -1;
    }
    (void)futimens(file, NULL);
    return file;
}

bool bus_cache_read(const char *name, const struct bus_cache_part *parts, size_t count)
{
    off_t offset = BUS_PAGE;
    const int file = open_complete(name, total(parts, count));
    if (file < 0)
        return false;
    bool read = true;
    for (size_t i = 0; read && i < count; i++) {
        read = read_all(file, parts[i].data, parts[i].size, offset);
        offset += (off_t)parts[i].size;
    }
    close(file);
    return read;
}

bool bus_cache_map(struct bus_pages *pages, size_t offset, const char *name,
                   size_t size)
{
    const int file = open_complete(name, size);
    if (file < 0)
        return false;
    const bool mapped = bus_pages_map(pages, offset, file, size);
    close(file);
    return mapped;
}

/* Whether the file system has room for several files of a size. */
static bool has_room(int file, uint64_t size)
{
    struct statvfs status;
    return fstatvfs(file, &status) == 0 &&
           (uint64_t)status.f_bavail * status.f_frsize / ROOM_FACTOR > size;
}

void bus_cache_write(const char *name, const struct bus_cache_part *parts, size_t count)
{
    char part_name[BUS_CACHE_NAME], page[BUS_PAGE] = {0};
    struct header header = {.size = total(parts, count)};
    memcpy(header.magic, magic, sizeof magic);
    memcpy(page, &header, sizeof header);
    const int length = snprintf(part_name, sizeof part_name, "%s.XXXXXX", name);
    if (length < 0 || length >= (int)sizeof part_name)
        return;
    const int file = mkstemp(part_name);
    if (file < 0)
        return;
    bool written = has_room(file, header.size) && write_all(file, page, sizeof page);
    for (size_t i = 0; written && i < count; i++)
        written = write_all(file, parts[i].data, parts[i].size);
    written = close(file) == 0 && written;
    if (!written || rename(part_name, name) < 0)
        unlink(part_name);
}

uint64_t bus_cache_hash(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    if (hash == 0)
        hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    return hash;
}
