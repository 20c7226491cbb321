// Fibers and their schedule, the life of a cluster, and deadlock reports.
#include "tests/sim/Machine.h"

#include <algorithm>
#include <csetjmp>
#include <map>
#include <ucontext.h>

#include <fmt/format.h>

#include "tests/sim/Memory.h"
#include "tests/sim/Sanitized.h"
#include "tests/sim/Sites.h"
#include "tests/sim/State.h"

namespace gptqc::sim {

namespace {

constexpr size_t kStackBytes = 256 * 1024;
constexpr size_t kMaxErrors = 32;

} // namespace

struct Fiber {
  Thread thread;
  uint8_t *stack = nullptr; ///< kStackBytes of State::stacks
  ucontext_t start;
  jmp_buf resume;
  bool started = false;
};

State *machine = nullptr;
bool watching = false;

namespace {

jmp_buf scheduler;

bool finished() {
  const size_t errors = machine->report.errors.size();
  return errors >= kMaxErrors || (errors > 0 && machine->launch->stopAtFirst);
}

/// Back to the scheduler; returns when this fiber is chosen again.
void yieldFiber() {
  ++machine->report.counters.switches;
  if (_setjmp(machine->running->resume) == 0)
    _longjmp(scheduler, 1);
}

void fiberMain() {
  const Launch &launch = *machine->launch;
  watching = true;
  launch.kernel(launch.context);
  watching = false;
  Thread &thread = currentThread();
  checkThreadEnd(thread);
  thread.done = true;
  --machine->live;
  --thread.block->live;
  leaveBarriers(*thread.block);
  if (thread.block->live == 0)
    checkBlockEnd(*thread.block);
  _longjmp(scheduler, 1);
}

void resumeFiber(Fiber &fiber) {
  machine->running = &fiber;
  if (_setjmp(scheduler) != 0) {
    machine->running = nullptr;
    return;
  }
  if (fiber.started)
    _longjmp(fiber.resume, 1);
  fiber.started = true;
  freshStack(fiber.stack, kStackBytes);
  getcontext(&fiber.start);
  fiber.start.uc_stack.ss_sp = fiber.stack;
  fiber.start.uc_stack.ss_size = kStackBytes;
  fiber.start.uc_link = nullptr;
  makecontext(&fiber.start, fiberMain, 0);
  setcontext(&fiber.start);
}

/// "0-31, 64" of ascending numbers.
std::string ranges(const std::vector<int> &numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t j = i;
    while (j + 1 < numbers.size() && numbers[j + 1] == numbers[j] + 1)
      ++j;
    text += fmt::format("{}{}", text.empty() ? "" : ", ", numbers[i]);
    if (j > i)
      text += fmt::format("-{}", numbers[j]);
    i = j + 1;
  }
  return text;
}

/// Which threads of which block wait for what, those with the same reason together.
std::string deadlockReport() {
  std::map<std::string, std::vector<int>> waiting;
  for (const Fiber &fiber : machine->fibers) {
    const Thread &thread = fiber.thread;
    if (thread.done)
      continue;
    const Dim3 &block = thread.block->index;
    const std::string detail = thread.wait.detail ? thread.wait.detail(thread.wait.on) : "";
    waiting[fmt::format("of block ({},{},{}) wait for {}{}", block.x, block.y, block.z,
                        thread.wait.what, detail)]
        .push_back(int(thread.index.x));
  }
  std::string text = "deadlock:";
  for (const auto &[reason, threads] : waiting)
    text += fmt::format(" threads {} {};", ranges(threads), reason);
  return text;
}

void startBlock(BlockState &block, int rank, Dim3 index) {
  const int threads = machine->launch->threads;
  block.index = index;
  block.rank = rank;
  block.live = threads;
  for (int i = 0; i < 16; ++i)
    block.barriers[i].id = i;
  block.warps.resize(size_t((threads + 31) / 32));
  block.warpgroups.resize(size_t((threads + 127) / 128));
}

void startCluster(Dim3 first) {
  State &m = *machine;
  const int threads = m.launch->threads, size = m.launch->cluster;
  m.blocks = std::vector<BlockState>(size_t(size));
  for (int rank = 0; rank < size; ++rank)
    startBlock(m.blocks[size_t(rank)], rank, {first.x + unsigned(rank), first.y, first.z});
  m.live = size * threads;
  m.components = m.live + 1; // and State::predecessor
  m.wgmmaEngine.clear();
  m.clusterBarrier = Barrier();
  m.mbarriers.clear();
  m.loads.clear();
  memoryStartCluster(m.launch->sharedBytes, size);
  for (int i = 0; i < m.live; ++i) {
    Fiber &fiber = m.fibers[size_t(i)];
    fiber.thread = Thread();
    fiber.thread.index = {unsigned(i % threads), 0, 0};
    fiber.thread.id = i;
    fiber.thread.block = &m.blocks[size_t(i / threads)];
    fiber.started = false;
  }
}

bool blocked(const Thread &thread) {
  return thread.done || (thread.wait.counter && *thread.wait.counter == thread.wait.seen);
}

/// Lets each thread of a block run until it waits; false when all waited before.
bool runThreads(size_t rank) {
  State &m = *machine;
  const size_t count = size_t(m.launch->threads);
  bool ran = false;
  for (size_t i = 0; i < count && !finished(); ++i) {
    Fiber &fiber = m.fibers[rank * count + (m.launch->backwards ? count - 1 - i : i)];
    if (blocked(fiber.thread))
      continue;
    resumeFiber(fiber);
    ran = true;
  }
  return ran;
}

void runCluster(Dim3 first) {
  State &m = *machine;
  startCluster(first);
  while (m.live > 0) {
    bool ran = false;
    for (size_t i = 0; i < m.blocks.size(); ++i)
      if (m.launch->backwards)
        while (runThreads(m.blocks.size() - 1 - i)) // as far as the block gets without the others
          ran = true;
      else
        ran |= runThreads(i);
    if (finished())
      return;
    // Copies land as late as they can: when no thread can go on without one.
    if (!ran && !landOneLoad()) {
      fail(deadlockReport());
      return;
    }
  }
  while (landOneLoad()) {
  }
  endCluster();
  m.report.counters.threads += uint64_t(m.threads());
  m.report.counters.blocks += m.blocks.size();
  ++m.cluster;
}

/// The grid in clusters, in the order of the launch.
void runGrid() {
  const Launch &launch = *machine->launch;
  const unsigned columns = launch.grid.x / unsigned(launch.cluster);
  const unsigned count = columns * launch.grid.y * launch.grid.z;
  for (unsigned i = 0; i < count && !finished(); ++i) {
    const unsigned at = launch.backwards ? count - 1 - i : i;
    runCluster({at % columns * unsigned(launch.cluster), at / columns % launch.grid.y,
                at / columns / launch.grid.y});
  }
}

} // namespace

Thread &currentThread() { return machine->running->thread; }
Dim3 threadIndex() { return currentThread().index; }

Place currentBlock() {
  const Launch &launch = *machine->launch;
  const BlockState &block = *currentThread().block;
  return {block.index,
          {unsigned(launch.threads), 1, 1},
          launch.grid,
          unsigned(block.rank),
          unsigned(launch.cluster)};
}

void waitWhile(const Wait &wait) {
  Thread &thread = currentThread();
  thread.wait = wait;
  while (*wait.counter == wait.seen)
    yieldFiber();
  thread.wait = Wait();
}

std::string who(const Thread &thread) {
  const Dim3 &block = thread.block->index;
  return fmt::format("block ({},{},{}) thread {}", block.x, block.y, block.z, thread.index.x);
}

void fail(std::string what, const void *site) {
  State &m = *machine;
  if (m.report.errors.size() < kMaxErrors)
    m.report.errors.emplace_back(std::move(what), site);
  // The run is over: the fiber that failed never continues.
  if (m.running && m.launch->stopAtFirst)
    _longjmp(scheduler, 1);
}

bool onFiberStack(const void *address) {
  const uint8_t *first = machine->stacks.get();
  return address >= first && address < first + machine->fibers.size() * kStackBytes;
}

Counters &Counters::operator+=(const Counters &more) {
  blocks += more.blocks, threads += more.threads, accesses += more.accesses;
  collectives += more.collectives, barriers += more.barriers, copies += more.copies;
  switches += more.switches;
  return *this;
}

std::string Report::text() const {
  std::string result;
  for (const Finding &error : errors) {
    const std::string site = error.site ? describeSite(error.site) : "";
    result += error.what + (site.empty() ? "" : " [" + site + "]") + "\n";
  }
  return result;
}

Report run(const Launch &launch) {
  State local;
  machine = &local;
  local.launch = &launch;
  if (launch.cluster < 1 || launch.grid.x % unsigned(launch.cluster) != 0) {
    local.report.errors.emplace_back(fmt::format(
        "a grid of {} blocks along x has no clusters of {}", launch.grid.x, launch.cluster));
    machine = nullptr;
    return local.report;
  }
  local.fibers = std::vector<Fiber>(size_t(launch.threads) * size_t(launch.cluster));
  local.stacks = std::make_unique_for_overwrite<uint8_t[]>(local.fibers.size() * kStackBytes);
  for (size_t i = 0; i < local.fibers.size(); ++i)
    local.fibers[i].stack = local.stacks.get() + i * kStackBytes;
  memoryStart(launch.buffers);
  runGrid();
  local.report.counters.accesses = memoryStop();
  machine = nullptr;
  return local.report;
}

} // namespace gptqc::sim
