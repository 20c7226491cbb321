// Calibration: the rows of calibration tokens on their way through a model, block by block, and the
// Hessians that they give its layers; on the CPU here, on a GPU in cuda/.
#ifndef GPTQC_RUNTIME_SOLVER_QUANTIZE_CALIBRATION_H
#define GPTQC_RUNTIME_SOLVER_QUANTIZE_CALIBRATION_H

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "runtime/model/Model.h"
#include "runtime/model/TokenFile.h"
#include "runtime/solver/Hessian.h"

namespace gptqc {

/// By stage; empty where none was asked for.
using StageHessians = std::array<std::optional<Hessian>, kStages>;

/// One thread at a time. begin, then for each block: enter, (collect, replace) as often as wanted,
/// leave; then perhaps headHessian.
class Calibration {
public:
  virtual ~Calibration() = default;

  /// What computes, for the digest of a run: results depend on it in the last digits.
  virtual std::string name() const = 0;

  /// Embeds the tokens: they are the input of block 0.
  virtual Status begin(const TokenRows &rows) = 0;
  /// The block that the calls below are about, which is borrowed until leave.
  virtual Status enter(const Block &block) = 0;
  /// Hessians of the inputs of stages first..last-1 that are `wanted`, with the weights as they are
  /// now; the block's input stays. InvalidArgument naming the layer and the channel that is NaN or
  /// infinite.
  virtual Result<StageHessians> collect(int first, int last,
                                        const std::array<bool, kStages> &wanted) = 0;
  /// The weights of a layer of the block have changed.
  virtual Status replace(Role role) = 0;
  /// All rows through the block: they are the input of the next one.
  virtual Status leave() = 0;
  /// The block's output is not needed.
  virtual void drop() = 0;
  /// H of the output layer, behind the last block and the final norm.
  virtual Result<Hessian> headHessian(const OutputHead &head) = 0;

  double forwardSeconds = 0, hessianSeconds = 0; ///< so far
};

/// For one model, which must outlive what it makes.
using CalibrationFactory = std::function<Result<std::unique_ptr<Calibration>>(const Model &model)>;

/// On the CPU, in fp32; borrows the context.
CalibrationFactory cpuCalibration(const CpuContext &cpu);

/// Adds the time of a scope.
class Timed {
public:
  explicit Timed(double &total);
  Timed(const Timed &) = delete;
  Timed &operator=(const Timed &) = delete;
  ~Timed();

private:
  double &total;
  std::chrono::steady_clock::time_point start;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_QUANTIZE_CALIBRATION_H
