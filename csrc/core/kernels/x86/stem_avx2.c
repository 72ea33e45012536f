/* Eight of sixteen registers hold two pixels of thirty-two channels. Pairs of products
 * are summed in 16 bits, which 7-bit weights do not overflow. */
#include <immintrin.h>
#include <string.h>

#include "kernels/stem.h"
#include "kernels/target.h"

BUS_TARGET_BEGIN("avx2,fma")

#define LANES 8
#define VECTORS 4
#define PIXELS 2

typedef __m256i integers;

static inline integers dot(integers sums, integers codes, integers w)
{
    const __m256i pairs = _mm256_maddubs_epi16(codes, w);
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

static inline integers broadcast(int codes) { return _mm256_set1_epi32(codes); }

static inline void to_bytes(unsigned char *dst, __m256 real)
{
    const __m256i rounded = _mm256_cvtps_epi32(real);
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(rounded),
                                           _mm256_extracti128_si256(rounded, 1));
    _mm_storel_epi64((__m128i *)(void *)dst, _mm_packus_epi16(words, words));
}

static inline void finish(unsigned char *dst, integers sums, const float *scales,
                          const float *bias)
{
    to_bytes(dst, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), _mm256_loadu_ps(scales),
                                  _mm256_loadu_ps(bias)));
}

static inline void encode(unsigned char *dst, const float *src, const float *a,
                          const float *b)
{
    to_bytes(dst, _mm256_fmadd_ps(_mm256_loadu_ps(src), _mm256_loadu_ps(a),
                                  _mm256_loadu_ps(b)));
}

#include "kernels/stem_body.h"

const struct bus_kernel bus_stem_avx2 = BUS_STEM_KERNEL("avx2", BUS_ISA_AVX2, 64);

BUS_TARGET_END
