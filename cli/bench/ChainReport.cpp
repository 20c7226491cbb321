// Tables of chains.
#include "cli/bench/ChainReport.h"

#include <algorithm>

#include "runtime/core/AtomicFile.h"

namespace gptqc::cli {
namespace {

/// Sizes of the chain as one problem: bytes of all layers.
double bytesOf(const ChainRow &row) {
  double bytes = 0;
  for (const ChainLayer &layer : row.layers)
    bytes += double(problemBytes(layer.descriptor, row.m));
  return bytes;
}

std::string spreadOf(const Timing &timing) {
  return fmt::format("{:.2f}..{:.2f}", timing.p10, timing.p90);
}

std::string line(const std::string &what, size_t width, const Timing &timing, double floor,
                 double bytes, const std::string &schedule) {
  return fmt::format("{:{}}  {:>9.2f}  {:>19}  {:>7.0f}  {:>9.2f}  {:>5.2f}{}{}\n", what, width,
                     timing.median, spreadOf(timing), bytes / timing.median * 1e-3, floor,
                     timing.median / floor, schedule.empty() ? "" : "  ", schedule);
}

} // namespace

double ChainRow::floor() const {
  double sum = 0;
  for (const ChainLayer &layer : layers)
    sum += layer.floor.median;
  return sum;
}

std::string chainText(const ChainRow &row) {
  if (!row.error.ok())
    return fmt::format("m = {}: FAILED: {}\n", row.m, row.error.message());
  constexpr std::string_view kGraph = "all, in one graph", kDense = "cuBLASLt, in one graph",
                             kOverlapped = "with programmatic launch",
                             kAlone = "sum of the layers alone";
  size_t width = kOverlapped.size();
  for (const ChainLayer &layer : row.layers)
    width = std::max(width, layer.descriptor.print().size());
  std::string text = fmt::format("m = {}, {} blocks of weights in turn\n", row.m, row.blocks) +
                     fmt::format("{:{}}  {:>9}  {:>19}  {:>7}  {:>9}  {:>5}  schedule\n", "layer",
                                 width, "us", "p10..p90", "GB/s", "floor us", "x");
  double alone = 0;
  for (const ChainLayer &layer : row.layers) {
    text += line(layer.descriptor.print(), width, layer.time, layer.floor.median,
                 double(problemBytes(layer.descriptor, row.m)), layer.schedule);
    alone += layer.time.median;
  }
  const double floor = row.floor(), bytes = bytesOf(row);
  text += line(std::string(kAlone), width, {alone, alone, alone}, floor, bytes, "");
  text += line(std::string(kGraph), width, row.time, floor, bytes, "");
  if (row.overlapped)
    text += line(std::string(kOverlapped), width, *row.overlapped, floor, bytes, "");
  if (row.dense) {
    const Timing &ours = row.overlapped ? *row.overlapped : row.time;
    text += fmt::format("{:{}}  {:>9.2f}  {:>19}  ours x {:.2f}\n", kDense, width,
                        row.dense->median, spreadOf(*row.dense), ours.median / row.dense->median);
  }
  return row.note.empty() ? text : text + row.note + "\n";
}

Status chainVerdict(const std::vector<ChainRow> &rows) {
  for (const ChainRow &row : rows)
    if (!row.error.ok())
      return makeError(row.error.code(), "bench: the chain at m = {}: {}", row.m,
                       row.error.message());
  return {};
}

Status writeChainFile(const std::filesystem::path &folder, const std::string &stem,
                      const BenchHead &head, const std::vector<ChainRow> &rows) {
  GPTQC_TRY(makeFolder(folder));
  std::string text = benchHeadText(head);
  for (const ChainRow &row : rows)
    text += "\n" + chainText(row);
  return writeFileAtomically(folder / (stem + ".txt"), text);
}

} // namespace gptqc::cli
