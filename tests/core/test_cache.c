#define _DEFAULT_SOURCE
/* Files of packed weights: only complete ones are read, and what they hold computes the
 * same. */
#include "cache.h"
#include "check.h"
#include "network.h"
#include "packed_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_files(const char *folder)
{
    char name[BUS_CACHE_NAME], long_name[BUS_CACHE_NAME];
    char first[5000], second[100], read_first[5000], read_second[100];
    const struct bus_cache_part parts[] = {{first, sizeof first},
                                           {second, sizeof second}};
    const struct bus_cache_part others[] = {{read_first, sizeof read_first},
                                            {read_second, sizeof read_second}};
    struct bus_error error;
    struct bus_pages pages;
    memset(first, 1, sizeof first);
    memset(second, 2, sizeof second);
    memset(long_name, 'x', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    CHECK(!bus_cache_name(name, long_name, "end"));
    CHECK(bus_cache_name(name, folder, "end"));
    CHECK(strcmp(name + strlen(folder), "/end") == 0);
    CHECK(!bus_cache_read(name, others, 2));
    CHECK(bus_pages_new(&pages, 16384, "a test", &error) == 0);
    CHECK(!bus_cache_map(&pages, 4096, name, 5100));
    bus_cache_write(name, parts, 2);
    CHECK(bus_cache_read(name, others, 2));
    CHECK(memcmp(first, read_first, sizeof first) == 0);
    CHECK(memcmp(second, read_second, sizeof second) == 0);
    CHECK(!bus_cache_read(name, others, 1));
    CHECK(!bus_cache_map(&pages, 4096, name, 5099));
    CHECK(bus_cache_map(&pages, 4096, name, 5100));
    CHECK(pages.data[4095] == 0 && pages.data[4096] == 1);
    CHECK(pages.data[9096] == 2 && pages.data[12288] == 0);
    CHECK(truncate(name, BUS_PAGE + 5099) == 0);
    CHECK(!bus_cache_map(&pages, 4096, name, 5100));
    bus_pages_free(&pages);
    unlink(name);
    bus_cache_write("/proc/nowhere/file", parts, 2);
    CHECK(bus_cache_hash(0, "ab", 2) ==
          bus_cache_hash(bus_cache_hash(0, "a", 1), "b", 1));
    CHECK(bus_cache_hash(0, "ab", 2) != bus_cache_hash(0, "ba", 2));
}

static int compute(struct network *network, float *logits, float *mask,
                   struct bus_error *error)
{
    const struct bus_plan_options options = {
        .batch = 1, .height = 32, .width = 32, .threads = 2};
    float src[32 * 32], *dst[] = {logits, mask};
    struct bus_plan *plan = NULL;
    for (int i = 0; i < 32 * 32; i++)
        src[i] = (float)(i % 19) / 19.0F;
    if (bus_plan_new(&plan, network->graph, network->weights, &options, error) < 0)
        return -1;
    const int result = bus_plan_run(plan, src, dst, error);
    bus_plan_free(plan);
    return result;
}

static void test_weights_of(const char *folder, enum bus_precision precision)
{
    struct network network;
    struct bus_error error;
    char vectors[BUS_CACHE_NAME], moved[BUS_CACHE_NAME],
        elsewhere[] = "/tmp/busnet-XXXXXX";
    float logits[2][3], mask[2][32 * 32];
    for (int i = 0; i < 2; i++) {
        CHECK(network_new(&network, precision, &error) == 0);
        CHECK(bus_weights_use_cache(network.weights, folder, true, &error) == 0);
        CHECK(bus_weights_finished(network.weights) == (i == 1));
        if (i == 0)
            CHECK(network_fill(&network, &error) == 0);
        CHECK(compute(&network, logits[i], mask[i], &error) == 0);
        network_free(&network);
    }
    CHECK(memcmp(logits[0], logits[1], sizeof *logits) == 0);
    CHECK(memcmp(mask[0], mask[1], sizeof *mask) == 0);

    /* The biases alone are not enough, and are not read where read is false. */
    CHECK(mkdtemp(elsewhere) != NULL);
    CHECK(bus_cache_name(vectors, folder, "vectors"));
    CHECK(bus_cache_name(moved, elsewhere, "vectors"));
    CHECK(rename(vectors, moved) == 0);
    for (int read = 0; read < 2; read++) {
        CHECK(network_new(&network, precision, &error) == 0);
        CHECK(bus_weights_use_cache(network.weights, elsewhere, read != 0, &error) ==
              0);
        CHECK(bus_weights_finished(network.weights) == (read != 0));
        CHECK(compute(&network, logits[1], mask[1], &error) < 0);
        CHECK(error.code == (read != 0 ? BUS_ERROR_ABSENT : BUS_ERROR_VALUE));
        network_free(&network);
    }
    unlink(moved);
    rmdir(elsewhere);
}

void test_cache(void)
{
    static const enum bus_precision precisions[] = {BUS_F32, BUS_EXACT, BUS_INT8};
    const size_t count = sizeof precisions / sizeof *precisions;
    for (size_t i = 0; i <= count; i++) {
        char folder[] = "/tmp/busnet-XXXXXX", command[64];
        CHECK(mkdtemp(folder) != NULL);
        if (i < count)
            test_weights_of(folder, precisions[i]);
        else
            test_files(folder);
        snprintf(command, sizeof command, "rm -r %s", folder);
        CHECK(system(command) == 0);
    }
}
