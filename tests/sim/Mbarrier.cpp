// mbarriers and the copies that complete on them: bulk loads and tensor-map loads.
#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "tests/sim/Memory.h"
#include "tests/sim/State.h"

namespace gptqc::sim {

namespace {

std::string name(const Mbarrier &barrier) {
  return describeAddress(sharedBase(barrier.block->rank) + barrier.offset);
}

/// For deadlock reports: what the phase still lacks.
std::string describePhase(const void *on) {
  const auto &barrier = *static_cast<const Mbarrier *>(on);
  return fmt::format(" at {} (phase {}: {} of {} arrivals and {} bytes missing)", name(barrier),
                     barrier.phase, barrier.pending, barrier.count, barrier.bytes);
}

/// The mbarrier at an address, initialized as far as `thread` knows; null after an error.
Mbarrier *findBarrier(const Thread &thread, const void *address, const void *site) {
  int rank = 0;
  size_t offset = 0;
  if (locateShared(address, rank, offset)) {
    const auto found = machine->mbarriers.find({rank, offset});
    if (found != machine->mbarriers.end()) {
      Mbarrier &barrier = found->second;
      const size_t by = size_t(barrier.initThread);
      if (barrier.initThread == thread.id || thread.view.known.at(by) >= barrier.initTime ||
          thread.view.mbarrierInit.at(by) >= barrier.initTime)
        return &barrier;
      fail(fmt::format("{}: uses the mbarrier at {} with no barrier behind its initialization",
                       who(thread), describeAddress(address)),
           site);
      return nullptr;
    }
  }
  fail(fmt::format("{}: there is no mbarrier at {}", who(thread), describeAddress(address)), site);
  return nullptr;
}

/// Ends the phase when nothing is missing.
void advance(Mbarrier &barrier) {
  if (barrier.pending != 0 || barrier.bytes != 0)
    return;
  ++barrier.phase;
  barrier.gather.raise(size_t(barrier.engine), uint32_t(barrier.phase));
  barrier.done = barrier.gather.take();
  barrier.pending = barrier.count;
}

/// A parity tells a phase from the next one alone: who waits for the phase behind the last one that
/// it saw must not be two behind.
void checkOverrun(const Thread &thread, const Mbarrier &barrier, uint64_t seen, uint32_t parity,
                  const void *site) {
  if ((seen & 1) == parity && barrier.phase > seen + 1)
    fail(fmt::format("{}: waits for phase {} of the mbarrier at {}, which is in phase {} already: "
                     "the parity is ambiguous",
                     who(thread), seen, name(barrier), barrier.phase),
         site);
}

/// The barrier in block `rank` that a copy completes on; null after an error.
Mbarrier *copyBarrier(const Thread &thread, uint64_t *address, unsigned rank, const void *site) {
  Mbarrier *barrier = findBarrier(thread, mapShared(address, rank), site);
  if (!barrier)
    return nullptr;
  const size_t by = size_t(barrier->initThread);
  if (thread.view.mbarrierInit.at(by) >= barrier->initTime ||
      thread.view.proxy.at(by) >= barrier->initTime)
    return barrier;
  fail(fmt::format("{}: a copy completes on the mbarrier at {}, whose initialization no fence made "
                   "visible to the async proxy",
                   who(thread), name(*barrier)),
       site);
  return nullptr;
}

/// Starts the copy of `data` to `shared` in each block of the mask.
void startLoad(void *shared, const std::vector<uint8_t> &data, uint64_t *barrier, uint16_t mask,
               const void *site) {
  Thread &thread = currentThread();
  if (mask == 0)
    mask = uint16_t(1u << thread.block->rank);
  for (unsigned rank = 0; rank < 16; ++rank) {
    if (!(mask >> rank & 1))
      continue;
    if (rank >= unsigned(machine->launch->cluster))
      return fail(fmt::format("{}: a copy to block {} of a cluster of {}", who(thread), rank,
                              machine->launch->cluster),
                  site);
    Mbarrier *completes = copyBarrier(thread, barrier, rank, site);
    auto *target = static_cast<uint8_t *>(mapShared(shared, rank));
    if (!completes || !startShared(thread, target, data.size(), false, site))
      return;
    machine->loads.push_back({completes, target, data});
    ++machine->report.counters.copies;
  }
}

bool validMap(const Thread &thread, const TensorMap &map, const void *shared, const void *site) {
  const size_t rowBytes = size_t(map.boxColumns) * 2;
  if (map.base % 16 == 0 && map.strideBytes % 16 == 0 && map.boxColumns > 0 && map.boxRows > 0 &&
      map.boxColumns <= 256 && map.boxRows <= 256 && rowBytes % 16 == 0 &&
      (map.swizzle == 0 || (map.swizzle == 128 && rowBytes <= 128)) &&
      sharedAddress(shared) % 128 == 0)
    return true;
  fail(
      fmt::format("{}: a tensor map of {} x {} elements from {} with swizzle {} to {} is not legal",
                  who(thread), map.boxRows, map.boxColumns,
                  describeAddress(reinterpret_cast<const void *>(map.base)), map.swizzle,
                  describeAddress(shared)),
      site);
  return false;
}

/// Offset in the box of piece `piece` of row `row`: address bits 4..6 are xor-ed with bits 7..9.
size_t pieceOffset(const TensorMap &map, const void *shared, int row, int piece) {
  const size_t start = sharedAddress(shared);
  size_t at = start + size_t(row) * size_t(map.boxColumns) * 2 + size_t(piece) * 16;
  if (map.swizzle == 128)
    at ^= (at >> 7 & 7) << 4;
  return at - start;
}

/// Calls visit(global address, offset in the box, bytes) for each piece's part inside the tensor.
template <typename Visit>
void forPieces(const TensorMap &map, const void *shared, int column, int row, const Visit &visit) {
  for (int r = 0; r < map.boxRows; ++r)
    for (int piece = 0; piece < map.boxColumns / 8; ++piece) {
      const int64_t first = int64_t(column) + piece * 8, y = int64_t(row) + r;
      const int64_t begin = std::max<int64_t>(first, 0),
                    end = std::min<int64_t>(first + 8, map.columns);
      if (y < 0 || y >= map.rows || begin >= end)
        continue;
      auto *global = reinterpret_cast<uint8_t *>(map.base) + y * map.strideBytes + begin * 2;
      visit(global, pieceOffset(map, shared, r, piece) + size_t(begin - first) * 2,
            size_t(end - begin) * 2);
    }
}

} // namespace

void mbarrierInit(uint64_t *address, uint32_t count) {
  const Unwatched unwatched;
  const void *site = __builtin_return_address(0);
  Thread &thread = currentThread();
  int rank = 0;
  size_t offset = 0;
  if (!locateShared(address, rank, offset) || offset % 8 != 0 || rank != thread.block->rank ||
      count == 0)
    return fail(fmt::format("{}: no mbarrier of {} arrivals can be at {}", who(thread), count,
                            describeAddress(address)),
                site);
  if (!claimMbarrier(thread, address, site))
    return;
  Mbarrier &barrier = machine->mbarriers[{rank, offset}];
  barrier.block = thread.block;
  barrier.offset = offset;
  barrier.count = count;
  barrier.pending = count;
  barrier.engine = machine->newComponent();
  barrier.initThread = thread.id;
  barrier.initTime = thread.now;
}

void mbarrierArrive(uint64_t *address, uint32_t bytes) {
  const Unwatched unwatched;
  const void *site = __builtin_return_address(0);
  Thread &thread = currentThread();
  ++machine->report.counters.barriers;
  Mbarrier *barrier = findBarrier(thread, address, site);
  if (!barrier)
    return;
  if (barrier->block->live == 0)
    return fail(
        fmt::format("{}: arrives at {} of a block that has ended", who(thread), name(*barrier)),
        site);
  thread.sent |= barrier->block != thread.block;
  barrier->bytes += bytes;
  barrier->gather.add(thread.view, size_t(thread.id), thread.now);
  ++thread.now;
  if (--barrier->pending < 0)
    fail(fmt::format("{}: one arrival more than the {} of a phase at {}", who(thread),
                     barrier->count, name(*barrier)),
         site);
  advance(*barrier);
}

void mbarrierWait(uint64_t *address, uint32_t parity) {
  const Unwatched unwatched;
  const void *site = __builtin_return_address(0);
  Thread &thread = currentThread();
  Mbarrier *barrier = findBarrier(thread, address, site);
  if (!barrier)
    return;
  if (parity > 1 || barrier->block != thread.block)
    return fail(fmt::format("{}: waits for parity {} at {}", who(thread), parity, name(*barrier)),
                site);
  const uint64_t seen = barrier->seen[thread.id];
  if ((barrier->phase & 1) == parity)
    waitWhile({&barrier->phase, barrier->phase, "the mbarrier", describePhase, barrier});
  checkOverrun(thread, *barrier, seen, parity, site);
  barrier->seen[thread.id] = barrier->phase;
  thread.view.join(barrier->done);
}

void bulkLoad(void *shared, const void *source, uint32_t bytes, uint64_t *barrier, uint16_t mask) {
  const Unwatched unwatched;
  const void *site = __builtin_return_address(0);
  Thread &thread = currentThread();
  if (bytes == 0 || bytes % 16 != 0 || sharedAddress(shared) % 16 != 0 ||
      reinterpret_cast<uintptr_t>(source) % 16 != 0)
    return fail(fmt::format("{}: a bulk copy of {} bytes from {} to {} is not in whole 16 bytes",
                            who(thread), bytes, describeAddress(source), describeAddress(shared)),
                site);
  const size_t before = machine->report.errors.size();
  access(thread, source, bytes, Access::Read, site);
  std::vector<uint8_t> data(bytes);
  if (machine->report.errors.size() == before)
    std::memcpy(data.data(), source, bytes);
  startLoad(shared, data, barrier, mask, site);
}

void tensorLoad(void *shared, const TensorMap *map, int column, int row, uint64_t *barrier,
                uint16_t mask) {
  const Unwatched unwatched;
  const void *site = __builtin_return_address(0);
  Thread &thread = currentThread();
  if (!validMap(thread, *map, shared, site))
    return;
  std::vector<uint8_t> data(size_t(map->boxRows) * size_t(map->boxColumns) * 2);
  const size_t before = machine->report.errors.size();
  forPieces(*map, shared, column, row, [&](uint8_t *global, size_t at, size_t bytes) {
    access(thread, global, bytes, Access::Read, site);
    if (machine->report.errors.size() == before)
      std::memcpy(data.data() + at, global, bytes);
  });
  startLoad(shared, data, barrier, mask, site);
}

void storeAsync16(void *shared, const void *value, uint64_t *barrier, unsigned rank) {
  const Unwatched unwatched;
  const void *site = __builtin_return_address(0);
  Thread &thread = currentThread();
  if (sharedAddress(shared) % 16 != 0)
    return fail(fmt::format("{}: an asynchronous store to {} is not aligned to 16 bytes",
                            who(thread), describeAddress(shared)),
                site);
  Mbarrier *completes = findBarrier(thread, mapShared(barrier, rank), site);
  auto *target = static_cast<uint8_t *>(mapShared(shared, rank));
  if (!completes || !startShared(thread, target, 16, true, site))
    return;
  thread.sent |= completes->block != thread.block;
  const auto *bytes = static_cast<const uint8_t *>(value);
  machine->loads.push_back({completes, target, {bytes, bytes + 16}});
  ++machine->report.counters.copies;
}

bool landOneLoad() {
  if (machine->loads.empty())
    return false;
  const size_t at = machine->launch->backwards ? machine->loads.size() - 1 : 0;
  const PendingLoad load = std::move(machine->loads[at]);
  machine->loads.erase(machine->loads.begin() + std::ptrdiff_t(at));
  Mbarrier &barrier = *load.barrier;
  landShared(load.target, load.data.data(), load.data.size(), barrier.engine,
             uint32_t(barrier.phase + 1));
  barrier.bytes -= int64_t(load.data.size());
  advance(barrier);
  return true;
}

void tensorStore(const TensorMap *map, int column, int row, const void *shared) {
  const Unwatched unwatched;
  const void *site = __builtin_return_address(0);
  Thread &thread = currentThread();
  if (!validMap(thread, *map, shared, site))
    return;
  if (thread.storeEngine < 0)
    thread.storeEngine = machine->newComponent();
  ++thread.storeTime;
  ++machine->report.counters.copies;
  const size_t before = machine->report.errors.size();
  const auto *from = static_cast<const uint8_t *>(shared);
  readByEngine(thread, from, size_t(map->boxRows) * size_t(map->boxColumns) * 2, thread.storeEngine,
               thread.storeTime, site);
  forPieces(*map, shared, column, row, [&](uint8_t *global, size_t at, size_t bytes) {
    access(thread, global, bytes, Access::Write, site);
    if (machine->report.errors.size() == before)
      std::memcpy(global, from + at, bytes);
  });
}

void commitStores() {
  const Unwatched unwatched;
  Thread &thread = currentThread();
  thread.storeGroups.push_back(thread.storeTime);
  thread.storeCommitted = thread.storeTime;
}

void waitStoresRead(int pending) {
  const Unwatched unwatched;
  Thread &thread = currentThread();
  while (thread.storeGroups.size() > size_t(pending)) {
    if (thread.storeEngine >= 0)
      thread.view.known.raise(size_t(thread.storeEngine), thread.storeGroups.front());
    thread.storeGroups.pop_front();
  }
}

} // namespace gptqc::sim
