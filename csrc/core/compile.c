#include <stdlib.h>

#include "layer.h"
#include "onednn.h"
#include "packing.h"
#include "plan_internal.h"

static int choose_outputs(struct bus_plan *plan, unsigned outputs,
                          struct bus_error *error)
{
    const struct bus_graph *graph = plan->graph;
    if (graph->count == 0 || graph->output_count == 0)
        return bus_error_set(error, BUS_ERROR_VALUE, "the graph has no output");
    if (outputs >> graph->output_count != 0)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "outputs %#x: the graph has only %zu", outputs,
                             graph->output_count);
    for (size_t i = 0; i < graph->output_count; i++)
        if (outputs == 0 || (outputs >> i & 1U) != 0)
            plan->outputs[plan->output_count++] = (int)i;
    return 0;
}

static int infer_shapes(struct bus_plan *plan, const struct bus_plan_options *options,
                        struct bus_error *error)
{
    for (size_t i = 0; i < plan->graph->count; i++) {
        const struct bus_node *node = &plan->graph->nodes[i];
        struct bus_shape *shape = &plan->values[i].shape;
        *shape = (struct bus_shape){options->batch, node->channels, options->height,
                                    options->width};
        if (node->op == BUS_INPUT)
            continue;
        const struct bus_shape *src = &plan->values[node->src].shape;
        const struct bus_shape *like =
            node->like != BUS_NONE ? &plan->values[node->like].shape : src;
        if (bus_layer_types[node->op]->infer(shape, node, src, like, error) < 0)
            return -1;
        if (node->add != BUS_NONE) {
            const struct bus_shape *add = &plan->values[node->add].shape;
            if (add->h != shape->h || add->w != shape->w)
                return bus_error_set(
                    error, BUS_ERROR_VALUE,
                    "%s: it computes %lld x %lld, but the value to add is %lld x %lld",
                    node->name, (long long)shape->h, (long long)shape->w,
                    (long long)add->h, (long long)add->w);
        }
    }
    return 0;
}

/* Marks what the outputs depend on; of the operand like only the shape is used. */
static void mark_needed(struct bus_plan *plan)
{
    size_t count = plan->graph->count;
    for (size_t i = 0; i < plan->output_count; i++) {
        int value = plan->graph->outputs[plan->outputs[i]].value;
        plan->values[value].needed = true;
        plan->values[value].last_use = count;
    }
    plan->values[0].needed = true;
    for (size_t i = count; i-- > 1;) {
        const struct bus_node *node = &plan->graph->nodes[i];
        const int operands[] = {node->src, node->add, node->logits};
        if (!plan->values[i].needed)
            continue;
        for (size_t j = 0; j < sizeof operands / sizeof *operands; j++) {
            if (operands[j] == BUS_NONE)
                continue;
            struct bus_value *operand = &plan->values[operands[j]];
            operand->needed = true;
            if (operand->last_use < i)
                operand->last_use = i;
        }
    }
}

/* What linear layers add are a few numbers on their way to a result. */
static bool adds_logits(const struct bus_node *node)
{
    return node->op == BUS_LINEAR && node->add != BUS_NONE;
}

/* In BUS_BF16 all activations are bfloat16, except results that no layer reads, since
 * the caller gets them as floats, and what linear layers add. In BUS_INT8 the weights
 * say which activations are quantised. */
static void choose_types(struct bus_plan *plan)
{
    const bool bf16 = bus_weights_precision(plan->weights) == BUS_BF16;
    for (size_t i = 0; i < plan->graph->count; i++) {
        const struct bus_quant *quant = bus_weights_quant(plan->weights, (int)i);
        plan->values[i].type = bf16                                ? dnnl_bf16
                               : quant != NULL && quant->quantized ? dnnl_u8
                                                                   : dnnl_f32;
    }
    if (!bf16)
        return;
    for (size_t i = 0; i < plan->output_count; i++)
        plan->values[plan->graph->outputs[plan->outputs[i]].value].type = dnnl_f32;
    for (size_t i = 1; i < plan->graph->count; i++)
        if (plan->values[i].needed && adds_logits(&plan->graph->nodes[i]))
            plan->values[plan->graph->nodes[i].add].type = dnnl_f32;
    for (size_t i = 1; i < plan->graph->count; i++) {
        const struct bus_node *node = &plan->graph->nodes[i];
        if (!plan->values[i].needed)
            continue;
        plan->values[node->src].type = dnnl_bf16;
        if (node->add != BUS_NONE && !adds_logits(node))
            plan->values[node->add].type = dnnl_bf16;
        if (node->logits != BUS_NONE)
            plan->values[node->logits].type = dnnl_bf16;
    }
}

/* A sum is computed in the place of what it adds where nothing reads that any more;
 * elsewhere this is copied first. Spans get their lifetimes. */
static void assign_buffers(struct bus_plan *plan)
{
    for (size_t i = 0; i < plan->graph->count; i++) {
        const struct bus_node *node = &plan->graph->nodes[i];
        struct bus_value *value = &plan->values[i];
        if (!value->needed)
            continue;
        value->buffer = (int)i;
        if (node->add != BUS_NONE && node->add != node->src &&
            plan->values[node->add].last_use == i &&
            plan->values[node->add].type == value->type)
            value->buffer = plan->values[node->add].buffer;
        struct bus_span *span = &plan->spans[value->buffer];
        if (value->buffer == (int)i)
            span->first = i;
        if (span->last < value->last_use)
            span->last = value->last_use;
        if (span->last < i)
            span->last = i;
    }
}

static int describe_values(struct bus_plan *plan, struct bus_error *error)
{
    for (size_t i = 0; i < plan->graph->count; i++) {
        struct bus_value *value = &plan->values[i];
        if (!value->needed)
            continue;
        if (bus_onednn_activation_desc(&value->desc, &value->shape, value->type,
                                       error) < 0)
            return -1;
        plan->spans[i].size =
            value->buffer == (int)i ? dnnl_memory_desc_get_size(value->desc) : 0;
    }
    return 0;
}

/* Writes the normalisation of a row, so that it is one loop for any number of channels.
 */
static int prepare_input(struct bus_plan *plan, struct bus_error *error)
{
    const struct bus_node *node = &plan->graph->nodes[0];
    const struct bus_shape *shape = &plan->values[0].shape;
    const size_t columns = (size_t)(shape->w * shape->c);
    plan->scale = malloc(2 * columns * sizeof *plan->scale);
    if (plan->scale == NULL)
        return bus_error_memory(error, "a plan");
    for (size_t i = 0; i < columns; i++) {
        size_t c = i % (size_t)shape->c;
        plan->scale[i] = 1.0F / node->std[c];
        plan->scale[columns + i] = -node->mean[c] / node->std[c];
    }
    return 0;
}

int bus_plan_compile(struct bus_plan *plan, const struct bus_plan_options *options,
                     struct bus_error *error)
{
    if (choose_outputs(plan, options->outputs, error) < 0 ||
        infer_shapes(plan, options, error) < 0)
        return -1;
    mark_needed(plan);
    choose_types(plan);
    assign_buffers(plan);
    if (describe_values(plan, error) < 0 || bus_plan_describe_steps(plan, error) < 0 ||
        bus_plan_create_steps(plan, error) < 0)
        return -1;
    return prepare_input(plan, error);
}
