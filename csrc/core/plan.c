#define _POSIX_C_SOURCE 200809L
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "layer.h"
#include "onednn.h"
#include "packing.h"
#include "plan_internal.h"
#include "util.h"

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

static int allocate_arrays(struct bus_plan *plan, struct bus_error *error)
{
    plan->value_count = plan->graph->count;
    plan->value_capacity = BUS_MAX_NODE_VALUES * plan->graph->count;
    plan->step_capacity = BUS_MAX_NODE_STEPS * plan->graph->count;
    const size_t spans = plan->value_capacity + plan->step_capacity;
    plan->values = calloc(plan->value_capacity + 1, sizeof *plan->values);
    plan->steps = calloc(plan->step_capacity + 1, sizeof *plan->steps);
    plan->spans = calloc(spans + 1, sizeof *plan->spans);
    if (plan->values == NULL || plan->steps == NULL || plan->spans == NULL)
        return bus_error_memory(error, "a plan");
    return 0;
}

static int create_stream(struct bus_plan *plan, struct bus_error *error)
{
    if (bus_onednn_check(
            dnnl_stream_create(&plan->stream, plan->engine, dnnl_stream_default_flags),
            "a stream", error) < 0 ||
        bus_onednn_check(dnnl_primitive_attr_create(&plan->attributes), "attributes",
                         error) < 0)
        return -1;
    return bus_onednn_check(dnnl_primitive_attr_set_scratchpad_mode(
                                plan->attributes, dnnl_scratchpad_mode_user),
                            "attributes", error);
}

int bus_plan_new(struct bus_plan **plan, const struct bus_graph *graph,
                 struct bus_weights *weights, const struct bus_plan_options *options,
                 struct bus_error *error)
{
    struct bus_plan *created;
    if (check_options(weights, options, error) < 0)
        return -1;
    created = calloc(1, sizeof *created);
    if (created == NULL)
        return bus_error_memory(error, "a plan");
    created->graph = graph;
    created->engine = bus_weights_engine(weights);
    created->threads = options->threads;
    created->weights = weights;
    if (allocate_arrays(created, error) < 0)
        goto error;
    if (pthread_mutex_init(&created->lock, NULL) != 0) {
        bus_error_memory(error, "a lock");
        goto error;
    }
    created->has_lock = true;
    if (create_stream(created, error) < 0)
        goto error;
    int before = bus_engine_set_threads(options->threads);
    int result = bus_plan_compile(created, options, error);
    bus_engine_set_threads(before);
    if (result < 0)
        goto error;
    *plan = created;
    return 0;

error:
    bus_plan_free(created);
    return -1;
}

void bus_plan_free(struct bus_plan *plan)
{
    if (plan == NULL)
        return;
    for (size_t i = 0; i < plan->step_count; i++) {
        dnnl_primitive_destroy(plan->steps[i].primitive);
        dnnl_primitive_desc_destroy(plan->steps[i].desc);
        dnnl_memory_destroy(plan->steps[i].scratchpad);
    }
    for (size_t i = 0; plan->values != NULL && i < plan->value_count; i++) {
        dnnl_memory_destroy(plan->values[i].memory);
        dnnl_memory_desc_destroy(plan->values[i].desc);
    }
    dnnl_primitive_attr_destroy(plan->attributes);
    if (plan->stream != NULL)
        dnnl_stream_destroy(plan->stream);
    if (plan->has_lock)
        pthread_mutex_destroy(&plan->lock);
    bus_pages_free(&plan->arena);
    free(plan->scale);
    free(plan->spans);
    free(plan->steps);
    free(plan->values);
    free(plan);
}

const char *bus_plan_node_label(const struct bus_node *node)
{
    return node->name != NULL ? node->name : bus_layer_types[node->op]->name;
}

void *bus_plan_data(const struct bus_plan *plan, int value)
{
    return plan->arena.data + plan->spans[plan->values[value].buffer].offset;
}

size_t bus_plan_number_count(const struct bus_plan *plan, int value)
{
    const struct bus_shape *shape = &plan->values[value].shape;
    return (size_t)shape->n * (size_t)shape->c * (size_t)shape->h * (size_t)shape->w;
}

/* Normalises a row of the image, to bfloat16 or float. Returns whether a number came
 * out infinite or NaN: ReLUs would turn it into 0, and the outputs would not show it.
 */
static bool load_row(const struct bus_plan *plan, void *dst, const float *src,
                     size_t columns)
{
    const float *scale = plan->scale, *shift = plan->scale + columns;
    uint32_t bad = 0;
    if (plan->values[0].type == dnnl_bf16) {
        uint16_t *to = dst;
#pragma omp simd reduction(| : bad)
        for (size_t i = 0; i < columns; i++) {
            const float number = src[i] * scale[i] + shift[i];
            to[i] = bus_to_bf16(number);
            bad |= bus_not_finite(number);
        }
    } else {
        float *to = dst;
#pragma omp simd reduction(| : bad)
        for (size_t i = 0; i < columns; i++) {
            const float number = src[i] * scale[i] + shift[i];
            to[i] = number;
            bad |= bus_not_finite(number);
        }
    }
    return bad != 0;
}

/* Names the first number of a row that load_row refused. */
static int refuse_row(const struct bus_plan *plan, const float *src, size_t row,
                      struct bus_error *error)
{
    const struct bus_shape *shape = &plan->values[0].shape;
    const size_t channels = (size_t)shape->c, height = (size_t)shape->h,
                 columns = (size_t)shape->w * channels;
    size_t i = 0;
    while (i + 1 < columns &&
           !bus_not_finite(src[i] * plan->scale[i] + plan->scale[columns + i]))
        i++;
    return bus_error_set(error, BUS_ERROR_VALUE,
                         "images[%zu, %zu, %zu, %zu] is %g; numbers in 0..1 are "
                         "expected",
                         row / height, row % height, i / channels, i % channels,
                         (double)src[i]);
}

/* Writes the normalised image into the arena. BUS_ERROR_VALUE, naming it, if a number
 * is infinite or NaN. */
static int load_input(const struct bus_plan *plan, const float *src,
                      struct bus_error *error)
{
    const struct bus_shape *shape = &plan->values[0].shape;
    const size_t rows = (size_t)(shape->n * shape->h);
    const size_t columns = (size_t)(shape->w * shape->c);
    const size_t size = plan->values[0].type == dnnl_bf16 ? 2 : sizeof *src;
    char *dst = bus_plan_data(plan, 0);
    size_t bad = rows;
#pragma omp parallel for reduction(min : bad) schedule(static)                         \
    num_threads(plan->threads)
    for (size_t row = 0; row < rows; row++)
        if (load_row(plan, dst + row * columns * size, src + row * columns, columns) &&
            row < bad)
            bad = row;
    return bad < rows ? refuse_row(plan, src + bad * columns, bad, error) : 0;
}

static void give_output(const struct bus_plan *plan, size_t index, float *dst)
{
    const int node = plan->graph->outputs[plan->outputs[index]].value;
    const struct bus_value *value = &plan->values[node];
    const void *src = bus_plan_data(plan, node);
    const size_t count = bus_plan_number_count(plan, node);
    const struct bus_quant *quant = bus_weights_quant(plan->weights, node);
    if (value->type == dnnl_bf16)
        for (size_t i = 0; i < count; i++)
            dst[i] = bus_from_bf16(((const uint16_t *)src)[i]);
    else if (value->type == dnnl_u8)
        for (size_t i = 0; i < count; i++)
            dst[i] =
                quant->scale * ((float)((const uint8_t *)src)[i] - quant->zero_point);
    else if (quant != NULL)
        for (size_t i = 0; i < count; i++)
            dst[i] = quant->scale * (((const float *)src)[i] - quant->zero_point);
    else
        memcpy(dst, src, count * sizeof *dst);
}

static int execute_step(const struct bus_plan *plan, const struct bus_step *step,
                        struct bus_error *error)
{
    if (step->kind == BUS_NATIVE) {
        step->native.kernel->run(step->native.kernel, &step->native.call);
        return 0;
    }
    /* It is done at once: streams of the CPU are in order and blocking. */
    dnnl_status_t status = dnnl_primitive_execute(
        step->primitive, plan->stream, step->argument_count, step->arguments);
    if (status == dnnl_success)
        return 0;
    return bus_onednn_check(
        status, bus_plan_node_label(&plan->graph->nodes[step->node]), error);
}

int bus_plan_run(struct bus_plan *plan, const float *src, float *const *dst,
                 struct bus_error *error)
{
    pthread_mutex_lock(&plan->lock);
    int before = bus_engine_set_threads(plan->threads);
    int result = load_input(plan, src, error);
    for (size_t i = 0; result == 0 && i < plan->step_count; i++)
        result = execute_step(plan, &plan->steps[i], error);
    for (size_t i = 0; result == 0 && i < plan->output_count; i++)
        give_output(plan, i, dst[i]);
    bus_engine_set_threads(before);
    pthread_mutex_unlock(&plan->lock);
    return result;
}

int bus_plan_walk(struct bus_plan *plan, const float *src, bus_plan_visit *visit,
                  void *context, struct bus_error *error)
{
    pthread_mutex_lock(&plan->lock);
    int before = bus_engine_set_threads(plan->threads);
    int result = load_input(plan, src, error);
    for (size_t i = 0; result == 0 && i < plan->step_count; i++) {
        double start = bus_clock();
        result = execute_step(plan, &plan->steps[i], error);
        visit(context, plan, i, bus_clock() - start);
    }
    bus_engine_set_threads(before);
    pthread_mutex_unlock(&plan->lock);
    return result;
}

static void note_seconds(void *context, const struct bus_plan *plan, size_t index,
                         double seconds)
{
    (void)plan;
    ((double *)context)[index] = seconds;
}

int bus_plan_time(struct bus_plan *plan, const float *src, double *seconds,
                  struct bus_error *error)
{
    return bus_plan_walk(plan, src, note_seconds, seconds, error);
}

size_t bus_plan_step_count(const struct bus_plan *plan) { return plan->step_count; }

struct bus_plan_step bus_plan_step(const struct bus_plan *plan, size_t index)
{
    const struct bus_step *step = &plan->steps[index];
    struct bus_plan_step described = {
        bus_plan_node_label(&plan->graph->nodes[step->node]), "unknown"};
    if (step->kind == BUS_NATIVE)
        described.kernel = step->native.kernel->name;
    else
        dnnl_primitive_desc_query(step->desc, dnnl_query_impl_info_str, 0,
                                  &described.kernel);
    return described;
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
