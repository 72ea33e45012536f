/* Rounding of a network's layers to 8 bits. */
#ifndef BUS_WEIGHTS_INT8_H
#define BUS_WEIGHTS_INT8_H

#include "weights_internal.h"

/* Chooses how the activations are stored, by the layers' output_scale. */
int bus_weights_choose_quants(struct bus_weights *weights, struct bus_error *error);

/* Marks the layers whose weights are in 8 bits, by how their sources are stored. */
void bus_weights_mark_quantized(struct bus_weights *weights);

/* Rounds the weights of the marked layers, and rescales the others'. */
void bus_weights_round(struct bus_weights *weights);

#endif
