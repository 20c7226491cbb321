// Calibration: the rows of calibration tokens on their way through a model, block by block, and the
// layers that are solved on the Hessians they give; on the CPU here, on a GPU in cuda/.
#ifndef GPTQC_RUNTIME_SOLVER_QUANTIZE_CALIBRATION_H
#define GPTQC_RUNTIME_SOLVER_QUANTIZE_CALIBRATION_H

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "runtime/model/Model.h"
#include "runtime/model/TokenFile.h"
#include "runtime/solver/Solve.h"

namespace gptqc {

/// Where the time of a calibration went, so far.
struct CalibrationSeconds {
  double load = 0;    ///< weights, as far as they were waited for
  double forward = 0; ///< tokens through blocks
  double hessian = 0; ///< sums of products
  double factor = 0;  ///< Cholesky chains
  double solve = 0;   ///< layers, without factors
  double columns = 0; ///< of these, the column loop on a GPU
};

/// One thread at a time. begin, then for each block: enter, (collect, then solve or replace its
/// layers) as often as wanted, leave or drop; then perhaps solveHead.
class Calibration {
public:
  virtual ~Calibration() = default;

  /// What computes, for the digest of a run: results depend on it in the last digits.
  virtual std::string name() const = 0;

  /// Embeds the tokens: they are the input of block 0.
  virtual Status begin(const TokenRows &rows) = 0;
  /// Reads the block that the calls below are about. Blocks come in order.
  virtual Status enter(int64_t index) = 0;
  /// Sums the Hessians of the inputs of stages first..last-1 that are `wanted`, with the weights as
  /// they are now; the block's input stays.
  virtual Status collect(int first, int last, const std::array<bool, kStages> &wanted) = 0;
  /// Quantizes a layer of a stage that was collected; its weights become the quantized ones. As
  /// solveLayer; InvalidArgument naming the channel whose input was NaN or infinite. Layers of a
  /// stage share a factor where their options allow it.
  virtual Result<LayerSolution> solve(Role role, const SolverOptions &options) = 0;
  /// The weights of a layer become these.
  virtual Status replace(Role role, const QuantizedMatrix &matrix) = 0;
  /// All rows through the block: they are the input of the next one.
  virtual Status leave() = 0;
  /// The block's output is not needed.
  virtual void drop() = 0;
  /// Quantizes the output layer, behind the last block and the final norm.
  virtual Result<LayerSolution> solveHead(const OutputHead &head, const SolverOptions &options) = 0;

  /// Most bytes of device memory in use so far, by whomever; 0 on the CPU.
  virtual int64_t peakDeviceBytes() const { return 0; }

  CalibrationSeconds seconds;
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
