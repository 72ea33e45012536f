/* The convolution of the image itself in 8 bits: few channels in, many out, which
 * oneDNN computes in float only.
 *
 * The image becomes 8-bit codes again, a * x + b of the normalised x in each channel,
 * with a border of the code of zero. Four neighbouring codes of a row, whichever
 * channels and pixels they belong to, meet four weights in one instruction. */
#ifndef BUS_STEM_H
#define BUS_STEM_H

#include "kernels/kernel.h"
#include "util.h"

#define STEM_PANEL 64 /* result channels that are packed together */
#define STEM_GROUP 4  /* codes that one instruction sums */

/* Numbers after which, at the latest, a pixel and a vector begin at the same number. */
#define STEM_PERIOD (16 * BUS_MAX_IMAGE_CHANNELS)

/* What the rows of a layer have in common. */
struct bus_stem {
    struct bus_shape src, dst;
    int64_t kernel, stride, padding;
    /* A code is a * x + b; channel after channel, again and again. */
    float a[STEM_PERIOD], b[STEM_PERIOD];
    unsigned char border[BUS_MAX_IMAGE_CHANNELS]; /* the code of zero */
};

/* Groups of codes in a row of the kernel's window. */
static inline size_t bus_stem_groups(int64_t kernel, int64_t channels)
{
    return bus_divide_up((size_t)(kernel * channels), STEM_GROUP);
}

/* A row of the result; codes begin at its first window, row_size bytes a row. */
#define BUS_STEM_ARGUMENTS                                                             \
    const struct bus_stem *plan, unsigned char *dst, const unsigned char *codes,       \
        size_t row_size, const signed char *weights, const float *scales,              \
        const float *bias

/* What differs between the rows of the table. */
struct bus_stem_variant {
    /* Writes the codes of a row, its border left out. */
    void (*encode_row)(const struct bus_stem *plan, unsigned char *dst,
                       const float *src);
    void (*compute_row)(BUS_STEM_ARGUMENTS);
};

/* The functions of the rows. */
bool bus_stem_admits(const struct bus_node *node, enum bus_precision precision);
size_t bus_stem_cost(const struct bus_kernel *kernel,
                     const struct bus_kernel_call *call);
size_t bus_stem_weight_size(const struct bus_kernel *kernel,
                            const struct bus_node *node);
void bus_stem_pack(const struct bus_kernel *kernel, void *dst,
                   const struct bus_kernel_weights *weights,
                   const struct bus_node *node, int threads);
void bus_stem_adapt(struct bus_kernel_numbers *numbers, const struct bus_node *node,
                    const struct bus_node *input);
size_t bus_stem_scratch(const struct bus_kernel *kernel,
                        const struct bus_kernel_call *call);
void bus_stem_run(const struct bus_kernel *kernel, const struct bus_kernel_call *call);

/* The row of the instruction set of the file that it stands in. */
#define BUS_STEM_KERNEL(set, isa_, max_weight_)                                        \
    {                                                                                  \
        .name = "stem " set,                                                           \
        .isa = isa_,                                                                   \
        .variant = &(const struct bus_stem_variant){encode_row, compute_row},          \
        .admits = bus_stem_admits,                                                     \
        .cost = bus_stem_cost,                                                         \
        .layout = "stem",                                                              \
        .weight_size = bus_stem_weight_size,                                           \
        .pack = bus_stem_pack,                                                         \
        .adapt = bus_stem_adapt,                                                       \
        .max_weight = max_weight_,                                                     \
        .scratch = bus_stem_scratch,                                                   \
        .run = bus_stem_run,                                                           \
    }

#endif
