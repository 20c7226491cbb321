// The memory model of the simulator: which addresses exist, what is initialized, which accesses
// race. The compiler's thread-sanitizer instrumentation reports every load and store of a kernel to
// it (Hooks.cpp), the engines their own.
#ifndef GPTQC_TESTS_SIM_MEMORY_H
#define GPTQC_TESTS_SIM_MEMORY_H

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/State.h"

namespace gptqc::sim {

void memoryStart(const std::vector<Buffer> &buffers);
/// Fresh, poisoned shared memory for the blocks of a cluster.
void memoryStartCluster(size_t sharedBytes, int blocks);
void endCluster();
/// Returns how many accesses were checked since memoryStart.
uint64_t memoryStop();

uint8_t *sharedBase(int rank);
/// Rank and offset of an address in shared memory; false when it lies in no block's.
bool locateShared(const void *address, int &rank, size_t &offset);

enum class Access { Read, Write };

/// A load or store by `thread` at code address `site`.
void access(Thread &thread, const void *address, size_t bytes, Access kind, const void *site);

/// The same as part of a warp's request, which the report of sites counts.
void request(Thread &thread, const void *address, size_t bytes, Access kind, const void *site);

/// The destination of an asynchronous copy, from its issue on: writable by `thread` now, and in
/// flight until landShared. `generic` tells cp.async from copies of the async proxy. False after an
/// error.
bool startShared(Thread &thread, void *shared, size_t bytes, bool generic, const void *site);
/// The copy has landed, as a write of component `by` at time `time`.
void landShared(void *shared, const uint8_t *data, size_t bytes, int by, uint32_t time);
/// A read of the async proxy that goes on until component `by` reaches `time`; checked for
/// `thread`. False after an error.
bool readByEngine(Thread &thread, const void *shared, size_t bytes, int by, uint32_t time,
                  const void *site);

/// Makes 8 bytes an mbarrier, which nothing else may touch; false after an error.
bool claimMbarrier(Thread &thread, void *shared, const void *site);

/// Bounds and order of an atomic.
bool accessAtomic(Thread &thread, void *address, const void *site);

/// True on a fiber's stack: registers and locals, which collectives of a warp exchange.
bool onFiberStack(const void *address);

/// "shared+64" or "weights+4096", for messages.
std::string describeAddress(const void *address);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_MEMORY_H
