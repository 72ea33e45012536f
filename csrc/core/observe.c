#include "observe.h"

#include <string.h>

#include "plan_internal.h"

#define FIRST_EXPONENT 107 /* of 2^-20 */

static bool is_observed(const struct bus_plan *plan, size_t step)
{
    const struct bus_step *observed = &plan->steps[step];
    return (observed->kind == BUS_PRIMITIVE || observed->kind == BUS_NATIVE) &&
           plan->graph->nodes[observed->node].op == BUS_CONV;
}

size_t bus_observe_count(const struct bus_plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->step_count; i++)
        count += is_observed(plan, i);
    return count;
}

int bus_observe_node(const struct bus_node **node, const struct bus_plan *plan,
                     size_t index, struct bus_error *error)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->step_count; i++)
        if (is_observed(plan, i) && count++ == index) {
            *node = &plan->graph->nodes[plan->steps[i].node];
            return 0;
        }
    return bus_error_set(error, BUS_ERROR_VALUE,
                         "convolution %zu: the plan has only %zu", index, count);
}

static size_t bin_of(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    const int32_t bin = (int32_t)((bits & 0x7fffffff) >> 17) - FIRST_EXPONENT * 64;
    return bin < 0 ? 0 : bin < (int32_t)BUS_SIZE_BINS ? (size_t)bin : BUS_SIZE_BINS - 1;
}

static void observe(const struct bus_observation *observation, const float *src,
                    size_t pixels, size_t channels, const float *dst, size_t count)
{
    memset(observation->means, 0, channels * sizeof *observation->means);
    memset(observation->counts, 0, BUS_SIZE_BINS * sizeof *observation->counts);
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++)
            observation->means[c] += src[i * channels + c];
    for (size_t c = 0; c < channels; c++)
        observation->means[c] /= (double)pixels;
    for (size_t i = 0; i < count; i++)
        observation->counts[bin_of(dst[i])]++;
}

static void visit(void *context, const struct bus_plan *plan, size_t index,
                  double seconds)
{
    const struct bus_observation **next = context;
    const struct bus_step *step = &plan->steps[index];
    const struct bus_node *node = &plan->graph->nodes[step->node];
    (void)seconds;
    if (!is_observed(plan, index))
        return;
    const size_t channels = (size_t)node->src_channels;
    observe((*next)++, bus_plan_data(plan, node->src),
            bus_plan_number_count(plan, node->src) / channels, channels,
            bus_plan_data(plan, step->node), bus_plan_number_count(plan, step->node));
}

int bus_observe(struct bus_plan *plan, const float *src,
                const struct bus_observation *observations, struct bus_error *error)
{
    const enum bus_precision precision = bus_weights_precision(plan->weights);
    if (precision != BUS_F32 && precision != BUS_EXACT)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "only activations in float32 can be observed");
    return bus_plan_walk(plan, src, visit, &observations, error);
}
