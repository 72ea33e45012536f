#include "check.h"
#include "components.h"

#include <stdlib.h>
#include <string.h>

/* Labels by flooding from each unlabelled pixel: slow and plain. */
static void flood(int32_t *labels, const unsigned char *mask, int height, int width,
                  int y, int x, int32_t label)
{
    if (y < 0 || x < 0 || y >= height || x >= width || !mask[y * width + x] ||
        labels[y * width + x] != 0)
        return;
    labels[y * width + x] = label;
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            flood(labels, mask, height, width, y + dy, x + dx, label);
}

void test_components(void)
{
    enum { HEIGHT = 23, WIDTH = 31 };
    unsigned char mask[HEIGHT * WIDTH];
    int32_t labels[HEIGHT * WIDTH], expected[HEIGHT * WIDTH];
    int32_t count = -1, expected_count;
    struct bus_error error;
    unsigned state = 7;

    for (unsigned density = 0; density <= 10; density++) {
        for (int i = 0; i < HEIGHT * WIDTH; i++) {
            state = state * 1664525U + 1013904223U;
            mask[i] = (unsigned char)((state >> 16) % 10 < density ? 255 : 0);
        }
        memset(expected, 0, sizeof expected);
        expected_count = 0;
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++)
                if (mask[y * WIDTH + x] && expected[y * WIDTH + x] == 0)
                    flood(expected, mask, HEIGHT, WIDTH, y, x, ++expected_count);
        CHECK(bus_components_label(labels, &count, mask, HEIGHT, WIDTH, &error) == 0);
        CHECK(count == expected_count);
        CHECK(memcmp(labels, expected, sizeof labels) == 0);
    }
    CHECK(bus_components_label(labels, &count, mask, 0, WIDTH, &error) == 0);
    CHECK(count == 0);
}
