/* Tiles: 16 x 32 numbers in bfloat16, or 16 x 16 in float32, multiplied by AMX where the processor has it, else by AVX-512's dot products of
   pairs.

   Layouts: "rows" is row-major bfloat16; "pairs" is what both want of a right-hand side: for rows 2i and 2i+1, column by column, one word of
   two bfloat16.

       multiply           C[m][n] += A[m][k] B, A in rows, B in pairs with `b_row` columns; m and n multiples of 32, k of 32
       multiply_packed    C[32][32], rows `row` apart, from `count` tiles of each of two columns of A and of B, one after another; added to
                          what C holds unless it is `fresh`. `next`: the C that comes next, fetched meanwhile, or NULL
       tiles_ready        once in a process; 0 where it may
       tiles_on, tiles_off    around products, in each thread */

#pragma once

#define WORDS 512 /* numbers of a tile in bfloat16 */

#ifdef __AMX_BF16__
#include "amx.h"
#else
#include "pairs.h"
#endif

#include <stdlib.h>
#include <string.h>

/* Two rows of 16 as one row of pairs. */
static inline __m512i paired(__m512 even, __m512 odd) {
    __m512i low = _mm512_cvtepu16_epi32(narrow16(even)), high = _mm512_cvtepu16_epi32(narrow16(odd));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

/* 16 x 16 words, rows become columns. */
static inline void turn16(__m512i x[16]) {
    __m512i y[16];
    for (int i = 0; i < 16; i += 2) {
        y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            x[i + 2 * j] = _mm512_unpacklo_epi64(y[i + j], y[i + j + 2]);
            x[i + 2 * j + 1] = _mm512_unpackhi_epi64(y[i + j], y[i + j + 2]);
        }
    for (int i = 0; i < 4; i++) {
        y[i] = _mm512_shuffle_i32x4(x[i], x[i + 4], 0x88);
        y[i + 4] = _mm512_shuffle_i32x4(x[i], x[i + 4], 0xdd);
        y[i + 8] = _mm512_shuffle_i32x4(x[i + 8], x[i + 12], 0x88);
        y[i + 12] = _mm512_shuffle_i32x4(x[i + 8], x[i + 12], 0xdd);
    }
    for (int i = 0; i < 8; i++) {
        x[i] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0x88);
        x[i + 8] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0xdd);
    }
}

static void *room(size_t bytes) {
    void *memory = NULL;
    return posix_memalign(&memory, 64, bytes + 64) ? NULL : memory;
}
