// A tree of reductions: each rung computes a row as soon as its source has the rows for it. Of each
// source only the last `taps` rows are held. Here, the source of the first rung is the original.
#include "ladder.h"

#include <stdlib.h>
#include <string.h>

#include "kernel.h"

// What a ladder holds for a rung. Planes are padded, and rows have a plane for each band.
struct state {
    int source_width, source_height, width, height, source;
    int rows_in, rows_out; // rows of the source that came in, and own rows that are finished
    struct windows across, down;
    int64_t source_plane, plane; // samples of a plane of the source, and of the rung
    int64_t source_row;          // samples of a row of the source
    int slots;                   // rows in the ring
    int16_t *ring;               // the last rows of the source
    int16_t *merged;             // a row of the source's width, after the vertical pass
    int16_t *row;                // the last finished row
    uint8_t *out;
};

struct ladder {
    int bands, count;
    const int16_t *light_of_level;
    const uint8_t *level_of_light; // points at light 0: negative light is before it
    const int16_t *matrix;
    int16_t *converted; // a row of the first rung; NULL without a matrix
    const struct passes *passes;
    struct state rungs[];
};

const int32_t ladder_contract[] = {
    LADDER_VERSION, LIGHT_COUNT, WEIGHT_BITS, LOBES,         MOST_REDUCTION,      MOST_SIDE,
    MOST_RUNGS,     PLANE_BLOCK, TAPS_BLOCK,  OUTPUTS_BLOCK, sizeof(struct rung),
};

static const struct passes *chosen;

static const struct passes *best(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") ? &passes_avx2 : &passes_sse2;
#elif defined(__aarch64__)
    return &passes_neon;
#else
    return &passes_scalar;
#endif
}

int ladder_choose(const char *name)
{
    const struct passes *found = NULL;
    if (!strcmp(name, "scalar"))
        found = &passes_scalar;
#if defined(__x86_64__)
    if (!strcmp(name, "sse2"))
        found = &passes_sse2;
    if (!strcmp(name, "avx2") && __builtin_cpu_supports("avx2"))
        found = &passes_avx2;
#elif defined(__aarch64__)
    if (!strcmp(name, "neon"))
        found = &passes_neon;
#endif
    if (found)
        chosen = found;
    return found ? 0 : -1;
}

static int is_side(int side)
{
    return side > 0 && side <= MOST_SIDE;
}

static int is_valid(int source_width, int source_height, const struct rung *rung)
{
    return is_side(rung->width) && is_side(rung->height) &&
           source_width <= (int64_t)rung->width * MOST_REDUCTION &&
           source_height <= (int64_t)rung->height * MOST_REDUCTION;
}

// Prepare a rung whose source is known; returns 0, or -1 if there is no memory.
static int prepare(struct state *own, const struct rung *rung, int bands)
{
    own->width = rung->width;
    own->height = rung->height;
    own->source = rung->source;
    own->out = rung->out;
    if (windows_make(&own->across, own->source_width, own->width) ||
        windows_make(&own->down, own->source_height, own->height))
        return -1;
    own->source_plane = padded(own->source_width, PLANE_BLOCK);
    own->plane = padded(own->width, PLANE_BLOCK);
    own->source_row = bands * own->source_plane;
    own->slots = own->down.taps < own->source_height ? own->down.taps : own->source_height;
    own->ring = calloc((size_t)(own->slots * own->source_row), sizeof *own->ring);
    own->merged = calloc((size_t)(own->source_row + MOST_TAPS), sizeof *own->merged);
    own->row = calloc((size_t)(bands * own->plane), sizeof *own->row);
    return own->ring && own->merged && own->row ? 0 : -1;
}

// Prepare all rungs; returns 0, or -1 if a number is out of range or there is no memory. What was
// prepared until then is counted, so that it can be freed.
static int prepare_all(struct ladder *ladder, int width, int height, const struct rung *rungs,
                       int count)
{
    for (int i = 0; i < count; i++) {
        struct state *own = &ladder->rungs[i];
        int source = rungs[i].source;
        if (i == 0 ? source != FROM_ORIGINAL : source < 0 || source >= i)
            return -1;
        own->source_width = i ? rungs[source].width : width;
        own->source_height = i ? rungs[source].height : height;
        if (!is_valid(own->source_width, own->source_height, &rungs[i]))
            return -1;
        ladder->count++;
        if (prepare(own, &rungs[i], ladder->bands))
            return -1;
    }
    return 0;
}

static int prepare_matrix(struct ladder *ladder)
{
    if (!ladder->matrix)
        return 0;
    ladder->converted = calloc((size_t)(3 * ladder->rungs->plane), sizeof *ladder->converted);
    return ladder->converted ? 0 : -1;
}

struct ladder *ladder_new(int width, int height, int bands, const struct rung *rungs, int count,
                          const int16_t *light_of_level, const uint8_t *level_of_light,
                          const int16_t *matrix)
{
    int bands_fit = bands == 3 || (bands == 1 && !matrix);
    if (!bands_fit || count < 1 || count > MOST_RUNGS || !is_side(width) || !is_side(height))
        return NULL;
    struct ladder *ladder = calloc(1, sizeof *ladder + (size_t)count * sizeof *ladder->rungs);
    if (!ladder)
        return NULL;
    ladder->bands = bands;
    ladder->light_of_level = light_of_level;
    ladder->level_of_light = level_of_light + LIGHT_COUNT / 2;
    ladder->matrix = matrix;
    ladder->passes = chosen ? chosen : best();
    if (!prepare_all(ladder, width, height, rungs, count) && !prepare_matrix(ladder))
        return ladder;
    ladder_free(ladder);
    return NULL;
}

void ladder_free(struct ladder *ladder)
{
    if (!ladder)
        return;
    for (int i = 0; i < ladder->count; i++) {
        struct state *own = &ladder->rungs[i];
        windows_free(&own->across);
        windows_free(&own->down);
        free(own->ring);
        free(own->merged);
        free(own->row);
    }
    free(ladder->converted);
    free(ladder);
}

// Return where the ring has a row of the source: it overwrites the one `slots` rows before it. No
// pending output needs that one: its first + taps is above rows_in, so its first row is later.
static int16_t *ring_row(const struct state *own, int64_t row)
{
    return own->ring + row % own->slots * own->source_row;
}

// Return how many rows of the source have to be in for the next output.
static int rows_needed(const struct state *own)
{
    int end = own->down.first[own->rows_out] + own->down.taps;
    return end < own->source_height ? end : own->source_height;
}

// Compute the next row: the source's rows are weighted and added up in `merged`, then each plane of
// it is reduced. Windows that are longer than the source is high have weights of 0 past its last
// row, and there `ring_row` returns some other row of the ring.
static void make_row(const struct ladder *ladder, struct state *own)
{
    const int16_t *rows[MOST_TAPS];
    int taps = own->down.taps, first = own->down.first[own->rows_out];
    const int16_t *weights = own->down.weights + (int64_t)own->rows_out * own->down.stride;
    for (int t = 0; t < taps; t++)
        rows[t] = ring_row(own, (int64_t)first + t);
    ladder->passes->vertical(own->merged, rows, weights, taps, (int)own->source_row);
    for (int band = 0; band < ladder->bands; band++)
        ladder->passes->horizontal(own->row + band * own->plane,
                                   own->merged + band * own->source_plane, &own->across);
}

// Convert the colours of the first rung's row; all others are reduced from it. The vertical pass
// weights the three planes, as it does rows, by a row of the matrix. It takes an even number: the
// fourth plane is any one, with a weight of 0. The result becomes the rung's row, and the memory of
// the row the next `converted`.
static void convert(struct ladder *ladder, struct state *own)
{
    int16_t *row = own->row;
    const int16_t *planes[] = {row, row + own->plane, row + 2 * own->plane, row};
    for (int band = 0; band < 3; band++) {
        const int16_t *three = ladder->matrix + 3 * band;
        const int16_t weights[] = {three[0], three[1], three[2], 0};
        int16_t *to = ladder->converted + band * own->plane;
        ladder->passes->vertical(to, planes, weights, 4, (int)own->plane);
    }
    own->row = ladder->converted;
    ladder->converted = row;
}

// Write the finished row as levels, its planes interleaved.
static void store(const struct ladder *ladder, const struct state *own)
{
    const uint8_t *level_of_light = ladder->level_of_light;
    const int16_t *row = own->row;
    uint8_t *out = own->out + (int64_t)own->rows_out * ladder->bands * own->width;
    if (ladder->bands == 1) {
        for (int x = 0; x < own->width; x++)
            out[x] = level_of_light[row[x]];
        return;
    }
    const int16_t *green = row + own->plane, *blue = green + own->plane;
    for (int x = 0; x < own->width; x++, out += 3) {
        out[0] = level_of_light[row[x]];
        out[1] = level_of_light[green[x]];
        out[2] = level_of_light[blue[x]];
    }
}

// Count the row that was just put into the ring, and make every row that is complete with it. Each
// one is copied into the rings of the rungs reduced from it, which advance before `row` is used
// again. So a chain of MOST_RUNGS calls itself as deep, of which each call takes less than 250
// bytes of the stack.
static void advance(struct ladder *ladder, struct state *own)
{
    own->rows_in++;
    while (own->rows_out < own->height && own->rows_in >= rows_needed(own)) {
        make_row(ladder, own);
        if (ladder->matrix && own == ladder->rungs)
            convert(ladder, own);
        if (own->out)
            store(ladder, own);
        own->rows_out++;
        for (struct state *next = own + 1; next < ladder->rungs + ladder->count; next++) {
            if (ladder->rungs + next->source != own)
                continue;
            size_t bytes = (size_t)next->source_row * sizeof *own->row;
            memcpy(ring_row(next, next->rows_in), own->row, bytes);
            advance(ladder, next);
        }
    }
}

// Convert a row of levels to planes of light.
static void lighten(const struct ladder *ladder, int16_t *to, const uint8_t *row)
{
    const struct state *root = ladder->rungs;
    const int16_t *light_of_level = ladder->light_of_level;
    if (ladder->bands == 1) {
        for (int x = 0; x < root->source_width; x++)
            to[x] = light_of_level[row[x]];
        return;
    }
    int16_t *green = to + root->source_plane, *blue = green + root->source_plane;
    for (int x = 0; x < root->source_width; x++, row += 3) {
        to[x] = light_of_level[row[0]];
        green[x] = light_of_level[row[1]];
        blue[x] = light_of_level[row[2]];
    }
}

int ladder_push(struct ladder *ladder, const uint8_t *rows, int count)
{
    struct state *root = ladder->rungs;
    if (count < 0 || count > root->source_height - root->rows_in)
        return -1;
    int samples = ladder->bands * root->source_width;
    for (int y = 0; y < count; y++, rows += samples) {
        lighten(ladder, ring_row(root, root->rows_in), rows);
        advance(ladder, root);
    }
    return ladder->rungs[ladder->count - 1].rows_out;
}

int ladder_window(int inputs, int outputs, int output, int *first, int16_t *weights)
{
    struct windows windows = {0};
    int taps = 0;
    if (!is_side(inputs) || !is_side(outputs) || output < 0 || output >= outputs)
        return 0;
    if (!windows_make(&windows, inputs, outputs)) {
        taps = windows.taps;
        *first = windows.first[output];
        const int16_t *found = windows.weights + (int64_t)output * windows.stride;
        memcpy(weights, found, (size_t)taps * sizeof *weights);
    }
    windows_free(&windows);
    return taps;
}
