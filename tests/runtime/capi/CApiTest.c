/* The C interface from C: a small layer by hand, and the mistakes that a caller can make. */
#include "gptqc/gptqc.h"

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

enum { N = 3, K = 5 };
static uint8_t codes[K * N];
static const uint16_t scales[N] = {0x3c00, 0x4000, 0x3800}; /* 1, 2, 0.5 */

/* W[k,n] = scale[n] * (code - 8) with code = 8 + k - n. */
static gptqc_layer_codes makeCodes(void) {
  gptqc_layer_codes layer;
  memset(&layer, 0, sizeof layer);
  layer.struct_size = sizeof layer;
  layer.bits = 4;
  layer.n = N;
  layer.k = K;
  layer.group_size = -1;
  layer.groups = 1;
  for (int k = 0; k < K; ++k)
    for (int n = 0; n < N; ++n)
      codes[k * N + n] = (uint8_t)(8 + k - n);
  layer.codes = codes;
  layer.scales = scales;
  return layer;
}

static void runsALayer(void) {
  gptqc_layer_codes plain = makeCodes();
  gptqc_layer *layer = NULL;
  gptqc_error *error = gptqc_layer_from_codes(&plain, &layer);
  expect(error == NULL, gptqc_error_message(error));
  if (!layer)
    return;
  expect(strcmp(gptqc_layer_descriptor(layer), "w4 g-1 sym f16->f16 n3 k5 m1..") == 0,
         gptqc_layer_descriptor(layer));
  const uint16_t x[K] = {0x3c00, 0x3c00, 0x3c00, 0x3c00, 0x3c00}; /* all 1 */
  uint16_t y[N + 1] = {0, 0, 0, 0x1234};
  error = gptqc_layer_run_cpu(layer, x, K, 1, 0, y, N);
  expect(error == NULL, gptqc_error_message(error));
  /* Column sums of k - n: 10, 5, 0; times the scales: 10, 10, 0. */
  expect(y[0] == 0x4900 && y[1] == 0x4900 && y[2] == 0, "Y = 10, 10, 0");
  expect(y[3] == 0x1234, "nothing is written behind Y");
  expect(gptqc_layer_run_cpu(layer, NULL, 0, 0, 0, NULL, 0) == NULL, "m = 0 does nothing");
  expectError(gptqc_layer_run_cpu(layer, x, K - 1, 1, 0, y, N), GPTQC_INVALID_ARGUMENT, "ldx >= 5");
  expectError(gptqc_layer_run_cpu(layer, x, K, -1, 0, y, N), GPTQC_INVALID_ARGUMENT, "m = -1");
  expectError(gptqc_layer_run_cpu(NULL, x, K, 1, 0, y, N), GPTQC_INVALID_ARGUMENT, "layer");
  gptqc_layer_free(layer);
}

static void runsExperts(void) {
  static const uint16_t doubled[N] = {0x4000, 0x4400, 0x3c00}; /* 2, 4, 1 */
  gptqc_layer_codes experts[2] = {makeCodes(), makeCodes()};
  gptqc_layer *layer = NULL, *plain = NULL;
  experts[1].scales = doubled;
  gptqc_error *error = gptqc_layer_from_experts(experts, 2, &layer);
  expect(error == NULL, gptqc_error_message(error));
  if (!layer)
    return;
  expect(strcmp(gptqc_layer_descriptor(layer), "w4 g-1 sym f16->f16 n3 k5 experts2 m1..") == 0,
         gptqc_layer_descriptor(layer));
  uint16_t x[3 * K], y[3 * N];
  for (int i = 0; i < 3 * K; ++i)
    x[i] = 0x3c00;
  memset(y, 0x12, sizeof y);
  const int32_t offsets[3] = {0, 1, 2}; /* the third row is nobody's */
  error = gptqc_layer_run_grouped_cpu(layer, x, K, 3, offsets, 0, y, N);
  expect(error == NULL, gptqc_error_message(error));
  expect(y[0] == 0x4900 && y[N] == 0x4d00, "10 by the first expert, 20 by the second");
  expect(y[2 * N] == 0x1212, "a row of no expert is left alone");
  const int32_t wrong[3] = {0, 2, 1};
  expectError(gptqc_layer_run_grouped_cpu(layer, x, K, 3, wrong, 0, y, N), GPTQC_INVALID_ARGUMENT,
              "ascend");
  expectError(gptqc_layer_run_grouped_cpu(layer, x, K, 1, offsets, 0, y, N), GPTQC_INVALID_ARGUMENT,
              "ascend");
  expectError(gptqc_layer_run_grouped_cpu(layer, x, K, 3, NULL, 0, y, N), GPTQC_INVALID_ARGUMENT,
              "must not be NULL");
  expectError(gptqc_layer_run_cpu(layer, x, K, 1, 0, y, N), GPTQC_INVALID_ARGUMENT,
              "use gptqc_layer_run_grouped_cpu");
  expectError(gptqc_layer_from_experts(experts, 1, &plain), GPTQC_INVALID_ARGUMENT, "2 to 512");
  experts[1].n = 2;
  expectError(gptqc_layer_from_experts(experts, 2, &plain), GPTQC_INVALID_ARGUMENT, "");
  expectError(gptqc_layer_from_experts(NULL, 2, &plain), GPTQC_INVALID_ARGUMENT,
              "must not be NULL");
  expect(plain == NULL, "the out parameter is left alone on failure");
  gptqc_layer_free(layer);
}

static void refusesBadLayers(void) {
  gptqc_layer *layer = NULL;
  gptqc_layer_codes plain = makeCodes();
  plain.struct_size = 8;
  expectError(gptqc_layer_from_codes(&plain, &layer), GPTQC_INVALID_ARGUMENT, "struct_size is 8");
  plain = makeCodes();
  plain.bits = 9;
  expectError(gptqc_layer_from_codes(&plain, &layer), GPTQC_INVALID_ARGUMENT,
              "bits must be 2 to 8");
  plain = makeCodes();
  plain.n = INT64_MAX;
  expectError(gptqc_layer_from_codes(&plain, &layer), GPTQC_INVALID_ARGUMENT, "1 to 2^31");
  plain = makeCodes();
  plain.out = 7;
  expectError(gptqc_layer_from_codes(&plain, &layer), GPTQC_INVALID_ARGUMENT, "out is 7");
  plain = makeCodes();
  plain.scales = NULL;
  expectError(gptqc_layer_from_codes(&plain, &layer), GPTQC_INVALID_ARGUMENT, "must not be NULL");
  expectError(gptqc_layer_from_codes(NULL, &layer), GPTQC_INVALID_ARGUMENT, "must not be NULL");
  expect(layer == NULL, "the out parameter is left alone on failure");
}

static void checksDescriptors(void) {
  char text[GPTQC_DESCRIPTOR_SIZE];
  expect(gptqc_descriptor_check("w4 g4096 sym f16->f16 n64 k4096 m1..16", sizeof text, text) ==
             NULL,
         "a descriptor");
  expect(strcmp(text, "w4 g-1 sym f16->f16 n64 k4096 m1..16") == 0, text);
  expect(gptqc_descriptor_check(text, 0, NULL) == NULL, "a check without output");
  expectError(gptqc_descriptor_check(text, strlen(text), text), GPTQC_INVALID_ARGUMENT,
              "does not fit");
  expectError(gptqc_descriptor_check("w9 g-1 sym f16->f16 n64 k64 m1..", 0, NULL),
              GPTQC_INVALID_ARGUMENT, "bits must be 2 to 8");
  expectError(gptqc_descriptor_check(NULL, 0, NULL), GPTQC_INVALID_ARGUMENT, "must not be NULL");
  expectError(gptqc_descriptor_check(text, 1, NULL), GPTQC_INVALID_ARGUMENT, "must not be NULL");
}

int main(void) {
  checksDescriptors();
  expect(strchr(gptqc_version(), '.') != NULL, "a version");
  runsALayer();
  runsExperts();
  refusesBadLayers();
  gptqc_error_free(NULL);
  gptqc_layer_free(NULL);
  if (failures == 0)
    printf("passed\n");
  return failures != 0;
}
