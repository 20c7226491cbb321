// Each finding, made by damaging a good checkpoint in one place.
#include "tests/runtime/checkpoint/CheckpointFixture.h"

#include <algorithm>
#include <functional>

using namespace gptqc;
using namespace gptqc::fixtures;

namespace {

const std::string kLinted = "model.layers.0.self_attn.q_proj";

struct Lint : public ::testing::Test {
  CheckpointFolder folder;
  LayerSpec spec;

  void addLayer() { folder.add(kLinted, spec); }
  StoredTensor &tensor(const std::string &suffix) {
    return folder.tensors.at(kLinted + "." + suffix);
  }

  Checkpoint examine() {
    Result<Checkpoint> checkpoint = Checkpoint::examine(folder.write());
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    return checkpoint.ok() ? std::move(*checkpoint) : Checkpoint();
  }

  /// The checkpoint has exactly this finding, and a layer only when it is not fatal.
  Checkpoint expectOne(const std::string &check, Severity severity, const std::string &says) {
    Checkpoint checkpoint = examine();
    EXPECT_EQ(checkpoint.findings().size(), 1u);
    for (const Finding &finding : checkpoint.findings()) {
      EXPECT_EQ(finding.check, check) << finding.print();
      EXPECT_EQ(finding.severity, severity) << finding.print();
      EXPECT_NE(finding.print().find(says), std::string::npos) << finding.print();
      EXPECT_FALSE(finding.repair.empty());
      EXPECT_EQ(finding.print().find('\n'), std::string::npos);
    }
    EXPECT_EQ(checkpoint.layers().empty(), severity == Severity::Fatal);
    EXPECT_EQ(Checkpoint::open(folder.write()).ok(), severity != Severity::Fatal);
    return checkpoint;
  }
  void expectFatal(const std::string &check, const std::string &says) {
    expectOne(check, Severity::Fatal, says);
  }

  /// Reads the only layer's zero points, filled in when symmetric.
  std::vector<uint8_t> zerosOf(const Checkpoint &checkpoint) {
    const auto matrix = checkpoint.loadLayer(checkpoint.layers().at(0));
    EXPECT_TRUE(matrix.ok());
    if (!matrix->zeros.empty())
      return matrix->zeros;
    return std::vector<uint8_t>(size_t(matrix->groups * matrix->descriptor.n),
                                uint8_t(matrix->descriptor.symZero()));
  }

  void configure(int bits, bool sym, const std::string &format, const std::string &writer = "") {
    folder.config = fmt::format(
        R"({{"bits":{},"group_size":32,"sym":{},"desc_act":false,"checkpoint_format":"{}"{}}})",
        bits, sym, format,
        writer.empty() ? "" : fmt::format(R"(,"meta":{{"quantizer":["{}"]}})", writer));
  }
};

TEST_F(Lint, CleanCheckpointHasNoFindings) {
  addLayer();
  EXPECT_TRUE(examine().findings().empty());
}

TEST_F(Lint, MissingTensors) {
  for (const char *suffix : {"qzeros", "scales"}) {
    addLayer();
    folder.tensors.erase(kLinted + "." + suffix);
    expectFatal("missing-tensor", suffix);
  }
}

TEST_F(Lint, WrongTypes) {
  for (const char *suffix : {"qweight", "qzeros", "g_idx"}) {
    addLayer();
    tensor(suffix).type = ElementType::F32;
    expectFatal("dtype", suffix);
  }
  addLayer();
  tensor("scales") = stored(ElementType::I32, {4, 64}, std::vector<int32_t>(256));
  expectFatal("dtype", "scales");
}

TEST_F(Lint, WrongShapes) {
  addLayer();
  tensor("qweight").shape = {16 * 64};
  expectFatal("shape", "2 dimension");
  addLayer();
  tensor("qzeros") = stored(ElementType::I32, {4, 9}, std::vector<int32_t>(36));
  expectFatal("shape", "needs [G,8]");
  addLayer();
  tensor("qzeros") = stored(ElementType::I32, {3, 8}, std::vector<int32_t>(24));
  expectFatal("shape", "qzeros has 3 groups, scales has 4");
  addLayer();
  tensor("scales") = stored(ElementType::F16, {4, 32}, std::vector<uint16_t>(128));
  expectFatal("shape", "scales is F16 [4,32], N = 64");
  addLayer();
  tensor("qweight") = stored(ElementType::I32, {0, 64}, std::vector<int32_t>());
  expectFatal("shape", "empty");
  addLayer();
  tensor("qweight") = stored(ElementType::I32, {int64_t(1) << 58, 0}, std::vector<int32_t>());
  expectFatal("shape", "empty");
  addLayer();
  folder.tensors[kLinted + ".bias"] = stored(ElementType::F16, {63}, std::vector<uint16_t>(63));
  expectFatal("shape", "bias");
}

TEST_F(Lint, GroupCountDiffersFromGroupSize) {
  addLayer();
  folder.config = R"({"bits":4,"group_size":64,"sym":true,"desc_act":false})";
  expectFatal("group-size", "set group_size to 32");
}

TEST_F(Lint, BitsDifferFromShapes) {
  addLayer();
  configure(8, true, "gptq");
  expectFatal("bits-mismatch", "set bits to 4 for this layer");
  configure(3, true, "gptq");
  expectFatal("shape", "set bits to 4 for this layer");
}

TEST_F(Lint, GroupIndexOutOfRange) {
  for (int32_t bad : {4, -1, INT32_MAX}) {
    addLayer();
    std::vector<int32_t> index(128, 1);
    index[77] = bad;
    tensor("g_idx") = stored(ElementType::I32, {128}, index);
    expectFatal("g-idx-range", fmt::format("g_idx[77] = {}", bad));
  }
}

TEST_F(Lint, IrregularGroupIndexWithoutDescAct) {
  for (int i = 0; i < 128; ++i)
    spec.groupIndex.push_back((i * 5) % 128 / 32);
  addLayer();
  const Checkpoint checkpoint = expectOne("desc-act", Severity::Error, "set desc_act to true");
  EXPECT_TRUE(checkpoint.layers()[0].descriptor.actOrder);
}

TEST_F(Lint, UnequalGroups) {
  spec.groupIndex.assign(128, 0);
  for (int i = 0; i < 31; ++i)
    spec.groupIndex[size_t(i)] = i % 4;
  addLayer();
  folder.config = R"({"bits":4,"group_size":32,"sym":true,"desc_act":true})";
  const Checkpoint checkpoint = expectOne("group-lengths", Severity::Warning, "32 columns each");
  EXPECT_TRUE(checkpoint.layers()[0].descriptor.ragged);
}

TEST_F(Lint, FloatScalesAreRounded) {
  addLayer();
  tensor("scales") = stored(ElementType::F32, {4, 64}, std::vector<float>(256, 0.1f));
  const Checkpoint checkpoint = expectOne("scales-f32", Severity::Warning, "rounded to F16");
  EXPECT_EQ(checkpoint.loadLayer(checkpoint.layers()[0])->scales[5], floatToHalf(0.1f));
}

TEST_F(Lint, ScalesMustBeFinite) {
  addLayer();
  std::vector<uint16_t> scales = spec.scales();
  scales[64 + 3] = 0x7c00;
  tensor("scales") = stored(ElementType::F16, {4, 64}, scales);
  expectOne("scales-finite", Severity::Error, "scales[1,3] is not finite");
}

TEST_F(Lint, SymClaimedButZerosDiffer) {
  spec.sym = false;
  spec.minusOne = false;
  addLayer();
  configure(4, true, "gptq_v2");
  const Checkpoint checkpoint = expectOne("sym-claimed", Severity::Error, "set sym to false");
  EXPECT_FALSE(checkpoint.layers()[0].descriptor.sym);
  EXPECT_EQ(zerosOf(checkpoint), spec.zeroPoints());
}

TEST_F(Lint, SymmetricZerosInTheOtherConvention) {
  for (bool minusOne : {true, false})
    for (int bits : {2, 3, 4, 8}) {
      spec.bits = bits;
      spec.minusOne = minusOne;
      addLayer();
      configure(bits, true, minusOne ? "gptq_v2" : "gptq");
      const Checkpoint checkpoint =
          expectOne("zeros-format", Severity::Error,
                    fmt::format("set checkpoint_format to gptq{}", minusOne ? "" : "_v2"));
      EXPECT_TRUE(checkpoint.layers()[0].descriptor.sym);
    }
}

TEST_F(Lint, OldThreeBitZerosAreRepaired) {
  spec.bits = 3;
  addLayer();
  std::vector<uint32_t> words;
  for (int i = 0; i < 4 * 2; ++i)
    words.insert(words.end(), {0x00000000, 0xB6DB6DB7, 0x49249249});
  tensor("qzeros") = stored(ElementType::I32, {4, 6}, words);
  configure(3, true, "gptq");
  const Checkpoint checkpoint = expectOne("zeros-3bit", Severity::Error, "2026-04-17");
  EXPECT_TRUE(checkpoint.layers()[0].descriptor.sym);
}

TEST_F(Lint, OldThreeBitAsymmetricZerosByWriter) {
  spec.bits = 3;
  spec.sym = false;
  spec.minusOne = false;
  addLayer();
  const std::vector<uint8_t> zeros = spec.zeroPoints();
  std::vector<uint32_t> words = packZeros(Packing::Continuous, 3, 4, 64, zeros, false);
  constexpr uint32_t kWrong[] = {0x24924924, 0x92492492, 0x49249249};
  for (size_t i = 0; i < words.size(); ++i)
    words[i] -= kWrong[i % 3];
  tensor("qzeros") = stored(ElementType::I32, {4, 6}, words);
  configure(3, false, "gptq", "gptqmodel:5.0.0");
  const Checkpoint old = expectOne("zeros-3bit", Severity::Error, "GPTQModel 5.0.0");
  EXPECT_EQ(zerosOf(old), zeros);
  // The same words by a fixed writer are taken as they are.
  configure(3, false, "gptq", "gptqmodel:6.1.0");
  const Checkpoint fixed = examine();
  EXPECT_TRUE(fixed.findings().empty());
  EXPECT_NE(zerosOf(fixed), zeros);
}

struct Underflow : public Lint {
  std::vector<uint8_t> zeros;

  /// Zero points 0,1,..,7 repeated, stored as `pack` stores them.
  void addWords(const std::function<uint32_t(uint32_t)> &pack) {
    for (int i = 0; i < 4 * 64; ++i)
      zeros.push_back(uint8_t(i % 8));
    spec.sym = false;
    spec.zeros = zeros;
    spec.minusOne = false;
    addLayer();
    std::vector<uint32_t> words = packZeros(Packing::Continuous, 4, 4, 64, zeros, false);
    for (uint32_t &word : words)
      word = pack(word);
    tensor("qzeros") = stored(ElementType::I32, {4, 8}, words);
  }
};

TEST_F(Underflow, WholeWordsByKnownWriter) {
  addWords([](uint32_t word) { return word - 0x11111111; });
  configure(4, false, "gptq", "gptqmodel:0.9.0");
  const Checkpoint checkpoint = expectOne("zeros-underflow", Severity::Error, "32 v1 words");
  EXPECT_EQ(zerosOf(checkpoint), zeros);
}

TEST_F(Underflow, FieldsByUnknownWriter) {
  addWords([](uint32_t word) { return word - 0x11111111; });
  configure(4, false, "gptq");
  const Checkpoint checkpoint =
      expectOne("zeros-underflow", Severity::Error, "the writer is unknown");
  const std::vector<uint8_t> read = zerosOf(checkpoint);
  EXPECT_EQ(std::vector<uint8_t>(read.begin(), read.begin() + 8),
            (std::vector<uint8_t>{0, 0, 1, 3, 4, 5, 6, 7}));
}

TEST_F(Underflow, OrPackedWordsAreLost) {
  addWords([](uint32_t) { return 0xFFFFFFFFu; });
  configure(4, false, "gptq");
  expectOne("zeros-or-packed", Severity::Error, "what was there is lost");
}

TEST_F(Underflow, AsymmetricV1WithoutZeroPointsOfZero) {
  spec.sym = false;
  addLayer();
  configure(4, false, "gptq");
  EXPECT_EQ(zerosOf(expectOne("zeros-v1-asym", Severity::Warning, "gptq_v2")), spec.zeroPoints());
  configure(4, false, "gptq", "gptqmodel:1.0.0");
  EXPECT_TRUE(examine().findings().empty());
}

TEST_F(Lint, ContradictoryConfigurations) {
  addLayer();
  folder.modelConfig =
      R"({"quantization_config":{"bits":4,"group_size":64,"sym":true,"desc_act":false}})";
  expectOne("config-conflict", Severity::Error, "group_size is 32 but");
}

TEST_F(Lint, SymNotGiven) {
  addLayer();
  folder.config = R"({"bits":4,"group_size":32,"desc_act":false})";
  expectOne("config-sym", Severity::Warning, "add sym");
}

TEST_F(Lint, SkippedModuleIsQuantized) {
  addLayer();
  folder.config =
      R"({"bits":4,"group_size":32,"sym":true,"desc_act":false,"dynamic":{"-:.*q_proj":{}}})";
  expectOne("dynamic-skip", Severity::Error, "correct the rule");
}

TEST_F(Lint, WeightBesideQweight) {
  addLayer();
  folder.tensors[kLinted + ".weight"] = stored(ElementType::F16, {1}, std::vector<uint16_t>{0});
  expectOne("both-weights", Severity::Warning, "remove weight");
}

TEST_F(Lint, LinearLayerLeftUnquantized) {
  addLayer();
  const std::string other = "model.layers.0.mlp.up_proj";
  folder.tensors[other + ".weight"] = stored(ElementType::F16, {1}, std::vector<uint16_t>{0});
  expectOne("not-quantized", Severity::Warning, other);
  folder.config = R"({"bits":4,"group_size":32,"sym":true,"desc_act":false,)"
                  R"("dynamic":{"-:.*up_proj":{}}})";
  EXPECT_TRUE(examine().findings().empty());
}

TEST_F(Lint, OrphanTensor) {
  addLayer();
  folder.tensors["x.g_idx"] = stored(ElementType::I32, {1}, std::vector<int32_t>{0});
  expectOne("orphan-tensor", Severity::Error, "x.g_idx");
}

TEST_F(Lint, FusedLayersNeedOneOrder) {
  for (int i = 0; i < 128; ++i)
    spec.groupIndex.push_back((i * 5) % 128 / 32);
  addLayer();
  std::reverse(spec.groupIndex.begin(), spec.groupIndex.end());
  folder.add("model.layers.0.self_attn.k_proj", spec);
  folder.config = R"({"bits":4,"group_size":32,"sym":true,"desc_act":true})";
  expectOne("g-idx-differs", Severity::Warning, "k_proj");
}

TEST_F(Lint, OpenNamesFolderLayerAndRemedy) {
  addLayer();
  configure(8, true, "gptq");
  const auto checkpoint = Checkpoint::open(folder.write());
  ASSERT_FALSE(checkpoint.ok());
  const std::string message = checkpoint.status().message();
  for (const std::string &part : {folder.write().string(), kLinted, std::string("set bits to 4")})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

} // namespace
