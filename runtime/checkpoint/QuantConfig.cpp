// Keys, synonyms and `dynamic` of a GPTQ configuration.
#include "runtime/checkpoint/QuantConfig.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "runtime/checkpoint/NamePattern.h"
#include "runtime/core/TextForm.h"

namespace gptqc {

namespace {

using json = nlohmann::ordered_json;

std::string shown(const json &value) { return quoteName(value.dump()); }

std::optional<int64_t> asInteger(const json &value) {
  if (value.is_number_integer()) {
    if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t(INT64_MAX))
      return std::nullopt;
    return value.get<int64_t>();
  }
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::abs(number) < 1e15 && number == std::floor(number))
      return int64_t(number);
  }
  if (value.is_string()) {
    const std::string &text = value.get_ref<const std::string &>();
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size())
      return number;
  }
  return std::nullopt;
}

std::optional<bool> asBool(const json &value) {
  if (value.is_boolean())
    return value.get<bool>();
  if (value.is_number_integer() && (value == 0 || value == 1))
    return value == 1;
  if (value.is_string() && (value == "true" || value == "True"))
    return true;
  if (value.is_string() && (value == "false" || value == "False"))
    return false;
  return std::nullopt;
}

/// The values of a key and its synonyms, null ones left out; `spelling` says how each was written.
struct Found {
  std::string spelling;
  json value;
};
std::vector<Found> findAll(const json &object, std::initializer_list<const char *> spellings) {
  std::vector<Found> found;
  for (const char *spelling : spellings)
    if (const auto it = object.find(spelling); it != object.end() && !it->is_null())
      found.push_back({spelling, *it});
  return found;
}

Result<int> checkBits(const json &value, std::string_view key) {
  const std::optional<int64_t> bits = asInteger(value);
  if (!bits || *bits < 2 || *bits > 8)
    return invalidArgument("{} is {}; GPTQ files have 2 to 8 bits", key, shown(value));
  return int(*bits);
}

Result<int64_t> checkGroupSize(const json &value, std::string_view key) {
  const std::optional<int64_t> size = asInteger(value);
  if (!size || *size == 0 || *size < -1 || *size > (int64_t(1) << 32))
    return invalidArgument("{} is {}; use -1 or a positive number of columns", key, shown(value));
  return *size;
}

Result<bool> checkBool(const json &value, std::string_view key) {
  const std::optional<bool> flag = asBool(value);
  if (!flag)
    return invalidArgument("{} is {}; use true or false", key, shown(value));
  return *flag;
}

/// The overrides that do not show in the file: damping, grid search, order.
Status parseSolverKeys(const json &values, const std::string &where, DynamicRule &rule) {
  if (const auto damp = values.find("damp_percent"); damp != values.end()) {
    if (!damp->is_number())
      return invalidArgument("{} damp_percent is {}; use a number", where, shown(*damp));
    rule.damp = damp->get<double>();
  }
  if (const auto mse = values.find("mse"); mse != values.end()) // GPTQModel: the exponent, 0 is off
    rule.mse = mse->is_number() ? mse->get<double>() > 0 : asBool(*mse).value_or(false);
  if (const auto groups = values.find("static_groups"); groups != values.end()) {
    GPTQC_ASSIGN(rule.staticGroups, checkBool(*groups, where + " static_groups"));
  }
  if (const auto aware = values.find("act_group_aware"); aware != values.end()) {
    GPTQC_ASSIGN(rule.actGroupAware, checkBool(*aware, where + " act_group_aware"));
  }
  return Status();
}

/// Codes of more than four bits that are no byte exist in planar form alone.
FileFormat formatFor(int bits, FileFormat declared) {
  return bits >= 5 && bits <= 7 ? FileFormat::GptqPlanar : declared;
}

} // namespace

std::string_view fileFormatName(FileFormat format) {
  switch (format) {
  case FileFormat::Gptq:
    return "gptq";
  case FileFormat::GptqV2:
    return "gptq_v2";
  case FileFormat::GptqPlanar:
    return "gptq_p";
  }
  return "unknown";
}

std::optional<FileFormat> fileFormatFrom(std::string_view name) {
  if (name == "gptq" || name == "gemm" || name.empty())
    return FileFormat::Gptq;
  if (name == "gptq_v2")
    return FileFormat::GptqV2;
  if (name == "gptq_p")
    return FileFormat::GptqPlanar;
  return std::nullopt;
}

WriterIdentity WriterIdentity::parse(std::string_view text) {
  WriterIdentity writer;
  const size_t colon = text.find(':');
  writer.name = std::string(text.substr(0, colon));
  std::transform(writer.name.begin(), writer.name.end(), writer.name.begin(),
                 [](unsigned char c) { return char(std::tolower(c)); });
  if (colon == std::string_view::npos)
    return writer;
  const char *at = text.data() + colon + 1, *end = text.data() + text.size();
  for (int *part : {&writer.major, &writer.minor, &writer.patch}) {
    const auto [next, error] = std::from_chars(at, end, *part);
    if (error != std::errc())
      break;
    writer.versionKnown = true;
    at = next;
    if (at == end || *at != '.')
      break;
    ++at;
  }
  return writer;
}

Result<QuantConfig> QuantConfig::parse(const json &object, const std::string &source) {
  QuantConfig config;
  config.sourceName = source;
  if (!object.is_object())
    return dataCorrupt("{}: the quantization configuration is no object", source);
  for (const Found &method : findAll(object, {"quant_method", "method"}))
    if (method.value != "gptq")
      return makeError(Code::Unsupported, "{}: {} is {}; only gptq checkpoints can be read", source,
                       method.spelling, shown(method.value));
  GPTQC_TRY(config.parseModuleKeys(object).withContext(source));
  GPTQC_TRY(config.parseFormat(object).withContext(source));
  config.base.format = formatFor(config.base.bits, config.declaredFormat);
  GPTQC_TRY(config.parseDynamic(object).withContext(source));
  config.parseWriter(object);
  return config;
}

Status QuantConfig::parseModuleKeys(const json &object) {
  const auto conflict = [&](const Found &kept, const Found &other) {
    conflictLines.push_back(fmt::format("{}: {} is {} but {} is {}", sourceName, kept.spelling,
                                        shown(kept.value), other.spelling, shown(other.value)));
  };
  const std::vector<Found> bits = findAll(object, {"bits", "w_bit", "wbits"});
  if (bits.empty())
    return invalidArgument("no bits; add the number of bits of a weight");
  GPTQC_ASSIGN(base.bits, checkBits(bits[0].value, bits[0].spelling));
  for (const Found &other : bits)
    if (asInteger(other.value) != base.bits)
      conflict(bits[0], other);
  const std::vector<Found> group = findAll(object, {"group_size", "q_group_size"});
  if (group.empty())
    return invalidArgument("no group_size (tools disagree on its default); add it");
  GPTQC_ASSIGN(base.groupSize, checkGroupSize(group[0].value, group[0].spelling));
  for (const Found &other : group)
    if (asInteger(other.value) != base.groupSize)
      conflict(group[0], other);
  for (const Found &sym : findAll(object, {"sym"})) {
    GPTQC_ASSIGN(base.sym, checkBool(sym.value, "sym"));
    symWasGiven = true;
  }
  for (const Found &zeroPoint : findAll(object, {"zero_point"})) {
    GPTQC_ASSIGN(const bool hasZeros, checkBool(zeroPoint.value, "zero_point"));
    if (symWasGiven && base.sym == hasZeros)
      conflict({"sym", base.sym}, zeroPoint);
    if (!symWasGiven)
      base.sym = !hasZeros;
    symWasGiven = true;
  }
  for (const Found &descAct : findAll(object, {"desc_act"})) {
    GPTQC_ASSIGN(base.descAct, checkBool(descAct.value, "desc_act"));
  }
  for (const Found &pack : findAll(object, {"pack_dtype"}))
    if (pack.value != "int32" && pack.value != "torch.int32")
      return makeError(Code::Unsupported, "pack_dtype is {}; pack it again with int32",
                       shown(pack.value));
  return Status();
}

Status QuantConfig::parseFormat(const json &object) {
  const auto unsupported = [](const std::string &what) {
    return makeError(Code::Unsupported, "{}; convert the checkpoint to gptq or gptq_v2 first",
                     what);
  };
  for (const Found &marlin : findAll(object, {"is_marlin_format"}))
    if (marlin.value == true)
      return unsupported("is_marlin_format is set");
  const std::vector<Found> formats = findAll(object, {"checkpoint_format", "format", "version"});
  bool given = false;
  for (const Found &found : formats) {
    std::string name =
        found.value.is_string() ? found.value.get<std::string>() : shown(found.value);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return char(std::tolower(c)); });
    const std::optional<FileFormat> format = fileFormatFrom(name);
    if (!format)
      return unsupported(fmt::format("{} is {}", found.spelling, shown(found.value)));
    if (!given)
      declaredFormat = *format;
    else if (*format != declaredFormat)
      conflictLines.push_back(fmt::format("{}: {} is {} but {} is {}", sourceName,
                                          formats[0].spelling, shown(formats[0].value),
                                          found.spelling, shown(found.value)));
    given = true;
  }
  return Status();
}

Status QuantConfig::parseDynamic(const json &object) {
  const auto dynamic = object.find("dynamic");
  if (dynamic == object.end() || dynamic->is_null())
    return Status();
  if (!dynamic->is_object())
    return invalidArgument("dynamic is {}; it maps patterns to overrides", shown(*dynamic));
  for (const auto &[key, overrides] : dynamic->items()) {
    DynamicRule rule;
    rule.skip = key.rfind("-:", 0) == 0;
    rule.pattern = rule.skip || key.rfind("+:", 0) == 0 ? key.substr(2) : key;
    constexpr size_t kLongestPattern = 1000;
    if (rule.pattern.size() > kLongestPattern)
      return invalidArgument("a pattern of dynamic has {} characters; at most {} are read",
                             rule.pattern.size(), kLongestPattern);
    try {
      rule.compiled = std::make_shared<const NamePattern>(rule.pattern);
    } catch (const std::regex_error &) {
      return invalidArgument("dynamic pattern '{}' is no regular expression that can be read; "
                             "rewrite it without look-behind, back-references and inline flags",
                             quoteName(rule.pattern));
    }
    if (!rule.skip && !overrides.is_object() && !overrides.is_null())
      return invalidArgument("dynamic '{}' maps to {}; use an object of overrides", quoteName(key),
                             shown(overrides));
    const json values = overrides.is_object() ? overrides : json::object();
    const std::string where = fmt::format("dynamic '{}'", quoteName(key));
    for (const Found &bits : findAll(values, {"bits"})) {
      GPTQC_ASSIGN(rule.bits, checkBits(bits.value, where + " bits"));
    }
    for (const Found &group : findAll(values, {"group_size"})) {
      GPTQC_ASSIGN(rule.groupSize, checkGroupSize(group.value, where + " group_size"));
    }
    for (const Found &sym : findAll(values, {"sym"})) {
      GPTQC_ASSIGN(rule.sym, checkBool(sym.value, where + " sym"));
    }
    for (const Found &descAct : findAll(values, {"desc_act"})) {
      GPTQC_ASSIGN(rule.descAct, checkBool(descAct.value, where + " desc_act"));
    }
    GPTQC_TRY(parseSolverKeys(values, where, rule));
    rules.push_back(std::move(rule));
  }
  return Status();
}

void QuantConfig::parseWriter(const json &object) {
  const auto meta = object.find("meta");
  if (meta != object.end() && meta->is_object()) {
    if (const auto quantizer = meta->find("quantizer"); quantizer != meta->end()) {
      const json list = quantizer->is_array() ? *quantizer : json::array({*quantizer});
      for (const json &entry : list) {
        if (!entry.is_string())
          continue;
        // optimum names itself first, then the library that packed the words
        WriterIdentity writer = WriterIdentity::parse(entry.get_ref<const std::string &>());
        if (writerId.name.empty() || writer.name == "gptqmodel")
          writerId = std::move(writer);
      }
      return;
    }
  }
  if (object.contains("model_file_base_name") || object.contains("is_marlin_format"))
    writerId.name = "autogptq";
}

void QuantConfig::compareWith(const QuantConfig &other) {
  const auto compare = [&](std::string_view key, const auto &mine, const auto &theirs) {
    if (mine != theirs)
      conflictLines.push_back(fmt::format("{}: {} is {} but {} says {}", sourceName, key, mine,
                                          other.sourceName, theirs));
  };
  compare("bits", base.bits, other.base.bits);
  compare("group_size", base.groupSize, other.base.groupSize);
  if (symWasGiven && other.symWasGiven)
    compare("sym", base.sym, other.base.sym);
  compare("desc_act", base.descAct, other.base.descAct);
  compare("checkpoint_format", fileFormatName(base.format), fileFormatName(other.base.format));
  compare("number of dynamic rules", rules.size(), other.rules.size());
}

Result<QuantConfig> QuantConfig::load(const HfFolder &folder) {
  std::vector<std::pair<std::string, json>> sources;
  for (const char *name : {"quantize_config.json", "quant_config.json"}) {
    GPTQC_ASSIGN(std::optional<json> object, readJsonObject(folder.directory() / name));
    if (object)
      sources.emplace_back((folder.directory() / name).string(), std::move(*object));
  }
  const auto inner = folder.config().find("quantization_config");
  if (inner != folder.config().end() && !inner->is_null())
    sources.emplace_back((folder.directory() / "config.json").string() + " quantization_config",
                         *inner);
  if (sources.empty())
    return makeError(Code::NotFound,
                     "{}: no quantization configuration; is it a quantized model? (gptqc quantize "
                     "makes one)",
                     folder.directory().string());
  GPTQC_ASSIGN(QuantConfig config, QuantConfig::parse(sources[0].second, sources[0].first));
  for (size_t i = 1; i < sources.size(); ++i) {
    const Result<QuantConfig> other = QuantConfig::parse(sources[i].second, sources[i].first);
    if (other.ok())
      config.compareWith(*other);
    else
      config.conflictLines.push_back(other.status().message());
  }
  return config;
}

const DynamicRule *QuantConfig::ruleFor(std::string_view name) const {
  for (const DynamicRule &rule : rules)
    if (!rule.skip && rule.compiled->matchesStartOf(name))
      return &rule;
  return nullptr;
}

std::optional<ModuleConfig> QuantConfig::module(std::string_view name) const {
  ModuleConfig result = base;
  for (const DynamicRule &rule : rules)
    if (rule.skip && rule.compiled->matchesStartOf(name))
      return std::nullopt;
  if (const DynamicRule *rule = ruleFor(name)) {
    result.bits = rule->bits.value_or(result.bits);
    result.groupSize = rule->groupSize.value_or(result.groupSize);
    result.sym = rule->sym.value_or(result.sym);
    result.descAct = rule->descAct.value_or(result.descAct);
  }
  result.format = formatFor(result.bits, declaredFormat);
  return result;
}

std::vector<std::string> QuantConfig::idleRules(const std::vector<std::string> &modules) const {
  std::vector<std::string> idle;
  for (const DynamicRule &rule : rules) {
    const bool decides = std::any_of(modules.begin(), modules.end(), [&](const std::string &name) {
      return rule.skip ? rule.compiled->matchesStartOf(name)
                       : module(name) && ruleFor(name) == &rule;
    });
    if (!decides && !(rule.skip && rule.compiled->matchesStartOf("lm_head")))
      idle.push_back(rule.pattern);
  }
  return idle;
}

} // namespace gptqc
