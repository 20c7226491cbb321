// The text form of cases, and the space that covers and sweeps draw from.
#include "tests/sim/CaseLine.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <random>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "compiler/Compiler.h"
#include "compiler/schedule/ScheduleSpace.h"
#include "runtime/core/TextForm.h"
#include "tests/support/Pairwise.h"

namespace gptqc::sim {

namespace {

enum Factor { Bits, Zeros, Group, Order, Types, Scales, Epilogue, Rows, Columns, Tokens, Gpu, How };

constexpr std::array<const char *, 2> kZeros = {"sym", "asym"};
constexpr std::array<const char *, 6> kGroups = {"g-1", "g128", "g64", "g32", "g24", "g80"};
constexpr std::array<const char *, 3> kOrders = {"", " actorder", " actorder ragged"};
constexpr std::array<const char *, 4> kTypes = {"f16->f16", "bf16->bf16", "f16->bf16", "bf16->f16"};
constexpr std::array<const char *, 2> kScales = {"", " scales:bf16"};
constexpr std::array<const char *, 5> kEpilogues = {"", " bias", " silu_mul", " bias silu_mul",
                                                    " batch_invariant"};
constexpr std::array<int, 5> kRows = {128, 64, 100, 36, 192};
constexpr std::array<int, 6> kColumns = {512, 304, 1032, 96, 231, 513};
/// Bucket and the token counts that run in it.
struct TokenRange {
  const char *range;
  std::array<int64_t, 2> counts;
};
constexpr std::array<TokenRange, 8> kTokens = {{{"m1..1", {1, 1}},
                                                {"m2..2", {2, 1}},
                                                {"m3..4", {3, 4}},
                                                {"m5..8", {5, 8}},
                                                {"m9..16", {9, 16}},
                                                {"m17..32", {23, 32}},
                                                {"m33..64", {33, 63}},
                                                {"m65..128", {70, 128}}}};
constexpr std::array<const char *, 5> kGpus = {"sm_90a", "sm_80", "sm_75", "sm_90a", "sm_120"};
/// The default schedule, or one of the space from a family picked first; twice, for more of them.
constexpr int kHows = 3;
/// A wgmma schedule: for the cover of that family, which is legal for the first so many levels.
constexpr int kHowWgmma = kHows, kWgmmaEpilogues = 4, kWgmmaColumns = 4, kWgmmaTokens = 2;

using Row = std::vector<int>;

std::vector<int> levelCounts() {
  return {7,
          int(kZeros.size()),
          int(kGroups.size()),
          int(kOrders.size()),
          int(kTypes.size()),
          int(kScales.size()),
          int(kEpilogues.size()),
          int(kRows.size()),
          int(kColumns.size()),
          int(kTokens.size()),
          int(kGpus.size()),
          kHows};
}

/// One group has no order, and its lengths cannot differ.
bool allowed(const Row &row) {
  const int group = std::array{1 << 30, 128, 64, 32, 24, 80}[size_t(row[Group])];
  return group < kColumns[size_t(row[Columns])] || row[Order] == 0;
}

/// Whether `tokens` tokens simulate in seconds: wgmma computes whole tiles, whatever exists.
bool isQuick(const Schedule &schedule, const Descriptor &descriptor, int64_t tokens) {
  constexpr int64_t kMostProducts = 16 << 20;
  const auto whole = [](int64_t size, int64_t tile) { return (size + tile - 1) / tile * tile; };
  return schedule.family != Family::Wgmma ||
         whole(descriptor.n, int64_t(schedule.tileN) * schedule.multicast) *
                 whole(tokens, schedule.tileM) * descriptor.k <=
             kMostProducts;
}

/// A schedule of a family, without one of any that has some; all legal and quick ones of the family
/// are as likely. Nothing when there is none.
std::optional<Schedule> sampleSchedule(const Descriptor &descriptor, const Target &target,
                                       std::optional<Family> wanted, int64_t tokens,
                                       std::mt19937_64 &random) {
  std::vector<Schedule> all = ScheduleSpace::enumerate(descriptor, target);
  std::vector<Family> families;
  for (const Schedule &schedule : all)
    if (std::find(families.begin(), families.end(), schedule.family) == families.end())
      families.push_back(schedule.family);
  const Family family = wanted ? *wanted : families[random() % families.size()];
  std::erase_if(all, [&](const Schedule &schedule) {
    return schedule.family != family || !isQuick(schedule, descriptor, tokens);
  });
  return all.empty() ? std::nullopt : std::optional(all[random() % all.size()]);
}

/// The case of a row; nothing when no layer has its descriptor.
std::optional<CaseLine> caseOf(const Row &row, std::mt19937_64 &random) {
  const TokenRange &range = kTokens[size_t(row[Tokens])];
  const std::string text = fmt::format(
      "w{} {} {}{} {}{} n{} k{} {}{}", row[Bits] + 2, kGroups[size_t(row[Group])],
      kZeros[size_t(row[Zeros])], kOrders[size_t(row[Order])], kTypes[size_t(row[Types])],
      kScales[size_t(row[Scales])], kRows[size_t(row[Rows])], kColumns[size_t(row[Columns])],
      range.range, kEpilogues[size_t(row[Epilogue])]);
  const Result<Descriptor> descriptor = Descriptor::parse(text);
  if (!descriptor)
    return std::nullopt;
  CaseLine line;
  line.tokens = {range.counts[random() % 2]};
  line.descriptor = descriptor->canonical();
  line.target = *Target::parse(kGpus[size_t(row[Gpu])]);
  const Result<Schedule> byDefault = Compiler::defaultSchedule(line.descriptor, line.target);
  if (!byDefault)
    return std::nullopt;
  const std::optional<Family> family =
      row[How] == kHowWgmma ? std::optional(Family::Wgmma) : std::nullopt;
  const std::optional<Schedule> schedule =
      row[How] == 0 ? std::optional(*byDefault)
                    : sampleSchedule(line.descriptor, line.target, family, line.tokens[0], random);
  if (!schedule)
    return std::nullopt;
  line.schedule = *schedule;
  line.seed = 1 + random() % 1000000;
  return line;
}

Result<int64_t> parseNumber(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1)
    return invalidArgument("'{}': not a positive number", text);
  return value;
}

} // namespace

Result<CaseLine> CaseLine::parse(std::string_view text) {
  const std::vector<std::string_view> fields = splitAt(text, '|');
  if (fields.size() != 4 && fields.size() != 5)
    return invalidArgument("'{}': expected descriptor | target | schedule | token counts [| seed]",
                           text);
  CaseLine line;
  GPTQC_ASSIGN(line.descriptor, Descriptor::parse(trim(fields[0])));
  GPTQC_ASSIGN(line.target, Target::parse(trim(fields[1])));
  if (trim(fields[2]) == "default") {
    GPTQC_ASSIGN(line.schedule, Compiler::defaultSchedule(line.descriptor, line.target));
  } else {
    GPTQC_ASSIGN(line.schedule, Schedule::parse(trim(fields[2])));
  }
  for (const std::string_view count : splitAt(fields[3], ',')) {
    GPTQC_ASSIGN(const int64_t tokens, parseNumber(trim(count)));
    line.tokens.push_back(tokens);
  }
  if (fields.size() == 5) {
    GPTQC_ASSIGN(const int64_t seed, parseNumber(trim(fields[4])));
    line.seed = uint64_t(seed);
  }
  return line;
}

std::string CaseLine::print() const {
  std::string text = fmt::format("{} | {} | {} | {}", descriptor.print(), target.print(),
                                 schedule.print(), fmt::join(tokens, ","));
  return seed == 0 ? text : fmt::format("{} | {}", text, seed);
}

std::vector<CaseLine> coverCases(uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<CaseLine> lines;
  for (const Row &row : fixtures::pairwiseCover(levelCounts(), allowed, seed))
    if (std::optional<CaseLine> line = caseOf(row, random)) {
      line->seed = 0;
      lines.push_back(std::move(*line));
    }
  std::vector<int> levels = levelCounts();
  levels[Order] = levels[Gpu] = levels[How] = 1;
  levels[Epilogue] = kWgmmaEpilogues;
  levels[Columns] = kWgmmaColumns;
  levels[Tokens] = kWgmmaTokens;
  for (Row row : fixtures::pairwiseCover(levels, allowed, seed)) {
    row[Tokens] += int(kTokens.size()) - kWgmmaTokens;
    row[How] = kHowWgmma;
    if (std::optional<CaseLine> line = caseOf(row, random))
      lines.push_back(std::move(*line));
  }
  return lines;
}

std::vector<CaseLine> randomCases(uint64_t seed, size_t count) {
  std::mt19937_64 random(seed);
  const std::vector<int> levels = levelCounts();
  std::vector<CaseLine> lines;
  while (lines.size() < count) {
    Row row;
    for (int level : levels)
      row.push_back(int(random() % uint64_t(level)));
    if (!allowed(row))
      continue;
    if (std::optional<CaseLine> line = caseOf(row, random))
      lines.push_back(std::move(*line));
  }
  return lines;
}

} // namespace gptqc::sim
