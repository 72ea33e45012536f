/* The inside of weights: weights.c fills it, packing.c makes what plans ask for. */
#ifndef BUS_LAYER_ARRAYS_H
#define BUS_LAYER_ARRAYS_H

#include <dnnl.h>
#include <pthread.h>

#include "pages.h"
#include "quantize.h"
#include "weights.h"

enum bus_part {
    BUS_WEIGHT,
    BUS_BIAS,
    BUS_GAMMA,
    BUS_BETA,
    BUS_MEAN,
    BUS_VARIANCE,
    BUS_OUTPUT_SCALE, /* these two in eight bits alone */
    BUS_INPUT_MEAN,
    BUS_PART_COUNT
};

struct bus_packed {
    dnnl_memory_desc_t desc;
    dnnl_memory_t memory;
};

/* The arrays of one node; all pointers lead into the weights' pages. */
struct bus_layer_arrays {
    const struct bus_node *node;
    float *parts[BUS_PART_COUNT];
    bool needed[BUS_PART_COUNT], set[BUS_PART_COUNT];
    size_t numbers; /* of the weight array */
    bool winograd;  /* plans may take it by Winograd's algorithm: its array stays */
    bool stem;      /* the image's convolution in eight bits, by our own kernels */
    bool narrow;    /* its weights are in eight bits: */
    float *scales;  /* what the sums are multiplied by, one a row */
    dnnl_memory_t bias, scale; /* scale: NULL where not narrow */
    struct bus_packed *packed; /* the layouts there are */
    size_t packed_count;
};

struct bus_weights {
    const struct bus_graph *graph;
    struct bus_layer_arrays *layers; /* one a node; those without weights are empty */
    size_t layer_count;
    struct bus_map *maps;     /* one a node, in eight bits; elsewhere NULL */
    struct bus_pages plain;   /* weight arrays as they came; see packing.c */
    struct bus_pages vectors; /* biases and norms */
    struct bus_pages *blocks; /* of packed weights */
    size_t block_count;
    size_t settling, settled; /* block, and offset in it, up to which pages are huge */
    double settle_at;         /* when to go on with that */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    pthread_mutex_t lock; /* of packed, blocks and the stream */
    int threads;
    enum bus_precision precision;
    char *cache; /* folder of files that keep what is packed; NULL: nothing is */
    bool lock_made, finished;
    bool cached; /* its numbers came from the cache: there are no arrays */
};

#endif
