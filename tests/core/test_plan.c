#include "check.h"
#include "network.h"
#include "plan_internal.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void fill(float *src, size_t count)
{
    for (size_t i = 0; i < count; i++)
        src[i] = (float)(i * 31 % 101) / 101.0F;
}

static void test_sizes(struct network *network)
{
    static const int64_t sizes[][3] = {{1, 32, 32}, {3, 47, 31}, {2, 200, 312}};
    struct bus_error error;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct bus_plan_options options = {.batch = sizes[i][0],
                                                 .height = sizes[i][1],
                                                 .width = sizes[i][2],
                                                 .threads = 2};
        size_t pixels = (size_t)(sizes[i][0] * sizes[i][1] * sizes[i][2]);
        float *src = malloc(pixels * sizeof *src);
        float *mask = malloc(pixels * sizeof *mask);
        float *again = malloc(pixels * sizeof *again);
        float logits[9], logits_again[9];
        float *dst[] = {logits, mask}, *dst_again[] = {logits_again, again};
        struct bus_plan *plan = NULL;
        fill(src, pixels);
        CHECK(bus_plan_new(&plan, network->graph, network->weights, &options, &error) ==
              0);
        CHECK(bus_plan_output_count(plan) == 2);
        CHECK(strcmp(bus_plan_output_name(plan, 1), "mask") == 0);
        struct bus_shape shape = bus_plan_output_shape(plan, 1);
        CHECK(shape.n == sizes[i][0] && shape.c == 1 && shape.h == sizes[i][1] &&
              shape.w == sizes[i][2]);
        CHECK(bus_plan_arena_size(plan) > 0);
        CHECK(bus_plan_run(plan, src, dst, &error) == 0);
        CHECK(bus_plan_run(plan, src, dst_again, &error) == 0);
        CHECK(memcmp(logits, logits_again, (size_t)sizes[i][0] * 3 * sizeof *logits) ==
              0);
        CHECK(memcmp(mask, again, pixels * sizeof *mask) == 0);
        CHECK(isfinite(logits[0]) && logits[0] != logits[1]);
        bus_plan_free(plan);

        /* One output alone computes what both together do. */
        struct bus_plan_options alone = options;
        alone.outputs = 2;
        CHECK(bus_plan_new(&plan, network->graph, network->weights, &alone, &error) ==
              0);
        CHECK(bus_plan_output_count(plan) == 1);
        CHECK(bus_plan_run(plan, src, &again, &error) == 0);
        CHECK(memcmp(mask, again, pixels * sizeof *mask) == 0);
        bus_plan_free(plan);
        free(again);
        free(mask);
        free(src);
    }
}

static void test_refusals(struct network *network)
{
    static const struct bus_plan_options wrong[] = {
        {.batch = 0, .height = 32, .width = 32, .threads = 1},
        {.batch = INT64_MAX, .height = 32, .width = 32, .threads = 1},
        {.batch = 1, .height = 0, .width = 32, .threads = 1},
        {.batch = 1, .height = 32, .width = BUS_MAX_SIDE + 1, .threads = 1},
        {.batch = 1, .height = 32, .width = 32, .threads = 0},
        {.batch = 1, .height = 32, .width = 32, .threads = 1, .outputs = 4},
    };
    struct bus_error error;
    struct bus_plan *plan = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        error.code = BUS_OK;
        CHECK(bus_plan_new(&plan, network->graph, network->weights, &wrong[i], &error) <
              0);
        CHECK(error.code == BUS_ERROR_VALUE && plan == NULL);
    }
    struct network unfinished;
    CHECK(network_new(&unfinished, BUS_F32, &error) == 0);
    const struct bus_plan_options options = {
        .batch = 1, .height = 32, .width = 32, .threads = 1};
    CHECK(bus_plan_new(&plan, unfinished.graph, unfinished.weights, &options, &error) <
          0);
    CHECK(error.code == BUS_ERROR_VALUE);
    network_free(&unfinished);
    bus_plan_free(NULL);
}

/* Steps, values and arguments are appended up to their capacity, and no further. */
static void test_capacity(struct network *network)
{
    const struct bus_plan_options options = {
        .batch = 1, .height = 32, .width = 32, .threads = 1};
    struct bus_plan *plan = NULL;
    struct bus_step *step = NULL;
    struct bus_error error = {.code = BUS_OK};
    int value;
    CHECK(bus_plan_new(&plan, network->graph, network->weights, &options, &error) == 0);
    CHECK(plan->step_count <= plan->step_capacity);
    CHECK(plan->value_count <= plan->value_capacity);
    while (plan->step_count < plan->step_capacity)
        CHECK(bus_plan_append_step(&step, plan, BUS_COPY, 1, &error) == 0);
    CHECK(step == &plan->steps[plan->step_capacity - 1] && step->node == 1);
    CHECK(bus_plan_append_step(&step, plan, BUS_COPY, 1, &error) < 0);
    CHECK(error.code == BUS_ERROR_VALUE && strncmp(error.message, "stem: ", 6) == 0);
    CHECK(plan->step_count == plan->step_capacity);
    while (plan->value_count < plan->value_capacity)
        CHECK(bus_plan_append_value(&value, plan, 1, 1, &error) == 0);
    error.code = BUS_OK;
    CHECK(bus_plan_append_value(&value, plan, 1, 1, &error) < 0);
    CHECK(error.code == BUS_ERROR_VALUE);
    while (step->argument_count < BUS_MAX_ARGUMENTS)
        CHECK(bus_plan_add_argument(step, DNNL_ARG_SRC, NULL, &error) == 0);
    error.code = BUS_OK;
    CHECK(bus_plan_add_argument(step, DNNL_ARG_SRC, NULL, &error) < 0);
    CHECK(error.code == BUS_ERROR_VALUE && step->argument_count == BUS_MAX_ARGUMENTS);
    bus_plan_free(plan);
}

/* A number that is infinite or NaN, or becomes so, is refused by its place, the first
 * of several. */
static void test_input(struct network *network)
{
    static const float wrong[] = {NAN, INFINITY, -INFINITY, 3e38F};
    static const size_t places[] = {0, 31, 32 * 33 + 5, 2 * 32 * 32 - 1};
    static const char *const names[] = {
        "images[0, 0, 0, 0] is ", "images[0, 0, 31, 0] is ", "images[1, 1, 5, 0] is ",
        "images[1, 31, 31, 0] is "};
    const struct bus_plan_options options = {
        .batch = 2, .height = 32, .width = 32, .threads = 2};
    struct bus_plan *plan = NULL;
    struct bus_error error;
    float logits[6], src[2 * 32 * 32], mask[2 * 32 * 32];
    float *dst[] = {logits, mask};
    double seconds[64];
    CHECK(bus_plan_new(&plan, network->graph, network->weights, &options, &error) == 0);
    CHECK(bus_plan_step_count(plan) <= sizeof seconds / sizeof *seconds);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (size_t j = 0; j < sizeof wrong / sizeof *wrong; j++) {
            fill(src, 2 * 32 * 32);
            src[places[i]] = wrong[j];
            src[2 * 32 * 32 - 1] = wrong[j];
            error.code = BUS_OK;
            CHECK(bus_plan_run(plan, src, dst, &error) < 0);
            CHECK(error.code == BUS_ERROR_VALUE);
            CHECK(strncmp(error.message, names[i], strlen(names[i])) == 0);
            CHECK(bus_plan_time(plan, src, seconds, &error) < 0);
        }
    fill(src, 2 * 32 * 32);
    CHECK(bus_plan_run(plan, src, dst, &error) == 0);
    bus_plan_free(plan);
}

struct worker {
    struct bus_plan *plan;
    const float *src;
    const float *expected;
    int wrong;
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct bus_error error;
    float logits[3];
    float *mask = malloc(32 * 32 * sizeof *mask);
    float *dst[] = {logits, mask};
    for (int i = 0; i < 50; i++)
        if (bus_plan_run(worker->plan, worker->src, dst, &error) < 0 ||
            memcmp(mask, worker->expected, 32 * 32 * sizeof *mask) != 0)
            worker->wrong++;
    free(mask);
    return NULL;
}

/* Callers on several threads share a plan and take turns. */
static void test_threads(struct network *network)
{
    enum { WORKERS = 4 };
    const struct bus_plan_options options = {
        .batch = 1, .height = 32, .width = 32, .threads = 2};
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    struct bus_plan *plan = NULL;
    struct bus_error error;
    float logits[3], src[32 * 32], mask[32 * 32];
    float *dst[] = {logits, mask};
    fill(src, 32 * 32);
    CHECK(bus_plan_new(&plan, network->graph, network->weights, &options, &error) == 0);
    CHECK(bus_plan_run(plan, src, dst, &error) == 0);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){plan, src, mask, 0};
        CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(workers[i].wrong == 0);
    }
    bus_plan_free(plan);
}

void test_plan(void)
{
    struct network network;
    struct bus_error error;
    CHECK(network_new(&network, BUS_F32, &error) == 0);
    CHECK(network_fill(&network, &error) == 0);
    test_sizes(&network);
    test_refusals(&network);
    test_capacity(&network);
    test_input(&network);
    test_threads(&network);
    network_free(&network);
    CHECK(network_new(&network, BUS_INT8, &error) == 0);
    CHECK(network_fill(&network, &error) == 0);
    test_sizes(&network);
    test_input(&network);
    test_threads(&network);
    network_free(&network);
}
