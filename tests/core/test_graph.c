#include "check.h"
#include "graph.h"

#include <math.h>
#include <string.h>

static struct bus_node input(void)
{
    return (struct bus_node){
        .op = BUS_INPUT, .channels = 1, .mean = {0.5F}, .std = {0.25F}};
}

static struct bus_node conv(void)
{
    return (struct bus_node){.op = BUS_CONV,
                             .name = "conv",
                             .src = 0,
                             .add = BUS_NONE,
                             .channels = 8,
                             .kernel = 3,
                             .stride = 1,
                             .padding = 1};
}

static int append(struct bus_graph *graph, struct bus_node node,
                  struct bus_error *error)
{
    int value = -1;
    int result = bus_graph_append(&value, graph, &node, error);
    CHECK(result == 0 ? value == (int)graph->count - 1 : value == -1);
    return result;
}

#define REFUSED(field, wrong)                                                          \
    do {                                                                               \
        struct bus_node node = conv();                                                 \
        node.field = (wrong);                                                          \
        size_t before = graph->count;                                                  \
        CHECK(append(graph, node, &error) < 0);                                        \
        CHECK(error.code == BUS_ERROR_VALUE && error.message[0] != '\0');              \
        CHECK(graph->count == before);                                                 \
    } while (0)

void test_graph(void)
{
    struct bus_graph *graph = NULL;
    struct bus_error error;
    struct bus_node bad = input();
    CHECK(bus_graph_new(&graph, &error) == 0);

    CHECK(append(graph, conv(), &error) < 0); /* the input comes first */
    bad.std[0] = 0.0F;
    CHECK(append(graph, bad, &error) < 0);
    bad.std[0] = NAN;
    CHECK(append(graph, bad, &error) < 0);
    bad = input();
    bad.channels = BUS_MAX_IMAGE_CHANNELS + 1;
    CHECK(append(graph, bad, &error) < 0);
    CHECK(append(graph, input(), &error) == 0);
    CHECK(append(graph, input(), &error) < 0); /* and only once */

    REFUSED(op, BUS_OP_COUNT);
    REFUSED(op, (enum bus_op) - 1);
    REFUSED(name, NULL);
    REFUSED(name, (char *)"");
    REFUSED(src, 1);
    REFUSED(src, -1);
    REFUSED(add, 7);
    REFUSED(add, 0); /* one channel against eight */
    REFUSED(channels, 0);
    REFUSED(channels, INT64_MAX);
    REFUSED(kernel, 0);
    REFUSED(kernel, INT64_MAX);
    REFUSED(stride, 0);
    REFUSED(padding, -1);
    REFUSED(padding, 3);
    CHECK(append(graph, conv(), &error) == 0);
    CHECK(graph->nodes[1].src_channels == 1);

    CHECK(bus_graph_output(graph, 9, "class", &error) < 0);
    CHECK(bus_graph_output(graph, 1, "class", &error) == 0);
    CHECK(bus_graph_output(graph, 1, "class", &error) < 0);
    CHECK(strstr(error.message, "class") != NULL);
    for (char name[] = "a"; graph->output_count < BUS_MAX_OUTPUTS; name[0]++)
        CHECK(bus_graph_output(graph, 1, name, &error) == 0);
    CHECK(bus_graph_output(graph, 1, "one too many", &error) < 0);

    bus_graph_free(graph);
    bus_graph_free(NULL);
}
