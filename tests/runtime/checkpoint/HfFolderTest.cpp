// Which files of a folder are opened, and the ways in which a folder can be incomplete.
#include "runtime/checkpoint/HfFolder.h"

#include <gtest/gtest.h>

#include "runtime/core/SafeTensorsWriter.h"
#include "tests/support/TempFolder.h"

using namespace gptqc;
using gptqc::fixtures::TempFolder;
using gptqc::fixtures::writeText;

namespace {

void writeShard(const std::filesystem::path &path, const std::vector<std::string> &names) {
  std::vector<TensorPlan> plan;
  for (const std::string &name : names)
    plan.push_back({name, ElementType::U8, {1}});
  auto writer = SafeTensorsWriter::create(path, plan, {});
  ASSERT_TRUE(writer.ok());
  for (const std::string &name : names)
    ASSERT_TRUE((*writer)->write(name, std::vector<uint8_t>{uint8_t(name[0])}).ok());
  ASSERT_TRUE((*writer)->finish().ok());
}

void expectError(const TempFolder &folder, Code code, const std::string &says) {
  const auto opened = HfFolder::open(folder.path());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.status().code(), code) << opened.status().message();
  EXPECT_NE(opened.status().message().find(says), std::string::npos) << opened.status().message();
}

constexpr const char *kIndex = "model.safetensors.index.json";

TEST(HfFolder, OneFile) {
  const TempFolder folder;
  writeShard(folder / "model.safetensors", {"a", "b"});
  writeText(folder / "config.json", R"({"model_type":"llama","dtype":"bfloat16"})");
  const auto opened = HfFolder::open(folder.path());
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_EQ(opened->tensors().size(), 2u);
  EXPECT_EQ(opened->modelType(), "llama");
  EXPECT_EQ(opened->activationType(), DType::BF16);
  EXPECT_EQ(opened->find("b")->bytes()[0], 'b');
}

TEST(HfFolder, ActivationTypeByEitherKey) {
  const TempFolder folder;
  writeShard(folder / "model.safetensors", {"a"});
  const auto typeWith = [&](const char *config) {
    writeText(folder / "config.json", config);
    return HfFolder::open(folder.path())->activationType();
  };
  EXPECT_EQ(typeWith("{}"), DType::F16);
  EXPECT_EQ(typeWith(R"({"torch_dtype":"bfloat16"})"), DType::BF16);
  EXPECT_EQ(typeWith(R"({"dtype":"float32"})"), DType::F16);
  EXPECT_EQ(typeWith(R"({"text_config":{"torch_dtype":"bfloat16"}})"), DType::BF16);
}

TEST(HfFolder, Shards) {
  const TempFolder folder;
  writeShard(folder / "s1.safetensors", {"a", "extra"});
  writeShard(folder / "s2.safetensors", {"b"});
  writeText(folder / kIndex, R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})");
  const auto opened = HfFolder::open(folder.path());
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_EQ(opened->weightFiles(), (std::vector<std::string>{"s1.safetensors", "s2.safetensors"}));
  EXPECT_EQ(opened->find("b")->bytes()[0], 'b');
  EXPECT_EQ(opened->unlisted(), std::vector<std::string>{"extra"});
}

TEST(HfFolder, MissingShardIsNamed) {
  const TempFolder folder;
  writeShard(folder / "s1.safetensors", {"a"});
  writeText(folder / kIndex, R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})");
  expectError(folder, Code::NotFound, "shard s2.safetensors is missing");
}

TEST(HfFolder, TensorMissingInItsShard) {
  const TempFolder folder;
  writeShard(folder / "s1.safetensors", {"a"});
  writeText(folder / kIndex, R"({"weight_map":{"b":"s1.safetensors"}})");
  expectError(folder, Code::DataCorrupt, "tensor 'b' is not in shard s1.safetensors");
}

TEST(HfFolder, IndexMustStayInTheFolder) {
  for (const char *name : {"../x.safetensors", "/etc/passwd", "..", "", "a\\\\b", "a\\u0000b"}) {
    const TempFolder folder;
    writeText(folder / kIndex, std::string(R"({"weight_map":{"t":")") + name + "\"}}");
    expectError(folder, Code::DataCorrupt, "not in a file of this folder");
  }
  const TempFolder folder;
  writeText(folder / kIndex, R"({"weight_map":{"t":7}})");
  expectError(folder, Code::DataCorrupt, "not in a file of this folder");
}

TEST(HfFolder, BrokenJson) {
  const TempFolder folder;
  writeText(folder / kIndex, "{");
  expectError(folder, Code::DataCorrupt, "is no JSON object");
  writeText(folder / kIndex, R"({"weight_map":[]})");
  expectError(folder, Code::DataCorrupt, "no weight_map");
  writeText(folder / "config.json", "[1]");
  expectError(folder, Code::DataCorrupt, "config.json is no JSON object");
  writeText(folder / "config.json",
            R"({"a":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}");
  expectError(folder, Code::DataCorrupt, "config.json is nested more than 100 levels deep");
}

TEST(HfFolder, NoWeights) {
  const TempFolder folder;
  expectError(folder, Code::NotFound, "no model.safetensors");
  writeText(folder / "pytorch_model.bin", "x");
  expectError(folder, Code::Unsupported, "pickle");
  writeShard(folder / "gptq_model-4bit-128g.safetensors", {"a"});
  EXPECT_TRUE(HfFolder::open(folder.path()).ok()) << "one file by an older writer's name";
  writeShard(folder / "other.safetensors", {"a"});
  expectError(folder, Code::NotFound, "2 safetensors files but no");
}

TEST(HfFolder, NoFolder) {
  const TempFolder folder;
  writeText(folder / "file", "x");
  EXPECT_EQ(HfFolder::open(folder / "none").status().code(), Code::NotFound);
  EXPECT_EQ(HfFolder::open(folder / "file").status().code(), Code::NotFound);
}

} // namespace
