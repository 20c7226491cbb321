// All blocks stay on the device; a step uploads a row of the embedding and downloads logits.
#include "runtime/model/cuda/CudaSequence.h"

#include <algorithm>

namespace gptqc {
namespace {

class CudaSequence : public Sequence {
public:
  explicit CudaSequence(CudaForward &forward) : forward(forward) {}

  Status load(const SequencePlan &plan, int threads, const CudaQuantizedLayers &quantized) {
    const Device &device = forward.stream().device();
    for (int64_t i = 0; i < config().blocks; ++i) {
      GPTQC_ASSIGN(CudaBlock block, forward.loadBlock(i, threads, quantized));
      blocks.push_back(std::move(block));
    }
    GPTQC_ASSIGN(head, forward.loadHead());
    GPTQC_ASSIGN(cache, CudaKvCache::create(device, config(), plan.capacity));
    const int64_t longest = *std::max_element(plan.pieces.begin(), plan.pieces.end());
    GPTQC_ASSIGN(residual, DeviceBuffer::allocate(device, longest * config().hidden * 4));
    GPTQC_ASSIGN(normalized, DeviceBuffer::allocate(device, config().hidden * 2));
    GPTQC_ASSIGN(logits, DeviceBuffer::allocate(device, config().vocabulary * 4));
    values.resize(size_t(config().vocabulary));
    return Status();
  }

  Result<std::span<float>> append(std::span<const int32_t> tokens) override {
    const auto count = int64_t(tokens.size());
    if (count > cache.capacity() - cache.length())
      return invalidArgument("{} tokens behind {}: the sequence was made for {}", count,
                             cache.length(), cache.capacity());
    GPTQC_ASSIGN(const Matrix x, forward.model().embed(tokens, {count, cache.length()}));
    GPTQC_TRY(residual.write(x.values.data(), int64_t(x.values.size() * sizeof(float))));
    for (const CudaBlock &block : blocks) {
      CudaBlockPass pass(forward, block, residual.address(), count, count, &cache);
      GPTQC_TRY(pass.begin());
      while (!pass.done())
        GPTQC_TRY(pass.advance());
    }
    cache.advance(count);
    const int64_t hidden = config().hidden, vocabulary = config().vocabulary;
    GPTQC_TRY(forward.logits(head, residual.address() + CuDevicePtr((count - 1) * hidden * 4),
                             {normalized.address(), 1, hidden, hidden},
                             {logits.address(), 1, vocabulary, vocabulary}));
    GPTQC_TRY(forward.stream().synchronize());
    GPTQC_TRY(logits.read(values.data(), vocabulary * 4));
    return std::span<float>(values);
  }

private:
  const ModelConfig &config() const { return forward.model().config(); }

  CudaForward &forward;
  std::vector<CudaBlock> blocks;
  CudaHead head;
  CudaKvCache cache;
  DeviceBuffer residual, normalized, logits;
  std::vector<float> values; ///< the logits on the host
};

} // namespace

Result<std::unique_ptr<Sequence>> makeCudaSequence(CudaForward &forward, const SequencePlan &plan,
                                                   int threads,
                                                   const CudaQuantizedLayers &quantized) {
  auto sequence = std::make_unique<CudaSequence>(forward);
  GPTQC_TRY(sequence->load(plan, threads, quantized)
                .withContext(forward.model().folder().directory().string()));
  return std::unique_ptr<Sequence>(std::move(sequence));
}

} // namespace gptqc
