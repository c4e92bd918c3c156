/* The gradient of a linear layer's weight, straight into the float32 that it is added up in.

       W[o][d] (+)= sum_t G[t][o] X[t][d]

   oneDNN takes twice as long for this product as for the layer's other two, because G must be turned, and its bfloat16 result would have to
   be widened and added once more. Here T is packed tile by tile: X as pairs, by all threads for all; G turned, a chunk at a time, by
   the thread that multiplies it.

   T tokens (a multiple of 32), O, D columns (multiples of 32). */

#include "tiles.h"

#include <omp.h>

#define CHUNK 512 /* tokens of a chunk: a row of G's tiles then fills a first-level cache */
#define SIDE 256  /* columns of G that a thread packs at a time: a quarter of a second-level cache */
#define KEPT (768 << 10) /* bytes of W that a thread adds all chunks to before it goes on: they stay in its second-level cache */
#define SPAN 4096 /* tokens of X that are packed at a time */

/* Rows of tiles in the chunk that begins at token t. */
static inline int64_t tiles(int64_t t, int64_t end) { return (end - t < CHUNK ? end - t : CHUNK) / 32; }

/* Columns of G, of O, that a thread takes at a time: all get the same number of shares, and a share's W stays in the cache. */
static inline int64_t side_of(int64_t O, int64_t D) {
    const int64_t threads = omp_get_num_threads(), share = (O / 32 + threads - 1) / threads * 32;
    const int64_t kept = KEPT / (D * (int64_t)sizeof(float)) / 32 * 32, most = kept < 32 ? 32 : kept < SIDE ? kept : SIDE;
    const int64_t passes = (share + most - 1) / most;
    return (share / 32 + passes - 1) / passes * 32;
}

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
    for (int n = 0; n < count; n++)
        for (int c = 0; c < columns; c += 16) {
            __m512i tile[16];
            load_pairs(tile, x + 32 * n * stride + c, stride);
            if (turned) turn16(tile);
            for (int i = 0; i < 16; i++) _mm512_store_si512(out + ((size_t)(c / 16) * count + n) * WORDS + 32 * i, tile[i]);
        }
}

/* W [columns][D] from a chunk's tiles. */
static void multiply_chunk(float *w, const bf16 *g_tiles, const bf16 *x_tiles, int64_t count, int columns, int64_t D, int fresh) {
    for (int64_t d = 0; d < D; d += 32)
        for (int i = 0; i < columns; i += 32) {
            float *at = w + i * D + d;
            const float *next = i + 32 < columns ? at + 32 * D : w + d + 32;
            multiply_packed(at, D, g_tiles + (size_t)i * count * 32, x_tiles + d * count * 32, count, fresh, next);
        }
}

/* `n` weights whose layers read the same x: w[k] [O[k]][D] from g[k]. `fresh`: W holds nothing yet. */
void weight_gradients(int64_t n, float **w, const bf16 **g, const int64_t *g_stride, const int64_t *O, const int32_t *fresh, const bf16 *x,
                      int64_t x_stride, int64_t T, int64_t D) {
    bf16 *x_tiles = room((size_t)(T < SPAN ? T : SPAN) * D * 2);
#pragma omp parallel
    {
        tiles_on();
        bf16 *g_tiles = room((size_t)CHUNK * SIDE * 2);
        for (int64_t from = 0; from < T; from += SPAN) {
            const int64_t to = T - from < SPAN ? T : from + SPAN, chunks = (to - from + CHUNK - 1) / CHUNK;
#pragma omp for schedule(static)
            for (int64_t i = 0; i < chunks * (D / 32); i++) {
                const int64_t t = from + i / (D / 32) * CHUNK, d = i % (D / 32) * 32, count = tiles(t, to);
                pack(x_tiles + (t - from) * D + d * count * 32, x + t * x_stride + d, x_stride, (int)count, 32, 0);
            }
            for (int64_t k = 0; k < n; k++) {
                const int64_t side = side_of(O[k], D);
#pragma omp for schedule(static)
                for (int64_t o = 0; o < O[k]; o += side) {
                    const int columns = O[k] - o < side ? (int)(O[k] - o) : (int)side;
                    for (int64_t t = from; t < to; t += CHUNK) {
                        const int64_t count = tiles(t, to);
                        pack(g_tiles, g[k] + t * g_stride[k] + o, g_stride[k], (int)count, columns, 1);
                        multiply_chunk(w[k] + o * D, g_tiles, x_tiles + (t - from) * D, count, columns, D, fresh[k] && t == 0);
                    }
                }
            }
        }
        free(g_tiles);
        tiles_off();
    }
    free(x_tiles);
}
