/* The kernels' body, compiled once for each instruction set by winograd_*.c, which set
 *
 *   LANES    floats of a vector
 *   ROWS     tiles whose products stay in registers together
 *
 * and the instructions by target.h. One body with vectors wider than the CPU's, which
 * would serve all instruction sets, ran at a third of the speed. */
#include "kernels/target.h"
#include "kernels/winograd.h"

typedef float vector
    __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));
typedef int bits __attribute__((vector_size(LANES * sizeof(float))));

/* Where a tile's result begins. */
struct origin {
    size_t image;
    int64_t y, x;
};

static inline struct origin locate(const struct bus_winograd *plan, size_t index)
{
    const size_t across = bus_divide_up((size_t)plan->src.w, plan->tile);
    const size_t down = bus_divide_up((size_t)plan->src.h, plan->tile);
    return (struct origin){.image = index / (across * down),
                           .y = (int64_t)(index / across % down * plan->tile),
                           .x = (int64_t)(index % across * plan->tile)};
}

/* Moves to the next origin. */
static inline void advance(const struct bus_winograd *plan, struct origin *origin)
{
    origin->x += (int64_t)plan->tile;
    if (origin->x < plan->src.w)
        return;
    origin->x = 0;
    origin->y += (int64_t)plan->tile;
    if (origin->y < plan->src.h)
        return;
    origin->y = 0;
    origin->image++;
}

/* In what follows tile is a constant wherever it is passed. */

static ALWAYS_INLINE void input_line(vector *t, size_t apart, const vector *d,
                                     const size_t tile)
{
    if (tile == 2) {
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
                                           const vector *pixels, const size_t tile)
{
    const size_t side = tile + 2;
    vector half[MAX_POINTS], line[MAX_SIDE], out[MAX_SIDE];
    for (size_t x = 0; x < side; x++) {
        for (size_t y = 0; y < side; y++)
            line[y] = pixels[y * side + x];
        input_line(half + x, side, line, tile);
    }
    for (size_t y = 0; y < side; y++) {
        input_line(out, 1, half + y * side, tile);
        for (size_t x = 0; x < side; x++)
            *(vector *)(dst + (y * side + x) * stride) = out[x];
    }
}

/* Writes the transformed tile to dst[point * stride + channel]. */
static ALWAYS_INLINE void transform_input(const struct bus_winograd *plan, float *dst,
                                          size_t stride, const float *src,
                                          struct origin origin, const size_t tile)
{
    const size_t side = tile + 2;
    const int64_t height = plan->src.h, width = plan->src.w;
    const size_t channels = (size_t)plan->src.c;
    const int64_t top = origin.y - 1, left = origin.x - 1;
    const int64_t bottom = top + (int64_t)side, right = left + (int64_t)side;
    const float *image =
        src + (size_t)((int64_t)origin.image * height * width) * channels;
    vector pixels[MAX_POINTS];
    if (top >= 0 && left >= 0 && bottom <= height && right <= width) {
        const float *corner = image + (size_t)(top * width + left) * channels;
        const size_t row = (size_t)width * channels;
        for (size_t c = 0; c < channels; c += LANES) {
            for (size_t y = 0; y < side; y++)
                for (size_t x = 0; x < side; x++)
                    pixels[y * side + x] =
                        *(const vector *)(corner + y * row + x * channels + c);
            transform_pixels(dst + c, stride, pixels, tile);
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
        transform_pixels(dst + c, stride, pixels, tile);
    }
}

static ALWAYS_INLINE void output_line(vector *y, const vector *m, const size_t tile)
{
    const vector even = m[1] + m[2], odd = m[1] - m[2];
    if (tile == 2) {
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

/* Reads src[point * stride], a vector each, and writes up to tile x tile pixels. */
static ALWAYS_INLINE void transform_output(const struct bus_winograd *plan, float *dst,
                                           const float *src, size_t stride,
                                           struct origin origin, const float *bias,
                                           size_t channel, const size_t tile)
{
    const size_t side = tile + 2;
    const int64_t height = plan->src.h, width = plan->src.w;
    vector m[MAX_SIDE], half[MAX_POINTS], out[MAX_SIDE];
    const vector shift = *(const vector *)(bias + channel);
    const vector none = {0};
    for (size_t x = 0; x < side; x++) {
        for (size_t y = 0; y < side; y++)
            m[y] = *(const vector *)(src + (y * side + x) * stride);
        output_line(out, m, tile);
        for (size_t y = 0; y < tile; y++)
            half[y * side + x] = out[y];
    }
    for (size_t y = 0; y < tile && origin.y + (int64_t)y < height; y++) {
        const int64_t row = (int64_t)origin.image * height + origin.y + (int64_t)y;
        output_line(out, half + y * side, tile);
        for (size_t x = 0; x < tile && origin.x + (int64_t)x < width; x++) {
            const int64_t place = row * width + origin.x + (int64_t)x;
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

/* The rows of a product that stay in registers together. */
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

/* A whole product, in pieces of nearly equal size of at most ROWS rows: a small last
 * piece would read all of b for little. */
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

static ALWAYS_INLINE void transform_by(const size_t tile,
                                       const struct bus_winograd_block *block,
                                       size_t from, size_t to)
{
    const struct bus_winograd *plan = block->plan;
    const size_t inputs = (size_t)plan->src.c;
    const size_t stride = bus_winograd_stride(plan->block_tiles * inputs);
    struct origin origin = locate(plan, block->first + from);
    for (size_t t = from; t < to; t++, advance(plan, &origin))
        transform_input(plan, block->tiles + t * inputs, stride, block->src, origin,
                        tile);
}

static void transform_2(const struct bus_winograd_block *block, size_t from, size_t to)
{
    transform_by(2, block, from, to);
}

static void transform_4(const struct bus_winograd_block *block, size_t from, size_t to)
{
    transform_by(4, block, from, to);
}

static ALWAYS_INLINE void combine_by(const size_t tile,
                                     const struct bus_winograd_block *block,
                                     float *products, size_t from, size_t to)
{
    const struct bus_winograd *plan = block->plan;
    const size_t points = (tile + 2) * (tile + 2);
    const size_t inputs = (size_t)plan->src.c, count = block->last - block->first;
    const size_t stride = bus_winograd_stride(plan->block_tiles * inputs);
    const size_t product_stride = bus_winograd_stride(plan->block_tiles * PANEL);
    const float *weights = block->weights + from * points * inputs * PANEL;
    for (size_t panel = from; panel < to; panel++) {
        for (size_t point = 0; point < points; point++, weights += inputs * PANEL)
            multiply_rows(products + point * product_stride,
                          block->tiles + point * stride, count, inputs, weights);
        struct origin origin = locate(plan, block->first);
        for (size_t t = 0; t < count; t++, advance(plan, &origin))
            for (size_t c = 0; c < PANEL; c += LANES)
                transform_output(plan, block->dst, products + t * PANEL + c,
                                 product_stride, origin, block->bias, panel * PANEL + c,
                                 tile);
    }
}

static void combine_2(const struct bus_winograd_block *block, float *products,
                      size_t from, size_t to)
{
    combine_by(2, block, products, from, to);
}

static void combine_4(const struct bus_winograd_block *block, float *products,
                      size_t from, size_t to)
{
    combine_by(4, block, products, from, to);
}
