// Fibers, barriers, collectives and asynchronous copies of the simulator.
#include "tests/sim/Machine.h"

#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <memory>
#include <ucontext.h>

#include <fmt/format.h>

#include "tests/sim/Memory.h"

namespace gptqc::sim {

namespace {

constexpr size_t kStackBytes = 256 * 1024;
constexpr size_t kMaxErrors = 32;

struct Warp {
  const char *operation = nullptr; ///< that the arrived lanes are in
  void *operands[32] = {};
  int arrived = 0;
  uint64_t generation = 0;
};

} // namespace

struct Fiber {
  Thread thread;
  uint8_t *stack = nullptr; ///< kStackBytes of Machine::stacks
  ucontext_t start;
  jmp_buf resume;
  bool started = false;
};

namespace {

struct Machine {
  const Launch *launch = nullptr;
  Report report;
  Block block;
  std::vector<Fiber> fibers;
  std::unique_ptr<uint8_t[]> stacks; ///< of all fibers, in one piece
  std::vector<Warp> warps;
  Fiber *running = nullptr;
  jmp_buf scheduler;
  int arrivedAtBarrier = 0, live = 0;
  uint64_t barrierGeneration = 0;
  uint64_t progress = 0; ///< grows whenever a wait ends or a thread finishes
};

Machine *machine = nullptr;

/// Back to the scheduler; returns when this fiber is chosen again.
void yieldFiber() {
  ++machine->report.counters.switches;
  if (_setjmp(machine->running->resume) == 0)
    _longjmp(machine->scheduler, 1);
}

void fiberMain() {
  const Launch &launch = *machine->launch;
  watching = true;
  launch.kernel(launch.context);
  watching = false;
  Fiber &fiber = *machine->running;
  waitCopies(0); // copies in flight at exit still land in hardware
  fiber.thread.done = true;
  --machine->live;
  ++machine->progress;
  // Threads that left count as arrived.
  if (machine->live > 0 && machine->arrivedAtBarrier == machine->live) {
    machine->arrivedAtBarrier = 0;
    ++machine->barrierGeneration;
    memoryBarrier();
  }
  _longjmp(machine->scheduler, 1);
}

void resumeFiber(Fiber &fiber) {
  machine->running = &fiber;
  if (_setjmp(machine->scheduler) != 0)
    return;
  if (fiber.started)
    _longjmp(fiber.resume, 1);
  fiber.started = true;
  getcontext(&fiber.start);
  fiber.start.uc_stack.ss_sp = fiber.stack;
  fiber.start.uc_stack.ss_size = kStackBytes;
  fiber.start.uc_link = nullptr;
  makecontext(&fiber.start, fiberMain, 0);
  setcontext(&fiber.start);
}

std::string deadlockReport() {
  std::string text = fmt::format("deadlock in block ({},{},{}):", machine->block.index.x,
                                 machine->block.index.y, machine->block.index.z);
  int listed = 0;
  for (const Fiber &fiber : machine->fibers)
    if (!fiber.thread.done && listed++ < 8)
      text += fmt::format(" thread {} waits for {};", fiber.thread.linear,
                          fiber.thread.waitingFor ? fiber.thread.waitingFor : "nothing");
  return fmt::format("{} {} threads wait", text, listed);
}

void runBlock() {
  Machine &m = *machine;
  const int threads = m.launch->threads;
  memoryStartBlock(m.launch->sharedBytes);
  m.warps.assign(size_t((threads + 31) / 32), {});
  m.arrivedAtBarrier = 0;
  m.live = threads;
  for (int i = 0; i < threads; ++i) {
    Fiber &fiber = m.fibers[size_t(i)];
    fiber.thread = {};
    fiber.thread.index = {unsigned(i), 0, 0};
    fiber.thread.linear = i;
    fiber.started = false;
  }
  while (m.live > 0) {
    const uint64_t before = m.progress;
    for (Fiber &fiber : m.fibers)
      if (!fiber.thread.done)
        resumeFiber(fiber);
    if (m.progress == before && m.live > 0) {
      fail(deadlockReport());
      return;
    }
    if (m.report.errors.size() >= kMaxErrors)
      return;
  }
  m.report.counters.threads += uint64_t(threads);
  ++m.report.counters.blocks;
}

} // namespace

Thread &currentThread() { return machine->running->thread; }
Dim3 threadIndex() { return machine->running->thread.index; }

Block currentBlock() { return machine->block; }

std::string Report::text() const {
  std::string result;
  for (const std::string &error : errors)
    result += error + "\n";
  return result;
}

void fail(std::string what) {
  if (machine->report.errors.size() < kMaxErrors)
    machine->report.errors.push_back(std::move(what));
}

bool onFiberStack(const void *address) {
  const uint8_t *first = machine->stacks.get();
  return address >= first && address < first + machine->fibers.size() * kStackBytes;
}

Report run(const Launch &launch) {
  Machine local;
  machine = &local;
  local.launch = &launch;
  local.fibers = std::vector<Fiber>(size_t(launch.threads));
  local.stacks = std::make_unique_for_overwrite<uint8_t[]>(local.fibers.size() * kStackBytes);
  for (size_t i = 0; i < local.fibers.size(); ++i)
    local.fibers[i].stack = local.stacks.get() + i * kStackBytes;
  memoryStart(launch.buffers);
  local.block.grid = launch.grid;
  local.block.threads = {unsigned(launch.threads), 1, 1};
  for (unsigned z = 0; z < launch.grid.z; ++z)
    for (unsigned y = 0; y < launch.grid.y; ++y)
      for (unsigned x = 0; x < launch.grid.x && local.report.errors.size() < kMaxErrors; ++x) {
        local.block.index = {x, y, z};
        runBlock();
      }
  local.report.counters.accesses = memoryStop();
  machine = nullptr;
  return local.report;
}

void blockBarrier() {
  const Unwatched unwatched;
  Machine &m = *machine;
  ++m.report.counters.barriers;
  const uint64_t generation = m.barrierGeneration;
  if (++m.arrivedAtBarrier == m.live) {
    m.arrivedAtBarrier = 0;
    ++m.barrierGeneration;
    ++m.progress;
    memoryBarrier();
    return;
  }
  m.running->thread.waitingFor = "the block barrier";
  while (m.barrierGeneration == generation)
    yieldFiber();
  m.running->thread.waitingFor = nullptr;
}

void warpCollective(const char *name, void *operand, void (*body)(void *const operands[32])) {
  const Unwatched unwatched;
  Machine &m = *machine;
  Thread &thread = m.running->thread;
  Warp &warp = m.warps[size_t(thread.linear / 32)];
  if (warp.arrived > 0 && std::strcmp(warp.operation, name) != 0)
    fail(fmt::format("thread {}: {} while other lanes of the warp are in {}", thread.linear, name,
                     warp.operation));
  warp.operation = name;
  warp.operands[thread.linear % 32] = operand;
  const uint64_t generation = warp.generation;
  if (++warp.arrived == 32) {
    ++m.report.counters.collectives;
    void *operands[32]; // on a fiber's stack, where instrumented code may read
    std::copy_n(warp.operands, 32, operands);
    body(operands);
    warp.arrived = 0;
    ++warp.generation;
    ++m.progress;
    return;
  }
  thread.waitingFor = name;
  while (warp.generation == generation)
    yieldFiber();
  thread.waitingFor = nullptr;
}

void warpBarrier() {
  warpCollective("the warp barrier", nullptr, [](void *const[32]) {});
  ++currentThread().warpEpoch;
}

void copyAsync16(void *shared, const void *source, int bytes) {
  const Unwatched unwatched;
  if (bytes < 0 || bytes > 16)
    return fail(fmt::format("cp.async of {} bytes", bytes));
  if (reinterpret_cast<uintptr_t>(source) % 16 != 0 && bytes > 0)
    return fail(fmt::format("cp.async from a source that is not 16-byte aligned: {}",
                            describeAddress(source)));
  PendingCopy copy;
  if (!startCopy(shared, copy.offset))
    return;
  if (bytes > 0) {
    touch(source, size_t(bytes), false);
    if (machine->report.errors.empty())
      std::memcpy(copy.data, source, size_t(bytes));
  }
  currentThread().open.push_back(copy);
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
  const size_t keep = size_t(pending);
  while (thread.groups.size() > keep) {
    for (const PendingCopy &copy : thread.groups.front())
      landCopy(copy);
    thread.groups.erase(thread.groups.begin());
  }
}

} // namespace gptqc::sim
