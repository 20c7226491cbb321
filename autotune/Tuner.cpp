// Round-robin sampling with early dropping: all kernels see the same clocks and temperature, and
// time goes to those that may still win.
#include "autotune/Tuner.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>

#include "autotune/Candidates.h"
#include "runtime/core/Parallel.h"
#include "runtime/core/Statistics.h"

namespace gptqc {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kRounds = 15, kFirstRounds = 3;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// A kernel slower than the best by more than this after so many rounds is out.
double dropFactor(size_t rounds) { return rounds < 6 ? 1.3 : rounds < 10 ? 1.1 : 1.04; }

} // namespace

struct Tuner::Candidate {
  Schedule schedule;
  Result<KernelImage> image = Status(Code::Internal, "not compiled");
  int kernel = -1; ///< of the measurer; -1: not measured
  bool running = false;
  std::vector<double> samples;
};

struct Tuner::Prepared {
  Descriptor point;
  std::vector<Candidate> candidates; ///< the cost model's choice first
};

double TunedPoint::gain() const {
  for (const TuningRecord &record : records)
    if (record.schedule == defaultSchedule)
      return record.microseconds / records.front().microseconds;
  return 0;
}

Tuner::Prepared Tuner::prepare(const Descriptor &point) const {
  Prepared prepared;
  prepared.point = point.canonical();
  const std::vector<Schedule> hints =
      options.hints ? options.hints(prepared.point) : std::vector<Schedule>();
  for (const Schedule &schedule :
       tuningCandidates(prepared.point, measurer.target(), hints, options.candidates)) {
    prepared.candidates.emplace_back();
    prepared.candidates.back().schedule = schedule;
  }
  parallelFor(int64_t(prepared.candidates.size()), resolveThreads(options.threads),
              [&](int64_t i, int) {
                Candidate &candidate = prepared.candidates[size_t(i)];
                candidate.image = compile(prepared.point, candidate.schedule);
              });
  return prepared;
}

/// Loads and checks what was compiled. Only a DeviceError is returned.
Status Tuner::load(Prepared &prepared, TunedPoint &point) {
  for (Candidate &candidate : prepared.candidates) {
    Status status = candidate.image.status();
    if (status.ok()) {
      const Result<int> added = measurer.add(*candidate.image);
      status = added.status();
      if (status.ok()) {
        candidate.kernel = *added;
        candidate.running = true;
        continue;
      }
    }
    if (status.code() == Code::DeviceError)
      return status;
    point.refused.push_back({candidate.schedule, status.message()});
    if (status.code() != Code::Unsupported && status.code() != Code::CompileFailed &&
        point.error.ok())
      point.error = status.withContext(
          fmt::format("`{}` with {}", prepared.point.print(), candidate.schedule.print()));
  }
  return Status();
}

Status Tuner::sampleInTurn(Prepared &prepared) {
  const Clock::time_point start = Clock::now();
  for (size_t round = 1; round <= kRounds; ++round) {
    double best = INFINITY;
    for (Candidate &candidate : prepared.candidates) {
      if (!candidate.running)
        continue;
      GPTQC_ASSIGN(const double time, measurer.sample(candidate.kernel));
      candidate.samples.push_back(time);
      best = std::min(best, median(candidate.samples));
    }
    if (round < kFirstRounds)
      continue;
    if (secondsSince(start) > options.secondsPerPoint)
      break;
    for (Candidate &candidate : prepared.candidates)
      if (candidate.running && median(candidate.samples) > dropFactor(round) * best)
        candidate.running = false;
  }
  return Status();
}

Result<TunedPoint> Tuner::measure(Prepared &prepared) {
  TunedPoint point;
  point.descriptor = prepared.point;
  if (!prepared.candidates.empty())
    point.defaultSchedule = prepared.candidates.front().schedule;
  if (const Status opened = measurer.open(prepared.point); !opened.ok()) {
    if (opened.code() == Code::DeviceError)
      return opened;
    point.error = opened.withContext(fmt::format("`{}`", prepared.point.print()));
    return point;
  }
  GPTQC_TRY(load(prepared, point));
  GPTQC_TRY(sampleInTurn(prepared));
  for (const Candidate &candidate : prepared.candidates) {
    if (candidate.samples.empty())
      continue;
    std::vector<double> sorted = candidate.samples;
    std::sort(sorted.begin(), sorted.end());
    TuningRecord record;
    record.descriptor = prepared.point;
    record.target = measurer.target();
    record.schedule = candidate.schedule;
    // Nanoseconds and thousandths: what follows is noise, and records are read by people.
    record.microseconds = std::max(1e-3, std::round(1e3 * quantile(sorted, 0.5)) / 1e3);
    const double range = quantile(sorted, 0.75) - quantile(sorted, 0.25);
    record.spread = std::round(1e3 * range / record.microseconds) / 1e3;
    record.method = fmt::format("{}{}", measurer.method(), sorted.size());
    record.build = options.build;
    point.records.push_back(std::move(record));
  }
  std::stable_sort(
      point.records.begin(), point.records.end(),
      [](const TuningRecord &a, const TuningRecord &b) { return a.microseconds < b.microseconds; });
  if (point.records.empty() && point.error.ok())
    point.error = makeError(Code::Unsupported, "`{}`: no schedule could be measured, the first: {}",
                            prepared.point.print(),
                            point.refused.empty() ? "none is legal" : point.refused.front().reason);
  return point;
}

Result<size_t> Tuner::run(const std::vector<Descriptor> &points,
                          const std::function<Status(const TunedPoint &)> &report) {
  const Clock::time_point start = Clock::now();
  const auto begin = [&](size_t i) {
    // With both policies a system that has no thread left computes it in get().
    return std::async(std::launch::async | std::launch::deferred,
                      [this, &points, i] { return prepare(points[i]); });
  };
  if (points.empty())
    return size_t(0);
  std::future<Prepared> next = begin(0);
  for (size_t i = 0; i < points.size(); ++i) {
    Prepared prepared = next.get();
    const bool last = i + 1 == points.size() ||
                      (options.budgetSeconds > 0 && secondsSince(start) > options.budgetSeconds);
    if (!last)
      next = begin(i + 1);
    GPTQC_ASSIGN(const TunedPoint point, measure(prepared));
    GPTQC_TRY(report(point));
    if (last)
      return i + 1;
  }
  return points.size();
}

} // namespace gptqc
