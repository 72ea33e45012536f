#include "network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int describe(struct bus_graph *graph, struct bus_error *error)
{
    int image, stem, pooled, first, sum, mean, fc, small, mask, lesion, both, resized;
    struct bus_node node = {
        .op = BUS_INPUT, .channels = 1, .mean = {0.4F}, .std = {0.2F}};
    if (bus_graph_append(&image, graph, &node, error) < 0)
        return -1;
    node = (struct bus_node){.op = BUS_CONV,
                             .name = "stem",
                             .norm = "bn",
                             .src = image,
                             .add = BUS_NONE,
                             .channels = 16,
                             .kernel = 3,
                             .stride = 2,
                             .padding = 1,
                             .relu = true};
    if (bus_graph_append(&stem, graph, &node, error) < 0)
        return -1;
    node = (struct bus_node){
        .op = BUS_MAX_POOL, .src = stem, .kernel = 3, .stride = 2, .padding = 1};
    if (bus_graph_append(&pooled, graph, &node, error) < 0)
        return -1;
    node = (struct bus_node){.op = BUS_CONV,
                             .name = "first",
                             .norm = "first_bn",
                             .src = pooled,
                             .add = BUS_NONE,
                             .channels = 16,
                             .kernel = 1,
                             .stride = 1,
                             .relu = true};
    if (bus_graph_append(&first, graph, &node, error) < 0)
        return -1;
    /* pooled is read again by the resize below, so this sum cannot be in place. */
    node = (struct bus_node){.op = BUS_CONV,
                             .name = "sum",
                             .bias = true,
                             .src = first,
                             .add = pooled,
                             .channels = 16,
                             .kernel = 3,
                             .stride = 1,
                             .padding = 1,
                             .relu = true};
    if (bus_graph_append(&sum, graph, &node, error) < 0)
        return -1;
    node = (struct bus_node){.op = BUS_MEAN_POOL, .src = sum};
    if (bus_graph_append(&mean, graph, &node, error) < 0)
        return -1;
    node = (struct bus_node){
        .op = BUS_LINEAR, .name = "fc", .src = mean, .add = BUS_NONE, .channels = 3};
    if (bus_graph_append(&fc, graph, &node, error) < 0)
        return -1;
    node = (struct bus_node){.op = BUS_RESIZE, .src = pooled, .like = stem};
    if (bus_graph_append(&small, graph, &node, error) < 0)
        return -1;
    node = (struct bus_node){.op = BUS_CONV,
                             .name = "logit",
                             .bias = true,
                             .src = small,
                             .add = BUS_NONE,
                             .channels = 1,
                             .kernel = 1,
                             .stride = 1};
    if (bus_graph_append(&mask, graph, &node, error) < 0)
        return -1;
    node = (struct bus_node){.op = BUS_LESION_POOL, .src = sum, .logits = mask};
    if (bus_graph_append(&lesion, graph, &node, error) < 0)
        return -1;
    node = (struct bus_node){
        .op = BUS_LINEAR, .name = "lesion_fc", .src = lesion, .add = fc, .channels = 3};
    if (bus_graph_append(&both, graph, &node, error) < 0 ||
        bus_graph_output(graph, both, "class", error) < 0)
        return -1;
    node = (struct bus_node){
        .op = BUS_RESIZE, .src = mask, .like = image, .nearest = true};
    if (bus_graph_append(&resized, graph, &node, error) < 0)
        return -1;
    return bus_graph_output(graph, resized, "mask", error);
}

int network_new(struct network *network, enum bus_precision precision,
                struct bus_error *error)
{
    *network = (struct network){NULL, NULL};
    if (bus_graph_new(&network->graph, error) < 0 ||
        describe(network->graph, error) < 0 ||
        bus_weights_new(&network->weights, network->graph, 1, precision, error) < 0) {
        network_free(network);
        return -1;
    }
    return 0;
}

void network_free(struct network *network)
{
    bus_weights_free(network->weights);
    bus_graph_free(network->graph);
    *network = (struct network){NULL, NULL};
}

static int set(struct network *network, const char *layer, const char *part,
               size_t rank, const int64_t *shape, struct bus_error *error)
{
    static float numbers[32 * 16 * 9];
    char name[64];
    size_t count = 1;
    for (size_t i = 0; i < rank; i++)
        count *= (size_t)shape[i];
    for (size_t i = 0; i < count; i++)
        numbers[i] = 0.05F * (float)((int)(i * 7 % 11) - 4) + (rank == 1 ? 0.6F : 0.0F);
    snprintf(name, sizeof name, "%s.%s", layer, part);
    const struct bus_array array = {
        .name = name, .rank = rank, .shape = shape, .floats = numbers};
    return bus_weights_set(network->weights, &array, error);
}

int network_fill(struct network *network, struct bus_error *error)
{
    static const char *const norm_parts[] = {"weight", "bias", "running_mean",
                                             "running_var"};
    for (size_t i = 0; i < network->graph->count; i++) {
        const struct bus_node *node = &network->graph->nodes[i];
        int64_t shape[4];
        size_t rank = bus_node_weight_shape(node, shape);
        if (rank == 0)
            continue;
        if (set(network, node->name, "weight", rank, shape, error) < 0)
            return -1;
        if (node->bias && set(network, node->name, "bias", 1, shape, error) < 0)
            return -1;
        const bool calibrated =
            node->op == BUS_CONV && bus_weights_precision(network->weights) == BUS_INT8;
        const int64_t one = 1;
        if (calibrated &&
            (set(network, node->name, "output_scale", 1, &one, error) < 0 ||
             set(network, node->name, "input_mean", 1, &shape[1], error) < 0))
            return -1;
        for (size_t j = 0; node->norm != NULL && j < 4; j++)
            if (set(network, node->norm, norm_parts[j], 1, shape, error) < 0)
                return -1;
    }
    return bus_weights_finish(network->weights, error);
}
