/* 8-bit activations and weights, against what their numbers stand for. */
#include "check.h"
#include "graph.h"
#include "quantize.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int append(struct bus_graph *graph, struct bus_node node)
{
    struct bus_error error;
    int value = -1;
    CHECK(bus_graph_append(&value, graph, &node, &error) == 0);
    return value;
}

static struct bus_node conv(const char *name, int src, int add, bool relu)
{
    return (struct bus_node){.op = BUS_CONV,
                             .name = (char *)(uintptr_t)name,
                             .src = src,
                             .add = add,
                             .channels = 4,
                             .kernel = 1,
                             .stride = 1,
                             .relu = relu};
}

static struct bus_graph *new_graph(void)
{
    struct bus_graph *graph = NULL;
    struct bus_error error;
    CHECK(bus_graph_new(&graph, &error) == 0);
    append(graph, (struct bus_node){.op = BUS_INPUT, .channels = 1, .std = {1.0F}});
    return graph;
}

static bool is(const struct bus_quant *quant, bool quantized, float scale,
               float zero_point)
{
    return quant->quantized == quantized && quant->scale == scale &&
           quant->zero_point == zero_point;
}

static void test_activations(void)
{
    struct bus_graph *graph = new_graph();
    struct bus_quant quants[9];
    struct bus_error error;
    const float scales[] = {0, 0.5F, 0.25F, 0, 0.125F, 2.0F, 0, 0, 0};
    const int a = append(graph, conv("a", 0, BUS_NONE, true));
    const int b = append(graph, conv("b", a, BUS_NONE, false)); /* the sum reads it */
    const int small = append(
        graph,
        (struct bus_node){.op = BUS_MAX_POOL, .src = b, .kernel = 1, .stride = 1});
    const int sum = append(graph, conv("sum", a, small, true));
    append(graph, conv("logit", sum, BUS_NONE, false));
    append(graph, (struct bus_node){.op = BUS_RESIZE, .src = sum, .like = 0});
    const int mean = append(graph, (struct bus_node){.op = BUS_MEAN_POOL, .src = sum});
    append(graph, (struct bus_node){.op = BUS_LINEAR,
                                    .name = "fc",
                                    .src = mean,
                                    .add = BUS_NONE,
                                    .channels = 2});
    CHECK(bus_quantize_activations(quants, graph, scales, &error) == 0);
    CHECK(is(&quants[0], false, 1.0F, 0.0F));
    CHECK(is(&quants[1], true, 0.5F, 0.0F));
    CHECK(is(&quants[2], true, 0.25F, 128.0F));
    CHECK(is(&quants[3], true, 0.25F, 128.0F)); /* as what it pools */
    CHECK(is(&quants[4], true, 0.125F, 0.0F));
    CHECK(is(&quants[5], false, 1.0F, 0.0F)); /* neither ReLU nor sum */
    CHECK(is(&quants[6], true, 0.125F, 0.0F));
    CHECK(is(&quants[7], false, 0.125F, 0.0F));
    CHECK(is(&quants[8], false, 1.0F, 0.0F));
    bus_graph_free(graph);
}

static void check_refused(struct bus_graph *graph, const char *layer)
{
    const float scales[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct bus_quant quants[8];
    struct bus_error error = {.code = BUS_OK};
    CHECK(bus_quantize_activations(quants, graph, scales, &error) < 0);
    CHECK(error.code == BUS_ERROR_VALUE);
    CHECK(strncmp(error.message, layer, strlen(layer)) == 0);
    bus_graph_free(graph);
}

static void test_refusals(void)
{
    struct bus_graph *graph = new_graph();
    int a = append(graph, conv("a", 0, BUS_NONE, true));
    int b = append(graph, conv("b", a, BUS_NONE, false));
    append(graph, conv("sum", a, b, true));
    append(graph, conv("negative", b, BUS_NONE, true));
    check_refused(graph, "negative: ");

    graph = new_graph();
    a = append(graph, conv("a", 0, BUS_NONE, true));
    append(graph, conv("sum", 0, a, true)); /* of a source in float */
    check_refused(graph, "sum: ");

    graph = new_graph();
    a = append(graph, conv("a", 0, BUS_NONE, true));
    append(
        graph,
        (struct bus_node){
            .op = BUS_LINEAR, .name = "fc", .src = a, .add = BUS_NONE, .channels = 2});
    check_refused(graph, "fc: ");
}

enum { ROWS = 5, COLUMNS = 12, CHANNELS = 3 };

/* The mean result of a source whose channels have these means, each number the mean:
 * what weights and bias make of it stays, when both are rounded. */
static void test_layer(unsigned *state, int max_weight, bool adds)
{
    const struct bus_quant src = {true, 0.02F, 0.0F}, dst = {true, 0.1F, 128.0F};
    const struct bus_quant add = {true, 0.05F, 128.0F};
    const struct bus_quantized_layer layer = {
        &src, adds ? &add : NULL, &dst, ROWS, COLUMNS, CHANNELS};
    const float mean[CHANNELS] = {0.7F, 0.1F, 1.3F};
    float *weights = random_numbers(state, ROWS * COLUMNS, 0.5F);
    float *bias = random_numbers(state, ROWS, 2.0F);
    double expected[ROWS];
    float scales[ROWS];
    for (int row = 0; row < ROWS; row++) {
        expected[row] = bias[row];
        for (int i = 0; i < COLUMNS; i++)
            expected[row] +=
                (double)weights[row * COLUMNS + i] * mean[i / (COLUMNS / CHANNELS)];
    }
    bus_quantize_layer(&layer, weights, bias, scales, mean, max_weight, 2);
    for (int row = 0; row < ROWS; row++) {
        const signed char *integers = (const signed char *)(weights + row * COLUMNS);
        double sum = 0.0;
        int largest = 0;
        for (int i = 0; i < COLUMNS; i++) {
            sum += integers[i] * (double)mean[i / (COLUMNS / CHANNELS)] / src.scale;
            if (abs(integers[i]) > largest)
                largest = abs(integers[i]);
        }
        CHECK(largest == max_weight);
        /* A stored sum adds what it stores times the ratio of the scales. */
        const double stored = scales[row] * sum + bias[row] +
                              (adds ? add.scale / dst.scale * add.zero_point : 0.0);
        CHECK(fabs(dst.scale * (stored - dst.zero_point) - expected[row]) < 1e-4);
    }
    free(bias);
    free(weights);
}

/* Floats that are stored with scale and zero point: the real result stays. */
static void test_float_layer(unsigned *state, bool adds)
{
    const struct bus_quant src = {false, 0.02F, 128.0F}, dst = {false, 0.1F, 3.0F};
    const struct bus_quant add = {true, 0.05F, 128.0F};
    const struct bus_quantized_layer layer = {
        &src, adds ? &add : NULL, &dst, ROWS, COLUMNS, COLUMNS};
    float *weights = random_numbers(state, ROWS * COLUMNS, 0.5F);
    float *bias = random_numbers(state, ROWS, 2.0F);
    float *x = random_numbers(state, COLUMNS, 1.0F);
    double expected[ROWS];
    for (int row = 0; row < ROWS; row++) {
        expected[row] = bias[row];
        for (int i = 0; i < COLUMNS; i++)
            expected[row] += (double)weights[row * COLUMNS + i] * x[i];
    }
    bus_quantize_float_layer(&layer, weights, bias, 1);
    for (int row = 0; row < ROWS; row++) {
        double stored =
            bias[row] + (adds ? add.scale / dst.scale * add.zero_point : 0.0);
        for (int i = 0; i < COLUMNS; i++)
            stored += (double)weights[row * COLUMNS + i] *
                      (x[i] / src.scale + src.zero_point);
        CHECK(fabs(dst.scale * (stored - dst.zero_point) - expected[row]) < 1e-4);
    }
    free(x);
    free(bias);
    free(weights);
}

/* Rows of zeros, and numbers that are not finite after folding. */
static void test_extremes(void)
{
    const struct bus_quant quant = {true, 1.0F, 0.0F};
    const struct bus_quantized_layer layer = {&quant, NULL, &quant, 2, 4, 1};
    float weights[8] = {0, 0, 0, 0, INFINITY, 1.0F, -INFINITY, 0}, bias[2] = {0};
    float scales[2];
    const float mean = 0.0F;
    bus_quantize_layer(&layer, weights, bias, scales, &mean, 127, 1);
    const signed char *rows[] = {(signed char *)weights, (signed char *)(weights + 4)};
    for (int i = 0; i < 4; i++)
        CHECK(rows[0][i] == 0);
    for (int i = 0; i < 4; i++)
        CHECK(rows[1][i] >= -127 && rows[1][i] <= 127);
    CHECK(scales[0] == 1.0F);
}

void test_quantize(void)
{
    unsigned state = 5;
    test_activations();
    test_refusals();
    for (int round = 0; round < 8; round++) {
        test_layer(&state, round % 2 != 0 ? 127 : 64, round % 4 < 2);
        test_float_layer(&state, round % 2 != 0);
    }
    test_extremes();
}
