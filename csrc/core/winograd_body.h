/* The kernels' body, compiled once for each instruction set by winograd_*.c, which set
 *
 *   LANES    floats of a vector
 *   ROWS     tiles whose products stay in registers together
 *
 * and the instructions by target.h. A body for each width is no taste: vectors wider
 * than the CPU's, which would let one body serve all, ran at a third of the speed. */
#include "target.h"
#include "winograd_block.h"

typedef float vector
    __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));
typedef int bits __attribute__((vector_size(LANES * sizeof(float))));

/* Where a tile lies. */
struct tile {
    size_t image;
    int64_t y, x; /* of its result's first pixel */
};

static inline struct tile locate(const struct bus_winograd *plan, size_t index)
{
    const size_t across = bus_divide_up((size_t)plan->src.w, plan->step);
    const size_t down = bus_divide_up((size_t)plan->src.h, plan->step);
    return (struct tile){.image = index / (across * down),
                         .y = (int64_t)(index / across % down * plan->step),
                         .x = (int64_t)(index % across * plan->step)};
}

/* Moves to the next tile. */
static inline void advance(const struct bus_winograd *plan, struct tile *tile)
{
    tile->x += (int64_t)plan->step;
    if (tile->x < plan->src.w)
        return;
    tile->x = 0;
    tile->y += (int64_t)plan->step;
    if (tile->y < plan->src.h)
        return;
    tile->y = 0;
    tile->image++;
}

/* In what follows step is a constant wherever it is passed. */

static ALWAYS_INLINE void input_line(vector *t, size_t apart, const vector *d,
                                     const size_t step)
{
    if (step == 2) {
        t[0 * apart] = d[0] - d[2];
        t[1 * apart] = d[1] + d[2];
        t[2 * apart] = d[2] - d[1];
        t[3 * apart] = d[3] - d[1];
        return;
    }
    const vector a = d[4] - 4 * d[2], b = d[3] - 4 * d[1];
    const vector c = d[4] - d[2], e = 2 * (d[3] - d[1]);
    t[0 * apart] = 4 * d[0] - 5 * d[2] + d[4];
    t[1 * apart] = a + b;
    t[2 * apart] = a - b;
    t[3 * apart] = c + e;
    t[4 * apart] = c - e;
    t[5 * apart] = 4 * d[1] - 5 * d[3] + d[5];
}

/* Transforms a vector of channels of a tile, whose pixels are line[y * side + x]. */
static ALWAYS_INLINE void transform_pixels(float *dst, size_t stride,
                                           const vector *pixels, const size_t step)
{
    const size_t side = step + 2;
    vector half[MOST_POINTS], line[MOST_SIDE], out[MOST_SIDE];
    for (size_t x = 0; x < side; x++) {
        for (size_t y = 0; y < side; y++)
            line[y] = pixels[y * side + x];
        input_line(half + x, side, line, step);
    }
    for (size_t y = 0; y < side; y++) {
        input_line(out, 1, half + y * side, step);
        for (size_t x = 0; x < side; x++)
            *(vector *)(dst + (y * side + x) * stride) = out[x];
    }
}

/* Writes the transformed tile to dst[point * stride + channel]. */
static ALWAYS_INLINE void transform_input(const struct bus_winograd *plan, float *dst,
                                          size_t stride, const float *src,
                                          struct tile tile, const size_t step)
{
    const size_t side = step + 2;
    const int64_t height = plan->src.h, width = plan->src.w;
    const size_t channels = (size_t)plan->src.c;
    const int64_t top = tile.y - 1, left = tile.x - 1;
    const int64_t bottom = top + (int64_t)side, right = left + (int64_t)side;
    const float *image =
        src + (size_t)((int64_t)tile.image * height * width) * channels;
    vector pixels[MOST_POINTS];
    if (top >= 0 && left >= 0 && bottom <= height && right <= width) {
        const float *corner = image + (size_t)(top * width + left) * channels;
        const size_t row = (size_t)width * channels;
        for (size_t c = 0; c < channels; c += LANES) {
            for (size_t y = 0; y < side; y++)
                for (size_t x = 0; x < side; x++)
                    pixels[y * side + x] =
                        *(const vector *)(corner + y * row + x * channels + c);
            transform_pixels(dst + c, stride, pixels, step);
        }
        return;
    }
    for (size_t c = 0; c < channels; c += LANES) {
        for (size_t i = 0; i < side * side; i++) {
            const int64_t y = top + (int64_t)(i / side), x = left + (int64_t)(i % side);
            const bool in = y >= 0 && y < height && x >= 0 && x < width;
            const size_t place = in ? (size_t)(y * width + x) * channels + c : 0;
            pixels[i] = in ? *(const vector *)(image + place) : (vector){0};
        }
        transform_pixels(dst + c, stride, pixels, step);
    }
}

static ALWAYS_INLINE void output_line(vector *y, const vector *m, const size_t step)
{
    const vector even = m[1] + m[2], odd = m[1] - m[2];
    if (step == 2) {
        y[0] = m[0] + even;
        y[1] = odd + m[3];
        return;
    }
    const vector even2 = m[3] + m[4], odd2 = m[3] - m[4];
    y[0] = m[0] + even + even2;
    y[1] = odd + 2 * odd2;
    y[2] = even + 4 * even2;
    y[3] = odd + 8 * odd2 + m[5];
}

/* Reads src[point * stride], a vector each, and writes up to step x step pixels. */
static ALWAYS_INLINE void transform_output(const struct bus_winograd *plan, float *dst,
                                           const float *src, size_t stride,
                                           struct tile tile, const float *bias,
                                           size_t channel, const size_t step)
{
    const size_t side = step + 2;
    const int64_t height = plan->src.h, width = plan->src.w;
    vector m[MOST_SIDE], half[MOST_POINTS], out[MOST_SIDE];
    const vector shift = *(const vector *)(bias + channel);
    const vector none = {0};
    for (size_t x = 0; x < side; x++) {
        for (size_t y = 0; y < side; y++)
            m[y] = *(const vector *)(src + (y * side + x) * stride);
        output_line(out, m, step);
        for (size_t y = 0; y < step; y++)
            half[y * side + x] = out[y];
    }
    for (size_t y = 0; y < step && tile.y + (int64_t)y < height; y++) {
        const int64_t row = (int64_t)tile.image * height + tile.y + (int64_t)y;
        output_line(out, half + y * side, step);
        for (size_t x = 0; x < step && tile.x + (int64_t)x < width; x++) {
            const int64_t place = row * width + tile.x + (int64_t)x;
            vector *pixel =
                (vector *)(dst + (size_t)(place * plan->dst_channels) + channel);
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
static ALWAYS_INLINE void multiply(float *dst, const float *a, size_t inputs,
                                   const float *b, const size_t rows)
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

/* A whole product, in pieces of at most ROWS rows that are nearly the same: a last one
 * of few rows would read all of b for little. */
static void multiply_rows(float *dst, const float *a, size_t rows, size_t inputs,
                          const float *b)
{
#define CASE(r)                                                                        \
    case r + 1:                                                                        \
        multiply(to, from, inputs, b + column, r + 1 <= ROWS ? r + 1 : ROWS);          \
        break;
    const size_t pieces = bus_divide_up(rows, ROWS);
    for (size_t column = 0; column < PANEL; column += 2 * LANES)
        for (size_t piece = 0; piece < pieces; piece++) {
            const size_t row = piece * rows / pieces;
            const float *from = a + row * inputs;
            float *to = dst + row * PANEL + column;
            switch ((piece + 1) * rows / pieces - row) {
                EACH_ROW(CASE)
            default:
                break;
            }
        }
#undef CASE
}

static ALWAYS_INLINE void transform_by(const size_t step,
                                       const struct bus_winograd_block *block,
                                       size_t from, size_t to)
{
    const struct bus_winograd *plan = block->plan;
    const size_t inputs = (size_t)plan->src.c;
    const size_t stride = bus_winograd_stride(plan->block_tiles * inputs);
    struct tile tile = locate(plan, block->first + from);
    for (size_t t = from; t < to; t++, advance(plan, &tile))
        transform_input(plan, block->tiles + t * inputs, stride, block->src, tile,
                        step);
}

static void transform(const struct bus_winograd_block *block, size_t from, size_t to)
{
    if (block->plan->step == 2)
        transform_by(2, block, from, to);
    else
        transform_by(4, block, from, to);
}

static ALWAYS_INLINE void combine_by(const size_t step,
                                     const struct bus_winograd_block *block,
                                     float *products, size_t from, size_t to)
{
    const struct bus_winograd *plan = block->plan;
    const size_t points = (step + 2) * (step + 2);
    const size_t inputs = (size_t)plan->src.c, count = block->last - block->first;
    const size_t stride = bus_winograd_stride(plan->block_tiles * inputs);
    const size_t product_stride = bus_winograd_stride(plan->block_tiles * PANEL);
    const float *weights = block->weights + from * points * inputs * PANEL;
    for (size_t panel = from; panel < to; panel++) {
        for (size_t point = 0; point < points; point++, weights += inputs * PANEL)
            multiply_rows(products + point * product_stride,
                          block->tiles + point * stride, count, inputs, weights);
        struct tile tile = locate(plan, block->first);
        for (size_t t = 0; t < count; t++, advance(plan, &tile))
            for (size_t c = 0; c < PANEL; c += LANES)
                transform_output(plan, block->dst, products + t * PANEL + c,
                                 product_stride, tile, block->bias, panel * PANEL + c,
                                 step);
    }
}

static void combine(const struct bus_winograd_block *block, float *products,
                    size_t from, size_t to)
{
    if (block->plan->step == 2)
        combine_by(2, block, products, from, to);
    else
        combine_by(4, block, products, from, to);
}
