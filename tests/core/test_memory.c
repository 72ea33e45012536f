/* Every allocation of the core fails once, one a run: each is reported as an error, and
 * the sanitizer finds no leak. */
#include "check.h"
#include "components.h"
#include "failing.h"
#include "network.h"

#include <stdlib.h>

static int whole_life(enum bus_precision precision, struct bus_error *error)
{
    const struct bus_plan_options options = {
        .batch = 1, .height = 32, .width = 32, .threads = 1};
    struct network network = {NULL, NULL};
    struct bus_plan *plan = NULL;
    unsigned char mask[4] = {1, 0, 0, 1};
    int32_t labels[4], count;
    float logits[3];
    float src[32 * 32] = {0}, plane[32 * 32];
    float *dst[] = {logits, plane};
    int result = -1;
    if (bus_components_label(labels, &count, mask, 2, 2, error) < 0 ||
        network_new(&network, precision, error) < 0 ||
        network_fill(&network, error) < 0 ||
        bus_plan_new(&plan, network.graph, network.weights, &options, error) < 0)
        goto done;
    result = bus_plan_run(plan, src, dst, error);

done:
    bus_plan_free(plan);
    network_free(&network);
    return result;
}

static void test_precision(enum bus_precision precision)
{
    struct bus_error error = {.code = BUS_OK};
    long n = 1;
    for (;; n++) {
        failing_set(n);
        int result = whole_life(precision, &error);
        if (!failing_happened())
            break;
        CHECK(result < 0);
        CHECK(error.code == BUS_ERROR_MEMORY);
    }
    failing_set(0);
    CHECK(n > 30); /* a plan makes more than 30 allocations */
    CHECK(whole_life(precision, &error) == 0);
}

void test_memory(void)
{
    test_precision(BUS_F32);
    test_precision(BUS_INT8);
}
