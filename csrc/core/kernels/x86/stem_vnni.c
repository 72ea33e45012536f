/* Twenty-four of thirty-two registers hold six pixels of sixty-four channels. */
#include <immintrin.h>
#include <string.h>

#include "kernels/stem.h"
#include "kernels/target.h"

BUS_TARGET_BEGIN("avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,fma")

#define LANES 16
#define VECTORS 4
#define PIXELS 6

typedef __m512i integers;

static inline integers dot(integers sums, integers codes, integers w)
{
    return _mm512_dpbusd_epi32(sums, codes, w);
}

static inline integers broadcast(int codes) { return _mm512_set1_epi32(codes); }

static inline void to_bytes(unsigned char *dst, __m512 real)
{
    const __m512i rounded =
        _mm512_max_epi32(_mm512_cvtps_epi32(real), _mm512_setzero_si512());
    _mm_storeu_si128((__m128i *)(void *)dst, _mm512_cvtusepi32_epi8(rounded));
}

static inline void finish(unsigned char *dst, integers sums, const float *scales,
                          const float *bias)
{
    to_bytes(dst, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), _mm512_loadu_ps(scales),
                                  _mm512_loadu_ps(bias)));
}

static inline void encode(unsigned char *dst, const float *src, const float *a,
                          const float *b)
{
    to_bytes(dst, _mm512_fmadd_ps(_mm512_loadu_ps(src), _mm512_loadu_ps(a),
                                  _mm512_loadu_ps(b)));
}

#include "kernels/stem_body.h"

const struct bus_kernel bus_stem_vnni =
    BUS_STEM_KERNEL("avx512 vnni", BUS_ISA_AVX512_VNNI, 127);

BUS_TARGET_END
