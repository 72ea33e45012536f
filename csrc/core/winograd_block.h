/* What the parts of the Winograd convolution agree on. */
#ifndef BUS_WINOGRAD_BLOCK_H
#define BUS_WINOGRAD_BLOCK_H

#include "round.h"
#include "winograd.h"

#define MOST_SIDE ((size_t)6)               /* of an input tile */
#define MOST_POINTS (MOST_SIDE * MOST_SIDE) /* numbers of a transformed tile */
#define PANEL ((size_t)32) /* result channels that are computed together */

/* Tiles that are computed together, first to last - 1 of the plan's. */
struct bus_winograd_block {
    const struct bus_winograd *plan;
    float *dst;
    const float *src, *weights, *bias;
    float *tiles; /* transformed: [point][tile][channel] */
    size_t first, last;
};

/* The kernels of an instruction set. */
struct bus_winograd_kernels {
    /* Transforms the block's tiles from to to - 1. */
    void (*transform)(const struct bus_winograd_block *block, size_t from, size_t to);
    /* Computes panels of all tiles; products is scratch memory of the thread's own. */
    void (*combine)(const struct bus_winograd_block *block, float *products,
                    size_t from, size_t to);
};

extern const struct bus_winograd_kernels bus_winograd_plain;
extern const struct bus_winograd_kernels bus_winograd_avx2;
extern const struct bus_winograd_kernels bus_winograd_avx512;

/* Floats from one point's numbers of so many to the next's: an odd number of cache
 * lines, since points an even power of two apart would fall into the same few sets. */
static inline size_t bus_winograd_stride(size_t numbers)
{
    return (numbers / 16 | 1) * 16;
}

#endif
