/* A small network that uses every operator, for the tests. */
#ifndef NETWORK_H
#define NETWORK_H

#include "plan.h"

struct network {
    struct bus_graph *graph;
    struct bus_weights *weights;
};

/* Two outputs: "class" (3) and "mask" (1 channel of the input's size). */
int network_new(struct network *network, enum bus_precision precision,
                struct bus_error *error);
void network_free(struct network *network);

/* Sets every array to numbers that differ from one another. */
int network_fill(struct network *network, struct bus_error *error);

#endif
