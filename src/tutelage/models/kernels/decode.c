/* Writing one token for each of many rows: attention over what was kept, products with few rows, and the draw.

   Keys and values are kept for every layer by slots: a slot is a row that is being written, or all prompts one after another. Keys lie in
   blocks of 16 columns, two numbers of each key side by side ([d / 2][16][2]), so that one instruction multiplies two numbers of 16 keys;
   values lie in rows ([columns][d]). A row sees its prompt, which all rows of that prompt share, then its own slot.

   Weights are packed once, tile by tile, as a product wants its right-hand side (tiles.h); it reads each of them once however many rows there
   are. */

#include "rows.h"
#include "tiles.h"

#include <math.h>

#define KEYS 16
#define LOW -1e30f

typedef struct {
    int64_t slots, heads, room, width; /* room: columns of a slot, a multiple of KEYS */
    uint32_t *keys;
    bf16 *values;
} Kept;

static inline uint32_t *key_block(const Kept *kept, int64_t slot, int64_t head, int64_t column) {
    return kept->keys + ((slot * kept->heads + head) * kept->room + column / KEYS * KEYS) * (kept->width / 2);
}

static inline bf16 *value_row(const Kept *kept, int64_t slot, int64_t head, int64_t column) {
    return kept->values + ((slot * kept->heads + head) * kept->room + column) * kept->width;
}

static inline void keep_row(const Kept *kept, int64_t slot, int64_t head, int64_t column, const bf16 *k, const bf16 *v) {
    uint32_t *block = key_block(kept, slot, head, column) + column % KEYS;
    for (int64_t i = 0; i < kept->width / 2; i++) memcpy(block + i * KEYS, k + 2 * i, 4);
    memcpy(value_row(kept, slot, head, column), v, (size_t)kept->width * 2);
}

/* Keep k and v [N][heads][d], rows `k_row` and `v_row` apart, each in its column of slot 0. */
void keep(const Kept *kept, const bf16 *k, int64_t k_row, const bf16 *v, int64_t v_row, const int64_t *column_N, int64_t N) {
    const int64_t d = kept->width;
#pragma omp parallel for
    for (int64_t n = 0; n < N; n++)
        for (int64_t h = 0; h < kept->heads; h++) keep_row(kept, 0, h, column_N[n], k + n * k_row + h * d, v + n * v_row + h * d);
}

/* ---- attention -------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t first, last; /* columns seen */
} Seen;

/* score[c - first rounded down] of columns first..last; what is not seen is LOW. Returns how many were written. */
static int64_t scores(float *score, const Kept *kept, int64_t slot, int64_t head, Seen seen, const uint32_t *q, float scale) {
    const int64_t begin = seen.first / KEYS * KEYS;
    if (seen.first >= seen.last) return 0;
    for (int64_t c = begin; c < seen.last; c += KEYS) {
        const uint32_t *block = key_block(kept, slot, head, c);
        __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
        for (int64_t i = 0; i < kept->width / 2; i += 2) {
            even = _mm512_dpbf16_ps(even, (__m512bh)_mm512_set1_epi32((int)q[i]), (__m512bh)_mm512_loadu_si512(block + i * KEYS));
            odd = _mm512_dpbf16_ps(odd, (__m512bh)_mm512_set1_epi32((int)q[i + 1]), (__m512bh)_mm512_loadu_si512(block + (i + 1) * KEYS));
        }
        __mmask16 in = 0xffff;
        if (c < seen.first) in &= (__mmask16)(0xffff << (seen.first - c));
        if (c + KEYS > seen.last) in &= (__mmask16)(0xffff >> (c + KEYS - seen.last));
        const __m512 sum = _mm512_mul_ps(_mm512_add_ps(even, odd), _mm512_set1_ps(scale));
        _mm512_storeu_ps(score + c - begin, _mm512_mask_mov_ps(_mm512_set1_ps(LOW), in, sum));
    }
    return (seen.last - begin + KEYS - 1) / KEYS * KEYS;
}

/* out += sum_c weight[c] V[c], 64 numbers of a value at a time. */
static void values(float *out, const float *weight, const Kept *kept, int64_t slot, int64_t head, Seen seen) {
    const int64_t begin = seen.first / KEYS * KEYS, d = kept->width;
    for (int64_t at = 0; at < d; at += 64) {
        const int parts = d - at < 64 ? (int)(d - at) / 16 : 4;
        __m512 sum[4];
        for (int p = 0; p < parts; p++) sum[p] = _mm512_loadu_ps(out + at + 16 * p);
        for (int64_t c = seen.first; c < seen.last; c++) {
            const bf16 *v = value_row(kept, slot, head, c) + at;
            const __m512 w = _mm512_set1_ps(weight[c - begin]);
            for (int p = 0; p < parts; p++) sum[p] = _mm512_fmadd_ps(w, wide16(v + 16 * p), sum[p]);
        }
        for (int p = 0; p < parts; p++) _mm512_storeu_ps(out + at + 16 * p, sum[p]);
    }
}

/* exp(score - max) over n scores, a multiple of 16; returns their sum. */
static float soften(float *score, int64_t n) {
    __m512 top = _mm512_set1_ps(LOW), sum = _mm512_setzero_ps();
    for (int64_t i = 0; i < n; i += 16) top = _mm512_max_ps(top, _mm512_loadu_ps(score + i));
    const __m512 most = _mm512_set1_ps(_mm512_reduce_max_ps(top));
    for (int64_t i = 0; i < n; i += 16) {
        const __m512 s = _mm512_loadu_ps(score + i);
        const __m512 p = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(s, _mm512_set1_ps(LOW), _CMP_GT_OQ), exp16(_mm512_sub_ps(s, most)));
        _mm512_storeu_ps(score + i, p);
        sum = _mm512_add_ps(sum, p);
    }
    return _mm512_reduce_add_ps(sum);
}

/* What the rows of a step have in common. Row b sees columns prompt_first[b]..prompt_last[b] of the prompts' slot, and own_first[b]..used of
   slot_B[b], into whose last column its key and value go first. */
typedef struct {
    int64_t rows, heads, used, longest; /* longest: columns of a prompt */
    float scale;
    const int64_t *slot_B, *prompt_first, *prompt_last, *own_first;
} Rows;

static float *score_room(const Rows *r, int64_t d) { return room((size_t)(r->longest + r->used + 4 * KEYS + d) * 4); }

/* q, k, v: [B][heads][d], rows that far apart; out: [B][heads][d]. Within a parallel region. Rows of one prompt stand side by side, and are
   computed one after another while the prompt is in the processor's cache. */
static void attend(const Kept *prompts, const Kept *own, const Rows *r, const bf16 *q, int64_t q_row, const bf16 *k, int64_t k_row,
                   const bf16 *v, int64_t v_row, bf16 *out, float *score) {
    const int64_t d = own->width, group = r->heads / own->heads;
    float *sum = score + r->longest + r->used + 4 * KEYS;
#pragma omp for collapse(2) schedule(static)
    for (int64_t kv = 0; kv < own->heads; kv++)
        for (int64_t b = 0; b < r->rows; b++) {
            const Seen prompt = {r->prompt_first[b], r->prompt_last[b]}, said = {r->own_first[b], r->used};
            keep_row(own, r->slot_B[b], kv, r->used - 1, k + b * k_row + kv * d, v + b * v_row + kv * d);
            for (int64_t h = kv * group; h < (kv + 1) * group; h++) {
                const uint32_t *words = (const uint32_t *)(q + b * q_row + h * d);
                const int64_t n = scores(score, prompts, 0, kv, prompt, words, r->scale);
                const int64_t m = scores(score + n, own, r->slot_B[b], kv, said, words, r->scale);
                const __m512 share = _mm512_set1_ps(1 / soften(score, n + m));
                memset(sum, 0, (size_t)d * 4);
                values(sum, score, prompts, 0, kv, prompt);
                values(sum, score + n, own, r->slot_B[b], kv, said);
                for (int64_t i = 0; i < d; i += 16) store16(out + (b * r->heads + h) * d + i, _mm512_mul_ps(_mm512_loadu_ps(sum + i), share));
            }
        }
}

void decode_attention(const Kept *prompts, const Kept *own, const Rows *r, const bf16 *q, int64_t q_row, const bf16 *k, int64_t k_row,
                      const bf16 *v, int64_t v_row, bf16 *out) {
#pragma omp parallel
    {
        float *score = score_room(r, own->width);
        attend(prompts, own, r, q, q_row, k, k_row, v, v_row, out, score);
        free(score);
    }
}

/* ---- products --------------------------------------------------------------------------------------------------------------------- */

/* The tiles of W [O][D], for each 16 outputs one after another; O and D multiples of 32. */
void pack_weight(bf16 *out, const bf16 *w, int64_t O, int64_t D) {
#pragma omp parallel for
    for (int64_t o = 0; o < O; o += 16)
        for (int64_t d = 0; d < D; d += 32) {
            __m512i tile[16];
            for (int i = 0; i < 16; i++) tile[i] = _mm512_loadu_si512(w + (o + i) * D + d);
            turn16(tile);
            for (int i = 0; i < 16; i++) _mm512_storeu_si512(out + (o / 16 * (D / 32) + d / 32) * WORDS + 32 * i, tile[i]);
        }
}

static int64_t rounded(int64_t rows) { return (rows + 31) / 32 * 32; }

/* X [M][D] as left-hand tiles, rows beyond M zero. Within a parallel region. */
static void pack_rows(bf16 *out, const bf16 *x, int64_t M, int64_t D) {
#pragma omp for schedule(static)
    for (int64_t m = 0; m < rounded(M); m++)
        for (int64_t d = 0; d < D; d += 32) {
            const __m512i part = m < M ? _mm512_loadu_si512(x + m * D + d) : _mm512_setzero_si512();
            _mm512_storeu_si512(out + (m / 16 * (D / 32) + d / 32) * WORDS + m % 16 * 32, part);
        }
}

/* Y [M][O] (+)= X [M][D] W', X and W packed, rounded before it is added. Within a parallel region; c: 32 x 32. */
static void multiply_rows(bf16 *y, const bf16 *rows, const bf16 *w, int64_t M, int64_t O, int64_t D, int add, float *c) {
    const int64_t steps = D / 32;
#pragma omp for schedule(static)
    for (int64_t o = 0; o < O; o += 32)
        for (int64_t m = 0; m < M; m += 32) {
            multiply_packed(c, 32, rows + m / 16 * steps * WORDS, w + o / 16 * steps * WORDS, steps, 1, NULL);
            for (int64_t i = 0; i < 32 && m + i < M; i++)
                for (int64_t j = 0; j < 32; j += 16) {
                    bf16 *to = y + (m + i) * O + o + j;
                    const __m256i fresh = narrow16(_mm512_load_ps(c + 32 * i + j));
                    if (add)
                        store16(to, _mm512_add_ps(wide16(to), wide16((const bf16 *)&fresh)));
                    else
                        _mm256_storeu_si256((__m256i *)to, fresh);
                }
        }
}

/* Y [M][O] = X [M][D] W', W packed. */
void product(bf16 *y, const bf16 *x, const bf16 *w, int64_t M, int64_t O, int64_t D) {
    bf16 *rows = room((size_t)rounded(M) * D * 2);
#pragma omp parallel
    {
        tiles_on();
        float *c = room(32 * 32 * 4);
        pack_rows(rows, x, M, D);
        multiply_rows(y, rows, w, M, O, D, 0, c);
        free(c);
        tiles_off();
    }
    free(rows);
}

/* ---- a step ----------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const bf16 *norm, *qkv, *bias, *q_norm, *k_norm, *out, *ffn_norm, *gate_up, *down; /* weights packed; bias, q_norm and k_norm may be NULL */
    Kept prompts, own;
} Layer;

typedef struct {
    int64_t layers, D, F, kv_heads, d;
    float eps;
    const bf16 *norm;
} Shape;

typedef struct {
    bf16 *x, *tiles, *wide, *narrow;
    const bf16 *cos_Bd, *sin_Bd;
} Step;

static void norm_rows(bf16 *y, const bf16 *x, const bf16 *w, const Shape *s, int64_t M) {
#pragma omp for schedule(static)
    for (int64_t m = 0; m < M; m++) norm_row(y + m * s->D, x + m * s->D, w, 0, s->eps, s->D);
}

/* Bias, norms and angles of q and k, where they lie. */
static void turn_rows(bf16 *qkv, const Layer *layer, const Shape *s, const Rows *r, const Step *step) {
    const int64_t d = s->d, heads = r->heads + s->kv_heads, row = (heads + s->kv_heads) * d;
#pragma omp for schedule(static)
    for (int64_t b = 0; b < r->rows; b++) {
        bf16 *own = qkv + b * row;
        for (int64_t i = 0; layer->bias && i < row; i += 16) store16(own + i, _mm512_add_ps(wide16(own + i), wide16(layer->bias + i)));
        for (int64_t h = 0; h < heads; h++) {
            const bf16 *norm = h < r->heads ? layer->q_norm : layer->k_norm;
            if (norm) norm_row(own + h * d, own + h * d, norm, 0, s->eps, d);
            rotary_row(own + h * d, own + h * d, step->cos_Bd + b * d, step->sin_Bd + b * d, d, 0);
        }
    }
}

/* One token of every row through all layers of a Llama-like network: x [B][D] in, its last hidden states out. Rooms: tiles for the widest
   of D, heads d and F; wide for [B] of the widest of (heads + 2 kv_heads) d and 2 F; narrow for [B] of the widest of D, heads d and F. */
void decode_step(const Shape *s, const Layer *layers, const Rows *all, const int64_t *first_LB, const int64_t *own_LB, const Step *step) {
    const int64_t B = all->rows, d = s->d, hidden = all->heads * d, row = hidden + 2 * s->kv_heads * d;
#pragma omp parallel
    {
        tiles_on();
        float *c = room(32 * 32 * 4), *score = score_room(all, d);
        for (int64_t l = 0; l < s->layers; l++) {
            const Layer *layer = layers + l;
            Rows r = *all;
            r.prompt_first = first_LB + l * B;
            r.own_first = own_LB + l * B;
            norm_rows(step->narrow, step->x, layer->norm, s, B);
            pack_rows(step->tiles, step->narrow, B, s->D);
            multiply_rows(step->wide, step->tiles, layer->qkv, B, row, s->D, 0, c);
            turn_rows(step->wide, layer, s, &r, step);
            const bf16 *k = step->wide + hidden, *v = k + s->kv_heads * d;
            attend(&layer->prompts, &layer->own, &r, step->wide, row, k, row, v, row, step->narrow, score);
            pack_rows(step->tiles, step->narrow, B, hidden);
            multiply_rows(step->x, step->tiles, layer->out, B, s->D, hidden, 1, c);
            norm_rows(step->narrow, step->x, layer->ffn_norm, s, B);
            pack_rows(step->tiles, step->narrow, B, s->D);
            multiply_rows(step->wide, step->tiles, layer->gate_up, B, 2 * s->F, s->D, 0, c);
#pragma omp for schedule(static)
            for (int64_t b = 0; b < B; b++)
                for (int64_t i = 0; i < s->F; i += 16)
                    gated16(step->narrow + b * s->F + i, step->wide + 2 * b * s->F + i, step->wide + (2 * b + 1) * s->F + i, SILU);
            pack_rows(step->tiles, step->narrow, B, s->F);
            multiply_rows(step->x, step->tiles, layer->down, B, s->D, s->F, 1, c);
        }
        norm_rows(step->x, step->x, s->norm, s, B);
        free(c);
        free(score);
        tiles_off();
    }
}

/* ---- draw ------------------------------------------------------------------------------------------------------------------------- */

#define BLOCK 128

static inline __m512 part(const bf16 *x, int64_t left) {
    const __mmask16 in = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
    const __m512i wide = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(in, x)), 16);
    return _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), in, _mm512_castsi512_ps(wide));
}

/* token = min { v : sum_{w <= v} p_w > u sum_w p_w },  logp = log p_token,  p = softmax(logits * by). */
void draw(const bf16 *logits_BV, const double *u_B, float by, int64_t B, int64_t V, int64_t *token_B, float *logp_B) {
    const int64_t blocks = (V + BLOCK - 1) / BLOCK;
#pragma omp parallel
    {
        float *p = room((size_t)blocks * BLOCK * 4);
        double *mass = room((size_t)blocks * 8);
#pragma omp for
        for (int64_t b = 0; b < B; b++) {
            const bf16 *x = logits_BV + b * V;
            __m512 top = _mm512_set1_ps(-INFINITY);
            for (int64_t v = 0; v < V; v += 16) top = _mm512_max_ps(top, part(x + v, V - v));
            const float most = _mm512_reduce_max_ps(top) * by;
            double total = 0;
            for (int64_t n = 0; n < blocks; n++) {
                __m512 sum = _mm512_setzero_ps();
                for (int64_t v = n * BLOCK; v < (n + 1) * BLOCK; v += 16) {
                    const __m512 logit = v < V ? part(x + v, V - v) : _mm512_set1_ps(-INFINITY);
                    const __m512 e = exp16(_mm512_fmsub_ps(logit, _mm512_set1_ps(by), _mm512_set1_ps(most)));
                    const __m512 own = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(logit, _mm512_set1_ps(-INFINITY), _CMP_NEQ_UQ), e);
                    _mm512_storeu_ps(p + v, own);
                    sum = _mm512_add_ps(sum, own);
                }
                mass[n] = total += _mm512_reduce_add_ps(sum);
            }
            const double sought = u_B[b] * total;
            int64_t n = 0;
            while (n < blocks - 1 && !(mass[n] > sought)) n++;
            double before = n ? mass[n - 1] : 0;
            int64_t token = n * BLOCK, last = token;
            for (; token < (n + 1) * BLOCK && token < V; token++) {
                if (p[token] > 0) last = token; /* a sum rounded otherwise than its block's must not leave the block */
                if ((before += p[token]) > sought) break;
            }
            token_B[b] = before > sought ? token : last;
            const float logit = _mm512_cvtss_f32(part(x + token_B[b], 1));
            logp_B[b] = logit * by - most - (float)log(total);
        }
        free(p);
        free(mass);
    }
}
