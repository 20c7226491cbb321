// Tuning records as a page to read: what was tried, what won, the roofline, the gain over the
// default.
#ifndef GPTQC_CLI_BENCH_TUNEREPORT_H
#define GPTQC_CLI_BENCH_TUNEREPORT_H

#include <string>

#include "autotune/records/Records.h"

namespace gptqc::cli {

/// Self-contained HTML with an SVG plot, deterministic to the byte. The default of a point is what
/// this build's cost model chooses; its time is there when it was measured.
std::string tuneReportHtml(const Records &records);

} // namespace gptqc::cli

#endif // GPTQC_CLI_BENCH_TUNEREPORT_H
