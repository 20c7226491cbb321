// Plans all tensors first (shapes are known before any layer is quantized), then fills them in.
#include "runtime/checkpoint/CheckpointWriter.h"

#include <algorithm>
#include <set>

#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/core/AtomicFile.h"

namespace gptqc {
namespace {

namespace fs = std::filesystem;
using ordered_json = nlohmann::ordered_json;

/// What belongs to a model besides weights and configuration: tokenizer, generation settings, code,
/// terms.
bool isSideFile(const std::string &name) {
  static const std::set<std::string> kExtensions = {".json", ".txt",      ".model", ".jinja",
                                                    ".py",   ".tiktoken", ".bpe"};
  static const std::set<std::string> kOwn = {"config.json", "quantize_config.json",
                                             "quant_config.json"};
  if (name.empty() || name[0] == '.' || kOwn.contains(name) ||
      name.find(".index.json") != std::string::npos)
    return false;
  return kExtensions.contains(fs::path(name).extension().string()) ||
         name.rfind("LICENSE", 0) == 0 || name.rfind("NOTICE", 0) == 0;
}

} // namespace

Result<std::unique_ptr<CheckpointWriter>>
CheckpointWriter::create(const HfFolder &source, const std::vector<std::string> &modules,
                         const fs::path &output, WriterOptions options) {
  std::vector<fs::path> inputs = options.inputs;
  inputs.push_back(source.directory());
  GPTQC_ASSIGN(OutputFolder folder, OutputFolder::create(output, options.force, inputs));
  std::unique_ptr<CheckpointWriter> writer(
      new CheckpointWriter(source, std::move(folder), std::move(options)));
  std::vector<TensorPlan> plan;
  std::set<std::string> replaced;
  for (const std::string &module : modules) {
    GPTQC_TRY(writer->planLayer(module, plan).withContext(module));
    replaced.insert(module + ".weight");
  }
  for (const auto &[name, tensor] : source.tensors()) {
    if (replaced.contains(name))
      continue;
    plan.push_back({name, tensor.info->type, tensor.info->shape});
    writer->passedThrough.push_back(name);
  }
  GPTQC_TRY(writer->openShards(std::move(plan)));
  return writer;
}

Status CheckpointWriter::planLayer(const std::string &module, std::vector<TensorPlan> &plan) const {
  const TensorRef *weight = source.find(module + ".weight");
  if (!weight || weight->info->shape.size() != 2)
    return invalidArgument("its weight is no matrix; only linear layers can be quantized");
  const int64_t n = weight->info->shape[0], k = weight->info->shape[1];
  // 2, 4 and 8 bits could do with less, but the packers and kernels of the other readers want 32.
  if (n == 0 || k == 0 || n % 32 != 0 || k % 32 != 0)
    return invalidArgument(
        "N = {} and K = {} must be multiples of 32 for GPTQ packing; leave this layer "
        "unquantized",
        n, k);
  const int bits = configOf(module).bits;
  const int64_t size = configOf(module).groupSize;
  const int64_t groups = size < 0 || size >= k ? 1 : (k + size - 1) / size;
  plan.push_back({module + ".qweight", ElementType::I32, {packedWords(bits, k), n}});
  plan.push_back({module + ".qzeros", ElementType::I32, {groups, packedWords(bits, n)}});
  plan.push_back({module + ".scales", ElementType::F16, {groups, n}});
  plan.push_back({module + ".g_idx", ElementType::I32, {k}});
  return Status();
}

Status CheckpointWriter::openShards(std::vector<TensorPlan> plan) {
  std::sort(plan.begin(), plan.end(),
            [](const TensorPlan &a, const TensorPlan &b) { return naturalLess(a.name, b.name); });
  std::vector<std::vector<TensorPlan>> parts(1);
  uint64_t partBytes = 0;
  for (TensorPlan &tensor : plan) {
    const uint64_t bytes = tensor.bytes();
    if (!parts.back().empty() && partBytes + bytes > options.maxShardBytes) {
      parts.emplace_back();
      partBytes = 0;
    }
    partBytes += bytes;
    totalBytes += bytes;
    shardOf[tensor.name] = parts.size() - 1;
    parts.back().push_back(std::move(tensor));
  }
  std::error_code error;
  const fs::space_info space = fs::space(folder.path(), error);
  if (!error && space.available < totalBytes)
    return makeError(Code::IoError, "{}: {} bytes are free, {} are needed; choose another folder",
                     folder.path().parent_path().string(), space.available, totalBytes);
  for (size_t i = 0; i < parts.size(); ++i) {
    shardNames.push_back(
        parts.size() == 1 ? std::string("model.safetensors")
                          : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, parts.size()));
    GPTQC_ASSIGN(
        std::unique_ptr<SafeTensorsWriter> shard,
        SafeTensorsWriter::create(folder.path() / shardNames.back(), parts[i], {{"format", "pt"}}));
    shards.push_back(std::move(shard));
  }
  return Status();
}

Status CheckpointWriter::write(const std::string &tensor, std::span<const uint8_t> bytes) {
  return shards[shardOf.at(tensor)]->write(tensor, bytes);
}

const ModuleConfig &CheckpointWriter::configOf(const std::string &module) const {
  const auto own = options.modules.find(module);
  return own == options.modules.end() ? options.config : own->second;
}

Status CheckpointWriter::putLayer(const std::string &module, const QuantizedMatrix &matrix) {
  const Descriptor &descriptor = matrix.descriptor;
  return putPacked(module, matrix,
                   bytesOf(packRows(packingOf(options.config.format), descriptor.bits, descriptor.k,
                                    descriptor.n, matrix.codes)));
}

Status CheckpointWriter::putPacked(const std::string &module, const QuantizedMatrix &facts,
                                   std::span<const uint8_t> qweight) {
  const Descriptor &descriptor = facts.descriptor;
  if (descriptor.bits != configOf(module).bits || descriptor.scales != DType::F16 ||
      !shardOf.contains(module + ".qweight"))
    return makeError(Code::Internal, "{}: the layer is not what was planned", module);
  const bool minusOne = options.config.format == FileFormat::Gptq;
  std::vector<uint8_t> zeros = facts.zeros;
  if (zeros.empty())
    zeros.assign(size_t(facts.groups * descriptor.n), uint8_t(descriptor.symZero()));
  if (minusOne && std::find(zeros.begin(), zeros.end(), uint8_t(0)) != zeros.end())
    return invalidArgument("{}: a zero point is 0, which format gptq cannot hold; use gptq_v2",
                           module);
  std::vector<int32_t> groupIndex = facts.groupIndex;
  for (int64_t k = 0; facts.groupIndex.empty() && k < descriptor.k; ++k)
    groupIndex.push_back(int32_t(facts.groupOf(k)));
  GPTQC_TRY(write(module + ".qweight", qweight));
  GPTQC_TRY(
      write(module + ".qzeros", bytesOf(packZeros(packingOf(options.config.format), descriptor.bits,
                                                  facts.groups, descriptor.n, zeros, minusOne))));
  GPTQC_TRY(write(module + ".scales", bytesOf(facts.scales)));
  return write(module + ".g_idx", bytesOf(groupIndex));
}

Status CheckpointWriter::putFile(const std::string &name, std::string_view text) {
  return writeFileAtomically(folder.path() / name, text);
}

Status CheckpointWriter::finish() {
  for (const std::string &name : passedThrough)
    GPTQC_TRY(write(name, source.find(name)->bytes()));
  for (const std::unique_ptr<SafeTensorsWriter> &shard : shards)
    GPTQC_TRY(shard->finish());
  if (shards.size() > 1) {
    ordered_json index = {{"metadata", {{"total_size", totalBytes}}},
                          {"weight_map", ordered_json::object()}};
    nlohmann::json weightMap = nlohmann::json::object();
    for (const auto &[tensor, shard] : shardOf)
      weightMap[tensor] = shardNames[shard];
    index["weight_map"] = weightMap;
    GPTQC_TRY(
        writeFileAtomically(folder.path() / "model.safetensors.index.json", index.dump(2) + "\n"));
  }
  GPTQC_TRY(writeConfigs());
  GPTQC_TRY(copySideFiles());
  return folder.commit();
}

Status CheckpointWriter::writeConfigs() {
  const ModuleConfig &config = options.config;
  ordered_json quantization = {
      {"bits", config.bits},
      {"group_size", config.groupSize},
      {"desc_act", config.descAct},
      {"sym", config.sym},
      {"lm_head", false},
      {"true_sequential", true},
      {"quant_method", "gptq"},
      {"checkpoint_format", fileFormatName(config.format)},
      {"pack_dtype", "int32"},
      {"meta", {{"quantizer", {options.writer}}, {"method", options.method}}},
  };
  for (const auto &[key, value] : options.keys.items()) {
    if (key == "meta")
      quantization[key].update(value);
    else
      quantization[key] = value;
  }
  ordered_json model = source.config();
  model["quantization_config"] = quantization;
  GPTQC_TRY(writeFileAtomically(folder.path() / "config.json", model.dump(2) + "\n"));
  return writeFileAtomically(folder.path() / "quantize_config.json", quantization.dump(2) + "\n");
}

Status CheckpointWriter::copySideFiles() {
  std::error_code error;
  for (fs::directory_iterator it(source.directory(), error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code typeError;
    if (!isSideFile(name) || !fs::is_regular_file(it->path(), typeError))
      continue;
    GPTQC_ASSIGN(const std::vector<uint8_t> bytes, readFile(it->path()));
    GPTQC_TRY(writeFileAtomically(folder.path() / name, bytes.data(), bytes.size()));
  }
  if (error)
    return makeError(Code::IoError, "cannot list {}: {}", source.directory().string(),
                     error.message());
  return Status();
}

} // namespace gptqc
