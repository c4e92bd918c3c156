/* What lies between a decoder's matrix products, one pass over memory each way. Computed in float32, rounded once.

       norm      y = x / rms(x) * w,             rms(x) = sqrt(mean(x^2) + eps)          Zhang and Sennrich 2019, 1910.07467
       gated     y = a s(k(a)) b,                s the logistic function                Shazeer 2020, 2002.05202
                 k(a) = a: SiLU;                 k(a) = 2 sqrt(2 / pi) (a + 0.044715 a^3): GELU by tanh
       rotary    y = x cos + turn(x) sin,        turn(x) = (-x[second half], x[first half])     Su et al. 2021, 2104.09864

   T rows, D columns (a multiple of 16). */

#include "numbers.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static inline void store(bf16 *to, __m512 x) { _mm256_storeu_si256((__m256i *)to, narrow16(x)); }

/* ---- norm ------------------------------------------------------------------------------------------------------------------------- */

/* `unit` is added to w: 1 where a model keeps it as a difference from one. scale_T: 1 / rms, kept for the way back. */
void norm(bf16 *y, float *scale_T, const bf16 *x, const bf16 *w, float unit, float eps, int64_t T, int64_t D) {
    const __m512 one = _mm512_set1_ps(unit);
#pragma omp parallel for
    for (int64_t t = 0; t < T; t++) {
        const bf16 *row = x + t * D;
        __m512 sum = _mm512_setzero_ps();
        for (int64_t d = 0; d < D; d += 16) {
            const __m512 v = wide16(row + d);
            sum = _mm512_fmadd_ps(v, v, sum);
        }
        scale_T[t] = 1 / sqrtf(_mm512_reduce_add_ps(sum) / (float)D + eps);
        const __m512 scale = _mm512_set1_ps(scale_T[t]);
        for (int64_t d = 0; d < D; d += 16)
            store(y + t * D + d, _mm512_mul_ps(_mm512_mul_ps(wide16(row + d), scale), _mm512_add_ps(wide16(w + d), one)));
    }
}

/* dx = (w g - x^ mean(w g x^)) / rms,  dw = sum_t g x^,  x^ = x / rms. dw_D may be NULL; it is added to. */
void norm_backward(bf16 *dx, float *dw_D, const bf16 *g, const float *scale_T, const bf16 *x, const bf16 *w, float unit, int64_t T, int64_t D) {
    const __m512 one = _mm512_set1_ps(unit);
#pragma omp parallel
    {
        float *own = dw_D ? calloc((size_t)D, sizeof *own) : NULL;
#pragma omp for
        for (int64_t t = 0; t < T; t++) {
            const int64_t at = t * D;
            const __m512 scale = _mm512_set1_ps(scale_T[t]);
            __m512 sum = _mm512_setzero_ps();
            for (int64_t d = 0; d < D; d += 16) {
                const __m512 gx = _mm512_mul_ps(wide16(g + at + d), _mm512_mul_ps(wide16(x + at + d), scale));
                if (own) _mm512_storeu_ps(own + d, _mm512_add_ps(_mm512_loadu_ps(own + d), gx));
                sum = _mm512_fmadd_ps(gx, _mm512_add_ps(wide16(w + d), one), sum);
            }
            const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / (float)D);
            for (int64_t d = 0; d < D; d += 16) {
                const __m512 wg = _mm512_mul_ps(wide16(g + at + d), _mm512_add_ps(wide16(w + d), one));
                const __m512 unitary = _mm512_mul_ps(wide16(x + at + d), scale);
                store(dx + at + d, _mm512_mul_ps(scale, _mm512_fnmadd_ps(unitary, mean, wg)));
            }
        }
        /* In the order of threads, so that two runs round alike. */
        for (int thread = 0; own && thread < omp_get_num_threads(); thread++) {
#pragma omp barrier
            if (thread == omp_get_thread_num())
                for (int64_t d = 0; d < D; d++) dw_D[d] += own[d];
        }
        free(own);
    }
}

/* ---- gated ------------------------------------------------------------------------------------------------------------------------ */

#define GELU 1

static inline __m512 slope_of(__m512 a, int kind) {
    const __m512 c = _mm512_set1_ps(1.59576912f);
    return kind == GELU ? _mm512_fmadd_ps(_mm512_mul_ps(_mm512_set1_ps(3 * 0.044715f), c), _mm512_mul_ps(a, a), c) : _mm512_set1_ps(1.f);
}

/* s(k(a)) */
static inline __m512 gate_of(__m512 a, int kind) {
    const __m512 c = _mm512_set1_ps(1.59576912f), one = _mm512_set1_ps(1.f);
    __m512 k = a;
    if (kind == GELU) k = _mm512_mul_ps(_mm512_mul_ps(a, c), _mm512_fmadd_ps(_mm512_set1_ps(0.044715f), _mm512_mul_ps(a, a), one));
    k = _mm512_max_ps(k, _mm512_set1_ps(-80.f)); /* beyond, exp(-k) is more than float32 holds */
    return _mm512_div_ps(one, _mm512_add_ps(one, exp16(_mm512_sub_ps(_mm512_setzero_ps(), k))));
}

/* n numbers, a multiple of 16. */
void gated(bf16 *y, const bf16 *a, const bf16 *b, int kind, int64_t n) {
#pragma omp parallel for
    for (int64_t i = 0; i < n; i += 16) {
        const __m512 x = wide16(a + i);
        store(y + i, _mm512_mul_ps(_mm512_mul_ps(x, gate_of(x, kind)), wide16(b + i)));
    }
}

/* da = g b (s + a s (1 - s) k'(a)),  db = g a s */
void gated_backward(bf16 *da, bf16 *db, const bf16 *g, const bf16 *a, const bf16 *b, int kind, int64_t n) {
#pragma omp parallel for
    for (int64_t i = 0; i < n; i += 16) {
        const __m512 x = wide16(a + i), y = wide16(g + i), s = gate_of(x, kind), one = _mm512_set1_ps(1.f);
        const __m512 bent = _mm512_mul_ps(_mm512_mul_ps(x, _mm512_sub_ps(one, s)), slope_of(x, kind));
        store(da + i, _mm512_mul_ps(_mm512_mul_ps(y, wide16(b + i)), _mm512_fmadd_ps(s, bent, s)));
        store(db + i, _mm512_mul_ps(y, _mm512_mul_ps(x, s)));
    }
}

/* ---- rotary ----------------------------------------------------------------------------------------------------------------------- */

/* y, x: [T][heads][d], rows of tokens `y_token`, `x_token` apart; cos, sin: [T][d]. `back`: the gradient's way. d a multiple of 32. */
void rotary(bf16 *y, int64_t y_token, const bf16 *x, int64_t x_token, const bf16 *cos_Td, const bf16 *sin_Td, int64_t T, int64_t heads,
            int64_t d, int back) {
    const int64_t half = d / 2;
#pragma omp parallel for
    for (int64_t t = 0; t < T; t++)
        for (int64_t h = 0; h < heads; h++) {
            const bf16 *from = x + t * x_token + h * d, *c = cos_Td + t * d, *s = sin_Td + t * d;
            bf16 *to = y + t * y_token + h * d;
            for (int64_t i = 0; i < half; i += 16) {
                const __m512 first = wide16(from + i), second = wide16(from + half + i);
                const __m512 s1 = wide16(s + (back ? half : 0) + i), s2 = wide16(s + (back ? 0 : half) + i);
                const __m512 a = _mm512_mul_ps(second, s1), b = _mm512_mul_ps(first, s2);
                const __m512 one = _mm512_mul_ps(first, wide16(c + i)), two = _mm512_mul_ps(second, wide16(c + half + i));
                store(to + i, back ? _mm512_add_ps(one, a) : _mm512_sub_ps(one, a));
                store(to + half + i, back ? _mm512_sub_ps(two, b) : _mm512_add_ps(two, b));
            }
        }
}
