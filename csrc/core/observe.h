/* What maps hold, for the choice of their eight-bit scales. */
#ifndef BUS_OBSERVE_H
#define BUS_OBSERVE_H

#include "plan.h"

/* Bins of sizes: 64 to each factor of two from 2^-20 to 2^12. Smaller ones and zeros
 * are in the first, larger ones in the last. */
#define BUS_SIZE_BINS ((size_t)32 * 64)

/* Convolutions of a plan, in the order of its steps. */
size_t bus_observe_count(const struct bus_plan *plan);

/* One of them; its operand has src_channels. */
const struct bus_node *bus_observe_node(const struct bus_plan *plan, size_t index);

/* What is written of one: the operand's mean in each channel, and how many of the
 * result's numbers are of the sizes of each bin. */
struct bus_observation {
    double *means;   /* src_channels */
    int64_t *counts; /* BUS_SIZE_BINS */
};

/* Runs the plan, which must compute in float, and writes one observation a convolution.
 * BUS_ERROR_VALUE if its maps are in fewer bits. */
int bus_observe(struct bus_plan *plan, const float *src,
                const struct bus_observation *observations, struct bus_error *error);

#endif
