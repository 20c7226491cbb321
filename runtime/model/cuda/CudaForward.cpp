// Uploads weights and runs the stages of blocks.
#include "runtime/model/cuda/CudaForward.h"

#include <algorithm>

#include "runtime/checkpoint/FloatTensor.h"
#include "runtime/core/Float16.h"
#include "runtime/core/Parallel.h"
#include "runtime/model/Rope.h"

namespace gptqc {

Result<std::unique_ptr<CudaForward>> CudaForward::create(const Model &model, const Device &device,
                                                         const KernelImage &image,
                                                         const std::string &cublas) {
  GPTQC_ASSIGN(Stream stream, Stream::create(device));
  std::unique_ptr<CudaForward> forward(new CudaForward(model, std::move(stream)));
  Result<ModelKernels> kernels =
      ModelKernels::load(device, image, model.config(), forward->activations);
  GPTQC_TRY(kernels.status().withContext(model.folder().directory().string()));
  forward->modelKernels = std::move(*kernels);
  GPTQC_ASSIGN(Cublas products, Cublas::open(forward->queue, cublas));
  forward->products.emplace(std::move(products));
  return forward;
}

ElementType elementTypeOf(DType type) {
  return type == DType::F16 ? ElementType::F16 : ElementType::BF16;
}

Result<DeviceBuffer> CudaForward::upload16(const std::vector<float> &values) const {
  constexpr int64_t kChunk = 1 << 16;
  const int64_t count = int64_t(values.size());
  std::vector<uint16_t> narrow(values.size());
  parallelFor((count + kChunk - 1) / kChunk, resolveThreads(0), [&](int64_t chunk, int) {
    for (int64_t i = chunk * kChunk; i < std::min(count, (chunk + 1) * kChunk); ++i)
      narrow[size_t(i)] = fromFloat(values[size_t(i)], activations);
  });
  return DeviceBuffer::upload(queue.device(), narrow);
}

Result<CudaLinear> CudaForward::upload(const LinearWeights &weights) const {
  CudaLinear linear;
  if (const TensorInfo *info = weights.stored.info) {
    linear.n = info->shape[0];
    linear.k = info->shape[1];
    const std::span<const uint8_t> bytes = weights.stored.bytes();
    if (info->type == elementTypeOf(activations)) {
      GPTQC_ASSIGN(linear.weight,
                   DeviceBuffer::upload(queue.device(), bytes.data(), int64_t(bytes.size())));
    } else {
      GPTQC_ASSIGN(const std::vector<float> values, loadFloats(weights.stored));
      GPTQC_ASSIGN(linear.weight, upload16(values));
    }
  } else {
    linear.n = weights.weight.rows;
    linear.k = weights.weight.columns;
    GPTQC_ASSIGN(linear.weight, upload16(weights.weight.values));
  }
  GPTQC_ASSIGN(linear.bias, DeviceBuffer::upload(queue.device(), weights.bias));
  return linear;
}

Result<CudaNorm> CudaForward::upload(const Norm &norm) const {
  CudaNorm result;
  GPTQC_ASSIGN(result.weight, DeviceBuffer::upload(queue.device(), norm.weight));
  GPTQC_ASSIGN(result.bias, DeviceBuffer::upload(queue.device(), norm.bias));
  return result;
}

Result<CudaHead> CudaForward::loadHead() const {
  CudaHead head;
  GPTQC_ASSIGN(const OutputHead host, source->loadHead());
  GPTQC_ASSIGN(head.norm, upload(host.norm));
  GPTQC_ASSIGN(head.linear, upload(host.linear));
  return head;
}

Result<CudaBlock> CudaForward::loadBlock(int64_t index, int threads,
                                         const CudaQuantizedLayers &quantized) const {
  GPTQC_ASSIGN(const Block host,
               source->loadBlock(index, threads,
                                 quantized || !source->quantized() ? WeightForm::Stored
                                                                   : WeightForm::Dense));
  return upload(host, quantized);
}

Result<CudaBlock> CudaForward::upload(const Block &host,
                                      const CudaQuantizedLayers &quantized) const {
  CudaBlock block;
  block.index = host.index;
  GPTQC_ASSIGN(block.attentionNorm, upload(host.attentionNorm));
  GPTQC_ASSIGN(block.mlpNorm, upload(host.mlpNorm));
  GPTQC_ASSIGN(block.queryNorm, DeviceBuffer::upload(queue.device(), host.queryNorm.weight));
  GPTQC_ASSIGN(block.keyNorm, DeviceBuffer::upload(queue.device(), host.keyNorm.weight));
  for (int stage = 0; stage < kStages; ++stage)
    for (const Role role : rolesOf(source->config(), stage)) {
      const LinearWeights &weights = host.at(role);
      CudaLinear &linear = block.linears[size_t(role)];
      if (!weights.codes) {
        GPTQC_ASSIGN(linear, upload(weights));
        continue;
      }
      Result<CudaProduct> product = quantized(*weights.codes);
      GPTQC_TRY(product.status().withContext(weights.name));
      linear.n = weights.codes->descriptor.n;
      linear.k = weights.codes->descriptor.k;
      linear.quantized = std::move(*product);
    }
  return block;
}

Status CudaForward::apply(const CudaLinear &linear, const DeviceMatrix &x,
                          const DeviceMatrix &y) const {
  if (linear.quantized)
    return linear.quantized(x, y);
  GPTQC_TRY(products->product(activations, x,
                              {linear.weight.address(), linear.n, linear.k, linear.k}, y));
  return linear.bias.address() ? modelKernels.addBias(linear.bias, y, queue) : Status();
}

Status CudaForward::logits(const CudaHead &head, CuDevicePtr residual, const DeviceMatrix &x,
                           const DeviceMatrix &logits) const {
  const DeviceMatrix weight = {head.linear.weight.address(), head.linear.n, head.linear.k,
                               head.linear.k};
  GPTQC_TRY(modelKernels.norm(residual, {}, head.norm, x, x.rows, queue));
  return products->product(activations, x, weight, logits, /*wide=*/true);
}

Status CudaForward::makeAngles(int64_t length) {
  const ModelConfig &config = source->config();
  if (!config.rope || length <= anglesLength)
    return Status();
  const RopeTable table(ropeFrequencies(*config.rope, config.headDim), 0, length);
  GPTQC_ASSIGN(cosine, DeviceBuffer::upload(queue.device(), table.cos));
  GPTQC_ASSIGN(sine, DeviceBuffer::upload(queue.device(), table.sin));
  anglesLength = length;
  return Status();
}

/// A matrix in a buffer that grows with the largest; its old memory is free once the work that uses
/// it has ended, which freeing waits for.
Result<DeviceMatrix> CudaForward::scratch(DeviceBuffer &buffer, int64_t rows,
                                          int64_t columns) const {
  GPTQC_TRY(buffer.reserve(queue.device(), rows * columns * 2));
  return DeviceMatrix{buffer.address(), rows, columns, columns};
}

Status CudaBlockPass::begin() {
  GPTQC_TRY(forward.makeAngles(cache ? cache->capacity() : length));
  GPTQC_ASSIGN(current,
               forward.scratch(forward.memory.input, rows, forward.source->config().hidden));
  return forward.modelKernels.norm(residual, {}, block.attentionNorm, current, rows, forward.queue);
}

Result<DeviceMatrix> CudaBlockPass::applyRole(Role role, DeviceBuffer &buffer) {
  GPTQC_ASSIGN(const DeviceMatrix y,
               forward.scratch(buffer, rows, forward.source->config().rows(role)));
  GPTQC_TRY(forward.apply(block.at(role), current, y));
  return y;
}

Result<CudaBlockPass::KeysAndValues> CudaBlockPass::placeKeys() {
  if (cache) {
    const int64_t first = cache->length(), end = first + rows, index = block.index;
    return KeysAndValues{cache->keys(index, first, end), cache->values(index, first, end),
                         cache->keys(index, 0, end), cache->values(index, 0, end)};
  }
  const int64_t columns = forward.source->config().rows(Role::Key);
  GPTQC_ASSIGN(const DeviceMatrix k, forward.scratch(forward.memory.key, rows, columns));
  GPTQC_ASSIGN(const DeviceMatrix v, forward.scratch(forward.memory.value, rows, columns));
  return KeysAndValues{k, v, k, v};
}

Status CudaBlockPass::attend() {
  CudaScratch &memory = forward.memory;
  const ModelConfig &config = forward.source->config();
  const ModelKernels &kernels = forward.modelKernels;
  const Stream &stream = forward.queue;
  GPTQC_ASSIGN(const KeysAndValues kv, placeKeys());
  GPTQC_TRY(forward.apply(block.at(Role::Key), current, kv.newKeys));
  GPTQC_TRY(forward.apply(block.at(Role::Value), current, kv.newValues));
  GPTQC_ASSIGN(const DeviceMatrix q, applyRole(Role::Query, memory.query));
  CuDevicePtr cosine = forward.cosine.address(), sine = forward.sine.address();
  if (cache && cosine) {
    const auto before = CuDevicePtr(cache->length() * config.headDim / 2 * 4);
    cosine += before;
    sine += before;
  }
  GPTQC_TRY(kernels.rotate(q, block.queryNorm, cosine, sine, length, stream));
  GPTQC_TRY(kernels.rotate(kv.newKeys, block.keyNorm, cosine, sine, length, stream));
  const int64_t window = config.windows.empty() ? 0 : config.windows[size_t(block.index)];
  GPTQC_ASSIGN(current, forward.scratch(memory.input, rows, q.columns));
  return kernels.attend(q, kv.keys, kv.values, current, length, window, stream);
}

/// residual += the layer's output; the next input is its norm, or nothing after the last layer.
Status CudaBlockPass::joinAndNormalize(Role role, const CudaNorm *norm) {
  static const CudaNorm kNone;
  GPTQC_ASSIGN(const DeviceMatrix delta, applyRole(role, forward.memory.delta));
  current = DeviceMatrix();
  if (norm) {
    GPTQC_ASSIGN(current, forward.scratch(forward.memory.input, rows, delta.columns));
  }
  return forward.modelKernels.norm(residual, delta, norm ? *norm : kNone, current, rows,
                                   forward.queue);
}

Status CudaBlockPass::advance() {
  CudaScratch &memory = forward.memory;
  switch (stage++) {
  case 0:
    return attend();
  case 1:
    return joinAndNormalize(Role::AttentionOutput, &block.mlpNorm);
  case 2: {
    GPTQC_ASSIGN(const DeviceMatrix up, applyRole(Role::Up, memory.up));
    DeviceMatrix gate;
    if (forward.source->config().gated) {
      GPTQC_ASSIGN(gate, applyRole(Role::Gate, memory.gate));
    }
    current = up;
    return forward.modelKernels.activate(gate, up, up, forward.queue);
  }
  default:
    return joinAndNormalize(Role::Down, nullptr);
  }
}

} // namespace gptqc
