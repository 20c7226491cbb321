// A quantized linear layer in its packed form, as generation uses it: little memory, no dense copy.
#ifndef GPTQC_RUNTIME_MODEL_PACKEDLINEAR_H
#define GPTQC_RUNTIME_MODEL_PACKEDLINEAR_H

#include <memory>
#include <optional>

#include "runtime/cpu/Executor.h"
#include "runtime/cpu/Matrix.h"

namespace gptqc {

/// Owns the packed weights and the executor that borrows them; immutable, thread-safe.
class PackedLinear {
public:
  static Result<std::shared_ptr<const PackedLinear>> create(const QuantizedMatrix &matrix);

  PackedLinear(const PackedLinear &) = delete;
  PackedLinear &operator=(const PackedLinear &) = delete;

  /// y = x W^T + bias; x and y are rounded to the layer's 16-bit types.
  void run(MatrixRef<const float> x, MatrixRef<float> y, int threads) const;

private:
  explicit PackedLinear(const QuantizedMatrix &matrix) : weights(packWeights(matrix)) {}

  PackedWeights weights;
  std::optional<Executor> executor;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_PACKEDLINEAR_H
