/* What activations hold, for the choice of their 8-bit scales. */
#ifndef BUS_OBSERVE_H
#define BUS_OBSERVE_H

#include "plan.h"

/* Bins of sizes: 64 to each factor of two from 2^-20 to 2^12. Smaller ones and zeros
 * are in the first, larger ones in the last. */
#define BUS_SIZE_BINS ((size_t)32 * 64)

/* Convolutions of a plan, in the order of its steps. */
size_t bus_observe_count(const struct bus_plan *plan);

/* One of them; its source has src_channels. BUS_ERROR_VALUE for an index that is too
 * large. */
int bus_observe_node(const struct bus_node **node, const struct bus_plan *plan,
                     size_t index, struct bus_error *error);

/* What is written of one: the source's mean in each channel, and the result's numbers
 * in each bin. */
struct bus_observation {
    double *means;   /* src_channels */
    int64_t *counts; /* BUS_SIZE_BINS */
};

/* Runs the plan, which must compute in float, and writes one observation a convolution.
 * BUS_ERROR_VALUE if its activations are in fewer bits. */
int bus_observe(struct bus_plan *plan, const float *src,
                const struct bus_observation *observations, struct bus_error *error);

#endif
