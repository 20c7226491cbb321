// Kernels of quantized layers are compiled when a token count first asks for them, and shared by
// the layers of one descriptor.
#include "cli/ModelDevice.h"

#ifdef GPTQC_HAVE_COMPILE
#include <map>

#include "cli/check/CudaContext.h"
#include "runtime/model/cuda/CudaPerplexity.h"
#endif

namespace gptqc::cli {

#ifdef GPTQC_HAVE_COMPILE
namespace {

class CudaModelDevice : public ModelDevice {
public:
  CudaModelDevice(std::unique_ptr<CudaContext> context, KernelImage image)
      : context(std::move(context)), image(std::move(image)) {}

  std::string describe() const override { return context->describe(); }

  Result<Perplexity> perplexity(const Model &model, const TokenRows &rows, int threads,
                                const BlockProgress &progress) override {
    GPTQC_ASSIGN(const std::unique_ptr<CudaForward> forward,
                 CudaForward::create(model, context->device(), image));
    const CudaQuantizedLayers quantized = [&](const QuantizedMatrix &matrix) {
      return upload(matrix, forward->stream());
    };
    return cudaPerplexityOf(*forward, rows, threads, quantized, progress);
  }

private:
  Result<CudaProduct> upload(const QuantizedMatrix &matrix, const Stream &stream) {
    GPTQC_ASSIGN(DeviceLayer packed,
                 DeviceLayer::fromCodes(context->device(), context->repack(), matrix));
    const auto layer = std::make_shared<DeviceLayer>(std::move(packed));
    Descriptor descriptor = matrix.descriptor;
    descriptor.m = {1, kUnboundedM};
    return CudaProduct(
        [this, layer, descriptor, &stream](const DeviceMatrix &x, const DeviceMatrix &y) -> Status {
          GPTQC_ASSIGN(const LinearKernel *kernel, kernelFor(descriptor, x.rows));
          const int64_t bytes = kernel->workspaceBytes(x.rows);
          if (workspace.bytes() < bytes) {
            GPTQC_ASSIGN(workspace, DeviceBuffer::allocateZeroed(context->device(), bytes));
          }
          return kernel->run(*layer, x.data, x.stride, x.rows, y.data, y.stride, workspace, stream);
        });
  }

  Result<const LinearKernel *> kernelFor(Descriptor descriptor, int64_t m) {
    descriptor.m = kernelRange(descriptor, m);
    const std::string key = descriptor.print();
    auto found = kernels.find(key);
    if (found == kernels.end()) {
      std::vector<Result<LinearKernel>> compiled = context->kernels({descriptor});
      GPTQC_TRY(compiled.front().status());
      found = kernels.emplace(key, std::move(*compiled.front())).first;
    }
    return &found->second;
  }

  std::unique_ptr<CudaContext> context;
  KernelImage image;
  std::map<std::string, LinearKernel> kernels; ///< by the descriptor with its M range
  DeviceBuffer workspace;                      ///< of all kernels, in the order of the stream
};

} // namespace

Result<std::unique_ptr<ModelDevice>> openModelDevice() {
  GPTQC_ASSIGN(std::unique_ptr<CudaContext> context, CudaContext::create({}));
  GPTQC_ASSIGN(KernelImage image, context->supportImage(ModelKernels::kFile, ModelKernels::kEntry));
  return std::unique_ptr<ModelDevice>(
      std::make_unique<CudaModelDevice>(std::move(context), std::move(image)));
}
#else
Result<std::unique_ptr<ModelDevice>> openModelDevice() {
  return makeError(Code::Unsupported, "this build has no kernel compiler; use --device cpu");
}
#endif

} // namespace gptqc::cli
