// The launch of dequantize_packed.
#include "runtime/device/DequantizeKernel.h"

#include <algorithm>

#include "runtime/device/SupportArgs.h"

namespace gptqc {

Result<DequantizeKernel> DequantizeKernel::load(const Device &device, const KernelImage &image) {
  GPTQC_ASSIGN(const Module module, Module::load(device, image));
  DequantizeKernel kernel;
  GPTQC_ASSIGN(kernel.function, module.function(std::string(kEntry)));
  return kernel;
}

Status DequantizeKernel::run(const DeviceLayer &layer, CuDevicePtr dense, DType type,
                             const Stream &stream) const {
  constexpr int kThreads = 256;
  constexpr int64_t kRows = 16, kLargestY = 65535;
  const Descriptor &d = layer.descriptor();
  const WeightLayout &layout = layer.layout();
  if (dense == 0)
    return invalidArgument("layer '{}': the dense matrix is null", d.print());
  if (d.grouped())
    return makeError(Code::Unsupported,
                     "layer '{}': dense weights are written of plain layers only", d.print());
  LinearArgs tensors;
  layer.fill(tensors);
  DequantizePackedArgs args = DequantizePackedArgs::of(d, layout, type);
  args.weights = tensors.weights;
  args.scales = tensors.scales;
  args.zeros = tensors.zeros;
  args.groupOf = tensors.groupOf;
  args.perm = tensors.perm;
  args.dense = dense;
  const Grid grid{(layout.paddedK + kThreads - 1) / kThreads,
                  std::min((d.n + kRows - 1) / kRows, kLargestY)};
  return function.launch(grid, kThreads, &args, stream);
}

} // namespace gptqc
