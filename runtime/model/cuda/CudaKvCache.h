// Keys and values of a sequence's tokens so far, on a GPU.
#ifndef GPTQC_RUNTIME_MODEL_CUDA_CUDAKVCACHE_H
#define GPTQC_RUNTIME_MODEL_CUDA_CUDAKVCACHE_H

#include "runtime/device/Cublas.h"
#include "runtime/model/ModelConfig.h"

namespace gptqc {

/// One sequence, 16-bit. Keys are stored rotated. Movable; one thread at a time.
class CudaKvCache {
public:
  CudaKvCache() = default;
  /// Room for `capacity` tokens.
  static Result<CudaKvCache> create(const Device &device, const ModelConfig &config,
                                    int64_t capacity) {
    CudaKvCache cache;
    cache.width = config.kvHeads * config.headDim;
    cache.tokens = capacity;
    GPTQC_ASSIGN(cache.memory,
                 DeviceBuffer::allocate(device, 2 * config.blocks * capacity * cache.width * 2));
    return cache;
  }

  int64_t capacity() const { return tokens; }
  /// Tokens so far. Grows with advance(), after the last block.
  int64_t length() const { return used; }
  void advance(int64_t count) { used += count; }

  /// The rows of tokens first..end-1, below the capacity.
  DeviceMatrix keys(int64_t block, int64_t first, int64_t end) const {
    return rows(2 * block, first, end);
  }
  DeviceMatrix values(int64_t block, int64_t first, int64_t end) const {
    return rows(2 * block + 1, first, end);
  }

private:
  DeviceMatrix rows(int64_t matrix, int64_t first, int64_t end) const {
    const int64_t row = matrix * tokens + first;
    return {memory.address() + CuDevicePtr(row * width * 2), end - first, width, width};
  }

  DeviceBuffer memory; ///< [blocks][keys, values][capacity][width]
  int64_t width = 0, tokens = 0, used = 0;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_CUDA_CUDAKVCACHE_H
