// Text form of Schedule.
#include "runtime/core/Schedule.h"

#include <array>
#include <optional>

#include "runtime/core/TextForm.h"

namespace gptqc {

namespace {

constexpr std::array<std::string_view, 4> kFamilyNames = {"simt", "mma", "wgmma", "gemv"};

std::optional<int> positive(std::optional<int64_t> value) {
  if (!value || *value < 1 || *value > 65535)
    return std::nullopt;
  return int(*value);
}

/// `t64x16x128`.
bool parseTile(std::string_view token, Schedule &schedule) {
  if (!token.starts_with('t'))
    return false;
  const std::vector<std::string_view> sizes = splitAt(token.substr(1), 'x');
  if (sizes.size() != 3)
    return false;
  const std::optional<int> n = positive(parseInteger(sizes[0]));
  const std::optional<int> m = positive(parseInteger(sizes[1]));
  const std::optional<int> k = positive(parseInteger(sizes[2]));
  if (!n || !m || !k)
    return false;
  schedule.tileN = *n;
  schedule.tileM = *m;
  schedule.tileK = *k;
  return true;
}

} // namespace

std::string_view familyName(Family family) { return kFamilyNames[size_t(family)]; }

std::optional<Family> parseFamily(std::string_view name) {
  for (size_t i = 0; i < kFamilyNames.size(); ++i)
    if (kFamilyNames[i] == name)
      return Family(i);
  return std::nullopt;
}

Result<Schedule> Schedule::parse(std::string_view text) {
  const auto refuse = [&](std::string why) {
    return invalidArgument(
        "schedule '{}': {} (write: simt|mma|wgmma|gemv t<N>x<M>x<K> warps<n> "
        "[mwarps<n>] [kwarps<n>] stages<n> [splitk<n>] [multicast<n>] [unroll<n>] "
        "[xvec2])",
        quoteName(text), why);
  };
  const std::vector<std::string_view> tokens = splitTokens(text);
  if (tokens.empty())
    return refuse("it is empty");
  Schedule schedule;
  const std::optional<Family> family = parseFamily(tokens[0]);
  if (!family)
    return refuse(fmt::format("unknown family '{}'", quoteName(tokens[0])));
  schedule.family = *family;
  if (tokens.size() < 2 || !parseTile(tokens[1], schedule))
    return refuse("the second word is the tile, e.g. t64x16x128");

  struct Field {
    std::string_view prefix;
    int *value;
    bool required;
  };
  const std::array<Field, 8> fields = {{{"warps", &schedule.warps, true},
                                        {"mwarps", &schedule.mWarps, false},
                                        {"kwarps", &schedule.kWarps, false},
                                        {"stages", &schedule.stages, true},
                                        {"splitk", &schedule.splitK, false},
                                        {"multicast", &schedule.multicast, false},
                                        {"unroll", &schedule.unroll, false},
                                        {"xvec", &schedule.xVector, false}}};
  size_t next = 2;
  for (const Field &field : fields) {
    const bool present = next < tokens.size() && tokens[next].starts_with(field.prefix);
    if (!present && !field.required)
      continue;
    const std::optional<int> value =
        present ? positive(parsePrefixed(tokens[next], field.prefix)) : std::nullopt;
    if (!value)
      return refuse(fmt::format("expected {}<number>", field.prefix));
    *field.value = *value;
    ++next;
  }
  if (next != tokens.size())
    return refuse(fmt::format("unexpected '{}'", quoteName(tokens[next])));
  if (schedule.warps % (int64_t(schedule.mWarps) * schedule.kWarps) != 0)
    return refuse("warps must be a multiple of mwarps x kwarps");
  if (schedule.xVector != 16 && schedule.xVector != 2)
    return refuse("xvec is 16 (the default, not written) or 2");
  return schedule;
}

std::string Schedule::print() const {
  std::string text =
      fmt::format("{} t{}x{}x{} warps{}", familyName(family), tileN, tileM, tileK, warps);
  if (mWarps != 1)
    text += fmt::format(" mwarps{}", mWarps);
  if (kWarps != 1)
    text += fmt::format(" kwarps{}", kWarps);
  text += fmt::format(" stages{}", stages);
  if (splitK != 1)
    text += fmt::format(" splitk{}", splitK);
  if (multicast != 1)
    text += fmt::format(" multicast{}", multicast);
  if (unroll != 1)
    text += fmt::format(" unroll{}", unroll);
  if (xVector != 16)
    text += fmt::format(" xvec{}", xVector);
  return text;
}

} // namespace gptqc
