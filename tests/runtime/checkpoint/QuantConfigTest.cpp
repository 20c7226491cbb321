// Every spelling of the configuration, its overrides, and what is refused.
#include "runtime/checkpoint/QuantConfig.h"

#include <gtest/gtest.h>

#include "tests/support/TempFolder.h"

using namespace gptqc;
using gptqc::fixtures::TempFolder;
using gptqc::fixtures::writeText;

namespace {

Result<QuantConfig> parse(const std::string &text) {
  return QuantConfig::parse(nlohmann::ordered_json::parse(text), "quantize_config.json");
}

TEST(QuantConfig, PlainKeys) {
  const auto config = parse(
      R"({"bits":3,"group_size":64,"desc_act":true,"sym":false,"quant_method":"gptq",)"
      R"("checkpoint_format":"gptq_v2","meta":{"quantizer":["optimum:1.2","gptqmodel:7.1.3"]}})");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->defaults(), (ModuleConfig{3, 64, false, true, FileFormat::GptqV2}));
  EXPECT_EQ(config->writer().name, "gptqmodel");
  EXPECT_EQ(config->writer().major, 7);
  EXPECT_FALSE(config->writer().isBefore(7, 1));
  EXPECT_TRUE(config->writer().isBefore(7, 2));
  EXPECT_TRUE(config->conflicts().empty());
}

TEST(QuantConfig, Synonyms) {
  const auto config = parse(
      R"({"w_bit":"4","q_group_size":-1,"zero_point":true,"method":"gptq","version":"GEMM"})");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->defaults(), (ModuleConfig{4, -1, false, false, FileFormat::Gptq}));
  EXPECT_TRUE(config->symGiven());
  EXPECT_EQ(parse(R"({"wbits":2,"group_size":32.0,"format":"gptq_p"})")->defaults(),
            (ModuleConfig{2, 32, true, false, FileFormat::GptqPlanar}));
  EXPECT_FALSE(parse(R"({"bits":4,"group_size":32,"sym":null})")->symGiven());
}

TEST(QuantConfig, WideOddBitsArePlanar) {
  for (int bits : {5, 6, 7})
    EXPECT_EQ(parse(fmt::format(R"({{"bits":{},"group_size":32}})", bits))->defaults().format,
              FileFormat::GptqPlanar);
}

TEST(QuantConfig, ConflictsInOneFile) {
  const auto config = parse(R"({"bits":4,"w_bit":3,"group_size":128,"q_group_size":64,"sym":true,)"
                            R"("zero_point":true,"format":"gptq","checkpoint_format":"gptq_v2"})");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->conflicts().size(), 4u);
  EXPECT_EQ(config->defaults().bits, 4) << "the first spelling wins";
  EXPECT_EQ(config->defaults().format, FileFormat::GptqV2);
}

TEST(QuantConfig, Refusals) {
  const std::vector<std::pair<const char *, const char *>> cases = {
      {R"({"bits":1,"group_size":128})", "2 to 8 bits"},
      {R"({"bits":9,"group_size":128})", "2 to 8 bits"},
      {R"({"bits":4.5,"group_size":128})", "2 to 8 bits"},
      {R"({"bits":"four","group_size":128})", "2 to 8 bits"},
      {R"({"bits":18446744073709551615,"group_size":128})", "2 to 8 bits"},
      {R"({"group_size":128})", "no bits"},
      {R"({"bits":4})", "no group_size"},
      {R"({"bits":4,"group_size":128,"dynamic":{"(a)\\1":{}}})", "back-references"},
      {R"({"bits":4,"group_size":0})", "use -1 or a positive"},
      {R"({"bits":4,"group_size":-128})", "use -1 or a positive"},
      {R"({"bits":4,"group_size":128,"sym":"maybe"})", "use true or false"},
      {R"({"bits":4,"group_size":128,"quant_method":"awq"})", "only gptq"},
      {R"({"bits":4,"group_size":128,"checkpoint_format":"marlin"})", "convert the checkpoint"},
      {R"({"bits":4,"group_size":128,"checkpoint_format":7})", "convert the checkpoint"},
      {R"({"bits":4,"group_size":128,"is_marlin_format":true})", "is_marlin_format"},
      {R"({"bits":4,"group_size":128,"pack_dtype":"int64"})", "pack_dtype"},
      {R"({"bits":4,"group_size":128,"dynamic":[]})", "maps patterns"},
      {R"({"bits":4,"group_size":128,"dynamic":{"(":{}}})", "no regular expression"},
      {R"({"bits":4,"group_size":128,"dynamic":{"a":3}})", "object of overrides"},
      {R"({"bits":4,"group_size":128,"dynamic":{"a":{"bits":11}}})", "dynamic 'a' bits"},
  };
  for (const auto &[text, says] : cases) {
    const auto config = parse(text);
    ASSERT_FALSE(config.ok()) << text;
    EXPECT_NE(config.status().message().find(says), std::string::npos) << config.status().message();
    EXPECT_EQ(config.status().message().rfind("quantize_config.json", 0), 0u)
        << config.status().message();
  }
}

TEST(QuantConfig, DynamicRules) {
  const auto config = parse(R"({"bits":4,"group_size":128,"dynamic":{
      ".*\\.mlp\\.":{"bits":8},
      "+:model\\.layers\\.1\\.":{"bits":3,"group_size":32,"sym":false,"desc_act":true},
      "model\\.layers\\.[12]\\.mlp":{"bits":2},
      "+:.*fc5":{"bits":5},
      "-:.*\\.7\\.":{},
      "-:.*lm_head":false}})");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->module("model.layers.0.self_attn.q_proj")->bits, 4);
  EXPECT_EQ(config->module("model.layers.1.mlp.up_proj")->bits, 8) << "the first match wins";
  EXPECT_EQ(*config->module("model.layers.1.self_attn.q_proj"),
            (ModuleConfig{3, 32, false, true, FileFormat::Gptq}));
  EXPECT_EQ(config->module("x.fc5")->format, FileFormat::GptqPlanar);
  EXPECT_EQ(config->module("xmodel.layers.1.self_attn")->bits, 4) << "matched at the start only";
  EXPECT_FALSE(config->module("model.layers.7.mlp.up_proj").has_value()) << "skips are tried first";
  EXPECT_FALSE(config->module("lm_head").has_value());
}

TEST(QuantConfig, EvilPatternOnALongNameEnds) {
  const auto config = parse(R"({"bits":4,"group_size":128,"dynamic":{"(.*)*x":{"bits":8}}})");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->module(std::string(1 << 20, 'a'))->bits, 4);
}

TEST(QuantConfig, EvilPatternsTakePolynomialTime) {
  const auto config = parse(R"({"bits":4,"group_size":128,"dynamic":
      {"(a+)+b":{"bits":8},"(a|a)*c":{"bits":8},"(.*)*x":{"bits":8},"(a|aa)+$":{"bits":2}}})");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->module(std::string(300, 'a'))->bits, 2);
  EXPECT_EQ(config->module(std::string(300, 'a') + "!")->bits, 4);
}

TEST(WriterIdentity, Parse) {
  EXPECT_EQ(WriterIdentity::parse("GPTQModel:0.9.11-dev").name, "gptqmodel");
  EXPECT_EQ(WriterIdentity::parse("gptqmodel:0.9.11").minor, 9);
  EXPECT_FALSE(WriterIdentity::parse("gptqmodel").versionKnown);
  EXPECT_FALSE(WriterIdentity::parse("gptqmodel:dev").versionKnown);
  EXPECT_TRUE(WriterIdentity::parse("gptqmodel:1").versionKnown);
}

class ConfigFolder : public ::testing::Test {
protected:
  void SetUp() override {
    writeText(folder / "model.safetensors", std::string("\2\0\0\0\0\0\0\0{}", 10));
  }
  Result<QuantConfig> load() { return QuantConfig::load(*HfFolder::open(folder.path())); }
  TempFolder folder;
};

TEST_F(ConfigFolder, SearchOrder) {
  EXPECT_EQ(load().status().code(), Code::NotFound);
  writeText(folder / "config.json", R"({"quantization_config":{"bits":2,"group_size":32}})");
  EXPECT_EQ(load()->defaults().bits, 2);
  writeText(folder / "quant_config.json", R"({"bits":3,"group_size":32})");
  EXPECT_EQ(load()->defaults().bits, 3);
  writeText(folder / "quantize_config.json", R"({"bits":4,"group_size":64})");
  const auto config = load();
  EXPECT_EQ(config->defaults().bits, 4);
  ASSERT_EQ(config->conflicts().size(), 4u) << "bits and group_size against both others";
  EXPECT_NE(config->conflicts()[0].find("bits is 4 but"), std::string::npos);
}

TEST_F(ConfigFolder, ABrokenSecondSourceIsAConflict) {
  writeText(folder / "quantize_config.json", R"({"bits":4,"group_size":64})");
  writeText(folder / "config.json", R"({"quantization_config":{"bits":1,"group_size":32}})");
  EXPECT_EQ(load()->conflicts().size(), 1u);
  writeText(folder / "quantize_config.json", "nonsense");
  EXPECT_EQ(load().status().code(), Code::DataCorrupt);
}

} // namespace
