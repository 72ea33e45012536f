#include "kernels/winograd.h"

#include <string.h>

#define MAX_TILES ((size_t)24)          /* in a block of one thread */
#define BLOCK_BYTES ((size_t)512 << 10) /* of its transformed tiles: half of L2 */

/* Weights too large for L2 beside a block are better read once: all threads work on the
 * same tiles, many at a time, and each computes its own panels of channels. The smaller
 * size is the limit where all tiles are one block, the larger one elsewhere. */
#define SHARED_BYTES ((size_t)1 << 20)
#define ALWAYS_SHARED_BYTES ((size_t)3 << 20)
#define SHARED_BLOCK_BYTES ((size_t)1 << 20)

bool bus_winograd_admits(const struct bus_node *node, enum bus_precision precision)
{
    return precision == BUS_F32 && node->op == BUS_CONV && node->kernel == 3 &&
           node->stride == 1 && node->padding == 1 && node->src_channels % 16 == 0 &&
           node->channels % (int64_t)PANEL == 0;
}

static const struct bus_winograd_variant *variant_of(const struct bus_kernel *kernel)
{
    return kernel->variant;
}

static size_t point_count(size_t tile) { return (tile + 2) * (tile + 2); }

static size_t tile_count(const struct bus_shape *src, size_t tile)
{
    return (size_t)src->n * bus_divide_up((size_t)src->h, tile) *
           bus_divide_up((size_t)src->w, tile);
}

/* A weight is multiplied once a tile, and loaded once. */
size_t bus_winograd_cost(const struct bus_kernel *kernel,
                         const struct bus_kernel_call *call)
{
    const size_t tile = variant_of(kernel)->tile;
    return point_count(tile) *
           (tile_count(&call->src.shape, tile) + BUS_WEIGHT_LOAD_COST);
}

/* Floats of the transformed weights. */
static size_t weight_count(const struct bus_node *node, size_t tile)
{
    return point_count(tile) * (size_t)node->channels * (size_t)node->src_channels;
}

size_t bus_winograd_weight_size(const struct bus_kernel *kernel,
                                const struct bus_node *node)
{
    return weight_count(node, variant_of(kernel)->tile) * sizeof(float);
}

/* One row of G g: the filter g of three numbers at the four or six points. */
static void filter_transform(double *dst, const double src[3], size_t tile)
{
    const double even = src[0] + src[2], odd = src[1];
    if (tile == 2) {
        dst[0] = src[0];
        dst[1] = (even + odd) / 2;
        dst[2] = (even - odd) / 2;
        dst[3] = src[2];
        return;
    }
    dst[0] = src[0] / 4;
    dst[1] = -(even + odd) / 6;
    dst[2] = -(even - odd) / 6;
    dst[3] = src[0] / 24 + src[1] / 12 + src[2] / 6;
    dst[4] = src[0] / 24 - src[1] / 12 + src[2] / 6;
    dst[5] = src[2];
}

/* One filter at all points, written a panel's width apart. */
static void transform_filter(float *dst, const float filter[9], size_t tile)
{
    const size_t side = tile + 2;
    double columns[3][MAX_SIDE], points[MAX_SIDE];
    for (size_t x = 0; x < 3; x++) {
        const double column[3] = {filter[x], filter[3 + x], filter[6 + x]};
        filter_transform(columns[x], column, tile);
    }
    for (size_t y = 0; y < side; y++) {
        const double row[3] = {columns[0][y], columns[1][y], columns[2][y]};
        filter_transform(points, row, tile);
        for (size_t x = 0; x < side; x++)
            dst[(y * side + x) * PANEL] = (float)points[x];
    }
}

void bus_winograd_pack(const struct bus_kernel *kernel, void *dst,
                       const struct bus_kernel_weights *weights,
                       const struct bus_node *node, int threads)
{
    const size_t tile = variant_of(kernel)->tile, points = point_count(tile);
    const size_t inputs = (size_t)node->src_channels;
    const size_t count = (size_t)node->channels / PANEL * inputs;
    /* Panel by panel, point by point: [panel][point][input][channel in panel]. */
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < count; i++) {
        const size_t panel = i / inputs, input = i % inputs;
        float transformed[MAX_POINTS * PANEL];
        float *to = (float *)dst + (panel * points * inputs + input) * PANEL;
        for (size_t c = 0; c < PANEL; c++) {
            const char *row =
                (const char *)weights->rows + (panel * PANEL + c) * weights->stride;
            transform_filter(transformed + c,
                             (const float *)(const void *)row + input * 9, tile);
        }
        for (size_t point = 0; point < points; point++)
            memcpy(to + point * inputs * PANEL, transformed + point * PANEL,
                   PANEL * sizeof *transformed);
    }
}

struct bus_winograd bus_winograd_plan(const struct bus_kernel *kernel,
                                      const struct bus_kernel_call *call)
{
    const struct bus_node *node = call->node;
    const struct bus_shape *src = &call->src.shape;
    const size_t tile = variant_of(kernel)->tile, threads = (size_t)call->threads;
    struct bus_winograd plan = {.tile = tile,
                                .src = *src,
                                .dst_channels = node->channels,
                                .add = node->add != BUS_NONE,
                                .relu = node->relu,
                                .threads = call->threads};
    plan.tiles = tile_count(src, tile);
    const size_t tile_bytes = point_count(tile) * (size_t)src->c * sizeof(float);
    const size_t weight_bytes = bus_winograd_weight_size(kernel, node);
    plan.shared = weight_bytes > (plan.tiles * tile_bytes <= SHARED_BLOCK_BYTES
                                      ? SHARED_BYTES
                                      : ALWAYS_SHARED_BYTES) &&
                  (size_t)node->channels / PANEL >= 2 * threads;
    size_t max_tiles = (plan.shared ? SHARED_BLOCK_BYTES : BLOCK_BYTES) / tile_bytes;
    if (!plan.shared && max_tiles > MAX_TILES)
        max_tiles = MAX_TILES;
    if (max_tiles < 1)
        max_tiles = 1;
    size_t blocks = bus_divide_up(plan.tiles, max_tiles);
    if (!plan.shared) /* a multiple of the threads, so that their shares are equal */
        blocks = bus_divide_up(blocks, threads) * threads;
    plan.block_tiles = bus_divide_up(plan.tiles, blocks);
    return plan;
}

/* Floats of a block's transformed tiles, and of one panel of their products. */
static size_t tile_floats(const struct bus_winograd *plan)
{
    return point_count(plan->tile) *
           bus_winograd_stride(plan->block_tiles * (size_t)plan->src.c);
}

static size_t product_floats(const struct bus_winograd *plan)
{
    return point_count(plan->tile) * bus_winograd_stride(plan->block_tiles * PANEL);
}

size_t bus_winograd_scratch(const struct bus_kernel *kernel,
                            const struct bus_kernel_call *call)
{
    const struct bus_winograd plan = bus_winograd_plan(kernel, call);
    const size_t threads = (size_t)plan.threads, blocks = plan.shared ? 1 : threads;
    return (blocks * tile_floats(&plan) + threads * product_floats(&plan)) *
           sizeof(float);
}

/* Sets a block to the tiles of an index. */
static void set_block(struct bus_winograd_block *block, size_t index)
{
    block->first = index * block->plan->block_tiles;
    block->last = block->first + block->plan->block_tiles;
    if (block->last > block->plan->tiles)
        block->last = block->plan->tiles;
}

/* All threads work on each block; products of each thread lie one after another. */
static void run_shared(const struct bus_winograd_variant *variant,
                       const struct bus_winograd_block *whole, float *products)
{
    const struct bus_winograd *plan = whole->plan;
    const size_t blocks = bus_divide_up(plan->tiles, plan->block_tiles);
    const size_t threads = (size_t)plan->threads;
    const size_t panels = (size_t)plan->dst_channels / PANEL;
#pragma omp parallel num_threads(plan->threads)
    {
        struct bus_winograd_block block = *whole;
        for (size_t index = 0; index < blocks; index++) {
            set_block(&block, index);
            const size_t count = block.last - block.first;
#pragma omp for schedule(static)
            for (size_t part = 0; part < threads; part++)
                variant->transform(&block, part * count / threads,
                                   (part + 1) * count / threads);
#pragma omp for schedule(static)
            for (size_t part = 0; part < threads; part++)
                variant->combine(&block, products + part * product_floats(plan),
                                 part * panels / threads,
                                 (part + 1) * panels / threads);
        }
    }
}

/* Each thread works on blocks of its own. */
static void run_separate(const struct bus_winograd_variant *variant,
                         const struct bus_winograd_block *whole, float *products)
{
    const struct bus_winograd *plan = whole->plan;
    const size_t blocks = bus_divide_up(plan->tiles, plan->block_tiles);
    const size_t threads = (size_t)plan->threads;
    const size_t panels = (size_t)plan->dst_channels / PANEL;
#pragma omp parallel for schedule(static) num_threads(plan->threads)
    for (size_t part = 0; part < threads; part++) {
        struct bus_winograd_block block = *whole;
        block.tiles += part * tile_floats(plan);
        for (size_t index = part * blocks / threads;
             index < (part + 1) * blocks / threads; index++) {
            set_block(&block, index);
            variant->transform(&block, 0, block.last - block.first);
            variant->combine(&block, products + part * product_floats(plan), 0, panels);
        }
    }
}

void bus_winograd_run(const struct bus_kernel *kernel,
                      const struct bus_kernel_call *call)
{
    const struct bus_winograd plan = bus_winograd_plan(kernel, call);
    float *const products = call->scratch;
    const struct bus_winograd_block whole = {
        .plan = &plan,
        .dst = call->dst.data,
        .src = call->src.data,
        .weights = call->weights,
        .bias = call->bias,
        .tiles = products + (size_t)plan.threads * product_floats(&plan),
    };
    if (plan.shared)
        run_shared(variant_of(kernel), &whole, products);
    else
        run_separate(variant_of(kernel), &whole, products);
}
