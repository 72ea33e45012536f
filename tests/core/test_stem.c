/* Every kernel of the image's convolution in 8 bits against the sum as it is written
 * down, on random shapes. */
#include "check.h"
#include "kernels/kernel.h"
#include "random.h"
#include "util.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static unsigned state = 11;

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

static void check_kernel(const struct problem *problem, const struct bus_kernel *kernel)
{
    const size_t count = (size_t)(problem->dst.n * problem->dst.h * problem->dst.w) *
                         (size_t)problem->node.channels;
    const size_t row = (size_t)(problem->node.src_channels * problem->node.kernel *
                                problem->node.kernel);
    const struct bus_kernel_weights weights = {problem->weights, row};
    void *packed = malloc(kernel->weight_size(kernel, &problem->node));
    unsigned char *dst = malloc(count), *first = malloc(count);
    kernel->pack(kernel, packed, &weights, &problem->node, 1);
    for (int threads = 1; threads <= 3; threads++) {
        struct bus_kernel_call call = {
            .node = &problem->node,
            .input = &problem->input,
            .src = {problem->image, problem->src, dnnl_f32, {0}},
            .dst = {dst, problem->dst, dnnl_u8, {0}},
            .weights = packed,
            .bias = problem->bias,
            .scales = problem->scales,
            .threads = threads,
        };
        call.scratch = malloc(kernel->scratch(kernel, &call));
        kernel->run(kernel, &call);
        free(call.scratch);
        if (threads == 1)
            memcpy(first, dst, count);
        CHECK(memcmp(first, dst, count) == 0);
    }
    int wrong = 0;
    for (size_t i = 0; i < count; i += (size_t)random_int(&state, 1, 23)) {
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
        problem->image[i] = (float)random_int(&state, -2000, 2500) / 1000.0F;
    for (int64_t i = 0; i < node->channels; i++) {
        problem->scales[i] = 1.0F / (float)(1 << random_int(&state, 6, 9));
        problem->bias[i] = (float)random_int(&state, -60, 60);
    }
    for (size_t k = 0; k < bus_kernel_count; k++) {
        const struct bus_kernel *kernel = bus_kernels[k];
        if (!bus_isa_available(kernel->isa) ||
            !kernel->admits(&problem->node, BUS_INT8))
            continue;
        const int max = kernel->max_weight;
        for (size_t i = 0; i < weights; i++)
            problem->weights[i] = (signed char)random_int(&state, -max, max);
        check_kernel(problem, kernel);
    }
    free(problem->bias);
    free(problem->scales);
    free(problem->weights);
    free(problem->image);
}

/* A kernel for the node that tests are made of. */
static void test_admission(void)
{
    struct bus_node node = {.op = BUS_CONV,
                            .src = 0,
                            .add = BUS_NONE,
                            .relu = true,
                            .kernel = 7,
                            .channels = 64,
                            .src_channels = 1};
    const struct bus_kernel *kernel = bus_kernel_adapting(&node, BUS_INT8);
    CHECK((kernel != NULL) == bus_isa_available(BUS_ISA_AVX2));
    if (kernel == NULL)
        return;
    CHECK(kernel->weight_size(kernel, &node) == 64 * 7 * 8);
    CHECK(kernel->max_weight == (bus_isa_available(BUS_ISA_AVX512_VNNI) ? 127 : 64));
    CHECK(bus_kernel_adapting(&node, BUS_F32) == NULL);
    node.relu = false;
    CHECK(bus_kernel_adapting(&node, BUS_INT8) == NULL);
    node.relu = true;
    node.src = 1;
    CHECK(bus_kernel_adapting(&node, BUS_INT8) == NULL);
    node.src = 0;
    node.channels = 32;
    CHECK(bus_kernel_adapting(&node, BUS_INT8) == NULL);
}

/* Adapted numbers compute of the codes what the first ones do of the normalised image.
 */
static void test_adaptation(void)
{
    const struct bus_node input = {
        .channels = 2, .mean = {0.4F, 0.5F}, .std = {0.2F, 0.25F}};
    const struct bus_node node = {.op = BUS_CONV,
                                  .src = 0,
                                  .add = BUS_NONE,
                                  .relu = true,
                                  .kernel = 1,
                                  .channels = 64,
                                  .src_channels = 2};
    const struct bus_kernel *kernel = bus_kernel_adapting(&node, BUS_INT8);
    float weights[128], bias[64], mean[2] = {0.5F, -1.0F}, before[128];
    if (kernel == NULL)
        return;
    for (int i = 0; i < 128; i++)
        before[i] = weights[i] = 0.01F * (float)(i - 64);
    for (int i = 0; i < 64; i++)
        bias[i] = 0.1F * (float)i;
    struct bus_kernel_numbers numbers = {weights, bias, mean};
    kernel->adapt(&numbers, &node, &input);
    CHECK(fabsf(mean[0] - (0.5F * 51.0F + 102.0F)) < 1e-4F);
    CHECK(fabsf(mean[1] - (-63.75F + 127.5F)) < 1e-4F);
    for (int i = 0; i < 64; i++) {
        const float pixel[] = {0.7F, 0.1F}; /* in 0..1 */
        const float x0 = (pixel[0] - 0.4F) / 0.2F, x1 = (pixel[1] - 0.5F) / 0.25F;
        const float expected =
            before[2 * i] * x0 + before[2 * i + 1] * x1 + 0.1F * (float)i;
        const float got = weights[2 * i] * 255.0F * pixel[0] +
                          weights[2 * i + 1] * 255.0F * pixel[1] + bias[i];
        CHECK(fabsf(got - expected) < 1e-4F);
    }
}

void test_stem(void)
{
    test_admission();
    test_adaptation();
    for (int round = 0; round < 24; round++) {
        const int64_t kernel = random_int(&state, 1, 7),
                      stride = random_int(&state, 1, 3);
        const int64_t padding = random_int(&state, 0, (int)kernel - 1);
        struct problem problem = {
            .node = {.op = BUS_CONV,
                     .kernel = kernel,
                     .stride = stride,
                     .padding = padding,
                     .channels = 64 * random_int(&state, 1, 2),
                     .src_channels = random_int(&state, 1, 4)},
            .input = {.mean = {0.4F, 0.5F, 0.0F, 1.0F},
                      .std = {0.2F, 0.3F, 0.4F, 1.0F}},
            .src = {random_int(&state, 1, 3), 0, kernel + random_int(&state, 0, 19),
                    kernel + random_int(&state, 0, 23)},
        };
        problem.src.c = problem.input.channels = problem.node.src_channels;
        problem.dst =
            (struct bus_shape){problem.src.n, problem.node.channels,
                               (problem.src.h + 2 * padding - kernel) / stride + 1,
                               (problem.src.w + 2 * padding - kernel) / stride + 1};
        check_problem(&problem);
    }
}
