// What makes two quantization runs the same: model, plan and calibration, in one digest.
#ifndef GPTQC_RUNTIME_SOLVER_QUANTIZE_RUNDIGEST_H
#define GPTQC_RUNTIME_SOLVER_QUANTIZE_RUNDIGEST_H

#include "runtime/model/TokenFile.h"
#include "runtime/solver/quantize/ModulePlan.h"

namespace gptqc {

/// Hexadecimal SHA-256 over config.json, names, types, shapes and samples of all tensors (whole
/// models are too large to read twice), every module's options, the calibration tokens, and the
/// name of the linear algebra.
std::string runDigest(const HfFolder &source, const ModulePlan &plan,
                      const GptqModelOptions &options, const TokenRows &calibration,
                      const std::string &blas);

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_QUANTIZE_RUNDIGEST_H
