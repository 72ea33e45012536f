#include "winograd.h"

#include <string.h>

#include "onednn.h"
#include "winograd_block.h"

#define MOST_TILES ((size_t)24)         /* in a block of one thread's */
#define BLOCK_BYTES ((size_t)512 << 10) /* of its tiles, transformed: half of L2 */

/* How many multiplications reading a weight takes as long as. */
#define READING ((size_t)15)

/* Weights that L2 does not hold beside a block are better read once: all threads take
 * the same tiles, many at a time, and each its panels of channels. From the smaller
 * size on where all tiles are one block, from the larger one on in any case. */
#define SHARED_BYTES ((size_t)1 << 20)
#define ALWAYS_SHARED_BYTES ((size_t)3 << 20)
#define SHARED_BLOCK_BYTES ((size_t)1 << 20)

enum bus_isa bus_winograd_isa(void)
{
    if (bus_onednn_has(dnnl_cpu_isa_avx512_core))
        return BUS_ISA_AVX512;
    if (bus_onednn_has(dnnl_cpu_isa_avx2))
        return BUS_ISA_AVX2;
    return BUS_ISA_PLAIN;
}

const char *bus_winograd_name(const struct bus_winograd *plan)
{
    static const char *const names[BUS_ISA_COUNT][2] = {
        [BUS_ISA_PLAIN] = {"winograd 2 plain", "winograd 4 plain"},
        [BUS_ISA_AVX2] = {"winograd 2 avx2", "winograd 4 avx2"},
        [BUS_ISA_AVX512] = {"winograd 2 avx512", "winograd 4 avx512"},
    };
    return names[plan->isa][plan->step / 4];
}

bool bus_winograd_admits(const struct bus_node *node)
{
    return node->op == BUS_CONV && node->kernel == 3 && node->stride == 1 &&
           node->padding == 1 && node->src_channels % 16 == 0 &&
           node->channels % (int64_t)PANEL == 0;
}

static size_t point_count(size_t step) { return (step + 2) * (step + 2); }

static size_t tile_count(const struct bus_shape *src, size_t step)
{
    return (size_t)src->n * bus_divide_up((size_t)src->h, step) *
           bus_divide_up((size_t)src->w, step);
}

size_t bus_winograd_step(const struct bus_shape *src)
{
    /* A weight is multiplied once a pixel or tile, and read once. */
    size_t least = 9 * ((size_t)(src->n * src->h * src->w) + READING), best = 0;
    for (size_t step = 2; step <= 4; step += 2) {
        const size_t cost = point_count(step) * (tile_count(src, step) + READING);
        if (cost < least) {
            least = cost;
            best = step;
        }
    }
    return best;
}

size_t bus_winograd_weight_count(const struct bus_node *node, size_t step)
{
    return point_count(step) * (size_t)node->channels * (size_t)node->src_channels;
}

/* One row of G g: the filter g of three numbers at the four or six points. */
static void filter_transform(double *dst, const double src[3], size_t step)
{
    const double even = src[0] + src[2], odd = src[1];
    if (step == 2) {
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
static void transform_filter(float *dst, const float filter[9], size_t step)
{
    const size_t side = step + 2;
    double columns[3][MOST_SIDE], points[MOST_SIDE];
    for (size_t x = 0; x < 3; x++) {
        const double column[3] = {filter[x], filter[3 + x], filter[6 + x]};
        filter_transform(columns[x], column, step);
    }
    for (size_t y = 0; y < side; y++) {
        const double row[3] = {columns[0][y], columns[1][y], columns[2][y]};
        filter_transform(points, row, step);
        for (size_t x = 0; x < side; x++)
            dst[(y * side + x) * PANEL] = (float)points[x];
    }
}

void bus_winograd_transform(float *dst, const float *weights,
                            const struct bus_node *node, size_t step, int threads)
{
    const size_t inputs = (size_t)node->src_channels, points = point_count(step);
    const size_t count = (size_t)node->channels / PANEL * inputs;
    /* Panel by panel, point by point: [panel][point][input][channel in panel]. */
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < count; i++) {
        const size_t panel = i / inputs, input = i % inputs;
        float transformed[MOST_POINTS * PANEL];
        float *to = dst + (panel * points * inputs + input) * PANEL;
        for (size_t c = 0; c < PANEL; c++)
            transform_filter(transformed + c,
                             weights + ((panel * PANEL + c) * inputs + input) * 9,
                             step);
        for (size_t point = 0; point < points; point++)
            memcpy(to + point * inputs * PANEL, transformed + point * PANEL,
                   PANEL * sizeof *transformed);
    }
}

struct bus_winograd bus_winograd_plan(enum bus_isa isa, const struct bus_node *node,
                                      size_t step, const struct bus_shape *src,
                                      int threads)
{
    struct bus_winograd plan = {.isa = isa,
                                .step = step,
                                .src = *src,
                                .dst_channels = node->channels,
                                .add = node->add != BUS_NONE,
                                .relu = node->relu,
                                .threads = threads};
    plan.tiles = tile_count(src, step);
    const size_t tile_bytes = point_count(step) * (size_t)src->c * sizeof(float);
    const size_t weight_bytes = bus_winograd_weight_count(node, step) * sizeof(float);
    plan.shared = weight_bytes > (plan.tiles * tile_bytes <= SHARED_BLOCK_BYTES
                                      ? SHARED_BYTES
                                      : ALWAYS_SHARED_BYTES) &&
                  (size_t)node->channels / PANEL >= 2 * (size_t)threads;
    size_t most = (plan.shared ? SHARED_BLOCK_BYTES : BLOCK_BYTES) / tile_bytes;
    if (!plan.shared && most > MOST_TILES)
        most = MOST_TILES;
    if (most < 1)
        most = 1;
    size_t blocks = bus_divide_up(plan.tiles, most);
    if (!plan.shared) /* as many as make every thread's share the same */
        blocks = bus_divide_up(blocks, (size_t)threads) * (size_t)threads;
    plan.block_tiles = bus_divide_up(plan.tiles, blocks);
    return plan;
}

/* Floats of a block's transformed tiles, and of one panel of their products. */
static size_t tile_floats(const struct bus_winograd *plan)
{
    return point_count(plan->step) *
           bus_winograd_stride(plan->block_tiles * (size_t)plan->src.c);
}

static size_t product_floats(const struct bus_winograd *plan)
{
    return point_count(plan->step) * bus_winograd_stride(plan->block_tiles * PANEL);
}

size_t bus_winograd_scratch(const struct bus_winograd *plan)
{
    const size_t threads = (size_t)plan->threads;
    const size_t blocks = plan->shared ? 1 : threads;
    return (blocks * tile_floats(plan) + threads * product_floats(plan)) *
           sizeof(float);
}

static const struct bus_winograd_kernels *const kernels[BUS_ISA_COUNT] = {
    [BUS_ISA_PLAIN] = &bus_winograd_plain,
    [BUS_ISA_AVX2] = &bus_winograd_avx2,
    [BUS_ISA_AVX512] = &bus_winograd_avx512,
};

/* Sets a block to the tiles of an index. */
static void set_block(struct bus_winograd_block *block, size_t index)
{
    block->first = index * block->plan->block_tiles;
    block->last = block->first + block->plan->block_tiles;
    if (block->last > block->plan->tiles)
        block->last = block->plan->tiles;
}

void bus_winograd_run(const struct bus_winograd *plan, float *dst, const float *src,
                      const float *weights, const float *bias, void *scratch)
{
    const struct bus_winograd_kernels *own = kernels[plan->isa];
    const size_t blocks = bus_divide_up(plan->tiles, plan->block_tiles);
    const size_t threads = (size_t)plan->threads;
    const size_t panels = (size_t)plan->dst_channels / PANEL;
    float *const products = scratch;
    float *const tiles = products + threads * product_floats(plan);
    const struct bus_winograd_block whole = {plan, dst,   src, weights,
                                             bias, tiles, 0,   0};
#pragma omp parallel num_threads(plan->threads)
    if (plan->shared) {
        struct bus_winograd_block block = whole;
        for (size_t index = 0; index < blocks; index++) {
            set_block(&block, index);
            const size_t count = block.last - block.first;
#pragma omp for schedule(static)
            for (size_t part = 0; part < threads; part++)
                own->transform(&block, part * count / threads,
                               (part + 1) * count / threads);
#pragma omp for schedule(static)
            for (size_t part = 0; part < threads; part++)
                own->combine(&block, products + part * product_floats(plan),
                             part * panels / threads, (part + 1) * panels / threads);
        }
    } else {
#pragma omp for schedule(static)
        for (size_t part = 0; part < threads; part++) {
            struct bus_winograd_block block = whole;
            block.tiles += part * tile_floats(plan);
            for (size_t index = part * blocks / threads;
                 index < (part + 1) * blocks / threads; index++) {
                set_block(&block, index);
                own->transform(&block, 0, block.last - block.first);
                own->combine(&block, products + part * product_floats(plan), 0, panels);
            }
        }
    }
}
