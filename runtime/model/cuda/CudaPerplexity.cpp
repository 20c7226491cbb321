// Parts of rows through all blocks; losses from fp32 logits of some tokens at a time.
#include "runtime/model/cuda/CudaPerplexity.h"

#include <algorithm>

namespace gptqc {
namespace {

constexpr int64_t kPassTokens = 8192;        ///< tokens that go through a block at a time
constexpr int64_t kLogitBytes = 256ll << 20; ///< fp32 logits in memory

/// The token that each row predicts; -1 for the last of a sequence.
std::vector<int32_t> targetsOf(std::span<const int32_t> ids, int64_t length) {
  std::vector<int32_t> targets(ids.size(), -1);
  for (size_t i = 0; i + 1 < ids.size(); ++i)
    if (int64_t(i) % length != length - 1)
      targets[i] = ids[i + 1];
  return targets;
}

/// The sum over the predictions of some rows. Bounds of tokens were checked by embed.
Result<double> lossOf(const CudaForward &forward, const CudaHead &head,
                      std::span<const int32_t> ids, int64_t length, CuDevicePtr residual) {
  const Device &device = forward.stream().device();
  const int64_t tokens = int64_t(ids.size()), hidden = head.linear.k, vocabulary = head.linear.n;
  const int64_t step = std::clamp<int64_t>(kLogitBytes / (4 * vocabulary), 1, tokens);
  GPTQC_ASSIGN(const DeviceBuffer targets, DeviceBuffer::upload(device, targetsOf(ids, length)));
  GPTQC_ASSIGN(const DeviceBuffer losses, DeviceBuffer::allocate(device, tokens * 4));
  GPTQC_ASSIGN(const DeviceBuffer x, DeviceBuffer::allocate(device, step * hidden * 2));
  GPTQC_ASSIGN(const DeviceBuffer logits, DeviceBuffer::allocate(device, step * vocabulary * 4));
  for (int64_t first = 0; first < tokens; first += step) {
    const int64_t count = std::min(step, tokens - first);
    GPTQC_TRY(forward.logits(head, residual + uint64_t(first * hidden * 4),
                             {x.address(), count, hidden, hidden},
                             {logits.address(), count, vocabulary, vocabulary}));
    GPTQC_TRY(forward.kernels().loss(logits.address(), count, vocabulary,
                                     targets.address() + uint64_t(first * 4),
                                     losses.address() + uint64_t(first * 4), forward.stream()));
  }
  GPTQC_TRY(forward.stream().synchronize());
  GPTQC_ASSIGN(const std::vector<float> values, losses.download<float>());
  double total = 0;
  for (const float value : values)
    total += value;
  return total;
}

} // namespace

Result<Perplexity> cudaPerplexityOf(CudaForward &forward, const TokenRows &rows, int threads,
                                    const CudaQuantizedLayers &quantized,
                                    const BlockProgress &progress, int64_t activationBytes) {
  const Model &model = forward.model();
  const ModelConfig &config = model.config();
  const int64_t length = rows.length;
  GPTQC_ASSIGN(const CudaHead head, forward.loadHead());
  const PartLoss lossOfPart = [&](std::span<const int32_t> ids,
                                  const auto &done) -> Result<double> {
    const int64_t passTokens = std::max<int64_t>(1, kPassTokens / length) * length;
    const auto tokens = int64_t(ids.size());
    DeviceBuffer x;
    {
      GPTQC_ASSIGN(const Matrix embedded, model.embed(ids, {length}));
      GPTQC_ASSIGN(x, DeviceBuffer::upload(forward.stream().device(), embedded.values));
    }
    for (int64_t i = 0; i < config.blocks; ++i) {
      GPTQC_ASSIGN(const CudaBlock block, forward.loadBlock(i, threads, quantized));
      for (int64_t row = 0; row < tokens; row += passTokens) {
        CudaBlockPass pass(forward, block, x.address() + uint64_t(row * config.hidden * 4),
                           std::min(passTokens, tokens - row), length);
        GPTQC_TRY(pass.begin());
        while (!pass.done())
          GPTQC_TRY(pass.advance());
      }
      GPTQC_TRY(forward.stream().synchronize()); // before the weights go
      done(i + 1);
    }
    return lossOf(forward, head, ids, length, x.address());
  };
  return perplexityByParts(config, rows, progress, activationBytes, lossOfPart);
}

} // namespace gptqc
