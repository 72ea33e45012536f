/* The kernels' body, compiled once for each instruction set by winograd_*.c, which set
 *
 *   LANES    floats of a vector
 *   ROWS     tiles whose products stay in registers together
 *
 * and the instructions by a pragma. A body for each width is no taste: vectors wider
 * than the CPU's, which would let one body serve all, ran at a third of the speed. */
#include "winograd_block.h"

typedef float vector
    __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));
typedef int bits __attribute__((vector_size(LANES * sizeof(float))));

static const float zeros[LANES];

/* Where a tile lies. */
struct tile {
    size_t image;
    int64_t y, x; /* of its result's first pixel */
};

static inline struct tile locate(const struct bus_winograd *plan, size_t index)
{
    const size_t across = bus_winograd_divide_up((size_t)plan->src.w, STEP);
    const size_t down = bus_winograd_divide_up((size_t)plan->src.h, STEP);
    return (struct tile){.image = index / (across * down),
                         .y = (int64_t)(index / across % down * STEP),
                         .x = (int64_t)(index % across * STEP)};
}

static inline void input_line(vector *t, size_t step, const vector d[TILE])
{
    const vector a = d[4] - 4 * d[2], b = d[3] - 4 * d[1];
    const vector c = d[4] - d[2], e = 2 * (d[3] - d[1]);
    t[0 * step] = 4 * d[0] - 5 * d[2] + d[4];
    t[1 * step] = a + b;
    t[2 * step] = a - b;
    t[3 * step] = c + e;
    t[4 * step] = c - e;
    t[5 * step] = 4 * d[1] - 5 * d[3] + d[5];
}

/* Writes the transformed tile to dst[point * stride + channel]. */
static inline void transform_input(const struct bus_winograd *plan, float *dst,
                                   size_t stride, const float *src, struct tile tile)
{
    const int64_t height = plan->src.h, width = plan->src.w;
    const size_t channels = (size_t)plan->src.c;
    const float *pixels[POINTS];
    size_t inside[POINTS]; /* all ones, or nothing beyond the image's edge */
    for (int64_t i = 0; i < TILE; i++)
        for (int64_t j = 0; j < TILE; j++) {
            const int64_t y = tile.y + i - 1, x = tile.x + j - 1;
            const bool in = y >= 0 && y < height && x >= 0 && x < width;
            const int64_t row = (int64_t)tile.image * height + y;
            pixels[i * TILE + j] =
                in ? src + (size_t)(row * width + x) * channels : zeros;
            inside[i * TILE + j] = in ? SIZE_MAX : 0;
        }
    for (size_t c = 0; c < channels; c += LANES) {
        vector half[POINTS], line[TILE], out[TILE];
        for (size_t x = 0; x < TILE; x++) {
            for (size_t y = 0; y < TILE; y++) {
                const size_t i = y * TILE + x;
                line[y] = *(const vector *)(pixels[i] + (c & inside[i]));
            }
            input_line(half + x, TILE, line);
        }
        for (size_t y = 0; y < TILE; y++) {
            input_line(out, 1, half + y * TILE);
            for (size_t x = 0; x < TILE; x++)
                *(vector *)(dst + (y * TILE + x) * stride + c) = out[x];
        }
    }
}

static inline void output_line(vector *y, size_t step, const vector *m, size_t from)
{
    const vector even = m[1 * from] + m[2 * from], odd = m[1 * from] - m[2 * from];
    const vector even2 = m[3 * from] + m[4 * from], odd2 = m[3 * from] - m[4 * from];
    y[0 * step] = m[0] + even + even2;
    y[1 * step] = odd + 2 * odd2;
    y[2 * step] = even + 4 * even2;
    y[3 * step] = odd + 8 * odd2 + m[5 * from];
}

/* Reads src[point * stride], a vector each, and writes up to 4x4 pixels. */
static inline void transform_output(const struct bus_winograd *plan, float *dst,
                                    const float *src, size_t stride, struct tile tile,
                                    const float *bias, size_t channel)
{
    const int64_t height = plan->src.h, width = plan->src.w;
    vector m[TILE], half[STEP * TILE], out[STEP];
    const vector shift = *(const vector *)(bias + channel);
    const vector none = {0};
    for (size_t x = 0; x < TILE; x++) {
        vector column[STEP];
        for (size_t y = 0; y < TILE; y++)
            m[y] = *(const vector *)(src + (y * TILE + x) * stride);
        output_line(column, 1, m, 1);
        for (size_t y = 0; y < STEP; y++)
            half[y * TILE + x] = column[y];
    }
    for (int64_t y = 0; y < STEP && tile.y + y < height; y++) {
        const int64_t row = (int64_t)tile.image * height + tile.y + y;
        output_line(out, 1, half + y * TILE, 1);
        for (int64_t x = 0; x < STEP && tile.x + x < width; x++) {
            vector *pixel =
                (vector *)(dst +
                           (size_t)((row * width + tile.x + x) * plan->dst_channels) +
                           channel);
            vector sum = out[x] + shift;
            if (plan->add)
                sum += *pixel;
            if (plan->relu) /* the comparison gives all ones where it holds */
                sum = (vector)((bits)sum & (sum > none));
            *pixel = sum;
        }
    }
}

/* Names of the rows of a product that are kept in registers at a time. */
#define EACH_ROW(DO)                                                                   \
    DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)

/* dst (rows, PANEL) = a (rows, inputs) times b (inputs, PANEL), two vectors of columns
 * of it. rows is a constant wherever this is called, at most 12. */
static inline __attribute__((always_inline)) void
multiply(float *dst, const float *a, size_t inputs, const float *b, const size_t rows)
{
#define DECLARE(r) vector sum##r##_0 = {0}, sum##r##_1 = {0};
#define ADD(r)                                                                         \
    if (rows > r) {                                                                    \
        const float x = a[r * inputs + k];                                             \
        sum##r##_0 += x * left;                                                        \
        sum##r##_1 += x * right;                                                       \
    }
#define STORE(r)                                                                       \
    if (rows > r) {                                                                    \
        *(vector *)(dst + r * PANEL) = sum##r##_0;                                     \
        *(vector *)(dst + r * PANEL + LANES) = sum##r##_1;                             \
    }
    EACH_ROW(DECLARE)
    for (size_t k = 0; k < inputs; k++) {
        const vector left = *(const vector *)(b + k * PANEL);
        const vector right = *(const vector *)(b + k * PANEL + LANES);
        EACH_ROW(ADD)
    }
    EACH_ROW(STORE)
#undef DECLARE
#undef ADD
#undef STORE
}

/* A whole product, in pieces of at most ROWS rows. */
static void multiply_rows(float *dst, const float *a, size_t rows, size_t inputs,
                          const float *b)
{
    for (size_t column = 0; column < PANEL; column += 2 * LANES) {
        size_t row = 0;
        for (; row + ROWS <= rows; row += ROWS)
            multiply(dst + row * PANEL + column, a + row * inputs, inputs, b + column,
                     ROWS);
        for (; ROWS > 8 && row + 8 <= rows; row += 8)
            multiply(dst + row * PANEL + column, a + row * inputs, inputs, b + column,
                     8);
        for (; row + 4 <= rows; row += 4)
            multiply(dst + row * PANEL + column, a + row * inputs, inputs, b + column,
                     4);
        for (; row + 2 <= rows; row += 2)
            multiply(dst + row * PANEL + column, a + row * inputs, inputs, b + column,
                     2);
        for (; row < rows; row++)
            multiply(dst + row * PANEL + column, a + row * inputs, inputs, b + column,
                     1);
    }
}

static void compute(BUS_WINOGRAD_ARGUMENTS)
{
    const size_t inputs = (size_t)plan->src.c, tiles = last - first;
    float *products = scratch + POINTS * plan->block_tiles * inputs;
    for (size_t t = 0; t < tiles; t++)
        transform_input(plan, scratch + t * inputs, tiles * inputs, src,
                        locate(plan, first + t));
    for (size_t channel = 0; channel < (size_t)plan->dst_channels; channel += PANEL) {
        for (size_t point = 0; point < POINTS; point++, weights += inputs * PANEL)
            multiply_rows(products + point * tiles * PANEL,
                          scratch + point * tiles * inputs, tiles, inputs, weights);
        for (size_t t = 0; t < tiles; t++)
            for (size_t c = 0; c < PANEL; c += LANES)
                transform_output(plan, dst, products + t * PANEL + c, tiles * PANEL,
                                 locate(plan, first + t), bias, channel + c);
    }
}
