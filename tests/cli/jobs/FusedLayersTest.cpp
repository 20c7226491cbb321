// What is fused and grouped, by names and descriptors alone.
#include "cli/jobs/FusedLayers.h"

#include <algorithm>

#include <gtest/gtest.h>

using namespace gptqc;
using namespace gptqc::cli;

namespace {

NamedLayer layer(const std::string &name, const char *text) {
  return {name, *Descriptor::parse(text)};
}

std::vector<std::string> textsOf(const std::vector<NamedLayer> &modules) {
  std::vector<std::string> texts;
  for (const Descriptor &descriptor : fusedLayers(modules))
    texts.push_back(descriptor.print());
  return texts;
}

using Texts = std::vector<std::string>;
constexpr const char *kUp = "w4 g32 sym f16->f16 n64 k128 m1..";
constexpr const char *kDown = "w4 g32 sym f16->f16 n128 k64 m1..";

} // namespace

TEST(FusedLayers, PartsOfABlock) {
  const std::string block = "model.layers.0.self_attn.";
  EXPECT_EQ(textsOf({layer(block + "q_proj", kUp),
                     layer(block + "k_proj", "w4 g32 sym f16->f16 n16 k128 m1.. bias"),
                     layer(block + "v_proj", "w4 g32 asym f16->f16 n16 k128 m1..")}),
            Texts({"w4 g32 asym f16->f16 n96 k128 m1.. bias"}));
  EXPECT_EQ(
      textsOf({layer("a.gate_proj", kUp), layer("a.up_proj", kUp), layer("b.up_proj", kUp)}),
      Texts({"w4 g32 sym f16->f16 n128 k128 m1..", "w4 g32 sym f16->f16 n128 k128 m1.. silu_mul"}));
  EXPECT_EQ(textsOf({layer("a.gate_proj", kUp), layer("b.up_proj", kUp)}), Texts());
  EXPECT_EQ(
      textsOf({layer("a.gate_proj", kUp), layer("a.up_proj", "w8 g32 sym f16->f16 n64 k128 m1..")}),
      Texts());
}

TEST(FusedLayers, ExpertsOfABlock) {
  std::vector<NamedLayer> modules;
  for (const char *expert : {"0", "1", "2"}) {
    const std::string name = std::string("model.layers.5.block_sparse_moe.experts.") + expert;
    modules.push_back(layer(name + ".w1", kUp));
    modules.push_back(layer(name + ".w2", kDown));
    modules.push_back(layer(name + ".w3", kUp));
  }
  const std::vector<std::string> texts = textsOf(modules);
  for (const char *text :
       {"w4 g32 sym f16->f16 n64 k128 experts3 m1..", "w4 g32 sym f16->f16 n128 k64 experts3 m1..",
        "w4 g32 sym f16->f16 n128 k128 experts3 m1..",
        "w4 g32 sym f16->f16 n128 k128 experts3 m1.. silu_mul"})
    EXPECT_NE(std::find(texts.begin(), texts.end(), text), texts.end()) << text;
}

TEST(FusedLayers, WhatOneExpertNeedsAllHave) {
  const auto pair = [](const char *second) {
    return textsOf({layer("a.experts.0.down_proj", kDown), layer("a.experts.1.down_proj", second)});
  };
  EXPECT_EQ(pair("w4 g32 asym actorder f16->f16 n128 k64 m1.."),
            Texts({"w4 g32 asym actorder f16->f16 n128 k64 experts2 m1.."}));
  EXPECT_EQ(pair("w4 g32 sym f16->f16 n64 k64 m1.."), Texts());
  EXPECT_EQ(pair("w4 g32 sym f16->f16 n128 k64 m1.. bias"), Texts());
  EXPECT_EQ(textsOf({layer("a.experts.1.down_proj", kDown), layer("a.experts.2.down_proj", kDown)}),
            Texts());
}
