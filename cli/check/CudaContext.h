// CudaContext: one GPU with a compiler for it; what the CUDA paths of verify and bench are built
// on.
#ifndef GPTQC_CLI_CHECK_CUDACONTEXT_H
#define GPTQC_CLI_CHECK_CUDACONTEXT_H

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "cli/check/Runner.h"
#include "compiler/Compiler.h"
#include "runtime/device/DeviceLayer.h"
#include "runtime/device/LinearKernel.h"

namespace gptqc::cli {

/// The schedule that the command line asks for; nothing leaves the choice to the compiler.
/// Unsupported when the family has none for this descriptor and target.
Result<std::optional<Schedule>> chooseSchedule(const Descriptor &descriptor, const Target &target,
                                               const KernelChoice &choice);

/// One thread at a time.
class CudaContext {
public:
  /// Opens GPU 0 and compiles the support kernels. DeviceError without a usable GPU.
  static Result<std::unique_ptr<CudaContext>> create(const RunnerOptions &options);

  const Device &device() const { return gpu; }
  const Stream &stream() const { return queue; }
  const RepackKernels &repack() const { return repackKernels; }
  /// What compiles kernels, e.g. "nvrtc 13.0".
  const std::string &compilerName() const { return compilerText; }
  /// "NVIDIA H200 (sm_90a h200 sms132), driver for CUDA 13.0".
  std::string describe() const;

  /// A file of templates/support/ for this GPU, compiled or from the cache; `entry` is one of its
  /// kernels.
  Result<KernelImage> supportImage(std::string_view file, const std::string &entry) const;
  /// One of its kernels, loaded.
  Result<Function> supportKernel(std::string_view file, const std::string &entry,
                                 int64_t sharedBytes = 0) const;

  /// Compiles (in parallel) and loads a kernel for each descriptor, in their order. Errors name the
  /// descriptor.
  std::vector<Result<LinearKernel>> kernels(const std::vector<Descriptor> &descriptors) const;
  /// The same with the cost model's schedules, whatever the command line says.
  std::vector<Result<LinearKernel>>
  untunedKernels(const std::vector<Descriptor> &descriptors) const;

private:
  CudaContext(Device device, Stream stream) : gpu(std::move(device)), queue(std::move(stream)) {}

  using Choose = std::function<Result<std::optional<Schedule>>(const Descriptor &)>;
  std::vector<Result<LinearKernel>> kernels(const std::vector<Descriptor> &descriptors,
                                            const Choose &choose) const;

  Device gpu;
  Stream queue;
  std::unique_ptr<Compiler> compiler;
  RepackKernels repackKernels;
  RunnerOptions options;
  std::string compilerText;
};

/// Row stride of X, elements, that fits the kernel's loads: K, or a little more.
int64_t rowStride(const LinearKernel &kernel);

/// X [m, K] with a longer row stride; what lies beyond K is NaN, so that reading it shows.
std::vector<uint16_t> padRows(const std::vector<uint16_t> &x, int64_t m, int64_t k, int64_t ldx);

} // namespace gptqc::cli

#endif // GPTQC_CLI_CHECK_CUDACONTEXT_H
