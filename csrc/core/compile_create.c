/* The steps of a plan, made ready to run: their place in the arena, their primitives,
 * their weights. */
#include <stdlib.h>

#include "onednn.h"
#include "packing.h"
#include "plan_internal.h"

static struct bus_span *scratchpad_span(const struct bus_plan *plan, size_t step)
{
    return &plan->spans[plan->value_capacity + step];
}

static size_t scratchpad_size(const struct bus_step *step)
{
    if (step->kind == BUS_NATIVE)
        return step->native.kernel->scratch(step->native.kernel, &step->native.call);
    const_dnnl_memory_desc_t desc =
        dnnl_primitive_desc_query_md(step->desc, dnnl_query_scratchpad_md, 0);
    return desc != NULL ? dnnl_memory_desc_get_size(desc) : 0;
}

static int allocate(struct bus_plan *plan, struct bus_error *error)
{
    size_t size = 0;
    for (size_t i = 0; i < plan->step_count; i++) {
        const struct bus_step *step = &plan->steps[i];
        *scratchpad_span(plan, i) = (struct bus_span){
            .size = scratchpad_size(step),
            .first = (size_t)step->node,
            .last = (size_t)step->node,
        };
    }
    if (bus_arena_layout(&size, plan->spans, plan->value_capacity + plan->step_count,
                         error) < 0 ||
        bus_pages_new(&plan->arena, size, "activations", error) < 0)
        return -1;
    bus_pages_prefer_huge(&plan->arena);
    for (size_t i = 0; i < plan->value_count; i++) {
        struct bus_value *value = &plan->values[i];
        if (!value->needed)
            continue;
        if (bus_onednn_check(dnnl_memory_create(&value->memory, value->desc,
                                                plan->engine,
                                                bus_plan_data(plan, (int)i)),
                             "an activation", error) < 0)
            return -1;
    }
    return 0;
}

int bus_plan_add_argument(struct bus_step *step, int kind, dnnl_memory_t memory,
                          struct bus_error *error)
{
    if (step->argument_count == BUS_MAX_ARGUMENTS)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "a primitive has no room for more than %d arguments",
                             BUS_MAX_ARGUMENTS);
    step->arguments[step->argument_count++] = (dnnl_exec_arg_t){kind, memory};
    return 0;
}

static int add_scratchpad(struct bus_plan *plan, size_t index, struct bus_error *error)
{
    struct bus_step *step = &plan->steps[index];
    const struct bus_span *span = scratchpad_span(plan, index);
    if (span->size == 0)
        return 0;
    const_dnnl_memory_desc_t desc =
        dnnl_primitive_desc_query_md(step->desc, dnnl_query_scratchpad_md, 0);
    if (bus_onednn_check(dnnl_memory_create(&step->scratchpad, desc, plan->engine,
                                            plan->arena.data + span->offset),
                         "a scratchpad", error) < 0)
        return -1;
    return bus_plan_add_argument(step, DNNL_ARG_SCRATCHPAD, step->scratchpad, error);
}

/* Creates a step's primitive and gives it everything except weights. */
static int create_step(struct bus_plan *plan, size_t index, struct bus_error *error)
{
    struct bus_step *step = &plan->steps[index];
    if (step->kind == BUS_NATIVE) {
        struct bus_kernel_call *call = &step->native.call;
        call->src.data = bus_plan_data(plan, step->src);
        call->dst.data = bus_plan_data(plan, step->dst);
        if (call->node->logits != BUS_NONE)
            call->logits.data = bus_plan_data(plan, call->node->logits);
        call->scratch = plan->arena.data + scratchpad_span(plan, index)->offset;
        return 0;
    }
    if (bus_plan_add_argument(step, DNNL_ARG_SRC, plan->values[step->src].memory,
                              error) < 0 ||
        bus_plan_add_argument(step, DNNL_ARG_DST, plan->values[step->dst].memory,
                              error) < 0 ||
        add_scratchpad(plan, index, error) < 0)
        return -1;
    return bus_onednn_check(dnnl_primitive_create(&step->primitive, step->desc),
                            bus_plan_node_label(&plan->graph->nodes[step->node]),
                            error);
}

static bool has_weights(const struct bus_plan *plan, const struct bus_step *step)
{
    int64_t shape[4];
    return (step->kind == BUS_PRIMITIVE || step->kind == BUS_NATIVE) &&
           bus_node_weight_shape(&plan->graph->nodes[step->node], shape) != 0;
}

/* Which layout of its node's weights a step reads. */
static struct bus_packing packing_of(const struct bus_step *step)
{
    struct bus_packing packing = {.node = step->node};
    if (step->kind == BUS_NATIVE)
        packing.kernel = step->native.kernel;
    else
        packing.desc =
            dnnl_primitive_desc_query_md(step->desc, dnnl_query_weights_md, 0);
    return packing;
}

static int give_weights(struct bus_step *step, const struct bus_packing *packing,
                        struct bus_error *error)
{
    if (step->kind == BUS_NATIVE) {
        step->native.call.weights = packing->packed;
        step->native.call.bias = packing->biases;
        step->native.call.scales = packing->scales;
        return 0;
    }
    if (bus_plan_add_argument(step, DNNL_ARG_WEIGHTS, packing->weights, error) < 0 ||
        bus_plan_add_argument(step, DNNL_ARG_BIAS, packing->bias, error) < 0)
        return -1;
    if (packing->scale == NULL)
        return 0;
    return bus_plan_add_argument(step, DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS,
                                 packing->scale, error);
}

/* Has the weights of all steps packed and gives them to the steps. */
static int pack(struct bus_plan *plan, struct bus_error *error)
{
    size_t count = 0;
    struct bus_packing *packings = calloc(plan->step_count + 1, sizeof *packings);
    if (packings == NULL)
        return bus_error_memory(error, "a plan");
    for (size_t i = 0; i < plan->step_count; i++)
        if (has_weights(plan, &plan->steps[i]))
            packings[count++] = packing_of(&plan->steps[i]);
    int result = bus_weights_pack(plan->weights, packings, count, plan->threads, error);
    for (size_t i = 0, j = 0; result == 0 && i < plan->step_count; i++)
        if (has_weights(plan, &plan->steps[i]))
            result = give_weights(&plan->steps[i], &packings[j++], error);
    free(packings);
    return result;
}

int bus_plan_create_steps(struct bus_plan *plan, struct bus_error *error)
{
    if (allocate(plan, error) < 0)
        return -1;
    for (size_t i = 0; i < plan->step_count; i++)
        if (create_step(plan, i, error) < 0)
            return -1;
    return pack(plan, error);
}
