/* Every kernel against the direct sum, on random shapes. */
#include "check.h"
#include "winograd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static unsigned state = 3;

static unsigned draw(unsigned below)
{
    state = state * 1664525U + 1013904223U;
    return (state >> 8) % below;
}

static float *numbers(size_t count, float scale)
{
    float *made = malloc(count * sizeof *made);
    for (size_t i = 0; i < count; i++)
        made[i] = scale * ((float)draw(2001) / 1000.0F - 1.0F);
    return made;
}

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
    for (size_t i = 0; i < problem->dst_count; i += 1 + draw(17)) {
        int64_t rest = (int64_t)i;
        const int64_t o = rest % problem->node.channels;
        rest /= problem->node.channels;
        const int64_t x = rest % shape->w, y = rest / shape->w % shape->h;
        const int64_t n = rest / shape->w / shape->h;
        largest = fmax(largest, fabs(dst[i] - direct(problem, n, y, x, o)));
    }
    return largest;
}

static void check_step(const struct problem *problem, size_t step)
{
    const size_t bytes = problem->dst_count * sizeof(float);
    float *transformed =
        malloc(bus_winograd_weight_count(&problem->node, step) * sizeof(float));
    float *dst = malloc(bytes), *first = malloc(bytes);
    bus_winograd_transform(transformed, problem->weights, &problem->node, step, 2);
    for (int isa = BUS_ISA_PLAIN; isa <= (int)bus_winograd_isa(); isa++)
        for (int threads = 1; threads <= 3; threads++) {
            const struct bus_winograd plan = bus_winograd_plan(
                (enum bus_isa)isa, &problem->node, step, &problem->shape, threads);
            void *scratch = malloc(bus_winograd_scratch(&plan));
            memcpy(dst, problem->before, bytes);
            bus_winograd_run(&plan, dst, problem->src, transformed, problem->bias,
                             scratch);
            free(scratch);
            CHECK(largest_error(problem, dst) < 1e-4);
            if (threads == 1)
                memcpy(first, dst, bytes);
            CHECK(memcmp(first, dst, bytes) == 0);
        }
    free(first);
    free(dst);
    free(transformed);
}

static void check_problem(struct problem *problem, size_t most)
{
    const size_t inputs = (size_t)problem->shape.c;
    const size_t outputs = (size_t)problem->node.channels;
    const size_t pixels =
        (size_t)(problem->shape.n * problem->shape.h * problem->shape.w);
    problem->dst_count = pixels * outputs;
    problem->src = numbers(pixels * inputs, 1.0F);
    problem->weights = numbers(outputs * inputs * 9, 0.2F);
    problem->bias = numbers(outputs, 1.0F);
    problem->before = numbers(problem->dst_count, 1.0F);
    check_step(problem, 2);
    if (most == 4)
        check_step(problem, 4);
    free(problem->src);
    free(problem->weights);
    free(problem->bias);
    free(problem->before);
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
        const struct bus_winograd plan =
            bus_winograd_plan(BUS_ISA_PLAIN, &problem.node, 2, &problem.shape, 2);
        CHECK(plan.shared);
        CHECK((plan.block_tiles < plan.tiles) == (sides[i] == 40));
        check_problem(&problem, 2); /* with 4 so many channels round too much */
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
    CHECK(bus_winograd_admits(&node));
    node.stride = 2;
    CHECK(!bus_winograd_admits(&node));
    node.stride = 1;
    node.kernel = 1;
    CHECK(!bus_winograd_admits(&node));
    node.kernel = 3;
    node.channels = 48;
    CHECK(!bus_winograd_admits(&node));
    node.channels = 32;
    node.src_channels = 8;
    CHECK(!bus_winograd_admits(&node));
}

/* The more pixels share the weights, the larger the tiles. */
static void test_choice(void)
{
    static const struct {
        int64_t n, side;
        size_t step;
    } cases[] = {{1, 1, 0}, {1, 7, 2}, {4, 7, 4}, {1, 14, 2}, {4, 14, 4}, {1, 56, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct bus_shape shape = {cases[i].n, 64, cases[i].side, cases[i].side};
        CHECK(bus_winograd_step(&shape) == cases[i].step);
    }
}

void test_winograd(void)
{
    for (int round = 0; round < 24; round++) {
        struct problem problem = {
            .node = {.op = BUS_CONV,
                     .kernel = 3,
                     .stride = 1,
                     .padding = 1,
                     .channels = 32 * (1 + draw(3)),
                     .src_channels = 16 * (1 + draw(5)),
                     .add = draw(2) != 0 ? 0 : BUS_NONE,
                     .relu = draw(2) != 0},
            .shape = {1 + draw(3), 0, 1 + draw(19), 1 + draw(23)},
        };
        problem.shape.c = problem.node.src_channels;
        CHECK(bus_winograd_admits(&problem.node));
        check_problem(&problem, 4);
    }
    test_shared();
    test_admission();
    test_choice();
}
