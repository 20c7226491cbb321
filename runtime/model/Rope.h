// Rotary position embedding (Su et al. 2021): the angles of a range of positions, and the rotation.
#ifndef GPTQC_RUNTIME_MODEL_ROPE_H
#define GPTQC_RUNTIME_MODEL_ROPE_H

#include <cstdint>
#include <vector>

#include "runtime/cpu/Matrix.h"
#include "runtime/model/ModelConfig.h"

namespace gptqc {

struct RopeFrequencies {
  std::vector<float> inverse; ///< [headDim / 2] radians per position
  float scale = 1;            ///< of cosine and sine (yarn's attention factor)
};

/// Linear stretching (kaiokendev 2023), that of Llama 3.1, and YaRN (Peng et al. 2023).
RopeFrequencies ropeFrequencies(const RopeParameters &rope, int64_t headDim);

/// Cosines and sines of consecutive positions, scaled.
struct RopeTable {
  int64_t half = 0;            ///< headDim / 2
  std::vector<float> cos, sin; ///< [positions][half]

  RopeTable(const RopeFrequencies &frequencies, int64_t firstPosition, int64_t positions);
};

/// Rotates each head of each row in place; row i is at position i % positions of the table.
/// Element j of a head is paired with element j + half. x: [rows, heads * headDim].
void applyRope(const RopeTable &table, MatrixRef<float> x, int threads);

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_ROPE_H
