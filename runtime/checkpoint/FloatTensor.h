// Tensors of a model folder as floats.
#ifndef GPTQC_RUNTIME_CHECKPOINT_FLOATTENSOR_H
#define GPTQC_RUNTIME_CHECKPOINT_FLOATTENSOR_H

#include <span>
#include <vector>

#include "runtime/checkpoint/HfFolder.h"

namespace gptqc {

/// All elements of an F16, BF16 or F32 tensor; Unsupported for other types. Thread-safe.
Result<std::vector<float>> loadFloats(const TensorRef &tensor);

/// Elements first .. first + out.size() - 1, which must be there, of such a tensor.
Status loadFloats(const TensorRef &tensor, int64_t first, std::span<float> out);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CHECKPOINT_FLOATTENSOR_H
