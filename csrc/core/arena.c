#include "arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "util.h"

static bool overlap(const struct bus_span *a, const struct bus_span *b)
{
    return a->first <= b->last && b->first <= a->last;
}

static int larger_first(const void *left, const void *right)
{
    const struct bus_span *a = *(struct bus_span *const *)left;
    const struct bus_span *b = *(struct bus_span *const *)right;
    if (a->size != b->size)
        return a->size > b->size ? -1 : 1;
    return a < b ? -1 : a > b; /* the order of qsort would depend on the C library */
}

/* Inserts a span into placed, which is sorted by offset. */
static void insert(struct bus_span **placed, size_t count, struct bus_span *span)
{
    size_t i = count;
    for (; i > 0 && placed[i - 1]->offset > span->offset; i--)
        placed[i] = placed[i - 1];
    placed[i] = span;
}

/* Lowest offset at which a span overlaps none of the placed ones that are needed at the
 * same time. */
static size_t lowest_gap(struct bus_span *const *placed, size_t count,
                         const struct bus_span *span)
{
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        if (!overlap(placed[i], span))
            continue;
        if (placed[i]->offset >= offset + span->size)
            break;
        size_t past = placed[i]->offset + bus_round_up(placed[i]->size, BUS_ALIGNMENT);
        if (past > offset)
            offset = past;
    }
    return offset;
}

int bus_arena_layout(size_t *size, struct bus_span *spans, size_t count,
                     struct bus_error *error)
{
    size_t end = 0;
    struct bus_span **order = malloc((count != 0 ? 2 * count : 1) * sizeof *order);
    if (order == NULL)
        return bus_error_memory(error, "the arena's layout");
    struct bus_span **placed = order + count;
    for (size_t i = 0; i < count; i++)
        order[i] = &spans[i];
    qsort(order, count, sizeof *order, larger_first);
    for (size_t i = 0; i < count; i++) {
        size_t offset = lowest_gap(placed, i, order[i]);
        if (order[i]->size > SIZE_MAX / 4 || offset > SIZE_MAX / 4) {
            free(order);
            return bus_error_memory(error, "the arena");
        }
        order[i]->offset = offset;
        insert(placed, i, order[i]);
        if (offset + bus_round_up(order[i]->size, BUS_ALIGNMENT) > end)
            end = offset + bus_round_up(order[i]->size, BUS_ALIGNMENT);
    }
    free(order);
    *size = end;
    return 0;
}
