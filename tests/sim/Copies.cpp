// cp.async, the addresses of shared memory, and what a thread must not leave behind.
#include <cstring>

#include <fmt/format.h>

#include "tests/sim/Memory.h"
#include "tests/sim/Sites.h"
#include "tests/sim/State.h"

namespace gptqc::sim {

unsigned char *sharedMemory() { return sharedBase(currentThread().block->rank); }

uint32_t sharedAddress(const void *pointer) {
  const Unwatched unwatched;
  int rank = 0;
  size_t offset = 0;
  if (!locateShared(pointer, rank, offset))
    fail(fmt::format("{}: {} is not in shared memory", who(currentThread()),
                     describeAddress(pointer)),
         __builtin_return_address(0));
  return uint32_t(offset);
}

void *mapShared(void *pointer, unsigned rank) {
  const Unwatched unwatched;
  if (rank >= unsigned(machine->launch->cluster)) {
    fail(fmt::format("{}: block {} of a cluster of {}", who(currentThread()), rank,
                     machine->launch->cluster),
         __builtin_return_address(0));
    return pointer;
  }
  return sharedBase(int(rank)) + sharedAddress(pointer);
}

void copyAsync16(void *shared, const void *source, int bytes) {
  const Unwatched unwatched;
  const void *site = __builtin_return_address(0);
  Thread &thread = currentThread();
  if (bytes != 0 && bytes != 16)
    return fail(fmt::format("{}: cp.async of {} bytes", who(thread), bytes), site);
  if (reinterpret_cast<uintptr_t>(source) % 16 != 0 && bytes > 0)
    return fail(fmt::format("{}: cp.async from a source that is not 16-byte aligned: {}",
                            who(thread), describeAddress(source)),
                site);
  PendingCopy copy;
  int rank = 0;
  if (!locateShared(shared, rank, copy.offset) || copy.offset % 16 != 0 ||
      rank != thread.block->rank)
    return fail(fmt::format("{}: cp.async to {} is outside of shared memory or misaligned",
                            who(thread), describeAddress(shared)),
                site);
  if (!startShared(thread, shared, 16, true, site))
    return;
  ++machine->report.counters.copies;
  if (sitesEnabled())
    sitesRecord(thread, shared, 16, true, true, site);
  if (bytes > 0) {
    const size_t before = machine->report.errors.size();
    request(thread, source, size_t(bytes), Access::Read, site);
    if (machine->report.errors.size() == before)
      std::memcpy(copy.data, source, size_t(bytes));
  }
  thread.open.push_back(copy);
}

void commitCopies() {
  const Unwatched unwatched;
  Thread &thread = currentThread();
  thread.groups.push_back(std::move(thread.open));
  thread.open.clear();
}

void waitCopies(int pending) {
  const Unwatched unwatched;
  Thread &thread = currentThread();
  uint8_t *const base = sharedBase(thread.block->rank);
  while (thread.groups.size() > size_t(pending)) {
    for (const PendingCopy &copy : thread.groups.front())
      landShared(base + copy.offset, copy.data, sizeof copy.data, thread.id, thread.now);
    thread.groups.pop_front();
  }
}

void checkThreadEnd(Thread &thread) {
  // Copies of cp.async in flight at exit still land: nobody can tell.
  commitCopies();
  waitCopies(0);
  const bool storing = thread.storeTime != thread.storeCommitted || !thread.storeGroups.empty();
  if (storing)
    fail(fmt::format("{}: ends while its stores still read shared memory", who(thread)));
  if (!thread.accumulators.empty())
    fail(fmt::format("{}: ends with wgmma in flight", who(thread)));
}

} // namespace gptqc::sim
