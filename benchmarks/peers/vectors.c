/* The same training in vectors of 8 floats, strict: with -ffp-contract=off the engine's bytes on any CPU. */
#include <math.h>
#include <stdint.h>

enum { CONTEXTS = 5, WEIGHT = 5, BIAS = 6, LANES = 8 }; /* rows of p, m and v; of the last one only the first lane counts */
typedef float row __attribute__((vector_size(4 * LANES), aligned(4)));

static inline void adam(row *p, row *m, row *v, row g, float step, float scale)
{
    *m += (g - *m) * 0.1f;
    *v = *v * 0.999f + g * g * 0.001f;
    row root;
    for (int j = 0; j < LANES; j++)
        root[j] = sqrtf((*v)[j]);
    *p -= step * *m / (root * scale + 1e-8f);
}

/* As in loop.c, with p, m and v filled up to whole rows. */
double train(row *restrict p, row *restrict m, row *restrict v, double *powers, const row *inputs,
             const int64_t *contexts, const float *targets, int64_t n, double learning_rate)
{
    double total = 0;
    for (int64_t i = 0; i < n; i++) {
        row x = inputs[i], glimpse = x * p[contexts[i]], w = p[WEIGHT], terms = glimpse * w;
        for (int half = LANES / 2; half; half /= 2)
            for (int j = 0; j < half; j++)
                terms[j] += terms[j + half];
        float error = terms[0] + p[BIAS][0] - targets[i], slope = 2 * error;
        total += (double)error * error;
        powers[0] = fmax(powers[0] * 0.9, 1e-300);
        powers[1] *= 0.999;
        float step = learning_rate / (1 - powers[0]), scale = 1 / sqrt(1 - powers[1]);
        for (int k = 0; k < CONTEXTS; k++)
            adam(p + k, m + k, v + k, k == contexts[i] ? slope * w * x : (row){0}, step, scale);
        adam(p + WEIGHT, m + WEIGHT, v + WEIGHT, slope * glimpse, step, scale);
        adam(p + BIAS, m + BIAS, v + BIAS, (row){slope}, step, scale);
    }
    return total;
}
