// EmitCuda: verified tile IR to CUDA C++ text. Decides nothing: one op prints as one call, and the
// text is a function of the IR alone.
#ifndef GPTQC_COMPILER_EMIT_EMITCUDA_H
#define GPTQC_COMPILER_EMIT_EMITCUDA_H

#include <string>

#include "dialect/tile/Tile.h"
#include "runtime/core/KernelImage.h"

namespace gptqc {

struct EmittedKernel {
  std::string source; ///< includes "gptqc/*.cuh" and nothing else
  LaunchFacts launch;
};

/// The kernel must have passed VerifyEmittable.
EmittedKernel emitCuda(tile::KernelOp kernel);

} // namespace gptqc

#endif // GPTQC_COMPILER_EMIT_EMITCUDA_H
