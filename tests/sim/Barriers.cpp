// Barriers of blocks, warps and clusters, fences, and atomics: what hands knowledge on.
#include <fmt/format.h>

#include "tests/sim/Memory.h"
#include "tests/sim/State.h"

namespace gptqc::sim {

namespace {

/// Adds the thread's view to what a barrier hands on.
void release(Gather &gather, Thread &thread) {
  gather.add(thread.view, size_t(thread.id), thread.now);
  ++thread.now;
}

void complete(Barrier &barrier) {
  barrier.arrived = 0;
  barrier.expected = 0;
  barrier.done = barrier.gather.take();
  ++barrier.generation;
}

/// All that the thread knows, with its own accesses so far.
Clock snapshot(Thread &thread) {
  Clock clock = thread.view.known;
  clock.raise(size_t(thread.id), thread.now);
  ++thread.now;
  return clock;
}

std::string arrivals(const void *on) {
  const auto *barrier = static_cast<const Barrier *>(on);
  if (barrier->id == 0)
    return fmt::format(" ({} arrived)", barrier->arrived);
  return fmt::format(" {} ({} of {} arrived)", barrier->id, barrier->arrived, barrier->expected);
}

/// Arrives at a barrier of the block; true when that completed it.
bool arriveNamed(Thread &thread, int id, int threads, const void *site) {
  if (id < 1 || id > 15 || threads <= 0 || threads % 32 != 0) {
    fail(fmt::format("{}: there is no barrier {} of {} threads", who(thread), id, threads), site);
    return true;
  }
  Barrier &barrier = thread.block->barriers[id];
  if (barrier.arrived > 0 && barrier.expected != threads)
    fail(fmt::format("{}: barrier {} of {} threads, while others wait for {}", who(thread), id,
                     threads, barrier.expected),
         site);
  barrier.expected = threads;
  release(barrier.gather, thread);
  if (++barrier.arrived < threads)
    return false;
  complete(barrier);
  return true;
}

void arriveCluster(Thread &thread, bool releases, const void *site) {
  Barrier &barrier = machine->clusterBarrier;
  ++machine->report.counters.barriers;
  if (thread.clusterArrived)
    fail(fmt::format("{}: arrives at the cluster barrier twice without a wait", who(thread)), site);
  thread.clusterArrived = true;
  thread.clusterGeneration = barrier.generation;
  if (releases)
    release(barrier.gather, thread);
  else
    barrier.gather.addInits(thread.view.mbarrierInit);
  if (!releases && thread.sent)
    fail(fmt::format("{}: arrives at the cluster barrier without releasing what it sent to other "
                     "blocks, which may end before it lands",
                     who(thread)),
         site);
  thread.sent = false;
  if (++barrier.arrived == machine->live)
    complete(barrier);
}

} // namespace

void blockBarrier() {
  const Unwatched unwatched;
  Thread &thread = currentThread();
  Barrier &barrier = thread.block->barriers[0];
  ++machine->report.counters.barriers;
  const uint64_t generation = barrier.generation;
  release(barrier.gather, thread);
  if (++barrier.arrived == thread.block->live)
    complete(barrier);
  else
    waitWhile({&barrier.generation, generation, "the block barrier", arrivals, &barrier});
  thread.view.join(barrier.done);
}

void namedBarrier(int id, int threads) {
  const Unwatched unwatched;
  Thread &thread = currentThread();
  ++machine->report.counters.barriers;
  const uint64_t generation = thread.block->barriers[id & 15].generation;
  Barrier &barrier = thread.block->barriers[id & 15];
  if (!arriveNamed(thread, id, threads, __builtin_return_address(0)))
    waitWhile({&barrier.generation, generation, "barrier", arrivals, &barrier});
  thread.view.join(barrier.done);
}

void namedArrive(int id, int threads) {
  const Unwatched unwatched;
  ++machine->report.counters.barriers;
  arriveNamed(currentThread(), id, threads, __builtin_return_address(0));
}

void clusterArrive() {
  const Unwatched unwatched;
  arriveCluster(currentThread(), true, __builtin_return_address(0));
}

void clusterArriveRelaxed() {
  const Unwatched unwatched;
  arriveCluster(currentThread(), false, __builtin_return_address(0));
}

void clusterWait() {
  const Unwatched unwatched;
  Thread &thread = currentThread();
  Barrier &barrier = machine->clusterBarrier;
  if (!thread.clusterArrived)
    fail(fmt::format("{}: waits for the cluster barrier without having arrived", who(thread)),
         __builtin_return_address(0));
  thread.clusterArrived = false;
  if (barrier.generation == thread.clusterGeneration)
    waitWhile({&barrier.generation, barrier.generation, "the cluster barrier", arrivals, &barrier});
  thread.view.join(barrier.done);
}

void leaveBarriers(BlockState &block) {
  // Threads that left count as arrived.
  if (block.live > 0 && block.barriers[0].arrived == block.live)
    complete(block.barriers[0]);
  if (machine->live > 0 && machine->clusterBarrier.arrived == machine->live)
    complete(machine->clusterBarrier);
}

void checkBlockEnd(BlockState &block) {
  const std::string name =
      fmt::format("block ({},{},{})", block.index.x, block.index.y, block.index.z);
  for (const Barrier &barrier : block.barriers)
    if (barrier.arrived > 0)
      fail(fmt::format("{}: ends with {} of {} arrivals at barrier {}", name, barrier.arrived,
                       barrier.expected, barrier.id));
  for (const PendingLoad &load : machine->loads)
    if (load.barrier->block == &block)
      return fail(fmt::format("{}: ends with copies to its shared memory in flight", name));
}

void enter(Collective &collective, int lanes, int lane, const char *name, void *operand,
           void (*body)(Collective &collective)) {
  Thread &thread = currentThread();
  if (collective.arrived > 0 && collective.operation != name)
    fail(fmt::format("{}: {} while other lanes are in {}", who(thread), name, collective.operation),
         collective.site);
  collective.operation = name;
  collective.operands[lane] = operand;
  collective.threads[lane] = &thread;
  const uint64_t generation = collective.generation;
  if (++collective.arrived == lanes) {
    ++machine->report.counters.collectives;
    body(collective);
    collective.arrived = 0;
    ++collective.generation;
    return;
  }
  waitWhile({&collective.generation, generation, name, nullptr, nullptr});
}

void warpBarrier() {
  const Unwatched unwatched;
  Thread &thread = currentThread();
  const int lane = int(thread.index.x % 32);
  Collective &warp = thread.block->warps[thread.index.x / 32];
  static const char *const name = "the warp barrier";
  release(warp.gather, thread);
  enter(warp, 32, lane, name, nullptr,
        [](Collective &collective) { collective.done = collective.gather.take(); });
  thread.view.join(warp.done);
}

uint32_t atomicAdd(uint32_t *address, uint32_t value) {
  const Unwatched unwatched;
  Thread &thread = currentThread();
  if (!accessAtomic(thread, address, __builtin_return_address(0)))
    return 0;
  GridClock &place = machine->atomics[address];
  View &view = thread.view;
  view.observed.join(place);
  place.join(view.deviceGrid);
  place.join(machine->cluster, view.device);
  ++thread.now;
  const uint32_t before = *address;
  *address = before + value;
  return before;
}

void fenceDevice() {
  const Unwatched unwatched;
  Thread &thread = currentThread();
  View &view = thread.view;
  view.grid.join(view.observed);
  view.known.join(view.observed.of(machine->cluster));
  view.device.join(snapshot(thread));
  view.deviceGrid.join(view.grid);
}

void fenceMbarrierInit() {
  const Unwatched unwatched;
  Thread &thread = currentThread();
  thread.view.mbarrierInit.join(snapshot(thread));
}

void fenceProxyAsync() {
  const Unwatched unwatched;
  Thread &thread = currentThread();
  thread.view.proxy.join(snapshot(thread));
}

void gridWait() {
  const Unwatched unwatched;
  currentThread().view.known.raise(size_t(machine->predecessor()), 1);
}

void gridLaunchDependents() {
  const Unwatched unwatched;
  Thread &thread = currentThread();
  if (thread.view.known.at(size_t(machine->predecessor())) == 0)
    fail(fmt::format("{}: lets the next kernel start without having waited for the one in front",
                     who(thread)),
         __builtin_return_address(0));
}

} // namespace gptqc::sim
