/* Fully connected layer with bias, on activations of one pixel; a value can be added.
 */
#include "layer.h"
#include "onednn.h"

static int check(const struct bus_graph *graph, const struct bus_node *node,
                 struct bus_node *completed, struct bus_error *error)
{
    if (node->name == NULL || node->name[0] == '\0')
        return bus_error_set(error, BUS_ERROR_VALUE, "linear: it has no name");
    completed->kernel = 1;
    completed->bias = true;
    return bus_layer_check_add(graph, node, error);
}

static int infer(struct bus_shape *dst, const struct bus_node *node,
                 const struct bus_shape *src, const struct bus_shape *like,
                 struct bus_error *error)
{
    (void)like;
    if (src->h != 1 || src->w != 1)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "%s: its operand is %lld x %lld, expected 1 x 1",
                             node->name, (long long)src->h, (long long)src->w);
    dst->h = dst->w = 1;
    return 0;
}

static dnnl_status_t describe(dnnl_primitive_desc_t *desc,
                              const struct bus_layer_request *request)
{
    const struct bus_node *node = request->node;
    const dnnl_dims_t src_dims = {request->src.n, request->src.c};
    const dnnl_dims_t dst_dims = {request->dst.n, request->dst.c};
    const dnnl_dims_t weight_dims = {node->channels, node->src_channels};
    const dnnl_dims_t bias_dims = {node->channels};
    dnnl_memory_desc_t src = NULL, dst = NULL, weights = NULL, bias = NULL;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t post_ops = NULL;
    const dnnl_data_type_t type = bus_onednn_type(request->src_desc);
    dnnl_status_t status;

    if ((status = dnnl_memory_desc_create_with_tag(&src, 2, src_dims, type, dnnl_ab)) ||
        (status = dnnl_memory_desc_create_with_tag(
             &dst, 2, dst_dims, bus_onednn_type(request->dst_desc), dnnl_ab)) ||
        (status = dnnl_memory_desc_create_with_tag(&weights, 2, weight_dims, type,
                                                   dnnl_format_tag_any)) ||
        (status =
             dnnl_memory_desc_create_with_tag(&bias, 1, bias_dims, dnnl_f32, dnnl_a)) ||
        (status = dnnl_primitive_attr_clone(&attributes, request->attributes)) ||
        (status = dnnl_post_ops_create(&post_ops)))
        goto done;
    if (node->add != BUS_NONE &&
        ((status = dnnl_post_ops_append_sum(post_ops, request->add_scale, 0,
                                            dnnl_data_type_undef)) ||
         (status = dnnl_primitive_attr_set_post_ops(attributes, post_ops))))
        goto done;
    status = dnnl_inner_product_forward_primitive_desc_create(
        desc, request->engine, dnnl_forward_inference, src, weights, bias, dst,
        attributes);

done:
    dnnl_post_ops_destroy(post_ops);
    dnnl_primitive_attr_destroy(attributes);
    dnnl_memory_desc_destroy(bias);
    dnnl_memory_desc_destroy(weights);
    dnnl_memory_desc_destroy(dst);
    dnnl_memory_desc_destroy(src);
    return status;
}

const struct bus_layer_type bus_layer_linear = {
    .name = "linear",
    .check = check,
    .infer = infer,
    .describe = describe,
};
