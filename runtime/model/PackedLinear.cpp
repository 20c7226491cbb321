// Conversion to and from the executor's 16-bit types.
#include "runtime/model/PackedLinear.h"

#include <vector>

#include "runtime/core/Float16.h"

namespace gptqc {

Result<std::shared_ptr<const PackedLinear>> PackedLinear::create(const QuantizedMatrix &matrix) {
  std::shared_ptr<PackedLinear> linear(new PackedLinear(matrix));
  GPTQC_ASSIGN(linear->executor, Executor::create(linear->weights));
  return std::shared_ptr<const PackedLinear>(std::move(linear));
}

void PackedLinear::run(MatrixRef<const float> x, MatrixRef<float> y, int threads) const {
  const Descriptor &descriptor = weights.descriptor;
  std::vector<uint16_t> in(size_t(x.rows * x.columns)), out(size_t(y.rows * y.columns));
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t j = 0; j < x.columns; ++j)
      in[size_t(i * x.columns + j)] = fromFloat(x.at(i, j), descriptor.act);
  const Status status = executor->run(in.data(), x.columns, x.rows, out.data(), y.columns, threads);
  assert(status.ok() && "the strides fit");
  (void)status;
  for (int64_t i = 0; i < y.rows; ++i)
    for (int64_t j = 0; j < y.columns; ++j)
      y.at(i, j) = toFloat(out[size_t(i * y.columns + j)], descriptor.out);
}

} // namespace gptqc
