// Writes the page: a table of points, the plot, and the tried schedules of each point.
#include "cli/bench/TuneReport.h"

#include "autotune/ModelCheck.h"
#include "cli/bench/BenchMath.h"
#include "cli/bench/Markup.h"
#include "cli/bench/PeerTable.h"
#include "cli/bench/RooflineSvg.h"
#include "compiler/schedule/CostModel.h"

namespace gptqc::cli {
namespace {

constexpr const char *kStyle =
    "body{font:14px sans-serif;margin:2em;max-width:1200px}table{border-collapse:collapse}"
    "td,th{padding:2px 10px;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child,td.t,th.t{text-align:left}code{white-space:nowrap}"
    ".bar{display:inline-block;height:9px;background:#1f77b4}details{margin:4px 0}";

int64_t tokensOf(const MeasuredPoint &point) { return benchTokens(point.descriptor, {}).front(); }

std::optional<double> limitOf(const MeasuredPoint &point) {
  const auto machine = limitsOf(point.target.name);
  return machine ? std::optional(limitMicroseconds(*machine, point.descriptor, tokensOf(point)))
                 : std::nullopt;
}

/// What the untuned compiler takes.
const TuningRecord *untunedOf(const MeasuredPoint &point) {
  const Result<Schedule> choice = CostModel::choose(point.descriptor, point.target);
  return choice.ok() ? point.find(*choice) : nullptr;
}

std::string ratio(std::optional<double> whole, double part) {
  return whole ? fmt::format("{:.2f}", *whole / part) : "-";
}

std::string tableRow(const MeasuredPoint &point, const PeerTable &peers) {
  const double time = point.best().microseconds;
  const TuningRecord *untuned = untunedOf(point);
  const PeerTime *peer = peers.find(point.descriptor, tokensOf(point));
  const std::optional<double> limit = limitOf(point);
  return fmt::format(
      "<tr><td><code>{}</code></td><td class=t><code>{}</code></td><td>{:.2f}</td><td>{:.1f} "
      "%</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
      escapeMarkup(point.descriptor.print()), point.best().schedule.print(), time,
      100 * point.best().spread, limit ? fmt::format("{:.2f}", time / *limit) : "-",
      ratio(untuned ? std::optional(untuned->microseconds) : std::nullopt, time),
      ratio(peer ? std::optional(peer->microseconds) : std::nullopt, time), point.tried.size());
}

std::string triedList(const MeasuredPoint &point) {
  const double slowest = point.tried.back()->microseconds;
  std::string text = fmt::format("<details><summary><code>{} | {}</code></summary><table>\n",
                                 escapeMarkup(point.descriptor.print()), point.target.print());
  for (const TuningRecord *record : point.tried)
    text += fmt::format("<tr><td><code>{}</code></td><td>{:.2f} us</td><td>{:.1f} %</td><td "
                        "class=t><span class=bar style=\"width:{:.0f}px\"></span></td><td "
                        "class=t>{} {}</td></tr>\n",
                        record->schedule.print(), record->microseconds, 100 * record->spread,
                        300 * record->microseconds / slowest, escapeMarkup(record->method),
                        escapeMarkup(record->build));
  return text + "</table></details>\n";
}

RooflinePlot plotOf(const std::vector<MeasuredPoint> &points, const Target &target) {
  RooflinePlot plot;
  plot.title = "fastest schedules, " + target.print();
  if (const auto machine = limitsOf(target.name)) {
    plot.terabytesPerSecond = machine->bytesPerSecond * 1e-12;
    plot.peakTeraflops = machine->flopsPerSecond * 1e-12;
  }
  for (const MeasuredPoint &point : points) {
    if (!(point.target == target))
      continue;
    const Descriptor &d = point.descriptor;
    const double flops = problemFlops(d, tokensOf(point));
    RooflinePoint drawn;
    drawn.series = fmt::format("{} x {}", d.n, d.k);
    drawn.label = fmt::format("{}", tokensOf(point));
    drawn.note = d.print() + ": " + point.best().schedule.print();
    drawn.intensity = flops / double(problemBytes(d, tokensOf(point)));
    drawn.teraflops = flops / point.best().microseconds * 1e-6;
    plot.points.push_back(std::move(drawn));
  }
  return plot;
}

} // namespace

std::string tuneReportHtml(const Records &records) {
  const std::vector<MeasuredPoint> points = measuredPoints(records);
  std::string text =
      fmt::format("<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>gptqc "
                  "tuning report</title><style>{}</style></head><body>\n<h1>Tuning "
                  "report</h1>\n<p>{} records of {} points.</p>\n",
                  kStyle, records.all().size(), points.size());
  for (size_t i = 0; i < points.size(); ++i) {
    const Target &target = points[i].target;
    if (i == 0 || !(points[i - 1].target == target)) {
      text += fmt::format("<h2>{}</h2>\n{}\n<table><tr><th>descriptor</th><th class=t>fastest "
                          "schedule</th><th>us</th><th>spread</th><th>x limit</th><th>default / "
                          "tuned</th><th>best peer / tuned</th><th>tried</th></tr>\n",
                          target.print(), rooflineSvg(plotOf(points, target)));
    }
    text += tableRow(points[i], PeerTable::builtIn(target.name));
    if (i + 1 == points.size() || !(points[i + 1].target == target))
      text += "</table>\n";
  }
  text += "<h2>What was tried</h2>\n";
  for (const MeasuredPoint &point : points)
    text += triedList(point);
  return text + "</body></html>\n";
}

} // namespace gptqc::cli
