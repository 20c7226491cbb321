// DequantizeKernel: a packed layer on the GPU as the dense matrix that it stands for.
#ifndef GPTQC_RUNTIME_DEVICE_DEQUANTIZEKERNEL_H
#define GPTQC_RUNTIME_DEVICE_DEQUANTIZEKERNEL_H

#include <string_view>

#include "runtime/device/DeviceLayer.h"

namespace gptqc {

/// dequantize_packed of templates/support/dequantize_packed.cu, loaded on one device. Copyable,
/// thread-safe.
class DequantizeKernel {
public:
  static constexpr std::string_view kFile = "support/dequantize_packed.cu";
  static constexpr std::string_view kEntry = "dequantize_packed";

  static Result<DequantizeKernel> load(const Device &device, const KernelImage &image);

  /// Writes W [N,K], without gaps, rounded to `type`, to device memory in stream order. The bias is
  /// left out. InvalidArgument for address 0.
  Status run(const DeviceLayer &layer, CuDevicePtr dense, DType type, const Stream &stream) const;

private:
  Function function;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_DEVICE_DEQUANTIZEKERNEL_H
