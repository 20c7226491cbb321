// Looks up what each measured point would take from other records, and compares times.
#include "autotune/TransferCheck.h"

#include <cmath>
#include <map>

#include "autotune/Candidates.h"

namespace gptqc {
namespace {

std::string timeOf(const TuningRecord *record) {
  return record ? fmt::format("{:>11.2f}", record->microseconds) : fmt::format("{:>11}", "-");
}

std::string ratioText(double ratio) {
  return ratio > 0 ? fmt::format("{:>9.2f}", ratio) : fmt::format("{:>9}", "-");
}

std::string lineOf(const MeasuredPoint &point, const TransferVerdict &verdict) {
  const std::string origin = verdict.source
                                 ? fmt::format("{} of {}", verdict.source->schedule.print(),
                                               verdict.source->descriptor.print())
                                 : "no record is near: the default";
  return fmt::format("{:<70}{}{}{}{}{}  {}\n", point.descriptor.print(), timeOf(verdict.taken),
                     timeOf(verdict.standard), timeOf(&point.best()),
                     ratioText(verdict.over(&point.best())),
                     ratioText(verdict.over(verdict.standard)), origin);
}

/// Sums over the points.
struct Totals {
  int points = 0, judged = 0, within = 0, unmeasured = 0, far = 0, compared = 0;
  double worst = 0, logOverDefault = 0;
  std::string worstPoint;

  void add(const MeasuredPoint &point, const TransferVerdict &verdict) {
    ++points;
    far += verdict.source ? 0 : 1;
    unmeasured += verdict.taken ? 0 : 1;
    if (!verdict.taken)
      return;
    ++judged;
    const double ratio = verdict.over(&point.best());
    within += ratio <= kModelTolerance ? 1 : 0;
    if (ratio > worst) {
      worst = ratio;
      worstPoint = point.descriptor.print();
    }
    if (verdict.standard) {
      ++compared;
      logOverDefault += std::log(verdict.over(verdict.standard));
    }
  }
};

/// A descriptor without its shape and tokens: what sets it apart from others of the same layer.
std::string kindOf(const Descriptor &descriptor) {
  Descriptor kind = descriptor;
  kind.n = kind.k = 1;
  kind.m = {1, kUnboundedM};
  std::string text = kind.print();
  for (const std::string_view part : {" n1 k1", " m1.."})
    text.erase(text.find(part), part.size());
  return text;
}

std::string lineOf(const std::string &kind, const Totals &totals) {
  return fmt::format("  {:<40}{:>4} of {} within {:.0f} %, the worst {:.2f} x\n", kind,
                     totals.within, totals.judged, 100 * (kModelTolerance - 1), totals.worst);
}

} // namespace

double TransferVerdict::over(const TuningRecord *other) const {
  return taken && other ? taken->microseconds / other->microseconds : 0;
}

TransferVerdict judgeTransfer(const MeasuredPoint &point, const Records &from) {
  TransferVerdict verdict;
  const ModelVerdict standard = judgeModel(point);
  if (standard.measured)
    verdict.standard = standard.record;
  verdict.source = nearestLegal(from, point.descriptor, point.target);
  verdict.taken = verdict.source ? point.find(verdict.source->schedule) : verdict.standard;
  return verdict;
}

ModelReport checkTransfer(const Records &measured, const Records &from) {
  ModelReport report;
  Totals totals;
  std::map<std::string, Totals> kinds;
  std::string target;
  for (const MeasuredPoint &point : measuredPoints(measured)) {
    if (from.best(point.descriptor, point.target))
      continue; // nothing to carry
    if (point.target.print() != target) {
      target = point.target.print();
      report.text += fmt::format("{:<70}{:>11}{:>11}{:>11}{:>9}{:>9}  {}\n", target, "taken us",
                                 "default us", "best us", "/best", "/default", "schedule taken");
    }
    const TransferVerdict verdict = judgeTransfer(point, from);
    report.text += lineOf(point, verdict);
    totals.add(point, verdict);
    kinds[kindOf(point.descriptor)].add(point, verdict);
  }
  for (const auto &[kind, ofKind] : kinds)
    report.text += lineOf(kind, ofKind);
  report.text += fmt::format("{} points: {} have no record near, of {} the schedule was not "
                             "measured\n",
                             totals.points, totals.far, totals.unmeasured);
  report.judged = totals.judged;
  if (totals.judged == 0)
    return report;
  report.share = double(totals.within) / totals.judged;
  report.text +=
      fmt::format("{} of {} points ({:.1f} %) are within {:.0f} % of the best measured; the worst, "
                  "{:.2f} x: {}\n",
                  totals.within, totals.judged, 100 * report.share, 100 * (kModelTolerance - 1),
                  totals.worst, totals.worstPoint);
  if (totals.compared > 0)
    report.text += fmt::format("{:.3f} of the defaults' time (geometric mean of {})\n",
                               std::exp(totals.logOverDefault / totals.compared), totals.compared);
  return report;
}

} // namespace gptqc
