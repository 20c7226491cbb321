// How verification results are printed: a table while they arrive, or JSON.
#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "cli/check/Verify.h"

namespace gptqc::cli {
namespace {

constexpr size_t kKernelWidth = 44;

struct Widths {
  size_t layer = 5, descriptor = 10;
};

Widths widthsOf(const std::vector<VerifyLayer> &layers) {
  Widths widths;
  for (const VerifyLayer &layer : layers) {
    widths.layer = std::max(widths.layer, layer.name.size());
    widths.descriptor = std::max(widths.descriptor, layer.descriptor.print().size());
  }
  return widths;
}

nlohmann::json number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

nlohmann::json toJson(const VerifyRow &row) {
  nlohmann::json json = {{"layer", row.layer},   {"descriptor", row.descriptor},
                         {"m", row.m},           {"inputs", inputsName(row.inputs)},
                         {"kernel", row.kernel}, {"passed", row.passed()}};
  if (!row.error.ok()) {
    json["error"] = row.error.message();
    json["code"] = codeName(row.error.code());
  } else {
    json["max_error"] = number(row.comparison.maxError);
    json["max_error_over_tolerance"] = number(row.comparison.maxRatio);
    json["relative_frobenius"] = number(row.comparison.relativeFrobenius);
    json["microseconds"] = number(row.microseconds);
  }
  if (!row.passed()) {
    json["explanation"] = row.explain();
    json["repro"] = row.repro;
  }
  return json;
}

} // namespace

std::string verifyTableHead(const std::vector<VerifyLayer> &layers) {
  const Widths widths = widthsOf(layers);
  return fmt::format("{:{}}  {:{}}  {:>5}  {:9}  {:{}}  {:>9}  {:>6}  {:>9}  {:>10}", "layer",
                     widths.layer, "descriptor", widths.descriptor, "m", "inputs", "kernel",
                     kKernelWidth, "max error", "of tol", "frobenius", "us");
}

std::string verifyTableRow(const std::vector<VerifyLayer> &layers, const VerifyRow &row) {
  const Widths widths = widthsOf(layers);
  std::string text =
      fmt::format("{:{}}  {:{}}  {:>5}  {:9}  {:{}}  ", row.layer, widths.layer, row.descriptor,
                  widths.descriptor, row.m, inputsName(row.inputs), row.kernel, kKernelWidth);
  if (row.error.ok())
    text +=
        fmt::format("{:>9.2e}  {:>6.3f}  {:>9.2e}  {:>10.1f}", row.comparison.maxError,
                    row.comparison.maxRatio, row.comparison.relativeFrobenius, row.microseconds);
  if (!row.passed())
    text += fmt::format("  FAILED: {}", row.explain());
  return text;
}

std::string verifyJson(const std::vector<VerifyRow> &rows, std::string_view device, uint64_t seed) {
  nlohmann::json checks = nlohmann::json::array();
  int64_t failed = 0;
  for (const VerifyRow &row : rows) {
    checks.push_back(toJson(row));
    failed += !row.passed();
  }
  const nlohmann::json report = {{"device", device},
                                 {"seed", seed},
                                 {"passed", failed == 0},
                                 {"failed", failed},
                                 {"checks", std::move(checks)}};
  return report.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

} // namespace gptqc::cli
