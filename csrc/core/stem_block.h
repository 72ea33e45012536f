/* What the parts of the stem's convolution agree on. */
#ifndef BUS_STEM_BLOCK_H
#define BUS_STEM_BLOCK_H

#include "round.h"
#include "stem.h"

#define STEM_PANEL 64 /* result channels that are packed together */
#define STEM_GROUP 4  /* codes that one instruction sums */

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

/* The kernels of an instruction set. */
struct bus_stem_kernels {
    /* Writes the codes of a row, its border left out. */
    void (*encode_row)(const struct bus_stem *plan, unsigned char *dst,
                       const float *src);
    void (*compute_row)(BUS_STEM_ARGUMENTS);
};

extern const struct bus_stem_kernels bus_stem_avx2;
extern const struct bus_stem_kernels bus_stem_vnni;

#endif
