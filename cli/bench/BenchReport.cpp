// Tables and files of bench results.
#include "cli/bench/BenchReport.h"

#include <algorithm>

#include "cli/bench/RooflineSvg.h"
#include "runtime/core/AtomicFile.h"

namespace gptqc::cli {
namespace {

constexpr size_t kScheduleWidth = 46, kOtherWidth = 10, kPeerWidth = 13;

size_t descriptorWidth(const std::vector<Descriptor> &descriptors) {
  size_t width = 10;
  for (const Descriptor &descriptor : descriptors)
    width = std::max(width, descriptor.print().size());
  return width;
}

/// A time and our ratio to it, or dashes.
std::string comparedWith(const std::optional<double> &other, double time) {
  if (!other)
    return fmt::format("  {:>{}}  {:>5}", "-", kOtherWidth, "-");
  return fmt::format("  {:>{}.2f}  {:>5.2f}", *other, kOtherWidth, time / *other);
}

std::optional<double> medianOf(const std::optional<Timing> &timing) {
  return timing ? std::optional<double>(timing->median) : std::nullopt;
}

RooflinePlot plotOf(const BenchHead &head, const std::vector<BenchRow> &rows,
                    const std::optional<MachineLimits> &limits) {
  RooflinePlot plot;
  plot.title = fmt::format("{}, gptqc {}", head.device, head.commit);
  double bandwidth = 0, rate = 0; // measured roofs, where the machine's are not known
  for (const BenchRow &row : rows) {
    if (!row.error.ok())
      continue;
    const double bytes = double(problemBytes(row.descriptor, row.m));
    const double flops = problemFlops(row.descriptor, row.m);
    RooflinePoint point;
    point.series =
        fmt::format("w{} {} x {}", row.descriptor.bits, row.descriptor.n, row.descriptor.k);
    point.label = fmt::format("m{}", row.m);
    point.note =
        fmt::format("{} at m = {}: {:.2f} us", row.descriptor.print(), row.m, row.time.median);
    point.intensity = flops / bytes;
    point.teraflops = flops / row.time.median * 1e-6;
    plot.points.push_back(point);
    rate = std::max(rate, point.teraflops);
    if (row.floor)
      bandwidth = std::max(bandwidth, bytes / row.floor->median * 1e-6);
    if (row.dense) {
      point.reference = true;
      point.note = fmt::format("cuBLASLt, M = {}, N = {}, K = {}: {:.2f} us", row.m,
                               row.descriptor.n, row.descriptor.k, row.dense->median);
      point.teraflops = flops / row.dense->median * 1e-6;
      plot.points.push_back(point);
      rate = std::max(rate, point.teraflops);
    }
  }
  plot.terabytesPerSecond = limits ? limits->bytesPerSecond * 1e-12 : bandwidth;
  plot.peakTeraflops = limits ? limits->flopsPerSecond * 1e-12 : rate;
  return plot;
}

} // namespace

std::string benchHeadText(const BenchHead &head) {
  return fmt::format("# gptqc bench, commit {}\n# GPU: {}\n# compiler: {}\n# cuBLASLt: {}\n"
                     "# about {:.0f} ms of timed work a point, seed {}; bench/README.md has the "
                     "method\n",
                     head.commit, head.device, head.compiler, head.dense, head.budgetMilliseconds,
                     head.seed);
}

std::string BenchTable::head() const {
  std::string text = fmt::format("{:{}}  {:>5}  {:{}}  {:>9}  {:>19}  {:>7}  {:>7}", "descriptor",
                                 descriptorWidth(descriptors), "m", "schedule", kScheduleWidth,
                                 "us", "p10..p90", "GB/s", "TFLOP/s");
  std::vector<std::string_view> others = {"floor us", "limit us", "cublas us", "peer us"};
  if (tuned)
    others.insert(others.begin(), "default us");
  for (const std::string_view other : others)
    text += fmt::format("  {:>{}}  {:>5}", other, kOtherWidth, "x");
  return text + fmt::format("  {:{}}", "peer", kPeerWidth);
}

std::string BenchTable::row(const BenchRow &row) const {
  std::string text = fmt::format("{:{}}  {:>5}  {:{}}", row.descriptor.print(),
                                 descriptorWidth(descriptors), row.m, row.schedule, kScheduleWidth);
  if (!row.error.ok())
    return text + fmt::format("  FAILED: {}", row.error.message());
  const double time = row.time.median;
  const std::string spread = fmt::format("{:.2f}..{:.2f}", row.time.p10, row.time.p90);
  text += fmt::format("  {:>9.2f}  {:>19}  {:>7.0f}  {:>7.1f}", time, spread,
                      double(problemBytes(row.descriptor, row.m)) / time * 1e-3,
                      problemFlops(row.descriptor, row.m) / time * 1e-6);
  if (tuned)
    text += comparedWith(medianOf(row.untuned), time);
  text += comparedWith(medianOf(row.floor), time);
  text += comparedWith(row.limit, time);
  text += comparedWith(medianOf(row.dense), time);
  text += comparedWith(row.peer ? std::optional(row.peer->microseconds) : std::nullopt, time);
  text += fmt::format("  {:{}}", row.peer ? row.peer->peer : "-", kPeerWidth);
  return row.note.empty() ? text : text + "  " + row.note;
}

Status benchVerdict(const std::vector<BenchRow> &rows) {
  const auto failed = [](const BenchRow &row) { return !row.error.ok(); };
  const auto first = std::find_if(rows.begin(), rows.end(), failed);
  if (first == rows.end())
    return {};
  return makeError(first->error.code(), "bench: {} of {} points failed; first: `{}` at m = {}: {}",
                   std::count_if(rows.begin(), rows.end(), failed), rows.size(),
                   first->descriptor.print(), first->m, first->error.message());
}

Status makeFolder(const std::filesystem::path &folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    return makeError(Code::IoError, "{}: {}; choose another folder with -o", folder.string(),
                     error.message());
  return {};
}

Status writeBenchFiles(const std::filesystem::path &folder, const std::string &stem,
                       const BenchHead &head, const std::vector<BenchRow> &rows,
                       const std::optional<MachineLimits> &limits) {
  GPTQC_TRY(makeFolder(folder));
  BenchTable table;
  for (const BenchRow &row : rows) {
    table.descriptors.push_back(row.descriptor);
    table.tuned = table.tuned || row.untuned;
  }
  std::string text = benchHeadText(head) + "\n" + table.head() + "\n";
  for (const BenchRow &row : rows)
    text += table.row(row) + "\n";
  GPTQC_TRY(writeFileAtomically(folder / (stem + ".txt"), text));
  return writeFileAtomically(folder / (stem + ".svg"), rooflineSvg(plotOf(head, rows, limits)));
}

} // namespace gptqc::cli
