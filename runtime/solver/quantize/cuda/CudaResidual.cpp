// Parts on the host cross the bus when they are worked on.
#include "runtime/solver/quantize/cuda/CudaResidual.h"

#include <algorithm>

namespace gptqc {

Result<CudaResidual> CudaResidual::create(const Device &on, int64_t rows, int64_t columns,
                                          int64_t partRows) {
  constexpr int64_t kShare = 4; // of free memory; blocks, Hessians and factors need the rest
  CudaResidual residual;
  residual.columns = columns;
  GPTQC_ASSIGN(const int64_t free, on.freeBytes());
  if (residual.bytes(rows) > free / kShare) {
    residual.host.resize(size_t(rows * columns));
  } else {
    GPTQC_ASSIGN(residual.device, DeviceBuffer::allocate(on, residual.bytes(rows)));
  }
  GPTQC_ASSIGN(residual.part, DeviceBuffer::allocate(on, residual.bytes(partRows)));
  return residual;
}

Status CudaResidual::set(int64_t first, const std::vector<float> &values) {
  if (host.empty())
    return device.write(values.data(), int64_t(values.size() * sizeof(float)), bytes(first));
  std::copy(values.begin(), values.end(), host.begin() + first * columns);
  return Status();
}

Result<CuDevicePtr> CudaResidual::copy(int64_t first, int64_t count, const Stream &stream) {
  if (host.empty()) {
    GPTQC_TRY(part.copyFrom(device.address() + CuDevicePtr(bytes(first)), bytes(count), stream));
    return part.address();
  }
  GPTQC_TRY(stream.synchronize()); // what was there before is still worked on
  GPTQC_TRY(part.write(host.data() + first * columns, bytes(count)));
  return part.address();
}

Result<CuDevicePtr> CudaResidual::open(int64_t first, int64_t count, const Stream &stream) {
  if (host.empty())
    return device.address() + CuDevicePtr(bytes(first));
  return copy(first, count, stream);
}

Status CudaResidual::keep(int64_t first, int64_t count, const Stream &stream) {
  if (host.empty())
    return Status();
  GPTQC_TRY(stream.synchronize());
  return part.read(host.data() + first * columns, bytes(count));
}

} // namespace gptqc
