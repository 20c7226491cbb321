// Conversion from the three float types that checkpoints hold.
#include "runtime/checkpoint/FloatTensor.h"

#include <cstring>

#include "runtime/core/Float16.h"

namespace gptqc {

Status loadFloats(const TensorRef &tensor, int64_t first, std::span<float> out) {
  const ElementType type = tensor.info->type;
  if (type != ElementType::F16 && type != ElementType::BF16 && type != ElementType::F32)
    return makeError(Code::Unsupported, "it is {}; save the model as F16, BF16 or F32 first",
                     tensor.info->print());
  if (out.empty())
    return Status();
  const uint8_t *bytes = tensor.bytes().data() + first * (elementBits(type) / 8);
  if (type == ElementType::F32) {
    std::memcpy(out.data(), bytes, out.size() * sizeof(float));
    return Status();
  }
  const DType stored = type == ElementType::F16 ? DType::F16 : DType::BF16;
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes + i * 2, 2);
    out[i] = toFloat(bits, stored);
  }
  return Status();
}

Result<std::vector<float>> loadFloats(const TensorRef &tensor) {
  std::vector<float> values(size_t(tensor.info->elements()));
  GPTQC_TRY(loadFloats(tensor, 0, values));
  return values;
}

} // namespace gptqc
