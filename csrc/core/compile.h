/* The inside of a plan: plan.c owns and runs it, compile.c fills it. */
#ifndef BUS_COMPILE_H
#define BUS_COMPILE_H

#include <dnnl.h>
#include <pthread.h>

#include "arena.h"
#include "pages.h"
#include "plan.h"
#include "stem.h"
#include "winograd.h"

#define BUS_MAX_ARGUMENTS 6

/* A map that is computed: where it is in the arena, and when. */
struct bus_value {
    struct bus_shape shape;
    size_t last_use; /* index of the last node that reads it */
    int buffer;      /* node whose span it lies in: itself, or what it is summed onto */
    bool needed;
    dnnl_data_type_t type; /* f32, bf16 or u8 */
    dnnl_memory_desc_t desc;
    dnnl_memory_t memory;
};

/* A step of our own kernels, and all that it takes. */
struct bus_own_step {
    struct bus_winograd winograd; /* BUS_WINOGRAD */
    struct bus_stem stem;         /* BUS_STEM */
    dnnl_memory_desc_t weights_desc;
    const float *src, *bias, *scales;
    const void *weights;
    void *dst, *scratch;
};

enum bus_step_kind {
    BUS_COMPUTE,  /* a layer, by oneDNN */
    BUS_WINOGRAD, /* a convolution by our own kernels */
    BUS_STEM,     /* that of the image in eight bits, by our own */
    BUS_COPY,     /* what a sum adds, to where it is computed */
    BUS_NARROW,   /* to eight bits, what the step before has computed in float */
    BUS_WIDEN,    /* from eight bits, what the step after reads in float */
};

/* A primitive with all that its execution takes, or a step of our own. */
struct bus_step {
    enum bus_step_kind kind;
    struct bus_own_step own;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arguments[BUS_MAX_ARGUMENTS];
    int argument_count;
    int node;
    dnnl_memory_t scratchpad;
    dnnl_memory_desc_t wide_desc; /* what is narrowed or widened, in float */
    dnnl_memory_t wide;
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

/* Runs once, and after each step calls visit with the step's index and seconds. */
typedef void bus_plan_visit(void *context, const struct bus_plan *plan, size_t index,
                            double seconds);
int bus_plan_walk(struct bus_plan *plan, const float *src, bus_plan_visit *visit,
                  void *context, struct bus_error *error);

/* What a node has computed, as long as no later one has taken its place. */
const void *bus_plan_map(const struct bus_plan *plan, int node);

/* Numbers of a map. */
size_t bus_plan_map_count(const struct bus_plan *plan, int node);

/* What messages call a node. */
const char *bus_plan_node_label(const struct bus_node *node);

#endif
