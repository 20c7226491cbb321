// Builds a small GPTQ checkpoint in a temporary folder, to be read whole or damaged by a test.
#ifndef GPTQC_TESTS_RUNTIME_CHECKPOINT_CHECKPOINTFIXTURE_H
#define GPTQC_TESTS_RUNTIME_CHECKPOINT_CHECKPOINTFIXTURE_H

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/core/Float16.h"
#include "runtime/core/SafeTensorsWriter.h"
#include "tests/support/TempFolder.h"

namespace gptqc::fixtures {

struct StoredTensor {
  ElementType type;
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;
};

template <typename T>
StoredTensor stored(ElementType type, std::vector<int64_t> shape, const std::vector<T> &values) {
  const std::span<const uint8_t> bytes = bytesOf(values);
  return {type, std::move(shape), {bytes.begin(), bytes.end()}};
}

/// A layer as a test wants it; tensors() gives what a correct writer stores.
struct LayerSpec {
  int bits = 4;
  int64_t n = 64, k = 128, groupSize = 32;
  bool sym = true;
  Packing packing = Packing::Continuous;
  bool minusOne = true;            ///< v1 zeros
  std::vector<int32_t> groupIndex; ///< empty: sequential
  std::vector<uint8_t> zeros;      ///< empty: symmetric, or random 1..max when not sym

  int64_t groups() const { return groupSize < 0 ? 1 : (k + groupSize - 1) / groupSize; }

  std::vector<uint8_t> codes() const {
    std::mt19937 random(11);
    std::vector<uint8_t> values(size_t(k * n));
    for (uint8_t &value : values)
      value = uint8_t(random() & ((1u << bits) - 1));
    return values;
  }
  std::vector<uint8_t> zeroPoints() const {
    if (!zeros.empty())
      return zeros;
    std::vector<uint8_t> values(size_t(groups() * n), uint8_t(1 << (bits - 1)));
    std::mt19937 random(12);
    for (uint8_t &value : values)
      if (!sym)
        value = uint8_t(1 + random() % ((1u << bits) - 1));
    return values;
  }
  std::vector<uint16_t> scales() const {
    std::vector<uint16_t> values;
    for (int64_t i = 0; i < groups() * n; ++i)
      values.push_back(floatToHalf(0.01f + 0.001f * float(i % 17)));
    return values;
  }
  std::map<std::string, StoredTensor> tensors() const {
    std::vector<int32_t> index = groupIndex;
    for (int64_t i = 0; groupIndex.empty() && i < k; ++i)
      index.push_back(int32_t(groupSize < 0 ? 0 : i / groupSize));
    return {
        {"qweight", stored(ElementType::I32, {packedWords(bits, k), n},
                           packRows(packing, bits, k, n, codes()))},
        {"qzeros", stored(ElementType::I32, {groups(), packedWords(bits, n)},
                          packZeros(packing, bits, groups(), n, zeroPoints(), minusOne))},
        {"scales", stored(ElementType::F16, {groups(), n}, scales())},
        {"g_idx", stored(ElementType::I32, {k}, index)},
    };
  }
};

class CheckpointFolder {
public:
  std::map<std::string, StoredTensor> tensors;
  std::string config = R"({"bits":4,"group_size":32,"desc_act":false,"sym":true,)"
                       R"("quant_method":"gptq","checkpoint_format":"gptq"})";
  std::string modelConfig = R"({"model_type":"llama","dtype":"float16"})";

  void add(const std::string &name, const LayerSpec &spec) {
    for (auto &[suffix, tensor] : spec.tensors())
      tensors[fmt::format("{}.{}", name, suffix)] = tensor;
  }

  const std::filesystem::path &write() {
    std::vector<TensorPlan> plan;
    for (const auto &[name, tensor] : tensors)
      plan.push_back({name, tensor.type, tensor.shape});
    auto writer = SafeTensorsWriter::create(folder / "model.safetensors", plan, {{"format", "pt"}});
    EXPECT_TRUE(writer.ok());
    for (const auto &[name, tensor] : tensors)
      EXPECT_TRUE((*writer)->write(name, tensor.bytes).ok()) << name;
    EXPECT_TRUE((*writer)->finish().ok());
    writeText(folder / "quantize_config.json", config);
    writeText(folder / "config.json", modelConfig);
    return folder.path();
  }

  std::filesystem::path operator/(std::string_view name) const { return folder / name; }

private:
  TempFolder folder;
};

} // namespace gptqc::fixtures

#endif // GPTQC_TESTS_RUNTIME_CHECKPOINT_CHECKPOINTFIXTURE_H
