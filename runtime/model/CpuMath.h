// The steps of a decoder block other than linear layers, in fp32 on the CPU.
#ifndef GPTQC_RUNTIME_MODEL_CPUMATH_H
#define GPTQC_RUNTIME_MODEL_CPUMATH_H

#include "runtime/cpu/Blas.h"
#include "runtime/model/Block.h"

namespace gptqc {

/// What computes: cheap to copy, thread-safe.
struct CpuContext {
  Blas blas = Blas::best();
  int threads = 1;

  /// With the built-in linear algebra, whose results do not depend on the threads; 0: all of the
  /// machine.
  static CpuContext create(int threads = 0);
};

/// y = norm(x), row by row; x and y may be the same.
void applyNorm(const CpuContext &cpu, NormKind kind, float epsilon, const Norm &norm,
               MatrixRef<const float> x, MatrixRef<float> y);

/// The RMS norm of each piece of norm.weight.size() columns, in place.
void applyHeadNorm(const CpuContext &cpu, float epsilon, const Norm &norm, MatrixRef<float> x);

/// x = act(x), and where `gate` has rows x = act(gate) * x.
void applyActivation(const CpuContext &cpu, Activation activation, MatrixRef<const float> gate,
                     MatrixRef<float> x);

/// y = x W^T + bias.
void applyLinear(const CpuContext &cpu, const LinearWeights &linear, MatrixRef<const float> x,
                 MatrixRef<float> y);

/// y += x.
void addTo(const CpuContext &cpu, MatrixRef<const float> x, MatrixRef<float> y);

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_CPUMATH_H
