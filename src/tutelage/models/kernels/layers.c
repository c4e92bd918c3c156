/* What lies between a decoder's matrix products, one pass over memory each way. Computed in float32, rounded once.

       norm      y = x / rms(x) * w,             rms(x) = sqrt(mean(x^2) + eps)          Zhang and Sennrich 2019, 1910.07467
       gated     y = a s(k(a)) b,                s the logistic function                Shazeer 2020, 2002.05202
                 k(a) = a: SiLU;                 k(a) = 2 sqrt(2 / pi) (a + 0.044715 a^3): GELU by tanh
       rotary    y = x cos + turn(x) sin,        turn(x) = (-x[second half], x[first half])     Su et al. 2021, 2104.09864

   T rows, D columns (a multiple of 16). */

#include "rows.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* ---- norm ------------------------------------------------------------------------------------------------------------------------- */

/* `unit` is added to w: 1 where a model keeps it as a difference from one. scale_T: 1 / rms, kept for the way back. */
void norm(bf16 *y, float *scale_T, const bf16 *x, const bf16 *w, float unit, float eps, int64_t T, int64_t D) {
#pragma omp parallel for
    for (int64_t t = 0; t < T; t++) scale_T[t] = norm_row(y + t * D, x + t * D, w, unit, eps, D);
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
                store16(dx + at + d, _mm512_mul_ps(scale, _mm512_fnmadd_ps(unitary, mean, wg)));
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

static inline __m512 slope16(__m512 a, int kind) {
    const __m512 c = _mm512_set1_ps(1.59576912f);
    return kind == GELU ? _mm512_fmadd_ps(_mm512_mul_ps(_mm512_set1_ps(3 * 0.044715f), c), _mm512_mul_ps(a, a), c) : _mm512_set1_ps(1.f);
}

/* n numbers, a multiple of 16. */
void gated(bf16 *y, const bf16 *a, const bf16 *b, int kind, int64_t n) {
#pragma omp parallel for
    for (int64_t i = 0; i < n; i += 16) gated16(y + i, a + i, b + i, kind);
}

/* da = g b (s + a s (1 - s) k'(a)),  db = g a s */
void gated_backward(bf16 *da, bf16 *db, const bf16 *g, const bf16 *a, const bf16 *b, int kind, int64_t n) {
#pragma omp parallel for
    for (int64_t i = 0; i < n; i += 16) {
        const __m512 x = wide16(a + i), y = wide16(g + i), s = gate16(x, kind), one = _mm512_set1_ps(1.f);
        const __m512 bent = _mm512_mul_ps(_mm512_mul_ps(x, _mm512_sub_ps(one, s)), slope16(x, kind));
        store16(da + i, _mm512_mul_ps(_mm512_mul_ps(y, wide16(b + i)), _mm512_fmadd_ps(s, bent, s)));
        store16(db + i, _mm512_mul_ps(y, _mm512_mul_ps(x, s)));
    }
}

/* ---- rotary ----------------------------------------------------------------------------------------------------------------------- */

/* y, x: [T][heads][d]; cos, sin: [T][d]. `back`: the gradient's way. */
void rotary(bf16 *y, const bf16 *x, const bf16 *cos_Td, const bf16 *sin_Td, int64_t T, int64_t heads, int64_t d, int back) {
#pragma omp parallel for
    for (int64_t t = 0; t < T; t++)
        for (int64_t h = t * heads; h < (t + 1) * heads; h++) rotary_row(y + h * d, x + h * d, cos_Td + t * d, sin_Td + t * d, d, back);
}
