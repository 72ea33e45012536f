/* The inside of weights: weights.c fills it, weights_int8.c rounds it, packing.c makes
 * what plans ask for, packed_cache.c stores that in files. */
#ifndef BUS_WEIGHTS_INTERNAL_H
#define BUS_WEIGHTS_INTERNAL_H

#include <dnnl.h>
#include <pthread.h>

#include "kernels/kernel.h"
#include "pages.h"
#include "weights.h"

enum bus_part {
    BUS_WEIGHT,
    BUS_BIAS,
    BUS_GAMMA,
    BUS_BETA,
    BUS_MEAN,
    BUS_VARIANCE,
    BUS_OUTPUT_SCALE, /* these two in 8 bits alone */
    BUS_INPUT_MEAN,
    BUS_PART_COUNT
};

/* Weights in one layout. */
struct bus_packed {
    const char *layout; /* of a kernel; NULL: oneDNN's, and then: */
    dnnl_memory_desc_t desc;
    dnnl_memory_t memory;
    const void *data;
};

/* The arrays of one node; all pointers lead into the weights' pages. */
struct bus_layer_arrays {
    const struct bus_node *node;
    float *parts[BUS_PART_COUNT];
    bool needed[BUS_PART_COUNT], set[BUS_PART_COUNT];
    size_t count;   /* numbers of the weight array */
    bool retained;  /* its weight array is not freed: kernels of plans may need it */
    bool quantized; /* its weights are in 8 bits: */
    float *scales;  /* what the sums are multiplied by, one a row */
    const struct bus_kernel *kernel; /* that its numbers are adapted for, or NULL */
    dnnl_memory_t bias, scale;       /* scale: NULL where not quantized */
    struct bus_packed *packed;       /* layouts that were asked for */
    size_t packed_count;
};

struct bus_weights {
    const struct bus_graph *graph;
    struct bus_layer_arrays *layers; /* one a node; those without weights are empty */
    size_t layer_count;
    struct bus_quant *quants; /* one a node in BUS_INT8; elsewhere NULL */
    struct bus_pages plain;   /* weight arrays as they came; see packing.c */
    struct bus_pages vectors; /* biases and norms */
    struct bus_pages *blocks; /* of packed weights */
    size_t block_count;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    pthread_mutex_t lock; /* of packed, blocks and the stream */
    int threads;          /* that set and finish use */
    enum bus_precision precision;
    char *cache; /* folder of files with packed weights, or NULL */
    bool has_lock, finished;
    bool cached; /* its numbers came from the cache: there are no arrays */
};

#endif
