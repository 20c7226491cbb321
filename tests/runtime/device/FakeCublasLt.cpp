// A cuBLASLt that records what it is asked for and computes nothing.
#include "tests/runtime/device/FakeCublasLt.h"

#include <cstddef>
#include <cstring>

namespace {

gptqc::FakeCublasState state;

int make(void **object) {
  ++state.alive;
  *object = new char;
  return 0;
}

int destroy(void *object) {
  --state.alive;
  delete static_cast<char *>(object);
  return 0;
}

struct Heuristic {
  uint64_t algorithm[8];
  size_t workspace;
  int status;
  float waves;
  int reserved[4];
};

} // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT gptqc::FakeCublasState *fakeCublasState() { return &state; }
EXPORT int cublasLtCreate(void **handle) { return make(handle); }
EXPORT int cublasLtDestroy(void *handle) { return destroy(handle); }
EXPORT int cublasLtMatmulDescCreate(void **desc, int, int) { return make(desc); }
EXPORT int cublasLtMatmulDescDestroy(void *desc) { return destroy(desc); }
EXPORT int cublasLtMatmulDescSetAttribute(void *, int attribute, const void *value, size_t) {
  if (attribute == 3)
    std::memcpy(&state.transposeA, value, sizeof(int));
  return 0;
}
EXPORT int cublasLtMatrixLayoutCreate(void **layout, int type, uint64_t rows, uint64_t columns,
                                      int64_t leading) {
  state.matrices.push_back({type, rows, columns, leading});
  return make(layout);
}
EXPORT int cublasLtMatrixLayoutDestroy(void *layout) { return destroy(layout); }
EXPORT int cublasLtMatmulPreferenceCreate(void **preference) { return make(preference); }
EXPORT int cublasLtMatmulPreferenceDestroy(void *preference) { return destroy(preference); }
EXPORT int cublasLtMatmulPreferenceSetAttribute(void *, int attribute, const void *value, size_t) {
  if (attribute == 1)
    std::memcpy(&state.maxWorkspace, value, sizeof(uint64_t));
  return 0;
}
EXPORT int cublasLtMatmulAlgoGetHeuristic(void *, void *, void *, void *, void *, void *, void *,
                                          int, Heuristic *results, int *count) {
  for (int i = 0; i < state.proposals; ++i) {
    results[i] = Heuristic();
    results[i].algorithm[0] = uint64_t(100 + i);
    results[i].status = i == 1 ? 15 : 0;
  }
  *count = state.proposals;
  return 0;
}
EXPORT int cublasLtMatmul(void *, void *, const void *, const void *a, void *, const void *b,
                          void *, const void *, const void *, void *, void *d, void *,
                          const uint64_t *algorithm, void *, size_t, void *) {
  state.a = a;
  state.b = b;
  state.d = d;
  state.algorithm = algorithm[0];
  return state.failure;
}
