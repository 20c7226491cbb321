// The CPU runner, and the choice of a device.
#include "cli/check/Runner.h"

#include <algorithm>
#include <chrono>

#include "runtime/core/Parallel.h"
#include "runtime/core/WeightLayout.h"
#include "runtime/cpu/Compare.h"
#include "runtime/cpu/Executor.h"
#include "runtime/cpu/Synthetic.h"

namespace gptqc::cli {
namespace {

class CpuRunner : public Runner {
public:
  explicit CpuRunner(int requested) : threads(resolveThreads(requested)) {}

  std::string kind() const override { return "cpu"; }

  std::string device() const override {
    return fmt::format("cpu, {} thread{}", threads, threads == 1 ? "" : "s");
  }

  Status prepare(const QuantizedMatrix &newMatrix, std::span<const int64_t>) override {
    matrix = &newMatrix;
    packed = packWeights(newMatrix);
    GPTQC_ASSIGN(experts, Executor::createAll(packed));
    return {};
  }

  std::string kernelName(int64_t) const override { return "cpu"; }

  Result<double> run(const std::vector<uint16_t> &x, int64_t m, std::vector<uint16_t> &y) override {
    const Descriptor &d = matrix->descriptor;
    y.assign(size_t(m * d.outputColumns()), kPoison);
    const auto start = std::chrono::steady_clock::now();
    if (d.grouped())
      GPTQC_TRY(runExperts(experts, routedRows(d, m), x.data(), d.k, m, y.data(), d.outputColumns(),
                           threads));
    else
      GPTQC_TRY(experts[0].run(x.data(), d.k, m, y.data(), d.outputColumns(), threads));
    const std::chrono::duration<double, std::micro> elapsed =
        std::chrono::steady_clock::now() - start;
    return elapsed.count();
  }

  Result<Reference> reference(const std::vector<uint16_t> &x, int64_t m) override {
    const Descriptor &d = matrix->descriptor;
    return d.grouped() ? referenceExperts(*matrix, routedRows(d, m), x.data(), d.k, threads)
                       : referenceLinear(*matrix, x.data(), d.k, m, threads);
  }

private:
  int threads;
  const QuantizedMatrix *matrix = nullptr;
  PackedWeights packed;
  std::vector<Executor> experts; ///< one for a plain layer
};

} // namespace

std::unique_ptr<Runner> makeCpuRunner(const RunnerOptions &options) {
  return std::make_unique<CpuRunner>(options.threads);
}

#ifndef GPTQC_CUDA_RUNNER
Result<std::unique_ptr<Runner>> makeCudaRunner(const RunnerOptions &) {
  return makeError(Code::Unsupported,
                   "this gptqc was built without the compiler and runs on the "
                   "CPU only; use --device cpu, or build with GPTQC_COMPILER=ON");
}
#endif

bool meansNoGpu(Code code) {
  return code == Code::DeviceError || code == Code::NotFound || code == Code::Unsupported;
}

Status adviseCpu(const Status &status) {
  if (status.code() != Code::DeviceError)
    return status;
  return makeError(Code::DeviceError, "{}, or use --device cpu", status.message());
}

Result<std::unique_ptr<Runner>> makeRunner(std::string_view device, const RunnerOptions &options,
                                           std::string &note) {
  if (device == "cpu")
    return makeCpuRunner(options);
  if (device != "cuda" && device != "auto")
    return invalidArgument("device `{}`: write cpu, cuda or auto", device);
  Result<std::unique_ptr<Runner>> cuda = makeCudaRunner(options);
  if (cuda)
    return cuda;
  if (device == "cuda")
    return adviseCpu(cuda.status());
  if (!meansNoGpu(cuda.status().code()))
    return cuda;
  note = fmt::format("no GPU in use ({})", cuda.status().message());
  return makeCpuRunner(options);
}

MRange kernelRange(const Descriptor &descriptor, int64_t m) {
  const MRange bucket = bucketFor(m);
  return {std::max(bucket.lo, descriptor.m.lo), std::min(bucket.hi, descriptor.m.hi)};
}

std::vector<int32_t> routedRows(const Descriptor &descriptor, int64_t m) {
  if (!descriptor.grouped())
    return {};
  return syntheticOffsets(kAllRoutings[size_t(m) % std::size(kAllRoutings)], descriptor.experts, m,
                          uint64_t(m));
}

void addKernel(const Descriptor &layer, int64_t m, std::vector<Descriptor> &kernels) {
  Descriptor kernel = layer;
  kernel.m = kernelRange(layer, m);
  if (std::find(kernels.begin(), kernels.end(), kernel) == kernels.end())
    kernels.push_back(kernel);
}

} // namespace gptqc::cli
