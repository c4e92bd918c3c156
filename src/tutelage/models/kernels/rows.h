/* One row of what lies between a decoder's matrix products: see layers.c for the equations. Computed in float32, rounded once. */

#pragma once

#include "numbers.h"

#include <math.h>

#define SILU 0
#define GELU 1

static inline void store16(bf16 *to, __m512 x) { _mm256_storeu_si256((__m256i *)to, narrow16(x)); }

/* y = x / rms(x) (w + unit), D numbers; returns 1 / rms. */
static inline float norm_row(bf16 *y, const bf16 *x, const bf16 *w, float unit, float eps, int64_t D) {
    const __m512 one = _mm512_set1_ps(unit);
    __m512 sum = _mm512_setzero_ps();
    for (int64_t d = 0; d < D; d += 16) {
        const __m512 v = wide16(x + d);
        sum = _mm512_fmadd_ps(v, v, sum);
    }
    const float inverse = 1 / sqrtf(_mm512_reduce_add_ps(sum) / (float)D + eps);
    const __m512 scale = _mm512_set1_ps(inverse);
    for (int64_t d = 0; d < D; d += 16)
        store16(y + d, _mm512_mul_ps(_mm512_mul_ps(wide16(x + d), scale), _mm512_add_ps(wide16(w + d), one)));
    return inverse;
}

/* s(k(a)) */
static inline __m512 gate16(__m512 a, int kind) {
    const __m512 c = _mm512_set1_ps(1.59576912f), one = _mm512_set1_ps(1.f);
    __m512 k = a;
    if (kind == GELU) k = _mm512_mul_ps(_mm512_mul_ps(a, c), _mm512_fmadd_ps(_mm512_set1_ps(0.044715f), _mm512_mul_ps(a, a), one));
    k = _mm512_max_ps(k, _mm512_set1_ps(-80.f)); /* beyond, exp(-k) is more than float32 holds */
    return _mm512_div_ps(one, _mm512_add_ps(one, exp16(_mm512_sub_ps(_mm512_setzero_ps(), k))));
}

/* y = a s(k(a)) b, sixteen at a time */
static inline void gated16(bf16 *y, const bf16 *a, const bf16 *b, int kind) {
    const __m512 x = wide16(a);
    store16(y, _mm512_mul_ps(_mm512_mul_ps(x, gate16(x, kind)), wide16(b)));
}

static inline __m512 wide_some(const bf16 *x, __mmask16 in) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(in, x)), 16));
}

static inline void store_some(bf16 *to, __m512 x, __mmask16 in) { _mm256_mask_storeu_epi16(to, in, narrow16(x)); }

/* A head of d numbers, d a multiple of 16; y may be x. `back`: the gradient's way. */
static inline void rotary_row(bf16 *y, const bf16 *x, const bf16 *cos_d, const bf16 *sin_d, int64_t d, int back) {
    const int64_t half = d / 2;
    for (int64_t i = 0; i < half; i += 16) {
        const __mmask16 in = half - i < 16 ? 0xff : 0xffff;
        const __m512 first = wide_some(x + i, in), second = wide_some(x + half + i, in);
        const __m512 s1 = wide_some(sin_d + (back ? half : 0) + i, in), s2 = wide_some(sin_d + (back ? 0 : half) + i, in);
        const __m512 a = _mm512_mul_ps(second, s1), b = _mm512_mul_ps(first, s2);
        const __m512 one = _mm512_mul_ps(first, wide_some(cos_d + i, in)), two = _mm512_mul_ps(second, wide_some(cos_d + half + i, in));
        store_some(y + i, back ? _mm512_add_ps(one, a) : _mm512_sub_ps(one, a), in);
        store_some(y + half + i, back ? _mm512_sub_ps(two, b) : _mm512_add_ps(two, b), in);
    }
}
