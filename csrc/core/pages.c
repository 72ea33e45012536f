#define _DEFAULT_SOURCE
#include "pages.h"

#include <stdint.h>
#include <sys/mman.h>

#include "util.h"

int bus_pages_new(struct bus_pages *pages, size_t size, const char *what,
                  struct bus_error *error)
{
    struct bus_pages created = {0};
    size_t alignment = size >= BUS_HUGE_PAGE ? BUS_HUGE_PAGE : BUS_PAGE;
    if (size == 0) {
        *pages = created;
        return 0;
    }
    if (size > PTRDIFF_MAX - 2 * BUS_HUGE_PAGE)
        return bus_error_memory(error, what);
    created.size = size;
    created.mapping_size = size + (alignment > BUS_PAGE ? alignment : 0);
    created.mapping = mmap(NULL, created.mapping_size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (created.mapping == MAP_FAILED)
        return bus_error_memory(error, what);
    created.data = (char *)bus_round_up((uintptr_t)created.mapping, alignment);
    *pages = created;
    return 0;
}

bool bus_pages_map(struct bus_pages *pages, size_t offset, int file, size_t size)
{
    char *place = pages->data + offset;
    if (mmap(place, size, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, BUS_PAGE) ==
        MAP_FAILED)
        return false;
    madvise(place, size, MADV_WILLNEED);
    return true;
}

void bus_pages_prefer_huge(const struct bus_pages *pages)
{
    if (pages->size >= BUS_HUGE_PAGE) /* advice only */
        madvise(pages->data, pages->size, MADV_HUGEPAGE);
}

void bus_pages_release(const struct bus_pages *pages, const void *start, size_t size)
{
    uintptr_t first = bus_round_up((uintptr_t)start, BUS_PAGE);
    uintptr_t last = ((uintptr_t)start + size) & ~(uintptr_t)(BUS_PAGE - 1);
    if (pages->data != NULL && first < last)
        madvise((void *)first, last - first, MADV_DONTNEED);
}

void bus_pages_free(struct bus_pages *pages)
{
    if (pages->mapping != NULL)
        munmap(pages->mapping, pages->mapping_size);
    *pages = (struct bus_pages){0};
}
