/* Every kernel of 3x3 convolutions in float against the direct sum, on random shapes.
 */
#include "check.h"
#include "kernels/winograd.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static unsigned state = 3;

struct problem {
    struct bus_node node;
    struct bus_shape shape;
    float *src, *weights, *bias, *before;
    size_t dst_count;
};

/* One number of the result, summed in double precision. */
static double direct(const struct problem *problem, int64_t n, int64_t y, int64_t x,
                     int64_t o)
{
    const int64_t height = problem->shape.h, width = problem->shape.w;
    const int64_t inputs = problem->shape.c;
    double sum = problem->bias[o];
    for (int64_t i = 0; i < 3; i++)
        for (int64_t j = 0; j < 3; j++) {
            const int64_t yy = y + i - 1, xx = x + j - 1;
            if (yy < 0 || xx < 0 || yy >= height || xx >= width)
                continue;
            for (int64_t c = 0; c < inputs; c++)
                sum += (double)
                           problem->src[((n * height + yy) * width + xx) * inputs + c] *
                       problem->weights[((o * inputs + c) * 3 + i) * 3 + j];
        }
    const int64_t at = ((n * height + y) * width + x) * problem->node.channels + o;
    if (problem->node.add != BUS_NONE)
        sum += problem->before[at];
    return problem->node.relu && sum < 0 ? 0 : sum;
}

/* Largest error over a sample of the result. */
static double largest_error(const struct problem *problem, const float *dst)
{
    const struct bus_shape *shape = &problem->shape;
    double largest = 0;
    for (size_t i = 0; i < problem->dst_count; i += (size_t)random_int(&state, 1, 17)) {
        int64_t rest = (int64_t)i;
        const int64_t o = rest % problem->node.channels;
        rest /= problem->node.channels;
        const int64_t x = rest % shape->w, y = rest / shape->w % shape->h;
        const int64_t n = rest / shape->w / shape->h;
        largest = fmax(largest, fabs(dst[i] - direct(problem, n, y, x, o)));
    }
    return largest;
}

static struct bus_kernel_call call_of(const struct problem *problem, int threads)
{
    struct bus_kernel_call call = {.node = &problem->node, .threads = threads};
    call.src.shape = problem->shape;
    call.src.data = problem->src;
    call.src.type = call.dst.type = dnnl_f32;
    call.dst.shape = problem->shape;
    call.dst.shape.c = problem->node.channels;
    call.bias = problem->bias;
    return call;
}

static void check_kernel(const struct problem *problem, const struct bus_kernel *kernel)
{
    const size_t bytes = problem->dst_count * sizeof(float);
    const size_t row = (size_t)problem->node.src_channels * 9 * sizeof(float);
    const struct bus_kernel_weights weights = {problem->weights, row};
    void *packed = malloc(kernel->weight_size(kernel, &problem->node));
    float *dst = malloc(bytes), *first = malloc(bytes);
    kernel->pack(kernel, packed, &weights, &problem->node, 2);
    for (int threads = 1; threads <= 3; threads++) {
        struct bus_kernel_call call = call_of(problem, threads);
        call.dst.data = dst;
        call.weights = packed;
        call.scratch =
            aligned_alloc(64, bus_round_up(kernel->scratch(kernel, &call) + 1, 64));
        memcpy(dst, problem->before, bytes);
        kernel->run(kernel, &call);
        free(call.scratch);
        CHECK(largest_error(problem, dst) < 1e-4);
        if (threads == 1)
            memcpy(first, dst, bytes);
        CHECK(memcmp(first, dst, bytes) == 0);
    }
    free(first);
    free(dst);
    free(packed);
}

/* How many kernels were checked. */
static int check_problem(struct problem *problem, const char *layout)
{
    const size_t inputs = (size_t)problem->shape.c;
    const size_t outputs = (size_t)problem->node.channels;
    const size_t pixels =
        (size_t)(problem->shape.n * problem->shape.h * problem->shape.w);
    int checked = 0;
    problem->dst_count = pixels * outputs;
    problem->src = random_numbers(&state, pixels * inputs, 1.0F);
    problem->weights = random_numbers(&state, outputs * inputs * 9, 0.2F);
    problem->bias = random_numbers(&state, outputs, 1.0F);
    problem->before = random_numbers(&state, problem->dst_count, 1.0F);
    for (size_t i = 0; i < bus_kernel_count; i++) {
        const struct bus_kernel *kernel = bus_kernels[i];
        if (!bus_isa_available(kernel->isa) ||
            !kernel->admits(&problem->node, BUS_F32) ||
            (layout != NULL && strcmp(kernel->layout, layout) != 0))
            continue;
        check_kernel(problem, kernel);
        checked++;
    }
    free(problem->src);
    free(problem->weights);
    free(problem->bias);
    free(problem->before);
    return checked;
}

/* Wide layers, whose tiles all threads share: in one block, and in several. */
static void test_shared(void)
{
    static const int64_t sides[] = {7, 14, 40};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        struct problem problem = {
            .node = {.op = BUS_CONV,
                     .kernel = 3,
                     .stride = 1,
                     .padding = 1,
                     .channels = 256,
                     .src_channels = 256,
                     .add = 0,
                     .relu = true},
            .shape = {1, 256, sides[i], 14},
        };
        const struct bus_kernel_call call = call_of(&problem, 2);
        const struct bus_winograd plan =
            bus_winograd_plan(&bus_winograd_2_plain, &call);
        CHECK(plan.shared);
        CHECK((plan.block_tiles < plan.tiles) == (sides[i] == 40));
        /* Tiles of 4x4 round too much for this number of channels. */
        CHECK(check_problem(&problem, "winograd 2") >= 1);
    }
}

static void test_admission(void)
{
    struct bus_node node = {.op = BUS_CONV,
                            .kernel = 3,
                            .stride = 1,
                            .padding = 1,
                            .channels = 32,
                            .src_channels = 16};
    CHECK(bus_winograd_admits(&node, BUS_F32));
    CHECK(!bus_winograd_admits(&node, BUS_EXACT));
    CHECK(!bus_winograd_admits(&node, BUS_BF16));
    CHECK(!bus_winograd_admits(&node, BUS_INT8));
    node.stride = 2;
    CHECK(!bus_winograd_admits(&node, BUS_F32));
    node.stride = 1;
    node.kernel = 1;
    CHECK(!bus_winograd_admits(&node, BUS_F32));
    node.kernel = 3;
    node.channels = 48;
    CHECK(!bus_winograd_admits(&node, BUS_F32));
    node.channels = 32;
    node.src_channels = 8;
    CHECK(!bus_winograd_admits(&node, BUS_F32));
}

void test_winograd(void)
{
    for (int round = 0; round < 24; round++) {
        struct problem problem = {
            .node = {.op = BUS_CONV,
                     .kernel = 3,
                     .stride = 1,
                     .padding = 1,
                     .channels = 32 * random_int(&state, 1, 3),
                     .src_channels = 16 * random_int(&state, 1, 5),
                     .add = random_int(&state, 0, 1) != 0 ? 0 : BUS_NONE,
                     .relu = random_int(&state, 0, 1) != 0},
            .shape = {random_int(&state, 1, 3), 0, random_int(&state, 1, 19),
                      random_int(&state, 1, 23)},
        };
        problem.shape.c = problem.node.src_channels;
        CHECK(check_problem(&problem, NULL) >= 2);
    }
    test_shared();
    test_admission();
}
