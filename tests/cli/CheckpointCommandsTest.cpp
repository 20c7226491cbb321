// quantize, inspect and lint as a user runs them: output, messages of one line, exit codes.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/cli/RunTool.h"

using gptqc::fixtures::contains;
using gptqc::fixtures::expectFailure;
using gptqc::fixtures::Outcome;
using gptqc::fixtures::readText;
using gptqc::fixtures::run;
using gptqc::fixtures::TempFolder;
using gptqc::fixtures::writeText;
namespace fs = std::filesystem;

namespace {

const fs::path kModel = fs::path(GPTQC_SOURCE_DIR) / "tests/data/models/docs-opt-5m";

TEST(CheckpointCommands, QuantizeInspectLint) {
  const TempFolder temp;
  const std::string folder = (temp / "q").string();
  const Outcome quantize =
      run("quantize " + kModel.string() +
          " --method rtn --bits 4 --group-size 64 --asym --act-order -o " + folder);
  ASSERT_EQ(quantize.exitCode, 0) << quantize.errors;
  EXPECT_TRUE(contains(quantize.output, "36 layers")) << quantize.output;
  EXPECT_TRUE(contains(quantize.errors, "quantize: 36 of 36 done in ")) << quantize.errors;
  EXPECT_FALSE(contains(quantize.errors, "\r")) << "no bar where there is no terminal";

  const Outcome table = run("inspect " + folder);
  EXPECT_EQ(table.exitCode, 0) << table.errors;
  EXPECT_TRUE(contains(table.output, "w4 g64 asym actorder f16->f16 n1024 k256 m1.. bias"))
      << table.output;
  EXPECT_TRUE(contains(table.output, "36 quantized layers, 4718592 weights")) << table.output;

  const Outcome inspect = run("inspect --json " + folder);
  const auto json = nlohmann::json::parse(inspect.output, nullptr, false);
  ASSERT_TRUE(json.is_object()) << inspect.output;
  EXPECT_EQ(json["layers"].size(), 36u);
  EXPECT_EQ(json["layers"][0]["format"], "gptq_v2");
  EXPECT_EQ(json["totals"]["weights"], 4718592);

  const Outcome lint = run("lint " + folder);
  EXPECT_EQ(lint.exitCode, 0) << lint.output;
  EXPECT_TRUE(contains(lint.output, "36 layers read, 0 errors")) << lint.output;
}

TEST(CheckpointCommands, LintFailsOnErrorsAndNamesTheRepair) {
  const TempFolder temp;
  const fs::path folder = temp / "q";
  ASSERT_EQ(
      run("quantize " + kModel.string() + " --method rtn --bits 4 -o " + folder.string()).exitCode,
      0);
  auto config = nlohmann::json::parse(readText(folder / "quantize_config.json"));
  config["checkpoint_format"] = "gptq_v2";
  writeText(folder / "quantize_config.json", config.dump());
  const Outcome lint = run("lint " + folder.string());
  EXPECT_EQ(lint.exitCode, 1);
  EXPECT_TRUE(contains(lint.output, "set checkpoint_format to gptq [zeros-format]")) << lint.output;
  EXPECT_TRUE(contains(lint.output, "[config-conflict]")) << lint.output;
  EXPECT_TRUE(contains(lint.errors, "37 error(s)")) << lint.errors;
  // What was repaired in memory can still be inspected.
  const Outcome inspect = run("inspect " + folder.string());
  EXPECT_EQ(inspect.exitCode, 0);
  EXPECT_TRUE(contains(inspect.errors, "gptqc lint")) << inspect.errors;
}

TEST(CheckpointCommands, Errors) {
  const TempFolder temp;
  const std::string folder = (temp / "q").string(), model = kModel.string();
  expectFailure("inspect /no/such/folder", 1, "/no/such/folder is no folder");
  expectFailure("inspect " + model, 1, "no quantization configuration");
  expectFailure("lint " + model, 1, "no quantization configuration");
  expectFailure("quantize " + model + " --method rtn --bits 5 --format gptq -o " + folder, 1,
                "gptq_p");
  expectFailure("quantize " + model + " --method rtn --bits 4 --group-size 0 -o " + folder, 1,
                "group size 0");
  expectFailure("quantize " + model + " --method rtn --bits 4 -o /proc/q", 1, "/proc/q");
  EXPECT_FALSE(fs::exists(folder));
  fs::create_directory(folder);
  writeText(fs::path(folder) / "model.safetensors", std::string(100, 'x'));
  writeText(fs::path(folder) / "quantize_config.json", R"({"bits":4,"group_size":128})");
  expectFailure("inspect " + folder, 1, "model.safetensors: header length");
}

TEST(CheckpointCommands, Usage) {
  const std::string model = kModel.string();
  expectFailure("", 2, "subcommand is required");
  expectFailure("nonsense", 2, "");
  expectFailure("quantize " + model + " --method rtn --bits 1 -o x", 2, "--bits");
  expectFailure("quantize " + model + " --method rtn --bits 9 -o x", 2, "--bits");
  expectFailure("quantize " + model + " --method rtn --bits 4", 2, "--output is required");
  expectFailure("quantize " + model + " --bits 4 --method best -o x", 2, "--method");
  expectFailure("quantize " + model + " --method rtn --bits 4 --format marlin -o x", 2, "--format");
  EXPECT_EQ(run("--help").exitCode, 0);
  EXPECT_EQ(run("--version").output.rfind("gptqc ", 0), 0u);
}

} // namespace
