#include "weights_int8.h"

#include <stdlib.h>

#include "engine.h"

int bus_weights_choose_quants(struct bus_weights *weights, struct bus_error *error)
{
    float *scales = calloc(weights->layer_count + 1, sizeof *scales);
    if (scales == NULL)
        return bus_error_memory(error, "scales");
    for (size_t i = 0; i < weights->layer_count; i++)
        if (weights->layers[i].needed[BUS_OUTPUT_SCALE])
            scales[i] = weights->layers[i].parts[BUS_OUTPUT_SCALE][0];
    const int result =
        bus_quantize_activations(weights->quants, weights->graph, scales, error);
    free(scales);
    return result;
}

void bus_weights_mark_quantized(struct bus_weights *weights)
{
    for (size_t i = 0; i < weights->layer_count; i++) {
        struct bus_layer_arrays *layer = &weights->layers[i];
        if (layer->node != NULL)
            layer->quantized =
                layer->kernel != NULL || weights->quants[layer->node->src].quantized;
    }
}

/* The largest 8-bit weight for which sums are exact: without instructions that sum into
 * 32 bits at once, pairs of products have to fit into 16. */
static int max_weight(const struct bus_layer_arrays *layer)
{
    if (layer->kernel != NULL)
        return layer->kernel->max_weight;
    return bus_engine_info().int8 ? 127 : 64;
}

static void round_layer(struct bus_weights *weights, size_t index)
{
    struct bus_layer_arrays *layer = &weights->layers[index];
    const struct bus_node *node = layer->node;
    const struct bus_quantized_layer quantized = {
        .src = &weights->quants[node->src],
        .add = node->add != BUS_NONE ? &weights->quants[node->add] : NULL,
        .dst = &weights->quants[index],
        .rows = (size_t)node->channels,
        .columns = layer->count / (size_t)node->channels,
        .src_channels = (size_t)node->src_channels,
    };
    float *weight = layer->parts[BUS_WEIGHT], *bias = layer->parts[BUS_BIAS];
    float *input_mean = layer->parts[BUS_INPUT_MEAN];
    if (layer->kernel != NULL) {
        struct bus_kernel_numbers numbers = {weight, bias, input_mean};
        layer->kernel->adapt(&numbers, node, &weights->graph->nodes[0]);
    }
    if (layer->quantized)
        bus_quantize_layer(&quantized, weight, bias, layer->scales, input_mean,
                           max_weight(layer), weights->threads);
    else
        bus_quantize_float_layer(&quantized, weight, bias, weights->threads);
}

void bus_weights_round(struct bus_weights *weights)
{
    for (size_t i = 0; i < weights->layer_count; i++)
        if (weights->layers[i].node != NULL)
            round_layer(weights, i);
}
