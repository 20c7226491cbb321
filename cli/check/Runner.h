// Runner: a device that can run a layer and give the reference for it. verify and bench are written
// against this; CpuRunner and CudaRunner implement it.
#ifndef GPTQC_CLI_CHECK_RUNNER_H
#define GPTQC_CLI_CHECK_RUNNER_H

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/QuantizedMatrix.h"
#include "runtime/core/Schedule.h"
#include "runtime/core/Target.h"
#include "runtime/cpu/Reference.h"

namespace gptqc::cli {

/// What the command line says about kernels; ignored by the CPU.
struct KernelChoice {
  std::optional<Schedule> schedule; ///< for every kernel
  std::optional<Family> family;     ///< the cost model's best schedule of this family
  /// Schedules of tuning records, for kernels without one of the above; may be empty.
  std::function<std::optional<Schedule>(const Descriptor &, const Target &)> tuned;
};

struct RunnerOptions {
  KernelChoice kernels;
  std::string nvrtcPath; ///< empty: the compiler's search order
  std::string cacheDir;  ///< of the kernel cache; empty: the default
  bool useCache = true;
  int threads = 0;  ///< of the CPU; 0: all
  int64_t runs = 2; ///< of a kernel on the same input, whose results must be the same; 2 at least
};

/// One layer at a time; not thread-safe.
class Runner {
public:
  virtual ~Runner() = default;

  /// "cpu" or "cuda": what --device selects this runner with.
  virtual std::string kind() const = 0;

  /// One line for the head of a report.
  virtual std::string device() const = 0;

  /// Says which kernels will be asked for (the ranges as kernelRange gives them), so that they can
  /// be compiled together. One that fails to compile is reported by its layer's prepare.
  virtual void expect(const std::vector<Descriptor> &kernels) { (void)kernels; }

  /// Takes a layer in place of the one before, and gets ready to run it with these token counts.
  /// The matrix must outlive the runs.
  virtual Status prepare(const QuantizedMatrix &matrix, std::span<const int64_t> tokens) = 0;

  /// Name of what runs m tokens: a schedule, or "cpu".
  virtual std::string kernelName(int64_t m) const = 0;

  /// x: [m, K], row stride K; y becomes [m, outputColumns]. Elements that were not written hold
  /// kPoison. Gives the time of the run in microseconds: one run, first touch of the data included.
  virtual Result<double> run(const std::vector<uint16_t> &x, int64_t m,
                             std::vector<uint16_t> &y) = 0;

  /// The double-precision reference for the same x.
  virtual Result<Reference> reference(const std::vector<uint16_t> &x, int64_t m) = 0;
};

std::unique_ptr<Runner> makeCpuRunner(const RunnerOptions &options);

/// DeviceError when there is no usable GPU, Unsupported in a build without the compiler.
Result<std::unique_ptr<Runner>> makeCudaRunner(const RunnerOptions &options);

/// Whether `code` means that this machine, or this build, has no GPU to offer: then "auto" takes
/// the CPU. Another failure must not look like a missing GPU.
bool meansNoGpu(Code code);
/// The error of a missing GPU with its remedy; others as they are.
Status adviseCpu(const Status &status);

/// `device`: "cpu", "cuda", or "auto": the GPU where there is one, else the CPU; `note` then says
/// which and why.
Result<std::unique_ptr<Runner>> makeRunner(std::string_view device, const RunnerOptions &options,
                                           std::string &note);

/// The part of the bucket of m that the descriptor's own range holds: the range that m's kernel is
/// compiled for.
MRange kernelRange(const Descriptor &descriptor, int64_t m);

/// Where the experts' rows of m begin: each m has its routing, so that several show all kinds.
/// Empty for a plain layer.
std::vector<int32_t> routedRows(const Descriptor &descriptor, int64_t m);

/// Appends the descriptor of the kernel for m tokens of a layer, if it is not there yet.
void addKernel(const Descriptor &layer, int64_t m, std::vector<Descriptor> &kernels);

} // namespace gptqc::cli

#endif // GPTQC_CLI_CHECK_RUNNER_H
