// Bounds, alignment, initialization and race checks of the simulator, and the hooks that
// -fsanitize=thread instrumentation calls (this file defines them in place of libtsan).
#include "tests/sim/Memory.h"

#include <cstring>

#include <fmt/format.h>

namespace gptqc::sim {

bool watching = false;

namespace {

// Who touched a byte last: a thread, or one of these.
constexpr int kNobody = -1, kSeveralWarps = -2;
constexpr int kFirstWarp = -10; ///< kFirstWarp - w: several lanes of warp w

/// The warp of a toucher; -1 for several.
int warpOf(int who) { return who >= 0 ? who / 32 : who <= kFirstWarp ? kFirstWarp - who : -1; }

/// What is known about one byte of shared memory.
struct Shadow {
  uint32_t writeEpoch = 0,
           readEpoch = 0; ///< barrier count + 1 of the last write and read; 0: never
  uint32_t writeWarpEpoch = 0, readWarpEpoch = 0; ///< the same of the warp's own barriers
  int16_t writer = kNobody, reader = kNobody;
  int16_t copying = kNobody; ///< thread whose asynchronous copy is in flight
};

struct State {
  std::vector<Buffer> buffers;
  std::vector<uint8_t> shared; ///< over-allocated by 128 to align
  uint8_t *base = nullptr;
  size_t sharedBytes = 0;
  std::vector<Shadow> shadow;
  uint32_t epoch = 1;
  uint64_t accesses = 0;
  bool active = false;
};

State state;

bool inShared(const uint8_t *address) {
  return state.base && address >= state.base && address < state.base + state.sharedBytes;
}

std::string who() {
  const Thread &thread = currentThread();
  const Block block = currentBlock();
  return fmt::format("block ({},{},{}) thread {}", block.index.x, block.index.y, block.index.z,
                     thread.linear);
}

/// True when an access of `other` may overlap in time with one by the running thread now: no block
/// barrier since, and no barrier of the warp if both are of one.
bool concurrent(uint32_t epoch, uint32_t warpEpoch, int other) {
  const Thread &self = currentThread();
  if (epoch != state.epoch || other == self.linear)
    return false;
  return warpOf(other) != self.linear / 32 || warpEpoch >= self.warpEpoch;
}

/// Remembers a read beside the earlier ones since the last block barrier.
void noteRead(Shadow &shadow, int self) {
  const int warp = self / 32;
  if (shadow.readEpoch != state.epoch || shadow.reader == kNobody)
    shadow.reader = int16_t(self);
  else if (warpOf(shadow.reader) != warp)
    shadow.reader = kSeveralWarps;
  else if (shadow.reader != self)
    shadow.reader = int16_t(kFirstWarp - warp);
  shadow.readEpoch = state.epoch;
  shadow.readWarpEpoch = currentThread().warpEpoch;
}

/// Race and initialization rules of one shared byte; returns what is wrong, or null.
const char *checkByte(Shadow &shadow, int self, bool isWrite) {
  if (shadow.copying != kNobody)
    return isWrite ? "overwrites an asynchronous copy in flight"
                   : "reads bytes of an asynchronous copy that nobody waited for";
  if (!isWrite && shadow.writeEpoch == 0)
    return "reads uninitialized shared memory";
  if (concurrent(shadow.writeEpoch, shadow.writeWarpEpoch, shadow.writer))
    return isWrite ? "races with a write of another thread (no barrier between)"
                   : "reads what another thread wrote without a barrier between";
  if (isWrite && concurrent(shadow.readEpoch, shadow.readWarpEpoch, shadow.reader))
    return "overwrites what another thread reads without a barrier between";
  if (isWrite) {
    shadow.writeEpoch = state.epoch;
    shadow.writeWarpEpoch = currentThread().warpEpoch;
    shadow.writer = int16_t(self);
  } else {
    noteRead(shadow, self);
  }
  return nullptr;
}

void checkShared(const uint8_t *address, size_t bytes, bool isWrite) {
  const size_t offset = size_t(address - state.base);
  if (offset + bytes > state.sharedBytes)
    return fail(fmt::format("{}: {} of {} bytes at shared+{} leaves the {} bytes of shared memory",
                            who(), isWrite ? "write" : "read", bytes, offset, state.sharedBytes));
  const int self = currentThread().linear;
  for (size_t i = 0; i < bytes; ++i)
    if (const char *wrong = checkByte(state.shadow[offset + i], self, isWrite))
      return fail(fmt::format("{}: {} at shared+{}", who(), wrong, offset + i));
}

} // namespace

std::string describeAddress(const void *address) {
  const auto *byte = static_cast<const uint8_t *>(address);
  if (inShared(byte))
    return fmt::format("shared+{}", byte - state.base);
  for (const Buffer &buffer : state.buffers)
    if (byte >= buffer.data && byte < buffer.data + buffer.bytes)
      return fmt::format("{}+{}", buffer.name, byte - buffer.data);
  return fmt::format("{}", address);
}

void memoryStart(const std::vector<Buffer> &buffers) {
  state = State();
  state.buffers = buffers;
  state.active = true;
}

void memoryStartBlock(size_t sharedBytes) {
  state.shared.assign(sharedBytes + 128, 0xff);
  const uintptr_t raw = reinterpret_cast<uintptr_t>(state.shared.data());
  state.base = state.shared.data() + (128 - raw % 128) % 128;
  state.sharedBytes = sharedBytes;
  state.shadow.assign(sharedBytes, {});
  state.epoch = 1;
}

void memoryBarrier() { ++state.epoch; }

uint64_t memoryStop() {
  state.active = false;
  return state.accesses;
}

unsigned char *sharedMemory() { return state.base; }

bool startCopy(void *shared, size_t &offset) {
  const auto *byte = static_cast<const uint8_t *>(shared);
  if (!inShared(byte) || byte + 16 > state.base + state.sharedBytes ||
      (byte - state.base) % 16 != 0) {
    fail(fmt::format("{}: cp.async to {} is outside of shared memory or misaligned", who(),
                     describeAddress(shared)));
    return false;
  }
  offset = size_t(byte - state.base);
  checkShared(byte, 16, true);
  for (size_t i = 0; i < 16; ++i)
    state.shadow[offset + i].copying = int16_t(currentThread().linear);
  std::memset(shared, 0xff, 16); // poison until it lands
  return true;
}

void landCopy(const PendingCopy &copy) {
  std::memcpy(state.base + copy.offset, copy.data, 16);
  for (size_t i = 0; i < 16; ++i) {
    Shadow &shadow = state.shadow[copy.offset + i];
    shadow.copying = kNobody;
    shadow.writeEpoch = state.epoch;
    shadow.writeWarpEpoch = currentThread().warpEpoch;
    shadow.writer = int16_t(currentThread().linear);
  }
}

void touch(const void *address, size_t bytes, bool isWrite) {
  if (!state.active)
    return;
  const Unwatched unwatched;
  const auto *byte = static_cast<const uint8_t *>(address);
  if (onFiberStack(address))
    return;
  ++state.accesses;
  if (bytes <= 16 && reinterpret_cast<uintptr_t>(address) % bytes != 0)
    fail(
        fmt::format("{}: misaligned {}-byte access at {}", who(), bytes, describeAddress(address)));
  if (inShared(byte))
    return checkShared(byte, bytes, isWrite);
  for (const Buffer &buffer : state.buffers) {
    if (byte < buffer.data || byte >= buffer.data + buffer.bytes)
      continue;
    if (byte + bytes > buffer.data + buffer.bytes)
      fail(fmt::format("{}: {}-byte access at {} leaves the buffer of {} bytes", who(), bytes,
                       describeAddress(address), buffer.bytes));
    else if (isWrite && !buffer.writable)
      fail(fmt::format("{}: write to the read-only {}", who(), describeAddress(address)));
    return;
  }
  fail(fmt::format("{}: {} of {} bytes at {} hits no buffer", who(), isWrite ? "write" : "read",
                   bytes, address));
}

} // namespace gptqc::sim

static void hooked(const void *address, size_t bytes, bool isWrite) {
  if (gptqc::sim::watching)
    gptqc::sim::touch(address, bytes, isWrite);
}

// The instrumentation interface of -fsanitize=thread (GCC and Clang emit the same calls).
// The compiler chose these names.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" {
#define GPTQC_SIM_HOOKS(size)                                                                      \
  void __tsan_read##size(void *p) { hooked(p, size, false); }                                      \
  void __tsan_write##size(void *p) { hooked(p, size, true); }                                      \
  void __tsan_unaligned_read##size(void *p) { hooked(p, size, false); }                            \
  void __tsan_unaligned_write##size(void *p) { hooked(p, size, true); }                            \
  void __tsan_volatile_read##size(void *p) { hooked(p, size, false); }                             \
  void __tsan_volatile_write##size(void *p) { hooked(p, size, true); }
GPTQC_SIM_HOOKS(1)
GPTQC_SIM_HOOKS(2)
GPTQC_SIM_HOOKS(4)
GPTQC_SIM_HOOKS(8)
GPTQC_SIM_HOOKS(16)
void __tsan_read_range(void *p, size_t size) { hooked(p, size, false); }
void __tsan_write_range(void *p, size_t size) { hooked(p, size, true); }
void *__tsan_memcpy(void *to, const void *from, size_t size) {
  hooked(from, size, false);
  hooked(to, size, true);
  return std::memcpy(to, from, size);
}
void *__tsan_memset(void *to, int value, size_t size) {
  hooked(to, size, true);
  return std::memset(to, value, size);
}
void __tsan_vptr_update(void *, void *) {} // objects of the test code, not of kernels
void __tsan_vptr_read(void *) {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_init() {}
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
