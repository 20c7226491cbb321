// The block's linear layers on a GPU, through gptqc and a handful of the driver's functions.
#ifndef GPTQC_EXAMPLES_LIBTORCH_FREE_LLAMA_BLOCK_GPU_H
#define GPTQC_EXAMPLES_LIBTORCH_FREE_LLAMA_BLOCK_GPU_H

#include <gptqc/gptqc.hpp>

#include <memory>

#include "Block.h"

/// Errors are exceptions derived from std::runtime_error.
class GpuLinears {
public:
  /// Repacks the four fused layers of `block` ("model.layers.0.") and gets the kernels for `tokens`
  /// rows ready from the pack.
  GpuLinears(const gptqc::context &context, const gptqc::checkpoint &model,
             const std::string &block, int64_t tokens);
  ~GpuLinears();

  /// X goes to the GPU and Y comes back; a host with kernels of its own for the rest leaves both
  /// there.
  Matrix run(Projection projection, const Matrix &x);
  /// Time of the four layers in a row, microseconds: `rounds` rounds are queued, then waited for.
  double microseconds(int rounds);

private:
  struct State;
  std::unique_ptr<State> state;
};

#endif // GPTQC_EXAMPLES_LIBTORCH_FREE_LLAMA_BLOCK_GPU_H
