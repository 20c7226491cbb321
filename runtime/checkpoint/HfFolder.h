// A Hugging Face model folder: config.json and the tensors of one safetensors file or of an index
// with shards. Knows nothing of quantization.
#ifndef GPTQC_RUNTIME_CHECKPOINT_HFFOLDER_H
#define GPTQC_RUNTIME_CHECKPOINT_HFFOLDER_H

#include <functional>
#include <optional>

#include <nlohmann/json.hpp>

#include "runtime/core/Descriptor.h"
#include "runtime/core/SafeTensors.h"

namespace gptqc {

/// A tensor of the folder; valid as long as the folder lives.
struct TensorRef {
  const SafeTensorsFile *file = nullptr;
  const TensorInfo *info = nullptr;
  std::span<const uint8_t> bytes() const { return file->bytes(*info); }
};

/// Immutable and thread-safe once open; cheap to copy (shares the mappings).
class HfFolder {
public:
  /// Maps every weight file. Errors name the file: no folder, no weights, pickle weights only, a
  /// missing shard, an index that points outside the folder or at tensors a shard lacks.
  static Result<HfFolder> open(const std::filesystem::path &directory);

  const std::filesystem::path &directory() const { return dir; }
  /// config.json; an empty object when the folder has none.
  const nlohmann::ordered_json &config() const { return configJson; }
  /// In order of their names.
  const std::map<std::string, TensorRef, std::less<>> &tensors() const { return table; }
  /// Null when there is none.
  const TensorRef *find(std::string_view name) const;
  /// Names of weight files, in order.
  const std::vector<std::string> &weightFiles() const { return fileNames; }
  /// Tensors that a shard holds but the index does not list; readers never see them.
  const std::vector<std::string> &unlisted() const { return unlistedNames; }

  std::string modelType() const;
  /// Activation type of the model: BF16 when config.json says bfloat16, else F16.
  DType activationType() const;

private:
  Status openSingle(const std::string &name);
  Status openIndex(const nlohmann::json &index);

  std::filesystem::path dir;
  nlohmann::ordered_json configJson = nlohmann::ordered_json::object();
  std::vector<std::string> fileNames;
  std::vector<std::shared_ptr<const SafeTensorsFile>> files;
  std::map<std::string, TensorRef, std::less<>> table;
  std::vector<std::string> unlistedNames;
};

/// Reads a JSON object, keys in file order (the first match of quantization overrides wins); no
/// value when the file does not exist, DataCorrupt when it holds something else. For files of up to
/// 16 MB.
Result<std::optional<nlohmann::ordered_json>> readJsonObject(const std::filesystem::path &path);

/// The same for very many keys, which it sorts, and up to 256 MB: an index, a vocabulary.
Result<std::optional<nlohmann::json>> readJsonTable(const std::filesystem::path &path);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CHECKPOINT_HFFOLDER_H
