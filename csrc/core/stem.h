/* The convolution of the image itself in eight bits, by our own kernels: few channels
 * in, many out, which oneDNN has only in float.
 *
 * The image becomes 8-bit codes again, a * x + b of the normalised x in each channel,
 * with a border of what zero is. Four neighbouring codes of a row, whichever channels
 * and pixels they are of, meet four weights in one instruction. */
#ifndef BUS_STEM_H
#define BUS_STEM_H

#include "graph.h"

/* Which instructions the kernels use. */
enum bus_stem_isa {
    BUS_STEM_NONE, /* there are no kernels for this CPU */
    BUS_STEM_AVX2,
    BUS_STEM_VNNI, /* AVX-512 */
    BUS_STEM_ISA_COUNT,
};

/* Numbers after which, at the latest, a pixel and a vector of the kernels begin at once
 * again. */
#define BUS_STEM_PERIOD (16 * BUS_MAX_IMAGE_CHANNELS)

enum bus_stem_isa bus_stem_isa(void);

/* Whether a node is such a convolution: of the input, with ReLU, without a sum, with
 * multiples of 64 channels. */
bool bus_stem_admits(const struct bus_node *node);

/* The largest weight for which sums are exact. */
int bus_stem_largest(enum bus_stem_isa isa);

/* Bytes that the packed weights take. */
size_t bus_stem_weight_size(const struct bus_node *node);

/* Packs 8-bit weights (channels, src_channels, kernel, kernel), each row of which
 * begins stride bytes after the last. */
void bus_stem_pack(signed char *dst, const signed char *weights, size_t stride,
                   const struct bus_node *node);

struct bus_stem {
    enum bus_stem_isa isa;
    struct bus_shape src, dst;
    int64_t kernel, stride, padding;
    int threads;
    /* Of bus_stem_codes, channel after channel, again and again. */
    float a[BUS_STEM_PERIOD], b[BUS_STEM_PERIOD];
    unsigned char border[BUS_MAX_IMAGE_CHANNELS]; /* the code of zero */
};

/* What an image's codes are of the numbers that it is normalised to. */
void bus_stem_codes(float a[BUS_MAX_IMAGE_CHANNELS], float b[BUS_MAX_IMAGE_CHANNELS],
                    const struct bus_node *input);

struct bus_stem bus_stem_plan(enum bus_stem_isa isa, const struct bus_node *node,
                              const struct bus_node *input, const struct bus_shape *src,
                              const struct bus_shape *dst, int threads);

/* What plans call the kernels. */
const char *bus_stem_name(const struct bus_stem *plan);

/* Bytes of scratch memory that a run takes. */
size_t bus_stem_scratch(const struct bus_stem *plan);

/* Computes dst (n, h, w, c), rounded and cut to 0..255, from src: the sums times
 * scales, plus bias, for each channel. */
void bus_stem_run(const struct bus_stem *plan, unsigned char *dst, const float *src,
                  const signed char *weights, const float *scales, const float *bias,
                  void *scratch);

#endif
