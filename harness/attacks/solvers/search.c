/* The search of DLG and iDLG (Zhu et al. 2019, Zhao et al. 2020) for one image behind a sigmoid network: closure, L-BFGS
   and the engine's rules in one function, so that all that a step reads stays in the cache.

   The passes are those of lowrank.py. A map lies as [height + 2 pad][width + 2 pad][LANES channels], so that the channels
   of one place are REGISTERS vectors; weights lie as [ky][kx][channel in][LANES channels out]. The first map alone has
   its own number of channels instead of LANES. Lanes without a channel hold zero weights, and come to nothing. */

#include "lanes.h"
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#define VERSION 3
#define MOST_LAYERS 8

enum { RUNNING, CONVERGED, BUDGET, DIVERGED, STALLED };

/* One convolution: its sizes, and its tensors as native.py lays them out. */
typedef struct {
    int32_t in, out, height, width, kernel_high, kernel_wide, stride_down, stride_across, pad_above, pad_beside;
    const float *weight, *transposed, *bias, *received, *received_bias;
} Layer;

typedef struct {
    int32_t layers, classes, size, budget, every, soft, exploded_steps, history, most_moves;
    float tolerance, exploded, rate, tolerance_gradient, tolerance_change;
    const float *head, *head_bias, *delta, *hidden, *target, *start;
    Layer layer[MOST_LAYERS];
} Problem;

/* What the search of a layer works on. */
typedef struct {
    int high, wide, padded_wide, spread; /* of the output; of the input with its padding; numbers a place of the input */
    size_t places, cells;                /* places of the output; numbers of the input */
    float *input, *input_dot;            /* padded */
    float *out, *slope, *da, *dh, *h_dot, *da_dot, *dh_dot;
    float *v, *v_transposed, *v_bias;
} Work;

typedef struct {
    Problem problem;
    Work work[MOST_LAYERS];
    float *x, *gradient, *best, *last_gradient, *move, *direction;
    float *s, *y, *rho, *alpha;
    float *z, *probability, *target, *delta, *e, *k;
    float *turned, *turned_dot, *phases; /* of the first layer: see first_slope */
    float *trace;
    size_t padded; /* length of a vector of the search, a multiple of LANES */
    float loss, best_loss, first_loss, last_loss, scale;
    int32_t evaluations, explosions, spent, kept, status, traced;
    int32_t patience, marked;  /* evaluations; 0: without end */
    double improvement, mark; /* the last loss that was lower than the mark before it by this share */
} Search;

/* ---- vectors ---- */

static void add(float *a, const float *b, float factor, size_t n) { /* a += factor b */
    for (size_t i = 0; i < n; i += WIDTH) *(vector *)(a + i) += factor * *(vector *)(b + i);
}

INLINE vector chosen(whole where, vector one, vector other) {
    return (vector)((where & (whole)one) | (~where & (whole)other));
}

INLINE vector exponential(vector x) { /* degree 5, Cody and Waite's reduction: about one unit in the last place */
    const vector low = (vector){0} - 87.0f, high = (vector){0} + 88.0f;
    x = chosen(x < low, low, x);
    x = chosen(x > high, high, x);
    const vector shift = (vector){0} + 12582912.0f;
    vector n = (x * 1.44269504f + shift) - shift;
    vector r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    vector p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    whole bits = (__builtin_convertvector(n, whole) + 127) << 23;
    return p * (vector)bits;
}

/* ---- one convolution ---- */

/* out += weight applied to input, for n places of one row from x on; begin: what out starts from, NULL for itself. */
INLINE void row_forward(int n, const Layer *l, const Work *w, const float *weight, const float *input, const float *begin,
                        float *out, int y, int x) {
    vector sums[PLACES][REGISTERS];
    float *to = out + ((size_t)y * w->wide + x) * LANES;
    UNROLLED for (int i = 0; i < n; i++) UNROLLED for (int p = 0; p < REGISTERS; p++)
        sums[i][p] = *(vector *)((begin ? begin : to + i * LANES) + p * WIDTH);
    const int step = l->stride_across * w->spread;
    for (int ky = 0; ky < l->kernel_high; ky++)
        for (int kx = 0; kx < l->kernel_wide; kx++) {
            const float *from =
                input + (((size_t)y * l->stride_down + ky) * w->padded_wide + x * l->stride_across + kx) * w->spread;
            for (int j = 0; j < l->in; j++, weight += LANES) {
                vector one[REGISTERS];
                UNROLLED for (int p = 0; p < REGISTERS; p++) one[p] = *(vector *)(weight + p * WIDTH);
                UNROLLED for (int i = 0; i < n; i++) {
                    const float number = from[i * step + j];
                    UNROLLED for (int p = 0; p < REGISTERS; p++) sums[i][p] += one[p] * number;
                }
            }
        }
    UNROLLED for (int i = 0; i < n; i++) UNROLLED for (int p = 0; p < REGISTERS; p++)
        *(vector *)(to + i * LANES + p * WIDTH) = sums[i][p];
}

/* Of each place n of one row: input[where the kernel's (ky, kx) meets it] += transposed slope, for all ky and kx. */
INLINE void row_back(int n, const Layer *l, const Work *w, const float *transposed, const float *slope,
                     const float *further, const float *further_slope, float *input, int y, int x) {
    const size_t at = ((size_t)y * w->wide + x) * LANES;
    const int step = l->stride_across * LANES;
    for (int ky = 0; ky < l->kernel_high; ky++)
        for (int kx = 0; kx < l->kernel_wide; kx++) {
            vector sums[SCATTERED][REGISTERS];
            UNROLLED for (int i = 0; i < n; i++) UNROLLED for (int p = 0; p < REGISTERS; p++) sums[i][p] = (vector){0};
            for (int set = 0; set < (further ? 2 : 1); set++) {
                const float *weight = (set ? further : transposed) + (size_t)(ky * l->kernel_wide + kx) * l->out * LANES;
                const float *from = (set ? further_slope : slope) + at;
                for (int o = 0; o < l->out; o++, weight += LANES) {
                    vector one[REGISTERS];
                    UNROLLED for (int p = 0; p < REGISTERS; p++) one[p] = *(vector *)(weight + p * WIDTH);
                    UNROLLED for (int i = 0; i < n; i++) {
                        const float number = from[i * LANES + o];
                        UNROLLED for (int p = 0; p < REGISTERS; p++) sums[i][p] += one[p] * number;
                    }
                }
            }
            float *to =
                input + (((size_t)y * l->stride_down + ky) * w->padded_wide + x * l->stride_across + kx) * LANES;
            UNROLLED for (int i = 0; i < n; i++) UNROLLED for (int p = 0; p < REGISTERS; p++)
                *(vector *)(to + i * step + p * WIDTH) += sums[i][p];
        }
}

/* n columns of one row of the kernel: v = da' input - received. */
INLINE void columns_of_weight(int n, const Layer *l, const Work *w, const float *input, const float *received, float *v) {
    vector sums[COLUMNS][REGISTERS];
    UNROLLED for (int j = 0; j < n; j++) UNROLLED for (int p = 0; p < REGISTERS; p++) sums[j][p] = (vector){0};
    const float *da = w->da;
    const int step = l->stride_across * w->spread;
    for (int y = 0; y < w->high; y++) {
        const float *from = input + (size_t)y * l->stride_down * w->padded_wide * w->spread;
        for (int x = 0; x < w->wide; x++, da += LANES, from += step) {
            vector one[REGISTERS];
            UNROLLED for (int p = 0; p < REGISTERS; p++) one[p] = *(vector *)(da + p * WIDTH);
            UNROLLED for (int j = 0; j < n; j++) UNROLLED for (int p = 0; p < REGISTERS; p++) sums[j][p] += one[p] * from[j];
        }
    }
    UNROLLED for (int j = 0; j < n; j++) UNROLLED for (int p = 0; p < REGISTERS; p++)
        *(vector *)(v + j * LANES + p * WIDTH) = sums[j][p] - *(vector *)(received + j * LANES + p * WIDTH);
}

static void forward(const Layer *l, const Work *w, const float *weight, const float *input, const float *begin,
                    float *out) {
    for (int y = 0; y < w->high; y++)
        for (int x = 0, n; x < w->wide; x += n) {
            n = part(PLACES, w->wide - x);
#define CALL(k) row_forward(k, l, w, weight, input, begin, out, y, x)
            CONSTANT(n, PLACES, CALL)
#undef CALL
        }
}

static void back(const Layer *l, const Work *w, const float *transposed, const float *slope, const float *further,
                 const float *further_slope, float *input) {
    memset(input, 0, w->cells * sizeof(float));
    for (int y = 0; y < w->high; y++)
        for (int x = 0, n; x < w->wide; x += n) {
            n = part(SCATTERED, w->wide - x);
#define CALL(k) row_back(k, l, w, transposed, slope, further, further_slope, input, y, x)
            CONSTANT(n, SCATTERED, CALL)
#undef CALL
        }
}

static void weight_mismatch(const Layer *l, const Work *w) {
    const int together = w->spread == l->in; /* then a row of the kernel is one stretch of the input */
    const int stretches = together ? 1 : l->kernel_wide, columns = together ? l->kernel_wide * l->in : l->in;
    const float *received = l->received;
    float *v = w->v;
    for (int ky = 0; ky < l->kernel_high; ky++)
        for (int kx = 0; kx < stretches; kx++)
            for (int j = 0, n; j < columns; j += n, received += n * LANES, v += n * LANES) {
                n = part(COLUMNS, columns - j);
                const float *input = w->input + ((size_t)ky * w->padded_wide + kx) * w->spread + j;
#define CALL(k) columns_of_weight(k, l, w, input, received, v)
                CONSTANT(n, COLUMNS, CALL)
#undef CALL
            }
}

static void transpose(const Layer *l, const float *v, float *to) { /* [k][in][LANES out] to [k][out][LANES in] */
    for (int k = 0; k < l->kernel_high * l->kernel_wide; k++)
        for (int j = 0; j < l->in; j++)
            for (int o = 0; o < l->out; o++) to[(k * l->out + o) * LANES + j] = v[(k * l->in + j) * LANES + o];
}

/* ---- the first layer's slope in its input, which has too few channels to fill registers: places of a row do ---- */

/* Numbers of a row of the output, padded to registers, and room behind them for the kernel to reach. */
INLINE int row_room(const Work *w) { return (w->wide + LANES - 1) / LANES * LANES; }

static void turn(const Work *w, int out, const float *map, float *to) { /* [y][x][LANES] to [out][y][row] */
    const int row = row_room(w);
    for (int y = 0; y < w->high; y++)
        for (int x = 0; x < w->wide; x++)
            for (int o = 0; o < out; o++) to[((size_t)o * w->high + y) * row + x] = map[((size_t)y * w->wide + x) * LANES + o];
}

/* The image's slope [channel][y][x], times two: of the weights with da_dot, and of v with da. */
static void first_slope(Search *s) {
    const Layer *l = s->problem.layer;
    Work *w = s->work;
    const int row = row_room(w), reach = row + LANES, tall = l->height + 2 * l->pad_above;
    turn(w, l->out, w->da_dot, s->turned_dot);
    turn(w, l->out, w->da, s->turned);
    for (int c = 0; c < l->in; c++) {
        memset(s->phases, 0, (size_t)l->stride_across * tall * reach * sizeof(float));
        for (int y = 0; y < w->high; y++)
            for (int ky = 0; ky < l->kernel_high; ky++)
                for (int kx = 0; kx < l->kernel_wide; kx++) {
                    const size_t at = ((size_t)(ky * l->kernel_wide + kx) * l->in + c) * LANES;
                    const float *weight = l->weight + at, *v = w->v + at;
                    float *to = s->phases + ((size_t)(kx % l->stride_across) * tall + y * l->stride_down + ky) * reach +
                                kx / l->stride_across;
                    for (int x = 0; x < row; x += WIDTH) {
                        vector one = {0}, other = {0};
                        for (int o = 0; o < l->out; o++) {
                            const size_t from = ((size_t)o * w->high + y) * row + x;
                            one += weight[o] * *(vector *)(s->turned_dot + from);
                            other += v[o] * *(vector *)(s->turned + from);
                        }
                        *(loose *)(to + x) += one + other;
                    }
                }
        for (int y = 0; y < l->height; y++)
            for (int x = 0; x < l->width; x++) {
                const int across = x + l->pad_beside;
                s->gradient[(c * l->height + y) * l->width + x] =
                    2 * s->phases[((size_t)(across % l->stride_across) * tall + y + l->pad_above) * reach +
                                  across / l->stride_across];
            }
    }
}

/* ---- the closure ---- */

/* Copies a map [y][x][LANES] into the padded input of the next layer. */
static void hand_on(const Layer *next, const Work *w, const float *map, float *input) {
    for (int y = 0; y < next->height; y++)
        memcpy(input + ((size_t)(y + next->pad_above) * w->padded_wide + next->pad_beside) * LANES,
               map + (size_t)y * next->width * LANES, (size_t)next->width * LANES * sizeof(float));
}

/* The same back: the slope of the padded input without its padding. */
static void hand_back(const Layer *l, const Work *w, const float *input, float *map) {
    for (int y = 0; y < l->height; y++)
        memcpy(map + (size_t)y * l->width * LANES,
               input + ((size_t)(y + l->pad_above) * w->padded_wide + l->pad_beside) * LANES,
               (size_t)l->width * LANES * sizeof(float));
}

static void spread_image(Search *s) {
    const Layer *l = s->problem.layer;
    Work *w = s->work;
    for (int c = 0; c < l->in; c++)
        for (int y = 0; y < l->height; y++)
            for (int x = 0; x < l->width; x++)
                w->input[((size_t)(y + l->pad_above) * w->padded_wide + x + l->pad_beside) * l->in + c] =
                    s->x[(c * l->height + y) * l->width + x];
}

/* out = sigmoid(out) and its slope; nothing in lanes without a channel. */
static void squash(const Layer *l, const Work *w) {
    float mask[LANES] __attribute__((aligned(ALIGNED)));
    for (int i = 0; i < LANES; i++) mask[i] = i < l->out;
    for (size_t at = 0; at < w->places * LANES; at += LANES)
        for (int p = 0; p < LANES; p += WIDTH) {
            vector h = *(vector *)(mask + p) / (1.0f + exponential(-*(vector *)(w->out + at + p)));
            *(vector *)(w->out + at + p) = h;
            *(vector *)(w->slope + at + p) = h * (1.0f - h);
        }
}

static void softmax(const float *z, int n, float *to) {
    float most = z[0], sum = 0;
    for (int i = 1; i < n; i++) most = z[i] > most ? z[i] : most;
    for (int i = 0; i < n; i++) sum += to[i] = expf(z[i] - most);
    for (int i = 0; i < n; i++) to[i] /= sum;
}

/* out = sum over classes of factor[class] head[class]. */
static void from_head(const Search *s, const float *factor, float *out, size_t features) {
    memset(out, 0, features * sizeof(float));
    for (int i = 0; i < s->problem.classes; i++) add(out, s->problem.head + i * features, factor[i], features);
}

/* The squared distance of the gradients at s->x, and its own gradient. */
static void closure(Search *s) {
    const Problem *problem = &s->problem;
    const int layers = problem->layers, classes = problem->classes;
    const int pixels = problem->layer[0].in * problem->layer[0].height * problem->layer[0].width;
    spread_image(s);
    for (int i = 0; i < layers; i++) {
        const Layer *l = problem->layer + i;
        Work *w = s->work + i;
        if (i) hand_on(l, w, w[-1].out, w->input);
        forward(l, w, l->weight, w->input, l->bias, w->out);
        squash(l, w);
    }
    Work *top = s->work + layers - 1;
    const size_t features = top->places * LANES;
    const float *h = top->out;
    for (int i = 0; i < classes; i++) s->z[i] = problem->head_bias[i] + dot(problem->head + i * features, h, features);
    softmax(s->z, classes, s->probability);
    if (problem->soft)
        softmax(s->x + pixels, classes, s->target);
    else
        memcpy(s->target, problem->target, classes * sizeof(float));
    double ee = 0, e_received = 0, received = 0, e_delta = 0, received_delta = 0;
    for (int i = 0; i < classes; i++) {
        s->delta[i] = s->probability[i] - s->target[i];
        s->e[i] = s->delta[i] - problem->delta[i];
        ee += s->e[i] * s->e[i], e_received += s->e[i] * problem->delta[i];
        received += problem->delta[i] * problem->delta[i];
        e_delta += s->e[i] * s->delta[i], received_delta += problem->delta[i] * s->delta[i];
    }
    for (size_t i = 0; i < features; i += WIDTH) *(vector *)(s->k + i) = *(vector *)(h + i) - *(vector *)(problem->hidden + i);
    const double hh = dot(h, h, features), hk = dot(h, s->k, features), kk = dot(s->k, s->k, features);
    double loss = ee * hh + 2 * e_received * hk + received * kk + ee;

    from_head(s, s->delta, top->dh, features);
    for (int i = layers - 1; i >= 0; i--) {
        const Layer *l = problem->layer + i;
        Work *w = s->work + i;
        vector sums[REGISTERS];
        UNROLLED for (int p = 0; p < REGISTERS; p++) sums[p] = (vector){0};
        for (size_t at = 0; at < w->places * LANES; at += LANES)
            UNROLLED for (int p = 0; p < REGISTERS; p++) {
                vector da = *(vector *)(w->dh + at + p * WIDTH) * *(vector *)(w->slope + at + p * WIDTH);
                *(vector *)(w->da + at + p * WIDTH) = da;
                sums[p] += da;
            }
        UNROLLED for (int p = 0; p < REGISTERS; p++)
            *(vector *)(w->v_bias + p * WIDTH) = sums[p] - *(vector *)(l->received_bias + p * WIDTH);
        weight_mismatch(l, w);
        const size_t weights = (size_t)l->kernel_high * l->kernel_wide * l->in * LANES;
        loss += dot(w->v, w->v, weights) + dot(w->v_bias, w->v_bias, LANES);
        if (i) {
            transpose(l, w->v, w->v_transposed);
            back(l, w, l->transposed, w->da, NULL, NULL, w->input_dot);
            hand_back(l, w, w->input_dot, w[-1].dh);
        }
    }
    for (int i = 0; i < layers; i++) {
        const Layer *l = problem->layer + i;
        Work *w = s->work + i;
        forward(l, w, w->v, w->input, w->v_bias, w->h_dot);
        if (i) {
            memset(w->input_dot, 0, w->cells * sizeof(float));
            hand_on(l, w, w[-1].h_dot, w->input_dot);
            forward(l, w, l->weight, w->input_dot, NULL, w->h_dot);
        }
        for (size_t at = 0; at < w->places * LANES; at += WIDTH)
            *(vector *)(w->h_dot + at) *= *(vector *)(w->slope + at);
    }
    /* z_dot, then the slope of the features and of the target. */
    double mean = 0;
    for (int i = 0; i < classes; i++) {
        s->z[i] = dot(problem->head + i * features, top->h_dot, features) + s->e[i] * (1 + hh) + problem->delta[i] * hk;
        mean += s->probability[i] * s->z[i];
    }
    for (int i = 0; i < classes; i++) {
        s->z[i] -= mean; /* centred */
        s->e[i] = s->probability[i] * s->z[i];
    }
    from_head(s, s->e, top->dh_dot, features);
    for (size_t i = 0; i < features; i += WIDTH)
        *(vector *)(top->dh_dot + i) += *(vector *)(h + i) * (float)e_delta + *(vector *)(s->k + i) * (float)received_delta;
    if (problem->soft) {
        double inner = 0;
        for (int i = 0; i < classes; i++) inner += s->target[i] * -2.0f * s->z[i];
        for (int i = 0; i < classes; i++) s->gradient[pixels + i] = s->target[i] * (-2.0f * s->z[i] - (float)inner);
    }
    for (int i = layers - 1; i >= 0; i--) {
        const Layer *l = problem->layer + i;
        Work *w = s->work + i;
        for (size_t at = 0; at < w->places * LANES; at += WIDTH)
            *(vector *)(w->da_dot + at) =
                *(vector *)(w->slope + at) * *(vector *)(w->dh_dot + at) +
                *(vector *)(w->dh + at) * (1.0f - 2.0f * *(vector *)(w->out + at)) * *(vector *)(w->h_dot + at);
        if (i) {
            back(l, w, l->transposed, w->da_dot, w->v_transposed, w->da, w->input_dot);
            hand_back(l, w, w->input_dot, w[-1].dh_dot);
        }
    }
    first_slope(s);
    s->loss = (float)loss;
}

/* ---- the search ---- */

static float largest(const float *a, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++) most = fabsf(a[i]) > most ? fabsf(a[i]) : most;
    return most;
}

/* Takes in the last move, then s->direction = minus the inverse Hessian times the gradient: torch's two loops. */
static void aim(Search *s) {
    const size_t n = s->padded;
    const int most = s->problem.history;
    if (s->spent > 0) {
        float *y = s->y + (size_t)(s->kept % most) * n;
        for (size_t i = 0; i < n; i += WIDTH) *(vector *)(y + i) = *(vector *)(s->gradient + i) - *(vector *)(s->last_gradient + i);
        const float ys = dot(y, s->move, n);
        if (ys > 1e-10f) {
            memcpy(s->s + (size_t)(s->kept % most) * n, s->move, n * sizeof(float));
            s->rho[s->kept % most] = 1 / ys;
            s->scale = ys / dot(y, y, n);
            s->kept++;
        }
    }
    const int oldest = s->kept > most ? s->kept - most : 0;
    float *q = s->direction;
    for (size_t i = 0; i < n; i += WIDTH) *(vector *)(q + i) = -*(vector *)(s->gradient + i);
    for (int i = s->kept - 1; i >= oldest; i--) {
        const size_t at = i % most;
        s->alpha[at] = s->rho[at] * dot(s->s + at * n, q, n);
        add(q, s->y + at * n, -s->alpha[at], n);
    }
    for (size_t i = 0; i < n; i += WIDTH) *(vector *)(q + i) *= s->scale;
    for (int i = oldest; i < s->kept; i++) {
        const size_t at = i % most;
        add(q, s->s + at * n, s->alpha[at] - s->rho[at] * dot(s->y + at * n, q, n), n);
    }
}

/* One move of torch.optim.LBFGS without a line search, as lbfgs.py charges for it; STALLED where there is none. */
static int move_on(Search *s) {
    const Problem *problem = &s->problem;
    const size_t n = s->padded;
    const int still = largest(s->move, n) <= problem->tolerance_change;
    if (still || fabsf(s->loss - s->last_loss) < problem->tolerance_change) {
        const int begun = s->spent % problem->most_moves;
        s->spent += begun ? problem->most_moves - begun : 0;
    }
    if (s->spent >= problem->budget || largest(s->gradient, n) <= problem->tolerance_gradient) return STALLED;
    aim(s);
    float rate = problem->rate;
    if (s->spent == 0) {
        float sum = 0;
        for (size_t i = 0; i < n; i++) sum += fabsf(s->gradient[i]);
        rate *= sum > 1 ? 1 / sum : 1;
    }
    if (dot(s->gradient, s->direction, n) > -problem->tolerance_change) return STALLED;
    for (size_t i = 0; i < n; i += WIDTH) {
        *(vector *)(s->move + i) = rate * *(vector *)(s->direction + i);
        *(vector *)(s->x + i) += *(vector *)(s->move + i);
    }
    memcpy(s->last_gradient, s->gradient, n * sizeof(float));
    s->last_loss = s->loss;
    s->spent++;
    return RUNNING;
}

/* The engine's rules after an evaluation, in its order. */
static int judged(Search *s) {
    const Problem *problem = &s->problem;
    if (s->loss < s->best_loss) {
        s->best_loss = s->loss;
        memcpy(s->best, s->x, s->padded * sizeof(float));
    }
    if (s->evaluations == 0) s->first_loss = s->loss;
    if (s->evaluations % problem->every == 0) s->trace[s->traced++] = s->loss;
    s->evaluations++;
    if (s->mark == INFINITY || s->loss < s->mark - s->improvement * fabs(s->mark)) {
        s->mark = s->loss;
        s->marked = s->evaluations;
    }
    s->explosions = s->loss > problem->exploded * s->first_loss ? s->explosions + 1 : 0;
    if (!isfinite(s->loss) || s->explosions >= problem->exploded_steps) return DIVERGED;
    if (s->loss < problem->tolerance) return CONVERGED;
    if (s->evaluations >= problem->budget) return BUDGET;
    return s->patience && s->evaluations - s->marked >= s->patience ? STALLED : RUNNING;
}

int search_version(void) { return VERSION; }

void search_free(Search *s) {
    for (int i = 0; i < s->problem.layers; i++) {
        Work *w = s->work + i;
        float *all[] = {w->input, w->input_dot, w->out, w->slope, w->da, w->dh, w->h_dot, w->da_dot, w->dh_dot, w->v,
                        w->v_transposed, w->v_bias};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) free(all[j]);
    }
    float *all[] = {s->x, s->gradient, s->best, s->last_gradient, s->move, s->direction, s->s, s->y, s->rho, s->alpha, s->z,
                    s->probability, s->target, s->delta, s->e, s->k, s->turned, s->turned_dot, s->phases, s->trace};
    for (size_t j = 0; j < sizeof all / sizeof *all; j++) free(all[j]);
    free(s);
}

/* A search at its start, whose tensors must stay where they are; NULL: there is no memory for it. */
Search *search_new(const Problem *problem) {
    Search *s = zeros(sizeof(Search));
    if (!s) return NULL;
    s->problem = *problem;
    int complete = 1;
    for (int i = 0; i < problem->layers; i++) {
        const Layer *l = s->problem.layer + i;
        Work *w = s->work + i;
        w->padded_wide = l->width + 2 * l->pad_beside;
        w->wide = (w->padded_wide - l->kernel_wide) / l->stride_across + 1;
        w->high = (l->height + 2 * l->pad_above - l->kernel_high) / l->stride_down + 1;
        w->spread = i ? LANES : l->in;
        w->places = (size_t)w->high * w->wide;
        w->cells = (size_t)w->padded_wide * (l->height + 2 * l->pad_above) * w->spread;
        const size_t weights = (size_t)l->kernel_high * l->kernel_wide * LANES, map = w->places * LANES;
        float **maps[] = {&w->out, &w->slope, &w->da, &w->dh, &w->h_dot, &w->da_dot, &w->dh_dot};
        for (int j = 0; j < 7; j++) complete &= (*maps[j] = NUMBERS(map)) != NULL;
        complete &= (w->input = NUMBERS(w->cells)) && (w->input_dot = NUMBERS(w->cells)) && (w->v_bias = NUMBERS(LANES)) &&
                  (w->v = NUMBERS(weights * l->in)) && (w->v_transposed = NUMBERS(weights * l->out));
    }
    const Layer *first = s->problem.layer;
    const Work *bottom = s->work, *top = s->work + problem->layers - 1;
    const size_t turned = (size_t)first->out * bottom->high * row_room(bottom);
    const size_t phases = (size_t)first->stride_across * (first->height + 2 * first->pad_above) * (row_room(bottom) + LANES);
    const size_t n = s->padded = ((size_t)problem->size + LANES - 1) / LANES * LANES;
    float **vectors[] = {&s->x, &s->gradient, &s->best, &s->last_gradient, &s->move, &s->direction};
    for (int j = 0; j < 6; j++) complete &= (*vectors[j] = NUMBERS(n)) != NULL;
    float **classes[] = {&s->z, &s->probability, &s->target, &s->delta, &s->e};
    for (int j = 0; j < 5; j++) complete &= (*classes[j] = NUMBERS(problem->classes)) != NULL;
    complete &= (s->s = NUMBERS(n * problem->history)) && (s->y = NUMBERS(n * problem->history)) &&
              (s->rho = NUMBERS(problem->history)) && (s->alpha = NUMBERS(problem->history)) &&
              (s->k = NUMBERS(top->places * LANES)) && (s->turned = NUMBERS(turned)) && (s->turned_dot = NUMBERS(turned)) &&
              (s->phases = NUMBERS(phases)) && (s->trace = NUMBERS(problem->budget / problem->every + 1));
    if (!complete) {
        search_free(s);
        return NULL;
    }
    memcpy(s->x, problem->start, (size_t)problem->size * sizeof(float));
    memcpy(s->best, s->x, n * sizeof(float));
    s->best_loss = INFINITY, s->scale = 1, s->mark = INFINITY;
    return s;
}

/* Has a search end when its loss has not fallen by a share over so many evaluations. */
void search_patience(Search *s, int evaluations, double improvement) {
    s->patience = evaluations;
    s->improvement = improvement;
}

/* Where sigmoids saturate, numbers fall below 1e-38; the processor takes tens of times as long for those as for zero. */
#if defined(__SSE__)
static unsigned without_denormals(void) { /* Returns how it was. */
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* results of that size, and operands, are zero */
    return before;
}
static void as_before(unsigned before) { _mm_setcsr(before); }
#else
static unsigned without_denormals(void) { return 0; }
static void as_before(unsigned before) { (void)before; }
#endif

/* Goes on for so many evaluations, or to the end. Returns the status. */
int search_run(Search *s, int evaluations) {
    const unsigned before = without_denormals();
    while (s->status == RUNNING && evaluations-- > 0) {
        closure(s);
        s->status = judged(s);
        if (s->status == RUNNING) s->status = move_on(s);
        else if (s->status == BUDGET) move_on(s); /* the authors' loops end with a move */
    }
    as_before(before);
    return s->status;
}

/* The loss and its gradient [size] at a point [size]. */
float search_closure(Search *s, const float *x, float *gradient) {
    const unsigned before = without_denormals();
    memcpy(s->x, x, (size_t)s->problem.size * sizeof(float));
    closure(s);
    as_before(before);
    memcpy(gradient, s->gradient, (size_t)s->problem.size * sizeof(float));
    return s->loss;
}

/* What a search has found: its best and its newest point [size], the losses of the trace; counts in `numbers`. */
void search_read(const Search *s, float *best, float *newest, float *trace, float *losses, int32_t *counts) {
    memcpy(best, s->best, (size_t)s->problem.size * sizeof(float));
    memcpy(newest, s->x, (size_t)s->problem.size * sizeof(float));
    memcpy(trace, s->trace, (size_t)s->traced * sizeof(float));
    losses[0] = s->best_loss, losses[1] = s->loss;
    counts[0] = s->evaluations, counts[1] = s->traced;
}
