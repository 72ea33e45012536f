/* The stem's kernels against the sum as it is written down, on random shapes. */
#include "check.h"
#include "stem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static unsigned state = 11;

static int draw(int from, int to)
{
    state = state * 1664525U + 1013904223U;
    return from + (int)((state >> 8) % (unsigned)(to - from + 1));
}

struct problem {
    struct bus_node node, input;
    struct bus_shape src, dst;
    float *image; /* normalised */
    signed char *weights;
    float *scales, *bias;
};

/* One number of the result. Sums are exact, scales powers of two, so that there is
 * nothing but the last rounding. */
static int expected(const struct problem *problem, int64_t n, int64_t y, int64_t x,
                    int64_t o)
{
    const struct bus_node *node = &problem->node;
    const int64_t kernel = node->kernel, channels = node->src_channels;
    long sum = 0;
    for (int64_t i = 0; i < kernel; i++)
        for (int64_t j = 0; j < kernel; j++)
            for (int64_t c = 0; c < channels; c++) {
                const int64_t yy = y * node->stride + i - node->padding;
                const int64_t xx = x * node->stride + j - node->padding;
                const bool in =
                    yy >= 0 && xx >= 0 && yy < problem->src.h && xx < problem->src.w;
                const int64_t at =
                    ((n * problem->src.h + yy) * problem->src.w + xx) * channels + c;
                const float number = in ? problem->image[at] : 0.0F;
                const float code = fmaf(number, 255.0F * problem->input.std[c],
                                        255.0F * problem->input.mean[c]);
                sum += lrintf(fmaxf(0.0F, fminf(code, 255.0F))) *
                       problem->weights[((o * channels + c) * kernel + i) * kernel + j];
            }
    const float real = (float)sum * problem->scales[o] + problem->bias[o];
    return (int)lrintf(fmaxf(0.0F, fminf(real, 255.0F)));
}

static void check_kernel(const struct problem *problem, enum bus_stem_isa isa)
{
    const size_t count = (size_t)(problem->dst.n * problem->dst.h * problem->dst.w) *
                         (size_t)problem->node.channels;
    signed char *packed = malloc(bus_stem_weight_size(&problem->node));
    unsigned char *dst = malloc(count), *first = malloc(count);
    bus_stem_pack(packed, problem->weights,
                  (size_t)(problem->node.src_channels * problem->node.kernel *
                           problem->node.kernel),
                  &problem->node);
    for (int threads = 1; threads <= 3; threads++) {
        const struct bus_stem plan =
            bus_stem_plan(isa, &problem->node, &problem->input, &problem->src,
                          &problem->dst, threads);
        void *scratch = malloc(bus_stem_scratch(&plan));
        bus_stem_run(&plan, dst, problem->image, packed, problem->scales, problem->bias,
                     scratch);
        free(scratch);
        if (threads == 1)
            memcpy(first, dst, count);
        CHECK(memcmp(first, dst, count) == 0);
    }
    int wrong = 0;
    for (size_t i = 0; i < count; i += (size_t)draw(1, 23)) {
        int64_t rest = (int64_t)i;
        const int64_t o = rest % problem->node.channels;
        rest /= problem->node.channels;
        const int64_t x = rest % problem->dst.w, y = rest / problem->dst.w;
        wrong += expected(problem, y / problem->dst.h, y % problem->dst.h, x, o) !=
                 (int)dst[i];
    }
    CHECK(wrong == 0);
    free(first);
    free(dst);
    free(packed);
}

static void check_problem(struct problem *problem)
{
    const struct bus_node *node = &problem->node;
    const size_t pixels = (size_t)(problem->src.n * problem->src.h * problem->src.w);
    const size_t numbers = pixels * (size_t)problem->src.c;
    const size_t weights =
        (size_t)(node->channels * node->src_channels * node->kernel * node->kernel);
    problem->image = malloc(numbers * sizeof *problem->image);
    problem->weights = malloc(weights);
    problem->scales = malloc((size_t)node->channels * sizeof *problem->scales);
    problem->bias = malloc((size_t)node->channels * sizeof *problem->bias);
    for (size_t i = 0; i < numbers; i++)
        problem->image[i] = (float)draw(-2000, 2500) / 1000.0F;
    for (int64_t i = 0; i < node->channels; i++) {
        problem->scales[i] = 1.0F / (float)(1 << draw(6, 9));
        problem->bias[i] = (float)draw(-60, 60);
    }
    for (int isa = BUS_STEM_AVX2; isa <= (int)bus_stem_isa(); isa++) {
        const int most = bus_stem_largest((enum bus_stem_isa)isa);
        for (size_t i = 0; i < weights; i++)
            problem->weights[i] = (signed char)draw(-most, most);
        check_kernel(problem, (enum bus_stem_isa)isa);
    }
    free(problem->bias);
    free(problem->scales);
    free(problem->weights);
    free(problem->image);
}

static void test_choice(void)
{
    struct bus_node node = {.op = BUS_CONV,
                            .src = 0,
                            .add = BUS_NONE,
                            .relu = true,
                            .kernel = 7,
                            .channels = 64,
                            .src_channels = 1};
    CHECK(bus_stem_admits(&node));
    CHECK(bus_stem_weight_size(&node) == 64 * 7 * 8);
    node.relu = false;
    CHECK(!bus_stem_admits(&node));
    node.relu = true;
    node.src = 1;
    CHECK(!bus_stem_admits(&node));
    node.src = 0;
    node.channels = 32;
    CHECK(!bus_stem_admits(&node));
    CHECK(bus_stem_largest(BUS_STEM_AVX2) == 64);
    CHECK(bus_stem_largest(BUS_STEM_VNNI) == 127);
}

void test_stem(void)
{
    test_choice();
    for (int round = 0; round < 24; round++) {
        const int64_t kernel = draw(1, 7), stride = draw(1, 3);
        const int64_t padding = draw(0, (int)kernel - 1);
        struct problem problem = {
            .node = {.op = BUS_CONV,
                     .kernel = kernel,
                     .stride = stride,
                     .padding = padding,
                     .channels = 64 * draw(1, 2),
                     .src_channels = draw(1, 4)},
            .input = {.mean = {0.4F, 0.5F, 0.0F, 1.0F},
                      .std = {0.2F, 0.3F, 0.4F, 1.0F}},
            .src = {draw(1, 3), 0, kernel + draw(0, 19), kernel + draw(0, 23)},
        };
        problem.src.c = problem.input.channels = problem.node.src_channels;
        problem.dst =
            (struct bus_shape){problem.src.n, problem.node.channels,
                               (problem.src.h + 2 * padding - kernel) / stride + 1,
                               (problem.src.w + 2 * padding - kernel) / stride + 1};
        check_problem(&problem);
    }
}
