/* Log-probabilities of targets, and their gradient, from rows of logits in bfloat16.

       logp = x[target] - lse,  lse = log sum_v exp(x[v]),  x = logits * by          by = 1 / temperature
       d logp / d logits[v] = (1[v = target] - exp(x[v] - lse)) by

   A row is read while it is still in the processor's cache, and the gradient is written over it: logits exist once, for one chunk of rows.

   M rows, V words. */

#include "numbers.h"

#include <math.h>

#define LOW -1e30f

static inline __mmask16 left(int64_t words) { return words >= 16 ? 0xffff : (__mmask16)((1u << words) - 1); }

static inline __m512 load(const bf16 *x, __mmask16 mask) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, x)), 16));
}

void likelihood(const bf16 *logits_MV, int64_t M, int64_t V, const int64_t *target_M, float by, float *logp_M, float *lse_M) {
#pragma omp parallel for
    for (int64_t m = 0; m < M; m++) {
        const bf16 *x = logits_MV + m * V;
        __m512 top = _mm512_set1_ps(LOW), sum = _mm512_setzero_ps();
        for (int64_t v = 0; v < V; v += 16) top = _mm512_mask_max_ps(top, left(V - v), top, load(x + v, left(V - v)));
        const float most = _mm512_reduce_max_ps(top) * by;
        const __m512 factor = _mm512_set1_ps(by), less = _mm512_set1_ps(most);
        for (int64_t v = 0; v < V; v += 16) {
            const __mmask16 mask = left(V - v);
            sum = _mm512_mask_add_ps(sum, mask, sum, exp16(_mm512_fmsub_ps(load(x + v, mask), factor, less)));
        }
        lse_M[m] = most + logf(_mm512_reduce_add_ps(sum));
        logp_M[m] = _mm512_cvtss_f32(load(x + target_M[m], 1)) * by - lse_M[m];
    }
}

/* logits <- slope_M * d logp / d logits */
void likelihood_slope(bf16 *logits_MV, int64_t M, int64_t V, const int64_t *target_M, float by, const float *lse_M, const float *slope_M) {
#pragma omp parallel for
    for (int64_t m = 0; m < M; m++) {
        bf16 *x = logits_MV + m * V;
        const float slope = slope_M[m] * by, at_target = _mm512_cvtss_f32(load(x + target_M[m], 1)) * by - lse_M[m];
        const __m512 factor = _mm512_set1_ps(by), less = _mm512_set1_ps(lse_M[m]), down = _mm512_set1_ps(-slope);
        for (int64_t v = 0; v < V; v += 16) {
            const __mmask16 mask = left(V - v);
            const __m512 p = exp16(_mm512_fmsub_ps(load(x + v, mask), factor, less));
            _mm256_mask_storeu_epi16(x + v, mask, narrow16(_mm512_mul_ps(p, down)));
        }
        const __m256i one = narrow16(_mm512_set1_ps(slope * (1 - expf(at_target))));
        x[target_M[m]] = (bf16)_mm256_extract_epi16(one, 0);
    }
}
