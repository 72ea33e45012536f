/* A network as a list of nodes, each the result of one operator.
 *
 * Nodes are only appended; a value is the index of the node that computes it, so every
 * operand precedes its use. Channels are known at once, heights and widths only when a
 * plan is made for an input's size. */
#ifndef BUS_GRAPH_H
#define BUS_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define BUS_NONE (-1)
#define BUS_MAX_IMAGE_CHANNELS 4
#define BUS_MAX_OUTPUTS 8

enum bus_op {
    BUS_INPUT,
    BUS_CONV,
    BUS_MAX_POOL,
    BUS_MEAN_POOL,
    BUS_LINEAR,
    BUS_RESIZE,
    BUS_LESION_POOL,
    BUS_OP_COUNT,
};

struct bus_shape {
    int64_t n, c, h, w;
};

struct bus_node {
    enum bus_op op;
    char *name;           /* of the layer's arrays ("layer1.0.conv1"); NULL: has none */
    char *norm;           /* of the batch norm folded into a conv; NULL: has none */
    int src;              /* operand; BUS_NONE for the input */
    int add;              /* conv, linear: value added before the ReLU, or BUS_NONE */
    int like;             /* resize: value whose height and width it takes */
    int logits;           /* lesion_pool: value of one channel, logits of a lesion */
    int64_t channels;     /* of the result */
    int64_t src_channels; /* filled by bus_graph_append */
    int64_t kernel, stride, padding;
    bool bias, relu; /* conv */
    bool ceil;       /* max_pool: the last window may overhang */
    bool nearest;    /* resize: nearest instead of bilinear */
    float mean[BUS_MAX_IMAGE_CHANNELS], std[BUS_MAX_IMAGE_CHANNELS]; /* input */
};

struct bus_output {
    char *name;
    int value;
};

struct bus_graph {
    struct bus_node *nodes;
    size_t count, capacity;
    struct bus_output outputs[BUS_MAX_OUTPUTS];
    size_t output_count;
};

/* An empty graph. */
int bus_graph_new(struct bus_graph **graph, struct bus_error *error);

/* Frees the graph and its nodes. NULL is fine. */
void bus_graph_free(struct bus_graph *graph);

/* Appends a copy of node (its strings too) and writes its value. The first node, and no
 * other, is the input. BUS_ERROR_VALUE if an operand does not exist or does not fit. */
int bus_graph_append(int *value, struct bus_graph *graph, const struct bus_node *node,
                     struct bus_error *error);

/* Makes a value a result of the network under a name of its own. */
int bus_graph_output(struct bus_graph *graph, int value, const char *name,
                     struct bus_error *error);

/* Shape of the layer's weight array: rank 4 for conv, 2 for linear, 0 for others. */
size_t bus_node_weight_shape(const struct bus_node *node, int64_t shape[4]);

#endif
