/* 8-bit activations and weights: which activations are quantised, and the numbers of
 * the layers that make them.
 *
 * An activation of real numbers x is stored as x / scale + zero_point, rounded into
 * 0..255. The zero point is 0 where a ReLU made the activation, and 128 where none did
 * and a sum reads it. All scales and zero points go into the layers' weights and
 * biases, so that a run needs only those of its results. */
#ifndef BUS_QUANTIZE_H
#define BUS_QUANTIZE_H

#include "graph.h"

/* How an activation is stored. */
struct bus_quant {
    bool quantized; /* else in float, where scale and zero point hold, too */
    float scale, zero_point;
};

/* Chooses how a graph's activations are stored. scales: one a node, of which those of
 * convolutions count. BUS_ERROR_VALUE, naming the layer, where the graph cannot be
 * computed so: a convolution reads an activation that may be negative, or adds one that
 * is not quantised. */
int bus_quantize_activations(struct bus_quant *quants, const struct bus_graph *graph,
                             const float *scales, struct bus_error *error);

/* What a layer's numbers are changed for: its source, what it adds, its result. */
struct bus_quantized_layer {
    const struct bus_quant *src, *add, *dst; /* add: NULL where it adds nothing */
    size_t rows, columns;                    /* of the weights */
    size_t src_channels;
};

/* Rewrites float weights and bias of a layer that reads floats. */
void bus_quantize_float_layer(const struct bus_quantized_layer *layer, float *weights,
                              float *bias, int threads);

/* Replaces each row of weights by integers at its start, from -max_weight to
 * max_weight, and writes the factor of the row's sums. mean is the mean
 * of each of the source's channels: what rounding the weights adds to the sums on
 * average is taken off the bias (Nagel et al., ICCV 2019). */
void bus_quantize_layer(const struct bus_quantized_layer *layer, float *weights,
                        float *bias, float *scales, const float *mean, int max_weight,
                        int threads);

#endif
