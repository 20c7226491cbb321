// Line by line: an entry begins at "Compiling entry function", its numbers follow.
#include "compiler/jit/PtxasLog.h"

#include <charconv>

namespace gptqc {
namespace {

/// The number that stands before `unit`, e.g. 48 in "Used 48 registers, ...".
bool numberBefore(std::string_view line, std::string_view unit, int64_t &value) {
  const size_t end = line.find(unit);
  if (end == std::string_view::npos)
    return false;
  size_t begin = end;
  while (begin > 0 && line[begin - 1] >= '0' && line[begin - 1] <= '9')
    --begin;
  return std::from_chars(line.data() + begin, line.data() + end, value).ec == std::errc();
}

std::string_view quotedAfter(std::string_view line, std::string_view prefix) {
  const size_t at = line.find(prefix);
  if (at == std::string_view::npos)
    return {};
  const std::string_view rest = line.substr(at + prefix.size());
  return rest.substr(0, rest.find('\''));
}

void readUsage(std::string_view line, ResourceUsage &usage) {
  int64_t value = 0;
  if (numberBefore(line, " bytes stack frame", value))
    usage.stackBytes = value;
  if (numberBefore(line, " bytes spill stores", value))
    usage.spillStores = value;
  if (numberBefore(line, " bytes spill loads", value))
    usage.spillLoads = value;
  if (numberBefore(line, " registers", value))
    usage.registers = int(value);
  if (numberBefore(line, " bytes smem", value))
    usage.staticSharedBytes = value;
}

} // namespace

const ResourceUsage *PtxasReport::find(std::string_view entry) const {
  for (const EntryUsage &usage : entries)
    if (usage.entry == entry)
      return &usage.usage;
  return nullptr;
}

PtxasReport parsePtxasLog(std::string_view log) {
  PtxasReport report;
  bool inEntry = false;
  while (!log.empty()) {
    const size_t newline = log.find('\n');
    const std::string_view line = log.substr(0, newline);
    log = newline == std::string_view::npos ? std::string_view() : log.substr(newline + 1);
    if (const auto name = quotedAfter(line, "Compiling entry function '"); !name.empty()) {
      report.entries.push_back({std::string(name), {}});
      inEntry = true;
      continue;
    }
    for (const std::string_view code : {"C7508", "C7510", "C7512"})
      if (line.find(code) != std::string_view::npos)
        report.performanceWarnings.emplace_back(line);
    if (report.firstError.empty() && line.find("error") != std::string_view::npos)
      report.firstError = line;
    // Device functions that are not inlined report their own stack frame after the entry's numbers.
    if (const size_t at = line.find("Function properties for "); at != std::string_view::npos) {
      const std::string_view name =
          line.substr(at + std::string_view("Function properties for ").size());
      inEntry = !report.entries.empty() && name == report.entries.back().entry;
    } else if (inEntry || line.find("Used ") != std::string_view::npos) {
      if (!report.entries.empty())
        readUsage(line, report.entries.back().usage);
    }
  }
  return report;
}

} // namespace gptqc
