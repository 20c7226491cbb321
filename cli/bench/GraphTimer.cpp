// Recording and replaying graphs. Everything is queued before anything is waited for: the GPU never
// idles between replays.
#include "cli/bench/GraphTimer.h"

#include <algorithm>

namespace gptqc::cli {
namespace {

constexpr int kEstimateLaunches = 4;

struct Span {
  size_t workload = 0;
  Event begin, end;
};

} // namespace

Result<Graph> GraphTimer::record(const Workload &workload, int launches) const {
  return Graph::capture(stream, [&]() -> Status {
    for (int i = 0; i < launches; ++i)
      GPTQC_TRY(workload.launch(i % workload.copies));
    return {};
  });
}

Result<double> GraphTimer::timeOnce(const Graph &graph) const {
  GPTQC_ASSIGN(Event begin, Event::create(stream.device()));
  GPTQC_ASSIGN(Event end, Event::create(stream.device()));
  GPTQC_TRY(begin.record(stream));
  GPTQC_TRY(graph.launch(stream));
  GPTQC_TRY(end.record(stream));
  GPTQC_TRY(stream.synchronize());
  GPTQC_ASSIGN(const float milliseconds, end.millisecondsSince(begin));
  return 1000.0 * milliseconds;
}

Result<double> GraphTimer::estimate(const Workload &workload) const {
  const int launches = std::max(workload.copies, kEstimateLaunches);
  GPTQC_ASSIGN(const Graph graph, record(workload, launches));
  GPTQC_TRY(graph.launch(stream)); // warm-up: code upload, clocks
  GPTQC_ASSIGN(const double first, timeOnce(graph));
  GPTQC_ASSIGN(const double second, timeOnce(graph));
  return std::min(first, second) / launches;
}

Result<TimedGraph> GraphTimer::prepare(const Workload &workload) const {
  GPTQC_ASSIGN(const double guess, estimate(workload));
  const int launches = planReplays(guess, budget, workload.copies).launches;
  GPTQC_ASSIGN(Graph graph, record(workload, launches));
  GPTQC_TRY(graph.launch(stream)); // warm-up
  GPTQC_TRY(stream.synchronize());
  return TimedGraph{std::move(graph), launches};
}

Result<double> GraphTimer::sample(const TimedGraph &timed) const {
  GPTQC_ASSIGN(const double microseconds, timeOnce(timed.graph));
  return microseconds / timed.launches;
}

Result<std::vector<Timing>> GraphTimer::measure(const std::vector<Workload> &workloads) const {
  std::vector<ReplayPlan> plans;
  std::vector<Graph> graphs;
  int rounds = 0;
  for (const Workload &workload : workloads) {
    GPTQC_ASSIGN(const double guess, estimate(workload));
    plans.push_back(planReplays(guess, budget, workload.copies));
    rounds = std::max(rounds, plans.back().replays);
    GPTQC_ASSIGN(Graph graph, record(workload, plans.back().launches));
    graphs.push_back(std::move(graph));
  }
  for (const Graph &graph : graphs)
    GPTQC_TRY(graph.launch(stream)); // warm-up

  std::vector<Span> spans;
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < graphs.size(); ++i) {
      if (round >= plans[i].replays)
        continue;
      GPTQC_ASSIGN(Event begin, Event::create(stream.device()));
      GPTQC_ASSIGN(Event end, Event::create(stream.device()));
      GPTQC_TRY(begin.record(stream));
      GPTQC_TRY(graphs[i].launch(stream));
      GPTQC_TRY(end.record(stream));
      spans.push_back({i, std::move(begin), std::move(end)});
    }
  }
  GPTQC_TRY(stream.synchronize());

  std::vector<std::vector<double>> samples(workloads.size());
  for (const Span &span : spans) {
    GPTQC_ASSIGN(const float milliseconds, span.end.millisecondsSince(span.begin));
    samples[span.workload].push_back(1000.0 * milliseconds / plans[span.workload].launches);
  }
  std::vector<Timing> timings;
  for (std::vector<double> &values : samples)
    timings.push_back(summarize(std::move(values)));
  return timings;
}

} // namespace gptqc::cli
