// solve and quantize --method gptq as a user runs them: output, kill and resume, messages.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "tests/cli/RunTool.h"

using gptqc::fixtures::contains;
using gptqc::fixtures::Outcome;
using gptqc::fixtures::readText;
using gptqc::fixtures::run;
using gptqc::fixtures::TempFolder;
using gptqc::fixtures::writeText;
namespace fs = std::filesystem;

namespace {

const std::string kTool = std::string(GPTQC_BINARY_DIR) + "/bin/gptqc";
const fs::path kData = fs::path(GPTQC_SOURCE_DIR) / "tests/data";
const std::string kModel = (kData / "models/docs-opt-5m").string();
const std::string kTokens = (kData / "tokens.safetensors").string();

void expectFailure(const std::string &arguments, const std::string &says) {
  gptqc::fixtures::expectFailure(arguments, 1, says);
}

std::map<std::string, std::string> filesOf(const fs::path &folder) {
  std::map<std::string, std::string> files;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder))
    if (entry.path().filename() != "quant_log.csv") // holds times
      files[entry.path().filename().string()] = readText(entry.path());
  return files;
}

/// Starts the tool and kills it after `delay`; true when it had ended by itself, with success.
bool runAndKill(const std::vector<std::string> &arguments, std::chrono::milliseconds delay) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<char *> argv = {const_cast<char *>(kTool.c_str())};
    for (const std::string &argument : arguments)
      argv.push_back(const_cast<char *>(argument.c_str()));
    argv.push_back(nullptr);
    if (!std::freopen("/dev/null", "w", stdout) || !std::freopen("/dev/null", "w", stderr))
      ::_exit(126);
    ::execv(kTool.c_str(), argv.data());
    ::_exit(127);
  }
  std::this_thread::sleep_for(delay);
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(SolverCommands, SolveWritesALayer) {
  const TempFolder temp;
  const std::string layer = (kData / "golden/gptq_q_proj_256x256.safetensors").string();
  const std::string out = (temp / "out.safetensors").string();
  const Outcome solved =
      run("solve " + layer + " --bits 4 --group-size 32 --scales f32 --blas builtin -o " + out);
  ASSERT_EQ(solved.exitCode, 0) << solved.errors;
  EXPECT_TRUE(contains(solved.output, "0.self_attn.q_proj: N 256 K 256, 8 groups, loss "))
      << solved.output;
  EXPECT_TRUE(contains(readText(out), "0.self_attn.q_proj.codes"));
  expectFailure("solve " + layer + " --name other --bits 4 -o " + out, "no tensor other.W");
  expectFailure("solve /no/such/file --bits 4 -o " + out, "/no/such/file");
  expectFailure("solve " + layer + " --bits 4 --damp 2 -o " + out, "damping 2");
}

/// Kills 20 runs at random moments, then lets one end: the same bytes as of an undisturbed run.
void killAndResume(const std::string &device) {
  const TempFolder temp;
  const std::string whole = (temp / "whole").string(), killed = (temp / "killed").string();
  const std::string options =
      " --bits 3 --group-size 64 --act-order --samples 2 --seqlen 128 --device " + device +
      " --calibration " + kTokens;
  if (device == "cuda") { // compiles kernels, which the next run finds
    const Outcome outcome = run("quantize " + kModel + options + " -o " + killed);
    if (outcome.exitCode != 0 && !std::getenv("GPTQC_REQUIRE_GPU"))
      GTEST_SKIP() << outcome.errors;
    ASSERT_EQ(outcome.exitCode, 0) << outcome.errors;
    fs::remove_all(killed);
  }
  const auto start = std::chrono::steady_clock::now();
  const Outcome first = run("quantize " + kModel + options + " -o " + whole);
  const auto duration = std::chrono::steady_clock::now() - start;
  ASSERT_EQ(first.exitCode, 0) << first.errors;
  EXPECT_TRUE(contains(first.output, "model.decoder.layers.5.fc2: loss ")) << first.output;
  EXPECT_TRUE(contains(first.errors, "quantize: 36 of 36 done in ")) << first.errors;

  const std::vector<std::string> arguments = {
      "quantize",    kModel,      "--bits", "3",        "--group-size", "64",
      "--act-order", "--samples", "2",      "--seqlen", "128",          "--calibration",
      kTokens,       "--resume",  "-o",     killed,     "--device",     device};
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto longest = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  for (int kills = 0, runs = 0; kills < 20 && runs < 100; ++runs) {
    if (!runAndKill(arguments, std::chrono::milliseconds(random() % unsigned(longest + 1)))) {
      ++kills;
      continue;
    }
    EXPECT_EQ(filesOf(whole), filesOf(killed)); // done before the kill: once more
    fs::remove_all(killed);
  }
  const Outcome last = run("quantize " + kModel + options + " --resume -o " + killed);
  ASSERT_EQ(last.exitCode, 0) << last.errors;
  EXPECT_EQ(filesOf(whole), filesOf(killed));
  EXPECT_EQ(std::distance(fs::directory_iterator(temp.path()), fs::directory_iterator()), 2)
      << "nothing else is left";
}

TEST(SolverCommands, KilledAtRandomMomentsAndResumed) { killAndResume("cpu"); }

TEST(SolverCommands, KilledOnAGpuAndResumed) { killAndResume("cuda"); }

/// Writes beyond the limit fail as on a full disk; the signal that comes with them is ignored.
TEST(SolverCommands, DiskFull) {
  const TempFolder temp;
  const std::string layer = (kData / "golden/gptq_q_proj_256x256.safetensors").string();
  const std::string full = "trap '' XFSZ; ulimit -f 100; ";
  const std::string output = " -o " + (temp / "q").string(), quantize = "quantize " + kModel;
  const std::vector<std::string> commands = {
      "solve " + layer + " --bits 4" + output, quantize + " --method rtn --bits 8" + output,
      quantize + " --bits 8 --samples 2 --calibration " + kTokens + output};
  for (const std::string &command : commands) {
    const Outcome outcome = run(command, full);
    EXPECT_EQ(outcome.exitCode, 1) << command;
    EXPECT_TRUE(contains(outcome.errors, "gptqc: error: ")) << outcome.errors;
    EXPECT_TRUE(contains(outcome.errors, "File too large")) << outcome.errors;
    EXPECT_FALSE(fs::exists(temp / "q")) << command;
  }
}

TEST(SolverCommands, WarnsOfWhatHasNoEffect) {
  const TempFolder temp;
  writeText(temp / "rules.json", R"({"-:model\\.decoder": {}, "q_proj": {"bits": 8}})");
  const std::string quantize = "quantize " + kModel + " --bits 4 --samples 2 --calibration " +
                               kTokens + " --dynamic " + (temp / "rules.json").string();
  expectFailure(quantize + " -o " + (temp / "none").string(), "nothing is left to quantize");
  writeText(temp / "rules.json", R"({"q_proj": {"bits": 8}, ".*fc1": {"bits": 8}})");
  const Outcome outcome = run(quantize + " --group-size 100 -o " + (temp / "q").string());
  EXPECT_EQ(outcome.exitCode, 0) << outcome.errors;
  EXPECT_TRUE(contains(outcome.errors, "the rule 'q_proj' of --dynamic decides nothing"));
  EXPECT_FALSE(contains(outcome.errors, "fc1' of --dynamic"));
  EXPECT_TRUE(contains(outcome.errors, "the last group of 36 layers is short"));
}

TEST(SolverCommands, Refusals) {
  const TempFolder temp;
  const std::string out = (temp / "q").string();
  const std::string quantize = "quantize " + kModel + " -o " + out + " --bits 4 ";
  expectFailure(quantize, "GPTQ needs --calibration");
  expectFailure(quantize + "--calibration /no/tokens.npy", "/no/tokens.npy");
  expectFailure(quantize + "--calibration " + kTokens + " --samples 1 --seqlen 100",
                "100 calibration tokens are too few");
  expectFailure(quantize + "--calibration " + kTokens + " --samples 1000", "128");
  expectFailure(quantize + "--calibration " + kTokens + " --act-order --act-group-aware",
                "choose one");
  expectFailure(quantize + "--calibration " + kTokens + " --dynamic /no/file.json",
                "/no/file.json");
  for (const char *option :
       {"--mse", "--damp 0.5", "--device cuda", "--samples 3", "--seqlen 8", "--blas auto"})
    expectFailure(quantize + "--method rtn " + option, "goes with --method gptq");
  expectFailure("quantize " + kModel + " -o " + out +
                    " --bits 4 --group-size 4294967297 --method rtn",
                "group size 4294967297");
  const std::string layer = (temp / "layer.safetensors").string();
  fs::copy(kData / "golden/gptq_q_proj_256x256.safetensors", layer);
  expectFailure("solve " + layer + " --bits 4 -o " + layer, "is the layer itself");
  writeText(temp / "bad.json", "[1]");
  expectFailure(quantize + "--calibration " + kTokens + " --dynamic " +
                    (temp / "bad.json").string(),
                "no JSON object");
  EXPECT_FALSE(fs::exists(out));
}

} // namespace
