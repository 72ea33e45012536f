#include "stem.h"

#include <math.h>
#include <string.h>

#include "onednn.h"
#include "stem_block.h"

/* Bytes behind the codes that the last group may read. */
#define SLACK ((size_t)64)

enum bus_stem_isa bus_stem_isa(void)
{
    if (bus_onednn_has(dnnl_cpu_isa_avx512_core_vnni))
        return BUS_STEM_VNNI;
    if (bus_onednn_has(dnnl_cpu_isa_avx2))
        return BUS_STEM_AVX2;
    return BUS_STEM_NONE;
}

bool bus_stem_admits(const struct bus_node *node)
{
    return node->op == BUS_CONV && node->src == 0 && node->relu &&
           node->add == BUS_NONE && node->channels % STEM_PANEL == 0;
}

int bus_stem_largest(enum bus_stem_isa isa) { return isa == BUS_STEM_VNNI ? 127 : 64; }

const char *bus_stem_name(const struct bus_stem *plan)
{
    return plan->isa == BUS_STEM_VNNI ? "stem avx512 vnni" : "stem avx2";
}

size_t bus_stem_weight_size(const struct bus_node *node)
{
    return (size_t)(node->channels * node->kernel) *
           bus_stem_groups(node->kernel, node->src_channels) * STEM_GROUP;
}

void bus_stem_pack(signed char *dst, const signed char *weights, size_t stride,
                   const struct bus_node *node)
{
    const size_t kernel = (size_t)node->kernel, inputs = (size_t)node->src_channels;
    const size_t row = bus_stem_groups(node->kernel, node->src_channels) * STEM_GROUP;
    memset(dst, 0, bus_stem_weight_size(node));
    for (size_t o = 0; o < (size_t)node->channels; o++)
        for (size_t c = 0; c < inputs; c++)
            for (size_t y = 0; y < kernel; y++)
                for (size_t x = 0; x < kernel; x++) {
                    const size_t place = x * inputs + c; /* in a row of codes */
                    const size_t group =
                        o / STEM_PANEL * kernel * row + y * row + place / 4 * 4;
                    dst[group * STEM_PANEL + o % STEM_PANEL * 4 + place % 4] =
                        weights[o * stride + (c * kernel + y) * kernel + x];
                }
}

void bus_stem_codes(float a[BUS_MAX_IMAGE_CHANNELS], float b[BUS_MAX_IMAGE_CHANNELS],
                    const struct bus_node *input)
{
    for (int64_t c = 0; c < input->channels; c++) {
        a[c] = 255.0F * input->std[c];
        b[c] = 255.0F * input->mean[c];
    }
}

struct bus_stem bus_stem_plan(enum bus_stem_isa isa, const struct bus_node *node,
                              const struct bus_node *input, const struct bus_shape *src,
                              const struct bus_shape *dst, int threads)
{
    struct bus_stem plan = {.isa = isa,
                            .src = *src,
                            .dst = *dst,
                            .kernel = node->kernel,
                            .stride = node->stride,
                            .padding = node->padding,
                            .threads = threads};
    float a[BUS_MAX_IMAGE_CHANNELS], b[BUS_MAX_IMAGE_CHANNELS];
    bus_stem_codes(a, b, input);
    for (int64_t i = 0; i < BUS_STEM_PERIOD; i++) {
        plan.a[i] = a[i % src->c];
        plan.b[i] = b[i % src->c];
    }
    for (int64_t c = 0; c < src->c; c++)
        plan.border[c] = (unsigned char)fmaxf(0.0F, fminf(rintf(b[c]), 255.0F));
    return plan;
}

/* Bytes of a row of codes with its border. */
static size_t row_size(const struct bus_stem *plan)
{
    return (size_t)((plan->src.w + 2 * plan->padding) * plan->src.c);
}

static size_t row_count(const struct bus_stem *plan)
{
    return (size_t)(plan->src.n * (plan->src.h + 2 * plan->padding));
}

size_t bus_stem_scratch(const struct bus_stem *plan)
{
    return row_count(plan) * row_size(plan) + SLACK;
}

static const struct bus_stem_kernels *const kernels[BUS_STEM_ISA_COUNT] = {
    [BUS_STEM_AVX2] = &bus_stem_avx2,
    [BUS_STEM_VNNI] = &bus_stem_vnni,
};

/* Writes so many pixels of the border. */
static void write_border(const struct bus_stem *plan, unsigned char *dst, size_t pixels)
{
    const size_t channels = (size_t)plan->src.c;
    for (size_t i = 0; i < pixels; i++)
        memcpy(dst + i * channels, plan->border, channels);
}

/* Writes a row of codes with its border; it is border alone where src is NULL. */
static void write_row(const struct bus_stem *plan, unsigned char *dst, const float *src)
{
    const size_t padding = (size_t)plan->padding, channels = (size_t)plan->src.c;
    const size_t width = (size_t)plan->src.w;
    if (src == NULL) {
        write_border(plan, dst, width + 2 * padding);
        return;
    }
    write_border(plan, dst, padding);
    kernels[plan->isa]->encode_row(plan, dst + padding * channels, src);
    write_border(plan, dst + (padding + width) * channels, padding);
}

void bus_stem_run(const struct bus_stem *plan, unsigned char *dst, const float *src,
                  const signed char *weights, const float *scales, const float *bias,
                  void *scratch)
{
    const struct bus_stem_kernels *own = kernels[plan->isa];
    unsigned char *codes = scratch;
    const size_t size = row_size(plan), height = (size_t)plan->src.h;
    const size_t tall = height + 2 * (size_t)plan->padding;
    const size_t src_row = (size_t)(plan->src.w * plan->src.c);
    const size_t dst_row = (size_t)(plan->dst.w * plan->dst.c);
    const size_t padding = (size_t)plan->padding, down = (size_t)plan->dst.h;
#pragma omp parallel num_threads(plan->threads)
    {
#pragma omp for schedule(static)
        for (size_t row = 0; row < row_count(plan); row++) {
            const size_t image = row / tall, y = row % tall;
            const bool inside = y >= padding && y < padding + height;
            write_row(plan, codes + row * size,
                      inside ? src + (image * height + y - padding) * src_row : NULL);
        }
#pragma omp for schedule(static)
        for (size_t row = 0; row < (size_t)plan->src.n * down; row++) {
            const size_t image = row / down, y = row % down;
            const size_t first = image * tall + y * (size_t)plan->stride;
            own->compute_row(plan, dst + row * dst_row, codes + first * size, size,
                             weights, scales, bias);
        }
    }
}
