/* The solver from C: inputs in batches, a layer out, and the mistakes that a caller can make. */
#include "gptqc/solve.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int failures = 0;

static void expect(int condition, const char *what) {
  if (!condition) {
    printf("FAILED: %s\n", what);
    ++failures;
  }
}

/* The call must fail with this code and say this. */
static void expectError(gptqc_error *error, int code, const char *fragment) {
  if (gptqc_error_code(error) != code || !strstr(gptqc_error_message(error), fragment)) {
    printf("FAILED: wanted code %d and '%s', got code %d and '%s'\n", code, fragment,
           gptqc_error_code(error), gptqc_error_message(error));
    ++failures;
  }
  gptqc_error_free(error);
}

enum { N = 8, K = 32, GROUP = 16, G = 2, TOKENS = 100 };
static float x[TOKENS * K], w[N * K], h[K * K], scales[G * N];
static uint8_t codes[K * N], zeros[G * N];
static int32_t group_index[K];

static float random_value(void) {
  static uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return (float)(state >> 8) / 8388608.0f - 1.0f;
}

static void makeData(void) {
  for (int t = 0; t < TOKENS; ++t)
    for (int k = 0; k < K; ++k)
      x[t * K + k] = random_value() + (k > 0 ? 0.7f * x[t * K + k - 1] : 0);
  for (int i = 0; i < N * K; ++i)
    w[i] = 0.1f * random_value();
  for (int i = 0; i < K; ++i)
    for (int j = 0; j < K; ++j) {
      double sum = 0;
      for (int t = 0; t < TOKENS; ++t)
        sum += (double)x[t * K + i] * x[t * K + j];
      h[i * K + j] = (float)(2 * sum / TOKENS);
    }
}

static gptqc_solve_options makeOptions(void) {
  gptqc_solve_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.bits = 3;
  options.group_size = GROUP;
  options.damp = 0.01;
  return options;
}

static gptqc_solve_layer makeLayer(void) {
  gptqc_solve_layer layer;
  memset(&layer, 0, sizeof layer);
  layer.struct_size = sizeof layer;
  layer.n = N;
  layer.k = K;
  layer.w = w;
  layer.ldw = K;
  layer.w_type = GPTQC_F32;
  layer.h = h;
  return layer;
}

static gptqc_solution makeSolution(void) {
  gptqc_solution solution;
  memset(&solution, 0, sizeof solution);
  solution.struct_size = sizeof solution;
  solution.codes = codes;
  solution.zeros = zeros;
  solution.scales = scales;
  solution.group_index = group_index;
  return solution;
}

/* tr((W-Q) H (W-Q)^T) of what the arrays hold. */
static double objective(void) {
  double total = 0;
  for (int n = 0; n < N; ++n) {
    double d[K];
    for (int k = 0; k < K; ++k) {
      const int g = group_index[k] * N + n;
      d[k] = w[n * K + k] - scales[g] * ((int)codes[k * N + n] - (int)zeros[g]);
    }
    for (int i = 0; i < K; ++i)
      for (int j = 0; j < K; ++j)
        total += d[i] * h[i * K + j] * d[j];
  }
  return total;
}

static void solvesALayer(void) {
  gptqc_solve_options options = makeOptions();
  gptqc_solve_layer layer = makeLayer();
  gptqc_solution solution = makeSolution();
  gptqc_error *error = gptqc_solve(&layer, &options, &solution);
  expect(error == NULL, gptqc_error_message(error));
  expect(gptqc_solve_groups(K, GROUP) == G, "two groups");
  for (int k = 0; k < K; ++k)
    expect(group_index[k] == k / GROUP, "groups in order");
  for (int i = 0; i < G * N; ++i)
    expect(zeros[i] == 4, "symmetric zero point");
  for (int i = 0; i < K * N; ++i)
    expect(codes[i] < 8, "codes of three bits");
  const double direct = objective();
  expect(direct > 0 && direct < solution.loss && solution.loss < 1.2 * direct,
         "the loss is the objective and the damping's share");
  expect(solution.error_after < solution.error_before, "better than rounding");
  expect(solution.damp == 0.01 && solution.recovery == 0, "no recovery");

  /* The same from the inputs, in two batches with a row stride. */
  static float padded[TOKENS * (K + 3)];
  for (int t = 0; t < TOKENS; ++t)
    memcpy(padded + t * (K + 3), x + t * K, K * sizeof(float));
  gptqc_hessian *hessian = NULL;
  expect(gptqc_hessian_create(K, 1, &hessian) == NULL, "a hessian");
  expect(gptqc_hessian_add(hessian, padded, GPTQC_F32, K + 3, 60) == NULL, "batch 1");
  expect(gptqc_hessian_add(hessian, padded + 60 * (K + 3), GPTQC_F32, K + 3, 40) == NULL,
         "batch 2");
  layer.h = NULL;
  layer.hessian = hessian;
  const double loss = solution.loss;
  for (int again = 0; again < 2; ++again) { /* it serves several layers */
    error = gptqc_solve(&layer, &options, &solution);
    expect(error == NULL, gptqc_error_message(error));
    expect(fabs(solution.loss - loss) < 1e-3 * loss, "the same loss");
  }
  layer.k = K - 1;
  expectError(gptqc_solve(&layer, &options, &solution), GPTQC_INVALID_ARGUMENT,
              "made for k = 32, the layer has 31");
  gptqc_hessian_free(hessian);
}

static void refuses(void) {
  gptqc_solve_options options = makeOptions();
  gptqc_solve_layer layer = makeLayer();
  gptqc_solution solution = makeSolution();
  expectError(gptqc_solve(NULL, &options, &solution), GPTQC_INVALID_ARGUMENT, "NULL");
  layer.struct_size = 1;
  expectError(gptqc_solve(&layer, &options, &solution), GPTQC_INVALID_ARGUMENT, "struct_size");
  layer = makeLayer();
  layer.w_type = 9;
  expectError(gptqc_solve(&layer, &options, &solution), GPTQC_INVALID_ARGUMENT, "w_type");
  layer = makeLayer();
  layer.h = NULL;
  expectError(gptqc_solve(&layer, &options, &solution), GPTQC_INVALID_ARGUMENT, "exactly one");
  layer = makeLayer();
  layer.ldw = K - 1;
  expectError(gptqc_solve(&layer, &options, &solution), GPTQC_INVALID_ARGUMENT, "ldw");
  layer = makeLayer();
  options.bits = 1;
  expectError(gptqc_solve(&layer, &options, &solution), GPTQC_INVALID_ARGUMENT, "2 to 8");
  options = makeOptions();
  solution.codes = NULL;
  expectError(gptqc_solve(&layer, &options, &solution), GPTQC_INVALID_ARGUMENT, "arrays");
  solution = makeSolution();
  const float kept = w[3];
  w[3] = NAN;
  expectError(gptqc_solve(&layer, &options, &solution), GPTQC_INVALID_ARGUMENT, "not finite");
  w[3] = kept;
  gptqc_hessian *hessian = NULL;
  expectError(gptqc_hessian_create(0, 0, &hessian), GPTQC_INVALID_ARGUMENT, "k = 0");
  expect(gptqc_hessian_create(K, 0, &hessian) == NULL, "a hessian");
  expectError(gptqc_hessian_add(hessian, x, 7, K, 1), GPTQC_INVALID_ARGUMENT, "type");
  expectError(gptqc_hessian_add(hessian, NULL, GPTQC_F32, K, 1), GPTQC_INVALID_ARGUMENT, "NULL");
  layer.h = NULL;
  layer.hessian = hessian;
  expectError(gptqc_solve(&layer, &options, &solution), GPTQC_INVALID_ARGUMENT,
              "no calibration tokens");
  gptqc_hessian_free(hessian);
  gptqc_hessian_free(NULL);
  expect(gptqc_solve_groups(0, 128) == 0 && gptqc_solve_groups(100, 0) == 0 &&
             gptqc_solve_groups(100, -1) == 1 && gptqc_solve_groups(100, 64) == 2,
         "numbers of groups");
}

int main(void) {
  makeData();
  solvesALayer();
  refuses();
  if (failures == 0)
    printf("solver from C: passed\n");
  return failures != 0;
}
