// What is known of every byte that threads share, and the rules of happens-before on it.
#ifndef GPTQC_TESTS_SIM_SHADOW_H
#define GPTQC_TESTS_SIM_SHADOW_H

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tests/sim/State.h"

namespace gptqc::sim {

/// An access: by which component of which cluster, at its time (0: never).
struct Stamp {
  uint32_t time = 0;
  uint16_t who = 0;
  uint16_t cluster = 0;
};

struct Shadow {
  Stamp write, read;      ///< the last write; one of the reads since
  uint32_t more : 24 = 0; ///< further reads that are not ordered among each other
  uint32_t state : 8 = 0; ///< ByteState
};
static_assert(sizeof(Shadow) == 20);

/// AtomicByte: the last write was an atomic.
enum ByteState : uint8_t { Plain, InFlight, MbarrierByte, AtomicByte };

/// Who accesses: a thread itself, or the async proxy on its behalf.
enum class Proxy { Generic, Async };

void shadowStart();

/// True when `thread` knows that the access has happened.
bool ordered(const Thread &thread, Stamp stamp);

/// Null, or what is wrong with a read (or write) of the byte by `thread` now.
const char *readProblem(const Shadow &byte, const Thread &thread, Proxy proxy, bool needsWrite);
const char *writeProblem(const Shadow &byte, const Thread &thread, Proxy proxy);

/// readProblem of the bytes of one access: neighbours that one write left are judged once.
class ReadRule {
public:
  ReadRule(const Thread &reader, Proxy readBy, bool mustBeWritten)
      : thread(reader), proxy(readBy), needsWrite(mustBeWritten) {}

  const char *operator()(const Shadow &byte) {
    if (sound && byte.state == state && std::memcmp(&byte.write, &write, sizeof write) == 0)
      return nullptr;
    const char *problem = readProblem(byte, thread, proxy, needsWrite);
    sound = problem == nullptr;
    write = byte.write;
    state = byte.state;
    return problem;
  }

private:
  const Thread &thread;
  Proxy proxy;
  bool needsWrite, sound = false;
  Stamp write;
  uint32_t state = 0;
};

/// Adds a read; reads that `thread` knows of are forgotten.
void noteRead(Shadow &byte, const Thread &thread, Stamp stamp);
/// Replaces all earlier accesses.
void noteWrite(Shadow &byte, Stamp stamp);

/// Applies `rule` to each byte until it returns a problem; equal neighbours are decided together.
template <typename Rule>
const char *forBytes(Shadow *bytes, size_t count, size_t &failed, const Rule &rule) {
  for (size_t i = 0; i < count;) {
    const Shadow before = bytes[i];
    if (const char *problem = rule(bytes[i])) {
      failed = i;
      return problem;
    }
    const Shadow after = bytes[i++];
    if (before.more == 0 && after.more == 0)
      while (i < count && std::memcmp(&bytes[i], &before, sizeof before) == 0)
        bytes[i++] = after;
  }
  return nullptr;
}

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_SHADOW_H
