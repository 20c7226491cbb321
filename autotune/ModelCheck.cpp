// Groups records by point and compares the model's choice with the fastest.
#include "autotune/ModelCheck.h"

#include <algorithm>
#include <map>

#include "compiler/schedule/CostModel.h"

namespace gptqc {
namespace {

/// The record that stands in for a choice that was not measured.
const TuningRecord *favorite(const MeasuredPoint &point) {
  const TuningRecord *found = nullptr;
  double least = 0;
  for (const TuningRecord *record : point.tried) {
    if (!ScheduleSpace::check(point.descriptor, point.target, record->schedule).ok())
      continue;
    const double cycles = CostModel::cycles(point.descriptor, point.target, record->schedule);
    if (found == nullptr || cycles < least) {
      found = record;
      least = cycles;
    }
  }
  return found;
}

std::string lineOf(const MeasuredPoint &point, const ModelVerdict &verdict) {
  if (verdict.record == nullptr)
    return fmt::format("{}: {} was not measured, and nothing that was is legal today\n",
                       point.descriptor.print(), verdict.choice.print());
  const std::string standIn = verdict.measured ? ""
                                               : fmt::format(" (not measured; in its place: {})",
                                                             verdict.record->schedule.print());
  const std::string best = verdict.ratio > kModelTolerance
                               ? fmt::format(", best: {}", point.best().schedule.print())
                               : "";
  return fmt::format("{:<58}{:>10.2f}{:>10.2f}{:>7.2f}  {}{}{}\n", point.descriptor.print(),
                     verdict.record->microseconds, point.best().microseconds, verdict.ratio,
                     verdict.choice.print(), standIn, best);
}

} // namespace

const TuningRecord *MeasuredPoint::find(const Schedule &schedule) const {
  const auto found = std::find_if(tried.begin(), tried.end(), [&](const TuningRecord *record) {
    return record->schedule == schedule;
  });
  return found == tried.end() ? nullptr : *found;
}

std::vector<MeasuredPoint> measuredPoints(const Records &records) {
  std::map<std::string, std::map<std::string, const TuningRecord *>> sorted;
  for (const TuningRecord &record : records.all())
    sorted[record.target.print() + " | " + record.descriptor.print()][record.schedule.print()] =
        &record;
  std::vector<MeasuredPoint> points;
  for (const auto &[name, schedules] : sorted) {
    MeasuredPoint point;
    for (const auto &[schedule, record] : schedules)
      point.tried.push_back(record);
    std::stable_sort(point.tried.begin(), point.tried.end(),
                     [](const TuningRecord *a, const TuningRecord *b) {
                       return a->microseconds < b->microseconds;
                     });
    point.descriptor = point.best().descriptor;
    point.target = point.best().target;
    points.push_back(std::move(point));
  }
  return points;
}

ModelVerdict judgeModel(const MeasuredPoint &point) {
  ModelVerdict verdict;
  verdict.choice = *CostModel::choose(point.descriptor, point.target); // records are validated
  verdict.record = point.find(verdict.choice);
  verdict.measured = verdict.record != nullptr;
  if (!verdict.measured)
    verdict.record = favorite(point);
  if (verdict.record != nullptr)
    verdict.ratio = verdict.record->microseconds / point.best().microseconds;
  return verdict;
}

ModelReport checkModel(const Records &records) {
  ModelReport report;
  int judged = 0, within = 0, unmeasured = 0;
  double worst = 0;
  std::string worstPoint, target;
  for (const MeasuredPoint &point : measuredPoints(records)) {
    const ModelVerdict verdict = judgeModel(point);
    if (point.target.print() != target) {
      target = point.target.print();
      report.text += fmt::format("{:<58}{:>10}{:>10}{:>7}  {}\n", target, "default us", "best us",
                                 "ratio", "default schedule");
    }
    report.text += lineOf(point, verdict);
    unmeasured += verdict.measured ? 0 : 1;
    if (verdict.record == nullptr)
      continue;
    ++judged;
    within += verdict.ratio <= kModelTolerance ? 1 : 0;
    if (verdict.ratio > worst) {
      worst = verdict.ratio;
      worstPoint = point.descriptor.print();
    }
  }
  if (judged == 0) {
    report.text += "no point can be judged\n";
    return report;
  }
  report.judged = judged;
  report.share = double(within) / judged;
  report.text += fmt::format("{} of {} points ({:.1f} %) are within {:.0f} % of the best measured, "
                             "{} defaults were not measured; the worst, {:.2f} x: {}\n",
                             within, judged, 100 * report.share, 100 * (kModelTolerance - 1),
                             unmeasured, worst, worstPoint);
  return report;
}

} // namespace gptqc
