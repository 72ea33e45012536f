#include "arena.h"
#include "check.h"

#include <stdint.h>
#include <stdlib.h>

#define SPANS 60

static int live_together(const struct bus_span *a, const struct bus_span *b)
{
    return a->first <= b->last && b->first <= a->last;
}

static void check_layout(struct bus_span *spans, size_t count)
{
    struct bus_error error;
    size_t size = 0;
    CHECK(bus_arena_layout(&size, spans, count, &error) == 0);
    for (size_t i = 0; i < count; i++) {
        CHECK(spans[i].offset % BUS_ALIGNMENT == 0);
        CHECK(spans[i].offset + spans[i].size <= size);
        for (size_t j = 0; j < i; j++)
            CHECK(!live_together(&spans[i], &spans[j]) ||
                  spans[i].offset + spans[i].size <= spans[j].offset ||
                  spans[j].offset + spans[j].size <= spans[i].offset);
    }
}

void test_arena(void)
{
    struct bus_error error;
    size_t size = 1;
    CHECK(bus_arena_layout(&size, NULL, 0, &error) == 0 && size == 0);

    /* A chain in which each buffer lives with the next needs two places only. */
    struct bus_span chain[10];
    for (size_t i = 0; i < 10; i++)
        chain[i] = (struct bus_span){.size = 640, .first = i, .last = i + 1};
    check_layout(chain, 10);
    CHECK(bus_arena_layout(&size, chain, 10, &error) == 0 && size == 1280);

    struct bus_span random[SPANS];
    unsigned state = 1;
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < SPANS; i++) {
            state = state * 1664525U + 1013904223U;
            random[i] = (struct bus_span){.size = (state >> 16) % 5000,
                                          .first = (state >> 8) % 40};
            random[i].last = random[i].first + (state >> 4) % 9;
        }
        check_layout(random, SPANS);
    }

    struct bus_span huge = {.size = SIZE_MAX / 2};
    CHECK(bus_arena_layout(&size, &huge, 1, &error) < 0);
    CHECK(error.code == BUS_ERROR_MEMORY);
}
