// Happens-before rules of single bytes.
#include "tests/sim/Shadow.h"

#include <vector>

namespace gptqc::sim {

namespace {

/// Reads beyond the first of a byte, as lists; element 0 is not used.
struct ReadNode {
  Stamp stamp;
  uint32_t next = 0;
};
std::vector<ReadNode> nodes;
uint32_t freeNodes = 0;

uint32_t newNode(Stamp stamp, uint32_t next) {
  uint32_t node = freeNodes;
  if (node != 0) {
    freeNodes = nodes[node].next;
  } else {
    node = uint32_t(nodes.size());
    nodes.emplace_back();
  }
  nodes[node] = {stamp, next};
  return node;
}

uint32_t dropNode(uint32_t node) {
  const uint32_t next = nodes[node].next;
  nodes[node].next = freeNodes;
  freeNodes = node;
  return next;
}

bool sameActor(Stamp a, Stamp b) { return a.who == b.who && a.cluster == b.cluster; }

/// The async proxy sees what it wrote itself, and generic writes in front of a proxy fence.
bool visibleToAsync(const Thread &thread, Stamp write) {
  return write.time == 0 || int(write.who) >= machine->threads() ||
         thread.view.proxy.at(write.who) >= write.time;
}

} // namespace

void shadowStart() {
  nodes.assign(1, {});
  freeNodes = 0;
}

bool ordered(const Thread &thread, Stamp stamp) {
  if (stamp.time == 0)
    return true;
  if (int(stamp.cluster) != machine->cluster)
    return thread.view.grid.at(stamp.cluster, stamp.who) >= stamp.time;
  if (int(stamp.who) == thread.id)
    return true;
  const size_t parts = machine->partsOf(stamp.who);
  for (size_t i = 0; i < parts; ++i)
    if (thread.view.known.at(stamp.who + i) < stamp.time)
      return false;
  return true;
}

const char *readProblem(const Shadow &byte, const Thread &thread, Proxy proxy, bool needsWrite) {
  if (byte.state == InFlight)
    return "reads bytes of an asynchronous copy that nobody waited for";
  if (byte.state == MbarrierByte)
    return "reads an mbarrier";
  if (needsWrite && byte.write.time == 0)
    return "reads uninitialized shared memory";
  if (!ordered(thread, byte.write))
    return int(byte.write.who) >= machine->threads()
               ? "reads bytes of an asynchronous copy that it did not wait for"
               : "reads what another thread wrote without a barrier between";
  if (proxy == Proxy::Async && !visibleToAsync(thread, byte.write))
    return "reads by the async proxy what a thread wrote without a proxy fence between";
  return nullptr;
}

const char *writeProblem(const Shadow &byte, const Thread &thread, Proxy proxy) {
  if (byte.state == InFlight)
    return "overwrites an asynchronous copy in flight";
  if (byte.state == MbarrierByte)
    return "overwrites an mbarrier";
  if (!ordered(thread, byte.write))
    return "races with a write of another thread (no barrier between)";
  if (proxy == Proxy::Async && !visibleToAsync(thread, byte.write))
    return "overwrites by the async proxy what a thread wrote without a proxy fence between";
  bool readsOrdered = ordered(thread, byte.read);
  for (uint32_t node = byte.more; node != 0 && readsOrdered; node = nodes[node].next)
    readsOrdered = ordered(thread, nodes[node].stamp);
  return readsOrdered ? nullptr : "overwrites what another thread reads without a barrier between";
}

void noteRead(Shadow &byte, const Thread &thread, Stamp stamp) {
  // Who is ordered behind a thread's read is ordered behind all that the thread knew. An engine
  // hands nothing on but its own time.
  const auto covered = [&](Stamp earlier) {
    return earlier.time == 0 || sameActor(earlier, stamp) ||
           (int(stamp.who) == thread.id && ordered(thread, earlier));
  };
  if (sameActor(byte.read, stamp) || (byte.more == 0 && covered(byte.read))) {
    byte.read = stamp;
    return;
  }
  if (int(stamp.who) != thread.id) { // an engine's: in place of its own
    uint32_t node = byte.more;
    while (node != 0 && !sameActor(nodes[node].stamp, stamp))
      node = nodes[node].next;
    if (node != 0)
      nodes[node].stamp = stamp;
    else
      byte.more = newNode(stamp, byte.more);
    return;
  }
  uint32_t kept = 0;
  for (uint32_t node = byte.more; node != 0;) {
    if (covered(nodes[node].stamp)) {
      node = dropNode(node);
      continue;
    }
    const uint32_t next = nodes[node].next;
    nodes[node].next = kept;
    kept = node;
    node = next;
  }
  byte.more = newNode(stamp, kept);
}

void noteWrite(Shadow &byte, Stamp stamp) {
  for (uint32_t node = byte.more; node != 0;)
    node = dropNode(node);
  byte.more = 0;
  byte.read = Stamp();
  byte.write = stamp;
  if (byte.state == AtomicByte)
    byte.state = Plain;
}

} // namespace gptqc::sim
