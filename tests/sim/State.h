// The cluster that runs, between the simulator's own files: threads, blocks, barriers, engines.
#ifndef GPTQC_TESTS_SIM_STATE_H
#define GPTQC_TESTS_SIM_STATE_H

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/Clock.h"
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

/// What a blocked thread waits for: that a counter moves on.
struct Wait {
  const uint64_t *counter = nullptr;
  uint64_t seen = 0;
  const char *what = nullptr;
  /// The state of the thing waited for, for deadlock reports.
  std::string (*detail)(const void *on) = nullptr;
  const void *on = nullptr;
};

/// A barrier of threads that all wait, or of some that only arrive.
struct Barrier {
  int arrived = 0;
  int expected = 0; ///< of a named barrier, given by its first arrival
  int id = 0;
  uint64_t generation = 0;
  Gather gather;
  View done; ///< of the last generation
};

/// A wgmma result that has not landed: the registers' place and what they will hold.
struct Accumulator {
  float *d = nullptr;
  std::vector<float> values;
  uint64_t group = 0;
};

/// The A registers of a wgmma in flight, as they were when it was issued.
struct FragmentInFlight {
  const uint32_t *a = nullptr;
  uint32_t values[4] = {};
  uint64_t group = 0;
};

/// One cp.async that has not landed: its bytes are taken from the source when it is issued and
/// reach shared memory only when the issuing thread has waited for its group.
struct PendingCopy {
  size_t offset = 0; ///< in the block's shared memory
  uint8_t data[16] = {};
};

struct BlockState;

struct Thread {
  Dim3 index{0, 0, 0};
  int id = 0; ///< in the cluster: its component of the clocks
  BlockState *block = nullptr;
  View view;
  uint32_t now = 1; ///< its own time; moves on whenever it passes its view on
  bool done = false;
  Wait wait;
  uint64_t clusterGeneration = 0; ///< that it arrived in
  bool clusterArrived = false;
  bool sent = false; ///< to other blocks, since it last released to the cluster

  std::vector<PendingCopy> open;               ///< cp.async since the last commit
  std::deque<std::vector<PendingCopy>> groups; ///< committed, oldest first

  int storeEngine = -1; ///< component that reads shared memory for this thread's stores
  uint32_t storeTime = 0, storeCommitted = 0; ///< its time now, and at the last commit
  std::deque<uint32_t> storeGroups;           ///< its time at the end of each committed group

  std::vector<Accumulator> accumulators;
  std::vector<FragmentInFlight> fragments;
  uint64_t wgmmaGroup = 1;         ///< the open group
  std::deque<uint32_t> wgmmaTimes; ///< of the engine, at the end of each committed group in flight
  bool fenced = false;             ///< a wgmma.fence since the last commit
};

/// A collective that the threads of a warp or warpgroup enter together.
struct Collective {
  const char *operation = nullptr;
  void *operands[128] = {};
  Thread *threads[128] = {};
  int arrived = 0;
  uint64_t generation = 0;
  Gather gather;
  View done;
  const void *site = nullptr; ///< of the caller
};

struct Warpgroup {
  Collective collective;
  /// Component that reads shared memory for its wgmma, the first of four: what a warp waits for is
  /// its own part, and a read is over when those who ask know that all parts are.
  int engine = -1;
  uint32_t time = 0; ///< of the engine: wgmma issued
  Clock finished[4]; ///< by warp: knows its part up to some time; the lanes of a wait share it
};

struct BlockState {
  Dim3 index;
  int rank = 0; ///< in the cluster
  int live = 0;
  Barrier barriers[16];
  std::vector<Collective> warps;
  std::vector<Warpgroup> warpgroups;
};

struct Mbarrier {
  BlockState *block = nullptr;
  size_t offset = 0;
  uint32_t count = 0; ///< arrivals of a phase
  int64_t pending = 0;
  int64_t bytes = 0; ///< of transactions missing
  uint64_t phase = 0;
  std::map<int, uint64_t> seen; ///< by thread: the phase when it last waited
  int engine = -1;              ///< component of the copies that land on it
  int initThread = 0;
  uint32_t initTime = 0;
  Gather gather;
  View done; ///< of the last phase
};

/// A load to shared memory in flight.
struct PendingLoad {
  Mbarrier *barrier = nullptr;
  uint8_t *target = nullptr;
  std::vector<uint8_t> data;
};

struct Fiber;

/// The launch and its running cluster.
struct State {
  const Launch *launch = nullptr;
  Report report;
  int cluster = 0; ///< number of the running one
  std::vector<BlockState> blocks;
  std::vector<Fiber> fibers;
  std::unique_ptr<uint8_t[]> stacks; ///< of all fibers, in one piece
  Fiber *running = nullptr;
  int live = 0;
  Barrier clusterBarrier;
  std::map<std::pair<int, size_t>, Mbarrier> mbarriers; ///< by rank and offset
  std::deque<PendingLoad> loads;
  std::map<const void *, GridClock> atomics; ///< what those who add to a place passed on
  int components = 0;                        ///< handed out
  std::vector<bool> wgmmaEngine;             ///< by component: the first of four

  int threads() const { return int(blocks.size()) * launch->threads; }
  int newComponent() { return components++; }
  int newWgmmaEngine() {
    const int first = components;
    components += 4;
    wgmmaEngine.resize(size_t(first) + 1);
    wgmmaEngine.back() = true;
    return first;
  }
  /// Components that must be known for what `component` did to be over.
  size_t partsOf(size_t component) const {
    return component < wgmmaEngine.size() && wgmmaEngine[component] ? 4 : 1;
  }
  /// The component that stands for the kernel in front of this one: griddepcontrol.wait knows it.
  int predecessor() const { return threads(); }
};

extern State *machine;

Thread &currentThread();
/// Enters a collective of `lanes` threads as number `lane`; returns once all have. The last one to
/// arrive runs `body(collective)` for all, before the others return.
void enter(Collective &collective, int lanes, int lane, const char *name, void *operand,
           void (*body)(Collective &collective));
/// Blocks the running fiber while the counter stands at `seen`.
void waitWhile(const Wait &wait);
/// Records an error of the running thread at the code address `site`.
void fail(std::string what, const void *site = nullptr);
/// "block (0,0,0) thread 5".
std::string who(const Thread &thread);

// Machine.cpp to the others: what happens when threads leave and when nothing can run.

/// Completes barriers that only threads that have left were missing from.
void leaveBarriers(BlockState &block);
/// Lands one load in flight; false when there is none.
bool landOneLoad();
/// Checks what a thread leaves behind.
void checkThreadEnd(Thread &thread);
/// Checks a block whose threads have all ended.
void checkBlockEnd(BlockState &block);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_STATE_H
