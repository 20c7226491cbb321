// The simulated GPU: runs the blocks of a grid one after the other, the threads of a block as
// fibers, and watches every memory access they make. README.md says what is modelled and what is
// not.
#ifndef GPTQC_TESTS_SIM_MACHINE_H
#define GPTQC_TESTS_SIM_MACHINE_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gptqc::sim {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
};

/// One asynchronous copy that has not landed: its bytes are taken from the source when it is issued
/// and reach shared memory only when the issuing thread has waited for its group.
struct PendingCopy {
  size_t offset = 0; ///< in shared memory
  uint8_t data[16] = {};
};

struct Fiber; // stack and saved registers; see Machine.cpp

struct Thread {
  Dim3 index{0, 0, 0};
  int linear = 0;                               ///< in the block
  std::vector<PendingCopy> open;                ///< copies since the last commit
  std::vector<std::vector<PendingCopy>> groups; ///< committed, oldest first
  uint32_t warpEpoch = 1;                       ///< warp barriers passed in this block, plus 1
  bool done = false;
  const char *waitingFor = nullptr; ///< what it is blocked on, for deadlock reports
};

struct Block {
  Dim3 index, threads, grid;
};

/// The thread and block that execute right now. By value for kernels: their instrumented reads must
/// not touch the simulator's own memory.
Thread &currentThread();
Dim3 threadIndex();
Block currentBlock();

/// A buffer in simulated global memory. Accesses outside of all buffers are errors.
struct Buffer {
  std::string name;
  uint8_t *data = nullptr;
  size_t bytes = 0;
  bool writable = false;
};

struct Launch {
  /// One thread's body. Plain pointers, because a kernel's files are instrumented: inline library
  /// code that they share with the simulator must not run while it watches.
  void (*kernel)(const void *context) = nullptr;
  const void *context = nullptr;
  Dim3 grid;
  int threads = 0;
  size_t sharedBytes = 0;
  std::vector<Buffer> buffers;
};

struct Counters {
  uint64_t blocks = 0, threads = 0, accesses = 0, collectives = 0, barriers = 0, switches = 0;
};

/// What the run found; `errors` is empty for a clean run. At most a few dozen errors are kept.
struct Report {
  std::vector<std::string> errors;
  Counters counters;
  bool clean() const { return errors.empty(); }
  std::string text() const;
};

/// Runs the whole grid on the calling OS thread. Not reentrant; one run at a time per process.
Report run(const Launch &launch);

// What the host versions of the ptx/ headers call.

/// The block's dynamic shared memory.
unsigned char *sharedMemory();

/// Blocks until every thread of the block that still runs has arrived.
void blockBarrier();

/// Runs `body(lane pointers)` once all 32 lanes of the warp have arrived at the same operation.
/// `operand` is this lane's in/out structure; the last lane to arrive runs the body for all.
void warpCollective(const char *name, void *operand, void (*body)(void *const operands[32]));

/// Blocks until all 32 lanes of the warp have arrived; orders their accesses.
void warpBarrier();

void copyAsync16(void *shared, const void *source, int bytes);
void commitCopies();
void waitCopies(int pending);

/// Checks an access that the compiler's instrumentation did not see (made on behalf of a lane).
void touch(const void *address, size_t bytes, bool isWrite);

/// Records an error of the running thread.
void fail(std::string what);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_MACHINE_H
