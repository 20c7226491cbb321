// The verification loop: a correct runner passes everywhere, damaged ones are caught and reported.
#include "cli/check/Verify.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/Cases.h"

using namespace gptqc;
using namespace gptqc::cli;

namespace {

const char *const kText = "w4 g32 sym f16->f16 n48 k96 m1..";

std::vector<VerifyLayer> layersOf(std::initializer_list<const char *> texts) {
  std::vector<Descriptor> descriptors;
  for (const char *text : texts)
    descriptors.push_back(*Descriptor::parse(text));
  return syntheticLayers(descriptors, 1);
}

std::vector<VerifyRow> verify(const std::vector<VerifyLayer> &layers, Runner &runner,
                              const VerifyOptions &options) {
  size_t reported = 0;
  auto rows = verifyLayers(layers, runner, options, [&](const VerifyRow &) { ++reported; });
  EXPECT_EQ(reported, rows.size());
  return rows;
}

/// The CPU with a fault: one element, or a failure of prepare for layers with a bias.
class FaultyRunner : public Runner {
public:
  std::string kind() const override { return "cpu"; }
  std::string device() const override { return "faulty"; }
  std::string kernelName(int64_t) const override { return "faulty"; }
  Status prepare(const QuantizedMatrix &matrix, std::span<const int64_t> tokens) override {
    if (matrix.descriptor.bias)
      return makeError(Code::CompileFailed, "no kernel");
    return inner->prepare(matrix, tokens);
  }
  Result<double> run(const std::vector<uint16_t> &x, int64_t m, std::vector<uint16_t> &y) override {
    Result<double> time = inner->run(x, m, y);
    if (m == 7)
      y.back() = 0x7bff;
    return time;
  }
  Result<Reference> reference(const std::vector<uint16_t> &x, int64_t m) override {
    return inner->reference(x, m);
  }

private:
  std::unique_ptr<Runner> inner = makeCpuRunner({});
};

} // namespace

TEST(Verify, EveryCasePassesOnTheCpu) {
  const std::vector<VerifyLayer> layers = syntheticLayers(gptqc::fixtures::smallCases(), 5);
  const std::unique_ptr<Runner> runner = makeCpuRunner({});
  VerifyOptions options;
  options.tokens = {1, 7, 16};
  const std::vector<VerifyRow> rows = verify(layers, *runner, options);
  EXPECT_EQ(rows.size(), 3 * layers.size());
  const Status verdict = verifyVerdict(rows);
  EXPECT_TRUE(verdict.ok()) << verdict.message();
}

TEST(Verify, GroupedLayersPassInEveryRouting) {
  const auto layers = layersOf({"w4 g32 sym f16->f16 n48 k96 experts5 m1..",
                                "w3 g32 asym actorder f16->f16 n40 k100 experts3 m1.. bias"});
  const std::unique_ptr<Runner> runner = makeCpuRunner({});
  VerifyOptions options;
  options.tokens = {1, 6, 8, 33};
  const std::vector<VerifyRow> rows = verify(layers, *runner, options);
  EXPECT_EQ(rows.size(), 8u);
  const Status verdict = verifyVerdict(rows);
  EXPECT_TRUE(verdict.ok()) << verdict.message();
  // The routing follows M: all kinds, from the first to the last row.
  const Descriptor &d = layers[0].descriptor;
  for (const int64_t m : {6, 7, 8})
    EXPECT_EQ(routedRows(d, m), syntheticOffsets(kAllRoutings[m % 3], 5, m, uint64_t(m)));
  EXPECT_TRUE(routedRows(*Descriptor::parse(kText), 8).empty());
}

TEST(Verify, MixedInputsTakeTurnsAndAllMeansAll) {
  const auto layers = layersOf({kText, "w5 g32 sym f16->f16 n48 k96 m1.."});
  const std::unique_ptr<Runner> runner = makeCpuRunner({});
  VerifyOptions options;
  options.tokens = {2, 3, 4, 5};
  const auto rows = verify(layers, *runner, options);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NE(rows[i].inputs, rows[(i + 1) % 4].inputs);
    EXPECT_NE(rows[i].inputs, rows[i + 4].inputs); // the second layer starts elsewhere
  }
  options.allInputs = true;
  EXPECT_EQ(verify(layers, *runner, options).size(), 2u * 4 * 4);
}

TEST(Verify, ASingleWrongElementFailsAndTheVerdictRepeatsIt) {
  FaultyRunner runner;
  VerifyOptions options;
  options.seed = 9;
  options.inputs = Inputs::Normal;
  options.reproSuffix = " --device cpu";
  const auto rows = verify(layersOf({kText}), runner, options);
  EXPECT_EQ(std::count_if(rows.begin(), rows.end(), [](auto &row) { return !row.passed(); }), 1);
  const Status verdict = verifyVerdict(rows);
  ASSERT_FALSE(verdict.ok());
  EXPECT_NE(verdict.message().find(
                fmt::format("gptqc verify --descriptor '{}' --m 7 --inputs normal --seed 9 "
                            "--device cpu",
                            kText)),
            std::string::npos)
      << verdict.message();
  EXPECT_NE(verdict.message().find("row 6 column 47"), std::string::npos) << verdict.message();
}

TEST(Verify, ALayerThatCannotRunFailsAloneAndTheRestGoOn) {
  FaultyRunner runner;
  VerifyOptions options;
  options.tokens = {1, 3};
  const auto rows = verify(layersOf({"w4 g32 sym f16->f16 n48 k96 m1.. bias",
                                     "w4 g-1 sym actorder f16->f16 n48 k96 m1..", kText}),
                           runner, options);
  ASSERT_EQ(rows.size(), 4u); // the second is a layer that cannot be made
  EXPECT_EQ(rows[0].error.code(), Code::CompileFailed);
  EXPECT_EQ(rows[1].error.code(), Code::InvalidArgument);
  EXPECT_TRUE(rows[2].passed() && rows[3].passed());
  EXPECT_EQ(verifyVerdict(rows).code(), Code::CompileFailed);
}

TEST(Verify, TokensStayInTheDescriptorsRange) {
  const auto tokens = [](const char *range) {
    return tokensFor(*Descriptor::parse(fmt::format("w4 g-1 sym f16->f16 n8 k8 {}", range)),
                     {1, 7, 16, 33});
  };
  EXPECT_EQ(tokens("m1.."), (std::vector<int64_t>{1, 7, 16, 33}));
  EXPECT_EQ(tokens("m5..16"), (std::vector<int64_t>{7, 16}));
  EXPECT_EQ(tokens("m2..4"), (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(tokens("m100.."), (std::vector<int64_t>{100}));
}

TEST(Verify, KernelsCoverTheBucketInsideTheRange) {
  const Descriptor d = *Descriptor::parse("w4 g-1 sym f16->f16 n8 k8 m3..20");
  EXPECT_EQ(kernelRange(d, 3), (MRange{3, 4}));
  EXPECT_EQ(kernelRange(d, 12), (MRange{9, 16}));
  EXPECT_EQ(kernelRange(d, 18), (MRange{17, 20}));
}

TEST(Verify, JsonHoldsEveryCheck) {
  FaultyRunner runner;
  VerifyOptions options;
  options.tokens = {1, 7};
  const auto json = nlohmann::json::parse(
      verifyJson(verify(layersOf({kText}), runner, options), "faulty", 1), nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["passed"], false);
  EXPECT_EQ(json["failed"], 1);
  ASSERT_EQ(json["checks"].size(), 2u);
  EXPECT_EQ(json["checks"][0]["passed"], true);
  EXPECT_LT(json["checks"][0]["max_error_over_tolerance"], 1.0);
  EXPECT_EQ(json["checks"][1]["descriptor"], kText);
  EXPECT_TRUE(json["checks"][1].contains("repro"));
}

TEST(Verify, TableRowsSayWhatFailed) {
  FaultyRunner runner;
  VerifyOptions options;
  options.tokens = {1, 7};
  const auto layers = layersOf({kText});
  const auto rows = verify(layers, runner, options);
  EXPECT_EQ(verifyTableRow(layers, rows[0]).find("FAILED"), std::string::npos);
  EXPECT_NE(verifyTableRow(layers, rows[1]).find("FAILED: 1 of 336 elements"), std::string::npos);
}

TEST(Verify, UnknownDevicesAreRefused) {
  std::string note;
  EXPECT_EQ(makeRunner("tpu", {}, note).status().code(), Code::InvalidArgument);
}
