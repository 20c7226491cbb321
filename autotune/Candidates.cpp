// Ranks by the cost model; the model is good to about a factor of two, hence the hints and
// families.
#include "autotune/Candidates.h"

#include <algorithm>
#include <set>

#include "compiler/schedule/CostModel.h"

namespace gptqc {
namespace {

constexpr double kFallsBehind = 1.1; // of a schedule, from the point of its record to another
constexpr double kFamilyFactor = 4;  // a family that the model sees further behind is not measured

struct Ranked {
  Schedule schedule;
  double cycles;
};

/// How much slower than its own choice the model sees a schedule.
double behindChoice(const Descriptor &point, const Target &target, const Schedule &schedule) {
  const Result<Schedule> choice = CostModel::choose(point, target);
  return choice.ok() ? CostModel::cycles(point, target, schedule) /
                           CostModel::cycles(point, target, *choice)
                     : 1;
}

/// Whether a schedule is about as fast as the best of its own point: where that one is not legal, a
/// slow one of the same point is worth less than a good one of another.
bool nearlyBest(const Records &records, const TuningRecord &record) {
  return record.microseconds <=
         kFallsBehind * records.best(record.descriptor, record.target)->microseconds;
}

} // namespace

std::vector<Schedule> tuningCandidates(const Descriptor &point, const Target &target,
                                       const std::vector<Schedule> &hints, int count) {
  std::vector<Ranked> ranked;
  for (const Schedule &schedule : ScheduleSpace::enumerate(point, target))
    ranked.push_back({schedule, CostModel::cycles(point, target, schedule)});
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const Ranked &a, const Ranked &b) { return a.cycles < b.cycles; });
  std::vector<Schedule> chosen;
  const auto take = [&](const Schedule &schedule) {
    if (int(chosen.size()) < count &&
        std::find(chosen.begin(), chosen.end(), schedule) == chosen.end())
      chosen.push_back(schedule);
  };
  if (const Result<Schedule> choice = CostModel::choose(point, target); choice.ok())
    take(*choice);
  for (const Schedule &hint : hints)
    if (ScheduleSpace::check(point, target, hint).ok())
      take(hint);
  std::set<Family> families;
  for (const Ranked &candidate : ranked)
    if (candidate.cycles <= kFamilyFactor * ranked.front().cycles &&
        families.insert(candidate.schedule.family).second)
      take(candidate.schedule);
  for (const Ranked &candidate : ranked)
    take(candidate.schedule);
  return chosen;
}

const TuningRecord *nearestLegal(const Records &records, const Descriptor &point,
                                 const Target &target) {
  const TuningRecord *found = records.nearest(point, target, [&](const TuningRecord &record) {
    return ScheduleSpace::check(point, target, record.schedule).ok() && nearlyBest(records, record);
  });
  if (found && behindChoice(point, target, found->schedule) >
                   kFallsBehind * behindChoice(found->descriptor, target, found->schedule))
    return nullptr;
  return found;
}

} // namespace gptqc
