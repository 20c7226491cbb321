// Joins of vector clocks.
#include "tests/sim/Clock.h"

#include <algorithm>

namespace gptqc::sim {

void Clock::raise(size_t who, uint32_t time) {
  if (at(who) >= time)
    return;
  if (!times)
    times = std::make_shared<std::vector<uint32_t>>();
  else if (times.use_count() > 1)
    times = std::make_shared<std::vector<uint32_t>>(*times);
  if (times->size() <= who)
    times->resize(who + 1);
  (*times)[who] = time;
}

void Clock::join(const Clock &other) {
  if (!other.times || times == other.times)
    return;
  if (!times) {
    times = other.times;
    return;
  }
  // The threads of a warp join the same two clocks one after the other: keep the last result.
  static std::shared_ptr<std::vector<uint32_t>> left, right, result;
  if (times != left || other.times != right) {
    std::vector<uint32_t> sum = *times;
    sum.resize(std::max(sum.size(), other.times->size()));
    for (size_t i = 0; i < other.times->size(); ++i)
      sum[i] = std::max(sum[i], (*other.times)[i]);
    left = times;
    right = other.times;
    result = sum == *right  ? right
             : sum == *left ? left
                            : std::make_shared<std::vector<uint32_t>>(std::move(sum));
  }
  times = result;
}

uint32_t GridClock::at(int cluster, size_t who) const {
  if (!clocks)
    return 0;
  const auto found = clocks->find(cluster);
  return found == clocks->end() ? 0 : found->second.at(who);
}

Clock GridClock::of(int cluster) const {
  if (!clocks)
    return Clock();
  const auto found = clocks->find(cluster);
  return found == clocks->end() ? Clock() : found->second;
}

void GridClock::join(int cluster, const Clock &clock) {
  clocks = clocks ? std::make_shared<std::map<int, Clock>>(*clocks)
                  : std::make_shared<std::map<int, Clock>>();
  (*clocks)[cluster].join(clock);
}

void GridClock::join(const GridClock &other) {
  if (!other.clocks || clocks == other.clocks)
    return;
  if (!clocks) {
    clocks = other.clocks;
    return;
  }
  auto sum = std::make_shared<std::map<int, Clock>>(*clocks);
  for (const auto &[cluster, clock] : *other.clocks)
    (*sum)[cluster].join(clock);
  clocks = std::move(sum);
}

void View::join(const View &other) {
  known.join(other.known);
  proxy.join(other.proxy);
  mbarrierInit.join(other.mbarrierInit);
  device.join(other.device);
  grid.join(other.grid);
  deviceGrid.join(other.deviceGrid);
  observed.join(other.observed);
}

void Gather::add(const View &view, size_t who, uint32_t time) {
  if (!last.same(view.known))
    sum.known.join(view.known);
  last = view.known;
  sum.known.raise(who, time);
  View rest = view;
  rest.known = Clock();
  sum.join(rest);
}

View Gather::take() {
  View result = std::move(sum);
  sum = View();
  last = Clock();
  return result;
}

} // namespace gptqc::sim
