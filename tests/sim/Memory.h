// The memory model of the simulator: which addresses exist, what is initialized, which accesses
// race. The compiler's thread-sanitizer instrumentation reports every load and store of a kernel to
// it.
#ifndef GPTQC_TESTS_SIM_MEMORY_H
#define GPTQC_TESTS_SIM_MEMORY_H

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/Machine.h"

namespace gptqc::sim {

/// True while kernel code runs: only then do the hooks check. The simulator's own functions, and
/// library code that the linker took from an instrumented file, are not its subject.
extern bool watching;

/// Stops watching for a scope.
class Unwatched {
public:
  Unwatched() : before(watching) { watching = false; }
  ~Unwatched() { watching = before; }
  Unwatched(const Unwatched &) = delete;
  Unwatched &operator=(const Unwatched &) = delete;

private:
  bool before;
};

void memoryStart(const std::vector<Buffer> &buffers);
/// Fresh, poisoned shared memory for a block.
void memoryStartBlock(size_t sharedBytes);
/// A barrier: accesses before it happen before those after it.
void memoryBarrier();
/// Returns how many accesses were checked since memoryStart.
uint64_t memoryStop();

/// Marks 16 shared bytes as being filled by the current thread's asynchronous copy; false after an
/// error.
bool startCopy(void *shared, size_t &offset);
void landCopy(const PendingCopy &copy);

/// True on a fiber's stack: registers and locals, which collectives of a warp exchange.
bool onFiberStack(const void *address);

/// "shared+0x40" or "weights+0x1000", for messages.
std::string describeAddress(const void *address);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_MEMORY_H
