/* A graph with weights, made into a list of oneDNN primitives and kernels of our own
 * for one input shape.
 *
 * Everything is created once: primitives, memory objects, argument lists, one arena for
 * all activations and scratchpads. Running is a loop over the list. */
#ifndef BUS_PLAN_H
#define BUS_PLAN_H

#include "graph.h"
#include "weights.h"

#define BUS_MAX_SIDE 16384
#define BUS_MAX_BATCH 65536

struct bus_plan;

struct bus_plan_options {
    int64_t batch, height, width;
    int threads;
    unsigned outputs; /* bit i: compute output i of the graph; 0: compute all */
};

/* Makes a plan. graph and weights, which must be finished, must outlive it.
 * BUS_ERROR_VALUE if the network does not admit the input's size. */
int bus_plan_new(struct bus_plan **plan, const struct bus_graph *graph,
                 struct bus_weights *weights, const struct bus_plan_options *options,
                 struct bus_error *error);

/* NULL is fine. The plan must not be running. */
void bus_plan_free(struct bus_plan *plan);

/* Computes the plan's outputs.
 *
 * src: batch x height x width x channels numbers in 0..1. dst: one array for each
 * output, in the graph's order, n x h x w x c of bus_plan_output_shape. Both
 * stay the caller's. Callers on several threads take turns.
 *
 * BUS_ERROR_VALUE, naming the first, if a number of src is infinite or NaN. */
int bus_plan_run(struct bus_plan *plan, const float *src, float *const *dst,
                 struct bus_error *error);

/* Outputs that are computed, in the graph's order. */
size_t bus_plan_output_count(const struct bus_plan *plan);
const char *bus_plan_output_name(const struct bus_plan *plan, size_t index);
struct bus_shape bus_plan_output_shape(const struct bus_plan *plan, size_t index);

/* Shape of the input. */
struct bus_shape bus_plan_input_shape(const struct bus_plan *plan);

/* A step that a run takes: the layer it is of, and what computes it. */
struct bus_plan_step {
    const char *layer;  /* its name, or its operator's where it has none */
    const char *kernel; /* "winograd avx512", or what oneDNN calls its implementation */
};

size_t bus_plan_step_count(const struct bus_plan *plan);
struct bus_plan_step bus_plan_step(const struct bus_plan *plan, size_t index);

/* Runs once and writes the seconds that each step took. */
int bus_plan_time(struct bus_plan *plan, const float *src, double *seconds,
                  struct bus_error *error);

/* Bytes of activations and scratchpads. */
size_t bus_plan_arena_size(const struct bus_plan *plan);

#endif
