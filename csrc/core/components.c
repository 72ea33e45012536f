/* Two passes with a union-find forest (Rosenfeld and Pfaltz, JACM 13(4), 1966): the
 * first gives provisional numbers and notes which touch, the second makes them final.
 */
#include "components.h"

#include <stdlib.h>

static int32_t root(const int32_t *parent, int32_t label)
{
    while (parent[label] != label)
        label = parent[label];
    return label;
}

/* Joins two trees under the smaller root and returns it. */
static int32_t join(int32_t *parent, int32_t a, int32_t b)
{
    a = root(parent, a);
    b = root(parent, b);
    if (a > b) {
        int32_t swap = a;
        a = b;
        b = swap;
    }
    parent[b] = a;
    return a;
}

static int32_t provisional(const int32_t *row, const int32_t *above, size_t x,
                           size_t width, int32_t *parent, int32_t *next)
{
    int32_t label = x > 0 ? row[x - 1] : 0;
    size_t from = x > 0 ? x - 1 : 0, to = x + 1 < width ? x + 1 : x;
    for (size_t i = from; above != NULL && i <= to; i++)
        if (above[i] != 0)
            label = label != 0 ? join(parent, label, above[i]) : above[i];
    if (label == 0) {
        label = (*next)++;
        parent[label] = label;
    }
    return label;
}

int bus_components_label(int32_t *labels, int32_t *count, const unsigned char *mask,
                         size_t height, size_t width, struct bus_error *error)
{
    /* No two new components start in pixels that touch: at most one in four. */
    size_t max_labels = ((height + 1) / 2) * ((width + 1) / 2) + 1;
    int32_t next = 1, components = 0;
    if (max_labels > INT32_MAX)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "a mask of %zu x %zu pixels is too large", height, width);
    int32_t *parent = malloc(max_labels * sizeof *parent);
    if (parent == NULL)
        return bus_error_memory(error, "component labels");
    parent[0] = 0;
    for (size_t y = 0; y < height; y++) {
        int32_t *row = labels + y * width;
        const int32_t *above = y > 0 ? row - width : NULL;
        for (size_t x = 0; x < width; x++)
            row[x] = mask[y * width + x] != 0
                         ? provisional(row, above, x, width, parent, &next)
                         : 0;
    }
    /* A root is smaller than the rest of its tree, so one pass makes all final. */
    for (int32_t i = 1; i < next; i++)
        parent[i] = parent[i] == i ? ++components : parent[parent[i]];
    for (size_t i = 0; i < height * width; i++)
        labels[i] = parent[labels[i]];
    free(parent);
    *count = components;
    return 0;
}
