/* Convolution 3x3, stride 1, padding 1, by Winograd's minimal filtering F(4x4, 3x3) and
 * F(2x2, 3x3) (Lavin and Gray, CVPR 2016): a quarter or four ninths of the
 * multiplications, in our own kernels.
 *
 * Tiles of 6x6 pixels become 36 numbers a channel, 36 small matrix products combine the
 * channels, and each result becomes 4x4 pixels; with a step of 2 for 4, tiles are 4x4
 * and products 16. Weights take 4 or 1.8 times as much memory. Rounding is about ten
 * times that of the direct form with a step of 4, and like that with 2. */
#ifndef BUS_WINOGRAD_H
#define BUS_WINOGRAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "graph.h"

/* Which instructions the kernels use. */
enum bus_isa { BUS_ISA_PLAIN, BUS_ISA_AVX2, BUS_ISA_AVX512, BUS_ISA_COUNT };

/* The best that oneDNN, too, would use of this CPU. */
enum bus_isa bus_winograd_isa(void);

/* Whether a node can be computed so: by its geometry, and by its channels, which are to
 * be multiples of 16 (of the result: 32). */
bool bus_winograd_admits(const struct bus_node *node);

/* The step, 2 or 4, that an admitted node is best computed with for a map of this
 * shape; 0 where directly is better: of few pixels, reading the weights takes longer
 * than is saved. */
size_t bus_winograd_step(const struct bus_shape *src);

/* Floats that the transformed weights take. */
size_t bus_winograd_weight_count(const struct bus_node *node, size_t step);

/* Transforms weights (channels, src_channels, 3, 3) for the kernels. */
void bus_winograd_transform(float *dst, const float *weights,
                            const struct bus_node *node, size_t step, int threads);

struct bus_winograd {
    enum bus_isa isa;
    size_t step;          /* side of what comes of a tile, 2 or 4 */
    struct bus_shape src; /* n, c, h, w; the result has dst_channels */
    int64_t dst_channels;
    bool add;  /* dst holds what is added */
    bool relu; /* after the sum */
    int threads;
    size_t tiles, block_tiles; /* all, and how many go together */
    bool shared;               /* blocks are of all threads, else each of one */
};

/* What plans call the kernels. */
const char *bus_winograd_name(const struct bus_winograd *plan);

/* Plans the blocks for a shape. */
struct bus_winograd bus_winograd_plan(enum bus_isa isa, const struct bus_node *node,
                                      size_t step, const struct bus_shape *src,
                                      int threads);

/* Bytes of scratch memory that a run takes, 64-byte aligned. */
size_t bus_winograd_scratch(const struct bus_winograd *plan);

/* Computes dst (n, h, w, dst_channels) from src (n, h, w, c). The same bits for any
 * number of threads. */
void bus_winograd_run(const struct bus_winograd *plan, float *dst, const float *src,
                      const float *weights, const float *bias, void *scratch);

#endif
