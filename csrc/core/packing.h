/* What plans ask of weights: layers in the layouts of primitives and kernels. */
#ifndef BUS_PACKING_H
#define BUS_PACKING_H

#include <dnnl.h>

#include "kernels/kernel.h"
#include "weights.h"

/* A node's weights in one layout. */
struct bus_packing {
    int node;
    const struct bus_kernel *kernel; /* whose layout; NULL: that of desc */
    const_dnnl_memory_desc_t desc;
    /* Written by bus_weights_pack for a primitive; scale: NULL where weights are
     * floats. */
    dnnl_memory_t weights, bias, scale;
    /* The same for a kernel. */
    const void *packed;
    const float *biases, *scales;
};

/* Makes all packings that are not there yet, and fills in the rest of them. Safe to
 * call from several threads. What is written lives as long as the weights.
 *
 * threads: how many to use, the plan's. Those of the weights may be lost: a process
 * that was forked since has only one. */
int bus_weights_pack(struct bus_weights *weights, struct bus_packing *packings,
                     size_t count, int threads, struct bus_error *error);

/* The kernel that a node's numbers are adapted to, which alone may compute it; NULL:
 * any. */
const struct bus_kernel *bus_weights_kernel(const struct bus_weights *weights,
                                            int node);

/* How a node's activation is stored in BUS_INT8; NULL in other precisions. */
const struct bus_quant *bus_weights_quant(const struct bus_weights *weights, int node);

/* The engine that the packed weights belong to. */
dnnl_engine_t bus_weights_engine(const struct bus_weights *weights);

#endif
