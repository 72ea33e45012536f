/* The numbers of a graph's layers: set by name, folded, then packed for oneDNN.
 *
 * Order of calls: new, set every array, finish, then any number of plans. Arrays are
 * freed as they are packed; a plan that needs another layout gets it made from the
 * first one. */
#ifndef BUS_WEIGHTS_H
#define BUS_WEIGHTS_H

#include "graph.h"

struct bus_weights;

/* One array as it comes from outside: float, or 8-bit with a scale for each index of
 * its first dimension. */
struct bus_array {
    const char *name; /* "layer1.0.conv1.weight" */
    size_t rank;
    const int64_t *shape;
    const float *floats;
    const signed char *bytes; /* used where floats is NULL */
    const float *scales;      /* with bytes: shape[0] of them */
};

/* How plans of weights compute. */
enum bus_precision {
    BUS_F32,   /* layers by Winograd's algorithm where that is faster; it rounds more */
    BUS_EXACT, /* every layer directly */
    BUS_BF16,  /* directly, activations and weights in bfloat16, sums in f32 */
    BUS_INT8,  /* directly, activations and weights in 8 bits, sums in 32. A conv then
                  has two more arrays: output_scale (1), the real number that a step of
                  its result stands for, and input_mean (src_channels) */
};

/* Weights for graph, which must outlive them and not change. threads: of setting and
 * folding, 1 to BUS_MAX_THREADS. BUS_ERROR_VALUE for BUS_BF16 where the CPU has no
 * bfloat16. */
int bus_weights_new(struct bus_weights **weights, const struct bus_graph *graph,
                    int threads, enum bus_precision precision, struct bus_error *error);

enum bus_precision bus_weights_precision(const struct bus_weights *weights);

/* Frees what the weights hold; no plan may use them any more. NULL is fine. */
void bus_weights_free(struct bus_weights *weights);

/* Copies an array. BUS_ERROR_VALUE, naming it, if no layer has it, it was set before,
 * its shape is not the layer's, a number is not finite, a variance is negative, or a
 * scale is not positive. */
int bus_weights_set(struct bus_weights *weights, const struct bus_array *array,
                    struct bus_error *error);

/* Folds the batch norms, and in BUS_INT8 rounds to 8 bits. BUS_ERROR_VALUE, naming it,
 * if an array was not set, or a layer cannot be computed in 8 bits. */
int bus_weights_finish(struct bus_weights *weights, struct bus_error *error);

bool bus_weights_finished(const struct bus_weights *weights);

#endif
