#include "winograd.h"

#include <dnnl.h>
#include <string.h>

#include "winograd_block.h"

#define MOST_TILES ((size_t)24) /* in a block */
#define BLOCK_BYTES                                                                    \
    ((size_t)512 << 10) /* of a block's transformed input: half of L2                  \
                         */

enum bus_isa bus_winograd_isa(void)
{
    int isa = (int)dnnl_get_effective_cpu_isa();
    if ((isa & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core)
        return BUS_ISA_AVX512;
    if ((isa & dnnl_cpu_isa_avx2) == dnnl_cpu_isa_avx2)
        return BUS_ISA_AVX2;
    return BUS_ISA_PLAIN;
}

const char *bus_winograd_name(enum bus_isa isa)
{
    static const char *const names[BUS_ISA_COUNT] = {
        [BUS_ISA_PLAIN] = "winograd plain",
        [BUS_ISA_AVX2] = "winograd avx2",
        [BUS_ISA_AVX512] = "winograd avx512",
    };
    return names[isa];
}

bool bus_winograd_admits(const struct bus_node *node)
{
    return node->op == BUS_CONV && node->kernel == 3 && node->stride == 1 &&
           node->padding == 1 && node->src_channels % 16 == 0 &&
           node->channels % (int64_t)PANEL == 0;
}

size_t bus_winograd_weight_count(const struct bus_node *node)
{
    return POINTS * (size_t)node->channels * (size_t)node->src_channels;
}

/* One row of G g: the filter g of three numbers at the six points. */
static void filter_transform(double dst[TILE], const double src[3])
{
    double even = src[0] + src[2], odd = src[1];
    dst[0] = src[0] / 4;
    dst[1] = -(even + odd) / 6;
    dst[2] = -(even - odd) / 6;
    dst[3] = src[0] / 24 + src[1] / 12 + src[2] / 6;
    dst[4] = src[0] / 24 - src[1] / 12 + src[2] / 6;
    dst[5] = src[2];
}

/* One filter at all points, written a panel's width apart. */
static void transform_filter(float *dst, const float filter[9])
{
    double columns[3][TILE], points[TILE];
    for (size_t x = 0; x < 3; x++) {
        const double column[3] = {filter[x], filter[3 + x], filter[6 + x]};
        filter_transform(columns[x], column);
    }
    for (size_t y = 0; y < TILE; y++) {
        const double row[3] = {columns[0][y], columns[1][y], columns[2][y]};
        filter_transform(points, row);
        for (size_t x = 0; x < TILE; x++)
            dst[(y * TILE + x) * PANEL] = (float)points[x];
    }
}

void bus_winograd_transform(float *dst, const float *weights,
                            const struct bus_node *node, int threads)
{
    const size_t inputs = (size_t)node->src_channels;
    const size_t count = (size_t)node->channels / PANEL * inputs;
    /* Panel by panel, point by point: [panel][point][input][channel in panel]. */
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < count; i++) {
        const size_t panel = i / inputs, input = i % inputs;
        float points[POINTS * PANEL];
        float *to = dst + (panel * POINTS * inputs + input) * PANEL;
        for (size_t c = 0; c < PANEL; c++)
            transform_filter(points + c,
                             weights + ((panel * PANEL + c) * inputs + input) * 9);
        for (size_t point = 0; point < POINTS; point++)
            memcpy(to + point * inputs * PANEL, points + point * PANEL,
                   PANEL * sizeof *points);
    }
}

struct bus_winograd bus_winograd_plan(enum bus_isa isa, const struct bus_node *node,
                                      const struct bus_shape *src, int threads)
{
    struct bus_winograd plan = {.isa = isa,
                                .src = *src,
                                .dst_channels = node->channels,
                                .add = node->add != BUS_NONE,
                                .relu = node->relu,
                                .threads = threads};
    size_t most = BLOCK_BYTES / (POINTS * (size_t)src->c * sizeof(float));
    most = most < 1 ? 1 : most > MOST_TILES ? MOST_TILES : most;
    plan.tiles = (size_t)src->n * bus_winograd_divide_up((size_t)src->h, STEP) *
                 bus_winograd_divide_up((size_t)src->w, STEP);
    /* As many blocks as make every thread's share the same. */
    size_t blocks = bus_winograd_divide_up(plan.tiles, most);
    blocks = bus_winograd_divide_up(blocks, (size_t)threads) * (size_t)threads;
    plan.block_tiles = bus_winograd_divide_up(plan.tiles, blocks);
    return plan;
}

/* Floats of one thread's scratch: transformed tiles, and a panel of their products. */
static size_t scratch_floats(const struct bus_winograd *plan)
{
    return POINTS * plan->block_tiles * ((size_t)plan->src.c + PANEL);
}

size_t bus_winograd_scratch(const struct bus_winograd *plan)
{
    return (size_t)plan->threads * scratch_floats(plan) * sizeof(float);
}

static void (*const computers[BUS_ISA_COUNT])(BUS_WINOGRAD_ARGUMENTS) = {
    [BUS_ISA_PLAIN] = bus_winograd_plain,
    [BUS_ISA_AVX2] = bus_winograd_avx2,
    [BUS_ISA_AVX512] = bus_winograd_avx512,
};

void bus_winograd_run(const struct bus_winograd *plan, float *dst, const float *src,
                      const float *weights, const float *bias, void *scratch)
{
    const size_t blocks = bus_winograd_divide_up(plan->tiles, plan->block_tiles);
    const size_t threads = (size_t)plan->threads;
    float *memory = scratch;
#pragma omp parallel for schedule(static) num_threads(plan->threads)
    for (size_t thread = 0; thread < threads; thread++) {
        float *mine = memory + thread * scratch_floats(plan);
        const size_t end = (thread + 1) * blocks / threads;
        for (size_t block = thread * blocks / threads; block < end; block++) {
            const size_t first = block * plan->block_tiles;
            size_t last = first + plan->block_tiles;
            if (last > plan->tiles)
                last = plan->tiles;
            computers[plan->isa](plan, dst, src, weights, bias, mine, first, last);
        }
    }
}
