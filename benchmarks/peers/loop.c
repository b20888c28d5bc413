/* The article's training as a C programmer would write it: sizes known when compiling, float32, Adam as in PyTorch. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define SEQ_LEN 8
#define N_CONTEXTS 5
#define SIZE (N_CONTEXTS * SEQ_LEN + SEQ_LEN + 1)

typedef struct {
    float embedding[N_CONTEXTS][SEQ_LEN], weight[SEQ_LEN], bias;
} network;

/* One epoch of steps on single examples; p, m, v and powers are changed in place. Returns the sum of squared errors. */
double train(float *p, float *m, float *v, double *powers, const float *inputs, const int64_t *contexts,
             const float *targets, int64_t n, double learning_rate)
{
    network *net = (network *)p;
    double total = 0;
    for (int64_t i = 0; i < n; i++) {
        const float *x = inputs + i * SEQ_LEN;
        const float *a = net->embedding[contexts[i]];
        network gradient;
        memset(&gradient, 0, sizeof gradient);
        float output = net->bias;
        for (int j = 0; j < SEQ_LEN; j++)
            output += x[j] * a[j] * net->weight[j];
        float error = output - targets[i];
        total += (double)error * error;
        float slope = 2 * error;
        for (int j = 0; j < SEQ_LEN; j++) {
            gradient.embedding[contexts[i]][j] = slope * x[j] * net->weight[j];
            gradient.weight[j] = slope * x[j] * a[j];
        }
        gradient.bias = slope;
        powers[0] = fmax(powers[0] * 0.9, 1e-300); /* a subnormal number would cost as much as four steps */
        powers[1] *= 0.999;
        float step = learning_rate / (1 - powers[0]);
        float scale = 1 / sqrt(1 - powers[1]);
        const float *g = (const float *)&gradient;
        for (int k = 0; k < SIZE; k++) {
            m[k] += (g[k] - m[k]) * 0.1f;
            v[k] = v[k] * 0.999f + g[k] * g[k] * 0.001f;
            p[k] -= step * m[k] / (sqrtf(v[k]) * scale + 1e-8f);
        }
    }
    return total;
}
