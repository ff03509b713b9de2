// A chain of reductions: rows of the original are pushed once, from top to bottom, and every level
// passes its finished rows on to those that are reduced from it. No picture is ever whole in here.
#include "ladder.h"

#include <stdlib.h>
#include <string.h>

#include "kernel.h"

struct level {
    int in_width, in_height, width, height, parent;
    int rows_in, rows_out;
    struct windows across, down;
    int64_t in_plane, plane; // samples of a plane of the parent's rows, and of its own, padded
    int64_t in_row;          // samples of all planes of a row of the parent
    int slots;               // rows in the ring: the last ones that came in
    int16_t *ring;           // rows of the parent
    int16_t *merged;         // a row of the parent's width, after the vertical pass
    int16_t *row;            // a finished row
    uint8_t *out;
};

struct ladder {
    int bands, count;
    const int16_t *light;
    const uint8_t *levels; // of light 0: negative light is before it
    const int16_t *matrix;
    int16_t *converted; // a row of the first level
    const struct arithmetic *arithmetic;
    struct level level[];
};

static const struct arithmetic *chosen;

static const struct arithmetic *best(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") ? &arithmetic_avx2 : &arithmetic_sse2;
#elif defined(__aarch64__)
    return &arithmetic_neon;
#else
    return &arithmetic_scalar;
#endif
}

int ladder_choose(const char *name)
{
    const struct arithmetic *found = NULL;
    if (!strcmp(name, "scalar"))
        found = &arithmetic_scalar;
#if defined(__x86_64__)
    if (!strcmp(name, "sse2"))
        found = &arithmetic_sse2;
    if (!strcmp(name, "avx2") && __builtin_cpu_supports("avx2"))
        found = &arithmetic_avx2;
#elif defined(__aarch64__)
    if (!strcmp(name, "neon"))
        found = &arithmetic_neon;
#endif
    if (found)
        chosen = found;
    return found ? 0 : -1;
}

static int is_side(int side)
{
    return side > 0 && side <= MOST_SIDE;
}

static int is_valid(int in_width, int in_height, const struct step *step)
{
    return is_side(step->width) && is_side(step->height) &&
           in_width <= (int64_t)step->width * MOST_REDUCTION &&
           in_height <= (int64_t)step->height * MOST_REDUCTION;
}

// Prepare a level; returns 0, or -1 if there is no memory.
static int prepare(struct level *level, const struct step *step, int bands)
{
    level->width = step->width;
    level->height = step->height;
    level->parent = step->parent;
    level->out = step->out;
    if (windows_make(&level->across, level->in_width, level->width) ||
        windows_make(&level->down, level->in_height, level->height))
        return -1;
    level->in_plane = padded(level->in_width, PLANE_BLOCK);
    level->plane = padded(level->width, PLANE_BLOCK);
    level->in_row = bands * level->in_plane;
    level->slots = level->down.taps < level->in_height ? level->down.taps : level->in_height;
    level->ring = calloc((size_t)(level->slots * level->in_row), sizeof *level->ring);
    level->merged = calloc((size_t)(level->in_row + MOST_TAPS), sizeof *level->merged);
    level->row = calloc((size_t)(bands * level->plane), sizeof *level->row);
    return level->ring && level->merged && level->row ? 0 : -1;
}

// Prepare all levels; returns 0, or -1 if a number is out of range or there is no memory. What was
// prepared until then is counted, so that it can be freed.
static int prepare_all(struct ladder *ladder, int width, int height, const struct step *steps,
                       int count)
{
    for (int i = 0; i < count; i++) {
        struct level *level = &ladder->level[i];
        int parent = steps[i].parent;
        if (i == 0 ? parent != -1 : parent < 0 || parent >= i)
            return -1;
        level->in_width = i ? steps[parent].width : width;
        level->in_height = i ? steps[parent].height : height;
        if (!is_valid(level->in_width, level->in_height, &steps[i]))
            return -1;
        ladder->count++;
        if (prepare(level, &steps[i], ladder->bands))
            return -1;
    }
    return 0;
}

static int prepare_matrix(struct ladder *ladder)
{
    if (!ladder->matrix)
        return 0;
    ladder->converted = calloc((size_t)(3 * ladder->level->plane), sizeof *ladder->converted);
    return ladder->converted ? 0 : -1;
}

struct ladder *ladder_new(int width, int height, int bands, const struct step *steps, int count,
                          const int16_t *light, const uint8_t *levels, const int16_t *matrix)
{
    int is_known = bands == 3 || (bands == 1 && !matrix);
    if (!is_known || count < 1 || count > MOST_LEVELS || !is_side(width) || !is_side(height))
        return NULL;
    struct ladder *ladder = calloc(1, sizeof *ladder + (size_t)count * sizeof *ladder->level);
    if (!ladder)
        return NULL;
    ladder->bands = bands;
    ladder->light = light;
    ladder->levels = levels + LIGHTS / 2;
    ladder->matrix = matrix;
    ladder->arithmetic = chosen ? chosen : best();
    if (!prepare_all(ladder, width, height, steps, count) && !prepare_matrix(ladder))
        return ladder;
    ladder_free(ladder);
    return NULL;
}

void ladder_free(struct ladder *ladder)
{
    for (int i = 0; i < ladder->count; i++) {
        struct level *level = &ladder->level[i];
        windows_free(&level->across);
        windows_free(&level->down);
        free(level->ring);
        free(level->merged);
        free(level->row);
    }
    free(ladder->converted);
    free(ladder);
}

// Return the place of a row of the parent; it overwrites the one `slots` rows before it.
static int16_t *place(const struct level *level, int64_t row)
{
    return level->ring + row % level->slots * level->in_row;
}

// Return how many rows have to be in for the next output. Windows that are longer than the picture
// is high end with weights of 0, for which any row of the ring serves.
static int needed(const struct level *level)
{
    int end = level->down.first[level->rows_out] + level->down.taps;
    return end < level->in_height ? end : level->in_height;
}

static void make_row(const struct ladder *ladder, struct level *level)
{
    const int16_t *rows[MOST_TAPS];
    int taps = level->down.taps, first = level->down.first[level->rows_out];
    const int16_t *weights = level->down.weights + (int64_t)level->rows_out * level->down.stride;
    for (int t = 0; t < taps; t++)
        rows[t] = place(level, (int64_t)first + t);
    ladder->arithmetic->vertical(level->merged, rows, weights, taps, (int)level->in_row);
    for (int band = 0; band < ladder->bands; band++)
        ladder->arithmetic->horizontal(level->row + band * level->plane,
                                       level->merged + band * level->in_plane, &level->across);
}

// Convert the colours of the first level's row; the others are reduced from it. A row of the matrix
// weighs the three planes as the vertical pass weighs rows.
static void convert(struct ladder *ladder, struct level *level)
{
    int16_t *row = level->row;
    const int16_t *planes[] = {row, row + level->plane, row + 2 * level->plane, row};
    for (int band = 0; band < 3; band++) {
        const int16_t *three = ladder->matrix + 3 * band;
        const int16_t weights[] = {three[0], three[1], three[2], 0};
        int16_t *to = ladder->converted + band * level->plane;
        ladder->arithmetic->vertical(to, planes, weights, 4, (int)level->plane);
    }
    level->row = ladder->converted;
    ladder->converted = row;
}

// Write the finished row as 8 bits, its planes interleaved.
static void store(const struct ladder *ladder, const struct level *level)
{
    const uint8_t *levels = ladder->levels;
    const int16_t *row = level->row;
    uint8_t *out = level->out + (int64_t)level->rows_out * ladder->bands * level->width;
    if (ladder->bands == 1) {
        for (int x = 0; x < level->width; x++)
            out[x] = levels[row[x]];
        return;
    }
    const int16_t *green = row + level->plane, *blue = green + level->plane;
    for (int x = 0; x < level->width; x++, out += 3) {
        out[0] = levels[row[x]];
        out[1] = levels[green[x]];
        out[2] = levels[blue[x]];
    }
}

// Take note of a row that was put in its place, and make all rows that now can be made.
static void advance(struct ladder *ladder, struct level *level)
{
    level->rows_in++;
    while (level->rows_out < level->height && level->rows_in >= needed(level)) {
        make_row(ladder, level);
        if (ladder->matrix && level == ladder->level)
            convert(ladder, level);
        if (level->out)
            store(ladder, level);
        level->rows_out++;
        for (struct level *next = level + 1; next < ladder->level + ladder->count; next++) {
            if (ladder->level + next->parent != level)
                continue;
            size_t bytes = (size_t)next->in_row * sizeof *level->row;
            memcpy(place(next, next->rows_in), level->row, bytes);
            advance(ladder, next);
        }
    }
}

// Convert a row of 8 bits to planes of light.
static void lighten(const struct ladder *ladder, int16_t *to, const uint8_t *row)
{
    const struct level *root = ladder->level;
    const int16_t *light = ladder->light;
    if (ladder->bands == 1) {
        for (int x = 0; x < root->in_width; x++)
            to[x] = light[row[x]];
        return;
    }
    int16_t *green = to + root->in_plane, *blue = green + root->in_plane;
    for (int x = 0; x < root->in_width; x++, row += 3) {
        to[x] = light[row[0]];
        green[x] = light[row[1]];
        blue[x] = light[row[2]];
    }
}

int ladder_push(struct ladder *ladder, const uint8_t *rows, int count)
{
    struct level *root = ladder->level;
    if (count < 0 || count > root->in_height - root->rows_in)
        return -1;
    int samples = ladder->bands * root->in_width;
    for (int y = 0; y < count; y++, rows += samples) {
        lighten(ladder, place(root, root->rows_in), rows);
        advance(ladder, root);
    }
    return ladder->level[ladder->count - 1].rows_out;
}

int ladder_window(int inputs, int outputs, int output, int *first, int16_t *weights)
{
    struct windows windows = {0};
    int taps = 0;
    if (!windows_make(&windows, inputs, outputs)) {
        taps = windows.taps;
        *first = windows.first[output];
        const int16_t *found = windows.weights + (int64_t)output * windows.stride;
        memcpy(weights, found, (size_t)taps * sizeof *weights);
    }
    windows_free(&windows);
    return taps;
}
