/* What is observed of convolutions, against the same sums of a network that is small
 * enough to compute by hand. */
#include "check.h"
#include "network.h"
#include "observe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void test_network(void)
{
    const struct bus_plan_options options = {
        .batch = 2, .height = 32, .width = 32, .threads = 2};
    static const char *const names[] = {"stem", "first", "sum", "logit"};
    enum { COUNT = 4 };
    struct bus_observation observations[COUNT];
    const struct bus_node *node = NULL;
    struct network network;
    struct bus_plan *plan = NULL;
    struct bus_error error;
    float src[2 * 32 * 32];
    double mean = 0.0;
    for (int i = 0; i < 2 * 32 * 32; i++) {
        src[i] = (float)(i % 23) / 23.0F;
        mean += (src[i] - 0.4) / 0.2 / (2 * 32 * 32);
    }
    CHECK(network_new(&network, BUS_F32, &error) == 0);
    CHECK(network_fill(&network, &error) == 0);
    CHECK(bus_plan_new(&plan, network.graph, network.weights, &options, &error) == 0);
    CHECK(bus_observe_count(plan) == COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        CHECK(bus_observe_node(&node, plan, i, &error) == 0);
        CHECK(strcmp(node->name, names[i]) == 0);
        observations[i].means = calloc((size_t)node->src_channels, sizeof(double));
        observations[i].counts = calloc(BUS_SIZE_BINS, sizeof(int64_t));
    }
    CHECK(bus_observe(plan, src, observations, &error) == 0);
    CHECK(fabs(observations[0].means[0] - mean) < 1e-5);
    static const int64_t numbers[COUNT] = {2 * 16 * 16 * 16, 2 * 16 * 8 * 8,
                                           2 * 16 * 8 * 8, 2 * 16 * 16};
    for (size_t i = 0; i < COUNT; i++) {
        int64_t sum = 0;
        for (size_t bin = 0; bin < BUS_SIZE_BINS; bin++)
            sum += observations[i].counts[bin];
        CHECK(sum == numbers[i]);
    }

    /* An index behind the last one ends with an error. */
    node = NULL;
    CHECK(bus_observe_node(&node, plan, COUNT, &error) < 0);
    CHECK(error.code == BUS_ERROR_VALUE && node == NULL);
    CHECK(bus_observe_node(&node, plan, SIZE_MAX, &error) < 0);
    for (size_t i = 0; i < COUNT; i++) {
        free(observations[i].means);
        free(observations[i].counts);
    }
    bus_plan_free(plan);
    network_free(&network);
}

/* A convolution of one weight, whose results are numbers of known bins. */
static void test_bins(void)
{
    static const struct {
        float number;
        size_t bin;
    } cases[] = {{0.0F, 0},
                 {1e-7F, 0},
                 {0x1p-20F, 0},
                 {0x1p-19F, 64},
                 {1.0F, 20 * 64},
                 {1.5F, 20 * 64 + 32},
                 {4095.0F, BUS_SIZE_BINS - 1},
                 {1e9F, BUS_SIZE_BINS - 1}};
    const struct bus_plan_options options = {
        .batch = 1, .height = 1, .width = 1, .threads = 1};
    const int64_t shape[] = {1, 1, 1, 1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bus_node node = {.op = BUS_INPUT, .channels = 1, .std = {1.0F}};
        const float weight = -cases[i].number, one = 1.0F;
        const struct bus_array array = {
            .name = "a.weight", .rank = 4, .shape = shape, .floats = &weight};
        struct bus_graph *graph = NULL;
        struct bus_weights *weights = NULL;
        struct bus_plan *plan = NULL;
        struct bus_error error;
        double mean = 0.0;
        int64_t counts[BUS_SIZE_BINS];
        const struct bus_observation observation = {&mean, counts};
        int value;
        CHECK(bus_graph_new(&graph, &error) == 0);
        CHECK(bus_graph_append(&value, graph, &node, &error) == 0);
        node = (struct bus_node){.op = BUS_CONV,
                                 .name = "a",
                                 .src = value,
                                 .add = BUS_NONE,
                                 .channels = 1,
                                 .kernel = 1,
                                 .stride = 1};
        CHECK(bus_graph_append(&value, graph, &node, &error) == 0);
        CHECK(bus_graph_output(graph, value, "y", &error) == 0);
        CHECK(bus_weights_new(&weights, graph, 1, BUS_EXACT, &error) == 0);
        CHECK(bus_weights_set(weights, &array, &error) == 0);
        CHECK(bus_weights_finish(weights, &error) == 0);
        CHECK(bus_plan_new(&plan, graph, weights, &options, &error) == 0);
        CHECK(bus_observe(plan, &one, &observation, &error) == 0);
        CHECK(mean == 1.0);
        for (size_t bin = 0; bin < BUS_SIZE_BINS; bin++)
            CHECK(counts[bin] == (bin == cases[i].bin));
        bus_plan_free(plan);
        bus_weights_free(weights);
        bus_graph_free(graph);
    }
}

static void test_refusal(void)
{
    const struct bus_plan_options options = {
        .batch = 1, .height = 32, .width = 32, .threads = 1};
    struct network network;
    struct bus_plan *plan = NULL;
    struct bus_error error = {.code = BUS_OK};
    const float src[32 * 32] = {0};
    CHECK(network_new(&network, BUS_INT8, &error) == 0);
    CHECK(network_fill(&network, &error) == 0);
    CHECK(bus_plan_new(&plan, network.graph, network.weights, &options, &error) == 0);
    CHECK(bus_observe(plan, src, NULL, &error) < 0);
    CHECK(error.code == BUS_ERROR_VALUE);
    bus_plan_free(plan);
    network_free(&network);
}

void test_observe(void)
{
    test_network();
    test_bins();
    test_refusal();
}
