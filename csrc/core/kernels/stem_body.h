/* The kernels' body, compiled once for each instruction set by stem_*.c, which define
 *
 *   integers, LANES      a vector of sums, and how many
 *   VECTORS, PIXELS      vectors of channels, and pixels, whose sums stay in registers
 *   dot(sums, codes, w)  adds products of four codes each
 *   broadcast(codes)     four codes to every lane
 *   encode(dst, src, a, b)             writes LANES codes, a * src + b
 *   finish(dst, sums, scales, bias)    writes LANES numbers of the result
 */
#include <string.h>

#include "kernels/stem.h"
#include "kernels/target.h"

static void encode_row(const struct bus_stem *plan, unsigned char *dst,
                       const float *src)
{
    const size_t channels = (size_t)plan->src.c;
    const size_t count = (size_t)plan->src.w * channels, rest = count % LANES;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        const size_t at = i % (channels * LANES);
        encode(dst + i, src + i, plan->a + at, plan->b + at);
    }
    if (rest > 0) {
        unsigned char codes[LANES];
        float numbers[LANES] = {0};
        const size_t at = i % (channels * LANES);
        memcpy(numbers, src + i, rest * sizeof *numbers);
        encode(codes, numbers, plan->a + at, plan->b + at);
        memcpy(dst + i, codes, rest);
    }
}

/* Some channels of a panel, of pixels that are a constant wherever this is called. */
static ALWAYS_INLINE void compute(const struct bus_stem *plan, unsigned char *dst,
                                  const unsigned char *codes, size_t row_size,
                                  const signed char *weights, const float *scales,
                                  const float *bias, const size_t pixels)
{
    const size_t groups = bus_stem_groups(plan->kernel, plan->src.c);
    const size_t step = (size_t)(plan->stride * plan->src.c);
    integers sums[PIXELS][VECTORS] = {0};
    for (int64_t y = 0; y < plan->kernel; y++, codes += row_size)
        for (size_t group = 0; group < groups; group++) {
            integers w[VECTORS];
#pragma GCC unroll 8
            for (size_t v = 0; v < VECTORS; v++)
                memcpy(&w[v], weights + v * LANES * STEM_GROUP, sizeof w[v]);
#pragma GCC unroll 8
            for (size_t i = 0; i < pixels; i++) {
                int four;
                memcpy(&four, codes + i * step + group * STEM_GROUP, sizeof four);
                const integers all = broadcast(four);
#pragma GCC unroll 8
                for (size_t v = 0; v < VECTORS; v++)
                    sums[i][v] = dot(sums[i][v], all, w[v]);
            }
            weights += STEM_PANEL * STEM_GROUP;
        }
    /* A barrier for the compiler, which would else keep sums in memory. */
#pragma GCC unroll 8
    for (size_t i = 0; i < pixels; i++)
#pragma GCC unroll 8
        for (size_t v = 0; v < VECTORS; v++)
            __asm__("" : "+v"(sums[i][v]));
#pragma GCC unroll 8
    for (size_t i = 0; i < pixels; i++)
#pragma GCC unroll 8
        for (size_t v = 0; v < VECTORS; v++)
            finish(dst + i * (size_t)plan->dst.c + v * LANES, sums[i][v],
                   scales + v * LANES, bias + v * LANES);
}

static void compute_row(BUS_STEM_ARGUMENTS)
{
    const size_t width = (size_t)plan->dst.w, channels = (size_t)plan->dst.c;
    const size_t pieces = bus_divide_up(width, PIXELS);
    const size_t panel_size = (size_t)plan->kernel *
                              bus_stem_groups(plan->kernel, plan->src.c) * STEM_PANEL *
                              STEM_GROUP;
    for (size_t channel = 0; channel < channels; channel += VECTORS * LANES) {
        const signed char *w = weights + channel / STEM_PANEL * panel_size +
                               channel % STEM_PANEL * STEM_GROUP;
        for (size_t piece = 0; piece < pieces; piece++) {
            const size_t first = piece * width / pieces;
            const unsigned char *from =
                codes + first * (size_t)(plan->stride * plan->src.c);
            unsigned char *to = dst + first * channels + channel;
#define CASE(count)                                                                    \
    case count:                                                                        \
        compute(plan, to, from, row_size, w, scales + channel, bias + channel,         \
                count <= PIXELS ? count : PIXELS);                                     \
        break;
            switch ((piece + 1) * width / pieces - first) {
                CASE(1)
                CASE(2)
                CASE(3)
                CASE(4)
                CASE(5)
                CASE(6)
            default:
                break;
            }
#undef CASE
        }
    }
}
