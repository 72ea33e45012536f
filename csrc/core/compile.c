#include "compile.h"

#include <stdlib.h>

#include "layer.h"
#include "onednn.h"
#include "packing.h"
#include "round.h"

static int choose_outputs(struct bus_plan *plan, unsigned wanted,
                          struct bus_error *error)
{
    const struct bus_graph *graph = plan->graph;
    if (graph->count == 0 || graph->output_count == 0)
        return bus_error_set(error, BUS_ERROR_VALUE, "the graph has no output");
    if (wanted >> graph->output_count != 0)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "outputs %#x: the graph has only %zu", wanted,
                             graph->output_count);
    for (size_t i = 0; i < graph->output_count; i++)
        if (wanted == 0 || (wanted >> i & 1U) != 0)
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

/* Marks what the outputs depend on; like operands lend only their shape. */
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
        const int operands[] = {node->src, node->add};
        if (!plan->values[i].needed)
            continue;
        for (size_t j = 0; j < 2; j++) {
            if (operands[j] == BUS_NONE)
                continue;
            struct bus_value *operand = &plan->values[operands[j]];
            operand->needed = true;
            if (operand->last_use < i)
                operand->last_use = i;
        }
    }
}

/* In bfloat16 all maps are, but for results that no layer reads: these are what the
 * caller gets. In eight bits the weights, made for that, know. */
static void choose_types(struct bus_plan *plan, const struct bus_weights *weights)
{
    const bool narrow = bus_weights_precision(weights) == BUS_BF16;
    for (size_t i = 0; i < plan->graph->count; i++) {
        const struct bus_map *map = bus_weights_map(weights, (int)i);
        plan->values[i].type = narrow                          ? dnnl_bf16
                               : map != NULL && map->eight_bit ? dnnl_u8
                                                               : dnnl_f32;
    }
    if (!narrow)
        return;
    for (size_t i = 0; i < plan->output_count; i++)
        plan->values[plan->graph->outputs[plan->outputs[i]].value].type = dnnl_f32;
    for (size_t i = 1; i < plan->graph->count; i++) {
        const struct bus_node *node = &plan->graph->nodes[i];
        if (!plan->values[i].needed)
            continue;
        plan->values[node->src].type = dnnl_bf16;
        if (node->add != BUS_NONE)
            plan->values[node->add].type = dnnl_bf16;
    }
}

/* A sum is computed in the place of its operand where nothing reads that any more;
 * elsewhere the operand is copied first. Spans get their lives. */
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
        if (bus_onednn_map_desc(&value->desc, &value->shape, value->type, error) < 0)
            return -1;
        plan->spans[i].size =
            value->buffer == (int)i ? dnnl_memory_desc_get_size(value->desc) : 0;
    }
    return 0;
}

const char *bus_plan_node_label(const struct bus_node *node)
{
    return node->name != NULL ? node->name : bus_layer_types[node->op]->name;
}

/* Describes the copy of a sum's operand to where the sum is computed. */
static int describe_copy(struct bus_plan *plan, int node, struct bus_error *error)
{
    const_dnnl_memory_desc_t from = plan->values[plan->graph->nodes[node].add].desc;
    const_dnnl_memory_desc_t to = plan->values[node].desc;
    struct bus_step *step = &plan->steps[plan->step_count];
    step->kind = BUS_COPY;
    step->node = node;
    if (bus_onednn_check(
            dnnl_reorder_primitive_desc_create(&step->desc, from, plan->engine, to,
                                               plan->engine, plan->attributes),
            "a copy", error) < 0)
        return -1;
    plan->step_count++;
    return 0;
}

/* Describes a convolution by our own kernels, with so many numbers of weights. */
static int describe_own(struct bus_plan *plan, int node, enum bus_step_kind kind,
                        size_t weight_count, struct bus_error *error)
{
    struct bus_step *step = &plan->steps[plan->step_count++];
    const dnnl_dims_t dims = {(dnnl_dim_t)weight_count};
    step->kind = kind;
    step->node = node;
    return bus_onednn_check(
        dnnl_memory_desc_create_with_tag(&step->own.weights_desc, 1, dims,
                                         kind == BUS_STEM ? dnnl_s8 : dnnl_f32, dnnl_a),
        plan->graph->nodes[node].name, error);
}

static int describe_winograd(struct bus_plan *plan, int node, size_t winograd,
                             struct bus_error *error)
{
    const struct bus_node *conv = &plan->graph->nodes[node];
    plan->steps[plan->step_count].own.winograd =
        bus_winograd_plan(bus_winograd_isa(), conv, winograd,
                          &plan->values[conv->src].shape, plan->threads);
    return describe_own(plan, node, BUS_WINOGRAD,
                        bus_winograd_weight_count(conv, winograd), error);
}

static int describe_stem(struct bus_plan *plan, int node, struct bus_error *error)
{
    const struct bus_node *conv = &plan->graph->nodes[node];
    plan->steps[plan->step_count].own.stem =
        bus_stem_plan(bus_stem_isa(), conv, &plan->graph->nodes[0],
                      &plan->values[0].shape, &plan->values[node].shape, plan->threads);
    return describe_own(plan, node, BUS_STEM, bus_stem_weight_size(conv), error);
}

/* Describes the step that narrows the result of a layer that computes in float, or
 * widens the operand of one. */
static int describe_rounding(struct bus_plan *plan, struct bus_step *step,
                             enum bus_step_kind kind, int node, struct bus_error *error)
{
    const int map = kind == BUS_NARROW ? node : plan->graph->nodes[node].src;
    const struct bus_value *value = &plan->values[map];
    step->kind = kind;
    step->node = node;
    if (bus_onednn_map_desc(&step->wide_desc, &value->shape, dnnl_f32, error) < 0)
        return -1;
    const_dnnl_memory_desc_t from = kind == BUS_NARROW ? step->wide_desc : value->desc;
    const_dnnl_memory_desc_t to = kind == BUS_NARROW ? value->desc : step->wide_desc;
    return bus_onednn_check(
        dnnl_reorder_primitive_desc_create(&step->desc, from, plan->engine, to,
                                           plan->engine, plan->attributes),
        "rounding a map", error);
}

/* What a convolution multiplies its node's add by. */
static float add_scale(const struct bus_weights *weights, const struct bus_plan *plan,
                       int node)
{
    const struct bus_map *map = bus_weights_map(weights, node);
    const int add = plan->graph->nodes[node].add;
    if (map == NULL || plan->graph->nodes[node].op != BUS_CONV || add == BUS_NONE)
        return 1.0F;
    return bus_weights_map(weights, add)->scale / map->scale;
}

static int describe_steps(struct bus_plan *plan, const struct bus_weights *weights,
                          struct bus_error *error)
{
    for (size_t i = 1; i < plan->graph->count; i++) {
        const struct bus_node *node = &plan->graph->nodes[i];
        const struct bus_value *value = &plan->values[i];
        if (!value->needed)
            continue;
        if (node->add != BUS_NONE && value->buffer == (int)i &&
            describe_copy(plan, (int)i, error) < 0)
            return -1;
        const size_t winograd = bus_weights_winograd(weights, (int)i)
                                    ? bus_winograd_step(&plan->values[node->src].shape)
                                    : 0;
        if (winograd != 0) {
            if (describe_winograd(plan, (int)i, winograd, error) < 0)
                return -1;
            continue;
        }
        if (bus_weights_stem(weights, (int)i)) {
            if (describe_stem(plan, (int)i, error) < 0)
                return -1;
            continue;
        }
        const struct bus_value *src = &plan->values[node->src];
        const bool narrowed =
            node->op == BUS_CONV && value->type == dnnl_u8 && src->type != dnnl_u8;
        const bool widened = node->op == BUS_MEAN_POOL && src->type == dnnl_u8;
        struct bus_step *step = &plan->steps[plan->step_count];
        if (widened && describe_rounding(plan, step++, BUS_WIDEN, (int)i, error) < 0)
            return -1;
        if (narrowed &&
            describe_rounding(plan, step + 1, BUS_NARROW, (int)i, error) < 0)
            return -1;
        const struct bus_layer_request request = {
            .node = node,
            .src = src->shape,
            .dst = value->shape,
            .src_desc = widened ? step[-1].wide_desc : src->desc,
            .dst_desc = narrowed ? step[1].wide_desc : value->desc,
            .add_scale = add_scale(weights, plan, (int)i),
            .attributes = plan->attributes,
            .engine = plan->engine,
        };
        step->node = (int)i;
        if (bus_onednn_check(bus_layer_types[node->op]->describe(&step->desc, &request),
                             bus_plan_node_label(node), error) < 0)
            return -1;
        plan->step_count += (size_t)1 + narrowed + widened;
    }
    return 0;
}

static bool is_own(const struct bus_step *step)
{
    return step->kind == BUS_WINOGRAD || step->kind == BUS_STEM;
}

static struct bus_span *scratchpad_span(const struct bus_plan *plan, size_t step)
{
    return &plan->spans[plan->graph->count + step];
}

/* Bytes of a map in float, which lies before the scratchpad of the step that narrows or
 * widens it. */
static size_t wide_size(const struct bus_step *step)
{
    if (step->wide_desc == NULL)
        return 0;
    return bus_round_up(dnnl_memory_desc_get_size(step->wide_desc), BUS_ALIGNMENT);
}

static size_t scratchpad_size(const struct bus_step *step)
{
    if (step->kind == BUS_WINOGRAD)
        return bus_winograd_scratch(&step->own.winograd);
    if (step->kind == BUS_STEM)
        return bus_stem_scratch(&step->own.stem);
    const_dnnl_memory_desc_t desc =
        dnnl_primitive_desc_query_md(step->desc, dnnl_query_scratchpad_md, 0);
    return wide_size(step) + (desc != NULL ? dnnl_memory_desc_get_size(desc) : 0);
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
    if (bus_arena_layout(&size, plan->spans, plan->graph->count + plan->step_count,
                         error) < 0 ||
        bus_pages_new(&plan->arena, size, "the maps between layers", error) < 0)
        return -1;
    bus_pages_prefer_huge(&plan->arena);
    for (size_t i = 0; i < plan->graph->count; i++) {
        struct bus_value *value = &plan->values[i];
        if (!value->needed)
            continue;
        char *data = plan->arena.data + plan->spans[value->buffer].offset;
        if (bus_onednn_check(
                dnnl_memory_create(&value->memory, value->desc, plan->engine, data),
                "a map", error) < 0)
            return -1;
    }
    return 0;
}

static void add_argument(struct bus_step *step, int kind, dnnl_memory_t memory)
{
    step->arguments[step->argument_count++] = (dnnl_exec_arg_t){kind, memory};
}

static int add_scratchpad(struct bus_plan *plan, size_t index, struct bus_error *error)
{
    struct bus_step *step = &plan->steps[index];
    const struct bus_span *span = scratchpad_span(plan, index);
    const size_t wide = wide_size(step);
    if (span->size == wide)
        return 0;
    const_dnnl_memory_desc_t desc =
        dnnl_primitive_desc_query_md(step->desc, dnnl_query_scratchpad_md, 0);
    if (bus_onednn_check(dnnl_memory_create(&step->scratchpad, desc, plan->engine,
                                            plan->arena.data + span->offset + wide),
                         "a scratchpad", error) < 0)
        return -1;
    add_argument(step, DNNL_ARG_SCRATCHPAD, step->scratchpad);
    return 0;
}

static float *map_of(const struct bus_plan *plan, int node)
{
    const struct bus_span *span = &plan->spans[plan->values[node].buffer];
    return (float *)(void *)(plan->arena.data + span->offset);
}

/* Creates the map in float of a step that narrows or widens it. */
static int create_wide(struct bus_plan *plan, size_t index, struct bus_error *error)
{
    struct bus_step *step = &plan->steps[index];
    char *data = plan->arena.data + scratchpad_span(plan, index)->offset;
    if (step->wide_desc == NULL)
        return 0;
    return bus_onednn_check(
        dnnl_memory_create(&step->wide, step->wide_desc, plan->engine, data),
        "a map in float", error);
}

/* Gives a step what it reads and writes. */
static void give_maps(struct bus_plan *plan, size_t index)
{
    struct bus_step *step = &plan->steps[index];
    const struct bus_node *node = &plan->graph->nodes[step->node];
    dnnl_memory_t src = plan->values[node->src].memory;
    dnnl_memory_t dst = plan->values[step->node].memory;
    if (step->kind == BUS_COPY)
        src = plan->values[node->add].memory;
    else if (step->kind == BUS_NARROW)
        src = step->wide;
    else if (step->kind == BUS_WIDEN)
        dst = step->wide;
    else if (index > 0 && step[-1].kind == BUS_WIDEN)
        src = step[-1].wide;
    else if (index + 1 < plan->step_count && step[1].kind == BUS_NARROW)
        dst = step[1].wide;
    add_argument(step, DNNL_ARG_SRC, src);
    add_argument(step, DNNL_ARG_DST, dst);
}

static bool has_weights(const struct bus_plan *plan, const struct bus_step *step)
{
    const enum bus_op op = plan->graph->nodes[step->node].op;
    return (step->kind == BUS_COMPUTE || is_own(step)) &&
           (op == BUS_CONV || op == BUS_LINEAR);
}

/* Creates the primitive of a step and gives it all but weights. */
static int create_step(struct bus_plan *plan, size_t index, struct bus_error *error)
{
    struct bus_step *step = &plan->steps[index];
    const struct bus_node *node = &plan->graph->nodes[step->node];
    if (is_own(step)) {
        step->own.src = map_of(plan, node->src);
        step->own.dst = map_of(plan, step->node);
        step->own.scratch = plan->arena.data + scratchpad_span(plan, index)->offset;
        return 0;
    }
    give_maps(plan, index);
    if (add_scratchpad(plan, index, error) < 0)
        return -1;
    return bus_onednn_check(dnnl_primitive_create(&step->primitive, step->desc),
                            bus_plan_node_label(node), error);
}

static int give_weights(struct bus_step *step, const struct bus_packing *packing,
                        struct bus_error *error)
{
    void *weights, *bias, *scales = NULL;
    if (step->kind == BUS_COMPUTE) {
        add_argument(step, DNNL_ARG_WEIGHTS, packing->weights);
        add_argument(step, DNNL_ARG_BIAS, packing->bias);
        if (packing->scale != NULL)
            add_argument(step, DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS, packing->scale);
        return 0;
    }
    if (bus_onednn_check(dnnl_memory_get_data_handle(packing->weights, &weights),
                         "weights", error) < 0 ||
        bus_onednn_check(dnnl_memory_get_data_handle(packing->bias, &bias), "a bias",
                         error) < 0 ||
        (packing->scale != NULL &&
         bus_onednn_check(dnnl_memory_get_data_handle(packing->scale, &scales),
                          "scales", error) < 0))
        return -1;
    step->own.weights = weights;
    step->own.bias = bias;
    step->own.scales = scales;
    return 0;
}

/* Creates the primitives, has their weights packed, and fills the argument lists. */
static int create_steps(struct bus_plan *plan, struct bus_weights *weights,
                        struct bus_packing *packings, struct bus_error *error)
{
    size_t packing_count = 0;
    for (size_t i = 0; i < plan->step_count; i++)
        if (create_wide(plan, i, error) < 0)
            return -1;
    for (size_t i = 0; i < plan->step_count; i++) {
        struct bus_step *step = &plan->steps[i];
        if (create_step(plan, i, error) < 0)
            return -1;
        if (has_weights(plan, step))
            packings[packing_count++] = (struct bus_packing){
                .node = step->node,
                .winograd = step->kind == BUS_WINOGRAD ? step->own.winograd.step : 0,
                .desc = is_own(step) ? step->own.weights_desc
                                     : dnnl_primitive_desc_query_md(
                                           step->desc, dnnl_query_weights_md, 0),
            };
    }
    if (bus_weights_pack(weights, packings, packing_count, error) < 0)
        return -1;
    for (size_t i = 0, j = 0; i < plan->step_count; i++)
        if (has_weights(plan, &plan->steps[i]) &&
            give_weights(&plan->steps[i], &packings[j++], error) < 0)
            return -1;
    return 0;
}

/* Lays out a row's normalisation, so that it is one loop for any number of channels. */
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

int bus_plan_compile(struct bus_plan *plan, struct bus_weights *weights,
                     const struct bus_plan_options *options, struct bus_error *error)
{
    struct bus_packing *packings;
    if (choose_outputs(plan, options->outputs, error) < 0 ||
        infer_shapes(plan, options, error) < 0)
        return -1;
    mark_needed(plan);
    choose_types(plan, weights);
    assign_buffers(plan);
    if (describe_values(plan, error) < 0 || describe_steps(plan, weights, error) < 0 ||
        allocate(plan, error) < 0 || prepare_input(plan, error) < 0)
        return -1;
    packings = calloc(plan->step_count + 1, sizeof *packings);
    if (packings == NULL)
        return bus_error_memory(error, "a plan");
    int result = create_steps(plan, weights, packings, error);
    free(packings);
    return result;
}
