/* The gradient of a linear layer's weight, straight into the float32 that it is added up in.

       W[o][d] (+)= sum_t G[t][o] X[t][d]

   oneDNN takes twice as long for this product as for the layer's other two, because G must be turned, and its bfloat16 result would have to
   be widened and added once more. Here a chunk of T is packed tile by tile: X as pairs, by all threads for all; G turned, by the thread
   that multiplies it.

   T tokens (a multiple of 32), O, D columns (multiples of 32). */

#include "tiles.h"

#include <omp.h>

#define CHUNK 512 /* tokens of a chunk: a row of G's tiles then fills a first-level cache */
#define SIDE 256  /* columns of G that a thread packs at a time: a quarter of a second-level cache */

/* The tile of 32 rows and 16 columns at x: pairs of rows side by side. */
static inline void load_pairs(__m512i tile[16], const bf16 *x, int64_t stride) {
    for (int i = 0; i < 16; i++) {
        const __m512i even = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(x + 2 * i * stride)));
        const __m512i odd = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(x + (2 * i + 1) * stride)));
        tile[i] = _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
    }
}

/* For each 16 columns, the tiles of `count` x 32 tokens one after another; `turned` makes them a left-hand side. */
static void pack(bf16 *out, const bf16 *x, int64_t stride, int count, int columns, int turned) {
    for (int c = 0; c < columns; c += 16)
        for (int n = 0; n < count; n++) {
            __m512i tile[16];
            load_pairs(tile, x + 32 * n * stride + c, stride);
            if (turned) turn16(tile);
            for (int i = 0; i < 16; i++) _mm512_store_si512(out + ((size_t)(c / 16) * count + n) * WORDS + 32 * i, tile[i]);
        }
}

/* `fresh`: W holds nothing yet. */
void weight_gradient(float *w, const bf16 *g, int64_t g_stride, const bf16 *x, int64_t x_stride, int64_t T, int64_t O, int64_t D, int fresh) {
    bf16 *x_tiles = room((size_t)CHUNK * D * 2);
#pragma omp parallel
    {
        tiles_on();
        const int64_t threads = omp_get_num_threads(), share = (O / 32 + threads - 1) / threads * 32;
        const int64_t passes = (share + SIDE - 1) / SIDE, side = (share / 32 + passes - 1) / passes * 32;
        bf16 *g_tiles = room((size_t)CHUNK * side * 2);
        for (int64_t t = 0; t < T; t += CHUNK) {
            const int count = (int)((T - t < CHUNK ? T - t : CHUNK) / 32), empty = fresh && t == 0;
#pragma omp for schedule(static)
            for (int64_t d = 0; d < D; d += 32)
                pack(x_tiles + (size_t)(d / 16) * count * WORDS, x + t * x_stride + d, x_stride, count, 32, 0);
#pragma omp for schedule(static)
            for (int64_t o = 0; o < O; o += side) {
                const int columns = O - o < side ? (int)(O - o) : (int)side;
                pack(g_tiles, g + t * g_stride + o, g_stride, count, columns, 1);
                for (int64_t d = 0; d < D; d += 32)
                    for (int i = 0; i < columns; i += 32) {
                        float *at = w + (o + i) * D + d;
                        const float *next = i + 32 < columns ? at + 32 * D : w + o * D + d + 32;
                        const bf16 *left = g_tiles + (size_t)(i / 16) * count * WORDS, *right = x_tiles + (size_t)(d / 16) * count * WORDS;
                        multiply_packed(at, D, left, right, count, empty, next);
                    }
            }
        }
        free(g_tiles);
        _tile_release();
    }
    free(x_tiles);
}
