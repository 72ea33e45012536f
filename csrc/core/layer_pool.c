/* Maximum of sliding windows, and the mean of whole planes. */
#include "layer.h"

static int check_max(const struct bus_graph *graph, const struct bus_node *node,
                     struct bus_node *completed, struct bus_error *error)
{
    (void)graph;
    (void)completed;
    return bus_window_check(node, "max_pool", error);
}

/* Padding at the far end that makes the last window whole. */
static int64_t far_padding(int64_t size, int64_t count, const struct bus_node *node)
{
    int64_t overhang = (count - 1) * node->stride + node->kernel - size - node->padding;
    return overhang > node->padding ? overhang : node->padding;
}

static dnnl_status_t describe_max(dnnl_primitive_desc_t *desc,
                                  const struct bus_layer_request *request)
{
    const struct bus_node *node = request->node;
    const dnnl_dims_t strides = {node->stride, node->stride};
    const dnnl_dims_t kernel = {node->kernel, node->kernel};
    const dnnl_dims_t dilation = {0, 0};
    const dnnl_dims_t near = {node->padding, node->padding};
    const dnnl_dims_t far = {far_padding(request->src.h, request->dst.h, node),
                             far_padding(request->src.w, request->dst.w, node)};
    return dnnl_pooling_forward_primitive_desc_create(
        desc, request->engine, dnnl_forward_inference, dnnl_pooling_max,
        request->src_desc, request->dst_desc, strides, kernel, dilation, near, far,
        request->attributes);
}

static dnnl_status_t describe_mean(dnnl_primitive_desc_t *desc,
                                   const struct bus_layer_request *request)
{
    const dnnl_dims_t whole = {request->src.h, request->src.w};
    const dnnl_dims_t none = {0, 0};
    return dnnl_pooling_forward_primitive_desc_create(
        desc, request->engine, dnnl_forward_inference, dnnl_pooling_avg_exclude_padding,
        request->src_desc, request->dst_desc, whole, whole, none, none, none,
        request->attributes);
}

const struct bus_layer_type bus_layer_max_pool = {
    .name = "max_pool",
    .check = check_max,
    .infer = bus_window_infer,
    .describe = describe_max,
};

const struct bus_layer_type bus_layer_mean_pool = {
    .name = "mean_pool",
    .infer = bus_pixel_infer,
    .describe = describe_mean,
};
