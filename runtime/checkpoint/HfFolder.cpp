// Which files of the folder hold the weights, and the table of all tensors.
#include "runtime/checkpoint/HfFolder.h"

#include <algorithm>

#include "runtime/core/AtomicFile.h"
#include "runtime/core/TextForm.h"

namespace gptqc {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndexName = "model.safetensors.index.json";

/// A shard is a plain file name beside the index: an index from elsewhere must not open other
/// files.
bool isPlainName(const std::string &name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

/// Weight files that are there when no standard name is: the older quantizers'
/// gptq_model-*.safetensors.
std::vector<std::string> safetensorsIn(const fs::path &dir, bool &hasPickle) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    const std::string extension = it->path().extension().string();
    if (extension == ".safetensors" && name != "eora.safetensors")
      names.push_back(name);
    hasPickle |= extension == ".bin" || extension == ".pt" || extension == ".pth";
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// Json is nlohmann::json (fast for many keys) or nlohmann::ordered_json (keeps the file's order).
template <typename Json>
Result<std::optional<Json>> readObject(const fs::path &path, uint64_t largest) {
  Result<std::vector<uint8_t>> bytes = readFile(path, largest);
  if (!bytes.ok()) {
    if (bytes.status().code() == Code::NotFound)
      return std::optional<Json>();
    return bytes.status();
  }
  // Printing and copying a value recurse; no known file has more than a handful of levels.
  constexpr int kDeepest = 100;
  bool tooDeep = false;
  const auto watchDepth = [&](int depth, typename Json::parse_event_t, Json &) {
    tooDeep |= depth > kDeepest;
    return !tooDeep;
  };
  Json value = Json::parse(bytes->begin(), bytes->end(), watchDepth, false);
  if (tooDeep)
    return dataCorrupt("{} is nested more than {} levels deep; fetch or repair it", path.string(),
                       kDeepest);
  if (value.is_discarded() || !value.is_object())
    return dataCorrupt("{} is no JSON object; fetch or repair it", path.string());
  return std::optional<Json>(std::move(value));
}

} // namespace

Result<std::optional<nlohmann::ordered_json>> readJsonObject(const fs::path &path) {
  return readObject<nlohmann::ordered_json>(path, 16 << 20);
}

Result<std::optional<nlohmann::json>> readJsonTable(const fs::path &path) {
  return readObject<nlohmann::json>(path, 256 << 20);
}

Result<HfFolder> HfFolder::open(const fs::path &directory) {
  std::error_code error;
  if (!fs::is_directory(directory, error))
    return makeError(Code::NotFound, "{} is no folder; give the folder that holds config.json",
                     directory.string());
  HfFolder folder;
  folder.dir = directory;
  GPTQC_ASSIGN(std::optional<nlohmann::ordered_json> config,
               readJsonObject(directory / "config.json"));
  if (config)
    folder.configJson = std::move(*config);
  if (fs::exists(directory / "model.safetensors", error)) {
    GPTQC_TRY(folder.openSingle("model.safetensors"));
    return folder;
  }
  GPTQC_ASSIGN(std::optional<nlohmann::json> index, readJsonTable(directory / kIndexName));
  if (index) {
    GPTQC_TRY(folder.openIndex(*index));
    return folder;
  }
  bool hasPickle = false;
  const std::vector<std::string> names = safetensorsIn(directory, hasPickle);
  if (names.size() == 1) {
    GPTQC_TRY(folder.openSingle(names[0]));
    return folder;
  }
  if (names.size() > 1)
    return makeError(Code::NotFound, "{}: {} safetensors files but no {}; fetch the index",
                     directory.string(), names.size(), kIndexName);
  if (hasPickle)
    return makeError(
        Code::Unsupported,
        "{}: the weights are PyTorch pickle files; save the model as safetensors first",
        directory.string());
  return makeError(Code::NotFound, "{}: no model.safetensors and no {}", directory.string(),
                   kIndexName);
}

Status HfFolder::openSingle(const std::string &name) {
  GPTQC_ASSIGN(std::shared_ptr<const SafeTensorsFile> file, SafeTensorsFile::open(dir / name));
  for (const TensorInfo &info : file->tensors())
    table[info.name] = TensorRef{file.get(), &info};
  fileNames.push_back(name);
  files.push_back(std::move(file));
  return Status();
}

Status HfFolder::openIndex(const nlohmann::json &index) {
  const std::string indexPath = (dir / kIndexName).string();
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object())
    return dataCorrupt("{}: no weight_map object; fetch it again", indexPath);
  std::map<std::string, std::shared_ptr<const SafeTensorsFile>> shards;
  for (const auto &[tensor, shard] : map->items()) {
    if (!shard.is_string() || !isPlainName(shard.get_ref<const std::string &>()))
      return dataCorrupt("{}: tensor '{}' is not in a file of this folder ({})", indexPath,
                         quoteName(tensor), quoteName(shard.dump()));
    const std::string name = shard.get<std::string>();
    std::shared_ptr<const SafeTensorsFile> &file = shards[name];
    if (!file) {
      Result<std::shared_ptr<const SafeTensorsFile>> opened = SafeTensorsFile::open(dir / name);
      if (!opened.ok() && opened.status().code() == Code::NotFound)
        return makeError(Code::NotFound, "{}: shard {} is missing; fetch it into {}", indexPath,
                         quoteName(name), dir.string());
      if (!opened.ok())
        return opened.status();
      file = std::move(*opened);
      fileNames.push_back(name);
      files.push_back(file);
    }
    const TensorInfo *info = file->find(tensor);
    if (!info)
      return dataCorrupt(
          "{}: tensor '{}' is not in shard {}; the index and the shards differ, fetch "
          "both again",
          indexPath, quoteName(tensor), quoteName(name));
    table[tensor] = TensorRef{file.get(), info};
  }
  std::sort(fileNames.begin(), fileNames.end());
  for (const auto &[name, file] : shards)
    for (const TensorInfo &info : file->tensors())
      if (!map->contains(info.name))
        unlistedNames.push_back(info.name);
  return Status();
}

const TensorRef *HfFolder::find(std::string_view name) const {
  const auto found = table.find(name);
  return found == table.end() ? nullptr : &found->second;
}

std::string HfFolder::modelType() const {
  const auto type = configJson.find("model_type");
  return type != configJson.end() && type->is_string() ? type->get<std::string>() : std::string();
}

DType HfFolder::activationType() const {
  const auto dtypeIn = [](const nlohmann::ordered_json &object) -> std::string {
    for (const char *key : {"dtype", "torch_dtype"})
      if (const auto it = object.find(key); it != object.end() && it->is_string())
        return it->get<std::string>();
    return "";
  };
  std::string dtype = dtypeIn(configJson);
  if (const auto text = configJson.find("text_config");
      dtype.empty() && text != configJson.end() && text->is_object())
    dtype = dtypeIn(*text);
  return dtype == "bfloat16" || dtype == "torch.bfloat16" ? DType::BF16 : DType::F16;
}

} // namespace gptqc
