/* The operators: a row of functions each, in one table. */
#ifndef BUS_LAYER_H
#define BUS_LAYER_H

#include <dnnl.h>

#include "error.h"
#include "graph.h"

#define BUS_MAX_CHANNELS 65536
#define BUS_MAX_KERNEL 64

/* What describe gets: the node, its operands' and its own memory descriptors, nhwc. */
struct bus_layer_request {
    const struct bus_node *node;
    struct bus_shape src, dst;
    const_dnnl_memory_desc_t src_desc, dst_desc;
    float add_scale;                        /* what the node's add is multiplied by */
    const_dnnl_primitive_attr_t attributes; /* with user scratchpad */
    dnnl_engine_t engine;
};

struct bus_layer_type {
    const char *name;
    /* Checks a node to be appended; completed has its channels filled in and may be
     * changed further. NULL where there is nothing to check. */
    int (*check)(const struct bus_graph *graph, const struct bus_node *node,
                 struct bus_node *completed, struct bus_error *error);
    /* Writes the result's height and width; n and c are filled in. like is the shape of
     * node->like, or of src. */
    int (*infer)(struct bus_shape *dst, const struct bus_node *node,
                 const struct bus_shape *src, const struct bus_shape *like,
                 struct bus_error *error);
    /* Makes the primitive's descriptor. NULL for the input, and for operators that a
     * kernel of our own computes. */
    dnnl_status_t (*describe)(dnnl_primitive_desc_t *desc,
                              const struct bus_layer_request *request);
};

extern const struct bus_layer_type *const bus_layer_types[BUS_OP_COUNT];

extern const struct bus_layer_type bus_layer_conv;
extern const struct bus_layer_type bus_layer_max_pool;
extern const struct bus_layer_type bus_layer_mean_pool;
extern const struct bus_layer_type bus_layer_linear;
extern const struct bus_layer_type bus_layer_resize;
extern const struct bus_layer_type bus_layer_lesion_pool;

/* Checks that the value to add has the node's channels. */
int bus_layer_check_add(const struct bus_graph *graph, const struct bus_node *node,
                        struct bus_error *error);

/* Height or width of a sliding window's result; 0 if the window does not fit. */
int64_t bus_window_count(int64_t size, const struct bus_node *node);

/* Checks kernel, stride and padding of a sliding window. */
int bus_window_check(const struct bus_node *node, const char *name,
                     struct bus_error *error);

/* infer of the operators with a sliding window. */
int bus_window_infer(struct bus_shape *dst, const struct bus_node *node,
                     const struct bus_shape *src, const struct bus_shape *like,
                     struct bus_error *error);

/* infer of the operators whose result is one pixel. */
int bus_pixel_infer(struct bus_shape *dst, const struct bus_node *node,
                    const struct bus_shape *src, const struct bus_shape *like,
                    struct bus_error *error);

#endif
