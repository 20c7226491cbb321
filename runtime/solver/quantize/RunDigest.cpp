// Fields in a fixed order.
#include "runtime/solver/quantize/RunDigest.h"

#include <algorithm>

#include "runtime/core/Hash.h"

namespace gptqc {
namespace {

/// The beginning, the middle and the end of a tensor.
void addSamples(std::span<const uint8_t> bytes, Sha256 &hash) {
  constexpr size_t kSample = 4096;
  const size_t size = std::min(kSample, bytes.size());
  for (const size_t begin : {size_t(0), (bytes.size() - size) / 2, bytes.size() - size})
    hash.update(bytes.data() + begin, size);
}

std::string describe(const SolverOptions &o) {
  return fmt::format("w{} g{} {} act{} static{} aware{} refresh{} mse{} from{} damp{}", o.bits,
                     o.groupSize, o.sym ? "sym" : "asym", int(o.actOrder), int(o.staticGroups),
                     int(o.actGroupAware), int(o.groupRefresh), int(o.mse), int(o.zeroFromOne),
                     o.damp);
}

} // namespace

std::string runDigest(const HfFolder &source, const ModulePlan &plan,
                      const GptqModelOptions &options, const TokenRows &calibration,
                      const std::string &blas) {
  Sha256 hash;
  hash.updateField("gptq run 1").updateField(source.config().dump()).updateField(blas);
  for (const auto &[name, tensor] : source.tensors()) {
    hash.updateField(name).updateField(tensor.info->print());
    addSamples(tensor.bytes(), hash);
  }
  for (const auto &[module, task] : plan.tasks)
    hash.updateField(module).updateField(describe(task.solver));
  hash.updateField(fileFormatName(plan.writer.config.format))
      .updateField(options.trueSequential ? "true-sequential" : "whole blocks")
      .updateField(fmt::format("{} {}", options.maxShardBytes, options.writer))
      .updateField(fmt::format("{} x {}", calibration.rows, calibration.length))
      .update(calibration.ids.data(), calibration.ids.size() * sizeof(int32_t));
  return toHex(hash.finish());
}

} // namespace gptqc
