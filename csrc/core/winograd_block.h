/* What the parts of the Winograd convolution agree on. */
#ifndef BUS_WINOGRAD_BLOCK_H
#define BUS_WINOGRAD_BLOCK_H

#include "winograd.h"

#define TILE 6                       /* side of an input tile */
#define STEP 4                       /* side of what comes of it */
#define POINTS ((size_t)TILE * TILE) /* numbers of a transformed tile */
#define PANEL ((size_t)32)           /* result channels that are computed together */

/* The tiles first to last - 1, with one thread's scratch memory. */
#define BUS_WINOGRAD_ARGUMENTS                                                         \
    const struct bus_winograd *plan, float *dst, const float *src,                     \
        const float *weights, const float *bias, float *scratch, size_t first,         \
        size_t last

void bus_winograd_plain(BUS_WINOGRAD_ARGUMENTS);
void bus_winograd_avx2(BUS_WINOGRAD_ARGUMENTS);
void bus_winograd_avx512(BUS_WINOGRAD_ARGUMENTS);

static inline size_t bus_winograd_divide_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

#endif
