/* The mean over a lesion against its definition, in every type of numbers; and the
 * linear layer that adds what another one computed. */
#include "check.h"
#include "kernels/kernel.h"
#include "network.h"
#include "random.h"
#include "util.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct problem {
    struct bus_shape src, logits;
    float *x, *z; /* real numbers, (n, h, w, c) and (n, h', w') */
};

/* The weight of a cell of the grid, as it is written down. */
static double weight_of(const struct problem *problem, int64_t n, int64_t i, int64_t j)
{
    const int64_t height = problem->logits.h, width = problem->logits.w;
    const int64_t h = problem->src.h, w = problem->src.w;
    double sum = 0.0;
    int64_t count = 0;
    for (int64_t y = i * height / h; y * h < (i + 1) * height; y++)
        for (int64_t x = j * width / w; x * w < (j + 1) * width; x++) {
            sum += 1.0 / (1.0 + exp(-(double)problem->z[(n * height + y) * width + x]));
            count++;
        }
    return sum / (double)count;
}

/* Result c of image n. */
static double expected(const struct problem *problem, int64_t n, int64_t c)
{
    const struct bus_shape *src = &problem->src;
    double sum = 0.0, weights = 0.0, largest = 0.0;
    for (int64_t i = 0; i < src->h; i++)
        for (int64_t j = 0; j < src->w; j++) {
            const double weight = weight_of(problem, n, i, j);
            const int64_t at = ((n * src->h + i) * src->w + j) * src->c + c;
            if (c < src->c)
                sum += weight * problem->x[at];
            weights += weight;
            largest = fmax(largest, weight);
        }
    if (c < src->c)
        return sum / (weights + 0.001);
    return c == src->c ? largest : sqrt(weights / (double)(src->h * src->w));
}

/* Stores real numbers in a type, and rounds them to what is stored. */
static struct bus_tensor store(float *numbers, struct bus_shape shape,
                               dnnl_data_type_t type)
{
    const size_t count = (size_t)(shape.n * shape.c * shape.h * shape.w);
    struct bus_tensor tensor = {
        malloc(count * sizeof(float)), shape, type, {false, 1.0F, 0.0F}};
    if (type == dnnl_u8)
        tensor.quant = (struct bus_quant){true, 0.03F, 128.0F};
    for (size_t i = 0; i < count; i++)
        if (type == dnnl_u8) {
            const float code =
                fmaxf(0.0F, fminf(rintf(numbers[i] / 0.03F + 128.0F), 255.0F));
            ((uint8_t *)tensor.data)[i] = (uint8_t)code;
            numbers[i] = 0.03F * (code - 128.0F);
        } else if (type == dnnl_bf16) {
            ((uint16_t *)tensor.data)[i] = bus_to_bf16(numbers[i]);
            numbers[i] = bus_from_bf16(bus_to_bf16(numbers[i]));
        } else {
            ((float *)tensor.data)[i] = numbers[i];
        }
    return tensor;
}

static double read_number(const struct bus_tensor *dst, size_t index)
{
    return dst->type == dnnl_bf16 ? bus_from_bf16(((uint16_t *)dst->data)[index])
                                  : ((float *)dst->data)[index];
}

static void check_types(const struct problem *problem, dnnl_data_type_t src,
                        dnnl_data_type_t logits, dnnl_data_type_t dst)
{
    const struct bus_kernel *kernel = &bus_lesion_pool;
    const int64_t results = problem->src.c + 2;
    const size_t bytes = (size_t)(problem->src.n * results) * sizeof(float);
    const struct bus_node node = {.op = BUS_LESION_POOL};
    struct bus_kernel_call call = {
        .node = &node,
        .src = store(problem->x, problem->src, src),
        .logits = store(problem->z, problem->logits, logits),
        .dst = {malloc(bytes), {problem->src.n, results, 1, 1}, dst, {.scale = 1.0F}},
    };
    void *first = malloc(bytes);
    double largest = 0.0;
    for (call.threads = 1; call.threads <= 4; call.threads++) {
        memset(call.dst.data, 0xff, bytes);
        call.scratch =
            aligned_alloc(64, bus_round_up(kernel->scratch(kernel, &call), 64));
        kernel->run(kernel, &call);
        free(call.scratch);
        if (call.threads == 1)
            memcpy(first, call.dst.data, bytes);
        CHECK(memcmp(first, call.dst.data, bytes) == 0);
    }
    for (int64_t n = 0; n < problem->src.n; n++)
        for (int64_t c = 0; c < results; c++) {
            const double want = expected(problem, n, c);
            const double got = read_number(&call.dst, (size_t)(n * results + c));
            largest = fmax(largest, fabs(got - want) / (0.1 + fabs(want)));
        }
    CHECK(largest < (dst == dnnl_bf16 ? 4.0e-3 : 2e-6));
    free(first);
    free(call.src.data);
    free(call.logits.data);
    free(call.dst.data);
}

static void test_kernel(void)
{
    static const dnnl_data_type_t types[][3] = {{dnnl_f32, dnnl_f32, dnnl_f32},
                                                {dnnl_u8, dnnl_f32, dnnl_f32},
                                                {dnnl_u8, dnnl_u8, dnnl_f32},
                                                {dnnl_bf16, dnnl_bf16, dnnl_bf16},
                                                {dnnl_f32, dnnl_bf16, dnnl_f32}};
    unsigned state = 21;
    for (int round = 0; round < 40; round++) {
        struct problem problem = {
            .src = {random_int(&state, 1, 3), random_int(&state, 1, 150),
                    random_int(&state, 1, 9), random_int(&state, 1, 9)},
            .logits = {0, 1, random_int(&state, 1, 40), random_int(&state, 1, 40)},
        };
        problem.logits.n = problem.src.n;
        problem.x = random_numbers(
            &state,
            (size_t)(problem.src.n * problem.src.c * problem.src.h * problem.src.w),
            3.0F);
        problem.z = random_numbers(
            &state, (size_t)(problem.src.n * problem.logits.h * problem.logits.w),
            round % 2 != 0 ? 120.0F : 4.0F);
        const dnnl_data_type_t *type = types[round % 5];
        check_types(&problem, type[0], type[1], type[2]);
        free(problem.x);
        free(problem.z);
    }
}

/* No lesion at all: means of nothing are zero, and nothing is divided by zero. */
static void test_empty(void)
{
    float x[2 * 2 * 3], z[4 * 4];
    struct problem problem = {{1, 3, 2, 2}, {1, 1, 4, 4}, x, z};
    for (int i = 0; i < 12; i++)
        x[i] = 1.0F;
    for (int i = 0; i < 16; i++)
        z[i] = -1e30F;
    check_types(&problem, dnnl_f32, dnnl_f32, dnnl_f32);
    CHECK(expected(&problem, 0, 0) == 0.0);
}

static int append(struct bus_graph *graph, struct bus_node node)
{
    struct bus_error error;
    int value = -1;
    CHECK(bus_graph_append(&value, graph, &node, &error) == 0);
    return value;
}

static struct bus_node conv(const char *name, int src, int64_t channels, bool relu)
{
    return (struct bus_node){.op = BUS_CONV,
                             .name = (char *)(uintptr_t)name,
                             .bias = true,
                             .src = src,
                             .add = BUS_NONE,
                             .channels = channels,
                             .kernel = 3,
                             .stride = 2,
                             .padding = 1,
                             .relu = relu};
}

static struct bus_node linear(const char *name, int src, int add)
{
    return (struct bus_node){.op = BUS_LINEAR,
                             .name = (char *)(uintptr_t)name,
                             .src = src,
                             .add = add,
                             .channels = 3};
}

enum { X, LOGITS, LESION, FC, BOTH, OUTPUTS };

/* The class head that pools over the lesion, with what it computes on the way. */
static struct bus_graph *head(void)
{
    static const char *const names[] = {"x", "logits", "lesion", "fc", "both"};
    struct bus_graph *graph = NULL;
    struct bus_error error;
    CHECK(bus_graph_new(&graph, &error) == 0);
    const int image =
        append(graph, (struct bus_node){.op = BUS_INPUT, .channels = 1, .std = {1.0F}});
    const int stem = append(graph, conv("stem", image, 16, true));
    const int x = append(graph, conv("deep", stem, 32, true));
    const int logits = append(graph, conv("logit", stem, 1, false));
    const int mean = append(graph, (struct bus_node){.op = BUS_MEAN_POOL, .src = x});
    const int fc = append(graph, linear("fc", mean, BUS_NONE));
    const int lesion = append(
        graph, (struct bus_node){.op = BUS_LESION_POOL, .src = x, .logits = logits});
    const int both = append(graph, linear("lesion_fc", lesion, fc));
    const int values[] = {x, logits, lesion, fc, both};
    for (int i = 0; i < OUTPUTS; i++)
        CHECK(bus_graph_output(graph, values[i], names[i], &error) == 0);
    return graph;
}

enum { BATCH = 2, HEIGHT = 37, WIDTH = 51, PIXELS = BATCH * HEIGHT * WIDTH };

static void test_head(enum bus_precision precision)
{
    struct network network = {head(), NULL};
    struct bus_plan_options options = {
        .batch = BATCH, .height = HEIGHT, .width = WIDTH, .threads = 2};
    struct bus_plan *plan = NULL;
    struct bus_error error;
    float *dst[OUTPUTS], *alone = malloc(BATCH * 3 * sizeof *alone);
    unsigned state = 8;
    float *src = random_numbers(&state, PIXELS, 1.0F);
    CHECK(bus_weights_new(&network.weights, network.graph, 2, precision, &error) == 0);
    CHECK(network_fill(&network, &error) == 0);
    CHECK(bus_plan_new(&plan, network.graph, network.weights, &options, &error) == 0);
    struct problem problem = {.src = bus_plan_output_shape(plan, X),
                              .logits = bus_plan_output_shape(plan, LOGITS)};
    for (size_t i = 0; i < OUTPUTS; i++) {
        const struct bus_shape shape = bus_plan_output_shape(plan, i);
        dst[i] =
            malloc((size_t)(shape.n * shape.c * shape.h * shape.w) * sizeof(float));
    }
    CHECK(bus_plan_run(plan, src, dst, &error) == 0);
    problem.x = dst[X];
    problem.z = dst[LOGITS];
    double largest = 0.0, difference = 0.0;
    for (int64_t n = 0; n < BATCH; n++) {
        for (int64_t c = 0; c < 34; c++)
            largest =
                fmax(largest, fabs(dst[LESION][n * 34 + c] - expected(&problem, n, c)));
        for (int64_t o = 0; o < 3; o++) {
            /* network_fill's numbers */
            double sum = dst[FC][n * 3 + o] + 0.05 * (double)(o * 7 % 11 - 4) + 0.6;
            for (int64_t c = 0; c < 34; c++)
                sum += 0.05 * (double)((o * 34 + c) * 7 % 11 - 4) *
                       dst[LESION][n * 34 + c];
            difference = fmax(difference, fabs(dst[BOTH][n * 3 + o] - sum));
        }
    }
    CHECK(largest < 2e-5);
    CHECK(difference < 2e-5);
    bus_plan_free(plan);

    /* The result alone, in the place of what it adds, and with other threads. */
    options.outputs = 1U << BOTH;
    options.threads = 3;
    CHECK(bus_plan_new(&plan, network.graph, network.weights, &options, &error) == 0);
    CHECK(bus_plan_run(plan, src, &alone, &error) == 0);
    CHECK(memcmp(alone, dst[BOTH], BATCH * 3 * sizeof *alone) == 0);
    bus_plan_free(plan);
    for (size_t i = 0; i < OUTPUTS; i++)
        free(dst[i]);
    free(alone);
    free(src);
    network_free(&network);
}

/* Linear layers add whatever has their shape, in 8 bits, too. */
static void test_adding_quantized(void)
{
    struct network network = {NULL, NULL};
    const struct bus_plan_options options = {
        .batch = 1, .height = 2, .width = 2, .threads = 1};
    const float src[] = {0.9F, 0.2F, 0.4F, 0.7F};
    float added[3], sum[3], pooled[4], *dst[] = {added, sum, pooled};
    struct bus_plan *plan = NULL;
    struct bus_error error;
    CHECK(bus_graph_new(&network.graph, &error) == 0);
    struct bus_graph *graph = network.graph;
    append(graph, (struct bus_node){.op = BUS_INPUT, .channels = 1, .std = {1.0F}});
    const int small = append(graph, conv("small", 0, 3, true)); /* 1 x 1, quantised */
    const int mean =
        append(graph, (struct bus_node){.op = BUS_MEAN_POOL, .src = small});
    const int fc = append(graph, linear("fc", mean, small));
    CHECK(bus_graph_output(graph, small, "added", &error) == 0);
    CHECK(bus_graph_output(graph, fc, "sum", &error) == 0);
    CHECK(bus_graph_output(graph, mean, "pooled", &error) == 0);
    CHECK(bus_weights_new(&network.weights, graph, 1, BUS_INT8, &error) == 0);
    CHECK(network_fill(&network, &error) == 0);
    CHECK(bus_plan_new(&plan, graph, network.weights, &options, &error) == 0);
    CHECK(bus_plan_run(plan, src, dst, &error) == 0);
    for (int o = 0; o < 3; o++) {
        double expect = added[o] + 0.05 * (o * 7 % 11 - 4) + 0.6;
        for (int c = 0; c < 3; c++)
            expect += 0.05 * ((o * 3 + c) * 7 % 11 - 4) * pooled[c];
        CHECK(fabs(sum[o] - expect) < 1e-5);
    }
    bus_plan_free(plan);
    network_free(&network);
}

static void test_refusals(void)
{
    struct bus_graph *graph = head();
    struct bus_error error;
    struct bus_node node = {.op = BUS_LESION_POOL, .src = 2, .logits = 1};
    int value = -1;
    CHECK(bus_graph_append(&value, graph, &node, &error) < 0);
    CHECK(strcmp(error.message,
                 "lesion_pool: the logits (stem) have 16 channels, expected 1") == 0);
    node.logits = 99;
    CHECK(bus_graph_append(&value, graph, &node, &error) < 0);
    CHECK(strcmp(error.message, "lesion_pool: value 99 does not exist") == 0);
    node = linear("wide", 4, 4); /* adds 32 numbers to 3 */
    CHECK(bus_graph_append(&value, graph, &node, &error) < 0);
    CHECK(strcmp(error.message,
                 "wide: it has 3 channels, but the value to add has 32") == 0);
    node = linear("wide", 4, 99);
    CHECK(bus_graph_append(&value, graph, &node, &error) < 0);

    /* A value to add that is not of one pixel shows when sizes are known. */
    struct network network = {graph, NULL};
    struct bus_plan *plan = NULL;
    const struct bus_plan_options options = {
        .batch = 1, .height = 9, .width = 9, .threads = 1};
    const int wide = append(graph, conv("wide", 0, 3, false));
    node = linear("sum", 4, wide);
    CHECK(bus_graph_append(&value, graph, &node, &error) == 0);
    CHECK(bus_weights_new(&network.weights, graph, 1, BUS_F32, &error) == 0);
    CHECK(network_fill(&network, &error) == 0);
    CHECK(bus_plan_new(&plan, graph, network.weights, &options, &error) < 0);
    CHECK(strcmp(error.message,
                 "sum: it computes 1 x 1, but the value to add is 5 x 5") == 0);
    network_free(&network);
}

void test_lesion_pool(void)
{
    test_kernel();
    test_empty();
    test_head(BUS_F32);
    test_head(BUS_EXACT);
    test_head(BUS_INT8);
    test_adding_quantized();
    test_refusals();
}
