// An exponential that compilers vectorize.
#ifndef GPTQC_RUNTIME_MODEL_FASTEXP_H
#define GPTQC_RUNTIME_MODEL_FASTEXP_H

#include <bit>
#include <cstdint>

namespace gptqc {

/// e^x for x <= 0, within 2 units in the last place; below -87 it stays at about 1e-38. NaN stays
/// NaN. Range reduction and polynomial of Cephes' expf (Moshier 1989).
inline float expOfNegative(float x) {
  const float clamped = x < -87.0f ? -87.0f : x;
  constexpr float kRound = 12582912.0f; // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = clamped * 1.44269504f + kRound;
  const float power = shifted - kRound;
  const float r = (clamped - power * 0.693359375f) + power * 2.12194440e-4f;
  float y = 1.9875691500e-4f;
  y = y * r + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * r * r + r + 1.0f;
  const uint32_t exponent = (std::bit_cast<uint32_t>(shifted) - 0x4b400000u + 127u) << 23;
  return y * std::bit_cast<float>(exponent);
}

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_FASTEXP_H
