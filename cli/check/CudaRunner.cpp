// The CUDA runner: repack on the GPU, compiled kernels, every run repeated, the reference on the
// GPU.
#include <algorithm>
#include <map>

#include "cli/check/CudaContext.h"
#include "cli/check/CudaReference.h"
#include "cli/check/Runner.h"
#include "runtime/cpu/Compare.h"

namespace gptqc::cli {
namespace {

constexpr int64_t kGuard = 256; // elements behind Y that nothing may write

class CudaRunner : public Runner {
public:
  static Result<std::unique_ptr<Runner>> create(const RunnerOptions &options) {
    auto runner = std::unique_ptr<CudaRunner>(new CudaRunner);
    GPTQC_ASSIGN(runner->context, CudaContext::create(options));
    GPTQC_ASSIGN(CudaReference referenceKernel, CudaReference::create(*runner->context));
    runner->referenceKernel.emplace(std::move(referenceKernel));
    runner->runs = options.runs;
    return std::unique_ptr<Runner>(std::move(runner));
  }

  std::string kind() const override { return "cuda"; }
  std::string device() const override { return context->describe(); }

  void expect(const std::vector<Descriptor> &expected) override {
    (void)context->kernels(expected); // what is kept of them is the disk cache
  }

  Status prepare(const QuantizedMatrix &newMatrix, std::span<const int64_t> tokens) override {
    matrix = &newMatrix;
    kernels.clear();
    layer.reset(); // frees the memory of the layer before
    plain = PlainLayer();
    GPTQC_TRY(compile(tokens));
    GPTQC_ASSIGN(DeviceLayer packed,
                 DeviceLayer::fromCodes(context->device(), context->repack(), newMatrix));
    layer.emplace(std::move(packed));
    GPTQC_ASSIGN(plain, PlainLayer::upload(context->device(), newMatrix));
    int64_t bytes = 0;
    for (int64_t m : tokens)
      bytes = std::max(bytes, kernelFor(m).workspaceBytes(m));
    GPTQC_ASSIGN(workspace, DeviceBuffer::allocateZeroed(context->device(), bytes));
    return {};
  }

  std::string kernelName(int64_t m) const override { return kernelFor(m).schedule(); }

  Result<double> run(const std::vector<uint16_t> &x, int64_t m, std::vector<uint16_t> &y) override {
    const Descriptor &d = matrix->descriptor;
    const int64_t ldx = rowStride(kernelFor(m));
    GPTQC_ASSIGN(const DeviceBuffer xBuffer,
                 DeviceBuffer::upload(context->device(), padRows(x, m, d.k, ldx)));
    GPTQC_ASSIGN(DeviceBuffer yBuffer,
                 DeviceBuffer::allocate(context->device(), (m * d.outputColumns() + kGuard) * 2));
    double first = 0, latest = 0;
    GPTQC_ASSIGN(offsets, DeviceBuffer::upload(context->device(), routedRows(d, m)));
    GPTQC_TRY(runOnce(xBuffer, ldx, m, yBuffer, y, first));
    // Again: the workspace must have been left as it was found, and results must not depend on
    // timing.
    std::vector<uint16_t> again;
    for (int64_t run = 1; run < runs; ++run) {
      GPTQC_TRY(runOnce(xBuffer, ldx, m, yBuffer, again, latest));
      if (y != again)
        return makeError(Code::Internal,
                         "kernel `{}`: run {} differs from the first on the same "
                         "input",
                         kernelName(m), run + 1);
    }
    return latest;
  }

  Result<Reference> reference(const std::vector<uint16_t> &x, int64_t m) override {
    return referenceKernel->compute(*context, *matrix, plain, x, m,
                                    routedRows(matrix->descriptor, m));
  }

private:
  CudaRunner() = default;

  const LinearKernel &kernelFor(int64_t m) const {
    return kernels.at(kernelRange(matrix->descriptor, m).lo);
  }

  Status compile(std::span<const int64_t> tokens) {
    std::vector<Descriptor> wanted;
    for (int64_t m : tokens)
      addKernel(matrix->descriptor, m, wanted);
    std::vector<Result<LinearKernel>> loaded = context->kernels(wanted);
    for (size_t i = 0; i < wanted.size(); ++i) {
      GPTQC_TRY(loaded[i].status());
      kernels.emplace(wanted[i].m.lo, std::move(*loaded[i]));
    }
    return {};
  }

  Status runOnce(const DeviceBuffer &x, int64_t ldx, int64_t m, DeviceBuffer &yBuffer,
                 std::vector<uint16_t> &y, double &microseconds) {
    const Descriptor &d = matrix->descriptor;
    const Stream &stream = context->stream();
    GPTQC_ASSIGN(Event begin, Event::create(context->device()));
    GPTQC_ASSIGN(Event end, Event::create(context->device()));
    GPTQC_TRY(yBuffer.fill16(kPoison, stream));
    GPTQC_TRY(begin.record(stream));
    GPTQC_TRY(kernelFor(m).run(*layer, x.address(), ldx, m, yBuffer.address(), d.outputColumns(),
                               workspace, stream, false, offsets.address()));
    GPTQC_TRY(end.record(stream));
    GPTQC_TRY(stream.synchronize().withContext(fmt::format("kernel `{}`", kernelName(m))));
    GPTQC_ASSIGN(const float milliseconds, end.millisecondsSince(begin));
    microseconds = 1000.0 * milliseconds;
    GPTQC_ASSIGN(y, yBuffer.download<uint16_t>());
    for (size_t i = y.size() - size_t(kGuard); i < y.size(); ++i)
      if (y[i] != kPoison)
        return makeError(Code::Internal, "kernel `{}`: wrote behind the end of Y", kernelName(m));
    y.resize(y.size() - size_t(kGuard));
    return {};
  }

  std::unique_ptr<CudaContext> context;
  std::optional<CudaReference> referenceKernel;
  const QuantizedMatrix *matrix = nullptr;
  std::map<int64_t, LinearKernel> kernels; ///< by the lower end of their range
  std::optional<DeviceLayer> layer;
  PlainLayer plain;
  DeviceBuffer workspace, offsets;
  int64_t runs = 2;
};

} // namespace

Result<std::unique_ptr<Runner>> makeCudaRunner(const RunnerOptions &options) {
  return CudaRunner::create(options);
}

} // namespace gptqc::cli
