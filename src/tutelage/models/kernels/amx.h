/* Products of tiles by AMX: four accumulating tiles at a time. See tiles.h for what is multiplied. */

#pragma once

#include "numbers.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel grants AMX to a process once. 0 where it does. */
static inline int tiles_ready(void) { return (int)syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18 /* XTILEDATA */); }

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} __attribute__((packed)) Tiles;

static inline void tiles_on(void) {
    Tiles config;
    memset(&config, 0, sizeof config);
    config.palette = 1;
    for (int i = 0; i < 8; i++) {
        config.bytes[i] = 64;
        config.rows[i] = 16;
    }
    _tile_loadconfig(&config);
}

static inline void tiles_off(void) { _tile_release(); }

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
