#include "quantize.h"

#include <math.h>
#include <stdlib.h>

#define SIGNED_ZERO_POINT 128.0F

static const char *label(const struct bus_node *node)
{
    return node->name != NULL ? node->name : "an unnamed layer";
}

static int check_conv(const struct bus_quant *quants, const struct bus_node *node,
                      const struct bus_quant *dst, struct bus_error *error)
{
    const struct bus_quant *src = &quants[node->src];
    if (src->zero_point != 0.0F)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "%s: int8 needs an operand that is not negative, but "
                             "nothing makes this one so",
                             label(node));
    if (node->add != BUS_NONE &&
        !(src->quantized && quants[node->add].quantized && dst->quantized))
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "%s: int8 needs a sum of activations that all are in 8 "
                             "bits",
                             label(node));
    return 0;
}

static int choose(struct bus_quant *quants, const struct bus_node *node, size_t index,
                  float scale, bool summed, struct bus_error *error)
{
    struct bus_quant *quant = &quants[index];
    *quant = (struct bus_quant){.quantized = false, .scale = 1.0F, .zero_point = 0.0F};
    switch (node->op) {
    case BUS_CONV:
        if (node->relu || summed)
            *quant =
                (struct bus_quant){true, scale, node->relu ? 0.0F : SIGNED_ZERO_POINT};
        return check_conv(quants, node, quant, error);
    case BUS_MAX_POOL:
    case BUS_RESIZE:
        *quant = quants[node->src];
        return 0;
    case BUS_MEAN_POOL:
        *quant = quants[node->src];
        quant->quantized = false;
        return 0;
    case BUS_LINEAR:
        if (quants[node->src].quantized)
            return bus_error_set(error, BUS_ERROR_VALUE,
                                 "%s: int8 needs an operand in float", label(node));
        return 0;
    default:
        return 0;
    }
}

int bus_quantize_activations(struct bus_quant *quants, const struct bus_graph *graph,
                             const float *scales, struct bus_error *error)
{
    bool *summed = calloc(graph->count + 1, sizeof *summed);
    int result = 0;
    if (summed == NULL)
        return bus_error_memory(error, "8-bit activations");
    for (size_t i = graph->count; i-- > 1;) {
        const struct bus_node *node = &graph->nodes[i];
        if (node->op == BUS_CONV && node->add != BUS_NONE)
            summed[node->add] = true;
        if (summed[i] && (node->op == BUS_RESIZE || node->op == BUS_MAX_POOL))
            summed[node->src] = true;
    }
    for (size_t i = 0; result == 0 && i < graph->count; i++)
        result = choose(quants, &graph->nodes[i], i, scales[i], summed[i], error);
    free(summed);
    return result;
}

/* What a stored zero of the value to add stands for, with its sign changed. */
static double zero_of_add(const struct bus_quantized_layer *layer)
{
    return layer->add != NULL ? (double)layer->add->zero_point * layer->add->scale
                              : 0.0;
}

void bus_quantize_float_layer(const struct bus_quantized_layer *layer, float *weights,
                              float *bias, int threads)
{
    const double src = layer->src->scale, dst = layer->dst->scale;
    const double added = zero_of_add(layer);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t row = 0; row < layer->rows; row++) {
        float *weight = weights + row * layer->columns;
        double sum = 0.0;
        for (size_t i = 0; i < layer->columns; i++) {
            sum += weight[i];
            weight[i] = (float)(weight[i] * src / dst);
        }
        bias[row] =
            (float)((bias[row] - layer->src->zero_point * src * sum - added) / dst +
                    layer->dst->zero_point);
    }
}

void bus_quantize_layer(const struct bus_quantized_layer *layer, float *weights,
                        float *bias, float *scales, const float *mean, int max_weight,
                        int threads)
{
    const size_t taps = layer->columns / layer->src_channels;
    const double src = layer->src->scale, dst = layer->dst->scale;
    const float limit = (float)max_weight;
    const double added = zero_of_add(layer);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t row = 0; row < layer->rows; row++) {
        float *weight = weights + row * layer->columns;
        signed char *integers = (signed char *)weight;
        float largest = 0.0F;
        double error = 0.0;
        for (size_t i = 0; i < layer->columns; i++)
            if (fabsf(weight[i]) > largest)
                largest = fabsf(weight[i]);
        const float step = largest > 0.0F ? largest / limit : 1.0F;
        for (size_t i = 0; i < layer->columns; i++) {
            const float exact = weight[i]; /* read before its bytes are written */
            /* This cuts off numbers that folding made infinite, too. */
            const float rounded = fmaxf(-limit, fminf(rintf(exact / step), limit));
            error += ((double)rounded * step - exact) * mean[i / taps];
            integers[i] = (signed char)rounded;
        }
        scales[row] = (float)(step * src / dst);
        bias[row] = (float)((bias[row] - error - added) / dst + layer->dst->zero_point);
    }
}
