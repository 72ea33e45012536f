/* Convolution 3x3, stride 1, padding 1, by Winograd's minimal filtering F(4x4, 3x3) and
 * F(2x2, 3x3) (Lavin and Gray, CVPR 2016): a quarter or four ninths of the
 * multiplications.
 *
 * With tiles of 4x4 result pixels, 6x6 source pixels become 36 numbers a channel, 36
 * small matrix products combine the channels, and each result becomes 4x4 pixels; with
 * tiles of 2x2, source pixels are 4x4 and products 16. Weights take 4 or 1.8 times as
 * much memory. With tiles of 4x4, rounding errors are about ten times those of the
 * direct form; with 2x2 they are about the same. */
#ifndef BUS_WINOGRAD_H
#define BUS_WINOGRAD_H

#include "kernels/kernel.h"
#include "util.h"

#define MAX_SIDE ((size_t)6)             /* of a tile's source pixels */
#define MAX_POINTS (MAX_SIDE * MAX_SIDE) /* numbers of a transformed tile */
#define PANEL ((size_t)32) /* result channels that are computed together */

/* How a layer is divided into blocks. */
struct bus_winograd {
    size_t tile;          /* side of a tile's result, the m of F(m, 3): 2 or 4 */
    struct bus_shape src; /* n, c, h, w; the result has dst_channels */
    int64_t dst_channels;
    bool add;  /* dst holds what is added */
    bool relu; /* after the sum */
    int threads;
    size_t tiles, block_tiles; /* all, and how many go together */
    bool shared;               /* threads share each block, else each has its own */
};

/* Tiles that are computed together, first to last - 1 of the layer's. */
struct bus_winograd_block {
    const struct bus_winograd *plan;
    float *dst;
    const float *src, *weights, *bias;
    float *tiles; /* transformed: [point][tile][channel] */
    size_t first, last;
};

/* What differs between the rows. */
struct bus_winograd_variant {
    size_t tile;
    /* Transforms the block's tiles from to to - 1. */
    void (*transform)(const struct bus_winograd_block *block, size_t from, size_t to);
    /* Computes panels of all tiles; products is scratch memory of the thread's own. */
    void (*combine)(const struct bus_winograd_block *block, float *products,
                    size_t from, size_t to);
};

/* Floats from the numbers of one point to those of the next: an odd number of cache
 * lines, since points a power of two apart would fall into the same few sets. */
static inline size_t bus_winograd_stride(size_t numbers)
{
    return (numbers / 16 | 1) * 16;
}

struct bus_winograd bus_winograd_plan(const struct bus_kernel *kernel,
                                      const struct bus_kernel_call *call);

/* The functions of the rows. */
bool bus_winograd_admits(const struct bus_node *node, enum bus_precision precision);
size_t bus_winograd_cost(const struct bus_kernel *kernel,
                         const struct bus_kernel_call *call);
size_t bus_winograd_weight_size(const struct bus_kernel *kernel,
                                const struct bus_node *node);
void bus_winograd_pack(const struct bus_kernel *kernel, void *dst,
                       const struct bus_kernel_weights *weights,
                       const struct bus_node *node, int threads);
size_t bus_winograd_scratch(const struct bus_kernel *kernel,
                            const struct bus_kernel_call *call);
void bus_winograd_run(const struct bus_kernel *kernel,
                      const struct bus_kernel_call *call);

/* The row of a tile's side m and the instruction set of the file that it stands in. */
#define BUS_WINOGRAD_KERNEL(m, set, isa_)                                              \
    {                                                                                  \
        .name = "winograd " #m " " set,                                                \
        .isa = isa_,                                                                   \
        .variant =                                                                     \
            &(const struct bus_winograd_variant){m, transform_##m, combine_##m},       \
        .admits = bus_winograd_admits,                                                 \
        .cost = bus_winograd_cost,                                                     \
        .layout = "winograd " #m,                                                      \
        .weight_size = bus_winograd_weight_size,                                       \
        .pack = bus_winograd_pack,                                                     \
        .scratch = bus_winograd_scratch,                                               \
        .run = bus_winograd_run,                                                       \
    }

#endif
