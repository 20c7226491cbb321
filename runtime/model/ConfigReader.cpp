// Checks of single values, and the two spellings of rope.
#include "runtime/model/ConfigReader.h"

#include <climits>
#include <cmath>

#include "runtime/core/SafeTensors.h"

namespace gptqc {
namespace {

using OrderedJson = nlohmann::ordered_json;

Status wrong(const char *key, const OrderedJson &value, std::string_view wanted) {
  return dataCorrupt("config.json: {} is {}, which is no {}", key, quoteName(value.dump()), wanted);
}

bool isInteger(const OrderedJson &value, int64_t lowest) {
  return value.is_number_integer() && value.get<int64_t>() >= lowest &&
         value.get<int64_t>() <= INT_MAX;
}

Status readStretching(const ConfigReader &config, RopeParameters &rope, int64_t positions) {
  GPTQC_ASSIGN(rope.factor, config.number("factor", 1));
  GPTQC_ASSIGN(rope.originalPositions,
               config.integer("original_max_position_embeddings", positions));
  GPTQC_ASSIGN(rope.lowFrequency, config.number("low_freq_factor", 1));
  GPTQC_ASSIGN(rope.highFrequency, config.number("high_freq_factor", 4));
  GPTQC_ASSIGN(rope.betaFast, config.number("beta_fast", 32));
  GPTQC_ASSIGN(rope.betaSlow, config.number("beta_slow", 1));
  GPTQC_ASSIGN(rope.mscale, config.number("mscale", 0));
  GPTQC_ASSIGN(rope.mscaleAllDim, config.number("mscale_all_dim", 0));
  GPTQC_ASSIGN(rope.truncate, config.flag("truncate", true));
  GPTQC_ASSIGN(const double attention, config.number("attention_factor", -1));
  if (attention >= 0)
    rope.attentionFactor = attention;
  if (!(rope.factor > 0) || rope.originalPositions < 1 ||
      !(rope.highFrequency > rope.lowFrequency) || !(rope.lowFrequency > 0))
    return dataCorrupt("config.json: the factors of rope_scaling are out of range");
  return Status();
}

Result<RopeParameters::Kind> ropeKind(const std::string &name) {
  using Kind = RopeParameters::Kind;
  for (const auto &[known, kind] :
       {std::pair("default", Kind::Default), std::pair("linear", Kind::Linear),
        std::pair("llama3", Kind::Llama3), std::pair("yarn", Kind::Yarn)})
    if (name == known)
      return kind;
  return makeError(Code::Unsupported,
                   "config.json: rope type '{}' cannot be run; supported: default, linear, llama3, "
                   "yarn",
                   quoteName(name));
}

} // namespace

const OrderedJson *ConfigReader::find(const char *key) const {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Result<int64_t> ConfigReader::size(const char *key) const {
  const OrderedJson *value = find(key);
  if (!value)
    return dataCorrupt("config.json: {} is missing", key);
  if (!isInteger(*value, 1))
    return wrong(key, *value, "positive integer");
  return value->get<int64_t>();
}

Result<int64_t> ConfigReader::integer(const char *key, int64_t absent) const {
  const OrderedJson *value = find(key);
  if (value && !isInteger(*value, 0))
    return wrong(key, *value, "integer");
  return value ? value->get<int64_t>() : absent;
}

Result<double> ConfigReader::number(const char *key, double absent) const {
  const OrderedJson *value = find(key);
  if (value && (!value->is_number() || !std::isfinite(value->get<double>())))
    return wrong(key, *value, "number");
  return value ? value->get<double>() : absent;
}

Result<bool> ConfigReader::flag(const char *key, bool absent) const {
  const OrderedJson *value = find(key);
  if (value && !value->is_boolean())
    return wrong(key, *value, "boolean");
  return value ? value->get<bool>() : absent;
}

Result<std::string> ConfigReader::text(const char *key, const std::string &absent) const {
  const OrderedJson *value = find(key);
  if (value && !value->is_string())
    return wrong(key, *value, "text");
  return value ? value->get<std::string>() : absent;
}

Result<std::vector<std::string>> ConfigReader::texts(const char *key) const {
  std::vector<std::string> list;
  const OrderedJson *value = find(key);
  for (const OrderedJson &entry : value ? *value : OrderedJson::array()) {
    if (!value->is_array() || !entry.is_string())
      return wrong(key, *value, "list of texts");
    list.push_back(entry.get<std::string>());
  }
  return list;
}

Result<std::vector<int32_t>> ConfigReader::integers(const char *key) const {
  std::vector<int32_t> list;
  const OrderedJson *value = find(key);
  if (!value)
    return list;
  for (const OrderedJson &entry : value->is_array() ? *value : OrderedJson::array({*value})) {
    if (!isInteger(entry, 0))
      return wrong(key, *value, "token id or list of them");
    list.push_back(entry.get<int32_t>());
  }
  return list;
}

Result<Activation> ConfigReader::activation(const char *key, const std::string &absent) const {
  GPTQC_ASSIGN(const std::string name, text(key, absent));
  for (const auto &[known, value] :
       {std::pair("silu", Activation::Silu), std::pair("swish", Activation::Silu),
        std::pair("relu", Activation::Relu), std::pair("gelu", Activation::Gelu),
        std::pair("gelu_new", Activation::GeluTanh),
        std::pair("gelu_pytorch_tanh", Activation::GeluTanh)})
    if (name == known)
      return value;
  return makeError(Code::Unsupported,
                   "config.json: {} '{}' cannot be run; supported: silu, relu, gelu, gelu_new, "
                   "gelu_pytorch_tanh",
                   key, quoteName(name));
}

Result<std::optional<RopeParameters>> ConfigReader::rope(int64_t positions) const {
  RopeParameters rope;
  GPTQC_ASSIGN(rope.theta, number("rope_theta", 10000));
  const OrderedJson *nested = find("rope_parameters");
  if (!nested)
    nested = find("rope_scaling");
  if (nested && !nested->is_object())
    return wrong("rope_scaling", *nested, "object");
  if (nested) {
    const ConfigReader reader(*nested);
    GPTQC_ASSIGN(const std::string old, reader.text("type", "default"));
    GPTQC_ASSIGN(const std::string name, reader.text("rope_type", old));
    GPTQC_ASSIGN(rope.kind, ropeKind(name));
    GPTQC_ASSIGN(rope.theta, reader.number("rope_theta", rope.theta));
    GPTQC_TRY(readStretching(reader, rope, positions));
    GPTQC_ASSIGN(const double partial, reader.number("partial_rotary_factor", 1));
    if (partial != 1)
      return makeError(Code::Unsupported,
                       "config.json: partial_rotary_factor {} cannot be run; only 1", partial);
  }
  if (!(rope.theta > 1))
    return dataCorrupt("config.json: rope_theta {} is not above 1", rope.theta);
  return std::optional(rope);
}

} // namespace gptqc
