/* What computes each node: a primitive of oneDNN's or a kernel of our own, and what has
 * to be done before and after it. */
#include "layer.h"
#include "onednn.h"
#include "packing.h"
#include "plan_internal.h"

int bus_plan_append_step(struct bus_step **step, struct bus_plan *plan,
                         enum bus_step_kind kind, int node, struct bus_error *error)
{
    if (plan->step_count == plan->step_capacity)
        return bus_error_set(
            error, BUS_ERROR_VALUE, "%s: the plan has no room for more than %zu steps",
            bus_plan_node_label(&plan->graph->nodes[node]), plan->step_capacity);
    *step = &plan->steps[plan->step_count++];
    (*step)->kind = kind;
    (*step)->node = node;
    return 0;
}

int bus_plan_append_value(int *value, struct bus_plan *plan, int like, int node,
                          struct bus_error *error)
{
    if (plan->value_count == plan->value_capacity)
        return bus_error_set(
            error, BUS_ERROR_VALUE, "%s: the plan has no room for more than %zu values",
            bus_plan_node_label(&plan->graph->nodes[node]), plan->value_capacity);
    const int index = (int)plan->value_count++;
    struct bus_value *added = &plan->values[index];
    *added = (struct bus_value){
        .shape = plan->values[like].shape,
        .last_use = (size_t)node,
        .buffer = index,
        .needed = true,
        .type = dnnl_f32,
    };
    if (bus_onednn_activation_desc(&added->desc, &added->shape, added->type, error) < 0)
        return -1;
    plan->spans[index] = (struct bus_span){
        .size = dnnl_memory_desc_get_size(added->desc),
        .first = (size_t)node,
        .last = (size_t)node,
    };
    *value = index;
    return 0;
}

/* Describes a step that copies a value to another, of the same type or another one. */
static int describe_reorder(struct bus_plan *plan, enum bus_step_kind kind, int node,
                            int src, int dst, struct bus_error *error)
{
    static const char *const labels[] = {
        [BUS_COPY] = "a copy",
        [BUS_QUANTIZE] = "quantising an activation",
        [BUS_DEQUANTIZE] = "dequantising an activation",
    };
    struct bus_step *step;
    if (bus_plan_append_step(&step, plan, kind, node, error) < 0)
        return -1;
    step->src = src;
    step->dst = dst;
    return bus_onednn_check(dnnl_reorder_primitive_desc_create(
                                &step->desc, plan->values[src].desc, plan->engine,
                                plan->values[dst].desc, plan->engine, plan->attributes),
                            labels[kind], error);
}

/* What a layer multiplies its node's add by. */
static float add_scale(const struct bus_plan *plan, int node)
{
    const struct bus_quant *quant = bus_weights_quant(plan->weights, node);
    const int add = plan->graph->nodes[node].add;
    if (quant == NULL || add == BUS_NONE)
        return 1.0F;
    return bus_weights_quant(plan->weights, add)->scale / quant->scale;
}

static int describe_primitive(struct bus_plan *plan, int node, int src, int dst,
                              struct bus_error *error)
{
    const struct bus_node *layer = &plan->graph->nodes[node];
    const struct bus_layer_request request = {
        .node = layer,
        .src = plan->values[src].shape,
        .dst = plan->values[dst].shape,
        .src_desc = plan->values[src].desc,
        .dst_desc = plan->values[dst].desc,
        .add_scale = add_scale(plan, node),
        .attributes = plan->attributes,
        .engine = plan->engine,
    };
    struct bus_step *step;
    if (bus_layer_types[layer->op]->describe == NULL)
        return bus_error_set(error, BUS_ERROR_VALUE, "%s: no kernel computes it",
                             bus_plan_node_label(layer));
    if (bus_plan_append_step(&step, plan, BUS_PRIMITIVE, node, error) < 0)
        return -1;
    step->src = src;
    step->dst = dst;
    return bus_onednn_check(bus_layer_types[layer->op]->describe(&step->desc, &request),
                            bus_plan_node_label(layer), error);
}

static struct bus_tensor tensor_of(const struct bus_plan *plan, int value)
{
    const struct bus_quant *quant = bus_weights_quant(plan->weights, value);
    return (struct bus_tensor){
        .shape = plan->values[value].shape,
        .type = plan->values[value].type,
        .quant = quant != NULL ? *quant : (struct bus_quant){.scale = 1.0F},
    };
}

/* The kernel of our own that computes a node, with its call but for the data; its
 * kernel is NULL where oneDNN is faster. */
static struct bus_kernel_step choose_kernel(const struct bus_plan *plan, int node)
{
    const struct bus_node *layer = &plan->graph->nodes[node];
    struct bus_kernel_step native = {
        .kernel = bus_weights_kernel(plan->weights, node),
        .call = {.node = layer,
                 .input = &plan->graph->nodes[0],
                 .src = tensor_of(plan, layer->src),
                 .dst = tensor_of(plan, node),
                 .threads = plan->threads},
    };
    if (layer->logits != BUS_NONE)
        native.call.logits = tensor_of(plan, layer->logits);
    if (native.kernel == NULL)
        native.kernel =
            bus_kernel_choose(&native.call, bus_weights_precision(plan->weights),
                              bus_layer_types[layer->op]->describe != NULL
                                  ? bus_kernel_direct_cost(&native.call)
                                  : BUS_COST_MAX);
    return native;
}

static int describe_node(struct bus_plan *plan, int node, struct bus_error *error)
{
    const struct bus_node *layer = &plan->graph->nodes[node];
    const struct bus_kernel_step native = choose_kernel(plan, node);
    const bool src_quantized = plan->values[layer->src].type == dnnl_u8;
    const bool dst_quantized = plan->values[node].type == dnnl_u8;
    int src = layer->src, dst = node;
    struct bus_step *step;
    /* A convolution of floats has a float result, a mean pool floats to sum. */
    const bool quantizes = native.kernel == NULL && layer->op == BUS_CONV &&
                           dst_quantized && !src_quantized;
    const bool dequantizes =
        native.kernel == NULL && layer->op == BUS_MEAN_POOL && src_quantized;
    if (quantizes && bus_plan_append_value(&dst, plan, node, node, error) < 0)
        return -1;
    if (layer->add != BUS_NONE && plan->values[dst].buffer == dst &&
        describe_reorder(plan, BUS_COPY, node, layer->add, dst, error) < 0)
        return -1;
    if (native.kernel != NULL) {
        if (bus_plan_append_step(&step, plan, BUS_NATIVE, node, error) < 0)
            return -1;
        step->src = src;
        step->dst = dst;
        step->native = native;
        return 0;
    }
    if (dequantizes &&
        (bus_plan_append_value(&src, plan, layer->src, node, error) < 0 ||
         describe_reorder(plan, BUS_DEQUANTIZE, node, layer->src, src, error) < 0))
        return -1;
    if (describe_primitive(plan, node, src, dst, error) < 0)
        return -1;
    return quantizes ? describe_reorder(plan, BUS_QUANTIZE, node, dst, node, error) : 0;
}

int bus_plan_describe_steps(struct bus_plan *plan, struct bus_error *error)
{
    for (size_t i = 1; i < plan->graph->count; i++)
        if (plan->values[i].needed && describe_node(plan, (int)i, error) < 0)
            return -1;
    return 0;
}
