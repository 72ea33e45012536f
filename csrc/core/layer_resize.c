/* Resampling to another value's height and width, pixel centres at halves. */
#include "layer.h"

static int infer(struct bus_shape *dst, const struct bus_node *node,
                 const struct bus_shape *src, const struct bus_shape *like,
                 struct bus_error *error)
{
    (void)node;
    (void)src;
    (void)error;
    dst->h = like->h;
    dst->w = like->w;
    return 0;
}

static dnnl_status_t describe(dnnl_primitive_desc_t *desc,
                              const struct bus_layer_request *request)
{
    return dnnl_resampling_forward_primitive_desc_create(
        desc, request->engine, dnnl_forward_inference,
        request->node->nearest ? dnnl_resampling_nearest : dnnl_resampling_linear, NULL,
        request->src_desc, request->dst_desc, request->attributes);
}

const struct bus_layer_type bus_layer_resize = {
    .name = "resize",
    .infer = infer,
    .describe = describe,
};
