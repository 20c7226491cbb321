// Good checkpoints of every format are read as they were meant.
#include "tests/runtime/checkpoint/CheckpointFixture.h"

using namespace gptqc;
using namespace gptqc::fixtures;

namespace {

const std::string kName = "model.layers.0.mlp.up_proj";

struct Variant {
  int bits;
  const char *format;
  bool sym;
};

class Formats : public ::testing::TestWithParam<Variant> {};

TEST_P(Formats, CodesZerosAndScalesComeBack) {
  const Variant variant = GetParam();
  const std::string format = variant.format;
  LayerSpec spec;
  spec.bits = variant.bits;
  spec.sym = variant.sym;
  spec.packing = format == "gptq_p" ? Packing::Planar : Packing::Continuous;
  spec.minusOne = format == "gptq";
  CheckpointFolder folder;
  folder.add(kName, spec);
  folder.config =
      fmt::format(R"({{"bits":{},"group_size":32,"sym":{},"desc_act":false,)"
                  R"("checkpoint_format":"{}","meta":{{"quantizer":"gptqmodel:7.0.0"}}}})",
                  spec.bits, spec.sym, format);
  const auto checkpoint = Checkpoint::open(folder.write());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  for (const Finding &finding : checkpoint->findings())
    ADD_FAILURE() << finding.print();
  ASSERT_EQ(checkpoint->layers().size(), 1u);
  const LayerInfo &layer = checkpoint->layers()[0];
  EXPECT_EQ(layer.descriptor.print(),
            fmt::format("w{} g32 {} f16->f16 n64 k128 m1..", spec.bits, spec.sym ? "sym" : "asym"));
  const auto matrix = checkpoint->loadLayer(layer);
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  EXPECT_EQ(matrix->codes, spec.codes());
  EXPECT_EQ(matrix->scales, spec.scales());
  EXPECT_EQ(matrix->zeros, spec.sym ? std::vector<uint8_t>() : spec.zeroPoints());
  EXPECT_TRUE(matrix->groupIndex.empty()) << "a sequential g_idx is dropped";
  const auto raw = checkpoint->rawLayer(layer);
  ASSERT_TRUE(raw.ok());
  EXPECT_EQ(raw->facts.zeros, matrix->zeros);
  EXPECT_EQ(raw->packing, spec.packing);
  EXPECT_EQ(raw->qweight.size(), size_t(spec.k * spec.n * spec.bits / 8));
}

std::vector<Variant> allFormats() {
  std::vector<Variant> variants;
  for (int bits = 2; bits <= 8; ++bits)
    for (bool sym : {true, false})
      for (const char *format : {"gptq", "gptq_v2", "gptq_p"})
        if (std::string(format) == "gptq_p" || bits <= 4 || bits == 8)
          variants.push_back({bits, format, sym});
  return variants;
}
INSTANTIATE_TEST_SUITE_P(All, Formats, ::testing::ValuesIn(allFormats()), [](const auto &info) {
  return fmt::format("w{}_{}_{}", info.param.bits, info.param.format,
                     info.param.sym ? "sym" : "asym");
});

Result<QuantizedMatrix> readOne(CheckpointFolder &folder, Descriptor *descriptor = nullptr) {
  GPTQC_ASSIGN(const Checkpoint checkpoint, Checkpoint::open(folder.write()));
  EXPECT_EQ(checkpoint.findings().size(), 0u);
  if (descriptor)
    *descriptor = checkpoint.layers()[0].descriptor;
  return checkpoint.loadLayer(checkpoint.layers()[0]);
}

TEST(Checkpoint, MissingOrZeroGroupIndexMeansSequential) {
  CheckpointFolder folder;
  folder.add(kName, LayerSpec());
  folder.tensors.erase(kName + ".g_idx");
  Descriptor without;
  ASSERT_TRUE(readOne(folder, &without).ok());
  EXPECT_FALSE(without.actOrder);
  folder.tensors[kName + ".g_idx"] = stored(ElementType::I32, {128}, std::vector<int32_t>(128, 0));
  Descriptor zeros;
  ASSERT_TRUE(readOne(folder, &zeros).ok());
  EXPECT_EQ(zeros, without);
}

TEST(Checkpoint, ActOrder) {
  LayerSpec spec;
  for (int i = 0; i < 128; ++i)
    spec.groupIndex.push_back((i * 5) % 128 / 32);
  CheckpointFolder folder;
  folder.add(kName, spec);
  folder.config = R"({"bits":4,"group_size":32,"desc_act":true,"sym":true})";
  Descriptor descriptor;
  const auto matrix = readOne(folder, &descriptor);
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  EXPECT_EQ(descriptor.print(), "w4 g32 sym actorder f16->f16 n64 k128 m1..");
  EXPECT_EQ(matrix->groupIndex, spec.groupIndex);
}

TEST(Checkpoint, OneGroupAndShortLastGroup) {
  LayerSpec spec;
  spec.groupSize = -1;
  CheckpointFolder folder;
  folder.add(kName, spec);
  folder.config = R"({"bits":4,"group_size":-1,"desc_act":false,"sym":true})";
  Descriptor descriptor;
  ASSERT_TRUE(readOne(folder, &descriptor).ok());
  EXPECT_EQ(descriptor.groupSize, -1);
  spec.groupSize = 96;
  folder.add(kName, spec);
  folder.config = R"({"bits":4,"group_size":96,"desc_act":false,"sym":true})";
  const auto matrix = readOne(folder, &descriptor);
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  EXPECT_EQ(matrix->groups, 2);
}

TEST(Checkpoint, BfloatScalesAndBiasOfAnyType) {
  CheckpointFolder folder;
  folder.add(kName, LayerSpec());
  folder.tensors[kName + ".scales"].type = ElementType::BF16;
  std::vector<float> bias(64, 1.5f);
  folder.tensors[kName + ".bias"] = stored(ElementType::F32, {64}, bias);
  folder.modelConfig = R"({"torch_dtype":"bfloat16"})";
  Descriptor descriptor;
  const auto matrix = readOne(folder, &descriptor);
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  EXPECT_EQ(descriptor.print(), "w4 g32 sym bf16->bf16 scales:bf16 n64 k128 m1.. bias");
  EXPECT_EQ(matrix->bias, std::vector<uint16_t>(64, floatToBfloat(1.5f)));
  EXPECT_EQ(matrix->scales, LayerSpec().scales()) << "bits of the file";
}

TEST(Checkpoint, DynamicOverridesChangeALayer) {
  LayerSpec wide;
  wide.bits = 8;
  wide.groupSize = 64;
  CheckpointFolder folder;
  folder.add(kName, LayerSpec());
  folder.add("model.layers.1.mlp.up_proj", wide);
  folder.config = R"({"bits":4,"group_size":32,"sym":true,"desc_act":false,)"
                  R"("dynamic":{"+:.*layers\\.1\\.":{"bits":8,"group_size":64}}})";
  const auto checkpoint = Checkpoint::open(folder.write());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  ASSERT_EQ(checkpoint->layers().size(), 2u);
  EXPECT_EQ(checkpoint->layers()[1].descriptor.print(), "w8 g64 sym f16->f16 n64 k128 m1..");
  EXPECT_EQ(checkpoint->loadLayer(checkpoint->layers()[1])->codes, wide.codes());
  EXPECT_EQ(checkpoint->find("model.layers.1.mlp.up_proj"), &checkpoint->layers()[1]);
  EXPECT_EQ(checkpoint->find("none"), nullptr);
}

TEST(Checkpoint, LayersAreInModelOrder) {
  CheckpointFolder folder;
  for (const char *name : {"l.10.q", "l.2.q", "l.1.q"})
    folder.add(name, LayerSpec());
  const auto checkpoint = Checkpoint::open(folder.write());
  ASSERT_TRUE(checkpoint.ok());
  EXPECT_EQ(checkpoint->layers()[0].name, "l.1.q");
  EXPECT_EQ(checkpoint->layers()[2].name, "l.10.q");
  EXPECT_TRUE(naturalLess("a.2", "a.10"));
  EXPECT_FALSE(naturalLess("a.10", "a.2"));
  EXPECT_TRUE(naturalLess("a", "a.1"));
  EXPECT_FALSE(naturalLess("a.1", "a.1"));
}

TEST(Checkpoint, BitsPerWeight) {
  CheckpointFolder folder;
  folder.add(kName, LayerSpec());
  const auto checkpoint = Checkpoint::open(folder.write());
  ASSERT_TRUE(checkpoint.ok());
  // 4 bits, per 32 weights a 16-bit scale and a 4-bit zero, and 32 bits of g_idx per 64 rows.
  EXPECT_DOUBLE_EQ(checkpoint->layers()[0].bitsPerWeight(), 4 + 20.0 / 32 + 32.0 / 64);
}

TEST(Checkpoint, NotQuantized) {
  CheckpointFolder folder;
  folder.tensors["model.weight"] = stored(ElementType::F16, {1}, std::vector<uint16_t>{0});
  const auto checkpoint = Checkpoint::open(folder.write());
  ASSERT_FALSE(checkpoint.ok());
  EXPECT_NE(checkpoint.status().message().find("no tensor ends in .qweight"), std::string::npos);
}

} // namespace
