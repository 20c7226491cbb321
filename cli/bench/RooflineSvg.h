// A roofline plot as SVG: arithmetic intensity against throughput, both logarithmic, under the two
// roofs of the machine.
#ifndef GPTQC_CLI_BENCH_ROOFLINESVG_H
#define GPTQC_CLI_BENCH_ROOFLINESVG_H

#include <string>
#include <vector>

namespace gptqc::cli {

struct RooflinePoint {
  std::string series;     ///< points of one series share a colour and a line in the legend
  std::string label;      ///< short, drawn beside the point
  std::string note;       ///< shown when the mouse is over it
  double intensity = 0;   ///< operations per byte, > 0
  double teraflops = 0;   ///< > 0
  bool reference = false; ///< drawn hollow: another implementation
};

struct RooflinePlot {
  std::string title;
  double terabytesPerSecond = 0; ///< memory roof; 0: none
  double peakTeraflops = 0;      ///< compute roof; 0: none
  std::vector<RooflinePoint> points;
};

/// A self-contained document, deterministic to the byte. Points that are not finite and positive
/// are left out.
std::string rooflineSvg(const RooflinePlot &plot);

} // namespace gptqc::cli

#endif // GPTQC_CLI_BENCH_ROOFLINESVG_H
