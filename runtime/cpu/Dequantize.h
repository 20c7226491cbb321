// The weights that a quantized layer stands for.
#ifndef GPTQC_RUNTIME_CPU_DEQUANTIZE_H
#define GPTQC_RUNTIME_CPU_DEQUANTIZE_H

#include "runtime/core/WeightLayout.h"
#include "runtime/cpu/Matrix.h"

namespace gptqc {

/// W [N,K] = scale * (code - zero), in fp32: exact, as neither factor has more than 11 significant
/// bits. The bias is left out.
Matrix dequantize(const QuantizedMatrix &matrix);
/// The same from the packed form, which has all that it needs.
Matrix dequantize(const PackedWeights &packed);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CPU_DEQUANTIZE_H
