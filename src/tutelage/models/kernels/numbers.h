/* bfloat16 and exp, sixteen at a time. */

#pragma once

#include <immintrin.h>
#include <stdint.h>

typedef uint16_t bf16;

static inline __m512 wide16(const bf16 *x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)x)), 16));
}

static inline __m256i narrow16(__m512 x) { return (__m256i)_mm512_cvtneps_pbh(x); }

/* exp(x) to 2e-7; 0 far below. 2^n 2^r with |r| <= 1/2, 2^r by a polynomial of degree 6. */
static inline __m512 exp16(__m512 x) {
    x = _mm512_mul_ps(_mm512_max_ps(x, _mm512_set1_ps(-100.f)), _mm512_set1_ps(1.44269504f));
    __m512 n = _mm512_roundscale_ps(x, 0), r = _mm512_sub_ps(x, n), y = _mm512_set1_ps(1.5353362e-4f);
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1.3398874e-3f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(9.6184370e-3f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(5.5503324e-2f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(2.4022648e-1f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(6.9314720e-1f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1.f));
    return _mm512_scalef_ps(y, n);
}
