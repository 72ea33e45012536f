/* What plans ask of weights: layers in the layouts that primitives want. */
#ifndef BUS_PACKING_H
#define BUS_PACKING_H

#include <dnnl.h>

#include "quantize.h"
#include "weights.h"

/* A plan's demand: node's weights in the layout of desc. */
struct bus_packing {
    int node;
    const_dnnl_memory_desc_t desc;
    /* Step of Winograd's algorithm that they are for, desc being that of
     * bus_winograd_weight_count floats in a row; 0 where they are not for it. */
    size_t winograd;
    /* Written by bus_weights_pack; borrowed. scale: NULL where weights are in float. */
    dnnl_memory_t weights, bias, scale;
};

/* Makes all packings that are not there yet, and fills the demands. Safe to call from
 * several threads. The memory objects live as long as the weights. */
int bus_weights_pack(struct bus_weights *weights, struct bus_packing *packings,
                     size_t count, struct bus_error *error);

/* Moves 2 MB more of the packed weights to a huge page, if the last was long enough ago
 * that this takes 2 % of the time at most: for a process that is there to stay, not
 * worth a later first result. */
void bus_weights_settle(struct bus_weights *weights);

/* Whether a node's weights can be packed for Winograd's algorithm. */
bool bus_weights_winograd(const struct bus_weights *weights, int node);

/* Whether a node's weights are packed for the stem's kernels, desc being that of
 * bus_stem_weight_size bytes in a row. */
bool bus_weights_stem(const struct bus_weights *weights, int node);

/* How a node's map is stored in BUS_INT8; NULL in other precisions. */
const struct bus_map *bus_weights_map(const struct bus_weights *weights, int node);

/* The engine that the packed weights belong to. */
dnnl_engine_t bus_weights_engine(const struct bus_weights *weights);

#endif
