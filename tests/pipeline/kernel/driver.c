// Runs reductions that are described on standard input, and writes their pictures to standard
// output: for builds that Python cannot load, with sanitizers or for another processor.
//
//     driver [INSTRUCTIONS]
//
// The input has the two tables and a matrix, then jobs: width, height, bands, count and whether the
// matrix is used, as many rungs of width, height and source, all int32_t, and the rows. The output
// has a byte for each job: 1 and the pictures, or 0 if the job was refused; then its rows are not
// read.
#include "ladder.h"

#include <stdio.h>
#include <stdlib.h>

#define STRIP_LINES 8
#define MOST_JOB_RUNGS 64

static void *allocated(size_t bytes)
{
    void *found = malloc(bytes ? bytes : 1);
    if (!found)
        exit(3);
    return found;
}

static void read_all(void *to, size_t bytes)
{
    if (fread(to, 1, bytes, stdin) != bytes)
        exit(4);
}

// Push the rows in strips, each in memory of exactly its size, so that sanitizers see every read
// behind it.
static void push_all(struct ladder *ladder, const int32_t *job)
{
    size_t row = (size_t)job[0] * (size_t)job[2];
    for (int y = 0; y < job[1]; y += STRIP_LINES) {
        int count = job[1] - y < STRIP_LINES ? job[1] - y : STRIP_LINES;
        uint8_t *strip = allocated(row * (size_t)count);
        read_all(strip, row * (size_t)count);
        if (ladder_push(ladder, strip, count) < 0)
            exit(5);
        free(strip);
    }
    uint8_t *more = allocated(row);
    if (ladder_push(ladder, more, 1) >= 0)
        exit(6); // one row too many
    free(more);
}

static void run(const int32_t *job, const int16_t *light_of_level,
                const uint8_t *level_of_light, const int16_t *matrix)
{
    struct rung rungs[MOST_JOB_RUNGS];
    size_t sizes[MOST_JOB_RUNGS];
    for (int i = 0; i < job[3]; i++) {
        int32_t rung[3];
        read_all(rung, sizeof rung);
        int is_picture = rung[0] > 0 && rung[1] > 0 && job[2] > 0 && rung[0] < 1 << 16;
        sizes[i] = is_picture ? (size_t)rung[0] * (size_t)rung[1] * (size_t)job[2] : 0;
        rungs[i] = (struct rung){rung[0], rung[1], rung[2], allocated(sizes[i])};
    }
    struct ladder *ladder = ladder_new(job[0], job[1], job[2], rungs, job[3], light_of_level,
                                       level_of_light, job[4] ? matrix : NULL);
    putchar(ladder ? 1 : 0);
    if (ladder)
        push_all(ladder, job);
    for (int i = 0; i < job[3]; i++) {
        if (ladder)
            fwrite(rungs[i].out, 1, sizes[i], stdout);
        free(rungs[i].out);
    }
    ladder_free(ladder);
}

int main(int count, char **words)
{
    static int16_t light_of_level[256], matrix[9];
    static uint8_t level_of_light[65536];
    if (count > 1 && ladder_choose(words[1]))
        return 2;
    read_all(light_of_level, sizeof light_of_level);
    read_all(level_of_light, sizeof level_of_light);
    read_all(matrix, sizeof matrix);
    int32_t job[5];
    while (fread(job, 1, sizeof job, stdin) == sizeof job) {
        if (job[3] > MOST_JOB_RUNGS)
            return 7;
        run(job, light_of_level, level_of_light, matrix);
    }
    return 0;
}
