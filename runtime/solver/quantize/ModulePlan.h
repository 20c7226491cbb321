// Which modules of a model are quantized, how each one, and what the configuration file says about
// it.
#ifndef GPTQC_RUNTIME_SOLVER_QUANTIZE_MODULEPLAN_H
#define GPTQC_RUNTIME_SOLVER_QUANTIZE_MODULEPLAN_H

#include <map>
#include <string>
#include <vector>

#include "runtime/checkpoint/CheckpointWriter.h"
#include "runtime/solver/quantize/Calibration.h"

namespace gptqc {

struct GptqModelOptions {
  SolverOptions solver;             ///< of modules without an override
  nlohmann::ordered_json dynamic;   ///< pattern -> overrides, as in quantization_config; or null
  bool trueSequential = false;      ///< each group of layers after those before it are quantized
  bool lmHead = false;              ///< the output layer too
  std::optional<FileFormat> format; ///< empty: the plainest that can hold all modules
  bool force = false, resume = false;
  std::vector<std::filesystem::path>
      inputs; ///< files of the caller that the output must not replace
  uint64_t maxShardBytes = 5'000'000'000;
  std::string writer = "gptqc";   ///< what meta.quantizer says
  CalibrationFactory calibration; ///< empty: on the CPU
};

/// One module's way through the solver and into the file.
struct ModuleTask {
  SolverOptions solver;
  ModuleConfig config;
};

struct ModulePlan {
  WriterOptions writer;
  std::map<std::string, ModuleTask> tasks; ///< by module; those that stay dense are absent
  std::vector<std::string> idleRules;      ///< patterns of `dynamic` that decide nothing

  const ModuleTask *find(const std::string &module) const {
    const auto found = tasks.find(module);
    return found == tasks.end() ? nullptr : &found->second;
  }

  /// Resolves `dynamic` for each of `modules`, with the rules that readers apply. InvalidArgument
  /// for options, overrides or a format that do not go together, for a key of `dynamic` that
  /// nothing reads, or when nothing is left.
  static Result<ModulePlan> make(const std::vector<std::string> &modules,
                                 const GptqModelOptions &options);
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_QUANTIZE_MODULEPLAN_H
