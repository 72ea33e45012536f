/* Labels of any mask: pixels of the mask and no others have one, neighbours share it,
 * and none is left out. */
#include <stdbool.h>
#include <stdlib.h>

#include "components.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    const size_t height = (size_t)take_up_to(&input, 40);
    const size_t width = (size_t)take_up_to(&input, 40);
    uint8_t *mask = malloc(height * width + 1);
    int32_t *labels = malloc((height * width + 1) * sizeof *labels);
    bool seen[40 * 40 + 1] = {false};
    struct bus_error error = {0};
    int32_t count = -1;
    require(mask != NULL && labels != NULL);
    for (size_t i = 0; i < height * width; i += 8) {
        const uint8_t byte = take_byte(&input);
        for (size_t bit = 0; bit < 8 && i + bit < height * width; bit++)
            mask[i + bit] = byte >> bit & 1;
    }
    require(bus_components_label(labels, &count, mask, height, width, &error) == 0);
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++) {
            const size_t at = y * width + x;
            require((labels[at] != 0) == (mask[at] != 0));
            require(labels[at] >= 0 && labels[at] <= count);
            seen[labels[at]] = true;
            if (mask[at] == 0)
                continue;
            if (x + 1 < width && mask[at + 1] != 0)
                require(labels[at + 1] == labels[at]);
            if (y + 1 == height)
                continue;
            for (size_t left = x > 0 ? x - 1 : 0; left <= x + 1 && left < width; left++)
                if (mask[at + width - x + left] != 0)
                    require(labels[at + width - x + left] == labels[at]);
        }
    for (int32_t i = 1; i <= count; i++)
        require(seen[i]);
    free(labels);
    free(mask);
    return 0;
}
