/* The inside of a plan: plan.c owns and runs it, compile.c fills it. */
#ifndef BUS_COMPILE_H
#define BUS_COMPILE_H

#include <dnnl.h>
#include <pthread.h>

#include "arena.h"
#include "pages.h"
#include "plan.h"
#include "winograd.h"

#define BUS_MAX_ARGUMENTS 5

/* A map that is computed: where it is in the arena, and when. */
struct bus_value {
    struct bus_shape shape;
    size_t last_use; /* index of the last node that reads it */
    int buffer;      /* node whose span it lies in: itself, or what it is summed onto */
    bool needed;
    dnnl_data_type_t type; /* f32 or bf16 */
    dnnl_memory_desc_t desc;
    dnnl_memory_t memory;
};

/* A step of our own kernels, and all that it takes. */
struct bus_own_step {
    struct bus_winograd winograd;
    dnnl_memory_desc_t weights_desc; /* NULL: the step is oneDNN's */
    const float *src, *weights, *bias;
    float *dst;
    void *scratch;
};

/* A primitive with all that its execution takes, or a step of our own. */
struct bus_step {
    struct bus_own_step own;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arguments[BUS_MAX_ARGUMENTS];
    int argument_count;
    int node;
    dnnl_memory_t scratchpad;
};

struct bus_plan {
    const struct bus_graph *graph;
    struct bus_value *values; /* one a node */
    struct bus_step *steps;
    size_t step_count;
    /* Spans 0 to count - 1 are of nodes' maps, the rest of steps' scratchpads. */
    struct bus_span *spans;
    int outputs[BUS_MAX_OUTPUTS]; /* indices of the graph's outputs */
    size_t output_count;
    struct bus_pages arena;
    float *scale; /* of each number of the image's rows; their shifts follow */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attributes;
    struct bus_weights *weights;
    size_t runs; /* up to when the weights begin to settle */
    int threads;
    pthread_mutex_t lock;
    bool lock_made;
};

/* Makes graph, weights and options into the steps of a plan whose arrays are there.
 * What is made is the plan's, also on failure. */
int bus_plan_compile(struct bus_plan *plan, struct bus_weights *weights,
                     const struct bus_plan_options *options, struct bus_error *error);

/* What messages call a node. */
const char *bus_plan_node_label(const struct bus_node *node);

#endif
