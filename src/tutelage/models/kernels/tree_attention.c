/* Attention over a packed stream: pairs of a block of 64 queries and a block of 64 keys, each with a mask of bits.

       S' = K Q' scale,  P' = exp(S' - lse),  O' = V' P'                                forward, online softmax (Milakov and Gimelshein 2018;
                                                                                        Dao et al., 2205.14135)
       dV += P' dO,  dS' = P' (V dO' - delta) scale,  dK += dS' Q,  dQ' += K' dS'       backward, delta = rowsum(dO * O)

   Everything is transposed (keys are rows, queries columns): maxima and sums over keys then go down columns, lse and delta are vectors, and
   P' and dS' leave the registers in the layouts that the next product wants, so that nothing is transposed within a pair.

   Layouts: "rows" is row-major bfloat16; "pairs" is what a product wants of its right-hand side (tiles.h): for rows 2i and 2i+1, column by
   column, one word of two bfloat16. d head width, D the same rounded up to 32; a block has N = 64 tokens. */

#include "tiles.h"

#include <math.h>
#include <string.h>

#define N 64
#define MAX_D 256

typedef struct {
    int64_t token, head; /* strides, in elements */
} Strides;

typedef struct {
    int32_t blocks, heads, kv_heads, width;
    float scale;
    const int32_t *first;     /* [blocks + 1] each query block's pairs */
    const int32_t *key_block; /* [pairs] */
    const uint64_t *seen;     /* [pairs][N] row: key, bit: query */
    const bf16 *q, *k, *v;
    Strides q_at, k_at, v_at;
} Call;

/* May this process run the kernels? 0 where it may. */
int kernels_ready(void) { return tiles_ready(); }

/* ---- layouts ---------------------------------------------------------------------------------------------------------------------- */

/* Rows [N][D] of rows [N][d], d a multiple of 16. */
static void to_rows(bf16 *out, const bf16 *x, int64_t stride, int d, int D) {
    for (int t = 0; t < N; t++) {
        for (int c = 0; c < d; c += 16)
            _mm256_storeu_si256((__m256i *)(out + t * D + c), _mm256_loadu_si256((const __m256i *)(x + t * stride + c)));
        for (int c = d; c < D; c += 16) _mm256_storeu_si256((__m256i *)(out + t * D + c), _mm256_setzero_si256());
    }
}

/* X' in pairs: [D / 2][N][2] of rows [N][D]; each word of two columns moves as one. */
static void to_transposed_pairs(bf16 *out, const bf16 *rows, int D) {
    for (int t = 0; t < N; t += 16)
        for (int c = 0; c < D; c += 32) {
            __m512i x[16];
            for (int i = 0; i < 16; i++) x[i] = _mm512_loadu_si512(rows + (t + i) * D + c);
            turn16(x);
            for (int i = 0; i < 16; i++) _mm512_storeu_si512(out + (c + 2 * i) * N + 2 * t, x[i]);
        }
}

/* X' in rows: [D][N] of rows [N][D]. */
static void to_transposed(bf16 *out, const bf16 *rows, int D) {
    for (int t = 0; t < N; t += 16)
        for (int c = 0; c < D; c += 32) {
            __m512i x[16];
            for (int i = 0; i < 16; i++) x[i] = _mm512_loadu_si512(rows + (t + i) * D + c);
            turn16(x);
            for (int i = 0; i < 16; i++) {
                _mm256_storeu_si256((__m256i *)(out + (c + 2 * i) * N + t), _mm512_cvtepi32_epi16(x[i]));
                _mm256_storeu_si256((__m256i *)(out + (c + 2 * i + 1) * N + t), _mm512_cvtepi32_epi16(_mm512_srli_epi32(x[i], 16)));
            }
        }
}

/* X in pairs: [N / 2][D][2] of rows [N][D]. */
static void to_pairs(bf16 *out, const bf16 *rows, int D) {
    for (int t = 0; t < N; t += 2)
        for (int c = 0; c < D; c += 16) {
            const __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(rows + t * D + c)));
            const __m512i high = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(rows + (t + 1) * D + c)));
            _mm512_storeu_si512(out + t * D + 2 * c, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
        }
}

/* Rows [N][d] in bfloat16 of X' [d][N] in float32, column t multiplied by by[t]. */
static void from_transposed(bf16 *out, int64_t stride, const float *x, const float *by, int d) {
    for (int t = 0; t < N; t += 16)
        for (int c = 0; c < d; c += 16) {
            const __m512 factor = _mm512_loadu_ps(by + t);
            __m512i y[16];
            for (int i = 0; i < 16; i++) y[i] = _mm512_castps_si512(_mm512_mul_ps(_mm512_loadu_ps(x + (c + i) * N + t), factor));
            turn16(y);
            for (int i = 0; i < 16; i++) _mm256_storeu_si256((__m256i *)(out + (t + i) * stride + c), narrow16(_mm512_castsi512_ps(y[i])));
        }
}

/* Rows [N][d] in bfloat16 of rows [N][D] in float32. */
static void from_rows(bf16 *out, int64_t stride, const float *x, int d, int D) {
    for (int t = 0; t < N; t++)
        for (int c = 0; c < d; c += 16)
            _mm256_storeu_si256((__m256i *)(out + t * stride + c), narrow16(_mm512_loadu_ps(x + (size_t)t * D + c)));
}

static int rounded(int d) { return (d + 31) / 32 * 32; }

/* ---- forward ---------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    float score[N * N], out[MAX_D * N], top[N], sum[N];
    bf16 q_rows[N * MAX_D], q_turned[N * MAX_D], weight[N * N];
} Forward;

/* P' = exp(S' scale - top) in pairs, with the sums and maxima of what has been seen; O' is scaled down where a maximum rose. */
static void soften(Forward *f, const uint64_t *seen, float scale, int D) {
    const __m512 low = _mm512_set1_ps(-1e30f), by = _mm512_set1_ps(scale);
    for (int j = 0; j < N; j += 16) {
        __m512 old = _mm512_load_ps(f->top + j), top = old, sum = _mm512_setzero_ps();
        for (int i = 0; i < N; i++) {
            __m512 s = _mm512_mask_mul_ps(low, (__mmask16)(seen[i] >> j), _mm512_load_ps(f->score + i * N + j), by);
            _mm512_store_ps(f->score + i * N + j, s);
            top = _mm512_max_ps(top, s);
        }
        for (int i = 0; i < N; i += 2) {
            __m512 a = _mm512_maskz_mov_ps((__mmask16)(seen[i] >> j), exp16(_mm512_sub_ps(_mm512_load_ps(f->score + i * N + j), top)));
            __m512 b =
                _mm512_maskz_mov_ps((__mmask16)(seen[i + 1] >> j), exp16(_mm512_sub_ps(_mm512_load_ps(f->score + (i + 1) * N + j), top)));
            sum = _mm512_add_ps(sum, _mm512_add_ps(a, b));
            _mm512_store_si512(f->weight + i * N + 2 * j, paired(a, b));
        }
        __m512 shrink = exp16(_mm512_sub_ps(old, top));
        _mm512_store_ps(f->sum + j, _mm512_fmadd_ps(_mm512_load_ps(f->sum + j), shrink, sum));
        _mm512_store_ps(f->top + j, top);
        if (_mm512_cmp_ps_mask(top, old, _CMP_NEQ_OQ))
            for (int c = 0; c < D; c++) _mm512_store_ps(f->out + c * N + j, _mm512_mul_ps(_mm512_load_ps(f->out + c * N + j), shrink));
    }
}

static void forward_block(const Call *call, Forward *f, const bf16 *k_rows, const bf16 *v_turned, int head, int block, bf16 *out,
                          Strides out_at, float *lse) {
    const int d = call->width, D = rounded(d);
    to_rows(f->q_rows, call->q + head * call->q_at.head + (int64_t)block * N * call->q_at.token, call->q_at.token, d, D);
    to_transposed_pairs(f->q_turned, f->q_rows, D);
    memset(f->out, 0, sizeof(float) * D * N);
    for (int j = 0; j < N; j++) {
        f->top[j] = -1e30f;
        f->sum[j] = 0;
    }
    for (int p = call->first[block]; p < call->first[block + 1]; p++) {
        const size_t at = (size_t)call->key_block[p] * N * D;
        memset(f->score, 0, sizeof f->score);
        multiply(f->score, N, k_rows + at, D, f->q_turned, N, N, N, D);
        soften(f, call->seen + (size_t)p * N, call->scale, D);
        multiply(f->out, N, v_turned + at, N, f->weight, N, D, N, N);
    }
    for (int j = 0; j < N; j++) {
        const float sum = f->sum[j];
        lse[((int64_t)head * call->blocks + block) * N + j] = sum > 0 ? f->top[j] + logf(sum) : 1e30f;
        f->sum[j] = sum > 0 ? 1 / sum : 0;
    }
    from_transposed(out + head * out_at.head + (int64_t)block * N * out_at.token, out_at.token, f->out, f->sum, d);
}

void tree_attention_forward(const Call *call, bf16 *out, const Strides *out_at, float *lse) {
    const int D = rounded(call->width), group = call->heads / call->kv_heads;
    const size_t all = (size_t)call->blocks * N * D;
#pragma omp parallel
    {
        tiles_on();
        Forward *f = room(sizeof *f);
        bf16 *k_rows = room(all * 2), *v_rows = room((size_t)N * D * 2), *v_turned = room(all * 2);
#pragma omp for schedule(dynamic)
        for (int kv = 0; kv < call->kv_heads; kv++) {
            for (int b = 0; b < call->blocks; b++) {
                const int64_t t = (int64_t)b * N;
                to_rows(k_rows + t * D, call->k + kv * call->k_at.head + t * call->k_at.token, call->k_at.token, call->width, D);
                to_rows(v_rows, call->v + kv * call->v_at.head + t * call->v_at.token, call->v_at.token, call->width, D);
                to_transposed(v_turned + t * D, v_rows, D);
            }
            for (int head = kv * group; head < (kv + 1) * group; head++)
                for (int b = 0; b < call->blocks; b++) forward_block(call, f, k_rows, v_turned, head, b, out, *out_at, lse);
        }
        free(f), free(k_rows), free(v_rows), free(v_turned);
        tiles_off();
    }
}

/* ---- backward --------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    float score[N * N], slope[N * N], dq[MAX_D * N], lse[N], delta[N], ones[N];
    bf16 q_rows[N * MAX_D], q_pairs[N * MAX_D], q_turned[N * MAX_D];
    bf16 g_rows[N * MAX_D], g_pairs[N * MAX_D], g_turned[N * MAX_D];
    bf16 weight[N * N], ds[N * N], ds_pairs[N * N];
} Backward;

/* P' and dS' in rows, dS' in pairs. */
static void soften_backward(Backward *b, const uint64_t *seen, float scale) {
    const __m512 by = _mm512_set1_ps(scale);
    for (int j = 0; j < N; j += 16) {
        const __m512 lse = _mm512_load_ps(b->lse + j), delta = _mm512_load_ps(b->delta + j);
        for (int i = 0; i < N; i += 2) {
            __m512 ds[2];
            for (int r = 0; r < 2; r++) {
                const int at = (i + r) * N + j;
                const __m512 s = _mm512_fmsub_ps(_mm512_load_ps(b->score + at), by, lse);
                const __m512 p = _mm512_maskz_mov_ps((__mmask16)(seen[i + r] >> j), exp16(s));
                ds[r] = _mm512_mul_ps(_mm512_mul_ps(p, by), _mm512_sub_ps(_mm512_load_ps(b->slope + at), delta));
                _mm256_store_si256((__m256i *)(b->weight + at), narrow16(p));
                _mm256_store_si256((__m256i *)(b->ds + at), narrow16(ds[r]));
            }
            _mm512_store_si512(b->ds_pairs + i * N + 2 * j, paired(ds[0], ds[1]));
        }
    }
}

static void backward_block(const Call *call, Backward *b, const bf16 *k_rows, const bf16 *k_turned, const bf16 *v_rows, int head, int block,
                           const bf16 *out, Strides out_at, const bf16 *grad, Strides grad_at, const float *lse, float *dk, float *dv,
                           bf16 *dq, Strides dq_at) {
    const int d = call->width, D = rounded(d);
    const int64_t t = (int64_t)block * N;
    const bf16 *o = out + head * out_at.head + t * out_at.token;
    to_rows(b->q_rows, call->q + head * call->q_at.head + t * call->q_at.token, call->q_at.token, d, D);
    to_rows(b->g_rows, grad + head * grad_at.head + t * grad_at.token, grad_at.token, d, D);
    to_pairs(b->q_pairs, b->q_rows, D), to_pairs(b->g_pairs, b->g_rows, D);
    to_transposed_pairs(b->q_turned, b->q_rows, D), to_transposed_pairs(b->g_turned, b->g_rows, D);
    memset(b->dq, 0, sizeof(float) * D * N);
    for (int j = 0; j < N; j++) {
        __m512 sum = _mm512_setzero_ps();
        for (int c = 0; c < d; c += 16) sum = _mm512_fmadd_ps(wide16(o + j * out_at.token + c), wide16(b->g_rows + j * D + c), sum);
        b->delta[j] = _mm512_reduce_add_ps(sum);
        b->ones[j] = 1;
        b->lse[j] = lse[((int64_t)head * call->blocks + block) * N + j];
    }
    for (int p = call->first[block]; p < call->first[block + 1]; p++) {
        const size_t at = (size_t)call->key_block[p] * N * D;
        memset(b->score, 0, sizeof b->score), memset(b->slope, 0, sizeof b->slope);
        multiply(b->score, N, k_rows + at, D, b->q_turned, N, N, N, D);
        multiply(b->slope, N, v_rows + at, D, b->g_turned, N, N, N, D);
        soften_backward(b, call->seen + (size_t)p * N, call->scale);
        multiply(dv + at, D, b->weight, N, b->g_pairs, D, N, D, N);
        multiply(dk + at, D, b->ds, N, b->q_pairs, D, N, D, N);
        multiply(b->dq, N, k_turned + at, N, b->ds_pairs, N, D, N, N);
    }
    from_transposed(dq + head * dq_at.head + t * dq_at.token, dq_at.token, b->dq, b->ones, d);
}

void tree_attention_backward(const Call *call, const bf16 *out, const Strides *out_at, const bf16 *grad, const Strides *grad_at,
                             const float *lse, bf16 *dq, const Strides *dq_at, bf16 *dk, const Strides *dk_at, bf16 *dv,
                             const Strides *dv_at) {
    const int D = rounded(call->width), group = call->heads / call->kv_heads;
    const size_t all = (size_t)call->blocks * N * D;
#pragma omp parallel
    {
        tiles_on();
        Backward *b = room(sizeof *b);
        bf16 *k_rows = room(all * 2), *k_turned = room(all * 2), *v_rows = room(all * 2);
        float *dk_wide = room(all * 4), *dv_wide = room(all * 4);
#pragma omp for schedule(dynamic)
        for (int kv = 0; kv < call->kv_heads; kv++) {
            memset(dk_wide, 0, all * 4), memset(dv_wide, 0, all * 4);
            for (int n = 0; n < call->blocks; n++) {
                const int64_t t = (int64_t)n * N;
                to_rows(k_rows + t * D, call->k + kv * call->k_at.head + t * call->k_at.token, call->k_at.token, call->width, D);
                to_rows(v_rows + t * D, call->v + kv * call->v_at.head + t * call->v_at.token, call->v_at.token, call->width, D);
                to_transposed(k_turned + t * D, k_rows + t * D, D);
            }
            for (int head = kv * group; head < (kv + 1) * group; head++)
                for (int n = 0; n < call->blocks; n++)
                    backward_block(call, b, k_rows, k_turned, v_rows, head, n, out, *out_at, grad, *grad_at, lse, dk_wide, dv_wide, dq, *dq_at);
            for (int n = 0; n < call->blocks; n++) {
                const int64_t t = (int64_t)n * N;
                from_rows(dk + kv * dk_at->head + t * dk_at->token, dk_at->token, dk_wide + t * D, call->width, D);
                from_rows(dv + kv * dv_at->head + t * dv_at->token, dv_at->token, dv_wide + t * D, call->width, D);
            }
        }
        free(b), free(k_rows), free(k_turned), free(v_rows), free(dk_wide), free(dv_wide);
        tiles_off();
    }
}
