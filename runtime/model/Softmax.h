// The pieces of a softmax, written so that compilers vectorize them without relaxed arithmetic.
#ifndef GPTQC_RUNTIME_MODEL_SOFTMAX_H
#define GPTQC_RUNTIME_MODEL_SOFTMAX_H

#include <bit>
#include <cstdint>
#include <limits>

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

/// Partial results side by side, which is what a vector register holds.
inline constexpr int64_t kLanes = 16;

/// The largest of count >= 1 values.
inline float largestOf(const float *values, int64_t count) {
  float lanes[kLanes];
  for (float &lane : lanes)
    lane = -std::numeric_limits<float>::infinity();
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int64_t j = 0; j < kLanes; ++j)
      lanes[j] = values[i + j] > lanes[j] ? values[i + j] : lanes[j];
  for (; i < count; ++i)
    lanes[0] = values[i] > lanes[0] ? values[i] : lanes[0];
  for (int64_t j = 1; j < kLanes; ++j)
    lanes[0] = lanes[j] > lanes[0] ? lanes[j] : lanes[0];
  return lanes[0];
}

/// values[i] = e^(values[i] - largest), with largest no smaller than any; their sum in return.
inline double exponentiate(float *values, int64_t count, float largest) {
  for (int64_t i = 0; i < count; ++i)
    values[i] = expOfNegative(values[i] - largest);
  constexpr int64_t kPiece = 64 * kLanes; // summed in fp32, each lane 64 terms
  double total = 0;
  for (int64_t first = 0; first < count; first += kPiece) {
    const int64_t end = first + kPiece < count ? first + kPiece : count;
    float lanes[kLanes] = {};
    int64_t i = first;
    for (; i + kLanes <= end; i += kLanes)
      for (int64_t j = 0; j < kLanes; ++j)
        lanes[j] += values[i + j];
    for (; i < end; ++i)
      lanes[0] += values[i];
    for (const float lane : lanes)
      total += lane;
  }
  return total;
}

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_SOFTMAX_H
