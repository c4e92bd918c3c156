/* Products of tiles without AMX: AVX-512's dot products of pairs (VDPBF16PS), 8 x 32 sums in registers. See tiles.h for what is multiplied. */

#pragma once

#include "numbers.h"

#define ROWS 8

static inline int tiles_ready(void) { return 0; }

static inline void tiles_on(void) {}

static inline void tiles_off(void) {}

/* Where the numbers of a product lie: A's rows `row` apart and tiles `tile`; B's rows of pairs and tiles likewise, its right half `half` on. */
typedef struct {
    int64_t row, tile, half;
} Layout;

/* C[8][32] (+)= A[8][count 32] B */
static inline void strip(float *c, int64_t c_row, const bf16 *a, Layout in_a, const bf16 *b, Layout in_b, int64_t count, int fresh) {
    __m512 sum[ROWS][2];
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < 2; j++) sum[i][j] = fresh ? _mm512_setzero_ps() : _mm512_loadu_ps(c + i * c_row + 16 * j);
    for (int64_t n = 0; n < count; n++)
        for (int64_t p = 0; p < 16; p++) {
            const bf16 *pair = a + n * in_a.tile + 2 * p, *words = b + n * in_b.tile + p * in_b.row;
            const __m512bh left = (__m512bh)_mm512_loadu_si512(words), right = (__m512bh)_mm512_loadu_si512(words + in_b.half);
#pragma GCC unroll 8
            for (int i = 0; i < ROWS; i++) {
                const __m512bh both = (__m512bh)_mm512_set1_epi32(*(const int *)(pair + i * in_a.row));
                sum[i][0] = _mm512_dpbf16_ps(sum[i][0], both, left);
                sum[i][1] = _mm512_dpbf16_ps(sum[i][1], both, right);
            }
        }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < 2; j++) _mm512_storeu_ps(c + i * c_row + 16 * j, sum[i][j]);
}

static inline void multiply(float *c, int c_row, const bf16 *a, int a_row, const bf16 *b, int b_row, int m, int n, int k) {
    const Layout in_a = {a_row, 32, 0}, in_b = {2 * (int64_t)b_row, 32 * (int64_t)b_row, 32};
    for (int j = 0; j < n; j += 32)
        for (int i = 0; i < m; i += ROWS) strip(c + (int64_t)i * c_row + j, c_row, a + (int64_t)i * a_row, in_a, b + 2 * j, in_b, k / 32, 0);
}

static inline void multiply_packed(float *c, int64_t row, const bf16 *a, const bf16 *b, int64_t count, int fresh, const float *next) {
    const Layout in_a = {32, WORDS, 0}, in_b = {32, WORDS, count * WORDS};
    (void)next; /* eight rows at a time leave the processor's own prefetching enough to see */
    for (int i = 0; i < 32; i += ROWS)
        strip(c + i * row, row, a + (i < 16 ? i * 32 : count * WORDS + (i - 16) * 32), in_a, b, in_b, count, fresh);
}
