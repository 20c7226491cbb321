// Kernels of quantized layers are compiled when a token count first asks for them, or all at once
// before a text is generated, and shared by the layers of one descriptor.
#include "cli/ModelDevice.h"

#ifdef GPTQC_HAVE_COMPILE
#include <algorithm>
#include <map>

#include "cli/check/CudaContext.h"
#include "runtime/model/cuda/CudaPerplexity.h"
#include "runtime/model/cuda/CudaSequence.h"
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
    return cudaPerplexityOf(*forward, rows, threads, layersFor(*forward), progress);
  }

  Result<Generated> generate(const Model &model, std::span<const int32_t> prompt,
                             const GenerateOptions &options, int threads,
                             const std::function<bool(int32_t token)> &onToken) override {
    GPTQC_ASSIGN(const std::unique_ptr<CudaForward> forward,
                 CudaForward::create(model, context->device(), image));
    const SequenceFactory sequences =
        [&](const SequencePlan &plan) -> Result<std::unique_ptr<Sequence>> {
      layers.clear();
      GPTQC_ASSIGN(std::unique_ptr<Sequence> sequence,
                   makeCudaSequence(*forward, plan, threads, layersFor(*forward)));
      GPTQC_TRY(prepare(plan.pieces));
      return sequence;
    };
    return gptqc::generate(model, prompt, options, sequences, onToken);
  }

private:
  CudaQuantizedLayers layersFor(const CudaForward &forward) {
    return [this, &forward](const QuantizedMatrix &matrix) {
      return upload(matrix, forward.stream());
    };
  }

  Result<CudaProduct> upload(const QuantizedMatrix &matrix, const Stream &stream) {
    GPTQC_ASSIGN(DeviceLayer packed,
                 DeviceLayer::fromCodes(context->device(), context->repack(), matrix));
    const auto layer = std::make_shared<DeviceLayer>(std::move(packed));
    Descriptor descriptor = matrix.descriptor;
    descriptor.m = {1, kUnboundedM};
    if (std::find(layers.begin(), layers.end(), descriptor) == layers.end())
      layers.push_back(descriptor);
    return CudaProduct(
        [this, layer, descriptor, &stream](const DeviceMatrix &x, const DeviceMatrix &y) -> Status {
          GPTQC_ASSIGN(const LinearKernel *kernel, kernelFor(descriptor, x.rows));
          return kernel->run(*layer, x.data, x.stride, x.rows, y.data, y.stride, workspace, stream);
        });
  }

  /// The kernel for m tokens; there is a workspace for it then.
  Result<const LinearKernel *> kernelFor(Descriptor descriptor, int64_t m) {
    descriptor.m = kernelRange(descriptor, m);
    const std::string key = descriptor.print();
    if (!kernels.contains(key))
      GPTQC_TRY(compile({descriptor}));
    const LinearKernel &kernel = kernels.at(key);
    if (const int64_t bytes = kernel.workspaceBytes(m); workspace.bytes() < bytes) {
      GPTQC_ASSIGN(workspace, DeviceBuffer::allocateZeroed(context->device(), bytes));
    }
    return &kernel;
  }

  Status compile(const std::vector<Descriptor> &wanted) {
    std::vector<Result<LinearKernel>> compiled = context->kernels(wanted);
    for (size_t i = 0; i < wanted.size(); ++i) {
      GPTQC_TRY(compiled[i].status());
      kernels.emplace(wanted[i].print(), std::move(*compiled[i]));
    }
    return Status();
  }

  /// Kernels and workspace of the uploaded layers for these numbers of tokens.
  Status prepare(std::span<const int64_t> counts) {
    std::vector<Descriptor> wanted;
    for (const Descriptor &layer : layers)
      for (const int64_t m : counts)
        addKernel(layer, m, wanted);
    GPTQC_TRY(compile(wanted));
    for (const Descriptor &layer : layers)
      for (const int64_t m : counts)
        GPTQC_TRY(kernelFor(layer, m).status());
    return Status();
  }

  std::unique_ptr<CudaContext> context;
  KernelImage image;
  std::vector<Descriptor> layers;              ///< the different ones that were uploaded
  std::map<std::string, LinearKernel> kernels; ///< by the descriptor with its M range
  DeviceBuffer workspace;                      ///< of all kernels, in the order of the stream
};

} // namespace

Result<std::unique_ptr<ModelDevice>> openModelDevice() {
  Result<std::unique_ptr<CudaContext>> opened = CudaContext::create({});
  if (!opened.ok())
    return adviseCpu(opened.status());
  GPTQC_ASSIGN(std::unique_ptr<CudaContext> context, std::move(opened));
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
