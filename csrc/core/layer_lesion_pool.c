/* The mean over a lesion, and its size: activations are averaged with the lesion's
 * probabilities as weights.
 *
 * Probabilities are sigmoids of the logits, averaged onto the grid of the source: cell
 * (i, j) of h x w has the mean of rows i H / h to ceil((i + 1) H / h) - 1 and of
 * columns likewise (adaptive average pooling). With these weights w, the first C
 * results are sum(w * src) / (sum(w) + EPSILON), the next is the maximum of w, the last
 * the square root of the mean of w. oneDNN has no such primitive. */
#include <math.h>

#include "kernels/kernel.h"
#include "layer.h"
#include "util.h"

/* An image without any lesion divides by this. */
#define EPSILON 1e-3

/* Channels that a thread sums together. */
#define CHANNELS ((size_t)64)

static int check(const struct bus_graph *graph, const struct bus_node *node,
                 struct bus_node *completed, struct bus_error *error)
{
    const struct bus_node *logits = &graph->nodes[node->logits];
    if (logits->channels != 1)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "lesion_pool: the logits (%s) have %lld channels, "
                             "expected 1",
                             logits->name != NULL ? logits->name
                                                  : bus_layer_types[logits->op]->name,
                             (long long)logits->channels);
    completed->channels = completed->src_channels + 2;
    if (completed->channels > BUS_MAX_CHANNELS)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "lesion_pool: %lld channels, at most %d are possible",
                             (long long)completed->channels, BUS_MAX_CHANNELS);
    return 0;
}

const struct bus_layer_type bus_layer_lesion_pool = {
    .name = "lesion_pool",
    .check = check,
    .infer = bus_pixel_infer,
};

static bool admits(const struct bus_node *node, enum bus_precision precision)
{
    (void)precision;
    return node->op == BUS_LESION_POOL;
}

static size_t cost(const struct bus_kernel *kernel, const struct bus_kernel_call *call)
{
    (void)kernel;
    (void)call;
    return 0; /* nothing else computes it */
}

/* Where the parts of the scratch memory lie, in bytes. */
struct layout {
    size_t row;  /* logits of a row, and then their probabilities: floats */
    size_t sums; /* of the probabilities of some rows: doubles */
    size_t thread_size, grid, size;
};

static struct layout lay_out(const struct bus_kernel_call *call)
{
    const size_t width = (size_t)call->logits.shape.w;
    const struct bus_shape *src = &call->src.shape;
    struct layout layout = {.row = 0};
    layout.sums = bus_round_up(width * sizeof(float), 64);
    layout.thread_size = layout.sums + bus_round_up(width * sizeof(double), 64);
    layout.grid = (size_t)call->threads * layout.thread_size;
    layout.size = layout.grid + (size_t)(src->n * src->h * src->w) * sizeof(float);
    return layout;
}

static size_t scratch(const struct bus_kernel *kernel,
                      const struct bus_kernel_call *call)
{
    (void)kernel;
    return lay_out(call).size;
}

/* Writes numbers of a tensor as the real ones that they stand for. */
static void read_numbers(float *dst, const struct bus_tensor *tensor, size_t first,
                         size_t count)
{
    const float scale = tensor->quant.scale, zero_point = tensor->quant.zero_point;
    const uint8_t *bytes = tensor->data;
    const uint16_t *halves = tensor->data;
    const float *floats = tensor->data;
    if (tensor->type == dnnl_u8)
        for (size_t i = 0; i < count; i++)
            dst[i] = scale * ((float)bytes[first + i] - zero_point);
    else if (tensor->type == dnnl_bf16)
        for (size_t i = 0; i < count; i++)
            dst[i] = bus_from_bf16(halves[first + i]);
    else
        for (size_t i = 0; i < count; i++)
            dst[i] = scale * (floats[first + i] - zero_point);
}

/* exp(x) to about 1e-7 of it, x from -87 to 87: 2^n times a polynomial of what is left,
 * the Taylor series up to r^7 / 7! for |r| < log(2) / 2. Without branches and calls, so
 * that loops of it become vectors. */
static inline float exponential(float x)
{
    const float magic = 0x1.8p23F; /* adding it rounds to an integer */
    const float shifted = x * 0x1.715476p0F + magic;
    const float n = shifted - magic;
    const float r = (x - n * 0x1.62e4p-1F) - n * 0x1.7f7d1cp-20F; /* log(2) in two */
    float series = 1.0F / 5040.0F;
    series = series * r + 1.0F / 720.0F;
    series = series * r + 1.0F / 120.0F;
    series = series * r + 1.0F / 24.0F;
    series = series * r + 1.0F / 6.0F;
    series = series * r + 0.5F;
    series = series * r + 1.0F;
    series = series * r + 1.0F;
    union {
        int32_t bits;
        float number;
    } power = {.bits = ((int32_t)n + 127) * (1 << 23)};
    return series * power.number;
}

static void apply_sigmoid(float *numbers, size_t count)
{
#pragma omp simd
    for (size_t i = 0; i < count; i++) {
        float x = numbers[i];
        x = x < -87.0F ? -87.0F : x;
        x = x > 87.0F ? 87.0F : x;
        numbers[i] = 1.0F / (1.0F + exponential(-x));
    }
}

/* Writes a row of the grid of an image. */
static void fill_row(float *grid, const struct bus_kernel_call *call, size_t image,
                     size_t i, void *memory)
{
    const struct layout layout = lay_out(call);
    const size_t height = (size_t)call->logits.shape.h;
    const size_t width = (size_t)call->logits.shape.w;
    const size_t rows = (size_t)call->src.shape.h, columns = (size_t)call->src.shape.w;
    const size_t top = i * height / rows,
                 bottom = bus_divide_up((i + 1) * height, rows);
    float *row = (float *)(void *)((char *)memory + layout.row);
    double *sums = (double *)(void *)((char *)memory + layout.sums);
    for (size_t x = 0; x < width; x++)
        sums[x] = 0.0;
    for (size_t y = top; y < bottom; y++) {
        read_numbers(row, &call->logits, (image * height + y) * width, width);
        apply_sigmoid(row, width);
        for (size_t x = 0; x < width; x++)
            sums[x] += row[x];
    }
    for (size_t j = 0; j < columns; j++) {
        const size_t left = j * width / columns;
        const size_t right = bus_divide_up((j + 1) * width, columns);
        double sum = 0.0;
        for (size_t x = left; x < right; x++)
            sum += sums[x];
        grid[i * columns + j] =
            (float)(sum / (double)((bottom - top) * (right - left)));
    }
}

static void write_number(const struct bus_tensor *dst, size_t index, double number)
{
    if (dst->type == dnnl_bf16)
        ((uint16_t *)dst->data)[index] = bus_to_bf16((float)number);
    else
        ((float *)dst->data)[index] = (float)number;
}

/* Writes the means of channels first to last - 1 of an image, at most CHANNELS. */
static void average(const struct bus_kernel_call *call, const float *grid, size_t image,
                    size_t first, size_t last)
{
    const size_t pixels = (size_t)(call->src.shape.h * call->src.shape.w);
    const size_t channels = (size_t)call->src.shape.c, count = last - first;
    double sums[CHANNELS] = {0}, weight = EPSILON;
    float numbers[CHANNELS];
    for (size_t i = 0; i < pixels; i++) {
        read_numbers(numbers, &call->src, (image * pixels + i) * channels + first,
                     count);
        for (size_t c = 0; c < count; c++)
            sums[c] += (double)grid[i] * numbers[c];
        weight += grid[i];
    }
    for (size_t c = 0; c < count; c++)
        write_number(&call->dst, image * (channels + 2) + first + c, sums[c] / weight);
}

/* Writes the maximum and the root of the mean of an image's weights. */
static void measure(const struct bus_kernel_call *call, const float *grid, size_t image)
{
    const size_t pixels = (size_t)(call->src.shape.h * call->src.shape.w);
    const size_t channels = (size_t)call->src.shape.c;
    const size_t at = image * (channels + 2) + channels;
    double sum = 0.0;
    float largest = 0.0F;
    for (size_t i = 0; i < pixels; i++) {
        sum += grid[i];
        largest = grid[i] > largest ? grid[i] : largest;
    }
    write_number(&call->dst, at, largest);
    write_number(&call->dst, at + 1, sqrt(sum / (double)pixels));
}

static void run(const struct bus_kernel *kernel, const struct bus_kernel_call *call)
{
    const struct layout layout = lay_out(call);
    const struct bus_shape *src = &call->src.shape;
    const size_t images = (size_t)src->n, channels = (size_t)src->c;
    const size_t height = (size_t)src->h, pixels = height * (size_t)src->w;
    const size_t blocks = bus_divide_up(channels, CHANNELS);
    const size_t threads = (size_t)call->threads, rows = images * height;
    float *grids = (float *)(void *)((char *)call->scratch + layout.grid);
    (void)kernel;
#pragma omp parallel num_threads(call->threads)
    {
#pragma omp for schedule(static)
        for (size_t part = 0; part < threads; part++)
            for (size_t row = part * rows / threads; row < (part + 1) * rows / threads;
                 row++)
                fill_row(grids + row / height * pixels, call, row / height,
                         row % height,
                         (char *)call->scratch + part * layout.thread_size);
#pragma omp for schedule(static) nowait
        for (size_t task = 0; task < images * blocks; task++) {
            const size_t image = task / blocks, first = task % blocks * CHANNELS;
            const size_t last =
                first + CHANNELS < channels ? first + CHANNELS : channels;
            average(call, grids + image * pixels, image, first, last);
        }
#pragma omp for schedule(static)
        for (size_t image = 0; image < images; image++)
            measure(call, grids + image * pixels, image);
    }
}

const struct bus_kernel bus_lesion_pool = {
    .name = "lesion pool",
    .isa = BUS_ISA_PLAIN,
    .admits = admits,
    .cost = cost,
    .scratch = scratch,
    .run = run,
};
