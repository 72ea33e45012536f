/* The numbers of a graph's layers: set by name, folded, then packed for oneDNN.
 *
 * Life: new, set every array, finish, then any number of plans. The plain arrays are
 * given back as they are packed; a plan that wants another packing gets it made from
 * the one there is. */
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
    BUS_BF16,  /* directly, maps and weights in bfloat16, sums in f32 */
    BUS_INT8,  /* directly, maps and weights in 8 bits, sums in 32; the arrays of a conv
                  are two more then: output_scale (1), the real number that a step of its
                  result's map stands for, and input_mean (src_channels) */
};

/* Weights for graph, which must outlive them and not change. Setting and folding use so
 * many threads, 1 to BUS_MAX_THREADS. BUS_ERROR_VALUE where the CPU has no bfloat16 and
 * the precision is that. */
int bus_weights_new(struct bus_weights **weights, const struct bus_graph *graph,
                    int threads, enum bus_precision precision, struct bus_error *error);

enum bus_precision bus_weights_precision(const struct bus_weights *weights);

/* Frees what the weights hold; no plan may use them any more. NULL is fine. */
void bus_weights_free(struct bus_weights *weights);

/* Has packed weights kept in files of a folder, whose path must name all that decides
 * the numbers: the file that they come from, oneDNN, this code. Called before any array
 * is set. With read, if the biases are there, the weights are finished at once, and a
 * plan whose weights are not kept fails with BUS_ERROR_ABSENT. */
int bus_weights_use_cache(struct bus_weights *weights, const char *folder, bool read,
                          struct bus_error *error);

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
