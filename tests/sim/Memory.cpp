// Addresses of the simulator: buffers, the shared memory of a cluster, and what may be done where.
#include "tests/sim/Memory.h"

#include <cstring>

#include <fmt/format.h>

#include "tests/sim/Shadow.h"
#include "tests/sim/Sites.h"

namespace gptqc::sim {

namespace {

constexpr size_t kSharedAlignment = 1024;

struct Memory {
  std::vector<Buffer> buffers;
  std::vector<std::vector<Shadow>> bufferShadows; ///< of writable buffers
  std::vector<uint8_t> shared;                    ///< of all blocks, over-allocated to align
  uint8_t *base = nullptr;
  size_t sharedBytes = 0, stride = 0; ///< of a block
  int blocks = 0;
  std::vector<Shadow> shadow; ///< of sharedBytes for each block
  uint64_t accesses = 0;
};
Memory memory;

Stamp stampOf(const Thread &thread) {
  return {thread.now, uint16_t(thread.id), uint16_t(machine->cluster)};
}

/// The shadow of shared bytes; null after an error.
Shadow *sharedShadow(const Thread &thread, const void *address, size_t bytes, const char *what,
                     const void *site) {
  int rank = 0;
  size_t offset = 0;
  if (!locateShared(address, rank, offset)) {
    fail(fmt::format("{}: {} at {} is outside of shared memory", who(thread), what,
                     describeAddress(address)),
         site);
    return nullptr;
  }
  if (offset + bytes > memory.sharedBytes) {
    fail(fmt::format("{}: {} of {} bytes at {} leaves the {} bytes of shared memory", who(thread),
                     what, bytes, describeAddress(address), memory.sharedBytes),
         site);
    return nullptr;
  }
  const BlockState &block = machine->blocks[size_t(rank)];
  if (block.live == 0 && &block != thread.block) {
    fail(fmt::format("{}: {} at {} in the shared memory of a block that has ended", who(thread),
                     what, describeAddress(address)),
         site);
    return nullptr;
  }
  return &memory.shadow[size_t(rank) * memory.sharedBytes + offset];
}

void report(const Thread &thread, const char *problem, const void *address, size_t at,
            const void *site) {
  fail(fmt::format("{}: {} at {}", who(thread), problem,
                   describeAddress(static_cast<const uint8_t *>(address) + at)),
       site);
}

/// Order rules of a generic access to bytes with a shadow.
void accessShadow(Thread &thread, Shadow *shadow, const void *address, size_t bytes, Access kind,
                  bool isShared, const void *site) {
  const Stamp stamp = stampOf(thread);
  size_t at = 0;
  ReadRule readRule(thread, Proxy::Generic, isShared);
  const char *problem = forBytes(shadow, bytes, at, [&](Shadow &byte) -> const char * {
    const char *wrong =
        kind == Access::Write ? writeProblem(byte, thread, Proxy::Generic) : readRule(byte);
    if (wrong)
      return wrong;
    if (kind == Access::Write)
      noteWrite(byte, stamp);
    else
      noteRead(byte, thread, stamp);
    return nullptr;
  });
  if (problem)
    report(thread, problem, address, at, site);
}

/// The buffer that holds the address; null after an error.
const Buffer *findBuffer(const Thread &thread, const uint8_t *address, size_t bytes, Access kind,
                         const void *site) {
  for (const Buffer &buffer : memory.buffers) {
    if (address < buffer.data || address >= buffer.data + buffer.bytes)
      continue;
    const char *verb = kind == Access::Write ? "write" : "read";
    if (address + bytes > buffer.data + buffer.bytes) {
      fail(fmt::format("{}: {} of {} bytes at {} leaves the buffer of {} bytes", who(thread), verb,
                       bytes, describeAddress(address), buffer.bytes),
           site);
      return nullptr;
    }
    if (kind == Access::Write && !buffer.writable) {
      fail(fmt::format("{}: write to the read-only {}", who(thread), describeAddress(address)),
           site);
      return nullptr;
    }
    if (machine->launch->programmatic && buffer.dependent &&
        thread.view.known.at(size_t(machine->predecessor())) == 0) {
      fail(fmt::format("{}: {} at {} before griddepcontrol.wait", who(thread), verb,
                       describeAddress(address)),
           site);
      return nullptr;
    }
    return &buffer;
  }
  fail(fmt::format("{}: {} of {} bytes hits no buffer ({})", who(thread),
                   kind == Access::Write ? "write" : "read", bytes, describeAddress(address)),
       site);
  return nullptr;
}

/// The shadow of a byte of a writable buffer; null for others.
Shadow *bufferShadow(const Buffer &buffer, const uint8_t *address) {
  std::vector<Shadow> &shadows = memory.bufferShadows[size_t(&buffer - memory.buffers.data())];
  return shadows.empty() ? nullptr : &shadows[size_t(address - buffer.data)];
}

} // namespace

std::string describeAddress(const void *address) {
  const auto *byte = static_cast<const uint8_t *>(address);
  int rank = 0;
  size_t offset = 0;
  if (locateShared(address, rank, offset))
    return memory.blocks == 1 ? fmt::format("shared+{}", offset)
                              : fmt::format("shared[{}]+{}", rank, offset);
  for (const Buffer &buffer : memory.buffers)
    if (byte >= buffer.data && byte < buffer.data + buffer.bytes)
      return fmt::format("{}+{}", buffer.name, byte - buffer.data);
  // Close to a buffer: say which, and no address that differs from run to run.
  for (const Buffer &buffer : memory.buffers)
    if (byte + 65536 > buffer.data && byte < buffer.data + buffer.bytes + 65536)
      return fmt::format("{}{:+}", buffer.name, byte - buffer.data);
  return "no buffer's neighbourhood";
}

void memoryStart(const std::vector<Buffer> &buffers) {
  memory = Memory();
  memory.buffers = buffers;
  for (const Buffer &buffer : buffers)
    memory.bufferShadows.emplace_back(buffer.writable ? buffer.bytes : 0);
  shadowStart();
}

void memoryStartCluster(size_t sharedBytes, int blocks) {
  memory.sharedBytes = sharedBytes;
  memory.blocks = blocks;
  memory.stride = (sharedBytes / kSharedAlignment + 2) * kSharedAlignment;
  memory.shared.assign(memory.stride * size_t(blocks) + kSharedAlignment, 0xff);
  const uintptr_t raw = reinterpret_cast<uintptr_t>(memory.shared.data());
  memory.base = memory.shared.data() + (kSharedAlignment - raw % kSharedAlignment);
  memory.shadow.assign(sharedBytes * size_t(blocks), {});
}

void endCluster() {
  if (sitesEnabled())
    sitesEndCluster();
}

uint64_t memoryStop() { return memory.accesses; }

uint8_t *sharedBase(int rank) { return memory.base + size_t(rank) * memory.stride; }

bool locateShared(const void *address, int &rank, size_t &offset) {
  const auto *byte = static_cast<const uint8_t *>(address);
  if (!memory.base || byte < memory.base ||
      byte >= memory.base + memory.stride * size_t(memory.blocks))
    return false;
  rank = int(size_t(byte - memory.base) / memory.stride);
  offset = size_t(byte - memory.base) % memory.stride;
  return true;
}

void access(Thread &thread, const void *address, size_t bytes, Access kind, const void *site) {
  if (onFiberStack(address))
    return;
  ++memory.accesses;
  int rank = 0;
  size_t offset = 0;
  if (locateShared(address, rank, offset)) {
    const char *what = kind == Access::Write ? "write" : "read";
    if (Shadow *shadow = sharedShadow(thread, address, bytes, what, site))
      accessShadow(thread, shadow, address, bytes, kind, true, site);
    return;
  }
  const auto *byte = static_cast<const uint8_t *>(address);
  const Buffer *buffer = findBuffer(thread, byte, bytes, kind, site);
  if (!buffer)
    return;
  if (Shadow *shadow = bufferShadow(*buffer, byte))
    accessShadow(thread, shadow, address, bytes, kind, false, site);
}

void request(Thread &thread, const void *address, size_t bytes, Access kind, const void *site) {
  if (sitesEnabled()) {
    int rank = 0;
    size_t offset = 0;
    sitesRecord(thread, address, bytes, locateShared(address, rank, offset), kind == Access::Write,
                site);
  }
  access(thread, address, bytes, kind, site);
}

bool startShared(Thread &thread, void *shared, size_t bytes, bool generic, const void *site) {
  Shadow *shadow = sharedShadow(thread, shared, bytes, "asynchronous copy to shared memory", site);
  if (!shadow)
    return false;
  ++memory.accesses;
  size_t at = 0;
  const Proxy proxy = generic ? Proxy::Generic : Proxy::Async;
  const char *problem = forBytes(shadow, bytes, at, [&](Shadow &byte) -> const char * {
    if (const char *wrong = writeProblem(byte, thread, proxy))
      return wrong;
    noteWrite(byte, stampOf(thread));
    byte.state = InFlight;
    return nullptr;
  });
  if (problem) {
    report(thread, problem, shared, at, site);
    return false;
  }
  std::memset(shared, 0xff, bytes); // poison until it lands
  return true;
}

void landShared(void *shared, const uint8_t *data, size_t bytes, int by, uint32_t time) {
  int rank = 0;
  size_t offset = 0;
  locateShared(shared, rank, offset);
  std::memcpy(shared, data, bytes);
  Shadow *shadow = &memory.shadow[size_t(rank) * memory.sharedBytes + offset];
  for (size_t i = 0; i < bytes; ++i) {
    shadow[i].state = Plain;
    noteWrite(shadow[i], {time, uint16_t(by), uint16_t(machine->cluster)});
  }
}

bool readByEngine(Thread &thread, const void *shared, size_t bytes, int by, uint32_t time,
                  const void *site) {
  Shadow *shadow = sharedShadow(thread, shared, bytes, "read by the async proxy", site);
  if (!shadow)
    return false;
  ++memory.accesses;
  size_t at = 0;
  const Stamp stamp = {time, uint16_t(by), uint16_t(machine->cluster)};
  ReadRule readRule(thread, Proxy::Async, true);
  const char *problem = forBytes(shadow, bytes, at, [&](Shadow &byte) -> const char * {
    if (const char *wrong = readRule(byte))
      return wrong;
    noteRead(byte, thread, stamp);
    return nullptr;
  });
  if (problem)
    report(thread, problem, shared, at, site);
  return problem == nullptr;
}

bool claimMbarrier(Thread &thread, void *shared, const void *site) {
  Shadow *shadow = sharedShadow(thread, shared, 8, "mbarrier", site);
  if (!shadow)
    return false;
  for (size_t i = 0; i < 8; ++i) {
    if (const char *problem = writeProblem(shadow[i], thread, Proxy::Generic)) {
      report(thread, problem, shared, i, site);
      return false;
    }
    noteWrite(shadow[i], stampOf(thread));
    shadow[i].state = MbarrierByte;
  }
  return true;
}

bool accessAtomic(Thread &thread, void *address, const void *site) {
  ++memory.accesses;
  const auto *byte = static_cast<const uint8_t *>(address);
  const Buffer *buffer = findBuffer(thread, byte, 4, Access::Write, site);
  if (!buffer)
    return false;
  Shadow *shadow = bufferShadow(*buffer, byte);
  for (size_t i = 0; i < 4; ++i) {
    // Atomics are ordered among each other, not against plain accesses.
    const bool afterAtomic = shadow[i].state == AtomicByte && shadow[i].read.time == 0;
    if (const char *problem =
            afterAtomic ? nullptr : writeProblem(shadow[i], thread, Proxy::Generic)) {
      report(thread, problem, address, i, site);
      return false;
    }
    noteWrite(shadow[i], stampOf(thread));
    shadow[i].state = AtomicByte;
  }
  return true;
}

} // namespace gptqc::sim
