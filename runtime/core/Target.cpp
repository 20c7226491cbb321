// Text form and hardware facts of Target.
#include "runtime/core/Target.h"

#include <algorithm>
#include <array>
#include <optional>

#include "runtime/core/TextForm.h"

namespace gptqc {

namespace {

struct Facts {
  int capability;
  int sharedKilobytes; ///< per block, opt-in maximum
  int typicalSms;      ///< of the best-known part
};

// CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
constexpr std::array<Facts, 7> kFacts = {{{75, 64, 40},
                                          {80, 163, 108},
                                          {86, 99, 84},
                                          {89, 99, 128},
                                          {90, 227, 132},
                                          {100, 227, 148},
                                          {120, 99, 170}}};

const Facts &factsOf(int capability) {
  const auto found = std::find_if(kFacts.begin(), kFacts.end(), [&](const Facts &facts) {
    return facts.capability == capability;
  });
  return found == kFacts.end() ? kFacts[0] : *found;
}

bool isKnown(int capability) {
  return std::any_of(kFacts.begin(), kFacts.end(),
                     [&](const Facts &facts) { return facts.capability == capability; });
}

bool isName(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

} // namespace

Result<Target> Target::parse(std::string_view text) {
  const std::vector<std::string_view> tokens = splitTokens(text);
  const auto refuse = [&](std::string_view why) {
    return invalidArgument("target '{}': {} (write: sm_<75|80|86|89|90|90a|100|120> [name] "
                           "[sms<count>], e.g. sm_90a h200 sms132)",
                           quoteName(text), why);
  };
  if (tokens.empty())
    return refuse("it is empty");
  Target target;
  std::string_view arch = tokens[0];
  target.archSpecific = arch.ends_with('a');
  if (target.archSpecific)
    arch.remove_suffix(1);
  const std::optional<int64_t> capability = parsePrefixed(arch, "sm_");
  if (!capability || !isKnown(int(std::clamp<int64_t>(*capability, 0, 999))))
    return refuse("unknown architecture");
  target.capability = int(*capability);
  if (target.archSpecific && target.capability < 90)
    return refuse("only sm_90 and later have an 'a' variant");
  size_t next = 1;
  if (next < tokens.size() && !parsePrefixed(tokens[next], "sms")) {
    if (!isName(tokens[next]))
      return refuse("a name is lower-case letters, digits, - and _");
    target.name = tokens[next++];
  }
  if (next < tokens.size()) {
    const std::optional<int64_t> sms = parsePrefixed(tokens[next], "sms");
    if (!sms || *sms < 1 || *sms > 4096)
      return refuse("expected sms<count>, 1 to 4096");
    target.smCount = int(*sms);
    ++next;
  }
  if (next != tokens.size())
    return refuse("too many words");
  return target;
}

Result<std::vector<Target>> Target::parseList(std::string_view text) {
  std::vector<Target> targets;
  for (std::string_view piece : splitAt(text, ',')) {
    GPTQC_ASSIGN(Target target, parse(trim(piece)));
    targets.push_back(std::move(target));
  }
  return targets;
}

std::string Target::arch() const {
  return fmt::format("sm_{}{}", capability, archSpecific ? "a" : "");
}

std::string Target::print() const {
  std::string text = arch();
  if (!name.empty())
    text += " " + name;
  if (smCount > 0)
    text += fmt::format(" sms{}", smCount);
  return text;
}

int Target::maxSharedMemory() const { return factsOf(capability).sharedKilobytes * 1024; }

int Target::plannedSmCount() const {
  return smCount > 0 ? smCount : factsOf(capability).typicalSms;
}

} // namespace gptqc
