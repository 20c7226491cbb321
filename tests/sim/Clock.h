// Vector clocks: what a thread knows to have happened. Copies share their storage until one
// changes.
#ifndef GPTQC_TESTS_SIM_CLOCK_H
#define GPTQC_TESTS_SIM_CLOCK_H

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace gptqc::sim {

/// A time for each component of a cluster: its threads, then the engines that work for them
/// (mbarriers, warpgroups, bulk stores). Everything a component did up to that time is known.
class Clock {
public:
  uint32_t at(size_t who) const { return times && who < times->size() ? (*times)[who] : 0; }
  void raise(size_t who, uint32_t time);
  void join(const Clock &other);
  /// Equal storage, hence equal times.
  bool same(const Clock &other) const { return times == other.times; }

private:
  std::shared_ptr<std::vector<uint32_t>> times;
};

/// Clocks of other clusters of the grid, by cluster number.
class GridClock {
public:
  uint32_t at(int cluster, size_t who) const;
  Clock of(int cluster) const;
  void join(const GridClock &other);
  void join(int cluster, const Clock &clock);

private:
  std::shared_ptr<std::map<int, Clock>> clocks;
};

/// What a thread knows, and what it may pass on. Barriers hand all of it over.
struct View {
  Clock known;          ///< happened before this thread's next access
  Clock proxy;          ///< generic accesses that a proxy fence made visible to the async proxy
  Clock mbarrierInit;   ///< the same by fence.mbarrier_init, for initializations alone
  Clock device;         ///< known at the last device fence: what an atomic passes on
  GridClock grid;       ///< the same as known, of other clusters
  GridClock deviceGrid; ///< grid at the last device fence
  GridClock observed;   ///< seen by atomics, known from the next device fence on

  void join(const View &other);
};

/// Collects the views of those who arrive.
class Gather {
public:
  /// Adds a thread's view, with its own accesses up to `time`.
  void add(const View &view, size_t who, uint32_t time);
  /// Returns all that was added and starts anew.
  View take();
  void raise(size_t who, uint32_t time) { sum.known.raise(who, time); }
  /// Adds initializations of mbarriers alone, of one who arrives without releasing.
  void addInits(const Clock &inits) { sum.mbarrierInit.join(inits); }

private:
  View sum;
  Clock last; ///< joined last; threads of a block mostly share one
};

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_CLOCK_H
