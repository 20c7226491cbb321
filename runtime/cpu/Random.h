// A small seeded generator, the same numbers on every machine: what makes a printed seed a repro.
#ifndef GPTQC_RUNTIME_CPU_RANDOM_H
#define GPTQC_RUNTIME_CPU_RANDOM_H

#include <cstdint>

namespace gptqc {

/// One step of SplitMix64 (Steele, Lea, Flood 2014): a well-mixed function of a counter. Combines
/// seeds.
uint64_t mixSeed(uint64_t seed, uint64_t stream);

/// xoshiro256** (Blackman, Vigna 2018). A value type; one thread at a time.
class Random {
public:
  explicit Random(uint64_t seed);

  uint64_t next() {
    const uint64_t result = rotate(state[1] * 5, 7) * 9;
    const uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate(state[3], 45);
    return result;
  }

  /// 0..count-1; count >= 1.
  int64_t below(int64_t count) { return int64_t(next() % uint64_t(count)); }
  /// 0 <= value < 1.
  float uniform() { return float(next() >> 40) * 0x1p-24f; }
  /// Mean 0, variance 1.
  float normal();

private:
  static uint64_t rotate(uint64_t value, int by) { return value << by | value >> (64 - by); }
  uint64_t state[4];
  float spare = 0;
  bool hasSpare = false;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CPU_RANDOM_H
