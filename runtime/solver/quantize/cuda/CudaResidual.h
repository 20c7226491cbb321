// The residual stream of all calibration rows: on the GPU, or on the host where it would take more
// than a quarter of what is free.
#ifndef GPTQC_RUNTIME_SOLVER_QUANTIZE_CUDA_CUDARESIDUAL_H
#define GPTQC_RUNTIME_SOLVER_QUANTIZE_CUDA_CUDARESIDUAL_H

#include <vector>

#include "runtime/device/DeviceBuffer.h"

namespace gptqc {

/// fp32 [rows, columns]; at most `partRows` consecutive rows at a time are worked on. Movable.
class CudaResidual {
public:
  static Result<CudaResidual> create(const Device &device, int64_t rows, int64_t columns,
                                     int64_t partRows);

  /// Sets rows from `first` on; waits.
  Status set(int64_t first, const std::vector<float> &values);

  // The addresses are valid until the next call; work on them goes in order of the stream.

  /// A copy of rows, on the GPU.
  Result<CuDevicePtr> copy(int64_t first, int64_t count, const Stream &stream);
  /// The rows themselves, for work that keep() makes lasting.
  Result<CuDevicePtr> open(int64_t first, int64_t count, const Stream &stream);
  Status keep(int64_t first, int64_t count, const Stream &stream);

private:
  int64_t bytes(int64_t rows) const { return rows * columns * int64_t(sizeof(float)); }

  int64_t columns = 0;
  DeviceBuffer device;     ///< all rows, or empty
  std::vector<float> host; ///< all rows, or empty
  DeviceBuffer part;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_QUANTIZE_CUDA_CUDARESIDUAL_H
