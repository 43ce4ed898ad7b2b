/* The gradient of a residual network in its parameters for one image, and the slope in the image of whatever is made of
   that gradient: what `sweeps` computes, out of the cache.

   A network is a list of units: a convolution without bias, batch normalisation by running statistics, perhaps another
   map that is added, perhaps a ReLU; then the mean over all places and a linear layer. Channels come in groups of LANES.
   A map that is padded lies as [group][height + 2][width + 2][LANES], its border zero; any other one without a border.
   Weights lie in tiles, as [group out][group in][ky][kx][LANES in][LANES out]; each tile is also there transposed. Lanes
   without a channel hold zeros, and come to nothing. */

#include "lanes.h"

#define MOST_UNITS 64
#define BORDER 1
#define TILE (LANES * LANES)

/* `source` and `added` are units, from 1 on; 0 is the image; added < 0: nothing is. The numbers of a unit's parameters,
   in the vector of all; `channel` is that of its running statistics. */
typedef struct {
    int32_t source, added, rectified, in, out, kernel, stride;
    int32_t weight, scale, shift, channel;
} Unit;

typedef struct {
    int32_t units, classes, channels, height, width, head, head_bias, size;
    const float *parameters, *mean, *rate; /* rate: one over the deviation */
    Unit unit[MOST_UNITS];
} Network;

/* What a unit works on. Padded: out, its derivative, and the slopes in both; else: see the sweeps. */
typedef struct {
    int groups, high, wide, padded_wide;
    size_t places, cells; /* of a group: places, and numbers with the border */
    float *out, *out_dot, *slope, *slope_dot;
    float *normal, *masked, *inner, *inner_dot;
} Map;

typedef struct {
    Network network;
    Map map[MOST_UNITS + 1];
    float *transposed, *turned; /* the tiles of the weights, and of what is multiplied by them in turn */
    float *features, *features_dot, *features_slope, *probability, *delta, *z;
} Residual;

static int groups(int channels) { return (channels + LANES - 1) / LANES; }

static size_t tiles(const Unit *u) { return (size_t)groups(u->out) * groups(u->in) * u->kernel * u->kernel; }

static int filled(int channels, int group) { /* lanes */
    const int left = channels - group * LANES;
    return left < LANES ? left : LANES;
}

/* ---- one convolution ---- */

/* n places of one row of one group of the output: what the weights [0 .. sets) make of their maps. */
INLINE void row_forward(int n, const Unit *u, const Map *from, int sets, const float *const *weights, float *const *maps,
                        float *to, int y, int x) {
    vector sums[PLACES][REGISTERS];
    UNROLLED for (int i = 0; i < n; i++) UNROLLED for (int p = 0; p < REGISTERS; p++) sums[i][p] = (vector){0};
    const int step = u->stride * LANES, first = BORDER - u->kernel / 2;
    for (int set = 0; set < sets; set++) {
        const float *weight = weights[set];
        for (int group = 0; group < from->groups; group++) {
            const int depth = filled(u->in, group);
            const float *map = maps[set] + group * from->cells;
            for (int ky = 0; ky < u->kernel; ky++)
                for (int kx = 0; kx < u->kernel; kx++, weight += TILE) {
                    const float *place = map + ((size_t)(y * u->stride + ky + first) * from->padded_wide + x * u->stride + kx + first) * LANES;
                    for (int j = 0; j < depth; j++) {
                        vector one[REGISTERS];
                        UNROLLED for (int p = 0; p < REGISTERS; p++) one[p] = *(vector *)(weight + j * LANES + p * WIDTH);
                        UNROLLED for (int i = 0; i < n; i++) {
                            const float number = place[i * step + j];
                            UNROLLED for (int p = 0; p < REGISTERS; p++) sums[i][p] += one[p] * number;
                        }
                    }
                }
        }
    }
    UNROLLED for (int i = 0; i < n; i++) UNROLLED for (int p = 0; p < REGISTERS; p++)
        *(vector *)(to + i * LANES + p * WIDTH) = sums[i][p];
}

/* Of n places of one row of the slopes [0 .. sets): what they come to, through transposed weights, in one group of the
   input, which it is added to. */
INLINE void row_back(int n, const Unit *u, const Map *from, const Map *map, int sets, const float *const *weights,
                     float *const *slopes, float *to, int group, int y, int x) {
    const int step = u->stride * LANES, first = BORDER - u->kernel / 2, square = u->kernel * u->kernel;
    const size_t at = ((size_t)y * map->wide + x) * LANES;
    for (int k = 0; k < square; k++) {
        vector sums[SCATTERED][REGISTERS];
        UNROLLED for (int i = 0; i < n; i++) UNROLLED for (int p = 0; p < REGISTERS; p++) sums[i][p] = (vector){0};
        for (int set = 0; set < sets; set++)
            for (int out = 0; out < map->groups; out++) {
                const float *weight = weights[set] + ((size_t)(out * from->groups + group) * square + k) * TILE;
                const float *place = slopes[set] + out * map->places * LANES + at;
                for (int o = 0, depth = filled(u->out, out); o < depth; o++) {
                    vector one[REGISTERS];
                    UNROLLED for (int p = 0; p < REGISTERS; p++) one[p] = *(vector *)(weight + o * LANES + p * WIDTH);
                    UNROLLED for (int i = 0; i < n; i++) {
                        const float number = place[i * LANES + o];
                        UNROLLED for (int p = 0; p < REGISTERS; p++) sums[i][p] += one[p] * number;
                    }
                }
            }
        const int ky = k / u->kernel, kx = k % u->kernel;
        float *cell = to + ((size_t)(y * u->stride + ky + first) * from->padded_wide + x * u->stride + kx + first) * LANES;
        UNROLLED for (int i = 0; i < n; i++) UNROLLED for (int p = 0; p < REGISTERS; p++)
            *(vector *)(cell + i * step + p * WIDTH) += sums[i][p];
    }
}

/* n rows of one tile of the weights' gradient: the slope of a group of the output times the input. */
INLINE void rows_of_tile(int n, const Unit *u, const Map *from, const Map *map, const float *slope, const float *input,
                         float *tile) {
    vector sums[COLUMNS][REGISTERS];
    UNROLLED for (int j = 0; j < n; j++) UNROLLED for (int p = 0; p < REGISTERS; p++) sums[j][p] = (vector){0};
    for (int y = 0; y < map->high; y++) {
        const float *place = input + (size_t)y * u->stride * from->padded_wide * LANES;
        for (int x = 0; x < map->wide; x++, slope += LANES, place += u->stride * LANES) {
            vector one[REGISTERS];
            UNROLLED for (int p = 0; p < REGISTERS; p++) one[p] = *(vector *)(slope + p * WIDTH);
            UNROLLED for (int j = 0; j < n; j++) UNROLLED for (int p = 0; p < REGISTERS; p++) sums[j][p] += one[p] * place[j];
        }
    }
    UNROLLED for (int j = 0; j < n; j++) UNROLLED for (int p = 0; p < REGISTERS; p++)
        *(vector *)(tile + j * LANES + p * WIDTH) = sums[j][p];
}

static void forward(const Unit *u, const Map *from, const Map *map, int sets, const float *const *weights,
                    float *const *maps, float *out) {
    const size_t tiles_of_group = (size_t)from->groups * u->kernel * u->kernel * TILE;
    for (int group = 0; group < map->groups; group++) {
        const float *own[2];
        for (int set = 0; set < sets; set++) own[set] = weights[set] + group * tiles_of_group;
        for (int y = 0; y < map->high; y++)
            for (int x = 0, n; x < map->wide; x += n, out += n * LANES) {
                n = part(PLACES, map->wide - x);
#define CALL(k) row_forward(k, u, from, sets, own, maps, out, y, x)
                CONSTANT(n, PLACES, CALL)
#undef CALL
            }
    }
}

static void back(const Unit *u, const Map *from, const Map *map, int sets, const float *const *weights, float *const *slopes,
                 float *slope) {
    for (int group = 0; group < from->groups; group++)
        for (int y = 0; y < map->high; y++)
            for (int x = 0, n; x < map->wide; x += n) {
                n = part(SCATTERED, map->wide - x);
                float *to = slope + group * from->cells;
#define CALL(k) row_back(k, u, from, map, sets, weights, slopes, to, group, y, x)
                CONSTANT(n, SCATTERED, CALL)
#undef CALL
            }
}

static void weight_gradient(const Unit *u, const Map *from, const Map *map, float *tile) {
    const int first = BORDER - u->kernel / 2;
    for (int out = 0; out < map->groups; out++)
        for (int group = 0; group < from->groups; group++)
            for (int ky = 0; ky < u->kernel; ky++)
                for (int kx = 0; kx < u->kernel; kx++, tile += TILE)
                    for (int j = 0, n, depth = filled(u->in, group); j < depth; j += n) {
                        n = part(COLUMNS, depth - j);
                        const float *slope = map->inner + out * map->places * LANES;
                        const float *input = from->out + group * from->cells +
                                             ((size_t)(ky + first) * from->padded_wide + kx + first) * LANES + j;
#define CALL(k) rows_of_tile(k, u, from, map, slope, input, tile + j * LANES)
                        CONSTANT(n, COLUMNS, CALL)
#undef CALL
                    }
}

static void transpose(const float *from, float *to, size_t count) {
    for (size_t tile = 0; tile < count; tile++, from += TILE, to += TILE)
        for (int j = 0; j < LANES; j++)
            for (int o = 0; o < LANES; o++) to[o * LANES + j] = from[j * LANES + o];
}

/* ---- the sweeps ---- */

/* For each place of a unit's map and each register p of lanes: `at` in what has no border, `padded` in what has one. */
#define EACH_PLACE(map)                                                                                                 \
    for (int group = 0, done = 0; group < (map)->groups; group++)                                                       \
        for (int y = 0; y < (map)->high; y++)                                                                           \
            for (int x = 0; x < (map)->wide; x++, done++)                                                               \
                for (size_t p = 0, at = (size_t)done * LANES,                                                           \
                            padded = group * (map)->cells +                                                             \
                                     ((size_t)(y + BORDER) * (map)->padded_wide + x + BORDER) * LANES;                  \
                     p < LANES; p += WIDTH, at += WIDTH, padded += WIDTH)

INLINE vector of(const float *numbers, size_t at) { return *(vector *)(numbers + at); }

INLINE vector where_positive(vector of_what, vector chosen) { return (vector)((of_what > 0) & (whole)chosen); }

/* The image forward: `normal` is what normalisation scales and shifts. */
static void up(Residual *r, int i) {
    const Network *net = &r->network;
    const Unit *u = net->unit + i - 1;
    const Map *from = r->map + u->source, *map = r->map + i, *added = u->added < 0 ? NULL : r->map + u->added;
    const float *weight = net->parameters + u->weight, *scale = net->parameters + u->scale, *shift = net->parameters + u->shift;
    const float *mean = net->mean + u->channel, *rate = net->rate + u->channel;
    forward(u, from, map, 1, &weight, (float *[]){from->out}, map->inner);
    EACH_PLACE(map) {
        const size_t lane = group * LANES + p;
        const vector normal = (of(map->inner, at) - of(mean, lane)) * of(rate, lane);
        vector out = of(scale, lane) * normal + of(shift, lane);
        if (added) out += of(added->out, padded);
        *(vector *)(map->normal + at) = normal;
        *(vector *)(map->out + padded) = u->rectified ? where_positive(out, out) : out;
    }
}

/* The slope of the loss back: `masked` is that before a ReLU, `inner` that of the convolution. */
static void down(Residual *r, int i, float *gradient) {
    const Network *net = &r->network;
    const Unit *u = net->unit + i - 1;
    const Map *from = r->map + u->source, *map = r->map + i, *added = u->added < 0 ? NULL : r->map + u->added;
    const float *scale = net->parameters + u->scale, *rate = net->rate + u->channel, *turned = r->transposed + u->weight;
    memset(gradient + u->scale, 0, map->groups * LANES * sizeof(float));
    memset(gradient + u->shift, 0, map->groups * LANES * sizeof(float));
    EACH_PLACE(map) {
        const size_t lane = group * LANES + p;
        const vector slope = of(map->slope, padded), masked = u->rectified ? where_positive(of(map->out, padded), slope) : slope;
        *(vector *)(map->masked + at) = masked;
        *(vector *)(map->inner + at) = masked * of(scale, lane) * of(rate, lane);
        *(vector *)(gradient + u->scale + lane) += masked * of(map->normal, at);
        *(vector *)(gradient + u->shift + lane) += masked;
        if (added) *(vector *)(added->slope + padded) += masked;
    }
    weight_gradient(u, from, map, gradient + u->weight);
    if (u->source) back(u, from, map, 1, &turned, (float *[]){map->inner}, from->slope);
}

/* The derivative of the maps along v. */
static void up_dot(Residual *r, int i, const float *v) {
    const Network *net = &r->network;
    const Unit *u = net->unit + i - 1;
    const Map *from = r->map + u->source, *map = r->map + i, *added = u->added < 0 ? NULL : r->map + u->added;
    const float *scale = net->parameters + u->scale, *rate = net->rate + u->channel;
    const float *weights[] = {v + u->weight, net->parameters + u->weight};
    forward(u, from, map, u->source ? 2 : 1, weights, (float *[]){from->out, from->out_dot}, map->inner_dot);
    EACH_PLACE(map) {
        const size_t lane = group * LANES + p;
        vector out = of(scale, lane) * of(rate, lane) * of(map->inner_dot, at) + of(v + u->scale, lane) * of(map->normal, at) +
                     of(v + u->shift, lane);
        if (added) out += of(added->out_dot, padded);
        *(vector *)(map->out_dot + padded) = u->rectified ? where_positive(of(map->out, padded), out) : out;
    }
}

/* The derivative of the slopes along v. */
static void down_dot(Residual *r, int i, const float *v) {
    const Network *net = &r->network;
    const Unit *u = net->unit + i - 1;
    const Map *from = r->map + u->source, *map = r->map + i, *added = u->added < 0 ? NULL : r->map + u->added;
    const float *scale = net->parameters + u->scale, *rate = net->rate + u->channel;
    EACH_PLACE(map) {
        const size_t lane = group * LANES + p;
        const vector slope = of(map->slope_dot, padded), masked = u->rectified ? where_positive(of(map->out, padded), slope) : slope;
        *(vector *)(map->inner_dot + at) = of(rate, lane) * (of(scale, lane) * masked + of(v + u->scale, lane) * of(map->masked, at));
        if (added) *(vector *)(added->slope_dot + padded) += masked;
    }
    transpose(v + u->weight, r->turned, tiles(u));
    const float *weights[] = {r->turned, r->transposed + u->weight};
    back(u, from, map, 2, weights, (float *[]){map->inner, map->inner_dot}, from->slope_dot);
}

/* ---- the mean over all places, and the linear layer ---- */

static void pool(const Map *map, const float *maps, float *features) {
    const float share = 1.0f / map->places;
    memset(features, 0, map->groups * LANES * sizeof(float));
    EACH_PLACE(map) *(vector *)(features + group * LANES + p) += share * of(maps, padded);
}

static void spread(const Map *map, const float *features, float *maps) {
    const float share = 1.0f / map->places;
    EACH_PLACE(map) *(vector *)(maps + padded) = share * of(features, group * LANES + p);
}

static void accumulate(float *to, const float *from, float factor, size_t n) {
    for (size_t i = 0; i < n; i += WIDTH) *(vector *)(to + i) += factor * of(from, i);
}

static void head(Residual *r, const float *target, float *gradient) {
    const Network *net = &r->network;
    const Map *top = r->map + net->units;
    const size_t n = top->groups * LANES;
    const float *weight = net->parameters + net->head, *bias = net->parameters + net->head_bias;
    pool(top, top->out, r->features);
    float most = -INFINITY;
    for (int i = 0; i < net->classes; i++) {
        r->z[i] = dot(weight + i * n, r->features, n) + bias[i];
        most = r->z[i] > most ? r->z[i] : most;
    }
    double sum = 0;
    for (int i = 0; i < net->classes; i++) sum += exp((double)r->z[i] - most);
    memset(r->features_slope, 0, n * sizeof(float));
    for (int i = 0; i < net->classes; i++) {
        r->probability[i] = (float)(exp((double)r->z[i] - most) / sum);
        r->delta[i] = r->probability[i] - target[i];
        for (size_t j = 0; j < n; j += WIDTH) *(vector *)(gradient + net->head + i * n + j) = r->delta[i] * of(r->features, j);
        gradient[net->head_bias + i] = r->delta[i];
        accumulate(r->features_slope, weight + i * n, r->delta[i], n);
    }
    spread(top, r->features_slope, top->slope);
}

static void head_dot(Residual *r, const float *v, float *target_slope) {
    const Network *net = &r->network;
    const Map *top = r->map + net->units;
    const size_t n = top->groups * LANES;
    const float *weight = net->parameters + net->head, *own = v + net->head;
    pool(top, top->out_dot, r->features_dot);
    double mean = 0;
    for (int i = 0; i < net->classes; i++) {
        r->z[i] = dot(weight + i * n, r->features_dot, n) + dot(own + i * n, r->features, n) + v[net->head_bias + i];
        mean += r->probability[i] * r->z[i];
    }
    memset(r->features_slope, 0, n * sizeof(float));
    for (int i = 0; i < net->classes; i++) {
        const float centred = r->z[i] - (float)mean;
        target_slope[i] = -centred;
        accumulate(r->features_slope, weight + i * n, r->probability[i] * centred, n);
        accumulate(r->features_slope, own + i * n, r->delta[i], n);
    }
    spread(top, r->features_slope, top->slope_dot);
}

/* ---- what Python calls ---- */

void residual_free(Residual *r) {
    for (int i = 0; i <= r->network.units; i++) {
        Map *m = r->map + i;
        float *all[] = {m->out, m->out_dot, m->slope, m->slope_dot, m->normal, m->masked, m->inner, m->inner_dot};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) free(all[j]);
    }
    float *all[] = {r->transposed, r->turned, r->features, r->features_dot, r->features_slope, r->probability, r->delta, r->z};
    for (size_t j = 0; j < sizeof all / sizeof *all; j++) free(all[j]);
    free(r);
}

static int make(Map *map, int channels, int high, int wide) {
    *map = (Map){.groups = groups(channels), .high = high, .wide = wide, .padded_wide = wide + 2 * BORDER};
    map->places = (size_t)high * wide;
    map->cells = (size_t)(high + 2 * BORDER) * map->padded_wide * LANES;
    float **padded[] = {&map->out, &map->out_dot, &map->slope, &map->slope_dot};
    float **plain[] = {&map->normal, &map->masked, &map->inner, &map->inner_dot};
    int complete = 1;
    for (int i = 0; i < 4; i++) {
        complete &= (*padded[i] = NUMBERS(map->groups * map->cells)) != NULL;
        complete &= (*plain[i] = NUMBERS(map->groups * map->places * LANES)) != NULL;
    }
    return complete;
}

/* A network whose tensors must stay where they are; NULL: there is no memory for it. */
Residual *residual_new(const Network *network) {
    Residual *r = zeros(sizeof(Residual));
    if (!r) return NULL;
    r->network = *network;
    int complete = make(r->map, network->channels, network->height, network->width);
    size_t most = 0;
    for (int i = 0; i < network->units; i++) {
        const Unit *u = network->unit + i;
        const Map *from = r->map + u->source;
        complete &= make(r->map + i + 1, u->out, (from->high - 1) / u->stride + 1, (from->wide - 1) / u->stride + 1);
        most = tiles(u) > most ? tiles(u) : most;
    }
    const size_t features = r->map[network->units].groups * LANES;
    float **vectors[] = {&r->features, &r->features_dot, &r->features_slope}, **classes[] = {&r->probability, &r->delta, &r->z};
    for (int i = 0; i < 3; i++)
        complete &= (*vectors[i] = NUMBERS(features)) && (*classes[i] = NUMBERS(network->classes));
    complete &= (r->transposed = NUMBERS(network->size)) && (r->turned = NUMBERS(most * TILE));
    if (!complete) {
        residual_free(r);
        return NULL;
    }
    for (int i = 0; i < network->units; i++)
        transpose(network->parameters + network->unit[i].weight, r->transposed + network->unit[i].weight, tiles(network->unit + i));
    return r;
}

/* The gradient of the cross-entropy in all parameters, for an image [channels][height][width] and the probabilities
   [classes] that it should have. Lanes without a channel stay as they are. */
void residual_update(Residual *r, const float *image, const float *target, float *gradient) {
    Map *bottom = r->map;
    for (int c = 0; c < r->network.channels; c++)
        for (int y = 0; y < bottom->high; y++)
            for (int x = 0; x < bottom->wide; x++)
                bottom->out[c / LANES * bottom->cells + ((size_t)(y + BORDER) * bottom->padded_wide + x + BORDER) * LANES + c % LANES] = *image++;
    for (int i = 1; i <= r->network.units; i++) up(r, i);
    for (int i = 0; i < r->network.units; i++) memset(r->map[i].slope, 0, r->map[i].groups * r->map[i].cells * sizeof(float));
    head(r, target, gradient);
    for (int i = r->network.units; i > 0; i--) down(r, i, gradient);
}

/* The slopes, in the image and in the probabilities of the last update, of the gradient's inner product with v. */
void residual_slopes(Residual *r, const float *v, float *image, float *target) {
    Map *bottom = r->map;
    for (int i = 1; i <= r->network.units; i++) up_dot(r, i, v);
    for (int i = 0; i < r->network.units; i++)
        memset(r->map[i].slope_dot, 0, r->map[i].groups * r->map[i].cells * sizeof(float));
    head_dot(r, v, target);
    for (int i = r->network.units; i > 0; i--) down_dot(r, i, v);
    for (int c = 0; c < r->network.channels; c++)
        for (int y = 0; y < bottom->high; y++)
            for (int x = 0; x < bottom->wide; x++)
                *image++ = bottom->slope_dot[c / LANES * bottom->cells + ((size_t)(y + BORDER) * bottom->padded_wide + x + BORDER) * LANES + c % LANES];
}
