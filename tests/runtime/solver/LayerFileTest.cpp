// Which pair of tensors is taken, what is written, and the messages for files that do not fit.
#include "runtime/solver/LayerFile.h"

#include <gtest/gtest.h>

#include "runtime/core/Float16.h"
#include "runtime/core/SafeTensorsWriter.h"
#include "tests/runtime/solver/SolverFixture.h"
#include "tests/support/TempFolder.h"

using namespace gptqc;
using namespace gptqc::fixtures;

namespace {

constexpr int64_t kN = 6, kK = 8;

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

void writeTensors(const std::filesystem::path &path, const std::vector<Tensor> &tensors) {
  std::vector<TensorPlan> plan;
  for (const Tensor &tensor : tensors)
    plan.push_back({tensor.name, ElementType::F32, tensor.shape});
  const auto writer = SafeTensorsWriter::create(path, plan, {});
  ASSERT_TRUE(writer.ok());
  for (const Tensor &tensor : tensors)
    ASSERT_TRUE((*writer)->write(tensor.name, bytesOf(tensor.values)).ok());
  ASSERT_TRUE((*writer)->finish().ok());
}

Tensor weightOf(const std::string &name) { return {name, {kN, kK}, normalValues(kN * kK, 1)}; }
Tensor hessianOf(const std::string &name) {
  return {name, {kK, kK}, correlatedHessian(kK, 2).values};
}

TEST(LayerFile, TakesTheOnlyPairOrTheNamedOne) {
  const TempFolder temp;
  const auto path = temp / "layer.safetensors";
  writeTensors(path, {weightOf("W"), hessianOf("H"), weightOf("other.W")});
  const auto plain = LayerFile::read(path, "");
  ASSERT_TRUE(plain.ok()) << plain.status().message();
  EXPECT_EQ(plain->name, "");
  EXPECT_EQ(plain->n, kN);
  EXPECT_EQ(plain->k, kK);
  EXPECT_EQ(plain->weights, weightOf("").values);

  writeTensors(path, {weightOf("a.W"), hessianOf("a.H"), weightOf("b.W"), hessianOf("b.H")});
  EXPECT_NE(LayerFile::read(path, "").status().message().find("2 layers have W and H; choose one "
                                                              "with --name"),
            std::string::npos);
  const auto named = LayerFile::read(path, "b");
  ASSERT_TRUE(named.ok());
  EXPECT_EQ(named->name, "b");
}

TEST(LayerFile, SaysWhatDoesNotFit) {
  const TempFolder temp;
  const auto path = temp / "layer.safetensors";
  const auto message = [&](const std::string &name) {
    return LayerFile::read(path, name).status().message();
  };
  writeTensors(path, {weightOf("a.W")});
  EXPECT_NE(message("").find("no tensors W and H"), std::string::npos);
  EXPECT_NE(message("a").find("no tensor a.H"), std::string::npos);
  writeTensors(path, {weightOf("a.W"), {"a.H", {kK}, std::vector<float>(kK)}});
  EXPECT_NE(message("").find("a.H is F32 [8], no matrix"), std::string::npos);
  writeTensors(path, {hessianOf("a.W"), {"a.H", {2, 2}, std::vector<float>(4)}});
  EXPECT_NE(message("").find("H must be K x K"), std::string::npos);
}

TEST(LayerFile, WritesWhatReadersNeed) {
  const TempFolder temp;
  writeTensors(temp / "in.safetensors", {weightOf("x.W"), hessianOf("x.H")});
  const auto layer = LayerFile::read(temp / "in.safetensors", "");
  ASSERT_TRUE(layer.ok());
  for (const ScaleMode mode : {ScaleMode::Stored, ScaleMode::F32}) {
    SolverOptions options;
    options.groupSize = 4;
    options.scales = mode;
    const auto solution =
        solveLayer(layer->weights, kN, kK, layer->hessian, options, Blas::builtin());
    ASSERT_TRUE(solution.ok());
    ASSERT_TRUE(writeSolution(temp / "out.safetensors", *layer, *solution, options).ok());
    const auto file = SafeTensorsFile::open(temp / "out.safetensors");
    ASSERT_TRUE(file.ok());
    const bool stored = mode == ScaleMode::Stored;
    EXPECT_EQ((*file)->find("x.codes")->print(), "U8 [8,6]");
    EXPECT_EQ((*file)->find("x.scales")->print(), stored ? "F16 [2,6]" : "F32 [2,6]");
    EXPECT_EQ((*file)->find("x.zeros")->print(), "U8 [2,6]");
    EXPECT_EQ((*file)->find("x.g_idx")->print(), "I32 [8]");
    EXPECT_EQ((*file)->find("x.Q")->print(), "F32 [6,8]");
    EXPECT_EQ((*file)->find("x.loss")->print(), "F64 [1]");
    EXPECT_EQ((*file)->metadata().at("bits"), "4");
    const std::span<const uint8_t> q = (*file)->bytes(*(*file)->find("x.Q"));
    const std::vector<float> want = solution->dequantize();
    EXPECT_TRUE(std::equal(q.begin(), q.end(), bytesOf(want).begin()));
  }
}

} // namespace
