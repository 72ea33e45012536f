#define _POSIX_C_SOURCE 200809L
#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include "layer.h"

int bus_graph_new(struct bus_graph **graph, struct bus_error *error)
{
    struct bus_graph *created = calloc(1, sizeof *created);
    if (created == NULL)
        return bus_error_memory(error, "a graph");
    *graph = created;
    return 0;
}

void bus_graph_free(struct bus_graph *graph)
{
    if (graph == NULL)
        return;
    for (size_t i = 0; i < graph->count; i++) {
        free(graph->nodes[i].name);
        free(graph->nodes[i].norm);
    }
    for (size_t i = 0; i < graph->output_count; i++)
        free(graph->outputs[i].name);
    free(graph->nodes);
    free(graph);
}

static bool exists(const struct bus_graph *graph, int value)
{
    return value >= 0 && (size_t)value < graph->count;
}

/* Operators that a value can be added to. */
static bool adds(enum bus_op op) { return op == BUS_CONV || op == BUS_LINEAR; }

static int check_operands(const struct bus_graph *graph, const struct bus_node *node,
                          struct bus_error *error)
{
    const char *op = bus_layer_types[node->op]->name;
    if ((node->op == BUS_INPUT) != (graph->count == 0))
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "%s: the input is the first node, and no other is", op);
    if (node->op == BUS_INPUT)
        return 0;
    if (!exists(graph, node->src))
        return bus_error_set(error, BUS_ERROR_VALUE, "%s: value %d does not exist", op,
                             node->src);
    if (adds(node->op) && node->add != BUS_NONE && !exists(graph, node->add))
        return bus_error_set(error, BUS_ERROR_VALUE, "%s: value %d does not exist", op,
                             node->add);
    if (node->op == BUS_LESION_POOL && !exists(graph, node->logits))
        return bus_error_set(error, BUS_ERROR_VALUE, "%s: value %d does not exist", op,
                             node->logits);
    if (node->op == BUS_RESIZE && !exists(graph, node->like))
        return bus_error_set(error, BUS_ERROR_VALUE, "%s: value %d does not exist", op,
                             node->like);
    return 0;
}

static int reserve(struct bus_graph *graph, struct bus_error *error)
{
    if (graph->count < graph->capacity)
        return 0;
    if (graph->count >= INT32_MAX / 2)
        return bus_error_set(error, BUS_ERROR_VALUE, "the graph has too many nodes");
    size_t capacity = graph->capacity != 0 ? 2 * graph->capacity : 64;
    struct bus_node *nodes = realloc(graph->nodes, capacity * sizeof *nodes);
    if (nodes == NULL)
        return bus_error_memory(error, "the graph's nodes");
    graph->nodes = nodes;
    graph->capacity = capacity;
    return 0;
}

int bus_graph_append(int *value, struct bus_graph *graph, const struct bus_node *node,
                     struct bus_error *error)
{
    struct bus_node copy = *node;
    copy.name = copy.norm = NULL;
    if ((unsigned)node->op >= BUS_OP_COUNT)
        return bus_error_set(error, BUS_ERROR_VALUE, "operator %d does not exist",
                             (int)node->op);
    if (check_operands(graph, node, error) < 0)
        return -1;
    if (node->op == BUS_INPUT)
        copy.src = BUS_NONE;
    else
        copy.src_channels = graph->nodes[node->src].channels;
    if (!adds(node->op))
        copy.add = BUS_NONE;
    if (node->op != BUS_LESION_POOL)
        copy.logits = BUS_NONE;
    if (node->op != BUS_RESIZE)
        copy.like = BUS_NONE;
    if (node->op != BUS_INPUT && node->op != BUS_CONV && node->op != BUS_LINEAR)
        copy.channels = copy.src_channels;
    if (copy.channels < 1 || copy.channels > BUS_MAX_CHANNELS)
        return bus_error_set(error, BUS_ERROR_VALUE, "%s: %lld channels",
                             bus_layer_types[node->op]->name, (long long)copy.channels);
    const struct bus_layer_type *type = bus_layer_types[node->op];
    if (type->check != NULL && type->check(graph, node, &copy, error) < 0)
        return -1;
    if (reserve(graph, error) < 0)
        return -1;
    if (node->name != NULL && (copy.name = strdup(node->name)) == NULL)
        goto error;
    if (node->norm != NULL && (copy.norm = strdup(node->norm)) == NULL)
        goto error;
    *value = (int)graph->count;
    graph->nodes[graph->count++] = copy;
    return 0;

error:
    free(copy.name);
    return bus_error_memory(error, "a layer's name");
}

int bus_graph_output(struct bus_graph *graph, int value, const char *name,
                     struct bus_error *error)
{
    if (!exists(graph, value))
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "output %s: value %d does not exist", name, value);
    if (graph->output_count == BUS_MAX_OUTPUTS)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "output %s: a graph has at most %d outputs", name,
                             BUS_MAX_OUTPUTS);
    for (size_t i = 0; i < graph->output_count; i++)
        if (strcmp(graph->outputs[i].name, name) == 0)
            return bus_error_set(error, BUS_ERROR_VALUE, "output %s: the name is taken",
                                 name);
    char *copy = strdup(name);
    if (copy == NULL)
        return bus_error_memory(error, "an output's name");
    graph->outputs[graph->output_count++] = (struct bus_output){copy, value};
    return 0;
}

size_t bus_node_weight_shape(const struct bus_node *node, int64_t shape[4])
{
    if (node->op != BUS_CONV && node->op != BUS_LINEAR)
        return 0;
    shape[0] = node->channels;
    shape[1] = node->src_channels;
    shape[2] = shape[3] = node->kernel;
    return node->op == BUS_CONV ? 4 : 2;
}
