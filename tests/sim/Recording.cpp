// The text form of recordings.
#include "tests/sim/Recording.h"

#include <charconv>
#include <fstream>

#include <fmt/format.h>

#include "runtime/core/Float16.h"
#include "runtime/core/TextForm.h"

namespace gptqc::sim {

namespace {

constexpr std::string_view kMark = "# y";
constexpr size_t kDigits = 4, kValuesPerLine = 28;

Status appendValues(std::string_view digits, std::vector<uint16_t> &values) {
  for (size_t at = 0; at < digits.size(); at += kDigits) {
    uint16_t value = 0;
    const char *begin = digits.data() + at, *end = begin + kDigits;
    if (digits.size() - at < kDigits || std::from_chars(begin, end, value, 16).ptr != end)
      return invalidArgument("'{}': not a row of 16-bit numbers in hexadecimal", digits);
    values.push_back(value);
  }
  return {};
}

} // namespace

Result<std::vector<RecordedCase>> readRecording(const std::string &path) {
  std::ifstream input(path);
  if (!input)
    return makeError(Code::NotFound, "{}: cannot be read", path);
  std::vector<RecordedCase> cases;
  for (std::string line; std::getline(input, line);) {
    if (line.starts_with(kMark) && !cases.empty())
      GPTQC_TRY(appendValues(trim(std::string_view(line).substr(kMark.size())), cases.back().y));
    else if (!trim(line).empty() && !line.starts_with('#'))
      cases.push_back({line, {}});
  }
  return cases;
}

std::string printRecording(const std::string &head, const std::vector<RecordedCase> &cases) {
  std::string text = fmt::format("# {}\n", head);
  for (const RecordedCase &one : cases) {
    text += one.line;
    for (size_t i = 0; i < one.y.size(); ++i)
      text += i % kValuesPerLine == 0 ? fmt::format("\n{} {:04x}", kMark, one.y[i])
                                      : fmt::format("{:04x}", one.y[i]);
    text += "\n";
  }
  return text;
}

Comparison compareWithRecording(const Descriptor &descriptor, const Reference &exact,
                                const std::vector<uint16_t> &recorded, const uint16_t *y,
                                int64_t ldy) {
  Comparison comparison;
  comparison.elements = comparison.failures = exact.rows * exact.columns;
  if (recorded.size() != exact.y.size())
    return comparison;
  Reference hardware = exact;
  for (size_t i = 0; i < recorded.size(); ++i)
    hardware.y[i] = double(toFloat(recorded[i], descriptor.out));
  return compareOutput(descriptor, hardware, y, ldy, 1);
}

} // namespace gptqc::sim
