// GraphTimer: times kernels by replaying CUDA graphs of many launches, several workloads in turn.
#ifndef GPTQC_CLI_BENCH_GRAPHTIMER_H
#define GPTQC_CLI_BENCH_GRAPHTIMER_H

#include <functional>
#include <vector>

#include "cli/bench/BenchMath.h"
#include "runtime/device/Stream.h"

namespace gptqc::cli {

/// Something to time: launch(i) puts one launch on the stream, which reads copy i of its data.
struct Workload {
  int copies = 1;
  std::function<Status(int copy)> launch;
};

/// Some launches of a workload, recorded.
struct TimedGraph {
  Graph graph;
  int launches = 1;
};

/// Borrows the stream.
class GraphTimer {
public:
  GraphTimer(const Stream &stream, double budgetMilliseconds)
      : stream(stream), budget(budgetMilliseconds) {}

  /// Microseconds of one launch, from a short graph; good to a few percent.
  Result<double> estimate(const Workload &workload) const;

  /// Times all workloads alternating, replay by replay, so that they see the same clocks. Each gets
  /// about the budget of timed work in 5 to 25 replays; copies rotate from launch to launch.
  /// Microseconds of one launch.
  Result<std::vector<Timing>> measure(const std::vector<Workload> &workloads) const;

  /// Records as many launches as a fifteenth of the budget takes, and runs them once. What the
  /// workload uses must outlive the graph.
  Result<TimedGraph> prepare(const Workload &workload) const;
  /// Microseconds of one launch, the mean of one replay; waits for the stream.
  Result<double> sample(const TimedGraph &graph) const;

private:
  Result<Graph> record(const Workload &workload, int launches) const;
  Result<double> timeOnce(const Graph &graph) const;

  const Stream &stream;
  double budget;
};

} // namespace gptqc::cli

#endif // GPTQC_CLI_BENCH_GRAPHTIMER_H
