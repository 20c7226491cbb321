// Writes a GPTQ checkpoint folder that transformers, GPTQModel and vLLM load: quantized layers as
// they come, everything else taken over from the source folder. Knows no quantization method.
#ifndef GPTQC_RUNTIME_CHECKPOINT_CHECKPOINTWRITER_H
#define GPTQC_RUNTIME_CHECKPOINT_CHECKPOINTWRITER_H

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/checkpoint/HfFolder.h"
#include "runtime/checkpoint/OutputFolder.h"
#include "runtime/checkpoint/QuantConfig.h"
#include "runtime/core/QuantizedMatrix.h"
#include "runtime/core/SafeTensorsWriter.h"

namespace gptqc {

struct WriterOptions {
  ModuleConfig config;                         ///< of most layers; its format is that of all
  std::map<std::string, ModuleConfig> modules; ///< layers with a configuration of their own
  /// More keys of quantization_config; they replace ours, `meta` is merged.
  nlohmann::ordered_json keys = nlohmann::ordered_json::object();
  std::string writer;                        ///< meta.quantizer, e.g. "gptqc:0.1.0"
  std::string method;                        ///< meta.method, e.g. "rtn"
  bool force = false;                        ///< replace a folder that is not empty
  std::vector<std::filesystem::path> inputs; ///< read besides the source: never replaced
  uint64_t maxShardBytes = 5'000'000'000;
};

/// How a file of this format packs its codes.
inline Packing packingOf(FileFormat format) {
  return format == FileFormat::GptqPlanar ? Packing::Planar : Packing::Continuous;
}

class CheckpointWriter {
public:
  /// Checks that `modules` (their .weight is a 2-D tensor [N,K] of the source) fit the format and
  /// lays out the files. InvalidArgument naming the layer when N or K is no multiple of 32.
  static Result<std::unique_ptr<CheckpointWriter>> create(const HfFolder &source,
                                                          const std::vector<std::string> &modules,
                                                          const std::filesystem::path &output,
                                                          WriterOptions options);

  /// Packs and writes one layer, once. Bias is taken from the source, not from the matrix.
  /// Thread-safe.
  Status putLayer(const std::string &module, const QuantizedMatrix &matrix);

  /// The same for codes that are packed already, by packRows in packingOf(the format); `facts` need
  /// no codes.
  Status putPacked(const std::string &module, const QuantizedMatrix &facts,
                   std::span<const uint8_t> qweight);

  /// A text file beside the weights.
  Status putFile(const std::string &name, std::string_view text);

  /// Copies the other tensors and the side files, writes the configuration, and makes the folder
  /// appear.
  Status finish();

  /// Bytes of all tensors in the new folder.
  uint64_t tensorBytes() const { return totalBytes; }

private:
  CheckpointWriter(const HfFolder &source, OutputFolder folder, WriterOptions options)
      : source(source), folder(std::move(folder)), options(std::move(options)) {}

  Status planLayer(const std::string &module, std::vector<TensorPlan> &plan) const;
  Status openShards(std::vector<TensorPlan> plan);
  Status write(const std::string &tensor, std::span<const uint8_t> bytes);
  const ModuleConfig &configOf(const std::string &module) const;
  Status writeConfigs();
  Status copySideFiles();

  HfFolder source;
  OutputFolder folder;
  WriterOptions options;
  uint64_t totalBytes = 0;
  std::vector<std::unique_ptr<SafeTensorsWriter>> shards;
  std::vector<std::string> shardNames;
  std::map<std::string, size_t> shardOf; ///< tensor -> shard
  std::vector<std::string> passedThrough;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CHECKPOINT_CHECKPOINTWRITER_H
