// A whole folder: the input is config.json up to the first NUL byte, then model.safetensors.
#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/core/WeightLayout.h"
#include "tests/fuzz/FuzzTarget.h"
#include "tests/support/TempFolder.h"

using namespace gptqc;
using namespace gptqc::fuzz;

namespace {

/// Larger ones only cost time.
constexpr int64_t kMaxWeights = 1 << 16;

void checkLayer(const Checkpoint &checkpoint, const LayerInfo &layer) {
  require(layer.descriptor.validate().ok(), "a listed layer has a valid descriptor");
  require(checkpoint.find(layer.name) == &layer, "a listed layer is found by its name");
  if (layer.descriptor.n * layer.descriptor.k > kMaxWeights)
    return;
  const Result<QuantizedMatrix> matrix = checkpoint.loadLayer(layer);
  if (!matrix)
    return checkError(matrix.status());
  const Descriptor &d = matrix->descriptor;
  require(int64_t(matrix->codes.size()) == d.n * d.k, "a layer has its codes");
  for (int64_t k = 0; k < d.k; ++k)
    require(matrix->groupOf(k) >= 0 && matrix->groupOf(k) < matrix->groups, "groups are in range");
  for (const uint8_t code : matrix->codes)
    require(code >> d.bits == 0, "codes are in range");
  const PackedWeights packed = packWeights(*matrix);
  require(int64_t(packed.weights.size()) == packed.layout.weightBytes, "a layer can be packed");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static fixtures::TempFolder folder;
  const std::string_view text = textOf(data, size);
  const size_t end = std::min(text.find('\0'), text.size());
  fixtures::writeText(folder / "config.json", text.substr(0, end));
  fixtures::writeText(folder / "model.safetensors", text.substr(std::min(end + 1, text.size())));
  const Result<Checkpoint> strict = Checkpoint::open(folder.path());
  if (!strict)
    checkError(strict.status());
  const Result<Checkpoint> checkpoint = Checkpoint::examine(folder.path());
  if (!checkpoint) {
    checkError(checkpoint.status());
    require(!strict.ok(), "what cannot be examined cannot be opened");
    return 0;
  }
  for (const Finding &finding : checkpoint->findings())
    checkMessage(finding.subject + " " + finding.problem + " " + finding.repair);
  for (const LayerInfo &layer : checkpoint->layers())
    checkLayer(*checkpoint, layer);
  return 0;
}
