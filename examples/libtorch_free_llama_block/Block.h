// One Llama block over a few tokens: everything but its linear layers, which the caller brings.
#ifndef GPTQC_EXAMPLES_LIBTORCH_FREE_LLAMA_BLOCK_BLOCK_H
#define GPTQC_EXAMPLES_LIBTORCH_FREE_LLAMA_BLOCK_BLOCK_H

#include <cstdint>
#include <functional>
#include <vector>

/// Row-major, one row per token.
using Matrix = std::vector<double>;

/// Of config.json.
struct Shape {
  int64_t hidden = 0, heads = 0, kvHeads = 0, headDim = 0;
  double epsilon = 0, theta = 0;
};

/// The linear layers, some of several modules: Y [tokens, outputs] of X [tokens, inputs].
enum class Projection {
  Qkv,    ///< q, k and v side by side
  O,      ///< the attention's output
  GateUp, ///< silu(gate) * up
  Down
};
using Project = std::function<Matrix(Projection, const Matrix &)>;

struct Norms {
  std::vector<double> input, postAttention; ///< [hidden]
};

/// The block's output for x [tokens, hidden], whose rows are at positions 0, 1, ...; causal.
Matrix runBlock(const Shape &shape, const Norms &norms, Matrix x, const Project &project);

#endif // GPTQC_EXAMPLES_LIBTORCH_FREE_LLAMA_BLOCK_BLOCK_H
