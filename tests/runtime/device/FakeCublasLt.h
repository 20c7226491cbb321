// What the fake cuBLASLt (FakeCublasLt.cpp) saw: a shared library with the real symbols.
#ifndef GPTQC_TESTS_RUNTIME_DEVICE_FAKECUBLASLT_H
#define GPTQC_TESTS_RUNTIME_DEVICE_FAKECUBLASLT_H

#include <cstdint>
#include <vector>

namespace gptqc {

struct FakeMatrix {
  int type = 0;
  uint64_t rows = 0, columns = 0;
  int64_t leading = 0;
};

struct FakeCublasState {
  int proposals = 3; ///< algorithms that the heuristics return; the second one is unusable
  int failure = 0;   ///< status that cublasLtMatmul returns
  int alive = 0;     ///< handles, descriptors, layouts, preferences
  int transposeA = 0;
  uint64_t maxWorkspace = 0;
  std::vector<FakeMatrix> matrices; ///< in the order of creation
  uint64_t algorithm = 0;           ///< first word of the algorithm of the last product
  const void *a = nullptr, *b = nullptr;
  void *d = nullptr;
};

} // namespace gptqc

/// The library's state; a test resets it by assigning FakeCublasState().
extern "C" gptqc::FakeCublasState *fakeCublasState();

#endif // GPTQC_TESTS_RUNTIME_DEVICE_FAKECUBLASLT_H
