/* Sums that are kept in float32 of what was computed in bfloat16. */

#include "numbers.h"

/* to += x, n elements. */
void add_narrow(float *to, const bf16 *x, int64_t n) {
    const int64_t whole = n / 16;
#pragma omp parallel for
    for (int64_t i = 0; i < whole; i++) _mm512_storeu_ps(to + 16 * i, _mm512_add_ps(_mm512_loadu_ps(to + 16 * i), wide16(x + 16 * i)));
    for (int64_t i = 16 * whole; i < n; i++) to[i] += _mm512_cvtss_f32(_mm512_castsi512_ps(_mm512_set1_epi32((int)x[i] << 16)));
}
