#include "kernels/stem.h"

#include <math.h>
#include <string.h>

/* Bytes behind the codes that the last group may read. */
#define SLACK ((size_t)64)

bool bus_stem_admits(const struct bus_node *node, enum bus_precision precision)
{
    return precision == BUS_INT8 && node->op == BUS_CONV && node->src == 0 &&
           node->relu && node->add == BUS_NONE && node->channels % STEM_PANEL == 0;
}

/* The lowest cost: the weights are adapted to this kernel. */
size_t bus_stem_cost(const struct bus_kernel *kernel,
                     const struct bus_kernel_call *call)
{
    (void)kernel;
    (void)call;
    return 0;
}

size_t bus_stem_weight_size(const struct bus_kernel *kernel,
                            const struct bus_node *node)
{
    (void)kernel;
    return (size_t)(node->channels * node->kernel) *
           bus_stem_groups(node->kernel, node->src_channels) * STEM_GROUP;
}

void bus_stem_pack(const struct bus_kernel *kernel, void *dst,
                   const struct bus_kernel_weights *weights,
                   const struct bus_node *node, int threads)
{
    const size_t side = (size_t)node->kernel, inputs = (size_t)node->src_channels;
    const size_t row = bus_stem_groups(node->kernel, node->src_channels) * STEM_GROUP;
    const signed char *src = weights->rows;
    signed char *to = dst;
    (void)threads;
    memset(dst, 0, bus_stem_weight_size(kernel, node));
    for (size_t o = 0; o < (size_t)node->channels; o++)
        for (size_t c = 0; c < inputs; c++)
            for (size_t y = 0; y < side; y++)
                for (size_t x = 0; x < side; x++) {
                    const size_t place = x * inputs + c; /* in a row of codes */
                    const size_t group =
                        o / STEM_PANEL * side * row + y * row + place / 4 * 4;
                    to[group * STEM_PANEL + o % STEM_PANEL * 4 + place % 4] =
                        src[o * weights->stride + (c * side + y) * side + x];
                }
}

/* Writes the factors that turn normalised numbers into codes. */
static void find_codes(float a[BUS_MAX_IMAGE_CHANNELS], float b[BUS_MAX_IMAGE_CHANNELS],
                       const struct bus_node *input)
{
    for (int64_t c = 0; c < input->channels; c++) {
        a[c] = 255.0F * input->std[c];
        b[c] = 255.0F * input->mean[c];
    }
}

/* Weights multiply codes instead of normalised numbers, so the bias changes by what a
 * code of zero stands for. */
void bus_stem_adapt(struct bus_kernel_numbers *numbers, const struct bus_node *node,
                    const struct bus_node *input)
{
    float a[BUS_MAX_IMAGE_CHANNELS], b[BUS_MAX_IMAGE_CHANNELS];
    const size_t channels = (size_t)node->src_channels;
    const size_t window = (size_t)(node->kernel * node->kernel);
    const size_t columns = channels * window;
    find_codes(a, b, input);
    for (size_t row = 0; row < (size_t)node->channels; row++) {
        float *weight = numbers->weights + row * columns;
        double zero = 0.0;
        for (size_t i = 0; i < columns; i++) {
            weight[i] /= a[i / window];
            zero += (double)weight[i] * b[i / window];
        }
        numbers->bias[row] = (float)(numbers->bias[row] - zero);
    }
    for (size_t c = 0; c < channels; c++)
        numbers->input_mean[c] = numbers->input_mean[c] * a[c] + b[c];
}

static struct bus_stem make_plan(const struct bus_kernel_call *call)
{
    const struct bus_node *node = call->node;
    struct bus_stem plan = {.src = call->src.shape,
                            .dst = call->dst.shape,
                            .kernel = node->kernel,
                            .stride = node->stride,
                            .padding = node->padding};
    float a[BUS_MAX_IMAGE_CHANNELS], b[BUS_MAX_IMAGE_CHANNELS];
    find_codes(a, b, call->input);
    for (int64_t i = 0; i < STEM_PERIOD; i++) {
        plan.a[i] = a[i % plan.src.c];
        plan.b[i] = b[i % plan.src.c];
    }
    for (int64_t c = 0; c < plan.src.c; c++)
        plan.border[c] = (unsigned char)fmaxf(0.0F, fminf(rintf(b[c]), 255.0F));
    return plan;
}

/* Bytes of a row of codes with its border. */
static size_t row_size(const struct bus_shape *src, int64_t padding)
{
    return (size_t)((src->w + 2 * padding) * src->c);
}

static size_t row_count(const struct bus_shape *src, int64_t padding)
{
    return (size_t)(src->n * (src->h + 2 * padding));
}

size_t bus_stem_scratch(const struct bus_kernel *kernel,
                        const struct bus_kernel_call *call)
{
    const int64_t padding = call->node->padding;
    (void)kernel;
    return row_count(&call->src.shape, padding) * row_size(&call->src.shape, padding) +
           SLACK;
}

/* Writes pixels of the border. */
static void write_border(const struct bus_stem *plan, unsigned char *dst, size_t pixels)
{
    const size_t channels = (size_t)plan->src.c;
    for (size_t i = 0; i < pixels; i++)
        memcpy(dst + i * channels, plan->border, channels);
}

/* Writes a row of codes with its border; it is border alone where src is NULL. */
static void write_row(const struct bus_stem_variant *variant,
                      const struct bus_stem *plan, unsigned char *dst, const float *src)
{
    const size_t padding = (size_t)plan->padding, channels = (size_t)plan->src.c;
    const size_t width = (size_t)plan->src.w;
    if (src == NULL) {
        write_border(plan, dst, width + 2 * padding);
        return;
    }
    write_border(plan, dst, padding);
    variant->encode_row(plan, dst + padding * channels, src);
    write_border(plan, dst + (padding + width) * channels, padding);
}

/* The sums times scales, plus bias, rounded and cut to 0..255. */
void bus_stem_run(const struct bus_kernel *kernel, const struct bus_kernel_call *call)
{
    const struct bus_stem_variant *variant = kernel->variant;
    const struct bus_stem plan = make_plan(call);
    const float *src = call->src.data;
    unsigned char *codes = call->scratch, *dst = call->dst.data;
    const size_t size = row_size(&plan.src, plan.padding);
    const size_t rows = row_count(&plan.src, plan.padding);
    const size_t height = (size_t)plan.src.h, padding = (size_t)plan.padding;
    const size_t tall = height + 2 * padding;
    const size_t src_row = (size_t)(plan.src.w * plan.src.c);
    const size_t dst_row = (size_t)(plan.dst.w * plan.dst.c);
    const size_t down = (size_t)plan.dst.h;
#pragma omp parallel num_threads(call->threads)
    {
#pragma omp for schedule(static)
        for (size_t row = 0; row < rows; row++) {
            const size_t image = row / tall, y = row % tall;
            const bool inside = y >= padding && y < padding + height;
            write_row(variant, &plan, codes + row * size,
                      inside ? src + (image * height + y - padding) * src_row : NULL);
        }
#pragma omp for schedule(static)
        for (size_t row = 0; row < (size_t)plan.src.n * down; row++) {
            const size_t image = row / down, y = row % down;
            const size_t first = image * tall + y * (size_t)plan.stride;
            variant->compute_row(&plan, dst + row * dst_row, codes + first * size, size,
                                 call->weights, call->scales, call->bias);
        }
    }
}
