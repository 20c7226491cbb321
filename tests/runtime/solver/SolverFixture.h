// Layers with correlated inputs, as real ones have, for the tests of the solver.
#ifndef GPTQC_TESTS_RUNTIME_SOLVER_SOLVERFIXTURE_H
#define GPTQC_TESTS_RUNTIME_SOLVER_SOLVERFIXTURE_H

#include <vector>

#include "runtime/cpu/Random.h"
#include "runtime/solver/Hessian.h"

namespace gptqc::fixtures {

/// [rows, columns] of normal values.
inline std::vector<float> normalValues(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float &value : values)
    value = random.normal();
  return values;
}

/// Inputs [tokens, k]: neighbours share two thirds of their value, and every 7th channel is large.
inline std::vector<float> correlatedInputs(int64_t tokens, int64_t k, uint64_t seed) {
  std::vector<float> x = normalValues(tokens * k, seed);
  for (int64_t token = 0; token < tokens; ++token)
    for (int64_t i = 1; i < k; ++i) {
      float &value = x[size_t(token * k + i)];
      value = value / 3 + x[size_t(token * k + i - 1)] * 2 / 3;
      if (i % 7 == 3)
        value *= 4;
    }
  return x;
}

inline Hessian correlatedHessian(int64_t k, uint64_t seed) {
  const int64_t tokens = 4 * k;
  const std::vector<float> x = correlatedInputs(tokens, k, seed);
  HessianSum sum(k, Blas::builtin());
  sum.add({x.data(), tokens, k});
  return *sum.finish();
}

inline Hessian diagonalHessian(const std::vector<float> &diagonal) {
  const int64_t k = int64_t(diagonal.size());
  Hessian hessian{k, 1, std::vector<float>(static_cast<size_t>(k * k), 0.0f)};
  for (int64_t i = 0; i < k; ++i)
    hessian.values[size_t(i * k + i)] = diagonal[size_t(i)];
  return hessian;
}

} // namespace gptqc::fixtures

#endif // GPTQC_TESTS_RUNTIME_SOLVER_SOLVERFIXTURE_H
