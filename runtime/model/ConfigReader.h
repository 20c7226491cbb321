// Typed access to config.json: every value is checked, an absent or null one has a default.
#ifndef GPTQC_RUNTIME_MODEL_CONFIGREADER_H
#define GPTQC_RUNTIME_MODEL_CONFIGREADER_H

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime/core/Status.h"
#include "runtime/model/ModelConfig.h"

namespace gptqc {

/// Borrows the JSON object. Errors are DataCorrupt and name the key.
class ConfigReader {
public:
  explicit ConfigReader(const nlohmann::ordered_json &object) : object(object) {}

  /// A required size: 1 .. 2^31 - 1.
  Result<int64_t> size(const char *key) const;
  /// 0 .. 2^31 - 1.
  Result<int64_t> integer(const char *key, int64_t absent) const;
  Result<double> number(const char *key, double absent) const;
  Result<bool> flag(const char *key, bool absent) const;
  Result<std::string> text(const char *key, const std::string &absent) const;
  /// A list of strings; empty when absent.
  Result<std::vector<std::string>> texts(const char *key) const;
  /// One integer or a list of them, as eos_token_id is given; empty when absent.
  Result<std::vector<int32_t>> integers(const char *key) const;

  /// Unsupported for an activation function that we do not have.
  Result<Activation> activation(const char *key, const std::string &absent) const;

  /// rope_parameters, or rope_theta with rope_scaling; `positions` is max_position_embeddings.
  /// Unsupported for other kinds than default, linear, llama3 and yarn.
  Result<std::optional<RopeParameters>> rope(int64_t positions) const;

private:
  /// Null when absent or null.
  const nlohmann::ordered_json *find(const char *key) const;

  const nlohmann::ordered_json &object;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_CONFIGREADER_H
