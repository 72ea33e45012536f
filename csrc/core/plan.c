#define _POSIX_C_SOURCE 200809L
#include "plan.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "engine.h"
#include "layer.h"
#include "onednn.h"
#include "packing.h"
#include "pages.h"

#define MAX_ARGUMENTS 5

/* A map that is computed: where it is in the arena, and when. */
struct value {
    struct bus_shape shape;
    size_t last_use; /* index of the last node that reads it */
    int buffer;      /* node whose span it lies in: itself, or what it is summed onto */
    bool needed;
    dnnl_memory_desc_t desc;
    dnnl_memory_t memory;
};

/* A primitive with all that its execution takes. */
struct step {
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arguments[MAX_ARGUMENTS];
    int argument_count;
    int node;
    dnnl_memory_t scratchpad;
};

struct bus_plan {
    const struct bus_graph *graph;
    struct value *values; /* one a node */
    struct step *steps;
    size_t step_count;
    /* Spans 0 to count - 1 are of nodes' maps, the rest of steps' scratchpads. */
    struct bus_span *spans;
    int outputs[BUS_MAX_OUTPUTS]; /* indices of the graph's outputs */
    size_t output_count;
    struct bus_pages arena;
    float *scale; /* of each number of the image's rows; their shifts follow */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attributes;
    int threads;
    pthread_mutex_t lock;
    bool lock_made;
};

static int check_options(const struct bus_weights *weights,
                         const struct bus_plan_options *options,
                         struct bus_error *error)
{
    if (!bus_weights_finished(weights))
        return bus_error_set(error, BUS_ERROR_VALUE, "the weights are not finished");
    if (options->batch < 1 || options->batch > BUS_MAX_BATCH || options->height < 1 ||
        options->height > BUS_MAX_SIDE || options->width < 1 ||
        options->width > BUS_MAX_SIDE)
        return bus_error_set(
            error, BUS_ERROR_VALUE,
            "an input of %lld images of %lld x %lld is out of range (1..%d, 1..%d)",
            (long long)options->batch, (long long)options->height,
            (long long)options->width, BUS_MAX_BATCH, BUS_MAX_SIDE);
    return bus_engine_check_threads(options->threads, error);
}

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
            struct value *operand = &plan->values[operands[j]];
            operand->needed = true;
            if (operand->last_use < i)
                operand->last_use = i;
        }
    }
}

/* A sum is computed in the place of its operand where nothing reads that any more;
 * elsewhere the operand is copied first. Spans get their lives. */
static void assign_buffers(struct bus_plan *plan)
{
    for (size_t i = 0; i < plan->graph->count; i++) {
        const struct bus_node *node = &plan->graph->nodes[i];
        struct value *value = &plan->values[i];
        if (!value->needed)
            continue;
        value->buffer = (int)i;
        if (node->add != BUS_NONE && node->add != node->src &&
            plan->values[node->add].last_use == i)
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
        struct value *value = &plan->values[i];
        if (!value->needed)
            continue;
        if (bus_onednn_map_desc(&value->desc, &value->shape, error) < 0)
            return -1;
        plan->spans[i].size =
            value->buffer == (int)i ? dnnl_memory_desc_get_size(value->desc) : 0;
    }
    return 0;
}

static const char *node_label(const struct bus_node *node)
{
    return node->name != NULL ? node->name : bus_layer_types[node->op]->name;
}

/* Describes the copy of a sum's operand to where the sum is computed. */
static int describe_copy(struct bus_plan *plan, int node, struct bus_error *error)
{
    const_dnnl_memory_desc_t desc = plan->values[node].desc;
    struct step *step = &plan->steps[plan->step_count];
    step->node = node;
    if (bus_onednn_check(
            dnnl_reorder_primitive_desc_create(&step->desc, desc, plan->engine, desc,
                                               plan->engine, plan->attributes),
            "a copy", error) < 0)
        return -1;
    plan->step_count++;
    return 0;
}

static int describe_steps(struct bus_plan *plan, struct bus_error *error)
{
    for (size_t i = 1; i < plan->graph->count; i++) {
        const struct bus_node *node = &plan->graph->nodes[i];
        const struct value *value = &plan->values[i];
        if (!value->needed)
            continue;
        if (node->add != BUS_NONE && value->buffer == (int)i &&
            describe_copy(plan, (int)i, error) < 0)
            return -1;
        const struct value *src = &plan->values[node->src];
        const struct bus_layer_request request = {
            .node = node,
            .src = src->shape,
            .dst = value->shape,
            .src_desc = src->desc,
            .dst_desc = value->desc,
            .attributes = plan->attributes,
            .engine = plan->engine,
        };
        struct step *step = &plan->steps[plan->step_count];
        step->node = (int)i;
        if (bus_onednn_check(bus_layer_types[node->op]->describe(&step->desc, &request),
                             node_label(node), error) < 0)
            return -1;
        plan->step_count++;
    }
    return 0;
}

static bool is_copy(const struct step *step)
{
    dnnl_primitive_kind_t kind = dnnl_undefined_primitive;
    dnnl_primitive_desc_query(step->desc, dnnl_query_primitive_kind, 0, &kind);
    return kind == dnnl_reorder;
}

static struct bus_span *scratchpad_span(const struct bus_plan *plan, size_t step)
{
    return &plan->spans[plan->graph->count + step];
}

static int allocate(struct bus_plan *plan, struct bus_error *error)
{
    size_t size = 0;
    for (size_t i = 0; i < plan->step_count; i++) {
        const struct step *step = &plan->steps[i];
        const_dnnl_memory_desc_t desc =
            dnnl_primitive_desc_query_md(step->desc, dnnl_query_scratchpad_md, 0);
        *scratchpad_span(plan, i) = (struct bus_span){
            .size = desc != NULL ? dnnl_memory_desc_get_size(desc) : 0,
            .first = (size_t)step->node,
            .last = (size_t)step->node,
        };
    }
    if (bus_arena_layout(&size, plan->spans, plan->graph->count + plan->step_count,
                         error) < 0 ||
        bus_pages_new(&plan->arena, size, true, "the maps between layers", error) < 0)
        return -1;
    for (size_t i = 0; i < plan->graph->count; i++) {
        struct value *value = &plan->values[i];
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

static void add_argument(struct step *step, int kind, dnnl_memory_t memory)
{
    step->arguments[step->argument_count++] = (dnnl_exec_arg_t){kind, memory};
}

static int add_scratchpad(struct bus_plan *plan, size_t index, struct bus_error *error)
{
    struct step *step = &plan->steps[index];
    const struct bus_span *span = scratchpad_span(plan, index);
    if (span->size == 0)
        return 0;
    const_dnnl_memory_desc_t desc =
        dnnl_primitive_desc_query_md(step->desc, dnnl_query_scratchpad_md, 0);
    if (bus_onednn_check(dnnl_memory_create(&step->scratchpad, desc, plan->engine,
                                            plan->arena.data + span->offset),
                         "a scratchpad", error) < 0)
        return -1;
    add_argument(step, DNNL_ARG_SCRATCHPAD, step->scratchpad);
    return 0;
}

/* Creates the primitives, has their weights packed, and fills the argument lists. */
static int create_steps(struct bus_plan *plan, struct bus_weights *weights,
                        struct bus_packing *packings, struct bus_error *error)
{
    size_t packing_count = 0;
    for (size_t i = 0; i < plan->step_count; i++) {
        struct step *step = &plan->steps[i];
        const struct bus_node *node = &plan->graph->nodes[step->node];
        bool copy = is_copy(step);
        add_argument(step, DNNL_ARG_SRC,
                     plan->values[copy ? node->add : node->src].memory);
        add_argument(step, DNNL_ARG_DST, plan->values[step->node].memory);
        if (add_scratchpad(plan, i, error) < 0)
            return -1;
        if (!copy && (node->op == BUS_CONV || node->op == BUS_LINEAR))
            packings[packing_count++] = (struct bus_packing){
                .node = step->node,
                .desc =
                    dnnl_primitive_desc_query_md(step->desc, dnnl_query_weights_md, 0),
            };
        if (bus_onednn_check(dnnl_primitive_create(&step->primitive, step->desc),
                             node_label(node), error) < 0)
            return -1;
    }
    if (bus_weights_pack(weights, packings, packing_count, error) < 0)
        return -1;
    for (size_t i = 0, j = 0; i < plan->step_count && j < packing_count; i++) {
        struct step *step = &plan->steps[i];
        if (step->node != packings[j].node || is_copy(step))
            continue;
        add_argument(step, DNNL_ARG_WEIGHTS, packings[j].weights);
        add_argument(step, DNNL_ARG_BIAS, packings[j].bias);
        j++;
    }
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

static int compile(struct bus_plan *plan, struct bus_weights *weights,
                   const struct bus_plan_options *options, struct bus_error *error)
{
    struct bus_packing *packings;
    if (choose_outputs(plan, options->outputs, error) < 0 ||
        infer_shapes(plan, options, error) < 0)
        return -1;
    mark_needed(plan);
    assign_buffers(plan);
    if (describe_values(plan, error) < 0 || describe_steps(plan, error) < 0 ||
        allocate(plan, error) < 0 || prepare_input(plan, error) < 0)
        return -1;
    packings = calloc(plan->step_count + 1, sizeof *packings);
    if (packings == NULL)
        return bus_error_memory(error, "a plan");
    int result = create_steps(plan, weights, packings, error);
    free(packings);
    return result;
}

int bus_plan_new(struct bus_plan **plan, const struct bus_graph *graph,
                 struct bus_weights *weights, const struct bus_plan_options *options,
                 struct bus_error *error)
{
    struct bus_plan *made;
    if (check_options(weights, options, error) < 0)
        return -1;
    made = calloc(1, sizeof *made);
    if (made == NULL)
        return bus_error_memory(error, "a plan");
    made->graph = graph;
    made->engine = bus_weights_engine(weights);
    made->threads = options->threads;
    /* At most one copy and one primitive a node. */
    made->values = calloc(graph->count + 1, sizeof *made->values);
    made->steps = calloc(2 * graph->count + 1, sizeof *made->steps);
    made->spans = calloc(3 * graph->count + 1, sizeof *made->spans);
    if (made->values == NULL || made->steps == NULL || made->spans == NULL) {
        bus_error_memory(error, "a plan");
        goto error;
    }
    if (pthread_mutex_init(&made->lock, NULL) != 0) {
        bus_error_memory(error, "a lock");
        goto error;
    }
    made->lock_made = true;
    if (bus_onednn_check(
            dnnl_stream_create(&made->stream, made->engine, dnnl_stream_default_flags),
            "a stream", error) < 0 ||
        bus_onednn_check(dnnl_primitive_attr_create(&made->attributes), "attributes",
                         error) < 0 ||
        bus_onednn_check(dnnl_primitive_attr_set_scratchpad_mode(
                             made->attributes, dnnl_scratchpad_mode_user),
                         "attributes", error) < 0)
        goto error;
    int before = bus_engine_set_threads(options->threads);
    int result = compile(made, weights, options, error);
    bus_engine_set_threads(before);
    if (result < 0)
        goto error;
    *plan = made;
    return 0;

error:
    bus_plan_free(made);
    return -1;
}

void bus_plan_free(struct bus_plan *plan)
{
    if (plan == NULL)
        return;
    for (size_t i = 0; plan->steps != NULL && i < 2 * plan->graph->count; i++) {
        dnnl_primitive_destroy(plan->steps[i].primitive);
        dnnl_primitive_desc_destroy(plan->steps[i].desc);
        dnnl_memory_destroy(plan->steps[i].scratchpad);
    }
    for (size_t i = 0; plan->values != NULL && i < plan->graph->count; i++) {
        dnnl_memory_destroy(plan->values[i].memory);
        dnnl_memory_desc_destroy(plan->values[i].desc);
    }
    dnnl_primitive_attr_destroy(plan->attributes);
    if (plan->stream != NULL)
        dnnl_stream_destroy(plan->stream);
    if (plan->lock_made)
        pthread_mutex_destroy(&plan->lock);
    bus_pages_free(&plan->arena);
    free(plan->scale);
    free(plan->spans);
    free(plan->steps);
    free(plan->values);
    free(plan);
}

static size_t numbers(const struct bus_shape *shape)
{
    return (size_t)shape->n * (size_t)shape->c * (size_t)shape->h * (size_t)shape->w;
}

/* Writes the normalised image into the arena. */
static void load_input(const struct bus_plan *plan, const float *src)
{
    const struct bus_shape *shape = &plan->values[0].shape;
    const size_t rows = (size_t)(shape->n * shape->h);
    const size_t columns = (size_t)(shape->w * shape->c);
    const float *scale = plan->scale, *shift = plan->scale + columns;
    float *dst = (float *)(void *)(plan->arena.data + plan->spans[0].offset);
#pragma omp parallel for schedule(static) num_threads(plan->threads)
    for (size_t row = 0; row < rows; row++) {
        const float *from = src + row * columns;
        float *to = dst + row * columns;
        for (size_t i = 0; i < columns; i++)
            to[i] = from[i] * scale[i] + shift[i];
    }
}

static int execute(struct bus_plan *plan, struct bus_error *error)
{
    for (size_t i = 0; i < plan->step_count; i++) {
        const struct step *step = &plan->steps[i];
        dnnl_status_t status = dnnl_primitive_execute(
            step->primitive, plan->stream, step->argument_count, step->arguments);
        if (status != dnnl_success)
            return bus_onednn_check(status, node_label(&plan->graph->nodes[step->node]),
                                    error);
    }
    return bus_onednn_check(dnnl_stream_wait(plan->stream), "the stream", error);
}

int bus_plan_run(struct bus_plan *plan, const float *src, float *const *dst,
                 struct bus_error *error)
{
    pthread_mutex_lock(&plan->lock);
    int before = bus_engine_set_threads(plan->threads);
    load_input(plan, src);
    int result = execute(plan, error);
    for (size_t i = 0; result == 0 && i < plan->output_count; i++) {
        const struct bus_output *output = &plan->graph->outputs[plan->outputs[i]];
        const struct value *value = &plan->values[output->value];
        memcpy(dst[i], plan->arena.data + plan->spans[value->buffer].offset,
               numbers(&value->shape) * sizeof(float));
    }
    bus_engine_set_threads(before);
    pthread_mutex_unlock(&plan->lock);
    return result;
}

size_t bus_plan_output_count(const struct bus_plan *plan) { return plan->output_count; }

const char *bus_plan_output_name(const struct bus_plan *plan, size_t index)
{
    return plan->graph->outputs[plan->outputs[index]].name;
}

struct bus_shape bus_plan_output_shape(const struct bus_plan *plan, size_t index)
{
    return plan->values[plan->graph->outputs[plan->outputs[index]].value].shape;
}

struct bus_shape bus_plan_input_shape(const struct bus_plan *plan)
{
    return plan->values[0].shape;
}

size_t bus_plan_arena_size(const struct bus_plan *plan) { return plan->arena.size; }
