// gptqc verify as a user runs it, on the CPU: exit codes, output, and errors on one line.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "runtime/core/AtomicFile.h"

namespace {

struct Outcome {
  int exitCode = -1;
  std::string output; ///< both streams
};

Outcome run(const std::string &arguments, const std::string &environment = "") {
  Outcome result;
  const std::string command = environment + " " + GPTQC_TOOL + " " + arguments + " 2>&1";
  // NOLINTNEXTLINE(bugprone-command-processor): the tests write the command lines
  FILE *pipe = popen(command.c_str(), "r");
  std::array<char, 4096> block;
  while (size_t count = fread(block.data(), 1, block.size(), pipe))
    result.output.append(block.data(), count);
  const int status = pclose(pipe);
  result.exitCode = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

const char *const kLayer = "'w4 g32 asym actorder f16->f16 n48 k100 m1..'";

} // namespace

TEST(VerifyCommand, PassesSyntheticLayersOnTheCpu) {
  const Outcome result = run(std::string("verify --device cpu --descriptor ") + kLayer +
                             " --descriptor 'w3 g-1 sym bf16->bf16 n64 k64 m1.. bias silu_mul'");
  EXPECT_EQ(result.exitCode, 0) << result.output;
  EXPECT_NE(result.output.find("all 10 checks passed"), std::string::npos) << result.output;
}

TEST(VerifyCommand, JsonIsOneObject) {
  const Outcome result =
      run(std::string("verify --device cpu --json --m 1,3 --inputs all --descriptor ") + kLayer);
  EXPECT_EQ(result.exitCode, 0);
  const auto json = nlohmann::json::parse(result.output, nullptr, false);
  ASSERT_TRUE(json.is_object()) << result.output;
  EXPECT_EQ(json["passed"], true);
  EXPECT_EQ(json["checks"].size(), 8u);
}

TEST(VerifyCommand, TheSameSeedGivesTheSameErrors) {
  const auto errors = [](const char *seed) {
    const Outcome result =
        run(std::string("verify --device cpu --json --descriptor ") + kLayer + " --seed " + seed);
    std::string text;
    const auto json = nlohmann::json::parse(result.output, nullptr, false);
    for (const auto &check : json["checks"])
      text += check["max_error"].dump() + " ";
    return text;
  };
  EXPECT_EQ(errors("3"), errors("3"));
  EXPECT_NE(errors("3"), errors("4"));
}

TEST(VerifyCommand, WithoutAGpuTheErrorNamesTheOtherDevice) {
  const Outcome result =
      run(std::string("verify --device cuda --descriptor ") + kLayer, "CUDA_VISIBLE_DEVICES=");
  EXPECT_EQ(result.exitCode, 1) << result.output;
  EXPECT_NE(result.output.find(", or use --device cpu"), std::string::npos) << result.output;
}

TEST(VerifyCommand, BadInputsFailOnOneLine) {
  const auto file = std::filesystem::temp_directory_path() /
                    ("gptqc-verify-" + std::to_string(::getpid()) + ".txt");
  ASSERT_TRUE(gptqc::writeFileAtomically(file, "# ok\nw1 g32 sym f16->f16 n8 k8 m1..\n").ok());
  const struct {
    std::string arguments, expected;
    int exitCode;
  } cases[] = {
      {"verify --descriptors " + file.string(), file.string() + ":2: ", 1},
      {"verify --descriptors /no/such/file", "/no/such/file", 1},
      {"verify /no/such/model", "/no/such/model", 1},
      {std::string("verify --m 0 --descriptor ") + kLayer, "token counts", 1},
      {"verify --device cpu --descriptor 'w4 g-1 sym actorder f16->f16 n8 k8 m1..'", "actorder", 1},
      {"verify", "usage", 2},
      {std::string("verify model --descriptor ") + kLayer, "usage", 2},
      {std::string("verify --device tpu --descriptor ") + kLayer, "usage", 2}};
  for (const auto &c : cases) {
    const Outcome result = run(c.arguments);
    EXPECT_EQ(result.exitCode, c.exitCode) << c.arguments << "\n" << result.output;
    EXPECT_NE(result.output.find(c.expected), std::string::npos) << result.output;
    EXPECT_EQ(result.output.find("terminate"), std::string::npos) << result.output;
  }
  std::filesystem::remove(file);
}
