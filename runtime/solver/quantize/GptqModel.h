// GPTQ on a whole model: block by block, each on the activations that the quantized blocks before
// it give.
#ifndef GPTQC_RUNTIME_SOLVER_QUANTIZE_GPTQMODEL_H
#define GPTQC_RUNTIME_SOLVER_QUANTIZE_GPTQMODEL_H

#include <functional>

#include "runtime/model/Model.h"
#include "runtime/model/TokenFile.h"
#include "runtime/solver/quantize/Journal.h"
#include "runtime/solver/quantize/ModulePlan.h"

namespace gptqc {

/// Fewer calibration tokens than this are refused: the result would be noise.
inline constexpr int64_t kLeastCalibrationTokens = 256;

struct GptqModelReport {
  int64_t layers = 0;
  int64_t resumed = 0;      ///< of these, taken from an earlier run
  int64_t weights = 0;      ///< quantized weights
  int64_t shortGroups = 0;  ///< layers whose last group is short, which many readers refuse
  uint64_t tensorBytes = 0; ///< of the new folder
  int64_t tokens = 0;
  std::vector<std::string> idleRules; ///< patterns of `dynamic` that decide nothing
  int64_t widestInput = 0;            ///< largest K; fewer tokens than this leave H singular
  bool complete = false; ///< with resume: the folder was there already, nothing was done
  CalibrationSeconds seconds;
  double writeSeconds = 0;     ///< as far as it was waited for
  int64_t peakDeviceBytes = 0; ///< 0: no GPU
};

/// Called after each module: how many are done and in all, its name, how it was solved.
using GptqModelProgress = std::function<void(int64_t done, int64_t total, const std::string &name,
                                             const LayerRecord &record)>;

/// Writes a quantized copy of `model` to `output`, which appears only when all is done. Finished
/// layers are kept in `<output>.resume` until then: after a kill, the same call with
/// options.resume gives the folder that an uninterrupted one would have, but for the times in
/// quant_log.csv. Errors name file, layer and remedy.
Result<GptqModelReport> quantizeWithGptq(const std::filesystem::path &model,
                                         const std::filesystem::path &output,
                                         const TokenRows &calibration,
                                         const GptqModelOptions &options, const CpuContext &cpu,
                                         const GptqModelProgress &progress = nullptr);

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_QUANTIZE_GPTQMODEL_H
