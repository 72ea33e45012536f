/* Eight-bit maps and weights: which maps are, and the numbers of layers that make them.
 *
 * A map of real numbers x is stored as x / scale + zero, rounded into 0..255. The zero
 * is 0 where a ReLU made the map, 128 where it was none and a sum reads the map. All
 * scales and zeros go into the layers' weights and biases, so that a run knows nothing
 * of them but its results'. */
#ifndef BUS_QUANTIZE_H
#define BUS_QUANTIZE_H

#include "graph.h"

/* How a map is stored. */
struct bus_map {
    bool eight_bit; /* else in float; scale and zero hold there, too */
    float scale, zero;
};

/* Chooses the maps of a graph. scales: one a node, of which those of convolutions
 * count. BUS_ERROR_VALUE, naming the layer, where the graph cannot be computed so: a
 * layer reads a map in eight bits that may be negative, or adds one that is none. */
int bus_quantize_maps(struct bus_map *maps, const struct bus_graph *graph,
                      const float *scales, struct bus_error *error);

/* What a layer's numbers are changed for: its operand, what it adds, its result. */
struct bus_quantized_layer {
    const struct bus_map *src, *add, *dst; /* add: NULL where it adds nothing */
    size_t rows, columns;                  /* of the weights */
    size_t src_channels;
};

/* Rewrites weights and bias of a layer whose operand is in float. */
void bus_quantize_wide(const struct bus_quantized_layer *layer, float *weights,
                       float *bias, int threads);

/* Replaces each row of weights by integers at its start, at most most of them in size,
 * and writes what the row's sums are to be multiplied by. mean is that of each of the
 * operand's channels: what rounding the weights adds to the sums on average is taken
 * off the bias (Nagel et al., ICCV 2019). */
void bus_quantize_narrow(const struct bus_quantized_layer *layer, float *weights,
                         float *bias, float *scales, const float *mean, int most,
                         int threads);

#endif
