// The double-precision reference on the GPU, for layers that are too large for the CPU's.
#ifndef GPTQC_CLI_CHECK_CUDAREFERENCE_H
#define GPTQC_CLI_CHECK_CUDAREFERENCE_H

#include <span>
#include <vector>

#include "cli/check/CudaContext.h"
#include "runtime/device/SupportArgs.h"

namespace gptqc::cli {

/// A layer in plain form on the GPU.
struct PlainLayer {
  DeviceBuffer codes, zeros, scales, groupOf, bias;
  static Result<PlainLayer> upload(const Device &device, const QuantizedMatrix &matrix);
};

/// Borrows the matrix and the layer.
class CudaReference {
public:
  static Result<CudaReference> create(const CudaContext &context);

  /// x: [m, K] on the host, row stride K. 64 outputs, spread over Y, are recomputed on the CPU in
  /// double; Internal when they differ. `offsets`, [experts + 1] from 0 to m, are for grouped
  /// layers.
  Result<Reference> compute(const CudaContext &context, const QuantizedMatrix &matrix,
                            const PlainLayer &layer, const std::vector<uint16_t> &x, int64_t m,
                            std::span<const int32_t> offsets = {}) const;

private:
  explicit CudaReference(Function kernel) : gemm(std::move(kernel)) {}
  Status launch(const CudaContext &context, const Descriptor &descriptor, const PlainLayer &layer,
                ReferenceArgs args, std::span<const int32_t> offsets) const;
  Function gemm;
};

} // namespace gptqc::cli

#endif // GPTQC_CLI_CHECK_CUDAREFERENCE_H
