// The cover is complete and small, and every variant is written as asked and read without
// complaint.
#include "tests/support/ModelVariants.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "runtime/checkpoint/Checkpoint.h"
#include "tests/support/TempFolder.h"

using namespace gptqc;
using namespace gptqc::fixtures;

namespace {

TEST(ModelVariants, FewPerModelAndEveryLegalPair) {
  std::map<std::string, int> perModel;
  std::set<std::pair<int, int64_t>> bitsAndGroups;
  std::set<std::string> names;
  for (const ModelVariant &variant : modelVariants()) {
    ++perModel[variant.model];
    bitsAndGroups.insert({variant.options.bits, variant.options.groupSize});
    EXPECT_TRUE(names.insert(variant.name).second) << variant.name;
  }
  ASSERT_EQ(perModel.size(), 2u);
  for (const auto &[model, count] : perModel)
    EXPECT_LE(count, 24) << model;
  EXPECT_EQ(bitsAndGroups.size(), 7u * 4u);
}

TEST(ModelVariants, EveryOneIsReadAsItWasWritten) {
  const std::filesystem::path models =
      std::filesystem::path(GPTQC_SOURCE_DIR) / "tests/data/models";
  for (const ModelVariant &variant : modelVariants()) {
    const TempFolder temp;
    const Status made = makeVariant(variant, models, temp.path());
    ASSERT_TRUE(made.ok()) << made.message();
    const auto checkpoint = Checkpoint::open(temp / variant.name);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    const QuantizeOptions &options = variant.options;
    std::set<std::string> checks, expected;
    for (const Finding &finding : checkpoint->findings())
      checks.insert(finding.check);
    if (!options.sym && options.format == FileFormat::Gptq)
      expected.insert("zeros-v1-asym");
    if (options.actOrder)
      expected.insert("g-idx-differs");
    EXPECT_EQ(checks, expected) << variant.name;
    ASSERT_FALSE(checkpoint->layers().empty());
    for (const LayerInfo &layer : checkpoint->layers()) {
      EXPECT_EQ(layer.descriptor.bits, options.bits) << variant.name;
      EXPECT_EQ(layer.descriptor.sym, options.sym) << variant.name;
      EXPECT_EQ(layer.descriptor.actOrder, options.actOrder) << variant.name << layer.name;
      EXPECT_EQ(layer.descriptor.groupSize, options.groupSize) << variant.name;
    }
  }
}

} // namespace
