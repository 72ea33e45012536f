#include "check.h"
#include "network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int set(struct network *network, const char *name, size_t rank,
               const int64_t *shape, const float *numbers, struct bus_error *error)
{
    const struct bus_array array = {
        .name = name, .rank = rank, .shape = shape, .floats = numbers};
    return bus_weights_set(network->weights, &array, error);
}

static void test_refusals(void)
{
    struct network network;
    struct bus_error error;
    float numbers[16 * 9] = {0};
    const int64_t shape[] = {16, 1, 3, 3}, wrong[] = {1, 16, 3, 3}, vector[] = {16};
    CHECK(network_new(&network, BUS_F32, &error) == 0);

    CHECK(bus_weights_finish(network.weights, &error) < 0);
    CHECK(strstr(error.message, "stem.weight") != NULL);
    CHECK(set(&network, "stem.bias", 1, vector, numbers, &error) < 0); /* has none */
    CHECK(set(&network, "none.weight", 4, shape, numbers, &error) < 0);
    CHECK(set(&network, "stem.weight", 4, wrong, numbers, &error) < 0);
    CHECK(strcmp(error.message,
                 "stem.weight: it is (1, 16, 3, 3), expected (16, 1, 3, 3)") == 0);
    CHECK(set(&network, "stem.weight", 1, vector, numbers, &error) < 0);
    numbers[100] = NAN;
    CHECK(set(&network, "stem.weight", 4, shape, numbers, &error) < 0);
    numbers[100] = INFINITY;
    CHECK(set(&network, "stem.weight", 4, shape, numbers, &error) < 0);
    numbers[100] = 0.0F;
    CHECK(set(&network, "stem.weight", 4, shape, numbers, &error) == 0);
    CHECK(set(&network, "stem.weight", 4, shape, numbers, &error) < 0); /* again */
    numbers[3] = -1.0F;
    CHECK(set(&network, "bn.running_var", 1, vector, numbers, &error) < 0);
    network_free(&network);
    bus_weights_free(NULL);

    struct bus_weights *weights = NULL;
    CHECK(bus_weights_new(&weights, NULL, 0, BUS_F32, &error) < 0 && weights == NULL);
    CHECK(error.code == BUS_ERROR_VALUE);
}

/* 8-bit numbers times their scale are what the same floats are. */
static void test_eight_bit(void)
{
    struct network network[2];
    struct bus_error error;
    signed char bytes[16 * 9];
    float floats[16 * 9], scales[16], dst[2][3];
    const int64_t shape[] = {16, 1, 3, 3};
    float *src = calloc(32 * 32, sizeof *src);
    for (int i = 0; i < 16; i++)
        scales[i] = 0.001F * (float)(i + 1);
    for (int i = 0; i < 16 * 9; i++) {
        bytes[i] = (signed char)(i * 37 % 255 - 127);
        floats[i] = scales[i / 9] * (float)bytes[i];
    }
    for (int i = 0; i < 32 * 32; i++)
        src[i] = (float)(i % 19) / 19.0F;
    for (int i = 0; i < 2; i++) {
        const struct bus_array array = {.name = "stem.weight",
                                        .rank = 4,
                                        .shape = shape,
                                        .floats = i == 0 ? floats : NULL,
                                        .bytes = bytes,
                                        .scales = scales};
        CHECK(network_new(&network[i], BUS_F32, &error) == 0);
        CHECK(bus_weights_set(network[i].weights, &array, &error) == 0);
        CHECK(network_fill(&network[i], &error) < 0); /* the stem is set already */
        CHECK(strstr(error.message, "stem.weight") != NULL);
        network_free(&network[i]);
    }
    for (int i = 0; i < 2; i++) {
        /* A network of the stem and the head alone. */
        struct bus_graph *graph = NULL;
        struct bus_weights *weights = NULL;
        struct bus_plan *plan = NULL;
        int value;
        struct bus_node node = {.op = BUS_INPUT, .channels = 1, .std = {1.0F}};
        float *outputs[] = {dst[i]};
        float fc[3 * 16], bias[3] = {0.5F, 0.0F, -0.5F};
        const int64_t fc_shape[] = {3, 16};
        const struct bus_plan_options options = {
            .batch = 1, .height = 32, .width = 32, .threads = 1};
        for (int j = 0; j < 48; j++)
            fc[j] = (float)(j % 7) - 3.0F;
        CHECK(bus_graph_new(&graph, &error) == 0);
        CHECK(bus_graph_append(&value, graph, &node, &error) == 0);
        node = (struct bus_node){.op = BUS_CONV,
                                 .name = "stem",
                                 .src = value,
                                 .add = BUS_NONE,
                                 .channels = 16,
                                 .kernel = 3,
                                 .stride = 1,
                                 .padding = 1,
                                 .relu = true};
        CHECK(bus_graph_append(&value, graph, &node, &error) == 0);
        node = (struct bus_node){.op = BUS_MEAN_POOL, .src = value};
        CHECK(bus_graph_append(&value, graph, &node, &error) == 0);
        node = (struct bus_node){.op = BUS_LINEAR,
                                 .name = "fc",
                                 .src = value,
                                 .add = BUS_NONE,
                                 .channels = 3};
        CHECK(bus_graph_append(&value, graph, &node, &error) == 0);
        CHECK(bus_graph_output(graph, value, "class", &error) == 0);
        CHECK(bus_weights_new(&weights, graph, 2, BUS_F32, &error) == 0);
        const struct bus_array arrays[] = {
            {.name = "stem.weight",
             .rank = 4,
             .shape = shape,
             .floats = i == 0 ? floats : NULL,
             .bytes = bytes,
             .scales = scales},
            {.name = "fc.weight", .rank = 2, .shape = fc_shape, .floats = fc},
            {.name = "fc.bias", .rank = 1, .shape = fc_shape, .floats = bias},
        };
        for (int j = 0; j < 3; j++)
            CHECK(bus_weights_set(weights, &arrays[j], &error) == 0);
        CHECK(bus_weights_finish(weights, &error) == 0);
        CHECK(bus_weights_finish(weights, &error) < 0);
        CHECK(bus_plan_new(&plan, graph, weights, &options, &error) == 0);
        CHECK(bus_plan_run(plan, src, outputs, &error) == 0);
        bus_plan_free(plan);
        bus_weights_free(weights);
        bus_graph_free(graph);
    }
    CHECK(memcmp(dst[0], dst[1], sizeof dst[0]) == 0);
    CHECK(dst[0][0] != dst[0][1]);
    free(src);
}

void test_weights(void)
{
    test_refusals();
    test_eight_bit();
}
