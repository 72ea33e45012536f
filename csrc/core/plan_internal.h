/* The inside of a plan. plan.c owns and runs it; compile.c decides what is computed and
 * where it lies, compile_steps.c describes the steps, compile_create.c creates them. */
#ifndef BUS_PLAN_INTERNAL_H
#define BUS_PLAN_INTERNAL_H

#include <dnnl.h>
#include <pthread.h>

#include "arena.h"
#include "kernels/kernel.h"
#include "pages.h"
#include "plan.h"

#define BUS_MAX_ARGUMENTS 6

/* Values and steps that a node can have: itself and one in float; a copy, two changes
 * of its numbers' type, and the layer. */
#define BUS_MAX_NODE_VALUES ((size_t)2)
#define BUS_MAX_NODE_STEPS ((size_t)4)

/* An activation in the arena. Values 0 to graph->count - 1 are the nodes' results,
 * those behind are in float what a node reads or writes in 8 bits. */
struct bus_value {
    struct bus_shape shape;
    size_t last_use; /* index of the last node that reads it */
    int buffer;      /* value whose span it lies in: itself, or what it is added to */
    bool needed;
    dnnl_data_type_t type; /* f32, bf16 or u8 */
    dnnl_memory_desc_t desc;
    dnnl_memory_t memory;
};

/* A kernel of our own, and what it is called with. */
struct bus_kernel_step {
    const struct bus_kernel *kernel;
    struct bus_kernel_call call;
};

enum bus_step_kind {
    BUS_PRIMITIVE,  /* the layer, by oneDNN */
    BUS_NATIVE,     /* the layer, by a kernel of our own */
    BUS_COPY,       /* what a sum adds, to where the sum is computed */
    BUS_QUANTIZE,   /* the layer's result, computed in float, to 8 bits */
    BUS_DEQUANTIZE, /* the layer's source, in 8 bits, to float */
};

/* One primitive or kernel, and all that it needs. */
struct bus_step {
    enum bus_step_kind kind;
    int node;                      /* that it is a step of */
    int src, dst;                  /* values that it reads and writes */
    struct bus_kernel_step native; /* BUS_NATIVE; the rest is of the other kinds */
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arguments[BUS_MAX_ARGUMENTS];
    int argument_count;
    dnnl_memory_t scratchpad;
};

struct bus_plan {
    const struct bus_graph *graph;
    struct bus_value *values;
    size_t value_count, value_capacity;
    struct bus_step *steps;
    size_t step_count, step_capacity;
    /* Span i is of value i, value_capacity + i of step i's scratchpad. */
    struct bus_span *spans;
    int outputs[BUS_MAX_OUTPUTS]; /* indices of the graph's outputs */
    size_t output_count;
    struct bus_pages arena;
    float *scale; /* of each number of the image's rows; their shifts follow */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attributes; /* with user scratchpad */
    struct bus_weights *weights;
    int threads;
    pthread_mutex_t lock;
    bool has_lock;
};

/* compile.c */

/* Makes graph, weights and options into the steps of a plan whose arrays are empty.
 * What it creates belongs to the plan, also on failure. */
int bus_plan_compile(struct bus_plan *plan, const struct bus_plan_options *options,
                     struct bus_error *error);

/* compile_steps.c */

/* Appends an empty step of a node. BUS_ERROR_VALUE where there is no room for it. */
int bus_plan_append_step(struct bus_step **step, struct bus_plan *plan,
                         enum bus_step_kind kind, int node, struct bus_error *error);

/* Appends a value in float, of the shape of another, that lives as long as node's
 * steps. BUS_ERROR_VALUE where there is no room for it. */
int bus_plan_append_value(int *value, struct bus_plan *plan, int like, int node,
                          struct bus_error *error);

/* Describes the steps of all nodes that are needed. */
int bus_plan_describe_steps(struct bus_plan *plan, struct bus_error *error);

/* compile_create.c */

/* Adds an argument of a primitive. BUS_ERROR_VALUE where there is no room for it. */
int bus_plan_add_argument(struct bus_step *step, int kind, dnnl_memory_t memory,
                          struct bus_error *error);

/* Lays out the arena, creates the steps and has their weights packed. */
int bus_plan_create_steps(struct bus_plan *plan, struct bus_error *error);

/* plan.c */

/* Runs once, and after each step calls visit with the step's index and seconds. */
typedef void bus_plan_visit(void *context, const struct bus_plan *plan, size_t index,
                            double seconds);
int bus_plan_walk(struct bus_plan *plan, const float *src, bus_plan_visit *visit,
                  void *context, struct bus_error *error);

/* Where a value lies. It holds what was computed until a later value takes its place.
 */
void *bus_plan_data(const struct bus_plan *plan, int value);

/* Numbers of a value. */
size_t bus_plan_number_count(const struct bus_plan *plan, int value);

/* What messages call a node. */
const char *bus_plan_node_label(const struct bus_node *node);

#endif
