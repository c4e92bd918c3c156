/* AMX tiles: 16 x 32 numbers in bfloat16, or 16 x 16 in float32.

   Layouts: "rows" is row-major bfloat16; "pairs" is what AMX wants of a right-hand side: for rows 2i and 2i+1, column by column, one word of
   two bfloat16. */

#pragma once

#include "numbers.h"

#include <stdlib.h>
#include <string.h>

#define WORDS 512 /* numbers of a tile in bfloat16 */

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} __attribute__((packed)) Tiles;

static void tiles_on(void) {
    Tiles config;
    memset(&config, 0, sizeof config);
    config.palette = 1;
    for (int i = 0; i < 8; i++) {
        config.bytes[i] = 64;
        config.rows[i] = 16;
    }
    _tile_loadconfig(&config);
}

/* C[m][n] += A[m][k] B, A in rows, B in pairs with `b_row` columns; m and n multiples of 32, k of 32. */
static inline void multiply(float *c, int c_row, const bf16 *a, int a_row, const bf16 *b, int b_row, int m, int n, int k) {
    for (int i = 0; i < m; i += 32)
        for (int j = 0; j < n; j += 32) {
            float *c0 = c + (size_t)i * c_row + j, *c2 = c0 + 16 * (size_t)c_row;
            _tile_loadd(0, c0, c_row * 4);
            _tile_loadd(1, c0 + 16, c_row * 4);
            _tile_loadd(2, c2, c_row * 4);
            _tile_loadd(3, c2 + 16, c_row * 4);
            for (int l = 0; l < k; l += 32) {
                const bf16 *a0 = a + (size_t)i * a_row + l, *b0 = b + (size_t)l * b_row + 2 * j;
                _tile_loadd(4, a0, a_row * 2);
                _tile_loadd(5, a0 + 16 * (size_t)a_row, a_row * 2);
                _tile_loadd(6, b0, b_row * 4);
                _tile_loadd(7, b0 + 32, b_row * 4);
                _tile_dpbf16ps(0, 4, 6);
                _tile_dpbf16ps(1, 4, 7);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
            _tile_stored(0, c0, c_row * 4);
            _tile_stored(1, c0 + 16, c_row * 4);
            _tile_stored(2, c2, c_row * 4);
            _tile_stored(3, c2 + 16, c_row * 4);
        }
}

/* C [32][32], rows `row` apart, from `count` tiles of each of two columns of A and of B, one after another; added to what C holds unless it is
   `fresh`. `next`: the C that comes next, fetched meanwhile, or NULL. */
static inline void multiply_packed(float *c, int64_t row, const bf16 *a, const bf16 *b, int64_t count, int fresh, const float *next) {
    float *low = c + 16 * row;
    const int64_t column = count * WORDS;
    if (fresh) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, c, row * 4);
        _tile_loadd(1, c + 16, row * 4);
        _tile_loadd(2, low, row * 4);
        _tile_loadd(3, low + 16, row * 4);
    }
    for (int64_t n = 0; n < count; n++) {
        const int64_t at = n * WORDS;
        _tile_loadd(4, a + at, 64);
        _tile_loadd(6, b + at, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(5, a + at + column, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_loadd(7, b + at + column, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(3, 5, 7);
        if (next && n < 16) {
            _mm_prefetch((const char *)(next + 2 * n * row), _MM_HINT_T0);
            _mm_prefetch((const char *)(next + 2 * n * row + 16), _MM_HINT_T0);
            _mm_prefetch((const char *)(next + (2 * n + 1) * row), _MM_HINT_T0);
            _mm_prefetch((const char *)(next + (2 * n + 1) * row + 16), _MM_HINT_T0);
        }
    }
    _tile_stored(0, c, row * 4);
    _tile_stored(1, c + 16, row * 4);
    _tile_stored(2, low, row * 4);
    _tile_stored(3, low + 16, row * 4);
}

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
