// One layer in a file: W and H in, codes, scales, zero points and g_idx out. What `gptqc solve`
// reads and writes.
#ifndef GPTQC_RUNTIME_SOLVER_LAYERFILE_H
#define GPTQC_RUNTIME_SOLVER_LAYERFILE_H

#include <filesystem>
#include <string>

#include "runtime/core/SafeTensors.h"
#include "runtime/solver/Solve.h"

namespace gptqc {

struct LayerFile {
  std::string name; ///< of the layer; empty when the tensors are called W and H
  int64_t n = 0, k = 0;
  ElementType weightType = ElementType::F16; ///< as stored; Q is written in it
  std::vector<float> weights;                ///< [N,K]
  Hessian hessian;

  /// Reads `<name>.W` (F16, BF16 or F32, [N,K]) and `<name>.H` ([K,K]). Without a name, the only
  /// such pair of the file, or plain `W` and `H`. Errors name the file and what is wrong.
  static Result<LayerFile> read(const std::filesystem::path &path, const std::string &name);
};

/// Writes, all below `<name>.`: codes U8 [K,N], scales [G,N] (F16, or F32 in that mode), zeros U8
/// [G,N], g_idx I32 [K], Q [N,K] (the dequantized weight in the type of W) and loss F64 [1]. The
/// file's metadata say how it was solved.
Status writeSolution(const std::filesystem::path &path, const LayerFile &layer,
                     const LayerSolution &solution, const SolverOptions &options);

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_LAYERFILE_H
