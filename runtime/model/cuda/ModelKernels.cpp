// Arguments and grids of the model kernels.
#include "runtime/model/cuda/ModelKernels.h"

#include <algorithm>
#include <cmath>

namespace gptqc {
namespace {

// A float for each warp.
constexpr int64_t kReductionBytes = kModelThreads / 32 * 4;
constexpr int64_t kNormReductionBytes = kMostNormThreads / 32 * 4;

/// Blocks along a row for kernels that go element by element.
int64_t blocksOf(int64_t columns) {
  return std::clamp<int64_t>(columns / (4 * kModelThreads), 1, 64);
}

} // namespace

Result<ModelKernels> ModelKernels::load(const Device &device, const KernelImage &image,
                                        const ModelConfig &config, DType type) {
  const int64_t sizes[] = {config.hidden, config.headDim, config.intermediate};
  if (config.headDim > 256 ||
      std::any_of(std::begin(sizes), std::end(sizes), [](int64_t size) { return size % 8 != 0; }))
    return makeError(Code::Unsupported,
                     "hidden size {}, head size {}, intermediate size {}: on the GPU they must be "
                     "multiples of 8, and heads at most 256; use --device cpu",
                     config.hidden, config.headDim, config.intermediate);
  ModelKernels kernels;
  kernels.config = config;
  const std::string suffix = type == DType::F16 ? "_f16" : "_bf16";
  const int64_t tile = config.headDim <= 64 ? 64 : config.headDim <= 128 ? 128 : 256;
  GPTQC_ASSIGN(const Module module, Module::load(device, image));
  GPTQC_ASSIGN(kernels.normKernel, module.function("norm" + suffix, kNormReductionBytes));
  GPTQC_ASSIGN(kernels.rotateKernel, module.function("rotate" + suffix));
  GPTQC_ASSIGN(kernels.attendKernel, module.function(fmt::format("attend{}{}", tile, suffix),
                                                     attentionSharedBytes(tile)));
  GPTQC_ASSIGN(kernels.activateKernel, module.function("activate" + suffix));
  GPTQC_ASSIGN(kernels.biasKernel, module.function("bias" + suffix));
  GPTQC_ASSIGN(kernels.lossKernel, module.function("loss", kReductionBytes));
  return kernels;
}

ModelArgs ModelKernels::base() const {
  ModelArgs args;
  args.epsilon = config.normEpsilon;
  args.headDim = int32_t(config.headDim);
  args.layerNorm = config.norm == NormKind::Layer;
  return args;
}

Status ModelKernels::norm(CuDevicePtr residual, const DeviceMatrix &delta, const CudaNorm &weights,
                          const DeviceMatrix &y, int64_t rows, const Stream &stream) const {
  ModelArgs args = base();
  args.residual = residual;
  args.delta = delta.data;
  args.xStride = delta.stride;
  args.weight = weights.weight.address();
  args.bias = weights.bias.address();
  args.y = y.data;
  args.yStride = y.stride;
  args.columns = int32_t(config.hidden);
  // A single row, as in generation, takes as long as a thread's share of it.
  const int64_t threads =
      std::clamp<int64_t>(config.hidden / 8 / 32 * 32, kModelThreads, kMostNormThreads);
  return normKernel.launch({rows}, int(threads), &args, stream);
}

Status ModelKernels::rotate(const DeviceMatrix &y, const DeviceBuffer &headNorm, CuDevicePtr cosine,
                            CuDevicePtr sine, int64_t length, const Stream &stream) const {
  if (!headNorm.address() && !cosine)
    return Status();
  ModelArgs args = base();
  args.y = y.data;
  args.yStride = y.stride;
  args.weight = headNorm.address();
  args.cosine = cosine;
  args.sine = sine;
  args.length = length;
  args.heads = int32_t(y.columns / config.headDim);
  constexpr int64_t kWarps = kModelThreads / 32;
  return rotateKernel.launch({y.rows, (args.heads + kWarps - 1) / kWarps}, kModelThreads, &args,
                             stream);
}

Status ModelKernels::attend(const DeviceMatrix &q, const DeviceMatrix &k, const DeviceMatrix &v,
                            const DeviceMatrix &y, int64_t length, int64_t window,
                            const Stream &stream) const {
  constexpr int64_t kMaxSequences = 65535; // of a launch: the third dimension of a grid
  ModelArgs args = base();
  args.xStride = q.stride;
  args.kvStride = k.stride;
  args.yStride = y.stride;
  args.length = length;
  args.window = window;
  args.heads = int32_t(config.heads);
  args.kvHeads = int32_t(config.kvHeads);
  args.scale = 1 / std::sqrt(float(config.headDim));
  const int64_t sequences = q.rows / length;
  args.keyCount = args.kvRows = k.rows / sequences;
  for (int64_t first = 0; first < sequences; first += kMaxSequences) {
    const int64_t row = first * length;
    args.x = q.data + uint64_t(2 * row * q.stride);
    args.keys = k.data + uint64_t(2 * first * args.kvRows * k.stride);
    args.values = v.data + uint64_t(2 * first * args.kvRows * v.stride);
    args.y = y.data + uint64_t(2 * row * y.stride);
    const Grid grid = {(length + kAttentionTile - 1) / kAttentionTile, config.heads,
                       std::min(kMaxSequences, sequences - first)};
    GPTQC_TRY(attendKernel.launch(grid, kModelThreads, &args, stream));
  }
  return Status();
}

Status ModelKernels::activate(const DeviceMatrix &gate, const DeviceMatrix &x,
                              const DeviceMatrix &y, const Stream &stream) const {
  ModelArgs args = base();
  args.x = x.data;
  args.xStride = x.stride;
  args.keys = gate.data;
  args.kvStride = gate.stride;
  args.y = y.data;
  args.yStride = y.stride;
  args.columns = int32_t(y.columns);
  args.activation = int32_t(config.activation);
  return activateKernel.launch({y.rows, blocksOf(y.columns)}, kModelThreads, &args, stream);
}

Status ModelKernels::addBias(const DeviceBuffer &bias, const DeviceMatrix &y,
                             const Stream &stream) const {
  ModelArgs args = base();
  args.bias = bias.address();
  args.y = y.data;
  args.yStride = y.stride;
  args.columns = int32_t(y.columns);
  return biasKernel.launch({y.rows, blocksOf(y.columns)}, kModelThreads, &args, stream);
}

Status ModelKernels::loss(CuDevicePtr logits, int64_t rows, int64_t columns, CuDevicePtr targets,
                          CuDevicePtr losses, const Stream &stream) const {
  ModelArgs args = base();
  args.residual = logits;
  args.columns = int32_t(columns);
  args.targets = targets;
  args.losses = losses;
  return lossKernel.launch({rows}, kModelThreads, &args, stream);
}

} // namespace gptqc
