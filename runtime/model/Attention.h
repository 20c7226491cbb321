// Causal attention in fp32 with memory that grows with the length of the sequence, not its square.
#ifndef GPTQC_RUNTIME_MODEL_ATTENTION_H
#define GPTQC_RUNTIME_MODEL_ATTENTION_H

#include "runtime/cpu/Matrix.h"

namespace gptqc {

struct AttentionShape {
  int64_t heads = 0, kvHeads = 0, headDim = 0; ///< heads is a multiple of kvHeads
  int64_t window = 0; ///< a query sees this many keys up to its own; 0: all of them
};

/// out = softmax(q k^T / sqrt(headDim)) v for one sequence. q, out: [m, heads * headDim]; k, v:
/// [t, kvHeads * headDim], t >= m: query i is at key position t - m + i and sees keys up to there.
/// Heads share keys in groups of heads / kvHeads. Needs 64 x t floats of scratch for each thread.
void causalAttention(const AttentionShape &shape, MatrixRef<const float> q,
                     MatrixRef<const float> k, MatrixRef<const float> v, MatrixRef<float> out,
                     int threads);

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_ATTENTION_H
