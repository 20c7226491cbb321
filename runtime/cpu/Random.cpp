// Seeding, and normal numbers by the Box-Muller transform.
#include "runtime/cpu/Random.h"

#include <cmath>
#include <numbers>

namespace gptqc {

uint64_t mixSeed(uint64_t seed, uint64_t stream) {
  uint64_t z = seed + (stream + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

Random::Random(uint64_t seed) {
  for (uint64_t i = 0; i < 4; ++i)
    state[i] = mixSeed(seed, i);
}

float Random::normal() {
  if (hasSpare) {
    hasSpare = false;
    return spare;
  }
  const float radius = std::sqrt(-2.0f * std::log(1.0f - uniform()));
  const float angle = 2.0f * std::numbers::pi_v<float> * uniform();
  spare = radius * std::sin(angle);
  hasSpare = true;
  return radius * std::cos(angle);
}

} // namespace gptqc
