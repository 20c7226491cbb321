// What a checkpoint's configuration says about its quantization: every spelling that the known
// writers use, reduced to one value type, plus what contradicts itself.
#ifndef GPTQC_RUNTIME_CHECKPOINT_QUANTCONFIG_H
#define GPTQC_RUNTIME_CHECKPOINT_QUANTCONFIG_H

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime/checkpoint/GptqWords.h"
#include "runtime/checkpoint/HfFolder.h"

namespace gptqc {

/// `gptq`: v1 zeros, continuous. `gptq_v2`: v2 zeros, continuous. `gptq_p`: v2 zeros, planar.
enum class FileFormat { Gptq, GptqV2, GptqPlanar };
std::string_view fileFormatName(FileFormat format);
/// "gptq", "gptq_v2" or "gptq_p" (also "gemm", an old name of gptq).
std::optional<FileFormat> fileFormatFrom(std::string_view name);

/// What one module uses after `dynamic` overrides.
struct ModuleConfig {
  int bits = 4;
  int64_t groupSize = 128; ///< -1: one group
  bool sym = true;
  bool descAct = false;
  FileFormat format = FileFormat::Gptq; ///< already gptq_p for 5, 6 and 7 bits
  bool operator==(const ModuleConfig &) const = default;
};

/// A compiled regular expression; its library stays out of this header.
class NamePattern;

/// One entry of `dynamic`, in file order.
struct DynamicRule {
  bool skip = false;                           ///< "-:": matching modules are not quantized
  std::string pattern;                         ///< without its prefix
  std::shared_ptr<const NamePattern> compiled; ///< matched at the start of the module's name
  std::optional<int> bits;
  std::optional<int64_t> groupSize;
  std::optional<bool> sym, descAct;
  // What only a solver reads.
  std::optional<double> damp;
  std::optional<bool> mse, staticGroups, actGroupAware;
};

/// Who wrote the file, from meta.quantizer and the keys that only one tool writes.
struct WriterIdentity {
  std::string name; ///< "gptqmodel", "autogptq", ...; empty: unknown
  int major = 0, minor = 0, patch = 0;
  bool versionKnown = false;

  bool isBefore(int otherMajor, int otherMinor) const {
    return major != otherMajor ? major < otherMajor : minor < otherMinor;
  }
  /// Reads "gptqmodel:7.1.0".
  static WriterIdentity parse(std::string_view text);
};

class QuantConfig {
public:
  /// Parses one configuration object. `source` names its file in messages. InvalidArgument,
  /// Unsupported or DataCorrupt with the key and the remedy.
  static Result<QuantConfig> parse(const nlohmann::ordered_json &object, const std::string &source);

  /// The first of quantize_config.json, quant_config.json and config.json's quantization_config.
  /// NotFound when the folder has none. What the others contradict is appended to conflicts().
  static Result<QuantConfig> load(const HfFolder &folder);

  /// No value: a "-:" rule skips the module. "-:" rules are tried first, then the first match wins.
  std::optional<ModuleConfig> module(std::string_view name) const;

  /// The rule whose overrides a module gets; null when there is none.
  const DynamicRule *ruleFor(std::string_view name) const;
  /// Patterns of the rules that decide nothing about `modules`: none has such a name, or other
  /// rules come first. One that skips the output layer is not listed, which is dense mostly.
  std::vector<std::string> idleRules(const std::vector<std::string> &modules) const;

  const std::string &source() const { return sourceName; }
  const ModuleConfig &defaults() const { return base; }
  const std::vector<DynamicRule> &dynamicRules() const { return rules; }
  const WriterIdentity &writer() const { return writerId; }
  bool symGiven() const { return symWasGiven; }
  /// Keys that contradict each other, in this file or between files; one line each.
  const std::vector<std::string> &conflicts() const { return conflictLines; }

private:
  Status parseModuleKeys(const nlohmann::ordered_json &object);
  Status parseFormat(const nlohmann::ordered_json &object);
  Status parseDynamic(const nlohmann::ordered_json &object);
  void parseWriter(const nlohmann::ordered_json &object);
  void compareWith(const QuantConfig &other);

  std::string sourceName;
  ModuleConfig base;
  FileFormat declaredFormat = FileFormat::Gptq;
  bool symWasGiven = false;
  std::vector<DynamicRule> rules;
  WriterIdentity writerId;
  std::vector<std::string> conflictLines;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CHECKPOINT_QUANTCONFIG_H
