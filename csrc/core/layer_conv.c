/* Convolution. Its batch norm is folded into weights and bias when weights are
 * finished; the sum and the ReLU are post-operations of the primitive. */
#include "layer.h"
#include "onednn.h"

static int check(const struct bus_graph *graph, const struct bus_node *node,
                 struct bus_node *completed, struct bus_error *error)
{
    (void)completed;
    if (node->name == NULL || node->name[0] == '\0')
        return bus_error_set(error, BUS_ERROR_VALUE, "conv: it has no name");
    if (bus_window_check(node, node->name, error) < 0)
        return -1;
    return bus_layer_check_add(graph, node, error);
}

static dnnl_status_t describe(dnnl_primitive_desc_t *desc,
                              const struct bus_layer_request *request)
{
    const struct bus_node *node = request->node;
    const dnnl_dims_t weight_dims = {node->channels, node->src_channels, node->kernel,
                                     node->kernel};
    const dnnl_dims_t bias_dims = {node->channels};
    const dnnl_dims_t strides = {node->stride, node->stride};
    const dnnl_dims_t dilates = {0, 0};
    const dnnl_dims_t padding = {node->padding, node->padding};
    const bool quantized = bus_onednn_type(request->src_desc) == dnnl_u8;
    const dnnl_data_type_t type =
        quantized ? dnnl_s8 : bus_onednn_type(request->src_desc);
    /* An 8-bit activation after a ReLU cannot store a number below zero anyway. */
    const bool relu = node->relu && bus_onednn_type(request->dst_desc) != dnnl_u8;
    dnnl_memory_desc_t weights = NULL, bias = NULL;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t post_ops = NULL;
    dnnl_status_t status;

    if ((status = dnnl_memory_desc_create_with_tag(&weights, 4, weight_dims, type,
                                                   dnnl_format_tag_any)) ||
        (status =
             dnnl_memory_desc_create_with_tag(&bias, 1, bias_dims, dnnl_f32, dnnl_a)) ||
        (status = dnnl_primitive_attr_clone(&attributes, request->attributes)) ||
        (status = dnnl_post_ops_create(&post_ops)))
        goto done;
    if (node->add != BUS_NONE &&
        (status = dnnl_post_ops_append_sum(post_ops, request->add_scale, 0,
                                           dnnl_data_type_undef)))
        goto done;
    if (quantized &&
        (status = dnnl_primitive_attr_set_scales_mask(attributes, DNNL_ARG_WEIGHTS, 1)))
        goto done;
    if (relu && (status = dnnl_post_ops_append_eltwise(post_ops, dnnl_eltwise_relu,
                                                       0.0F, 0.0F)))
        goto done;
    if ((status = dnnl_primitive_attr_set_post_ops(attributes, post_ops)))
        goto done;
    status = dnnl_convolution_forward_primitive_desc_create(
        desc, request->engine, dnnl_forward_inference, dnnl_convolution_direct,
        request->src_desc, weights, bias, request->dst_desc, strides, dilates, padding,
        padding, attributes);

done:
    dnnl_post_ops_destroy(post_ops);
    dnnl_primitive_attr_destroy(attributes);
    dnnl_memory_desc_destroy(bias);
    dnnl_memory_desc_destroy(weights);
    return status;
}

const struct bus_layer_type bus_layer_conv = {
    .name = "conv",
    .check = check,
    .infer = bus_window_infer,
    .describe = describe,
};
